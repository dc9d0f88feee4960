// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Requests that a worker answers because they may wait for the store, with what ends that waiting: an interrupt of the
 * caller, or the end of the mount. A struct later is the beginning of a struct on the heap that has a copy of all
 * that the work needs:
 *
 *   later_begin()   on FUSE's thread; then it is queued
 *   later_claim()   on the worker, when the answer is there: true: it must be given now
 *   later_end()     on the worker, whether it was claimed or not; then the struct may be freed
 *
 * An interrupt is answered at once; the work learns of it by its cancel token.
 */
#include "fs_private.h"

#include <keepfs/base/cancel.h>

struct later {
	struct pending pending;
	struct cancel cancel; /* what the work waits with */
	struct fs *fs;
	bool claimed;               /* the worker's */
	bool heard;                 /* laters' lock: an interrupt is done with this struct */
	struct later *next, **link; /* laters' lock: those that are not answered yet */
};

/** struct laters - all of one mount. */
struct laters *laters_new(void);
struct laters *laters_free(struct laters *l);
/** laters_end() - the mount ends: their waiting does, now and from now on. */
void laters_end(struct laters *l);

/** later_begin() - false: it was answered already, and must not be queued; the struct may be freed. */
bool later_begin(struct later *later, struct fs *fs, fuse_req_t req);
bool later_claim(struct later *later);
void later_end(struct later *later);
/** later_give_up() - nobody wants its answer any more: the work ends soon, and answers. Until later_end(). */
void later_give_up(struct later *later);

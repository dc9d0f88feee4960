// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What is in a file, from a descriptor into the archive. */
#include "data_map.h"
#include "out.h"

#include <keepfs/base/str.h>
#include <sys/stat.h>

struct content {
	int fd; /* borrowed */
	uint64_t size;
	bool sparse;
	struct data_map data;
	struct str map;   /* what is in front of the data of a file with holes; whole blocks */
	bool was_asked;   /* the first bytes were, so was_cached is known */
	bool was_cached;  /* others use this file: it stays in the system's cache */
	uint64_t dropped; /* up to here the cache was told to forget it */
	int errnum;       /* why reading failed, positive; 0 */
	bool was_cut;     /* it ended before its size: zeros stand for the rest */
};

/** content_init() - look at the file, which is as @st says; reads nothing. */
void content_init(struct content *c, int fd, const struct statx *st);
void content_finish(struct content *c);
/** content_archived_bytes() - what content_write() writes, without the zeros that fill the last block. */
uint64_t content_archived_bytes(const struct content *c);
/** content_write() - exactly as many bytes as were promised, whatever the file does, and what fills the last block. A failed read
 * leaves zeros, and c->errnum. 0 or what @out returned. */
int content_write(struct content *c, struct out *out, struct error *err);

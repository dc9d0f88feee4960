// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the files of a draft share.
 *
 *   draft.c         its life: reserved, filled, published or taken back
 *   readback.c      everything is read back from the store
 *   segment_file.c  files that consist of compressed segments
 */
#include <keepfs/make/draft.h>
#include <keepfs/stream/rate.h>

#include <pthread.h>

struct draft {
	const struct make_context *ctx;
	const struct make_order *order;
	struct manifest m; /* as it is filled */
	struct rate *rate;
	size_t extents;  /* of all objects that are entered */
	bool publishing; /* its manifest may be there, and be ours */
	bool published;
	struct store *store;  /* that gets it: borrowed, of the repository or @opened */
	bool is_untouched;    /* nothing of it was ever sent to the store */
	struct store *opened; /* a handle of a tenant's; NULL: it is the store itself */
	int64_t started_mono_us;
};

/** draft_key() - heap: the key of the object of a file; @name NULL: of the artifact's own. */
char *draft_key(const struct draft *d, const char *name);
/** draft_read_back() - all objects; sets the SHA-256 of what has none yet, and verified_at_us. @check: NULL, or for
 * the own file. */
int draft_read_back(struct draft *d, const struct draft_check *check, struct error *err);

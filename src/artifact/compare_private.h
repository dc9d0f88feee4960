// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The parts of the comparison of catalog and store: what the store has (compare.c), and what of the catalog it has no more (missing.c). */
#include "artifact_private.h"

#include <keepfs/catalog/compare.h>

struct comparison {
	struct repository *repo;
	struct store *store; /* that is compared */
	uint64_t store_id;
	const struct catalog_store *at; /* of a tenant's; NULL: it is the catalog's own */
	struct store_call call;
	int64_t now_us;
	struct artifact_comparison *counts;
	struct {
		uint64_t *inos; /* of all artifacts that have a manifest */
		size_t count, cap;
	} seen;
	struct artifact_seen objects; /* that manifests are */
	struct catalog_unlisted *unlisted;
	size_t unlisted_count;
	struct marks_lookup marks;
	int64_t largest_run;
	bool follows;    /* what is missing was removed by the writer, or by the one before us */
	bool reads_only; /* we are a reader: what is in the trash is none of our business */
};

/** compare_of() - one of the store of the catalog, which nothing was seen of yet; the caller's compare_finish(). */
struct comparison compare_of(struct repository *repo, int64_t now_us, struct artifact_comparison *counts);
void compare_finish(struct comparison *c);
/** compare_remember_seen() - the store has a manifest of the artifact @ino. */
void compare_remember_seen(struct comparison *c, uint64_t ino);
/** compare_find_missing() - of all that is listed in that store, what was not seen there is asked for, and marked as missing when it is not there. Blocks. */
int compare_find_missing(struct comparison *c, struct error *err);

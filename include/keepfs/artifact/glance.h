// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A glance at a store, from a host that may only list and read: which directories of backups are there, and what is the newest
 * of each, whole and in place? Without a catalog. Nothing is written, no lock is taken, and no byte of a backup is read.
 *
 * Requests do not grow with how many backups there are: one for each root of the tree, and of each directory: one that finds it; up to five that look for its
 * newest backup in longer and longer spans back from now, with one more for each 1000 objects in that span (a backup has one to
 * three); one for its manifest; and one for each of its objects, of 100 at most. Names are times: only of a directory in which
 * archives are named otherwise (`each`) all are listed, a request for each 1000.
 */
#include <keepfs/codec/manifest.h>
#include <keepfs/store.h>
#include <stdbool.h>
#include <stdint.h>

#define GLANCE_OBJECTS_MAX 100

/** struct glance - a directory; all is borrowed for the call. */
struct glance {
	const char *directory; /* "backups/full" */
	const char *path;      /* of the newest backup that is not partial; NULL: there is none */
	/* Of it; NULL: its manifest cannot be used, for the reason in @problem. */
	const struct manifest *manifest;
	const char
	        *problem; /* what is wrong with it: an object is missing, or of another size; NULL: nothing */
	size_t objects_looked_at;
	uint64_t
	        named; /* backups that are not named by the time, among which none is the newest; 0: it is not such a directory */
};

/**
 * artifact_glance() - call @each with every directory of backups, in the order of their names
 * @now_us: which the spans are counted back from
 * Blocks; any thread. Return: 0, however bad what was found is; negative with @err: the store could not be asked.
 */
int artifact_glance(struct store *store, const struct store_call *call, int64_t now_us,
                    void (*each)(void *arg, const struct glance *found), void *arg, struct error *err);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The life of an artifact across store and catalog. The bucket is the truth: an artifact exists when its
 * manifest does.
 *
 * - create: intent (catalog), objects, [extents object], manifest (only if absent), row (ends the intent)
 * - remove: tombstone (catalog), manifest, [extents object], objects, row dropped
 * - recover: after a crash, each intent and each tombstone is brought to one of the two ends
 * - rebuild: all rows anew from the manifests in the bucket
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/store.h>

struct catalog;

/** artifact_reserve() - choose the name for an artifact of @directory ("backups/full") begun at @at_us,
 * record the intent; heap path in @ret_path. @suffix: ".dump", ".schema.dump", ".sql.gz"; "" for one that is
 * a directory. The intent covers every object whose key begins with the path's stem (manifest_stem()),
 * followed by '.' or '/'. */
int artifact_reserve(struct catalog *catalog, const char *directory, const char *suffix, int64_t run_id,
                     int64_t at_us, char **ret_path, struct error *err);
/** artifact_check_free() - nothing was published below the stem of @path yet; -EEXIST (ERROR_CONFLICT) when
 * it was: by a second keepfs, so the intent is given up, and what is there is left alone. */
int artifact_check_free(struct store *store, struct catalog *catalog, const char *path, struct cancel *cancel,
                        struct error *err);
/** artifact_publish() - the objects are in the store: write extents and manifest, then list it. @m may get
 * its extents_key set. */
int artifact_publish(struct store *store, struct catalog *catalog, struct manifest *m, struct cancel *cancel,
                     struct error *err);
/** artifact_discard() - it did not come to be: abort and delete what is left below its stem, drop the intent.
 * A store that is not reachable leaves the intent for recovery. */
int artifact_discard(struct store *store, struct catalog *catalog, const char *path, struct error *err);
/** artifact_remove() - delete one. -EPERM (ERROR_DENIED, with the reason) for the last good one of its
 * directory. Blocks on the store. */
int artifact_remove(struct store *store, struct catalog *catalog, uint64_t ino, struct error *err);

struct artifact_recovery {
	unsigned adopted;   /* whole artifacts whose row was missing */
	unsigned discarded; /* unfinished ones, aborted and deleted */
	unsigned removed;   /* deletions brought to their end */
	unsigned runs_failed;
	/* could not be settled: the store did not answer; tried again at the next start or trigger */
	unsigned left;
};
/** artifact_recover() - before anything else writes: settle what a crash left. Runs that were pending or
 * running become failed ("interrupted"). */
int artifact_recover(struct store *store, struct catalog *catalog, struct artifact_recovery *ret,
                     struct error *err);

struct artifact_rebuild {
	unsigned threads; /* in: manifests fetched at once */
	void (*progress)(void *arg, uint64_t done);
	/* a manifest that cannot be used, an object missing or of another size, an object without manifest */
	void (*problem)(void *arg, const char *text);
	void *arg;
	uint64_t artifacts; /* out */
	uint64_t bytes;     /* out */
	uint64_t problems;  /* out */
};
/** artifact_rebuild() - replace the catalog's artifacts by what the bucket holds, in one transaction; runs
 * that are not known are added from the manifests. Any failure of the store leaves the catalog as it was. */
int artifact_rebuild(struct store *store, struct catalog *catalog, struct artifact_rebuild *io,
                     struct cancel *cancel, struct error *err);

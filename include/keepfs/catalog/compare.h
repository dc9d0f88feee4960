// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The list of artifacts against what the store holds: an older catalog may have been put back, or somebody may have
 * deleted in the store by hand. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/manifest.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;
struct catalog_marks;

/** catalog_knows() - is the artifact @path listed, being deleted, or announced by an intent? 1; 0; negative errno. */
int catalog_knows(struct catalog *c, const char *path);

/** enum catalog_look - the manifest in the store, as the catalog knows it. */
enum catalog_look {
	CATALOG_LOOK_SAME,   /* it was read as this object; or nothing is listed, and nothing is to be read */
	CATALOG_LOOK_OTHER,  /* it was read as another object, or nobody has noted as which one */
	CATALOG_LOOK_BEFORE, /* it was listed by a keepfs that noted no objects */
};
#define CATALOG_MARK_BYTES 96
/** struct catalog_manifest_mark - the manifest of the artifact @ino is the object of the store that has the mark @mark (not ""), such as its etag. */
struct catalog_manifest_mark {
	uint64_t ino;
	char mark[CATALOG_MARK_BYTES];
};
/** catalog_look_at_manifest() - is it the object that was read when it was listed, or last? enum catalog_look; negative errno. */
int catalog_look_at_manifest(struct catalog *c, uint64_t ino, const char *mark);
/** catalog_note_manifests() - they were read as these objects, in one transaction. Of what is not listed nothing is noted. */
int catalog_note_manifests(struct catalog *c, const struct catalog_manifest_mark *marks, size_t count,
                           struct error *err);

/* catalog_adopt_artifact(): it is known by now, and stays as it is. */
#define CATALOG_KNOWN 1

/** catalog_adopt_artifact() - list an artifact that the store holds and catalog_knows() does not, with what the store
 * knows of it (@marks, NULL: nothing), in one transaction; a run that is not known is made from @m. Return: 0;
 * CATALOG_KNOWN; otherwise as catalog_add_artifact(). */
int catalog_adopt_artifact(struct catalog *c, const struct manifest *m, const struct catalog_marks *marks,
                           struct error *err);

/** struct catalog_listed - an artifact that is listed. */
struct catalog_listed {
	uint64_t ino;
	char path[512];
	bool missing; /* catalog_set_missing() */
};
/** catalog_listed_after() - a page of all that are listed and are in @store (keepfs/catalog/stores.h), by their inode numbers, greater than @after_ino; returns how
 * many of @max were filled, 0 at the end. Start with 0. */
ssize_t catalog_listed_after(struct catalog *c, uint64_t store, uint64_t after_ino,
                             struct catalog_listed *rows, size_t max);
/** catalog_set_missing() - the store has no manifest of @ino any more: it counts as damaged, unless it does already; but the
 * last of its directory stays protected from removal, since its bytes may be there. @missing false: it has one again. */
int catalog_set_missing(struct catalog *c, uint64_t ino, bool missing, struct error *err);

/** struct catalog_unlisted - an artifact that the store holds and that could not be listed. */
struct catalog_unlisted {
	char path[512];
	char reason[512];
};
/** catalog_set_unlisted() - the result of one comparison replaces the last. */
int catalog_set_unlisted(struct catalog *c, const struct catalog_unlisted *rows, size_t count,
                         struct error *err);
/** catalog_each_unlisted() - call @row for each, by path. */
int catalog_each_unlisted(struct catalog *c, void (*row)(void *arg, const char *path, const char *reason),
                          void *arg);

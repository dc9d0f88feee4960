// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The parts of artifacts that consist of several (struct manifest_part): each has an inode number, that of its path, which is also that of its file or directory
 * in the tree. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/manifest.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

/** struct catalog_part - where a part is: its files are entries of catalog_artifact_files() of the artifact, with the directories that are first seen with them. */
struct catalog_part {
	uint64_t ino, artifact_ino;
	int64_t number; /* among those of the artifact */
	char name[512]; /* in the artifact: "database.dump", "tenants/acme.dump" */
	char kind[32];  /* "dump" */
	bool is_directory;
	int64_t first; /* sequence */
	uint64_t files;
};

/** catalog_part() - -ENOENT: @ino is that of no part that is listed. @m: NULL, or what catalog_manifest() would say of an artifact of its own; the caller's manifest_finish(). */
int catalog_part(struct catalog *c, uint64_t ino, struct catalog_part *ret, struct manifest *m);
/** catalog_next_part() - of the parts of an artifact, in their order, the first behind number @after (-1: of all); -ENOENT: there is no more. */
int catalog_next_part(struct catalog *c, uint64_t artifact_ino, int64_t after, struct catalog_part *ret);
/** catalog_newest_has_part() - has the newest artifact of the directory @path, of those that are neither partial nor damaged, a part of @job? 1, 0 (also when there is none), or a negative errno. */
int catalog_newest_has_part(struct catalog *c, const char *path, const char *job);
/** catalog_part_by_stem() - the part whose name up to its suffix is @stem ("database", "tenants/acme"); -ENOENT. */
int catalog_part_by_stem(struct catalog *c, uint64_t artifact_ino, const char *stem,
                         struct catalog_part *ret);
/** catalog_part_below() - one of the parts of that kind in a directory of the artifact ("tenants"); -ENOENT: there is none. */
int catalog_part_below(struct catalog *c, uint64_t artifact_ino, const char *directory, const char *kind,
                       struct catalog_part *ret);
/** catalog_backup_manifest() - as catalog_manifest(), and of a part as catalog_part(). */
int catalog_backup_manifest(struct catalog *c, uint64_t ino, struct manifest *ret);
/** catalog_part_damage() - heap: what is known to be wrong with a file of the part; NULL: nothing. */
char *catalog_part_damage(struct catalog *c, const struct catalog_part *part);
/** catalog_artifact_of() - the artifact that @ino is, or is a file of; -ENOENT. */
int catalog_artifact_of(struct catalog *c, uint64_t ino, uint64_t *ret);

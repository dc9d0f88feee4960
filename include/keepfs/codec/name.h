// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Names of artifacts and directories. Artifact: UTC time in ISO 8601 basic, "-<n>" when it is not the first
 * of its second (n from 2), and a suffix: "20261120T020000Z.dump", "20261120T020000Z-2.dump"; one that is a
 * directory has none. They sort by time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_MAX_BYTES 256 /* with NUL: the limit of file systems */

/** name_sequence() - the position of a name in its directory, by time: seconds * 1000 + (n - 1), n at most
 * 1000; -1 when @name is no artifact name. */
int64_t name_sequence(const char *name);
/** name_first_sequence() - the first position of the second in which @at_us is. */
int64_t name_first_sequence(int64_t at_us);
/** name_suffix() - what a name of an artifact says that it is: ".dump", ".tar.gz"; "" of a directory. Within @name. */
const char *name_suffix(const char *name);
/** name_format() - the name for @sequence with @suffix (".dump", or "") into @buf. */
void name_format(int64_t sequence, const char *suffix, char buf[static NAME_MAX_BYTES]);
/** name_is_safe() - may stand as one component of a path in the tree and in a bucket: 1 to 200 bytes of
 * [A-Za-z0-9._-], not beginning with '.' or '-'. */
bool name_is_safe(const char *name);
/** name_from_database() - heap: the directory name for a database: safe bytes as they are, others as "=XX" (hex). So is
 * the first byte of a name that a file of the job's directory may have: one that is reserved, or an artifact's. */
char *name_from_database(const char *database);
/** name_is_reserved() - a name that no artifact may have, and no directory of a database is given, since keepfs makes
 * files of that name: "latest.dump", "SHA256SUMS". */
bool name_is_reserved(const char *name);
/** name_stem_from() - heap: the stem of an artifact that is named by @text, such as a directory's name: like
 * name_from_database(), but '.' is written as "=2E" too (a stem ends at the first '.'), and all of a name that is
 * reserved. Leaves room for a suffix. */
char *name_stem_from(const char *text);
/** ino_of_artifact() - the stable inode number of an artifact, by its path: bits 62 and 61 set. */
uint64_t ino_of_artifact(const char *path);
/** ino_of_directory() - of a directory below a root: bit 62 set, bit 61 clear, the two lowest bits 0 (they
 * name the directory's own generated files). */
uint64_t ino_of_directory(const char *path);

/**
 * struct tree_root - a directory of the mount's root whose files are stored artifacts. A path of the tree,
 * and the key of an object, begins with the name of its root. tree_roots is the one list of them: a further
 * root is a further row there.
 */
struct tree_root {
	const char *name; /* "backups" */
	/* The inode number of its directory, and of the one that mirrors it in links/ (0: links/ does not
	 * show it). From 2 to 15, used by nothing else (src/fs/node.h), and never changed: programs remember
	 * them. */
	uint64_t ino, links_ino;
	/* What the catalog calls it: the parent_ino of the directories that are directly in it. */
	uint64_t catalog_ino;
	bool times; /* its artifacts are named by time, as name_sequence() reads them */
	/* It is the directory of one job, whose name it has; else each directory in it is a job's. */
	bool is_job;
	/* The mount does not show it: what it holds is for other artifacts, which need it. Its inode numbers are 0. */
	bool is_hidden;
};

/** TREE_PACKS - the root of the packs that mirrors need: packs/JOB/TIME/00001.tar. */
#define TREE_PACKS "packs"

/** tree_roots - those that are shown come first: tree_roots_shown of them. */
extern const struct tree_root tree_roots[];
extern const size_t tree_roots_count, tree_roots_shown;

/** tree_is_pack() - is @path that of a pack, or of a directory of packs? */
bool tree_is_pack(const char *path);

/** tree_root_of() - the root that @path ("backups/full/…", or "backups" itself) lies in; NULL: in none. */
const struct tree_root *tree_root_of(const char *path);
/** tree_path() - heap: a path as people write it, which may leave out "backups/", as a whole one without '/' at its end: "full/X.dump" →
 * "backups/full/X.dump", "exports/acme/" → "exports/acme". */
char *tree_path(const char *word);
/** tree_short() - what tree_path() makes @path of, as short as can be: "full/X.dump" of "backups/full/X.dump", "exports/acme" as it is. Within
 * @path. */
const char *tree_short(const char *path);
/** tree_job_of() - heap: the name of the job whose directory, or what is in it, @path is: "full" of "backups/full/X.dump", "exports" of
 * "exports/acme"; NULL: of "backups" itself, and of what is in no root. */
char *tree_job_of(const char *path);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The tree as the mount reads it: directories and files below backups/, by number, by name and in pages, with
 * what a file needs to be read. What is entombed is never seen here. See keepfs/catalog.h for what is true of
 * every function.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/name.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

enum catalog_kind {
	CATALOG_DIRECTORY, /* of a job or one of its databases */
	CATALOG_ARTIFACT,  /* a file, or with is_directory a directory of files */
	CATALOG_FILE,      /* a further file of an artifact: beside it, or in it when that is a directory */
};

struct catalog_entry {       /* a file or a directory below backups/ */
	uint64_t ino;        /* artifacts and their files: ino_of_artifact() of the path */
	uint64_t parent_ino; /* of the directory that shows it; 0 for directories directly in backups/ */
	enum catalog_kind kind;
	bool is_directory;
	bool secret;    /* files: for nobody but the owner */
	bool is_sealed; /* files: what the store holds of it is encrypted */
	bool has_listing; /* artifacts that are directories: a listing says what is in it, perhaps beside its files */
	uint64_t artifact_ino; /* CATALOG_FILE: whose it is; CATALOG_ARTIFACT: its own */
	/* position among those of its kind in its directory. Artifacts: name_sequence(). Directories: order
	 * of creation. Files of an artifact: by artifact, then in the manifest's order */
	int64_t sequence;
	char name[NAME_MAX_BYTES];
	uint64_t size_bytes;     /* files */
	uint64_t sealed_bytes;   /* with is_sealed: of the object */
	int64_t mtime_us;        /* files: completion. Directories: last publication or removal */
	uint32_t subdirectories; /* directories: with the artifacts that are directories */
	uint32_t files;          /* directories: artifacts; artifacts that are directories: their files */
	uint64_t sums_bytes;     /* directories: size of SHA256SUMS */
};

/** catalog_ensure_directory() - make the row of "backups/full" or "backups/tenants/acme" and its parents;
 * idempotent. */
int catalog_ensure_directory(struct catalog *c, const char *path, int64_t mtime_us, struct error *err);
/** catalog_drop_empty_directories() - forget directories that hold nothing and are not in @keep
 * (NULL-terminated paths). */
int catalog_drop_empty_directories(struct catalog *c, const char *const *keep, struct error *err);
/** catalog_drop_directory() - the same of the directory @path alone. Return: 1: it is forgotten; 0: it holds something, or there is none. */
int catalog_drop_directory(struct catalog *c, const char *path, struct error *err);
/** catalog_entry_by_ino() - -ENOENT when there is none (or it is being deleted). @ino 0 is backups/ itself,
 * with counts. */
int catalog_entry_by_ino(struct catalog *c, uint64_t ino, struct catalog_entry *ret);
/** catalog_entry_by_name() - in directory @parent_ino (0: backups/). */
int catalog_entry_by_name(struct catalog *c, uint64_t parent_ino, const char *name,
                          struct catalog_entry *ret);
/** catalog_entry_latest() - of the artifacts of a directory with @suffix (name_suffix()) that are not partial, the newest
 * that is not damaged, else the newest; -ENOENT when it has none. The newest is what was made last: of the run with
 * the largest number. */
int catalog_entry_latest(struct catalog *c, uint64_t directory_ino, const char *suffix,
                         struct catalog_entry *ret);
/** catalog_entry_made_last() - of the artifacts of a directory that are not partial the newest, of whatever format;
 * -ENOENT: it has none. */
int catalog_entry_made_last(struct catalog *c, uint64_t directory_ino, struct catalog_entry *ret);
/** catalog_next_suffix() - of the suffixes for which there is a latest one the first behind @after, in the order of
 * their bytes (NULL: the first of all; may be @ret); -ENOENT when there is no more. */
int catalog_next_suffix(struct catalog *c, uint64_t directory_ino, const char *after,
                        char ret[static NAME_MAX_BYTES]);
/**
 * catalog_entries() - a page of a directory: those of one kind, by sequence, greater than @after
 * @directory_ino: of a directory, or of an artifact that is one (which holds only CATALOG_FILE)
 * Return: how many of @max were filled; 0 at the end; negative errno. Start with @after = -1.
 */
ssize_t catalog_entries(struct catalog *c, uint64_t directory_ino, enum catalog_kind kind, int64_t after,
                        struct catalog_entry *entries, size_t max);
/** catalog_artifact_files() - a page of the further files of one artifact, however deep they lie in it, by sequence. Otherwise as
 * catalog_entries(). */
ssize_t catalog_artifact_files(struct catalog *c, uint64_t artifact_ino, int64_t after,
                               struct catalog_entry *entries, size_t max);
/** catalog_tier_entries() - a page of the artifacts of a directory that are the first good ones of a period, at birth, by
 * sequence. @tier: 0 daily to 3 yearly. Otherwise as catalog_entries(). */
ssize_t catalog_tier_entries(struct catalog *c, unsigned tier, uint64_t directory_ino, int64_t after,
                             struct catalog_entry *entries, size_t max);
/** catalog_is_in_tier() - is this artifact one of these? */
bool catalog_is_in_tier(struct catalog *c, uint64_t ino, unsigned tier);
/** catalog_entry_near() - the artifact, or directory, with the first number from @from to @to; -ENOENT. */
int catalog_entry_near(struct catalog *c, uint64_t from, uint64_t to, struct catalog_entry *ret);
/** catalog_file_near() - likewise of the files of artifacts, and directories in them. */
int catalog_file_near(struct catalog *c, uint64_t from, uint64_t to, struct catalog_entry *ret);
/** catalog_path() - heap: the path of an entry ("backups/full/…"); NULL when there is none. */
char *catalog_path(struct catalog *c, uint64_t ino);
/** catalog_files() - call @row for each further file of an artifact, in order. @sha256: of the object, where that is encrypted. */
int catalog_files(struct catalog *c, uint64_t artifact_ino,
                  void (*row)(void *arg, const char *name, uint64_t size_bytes, const char *sha256),
                  void *arg);
/** catalog_file_sha256() - of an artifact's file or of one of its further files into @ret ("" when not
 * known); -ENOENT. */
int catalog_file_sha256(struct catalog *c, uint64_t ino, char ret[static SHA256_HEX_BYTES]);
/** catalog_key() - heap: of the object of an artifact's file, or of one of its further files; NULL where
 * catalog_object() has none. */
char *catalog_key(struct catalog *c, uint64_t ino);
/** catalog_object() - what the store holds of an artifact's file, or of one of its further files, with its extents;
 * finish with manifest_object_finish(). -ENOENT when there is no such file, or nothing of it that this keepfs knows how
 * to read. */
int catalog_object(struct catalog *c, uint64_t ino, struct manifest_object *ret);
enum catalog_sums_of {
	CATALOG_SUMS_PLAIN,  /* of the files, as whoever can decrypt reads them */
	CATALOG_SUMS_LOCKED, /* of the files, but of those that are encrypted as of CATALOG_SUMS_STORED */
	CATALOG_SUMS_STORED, /* of the objects: those that are encrypted have ".age" behind their file's name */
};
/** catalog_sums() - call @row for each line of a directory's SHA256SUMS, oldest artifact first, its files
 * behind it: without the line end. An artifact that is a directory has one line, for the SHA256SUMS in it; of its objects, one for each
 * ("20261120T020000Z/toc.dat.age"). One whose digest is not known has a comment ("# NAME: not read back, so its SHA-256 is not known"). */
int catalog_sums(struct catalog *c, uint64_t directory_ino, enum catalog_sums_of of,
                 void (*row)(void *arg, const char *line), void *arg);
/** catalog_has_sealed() - is an artifact of the directory encrypted? catalog_has_any_sealed() - is any? */
bool catalog_has_sealed(struct catalog *c, uint64_t directory_ino);
bool catalog_has_any_sealed(struct catalog *c);
/** catalog_last_size() - size of the artifact of a directory that was made last and is not partial, for an estimate of
 * progress; 0 when there is none. */
uint64_t catalog_last_size(struct catalog *c, const char *directory_path);

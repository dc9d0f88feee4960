// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The manifest: what keepfs knows of one artifact, as JSON beside the artifact in the bucket. An artifact
 * exists when its manifest does: it is written last and removed first. Format: docs/formats.md.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/extents.h>
#include <keepfs/codec/hash.h>
#include <stdint.h>

#define MANIFEST_VERSION 1
/** MANIFEST_BESIDE_MAX - how many files beside its own an artifact can have that is no directory. */
#define MANIFEST_BESIDE_MAX 64

/** struct manifest_file - a further file of an artifact, an object of its own in the bucket. Of an artifact
 * that is a directory: all that is in it, @name relative to the artifact's path ("toc.dat"). Else: a file
 * beside the artifact's own, in the same directory ("20261120T020000Z.tables.csv"); its name is the
 * artifact's up to the first '.', then what it is. */
struct manifest_file {
	char *name;
	uint64_t size_bytes;
	char sha256[SHA256_HEX_BYTES];
	struct extents extents; /* empty until loaded */
	uint64_t extents_count;
};

struct manifest {
	char *path;              /* in the tree and in the bucket: "backups/full/20261120T020000Z.dump" */
	char *job;               /* "full" */
	char *kind;              /* "dump" */
	char *database;          /* name of the database */
	char *server_version;    /* "15.18 (Debian 15.18-0+deb12u1)" */
	char *tool_version;      /* of pg_dump */
	char *system_identifier; /* of the cluster, decimal; NULL when the role may not read it */
	char *triggered_by;      /* "uid 0 (bash)", "keepfs run" */
	char *format;            /* "custom", "plain"; "directory" if and only if @is_directory */
	char *content;           /* "full", "schema", "data" */
	char *compression;       /* "gzip", "gzip:6", "zstd:1", "none" */
	char *note;              /* what whoever triggered it wrote; NULL */
	bool partial; /* less than the job's own configuration asks for: no substitute for a whole one */
	/* the artifact is a directory: @files holds all of it, and there is no object at @path */
	bool is_directory;
	char *keepfs_version;
	int64_t run_id;
	int64_t started_at_us;
	int64_t finished_at_us; /* the artifact's mtime */
	int64_t verified_at_us; /* when it was read back whole from the store; 0: it was not */
	uint64_t size_bytes;    /* of the file that users read; of a directory: the sum of its files */
	/* of that file; of a directory: of its SHA256SUMS; "": not known (verify = none) */
	char sha256[SHA256_HEX_BYTES];
	/* of the object; equal to size_bytes while nothing transforms it; 0 for a directory */
	uint64_t stored_bytes;
	char stored_sha256[SHA256_HEX_BYTES]; /* "" where @sha256 is, and for a directory */
	struct manifest_file *files;          /* in the order in which they are listed */
	size_t file_count;
	/* empty until loaded when the table is an object of its own; empty for a directory */
	struct extents extents;
	uint64_t extents_count; /* also when not loaded; of @extents alone */
	char *extents_key;      /* that object's key; NULL: the table is in the manifest */
	/* of the stored form: the table of the artifact's object, then that of each of @files */
	char extents_sha256[SHA256_HEX_BYTES];
};

void manifest_finish(struct manifest *m);
static inline void cleanup_manifest(struct manifest *m)
{
	manifest_finish(m);
}

/** manifest_add_file() - a copy of @name; the file is zeroed else, and the caller's to fill. */
struct manifest_file *manifest_add_file(struct manifest *m, const char *name);
/** manifest_drop_last_file() - the one that was added last; there is one. */
void manifest_drop_last_file(struct manifest *m);
/** manifest_file_path() - heap: where a file of @m is, in the tree and in the bucket. */
char *manifest_file_path(const struct manifest *m, const struct manifest_file *f);
/** manifest_stem() - heap: "backups/full/20261120T020000Z" of an artifact's path: all that belongs to it
 * begins so, followed by '.' or '/'. */
char *manifest_stem(const char *path);
/** manifest_key() - heap: "manifests/<path>.json". */
char *manifest_key(const char *path);
/** manifest_path_of_key() - heap: the artifact's path; NULL when @key is not a manifest's key. */
char *manifest_path_of_key(const char *key);
/** manifest_extents_key() - heap: "manifests/<path>.extents". */
char *manifest_extents_key(const char *path);

/** manifest_seal_extents() - the stored form of all tables of @m, which must be loaded, on the heap: that of
 * the artifact's own file, then that of each further one. Sets the counts and @m->extents_sha256 to it. */
uint8_t *manifest_seal_extents(struct manifest *m, size_t *ret_len);
/** manifest_encode() - the stored JSON. Extents go inside unless @m->extents_key is set. */
void manifest_encode(const struct manifest *m, struct str *out);
/**
 * manifest_decode() - parse and validate
 * @source: what to call it in messages (the key)
 * @m:      held nothing
 * Return: 0; -EBADMSG with a message that names @source and the field; -ENOTSUP for a newer format version.
 */
int manifest_decode(const char *source, const char *json, size_t len, struct manifest *m, struct error *err);
/** manifest_load_extents() - take the tables from their stored form, once fetched; -EBADMSG when they are not
 * those that @m describes. */
int manifest_load_extents(const char *source, const uint8_t *encoded, size_t len, struct manifest *m,
                          struct error *err);

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

struct manifest {
	char *path;              /* in the tree and in the bucket: "backups/full/20261120T020000Z.dump" */
	char *job;               /* "full" */
	char *kind;              /* "dump" */
	char *database;          /* name of the database */
	char *server_version;    /* "15.18 (Debian 15.18-0+deb12u1)" */
	char *tool_version;      /* of pg_dump */
	char *system_identifier; /* of the cluster, decimal; NULL when the role may not read it */
	char *triggered_by;      /* "uid 0 (bash)", "keepfs run" */
	char *keepfs_version;
	int64_t run_id;
	int64_t started_at_us;
	int64_t finished_at_us; /* the artifact's mtime */
	uint64_t size_bytes;    /* of the file that users read */
	char sha256[SHA256_HEX_BYTES];
	uint64_t stored_bytes; /* of the object; equal to size_bytes while nothing transforms it */
	char stored_sha256[SHA256_HEX_BYTES];
	struct extents extents;                /* empty until loaded when the table is an object of its own */
	uint64_t extents_count;                /* also when not loaded */
	char *extents_key;                     /* that object's key; NULL: the table is in the manifest */
	char extents_sha256[SHA256_HEX_BYTES]; /* of the stored form */
};

void manifest_finish(struct manifest *m);
static inline void cleanup_manifest(struct manifest *m)
{
	manifest_finish(m);
}
/** manifest_copy() - a deep copy into @dst (which held nothing), without the extents. */
void manifest_copy(struct manifest *dst, const struct manifest *src);

/** manifest_key() - heap: "manifests/<path>.json". */
char *manifest_key(const char *path);
/** manifest_path_of_key() - heap: the artifact's path; NULL when @key is not a manifest's key. */
char *manifest_path_of_key(const char *key);
/** manifest_extents_key() - heap: "manifests/<path>.extents". */
char *manifest_extents_key(const char *path);

/** manifest_encode() - the stored JSON. Extents go inside unless @m->extents_key is set. */
void manifest_encode(const struct manifest *m, struct str *out);
/**
 * manifest_decode() - parse and validate
 * @source: what to call it in messages (the key)
 * @m:      held nothing
 * Return: 0; -EBADMSG with a message that names @source and the field; -ENOTSUP for a newer format version.
 */
int manifest_decode(const char *source, const char *json, size_t len, struct manifest *m, struct error *err);
/** manifest_load_extents() - take the table from its stored form, once fetched; -EBADMSG when it is not the
 * one that @m describes. */
int manifest_load_extents(const char *source, const uint8_t *encoded, size_t len, struct manifest *m,
                          struct error *err);

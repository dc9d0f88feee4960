// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Manifests as the tests of many rooms need them. */
#include <keepfs/base/mem.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/catalog/artifacts.h>
#include <string.h>

/* A removal that asks what policy says, of those that keep one. */
#define BY_POLICY (&(const struct catalog_removal){.min_keep = 1})

/* A dump of "shop" that has no files yet; fields are the test's to change. */
static inline void manifest_describe(struct manifest *m, const char *path, int64_t run_id,
                                     const char *database)
{
	*m = (struct manifest){
	        .path = mem_strdup(path),
	        .job = mem_strdup("full"),
	        .kind = mem_strdup("dump"),
	        .target = mem_strdup(database),
	        .triggered_by = mem_strdup("uid 0 (bash)"),
	        .keepfs_version = mem_strdup("0.1.0"),
	        .run_id = run_id,
	};
	manifest_set_fact(m, "database", database);
	manifest_set_fact(m, "server_version", "15.18");
	manifest_set_fact(m, "tool_version", "15.18");
	manifest_set_fact(m, "format", "custom");
	manifest_set_fact(m, "content", "full");
	manifest_set_fact(m, "compression", "gzip");
}

/* A file that is an object of its own, in @pieces extents of the same length: @bytes is a multiple of that. @sha256: ""
 * when it is not known. */
static inline struct manifest_object *manifest_put_file(struct manifest *m, const char *name, uint64_t bytes,
                                                        uint32_t pieces, const char *sha256)
{
	struct manifest_file *f = manifest_add_file(m, name);
	_cleanup(free) char *key = manifest_file_path(m, f);
	size_t index = manifest_add_object(m, key);
	struct manifest_object *o = &m->objects[index];

	f->object = index;
	f->size_bytes = o->stored_bytes = bytes;
	str_copy(f->sha256, sizeof(f->sha256), sha256);
	str_copy(o->stored_sha256, sizeof(o->stored_sha256), sha256);
	for (uint32_t i = 0; i < pieces; i++)
		extents_append(&o->extents, (uint32_t)(bytes / pieces), i);
	return o;
}

/* The artifact's own file; sets its size and hash too. */
static inline struct manifest_object *manifest_put_own(struct manifest *m, uint64_t bytes, uint32_t pieces,
                                                       const char *sha256)
{
	m->size_bytes = bytes;
	str_copy(m->sha256, sizeof(m->sha256), sha256);
	return manifest_put_file(m, strrchr(m->path, '/') + 1, bytes, pieces, sha256);
}

static inline void manifest_seal(struct manifest *m)
{
	size_t len;

	free(manifest_seal_extents(m, &len));
}

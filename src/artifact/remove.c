// SPDX-License-Identifier: Apache-2.0
/*
 * Deletion. The tombstone comes first: from then on nobody sees the artifact, and whatever stops the rest, the tidier
 * or the next start goes on with it. The manifest goes before the object, since an object without a manifest is a
 * leftover, and a manifest without its object a backup that cannot be read.
 */
#include "artifact_private.h"

#include <errno.h>

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/reader.h>

/* What is told of a removal is asked of the catalog before, since it tells nothing of what is hidden. */
struct facts {
	char **beside;
	size_t beside_count;
	uint8_t (*cache_ids)[CACHE_ID_BYTES];
	size_t cache_id_count;
	bool is_directory;
};

static void add_cache_id(struct facts *facts, const char *sha256, const struct extents *x)
{
	size_t count = facts->cache_id_count;

	if ((count & (count - 1)) == 0)
		facts->cache_ids = mem_resize(facts->cache_ids, count ? 2 * count : 1, CACHE_ID_BYTES);
	reader_cache_id(sha256, x, facts->cache_ids[facts->cache_id_count++]);
}

static void note_file(void *arg, const char *name, uint64_t size_bytes, const char *sha256)
{
	static const struct extents none = {0};
	struct facts *facts = arg;

	add_cache_id(facts, sha256, &none);
	if (facts->is_directory)
		return;
	facts->beside = mem_resize(facts->beside, facts->beside_count + 2, sizeof(*facts->beside));
	facts->beside[facts->beside_count++] = mem_strdup(name);
	facts->beside[facts->beside_count] = NULL;
}

static void facts_gather(struct repository *repo, uint64_t ino, const struct manifest *m, struct facts *facts)
{
	_cleanup(manifest_object) struct manifest_object own = {0};

	*facts = (struct facts){.is_directory = m->is_directory};
	if (catalog_object(repo->catalog, ino, &own) == 0)
		add_cache_id(facts, m->sha256, &own.extents);
	if (catalog_files(repo->catalog, ino, note_file, facts) < 0)
		log_warning("of the removed %s some may stay in the disk cache: the catalog cannot be read",
		            m->path);
}

static void facts_finish(struct facts *facts)
{
	for (size_t i = 0; i < facts->beside_count; i++)
		free(facts->beside[i]);
	free(facts->beside);
	free(facts->cache_ids);
}

static void tell_removed(const struct repository *repo, uint64_t ino, const struct manifest *m,
                         const struct facts *facts)
{
	static const char *const none[] = {NULL};
	const struct artifact_removed what = {
	        .ino = ino,
	        .path = m->path,
	        .is_directory = m->is_directory,
	        .beside = facts->beside ? (const char *const *)facts->beside : none,
	        .cache_ids = (const uint8_t(*)[CACHE_ID_BYTES])facts->cache_ids,
	        .cache_id_count = facts->cache_id_count,
	};

	for (struct artifact_events *e = repo->events; e; e = e->next)
		if (e->removed)
			e->removed(e->arg, &what);
}

static int delete_hidden(struct repository *repo, uint64_t ino, const char *path, struct error *err)
{
	int r = artifact_delete(repository_store(repo), NULL, path, err);
	bool ended = r == 0 && catalog_drop_artifact(repo->catalog, ino, NULL) == 0;

	artifact_removal_end(repo, ino);
	if (ended)
		return 0;
	if (r < 0)
		error_prefix(err, "%s is no longer listed; its deletion from the store is tried again later",
		             path);
	/* Where the catalog has no space for its end, the tomb stays a while: the removal itself is done. */
	artifact_left(repo);
	return r;
}

int artifact_remove(struct repository *repo, uint64_t ino, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	struct facts facts;
	int r = catalog_manifest(repo->catalog, ino, &m);

	if (r == -ENOENT)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "there is no such backup");
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	facts_gather(repo, ino, &m, &facts);
	artifact_removal_begin(repo, ino);
	r = catalog_entomb_artifact(repo->catalog, ino, true, err);
	if (r < 0)
		artifact_removal_end(repo, ino);
	if (r == 0) {
		r = delete_hidden(repo, ino, m.path, err);
		/* It is gone from the listing, whatever became of the rest. */
		tell_removed(repo, ino, &m, &facts);
	}
	facts_finish(&facts);
	return r;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Deletion. The tombstone comes first: from then on nobody sees the artifact, and whatever stops the rest, the tidier
 * or the next start goes on with it. Only where the store forbids to begin it ends there, and the artifact is listed as before. The manifest goes before the object, since an object without a manifest is a
 * leftover, and a manifest without its object a backup that cannot be read.
 */
#include "artifact_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/needs.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/trash.h>
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
		add_cache_id(facts, own.cipher ? own.stored_sha256 : m->sha256, &own.extents);
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

/* ARTIFACT_REFUSED: it is listed as before. */
static int delete_hidden(struct repository *repo, uint64_t ino, const char *path, struct error *err)
{
	int r = artifact_delete_all(repo, NULL, ino, path, err);
	bool ended = r == 0 && catalog_drop_artifact(repo->catalog, ino, NULL) == 0;

	artifact_removal_end(repo, ino);
	if (ended || r == ARTIFACT_REFUSED)
		return r;
	if (r < 0)
		error_prefix(err, "%s is no longer listed; its deletion from the store is tried again later",
		             path);
	/* Where the catalog has no space for its end, the tomb stays a while: the removal itself is done. */
	artifact_left(repo);
	return r;
}

/* The store has to know what is in the trash: else a catalog made anew would list it again. */
static int mark_hidden(struct repository *repo, uint64_t ino)
{
	struct catalog_trashed t = {0};
	struct error why = {0};
	int r = catalog_trash_find(repo->catalog, ino, &t);

	if (r == 0)
		r = artifact_trash_mark(repo, NULL, &t, &why);
	artifact_removal_end(repo, ino);
	artifact_trash_changed(repo);
	if (r == 0)
		return 0;
	/* It is removed, and who can take it back knows that. */
	log_warning("%s is in the trash; the store is told so later: %s", t.path, why.message);
	artifact_left(repo);
	return 0;
}

/* The kernel may have learnt meanwhile that it is not there. */
static int stay(struct repository *repo, const struct manifest *m, const struct error *why)
{
	artifact_tell_listed(repo, m);
	return why->errnum ? -why->errnum : -EACCES;
}

static int hide_and_delete(struct repository *repo, uint64_t ino, const struct manifest *m,
                           const struct catalog_removal *how, struct error *err)
{
	bool needs_packs = catalog_needs_packs(repo->catalog, ino);
	struct error why = {0};
	struct facts facts;
	int r;

	facts_gather(repo, ino, m, &facts);
	artifact_removal_begin(repo, ino);
	r = catalog_entomb_artifact(repo->catalog, ino, how, &why);
	if (r < 0) {
		artifact_removal_end(repo, ino);
	} else {
		r = how->trash_until_us ? mark_hidden(repo, ino) : delete_hidden(repo, ino, m->path, &why);
		if (r == ARTIFACT_REFUSED)
			r = stay(repo, m, &why);
		else /* It is gone from the listing, whatever became of the rest. */
			tell_removed(repo, ino, m, &facts);
	}
	if (r == 0 && needs_packs)
		artifact_left(repo);
	facts_finish(&facts);
	if (r < 0 && err)
		*err = why;
	return r;
}

int artifact_forget(struct repository *repo, uint64_t ino, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	struct facts facts;
	int r = catalog_manifest(repo->catalog, ino, &m);

	if (r < 0)
		return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
	facts_gather(repo, ino, &m, &facts);
	r = catalog_entomb_artifact(repo->catalog, ino, NULL, err);
	if (r == 0)
		r = catalog_drop_artifact(repo->catalog, ino, err);
	if (r == 0)
		tell_removed(repo, ino, &m, &facts);
	facts_finish(&facts);
	return r;
}

/* Before it is hidden: what is locked would be hidden, and stored on. */
static int check_lock_of(struct repository *repo, uint64_t ino, const char *path, struct error *err)
{
	_cleanup(store) struct store *store = NULL;
	int r = repository_store_of(repo, path, &store, err);

	return r < 0 ? r : artifact_check_unlocked(repo, store, NULL, ino, path, err);
}

/* What can never be deleted by this process is not hidden either: a reader, or one that has lost the right to write. While that
 * is only not sure, a removal is as one of a store that is away. */
static int check_removal_fence(const struct repository *repo, const char *path, struct error *err)
{
	struct error why = {0};
	int64_t left_ms;
	int r = repo->fence ? repo->fence->check(repo->fence->arg, &left_ms, &why) : 0;

	if (r == 0 || why.retry)
		return 0;
	error_prefix(&why, "%s stays", path);
	if (err)
		*err = why;
	return r;
}

/* 0: nobody else removes it until artifact_end_claim(). */
static int claim_to_remove(struct repository *repo, uint64_t ino, struct manifest *ret, struct error *err)
{
	int r = catalog_manifest(repo->catalog, ino, ret);

	if (r == -ENOENT)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "there is no such backup");
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = check_removal_fence(repo, ret->path, err);
	if (r < 0)
		return r;
	r = artifact_holds_learn(repo, ino, ret->path, err);
	if (r < 0)
		error_prefix(err, "%s stays, since it cannot be found out who holds it", ret->path);
	if (r == 0)
		r = check_lock_of(repo, ino, ret->path, err);
	return r == 0 ? artifact_claim_removal(repo, ino, ret->path, err) : r;
}

int artifact_check_removal(struct repository *repo, uint64_t ino, const struct catalog_removal *how,
                           struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	int r = claim_to_remove(repo, ino, &m, err);

	if (r < 0)
		return r;
	r = catalog_check_removal(repo->catalog, ino, how, err);
	artifact_end_claim(repo, ino);
	return r;
}

int artifact_remove(struct repository *repo, uint64_t ino, const struct catalog_removal *how,
                    struct error *err)
{
	static const struct catalog_removal at_once = {.min_keep = 1};
	_cleanup(manifest) struct manifest m = {0};
	int r = claim_to_remove(repo, ino, &m, err);

	if (r < 0)
		return r;
	r = hide_and_delete(repo, ino, &m, how ? how : &at_once, err);
	artifact_end_claim(repo, ino);
	return r;
}

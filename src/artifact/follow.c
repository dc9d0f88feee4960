// SPDX-License-Identifier: Apache-2.0
/*
 * What another keepfs does, in this one's catalog: of a reader, which has no other source, and of a writer that has taken the lease of one that is gone. The store
 * is only read here.
 */
#include "artifact_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/artifact/sealed.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/rewraps.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/chain.h>

char *artifact_path_of_mark(const char *key)
{
	size_t len = strlen(key), head = strlen("trash/"), tail = strlen(".json");

	if (!str_starts(key, "trash/") || len <= head + tail || !str_equal(key + len - tail, ".json"))
		return NULL;
	return mem_printf("%.*s", (int)(len - head - tail), key + head);
}

/* One that is there already, or whose removal was seen: what is new takes its place. */
static int drop_old_row(struct repository *repo, const struct manifest *m, struct error *err)
{
	uint64_t ino = ino_of_artifact(m->path);
	struct catalog_tomb tomb;
	int r = catalog_tomb(repo->catalog, ino, &tomb);

	if (r == 0)
		return catalog_drop_artifact(repo->catalog, ino, err);
	if (r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	return 0;
}

static bool is_the_same(struct repository *repo, const struct manifest *m)
{
	_cleanup(manifest) struct manifest known = {0};

	return catalog_manifest(repo->catalog, ino_of_artifact(m->path), &known) == 0 &&
	       known.run_id == m->run_id && known.finished_at_us == m->finished_at_us &&
	       str_equal(known.sha256, m->sha256);
}

int artifact_take_objects(struct repository *repo, const struct manifest *m, struct error *err)
{
	int r;

	if (!is_the_same(repo, m))
		return ARTIFACT_IS_ANOTHER;
	if (artifact_is_as_listed(repo, m))
		return 0;
	r = catalog_relist_artifact(repo->catalog, m, err);
	if (r < 0)
		return r;
	artifact_tell_rewrapped(repo, m);
	return ARTIFACT_HAS_CHANGED;
}

static int list_made(struct repository *repo, const struct manifest *m, struct error *err)
{
	int r;

	r = artifact_take_objects(repo, m, err);
	if (r != ARTIFACT_IS_ANOTHER)
		return r < 0 ? r : 0;
	r = artifact_forget(repo, ino_of_artifact(m->path), err);
	if (r == 0)
		r = drop_old_row(repo, m, err);
	if (r == 0)
		r = catalog_adopt_artifact(repo->catalog, m, NULL, err);
	if (r == 0)
		r = catalog_raise_run_number(repo->catalog, m->run_id, err);
	if (r == 0)
		artifact_tell_listed(repo, m);
	/* Another one has its place: whoever compares all tells of it. */
	return r > 0 || r == -EEXIST ? 0 : r;
}

/* It may be signed with a key that took the place of the one that is known here. */
static int fetch_made(struct repository *repo, const struct store_call *call, const char *path,
                      struct manifest *ret, struct store_object *ret_object, struct error *err)
{
	const struct chain_at at = {.id = CATALOG_MAIN_STORE, .store = repository_store(repo), .call = call};
	int r = artifact_fetch_object(repo, at.store, call, path, ret, ret_object, err), learnt;

	if (r != ARTIFACT_UNUSABLE || !repo->chain)
		return r;
	learnt = chain_learn(repo->chain, &at, NULL, err);
	return learnt < 0 ? learnt : artifact_fetch_object(repo, at.store, call, path, ret, ret_object, err);
}

static int list_fetched(struct repository *repo, const struct manifest *m, const struct store_object *object,
                        struct error *err)
{
	struct catalog_manifest_mark mark = {.ino = ino_of_artifact(m->path)};
	int r = list_made(repo, m, err);

	artifact_mark_object(object, &mark);
	return r < 0 ? r : catalog_note_manifests(repo->catalog, &mark, 1, err);
}

int artifact_follow_made(struct repository *repo, const char *path, struct cancel *cancel, struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	_cleanup(manifest) struct manifest m = {0};
	struct store_object object;
	int r = fetch_made(repo, &call, path, &m, &object, err);

	if (r == 0)
		sealed_take_facts(repo, repository_store(repo), &call, &m);
	/* Removed since, or in another store: the comparison of all finds it there. */
	if (r == -ENOENT)
		return 0;
	/* Whoever compares all tells of it. */
	if (r == ARTIFACT_UNUSABLE || r == -ENOTSUP)
		return 0;
	return r < 0 ? r : list_fetched(repo, &m, &object, err);
}

int artifact_follow_removed(struct repository *repo, const char *path, struct error *err)
{
	return artifact_forget(repo, ino_of_artifact(path), err);
}

int artifact_follow_trashed(struct repository *repo, struct store *store, const struct store_call *call,
                            const char *path, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	struct artifact_trash trash;
	int r = catalog_manifest(repo->catalog, ino_of_artifact(path), &m);

	if (r < 0)
		return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
	r = artifact_trash_read(store, call, &m, clock_now_us(), &trash, err);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : artifact_follow_removed(repo, path, err);
}

static bool is_among(const struct catalog_hold *hold, const struct artifact_holds *holds)
{
	for (size_t i = 0; i < holds->count; i++)
		if (str_equal(holds->items[i].name, hold->name))
			return true;
	return false;
}

static int take_holds(struct repository *repo, uint64_t ino, const struct artifact_holds *holds,
                      struct error *err)
{
	_cleanup(free) struct catalog_hold *old = mem_array(CATALOG_HOLDS_MAX, sizeof(*old));
	ssize_t count = catalog_holds(repo->catalog, ino, old, CATALOG_HOLDS_MAX);
	int r = 0;

	for (ssize_t i = 0; r == 0 && i < count; i++)
		if (!is_among(&old[i], holds))
			r = catalog_drop_hold(repo->catalog, ino, old[i].name, err);
	for (size_t i = 0; r == 0 && i < holds->count; i++)
		r = catalog_set_hold(repo->catalog, ino, &holds->items[i], err);
	return count < 0 ? error_system(err, (int)-count, "the catalog cannot be read") : r;
}

int artifact_follow_marked(struct repository *repo, const char *path, struct cancel *cancel,
                           struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	struct artifact_holds holds = {0};
	_cleanup(free) char *known = catalog_path(repo->catalog, ino_of_artifact(path));
	int r;

	if (!known)
		return 0;
	r = artifact_holds_read(repository_store(repo), &call, path, &holds, err);
	if (r == 0 || r == -ENOENT)
		r = take_holds(repo, ino_of_artifact(path), &holds, err);
	free(holds.items);
	return r;
}

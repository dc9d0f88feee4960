// SPDX-License-Identifier: Apache-2.0
/* Which store an artifact is in. */
#include "artifact_private.h"

#include <errno.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/chain.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/codec/name.h>
#include <keepfs/conf.h>
#include <keepfs/stores.h>

int repository_open_store(const struct repository *repo, uint64_t id, struct store **ret, struct error *err)
{
	if (repo->stores)
		return stores_open(repo->stores, id, ret, err);
	if (id != CATALOG_MAIN_STORE || !repo->store)
		return error_set(err, ERROR_USAGE, EINVAL, "this process has no other store than its own");
	*ret = store_handle_new(repo->store, NULL, NULL, NULL);
	return 0;
}

int artifact_place(const struct repository *repo, const char *path, struct artifact_place *ret,
                   struct error *err)
{
	struct artifact_place place = {0};
	int r = catalog_store_of(repo->catalog, path, &place.id);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = repository_open_store(repo, place.id, &place.store, err);
	if (r == 0)
		*ret = place;
	return r;
}

int repository_store_of(const struct repository *repo, const char *path, struct store **ret,
                        struct error *err)
{
	struct artifact_place place;
	int r = artifact_place(repo, path, &place, err);

	if (r == 0)
		*ret = place.store;
	return r;
}

int repository_store_of_ino(const struct repository *repo, uint64_t ino, struct store **ret,
                            struct error *err)
{
	uint64_t id;
	int r = catalog_store_of_ino(repo->catalog, ino, &id);

	return r < 0 ? error_system(err, -r, "the catalog cannot be read")
	             : repository_open_store(repo, id, ret, err);
}

int artifact_learn_place(const struct repository *repo, uint64_t id, const struct manifest *m,
                         struct error *err)
{
	return m->is_proven ? catalog_chain_learn(repo->catalog, id, &m->chain, NULL, 0, err) : 0;
}

int artifact_end_links(const struct repository *repo, const struct artifact_place *place,
                       const struct store_call *call, const char *path, enum link_type how, int64_t run_id,
                       struct error *err)
{
	const struct chain_at at = {.id = place->id, .store = place->store, .call = call};
	int r = chain_end(repo->chain, &at, path, how, run_id, err);

	if (r < 0)
		error_prefix(err, "the chain of signatures could not be told what became of %s", path);
	return r;
}

bool artifact_is_broken(const struct artifact_broken *b, uint64_t id)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->ids[i] == id)
			return true;
	return false;
}

void artifact_note_broken(struct artifact_broken *b, uint64_t id)
{
	if (id == CATALOG_MAIN_STORE || artifact_is_broken(b, id))
		return;
	b->ids = mem_resize(b->ids, b->count + 1, sizeof(*b->ids));
	b->ids[b->count++] = id;
}

/* So many more than are known may have been made since an older catalog that was put back. */
#define RUNS_AHEAD 1000000

/* One that leads to another object of the same bucket would have that read, or a link to it made, as if it were the tenant's. */
static bool has_own_objects_only(const struct manifest *m)
{
	_cleanup(free) char *prefix = artifact_prefix(m->path);

	for (size_t i = 0; i < m->object_count; i++)
		if (!str_starts(m->objects[i].key, prefix) && !manifest_is_beside(m->objects[i].key, m->path))
			return false;
	return true;
}

/* Its target is the tenant whose directory it is in: who may see its run is decided by that. */
static bool is_of_own_tenant(const struct manifest *m)
{
	_cleanup(free) char *directory = name_from_database(str_or_empty(m->target));
	_cleanup(free) char *prefix = mem_printf(CONF_EXPORTS "/%s/", directory);

	return str_starts(m->path, prefix);
}

bool artifact_is_credible(const struct repository *repo, const struct catalog_store *at,
                          const struct manifest *m)
{
	int64_t newest = 0;

	return repo->stores && stores_may_have_now(repo->stores, at, m->path, m->job) &&
	       is_of_own_tenant(m) && has_own_objects_only(m) && m->run_id > 0 &&
	       catalog_newest_run(repo->catalog, &newest) == 0 && m->run_id <= newest + RUNS_AHEAD;
}

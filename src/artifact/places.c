// SPDX-License-Identifier: Apache-2.0
/* Which store an artifact is in. */
#include "artifact_private.h"

#include <errno.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/stores.h>
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

bool artifact_is_credible(const struct repository *repo, const struct catalog_store *at,
                          const struct manifest *m)
{
	int64_t newest = 0;

	return stores_may_have(at, m->path, m->job) && m->run_id > 0 &&
	       catalog_newest_run(repo->catalog, &newest) == 0 && m->run_id <= newest + RUNS_AHEAD;
}

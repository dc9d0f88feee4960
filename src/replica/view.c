// SPDX-License-Identifier: Apache-2.0
/*
 * A copy that is read by itself, as if it were the only one: a repository that has this one artifact, in the further store. What of it others read from the catalog comes from the manifest
 * that lies there, in a catalog that lives as long as the view. So what was removed here, or is damaged here, is read as everything else is, and nothing that is found of it gets into the catalog of
 * the first store by mistake. The packs that it needs are listed in it, too.
 */
#include "replica_private.h"

#include <keepfs/artifact/stored.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/stores.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct use_of_copy {
	const char *path; /* of the user */
	uint64_t store;
	bool changes; /* it is being made, or removed; else somebody reads it by itself */
	struct use_of_copy *next;
};

static pthread_mutex_t uses_lock = PTHREAD_MUTEX_INITIALIZER;
static struct use_of_copy *uses; /* uses_lock */

struct replica_view {
	struct repository repository; /* of this one artifact */
	const struct repository *real;
	struct store *store;
	struct catalog *catalog;
	char *directory; /* of that catalog; NULL: not made */
	char *path;
	uint64_t number; /* of the store */
	bool is_entered;
};

/* With the lock. NULL: nobody does that with it. */
static struct use_of_copy **find_use_of_copy(const char *path, uint64_t store, bool changes)
{
	struct use_of_copy **at = &uses;

	while (*at && ((*at)->store != store || (*at)->changes != changes || !str_equal((*at)->path, path)))
		at = &(*at)->next;
	return at;
}

/* Several may read it; who changes it does so alone. */
static bool begin_use_of_copy(const char *path, uint64_t store, bool changes)
{
	struct use_of_copy *use = mem_alloc(sizeof(*use));
	bool is_free;

	*use = (struct use_of_copy){.path = path, .store = store, .changes = changes};
	pthread_mutex_lock(&uses_lock);
	is_free = !*find_use_of_copy(path, store, !changes);
	if (is_free) {
		use->next = uses;
		uses = use;
	}
	pthread_mutex_unlock(&uses_lock);
	if (!is_free)
		free(use);
	return is_free;
}

static void end_use_of_copy(const char *path, uint64_t store, bool changes)
{
	struct use_of_copy **at, *ended;

	pthread_mutex_lock(&uses_lock);
	at = &uses;
	/* The very one, since its path is its user's. */
	while ((*at)->path != path || (*at)->store != store || (*at)->changes != changes)
		at = &(*at)->next;
	ended = *at;
	*at = ended->next;
	pthread_mutex_unlock(&uses_lock);
	free(ended);
}

bool replica_begin_change(const char *path, uint64_t store)
{
	return begin_use_of_copy(path, store, true);
}

void replica_end_change(const char *path, uint64_t store)
{
	end_use_of_copy(path, store, true);
}

static int check_viewed_row(const struct repository *repo, const char *path, uint64_t store,
                            struct catalog_replica *ret, struct error *err)
{
	int r = catalog_replica(repo->catalog, path, store, ret);
	_cleanup(free) char *name = NULL;

	if (r == 0 && (ret->state == REPLICA_WHOLE || ret->state == REPLICA_REMOVED))
		return 0;
	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	name = stores_name(repo->stores, store);
	if (r == -ENOENT)
		return error_set(err, ERROR_NOT_FOUND, ENOENT,
		                 "%s has no copy of %s: 'keepfs replicate --list' shows what it has", name,
		                 path);
	return error_set(
	        err, ERROR_NOT_FOUND, ENOENT,
	        "the copy of %s in %s cannot be read by itself, since it is %s%s%s: 'keepfs replicate --list' shows those that are whole",
	        path, name, replica_state_name(ret->state), ret->error[0] ? ": " : "", ret->error);
}

static int fetch_viewed(const struct replica_view *v, const struct catalog_replica *row,
                        const struct store_call *call, struct manifest *ret, struct error *err)
{
	int r = replica_check_manifest(v->store, call, row, err);

	if (r == 0)
		r = artifact_fetch(v->real, v->store, call, v->path, ret, err);
	if (r == ARTIFACT_UNUSABLE)
		r = -EBADMSG;
	if (r == -ENOENT)
		error_set(err, ERROR_NOT_FOUND, ENOENT, "%s: there is no manifest of %s any more",
		          v->store->name, v->path);
	if (r == -EBADMSG || r == -ENOENT)
		replica_found_wrong(v->real, v->path, v->number,
		                    err ? err->message : "its manifest is not right");
	return r;
}

/* The order of steps of a rebuild: what its manifest says is all that is known. */
static int list_viewed(struct replica_view *v, const char *state_dir, const struct manifest *m,
                       struct error *err)
{
	char *directory = mem_printf("%s/" REPLICA_VIEW_PREFIX "XXXXXX", state_dir);
	int r;

	if (!mkdtemp(directory)) {
		r = error_system(err, errno, "a directory cannot be made in %s", state_dir);
		free(directory);
		return r;
	}
	v->directory = directory;
	r = catalog_open(directory, &v->catalog, err);
	return r < 0 ? r : catalog_add_artifact(v->catalog, m, err);
}

struct viewed_packs {
	struct replica_view *v;
	const struct store_call *call;
};

/* One that cannot be had is missing there, and told by whoever needs it. */
static int list_viewed_pack(void *arg, const char *pack, struct error *err)
{
	struct viewed_packs *p = arg;
	struct replica_view *v = p->v;
	_cleanup(manifest) struct manifest m = {0};
	struct error why = {0};
	int r = replica_fetch(v->real, v->store, v->number, p->call, pack, &m, &why);

	if (r == -ENOENT || r == ARTIFACT_UNUSABLE) {
		replica_found_wrong(v->real, pack, v->number,
		                    why.message[0] ? why.message : "there is no manifest of it any more");
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r < 0 ? r : catalog_add_artifact(v->catalog, &m, err);
}

static int open_view(struct replica_view *v, const struct replica_view_options *o, struct error *err)
{
	const struct store_call call = {.cancel = o->cancel};
	_cleanup(manifest) struct manifest m = {0};
	struct catalog_replica row;
	int r = check_viewed_row(o->repository, v->path, v->number, &row, err);

	if (r == 0)
		r = repository_open_store(o->repository, v->number, &v->store, err);
	if (r == 0)
		r = fetch_viewed(v, &row, &call, &m, err);
	if (r == 0)
		r = list_viewed(v, o->state_dir, &m, err);
	if (r == 0 && m.needs)
		r = replica_each_pack_of_copy(v->real->catalog, v->path, v->number, list_viewed_pack,
		                              &(struct viewed_packs){v, &call}, err);
	if (r < 0)
		return r;
	v->repository = (struct repository){.store = v->store,
	                                    .catalog = v->catalog,
	                                    .chain = o->repository->chain,
	                                    .keyring = o->repository->keyring};
	return 0;
}

/* Before it is looked at: from here on it stays as it is. */
static int enter_view(struct replica_view *v, struct error *err)
{
	_cleanup(free) char *name = NULL;

	v->is_entered = begin_use_of_copy(v->path, v->number, false);
	if (v->is_entered)
		return 0;
	name = stores_name(v->real->stores, v->number);
	return error_set(err, ERROR_CONFLICT, EBUSY,
	                 "the copy of %s in %s is being made or removed at this moment: try again later",
	                 v->path, name);
}

int replica_view_new(const struct replica_view_options *o, struct replica_view **ret, struct error *err)
{
	_cleanup(replica_view) struct replica_view *v = mem_alloc(sizeof(*v));
	int r;

	v->real = o->repository;
	v->path = mem_strdup(o->path);
	v->number = o->store;
	r = enter_view(v, err);
	if (r == 0)
		r = open_view(v, o, err);
	if (r == 0)
		*ret = take_ptr(&v);
	return r;
}

struct repository *replica_view_repository(struct replica_view *v)
{
	return &v->repository;
}

void replica_view_found_wrong(const struct replica_view *v, const char *pack, const char *why)
{
	replica_found_wrong(v->real, pack ? pack : v->path, v->number, why);
}

void replica_view_found_right(const struct replica_view *v, const char *pack)
{
	const char *path = pack ? pack : v->path;
	struct catalog_replica row;
	struct error err = {0};

	if (catalog_replica(v->real->catalog, path, v->number, &row) < 0 ||
	    (row.state != REPLICA_WHOLE && row.state != REPLICA_REMOVED))
		return;
	row.verified_at_us = clock_now_us();
	row.error[0] = '\0';
	if (catalog_set_replica(v->real->catalog, &row, &err) < 0)
		log_warning("that the copy of %s is right could not be noted: %s", path, err.message);
}

void replica_view_clear(const char *directory)
{
	static const char *const files[] = {"catalog.db", "catalog.db-wal", "catalog.db-shm"};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup(free) char *file = mem_printf("%s/%s", directory, files[i]);

		unlink(file);
	}
	if (rmdir(directory) < 0 && errno != ENOENT)
		log_warning("%s cannot be removed: %m", directory);
}

struct replica_view *replica_view_free(struct replica_view *v)
{
	if (!v)
		return NULL;
	catalog_free(v->catalog);
	if (v->directory)
		replica_view_clear(v->directory);
	store_free(v->store);
	if (v->is_entered)
		end_use_of_copy(v->path, v->number, false);
	free(v->directory);
	free(v->path);
	free(v);
	return NULL;
}

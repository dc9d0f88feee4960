// SPDX-License-Identifier: Apache-2.0
/* Reading an artifact that its own store does not give: from another store that has it whole, as the catalog says. */
#include "artifact_private.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/artifact/stored.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/stores.h>

struct spared { /* of one handle */
	const struct repository *repo;
	char *path;
	atomic_uint told; /* bit 0: that it did not answer; bit 1: that it is damaged */
};

/* The store that has replica number @number; -ENOENT: there are no more. */
static int find_spare(const struct spared *s, unsigned number, uint64_t *ret)
{
	uint64_t store = 0;
	int r = 0;

	for (unsigned i = 0; r == 0 && i <= number; i++)
		r = catalog_whole_replica(s->repo->catalog, s->path, store, &store);
	if (r == 0)
		*ret = store;
	return r;
}

static int open_spare(void *arg, unsigned number, struct store **ret_store, struct error *err)
{
	const struct spared *s = arg;
	uint64_t store;
	int r = find_spare(s, number, &store);

	if (r == -ENOENT)
		return r;
	if (r == 0)
		r = repository_open_store(s->repo, store, ret_store, err);
	/* There may be one behind it. */
	return r == -ENOENT ? -EIO : r;
}

static void note_spared(const struct spared *s, uint64_t store, bool damaged, const struct error *why)
{
	struct catalog_replica_read read = {.store = store, .last_us = clock_now_us(), .is_damaged = damaged};
	struct error err = {0};

	str_copy(read.path, sizeof(read.path), s->path);
	str_cut(read.why, sizeof(read.why), why->message);
	if (catalog_note_replica_read(s->repo->catalog, &read, &err) < 0)
		log_warning("that %s was read from a replica could not be noted: %s", s->path, err.message);
}

static void tell_spared(void *arg, unsigned number, const char *key, bool damaged, const struct error *why)
{
	struct spared *s = arg;
	unsigned bit = damaged ? 2 : 1;
	_cleanup(free) char *name = NULL;
	uint64_t store = 0;

	if (atomic_fetch_or(&s->told, bit) & bit)
		return;
	(void)find_spare(s, number, &store);
	name = stores_name(s->repo->stores, store);
	log_warning("%s is read from its replica in %s: %s", s->path, name,
	            *why->message ? why->message : "its own store failed a moment ago");
	note_spared(s, store, damaged, why);
	for (struct artifact_events *e = s->repo->events; e; e = e->next)
		if (e->read_elsewhere)
			e->read_elsewhere(e->arg, &(struct artifact_spared){.path = s->path,
			                                                    .store = name,
			                                                    .damaged = damaged,
			                                                    .why = why->message});
}

static void free_spared(void *arg)
{
	struct spared *s = arg;

	free(s->path);
	free(s);
}

/* Of one of its files, too. Heap; NULL: it has no replica, and so no spare. */
static char *path_of_spared(const struct repository *repo, uint64_t ino)
{
	_cleanup(free) char *path = catalog_replicated_path(repo->catalog, ino);
	uint64_t store;

	if (!repo->stores || !path || catalog_whole_replica(repo->catalog, path, 0, &store) < 0)
		return NULL;
	return take_ptr(&path);
}

int repository_reading_store_of_ino(const struct repository *repo, uint64_t ino, struct store **ret,
                                    struct error *err)
{
	struct store *first = NULL;
	struct spared *s;
	char *path;
	int r = repository_store_of_ino(repo, ino, &first, err);

	if (r < 0)
		return r;
	path = path_of_spared(repo, ino);
	if (!path) {
		*ret = first;
		return 0;
	}
	s = mem_alloc(sizeof(*s));
	s->repo = repo;
	s->path = path;
	*ret = store_spare_new(
	        first, &(struct store_spares){
	                       .open = open_spare, .used = tell_spared, .free = free_spared, .arg = s});
	return 0;
}

static int read_manifest_in(const struct repository *repo, uint64_t store, const char *path,
                            struct cancel *cancel, struct manifest *ret)
{
	const struct store_call call = {.cancel = cancel};
	_cleanup(store) struct store *other = NULL;
	struct error ignored = {0};
	int r = repository_open_store(repo, store, &other, &ignored);

	return r < 0 ? r : artifact_fetch(repo, other, &call, path, ret, &ignored);
}

int artifact_read_manifest_anywhere(struct repository *repo, const char *path, struct cancel *cancel,
                                    struct manifest *ret, struct error *err)
{
	uint64_t store = 0;
	int r = artifact_read_manifest(repo, path, cancel, ret, err);

	if (r >= 0 || r == -ECANCELED)
		return r;
	while (!cancel_is_set(cancel) && catalog_whole_replica(repo->catalog, path, store, &store) == 0)
		if (read_manifest_in(repo, store, path, cancel, ret) == 0)
			return 0;
	return r;
}

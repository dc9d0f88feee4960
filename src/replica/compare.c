// SPDX-License-Identifier: Apache-2.0
/*
 * The names in a further store, held against what the catalog says of it: a replica that has vanished is made again, and what is there and
 * nobody knows of, because the catalog was lost or is younger, is known from then on. Names are compared here; bytes are by reading them,
 * slowly, one replica after the other.
 */
#include "replica_private.h"

#include <keepfs/artifact/stored.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/copy_tree.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define PAGE_NAMES 1000
#define PREFIX     "manifests/"

/* How long one that is wrong stays so before it is read once more. */
#define READ_WRONG_AGAIN_US (INT64_C(7) * 86400 * US_PER_S)

struct comparing {
	const struct replica_order *order;
	struct store *store;
	struct store_call call;
	uint64_t *inos; /* of all manifests that are there */
	size_t count, cap;
	uint64_t found, lost, unusable;
};

static void remember_there(struct comparing *c, uint64_t ino)
{
	if (c->count == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 1024;
		c->inos = mem_resize(c->inos, c->cap, sizeof(*c->inos));
	}
	c->inos[c->count++] = ino;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool was_listed_there(const struct comparing *c, uint64_t ino)
{
	return c->count > 0 && bsearch(&ino, c->inos, c->count, sizeof(ino), by_number);
}

/* A reader makes nothing, so he takes what is there for what it says that it is; who reads it finds out whether its bytes are right. */
static bool is_listed_here(const struct comparing *c, const char *path)
{
	struct catalog_entry entry;

	return catalog_entry_by_ino(c->order->repository->catalog, ino_of_artifact(path), &entry) == 0;
}

/* What lies there and the catalog has no row of. Of one that is listed, making it looks at all of it; else its manifest says what it is, and reading
 * it later whether it is right. */
static int learn_unknown(struct comparing *c, const char *path, struct error *err)
{
	const struct replica_order *o = c->order;
	struct catalog_replica row = {
	        .store = o->store, .state = REPLICA_REMOVED, .since_us = clock_now_us(), .verified_at_us = 1};
	_cleanup(manifest) struct manifest m = {0};
	bool is_listed = is_listed_here(c, path);
	struct error why = {0};
	int r;

	if (is_listed && !o->reads_only)
		return 0;
	if (is_listed)
		row.state = REPLICA_WHOLE;
	r = artifact_fetch(o->repository, c->store, &c->call, path, &m, &why);
	if (r == -ENOENT || r == ARTIFACT_UNUSABLE || r == -ENOTSUP) {
		c->unusable += r != -ENOENT;
		if (r != -ENOENT)
			log_warning("%s in %s cannot be used: %s", path, o->named->name, why.message);
		return 0;
	}
	if (r < 0) {
		if (err)
			*err = why;
		return r;
	}
	replica_describe(&m, &row);
	row.done_bytes = row.stored_bytes;
	c->found++;
	r = replica_note(o, &row, err);
	if (r == 0)
		replica_show(o, &m, true);
	return r;
}

/* It is there, and copies/ does not show it yet: an earlier keepfs has made it, or the catalog came from a copy. */
static int show_known(struct comparing *c, const struct catalog_replica *row, struct error *err)
{
	const struct replica_order *o = c->order;
	_cleanup(manifest) struct manifest m = {0};
	int r = catalog_has_copy_tree(o->repository->catalog, o->store, row->path);

	if (r != 0)
		return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
	r = artifact_fetch(o->repository, c->store, &c->call, row->path, &m, err);
	if (r == 0)
		replica_show(o, &m, true);
	/* What is wrong with it is found by reading it. */
	return r == -ENOENT || r == ARTIFACT_UNUSABLE || r == -ENOTSUP ? 0 : r;
}

static int see_manifest(struct comparing *c, const char *key, struct error *err)
{
	_cleanup(free) char *path = manifest_path_of_key(key);
	struct catalog_replica row;
	int r;

	if (!path || strlen(path) >= REPLICA_PATH_BYTES)
		return 0;
	remember_there(c, ino_of_artifact(path));
	r = catalog_replica(c->order->repository->catalog, path, c->order->store, &row);
	/* What a reader has found to be wrong the writer may have made again. */
	if (r == -ENOENT ||
	    (r == 0 && c->order->reads_only && row.state != REPLICA_WHOLE && row.state != REPLICA_REMOVED))
		return learn_unknown(c, path, err);
	return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
}

static int list_there(struct comparing *c, struct error *err)
{
	char after[STORE_KEY_BYTES] = "";
	bool more = true;
	int r = 0;

	while (r == 0 && more) {
		_cleanup(free) struct store_object *page = NULL;
		size_t count = 0;

		r = store_list(c->store, &c->call, PREFIX, after[0] ? after : NULL, PAGE_NAMES, &page, &count,
		               &more, err);
		for (size_t i = 0; r == 0 && i < count; i++)
			r = see_manifest(c, page[i].key, err);
		if (r == 0 && count > 0)
			str_copy(after, sizeof(after), page[count - 1].key);
		more = more && count > 0;
	}
	return r;
}

/* It was not in the listing: it is asked for, since it may have come meanwhile. */
static int look_for_lost(void *arg, const struct catalog_replica *known, struct error *err)
{
	struct comparing *c = arg;
	_cleanup(free) char *key = NULL;
	struct catalog_replica row = *known;
	struct store_object object;
	int r;

	if (row.state != REPLICA_WHOLE && row.state != REPLICA_REMOVED)
		return 0;
	if (was_listed_there(c, row.ino))
		return show_known(c, &row, err);
	key = manifest_key(row.path);
	r = store_head(c->store, &c->call, key, &object, err);
	if (r != -ENOENT)
		return r;
	c->lost++;
	log_warning("the copy of %s in %s is not there any more%s", row.path, c->order->named->name,
	            row.is_listed && !c->order->reads_only ? ": it is made again" : "");
	row.state = REPLICA_LOST;
	if (!row.is_listed || c->order->reads_only) {
		replica_pack_is_not_right(c->order->repository, &row);
		return catalog_forget_replica(c->order->repository->catalog, row.path, row.store, err);
	}
	row.since_us = clock_now_us();
	row.done_bytes = 0;
	str_copy(row.error, sizeof(row.error), "it was there, and was deleted by somebody else");
	return replica_note(c->order, &row, err);
}

/* One that is nobody's here any more was found to be wrong by whoever read it, which may have been a bad day of the store: there may be no other, so it is read once more now and then. */
static int look_at_wrong_removed(struct comparing *c, struct catalog_replica *row, struct error *err)
{
	if (!was_listed_there(c, row->ino))
		return catalog_forget_replica(c->order->repository->catalog, row->path, row->store, err);
	if (row->since_us + READ_WRONG_AGAIN_US > clock_now_us())
		return 0;
	row->state = REPLICA_REMOVED;
	row->since_us = clock_now_us();
	row->verified_at_us = 1;
	return replica_note(c->order, row, err);
}

/* One that was found to be another's may have gone meanwhile. */
static int look_at_wrong(void *arg, const struct catalog_replica *known, struct error *err)
{
	struct comparing *c = arg;
	struct catalog_replica row = *known;

	if (row.state != REPLICA_WRONG)
		return 0;
	if (!row.is_listed)
		return look_at_wrong_removed(c, &row, err);
	if (was_listed_there(c, row.ino))
		return 0;
	row.state = REPLICA_WANTED;
	row.since_us = clock_now_us();
	row.next_try_us = 0;
	return replica_note(c->order, &row, err);
}

int replica_compare(const struct replica_order *o, struct error *err)
{
	struct comparing c = {.order = o, .call = {.cancel = o->cancel}};
	_cleanup(store) struct store *store = NULL;
	struct catalog *catalog = o->repository->catalog;
	int r = repository_open_store(o->repository, o->store, &store, err);

	c.store = store;
	if (r == 0)
		r = list_there(&c, err);
	if (c.count > 0)
		qsort(c.inos, c.count, sizeof(*c.inos), by_number);
	if (r == 0)
		r = catalog_each_replica(catalog, NULL, o->store, look_for_lost, &c, err);
	if (r == 0 && !o->reads_only)
		r = catalog_each_replica(catalog, NULL, o->store, look_at_wrong, &c, err);
	free(c.inos);
	if (o->unsure)
		*o->unsure = r < 0 || c.unusable > 0;
	if (c.found > 0 && !o->reads_only)
		log_info("%s has copies of %" PRIu64
		         " backups that are not listed: see 'keepfs replicate --list'",
		         o->named->name, c.found);
	return r;
}

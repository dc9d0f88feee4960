// SPDX-License-Identifier: Apache-2.0
/*
 * What the store has, and the catalog does not know: all of it after a rebuild, one file after a crash between the store and the catalog. A name says nearly everything; how long a file is
 * segments say of each other, and of a small text it is read. Where this host cannot decrypt them, what they do not say stays unknown until somebody can.
 */
#include "tail.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/keyring.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIST_PAGE 1000

/* Reading has not shown it: there is nothing to decrypt it with, or it is damaged. Whoever reads it is told why. */
static bool is_unreadable(int r, const struct error *why)
{
	return r == -ENOKEY || r == -EKEYREJECTED || r == -EACCES || r == -EBADMSG ||
	       why->class == ERROR_CORRUPT;
}

static int look_into_object(struct wal_learning *l, const struct store_object *object, struct wal_sums *ret,
                            struct error *err)
{
	const struct wal_fetching f = {.store = repository_store(l->repository),
	                               .keyring = l->repository->keyring,
	                               .pool = l->pool,
	                               .cancel = l->cancel,
	                               .at_once = l->at_once,
	                               .key = object->key,
	                               .stored_bytes = object->bytes};

	return wal_fetch_sums(&f, ret, err);
}

static bool is_of_segment(const struct wal_name *name)
{
	return name->kind == WAL_NAME_SEGMENT || name->kind == WAL_NAME_PARTIAL;
}

/* The first segment that can be read says how long all are. */
static int learn_cluster(struct wal_learning *l, const struct wal_key *key, const struct wal_name *name,
                         const struct wal_sums *sums, struct error *err)
{
	struct catalog_wal_cluster cluster = {.system_id = key->system_id};
	struct wal_page_header page;
	struct error why = {0};
	int r;

	if (key->system_id == WAL_NO_CLUSTER)
		return 0;
	if (sums && is_of_segment(name) &&
	    wal_first_page_check(sums->head, sizeof(sums->head), name, NULL, &page, &why) == 0)
		cluster.segment_bytes = page.segment_bytes;
	r = catalog_wal_bind(l->repository->catalog, key->job, &cluster, err);
	return r;
}

/* @row has all but its size and its sum. */
static int learn_content(struct wal_learning *l, const struct store_object *object, const struct wal_key *key,
                         struct catalog_wal *row, struct error *err)
{
	struct catalog_wal_cluster cluster = {0};
	struct wal_name name = {0};
	struct wal_sums sums;
	struct error why = {0};
	int r = catalog_wal_cluster(l->repository->catalog, key->job, &cluster);

	(void)wal_name_parse(key->name, &name);
	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	if (is_of_segment(&name) && cluster.segment_bytes) {
		row->bytes = cluster.segment_bytes;
		return learn_cluster(l, key, &name, NULL, err);
	}
	r = look_into_object(l, object, &sums, &why);
	if (r == 0)
		r = wal_check_file(object->key, &name, sums.head, sums.bytes, &why);
	if (r == 0) {
		row->bytes = sums.bytes;
		str_copy(row->sha256, sizeof(row->sha256), sums.sha256);
		return learn_cluster(l, key, &name, &sums, err);
	}
	if (r != -ENOENT && !is_unreadable(r, &why)) {
		if (err)
			*err = why;
		return r;
	}
	log_warning("%s is in the store, and cannot be read now: %s", object->key, why.message);
	return learn_cluster(l, key, &name, NULL, err);
}

int wal_learn_object(struct wal_learning *l, const struct store_object *object, struct error *err)
{
	struct catalog_wal row = {.bytes = CATALOG_WAL_UNKNOWN, .stored_bytes = object->bytes}, known;
	struct wal_key key;
	int r;

	/* Somebody else has put it there: it is left alone. */
	if (wal_key_parse(object->key, &key) < 0)
		return 0;
	r = catalog_wal_find(l->repository->catalog, key.job, key.name, &known);
	if (r != -ENOENT)
		return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
	str_copy(row.job, sizeof(row.job), key.job);
	str_copy(row.name, sizeof(row.name), key.name);
	str_copy(row.key, sizeof(row.key), object->key);
	row.arrived_us = clock_now_us();
	r = learn_content(l, object, &key, &row, err);
	if (r == -EEXIST) {
		log_warning(
		        "%s is in the store, and of another cluster than what [cluster %s] archives: it is not listed",
		        object->key, key.job);
		return 0;
	}
	if (r == 0)
		r = catalog_wal_add(l->repository->catalog, &row, err);
	l->found += r == 0;
	return r == -EEXIST ? 0 : r;
}

/* A piece of a tail is no file of an archive, and no catalog has it. */
static bool learn_tail(const struct wal_learning *l, const struct store_object *object)
{
	struct wal_tail_piece piece;
	struct wal_tail tail;

	if (wal_tail_key_parse(object->key, &tail, &piece) < 0)
		return false;
	piece.stored_bytes = object->bytes;
	if (l->w)
		wal_tails_note(l->w, &tail, &piece);
	return true;
}

static int learn_wal_page(struct wal_learning *l, const char *prefix, char after[STORE_KEY_BYTES],
                          bool *ret_more, struct error *err)
{
	const struct store_call call = {.cancel = l->cancel};
	_cleanup(free) struct store_object *objects = NULL;
	size_t count = 0;
	int r = store_list(repository_store(l->repository), &call, prefix, after[0] ? after : NULL, LIST_PAGE,
	                   &objects, &count, ret_more, err);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = learn_tail(l, &objects[i]) ? 0 : wal_learn_object(l, &objects[i], err);
	if (r == 0 && count)
		str_copy(after, STORE_KEY_BYTES, objects[count - 1].key);
	return r;
}

int wal_learn(struct wal_learning *l, const char *prefix, struct error *err)
{
	char after[STORE_KEY_BYTES] = "";
	bool more = true;
	int r = 0;

	while (r == 0 && more)
		r = learn_wal_page(l, prefix, after, &more, err);
	return r;
}

int wal_learn_all(struct repository *repository, struct pool *pool, struct cancel *cancel,
                  uint64_t *ret_found, struct error *err)
{
	struct wal_learning l = {.repository = repository, .pool = pool, .cancel = cancel};
	struct wal_catching c = {.repository = repository, .pool = pool, .cancel = cancel};
	int r = wal_learn(&l, WAL_PREFIX, err);

	*ret_found = l.found;
	return r < 0 ? r : wal_catch_up(&c, err);
}

/* One file, without a catalog. */

/* The first object below @prefix that begins with it and ends as an object of an archive does. */
static int find_wal_object(struct store *store, const struct store_call *call, const char *prefix,
                           struct store_object *ret, struct error *err)
{
	_cleanup(free) struct store_object *objects = NULL;
	size_t count = 0;
	struct wal_key key;
	bool more;
	int r = store_list(store, call, prefix, NULL, 2, &objects, &count, &more, err);

	for (size_t i = 0; r == 0 && i < count; i++)
		if (wal_key_parse(objects[i].key, &key) == 0) {
			*ret = objects[i];
			return 0;
		}
	return r < 0 ? r : -ENOENT;
}

int wal_next_cluster(struct store *store, const struct store_call *call, const char *job, const char *after,
                     char **ret, struct error *err)
{
	_cleanup(free) char *prefix = mem_printf(WAL_PREFIX "%s/", job);
	_cleanup(free) struct store_object *objects = NULL;
	const char *end;
	size_t count = 0;
	bool more;
	int r = store_list(store, call, prefix, after, 1, &objects, &count, &more, err);

	if (r < 0)
		return r;
	if (count == 0)
		return -ENOENT;
	end = strchr(objects[0].key + strlen(prefix), '/');
	*ret = end ? mem_printf("%.*s", (int)(end + 1 - objects[0].key), objects[0].key)
	           : mem_strdup(objects[0].key);
	return 0;
}

int wal_locate(struct store *store, const struct store_call *call, const char *job, const char *name,
               struct store_object *ret, struct error *err)
{
	_cleanup(free) char *after = NULL;

	for (;;) {
		_cleanup(free) char *cluster = NULL, *prefix = NULL;
		int r = wal_next_cluster(store, call, job, after, &cluster, err);

		if (r < 0)
			return r;
		prefix = mem_printf("%s%s" WAL_SUFFIX, cluster, name);
		r = find_wal_object(store, call, prefix, ret, err);
		if (r != -ENOENT)
			return r;
		/* Behind all that is of this cluster: no name of WAL begins with '~', and each sorts before it. */
		free(after);
		after = mem_printf("%s~", cluster);
	}
}

// SPDX-License-Identifier: Apache-2.0
/* What the catalog lists, and a store has no manifest of any more. */
#include "compare_private.h"

#include <errno.h>

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/retention.h>
#include <keepfs/codec/name.h>

#define PAGE_ROWS     256
#define MISSING_ASKED 1000 /* requests in one comparison, when the store has lost very many */

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool compare_was_seen(const struct comparison *c, uint64_t ino)
{
	return bsearch(&ino, c->seen.inos, c->seen.count, sizeof(ino), compare_numbers) != NULL;
}

/* It was not in the listing, which was made a while ago: published since, or removed by somebody else. */
static int ask_for_manifest(struct comparison *c, const struct catalog_listed *row, struct error *err)
{
	_cleanup(free) char *key = manifest_key(row->path);
	struct store_object object;
	int r;

	if (!c->follows && c->counts->missing >= MISSING_ASKED)
		return 0;
	r = store_head(c->store, &c->call, key, &object, err);
	if (r != -ENOENT)
		return r;
	c->counts->missing++;
	if (c->follows)
		return artifact_follow_removed(c->repo, row->path, err);
	if (row->missing)
		return 0;
	log_warning("%s is listed, but the store has no manifest of it any more", row->path);
	return catalog_set_missing(c->repo->catalog, row->ino, true, err);
}

static int weigh_listed(struct comparison *c, const struct catalog_listed *row, struct error *err)
{
	if (!compare_was_seen(c, row->ino))
		return ask_for_manifest(c, row, err);
	return row->missing ? catalog_set_missing(c->repo->catalog, row->ino, false, err) : 0;
}

int compare_find_missing(struct comparison *c, struct error *err)
{
	_cleanup(free) struct catalog_listed *rows = mem_array(PAGE_ROWS, sizeof(*rows));
	uint64_t after = 0;
	ssize_t count;
	int r = 0;

	if (c->seen.count > 0)
		qsort(c->seen.inos, c->seen.count, sizeof(*c->seen.inos), compare_numbers);
	while (r == 0 &&
	       (count = catalog_listed_after(c->repo->catalog, c->store_id, after, rows, PAGE_ROWS)) > 0) {
		for (ssize_t i = 0; r == 0 && i < count; i++)
			r = weigh_listed(c, &rows[i], err);
		after = rows[count - 1].ino;
	}
	if (r == 0 && count < 0)
		r = error_system(err, (int)-count, "the catalog cannot be read");
	return r;
}

/* What is listed in one directory and was not seen in the store that has it. */
struct absent {
	struct comparison *c;
	uint64_t *inos;
	size_t count;
};

static void note_absent(void *arg, const struct catalog_made *made)
{
	struct absent *absent = arg;

	if (made->missing || made->store != absent->c->store_id || compare_was_seen(absent->c, made->ino) ||
	    absent->count == MISSING_ASKED)
		return;
	absent->inos = mem_resize(absent->inos, absent->count + 1, sizeof(*absent->inos));
	absent->inos[absent->count++] = made->ino;
}

static int ask_for_absent(struct comparison *c, const struct absent *absent, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < absent->count; i++) {
		_cleanup(free) char *path = catalog_path(c->repo->catalog, absent->inos[i]);
		struct catalog_listed row = {.ino = absent->inos[i]};

		if (!path) /* removed meanwhile */
			continue;
		str_copy(row.path, sizeof(row.path), path);
		r = ask_for_manifest(c, &row, err);
	}
	return r;
}

static int see_all(struct comparison *c, struct listing *l, struct error *err)
{
	const struct store_object *object;
	int r;

	while ((r = listing_peek(l, &object, err)) == 0 && object) {
		_cleanup(free) char *path = manifest_path_of_key(object->key);

		if (path)
			compare_remember_seen(c, ino_of_artifact(path));
		listing_pop(l);
	}
	if (c->seen.count > 0)
		qsort(c->seen.inos, c->seen.count, sizeof(*c->seen.inos), compare_numbers);
	return r;
}

/* Of those that are in the store of @c. */
static int find_missing_there(struct comparison *c, const char *directory, struct error *err)
{
	_cleanup(free) char *prefix = mem_printf("manifests/%s/", directory);
	_cleanup(listing) struct listing l = {.store = c->store, .call = &c->call, .prefix = prefix};
	struct absent absent = {.c = c};
	int r = see_all(c, &l, err);

	if (r == 0) {
		r = catalog_each_made(c->repo->catalog, ino_of_directory(directory), note_absent, &absent);
		if (r < 0)
			error_system(err, -r, "the catalog cannot be read");
	}
	if (r == 0)
		r = ask_for_absent(c, &absent, err);
	free(absent.inos);
	return r;
}

/* The stores that artifacts of one directory are in; few. */
struct places_of_directory {
	uint64_t *ids;
	size_t count;
};

static void note_place(void *arg, const struct catalog_made *made)
{
	struct places_of_directory *p = arg;

	for (size_t i = 0; i < p->count; i++)
		if (p->ids[i] == made->store)
			return;
	p->ids = mem_resize(p->ids, p->count + 1, sizeof(*p->ids));
	p->ids[p->count++] = made->store;
}

static int find_missing_at(struct repository *repo, uint64_t id, const char *directory,
                           struct artifact_comparison *counts, struct error *err)
{
	struct comparison c = compare_of(repo, 0, counts);
	_cleanup(store) struct store *store = NULL;
	int r = repository_open_store(repo, id, &store, err);

	c.store = store;
	c.store_id = id;
	if (r == 0)
		r = find_missing_there(&c, directory, err);
	compare_finish(&c);
	return r;
}

int artifact_find_missing(struct repository *repo, const char *directory, struct artifact_comparison *counts,
                          struct error *err)
{
	struct places_of_directory places = {0};
	int r = catalog_each_made(repo->catalog, ino_of_directory(directory), note_place, &places);

	if (r < 0)
		error_system(err, -r, "the catalog cannot be read");
	for (size_t i = 0; r == 0 && i < places.count; i++)
		r = find_missing_at(repo, places.ids[i], directory, counts, err);
	free(places.ids);
	return r;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * A manifest against the objects that are there. Both are walked in the order of their keys, so that neither
 * is searched and no request is made for an object that is in its place.
 */
#include "artifact_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <keepfs/base/mem.h>

struct expected {
	const char *name; /* borrowed: behind the last '/' of @directory */
	uint64_t bytes;
	bool is_main; /* the backup cannot be read without it */
};

struct walk {
	struct listing *l;
	const struct manifest *m;
	struct artifact_match *match;
	char *directory; /* of all its objects, with its '/' */
	struct expected *expected;
	size_t count, at;
};

char *artifact_prefix(const char *path)
{
	_cleanup(free) char *stem = manifest_stem(path);

	/* Only the name of a directory has nothing behind its stem. */
	return mem_printf("%s%s", stem, strcmp(stem, path) == 0 ? "/" : ".");
}

uint64_t artifact_object_bytes(const struct manifest *m)
{
	uint64_t sum = m->stored_bytes;

	for (size_t i = 0; i < m->file_count; i++)
		sum += m->files[i].size_bytes;
	return sum;
}

static int compare_expected(const void *a, const void *b)
{
	return strcmp(((const struct expected *)a)->name, ((const struct expected *)b)->name);
}

static void expect_all(struct walk *w)
{
	const struct manifest *m = w->m;
	const char *name = strrchr(m->path, '/') + 1;

	w->directory = m->is_directory ? mem_printf("%s/", m->path)
	                               : mem_printf("%.*s", (int)(name - m->path), m->path);
	w->expected = mem_array(m->file_count + 1, sizeof(*w->expected));
	if (!m->is_directory)
		w->expected[w->count++] = (struct expected){name, m->stored_bytes, true};
	for (size_t i = 0; i < m->file_count; i++)
		w->expected[w->count++] =
		        (struct expected){m->files[i].name, m->files[i].size_bytes, m->is_directory};
	qsort(w->expected, w->count, sizeof(*w->expected), compare_expected);
}

/* The first problem is told, unless one comes that the backup does not survive. */
static void note(struct walk *w, const struct expected *e, const char *what)
{
	struct artifact_match *match = w->match;

	if (match->problem.len > 0 && (match->broken || !e->is_main))
		return;
	str_clear(&match->problem);
	str_appendf(&match->problem, "%s%s: %s", w->directory, e->name, what);
	match->broken = e->is_main;
}

static void compare_bytes(struct walk *w, const struct expected *e, uint64_t bytes)
{
	_cleanup(free) char *what = NULL;

	if (bytes == e->bytes)
		return;
	what = mem_printf("the object has %" PRIu64 " bytes, its manifest says %" PRIu64, bytes, e->bytes);
	note(w, e, what);
}

/* Something is not where it was expected in the listing. Once the backup is known to be broken, nobody asks
 * for the rest. */
static int ask_for(struct walk *w, const struct expected *e, struct error *err)
{
	_cleanup(free) char *key = mem_printf("%s%s", w->directory, e->name);
	struct store_object object;
	int r;

	if (w->match->broken)
		return 0;
	r = store_head(w->l->store, w->l->call, key, &object, err);
	if (r == 0)
		compare_bytes(w, e, object.bytes);
	else if (r == -ENOENT)
		note(w, e, "there is a manifest, but the object is missing");
	return r == -ENOENT ? 0 : r;
}

static int see(struct walk *w, const struct store_object *object, struct error *err)
{
	const char *name = object->key + strlen(w->directory);
	int order = -1, r = 0;

	while (r == 0 && w->at < w->count && (order = strcmp(w->expected[w->at].name, name)) < 0)
		r = ask_for(w, &w->expected[w->at++], err);
	if (r == 0 && w->at < w->count && order == 0)
		compare_bytes(w, &w->expected[w->at++], object->bytes);
	else if (r == 0 && w->match->unknown)
		r = w->match->unknown(w->match->arg, object->key, err);
	return r;
}

static int walk_all(struct walk *w, const char *prefix, struct error *err)
{
	const struct store_object *object;
	int r;

	while ((r = listing_peek(w->l, &object, err)) == 0 && object && str_starts(object->key, prefix)) {
		r = see(w, object, err);
		if (r < 0)
			return r;
		listing_pop(w->l);
	}
	while (r == 0 && w->at < w->count)
		r = ask_for(w, &w->expected[w->at++], err);
	return r;
}

int artifact_match(struct listing *l, const struct manifest *m, struct artifact_match *match,
                   struct error *err)
{
	_cleanup(free) char *prefix = artifact_prefix(m->path);
	struct walk w = {.l = l, .m = m, .match = match};
	int r;

	str_clear(&match->problem);
	match->broken = false;
	expect_all(&w);
	r = walk_all(&w, prefix, err);
	free(w.directory);
	free(w.expected);
	return r;
}

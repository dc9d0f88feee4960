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
	const struct manifest_object *object; /* borrowed */
	bool is_main;                         /* the backup cannot be read without it */
};

struct walk {
	struct listing *l;
	const struct manifest *m;
	struct artifact_match *match;
	struct expected *expected;
	size_t count, at;
};

bool artifact_is_directory_path(const char *path)
{
	_cleanup(free) char *stem = manifest_stem(path);

	return strcmp(stem, path) == 0;
}

char *artifact_prefix(const char *path)
{
	_cleanup(free) char *stem = manifest_stem(path);

	return mem_printf("%s%s", stem, artifact_is_directory_path(path) ? "/" : ".");
}

static int compare_expected(const void *a, const void *b)
{
	return strcmp(((const struct expected *)a)->object->key, ((const struct expected *)b)->object->key);
}

/* Objects that lie elsewhere (beside the manifest, shared with others) are not in the listing that is walked. */
static void expect_all(struct walk *w, const char *prefix)
{
	const struct manifest *m = w->m;
	const struct manifest_object *own = manifest_own_object(m);

	w->expected = mem_array(m->object_count + 1, sizeof(*w->expected));
	for (size_t i = 0; i < m->object_count; i++) {
		const struct manifest_object *o = &m->objects[i];

		if (str_starts(o->key, prefix))
			w->expected[w->count++] = (struct expected){o, m->is_directory || o == own};
	}
	qsort(w->expected, w->count, sizeof(*w->expected), compare_expected);
}

/* The first problem is told, unless one comes that the backup does not survive. */
static void note(struct walk *w, const struct expected *e, const char *what)
{
	struct artifact_match *match = w->match;

	if (match->problem.len > 0 && (match->broken || !e->is_main))
		return;
	str_clear(&match->problem);
	str_appendf(&match->problem, "%s: %s", e->object->key, what);
	match->broken = e->is_main;
}

static void compare_bytes(struct walk *w, const struct expected *e, uint64_t bytes)
{
	_cleanup(free) char *what = NULL;

	if (bytes == e->object->stored_bytes)
		return;
	what = mem_printf("the object has %" PRIu64 " bytes, its manifest says %" PRIu64, bytes,
	                  e->object->stored_bytes);
	note(w, e, what);
}

static int find_object(struct walk *w, const char *key, uint64_t *ret_bytes, struct error *err)
{
	const struct store_object *found;
	struct store_object object;
	int r;

	if (w->match->lookup) {
		r = lookup_find(w->match->lookup, key, &found, err);
		if (r == 0)
			*ret_bytes = found->bytes;
		return r;
	}
	r = store_head(w->l->store, w->l->call, key, &object, err);
	if (r == 0)
		*ret_bytes = object.bytes;
	return r;
}

/* Something is not where it was expected in the listing. Once the backup is known to be broken, nobody asks
 * for the rest. */
static int ask_for(struct walk *w, const struct expected *e, struct error *err)
{
	uint64_t bytes;
	int r;

	if (w->match->broken)
		return 0;
	r = find_object(w, e->object->key, &bytes, err);
	if (r == 0)
		compare_bytes(w, e, bytes);
	else if (r == -ENOENT)
		note(w, e, "there is a manifest, but the object is missing");
	return r == -ENOENT ? 0 : r;
}

static int see(struct walk *w, const struct store_object *object, struct error *err)
{
	int order = -1, r = 0;

	while (r == 0 && w->at < w->count &&
	       (order = strcmp(w->expected[w->at].object->key, object->key)) < 0)
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

int artifact_check_objects(struct store *store, const struct store_call *call, const struct manifest *m,
                           struct artifact_match *match, struct error *err)
{
	_cleanup(free) char *prefix = artifact_prefix(m->path);
	_cleanup(listing) struct listing l = {.store = store, .call = call, .prefix = prefix};

	return artifact_match(&l, m, match, err);
}

int artifact_match(struct listing *l, const struct manifest *m, struct artifact_match *match,
                   struct error *err)
{
	_cleanup(free) char *prefix = artifact_prefix(m->path);
	struct walk w = {.l = l, .m = m, .match = match};
	int r;

	str_clear(&match->problem);
	match->broken = false;
	expect_all(&w, prefix);
	r = walk_all(&w, prefix, err);
	free(w.expected);
	return r;
}

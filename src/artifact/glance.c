// SPDX-License-Identifier: Apache-2.0
/*
 * Directories are found by leaps: the first key behind a place says which directory comes next, and the next leap is to
 * behind its newest backup, so that what lies between is never listed. Names that are times begin with a digit, and come
 * before those of the directories beside them.
 */
#include "artifact_private.h"

#include <keepfs/artifact/glance.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <string.h>

#define PAGE_OBJECTS 1000
#define HOUR_US      (INT64_C(3600) * US_PER_S)

struct glancing {
	struct store *store;
	const struct store_call *call;
	int64_t now_us;
	void (*each)(void *arg, const struct glance *found);
	void *arg;
	char *cursor; /* the next leap is to behind this key; NULL: from the first */
};

/* What is known of one directory while it is looked through. */
struct directory {
	char *prefix;  /* "manifests/backups/full/" */
	char *newest;  /* the path of the newest whole one; NULL: none yet */
	char *last;    /* the last key that was seen */
	bool is_named; /* not by the time */
	uint64_t named;
};

static void cleanup_directory(struct directory *d)
{
	free(d->prefix);
	free(d->newest);
	free(d->last);
}

static bool is_timed(const char *name)
{
	int64_t at_us;

	return clock_parse_name(name, &at_us) == 0;
}

/* Less than its job asks for: its name says so. */
static bool is_partial_name(const char *name)
{
	static const char *const marks[] = {".schema", ".data", ".partial"};
	const char *dot = strchr(name, '.');

	for (size_t i = 0; dot && i < ARRAY_SIZE(marks); i++) {
		const char *behind = str_starts(dot, marks[i]) ? dot + strlen(marks[i]) : NULL;

		if (behind && (*behind == '.' || !*behind))
			return true;
	}
	return false;
}

static void take_key(struct directory *d, const char *key)
{
	_cleanup(free) char *path = manifest_path_of_key(key);
	const char *name = key + strlen(d->prefix);

	mem_replace_string(&d->last, key);
	/* What lies deeper is of a directory of its own. */
	if (!path || strchr(name, '/'))
		return;
	if (!is_timed(name))
		d->named++;
	else if (!is_partial_name(strrchr(path, '/') + 1))
		mem_replace_string(&d->newest, path);
}

/* All keys of the directory behind @after that begin as a name by time does, or all when it is not that kind. */
static int list_behind(struct glancing *g, struct directory *d, const char *after, struct error *err)
{
	_cleanup(free) char *from = mem_strdup(after);
	bool more = true;
	int r = 0;

	while (r == 0 && more) {
		_cleanup(free) struct store_object *page = NULL;
		size_t count = 0;

		r = store_list(g->store, g->call, d->prefix, from, PAGE_OBJECTS, &page, &count, &more, err);
		for (size_t i = 0; r == 0 && i < count; i++) {
			const char *name = page[i].key + strlen(d->prefix);

			if (d->is_named ? strchr(name, '/') != NULL : !is_timed(name))
				return 0;
			take_key(d, page[i].key);
		}
		if (count > 0)
			mem_replace_string(&from, page[count - 1].key);
		more &= count > 0;
	}
	return r;
}

/* Further and further back, until there is a whole one. */
static int find_newest_whole(struct glancing *g, struct directory *d, struct error *err)
{
	static const int64_t spans_h[] = {4, 48, 32 * 24, 512 * 24, 0};
	int r = 0;

	for (size_t i = 0; r == 0 && !d->newest && i < ARRAY_SIZE(spans_h); i++) {
		char name[CLOCK_NAME_BYTES];
		_cleanup(free) char *after =
		        spans_h[i] ? mem_printf("%s%s", d->prefix,
		                                clock_format_name(g->now_us - spans_h[i] * HOUR_US, name))
		                   : NULL;

		r = list_behind(g, d, after, err);
	}
	return r;
}

static char *check_object(struct glancing *g, const struct manifest_object *object, int *ret,
                          struct error *err)
{
	struct store_object found;

	*ret = store_head(g->store, g->call, object->key, &found, err);
	if (*ret == -ENOENT) {
		*ret = 0;
		return mem_printf("%s is not in the store", object->key);
	}
	if (*ret == 0 && found.bytes != object->stored_bytes)
		return mem_printf("%s has %llu bytes, and not %llu", object->key,
		                  (unsigned long long)found.bytes, (unsigned long long)object->stored_bytes);
	return NULL;
}

/* Return: 0; negative: the store could not be asked. */
static int check_objects(struct glancing *g, const struct manifest *m, struct glance *found,
                         char **ret_problem, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && !*ret_problem && i < m->object_count && i < GLANCE_OBJECTS_MAX; i++) {
		/* What was adopted is in no place that this store knows of. */
		if (manifest_adopted_in(m->objects[i].key, NULL))
			continue;
		*ret_problem = check_object(g, &m->objects[i], &r, err);
		found->objects_looked_at++;
	}
	return r;
}

/* A manifest that is gone by now is one of a backup that was just removed: that counts as one that cannot be used. */
static int tell_newest(struct glancing *g, struct glance *found, struct error *err)
{
	_cleanup(manifest) struct manifest manifest = {0};
	_cleanup(free) char *key = manifest_key(found->path);
	_cleanup(free) char *json = NULL, *problem = NULL;
	struct error why = {0};
	size_t len = 0;
	int r = store_get_all(g->store, g->call, key, MANIFEST_MAX_BYTES, &json, &len, &why);

	if (r == 0)
		r = manifest_decode(key, json, len, &manifest, &why);
	if (r == 0)
		r = check_objects(g, &manifest, found, &problem, &why);
	else if (r == -ENOENT || r == -EBADMSG || r == -ENOTSUP || r == -EFBIG)
		found->problem = why.message;
	if (r < 0 && !found->problem) {
		*err = why;
		return r;
	}
	if (!found->problem) {
		found->manifest = &manifest;
		found->problem = problem;
	}
	g->each(g->arg, found);
	return 0;
}

static int glance_at(struct glancing *g, const char *first, struct error *err)
{
	const char *slash = strrchr(first, '/');
	_cleanup(directory) struct directory d = {
	        .prefix = mem_printf("%.*s", (int)(slash + 1 - first), first),
	        .last = mem_strdup(first),
	        .is_named = !is_timed(slash + 1),
	};
	_cleanup(free) char *directory = mem_printf(
	        "%.*s", (int)(strlen(d.prefix) - strlen("manifests/") - 1), d.prefix + strlen("manifests/"));
	struct glance found = {.directory = directory};
	int r;

	if (d.is_named) {
		take_key(&d, first);
		r = list_behind(g, &d, first, err);
	} else {
		r = find_newest_whole(g, &d, err);
	}
	if (r < 0)
		return r;
	free(g->cursor);
	g->cursor = mem_strdup(d.last);
	found.path = d.newest;
	found.named = d.named;
	if (found.path)
		return tell_newest(g, &found, err);
	g->each(g->arg, &found);
	return 0;
}

static int glance_below(struct glancing *g, const struct tree_root *root, struct error *err)
{
	_cleanup(free) char *prefix = mem_printf("manifests/%s/", root->name);
	size_t count = 1;
	int r = 0;

	free(g->cursor);
	g->cursor = NULL;
	while (r == 0 && count > 0) {
		_cleanup(free) struct store_object *next = NULL;
		bool more;

		r = store_list(g->store, g->call, prefix, g->cursor, 1, &next, &count, &more, err);
		if (r == 0 && count > 0)
			r = glance_at(g, next[0].key, err);
	}
	return r;
}

int artifact_glance(struct store *store, const struct store_call *call, int64_t now_us,
                    void (*each)(void *arg, const struct glance *found), void *arg, struct error *err)
{
	struct glancing g = {.store = store, .call = call, .now_us = now_us, .each = each, .arg = arg};
	int r = 0;

	for (size_t i = 0; r == 0 && i < tree_roots_count; i++)
		r = glance_below(&g, &tree_roots[i], err);
	free(g.cursor);
	return r;
}

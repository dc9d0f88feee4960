// SPDX-License-Identifier: Apache-2.0
/*
 * Holds in the store: holds/<path>.json has all those of one artifact, and lies beside the manifests, not among them,
 * since manifests may be locked against changes. It is written before the catalog, so a hold that somebody was told
 * of is in both; and one that could not be ended in the store stands.
 *
 * A hold that came with the trigger is in the manifest. Where there is an object, it alone counts.
 */
#include "artifact_private.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/json.h>

#define HOLDS_MAX_BYTES 65536

char *artifact_holds_key(const char *path)
{
	return mem_printf("holds/%s.json", path);
}

struct holds {
	struct catalog_hold items[CATALOG_HOLDS_MAX];
	size_t count;
};

static struct json *encode_hold(const struct catalog_hold *hold)
{
	struct json *j = json_object_new();

	json_set_string(j, "name", hold->name);
	json_set_string(j, "reason", hold->reason);
	json_set_string(j, "by", hold->by);
	json_set_time(j, "at", hold->at_us);
	json_set_time(j, "until", hold->until_us);
	return j;
}

static int put_holds(struct repository *repo, const char *path, const struct holds *holds, struct error *err)
{
	const struct store_put_options options = {.content_type = "application/json"};
	_cleanup(free) char *key = artifact_holds_key(path);
	_cleanup(json) struct json *j = json_object_new();
	_cleanup(str) struct str text = {0};
	struct json *list = json_array_new();
	_cleanup(store) struct store *store = NULL;
	int r = repository_store_of(repo, path, &store, err);

	for (size_t i = 0; i < holds->count; i++)
		json_append(list, encode_hold(&holds->items[i]));
	json_set_string(j, "path", path);
	json_set(j, "holds", list);
	json_write(j, 2, &text);
	str_append_char(&text, '\n');
	return r < 0 ? r : store_put_bytes(store, NULL, key, text.data, text.len, &options, err);
}

static void decode_hold(const struct json *item, struct catalog_hold *hold)
{
	*hold = (struct catalog_hold){0};
	str_cut(hold->name, sizeof(hold->name), json_get_string(item, "name") ?: "unknown");
	str_cut(hold->reason, sizeof(hold->reason), json_get_string(item, "reason") ?: "");
	str_cut(hold->by, sizeof(hold->by), json_get_string(item, "by") ?: "");
	json_get_time(item, "at", &hold->at_us);
	json_get_time(item, "until", &hold->until_us);
}

/* An object that cannot be understood is no reason to let go of what somebody holds. */
static void hold_unreadable(const char *key, struct artifact_holds *ret)
{
	struct catalog_hold *hold;

	ret->items = hold = mem_alloc(sizeof(*hold));
	ret->count = 1;
	*hold = (struct catalog_hold){.name = "unreadable", .by = "keepfs"};
	snprintf(hold->reason, sizeof(hold->reason), "%.200s cannot be understood", key);
}

int artifact_holds_read(struct store *store, const struct store_call *call, const char *path,
                        struct artifact_holds *ret, struct error *err)
{
	_cleanup(free) char *key = artifact_holds_key(path), *text = NULL;
	_cleanup(json) struct json *j = NULL;
	const struct json *list;
	size_t len = 0;
	int r = store_get_all(store, call, key, HOLDS_MAX_BYTES, &text, &len, err);

	if (r < 0 && r != -EFBIG)
		return r;
	*ret = (struct artifact_holds){0};
	j = r == 0 ? json_parse(text, len, NULL) : NULL;
	list = j ? json_get(j, "holds") : NULL;
	ret->understood = list && json_is_array_value(list);
	if (!ret->understood) {
		hold_unreadable(key, ret);
		return 0;
	}
	ret->count = json_count(list);
	ret->items = mem_array(ret->count + 1, sizeof(*ret->items));
	for (size_t i = 0; i < ret->count; i++)
		decode_hold(json_item(list, i), &ret->items[i]);
	return 0;
}

/* In another store. */

int artifact_copy_holds(struct store *from, struct store *to, const struct store_call *call, const char *path,
                        bool only_if_absent, bool *ret_to_failed, struct error *err)
{
	const struct store_put_options options = {.content_type = "application/json"};
	_cleanup(free) char *key = artifact_holds_key(path), *text = NULL, *there = NULL;
	size_t len, there_len;
	struct error why = {0};
	int r = store_get_all(from, call, key, HOLDS_MAX_BYTES, &text, &len, &why);

	*ret_to_failed = false;
	if (r < 0) {
		if (r != -ENOENT && err)
			*err = why;
		return r == -ENOENT ? 0 : r;
	}
	r = store_get_all(to, call, key, HOLDS_MAX_BYTES, &there, &there_len, &why);
	if (r == 0 && (only_if_absent || (len == there_len && memcmp(text, there, len) == 0)))
		return 0;
	if (r == 0 || r == -ENOENT || r == -EFBIG)
		r = store_put_bytes(to, call, key, text, len, &options, &why);
	*ret_to_failed = r < 0;
	if (r < 0 && err)
		*err = why;
	return r;
}

/* Where there is an object, it alone counts; one that nobody understands holds. */
int artifact_is_held_there(const struct repository *repo, struct store *store, const struct store_call *call,
                           const char *path, int64_t now_us, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	struct artifact_holds holds = {0};
	struct error why = {0};
	bool held = false;
	int r = artifact_holds_read(store, call, path, &holds, &why);

	for (size_t i = 0; r == 0 && i < holds.count; i++)
		held = held || holds.items[i].until_us == 0 || holds.items[i].until_us > now_us;
	free(holds.items);
	if (r == 0)
		return held;
	if (r == -ENOENT) {
		why = (struct error){0};
		r = artifact_fetch(repo, store, call, path, &m, &why);
		if (r == 0)
			return m.hold != NULL;
		if (r == ARTIFACT_UNUSABLE || r == -ENOENT)
			return 0;
	}
	if (err)
		*err = why;
	return r;
}

int artifact_drop_holds(struct store *store, const struct store_call *call, const char *path,
                        struct error *err)
{
	_cleanup(free) char *key = artifact_holds_key(path);

	return store_remove(store, call, key, err);
}

static bool holds_longer(const struct catalog_hold *a, const struct catalog_hold *b)
{
	return b->until_us != 0 && (a->until_us == 0 || a->until_us > b->until_us);
}

/* Of two of a name the one that holds longer is in force: somebody has renewed it where this catalog did not see it. */
static bool hold_is_known(struct catalog_hold *known, ssize_t count, const struct catalog_hold *hold)
{
	for (ssize_t i = 0; i < count; i++)
		if (strcmp(known[i].name, hold->name) == 0)
			return !holds_longer(hold, &known[i]);
	return false;
}

static int take_over_holds(struct repository *repo, uint64_t ino, const struct artifact_holds *holds,
                           struct error *err)
{
	_cleanup(free) struct catalog_hold *known = mem_array(CATALOG_HOLDS_MAX, sizeof(*known));
	ssize_t count = catalog_holds(repo->catalog, ino, known, CATALOG_HOLDS_MAX);
	int r = count < 0 ? error_system(err, (int)-count, "the catalog cannot be read")
	                  : catalog_note_holds(repo->catalog, ino, err);

	for (size_t i = 0; r == 0 && i < holds->count; i++)
		if (!hold_is_known(known, count, &holds->items[i]))
			r = catalog_set_hold(repo->catalog, ino, &holds->items[i], err);
	return r;
}

int artifact_holds_learn(struct repository *repo, uint64_t ino, const char *path, struct error *err)
{
	struct artifact_holds holds = {0};
	struct error why = {0};
	_cleanup(store) struct store *store = NULL;
	int r = repository_store_of(repo, path, &store, err);

	if (r < 0)
		return r;
	r = artifact_holds_read(store, NULL, path, &holds, &why);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = take_over_holds(repo, ino, &holds, &why);
	free(holds.items);
	if (r < 0 && err)
		*err = why;
	return r;
}

/* With those that the store alone knows: what is put there takes the place of all. */
static int load_holds(struct repository *repo, uint64_t ino, char **ret_path, struct holds *ret,
                      struct error *err)
{
	ssize_t count;
	int r;

	*ret_path = catalog_path(repo->catalog, ino);
	if (!*ret_path)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "there is no such backup");
	r = artifact_holds_learn(repo, ino, *ret_path, err);
	if (r < 0)
		return r;
	count = catalog_holds(repo->catalog, ino, ret->items, CATALOG_HOLDS_MAX);
	if (count < 0)
		return error_system(err, (int)-count, "the catalog cannot be read");
	ret->count = (size_t)count;
	return 0;
}

static size_t find_hold(const struct holds *holds, const char *name)
{
	size_t i = 0;

	while (i < holds->count && strcmp(holds->items[i].name, name) != 0)
		i++;
	return i;
}

static int set_hold(struct repository *repo, uint64_t ino, const struct catalog_hold *hold, struct error *err)
{
	_cleanup(free) struct holds *holds = mem_alloc(sizeof(*holds));
	_cleanup(free) char *path = NULL;
	int r = load_holds(repo, ino, &path, holds, err);
	size_t at;

	if (r < 0)
		return r;
	at = find_hold(holds, hold->name);
	if (at == CATALOG_HOLDS_MAX)
		return error_set(err, ERROR_USAGE, ENOSPC, "%s has %d holds already: end one of them first",
		                 path, CATALOG_HOLDS_MAX);
	/* Else it would end by a hold, which nobody has to confirm. */
	if (at < holds->count && holds_longer(&holds->items[at], hold))
		return error_set(
		        err, ERROR_CONFLICT, EEXIST,
		        "%s is held as %s for longer already: give this hold another name with name=NAME, or end that one first",
		        path, hold->name);
	holds->items[at] = *hold;
	holds->count += at == holds->count;
	r = catalog_note_holds(repo->catalog, ino, err);
	if (r == 0)
		r = put_holds(repo, path, holds, err);
	return r < 0 ? r : catalog_set_hold(repo->catalog, ino, hold, err);
}

static int end_hold(struct repository *repo, uint64_t ino, const char *name, struct error *err)
{
	_cleanup(free) struct holds *holds = mem_alloc(sizeof(*holds));
	_cleanup(free) char *path = NULL;
	int r = load_holds(repo, ino, &path, holds, err);
	size_t at;

	if (r < 0)
		return r;
	at = find_hold(holds, name);
	if (at == holds->count)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "%s has no hold of the name '%s'", path, name);
	memmove(&holds->items[at], &holds->items[at + 1], (holds->count - at - 1) * sizeof(*holds->items));
	holds->count--;
	r = catalog_note_holds(repo->catalog, ino, err);
	if (r == 0)
		r = put_holds(repo, path, holds, err);
	return r < 0 ? r : catalog_drop_hold(repo->catalog, ino, name, err);
}

/* What is put into the store takes the place of all that it has: who changes it does so alone. The lock is not held while the store is
 * asked. */
static pthread_mutex_t change_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change_ended = PTHREAD_COND_INITIALIZER;
static bool is_changing;

static void begin_change(void)
{
	pthread_mutex_lock(&change_lock);
	while (is_changing)
		pthread_cond_wait(&change_ended, &change_lock);
	is_changing = true;
	pthread_mutex_unlock(&change_lock);
}

static void end_change(void)
{
	pthread_mutex_lock(&change_lock);
	is_changing = false;
	pthread_cond_signal(&change_ended);
	pthread_mutex_unlock(&change_lock);
}

static void tell_marked(struct repository *repo, uint64_t ino)
{
	_cleanup(free) char *path = catalog_path(repo->catalog, ino);

	for (struct artifact_events *e = repo->events; path && e; e = e->next)
		if (e->marked)
			e->marked(e->arg, path);
}

static void follow_hold(struct repository *repo, uint64_t ino)
{
	_cleanup(free) char *path = catalog_path(repo->catalog, ino);

	if (path)
		artifact_follow_hold(repo, ino, path);
}

int artifact_hold(struct repository *repo, uint64_t ino, const struct catalog_hold *hold, struct error *err)
{
	int r;

	begin_change();
	r = set_hold(repo, ino, hold, err);
	if (r == 0)
		follow_hold(repo, ino);
	end_change();
	if (r == 0)
		tell_marked(repo, ino);
	return r;
}

int artifact_end_hold(struct repository *repo, uint64_t ino, const char *name, struct error *err)
{
	int r;

	begin_change();
	r = end_hold(repo, ino, name, err);
	if (r == 0)
		follow_hold(repo, ino);
	end_change();
	if (r == 0)
		tell_marked(repo, ino);
	return r;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * The trash. An artifact in it is a tomb that is not dug yet: manifest and objects stay until its time is over. The store
 * has a small object for it, trash/<path>.json, so that a catalog that is made anew knows as well.
 *
 * The tomb comes first, and until the store has its mark the tidier tries: a catalog that is lost in between has the
 * artifact back, which harms nobody. To bring one back the mark goes first: were it left, a catalog made anew would remove
 * what somebody wanted back.
 */
#include "artifact_private.h"

#include <errno.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/catalog/trash.h>
#include <keepfs/codec/json.h>

#define MARK_MAX_BYTES 8192

char *artifact_trash_key(const char *path)
{
	return mem_printf("trash/%s.json", path);
}

static void encode_mark(const struct catalog_trashed *t, struct str *out)
{
	_cleanup(json) struct json *j = json_object_new();

	json_set_string(j, "path", t->path);
	json_set_int(j, "run", t->run_id);
	json_set_time(j, "started_at", t->started_at_us);
	json_set_time(j, "removed_at", t->trashed_at_us);
	json_set_time(j, "until", t->until_us);
	json_set_string(j, "by", t->by);
	json_set_string(j, "reason", t->reason);
	json_write(j, 2, out);
	str_append_char(out, '\n');
}

int artifact_trash_mark(struct repository *repo, const struct store_call *call,
                        const struct catalog_trashed *t, struct error *err)
{
	const struct store_put_options options = {.content_type = "application/json"};
	_cleanup(free) char *key = artifact_trash_key(t->path);
	_cleanup(str) struct str text = {0};
	_cleanup(store) struct store *store = NULL;
	struct catalog_trashed now;
	int r = repository_store_of(repo, t->path, &store, err);

	if (r < 0)
		return r;
	encode_mark(t, &text);
	r = store_put_bytes(store, call, key, text.data, text.len, &options, err);
	if (r == 0)
		r = catalog_trash_marked(repo->catalog, t->ino, err);
	/* Brought back meanwhile: a rebuild would take the mark at its word. */
	if (r == 0 && catalog_trash_find(repo->catalog, t->ino, &now) == -ENOENT)
		r = store_remove(store, call, key, err);
	return r;
}

int artifact_trash_mark_all(struct repository *repo, const struct store_call *call, struct error *err)
{
	_cleanup(artifact_broken) struct artifact_broken broken = {0};
	struct catalog_trashed t = {0};
	uint64_t store = CATALOG_MAIN_STORE;
	int r = 0, failed = 0, found;

	while (r == 0 && (found = catalog_trash_unmarked(repo->catalog, t.ino, &t)) == 0) {
		struct error why = {0};

		if (catalog_store_of(repo->catalog, t.path, &store) == 0 &&
		    artifact_is_broken(&broken, store))
			continue;
		r = artifact_trash_mark(repo, call, &t, &why);
		if (r == 0)
			continue;
		if (failed == 0 && err)
			*err = why;
		failed = failed ? failed : r;
		artifact_note_broken(&broken, store);
		/* That of one tenant is no reason to leave those of others. */
		if (store != CATALOG_MAIN_STORE && r != -ECANCELED)
			r = 0;
	}
	if (r == 0 && found != -ENOENT)
		return error_system(err, -found, "the catalog cannot be read");
	return failed;
}

/* One of that path that was made earlier, or by another keepfs, was removed; not this one. A mark without the second field is
 * of a keepfs that did not write it. */
static bool mark_is_about(const struct json *mark, const struct manifest *m)
{
	int64_t run_id = 0, started_us = m->started_at_us;

	json_get_time(mark, "started_at", &started_us);
	return json_get_int(mark, "run", &run_id) && run_id == m->run_id && started_us == m->started_at_us;
}

static void decode_mark(const struct json *mark, int64_t now_us, struct artifact_trash *ret)
{
	*ret = (struct artifact_trash){.at_us = now_us, .until_us = now_us + ARTIFACT_TRASH_UNKNOWN_US};
	json_get_time(mark, "removed_at", &ret->at_us);
	ret->says_until = json_get_time(mark, "until", &ret->until_us);
	str_copy(ret->by, sizeof(ret->by), json_get_string(mark, "by") ?: "");
	str_cut(ret->reason, sizeof(ret->reason), json_get_string(mark, "reason") ?: "");
}

int artifact_trash_read(struct store *store, const struct store_call *call, const struct manifest *m,
                        int64_t now_us, struct artifact_trash *ret, struct error *err)
{
	_cleanup(free) char *key = artifact_trash_key(m->path), *text = NULL;
	_cleanup(json) struct json *mark = NULL;
	size_t len = 0;
	int64_t run_id;
	int r = store_get_all(store, call, key, MARK_MAX_BYTES, &text, &len, err);

	if (r < 0 && r != -EFBIG)
		return r;
	mark = r == 0 ? json_parse(text, len, NULL) : NULL;
	if (!mark || !json_get_int(mark, "run", &run_id)) {
		log_warning(
		        "%s cannot be understood, so %s counts as not removed; remove it anew, or remove that object",
		        key, m->path);
		return -ENOENT;
	}
	if (!mark_is_about(mark, m))
		return -ENOENT;
	decode_mark(mark, now_us, ret);
	return 0;
}

/* A mark of no run is about no artifact: mark_is_about(). Keepfs of any age take it so. */
static int put_void_mark(struct store *store, const char *key, const char *path, struct error *err)
{
	const struct store_put_options options = {.content_type = "application/json"};
	_cleanup(json) struct json *j = json_object_new();
	_cleanup(str) struct str text = {0};

	json_set_string(j, "path", path);
	json_set_int(j, "run", 0);
	json_set_time(j, "brought_back_at", clock_now_us());
	json_write(j, 2, &text);
	str_append_char(&text, '\n');
	return store_put_bytes(store, NULL, key, text.data, text.len, &options, err);
}

int artifact_trash_unmark(struct repository *repo, const char *path, struct error *err)
{
	_cleanup(free) char *key = artifact_trash_key(path);
	_cleanup(store) struct store *store = NULL;
	struct error why = {0};
	int r = repository_store_of(repo, path, &store, err);

	if (r < 0)
		return r;
	r = store_remove(store, NULL, key, &why);
	if (artifact_is_forbidden(r, &why))
		return put_void_mark(store, key, path, err);
	if (r < 0 && err)
		*err = why;
	return r;
}

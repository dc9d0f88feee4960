// SPDX-License-Identifier: Apache-2.0
/*
 * The making of an artifact, and its end.
 *
 * The intent is what allows us to delete: it says that whatever is under this name is ours and not finished.
 * It ends together with the listing of the artifact; or when its remains are gone; or when it turns out that
 * the name belongs to another keepfs, whose manifest must not be deleted.
 */
#include "artifact_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/codec/name.h>
#include <keepfs/lease.h>

#define DISCARD_DEADLINE_MS 15000
#define SPACE_RETRY_MS      2000

#define INLINE_EXTENTS_BYTES ((size_t)64 << 10)

/* By the time: the first position of that second, or of one behind it, that nothing has. */
static int reserve_by_time(struct repository *repo, const struct artifact_name *name, int64_t run_id,
                           char **ret_path, struct error *err)
{
	int64_t sequence = name_first_sequence(name->at_us);

	for (;; sequence++) {
		char text[NAME_MAX_BYTES];
		_cleanup(free) char *path = NULL;
		int r;

		if (catalog_sequence_taken(repo->catalog, name->directory, sequence))
			continue;
		name_format(sequence, name->suffix, text);
		path = mem_printf("%s/%s", name->directory, text);
		r = catalog_add_intent_in(repo->catalog, run_id, path, name->store, err);
		if (r == 0)
			*ret_path = take_ptr(&path);
		if (r != -EEXIST) /* else another run was faster */
			return r;
	}
}

static int reserve_stem(struct repository *repo, const struct artifact_name *name, int64_t run_id,
                        char **ret_path, struct error *err)
{
	_cleanup(free) char *path = mem_printf("%s/%s%s", name->directory, name->stem, name->suffix);
	int r = catalog_stem_taken(repo->catalog, name->directory, name->stem);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (r > 0)
		return error_set(err, ERROR_CONFLICT, EEXIST,
		                 "%s: there is a backup of that name already, and it is made once only",
		                 path);
	r = catalog_add_intent_in(repo->catalog, run_id, path, name->store, err);
	if (r == 0)
		*ret_path = take_ptr(&path);
	return r;
}

int artifact_reserve(struct repository *repo, const struct artifact_name *name, int64_t run_id,
                     char **ret_path, struct error *err)
{
	return name->stem ? reserve_stem(repo, name, run_id, ret_path, err)
	                  : reserve_by_time(repo, name, run_id, ret_path, err);
}

static bool is_stored(struct store *store, const struct store_call *call, const char *key, const void *data,
                      size_t len, struct error *err, int *ret_failure)
{
	_cleanup(free) char *there = NULL;
	size_t there_len;
	int r = store_get_all(store, call, key, len, &there, &there_len, err);

	*ret_failure = r < 0 && r != -EFBIG && r != -ENOENT ? r : 0;
	return r == 0 && there_len == len && memcmp(there, data, len) == 0;
}

static int conflict(const struct store *store, const char *key, const char *how, struct error *err)
{
	return error_set(
	        err, ERROR_CONFLICT, EEXIST,
	        "%s: %s exists already%s: a second keepfs writes to the same place; give each its own prefix in [store] url",
	        store->name, key, how);
}

/* Write an object that nobody else may have written; @ret_etag: NULL, or its etag, if the store tells it. Returns 0; STORE_EXISTS when it is there with the same
 * content, as after an answer that was lost; -EEXIST when it is another's. */
static int put_new_object(struct store *store, const struct store_call *call, const struct manifest *m,
                          const char *key, const void *data, size_t len, const char *content_type,
                          char *ret_etag, struct error *err)
{
	const struct store_lock lock = {.mode = (enum store_lock_mode)m->lock_mode,
	                                .until_us = m->locked_until_us};
	const struct store_put_options options = {
	        .only_if_absent = true,
	        .content_type = content_type,
	        .ret_etag = ret_etag,
	        .lock = m->locked_until_us ? &lock : NULL,
	};
	int failure, r = store_put_bytes(store, call, key, data, len, &options, err);

	if (r != STORE_EXISTS)
		return r;
	if (is_stored(store, call, key, data, len, err, &failure))
		return STORE_EXISTS;
	if (failure < 0)
		return failure;
	return conflict(store, key, " with other content", err);
}

/* STORE_EXISTS: nothing of ours was put. */
static int put_extents(struct store *store, const struct store_call *call, struct manifest *m,
                       struct error *err)
{
	size_t len;
	_cleanup(free) uint8_t *encoded = manifest_seal_extents(m, &len);

	free(m->extents_key);
	m->extents_key = len > INLINE_EXTENTS_BYTES ? manifest_extents_key(m->path) : NULL;
	if (!m->extents_key)
		return STORE_EXISTS;
	return put_new_object(store, call, m, m->extents_key, encoded, len, NULL, NULL, err);
}

/* While the catalog's disk is full, what is whole waits for space: the run goes on when there is some, or is cancelled. */
static bool wait_for_space(const char *path, struct cancel *cancel, bool *told, const struct error *err)
{
	if (!*told && err)
		log_warning("%s is whole in the store; it is listed as soon as there is space: %s", path,
		            err->message);
	*told = true;
	return !cancel_sleep_ms(cancel, SPACE_RETRY_MS);
}

static int sign_manifest(const struct repository *repo, const struct chain_at *at, struct manifest *m,
                         struct str *text, struct error *err)
{
	bool told = false;
	int r;

	do {
		str_clear(text);
		r = chain_sign(repo->chain, at, m, text, err);
	} while (r == -ENOSPC && wait_for_space(m->path, at->call->cancel, &told, err));
	return r;
}

static int put_manifest(const struct repository *repo, const struct chain_at *at, struct manifest *m,
                        char *ret_etag, struct error *err)
{
	_cleanup(free) char *key = manifest_key(m->path);
	_cleanup(str) struct str text = {0};
	int r = sign_manifest(repo, at, m, &text, err);

	if (r < 0)
		return r;
	if (r > 0)
		manifest_encode(m, &text);
	if (text.len > MANIFEST_MAX_BYTES)
		return error_set(
		        err, ERROR_USAGE, EFBIG,
		        "%s: its %zu files make a manifest of %zu MiB, and no more than %zu MiB can be read again: make a backup that is one file",
		        m->path, m->file_count, text.len >> 20, MANIFEST_MAX_BYTES >> 20);
	r = put_new_object(at->store, at->call, m, key, text.data, text.len, "application/json", ret_etag,
	                   err);
	return r < 0 ? r : 0;
}

/* An intent that is not needed any more; while the catalog's disk is full it waits for the tidier. */
static int end_intent(struct repository *repo, const char *path, struct error *err)
{
	const struct store_call call = {.deadline_ms = clock_mono_ms() + DISCARD_DEADLINE_MS};
	struct artifact_place place = {0};
	int r = artifact_place(repo, path, &place, err);

	if (r == 0)
		r = artifact_end_links(repo, &place, &call, path, LINK_VOID, 0, err);
	store_free(place.store);
	if (r == 0)
		r = catalog_drop_intent(repo->catalog, path, err);
	if (r < 0)
		artifact_left(repo);
	return r;
}

/* The name is another's: leave everything under it alone, but for a table that we brought there. */
static void withdraw(struct repository *repo, struct store *store, const struct manifest *m, bool own_table)
{
	if (own_table && store_remove(store, NULL, m->extents_key, NULL) < 0)
		artifact_left(repo);
	else
		end_intent(repo, m->path, NULL);
}

int artifact_check_free(struct repository *repo, const char *path, struct cancel *cancel, struct error *err)
{
	_cleanup(store) struct store *store = NULL;
	const struct store_call call = {.cancel = cancel,
	                                .deadline_ms = clock_mono_ms() + DISCARD_DEADLINE_MS};
	_cleanup(free) char *published = NULL, *key = NULL;
	int r = repository_store_of(repo, path, &store, err);

	if (r == 0)
		r = artifact_find_published(store, &call, path, &published, err);
	if (r < 0)
		artifact_left(repo);
	if (r <= 0)
		return r;
	key = manifest_key(published);
	r = end_intent(repo, path, err);
	return r < 0 ? r : conflict(store, key, "", err);
}

void artifact_tell_listed(const struct repository *repo, const struct manifest *m)
{
	for (struct artifact_events *e = repo->events; e; e = e->next)
		if (e->listed)
			e->listed(e->arg, m);
}

static int list_published(struct repository *repo, const struct manifest *m, struct cancel *cancel,
                          struct error *err)
{
	bool told = false;
	int r;

	do
		r = catalog_add_artifact(repo->catalog, m, err);
	while (r == -ENOSPC && wait_for_space(m->path, cancel, &told, err));
	return r;
}

/* That the chain began, or goes on with another key: what is not put now is no reason for a backup to fail. */
static void put_links(struct repository *repo, const struct chain_at *at)
{
	struct error why = {0};

	if (chain_finish_waiting(repo->chain, at, &why) == 0)
		return;
	log_warning("the chain of signatures waits: %s", why.message);
	artifact_left(repo);
}

/* Who has no lease reads again what he does not know to be his own. That he reads it once more is no harm. */
static void note_published(struct repository *repo, const struct manifest *m, const char *etag)
{
	struct store_object object = {.bytes = 0};
	struct catalog_manifest_mark mark = {.ino = ino_of_artifact(m->path)};

	if (!etag[0] || lease_number(repo->lease))
		return;
	str_copy(object.etag, sizeof(object.etag), etag);
	artifact_mark_object(&object, &mark);
	catalog_note_manifests(repo->catalog, &mark, 1, NULL);
}

int artifact_publish(struct repository *repo, struct manifest *m, struct cancel *cancel, struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	struct artifact_place place = {0};
	_cleanup(store) struct store *store = NULL;
	char etag[STORE_ETAG_BYTES] = "";
	int table, r = artifact_place(repo, m->path, &place, err);

	if (r < 0)
		return r;
	m->fence = lease_number(repo->lease);
	store = place.store;
	table = put_extents(store, &call, m, err);
	r = table < 0 ? table : put_manifest(repo, &(struct chain_at){place.id, store, &call}, m, etag, err);
	if (r == -EEXIST)
		withdraw(repo, store, m, table == 0);
	if (r < 0)
		return r;
	put_links(repo, &(struct chain_at){place.id, store, &call});
	r = list_published(repo, m, cancel, err);
	if (r < 0) {
		error_prefix(err, "%s is whole in the store, but could not be listed yet", m->path);
		artifact_left(repo);
		return ARTIFACT_UNLISTED;
	}
	note_published(repo, m, etag);
	if (m->lock_wanted_us)
		artifact_left(repo);
	artifact_lock_packs_of(repo, m, cancel);
	if (m->hold)
		artifact_follow_hold(repo, ino_of_artifact(m->path), m->path);
	artifact_tell_listed(repo, m);
	return 0;
}

void artifact_withdraw(struct repository *repo, const char *path)
{
	end_intent(repo, path, NULL);
}

int artifact_discard(struct repository *repo, const char *path, struct error *err)
{
	/* Whoever waits for the end of a failed run waits for this, too: what a dead store leaves is settled
	 * by the tidier, or at the next start. */
	const struct store_call call = {.deadline_ms = clock_mono_ms() + DISCARD_DEADLINE_MS};
	_cleanup(store) struct store *store = NULL;
	int64_t run_id;
	int r = catalog_intent_run(repo->catalog, path, &run_id);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_system(err, -r, "the catalog's intents cannot be read");
	r = repository_store_of(repo, path, &store, err);
	if (r == 0)
		r = artifact_abort_uploads(store, &call, path, err);
	if (r == 0)
		r = artifact_is_foreign(repo, store, &call, path, run_id, err);
	if (r == 0)
		r = artifact_delete(store, &call, path, err);
	if (r < 0) {
		artifact_left(repo);
		return r;
	}
	return end_intent(repo, path, err);
}

void repository_listen(struct repository *repo, struct artifact_events *events)
{
	events->next = repo->events;
	repo->events = events;
}

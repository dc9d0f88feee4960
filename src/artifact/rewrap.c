// SPDX-License-Identifier: Apache-2.0
/*
 * Other recipients for an artifact that is there. It is noted in the catalog first. Then come new objects, under keys of the next generation; then the manifest, which is
 * replaced at once by one that names them: before that the artifact is the old one, and behind it the new one. Then the chain is told, then the catalog lists the new objects, and
 * then the old ones go. Whatever stops this is gone on with by rewrap_settle.c, which needs to know nothing but what the manifest says.
 */
#include "rewrap.h"

#include <keepfs/artifact/sealed.h>

#include <errno.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/rewraps.h>
#include <keepfs/codec/age.h>
#include <keepfs/codec/sign.h>
#include <keepfs/keyring.h>
#include <keepfs/lease.h>
#include <keepfs/stream/readback.h>

#define INLINE_EXTENTS_BYTES ((size_t)64 << 10)
#define SETTLE_DEADLINE_MS   15000

/* For whom. */

static bool has_recipient(const struct age_recipients *r, const char *name, size_t len)
{
	for (size_t i = 0; i < age_recipients_count(r); i++) {
		const char *own = age_recipients_name(r, i);

		if (strncmp(own, name, len) == 0 && own[len] == '\0')
			return true;
	}
	return false;
}

bool artifact_is_encrypted_for(const char *encrypted_to, const struct age_recipients *r)
{
	size_t count = 0;

	for (const char *at = str_or_empty(encrypted_to); *at; count++) {
		size_t len = strcspn(at, ",");

		if (!has_recipient(r, at, len))
			return false;
		at += len;
		at += strspn(at, ", ");
	}
	return count == age_recipients_count(r);
}

/* The objects. */

struct rewrapping {
	struct repository *repo;
	struct artifact_rewrap *how;
	uint64_t ino;
	struct store_call call;
	struct store *store;
	uint64_t store_id;
	struct manifest m; /* the old one, which becomes the new one */
	char **keys;       /* of the new objects, by their number; NULL: it stays */
	unsigned generation;
	struct store_lock lock;      /* of the old ones */
	char etag[STORE_ETAG_BYTES]; /* of the old manifest */
};

static void rewrapping_finish(struct rewrapping *w)
{
	for (size_t i = 0; w->keys && i < w->m.object_count; i++)
		free(w->keys[i]);
	free(w->keys);
	manifest_finish(&w->m);
	store_free(w->store);
}

static void cleanup_rewrapping(struct rewrapping *w)
{
	rewrapping_finish(w);
}

static bool is_rewrappable(const struct manifest_object *o)
{
	return o->cipher && strcmp(o->cipher, MANIFEST_CIPHER_AGE) == 0;
}

static void find_generation(struct rewrapping *w)
{
	const struct manifest *m = &w->m;

	w->generation = m->extents_key ? manifest_key_generation(m->extents_key) : 1;
	for (size_t i = 0; i < m->object_count; i++) {
		unsigned generation = manifest_key_generation(m->objects[i].key);

		if (generation > w->generation)
			w->generation = generation;
	}
	w->generation++;
}

static int compare_key_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has_equal_keys(const struct rewrapping *w)
{
	_cleanup(free) char **sorted = mem_array(w->m.object_count + 1, sizeof(*sorted));
	size_t count = 0;
	bool found = false;

	for (size_t i = 0; i < w->m.object_count; i++)
		if (w->keys[i])
			sorted[count++] = w->keys[i];
	qsort(sorted, count, sizeof(*sorted), compare_key_texts);
	for (size_t i = 1; i < count && !found; i++)
		found = strcmp(sorted[i - 1], sorted[i]) == 0;
	return found;
}

/* A file of a directory may be called as if it had been rewrapped. */
static void choose_keys(struct rewrapping *w)
{
	const struct manifest *m = &w->m;

	find_generation(w);
	w->keys = mem_array(m->object_count + 1, sizeof(*w->keys));
	for (size_t i = 0; i < m->object_count; i++)
		if (is_rewrappable(&m->objects[i]))
			w->keys[i] = manifest_key_of_generation(m->objects[i].key, w->generation);
	if (!has_equal_keys(w))
		return;
	for (size_t i = 0; i < m->object_count; i++) {
		free(w->keys[i]);
		w->keys[i] = is_rewrappable(&m->objects[i])
		                     ? manifest_key_marked_again(m->objects[i].key, w->generation)
		                     : NULL;
	}
}

static int check_can_be_rewrapped(const struct rewrapping *w, struct error *err)
{
	const struct manifest *m = &w->m;
	size_t count = 0;

	for (size_t i = 0; i < m->object_count; i++) {
		if (!sealed_is_known(&m->objects[i]))
			return sealed_refuse_unknown(&m->objects[i], m->path, err);
		count += is_rewrappable(&m->objects[i]);
	}
	if (count == 0)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "%s is not encrypted, so there are no recipients to replace", m->path);
	if (m->unknown)
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "%s: its manifest has what this keepfs does not know (%s), and would lose it: use the newer keepfs that made it",
		        m->path, m->unknown);
	return 0;
}

/* So large that all of the largest object fits into the parts that there may be. */
static uint64_t rewrap_part_bytes(const struct rewrapping *w)
{
	unsigned parts = w->how->max_parts ? w->how->max_parts : STORE_MAX_PARTS;
	uint64_t part = w->how->part_bytes, most = 0;

	for (size_t i = 0; i < w->m.object_count; i++)
		if (w->m.objects[i].stored_bytes > most)
			most = w->m.objects[i].stored_bytes;
	most += AGE_HEAD_MAX_BYTES;
	if (most / parts >= part)
		part = most / parts + 1;
	return (part + POOL_BUFFER_BYTES - 1) / POOL_BUFFER_BYTES * POOL_BUFFER_BYTES;
}

static int rewrap_one_object(struct rewrapping *w, struct pool *pool, size_t number, struct error *err)
{
	struct manifest_object *old = &w->m.objects[number];
	struct rewrap_object o = {.repo = w->repo,
	                          .how = w->how,
	                          .store = w->store,
	                          .pool = pool,
	                          .part_bytes = rewrap_part_bytes(w),
	                          .path = w->m.path,
	                          .encrypted_to = w->m.encrypted_to,
	                          .old = old,
	                          .key = w->keys[number]};
	int r = rewrap_object_make(&o, err);

	if (r < 0) {
		manifest_object_finish(&o.made);
		return r;
	}
	manifest_object_finish(old);
	*old = o.made;
	return 0;
}

static int rewrap_objects(struct rewrapping *w, struct error *err)
{
	struct pool *pool = pool_new(4 * rewrap_part_bytes(w) + READBACK_BUFFERS * POOL_BUFFER_BYTES);
	int r = 0;

	if (!pool)
		return error_system(err, ENOMEM, "there is no memory for rewrapping %s", w->m.path);
	for (size_t i = 0; r == 0 && i < w->m.object_count; i++)
		if (w->keys[i])
			r = rewrap_one_object(w, pool, i, err);
	pool_free(pool);
	return r;
}

/* Locks: as long as those of the old ones. */

static int read_old_lock(struct rewrapping *w, struct error *err)
{
	struct error why = {0};
	int r = artifact_stored_lock(w->repo, w->store, &w->call, w->m.path, &w->lock, &why);

	if (r < 0) {
		error_prefix(&why, "it cannot be found out how %s is locked", w->m.path);
		if (err)
			*err = why;
		return r;
	}
	if (w->lock.until_us <= clock_now_us())
		w->lock.mode = STORE_LOCK_NONE;
	if (w->lock.mode == STORE_LOCK_NONE)
		w->lock.until_us = 0;
	return 0;
}

static int lock_new_objects(struct rewrapping *w, struct error *err)
{
	const struct store_lock lock = {.mode = w->lock.mode, .until_us = w->lock.until_us};
	int r = 0;

	if (w->lock.mode != STORE_LOCK_NONE)
		r = artifact_lock_objects(w->store, &w->call, &w->m, &lock, err);
	return r == 0 && w->lock.hold ? artifact_hold_objects(w->store, &w->call, &w->m, err) : r;
}

static void new_put_options(const struct rewrapping *w, const char *content_type,
                            struct store_put_options *ret)
{
	*ret = (struct store_put_options){.content_type = content_type,
	                                  .lock = w->lock.mode != STORE_LOCK_NONE || w->lock.hold ? &w->lock
	                                                                                          : NULL};
}

/* The manifest. */

static int put_new_extents(struct rewrapping *w, struct error *err)
{
	struct manifest *m = &w->m;
	_cleanup(free) char *first = manifest_extents_key(m->path);
	struct store_put_options options;
	size_t len;
	_cleanup(free) uint8_t *encoded = manifest_seal_extents(m, &len);

	free(m->extents_key);
	m->extents_key = len > INLINE_EXTENTS_BYTES ? manifest_key_of_generation(first, w->generation) : NULL;
	new_put_options(w, NULL, &options);
	return m->extents_key
	               ? store_put_bytes(w->store, &w->call, m->extents_key, encoded, len, &options, err)
	               : 0;
}

static int make_new_text(struct rewrapping *w, struct str *text, struct error *err)
{
	struct manifest *m = &w->m;
	_cleanup(str) struct str recipients = {0};
	int r;

	keyring_recipients_text(w->how->recipients, &recipients);
	free(m->encrypted_to);
	m->encrypted_to = str_take(&recipients);
	m->verified_at_us = clock_now_us();
	m->fence = lease_number(w->repo->lease);
	if (w->lock.until_us > m->locked_until_us)
		m->locked_until_us = w->lock.until_us;
	r = chain_sign_again(w->repo->chain, m, text, err);
	if (r > 0)
		manifest_encode(m, text);
	if (r >= 0 && text->len > MANIFEST_MAX_BYTES)
		r = error_set(err, ERROR_USAGE, EFBIG, "%s: its manifest would be too long to be read again",
		              m->path);
	return r < 0 ? r : 0;
}

static int put_new_manifest(struct rewrapping *w, struct error *err)
{
	_cleanup(free) char *key = manifest_key(w->m.path);
	_cleanup(str) struct str text = {0};
	char hash[SHA256_HEX_BYTES];
	struct store_put_options options;
	int r = put_new_extents(w, err);

	if (r == 0)
		r = make_new_text(w, &text, err);
	if (r < 0)
		return r;
	sign_hash(text.data, text.len, hash);
	r = catalog_expect_rewrap(w->repo->catalog, w->ino, hash, err);
	if (r < 0)
		return r;
	new_put_options(w, "application/json", &options);
	/* Another keepfs, or a hand, may have been faster; a server that does not say any etag cannot be asked. */
	options.if_match = w->etag[0] ? w->etag : NULL;
	return store_put_bytes(w->store, &w->call, key, text.data, text.len, &options, err);
}

/* The whole. */

static int check_is_listed(struct rewrapping *w, struct error *err)
{
	if (artifact_is_as_listed(w->repo, &w->m))
		return 0;
	return error_set(
	        err, ERROR_CONFLICT, EAGAIN,
	        "%s: the store has another manifest of it than the catalog knows: try again when that is settled",
	        w->m.path);
}

/* Without a key all of it would be in vain: that is told before anything is written. */
static int check_keys(const struct rewrapping *w, struct error *err)
{
	for (size_t i = 0; i < w->m.object_count; i++) {
		const struct sealed_object sealed = {.repo = w->repo,
		                                     .store = w->store,
		                                     .object = &w->m.objects[i],
		                                     .what = w->m.path,
		                                     .encrypted_to = w->m.encrypted_to,
		                                     .cancel = w->how->cancel};
		struct age_key key;
		int r;

		if (!is_rewrappable(&w->m.objects[i]))
			continue;
		r = sealed_key(&sealed, &key, err);
		if (r == 0)
			age_key_wipe(&key);
		return r;
	}
	return 0;
}

static int check_can_sign(struct rewrapping *w, struct error *err)
{
	_cleanup(str) struct str ignored = {0};

	return w->m.chain.sequence && !chain_has_key(w->repo->chain)
	               ? chain_sign_again(w->repo->chain, &w->m, &ignored, err)
	               : 0;
}

static int look_before(struct rewrapping *w, const char *path, struct error *err)
{
	_cleanup(free) char *key = manifest_key(path);
	struct artifact_place place = {0};
	struct store_object object;
	int r = artifact_place(w->repo, path, &place, err);

	if (r < 0)
		return r;
	w->store = place.store;
	w->store_id = place.id;
	r = store_head(w->store, &w->call, key, &object, err);
	if (r == 0)
		r = artifact_fetch(w->repo, w->store, &w->call, path, &w->m, err);
	if (r != 0)
		return r == ARTIFACT_UNUSABLE ? -EBADMSG : r;
	str_copy(w->etag, sizeof(w->etag), object.etag);
	r = check_can_be_rewrapped(w, err);
	if (r == 0)
		r = check_is_listed(w, err);
	if (r == 0)
		r = check_keys(w, err);
	if (r == 0)
		r = check_can_sign(w, err);
	return r < 0 ? r : read_old_lock(w, err);
}

static int replace_with_new(struct rewrapping *w, struct error *err)
{
	const struct chain_at at = {w->store_id, w->store, &w->call};
	int r = catalog_begin_rewrap(w->repo->catalog, w->ino, w->m.path, clock_now_us(), err);

	choose_keys(w);
	if (r == 0)
		r = rewrap_objects(w, err);
	if (r == 0)
		r = lock_new_objects(w, err);
	if (r == 0)
		r = put_new_manifest(w, err);
	return r < 0 ? r : rewrap_take_over(w->repo, &at, &w->m, w->how->cancel, err);
}

/* What an attempt has left, or what is old now. A cancelled one clears up as well, within its time. */
static void clear_up(struct rewrapping *w, const char *path)
{
	const struct store_call call = {.deadline_ms = clock_mono_ms() + SETTLE_DEADLINE_MS};
	struct catalog_rewrap row;
	struct error why = {0};
	int r = rewrap_settle_one(w->repo, &call, w->ino, path, &why);

	if (r == 0)
		return;
	w->how->is_waiting = true;
	if (r < 0) {
		str_cut(w->how->why, sizeof(w->how->why), why.message);
		artifact_left(w->repo);
	} else if (catalog_rewrap_of(w->repo->catalog, w->ino, &row) == 0) {
		str_copy(w->how->why, sizeof(w->how->why), row.why);
	}
}

static int rewrap_kept(struct rewrapping *w, const char *path, struct error *err)
{
	int r = look_before(w, path, err);

	return r < 0 ? r : replace_with_new(w, err);
}

int artifact_rewrap(struct repository *repo, uint64_t ino, struct artifact_rewrap *how, struct error *err)
{
	_cleanup(rewrapping) struct rewrapping w = {
	        .repo = repo, .how = how, .ino = ino, .call = {.cancel = how->cancel}};
	_cleanup(free) char *path = catalog_path(repo->catalog, ino);
	struct catalog_rewrap row;
	int r;

	how->copied_bytes = 0;
	how->is_waiting = false;
	if (!path)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "there is no such backup");
	r = artifact_claim_rewrap(repo, ino, how->run_id, path, err);
	if (r < 0)
		return r;
	r = rewrap_kept(&w, path, err);
	artifact_let_go(repo, ino, how->run_id);
	if (catalog_rewrap_of(repo->catalog, ino, &row) == 0)
		clear_up(&w, path);
	return r;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * The end of rewrapping, after a crash as well. The manifest in the store decides: when it names other objects than the catalog lists, these are listed; then everything goes
 * that lies there of the objects that it names, as of another generation. Nothing else is touched, so nothing that is not ours ever is.
 */
#include "rewrap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/rewraps.h>
#include <keepfs/codec/sign.h>

#define SPACE_RETRY_MS 2000

/* What the catalog lists. */

bool artifact_is_as_listed(const struct repository *repo, const struct manifest *m)
{
	for (size_t i = 0; i < m->file_count; i++) {
		_cleanup(manifest_object) struct manifest_object known = {0};
		_cleanup(free) char *path = NULL;

		if (m->files[i].object == MANIFEST_NO_OBJECT)
			continue;
		path = manifest_file_path(m, &m->files[i]);
		return catalog_object(repo->catalog, ino_of_artifact(path), &known) == 0 &&
		       strcmp(known.key, m->objects[m->files[i].object].key) == 0;
	}
	return true;
}

void artifact_tell_rewrapped(const struct repository *repo, const struct manifest *m)
{
	for (struct artifact_events *e = repo->events; e; e = e->next)
		if (e->rewrapped)
			e->rewrapped(e->arg, m);
}

int rewrap_take_over(struct repository *repo, const struct chain_at *at, const struct manifest *m,
                     struct cancel *cancel, struct error *err)
{
	/* Before it is listed, which notes its hash: the chain has to know the one from before. */
	int r = chain_rewritten(repo->chain, at, m, err);

	if (r == 0)
		r = catalog_relist_artifact(repo->catalog, m, err);
	while (r == -ENOSPC && !cancel_sleep_ms(cancel, SPACE_RETRY_MS))
		r = catalog_relist_artifact(repo->catalog, m, err);
	if (r == 0)
		artifact_tell_rewrapped(repo, m);
	return r;
}

/* Old objects. */

struct artifact_old_names {
	char **named; /* keys that the manifest names, sorted */
	char **first; /* the same as of the first generation, sorted */
	size_t count;
};

static int compare_key_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has_key_name(char **keys, size_t count, const char *key)
{
	return bsearch(&key, keys, count, sizeof(*keys), compare_key_names) != NULL;
}

static void name_key(struct artifact_old_names *n, const char *key)
{
	n->named[n->count] = mem_strdup(key);
	n->first[n->count++] = manifest_key_of_generation(key, 1);
}

struct artifact_old_names *artifact_old_names_new(const struct manifest *m)
{
	struct artifact_old_names *n = mem_alloc(sizeof(*n));
	_cleanup(free) char *extents = manifest_extents_key(m->path);

	n->named = mem_array(m->object_count + 1, sizeof(*n->named));
	n->first = mem_array(m->object_count + 1, sizeof(*n->first));
	for (size_t i = 0; i < m->object_count; i++)
		name_key(n, m->objects[i].key);
	/* One that is in the manifest now may have been an object before. */
	name_key(n, m->extents_key ? m->extents_key : extents);
	if (!m->extents_key)
		n->named[n->count - 1][0] = '\0';
	qsort(n->named, n->count, sizeof(*n->named), compare_key_names);
	qsort(n->first, n->count, sizeof(*n->first), compare_key_names);
	return n;
}

void artifact_old_names_free(struct artifact_old_names *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->count; i++) {
		free(n->named[i]);
		free(n->first[i]);
	}
	free(n->named);
	free(n->first);
	free(n);
}

bool artifact_is_old_object(const struct artifact_old_names *n, const char *key)
{
	_cleanup(free) char *first = manifest_key_of_generation(key, 1);

	return has_key_name(n->first, n->count, first) && !has_key_name(n->named, n->count, key);
}

struct sweeping {
	struct repository *repo; /* NULL: nothing is known of holds */
	struct store *store;
	const struct store_call *call;
	const struct manifest *m;
	uint64_t ino;
	struct artifact_old_names *names;
	bool looks_at_locks;
	int64_t now_us;          /* by the store's clock */
	int64_t locked_until_us; /* of what was left; 0: nothing was */
	bool is_held;            /* of that something is held */
};

static void sweeping_finish(struct sweeping *s)
{
	artifact_old_names_free(s->names);
}

static void cleanup_sweeping(struct sweeping *s)
{
	sweeping_finish(s);
}

/* A legal hold of ours that nobody wants any more. */
static bool is_forgotten_hold(const struct sweeping *s, const struct store_lock *lock)
{
	return lock->hold && s->repo && !catalog_is_held(s->repo->catalog, s->ino, clock_now_us()) &&
	       catalog_was_held(s->repo->catalog, s->ino);
}

/* 1: it is locked. A legal hold that nobody wants any more is taken off. */
static int look_at_old_lock(struct sweeping *s, const char *key, struct error *err)
{
	struct store_lock lock = {0};
	int r;

	if (!s->looks_at_locks)
		return 0;
	r = store_lock_get(s->store, s->call, key, &lock, err);
	if (r == -ENOTSUP)
		return 0;
	if (r == 0 && is_forgotten_hold(s, &lock)) {
		r = store_legal_hold(s->store, s->call, key, false, err);
		lock.hold = false;
	}
	if (r < 0)
		return r;
	s->is_held = s->is_held || lock.hold;
	if (lock.mode != STORE_LOCK_NONE && lock.until_us > s->now_us) {
		if (lock.until_us > s->locked_until_us)
			s->locked_until_us = lock.until_us;
		return 1;
	}
	return lock.hold;
}

static int sweep_below(struct sweeping *s, const char *prefix, struct error *err)
{
	_cleanup(listing) struct listing l = {.store = s->store, .call = s->call, .prefix = prefix};
	const struct store_object *object;
	int r;

	while ((r = listing_peek(&l, &object, err)) == 0 && object) {
		if (artifact_is_old_object(s->names, object->key)) {
			r = look_at_old_lock(s, object->key, err);
			if (r == 0)
				r = store_remove(s->store, s->call, object->key, err);
			if (r < 0)
				return r;
		}
		listing_pop(&l);
	}
	return r;
}

static int sweep(struct sweeping *s, struct error *err)
{
	_cleanup(free) char *below = artifact_prefix(s->m->path),
	                    *beside = mem_printf("manifests/%s.", s->m->path);
	struct store_features f = {0};
	int r = store_features(s->store, &f, err);

	if (r < 0)
		return r;
	s->now_us = f.clock_us ? f.clock_us : clock_now_us();
	s->looks_at_locks = f.lock_mode != STORE_LOCK_NONE || s->m->locked_until_us > 0;
	s->names = artifact_old_names_new(s->m);
	r = sweep_below(s, below, err);
	return r < 0 ? r : sweep_below(s, beside, err);
}

int artifact_remove_old_objects(struct store *store, const struct store_call *call, const struct manifest *m,
                                struct error *err)
{
	_cleanup(sweeping) struct sweeping s = {.store = store, .call = call, .m = m};

	return sweep(&s, err);
}

/* One artifact. */

static int put_off(struct repository *repo, const struct sweeping *s, struct error *err)
{
	_cleanup(free) char *why = NULL;
	char until[CLOCK_ISO_BYTES];
	int r;

	if (s->locked_until_us)
		why = mem_printf("the store has locked its old objects until %s",
		                 clock_format_iso(s->locked_until_us, until));
	else
		why = mem_strdup("its old objects have a legal hold in the store, as long as it is held");
	r = catalog_put_off_rewrap(repo->catalog, s->ino, s->locked_until_us, why, err);
	return r < 0 ? r : 1;
}

/* An older manifest is signed as rightly as the one in force, so whoever can write into the store could put it back: then what is in force would be taken for old, and go. */
static int take_over_if_ours(struct repository *repo, const struct chain_at *at, uint64_t ino,
                             const struct manifest *m, const char *hash, struct error *err)
{
	struct catalog_rewrap row = {0};
	int r;

	if (artifact_is_as_listed(repo, m))
		return 0;
	r = catalog_rewrap_of(repo->catalog, ino, &row);
	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	if (strcmp(row.manifest, hash) == 0)
		return rewrap_take_over(repo, at, m, at->call->cancel, err);
	return error_set(
	        err, ERROR_CORRUPT, EBADMSG,
	        "%s: its manifest in the store is neither the one that is listed nor the one that keepfs has put last: somebody has put an older one or another one there, so nothing is removed until that is undone",
	        m->path);
}

static int fetch_with_hash(struct repository *repo, const struct chain_at *at, const char *path,
                           struct manifest *ret, char ret_hash[static SHA256_HEX_BYTES], struct error *err)
{
	_cleanup(free) char *key = manifest_key(path), *text = NULL;
	size_t len = 0;
	int r = store_get_all(at->store, at->call, key, MANIFEST_MAX_BYTES, &text, &len, err);

	if (r == 0) {
		sign_hash(text, len, ret_hash);
		r = artifact_decode(repo, at->store, at->call, path, text, len, ret, err);
	}
	return r == ARTIFACT_UNUSABLE || r == -EFBIG ? -EBADMSG : r;
}

static int settle_claimed(struct repository *repo, const struct chain_at *at, uint64_t ino, const char *path,
                          struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	struct sweeping s = {.repo = repo, .store = at->store, .call = at->call, .m = &m, .ino = ino};
	char hash[SHA256_HEX_BYTES];
	int r = fetch_with_hash(repo, at, path, &m, hash, err);

	if (r == 0)
		r = take_over_if_ours(repo, at, ino, &m, hash, err);
	if (r == 0)
		r = artifact_abort_uploads(at->store, at->call, path, err);
	if (r == 0)
		r = sweep(&s, err);
	if (r == 0)
		r = s.locked_until_us || s.is_held ? put_off(repo, &s, err)
		                                   : catalog_end_rewrap(repo->catalog, ino, err);
	sweeping_finish(&s);
	return r;
}

/* 1: somebody reads what it had before. */
static int settle_unless_used(struct repository *repo, const struct store_call *call, uint64_t ino,
                              const char *path, struct error *err)
{
	struct artifact_place place = {0};
	int r;

	if (!artifact_claim_old_objects(repo, ino)) {
		r = catalog_put_off_rewrap(
		        repo->catalog, ino, 0,
		        "somebody reads it, and had begun before: its old objects stay until then", err);
		return r < 0 ? r : 1;
	}
	r = artifact_place(repo, path, &place, err);
	if (r == 0)
		r = settle_claimed(repo, &(struct chain_at){place.id, place.store, call}, ino, path, err);
	store_free(place.store);
	artifact_end_claim(repo, ino);
	return r;
}

int rewrap_settle_one(struct repository *repo, const struct store_call *call, uint64_t ino, const char *path,
                      struct error *err)
{
	struct catalog_entry entry;
	struct catalog_tomb tomb;
	int r = catalog_entry_by_ino(repo->catalog, ino, &entry);

	if (r == 0)
		return settle_unless_used(repo, call, ino, path, err);
	if (r == -ENOENT)
		r = catalog_tomb(repo->catalog, ino, &tomb);
	/* Whoever deletes it deletes all of it; from the trash it may come back. */
	if (r == -ENOENT)
		return catalog_end_rewrap(repo->catalog, ino, err);
	return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 1;
}

int artifact_settle_rewraps(struct repository *repo, const struct store_call *call, bool *ret_left,
                            struct error *err)
{
	struct catalog_rewrap row = {0};
	int r;

	*ret_left = false;
	while ((r = catalog_next_rewrap(repo->catalog, row.ino, &row)) == 0) {
		struct error why = {0};

		if (cancel_is_set(call->cancel))
			return 0;
		if (row.until_us > clock_now_us() ||
		    rewrap_settle_one(repo, call, row.ino, row.path, &why) >= 0)
			continue;
		*ret_left = true;
		log_warning("what %s had before it was rewrapped stays for now: %s", row.path, why.message);
	}
	return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
}

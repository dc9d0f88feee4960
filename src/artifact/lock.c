// SPDX-License-Identifier: Apache-2.0
/*
 * Object lock. What is whole is locked, right before it is listed, and never earlier: what a failed run leaves would else have to be stored, and paid
 * for, for as long as a backup. All objects come first and the manifest last, also when a lock is made longer or a legal hold is
 * set: so the manifest's own lock tells of the whole artifact, and what broke off in between is done again.
 *
 * What the store says counts. Before anything is hidden that may be locked it is asked, since an object with a lock can be deleted by
 * its name all the same: it would be hidden, and stored on.
 */
#include "artifact_private.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/needs.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/codec/name.h>
#include <keepfs/store/proof.h>

#define FEW     32  /* objects for which no threads are started */
#define AT_ONCE 500 /* artifacts whose locks are looked at in one attempt */

static int64_t clock_of(const struct store_features *f)
{
	return f->clock_us ? f->clock_us : clock_now_us();
}

int artifact_lock_of(struct store *store, enum artifact_lock_role role, int64_t until_us,
                     struct store_lock *ret, struct error *err)
{
	if (role == ARTIFACT_LOCK_REWRITTEN)
		return 0;
	return role == ARTIFACT_LOCK_LINK ? store_lock_proof(store, until_us, ret, err)
	                                  : store_lock_bounded(store, until_us, ret, err);
}

int artifact_lock_terms(struct store *store, struct retention_lock_terms *ret, struct error *err)
{
	struct store_features f = {0};
	int r = store_features(store, &f, err);

	if (r < 0 || f.lock_mode == STORE_LOCK_NONE)
		return r;
	*ret = (struct retention_lock_terms){.now_s = clock_of(&f) / US_PER_S,
	                                     .min_s = f.lock_min_us / US_PER_S,
	                                     .max_s = f.lock_max_us / US_PER_S};
	return 1;
}

/* All objects of one artifact, but its manifest. */

struct lock_work {
	struct store *store;
	const struct store_call *call;
	const struct manifest *m;
	const struct store_lock *lock; /* NULL: the hold is what is set */
	bool hold;
	pthread_mutex_t mutex;
	size_t next;        /* mutex */
	int result;         /* mutex: the first failure */
	struct error error; /* mutex */
};

static int lock_key(struct store *store, const struct store_call *call, const char *key,
                    const struct store_lock *lock, bool hold, struct error *err)
{
	static const struct store_lock unknown = {0};

	return lock ? store_lock_extend(store, call, key, &unknown, lock, err)
	            : store_legal_hold(store, call, key, hold, err);
}

/* NULL: there is none any more. */
static const char *take_lock_key(struct lock_work *w)
{
	const char *key = NULL;

	pthread_mutex_lock(&w->mutex);
	if (w->result == 0 && w->next < w->m->object_count)
		key = w->m->objects[w->next++].key;
	pthread_mutex_unlock(&w->mutex);
	return key;
}

static void lock_some(void *arg)
{
	struct lock_work *w = arg;
	const char *key;

	while ((key = take_lock_key(w))) {
		struct error error = {0};
		int r = lock_key(w->store, w->call, key, w->lock, w->hold, &error);

		pthread_mutex_lock(&w->mutex);
		if (r < 0 && w->result == 0) {
			w->result = r;
			w->error = error;
		}
		pthread_mutex_unlock(&w->mutex);
	}
}

static int lock_by_many(struct lock_work *w, struct error *err)
{
	struct store_features f = {0};
	struct workers *workers = NULL;

	if (w->m->object_count > FEW && store_features(w->store, &f, NULL) == 0 && f.parallel > 1)
		workers = workers_new("lock", f.parallel);
	for (unsigned i = 0; workers && i < f.parallel; i++)
		workers_add(workers, lock_some, w);
	if (!workers)
		lock_some(w);
	workers_free(workers); /* when they are done */
	if (w->result < 0 && err)
		*err = w->error;
	return w->result;
}

static int lock_or_hold_objects(struct store *store, const struct store_call *call, const struct manifest *m,
                                const struct store_lock *lock, bool hold, struct error *err)
{
	struct lock_work w = {.store = store, .call = call, .m = m, .lock = lock, .hold = hold};
	int r;

	pthread_mutex_init(&w.mutex, NULL);
	r = lock_by_many(&w, err);
	pthread_mutex_destroy(&w.mutex);
	return r;
}

int artifact_lock_objects(struct store *store, const struct store_call *call, const struct manifest *m,
                          const struct store_lock *lock, struct error *err)
{
	return lock_or_hold_objects(store, call, m, lock, false, err);
}

int artifact_hold_objects(struct store *store, const struct store_call *call, const struct manifest *m,
                          struct error *err)
{
	return lock_or_hold_objects(store, call, m, NULL, true, err);
}

/* With what lies beside the manifest, and at last that. */
int artifact_lock_whole(struct store *store, const struct store_call *call, const struct manifest *m,
                        const struct store_lock *lock, bool hold, struct error *err)
{
	_cleanup(free) char *manifest = manifest_key(m->path);
	int r = lock_or_hold_objects(store, call, m, lock, hold, err);

	if (r == 0 && m->extents_key)
		r = lock_key(store, call, m->extents_key, lock, hold, err);
	return r < 0 ? r : lock_key(store, call, manifest, lock, hold, err);
}

/* What lies in a place of others cannot be locked there, and a lock of the rest alone would promise what is not so. */
static bool has_adopted(const struct manifest *m)
{
	for (size_t i = 0; i < m->object_count; i++)
		if (manifest_adopted_in(m->objects[i].key, NULL))
			return true;
	return false;
}

/* At birth. */

/* A server may take locks and keep none; or take the request for something else. */
static int see_that_it_is_locked(struct store *store, const struct store_call *call, const struct manifest *m,
                                 const struct store_lock *wanted, struct error *err)
{
	struct store_lock there = {0};
	struct store_object object;
	int r = store_head(store, call, m->objects[0].key, &object, err);

	if (r == 0 && object.bytes != m->objects[0].stored_bytes)
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "%s is another object since it was locked: the store does not know object lock, set [store] object_lock = none",
		        m->objects[0].key);
	if (r == 0)
		r = store_lock_get(store, call, m->objects[0].key, &there, err);
	if (r < 0)
		return r;
	if (there.mode != STORE_LOCK_NONE && there.until_us >= wanted->until_us)
		return 0;
	return error_set(
	        err, ERROR_CONFLICT, EIO,
	        "the store took a lock of %s, and does not say that it has one: it accepts locks and does not keep them",
	        m->objects[0].key);
}

static int tell_doubt(const struct manifest *m, const struct retention_lock_terms *terms, struct error *err)
{
	char at[CLOCK_ISO_BYTES], now[CLOCK_ISO_BYTES];

	error_set(
	        err, ERROR_CONFLICT, EAGAIN,
	        "it began at %s by this host's clock, and the store's says %s: it is locked for lock_min only, until somebody sets the clock right",
	        clock_format_iso(m->started_at_us, at), clock_format_iso(terms->now_s * US_PER_S, now));
	return ARTIFACT_LOCK_DOUBTFUL;
}

/* The bounds of one that is about to be published. Return: as artifact_lock_terms(). */
static int terms_at_birth(struct store *store, const struct artifact_lock_order *order,
                          struct retention_lock_terms *ret, struct error *err)
{
	int64_t now_us = order->host_now_us ? order->host_now_us : clock_now_us();
	struct store_features f = {0};
	int r = artifact_lock_terms(store, ret, err);

	if (r <= 0)
		return r;
	r = store_features(store, &f, err);
	if (r < 0)
		return r;
	ret->forever = order->forever;
	ret->at_birth = true;
	ret->ahead_s = store_clock_ahead_us(&f, now_us) / US_PER_S;
	return 1;
}

int artifact_lock_at_birth(struct repository *repo, const struct artifact_lock_order *order,
                           struct manifest *m, struct cancel *cancel, struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	const struct retention_backup born = {.at_s = m->started_at_us / US_PER_S,
	                                      .keep_until_s = m->keep_until_us / US_PER_S,
	                                      .tiers = (uint16_t)m->tiers};
	_cleanup(store) struct store *store = NULL;
	struct retention_lock_terms terms;
	struct retention_lock until;
	struct store_lock lock;
	int r = has_adopted(m) ? 0 : repository_store_of(repo, m->path, &store, err);

	if (r == 0 && !store)
		return 0;
	if (r == 0)
		r = terms_at_birth(store, order, &terms, err);
	if (r <= 0)
		return r;
	retention_lock_of(order->rules, order->zone, &born, &terms, &until);
	r = artifact_lock_of(store, ARTIFACT_LOCK_BACKUP, until.until_s * US_PER_S, &lock, err);
	if (r <= 0)
		return r;
	/* One alone, until it is known what comes of it. */
	if (m->object_count > 0)
		r = lock_key(store, &call, m->objects[0].key, &lock, false, err);
	if (r >= 0 && m->object_count > 0)
		r = see_that_it_is_locked(store, &call, m, &lock, err);
	if (r >= 0)
		r = artifact_lock_objects(store, &call, m, &lock, err);
	if (r < 0) {
		m->lock_wanted_us = lock.until_us;
		return r;
	}
	m->locked_until_us = (lock.until_us + US_PER_S - 1) / US_PER_S * US_PER_S;
	m->lock_mode = lock.mode;
	return until.is_doubtful ? tell_doubt(m, &terms, err) : 0;
}

/* What is due. */

struct lock_look { /* at one artifact */
	struct repository *repo;
	const struct store_call *call;
	uint64_t ino;
	const char *path;
	struct store *store;
	struct store_features features;
	struct catalog_lock known;
	struct store_lock there; /* as the store says */
	bool is_ours; /* its legal hold, if it has one: else somebody else has set that, and it stays */
};

static bool was_ever_locked(const struct lock_look *l)
{
	return l->features.lock_mode != STORE_LOCK_NONE || l->known.until_us > 0 || l->known.is_held;
}

static int look_at_lock(struct lock_look *l, struct error *err)
{
	_cleanup(free) char *manifest = manifest_key(l->path);
	int r = store_features(l->store, &l->features, err);

	l->is_ours = catalog_was_held(l->repo->catalog, l->ino);
	if (r < 0 || !was_ever_locked(l))
		return r;
	r = store_lock_get(l->store, l->call, manifest, &l->there, err);
	/* A store that has none: what a manifest says was true where it was copied from. */
	if (r == -ENOTSUP || (r < 0 && err->errnum == EOPNOTSUPP))
		r = 0;
	return r;
}

int artifact_stored_lock(struct repository *repo, struct store *store, const struct store_call *call,
                         const char *path, struct store_lock *ret, struct error *err)
{
	struct lock_look l = {
	        .repo = repo, .call = call, .ino = ino_of_artifact(path), .path = path, .store = store};
	int r;

	catalog_lock_of(repo->catalog, l.ino, &l.known);
	r = look_at_lock(&l, err);
	if (r == 0)
		*ret = l.there;
	return r;
}

/* @wanted_us: what is left to do; 0: nothing. */
static int note_lock(const struct lock_look *l, int64_t wanted_us, struct error *err)
{
	const struct catalog_lock lock = {.mode = (int)l->there.mode,
	                                  .until_us = l->there.until_us,
	                                  .wanted_us = wanted_us,
	                                  .is_held = l->there.hold && l->is_ours};

	return catalog_set_lock(l->repo->catalog, l->ino, &lock, err);
}

/* The mode that it has is not changed: the servers take that for an attempt to weaken it. */
static void wanted_lock(const struct lock_look *l, struct store_lock *ret)
{
	int64_t most_us = clock_of(&l->features) + l->features.lock_max_us;

	*ret = (struct store_lock){
	        .mode = l->there.mode != STORE_LOCK_NONE ? l->there.mode : l->features.lock_mode,
	        .until_us = l->known.wanted_us < most_us ? l->known.wanted_us : most_us,
	};
}

/* A legal hold that was broken off is on some objects only, and not on the manifest. */
static bool is_hold_to_end(const struct lock_look *l, bool held)
{
	return !held && (l->there.hold ? l->is_ours : l->known.is_held);
}

static int follow_legal_hold(struct lock_look *l, const struct manifest *m, bool held, struct error *err)
{
	int r = held ? catalog_begin_hold(l->repo->catalog, l->ino, err) : 0;

	if (r == 0)
		r = artifact_lock_whole(l->store, l->call, m, NULL, held, err);
	if (r == 0)
		l->there.hold = held;
	return r;
}

static int do_what_is_due(struct lock_look *l, struct error *err)
{
	bool held = catalog_is_held(l->repo->catalog, l->ino, clock_now_us());
	bool changes = is_hold_to_end(l, held) || (held && !l->there.hold);
	_cleanup(manifest) struct manifest m = {0};
	struct store_lock wanted;
	int r = 0;

	wanted_lock(l, &wanted);
	if (l->features.lock_mode == STORE_LOCK_NONE || (wanted.until_us <= l->there.until_us && !changes))
		return 0;
	r = artifact_fetch(l->repo, l->store, l->call, l->path, &m, err);
	if (r != 0)
		return r < 0 ? r : -EBADMSG;
	if (has_adopted(&m))
		return 0;
	if (wanted.until_us > l->there.until_us) {
		r = artifact_lock_whole(l->store, l->call, &m, &wanted, false, err);
		if (r == 0) {
			l->there.mode = wanted.mode;
			l->there.until_us = wanted.until_us;
		}
	}
	return r == 0 && changes ? follow_legal_hold(l, &m, held, err) : r;
}

static int settle_lock(struct repository *repo, const struct store_call *call, uint64_t ino, const char *path,
                       struct error *err)
{
	_cleanup(store) struct store *store = NULL;
	struct lock_look l = {.repo = repo, .call = call, .ino = ino, .path = path};
	int r = catalog_lock_of(repo->catalog, ino, &l.known);

	if (r < 0)
		return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
	r = repository_store_of(repo, path, &store, err);
	if (r < 0)
		return r;
	l.store = store;
	r = look_at_lock(&l, err);
	/* It has no manifest any more, which is told elsewhere: what was known stays, and nothing is due. */
	if (r == -ENOENT) {
		l.there = (struct store_lock){.mode = (enum store_lock_mode)l.known.mode,
		                              .until_us = l.known.until_us,
		                              .hold = l.known.is_held};
		r = 0;
	} else if (r == 0) {
		r = do_what_is_due(&l, err);
	}
	return r < 0 ? r : note_lock(&l, 0, err);
}

static int lock_as_known(const struct lock_look *l, const struct manifest *m, struct error *err)
{
	const struct store_lock lock = {
	        .mode = l->known.mode != STORE_LOCK_NONE ? (enum store_lock_mode)l->known.mode
	                                                 : l->features.lock_mode,
	        .until_us = l->known.until_us,
	};
	int r = lock.until_us > clock_of(&l->features)
	                ? artifact_lock_whole(l->store, l->call, m, &lock, false, err)
	                : 0;

	if (r == 0 && catalog_is_held(l->repo->catalog, l->ino, clock_now_us()))
		r = artifact_lock_whole(l->store, l->call, m, NULL, true, err);
	return r;
}

int artifact_lock_again(struct repository *repo, const struct manifest *m, struct cancel *cancel,
                        struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	_cleanup(store) struct store *store = NULL;
	struct lock_look l = {.repo = repo, .call = &call, .ino = ino_of_artifact(m->path), .path = m->path};
	int r = catalog_lock_of(repo->catalog, l.ino, &l.known);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = repository_store_of(repo, m->path, &store, err);
	l.store = store;
	if (r == 0)
		r = store_features(store, &l.features, err);
	if (r < 0 || l.features.lock_mode == STORE_LOCK_NONE)
		return r;
	r = lock_as_known(&l, m, err);
	if (r < 0)
		error_prefix(
		        err,
		        "%s is right again, but not all of it could be locked again, so order that once more",
		        m->path);
	return r;
}

static void note_failed_lock(struct repository *repo, uint64_t ino, const char *path, const struct error *why,
                             bool is_told)
{
	if (!is_told)
		log_warning(
		        "the lock of %s in the store could not be brought up to date, and is tried again: %s",
		        path, why->message);
	catalog_lock_failed(repo->catalog, ino, why->message, clock_now_us(), NULL);
}

/* Of one attempt. */
struct settling_locks {
	struct repository *repo;
	const struct store_call *call;
	struct artifact_broken broken; /* stores that do not answer, but the main one */
	bool is_main_broken;
	unsigned tried, failed;
};

/* That one object may not be locked says nothing about others; that a store does not answer does. */
static void note_silent_store(struct settling_locks *s, uint64_t store, const struct error *why)
{
	if (!why->retry)
		return;
	s->is_main_broken = s->is_main_broken || store == CATALOG_MAIN_STORE;
	artifact_note_broken(&s->broken, store);
}

static void settle_due_lock(struct settling_locks *s, uint64_t ino, const char *path, bool *ret_failed)
{
	uint64_t store = CATALOG_MAIN_STORE;
	struct error why = {0};

	catalog_store_of(s->repo->catalog, path, &store);
	if (store == CATALOG_MAIN_STORE ? s->is_main_broken : artifact_is_broken(&s->broken, store)) {
		*ret_failed = true;
		return;
	}
	s->tried++;
	if (settle_lock(s->repo, s->call, ino, path, &why) == 0)
		return;
	*ret_failed = true;
	if (cancel_is_set(s->call->cancel))
		return;
	note_failed_lock(s->repo, ino, path, &why, s->failed++ > 0);
	note_silent_store(s, store, &why);
}

/* What needs packs was locked for longer, or is new, or is known to need them since a moment ago. */
static int want_pack_locks_in_turn(struct repository *repo, const struct artifact_lock_turn *turn,
                                   struct error *err)
{
	uint64_t count = 0;

	return turn->after == 0 ? catalog_want_pack_locks(repo->catalog, &count, err) : 0;
}

static int settle_some_locks(struct settling_locks *s, struct artifact_lock_turn *turn, struct error *err)
{
	while (s->tried < AT_ONCE && !cancel_is_set(s->call->cancel)) {
		_cleanup(free) char *path = NULL;
		int r = catalog_next_due_lock(s->repo->catalog, turn->after, &turn->after, &path);

		if (r < 0 && r != -ENOENT)
			return error_system(err, -r, "the catalog cannot be read");
		if (r == -ENOENT) {
			turn->after = 0;
			return 0;
		}
		settle_due_lock(s, turn->after, path, &turn->failed);
	}
	return ARTIFACT_LOCKS_MORE;
}

int artifact_settle_locks(struct repository *repo, const struct store_call *call,
                          struct artifact_lock_turn *turn, struct error *err)
{
	struct settling_locks s = {.repo = repo, .call = call};
	int r = want_pack_locks_in_turn(repo, turn, err);

	if (r == 0)
		r = settle_some_locks(&s, turn, err);

	if (s.failed > 1)
		log_warning("the locks of %u more backups could not be brought up to date either",
		            s.failed - 1);
	cleanup_artifact_broken(&s.broken);
	return r;
}

void artifact_locks_changed(struct repository *repo)
{
	artifact_left(repo);
}

void artifact_follow_hold(struct repository *repo, uint64_t ino, const char *path)
{
	const struct store_call call = {0};
	struct error why = {0};

	if (settle_lock(repo, &call, ino, path, &why) == 0)
		return;
	note_failed_lock(repo, ino, path, &why, false);
	artifact_left(repo);
}

/* Packs, when an artifact that needs them is listed. */

struct packs_to_lock {
	struct repository *repo;
	const struct store_call *call;
	uint64_t *inos;
	size_t count;
	pthread_mutex_t mutex;
	size_t next;     /* mutex */
	unsigned failed; /* mutex */
};

static void add_pack_to_lock(void *arg, uint64_t ino)
{
	struct packs_to_lock *p = arg;
	struct catalog_lock known;

	if (catalog_lock_of(p->repo->catalog, ino, &known) < 0 || known.wanted_us <= known.until_us)
		return;
	if ((p->count & (p->count - 1)) == 0)
		p->inos = mem_resize(p->inos, p->count ? 2 * p->count : 1, sizeof(ino));
	p->inos[p->count++] = ino;
}

/* 0: there is none any more. */
static uint64_t take_pack_to_lock(struct packs_to_lock *p)
{
	uint64_t ino;

	pthread_mutex_lock(&p->mutex);
	ino = p->next < p->count && !cancel_is_set(p->call->cancel) ? p->inos[p->next++] : 0;
	pthread_mutex_unlock(&p->mutex);
	return ino;
}

static void lock_packs_of_turn(void *arg)
{
	struct packs_to_lock *p = arg;
	uint64_t ino;

	while ((ino = take_pack_to_lock(p))) {
		_cleanup(free) char *path = catalog_path(p->repo->catalog, ino);
		struct error why = {0};

		if (!path || settle_lock(p->repo, p->call, ino, path, &why) == 0)
			continue;
		pthread_mutex_lock(&p->mutex);
		note_failed_lock(p->repo, ino, path, &why, p->failed++ > 0);
		pthread_mutex_unlock(&p->mutex);
	}
}

static void lock_packs_by_many(struct packs_to_lock *p)
{
	struct store_features f = {0};
	struct workers *workers = NULL;

	if (p->count > 1 && store_features(p->repo->store, &f, NULL) == 0 && f.parallel > 1)
		workers = workers_new("lock", f.parallel);
	for (unsigned i = 0; workers && i < f.parallel; i++)
		workers_add(workers, lock_packs_of_turn, p);
	if (!workers)
		lock_packs_of_turn(p);
	workers_free(workers); /* when they are done */
}

void artifact_lock_packs_of(struct repository *repo, const struct manifest *m, struct cancel *cancel)
{
	const struct store_call call = {.cancel = cancel};
	struct packs_to_lock p = {.repo = repo, .call = &call};
	uint64_t missing = 0, due = 0;
	struct error why = {0};

	if (!m->needs || !m->locked_until_us)
		return;
	pthread_mutex_init(&p.mutex, NULL);
	if (catalog_want_pack_locks(repo->catalog, &due, &why) < 0)
		log_warning("the locks of the packs that %s needs are looked at later: %s", m->path,
		            why.message);
	if (due > 0 && catalog_each_needed_pack(repo->catalog, ino_of_artifact(m->path), add_pack_to_lock, &p,
	                                        &missing) == 0)
		lock_packs_by_many(&p);
	pthread_mutex_destroy(&p.mutex);
	free(p.inos);
	/* What was not done is due. */
	artifact_left(repo);
}

/* Before it is removed. */

static int refuse_removal(const struct lock_look *l, struct error *err)
{
	char until[CLOCK_ISO_BYTES];

	if (l->there.hold && catalog_is_held(l->repo->catalog, l->ino, clock_now_us()))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "%s is held and cannot be removed: it has a legal hold in the store. Whoever may end that writes into control/hold: %s off",
		        l->path, l->path);
	if (l->there.hold)
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "%s has a legal hold in the store that keepfs has not set: whoever has set it ends it there, with the store's own tools",
		        l->path);
	return error_set(err, ERROR_DENIED, EPERM,
	                 "%s is locked in the store until %s: nobody can delete it before, try again then",
	                 l->path, clock_format_iso(l->there.until_us, until));
}

/* Its hold has ended by itself. */
static int end_legal_hold(struct lock_look *l, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	int r = artifact_fetch(l->repo, l->store, l->call, l->path, &m, err);

	if (r == 0)
		r = follow_legal_hold(l, &m, false, err);
	return r > 0 ? -EBADMSG : r;
}

int artifact_check_unlocked(struct repository *repo, struct store *store, const struct store_call *call,
                            uint64_t ino, const char *path, struct error *err)
{
	struct lock_look l = {.repo = repo, .call = call, .ino = ino, .path = path, .store = store};
	struct error why = {0};
	int r;

	catalog_lock_of(repo->catalog, ino, &l.known);
	r = look_at_lock(&l, &why);
	if (r == -ENOENT) /* there is nothing left to lock */
		return 0;
	if (r == 0 && is_hold_to_end(&l, catalog_is_held(repo->catalog, ino, clock_now_us())))
		r = end_legal_hold(&l, &why);
	if (r < 0) {
		error_prefix(&why, "%s stays, since it cannot be found out whether it is locked", path);
		if (err)
			*err = why;
		return r;
	}
	if (was_ever_locked(&l))
		note_lock(&l, l.known.wanted_us, NULL);
	if (l.there.hold || l.there.until_us > clock_of(&l.features))
		return refuse_removal(&l, err);
	return 0;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Object lock of copies. A copy is locked by the rules of its own store, when it is whole there: all objects first, and the manifest last, so that the manifest's lock tells of the whole copy. How long is
 * known by the periods that the backup is the first of, which are those of its birth; no lock is ever made shorter. What could not be locked is a copy all the same: that is noted, told by health, and
 * tried again.
 */
#include "replica_private.h"

#include <keepfs/artifact/stored.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/zone.h>
#include <keepfs/catalog/copy_needs.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/replica_locks.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <string.h>

struct copy_locks {
	const struct replica_order *order;
	struct store *store;
	struct store_call call;
	struct retention_lock_terms terms;
	struct zone *zone;
	char *zone_name; /* heap: what @zone is of; "": this host's */
	uint64_t failed;
};

static void copy_locks_finish(struct copy_locks *l)
{
	zone_free(l->zone);
	free(l->zone_name);
}

/* One copy. */
struct copy_lock {
	const struct catalog_replica *row;
	const struct manifest *m; /* NULL: it was not read yet */
	bool anew;                /* some of its objects were put just now */
	struct catalog_replica_lock known;
	bool is_known;
	struct retention_lock wanted;
	bool held;
};

static int load_zone_of_copy(struct copy_locks *l, const struct conf_job *job, struct error *err)
{
	const char *name = str_or_empty(conf_zone_name(l->order->conf, job));
	struct zone *zone = NULL;
	int r;

	if (l->zone && str_equal(l->zone_name, name))
		return 0;
	r = zone_load(*name ? name : NULL, &zone, err);
	if (r < 0)
		return r;
	zone_free(l->zone);
	l->zone = zone;
	mem_replace_string(&l->zone_name, name);
	return 0;
}

/* Nothing takes the place of what is not named by its time. */
static bool has_name_of_its_own(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	_cleanup(free) char *stem = mem_printf("%.*s", (int)strcspn(name, "."), name);

	return name_sequence(stem) < 0;
}

/* As long as the copy that is locked longest of those that need it. */
static int find_wanted_of_pack(struct copy_locks *l, struct copy_lock *c, struct error *err)
{
	int64_t until_us = 0;
	int r = catalog_pack_copy_lock(l->order->repository->catalog, c->row->path, l->order->store,
	                               &until_us);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	c->wanted.until_s = (until_us + US_PER_S - 1) / US_PER_S;
	return 0;
}

/* The rules are of a job that is configured: of one that is gone nobody says how long. */
static int find_wanted(struct copy_locks *l, struct copy_lock *c, struct error *err)
{
	const struct catalog_replica *row = c->row;
	const struct conf_job *job = conf_find_job(l->order->conf, row->job);
	const struct retention_backup b = {.at_s = row->started_at_us / US_PER_S,
	                                   .keep_until_s = row->keep_until_us / US_PER_S,
	                                   .tiers = (uint16_t)(c->known.tiers > 0 ? c->known.tiers : 0)};
	struct retention_rules rules;
	int r;

	c->wanted = (struct retention_lock){0};
	if (tree_is_pack(row->path))
		return find_wanted_of_pack(l, c, err);
	if (!job)
		return 0;
	r = load_zone_of_copy(l, job, err);
	if (r < 0)
		return r;
	conf_copy_rules(l->order->conf, job, row->class, l->order->named, &rules);
	l->terms.forever = has_name_of_its_own(row->path);
	retention_lock_of(&rules, l->zone, &b, &l->terms, &c->wanted);
	return 0;
}

static bool is_lock_due(const struct copy_locks *l, const struct copy_lock *c)
{
	return c->m || !c->is_known || c->known.failed_us > 0 || c->held != c->known.is_held ||
	       (!c->wanted.is_doubtful &&
	        retention_lock_is_due(&c->wanted, c->known.until_us / US_PER_S, l->terms.now_s));
}

/* A server may take locks and keep none. */
static int see_that_copy_is_locked(struct copy_locks *l, const char *key, int64_t until_us, struct error *err)
{
	struct store_lock there = {0};
	int r = store_lock_get(l->store, &l->call, key, &there, err);

	if (r < 0 || (there.mode != STORE_LOCK_NONE && there.until_us >= until_us))
		return r;
	return error_set(
	        err, ERROR_CONFLICT, EIO,
	        "%s took a lock of %s, and does not say that it has one: it accepts locks and does not keep them",
	        l->store->name, key);
}

/* Of several versions the last one is what has to be locked: for as long as the one before was, at least. */
static int lock_copy(struct copy_locks *l, struct copy_lock *c, const char *key, struct store_lock *there,
                     struct error *err)
{
	int64_t until_us = c->wanted.until_s * US_PER_S;
	struct store_lock lock = {0};
	int r;

	if (until_us < c->known.until_us)
		until_us = c->known.until_us;
	if (until_us < there->until_us)
		until_us = there->until_us;
	if (until_us <= l->terms.now_s * US_PER_S || (until_us <= there->until_us && !c->anew))
		return 0;
	r = artifact_lock_of(l->store, ARTIFACT_LOCK_BACKUP, until_us, &lock, err);
	if (r <= 0 || (lock.until_us <= there->until_us && !c->anew))
		return r < 0 ? r : 0;
	if (lock.until_us < there->until_us)
		lock.until_us = there->until_us;
	if (there->mode != STORE_LOCK_NONE)
		lock.mode = there->mode;
	r = artifact_lock_whole(l->store, &l->call, c->m, &lock, false, err);
	if (r == 0)
		r = see_that_copy_is_locked(l, key, lock.until_us, err);
	if (r == 0) {
		there->mode = lock.mode;
		there->until_us = lock.until_us;
	}
	return r;
}

/* One that somebody else has set stays. What is noted first is what a crash leaves on some objects. */
static int hold_copy(struct copy_locks *l, struct copy_lock *c, struct store_lock *there, struct error *err)
{
	bool sets = c->held && (!there->hold || c->anew), ends = !c->held && c->known.is_held;
	int r;

	if (!sets && !ends)
		return 0;
	c->known.is_held = true;
	r = sets && !there->hold ? catalog_set_replica_lock(l->order->repository->catalog, c->row->path,
	                                                    l->order->store, &c->known, err)
	                         : 0;
	if (r == 0)
		r = artifact_lock_whole(l->store, &l->call, c->m, NULL, c->held, err);
	if (r == 0)
		there->hold = c->held;
	return r;
}

static int bring_lock_up_to_date(struct copy_locks *l, struct copy_lock *c, struct error *err)
{
	_cleanup(free) char *key = manifest_key(c->row->path);
	struct store_lock there = {0};
	int r = store_lock_get(l->store, &l->call, key, &there, err);

	if (r == 0)
		r = lock_copy(l, c, key, &there, err);
	if (r == 0)
		r = hold_copy(l, c, &there, err);
	if (r < 0)
		return r;
	c->known.mode = (int)there.mode;
	c->known.until_us = there.until_us;
	c->known.is_held = there.hold && c->held;
	c->known.failed_us = 0;
	c->known.why[0] = '\0';
	return 0;
}

/* Those of its birth; of an old manifest what was found out since. */
static int tiers_of_copy(struct copy_locks *l, const struct manifest *m)
{
	int tiers = m->tiers_known ? (int)m->tiers : 0;

	if (!m->tiers_known)
		catalog_artifact_tiers(l->order->repository->catalog, ino_of_artifact(m->path), &tiers);
	return tiers > 0 ? tiers : 0;
}

static int note_copy_lock(struct copy_locks *l, struct copy_lock *c, int r, const struct error *why,
                          struct error *err)
{
	struct catalog *catalog = l->order->repository->catalog;
	int noted;

	if (r < 0 && r != -ECANCELED) {
		if (c->known.failed_us == 0)
			c->known.failed_us = clock_now_us();
		str_cut(c->known.why, sizeof(c->known.why), why->message);
		l->failed++;
	}
	if (r < 0 && err)
		*err = *why;
	if (r == -ECANCELED)
		return r;
	noted = catalog_set_replica_lock(catalog, c->row->path, l->order->store, &c->known,
	                                 r == 0 ? err : NULL);
	return r < 0 ? r : noted;
}

static int settle_with_manifest(struct copy_locks *l, struct copy_lock *c, struct error *err)
{
	struct error why = {0};
	int r;

	c->known.tiers = tiers_of_copy(l, c->m);
	r = find_wanted(l, c, &why);
	if (r == 0)
		r = bring_lock_up_to_date(l, c, &why);
	return note_copy_lock(l, c, r, &why, err);
}

/* Of one that is not listed any more it is asked when it had a hold: that ends when somebody ends it, and not since the backup is lost here. */
static int find_hold_of_copy(struct copy_locks *l, struct copy_lock *c, struct error *err)
{
	const struct repository *repo = l->order->repository;
	int r = 0;

	if (c->row->is_listed)
		c->held = catalog_is_held(repo->catalog, c->row->ino, clock_now_us());
	else if (c->known.is_held && !c->row->is_released)
		r = artifact_is_held_there(repo, l->store, &l->call, c->row->path, clock_now_us(), err);
	if (!c->row->is_listed)
		c->held = r > 0;
	return r < 0 ? r : 0;
}

static int settle_copy_lock(struct copy_locks *l, struct copy_lock *c, struct error *err)
{
	struct catalog *catalog = l->order->repository->catalog;
	_cleanup(manifest) struct manifest m = {0};
	int r = catalog_replica_lock(catalog, c->row->path, l->order->store, &c->known);

	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	c->is_known = r == 0 && c->known.tiers >= 0;
	r = find_hold_of_copy(l, c, err);
	if (r == 0)
		r = find_wanted(l, c, err);
	if (r < 0 || !is_lock_due(l, c))
		return r;
	if (c->m)
		return settle_with_manifest(l, c, err);
	r = artifact_fetch(l->order->repository, l->store, &l->call, c->row->path, &m, err);
	/* What is wrong with it is found by reading it. */
	if (r != 0)
		return r == -ENOENT || r == ARTIFACT_UNUSABLE || r == -ENOTSUP ? 0 : r;
	c->m = &m;
	r = settle_with_manifest(l, c, err);
	c->m = NULL;
	return r;
}

/* 1; 0: nothing is locked there. */
static int begin_copy_locks(struct copy_locks *l, const struct replica_order *o, struct store *store,
                            struct error *err)
{
	*l = (struct copy_locks){.order = o, .store = store, .call = {.cancel = o->cancel}};
	return artifact_lock_terms(store, &l->terms, err);
}

static int lock_needed_pack(void *arg, const char *pack, struct error *err)
{
	struct copy_locks *l = arg;
	struct catalog_replica row;
	struct copy_lock c = {.row = &row};
	int r = catalog_replica(l->order->repository->catalog, pack, l->order->store, &row);

	if (r < 0)
		return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
	r = settle_copy_lock(l, &c, err);
	if (r < 0)
		error_prefix(err, "%s, which it needs", pack);
	return r;
}

static int lock_needed_packs(struct copy_locks *l, const struct copy_lock *c, struct error *err)
{
	if (c->known.until_us <= l->terms.now_s * US_PER_S)
		return 0;
	return replica_each_pack_to_lock(l->order, c->row->path, c->known.until_us, lock_needed_pack, l, err);
}

void replica_lock(const struct replica_order *o, struct store *store, const struct catalog_replica *row,
                  const struct manifest *m, bool anew)
{
	struct copy_lock c = {.row = row, .m = m, .anew = anew};
	struct copy_locks l;
	struct error why = {0};
	int r = begin_copy_locks(&l, o, store, &why);

	if (r > 0)
		r = settle_copy_lock(&l, &c, &why);
	if (r == 0)
		r = lock_needed_packs(&l, &c, &why);
	copy_locks_finish(&l);
	if (r < 0 && r != -ECANCELED)
		log_warning(
		        "the copy of %s in %s is whole, and could not be locked there, which is tried again: %s",
		        row->path, o->named->name, why.message);
}

static int lock_known_copy(void *arg, const struct catalog_replica *row, struct error *err)
{
	struct copy_locks *l = arg;
	struct copy_lock c = {.row = row};
	struct error why = {0};
	int r = 0;

	if (row->state == REPLICA_WHOLE || row->state == REPLICA_REMOVED)
		r = settle_copy_lock(l, &c, &why);
	if (r == 0)
		return 0;
	/* That one may not be locked says nothing about others; that a store does not answer does. */
	if (r != -ECANCELED && !why.retry && c.known.failed_us > 0) {
		if (l->failed == 1)
			log_warning(
			        "the copy of %s in %s could not be locked there, which is tried again: %s",
			        row->path, l->order->named->name, why.message);
		return 0;
	}
	if (err)
		*err = why;
	return r;
}

int replica_lock_all(const struct replica_order *o, uint64_t *ret_failed, struct error *err)
{
	_cleanup(store) struct store *store = NULL;
	struct copy_locks l;
	int r = repository_open_store(o->repository, o->store, &store, err);

	*ret_failed = 0;
	if (r == 0)
		r = begin_copy_locks(&l, o, store, err);
	if (r <= 0)
		return r;
	r = catalog_each_replica(o->repository->catalog, NULL, o->store, lock_known_copy, &l, err);
	*ret_failed = l.failed;
	copy_locks_finish(&l);
	return r;
}

/* Before it is removed. */

static int put_off_copy(const struct replica_order *o, const char *path, struct catalog_replica_lock *known,
                        const struct store_lock *there, struct error *err)
{
	char until[CLOCK_ISO_BYTES];
	int r;

	known->mode = (int)there->mode;
	known->until_us = there->until_us;
	known->is_put_off = true;
	r = catalog_set_replica_lock(o->repository->catalog, path, o->store, known, err);
	if (r < 0)
		return r;
	log_info("the copy of %s stays in %s: no rule of that store keeps it any more, and it %s%s", path,
	         o->named->name, there->hold ? "has a legal hold there" : "is locked there until ",
	         there->hold ? "" : clock_format_iso(there->until_us, until));
	return REPLICA_LOCKED;
}

/* The store's word counts: an object with a lock can be deleted by its name all the same, and would be hidden, and stored on. */
int replica_check_unlocked(const struct replica_order *o, struct store *store, const char *path,
                           struct error *err)
{
	const struct store_call call = {.cancel = o->cancel};
	struct catalog_replica_lock known = {0};
	struct store_features f = {0};
	struct store_lock there = {0};
	_cleanup(free) char *key = manifest_key(path);
	struct copy_locks l = {.order = o, .store = store, .call = call};
	_cleanup(manifest) struct manifest m = {0};
	int r = store_features(store, &f, err);

	if (r < 0)
		return r;
	if (catalog_replica_lock(o->repository->catalog, path, o->store, &known) < 0)
		known.tiers = -1;
	if (f.lock_mode == STORE_LOCK_NONE && known.until_us == 0 && !known.is_held)
		return 0;
	r = store_lock_get(store, &call, key, &there, err);
	/* There is nothing left to lock; or the store has no locks any more. */
	if (r == -ENOENT || r == -ENOTSUP)
		return 0;
	if (r == 0 && known.is_held) {
		struct copy_lock c = {.m = &m, .known = known};

		r = artifact_fetch(o->repository, store, &call, path, &m, err);
		r = r > 0 ? -EBADMSG : r < 0 ? r : hold_copy(&l, &c, &there, err);
	}
	if (r < 0)
		return r;
	if (there.hold || there.until_us > (f.clock_us ? f.clock_us : clock_now_us()))
		return put_off_copy(o, path, &known, &there, err);
	return 0;
}

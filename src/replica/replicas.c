// SPDX-License-Identifier: Apache-2.0
/*
 * The threads: one for each further store, so that one that is slow, or away, holds up no other. Each does one thing after the other, and sleeps in between
 * until something is listed or removed, a window opens, another attempt is due, or its daily comparison.
 *
 * What was listed is told by whoever listed it, on his thread, which only notes it: he waits for nothing here.
 */
#include "replica_private.h"

#include <keepfs/artifact/stored.h>
#include <keepfs/base/alarm.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/base/zone.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/copy_tree.h>
#include <keepfs/codec/name.h>
#include <keepfs/policy/blackout.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define COMPARE_US   (INT64_C(86400) * US_PER_S)
#define WATCH_US     (INT64_C(3600) * US_PER_S) /* a reader looks what is there */
#define PAUSE_MS     INT64_C(60000)
#define PAUSE_MAX_MS INT64_C(3600000)
#define LISTED_MAX   256 /* that are noted one by one; of more all are looked through */

struct listed {
	uint64_t ino;
	char *job;
};

struct lane {
	struct replicas *all;
	char *name; /* of the section */
	struct alarm alarm;
	pthread_t thread;
	bool has_thread;
	struct cancel cancel;
	struct listed listed[LISTED_MAX]; /* all->lock */
	size_t listed_count;              /* all->lock */
	bool look_at_all; /* all->lock: at a start, after a reload, when too many were listed */
	bool settle;      /* all->lock: something was removed */
	bool is_marked;   /* all->lock: who holds something has changed */
	/* Of its thread: */
	int64_t pause_ms; /* after the next failure of the store */
	int64_t paused_until_us;
	int64_t rate_bytes; /* what @rate is of */
	struct rate *rate;
	struct replica_beside beside;
	bool beside_due;     /* something was listed or removed since */
	bool holds_due;      /* it is time to say there who holds what is copied */
	bool locks_due;      /* it is time to look which copies are to be locked for longer, or held */
	int64_t locks_at_us; /* or it will be then: some could not be; 0: not so */
	bool is_behind;      /* what the further store says of itself does not tell of all that was copied */
	struct blackout *window; /* of the configuration that it works by; NULL: any time */
	struct zone *zone;
	struct lane *next;
};

struct replicas {
	struct repository *repository;
	struct conf_live *live;
	struct artifact_events events;
	bool reads_only;
	pthread_mutex_t lock;
	struct lane *lanes; /* lock: only added to */
	atomic_bool ends;
};

/* What is told. */

static void note_listed(void *arg, const struct manifest *m)
{
	struct replicas *r = arg;

	pthread_mutex_lock(&r->lock);
	for (struct lane *l = r->lanes; l; l = l->next) {
		if (l->listed_count < LISTED_MAX)
			l->listed[l->listed_count++] =
			        (struct listed){.ino = ino_of_artifact(m->path), .job = mem_strdup(m->job)};
		else
			l->look_at_all = true;
		alarm_wake(&l->alarm);
	}
	pthread_mutex_unlock(&r->lock);
}

static void note_removed(void *arg, const struct artifact_removed *what)
{
	struct replicas *r = arg;

	pthread_mutex_lock(&r->lock);
	for (struct lane *l = r->lanes; l; l = l->next) {
		l->settle = true;
		alarm_wake(&l->alarm);
	}
	pthread_mutex_unlock(&r->lock);
}

static void note_marked(void *arg, const char *path)
{
	struct replicas *r = arg;

	pthread_mutex_lock(&r->lock);
	for (struct lane *l = r->lanes; l; l = l->next) {
		l->is_marked = true;
		alarm_wake(&l->alarm);
	}
	pthread_mutex_unlock(&r->lock);
}

/* By whoever has read it. What it is is in the catalog. */
static void note_copy_lost(void *arg, const char *path)
{
	struct replicas *r = arg;

	pthread_mutex_lock(&r->lock);
	for (struct lane *l = r->lanes; l; l = l->next)
		alarm_wake(&l->alarm);
	pthread_mutex_unlock(&r->lock);
}

/* What is wanted. */

static int want_all(struct lane *l, const struct conf *conf, uint64_t store, struct error *err)
{
	struct catalog *catalog = l->all->repository->catalog;
	int r = 0;

	for (size_t i = 0; r == 0 && i < conf->job_count; i++) {
		const struct conf_job *job = &conf->jobs[i];

		r = conf_has_copies(job, l->name)
		            ? catalog_want_replicas(catalog, job->name, store, clock_now_us(), err)
		            : catalog_drop_unwanted_replicas(catalog, job->name, store, err);
	}
	return r;
}

static int want_listed(struct lane *l, const struct conf *conf, uint64_t store, const struct listed *listed,
                       struct error *err)
{
	const struct conf_job *job = conf_find_job(conf, listed->job);

	if (!job || !conf_has_copies(job, l->name))
		return 0;
	return catalog_want_replica(l->all->repository->catalog, listed->ino, store, clock_now_us(), err);
}

static int take_news(struct lane *l, const struct conf *conf, uint64_t store, struct error *err)
{
	struct listed listed[LISTED_MAX];
	size_t count;
	bool all, settle;
	int r = 0;

	pthread_mutex_lock(&l->all->lock);
	count = l->listed_count;
	memcpy(listed, l->listed, count * sizeof(*listed));
	l->listed_count = 0;
	all = l->look_at_all;
	settle = l->settle || all || count > 0;
	l->locks_due = l->locks_due || l->is_marked || all;
	l->holds_due = l->holds_due || l->is_marked || all;
	l->look_at_all = l->settle = l->is_marked = false;
	pthread_mutex_unlock(&l->all->lock);
	l->beside_due = l->beside_due || settle;
	if (all)
		l->beside = (struct replica_beside){0};
	/* First what was removed: another artifact may have got its name meanwhile, and is wanted by that. */
	if (settle)
		r = catalog_settle_replicas(l->all->repository->catalog, store, clock_now_us(), err);
	for (size_t i = 0; i < count; i++) {
		if (r == 0)
			r = want_listed(l, conf, store, &listed[i], err);
		free(listed[i].job);
	}
	/* Somebody may have mended what was in the way. */
	if (all)
		l->paused_until_us = 0;
	if (r == 0 && all)
		r = want_all(l, conf, store, err);
	if (r == 0 && all)
		r = catalog_retry_replicas(l->all->repository->catalog, store, err);
	if (r == 0 && settle)
		r = catalog_sweep_copy_tree(l->all->repository->catalog, err);
	if (r < 0) {
		pthread_mutex_lock(&l->all->lock);
		l->look_at_all = true;
		pthread_mutex_unlock(&l->all->lock);
	}
	return r;
}

/* When. */

/* -ECANCELED; else the window is open. */
static int wait_for_window(void *arg, struct error *err)
{
	struct lane *l = arg;

	for (;;) {
		int64_t now_s = clock_now_us() / US_PER_S,
		        opens_s = blackout_begin(l->window, l->zone, now_s);

		if (opens_s <= now_s)
			return 0;
		if (cancel_sleep_ms(&l->cancel, (opens_s - now_s) * 1000))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	}
}

static int set_up_lane(struct lane *l, const struct conf *conf, const struct conf_named_store *named,
                       struct error *err)
{
	int r;

	l->window = blackout_free(l->window);
	l->zone = zone_free(l->zone);
	r = blackout_parse(named->window, &l->window, err);
	if (r == 0)
		r = zone_load(*str_or_empty(conf->timezone) ? conf->timezone : NULL, &l->zone, err);
	if (!l->rate || l->rate_bytes != (int64_t)named->rate_bytes) {
		rate_free(l->rate);
		l->rate = rate_new(named->rate_bytes);
		l->rate_bytes = (int64_t)named->rate_bytes;
	}
	return r;
}

/* What is done. */

static void note_store_state(struct lane *l, uint64_t store, const struct error *why)
{
	struct catalog *catalog = l->all->repository->catalog;
	struct catalog_replica_store state;

	if (catalog_replica_store(catalog, store, &state) < 0 || (!why && !state.failing_since_us))
		return;
	if (!why)
		state.failing_since_us = 0;
	else if (!state.failing_since_us)
		state.failing_since_us = clock_now_us();
	str_cut(state.error, sizeof(state.error), why ? why->message : "");
	(void)catalog_set_replica_store(catalog, store, &state, NULL);
}

/* The further store failed: it is left alone for a while. */
static void pause_lane(struct lane *l, uint64_t store, const struct error *why)
{
	note_store_state(l, store, why);
	log_warning("copies in %s wait, and are tried again: %s", l->name, why->message);
	l->paused_until_us = clock_now_us() + l->pause_ms * 1000;
	l->pause_ms = l->pause_ms < PAUSE_MAX_MS / 2 ? 2 * l->pause_ms : PAUSE_MAX_MS;
}

static void end_pause(struct lane *l, uint64_t store)
{
	l->pause_ms = PAUSE_MS;
	note_store_state(l, store, NULL);
}

/* It was the store of the catalog, or the catalog. One backup that is damaged keeps no other from being copied. */
static void wait_for_source(struct lane *l, const char *path, const struct error *why)
{
	log_warning("%s is not copied to %s yet: %s", path, l->name, why->message);
	/* What is frozen keeps no other from being copied, either. */
	if (why->class != ERROR_CORRUPT && why->class != ERROR_NOT_FOUND && !why->storage_class[0])
		l->paused_until_us = clock_now_us() + PAUSE_MS * 1000;
}

static bool copy_one(struct lane *l, const struct replica_order *o, const char *path)
{
	struct error err = {0};
	bool target_failed = false;
	int r = replica_make(o, path, &target_failed, &err);

	if (r >= 0)
		end_pause(l, o->store);
	if (r == REPLICA_CONFLICT)
		log_error("%s is not copied to %s: %s", path, l->name, err.message);
	else if (r < 0 && target_failed)
		pause_lane(l, o->store, &err);
	/* -EBUSY: somebody reads the copy by itself, and it has its next attempt. */
	else if (r < 0 && r != -ECANCELED && r != -ENOENT && r != -EBUSY)
		wait_for_source(l, path, &err);
	return r != -ECANCELED;
}

/* The other one is told of where it is noticed. */
static int pause_for_source(struct lane *l, const struct error *why)
{
	log_warning("what is to be copied to %s cannot be read, and is tried again: %s", l->name,
	            why->message);
	l->paused_until_us = clock_now_us() + PAUSE_MS * 1000;
	return 0;
}

/* Before what is newer is copied, since what the further store says of itself must not be older than what it has; and when all is copied. */
static int copy_lane_beside(struct lane *l, const struct replica_order *o, bool all, struct error *err)
{
	struct error why = {0};
	bool target_failed = false;
	int r;

	if (!l->beside_due && !all)
		return 0;
	r = replica_make_beside(o, &l->beside, all, &target_failed, &why);
	l->beside_due = r < 0;
	if (r >= 0 || r == -ECANCELED || target_failed) {
		if (r < 0 && err)
			*err = why;
		return r;
	}
	return pause_for_source(l, &why);
}

/* As what was removed just now makes them superfluous, too. */
static int follow_chain(struct lane *l, const struct replica_order *o, struct error *err)
{
	struct error why = {0};
	bool target_failed = false;
	int r = replica_follow_chain(o, &target_failed, &why);

	if (r < 0 && r != -ECANCELED && !target_failed)
		log_warning("%s: old links of the chain stay for now: %s", l->name, why.message);
	if (r < 0 && err)
		*err = why;
	return r == -ECANCELED || target_failed ? r : 0;
}

static int compare_daily(struct lane *l, const struct replica_order *o, int64_t *ret_next_us,
                         struct error *err)
{
	struct catalog *catalog = o->repository->catalog;
	struct catalog_replica_store state;
	int64_t now_us = clock_now_us();
	struct replica_order sure = *o;
	bool unsure = true;
	uint64_t removed;
	int r = catalog_replica_store(catalog, o->store, &state);

	*ret_next_us = state.compared_at_us + COMPARE_US;
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	/* A clock that was ahead has said so. */
	if (*ret_next_us > now_us && state.compared_at_us <= now_us + COMPARE_US)
		return 0;
	sure.unsure = &unsure;
	r = replica_compare(&sure, err);
	if (r == 0)
		r = copy_lane_beside(l, o, true, err);
	if (r == 0)
		r = replica_clean(&sure, &removed, err);
	if (r == 0)
		r = follow_chain(l, o, err);
	/* What was found to be lost, and what was removed, it does not have. */
	l->is_behind = l->locks_due = l->holds_due = true;
	/* A doubtful clock keeps what is there. */
	if (r < 0 && r != -EAGAIN)
		return r;
	state.compared_at_us = now_us;
	*ret_next_us = now_us + COMPARE_US;
	return catalog_set_replica_store(catalog, o->store, &state, err);
}

static int follow_holds_when_due(struct lane *l, const struct replica_order *o, struct error *err)
{
	struct error why = {0};
	bool target_failed = false;
	int r = l->holds_due ? replica_follow_holds(o, &target_failed, &why) : 0;

	l->holds_due = r < 0;
	if (r >= 0 || r == -ECANCELED || target_failed) {
		if (r < 0 && err)
			*err = why;
		return r;
	}
	return pause_for_source(l, &why);
}

/* Locks are made longer as time passes, or the rules keep more; a hold is followed at once. */
static int lock_when_due(struct lane *l, const struct replica_order *o, int64_t *ret_next_us,
                         struct error *err)
{
	uint64_t failed = 0;
	int r;

	*ret_next_us = l->locks_at_us ? l->locks_at_us : ALARM_NEVER;
	if (!l->locks_due && *ret_next_us > clock_now_us())
		return 0;
	r = replica_lock_all(o, &failed, err);
	if (r < 0)
		return r;
	l->locks_due = false;
	l->locks_at_us = failed > 0 ? clock_now_us() + PAUSE_MAX_MS * 1000 : 0;
	*ret_next_us = failed > 0 ? l->locks_at_us : ALARM_NEVER;
	return 0;
}

/* The one that was read longest ago, when four fifths of its time are over. */
static int read_again_slowly(struct lane *l, const struct replica_order *o, int64_t *ret_next_us,
                             struct error *err)
{
	int64_t pause_us = o->conf->store.scrub_within_ms * 800, now_us = clock_now_us();
	struct replica_order slow = *o;
	struct catalog_replica row;
	int r;

	*ret_next_us = ALARM_NEVER;
	if (pause_us == 0)
		return 0;
	r = catalog_least_verified_replica(o->repository->catalog, o->store, 0, &row);
	if (r < 0)
		return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
	*ret_next_us = row.verified_at_us + pause_us;
	if (*ret_next_us > now_us)
		return 0;
	slow.rate = rate_new(o->conf->store.scrub_rate_bytes);
	r = replica_verify(&slow, row.path, err);
	rate_free(slow.rate);
	*ret_next_us = now_us;
	return r == -EBADMSG || r == -ENOENT ? 0 : r;
}

static int64_t earliest_us(int64_t a_us, int64_t b_us)
{
	return a_us < b_us ? a_us : b_us;
}

/* Everything that is due. Returns when to look again. */
static int64_t work_lane(struct lane *l, struct replica_order *o)
{
	int64_t compare_us = 0, try_us = 0, read_us = 0, lock_us = 0;
	struct catalog_replica row;
	struct error err = {0};
	int r = compare_daily(l, o, &compare_us, &err);

	if (r == 0)
		r = replica_drop_abandoned(o, &err);
	if (r == 0)
		r = copy_lane_beside(l, o, false, &err);
	if (r == 0)
		r = follow_holds_when_due(l, o, &err);
	if (r == 0)
		r = lock_when_due(l, o, &lock_us, &err);
	if (r == 0 && l->paused_until_us > clock_now_us())
		return l->paused_until_us;
	if (r == 0) {
		r = catalog_next_replica(o->repository->catalog, o->store, clock_now_us(), &row, &try_us);
		if (r == 0) {
			(void)copy_one(l, o, row.path);
			l->is_behind = true;
			return 0;
		}
		r = r == -ENOENT ? 0 : r;
	}
	if (r == 0 && l->is_behind) {
		l->beside_due = true;
		r = copy_lane_beside(l, o, false, &err);
		l->is_behind = r < 0;
		/* What could not be locked when it was made has its next attempt. */
		l->locks_due = true;
		if (r == 0)
			r = lock_when_due(l, o, &lock_us, &err);
	}
	if (r == 0)
		r = read_again_slowly(l, o, &read_us, &err);
	if (r < 0) {
		if (r != -ECANCELED)
			pause_lane(l, o->store, &err);
		return 0;
	}
	end_pause(l, o->store);
	return earliest_us(earliest_us(compare_us, try_us), earliest_us(lock_us, read_us));
}

/* Of a reader. */

static bool take_lane_changes(struct lane *l)
{
	bool any;

	pthread_mutex_lock(&l->all->lock);
	any = l->settle || l->look_at_all || l->listed_count > 0;
	for (size_t i = 0; i < l->listed_count; i++)
		free(l->listed[i].job);
	l->listed_count = 0;
	l->look_at_all = l->settle = l->is_marked = false;
	pthread_mutex_unlock(&l->all->lock);
	return any;
}

static int watch_when_due(const struct replica_order *o, int64_t *ret_next_us, struct error *err)
{
	struct catalog *catalog = o->repository->catalog;
	struct catalog_replica_store state;
	int64_t now_us = clock_now_us();
	int r = catalog_replica_store(catalog, o->store, &state);

	*ret_next_us = state.compared_at_us + WATCH_US;
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (*ret_next_us > now_us && state.compared_at_us <= now_us + WATCH_US)
		return 0;
	r = replica_compare(o, err);
	if (r < 0)
		return r;
	state.compared_at_us = now_us;
	*ret_next_us = now_us + WATCH_US;
	return catalog_set_replica_store(catalog, o->store, &state, err);
}

/* Nothing is made: what is there is looked at, and what the first store has removed or brought back is told apart. */
static int64_t watch_lane(struct lane *l, struct replica_order *o)
{
	struct catalog *catalog = o->repository->catalog;
	int64_t next_us = ALARM_NEVER;
	struct error err = {0};
	bool changed = take_lane_changes(l);
	int r = watch_when_due(o, &next_us, &err);

	if (r == 0 && changed)
		r = catalog_settle_replicas(catalog, o->store, clock_now_us(), &err);
	if (r == 0 && changed)
		r = catalog_sweep_copy_tree(catalog, &err);
	if (r == -ECANCELED)
		return 0;
	if (r < 0) {
		log_warning("what %s has cannot be looked at, which is tried again: %s", l->name,
		            err.message);
		note_store_state(l, o->store, &err);
		return clock_now_us() + PAUSE_MAX_MS * 1000;
	}
	note_store_state(l, o->store, NULL);
	return next_us;
}

/* A reader need not have the jobs that make copies: where there are no exports, a section of a store can be for nothing else. */
static bool has_copies_there(const struct replicas *r, const struct conf *conf, const char *name)
{
	return conf_is_for_copies(conf, name) || (r->reads_only && !conf_find_export(conf));
}

static int64_t look_at_lane(struct lane *l, const struct conf *conf)
{
	const struct conf_named_store *named = conf_find_store(conf, l->name);
	struct replica_order o = {.repository = l->all->repository,
	                          .conf = conf,
	                          .named = named,
	                          .wait = wait_for_window,
	                          .arg = l,
	                          .cancel = &l->cancel,
	                          .reads_only = l->all->reads_only};
	int64_t now_us = clock_now_us(), opens_us;
	struct error err = {0};
	int r;

	if (!named || !has_copies_there(l->all, conf, l->name))
		return ALARM_NEVER;
	r = set_up_lane(l, conf, named, &err);
	if (r == 0)
		r = replica_store(o.repository->catalog, named, &o.store, &err);
	if (r == 0 && o.reads_only)
		return watch_lane(l, &o);
	if (r == 0)
		r = take_news(l, conf, o.store, &err);
	if (r < 0) {
		log_warning("copies in %s: %s", l->name, err.message);
		return now_us + PAUSE_MS * 1000;
	}
	if (l->paused_until_us > now_us)
		return l->paused_until_us;
	opens_us = blackout_begin(l->window, l->zone, now_us / US_PER_S) * US_PER_S;
	if (opens_us > now_us)
		return opens_us;
	o.rate = l->rate;
	return work_lane(l, &o);
}

static void *copy_lane_main(void *arg)
{
	struct lane *l = arg;

	while (!atomic_load(&l->all->ends)) {
		const struct conf *conf = conf_live_ref(l->all->live);
		int64_t next_us = look_at_lane(l, conf);

		conf_unref(conf);
		if (!atomic_load(&l->all->ends) && next_us > clock_now_us())
			alarm_sleep(&l->alarm, next_us);
	}
	return NULL;
}

/* Lanes. */

static struct lane *copy_lane_free(struct lane *l)
{
	for (size_t i = 0; i < l->listed_count; i++)
		free(l->listed[i].job);
	alarm_close(&l->alarm);
	cancel_finish(&l->cancel);
	blackout_free(l->window);
	zone_free(l->zone);
	rate_free(l->rate);
	free(l->name);
	free(l);
	return NULL;
}

/* With the lock. */
static int add_lane(struct replicas *r, const char *name, struct error *err)
{
	struct lane *l = mem_alloc(sizeof(*l));
	int result;

	l->all = r;
	l->name = mem_strdup(name);
	l->look_at_all = true;
	l->pause_ms = PAUSE_MS;
	cancel_init(&l->cancel);
	result = alarm_open(&l->alarm);
	if (result == 0)
		result = thread_start(&l->thread, "replica", copy_lane_main, l);
	l->has_thread = result == 0;
	if (result < 0) {
		copy_lane_free(l);
		return error_system(err, -result, "a thread that copies backups to %s cannot be started",
		                    name);
	}
	l->next = r->lanes;
	r->lanes = l;
	return 0;
}

/* With the lock. */
static bool has_lane(const struct replicas *r, const char *name)
{
	for (const struct lane *l = r->lanes; l; l = l->next)
		if (str_equal(l->name, name))
			return true;
	return false;
}

static int add_lanes(struct replicas *r, struct error *err)
{
	_cleanup(conf_ref) const struct conf *conf = conf_live_ref(r->live);
	int result = 0;

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; result == 0 && i < conf->store_count; i++) {
		const char *name = conf->stores[i].name;

		if (has_copies_there(r, conf, name) && !has_lane(r, name))
			result = add_lane(r, name, err);
	}
	pthread_mutex_unlock(&r->lock);
	return result;
}

int replicas_new(struct repository *repository, struct conf_live *live, bool reads_only,
                 struct replicas **ret, struct error *err)
{
	struct replicas *r = mem_alloc(sizeof(*r));
	int result;

	r->repository = repository;
	r->live = live;
	r->reads_only = reads_only;
	pthread_mutex_init(&r->lock, NULL);
	r->events = (struct artifact_events){.listed = note_listed,
	                                     .removed = note_removed,
	                                     .marked = note_marked,
	                                     .copy_lost = note_copy_lost,
	                                     .rewrapped = note_listed,
	                                     .arg = r};
	repository_listen(repository, &r->events);
	result = add_lanes(r, err);
	if (result < 0) {
		replicas_free(r);
		return result;
	}
	*ret = r;
	return 0;
}

void replicas_look_beside(struct replicas *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	for (struct lane *l = r->lanes; l; l = l->next) {
		l->settle = true;
		alarm_wake(&l->alarm);
	}
	pthread_mutex_unlock(&r->lock);
}

void replicas_look(struct replicas *r)
{
	struct error err = {0};

	if (!r)
		return;
	if (add_lanes(r, &err) < 0)
		log_error("%s", err.message);
	pthread_mutex_lock(&r->lock);
	for (struct lane *l = r->lanes; l; l = l->next) {
		l->look_at_all = true;
		alarm_wake(&l->alarm);
	}
	pthread_mutex_unlock(&r->lock);
}

struct replicas *replicas_free(struct replicas *r)
{
	if (!r)
		return NULL;
	atomic_store(&r->ends, true);
	for (struct lane *l = r->lanes; l; l = l->next) {
		cancel_set(&l->cancel);
		alarm_wake(&l->alarm);
	}
	while (r->lanes) {
		struct lane *l = r->lanes;

		r->lanes = l->next;
		if (l->has_thread)
			pthread_join(l->thread, NULL);
		copy_lane_free(l);
	}
	pthread_mutex_destroy(&r->lock);
	free(r);
	return NULL;
}

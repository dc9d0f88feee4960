// SPDX-License-Identifier: Apache-2.0
/*
 * What the mount has of WAL archives. At its start the store is listed, since a crash may have come between the store and the catalog, and a catalog may be older than the store: until that is done, nobody is
 * told that something is not there.
 */
#include "receive.h"
#include "tail.h"

#include <keepfs/wal/keep.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <stdlib.h>

/* Between two attempts to list a store that does not answer, each of which takes as long as its retry_deadline. */
#define LEARN_AGAIN_MS 5000

const struct conf *wal_conf_ref(const struct wal *w)
{
	return w->options.live ? conf_live_ref(w->options.live) : w->options.conf;
}

void wal_conf_unref(const struct wal *w, const struct conf *conf)
{
	if (w->options.live)
		conf_unref(conf);
}

bool wal_is_archived(const struct conf_job *job)
{
	return job && job->kind == CONF_JOB_CLUSTER;
}

bool wal_is_learnt(struct wal *w)
{
	bool is_learnt;

	pthread_mutex_lock(&w->lock);
	is_learnt = w->is_learnt;
	pthread_mutex_unlock(&w->lock);
	return is_learnt;
}

static void note_learnt(struct wal *w)
{
	pthread_mutex_lock(&w->lock);
	w->is_learnt = true;
	w->listed++;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void catch_up_at_start(struct wal *w)
{
	struct wal_catching c = {.repository = w->options.repository,
	                         .pool = w->options.pool,
	                         .cancel = &w->cancel,
	                         .reads_whole = w->options.conf->role != CONF_READER};
	struct error err = {0};
	int r;

	while ((r = wal_catch_up(&c, &err)) < 0 && !cancel_is_set(&w->cancel)) {
		log_warning("what is in some files of WAL could not be read; it is tried again: %s",
		            err.message);
		if (cancel_sleep_ms(&w->cancel, LEARN_AGAIN_MS))
			break;
	}
	if (c.found)
		log_info("what is in %llu files of WAL is known now", (unsigned long long)c.found);
}

/* What a crash, or an outage, has left half done. Who only reads finishes nothing. */
static void finish_at_start(struct wal *w, struct wal_learning *l)
{
	struct error err = {0};

	if (wal_learn_histories(l, &err) < 0)
		log_warning("what timelines came from is not known of all: %s", err.message);
	if (w->options.conf->role != CONF_READER &&
	    wal_finish_removals(w->options.repository, &w->cancel, &err) < 0)
		log_warning("files of WAL that were being removed are removed later: %s", err.message);
}

static void *learn_at_start(void *arg)
{
	struct wal *w = arg;
	struct wal_learning l = {
	        .repository = w->options.repository, .pool = w->options.pool, .cancel = &w->cancel, .w = w};
	struct error err = {0};
	int r;

	while ((r = wal_learn(&l, WAL_PREFIX, &err)) < 0 && r != -ECANCELED) {
		log_warning("which WAL the store has could not be listed; it is tried again: %s",
		            err.message);
		if (cancel_sleep_ms(&w->cancel, LEARN_AGAIN_MS))
			break;
	}
	if (r == 0)
		finish_at_start(w, &l);
	wal_copier_kick(w->copier);
	if (l.found)
		log_info(
		        "%llu files of WAL were in the store, and the catalog did not list them: it does now",
		        (unsigned long long)l.found);
	if (r == 0) {
		note_learnt(w);
		catch_up_at_start(w);
	}
	return NULL;
}

int wal_new(const struct wal_options *options, struct wal **ret, struct error *err)
{
	struct wal *w = mem_alloc(sizeof(*w));
	int r;

	w->options = *options;
	cancel_init(&w->cancel);
	pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->changed);
	w->options.repository->wal = w;
	w->ahead = wal_ahead_new(w);
	w->early = wal_early_new(w);
	w->servers = wal_servers_new(w);
	w->receivers = wal_receivers_new(w);
	if (options->conf->role != CONF_READER)
		w->copier = wal_copier_new(w);
	r = w->ahead && w->early && w->servers ? thread_start(&w->learner, "wal-learn", learn_at_start, w)
	                                       : -EAGAIN;
	w->has_learner = r == 0;
	if (r < 0) {
		wal_free(w);
		return error_system(err, -r, "the threads of WAL archives cannot be started");
	}
	*ret = w;
	return 0;
}

void wal_end(struct wal *w)
{
	cancel_set(&w->cancel);
	pthread_mutex_lock(&w->lock);
	w->ended = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	if (w->ahead)
		wal_ahead_end(w->ahead);
	if (w->servers)
		wal_servers_end(w->servers);
	if (w->copier)
		wal_copier_end(w->copier);
	if (w->receivers)
		wal_receivers_end(w->receivers);
}

struct wal *wal_free(struct wal *w)
{
	if (!w)
		return NULL;
	w->options.repository->wal = NULL;
	wal_end(w);
	if (w->has_learner)
		pthread_join(w->learner, NULL);
	wal_receivers_free(w->receivers);
	wal_copier_free(w->copier);
	wal_servers_free(w->servers);
	wal_early_free(w->early);
	wal_ahead_free(w->ahead);
	wal_tails_free(w);
	wal_forget_readings(w);
	wal_trails_finish(w);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	cancel_finish(&w->cancel);
	free(w);
	return NULL;
}

void wal_fetching_of(struct wal *w, const struct catalog_wal *row, struct cancel *cancel,
                     struct wal_fetching *ret)
{
	const struct conf *conf = wal_conf_ref(w);
	const struct conf_job *job = conf_find_job(conf, row->job);

	*ret = (struct wal_fetching){.store = repository_store(w->options.repository),
	                             .keyring = w->options.repository->keyring,
	                             .pool = w->options.pool,
	                             .cancel = cancel,
	                             .patience_ms = wal_is_archived(job) ? job->cluster.read_timeout_ms : 0,
	                             .key = row->key,
	                             .stored_bytes = row->stored_bytes};
	wal_conf_unref(w, conf);
}

/* Claims. */

/* With the lock. */
static bool is_claimed(const struct wal *w, const struct wal_claim *wanted)
{
	for (const struct wal_claim *c = w->claims; c; c = c->next)
		if (str_equal(c->job, wanted->job) && str_equal(c->name, wanted->name))
			return true;
	return false;
}

int wal_claim(struct wal *w, struct wal_claim *c)
{
	bool ended;

	pthread_mutex_lock(&w->lock);
	while (!w->ended && is_claimed(w, c))
		pthread_cond_wait(&w->changed, &w->lock);
	ended = w->ended;
	if (!ended) {
		c->next = w->claims;
		w->claims = c;
	}
	pthread_mutex_unlock(&w->lock);
	return ended ? -ECANCELED : 0;
}

void wal_unclaim(struct wal *w, struct wal_claim *c)
{
	struct wal_claim **at = &w->claims;

	pthread_mutex_lock(&w->lock);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	w->listed++;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

/* Finding. */

struct learner_waiter {
	struct wal *w;
	bool is_cancelled; /* w->lock */
};

static void cancel_learner_waiter(void *arg)
{
	struct learner_waiter *waiter = arg;

	pthread_mutex_lock(&waiter->w->lock);
	waiter->is_cancelled = true;
	pthread_cond_broadcast(&waiter->w->changed);
	pthread_mutex_unlock(&waiter->w->lock);
}

int wal_wait_until_learnt(struct wal *w, bool may_wait, struct cancel *cancel)
{
	struct learner_waiter waiter = {.w = w};
	struct cancel_hook hook = {.wake = cancel_learner_waiter, .arg = &waiter};
	int r = 0;

	cancel_add_hook(cancel, &hook);
	pthread_mutex_lock(&w->lock);
	while (may_wait && !w->is_learnt && !w->ended && !waiter.is_cancelled)
		pthread_cond_wait(&w->changed, &w->lock);
	if (!w->is_learnt)
		r = may_wait ? -ECANCELED : -EAGAIN;
	pthread_mutex_unlock(&w->lock);
	cancel_remove_hook(cancel, &hook);
	return r;
}

/* Who only reads is not told by whoever writes of each file that has come since. */
static int ask_store(struct wal *w, const char *job, const char *name, struct cancel *cancel,
                     struct catalog_wal *ret, struct error *err)
{
	const struct repository *repo = w->options.repository;
	const struct store_call call = {.cancel = cancel};
	struct wal_learning l = {
	        .repository = w->options.repository, .pool = w->options.pool, .cancel = cancel};
	struct store_object object;
	int r = wal_locate(repository_store(repo), &call, job, name, &object, err);

	if (r == 0)
		r = wal_learn_object(&l, &object, err);
	return r < 0 ? r : catalog_wal_find(repo->catalog, job, name, ret);
}

int wal_find(struct wal *w, const char *job, const char *name, bool may_wait, struct cancel *cancel,
             struct catalog_wal *ret, struct error *err)
{
	struct catalog *catalog = w->options.repository->catalog;
	int r = catalog_wal_find(catalog, job, name, ret);

	if (r != -ENOENT)
		return r;
	r = wal_wait_until_learnt(w, may_wait, cancel);
	if (r == 0)
		r = catalog_wal_find(catalog, job, name, ret);
	if (r != -ENOENT || w->options.conf->role != CONF_READER)
		return r;
	if (!may_wait)
		return -EAGAIN;
	r = ask_store(w, job, name, cancel, ret, err);
	/* What a store that does not answer says is no word for who is in haste. */
	return r == -EAGAIN ? -EIO : r;
}

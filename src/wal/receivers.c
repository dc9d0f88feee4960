// SPDX-License-Identifier: Apache-2.0
/*
 * Receivers. Each is a thread that streams, and when that has ended tries again: after a second, two, four and so on up to a minute; one that has streamed for longer than that begins anew with a second. The configuration in force says which there are;
 * one whose settings have changed ends, and another one takes its place.
 */
#include "receive.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WORKERS        2
#define FIRST_PAUSE_MS 1000
#define LAST_PAUSE_MS  60000

struct wal_receivers {
	struct wal *w;
	pthread_mutex_t lock;
	struct receiver *first; /* lock; changed by wal_follow() and wal_receivers_free() alone */
	bool ended;             /* lock */
};

const char *wal_receiver_phase_name(enum wal_receiver_phase phase)
{
	static const char *const names[] = {[WAL_RECEIVER_WAITING] = "waiting",
	                                    [WAL_RECEIVER_CONNECTING] = "connecting",
	                                    [WAL_RECEIVER_STREAMING] = "streaming"};

	return names[phase];
}

void receiver_trouble(struct receiver *r, const char *text)
{
	pthread_mutex_lock(&r->lock);
	str_cut(r->state.trouble, sizeof(r->state.trouble), text);
	pthread_mutex_unlock(&r->lock);
}

void receiver_phase(struct receiver *r, enum wal_receiver_phase phase)
{
	pthread_mutex_lock(&r->lock);
	if (r->state.phase != phase)
		r->state.since_us = clock_now_us();
	r->state.phase = phase;
	if (phase == WAL_RECEIVER_STREAMING)
		r->state.trouble[0] = '\0';
	pthread_mutex_unlock(&r->lock);
}

void receiver_wake(struct receiver *r)
{
	uint64_t one = 1;

	(void)!write(r->wake_fd, &one, sizeof(one));
}

/* How many attempts have failed, this one included. @lasted_ms: one that streamed for longer than any pause was none. */
static uint64_t note_attempt(struct receiver *r, int64_t lasted_ms, const char *text)
{
	uint64_t attempts;

	pthread_mutex_lock(&r->lock);
	if (lasted_ms > LAST_PAUSE_MS)
		r->state.attempts = 0;
	attempts = ++r->state.attempts;
	str_cut(r->state.trouble, sizeof(r->state.trouble), text);
	pthread_mutex_unlock(&r->lock);
	return attempts;
}

static int64_t attempt_pause_ms(uint64_t attempts)
{
	int64_t ms = FIRST_PAUSE_MS;

	while (--attempts > 0 && ms < LAST_PAUSE_MS)
		ms *= 2;
	return ms < LAST_PAUSE_MS ? ms : LAST_PAUSE_MS;
}

static void stream_again(struct receiver *r, char last[sizeof(r->state.trouble)])
{
	int64_t began_ms = clock_mono_ms();
	struct error err = {0};
	uint64_t attempts;
	int result;

	receiver_phase(r, WAL_RECEIVER_CONNECTING);
	result = receiving_run(r, &err);
	if (cancel_is_set(&r->cancel))
		return;
	if (result == 0)
		error_set(&err, ERROR_UNAVAILABLE, ESHUTDOWN,
		          "the server has ended the stream: it shuts down");
	receiver_phase(r, WAL_RECEIVER_CONNECTING);
	attempts = note_attempt(r, clock_mono_ms() - began_ms, err.message);
	/* The same again and again is no news. */
	if (!str_equal(last, err.message))
		log_warning("[cluster %s]: its WAL is not streamed now, and is tried again: %s",
		            r->settings.job, err.message);
	str_cut(last, sizeof(r->state.trouble), err.message);
	cancel_sleep_ms(&r->cancel, attempt_pause_ms(attempts));
}

static void *receive_wal(void *arg)
{
	struct receiver *r = arg;
	char last[sizeof(r->state.trouble)] = "";

	/* Where it goes on is known when the store was listed. */
	if (wal_wait_until_learnt(r->w, true, &r->cancel) == 0)
		while (!cancel_is_set(&r->cancel))
			stream_again(r, last);
	return NULL;
}

/* Beginning and ending. */

static void take_settings(const struct conf_job *job, struct receiver_settings *ret)
{
	*ret = (struct receiver_settings){.database = mem_strdup(job->cluster.database),
	                                  .tail_ms = job->cluster.wal_tail_ms,
	                                  .confirm = job->cluster.wal_confirm};
	str_copy(ret->job, sizeof(ret->job), job->name);
	conf_cluster_slot(job, ret->slot);
}

static bool is_streamed(const struct conf_job *job)
{
	return job && job->kind == CONF_JOB_CLUSTER && job->cluster.wal != CONF_WAL_ARCHIVE;
}

static bool has_settings(const struct receiver *r, const struct conf_job *job)
{
	char slot[CONF_SLOT_BYTES];

	return str_equal(r->settings.database, job->cluster.database) &&
	       str_equal(r->settings.slot, conf_cluster_slot(job, slot)) &&
	       r->settings.tail_ms == job->cluster.wal_tail_ms &&
	       r->settings.confirm == job->cluster.wal_confirm;
}

static struct receiver *free_receiver(struct receiver *r)
{
	workers_free(r->workers);
	if (r->wake_fd >= 0)
		close(r->wake_fd);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	cancel_finish(&r->cancel);
	free(r->settings.database);
	free(r);
	return NULL;
}

static struct receiver *start_receiver(struct wal *w, const struct conf_job *job)
{
	struct receiver *r = mem_alloc(sizeof(*r));
	int result;

	r->w = w;
	take_settings(job, &r->settings);
	cancel_init(&r->cancel);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	r->state.since_us = clock_now_us();
	str_copy(r->state.slot, sizeof(r->state.slot), r->settings.slot);
	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->workers = workers_new("wal-store", WORKERS);
	result = r->wake_fd < 0 || !r->workers ? -EAGAIN
	                                       : thread_start(&r->thread, "wal-receive", receive_wal, r);
	if (result == 0)
		return r;
	log_error("[cluster %s]: its WAL is not streamed: the threads for it cannot be started", job->name);
	return free_receiver(r);
}

static void end_receiver(struct receiver *r)
{
	cancel_set(&r->cancel);
	pthread_join(r->thread, NULL);
	free_receiver(r);
}

/* With the lock. */
static struct receiver *find_receiver(const struct wal_receivers *all, const char *job)
{
	struct receiver *r = all->first;

	while (r && !str_equal(r->settings.job, job))
		r = r->next;
	return r;
}

/* Those that @conf does not want as they are are taken out. */
static struct receiver *take_unwanted(struct wal_receivers *all, const struct conf *conf)
{
	struct receiver **at, *unwanted = NULL;

	pthread_mutex_lock(&all->lock);
	at = &all->first;
	while (*at) {
		struct receiver *r = *at;
		const struct conf_job *job = conf_find_job(conf, r->settings.job);

		if (is_streamed(job) && has_settings(r, job)) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		r->next = unwanted;
		unwanted = r;
	}
	pthread_mutex_unlock(&all->lock);
	return unwanted;
}

static void end_receivers(struct receiver *first)
{
	for (struct receiver *r = first; r; r = r->next)
		cancel_set(&r->cancel);
	while (first) {
		struct receiver *r = first;

		first = r->next;
		end_receiver(r);
	}
}

static void start_wanted(struct wal_receivers *all, const struct conf_job *job)
{
	struct receiver *r;

	pthread_mutex_lock(&all->lock);
	r = all->ended || !is_streamed(job) || find_receiver(all, job->name) ? NULL
	                                                                     : start_receiver(all->w, job);
	if (r) {
		r->next = all->first;
		all->first = r;
	}
	pthread_mutex_unlock(&all->lock);
}

void wal_follow(struct wal *w)
{
	const struct conf *conf;

	if (w->options.conf->role == CONF_READER)
		return;
	conf = wal_conf_ref(w);
	end_receivers(take_unwanted(w->receivers, conf));
	for (size_t i = 0; i < conf->job_count; i++)
		start_wanted(w->receivers, &conf->jobs[i]);
	wal_conf_unref(w, conf);
}

struct wal_receivers *wal_receivers_new(struct wal *w)
{
	struct wal_receivers *all = mem_alloc(sizeof(*all));

	all->w = w;
	pthread_mutex_init(&all->lock, NULL);
	return all;
}

void wal_receivers_end(struct wal_receivers *all)
{
	pthread_mutex_lock(&all->lock);
	all->ended = true;
	for (struct receiver *r = all->first; r; r = r->next)
		cancel_set(&r->cancel);
	pthread_mutex_unlock(&all->lock);
}

void wal_receivers_free(struct wal_receivers *all)
{
	if (!all)
		return;
	wal_receivers_end(all);
	end_receivers(all->first);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

int wal_receiver_state(struct wal *w, const char *job, struct wal_receiver_state *ret)
{
	struct receiver *r;

	pthread_mutex_lock(&w->receivers->lock);
	r = find_receiver(w->receivers, job);
	if (r) {
		pthread_mutex_lock(&r->lock);
		*ret = r->state;
		ret->behind_us = r->mark_lsn ? (clock_mono_ms() - r->mark_ms) * 1000 : 0;
		pthread_mutex_unlock(&r->lock);
	}
	pthread_mutex_unlock(&w->receivers->lock);
	return r ? 0 : -ENOENT;
}

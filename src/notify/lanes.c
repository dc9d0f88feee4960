// SPDX-License-Identifier: Apache-2.0
/* Receivers are apart: one that does not answer holds up none of the others. */
#include "notify_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#include <pthread.h>
#include <string.h>

#define NO_THREAD_US (30 * US_PER_S)   /* until it is tried again to start one */
#define HELD_OFF_US  (3600 * US_PER_S) /* at most; what is further ahead is of a clock that was set back */

struct lane { /* there is one while it is busy, or held off */
	struct lanes *all;
	char *name;
	bool flush;
	bool started; /* the thread has to be joined; of who calls lanes_run() */
	pthread_t thread;
	bool busy;             /* lock */
	bool stale;            /* lock */
	int64_t not_before_us; /* lock */
	struct lane *next;     /* of who calls lanes_run() */
};

struct lanes {
	const struct notify_options *options;
	struct cancel *cancel;
	void (*ended)(void *arg, bool stale);
	void *arg;
	pthread_mutex_t lock;
	struct lane *first; /* of who calls lanes_run() */
};

struct lanes *lanes_new(const struct notify_options *options, struct cancel *cancel,
                        void (*ended)(void *arg, bool stale), void *arg)
{
	struct lanes *l = mem_alloc(sizeof(*l));

	*l = (struct lanes){.options = options, .cancel = cancel, .ended = ended, .arg = arg};
	pthread_mutex_init(&l->lock, NULL);
	return l;
}

static void *lane_main(void *arg)
{
	struct lane *lane = arg;
	struct lanes *l = lane->all;
	struct round r;
	bool stale;

	round_begin(l->options, l->cancel, &r);
	r.flush = lane->flush;
	round_send(&r, lane->name);
	pthread_mutex_lock(&l->lock);
	stale = lane->stale;
	lane->not_before_us = stale ? 0 : r.not_before_us;
	lane->busy = false;
	pthread_mutex_unlock(&l->lock);
	round_end(&r);
	l->ended(l->arg, stale);
	return NULL;
}

static bool is_held_off(const struct lane *lane, int64_t now_us)
{
	return lane->not_before_us > now_us && lane->not_before_us <= now_us + HELD_OFF_US;
}

static void lane_free(struct lane *lane)
{
	if (lane->started)
		pthread_join(lane->thread, NULL);
	free(lane->name);
	free(lane);
}

/* Those that have nothing more to do, or to wait for. */
static void free_idle_lanes(struct lanes *l, int64_t now_us)
{
	for (struct lane **at = &l->first; *at;) {
		struct lane *lane = *at;
		bool is_idle;

		pthread_mutex_lock(&l->lock);
		is_idle = !lane->busy && !is_held_off(lane, now_us);
		pthread_mutex_unlock(&l->lock);
		if (!is_idle) {
			at = &lane->next;
			continue;
		}
		*at = lane->next;
		lane_free(lane);
	}
}

static struct lane *find_lane(const struct lanes *l, const char *name)
{
	struct lane *lane = l->first;

	while (lane && strcmp(lane->name, name) != 0)
		lane = lane->next;
	return lane;
}

/* Return: when it is to be tried again; INT64_MAX: it is busy now. */
static int64_t start_lane(struct lanes *l, const char *name, bool flush, int64_t now_us)
{
	struct lane *lane = mem_alloc(sizeof(*lane));
	int r;

	*lane = (struct lane){
	        .all = l, .name = mem_strdup(name), .flush = flush, .busy = true, .next = l->first};
	r = thread_start(&lane->thread, "notify-send", lane_main, lane);
	lane->started = r == 0;
	l->first = lane;
	if (r < 0) {
		log_error("%s is told later: no thread can be started for it: %s", name, strerror(-r));
		lane->busy = false;
		lane->not_before_us = now_us + NO_THREAD_US;
	}
	return r < 0 ? lane->not_before_us : INT64_MAX;
}

/* When something is due in a lane that is not busy; one that is wakes us. */
static int64_t lane_due_us(struct lanes *l, const struct round *r, const struct receiver *to, bool *busy)
{
	const struct lane *lane = find_lane(l, receiver_lane(to));
	int64_t due_us, not_before_us = 0;
	bool is_busy = false;

	if (lane) {
		pthread_mutex_lock(&l->lock);
		is_busy = lane->busy;
		not_before_us = lane->not_before_us;
		pthread_mutex_unlock(&l->lock);
	}
	*busy |= is_busy;
	due_us = is_busy ? INT64_MAX : round_due_us(r, to);
	return due_us > not_before_us ? due_us : not_before_us;
}

int64_t lanes_run(struct lanes *l, const struct round *r, bool *ret_busy)
{
	int64_t now_us = round_now_us(r), next_us = INT64_MAX;
	bool busy = false;

	free_idle_lanes(l, now_us);
	for (size_t i = 0; i < r->receivers.count; i++) {
		const struct receiver *to = &r->receivers.items[i];
		int64_t due_us = lane_due_us(l, r, to, &busy);

		if (due_us <= now_us) {
			due_us = start_lane(l, receiver_lane(to), r->flush, now_us);
			busy |= due_us == INT64_MAX;
		}
		next_us = due_us < next_us ? due_us : next_us;
	}
	*ret_busy = busy;
	return next_us;
}

void lanes_retry(struct lanes *l)
{
	pthread_mutex_lock(&l->lock);
	for (struct lane *lane = l->first; lane; lane = lane->next) {
		lane->not_before_us = 0;
		lane->stale = lane->busy;
	}
	pthread_mutex_unlock(&l->lock);
}

struct lanes *lanes_free(struct lanes *l)
{
	while (l && l->first) {
		struct lane *lane = l->first;

		l->first = lane->next;
		lane_free(lane);
	}
	if (l)
		pthread_mutex_destroy(&l->lock);
	free(l);
	return NULL;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * The thread that compares, and has lanes tell what is due: it waits for no receiver. It sleeps until the catalog changes, a
 * lane has ended, or something is due by the clock on the wall: a message that gathers, another attempt, a summary, an item
 * of health that time changes. While much is written (a run's log, say) health is looked at every few seconds, and at once
 * when somebody says that something has ended.
 */
#include "notify_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#define LOOK_EVERY_US (2 * US_PER_S)
#define AGAIN_US      (30 * US_PER_S) /* after the catalog could not be read or written */

struct notify {
	struct notify_options options;
	struct cancel cancel;
	struct lanes *lanes; /* of the thread */
	int wake_fd;         /* an eventfd */
	int timer_fd;        /* of the clock on the wall */
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* All below: lock. */
	bool look;   /* the catalog has changed */
	bool urgent; /* something has ended */
	bool settle; /* another configuration is in force */
	bool retry;  /* what failed while that was read is due again */
	bool flush;  /* somebody waits for all that can be sent */
	bool stopping;
	uint64_t rounds; /* that were whole, and had flush set when they began */
};

static void wake_notify(struct notify *n)
{
	uint64_t one = 1;

	(void)!write(n->wake_fd, &one, sizeof(one));
}

/* The writer's thread: many times a second while a run writes its log. */
static void on_catalog_changed(void *arg)
{
	struct notify *n = arg;
	bool first;

	pthread_mutex_lock(&n->lock);
	first = !n->look;
	n->look = true;
	pthread_mutex_unlock(&n->lock);
	if (first)
		wake_notify(n);
}

static void set_and_wake(struct notify *n, bool *flag)
{
	pthread_mutex_lock(&n->lock);
	n->look = true;
	*flag = true;
	pthread_mutex_unlock(&n->lock);
	wake_notify(n);
}

void notify_look(struct notify *n)
{
	if (n)
		set_and_wake(n, &n->urgent);
}

void notify_run_ended(struct notify *n, int64_t run_id)
{
	if (!n)
		return;
	tell_holds_of_run(n, n->options.ctx.catalog, run_id);
	notify_look(n);
}

void notify_reloaded(struct notify *n)
{
	if (n)
		set_and_wake(n, &n->settle);
}

/* A lane's thread. */
static void on_lane_ended(void *arg, bool stale)
{
	struct notify *n = arg;

	pthread_mutex_lock(&n->lock);
	n->retry |= stale;
	pthread_mutex_unlock(&n->lock);
	wake_notify(n);
}

/* What is to be done in one turn. */
struct turn {
	bool look, settle, retry, flush;
};

/* When to look at health again, by the clock on the wall. */
struct looks {
	int64_t by_clock_us;   /* though nothing has changed */
	int64_t by_catalog_us; /* not before, when something has */
	int64_t seen_us;       /* what the clock said in the last turn */
};

/* A clock that was set back says nothing for days of what was counted before. */
static void watch_wall(struct looks *l, int64_t now_us)
{
	if (now_us < l->seen_us)
		l->by_clock_us = l->by_catalog_us = now_us;
	l->seen_us = now_us;
}

/* With the lock. Health is not looked at again at once, unless that is urgent. */
static struct turn take_turn(struct notify *n, int64_t now_us, int64_t look_us)
{
	struct turn turn = {.settle = n->settle, .retry = n->retry, .flush = n->flush};

	turn.look = n->urgent || n->settle || n->flush || (n->look && now_us >= look_us);
	if (turn.look) {
		n->look = false;
		n->urgent = false;
	}
	n->settle = false;
	n->retry = false;
	return turn;
}

static void log_trouble(int result, const struct error *err)
{
	if (result < 0)
		log_error("notices: %s", err->message);
}

/* A disk that is full, say, must keep nobody from his backups: it is tried again, and what happens meanwhile is told then. */
static void settle_later(struct notify *n, int result, const struct error *err)
{
	log_trouble(result, err);
	pthread_mutex_lock(&n->lock);
	n->settle = true;
	pthread_mutex_unlock(&n->lock);
}

/* At a time of the clock on the wall; INT64_MAX: never. Also when that clock is set: false when it was set meanwhile. */
static bool arm_timer(struct notify *n, int64_t at_us)
{
	struct itimerspec at = {0};

	if (at_us != INT64_MAX)
		at.it_value = clock_to_timespec(at_us > 0 ? at_us : 1);
	return timerfd_settime(n->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL) == 0;
}

static void wait_for_turn(struct notify *n)
{
	struct pollfd fds[] = {{.fd = n->wake_fd, .events = POLLIN}, {.fd = n->timer_fd, .events = POLLIN}};
	uint64_t count;

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
		;
	if (fds[0].revents)
		(void)!read(n->wake_fd, &count, sizeof(count));
	if (fds[1].revents)
		(void)!read(n->timer_fd, &count, sizeof(count));
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* One turn; *@clock_look_us: when health is to be looked at again though nothing has changed; *@ret_busy: somebody is being
 * told. Return: when something is due. */
static int64_t do_turn(struct notify *n, struct turn turn, int64_t *clock_look_us, bool *ret_busy)
{
	struct round r;
	struct error err = {0};
	int result = 0;
	int64_t now_us, due_us;

	round_begin(&n->options, &n->cancel, &r);
	now_us = round_now_us(&r);
	r.flush = turn.flush;
	if (turn.settle) {
		lanes_retry(n->lanes);
		result = round_settle(&r, &err);
	} else if (turn.retry) {
		result = catalog_retry_notices(n->options.ctx.catalog, &err);
	}
	if (result == 0 && (turn.look || now_us >= *clock_look_us)) {
		result = round_look(&r, &err);
		*clock_look_us = r.next_look_us;
	}
	if (result < 0)
		*clock_look_us = now_us + AGAIN_US;
	if (result < 0)
		settle_later(n, result, &err);
	due_us = lanes_run(n->lanes, &r, ret_busy);
	round_end(&r);
	return due_us;
}

static bool begin_turn(struct notify *n, struct looks *looks, struct turn *ret, bool *ret_waiting)
{
	int64_t now_us = n->options.ctx.now_us ? n->options.ctx.now_us() : clock_now_us();
	bool stopping;

	watch_wall(looks, now_us);
	pthread_mutex_lock(&n->lock);
	stopping = n->stopping;
	*ret = take_turn(n, now_us, looks->by_catalog_us);
	*ret_waiting = n->look;
	pthread_mutex_unlock(&n->lock);
	return !stopping;
}

static void end_turn(struct notify *n, struct turn turn, bool busy)
{
	/* When it is not any more there is another turn. */
	if (!turn.flush || busy)
		return;
	pthread_mutex_lock(&n->lock);
	n->rounds++;
	n->flush = false;
	pthread_cond_broadcast(&n->changed);
	pthread_mutex_unlock(&n->lock);
}

static void *notify_main(void *arg)
{
	struct notify *n = arg;
	struct looks looks = {0};
	int64_t due_us;
	struct turn turn;
	bool waiting, busy;

	while (begin_turn(n, &looks, &turn, &waiting)) {
		due_us = do_turn(n, turn, &looks.by_clock_us, &busy);
		if (turn.look)
			looks.by_catalog_us = clock_now_us() + LOOK_EVERY_US;
		end_turn(n, turn, busy);
		if (arm_timer(n, sooner(sooner(due_us, looks.by_clock_us),
		                        waiting ? looks.by_catalog_us : INT64_MAX)))
			wait_for_turn(n);
	}
	return NULL;
}

/* Before anything can happen: what is so now is compared with what was told. */
static void settle_and_look(struct notify *n)
{
	struct error err = {0};
	struct round r;
	int result;

	round_begin(&n->options, &n->cancel, &r);
	result = round_settle(&r, &err);
	if (result == 0)
		result = round_look(&r, &err);
	round_end(&r);
	if (result < 0)
		settle_later(n, result, &err);
}

static int run_notify(struct notify *n, struct error *err)
{
	int r;

	settle_and_look(n);
	n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	n->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (n->wake_fd < 0 || n->timer_fd < 0)
		return error_system(err, errno, "notices cannot be sent");
	r = thread_start(&n->thread, "notify", notify_main, n);
	if (r < 0)
		return error_system(err, -r, "the thread that sends notices cannot be started");
	n->started = true;
	catalog_listen(n->options.ctx.catalog, on_catalog_changed, n);
	return 0;
}

int notify_start(const struct notify_options *options, struct notify **ret_notify, struct error *err)
{
	struct notify *n = mem_alloc(sizeof(*n));
	int r;

	n->options = *options;
	n->wake_fd = n->timer_fd = -1;
	cancel_init(&n->cancel);
	pthread_mutex_init(&n->lock, NULL);
	clock_cond_init(&n->changed);
	n->lanes = lanes_new(&n->options, &n->cancel, on_lane_ended, n);
	r = run_notify(n, err);
	if (r < 0) {
		notify_free(n);
		return r;
	}
	*ret_notify = n;
	return 0;
}

int notify_new(const struct notify_context *ctx, struct notify **ret_notify, struct error *err)
{
	const struct notify_options options = {.ctx = *ctx, .deliver = deliver};

	return notify_start(&options, ret_notify, err);
}

int notify_tell(struct notify *n, const struct notify_event *event)
{
	_cleanup(news) struct news news = {0};
	struct catalog_notice notice = {
	        .kind = NOTICE_EVENT, .job = str_or_empty(event->job), .run_id = event->run_id};
	struct error err = {0};
	struct round r;
	int result = 0;

	if (!n)
		return 0;
	round_begin(&n->options, &n->cancel, &r);
	notice.at_us = round_now_us(&r);
	notice.facts = news_own(&news, facts_of_event(n->options.ctx.catalog, event, notice.at_us));
	news_add_event(&news, &r.receivers, event->event, NULL, &notice);
	if (news.all.notice_count > 0)
		result = catalog_add_news(n->options.ctx.catalog, &news.all, &err);
	round_end(&r);
	log_trouble(result, &err);
	return result;
}

void notify_flush(struct notify *n, int64_t timeout_ms)
{
	int64_t until_ms = clock_mono_ms() + timeout_ms;
	uint64_t rounds;

	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	rounds = n->rounds;
	n->flush = true;
	pthread_mutex_unlock(&n->lock);
	wake_notify(n);
	pthread_mutex_lock(&n->lock);
	while (n->rounds == rounds && clock_mono_ms() < until_ms)
		clock_cond_wait_ms(&n->changed, &n->lock, until_ms - clock_mono_ms());
	pthread_mutex_unlock(&n->lock);
}

struct notify *notify_free(struct notify *n)
{
	if (!n)
		return NULL;
	catalog_listen(n->options.ctx.catalog, NULL, NULL);
	cancel_set(&n->cancel);
	pthread_mutex_lock(&n->lock);
	n->stopping = true;
	pthread_mutex_unlock(&n->lock);
	if (n->started) {
		wake_notify(n);
		pthread_join(n->thread, NULL);
	}
	lanes_free(n->lanes);
	if (n->wake_fd >= 0)
		close(n->wake_fd);
	if (n->timer_fd >= 0)
		close(n->timer_fd);
	pthread_cond_destroy(&n->changed);
	pthread_mutex_destroy(&n->lock);
	cancel_finish(&n->cancel);
	free(n);
	return NULL;
}

// SPDX-License-Identifier: Apache-2.0
/* Waiting for segments. Whoever lists a file in the catalog signals it (wal_unclaim(), and the learner's end), so nobody looks again and again. */
#include "wal_private.h"

#include <keepfs/base/clock.h>

#include <errno.h>

struct segment_waiter {
	struct wal *w;
	bool is_cancelled; /* w->lock */
};

static void cancel_segment_waiter(void *arg)
{
	struct segment_waiter *waiter = arg;

	pthread_mutex_lock(&waiter->w->lock);
	waiter->is_cancelled = true;
	pthread_cond_broadcast(&waiter->w->changed);
	pthread_mutex_unlock(&waiter->w->lock);
}

/* Moves @at on to the first that is not there: -ENOENT; 0: all are. */
static int find_missing_segment(struct wal *w, const char *job, const struct wal_stretch *stretch,
                                struct wal_name *at)
{
	struct catalog_wal row;
	char name[WAL_NAME_BYTES];

	for (;;) {
		int r;

		wal_name_format(at, name);
		r = catalog_wal_find(w->options.repository->catalog, job, name, &row);
		if (r < 0)
			return r;
		if (wal_name_compare(at, &stretch->last) >= 0)
			return 0;
		r = wal_name_next(at, stretch->segment_bytes, at);
		if (r < 0)
			return r;
	}
}

/* With the lock: until something was listed since @seen files were. */
static int wait_for_listing(const struct segment_waiter *waiter, uint64_t seen, int64_t until_ms)
{
	struct wal *w = waiter->w;

	while (w->listed == seen && !w->ended && !waiter->is_cancelled) {
		int64_t left_ms = until_ms - clock_mono_ms();

		if (left_ms <= 0)
			return -ETIMEDOUT;
		clock_cond_wait_ms(&w->changed, &w->lock, left_ms);
	}
	return w->listed == seen ? -ECANCELED : 0;
}

static int await_segments(struct segment_waiter *waiter, const char *job, const struct wal_stretch *stretch,
                          int64_t until_ms, struct wal_name *at)
{
	struct wal *w = waiter->w;
	int r = 0;

	while (r == 0) {
		uint64_t seen;

		/* Before the look, so that what comes behind it ends the wait. */
		pthread_mutex_lock(&w->lock);
		seen = w->listed;
		pthread_mutex_unlock(&w->lock);
		r = find_missing_segment(w, job, stretch, at);
		if (r != -ENOENT)
			break;
		pthread_mutex_lock(&w->lock);
		r = wait_for_listing(waiter, seen, until_ms);
		pthread_mutex_unlock(&w->lock);
	}
	return r;
}

int wal_await(struct wal *w, const char *job, const struct wal_stretch *stretch, int64_t timeout_ms,
              struct cancel *cancel, char ret_missing[WAL_NAME_BYTES])
{
	struct segment_waiter waiter = {.w = w};
	struct cancel_hook hook = {.wake = cancel_segment_waiter, .arg = &waiter};
	struct wal_name at = stretch->first;
	int r;

	cancel_add_hook(cancel, &hook);
	r = await_segments(&waiter, job, stretch, clock_mono_ms() + timeout_ms, &at);
	cancel_remove_hook(cancel, &hook);
	if (r == -ETIMEDOUT)
		wal_name_format(&at, ret_missing);
	return r;
}

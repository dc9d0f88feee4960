// SPDX-License-Identifier: Apache-2.0
/*
 * A limit of bytes per second. The account is refilled by the clock and charged by what was moved; whoever
 * overdraws it sleeps for as long as the refill of what is owed takes. Each taker counts from the state that
 * it left, so of several each waits for its own bytes and those before them.
 */
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/stream/rate.h>

#include <errno.h>
#include <stdlib.h>

#define LONGEST_SLEEP_S 1e9 /* what no one waits for; keeps the sums in range */

struct rate {
	double bytes_per_s;
	pthread_mutex_t lock;
	double account; /* lock; bytes, negative when overdrawn, bytes_per_s at most */
	int64_t at_us;  /* lock; when it was */
};

struct rate *rate_new(uint64_t bytes_per_s)
{
	struct rate *r = mem_alloc(sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	r->bytes_per_s = (double)bytes_per_s;
	r->at_us = clock_mono_us();
	return r;
}

struct rate *rate_free(struct rate *r)
{
	if (!r)
		return NULL;
	pthread_mutex_destroy(&r->lock);
	free(r);
	return NULL;
}

/* What is owed afterwards, as a time. */
static double charge(struct rate *r, uint64_t bytes)
{
	double seconds;
	int64_t now_us;

	pthread_mutex_lock(&r->lock);
	now_us = clock_mono_us();
	r->account += (double)(now_us - r->at_us) * r->bytes_per_s / (double)US_PER_S;
	if (r->account > r->bytes_per_s)
		r->account = r->bytes_per_s;
	r->at_us = now_us;
	r->account -= (double)bytes;
	seconds = -r->account / r->bytes_per_s;
	pthread_mutex_unlock(&r->lock);
	return seconds < LONGEST_SLEEP_S ? seconds : LONGEST_SLEEP_S;
}

int rate_take(struct rate *r, uint64_t bytes, struct cancel *cancel)
{
	double seconds;

	if (cancel_is_set(cancel))
		return -ECANCELED;
	if (!r || r->bytes_per_s <= 0)
		return 0;
	seconds = charge(r, bytes);
	/* Rounded up: what is slept too long is in the account the next time. */
	if (seconds > 0 && cancel_sleep_ms(cancel, (int64_t)(seconds * 1000) + 1))
		return -ECANCELED;
	return 0;
}

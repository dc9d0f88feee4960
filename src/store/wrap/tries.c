// SPDX-License-Identifier: Apache-2.0
/*
 * When a call is tried again. What holds:
 *
 * - Only a failure that says `retry` is tried again, and never beyond the earlier of the caller's deadline
 *   and our own. The wait is random between nothing and a bound that doubles (full jitter), so that many
 *   clients of a server in trouble do not come back together; it is never shorter than what the server asked
 *   for.
 * - Without a deadline of our own there is one try, which may take as long as its own timeouts let it.
 * - A try that brought something ends the doubling, since the server does answer; it moves no deadline.
 */
#include "tries.h"

#include <keepfs/base/log.h>

#include <errno.h>

#define FIRST_WAIT_MS 100
#define MOST_WAIT_MS  10000
#define TELL_EVERY_MS 60000

void tries_begin(struct tries *t, struct store *s, const struct store_call *call)
{
	*t = (struct tries){.s = retry_of(s)};
	if (call)
		t->call = *call;
	t->began_ms = t->s->timing.now_ms(t->s->timing.arg);
	if (t->s->deadline_ms &&
	    (!t->call.deadline_ms || t->call.deadline_ms > t->began_ms + t->s->deadline_ms))
		t->call.deadline_ms = t->began_ms + t->s->deadline_ms;
}

static int64_t wait_ms(const struct tries *t)
{
	int64_t bound = FIRST_WAIT_MS;
	int64_t ms;

	for (unsigned i = 0; i < t->doublings && bound < MOST_WAIT_MS; i++)
		bound *= 2;
	ms = t->s->timing.dice(t->s->timing.arg, bound < MOST_WAIT_MS ? bound : MOST_WAIT_MS);
	return ms > t->error.retry_after_ms ? ms : t->error.retry_after_ms;
}

/* Whoever waits sees nothing but latency until the deadline: the log says why, once a minute. */
static void tell_waiting(struct tries *t, int64_t left_ms)
{
	int64_t now_ms = t->s->timing.now_ms(t->s->timing.arg);
	long long before_ms = atomic_load(&t->s->told_at_ms);

	if ((before_ms && now_ms - before_ms < TELL_EVERY_MS) ||
	    !atomic_compare_exchange_strong(&t->s->told_at_ms, &before_ms, now_ms))
		return;
	log_warning("%s; it is tried again for up to %lld s", t->cause.message, (long long)left_ms / 1000);
}

bool tries_again(struct tries *t, int r)
{
	const struct retry_timing *timing = &t->s->timing;
	int64_t ms, left_ms = t->call.deadline_ms - timing->now_ms(timing->arg);

	if (r >= 0 || !t->error.retry || !t->s->deadline_ms)
		return false;
	if (left_ms <= 0 && r == -ETIMEDOUT && t->failed) /* ended by the deadline: tries_end() */
		return false;
	t->cause = t->error;
	ms = wait_ms(t);
	if (ms >= left_ms) {
		t->gave_up = true;
		return false;
	}
	if (t->failed > 0)
		tell_waiting(t, left_ms);
	if (timing->sleep_ms(timing->arg, t->call.cancel, ms)) {
		t->cancelled = true;
		return false;
	}
	t->failed++;
	t->doublings++;
	t->error = (struct error){0};
	return true;
}

void tries_made_progress(struct tries *t)
{
	t->doublings = 0;
}

int tries_end(struct tries *t, int r, struct error *err)
{
	const struct retry_timing *timing = &t->s->timing;
	double tried_s = (double)(timing->now_ms(timing->arg) - t->began_ms) / 1000;

	if (r >= 0)
		return r;
	if (t->cancelled)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled after %u %s in %.1f s: %s",
		                 t->failed + 1, t->failed ? "tries" : "try", tried_s, t->cause.message);
	/* The deadline ended a later try: what was wrong is what the tries before it said. */
	if (r == -ETIMEDOUT && !t->gave_up && t->failed) {
		t->error = t->cause;
		r = -t->cause.errnum;
		t->gave_up = true;
	}
	if (!err)
		return r;
	*err = t->error;
	if (t->gave_up)
		error_prefix(err, "gave up after %u %s in %.1f s", t->failed + 1, t->failed ? "tries" : "try",
		             tried_s);
	return r;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Progress and events. Makers only add to counters; one thread looks at those of running runs four times a
 * second, which gives the rate, tells of changes, and ends what was cancelled before it began. With no run
 * alive it sleeps. As one thread tells all events of a run, they come in order, the last one last, and no run
 * is forgotten before it.
 */
#include "job_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>

#include <stdio.h>
#include <string.h>

#define LEAST_SENT_PART 50 /* of what is expected: with less an estimate would be off by much */

static uint64_t run_read_bytes(const struct run *run)
{
	uint64_t bytes = run->done_read;

	for (size_t i = 0; i < run->slot_count; i++)
		bytes += atomic_load(&run->slots[i].progress.read_bytes);
	return bytes;
}

static uint64_t sent_bytes(const struct run *run)
{
	uint64_t bytes = run->done_sent;

	for (size_t i = 0; i < run->slot_count; i++)
		bytes += atomic_load(&run->slots[i].progress.sent_bytes);
	return bytes;
}

static uint64_t verified_bytes(const struct run *run)
{
	uint64_t bytes = run->done_verified;

	for (size_t i = 0; i < run->slot_count; i++)
		bytes += atomic_load(&run->slots[i].progress.verified_bytes);
	return bytes;
}

/* All that are made now are read back. */
static bool is_verifying(const struct run *run)
{
	bool is_any = false;

	for (size_t i = 0; i < run->slot_count; i++) {
		bool is_read_back = atomic_load(&run->slots[i].progress.verified_bytes) > 0;

		if (run->slots[i].target && !is_read_back)
			return false;
		is_any |= is_read_back;
	}
	return is_any;
}

/* What those that are made now have learnt since they began; 0: nothing. */
static uint64_t learnt_bytes(const struct run *run)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < run->slot_count; i++)
		bytes += atomic_load(&run->slots[i].progress.expected_bytes);
	return bytes;
}

static int64_t eta_of_reading(const struct report_progress *p)
{
	return p->rate_bytes_per_s && p->expected_bytes > p->read_bytes
	               ? (int64_t)((p->expected_bytes - p->read_bytes) / p->rate_bytes_per_s)
	               : -1;
}

/* "acme", or "acme, globex" of those that are made at once, as far as there is room. */
static void tell_present_targets(const struct run *run, char *ret, size_t size)
{
	ret[0] = '\0';
	for (size_t i = 0; i < run->slot_count; i++) {
		const struct make_target *t = run->slots[i].target;
		size_t used = strlen(ret);

		if (t && used + strlen(t->label) + 3 < size)
			snprintf(ret + used, size - used, "%s%s", used > 0 ? ", " : "", t->label);
		else if (t && used == 0)
			str_copy(ret, size, t->label);
	}
}

void run_sample(struct run *run, int64_t now_ms)
{
	uint64_t bytes = run_read_bytes(run);

	run->samples[run->sample_count++ % WATCH_SAMPLES] =
	        (struct sample){now_ms, bytes, bytes + sent_bytes(run) + verified_bytes(run)};
}

void run_changed(struct jobs *j, struct run *run)
{
	run->changed = true;
	pthread_cond_signal(&j->watch);
}

static const struct sample *newest(const struct run *run)
{
	return &run->samples[(run->sample_count - 1) % WATCH_SAMPLES];
}

static const struct sample *oldest(const struct run *run)
{
	return &run->samples[run->sample_count > WATCH_SAMPLES ? run->sample_count % WATCH_SAMPLES : 0];
}

/* Take a sample when one is due; returns when the next is. */
static int64_t sample_if_due(struct run *run, int64_t now_ms)
{
	if (now_ms - newest(run)->at_ms >= WATCH_INTERVAL_MS) {
		uint64_t before = newest(run)->moved;

		run_sample(run, now_ms);
		run->changed |= newest(run)->moved != before;
	}
	return newest(run)->at_ms + WATCH_INTERVAL_MS;
}

/* When @run's next event is due; INT64_MAX: nothing is to be told. */
static int64_t event_due(const struct run *run, int64_t now_ms)
{
	if (!run->changed)
		return INT64_MAX;
	if (run->state == LIVE_ENDED || run->told_ms == 0)
		return now_ms;
	return run->told_ms + WATCH_INTERVAL_MS;
}

/* The next run whose end is to be written; else NULL, and *@next_ms is at most when that is due. */
static struct run *find_leaving(struct jobs *j, int64_t now_ms, int64_t *next_ms)
{
	for (struct run *run = j->runs; run; run = run->next) {
		if (run->state != LIVE_LEAVING)
			continue;
		if (j->stopping || run->leave_at_ms <= now_ms)
			return run;
		if (run->leave_at_ms < *next_ms)
			*next_ms = run->leave_at_ms;
	}
	return NULL;
}

static void leave_pending(struct jobs *j, struct run *run)
{
	pthread_mutex_unlock(&j->lock);
	run_leave(j, run);
	pthread_mutex_lock(&j->lock);
}

/* The next run of which an event is due; else NULL, and *@next_ms is at most when to look again. */
static struct run *find_due(struct jobs *j, int64_t now_ms, int64_t *next_ms)
{
	for (struct run *run = j->runs; run; run = run->next) {
		int64_t due_ms;

		if (run->state == LIVE_RUNNING && run->started_ms != 0) {
			due_ms = sample_if_due(run, now_ms);
			if (due_ms < *next_ms)
				*next_ms = due_ms;
		}
		due_ms = event_due(run, now_ms);
		if (due_ms <= now_ms)
			return run;
		if (due_ms < *next_ms)
			*next_ms = due_ms;
	}
	return NULL;
}

static void tell_changed(struct jobs *j, struct run *run, int64_t now_ms)
{
	const struct jobs_events *events = j->options.events;
	bool end = run->state == LIVE_ENDED;
	int64_t id = run->id;

	run->changed = false;
	run->told_ms = now_ms;
	run->waiters++;
	pthread_mutex_unlock(&j->lock);
	if (events && events->run_changed)
		events->run_changed(events->arg, id);
	if (events && events->run_ended && end)
		events->run_ended(events->arg, id);
	pthread_mutex_lock(&j->lock);
	run->waiters--;
	run->told_end |= end;
	run_release(j, run);
	pthread_cond_broadcast(&j->changed);
}

void *watch_main(void *arg)
{
	struct jobs *j = arg;

	pthread_mutex_lock(&j->lock);
	while (!j->ending) {
		int64_t now_ms = clock_mono_ms(), next_ms = INT64_MAX;
		struct run *leaving = find_leaving(j, now_ms, &next_ms);
		struct run *due = leaving ? NULL : find_due(j, now_ms, &next_ms);

		if (leaving)
			leave_pending(j, leaving);
		else if (due)
			tell_changed(j, due, now_ms);
		else if (next_ms == INT64_MAX)
			pthread_cond_wait(&j->watch, &j->lock);
		else
			clock_cond_wait_ms(&j->watch, &j->lock, next_ms - now_ms);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

/*
 * Seconds until all is sent, -1: not known
 *
 * What is expected is the last backup's size, so it is measured against what was sent; that is smaller than
 * what was read, as it is compressed, but comes in large parts: the speed is that of reading. The small files
 * beside a backup are sent before its first part, and tell nothing of how much is left.
 */
static int64_t estimate_eta(const struct report_progress *p)
{
	double left;

	if (p->rate_bytes_per_s == 0 || p->sent_bytes == 0 || p->expected_bytes <= p->sent_bytes ||
	    p->sent_bytes < p->expected_bytes / LEAST_SENT_PART)
		return -1;
	left = (double)(p->expected_bytes - p->sent_bytes) / (double)p->sent_bytes;
	return (int64_t)(left * (double)p->read_bytes / (double)p->rate_bytes_per_s);
}

/* A verify does nothing but read what is expected; other works say when they will be done with the present target, and are asked
 * before they begin how long the next ones take. */
static int64_t estimate_work_eta(const struct run *run, const struct report_progress *p)
{
	int64_t left_us = atomic_load(&run->slots[0].progress.ends_us) - clock_mono_us();

	if (request_lane(&run->request) == MAKE_LANE_VERIFY)
		return eta_of_reading(p);
	/* It takes longer than was thought, so nothing is known any more. */
	if (left_us < 0)
		return -1;
	for (size_t i = run->targets_done + 1; i < run->targets.count; i++) {
		if (run->targets.items[i].expected_us == 0)
			return -1;
		left_us += run->targets.items[i].expected_us;
	}
	return left_us / US_PER_S;
}

/* Packs are read back while the next ones are copied. */
static void tell_learnt(const struct run *run, struct report_progress *ret)
{
	ret->expected_bytes = learnt_bytes(run);
	ret->reads = true;
	ret->verifying = false;
	ret->eta_s = eta_of_reading(ret);
}

static void fill_progress(const struct jobs *j, const struct run *run, struct report_progress *ret)
{
	int64_t now_ms = clock_mono_ms();
	const struct sample *from;

	ret->eta_s = -1;
	lanes_tell_waiting(j, run, ret->waits_for, sizeof(ret->waits_for));
	ret->targets_done = run->targets_done;
	ret->expected_bytes = run->expected_bytes;
	if (run->started_ms == 0)
		return;
	ret->read_bytes = run_read_bytes(run);
	ret->sent_bytes = sent_bytes(run);
	ret->verified_bytes = verified_bytes(run);
	ret->verifying = is_verifying(run);
	ret->elapsed_ms = now_ms - run->started_ms;
	tell_present_targets(run, ret->target, sizeof(ret->target));
	from = oldest(run);
	if (now_ms > from->at_ms)
		ret->rate_bytes_per_s =
		        (ret->read_bytes - from->bytes) * 1000 / (uint64_t)(now_ms - from->at_ms);
	ret->reads = run->request.work != NULL;
	ret->eta_s = ret->reads ? estimate_work_eta(run, ret) : estimate_eta(ret);
	if (learnt_bytes(run) > 0)
		tell_learnt(run, ret);
}

bool jobs_progress(struct jobs *j, int64_t run_id, struct report_progress *ret)
{
	struct run *run;
	bool live;

	*ret = (struct report_progress){0};
	if (!j)
		return false;
	pthread_mutex_lock(&j->lock);
	for (run = j->runs; run && run->id != run_id; run = run->next)
		;
	live = run && run->state != LIVE_ENDED;
	if (live)
		fill_progress(j, run, ret);
	pthread_mutex_unlock(&j->lock);
	return live;
}

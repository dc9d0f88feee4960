// SPDX-License-Identifier: Apache-2.0
/*
 * A run's end must reach the catalog, or its job would count as running for ever: while the disk under the
 * catalog is full the runner tries again until it is not, or keepfs stops (the next start then fails the
 * run). So does the watcher for a run that was cancelled before it began: whoever cancels waits for no disk.
 */
#include "job_private.h"
#include "timer.h"

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/watch.h>
#include <keepfs/policy/forecast.h>

#include <errno.h>

#define FINISH_RETRY_MS 2000

/* Wait a while, or until keepfs stops; true when it stops. */
static bool wait_for_jobs_stop(struct jobs *j, int64_t ms)
{
	int64_t until_ms = clock_mono_ms() + ms;
	bool stopping;

	pthread_mutex_lock(&j->lock);
	while (!j->stopping && clock_mono_ms() < until_ms)
		clock_cond_wait_ms(&j->changed, &j->lock, until_ms - clock_mono_ms());
	stopping = j->stopping;
	pthread_mutex_unlock(&j->lock);
	return stopping;
}

/* One attempt to write the end; the first one that fails is told. */
static bool record_end(struct jobs *j, struct run *run, enum run_state state, const char *error)
{
	struct error err = {0};
	int r = catalog_finish_run(j->options.ctx->repository->catalog, run->id, state, error, &err);

	if (r == 0 || r == -ENOENT) {
		artifact_run_ended(j->options.ctx->repository);
		return true;
	}
	if (!run->unkept)
		log_error("run %lld of job %s is %s, but that could not be kept and is tried again: %s",
		          (long long)run->id, run->request.name, run_state_name(state), err.message);
	run->unkept = true;
	return false;
}

static void log_end(struct jobs *j, struct run *run, enum run_state state, const char *error)
{
	run_log(j, run, "run %s%s%s", run_state_name(state), error[0] ? ": " : "", error);
}

static void mark_ended(struct jobs *j, struct run *run, enum run_state state, const char *error)
{
	if (state == RUN_COMPLETED)
		log_info("run %lld of job %s completed", (long long)run->id, run->request.name);
	else
		log_line(state == RUN_FAILED ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
		         "run %lld of job %s %s: %s", (long long)run->id, run->request.name,
		         run_state_name(state), error);
	pthread_mutex_lock(&j->lock);
	run->state = LIVE_ENDED;
	run_changed(j, run);
	pthread_cond_broadcast(&j->changed);
	if (j->timer)
		timer_wake(j->timer, TIMER_RUN_ENDED);
	pthread_mutex_unlock(&j->lock);
}

/* For the forecast of when the store is full. A day that is missing matters little. */
static void note_stored_day(struct jobs *j)
{
	struct error err = {0};
	int64_t day = make_now_us(j->options.ctx) / US_PER_S / 86400;

	if (catalog_note_stored(j->options.ctx->repository->catalog, day, FORECAST_DAYS, &err) < 0)
		log_warning("how much is stored today could not be kept: %s", err.message);
}

void run_finish(struct jobs *j, struct run *run, enum run_state state, const char *error)
{
	log_end(j, run, state, error);
	claims_end(j, run);
	while (!record_end(j, run, state, error) && !wait_for_jobs_stop(j, FINISH_RETRY_MS))
		;
	note_stored_day(j);
	mark_ended(j, run, state, error);
}

void run_leave(struct jobs *j, struct run *run)
{
	const char *reason = run_cancel_reason(j, run);
	bool again;

	if (!run->unkept)
		log_end(j, run, RUN_CANCELLED, reason);
	claims_end(j, run);
	if (!record_end(j, run, RUN_CANCELLED, reason)) {
		pthread_mutex_lock(&j->lock);
		again = !j->stopping;
		run->leave_at_ms = clock_mono_ms() + FINISH_RETRY_MS;
		pthread_mutex_unlock(&j->lock);
		if (again)
			return;
	}
	mark_ended(j, run, RUN_CANCELLED, reason);
}

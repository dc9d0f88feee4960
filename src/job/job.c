// SPDX-License-Identifier: Apache-2.0
/*
 * The queue. A run is written to the catalog before its order returns, and the catalog refuses a second one
 * of the same job, so what is in memory here is only what is alive: at most one run a job. Under the lock a
 * run leaves LIVE_PENDING either to a runner thread or, cancelled, to the watcher; its owner writes its end
 * to the catalog and then marks it ended. Who cancels never writes: a full disk would hold him. It is freed
 * when its end was told and nobody waits for it.
 */
#include "job_private.h"
#include "timer.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/schedules.h>
#include <keepfs/kinds.h>

#include <errno.h>
#include <string.h>

#define HOOK_STOP_MS 8000

static struct run *find_run(struct jobs *j, int64_t id)
{
	struct run *run = j->runs;

	while (run && run->id != id)
		run = run->next;
	return run;
}

static struct run *find_in_state(struct jobs *j, enum live_state state)
{
	struct run *run = j->runs;

	while (run && run->state != state)
		run = run->next;
	return run;
}

/* @request is taken over. */
static struct run *run_new(struct request *request, const char *by)
{
	struct run *run = mem_alloc(sizeof(*run));

	run->request = *request;
	*request = (struct request){0};
	run->triggered_by = mem_strdup(by);
	run->slots = &run->only;
	run->slot_count = 1;
	cancel_init(&run->cancel);
	cancel_init(&run->hook_cancel);
	return run;
}

static struct run *run_free(struct run *run)
{
	cancel_finish(&run->cancel);
	cancel_finish(&run->hook_cancel);
	request_finish(&run->request);
	make_targets_finish(&run->targets);
	if (run->slots != &run->only)
		free(run->slots);
	free(run->triggered_by);
	free(run);
	return NULL;
}

void run_release(struct jobs *j, struct run *run)
{
	struct run **at = &j->runs;

	if (!run->told_end || run->waiters > 0)
		return;
	while (*at != run)
		at = &(*at)->next;
	*at = run->next;
	run_free(run);
}

static int start_job_threads(struct jobs *j, struct error *err)
{
	int r = thread_start(&j->watcher, "job-watch", watch_main, j);

	j->has_watcher = r == 0;
	if (r == 0)
		r = lanes_start(j);
	return r == 0 ? 0 : error_system(err, -r, "threads for backups cannot be started");
}

int jobs_start(const struct jobs_options *options, struct jobs **ret_jobs, struct error *err)
{
	struct jobs *j = mem_alloc(sizeof(*j));
	int r;

	j->options = *options;
	pthread_mutex_init(&j->lock, NULL);
	clock_cond_init(&j->changed);
	clock_cond_init(&j->watch);
	r = start_job_threads(j, err);
	if (r < 0) {
		jobs_free(j);
		return r;
	}
	*ret_jobs = j;
	return 0;
}

int jobs_new(const struct make_context *ctx, const struct jobs_events *events, struct jobs **ret_jobs,
             struct error *err)
{
	const struct jobs_options options = {
	        .ctx = ctx, .events = events, .kind_of = kind_of, .hook_stop_ms = HOOK_STOP_MS};

	return jobs_start(&options, ret_jobs, err);
}

static bool has_untold(const struct jobs *j)
{
	for (const struct run *run = j->runs; run; run = run->next)
		if (!run->told_end)
			return true;
	return false;
}

/* With the lock: the run ends without having begun. */
static void cancel_pending(struct jobs *j, struct run *run, const char *reason)
{
	run->state = LIVE_LEAVING;
	run->cancel_reason = reason;
	pthread_cond_signal(&j->watch);
}

/* With the lock. The first reason stays. */
static void cancel_running(struct run *run, const char *reason)
{
	if (run->in_post_hook)
		return;
	if (!run->cancel_reason)
		run->cancel_reason = reason;
	cancel_set(&run->cancel);
}

/* With the lock: until all runs have ended and that was told, or @ms are over. */
static void wait_for_ends(struct jobs *j, int64_t ms)
{
	int64_t until_ms = clock_mono_ms() + ms;

	while (has_untold(j) && clock_mono_ms() < until_ms)
		clock_cond_wait_ms(&j->changed, &j->lock, until_ms - clock_mono_ms());
}

void jobs_stop(struct jobs *j, int64_t grace_ms)
{
	struct run *pending;

	pthread_mutex_lock(&j->lock);
	j->stopping = true;
	pthread_cond_broadcast(&j->changed);
	pthread_cond_broadcast(&j->watch);
	if (j->timer)
		timer_wake(j->timer, TIMER_ENDS);
	while (j->adding > 0)
		pthread_cond_wait(&j->changed, &j->lock);
	while ((pending = find_in_state(j, LIVE_PENDING)))
		cancel_pending(j, pending, "cancelled before it began: keepfs was stopped");
	wait_for_ends(j, grace_ms);
	for (struct run *run = j->runs; run; run = run->next)
		if (run->state == LIVE_RUNNING)
			cancel_running(run, "cancelled: keepfs was stopped");
	wait_for_ends(j, j->options.hook_stop_ms);
	for (struct run *run = j->runs; run; run = run->next)
		cancel_set(&run->hook_cancel);
	while (has_untold(j))
		pthread_cond_wait(&j->changed, &j->lock);
	pthread_mutex_unlock(&j->lock);
}

struct jobs *jobs_free(struct jobs *j)
{
	if (!j)
		return NULL;
	if (j->has_watcher)
		jobs_stop(j, 0);
	pthread_mutex_lock(&j->lock);
	j->stopping = true;
	j->ending = true;
	pthread_cond_broadcast(&j->changed);
	pthread_cond_broadcast(&j->watch);
	pthread_mutex_unlock(&j->lock);
	timer_free(j->timer);
	lanes_join(j);
	if (j->has_watcher)
		pthread_join(j->watcher, NULL);
	pthread_cond_destroy(&j->watch);
	pthread_cond_destroy(&j->changed);
	pthread_mutex_destroy(&j->lock);
	free(j);
	return NULL;
}

static int refuse_stopping(struct error *err)
{
	return error_set(err, ERROR_CANCELLED, ESHUTDOWN, "keepfs is shutting down");
}

/* With the lock: add @run to the queue, in the order of numbers. */
static void enqueue_run(struct jobs *j, struct run *run)
{
	struct run **at = &j->runs;

	while (*at && (*at)->id < run->id)
		at = &(*at)->next;
	run->next = *at;
	*at = run;
	run_changed(j, run);
	pthread_cond_broadcast(&j->changed);
}

static void describe_run(const struct jobs *j, const struct request *request, const char *by,
                         struct catalog_run *ret)
{
	*ret = (struct catalog_run){.state = RUN_PENDING};
	str_copy(ret->kind, sizeof(ret->kind), run_kind(j, request)->name);
	str_copy(ret->job, sizeof(ret->job), request->name);
	str_copy(ret->triggered_by, sizeof(ret->triggered_by), by);
	str_copy(ret->note, sizeof(ret->note), request->note ? request->note : "");
	/* The whole is in the run's log. */
	str_cut(ret->options, sizeof(ret->options), request->options ? request->options : "");
}

/* What is wrong with it is found while whoever orders it waits. */
static int check_wanted(const struct jobs *j, struct run *run, struct error *err)
{
	const struct request *request = &run->request;
	const struct make_kind *kind = run_kind(j, request);
	const struct make_wanted wanted = request_wanted(request);

	if (kind->prepare)
		return kind->prepare(j->options.ctx, &wanted, &run->targets, err);
	if (!request->work && ((!wanted.database && !wanted.class) || request->is_due))
		return 0;
	return kind->accepts(j->options.ctx, request->job, &wanted, err);
}

static int add_run_of(struct catalog *catalog, const struct jobs_order *order, const struct catalog_run *run,
                      int64_t *ret_id, struct error *err)
{
	return order->due ? catalog_add_due_run(catalog, run, order->due, ret_id, err)
	                  : catalog_add_run(catalog, run, ret_id, err);
}

static int begin_adding(struct jobs *j, struct run *run, struct error *err)
{
	int r;

	pthread_mutex_lock(&j->lock);
	r = j->stopping ? refuse_stopping(err) : claims_take(j, run, err);
	j->adding += r == 0;
	pthread_mutex_unlock(&j->lock);
	return r;
}

/* jobs_stop() waits for this, and ends the run as a pending one. */
static void end_adding(struct jobs *j, struct run *run)
{
	pthread_mutex_lock(&j->lock);
	if (run)
		enqueue_run(j, run);
	j->adding--;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
}

/* 0: @run is not the caller's any more. */
static int add_run(struct jobs *j, const struct jobs_order *order, struct run *run,
                   struct catalog_run *ret_run, struct error *err)
{
	struct catalog *catalog = j->options.ctx->repository->catalog;
	struct catalog_run added;
	int64_t id = 0;
	int r;

	describe_run(j, &run->request, run->triggered_by, &added);
	r = begin_adding(j, run, err);
	if (r < 0)
		return r;
	r = add_run_of(catalog, order, &added, &id, err);
	if (r == 0 && ret_run && catalog_run(catalog, id, ret_run) < 0) {
		*ret_run = added;
		ret_run->id = id;
	}
	if (r == 0) {
		pthread_mutex_lock(&j->lock);
		run->id = id;
		pthread_mutex_unlock(&j->lock);
		claims_keep(j, run);
	} else {
		claims_end(j, run);
	}
	end_adding(j, r == 0 ? run : NULL);
	return r;
}

int jobs_submit(struct jobs *j, const struct jobs_order *order, const char *by, struct catalog_run *ret_run,
                struct error *err)
{
	const struct make_context *ctx = j->options.ctx;
	_cleanup(request) struct request request = {0};
	struct run *run;
	int r = request_init(order->conf ? order->conf : ctx->conf, order, &request, err);

	if (r < 0)
		return r;
	run = run_new(&request, by);
	r = check_wanted(j, run, err);
	if (r == 0)
		r = add_run(j, order, run, ret_run, err);
	if (r < 0)
		run_free(run);
	return r;
}

static int refuse_cancel(struct jobs *j, int64_t run_id, struct error *err)
{
	struct catalog_run run;

	if (catalog_run(j->options.ctx->repository->catalog, run_id, &run) < 0)
		return error_set(err, ERROR_NOT_FOUND, ESRCH, "there is no run %lld", (long long)run_id);
	return error_set(err, ERROR_CONFLICT, ESRCH, "run %lld of job %s is %s: there is nothing to cancel",
	                 (long long)run_id, run.job, run_state_name(run.state));
}

int jobs_cancel(struct jobs *j, int64_t run_id, struct error *err)
{
	struct run *run;
	bool live;

	pthread_mutex_lock(&j->lock);
	run = find_run(j, run_id);
	live = run && run->state != LIVE_ENDED;
	if (live && run->state == LIVE_PENDING)
		cancel_pending(j, run, "cancelled before it began");
	else if (live && run->in_post_hook)
		cancel_set(&run->hook_cancel);
	else if (live && run->state == LIVE_RUNNING)
		cancel_running(run, "cancelled");
	pthread_mutex_unlock(&j->lock);
	return live ? 0 : refuse_cancel(j, run_id, err);
}

int jobs_wait(struct jobs *j, int64_t run_id, struct catalog_run *ret_run)
{
	struct run *run;
	int r;

	pthread_mutex_lock(&j->lock);
	run = find_run(j, run_id);
	if (run) {
		run->waiters++;
		while (run->state != LIVE_ENDED)
			pthread_cond_wait(&j->changed, &j->lock);
		run->waiters--;
		run_release(j, run);
	}
	pthread_mutex_unlock(&j->lock);
	r = catalog_run(j->options.ctx->repository->catalog, run_id, ret_run);
	if (r == 0 && (ret_run->state == RUN_PENDING || ret_run->state == RUN_RUNNING))
		return -ESRCH;
	return r;
}

int jobs_start_timer(struct jobs *j, struct conf_live *live, const struct jobs_clock *clock,
                     struct error *err)
{
	struct timer *timer;
	int r = timer_new(j, live, &timer, err);

	if (r == 0)
		r = timer_start(timer, clock, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&j->lock);
	j->timer = timer;
	pthread_mutex_unlock(&j->lock);
	return 0;
}

void jobs_schedules_changed(struct jobs *j)
{
	pthread_mutex_lock(&j->lock);
	if (j->timer)
		timer_wake(j->timer, TIMER_CHANGED);
	pthread_mutex_unlock(&j->lock);
}

int64_t jobs_watched_since_us(struct jobs *j)
{
	int64_t since_us;

	pthread_mutex_lock(&j->lock);
	since_us = j->timer ? timer_watched_s(j->timer) * US_PER_S : 0;
	pthread_mutex_unlock(&j->lock);
	return since_us;
}

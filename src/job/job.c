// SPDX-License-Identifier: Apache-2.0
/*
 * The queue. A run is written to the catalog before its order returns, and the catalog refuses a second one
 * of the same job, so what is in memory here is only what is alive: at most one run a job. Under the lock a
 * run leaves LIVE_PENDING either to a runner thread or, cancelled, to the watcher; its owner writes its end
 * to the catalog and then marks it ended. Who cancels never writes: a full disk would hold him. It is freed
 * when its end was told and nobody waits for it.
 */
#include "job_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/runs.h>
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
static struct run *run_new(int64_t id, struct request *request, const char *by)
{
	struct run *run = mem_alloc(sizeof(*run));

	run->id = id;
	run->request = *request;
	*request = (struct request){0};
	run->triggered_by = mem_strdup(by);
	cancel_init(&run->cancel);
	cancel_init(&run->hook_cancel);
	return run;
}

void run_release(struct jobs *j, struct run *run)
{
	struct run **at = &j->runs;

	if (!run->told_end || run->waiters > 0)
		return;
	while (*at != run)
		at = &(*at)->next;
	*at = run->next;
	cancel_finish(&run->cancel);
	cancel_finish(&run->hook_cancel);
	request_finish(&run->request);
	make_targets_finish(&run->targets);
	free(run->triggered_by);
	free(run);
}

static void *runner_main(void *arg)
{
	struct jobs *j = arg;

	pthread_mutex_lock(&j->lock);
	while (!j->stopping) {
		struct run *run = find_in_state(j, LIVE_PENDING);

		if (!run) {
			pthread_cond_wait(&j->changed, &j->lock);
			continue;
		}
		run->state = LIVE_RUNNING;
		pthread_mutex_unlock(&j->lock);
		run_execute(j, run);
		pthread_mutex_lock(&j->lock);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

static int start_job_threads(struct jobs *j, struct error *err)
{
	unsigned wanted = (unsigned)j->options.ctx->conf->parallel_runs;
	int r = thread_start(&j->watcher, "job-watch", watch_main, j);

	j->has_watcher = r == 0;
	j->runners = mem_array(wanted, sizeof(*j->runners));
	while (r == 0 && j->runner_count < wanted) {
		r = thread_start(&j->runners[j->runner_count], "job-run", runner_main, j);
		if (r == 0)
			j->runner_count++;
	}
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
	for (unsigned i = 0; i < j->runner_count; i++)
		pthread_join(j->runners[i], NULL);
	if (j->has_watcher)
		pthread_join(j->watcher, NULL);
	pthread_cond_destroy(&j->watch);
	pthread_cond_destroy(&j->changed);
	pthread_mutex_destroy(&j->lock);
	free(j->runners);
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
	str_copy(ret->kind, sizeof(ret->kind), j->options.kind_of(request->job)->name);
	str_copy(ret->job, sizeof(ret->job), request->job->name);
	str_copy(ret->triggered_by, sizeof(ret->triggered_by), by);
	str_copy(ret->note, sizeof(ret->note), request->note ? request->note : "");
	/* The whole is in the run's log. */
	str_cut(ret->options, sizeof(ret->options), request->options ? request->options : "");
}

int jobs_submit(struct jobs *j, const struct jobs_order *order, const char *by, struct catalog_run *ret_run,
                struct error *err)
{
	const struct make_context *ctx = j->options.ctx;
	_cleanup(request) struct request request = {0};
	struct catalog_run added;
	int64_t id = 0;
	bool stopping;
	int r = request_init(order, &request, err);

	if (r < 0)
		return r;
	describe_run(j, &request, by, &added);
	pthread_mutex_lock(&j->lock);
	stopping = j->stopping;
	j->adding += !stopping;
	pthread_mutex_unlock(&j->lock);
	if (stopping)
		return refuse_stopping(err);
	r = catalog_add_run(ctx->repository->catalog, &added, &id, err);
	if (r == 0 && ret_run && catalog_run(ctx->repository->catalog, id, ret_run) < 0) {
		*ret_run = added;
		ret_run->id = id;
	}
	pthread_mutex_lock(&j->lock);
	/* jobs_stop() waits for this, and ends the run as a pending one. */
	if (r == 0)
		enqueue_run(j, run_new(id, &request, by));
	j->adding--;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
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

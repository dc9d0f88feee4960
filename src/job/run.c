// SPDX-License-Identifier: Apache-2.0
/*
 * One run: every target of its job (targets.c), each with a result of its own in the catalog. One that fails does not stop the others; the run is
 * completed only when all are. After a cancel no other one is begun, but what is whole stays.
 *
 * The hooks stand around all that: without the first nothing is dumped, and the last learns how the run ends.
 * Until it has ended too, the run is running.
 */
#include "job_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/check.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FAILURES_SHOWN 4

void run_log(struct jobs *j, struct run *run, const char *fmt, ...)
{
	_cleanup(str) struct str line = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&line, fmt, args);
	va_end(args);
	catalog_log_run(j->options.ctx->repository->catalog, run->id, str_text(&line), NULL);
}

void run_warn(struct jobs *j, struct run *run, const char *text)
{
	struct error err = {0};

	run_log(j, run, "warning: %s", text);
	if (catalog_warn_run(j->options.ctx->repository->catalog, run->id, text, &err) < 0)
		log_error("run %lld of job %s: a warning could not be kept: %s: %s", (long long)run->id,
		          run->request.name, text, err.message);
}

const char *run_cancel_reason(struct jobs *j, struct run *run)
{
	const char *reason;

	pthread_mutex_lock(&j->lock);
	reason = run->cancel_reason;
	pthread_mutex_unlock(&j->lock);
	return reason;
}

/* All that was known is made, but there may be more. */
static void add_failure_to_find(const struct run *run, struct ending *e)
{
	_cleanup(str) struct str text = {0};

	if (!run->targets.failure || e->state == RUN_CANCELLED)
		return;
	e->state = RUN_FAILED;
	str_appendf(&text, "%s%s%s", run->targets.failure, e->error[0] ? "; " : "", e->error);
	str_cut(e->error, sizeof(e->error), str_text(&text));
}

/* @unbegun: it was cancelled before its targets were known, and so has none that could tell. */
static void decide_ending(struct jobs *j, struct run *run, const struct outcome *o, bool unbegun,
                          struct ending *e)
{
	*e = (struct ending){.state = RUN_COMPLETED};
	if (unbegun || o->cancelled > 0) {
		e->state = RUN_CANCELLED;
		snprintf(e->error, sizeof(e->error), "%s%s%s", run_cancel_reason(j, run),
		         *o->state ? ": " : "", o->state);
	} else if (o->failed > 0) {
		e->state = RUN_FAILED;
	}
	if (o->failed > 0 && o->targets == 1)
		str_copy(e->error, sizeof(e->error), o->failures);
	else if (o->failed > 0)
		snprintf(e->error, sizeof(e->error), "%s%zu of %zu %s failed: %s%s",
		         e->state == RUN_CANCELLED ? "cancelled; before, " : "", o->failed, o->targets,
		         run_kind(j, &run->request)->targets_name, o->failures,
		         o->failed > FAILURES_SHOWN ? "; and others" : "");
	add_failure_to_find(run, e);
}

/* Where nothing could be made there is no use in looking for more. */
static void look_around(struct jobs *j, struct run *run)
{
	const struct conf_job *job = run->request.job;

	if (job && run->made && !cancel_is_set(&run->cancel))
		run_kind(j, &run->request)->look_around(j->options.ctx, job, run->made, &run->cancel);
}

static void log_begin(struct jobs *j, struct run *run)
{
	const struct request *request = &run->request;

	log_info("run %lld of job %s has begun, triggered by %s", (long long)run->id, request->name,
	         run->triggered_by);
	if (request->note)
		run_log(j, run, "note: %s", request->note);
	if (request->hold)
		run_log(j, run, "what it makes is held: %s", request->hold);
	if (request->keep_ms)
		run_log(j, run, "what it makes stays for %lld days at least",
		        (long long)(request->keep_ms / 86400000));
	if (request->options)
		run_log(j, run, "%s: %s", request->work ? "what it is to do" : "not as the job says",
		        request->options);
	if (request->partial)
		run_log(j, run, "partial: it leaves out what the job would dump");
}

static void tell_notes(struct jobs *j, struct run *run)
{
	for (size_t i = 0; i < run->targets.note_count; i++)
		run_log(j, run, "%s", run->targets.notes[i]);
	if (run->targets.failure)
		run_log(j, run, "%s", run->targets.failure);
	if (run->targets.warning)
		run_warn(j, run, run->targets.warning);
}

/* @learns: it is the last time that this run asks. */
static int find_targets(struct jobs *j, struct run *run, bool learns, struct error *err)
{
	struct make_wanted wanted = request_wanted(&run->request);
	int r;

	wanted.learns = learns;
	wanted.cancel = &run->cancel;
	make_targets_finish(&run->targets);
	r = run_kind(j, &run->request)
	            ->targets(j->options.ctx, run->request.job, &wanted, &run->targets, err);
	if (r == 0)
		targets_prepare(j, run);
	if (learns)
		tell_notes(j, run);
	return r;
}

/* Nobody is there when a scheduled run begins, so it must not be the first to find out that the store does not keep what it
 * is given. */
static int verify_store(struct jobs *j, struct run *run, struct error *err)
{
	const struct repository *repository = j->options.ctx->repository;
	const char *url = j->options.ctx->conf->store.url;
	int r;

	if (!run->request.is_due || catalog_store_verified(repository->catalog, url) > 0)
		return 0;
	r = check_verify_store(repository_store(repository), url, repository->catalog, &run->cancel, err);
	if (r == 0) {
		run_log(j, run,
		        "the store %s was verified: a small object was written, read back and deleted", url);
		return 0;
	}
	error_prefix(
	        err,
	        "scheduled runs are refused, since the store %s was never verified, and cannot be now (mend it and run 'keepfs check')",
	        url);
	return r;
}

/* Its targets are known since it was ordered. */
static int begin_prepared_run(struct jobs *j, struct run *run, struct error *err)
{
	if (run->is_late)
		return error_set(
		        err, ERROR_CONFLICT, EBUSY,
		        "a backup was being removed when this was ordered, and nothing was changed: name another one");
	targets_prepare(j, run);
	return 0;
}

/* The hook is told what the run is about, and may prepare it (mount a snapshot): so that is asked for once more. */
static int begin_run(struct jobs *j, struct run *run, struct error *err)
{
	const char *hook = run->request.job ? run->request.job->pre_hook : NULL;
	bool has_hook = hook && hook[0];
	int r = verify_store(j, run, err);

	if (r < 0)
		return r;
	if (run_kind(j, &run->request)->prepare)
		return begin_prepared_run(j, run, err);
	r = find_targets(j, run, !has_hook, err);
	if (!has_hook)
		return r;
	r = run_pre_hook(j, run, err);
	return r < 0 ? r : find_targets(j, run, true, err);
}

void run_execute(struct jobs *j, struct run *run)
{
	struct outcome outcome = {0};
	struct ending ending;
	struct error err = {0};
	int r;

	if (catalog_start_run(j->options.ctx->repository->catalog, run->id, &err) < 0) {
		error_prefix(&err, "the run could not begin");
		run_finish(j, run, RUN_FAILED, err.message);
		return;
	}
	log_begin(j, run);
	r = begin_run(j, run, &err);
	if (r == 0 || cancel_is_set(&run->cancel)) {
		outcome.targets = run->targets.count;
		outcome.made = mem_array(outcome.targets + 1, sizeof(*outcome.made));
		targets_make(j, run, &outcome);
		make_targets_drop_shared(&run->targets);
		look_around(j, run);
		run_prune(j, run, &outcome);
		decide_ending(j, run, &outcome, r < 0, &ending);
	} else {
		/* Its targets, which are pending, fail with it. */
		ending = (struct ending){.state = RUN_FAILED};
		str_copy(ending.error, sizeof(ending.error), err.message);
		make_targets_drop_shared(&run->targets);
	}
	run_post_hook(j, run, &ending, &outcome);
	run_finish(j, run, ending.state, ending.error);
	str_finish(&outcome.artifacts);
	str_finish(&outcome.failed_names);
	free(outcome.made);
}

// SPDX-License-Identifier: Apache-2.0
/*
 * One run: every target of its job (a database, a directory) in turn, each with a result of its own in the catalog. One that fails
 * does not stop the others; the run is completed only when all are. After a cancel no other one is begun, but
 * what is whole stays.
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

#define FAILURES_SHOWN      4
#define ARTIFACTS_MAX_BYTES ((size_t)96 << 10) /* an environment variable holds 128 KiB */
#define FAILURE_SHOWN_BYTES 300

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

struct maker_log {
	struct jobs *jobs;
	struct run *run;
};

static void log_maker_line(void *arg, const char *line)
{
	struct maker_log *log = arg;

	run_log(log->jobs, log->run, "%s", line);
}

static void warn_of_maker(void *arg, const char *text)
{
	struct maker_log *log = arg;

	run_warn(log->jobs, log->run, text);
}

static int record_target(struct jobs *j, struct run *run, const struct catalog_target *t)
{
	struct error err = {0};
	int r = catalog_set_target(j->options.ctx->repository->catalog, run->id, t, &err);

	if (r < 0)
		log_error("run %lld of job %s: the state of %s could not be kept: %s", (long long)run->id,
		          run->request.name, t->label, err.message);
	return r;
}

/* Note how the database that was running ended, for progress. */
static void count_target(struct jobs *j, struct run *run)
{
	pthread_mutex_lock(&j->lock);
	run->done_read += atomic_exchange(&run->progress.read_bytes, 0);
	run->done_sent += atomic_exchange(&run->progress.sent_bytes, 0);
	run->done_verified += atomic_exchange(&run->progress.verified_bytes, 0);
	atomic_store(&run->progress.ends_us, 0);
	run->targets_done++;
	run_changed(j, run);
	pthread_mutex_unlock(&j->lock);
}

static int make_one(struct jobs *j, struct run *run, const struct make_target *t, struct manifest *ret,
                    struct error *err)
{
	struct maker_log log = {j, run};
	const struct make_order order = {
	        .job = run->request.job,
	        .line = run->request.work ? &run->request.line : NULL,
	        .partial = run->request.partial,
	        .note = run->request.note,
	        .hold = run->request.hold,
	        .keep_ms = run->request.keep_ms,
	        .then_delete = run->request.then_delete,
	        .target = t,
	        .shared = run->targets.shared,
	        .run_id = run->id,
	        .triggered_by = run->triggered_by,
	        .progress = &run->progress,
	        .warn = warn_of_maker,
	        .cancel = &run->cancel,
	        .log = log_maker_line,
	        .log_arg = &log,
	};

	pthread_mutex_lock(&j->lock);
	str_copy(run->target, sizeof(run->target), t->label);
	run_changed(j, run);
	pthread_mutex_unlock(&j->lock);
	return run_kind(j, &run->request)->make(j->options.ctx, &order, ret, err);
}

static void note_target_failure(struct outcome *o, const char *label, const char *message)
{
	size_t used = strlen(o->failures);
	char shown[FAILURE_SHOWN_BYTES];

	o->failed++;
	if (o->targets == 1)
		str_copy(o->failures, sizeof(o->failures), message);
	if (o->targets == 1 || o->failed > FAILURES_SHOWN)
		return;
	str_cut(shown, sizeof(shown), message);
	snprintf(o->failures + used, sizeof(o->failures) - used, "%s%.40s: %s", used > 0 ? "; " : "", label,
	         shown);
}

static void note_artifact(struct outcome *o, const struct manifest *m, struct catalog_target *result)
{
	if (!m->path)
		return;
	result->size_bytes = m->size_bytes;
	str_copy(result->path, sizeof(result->path), m->path);
	o->size_bytes += m->size_bytes;
	o->artifact_count++;
	str_copy(o->sha256, sizeof(o->sha256), m->sha256);
	if (o->artifacts.len + strlen(m->path) < ARTIFACTS_MAX_BYTES)
		str_appendf(&o->artifacts, "%s%s", o->artifacts.len > 0 ? "\n" : "", m->path);
}

static void run_target(struct jobs *j, struct run *run, const struct make_target *t, struct outcome *o)
{
	struct catalog_target result = {.state = RUN_RUNNING};
	_cleanup(manifest) struct manifest m = {0};
	struct error err = {0};
	int r;

	str_copy(result.label, sizeof(result.label), t->label);
	record_target(j, run, &result);
	r = make_one(j, run, t, &m, &err);
	if (r == 0) {
		result.state = RUN_COMPLETED;
		o->made[t - run->targets.items] = m.path != NULL;
		note_artifact(o, &m, &result);
		run->made = t;
	} else {
		bool cancelled = cancel_is_set(&run->cancel);
		bool is_told = run_kind(j, &run->request)->tells_state && err.message[0];

		if (!err.message[0])
			error_system(&err, -r, "%s of %s failed",
			             run->request.work ? run->request.work->name : "the backup", t->label);
		result.state = cancelled ? RUN_CANCELLED : RUN_FAILED;
		str_copy(result.error, sizeof(result.error),
		         cancelled && !is_told ? "cancelled" : err.message);
		run_log(j, run, "%s: %s", t->label, result.error);
		if (cancelled && is_told)
			str_cut(o->state, sizeof(o->state), err.message);
		if (cancelled)
			o->cancelled++;
		else
			note_target_failure(o, t->label, err.message);
	}
	record_target(j, run, &result);
	count_target(j, run);
}

/* After a cancel: the databases that were not begun. */
static void skip_target(struct jobs *j, struct run *run, const struct make_target *t, struct outcome *o)
{
	struct catalog_target result = {.state = RUN_CANCELLED, .error = "cancelled before it began"};

	str_copy(result.label, sizeof(result.label), t->label);
	record_target(j, run, &result);
	o->cancelled++;
}

/* Every target is listed as pending before the first begins, and what the last artifacts' sizes promise is summed up. */
static void prepare_targets(struct jobs *j, struct run *run)
{
	uint64_t expected = 0;

	for (size_t i = 0; i < run->targets.count; i++) {
		const struct make_target *t = &run->targets.items[i];
		struct catalog_target pending = {.state = RUN_PENDING};

		str_copy(pending.label, sizeof(pending.label), t->label);
		record_target(j, run, &pending);
		/* One that is made once has no last one. */
		if (t->expected_bytes)
			expected += t->expected_bytes;
		else if (!t->stem && !run->request.work)
			expected += catalog_last_size(j->options.ctx->repository->catalog, t->directory);
	}
	pthread_mutex_lock(&j->lock);
	/* Of a smaller one than the last nothing is known. */
	run->expected_bytes = run->request.partial ? 0 : expected;
	run->started_ms = clock_mono_ms();
	run_sample(run, run->started_ms);
	run_changed(j, run);
	pthread_mutex_unlock(&j->lock);
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

static void run_targets(struct jobs *j, struct run *run, struct outcome *o)
{
	for (size_t i = 0; i < o->targets; i++) {
		const struct make_target *t = &run->targets.items[i];

		if (cancel_is_set(&run->cancel))
			skip_target(j, run, t, o);
		else
			run_target(j, run, t, o);
	}
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
		prepare_targets(j, run);
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
	prepare_targets(j, run);
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
		run_targets(j, run, &outcome);
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
	free(outcome.made);
}

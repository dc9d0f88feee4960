// SPDX-License-Identifier: Apache-2.0
/*
 * All targets of a run, in their order: one after the other, or several at once, where the kind allows it. Each thread takes the next one that nobody has begun. One
 * that fails stops no other; after a cancel no further one is begun.
 */
#include "job_private.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/stream/rate.h>

#include <stdio.h>
#include <string.h>

#define FAILURES_SHOWN      4
#define FAILED_NAMES_BYTES  400
#define ARTIFACTS_MAX_BYTES ((size_t)96 << 10) /* an environment variable holds 128 KiB */
#define FAILURE_SHOWN_BYTES 300

struct maker_log {
	struct jobs *jobs;
	struct run *run;
	const char *label; /* of the target, when others are made meanwhile; NULL */
};

static void log_maker_line(void *arg, const char *line)
{
	struct maker_log *log = arg;

	if (log->label && !str_starts(line, log->label))
		run_log(log->jobs, log->run, "%s: %s", log->label, line);
	else
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

static void begin_slot(struct jobs *j, struct run *run, struct run_slot *slot, const struct make_target *t)
{
	pthread_mutex_lock(&j->lock);
	slot->target = t;
	run_changed(j, run);
	pthread_mutex_unlock(&j->lock);
}

/* Note how the target that was made ended, for progress. */
static void end_slot(struct jobs *j, struct run *run, struct run_slot *slot)
{
	pthread_mutex_lock(&j->lock);
	run->done_read += atomic_exchange(&slot->progress.read_bytes, 0);
	run->done_sent += atomic_exchange(&slot->progress.sent_bytes, 0);
	run->done_verified += atomic_exchange(&slot->progress.verified_bytes, 0);
	atomic_store(&slot->progress.ends_us, 0);
	atomic_store(&slot->progress.expected_bytes, 0);
	slot->target = NULL;
	run->targets_done++;
	run_changed(j, run);
	pthread_mutex_unlock(&j->lock);
}

struct target_work { /* of one thread of the run */
	struct jobs *jobs;
	struct run *run;
	struct outcome *outcome;
	struct run_slot *slot;
};

static int make_target_of(const struct target_work *w, const struct make_target *t, struct manifest *ret,
                          struct error *err)
{
	struct run *run = w->run;
	struct maker_log log = {w->jobs, run, w->outcome->at_once > 1 ? t->label : NULL};
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
	        .at_once = w->outcome->at_once,
	        .rate = w->outcome->rate,
	        .run_id = run->id,
	        .triggered_by = run->triggered_by,
	        .progress = &w->slot->progress,
	        .warn = warn_of_maker,
	        .cancel = &run->cancel,
	        .log = log_maker_line,
	        .log_arg = &log,
	};

	begin_slot(w->jobs, run, w->slot, t);
	return run_kind(w->jobs, &run->request)->make(w->jobs->options.ctx, &order, ret, err);
}

static void note_target_failure(struct outcome *o, const char *label, const char *message)
{
	size_t used = strlen(o->failures);
	char shown[FAILURE_SHOWN_BYTES];

	o->failed++;
	if (o->failed_names.len < FAILED_NAMES_BYTES)
		str_appendf(&o->failed_names, "%s%s", o->failed > 1 ? ", " : "", label);
	else if (!str_ends(str_text(&o->failed_names), "…"))
		str_append(&o->failed_names, ", …");
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

static void note_target_made(struct outcome *o, struct run *run, const struct make_target *t,
                             const struct manifest *m, struct catalog_target *result)
{
	result->state = RUN_COMPLETED;
	pthread_mutex_lock(&o->lock);
	o->made[t - run->targets.items] = m->path != NULL;
	note_artifact(o, m, result);
	run->made = t;
	pthread_mutex_unlock(&o->lock);
}

static void note_target_failed(const struct target_work *w, const struct make_target *t, int r,
                               struct error *err, struct catalog_target *result)
{
	const struct request *request = &w->run->request;
	struct outcome *o = w->outcome;
	bool cancelled = cancel_is_set(&w->run->cancel);
	bool is_told = run_kind(w->jobs, request)->tells_state && err->message[0];

	if (!err->message[0])
		error_system(err, -r, "%s of %s failed", request->work ? request->work->name : "the backup",
		             t->label);
	result->state = cancelled ? RUN_CANCELLED : RUN_FAILED;
	str_copy(result->error, sizeof(result->error), cancelled && !is_told ? "cancelled" : err->message);
	run_log(w->jobs, w->run, "%s: %s", t->label, result->error);
	pthread_mutex_lock(&o->lock);
	if (cancelled && is_told)
		str_cut(o->state, sizeof(o->state), err->message);
	if (cancelled)
		o->cancelled++;
	else
		note_target_failure(o, t->label, err->message);
	pthread_mutex_unlock(&o->lock);
}

static void run_target(const struct target_work *w, const struct make_target *t)
{
	struct catalog_target result = {.state = RUN_RUNNING};
	_cleanup(manifest) struct manifest m = {0};
	struct error err = {0};
	int r;

	str_copy(result.label, sizeof(result.label), t->label);
	record_target(w->jobs, w->run, &result);
	r = make_target_of(w, t, &m, &err);
	if (r == 0)
		note_target_made(w->outcome, w->run, t, &m, &result);
	else
		note_target_failed(w, t, r, &err, &result);
	record_target(w->jobs, w->run, &result);
	end_slot(w->jobs, w->run, w->slot);
}

/* After a cancel: those that were not begun. */
static void skip_target(const struct target_work *w, const struct make_target *t)
{
	struct catalog_target result = {.state = RUN_CANCELLED, .error = "cancelled before it began"};

	str_copy(result.label, sizeof(result.label), t->label);
	record_target(w->jobs, w->run, &result);
	pthread_mutex_lock(&w->outcome->lock);
	w->outcome->cancelled++;
	pthread_mutex_unlock(&w->outcome->lock);
}

/* Every target is listed as pending before the first begins, and what the last artifacts' sizes promise is summed up. */
void targets_prepare(struct jobs *j, struct run *run)
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

static const struct make_target *next_target(const struct target_work *w)
{
	const struct make_target *t = NULL;

	pthread_mutex_lock(&w->outcome->lock);
	if (w->outcome->next < w->outcome->targets)
		t = &w->run->targets.items[w->outcome->next++];
	pthread_mutex_unlock(&w->outcome->lock);
	return t;
}

static void *make_targets_main(void *arg)
{
	const struct target_work *w = arg;
	const struct make_target *t;

	while ((t = next_target(w))) {
		if (cancel_is_set(&w->run->cancel))
			skip_target(w, t);
		else
			run_target(w, t);
	}
	return NULL;
}

static unsigned targets_at_once(const struct jobs *j, const struct run *run, const struct outcome *o)
{
	const struct make_kind *kind = run_kind(j, &run->request);
	unsigned most = kind->at_once ? kind->at_once(j->options.ctx, run->request.job) : 1;

	return most < o->targets ? most : o->targets > 0 ? (unsigned)o->targets : 1;
}

static void make_run_slots(struct jobs *j, struct run *run, unsigned count)
{
	pthread_mutex_lock(&j->lock);
	if (count > 1) {
		run->slots = mem_array(count, sizeof(*run->slots));
		run->slot_count = count;
	}
	pthread_mutex_unlock(&j->lock);
}

/* The run's own thread is one of them, so that there is one in any case. */
static void make_targets_at_once(struct jobs *j, struct run *run, struct outcome *o)
{
	_cleanup(free) struct target_work *works = mem_array(o->at_once, sizeof(*works));
	_cleanup(free) pthread_t *threads = mem_array(o->at_once, sizeof(*threads));
	unsigned started = 0;

	for (unsigned i = 0; i < o->at_once; i++)
		works[i] = (struct target_work){j, run, o, &run->slots[i]};
	while (started + 1 < o->at_once &&
	       thread_start(&threads[started], "job-target", make_targets_main, &works[started + 1]) == 0)
		started++;
	make_targets_main(&works[0]);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}

/* Of hundreds of them nobody reads the lines of each. */
static void say_summary(struct jobs *j, struct run *run, const struct outcome *o)
{
	const char *what = run_kind(j, &run->request)->targets_name;

	if (o->targets < 2 || !what)
		return;
	run_log(j, run, "%zu of %zu %s were made%s%s%s", o->targets - o->failed - o->cancelled, o->targets,
	        what, o->cancelled > 0 ? ", others were cancelled" : "", o->failed > 0 ? "; failed: " : "",
	        str_text(&o->failed_names));
}

void targets_make(struct jobs *j, struct run *run, struct outcome *o)
{
	pthread_mutex_init(&o->lock, NULL);
	o->at_once = targets_at_once(j, run, o);
	if (o->at_once > 1 && run->request.job)
		o->rate = rate_new((uint64_t)run->request.job->max_rate_bytes);
	make_run_slots(j, run, o->at_once);
	make_targets_at_once(j, run, o);
	o->rate = rate_free(o->rate);
	pthread_mutex_destroy(&o->lock);
	say_summary(j, run, o);
}

/*
 * One run: every database of its job in turn, each with a result of its own in the catalog. One that fails
 * does not stop the others; the run is completed only when all are. After a cancel no other one is begun, but
 * what is whole stays.
 *
 * A run's end must reach the catalog, or its job would count as running for ever: while the disk under the
 * catalog is full the runner tries again until it is not, or keepfs stops (the next start then fails the
 * run). So does the watcher for a run that was cancelled before it began: whoever cancels waits for no disk.
 */
#include "job_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/name.h>
#include <keepfs/pg.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FINISH_RETRY_MS     2000
#define FAILURES_SHOWN      4
#define FAILURE_SHOWN_BYTES 300

struct outcome { /* of the databases of one run, as they end */
	size_t targets, failed, cancelled;
	char failures[1400]; /* the first ones */
};

struct target {
	const char *database; /* NULL: the one of the job's connection */
	char *label;          /* its name, for people */
	char *directory;
};

static void target_finish(struct target *t)
{
	free(t->label);
	free(t->directory);
}

static inline void cleanup_target(struct target *t)
{
	target_finish(t);
}

static size_t target_count(const struct conf_backup *job)
{
	size_t n = 0;

	while (job->databases && job->databases[n])
		n++;
	return n > 0 ? n : 1;
}

static void target_init(struct target *t, const struct conf_backup *job, size_t index)
{
	_cleanup(free) char *name = NULL;

	*t = (struct target){0};
	if (!job->databases || !job->databases[0]) {
		t->label = pg_conninfo_database(job->database);
		if (!t->label)
			t->label = mem_strdup(job->name);
		t->directory = mem_printf("backups/%s", job->name);
		return;
	}
	t->database = job->databases[index];
	t->label = mem_strdup(t->database);
	name = name_from_database(t->database);
	t->directory = mem_printf("backups/%s/%s", job->name, name);
}

static void log_to_run(struct jobs *j, struct run *run, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

static void log_to_run(struct jobs *j, struct run *run, const char *fmt, ...)
{
	char line[1800];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	/* The log of a run is a help, not a record: what cannot be kept must not fail a backup. */
	catalog_log_run(j->options.ctx->catalog, run->id, line, NULL);
}

struct maker_log {
	struct jobs *jobs;
	struct run *run;
};

static void log_maker_line(void *arg, const char *line)
{
	struct maker_log *log = arg;

	log_to_run(log->jobs, log->run, "%s", line);
}

static int record_target(struct jobs *j, struct run *run, const struct catalog_target *t)
{
	struct error err = {0};
	int r = catalog_set_target(j->options.ctx->catalog, run->id, t, &err);

	if (r < 0)
		log_error("run %lld of job %s: the state of database %s could not be kept: %s",
		          (long long)run->id, run->job->name, t->database, err.message);
	return r;
}

/* Note how the database that was running ended, for progress. */
static void count_target(struct jobs *j, struct run *run)
{
	pthread_mutex_lock(&j->lock);
	run->done_read += atomic_exchange(&run->progress.read_bytes, 0);
	run->done_sent += atomic_exchange(&run->progress.sent_bytes, 0);
	run->targets_done++;
	run_changed(j, run);
	pthread_mutex_unlock(&j->lock);
}

static int make(struct jobs *j, struct run *run, const struct target *t, struct manifest *ret,
                struct error *err)
{
	struct maker_log log = {j, run};
	const struct make_dump dump = {
	        .job = run->job,
	        .database = t->database,
	        .label = t->label,
	        .directory = t->directory,
	        .run_id = run->id,
	        .triggered_by = run->triggered_by,
	        .progress = &run->progress,
	        .cancel = &run->cancel,
	        .log = log_maker_line,
	        .log_arg = &log,
	};

	pthread_mutex_lock(&j->lock);
	str_copy(run->database, sizeof(run->database), t->label);
	run_changed(j, run);
	pthread_mutex_unlock(&j->lock);
	return j->options.make(j->options.ctx, &dump, ret, err);
}

/* Copy at most @max bytes of @text, never a part of a UTF-8 character. */
static void cut_text(char *dst, size_t dst_bytes, const char *text)
{
	size_t len = strlen(text);

	str_copy(dst, dst_bytes, text);
	if (len < dst_bytes)
		return;
	len = dst_bytes - 4;
	while (len > 0 && ((unsigned char)dst[len] & 0xC0) == 0x80)
		len--;
	str_copy(dst + len, dst_bytes - len, "...");
}

static void note_failure(struct outcome *o, const char *label, const char *message)
{
	size_t used = strlen(o->failures);
	char shown[FAILURE_SHOWN_BYTES];

	o->failed++;
	if (o->targets == 1)
		str_copy(o->failures, sizeof(o->failures), message);
	if (o->targets == 1 || o->failed > FAILURES_SHOWN)
		return;
	cut_text(shown, sizeof(shown), message);
	snprintf(o->failures + used, sizeof(o->failures) - used, "%s%.40s: %s", used > 0 ? "; " : "", label,
	         shown);
}

static void run_target(struct jobs *j, struct run *run, const struct target *t, struct outcome *o)
{
	const struct jobs_events *events = j->options.events;
	struct catalog_target result = {.state = RUN_RUNNING};
	_cleanup(manifest) struct manifest m = {0};
	struct error err = {0};
	int r;

	str_copy(result.database, sizeof(result.database), t->label);
	record_target(j, run, &result);
	r = make(j, run, t, &m, &err);
	if (r == 0) {
		result.state = RUN_COMPLETED;
		result.size_bytes = m.size_bytes;
		str_copy(result.path, sizeof(result.path), m.path);
	} else {
		bool cancelled = cancel_is_set(&run->cancel);

		if (!err.message[0])
			error_system(&err, -r, "the backup of %s failed", t->label);
		result.state = cancelled ? RUN_CANCELLED : RUN_FAILED;
		str_copy(result.error, sizeof(result.error), cancelled ? "cancelled" : err.message);
		log_to_run(j, run, "database %s: %s", t->label, result.error);
		if (cancelled)
			o->cancelled++;
		else
			note_failure(o, t->label, err.message);
	}
	record_target(j, run, &result);
	count_target(j, run);
	if (r == 0 && events && events->directory_changed)
		events->directory_changed(events->arg, t->directory);
}

/* After a cancel: the databases that were not begun. */
static void skip_target(struct jobs *j, struct run *run, const struct target *t, struct outcome *o)
{
	struct catalog_target result = {.state = RUN_CANCELLED, .error = "cancelled before it began"};

	str_copy(result.database, sizeof(result.database), t->label);
	record_target(j, run, &result);
	o->cancelled++;
}

/* Every database is listed as pending before the first begins, and what the last artifacts' sizes promise is
 * summed up. */
static void prepare(struct jobs *j, struct run *run, size_t count)
{
	uint64_t expected = 0;

	for (size_t i = 0; i < count; i++) {
		struct catalog_target pending = {.state = RUN_PENDING};
		_cleanup(target) struct target t;

		target_init(&t, run->job, i);
		str_copy(pending.database, sizeof(pending.database), t.label);
		if (count > 1)
			record_target(j, run, &pending);
		expected += catalog_last_size(j->options.ctx->catalog, t.directory);
	}
	pthread_mutex_lock(&j->lock);
	run->expected_bytes = expected;
	run->started_ms = clock_mono_ms();
	run_sample(run, run->started_ms);
	run_changed(j, run);
	pthread_mutex_unlock(&j->lock);
}

static const char *cancel_reason(struct jobs *j, struct run *run)
{
	const char *reason;

	pthread_mutex_lock(&j->lock);
	reason = run->cancel_reason;
	pthread_mutex_unlock(&j->lock);
	return reason;
}

static void end(struct jobs *j, struct run *run, const struct outcome *o)
{
	char error[sizeof(((struct catalog_run *)NULL)->error)] = "";
	enum run_state state = RUN_COMPLETED;

	if (o->cancelled > 0) {
		state = RUN_CANCELLED;
		str_copy(error, sizeof(error), cancel_reason(j, run));
	} else if (o->failed > 0) {
		state = RUN_FAILED;
	}
	if (o->failed > 0 && o->targets == 1)
		str_copy(error, sizeof(error), o->failures);
	else if (o->failed > 0)
		snprintf(error, sizeof(error), "%s%zu of %zu databases failed: %s%s",
		         state == RUN_CANCELLED ? "cancelled; before, " : "", o->failed, o->targets,
		         o->failures, o->failed > FAILURES_SHOWN ? "; and others" : "");
	run_finish(j, run, state, error);
}

void run_execute(struct jobs *j, struct run *run)
{
	struct outcome outcome = {.targets = target_count(run->job)};
	struct error err = {0};

	if (catalog_start_run(j->options.ctx->catalog, run->id, &err) < 0) {
		error_prefix(&err, "the run could not begin");
		run_finish(j, run, RUN_FAILED, err.message);
		return;
	}
	log_info("run %lld of job %s has begun, triggered by %s", (long long)run->id, run->job->name,
	         run->triggered_by);
	prepare(j, run, outcome.targets);
	for (size_t i = 0; i < outcome.targets; i++) {
		_cleanup(target) struct target t;

		target_init(&t, run->job, i);
		if (cancel_is_set(&run->cancel))
			skip_target(j, run, &t, &outcome);
		else
			run_target(j, run, &t, &outcome);
	}
	end(j, run, &outcome);
}

/* Wait a while, or until keepfs stops; true when it stops. */
static bool wait_for_stop(struct jobs *j, int64_t ms)
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
	int r = catalog_finish_run(j->options.ctx->catalog, run->id, state, error, &err);

	if (r == 0 || r == -ENOENT)
		return true;
	if (!run->unkept)
		log_error("run %lld of job %s is %s, but that could not be kept and is tried again: %s",
		          (long long)run->id, run->job->name, run_state_name(state), err.message);
	run->unkept = true;
	return false;
}

static void log_end(struct jobs *j, struct run *run, enum run_state state, const char *error)
{
	log_to_run(j, run, "run %s%s%s", run_state_name(state), error[0] ? ": " : "", error);
}

static void mark_ended(struct jobs *j, struct run *run, enum run_state state, const char *error)
{
	if (state == RUN_COMPLETED)
		log_info("run %lld of job %s completed", (long long)run->id, run->job->name);
	else
		log_line(state == RUN_FAILED ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
		         "run %lld of job %s %s: %s", (long long)run->id, run->job->name,
		         run_state_name(state), error);
	pthread_mutex_lock(&j->lock);
	run->state = LIVE_ENDED;
	run_changed(j, run);
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
}

void run_finish(struct jobs *j, struct run *run, enum run_state state, const char *error)
{
	log_end(j, run, state, error);
	while (!record_end(j, run, state, error) && !wait_for_stop(j, FINISH_RETRY_MS))
		;
	mark_ended(j, run, state, error);
}

void run_leave(struct jobs *j, struct run *run)
{
	const char *reason = cancel_reason(j, run);
	bool again;

	if (!run->unkept)
		log_end(j, run, RUN_CANCELLED, reason);
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

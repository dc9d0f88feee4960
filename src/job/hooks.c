// SPDX-License-Identifier: Apache-2.0
/*
 * A job's hooks, and the facts that they find in their environment. The post hook of a run that was cancelled
 * runs all the same: what the first one has stopped it is to start again. So it has a cancel of its own.
 */
#include "hook.h"
#include "job_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>

#include <inttypes.h>
#include <string.h>

#define LIST_MAX_BYTES ((size_t)96 << 10) /* an environment variable holds 128 KiB */

struct facts {        /* "NAME=value" */
	char **items; /* NULL-terminated */
	size_t count;
};

static void add_fact(struct facts *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add_fact(struct facts *f, const char *fmt, ...)
{
	struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	f->items = mem_resize(f->items, f->count + 2, sizeof(*f->items));
	f->items[f->count++] = str_take(&text);
	f->items[f->count] = NULL;
}

static void cleanup_facts(struct facts *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->items[i]);
	free(f->items);
}

/* The name is from when databases were all that there was. */
static void add_targets(struct facts *f, const struct make_targets *targets)
{
	_cleanup(str) struct str names = {0};

	for (size_t i = 0; i < targets->count && names.len < LIST_MAX_BYTES; i++)
		str_appendf(&names, "%s%s", i > 0 ? "," : "", targets->items[i].label);
	add_fact(f, "KEEPFS_DATABASES=%s", str_text(&names));
}

static void add_run_facts(struct facts *f, struct jobs *j, const struct run *run)
{
	const struct conf *conf = j->options.ctx->conf;

	add_fact(f, "KEEPFS_JOB=%s", run->request.name);
	add_fact(f, "KEEPFS_RUN=%" PRId64, run->id);
	add_targets(f, &run->targets);
	add_fact(f, "KEEPFS_DATABASE=%s", str_or_empty(run->request.database));
	add_fact(f, "KEEPFS_CLASS=%s", str_or_empty(run->request.class));
	add_fact(f, "KEEPFS_TRIGGERED_BY=%s", run->triggered_by);
	add_fact(f, "KEEPFS_NOTE=%s", str_or_empty(run->request.note));
	add_fact(f, "KEEPFS_STORE=%s", str_or_empty(conf->store.url));
	add_fact(f, "KEEPFS_CONFIG=%s", str_or_empty(conf->path));
}

static void add_ending_facts(struct facts *f, struct jobs *j, const struct run *run,
                             const struct ending *ending, const struct outcome *outcome)
{
	char started[CLOCK_ISO_BYTES] = "", finished[CLOCK_ISO_BYTES];
	struct catalog_run known;

	if (catalog_run(j->options.ctx->repository->catalog, run->id, &known) == 0)
		clock_format_iso(known.started_at_us, started);
	add_fact(f, "KEEPFS_STATE=%s", run_state_name(ending->state));
	add_fact(f, "KEEPFS_ERROR=%s", ending->error);
	add_fact(f, "KEEPFS_SIZE_BYTES=%" PRIu64, outcome->size_bytes);
	add_fact(f, "KEEPFS_ARTIFACTS=%s", str_text(&outcome->artifacts));
	add_fact(f, "KEEPFS_SHA256=%s", outcome->artifact_count == 1 ? outcome->sha256 : "");
	add_fact(f, "KEEPFS_STARTED=%s", started);
	add_fact(f, "KEEPFS_FINISHED=%s", clock_format_iso(clock_now_us(), finished));
}

struct hook_log {
	struct jobs *jobs;
	struct run *run;
};

static void log_line_of_hook(void *arg, const char *line)
{
	struct hook_log *log = arg;

	run_log(log->jobs, log->run, "%s", line);
}

static int run_one(struct jobs *j, struct run *run, const char *name, const char *command,
                   const struct facts *facts, struct cancel *cancel, struct error *err)
{
	struct hook_log log = {j, run};
	const struct hook hook = {
	        .name = name,
	        .command = command,
	        .env = (const char *const *)facts->items,
	        .timeout_ms = run->request.job->hook_timeout_ms,
	        .cancel = cancel,
	        .log = log_line_of_hook,
	        .log_arg = &log,
	};

	run_log(j, run, "%s begins", name);
	return hook_run(&hook, err);
}

int run_pre_hook(struct jobs *j, struct run *run, struct error *err)
{
	const char *command = str_or_empty(run->request.job->pre_hook);
	_cleanup(facts) struct facts facts = {0};

	if (!*command)
		return 0;
	add_run_facts(&facts, j, run);
	return run_one(j, run, "pre_hook", command, &facts, &run->cancel, err);
}

static void set_in_post_hook(struct jobs *j, struct run *run, bool on)
{
	pthread_mutex_lock(&j->lock);
	run->in_post_hook = on;
	pthread_mutex_unlock(&j->lock);
}

void run_post_hook(struct jobs *j, struct run *run, const struct ending *ending,
                   const struct outcome *outcome)
{
	const char *command = run->request.job ? str_or_empty(run->request.job->post_hook) : "";
	_cleanup(facts) struct facts facts = {0};
	struct error err = {0};
	int r;

	if (!*command)
		return;
	add_run_facts(&facts, j, run);
	add_ending_facts(&facts, j, run, ending, outcome);
	set_in_post_hook(j, run, true);
	r = run_one(j, run, "post_hook", command, &facts, &run->hook_cancel, &err);
	if (r < 0)
		run_warn(j, run, err.message);
}

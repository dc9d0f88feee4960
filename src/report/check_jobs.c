// SPDX-License-Identifier: Apache-2.0
/* Health of the jobs. A job is as good as its last run that counts; what the catalog has of its backups says
 * how bad it is when that one failed. */
#include "checks.h"
#include "line.h"
#include "runs.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/runs.h>

#include <inttypes.h>
#include <stdio.h>

/* How far back is looked, for the last run that counts and for the beginning of a trouble: what health costs must not
 * grow with the history of a job that has failed for a year. RECORDS_RUNS_OF_JOB of keepfs/records.h is as many. */
#define RUNS_LOOKED_AT 256

struct job_view {
	struct catalog_totals totals;
	struct catalog_run last; /* that failed, or completed as the job is configured; id 0: none */
	/* The newest that completed with a warning, if not older than @last; id 0: none. */
	struct catalog_run warned;
	bool cancelled_since;
	unsigned looked_at;   /* runs, for @last */
	int64_t failed_at_us; /* the last one that did, however long ago; 0: none */
};

/* Did a run that its trigger changed make what the job is for? Its options alone do not tell: a whole backup
 * since it began does. */
static bool made_less(const struct job_view *view, const struct catalog_run *run)
{
	return *run->options && view->totals.newest_whole_run_id < run->id;
}

/* Does the run say how the job is? */
static bool counts_for_job(const struct job_view *view, const struct catalog_run *run)
{
	return run->state == RUN_FAILED || (run->state == RUN_COMPLETED && !made_less(view, run));
}

static bool view_run(void *arg, const struct catalog_run *run)
{
	struct job_view *view = arg;

	if (run->state == RUN_CANCELLED)
		view->cancelled_since = true;
	if (run->state == RUN_COMPLETED && *run->warning && !view->warned.id)
		view->warned = *run;
	if (!counts_for_job(view, run))
		return ++view->looked_at < RUNS_LOOKED_AT;
	view->last = *run;
	return false;
}

/* Since when. A job that fails each night does so since the first of these nights. */

struct bad_runs { /* without a good one in between, from the newest back */
	const struct job_view *view;
	bool failed; /* they are those that failed; else those that completed with a warning */
	unsigned looked_at;
	int64_t since_us; /* 0: not known */
};

static bool is_bad(const struct bad_runs *bad, const struct catalog_run *run)
{
	return bad->failed ? run->state == RUN_FAILED : run->state == RUN_COMPLETED && *run->warning;
}

static bool find_first_bad(void *arg, const struct catalog_run *run)
{
	struct bad_runs *bad = arg;

	if (bad->looked_at++ == RUNS_LOOKED_AT) {
		bad->since_us = 0;
		return false;
	}
	if (!is_bad(bad, run))
		return !counts_for_job(bad->view, run);
	bad->since_us = run->finished_at_us;
	return true;
}

static int64_t bad_since(struct checking *c, const char *job, const struct job_view *view, bool failed)
{
	struct bad_runs bad = {.view = view, .failed = failed};
	int r = runs_each(c->from->catalog, job, find_first_bad, &bad);

	if (r < 0)
		checking_catalog_failed(c, r);
	return r < 0 ? 0 : bad.since_us;
}

/* What is told. */

static struct health_item *add_job(struct checking *c, enum report_health level, const char *job)
{
	return checking_add(c, level, mem_printf("job %s", job), job);
}

static void tell_failed_job(struct checking *c, const char *job, const struct job_view *view)
{
	int64_t whole_at_us = view->totals.newest_whole_at_us, since_us = bad_since(c, job, view, true);
	struct health_item *item = add_job(c, whole_at_us ? REPORT_WARN : REPORT_CRIT, job);
	char at[32], newest[32];

	item->since_us = since_us;
	line_time(view->last.finished_at_us, "-", at);
	if (whole_at_us)
		item->text =
		        mem_printf("run %" PRId64 " failed %s: %s; the newest good backup is of %s",
		                   view->last.id, at, view->last.error, line_time(whole_at_us, "-", newest));
	else
		item->text = mem_printf("there is no good backup; run %" PRId64 " failed %s: %s",
		                        view->last.id, at, view->last.error);
}

/* @buf and what it returns: how long ago that was. */
static const char *tell_ago(struct checking *c, int64_t at_us, char buf[static 48])
{
	char age[32];

	if (is_ahead(c, at_us))
		snprintf(buf, 48, "which is %s ahead", line_age(at_us - c->from->now_us, age));
	else
		snprintf(buf, 48, "%s ago", line_age(c->from->now_us - at_us, age));
	return buf;
}

static void tell_warned_job(struct checking *c, const char *job, const struct job_view *view)
{
	int64_t whole_at_us = view->totals.newest_whole_at_us, since_us = bad_since(c, job, view, false);
	struct health_item *item = add_job(c, REPORT_WARN, job);
	char at[32], ago[48];

	item->since_us = since_us;
	item->text =
	        mem_printf("run %" PRId64 " completed with a warning: %s; the newest backup is of %s, %s",
	                   view->warned.id, view->warned.warning, line_time(whole_at_us, "-", at),
	                   tell_ago(c, whole_at_us, ago));
}

static void tell_good_job(struct checking *c, const char *job, const struct job_view *view)
{
	int64_t whole_at_us = view->totals.newest_whole_at_us;
	char at[32], ago[48];

	add_job(c, REPORT_OK, job)->text = mem_printf("the newest backup is of %s, %s; %" PRIu64 " in all",
	                                              line_time(whole_at_us, "-", at),
	                                              tell_ago(c, whole_at_us, ago), view->totals.artifacts);
}

/* It failed, and so many runs since then were cancelled or asked for less that the one which failed is not seen. */
static bool has_hidden_failure(const struct job_view *view)
{
	return !view->last.id && view->looked_at == RUNS_LOOKED_AT &&
	       view->failed_at_us > view->totals.newest_whole_at_us;
}

static void tell_hidden_failure(struct checking *c, const char *job, const struct job_view *view)
{
	int64_t whole_at_us = view->totals.newest_whole_at_us;
	struct health_item *item = add_job(c, whole_at_us ? REPORT_WARN : REPORT_CRIT, job);
	char at[32], newest[32];

	item->text = mem_printf("a run failed %s, and none has made a whole backup since; %s%s",
	                        line_time(view->failed_at_us, "-", at),
	                        whole_at_us ? "the newest is of " : "there is no good backup",
	                        line_time(whole_at_us, "", newest));
	item->what_to_do = mem_printf("make one with: keepfs trigger %s", job);
}

/* It has no whole backup, and no failure either. */
static void tell_empty_job(struct checking *c, const char *job, const struct job_view *view)
{
	struct health_item *item = add_job(c, REPORT_WARN, job);
	char at[32];

	if (view->totals.artifacts > 0) {
		item->text = mem_strdup("has only backups that are partial or damaged");
		item->what_to_do = mem_printf("make a good one with: keepfs trigger %s", job);
	} else if (view->last.id) {
		item->text = mem_printf("run %" PRId64 " completed %s, but its backup is gone", view->last.id,
		                        line_time(view->last.finished_at_us, "-", at));
	} else if (view->cancelled_since) {
		item->text = mem_strdup("has no backup yet: its runs were cancelled");
	} else {
		item->text = mem_strdup("has not run yet");
		item->what_to_do = mem_printf("start it with: keepfs trigger %s", job);
	}
}

static void check_job(struct checking *c, const char *job)
{
	_cleanup(free) struct job_view *view = mem_alloc(sizeof(*view));
	int r = catalog_totals(c->from->catalog, job, &view->totals);

	if (r == 0)
		r = runs_each(c->from->catalog, job, view_run, view);
	if (r == 0)
		r = runs_last_ended(c->from->catalog, job, RUN_FAILED, &view->failed_at_us);
	if (r < 0)
		checking_catalog_failed(c, r);
	else if (view->last.id && view->last.state == RUN_FAILED)
		tell_failed_job(c, job, view);
	else if (has_hidden_failure(view))
		tell_hidden_failure(c, job, view);
	else if (!view->totals.newest_whole_at_us)
		tell_empty_job(c, job, view);
	else if (view->warned.id)
		tell_warned_job(c, job, view);
	else
		tell_good_job(c, job, view);
}

void check_jobs(struct checking *c)
{
	for (size_t i = 0; i < c->from->conf->job_count; i++)
		check_job(c, c->from->conf->jobs[i].name);
}

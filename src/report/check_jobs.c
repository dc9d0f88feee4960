// SPDX-License-Identifier: Apache-2.0
/* Health of the jobs. A job is as good as its last run that counts; what the catalog has of its backups says
 * how bad it is when that one failed. That several runs in a row have failed is one item, and not two: the check `failing`
 * has it then, under the same name, and `job` leaves it to that one. */
#include "checks.h"
#include "line.h"
#include "runs.h"
#include "watched.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/watch.h>
#include <keepfs/report/timetable.h>

#include <inttypes.h>
#include <stdio.h>

/* How far back is looked, for the last run that counts and for the beginning of a trouble: what health costs must not
 * grow with the history of a job that has failed for a year. RECORDS_RUNS_OF_JOB of keepfs/records.h is as many. */
#define RUNS_LOOKED_AT 256

/* From how many failed runs in a row on a job is failing; and is so to an extent that cannot wait. */
#define FAILING_RUNS      2
#define FAILING_CRIT_RUNS 3
#define FAILING_CRIT_US   (INT64_C(3) * 86400 * US_PER_S)

/* So many parts, classes mostly, may have failed and then been made. */
#define PARTS_MENDED 32

struct job_view {
	struct catalog_totals totals;
	struct catalog_run last; /* that failed, or completed as the job is configured; id 0: none */
	/* The newest that completed with a warning, if not older than @last; id 0: none. */
	struct catalog_run warned;
	bool cancelled_since;
	unsigned looked_at; /* runs, for @last */
	/* What completed runs of a part of the databases, newer than @last, were asked for: a failure of the same is over. */
	char mended[PARTS_MENDED][sizeof(((struct catalog_run *)NULL)->options)];
	size_t mended_count;
	int64_t failed_at_us; /* the last one that did, however long ago; 0: none */
};

/* Did a run that its trigger changed make what the job is for? Its options alone do not tell: a whole backup
 * since it began does. */
static bool made_less(const struct job_view *view, const struct catalog_run *run)
{
	return *run->options && view->totals.newest_whole_run_id < run->id;
}

/* Was it asked for one database or tenant, or for those of a class? What it makes says nothing of the others. */
static bool is_of_a_part(const struct catalog_run *run)
{
	return str_starts(run->options, "database=") || str_starts(run->options, "tenant=") ||
	       str_starts(run->options, "class=");
}

static bool is_mended(const struct job_view *view, const struct catalog_run *run)
{
	for (size_t i = 0; i < view->mended_count; i++)
		if (str_equal(view->mended[i], run->options))
			return true;
	return false;
}

static void note_mended(struct job_view *view, const struct catalog_run *run)
{
	if (view->mended_count < PARTS_MENDED && !is_mended(view, run))
		str_copy(view->mended[view->mended_count++], sizeof(view->mended[0]), run->options);
}

/* Does the run say how the job is? */
static bool counts_for_job(const struct job_view *view, const struct catalog_run *run)
{
	if (is_of_a_part(run))
		return run->state == RUN_FAILED && !is_mended(view, run);
	return run->state == RUN_FAILED || (run->state == RUN_COMPLETED && !made_less(view, run));
}

static bool view_run(void *arg, const struct catalog_run *run)
{
	struct job_view *view = arg;

	if (run->state == RUN_CANCELLED)
		view->cancelled_since = true;
	if (run->state == RUN_COMPLETED && *run->warning && !view->warned.id)
		view->warned = *run;
	if (run->state == RUN_COMPLETED && is_of_a_part(run) && !made_less(view, run))
		note_mended(view, run);
	if (!counts_for_job(view, run))
		return ++view->looked_at < RUNS_LOOKED_AT;
	view->last = *run;
	return false;
}

/* Since when. A job that fails each night does so since the first of these nights. */

struct bad_runs { /* without a good one in between, from the newest back */
	const struct job_view *view;
	bool failed; /* they are those that failed; else those that completed with a warning */
	unsigned looked_at, count;
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
	bad->count++;
	return true;
}

static struct bad_runs find_bad_runs(struct checking *c, const char *job, const struct job_view *view,
                                     bool failed)
{
	struct bad_runs bad = {.view = view, .failed = failed};
	int r = runs_each(c->from->catalog, job, find_first_bad, &bad);

	if (r < 0) {
		checking_catalog_failed(c, r);
		bad.since_us = 0;
	}
	return bad;
}

/* What is told. */

static struct health_item *add_job(struct checking *c, enum report_health level, const char *job)
{
	return checking_add(c, level, mem_printf("job %s", job), job);
}

static void tell_failed_job(struct checking *c, const char *job, const struct job_view *view)
{
	int64_t whole_at_us = view->totals.newest_whole_at_us;
	struct bad_runs bad = find_bad_runs(c, job, view, true);
	struct health_item *item;
	char at[32], newest[32];

	if (bad.count >= FAILING_RUNS)
		return;
	item = add_job(c, whole_at_us ? REPORT_WARN : REPORT_CRIT, job);
	item->since_us = bad.since_us;
	item->kind = "failed";
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
	int64_t whole_at_us = view->totals.newest_whole_at_us;
	struct bad_runs bad = find_bad_runs(c, job, view, false);
	struct health_item *item = add_job(c, REPORT_WARN, job);
	char at[32], ago[48];

	item->since_us = bad.since_us;
	item->kind = "warned";
	item->text =
	        mem_printf("run %" PRId64 " completed with a warning: %s; the newest backup is of %s, %s",
	                   view->warned.id, view->warned.warning, line_time(whole_at_us, "-", at),
	                   tell_ago(c, whole_at_us, ago));
}

struct earliest {
	int64_t late_at_us; /* of the directory that is overdue first; INT64_MAX: nothing is expected */
};

static void take_due(void *arg, const struct watched *w)
{
	struct earliest *due = arg;

	if (w->late_at_us < due->late_at_us)
		due->late_at_us = w->late_at_us;
}

/* A job that nobody waits for must not look like one that is in time. */
static char *tell_due(struct checking *c, const char *job)
{
	struct earliest due = {INT64_MAX};
	struct catalog_switch said;
	int r = watched_each(c->from, conf_find_job(c->from->conf, job), take_due, &due);
	char at[32];

	if (r == 0)
		r = timetable_is_off(c->from->catalog, job, c->from->now_us, &said);
	if (r < 0)
		checking_catalog_failed(c, r);
	if (r > 0)
		return mem_printf("; it is switched off since %s", line_time(said.at_us, "-", at));
	if (due.late_at_us == INT64_MAX)
		return mem_strdup("; not watched: it has no schedule, no expected_interval and no rpo");
	return mem_printf("; overdue from %s on", line_time(due.late_at_us, "-", at));
}

static void tell_good_job(struct checking *c, const char *job, const struct job_view *view)
{
	int64_t whole_at_us = view->totals.newest_whole_at_us;
	_cleanup(free) char *due = tell_due(c, job);
	char at[32], ago[48];

	add_job(c, REPORT_OK, job)->text = mem_printf(
	        "the newest backup is of %s, %s; %" PRIu64 " in all%s", line_time(whole_at_us, "-", at),
	        tell_ago(c, whole_at_us, ago), view->totals.artifacts, due);
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

	item->kind = "failed";
	item->text = mem_printf("a run failed %s, and none has made a whole backup since; %s%s",
	                        line_time(view->failed_at_us, "-", at),
	                        whole_at_us ? "the newest is of " : "there is no good backup",
	                        line_time(whole_at_us, "", newest));
	item->what_to_do = mem_printf("make one with: keepfs trigger %s", job);
}

/* Nobody can make it have one: what does not come in is missed by expected_interval and rpo. */
static bool is_empty_inbox(const struct checking *c, const char *name)
{
	const struct conf_job *job = conf_find_job(c->from->conf, name);

	return job && job->kind == CONF_JOB_INBOX;
}

static void tell_empty_inbox(struct checking *c, const char *job)
{
	struct health_item *item = add_job(c, REPORT_OK, job);

	item->text = mem_printf(
	        "nothing has come in yet: what is written into inbox/%s/ of the mount becomes a backup", job);
}

/* It has no whole backup, and no failure either. */
static void tell_empty_job(struct checking *c, const char *job, const struct job_view *view)
{
	struct health_item *item;
	char at[32];

	if (view->totals.artifacts == 0 && is_empty_inbox(c, job)) {
		tell_empty_inbox(c, job);
		return;
	}
	item = add_job(c, REPORT_WARN, job);
	item->kind = "empty";
	if (view->totals.artifacts > 0) {
		item->text = mem_strdup("has only backups that are partial or damaged");
		item->what_to_do = mem_printf("make a good one with: keepfs trigger %s", job);
	} else if (view->last.id) {
		item->text = mem_printf("run %" PRId64 " completed %s, but its backup is gone", view->last.id,
		                        line_time(view->last.finished_at_us, "-", at));
	} else if (view->cancelled_since) {
		item->kind = "new";
		item->text = mem_strdup("has no backup yet: its runs were cancelled");
	} else {
		item->kind = "new";
		item->text = mem_strdup("has not run yet");
		item->what_to_do = mem_printf("start it with: keepfs trigger %s", job);
	}
}

/* False: the catalog failed, which is said. */
static bool load_view(struct checking *c, const char *job, struct job_view *view)
{
	int r = catalog_totals(c->from->catalog, job, &view->totals);

	if (r == 0)
		r = runs_each(c->from->catalog, job, view_run, view);
	if (r == 0)
		r = runs_last_ended(c->from->catalog, job, RUN_FAILED, &view->failed_at_us);
	if (r < 0)
		checking_catalog_failed(c, r);
	return r == 0;
}

static bool last_failed(const struct job_view *view)
{
	return view->last.id && view->last.state == RUN_FAILED;
}

/* It never ran by itself, and nobody expects that. */
static bool is_made_in_bundles(struct checking *c, const char *job, const struct job_view *view)
{
	const struct conf_job *conf = conf_find_job(c->from->conf, job),
	                      *bundle = conf ? conf_bundle_of(c->from->conf, conf) : NULL;

	if (!bundle || view->last.id || view->totals.artifacts > 0 || view->cancelled_since)
		return false;
	add_job(c, REPORT_OK, job)->text = mem_printf("is made as a part of %s alone", bundle->name);
	return true;
}

static void check_job(struct checking *c, const char *job)
{
	_cleanup(free) struct job_view *view = mem_alloc(sizeof(*view));

	if (!load_view(c, job, view))
		return;
	if (last_failed(view))
		tell_failed_job(c, job, view);
	else if (has_hidden_failure(view))
		tell_hidden_failure(c, job, view);
	else if (is_made_in_bundles(c, job, view))
		return;
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

/* Failing. */

static enum report_health level_of_failing(struct checking *c, const struct job_view *view,
                                           const struct bad_runs *bad)
{
	if (!view->totals.newest_whole_at_us || bad->count >= FAILING_CRIT_RUNS)
		return REPORT_CRIT;
	return bad->since_us && c->from->now_us - bad->since_us > FAILING_CRIT_US ? REPORT_CRIT : REPORT_WARN;
}

static void tell_failing_job(struct checking *c, const char *job, const struct job_view *view,
                             const struct bad_runs *bad)
{
	int64_t whole_at_us = view->totals.newest_whole_at_us;
	struct health_item *item = add_job(c, level_of_failing(c, view, bad), job);
	char since[32], newest[32];

	item->kind = "failed";
	item->since_us = bad->since_us;
	if (bad->since_us)
		checking_changes_at(c, bad->since_us + FAILING_CRIT_US + 1);
	item->text = mem_printf("failing since %s, %u%s runs; the last, run %" PRId64 ", failed: %s; %s%s",
	                        line_time(bad->since_us, "long ago", since), bad->count,
	                        bad->since_us ? "" : " and more", view->last.id, view->last.error,
	                        whole_at_us ? "the newest good backup is of " : "there is no good backup",
	                        line_time(whole_at_us, "", newest));
	item->what_to_do = mem_printf("see 'keepfs jobs %" PRId64 "', and try again with: keepfs trigger %s",
	                              view->last.id, job);
}

static void check_failing_job(struct checking *c, const char *job)
{
	_cleanup(free) struct job_view *view = mem_alloc(sizeof(*view));
	struct bad_runs bad;

	if (!load_view(c, job, view) || !last_failed(view))
		return;
	bad = find_bad_runs(c, job, view, true);
	if (bad.count >= FAILING_RUNS)
		tell_failing_job(c, job, view, &bad);
}

void check_failing(struct checking *c)
{
	for (size_t i = 0; i < c->from->conf->job_count; i++)
		check_failing_job(c, c->from->conf->jobs[i].name);
}

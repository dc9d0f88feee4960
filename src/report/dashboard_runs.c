// SPDX-License-Identifier: Apache-2.0
/* What the history says about a job: the last runs, each day's, and the figures of the whole backups among them. */
#include "dashboard.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

#define ROWS_ASKED_FOR 600 /* backups of a job whose numbers of rows are added up */

struct reading {
	struct page *page;
	struct dash_job *job;
	uint64_t runs;
	int64_t first_day;     /* of the calendar */
	bool knows_last_ended; /* the newest run that completed or failed was met */
};

static enum mark mark_of_outcome(const struct catalog_outcome *o)
{
	switch (o->state) {
	case RUN_COMPLETED:
		return o->warned ? MARK_WARNED : MARK_OK;
	case RUN_FAILED:
		return MARK_FAILED;
	case RUN_CANCELLED:
		return MARK_CANCELLED;
	default:
		return MARK_LIVE;
	}
}

static int64_t time_of_outcome(const struct catalog_outcome *o)
{
	return o->started_at_us ? o->started_at_us : o->queued_at_us;
}

static void add_to_strip(struct strip *strip, const struct strip_run *run)
{
	if (strip->count < STRIP_RUNS)
		strip->runs[strip->count++] = *run;
}

static void add_to_calendar(struct reading *r, const struct catalog_outcome *o)
{
	int64_t back = r->page->today - dash_day(r->page, time_of_outcome(o));

	if (back < 0 || back >= CALENDAR_DAYS)
		return;
	if (o->state == RUN_FAILED)
		r->job->calendar.days[back].failed++;
	else if (o->state == RUN_COMPLETED && o->warned)
		r->job->calendar.days[back].warned++;
	else if (o->state == RUN_COMPLETED)
		r->job->calendar.days[back].good++;
}

static void add_to_series(struct series *s, const struct catalog_outcome *o)
{
	if (o->state != RUN_COMPLETED || o->changed || s->count == SERIES_RUNS)
		return;
	s->points[s->count++] = (struct series_point){
	        .run_id = o->id,
	        .at_us = time_of_outcome(o),
	        .duration_us = o->started_at_us && o->finished_at_us >= o->started_at_us
	                               ? o->finished_at_us - o->started_at_us
	                               : -1,
	        .rows = -1,
	        .size_bytes = o->size_bytes,
	};
}

static bool take_outcome(void *arg, const struct catalog_outcome *o)
{
	struct reading *r = arg;
	struct dash_job *job = r->job;
	int64_t at_us = time_of_outcome(o);
	const struct strip_run run = {o->id, at_us, o->size_bytes, o->targets, mark_of_outcome(o)};

	add_to_strip(&job->strip, &run);
	add_to_calendar(r, o);
	add_to_series(&job->series, o);
	job->first_run_us = at_us;
	if (run.mark == MARK_LIVE)
		job->is_live = true;
	if (!r->knows_last_ended && (o->state == RUN_COMPLETED || o->state == RUN_FAILED)) {
		r->knows_last_ended = true;
		if (o->state == RUN_FAILED)
			job->failed = *o;
	}
	if (++r->runs == r->page->runs_each)
		return false;
	return job->strip.count < STRIP_RUNS || job->series.count < SERIES_RUNS ||
	       dash_day(r->page, at_us) >= r->first_day;
}

static void reverse_series(struct series *s)
{
	for (size_t i = 0; i < s->count / 2; i++) {
		struct series_point point = s->points[i];

		s->points[i] = s->points[s->count - 1 - i];
		s->points[s->count - 1 - i] = point;
	}
}

/* Of a job with many targets it would be a thousand backups for each point. */
void dash_load_rows(struct page *p, struct dash_job *job)
{
	size_t each = job->target_count ? job->target_count : 1;

	if (job->conf->kind != CONF_JOB_DUMP || each * job->series.count > ROWS_ASKED_FOR)
		return;
	for (size_t i = 0; i < job->series.count; i++) {
		struct series_point *point = &job->series.points[i];
		int r = catalog_fact_of_run(p->from->catalog, point->run_id, "rows", each, &point->rows);

		if (r != -ENOENT)
			dash_failed(p, r);
	}
}

/* The targets of the last runs. */

struct results {
	struct dash_job *job;
	const struct strip_run *run;
};

/* A warning is about the run, and not about each of its targets. */
static enum mark mark_of_result(const struct catalog_result *result)
{
	switch (result->state) {
	case RUN_COMPLETED:
		return MARK_OK;
	case RUN_FAILED:
		return MARK_FAILED;
	case RUN_CANCELLED:
		return MARK_CANCELLED;
	default:
		return MARK_LIVE;
	}
}

static void take_target_result(void *arg, const struct catalog_result *result)
{
	struct results *r = arg;
	struct target *t = dash_target(r->job, result->label);
	struct strip_run run = *r->run;

	if (!t)
		return;
	run.mark = mark_of_result(result);
	run.size_bytes = result->size_bytes;
	/* The newest run that came to an end says how it is. */
	if (run.mark == MARK_FAILED && !t->failed_id && !t->seen_id) {
		t->failed_id = run.run_id;
		t->error = mem_strdup(result->error);
	}
	if (!t->seen_id && run.mark != MARK_LIVE && run.mark != MARK_CANCELLED)
		t->seen_id = run.run_id;
	add_to_strip(&t->strip, &run);
}

/* A job of one target is as its runs are: only the newest that ended has to say why, and of what it was. */
static bool has_to_be_asked(const struct dash_job *job, size_t run)
{
	if (job->strip.runs[run].targets > 1)
		return true;
	for (size_t i = 0; i < job->target_count; i++)
		if (job->targets[i].seen_id)
			return job->target_count > 1;
	return true;
}

static void load_results(struct page *p, struct dash_job *job)
{
	size_t asked = 0;

	for (size_t i = 0; i < job->strip.count; i++) {
		struct results results = {.job = job, .run = &job->strip.runs[i]};

		if (!has_to_be_asked(job, i))
			continue;
		asked++;
		dash_failed(p, catalog_results(p->from->catalog, job->strip.runs[i].run_id, TARGETS_LOADED,
		                               take_target_result, &results));
	}
	if (job->target_count == 1 && asked < job->strip.count)
		job->targets[0].strip = job->strip;
}

void dash_load_runs(struct page *p, struct dash_job *job)
{
	struct reading reading = {.page = p, .job = job, .first_day = p->today - CALENDAR_DAYS + 1};

	dash_failed(p, catalog_outcomes(p->from->catalog, job->conf->name, take_outcome, &reading));
	reverse_series(&job->series);
	load_results(p, job);
}

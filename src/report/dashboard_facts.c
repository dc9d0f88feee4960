// SPDX-License-Identifier: Apache-2.0
/*
 * What the page tells of, gathered once: jobs with the word that health has about them, and of each job what it backs up,
 * the worst first.
 */
#include "dashboard.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/zone.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/codec/name.h>
#include <keepfs/make.h>
#include <keepfs/report/health.h>
#include <keepfs/report/schedule.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define RUNS_AT_LEAST 64 /* of each job, however many jobs there are */

void dash_failed(struct page *p, int r)
{
	if (r < 0 && p->result == 0)
		p->result = r;
}

const struct rehearsed *dash_rehearsed(const struct page *p, const struct dash_job *job)
{
	static const struct rehearsed nothing;

	return p->rehearsed ? &p->rehearsed[job->conf - p->from->conf->jobs] : &nothing;
}

int64_t dash_day(const struct page *p, int64_t at_us)
{
	int64_t at_s = at_us / US_PER_S;

	return (at_s + zone_offset_s(p->zone, at_s, NULL)) / 86400;
}

const char *dash_date(int64_t day, char buf[static 16])
{
	struct zone_day date = zone_day_of(day * 86400);

	snprintf(buf, 16, "%04d-%02d-%02d", date.year % 10000, date.month % 100, date.day % 100);
	return buf;
}

const char *standing_word(enum standing standing)
{
	static const char *const words[] = {
	        [STANDING_GONE] = "Not backed up any more",
	        [STANDING_OK] = "OK",
	        [STANDING_OFF] = "Not watched",
	        [STANDING_NEVER] = "No backup yet",
	        [STANDING_WARNED] = "Warning",
	        [STANDING_FAILED] = "Failed",
	};

	return words[standing];
}

const char *standing_id(enum standing standing)
{
	static const char *const ids[] = {
	        [STANDING_GONE] = "gone",   [STANDING_OK] = "ok",       [STANDING_OFF] = "off",
	        [STANDING_NEVER] = "never", [STANDING_WARNED] = "warn", [STANDING_FAILED] = "crit",
	};

	return ids[standing];
}

const char *mark_word(enum mark mark)
{
	static const char *const words[] = {
	        [MARK_NONE] = "none", [MARK_CANCELLED] = "cancelled",         [MARK_LIVE] = "under way",
	        [MARK_OK] = "good",   [MARK_WARNED] = "good, with a warning", [MARK_FAILED] = "failed",
	};

	return words[mark];
}

const char *mark_id(enum mark mark)
{
	static const char *const ids[] = {
	        [MARK_NONE] = "none", [MARK_CANCELLED] = "stop", [MARK_LIVE] = "live",
	        [MARK_OK] = "good",   [MARK_WARNED] = "warned",  [MARK_FAILED] = "failed",
	};

	return ids[mark];
}

/* Targets. */

struct target *dash_target(struct dash_job *job, const char *label)
{
	for (size_t i = 0; i < job->target_count; i++) {
		size_t at = (job->cursor + i) % job->target_count;

		if (strcmp(job->targets[at].label, label) != 0)
			continue;
		job->cursor = at + 1;
		return &job->targets[at];
	}
	if (job->target_count == TARGETS_LOADED) {
		job->left_out = true;
		return NULL;
	}
	job->targets = mem_resize(job->targets, job->target_count + 1, sizeof(*job->targets));
	job->targets[job->target_count] = (struct target){.label = mem_strdup(label)};
	return &job->targets[job->target_count++];
}

static struct saved save_backup(const struct catalog_backup *b)
{
	return (struct saved){
	        .path = mem_strdup(b->path),
	        .label = mem_strdup(b->label),
	        .kind = mem_strdup(b->kind),
	        .is_directory = b->is_directory,
	        .started_at_us = b->started_at_us,
	        .finished_at_us = b->finished_at_us,
	        .verified_at_us = b->verified_at_us,
	        .size_bytes = b->size_bytes,
	        .tiers = b->tiers,
	        .held_until_us = b->held_until_us,
	};
}

struct catalog_backup dash_backup_of(const struct dash_job *job, const struct target *t)
{
	return (struct catalog_backup){
	        .path = t->newest.path,
	        .job = job->conf->name,
	        .kind = t->newest.kind,
	        .label = t->newest.label,
	        .is_directory = t->newest.is_directory,
	        .started_at_us = t->newest.started_at_us,
	        .finished_at_us = t->newest.finished_at_us,
	        .verified_at_us = t->newest.verified_at_us,
	        .size_bytes = t->newest.size_bytes,
	        .tiers = t->newest.tiers,
	        .held_until_us = t->newest.held_until_us,
	};
}

/* What a directory is of, when no good backup in it says so: its name. */
static void take_holding(void *arg, const struct catalog_holding *holding)
{
	struct dash_job *job = arg;
	const char *name = strrchr(holding->path, '/') + 1;
	struct target *t;

	/* Labels are unique, but what a directory says of itself when its backups are gone need not be. */
	t = dash_target(job, holding->newest ? holding->newest->label : name);
	if (!t || t->newest.path)
		return;
	t->artifacts = holding->artifacts;
	t->stored_bytes = holding->stored_bytes;
	if (holding->newest)
		t->newest = save_backup(holding->newest);
}

/* The databases that the configuration names one by one; NULL: it does not. */
static char *const *named_databases(const struct conf_job *job)
{
	char *const *names = job->kind == CONF_JOB_DUMP ? job->dump.databases : NULL;

	if (!names || !names[0])
		return NULL;
	for (char *const *name = names; *name; name++)
		if (strpbrk(*name, "*!") || strncasecmp(*name, "select", strlen("select")) == 0)
			return NULL;
	return names;
}

static bool is_named_by_job(char *const *names, const char *label)
{
	while (*names && strcmp(*names, label) != 0)
		names++;
	return *names;
}

/* One that was added and has not been backed up yet has a line, too. */
static void add_configured_targets(struct dash_job *job)
{
	for (char *const *name = named_databases(job->conf); name && *name; name++)
		dash_target(job, *name);
}

/* Something begins it, or somebody would notice that nothing does. */
static bool is_attended(const struct dash_job *job)
{
	return job->is_watched && !job->is_off;
}

static enum standing standing_of_target(const struct dash_job *job, const struct target *t)
{
	char *const *names = named_databases(job->conf);

	if (t->gone_since_us || (names && !is_named_by_job(names, t->label)))
		return STANDING_GONE;
	if (t->error)
		return STANDING_FAILED;
	if (!t->newest.path)
		return STANDING_NEVER;
	return is_attended(job) ? STANDING_OK : STANDING_OFF;
}

static int compare_targets(const void *a, const void *b)
{
	const struct target *one = a, *other = b;

	if (one->standing != other->standing)
		return one->standing > other->standing ? -1 : 1;
	return strcmp(one->label, other->label);
}

/* Jobs. */

static const char *page_zone_name(const struct page *p)
{
	const char *name = p->from->conf->timezone;

	return name && *name ? name : NULL;
}

static const struct health_item *item_of_job(const struct page *p, const char *name)
{
	const struct health_item *worst = NULL;

	for (size_t i = 0; i < p->health.count; i++) {
		const struct health_item *item = &p->health.items[i];

		if (strcmp(item->subject, name) == 0 && (!worst || item->level > worst->level))
			worst = item;
	}
	return worst;
}

static enum standing standing_of_job(const struct dash_job *job)
{
	if (!job->item || job->item->level == REPORT_OK) {
		if (!job->last_success_us && !job->artifacts)
			return STANDING_NEVER;
		return is_attended(job) ? STANDING_OK : STANDING_OFF;
	}
	if (job->failed.id)
		return STANDING_FAILED;
	if (!job->artifacts)
		return STANDING_NEVER;
	return job->item->level == REPORT_CRIT ? STANDING_FAILED : STANDING_WARNED;
}

static void load_job(struct page *p, struct dash_job *job)
{
	_cleanup(free) char *directory = make_directory_of(job->conf, NULL);
	struct catalog_totals totals = {0};

	job->item = item_of_job(p, job->conf->name);
	dash_failed(p, catalog_totals(p->from->catalog, job->conf->name, &totals));
	job->artifacts = totals.artifacts;
	job->stored_bytes = totals.stored_bytes;
	dash_failed(p, catalog_holdings(p->from->catalog, directory, TARGETS_LOADED, take_holding, job));
	dash_load_runs(p, job);
	add_configured_targets(job);
	dash_load_members(p, job);
	job->has_many = job->target_count > 1;
	for (size_t i = 0; i < job->target_count; i++)
		job->targets[i].standing = standing_of_target(job, &job->targets[i]);
	if (job->target_count)
		qsort(job->targets, job->target_count, sizeof(*job->targets), compare_targets);
	job->standing = standing_of_job(job);
}

static void take_last_success(void *arg, const char *name, enum run_state state, uint64_t runs, int64_t at_us)
{
	struct page *p = arg;

	if (state != RUN_COMPLETED)
		return;
	for (size_t i = 0; i < p->job_count; i++)
		if (strcmp(p->jobs[i].conf->name, name) == 0)
			p->jobs[i].last_success_us = at_us;
}

/* The worst first, then as the configuration has them. */
static int compare_jobs(const void *a, const void *b)
{
	const struct dash_job *one = a, *other = b;

	if (one->standing != other->standing)
		return one->standing > other->standing ? -1 : 1;
	return one->conf < other->conf ? -1 : one->conf > other->conf;
}

/* What begins by itself, as status/schedule says it. */
static void load_schedules(struct page *p)
{
	_cleanup(schedule_statuses) struct schedule_statuses all = {0};

	dash_failed(p, schedule_gather(p->from, &all));
	for (size_t i = 0; i < p->job_count; i++)
		p->jobs[i].next_run_us = schedule_next_of(&all, p->jobs[i].conf->name);
	for (size_t i = 0; i < all.count; i++) {
		const struct timetable_unit *unit = all.items[i].unit;
		struct dash_job *job = &p->jobs[unit->job - p->from->conf->jobs];

		job->is_off |= all.items[i].state == SCHEDULE_STATE_OFF;
		job->is_watched |= all.items[i].state != SCHEDULE_STATE_NONE ||
		                   unit->policy.expected_interval_ms > 0 || unit->job->rpo_ms > 0;
	}
}

void dash_load(struct page *p)
{
	const struct conf *conf = p->from->conf;
	struct error err = {0};

	if (zone_load(page_zone_name(p), &p->zone, &err) < 0)
		dash_failed(p, zone_load("UTC0", &p->zone, &err));
	p->today = dash_day(p, p->from->now_us);
	health_gather(p->from, &p->health);
	p->job_count = conf->job_count;
	p->jobs = mem_array(conf->job_count ? conf->job_count : 1, sizeof(*p->jobs));
	p->runs_each = RUNS_LOOKED_AT_OF_ALL / (p->job_count ? p->job_count : 1);
	if (p->runs_each < RUNS_AT_LEAST)
		p->runs_each = RUNS_AT_LEAST;
	for (size_t i = 0; i < p->job_count; i++)
		p->jobs[i].conf = &conf->jobs[i];
	load_schedules(p);
	dash_failed(p, rehearsed_new(p->from, &p->rehearsed));
	dash_failed(p, watched_store_of(p->from, &p->store));
	dash_failed(p, catalog_run_totals(p->from->catalog, take_last_success, p));
	for (size_t i = 0; i < p->job_count; i++)
		load_job(p, &p->jobs[i]);
	if (p->job_count)
		qsort(p->jobs, p->job_count, sizeof(*p->jobs), compare_jobs);
}

static void finish_target(struct target *t)
{
	free(t->label);
	free(t->newest.path);
	free(t->newest.label);
	free(t->newest.kind);
	free(t->error);
}

void dash_finish(struct page *p)
{
	for (size_t i = 0; i < p->job_count; i++) {
		for (size_t n = 0; n < p->jobs[i].target_count; n++)
			finish_target(&p->jobs[i].targets[n]);
		free(p->jobs[i].targets);
	}
	free(p->jobs);
	free(p->rehearsed);
	health_finish(&p->health);
	zone_free(p->zone);
}

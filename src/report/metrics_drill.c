// SPDX-License-Identifier: Apache-2.0
/* Drills, in metrics: of each job the last one, the last one that passed, and how long a restore takes. */
#include "exposition.h"
#include "metrics.h"
#include "rehearsed.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/catalog/restores.h>

#include <stdio.h>

/* What is told. Each says of which jobs. */

static bool was_drilled(const struct rehearsed *r)
{
	return r->last.id;
}

static bool has_passed(const struct rehearsed *r)
{
	return r->passed.id;
}

static bool expects_drills(const struct rehearsed *r)
{
	return r->late_at_us;
}

static int64_t last_at_of(const struct rehearsed *r)
{
	return r->last.started_at_us;
}

static int64_t last_took_of(const struct rehearsed *r)
{
	return r->last.finished_at_us - r->last.started_at_us;
}

static int64_t passed_at_of(const struct rehearsed *r)
{
	return r->passed.started_at_us;
}

static int64_t restore_took_of(const struct rehearsed *r)
{
	return r->passed.restore_us;
}

static int64_t late_at_of_drill(const struct rehearsed *r)
{
	return r->late_at_us;
}

static const struct {
	const char *name;
	bool (*is_told)(const struct rehearsed *r);
	int64_t (*value_us)(const struct rehearsed *r);
	const char *help;
} families[] = {
        {"keepfs_drill_last_timestamp_seconds", was_drilled, last_at_of,
         "When the last drill of a job was begun, in seconds since the Unix epoch."},
        {"keepfs_drill_last_duration_seconds", was_drilled, last_took_of,
         "How long it took, with making and removing the server."},
        {"keepfs_drill_last_passed_timestamp_seconds", has_passed, passed_at_of,
         "When the last drill that passed was begun, in seconds since the Unix epoch."},
        {"keepfs_drill_restore_seconds", has_passed, restore_took_of, "How long its restore took."},
        {"keepfs_drill_overdue_after_timestamp_seconds", expects_drills, late_at_of_drill,
         "When drills of the job are overdue, unless one passes before."},
};

static void tell_times(struct spool *out, const struct conf *conf, const struct rehearsed *all)
{
	for (size_t n = 0; n < ARRAY_SIZE(families); n++) {
		expose_family(out, families[n].name, "gauge", families[n].help);
		for (size_t i = 0; i < conf->job_count; i++)
			if (families[n].is_told(&all[i]))
				expose_seconds(out, families[n].name,
				               LABELS("backup_job", conf->jobs[i].name),
				               families[n].value_us(&all[i]));
	}
}

static void tell_results(struct spool *out, const struct conf *conf, const struct rehearsed *all)
{
	expose_family(out, "keepfs_drill_last_passed", "gauge", "Whether the last drill passed.");
	for (size_t i = 0; i < conf->job_count; i++)
		if (all[i].last.id)
			expose_number(out, "keepfs_drill_last_passed",
			              LABELS("backup_job", conf->jobs[i].name),
			              all[i].last.result == DRILL_PASSED);
	expose_family(out, "keepfs_drill_last_result", "gauge",
	              "1 for how the last drill ended: passed, failed, or differs from what was backed up.");
	for (size_t i = 0; i < conf->job_count; i++)
		for (int result = DRILL_PASSED; all[i].last.id && result < DRILL_CANCELLED; result++)
			expose_number(out, "keepfs_drill_last_result",
			              LABELS("backup_job", conf->jobs[i].name, "result",
			                     drill_result_name((enum drill_result)result)),
			              all[i].last.result == (enum drill_result)result);
}

/* Levels below 2 need no drill. */
static void tell_levels_of(struct spool *out, const char *job, const struct catalog_drill *last)
{
	for (int level = PROOF_RESTORED; last->id && level <= last->wanted; level++) {
		char number[12];

		snprintf(number, sizeof(number), "%d", level);
		expose_number(out, "keepfs_drill_last_level_passed",
		              LABELS("backup_job", job, "level", number), last->level >= level);
	}
}

static void tell_levels(struct spool *out, const struct conf *conf, const struct rehearsed *all)
{
	expose_family(
	        out, "keepfs_drill_last_level_passed", "gauge",
	        "Of each level that the last drill was to prove whether it did: 2 restored, 3 equal, 4 sound, 5 checks passed.");
	for (size_t i = 0; i < conf->job_count; i++)
		tell_levels_of(out, conf->jobs[i].name, &all[i].last);
	expose_family(
	        out, "keepfs_drill_level", "gauge",
	        "The level that the last drill that passed proved: 2 restored, 3 equal, 4 sound, 5 checks passed.");
	for (size_t i = 0; i < conf->job_count; i++)
		if (all[i].passed.id)
			expose_number(out, "keepfs_drill_level", LABELS("backup_job", conf->jobs[i].name),
			              all[i].passed.level < 0 ? 0 : (uint64_t)all[i].passed.level);
}

static void tell_rto(struct spool *out, const struct conf *conf, const struct rehearsed *all)
{
	expose_family(
	        out, "keepfs_rto_seconds", "gauge",
	        "How long a restore takes, as the last drills have measured it, of the database of which it took longest.");
	for (size_t i = 0; i < conf->job_count; i++)
		if (all[i].rto_us > 0)
			expose_seconds(out, "keepfs_rto_seconds",
			               LABELS("backup_job", conf->jobs[i].name, "source", "drill"),
			               all[i].rto_us);
}

int metrics_drill(const struct report_sources *from, struct spool *out)
{
	_cleanup(free) struct rehearsed *all = NULL;
	int r = rehearsed_new(from, &all);

	if (r < 0)
		return r;
	tell_times(out, from->conf, all);
	tell_results(out, from->conf, all);
	tell_levels(out, from->conf, all);
	tell_rto(out, from->conf, all);
	return 0;
}

/* Restores. */

struct restores_now {
	uint64_t changing, left;
};

static void count_restore(void *arg, const struct catalog_restore *x)
{
	struct restores_now *now = arg;

	now->left += x->is_over;
	now->changing += !x->is_over;
}

int metrics_restores(const struct report_sources *from, struct spool *out)
{
	struct restores_now now = {0};
	int r = catalog_each_restore(from->catalog, count_restore, &now);

	if (r < 0)
		return r;
	expose_gauge(out, "keepfs_restores_changing",
	             "Databases that a restore which is under way has begun to make, or to change.",
	             now.changing);
	expose_gauge(out, "keepfs_restores_left",
	             "Databases in which a restore that did not end well has left something.", now.left);
	return 0;
}

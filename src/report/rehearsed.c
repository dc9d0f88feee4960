// SPDX-License-Identifier: Apache-2.0
/* What drills have shown, by job. */
#include "rehearsed.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/catalog/watch.h>
#include <keepfs/policy/schedule.h>
#include <keepfs/report/timetable.h>

#include <errno.h>

struct rehearsals {
	const struct report_sources *from;
	struct rehearsed *jobs;
};

static struct rehearsed *rehearsed_of(const struct rehearsals *all, const char *job)
{
	for (size_t i = 0; i < all->from->conf->job_count; i++)
		if (str_equal(all->from->conf->jobs[i].name, job))
			return &all->jobs[i];
	return NULL;
}

/* Of each job the last, and the last that passed, come in the order in which they were made. */
static void take_last_drill(void *arg, const struct catalog_drill *drill)
{
	struct rehearsed *r = rehearsed_of(arg, drill->job);

	if (!r)
		return;
	r->last = *drill;
	if (drill->result == DRILL_PASSED)
		r->passed = *drill;
}

/* What somebody tries meanwhile, with less than the job wants, is none that counts. */
static int find_good_and_bad(const struct report_sources *from, const struct conf_job *job,
                             struct rehearsed *r)
{
	int most = job->kind == CONF_JOB_CLUSTER ? PROOF_MOMENT : PROOF_YOURS;
	int wanted = job->drill_level ? (int)job->drill_level : most;
	int found = 0;

	if (r->last.id == 0)
		return 0;
	found = catalog_good_drill(from->catalog, job->name, wanted, &r->good);
	if (found == 0 || found == -ENOENT)
		found = catalog_standing_drill(from->catalog, job->name, &r->bad, &r->bad_count);
	return found == -ENOENT ? 0 : found;
}

static void take_time(void *arg, const struct catalog_drill *drill)
{
	struct rehearsed *r = rehearsed_of(arg, drill->job);

	if (!r || drill->result != DRILL_PASSED || drill->restore_us <= r->rto_us)
		return;
	r->rto_us = drill->restore_us;
	r->slowest = *drill;
}

static const struct timetable_unit *drill_unit(const struct timetable *t, const struct conf_job *job)
{
	for (size_t i = 0; i < t->drill_count; i++)
		if (t->drills[i].job == job)
			return &t->drills[i];
	return NULL;
}

static int64_t max_age_us(const struct report_sources *from, const struct timetable_unit *unit,
                          const struct conf_job *job)
{
	if (job->drill_max_age_ms > 0)
		return job->drill_max_age_ms * 1000;
	if (!unit)
		return 0;
	return 2 * US_PER_S * schedule_interval_s(&unit->schedule, unit->rules.zone, from->now_us / US_PER_S);
}

/* While none has passed it is counted from when the schedule was first seen; without one, from when the job was. */
static int64_t expected_since_us(const struct report_sources *from, const struct timetable_unit *unit,
                                 const struct conf_job *job)
{
	int64_t since_us = 0;

	if (unit)
		return unit->is_known ? unit->remembered_s * US_PER_S : 0;
	catalog_expected_since(from->catalog, job->name, "", &since_us);
	return since_us;
}

static void set_expectation(const struct report_sources *from, const struct timetable *t,
                            const struct conf_job *job, struct rehearsed *r)
{
	const struct timetable_unit *unit = drill_unit(t, job);
	int64_t base_us = r->good.id ? r->good.started_at_us : expected_since_us(from, unit, job);

	r->every_us = max_age_us(from, unit, job);
	if (r->every_us > 0 && base_us > 0)
		r->late_at_us = base_us + r->every_us;
}

/* Its databases are gone, or too many others were tried since: what was measured last. */
static void use_last_time(struct rehearsed *r)
{
	if (r->rto_us > 0 || !r->passed.id)
		return;
	r->rto_us = r->passed.restore_us;
	r->slowest = r->passed;
}

int rehearsed_new(const struct report_sources *from, struct rehearsed **ret)
{
	const struct conf *conf = from->conf;
	struct rehearsals all = {.from = from};
	_cleanup(timetable) struct timetable *t = NULL;
	int r = timetable_new(conf, from->catalog, from->now_us, &t);

	if (r < 0)
		return r;
	all.jobs = mem_array(conf->job_count + 1, sizeof(*all.jobs));
	r = catalog_last_drills(from->catalog, false, take_last_drill, &all);
	if (r == 0)
		r = catalog_last_drills(from->catalog, true, take_time, &all);
	for (size_t i = 0; r == 0 && i < conf->job_count; i++)
		r = find_good_and_bad(from, &conf->jobs[i], &all.jobs[i]);
	if (r < 0) {
		free(all.jobs);
		return r;
	}
	for (size_t i = 0; i < conf->job_count; i++) {
		use_last_time(&all.jobs[i]);
		set_expectation(from, t, &conf->jobs[i], &all.jobs[i]);
	}
	*ret = all.jobs;
	return 0;
}

bool rehearsed_misses_rto(const struct rehearsed *r, const struct conf_job *job)
{
	return job->rto_ms > 0 && r->rto_us > job->rto_ms * 1000;
}

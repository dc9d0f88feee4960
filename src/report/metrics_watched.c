// SPDX-License-Identifier: Apache-2.0
/*
 * What is expected of each job, and how it is kept: intervals, goals, and how unusual the newest backup is. Of a job
 * over several databases the worst of them is told, so that there is one series for each job however many it has.
 */
#include "exposition.h"
#include "metrics.h"
#include "watched.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/watch.h>
#include <keepfs/report/timetable.h>

#include <string.h>

struct promise {
	const struct report_sources *from;
	const struct conf_job *job;
	bool enabled, expected;        /* it begins by itself; something is expected of it */
	int64_t interval_us, grace_us; /* of the database of which a backup is expected most often */
	int64_t late_at_us;            /* of the one that is overdue first */
	int64_t lost_us;               /* of the one that would lose most */
	bool lost_known;
	enum overdue_level level;
	double score;
	int result;
};

static void take_interval(struct promise *p, const struct watched *w)
{
	int64_t interval_us = overdue_interval_s(&w->rule) * US_PER_S;

	if (interval_us == 0)
		return;
	if (!p->expected || interval_us < p->interval_us) {
		p->interval_us = interval_us;
		p->grace_us = w->rule.grace_s * US_PER_S;
	}
	p->expected = true;
}

/* What would be lost is all since the newest backup was begun; of one that has none, since it is expected. */
static void take_loss(struct promise *p, const struct watched *w)
{
	int64_t from_us = w->snapshot_us ? w->snapshot_us : w->base_us;
	int64_t lost_us = p->from->now_us - from_us;

	if (!from_us)
		return;
	p->lost_known = true;
	if (lost_us > p->lost_us)
		p->lost_us = lost_us;
}

static void take_promise(void *arg, const struct watched *w)
{
	struct promise *p = arg;
	struct watched_anomaly anomaly;
	int r = watched_anomaly_of(p->from, w, &anomaly);

	if (r < 0)
		p->result = r;
	else if (anomaly.score > p->score)
		p->score = anomaly.score;
	take_interval(p, w);
	take_loss(p, w);
	if (w->late_at_us < p->late_at_us)
		p->late_at_us = w->late_at_us;
	if (w->level > p->level)
		p->level = w->level;
}

static int load_promise(const struct report_sources *from, const struct conf_job *job, struct promise *ret)
{
	struct catalog_switch said;
	int r;

	*ret = (struct promise){.from = from, .job = job, .late_at_us = INT64_MAX};
	r = watched_each(from, job, take_promise, ret);
	if (r == 0)
		r = ret->result;
	if (r == 0)
		r = timetable_is_off(from->catalog, job->name, from->now_us, &said);
	ret->enabled = ret->expected && r == 0;
	return r < 0 ? r : 0;
}

/* What is told. Each says of which jobs. */

static bool is_any(const struct promise *p)
{
	return true;
}

static bool is_expected(const struct promise *p)
{
	return p->expected;
}

static bool has_late_at(const struct promise *p)
{
	return p->late_at_us != INT64_MAX;
}

static bool has_loss(const struct promise *p)
{
	return p->lost_known;
}

static bool has_rpo(const struct promise *p)
{
	return p->job->rpo_ms > 0;
}

static bool has_rto(const struct promise *p)
{
	return p->job->rto_ms > 0;
}

static double enabled_of(const struct promise *p)
{
	return p->enabled;
}

static double interval_of(const struct promise *p)
{
	return (double)p->interval_us / (double)US_PER_S;
}

static double grace_of(const struct promise *p)
{
	return (double)p->grace_us / (double)US_PER_S;
}

static double late_at_of(const struct promise *p)
{
	return (double)p->late_at_us / (double)US_PER_S;
}

static double level_of_promise(const struct promise *p)
{
	return p->level;
}

static double measured_loss_of(const struct promise *p)
{
	return (double)p->lost_us / (double)US_PER_S;
}

static double rpo_of(const struct promise *p)
{
	return (double)p->job->rpo_ms / 1000;
}

static double rto_of(const struct promise *p)
{
	return (double)p->job->rto_ms / 1000;
}

static double score_of(const struct promise *p)
{
	return p->score;
}

static const struct {
	const char *name;
	bool (*is_told)(const struct promise *p);
	double (*value)(const struct promise *p);
	const char *help;
} families[] = {
        {"keepfs_job_enabled", is_any, enabled_of,
         "1 when backups of the job are expected, by its schedule, expected_interval or rpo, and it is not switched off; else 0."},
        {"keepfs_expected_interval_seconds", is_expected, interval_of,
         "How far apart backups of the job are expected to be."},
        {"keepfs_grace_seconds", is_expected, grace_of, "How much later than that one may come."},
        {"keepfs_overdue_after_timestamp_seconds", has_late_at, late_at_of,
         "When the job is overdue, unless a backup of each of its databases comes before."},
        {"keepfs_overdue", is_any, level_of_promise,
         "Whether the job is overdue; 0: no, 1: late, 2: by twice the interval, or beyond the rpo."},
        {"keepfs_rpo_seconds", has_loss, measured_loss_of,
         "How much would be lost now: the time since the newest good backup was begun, of the database whose one is oldest."},
        {"keepfs_rpo_target_seconds", has_rpo, rpo_of, "How much may be lost: rpo."},
        {"keepfs_rto_target_seconds", has_rto, rto_of, "How long a restore may take: rto."},
        {"keepfs_anomaly_score", is_any, score_of,
         "How unlike those before it the newest backup is; from 1 on health warns."},
};

static void tell_family(struct spool *out, const struct promise *promises, size_t count, size_t n)
{
	expose_family(out, families[n].name, "gauge", families[n].help);
	for (size_t i = 0; i < count; i++)
		if (families[n].is_told(&promises[i]))
			expose_real(out, families[n].name, LABELS("backup_job", promises[i].job->name),
			            families[n].value(&promises[i]));
}

static int tell_store(const struct report_sources *from, struct spool *out)
{
	struct watched_store store;
	int r = watched_store_of(from, &store);

	expose_family(out, "keepfs_store_full_timestamp_seconds", "gauge",
	              "When the store is full, if it goes on growing as in the last 30 days.");
	if (r == 0 && store.full_at_us)
		expose_seconds(out, "keepfs_store_full_timestamp_seconds", NO_LABELS, store.full_at_us);
	return r;
}

int metrics_watched(const struct report_sources *from, struct spool *out)
{
	const struct conf *conf = from->conf;
	_cleanup(free) struct promise *promises = mem_array(conf->job_count + 1, sizeof(*promises));
	int r = 0;

	for (size_t i = 0; r == 0 && i < conf->job_count; i++)
		r = load_promise(from, &conf->jobs[i], &promises[i]);
	for (size_t n = 0; r == 0 && n < ARRAY_SIZE(families); n++)
		tell_family(out, promises, conf->job_count, n);
	return r < 0 ? r : tell_store(from, out);
}

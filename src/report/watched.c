// SPDX-License-Identifier: Apache-2.0
/* Which directories a job makes backups in, how old the newest of each is, and how old it may be. */
#include "watched.h"

#include "checks.h"
#include "runs.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/zone.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/members.h>
#include <keepfs/catalog/watch.h>
#include <keepfs/codec/name.h>
#include <keepfs/make.h>
#include <keepfs/policy/databases.h>
#include <keepfs/policy/forecast.h>
#include <keepfs/policy/schedule.h>

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

/* The databases of a job. */

struct member {
	char *name, *class_name;
	int64_t first_seen_us; /* 0: not known */
};

struct members {
	struct member *items;
	size_t count;
};

static void add_member(struct members *members, const char *name, const char *class_name,
                       int64_t first_seen_us)
{
	members->items = mem_resize(members->items, members->count + 1, sizeof(*members->items));
	members->items[members->count++] =
	        (struct member){mem_strdup(name), mem_strdup(class_name), first_seen_us};
}

static void take_member(void *arg, const struct catalog_member *m)
{
	add_member(arg, m->name, m->class, m->first_seen_us);
}

static void members_finish(struct members *members)
{
	for (size_t i = 0; i < members->count; i++) {
		free(members->items[i].name);
		free(members->items[i].class_name);
	}
	free(members->items);
	*members = (struct members){0};
}

static inline void cleanup_members(struct members *members)
{
	members_finish(members);
}

/* Those that a registry names, else those of the configuration. */
static int find_watched_members(const struct report_sources *from, const struct conf_job *job,
                                struct members *ret)
{
	int r = catalog_each_member(from->catalog, job->name, false, take_member, ret);

	if (databases_kind_of(job->dump.databases) != DATABASES_NAMED)
		return r;
	for (size_t i = 0; r == 0 && job->dump.databases[i]; i++)
		add_member(ret, job->dump.databases[i], "", 0);
	return r;
}

const char *watched_parts(const struct conf_job *job, uint64_t count)
{
	static const char *const parts[][2] = {
	        [CONF_JOB_DUMP] = {"database", "databases"},  [CONF_JOB_FILES] = {"directory", "directories"},
	        [CONF_JOB_EXPORT] = {"tenant", "tenants"},    [CONF_JOB_MIRROR] = {"bucket", "buckets"},
	        [CONF_JOB_BUNDLE] = {"bundle", "bundles"},    [CONF_JOB_INBOX] = {"file", "files"},
	        [CONF_JOB_CLUSTER] = {"cluster", "clusters"},
	};

	return parts[job->kind][count != 1];
}

/* What was promised. */

static int64_t scheduled_interval_s(const struct conf *conf, const struct conf_job *job, const char *text,
                                    int64_t at_s)
{
	_cleanup(zone) struct zone *z = NULL;
	struct schedule schedule;

	if (schedule_parse(str_or_empty(text), &schedule, NULL) < 0 || schedule_is_off(&schedule) ||
	    zone_load(conf_zone_name(conf, job), &z, NULL) < 0)
		return 0;
	return schedule_interval_s(&schedule, z, at_s);
}

static struct overdue_rule rule_of(const struct report_sources *from, const struct conf_job *job,
                                   const char *class_name)
{
	struct overdue_rule rule = {.rpo_s = job->rpo_ms / 1000};
	struct conf_policy policy;

	conf_policy_of(from->conf, job, class_name, &policy);
	rule.interval_s = policy.expected_interval_ms / 1000;
	if (rule.interval_s == 0)
		rule.interval_s =
		        scheduled_interval_s(from->conf, job, policy.schedule, from->now_us / US_PER_S);
	rule.grace_s =
	        policy.grace_ms > 0 ? policy.grace_ms / 1000 : overdue_grace_s(overdue_interval_s(&rule));
	return rule;
}

/* Each directory. */

struct walk {
	const struct report_sources *from;
	const struct conf_job *job;
	void (*row)(void *arg, const struct watched *w);
	void *arg;
};

static bool makes_each_once(const struct conf_job *job)
{
	return job->kind == CONF_JOB_FILES && job->files.each && *job->files.each;
}

/* A run that had nothing new to archive is as good as one that had. */
static int find_newest_good(const struct report_sources *from, const struct conf_job *job,
                            const char *directory, struct catalog_good *ret)
{
	int64_t by_us = from->now_us + CLOCKS_DIFFER_US;
	int r;

	*ret = (struct catalog_good){0};
	if (makes_each_once(job)) {
		r = runs_last_ended(from->catalog, job->name, RUN_COMPLETED, &ret->finished_at_us);
		ret->started_at_us = ret->finished_at_us;
	} else {
		r = catalog_newest_good(from->catalog, directory, by_us, ret);
	}
	/* How old it really is nobody knows. */
	if (r == 0 && ret->finished_at_us > by_us)
		*ret = (struct catalog_good){0};
	return r == -ENOENT ? 0 : r;
}

static int find_base(const struct report_sources *from, struct watched *w, const struct member *member)
{
	int64_t job_us = 0, target_us = 0;
	int r = catalog_expected_since(from->catalog, w->job->name, "", &job_us);

	if (r == 0 && *w->label)
		r = catalog_expected_since(from->catalog, w->job->name, w->label, &target_us);
	w->base_us = w->newest_us;
	if (job_us > w->base_us)
		w->base_us = job_us;
	if (target_us > w->base_us)
		w->base_us = target_us;
	if (member && member->first_seen_us > w->base_us)
		w->base_us = member->first_seen_us;
	return r;
}

static void judge(const struct report_sources *from, struct watched *w)
{
	int64_t late_at_s = overdue_late_at_s(&w->rule, w->base_us / US_PER_S);

	w->late_at_us = INT64_MAX;
	if (!w->base_us || late_at_s == INT64_MAX)
		return;
	w->late_at_us = late_at_s * US_PER_S;
	w->level = overdue_judge(&w->rule, w->base_us / US_PER_S, from->now_us / US_PER_S);
}

static int visit_directory(const struct walk *walk, const struct member *member)
{
	_cleanup(free) char *below = member ? name_from_database(member->name) : NULL;
	_cleanup(free) char *directory = make_directory_of(walk->job, below);
	struct watched w = {.job = walk->job, .label = member ? member->name : "", .directory = directory};
	struct catalog_good good;
	int r = find_newest_good(walk->from, walk->job, directory, &good);

	if (r < 0)
		return r;
	w.newest_us = good.finished_at_us;
	w.snapshot_us = good.started_at_us;
	w.rule = rule_of(walk->from, walk->job, member ? member->class_name : NULL);
	r = find_base(walk->from, &w, member);
	if (r < 0)
		return r;
	judge(walk->from, &w);
	walk->row(walk->arg, &w);
	return 0;
}

int watched_each(const struct report_sources *from, const struct conf_job *job,
                 void (*row)(void *arg, const struct watched *w), void *arg)
{
	const struct walk walk = {from, job, row, arg};
	_cleanup(members) struct members members = {0};
	int r = find_watched_members(from, job, &members);

	if (r == 0 && members.count == 0)
		r = visit_directory(&walk, NULL);
	for (size_t i = 0; r == 0 && i < members.count; i++)
		r = visit_directory(&walk, &members.items[i]);
	return r;
}

/* Anomalies. */

#define SAMPLES_COMPARED (ANOMALY_HISTORY + 1)

static struct anomaly_backup figures_of_sample(const struct catalog_sample *s)
{
	return (struct anomaly_backup){
	        .at_s = s->finished_at_us / US_PER_S,
	        .figures = {[ANOMALY_SIZE] = s->size_bytes,
	                    [ANOMALY_RAW] = s->raw_bytes,
	                    [ANOMALY_ROWS] = s->rows,
	                    [ANOMALY_TABLES] = s->tables,
	                    [ANOMALY_DURATION] = s->duration_us < 0 ? -1 : s->duration_us / US_PER_S},
	};
}

int watched_anomaly_of(const struct report_sources *from, const struct watched *w,
                       struct watched_anomaly *ret)
{
	struct anomaly_backup backups[SAMPLES_COMPARED];
	_cleanup(free) struct catalog_sample *samples = NULL;
	ssize_t found;

	*ret = (struct watched_anomaly){0};
	if (makes_each_once(w->job))
		return 0;
	samples = mem_array(SAMPLES_COMPARED, sizeof(*samples));
	found = catalog_samples(from->catalog, w->directory, samples, SAMPLES_COMPARED);
	for (ssize_t i = 0; i < found; i++)
		backups[i] = figures_of_sample(&samples[i]);
	if (found <= 0)
		return (int)found;
	ret->at_us = samples[0].finished_at_us;
	ret->count = anomaly_find(backups, (size_t)found, ret->findings, &ret->score);
	return 0;
}

/* The store. */

#define FULL_SOON_US (INT64_C(14) * 86400 * US_PER_S)

/* How much more it can take; false: nobody knows. */
static bool find_free_bytes(const struct report_sources *from, const struct watched_store *store,
                            uint64_t *ret)
{
	const char *url = from->conf->store.url;
	struct statvfs fs;
	bool found = false;

	if (str_starts(url, "dir:") && statvfs(url + strlen("dir:"), &fs) == 0) {
		*ret = (uint64_t)fs.f_bavail * fs.f_frsize;
		found = true;
	}
	if (store->capacity_bytes) {
		uint64_t left = store->capacity_bytes > store->stored_bytes
		                        ? store->capacity_bytes - store->stored_bytes
		                        : 0;

		*ret = found && *ret < left ? *ret : left;
		found = true;
	}
	return found;
}

int watched_store_of(const struct report_sources *from, struct watched_store *ret)
{
	struct catalog_stored_day noted[FORECAST_DAYS + 1];
	struct forecast_day days[FORECAST_DAYS + 1];
	struct catalog_totals totals;
	uint64_t free_bytes;
	int64_t full_day;
	ssize_t count = catalog_stored_days(from->catalog, noted, ARRAY_SIZE(noted));
	int r = count < 0 ? (int)count : catalog_totals(from->catalog, NULL, &totals);

	if (r < 0)
		return r;
	*ret = (struct watched_store){.stored_bytes = totals.stored_bytes,
	                              .capacity_bytes = from->conf->store.capacity_bytes};
	if (!find_free_bytes(from, ret, &free_bytes))
		return 0;
	for (ssize_t i = 0; i < count; i++)
		days[i] = (struct forecast_day){noted[i].day, noted[i].stored_bytes};
	full_day = forecast_full_day(days, (size_t)count, free_bytes);
	if (full_day != FORECAST_NEVER)
		ret->full_at_us = full_day * 86400 * US_PER_S;
	ret->is_full_soon = ret->full_at_us && ret->full_at_us <= from->now_us + FULL_SOON_US;
	return 0;
}

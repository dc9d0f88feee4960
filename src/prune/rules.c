// SPDX-License-Identifier: Apache-2.0
/* Which rules are in force for a directory: those of its job, or of its database's class. */
#include "prune_private.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <keepfs/policy/databases.h>
#include <keepfs/catalog/members.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>

#define DUES_SEEN 40 /* of a schedule, for its longest pause: more than a month of a daily one */

/* The name of the process's own zone is not known to conf; another one by the same rules is another zone to the guard. */
static void append_zone(const struct prune *p, const struct conf_job *job, struct str *out)
{
	const char *name = job ? conf_zone_name(p->conf, job) : NULL;
	char target[PATH_MAX];
	ssize_t n;

	if (!name)
		name = getenv("TZ");
	if (name && *name) {
		str_append(out, name);
		return;
	}
	n = readlink("/etc/localtime", target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	name = strstr(target, "zoneinfo/");
	str_append(out, name ? name + strlen("zoneinfo/") : n > 0 ? target : "the host's time zone");
}

static void append_rule(struct str *out, const char *name, int64_t number, const char *unit)
{
	if (number > 0)
		str_appendf(out, "%s%s %lld%s", out->len > 0 ? ", " : "", name, (long long)number, unit);
}

static void append_within(struct str *out, int64_t within_s)
{
	if (within_s % 86400 == 0)
		append_rule(out, "within", within_s / 86400, "d");
	else
		append_rule(out, "within", within_s, "s");
}

bool prune_locks_anything(const struct conf *conf)
{
	bool locks = conf->store.object_lock != STORE_LOCK_NONE;

	for (size_t i = 0; i < conf->store_count; i++)
		locks = locks || conf->stores[i].store.object_lock != STORE_LOCK_NONE;
	return locks;
}

static void write_rules(const struct prune *p, struct prune_plan *plan)
{
	static const char *const days[] = {"sunday",   "monday", "tuesday", "wednesday",
	                                   "thursday", "friday", "saturday"};
	const struct retention_rules *r = &plan->rules;
	_cleanup(str) struct str text = {0};

	if (!plan->job) {
		str_append(&text, "no job of the configuration is of it: everything stays");
		if (prune_locks_anything(p->conf))
			str_append(&text, ", but is locked in the store only for as long as was promised");
	} else if (r->forever || !retention_has_rules(r)) {
		str_append(&text, "forever");
	} else {
		append_rule(&text, "daily", r->daily, "");
		append_rule(&text, "weekly", r->weekly, "");
		append_rule(&text, "monthly", r->monthly, "");
		append_rule(&text, "yearly", r->yearly, "");
		append_rule(&text, "last", r->last, "");
		append_within(&text, r->within_s);
		str_appendf(&text, ", at least %u; weeks begin on %s; ", r->min_keep > 1 ? r->min_keep : 1,
		            days[r->week_starts]);
		append_zone(p, plan->job, &text);
	}
	/* That nothing is to stay is another rule, and waits as any new one does. */
	if (plan->is_gone)
		str_appendf(&text, "; its %s is gone: nothing stays", prune_part(plan));
	str_copy(plan->rules_text, sizeof(plan->rules_text), str_text(&text));
}

/* The longest pause that the schedule has: nobody makes backups on Sundays, and that is no reason to worry on Monday. */
static int64_t longest_pause_s(const struct schedule *s, const struct zone *zone, int64_t from_s)
{
	int64_t longest_s = 0, at_s = schedule_next(s, zone, from_s);

	for (int i = 0; i < DUES_SEEN && at_s != SCHEDULE_NEVER; i++) {
		int64_t next_s = schedule_next(s, zone, at_s);

		if (next_s != SCHEDULE_NEVER && next_s - at_s > longest_s)
			longest_s = next_s - at_s;
		at_s = next_s;
	}
	return longest_s;
}

static void find_interval(const struct prune *p, struct prune_plan *plan)
{
	if (schedule_parse(plan->policy.schedule ? plan->policy.schedule : "", &plan->schedule, NULL) < 0)
		plan->schedule = (struct schedule){0};
	if (plan->policy.expected_interval_ms)
		plan->interval_s = plan->policy.expected_interval_ms / 1000;
	else if (!schedule_is_off(&plan->schedule))
		plan->interval_s = longest_pause_s(&plan->schedule, plan->zone, p->time.now_us / US_PER_S);
}

/* Only what finds its databases or tenants out can tell that one is gone, and only an answer from after its time tells that it still is:
 * while a registry cannot be read, its last word is not enough to remove the last backup of anything. */
static bool is_gone_for_good(const struct prune *p, const struct prune_plan *plan)
{
	enum databases_kind kind = databases_kind_of(plan->job->dump.databases);
	int64_t keep_us = plan->job->keep_deleted_ms * 1000, until_us = plan->place.gone_since_us + keep_us;
	struct catalog_registry registry = {0};

	if (plan->place.gone_since_us <= 0 || keep_us <= 0 || p->time.now_us < until_us)
		return false;
	if (plan->job->kind != CONF_JOB_EXPORT && kind != DATABASES_QUERY && kind != DATABASES_MATCHED)
		return false;
	return catalog_registry(p->repository->catalog, plan->job->name, &registry) == 0 &&
	       registry.failed_at_us == 0 && registry.read_at_us >= until_us;
}

/* A job of databases may have been called exports once: its backups are not those of [export], whose rules say nothing of them. */
static const struct conf_job *job_of_place(const struct conf *conf, const struct catalog_place *place)
{
	const struct conf_job *job = conf_find_job(conf, place->job);
	const struct tree_root *root = tree_root_of(place->path);

	return job && root && root->is_job == (job->kind == CONF_JOB_EXPORT) ? job : NULL;
}

int prune_find_rules(const struct prune *p, struct prune_plan *plan, struct error *err)
{
	int r;

	plan->job = job_of_place(p->conf, &plan->place);
	r = zone_load(plan->job ? conf_zone_name(p->conf, plan->job) : NULL, &plan->zone, err);
	if (r < 0)
		return r;
	if (plan->job) {
		conf_policy_of(p->conf, plan->job, plan->place.class, &plan->policy);
		conf_policy_rules(plan->job, &plan->policy, &plan->rules);
		find_interval(p, plan);
		plan->is_gone = is_gone_for_good(p, plan);
	} else {
		plan->rules = (struct retention_rules){.forever = true, .min_keep = 1, .week_starts = 1};
	}
	write_rules(p, plan);
	return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* Health of drills: what did not pass, and was not settled since; too little was proven; or none has passed for too long. And restores
 * that take longer than the goal. */
#include "checks.h"
#include "line.h"
#include "rehearsed.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/name.h>

#include <inttypes.h>
#include <string.h>

static void tell_bad_drill(struct checking *c, const struct conf_job *job, const struct catalog_drill *bad,
                           uint64_t count)
{
	struct health_item *item = checking_add(c, bad->result == DRILL_DIFFERS ? REPORT_CRIT : REPORT_WARN,
	                                        mem_printf("drill %s", job->name), job->name);
	const char *path = tree_short(bad->path);
	char at[32];

	item->since_us = bad->started_at_us;
	item->kind = drill_result_name(bad->result);
	item->text = mem_printf(
	        "the drill of %s (%s) %s: %.400s", line_time(bad->started_at_us, "-", at), bad->path,
	        bad->result == DRILL_DIFFERS ? "found something else than was backed up" : "failed",
	        bad->error);
	item->what_to_do =
	        mem_printf("see drills/%s.txt and jobs/%" PRId64 "/log; try again with: keepfs drill %s",
	                   bad->name, bad->run_id, path);
	if (count > 1) {
		_cleanup(free) char *first = take_ptr(&item->text);

		item->text =
		        mem_printf("of %" PRIu64 " drills that are not settled the worst: %s", count, first);
	}
}

static void tell_low_drill(struct checking *c, const struct conf_job *job, const struct catalog_drill *passed)
{
	struct health_item *item = checking_add(c, REPORT_WARN, mem_printf("drill %s", job->name), job->name);

	item->since_us = passed->started_at_us;
	item->kind = "low";
	item->text = mem_printf("the drill of %s passed, and proved no more than level %d; drill_level is %d",
	                        passed->path, passed->level, (int)job->drill_level);
	item->what_to_do = mem_printf("the notes in drills/%s.txt say why", passed->name);
}

static void tell_overdue_drill(struct checking *c, const struct conf_job *job, int64_t passed_us,
                               int64_t age_us)
{
	struct health_item *item = checking_add(c, REPORT_WARN, mem_printf("drill %s", job->name), job->name);
	char at[32], limit[32];

	item->since_us = passed_us + age_us;
	item->kind = "overdue";
	item->text = mem_printf("no restore was proven since %s; one is expected every %s",
	                        line_time(passed_us, "the beginning", at), line_age(age_us, limit));
	item->what_to_do = mem_printf("see status/recovery, and try: keepfs drill %s", job->name);
}

static void check_drill_of(struct checking *c, const struct rehearsed *r, const struct conf_job *job)
{
	if (r->bad_count > 0) {
		tell_bad_drill(c, job, &r->bad, r->bad_count);
		return;
	}
	if (r->late_at_us && c->from->now_us > r->late_at_us) {
		tell_overdue_drill(c, job, r->late_at_us - r->every_us, r->every_us);
		return;
	}
	if (r->late_at_us)
		checking_changes_at(c, r->late_at_us + 1);
	if (r->good.id && r->good.level < job->drill_level)
		tell_low_drill(c, job, &r->good);
}

static void check_each_rehearsed(struct checking *c,
                                 void (*check)(struct checking *c, const struct rehearsed *r,
                                               const struct conf_job *job))
{
	_cleanup(free) struct rehearsed *all = NULL;
	int r = rehearsed_new(c->from, &all);

	if (r < 0) {
		checking_catalog_failed(c, r);
		return;
	}
	for (size_t i = 0; i < c->from->conf->job_count; i++)
		if (conf_can_be_drilled(&c->from->conf->jobs[i]))
			check(c, &all[i], &c->from->conf->jobs[i]);
}

static void check_drill_user(struct checking *c)
{
	struct health_item *item;

	if (!conf_drill_user_is_trusted(c->from->conf))
		return;
	item = checking_add(c, REPORT_WARN, mem_strdup("drill_user"), "drill_user");
	item->kind = "user";
	item->text = mem_strdup(
	        "drill_user is postgres: what a backup brings with it would be carried out in a drill as the owner of this host's clusters");
	item->what_to_do = mem_strdup(
	        "leave [keepfs] drill_user away (nobody), or name a user that owns nothing: useradd --system --shell /usr/sbin/nologin keepfs-drill");
}

void check_drill(struct checking *c)
{
	check_drill_user(c);
	check_each_rehearsed(c, check_drill_of);
}

static void check_rto_of(struct checking *c, const struct rehearsed *r, const struct conf_job *job)
{
	struct health_item *item;
	char took[32], goal[32], at[32];

	if (!rehearsed_misses_rto(r, job))
		return;
	item = checking_add(c, REPORT_WARN, mem_printf("rto %s", job->name), job->name);
	item->since_us = r->slowest.started_at_us;
	item->text =
	        mem_printf("restoring %s took %s in the drill of %s, and the goal (rto) is %s",
	                   r->slowest.path, line_age(r->rto_us, took),
	                   line_time(r->slowest.started_at_us, "-", at), line_age(job->rto_ms * 1000, goal));
	item->what_to_do = mem_strdup(
	        "give the restore more processors or a faster disk, or state a goal that can be kept");
}

/* Apart from whether drills pass: one that fails says nothing of how long a restore takes. */
void check_rto(struct checking *c)
{
	check_each_rehearsed(c, check_rto_of);
}

// SPDX-License-Identifier: Apache-2.0
/* Health of what does not happen: a job that never begins has no error, only an old backup. */
#include "checks.h"
#include "line.h"
#include "watched.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/watch.h>
#include <keepfs/report/timetable.h>

#include <inttypes.h>

#define DATABASES_SHOWN 5

struct overdue_job {
	struct checking *checking;
	const struct conf_job *job;
	size_t directories, overdue;
	enum overdue_level level;
	bool beyond_rpo;
	int64_t since_us; /* the first of them */
	struct str shown;
};

static void tell_newest_overdue(struct checking *c, struct str *out, const struct watched *w)
{
	char at[32], age[32];

	if (w->newest_us)
		str_appendf(out, "the newest good backup is of %s, %s ago", line_time(w->newest_us, "-", at),
		            line_age(c->from->now_us - w->newest_us, age));
	else
		str_appendf(out, "there is no good backup, and one has been expected since %s",
		            line_time(w->base_us, "-", at));
}

static void tell_promise(struct str *out, const struct watched *w)
{
	int64_t interval_s = overdue_interval_s(&w->rule), age_limit_s = interval_s + w->rule.grace_s;
	char interval[32], limit[32], rpo[32];

	str_appendf(out, "; one is expected every %s, and overdue after %s",
	            line_age(interval_s * US_PER_S, interval), line_age(age_limit_s * US_PER_S, limit));
	if (w->rule.rpo_s > 0)
		str_appendf(out, "; no more than %s may be lost (rpo)",
		            line_age(w->rule.rpo_s * US_PER_S, rpo));
}

static int64_t beyond_rpo_at_us(const struct watched *w)
{
	return w->rule.rpo_s > 0 && w->base_us ? w->base_us + w->rule.rpo_s * US_PER_S : INT64_MAX;
}

/* Nothing else tells whoever waits for it: that no backup comes is all that happens. Each level begins behind its second. */
static void tell_next_level(struct checking *c, const struct watched *w)
{
	int64_t lost_at_s = overdue_lost_at_s(&w->rule, w->base_us / US_PER_S);

	if (w->late_at_us == INT64_MAX)
		return;
	checking_changes_at(c, w->late_at_us + US_PER_S);
	checking_changes_at(c, (lost_at_s + 1) * US_PER_S);
	if (beyond_rpo_at_us(w) != INT64_MAX)
		checking_changes_at(c, beyond_rpo_at_us(w) + US_PER_S);
}

static void take_overdue(void *arg, const struct watched *w)
{
	struct overdue_job *job = arg;

	job->job = w->job;
	job->directories++;
	tell_next_level(job->checking, w);
	if (w->level == OVERDUE_NOT)
		return;
	if (w->level > job->level)
		job->level = w->level;
	job->beyond_rpo |= job->checking->from->now_us > beyond_rpo_at_us(w);
	if (!job->since_us || w->late_at_us < job->since_us)
		job->since_us = w->late_at_us;
	if (job->overdue++ >= DATABASES_SHOWN)
		return;
	if (*w->label)
		str_appendf(&job->shown, "%s%s: ", job->overdue > 1 ? "; " : "", w->label);
	tell_newest_overdue(job->checking, &job->shown, w);
	if (!*w->label)
		tell_promise(&job->shown, w);
}

static char *tell_overdue_job(const struct overdue_job *job)
{
	size_t more = job->overdue > DATABASES_SHOWN ? job->overdue - DATABASES_SHOWN : 0;
	char others[48] = "";

	if (job->directories == 1)
		return mem_strdup(str_text(&job->shown));
	if (more > 0)
		snprintf(others, sizeof(others), "; and %zu more", more);
	return mem_printf("%zu of %zu %s: %s%s", job->overdue, job->directories, watched_parts(job->job, 2),
	                  str_text(&job->shown), others);
}

static char *tell_what_to_do(struct checking *c, const char *name)
{
	struct catalog_switch said;
	int r = timetable_is_off(c->from->catalog, name, c->from->now_us, &said);
	char at[32];

	if (r < 0)
		checking_catalog_failed(c, r);
	if (r > 0)
		return mem_printf("it was switched off %s by %s: switch it on again",
		                  line_time(said.at_us, "-", at), said.by);
	return mem_printf("see 'keepfs jobs' for why, and start it with: keepfs trigger %s", name);
}

static void check_overdue_job(struct checking *c, const struct conf_job *conf)
{
	struct overdue_job job = {.checking = c};
	int r = watched_each(c->from, conf, take_overdue, &job);
	struct health_item *item;

	if (r < 0) {
		checking_catalog_failed(c, r);
	} else if (job.overdue > 0) {
		char *what_to_do = tell_what_to_do(c, conf->name);

		item = checking_add(c, job.level == OVERDUE_LOST ? REPORT_CRIT : REPORT_WARN,
		                    mem_printf("overdue %s", conf->name), conf->name);
		item->since_us = job.since_us;
		item->kind = job.beyond_rpo ? "rpo" : NULL;
		item->text = tell_overdue_job(&job);
		item->what_to_do = what_to_do;
	}
	str_finish(&job.shown);
}

void check_overdue(struct checking *c)
{
	for (size_t i = 0; i < c->from->conf->job_count; i++)
		check_overdue_job(c, &c->from->conf->jobs[i]);
}

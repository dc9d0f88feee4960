// SPDX-License-Identifier: Apache-2.0
/* Health of what begins by itself: whether somebody switched it off, and whether it is refused. */
#include "checks.h"
#include "line.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/report/timetable.h>

#include <string.h>

static bool has_schedules(const struct timetable *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (!schedule_is_off(&t->units[i].schedule))
			return true;
	return false;
}

static void tell_switch(struct checking *c, const struct catalog_switch *s)
{
	struct health_item *item = checking_add(
	        c, REPORT_WARN, *s->job ? mem_printf("schedule %s", s->job) : mem_strdup("schedule"), s->job);
	char since[32], until[32];

	item->since_us = s->at_us;
	item->text = mem_printf("%s switched off since %s%s%s by %s%s%s: nothing is backed up by itself",
	                        *s->job ? "is" : "all jobs are", line_time(s->at_us, "-", since),
	                        s->until_us ? " until " : "",
	                        s->until_us ? line_time(s->until_us, "-", until) : "", s->by,
	                        *s->note ? ", note: " : "", s->note);
	item->what_to_do = *s->job ? mem_printf("switch it on with: keepfs schedule %s on", s->job)
	                           : mem_strdup("switch them on with: keepfs schedule on");
}

/* Off with an end is what somebody has planned; of all jobs it is told all the same. */
static void check_switches(struct checking *c, const struct timetable *t)
{
	const struct catalog_switch *master = timetable_master(t, c->from->now_us);

	if (master)
		tell_switch(c, master);
	for (size_t i = 0; i < t->count; i++) {
		const struct timetable_unit *u = &t->units[i];
		const struct catalog_switch *own = timetable_switch(t, u->job->name);

		if (!*u->class && own && own->is_off && !own->until_us)
			tell_switch(c, own);
	}
}

/* The job's last run, if it was a scheduled one and failed. */
static bool failed_when_due(struct checking *c, const char *job, int64_t *ret_at_us)
{
	_cleanup(free) struct catalog_run *run = mem_alloc(sizeof(*run));
	ssize_t n = catalog_runs(c->from->catalog, job, 0, run, 1);

	if (n < 0)
		checking_catalog_failed(c, (int)n);
	if (n <= 0 || run->state != RUN_FAILED || !str_equal(run->triggered_by, "scheduled"))
		return false;
	*ret_at_us = run->finished_at_us;
	return true;
}

static void check_refusals(struct checking *c, const struct timetable *t)
{
	const char *url = c->from->conf->store.url;
	int64_t at_us = 0;
	char at[32];

	if (catalog_store_verified(c->from->catalog, url) > 0)
		return;
	for (size_t i = 0; i < t->count; i++) {
		struct health_item *item;

		if (!failed_when_due(c, t->units[i].job->name, &at_us))
			continue;
		item = checking_add(c, REPORT_CRIT, mem_strdup("schedule"), "store");
		item->since_us = at_us;
		item->text = mem_printf(
		        "scheduled runs are refused, the last one %s (job %s): the store %s was never verified",
		        line_time(at_us, "-", at), t->units[i].job->name, url);
		item->what_to_do = mem_strdup("see what 'keepfs check' says of the store, and mend it");
		return;
	}
}

void check_schedule(struct checking *c)
{
	_cleanup(timetable) struct timetable *t = NULL;
	int r = timetable_new(c->from->conf, c->from->catalog, c->from->now_us, &t);

	if (r < 0) {
		checking_catalog_failed(c, r);
		return;
	}
	if (!has_schedules(t))
		return;
	check_switches(c, t);
	check_refusals(c, t);
}

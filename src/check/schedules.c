// SPDX-License-Identifier: Apache-2.0
/* When the jobs begin by themselves: whoever has written a schedule sees here what it means. */
#include "check_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/report/schedule.h>
#include <keepfs/report/status.h>

#include <string.h>

static char *subject_of(const struct timetable_unit *u)
{
	return *u->class ? mem_printf("schedule %s/%s", u->job->name, u->class)
	                 : mem_printf("schedule %s", u->job->name);
}

static void add_schedule(struct probe *p, const struct schedule_status *s)
{
	const struct timetable_unit *u = s->unit;
	_cleanup(free) char *name = subject_of(u);
	char next[ZONE_TEXT_BYTES], utc[CLOCK_ISO_BYTES];

	if (s->state == SCHEDULE_STATE_NONE)
		return;
	if (!s->next_us)
		probe_add(p, true, name, "%s is switched off: switch it on with 'keepfs schedule'",
		          u->job->name);
	else
		probe_add(p, true, name, "%s: the next run begins %s (%s), %s, if a mount serves then%s",
		          u->policy.schedule, zone_format(u->rules.zone, s->next_us / US_PER_S, next),
		          u->zone_name, clock_format_iso(s->next_us, utc),
		          s->state == SCHEDULE_STATE_OFF ? "; until then it is switched off" : "");
}

void probe_schedules(struct probe *p, const struct conf *conf, struct catalog *catalog)
{
	const struct report_sources sources = {.catalog = catalog, .conf = conf, .now_us = p->at_us};
	_cleanup(schedule_statuses) struct schedule_statuses all = {0};

	if (!catalog || schedule_gather(&sources, &all) < 0)
		return;
	for (size_t i = 0; i < all.count; i++)
		add_schedule(p, &all.items[i]);
}

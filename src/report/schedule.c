// SPDX-License-Identifier: Apache-2.0
/* What begins by itself, and when: the same decision as the timer's, told and not acted upon. */
#include <keepfs/report/schedule.h>

#include "runs.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/report/status.h>

#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {
        [SCHEDULE_STATE_NONE] = "none",       [SCHEDULE_STATE_OFF] = "off", [SCHEDULE_STATE_ON] = "on",
        [SCHEDULE_STATE_WAITING] = "waiting", [SCHEDULE_STATE_DUE] = "due",
};

const char *schedule_state_name(enum schedule_state state)
{
	return state_names[state];
}

static int64_t us_or_0(int64_t at_s)
{
	return at_s == SCHEDULE_NEVER ? 0 : at_s * US_PER_S;
}

static int64_t watched_s(const struct report_sources *from)
{
	int64_t watched_us = from->watched_us ? from->watched_us : from->now_us;

	return (watched_us < from->now_us ? watched_us : from->now_us) / US_PER_S;
}

/* After the time in which it is off nothing is made up for. */
static int64_t looked_at_s(const struct report_sources *from, const struct timetable_unit *u)
{
	return u->off ? u->off->until_us / US_PER_S : from->now_us / US_PER_S;
}

static void fill_next(const struct report_sources *from, struct schedule_status *s)
{
	const struct timetable_unit *u = s->unit;
	int64_t now_s = looked_at_s(from, u);
	struct timetable_unit later = *u;
	struct due due;

	if (u->off && !u->off->until_us)
		return;
	if (u->off)
		later.off_until_s = now_s;
	timetable_decide(&later, now_s, u->off ? now_s : watched_s(from), &due);
	s->next_us = us_or_0(due.begin_s);
	s->next_due_us = us_or_0(due.due_s);
	s->next_is_missed = due.due_s != SCHEDULE_NEVER && due.is_missed;
}

static enum schedule_state state_of(const struct report_sources *from, const struct schedule_status *s,
                                    bool is_busy)
{
	if (schedule_is_off(&s->unit->schedule))
		return SCHEDULE_STATE_NONE;
	if (s->unit->off)
		return SCHEDULE_STATE_OFF;
	if (s->next_us == 0 || s->next_us > from->now_us)
		return SCHEDULE_STATE_ON;
	return is_busy ? SCHEDULE_STATE_WAITING : SCHEDULE_STATE_DUE;
}

static int fill_job(const struct report_sources *from, struct schedule_status *s, bool *ret_busy)
{
	_cleanup(free) struct catalog_run *run = mem_alloc(sizeof(*run));
	struct catalog_totals totals;
	int r = catalog_totals(from->catalog, s->unit->job->name, &totals);
	ssize_t n;

	*ret_busy = false;
	if (r < 0)
		return r;
	s->last_success_us = totals.newest_whole_at_us;
	n = catalog_runs(from->catalog, s->unit->job->name, 0, run, 1);
	if (n <= 0)
		return (int)n;
	s->last_run = run->id;
	s->last_result = run->state;
	*ret_busy = run_is_live(run);
	return 0;
}

static int fill_status(const struct report_sources *from, struct schedule_status *s)
{
	const struct timetable_unit *u = s->unit;
	bool is_busy;
	int r = fill_job(from, s, &is_busy);

	if (r == 0 && !schedule_is_off(&u->schedule)) {
		s->last_due_us = u->is_known ? u->remembered_s * US_PER_S : 0;
		s->interval_s = schedule_interval_s(&u->schedule, u->rules.zone, from->now_us / US_PER_S);
		fill_next(from, s);
	}
	s->state = state_of(from, s, is_busy);
	return r;
}

int schedule_gather(const struct report_sources *from, struct schedule_statuses *ret)
{
	struct schedule_statuses all = {0};
	int r = timetable_new(from->conf, from->catalog, from->now_us, &all.timetable);

	if (r < 0)
		return r;
	all.count = all.timetable->count;
	all.items = mem_array(all.count, sizeof(*all.items));
	for (size_t i = 0; r == 0 && i < all.count; i++) {
		all.items[i].unit = &all.timetable->units[i];
		r = fill_status(from, &all.items[i]);
	}
	if (r < 0)
		schedule_statuses_finish(&all);
	else
		*ret = all;
	return r;
}

void schedule_statuses_finish(struct schedule_statuses *s)
{
	free(s->items);
	timetable_free(s->timetable);
	*s = (struct schedule_statuses){0};
}

int64_t schedule_next_of(const struct schedule_statuses *s, const char *job)
{
	int64_t next_us = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct schedule_status *item = &s->items[i];

		if (strcmp(item->unit->job->name, job) == 0 && item->next_us &&
		    (!next_us || item->next_us < next_us))
			next_us = item->next_us;
	}
	return next_us;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * What would be there if the schedule went on as it does and every backup succeeded: the rules, day after day, beginning with
 * what is there. Nothing is read or written; what is in memory is what is kept, and what a day brings.
 */
#include "prune_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#define DAY_S       INT64_C(86400)
#define BACKUPS_MAX 200000
#define DAILY_UP_TO 62 /* days that are told of one by one; of more, months are */

struct simulation {
	const struct prune *p;
	const struct prune_plan *plan;
	struct retention_rules rules;
	struct retention_backup *backups;
	size_t count, cap;
	size_t others; /* of other content, which the schedule does not make */
	int64_t now_s;
	size_t made, removed; /* since it was told last */
};

static void add_backup(struct simulation *s, struct retention_backup backup)
{
	if (s->count == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 64;
		s->backups = mem_resize(s->backups, s->cap, sizeof(*s->backups));
	}
	s->backups[s->count++] = backup;
}

/* The schedule makes what the newest whole one is of. */
static void take_present(struct simulation *s)
{
	const struct prune_plan *plan = s->plan;
	int64_t newest_run = -1;
	uint8_t content = 0;

	for (size_t i = 0; i < plan->count; i++)
		if (!plan->artifacts[i].partial && plan->artifacts[i].run_id > newest_run) {
			newest_run = plan->artifacts[i].run_id;
			content = plan->artifacts[i].content;
		}
	for (size_t i = 0; i < plan->count; i++) {
		if (plan->artifacts[i].content == content)
			add_backup(s, plan->backups[i]);
		else
			s->others += plan->backups[i].reasons != 0;
	}
}

static void drop_due(struct simulation *s)
{
	size_t left = 0;

	retention_plan(&s->rules, s->plan->zone, s->now_s, s->backups, s->count);
	for (size_t i = 0; i < s->count; i++)
		if (s->backups[i].reasons)
			s->backups[left++] = s->backups[i];
	s->removed += s->count - left;
	s->count = left;
}

static int live_day(struct simulation *s, int64_t end_s, struct error *err)
{
	int64_t due_s;

	while ((due_s = schedule_next(&s->plan->schedule, s->plan->zone, s->now_s)) != SCHEDULE_NEVER &&
	       due_s < end_s) {
		if (s->count >= BACKUPS_MAX)
			return error_set(
			        err, ERROR_USAGE, E2BIG,
			        "%s: more than %d backups would be there: simulate fewer days, or fewer directories",
			        s->plan->place.path, BACKUPS_MAX);
		add_backup(s, (struct retention_backup){.at_s = due_s});
		s->now_s = due_s;
		s->made++;
	}
	s->now_s = end_s - 1;
	drop_due(s);
	return 0;
}

static int64_t midnight_behind(const struct zone *zone, int64_t at_s)
{
	struct zone_day day = zone_day_of(at_s + zone_offset_s(zone, at_s, NULL));
	int64_t moments[2];

	zone_from_local(zone, zone_local_midnight(day.year, day.month, day.day + 1), moments);
	/* Where clocks are set forth at midnight the day begins then. */
	return moments[0] > at_s ? moments[0] : at_s + DAY_S;
}

static int64_t oldest_s(const struct simulation *s)
{
	int64_t oldest = INT64_MAX;

	for (size_t i = 0; i < s->count; i++)
		oldest = s->backups[i].at_s < oldest ? s->backups[i].at_s : oldest;
	return oldest;
}

static void count_reasons(const struct simulation *s, unsigned counts[static 4])
{
	for (size_t i = 0; i < s->count; i++)
		for (unsigned tier = 0; tier < 4; tier++)
			counts[tier] += (s->backups[i].reasons & 1U << tier) != 0;
}

/* @len: of a date, 10 for a day and 7 for a month. */
static void tell(struct simulation *s, int64_t day_s, int len, struct json *list, struct str *out)
{
	char at[CLOCK_ISO_BYTES], oldest[CLOCK_ISO_BYTES] = "-";
	unsigned counts[4] = {0};
	struct json *j;

	clock_format_iso((day_s + zone_offset_s(s->plan->zone, day_s, NULL)) * US_PER_S, at);
	at[len] = '\0';
	if (s->count > 0)
		clock_format_iso(oldest_s(s) * US_PER_S, oldest)[10] = '\0';
	count_reasons(s, counts);
	if (!list) {
		str_appendf(
		        out,
		        "  %-10s  +%zu -%zu = %zu, from %s on; daily %u, weekly %u, monthly %u, yearly %u\n",
		        at, s->made, s->removed, s->count + s->others, oldest, counts[0], counts[1],
		        counts[2], counts[3]);
	} else {
		j = json_object_new();
		json_set_string(j, "until", at);
		json_set_int(j, "made", (int64_t)s->made);
		json_set_int(j, "removed", (int64_t)s->removed);
		json_set_int(j, "there", (int64_t)(s->count + s->others));
		json_set_string(j, "oldest", oldest);
		for (unsigned tier = 0; tier < 4; tier++)
			json_set_int(j, retention_reason_name(1U << tier), counts[tier]);
		json_append(list, j);
	}
	s->made = s->removed = 0;
}

static int live(struct simulation *s, int days, struct json *list, struct str *out, struct error *err)
{
	const struct zone *zone = s->plan->zone;
	int r = 0;

	for (int day = 1; r == 0 && day <= days; day++) {
		int64_t end_s = midnight_behind(zone, s->now_s), day_s = end_s - 1;
		bool ends_month = zone_day_of(end_s + zone_offset_s(zone, end_s, NULL)).day == 1;

		r = live_day(s, end_s, err);
		s->now_s = end_s;
		if (r == 0 && days <= DAILY_UP_TO)
			tell(s, day_s, 10, list, out);
		else if (r == 0 && (ends_month || day == days))
			tell(s, day_s, 7, list, out);
	}
	return r;
}

int prune_simulate(const struct prune *p, const struct prune_plan *plan, int days, struct json *list,
                   struct str *out, struct error *err)
{
	struct simulation s = {
	        .p = p, .plan = plan, .rules = plan->rules, .now_s = p->time.now_us / US_PER_S};
	struct json *j = NULL, *rows = NULL;
	int r;

	if (schedule_is_off(&plan->schedule))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s: job %s has no schedule, so nobody knows which backups will come: set schedule, or look at status/retention",
		        plan->place.path, plan->job->name);
	take_present(&s);
	if (list) {
		j = json_object_new();
		rows = json_array_new();
		json_set_string(j, "path", plan->place.path);
		json_set(j, "steps", rows);
		json_append(list, j);
	} else {
		str_appendf(out, "%s: %zu there now; by: %s\n", plan->place.path, plan->count,
		            plan->rules_text);
	}
	r = live(&s, days, rows, out, err);
	free(s.backups);
	return r;
}

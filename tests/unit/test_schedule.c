// SPDX-License-Identifier: Apache-2.0
/* Schedules: what is understood, what is refused, and each moment of years, against a second implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/policy/schedule.h>

#define DAY_S INT64_C(86400)

static struct schedule parse(const char *text)
{
	struct schedule s;
	struct error err = {0};

	if (schedule_parse(text, &s, &err) < 0)
		fail_msg("%s", err.message);
	return s;
}

static struct zone *zone(const char *name)
{
	struct zone *z = NULL;
	struct error err = {0};

	if (zone_load(name, &z, &err) < 0)
		fail_msg("%s", err.message);
	return z;
}

static bool same(struct schedule a, struct schedule b)
{
	return a.minutes == b.minutes && a.hours == b.hours && a.days == b.days && a.months == b.months &&
	       a.weekdays == b.weekdays && a.is_every_hour == b.is_every_hour &&
	       a.is_every_day == b.is_every_day && a.is_every_weekday == b.is_every_weekday;
}

static void what_means_the_same(void **state)
{
	static const char *const cases[][2] = {
	        {"daily-2am", "0 2 * * *"},
	        {"Weekly-Sun-2AM", "0 2 * * 7"},
	        {"every-12h", "0 0,12 * * *"},
	        {"hourly", "0 * * * *"},
	        {"@daily", "0 0 * * *"},
	        {"@midnight", "0 0 * * *"},
	        {"@weekly", "0 0 * * sun"},
	        {"@monthly", "0 0 1 * *"},
	        {"@yearly", "0 0 1 jan *"},
	        {"@annually", "0 0 1 JAN *"},
	        {"0 2 * * mon-fri", "0 2 * * 1-5"},
	        {"0 2 * * Fri,Mon", "0  2\t* * 1,5"},
	        {"*/15 2 * * *", "0,15,30,45 2 * * *"},
	        {"5/20 2 * * *", "5,25,45 2 * * *"},
	        {"10-30/10 2 * * *", "10,20,30 2 * * *"},
	        {"0 2 * mar-may *", "0 2 * 3,4,5 *"},
	        {"0 2 * * 5-7", "0 2 * * 0,5,6"},
	        {"00 02 * * *", " 0 2 * * * "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (!same(parse(cases[i][0]), parse(cases[i][1])))
			fail_msg("%s is not %s", cases[i][0], cases[i][1]);
	assert_true(schedule_is_off(&(struct schedule){0}));
	for (size_t i = 0; i < 2; i++) {
		struct schedule off = parse(i ? "disabled" : "");

		assert_true(schedule_is_off(&off));
	}
}

static void what_is_refused(void **state)
{
	static const char *const cases[][2] = {
	        {"60 2 * * *", "minute"},
	        {"-1 2 * * *", "minute"},
	        {"0 24 * * *", "hour"},
	        {"0 2 0 * *", "day of the month"},
	        {"0 2 32 * *", "day of the month"},
	        {"0 2 * 13 *", "month"},
	        {"0 2 * 0 *", "month"},
	        {"0 2 * * 8", "day of the week"},
	        {"0 2 * * mon-", "day of the week"},
	        {"0 2 * * monday", "day of the week"},
	        {"0 2 * * fri-mon", "day of the week"},
	        {"0 22-2 * * *", "hour"},
	        {"*/0 2 * * *", "minute"},
	        {"*/x 2 * * *", "minute"},
	        {"1,,2 2 * * *", "minute"},
	        {", 2 * * *", "minute"},
	        {"1. 2 * * *", "minute"},
	        {"** 2 * * *", "minute"},
	        {"0 2 L * *", "day of the month"},
	        {"111111111111111111111 2 * * *", "minute"},
	        {"0 2 * *", "4 fields"},
	        {"0 0 2 * * *", "6 fields"},
	        {"daily", "no schedule"},
	        {"@reboot", "no schedule"},
	        {"0 2 31 2 *", "never be due"},
	        {"0 2 30,31 feb *", "never be due"},
	        {"0 2 31 4,6,9,11 *", "never be due"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct schedule s;
		struct error err = {0};

		assert_int_equal(schedule_parse(cases[i][0], &s, &err), -EINVAL);
		if (!strstr(err.message, cases[i][1]))
			fail_msg("%s: %s", cases[i][0], err.message);
		assert_true(schedule_is_off(&s));
	}
}

/* The second implementation asks of each minute of the time that passes. */
struct minute {
	int64_t at_s, local_s;
	bool is_second; /* its local time was there before */
	int64_t gap_s;  /* how much local time was left out right before it */
};

static bool fits(const struct schedule *s, int64_t local_s)
{
	struct zone_day d = zone_day_of(local_s);
	int64_t minute = (local_s - zone_local_midnight(d.year, d.month, d.day)) / 60;
	bool day = s->days >> d.day & 1, weekday = s->weekdays >> d.weekday & 1;

	return s->minutes >> minute % 60 & 1 && s->hours >> minute / 60 & 1 && s->months >> d.month & 1 &&
	       (s->is_every_day || s->is_every_weekday ? day && weekday : day || weekday);
}

static bool is_due(const struct schedule *s, const struct minute *m)
{
	if (s->is_every_hour)
		return fits(s, m->local_s);
	for (int64_t gone_s = m->local_s - m->gap_s; gone_s < m->local_s; gone_s += 60)
		if (fits(s, gone_s))
			return true;
	return fits(s, m->local_s) && !m->is_second;
}

static void compare(const char *text, const char *zone_name, int from_year, int years)
{
	_cleanup(zone) struct zone *z = zone(zone_name);
	struct schedule s = parse(text);
	int64_t begin_s = zone_local_midnight(from_year, 1, 1),
	        end_s = zone_local_midnight(from_year + years, 1, 1);
	int64_t next_s = schedule_next(&s, z, begin_s - 1),
	        last_local_s = begin_s - 60 + zone_offset_s(z, begin_s - 60, NULL),
	        newest_local_s = last_local_s;

	for (int64_t at_s = begin_s; at_s < end_s; at_s += 60) {
		struct minute m = {.at_s = at_s, .local_s = at_s + zone_offset_s(z, at_s, NULL)};

		m.is_second = m.local_s <= newest_local_s;
		m.gap_s = m.local_s - last_local_s > 60 ? m.local_s - last_local_s - 60 : 0;
		if (is_due(&s, &m)) {
			if (next_s != at_s)
				fail_msg("%s in %s: due at %lld, told %lld", text, zone_name, (long long)at_s,
				         (long long)next_s);
			next_s = schedule_next(&s, z, at_s);
		}
		last_local_s = m.local_s;
		newest_local_s = m.local_s > newest_local_s ? m.local_s : newest_local_s;
	}
	assert_true(next_s >= end_s);
}

static void every_minute_of_years(void **state)
{
	static const char *const schedules[] = {"30 2 * * *",      "*/20 1-3 * * *", "hourly",
	                                        "*/7 * * * *",     "0 0 * * *",      "59 23 * * *",
	                                        "15 2 1,15 * sun", "0 3 29 2 *",     "5 0 * 3,10,11 sat,sun"};
	static const struct {
		const char *zone;
		int year, years;
	} places[] = {{"UTC", 2024, 1},
	              {"Europe/Berlin", 2026, 1},
	              {"America/St_Johns", 2010, 1},    /* at 00:01 */
	              {"America/Sao_Paulo", 2017, 2},   /* at midnight */
	              {"Australia/Lord_Howe", 2026, 1}, /* by half an hour */
	              {"Africa/Casablanca", 2026, 1},
	              {"Pacific/Apia", 2011, 1}, /* without 30 December */
	              {"Asia/Pyongyang", 2015, 1}};

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		for (size_t k = 0; k < sizeof(schedules) / sizeof(*schedules); k++)
			compare(schedules[k], places[i].zone, places[i].year, places[i].years);
}

static void rare_ones_are_found(void **state)
{
	_cleanup(zone) struct zone *z = zone("UTC");
	struct schedule leap = parse("0 0 29 2 *"), friday = parse("0 0 29 2 fri"), off = parse("disabled");

	assert_int_equal(schedule_next(&leap, z, zone_local_midnight(2096, 3, 1)),
	                 zone_local_midnight(2104, 2, 29));
	/* By number or by weekday, as cron has it. */
	assert_int_equal(schedule_next(&friday, z, zone_local_midnight(2026, 1, 31)),
	                 zone_local_midnight(2026, 2, 6));
	assert_int_equal(schedule_next(&off, z, 0), SCHEDULE_NEVER);
}

static void names_stand_for_expressions(void **state)
{
	for (size_t i = 0; schedule_names()[i][0]; i++)
		assert_true(same(parse(schedule_names()[i][0]), parse(schedule_names()[i][1])));
}

static int64_t interval_at(const char *text, const struct zone *z, int64_t at_s)
{
	struct schedule s = parse(text);

	return schedule_interval_s(&s, z, at_s);
}

static void how_far_apart_backups_are(void **state)
{
	_cleanup(zone) struct zone *z = zone("UTC");
	int64_t monday_s = zone_local_midnight(2026, 11, 30), hour = 3600;

	assert_int_equal(interval_at("disabled", z, monday_s), 0);
	assert_int_equal(interval_at("* * * * *", z, monday_s), 60);
	assert_int_equal(interval_at("*/15 * * * *", z, monday_s), 15 * 60);
	assert_int_equal(interval_at("daily-2am", z, monday_s), DAY_S);
	assert_int_equal(interval_at("weekly-sun-2am", z, monday_s), 7 * DAY_S);
	assert_int_equal(interval_at("@monthly", z, monday_s), 31 * DAY_S);
	assert_int_equal(interval_at("0 0 29 2 *", z, monday_s), INT64_C(1461) * DAY_S);
	/* The weekend is three days, until it is a day since its end. */
	assert_int_equal(interval_at("0 2 * * mon-fri", z, monday_s), 3 * DAY_S);
	assert_int_equal(interval_at("0 2 * * mon-fri", z, monday_s + 2 * hour), 3 * DAY_S);
	assert_int_equal(interval_at("0 2 * * mon-fri", z, monday_s + 26 * hour - 1), 3 * DAY_S);
	assert_int_equal(interval_at("0 2 * * mon-fri", z, monday_s + 26 * hour), DAY_S);
	/* Of those that come in the day only, the night is the longest for an hour of each morning. */
	assert_int_equal(interval_at("0 8-18 * * *", z, monday_s + 12 * hour), hour);
	assert_int_equal(interval_at("0 8-18 * * *", z, monday_s + 20 * hour), 14 * hour);
	assert_int_equal(interval_at("0 8-18 * * *", z, monday_s + 8 * hour), 14 * hour);
	assert_int_equal(interval_at("0 8-18 * * *", z, monday_s + 9 * hour), hour);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_means_the_same),         cmocka_unit_test(what_is_refused),
	        cmocka_unit_test(every_minute_of_years),       cmocka_unit_test(rare_ones_are_found),
	        cmocka_unit_test(names_stand_for_expressions), cmocka_unit_test(how_far_apart_backups_are),
	};

	if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0) {
		puts("1..0 # SKIP there is no tzdata");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Blackouts: what is understood, what is refused, and each minute of a year against a second implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/policy/blackout.h>

static struct zone *zone(const char *name)
{
	struct zone *z = NULL;
	struct error err = {0};

	if (zone_load(name, &z, &err) < 0)
		fail_msg("%s", err.message);
	return z;
}

static struct blackout *parse(const char *text)
{
	struct blackout *b = NULL;
	struct error err = {0};

	if (blackout_parse(text, &b, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return b;
}

static int64_t at(const struct zone *z, const char *text)
{
	int64_t at_s = 0;

	assert_int_equal(zone_parse(z, text, &at_s), 0);
	return at_s;
}

/* Where something may happen in windows only: when the next one begins. */
static void what_begins_when(void **state)
{
	static const struct {
		const char *windows, *from, *begin;
	} cases[] = {
	        {"20:00-06:00", "2026-11-20 07:59:59", "2026-11-20 20:00"},
	        {"20:00-06:00", "2026-11-20 20:00:01", "2026-11-20 20:00:01"},
	        {"20:00-06:00", "2026-11-21 05:59:59", "2026-11-21 05:59:59"},
	        {"20:00-06:00", "2026-11-21 06:00", "2026-11-21 20:00"},
	        {"sat-sun 00:00-24:00", "2026-11-23 00:00", "2026-11-28 00:00"},
	        {"mon-sun 00:00-23:59", "2026-11-23 23:59:30", "2026-11-24 00:00"},
	        /* Clocks are set forth on 29 March 2026, at 2. */
	        {"02:30-04:00", "2026-03-29 00:10", "2026-03-29 03:00"},
	};
	struct zone *z = zone("Europe/Berlin");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct blackout *b = parse(cases[i].windows);

		if (blackout_begin(b, z, at(z, cases[i].from)) != at(z, cases[i].begin))
			fail_msg("%s from %s", cases[i].windows, cases[i].from);
		blackout_free(b);
	}
	assert_int_equal(blackout_begin(NULL, z, 1234567), 1234567);
	zone_free(z);
}

static void what_ends_when(void **state)
{
	static const struct {
		const char *windows, *from, *end;
	} cases[] = {
	        {"08:00-18:00", "2026-11-20 07:59:59", "2026-11-20 07:59:59"},
	        {"08:00-18:00", "2026-11-20 08:00", "2026-11-20 18:00"},
	        {"8:00-18:00", "2026-11-20 17:59:59", "2026-11-20 18:00"},
	        {"08:00-18:00", "2026-11-20 18:00", "2026-11-20 18:00"},
	        /* 20 November 2026 is a Friday. */
	        {"mon-fri 08:00-18:00", "2026-11-20 09:30:15", "2026-11-20 18:00"},
	        {"Mon-FRI 08:00-18:00", "2026-11-21 09:30", "2026-11-21 09:30"},
	        /* Over midnight it is of the day on which it begins. */
	        {"fri 22:00-02:00", "2026-11-21 01:00", "2026-11-21 02:00"},
	        {"sat 22:00-02:00", "2026-11-21 01:00", "2026-11-21 01:00"},
	        {"sat 22:00-02:00", "2026-11-22 01:00", "2026-11-22 02:00"},
	        {"fri-mon 10:00-11:00", "2026-11-23 10:00", "2026-11-23 11:00"},
	        {"fri-mon 10:00-11:00", "2026-11-24 10:00", "2026-11-24 10:00"},
	        {"sat, sun 10:00-12:00", "2026-11-21 11:00", "2026-11-21 12:00"},
	        {"sat, sun 10:00-12:00, 20:00-21:00", "2026-11-23 20:30", "2026-11-23 21:00"},
	        {"sat sun 10:00-12:00", "2026-11-22 11:00", "2026-11-22 12:00"},
	        {"20:00-24:00,00:00-06:00", "2026-11-20 21:00", "2026-11-21 06:00"},
	        {"fri 20:00-24:00, sat-sun 00:00-24:00, mon 00:00-06:00", "2026-11-20 21:00",
	         "2026-11-23 06:00"},
	        /* Clocks are set forth on 29 March 2026, at 2, and back on 25 October, at 3. */
	        {"01:00-02:30", "2026-03-29 01:30", "2026-03-29 03:00"},
	        {"01:00-04:00", "2026-03-29 01:30", "2026-03-29 04:00"},
	        {"01:00-04:00", "2026-10-25 01:30", "2026-10-25 04:00"},
	};
	struct zone *z = zone("Europe/Berlin");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct blackout *b = parse(cases[i].windows);
		int64_t end_s = blackout_end(b, z, at(z, cases[i].from));

		if (end_s != at(z, cases[i].end))
			fail_msg("%s at %s ends at %lld", cases[i].windows, cases[i].from, (long long)end_s);
		blackout_free(b);
	}
	zone_free(z);
}

static void what_is_repeated_is_dark_twice(void **state)
{
	struct zone *z = zone("Europe/Berlin");
	struct blackout *b = parse("02:15-02:45");
	/* 02:15 in summer time: the window has half an hour, then comes the repeated one. */
	int64_t first_s = at(z, "2026-10-25 02:15");

	assert_int_equal(blackout_end(b, z, first_s), first_s + 1800);
	assert_int_equal(blackout_end(b, z, first_s + 3600), first_s + 5400);
	blackout_free(b);
	zone_free(z);
}

static void nothing_is_no_window(void **state)
{
	struct zone *z = zone("UTC");

	assert_null(parse(""));
	assert_null(parse("  "));
	assert_int_equal(blackout_end(NULL, z, 12345), 12345);
	zone_free(z);
}

static void what_is_refused(void **state)
{
	static const char *const cases[] = {
	        "08:00",
	        "8-18",
	        "08:00-18",
	        "24:00-02:00",
	        "08:00-25:00",
	        "08:60-09:00",
	        "08:00-08:00",
	        "mon",
	        "mon-fri",
	        "08:00-09:00,",
	        ",",
	        "mon 08:00-09:00 tue",
	        "mon-xyz 08:00-09:00",
	        "monday 08:00-09:00",
	        "08:00 - 09:00",
	        "08:00-09:00 10:00-11:00",
	        "-08:00-09:00",
	        "008:00-09:00",
	        "08:00-24:30",
	        "sat,",
	        "00:00-24:00",
	        "sun-sat 12:00-24:00, 00:00-12:00",
	        "08:0-09:00",
	        "08:00-09:00x",
	        "mon- 08:00-09:00",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct blackout *b = NULL;
		struct error err = {0};

		if (blackout_parse(cases[i], &b, &err) != -EINVAL)
			fail_msg("\"%s\" is taken", cases[i]);
		assert_null(b);
		assert_non_null(strstr(err.message, "22:00-06:00"));
	}
}

/* By the minute, as somebody would who looks at a clock. */
static int64_t end_by_hand(const struct zone *z, int64_t at_s)
{
	for (;;) {
		int64_t local_s = at_s + zone_offset_s(z, at_s, NULL);
		struct zone_day d = zone_day_of(local_s);
		int64_t minute = (local_s - zone_local_midnight(d.year, d.month, d.day)) / 60;
		int before = (d.weekday + 6) % 7;
		bool work = d.weekday >= 1 && d.weekday <= 5 && minute >= 8 * 60 && minute < 18 * 60;
		bool night = minute >= 22 * 60 || minute < 2 * 60;
		bool long_night =
		        d.weekday == 6 ? minute >= 21 * 60 + 30 : before == 6 && minute < 4 * 60 + 15;

		if (!work && !night && !long_night)
			return at_s;
		at_s = at_s / 60 * 60 + 60;
	}
}

static void each_minute_of_a_year(void **state)
{
	static const char *const zones[] = {"Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo"};

	for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
		struct zone *z = zone(zones[i]);
		struct blackout *b = parse("mon-fri 08:00-18:00, 22:00-02:00, sat 21:30-04:15");
		int64_t from_s = at(z, "2026-01-01");

		for (int64_t at_s = from_s; at_s < from_s + 366 * INT64_C(86400); at_s += 60 * 41 + 13)
			if (blackout_end(b, z, at_s) != end_by_hand(z, at_s))
				fail_msg("%s at %lld", zones[i], (long long)at_s);
		blackout_free(b);
		zone_free(z);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_ends_when),
	        cmocka_unit_test(what_begins_when),
	        cmocka_unit_test(what_is_repeated_is_dark_twice),
	        cmocka_unit_test(nothing_is_no_window),
	        cmocka_unit_test(what_is_refused),
	        cmocka_unit_test(each_minute_of_a_year),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

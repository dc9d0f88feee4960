// SPDX-License-Identifier: Apache-2.0
/* Retention: examples of each rule, properties, and random histories against a second, simple implementation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/policy/retention.h>

#define HOUR_S INT64_C(3600)
#define DAY_S  (24 * HOUR_S)
#define MOST   80

static struct zone *zone_of(const char *name)
{
	struct zone *z = NULL;
	struct error err = {0};

	if (zone_load(name, &z, &err) < 0)
		fail_msg("%s", err.message);
	return z;
}

static int64_t at(int year, int month, int day, int hour)
{
	return zone_local_midnight(year, month, day) + hour * HOUR_S;
}

/* "0 daily,last; 2 held" - what stays, by index */
static char *plan_text(const struct retention_rules *rules, struct retention_backup *b, size_t count)
{
	_cleanup(zone) struct zone *z = zone_of("UTC");
	_cleanup(str) struct str out = {0};

	retention_plan(rules, z, at(2026, 12, 1, 0), b, count);
	for (size_t i = 0; i < count; i++) {
		const char *separator = " ";

		if (!b[i].reasons)
			continue;
		str_appendf(&out, "%s%zu", out.len ? "; " : "", i);
		for (unsigned bit = 1; bit < 1 << 16; bit <<= 1) {
			if (!(b[i].reasons & bit))
				continue;
			str_appendf(&out, "%s%s", separator, retention_reason_name(bit));
			separator = ",";
		}
	}
	return mem_strdup(str_text(&out));
}

static void assert_plan(struct retention_rules rules, struct retention_backup *b, size_t count,
                        const char *expected)
{
	_cleanup(free) char *text = plan_text(&rules, b, count);

	assert_string_equal(text, expected);
}

static void the_first_of_a_period_stands_for_it(void **state)
{
	struct retention_backup b[] = {{.at_s = at(2026, 11, 1, 2)}, {.at_s = at(2026, 11, 1, 14)},
	                               {.at_s = at(2026, 11, 2, 2)}, {.at_s = at(2026, 11, 3, 2)},
	                               {.at_s = at(2026, 11, 9, 2)}, {.at_s = at(2026, 11, 9, 3)},
	                               {.at_s = at(2026, 11, 10, 2)}};

	assert_plan((struct retention_rules){.daily = 2, .week_starts = 1}, b, 7, "4 daily; 6 daily,floor");
	assert_int_equal(b[0].tiers, RETENTION_TIERS);
	assert_int_equal(b[1].tiers, 0);
	assert_int_equal(b[2].tiers, RETENTION_DAILY | RETENTION_WEEKLY); /* a Monday */
	assert_plan((struct retention_rules){.weekly = 2, .monthly = 1, .yearly = 1, .week_starts = 1}, b, 7,
	            "0 monthly,yearly; 2 weekly; 4 weekly; 6 floor");
	assert_plan((struct retention_rules){.weekly = 9, .week_starts = 0}, b, 7,
	            "0 weekly; 4 weekly; 6 floor");
	assert_plan((struct retention_rules){.last = 2}, b, 7, "5 last; 6 last,floor");
	assert_plan((struct retention_rules){.last = 1, .min_keep = 3}, b, 7,
	            "4 floor; 5 floor; 6 last,floor");
	assert_plan((struct retention_rules){.within_s = 24 * HOUR_S}, b, 7, "5 within; 6 within,floor");
	assert_plan((struct retention_rules){0}, b, 2, "0 forever; 1 forever,floor");
	assert_plan((struct retention_rules){.last = 1, .forever = true}, b, 2,
	            "0 forever; 1 last,forever,floor");
}

static void what_is_held_or_promised_stays(void **state)
{
	struct retention_backup b[] = {{.at_s = at(2026, 1, 1, 2), .held = true},
	                               {.at_s = at(2026, 1, 2, 2), .keep_until_s = at(2026, 12, 1, 0) + 1},
	                               {.at_s = at(2026, 1, 3, 2), .keep_until_s = at(2026, 12, 1, 0)},
	                               {.at_s = at(2026, 1, 4, 2)}};

	assert_plan((struct retention_rules){.last = 1}, b, 4, "0 held; 1 until; 3 last,floor");
}

static void a_damaged_one_satisfies_nothing(void **state)
{
	struct retention_backup b[] = {{.at_s = at(2026, 11, 1, 2), .damaged = true},
	                               {.at_s = at(2026, 11, 1, 14)},
	                               {.at_s = at(2026, 11, 2, 2), .damaged = true},
	                               {.at_s = at(2026, 11, 3, 2)},
	                               {.at_s = at(2026, 11, 4, 2), .damaged = true}};

	/* The next one takes the place of the first; what nothing covers stays. */
	assert_plan((struct retention_rules){.daily = 2}, b, 5,
	            "1 daily; 2 damaged; 3 daily,floor; 4 damaged");
	assert_plan((struct retention_rules){.monthly = 1}, b, 5, "1 monthly; 3 floor");
	assert_plan((struct retention_rules){.last = 1}, b, 5, "3 last,floor; 4 damaged");
	assert_plan((struct retention_rules){.last = 1}, &b[4], 1, "0 damaged");
}

/* A day is one of the place: 23:30 in New York is the next day in UTC. */
static void days_are_those_of_the_place(void **state)
{
	_cleanup(zone) struct zone *z = zone_of("America/New_York");
	struct retention_backup b[] = {{.at_s = at(2026, 11, 2, 3)}, {.at_s = at(2026, 11, 2, 6)}};
	const struct retention_rules rules = {.daily = 9, .monthly = 9};

	retention_plan(&rules, z, 0, b, 2);
	assert_int_equal(b[0].reasons, RETENTION_DAILY | RETENTION_MONTHLY);
	assert_int_equal(b[1].reasons, RETENTION_DAILY | RETENTION_FLOOR);
}

/* The second implementation: for each backup, each rule by itself, by looking at all others. */

static int64_t day_of(int64_t at_s)
{
	return at_s / DAY_S - (at_s % DAY_S < 0);
}

static int64_t number_of(unsigned tier, int64_t at_s, int week_starts)
{
	struct zone_day d = zone_day_of(at_s);
	int64_t day = day_of(at_s);

	switch (tier) {
	case RETENTION_DAILY:
		return day;
	case RETENTION_WEEKLY: /* of its first day */
		while (zone_day_of(day * DAY_S).weekday != week_starts)
			day--;
		return day;
	case RETENTION_MONTHLY:
		return d.year * 100 + d.month;
	default:
		return d.year;
	}
}

static bool is_first_of(unsigned tier, int starts, const struct retention_backup *b, size_t i)
{
	if (b[i].damaged)
		return false;
	for (size_t k = 0; k < i; k++)
		if (!b[k].damaged && number_of(tier, b[k].at_s, starts) == number_of(tier, b[i].at_s, starts))
			return false;
	return true;
}

static bool is_kept_by(unsigned tier, unsigned keep, int starts, const struct retention_backup *b,
                       size_t count, size_t i)
{
	unsigned newer = 0;

	if (!is_first_of(tier, starts, b, i))
		return false;
	for (size_t k = 0; k < count; k++)
		newer += is_first_of(tier, starts, b, k) &&
		         number_of(tier, b[k].at_s, starts) > number_of(tier, b[i].at_s, starts);
	return newer < keep;
}

static unsigned good_after(const struct retention_backup *b, size_t count, size_t i)
{
	unsigned n = 0;

	for (size_t k = i + 1; k < count; k++)
		n += !b[k].damaged;
	return n;
}

static bool is_covered(const struct retention_rules *r, const struct retention_backup *b, size_t count,
                       size_t i)
{
	unsigned tier = r->daily     ? RETENTION_DAILY
	                : r->weekly  ? RETENTION_WEEKLY
	                : r->monthly ? RETENTION_MONTHLY
	                : r->yearly  ? RETENTION_YEARLY
	                             : 0;

	for (size_t k = 0; k < count; k++)
		if (!b[k].damaged && (tier ? number_of(tier, b[k].at_s, r->week_starts) ==
		                                      number_of(tier, b[i].at_s, r->week_starts)
		                           : k > i))
			return true;
	return false;
}

static unsigned simple_reasons(const struct retention_rules *r, const struct retention_backup *b,
                               size_t count, size_t i, int64_t now_s)
{
	unsigned reasons = (b[i].held ? RETENTION_HELD : 0U) |
	                   (b[i].keep_until_s > now_s ? RETENTION_UNTIL : 0U),
	         starts = (unsigned)r->week_starts;
	bool any = r->daily || r->weekly || r->monthly || r->yearly || r->last || r->within_s;
	unsigned floor = r->min_keep ? r->min_keep : 1;

	if (r->forever || !any)
		reasons |= RETENTION_FOREVER;
	if (b[i].damaged)
		return reasons | (is_covered(r, b, count, i) ? 0U : RETENTION_DAMAGED);
	reasons |= is_kept_by(RETENTION_DAILY, r->daily, (int)starts, b, count, i) ? RETENTION_DAILY : 0U;
	reasons |= is_kept_by(RETENTION_WEEKLY, r->weekly, (int)starts, b, count, i) ? RETENTION_WEEKLY : 0U;
	reasons |=
	        is_kept_by(RETENTION_MONTHLY, r->monthly, (int)starts, b, count, i) ? RETENTION_MONTHLY : 0U;
	reasons |= is_kept_by(RETENTION_YEARLY, r->yearly, (int)starts, b, count, i) ? RETENTION_YEARLY : 0U;
	reasons |= good_after(b, count, i) < r->last ? RETENTION_LAST : 0U;
	reasons |= good_after(b, count, i) < floor ? RETENTION_FLOOR : 0U;
	if (r->within_s) {
		bool within = true;

		for (size_t k = 0; k < count; k++)
			within = within && (b[k].damaged || b[k].at_s - b[i].at_s < r->within_s);
		reasons |= within ? RETENTION_WITHIN : 0U;
	}
	return reasons;
}

static unsigned pick(unsigned below)
{
	return (unsigned)random() % below;
}

static struct retention_rules random_rules(void)
{
	return (struct retention_rules){.daily = pick(3) ? pick(9) : 0,
	                                .weekly = pick(3) ? pick(6) : 0,
	                                .monthly = pick(3) ? pick(6) : 0,
	                                .yearly = pick(3) ? pick(4) : 0,
	                                .last = pick(2) ? pick(6) : 0,
	                                .within_s = pick(2) ? pick(40) * DAY_S : 0,
	                                .forever = pick(20) == 0,
	                                .min_keep = pick(4),
	                                .week_starts = (int)pick(7)};
}

/* In the order of making; the clock goes on by minutes or by weeks, and is set back sometimes. */
static size_t random_history(struct retention_backup *b)
{
	size_t count = 1 + pick(MOST - 1);
	int64_t at_s = at(2024, 1, 1, 0) + pick(700) * DAY_S;

	for (size_t i = 0; i < count; i++) {
		at_s += pick(3) ? pick(30) * HOUR_S : pick(20) * DAY_S;
		at_s -= pick(25) == 0 ? pick(60) * DAY_S : 0;
		b[i] = (struct retention_backup){.at_s = at_s,
		                                 .damaged = pick(8) == 0,
		                                 .held = pick(20) == 0,
		                                 .keep_until_s =
		                                         pick(20) == 0 ? at_s + pick(400) * DAY_S : 0};
	}
	return count;
}

static void it_is_what_the_rules_say(void **state)
{
	_cleanup(zone) struct zone *z = zone_of("UTC");

	srandom(7);
	for (int round = 0; round < 500; round++) {
		struct retention_rules rules = random_rules();
		struct retention_backup b[MOST];
		size_t count = random_history(b);
		int64_t now_s = b[count - 1].at_s + pick(30) * DAY_S;

		retention_plan(&rules, z, now_s, b, count);
		for (size_t i = 0; i < count; i++)
			if (b[i].reasons != simple_reasons(&rules, b, count, i, now_s))
				fail_msg("round %d, %zu of %zu: %x, the rules say %x", round, i, count,
				         b[i].reasons, simple_reasons(&rules, b, count, i, now_s));
	}
}

/* Removes what may go; how many are left. */
static size_t apply(const struct retention_rules *rules, const struct zone *z, int64_t now_s,
                    struct retention_backup *b, size_t count)
{
	size_t left = 0;

	retention_plan(rules, z, now_s, b, count);
	for (size_t i = 0; i < count; i++)
		if (b[i].reasons)
			b[left++] = b[i];
	return left;
}

static unsigned good_ones(const struct retention_backup *b, size_t count)
{
	unsigned n = 0;

	for (size_t i = 0; i < count; i++)
		n += !b[i].damaged;
	return n;
}

static void what_holds_of_any_history(void **state)
{
	_cleanup(zone) struct zone *z = zone_of("Europe/Berlin");

	srandom(11);
	for (int round = 0; round < 500; round++) {
		struct retention_rules rules = random_rules(), fewer = rules;
		struct retention_backup b[2 * MOST], again[2 * MOST], subset[2 * MOST];
		size_t count = random_history(b), left, more;
		int64_t now_s = b[count - 1].at_s;
		unsigned good = good_ones(b, count), floor = rules.min_keep ? rules.min_keep : 1;

		memcpy(again, b, sizeof(b));
		memcpy(subset, b, sizeof(b));
		left = apply(&rules, z, now_s, again, count);
		/* The last good ones stay; and there is nothing more to do. */
		assert_true(good_ones(again, left) >= (good < floor ? good : floor));
		assert_int_equal(apply(&rules, z, now_s, again, left), left);
		/* A policy that asks for less keeps nothing that the other one lets go. */
		fewer.daily /= 2;
		fewer.last /= 2;
		if (retention_has_rules(&fewer) == retention_has_rules(&rules) &&
		    !fewer.daily == !rules.daily) {
			retention_plan(&rules, z, now_s, b, count);
			retention_plan(&fewer, z, now_s, subset, count);
			for (size_t i = 0; i < count; i++)
				assert_true(!subset[i].reasons || b[i].reasons);
		}
		/* A flood of new ones on the last day makes no other the first of its period, and lets none of them go by that. */
		retention_plan(&rules, z, now_s, b, count);
		memcpy(subset, b, sizeof(b));
		for (more = count; more < count + 20; more++)
			subset[more] = (struct retention_backup){.at_s = now_s};
		retention_plan(&rules, z, now_s, subset, more);
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(subset[i].tiers, b[i].tiers);
			if (good_ones(&b[count - 1], 1))
				assert_int_equal(subset[i].reasons & RETENTION_TIERS,
				                 b[i].reasons & RETENTION_TIERS);
		}
	}
}

static void deleting_waits_for_a_good_moment(void **state)
{
	const int64_t now_s = at(2026, 11, 20, 2);
	const struct retention_moment good = {.now_s = now_s,
	                                      .seen_s = now_s - 60,
	                                      .newest_s = now_s - 5,
	                                      .newest_good_s = now_s - 5,
	                                      .interval_s = DAY_S};
	struct {
		struct retention_moment m;
		const char *why;
	} cases[] = {{good, "the newest backup is of 2026-11-20T03:00:00Z"},
	             {good, "set back"},
	             {good, "jumped"},
	             {good, "there is no good backup"},
	             {good, "stay out"}};
	struct retention_moment unscheduled = good;

	cases[0].m.newest_s = now_s + HOUR_S;
	cases[1].m.seen_s = now_s + 1;
	cases[2].m.seen_s = now_s - DAY_S - 1;
	cases[3].m.newest_good_s = 0;
	cases[4].m.newest_good_s = now_s - 2 * DAY_S - 1;
	assert_int_equal(retention_check_moment(&good, NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = {0};

		assert_int_equal(retention_check_moment(&cases[i].m, &err), -EAGAIN);
		if (!strstr(err.message, cases[i].why))
			fail_msg("%s: %s", cases[i].why, err.message);
	}
	unscheduled.interval_s = 0;
	unscheduled.newest_good_s = now_s - 400 * DAY_S;
	assert_int_equal(retention_check_moment(&unscheduled, NULL), 0);
	assert_false(retention_is_large(3, 4));
	assert_false(retention_is_large(20, 100));
	assert_true(retention_is_large(21, 100));
	assert_true(retention_is_large(4, 10));
}

/* What is known of a new one at its birth is what a plan finds, whatever the clock did. */
static void tiers_are_final_at_birth(void **state)
{
	_cleanup(zone) struct zone *z = zone_of("Europe/Berlin");

	srandom(5);
	for (int round = 0; round < 200; round++) {
		struct retention_rules rules = random_rules();
		struct retention_backup b[MOST], then[MOST];
		size_t count = random_history(b);

		for (size_t i = 0; i < count; i++) {
			int64_t other_s[MOST];
			size_t others = 0;

			for (size_t k = 0; k < i; k++)
				if (!b[k].damaged)
					other_s[others++] = b[k].at_s;
			memcpy(then, b, sizeof(then));
			retention_plan(&rules, z, b[i].at_s, then, i + 1);
			if (!b[i].damaged)
				assert_int_equal(
				        retention_tiers_at_birth(&rules, z, b[i].at_s, other_s, others),
				        then[i].tiers);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_first_of_a_period_stands_for_it),
	        cmocka_unit_test(what_is_held_or_promised_stays),
	        cmocka_unit_test(a_damaged_one_satisfies_nothing),
	        cmocka_unit_test(days_are_those_of_the_place),
	        cmocka_unit_test(it_is_what_the_rules_say),
	        cmocka_unit_test(what_holds_of_any_history),
	        cmocka_unit_test(deleting_waits_for_a_good_moment),
	        cmocka_unit_test(tiers_are_final_at_birth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

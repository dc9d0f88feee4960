// SPDX-License-Identifier: Apache-2.0
/* When a backup is late, and when it is lost. */
#include <keepfs/policy/overdue.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MINUTE INT64_C(60)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define BASE   INT64_C(1795140000)

static enum overdue_level after(int64_t interval_s, int64_t grace_s, int64_t rpo_s, int64_t age_s)
{
	const struct overdue_rule rule = {interval_s, grace_s, rpo_s};

	return overdue_judge(&rule, BASE, BASE + age_s);
}

static void the_grace_that_nobody_said(void **state)
{
	assert_int_equal(overdue_grace_s(5 * MINUTE), 30 * MINUTE);
	assert_int_equal(overdue_grace_s(2 * HOUR), 30 * MINUTE);
	assert_int_equal(overdue_grace_s(DAY), 6 * HOUR);
	assert_int_equal(overdue_grace_s(2 * DAY), 12 * HOUR);
	assert_int_equal(overdue_grace_s(7 * DAY), 12 * HOUR);
	assert_int_equal(overdue_grace_s(0), 30 * MINUTE);
}

static void nothing_is_expected(void **state)
{
	const struct overdue_rule rule = {0, HOUR, 0};

	assert_int_equal(overdue_late_at_s(&rule, BASE), INT64_MAX);
	assert_int_equal(after(0, 0, 0, 10000 * DAY), OVERDUE_NOT);
	assert_int_equal(after(0, HOUR, 0, 10000 * DAY), OVERDUE_NOT);
	assert_int_equal(overdue_interval_s(&rule), 0);
	assert_int_equal(after(-DAY, 0, 0, DAY), OVERDUE_NOT);
}

static void every_day(void **state)
{
	assert_int_equal(after(DAY, 0, 0, 0), OVERDUE_NOT);
	assert_int_equal(after(DAY, 0, 0, 30 * HOUR), OVERDUE_NOT);
	assert_int_equal(after(DAY, 0, 0, 30 * HOUR + 1), OVERDUE_LATE);
	assert_int_equal(after(DAY, 0, 0, 48 * HOUR), OVERDUE_LATE);
	assert_int_equal(after(DAY, 0, 0, 48 * HOUR + 1), OVERDUE_LOST);
	/* The clock was ahead when it was made. */
	assert_int_equal(after(DAY, 0, 0, -40 * DAY), OVERDUE_NOT);
}

static void a_grace_that_was_said(void **state)
{
	assert_int_equal(after(DAY, HOUR, 0, 25 * HOUR), OVERDUE_NOT);
	assert_int_equal(after(DAY, HOUR, 0, 25 * HOUR + 1), OVERDUE_LATE);
	/* Longer than the interval: it is late before it is lost. */
	assert_int_equal(after(HOUR, DAY, 0, 25 * HOUR), OVERDUE_NOT);
	assert_int_equal(after(HOUR, DAY, 0, 49 * HOUR), OVERDUE_LATE);
	assert_int_equal(after(HOUR, DAY, 0, 49 * HOUR + 1), OVERDUE_LOST);
}

static void every_five_minutes(void **state)
{
	assert_int_equal(after(5 * MINUTE, 0, 0, 35 * MINUTE), OVERDUE_NOT);
	assert_int_equal(after(5 * MINUTE, 0, 0, 36 * MINUTE), OVERDUE_LATE);
	assert_int_equal(after(5 * MINUTE, 0, 0, 66 * MINUTE), OVERDUE_LOST);
}

static void a_goal(void **state)
{
	/* The night's backup takes a while: a goal of a day is not missed while it is made. */
	assert_int_equal(after(DAY, 0, DAY, 29 * HOUR), OVERDUE_NOT);
	assert_int_equal(after(DAY, 0, DAY, 31 * HOUR), OVERDUE_LOST);
	assert_int_equal(after(DAY, 0, 36 * HOUR, 31 * HOUR), OVERDUE_LATE);
	assert_int_equal(after(DAY, 0, 36 * HOUR, 37 * HOUR), OVERDUE_LOST);
}

/* What may be lost is said: a backup is expected so often, whatever else is said, or not. */
static void a_goal_that_the_interval_cannot_reach(void **state)
{
	const struct overdue_rule alone = {0, 0, DAY}, shorter = {DAY, 0, 4 * HOUR};

	assert_int_equal(overdue_interval_s(&alone), DAY);
	assert_int_equal(overdue_late_at_s(&alone, BASE), BASE + 30 * HOUR);
	assert_int_equal(after(0, 0, DAY, 30 * HOUR), OVERDUE_NOT);
	assert_int_equal(after(0, 0, DAY, 30 * HOUR + 1), OVERDUE_LOST);
	assert_int_equal(after(0, HOUR, DAY, 25 * HOUR + 1), OVERDUE_LOST);
	assert_int_equal(overdue_interval_s(&shorter), 4 * HOUR);
	assert_int_equal(after(DAY, 0, 4 * HOUR, 5 * HOUR), OVERDUE_NOT);
	assert_int_equal(after(DAY, 0, 4 * HOUR, 5 * HOUR + 1), OVERDUE_LOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_grace_that_nobody_said),
	        cmocka_unit_test(nothing_is_expected),
	        cmocka_unit_test(every_day),
	        cmocka_unit_test(a_grace_that_was_said),
	        cmocka_unit_test(every_five_minutes),
	        cmocka_unit_test(a_goal),
	        cmocka_unit_test(a_goal_that_the_interval_cannot_reach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

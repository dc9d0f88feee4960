// SPDX-License-Identifier: Apache-2.0
/* When the store is full. */
#include <keepfs/policy/forecast.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define FIRST_DAY INT64_C(20777)
#define GIB       (UINT64_C(1) << 30)

/* @count days that grow by @growth each; every @step-th of them. */
static int64_t grown(size_t count, int64_t step, int64_t growth, uint64_t free_bytes)
{
	struct forecast_day days[64];

	for (size_t i = 0; i < count; i++)
		days[i] =
		        (struct forecast_day){FIRST_DAY + (int64_t)i * step,
		                              (uint64_t)((int64_t)(1000 * GIB) + growth * (int64_t)i * step)};
	return forecast_full_day(days, count, free_bytes);
}

static void too_little_is_known(void **state)
{
	assert_int_equal(forecast_full_day(NULL, 0, GIB), FORECAST_NEVER);
	assert_int_equal(grown(1, 1, GIB, GIB), FORECAST_NEVER);
	assert_int_equal(grown(2, 30, GIB, GIB), FORECAST_NEVER);
	assert_int_equal(grown(7, 1, GIB, GIB), FORECAST_NEVER); /* six days apart */
}

static void it_grows_evenly(void **state)
{
	assert_int_equal(grown(8, 1, GIB, 10 * GIB), FIRST_DAY + 7 + 10);
	assert_int_equal(grown(4, 5, GIB, 10 * GIB), FIRST_DAY + 15 + 10); /* days are missing */
	assert_int_equal(grown(31, 1, GIB, 0), FIRST_DAY + 30);            /* it is full */
}

static void it_does_not_grow(void **state)
{
	assert_int_equal(grown(31, 1, 0, GIB), FORECAST_NEVER);
	assert_int_equal(grown(31, 1, -(int64_t)GIB, GIB), FORECAST_NEVER);
	assert_int_equal(grown(31, 1, 1, UINT64_MAX), FORECAST_NEVER); /* not within a hundred years */
}

/* What was long ago says nothing: it has stood still since. */
static void only_the_last_days_count(void **state)
{
	struct forecast_day days[60];

	for (int i = 0; i < 60; i++)
		days[i] = (struct forecast_day){FIRST_DAY + i, i < 20 ? (uint64_t)i * GIB : 20 * GIB};
	assert_int_equal(forecast_full_day(days, 60, GIB), FORECAST_NEVER);
}

/* One large backup, removed the next day. */
static void a_peak_decides_nothing(void **state)
{
	struct forecast_day days[31];
	int64_t without = grown(31, 1, GIB, 100 * GIB), with;

	for (int i = 0; i < 31; i++)
		days[i] = (struct forecast_day){FIRST_DAY + i, (1000 + (uint64_t)i) * GIB};
	days[15].stored_bytes += 500 * GIB;
	with = forecast_full_day(days, 31, 100 * GIB);
	assert_in_range(with, without - 5, without + 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(too_little_is_known),    cmocka_unit_test(it_grows_evenly),
	        cmocka_unit_test(it_does_not_grow),       cmocka_unit_test(only_the_last_days_count),
	        cmocka_unit_test(a_peak_decides_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

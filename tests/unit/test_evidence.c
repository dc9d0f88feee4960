// SPDX-License-Identifier: Apache-2.0
/* Quarters: their names and their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/clock.h>
#include <keepfs/evidence.h>

#define DAYS(n) ((int64_t)(n)*24 * 3600 * US_PER_S)

static void quarters_have_bounds(void **state)
{
	struct quarter q, again;
	char name[QUARTER_NAME_BYTES];

	assert_true(quarter_parse("2024-Q1", &q));
	assert_int_equal(q.until_us - q.from_us, DAYS(31 + 29 + 31));
	assert_true(quarter_parse("2026-Q4", &q));
	assert_int_equal(q.until_us - q.from_us, DAYS(31 + 30 + 31));
	assert_int_equal(q.from_us, INT64_C(1790812800) * US_PER_S);
	quarter_of(q.from_us, &again);
	assert_string_equal(quarter_name(&again, name), "2026-Q4");
	quarter_of(q.from_us - 1, &again);
	assert_string_equal(quarter_name(&again, name), "2026-Q3");
	quarter_of(q.until_us, &again);
	assert_string_equal(quarter_name(&again, name), "2027-Q1");
}

static void other_names_are_none(void **state)
{
	static const char *const names[] = {"",         "2026",   "2026-Q0", "2026-Q5",
	                                    "2026-q1",  "2026Q1", "1999-Q4", "2026-Q11",
	                                    " 2026-Q1", "2026-Q", "-026-Q1", "0x26-Q1"};
	struct quarter q;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_false(quarter_parse(names[i], &q));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(quarters_have_bounds),
	        cmocka_unit_test(other_names_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

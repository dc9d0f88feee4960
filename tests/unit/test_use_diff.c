// SPDX-License-Identifier: Apache-2.0
/* What is said of a table by what is known of it. */
#include "../../src/use/diff_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const struct inside_table known = {
        .columns = "(id, note)", .rows = 7, .bytes = 70, .has_hash = true, .hash = 17};

static void states_of_tables(void **state)
{
	struct inside_table other = known;

	assert_int_equal(diff_judge(&known, &other, false), DIFF_SAME);
	other.hash++;
	assert_int_equal(diff_judge(&known, &other, false), DIFF_CHANGED);
	other.rows++;
	assert_int_equal(diff_judge(&known, &other, false), DIFF_CHANGED);
	other.columns = "(note, id)";
	assert_int_equal(diff_judge(&known, &other, false), DIFF_COLUMNS);
	assert_int_equal(diff_judge(NULL, &known, false), DIFF_NEW);
	assert_int_equal(diff_judge(&known, NULL, false), DIFF_GONE);
}

/* Another number of rows says enough; the same one does not. */
static void what_nobody_has_hashed(void **state)
{
	struct inside_table other = known;

	other.has_hash = false;
	assert_int_equal(diff_judge(&known, &other, false), DIFF_UNKNOWN);
	assert_int_equal(diff_judge(&other, &other, false), DIFF_UNKNOWN);
	other.bytes++;
	assert_int_equal(diff_judge(&known, &other, false), DIFF_CHANGED);
	other.bytes = other.rows = INSIDE_NOT_KNOWN;
	assert_int_equal(diff_judge(&known, &other, false), DIFF_UNKNOWN);
	other.columns = "";
	assert_int_equal(diff_judge(&known, &other, false), DIFF_COLUMNS);
}

static void one_dump_is_the_same(void **state)
{
	struct inside_table none = {.columns = "()", .rows = INSIDE_NOT_KNOWN, .bytes = INSIDE_NOT_KNOWN};

	assert_int_equal(diff_judge(&none, &none, true), DIFF_SAME);
}

static void each_state_has_a_name(void **state)
{
	for (int i = 0; i < DIFF_STATES; i++)
		assert_non_null(diff_state_name((enum diff_state)i));
	assert_string_equal(diff_state_name(DIFF_COLUMNS), "columns");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(states_of_tables),
	        cmocka_unit_test(what_nobody_has_hashed),
	        cmocka_unit_test(one_dump_is_the_same),
	        cmocka_unit_test(each_state_has_a_name),
	};

	return cmocka_run_group_tests_name("use_diff", tests, NULL, NULL);
}

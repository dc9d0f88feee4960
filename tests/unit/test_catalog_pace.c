// SPDX-License-Identifier: Apache-2.0
/* How long things took: the last few of each directory count, and those of others where there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/catalog/pace.h>

#include "catalog_fixture.h"

static void took(struct fixture *f, const char *directory, enum pace_work work, int64_t us, uint64_t stored,
                 uint64_t database)
{
	const struct catalog_pace pace = {.directory = directory,
	                                  .work = work,
	                                  .at_us = 1000 + us,
	                                  .took_us = us,
	                                  .stored_bytes = stored,
	                                  .database_bytes = database};

	assert_int_equal(catalog_add_pace(f->catalog, &pace, NULL), 0);
}

static struct catalog_paces ask_pace(struct fixture *f, const char *directory, enum pace_work work)
{
	struct catalog_paces p = {0};

	assert_int_equal(catalog_paces(f->catalog, directory, work, &p), 0);
	return p;
}

static void nothing_is_known_at_first(void **state)
{
	assert_int_equal(ask_pace(*state, "backups/full", PACE_RESTORED).count, 0);
}

static void those_of_the_directory_are_summed_up(void **state)
{
	struct fixture *f = *state;
	struct catalog_paces p;

	took(f, "backups/full", PACE_RESTORED, 10, 100, 300);
	took(f, "backups/full", PACE_RESTORED, 20, 200, 0);
	took(f, "backups/full", PACE_BYTES, 7, 700, 0);
	took(f, "backups/other", PACE_RESTORED, 99, 999, 999);
	p = ask_pace(f, "backups/full", PACE_RESTORED);
	assert_int_equal(p.count, 2);
	assert_false(p.of_others);
	assert_int_equal(p.at_us, 1020);
	assert_int_equal(p.took_us, 30);
	assert_int_equal(p.stored_bytes, 300);
	assert_int_equal(p.sized_stored_bytes, 100);
	assert_int_equal(p.database_bytes, 300);
	p = ask_pace(f, "backups/new", PACE_BYTES);
	assert_int_equal(p.count, 1);
	assert_true(p.of_others);
	assert_int_equal(ask_pace(f, "backups/new", PACE_DRILLED).count, 0);
}

static void old_ones_go(void **state)
{
	struct fixture *f = *state;
	struct catalog_paces p;

	took(f, "backups/other", PACE_BYTES, 5, 5, 5);
	for (int i = 0; i < PACE_KEPT + 3; i++)
		took(f, "backups/full", PACE_BYTES, i < 3 ? 1000 : 1, 10, 0);
	p = ask_pace(f, "backups/full", PACE_BYTES);
	assert_int_equal(p.count, PACE_KEPT);
	assert_int_equal(p.took_us, PACE_KEPT);
	assert_int_equal(ask_pace(f, "backups/other", PACE_BYTES).count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(nothing_is_known_at_first, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(those_of_the_directory_are_summed_up, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(old_ones_go, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* A name that is there since a moment is told once more not to be, to whom it was told before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../src/fs/wal_missed.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>

#define SEGMENT "000000010000000000000007"

static int make_missed(void **state)
{
	*state = wal_missed_new();
	return 0;
}

static int free_missed(void **state)
{
	wal_missed_free(*state);
	return 0;
}

static void it_is_told_once_more(void **state)
{
	assert_false(wal_missed_again(*state, 1, SEGMENT, 5000));
	wal_missed_note(*state, 1, SEGMENT, 5000);
	assert_false(wal_missed_again(*state, 2, SEGMENT, 5000));
	assert_false(wal_missed_again(*state, 1, "00000002.history", 5000));
	assert_true(wal_missed_again(*state, 1, SEGMENT, 5999));
	assert_false(wal_missed_again(*state, 1, SEGMENT, 5999));
}

static void it_is_not_after_a_moment(void **state)
{
	wal_missed_note(*state, 1, SEGMENT, 5000);
	assert_false(wal_missed_again(*state, 1, SEGMENT, 6000));
	wal_missed_note(*state, 1, SEGMENT, 6000);
	wal_missed_note(*state, 1, SEGMENT, 7000);
	assert_true(wal_missed_again(*state, 1, SEGMENT, 7999));
}

static void who_makes_it_sees_it(void **state)
{
	wal_missed_note(*state, 1, SEGMENT, 5000);
	wal_missed_forget(*state, 1, SEGMENT);
	assert_false(wal_missed_again(*state, 1, SEGMENT, 5000));
}

static void the_oldest_is_forgotten_first(void **state)
{
	for (int i = 0; i < 17; i++) {
		_cleanup(free) char *name = mem_printf("%024d", i);

		wal_missed_note(*state, 1, name, 5000);
	}
	assert_false(wal_missed_again(*state, 1, "000000000000000000000000", 5000));
	assert_true(wal_missed_again(*state, 1, "000000000000000000000001", 5000));
	assert_true(wal_missed_again(*state, 1, "000000000000000000000016", 5000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_missed, free_missed)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(it_is_told_once_more),
	        TEST(it_is_not_after_a_moment),
	        TEST(who_makes_it_sees_it),
	        TEST(the_oldest_is_forgotten_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Who removes a tree, and who a single file of it: which directories of a backup a process has open, and since when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "../../src/fs/descents.h"

#define BACKUP 1000
#define OTHER  2000
#define RM     77
#define SHELL  78

static int set_up(void **state)
{
	*state = descents_new();
	return 0;
}

static int tear_down(void **state)
{
	descents_free(*state);
	return 0;
}

static void test_who_has_opened_nothing_removes_nothing(void **state)
{
	struct descents *d = *state;

	assert_int_equal(descents_find(d, BACKUP, RM), DESCENT_NONE);
	assert_int_equal(descents_judge(d, BACKUP, RM, 0), DESCENT_NONE);
	assert_int_equal(descents_find(d, BACKUP, RM), DESCENT_NONE);
	descents_leave(d, NULL);
}

static void test_a_tree_is_asked_about_once(void **state)
{
	struct descents *d = *state;
	struct descent_handle *top = descents_enter(d, BACKUP, RM, true), *below;

	assert_int_equal(descents_find(d, BACKUP, RM), DESCENT_UNKNOWN);
	assert_int_equal(descents_judge(d, BACKUP, RM, 0), DESCENT_TAKEN);
	assert_int_equal(descents_find(d, BACKUP, RM), DESCENT_TAKEN);
	/* fts(3) closes what is far above, and opens ".." on the way back. */
	below = descents_enter(d, BACKUP, RM, false);
	descents_leave(d, top);
	assert_int_equal(descents_find(d, BACKUP, RM), DESCENT_TAKEN);
	top = descents_enter(d, BACKUP, RM, true);
	descents_leave(d, below);
	assert_int_equal(descents_find(d, BACKUP, RM), DESCENT_TAKEN);
	descents_leave(d, top);
	assert_int_equal(descents_find(d, BACKUP, RM), DESCENT_NONE);
}

static void test_the_next_one_is_asked_about_again(void **state)
{
	struct descents *d = *state;
	struct descent_handle *top = descents_enter(d, BACKUP, RM, true);

	assert_int_equal(descents_judge(d, BACKUP, RM, -EPERM), -EPERM);
	assert_int_equal(descents_find(d, BACKUP, RM), -EPERM);
	descents_leave(d, top);
	top = descents_enter(d, BACKUP, RM, true);
	assert_int_equal(descents_find(d, BACKUP, RM), DESCENT_UNKNOWN);
	descents_leave(d, top);
}

static void test_others_have_opened_nothing(void **state)
{
	struct descents *d = *state;
	struct descent_handle *top = descents_enter(d, BACKUP, SHELL, true);

	assert_int_equal(descents_judge(d, BACKUP, SHELL, 0), DESCENT_TAKEN);
	assert_int_equal(descents_find(d, BACKUP, RM), DESCENT_NONE);
	assert_int_equal(descents_find(d, OTHER, SHELL), DESCENT_NONE);
	/* What cannot be seen may be anybody. */
	assert_int_equal(descents_find(d, BACKUP, 0), DESCENT_NONE);
	descents_leave(d, top);
}

/* rm -r TIME/objects */
static void test_a_part_of_a_backup_does_not_go(void **state)
{
	struct descents *d = *state;
	struct descent_handle *below = descents_enter(d, BACKUP, RM, false),
	                      *deeper = descents_enter(d, BACKUP, RM, false);

	assert_int_equal(descents_find(d, BACKUP, RM), DESCENT_NONE);
	assert_int_equal(descents_judge(d, BACKUP, RM, 0), DESCENT_NONE);
	descents_leave(d, below);
	descents_leave(d, deeper);
}

static void test_handles_that_nobody_gives_back(void **state)
{
	struct descents *d = *state;

	for (int i = 0; i < 100; i++)
		descents_enter(d, BACKUP + (uint64_t)i % 7, RM + i % 3, i % 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_who_has_opened_nothing_removes_nothing, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(test_a_tree_is_asked_about_once, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_the_next_one_is_asked_about_again, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_others_have_opened_nothing, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_a_part_of_a_backup_does_not_go, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_handles_that_nobody_gives_back, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

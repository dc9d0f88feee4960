// SPDX-License-Identifier: Apache-2.0
/* What may be removed: every combination. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <keepfs/policy.h>

static struct policy_removal some(void)
{
	return (struct policy_removal){
	        .directory = "backups/full", .name = "x.dump", .min_keep = 1, .now_us = 1000};
}

static void the_last_good_one_stays(void **state)
{
	for (unsigned i = 0; i < 64; i++) {
		struct policy_removal facts = some();
		bool may;

		facts.damaged = i & 1;
		facts.partial = i & 2;
		facts.others_whole = i & 4 ? 1 : 0;
		facts.other_usable = i & 8;
		facts.newest = i & 16;
		facts.is_gone = i & 32;
		may = facts.damaged || facts.is_gone ||
		      (!facts.partial && facts.others_whole && !facts.newest) ||
		      (facts.partial && (facts.others_whole || facts.other_usable));
		assert_int_equal(policy_check_removal(&facts, NULL), may ? 0 : -EPERM);
	}
}

static void as_many_stay_as_min_keep_says(void **state)
{
	for (unsigned min_keep = 0; min_keep < 5; min_keep++) {
		for (unsigned others = 0; others < 6; others++) {
			struct policy_removal facts = some();

			facts.min_keep = min_keep;
			facts.others_whole = others;
			assert_int_equal(policy_check_removal(&facts, NULL),
			                 others >= 1 && others >= min_keep ? 0 : -EPERM);
		}
	}
}

/* Also when it is damaged, or one of many, or its database is gone. */
static void what_is_held_stays(void **state)
{
	struct policy_removal facts = some();
	struct error err = {0};

	facts.others_whole = 7;
	assert_int_equal(policy_check_removal(&facts, NULL), 0);
	facts.held = "audit: audit 2026 (by uid 0 (bash))";
	assert_int_equal(policy_check_removal(&facts, &err), -EPERM);
	assert_string_equal(
	        err.message,
	        "backups/full/x.dump is held and cannot be removed: audit: audit 2026 (by uid 0 (bash)). "
	        "Whoever may end that writes into control/hold: backups/full/x.dump off");
	facts.damaged = facts.is_gone = true;
	assert_int_equal(policy_check_removal(&facts, NULL), -EPERM);
}

static void what_was_promised_stays_until_then(void **state)
{
	struct policy_removal facts = some();
	struct error err = {0};

	facts.others_whole = 7;
	facts.keep_until_us = 1001;
	assert_int_equal(policy_check_removal(&facts, &err), -EPERM);
	assert_non_null(strstr(err.message, "until 1970-01-01T00:00:00Z"));
	facts.damaged = true;
	assert_int_equal(policy_check_removal(&facts, NULL), 0);
	facts.damaged = false;
	facts.now_us = 1001;
	assert_int_equal(policy_check_removal(&facts, NULL), 0);
}

static void the_reason_says_what_to_do(void **state)
{
	struct policy_removal facts = some();
	struct error err = {0};

	assert_int_equal(policy_check_removal(&facts, &err), -EPERM);
	assert_int_equal(err.class, ERROR_DENIED);
	assert_string_equal(
	        err.message,
	        "backups/full/x.dump is the last good backup in backups/full and cannot be removed: "
	        "make another one first");
	facts.other_usable = true;
	assert_int_equal(policy_check_removal(&facts, &err), -EPERM);
	assert_non_null(strstr(err.message, "(the others are partial)"));
	facts.others_whole = 2;
	facts.newest = true;
	assert_int_equal(policy_check_removal(&facts, &err), -EPERM);
	assert_non_null(strstr(err.message, "is the newest good backup in backups/full"));
	facts.newest = false;
	facts.min_keep = 3;
	assert_int_equal(policy_check_removal(&facts, &err), -EPERM);
	assert_non_null(strstr(err.message, "has 3 good backups, and min_keep = 3 of them stay"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_last_good_one_stays),
	        cmocka_unit_test(as_many_stay_as_min_keep_says),
	        cmocka_unit_test(what_is_held_stays),
	        cmocka_unit_test(what_was_promised_stays_until_then),
	        cmocka_unit_test(the_reason_says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static int ask(bool damaged, bool partial, bool other_whole, bool other_usable, struct error *err)
{
	const struct policy_removal facts = {"backups/full", "x.dump",    damaged,
	                                     partial,        other_whole, other_usable};

	return policy_check_removal(&facts, err);
}

static void the_last_good_one_stays(void **state)
{
	for (unsigned i = 0; i < 16; i++) {
		bool damaged = i & 1, partial = i & 2, other_whole = i & 4, other_usable = i & 8;
		bool may = damaged || other_whole || (partial && other_usable);

		if (other_whole && !other_usable) /* a whole one is usable */
			continue;
		assert_int_equal(ask(damaged, partial, other_whole, other_usable, NULL), may ? 0 : -EPERM);
	}
}

static void the_reason_says_what_to_do(void **state)
{
	struct error err = {0};

	assert_int_equal(ask(false, false, false, false, &err), -EPERM);
	assert_int_equal(err.class, ERROR_DENIED);
	assert_string_equal(
	        err.message,
	        "backups/full/x.dump is the last good backup in backups/full and cannot be removed: "
	        "make another one first");
	assert_int_equal(ask(false, false, false, true, &err), -EPERM);
	assert_non_null(strstr(err.message, "(the others are partial)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_last_good_one_stays),
	        cmocka_unit_test(the_reason_says_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

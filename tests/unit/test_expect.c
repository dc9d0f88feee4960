// SPDX-License-Identifier: Apache-2.0
/* What is expected of an answer: how it is written, and when it holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <keepfs/policy/expect.h>

static bool holds(const char *text, const char *value)
{
	struct expect x;
	struct error err = {0};

	if (expect_parse(text, &x, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return expect_holds(&x, value);
}

static void numbers(void **state)
{
	assert_true(holds("n > 100", "101"));
	assert_false(holds("n > 100", "100"));
	assert_true(holds("n>=100", "100"));
	assert_false(holds("n>=100", "99.9"));
	assert_true(holds("n < 1e3", "-5"));
	assert_false(holds("n < 0", "0"));
	assert_true(holds("  n <= 3.5", "3.50"));
	assert_false(holds("n <= 3.5", "3.51"));
	assert_true(holds("n = 100", "100.0"));
	assert_false(holds("n = 100", "100x"));
	assert_true(holds("n != 100", "99"));
	assert_false(holds("n <> 100", "100"));
	assert_false(holds("n > 100", NULL));
	assert_false(holds("n > 100", ""));
	assert_false(holds("n > 100", "nan"));
}

static void texts(void **state)
{
	assert_true(holds("n = ok", "ok"));
	assert_false(holds("n = ok", "OK"));
	assert_true(holds("n = 'two words'", "two words"));
	assert_true(holds("n = '100'", "100"));
	assert_false(holds("n = '100'", "100.0"));
	assert_true(holds("n != ''", "x"));
	assert_false(holds("n != ''", ""));
	assert_false(holds("n != ''", NULL));
}

static void true_answers(void **state)
{
	static const char *const yes[] = {"t", "true", "yes", "on", "1", "-2", "0.5"};
	static const char *const no[] = {"f", "", "0", "0.0", "false", "no", "T"};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(holds("", yes[i]));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(holds("", no[i]));
	assert_false(holds("", NULL));
}

static void what_is_none(void **state)
{
	static const char *const wrong[] = {"100",   "n",     "n >",   "n > x",  "n <= 'a'",
	                                    "> 100", "m > 1", "n ~ 5", "n > inf"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct expect x;
		struct error err = {0};

		if (expect_parse(wrong[i], &x, &err) != -EINVAL)
			fail_msg("%s was taken", wrong[i]);
		assert_non_null(strstr(err.message, "such as n > 100"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(numbers),
	        cmocka_unit_test(texts),
	        cmocka_unit_test(true_answers),
	        cmocka_unit_test(what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

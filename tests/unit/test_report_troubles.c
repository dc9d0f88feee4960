// SPDX-License-Identifier: Apache-2.0
/* status/last-error. */
#include "report_test.h"

static void test_troubles(void **state)
{
	struct fixture *f = *state;
	struct report_troubles *t = f->sources.troubles = report_troubles_new();
	_cleanup(free) char *none = NULL, *two = NULL, *many = NULL;
	uint64_t generation = report_troubles_generation(t);
	unsigned lines = 0;

	none = written_by(f, report_last_error);
	assert_string_equal(none, "");
	report_trouble(t, "backups/full/x.dump", EIO, "the store said\nno");
	assert_true(report_troubles_generation(t) > generation);
	report_trouble(t, NULL, EINVAL, "unknown command");
	two = written_by(f, report_last_error);
	assert_true(str_starts(two + 19, "Z EINVAL unknown command\n20"));
	assert_true(str_ends(two, "Z EIO backups/full/x.dump: the store said | no\n"));
	for (int i = 0; i < 110; i++) {
		char message[16];

		snprintf(message, sizeof(message), "number %d", i);
		report_trouble(t, "p", EPERM, message);
	}
	many = written_by(f, report_last_error);
	for (const char *p = many; *p; p = strchr(p, '\n') + 1)
		lines++;
	/* The last 32 and up to 32 more: they are forgotten many at a time. */
	assert_int_equal(lines, 48);
	assert_true(str_starts(many + 19, "Z EPERM p: number 109\n"));
	assert_true(str_ends(many, "Z EPERM p: number 62\n"));
	report_troubles_free(t);
}

static void test_a_trouble_again(void **state)
{
	struct fixture *f = *state;
	struct report_troubles *t = f->sources.troubles = report_troubles_new();
	_cleanup(free) char *six = NULL, *others = NULL;
	uint64_t generation;

	for (int i = 0; i < 6; i++) {
		generation = report_troubles_generation(t);
		report_trouble(t, "a.dump", EIO, "a.dump: damaged");
		assert_true(report_troubles_generation(t) > generation);
	}
	six = written_by(f, report_last_error);
	assert_string_equal(six + 19, "Z EIO a.dump: damaged (6 times)\n");
	report_trouble(t, "a.dump", EPERM, "a.dump: damaged");
	report_trouble(t, "a", EPERM, "a.dump: damaged");
	report_trouble(t, "a.dump", EIO, "a.dump: damaged");
	others = written_by(f, report_last_error);
	assert_true(str_starts(others + 19, "Z EIO a.dump: damaged\n"));
	assert_has(others, "Z EPERM a: a.dump: damaged\n");
	assert_has(others, "Z EPERM a.dump: damaged\n");
	assert_true(str_ends(others, "Z EIO a.dump: damaged (6 times)\n"));
	report_troubles_free(t);
}

/* Without a mount there are none. */
static void test_no_troubles(void **state)
{
	_cleanup(free) char *text = written_by(*state, report_last_error);

	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        REPORT_TEST(test_troubles),
	        REPORT_TEST(test_a_trouble_again),
	        REPORT_TEST(test_no_troubles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Bundles: the version of a deployment, whatever a command or a file says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../src/kinds/bundle.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

static void assert_line(const char *text, const char *expected)
{
	_cleanup(free) char *line = NULL;

	assert_int_equal(bundle_version_line(text, strlen(text), &line), 0);
	assert_string_equal(line, expected);
}

static void test_version_lines(void **state)
{
	_cleanup(free) char *line = NULL;

	assert_line("1.4.2", "1.4.2");
	assert_line("  1.4.2 \r\nmore\n", "1.4.2");
	assert_line("app\tversion\x1b[1m 3\n", "app version [1m 3");
	assert_int_equal(bundle_version_line("", 0, &line), -EINVAL);
	assert_int_equal(bundle_version_line(" \t\n1.4", 6, &line), -EINVAL);
	assert_null(line);
}

static void test_a_long_version_is_cut(void **state)
{
	_cleanup(free) char *line = NULL;
	char text[1000];

	memset(text, 'x', sizeof(text));
	assert_int_equal(bundle_version_line(text, sizeof(text), &line), 0);
	assert_true(strlen(line) <= 200 && strlen(line) > 190);
}

static void test_commands_and_files(void **state)
{
	struct conf_job job = {.kind = CONF_JOB_BUNDLE};
	_cleanup(free) char *version = NULL;
	struct error err = {0};

	assert_int_equal(bundle_version(&job, NULL, &version, &err), 0);
	assert_null(version);
	job.bundle.version_command = (char *)"echo 7; echo words >&2";
	assert_int_equal(bundle_version(&job, NULL, &version, &err), 0);
	assert_string_equal(version, "7");
	free(take_ptr(&version));
	job.bundle.version_command = (char *)"echo 7; exit 3";
	assert_true(bundle_version(&job, NULL, &version, &err) < 0);
	assert_non_null(strstr(err.message, "version_command"));
	job.bundle.version_command = (char *)"true";
	assert_int_equal(bundle_version(&job, NULL, &version, &err), -EINVAL);
	/* One that never ends its line takes no memory for that. */
	job.bundle.version_command = (char *)"head -c 10000000 /dev/zero | tr '\\0' y";
	assert_int_equal(bundle_version(&job, NULL, &version, &err), 0);
	assert_true(strlen(version) <= 200);
	free(take_ptr(&version));
	job.bundle = (struct conf_bundle){.version_file = (char *)"/nowhere/VERSION"};
	assert_true(bundle_version(&job, NULL, &version, &err) < 0);
	assert_non_null(strstr(err.message, "/nowhere/VERSION"));
	assert_null(version);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_version_lines),
	        cmocka_unit_test(test_a_long_version_is_cut),
	        cmocka_unit_test(test_commands_and_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

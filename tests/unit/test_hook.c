// SPDX-License-Identifier: Apache-2.0
/* Hooks: what reaches them, what they say, and how they end. */
#include "../../src/job/hook.h"

#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static void collect(void *arg, const char *line)
{
	str_appendf(arg, "%s\n", line);
}

static int run(const char *command, struct str *said, struct error *err)
{
	const char *const env[] = {"KEEPFS_JOB=full", NULL};
	const struct hook hook = {
	        .name = "pre_hook", .command = command, .env = env, .log = collect, .log_arg = said};

	return hook_run(&hook, err);
}

static void expect_no_child(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_says(void **state)
{
	_cleanup(str) struct str said = {0};
	struct error err = {0};

	assert_int_equal(run("echo \"job $KEEPFS_JOB\"; echo second >&2; printf third", &said, &err), 0);
	assert_string_equal(str_text(&said), "pre_hook: job full\npre_hook: second\npre_hook: third\n");
	assert_int_equal(run("true", &said, &err), 0);
}

static void test_fails(void **state)
{
	_cleanup(str) struct str said = {0};
	struct error err = {0};

	assert_int_equal(run("echo one; echo last words; exit 3", &said, &err), -EIO);
	assert_string_equal(err.message, "pre_hook: sh ended with exit status 3: one; last words");
	assert_int_equal(run("/nonexistent/program", &said, &err), -EIO);
	assert_non_null(strstr(err.message, "exit status 127"));
}

static void test_nobody_listens(void **state)
{
	const struct hook hook = {.name = "post_hook", .command = "echo x; exit 1"};
	struct error err = {0};

	assert_int_equal(hook_run(&hook, &err), -EIO);
	assert_string_equal(err.message, "post_hook: sh ended with exit status 1: x");
}

static void test_takes_too_long(void **state)
{
	const struct hook hook = {.name = "pre_hook", .command = "echo begun; sleep 600", .timeout_ms = 100};
	struct error err = {0};

	assert_int_equal(hook_run(&hook, &err), -ETIMEDOUT);
	assert_int_equal(err.class, ERROR_TIMEOUT);
	assert_string_equal(
	        err.message,
	        "pre_hook: it took longer than 0.1 s: sh was killed by signal 15 (Terminated): begun");
	expect_no_child();
}

static void cancel_by_line(void *arg, const char *line)
{
	if (strcmp(line, "pre_hook: ready") == 0)
		cancel_set(arg);
}

static void test_cancelled(void **state)
{
	struct cancel cancel;
	struct hook hook = {.name = "pre_hook", .command = "echo ready; sleep 600", .timeout_ms = 600000};
	struct error err = {0};

	cancel_init(&cancel);
	hook.cancel = &cancel;
	hook.log = cancel_by_line;
	hook.log_arg = &cancel;
	assert_int_equal(hook_run(&hook, &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	expect_no_child();
	assert_int_equal(hook_run(&hook, &err), -ECANCELED);
	cancel_finish(&cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_says),           cmocka_unit_test(test_fails),
	        cmocka_unit_test(test_nobody_listens), cmocka_unit_test(test_takes_too_long),
	        cmocka_unit_test(test_cancelled),
	};

	return cmocka_run_group_tests_name("hook", tests, NULL, NULL);
}

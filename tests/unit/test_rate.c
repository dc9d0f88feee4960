// SPDX-License-Identifier: Apache-2.0
/* The rate that several threads share. */
#include <keepfs/base/clock.h>
#include <keepfs/base/workers.h>
#include <keepfs/stream/rate.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_no_limit_never_waits(void **state)
{
	struct rate *r = rate_new(0);

	assert_int_equal(rate_take(NULL, UINT64_MAX, NULL), 0);
	assert_int_equal(rate_take(r, UINT64_MAX, NULL), 0);
	rate_free(r);
	rate_free(NULL);
}

static void *take_main(void *arg)
{
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(rate_take(arg, 20000, NULL), 0);
	return NULL;
}

/* What two threads take, 2 MB at 10 MB/s, lasts 200 ms. */
static void test_holds_back(void **state)
{
	struct rate *r = rate_new(10000000);
	int64_t began_us = clock_mono_us();
	pthread_t thread;

	assert_int_equal(thread_start(&thread, "test", take_main, r), 0);
	take_main(r);
	pthread_join(thread, NULL);
	/* What the last ones owe was slept off, all but less than a millisecond of rounding. */
	assert_true(clock_mono_us() - began_us >= 199000);
	rate_free(r);
}

static void *cancel_main(void *arg)
{
	cancel_set(arg);
	return NULL;
}

static void test_is_cancelled(void **state)
{
	struct rate *r = rate_new(1);
	struct cancel cancel;
	pthread_t thread;

	cancel_init(&cancel);
	assert_int_equal(thread_start(&thread, "test", cancel_main, &cancel), 0);
	assert_int_equal(rate_take(r, UINT64_MAX, &cancel), -ECANCELED);
	assert_int_equal(rate_take(r, 0, &cancel), -ECANCELED);
	pthread_join(thread, NULL);
	cancel_finish(&cancel);
	rate_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_no_limit_never_waits),
	        cmocka_unit_test(test_holds_back),
	        cmocka_unit_test(test_is_cancelled),
	};

	return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Which bucket counts a duration, what is no sensible duration, and that no thread's is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include <keepfs/base/histogram.h>
#include <keepfs/base/workers.h>

#define LAST    (HISTOGRAM_BUCKETS - 1)
#define YEAR_US (INT64_C(366) * 86400 * 1000000)

static void test_bounds(void **state)
{
	assert_int_equal(histogram_bound_us(0), 100);
	assert_int_equal(histogram_bound_us(LAST - 1), 60 * 1000000);
	assert_int_equal(histogram_bound_us(LAST), INT64_MAX);
	for (size_t i = 1; i < HISTOGRAM_BUCKETS; i++)
		assert_true(histogram_bound_us(i) > histogram_bound_us(i - 1));
	for (size_t i = 0; i + 3 < LAST - 1; i++)
		assert_int_equal(histogram_bound_us(i + 3), 10 * histogram_bound_us(i));
}

static uint64_t count(const struct histogram *h)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum += atomic_load(&h->buckets[i]);
	return sum;
}

static void test_a_bound_belongs_to_its_bucket(void **state)
{
	for (size_t i = 0; i < LAST; i++) {
		struct histogram h = {0};
		int64_t bound = histogram_bound_us(i);

		histogram_add(&h, bound);
		histogram_add(&h, bound + 1);
		assert_int_equal(atomic_load(&h.buckets[i]), 1);
		assert_int_equal(atomic_load(&h.buckets[i + 1]), 1);
		assert_int_equal(count(&h), 2);
		assert_int_equal(atomic_load(&h.sum_us), 2 * bound + 1);
	}
}

static void test_what_no_clock_should_say(void **state)
{
	struct histogram h = {0};

	histogram_add(&h, 0);
	histogram_add(&h, -1);
	histogram_add(&h, INT64_MIN);
	assert_int_equal(atomic_load(&h.buckets[0]), 3);
	assert_int_equal(atomic_load(&h.sum_us), 0);
	for (int i = 0; i < 1000; i++)
		histogram_add(&h, INT64_MAX);
	assert_int_equal(atomic_load(&h.buckets[LAST]), 1000);
	assert_int_equal(atomic_load(&h.sum_us), 1000 * YEAR_US);
	histogram_add(&h, YEAR_US - 1);
	assert_int_equal(atomic_load(&h.sum_us), 1001 * YEAR_US - 1);
}

#define THREADS 8
#define EACH    20000
#define MOST_MS 7

static void *add_many(void *arg)
{
	for (int i = 0; i < EACH; i++)
		histogram_add(arg, i % MOST_MS * 1000);
	return NULL;
}

static void test_many_threads(void **state)
{
	struct histogram h = {0};
	pthread_t threads[THREADS];
	uint64_t sum_us = 0;

	for (int i = 0; i < EACH; i++)
		sum_us += (uint64_t)(i % MOST_MS * 1000);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(thread_start(&threads[i], "adder", add_many, &h), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(count(&h), THREADS * EACH);
	assert_int_equal(atomic_load(&h.sum_us), THREADS * sum_us);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_bounds),
	        cmocka_unit_test(test_a_bound_belongs_to_its_bucket),
	        cmocka_unit_test(test_what_no_clock_should_say),
	        cmocka_unit_test(test_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

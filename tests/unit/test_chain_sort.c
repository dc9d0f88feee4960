// SPDX-License-Identifier: Apache-2.0
/* Records that do not fit into memory come back in their order, each once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/sorter.h>

static int compare_by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void sort_numbers(uint64_t count)
{
	_cleanup(sorter) struct sorter *s = sorter_new("/tmp", compare_by_number);
	const void *record;
	uint64_t expected = 0;

	/* 7919 is prime, and so are all counts here prime to it: each number comes once, in a wild order. */
	for (uint64_t i = 0; i < count; i++) {
		uint64_t number = i * 7919 % count;
		char tail[64];
		size_t len = (size_t)snprintf(tail, sizeof(tail), "%0*lu", (int)(number % 40 + 1),
		                              (unsigned long)number);

		assert_int_equal(sorter_add(s, &number, sizeof(number), tail, len + 1, NULL), 0);
	}
	assert_int_equal(sorter_end(s, NULL), 0);
	while (sorter_next(s, &record, NULL) == 1) {
		char tail[64];

		assert_int_equal(*(const uint64_t *)record, expected);
		snprintf(tail, sizeof(tail), "%0*lu", (int)(expected % 40 + 1), (unsigned long)expected);
		assert_string_equal((const char *)record + sizeof(uint64_t), tail);
		expected++;
	}
	assert_int_equal(expected, count);
	assert_int_equal(sorter_next(s, &record, NULL), 0);
}

static void in_memory(void **state)
{
	sort_numbers(0);
	sort_numbers(1);
	sort_numbers(1000);
}

static void beyond_memory(void **state)
{
	sort_numbers(SORT_MEMORY_BYTES / 8); /* more than eight times as much */
}

static void a_file_that_cannot_be_written_is_an_error(void **state)
{
	_cleanup(sorter) struct sorter *s = sorter_new("/nonexistent", compare_by_number);
	struct error err = {0};
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < SORT_MEMORY_BYTES / 8; i++)
		r = sorter_add(s, &i, sizeof(i), NULL, 0, &err);
	assert_true(r < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(in_memory),
	        cmocka_unit_test(beyond_memory),
	        cmocka_unit_test(a_file_that_cannot_be_written_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* The SHA-256 of files that are read whole, and what waits for it. */
#include "reader_test.h"

#include <sched.h>

static void test_whole(void **state)
{
	static const struct {
		const uint32_t *lengths;
		size_t count;
		uint64_t size;
		size_t request_bytes;
	} cases[] = {
	        {full_extents, 1, 40 * MIB, 128 << 10},
	        {odd_extents, ARRAY_SIZE(odd_extents), 40 * MIB + 777, 300007},
	        {odd_extents, ARRAY_SIZE(odd_extents), 4711, 65536},
	        {full_extents, 1, 1, 1},
	};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		uint64_t size = cases[i / 2].size, at = 0;
		struct reader_file_stats stats;
		int last = 0;
		struct bench b;

		bench_init_whole(&b, size, cases[i / 2].lengths, cases[i / 2].count, 32, 4, i % 2 == 0);
		for (; at < size; at += cases[i / 2].request_bytes) {
			last = read_range(b.file, size, at, cases[i / 2].request_bytes);
			if (last < 0)
				break;
		}
		/* The last bytes come only when the whole is right. Read-ahead may have shown it before. */
		assert_int_equal(last, i % 2 == 0 ? 0 : -EIO);
		if (i % 2)
			assert_int_equal(read_range(b.file, size, 0, 1), -EIO);
		reader_close(b.file, &stats);
		b.file = NULL;
		assert_int_equal(stats.whole, i % 2 == 0);
		assert_int_equal(b.metrics.whole, 1);
		assert_int_equal(b.metrics.whole_wrong, i % 2);
		bench_finish(&b);
	}
}

/* What comes last, wherever it is, waits for the verdict. */
static void test_whole_out_of_order(void **state)
{
	static const uint32_t fine[] = {65536};
	static const unsigned order[] = {3, 0, 2, 1};
	uint64_t size = 3 * 65536 + 777;
	struct bench b;

	for (int right = 0; right < 2; right++) {
		bench_init_whole(&b, size, fine, 1, 32, 2, right);
		b.reader->ahead_blocks_max = 0;
		for (size_t i = 0; i < ARRAY_SIZE(order); i++)
			assert_int_equal(read_range(b.file, size, order[i] * 65536, 65536),
			                 i < 3 || right ? 0 : -EIO);
		assert_int_equal(b.metrics.whole, 1);
		bench_finish(&b);
	}
}

/* Nothing waits for a hash that cannot be had. */
static void test_whole_is_not_waited_for(void **state)
{
	uint64_t size = 20 * MIB;
	struct reader_file_stats stats;
	struct test_request end, other;
	struct bench b;

	/* The end alone; the beginning and the end. */
	bench_init_whole(&b, size, full_extents, 1, 32, 2, true);
	assert_int_equal(read_range(b.file, size, size - 10, 10), 0);
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	bench_finish(&b);
	bench_init_whole(&b, size, full_extents, 1, 32, 2, true);
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	assert_int_equal(read_range(b.file, size, size - 10, 10), 0);
	reader_close(b.file, &stats);
	b.file = NULL;
	assert_false(stats.whole);
	bench_finish(&b);
	/* What comes before is on its way, fails, and leaves the end to itself. */
	bench_init_whole(&b, 2 * MIB, full_extents, 1, 32, 2, true);
	hold(&b.store, true);
	start(&end, b.file, 0, 10);
	wait_for_held(&b.store, 1);
	start(&other, b.file, MIB, 10);
	wait_for_held(&b.store, 2);
	pthread_mutex_lock(&b.store.lock);
	b.store.fail_below = MIB;
	pthread_mutex_unlock(&b.store.lock);
	hold(&b.store, false);
	assert_int_equal(finish(&end), -EIO);
	assert_int_equal(finish(&other), 0);
	bench_finish(&b);
}

/* The last file is closed while a thread hashes: nothing of the artifact stays in memory, where another
 * file's blocks could be taken for it. */
static void test_whole_is_closed_while_it_is_hashed(void **state)
{
	uint64_t size = 12 * MIB;
	struct test_request reqs[12];
	struct bench b;

	for (unsigned round = 0; round < 20; round++) {
		bench_init_whole(&b, size, full_extents, 1, 16, 4, true);
		for (unsigned i = 0; i < 12; i++)
			start(&reqs[i], b.file, i * MIB, 10);
		wait_for_bytes(&b.store, size);
		for (unsigned i = 0; i < 11; i++)
			assert_int_equal(finish(&reqs[i]), 0);
		reader_close(b.file, NULL);
		b.file = NULL;
		assert_int_equal(reqs[11].answers, 1);
		bench_finish(&b);
	}
}

/* The end waits for the beginning, which nobody wants any more before its get began. */
static void expect_end_after_cancel(bool both)
{
	static const uint32_t lengths[] = {65536};
	uint64_t size = 8 * MIB;
	struct test_request stuck[2], rest, end;
	struct reader_file *other;
	struct bench b;

	bench_init_whole(&b, size, lengths, 1, 32, 2, true);
	b.reader->ahead_blocks_max = 0;
	other = open_file(&b, 2);
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	hold(&b.store, true);
	start_of(&end, b.file, size - 10, 10, 7);
	wait_for_held(&b.store, 1);
	stick(&b.store, 4 * MIB);
	start(&stuck[0], other, 4 * MIB, 10);
	wait_for_held(&b.store, 2);
	start(&stuck[1], b.file, 4 * MIB, 10);
	start_of(&rest, b.file, 65536, MIB - 65536, 7);
	hold(&b.store, false);
	/* The end is there and held, both threads are stuck elsewhere. */
	wait_for_bytes(&b.store, 2 * 65536);
	wait_for_held(&b.store, 2);
	if (both)
		reader_cancel_owner(b.file, 7);
	else
		reader_cancel(b.file, rest.base.tag);
	assert_int_equal(finish(&rest), -ECANCELED);
	/* It may have come before it was cancelled. */
	assert_true(finish(&end) == 0 || both);
	stick(&b.store, 0);
	assert_int_equal(finish(&stuck[0]), 0);
	assert_int_equal(finish(&stuck[1]), 0);
	reader_close(other, NULL);
	bench_finish(&b);
	assert_int_equal(end.answers, 1);
	assert_int_equal(rest.answers, 1);
}

static void test_whole_is_given_up_with_what_it_waits_for(void **state)
{
	expect_end_after_cancel(false);
	expect_end_after_cancel(true);
}

/* Waiting for a hash takes no more than half of the buffers when the next block to hash is late. */
static void test_whole_and_a_late_block(void **state)
{
	static const uint32_t lengths[] = {65536};
	uint64_t size = 20 * MIB;
	struct test_request late;
	struct bench b;

	bench_init_whole(&b, size, lengths, 1, 8, 3, true);
	b.reader->ahead_blocks_max = 0;
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	stick(&b.store, 65536);
	start(&late, b.file, 65536, MIB - 65536);
	wait_for_held(&b.store, 1);
	for (uint64_t at = MIB; at < size - MIB; at += MIB)
		assert_int_equal(read_range(b.file, size, at, 10), 0);
	assert_int_equal(late.answers, 0);
	stick(&b.store, 0);
	assert_int_equal(finish(&late), 0);
	bench_finish(&b);
}

/* The one that waits for the verdict is hashed already, the hash is at the block behind, and the last one,
 * whose buffer somebody had taken, comes once more: the first still waits, and is not forgotten. */
static void test_whole_holds_one_block(void **state)
{
	const uint64_t size = 4 * MIB;
	struct answers answers = {0};
	struct artifact *a;
	struct block *first, *last;
	struct span span;
	struct bench b;

	bench_init_whole(&b, size, full_extents, 1, 8, 1, true);
	b.reader->ahead_blocks_max = 0;
	for (uint64_t at = MIB; at < size; at += MIB)
		assert_int_equal(read_range(b.file, size, at, 100), 0);
	a = b.file->artifact;
	pthread_mutex_lock(&b.reader->lock);
	while (a->users > 0) {
		pthread_mutex_unlock(&b.reader->lock);
		sched_yield();
		pthread_mutex_lock(&b.reader->lock);
	}
	span = block_span(&a->extents, NULL, 0);
	first = block_make(b.reader, a, &span, true);
	first->loading = 1;
	assert_false(whole_arrived(b.reader, first, 1));
	assert_ptr_equal(a->whole_held, first);
	a->whole = WHOLE_BUSY;
	a->whole_next = 2 * MIB;
	span = block_span(&a->extents, NULL, 3 * MIB);
	last = block_find(b.reader, a, span.first);
	assert_true(whole_arrived(b.reader, last, 1));
	assert_ptr_equal(a->whole_held, first);
	a->whole = WHOLE_ON;
	whole_end(b.reader, a, &answers);
	assert_int_equal(first->loading, 0);
	block_unpin(b.reader, first);
	pthread_mutex_unlock(&b.reader->lock);
	bench_finish(&b);
}

/* What was asked for before the verdict, and comes after it, is as wrong as the rest; and it counts. */
static void test_whole_is_wrong_for_who_waits(void **state)
{
	uint64_t size = 3 * MIB;
	struct reader_file_stats stats;
	struct test_request end;
	struct bench b;

	bench_init_whole(&b, size, full_extents, 1, 32, 2, false);
	b.reader->ahead_blocks_max = 0;
	hold(&b.store, true);
	start(&end, b.file, size - 10, 10);
	wait_for_held(&b.store, 1);
	pthread_mutex_lock(&b.reader->lock);
	b.file->artifact->whole = WHOLE_WRONG;
	error_set(&b.file->artifact->wrong, ERROR_CORRUPT, EIO, "it is wrong");
	pthread_mutex_unlock(&b.reader->lock);
	hold(&b.store, false);
	assert_int_equal(finish(&end), -EIO);
	assert_string_equal(end.err.message, "it is wrong");
	assert_int_equal(read_range(b.file, size, 0, 10), -EIO);
	reader_close(b.file, &stats);
	b.file = NULL;
	assert_int_equal(stats.failures, 2);
	assert_int_equal(b.metrics.failures, 2);
	bench_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_whole),
	        cmocka_unit_test(test_whole_out_of_order),
	        cmocka_unit_test(test_whole_is_not_waited_for),
	        cmocka_unit_test(test_whole_is_closed_while_it_is_hashed),
	        cmocka_unit_test(test_whole_is_given_up_with_what_it_waits_for),
	        cmocka_unit_test(test_whole_and_a_late_block),
	        cmocka_unit_test(test_whole_holds_one_block),
	        cmocka_unit_test(test_whole_is_wrong_for_who_waits),
	};

	make_content();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Blocks in parts: what a random read fetches, and that each block is given out as it arrives. */
#include "reader_test.h"

static void test_random_fetches_only_its_block(void **state)
{
	static const unsigned at_mib[] = {40, 7, 90, 21, 60, 3, 77};
	uint64_t size = 96 * MIB;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 4);
	for (size_t i = 0; i < ARRAY_SIZE(at_mib); i++)
		assert_int_equal(read_range(b.file, size, at_mib[i] * MIB + 1000, 65536), 0);
	assert_int_equal(b.store.gets, ARRAY_SIZE(at_mib));
	assert_int_equal(b.store.bytes, ARRAY_SIZE(at_mib) * MIB);
	/* And what is in memory is not fetched again. */
	for (size_t i = 0; i < ARRAY_SIZE(at_mib); i++)
		assert_int_equal(read_range(b.file, size, at_mib[i] * MIB + 9000, 65536), 0);
	assert_int_equal(b.store.gets, ARRAY_SIZE(at_mib));
	bench_finish(&b);
}

/* More extents than a block has parts: a part is a run of them. */
static void test_tiny_extents_come_together(void **state)
{
	static const uint32_t small[] = {4096};
	uint64_t size = MIB;
	struct bench b;

	bench_init(&b, size, small, 1, 8, 1);
	assert_int_equal(read_range(b.file, size, 500000, 10), 0);
	assert_int_equal(b.store.gets, 1);
	assert_int_equal(b.store.bytes, 4 * 4096);
	bench_finish(&b);
}

static void test_only_the_parts_that_are_asked_for(void **state)
{
	static const uint32_t fine[] = {65536};
	uint64_t size = 64 * MIB;
	struct test_request first, second, third;
	struct bench b;

	bench_init(&b, size, fine, 1, 16, 3);
	b.reader->ahead_blocks_max = 0;
	assert_int_equal(read_range(b.file, size, 40 * MIB + 65536, 65536), 0);
	assert_int_equal(b.store.bytes, 65536);
	/* Across an edge of blocks: one get. */
	assert_int_equal(read_range(b.file, size, 21 * MIB - 1, 2), 0);
	assert_int_equal(b.store.gets, 2);
	assert_int_equal(b.store.bytes, 3 * 65536);
	/* What is there is not got again, what is beside it alone. */
	assert_int_equal(read_range(b.file, size, 40 * MIB + 65536, 2 * 65536), 0);
	assert_int_equal(b.store.gets, 3);
	assert_int_equal(b.store.bytes, 4 * 65536);
	/* Two gets fill one block at the same time, a third request waits for both. */
	hold(&b.store, true);
	start(&first, b.file, 50 * MIB, 65536);
	wait_for_held(&b.store, 1);
	start(&second, b.file, 50 * MIB + 65536, 65536);
	wait_for_held(&b.store, 2);
	start(&third, b.file, 50 * MIB + 65000, 1000);
	hold(&b.store, false);
	assert_int_equal(finish(&first), 0);
	assert_int_equal(finish(&second), 0);
	assert_int_equal(finish(&third), 0);
	assert_false(first.wrong || second.wrong || third.wrong);
	bench_finish(&b);
}

/* What random reads leave behind does not take the place of all memory. */
static void test_random_reads_use_little_memory(void **state)
{
	static const uint32_t fine[] = {65536};
	uint64_t size = 64 * MIB;
	struct bench b;

	bench_init(&b, size, fine, 1, 48, 3);
	for (uint64_t i = 0; i < 60; i++) {
		assert_int_equal(read_range(b.file, size, i * 37 % 60 * MIB + 65536, 65536), 0);
		assert_in_range(atomic_load(&b.metrics.used_buffers), 1, 12);
	}
	bench_finish(&b);
}

/* With one thread busy, requests gather; a hole of one part between two is got with them. */
static void test_near_requests_are_one_get(void **state)
{
	static const uint32_t fine[] = {65536};
	uint64_t size = 64 * MIB;
	struct test_request busy, first, second, far;
	struct bench b;

	bench_init(&b, size, fine, 1, 16, 1);
	b.reader->ahead_blocks_max = 0;
	hold(&b.store, true);
	start(&busy, b.file, 0, 1);
	wait_for_held(&b.store, 1);
	start(&first, b.file, 30 * MIB, 65536);
	start(&second, b.file, 30 * MIB + 2 * 65536, 65536);
	start(&far, b.file, 30 * MIB + 6 * 65536, 65536);
	hold(&b.store, false);
	assert_int_equal(finish(&busy), 0);
	assert_int_equal(finish(&first), 0);
	assert_int_equal(finish(&second), 0);
	assert_int_equal(finish(&far), 0);
	assert_int_equal(b.store.gets, 3);
	assert_int_equal(b.store.bytes, 5 * 65536);
	assert_int_equal(read_range(b.file, size, 30 * MIB + 65536, 65536), 0);
	assert_int_equal(b.store.gets, 3);
	bench_finish(&b);
}

/* Three requests whose blocks one get brings; it is held when @early bytes of it have arrived. */
struct three {
	struct bench b;
	struct test_request busy, reqs[3];
};

static void three_begin(struct three *t)
{
	bench_init(&t->b, 64 * MIB, full_extents, 1, 16, 1);
	t->b.reader->ahead_blocks_max = 0;
	hold(&t->b.store, true);
	start(&t->busy, t->b.file, 0, 1);
	wait_for_held(&t->b.store, 1);
	for (unsigned i = 0; i < 3; i++)
		start(&t->reqs[i], t->b.file, (10 + i) * MIB, MIB);
}

static void three_arrive(struct three *t, uint64_t early)
{
	pthread_mutex_lock(&t->b.store.lock);
	t->b.store.early = early;
	t->b.store.stuck_at = 10 * MIB;
	pthread_mutex_unlock(&t->b.store.lock);
	hold(&t->b.store, false);
	assert_int_equal(finish(&t->busy), 0);
	wait_for_held(&t->b.store, t->b.store.breaks ? 0 : 1);
}

static unsigned answers_of(struct test_request *req)
{
	unsigned count;

	pthread_mutex_lock(&req->lock);
	count = req->answers;
	pthread_mutex_unlock(&req->lock);
	return count;
}

/* The get goes on; in the end these are the results. */
static void three_end(struct three *t, int first, int second, int third)
{
	const int expected[] = {first, second, third};

	stick(&t->b.store, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(finish(&t->reqs[i]), expected[i]);
		assert_int_equal(t->reqs[i].answers, 1);
		assert_false(t->reqs[i].wrong);
	}
	bench_finish(&t->b);
}

/* Who waits for the first block of a get does not wait for the last. */
static void test_blocks_are_given_out_as_they_arrive(void **state)
{
	struct three t;

	three_begin(&t);
	three_arrive(&t, 2 * MIB + 5);
	assert_int_equal(finish(&t.reqs[0]), 0);
	assert_int_equal(finish(&t.reqs[1]), 0);
	assert_int_equal(read_range(t.b.file, 64 * MIB, 11 * MIB + 7, 100), 0);
	assert_int_equal(answers_of(&t.reqs[2]), 0);
	assert_int_equal(atomic_load(&t.b.metrics.fetched_bytes), 3 * MIB);
	three_end(&t, 0, 0, 0);
	assert_int_equal(t.b.store.gets, 2);
	assert_int_equal(t.b.metrics.fetched_bytes, 4 * MIB);
}

/* The first block's buffer has another user by the time when nobody wants the others any more. */
static void test_the_rest_of_a_get_is_given_up(void **state)
{
	struct test_request other;
	struct three t;

	three_begin(&t);
	three_arrive(&t, MIB);
	assert_int_equal(finish(&t.reqs[0]), 0);
	start(&other, t.b.file, 40 * MIB, MIB);
	reader_cancel(t.b.file, t.reqs[1].base.tag);
	assert_int_equal(t.b.store.cancelled, 0);
	reader_cancel(t.b.file, t.reqs[2].base.tag);
	wait_for_cancelled(&t.b.store, 1);
	assert_int_equal(finish(&other), 0);
	three_end(&t, 0, -ECANCELED, -ECANCELED);
}

/* A wrong byte in the second one: it is got again when the get is over, and what is behind it waits as
 * well. */
static void test_what_arrives_wrong_is_not_given_out(void **state)
{
	for (unsigned times = 1; times <= 2; times++) {
		struct three t;

		three_begin(&t);
		t.b.store.corrupt_at = 11 * MIB + 9;
		t.b.store.corrupt = times;
		three_arrive(&t, 3 * MIB);
		assert_int_equal(finish(&t.reqs[0]), 0);
		assert_int_equal(answers_of(&t.reqs[1]) + answers_of(&t.reqs[2]), 0);
		three_end(&t, 0, times == 1 ? 0 : -EIO, 0);
		assert_int_equal(t.b.store.gets, 3);
		assert_int_equal(t.b.metrics.wrong_extents, times);
	}
}

static void test_a_get_that_breaks_off_has_given_out_what_arrived(void **state)
{
	struct three t;

	three_begin(&t);
	t.b.store.breaks = true;
	three_arrive(&t, MIB + MIB / 2);
	three_end(&t, 0, -EIO, -EIO);
	assert_int_equal(t.b.metrics.fetched_bytes, 2 * MIB);
}

static void test_what_arrives_of_another_object_is_not_given_out(void **state)
{
	struct three t;

	three_begin(&t);
	t.b.store.early_etag = "second";
	three_arrive(&t, 3 * MIB);
	assert_int_equal(answers_of(&t.reqs[0]) + answers_of(&t.reqs[1]) + answers_of(&t.reqs[2]), 0);
	pthread_mutex_lock(&t.b.store.lock);
	t.b.store.etag = "second";
	pthread_mutex_unlock(&t.b.store.lock);
	three_end(&t, -ESTALE, -ESTALE, -ESTALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_random_fetches_only_its_block),
	        cmocka_unit_test(test_tiny_extents_come_together),
	        cmocka_unit_test(test_only_the_parts_that_are_asked_for),
	        cmocka_unit_test(test_random_reads_use_little_memory),
	        cmocka_unit_test(test_near_requests_are_one_get),
	        cmocka_unit_test(test_blocks_are_given_out_as_they_arrive),
	        cmocka_unit_test(test_the_rest_of_a_get_is_given_up),
	        cmocka_unit_test(test_what_arrives_wrong_is_not_given_out),
	        cmocka_unit_test(test_a_get_that_breaks_off_has_given_out_what_arrived),
	        cmocka_unit_test(test_what_arrives_of_another_object_is_not_given_out),
	};

	make_content();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* What is wrong in the store, fails, or is replaced while it is read. */
#include "reader_test.h"

static void test_part_of_a_block_fails(void **state)
{
	static const uint32_t fine[] = {65536};
	uint64_t size = 8 * MIB;
	struct test_request good, bad;
	struct bench b;

	bench_init(&b, size, fine, 1, 8, 1);
	b.reader->ahead_blocks_max = 0;
	assert_int_equal(read_range(b.file, size, 3 * MIB, 65536), 0);
	b.store.corrupt_at = 3 * MIB + 70000;
	b.store.corrupt = 4;
	start(&bad, b.file, 3 * MIB, 131072);
	assert_int_equal(finish(&bad), -EIO);
	start(&good, b.file, 3 * MIB, 65536);
	assert_int_equal(finish(&good), 0);
	assert_int_equal(b.store.gets, 3);
	assert_int_equal(b.metrics.wrong_extents, 2);
	assert_int_equal(b.metrics.failures, 1);
	bench_finish(&b);
}

/* What was read ahead in one piece is right where it is right: only who needs the wrong extent has an error. */
static void test_part_of_what_was_read_ahead_is_wrong(void **state)
{
	static const uint32_t fine[] = {65536};
	uint64_t size = 8 * MIB;
	struct test_request second, before, wrong, behind;
	struct bench b;

	bench_init(&b, size, fine, 1, 8, 2);
	assert_int_equal(read_range(b.file, size, 0, 65536), 0);
	b.store.corrupt_at = 6 * 65536 + 7;
	b.store.corrupt = 2; /* also when it is got once more */
	hold(&b.store, true);
	start(&second, b.file, 65536, 65536);
	wait_for_held(&b.store, 2);
	start(&before, b.file, 5 * 65536, 65536);
	start(&wrong, b.file, 6 * 65536 + 100, 10);
	start(&behind, b.file, 7 * 65536, 65536);
	hold(&b.store, false);
	assert_int_equal(finish(&second), 0);
	assert_int_equal(finish(&before), 0);
	assert_int_equal(finish(&behind), 0);
	assert_false(before.wrong || behind.wrong);
	assert_int_equal(finish(&wrong), -EIO);
	assert_non_null(strstr(wrong.err.message, "offset 393216"));
	bench_finish(&b);
}

static void test_corruption(void **state)
{
	uint64_t size = 8 * MIB;
	struct test_request req;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	b.store.corrupt_at = 6 * MIB + 5;
	b.store.corrupt = 1;
	assert_int_equal(read_range(b.file, size, 6 * MIB + 1000, 10), 0);
	assert_int_equal(b.store.gets, 2);

	b.store.corrupt_at = 3 * MIB;
	b.store.corrupt = 2;
	start(&req, b.file, 3 * MIB + 500, 10);
	assert_int_equal(finish(&req), -EIO);
	assert_int_equal(req.err.class, ERROR_CORRUPT);
	assert_int_equal(req.err.errnum, EIO);
	assert_non_null(strstr(req.err.message, "backups/full/20261120T020000Z.dump"));
	assert_non_null(strstr(req.err.message, "offset 3145728"));
	assert_non_null(strstr(req.err.message, "CRC-32C"));
	assert_int_equal(b.store.gets, 4);
	/* What failed is not kept: sound bytes are found by the next request. */
	assert_int_equal(read_range(b.file, size, 3 * MIB + 500, 10), 0);
	assert_int_equal(b.store.gets, 5);
	bench_finish(&b);
}

static void test_store_failure(void **state)
{
	uint64_t size = 8 * MIB;
	struct test_request req;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	b.store.fail = 1;
	start(&req, b.file, 4 * MIB, 10);
	assert_int_equal(finish(&req), -EIO);
	assert_int_equal(req.err.class, ERROR_UNAVAILABLE);
	assert_string_equal(req.err.message,
	                    "bytes 4194304 to 5242879 of backups/full/20261120T020000Z.dump: the "
	                    "store is on fire");
	assert_int_equal(read_range(b.file, size, 4 * MIB, 10), 0);
	bench_finish(&b);
}

/* Who copies a file asks again and again: the store's deadline is waited for once, not for each block. */
static void test_a_dead_store_is_not_waited_for_again(void **state)
{
	uint64_t size = 8 * MIB;
	struct test_request req;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	b.store.dead = true;
	start(&req, b.file, 0, 10);
	assert_int_equal(finish(&req), -EIO);
	assert_int_equal(b.store.gets, 1);
	for (uint64_t i = 0; i < 4; i++) {
		start(&req, b.file, 2 * i * MIB, 10);
		assert_int_equal(finish(&req), -EIO);
		assert_non_null(strstr(req.err.message, "the store is on fire"));
	}
	assert_int_equal(b.store.gets, 1);
	bench_finish(&b);
}

static void test_one_block_of_a_merged_get_fails(void **state)
{
	uint64_t size = 8 * MIB;
	struct test_request first, good, bad;
	struct reader_file *other;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	other = open_file(&b, 1);
	b.store.end = 6 * MIB + 100;
	hold(&b.store, true);
	start(&first, b.file, 0, 10);
	wait_for_held(&b.store, 1);
	/* While the one thread is busy these two are queued, and merged. */
	start(&good, b.file, 5 * MIB, 10);
	start(&bad, other, 6 * MIB, 10);
	hold(&b.store, false);
	assert_int_equal(finish(&first), 0);
	assert_int_equal(finish(&good), 0);
	assert_int_equal(finish(&bad), -EIO);
	assert_non_null(strstr(bad.err.message, "bytes 6291456 to 7340031"));
	assert_int_equal(bad.err.class, ERROR_CORRUPT);
	assert_int_equal(b.store.gets, 4);
	reader_close(other, NULL);
	bench_finish(&b);
}

/* While what is read ahead may be asking. */
static void replace_object(struct held_store *s, const char *etag)
{
	pthread_mutex_lock(&s->lock);
	s->etag = etag;
	pthread_mutex_unlock(&s->lock);
}

/* The store has copied it onto itself, into another storage class. */
static void test_moved_while_open(void **state)
{
	uint64_t size = 8 * MIB;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	replace_object(&b.store, "second");
	assert_int_equal(read_range(b.file, size, 4 * MIB, 10), 0);
	assert_int_equal(read_range(b.file, size, 6 * MIB, 10), 0);
	replace_object(&b.store, "third");
	assert_int_equal(read_range(b.file, size, 2 * MIB, 10), 0);
	assert_int_equal(b.metrics.wrong_extents, 0);
	bench_finish(&b);
}

static void test_replaced_while_open(void **state)
{
	uint64_t size = 8 * MIB;
	struct reader_file *anew;
	struct test_request req;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	pthread_mutex_lock(&b.store.lock);
	b.store.etag = "second";
	b.store.corrupt = 10;
	b.store.corrupt_at = 4 * MIB + 5;
	pthread_mutex_unlock(&b.store.lock);
	start(&req, b.file, 4 * MIB, 10);
	assert_int_equal(finish(&req), -ESTALE);
	assert_non_null(strstr(req.err.message, "was replaced"));
	assert_int_equal(req.err.class, ERROR_CONFLICT);
	/* What was read before is the first object's, and right. */
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	/* Who opens it now reads the second object, checked like any. */
	b.store.corrupt = 0;
	anew = open_file(&b, 1);
	assert_int_equal(read_range(anew, size, 4 * MIB, 10), 0);
	b.store.corrupt = 10;
	start(&req, b.file, 4 * MIB, 10);
	assert_int_equal(finish(&req), -ESTALE);
	reader_close(anew, NULL);
	bench_finish(&b);
}

/* Two gets begin before any etag is known: the later to return must be of the same object. */
static void test_replaced_between_the_first_gets(void **state)
{
	uint64_t size = 8 * MIB;
	struct test_request one, two;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 2);
	hold(&b.store, true);
	start(&one, b.file, 0, 10);
	start(&two, b.file, 4 * MIB, 10);
	wait_for_held(&b.store, 2);
	pthread_mutex_lock(&b.store.lock);
	b.store.alternate = true;
	pthread_mutex_unlock(&b.store.lock);
	hold(&b.store, false);
	finish(&one);
	finish(&two);
	assert_int_equal(one.result + two.result, -ESTALE);
	bench_finish(&b);
}

static void test_no_etag(void **state)
{
	uint64_t size = 8 * MIB;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	b.store.etag = "";
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	assert_int_equal(read_range(b.file, size, 4 * MIB, 10), 0);
	bench_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_part_of_a_block_fails),
	        cmocka_unit_test(test_part_of_what_was_read_ahead_is_wrong),
	        cmocka_unit_test(test_corruption),
	        cmocka_unit_test(test_store_failure),
	        cmocka_unit_test(test_a_dead_store_is_not_waited_for_again),
	        cmocka_unit_test(test_one_block_of_a_merged_get_fails),
	        cmocka_unit_test(test_replaced_while_open),
	        cmocka_unit_test(test_replaced_between_the_first_gets),
	        cmocka_unit_test(test_moved_while_open),
	        cmocka_unit_test(test_no_etag),
	};

	make_content();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Requests that nobody wants any more: one, an owner's, a file's, all. */
#include "reader_test.h"

static void test_close_with_requests_pending(void **state)
{
	uint64_t size = 64 * MIB;
	struct test_request reqs[30];
	struct reader_file *other;
	struct test_request stays;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 2);
	other = open_file(&b, 2);
	hold(&b.store, true);
	for (unsigned i = 0; i < 30; i++)
		start(&reqs[i], b.file, i * 2 * MIB, 10);
	wait_for_held(&b.store, 2);
	start(&stays, other, 10, 10);
	reader_close(b.file, NULL);
	b.file = NULL;
	for (unsigned i = 0; i < 30; i++) {
		assert_int_equal(reqs[i].answers, 1);
		assert_int_equal(reqs[i].result, -ECANCELED);
	}
	/* Its gets are cancelled, so the other file's can begin while the store still hangs. */
	wait_for_cancelled(&b.store, 2);
	wait_for_held(&b.store, 1);
	hold(&b.store, false);
	assert_int_equal(finish(&stays), 0);
	reader_close(other, NULL);
	bench_finish(&b);
}

static void test_cancel_all(void **state)
{
	uint64_t size = 32 * MIB;
	struct test_request reqs[12], late;
	struct extents x;
	const struct reader_what what = {.ino = 5, .key = "k", .extents = &x};
	struct reader_file *f;
	struct error err = {0};
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 2);
	hold(&b.store, true);
	/* Apart, so that no get brings several. */
	for (unsigned i = 0; i < 12; i++)
		start(&reqs[i], b.file, 2 * i * MIB, 10);
	wait_for_held(&b.store, 2);
	reader_cancel_all(b.reader);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(reqs[i].answers, 1);
		assert_int_equal(reqs[i].result, -EIO);
	}
	start(&late, b.file, 0, 10);
	assert_int_equal(finish(&late), -EIO);
	assert_string_equal(late.err.message, "keepfs is shutting down");
	x = copy_extents(&b.extents);
	assert_int_equal(reader_open(b.reader, &what, &f, &err), -ESHUTDOWN);
	assert_null(x.items);
	bench_finish(&b);
	assert_int_equal(b.store.held, 0);
}

static void test_free_cancels_gets(void **state)
{
	uint64_t size = 16 * MIB;
	struct test_request req;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 3);
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	hold(&b.store, true);
	start(&req, b.file, 10, 10);
	assert_int_equal(finish(&req), 0);
	/* Read-ahead hangs in the store; nobody waits for it. */
	wait_for_held(&b.store, 1);
	bench_finish(&b);
	assert_int_equal(b.store.held, 0);
	assert_int_equal(b.store.cancelled, 1);
}

static void test_cancel_one(void **state)
{
	uint64_t size = 16 * MIB;
	struct test_request gone, stays;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 2);
	hold(&b.store, true);
	start(&gone, b.file, 0, 10);
	start(&stays, b.file, 8 * MIB, 10);
	wait_for_held(&b.store, 2);
	reader_cancel(b.file, gone.base.tag + 1000);
	reader_cancel(b.file, gone.base.tag);
	assert_int_equal(gone.answers, 1);
	assert_int_equal(gone.result, -ECANCELED);
	/* Its get ends at once; the other's goes on. */
	wait_for_cancelled(&b.store, 1);
	reader_cancel(b.file, gone.base.tag);
	hold(&b.store, false);
	assert_int_equal(finish(&stays), 0);
	assert_int_equal(b.metrics.cancelled, 1);
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	bench_finish(&b);
}

static void test_cancel_an_owner(void **state)
{
	uint64_t size = 16 * MIB;
	struct test_request gone[3], stays;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 4);
	b.reader->ahead_blocks_max = 0;
	hold(&b.store, true);
	for (unsigned i = 0; i < 3; i++)
		start_of(&gone[i], b.file, i * 2 * MIB, 10, 7);
	start_of(&stays, b.file, 2 * MIB + 100, 10, 8);
	wait_for_held(&b.store, 3);
	reader_cancel_owner(b.file, 9);
	reader_cancel_owner(b.file, 7);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(gone[i].result, -ECANCELED);
	/* But for the get that another waits for, too. */
	wait_for_cancelled(&b.store, 2);
	wait_for_held(&b.store, 1);
	hold(&b.store, false);
	assert_int_equal(finish(&stays), 0);
	bench_finish(&b);
}

/* Whoever asks while a get is being given up for another gets the bytes all the same. */
static void test_cancel_one_of_two(void **state)
{
	uint64_t size = 16 * MIB;
	struct test_request gone, stays;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	b.reader->ahead_blocks_max = 0;
	for (int i = 0; i < 100; i++) {
		hold(&b.store, true);
		start(&gone, b.file, (uint64_t)(i % 16) * MIB, 10);
		reader_cancel(b.file, gone.base.tag);
		start(&stays, b.file, (uint64_t)(i % 16) * MIB + 20, 10);
		hold(&b.store, false);
		assert_int_equal(finish(&stays), 0);
		assert_int_equal(finish(&gone), -ECANCELED);
	}
	bench_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_close_with_requests_pending),
	        cmocka_unit_test(test_cancel_all),
	        cmocka_unit_test(test_free_cancels_gets),
	        cmocka_unit_test(test_cancel_one),
	        cmocka_unit_test(test_cancel_an_owner),
	        cmocka_unit_test(test_cancel_one_of_two),
	};

	make_content();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Reading ahead: what counts as in order, how far it goes, and by how many gets. */
#include "reader_test.h"

/* How many blocks a get brings must not depend on which thread is given the processor first: the reader of the test goes
 * on when all that it has asked for ahead has come, as behind a store that is fast enough. */
static void wait_for_read_ahead(struct bench *b)
{
	wait_for_bytes(&b->store, b->file->ahead);
}

static void test_sequential_reads_ahead(void **state)
{
	uint64_t size = 96 * MIB;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 4);
	for (uint64_t at = 0; at < size; at += 128 << 10) {
		assert_int_equal(read_range(b.file, size, at, 128 << 10), 0);
		wait_for_read_ahead(&b);
	}
	/* Each byte came once, in far fewer gets than blocks: while the window grows in a few small ones, then in gets of at
	 * least four blocks, whatever number of gets at once the reader's clock made it choose. */
	assert_int_equal(b.store.bytes, size);
	assert_in_range(b.store.gets, 96 / FETCH_BLOCKS, 96 / 4 + 5);
	bench_finish(&b);
}

/* What one reads ahead, another does not take from it before it was read. */
static void test_many_sequential_readers_share_memory(void **state)
{
	enum { READERS = 16 };
	uint64_t size = 24 * MIB;
	struct reader_file *files[READERS];
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 8);
	for (unsigned i = 0; i < READERS; i++)
		files[i] = open_file(&b, 100 + i);
	for (uint64_t at = 0; at < size; at += 128 << 10)
		for (unsigned i = 0; i < READERS; i++)
			assert_int_equal(read_range(files[i], size, at, 128 << 10), 0);
	for (unsigned i = 0; i < READERS; i++)
		reader_close(files[i], NULL);
	assert_in_range(b.store.bytes, READERS * size, READERS * size * 21 / 20);
	bench_finish(&b);
}

/* Files that are open, but not read any more, have no share. */
static void test_idle_readers_have_no_share(void **state)
{
	enum { IDLE = 10 };
	uint64_t size = 200 * MIB;
	struct reader_file *idle[IDLE];
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 8);
	for (unsigned i = 0; i < IDLE; i++) {
		idle[i] = open_file(&b, 100 + i);
		for (unsigned n = 0; n < 3; n++)
			assert_int_equal(read_range(idle[i], size, n * MIB, MIB), 0);
	}
	assert_int_equal(b.reader->sequential_files, IDLE);
	for (uint64_t at = 0; at < size; at += MIB)
		assert_int_equal(read_range(b.file, size, at, MIB), 0);
	assert_int_equal(b.reader->sequential_files, 1);
	assert_int_equal(b.file->window, 16);
	/* One that goes on has one again. */
	for (unsigned n = 3; n < 6; n++)
		assert_int_equal(read_range(idle[0], size, n * MIB, MIB), 0);
	assert_int_equal(b.reader->sequential_files, 2);
	for (unsigned i = 0; i < IDLE; i++)
		reader_close(idle[i], NULL);
	assert_int_equal(b.reader->sequential_files, 1);
	bench_finish(&b);
}

static void test_window_doubles_from_one_block(void **state)
{
	static const struct {
		uint64_t offset;
		uint64_t fetched_mib;
	} steps[] = {
	        {0, 1},        /* the first request brings its block alone */
	        {4096, 2},     /* the second in order: one block ahead */
	        {MIB, 4},      /* another block is entered: two */
	        {2 * MIB, 7},  /* four */
	        {3 * MIB, 12}, /* eight */
	        {60 * MIB, 13} /* a jump ends it */
	};
	uint64_t size = 64 * MIB;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 8);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_int_equal(read_range(b.file, size, steps[i].offset, 4096), 0);
		assert_int_equal(wait_for_bytes(&b.store, steps[i].fetched_mib * MIB),
		                 steps[i].fetched_mib * MIB);
	}
	bench_finish(&b);
	assert_int_equal(b.store.bytes, 13 * MIB);
}

static void read_part(struct bench *b, uint64_t size, uint64_t offset, size_t len)
{
	struct extents x = copy_extents(&b->extents);
	const struct reader_what what = {.ino = 1,
	                                 .key = "backups/full/20261120T020000Z.dump",
	                                 .extents = &x,
	                                 .sha256 = "",
	                                 .is_part = true};
	struct reader_file *f;
	struct error err = {0};

	assert_int_equal(reader_open(b->reader, &what, &f, &err), 0);
	assert_int_equal(read_range(f, size, offset, len), 0);
	wait_for_bytes(&b->store, f->ahead);
	reader_close(f, NULL);
}

/* Small files in a pack, each opened for itself: what is read ahead goes on from one to the next. */
static void test_parts_that_follow_each_other(void **state)
{
	uint64_t size = 48 * MIB, part = 12 << 10;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 8);
	for (uint64_t at = 0; at < size; at += part)
		read_part(&b, size, at, 10 << 10);
	assert_int_equal(b.store.bytes, size);
	assert_in_range(b.store.gets, 1, 48 / 4 + 5);
	bench_finish(&b);
}

static void test_parts_here_and_there(void **state)
{
	uint64_t size = 60 * MIB;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 8);
	/* The first two are neighbours, so a window begins; those behind are not, and it ends. */
	read_part(&b, size, 0, 4096);
	read_part(&b, size, 4096, 4096);
	for (uint64_t at = 55 * MIB; at > 5 * MIB; at -= 5 * MIB)
		read_part(&b, size, at, 4096);
	assert_in_range(b.store.bytes, 1, (2 + 10) * MIB);
	assert_int_equal(b.reader->sequential_files, 0);
	bench_finish(&b);
}

static void test_out_of_order_is_sequential(void **state)
{
	static const unsigned order[] = {1, 0, 3, 2, 6, 4, 5, 7};
	uint64_t size = 48 * MIB;
	struct test_request reqs[8];
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 4);
	for (uint64_t at = 0; at < size; at += 8 * (128 << 10)) {
		for (unsigned i = 0; i < 8; i++)
			start(&reqs[i], b.file, at + order[i] * (128 << 10), 128 << 10);
		for (unsigned i = 0; i < 8; i++) {
			assert_int_equal(finish(&reqs[i]), 0);
			assert_false(reqs[i].wrong);
		}
		wait_for_read_ahead(&b);
	}
	assert_int_equal(b.store.bytes, size);
	assert_in_range(b.store.gets, 48 / FETCH_BLOCKS, 48 / 2);
	bench_finish(&b);
}

/* @count gets end, each of which was so fast when so many ran at once. */
static void gets_end(struct reader *r, unsigned count, const unsigned mib_per_s[static 9])
{
	for (unsigned i = 0; i < count; i++) {
		r->ahead_gets = r->gets.at_once;
		gets_measure(r, 4 * MIB, 4000000 / mib_per_s[r->gets.at_once]);
	}
}

static void test_how_many_gets_at_once(void **state)
{
	static const unsigned connections[9] = {[2] = 80, [4] = 80, [8] = 70}; /* each has a limit */
	static const unsigned line[9] = {[2] = 200, [4] = 100, [8] = 50};      /* all have one together */
	static const unsigned both[9] = {[2] = 150, [4] = 120, [8] = 61};
	static const unsigned fast[9] = {[2] = 600, [4] = 600, [8] = 600};
	struct reader r = {.threads = 16, .ahead_blocks_max = 32};

	gets_init(&r);
	assert_int_equal(gets_blocks(&r), 16);
	gets_end(&r, 7, connections);
	assert_int_equal(r.gets.at_once, 2);
	gets_end(&r, 1, connections);
	assert_int_equal(r.gets.at_once, 4);
	assert_int_equal(gets_blocks(&r), 8);
	gets_end(&r, 12, connections);
	assert_int_equal(r.gets.at_once, 8);
	assert_int_equal(gets_blocks(&r), 4);
	gets_end(&r, 1000, connections);
	assert_int_equal(r.gets.at_once, 8);

	gets_init(&r);
	r.gets = (struct gets_tuning){.at_once = 2};
	gets_end(&r, 8, line);
	assert_int_equal(r.gets.at_once, 4);
	gets_end(&r, 12, line);
	assert_int_equal(r.gets.at_once, 2);
	/* Not again at once. */
	gets_end(&r, 60, line);
	assert_int_equal(r.gets.at_once, 2);
	gets_end(&r, 12, line);
	assert_int_equal(r.gets.at_once, 4);

	r.gets = (struct gets_tuning){.at_once = 2};
	gets_end(&r, 8 + 12 + 16, both);
	assert_int_equal(r.gets.at_once, 4);

	/* No more than there are threads. */
	r.threads = 8;
	r.gets = (struct gets_tuning){.at_once = 2};
	gets_end(&r, 1000, connections);
	assert_int_equal(r.gets.at_once, 4);

	r.gets = (struct gets_tuning){.at_once = 2};
	gets_end(&r, 1000, fast);
	assert_int_equal(r.gets.at_once, 2);
	gets_measure(&r, MIB, 1000000);
	gets_measure(&r, 8 * MIB, 0);
	assert_int_equal(r.gets.at_once, 2);
}

static void test_gets_of_several_files(void **state)
{
	static const struct {
		unsigned files, threads, gets;
	} cases[] = {{1, 16, 2}, {2, 16, 3}, {5, 16, 6}, {100, 16, 15}, {1, 2, 1}, {1, 1, 1}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct reader r = {.threads = cases[i].threads, .sequential_files = cases[i].files};
		unsigned gets = 0;

		gets_init(&r);
		while (gets_may_begin(&r))
			r.ahead_gets = ++gets;
		assert_int_equal(gets, cases[i].gets);
	}
}

static void test_no_read_ahead(void **state)
{
	uint64_t size = 8 * MIB;
	struct reader_metrics metrics = {0};
	struct bench b;
	struct reader_options options = {.buffers = 8, .threads = 2, .metrics = &metrics};
	struct error err = {0};

	bench_init(&b, size, full_extents, 1, 8, 2);
	reader_close(b.file, NULL);
	reader_free(b.reader);
	options.store = &b.store.base;
	options.pool = b.pool;
	assert_int_equal(reader_new(&options, &b.reader, &err), 0);
	b.file = open_file(&b, 1);
	for (uint64_t at = 0; at < 4 * MIB; at += 65536)
		assert_int_equal(read_range(b.file, size, at, 65536), 0);
	assert_int_equal(b.store.bytes, 4 * MIB);
	assert_int_equal(metrics.ahead_bytes, 0);
	bench_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_sequential_reads_ahead),
	        cmocka_unit_test(test_parts_that_follow_each_other),
	        cmocka_unit_test(test_parts_here_and_there),
	        cmocka_unit_test(test_many_sequential_readers_share_memory),
	        cmocka_unit_test(test_idle_readers_have_no_share),
	        cmocka_unit_test(test_window_doubles_from_one_block),
	        cmocka_unit_test(test_out_of_order_is_sequential),
	        cmocka_unit_test(test_how_many_gets_at_once),
	        cmocka_unit_test(test_gets_of_several_files),
	        cmocka_unit_test(test_no_read_ahead),
	};

	make_content();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

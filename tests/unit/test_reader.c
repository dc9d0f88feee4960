// SPDX-License-Identifier: Apache-2.0
/* The reader: which bytes a block is, the edges of files, what readers share, and its options. */
#include "reader_test.h"

static void test_block_span(void **state)
{
	static const uint32_t tiny[] = {1, 2, 3};
	static const uint32_t nearly[] = {(1 << 20) - 1, 1 << 20, (1 << 20) - 1, 2};
	static const struct {
		const uint32_t *lengths;
		size_t count;
		uint64_t size;
	} tables[] = {
	        {full_extents, 1, 5 * MIB},
	        {full_extents, 1, 5 * MIB + 1},
	        {odd_extents, ARRAY_SIZE(odd_extents), 20 * MIB + 12345},
	        {tiny, 3, 100000},
	        {nearly, 4, 9 * MIB},
	};

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		struct extents x = {0};
		uint64_t at = 0;
		size_t extent = 0;

		for (size_t i = 0; x.total_bytes < tables[t].size; i++) {
			uint64_t left = tables[t].size - x.total_bytes;
			uint32_t len = tables[t].lengths[i % tables[t].count];

			extents_append(&x, len < left ? len : (uint32_t)left, 0);
		}
		/* The blocks are consecutive, no longer than a buffer, the same from each of their bytes. */
		while (at < x.total_bytes) {
			struct span span = block_span(&x, NULL, at), again;
			unsigned touched = 0;

			assert_int_equal(span.offset, at);
			assert_int_equal(span.first, extent);
			assert_in_range(span.bytes, 1, MIB);
			again = block_span(&x, NULL, at + span.bytes - 1);
			assert_int_equal(again.first, span.first);
			assert_int_equal(again.count, span.count);
			/* The longest request from the last byte of this one. */
			for (uint64_t p = at + span.bytes - 1;
			     p < x.total_bytes && p < at + span.bytes - 1 + READER_REQUEST_BYTES; touched++) {
				struct span s = block_span(&x, NULL, p);

				p = s.offset + s.bytes;
			}
			assert_in_range(touched, 1, REQUEST_BLOCKS_MAX);
			at += span.bytes;
			extent += span.count;
		}
		assert_int_equal(extent, x.count);
		extents_finish(&x);
	}
}

static void test_edges(void **state)
{
	uint64_t size = 3 * MIB + 777;
	struct bench b;

	bench_init(&b, size, odd_extents, ARRAY_SIZE(odd_extents), 8, 2);
	assert_int_equal(read_range(b.file, size, 0, 1), 0);
	assert_int_equal(read_range(b.file, size, size - 1, 1), 0);
	assert_int_equal(read_range(b.file, size, size - 1, 4096), 0);
	assert_int_equal(read_range(b.file, size, size, 4096), 0);
	assert_int_equal(read_range(b.file, size, size + 1, 4096), 0);
	assert_int_equal(read_range(b.file, size, UINT64_MAX, 4096), 0);
	assert_int_equal(read_range(b.file, size, UINT64_MAX - 100, MIB), 0);
	assert_int_equal(read_range(b.file, size, 0, 0), 0);
	assert_int_equal(read_range(b.file, size, 1048575, MIB), 0);
	assert_int_equal(read_range(b.file, size, 0, MIB + 1), -EINVAL);
	bench_finish(&b);

	bench_init(&b, 0, full_extents, 1, 8, 1);
	assert_int_equal(read_range(b.file, 0, 0, 4096), 0);
	assert_int_equal(b.store.gets, 0);
	bench_finish(&b);
}

static void test_readers_share_blocks(void **state)
{
	uint64_t size = 10 * MIB;
	struct reader_file *second;
	struct extents other;
	struct reader_what what = {.ino = 1, .key = "backups/full/20261120T020000Z.dump"};
	struct error err = {0};
	struct bench b;

	bench_init(&b, size, full_extents, 1, 16, 1);
	second = open_file(&b, 1);
	assert_int_equal(read_range(b.file, size, 5 * MIB + 200, 100), 0);
	assert_int_equal(read_range(second, size, 5 * MIB + 100, 100), 0);
	assert_int_equal(b.store.gets, 1);
	reader_close(second, NULL);
	assert_int_equal(read_range(b.file, size, 5 * MIB, 100), 0);
	assert_int_equal(b.store.gets, 1);
	/* The same inode with another table is another artifact: its bytes are never mixed in. */
	other = make_extents(size - 1, full_extents, 1);
	what.extents = &other;
	assert_int_equal(reader_open(b.reader, &what, &second, &err), 0);
	assert_int_equal(read_range(second, size - 1, 5 * MIB, 100), 0);
	assert_int_equal(b.store.gets, 2);
	reader_close(second, NULL);
	/* With the last one closed nothing is kept. */
	reader_close(b.file, NULL);
	b.file = open_file(&b, 1);
	assert_int_equal(read_range(b.file, size, 5 * MIB, 100), 0);
	assert_int_equal(b.store.gets, 3);
	bench_finish(&b);
}

static void test_options(void **state)
{
	struct held_store store;
	struct pool *pool = pool_new(10 * MIB);
	struct reader_metrics metrics = {0};
	struct reader_options options = {
	        .store = &store.base, .pool = pool, .buffers = 7, .threads = 1, .metrics = &metrics};
	struct reader *r = NULL;
	struct error err = {0};

	held_store_init(&store, 1);
	assert_int_equal(reader_new(&options, &r, &err), -EINVAL);
	options.buffers = 8;
	options.threads = 0;
	assert_int_equal(reader_new(&options, &r, &err), -EINVAL);
	options.threads = 1;
	options.buffers = 11;
	assert_int_equal(reader_new(&options, &r, &err), -ENOSPC);
	assert_non_null(strstr(err.message, "memory"));
	assert_null(r);
	assert_null(reader_free(NULL));
	pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_block_span),
	        cmocka_unit_test(test_edges),
	        cmocka_unit_test(test_readers_share_blocks),
	        cmocka_unit_test(test_options),
	};

	make_content();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* What is looked at in a dump is what is in it: of every format and compression, with and without what helps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "inside_test.h"

#define READS 30

static void check_tables(struct bench *b, struct inside_dump *d, bool measured)
{
	assert_int_equal(inside_tables(d), TABLES);
	assert_string_equal(inside_encoding(d), "LATIN1");
	for (uint32_t i = 0; i < TABLES; i++) {
		_cleanup(inside_table) struct inside_table t = {0};
		struct rows rows = {0};
		uint32_t number = 0;

		count_bench_rows(&b->tables[i].rows, &rows);
		assert_int_equal(inside_table(d, i + 1, &t, NULL), 0);
		assert_string_equal(t.schema, b->tables[i].schema);
		assert_string_equal(t.table, b->tables[i].table);
		assert_string_equal(t.columns, b->tables[i].columns);
		assert_int_equal(inside_find_table(d, t.schema, t.table, &number), 0);
		assert_int_equal(number, i + 1);
		if (!measured)
			continue;
		assert_int_equal(t.rows, rows.count);
		assert_int_equal(t.bytes, rows.bytes);
		assert_true(t.has_hash);
		assert_true(t.hash == rows.hash);
	}
}

static ssize_t read_piece(struct inside_dump *d, uint32_t number, uint32_t oid, char *buf, size_t len,
                          uint64_t offset, struct error *err)
{
	return number ? inside_pread(d, number, NULL, buf, len, offset, err)
	              : inside_blob_pread(d, oid, NULL, buf, len, offset, err);
}

static void check_piece(struct inside_dump *d, uint32_t number, uint32_t oid, const struct str *all,
                        uint64_t offset, size_t len)
{
	_cleanup(free) char *buf = mem_alloc(len + 1);
	size_t expected = offset < all->len ? all->len - (size_t)offset : 0;
	struct error err = {0};
	ssize_t n = read_piece(d, number, oid, buf, len, offset, &err);

	if (n < 0)
		fail_msg("table %u, large object %u, %zu bytes from %llu: %s", number, oid, len,
		         (unsigned long long)offset, err.message);
	if (expected > len)
		expected = len;
	assert_int_equal(n, expected);
	assert_true(memcmp(buf, str_text(all) + (expected > 0 ? offset : 0), expected) == 0);
}

static void check_ranges(struct inside_dump *d, uint32_t number, uint32_t oid, const struct str *all)
{
	uint64_t x = 88172645463325252ULL + number + oid;

	check_piece(d, number, oid, all, all->len, 10);
	check_piece(d, number, oid, all, all->len + 1000000, 10);
	check_piece(d, number, oid, all, all->len > 5 ? all->len - 5 : 0, 10);
	for (int i = 0; i < READS; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		check_piece(d, number, oid, all, x % (all->len + 1), (size_t)(x >> 32) % 70000 + 1);
	}
	for (uint64_t at = 0; at < all->len; at += 131072)
		check_piece(d, number, oid, all, at, 131072);
	/* As the kernel's requests come: not quite in order. */
	for (uint64_t at = 0; at + 262144 < all->len; at += 262144) {
		check_piece(d, number, oid, all, at + 131072, 131072);
		check_piece(d, number, oid, all, at, 131072);
	}
}

static void check_blobs(struct bench *b, struct inside_dump *d)
{
	uint32_t count = 0;

	assert_int_equal(inside_blobs(d, NULL, &count, NULL), 0);
	assert_int_equal(count, b->shape.format == BENCH_TEXT ? 0 : BLOBS);
	for (uint32_t i = 0; i < count; i++) {
		struct inside_blob blob = {0};

		assert_int_equal(inside_blob(d, i, NULL, &blob, NULL), 0);
		assert_int_equal(blob.oid, b->oids[i]);
		assert_int_equal(inside_find_blob(d, b->oids[i], NULL, &blob, NULL), 0);
		assert_int_equal(blob.bytes, b->blobs[i].len);
		check_ranges(d, 0, b->oids[i], &b->blobs[i]);
	}
	assert_int_equal(inside_find_blob(d, 4711, NULL, &(struct inside_blob){0}, NULL), -ENOENT);
}

static void check_bench(const struct bench_shape *shape)
{
	_cleanup(bench) struct bench b;
	struct inside_dump *d;

	open_bench(&b, shape);
	d = open_dump_of(&b);
	check_tables(&b, d, false);
	for (uint32_t i = 0; i < TABLES; i++)
		check_all_rows(d, i + 1, &b.tables[i].rows);
	for (uint32_t i = 0; i < TABLES; i++)
		check_ranges(d, i + 1, 0, &b.tables[i].rows);
	check_tables(&b, d, true);
	check_blobs(&b, d);
	inside_close(d);
}

static void check_all_methods(struct bench_shape shape)
{
	static const enum compression_method methods[] = {COMPRESSION_NONE, COMPRESSION_GZIP,
	                                                  COMPRESSION_ZSTD};

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		shape.method = methods[i];
		check_bench(&shape);
	}
}

static void test_custom(void **state)
{
	check_all_methods((struct bench_shape){.format = BENCH_CUSTOM});
}

static void test_custom_without_index(void **state)
{
	check_all_methods((struct bench_shape){.format = BENCH_CUSTOM, .no_index = true});
}

static void test_custom_without_anything(void **state)
{
	check_all_methods((struct bench_shape){
	        .format = BENCH_CUSTOM, .no_index = true, .no_counts = true, .no_offsets = true});
}

static void test_custom_of_pg_dump(void **state)
{
	check_all_methods((struct bench_shape){.format = BENCH_CUSTOM, .no_counts = true, .foreign = true});
}

static void test_directory(void **state)
{
	check_all_methods((struct bench_shape){.format = BENCH_DIRECTORY});
}

static void test_directory_without_anything(void **state)
{
	check_all_methods(
	        (struct bench_shape){.format = BENCH_DIRECTORY, .no_index = true, .no_counts = true});
}

static void test_directory_of_pg_dump(void **state)
{
	check_all_methods(
	        (struct bench_shape){.format = BENCH_DIRECTORY, .no_counts = true, .foreign = true});
}

static void test_text(void **state)
{
	check_all_methods((struct bench_shape){.format = BENCH_TEXT});
}

static void test_text_of_pg_dump(void **state)
{
	check_all_methods((struct bench_shape){.format = BENCH_TEXT, .foreign = true});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_custom),
	        cmocka_unit_test(test_custom_without_index),
	        cmocka_unit_test(test_custom_without_anything),
	        cmocka_unit_test(test_custom_of_pg_dump),
	        cmocka_unit_test(test_directory),
	        cmocka_unit_test(test_directory_without_anything),
	        cmocka_unit_test(test_directory_of_pg_dump),
	        cmocka_unit_test(test_text),
	        cmocka_unit_test(test_text_of_pg_dump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

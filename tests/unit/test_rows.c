// SPDX-License-Identifier: Apache-2.0
/* Counting and hashing of rows: in any order, in pieces of any size. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/rows.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

/* @text in pieces of @piece bytes, each a copy of its own: reading beyond one is noticed. */
static bool scan(struct rows_scan *s, const char *text, size_t len, size_t piece, struct rows *io)
{
	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		_cleanup(free) char *copy = mem_alloc(n);

		memcpy(copy, text + at, n);
		rows_scan_feed(s, copy, n);
	}
	return rows_scan_end(s, io);
}

/* The same when each piece is counted by itself, as threads do it, and then added. */
static bool scan_counted(struct rows_scan *s, const char *text, size_t len, size_t piece, struct rows *io)
{
	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		_cleanup(free) char *copy = mem_alloc(n);
		struct rows_piece counted;

		memcpy(copy, text + at, n);
		rows_piece_count(copy, n, &counted);
		rows_scan_add(s, copy, n, &counted);
	}
	return rows_scan_end(s, io);
}

/* The same for every size of the pieces. */
static bool scan_text(const char *text, struct rows *ret)
{
	struct rows_scan *s = rows_scan_new();
	size_t len = strlen(text);
	bool sound = true;

	for (size_t piece = 1; piece <= len + 1; piece++) {
		struct rows rows = {0}, counted = {0};
		bool now = scan(s, text, len, piece, &rows);

		assert_int_equal(scan_counted(s, text, len, piece, &counted), now);
		assert_memory_equal(&counted, &rows, sizeof(rows));
		if (piece > 1) {
			assert_int_equal(now, sound);
			assert_memory_equal(&rows, ret, sizeof(rows));
		}
		sound = now;
		*ret = rows;
	}
	rows_scan_free(s);
	return sound;
}

static uint64_t hash_of(const char *row)
{
	return XXH3_64bits(row, strlen(row));
}

static void test_rows(void **state)
{
	struct rows rows;

	assert_true(scan_text("1\tone\n2\ttwo\n\\.\n\n\n", &rows));
	assert_int_equal(rows.count, 2);
	assert_int_equal(rows.bytes, 12);
	assert_int_equal(rows.hash, hash_of("1\tone") + hash_of("2\ttwo"));
	assert_true(scan_text("1\tone\n2\ttwo\n", &rows));
	assert_int_equal(rows.count, 2);
	assert_int_equal(rows.hash, hash_of("1\tone") + hash_of("2\ttwo"));
}

static void test_order_is_nothing(void **state)
{
	struct rows there, back, other;

	assert_true(scan_text("a\nbb\nccc\na\n", &there));
	assert_true(scan_text("ccc\na\na\nbb\n", &back));
	assert_memory_equal(&there, &back, sizeof(there));
	assert_true(scan_text("ccc\na\nbb\nbb\n", &other));
	assert_true(there.hash != other.hash);
}

static void test_ranges_add_up(void **state)
{
	struct rows_scan *s = rows_scan_new();
	struct rows whole = {0}, sum = {0};

	assert_true(scan(s, "a\nbb\nccc\n", 9, 9, &whole));
	assert_true(scan(s, "a\nbb\n", 5, 5, &sum));
	assert_true(scan(s, "", 0, 1, &sum));
	assert_true(scan(s, "ccc\n\\.\n\n\n", 9, 9, &sum));
	assert_memory_equal(&whole, &sum, sizeof(whole));
	rows_scan_free(s);
}

/* A table without columns has empty rows; those behind the mark are none. */
static void test_empty_rows(void **state)
{
	struct rows rows;

	assert_true(scan_text("\n\n\n\\.\n\n\n", &rows));
	assert_int_equal(rows.count, 3);
	assert_int_equal(rows.bytes, 3);
	assert_int_equal(rows.hash, 3 * hash_of(""));
	assert_true(scan_text("\\.\n\n\n", &rows));
	assert_int_equal(rows.count, 0);
	assert_int_equal(rows.bytes, 0);
	assert_int_equal(rows.hash, 0);
	assert_true(scan_text("", &rows));
	assert_int_equal(rows.count, 0);
}

/* Only the whole line is the mark. */
static void test_almost_the_end(void **state)
{
	struct rows rows;

	assert_true(scan_text("\\.x\n\\\n.\n\\\\.\n\\..\n\\N\n", &rows));
	assert_int_equal(rows.count, 6);
}

static void test_not_whole(void **state)
{
	static const char *const texts[] = {"a",         "a\nb",       "\\",         "\\.",
	                                    "a\n\\.\nb", "\\.\n\nb\n", "\\.\n\\.\n", "\\.\n "};
	struct rows_scan *s = rows_scan_new();
	struct rows rows;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_false(scan_text(texts[i], &rows));
		assert_false(scan(s, texts[i], strlen(texts[i]), 1, &rows));
		rows = (struct rows){0};
		assert_true(scan(s, "fresh\n", 6, 6, &rows)); /* nothing of it stays behind */
		assert_int_equal(rows.count, 1);
		assert_int_equal(rows.hash, hash_of("fresh"));
	}
	rows_scan_free(s);
}

/* Values hold any byte but a line feed, and are long. */
static void test_long_rows(void **state)
{
	struct rows_scan *s = rows_scan_new();
	_cleanup(str) struct str text = {0};
	struct rows whole = {0};
	uint64_t hash = 0;

	for (size_t i = 0; i < 40; i++) {
		size_t begin = text.len;

		for (size_t k = 0; k < i * i * 7; k++)
			str_append_char(&text, (char)(k * i % 251 == '\n' ? 0 : k * i % 251));
		hash += XXH3_64bits(str_text(&text) + begin, text.len - begin);
		str_append_char(&text, '\n');
	}
	assert_true(scan(s, text.data, text.len, text.len, &whole));
	assert_int_equal(whole.count, 40);
	assert_int_equal(whole.bytes, text.len);
	assert_int_equal(whole.hash, hash);
	for (size_t piece = 1; piece < 5000; piece += 1 + piece / 3) {
		struct rows rows = {0};

		assert_true(scan(s, text.data, text.len, piece, &rows));
		assert_memory_equal(&rows, &whole, sizeof(rows));
	}
	rows_scan_free(s);
}

/* The hash is written down beside backups: it must be the same for ever. */
static void test_known_hash(void **state)
{
	struct rows rows;

	assert_true(scan_text("\n", &rows));
	assert_int_equal(rows.hash, UINT64_C(0x2d06800538d394c2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_rows),           cmocka_unit_test(test_order_is_nothing),
	        cmocka_unit_test(test_ranges_add_up),  cmocka_unit_test(test_empty_rows),
	        cmocka_unit_test(test_almost_the_end), cmocka_unit_test(test_not_whole),
	        cmocka_unit_test(test_long_rows),      cmocka_unit_test(test_known_hash),
	};

	return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}

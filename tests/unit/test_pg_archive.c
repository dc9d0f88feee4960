// SPDX-License-Identifier: Apache-2.0
/* The reader of PostgreSQL's archives: real ones, built ones of every version, and broken ones of every
 * kind. */
#include "../support/archive_build.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/pg_archive.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The result for @len bytes fed in pieces of @piece bytes: 0, or the error of feed or end. */
static int scan(const char *data, size_t len, size_t piece, struct pg_archive_facts *ret, struct error *err)
{
	struct pg_archive_scan *s = pg_archive_scan_new(NULL);
	int r = 0;

	for (size_t at = 0; r == 0 && at < len; at += piece)
		r = pg_archive_scan_feed(s, data + at, len - at < piece ? len - at : piece, err);
	if (r == 0)
		r = pg_archive_scan_end(s, err);
	else
		assert_int_equal(pg_archive_scan_end(s, err), r);
	if (ret)
		*ret = *pg_archive_scan_facts(s);
	pg_archive_scan_free(s);
	return r;
}

static int scan_str(const struct str *s, struct error *err)
{
	return scan(s->data, s->len, s->len ? s->len : 1, NULL, err);
}

static void load(const char *name, struct str *out)
{
	_cleanup(str) struct str path = {0};

	str_appendf(&path, TEST_DATA "/%s", name);
	assert_int_equal(fd_read_file(str_text(&path), 1 << 20, out), 0);
}

static const char *const samples[] = {"small.dump", "small-z0.dump"};

static void test_real_archives(void **state)
{
	static const size_t pieces[] = {1, 2, 3, 7, 64, 1 << 20};

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		_cleanup(str) struct str data = {0};

		load(samples[i], &data);
		for (size_t k = 0; k < ARRAY_SIZE(pieces); k++) {
			struct pg_archive_facts facts;
			struct error err = {0};

			assert_int_equal(scan(data.data, data.len, pieces[k], &facts, &err), 0);
			assert_int_equal(facts.version_major, 1);
			assert_int_equal(facts.version_minor, 14);
			assert_string_equal(facts.database, "small");
			assert_true(str_starts(facts.server_version, "15."));
			assert_true(str_starts(facts.tool_version, "15."));
			assert_int_equal(facts.data_entries, 3); /* two tables and the large objects */
			assert_int_equal(facts.data_blocks, 3);
			assert_true(facts.toc_entries > 10);
		}
	}
}

static void test_truncated_at_every_byte(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		_cleanup(str) struct str data = {0};

		load(samples[i], &data);
		for (size_t len = 0; len < data.len; len++) {
			struct error err = {0};

			assert_int_equal(scan(data.data, len, 512, NULL, &err), -EBADMSG);
			assert_true(err.message[0]);
		}
	}
}

static void test_more_behind_the_end(void **state)
{
	_cleanup(str) struct str data = {0};

	load(samples[0], &data);
	str_append_char(&data, '\0');
	assert_int_equal(scan_str(&data, NULL), -EBADMSG);
	data.data[data.len - 1] = 1;
	assert_int_equal(scan_str(&data, NULL), -EBADMSG);
}

/* Most bytes are text or compressed data, where this reader sees nothing; the others must be noticed, and
 * none may do harm. */
static void test_flipped_bytes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		_cleanup(str) struct str data = {0};
		size_t noticed = 0;

		load(samples[i], &data);
		for (size_t at = 0; at < data.len; at++) {
			static const uint8_t masks[] = {0x01, 0x80, 0xff};

			for (size_t k = 0; k < ARRAY_SIZE(masks); k++) {
				struct error err = {0};
				int r;

				data.data[at] ^= (char)masks[k];
				r = scan(data.data, data.len, 4096, NULL, &err);
				data.data[at] ^= (char)masks[k];
				if (r == 0)
					continue;
				assert_true(r == -EBADMSG || r == -ENOTSUP);
				assert_true(err.message[0]);
				noticed++;
			}
		}
		assert_true(noticed > data.len / 2);
	}
}

static void test_every_version(void **state)
{
	for (int minor = 12; minor <= 16; minor++) {
		_cleanup(str) struct str data = {0};
		struct pg_archive_facts facts;
		struct archive_shape shape = archive_sound;
		struct error err = {0};

		shape.minor = minor;
		shape.compression = 1;
		archive_put_whole(&data, &shape);
		assert_int_equal(scan(data.data, data.len, 1, &facts, &err), 0);
		assert_int_equal(facts.version_minor, minor);
		assert_int_equal(facts.toc_entries, 2);
		assert_int_equal(facts.data_blocks, 1);
		assert_string_equal(facts.database, "a database");
		assert_string_equal(facts.tool_version, "");
		for (size_t len = 0; len < data.len; len++)
			assert_int_equal(scan(data.data, len, 64, NULL, NULL), -EBADMSG);
	}
}

static void expect_shape(struct archive_shape shape, int expected)
{
	_cleanup(str) struct str data = {0};
	struct error err = {0};

	archive_put_whole(&data, &shape);
	assert_int_equal(scan_str(&data, &err), expected);
	assert_true(expected == 0 || err.message[0]);
}

static void test_heads(void **state)
{
	struct archive_shape shape = archive_sound;

	shape.offset_size = 4;
	expect_shape(shape, 0);
	shape = archive_sound, shape.major = 2;
	expect_shape(shape, -ENOTSUP);
	shape = archive_sound, shape.minor = 11;
	expect_shape(shape, -ENOTSUP);
	shape = archive_sound, shape.minor = 17;
	expect_shape(shape, -ENOTSUP);
	shape = archive_sound, shape.int_size = 8;
	expect_shape(shape, -EBADMSG);
	shape = archive_sound, shape.offset_size = 5;
	expect_shape(shape, -EBADMSG);
	shape = archive_sound, shape.format = 5;
	expect_shape(shape, -EBADMSG);
	shape = archive_sound, shape.compression = 10;
	expect_shape(shape, -EBADMSG);
	shape = archive_sound, shape.minor = 15, shape.compression = 4;
	expect_shape(shape, -EBADMSG);
	shape = archive_sound, shape.entries = 1;
	expect_shape(shape, -EBADMSG);
	shape = archive_sound, shape.entries = -1;
	expect_shape(shape, -EBADMSG);
	shape = archive_sound, shape.entries = INT32_MAX;
	expect_shape(shape, -EBADMSG);
}

static void expect_entry(int id, int had_dumper, int data_state, int expected)
{
	_cleanup(str) struct str data = {0};
	struct archive_shape shape = archive_sound;

	shape.entries = 1;
	archive_put_head(&data, &shape);
	archive_put_entry(&data, &shape, id, had_dumper, data_state);
	assert_int_equal(scan_str(&data, NULL), expected);
}

static void test_entries(void **state)
{
	expect_entry(1, 0, 3, 0);
	expect_entry(0, 0, 3, -EBADMSG);
	expect_entry(-1, 0, 3, -EBADMSG);
	expect_entry(1, 2, 3, -EBADMSG);
	expect_entry(1, 0, 1, -EBADMSG);
	expect_entry(1, 1, 3, -EBADMSG);
	expect_entry(1, 1, 0, -EBADMSG);
	expect_entry(1, 1, 4, -EBADMSG);
	expect_entry(1, 1, 2, -EBADMSG); /* its data is missing */
}

static void test_one_number_twice(void **state)
{
	_cleanup(str) struct str data = {0};

	archive_put_head(&data, &archive_sound);
	archive_put_entry(&data, &archive_sound, 5, 1, 1);
	archive_put_entry(&data, &archive_sound, 5, 1, 1);
	assert_int_equal(scan_str(&data, NULL), -EBADMSG);
}

static void expect_blocks(void (*put)(struct str *s), int expected)
{
	_cleanup(str) struct str data = {0};

	archive_put_toc(&data, &archive_sound);
	put(&data);
	assert_int_equal(scan_str(&data, NULL), expected);
}

static void put_nothing(struct str *s)
{
}

static void put_unknown_id(struct str *s)
{
	archive_put_block(s, 1, 9);
	archive_put_chunks(s);
}

static void put_id_without_data(struct str *s)
{
	archive_put_block(s, 1, 8);
	archive_put_chunks(s);
}

static void put_block_twice(struct str *s)
{
	archive_put_block(s, 1, 7);
	archive_put_chunks(s);
	archive_put_block(s, 1, 7);
	archive_put_chunks(s);
}

static void put_unknown_type(struct str *s)
{
	archive_put_block(s, 2, 7);
	archive_put_chunks(s);
}

static void put_negative_length(struct str *s)
{
	archive_put_block(s, 1, 7);
	archive_put_int(s, -5);
	archive_put_int(s, 0);
}

static void put_wrong_sign(struct str *s)
{
	archive_put_block(s, 1, 7);
	str_append_bytes(s, "\2\0\0\0\0", 5);
}

static void put_empty_block(struct str *s)
{
	archive_put_block(s, 1, 7);
	archive_put_int(s, 0);
}

static void put_large_objects(struct str *s)
{
	archive_put_block(s, 3, 7);
	archive_put_int(s, 16385);
	archive_put_chunks(s);
	archive_put_int(s, -1294967296); /* as 3000000000 is written */
	archive_put_int(s, 0);
	archive_put_int(s, 0);
}

static void put_large_objects_unended(struct str *s)
{
	archive_put_block(s, 3, 7);
	archive_put_int(s, 16385);
	archive_put_chunks(s);
}

static void test_blocks(void **state)
{
	expect_blocks(put_nothing, -EBADMSG);
	expect_blocks(put_unknown_id, -EBADMSG);
	expect_blocks(put_id_without_data, -EBADMSG);
	expect_blocks(put_block_twice, -EBADMSG);
	expect_blocks(put_unknown_type, -EBADMSG);
	expect_blocks(put_negative_length, -EBADMSG);
	expect_blocks(put_wrong_sign, -EBADMSG);
	expect_blocks(put_large_objects_unended, -EBADMSG);
	expect_blocks(put_empty_block, 0);
	expect_blocks(put_large_objects, 0);
}

static void expect_text_length(int64_t length, int expected)
{
	_cleanup(str) struct str data = {0};
	struct error err = {0};

	archive_put_head(&data, &archive_sound);
	archive_put_int(&data, 1);
	archive_put_int(&data, 0);
	archive_put_int(&data, length);
	assert_int_equal(scan_str(&data, &err), -EBADMSG);
	assert_int_equal(strstr(err.message, "cut off") != NULL, expected == 0);
}

static void test_lengths_of_text(void **state)
{
	expect_text_length(1 << 30, 0);
	expect_text_length((1 << 30) + 1, -EBADMSG);
	expect_text_length(INT32_MAX, -EBADMSG);
	expect_text_length(-2, -EBADMSG);
}

static void expect_head_facts(int minor, int compression, int offset_size,
                              enum pg_archive_compression expected)
{
	struct archive_shape shape = archive_sound;
	_cleanup(str) struct str data = {0};
	struct pg_archive_facts facts;

	shape.minor = minor, shape.compression = compression, shape.offset_size = offset_size;
	archive_put_whole(&data, &shape);
	assert_int_equal(scan(data.data, data.len, 3, &facts, NULL), 0);
	assert_int_equal(facts.compression, expected);
	assert_int_equal(facts.compression_at, 11);
	assert_int_equal(facts.offset_bytes, offset_size);
}

static void test_facts_of_the_head(void **state)
{
	expect_head_facts(12, -1, 4, PG_ARCHIVE_GZIP);
	expect_head_facts(13, 0, 8, PG_ARCHIVE_NONE);
	expect_head_facts(14, 9, 8, PG_ARCHIVE_GZIP);
	expect_head_facts(15, 0, 8, PG_ARCHIVE_NONE);
	expect_head_facts(15, 2, 8, PG_ARCHIVE_LZ4);
	expect_head_facts(16, 1, 4, PG_ARCHIVE_GZIP);
	expect_head_facts(16, 3, 8, PG_ARCHIVE_ZSTD);
}

static void test_dependencies(void **state)
{
	static const char *const wrong[] = {"",   "x",          "1x",         "-1",
	                                    " 1", "2147483648", "9999999999", "11111111111"};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup(str) struct str data = {0};
		struct error err = {0};

		archive_put_head(&data, &archive_sound);
		archive_put_entry(&data, &archive_sound, 1, 0, 3);
		data.len -= 1 + 8 + 5; /* offset and the end of the list */
		assert_int_equal(scan_str(&data, &err), -EBADMSG);
		assert_non_null(strstr(err.message, "cut off"));
		archive_put_text(&data, wrong[i]);
		assert_int_equal(scan_str(&data, &err), -EBADMSG);
		assert_non_null(strstr(err.message, "entry's dependency"));
		assert_null(strstr(err.message, "cut off"));
	}
}

static int take_file_name(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	str_appendf(arg, "%d=%s ", entry->dump_id, entry->file_name);
	return 0;
}

/* toc.dat of a directory is header and table of contents, and names a file where others have an offset. */
static void test_tables_of_contents_of_directories(void **state)
{
	for (int minor = 12; minor <= 16; minor++) {
		struct archive_shape shape = archive_sound;
		_cleanup(str) struct str data = {0}, names = {0};
		const struct pg_archive_events events = {.entry = take_file_name, .arg = &names};
		struct pg_archive_scan *s = pg_archive_scan_new(&events);
		struct error err = {0};

		shape.minor = minor;
		shape.compression = minor < 15 ? -1 : 1;
		shape.format = PG_ARCHIVE_DIRECTORY;
		archive_put_head(&data, &shape);
		archive_put_named_entry(&data, &shape, 7, "7.dat");
		archive_put_named_entry(&data, &shape, 8, "");
		for (size_t i = 0; i < data.len; i++)
			assert_int_equal(pg_archive_scan_feed(s, data.data + i, 1, &err), 0);
		assert_int_equal(pg_archive_scan_end(s, &err), 0);
		assert_string_equal(str_text(&names), "7=7.dat 8= ");
		assert_int_equal(pg_archive_scan_facts(s)->data_entries, 1);
		assert_int_equal(pg_archive_scan_facts(s)->toc_end, data.len);
		/* Data has no place in it. */
		archive_put_block(&data, 1, 7);
		assert_int_equal(scan_str(&data, &err), -EBADMSG);
		assert_non_null(strstr(err.message, "ends with its last entry"));
		for (size_t len = 1; len < pg_archive_scan_facts(s)->toc_end; len++)
			assert_int_equal(scan(data.data, len, len, NULL, &err), -EBADMSG);
		pg_archive_scan_free(s);
	}
}

static void test_no_archive(void **state)
{
	struct error err = {0};

	assert_int_equal(scan("", 0, 1, NULL, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "empty"));
	assert_int_equal(scan("--\n-- PostgreSQL database dump\n--\n", 33, 33, NULL, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "PGDMP"));
}

static void test_failure_stays(void **state)
{
	struct pg_archive_scan *s = pg_archive_scan_new(NULL);
	struct error first = {0}, second = {0};

	assert_int_equal(pg_archive_scan_feed(s, "PGDMX", 5, &first), -EBADMSG);
	assert_int_equal(pg_archive_scan_feed(s, "PGDMP", 5, &second), -EBADMSG);
	assert_string_equal(first.message, second.message);
	pg_archive_scan_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_real_archives),
	        cmocka_unit_test(test_truncated_at_every_byte),
	        cmocka_unit_test(test_more_behind_the_end),
	        cmocka_unit_test(test_flipped_bytes),
	        cmocka_unit_test(test_every_version),
	        cmocka_unit_test(test_heads),
	        cmocka_unit_test(test_entries),
	        cmocka_unit_test(test_one_number_twice),
	        cmocka_unit_test(test_blocks),
	        cmocka_unit_test(test_lengths_of_text),
	        cmocka_unit_test(test_facts_of_the_head),
	        cmocka_unit_test(test_dependencies),
	        cmocka_unit_test(test_tables_of_contents_of_directories),
	        cmocka_unit_test(test_no_archive),
	        cmocka_unit_test(test_failure_stays),
	};

	return cmocka_run_group_tests_name("pg_archive", tests, NULL, NULL);
}

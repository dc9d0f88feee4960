// SPDX-License-Identifier: Apache-2.0
/* Listings of bases: files in runs, and directories. What they have in common with those of mirrors is tested in test_listing.c. */
#include <keepfs/base/mem.h>
#include <keepfs/codec/listing.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define GOOD_PACK         "\"20261120T020000Z/00001\""
#define ATTRS             ",\"mode\":\"0600\",\"modified\":\"2026-11-20T02:00:00.000000Z\""
#define SIZED(size, rest) "{\"name\":\"base/1\",\"size\":" size ATTRS rest "}"
#define RUNS(size, runs)  SIZED(size, ",\"crc32c\":\"0123abcd\",\"runs\":" runs)

static void assert_same_line(const char *line)
{
	_cleanup(listing_entry) struct listing_entry e = {0};
	_cleanup(str) struct str again = {0}, expected = {0};
	struct error err = {0};

	assert_int_equal(listing_entry_decode(line, strlen(line), &e, &err), 0);
	assert_int_equal(e.format, LISTING_BASE);
	listing_entry_encode(&e, &again);
	str_appendf(&expected, "%s\n", line);
	assert_string_equal(str_text(&again), str_text(&expected));
}

static void test_lines_of_a_base(void **state)
{
	static const char line[] =
	        RUNS("300", "[[0,100," GOOD_PACK ",1024],[100,50],[150,150,\"20261120T020000Z/00002\",0]]");
	_cleanup(listing_entry) struct listing_entry e = {0};
	struct error err = {0};

	(void)state;
	assert_same_line(line);
	assert_same_line(RUNS("0", "[]"));
	assert_same_line(SIZED("1", ",\"runs\":[[0,1]]"));
	assert_same_line("{\"name\":\"pg_notify\",\"dir\":true,\"mode\":\"2750\",\"modified\":null}");
	assert_int_equal(listing_entry_decode(line, strlen(line), &e, &err), 0);
	assert_string_equal(e.key, "base/1");
	assert_int_equal(e.bytes, 300);
	assert_int_equal(e.mode, 0600);
	assert_string_equal(e.crc32c, "0123abcd");
	assert_int_equal(e.run_count, 3);
	assert_string_equal(e.runs[0].pack, "20261120T020000Z/00001");
	assert_int_equal(e.runs[0].place, 1024);
	assert_null(e.runs[1].pack);
	assert_int_equal(e.runs[2].at, 150);
	assert_int_equal(e.runs[2].bytes, 150);
}

/* As many as a segment of a table may come to have: they fit into a line, and come back. */
static void test_a_line_of_many_runs(void **state)
{
	enum { RUN_COUNT = 20000 };
	static struct listing_run runs[RUN_COUNT];
	struct listing_entry e = {.format = LISTING_BASE,
	                          .key = (char *)"base/5/16384",
	                          .runs = runs,
	                          .run_count = RUN_COUNT,
	                          .sums_at = 40,
	                          .bytes = RUN_COUNT * 8192ULL};
	_cleanup(listing_entry) struct listing_entry back = {0};
	_cleanup(str) struct str line = {0};

	(void)state;
	for (size_t i = 0; i < RUN_COUNT; i++)
		runs[i] = (struct listing_run){
		        .at = i * 8192,
		        .bytes = 8192,
		        .place = 500000000 + i,
		        .pack = (char *)(i % 3 ? "20261120T020000Z/00001" : "20261121T020000Z/00012")};
	listing_entry_encode(&e, &line);
	assert_true(line.len < LISTING_LINE_BYTES);
	assert_int_equal(listing_entry_decode(line.data, line.len, &back, NULL), 0);
	assert_int_equal(back.run_count, RUN_COUNT);
	assert_int_equal(back.sums_at, 40);
	for (size_t i = 0; i < RUN_COUNT; i++) {
		assert_string_equal(back.runs[i].pack, runs[i].pack);
		assert_int_equal(back.runs[i].place, runs[i].place);
	}
}

static void refuse_base_line(const char *line, const char *why)
{
	struct listing_entry e = {0};
	struct error err = {0};

	assert_int_equal(listing_entry_decode(line, strlen(line), &e, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, why));
	assert_null(e.key);
	assert_null(e.runs);
}

static void test_runs_that_are_wrong(void **state)
{
	static const char *const lines[] = {
	        RUNS("1", "{}"),
	        RUNS("1", "[]"),
	        RUNS("1", "[[]]"),
	        RUNS("1", "[1]"),
	        RUNS("1", "[[0]]"),
	        RUNS("1", "[[0,1,2]]"),
	        RUNS("1", "[[0,1," GOOD_PACK "]]"),
	        RUNS("1", "[[0,1," GOOD_PACK ",0,0]]"),
	        RUNS("1", "[[0,1," GOOD_PACK ",-1]]"),
	        RUNS("1", "[[0,1," GOOD_PACK ",\"0\"]]"),
	        RUNS("1", "[[0,1," GOOD_PACK ",9223372036854775807]]"),
	        RUNS("1", "[[0,1,\"00001\",0]]"),
	        RUNS("1", "[[0,1,null,0]]"),
	        RUNS("1", "[[0,0," GOOD_PACK ",0]]"),
	        RUNS("0", "[[0,0," GOOD_PACK ",0]]"),
	        RUNS("1", "[[0,2," GOOD_PACK ",0]]"),
	        RUNS("2", "[[0,1," GOOD_PACK ",0]]"),
	        RUNS("2", "[[1,1," GOOD_PACK ",0]]"),
	        RUNS("2", "[[0,1],[0,1]]"),
	        RUNS("3", "[[0,1],[2,1]]"),
	        RUNS("2", "[[0,1],[1,1],[2,1]]"),
	        RUNS("2", "[[0,9223372036854775807],[9223372036854775807,1]]"),
	        RUNS("2", "[[0,-1],[-1,3]]"),
	        RUNS("1", "[[0,1,0,0]]"),
	        RUNS("1", "[[0,1,0,0]],\"packs\":{}"),
	        RUNS("1", "[[0,1,0,0]],\"packs\":[]"),
	        RUNS("1", "[[0,1,1,0]],\"packs\":[" GOOD_PACK "]"),
	        RUNS("1", "[[0,1,-1,0]],\"packs\":[" GOOD_PACK "]"),
	        RUNS("1", "[[0,1,0.5,0]],\"packs\":[" GOOD_PACK "]"),
	        RUNS("1", "[[0,1,0,0]],\"packs\":[0]"),
	        RUNS("1", "[[0,1,0,0]],\"packs\":[\"00001\"]"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		refuse_base_line(lines[i], "runs of a file are not its bytes");
}

static void test_lines_of_a_base_that_are_wrong(void **state)
{
	(void)state;
	refuse_base_line(RUNS("-1", "[]"), "a size");
	refuse_base_line(RUNS("\"0\"", "[]"), "a size");
	refuse_base_line("{\"name\":\"a\"" ATTRS ",\"runs\":[]}", "a size");
	refuse_base_line("{\"name\":\"..\",\"size\":0" ATTRS ",\"runs\":[]}", "a name");
	refuse_base_line("{\"size\":0" ATTRS ",\"runs\":[]}", "a name");
	refuse_base_line("{\"name\":\"a\",\"size\":0,\"mode\":\"0600\",\"runs\":[]}", "a time");
	refuse_base_line("{\"name\":\"a\",\"size\":0,\"mode\":384,\"modified\":null,\"runs\":[]}", "a mode");
	refuse_base_line("{\"name\":\"a\",\"size\":0,\"mode\":\"600\",\"modified\":null,\"runs\":[]}",
	                 "a mode");
	refuse_base_line("{\"name\":\"a\",\"size\":0,\"mode\":\"0800\",\"modified\":null,\"runs\":[]}",
	                 "a mode");
	refuse_base_line("{\"name\":\"a\",\"size\":0,\"modified\":null,\"runs\":[]}", "a mode");
	refuse_base_line(SIZED("0", ",\"crc32c\":\"ABCDEF01\",\"runs\":[]"), "CRC-32C");
	refuse_base_line(SIZED("0", ",\"crc32c\":\"abc\",\"runs\":[]"), "CRC-32C");
	refuse_base_line(SIZED("0", ",\"crc32c\":1,\"runs\":[]"), "CRC-32C");
	refuse_base_line("{\"name\":\"a\",\"dir\":false" ATTRS "}", "a directory");
	refuse_base_line("{\"name\":\"a\",\"dir\":1" ATTRS "}", "a directory");
	refuse_base_line("{\"name\":\"a\",\"dir\":true,\"size\":0" ATTRS "}", "a directory");
	refuse_base_line("{\"name\":\"a\",\"dir\":true" ATTRS ",\"runs\":[]}", "a directory");
}

static int append_base(void *arg, const void *data, size_t len, struct error *err)
{
	(void)err;
	str_append_bytes(arg, data, len);
	return 0;
}

static int read_base(void *arg, uint64_t at, void *buf, size_t len, struct error *err)
{
	const struct str *listing = arg;

	(void)err;
	assert_true(at + len <= listing->len);
	memcpy(buf, listing->data + at, len);
	return 0;
}

static const struct listing_head base_head = {
        .format = LISTING_BASE, .job = "main", .source = "the cluster at /run/postgresql", .taken_at_us = 1};

static struct listing_entry file_of_base(int number, struct listing_run *run)
{
	*run = (struct listing_run){.bytes = (uint64_t)number + 1,
	                            .pack = (char *)"20261120T020000Z/00001",
	                            .place = (uint64_t)number * 1024};
	return (struct listing_entry){.format = LISTING_BASE,
	                              .key = mem_printf("base/%06d", number),
	                              .bytes = (uint64_t)number + 1,
	                              .mode = 0600,
	                              .modified_us = 1000000,
	                              .runs = run,
	                              .run_count = 1};
}

static void write_base(int count, struct str *listing, struct str *index)
{
	const struct listing_out out = {.write = append_base, .arg = listing};
	const struct listing_entry directory = {
	        .format = LISTING_BASE, .key = (char *)"base", .is_directory = true, .mode = 0700};
	_cleanup(listing_writer) struct listing_writer *w = listing_writer_new(&base_head, &out);
	struct error err = {0};

	assert_int_equal(listing_writer_add(w, &directory, &err), 0);
	for (int i = 0; i < count; i++) {
		struct listing_run run;
		struct listing_entry e = file_of_base(i, &run);

		assert_int_equal(listing_writer_add(w, &e, &err), 0);
		free(e.key);
	}
	assert_int_equal(listing_writer_finish(w, index, &err), 0);
	assert_int_equal(listing_writer_count(w), count + 1);
}

static int note_base_head(void *arg, const struct listing_head *head, struct error *err)
{
	(void)arg;
	(void)err;
	assert_int_equal(head->format, LISTING_BASE);
	assert_string_equal(head->job, "main");
	return 0;
}

static int count_base_entry(void *arg, struct listing_entry *e, struct error *err)
{
	(void)err;
	assert_int_equal(e->format, LISTING_BASE);
	++*(int *)arg;
	return 0;
}

static void test_a_listing_of_a_base(void **state)
{
	_cleanup(str) struct str listing = {0}, index = {0};
	_cleanup(listing_index) struct listing_index x = {0};
	const struct listing_source source = {.read = read_base, .arg = &listing};
	_cleanup(listing_reader) struct listing_reader *reader = NULL;
	_cleanup(listing_entry) struct listing_entry e = {0}, directory = {0};
	int count = 0;
	const struct listing_scan_to to = {.head = note_base_head, .entry = count_base_entry, .arg = &count};
	_cleanup(listing_scan) struct listing_scan *scan = listing_scan_new(&to);
	struct error err = {0};

	(void)state;
	write_base(3000, &listing, &index);
	assert_int_equal(listing_index_decode(str_text(&index), index.len, &x, &err), 0);
	assert_int_equal(x.format, LISTING_BASE);
	reader = listing_reader_new(&x, &source);
	assert_int_equal(listing_reader_find(reader, "base", &directory, &err), 1);
	assert_true(directory.is_directory);
	assert_int_equal(directory.mode, 0700);
	assert_int_equal(listing_reader_find(reader, "base/002345", &e, &err), 1);
	assert_int_equal(e.runs[0].place, 2345 * 1024);
	assert_int_equal(listing_scan_feed(scan, listing.data, listing.len, &err), 0);
	assert_int_equal(listing_scan_end(scan, &err), 0);
	assert_int_equal(count, 3001);
}

/* Objects of a mirror are not taken in a base, nor the other way round. */
static void test_formats_are_not_mixed(void **state)
{
	_cleanup(str) struct str listing = {0}, index = {0};
	_cleanup(listing_index) struct listing_index x = {0};
	const struct listing_source source = {.read = read_base, .arg = &listing};
	const struct listing_out out = {.write = append_base, .arg = &listing};
	_cleanup(listing_writer) struct listing_writer *w = listing_writer_new(&base_head, &out);
	const struct listing_entry object = {.key = (char *)"a"};
	_cleanup(listing_reader) struct listing_reader *reader = NULL;
	struct listing_entry e = {0};
	struct error err = {0};

	(void)state;
	assert_int_equal(listing_writer_add(w, &object, &err), -EINVAL);
	str_clear(&listing);
	write_base(1, &listing, &index);
	assert_int_equal(listing_index_decode(str_text(&index), index.len, &x, &err), 0);
	x.format = LISTING_MIRROR;
	reader = listing_reader_new(&x, &source);
	assert_int_equal(listing_reader_next(reader, &e, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "another format"));
	assert_null(e.key);
}

static void test_kinds_with_a_listing(void **state)
{
	(void)state;
	assert_true(listing_is_kind("mirror"));
	assert_true(listing_is_kind("base"));
	assert_false(listing_is_kind("dump"));
	assert_false(listing_is_kind(""));
	assert_false(listing_is_kind(NULL));
	assert_string_equal(listing_pack_suffix(LISTING_MIRROR), ".tar");
	assert_string_equal(listing_pack_suffix(LISTING_BASE), ".tar.zst");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_lines_of_a_base),
	        cmocka_unit_test(test_a_line_of_many_runs),
	        cmocka_unit_test(test_runs_that_are_wrong),
	        cmocka_unit_test(test_lines_of_a_base_that_are_wrong),
	        cmocka_unit_test(test_a_listing_of_a_base),
	        cmocka_unit_test(test_formats_are_not_mixed),
	        cmocka_unit_test(test_kinds_with_a_listing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

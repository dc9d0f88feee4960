// SPDX-License-Identifier: Apache-2.0
/* Listings of mirrors: written, read by their index and as a whole, and found to be damaged. */
#include <keepfs/base/mem.h>
#include <keepfs/codec/compression.h>
#include <keepfs/codec/listing.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static int append_listing(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static struct listing_entry entry_of(int number)
{
	struct listing_entry e = {.key = mem_printf("docs/%06d", number * 2),
	                          .bytes = (uint64_t)number,
	                          .etag = mem_strdup("abc"),
	                          .modified_us = INT64_C(1795140000123456),
	                          .pack = mem_strdup("20261120T020000Z/00001"),
	                          .sha256 = SHA,
	                          .at = (uint64_t)number * 1024};

	if (number % 3 == 0) {
		e.type = mem_strdup("text/plain");
		e.version_id = mem_strdup("v1");
		e.meta = json_object_new();
		json_set_string(e.meta, "owner", "\xc3\xbc");
	}
	return e;
}

static void write_listing(int count, struct str *listing, struct str *index)
{
	const struct listing_out out = {.write = append_listing, .arg = listing};
	struct listing_head head = {
	        .job = "documents", .source = "s3://documents", .taken_at_us = INT64_C(1795140000000000)};
	_cleanup(listing_writer) struct listing_writer *w = listing_writer_new(&head, &out);
	struct error err = {0};

	for (int i = 0; i < count; i++) {
		_cleanup(listing_entry) struct listing_entry e = entry_of(i);

		assert_int_equal(listing_writer_add(w, &e, &err), 0);
	}
	assert_int_equal(listing_writer_finish(w, index, &err), 0);
	assert_int_equal(listing_writer_count(w), count);
}

static int read_listing(void *arg, uint64_t at, void *buf, size_t len, struct error *err)
{
	const struct str *listing = arg;

	assert_true(at + len <= listing->len);
	memcpy(buf, listing->data + at, len);
	return 0;
}

static void assert_entry(const struct listing_entry *e, int number)
{
	_cleanup(listing_entry) struct listing_entry expected = entry_of(number);
	_cleanup(str) struct str a = {0}, b = {0};

	listing_entry_encode(&expected, &a);
	listing_entry_encode(e, &b);
	assert_string_equal(str_text(&a), str_text(&b));
}

static void check_by_index(int count)
{
	_cleanup(str) struct str listing = {0}, index = {0};
	_cleanup(listing_index) struct listing_index x = {0};
	const struct listing_source source = {.read = read_listing, .arg = &listing};
	_cleanup(listing_reader) struct listing_reader *r = NULL;
	struct error err = {0};

	write_listing(count, &listing, &index);
	assert_int_equal(listing_index_decode(str_text(&index), index.len, &x, &err), 0);
	assert_int_equal(x.objects, count);
	assert_int_equal(x.count, (count + LISTING_FRAME_LINES - 1) / LISTING_FRAME_LINES);
	r = listing_reader_new(&x, &source);
	for (int i = 0; i <= count; i++) {
		_cleanup(listing_entry) struct listing_entry e = {0};

		assert_int_equal(listing_reader_next(r, &e, &err), i < count);
		if (i < count)
			assert_entry(&e, i);
	}
	for (int i = 0; i < count; i += 97) {
		_cleanup(listing_entry) struct listing_entry e = {0}, next = {0}, none = {0};
		_cleanup(free) char *key = mem_printf("docs/%06d", i * 2),
		                    *between = mem_printf("docs/%06d", i * 2 + 1);

		assert_int_equal(listing_reader_find(r, key, &e, &err), 1);
		assert_entry(&e, i);
		assert_int_equal(listing_reader_find(r, between, &none, &err), 0);
		assert_int_equal(listing_reader_seek(r, between, &err), 0);
		assert_int_equal(listing_reader_next(r, &next, &err), i + 1 < count);
		if (i + 1 < count)
			assert_entry(&next, i + 1);
	}
	if (count > 0) {
		_cleanup(listing_entry) struct listing_entry e = {0}, none = {0};

		assert_int_equal(listing_reader_seek(r, "a", &err), 0);
		assert_int_equal(listing_reader_next(r, &e, &err), 1);
		assert_entry(&e, 0);
		assert_int_equal(listing_reader_seek(r, "z", &err), 0);
		assert_int_equal(listing_reader_next(r, &none, &err), 0);
	}
}

static void test_listings_by_their_index(void **state)
{
	static const int counts[] = {0, 1, 2, 1023, 1024, 1025, 5000};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		check_by_index(counts[i]);
}

static int count_entry(void *arg, struct listing_entry *e, struct error *err)
{
	assert_entry(e, (*(int *)arg)++);
	return 0;
}

/* In pieces of @piece bytes. */
static int scan_listing(const char *data, size_t len, size_t piece, int *count, struct error *err)
{
	const struct listing_scan_to to = {.entry = count_entry, .arg = count};
	_cleanup(listing_scan) struct listing_scan *s = listing_scan_new(&to);
	int r = 0;

	*count = 0;
	for (size_t at = 0; r == 0 && at < len; at += piece)
		r = listing_scan_feed(s, data + at, len - at < piece ? len - at : piece, err);
	return r < 0 ? r : listing_scan_end(s, err);
}

static void test_listings_as_a_whole(void **state)
{
	_cleanup(str) struct str listing = {0};
	struct error err = {0};
	int count;

	write_listing(2500, &listing, NULL);
	assert_int_equal(scan_listing(listing.data, listing.len, 1, &count, &err), 0);
	assert_int_equal(count, 2500);
	assert_int_equal(scan_listing(listing.data, listing.len, listing.len, &count, &err), 0);
	for (size_t len = 0; len < listing.len; len += 1 + len / 50)
		assert_int_equal(scan_listing(listing.data, len, 4096, &count, &err), -EBADMSG);
}

static void test_order_and_length_are_insisted_on(void **state)
{
	_cleanup(str) struct str listing = {0};
	const struct listing_out out = {.write = append_listing, .arg = &listing};
	struct listing_head head = {.job = "documents", .source = "s3://documents"};
	_cleanup(listing_writer) struct listing_writer *w = listing_writer_new(&head, &out);
	_cleanup(listing_entry) struct listing_entry first = entry_of(1), second = entry_of(2);
	_cleanup(free) char *value = mem_printf("%0*d", (int)LISTING_LINE_BYTES, 0);
	struct error err = {0};

	assert_int_equal(listing_writer_add(w, &second, &err), 0);
	assert_int_equal(listing_writer_add(w, &first, &err), -EINVAL);
	assert_int_equal(listing_writer_add(w, &second, &err), -EINVAL);
	mem_replace_string(&first.key, "z");
	mem_replace_string(&first.type, value);
	assert_int_equal(listing_writer_add(w, &first, &err), -E2BIG);
	assert_non_null(strstr(err.message, "768 KiB"));
}

static void refuse_line(const char *line)
{
	struct listing_entry e = {0};
	struct error err = {0};

	assert_int_equal(listing_entry_decode(line, strlen(line), &e, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_null(e.key);
}

#define REST ",\"etag\":\"e\",\"modified\":\"2026-11-20T02:00:00Z\",\"sha256\":\"" SHA "\""
#define LINE(name, size, pack, at)                                                                           \
	"{\"name\":" name ",\"size\":" size REST ",\"pack\":" pack ",\"at\":" at "}"
#define GOOD_PACK "\"20261120T020000Z/00001\""

static void test_lines_that_are_wrong(void **state)
{
	_cleanup(listing_entry) struct listing_entry e = {0};
	static const char good[] = LINE("\"a\"", "1", GOOD_PACK, "512");

	assert_int_equal(listing_entry_decode(good, sizeof(good) - 1, &e, NULL), 0);
	assert_string_equal(e.key, "a");
	refuse_line("");
	refuse_line("[]");
	refuse_line("{}");
	refuse_line("{\"name\":\"a\"");
	refuse_line(LINE("\"a//b\"", "1", GOOD_PACK, "512"));
	refuse_line(LINE("\"..\"", "1", GOOD_PACK, "512"));
	refuse_line(LINE("1", "1", GOOD_PACK, "512"));
	refuse_line(LINE("\"a\"", "-1", GOOD_PACK, "512"));
	refuse_line(LINE("\"a\"", "\"1\"", GOOD_PACK, "512"));
	refuse_line(LINE("\"a\"", "1", GOOD_PACK, "-1"));
	refuse_line(LINE("\"a\"", "1", "\"20261120T020000Z\"", "512"));
	refuse_line(LINE("\"a\"", "1", "\"20261120T020000Z/0001\"", "512"));
	refuse_line(LINE("\"a\"", "1", "\"20261120T020000Z/00000\"", "512"));
	refuse_line(LINE("\"a\"", "1", "\"20261120T020000Z/000001\"", "512"));
	refuse_line(LINE("\"a\"", "1", "\"20261120T020000Z/../00\"", "512"));
	refuse_line(LINE("\"a\"", "1", "\"20261199T020000Z/00001\"", "512"));
	refuse_line("{\"name\":\"a\",\"size\":1" REST ",\"meta\":{\"a\":1},\"pack\":" GOOD_PACK ",\"at\":1}");
	refuse_line("{\"name\":\"a\",\"size\":1" REST ",\"meta\":[],\"pack\":" GOOD_PACK ",\"at\":1}");
	refuse_line("{\"name\":\"a\",\"size\":1,\"etag\":\"\",\"modified\":\"\",\"sha256\":\"" SHA
	            "\",\"pack\":" GOOD_PACK ",\"at\":1}");
	refuse_line("{\"name\":\"a\",\"size\":1,\"etag\":\"\",\"sha256\":\"" SHA "\",\"pack\":" GOOD_PACK
	            ",\"at\":1}");
	refuse_line(
	        "{\"name\":\"a\",\"size\":1,\"etag\":\"\",\"modified\":\"2026-11-20T02:00:00Z\",\"sha256\":\"abc\",\"pack\":" GOOD_PACK
	        ",\"at\":1}");
}

/* A file of the beginning of 1970, which is no rarity among those that programs unpack. */
static void test_no_time(void **state)
{
	struct listing_entry e = entry_of(1);
	_cleanup(listing_entry) struct listing_entry back = {0};
	_cleanup(str) struct str line = {0};

	e.modified_us = 0;
	listing_entry_encode(&e, &line);
	assert_int_equal(listing_entry_decode(str_text(&line), line.len, &back, NULL), 0);
	assert_int_equal(back.modified_us, 0);
	listing_entry_finish(&e);
}

static void assert_key(const char *line, const char *expected)
{
	_cleanup(str) struct str key = {0};
	struct error err = {0};
	int r = listing_line_key(line, strlen(line), &key, &err);

	assert_int_equal(r, expected ? 0 : -EBADMSG);
	if (expected)
		assert_string_equal(str_text(&key), expected);
	else
		assert_int_equal(err.class, ERROR_CORRUPT);
}

static void test_keys_of_lines(void **state)
{
	static const char *const keys[] = {"a",      "a//b",  "..",   "/x",       "100%", "quo\"te",
	                                   "back\\", "new\n", "dir/", "\xc3\xbc", "\xff", "{\"name\":\""};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		_cleanup(listing_entry) struct listing_entry e = entry_of((int)i);
		_cleanup(str) struct str line = {0};

		mem_replace_string(&e.key, keys[i]);
		listing_entry_encode(&e, &line);
		assert_key(str_text(&line), keys[i]);
	}
	assert_key("", NULL);
	assert_key("{\"name\":\"", NULL);
	assert_key("{\"name\":\"a", NULL);
	assert_key("{\"name\":\"a//b\"", NULL);
	assert_key("{\"name\":\"\"", NULL);
	assert_key("{\"size\":1}", NULL);
	/* Whoever else wrote it may have put it elsewhere. */
	assert_key("{\"size\":1,\"name\":\"a\"" REST ",\"pack\":" GOOD_PACK ",\"at\":1}", "a");
}

static void refuse_index(const char *text, size_t len, int expected)
{
	struct listing_index x = {0};
	struct error err = {0};

	assert_int_equal(listing_index_decode(text, len, &x, &err), expected);
	assert_null(x.frames);
}

#define HEAD                                                                                                 \
	"{\"format\":\"keepfs-mirror-index\",\"version\":1,\"listing_bytes\":1000,\"count\":2,\"bytes\":9}\n"

static void refuse_frames(const char *frames)
{
	_cleanup(free) char *text = mem_printf(HEAD "%s", frames);

	refuse_index(text, strlen(text), -EBADMSG);
}

static void test_indexes_that_are_wrong(void **state)
{
	static const char newer[] = "{\"format\":\"keepfs-mirror-index\",\"version\":2}\n";
	_cleanup(str) struct str listing = {0}, index = {0};

	refuse_index(newer, sizeof(newer) - 1, -ENOTSUP);
	refuse_index("", 0, -EBADMSG);
	refuse_index("{}\n", 3, -EBADMSG);
	refuse_frames("");
	refuse_frames("{\"at\":0,\"bytes\":100,\"raw\":200,\"lines\":1,\"first\":\"a\"}\n");
	refuse_frames("{\"at\":0,\"bytes\":100,\"raw\":200,\"lines\":2,\"first\":\"a//\"}\n");
	refuse_frames("{\"at\":950,\"bytes\":100,\"raw\":200,\"lines\":2,\"first\":\"a\"}\n");
	refuse_frames("{\"at\":0,\"bytes\":0,\"raw\":200,\"lines\":2,\"first\":\"a\"}\n");
	refuse_frames("{\"at\":0,\"bytes\":100,\"raw\":2000000,\"lines\":2,\"first\":\"a\"}\n");
	refuse_frames("{\"at\":0,\"bytes\":100,\"raw\":200,\"lines\":2000,\"first\":\"a\"}\n");
	refuse_frames("{\"at\":0,\"bytes\":100,\"raw\":200,\"lines\":1,\"first\":\"b\"}\n"
	              "{\"at\":100,\"bytes\":100,\"raw\":200,\"lines\":1,\"first\":\"a\"}\n");
	refuse_frames("{\"at\":0,\"bytes\":100,\"raw\":200,\"lines\":1,\"first\":\"a\"}\n"
	              "{\"at\":101,\"bytes\":100,\"raw\":200,\"lines\":1,\"first\":\"b\"}\n");
	write_listing(5000, &listing, &index);
	for (size_t len = 0; len < index.len; len++)
		refuse_index(str_text(&index), len, -EBADMSG);
}

/* Whatever byte of a frame is another: it is found, or the lines are still lines. */
static void test_damaged_frames(void **state)
{
	_cleanup(str) struct str listing = {0}, index = {0};
	_cleanup(listing_index) struct listing_index x = {0};
	const struct listing_source source = {.read = read_listing, .arg = &listing};
	struct error err = {0};

	write_listing(50, &listing, &index);
	assert_int_equal(listing_index_decode(str_text(&index), index.len, &x, &err), 0);
	for (size_t i = 0; i < x.frames[0].bytes; i++) {
		_cleanup(listing_reader) struct listing_reader *r = listing_reader_new(&x, &source);
		int result = 1;

		listing.data[x.frames[0].at + i] ^= 0x10;
		for (int n = 0; result == 1 && n < 100; n++) {
			_cleanup(listing_entry) struct listing_entry e = {0};

			result = listing_reader_next(r, &e, &err);
		}
		assert_true(result == 0 || result == -EBADMSG);
		listing.data[x.frames[0].at + i] ^= 0x10;
	}
}

static void test_lines_of_sums(void **state)
{
	_cleanup(str) struct str out = {0};

	(void)state;
	listing_append_sum(&out, "ab12", "a b/c");
	listing_append_sum(&out, "ab12", "a\\b\\");
	assert_string_equal(str_text(&out), "ab12  a b/c\n\\ab12  a\\\\b\\\\\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_no_time),
	        cmocka_unit_test(test_listings_by_their_index),
	        cmocka_unit_test(test_listings_as_a_whole),
	        cmocka_unit_test(test_order_and_length_are_insisted_on),
	        cmocka_unit_test(test_lines_that_are_wrong),
	        cmocka_unit_test(test_keys_of_lines),
	        cmocka_unit_test(test_indexes_that_are_wrong),
	        cmocka_unit_test(test_damaged_frames),
	        cmocka_unit_test(test_lines_of_sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Incremental files: what PostgreSQL 17 sends, and everything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/incremental.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MAGIC 0xd3ae1f0dU
#define PAGE  INCREMENTAL_PAGE_BYTES

static void put_number(struct str *out, uint32_t n)
{
	for (unsigned shift = 0; shift < 32; shift += 8)
		str_append_char(out, (char)(n >> shift));
}

/* The page @n is full of the byte @n. */
static void put_file(struct str *out, uint32_t truncation, const uint32_t *pages, uint32_t count)
{
	put_number(out, MAGIC);
	put_number(out, count);
	put_number(out, truncation);
	for (uint32_t i = 0; i < count; i++)
		put_number(out, pages[i]);
	while (count > 0 && out->len % PAGE)
		str_append_char(out, '\0');
	for (uint32_t i = 0; i < count; i++)
		for (size_t n = 0; n < PAGE; n++)
			str_append_char(out, (char)pages[i]);
}

static int say_head(void *arg, const struct incremental_head *h, struct error *err)
{
	str_appendf(arg, "%" PRIu32 "/%" PRIu32 "/%" PRIu32, h->count, h->truncation_pages, h->total_pages);
	return 0;
}

static int say_page(void *arg, uint32_t number, const void *data, struct error *err)
{
	const unsigned char *p = data;

	assert_int_equal(p[0], number & 0xff);
	assert_int_equal(p[PAGE - 1], number & 0xff);
	str_appendf(arg, " %" PRIu32, number);
	return 0;
}

static int read_incremental(const struct str *file, size_t piece, struct str *said, struct error *err)
{
	const struct incremental_to to = {say_head, say_page, said};
	_cleanup(incremental_reader) struct incremental_reader *reader = incremental_reader_new(&to);
	int r = 0;

	for (size_t at = 0; r == 0 && at < file->len; at += piece)
		r = incremental_reader_feed(reader, file->data + at,
		                            file->len - at < piece ? file->len - at : piece, err);
	return r < 0 ? r : incremental_reader_end(reader, err);
}

static void expect_said(uint32_t truncation, const uint32_t *pages, uint32_t count, const char *expected)
{
	static const size_t pieces[] = {1, 3, 4096, PAGE, PAGE + 1, 1 << 20};

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		_cleanup(str) struct str file = {0}, said = {0};
		struct error err = {0};

		put_file(&file, truncation, pages, count);
		assert_int_equal(read_incremental(&file, pieces[i], &said, &err), 0);
		assert_string_equal(str_text(&said), expected);
	}
}

static void test_what_comes(void **state)
{
	static const uint32_t pages[] = {0, 3, 200};

	expect_said(300, pages, 3, "3/300/300 0 3 200");
	/* What lies behind the truncation length is there, and zeros are before it. */
	expect_said(2, pages, 3, "3/2/201 0 3 200");
	/* Nothing changed; and nothing is left. */
	expect_said(7, NULL, 0, "0/7/7");
	expect_said(0, NULL, 0, "0/0/0");
}

/* Their numbers fill a page to its last byte. */
static void test_no_padding(void **state)
{
	uint32_t count = PAGE / 4 - 3;
	_cleanup(free) uint32_t *pages = mem_array(count, sizeof(*pages));
	_cleanup(str) struct str file = {0}, said = {0};
	struct error err = {0};

	for (uint32_t i = 0; i < count; i++)
		pages[i] = 2 * i;
	put_file(&file, 1, pages, count);
	assert_int_equal(file.len, PAGE + count * PAGE);
	assert_int_equal(read_incremental(&file, 1 << 20, &said, &err), 0);
	assert_true(str_starts(str_text(&said), "2045/1/4089 0 2 4"));
}

static void expect_refused(struct str *file, const char *why)
{
	_cleanup(str) struct str said = {0};
	struct error err = {0};

	assert_int_equal(read_incremental(file, 1 << 20, &said, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	if (!strstr(err.message, why))
		fail_msg("'%s' instead of '%s'", err.message, why);
	str_clear(file);
}

static void test_bad_ones(void **state)
{
	static const uint32_t twice[] = {4, 4}, back[] = {5, 4}, good[] = {1, 2},
	                      far[] = {INCREMENTAL_PAGES_MAX};
	_cleanup(str) struct str file = {0};

	expect_refused(&file, "cut off");
	put_number(&file, MAGIC + 1);
	expect_refused(&file, "does not begin");
	put_number(&file, MAGIC);
	put_number(&file, INCREMENTAL_PAGES_MAX + 1);
	expect_refused(&file, "too many pages");
	put_file(&file, INCREMENTAL_PAGES_MAX + 1, good, 2);
	expect_refused(&file, "too long");
	put_file(&file, 9, twice, 2);
	expect_refused(&file, "ascend");
	put_file(&file, 9, back, 2);
	expect_refused(&file, "ascend");
	put_file(&file, 9, far, 1);
	expect_refused(&file, "too far");
	put_file(&file, 9, good, 2);
	str_append_char(&file, 'x');
	expect_refused(&file, "behind its last page");
	put_file(&file, 9, NULL, 0);
	str_append_char(&file, '\0');
	expect_refused(&file, "behind its last page");
}

static void test_each_cut_is_seen(void **state)
{
	static const uint32_t pages[] = {1, 2};
	_cleanup(str) struct str whole = {0};

	put_file(&whole, 9, pages, 2);
	for (size_t len = 0; len < whole.len; len += len < 64 ? 1 : 1021) {
		_cleanup(str) struct str file = {0};

		str_append_bytes(&file, whole.data, len);
		expect_refused(&file, "cut off");
	}
}

static void test_names(void **state)
{
	static const char *const names[][2] = {{"base/5/INCREMENTAL.16385", "base/5/16385"},
	                                       {"base/5/INCREMENTAL.16385_vm.1", "base/5/16385_vm.1"},
	                                       {"INCREMENTAL.1", "1"},
	                                       {"base/5/16385", NULL},
	                                       {"INCREMENTAL./1", NULL},
	                                       {"base/5/INCREMENTAL.", NULL}};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup(free) char *name = incremental_file_name(names[i][0]);

		if (!names[i][1])
			assert_null(name);
		else
			assert_string_equal(name, names[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_what_comes), cmocka_unit_test(test_no_padding),
	        cmocka_unit_test(test_bad_ones),   cmocka_unit_test(test_each_cut_is_seen),
	        cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

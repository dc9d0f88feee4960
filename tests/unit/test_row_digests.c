// SPDX-License-Identifier: Apache-2.0
/* The digest of each row, whatever pieces it comes in. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/row_digests.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

static int show_digest(void *arg, const struct row_digest *digest, struct error *err)
{
	str_appendf(arg, "%016llx%016llx\n", (unsigned long long)digest->high,
	            (unsigned long long)digest->low);
	return 0;
}

static void show_expected(const char *row, struct str *out)
{
	XXH128_hash_t hash = XXH3_128bits(row, strlen(row));

	str_appendf(out, "%016llx%016llx\n", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

/* @text in pieces of @piece bytes, each a copy of its own: reading beyond one is noticed. */
static int digest_text(const char *text, size_t piece, struct str *shown, struct error *err)
{
	_cleanup(row_digests) struct row_digests *d = row_digests_new(show_digest, shown);
	size_t len = strlen(text);
	int r = 0;

	for (size_t at = 0; r == 0 && at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		_cleanup(free) char *copy = mem_alloc(n);

		memcpy(copy, text + at, n);
		r = row_digests_feed(d, copy, n, err);
	}
	return r < 0 ? r : row_digests_end(d, err);
}

static void rows_in_pieces_of_any_size(void **state)
{
	static const char text[] = "1\tone\n\n2\ttwo and a rather longer text\\n of it\n\\\\.\n";
	_cleanup(str) struct str expected = {0};

	show_expected("1\tone", &expected);
	show_expected("", &expected);
	show_expected("2\ttwo and a rather longer text\\n of it", &expected);
	show_expected("\\\\.", &expected);
	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		_cleanup(str) struct str shown = {0};

		assert_int_equal(digest_text(text, piece, &shown, NULL), 0);
		assert_string_equal(str_text(&shown), str_text(&expected));
	}
}

static void no_rows_are_none(void **state)
{
	_cleanup(str) struct str shown = {0};

	assert_int_equal(digest_text("", 1, &shown, NULL), 0);
	assert_int_equal(shown.len, 0);
}

static void a_row_without_an_end_is_refused(void **state)
{
	for (size_t piece = 1; piece < 8; piece++) {
		_cleanup(str) struct str shown = {0};
		struct error err = {0};

		assert_int_equal(digest_text("1\n2", piece, &shown, &err), -EBADMSG);
		assert_int_equal(err.class, ERROR_CORRUPT);
		assert_string_equal(err.message, "the rows end within one");
	}
}

static int refuse_digest(void *arg, const struct row_digest *digest, struct error *err)
{
	return error_set(err, ERROR_NO_SPACE, ENOSPC, "the disk is full");
}

static void who_takes_the_digests_may_fail(void **state)
{
	_cleanup(row_digests) struct row_digests *d = row_digests_new(refuse_digest, NULL);
	struct error err = {0};

	assert_int_equal(row_digests_feed(d, "1\n2\n", 4, &err), -ENOSPC);
	assert_string_equal(err.message, "the disk is full");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rows_in_pieces_of_any_size),
	        cmocka_unit_test(no_rows_are_none),
	        cmocka_unit_test(a_row_without_an_end_is_refused),
	        cmocka_unit_test(who_takes_the_digests_may_fail),
	};

	return cmocka_run_group_tests_name("row_digests", tests, NULL, NULL);
}

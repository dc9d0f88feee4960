// SPDX-License-Identifier: Apache-2.0
/* Bytes as a JSON string, cut anywhere; what is no UTF-8 can be had again. */
#include <keepfs/base/mem.h>
#include <keepfs/codec/json_bytes.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_string(const char *bytes, size_t len, const char *expected)
{
	for (size_t piece = 1; piece <= len + 1; piece++) {
		_cleanup(str) struct str out = {0};
		struct json_bytes j = {0};

		for (size_t at = 0; at < len; at += piece) {
			size_t n = len - at < piece ? len - at : piece;
			_cleanup(free) char *copy = mem_alloc(n);

			memcpy(copy, bytes + at, n);
			json_bytes_append(&j, copy, n, &out);
		}
		json_bytes_end(&j, &out);
		assert_string_equal(str_text(&out), expected);
		assert_int_equal(j.count, 0);
	}
}

#define ASSERT_STRING(bytes, expected) assert_string(bytes, sizeof(bytes) - 1, expected)

static void text(void **state)
{
	ASSERT_STRING("", "");
	ASSERT_STRING("1\tone \"quoted\" \\N", "1\\tone \\\"quoted\\\" \\\\N");
	ASSERT_STRING("\x1b[0m\x7f", "\\u001b[0m\\u007f");
	ASSERT_STRING("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80!",
	              "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80!");
}

static void bytes_that_are_none(void **state)
{
	ASSERT_STRING("gr\xfc\xdf", "gr\\udcfc\\udcdf");
	ASSERT_STRING("\x80x", "\\udc80x");
	ASSERT_STRING("\xe2\x82", "\\udce2\\udc82");
	ASSERT_STRING("\xe2\x82x", "\\udce2\\udc82x");
	ASSERT_STRING("\xc3\xc3\xbc", "\\udcc3\xc3\xbc");
	ASSERT_STRING("\xf0\x9f\x98", "\\udcf0\\udc9f\\udc98");
	ASSERT_STRING("\xed\xa0\x80", "\\udced\\udca0\\udc80"); /* a surrogate */
	ASSERT_STRING("\xc0\x80", "\\udcc0\\udc80");            /* not the shortest form */
	ASSERT_STRING("a\0b", "a\\u0000b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(text),
	        cmocka_unit_test(bytes_that_are_none),
	};

	return cmocka_run_group_tests_name("json_bytes", tests, NULL, NULL);
}

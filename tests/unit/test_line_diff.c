// SPDX-License-Identifier: Apache-2.0
#include <keepfs/base/str.h>
#include <keepfs/codec/line_diff.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_lines(const char *a, const char *b, const char *expected)
{
	_cleanup(str) struct str out = {0};

	line_diff_append(a, strlen(a), b, strlen(b), &out);
	assert_string_equal(str_text(&out), expected);
}

static void small_texts(void **state)
{
	assert_lines("", "", "");
	assert_lines("a\nb\n", "a\nb\n", "");
	assert_lines("", "a\nb", "+a\n+b\n");
	assert_lines("a\n", "", "-a\n");
	assert_lines("a\nb\nc\n", "a\nx\nc\n", " a\n-b\n+x\n c\n");
	assert_lines("a\nb\nc\n", "b\nc\nd\n", "-a\n b\n c\n+d\n");
	assert_lines("a\na\na\n", "a\na\n", " a\n a\n-a\n");
	assert_lines("\n\n", "\nx\n\n", " \n+x\n \n");
}

static void far_lines_are_left_out(void **state)
{
	assert_lines("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\n5\nsix\n7\n8\n9\n",
	             " ...\n 3\n 4\n 5\n-6\n+six\n 7\n 8\n 9\n");
	assert_lines("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
	             "-a\n+A\n 1\n 2\n 3\n ...\n 5\n 6\n 7\n-b\n+B\n");
}

/* More than the table may have: each line is gone, and each is new; but for those at both ends. */
static void texts_that_are_too_long(void **state)
{
	_cleanup(str) struct str a = {0}, b = {0}, out = {0};
	unsigned gone = 0, added = 0;

	str_append(&a, "same\n");
	str_append(&b, "same\n");
	for (int i = 0; i < 3000; i++) {
		str_appendf(&a, "%d\n", i);
		str_appendf(&b, "%d\n", i + 1);
	}
	line_diff_append(str_text(&a), a.len, str_text(&b), b.len, &out);
	for (const char *line = str_text(&out); *line; line = strchr(line, '\n') + 1) {
		gone += *line == '-';
		added += *line == '+';
	}
	assert_int_equal(gone, 3000);
	assert_int_equal(added, 3000);
	assert_true(str_starts(str_text(&out), " same\n-0\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(small_texts),
	        cmocka_unit_test(far_lines_are_left_out),
	        cmocka_unit_test(texts_that_are_too_long),
	};

	return cmocka_run_group_tests_name("line_diff", tests, NULL, NULL);
}

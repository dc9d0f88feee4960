// SPDX-License-Identifier: Apache-2.0
/* codec/variables: which variables of two files have other values, and never what these are. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/variables.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void append_told(void *arg, const char *name, enum variable_difference what)
{
	static const char marks[] = "=!-+";

	str_appendf(arg, "%c%s ", marks[what], name);
}

static bool compare_texts(const char *first, const char *second, struct str *out)
{
	_cleanup(str) struct str a = {0}, b = {0};

	str_append(&a, first);
	str_append(&b, second);
	return variables_compare(&a, &b, append_told, out);
}

static void assert_told(const char *first, const char *second, const char *expected)
{
	_cleanup(str) struct str out = {0};

	assert_true(compare_texts(first, second, &out));
	assert_string_equal(str_text(&out), expected);
}

static void assert_none(const char *first, const char *second)
{
	_cleanup(str) struct str out = {0};

	assert_false(compare_texts(first, second, &out));
	assert_int_equal(out.len, 0);
	assert_false(compare_texts(second, first, &out));
	assert_int_equal(out.len, 0);
}

static void names_are_told(void **state)
{
	assert_told("A=1\nB=2\n", "A=1\nB=3\n", "=A !B ");
	assert_told("A=1\nB=2\nC=", "C=\nD=x\nA=1", "=A -B =C +D ");
	assert_told("# a comment\n\n  export A=\"x y\"  \r\nlog.level=debug\n",
	            "export A=\"x y\"\nlog.level=info", "=A !log.level ");
	assert_told("A=1\nA=2\n", "A=2\n", "=A ");
	assert_told("", "A=1\n", "+A ");
	assert_told("A=secret=\n", "A=secret\n", "!A ");
}

static void what_looks_like_it_is_not_shown(void **state)
{
	static const char *const texts[] = {
	        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC=\n-----END PRIVATE KEY-----\n",
	        "JBSWY3DPEHPK3PXP====\n",
	        "JBSWY3DPEHPK3PXPA=\n",
	        "c2VjcmV0IQ==\n",
	        "hunter2\n",
	        "A=1\nhunter2\n",
	        "=x\n",
	        "1A=x\n",
	        "Ab=x\n",
	        "a b=x\n",
	        "listen 80;\n",
	        "export\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_none(texts[i], "A=1\n");
	assert_none("", "");
	assert_none("# nothing\n", "\n");
}

static void long_texts(void **state)
{
	_cleanup(str) struct str many = {0}, name = {0}, nul = {0}, out = {0}, small = {0};

	for (size_t i = 0; i <= VARIABLES_MOST; i++)
		str_appendf(&many, "V%zu=1\n", i);
	assert_none(str_text(&many), "A=1\n");
	for (size_t i = 0; i < VARIABLE_NAME_BYTES; i++)
		str_append_char(&name, 'N');
	str_append(&name, "=1\n");
	assert_none(str_text(&name), "A=1\n");
	str_append_bytes(&nul, "A=1\0B=2\n", 8);
	str_append(&small, "A=1\n");
	assert_false(variables_compare(&nul, &small, append_told, &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(names_are_told),
	                                   cmocka_unit_test(what_looks_like_it_is_not_shown),
	                                   cmocka_unit_test(long_texts)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Rows of COPY's text format as JSON: each kind of value, what is refused of each, and what is redacted. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/copy_json.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char test_key[COPY_JSON_KEY_BYTES] = "0123456789abcdef0123456789abcdef";

/* The row is a copy of its own length: reading beyond it is noticed by sanitizers. */
static int to_json_bytes(const struct copy_json_column *columns, size_t count, const char *row, size_t len,
                         struct str *out, struct error *err)
{
	_cleanup(copy_json) struct copy_json *j = NULL;
	_cleanup(free) char *copy = mem_alloc(len);
	int r = copy_json_new(columns, count, test_key, &j, err);

	memcpy(copy, row, len);
	return r < 0 ? r : copy_json_row(j, copy, len, out, err);
}

static void expect_row(const struct copy_json_column *columns, size_t count, const char *row,
                       const char *expected)
{
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	if (to_json_bytes(columns, count, row, strlen(row), &out, &err) < 0)
		fail_msg("%s: %s", row, err.message);
	assert_string_equal(str_text(&out), expected);
	assert_int_equal(out.len, strlen(expected));
}

static void expect_row_refused(const struct copy_json_column *columns, size_t count, const char *row,
                               size_t len, const char *message)
{
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	str_append(&out, "before");
	if (to_json_bytes(columns, count, row, len, &out, &err) != -EBADMSG)
		fail_msg("%s was taken: %s", row, str_text(&out));
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_string_equal(err.message, message);
	assert_string_equal(str_text(&out), "before");
	assert_int_equal(out.len, 6);
}

/* One value, alone in its row and between two others, which moves it to other places of the steps. */
static void expect_column(struct copy_json_column column, const char *value, const char *expected)
{
	const struct copy_json_column columns[] = {{.name = "first"}, column, {.name = "the last one"}};
	_cleanup(free) char *alone = mem_printf("{\"v\":%s}", expected);

	expect_row(&column, 1, value, alone);
	for (int before = 0; before < 18; before++) {
		_cleanup(free) char *row = mem_printf("%.*s\t%s\tx", before, "aaaaaaaaaaaaaaaaaa", value);
		_cleanup(free) char *json = mem_printf("{\"first\":\"%.*s\",\"v\":%s,\"the last one\":\"x\"}",
		                                       before, "aaaaaaaaaaaaaaaaaa", expected);

		expect_row(columns, 3, row, json);
	}
}

static void expect_column_refused(struct copy_json_column column, const char *value, const char *what)
{
	const struct copy_json_column columns[] = {column, {.name = "last"}};
	_cleanup(free) char *message = mem_printf("the column \"v\" has a value that is %s", what);
	_cleanup(free) char *more = mem_printf("%s\tsome more text behind it", value);

	expect_row_refused(&column, 1, value, strlen(value), message);
	expect_row_refused(columns, 2, more, strlen(more), message);
}

static struct copy_json_column column_of(enum copy_json_kind kind)
{
	return (struct copy_json_column){.name = "v", .kind = kind};
}

static struct copy_json_column array_of(enum copy_json_kind kind)
{
	return (struct copy_json_column){.name = "v", .kind = kind, .is_array = true, .delimiter = ','};
}

static void expect_kind(enum copy_json_kind kind, const char *value, const char *expected)
{
	expect_column(column_of(kind), value, expected);
}

static void expect_array(enum copy_json_kind kind, const char *value, const char *expected)
{
	expect_column(array_of(kind), value, expected);
}

#define NOT_UTF8_MESSAGE "not UTF-8: correct it in the database, or have the column omitted"

static void test_texts(void **state)
{
	expect_kind(COPY_JSON_TEXT, "", "\"\"");
	expect_kind(COPY_JSON_TEXT, "\\N", "null");
	expect_kind(COPY_JSON_TEXT, "plain", "\"plain\"");
	expect_kind(COPY_JSON_TEXT, "exactly sixteen.", "\"exactly sixteen.\"");
	expect_kind(COPY_JSON_TEXT, "some more than sixteen bytes of plain text",
	            "\"some more than sixteen bytes of plain text\"");
	expect_kind(COPY_JSON_TEXT, "say \"x\"", "\"say \\\"x\\\"\"");
	expect_kind(COPY_JSON_TEXT, "\\b\\f\\n\\r\\t\\v", "\"\\b\\f\\n\\r\\t\\u000b\"");
	expect_kind(COPY_JSON_TEXT, "back\\\\slash\\\\", "\"back\\\\slash\\\\\"");
	expect_kind(COPY_JSON_TEXT, "\\\\N", "\"\\\\N\"");
	expect_kind(COPY_JSON_TEXT, "\x01 \x1f \x7f", "\"\\u0001 \\u001f \x7f\"");
	expect_kind(COPY_JSON_TEXT, "a/b </script>", "\"a/b </script>\"");
	expect_kind(COPY_JSON_TEXT, "äöü 漢字 🐘 and more", "\"äöü 漢字 🐘 and more\"");
	expect_kind(COPY_JSON_TEXT, "a character across a step: ä漢🐘", "\"a character across a step: ä漢🐘\"");
}

static void test_escapes_that_no_server_writes(void **state)
{
	static const char *const values[] = {"\\.", "\\101", "\\x41", "\\q",  "\\",
	                                     "x\\", "\\Nx",  "x\\N",  "\\\"", "\\ä"};
	static const enum copy_json_kind kinds[] = {COPY_JSON_TEXT, COPY_JSON_JSON};

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			struct copy_json_column column = column_of(kinds[k]);

			expect_row_refused(
			        &column, 1, values[i], strlen(values[i]),
			        "the column \"v\" has an escape that no server writes: the rows are damaged");
		}
	}
}

/* RFC 3629: the first and the last character of each length are some, and what is beside them is none. */
static void test_utf8(void **state)
{
	static const char *const good[] = {"\xc2\x80",         "\xdf\xbf",        "\xe0\xa0\x80",
	                                   "\xed\x9f\xbf",     "\xee\x80\x80",    "\xef\xbf\xbf",
	                                   "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80",
	                                  "\xbf",
	                                  "\xc0\x80",
	                                  "\xc1\xbf",
	                                  "\xc3",
	                                  "\xc3(",
	                                  "\xe0\x9f\xbf",
	                                  "\xed\xa0\x80",
	                                  "\xed\xbf\xbf",
	                                  "\xe2\x82",
	                                  "\xe2(\xa1",
	                                  "\xe2\x82(",
	                                  "\xf0\x8f\xbf\xbf",
	                                  "\xf4\x90\x80\x80",
	                                  "\xf0\x90\x80",
	                                  "\xf0(\x90\x80",
	                                  "\xf0\x90(\x80",
	                                  "\xf0\x90\x80(",
	                                  "\xf5\x80\x80\x80",
	                                  "\xff",
	                                  "gr\xf6\xdf"
	                                  "e",
	                                  "sixteen ASCII by\xfftes"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup(free) char *json = mem_printf("\"%s\"", good[i]);

		expect_kind(COPY_JSON_TEXT, good[i], json);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup(free) char *array = mem_printf("{%s}", bad[i]), *json = mem_printf("\"%s\"", bad[i]);

		expect_column_refused(column_of(COPY_JSON_TEXT), bad[i], NOT_UTF8_MESSAGE);
		expect_column_refused(array_of(COPY_JSON_TEXT), array, NOT_UTF8_MESSAGE);
		expect_column_refused(column_of(COPY_JSON_JSON), json, NOT_UTF8_MESSAGE);
	}
	/* An escape does not join two halves. */
	expect_column_refused(column_of(COPY_JSON_TEXT), "\xc3\\n\xa4", NOT_UTF8_MESSAGE);
}

static void test_booleans(void **state)
{
	static const char *const bad[] = {"", "true", "T", "1", "tf", "\\n", "ä"};

	expect_kind(COPY_JSON_BOOL, "t", "true");
	expect_kind(COPY_JSON_BOOL, "f", "false");
	expect_kind(COPY_JSON_BOOL, "\\N", "null");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_column_refused(column_of(COPY_JSON_BOOL), bad[i], "no boolean");
}

static void test_integers(void **state)
{
	static const char *const numbers[] = {"0",
	                                      "7",
	                                      "-7",
	                                      "2147483647",
	                                      "-2147483648",
	                                      "99999999999999",
	                                      "999999999999999",
	                                      "-99999999999999",
	                                      "1000000000000000",
	                                      "9007199254740991",
	                                      "9007199254740992",
	                                      "-9007199254740992",
	                                      "9000000000000000"};
	static const char *const strings[] = {"9007199254740993",
	                                      "-9007199254740993",
	                                      "9007199254741000",
	                                      "10000000000000000",
	                                      "9223372036854775807",
	                                      "-9223372036854775808",
	                                      "1000000000000000000000000000000"};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		expect_kind(COPY_JSON_NUMBER, numbers[i], numbers[i]);
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		_cleanup(free) char *json = mem_printf("\"%s\"", strings[i]);

		expect_kind(COPY_JSON_NUMBER, strings[i], json);
	}
}

static void test_fractions(void **state)
{
	static const char *const numbers[] = {"5.10",
	                                      "0.5",
	                                      "-0.25",
	                                      "0.0",
	                                      "123456789.012345",
	                                      "1234567890123.45",
	                                      "0.123456789012345",
	                                      "0.00000000000000000001",
	                                      "-0.00000000000000000001",
	                                      "1.00000000000000000000000",
	                                      "99999999999999.9",
	                                      "0.000000000000000000000000123456789012345"};
	static const char *const strings[] = {"1234567890123.456", "0.1234567890123456", "1234567890123456.5",
	                                      "-1.234567890123456", "3.14159265358979323846"};
	_cleanup(free) char *small = mem_printf("0.%0*d", 291, 1), *too_small = mem_printf("0.%0*d", 292, 1);
	_cleanup(free) char *json = mem_printf("\"%s\"", too_small);

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		expect_kind(COPY_JSON_NUMBER, numbers[i], numbers[i]);
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		_cleanup(free) char *string = mem_printf("\"%s\"", strings[i]);

		expect_kind(COPY_JSON_NUMBER, strings[i], string);
	}
	/* Below that a double has fewer digits, and in the end none. */
	expect_kind(COPY_JSON_NUMBER, small, small);
	expect_kind(COPY_JSON_NUMBER, too_small, json);
}

static void test_special_numbers(void **state)
{
	static const enum copy_json_kind kinds[] = {COPY_JSON_NUMBER, COPY_JSON_FLOAT};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		expect_kind(kinds[i], "NaN", "\"NaN\"");
		expect_kind(kinds[i], "Infinity", "\"Infinity\"");
		expect_kind(kinds[i], "-Infinity", "\"-Infinity\"");
		expect_kind(kinds[i], "\\N", "null");
	}
}

static void test_floats(void **state)
{
	static const char *const values[] = {"0",
	                                     "-0",
	                                     "1.5",
	                                     "1e+20",
	                                     "1e-07",
	                                     "1.7976931348623157e+308",
	                                     "-2.2250738585072014e-308",
	                                     "5e-324",
	                                     "3.4028235e+38",
	                                     "0.30000000000000004",
	                                     "123456789012345680"};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		expect_kind(COPY_JSON_FLOAT, values[i], values[i]);
}

static void test_what_is_no_number(void **state)
{
	static const char *const bad[] = {"",
	                                  "-",
	                                  "+1",
	                                  "x",
	                                  "1x",
	                                  "x1",
	                                  "01",
	                                  "-01",
	                                  "007",
	                                  "00",
	                                  "1.",
	                                  ".5",
	                                  "-.5",
	                                  "1..2",
	                                  "1.2.3",
	                                  "--1",
	                                  "1-",
	                                  "nan",
	                                  "NaNs",
	                                  "infinity",
	                                  "0x10",
	                                  " 1",
	                                  "1 ",
	                                  "1,5",
	                                  "1_000",
	                                  "\\n",
	                                  "1\\n",
	                                  "ä",
	                                  "1.5.",
	                                  "12345678901234567890x",
	                                  "00000000000000000001"};
	static const char *const bad_floats[] = {"e5", "1e", "1e+", "1e5.0", "1ee5", "1e5x"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		expect_column_refused(column_of(COPY_JSON_NUMBER), bad[i], "no number");
		expect_column_refused(column_of(COPY_JSON_FLOAT), bad[i], "no number");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad_floats); i++)
		expect_column_refused(column_of(COPY_JSON_FLOAT), bad_floats[i], "no number");
	expect_column_refused(column_of(COPY_JSON_NUMBER), "1e5",
	                      "no number"); /* numeric_out() has no exponents */
}

static void test_timestamps(void **state)
{
	expect_kind(COPY_JSON_TIMESTAMP, "2026-11-20 02:00:00", "\"2026-11-20T02:00:00\"");
	expect_kind(COPY_JSON_TIMESTAMP, "2026-11-20 02:00:00.123456", "\"2026-11-20T02:00:00.123456\"");
	expect_kind(COPY_JSON_TIMESTAMP, "294276-12-31 23:59:59.999999", "\"294276-12-31T23:59:59.999999\"");
	expect_kind(COPY_JSON_TIMESTAMP, "0044-03-15 12:00:00 BC", "\"0044-03-15T12:00:00 BC\"");
	expect_kind(COPY_JSON_TIMESTAMP, "infinity", "\"infinity\"");
	expect_kind(COPY_JSON_TIMESTAMPTZ, "-infinity", "\"-infinity\"");
	expect_kind(COPY_JSON_TIMESTAMPTZ, "2026-11-20 02:00:00+00", "\"2026-11-20T02:00:00+00:00\"");
	expect_kind(COPY_JSON_TIMESTAMPTZ, "2026-11-20 02:00:00.5+05:30", "\"2026-11-20T02:00:00.5+05:30\"");
	expect_kind(COPY_JSON_TIMESTAMPTZ, "1880-01-01 00:00:00-00:53:28",
	            "\"1880-01-01T00:00:00-00:53:28\"");
	expect_kind(COPY_JSON_TIMESTAMPTZ, "0044-03-15 12:00:00+00 BC", "\"0044-03-15T12:00:00+00:00 BC\"");
	expect_kind(COPY_JSON_TIMESTAMPTZ, "\\N", "null");
}

static void test_what_is_no_timestamp(void **state)
{
	static const char *const bad[] = {"",
	                                  "2026-11-20",
	                                  "2026-11-20T02:00:00",
	                                  "2026-11-20 02:00",
	                                  "2026-11-20 02:00:0",
	                                  "26-11-20 02:00:00",
	                                  "2026-11-20 02:00:00.",
	                                  "2026-11-20 02:00:00 AD",
	                                  "2026-11-20 02:00:00x",
	                                  "2026-1-20 02:00:00",
	                                  "infinite",
	                                  "Infinity",
	                                  "20/11/2026 02:00:00",
	                                  "\\n",
	                                  "2026-11-20 02:00:00\"",
	                                  "2026-11-20 02:00:00 BC "};
	static const char *const bad_zones[] = {"2026-11-20 02:00:00",     "2026-11-20 02:00:00+0",
	                                        "2026-11-20 02:00:00+00:", "2026-11-20 02:00:00+00:0",
	                                        "2026-11-20 02:00:00 UTC", "2026-11-20 02:00:00Z",
	                                        "2026-11-20 02:00:00+00BC"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		expect_column_refused(column_of(COPY_JSON_TIMESTAMP), bad[i], "no timestamp");
		expect_column_refused(column_of(COPY_JSON_TIMESTAMPTZ), bad[i], "no timestamp");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad_zones); i++)
		expect_column_refused(column_of(COPY_JSON_TIMESTAMPTZ), bad_zones[i], "no timestamp");
	expect_column_refused(column_of(COPY_JSON_TIMESTAMP), "2026-11-20 02:00:00+00", "no timestamp");
}

/* Each is its own JSON, but for COPY's escapes. */
static void test_json(void **state)
{
	static const char *const values[] = {
	        "null",
	        "true",
	        "false",
	        "0",
	        "-0",
	        "1",
	        "1.50",
	        "1e5",
	        "-1.5E-7",
	        "\"\"",
	        "\"text\"",
	        "{}",
	        "[]",
	        "[[]]",
	        "[{}, {}]",
	        "{\"a\": {}}",
	        "{\"a\": 1, \"b\": [1, 2.50, \"x\", null, true, {\"c\": false}]}",
	        "{\"a\":1,\"a\":2}",
	        "123456789012345678901234567890.123456789",
	        "\"äöü 漢字 🐘\"",
	        "{ \"a\" : 1 }",
	        "  [ 1 , 2 ]  ",
	        "{\"\": \"\"}",
	        "[\"some more than sixteen bytes of text\"]"};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		expect_kind(COPY_JSON_JSON, values[i], values[i]);
	expect_kind(COPY_JSON_JSON, "\\N", "null");
	expect_kind(COPY_JSON_JSON, "\"\\\\\"\\\\\\\\\\\\/\\\\b\\\\f\\\\n\\\\r\\\\t\\\\u00e4\\\\uD83D\"",
	            "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\uD83D\"");
}

static void test_json_on_one_line(void **state)
{
	expect_kind(COPY_JSON_JSON, "{\\n\\t\"a\": [\\r\\n\\t1,\\n\\t2 ],\\n\"b\"\\n:\\t3\\n}\\n",
	            "{  \"a\": [   1,  2 ], \"b\" : 3 } ");
	expect_kind(COPY_JSON_JSON, "\\n1\\n", " 1 ");
}

static void test_what_is_no_json(void **state)
{
	static const char *const bad[] = {"",
	                                  " ",
	                                  "{",
	                                  "[",
	                                  "}",
	                                  "]",
	                                  "{]",
	                                  "[}",
	                                  "[1",
	                                  "[1,",
	                                  "[1,]",
	                                  "[,1]",
	                                  "[1 2]",
	                                  "{\"a\"",
	                                  "{\"a\":",
	                                  "{\"a\":1",
	                                  "{\"a\":1,",
	                                  "{\"a\":1,}",
	                                  "{a:1}",
	                                  "{1:2}",
	                                  "{\"a\" 1}",
	                                  "{\"a\":1 \"b\":2}",
	                                  "{\"a\"::1}",
	                                  "\"",
	                                  "\"abc",
	                                  "\"abc\\\\",
	                                  "\"abc\\\\\"",
	                                  "\"\\\\q\"",
	                                  "\"\\\\u12\"",
	                                  "\"\\\\u123g\"",
	                                  "\"\\\\u",
	                                  "\"line\\n\"",
	                                  "\"tab\\t\"",
	                                  "\"\x01\"",
	                                  "tru",
	                                  "truex",
	                                  "True",
	                                  "nul",
	                                  "nil",
	                                  "NaN",
	                                  "Infinity",
	                                  "01",
	                                  "-",
	                                  "1.",
	                                  ".5",
	                                  "1e",
	                                  "1e+",
	                                  "+1",
	                                  "0x1",
	                                  "1 2",
	                                  "[] []",
	                                  "{} x",
	                                  "'a'",
	                                  "[1]]",
	                                  "\"a\" \"b\"",
	                                  "-a",
	                                  "\\\\",
	                                  "[1}",
	                                  "{\"a\":1]",
	                                  "[[1]",
	                                  "{\"a\":{\"b\":1}",
	                                  "//",
	                                  "\v1"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_column_refused(column_of(COPY_JSON_JSON), bad[i], "no JSON");
}

static void fill_levels(struct str *s, size_t levels, char open, char close)
{
	for (size_t i = 0; i < levels; i++)
		str_append_char(s, open);
	for (size_t i = 0; i < levels; i++)
		str_append_char(s, close);
}

static void test_nested_json(void **state)
{
	const struct copy_json_column column = column_of(COPY_JSON_JSON);
	_cleanup(str) struct str deep = {0}, too_deep = {0}, endless = {0}, out = {0};
	struct error err = {0};

	fill_levels(&deep, COPY_JSON_DEPTH_MAX, '[', ']');
	fill_levels(&too_deep, COPY_JSON_DEPTH_MAX + 1, '[', ']');
	for (int i = 0; i < 1000000; i++)
		str_append(&endless, "{\"a\":");
	assert_int_equal(to_json_bytes(&column, 1, deep.data, deep.len, &out, &err), 0);
	assert_int_equal(out.len, deep.len + 6);
	expect_row_refused(&column, 1, too_deep.data, too_deep.len,
	                   "the column \"v\" has JSON that is nested more than 100000 levels deep");
	expect_row_refused(&column, 1, endless.data, endless.len,
	                   "the column \"v\" has JSON that is nested more than 100000 levels deep");
}

static void test_arrays(void **state)
{
	struct copy_json_column boxes = array_of(COPY_JSON_TEXT);

	expect_array(COPY_JSON_NUMBER, "{}", "[]");
	expect_array(COPY_JSON_NUMBER, "\\N", "null");
	expect_array(COPY_JSON_NUMBER, "{1,2,NULL,-3.50,9007199254740993,NaN}",
	             "[1,2,null,-3.50,\"9007199254740993\",\"NaN\"]");
	expect_array(COPY_JSON_NUMBER, "{{1,2},{3,4}}", "[[1,2],[3,4]]");
	expect_array(COPY_JSON_NUMBER, "{{{1},{2}},{{3},{NULL}}}", "[[[1],[2]],[[3],[null]]]");
	expect_array(COPY_JSON_NUMBER, "[0:1]={1,2}", "\"[0:1]={1,2}\"");
	expect_array(COPY_JSON_FLOAT, "{1e+20,Infinity}", "[1e+20,\"Infinity\"]");
	expect_array(COPY_JSON_BOOL, "{t,f,NULL}", "[true,false,null]");
	expect_array(COPY_JSON_TEXT, "{a,b c,\"\",NULL,\"NULL\",null}",
	             "[\"a\",\"b c\",\"\",null,\"NULL\",\"null\"]");
	expect_array(COPY_JSON_TEXT, "{\"a,b\",\"{x}\",\"\\\\\"\",\"\\\\\\\\\"}",
	             "[\"a,b\",\"{x}\",\"\\\"\",\"\\\\\"]");
	expect_array(COPY_JSON_TEXT,
	             "{\"line\\nbreak\",\"tab\\t\",\"äöü\",some more than sixteen bytes of text}",
	             "[\"line\\nbreak\",\"tab\\t\",\"äöü\",\"some more than sixteen bytes of text\"]");
	expect_array(COPY_JSON_TEXT, "{\"\\\\\\\\x00ff\",\"\\\\\\\\x\"}",
	             "[\"\\\\x00ff\",\"\\\\x\"]"); /* bytea */
	expect_array(COPY_JSON_TIMESTAMPTZ, "{\"2026-11-20 02:00:00+00\",infinity}",
	             "[\"2026-11-20T02:00:00+00:00\",\"infinity\"]");
	expect_array(COPY_JSON_TIMESTAMP, "{\"2026-11-20 02:00:00\"}", "[\"2026-11-20T02:00:00\"]");
	expect_array(COPY_JSON_JSON,
	             "{1,true,null,NULL,\"{\\\\\"a\\\\\": [1, 2]}\",\"\\\\\"x\\\\\\\\\\\\\"\\\\\"\"}",
	             "[1,true,null,null,{\"a\": [1, 2]},\"x\\\"\"]");
	boxes.delimiter = ';';
	expect_column(boxes, "{(1,1),(0,0);(2,2),(1,1)}", "[\"(1,1),(0,0)\",\"(2,2),(1,1)\"]");
}

static void test_what_is_no_array(void **state)
{
	static const char *const bad[] = {"",
	                                  "1",
	                                  "{",
	                                  "{1",
	                                  "{1,",
	                                  "{1,}",
	                                  "{,1}",
	                                  "{1}}",
	                                  "{1}x",
	                                  "{{1}",
	                                  "{{}}",
	                                  "{{},{}}",
	                                  "}",
	                                  "{1;2}x",
	                                  "{1\"2\"}",
	                                  "{1{2}}",
	                                  "{{{{{{{1}}}}}}}",
	                                  "x{1}",
	                                  " {1}"};
	static const char *const bad_texts[] = {"{\"a}",    "{\"a\\\\\"}", "{\"a\"b}", "{\"a\"\"b\"}",
	                                        "{a\\\\b}", "{\"",         "{\"\\\\"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		expect_column_refused(array_of(COPY_JSON_TEXT), bad[i], "no array");
		if (!strchr(bad[i], ';') && !strchr(bad[i], '"'))
			expect_column_refused(array_of(COPY_JSON_NUMBER), bad[i], "no array");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad_texts); i++)
		expect_column_refused(array_of(COPY_JSON_TEXT), bad_texts[i], "no array");
	expect_column_refused(array_of(COPY_JSON_BOOL), "{t,true}", "no boolean");
	expect_column_refused(array_of(COPY_JSON_NUMBER), "{1,x}", "no number");
	expect_column_refused(array_of(COPY_JSON_NUMBER), "{\"\"}", "no number");
	expect_column_refused(array_of(COPY_JSON_TIMESTAMP), "{2026}", "no timestamp");
	expect_column_refused(array_of(COPY_JSON_JSON), "{\"{\"}", "no JSON");
	expect_column_refused(array_of(COPY_JSON_JSON), "{x}", "no JSON");
}

static void test_number_of_fields(void **state)
{
	static const struct copy_json_column columns[] = {{.name = "a"}, {.name = "b"}};

	expect_row(columns, 2, "1\t2", "{\"a\":\"1\",\"b\":\"2\"}");
	expect_row(columns, 2, "\t", "{\"a\":\"\",\"b\":\"\"}");
	expect_row(columns, 2, "\\N\t\\N", "{\"a\":null,\"b\":null}");
	expect_row(columns, 1, "", "{\"a\":\"\"}");
	expect_row(NULL, 0, "", "{}");
	expect_row_refused(columns, 2, "1", 1, "a row has 1 fields, and 2 columns were asked for");
	expect_row_refused(columns, 2, "", 0, "a row has 1 fields, and 2 columns were asked for");
	expect_row_refused(columns, 2, "\\N", 2, "a row has 1 fields, and 2 columns were asked for");
	expect_row_refused(columns, 2, "1\t2\t3", 5, "a row has 3 fields, and 2 columns were asked for");
	expect_row_refused(columns, 2, "1\t2\t", 4, "a row has 3 fields, and 2 columns were asked for");
	expect_row_refused(NULL, 0, "x", 1, "a row has 1 fields, and 0 columns were asked for");
}

static void test_names(void **state)
{
	static const struct copy_json_column columns[] = {
	        {.name = "say \"x\"\n"}, {.name = "Größe, in Metern und noch mehr 漢字"}, {.name = ""}};
	static const struct copy_json_column bad[] = {{.name = "gr\xf6\xdf"
	                                                       "e"}};
	struct copy_json *j = NULL;
	struct error err = {0};

	expect_row(columns, 3, "1\t2\t3",
	           "{\"say \\\"x\\\"\\n\":\"1\",\"Größe, in Metern und noch mehr 漢字\":\"2\",\"\":\"3\"}");
	assert_int_equal(copy_json_new(bad, 1, NULL, &j, &err), -EBADMSG);
	assert_string_equal(err.message, "the name of a column is not UTF-8");
	assert_null(j);
}

/* A NUL cannot be in a text of a server. Nothing behind it is lost. */
static void test_nul_bytes(void **state)
{
	static const enum copy_json_kind kinds[] = {COPY_JSON_BOOL, COPY_JSON_NUMBER, COPY_JSON_FLOAT,
	                                            COPY_JSON_JSON, COPY_JSON_TIMESTAMP};
	struct copy_json_column column = column_of(COPY_JSON_TEXT), array = array_of(COPY_JSON_TEXT);
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	assert_int_equal(to_json_bytes(&column, 1, "a\0b", 3, &out, &err), 0);
	assert_string_equal(str_text(&out), "{\"v\":\"a\\u0000b\"}");
	expect_row_refused(&array, 1, "{a}\0", 4, "the column \"v\" has a value that is no array");
	expect_row_refused(&array, 1, "{\"a\0\"}", 6, "the column \"v\" has a value that is no array");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		column = column_of(kinds[i]);
		assert_int_equal(to_json_bytes(&column, 1, "1\0", 2, &out, &err), -EBADMSG);
	}
}

/* One value of eight megabytes that needs all of what it may become, and others beside it. */
static void test_huge_values(void **state)
{
	static const struct copy_json_column columns[] = {
	        {.name = "a"}, {.name = "b", .kind = COPY_JSON_JSON}, {.name = "c"}};
	size_t n = (size_t)8 << 20;
	_cleanup(str) struct str row = {0}, out = {0}, expected = {0};
	_cleanup(copy_json) struct copy_json *j = NULL;
	struct error err = {0};

	str_append(&expected, "{\"a\":\"");
	for (size_t i = 0; i < n; i++) {
		str_append_char(&row, '\x01');
		str_append(&expected, "\\u0001");
	}
	str_append(&row, "\t[\"");
	str_append(&expected, "\",\"b\":[\"");
	for (size_t i = 0; i < n; i++) {
		str_append_char(&row, 'x');
		str_append_char(&expected, 'x');
	}
	str_append(&row, "\"]\t\"end\"");
	str_append(&expected, "\"],\"c\":\"\\\"end\\\"\"}");
	assert_int_equal(copy_json_new(columns, 3, NULL, &j, &err), 0);
	for (int i = 0; i < 2; i++) {
		str_clear(&out);
		assert_int_equal(copy_json_row(j, row.data, row.len, &out, &err), 0);
		assert_int_equal(out.len, expected.len);
		assert_memory_equal(out.data, expected.data, expected.len);
	}
}

/* Many rows into one text, as an export does: each is behind the ones before. */
static void test_rows_are_appended(void **state)
{
	static const struct copy_json_column columns[] = {{.name = "a", .kind = COPY_JSON_NUMBER},
	                                                  {.name = "b"}};
	_cleanup(copy_json) struct copy_json *j = NULL;
	_cleanup(str) struct str out = {0}, expected = {0};
	struct error err = {0};

	assert_int_equal(copy_json_new(columns, 2, NULL, &j, &err), 0);
	for (int i = 0; i < 5000; i++) {
		_cleanup(free) char *row = mem_printf("%d\t\"%d\"", i, i);

		assert_int_equal(copy_json_row(j, row, strlen(row), &out, &err), 0);
		str_append_char(&out, '\n');
		str_appendf(&expected, "{\"a\":%d,\"b\":\"\\\"%d\\\"\"}\n", i, i);
		if (i % 100 == 0) /* what fails leaves nothing behind */
			assert_int_equal(copy_json_row(j, "1\t2\t3", 5, &out, &err), -EBADMSG);
	}
	assert_string_equal(str_text(&out), str_text(&expected));
}

/* Redaction. */

static char *hash_of(const char *text)
{
	uint8_t mac[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	hmac_sha256(test_key, sizeof(test_key), text, strlen(text), mac);
	hex_encode(mac, sizeof(mac), hex);
	return mem_printf("\"hash:%.32s\"", hex);
}

static void test_redacted_columns(void **state)
{
	struct copy_json_column columns[] = {{.name = "a", .how = COPY_JSON_OMIT},
	                                     {.name = "b", .how = COPY_JSON_NULL},
	                                     {.name = "c", .how = COPY_JSON_MASK},
	                                     {.name = "d", .how = COPY_JSON_HASH},
	                                     {.name = "e", .how = COPY_JSON_OMIT}};
	_cleanup(free) char *hash = hash_of("sec\nret ä"), *empty_hash = hash_of("");
	_cleanup(free) char *json = mem_printf("{\"b\":null,\"c\":\"***\",\"d\":%s}", hash);
	_cleanup(free) char *empty = mem_printf("{\"b\":null,\"c\":\"***\",\"d\":%s}", empty_hash);

	assert_int_equal(strlen(hash), 39);
	expect_row(columns, 5, "1\t2\t3\tsec\\nret ä\t5", json);
	expect_row(columns, 5, "\t\t\t\t", empty);
	expect_row(columns, 5, "\\N\t\\N\t\\N\t\\N\t\\N", "{\"b\":null,\"c\":null,\"d\":null}");
	expect_row(columns, 1, "anything \xff at all\\q", "{}");
	/* It is not looked at, but it has to be there. */
	expect_row_refused(columns, 2, "x", 1, "a row has 1 fields, and 2 columns were asked for");
	for (size_t i = 1; i < 4; i++) {
		columns[i].kind = COPY_JSON_JSON;
		columns[i].is_array = true;
		columns[i].delimiter = ',';
	}
	expect_row(columns, 5, "1\t2\t3\tsec\\nret ä\t5", json);
}

static struct copy_json_column json_with(const struct copy_json_path *paths, size_t count)
{
	return (struct copy_json_column){
	        .name = "v", .kind = COPY_JSON_JSON, .paths = paths, .path_count = count};
}

static void expect_path(char *const *keys, size_t key_count, enum copy_json_redaction how, const char *value,
                        const char *expected)
{
	const struct copy_json_path path = {keys, key_count, how};

	expect_column(json_with(&path, 1), value, expected);
}

static void test_redacted_paths(void **state)
{
	char *const token[] = {(char *)"token"}, *const deep[] = {(char *)"a", (char *)"b"},
	            *const any[] = {(char *)"*", (char *)"k"}, *const all[] = {(char *)"*"};

	expect_path(token, 1, COPY_JSON_OMIT, "{\"token\": \"x\"}", "{}");
	expect_path(token, 1, COPY_JSON_OMIT, "{\"a\": 1, \"token\": \"x\", \"b\": [2, 3]}",
	            "{\"a\":1,\"b\":[2, 3]}");
	expect_path(token, 1, COPY_JSON_OMIT, "{\"token\": 1, \"a\": 2, \"token\": {\"token\": 3}}",
	            "{\"a\":2}");
	expect_path(token, 1, COPY_JSON_NULL, "{\"token\":[1, {\"x\": 2}],\"a\":1.50}",
	            "{\"token\":null,\"a\":1.50}");
	expect_path(token, 1, COPY_JSON_MASK, "{\"token\": 1}", "{\"token\":\"***\"}");
	expect_path(token, 1, COPY_JSON_MASK, "{\"token\": null}", "{\"token\":null}");
	expect_path(token, 1, COPY_JSON_OMIT,
	            "{\"tok\": 1, \"tokens\": 2, \"Token\": 3, \"a\": {\"token\": 4}}",
	            "{\"tok\":1,\"tokens\":2,\"Token\":3,\"a\":{\"token\": 4}}");
	expect_path(token, 1, COPY_JSON_OMIT, "[{\"token\": 1}]", "[{\"token\": 1}]");
	expect_path(token, 1, COPY_JSON_OMIT, "\"token\"", "\"token\"");
	expect_path(token, 1, COPY_JSON_OMIT, "{}", "{}");
	expect_path(token, 1, COPY_JSON_OMIT, " [ ] ", "[]");
	expect_path(token, 1, COPY_JSON_OMIT, "\\N", "null");
	expect_path(deep, 2, COPY_JSON_OMIT,
	            "{\"a\": {\"b\": 1, \"c\": 2}, \"b\": 3, \"a\": {\"b\": 4}, \"c\": {\"b\": 5}}",
	            "{\"a\":{\"c\":2},\"b\":3,\"a\":{},\"c\":{\"b\": 5}}");
	expect_path(deep, 2, COPY_JSON_OMIT, "{\"a\": [{\"b\": 1}], \"x\": {\"a\": {\"b\": 2}}}",
	            "{\"a\":[{\"b\": 1}],\"x\":{\"a\": {\"b\": 2}}}");
	expect_path(deep, 2, COPY_JSON_OMIT, "{\"a\": 1}", "{\"a\":1}");
	expect_path(any, 2, COPY_JSON_MASK, "[{\"k\": 1}, {\"x\": {\"k\": 2}}, 3, [{\"k\": 4}]]",
	            "[{\"k\":\"***\"},{\"x\":{\"k\": 2}},3,[{\"k\": 4}]]");
	expect_path(any, 2, COPY_JSON_MASK, "{\"a\": {\"k\": 1}, \"b\": {\"k\": 2}}",
	            "{\"a\":{\"k\":\"***\"},\"b\":{\"k\":\"***\"}}");
	expect_path(all, 1, COPY_JSON_OMIT, "[1, [2], {\"a\": 3}]", "[]");
	expect_path(all, 1, COPY_JSON_OMIT, "{\"a\": 1, \"b\": 2}", "{}");
	expect_path(all, 1, COPY_JSON_NULL, "[1, 2]", "[null,null]");
}

/* Whoever writes a key with escapes does not get around a rule. */
static void test_keys_with_escapes(void **state)
{
	char *const token[] = {(char *)"token"}, *const other[] = {(char *)"ä/\"\n🐘"},
	            *const star[] = {(char *)"*x"};

	expect_path(token, 1, COPY_JSON_OMIT,
	            "{\"t\\\\u006fken\": 1, \"\\\\u0074\\\\u006F\\\\u006b\\\\u0065\\\\u006E\": 2, \"a\": 3}",
	            "{\"a\":3}");
	expect_path(token, 1, COPY_JSON_MASK, "{\"t\\\\u006fken\": 1}", "{\"t\\u006fken\":\"***\"}");
	expect_path(
	        other, 1, COPY_JSON_OMIT,
	        "{\"\\\\u00e4\\\\/\\\\\"\\\\n\\\\ud83d\\\\udc18\": 1, \"ä/\\\\\"\\\\n🐘\": 2, \"\\\\ud83d\": 3, \"\\\\ud83dx\\\\udc18\": 4}",
	        "{\"\\ud83d\":3,\"\\ud83dx\\udc18\":4}");
	expect_path(star, 1, COPY_JSON_OMIT, "{\"*x\": 1, \"ax\": 2}", "{\"ax\":2}");
}

static void test_hashed_paths(void **state)
{
	char *const email[] = {(char *)"email"};
	_cleanup(free) char *text = hash_of("a\"ä@example.com"), *number = hash_of("1.50"),
	                    *object = hash_of("{\"x\": 1}");
	_cleanup(free) char *one = mem_printf("{\"email\":%s,\"b\":1}", text);
	_cleanup(free) char *two = mem_printf("{\"email\":%s}", number);
	_cleanup(free) char *three = mem_printf("{\"email\":%s}", object);

	/* The same as a column of text has, however it is written. */
	expect_path(email, 1, COPY_JSON_HASH, "{\"email\": \"a\\\\\"\\\\u00e4@example.com\", \"b\": 1}", one);
	expect_path(email, 1, COPY_JSON_HASH, "{\"email\": \"a\\\\\"ä\\\\u0040example.com\", \"b\": 1}", one);
	expect_path(email, 1, COPY_JSON_HASH, "{\"email\": 1.50}", two);
	expect_path(email, 1, COPY_JSON_HASH, "{\"email\": {\"x\": 1}}", three);
	expect_path(email, 1, COPY_JSON_HASH, "{\"email\": null}", "{\"email\":null}");
}

static void test_several_paths(void **state)
{
	char *const a[] = {(char *)"a"}, *const ab[] = {(char *)"a", (char *)"b"},
	            *const any_b[] = {(char *)"*", (char *)"b"},
	            *const abc[] = {(char *)"a", (char *)"b", (char *)"c"};
	const struct copy_json_path paths[] = {
	        {any_b, 2, COPY_JSON_MASK}, {ab, 2, COPY_JSON_OMIT}, {abc, 3, COPY_JSON_NULL}};
	const struct copy_json_path above[] = {{ab, 2, COPY_JSON_OMIT}, {a, 1, COPY_JSON_NULL}};

	/* Of two that meet, the one that gives away less. */
	expect_column(json_with(paths, 3), "{\"a\": {\"b\": {\"c\": 1}, \"x\": 2}, \"z\": {\"b\": 3}}",
	              "{\"a\":{\"x\":2},\"z\":{\"b\":\"***\"}}");
	expect_column(json_with(above, 2), "{\"a\": {\"b\": 1, \"c\": 2}}", "{\"a\":null}");
	expect_column(json_with(paths + 2, 1), "{\"a\": {\"b\": {\"c\": 1, \"d\": 2}, \"b\": [3]}}",
	              "{\"a\":{\"b\":{\"c\":null,\"d\":2},\"b\":[3]}}");
}

/* Masks are longer than what they stand for: there has to be room for all of them. */
static void test_many_masks(void **state)
{
	char *const all[] = {(char *)"*"};
	const struct copy_json_path path = {all, 1, COPY_JSON_HASH};
	const struct copy_json_column column = json_with(&path, 1);
	_cleanup(free) char *hash = hash_of("1");
	_cleanup(str) struct str row = {0}, out = {0}, expected = {0};
	struct error err = {0};

	str_append(&row, "[1");
	str_appendf(&expected, "{\"v\":[%s", hash);
	for (int i = 0; i < 20000; i++) {
		str_append(&row, ",1");
		str_appendf(&expected, ",%s", hash);
	}
	str_append(&row, "]");
	str_append(&expected, "]}");
	assert_int_equal(to_json_bytes(&column, 1, row.data, row.len, &out, &err), 0);
	assert_string_equal(str_text(&out), str_text(&expected));
}

/* So are elements. */
static void test_many_elements(void **state)
{
	static const struct {
		enum copy_json_kind kind;
		const char *element, *expected;
	} elements[] = {
	        {COPY_JSON_BOOL, "f", "false"},
	        {COPY_JSON_NUMBER, "NaN", "\"NaN\""},
	        {COPY_JSON_TEXT, "x", "\"x\""},
	        {COPY_JSON_TIMESTAMPTZ, "\"2026-11-20 02:00:00+00\"", "\"2026-11-20T02:00:00+00:00\""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(elements); i++) {
		const struct copy_json_column column = array_of(elements[i].kind);
		_cleanup(str) struct str row = {0}, out = {0}, expected = {0};
		struct error err = {0};

		for (int n = 0; n < 100000; n++) {
			str_appendf(&row, "%c%s", n ? ',' : '{', elements[i].element);
			str_appendf(&expected, "%s%s", n ? "," : "{\"v\":[", elements[i].expected);
		}
		str_append(&row, "}");
		str_append(&expected, "]}");
		assert_int_equal(to_json_bytes(&column, 1, row.data, row.len, &out, &err), 0);
		assert_string_equal(str_text(&out), str_text(&expected));
	}
}

static void test_paths_in_arrays_of_json(void **state)
{
	char *const token[] = {(char *)"token"};
	const struct copy_json_path path = {token, 1, COPY_JSON_MASK};
	struct copy_json_column column = json_with(&path, 1);

	column.is_array = true;
	column.delimiter = ',';
	expect_column(column, "{\"{\\\\\"token\\\\\": 1}\",NULL,2}", "[{\"token\":\"***\"},null,2]");
	/* As text it would have the token. */
	expect_row_refused(
	        &column, 1, "[2:2]={1}", 9,
	        "the column \"v\" has an array with bounds of its own, which is text here: nothing within it can be redacted");
}

static void test_paths_into_bad_json(void **state)
{
	static const char *const bad[] = {"",
	                                  "{",
	                                  "{\"token\"",
	                                  "{\"token\":",
	                                  "{\"token\": }",
	                                  "{\"token\": 1",
	                                  "{\"token\": 1,}",
	                                  "{\"a\": 1,",
	                                  "{a: 1}",
	                                  "{\"a\": 1} x",
	                                  "{\"a\": 1 \"token\": 2}",
	                                  "[1",
	                                  "[1,]",
	                                  "{\"token\": 1]",
	                                  "{\"token\": tru}",
	                                  "\"token",
	                                  "{\"a\" 1}",
	                                  "{\"token\": \"\\\\q\"}",
	                                  "{1: 2}",
	                                  "{,}",
	                                  "{\"x\": [}"};
	char *const token[] = {(char *)"token"};
	const struct copy_json_path paths[] = {{token, 1, COPY_JSON_OMIT}, {token, 1, COPY_JSON_HASH}};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		expect_column_refused(json_with(paths, 1), bad[i], "no JSON");
		expect_column_refused(json_with(paths + 1, 1), bad[i], "no JSON");
	}
}

static void expect_new_refused(const struct copy_json_column *column, const char *message)
{
	struct copy_json *j = NULL;
	struct error err = {0};

	assert_int_equal(copy_json_new(column, 1, NULL, &j, &err), -EINVAL);
	assert_int_equal(err.class, ERROR_USAGE);
	assert_string_equal(err.message, message);
	assert_null(j);
}

static void test_redactions_that_cannot_be(void **state)
{
	char *const token[] = {(char *)"token"};
	const struct copy_json_path hashed = {token, 1, COPY_JSON_HASH}, empty = {token, 0, COPY_JSON_OMIT},
	                            kept = {token, 1, COPY_JSON_KEEP}, omitted = {token, 1, COPY_JSON_OMIT};
	struct copy_json_column column = {.name = "v", .how = COPY_JSON_HASH};

	expect_new_refused(&column,
	                   "the column \"v\" cannot be written as JSON: there is no key for its hashes");
	column = json_with(&hashed, 1);
	expect_new_refused(&column,
	                   "the column \"v\" cannot be written as JSON: there is no key for its hashes");
	column = json_with(&empty, 1);
	expect_new_refused(&column, "the column \"v\" cannot be written as JSON: a path in it leads nowhere");
	column = json_with(&kept, 1);
	expect_new_refused(&column, "the column \"v\" cannot be written as JSON: a path in it leads nowhere");
	column = json_with(&omitted, 1);
	column.kind = COPY_JSON_TEXT;
	expect_new_refused(
	        &column,
	        "the column \"v\" cannot be written as JSON: a path leads into it, but it is no json");
	column = array_of(COPY_JSON_TEXT);
	column.delimiter = 0;
	expect_new_refused(
	        &column,
	        "the column \"v\" cannot be written as JSON: nobody has said what separates its elements");
	assert_null(copy_json_free(NULL));
}

/* The rest of the contract. */

static void test_kinds_of_types(void **state)
{
	static const struct {
		const char *type;
		enum copy_json_kind kind;
	} types[] = {{"boolean", COPY_JSON_BOOL},
	             {"smallint", COPY_JSON_NUMBER},
	             {"integer", COPY_JSON_NUMBER},
	             {"bigint", COPY_JSON_NUMBER},
	             {"numeric", COPY_JSON_NUMBER},
	             {"real", COPY_JSON_FLOAT},
	             {"double precision", COPY_JSON_FLOAT},
	             {"json", COPY_JSON_JSON},
	             {"jsonb", COPY_JSON_JSON},
	             {"timestamp without time zone", COPY_JSON_TIMESTAMP},
	             {"timestamp with time zone", COPY_JSON_TIMESTAMPTZ},
	             {"oid", COPY_JSON_TEXT},
	             {"text", COPY_JSON_TEXT},
	             {"money", COPY_JSON_TEXT},
	             {"time with time zone", COPY_JSON_TEXT},
	             {"public.json", COPY_JSON_TEXT},
	             {"jsonpath", COPY_JSON_TEXT},
	             {"\"integer\"", COPY_JSON_TEXT},
	             {"int", COPY_JSON_TEXT},
	             {"", COPY_JSON_TEXT}};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		_cleanup(free) char *array = mem_printf("%s[]", types[i].type);
		struct copy_json_column c = {.name = "v"};

		assert_true(copy_json_kind_of(types[i].type, 'N', &c));
		assert_int_equal(c.kind, types[i].kind);
		assert_false(c.is_array);
		assert_true(copy_json_kind_of(array, 'N', &c));
		assert_int_equal(c.kind, types[i].kind);
		assert_true(c.is_array);
		assert_int_equal(c.delimiter, ',');
		assert_string_equal(c.name, "v");
	}
}

static void test_kinds_that_differ(void **state)
{
	struct copy_json_column c = {0};

	assert_true(copy_json_kind_of("box[]", 'G', &c));
	assert_int_equal(c.delimiter, ';');
	assert_true(copy_json_kind_of("\"odd[]\"", 'U', &c)); /* its name */
	assert_false(c.is_array);
	assert_false(copy_json_kind_of("address", 'C', &c));
	assert_false(copy_json_kind_of("address[]", 'C', &c));
	assert_false(copy_json_kind_of("json", 'C', &c));
	assert_true(
	        copy_json_kind_of("integer[][]", 'A', &c)); /* of a domain over arrays: "{1,2}" is a text */
	assert_true(c.is_array);
	assert_int_equal(c.kind, COPY_JSON_TEXT);
}

static void expect_appended(const char *text, size_t len, const char *expected)
{
	_cleanup(str) struct str out = {0};
	_cleanup(free) char *copy = mem_alloc(len);
	struct error err = {0};

	memcpy(copy, text, len);
	str_append(&out, "[");
	assert_int_equal(copy_json_append_string(&out, copy, len, &err), 0);
	assert_string_equal(str_text(&out) + 1, expected);
	assert_int_equal(out.len, strlen(expected) + 1);
}

static void test_strings(void **state)
{
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	expect_appended("", 0, "\"\"");
	expect_appended("a\0b", 3, "\"a\\u0000b\"");
	expect_appended("\t\n\\N\\t\"", 7, "\"\\t\\n\\\\N\\\\t\\\"\"");
	expect_appended("exactly sixteen.", 16, "\"exactly sixteen.\"");
	expect_appended("exactly sixteen.\n", 17, "\"exactly sixteen.\\n\"");
	for (size_t len = 0; len < 70; len++) {
		char text[70];
		_cleanup(str) struct str expected = {0};

		str_append(&expected, "\"");
		for (size_t i = 0; i < len; i++) {
			text[i] = i % 7 == len % 7 ? '"' : 'x';
			str_append(&expected, i % 7 == len % 7 ? "\\\"" : "x");
		}
		str_append(&expected, "\"");
		expect_appended(text, len, str_text(&expected));
	}
	assert_int_equal(copy_json_append_string(&out, "\xff", 1, &err), -EBADMSG);
	assert_string_equal(err.message, "a text is not UTF-8");
	assert_int_equal(out.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_texts),
	        cmocka_unit_test(test_escapes_that_no_server_writes),
	        cmocka_unit_test(test_utf8),
	        cmocka_unit_test(test_booleans),
	        cmocka_unit_test(test_integers),
	        cmocka_unit_test(test_fractions),
	        cmocka_unit_test(test_special_numbers),
	        cmocka_unit_test(test_floats),
	        cmocka_unit_test(test_what_is_no_number),
	        cmocka_unit_test(test_timestamps),
	        cmocka_unit_test(test_what_is_no_timestamp),
	        cmocka_unit_test(test_json),
	        cmocka_unit_test(test_json_on_one_line),
	        cmocka_unit_test(test_what_is_no_json),
	        cmocka_unit_test(test_nested_json),
	        cmocka_unit_test(test_arrays),
	        cmocka_unit_test(test_what_is_no_array),
	        cmocka_unit_test(test_number_of_fields),
	        cmocka_unit_test(test_names),
	        cmocka_unit_test(test_nul_bytes),
	        cmocka_unit_test(test_huge_values),
	        cmocka_unit_test(test_rows_are_appended),
	        cmocka_unit_test(test_redacted_columns),
	        cmocka_unit_test(test_redacted_paths),
	        cmocka_unit_test(test_keys_with_escapes),
	        cmocka_unit_test(test_hashed_paths),
	        cmocka_unit_test(test_several_paths),
	        cmocka_unit_test(test_many_masks),
	        cmocka_unit_test(test_many_elements),
	        cmocka_unit_test(test_paths_in_arrays_of_json),
	        cmocka_unit_test(test_paths_into_bad_json),
	        cmocka_unit_test(test_redactions_that_cannot_be),
	        cmocka_unit_test(test_kinds_of_types),
	        cmocka_unit_test(test_kinds_that_differ),
	        cmocka_unit_test(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

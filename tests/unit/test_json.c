// SPDX-License-Identifier: Apache-2.0
/* JSON: what is written reads back, bad text is refused, text that is not UTF-8 is mended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#include <keepfs/codec/json.h>

static void assert_written(const struct json *j, int indent, const char *expected)
{
	_cleanup(str) struct str out = {0};

	json_write(j, indent, &out);
	assert_string_equal(str_text(&out), expected);
}

static void keys_keep_their_order(void **state)
{
	_cleanup(json) struct json *j = json_object_new();
	struct json *list = json_array_new();
	struct json *inner = json_object_new();

	json_set_string(j, "zeta", "a \"quoted\"\nline");
	json_set_int(j, "alpha", INT64_MAX);
	json_set_real(j, "ratio", 0.1);
	json_set_real(j, "none", INFINITY);
	json_set_bool(j, "yes", true);
	json_set_string(j, "null", NULL);
	json_set_int(inner, "n", 1);
	json_append(list, inner);
	json_set(j, "list", list);
	assert_written(j, 0,
	               "{\"zeta\":\"a \\\"quoted\\\"\\nline\",\"alpha\":9223372036854775807,\"ratio\":0.1,"
	               "\"none\":null,\"yes\":true,\"null\":null,\"list\":[{\"n\":1}]}");
}

static void indented_text_has_lines(void **state)
{
	_cleanup(json) struct json *j = json_object_new();

	json_set_int(j, "a", 1);
	assert_written(j, 2, "{\n  \"a\": 1\n}");
}

static void bad_utf8_is_replaced(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
	        {"gr\xc3\xbc\xc3\x9f", "{\"k\":\"gr\xc3\xbc\xc3\x9f\"}"},
	        {"\xf0\x9f\x90\x98", "{\"k\":\"\xf0\x9f\x90\x98\"}"},
	        {"a\xff"
	         "b",
	         "{\"k\":\"a\xef\xbf\xbd"
	         "b\"}"},
	        {"cut\xe2\x82", "{\"k\":\"cut\xef\xbf\xbd\xef\xbf\xbd\"}"},
	        {"\xc0\x80", "{\"k\":\"\xef\xbf\xbd\xef\xbf\xbd\"}"},
	        {"\xed\xa0\x80", "{\"k\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}"},
	        {"\xf5", "{\"k\":\"\xef\xbf\xbd\"}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(json) struct json *j = json_object_new();

		json_set_string(j, "k", cases[i].in);
		assert_written(j, 0, cases[i].out);
	}
}

static void times_keep_microseconds(void **state)
{
	static const int64_t times[] = {1795140000000000, 1795140000123456, 1795140000000001, 1};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		_cleanup(json) struct json *j = json_object_new();
		int64_t back = 0;

		json_set_time(j, "at", times[i]);
		assert_true(json_get_time(j, "at", &back));
		assert_int_equal(back, times[i]);
	}
}

static void time_has_a_fixed_form(void **state)
{
	_cleanup(json) struct json *j = json_object_new();
	int64_t untouched = 7;

	json_set_time(j, "at", 1795140000000042);
	json_set_time(j, "never", 0);
	assert_written(j, 0, "{\"at\":\"2026-11-20T02:00:00.000042Z\",\"never\":null}");
	assert_false(json_get_time(j, "never", &untouched));
	assert_false(json_get_time(j, "absent", &untouched));
	assert_int_equal(untouched, 7);
}

static struct json *parse(const char *text, struct error *err)
{
	return json_parse(text, strlen(text), err);
}

static void getters_judge_types(void **state)
{
	_cleanup(json) struct json *j =
	        parse("{\"s\": \"x\", \"i\": -3, \"r\": 1.5, \"a\": [1, 2], \"n\": null, \"t\": true}", NULL);
	int64_t value = 0;
	bool truth = false;

	assert_non_null(j);
	assert_string_equal(json_get_string(j, "s"), "x");
	assert_null(json_get_string(j, "i"));
	assert_null(json_get_string(j, "absent"));
	assert_true(json_get_int(j, "i", &value));
	assert_int_equal(value, -3);
	assert_false(json_get_int(j, "r", &value));
	assert_false(json_get_int(j, "s", &value));
	assert_true(json_get_bool(j, "t", &truth));
	assert_true(truth);
	assert_false(json_get_bool(j, "i", &truth));
	assert_false(json_get_bool(j, "n", &truth));
	assert_true(json_get_null(j, "n"));
	assert_false(json_get_null(j, "t"));
	assert_false(json_get_null(j, "absent"));
	assert_int_equal(json_count(json_get(j, "a")), 2);
	assert_non_null(json_item(json_get(j, "a"), 1));
	assert_null(json_item(json_get(j, "a"), 2));
	assert_int_equal(json_count(json_get(j, "absent")), 0);
	assert_null(json_get(json_get(j, "a"), "s"));
}

static void bad_text_is_refused(void **state)
{
	static const char *const bad[] = {
	        "",
	        " ",
	        "{",
	        "{\"a\":}",
	        "[1,]",
	        "{\"a\":1} x",
	        "nul",
	        "{\"a\":1,\"a\":2}",
	        "\"\\u0000\"",
	        "\"\xff\"",
	        "1e999",
	        "99999999999999999999",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {0};

		assert_null(parse(bad[i], &err));
		assert_int_equal(err.errnum, EBADMSG);
		assert_non_null(strstr(err.message, "line"));
	}
}

static void deep_nesting_is_refused(void **state)
{
	_cleanup(str) struct str text = {0};
	struct error err = {0};

	for (int i = 0; i < 100000; i++)
		str_append_char(&text, '[');
	assert_null(json_parse(text.data, text.len, &err));
}

static void every_truncation_is_refused(void **state)
{
	static const char text[] = "{\"a\": [1, \"\xc3\xbc\", null, {\"b\": 1.5e3}], \"t\": true}";

	for (size_t len = 0; len < strlen(text); len++)
		assert_null(json_parse(text, len, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(keys_keep_their_order),       cmocka_unit_test(indented_text_has_lines),
	        cmocka_unit_test(bad_utf8_is_replaced),        cmocka_unit_test(times_keep_microseconds),
	        cmocka_unit_test(time_has_a_fixed_form),       cmocka_unit_test(getters_judge_types),
	        cmocka_unit_test(bad_text_is_refused),         cmocka_unit_test(deep_nesting_is_refused),
	        cmocka_unit_test(every_truncation_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

/* Lists that are parsed by the item. */

static int join(void *arg, const struct json *item)
{
	struct str *out = arg;

	json_write(item, 0, out);
	str_append_char(out, ';');
	return str_equal(json_get_string(item, "stop"), "here") ? 7 : 0;
}

/* @items: of both lists, each with a semicolon; NULL: refused, with a message that has @rest in it. */
static void assert_listed(const char *text, const char *items, const char *rest)
{
	struct json_list lists[] = {{.key = "a"}, {.key = "b"}};
	_cleanup(str) struct str got = {0}, head = {0};
	struct error err = {0};
	_cleanup(json) struct json *j = json_parse_but(text, strlen(text), lists, 2, &err);
	int r = j ? json_each(&lists[0], join, &got, &err) : -EBADMSG;

	if (r == 0)
		r = json_each(&lists[1], join, &got, &err);
	if (!items) {
		assert_int_equal(r, -EBADMSG);
		if (!strstr(err.message, rest))
			fail_msg("%s: %s", text, err.message);
		return;
	}
	if (!j || r < 0)
		fail_msg("%s: %s", text, err.message);
	assert_string_equal(str_text(&got), items);
	json_write(j, 0, &head);
	assert_string_equal(str_text(&head), rest);
}

static void lists_are_read_by_the_item(void **state)
{
	assert_listed("{}", "", "{}");
	assert_listed("{\"a\": [], \"c\": 1, \"b\" : [ \n ]}", "", "{\"a\":[],\"c\":1,\"b\":[]}");
	assert_listed(" {\"b\":[1, -2.5,\"]\\\"\",[[]],{\"a\":[3]} ],\"c\":{\"a\":[4]}, \"a\":[null,true]}",
	              "null;true;1;-2.5;\"]\\\"\";[[]];{\"a\":[3]};",
	              "{\"b\":[],\"c\":{\"a\":[4]},\"a\":[]}");
	assert_listed("{\"a\": 7, \"b\": \"[1]\"}", "", "{\"a\":7,\"b\":\"[1]\"}");
	/* A key that is written in another way is no list's: its value is there whole. */
	assert_listed("{\"\\u0061\": [1]}", "", "{\"a\":[1]}");
	assert_listed("{\"a\": [1], \"c\": \"a\"}", "1;", "{\"a\":[],\"c\":\"a\"}");
	assert_listed("[\"a\", [1]]", "", "[\"a\",[1]]");
}

static void what_ends_the_reading_is_returned(void **state)
{
	static const char text[] = "{\"a\": [1, {\"stop\": \"here\"} what follows]}";
	struct json_list list = {.key = "a"};
	_cleanup(json) struct json *j = json_parse_but(text, strlen(text), &list, 1, NULL);
	_cleanup(str) struct str got = {0};

	assert_int_equal(json_each(&list, join, &got, NULL), 7);
	assert_string_equal(str_text(&got), "1;{\"stop\":\"here\"};");
}

static void bad_lists_are_refused(void **state)
{
	static const char *const cases[][2] = {
	        {"{\"a\": [1,]}", "line 1"},
	        {"{\"a\": [1, ]}", "line 1"},
	        {"{\"a\": [,1]}", "line 1"},
	        {"{\"a\": [1 2]}", "no comma"},
	        {"{\"a\": [1\n,\n{\"x\"}]}", "line 3"},
	        {"{\"a\": [1\n,\n2\n3]}", "line 4"},
	        {"{\n\"a\": [{}},{}]}", "not valid JSON"},
	        {"{\"a\": [{\"x\": 1, \"x\": 2}]}", "duplicate"},
	        {"{\"a\": [1], \"a\": [2]}", "duplicate"},
	        {"{\"a\": [1], \"\\u0061\": [2]}", "duplicate"},
	        {"{\"a\": [1\n],\n\"c\": no}", "line 3"},
	        {"{\"a\": [1}", "not valid JSON"},
	        {"{\"a\": [{}}}", "not valid JSON"},
	        {"{\"a\": [\"]}", "not valid JSON"},
	        {"{\"a\": [\"\\\"]}", "not valid JSON"},
	        {"{\"a\": [\xff]}", "line 1"},
	        {"{\"a\": [1]", "not valid JSON"},
	        {"{\"a\"", "not valid JSON"},
	        {"{\"a\":", "not valid JSON"},
	        {"{\"a\": [1]} x", "not valid JSON"},
	        {"{\"a\" [1]}", "not valid JSON"},
	        {"{\"c\" \"a\": [1]}", "not valid JSON"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_listed(cases[i][0], NULL, cases[i][1]);
}

static void lists_are_written_by_the_item(void **state)
{
	_cleanup(json) struct json *j = json_object_new(), *back = NULL;
	_cleanup(str) struct str out = {0};

	json_set_int(j, "n", 1);
	json_write_open(j, &out);
	json_list_open("a", &out);
	for (int i = 0; i < 2; i++) {
		struct json *item = json_object_new();

		json_set_int(item, "i", i);
		json_list_add(item, i == 0, &out);
	}
	json_list_close(&out);
	json_list_open("b", &out);
	json_list_close(&out);
	json_write_close(&out);
	assert_string_equal(
	        str_text(&out),
	        "{\n  \"n\": 1,\n  \"a\": [\n    {\"i\": 0},\n    {\"i\": 1}\n  ],\n  \"b\": [\n  ]\n}\n");
	back = json_parse(out.data, out.len, NULL);
	assert_int_equal(json_count(json_get(back, "a")), 2);
}

static struct json *shout(void *arg, const char *text)
{
	if (strcmp(text, "5") == 0)
		return json_int_new(5);
	++*(int *)arg;
	return json_string_new(strcmp(text, "quote") == 0 ? "\"}]" : text);
}

/* Keys, numbers and the shape stay; a text becomes whatever value it is to be. */
static void strings_are_replaced(void **state)
{
	static const char text[] =
	        "{\"quote\":[\"quote\",{\"a\":\"5\",\"b\":5,\"c\":null}],\"d\":\"\",\"e\":true}";
	_cleanup(json) struct json *j = json_parse(text, strlen(text), NULL), *replaced = NULL;
	_cleanup(str) struct str out = {0};
	int strings = 0;

	assert_non_null(j);
	replaced = json_replace_strings(j, shout, &strings);
	json_write(replaced, 0, &out);
	assert_string_equal(str_text(&out),
	                    "{\"quote\":[\"\\\"}]\",{\"a\":5,\"b\":5,\"c\":null}],\"d\":\"\",\"e\":true}");
	assert_int_equal(strings, 2);
	assert_string_equal(json_text(json_get(j, "d")), "");
	assert_null(json_text(json_get(j, "e")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(keys_keep_their_order),
	        cmocka_unit_test(indented_text_has_lines),
	        cmocka_unit_test(bad_utf8_is_replaced),
	        cmocka_unit_test(times_keep_microseconds),
	        cmocka_unit_test(time_has_a_fixed_form),
	        cmocka_unit_test(getters_judge_types),
	        cmocka_unit_test(bad_text_is_refused),
	        cmocka_unit_test(deep_nesting_is_refused),
	        cmocka_unit_test(every_truncation_is_refused),
	        cmocka_unit_test(lists_are_read_by_the_item),
	        cmocka_unit_test(what_ends_the_reading_is_returned),
	        cmocka_unit_test(bad_lists_are_refused),
	        cmocka_unit_test(lists_are_written_by_the_item),
	        cmocka_unit_test(strings_are_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Values within JSON, as ->> says them. */
#include <keepfs/codec/json_path.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char key_a[] = "a", key_b[] = "b";
static char *one[] = {key_a}, *two[] = {key_a, key_b};

static void assert_value(const char *json, char *const *keys, size_t count, const char *expected)
{
	_cleanup(str) struct str found = {0};
	struct error err = {0};
	int r = json_path_text(json, strlen(json), keys, count, &found, &err);

	if (!expected) {
		assert_int_equal(r, 0);
		assert_int_equal(found.len, 0);
		return;
	}
	assert_int_equal(r, 1);
	assert_string_equal(str_text(&found), expected);
}

static void test_found(void **state)
{
	assert_value("{\"a\":1}", one, 1, "1");
	assert_value(" { \"x\" : [1, {\"a\":2}] , \"a\" :  12345678901234567890.10 } ", one, 1,
	             "12345678901234567890.10");
	assert_value("{\"a\":{\"b\":\"x\"},\"b\":2}", two, 2, "x");
	assert_value("{\"a\":{\"c\":\"}\\\"]\"},\"a\":{\"b\":true}}", two, 2, "true");
	assert_value("{\"\\u0061\":\"\\u00e9\\ud83d\\ude00\\n\\/\"}", one, 1, "é😀\n/");
	assert_value("{\"a\":[1, 2]}", one, 1, "[1, 2]");
	assert_value("{\"a\":\"\"}", one, 1, "");
}

static void test_not_there(void **state)
{
	assert_value("{}", one, 1, NULL);
	assert_value("{\"b\":1}", one, 1, NULL);
	assert_value("{\"a\":null}", one, 1, NULL);
	assert_value("[{\"a\":1}]", one, 1, NULL);
	assert_value("\"a\"", one, 1, NULL);
	assert_value("{\"a\":\"text\"}", two, 2, NULL);
	assert_value("{\"a\":1,\"a\":null}", one, 1, NULL);
}

static void test_wrong(void **state)
{
	static const char *const wrong[] = {
	        "",
	        "  ",
	        "{",
	        "{\"a\"",
	        "{\"a\":",
	        "{\"a\":1",
	        "{\"a\":1,",
	        "{\"a\":1,}",
	        "{a:1}",
	        "{\"a\" 1}",
	        "{\"a\":1 \"b\":2}",
	        "{\"a\":\"x",
	        "{\"a\":\"\\",
	        "{\"a\":\"\\x\"}",
	        "{\"a\":\"\\u12\"}",
	        "{\"a\":\"\\u0000\"}",
	        "{\"a\":\"\\ud83d\"}",
	        "{\"a\":\"\\ude00\"}",
	        "{\"a\":\"\\ud83d\\u0041\"}",
	        "{\"\\q\":1}",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		_cleanup(str) struct str found = {0};
		struct error err = {0};

		str_append(&found, "before");
		assert_int_equal(json_path_text(wrong[i], strlen(wrong[i]), one, 1, &found, &err), -EBADMSG);
		assert_string_equal(str_text(&found), "before");
	}
}

/* Every cut of a good text ends, and reads nothing behind it. */
static void test_cut_off(void **state)
{
	static const char json[] = "{\"b\":[{\"c\":\"\\\"\"}],\"a\":{\"b\":\"\\u00e9\\ud83d\\ude00\"}}";

	for (size_t len = 0; len + 1 < sizeof(json); len++) {
		_cleanup(str) struct str found = {0};
		char *copy = memcpy(malloc(len + 1), json, len);
		struct error err = {0};

		assert_true(json_path_text(copy, len, two, 2, &found, &err) <= 0);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_found),
	        cmocka_unit_test(test_not_there),
	        cmocka_unit_test(test_wrong),
	        cmocka_unit_test(test_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

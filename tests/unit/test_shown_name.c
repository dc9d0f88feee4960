// SPDX-License-Identifier: Apache-2.0
/* Shown names: one for each key, and back; what is no such name is refused. */
#include <keepfs/base/mem.h>
#include <keepfs/codec/shown_name.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_shown_as(const char *key, const char *name)
{
	_cleanup(str) struct str shown = {0}, back = {0};

	shown_name(key, strlen(key), &shown);
	assert_string_equal(str_text(&shown), name);
	assert_int_equal(shown_name_key(name, &back), 0);
	assert_string_equal(str_text(&back), key);
}

static void test_keys_and_names(void **state)
{
	assert_shown_as("a/b.txt", "a/b.txt");
	assert_shown_as("", "%");
	assert_shown_as("/", "%/%");
	assert_shown_as("/x", "%/x");
	assert_shown_as("dir/", "dir/%");
	assert_shown_as("a//b", "a/%/b");
	assert_shown_as("%", "%25");
	assert_shown_as("100%/-", "100%25/-");
	assert_shown_as(".", "%2E");
	assert_shown_as("..", "%2E%2E");
	assert_shown_as("a/../b", "a/%2E%2E/b");
	assert_shown_as("...", "...");
	assert_shown_as(".a", ".a");
	assert_shown_as("a\nb\x7f", "a%0Ab%7F");
	assert_shown_as("Gr\xc3\xbc\xc3\x9f"
	                "e",
	                "Gr\xc3\xbc\xc3\x9f"
	                "e");
	assert_shown_as("\xff\xc3", "%FF%C3");
	assert_shown_as("\xc3/\xbc", "%C3/%BC");
}

static void refuse_name(const char *name)
{
	_cleanup(str) struct str key = {0};

	assert_int_equal(shown_name_key(name, &key), -EINVAL);
	assert_int_equal(key.len, 0);
}

static void test_what_is_no_name(void **state)
{
	static const char *const names[] = {
	        "",     "a//b", "/",    "a/",     ".",   "..",   "a/./b", "%0",      "%00",    "%2e",
	        "%41",  "%2E",  "%2Ea", "a%",     "%%",  "%a/b", "a%=",   "a%-/b",   "a%-",    "%-",
	        "%-/a", "\n",   "\xff", "%C3%BC", "%GG", "a%2",  "a/%2E", "%2E%2E.", "x/%2F/y"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], "%2E") != 0 && strcmp(names[i], "a/%2E") != 0)
			refuse_name(names[i]);
}

/* A key of @count times @what: no component is too long, no piece is cut, and the way back is the key. */
static void check_long(const char *what, size_t count)
{
	_cleanup(str) struct str key = {0}, name = {0}, back = {0};

	for (size_t i = 0; i < count; i++)
		str_append(&key, what);
	shown_name(str_text(&key), key.len, &name);
	for (const char *at = str_text(&name);; at++) {
		size_t len = strcspn(at, "/");

		assert_in_range(len, 1, SHOWN_COMPONENT_MAX);
		at += len;
		if (!*at)
			break;
		assert_memory_equal(at - 2, "%-", 2);
	}
	assert_int_equal(shown_name_key(str_text(&name), &back), 0);
	assert_string_equal(str_text(&back), str_text(&key));
}

static void test_long_components(void **state)
{
	for (size_t count = 190; count < 210; count++)
		check_long("a", count);
	for (size_t count = 1; count < 300; count++) {
		check_long("\xc3\xbc", count);
		check_long("\xf0\x9f\x90\x98", count);
		check_long("%", count);
		check_long("a\xff", count);
	}
	check_long("a", 1024);
}

static void test_where_a_component_is_cut(void **state)
{
	_cleanup(free) char *key = mem_printf("%0*d", 201, 0), *name = mem_printf("%0*d%%-/000", 198, 0);
	_cleanup(free) char *whole = mem_printf("%0*d", 200, 0), *wrong = mem_printf("%0*d%%-/0000", 197, 0);

	assert_shown_as(key, name);
	assert_shown_as(whole, whole);
	refuse_name(key);
	refuse_name(wrong);
}

/* Whatever is taken as a name is the name of its key. */
static void test_names_of_random_bytes(void **state)
{
	static const char bytes[] = "%2E-=/.a\xc3\xbc\xff";
	uint32_t seed = 7;

	for (int i = 0; i < 200000; i++) {
		_cleanup(str) struct str text = {0}, key = {0}, again = {0}, back = {0};

		for (unsigned n = i % 9; n > 0; n--) {
			seed = seed * 1664525 + 1013904223;
			str_append_char(&text, bytes[(seed >> 16) % (sizeof(bytes) - 1)]);
		}
		if (shown_name_key(str_text(&text), &key) == 0) {
			shown_name(str_text(&key), key.len, &again);
			assert_string_equal(str_text(&again), str_text(&text));
		}
		str_clear(&again);
		shown_name(str_text(&text), text.len, &again);
		assert_int_equal(shown_name_key(str_text(&again), &back), 0);
		assert_string_equal(str_text(&back), str_text(&text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_keys_and_names),        cmocka_unit_test(test_what_is_no_name),
	        cmocka_unit_test(test_long_components),       cmocka_unit_test(test_where_a_component_is_cut),
	        cmocka_unit_test(test_names_of_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Patterns that leave names out: what they match, and which are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/files/exclude.h>
#include <string.h>

static const struct {
	const char *pattern, *path;
	bool directory, matches;
} cases[] = {
        {"a", "a", false, true},
        {"a", "x/y/a", false, true},
        {"a", "a/x", false, false},
        {"a", "ab", false, false},
        {"*.tmp", "x.tmp", false, true},
        {"*.tmp", "d/x.tmp", false, true},
        {"*.tmp", "x.tmp.gz", false, false},
        {"*.tmp", ".tmp", false, true},
        {"*", ".hidden", false, true},
        {"cache/", "cache", true, true},
        {"cache/", "cache", false, false},
        {"cache/", "x/cache", true, true},
        {"/cache", "cache", false, true},
        {"/cache", "x/cache", false, false},
        {"/cache/", "cache", true, true},
        {"/cache/", "cache", false, false},
        {"x/cache", "x/cache", false, true},
        {"x/cache", "y/x/cache", false, false},
        {"x/cache/", "x/cache", true, true},
        {"var/*/x", "var/log/x", false, true},
        {"var/*/x", "var/log/old/x", false, false},
        {"var/*", "var", true, false},
        {"var/*", "var/a", true, true},
        {"var/*", "var/a/b", true, false},
        {"a*b*c", "a--b--b--c", false, true},
        {"a*b*c", "a--b--b--d", false, false},
        {"a*", "a/b", false, false},
        {"srv/**", "srv", true, false},
        {"srv/**", "srv/a", false, true},
        {"srv/**", "srv/a/b/c", false, true},
        {"**/x", "x", false, true},
        {"**/x", "a/b/x", false, true},
        {"**/x", "a/b/xx", false, false},
        {"a/**/z", "a/z", false, true},
        {"a/**/z", "a/b/c/z", false, true},
        {"a/**/z", "b/z", false, false},
        {"a/**/b/**/z", "a/b/b/c/z", false, true},
        {"a/**/b/**/z", "a/c/z", false, false},
        {"/**", "a", false, true},
        {"/**", "a/b", false, true},
        {"a**c", "abbc", false, true},
        {"?", "a", false, true},
        {"?", "ab", false, false},
        {"?", "\xc3\xa4", false, true}, /* one character of two bytes */
        {"??", "\xc3\xa4", false, false},
        {"?", "\xff", false, true}, /* no UTF-8: a byte */
        {"*\xa4", "\xc3\xa4", false, false},
        {"[abc]", "b", false, true},
        {"[abc]", "d", false, false},
        {"[a-c]x", "bx", false, true},
        {"[a-c]x", "dx", false, false},
        {"[!a-c]", "d", false, true},
        {"[!a-c]", "b", false, false},
        {"[^a]", "b", false, true},
        {"[!a]", "\xc3\xa4", false, true},
        {"[]x]", "]", false, true},
        {"[!]]", "]", false, false},
        {"[a-]", "-", false, true},
        {"\\*", "*", false, true},
        {"\\*", "a", false, false},
        {"\\[a]", "[a]", false, true},
        {"\\\\", "\\", false, true},
        {"line\nbreak", "line\nbreak", false, true},
        {"-rf", "-rf", false, true},
};

static void patterns_match_what_they_say(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = {0};

		if (exclude_check(cases[i].pattern, &err) < 0)
			fail_msg("%s", err.message);
		if (exclude_match(cases[i].pattern, cases[i].path, cases[i].directory) != cases[i].matches)
			fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].path);
	}
}

static void any_of_several(void **state)
{
	char *patterns[] = {"a", "b/", NULL};

	assert_true(exclude_any(patterns, "a", false));
	assert_true(exclude_any(patterns, "x/b", true));
	assert_false(exclude_any(patterns, "b", false));
	assert_false(exclude_any(NULL, "a", false));
}

/* With a point to go back to for each star this would not end before the machine does. */
static void no_pattern_takes_long(void **state)
{
	char name[256];

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_false(exclude_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", name, false));
	assert_false(exclude_match("**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/b",
	                           "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a",
	                           false));
}

static void bad_patterns_are_refused(void **state)
{
	static const struct {
		const char *pattern, *why;
	} bad[] = {
	        {"", "empty"},           {"/", "slashes"},   {"//", "slashes"},  {"a//b", "slashes"},
	        {"a//", "slashes"},      {".", "no names"},  {"..", "no names"}, {"./a", "no names"},
	        {"a/../b", "no names"},  {"[abc", "no ]"},   {"a[/]b", "no ]"},  {"[]", "no ]"},
	        {"[!]", "no ]"},         {"\\", "behind"},   {"a\\", "behind"},  {"a\\/b", "behind"},
	        {"[\xc3\xa4]", "ASCII"}, {"\\\\[a", "no ]"},
	};
	char long_one[5000];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {0};

		if (exclude_check(bad[i].pattern, &err) != -22)
			fail_msg("\"%s\" passes", bad[i].pattern);
		assert_int_equal(err.class, ERROR_USAGE);
		if (!strstr(err.message, bad[i].why))
			fail_msg("%s", err.message);
	}
	memset(long_one, 'a', sizeof(long_one));
	long_one[sizeof(long_one) - 1] = '\0';
	assert_int_equal(exclude_check(long_one, NULL), -22);
	long_one[4095] = '\0';
	assert_int_equal(exclude_check(long_one, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(patterns_match_what_they_say),
	        cmocka_unit_test(any_of_several),
	        cmocka_unit_test(no_pattern_takes_long),
	        cmocka_unit_test(bad_patterns_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

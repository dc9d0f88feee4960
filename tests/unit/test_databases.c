// SPDX-License-Identifier: Apache-2.0
/* Which databases: names, patterns, queries, and what a registry may say. Pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/policy/databases.h>

static void what_is_a_query(void **state)
{
	static const char *const queries[] = {"SELECT datname FROM t",
	                                      "select name, class from t",
	                                      "Select\t1",
	                                      "WITH x AS (SELECT 1) SELECT",
	                                      "select(1)",
	                                      "SELECT \"name\" FROM t",
	                                      "SELECT * FROM t",
	                                      "with  t as"};
	static const char *const names[] = {
	        "select",     "with", "selected", "select, with", "select ",   "withdrawals", "shop, select",
	        "select , x", "*",    "",         "!select",      "\"select\""};

	for (size_t i = 0; i < ARRAY_SIZE(queries); i++)
		if (!databases_are_query(queries[i]))
			fail_msg("'%s' is a query", queries[i]);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (databases_are_query(names[i]))
			fail_msg("'%s' is none", names[i]);
}

static void the_kinds(void **state)
{
	char *own[] = {NULL}, *named[] = {(char *)"a", (char *)"b", NULL}, *all[] = {(char *)"*", NULL};
	char *mixed[] = {(char *)"a", (char *)"b[0-9]", NULL}, *query[] = {(char *)"SELECT 1", NULL};
	char *except[] = {(char *)"a", (char *)"!b", NULL}, *two[] = {(char *)"SELECT 1", (char *)"b", NULL};

	assert_int_equal(databases_kind_of(NULL), DATABASES_OWN);
	assert_int_equal(databases_kind_of(own), DATABASES_OWN);
	assert_int_equal(databases_kind_of(named), DATABASES_NAMED);
	assert_int_equal(databases_kind_of(all), DATABASES_MATCHED);
	assert_int_equal(databases_kind_of(mixed), DATABASES_MATCHED);
	assert_int_equal(databases_kind_of(except), DATABASES_MATCHED);
	assert_int_equal(databases_kind_of(query), DATABASES_QUERY);
	assert_int_equal(databases_kind_of(two), DATABASES_NAMED);
}

static void take_chosen(void *arg, const char *name)
{
	str_appendf(arg, "%s ", name);
}

static void assert_choice(const char *const *entries, const char *expected)
{
	static const char *const names[] = {".hidden", "Shop",   "a b",    "master", "scratch",
	                                    "shop",    "test_1", "test_2", "x*y"};
	_cleanup(str) struct str chosen = {0};

	databases_choose((char *const *)entries, names, ARRAY_SIZE(names), take_chosen, &chosen);
	assert_string_equal(str_text(&chosen), expected);
}

static void patterns_choose(void **state)
{
	assert_choice((const char *[]){"*", NULL}, ".hidden Shop a b master scratch shop test_1 test_2 x*y ");
	assert_choice((const char *[]){"*", "!scratch", "!test_*", "!.*", NULL}, "Shop a b master shop x*y ");
	assert_choice((const char *[]){"!test_1", "test_*", NULL}, "test_2 ");
	/* The first asked for is the first made, and none is made twice. */
	assert_choice((const char *[]){"master", "*", "!.hidden", NULL},
	              "master Shop a b scratch shop test_1 test_2 x*y ");
	assert_choice((const char *[]){"s*", "*shop", NULL}, "scratch shop ");
	assert_choice((const char *[]){"[sS]hop", "test_?", NULL}, "Shop shop test_1 test_2 ");
	assert_choice((const char *[]){"x\\*y*", NULL}, "x*y ");
	/* What has a name, and is not there, must be missed. */
	assert_choice((const char *[]){"gone", "test_*", NULL}, "gone test_1 test_2 ");
	assert_choice((const char *[]){"nothing_*", NULL}, "");
	assert_choice((const char *[]){"*", "!*", NULL}, "");
}

static void names_that_cannot_be(void **state)
{
	_cleanup(free) char *long_name = mem_alloc(300);
	static const char *const good[] = {
	        "a", "..", ".", "a/b", "it's \"quoted\"", "SHA256SUMS", "\u00fcml\u00e4ut", " ", "latest"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_null(databases_name_problem(good[i]));
	assert_string_equal(databases_name_problem(""), "is empty");
	assert_string_equal(databases_name_problem("\xff"), "is not UTF-8");
	assert_non_null(databases_name_problem("a\nb"));
	assert_non_null(databases_name_problem("a\x1b[0m"));
	assert_non_null(databases_name_problem("a\xc2\x9b"));
	for (size_t i = 0; i < 256; i++)
		long_name[i] = 'x';
	long_name[256] = '\0';
	assert_string_equal(databases_name_problem(long_name), "is longer than 255 bytes");
	long_name[255] = '\0';
	assert_null(databases_name_problem(long_name));
}

static void when_an_answer_is_doubted(void **state)
{
	static const struct {
		size_t known, missing;
		bool lost;
	} cases[] = {{0, 0, false}, {1, 1, false},    {3, 3, false},  {4, 3, false},
	             {4, 4, true},  {7, 3, false},    {7, 4, true},   {8, 4, false},
	             {8, 5, true},  {100, 50, false}, {100, 51, true}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (databases_are_lost(cases[i].known, cases[i].missing) != cases[i].lost)
			fail_msg("%zu of %zu", cases[i].missing, cases[i].known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_a_query),           cmocka_unit_test(the_kinds),
	        cmocka_unit_test(patterns_choose),           cmocka_unit_test(names_that_cannot_be),
	        cmocka_unit_test(when_an_answer_is_doubted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

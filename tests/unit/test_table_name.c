// SPDX-License-Identifier: Apache-2.0
/* Names of files for tables: one for each table, and back; what no table has is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/table_name.h>

static const struct pair {
	const char *schema, *table, *name;
} pairs[] = {
        {"public", "orders", "public.orders.tsv"},
        {"", "orders", "orders.tsv"},
        {"public", "", "public..tsv"},
        {"", "", "%-.tsv"},
        {"public", "-", "public.-.tsv"},
        {"", "-", "-.tsv"},
        {"a.b", "c", "a%2Eb.c.tsv"},
        {"a", "b.c", "a.b%2Ec.tsv"},
        {"", ".", "%2E.tsv"},
        {"", "..", "%2E%2E.tsv"},
        {".", ".", "%2E.%2E.tsv"},
        {"s", "a/b", "s.a%2Fb.tsv"},
        {"s", "50%", "s.50%25.tsv"},
        {"s", "%2F", "s.%252F.tsv"},
        {"s", "%~0123456789ABCDEF", "s.%25~0123456789ABCDEF.tsv"},
        {"s", "a\nb\tc\x7f", "s.a%0Ab%09c%7F.tsv"},
        {"s", "Größe \"x\" 'y' \\", "s.Größe \"x\" 'y' \\.tsv"},
        {"s", "\xff\xfe", "s.\xff\xfe.tsv"},
        {"s", "t.tsv", "s.t%2Etsv.tsv"},
};

static void a_table_has_one_name_and_a_name_one_table(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		_cleanup(free) char *schema = NULL, *table = NULL;
		char name[NAME_MAX_BYTES];

		table_name_format(pairs[i].schema, pairs[i].table, ".tsv", name);
		assert_string_equal(name, pairs[i].name);
		assert_int_equal(table_name_parse(name, ".tsv", &schema, &table), 0);
		assert_string_equal(schema, pairs[i].schema);
		assert_string_equal(table, pairs[i].table);
	}
}

static void what_no_table_has_is_refused(void **state)
{
	static const char *const bad[] = {
	        "",
	        ".tsv",
	        "orders",
	        "public.orders.csv",
	        ".orders.tsv",
	        "a.b.c.tsv",
	        "s.a/b.tsv",
	        "s.a\nb.tsv",
	        "s.50%.tsv",
	        "s.%2.tsv",
	        "s.%2f.tsv", /* a second name of "s"."/" */
	        "s.%41.tsv", /* likewise of "s"."A" */
	        "s.%00.tsv",
	        "s.%G0.tsv",
	        "s.%-.tsv",
	        "%.tsv",
	        "%~.tsv",
	        "s.%~0123456789ABCDE.tsv",
	        "s.%~0123456789ABCDEf.tsv",
	        "%2",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *schema = NULL, *table = NULL;

		assert_int_equal(table_name_parse(bad[i], ".tsv", &schema, &table), -EINVAL);
		assert_null(schema);
		assert_null(table);
	}
}

static void fill(char *text, size_t len, const char *with)
{
	for (size_t i = 0; i < len; i++)
		text[i] = with[i % strlen(with)];
	text[len] = '\0';
}

static void assert_cut(const char *schema, const char *table)
{
	char name[NAME_MAX_BYTES], *a = NULL, *b = NULL;
	size_t len;

	table_name_format(schema, table, ".tsv", name);
	len = strlen(name);
	assert_in_range(len, NAME_MAX_BYTES - 1 - 3, NAME_MAX_BYTES - 1);
	assert_true(str_ends(name, ".tsv"));
	assert_int_equal(table_name_parse(name, ".tsv", &a, &b), TABLE_NAME_CUT);
	assert_memory_equal(name + len - strlen(".tsv") - 18, "%~", 2);
}

static void what_is_too_long_is_cut_with_a_hash(void **state)
{
	char schema[200], table[200], name[NAME_MAX_BYTES], other[NAME_MAX_BYTES];

	fill(schema, 63, "/");
	fill(table, 63, ".");
	assert_cut(schema, table);
	table_name_format(schema, table, ".tsv", name);
	assert_null(strstr(name, "%2%"));
	/* They differ where it is cut off. */
	table[62] = '/';
	table_name_format(schema, table, ".tsv", other);
	assert_string_not_equal(name, other);
	fill(schema, 199, "ö");
	fill(table, 199, "x");
	schema[198] = '\0';
	assert_cut(schema, table);
	/* The longest that is not. */
	fill(schema, 125, "a");
	fill(table, 125, "b");
	table_name_format(schema, table, ".tsv", name);
	assert_int_equal(strlen(name), 255);
	assert_null(strstr(name, "%~"));
}

static void no_character_is_taken_apart(void **state)
{
	char schema[8], table[404], name[NAME_MAX_BYTES];

	for (size_t shift = 0; shift < 4; shift++) {
		size_t at = 0;

		fill(schema, shift + 1, "a");
		fill(table, 400, "\xf0\x9f\x98\x80");
		assert_cut(schema, table);
		table_name_format(schema, table, ".tsv", name);
		while (name[at] && name[at] != '%') {
			size_t n = str_utf8_char(name + at);

			assert_true(n > 0);
			at += n;
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_table_has_one_name_and_a_name_one_table),
	        cmocka_unit_test(what_no_table_has_is_refused),
	        cmocka_unit_test(what_is_too_long_is_cut_with_a_hash),
	        cmocka_unit_test(no_character_is_taken_apart),
	};

	return cmocka_run_group_tests_name("table_name", tests, NULL, NULL);
}

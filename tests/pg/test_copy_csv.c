// SPDX-License-Identifier: Apache-2.0
/*
 * CSV: what codec/copy_text.h makes of the rows of COPY's text format is, byte for byte, what PostgreSQL itself writes with FORMAT csv, HEADER.
 */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_text.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "copy_csv"

/* 65536 is COPY_CSV_FIELD_MAX. */
static const char make_csv_tables[] =
        "CREATE TABLE awkward (v text);"
        "INSERT INTO awkward VALUES (NULL), (''), ('\\.'), ('\\N'), ('\\'), ('\\\\'), (' '), (' x '), ('\"'), ('\"\"'), (','), ('a,b'), "
        " ('NULL'), ('\\.x'), ('x\\.'), (E'\\n'), (E'\\r'), (E'\\r\\n'), (E'\\t'), (E'\\n\\\\.\\n'), (E'\\\\.\\n'), (E'a\\nb'), (E'\\b\\f\\v'), "
        " ('äöü 漢字 🐘'), ('漢,字'), ('{\"a\": [1, 2]}'), ('\\x00ff'), ('\\101'), (E'tab\\there'), (repeat('\\', 1000)), "
        " (repeat('\"', 70000)), (repeat('x', 65535)), (repeat('x', 65536)), (repeat('x', 65535) || ','), (repeat('ä', 32768)), "
        " (repeat('x', 65536) || ','), (repeat('long, ', 100000)), (E'\\n' || repeat('y', 300000));"
        "INSERT INTO awkward SELECT chr(i) FROM generate_series(1, 300) i;"
        "INSERT INTO awkward SELECT chr(i) || chr(j) FROM generate_series(1, 127) i, unnest(ARRAY[9, 10, 13, 34, 44, 46, 78, 92]) j;"
        "INSERT INTO awkward SELECT chr(j) || chr(i) FROM generate_series(1, 127) i, unnest(ARRAY[9, 10, 13, 34, 44, 46, 78, 92]) j;"
        "CREATE TABLE two AS SELECT a.v AS a, b.v AS \"b, \"\"quoted\"\"\" FROM awkward a, awkward b WHERE length(a.v || b.v) < 3 "
        " OR (a.v IS NULL AND length(b.v) < 3);"
        "CREATE TABLE three AS SELECT v AS \"co\nlumn\", reverse(v) AS \"\\.\", NULL::int AS \" \", right(v, 30000) || 'x' AS \"Größe\" FROM awkward;"
        "CREATE TABLE \"only \"\"one\"\"\" (\"\\.\" text); INSERT INTO \"only \"\"one\"\"\" VALUES ('\\.'), ('x'), (NULL);"
        "CREATE TABLE no_columns (); INSERT INTO no_columns SELECT FROM generate_series(1, 5);"
        "CREATE TABLE no_rows (a int, b text);"
        "CREATE TABLE types (i int, b bool, n numeric, f float8, ts timestamptz, j jsonb, by bytea, ta text[], p point);"
        "INSERT INTO types SELECT i, i % 2 = 0, i / 7.0, i / 7.0::float8, '2026-11-20'::timestamptz + i * interval '1 hour', "
        " jsonb_build_object('a', i, 'b', ARRAY['x', NULL]), decode(md5(i::text), 'hex'), ARRAY['a,b', '\"', NULL, ''], point(i, -i) "
        " FROM generate_series(1, 5000) i;"
        "CREATE TABLE many AS SELECT i AS a, chr(32 + i % 90) AS b, repeat(chr(40 + i % 50), i % 60) AS c, NULLIF(i % 5, 0) AS d "
        " FROM generate_series(1, 50000) i;";

static int feed_csv(void *arg, const void *data, size_t len, struct error *err)
{
	return copy_csv_feed(arg, data, len, err);
}

static void copy_out(struct pg_session *s, const char *sql, pg_take_data take, void *arg)
{
	struct error err = {0};

	if (pg_session_copy(s, sql, take, arg, &err) < 0)
		fail_msg("%s, by: %s", err.message, sql);
}

static void expect_same(const char *table, const struct str *csv, const struct str *expected)
{
	size_t same = 0;

	while (same < csv->len && same < expected->len && csv->data[same] == expected->data[same])
		same++;
	if (same < csv->len || same < expected->len)
		fail_msg("%s: differs from byte %zu on: %.60s instead of %.60s", table, same,
		         str_text(csv) + same, str_text(expected) + same);
}

static void check_table(struct pg_session *s, const char *table)
{
	_cleanup(free) char *columns_sql = mem_printf(
	        "SELECT '(' || coalesce(string_agg(quote_ident(attname), ', ' ORDER BY attnum), '') || ')' FROM pg_attribute "
	        "WHERE attrelid = '%s'::regclass AND attnum > 0",
	        table);
	_cleanup(free) char *columns = server_value(s, columns_sql);
	_cleanup(free) char *text_sql = mem_printf("COPY %s TO STDOUT", table);
	_cleanup(free) char *csv_sql = mem_printf("COPY %s TO STDOUT (FORMAT csv, HEADER)", table);
	_cleanup(str) struct str csv = {0}, expected = {0};
	_cleanup(copy_csv) struct copy_csv *c = NULL;
	struct error err = {0};

	if (copy_csv_new(columns, server_append, &csv, &c, &err) < 0)
		fail_msg("%s: %s", table, err.message);
	copy_out(s, text_sql, feed_csv, c);
	if (copy_csv_end(c, &err) < 0)
		fail_msg("%s: %s", table, err.message);
	copy_out(s, csv_sql, server_append, &expected);
	expect_same(table, &csv, &expected);
}

static void test_csv_is_postgresqls(void **state)
{
	static const char *const tables[] = {"awkward",    "two",     "three", "\"only \"\"one\"\"\"",
	                                     "no_columns", "no_rows", "types", "many"};
	struct pg_session *s = server_open(DATABASE, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		check_table(s, tables[i]);
	pg_session_free(s);
}

/* What is longer than COPY_CSV_FIELD_MAX is quoted, and is the same value to whoever reads it. */
static void test_long_value_is_read_back(void **state)
{
	_cleanup(str) struct str csv = {0};
	_cleanup(copy_csv) struct copy_csv *c = NULL;
	struct pg_session *s = server_open(DATABASE, NULL);
	struct error err = {0};
	char quoted[8] = "";

	assert_int_equal(copy_csv_new("(v)", server_append, &csv, &c, &err), 0);
	copy_out(s, "COPY (SELECT repeat('x', 65537)) TO STDOUT", feed_csv, c);
	assert_int_equal(copy_csv_end(c, &err), 0);
	assert_int_equal(csv.len, 2 + 65537 + 3);
	memcpy(quoted, csv.data, 4);
	assert_string_equal(quoted, "v\n\"x");
	assert_string_equal(csv.data + csv.len - 3, "x\"\n");
	pg_session_free(s);
}

static int make_database(void **state)
{
	struct pg_session *s;

	server_database(DATABASE);
	s = server_open(DATABASE, NULL);
	server_run(s, make_csv_tables);
	pg_session_free(s);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_csv_is_postgresqls),
	        cmocka_unit_test(test_long_value_is_read_back),
	};

	return cmocka_run_group_tests(tests, make_database, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/*
 * JSON: what codec/copy_json.h makes of the rows of COPY's text format is what PostgreSQL's own row_to_json() says of them, for values and arrays of all types, but for
 * the differences that the header names. And each value can be brought back: json_populate_record() makes the same row of it again.
 */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_json.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "copy_json"

/*
 * numbers_as_texts(): so that a number and its digits in quotes are the same. held(): is each number in it the same after it was a double?
 * base_of(): a type without its domains.
 */
static const char make_functions[] =
        "CREATE FUNCTION numbers_as_texts(j jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN CASE jsonb_typeof(j) "
        " WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(key, numbers_as_texts(value)), '{}') FROM jsonb_each(j)) "
        " WHEN 'array' THEN (SELECT coalesce(jsonb_agg(numbers_as_texts(e) ORDER BY n), '[]') FROM jsonb_array_elements(j) WITH ORDINALITY a(e, n)) "
        " WHEN 'number' THEN to_jsonb(j::text) ELSE j END; END $$;"
        "CREATE FUNCTION held(j jsonb) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN CASE jsonb_typeof(j) "
        " WHEN 'object' THEN (SELECT bool_and(held(value)) FROM jsonb_each(j)) WHEN 'array' THEN (SELECT bool_and(held(e)) FROM jsonb_array_elements(j) e) "
        " WHEN 'number' THEN (j::text::float8)::text::numeric = j::text::numeric ELSE true END; END $$;"
        "CREATE FUNCTION base_of(t oid) RETURNS oid LANGUAGE plpgsql AS $$ BEGIN WHILE (SELECT typtype FROM pg_type WHERE oid = t) = 'd' LOOP "
        " SELECT typbasetype INTO t FROM pg_type WHERE oid = t; END LOOP; RETURN t; END $$;"
        "CREATE TYPE mood AS ENUM ('sad', 'so, so', '\"happy\"', '');"
        "CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN more_positive AS positive CHECK (VALUE > 1); CREATE DOMAIN pair AS int[];"
        "CREATE DOMAIN label AS text;"
        "CREATE TYPE address AS (street text, number int, at timestamptz, tags text[]);"
        "CREATE EXTENSION IF NOT EXISTS hstore; CREATE EXTENSION IF NOT EXISTS citext;";

struct type_test {
	const char *type;
	const char *values; /* SQL, between the brackets of an array */
	const char *more;   /* SQL, a query for more values; NULL: none */
	bool differs;       /* from what the server says: only that it can be brought back is promised */
};

static const struct type_test type_tests[] = {
        {"smallint", "0, 1, -1, 32767, -32768"},
        {"integer", "0, 7, -7, 2147483647, -2147483648"},
        {"bigint",
         "0, 9007199254740991, 9007199254740992, 9007199254740993, -9007199254740992, -9007199254740993, 9223372036854775807, -9223372036854775808",
         "SELECT (2::numeric ^ (i / 2) + i % 2)::bigint FROM generate_series(0, 125) i"},
        {"numeric",
         "'NaN', 'Infinity', '-Infinity', 0, 0.00, 5.10, -5.10, 1e-20, 1e20, 123456789.012345, 1234567890.123456, 0.1234567890123456, 1e-300, 1e-290, 1e-291, 1.5e-320, "
         "1e300, 100.000000000000000000000000000000, repeat('9', 131072)::numeric, ('0.' || repeat('1', 16383))::numeric, ('-0.' || repeat('0', 300) || '7')::numeric",
         "SELECT round((random() * 10 ^ (i % 20))::numeric * (CASE i % 2 WHEN 0 THEN 1 ELSE -1 END), i % 17) FROM generate_series(1, 500) i"},
        {"numeric(12,2)", "5.1, 1234567890.12, -0.01"},
        {"real",
         "0, '-0', 'NaN', 'Infinity', '-Infinity', 3.4028235e38, 1.17549435e-38, 1e-45, 0.1, 123456.79, 1e6, 1e20",
         "SELECT (random() * 10 ^ (i % 60 - 30))::real FROM generate_series(1, 300) i"},
        {"double precision",
         "0, '-0', 'NaN', 'Infinity', '-Infinity', 1.7976931348623157e308, 2.2250738585072014e-308, 5e-324, 0.1, 0.30000000000000004, 1e15, 1e16, 123456789012345678",
         "SELECT random() * 10 ^ (i % 600 - 300) FROM generate_series(1, 600) i"},
        {"money", "0, 1234567.89, -0.01"},
        {"boolean", "true, false"},
        {"text",
         "'', ' ', 'NULL', 'null', '\\N', '\\', '\\\\', '\\.', '\"', '''', '{}', '{a,b}', '[0:1]={1,2}', 'a,b', '/', E'\\n', E'\\r\\n', E'\\t', E'\\b\\f\\v', E'\\x7f', "
         "'äöü 漢字 🐘', '漢,字', '\\x00ff', '\\101', repeat('\\', 100), repeat('\"', 100), repeat('ä', 70000), E'\\u2028', '</script>', 'true', '12'",
         "SELECT chr(i) || c FROM generate_series(1, 300) i, unnest(ARRAY['', 'x', '\\', '\"', E'\\n']) c UNION ALL SELECT repeat('x', i) || chr(9 + i % 3) || '\"' FROM generate_series(0, 70) i"},
        {"varchar(10)", "'', 'abc', 'äöü'"},
        {"char(5)", "'', 'abc'"},
        {"\"char\"", "'a', ''"},
        {"name", "'pg_class', 'say \"x\"'"},
        {"citext", "'ABC', 'a,b'"},
        {"bytea", "'', '\\x00', '\\x5c22', '\\xdeadbeef'"},
        {"uuid", "'1c3e4f60-9a7b-4c5d-8e9f-000000000001'"},
        {"date", "'2026-11-20', 'infinity', '-infinity', '0044-03-15 BC', '5874897-12-31', '0001-01-01'"},
        {"time", "'00:00', '23:59:59.999999', '24:00:00'"},
        {"time with time zone", "'12:00+02', '12:00:00.5-05:30', '00:00+00'"},
        {"timestamp",
         "'2026-11-20 02:00:00', '2026-11-20 02:00:00.123456', '2026-11-20 02:00:00.1', 'infinity', '-infinity', '0044-03-15 12:00 BC', '294276-12-31 23:59:59.999999', "
         "'4714-11-24 00:00:00 BC', '0001-01-01', '10000-01-01'"},
        {"timestamp with time zone",
         "'2026-11-20 02:00:00+00', '2026-11-20 02:00:00.123456+05:30', 'infinity', '-infinity', '0044-03-15 12:00+00 BC', "
         "'294276-12-31 23:59:59.999999+00', '4714-11-24 00:00:00+00 BC', '0001-01-01+00', '1880-01-01 00:00:00+00:53:28'"},
        {"timestamp(0) with time zone", "'2026-11-20 02:00:00.6+00'"},
        {"interval",
         "'0', '1 year 2 months 3 days 04:05:06.789', '-1 year', '-1 month +2 days -03:04:05.5', '178000000 years', '1 day -1 hour', '-00:00:00.000001'"},
        {"inet", "'10.0.0.1', '10.0.0.1/8', '::1', '2001:db8::/32'"},
        {"cidr", "'10.0.0.0/8', '2001:db8::/32'"},
        {"macaddr", "'08:00:2b:01:02:03'"},
        {"macaddr8", "'08:00:2b:01:02:03:04:05'"},
        {"bit(3)", "'101', '000'"},
        {"varbit", "'', '1', '10101010101010101'"},
        {"json",
         "'{}', '[]', '\"\"', '1', '-0', '1.50', '1e5', '{\"a\": 1, \"b\": [1, 2.50, \"x\", null, {\"c\": \"d\\\\e\"}]}', '{\"a\":1,\"a\":2}', '\"\\u00e4 \\n \\\"\"', "
         "'123456789012345678901234567890.1234567890', '[[[[[[[[[[[[1]]]]]]]]]]]]', ('[\"' || repeat('ä\\\"', 5000) || '\"]')::json"},
        {"jsonb",
         "'{}', '[]', '\"\"', '1', '1.50', '1e5', '{\"a\": 1, \"b\": [1, 2.50, \"x\", null, {\"c\": \"d\\\\e\"}]}', '\"\\u00e4 \\n \\\"\"', "
         "'123456789012345678901234567890.1234567890', '{\"\": {\"ä\": \"漢字 🐘\"}}'"},
        {"jsonpath", "'$.\"a\"[*]?(@ > 1)'"},
        {"tsvector", "'a:1 b:2A ''say \"x\"''', ''"},
        {"tsquery", "'a & (b | !c)'"},
        {"point", "'(1,2)', '(0.1,-1e+300)'"},
        {"line", "'{1,2,3}'"},
        {"lseg", "'[(1,2),(3,4)]'"},
        {"box", "'(1,2),(3,4)', '(0,0),(0,0)'"},
        {"path", "'((1,2),(3,4))', '[(1,2),(3,4)]'"},
        {"polygon", "'((1,2),(3,4),(5,6))'"},
        {"circle", "'<(1,2),3>'"},
        {"int4range", "'[1,10)', 'empty', '(,)', '[1,)'"},
        {"int8range", "'[1,10)'"},
        {"numrange", "'[1.10,2.20]'"},
        {"daterange", "'[2026-01-01,2026-02-01)', '[-infinity,infinity)'"},
        {"tsrange", "'[\"2026-01-01 00:00\",\"2026-02-01 00:00\")'"},
        {"tstzrange", "'[\"2026-01-01 00:00+00\",)'"},
        {"mood", "'sad', 'so, so', '\"happy\"', ''"},
        {"positive", "1, 2147483647"},
        {"more_positive", "2"},
        {"label", "'a \"label\"', ''"},
        {"pair", "", .differs = true},
        {"address",
         "ROW('High, \"St.\"', 1, '2026-11-20 02:00+00', ARRAY['a', NULL]), ROW(NULL, NULL, NULL, NULL), ROW('', 2, 'infinity', '{}')"},
        {"oid", "0, 4294967295"},
        {"xid", "'1'"},
        {"tid", "'(1,2)'"},
        {"pg_lsn", "'16/B374D848'"},
        {"regclass", "'pg_class'"},
        {"int2vector", "'1 2 3', ''", .differs = true},
        {"hstore", "'a=>1, b=>NULL, \"c d\"=>\"x\\\"y\"', ''", .differs = true},
};

/* It ends with the session, and leaves nothing behind. */
static struct pg_session *open_transaction(void)
{
	struct pg_session *s = server_open(DATABASE, NULL);

	server_run(s, "BEGIN");
	server_run(s, copy_json_settings);
	return s;
}

static void copy_json_types(struct pg_session *s, const char *sql, struct str *ret)
{
	struct error err = {0};

	if (pg_session_copy(s, sql, server_append, ret, &err) < 0)
		fail_msg("%s, by: %s", err.message, sql);
}

/* One value of the catalog about a column of the table t. */
static char *type_value(struct pg_session *s, const char *column, const char *what)
{
	_cleanup(free) char *sql = mem_printf(
	        "SELECT %s FROM (SELECT base_of(atttypid) AS base FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = '%s') c "
	        "JOIN pg_type b ON b.oid = c.base LEFT JOIN pg_type e ON e.oid = base_of(b.typelem) AND b.typcategory = 'A' AND b.typlen = -1 "
	        " AND right(format_type(b.oid, NULL), 2) = '[]'",
	        what, column);

	return server_value(s, sql);
}

/* As the room pg finds it out. Return: how the column has to be read. */
static char *describe_column(struct pg_session *s, struct copy_json_column *c)
{
	_cleanup(free) char *type = type_value(
	        s, c->name, "coalesce(format_type(e.oid, NULL) || '[]', format_type(b.oid, NULL))");
	_cleanup(free) char *category = type_value(s, c->name, "coalesce(e.typcategory, b.typcategory)");
	_cleanup(free) char *delimiter = type_value(s, c->name, "coalesce(e.typdelim, ',')");

	if (!copy_json_kind_of(type, *category, c)) {
		*c = (struct copy_json_column){.name = c->name, .kind = COPY_JSON_JSON};
		return mem_printf("to_json(%s)", c->name);
	}
	if (c->delimiter != *delimiter)
		fail_msg("%s has the delimiter %s", type, delimiter);
	return mem_strdup(c->name);
}

/* The rows of t as JSON into the table ours (id, j). */
static void write_rows(struct pg_session *s, struct copy_json_column *columns, size_t count)
{
	_cleanup(copy_json) struct copy_json *j = NULL;
	_cleanup(str) struct str select = {0}, rows = {0}, insert = {0}, json = {0};
	struct error err = {0};

	for (size_t i = 0; i < count; i++) {
		_cleanup(free) char *expression = describe_column(s, &columns[i]);

		str_appendf(&select, "%s%s", i ? ", " : "COPY (SELECT ", expression);
	}
	str_append(&select, " FROM t ORDER BY id) TO STDOUT");
	copy_json_types(s, str_text(&select), &rows);
	if (copy_json_new(columns, count, NULL, &j, &err) < 0)
		fail_msg("%s", err.message);
	str_append(&insert, "CREATE TABLE ours AS SELECT (j->>'id')::int AS id, j FROM (VALUES (NULL::json)");
	for (const char *p = rows.data, *end = p + rows.len, *line; p < end; p = line + 1) {
		line = memchr(p, '\n', (size_t)(end - p));
		assert_non_null(line);
		str_clear(&json);
		if (copy_json_row(j, p, (size_t)(line - p), &json, &err) < 0)
			fail_msg("%s: %.*s", err.message, (int)(line - p), p);
		assert_null(memchr(json.data, '\n', json.len));
		str_append(&insert, ", ($json_row$");
		str_append_bytes(&insert, json.data, json.len);
		str_append(&insert, "$json_row$)");
	}
	str_append(&insert, ") AS v (j) WHERE j IS NOT NULL");
	server_run(s, str_text(&insert));
}

static void expect_none(struct pg_session *s, const char *type, const char *what, const char *where)
{
	_cleanup(free) char *sql = mem_printf(
	        "SELECT coalesce((SELECT left(j::text, 300) || ' of ' || left(row_to_json(t)::text, 300) FROM t FULL JOIN ours USING (id) "
	        "WHERE %s ORDER BY id LIMIT 1), '')",
	        where);
	_cleanup(free) char *found = server_value(s, sql);

	if (*found)
		fail_msg("%s: %s: %s", type, what, found);
}

static void make_rows(struct pg_session *s, const struct type_test *t)
{
	_cleanup(free) char *more = t->more ? mem_printf(" UNION ALL (%s)", t->more) : mem_strdup("");
	_cleanup(free) char *sql = mem_printf(
	        "DROP TABLE IF EXISTS t, ours; CREATE TABLE t (id int, v %s, a %s[], m %s[]); "
	        "INSERT INTO t SELECT row_number() OVER (), x, ARRAY[x, NULL, x], ARRAY[[x, x], [NULL, x]] FROM (SELECT unnest(ARRAY[%s]::%s[]) AS x%s) q; "
	        "INSERT INTO t VALUES (0, NULL, NULL, NULL), (-1, NULL, '{}', '{}'); INSERT INTO t SELECT -2, NULL, ARRAY[[[v]], [[v]]], NULL FROM t WHERE id = 1",
	        t->type, t->type, t->type, t->values, t->type, more);

	server_run(s, sql);
}

/* A domain over arrays: its values cannot be taken apart by unnest(). */
static void make_rows_of_arrays(struct pg_session *s)
{
	server_run(
	        s,
	        "DROP TABLE IF EXISTS t, ours; CREATE TABLE t (id int, v pair, a pair[], m pair[]);"
	        "INSERT INTO t VALUES (1, '{1,2}', '{\"{1,2}\",NULL}', '{}'), (2, '{}', NULL, '{{\"{3}\"}}'), (3, NULL, '{}', NULL)");
}

static bool is_json(const struct type_test *t)
{
	return str_equal(t->type, "json") || str_equal(t->type, "jsonb");
}

/* json_populate_record() cannot know where in an array of json the elements begin that are arrays themselves: they come back one by one. */
static const char *comes_not_back(const struct type_test *t)
{
	if (is_json(t))
		return "id > 0 AND ((j->'v')::text IS DISTINCT FROM coalesce(v::text, 'null') OR ARRAY(SELECT e::text FROM json_array_elements(nullif(j->>'a', 'null')::json) e) IS DISTINCT FROM "
		       "ARRAY(SELECT coalesce(e::text, 'null') FROM unnest(a) e))";
	return "json_populate_record(NULL::t, j)::text IS DISTINCT FROM t::text";
}

static void check_type(struct pg_session *s, const struct type_test *t)
{
	struct copy_json_column columns[] = {{.name = "id"}, {.name = "v"}, {.name = "a"}, {.name = "m"}};

	if (strcmp(t->type, "pair") == 0)
		make_rows_of_arrays(s);
	else
		make_rows(s, t);
	write_rows(s, columns, ARRAY_SIZE(columns));
	if (!t->differs)
		expect_none(
		        s, t->type, "it is not what the server says",
		        "j::jsonb IS DISTINCT FROM row_to_json(t)::jsonb AND numbers_as_texts(j::jsonb) IS DISTINCT FROM numbers_as_texts(row_to_json(t)::jsonb)");
	/* The text of a float is exact, and json has what somebody wrote. */
	if (!is_json(t) && !str_equal(t->type, "real") && !str_equal(t->type, "double precision"))
		expect_none(s, t->type, "a double does not hold it", "NOT held(j::jsonb)");
	expect_none(s, t->type, "it does not come back", comes_not_back(t));
}

static void test_all_types(void **state)
{
	struct pg_session *s = open_transaction();

	for (size_t i = 0; i < ARRAY_SIZE(type_tests); i++)
		check_type(s, &type_tests[i]);
	pg_session_free(s);
}

/* The program that made the server may have left xml out. */
static void test_xml(void **state)
{
	static const struct type_test xml = {"xml", "'<a b=\"c\">ä &amp; \\ </a>', ''"};
	struct pg_session *s = open_transaction();
	_cleanup(free) char *built = server_value(
	        s,
	        "SELECT count(*) FROM pg_config WHERE name = 'CONFIGURE' AND setting LIKE '%with-libxml%'");

	if (strcmp(built, "0") != 0)
		check_type(s, &xml);
	pg_session_free(s);
}

static void test_multiranges(void **state)
{
	static const struct type_test multirange = {"int4multirange", "'{[1,10),[20,30)}', '{}'"},
	                              times = {"tstzmultirange",
	                                       "'{[\"2026-01-01 00:00+00\",\"2026-02-01 00:00+00\")}'"};
	struct pg_session *s = open_transaction();
	_cleanup(free) char *there =
	        server_value(s, "SELECT count(*) FROM pg_type WHERE typname = 'int4multirange'");

	if (strcmp(there, "0") != 0) {
		check_type(s, &multirange);
		check_type(s, &times);
	}
	pg_session_free(s);
}

/* The bounds would be lost in an array of JSON, and they are there again. */
static void test_bounds_of_arrays(void **state)
{
	struct copy_json_column columns[] = {{.name = "id"}, {.name = "v"}, {.name = "w"}};
	struct pg_session *s = open_transaction();

	server_run(s, "DROP TABLE IF EXISTS t, ours; CREATE TABLE t (id int, v int[], w text[]);"
	              "INSERT INTO t VALUES (1, '[0:1]={1,2}', '[2:3][-1:0]={{a,\"b\\\"\"},{NULL,\"\"}}')");
	write_rows(s, columns, ARRAY_SIZE(columns));
	expect_none(s, "arrays", "it does not come back",
	            "json_populate_record(NULL::t, j)::text IS DISTINCT FROM t::text");
	server_expect(
	        s, "SELECT j FROM ours",
	        "{\"id\":1,\"v\":\"[0:1]={1,2}\",\"w\":\"[2:3][-1:0]={{a,\\\"b\\\\\\\"\\\"},{NULL,\\\"\\\"}}\"}");
	pg_session_free(s);
}

/* json keeps the lines in which somebody wrote it; a row of an export does not. */
static void test_json_in_lines(void **state)
{
	struct copy_json_column columns[] = {{.name = "id"}, {.name = "v"}};
	struct pg_session *s = open_transaction();

	server_run(
	        s,
	        "DROP TABLE IF EXISTS t, ours; CREATE TABLE t (id int, v json);"
	        "INSERT INTO t VALUES (1, E'{\\n\\t\"a\": 1.50,\\r\\n\\t\"b\": [\\n1]\\n}'), (2, jsonb_pretty('{\"a\": [1, {\"b\": \"c\\\\n\"}]}')::json)");
	write_rows(s, columns, ARRAY_SIZE(columns));
	expect_none(s, "json", "it is not what the server says",
	            "j::jsonb IS DISTINCT FROM row_to_json(t)::jsonb");
	server_expect(s, "SELECT j FROM ours WHERE id = 1",
	              "{\"id\":1,\"v\":{  \"a\": 1.50,   \"b\": [ 1] }}");
	pg_session_free(s);
}

/* As deep as the server takes it. */
static void test_deep_json(void **state)
{
	struct copy_json_column columns[] = {{.name = "id"}, {.name = "v"}, {.name = "w"}};
	struct pg_session *s = open_transaction();

	server_run(
	        s,
	        "DROP TABLE IF EXISTS t, ours; CREATE TABLE t (id int, v json, w jsonb);"
	        "INSERT INTO t SELECT 1, d, d FROM (SELECT (repeat('[', 8000) || repeat(']', 8000))::json AS d) q");
	write_rows(s, columns, ARRAY_SIZE(columns));
	expect_none(s, "json", "it is not what the server says",
	            "j->>'v' IS DISTINCT FROM v::text OR j->>'w' IS DISTINCT FROM w::text");
	pg_session_free(s);
}

/* How it looks, for all whom it concerns. */
static void test_known_row(void **state)
{
	struct copy_json_column columns[] = {{.name = "id"}, {.name = "big"}, {.name = "n"},
	                                     {.name = "f"},  {.name = "ok"},  {.name = "tz"},
	                                     {.name = "ts"}, {.name = "d"},   {.name = "i"},
	                                     {.name = "by"}, {.name = "doc"}, {.name = "ad"}};
	struct pg_session *s = open_transaction();

	server_run(
	        s,
	        "DROP TABLE IF EXISTS t, ours; CREATE TABLE t (id int, big bigint, n numeric, f float8, ok bool, tz timestamptz, ts timestamp, d date, i interval, by bytea, doc jsonb, ad address);"
	        "INSERT INTO t VALUES (1, 9007199254740993, 5.10, 1e20, true, '2026-11-20 03:00:00+01', '2026-11-20 02:00:00', '2026-11-20', '1 day 2 hours', '\\x00ff', "
	        " '{\"a\": 1.10}', ROW('x', 2, NULL, '{a}'))");
	write_rows(s, columns, ARRAY_SIZE(columns));
	server_expect(
	        s, "SELECT j FROM ours",
	        "{\"id\":1,\"big\":\"9007199254740993\",\"n\":5.10,\"f\":1e+20,\"ok\":true,\"tz\":\"2026-11-20T02:00:00+00:00\",\"ts\":\"2026-11-20T02:00:00\","
	        "\"d\":\"2026-11-20\",\"i\":\"P1DT2H\",\"by\":\"\\\\x00ff\",\"doc\":{\"a\": 1.10},\"ad\":{\"street\":\"x\",\"number\":2,\"at\":null,\"tags\":[\"a\"]}}");
	pg_session_free(s);
}

static int make_database(void **state)
{
	struct pg_session *s;

	server_database(DATABASE);
	s = server_open(DATABASE, NULL);
	server_run(s, make_functions);
	pg_session_free(s);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_all_types),     cmocka_unit_test(test_xml),
	        cmocka_unit_test(test_multiranges),   cmocka_unit_test(test_bounds_of_arrays),
	        cmocka_unit_test(test_json_in_lines), cmocka_unit_test(test_deep_json),
	        cmocka_unit_test(test_known_row),
	};

	return cmocka_run_group_tests(tests, make_database, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Foreign tables over the rows of a dump: names, types from the dump's SQL, whatever the pieces in which it comes. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/attach_sql.h>
#include <keepfs/codec/sql_text.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct attach_sql_backup backup = {.name = "full/20261120T020000Z", .encoding = "UTF8"};

static char *text_of(const struct spool *spool)
{
	size_t len = (size_t)spool_size(spool);
	char *text = mem_alloc(len + 1);

	assert_int_equal(spool_get(spool, text, len, 0, NULL), 0);
	return text;
}

static int feed_in_pieces(struct attach_sql *a, const char *text, size_t piece)
{
	size_t len = strlen(text);
	int r = 0;

	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		_cleanup(free) char *copy = mem_alloc(n);

		memcpy(copy, text + at, n);
		r = attach_sql_feed(a, copy, n, NULL);
	}
	return r;
}

/* The statement that makes the table, without what is around it. */
static char *foreign_table(const char *schema_sql, const struct attach_sql_table *table, size_t piece)
{
	_cleanup(attach_sql) struct attach_sql *a = attach_sql_new("/tmp");
	_cleanup(spool) struct spool *out = spool_new("/tmp");
	_cleanup(free) char *text = NULL;
	struct error err = {0};
	char *start, *end;

	feed_in_pieces(a, schema_sql, piece);
	assert_int_equal(attach_sql_begin(a, &backup, out, &err), 0);
	if (attach_sql_table(a, table, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(attach_sql_end(a, &err), 0);
	text = text_of(out);
	start = strstr(text, "CREATE FOREIGN TABLE ");
	assert_non_null(start);
	end = strstr(start, ");\n");
	assert_non_null(end);
	return strndup(start, (size_t)(end - start));
}

static void expect_columns(const char *schema_sql, const char *table, const char *columns,
                           const char *expected)
{
	const struct attach_sql_table one = {
	        .schema = "public", .table = table, .columns = columns, .path = "/m/x"};
	static const size_t pieces[] = {1, 2, 7, 100000};

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		_cleanup(free) char *sql = foreign_table(schema_sql, &one, pieces[i]);
		_cleanup(free) char *whole = mem_printf(
		        "CREATE FOREIGN TABLE \"full_20261120t020000z\".\"%s\" (\n%s) SERVER keepfs OPTIONS (filename '/m/x', "
		        "format 'text', encoding 'UTF8'",
		        table, expected);

		assert_string_equal(sql, whole);
	}
}

static void test_types_of_columns(void **state)
{
	expect_columns(
	        "CREATE TABLE public.t (\n    id integer NOT NULL,\n    at timestamp(3) with time zone DEFAULT now(),\n"
	        "    n numeric(10,2) DEFAULT 1.5 NOT NULL,\n    tags text[] COLLATE pg_catalog.\"C\",\n    c \"char\",\n"
	        "    d character varying(20) DEFAULT 'a, (b'::character varying COLLATE pg_catalog.\"de_DE\" NOT NULL,\n"
	        "    i interval day to second(3),\n    CONSTRAINT positive CHECK ((id > 0))\n);\n",
	        "t", "(id, at, n, tags, c, d, i)",
	        "\t\"id\" integer,\n\t\"at\" timestamp(3) with time zone,\n\t\"n\" numeric(10,2),\n"
	        "\t\"tags\" text[] COLLATE pg_catalog.\"C\",\n\t\"c\" \"char\",\n"
	        "\t\"d\" character varying(20) COLLATE pg_catalog.\"de_DE\",\n\t\"i\" interval day to second(3)\n");
}

static void test_order_of_copy(void **state)
{
	/* Generated columns have no data, and the order is that of the rows. */
	expect_columns(
	        "CREATE UNLOGGED TABLE public.t (\n    a integer,\n    g integer GENERATED ALWAYS AS ((a * 2)) STORED,\n    b text\n);\n",
	        "t", "(b, a)", "\t\"b\" text,\n\t\"a\" integer\n");
}

static void test_types_of_the_dump(void **state)
{
	expect_columns(
	        "CREATE TYPE public.mood AS ENUM (\n    'sad, (very)',\n    'ok'\n);\nCREATE TABLE public.t (\n    m public.mood DEFAULT 'ok'::public.mood,\n"
	        "    o \"odd. (schema)\".\"my \"\"type\"\"\"[],\n    p public.default,\n    c text COLLATE public.like_c\n);\n",
	        "t", "(m, o, p, c)",
	        "\t\"m\" public.mood, -- or text\n\t\"o\" \"odd. (schema)\".\"my \"\"type\"\"\"[], -- or text\n"
	        "\t\"p\" public.default, -- or text\n\t\"c\" text COLLATE public.like_c -- or without COLLATE\n");
}

static void test_columns_of_parents(void **state)
{
	static const char sql[] =
	        "CREATE TABLE public.a (\n    id bigint,\n    note text\n);\nCREATE TABLE other.b (\n    b date\n);\n"
	        "CREATE TABLE public.child (\n    own uuid,\n    note character(3)\n)\nINHERITS (public.a, other.b);\n"
	        "CREATE TABLE public.grandchild (\n)\nINHERITS (public.child);\n"
	        "CREATE TYPE public.point3 AS (\n\tx double precision,\n\t\"the z\" numeric(10,2)\n);\n"
	        "CREATE TABLE public.typed OF public.point3 (\n    x WITH OPTIONS DEFAULT 1 NOT NULL\n);\n"
	        "CREATE TABLE public.typed_plain OF public.point3;\n"
	        "CREATE TABLE public.typed_15 OF public.point3 (\n    x DEFAULT 1 NOT NULL\n);\n"
	        "CREATE TABLE public.part PARTITION OF public.a\nFOR VALUES IN (1);\n";

	expect_columns(sql, "child", "(id, note, b, own)",
	               "\t\"id\" bigint,\n\t\"note\" character(3),\n\t\"b\" date,\n\t\"own\" uuid\n");
	expect_columns(sql, "grandchild", "(id, note, b, own)",
	               "\t\"id\" bigint,\n\t\"note\" character(3),\n\t\"b\" date,\n\t\"own\" uuid\n");
	expect_columns(sql, "typed", "(x, \"the z\")",
	               "\t\"x\" double precision,\n\t\"the z\" numeric(10,2)\n");
	expect_columns(sql, "typed_plain", "(x, \"the z\")",
	               "\t\"x\" double precision,\n\t\"the z\" numeric(10,2)\n");
	expect_columns(sql, "typed_15", "(x, \"the z\")",
	               "\t\"x\" double precision,\n\t\"the z\" numeric(10,2)\n");
	expect_columns(sql, "part", "(id, note)", "\t\"id\" bigint,\n\t\"note\" text\n");
}

static void test_parents_in_a_ring(void **state)
{
	expect_columns(
	        "CREATE TABLE public.a (\n)\nINHERITS (public.b);\nCREATE TABLE public.b (\n)\nINHERITS (public.a);\n",
	        "a", "(x)", "\t\"x\" text -- its type is not in the backup\n");
}

static void test_what_only_looks_like_a_table(void **state)
{
	static const char sql[] =
	        "\\restrict abc'def\n"
	        "-- CREATE TABLE public.t (x date); it's a comment; \"\n"
	        "/* CREATE TABLE public.t (x date); /* ' */ $$ */\n"
	        "CREATE FUNCTION public.f() RETURNS void LANGUAGE sql AS $_$\nCREATE TABLE public.t (x date);\n$_ $ $$ ; $_$;\n"
	        "CREATE FUNCTION public.g(integer) RETURNS text LANGUAGE sql AS $$ SELECT $1; CREATE TABLE public.t (x date); $$;\n"
	        "COMMENT ON TABLE public.t IS 'it''s\nCREATE TABLE public.t (x date);\n\\';\n"
	        "COMMENT ON TABLE public.t IS E'it\\'s; \\\\';\n"
	        "COMMENT ON COLUMN public.t.\"a;\"\"$$b'\" IS 'x';\n"
	        "CREATE TABLE public.t (\n    x integer\n);\n"
	        "COPY public.t (x) FROM stdin;\n"
	        "1\n\\.\n";

	expect_columns(sql, "t", "(x)", "\t\"x\" integer\n");
}

static void test_escapes_without_standard_conforming_strings(void **state)
{
	expect_columns(
	        "SET standard_conforming_strings = off;\nCOMMENT ON TABLE public.a IS 'it\\';CREATE TABLE public.t (x date);';\n"
	        "CREATE TABLE public.t (\n    y text DEFAULT '\\',',\n    x integer\n);\n",
	        "t", "(x, y)", "\t\"x\" integer,\n\t\"y\" text\n");
}

static void test_definitions_that_are_cut(void **state)
{
	static const char sql[] =
	        "CREATE TABLE public.t (\n    a integer DEFAULT 'x\"(',\n    b date\n)\nINHERITS (public.p, other.q);\n";

	/* Whatever is cut off: no type is made up. */
	for (size_t len = 0; len < sizeof(sql) - 1; len++) {
		const struct attach_sql_table one = {
		        .schema = "public", .table = "t", .columns = "(a)", .path = "/m"};
		_cleanup(free) char *cut = strndup(sql, len), *with_end = mem_printf("%s;", cut),
		                    *made = foreign_table(with_end, &one, 1000);

		assert_true(strstr(made, "(\n\t\"a\" text -- its type is not in the backup\n)") ||
		            strstr(made, "(\n\t\"a\" i"));
	}
}

static void test_rows_end_the_definitions(void **state)
{
	_cleanup(attach_sql) struct attach_sql *a = attach_sql_new("/tmp");

	assert_int_equal(feed_in_pieces(a, "CREATE TABLE public.t (\n    x integer\n);\n", 1000), 0);
	assert_int_equal(feed_in_pieces(a, "COPY public.t (\"from stdin\", x) TO stdout;", 3), 0);
	assert_int_equal(feed_in_pieces(a, "COPY public.t (x) FROM stdin;\n'", 3), 1);
	assert_int_equal(feed_in_pieces(a, "more", 3), 1);
}

static void test_statement_that_is_too_long(void **state)
{
	_cleanup(str) struct str sql = {0};
	const struct attach_sql_table one = {
	        .schema = "public", .table = "t", .columns = "(x)", .path = "/m"};
	_cleanup(free) char *made = NULL;

	str_append(&sql, "CREATE TABLE public.t (\n    x integer DEFAULT '");
	for (int i = 0; i < 5 << 20; i++)
		str_append_char(&sql, 'x');
	str_append(&sql, "'\n);\nCREATE TABLE public.u (\n    x date\n);\n");
	made = foreign_table(sql.data, &one, 100000);
	assert_non_null(strstr(made, "\t\"x\" text -- its type is not in the backup\n"));
}

static char *attach(const struct attach_sql_backup *b, const struct attach_sql_table *tables, size_t count)
{
	_cleanup(attach_sql) struct attach_sql *a = attach_sql_new("/tmp");
	_cleanup(spool) struct spool *out = spool_new("/tmp");

	assert_int_equal(attach_sql_begin(a, b, out, NULL), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(attach_sql_table(a, &tables[i], NULL), 0);
	assert_int_equal(attach_sql_end(a, NULL), 0);
	return text_of(out);
}

static void must_have(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in: %s", part, text);
}

static void test_names_of_schemas(void **state)
{
	static const struct attach_sql_table tables[] = {
	        {"public", "orders", "(id)", "/m/public.orders.tsv"},
	        {"sales", "orders", "(id)", "/m/sales.orders.tsv"},
	        {"Odd \"schema\"", "a \"table\"", "(\"a \"\"column\"\"\")", "/m/it's\\odd"},
	        {"a_schema_whose_name_is_as_long_as_a_name_may_be_in_a_server_of_it", "t", "(id)", "/m/t"},
	        {"a_schema_whose_name_is_as_long_as_a_name_may_be_in_a_server_of_us", "t", "(id)", "/m/t"},
	        {"äöüäöüäöüäöüäöüäöüäöüäöü", "t", "(id)", "/m/t"},
	};
	_cleanup(free) char *text = attach(&backup, tables, ARRAY_SIZE(tables));

	must_have(text, "CREATE FOREIGN TABLE \"full_20261120t020000z\".\"orders\" (\n");
	must_have(text, "CREATE FOREIGN TABLE \"full_20261120t020000z_sales\".\"orders\" (\n");
	must_have(text, "DROP FOREIGN TABLE IF EXISTS \"full_20261120t020000z_sales\".\"orders\";\n");
	must_have(
	        text,
	        "CREATE FOREIGN TABLE \"full_20261120t020000z_Odd \"\"schema\"\"\".\"a \"\"table\"\"\" (\n\t\"a \"\"column\"\"\" text -- its");
	must_have(text, "OPTIONS (filename  E'/m/it''s\\\\odd', format 'text', encoding 'UTF8');\n");
	must_have(text, "SET LOCAL keepfs.schema = 'full_20261120t020000z_Odd \"schema\"';\n");
	must_have(text,
	          "CREATE SCHEMA IF NOT EXISTS \"full_20261120t020000z_a_schema_whose_name_is_as_long_a_");
	must_have(text, "CREATE SCHEMA IF NOT EXISTS \"full_20261120t020000z_äöüäöüäöüäöüäöüä_");
	must_have(text, "COMMENT ON SCHEMA \"full_20261120t020000z\" IS 'keepfs: full/20261120T020000Z';\n");
	must_have(text, "SET LOCAL client_encoding = 'UTF8';\n");
}

static void test_rows_in_several_files(void **state)
{
	static const struct attach_sql_table tables[] = {
	        {"public", "orders", "(id)", "/m/public.orders.tsv", 0},
	        {"public", "orders", "(id)", "/m/public.orders%+17.tsv", 17},
	        {"public", "a_name_of_63_bytes_which_is_the_longest_that_a_relation_may_hav", "(id)", "/m/x",
	         18},
	};
	_cleanup(free) char *text = attach(&backup, tables, ARRAY_SIZE(tables));

	must_have(text, "CREATE FOREIGN TABLE \"full_20261120t020000z\".\"orders\" (\n");
	must_have(text, "DROP FOREIGN TABLE IF EXISTS \"full_20261120t020000z\".\"orders%+17\";\n");
	must_have(text, "CREATE FOREIGN TABLE \"full_20261120t020000z\".\"orders%+17\" (\n");
	must_have(text, ".\"a_name_of_63_bytes_which_is_the_longest_that_a_relatio_");
}

static char *schema_of(const char *name)
{
	const struct attach_sql_backup b = {.name = name, .encoding = ""};
	static const struct attach_sql_table table = {"public", "t", "(id)", "/m"};
	_cleanup(free) char *text = attach(&b, &table, 1);
	char *start = strstr(text, "CREATE SCHEMA IF NOT EXISTS \""), *end;

	assert_null(strstr(text, "encoding"));
	start += strlen("CREATE SCHEMA IF NOT EXISTS \"");
	end = strchr(start, '"');
	return strndup(start, (size_t)(end - start));
}

static void test_names_of_backups(void **state)
{
	static const char *const names[][2] = {
	        {"full/20261120T020000Z", "full_20261120t020000z"},
	        {"tenants/acme=2E/20261120T020000Z-2", "tenants_acme_2e_20261120t020000z_2"},
	        {"2full/20261120T020000Z", "_2full_20261120t020000z"},
	        {"pg_all/20261120T020000Z", "_pg_all_20261120t020000z"},
	};
	_cleanup(free) char *one =
	        schema_of("a-job/whose-name-is-much-longer-than-that-of-others/20261120T020000Z");
	_cleanup(free) char *two =
	        schema_of("a-job/whose-name-is-much-longer-than-that-of-others/20261120T020001Z");

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup(free) char *schema = schema_of(names[i][0]);

		assert_string_equal(schema, names[i][1]);
	}
	assert_int_equal(strlen(one), 63);
	assert_int_equal(strlen(two), 63);
	assert_string_not_equal(one, two);
}

static void test_tables_without_columns(void **state)
{
	static const struct attach_sql_table tables[] = {
	        {"public", "none\n; DROP TABLE x; --", "()", "/m/none"},
	        {"public", "none", "", "/m/none"},
	};
	_cleanup(free) char *text = attach(&backup, tables, ARRAY_SIZE(tables));

	must_have(text,
	          "\n-- The table public.none ; DROP TABLE x; -- is not made: its rows have no columns");
	assert_null(strstr(text, "CREATE FOREIGN"));
}

static void test_many_tables(void **state)
{
	_cleanup(attach_sql) struct attach_sql *a = attach_sql_new("/tmp");
	_cleanup(spool) struct spool *out = spool_new("/tmp");
	_cleanup(free) char *text = NULL;
	static const struct attach_sql_table table = {"public", "t", "(id)", "/m"};
	size_t transactions = 0, schemas = 0;

	assert_int_equal(attach_sql_begin(a, &backup, out, NULL), 0);
	for (int i = 0; i < 2 * ATTACH_SQL_TABLES + 1; i++)
		assert_int_equal(attach_sql_table(a, &table, NULL), 0);
	assert_int_equal(attach_sql_end(a, NULL), 0);
	text = text_of(out);
	for (const char *p = text; (p = strstr(p, "BEGIN;\nSET LOCAL")); p++)
		transactions++;
	for (const char *p = text; (p = strstr(p, "\nCREATE SCHEMA")); p++)
		schemas++;
	assert_int_equal(transactions, 3);
	assert_int_equal(schemas, 3);
}

static void test_bad_column_list(void **state)
{
	_cleanup(attach_sql) struct attach_sql *a = attach_sql_new("/tmp");
	_cleanup(spool) struct spool *out = spool_new("/tmp");
	static const struct attach_sql_table table = {"public", "t", "(id", "/m"};
	struct error err = {0};

	assert_int_equal(attach_sql_begin(a, &backup, out, &err), 0);
	assert_int_equal(attach_sql_table(a, &table, &err), -EBADMSG);
	assert_string_equal(err.message, "this is no list of columns: (id");
}

static void test_no_room_for_the_spool(void **state)
{
	_cleanup(attach_sql) struct attach_sql *a = attach_sql_new("/nowhere/at/all");
	_cleanup(str) struct str sql = {0};
	struct error err = {0};
	int r = 0;

	for (int i = 0; i < 20000; i++)
		str_appendf(&sql, "CREATE TABLE public.t%d (\n    id integer,\n    at date\n);\n", i);
	r = attach_sql_feed(a, sql.data, sql.len, &err);
	assert_true(r < 0);
	assert_true(*err.message);
}

static void test_tokens(void **state)
{
	struct sql_scan scan = {
	        .at = " a.\"b \"\"c\"\"\" /* x /* y */ ' */ -- \"\n 'it''s' E'a\\'b' $t$ $ $tt$ ' $t$ $1 1.5 é\"open"};
	static const char *const texts[] = {
	        "a", ".", "\"b \"\"c\"\"\"", "'it''s'", "E'a\\'b'", "$t$ $ $tt$ ' $t$", "$", "1", "1", ".",
	        "5", "é", "\"open",          ""};
	static const enum sql_kind kinds[] = {SQL_WORD,   SQL_SIGN, SQL_NAME, SQL_STRING, SQL_STRING,
	                                      SQL_STRING, SQL_SIGN, SQL_WORD, SQL_WORD,   SQL_SIGN,
	                                      SQL_WORD,   SQL_WORD, SQL_NAME, SQL_END};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct sql_token t = sql_next(&scan);

		assert_int_equal(t.kind, kinds[i]);
		assert_int_equal(t.len, strlen(texts[i]));
		assert_memory_equal(t.text, texts[i], t.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_types_of_columns),
	        cmocka_unit_test(test_order_of_copy),
	        cmocka_unit_test(test_types_of_the_dump),
	        cmocka_unit_test(test_columns_of_parents),
	        cmocka_unit_test(test_parents_in_a_ring),
	        cmocka_unit_test(test_what_only_looks_like_a_table),
	        cmocka_unit_test(test_escapes_without_standard_conforming_strings),
	        cmocka_unit_test(test_definitions_that_are_cut),
	        cmocka_unit_test(test_rows_end_the_definitions),
	        cmocka_unit_test(test_statement_that_is_too_long),
	        cmocka_unit_test(test_names_of_schemas),
	        cmocka_unit_test(test_names_of_backups),
	        cmocka_unit_test(test_rows_in_several_files),
	        cmocka_unit_test(test_tables_without_columns),
	        cmocka_unit_test(test_many_tables),
	        cmocka_unit_test(test_bad_column_list),
	        cmocka_unit_test(test_no_room_for_the_spool),
	        cmocka_unit_test(test_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

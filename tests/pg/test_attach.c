// SPDX-License-Identifier: Apache-2.0
/*
 * Foreign tables over the rows of a dump: what attach_sql writes is taken by psql, twice, and a server then sees in files exactly the rows that the tables had
 * when they were written; what is missing comes back by an INSERT; and a schema of somebody else is left alone.
 */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/attach_sql.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "attach"

static const char make_tables_to_attach[] =
        "CREATE SCHEMA \"Odd, (schema)\";"
        "CREATE TYPE public.mood AS ENUM ('sad', 'it''s; ok'); CREATE DOMAIN \"Odd, (schema)\".\"a \"\"domain\"\"\" AS int CHECK (VALUE > 0);"
        "CREATE TYPE public.point3 AS (x float8, \"the z\" numeric(10,2), tags text COLLATE \"C\");"
        "CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $$ SELECT 'CREATE TABLE public.orders (id date);'::text $$;"
        "CREATE TABLE public.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz DEFAULT now() NOT NULL, n numeric(12,2) CHECK (n > 0), "
        " twice numeric GENERATED ALWAYS AS (n * 2) STORED, m public.mood DEFAULT 'sad', note text COLLATE \"C\" DEFAULT 'a, b ('';', tags text[], j jsonb);"
        "INSERT INTO public.orders (n, m, note, tags, j) SELECT i, CASE WHEN i % 3 > 0 THEN 'it''s; ok'::public.mood END, "
        " E'tab\\tnewline\\n\\\\ \\\\N \\\\. \\r ' || i, ARRAY['a,b', NULL, ''], '{\"a\": [1, \"x\"]}' FROM generate_series(1, 1000) i;"
        "INSERT INTO public.orders (n, note) VALUES (1, ''), (2, NULL), (3, '\\.'), (4, '\\N');"
        "CREATE TABLE \"Odd, (schema)\".\"orders\" (\"a \"\"column\"\"; --\" \"Odd, (schema)\".\"a \"\"domain\"\"\", p public.point3);"
        "INSERT INTO \"Odd, (schema)\".\"orders\" SELECT i, ROW(i, i / 3.0, 'x')::public.point3 FROM generate_series(1, 10) i;"
        "CREATE TABLE public.parent (id int, t text); CREATE TABLE public.child (own date) INHERITS (public.parent);"
        "INSERT INTO public.parent VALUES (1, 'p'); INSERT INTO public.child VALUES (2, 'c', '2026-11-20');"
        "CREATE TABLE public.typed OF public.point3 (x WITH OPTIONS DEFAULT 1 NOT NULL); INSERT INTO public.typed VALUES (1, 2, 'a');"
        "CREATE TABLE public.parted (k int, v text) PARTITION BY LIST (k); CREATE TABLE public.part_1 (v text, gone int, k int);"
        "ALTER TABLE public.part_1 DROP gone; ALTER TABLE public.parted ATTACH PARTITION public.part_1 FOR VALUES IN (1);"
        "INSERT INTO public.parted VALUES (1, 'one'); CREATE TABLE public.none (); INSERT INTO public.none SELECT FROM generate_series(1, 3);";

static const struct table_to_attach {
	const char *schema, *table, *columns, *attached;
} tables[] = {
        {"public", "orders", "(id, at, n, m, note, tags, j)", "full_20261120t020000z.orders"},
        {"Odd, (schema)", "orders", "(\"a \"\"column\"\"; --\", p)",
         "\"full_20261120t020000z_Odd, (schema)\".orders"},
        {"public", "parent", "(id, t)", "full_20261120t020000z.parent"},
        {"public", "child", "(id, t, own)", "full_20261120t020000z.child"},
        {"public", "typed", "(x, \"the z\", tags)", "full_20261120t020000z.typed"},
        {"public", "part_1", "(v, k)", "full_20261120t020000z.part_1"},
        {"public", "none", "", NULL},
};

/* What the program writes; its exit status. */
static int run_program(const char *const *argv, struct str *out, struct error *err)
{
	const struct proc_options options = {.argv = argv};
	_cleanup(proc) struct proc *p = NULL;
	char piece[4096];
	ssize_t n;

	assert_int_equal(proc_start(&options, &p, err), 0);
	while ((n = read(proc_stdout(p), piece, sizeof(piece))) > 0)
		str_append_bytes(out, piece, (size_t)n);
	return proc_wait(p, err);
}

static void feed_schema(struct attach_sql *a)
{
	_cleanup(free) char *program = server_program("pg_dump");
	_cleanup(free) char *conninfo = mem_printf("--dbname=%s dbname=" DATABASE, server_conninfo());
	const char *const argv[] = {program, "--schema-only", conninfo, NULL};
	_cleanup(str) struct str sql = {0};
	struct error err = {0};

	if (run_program(argv, &sql, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(attach_sql_feed(a, sql.data, sql.len, &err), 0);
}

static char *file_of(size_t i)
{
	return mem_printf("%s/it's \\ %zu.tsv", server_directory(), i);
}

static char *qualified(const struct table_to_attach *t)
{
	struct str name = {0};

	sql_append_name(&name, t->schema);
	str_append_char(&name, '.');
	sql_append_name(&name, t->table);
	return str_take(&name);
}

static void write_rows(struct pg_session *s, size_t i)
{
	_cleanup(free) char *file = file_of(i), *name = qualified(&tables[i]);
	_cleanup(str) struct str sql = {0};

	str_appendf(&sql, "COPY %s %s TO ", name, tables[i].columns);
	sql_append_literal(&sql, file);
	server_run(s, sql.data);
}

static void write_attach(const char *path)
{
	const struct attach_sql_backup backup = {.name = "full/20261120T020000Z", .encoding = "UTF8"};
	_cleanup(attach_sql) struct attach_sql *a = attach_sql_new(server_directory());
	_cleanup(spool) struct spool *out = spool_new(server_directory());
	_cleanup(free) char *text = NULL;
	struct error err = {0};
	FILE *f;

	feed_schema(a);
	assert_int_equal(attach_sql_begin(a, &backup, out, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		_cleanup(free) char *file = file_of(i);
		const struct attach_sql_table t = {tables[i].schema, tables[i].table, tables[i].columns,
		                                   file};

		assert_int_equal(attach_sql_table(a, &t, &err), 0);
	}
	assert_int_equal(attach_sql_end(a, &err), 0);
	text = mem_alloc((size_t)spool_size(out));
	assert_int_equal(spool_get(out, text, (size_t)spool_size(out), 0, &err), 0);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, (size_t)spool_size(out), f), (size_t)spool_size(out));
	assert_int_equal(fclose(f), 0);
}

static int run_attach(const char *path, struct error *err)
{
	_cleanup(free) char *program = server_program("psql");
	_cleanup(free) char *conninfo = mem_printf("%s dbname=" DATABASE, server_conninfo());
	const char *const argv[] = {program, "-X", "-q", "-d", conninfo, "-f", path, NULL};
	_cleanup(str) struct str out = {0};
	int r = run_program(argv, &out, err);

	if (r == 0)
		assert_string_equal(str_text(&out), "");
	return r;
}

static void must_attach(const char *path)
{
	struct error err = {0};

	if (run_attach(path, &err) < 0)
		fail_msg("%s", err.message);
}

/* Rows of @one that are not in @other, as texts. */
static void expect_no_more_rows(struct pg_session *s, const char *columns, const char *one, const char *other)
{
	_cleanup(free) char *sql = mem_printf(
	        "SELECT count(*) FROM (SELECT ROW%s::text FROM %s EXCEPT ALL SELECT ROW%s::text FROM %s) x",
	        columns, one, columns, other);

	server_expect(s, sql, "0");
}

static void expect_equal_rows(struct pg_session *s, const struct table_to_attach *t)
{
	_cleanup(free) char *name = qualified(t), *only = mem_printf("ONLY %s", name);

	expect_no_more_rows(s, t->columns, only, t->attached);
	expect_no_more_rows(s, t->columns, t->attached, only);
}

static void test_rows_are_the_tables(void **state)
{
	_cleanup(free) char *path = mem_printf("%s/attach.sql", server_directory());
	struct pg_session *s = server_open(DATABASE, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		write_rows(s, i);
	write_attach(path);
	must_attach(path);
	must_attach(path);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		if (tables[i].attached)
			expect_equal_rows(s, &tables[i]);
	server_expect(s, "SELECT count(*) FROM full_20261120t020000z.orders", "1004");
	server_expect(s, "SELECT pg_typeof(m) FROM full_20261120t020000z.orders LIMIT 1", "mood");
	server_expect(s, "SELECT count(*) FROM pg_class WHERE relkind = 'f' AND relname = 'none'", "0");
	pg_session_free(s);
}

static void test_missing_rows_come_back(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);

	server_run(
	        s,
	        "BEGIN; DELETE FROM public.orders WHERE id BETWEEN 100 AND 149; UPDATE public.orders SET note = 'new' WHERE id = 7");
	server_run(
	        s,
	        "INSERT INTO public.orders (id, at, n, m, note, tags, j) OVERRIDING SYSTEM VALUE "
	        "SELECT * FROM full_20261120t020000z.orders o WHERE NOT EXISTS (SELECT FROM public.orders l WHERE l.id = o.id)");
	server_expect(s, "SELECT count(*) FROM public.orders", "1004");
	server_expect(s, "SELECT sum(twice) FROM public.orders WHERE id BETWEEN 100 AND 149", "12450.00");
	server_expect(
	        s,
	        "SELECT count(*) FROM public.orders l JOIN full_20261120t020000z.orders o USING (id) WHERE l.note IS DISTINCT FROM o.note",
	        "1");
	server_run(s, "ROLLBACK");
	pg_session_free(s);
}

static void test_schema_of_somebody_else(void **state)
{
	_cleanup(free) char *path = mem_printf("%s/attach.sql", server_directory());
	struct pg_session *s = server_open(DATABASE, NULL);
	struct error err = {0};

	server_run(s, "COMMENT ON SCHEMA full_20261120t020000z IS 'mine'");
	assert_int_not_equal(run_attach(path, &err), 0);
	assert_non_null(
	        strstr(err.message, "the schema \"full_20261120t020000z\" was not made for this backup"));
	server_expect(s, "SELECT count(*) FROM full_20261120t020000z.orders", "1004");
	server_run(s, "COMMENT ON SCHEMA full_20261120t020000z IS 'keepfs: full/20261120T020000Z'");
	pg_session_free(s);
}

/* As the file itself says. */
static void test_all_of_it_is_taken_away(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);

	server_run(
	        s,
	        "DO $$ DECLARE c text; BEGIN FOR c IN SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace "
	        "WHERE obj_description(oid, 'pg_namespace') = 'keepfs: full/20261120T020000Z' LOOP EXECUTE c; END LOOP; END $$");
	server_expect(s, "SELECT count(*) FROM pg_class WHERE relkind = 'f'", "0");
	server_expect(s, "SELECT count(*) FROM public.orders", "1004");
	pg_session_free(s);
}

static int make_database_to_attach(void **state)
{
	struct pg_session *s;

	server_database(DATABASE);
	s = server_open(DATABASE, NULL);
	server_run(s, make_tables_to_attach);
	pg_session_free(s);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_rows_are_the_tables),
	        cmocka_unit_test(test_missing_rows_come_back),
	        cmocka_unit_test(test_schema_of_somebody_else),
	        cmocka_unit_test(test_all_of_it_is_taken_away),
	};

	return cmocka_run_group_tests(tests, make_database_to_attach, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Tables: what is read in whole or in ranges is what pg_dump writes. pg_dump itself says what that is: each
 * "COPY … FROM stdin" of its plain output, with the rows behind it, in a snapshot that the test exported.
 */
#include "server.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/pg/snapshot.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "tables"

/* The settings of the role are not those of a dump. Every table has rows in more than one page, but for those
 * that are named after having none. */
static const char make_tables[] =
        "ALTER ROLE postgres IN DATABASE " DATABASE " SET datestyle = 'SQL, DMY';"
        "ALTER ROLE postgres IN DATABASE " DATABASE " SET intervalstyle = 'sql_standard';"
        "ALTER ROLE postgres IN DATABASE " DATABASE " SET extra_float_digits = 0;"
        "ALTER ROLE postgres IN DATABASE " DATABASE " SET statement_timeout = '60s';"
        "CREATE SCHEMA \"Odd, (schema)\";"
        "CREATE TABLE public.plain (id int PRIMARY KEY, at timestamptz, took interval, f float8, g float4, "
        "note text);"
        "INSERT INTO public.plain SELECT i, '2026-03-31'::timestamptz + i * interval '1 hour', i * interval "
        "'61 min', "
        " 1 / (i + 0.1), i / 3.0, CASE WHEN i % 9 > 0 THEN md5(i::text) || E'\\t\\\\ \\r\\n äöü' END "
        " FROM generate_series(1, 5000) i;"
        "DELETE FROM public.plain WHERE id % 3 = 0; UPDATE public.plain SET note = 'new' WHERE id % 50 = 1;"
        "CREATE TABLE \"Odd, (schema)\".\"t \"\"x\"\"; (y\" (\"select\" int, \"a, \"\"b\"\"(\" text, \" ) "
        "FROM \" int);"
        "INSERT INTO \"Odd, (schema)\".\"t \"\"x\"\"; (y\" SELECT i, repeat('x', 90), -i FROM "
        "generate_series(1, 500) i;"
        "CREATE TABLE public.dropped (a int, b text, c int, d text);"
        "ALTER TABLE public.dropped DROP COLUMN b; ALTER TABLE public.dropped ADD COLUMN e int DEFAULT 7;"
        "INSERT INTO public.dropped SELECT i, i * 2, repeat('y', 90) FROM generate_series(1, 500) i;"
        "CREATE TABLE public.generated (a int, b int GENERATED ALWAYS AS (a * 2) STORED, c text);"
        "INSERT INTO public.generated (a, c) SELECT i, repeat('z', 90) FROM generate_series(1, 500) i;"
        "CREATE TABLE public.only_generated (b int GENERATED ALWAYS AS (5) STORED);"
        "INSERT INTO public.only_generated SELECT FROM generate_series(1, 500) i;"
        "CREATE TABLE public.no_columns (); INSERT INTO public.no_columns SELECT FROM generate_series(1, "
        "900);"
        "CREATE TABLE public.no_rows (a int, b text);"
        "CREATE TABLE public.toasted (id int, body text, bytes bytea);"
        "ALTER TABLE public.toasted ALTER body SET STORAGE EXTERNAL;"
        "INSERT INTO public.toasted SELECT i, repeat(md5(i::text), 3000), decode(repeat(md5(i::text), 500), "
        "'hex') "
        " FROM generate_series(1, 200) i;"
        "CREATE TABLE public.parent (a int, b text); CREATE TABLE public.child (c int) INHERITS "
        "(public.parent);"
        "INSERT INTO public.parent SELECT i, repeat('p', 90) FROM generate_series(1, 500) i;"
        "INSERT INTO public.child SELECT i, repeat('c', 90), i FROM generate_series(1, 500) i;"
        "CREATE TYPE public.color AS ENUM ('red', 'green', 'blue');"
        "CREATE TABLE public.hashed (c public.color, n int, t text) PARTITION BY HASH (c);"
        "CREATE TABLE public.hashed_0 PARTITION OF public.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE public.hashed_1 (n int, t text, c public.color);"
        "ALTER TABLE public.hashed ATTACH PARTITION public.hashed_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "INSERT INTO public.hashed SELECT (enum_range(NULL::public.color))[1 + i % 3], i, repeat('h', 90) "
        " FROM generate_series(1, 900) i;"
        /* An extension's own tables: all rows, some of them, and none of a table that it does not name. */
        "CREATE EXTENSION hstore;"
        "CREATE TABLE public.config_some (k int, v text, own bool); CREATE TABLE public.config_all (k int, v "
        "text);"
        "CREATE TABLE public.config_none (k int);"
        "INSERT INTO public.config_some SELECT i, repeat('s', 90), i % 2 = 0 FROM generate_series(1, 500) i;"
        "INSERT INTO public.config_all SELECT i, repeat('s', 90) FROM generate_series(1, 500) i;"
        "ALTER EXTENSION hstore ADD TABLE public.config_some; ALTER EXTENSION hstore ADD TABLE "
        "public.config_all;"
        "ALTER EXTENSION hstore ADD TABLE public.config_none;"
        "UPDATE pg_extension SET extconfig = ARRAY['public.config_all'::regclass::oid, "
        " 'public.config_some'::regclass::oid], extcondition = ARRAY['', 'WHERE own ORDER BY k DESC'] "
        "WHERE extname = 'hstore';"
        "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;";

struct section {             /* of pg_dump's output */
	char *schema, *name; /* of the table whose rows it holds */
	char *copy_stmt;
	const char *rows;
	size_t rows_len;
	struct section *next;
};

static char *dump(const char *snapshot)
{
	_cleanup(free) char *program = server_program("pg_dump");
	_cleanup(free) char *conninfo = mem_printf("--dbname=%s dbname=" DATABASE, server_conninfo());
	_cleanup(free) char *snapshot_option = mem_printf("--snapshot=%s", snapshot);
	const char *const argv[] = {program,         "--data-only", "--include-foreign-data=files",
	                            snapshot_option, conninfo,      NULL};
	const struct proc_options options = {.argv = argv};
	_cleanup(proc) struct proc *p = NULL;
	struct str out = {0};
	struct error err = {0};
	char piece[65536];
	ssize_t n;

	assert_int_equal(proc_start(&options, &p, &err), 0);
	while ((n = read(proc_stdout(p), piece, sizeof(piece))) > 0)
		str_append_bytes(&out, piece, (size_t)n);
	if (proc_wait(p, &err) < 0)
		fail_msg("%s", err.message);
	return str_take(&out);
}

/* "-- Data for Name: plain; Type: TABLE DATA; Schema: public; Owner: postgres" */
static void parse_comment(struct section *section, const char *line)
{
	static const char type[] = "; Type: TABLE DATA; Schema: ";
	const char *name = line + strlen("-- Data for Name: "), *middle = strstr(name, type);
	const char *schema, *end;

	assert_non_null(middle);
	schema = middle + strlen(type);
	end = strstr(schema, "; Owner: ");
	assert_non_null(end);
	section->name = strndup(name, (size_t)(middle - name));
	section->schema = strndup(schema, (size_t)(end - schema));
}

/* The next section of *@at, which is moved behind it; NULL when there is none. */
static struct section *parse_section(const char **at)
{
	const char *comment = strstr(*at, "\n-- Data for Name: "), *copy, *end;
	struct section *section;

	if (!comment)
		return NULL;
	section = mem_alloc(sizeof(*section));
	parse_comment(section, comment + 1);
	copy = strstr(comment, "\nCOPY ");
	assert_non_null(copy);
	copy++;
	section->rows = strchr(copy, '\n') + 1;
	section->copy_stmt = strndup(copy, (size_t)(section->rows - copy));
	end = str_starts(section->rows, "\\.\n") ? section->rows : strstr(section->rows, "\n\\.\n") + 1;
	section->rows_len = (size_t)(end - section->rows);
	*at = end;
	return section;
}

static struct section *parse(const char *text)
{
	struct section *first = NULL, **last = &first;

	while ((*last = parse_section(&text)))
		last = &(*last)->next;
	return first;
}

struct world { /* what one test needs */
	struct pg_session *leader, *s;
	char *snapshot, *mark, *text;
	struct section *sections;
};

static int set_up(void **state)
{
	struct world *w = mem_alloc(sizeof(*w));
	struct error err = {0};

	w->leader = server_open(DATABASE, NULL);
	w->s = server_open(DATABASE, NULL);
	if (pg_snapshot_export(w->leader, &w->snapshot, &err) < 0 ||
	    pg_server_mark(w->leader, &w->mark, &err) < 0 ||
	    pg_snapshot_join(w->s, w->snapshot, w->mark, "UTF8", 1000, &err) < 0)
		fail_msg("%s", err.message);
	w->text = dump(w->snapshot);
	w->sections = parse(w->text);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	while (w->sections) {
		struct section *section = w->sections;

		w->sections = section->next;
		free(section->schema);
		free(section->name);
		free(section->copy_stmt);
		free(section);
	}
	pg_session_free(w->leader);
	pg_session_free(w->s);
	free(w->snapshot);
	free(w->mark);
	free(w->text);
	free(w);
	return 0;
}

static struct pg_table learn(struct world *w, const struct section *section)
{
	_cleanup(free) char *schema = pg_quote_literal(section->schema);
	_cleanup(free) char *name = pg_quote_literal(section->name);
	_cleanup(free) char *sql =
	        mem_printf("SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
	                   "WHERE nspname = %s AND relname = %s",
	                   schema, name);
	_cleanup(free) char *oid = server_value(w->s, sql);
	struct pg_table table = {0};
	struct error err = {0};

	assert_non_null(oid);
	table.oid = (uint32_t)strtoul(oid, NULL, 10);
	if (pg_tables_learn(w->s, &table, 1, &err) < 0)
		fail_msg("%s", err.message);
	return table;
}

static void copy_range(struct world *w, const struct section *section, const struct pg_table *table,
                       uint32_t from, uint32_t to, struct str *out)
{
	_cleanup(free) char *sql = pg_copy_statement(section->copy_stmt, table, from, to);
	struct error err = {0};

	assert_non_null(sql);
	if (pg_session_copy(w->s, sql, server_append, out, &err) < 0)
		fail_msg("%s: %s", sql, err.message);
}

static void expect_same(const struct section *section, const struct str *out)
{
	if (out->len != section->rows_len || memcmp(str_text(out), section->rows, out->len) != 0)
		fail_msg("%s: not the bytes of pg_dump:\n%.*s\ninstead of\n%.*s", section->copy_stmt, 1000,
		         str_text(out), (int)(section->rows_len < 1000 ? section->rows_len : 1000),
		         section->rows);
}

static void test_whole_tables(void **state)
{
	struct world *w = *state;
	size_t count = 0;

	for (struct section *section = w->sections; section; section = section->next, count++) {
		_cleanup(str) struct str out = {0};
		struct pg_table table = learn(w, section);

		copy_range(w, section, &table, 0, UINT32_MAX, &out);
		expect_same(section, &out);
		pg_table_finish(&table);
	}
	/* plain, odd, dropped, generated, only_generated, no_columns, no_rows, toasted, parent, child,
	 * hashed_0, hashed_1, config_some, config_all, file */
	assert_int_equal(count, 15);
}

/* In as many ranges as there are pages, and in unequal ones; the last one is open. */
static void test_ranges(void **state)
{
	struct world *w = *state;
	size_t count = 0;

	for (struct section *section = w->sections; section; section = section->next) {
		struct pg_table table = learn(w, section);
		uint32_t steps[] = {1, table.pages / 3 + 1};

		for (size_t i = 0; table.by_pages && strchr(section->copy_stmt, '(') && i < ARRAY_SIZE(steps);
		     i++) {
			_cleanup(str) struct str out = {0};

			for (uint32_t page = 0; page < table.pages; page += steps[i])
				copy_range(w, section, &table, page,
				           page + steps[i] < table.pages ? page + steps[i] : UINT32_MAX,
				           &out);
			expect_same(section, &out);
			count += table.pages > 3;
		}
		pg_table_finish(&table);
	}
	server_run(w->s, "COMMIT");
	server_expect(w->s,
	              count >= 10 * 2
	                      ? "SELECT 'all'"
	                      : "SELECT CASE WHEN current_setting('server_version_num')::int < 140000 "
	                        "THEN 'all' ELSE 'some' END",
	              "all");
}

static void test_no_ranges(void **state)
{
	struct world *w = *state;
	size_t whole = 0;

	for (struct section *section = w->sections; section; section = section->next) {
		struct pg_table table = learn(w, section);
		bool no_columns = !strchr(section->copy_stmt, '(');
		char *statement = pg_copy_statement(section->copy_stmt, &table, 0, 1);

		assert_true(table.foreign == (strcmp(section->name, "file") == 0));
		assert_true((table.condition != NULL) == (strcmp(section->name, "config_some") == 0));
		assert_true((statement == NULL) == (table.foreign || table.condition || no_columns));
		assert_false((table.foreign || table.condition) && table.by_pages);
		whole += !statement;
		free(statement);
		pg_table_finish(&table);
	}
	assert_int_equal(whole, 4);
}

static int append_row(void *arg, const struct pg_row *row, struct error *err)
{
	str_appendf(arg, "%s\n", row->values[0]);
	return 0;
}

/* The server reads just these pages, however few rows it thinks there are, and does not compile for it. */
static void test_plan(void **state)
{
	struct world *w = *state;

	for (struct section *section = w->sections; section; section = section->next) {
		struct pg_table table = learn(w, section);
		_cleanup(free) char *statement = pg_copy_statement(section->copy_stmt, &table, 1, 3);
		_cleanup(free) char *sql = NULL;
		_cleanup(str) struct str plan = {0};

		if (table.by_pages && statement) {
			char *query = statement + strlen("COPY (");

			assert_true(str_ends(query, ") TO stdout"));
			query[strlen(query) - strlen(") TO stdout")] = '\0';
			sql = mem_printf("EXPLAIN %s", query);
			assert_int_equal(pg_session_rows(w->s, sql, append_row, &plan, NULL), 0);
			if (!str_starts(str_text(&plan), "Tid Range Scan on ") ||
			    strstr(str_text(&plan), "JIT"))
				fail_msg("%s: %s", sql, str_text(&plan));
		}
		pg_table_finish(&table);
	}
}

static void expect_facts(struct world *w, const struct pg_table *table)
{
	_cleanup(free) char *sql = mem_printf(
	        "SELECT format('%%s %%s %%s', %u::regclass, pg_table_size(%u), pg_relation_size(%u) / 8192)",
	        table->oid, table->oid, table->oid);
	_cleanup(free) char *got = mem_printf("%s %llu %u", table->relation,
	                                      (unsigned long long)table->total_bytes, table->pages);

	server_expect(w->s, sql, got);
}

/* More tables than one question takes; some more than once. */
static void test_facts(void **state)
{
	enum { MANY = 12000 };
	static const char *const names[] = {"'public.plain'", "'public.no_rows'", "'public.toasted'",
	                                    "'\"Odd, (schema)\".\"t \"\"x\"\"; (y\"'"};
	struct pg_table *tables = mem_array(MANY, sizeof(*tables));
	struct world *w = *state;
	struct error err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup(free) char *sql = mem_printf("SELECT %s::regclass::oid", names[i]);
		_cleanup(free) char *oid = server_value(w->s, sql);

		for (size_t j = i; j < MANY; j += ARRAY_SIZE(names))
			tables[j].oid = (uint32_t)strtoul(oid, NULL, 10);
	}
	assert_int_equal(pg_tables_learn(w->s, tables, MANY, &err), 0);
	assert_int_equal(pg_tables_learn(w->s, tables, MANY, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		expect_facts(w, &tables[MANY - 1 - i]);
	for (size_t i = 0; i < MANY; i++)
		pg_table_finish(&tables[i]);
	free(tables);
}

static void test_unknown_table(void **state)
{
	struct pg_table tables[2] = {{.oid = 1259}, {.oid = 4294967295}};
	struct world *w = *state;
	struct error err = {0};

	assert_int_equal(pg_tables_learn(w->s, tables, 2, &err), -ENOENT);
	assert_non_null(strstr(err.message, "4294967295"));
	assert_string_equal(tables[0].relation, "pg_catalog.pg_class");
	pg_table_finish(&tables[0]);
	pg_table_finish(&tables[1]);
	assert_int_equal(pg_tables_learn(w->s, NULL, 0, &err), 0);
}

static void expect_problem(struct pg_session *s, struct pg_table *table, const char *problem)
{
	struct error err = {0};
	int r = pg_tables_check(s, table, 1, &err);

	if (r != (problem ? -ESTALE : 0) || (problem && !strstr(err.message, problem)))
		fail_msg("%d: %s", r, err.message);
}

/* What a snapshot would show otherwise than it was, and as whose rows. */
static void test_check(void **state)
{
	static const struct {
		const char *change, *problem;
	} cases[] = {
	        {"INSERT INTO \"Check\".a VALUES (1); CREATE INDEX ON \"Check\".a (i)", NULL},
	        {"TRUNCATE \"Check\".a", "\"Check\".a was truncated or rewritten"},
	        {"VACUUM FULL \"Check\".a", "\"Check\".a was truncated or rewritten"},
	        {"ALTER TABLE \"Check\".a RENAME TO c", "\"Check\".a was renamed or dropped"},
	        {"ALTER TABLE \"Check\".a RENAME TO c; ALTER TABLE \"Check\".b RENAME TO a",
	         "\"Check\".a was renamed or dropped"},
	        {"ALTER SCHEMA \"Check\" RENAME TO old", "\"Check\".a was renamed or dropped"},
	        {"ALTER SCHEMA \"Check\" RENAME TO old; CREATE SCHEMA \"Check\" CREATE TABLE a (i int)",
	         "\"Check\".a was renamed or dropped"},
	        {"DROP TABLE \"Check\".a", "\"Check\".a was renamed or dropped"},
	};
	struct pg_session *s = server_open(DATABASE, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pg_session *leader = server_open(DATABASE, NULL);
		_cleanup(free) char *oid = NULL, *snapshot = NULL;
		struct pg_table table = {0};
		struct error err = {0};

		server_run(s, "DROP SCHEMA IF EXISTS \"Check\", old CASCADE");
		server_run(s, "CREATE SCHEMA \"Check\" CREATE TABLE a (i int) CREATE TABLE b (i int)");
		server_run(s, "INSERT INTO \"Check\".a SELECT generate_series(1, 100)");
		oid = server_value(s, "SELECT '\"Check\".a'::regclass::oid");
		table.oid = (uint32_t)strtoul(oid, NULL, 10);
		if (pg_snapshot_export(leader, &snapshot, &err) < 0)
			fail_msg("%s", err.message);
		expect_problem(leader, &table, NULL);
		server_run(s, cases[i].change);
		expect_problem(leader, &table, cases[i].problem);
		expect_problem(leader, &table, cases[i].problem);
		pg_session_free(leader);
	}
	server_run(s, "DROP SCHEMA IF EXISTS \"Check\", old CASCADE");
	pg_session_free(s);
}

/* The relation of every statement can be locked, as it is written there. */
static void test_lock_by_statement(void **state)
{
	struct world *w = *state;

	for (struct section *section = w->sections; section; section = section->next) {
		_cleanup(free) char *relation = pg_copy_relation(section->copy_stmt);
		struct error err = {0};

		assert_non_null(relation);
		if (strcmp(section->name, "file") != 0 && pg_lock_relation(w->s, relation, &err) < 0)
			fail_msg("%s", err.message);
	}
}

static int make_database(void **state)
{
	_cleanup(free) char *path = mem_printf("%s/file.csv", server_directory());
	_cleanup(free) char *literal = pg_quote_literal(path);
	_cleanup(free) char *write = mem_printf("COPY public.config_all TO %s (FORMAT csv)", literal);
	_cleanup(free) char *foreign =
	        mem_printf("CREATE FOREIGN TABLE public.file (k int, v text) SERVER files "
	                   "OPTIONS (filename %s, format 'csv')",
	                   literal);
	struct pg_session *s;

	server_database(DATABASE);
	s = server_open(DATABASE, NULL);
	server_run(s, make_tables);
	server_run(s, write);
	server_run(s, foreign);
	pg_session_free(s);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_whole_tables),
	        TEST(test_ranges),
	        TEST(test_no_ranges),
	        TEST(test_plan),
	        TEST(test_facts),
	        TEST(test_unknown_table),
	        cmocka_unit_test(test_check),
	        TEST(test_lock_by_statement),
	};

	return cmocka_run_group_tests_name("pg tables", tests, make_database, NULL);
}

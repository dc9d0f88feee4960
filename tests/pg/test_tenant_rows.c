// SPDX-License-Identifier: Apache-2.0
/* The statements of an export: rows with their proof, locks that are held against the snapshot, and the word that changes with the tables. */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/erase.h>
#include <keepfs/pg/tenancy.h>
#include <keepfs/pg/tenant_rows.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "tenant_rows"
#define BEGIN    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL search_path = ''"

static const struct pg_tenant_column columns[] = {
        {"id", PG_TENANT_AS_IS}, {"Pair", PG_TENANT_AS_JSON}, {"secret", PG_TENANT_AS_NULL}};
static const struct pg_tenant_rows items = {.schema = "public",
                                            .table = "It\"ems",
                                            .condition = "t.org = '1'",
                                            .proof = "t.org < 5",
                                            .tenant_name = "org",
                                            .columns = columns,
                                            .column_count = 3};

static void copy_rows(struct pg_session *s, const struct pg_tenant_rows *rows, const char *expected)
{
	_cleanup(free) char *sql = pg_tenant_rows_copy(rows);
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	if (pg_session_copy(s, sql, server_append, &out, &err) < 0)
		fail_msg("%s: %s", sql, err.message);
	assert_string_equal(str_text(&out), expected);
}

static void rows_come_with_their_proof(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	struct pg_tenant_rows other = items;
	_cleanup(free) char *exist = NULL, *no_more = NULL;
	uint64_t count = 0;

	server_run(s, BEGIN);
	copy_rows(s, &items, "t\t1\t1\t{\"a\":1,\"b\":\"x\"}\t\\N\nt\t1\t2\t\\N\t\\N\n");
	assert_int_equal(pg_tenant_rows_count(s, &items, &count, NULL), 0);
	assert_int_equal(count, 2);
	exist = pg_tenant_rows_exist(&items, 1);
	server_expect(s, exist, "1");
	no_more = pg_tenant_rows_exist(&items, 2);
	assert_int_equal(pg_tenant_exists(s, no_more, NULL), 0);
	other.tenant_name = NULL;
	other.condition = NULL;
	other.proof = "false";
	other.column_count = 0;
	copy_rows(s, &other, "f\t\\N\nf\t\\N\nf\t\\N\n");
	pg_session_free(s);
}

/* Rows of a child of a table are the child's; those of partitions are their root's. */
static void inherited_rows(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	const struct pg_tenant_rows parent = {.schema = "public",
	                                      .table = "parent",
	                                      .proof = "true",
	                                      .columns = columns,
	                                      .column_count = 1};
	struct pg_tenant_rows root = parent;

	root.table = "root";
	root.with_partitions = true;
	server_run(s, BEGIN);
	copy_rows(s, &parent, "t\t\\N\t1\n");
	copy_rows(s, &root, "t\t\\N\t1\nt\t\\N\t2\n");
	pg_session_free(s);
}

static struct pg_table lockable(struct pg_session *s, const char *name, const char *relation)
{
	_cleanup(free) char *sql = mem_printf("SELECT '%s'::regclass::oid", relation);
	_cleanup(free) char *oid = server_value(s, sql);

	return (struct pg_table){.oid = (uint32_t)strtoul(oid, NULL, 10), .relation = (char *)name};
}

static void locks_hold_tables(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL), *other = server_open(DATABASE, NULL);
	const struct pg_table tables[] = {lockable(s, "\"public\".\"root\"", "public.root"),
	                                  lockable(s, "\"public\".\"parent\"", "public.parent")};
	struct error err = {0};

	server_run(s, BEGIN);
	assert_int_equal(pg_tenant_lock(s, tables, 2, 1000, &err), 0);
	assert_true(pg_session_run(other, "SET lock_timeout = 10; DROP TABLE parent", NULL) < 0);
	assert_int_equal(pg_tenant_end(s, &err), 0);
	server_expect(
	        s,
	        "SELECT pg_current_xact_id_if_assigned() IS NULL AND count(*) = 0 FROM pg_locks WHERE relation = 'parent'::regclass",
	        "t");
	assert_int_equal(pg_tenant_lock(s, NULL, 0, 1000, &err), 0);
	/* Somebody has it for himself. */
	server_run(other, "BEGIN; LOCK TABLE parent");
	server_run(s, BEGIN);
	assert_int_equal(pg_tenant_lock(s, tables, 2, 10, &err), -EBUSY);
	assert_non_null(strstr(err.message, "cannot be locked"));
	assert_int_equal(pg_tenant_end(s, &err), 0);
	server_run(s, BEGIN);
	assert_int_equal(pg_tenant_limit_waits(s, 10, &err), 0);
	assert_int_equal(pg_session_run(s, "SELECT count(*) FROM public.parent", &err), -EBUSY);
	pg_session_free(other);
	pg_session_free(s);
}

static void what_a_snapshot_does_not_show(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL), *other = server_open(DATABASE, NULL);
	const struct pg_table table = lockable(s, "\"public\".\"emptied\"", "public.emptied");
	struct error err = {0};

	server_run(s, BEGIN "; SELECT count(*) FROM pg_catalog.pg_class");
	server_run(other, "TRUNCATE emptied");
	assert_int_equal(pg_tenant_lock(s, &table, 1, 1000, &err), -ESTALE);
	assert_non_null(strstr(err.message, "truncated or rewritten"));
	assert_int_equal(pg_tenant_end(s, &err), 0);
	server_run(s, BEGIN "; SELECT count(*) FROM pg_catalog.pg_class");
	server_run(other, "DROP TABLE emptied");
	assert_true(pg_tenant_lock(s, &table, 1, 1000, &err) < 0);
	pg_session_free(other);
	pg_session_free(s);
}

/* All of it is in force for a snapshot that was taken before, which does not show it. */
static void forms_that_changed(void **state)
{
	static const char *const changes[] = {
	        "ALTER TABLE root DETACH PARTITION root_2",
	        "ALTER TABLE root ATTACH PARTITION root_2 FOR VALUES IN (2)",
	        "ALTER TABLE root RENAME id TO number",
	        "ALTER TABLE root RENAME number TO id",
	        "CREATE POLICY p ON root USING (true)",
	        "DROP POLICY p ON root",
	};
	struct pg_session *s = server_open(DATABASE, NULL), *other = server_open(DATABASE, NULL);
	const struct pg_table tables[] = {lockable(s, "\"public\".\"root\"", "public.root"),
	                                  lockable(s, "\"public\".\"root_1\"", "public.root_1"),
	                                  lockable(s, "\"public\".\"root_2\"", "public.root_2")};
	struct error err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		server_run(s, BEGIN "; SELECT count(*) FROM pg_catalog.pg_class");
		server_run(other, "INSERT INTO root VALUES (1); CREATE TEMP TABLE t (); DROP TABLE t");
		assert_int_equal(pg_tenant_check_form(s, other, tables, 3, &err), 0);
		server_run(other, changes[i]);
		assert_int_equal(pg_tenant_lock(s, tables, 3, 1000, &err), 0);
		if (pg_tenant_check_form(s, other, tables, 3, &err) != -ESTALE)
			fail_msg("not noticed: %s", changes[i]);
		assert_int_equal(pg_tenant_check_form(s, other, NULL, 0, &err), 0);
		assert_int_equal(pg_tenant_end(s, &err), 0);
	}
	pg_session_free(other);
	pg_session_free(s);
}

static char *mark_now(struct pg_session *s)
{
	char *mark = NULL;

	server_run(s, BEGIN);
	assert_int_equal(pg_tenant_mark(s, &mark, NULL), 0);
	assert_int_equal(pg_tenant_end(s, NULL), 0);
	assert_non_null(mark);
	return mark;
}

static void the_mark_changes_with_tables(void **state)
{
	static const char *const changes[] = {
	        "CREATE TABLE a (id int PRIMARY KEY, x int)",
	        "ALTER TABLE a ADD y text",
	        "ALTER TABLE a RENAME x TO z",
	        "ALTER TABLE a ALTER z TYPE bigint",
	        "CREATE TABLE b (a int)",
	        "ALTER TABLE b ADD FOREIGN KEY (a) REFERENCES a",
	        "COMMENT ON COLUMN a.y IS 'keepfs:redact'",
	        "COMMENT ON COLUMN a.y IS NULL",
	        "ALTER TABLE a ENABLE ROW LEVEL SECURITY",
	        "CREATE POLICY p ON a USING (true)",
	        "ALTER TABLE a SET SCHEMA other",
	        "ALTER SCHEMA other RENAME TO another",
	        "DROP TABLE b",
	        "ALTER TYPE pair RENAME TO couple",
	        "ALTER TYPE couple RENAME TO pair",
	        "ALTER SEQUENCE another.numbers OWNED BY another.a.id",
	        "ALTER EXTENSION plpgsql ADD TABLE another.a",
	        "ALTER EXTENSION plpgsql DROP TABLE another.a",
	};
	static const char *const others[] = {"INSERT INTO parent VALUES (7)", "ANALYZE parent",
	                                     "UPDATE parent SET id = id"};
	struct pg_session *s = server_open(DATABASE, NULL), *other = server_open(DATABASE, NULL);
	_cleanup(free) char *mark = NULL;

	server_run(s, "CREATE SCHEMA other; CREATE SEQUENCE other.numbers");
	mark = mark_now(other);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		char *now;

		server_run(s, changes[i]);
		now = mark_now(other);
		if (strcmp(now, mark) == 0)
			fail_msg("not noticed: %s", changes[i]);
		free(mark);
		mark = now;
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		_cleanup(free) char *now = NULL;

		server_run(s, others[i]);
		now = mark_now(other);
		assert_string_equal(now, mark);
	}
	pg_session_free(other);
	pg_session_free(s);
}

static uint64_t count_range(struct pg_session *s, struct pg_tenant_rows rows, uint32_t from, uint32_t to)
{
	uint64_t count = 0;
	struct error err = {0};

	rows.from_page = from;
	rows.to_page = to;
	if (pg_tenant_rows_count(s, &rows, &count, &err) < 0)
		fail_msg("%s", err.message);
	return count;
}

/* Ranges are of pages: none has a row of another one, and together they have all, whatever the condition is. */
static void ranges_of_pages(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	const struct pg_tenant_rows many = {.schema = "public",
	                                    .table = "many",
	                                    .condition = "t.id % 2 = 0 OR t.id = 1",
	                                    .proof = "true",
	                                    .columns = columns,
	                                    .column_count = 1};
	struct pg_tenant_rows range = many, indexed = many;
	const struct pg_table tables[] = {lockable(s, "\"public\".\"many\"", "public.many"),
	                                  lockable(s, "\"public\".\"root\"", "public.root")};
	struct pg_tenant_cost whole, part;
	uint32_t pages[2] = {7, 7};
	uint64_t count = 0;
	struct error err = {0};

	server_run(s, BEGIN);
	assert_int_equal(pg_tenant_lock(s, tables, 2, 1000, &err), 0);
	assert_int_equal(pg_tenant_pages(s, tables, 2, pages, &err), 0);
	assert_true(pages[0] > 100);
	assert_int_equal(pages[1], 0);
	for (uint32_t from = 0; from < pages[0]; from += 17)
		count += count_range(s, many, from, from + 17 < pages[0] ? from + 17 : UINT32_MAX);
	assert_int_equal(count, 15001);
	assert_int_equal(count_range(s, many, 0, UINT32_MAX), 15001);
	assert_int_equal(count_range(s, many, pages[0] + 1, UINT32_MAX), 0);
	/* What the planner says of it. */
	assert_int_equal(pg_tenant_rows_cost(s, &many, &whole, &err), 0);
	assert_false(whole.is_range);
	assert_true(whole.total > 100 && whole.rows > 10 && whole.width > 0);
	range.from_page = 10;
	range.to_page = 20;
	assert_int_equal(pg_tenant_rows_cost(s, &range, &part, &err), 0);
	assert_true(part.is_range && part.total < whole.total / 2);
	indexed.condition = "t.id = 5";
	assert_int_equal(pg_tenant_rows_cost(s, &indexed, &part, &err), 0);
	assert_true(!part.is_range && part.rows < 10);
	pg_session_free(s);
}

static void the_version(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	_cleanup(free) char *version = server_value(s, "SHOW server_version");

	assert_string_equal(pg_tenant_version(s), version);
	pg_session_free(s);
}

static int take_no_value(void *arg, const char *value, struct error *err)
{
	fail_msg("%s", value);
	return 0;
}

/* Who does not see all rows finds none to erase, and would say that there are none. */
static void hidden_rows_are_not_looked_over(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	const struct pg_erase_column of = {"public", "hidden", "org"};

	server_run(s, "CREATE ROLE rows_owner; CREATE TABLE hidden (org int); INSERT INTO hidden VALUES (1);"
	              "ALTER TABLE hidden OWNER TO rows_owner; ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;"
	              "ALTER TABLE hidden FORCE ROW LEVEL SECURITY; SET ROLE rows_owner");
	assert_true(pg_erase_values(s, &of, take_no_value, NULL, NULL) < 0);
	pg_session_free(s);
}

static int set_up_tenant_rows(void **state)
{
	struct pg_session *s;

	server_database(DATABASE);
	s = server_open(DATABASE, NULL);
	server_run(
	        s,
	        "CREATE TYPE pair AS (a int, b text);"
	        "CREATE TABLE \"It\"\"ems\" (id int, org int, \"Pair\" pair, secret text);"
	        "INSERT INTO \"It\"\"ems\" VALUES (1, 1, (1, 'x'), 's'), (2, 1, NULL, 's'), (3, 2, NULL, 's');"
	        "CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent);"
	        "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2);"
	        "CREATE TABLE root (id int) PARTITION BY LIST (id);"
	        "CREATE TABLE root_1 PARTITION OF root FOR VALUES IN (1);"
	        "CREATE TABLE root_2 PARTITION OF root FOR VALUES IN (2);"
	        "INSERT INTO root VALUES (1), (2); CREATE TABLE emptied (id int); INSERT INTO emptied VALUES (1);"
	        "CREATE TABLE many (id int PRIMARY KEY, filler text);"
	        "INSERT INTO many SELECT g, repeat('x', 100) FROM generate_series(1, 30000) g; ANALYZE many");
	pg_session_free(s);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rows_come_with_their_proof),
	        cmocka_unit_test(inherited_rows),
	        cmocka_unit_test(locks_hold_tables),
	        cmocka_unit_test(what_a_snapshot_does_not_show),
	        cmocka_unit_test(forms_that_changed),
	        cmocka_unit_test(the_mark_changes_with_tables),
	        cmocka_unit_test(ranges_of_pages),
	        cmocka_unit_test(the_version),
	        cmocka_unit_test(hidden_rows_are_not_looked_over),
	};

	return cmocka_run_group_tests(tests, set_up_tenant_rows, NULL);
}

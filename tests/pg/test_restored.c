// SPDX-License-Identifier: Apache-2.0
/* Looking at a database that was restored. */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/rows.h>
#include <keepfs/pg/restored.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "looked_at"

static int take(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static struct pg_session *open_restored(void)
{
	struct pg_session *s = NULL;
	struct error err = {0};

	if (pg_restored_open(server_conninfo(), DATABASE, "UTF8", NULL, &s, &err) < 0)
		fail_msg("%s", err.message);
	return s;
}

static void tables_are_read_as_pg_dump_does(void **state)
{
	_cleanup(pg_session) struct pg_session *s = open_restored();
	_cleanup(str) struct str rows = {0};
	struct error err = {0};

	assert_int_equal(pg_restored_table(s, "public", "a \"b\"", NULL, take, &rows, &err), 0);
	assert_string_equal(str_text(&rows), "1\tx\\ty\n2\t\\N\n");
	str_clear(&rows);
	assert_int_equal(pg_restored_table(s, "public", "a \"b\"",
	                                   "COPY public.\"a \"\"b\"\"\" (v, id) FROM stdin;\n", take, &rows,
	                                   &err),
	                 0);
	assert_string_equal(str_text(&rows), "x\\ty\t1\n\\N\t2\n");
	assert_int_equal(pg_restored_table(s, "public", "none", NULL, take, &rows, &err), -ENOENT);
	/* The session can still be used. */
	str_clear(&rows);
	assert_int_equal(pg_restored_table(s, "public", "empty", NULL, take, &rows, &err), 0);
	assert_string_equal(str_text(&rows), "");
}

static void large_objects_are_counted(void **state)
{
	_cleanup(pg_session) struct pg_session *s = open_restored();
	uint64_t count = 0, bytes = 0;
	struct error err = {0};

	assert_int_equal(pg_restored_large_objects(s, &count, &bytes, &err), 0);
	assert_int_equal(count, 3);
	assert_int_equal(bytes, 100000 + 0 + 1);
}

static void sequences_are_where_they_were(void **state)
{
	_cleanup(pg_session) struct pg_session *s = open_restored();
	_cleanup(free) char *told = NULL;
	struct error err = {0};

	assert_int_equal(pg_restored_sequence(s, "SELECT pg_catalog.setval('public.\"s''q\"', 7, true);\n",
	                                      &told, &err),
	                 0);
	assert_null(told);
	assert_int_equal(pg_restored_sequence(s, "SELECT pg_catalog.setval('public.\"s''q\"', 8, true);\n",
	                                      &told, &err),
	                 0);
	assert_string_equal(told, "the sequence public.\"s'q\" is 7, true, and not 8, true");
	mem_replace_string(&told, NULL);
	assert_int_equal(pg_restored_sequence(s, "SELECT 1", &told, &err), -EBADMSG);
}

static void found(void *arg, bool wrong, const char *text)
{
	str_appendf(arg, "%s %s\n", wrong ? "wrong" : "note", text);
}

/* On a server of somebody else's, say. */
static void without_amcheck_nothing_is_sound(void **state)
{
	_cleanup(pg_session) struct pg_session *s = server_open(DATABASE, NULL);
	_cleanup(str) struct str told = {0};
	struct pg_soundness x = {.found = found, .arg = &told};
	struct error err = {0};

	server_run(s, "CREATE ROLE plain; SET SESSION AUTHORIZATION plain");
	if (pg_restored_sound(s, &x, &err) < 0)
		fail_msg("%s", err.message);
	assert_non_null(strstr(str_text(&told), "note amcheck cannot be used"));
	assert_false(x.amcheck);
	assert_int_equal(x.indexes, 0);
}

static void soundness(void **state)
{
	_cleanup(pg_session) struct pg_session *s = server_open(DATABASE, NULL);
	_cleanup(str) struct str told = {0};
	struct pg_soundness x = {.found = found, .arg = &told};
	struct error err = {0};

	str_append(&told, "");
	if (pg_restored_sound(s, &x, &err) < 0)
		fail_msg("%s", err.message);
	assert_non_null(
	        strstr(str_text(&told),
	               "note the constraint old of public.child, which was never validated, does not hold"));
	assert_null(strstr(str_text(&told), "wrong"));
	assert_int_equal(x.views, 1);
	assert_int_equal(x.constraints, 1);
	assert_true(x.amcheck && x.indexes >= 2 && x.tables >= 3);
	/* An index that does not agree with its table: the server is told that it has another order than it was made with. */
	server_run(
	        s,
	        "SET allow_system_table_mods = on; UPDATE pg_index SET indoption = '1' WHERE indexrelid = 'turned'::regclass");
	str_clear(&told);
	pg_session_free(take_ptr(&s));
	s = server_open(DATABASE, NULL);
	if (pg_restored_sound(s, &x, &err) < 0)
		fail_msg("%s", err.message);
	assert_non_null(strstr(str_text(&told), "wrong public.turned: "));
}

static void one_question(void **state)
{
	_cleanup(free) char *value = NULL;
	struct error err = {0};
	int version = 0;

	assert_int_equal(pg_restored_ask(server_conninfo(), DATABASE, "SELECT count(*) FROM empty", 10000,
	                                 NULL, &value, &err),
	                 0);
	assert_string_equal(value, "0");
	assert_int_equal(
	        pg_restored_ask(server_conninfo(), DATABASE, "SELECT pg_sleep(60)", 50, NULL, &value, &err),
	        -ETIMEDOUT);
	assert_true(pg_restored_ask(server_conninfo(), DATABASE, "SELECT nothing", 10000, NULL, &value,
	                            &err) < 0);
	assert_string_equal(err.code, "42703");
	assert_int_equal(pg_restored_version(server_conninfo(), NULL, &version, &err), 0);
	assert_true(version >= 90000);
	assert_int_equal(pg_restored_drop(server_conninfo(), "no \"such\" one", &err), 0);
}

static int set_up(void **state)
{
	_cleanup(pg_session) struct pg_session *s = server_open(NULL, NULL);

	server_run(s, "CREATE DATABASE " DATABASE);
	pg_session_free(take_ptr(&s));
	s = server_open(DATABASE, NULL);
	server_run(
	        s,
	        "CREATE TABLE \"a \"\"b\"\"\" (id int PRIMARY KEY, v text); INSERT INTO \"a \"\"b\"\"\" VALUES (1, E'x\\ty'), (2, NULL);"
	        " CREATE TABLE empty (id int); CREATE SEQUENCE \"s'q\"; SELECT setval('\"s''q\"', 7, true);"
	        " SELECT lo_from_bytea(0, decode(repeat('ab', 100000), 'hex')), lo_from_bytea(0, ''), lo_from_bytea(0, 'x');"
	        " CREATE TABLE child (id int); INSERT INTO child VALUES (-1);"
	        " ALTER TABLE child ADD CONSTRAINT old CHECK (id > 0) NOT VALID;"
	        " CREATE TABLE many AS SELECT g AS id FROM generate_series(1, 2000) g; CREATE INDEX turned ON many (id);"
	        " CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM child");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(tables_are_read_as_pg_dump_does),
	        cmocka_unit_test(large_objects_are_counted),
	        cmocka_unit_test(sequences_are_where_they_were),
	        cmocka_unit_test(without_amcheck_nothing_is_sound),
	        cmocka_unit_test(soundness),
	        cmocka_unit_test(one_question),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Databases as wholes: looked at, made, exchanged, dropped. */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/lacking.h>
#include <keepfs/pg/manage.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LIVING "living \"odd\""
#define MADE   "made"
#define BEFORE "before"

static struct pg_server_place place(void)
{
	return (struct pg_server_place){.server = server_conninfo()};
}

static void make_both(void)
{
	static const char *const statements[] = {"CREATE DATABASE \"living \"\"odd\"\"\"",
	                                         "CREATE DATABASE made", NULL};
	const struct pg_server_place p = place();
	struct error err = {0};

	assert_int_equal(pg_database_drop(&p, LIVING, &err), 0);
	assert_int_equal(pg_database_drop(&p, MADE, &err), 0);
	assert_int_equal(pg_database_drop(&p, BEFORE, &err), 0);
	if (pg_database_make(&p, statements, &err) < 0)
		fail_msg("%s", err.message);
}

static void mark(const char *database, const char *what)
{
	struct pg_session *s = server_open(database, NULL);
	_cleanup(free) char *sql = mem_printf("CREATE TABLE public.mark AS SELECT '%s'::text AS what", what);

	server_run(s, sql);
	pg_session_free(s);
}

static void assert_mark(const char *database, const char *what)
{
	const struct pg_server_place p = place();
	_cleanup(free) char *found = NULL;
	struct error err = {0};

	if (pg_database_check(&p, database, "SELECT what FROM public.mark", &found, &err) < 0)
		fail_msg("%s: %s", database, err.message);
	assert_string_equal(found, what);
}

static void test_look(void **state)
{
	const struct pg_server_place p = place();
	struct pg_session *s;
	struct pg_database_look look;
	struct error err = {0};

	make_both();
	assert_int_equal(pg_database_look(&p, "nothing", &look, &err), 0);
	assert_false(look.exists);
	assert_true(look.version_num >= 90500);
	s = server_open(LIVING, NULL);
	assert_int_equal(pg_database_look(&p, LIVING, &look, &err), 0);
	assert_true(look.exists);
	assert_int_equal(look.sessions, 1);
	assert_true(look.bytes > 1000000);
	assert_string_equal(look.owner, "postgres");
	pg_session_free(s);
}

static void test_swap(void **state)
{
	const struct pg_server_place p = place();
	const struct pg_database_swap names = {.living = LIVING, .made = MADE, .before = BEFORE};
	struct pg_session *in_living;
	struct error err = {0};
	_cleanup(free) char *value = NULL;

	make_both();
	mark(LIVING, "old");
	mark(MADE, "new");
	in_living = server_open(LIVING, NULL);
	if (pg_database_swap(&p, &names, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(pg_session_value(in_living, "SELECT 1", &value, &err) < 0);
	pg_session_free(in_living);
	assert_mark(LIVING, "new");
	assert_mark(BEFORE, "old");
}

/* One of the names is taken: none is changed. */
static void test_swap_that_fails(void **state)
{
	const struct pg_server_place p = place();
	const struct pg_database_swap names = {.living = LIVING, .made = "nothing", .before = BEFORE},
	                              taken = {.living = LIVING, .made = MADE, .before = MADE};
	struct pg_database_look look;
	struct error err = {0};

	make_both();
	mark(LIVING, "old");
	assert_true(pg_database_swap(&p, &names, &err) < 0);
	assert_string_equal(err.code, "3D000");
	assert_true(pg_database_swap(&p, &taken, &err) < 0);
	assert_string_equal(err.code, "42P04");
	assert_mark(LIVING, "old");
	assert_int_equal(pg_database_look(&p, BEFORE, &look, &err), 0);
	assert_false(look.exists);
}

static void test_swap_without_a_living_one(void **state)
{
	const struct pg_server_place p = place();
	const struct pg_database_swap names = {.living = LIVING, .made = MADE, .before = BEFORE};
	struct error err = {0};

	make_both();
	mark(MADE, "new");
	assert_int_equal(pg_database_drop(&p, LIVING, &err), 0);
	assert_int_equal(pg_database_swap(&p, &names, &err), 0);
	assert_mark(LIVING, "new");
}

/* Nobody has wanted it to be replaced. */
static void test_swap_where_one_has_come_into_being(void **state)
{
	const struct pg_server_place p = place();
	const struct pg_database_swap names = {.living = LIVING, .made = MADE, .before = ""};
	struct error err = {0};

	make_both();
	mark(LIVING, "theirs");
	mark(MADE, "new");
	assert_true(pg_database_swap(&p, &names, &err) < 0);
	assert_string_equal(err.code, "42P04");
	assert_mark(LIVING, "theirs");
	assert_int_equal(pg_database_drop(&p, LIVING, &err), 0);
	assert_int_equal(pg_database_swap(&p, &names, &err), 0);
	assert_mark(LIVING, "new");
}

static void test_roles(void **state)
{
	static const char *const roles[] = {"postgres", "no \"such\" 'role", "another", NULL}, *const none[] =
	                                                                                               {NULL};
	const struct pg_server_place p = place();
	_cleanup(str) struct str missing = {0};
	struct error err = {0};

	assert_int_equal(pg_roles_missing(&p, roles, &missing, &err), 0);
	assert_string_equal(str_text(&missing), "another, no \"such\" 'role");
	str_clear(&missing);
	assert_int_equal(pg_roles_missing(&p, none, &missing, &err), 0);
	assert_string_equal(str_text(&missing), "");
}

/* It only reads. */
/* A server that is stopped, or waits for a lock, must not keep those waiting who want to know what became of a restore. */
static void test_a_server_that_does_not_answer(void **state)
{
	static const char *const statements[] = {"SELECT pg_catalog.pg_sleep(3600)", NULL};
	const struct pg_server_place p = {.server = server_conninfo(), .limit_ms = 300};
	struct pg_database_look look;
	struct error err = {0};

	assert_int_equal(pg_database_make(&p, statements, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.message, "does not answer"));
	/* One that does is not disturbed. */
	assert_int_equal(pg_database_look(&p, "postgres", &look, &err), 0);
	assert_true(look.exists);
}

static void test_check(void **state)
{
	const struct pg_server_place p = place();
	_cleanup(free) char *value = NULL, *other = NULL;
	struct error err = {0};

	make_both();
	assert_true(pg_database_check(&p, MADE, "CREATE TABLE t (a int)", &value, &err) < 0);
	assert_string_equal(err.code, "25006");
	assert_int_equal(pg_database_check(&p, MADE, "SELECT 1 WHERE false", &other, &err), 0);
	assert_null(other);
	assert_int_equal(pg_database_analyze(&p, MADE, &err), 0);
}

static void expect_there(struct pg_session *s, const struct pg_relation_name *names, size_t count,
                         const char *expected)
{
	_cleanup(str) struct str there = {0};
	struct error err = {0};

	if (pg_relations_there(s, names, count, &there, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(str_text(&there), expected);
}

/* Exactly of that schema and name, odd ones too; the first few of many. */
static void test_relations_that_are_there(void **state)
{
	struct pg_relation_name names[] = {{"public", "t'1\\"},     {"public", "T'1\\"}, {"odd.one", "v"},
	                                   {"odd", "one.v"},        {"public", "v"},     {"pg_toast", "none"},
	                                   {"public", "t'1\\_seq"}, {"public", "i"}};
	struct pg_session *s;

	make_both();
	s = server_open(MADE, NULL);
	server_run(
	        s,
	        "CREATE TABLE public.\"t'1\\\" (a int); CREATE SCHEMA \"odd.one\"; CREATE VIEW \"odd.one\".v AS SELECT 1");
	expect_there(s, names + 3, 3, "");
	expect_there(s, names, ARRAY_SIZE(names), "odd.one.v, public.t'1\\");
	server_run(s, "CREATE SEQUENCE public.\"t'1\\_seq\"; CREATE INDEX i ON public.\"t'1\\\" (a)");
	expect_there(s, names, ARRAY_SIZE(names), "odd.one.v, public.i, public.t'1\\, …");
	pg_session_free(s);
}

static void test_settings_that_a_server_lacks(void **state)
{
	static const char *const names[] = {"time_limit_of_2040", "lock_timeout", "a_limit_of_2050", NULL};
	const struct pg_server_place p = place();
	_cleanup(str) struct str lacking = {0};
	struct error err = {0};

	if (pg_names_lacking(&p, NULL, PG_NEEDED_SETTINGS, names, &lacking, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(str_text(&lacking), "a_limit_of_2050, time_limit_of_2040");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_look),
	        cmocka_unit_test(test_swap),
	        cmocka_unit_test(test_swap_that_fails),
	        cmocka_unit_test(test_swap_without_a_living_one),
	        cmocka_unit_test(test_swap_where_one_has_come_into_being),
	        cmocka_unit_test(test_roles),
	        cmocka_unit_test(test_a_server_that_does_not_answer),
	        cmocka_unit_test(test_check),
	        cmocka_unit_test(test_relations_that_are_there),
	        cmocka_unit_test(test_settings_that_a_server_lacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

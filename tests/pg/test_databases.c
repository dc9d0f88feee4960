// SPDX-License-Identifier: Apache-2.0
/* Which databases there are: what a query on a registry may be, and what a server says of itself. */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/databases.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "registry"

static int take(void *arg, const char *name, const char *class, struct error *err)
{
	str_appendf(arg, "%s|%s,", name ? name : "(null)", class ? class : "(null)");
	return 0;
}

/* What the registry says to @query; of a failure the message. */
static char *ask(const char *query, int *ret_r)
{
	struct str rows = {0};
	struct error err = {0};

	str_append(&rows, "");
	*ret_r = pg_ask_registry(server_conninfo(), DATABASE, query, NULL, take, &rows, &err);
	if (*ret_r == 0)
		return str_take(&rows);
	str_finish(&rows);
	return mem_strdup(err.message);
}

static void assert_answer(const char *query, const char *expected)
{
	int r;
	_cleanup(free) char *rows = ask(query, &r);

	if (r < 0 || strcmp(rows, expected) != 0)
		fail_msg("%s\nwant: %s\ngot: %s", query, expected, rows);
}

static void assert_refused(const char *query, const char *expected)
{
	int r;
	_cleanup(free) char *message = ask(query, &r);

	if (r == 0 || !strstr(message, expected))
		fail_msg("%s\nwant: %s\ngot: %s", query, expected, message);
}

static void queries_are_answered_in_order(void **state)
{
	assert_answer("SELECT name, class FROM tenant ORDER BY place",
	              "master|(null),zeta|demo,Acme \"Ltd\"/'x'|paid,");
	assert_answer("select name from tenant order by place desc",
	              "Acme \"Ltd\"/'x'|(null),zeta|(null),master|(null),");
	assert_answer("WITH t AS (SELECT name, place FROM tenant) SELECT name FROM t WHERE place < 2",
	              "master|(null),");
	/* Whatever its end is. */
	assert_answer("SELECT name FROM tenant WHERE place = 1;", "master|(null),");
	assert_answer("SELECT name FROM tenant WHERE place = 1 -- the first", "master|(null),");
	assert_answer("SELECT name FROM tenant WHERE false", "");
	assert_answer("SELECT NULL, ''", "(null)|,");
	/* Of any type. */
	assert_answer("SELECT name::name, place FROM tenant WHERE place = 2", "zeta|2,");
	assert_answer("SELECT E'\\u00fc'", "\xc3\xbc|(null),");
}

static void wrong_queries(void **state)
{
	assert_refused("SELECT a FROM nothing", "nothing");
	assert_refused("SELECT", "has 0 columns");
	assert_refused("SELECT name, class, place FROM tenant",
	               "has 3 columns, but the first is to be the name");
	assert_refused("SELECT 'a' FROM generate_series(1, 20001)", "more than 20000 databases are named");
}

static void nothing_is_written(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);

	assert_refused("SELECT nextval('counter')::text", "read-only");
	assert_refused("SELECT 1; COMMIT; DROP TABLE tenant", "multiple commands");
	assert_refused("WITH d AS (DELETE FROM tenant RETURNING name) SELECT name FROM d", "");
	assert_refused("SELECT name INTO other FROM tenant", "");
	server_expect(s, "SELECT count(*) FROM tenant", "3");
	pg_session_free(s);
}

static void many_rows(void **state)
{
	_cleanup(str) struct str rows = {0};
	size_t count = 0;

	assert_int_equal(pg_ask_registry(server_conninfo(), DATABASE,
	                                 "SELECT 'd' || n, 'c' FROM generate_series(1, 20000) n", NULL, take,
	                                 &rows, NULL),
	                 0);
	for (const char *p = str_text(&rows); (p = strchr(p, ',')); p++)
		count++;
	assert_int_equal(count, 20000);
	assert_true(str_ends(str_text(&rows), "d20000|c,"));
}

static void what_a_server_has(void **state)
{
	struct pg_session *s = server_open("postgres", NULL);
	_cleanup(str) struct str names = {0};

	server_run(s, "CREATE DATABASE closed ALLOW_CONNECTIONS false");
	server_run(s, "CREATE DATABASE pattern IS_TEMPLATE true");
	server_run(s, "CREATE DATABASE \"Sh'op \"\"x\"\"\"");
	assert_int_equal(pg_list_databases(server_conninfo(), "postgres", NULL, take, &names, NULL), 0);
	assert_non_null(strstr(str_text(&names), "Sh'op \"x\"|(null),"));
	assert_non_null(strstr(str_text(&names), "postgres|(null),registry|(null),"));
	assert_null(strstr(str_text(&names), "closed"));
	assert_null(strstr(str_text(&names), "pattern"));
	assert_null(strstr(str_text(&names), "template"));
	pg_session_free(s);
}

static void an_empty_database(void **state)
{
	struct pg_session *s = server_open("hollow", NULL);

	assert_int_equal(pg_database_is_empty(server_conninfo(), "hollow", NULL, NULL), 1);
	assert_int_equal(pg_database_is_empty(server_conninfo(), "postgres", NULL, NULL), 1);
	assert_int_equal(pg_database_is_empty(server_conninfo(), DATABASE, NULL, NULL), 0);
	server_run(s, "CREATE SCHEMA something");
	assert_int_equal(pg_database_is_empty(server_conninfo(), "hollow", NULL, NULL), 0);
	server_run(s, "DROP SCHEMA something; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'");
	assert_int_equal(pg_database_is_empty(server_conninfo(), "hollow", NULL, NULL), 0);
	server_run(s, "DROP FUNCTION f()");
	assert_int_equal(pg_database_is_empty(server_conninfo(), "hollow", NULL, NULL), 1);
	assert_true(pg_database_is_empty(server_conninfo(), "nosuch", NULL, NULL) < 0);
	pg_session_free(s);
}

static void servers_are_told_apart(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	char id[PG_SERVER_ID_BYTES] = "";
	struct error err = {0};

	assert_int_equal(pg_server_id(server_conninfo(), NULL, NULL, id, &err), 0);
	server_expect(s, "SELECT system_identifier FROM pg_control_system()", id);
	pg_session_free(s);
}

/* Neither its password nor another secret of it stands in what is said. */
static void a_registry_that_is_not_there(void **state)
{
	_cleanup(str) struct str rows = {0};
	struct error err = {0};

	assert_true(pg_ask_registry("host=/nonexistent password=hidden dbname=x", NULL, "SELECT 1", NULL,
	                            take, &rows, &err) < 0);
	assert_int_equal(err.class, ERROR_UNAVAILABLE);
	assert_null(strstr(err.message, "hidden"));
}

static int set_up(void **state)
{
	struct pg_session *s;

	server_database(DATABASE);
	server_database("hollow");
	s = server_open(DATABASE, NULL);
	server_run(
	        s,
	        "CREATE TABLE tenant (name text, class text, place int); CREATE SEQUENCE counter; "
	        "INSERT INTO tenant VALUES ('zeta', 'demo', 2), ('master', NULL, 1), ('Acme \"Ltd\"/''x''', 'paid', 3)");
	pg_session_free(s);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(queries_are_answered_in_order),
	        cmocka_unit_test(wrong_queries),
	        cmocka_unit_test(nothing_is_written),
	        cmocka_unit_test(many_rows),
	        cmocka_unit_test(what_a_server_has),
	        cmocka_unit_test(an_empty_database),
	        cmocka_unit_test(servers_are_told_apart),
	        cmocka_unit_test(a_registry_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* The script that makes a role for exports: who has it may become the role of the context, and sees what row security hides. */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/rights.h>
#include <keepfs/pg/tenancy.h>
#include <keepfs/proc.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "exported"

/* The script of a job that connects as @user. */
static char *script_for(const char *user, const char *context_role)
{
	_cleanup(free) char *conninfo = mem_printf("%s dbname=" DATABASE " user=%s", server_conninfo(), user);
	const struct pg_role_request request = {
	        .title = "[export]", .conninfo = conninfo, .exports = true, .context_role = context_role};
	struct str script = {0};

	pg_role_script(&request, &script);
	return str_take(&script);
}

static void run_script(const char *script)
{
	_cleanup(free) char *psql = server_program("psql"),
	                    *path = mem_printf("%s/script.sql", server_directory());
	_cleanup(free) char *conninfo = mem_printf("%s dbname=postgres", server_conninfo());
	const char *const argv[] = {psql, "-X",     "-q", "-v", "ON_ERROR_STOP=1",
	                            "-d", conninfo, "-f", path, NULL};
	_cleanup(str) struct str said = {0};
	FILE *file = fopen(path, "w");
	struct error err = {0};

	assert_non_null(file);
	assert_true(fputs(script, file) >= 0);
	assert_int_equal(fclose(file), 0);
	if (proc_capture(argv, 60000, &said, &err) != 0)
		fail_msg("%s %s\n%s", err.message, str_text(&said), script);
}

/* It reads within the context, leaves it, and sees that there is more. */
static void assert_exports(const char *user)
{
	const struct pg_tenant_context context = {.role = "the app",
	                                          .settings = (const char *const[]){"app.org=1", NULL}};
	_cleanup(free) char *conninfo = mem_printf("%s dbname=" DATABASE " user=%s", server_conninfo(), user);
	_cleanup(free) char *snapshot = NULL;
	struct pg_session *s = NULL;
	struct error err = {0};

	if (pg_session_open(conninfo, NULL, "test", NULL, &s, &err) < 0 ||
	    pg_tenant_export(s, &snapshot, &err) < 0 || pg_tenant_enter(s, &context, NULL, 0, &err) < 0)
		fail_msg("%s", err.message);
	server_expect(s, "SELECT count(*) FROM public.orders", "1");
	assert_int_equal(pg_tenant_leave(s, &err), 0);
	assert_int_equal(pg_tenant_exists(s, "SELECT FROM public.orders WHERE org = 2", &err), 1);
	assert_true(pg_session_run(s, "COMMIT; DELETE FROM public.orders", &err) < 0);
	pg_session_free(s);
}

static bool has_psql(void)
{
	_cleanup(free) char *psql = server_program("psql");

	return access(psql, X_OK) == 0;
}

static void a_role_for_exports(void **state)
{
	_cleanup(free) char *script = script_for("exporter", "the app"), *again = NULL;

	if (!has_psql())
		skip();
	/* The role is not there yet, so the server cannot be asked. */
	run_script(script);
	run_script(script);
	assert_exports("exporter");
	again = script_for("exporter", "the app");
	assert_non_null(strstr(again, "ALTER ROLE \"exporter\" BYPASSRLS;"));
	assert_non_null(strstr(again, "whether it hides too many is only seen by who sees them all"));
	assert_null(strstr(again, "pg_dump"));
	run_script(again);
	assert_exports("exporter");
}

static void no_context_role(void **state)
{
	_cleanup(free) char *none = script_for("exporter", ""), *own = script_for("exporter", "exporter");

	assert_null(strstr(none, "may become"));
	assert_null(strstr(own, "may become"));
}

/* What the job connects as has to be another one, and what others wrote stays in its comment. */
static void a_superusers_job(void **state)
{
	_cleanup(free) char *script = script_for("postgres", "the\nDROP TABLE app");

	assert_non_null(strstr(script, "user=keepfs in its 'database'"));
	assert_null(strstr(script, "\n-- DROP"));
	assert_non_null(strstr(script, "'the\nDROP TABLE app'"));
	assert_non_null(strstr(script, "as the | DROP TABLE app, whom"));
}

static int set_up(void **state)
{
	struct pg_session *s;

	server_database(DATABASE);
	s = server_open(DATABASE, NULL);
	server_run(
	        s,
	        "CREATE ROLE \"the app\"; CREATE TABLE orders (org int); INSERT INTO orders VALUES (1), (2);"
	        "GRANT SELECT ON orders TO \"the app\"; ALTER TABLE orders ENABLE ROW LEVEL SECURITY;"
	        "CREATE POLICY p ON orders USING (org = current_setting('app.org')::int)");
	pg_session_free(s);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_role_for_exports),
	        cmocka_unit_test(no_context_role),
	        cmocka_unit_test(a_superusers_job),
	};

	return cmocka_run_group_tests_name("pg rights", tests, set_up, NULL);
}

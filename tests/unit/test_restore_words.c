// SPDX-License-Identifier: Apache-2.0
/* What pg_restore and psql say, judged; and scripts about databases and roles, taken apart. */
#include "../../src/use/restore_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SAYS_MAX 8

/* Each line, then the end: what was found, "h:" or "e:" and the text. */
static void expect_said_to(struct restore_listener l, const char *const *lines, const char *const *expected,
                           unsigned ignored)
{
	size_t found = 0;

	for (bool ended = false; !ended; lines += !ended) {
		_cleanup(str) struct str text = {0}, told = {0};
		enum restore_said said;

		ended = !*lines;
		said = restore_listen(&l, *lines, &text);
		if (said == RESTORE_SAID_NOTHING)
			continue;
		str_appendf(&told, "%c:%s", said == RESTORE_SAID_HARMLESS ? 'h' : 'e', str_text(&text));
		assert_non_null(expected[found]);
		assert_string_equal(str_text(&told), expected[found]);
		found++;
	}
	assert_null(expected[found]);
	assert_int_equal(l.ignored, ignored);
	restore_listener_finish(&l);
}

static void expect_said(bool no_owner, const char *const *lines, const char *const *expected,
                        unsigned ignored)
{
	expect_said_to((struct restore_listener){.no_owner = no_owner}, lines, expected, ignored);
}

static void errors_are_told_from_what_is_none(void **state)
{
	static const char *const lines[] = {
	        "pg_restore: while PROCESSING TOC:",
	        "pg_restore: from TOC entry 3370; 0 0 COMMENT EXTENSION plpgsql ",
	        "pg_restore: error: could not execute query: ERROR:  must be owner of extension plpgsql",
	        "Command was: COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';",
	        "",
	        "pg_restore: from TOC entry 215; 1259 16389 TABLE orders shop",
	        "pg_restore: error: could not execute query: ERROR:  role \"shop\" does not exist",
	        "Command was: ALTER TABLE public.orders OWNER TO shop;",
	        "",
	        "pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter \"transaction_timeout\"",
	        "Command was: SET transaction_timeout = 0;",
	        "pg_restore: warning: errors ignored on restore: 3",
	        NULL};
	static const char *const said[] = {
	        "h:ERROR:  must be owner of extension plpgsql | COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';",
	        "e:ERROR:  role \"shop\" does not exist | ALTER TABLE public.orders OWNER TO shop;",
	        "h:ERROR:  unrecognized configuration parameter \"transaction_timeout\" | SET transaction_timeout = 0;",
	        NULL};

	expect_said(false, lines, said, 3);
}

/* A role that is missing means nothing where rights are left out; a table that is missing always does. */
static void what_is_harmless_depends(void **state)
{
	static const char *const lines[] = {
	        "pg_restore: error: could not execute query: ERROR:  role \"reader\" does not exist",
	        "Command was: GRANT SELECT ON TABLE public.orders TO reader;",
	        "pg_restore: error: could not execute query: ERROR:  relation \"public.orders\" does not exist",
	        "Command was: GRANT SELECT ON TABLE public.orders TO reader;", NULL};
	static const char *const with[] = {
	        "e:ERROR:  role \"reader\" does not exist | GRANT SELECT ON TABLE public.orders TO reader;",
	        "e:ERROR:  relation \"public.orders\" does not exist | GRANT SELECT ON TABLE public.orders TO reader;",
	        NULL};
	static const char *const without[] = {
	        "h:ERROR:  role \"reader\" does not exist | GRANT SELECT ON TABLE public.orders TO reader;",
	        "e:ERROR:  relation \"public.orders\" does not exist | GRANT SELECT ON TABLE public.orders TO reader;",
	        NULL};

	expect_said(false, lines, with, 0);
	expect_said(true, lines, without, 0);
}

/* Of details only those belong to the error that hold no values of rows; an error at the very end is not lost; what only looks like one in the text of an object is none. */
static void errors_without_a_command(void **state)
{
	static const char *const lines[] = {
	        "psql:<stdin>:41: ERROR:  duplicate key value violates unique constraint \"t_pkey\"",
	        "DETAIL:  Key (id)=(1) already exists.",
	        "CONTEXT:  COPY t, line 3: \"1\tMrs. Smith\"",
	        "pg_restore: creating TABLE \"public.ERROR: t\"",
	        "ERROR:  in a notice of somebody's function",
	        "pg_restore: from TOC entry 7; 0 0 INDEX t_idx o",
	        "pg_restore: error: connection to server was lost",
	        NULL};
	static const char *const said[] = {
	        "e:ERROR:  duplicate key value violates unique constraint \"t_pkey\" | CONTEXT:  COPY t, line 3",
	        "e:error: connection to server was lost | from TOC entry 7; 0 0 INDEX t_idx o", NULL};

	expect_said(false, lines, said, 0);
}

/* A psql that goes on: what is not known to be none is an error, in any language, and its status says nothing. */
static void errors_in_another_language(void **state)
{
	static const char *const lines[] = {
	        "psql:<stdin>:7: NOTICE:  table \"t\" does not exist, skipping",
	        "psql:<stdin>:8: warning: extra argument ignored",
	        "psql:<stdin>:12: FEHLER:  doppelter Schl\xc3\xbcsselwert verletzt Unique-Constraint \"t_pkey\"",
	        "DETAIL:  Schl\xc3\xbcssel \"(id)=(1)\" existiert bereits.",
	        "HINT:  Etwas.",
	        "psql:<stdin>:13: \\connect: Verbindung",
	        "a line of the text itself",
	        NULL};
	static const char *const said[] = {
	        "e:FEHLER:  doppelter Schl\xc3\xbcsselwert verletzt Unique-Constraint \"t_pkey\" | HINT:  Etwas.",
	        "e:\\connect: Verbindung", NULL};
	static const char *const none[] = {NULL};

	expect_said_to((struct restore_listener){.every_line = true}, lines, said, 0);
	expect_said(false, lines, none, 0);
}

/* Before version 12 nothing but these words tells an error. */
static void errors_of_an_old_program(void **state)
{
	static const char *const lines[] = {
	        "pg_restore: [archiver (db)] could not execute query: FEHLER:  Relation \"t\" existiert bereits",
	        "    Command was: CREATE TABLE t (a int);", NULL};
	static const char *const said[] = {
	        "e:could not execute query: FEHLER:  Relation \"t\" existiert bereits | CREATE TABLE t (a int);",
	        NULL};

	expect_said(false, lines, said, 0);
}

static const char script[] =
        "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc;def\n\nSET statement_timeout = 0;\n"
        "SELECT pg_catalog.set_config('search_path', '', false);\n\n"
        "-- Name: shop; Type: DATABASE; Schema: -; Owner: o\n\n"
        "CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C.UTF-8';\n\n"
        "ALTER DATABASE shop OWNER TO o;\n\\connect shop\n\nSET row_security = off;\n"
        "COMMENT ON DATABASE shop IS 'the DATABASE shop; it''s ours';\n"
        "ALTER DATABASE shop SET \"a.b\" TO E'x\\';y';\n"
        "ALTER ROLE \"DATABASE\" IN DATABASE shop SET work_mem TO '1MB';\n"
        "GRANT CONNECT ON DATABASE shop TO reader;\n\\unrestrict abc\n";

static void statements_get_another_name(void **state)
{
	static const char *const all[] = {
	        "CREATE DATABASE \"a;\"\"b\" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C.UTF-8'",
	        "ALTER DATABASE \"a;\"\"b\" OWNER TO o",
	        "COMMENT ON DATABASE \"a;\"\"b\" IS 'the DATABASE shop; it''s ours'",
	        "ALTER DATABASE \"a;\"\"b\" SET \"a.b\" TO E'x\\';y'",
	        "ALTER ROLE \"DATABASE\" IN DATABASE \"a;\"\"b\" SET work_mem TO '1MB'",
	        "GRANT CONNECT ON DATABASE \"a;\"\"b\" TO reader"};
	static const size_t without_roles[] = {0, 2, 3};
	_cleanup(restore_statements) struct restore_statements s = {0}, few = {0};

	restore_database_statements(script, "\"a;\"\"b\"", true, &s);
	assert_int_equal(s.count, 6);
	for (size_t i = 0; i < s.count; i++)
		assert_string_equal(s.items[i], all[i]);
	assert_null(s.items[s.count]);
	restore_database_statements(script, "\"a;\"\"b\"", false, &few);
	assert_int_equal(few.count, 3);
	for (size_t i = 0; i < few.count; i++)
		assert_string_equal(few.items[i], all[without_roles[i]]);
}

static void what_is_cut_off_is_no_statement(void **state)
{
	static const char *const texts[] = {"",
	                                    "CREATE DATABASE",
	                                    "CREATE DATABASE shop",
	                                    "CREATE DATABASE 'a;",
	                                    "\\",
	                                    "--",
	                                    "\"",
	                                    "E'\\",
	                                    ";;;"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		_cleanup(restore_statements) struct restore_statements s = {0}, roles = {0}, of = {0};

		restore_database_statements(texts[i], "\"x\"", true, &s);
		restore_role_statements(texts[i], &roles, &of);
		assert_int_equal(s.count + roles.count + of.count, 0);
	}
}

static void roles_are_found(void **state)
{
	static const char globals[] =
	        "-- Roles\nCREATE ROLE \"a \"\"b; Ä\";\nALTER ROLE \"a \"\"b; Ä\" WITH LOGIN PASSWORD 'SCRAM;x';\nCREATE ROLE reader;\n"
	        "CREATE TABLESPACE t OWNER reader LOCATION '/x';\nGRANT CREATE ON TABLESPACE t TO reader;\n"
	        "GRANT owners TO reader WITH ADMIN OPTION GRANTED BY postgres;\n";
	static const char *const names[] = {"a \"b; Ä", "a \"b; Ä", "reader", "reader"};
	_cleanup(restore_statements) struct restore_statements s = {0}, roles = {0};

	restore_role_statements(globals, &s, &roles);
	assert_int_equal(s.count, 4);
	assert_int_equal(roles.count, 4);
	for (size_t i = 0; i < roles.count; i++)
		assert_string_equal(roles.items[i], names[i]);
	assert_string_equal(s.items[1], "ALTER ROLE \"a \"\"b; Ä\" WITH LOGIN PASSWORD 'SCRAM;x'");
	assert_string_equal(s.items[3], "GRANT owners TO reader WITH ADMIN OPTION GRANTED BY postgres");
}

static void grantees_are_found(void **state)
{
	static const char grants[] =
	        "REVOKE ALL ON TABLE public.\"TO\" FROM postgres;\n"
	        "GRANT SELECT(\"TO\") ON TABLE public.\"TO\" TO PUBLIC;\n"
	        "GRANT ALL ON TABLE public.\"TO\" TO \"Keep \"\"er\"\" TO\" WITH GRANT OPTION;\n"
	        "ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA s GRANT SELECT ON TABLES TO reader;\n"
	        "SET SESSION AUTHORIZATION giver;\nRESET SESSION AUTHORIZATION;\n";
	_cleanup(restore_statements) struct restore_statements found = {0}, none = {0};

	restore_grantees(grants, &found);
	assert_int_equal(found.count, 2);
	assert_string_equal(found.items[0], "Keep \"er\" TO");
	assert_string_equal(found.items[1], "reader");
	restore_grantees("GRANT ALL ON TABLE t TO", &none);
	restore_grantees("", &none);
	assert_int_equal(none.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(grantees_are_found),
	        cmocka_unit_test(errors_are_told_from_what_is_none),
	        cmocka_unit_test(what_is_harmless_depends),
	        cmocka_unit_test(errors_without_a_command),
	        cmocka_unit_test(errors_in_another_language),
	        cmocka_unit_test(errors_of_an_old_program),
	        cmocka_unit_test(statements_get_another_name),
	        cmocka_unit_test(what_is_cut_off_is_no_statement),
	        cmocka_unit_test(roles_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

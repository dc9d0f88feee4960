// SPDX-License-Identifier: Apache-2.0
/* What is said about a refusal does not depend on the language in which the server refuses. */
#include "server.h"

#include <errno.h>
#include <keepfs/base/mem.h>
#include <keepfs/pg.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "languages"
#define OTHER    "other language"

static const char set_up[] =
        "CREATE ROLE clerk LOGIN; CREATE ROLE nobody; CREATE ROLE rejected LOGIN; CREATE ROLE peered LOGIN; "
        "CREATE ROLE secretive LOGIN PASSWORD 'x'; CREATE ROLE crowded LOGIN CONNECTION LIMIT 0; "
        "CREATE ROLE outsider LOGIN; CREATE TABLE seen (id int); CREATE TABLE unseen (id int); "
        "CREATE TABLE filtered (id int); ALTER TABLE filtered ENABLE ROW LEVEL SECURITY; "
        "GRANT SELECT ON seen, filtered TO clerk; CREATE SEQUENCE numbers; CREATE SCHEMA closed; "
        "CREATE TABLE closed.t (id int); SELECT lo_from_bytea(4711, 'x')";

static const char *language(void)
{
	return getenv("KEEPFS_TEST_PG_LANGUAGE");
}

/* The whole server speaks it, to those as well whom it does not let in. */
static void speak(const char *name)
{
	struct pg_session *s = server_open("postgres", NULL);
	_cleanup(free) char *sql = mem_printf("ALTER SYSTEM SET lc_messages = '%s'", name);
	_cleanup(free) char *spoken = NULL;

	server_run(s, sql);
	server_run(s, "SELECT pg_reload_conf()");
	pg_session_free(s);
	for (int tries = 0; tries < 1000 && !str_equal(spoken, name); tries++) {
		s = server_open("postgres", NULL);
		free(spoken);
		spoken = server_value(s, "SHOW lc_messages");
		pg_session_free(s);
	}
	assert_string_equal(spoken, name);
}

static void expect_hint(int r, const struct error *err, const char *hint, const char *of)
{
	if (r >= 0)
		fail_msg("%s was not refused", of);
	if (!err->hint || !strstr(err->hint, hint))
		fail_msg("%s: no \"%s\" in: %s", of, hint, err->message);
	if (strstr(err->message, "LOCATION"))
		fail_msg("%s", err->message);
}

/* Statements. */

struct statement {
	const char *sql, *hint;
};

static const struct statement of_clerk[] = {
        {"SELECT * FROM public.unseen", "GRANT pg_read_all_data"},
        {"SELECT * FROM closed.t", "USAGE on its schema"},
        {"SELECT last_value FROM public.numbers", "GRANT pg_read_all_data"},
        {"BEGIN; SET row_security = off; SELECT * FROM public.filtered", "BYPASSRLS"},
        {"SELECT lo_get(4711)", "large objects belong to roles"},
        {"BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '00000003-0000001B-1'",
         "another server"},
        {"SET client_encoding = 'LATIN2'; SELECT U&'\\6F22'", "PGCLIENTENCODING"},
        {"SELECT convert_from('\\xff', 'UTF8')", "mend that row"},
};

static void test_what_a_role_is_refused(void **state)
{
	_cleanup(free) char *conninfo = mem_printf("%s user=clerk", server_conninfo());

	for (size_t i = 0; i < ARRAY_SIZE(of_clerk); i++) {
		struct pg_session *s = NULL;
		struct error err = {0};
		int r = pg_session_open(conninfo, DATABASE, "test", NULL, &s, &err);

		assert_int_equal(r, 0);
		r = pg_session_run(s, of_clerk[i].sql, &err);
		expect_hint(r, &err, of_clerk[i].hint, of_clerk[i].sql);
		pg_session_free(s);
	}
}

static void test_what_is_refused_again(void **state)
{
	static const struct statement refused[] = {
	        {"LOCK TABLE public.seen, public.unseen IN ACCESS SHARE MODE", "GRANT pg_read_all_data"},
	        {"LOCK TABLE ONLY closed.t IN ACCESS SHARE MODE", "USAGE on its schema"},
	        {"COPY public.filtered TO stdout", "BYPASSRLS"},
	};
	_cleanup(free) char *conninfo = mem_printf("%s user=clerk", server_conninfo());

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		const struct pg_attempt attempt = {.sql = refused[i].sql};
		struct pg_repetition again = {0};

		assert_int_equal(pg_repeat(conninfo, DATABASE, &attempt, NULL, &again), 0);
		assert_true(again.refused);
		assert_string_equal(again.state, "42501");
		assert_non_null(strstr(again.hint, refused[i].hint));
	}
}

static void test_what_is_asked_again(void **state)
{
	static const struct {
		struct pg_attempt attempt;
		bool refused;
		const char *code;
	} cases[] = {
	        {{.sql = "LOCK TABLE seen IN ACCESS SHARE MODE"}, true, "42P01"}, /* no search_path */
	        {{.sql = "LOCK TABLE public.seen IN ACCESS SHARE MODE"}, false, ""},
	        {{.sql = "COPY public.seen TO stdout"}, false, ""},
	        {{.sql = "COPY public.filtered TO stdout"}, true, "42501"},
	        {{.sql = "LOCK TABLE public.unseen IN ACCESS SHARE MODE"}, true, "42501"},
	        {{.large_object = 4711}, true, "42501"},
	        {{0}, false, ""},
	};
	_cleanup(free) char *conninfo = mem_printf("%s user=clerk", server_conninfo());

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pg_repetition again = {0};

		assert_int_equal(pg_repeat(conninfo, DATABASE, &cases[i].attempt, NULL, &again), 0);
		assert_int_equal(again.refused, cases[i].refused);
		assert_string_equal(again.state, cases[i].code);
	}
}

/* Others have no test that makes a server fail so: they come with their state and words of no language. */
static void test_states(void **state)
{
	static const struct statement states[] = {
	        {"40001", "hot_standby_feedback"},
	        {"72000", "old_snapshot_threshold"},
	        {"57P01", "run the backup again"},
	        {"57P02", "run the backup again"},
	        {"57P03", "starting or stopping"},
	        {"55P03", "quieter time"},
	        {"57014", "cancelled the statement"},
	        {"XX001", "damaged"},
	        {"58030", "damaged"},
	        {"53100", "full"},
	        {"53300", "max_connections"},
	        {"28P01", "password"},
	        {"3D000", "psql -l"},
	};
	struct pg_session *s = server_open(DATABASE, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		_cleanup(free) char *sql =
		        mem_printf("DO $$ BEGIN RAISE 'so' USING ERRCODE = '%s'; END $$", states[i].sql);
		struct error err = {0};
		int r = pg_session_run(s, sql, &err);

		assert_string_equal(err.code, states[i].sql);
		expect_hint(r, &err, states[i].hint, states[i].sql);
	}
	pg_session_free(s);
}

static void test_locks(void **state)
{
	struct pg_session *holder = server_open(DATABASE, NULL), *s = server_open(DATABASE, NULL);
	const struct pg_attempt attempt = {.sql = "LOCK TABLE public.seen IN ACCESS SHARE MODE"};
	struct pg_repetition again = {0};
	struct error err = {0};
	int r;

	server_run(holder, "BEGIN; LOCK TABLE seen");
	r = pg_session_run(s, "SET lock_timeout = 1; SELECT * FROM seen", &err);
	expect_hint(r, &err, "lock_wait_timeout", "a lock that is waited for");
	r = pg_session_run(s, "BEGIN; LOCK TABLE seen NOWAIT", &err);
	expect_hint(r, &err, "quieter time", "a lock that is not waited for");
	assert_int_equal(pg_repeat(server_conninfo(), DATABASE, &attempt, NULL, &again), 0);
	assert_true(again.refused);
	assert_string_equal(again.state, "55P03");
	pg_session_free(s);
	pg_session_free(holder);
}

static void test_a_snapshot_of_another_database(void **state)
{
	struct pg_session *leader = server_open("postgres", NULL), *s = server_open(DATABASE, NULL);
	_cleanup(free) char *snapshot = NULL, *sql = NULL;
	struct error err = {0};
	int r;

	server_run(leader, "BEGIN ISOLATION LEVEL REPEATABLE READ");
	snapshot = server_value(leader, "SELECT pg_export_snapshot()");
	sql = mem_printf("BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '%s'", snapshot);
	r = pg_session_run(s, sql, &err);
	expect_hint(r, &err, "another database", sql);
	pg_session_free(s);
	pg_session_free(leader);
}

/* Connections. */

static void test_who_is_not_let_in(void **state)
{
	static const struct {
		const char *user, *database, *hint;
		enum error_class class;
	} cases[] = {
	        {"postgres", "nosuch", "psql -l", ERROR_USAGE},
	        {"nosuch", DATABASE, "may it log in", ERROR_DENIED},
	        {"nobody", DATABASE, "may it log in", ERROR_DENIED},
	        {"rejected", DATABASE, "pg_hba.conf", ERROR_DENIED},
	        {"peered", DATABASE, "system user of the same name", ERROR_DENIED},
	        {"secretive password=hunter2", DATABASE, "the password is wrong", ERROR_DENIED},
	        {"secretive", DATABASE, "give the password", ERROR_DENIED},
	        {"crowded", DATABASE, "CONNECTION LIMIT", ERROR_UNAVAILABLE},
	        {"clerk", OTHER, "GRANT CONNECT", ERROR_DENIED},
	        {"postgres", "template0", "takes no connections", ERROR_USAGE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *conninfo = mem_printf("%s user=%s", server_conninfo(), cases[i].user);
		struct pg_session *s = NULL;
		struct error err = {0};
		int r = pg_session_open(conninfo, cases[i].database, "test", NULL, &s, &err);

		expect_hint(r, &err, cases[i].hint, cases[i].user);
		if (err.class != cases[i].class)
			fail_msg("%s: %s", error_class_name(err.class), err.message);
		assert_null(strstr(err.message, "hunter2"));
	}
}

static int begin_english(void **state)
{
	struct pg_session *s;

	server_database(DATABASE);
	server_database(OTHER);
	s = server_open(DATABASE, NULL);
	server_run(s, set_up);
	server_run(s, "REVOKE CONNECT ON DATABASE \"" OTHER "\" FROM public");
	pg_session_free(s);
	return 0;
}

/* That it is another language is seen by a word that is English. */
static int begin_other(void **state)
{
	struct pg_session *s;
	struct error err = {0};

	if (!language())
		return 0;
	speak(language());
	s = server_open(DATABASE, NULL);
	assert_true(pg_session_run(s, "SELECT nothing", &err) < 0);
	pg_session_free(s);
	if (strstr(err.message, "does not exist"))
		fail_msg("%s does not speak %s", err.message, language());
	return 0;
}

static void test_there_is_another_language(void **state)
{
	if (!language())
		skip();
}

/* Any user of a database can give a table such a name, and have pg_dump fail on it. */
static void test_names_that_look_like_statements(void **state)
{
	static const char *const texts[] = {
	        "commit;create table public.pwned(i int)--\" IN ACCESS SHARE MODE",
	        "LOCK TABLE public.a;create table public.pwned(i int) IN ACCESS SHARE MODE",
	        "COPY (SELECT 1) TO stdout",
	        "COPY public.a (i) TO PROGRAM 'touch x'",
	        "COPY public.\"a TO stdout",
	        "SELECT 1",
	};
	struct pg_session *s = server_open(DATABASE, NULL);
	_cleanup(free) char *count = NULL;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct pg_attempt attempt = {.sql = texts[i]};
		struct pg_repetition again;

		assert_int_equal(pg_repeat(server_conninfo(), DATABASE, &attempt, NULL, &again), -EINVAL);
	}
	count = server_value(s, "SELECT count(*) FROM pg_class WHERE relname = 'pwned'");
	pg_session_free(s);
	assert_string_equal(count, "0");
}

#define TESTS                                                                                                \
	cmocka_unit_test(test_what_a_role_is_refused), cmocka_unit_test(test_what_is_refused_again),         \
	        cmocka_unit_test(test_what_is_asked_again), cmocka_unit_test(test_states),                   \
	        cmocka_unit_test(test_locks), cmocka_unit_test(test_a_snapshot_of_another_database),         \
	        cmocka_unit_test(test_who_is_not_let_in),                                                    \
	        cmocka_unit_test(test_names_that_look_like_statements)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(test_there_is_another_language, begin_english),
	        TESTS,
	        cmocka_unit_test_setup(test_there_is_another_language, begin_other),
	        TESTS,
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

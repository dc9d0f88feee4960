// SPDX-License-Identifier: Apache-2.0
/* Snapshots: what sessions that join one see, under which settings, and where they cannot join. */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/snapshot.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "snapshot"

static char *export_snapshot(struct pg_session *s)
{
	struct error err = {0};
	char *snapshot = NULL;

	if (pg_snapshot_export(s, &snapshot, &err) < 0)
		fail_msg("%s", err.message);
	return snapshot;
}

static char *mark_of(struct pg_session *s)
{
	struct error err = {0};
	char *mark = NULL;

	if (pg_server_mark(s, &mark, &err) < 0)
		fail_msg("%s", err.message);
	return mark;
}

static void join(struct pg_session *s, const char *snapshot, int64_t lock_wait_timeout_ms)
{
	_cleanup(free) char *mark = mark_of(s);
	struct error err = {0};

	if (pg_snapshot_join(s, snapshot, mark, "UTF8", lock_wait_timeout_ms, &err) < 0)
		fail_msg("%s", err.message);
}

static void test_one_state(void **state)
{
	struct pg_session *leader = server_open(DATABASE, NULL), *writer = server_open(DATABASE, NULL);
	struct pg_session *reader = server_open(DATABASE, NULL);
	_cleanup(free) char *snapshot = export_snapshot(leader);

	server_run(writer, "INSERT INTO public.t VALUES (2); CREATE TABLE public.later (a int)");
	join(reader, snapshot, 0);
	server_run(writer, "INSERT INTO public.t VALUES (3)");
	server_expect(leader, "SELECT count(*) FROM public.t", "1");
	server_expect(reader, "SELECT count(*) FROM public.t", "1");
	server_expect(reader, "SELECT count(*) FROM pg_class WHERE relname = 'later'", "0");
	/* It lasts as long as one of them. */
	server_run(leader, "COMMIT");
	server_expect(reader, "SELECT count(*) FROM public.t", "1");
	server_run(reader, "COMMIT");
	server_expect(reader, "SELECT count(*) FROM public.t", "3");
	server_run(writer, "DELETE FROM public.t WHERE a > 1; DROP TABLE public.later");
	pg_session_free(leader);
	pg_session_free(writer);
	pg_session_free(reader);
}

/* The role's settings, and those of a transaction that reads; none is left behind it. */
static void test_settings(void **state)
{
	static const struct {
		const char *name, *theirs, *ours;
		int since;
	} settings[] = {
	        {"datestyle", "SQL, DMY", "ISO, DMY", 0},
	        {"intervalstyle", "sql_standard", "postgres", 0},
	        {"extra_float_digits", "0", "3", 0},
	        {"statement_timeout", "90s", "0", 0},
	        {"lock_timeout", "80s", "1234ms", 0},
	        {"idle_in_transaction_session_timeout", "70s", "0", 0},
	        {"transaction_timeout", "100s", "0", 170000},
	        {"search_path", "public", "", 0},
	        {"quote_all_identifiers", "on", "off", 0},
	        {"synchronize_seqscans", "on", "off", 0},
	        {"row_security", "on", "off", 0},
	        {"client_encoding", "LATIN1", "UTF8", 0},
	        {"enable_tidscan", "off", "on", 0},
	        {"enable_seqscan", "on", "off", 0},
	        {"transaction_isolation", "read committed", "repeatable read", 0},
	        {"transaction_read_only", "off", "on", 0},
	        {"restrict_nonsystem_relation_kind", "", "view, foreign-table", 0},
	};
	struct pg_session *leader = server_open(DATABASE, NULL), *s = server_open(DATABASE, NULL);
	_cleanup(free) char *snapshot = export_snapshot(leader);

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		_cleanup(free) char *set =
		        mem_printf("SELECT set_config(name, '%s', false) FROM pg_settings "
		                   "WHERE lower(name) = '%s' AND name NOT LIKE 'transaction_i%%' "
		                   "AND name NOT LIKE 'transaction_r%%'",
		                   settings[i].theirs, settings[i].name);

		server_run(s, set);
	}
	for (int inside = 1; inside >= 0; inside--) {
		if (inside)
			join(s, snapshot, 1234);
		else
			server_run(s, "COMMIT");
		for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
			_cleanup(free) char *name = pg_quote_literal(settings[i].name);
			_cleanup(free) char *sql =
			        mem_printf("SELECT COALESCE(current_setting(%s, true), '-')", name);
			_cleanup(free) char *value = server_value(s, sql);
			_cleanup(free) char *got = mem_printf("%s=%s", settings[i].name, value);
			_cleanup(free) char *expected = mem_printf(
			        "%s=%s", settings[i].name, inside ? settings[i].ours : settings[i].theirs);

			/* Not every version has all of them. */
			if (strcmp(value, "-") != 0)
				assert_string_equal(strcmp(value, "90s") == 0 ? "statement_timeout=90s" : got,
				                    expected);
		}
	}
	pg_session_free(leader);
	pg_session_free(s);
}

/* The leader waits, perhaps for hours, for what others do. */
static void test_leader_may_idle(void **state)
{
	struct pg_session *leader = server_open(DATABASE, NULL);
	_cleanup(free) char *snapshot = NULL;

	server_run(leader,
	           "SET idle_in_transaction_session_timeout = '1ms'; SET statement_timeout = '200ms'");
	snapshot = export_snapshot(leader);
	server_expect(leader, "SHOW idle_in_transaction_session_timeout", "0");
	server_expect(leader, "SELECT 'slow' FROM pg_sleep(0.4)", "slow");
	server_run(leader, "COMMIT");
	pg_session_free(leader);
}

static void expect_no_join(struct pg_session *s, const char *snapshot, const char *words)
{
	_cleanup(free) char *mark = mark_of(s);
	struct error err = {0};

	assert_true(pg_snapshot_join(s, snapshot, mark, "UTF8", 0, &err) < 0);
	if (!strstr(err.message, words))
		fail_msg("not \"%s\": %s", words, err.message);
	server_expect(s, "SELECT 'still there'", "still there");
}

static void test_no_join(void **state)
{
	struct pg_session *leader = server_open(DATABASE, NULL), *s = server_open(DATABASE, NULL);
	struct pg_session *elsewhere = server_open("postgres", NULL);
	_cleanup(free) char *snapshot = export_snapshot(leader), *mark = mark_of(leader);
	struct error err = {0};

	expect_no_join(s, "no such", "not to a pooler");
	expect_no_join(s, "0000FFFF-0000FFFF-9", "not to a pooler");
	expect_no_join(elsewhere, snapshot, "(this connection reached another database");
	assert_true(pg_snapshot_join(s, snapshot, mark, "no such", 0, &err) < 0);
	assert_non_null(strstr(err.message, "client_encoding"));
	/* As when another server has a snapshot of that name. */
	assert_true(pg_snapshot_join(s, snapshot, "1789000000.123456", "UTF8", 0, &err) < 0);
	assert_non_null(strstr(err.message, "reached another server"));
	server_expect(s, "SELECT 'still there'", "still there");
	join(s, snapshot, 0);
	server_run(s, "COMMIT");
	pg_session_free(leader);
	/* Its file goes with its session, whose end it does not wait for. */
	server_wait(elsewhere, "SELECT count(*) = 0 FROM pg_ls_dir('pg_snapshots')");
	expect_no_join(s, snapshot, "not to a pooler");
	pg_session_free(s);
	pg_session_free(elsewhere);
}

static void test_lock(void **state)
{
	struct pg_session *leader = server_open(DATABASE, NULL), *s = server_open(DATABASE, NULL);
	struct pg_session *other = server_open(DATABASE, NULL);
	_cleanup(free) char *snapshot = export_snapshot(leader);
	struct error err = {0};

	join(s, snapshot, 50);
	assert_int_equal(pg_lock_relation(s, "public.t", &err), 0);
	server_run(s, "COMMIT");
	server_run(other, "BEGIN; LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE");
	join(s, snapshot, 50);
	assert_int_equal(pg_lock_relation(s, "public.t", &err), -EBUSY);
	assert_int_equal(err.class, ERROR_CONFLICT);
	assert_true(err.retry);
	assert_string_equal(err.code, "55P03");
	assert_true(str_starts(err.message, "cannot lock public.t: "));
	assert_non_null(strstr(err.message, "try again at a quieter time"));
	server_run(s, "ROLLBACK");
	join(s, snapshot, 50);
	assert_int_equal(pg_session_run(s, "SELECT * FROM public.t", &err), -EBUSY);
	assert_non_null(strstr(err.message, "(somebody holds a lock"));
	server_run(s, "ROLLBACK");
	server_run(other, "ROLLBACK");
	pg_session_free(leader);
	pg_session_free(s);
	pg_session_free(other);
}

static int set_up(void **state)
{
	struct pg_session *s;

	server_database(DATABASE);
	s = server_open(DATABASE, NULL);
	server_run(s, "CREATE TABLE public.t (a int); INSERT INTO public.t VALUES (1)");
	pg_session_free(s);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_one_state),
	        cmocka_unit_test(test_settings),
	        cmocka_unit_test(test_leader_may_idle),
	        cmocka_unit_test(test_no_join),
	        cmocka_unit_test(test_lock),
	};

	return cmocka_run_group_tests_name("pg snapshot", tests, set_up, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Sessions: results, failures, COPY, and that a statement which nobody waits for any more ends at the
 * server. */
#include "server.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/pg.h>
#include <keepfs/pg/snapshot.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "odd \"name\", 'it' is"

/* A server that runs under a sanitizer's load is slow; one that does not end is forgotten. */
#define SOON_MS 20000

static int take_to_text(void *arg, const struct pg_row *row, struct error *err)
{
	struct str *out = arg;

	for (int i = 0; i < row->columns; i++)
		str_appendf(out, "%s%s:%d", i > 0 ? "," : "", row->values[i] ? row->values[i] : "NULL",
		            row->lengths[i]);
	str_append_char(out, ';');
	return 0;
}

static void test_rows(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	server_expect(s, "SELECT current_database()", DATABASE);
	server_expect(s, "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()",
	              "keepfs test");
	server_expect(s, "SELECT NULL", NULL);
	server_expect(s, "SELECT 1 WHERE false", NULL);
	server_expect(s, "CREATE TEMP TABLE x (a int); INSERT INTO x VALUES (5), (6); SELECT sum(a) FROM x",
	              "11");
	server_expect(s, "SET work_mem = '1MB'", NULL);
	assert_int_equal(pg_session_rows(s, "SELECT 'ab', NULL, '' FROM x", take_to_text, &out, &err), 0);
	assert_string_equal(str_text(&out), "ab:2,NULL:0,:0;ab:2,NULL:0,:0;");
	pg_session_free(s);
}

static int expect_binary(void *arg, const struct pg_row *row, struct error *err)
{
	static const char oid[] = {(char)0xee, 0x6b, 0x28, 0x00}, bytes[] = {0, (char)0xff, 0};

	(*(int *)arg)++;
	assert_int_equal(row->columns, 3);
	assert_int_equal(row->lengths[0], sizeof(oid));
	assert_memory_equal(row->values[0], oid, sizeof(oid));
	assert_int_equal(row->lengths[1], sizeof(bytes));
	assert_memory_equal(row->values[1], bytes, sizeof(bytes));
	assert_null(row->values[2]);
	return 0;
}

static void test_binary_rows(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	int rows = 0;

	assert_int_equal(pg_session_rows_binary(s, "SELECT '4000000000'::oid, '\\x00ff00'::bytea, NULL::int",
	                                        expect_binary, &rows, NULL),
	                 0);
	assert_int_equal(rows, 1);
	pg_session_free(s);
}

struct nested {
	struct pg_session *s;
	int rows;
};

static int ask_again(void *arg, const struct pg_row *row, struct error *err)
{
	struct nested *n = arg;
	_cleanup(free) char *sql = mem_printf("SELECT %s * 2", row->values[0]);
	_cleanup(free) char *value = server_value(n->s, sql);

	assert_int_equal(strtol(value, NULL, 10), 2 * strtol(row->values[0], NULL, 10));
	return ++n->rows == 3 ? error_set(err, ERROR_USAGE, EDOM, "enough") : 0;
}

static void test_rows_may_ask(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	struct nested nested = {.s = s};
	struct error err = {0};

	assert_int_equal(pg_session_rows(s, "SELECT generate_series(1, 10)", ask_again, &nested, &err),
	                 -EDOM);
	assert_int_equal(nested.rows, 3);
	server_expect(s, "SELECT 7", "7");
	pg_session_free(s);
}

static void test_failure(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	struct error err = {0};

	assert_int_equal(pg_session_run(s, "SELECT 1; SELECT * FROM nothing; SELECT 2", &err), -ENOENT);
	assert_string_equal(err.code, "42P01");
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	assert_non_null(strstr(err.message, "relation \"nothing\" does not exist"));
	assert_int_equal(pg_session_run(s, "SELEKT", &err), -EINVAL);
	assert_int_equal(err.class, ERROR_INTERNAL);
	server_expect(s, "SELECT 7", "7");
	assert_int_equal(pg_session_run(s, "SET statement_timeout = 10; SELECT pg_sleep(60)", &err),
	                 -ETIMEDOUT);
	assert_non_null(strstr(err.message, "statement_timeout = 0)"));
	server_run(s, "SET statement_timeout = 0; DROP ROLE IF EXISTS nobody; CREATE ROLE nobody; "
	              "CREATE TABLE secret (a int); SET ROLE nobody");
	assert_int_equal(pg_session_run(s, "SELECT * FROM secret", &err), -EACCES);
	assert_string_equal(err.code, "42501");
	assert_int_equal(err.class, ERROR_DENIED);
	assert_non_null(strstr(err.message, "pg_read_all_data"));
	server_run(s, "RESET ROLE; DROP ROLE nobody; DROP TABLE secret");
	pg_session_free(s);
}

static void test_quoting(void **state)
{
	static const char *const texts[] = {"plain", "",      "it's", "back\\slash", "\\'; DROP TABLE x; --",
	                                    "\"",    "a\nb ä"};
	static const char *const modes[] = {"SET standard_conforming_strings = on",
	                                    "SET standard_conforming_strings = off"};
	struct pg_session *s = server_open(DATABASE, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(texts) * ARRAY_SIZE(modes); i++) {
		const char *text = texts[i / 2];
		_cleanup(free) char *literal = pg_quote_literal(text);
		_cleanup(free) char *sql = mem_printf("SELECT %s", literal);

		if (i % 2 == 1 && strcmp(text, "plain") == 0 && pg_session_run(s, modes[1], NULL) < 0)
			break; /* newer servers have no other mode */
		server_run(s, modes[i % 2]);
		server_expect(s, sql, text);
	}
	pg_session_free(s);
}

static void test_copy(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	assert_int_equal(pg_session_copy(s, "COPY (VALUES (1, NULL), (2, E'a\\tb')) TO stdout", server_append,
	                                 &out, &err),
	                 0);
	assert_string_equal(str_text(&out), "1\t\\N\n2\ta\\tb\n");
	str_clear(&out);
	assert_int_equal(pg_session_copy(s, "SET work_mem = '2MB'; COPY (SELECT 1) TO stdout; SELECT 5",
	                                 server_append, &out, &err),
	                 0);
	assert_string_equal(str_text(&out), "1\n");
	str_clear(&out);
	assert_int_equal(
	        pg_session_copy(s, "COPY (SELECT 1 WHERE false) TO stdout", server_append, &out, &err), 0);
	assert_string_equal(str_text(&out), "");
	/* A row that no buffer holds at once. */
	assert_int_equal(pg_session_copy(s, "COPY (SELECT repeat('x', 20000000)) TO stdout", server_append,
	                                 &out, &err),
	                 0);
	assert_int_equal(out.len, 20000001);
	server_expect(s, "SHOW work_mem", "2MB");
	pg_session_free(s);
}

static void test_copy_is_one_copy(void **state)
{
	static const char *const wrong[] = {
	        "COPY (SELECT 1) TO stdout; COPY (SELECT 2) TO stdout",
	        "CREATE TEMP TABLE t (a int); COPY t FROM stdin",
	};
	struct pg_session *s = server_open(DATABASE, NULL);
	_cleanup(str) struct str out = {0};

	assert_int_equal(pg_session_copy(s, "SELECT 1", server_append, &out, NULL), -EINVAL);
	server_expect(s, "SELECT 1", "1");
	assert_int_equal(pg_session_run(s, "COPY (SELECT 1) TO stdout", NULL), -EINVAL);
	pg_session_free(s);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		s = server_open(DATABASE, NULL);
		assert_int_equal(pg_session_copy(s, wrong[i], server_append, &out, NULL), -EINVAL);
		pg_session_free(s);
	}
}

/* Rows came, and then the server failed: never a success. */
static void test_copy_fails_midway(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	assert_int_equal(pg_session_copy(s,
	                                 "COPY (SELECT 1 / (90000 - generate_series(1, 100000))) TO stdout",
	                                 server_append, &out, &err),
	                 -EINVAL);
	assert_string_equal(err.code, "22012");
	assert_non_null(strstr(err.message, "division by zero"));
	assert_true(out.len >= 1000);
	server_expect(s, "SELECT 1", "1");
	/* Behind the copy. */
	assert_int_equal(
	        pg_session_copy(s, "COPY (SELECT 1) TO stdout; SELECT 1 / 0", server_append, &out, &err),
	        -EINVAL);
	server_expect(s, "SELECT 1", "1");
	pg_session_free(s);
}

/* Another session, and the number of the one under test. */
struct pair {
	struct pg_session *s, *other;
	struct cancel cancel;
	char *pid;
	char *query;
	int64_t rows;
};

static void open_pair(struct pair *pair)
{
	*pair = (struct pair){0};
	cancel_init(&pair->cancel);
	pair->other = server_open(DATABASE, NULL);
	pair->s = server_open(DATABASE, &pair->cancel);
	pair->pid = server_value(pair->s, "SELECT pg_backend_pid()");
	pair->query =
	        mem_printf("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)", pair->pid);
}

static void close_pair(struct pair *pair)
{
	pg_session_free(pair->s);
	server_wait(pair->other, pair->query);
	pg_session_free(pair->other);
	cancel_finish(&pair->cancel);
	free(pair->pid);
	free(pair->query);
}

#define ENDLESS "COPY (SELECT generate_series(1, 1000000000000)) TO stdout"

static int stop_at_1000(void *arg, const void *data, size_t len, struct error *err)
{
	struct pair *pair = arg;

	return ++pair->rows == 1000 ? error_set(err, ERROR_NO_SPACE, ENOSPC, "full") : 0;
}

static int cancel_at_1000(void *arg, const void *data, size_t len, struct error *err)
{
	struct pair *pair = arg;

	if (++pair->rows == 1000)
		cancel_set(&pair->cancel);
	return 0;
}

static void test_copy_stopped_by_its_taker(void **state)
{
	struct pair pair;
	struct error err = {0};

	open_pair(&pair);
	assert_int_equal(pg_session_copy(pair.s, ENDLESS, stop_at_1000, &pair, &err), -ENOSPC);
	assert_string_equal(err.message, "full");
	assert_int_equal(pair.rows, 1000);
	close_pair(&pair);
}

/* The server sends faster than rows are taken: there is never a wait that the cancel could end. */
static void test_copy_cancelled(void **state)
{
	int64_t began_ms = clock_mono_ms();
	struct pair pair;
	struct error err = {0};

	open_pair(&pair);
	assert_int_equal(pg_session_copy(pair.s, ENDLESS, cancel_at_1000, &pair, &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	assert_true(pair.rows < 1000000);
	close_pair(&pair);
	assert_true(clock_mono_ms() - began_ms < SOON_MS);
}

static void *cancel_when_it_sleeps(void *arg)
{
	struct pair *pair = arg;
	_cleanup(free) char *sleeps = mem_printf(
	        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep')",
	        pair->pid);

	server_wait(pair->other, sleeps);
	cancel_set(&pair->cancel);
	return NULL;
}

/* A server that has nothing to say does not notice a closed socket: it has to be told. */
static void test_cancelled_while_server_is_silent(void **state)
{
	int64_t began_ms = clock_mono_ms();
	struct pair pair;
	pthread_t thread;

	open_pair(&pair);
	assert_int_equal(thread_start(&thread, "test", cancel_when_it_sleeps, &pair), 0);
	assert_int_equal(pg_session_run(pair.s, "SELECT pg_sleep(600)", NULL), -ECANCELED);
	pthread_join(thread, NULL);
	close_pair(&pair);
	assert_true(clock_mono_ms() - began_ms < SOON_MS);
}

static void terminate(const struct pair *pair)
{
	_cleanup(free) char *sql = mem_printf("SELECT pg_terminate_backend(%s)", pair->pid);

	server_expect(pair->other, sql, "t");
	server_wait(pair->other, pair->query);
}

static int terminate_at_1000(void *arg, const void *data, size_t len, struct error *err)
{
	struct pair *pair = arg;

	if (++pair->rows == 1000) {
		_cleanup(free) char *sends = mem_printf(
		        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event = 'ClientWrite')",
		        pair->pid);

		server_wait(pair->other, sends);
		terminate(pair);
	}
	return 0;
}

/* A server that is told to end while it waits to send says nothing more; one that still computes says why it ends. */
static void test_terminated_while_copying(void **state)
{
	struct pair pair;
	struct error err = {0};

	open_pair(&pair);
	assert_true(pg_session_copy(pair.s, ENDLESS, terminate_at_1000, &pair, &err) < 0);
	assert_true(pair.rows >= 1000);
	assert_true(err.retry);
	assert_int_equal(err.class, ERROR_UNAVAILABLE);
	assert_true(str_starts(err.message, "the connection to PostgreSQL broke: "));
	assert_non_null(strstr(err.message, "run the backup again)"));
	assert_true(pg_session_run(pair.s, "SELECT 1", &err) < 0);
	assert_int_equal(err.class, ERROR_UNAVAILABLE);
	close_pair(&pair);
}

static void test_terminated_while_idle(void **state)
{
	struct pair pair;
	struct error err = {0};

	open_pair(&pair);
	terminate(&pair);
	assert_true(pg_session_run(pair.s, "SELECT 1", &err) < 0);
	assert_true(err.retry);
	assert_int_equal(err.class, ERROR_UNAVAILABLE);
	assert_string_equal(err.code, "57P01");
	assert_non_null(strstr(err.message, "administrator command"));
	assert_non_null(strstr(err.message, "(the server was stopped or the session was ended there"));
	close_pair(&pair);
}

static void test_room(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL), *limited = NULL;
	_cleanup(free) char *conninfo = mem_printf("%s user=limited", server_conninfo());
	struct pg_server_room room, less, of_limited;

	server_run(s, "CREATE ROLE limited LOGIN CONNECTION LIMIT 5");
	/* Those of other tests leave in their own time. */
	server_wait(s, "SELECT sum(numbackends) = 1 FROM pg_stat_database");
	assert_int_equal(pg_server_room(s, &room, NULL), 0);
	assert_int_equal(room.role_limit, -1);
	assert_int_equal(room.free_connections, 40 - 3 - 1); /* on_postgres */
	assert_int_equal(pg_session_open(conninfo, DATABASE, "limited", NULL, &limited, NULL), 0);
	/* The server tells of a new session in its own time. */
	do
		assert_int_equal(pg_server_room(s, &less, NULL), 0);
	while (less.free_connections >= room.free_connections);
	assert_int_equal(less.free_connections, room.free_connections - 1);
	assert_int_equal(pg_server_room(limited, &of_limited, NULL), 0);
	assert_int_equal(of_limited.role_limit, 4);
	server_run(s, "DO $$BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 3', "
	              "current_database()); END$$");
	assert_int_equal(pg_server_room(limited, &of_limited, NULL), 0);
	assert_int_equal(of_limited.role_limit, 1);
	pg_session_free(limited);
	server_run(s, "DO $$BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT -1', "
	              "current_database()); END$$");
	server_wait(s, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'limited')");
	server_run(s, "DROP ROLE limited");
	pg_session_free(s);
}

static void test_facts(void **state)
{
	struct pg_session *s = server_open("postgres", NULL);
	_cleanup(free) char *version = server_value(s, "SHOW server_version_num");
	struct pg_facts facts;
	struct error err = {0};

	server_run(s, "CREATE DATABASE another");
	if (pg_learn(server_conninfo(), "another", NULL, &facts, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(facts.version_num, strtol(version, NULL, 10));
	assert_string_equal(facts.database, "another");
	assert_int_equal(pg_learn(server_conninfo(), "postgres", NULL, &facts, &err), 0);
	assert_string_equal(facts.database, "postgres");
	server_run(s, "DROP DATABASE another");
	pg_session_free(s);
}

/* The pg_dump of the same build says by its exit status whether it can write what pg_restore shall read;
 * before 16 it takes the word for a level. */
static void test_takes_zstd(void **state)
{
	_cleanup(free) char *pg_dump = server_program("pg_dump"), *pg_restore = server_program("pg_restore");
	_cleanup(free) char *conninfo = mem_printf("--dbname=%s dbname=postgres", server_conninfo());
	const char *const argv[] = {pg_dump,     "-Fc",           "--compress=zstd", "-f/dev/null",
	                            "--no-sync", "--schema-only", conninfo,          NULL};
	_cleanup(str) struct str said = {0};
	struct pg_session *s = server_open(DATABASE, NULL);
	_cleanup(free) char *version = server_value(s, "SHOW server_version_num");
	bool writes = strtol(version, NULL, 10) >= 160000 && proc_capture(argv, 60000, &said, NULL) == 0;
	struct error err = {0};
	int reads = pg_program_takes_zstd(pg_restore, NULL, &err);

	if (reads != writes)
		fail_msg("%d, but pg_dump: %d. %s", reads, writes, err.message);
	pg_session_free(s);
}

static int set_up(void **state)
{
	server_database(DATABASE);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_rows),
	        cmocka_unit_test(test_binary_rows),
	        cmocka_unit_test(test_rows_may_ask),
	        cmocka_unit_test(test_failure),
	        cmocka_unit_test(test_quoting),
	        cmocka_unit_test(test_copy),
	        cmocka_unit_test(test_copy_is_one_copy),
	        cmocka_unit_test(test_copy_fails_midway),
	        cmocka_unit_test(test_copy_stopped_by_its_taker),
	        cmocka_unit_test(test_copy_cancelled),
	        cmocka_unit_test(test_cancelled_while_server_is_silent),
	        cmocka_unit_test(test_terminated_while_copying),
	        cmocka_unit_test(test_terminated_while_idle),
	        cmocka_unit_test(test_room),
	        cmocka_unit_test(test_takes_zstd),
	        cmocka_unit_test(test_facts),
	};

	return cmocka_run_group_tests_name("pg session", tests, set_up, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Loading rows and large objects: what was given is there, and what the server refuses is told. */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/load.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "load"

static const char copy_plain[] = "COPY public.plain (id, note) FROM stdin;\n";

static struct pg_session *open_loading(struct cancel *cancel, bool no_triggers)
{
	const struct pg_load_settings settings = {.statements = "SET client_encoding = 'UTF8';",
	                                          .no_triggers = no_triggers};
	struct pg_session *s = server_open(DATABASE, cancel);
	struct error err = {0};

	if (pg_load_begin(s, &settings, &err) < 0)
		fail_msg("%s", err.message);
	return s;
}

static void reset(void)
{
	struct pg_session *s = server_open(DATABASE, NULL);

	server_run(
	        s,
	        "DROP TABLE IF EXISTS public.plain, public.parent CASCADE; CREATE TABLE public.parent (id int PRIMARY KEY);"
	        "CREATE TABLE public.plain (id int PRIMARY KEY CHECK (id <> 13), note text)");
	pg_session_free(s);
}

static int load_text(struct pg_session *s, const char *text, uint64_t *rows, struct error *err)
{
	int r = pg_load_copy(s, copy_plain, err);

	if (r == 0)
		r = pg_load_data(s, text, strlen(text), err);
	return r < 0 ? r : pg_load_end(s, rows, err);
}

/* In pieces that cut rows, more than sockets hold; and pg_dump's end of the data, which is no row. */
static void test_rows(void **state)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(str) struct str data = {0};
	struct error err = {0};
	uint64_t rows = 0;

	reset();
	s = open_loading(NULL, false);
	for (int i = 100; i < 50100; i++)
		str_appendf(&data, "%d\t%0200d\\\\ \\N \\t\n", i, i);
	str_append(&data, "\\.\n\n\n");
	assert_int_equal(pg_load_copy(s, copy_plain, &err), 0);
	for (size_t at = 0; at < data.len; at += 7001)
		assert_int_equal(
		        pg_load_data(s, data.data + at, data.len - at < 7001 ? data.len - at : 7001, &err),
		        0);
	assert_int_equal(pg_load_end(s, &rows, &err), 0);
	assert_int_equal(rows, 50000);
	assert_int_equal(pg_load_flush(s, &err), 0);
	server_expect(s, "SELECT count(*) || ' ' || sum(id) || ' ' || max(length(note)) FROM public.plain",
	              "50000 1254975000 205");
	/* The session goes on. */
	assert_int_equal(load_text(s, "1\t\\N\n", &rows, &err), 0);
	assert_int_equal(rows, 1);
	server_expect(s, "SELECT note IS NULL FROM public.plain WHERE id = 1", "t");
}

static int load_frozen(struct pg_session *s, const char *copy_stmt, const char *text, uint64_t *rows,
                       struct error *err)
{
	int r = pg_load_copy_frozen(s, copy_stmt, err);

	if (r == 0)
		r = pg_load_data(s, text, strlen(text), err);
	return r < 0 ? r : pg_load_end(s, rows, err);
}

/* Before 14 a page is only marked by the next VACUUM. */
static void expect_frozen(struct pg_session *s)
{
	_cleanup(free) char *can = server_value(
	        s,
	        "SELECT current_setting('server_version_num')::int >= 140000 AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_visibility')");

	if (!str_equal(can, "t"))
		return;
	server_run(s, "CREATE EXTENSION IF NOT EXISTS pg_visibility");
	server_expect(s, "SELECT bool_and(all_frozen) FROM pg_visibility_map('public.plain')", "t");
}

/* In a transaction that has emptied it; what was there is gone with its commit, and back when that does not come. */
static void test_frozen_rows(void **state)
{
	_cleanup(pg_session) struct pg_session *s = NULL, *other = NULL;
	struct error err = {0};
	uint64_t rows = 0;

	reset();
	s = open_loading(NULL, false);
	assert_int_equal(load_text(s, "1\tfirst\n", &rows, &err), 0);
	assert_int_equal(load_frozen(s, copy_plain, "2\tx\n3\ty\n\\.\n\n\n", &rows, &err), 0);
	assert_int_equal(rows, 2);
	other = server_open(DATABASE, NULL);
	server_expect(other, "SELECT string_agg(id || note, ' ' ORDER BY id) FROM public.plain", "2x 3y");
	expect_frozen(other);
	assert_true(load_frozen(s, copy_plain, "4\tx\n13\ty\n", &rows, &err) < 0);
	assert_string_equal(err.code, "23514");
	s = pg_session_free(s);
	server_expect(other, "SELECT count(*) FROM public.plain", "2");
}

/* Each is loaded all the same. */
static void test_what_cannot_be_frozen(void **state)
{
	static const char *const statements[] = {
	        "COPY public.whole (id) FROM stdin;\n", "COPY public.\"a \"\"b c\" (id) FROM stdin;\n",
	        "COPY public.\"a \"\"b c\"  FROM stdin;\n", "COPY public.\"a \"\"b c\" (id) FROM stdin"};
	_cleanup(pg_session) struct pg_session *s = open_loading(NULL, false);
	struct error err = {0};
	uint64_t rows = 0;

	server_run(
	        s,
	        "DROP TABLE IF EXISTS public.whole, public.\"a \"\"b c\"; CREATE TABLE public.whole (id int) PARTITION BY RANGE (id);"
	        "CREATE TABLE public.part PARTITION OF public.whole FOR VALUES FROM (0) TO (100);"
	        "CREATE TABLE public.\"a \"\"b c\" (id int)");
	for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
		assert_int_equal(load_frozen(s, statements[i], "5\n", &rows, &err), 0);
		assert_int_equal(rows, 1);
	}
	server_expect(s, "SELECT count(*) FROM public.whole", "1");
	/* Two of the three have emptied it. */
	server_expect(s, "SELECT count(*) FROM public.\"a \"\"b c\"", "2");
	assert_int_equal(load_frozen(s, "COPY public.nothing (id) FROM stdin;\n", "5\n", &rows, &err),
	                 -ENOENT);
}

static void test_what_is_refused(void **state)
{
	static const struct {
		const char *text, *code, *says;
	} cases[] = {
	        {"13\tx\n", "23514", "plain_id_check"},
	        {"1\tx\n1\ty\n", "23505", "duplicate key"},
	        {"x\ty\n", "22P02", "invalid input syntax"},
	        {"5\n", "22P04", "missing data"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(pg_session) struct pg_session *s = NULL;
		struct error err = {0};
		uint64_t rows;

		reset();
		s = open_loading(NULL, false);
		assert_true(load_text(s, cases[i].text, &rows, &err) < 0);
		assert_string_equal(err.code, cases[i].code);
		assert_non_null(strstr(err.message, cases[i].says));
		/* Values of rows. */
		assert_null(strstr(err.message, "DETAIL"));
		assert_null(strstr(err.message, "CONTEXT"));
	}
}

/* The server complains while much is still to be sent: that is told, and not waited for. */
static void test_refused_in_the_middle(void **state)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(str) struct str piece = {0};
	struct error err = {0};
	uint64_t rows;
	int r;

	reset();
	s = open_loading(NULL, false);
	for (int i = 0; i < 1000; i++)
		str_appendf(&piece, "13\t%0200d\n", i);
	r = pg_load_copy(s, copy_plain, &err);
	for (int i = 0; r == 0 && i < 1000; i++)
		r = pg_load_data(s, piece.data, piece.len, &err);
	if (r == 0)
		r = pg_load_end(s, &rows, &err);
	assert_true(r < 0);
	assert_string_equal(err.code, "23514");
}

/* What was committed without waiting for the disk is there when this returns, and not some time later. */
static void test_flush(void **state)
{
	_cleanup(pg_session) struct pg_session *s = NULL, *other = NULL;
	_cleanup(free) char *row = NULL, *written = NULL, *ask = NULL;
	struct error err = {0};
	uint64_t rows = 0;

	reset();
	other = server_open(DATABASE, NULL);
	server_run(other, "ALTER SYSTEM SET wal_writer_delay = '10s'");
	server_run(other, "SELECT pg_reload_conf()");
	server_wait(other, "SELECT current_setting('wal_writer_delay') = '10s'");
	for (int i = 0; i < 20; i++) {
		s = open_loading(NULL, false);
		row = mem_printf("%d\tx\n", i + 100);
		assert_int_equal(load_text(s, row, &rows, &err), 0);
		written = server_value(s, "SELECT pg_current_wal_insert_lsn()");
		assert_int_equal(pg_load_flush(s, &err), 0);
		ask = mem_printf("SELECT pg_current_wal_flush_lsn() >= '%s'", written);
		server_expect(other, ask, "t");
		free(take_ptr(&row));
		free(take_ptr(&written));
		free(take_ptr(&ask));
		s = pg_session_free(s);
	}
	server_run(other, "ALTER SYSTEM RESET wal_writer_delay");
	server_run(other, "SELECT pg_reload_conf()");
}

static void test_no_such_table(void **state)
{
	_cleanup(pg_session) struct pg_session *s = open_loading(NULL, false);
	struct error err = {0};

	assert_int_equal(pg_load_copy(s, "COPY public.nothing (id) FROM stdin;", &err), -ENOENT);
	assert_string_equal(err.code, "42P01");
	/* A statement that is no COPY is not taken for one. */
	assert_true(pg_load_copy(s, "SELECT 1", &err) < 0);
}

static void test_triggers(void **state)
{
	static const char orphan[] = "1\tx\n";
	_cleanup(pg_session) struct pg_session *s = NULL, *free_of_them = NULL;
	struct error err = {0};
	uint64_t rows;

	reset();
	s = open_loading(NULL, false);
	server_run(s, "ALTER TABLE public.plain ADD FOREIGN KEY (id) REFERENCES public.parent");
	assert_true(load_text(s, orphan, &rows, &err) < 0);
	assert_string_equal(err.code, "23503");
	free_of_them = open_loading(NULL, true);
	assert_int_equal(load_text(free_of_them, orphan, &rows, &err), 0);
	/* Who may not switch them off is told so. */
	server_run(free_of_them,
	           "DROP ROLE IF EXISTS load_nobody; CREATE ROLE load_nobody; SET ROLE load_nobody");
	assert_int_equal(pg_load_begin(free_of_them,
	                               &(struct pg_load_settings){.statements = "", .no_triggers = true},
	                               &err),
	                 -EACCES);
	server_run(free_of_them, "RESET ROLE; DROP ROLE load_nobody");
}

/* Somebody holds the table: the server takes a little, and no more. */
static void *cancel_soon(void *arg)
{
	struct pg_session *s = server_open(DATABASE, NULL);

	server_wait(
	        s,
	        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'COPY public.plain%' AND wait_event_type = 'Lock')");
	cancel_set(arg);
	pg_session_free(s);
	return NULL;
}

static void test_cancel(void **state)
{
	_cleanup(pg_session) struct pg_session *holder = NULL, *s = NULL;
	struct error err = {0};
	struct cancel cancel;
	pthread_t thread;
	uint64_t rows;

	reset();
	cancel_init(&cancel);
	holder = server_open(DATABASE, NULL);
	server_run(holder, "BEGIN; LOCK TABLE public.plain");
	s = open_loading(&cancel, false);
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &cancel), 0);
	assert_int_equal(load_text(s, "1\tx\n", &rows, &err), -ECANCELED);
	pthread_join(thread, NULL);
	s = pg_session_free(s);
	cancel_finish(&cancel);
}

static void test_blobs(void **state)
{
	const size_t bytes = (size_t)3 << 20;
	_cleanup(free) char *data = mem_alloc(bytes);
	_cleanup(pg_session) struct pg_session *s = open_loading(NULL, false);
	struct error err = {0};

	for (size_t i = 0; i < bytes; i++)
		data[i] = (char)(i * 31 >> 3);
	server_run(
	        s,
	        "SELECT lo_from_bytea('4000000001', 'there was more of this one before'), lo_from_bytea(77, repeat('x', 100)::bytea)");
	assert_int_equal(pg_load_blobs_begin(s, &err), 0);
	assert_int_equal(pg_load_blob_empty(s, 4000000001, &err), 0);
	assert_int_equal(pg_load_blob_empty(s, 4000000002, &err), 0);
	assert_int_equal(pg_load_blob(s, 4000000001, 0, "ab", 2, &err), 0);
	assert_int_equal(pg_load_blob(s, 4000000001, 2, data, bytes, &err), 0);
	assert_int_equal(pg_load_blobs_end(s, &err), 0);
	server_expect(
	        s,
	        "SELECT length(lo_get('4000000001')) || ' ' || encode(lo_get('4000000001', 0, 2), 'escape') || ' ' || length(lo_get('4000000002'))",
	        "3145730 ab 0");
	assert_int_equal(pg_load_blobs_begin(s, &err), 0);
	assert_true(pg_load_blob(s, 123, 0, "x", 1, &err) < 0);
	assert_string_equal(err.code, "42704");
	pg_session_free(s);
	s = server_open(DATABASE, NULL);
	server_run(s, "SELECT lo_unlink('4000000001'), lo_unlink('4000000002'), lo_unlink(77)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_rows),
	        cmocka_unit_test(test_frozen_rows),
	        cmocka_unit_test(test_what_cannot_be_frozen),
	        cmocka_unit_test(test_what_is_refused),
	        cmocka_unit_test(test_refused_in_the_middle),
	        cmocka_unit_test(test_flush),
	        cmocka_unit_test(test_no_such_table),
	        cmocka_unit_test(test_triggers),
	        cmocka_unit_test(test_cancel),
	        cmocka_unit_test(test_blobs),
	};

	server_database(DATABASE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Copies of the catalog that were made long ago: by an older keepfs, and of what was to be told then. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include <sqlite3.h>

#include "../../src/catalog/catalog_private.h"

#include <keepfs/base/fd.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/copy.h>
#include <keepfs/catalog/holds.h>
#include <keepfs/catalog/notices.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/catalog/runs.h>

#include "catalog_fixture.h"

#define STORE_URL "dir:/srv/store"

static void run_script(const char *path, const char *script)
{
	sqlite3 *db = NULL;
	char *message = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, script, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", script, message);
	sqlite3_close(db);
}

/* The first column of the first row; -1: it cannot be asked. */
static int64_t ask_number(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *row = NULL;
	int64_t answer = -1;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW)
		answer = sqlite3_column_int64(row, 0);
	sqlite3_finalize(row);
	sqlite3_close(db);
	return answer;
}

/* What is at @path becomes the catalog of a host that has lost its own. */
static int adopt(struct fixture *f, const char *path, struct error *err)
{
	_cleanup(str) struct str bytes = {0};
	_cleanup(free) char *url = NULL;
	_cleanup(fd) int fd = -1;
	int r;

	f->catalog = catalog_free(f->catalog);
	assert_int_equal(fd_read_file(path, 1 << 24, &bytes), 0);
	fd = catalog_copy_receive(f->directory, err);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, bytes.data, bytes.len), 0);
	r = catalog_copy_look(f->directory, &url, err);
	if (r == 0)
		r = catalog_copy_install(f->directory, err);
	if (r == 0)
		assert_string_equal(url, STORE_URL);
	if (catalog_open(f->directory, &f->catalog, r == 0 ? err : NULL) < 0)
		fail_msg("%s", err->message);
	return r;
}

static void refuse_hold(void *arg, const char *name, const char *reason)
{
	fail_msg("hold %s", name);
}

/* As `keepfs rebuild` does: one backup is in the store. */
static void rebuild(struct fixture *f)
{
	const struct catalog_restored restored = {.all_listed = true, .hold = refuse_hold};

	assert_int_equal(catalog_is_restored(f->catalog), 1);
	assert_int_equal(catalog_restored_begin(f->catalog, NULL), 0);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_int_equal(catalog_restored_end(f->catalog, &restored, NULL), 0);
}

/* Older formats. */

/* Heap: a copy as the keepfs made it whose newest format was @version; NULL: that one made none. */
static char *copy_of_version(struct fixture *f, int64_t version)
{
	static const char rows[] =
	        "INSERT INTO run (id, job, kind, state, triggered_by, queued_at_us, error)"
	        " VALUES (7, 'full', 'dump', 3, 'cron', 1795140000000000, 'no server');"
	        "INSERT INTO run_log (run_id, number, at_us, line) VALUES (7, 1, 1795140000000000, 'a line');"
	        "INSERT INTO audit (id, at_us, uid, pid, command, action, object, result, detail)"
	        " VALUES (3, 1795140000000000, 0, 9, 'cat', 'read', 'x', 'ok', '');"
	        "INSERT INTO switch (job, is_off, until_us, said_by, at_us) VALUES ('full', 1, 0, 'uid 0', 5);"
	        "INSERT INTO copied (one, store_url, keepfs_version) VALUES (1, '" STORE_URL "', '0.1');";
	_cleanup(free) char *name = mem_printf("copy-%d", (int)version);
	char *path = file_path(f, name);
	struct connection *c = NULL;

	assert_int_equal(close(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600)), 0);
	assert_int_equal(connection_open_file(f->catalog, path, &c, NULL), 0);
	assert_int_equal(schema_migrate_to(c, version), 0);
	connection_free(c);
	if (ask_number(path, "SELECT count(*) FROM copied") < 0) {
		free(path);
		return NULL;
	}
	run_script(path, rows);
	assert_int_equal(ask_number(path, "PRAGMA user_version"), version);
	return path;
}

static void count_pid(void *arg, const struct catalog_audit *entry)
{
	*(int64_t *)arg += entry->pid;
}

static void count_line(void *arg, int64_t number, int64_t at_us, const char *line)
{
	*(int64_t *)arg += number;
	assert_string_equal(line, "a line");
}

static void assert_history(struct fixture *f)
{
	struct catalog_run run;
	int64_t pids = 0, lines = 0;

	assert_int_equal(catalog_run(f->catalog, 7, &run), 0);
	assert_string_equal(run.error, "no server");
	assert_int_equal(run.state, RUN_FAILED);
	assert_int_equal(catalog_run_log(f->catalog, 7, 0, count_line, &lines), 0);
	assert_int_equal(lines, 1);
	assert_int_equal(catalog_audits(f->catalog, 0, count_pid, &pids), 0);
	assert_int_equal(pids, 9);
}

static void copies_of_all_older_formats_come_back(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *catalog = file_path(f, "catalog.db");
	int64_t tried = 0;

	for (int64_t version = 1; version < schema_newest(); version++) {
		_cleanup(free) char *path = copy_of_version(f, version);
		struct error err = {0};

		if (!path)
			continue;
		if (adopt(f, path, &err) < 0)
			fail_msg("of format %d: %s", (int)version, err.message);
		assert_int_equal(ask_number(catalog, "PRAGMA user_version"), schema_newest());
		rebuild(f);
		assert_history(f);
		assert_int_equal(ask_number(catalog, "SELECT is_off FROM switch WHERE job = 'full'"), 1);
		assert_int_equal(ask_number(catalog, "SELECT count(*) FROM artifact"), 1);
		tried++;
	}
	assert_true(tried >= 5);
}

/* A file that was made in as many steps as @steps says; heap: its path. */
static char *made_in_steps(struct fixture *f, const char *name, const int64_t *steps, size_t count)
{
	char *path = file_path(f, name);
	struct connection *c = NULL;

	assert_int_equal(close(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600)), 0);
	assert_int_equal(connection_open_file(f->catalog, path, &c, NULL), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(schema_migrate_to(c, steps[i]), 0);
	connection_free(c);
	return path;
}

/* Rows of @table that one of the two has and the other has not. */
static void assert_same_rows(const char *path, const char *other, const char *columns, const char *table)
{
	_cleanup(free) char *first = mem_printf("SELECT %s FROM a.%s", columns, table);
	_cleanup(free) char *second = mem_printf("SELECT %s FROM b.%s", columns, table);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT count(*) FROM (SELECT * FROM (%s EXCEPT %s) UNION ALL SELECT * FROM (%s EXCEPT %s))",
	        first, second, second, first);
	_cleanup(free) char *attach = mem_printf("ATTACH '%s' AS a; ATTACH '%s' AS b", path, other);
	sqlite3 *db = NULL;
	sqlite3_stmt *row = NULL;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, attach, NULL, NULL, NULL), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_step(row), SQLITE_ROW);
	if (sqlite3_column_int64(row, 0) != 0)
		fail_msg("%s is not what the migrations make of it", table);
	sqlite3_finalize(row);
	sqlite3_close(db);
}

/* In one step, which is quicker, or in all of them: the same tables, triggers and rows. */
static void a_new_one_is_what_the_migrations_make(void **state)
{
	const int64_t newest = schema_newest(), slowly[] = {1, newest - 1, newest};
	struct fixture *f = *state;
	_cleanup(free) char *quick = made_in_steps(f, "quick", &newest, 1),
	                    *slow = made_in_steps(f, "slow", slowly, 3);
	sqlite3 *db = NULL;
	sqlite3_stmt *tables = NULL;
	int count = 0;

	assert_same_rows(quick, slow, "type, name, tbl_name, sql", "sqlite_schema");
	assert_int_equal(sqlite3_open(quick, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE type = 'table'", -1,
	                                    &tables, NULL),
	                 SQLITE_OK);
	for (; sqlite3_step(tables) == SQLITE_ROW; count++)
		assert_same_rows(quick, slow, "*", (const char *)sqlite3_column_text(tables, 0));
	assert_true(count > 20);
	sqlite3_finalize(tables);
	sqlite3_close(db);
	assert_int_equal(ask_number(quick, "PRAGMA user_version"), newest);
	assert_int_equal(ask_number(quick, "PRAGMA application_id"), SCHEMA_APPLICATION_ID);
}

static void a_copy_of_a_newer_format_is_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = copy_of_version(f, schema_newest());
	struct error err = {0};
	char want[200];

	assert_non_null(path);
	snprintf(want, sizeof(want), "PRAGMA user_version = %d", (int)schema_newest() + 1);
	run_script(path, want);
	assert_int_equal(adopt(f, path, &err), -ENOTSUP);
	snprintf(
	        want, sizeof(want),
	        "a newer keepfs has made it: it has format %d, this keepfs knows formats up to %d; use the newer one",
	        (int)schema_newest() + 1, (int)schema_newest());
	assert_string_equal(err.message, want);
	assert_int_equal(catalog_is_new(f->catalog), 1);
}

/* What was to be told. */

static void count_receiver(void *arg, const struct catalog_receiver *r)
{
	++*(size_t *)arg;
}

static void count_told(void *arg, const struct catalog_told *t)
{
	++*(size_t *)arg;
}

static void assert_nothing_to_tell(struct fixture *f)
{
	struct catalog_beat beat;
	size_t receivers = 0, told = 0;
	bool begun = true;

	assert_int_equal(catalog_receivers(f->catalog, count_receiver, &receivers), 0);
	assert_int_equal(receivers, 0);
	assert_int_equal(catalog_told(f->catalog, &begun, count_told, &told), 0);
	assert_int_equal(told, 0);
	assert_false(begun);
	assert_int_equal(catalog_beat(f->catalog, "heartbeat hc", "full", &beat), -ENOENT);
}

static void add_waiting_news(struct fixture *f)
{
	const struct catalog_notice notice = {
	        .receiver = "webhook chat", .at_us = AT_US, .job = "full", .facts = "{}"};
	const struct catalog_told told = {.check = "job", .subject = "full", .kind = "failed", .told = true};
	const struct catalog_beat beat = {.receiver = "heartbeat hc", .job = "full", .run_id = 1};
	const struct catalog_news news = {
	        .notices = &notice,
	        .notice_count = 1,
	        .sets_told = true,
	        .told = &told,
	        .told_count = 1,
	        .beats = &beat,
	        .beat_count = 1,
	        .waiting_max = 10,
	};

	assert_int_equal(catalog_add_news(f->catalog, &news, NULL), 0);
	assert_int_equal(catalog_set_store_url(f->catalog, STORE_URL, NULL), 0);
}

static void notices_of_the_past_are_told_to_nobody(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = file_path(f, "copy");
	_cleanup(str) struct str bytes = {0};
	_cleanup(fd) int from = -1, to = open(path, O_WRONLY | O_CREAT, 0600);
	struct error err = {0};
	char name[64];

	add_waiting_news(f);
	assert_int_equal(catalog_copy_make(f->catalog, NULL, &from, NULL), 0);
	/* It has no name any more. */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", from);
	assert_int_equal(fd_read_file(name, 1 << 24, &bytes), 0);
	assert_int_equal(fd_write_all(to, bytes.data, bytes.len), 0);
	assert_int_equal(
	        ask_number(path,
	                   "SELECT (SELECT count(*) FROM notice) + (SELECT count(*) FROM notice_told)"
	                   " + (SELECT count(*) FROM notice_beat) + (SELECT count(*) FROM notice_receiver)"),
	        0);
	if (adopt(f, path, &err) < 0)
		fail_msg("%s", err.message);
	assert_nothing_to_tell(f);
	rebuild(f);
	assert_nothing_to_tell(f);
}

/* Copies of an earlier keepfs have them. */
static void notices_in_an_old_copy_are_told_to_nobody(void **state)
{
	static const char rows[] =
	        "INSERT INTO notice (kind, receiver, at_us, job, run_id, facts) VALUES (0, 'webhook chat', 1, '', 0, '{}');"
	        "INSERT INTO notice_receiver (name) VALUES ('webhook chat');"
	        "INSERT INTO notice_told VALUES ('', '', '', 0, 1, 0), ('job', 'full', 'failed', 1, 1, 5);"
	        "INSERT INTO notice_beat VALUES ('heartbeat hc', 'full', 7, 1, 0);";
	struct fixture *f = *state;
	_cleanup(free) char *path = copy_of_version(f, schema_newest());
	struct error err = {0};

	run_script(path, rows);
	if (adopt(f, path, &err) < 0)
		fail_msg("%s", err.message);
	rebuild(f);
	assert_nothing_to_tell(f);
	assert_history(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(copies_of_all_older_formats_come_back),     TEST(a_new_one_is_what_the_migrations_make),
	        TEST(a_copy_of_a_newer_format_is_refused),       TEST(notices_of_the_past_are_told_to_nobody),
	        TEST(notices_in_an_old_copy_are_told_to_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

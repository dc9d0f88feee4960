// SPDX-License-Identifier: Apache-2.0
/* The copy of a catalog: what is in it, that it is sound, and the catalog that becomes of it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <sqlite3.h>

#include <keepfs/base/cancel.h>
#include <keepfs/base/fd.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/copy.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/catalog/runs.h>

#include "catalog_fixture.h"
#include "catalog_test.h"

#define STORE_URL "dir:/srv/store"

/* Directly, as a migration of another subject would find it. */
static void run_sql(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	char *message = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 10000);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
	sqlite3_close(db);
}

static void run_catalog_sql(struct fixture *f, const char *sql)
{
	_cleanup(free) char *path = file_path(f, "catalog.db");

	run_sql(path, sql);
}

/* Heap: the first column of the first row. */
static char *ask_sql(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *row = NULL;
	char *answer;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_step(row), SQLITE_ROW);
	answer = mem_strdup((const char *)sqlite3_column_text(row, 0));
	sqlite3_finalize(row);
	sqlite3_close(db);
	return answer;
}

static void assert_answer(const char *path, const char *sql, const char *want)
{
	_cleanup(free) char *answer = ask_sql(path, sql);

	assert_string_equal(answer, want);
}

static void add_audit_line(struct fixture *f, int64_t pid)
{
	const struct catalog_audit entry = {
	        .at_us = AT_US + pid, .pid = pid, .action = "read", .result = "ok"};

	assert_int_equal(catalog_add_audit(f->catalog, &entry, NULL), 0);
}

static int64_t add_failed_run(struct fixture *f)
{
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "cron"), &id, NULL), 0);
	assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	assert_int_equal(catalog_log_run(f->catalog, id, "a line", NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_FAILED, "no server", NULL), 0);
	return id;
}

static void fill_catalog(struct fixture *f)
{
	assert_int_equal(catalog_set_store_url(f->catalog, STORE_URL, NULL), 0);
	assert_int_equal(add_failed_run(f), 1);
	assert_int_equal(add_beside(f, "backups/full", SECONDS * 1000, 10), 0);
	assert_int_equal(add_directory(f, "backups/full", (SECONDS + 60) * 1000, 3), 0);
	add_audit_line(f, 7);
	add_audit_line(f, 8);
}

/* Heap: path of a file with the copy of the catalog as it is now. */
static char *copy_of(struct fixture *f, const char *name)
{
	char *path = file_path(f, name);
	_cleanup(fd) int from = -1, to = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct error err = {0};
	char buf[4096];
	ssize_t n;

	if (catalog_copy_make(f->catalog, NULL, &from, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(to >= 0);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		assert_int_equal(fd_write_all(to, buf, (size_t)n), 0);
	assert_int_equal(n, 0);
	return path;
}

static void a_copy_has_everything_but_the_list_of_backups(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL, *left = file_path(f, "catalog-copy.tmp");

	fill_catalog(f);
	path = copy_of(f, "copy");
	assert_int_equal(access(left, F_OK), -1);
	assert_answer(path, "PRAGMA integrity_check", "ok");
	assert_answer(path, "SELECT group_concat(id || job || error) FROM run", "1fullno server");
	assert_answer(path, "SELECT line FROM run_log", "a line");
	assert_answer(path, "SELECT group_concat(pid) FROM audit", "7,8");
	assert_answer(path, "SELECT store_url FROM copied", STORE_URL);
	assert_answer(path,
	              "SELECT (SELECT count(*) FROM artifact) || (SELECT count(*) FROM artifact_file)"
	              " || (SELECT count(*) FROM object) || (SELECT count(*) FROM bound_store)",
	              "0000");
	/* Of directories the roots, without what is not there. */
	assert_answer(path, "SELECT max(files) || max(subdirectories) || max(sums_bytes) FROM directory",
	              "000");
	assert_answer(path, "SELECT group_concat(path) FROM directory WHERE ino = 0", "backups");
	/* Counted once, by the catalog, and not again by its triggers. */
	assert_answer(path, "SELECT group_concat(state || ':' || runs) FROM run_total", "0:0,1:0,3:1");
}

/* It has the same tables, indexes and triggers, also those that this code does not know. */
static void a_copy_has_the_tables_of_a_later_migration(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL;

	fill_catalog(f);
	run_catalog_sql(
	        f, "CREATE TABLE later (id INTEGER PRIMARY KEY, \"a \"\"b\" TEXT, c INTEGER,"
	           " d INTEGER AS (c * 2)) STRICT;"
	           "CREATE TRIGGER later_made AFTER INSERT ON later BEGIN UPDATE later SET c = c + 1; END;"
	           "CREATE INDEX later_c ON later (c);"
	           "INSERT INTO later (\"a \"\"b\", c) VALUES ('x', 20);");
	reopen(f);
	path = copy_of(f, "copy");
	assert_answer(path, "SELECT \"a \"\"b\" || c || d FROM later", "x2142");
	assert_answer(path, "SELECT group_concat(name) FROM sqlite_schema WHERE tbl_name = 'later'",
	              "later,later_made,later_c");
	assert_answer(path, "PRAGMA integrity_check", "ok");
}

static void equal_catalogs_give_equal_copies(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *one = NULL, *two = NULL, *three = NULL;
	_cleanup(str) struct str first = {0}, second = {0}, third = {0};

	fill_catalog(f);
	one = copy_of(f, "one");
	/* What a copy was made of does not matter, nor which there were. */
	assert_int_equal(catalog_copy_begin(f->catalog, AT_US, NULL), 0);
	assert_int_equal(catalog_copy_note(f->catalog, "catalog/x", AT_US, NULL), 0);
	reopen(f);
	two = copy_of(f, "two");
	add_audit_line(f, 9);
	three = copy_of(f, "three");
	assert_int_equal(fd_read_file(one, 1 << 24, &first), 0);
	assert_int_equal(fd_read_file(two, 1 << 24, &second), 0);
	assert_int_equal(fd_read_file(three, 1 << 24, &third), 0);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.data, second.data, first.len);
	assert_true(third.len != first.len || memcmp(first.data, third.data, first.len) != 0);
}

static void a_copy_is_small_however_many_backups_there_are(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL;
	struct stat st;

	assert_int_equal(catalog_set_store_url(f->catalog, STORE_URL, NULL), 0);
	for (int i = 0; i < 500; i++)
		assert_int_equal(add_beside(f, "backups/full", (SECONDS + i) * 1000, 10), 0);
	path = copy_of(f, "copy");
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, 4096, 600000);
}

static void a_copy_can_be_given_up(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *left = file_path(f, "catalog-copy.tmp");
	struct error err = {0};
	struct cancel cancel;
	int fd = -1;

	fill_catalog(f);
	for (int i = 0; i < 3000; i++)
		add_audit_line(f, i);
	cancel_init(&cancel);
	cancel_set(&cancel);
	assert_int_equal(catalog_copy_make(f->catalog, &cancel, &fd, &err), -ECANCELED);
	assert_int_equal(fd, -1);
	assert_int_equal(access(left, F_OK), -1);
	cancel_finish(&cancel);
}

static void a_link_in_place_of_the_file_is_not_followed(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *left = file_path(f, "catalog-copy.tmp"), *target = file_path(f, "precious"),
	                    *path = NULL;
	struct stat st;

	fill_catalog(f);
	assert_int_equal(close(open(target, O_WRONLY | O_CREAT, 0600)), 0);
	assert_int_equal(symlink(target, left), 0);
	path = copy_of(f, "copy");
	assert_int_equal(stat(target, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_answer(path, "PRAGMA integrity_check", "ok");
}

/* The way back. */

/* What is at @path becomes the catalog of a host that has none. */
static int install(struct fixture *f, const char *path, char **ret_url, struct error *err)
{
	_cleanup(str) struct str bytes = {0};
	_cleanup(fd) int fd = -1;
	int r;

	f->catalog = catalog_free(f->catalog);
	assert_int_equal(fd_read_file(path, 1 << 24, &bytes), 0);
	fd = catalog_copy_receive(f->directory, err);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, bytes.data, bytes.len), 0);
	r = catalog_copy_look(f->directory, ret_url, err);
	if (r == 0)
		r = catalog_copy_install(f->directory, err);
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
	return r;
}

static void install_copy(struct fixture *f, const char *path)
{
	_cleanup(free) char *url = NULL;
	struct error err = {0};

	if (install(f, path, &url, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(url, STORE_URL);
}

static void refuse_hold(void *arg, const char *name, const char *reason)
{
	fail_msg("hold %s", name);
}

static void append_hold(void *arg, const char *name, const char *reason)
{
	str_appendf(arg, "%s (%s) ", name, reason);
}

static void a_catalog_becomes_of_a_copy(void **state)
{
	struct fixture *f = *state;
	const struct catalog_restored restored = {.all_listed = true, .hold = refuse_hold};
	_cleanup(free) char *path = NULL, *url = NULL;
	struct catalog_run run;
	int64_t id = 0;

	fill_catalog(f);
	assert_int_equal(catalog_is_new(f->catalog), 0);
	path = copy_of(f, "copy");
	add_audit_line(f, 9);
	install_copy(f, path);
	assert_int_equal(catalog_is_restored(f->catalog), 1);
	assert_int_equal(catalog_is_new(f->catalog), 0);
	/* Nothing but a rebuild goes on with it. */
	url = catalog_store_url(f->catalog);
	assert_null(url);
	assert_int_equal(catalog_restored_begin(f->catalog, NULL), 0);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_int_equal(catalog_restored_end(f->catalog, &restored, NULL), 0);
	assert_int_equal(catalog_is_restored(f->catalog), 0);
	directory_counts_are_true(f, "backups/full", 1);
	assert_int_equal(catalog_run(f->catalog, 1, &run), 0);
	assert_string_equal(run.error, "no server");
	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "cron"), &id, NULL), 0);
	assert_int_equal(id, 2);
}

static void what_was_under_way_is_told_by_the_manifests(void **state)
{
	struct fixture *f = *state;
	const struct catalog_restored restored = {.all_listed = true, .hold = refuse_hold};
	const struct catalog_target target = {.label = "a", .state = RUN_RUNNING};
	_cleanup(free) char *path = NULL;
	struct catalog_run run;
	int64_t published = 0, lost = 0;

	assert_int_equal(catalog_set_store_url(f->catalog, STORE_URL, NULL), 0);
	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "uid 0 (bash)"), &published, NULL), 0);
	assert_int_equal(catalog_set_target(f->catalog, published, &target, NULL), 0);
	assert_int_equal(catalog_add_run(f->catalog, run_of("other", "cron"), &lost, NULL), 0);
	path = copy_of(f, "copy");
	install_copy(f, path);
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(catalog_restored_begin(f->catalog, NULL), 0);
		assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
		assert_int_equal(add_for(f, "a", SECONDS * 1000, published), 0);
		assert_int_equal(catalog_end_rebuild(f->catalog, twice, NULL), 0);
	}
	assert_int_equal(catalog_restored_end(f->catalog, &restored, NULL), 0);
	assert_int_equal(catalog_run(f->catalog, published, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_int_equal(run.targets, 1);
	assert_int_equal(run.size_bytes, 10);
	assert_true(run.started_at_us > 0 && run.finished_at_us > 0);
	/* It is failed by the next start, as after a crash. */
	assert_int_equal(catalog_run(f->catalog, lost, &run), 0);
	assert_int_equal(run.state, RUN_PENDING);
}

static void what_no_manifest_tells_of_a_backup_comes_back(void **state)
{
	struct fixture *f = *state;
	static const char ask[] =
	        "SELECT group_concat(tiers || class || keep_until_us || coalesce(trashed_at_us, '-'))"
	        " FROM (SELECT * FROM artifact ORDER BY sequence)";
	_cleanup(free) char *path = NULL, *catalog = file_path(f, "catalog.db");

	fill_catalog(f);
	run_catalog_sql(
	        f, "UPDATE artifact SET tiers = 3, class = 'gold', keep_until_us = 55 WHERE is_directory = 0;"
	           "UPDATE artifact SET trashed_at_us = 66 WHERE is_directory = 1");
	reopen(f);
	path = copy_of(f, "copy");
	install_copy(f, path);
	/* Also by a rebuild of a catalog that was not lost; one that fails changes nothing. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
		assert_int_equal(add_beside(f, "backups/full", SECONDS * 1000, 10), 0);
		assert_int_equal(add_directory(f, "backups/full", (SECONDS + 60) * 1000, 3), 0);
		assert_int_equal(add(f, "backups/full", (SECONDS + 90) * 1000, 5, 10), 0);
		assert_int_equal(catalog_end_rebuild(f->catalog, i != 1, NULL), 0);
		assert_answer(catalog, ask, "3gold55-,-1066,-10-");
	}
	assert_answer(catalog, "SELECT count(*) FROM artifact_known", "0");
}

static void holds_of_what_is_gone_are_dropped(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str told = {0};
	struct catalog_restored restored = {.hold = append_hold, .arg = &told};
	_cleanup(free) char *path = NULL, *catalog = file_path(f, "catalog.db"), *sql = NULL;

	fill_catalog(f);
	sql = mem_printf("INSERT INTO hold (artifact_ino, name, reason, held_by, at_us) VALUES"
	                 " (%lld, 'legal', 'case 7', 'uid 0', 1), (5, 'gone', 'why not', 'uid 0', 1)",
	                 (long long)ino_at("backups/full", SECONDS * 1000));
	run_catalog_sql(f, sql);
	reopen(f);
	path = copy_of(f, "copy");
	install_copy(f, path);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add_beside(f, "backups/full", SECONDS * 1000, 10), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	/* What could not be listed may be mended. */
	assert_int_equal(catalog_restored_end(f->catalog, &restored, NULL), 0);
	assert_answer(catalog, "SELECT group_concat(name) FROM hold", "gone,legal");
	assert_string_equal(str_text(&told), "gone (why not) ");
	restored.all_listed = true;
	assert_int_equal(catalog_restored_end(f->catalog, &restored, NULL), 0);
	assert_answer(catalog, "SELECT group_concat(name) FROM hold", "legal");
}

static void what_was_recorded_since_is_dropped(void **state)
{
	struct fixture *f = *state;
	struct catalog_run run = {0};
	struct catalog_recorded audits[] = {{1, AT_US + 7}, {2, AT_US + 99}, {77, AT_US}};
	struct catalog_recorded runs[3] = {0};
	_cleanup(free) char *catalog = file_path(f, "catalog.db");

	fill_catalog(f);
	assert_int_equal(add_failed_run(f), 2);
	assert_int_equal(add_failed_run(f), 3);
	for (int64_t id = 1; id <= 3; id++) {
		assert_int_equal(catalog_run(f->catalog, id, &run), 0);
		runs[id - 1] = (struct catalog_recorded){id, run.queued_at_us + (id == 3)};
	}
	assert_int_equal(catalog_drop_recorded(f->catalog, RECORD_AUDIT, audits, ARRAY_SIZE(audits), NULL),
	                 0);
	assert_int_equal(catalog_drop_recorded(f->catalog, RECORD_HISTORY, runs, ARRAY_SIZE(runs), NULL), 0);
	/* The second line, and run 3, are others of that number; run 1 has a backup. */
	assert_int_equal(catalog_run(f->catalog, 1, &run), 0);
	assert_int_equal(catalog_run(f->catalog, 2, &run), -ENOENT);
	assert_int_equal(catalog_run(f->catalog, 3, &run), 0);
	assert_answer(catalog, "SELECT group_concat(id) FROM audit", "2");
	assert_answer(catalog, "SELECT runs FROM run_total WHERE state = 3", "3");
	assert_answer(catalog, "SELECT group_concat(run_id) FROM run_log", "1,3");
}

static void assert_refused(struct fixture *f, const char *path, int want, const char *why)
{
	_cleanup(free) char *url = NULL;
	struct error err = {0};

	assert_int_equal(install(f, path, &url, &err), want);
	if (!strstr(err.message, why))
		fail_msg("%s", err.message);
	catalog_copy_clean(f->directory);
}

static void what_is_no_copy_is_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL, *other = file_path(f, "other");
	_cleanup(fd) int fd = -1;

	fill_catalog(f);
	path = copy_of(f, "copy");
	run_sql(other, "CREATE TABLE t (x)");
	assert_refused(f, other, -EBADMSG, "another program");
	run_sql(path, "PRAGMA user_version = 1000");
	assert_refused(f, path, -ENOTSUP, "newer keepfs has made it: it has format 1000");
	run_sql(path, "PRAGMA user_version = 7; DELETE FROM copied");
	assert_refused(f, path, -EBADMSG, "no sound copy");
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "garbage garbage", 15, 4096 * 5), 15);
	assert_refused(f, path, -EBADMSG, "no sound copy");
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_refused(f, path, -EBADMSG, "no sound copy");
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_refused(f, path, -EBADMSG, "another program");
	/* The catalog that was there is still there. */
	assert_int_equal(catalog_is_new(f->catalog), 0);
}

static void the_state_of_copies_is_kept(void **state)
{
	struct fixture *f = *state;
	struct catalog_copy_state copy;
	uint64_t before;

	assert_int_equal(catalog_copy_state(f->catalog, &copy), -ENOENT);
	assert_int_equal(catalog_copy_begin(f->catalog, AT_US, NULL), 0);
	assert_int_equal(catalog_copy_begin(f->catalog, AT_US + 5, NULL), 0);
	assert_int_equal(catalog_copy_state(f->catalog, &copy), 0);
	assert_string_equal(copy.key, "");
	assert_int_equal(copy.current_us, AT_US);
	assert_int_equal(catalog_copy_failed(f->catalog, "it is full", NULL), 0);
	before = catalog_rest_generation(f->catalog);
	assert_int_equal(catalog_copy_state(f->catalog, &copy), 0);
	assert_string_equal(copy.failure, "it is full");
	assert_int_equal(catalog_copy_note(f->catalog, "catalog/a", AT_US + 9, NULL), 0);
	/* Whoever looks for changes reckons with this one. */
	assert_int_equal(catalog_rest_generation(f->catalog), before + 1);
	reopen(f);
	assert_int_equal(catalog_copy_state(f->catalog, &copy), 0);
	assert_string_equal(copy.key, "catalog/a");
	assert_int_equal(copy.current_us, AT_US + 9);
	assert_string_equal(copy.failure, "");
}

static void a_catalog_is_new_until_it_knows_something(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(catalog_is_new(f->catalog), 1);
	assert_int_equal(catalog_is_restored(f->catalog), 0);
	add_audit_line(f, 1);
	assert_int_equal(catalog_is_new(f->catalog), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_copy_has_everything_but_the_list_of_backups),
	        TEST(a_copy_has_the_tables_of_a_later_migration),
	        TEST(equal_catalogs_give_equal_copies),
	        TEST(a_copy_is_small_however_many_backups_there_are),
	        TEST(a_copy_can_be_given_up),
	        TEST(a_link_in_place_of_the_file_is_not_followed),
	        TEST(a_catalog_becomes_of_a_copy),
	        TEST(what_was_under_way_is_told_by_the_manifests),
	        TEST(what_no_manifest_tells_of_a_backup_comes_back),
	        TEST(holds_of_what_is_gone_are_dropped),
	        TEST(what_was_recorded_since_is_dropped),
	        TEST(what_is_no_copy_is_refused),
	        TEST(the_state_of_copies_is_kept),
	        TEST(a_catalog_is_new_until_it_knows_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

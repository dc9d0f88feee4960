// SPDX-License-Identifier: Apache-2.0
/* Opening: new, damaged, foreign and newer files, the lock, the store it is bound to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/error.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/catalog/runs.h>

#include "catalog_fixture.h"
#include "manifest_support.h"

static void files_are_for_their_owner_alone(void **state)
{
	static const char *const names[] = {"catalog.db", "catalog.db-wal", "catalog.db-shm"};
	struct fixture *f = *state;

	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/full", AT_US, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup(free) char *path = file_path(f, names[i]);
		struct stat st;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static int open_again(struct fixture *f, struct error *err)
{
	*err = (struct error){0};
	return catalog_open(f->directory, &f->catalog, err);
}

static int lock_again(struct fixture *f, struct error *err)
{
	int fd = -1, r;

	*err = (struct error){0};
	r = catalog_lock(f->directory, &fd, err);
	if (r == 0)
		close(fd);
	return r;
}

static int log_again(struct fixture *f, struct error *err)
{
	int fd;

	*err = (struct error){0};
	fd = catalog_log_open(f->directory, err);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* All that is kept in the state directory under a name, and what opens it. */
static const struct {
	const char *name;
	int (*open)(struct fixture *f, struct error *err);
} kept[] = {
        {"catalog.db", open_again}, {"catalog.db-wal", open_again}, {"catalog.db-shm", open_again},
        {"lock", lock_again},       {"keepfs.log", log_again},
};

static void assert_refused_file(struct fixture *f, size_t i, const char *why)
{
	struct error err;

	assert_int_equal(kept[i].open(f, &err), -EPERM);
	assert_null(f->catalog);
	if (!strstr(err.message, why) || !strstr(err.message, kept[i].name) ||
	    !strstr(err.message, "name another [keepfs] state_dir"))
		fail_msg("%s: %s", kept[i].name, err.message);
}

static void make_text(const char *path, const char *text)
{
	_cleanup(fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

/* What somebody else put there is neither written, nor read, nor given other rights. */
static void files_of_others_are_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *target = file_path(f, "target"), *database = file_path(f, "catalog.db");
	_cleanup(str) struct str text = {0};
	struct stat st;

	catalog_free(take_ptr(&f->catalog));
	make_text(target, "precious");
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		_cleanup(free) char *path = file_path(f, kept[i].name);

		unlink(path);
		assert_int_equal(symlink(target, path), 0);
		assert_refused_file(f, i, "is a symbolic link");
		assert_int_equal(unlink(path), 0);
		assert_int_equal(mkdir(path, 0700), 0);
		assert_refused_file(f, i, "is a directory");
		assert_int_equal(rmdir(path), 0);
		if (i > 0) { /* which would be another catalog */
			assert_int_equal(mkfifo(path, 0600), 0);
			if (kept[i].open != log_again) /* nobody reads it */
				assert_refused_file(f, i, "is not a regular file");
			assert_int_equal(unlink(path), 0);
		}
		if (geteuid() == 0) {
			make_text(path, "");
			assert_int_equal(chown(path, 65534, 65534), 0);
			assert_refused_file(f, i, "belongs to another user");
			assert_int_equal(unlink(path), 0);
		}
	}
	read_text(target, &text);
	assert_string_equal(str_text(&text), "precious");
	assert_int_equal(stat(target, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(stat(database, &st), 0); /* begun before the files beside it were looked at */
}

static void modes_are_put_right(void **state)
{
	struct fixture *f = *state;
	struct error err;
	struct stat st;

	catalog_free(take_ptr(&f->catalog));
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		_cleanup(free) char *path = file_path(f, kept[i].name);

		if (i == 1 || i == 2)
			continue;
		if (i > 0)
			make_text(path, "");
		assert_int_equal(chmod(path, 0666), 0);
		assert_int_equal(kept[i].open(f, &err), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
}

/* Others could put another catalog there. The sticky bit keeps them from it. */
static void a_directory_of_others_is_refused(void **state)
{
	static const struct {
		mode_t mode;
		uid_t owner;
		const char *why; /* NULL: it is taken */
	} cases[] = {
	        {0770, 0, "others than its owner may write in the state directory"},
	        {0707, 0, "others than its owner may write in the state directory"},
	        {01777, 0, NULL},
	        {0755, 0, NULL},
	        {0700, 65534, "another user owns the state directory"},
	};
	struct fixture *f = *state;
	struct error err;

	catalog_free(take_ptr(&f->catalog));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (cases[i].owner && geteuid() != 0)
			continue;
		if (geteuid() == 0)
			assert_int_equal(chown(f->directory, cases[i].owner, 0), 0);
		assert_int_equal(chmod(f->directory, cases[i].mode), 0);
		if (!cases[i].why) {
			assert_int_equal(open_again(f, &err), 0);
			catalog_free(take_ptr(&f->catalog));
			continue;
		}
		assert_int_equal(open_again(f, &err), -EPERM);
		assert_non_null(strstr(err.message, cases[i].why));
		assert_non_null(strstr(err.message, "chmod 700 the directory"));
		assert_int_equal(lock_again(f, &err), -EPERM);
		assert_int_equal(log_again(f, &err), -EPERM);
	}
}

/* The path may lead over links: whoever configured it chose them. */
static void a_directory_behind_a_link_is_taken(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *link = file_path(f, "link"), *real = file_path(f, "real");
	_cleanup(catalog) struct catalog *other = NULL;

	assert_int_equal(mkdir(real, 0700), 0);
	assert_int_equal(symlink(real, link), 0);
	assert_int_equal(catalog_open(link, &other, NULL), 0);
}

static void the_store_is_remembered(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *none = catalog_store_url(f->catalog), *url = NULL;

	assert_null(none);
	assert_int_equal(catalog_set_store_url(f->catalog, "dir:/a", NULL), 0);
	assert_int_equal(catalog_set_store_url(f->catalog, "s3://b/c", NULL), 0);
	url = catalog_store_url(f->catalog);
	assert_string_equal(url, "s3://b/c");
}

static void run_sql(const char *file, const char *script)
{
	_cleanup(str) struct str sql = {0};
	char *why = NULL;
	sqlite3 *db;

	read_text(script, &sql);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	if (sqlite3_exec(db, str_text(&sql), NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	sqlite3_close(db);
}

/* tests/unit/data/catalog-v2.sql: what keepfs 0.1 kept. */
static void an_older_catalog_becomes_a_newer_one(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *file = file_path(f, "catalog.db"), *command = NULL;
	_cleanup(manifest) struct manifest m = {0}, directory = {0};
	_cleanup(manifest_object) struct manifest_object own = {0}, beside = {0}, within = {0};
	_cleanup(str) struct str sums = {0};
	struct catalog_target target;
	int64_t run_id;

	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(unlink(file), 0);
	run_sql(file, TEST_DATA "/catalog-v2.sql");
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);

	assert_int_equal(
	        catalog_manifest(f->catalog, ino_of_artifact("backups/full/20261120T020000Z.dump"), &m), 0);
	assert_string_equal(m.target, "shop");
	assert_string_equal(manifest_fact(&m, "server_version"), "15.18");
	assert_string_equal(manifest_fact(&m, "compression"), "gzip");
	assert_null(manifest_fact(&m, "system_identifier"));
	assert_int_equal(
	        catalog_object(f->catalog, ino_of_artifact("backups/full/20261120T020000Z.dump"), &own), 0);
	assert_string_equal(own.key, "backups/full/20261120T020000Z.dump");
	assert_int_equal(own.stored_bytes, 5);
	assert_int_equal(own.extents.total_bytes, 5);
	assert_string_equal(own.stored_sha256, m.sha256);
	assert_int_equal(catalog_object(f->catalog,
	                                ino_of_artifact("backups/full/20261120T020000Z.tables.csv"), &beside),
	                 0);
	assert_string_equal(beside.key, "backups/full/20261120T020000Z.tables.csv");
	assert_int_equal(beside.stored_bytes, 3);
	assert_int_equal(
	        catalog_manifest(f->catalog, ino_of_artifact("backups/full/20261120T020001Z"), &directory),
	        0);
	assert_true(directory.is_directory);
	assert_int_equal(
	        catalog_object(f->catalog, ino_of_artifact("backups/full/20261120T020001Z/toc.dat"), &within),
	        0);
	assert_string_equal(within.key, "backups/full/20261120T020001Z/toc.dat");
	/* What had no other sign than its name. */
	assert_true(entry_of(f, ino_of_artifact("backups/full/20261120T020001Z/globals.sql.gz")).secret);
	assert_false(entry_of(f, ino_of_artifact("backups/full/20261120T020001Z/toc.dat")).secret);
	directory_counts_are_true(f, "backups/full", 2);
	assert_int_equal(catalog_run_targets(f->catalog, 1, 0, &target, 1), 1);
	assert_string_equal(target.label, "shop");
	assert_int_equal(catalog_intent_run(f->catalog, "backups/full/20261120T020005Z.dump", &run_id), 0);
	assert_int_equal(run_id, 3);
	/* It is as good as a new one. */
	assert_int_equal(add(f, "backups/full", (SECONDS + 9) * 1000, 1, 10), 0);
	assert_int_equal(
	        catalog_drop_artifact(f->catalog, ino_of_artifact("backups/full/20261120T020001Z"), NULL), 0);
	directory_counts_are_true(f, "backups/full", 2);
}

static void add_many(struct fixture *f, int64_t count)
{
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	for (int64_t i = 0; i < count; i++)
		assert_int_equal(
		        add(f, "backups/full", (SECONDS + i / 3) * 1000 + i % 3, i + 1, 1 + (uint32_t)i), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
}

/* Files that are no catalog of this keepfs. Positions are those of SQLite's file header. */

#define HEADER_USER_VERSION   60
#define HEADER_APPLICATION_ID 68

static void patch(struct fixture *f, const void *data, size_t len, off_t offset)
{
	_cleanup(free) char *path = file_path(f, "catalog.db");
	_cleanup(fd) int fd = -1;

	catalog_free(take_ptr(&f->catalog));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fd_pwrite_all(fd, data, len, offset), 0);
}

static void assert_not_opened(struct fixture *f, int errnum, const char *word)
{
	struct error err = {0};

	assert_int_equal(catalog_open(f->directory, &f->catalog, &err), -errnum);
	assert_null(f->catalog);
	assert_int_equal(err.errnum, errnum);
	if (!strstr(err.message, word) || !strstr(err.message, "keepfs rebuild"))
		fail_msg("message: %s", err.message);
}

static void an_empty_file_becomes_a_catalog(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = file_path(f, "catalog.db");

	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
}

static void open_anew(void *arg)
{
	struct fixture *f = arg;
	_cleanup(catalog) struct catalog *c = NULL;
	struct error err = {0};

	if (catalog_open(f->directory, &c, &err) < 0)
		fail_msg("open: %s", err.message);
}

static void many_open_a_new_file(struct fixture *f)
{
	_cleanup(free) char *path = file_path(f, "catalog.db");
	struct workers *workers = workers_new("opener", 4);

	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(truncate(path, 0), 0);
	for (int i = 0; i < 8; i++)
		workers_add(workers, open_anew, f);
	workers_free(workers);
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
}

/* Not in every round do two of them meet. */
static void many_may_be_the_first_to_open(void **state)
{
	for (int i = 0; i < 10; i++)
		many_open_a_new_file(*state);
}

static void a_newer_format_is_refused(void **state)
{
	patch(*state, "\0\0\0\x63", 4, HEADER_USER_VERSION);
	assert_not_opened(*state, ENOTSUP, "format 99");
}

static void another_programs_file_is_refused(void **state)
{
	patch(*state, "\1\2\3\4", 4, HEADER_APPLICATION_ID);
	assert_not_opened(*state, EBADMSG, "no catalog");
}

static void garbage_is_refused(void **state)
{
	char garbage[4096];

	memset(garbage, 'x', sizeof(garbage));
	patch(*state, garbage, sizeof(garbage), 0);
	assert_not_opened(*state, EBADMSG, "damaged");
}

static void damage_is_told(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = file_path(f, "catalog.db");
	char garbage[4096];
	struct error err = {0};
	struct stat st;
	int r = 0;

	add_many(f, 100);
	reopen(f);
	assert_int_equal(stat(path, &st), 0);
	memset(garbage, 0xa5, sizeof(garbage));
	for (off_t at = 4096; at < st.st_size;
	     at += 4096) /* all but the first page, which holds the schema */
		patch(f, garbage, sizeof(garbage), at);
	r = catalog_open(f->directory, &f->catalog, &err);
	assert_int_equal(r, -EBADMSG);
	assert_non_null(strstr(err.message, "run 'keepfs rebuild', which puts it aside"));
}

static void a_lock_names_its_holder(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	char pid[32];
	int fd = -1, other = -1;

	snprintf(pid, sizeof(pid), "pid %jd)", (intmax_t)getpid());
	assert_int_equal(catalog_lock(f->directory, &fd, NULL), 0);
	assert_int_equal(catalog_lock(f->directory, &other, &err), -EBUSY);
	assert_non_null(strstr(err.message, pid));
	assert_non_null(strstr(err.message, f->directory));
	assert_non_null(strstr(err.message, "'keepfs trigger --wait JOB'"));
	assert_int_equal(other, -1);
	close(fd);
	assert_int_equal(catalog_lock(f->directory, &fd, NULL), 0);
	close(fd);
}

static int64_t format_of(struct fixture *f)
{
	_cleanup(free) char *path = file_path(f, "catalog.db");
	sqlite3_stmt *statement;
	sqlite3 *db;
	int64_t format;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	format = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return format;
}

static void make_empty(struct fixture *f)
{
	_cleanup(free) char *path = file_path(f, "catalog.db");

	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(format_of(f), 0);
}

/* A mount that is older than the command would not know the newer format. */
static void the_format_stays_beside_an_older_mount(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	int64_t newest = format_of(f);
	int fd = -1;

	/* Of the same format it does not matter who has the lock. */
	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(catalog_lock(f->directory, &fd, NULL), 0);
	assert_int_equal(catalog_open_beside(f->directory, &f->catalog, &err), 0);
	make_empty(f);
	assert_int_equal(catalog_open_beside(f->directory, &f->catalog, &err), -EBUSY);
	assert_non_null(strstr(err.message, "is of an older keepfs"));
	assert_non_null(strstr(err.message, "restart it"));
	assert_null(f->catalog);
	assert_int_equal(format_of(f), 0);
	close(fd);
	assert_int_equal(catalog_open_beside(f->directory, &f->catalog, &err), 0);
	assert_int_equal(format_of(f), newest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(files_are_for_their_owner_alone),
	        TEST(files_of_others_are_refused),
	        TEST(modes_are_put_right),
	        TEST(a_directory_of_others_is_refused),
	        TEST(a_directory_behind_a_link_is_taken),
	        TEST(the_store_is_remembered),
	        TEST(an_older_catalog_becomes_a_newer_one),
	        TEST(an_empty_file_becomes_a_catalog),
	        TEST(many_may_be_the_first_to_open),
	        TEST(a_newer_format_is_refused),
	        TEST(another_programs_file_is_refused),
	        TEST(garbage_is_refused),
	        TEST(damage_is_told),
	        TEST(a_lock_names_its_holder),
	        TEST(the_format_stays_beside_an_older_mount),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

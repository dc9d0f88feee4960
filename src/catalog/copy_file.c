// SPDX-License-Identifier: Apache-2.0
/* A copy that was got from the store: is it sound, what is it of, and how it becomes the catalog. */
#include "catalog_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/own_file.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/copy.h>

static const char advice[] = "move it away, or name another [keepfs] state_dir";

/* SQLite makes the files beside it only while it is open. */
static const char *const leftovers[] = {COPY_FILE_NAME, COPY_FILE_NAME "-journal", COPY_FILE_NAME "-wal",
                                        COPY_FILE_NAME "-shm"};

void catalog_copy_clean(const char *state_dir)
{
	for (size_t i = 0; i < ARRAY_SIZE(leftovers); i++) {
		_cleanup(free) char *path = mem_printf("%s/%s", state_dir, leftovers[i]);

		(void)unlink(path);
	}
}

int catalog_copy_receive(const char *state_dir, struct error *err)
{
	_cleanup(fd) int dir_fd = catalog_directory_open(state_dir, err);

	if (dir_fd < 0)
		return dir_fd;
	catalog_copy_clean(state_dir);
	return own_file_open(dir_fd, state_dir, COPY_FILE_NAME, O_RDWR | O_CREAT | O_TRUNC, advice, err);
}

static int refuse_copy(struct error *why, const char *text)
{
	return error_set(why, ERROR_CORRUPT, EBADMSG, "it is no sound copy of a catalog: %s", text);
}

/* Heap: the first column of the first row as text; NULL with @why. */
static char *ask_copy(sqlite3 *db, const char *sql, struct error *why)
{
	sqlite3_stmt *row = NULL;
	char *answer = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK || sqlite3_step(row) != SQLITE_ROW)
		refuse_copy(why, sqlite3_errmsg(db));
	else
		answer = mem_strdup((const char *)sqlite3_column_text(row, 0) ?: "");
	sqlite3_finalize(row);
	return answer;
}

static int check_copy_format(sqlite3 *db, struct error *why)
{
	static const char owner_sql[] = "PRAGMA application_id", version_sql[] = "PRAGMA user_version";
	_cleanup(free) char *owner = ask_copy(db, owner_sql, why);
	_cleanup(free) char *version = owner ? ask_copy(db, version_sql, why) : NULL;

	if (!version)
		return -EBADMSG;
	if (strtoll(owner, NULL, 10) != SCHEMA_APPLICATION_ID)
		return refuse_copy(why, "another program has made it");
	if (strtoll(version, NULL, 10) > schema_newest())
		return error_set(
		        why, ERROR_USAGE, ENOTSUP,
		        "a newer keepfs has made it: it has format %s, this keepfs knows formats up to "
		        "%lld; use the newer one",
		        version, (long long)schema_newest());
	return 0;
}

static int look_into_copy(sqlite3 *db, char **ret_store_url, struct error *why)
{
	static const char check_sql[] = "PRAGMA integrity_check(1)",
	                  url_sql[] = "SELECT store_url FROM copied";
	_cleanup(free) char *answer = NULL, *url = NULL;
	int r = check_copy_format(db, why);

	if (r < 0)
		return r;
	answer = ask_copy(db, check_sql, why);
	if (!answer)
		return -EBADMSG;
	if (strcmp(answer, "ok") != 0)
		return refuse_copy(why, answer);
	url = ask_copy(db, url_sql, why);
	if (!url)
		return -EBADMSG;
	*ret_store_url = take_ptr(&url);
	return 0;
}

int catalog_copy_look(const char *state_dir, char **ret_store_url, struct error *why)
{
	_cleanup(free) char *path = mem_printf("%s/" COPY_FILE_NAME, state_dir);
	sqlite3 *db = NULL;
	int r;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
		r = look_into_copy(db, ret_store_url, why);
	else
		r = refuse_copy(why, sqlite3_errmsg(db));
	sqlite3_close(db);
	return r;
}

static int sync_file(int dir_fd, const char *name)
{
	_cleanup(fd) int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int catalog_copy_install(const char *state_dir, struct error *err)
{
	static const char *const beside[] = {CATALOG_NAME "-wal", CATALOG_NAME "-shm"};
	_cleanup(fd) int dir_fd = catalog_directory_open(state_dir, err);
	int r;

	if (dir_fd < 0)
		return dir_fd;
	r = sync_file(dir_fd, COPY_FILE_NAME);
	/* They would be taken for those of the copy. */
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(beside); i++)
		if (unlinkat(dir_fd, beside[i], 0) < 0 && errno != ENOENT)
			r = -errno;
	if (r == 0 && (renameat(dir_fd, COPY_FILE_NAME, dir_fd, CATALOG_NAME) < 0 || fsync(dir_fd) < 0))
		r = -errno;
	return r < 0 ? error_system(err, -r, "the copy of the catalog cannot be put into %s", state_dir) : 0;
}

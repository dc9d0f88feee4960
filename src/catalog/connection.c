// SPDX-License-Identifier: Apache-2.0
/*
 * One connection to SQLite: how it is opened and set up, its prepared statements with their values and
 * columns, and what its result codes mean to people.
 */
#include "access.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#define BUSY_TIMEOUT_MS    10000
#define SPACE_NEEDED_BYTES ((uint64_t)64 << 10) /* what SQLite may want at once */

struct value text_value(const char *text)
{
	return (struct value){
	        .type = text ? SQLITE_TEXT : SQLITE_NULL, .data = text, .len = text ? strlen(text) : 0};
}

struct value blob_value(const void *data, size_t len)
{
	return (struct value){.type = SQLITE_BLOB, .data = data, .len = len};
}

/* SQLite tells a full disk when a write meets one; when a sync or the shared index does, errno may be gone by
 * now. */
static bool is_out_of_space(const struct catalog *catalog, int system)
{
	struct statvfs fs;

	if (system == ENOSPC || system == EDQUOT)
		return true;
	return statvfs(catalog->directory, &fs) == 0 &&
	       (uint64_t)fs.f_bavail * fs.f_frsize < SPACE_NEEDED_BYTES;
}

int db_fail(struct connection *c, int code)
{
	const char *text = c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(code);
	int system = c->db ? sqlite3_system_errno(c->db) : 0;
	struct catalog *catalog = c->catalog;

	switch (code & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return error_set(&c->error, ERROR_CORRUPT, EBADMSG,
		                 "the catalog %s is damaged (%s): run 'keepfs rebuild', which puts it aside "
		                 "and makes a "
		                 "new one from the store",
		                 catalog->file, text);
	case SQLITE_FULL:
		system = ENOSPC;
		/* fall through */
	case SQLITE_IOERR:
		if (is_out_of_space(catalog, system))
			return error_set(&c->error, ERROR_NO_SPACE, ENOSPC,
			                 "no space left for the catalog in %s: make room there and try again",
			                 catalog->directory);
		return error_set(&c->error, ERROR_INTERNAL, EIO,
		                 "the catalog %s cannot be read or written: %s (%s)", catalog->file, text,
		                 system ? strerror(system) : "no system error");
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return error_set(&c->error, ERROR_UNAVAILABLE, ETIMEDOUT,
		                 "the catalog %s was locked by another process for %d s", catalog->file,
		                 BUSY_TIMEOUT_MS / 1000);
	case SQLITE_CANTOPEN:
		return error_system(&c->error, system ? system : EIO, "cannot open the catalog %s",
		                    catalog->file);
	case SQLITE_READONLY:
		return error_set(&c->error, ERROR_DENIED, EROFS, "the catalog %s cannot be written: %s",
		                 catalog->file, text);
	case SQLITE_NOMEM:
		return error_set(&c->error, ERROR_INTERNAL, ENOMEM, "no memory for the catalog %s",
		                 catalog->file);
	default:
		return error_set(&c->error, ERROR_INTERNAL, EIO, "the catalog %s: %s", catalog->file, text);
	}
}

static int prepare_statement(struct connection *c, const char *sql, sqlite3_stmt **ret_statement)
{
	int code;

	for (size_t i = 0; i < c->prepared_count; i++) {
		if (c->prepared[i].sql == sql) {
			*ret_statement = c->prepared[i].statement;
			return 0;
		}
	}
	if (c->prepared_count == STATEMENTS_MAX)
		return error_set(&c->error, ERROR_INTERNAL, EIO, "more than %d statements", STATEMENTS_MAX);
	code = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL);
	if (code != SQLITE_OK)
		return db_fail(c, code);
	c->prepared[c->prepared_count].sql = sql;
	c->prepared[c->prepared_count++].statement = *ret_statement;
	return 0;
}

static int bind(sqlite3_stmt *statement, int index, const struct value *value)
{
	switch (value->type) {
	case SQLITE_INTEGER:
		return sqlite3_bind_int64(statement, index, value->number);
	case SQLITE_TEXT:
		return sqlite3_bind_text64(statement, index, value->data, value->len, SQLITE_STATIC,
		                           SQLITE_UTF8);
	case SQLITE_BLOB:
		return sqlite3_bind_blob64(statement, index, value->data, value->len, SQLITE_STATIC);
	default:
		return sqlite3_bind_null(statement, index);
	}
}

int db_query(struct connection *c, sqlite3_stmt **ret_statement, const char *sql, const struct value *values,
             size_t count)
{
	sqlite3_stmt *statement;
	int r = prepare_statement(c, sql, &statement);

	for (size_t i = 0; r == 0 && i < count; i++) {
		int code = bind(statement, (int)i + 1, &values[i]);

		if (code != SQLITE_OK) {
			r = db_fail(c, code);
			statement_reset(statement);
		}
	}
	if (r == 0)
		*ret_statement = statement;
	return r;
}

int db_step(struct connection *c, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	if (code == SQLITE_ROW)
		return 1;
	return code == SQLITE_DONE ? 0 : db_fail(c, code);
}

int db_row(struct connection *c, sqlite3_stmt **ret_statement, const char *sql, const struct value *values,
           size_t count)
{
	int r = db_query(c, ret_statement, sql, values, count);

	if (r == 0)
		r = db_step(c, *ret_statement);
	if (r == 0)
		return error_set(&c->error, ERROR_NOT_FOUND, ENOENT, "no such entry in the catalog");
	return r < 0 ? r : 0;
}

int db_find(struct connection *c, const char *sql, const struct value *values, size_t count)
{
	_cleanup(statement) sqlite3_stmt *statement = NULL;

	return db_row(c, &statement, sql, values, count);
}

int db_number(struct connection *c, int64_t *ret_number, const char *sql, const struct value *values,
              size_t count)
{
	_cleanup(statement) sqlite3_stmt *statement = NULL;
	int r = db_row(c, &statement, sql, values, count);

	if (r == 0)
		*ret_number = sqlite3_column_int64(statement, 0);
	return r;
}

int db_run(struct connection *c, const char *sql, const struct value *values, size_t count)
{
	_cleanup(statement) sqlite3_stmt *statement = NULL;
	int r = db_query(c, &statement, sql, values, count);

	if (r == 0)
		r = db_step(c, statement);
	return r < 0 ? r : 0;
}

int db_repeat(struct connection *c, const char *sql, const struct value *values, size_t count)
{
	int64_t before;
	int r;

	do {
		before = sqlite3_total_changes64(c->db);
		r = db_run(c, sql, values, count);
	} while (r == 0 && sqlite3_total_changes64(c->db) != before);
	return r;
}

int db_script(struct connection *c, const char *sql)
{
	int code = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : db_fail(c, code);
}

void statement_reset(sqlite3_stmt *statement)
{
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}

void column_text(sqlite3_stmt *statement, int column, char *buf, size_t buf_bytes)
{
	const char *text = column_borrowed(statement, column);

	str_copy(buf, buf_bytes, text ? text : "");
}

const char *column_borrowed(sqlite3_stmt *statement, int column)
{
	return (const char *)sqlite3_column_text(statement, column);
}

char *column_string(sqlite3_stmt *statement, int column)
{
	return mem_strdup(column_borrowed(statement, column));
}

uint64_t column_u64(sqlite3_stmt *statement, int column)
{
	return (uint64_t)sqlite3_column_int64(statement, column);
}

static int configure(struct connection *c, bool writes)
{
	/* cache_size: KiB, negative. temp_store: what a statement may have to undo is kept in memory, so
	 * statements that change many rows must come in batches. */
	static const char writer[] =
	        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
	        "PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;"
	        "PRAGMA journal_size_limit = 16777216;";
	static const char reader[] = "PRAGMA query_only = ON; PRAGMA cache_size = -1024;";

	sqlite3_extended_result_codes(c->db, 1);
	sqlite3_busy_timeout(c->db, BUSY_TIMEOUT_MS);
	return db_script(c, writes ? writer : reader);
}

/* NOMUTEX: a connection is used by one thread at a time. */
static struct connection *connection_new(struct catalog *catalog, const char *file, int *ret_code)
{
	struct connection *c = mem_alloc(sizeof(*c));

	c->catalog = catalog;
	*ret_code = sqlite3_open_v2(file, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	return c;
}

static int connection_opened(struct connection *c, int r, struct connection **ret_connection,
                             struct error *err)
{
	if (r < 0) {
		if (err)
			*err = c->error;
		connection_free(c);
		return r;
	}
	*ret_connection = c;
	return 0;
}

int connection_open(struct catalog *catalog, bool writes, struct connection **ret_connection,
                    struct error *err)
{
	int code;
	struct connection *c = connection_new(catalog, catalog->file, &code);

	return connection_opened(c, code == SQLITE_OK ? configure(c, writes) : db_fail(c, code),
	                         ret_connection, err);
}

int connection_open_file(struct catalog *catalog, const char *file, struct connection **ret_connection,
                         struct error *err)
{
	int code;
	struct connection *c = connection_new(catalog, file, &code);

	if (code == SQLITE_OK) {
		sqlite3_extended_result_codes(c->db, 1);
		sqlite3_busy_timeout(c->db, BUSY_TIMEOUT_MS);
	}
	return connection_opened(c, code == SQLITE_OK ? 0 : db_fail(c, code), ret_connection, err);
}

struct connection *connection_free(struct connection *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->prepared_count; i++)
		sqlite3_finalize(c->prepared[i].statement);
	sqlite3_close(c->db);
	free(c);
	return NULL;
}

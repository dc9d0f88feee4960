// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * One connection to SQLite: prepared statements, bound values, columns. Used by one thread at a time; who may
 * use which is said in access.h.
 *
 * SQL is a `static const char[]` of the file that uses it: its address is the key under which a connection
 * keeps it prepared.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalog;

#define STATEMENTS_MAX 256

struct connection {
	struct catalog *catalog; /* whose it is */
	sqlite3 *db;
	struct error error; /* why the last call failed */
	struct {
		const char *sql;
		sqlite3_stmt *statement;
	} prepared[STATEMENTS_MAX];
	size_t prepared_count;
	struct connection *next; /* idle readers: the catalog's lock */
};

/* Values to bind, in the order of ?1, ?2, … */
struct value {
	int type; /* SQLITE_INTEGER, SQLITE_TEXT, SQLITE_BLOB, SQLITE_NULL */
	int64_t number;
	const void *data; /* borrowed until the statement is reset */
	size_t len;
};

static inline struct value int_value(int64_t number)
{
	return (struct value){.type = SQLITE_INTEGER, .number = number};
}

static inline struct value ino_value(uint64_t ino)
{
	return int_value((int64_t)ino);
}

struct value text_value(const char *text); /* NULL binds NULL */
struct value blob_value(const void *data, size_t len);

#define VALUES(...)                                                                                          \
	(const struct value[]){__VA_ARGS__},                                                                 \
	        sizeof((const struct value[]){__VA_ARGS__}) / sizeof(struct value)

/** db_query() - the prepared @sql with values bound: `db_query(c, &statement, SQL, VALUES(int_value(1)))`.
 * Finish with _cleanup(statement). */
int db_query(struct connection *c, sqlite3_stmt **ret_statement, const char *sql, const struct value *values,
             size_t count);
/** db_step() - 1: a row; 0: no more; negative errno, with @c->error filled. */
int db_step(struct connection *c, sqlite3_stmt *statement);
/** db_row() - the first row of a query within a transaction, for its columns: -ENOENT when there is none.
 * Finish with _cleanup(statement). */
int db_row(struct connection *c, sqlite3_stmt **ret_statement, const char *sql, const struct value *values,
           size_t count);
/** db_find() - has the query a row? 0; -ENOENT. */
int db_find(struct connection *c, const char *sql, const struct value *values, size_t count);
/** db_number() - the first column of the first row; -ENOENT when there is none. */
int db_number(struct connection *c, int64_t *ret_number, const char *sql, const struct value *values,
              size_t count);
/** db_run() - run a statement that returns no rows. */
int db_run(struct connection *c, const char *sql, const struct value *values, size_t count);
/** db_repeat() - run it again and again, until it changes nothing: for many rows in batches. */
int db_repeat(struct connection *c, const char *sql, const struct value *values, size_t count);
/** db_script() - run several statements that take no values. */
int db_script(struct connection *c, const char *sql);
/** db_fail() - @c->error from SQLite's result code; returns its negative errno. */
int db_fail(struct connection *c, int code);

void statement_reset(sqlite3_stmt *statement);
DEFINE_CLEANUP(statement, sqlite3_stmt *, statement_reset)

/** column_text() - copy into a fixed buffer; NULL gives "". */
void column_text(sqlite3_stmt *statement, int column, char *buf, size_t buf_bytes);
/** column_borrowed() - as long as the statement stays at this row; NULL gives NULL. */
const char *column_borrowed(sqlite3_stmt *statement, int column);
/** column_string() - on the heap; NULL gives NULL. */
char *column_string(sqlite3_stmt *statement, int column);
uint64_t column_u64(sqlite3_stmt *statement, int column);

/** connection_open() - with the settings that every connection has. */
int connection_open(struct catalog *catalog, bool writes, struct connection **ret_connection,
                    struct error *err);
/** connection_open_file() - to @file, which is not the catalog itself, without settings; failures are told as of
 * @catalog. */
int connection_open_file(struct catalog *catalog, const char *file, struct connection **ret_connection,
                         struct error *err);
struct connection *connection_free(struct connection *c);

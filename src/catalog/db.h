// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * How the files of this room talk to SQLite: connections with their prepared statements, bound values, the
 * one writer and its transactions, the pool of readers.
 *
 * SQL is a `static const char[]` of the file that uses it: its address is the key under which a connection
 * keeps it prepared.
 */
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/runs.h>

#define CATALOG_NAME   "catalog.db"
#define STATEMENTS_MAX 128
#define READERS_MAX    16

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

struct catalog {
	char *directory;
	char *file;
	struct connection *writer; /* used by whoever made `writing` true */
	_Atomic uint64_t generation;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool writing;            /* lock */
	bool rebuilding;         /* lock: `writing` stays true until the rebuild ends */
	pthread_t rebuilder;     /* lock: the thread whose writes are part of the rebuild */
	struct connection *idle; /* lock */
	unsigned readers;        /* lock: open, idle or not */
	int64_t changes_before;  /* the writer's, when its transaction began */
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
/** db_row() - the first row of a query within a transaction, for the columns: -ENOENT when there is none. Finish
 * with _cleanup(statement). */
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
struct connection *connection_free(struct connection *c);

/**
 * struct query - the rows of a query, one at a time, however many there are
 *
 *	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
 *
 *	while (query_next(&query))
 *		row(arg, column_u64(query.row, 0));
 *	return query.result;
 *
 * What fails in between ends the rows and is in @result. The values are borrowed until the query is finished.
 */
struct query {
	struct connection *connection;
	sqlite3_stmt *row; /* its columns, after query_next() or query_one() */
	int result;        /* 0: no more rows, 1: a row; negative errno */
	bool is_reader;    /* the connection is the query's own and goes back when it is finished */
};

/** query_begin() - on a connection for reading of its own; waits while READERS_MAX of them are in use. */
struct query query_begin(struct catalog *catalog, const char *sql, const struct value *values, size_t count);
/** query_within() - on a connection that the caller holds: of the transaction or of another query. */
struct query query_within(struct connection *c, const char *sql, const struct value *values, size_t count);
/** query_next() - go to the next row. False when there is none, or when something failed. */
bool query_next(struct query *query);
/** query_one() - go to the first row, where one is all that is asked for: 0; -ENOENT when there is none. */
int query_one(struct query *query);
void query_finish(struct query *query);

static inline void cleanup_query(struct query *query)
{
	query_finish(query);
}

/** write_begin() - become the one writer and begin a transaction (within a rebuild: a step of it); on 0
 * write_end() must follow. */
int write_begin(struct catalog *catalog, struct error *err);
/** write_end() - commit when @result is not negative, else roll back and fill @err from the writer; returns
 * @result or the commit's failure. */
int write_end(struct catalog *catalog, int result, struct error *err);
/**
 * TRANSACTION() - do @change, an expression that is 0 or a negative errno, as one transaction on the writer:
 * `return TRANSACTION(c, err, add_run(c->writer, run, &id));`
 *
 * @change is evaluated within the transaction, once or, when that cannot begin, never; what happens in it is
 * committed when it is not negative. @catalog is evaluated twice. Its value is that of write_end().
 */
#define TRANSACTION(catalog, err, change) (write_begin(catalog, err) ?: write_end(catalog, change, err))
/** write_run() - one statement as a transaction of its own. */
int write_run(struct catalog *catalog, struct error *err, const char *sql, const struct value *values,
              size_t count);

/** schema_migrate() - bring the file to the newest format, or refuse it; the reason is in @c->error. */
int schema_migrate(struct connection *c);

/* Between the files of this room. */

/** ino_is_artifact() - of an artifact or one of its files, not of a directory: see codec/name.h. */
static inline bool ino_is_artifact(uint64_t ino)
{
	return ino >> 61 == 3;
}

/** sums_append() - a line of SHA256SUMS without its end; @sha256 "" when it is not known. */
void sums_append(struct str *out, const char *name, bool is_directory, const char *sha256);
/** sums_bytes() - of all lines of an artifact, with their ends. */
uint64_t sums_bytes(const struct manifest *m, const char *name);

/* Within a transaction. */

int directory_ensure(struct connection *c, const char *path, int64_t mtime_us, uint64_t *ret_ino);
/** directory_touch() - the mtime of a directory and those above it becomes @mtime_us, never earlier than it
 * was. */
int directory_touch(struct connection *c, uint64_t ino, int64_t mtime_us);
/** path_split() - heap: the directory of an artifact's path; its name and sequence. -EINVAL when it is no
 * such path. */
int path_split(struct connection *c, const char *path, char **ret_directory, const char **ret_name,
               int64_t *ret_sequence);
/** extents_insert() - a table of its own; its number. -EINVAL when it is not the one that was loaded for
 * @path. */
int extents_insert(struct connection *c, const char *path, const struct extents *x, uint64_t count,
                   int64_t *ret_id);
/** files_insert() - the rows of an artifact's further files. */
int files_insert(struct connection *c, const struct manifest *m, uint64_t directory_ino, int64_t sequence);
/** files_delete() - drop them, a batch at a time. */
int files_delete(struct connection *c, uint64_t artifact_ino);
/** intent_drop() - forget the intent of a path, if there is one. */
int intent_drop(struct connection *c, const char *path);
/** run_settle_targets() - databases of a run that are pending or running end with it. */
int run_settle_targets(struct connection *c, int64_t run_id, enum run_state state, const char *error);
/** run_note_artifact() - an artifact of a known run is listed: note it there. */
int run_note_artifact(struct connection *c, const struct manifest *m);
/** run_rebuild() - add what is not known of an artifact's run. */
int run_rebuild(struct connection *c, const struct manifest *m);

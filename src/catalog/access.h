// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The connections of a catalog and who may use which: one that writes, for one transaction at a time, and a
 * pool of others for reading, of which a query takes one.
 */
#include "connection.h"

#include <keepfs/catalog.h>
#include <pthread.h>
#include <stdatomic.h>

struct catalog {
	char *directory;
	char *file;
	struct connection *writer; /* used by whoever made `writing` true */
	_Atomic uint64_t generation, audit_generation, rest_generation;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool writing;            /* lock */
	bool rebuilding;         /* lock: `writing` stays true until the rebuild ends */
	pthread_t rebuilder;     /* lock: the thread whose writes are part of the rebuild */
	struct connection *idle; /* lock */
	unsigned readers;        /* lock: open, idle or not */
	int64_t changes_before;  /* the writer's, when its transaction began */
	unsigned touches;        /* the writer's: TOUCHES_… that it changes */
	pthread_mutex_t listener_lock;
	void (*listener)(void *arg); /* listener_lock: told of changes; NULL: nobody is */
	void *listener_arg;          /* listener_lock */
};

/**
 * struct query - the rows of a query, one at a time, however many there are
 *
 *	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
 *
 *	while (query_next(&query))
 *		row(arg, column_u64(query.row, 0));
 *	return query.result;
 *
 * What fails ends the rows and is in @result then. The values are borrowed until the query is finished. No
 * more than one row is in memory.
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
/** query_finish() - give the connection back; before all rows were seen, too. What _cleanup(query) calls. */
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
 * @change is evaluated within the transaction: once, or never when the transaction cannot begin. What it did
 * is committed when it is not negative. @catalog and @err are evaluated twice. The value of the whole is that
 * of @change, or the failure to begin or to commit.
 */
#define TRANSACTION(catalog, err, change) (write_begin(catalog, err) ?: write_end(catalog, change, err))
/** write_touches() - the transaction changes this, and nothing else; TOUCHES_REST when nobody says so. */
#define TOUCHES_AUDIT 1U
#define TOUCHES_REST  2U
static inline void write_touches(struct catalog *catalog, unsigned what)
{
	catalog->touches = what;
}
/** write_run() - one statement as a transaction of its own. */
int write_run(struct catalog *catalog, struct error *err, const char *sql, const struct value *values,
              size_t count);

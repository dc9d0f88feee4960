// SPDX-License-Identifier: Apache-2.0
/*
 * Who may use which connection.
 *
 * One connection writes. Whoever holds it made `writing` true under the lock and makes it false again; the
 * lock itself is never held while SQLite works. Readers have connections of their own, which WAL lets read
 * while the writer writes; a reader sees what was committed when its statement began.
 *
 * A failed statement leaves its reason in the connection. write_end() hands that on, so that the functions
 * between need not carry it, and so that SQLite's text is taken before the rollback replaces it.
 */
#include "access.h"

#include <errno.h>

#define READERS_MAX 16

/* An idle connection for reading, or a new one; waits when READERS_MAX are in use. */
static int reader_get(struct catalog *catalog, struct connection **ret_reader)
{
	struct connection *reader;
	int r = 0;

	pthread_mutex_lock(&catalog->lock);
	while (!catalog->idle && catalog->readers == READERS_MAX)
		pthread_cond_wait(&catalog->changed, &catalog->lock);
	reader = catalog->idle;
	if (reader)
		catalog->idle = reader->next;
	else
		catalog->readers++;
	pthread_mutex_unlock(&catalog->lock);
	if (!reader)
		r = connection_open(catalog, false, &reader, NULL);
	if (r < 0) {
		pthread_mutex_lock(&catalog->lock);
		catalog->readers--;
		pthread_cond_broadcast(&catalog->changed);
		pthread_mutex_unlock(&catalog->lock);
		return r;
	}
	*ret_reader = reader;
	return 0;
}

static void reader_put(struct connection *reader)
{
	struct catalog *catalog = reader->catalog;

	pthread_mutex_lock(&catalog->lock);
	reader->next = catalog->idle;
	catalog->idle = reader;
	pthread_cond_broadcast(&catalog->changed);
	pthread_mutex_unlock(&catalog->lock);
}

struct query query_within(struct connection *c, const char *sql, const struct value *values, size_t count)
{
	struct query query = {.connection = c};

	query.result = db_query(c, &query.row, sql, values, count);
	return query;
}

struct query query_begin(struct catalog *catalog, const char *sql, const struct value *values, size_t count)
{
	struct connection *reader;
	struct query query = {.result = reader_get(catalog, &reader)};

	if (query.result < 0)
		return query;
	query = query_within(reader, sql, values, count);
	query.is_reader = true;
	return query;
}

bool query_next(struct query *query)
{
	if (query->result >= 0)
		query->result = db_step(query->connection, query->row);
	return query->result > 0;
}

int query_one(struct query *query)
{
	if (query_next(query))
		return 0;
	return query->result < 0 ? query->result : -ENOENT;
}

void query_finish(struct query *query)
{
	/* The statement first: the next thread may have the connection at once. */
	if (query->row)
		statement_reset(query->row);
	if (query->is_reader)
		reader_put(query->connection);
	*query = (struct query){0};
}

/* Returns whether the caller's writes are steps of its own rebuild. */
static bool become_writer(struct catalog *catalog)
{
	bool nested;

	pthread_mutex_lock(&catalog->lock);
	nested = catalog->rebuilding && pthread_equal(catalog->rebuilder, pthread_self());
	while (!nested && catalog->writing)
		pthread_cond_wait(&catalog->changed, &catalog->lock);
	catalog->writing = true;
	pthread_mutex_unlock(&catalog->lock);
	return nested;
}

static bool is_rebuilding(struct catalog *catalog)
{
	bool rebuilding;

	pthread_mutex_lock(&catalog->lock);
	rebuilding = catalog->rebuilding;
	pthread_mutex_unlock(&catalog->lock);
	return rebuilding;
}

static void leave_writer(struct catalog *catalog)
{
	pthread_mutex_lock(&catalog->lock);
	if (!catalog->rebuilding)
		catalog->writing = false;
	pthread_cond_broadcast(&catalog->changed);
	pthread_mutex_unlock(&catalog->lock);
}

static int begin_step(struct connection *writer)
{
	static const char savepoint_sql[] = "SAVEPOINT step";

	/* SQLite ends the whole transaction itself when the disk is full: nothing may follow outside of
	 * it. */
	if (sqlite3_get_autocommit(writer->db))
		return error_set(&writer->error, ERROR_INTERNAL, EIO,
		                 "the rebuild was rolled back by an earlier failure");
	return db_run(writer, savepoint_sql, NULL, 0);
}

int write_begin(struct catalog *catalog, struct error *err)
{
	static const char begin_sql[] = "BEGIN IMMEDIATE";
	bool nested = become_writer(catalog);
	struct connection *writer = catalog->writer;
	int r;

	writer->error = (struct error){0};
	if (!nested)
		catalog->changes_before = sqlite3_total_changes64(writer->db);
	catalog->touches = TOUCHES_REST;
	r = nested ? begin_step(writer) : db_run(writer, begin_sql, NULL, 0);
	if (r < 0) {
		if (err)
			*err = writer->error;
		leave_writer(catalog);
	}
	return r;
}

static void roll_back_write(struct connection *writer, bool nested)
{
	if (!sqlite3_get_autocommit(writer->db))
		sqlite3_exec(writer->db, nested ? "ROLLBACK TO step; RELEASE step" : "ROLLBACK", NULL, NULL,
		             NULL);
}

static void count_change(struct catalog *catalog)
{
	if (catalog->touches & TOUCHES_AUDIT)
		catalog->audit_generation++;
	if (catalog->touches & TOUCHES_REST)
		catalog->rest_generation++;
	catalog->generation++;
	if (!(catalog->touches & TOUCHES_REST))
		return;
	pthread_mutex_lock(&catalog->listener_lock);
	if (catalog->listener)
		catalog->listener(catalog->listener_arg);
	pthread_mutex_unlock(&catalog->listener_lock);
}

void catalog_listen(struct catalog *c, void (*changed)(void *arg), void *arg)
{
	pthread_mutex_lock(&c->listener_lock);
	c->listener = changed;
	c->listener_arg = arg;
	pthread_mutex_unlock(&c->listener_lock);
}

int write_end(struct catalog *catalog, int result, struct error *err)
{
	static const char commit_sql[] = "COMMIT", release_sql[] = "RELEASE step";
	struct connection *writer = catalog->writer;
	bool nested = is_rebuilding(catalog);
	int r = result;

	if (r >= 0) {
		int committed = db_run(writer, nested ? release_sql : commit_sql, NULL, 0);

		if (committed < 0)
			r = committed;
		else if (!nested && sqlite3_total_changes64(writer->db) != catalog->changes_before)
			count_change(catalog);
	}
	if (r < 0) {
		roll_back_write(writer, nested);
		if (err)
			*err = writer->error;
	}
	leave_writer(catalog);
	return r;
}

int write_run(struct catalog *catalog, struct error *err, const char *sql, const struct value *values,
              size_t count)
{
	return TRANSACTION(catalog, err, db_run(catalog->writer, sql, values, count));
}

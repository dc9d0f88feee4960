// SPDX-License-Identifier: Apache-2.0
/*
 * Intents: what a run is about to write, recorded before its first byte. An intent holds its place in the
 * directory, so that no two artifacts can be given one name, and it ends in the transaction that lists the
 * artifact.
 */
#include "db.h"

#include <errno.h>

#include <keepfs/catalog/intents.h>

int intent_drop(struct connection *c, const char *path)
{
	static const char sql[] = "DELETE FROM intent WHERE directory = ?1 AND sequence = ?2 AND path = ?3";
	_cleanup(free) char *directory = NULL;
	const char *name;
	int64_t sequence;
	int r = path_split(c, path, &directory, &name, &sequence);

	if (r < 0)
		return r;
	return db_run(c, sql, VALUES(text_value(directory), int_value(sequence), text_value(path)));
}

static int find_place(struct connection *c, const char *directory, int64_t sequence)
{
	static const char sql[] =
	        "SELECT 1 FROM intent WHERE directory = ?1 AND sequence = ?2 UNION ALL SELECT 1 FROM artifact"
	        " WHERE directory_ino = (SELECT ino FROM directory WHERE path = ?1) AND sequence = ?2";
	_cleanup(statement) sqlite3_stmt *row = NULL;

	return db_row(c, &row, sql, VALUES(text_value(directory), int_value(sequence)));
}

bool catalog_sequence_taken(struct catalog *c, const char *directory_path, int64_t sequence)
{
	_cleanup(reader) struct connection *reader = NULL;

	return reader_get(c, &reader) == 0 && find_place(reader, directory_path, sequence) == 0;
}

static int add_intent(struct connection *c, int64_t run_id, const char *path)
{
	static const char sql[] =
	        "INSERT INTO intent (directory, sequence, path, run_id) VALUES (?1, ?2, ?3, ?4)";
	_cleanup(free) char *directory = NULL;
	const char *name;
	int64_t sequence;
	int r = path_split(c, path, &directory, &name, &sequence);

	if (r < 0)
		return r;
	r = find_place(c, directory, sequence);
	if (r == 0)
		return error_set(&c->error, ERROR_CONFLICT, EEXIST, "the name of %s is taken", path);
	if (r != -ENOENT)
		return r;
	return db_run(
	        c, sql,
	        VALUES(text_value(directory), int_value(sequence), text_value(path), int_value(run_id)));
}

int catalog_add_intent(struct catalog *c, int64_t run_id, const char *path, struct error *err)
{
	int r = write_begin(c, err);

	if (r < 0)
		return r;
	return write_end(c, add_intent(c->writer, run_id, path), err);
}

int catalog_drop_intent(struct catalog *c, const char *path, struct error *err)
{
	int r = write_begin(c, err);

	if (r < 0)
		return r;
	return write_end(c, intent_drop(c->writer, path), err);
}

int catalog_intents(struct catalog *c, void (*row)(void *arg, int64_t run_id, const char *path), void *arg)
{
	static const char sql[] = "SELECT run_id, path FROM intent";
	_cleanup(reader) struct connection *reader = NULL;
	_cleanup(statement) sqlite3_stmt *statement = NULL;
	int r = reader_get(c, &reader);

	if (r == 0)
		r = db_query(reader, &statement, sql, NULL, 0);
	while (r >= 0 && (r = db_step(reader, statement)) > 0)
		row(arg, sqlite3_column_int64(statement, 0), (const char *)sqlite3_column_text(statement, 1));
	return r;
}

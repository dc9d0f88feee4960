// SPDX-License-Identifier: Apache-2.0
/*
 * Intents: what a run is about to write, recorded before its first byte. An intent holds its place in the
 * directory, so that no two artifacts can be given one name, and it ends in the transaction that lists the
 * artifact.
 */
#include "access.h"
#include "catalog_private.h"

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

/* What has place ?2 in directory ?1. */
static const char place_sql[] =
        "SELECT 1 FROM intent WHERE directory = ?1 AND sequence = ?2 UNION ALL SELECT 1 FROM artifact"
        " WHERE directory_ino = (SELECT ino FROM directory WHERE path = ?1) AND sequence = ?2";

bool catalog_sequence_taken(struct catalog *c, const char *directory_path, int64_t sequence)
{
	_cleanup(query) struct query query =
	        query_begin(c, place_sql, VALUES(text_value(directory_path), int_value(sequence)));

	return query_one(&query) == 0;
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
	r = db_find(c, place_sql, VALUES(text_value(directory), int_value(sequence)));
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
	return TRANSACTION(c, err, add_intent(c->writer, run_id, path));
}

int catalog_drop_intent(struct catalog *c, const char *path, struct error *err)
{
	return TRANSACTION(c, err, intent_drop(c->writer, path));
}

int catalog_intents(struct catalog *c, void (*row)(void *arg, int64_t run_id, const char *path), void *arg)
{
	static const char sql[] = "SELECT run_id, path FROM intent";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query))
		row(arg, sqlite3_column_int64(query.row, 0), column_borrowed(query.row, 1));
	return query.result;
}

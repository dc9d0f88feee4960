// SPDX-License-Identifier: Apache-2.0
/*
 * Intents: what a run is about to write, recorded before its first byte. An intent holds its place in the
 * directory, so that no two artifacts can be given one name, and it ends in the transaction that lists the
 * artifact.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/codec/name.h>

int intent_drop(struct connection *c, const char *path)
{
	static const char sql[] = "DELETE FROM intent WHERE path = ?1";

	return db_run(c, sql, VALUES(text_value(path)));
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

/* What has stem ?2 in directory ?1 and is not named by time: there, or announced. */
static const char stem_sql[] =
        /* '/' is the character behind '.', so that this is the range of all names that go on with a suffix. */
        "SELECT 1 FROM intent WHERE path = ?1 || '/' || ?2"
        " OR (path >= ?1 || '/' || ?2 || '.' AND path < ?1 || '/' || ?2 || '/')"
        " UNION ALL SELECT 1 FROM artifact WHERE directory_ino = (SELECT ino FROM directory WHERE path = ?1)"
        " AND named = 1 AND (name = ?2 OR (name >= ?2 || '.' AND name < ?2 || '/')) LIMIT 1";

/* How to find what has a stem: by the place that its time gives it, or by its name. */
struct place {
	const char *sql;
	struct value value; /* its ?2 */
};

static struct place place_of_stem(const char *stem)
{
	int64_t sequence = name_sequence(stem);

	if (sequence >= 0)
		return (struct place){.sql = place_sql, .value = int_value(sequence)};
	return (struct place){.sql = stem_sql, .value = text_value(stem)};
}

int catalog_stem_taken(struct catalog *c, const char *directory_path, const char *stem)
{
	struct place place = place_of_stem(stem);
	_cleanup(query) struct query query =
	        query_begin(c, place.sql, VALUES(text_value(directory_path), place.value));
	int r = query_one(&query);

	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

/* Of those with a name of their own that have stem ?2 in directory ?1. A manifest without that fact is of an older keepfs. */
static const char made_of_sql[] =
        "SELECT 1 FROM artifact WHERE directory_ino = (SELECT ino FROM directory WHERE path = ?1)"
        " AND (sequence = ?4 OR (named = 1 AND (name = ?2 OR (name >= ?2 || '.' AND name < ?2 || '/'))))"
        " AND coalesce(json_extract(facts, '$.path'), ?3) <> ?3 LIMIT 1";

int catalog_stem_is_of_another(struct catalog *c, const char *directory_path, const char *stem,
                               const char *path)
{
	_cleanup(query) struct query query =
	        query_begin(c, made_of_sql,
	                    VALUES(text_value(directory_path), text_value(stem), text_value(path),
	                           int_value(name_sequence(stem))));
	int r = query_one(&query);

	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

static int add_intent(struct connection *c, int64_t run_id, const char *path, uint64_t store)
{
	static const char sql[] =
	        "INSERT INTO intent (path, directory, sequence, run_id, store) VALUES (?1, ?2, ?3, ?4, ?5)";
	_cleanup(free) char *directory = NULL, *stem = NULL;
	struct place place;
	const char *name;
	int64_t sequence;
	int r = path_split(c, path, &directory, &name, &sequence);

	if (r < 0)
		return r;
	stem = mem_printf("%.*s", (int)strcspn(name, "."), name);
	place = place_of_stem(stem);
	r = db_find(c, place.sql, VALUES(text_value(directory), place.value));
	if (r == 0)
		return error_set(&c->error, ERROR_CONFLICT, EEXIST, "the name of %s is taken", path);
	if (r != -ENOENT)
		return r;
	return db_run(c, sql,
	              VALUES(text_value(path), text_value(directory),
	                     sequence < 0 ? text_value(NULL) : int_value(sequence), int_value(run_id),
	                     int_value((int64_t)store)));
}

int catalog_intent_run(struct catalog *c, const char *path, int64_t *ret_run_id)
{
	static const char sql[] = "SELECT run_id FROM intent WHERE path = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(path)));
	int r = query_one(&query);

	if (r == 0)
		*ret_run_id = sqlite3_column_int64(query.row, 0);
	return r;
}

int catalog_add_intent(struct catalog *c, int64_t run_id, const char *path, struct error *err)
{
	return TRANSACTION(c, err, add_intent(c->writer, run_id, path, CATALOG_MAIN_STORE));
}

int catalog_add_intent_in(struct catalog *c, int64_t run_id, const char *path, uint64_t store,
                          struct error *err)
{
	return TRANSACTION(c, err, add_intent(c->writer, run_id, path, store));
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

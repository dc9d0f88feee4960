// SPDX-License-Identifier: Apache-2.0
/* What the catalog and the store have different, as far as the catalog can say. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/compare.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/codec/name.h>

/* The intent first: it ends in the transaction that makes the row. */
static const char known_sql[] = "SELECT 1 FROM intent WHERE path = ?1 UNION ALL SELECT 1 FROM artifact a"
                                " JOIN directory d ON d.ino = a.directory_ino"
                                " WHERE a.ino = ?2 AND d.path || '/' || a.name = ?1";

int catalog_knows(struct catalog *c, const char *path)
{
	_cleanup(query) struct query query =
	        query_begin(c, known_sql, VALUES(text_value(path), ino_value(ino_of_artifact(path))));
	int r = query_one(&query);

	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

int catalog_look_at_manifest(struct catalog *c, uint64_t ino, const char *mark)
{
	static const char sql[] =
	        "SELECT coalesce(s.mark = ?2, 0), coalesce(s.mark = '', 0) FROM artifact a"
	        " LEFT JOIN manifest_seen s ON s.ino = a.ino WHERE a.ino = ?1 AND a.tomb = 0";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino), text_value(mark)));
	int r = query_one(&query);

	if (r < 0)
		return r == -ENOENT ? CATALOG_LOOK_SAME : r;
	if (sqlite3_column_int(query.row, 0))
		return CATALOG_LOOK_SAME;
	return sqlite3_column_int(query.row, 1) ? CATALOG_LOOK_BEFORE : CATALOG_LOOK_OTHER;
}

static int note_manifests(struct connection *c, const struct catalog_manifest_mark *marks, size_t count)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO manifest_seen (ino, mark) SELECT ino, ?2 FROM artifact"
	        " WHERE ino = ?1 AND tomb = 0";
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = db_run(c, sql, VALUES(ino_value(marks[i].ino), text_value(marks[i].mark)));
	return r;
}

int catalog_note_manifests(struct catalog *c, const struct catalog_manifest_mark *marks, size_t count,
                           struct error *err)
{
	return TRANSACTION(c, err, note_manifests(c->writer, marks, count));
}

int artifact_find_known(struct connection *c, const char *path)
{
	return db_find(c, known_sql, VALUES(text_value(path), ino_value(ino_of_artifact(path))));
}

/* The reason that says so; one that reading found stays. */
static const char missing_reason[] = MISSING_REASON;

ssize_t catalog_listed_after(struct catalog *c, uint64_t store, uint64_t after_ino,
                             struct catalog_listed *rows, size_t max)
{
	static const char sql[] = "SELECT a.ino, d.path || '/' || a.name, a.damaged IS ?3 FROM artifact a"
	                          " JOIN directory d ON d.ino = a.directory_ino WHERE a.tomb = 0"
	                          " AND a.store = 0 AND a.ino > ?1 ORDER BY a.ino LIMIT ?2";
	static const char other_sql[] =
	        "SELECT a.ino, d.path || '/' || a.name, a.damaged IS ?3 FROM artifact a"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE a.tomb = 0"
	        " AND a.store = ?4 AND a.store <> 0 AND a.ino > ?1 ORDER BY a.ino LIMIT ?2";
	size_t count = 0;
	_cleanup(query) struct query query =
	        store == CATALOG_MAIN_STORE
	                ? query_begin(c, sql,
	                              VALUES(ino_value(after_ino), int_value((int64_t)max),
	                                     text_value(missing_reason)))
	                : query_begin(c, other_sql,
	                              VALUES(ino_value(after_ino), int_value((int64_t)max),
	                                     text_value(missing_reason), int_value((int64_t)store)));

	while (count < max && query_next(&query)) {
		struct catalog_listed *row = &rows[count++];

		row->ino = column_u64(query.row, 0);
		column_text(query.row, 1, row->path, sizeof(row->path));
		row->missing = sqlite3_column_int(query.row, 2);
	}
	return query.result < 0 ? query.result : (ssize_t)count;
}

int catalog_set_missing(struct catalog *c, uint64_t ino, bool missing, struct error *err)
{
	static const char missing_sql[] =
	        "UPDATE artifact SET damaged = ?2 WHERE ino = ?1 AND damaged IS NULL";
	static const char found_sql[] = "UPDATE artifact SET damaged = NULL WHERE ino = ?1 AND damaged = ?2";

	return write_run(c, err, missing ? missing_sql : found_sql,
	                 VALUES(ino_value(ino), text_value(missing_reason)));
}

static int set_unlisted(struct connection *c, const struct catalog_unlisted *rows, size_t count)
{
	static const char delete_sql[] = "DELETE FROM unlisted";
	static const char insert_sql[] = "INSERT OR REPLACE INTO unlisted (path, reason) VALUES (?1, ?2)";
	int r = db_run(c, delete_sql, NULL, 0);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = db_run(c, insert_sql, VALUES(text_value(rows[i].path), text_value(rows[i].reason)));
	return r;
}

int catalog_set_unlisted(struct catalog *c, const struct catalog_unlisted *rows, size_t count,
                         struct error *err)
{
	return TRANSACTION(c, err, set_unlisted(c->writer, rows, count));
}

int catalog_each_unlisted(struct catalog *c, void (*row)(void *arg, const char *path, const char *reason),
                          void *arg)
{
	static const char sql[] = "SELECT path, reason FROM unlisted ORDER BY path";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query))
		row(arg, column_borrowed(query.row, 0), column_borrowed(query.row, 1));
	return query.result;
}

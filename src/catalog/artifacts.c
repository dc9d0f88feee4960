/*
 * The rows of artifacts as they come and go. Each change is one transaction with all that depends on it: the
 * counts of the directory (by triggers), its mtime, the run that made the artifact, the intent that announced
 * it.
 */
#include "db.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>

static int insert_extents(struct connection *c, const struct manifest *m, int64_t *ret_id)
{
	static const char sql[] = "INSERT INTO extent_table (encoded) VALUES (?1)";
	_cleanup(free) uint8_t *encoded = NULL;
	size_t len;
	int r;

	if (m->extents.count != m->extents_count)
		return error_set(&c->error, ERROR_INTERNAL, EINVAL, "%s: its extent table was not loaded",
		                 m->path);
	encoded = extents_encode(&m->extents, &len);
	r = db_run(c, sql, VALUES(blob_value(encoded, len)));
	if (r == 0)
		*ret_id = sqlite3_last_insert_rowid(c->db);
	return r;
}

static int insert_artifact(struct connection *c, const struct manifest *m, uint64_t directory_ino,
                           int64_t sequence, const char *name)
{
	static const char sql[] = "INSERT INTO artifact (directory_ino, sequence, ino, name, size_bytes, "
	                          "finished_at_us, sha256,"
	                          " stored_bytes, stored_sha256, job, kind, database, server_version, "
	                          "tool_version, system_identifier,"
	                          " triggered_by, keepfs_version, run_id, started_at_us, extents_count, "
	                          "extents_key, extents_sha256,"
	                          " extents_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, "
	                          "?13, ?14, ?15, ?16, ?17, ?18,"
	                          " ?19, ?20, ?21, ?22, ?23)";
	int64_t extents_id = 0;
	int r = insert_extents(c, m, &extents_id);

	if (r < 0)
		return r;
	return db_run(
	        c, sql,
	        VALUES(ino_value(directory_ino), int_value(sequence), ino_value(ino_of_artifact(m->path)),
	               text_value(name), int_value((int64_t)m->size_bytes), int_value(m->finished_at_us),
	               text_value(m->sha256), int_value((int64_t)m->stored_bytes),
	               text_value(m->stored_sha256), text_value(m->job), text_value(m->kind),
	               text_value(m->database), text_value(m->server_version), text_value(m->tool_version),
	               text_value(m->system_identifier), text_value(m->triggered_by),
	               text_value(m->keepfs_version), int_value(m->run_id), int_value(m->started_at_us),
	               int_value((int64_t)m->extents_count), text_value(m->extents_key),
	               text_value(m->extents_sha256), int_value(extents_id)));
}

/* Make room for the row of @m: drop the one of the same path. Another path at its place or with its number is
 * an error. */
static int clear_place(struct connection *c, const struct manifest *m, uint64_t directory_ino,
                       int64_t sequence)
{
	static const char find_sql[] = "SELECT d.path || '/' || a.name, a.tomb FROM artifact a JOIN "
	                               "directory d ON d.ino = a.directory_ino"
	                               " WHERE (a.directory_ino = ?1 AND a.sequence = ?2)"
	                               " UNION ALL SELECT d.path || '/' || a.name, a.tomb FROM artifact a"
	                               " JOIN directory d ON d.ino = a.directory_ino WHERE a.ino = ?3";
	static const char delete_sql[] = "DELETE FROM artifact WHERE ino = ?1";
	uint64_t ino = ino_of_artifact(m->path);
	_cleanup(statement) sqlite3_stmt *row = NULL;
	bool tomb = false;
	int r = db_query(c, &row, find_sql,
	                 VALUES(ino_value(directory_ino), int_value(sequence), ino_value(ino)));

	while (r >= 0 && (r = db_step(c, row)) > 0) {
		const char *path = (const char *)sqlite3_column_text(row, 0);

		if (strcmp(path, m->path) != 0)
			return error_set(
			        &c->error, ERROR_CONFLICT, EEXIST,
			        "%s has the place or the inode number of %s: one of them needs another name",
			        m->path, path);
		tomb = sqlite3_column_int(row, 1);
	}
	if (r < 0)
		return r;
	if (tomb && c->catalog->rebuilding)
		return CATALOG_ENTOMBED;
	return db_run(c, delete_sql, VALUES(ino_value(ino)));
}

static int add_artifact(struct connection *c, const struct manifest *m)
{
	_cleanup(free) char *directory = NULL;
	const char *name;
	int64_t sequence;
	uint64_t directory_ino;
	int r = path_split(c, m->path, &directory, &name, &sequence);

	if (r == 0)
		r = directory_ensure(c, directory, m->finished_at_us, &directory_ino);
	if (r == 0)
		r = clear_place(c, m, directory_ino, sequence);
	if (r != 0)
		return r;
	r = insert_artifact(c, m, directory_ino, sequence, name);
	if (r == 0)
		r = directory_touch(c, directory_ino, m->finished_at_us);
	if (r == 0)
		r = c->catalog->rebuilding ? run_rebuild(c, m) : run_note_artifact(c, m);
	if (r == 0)
		r = intent_drop(c, m->path);
	return r;
}

int catalog_add_artifact(struct catalog *c, const struct manifest *m, struct error *err)
{
	int r = write_begin(c, err);

	if (r < 0)
		return r;
	return write_end(c, add_artifact(c->writer, m), err);
}

/* Is there another good one in its directory? 0, or -EPERM with the reason. */
static int check_not_last(struct connection *c, uint64_t ino, uint64_t directory_ino, const char *directory,
                          const char *name)
{
	static const char sql[] = "SELECT 1 FROM artifact WHERE directory_ino = ?1 AND tomb = 0 AND damaged "
	                          "IS NULL AND ino <> ?2"
	                          " LIMIT 1";
	_cleanup(statement) sqlite3_stmt *row = NULL;
	int r = db_row(c, &row, sql, VALUES(ino_value(directory_ino), ino_value(ino)));

	if (r != -ENOENT)
		return r;
	return error_set(&c->error, ERROR_DENIED, EPERM,
	                 "%s/%s is the last good backup in %s and cannot be removed: make another one first",
	                 directory, name, directory);
}

static int entomb_artifact(struct connection *c, uint64_t ino, bool keep_last)
{
	static const char find_sql[] =
	        "SELECT d.ino, a.damaged IS NULL, d.path, a.name FROM artifact a"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE a.ino = ?1 AND a.tomb = 0";
	static const char tomb_sql[] = "UPDATE artifact SET tomb = 1 WHERE ino = ?1";
	_cleanup(statement) sqlite3_stmt *row = NULL;
	uint64_t directory_ino;
	int r = db_row(c, &row, find_sql, VALUES(ino_value(ino)));

	if (r < 0)
		return r;
	directory_ino = column_u64(row, 0);
	/* One that is known to be damaged is nothing that has to be kept. */
	if (keep_last && sqlite3_column_int(row, 1))
		r = check_not_last(c, ino, directory_ino, (const char *)sqlite3_column_text(row, 2),
		                   (const char *)sqlite3_column_text(row, 3));
	if (r == 0)
		r = db_run(c, tomb_sql, VALUES(ino_value(ino)));
	if (r == 0)
		r = directory_touch(c, directory_ino, clock_now_us());
	return r;
}

int catalog_mark_damaged(struct catalog *c, uint64_t ino, const char *reason, struct error *err)
{
	static const char sql[] = "UPDATE artifact SET damaged = ?2 WHERE ino = ?1 AND damaged IS NULL";

	return write_run(c, err, sql, VALUES(ino_value(ino), text_value(reason)));
}

int catalog_damaged(struct catalog *c,
                    void (*row)(void *arg, uint64_t ino, const char *path, const char *reason), void *arg)
{
	static const char sql[] =
	        "SELECT a.ino, d.path || '/' || a.name, a.damaged FROM artifact a"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE a.damaged IS NOT NULL AND a.tomb = 0";
	_cleanup(reader) struct connection *reader = NULL;
	_cleanup(statement) sqlite3_stmt *statement = NULL;
	int r = reader_get(c, &reader);

	if (r == 0)
		r = db_query(reader, &statement, sql, NULL, 0);
	while (r >= 0 && (r = db_step(reader, statement)) > 0)
		row(arg, column_u64(statement, 0), (const char *)sqlite3_column_text(statement, 1),
		    (const char *)sqlite3_column_text(statement, 2));
	return r;
}

bool catalog_is_damaged(struct catalog *c, uint64_t ino)
{
	static const char sql[] = "SELECT 1 FROM artifact WHERE ino = ?1 AND damaged IS NOT NULL";
	_cleanup(reader) struct connection *reader = NULL;
	_cleanup(statement) sqlite3_stmt *row = NULL;

	return reader_get(c, &reader) == 0 && db_row(reader, &row, sql, VALUES(ino_value(ino))) == 0;
}

int catalog_entomb_artifact(struct catalog *c, uint64_t ino, bool keep_last, struct error *err)
{
	int r = write_begin(c, err);

	if (r < 0)
		return r;
	return write_end(c, entomb_artifact(c->writer, ino, keep_last), err);
}

int catalog_drop_artifact(struct catalog *c, uint64_t ino, struct error *err)
{
	static const char sql[] = "DELETE FROM artifact WHERE ino = ?1";

	return write_run(c, err, sql, VALUES(ino_value(ino)));
}

int catalog_tombs(struct catalog *c, void (*row)(void *arg, uint64_t ino, const char *path), void *arg)
{
	static const char sql[] = "SELECT a.ino, d.path || '/' || a.name FROM artifact a"
	                          " JOIN directory d ON d.ino = a.directory_ino WHERE a.tomb = 1";
	_cleanup(reader) struct connection *reader = NULL;
	_cleanup(statement) sqlite3_stmt *statement = NULL;
	int r = reader_get(c, &reader);

	if (r == 0)
		r = db_query(reader, &statement, sql, NULL, 0);
	while (r >= 0 && (r = db_step(reader, statement)) > 0)
		row(arg, column_u64(statement, 0), (const char *)sqlite3_column_text(statement, 1));
	return r;
}

int catalog_totals(struct catalog *c, const char *job, struct catalog_totals *ret)
{
	static const char sql[] =
	        "SELECT coalesce(sum(artifacts), 0), coalesce(sum(stored_bytes), 0),"
	        " coalesce(min((SELECT min(finished_at_us) FROM artifact WHERE tomb = 0 AND job = t.job)), "
	        "0),"
	        " coalesce(max((SELECT max(finished_at_us) FROM artifact WHERE tomb = 0 AND job = t.job)), 0)"
	        " FROM total t WHERE ?1 IS NULL OR t.job = ?1";
	_cleanup(reader) struct connection *reader = NULL;
	_cleanup(statement) sqlite3_stmt *row = NULL;
	int r = reader_get(c, &reader);

	if (r == 0)
		r = db_row(reader, &row, sql, VALUES(text_value(job)));
	if (r < 0)
		return r;
	*ret = (struct catalog_totals){
	        .artifacts = column_u64(row, 0),
	        .stored_bytes = column_u64(row, 1),
	        .oldest_at_us = sqlite3_column_int64(row, 2),
	        .newest_at_us = sqlite3_column_int64(row, 3),
	};
	return 0;
}

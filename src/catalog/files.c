// SPDX-License-Identifier: Apache-2.0
/*
 * The further files of artifacts, and the extent tables of all. Files come and go with their artifact, but
 * not by a trigger: a statement that changes a hundred thousand rows would keep what it may have to undo in
 * memory, so they go in batches.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/name.h>

int extents_insert(struct connection *c, const char *path, const struct extents *x, uint64_t count,
                   int64_t *ret_id)
{
	static const char sql[] = "INSERT INTO extent_table (encoded) VALUES (?1)";
	_cleanup(free) uint8_t *encoded = NULL;
	size_t len;
	int r;

	if (x->count != count)
		return error_set(&c->error, ERROR_INTERNAL, EINVAL, "%s: its extent table was not loaded",
		                 path);
	encoded = extents_encode(x, &len);
	r = db_run(c, sql, VALUES(blob_value(encoded, len)));
	if (r == 0)
		*ret_id = sqlite3_last_insert_rowid(c->db);
	return r;
}

static int check_ino(struct connection *c, uint64_t ino, const char *path)
{
	static const char sql[] = "SELECT name FROM artifact WHERE ino = ?1"
	                          " UNION ALL SELECT name FROM artifact_file WHERE ino = ?1";
	_cleanup(statement) sqlite3_stmt *row = NULL;
	int r = db_row(c, &row, sql, VALUES(ino_value(ino)));

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	return error_set(&c->error, ERROR_CONFLICT, EEXIST,
	                 "%s has the inode number of another file, %s: one of them needs another name", path,
	                 column_borrowed(row, 0));
}

static int insert_file(struct connection *c, const struct manifest *m, const struct manifest_file *f,
                       uint64_t parent_ino, int64_t sequence)
{
	static const char sql[] =
	        "INSERT INTO artifact_file (parent_ino, sequence, ino, artifact_ino, name, size_bytes,"
	        " sha256, extents_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
	_cleanup(free) char *path = manifest_file_path(m, f);
	uint64_t ino = ino_of_artifact(path);
	int64_t extents_id = 0;
	int r = check_ino(c, ino, path);

	if (r == 0)
		r = extents_insert(c, path, &f->extents, f->extents_count, &extents_id);
	if (r < 0)
		return r;
	return db_run(c, sql,
	              VALUES(ino_value(parent_ino), int_value(sequence), ino_value(ino),
	                     ino_value(ino_of_artifact(m->path)), text_value(f->name),
	                     int_value((int64_t)f->size_bytes), text_value(f->sha256),
	                     int_value(extents_id)));
}

int files_insert(struct connection *c, const struct manifest *m, uint64_t directory_ino, int64_t sequence)
{
	uint64_t parent_ino = m->is_directory ? ino_of_artifact(m->path) : directory_ino;
	int64_t from = m->is_directory ? 0 : sequence * MANIFEST_BESIDE_MAX;
	int r = 0;

	if (!m->is_directory && m->file_count > MANIFEST_BESIDE_MAX)
		return error_set(&c->error, ERROR_INTERNAL, EINVAL, "%s: %zu files beside it: %d are allowed",
		                 m->path, m->file_count, MANIFEST_BESIDE_MAX);
	for (size_t i = 0; r == 0 && i < m->file_count; i++)
		r = insert_file(c, m, &m->files[i], parent_ino, from + (int64_t)i);
	return r;
}

/* The files of the artifact with number ?1, one range of their table. */
#define FILES_OF                                                                                             \
	" FROM artifact a CROSS JOIN artifact_file f ON f.parent_ino = a.files_ino"                          \
	" AND f.sequence >= a.files_from AND f.sequence < a.files_from + a.files WHERE a.ino = ?1"

int files_delete(struct connection *c, uint64_t artifact_ino)
{
	static const char sql[] = "DELETE FROM artifact_file WHERE (parent_ino, sequence) IN"
	                          " (SELECT f.parent_ino, f.sequence" FILES_OF " LIMIT 1000)";

	return db_repeat(c, sql, VALUES(ino_value(artifact_ino)));
}

int catalog_files(struct catalog *c, uint64_t artifact_ino,
                  void (*row)(void *arg, const char *name, uint64_t size_bytes, const char *sha256),
                  void *arg)
{
	static const char sql[] =
	        "SELECT f.name, f.size_bytes, f.sha256" FILES_OF " AND a.tomb = 0 ORDER BY f.sequence";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(artifact_ino)));

	while (query_next(&query))
		row(arg, column_borrowed(query.row, 0), column_u64(query.row, 1),
		    column_borrowed(query.row, 2));
	return query.result;
}

/* What both kinds of files have, of the one with number ?1. */
#define OF_EITHER(column)                                                                                    \
	"SELECT a." column " FROM artifact a WHERE a.ino = ?1 AND a.tomb = 0"                                \
	" UNION ALL SELECT f." column " FROM artifact_file f"                                                \
	" CROSS JOIN artifact a ON a.ino = f.artifact_ino WHERE f.ino = ?1 AND a.tomb = 0"

int catalog_file_sha256(struct catalog *c, uint64_t ino, char ret[static SHA256_HEX_BYTES])
{
	static const char sql[] = OF_EITHER("sha256");
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r == 0)
		column_text(query.row, 0, ret, SHA256_HEX_BYTES);
	return r;
}

int catalog_extents(struct catalog *c, uint64_t ino, struct extents *ret)
{
	static const char sql[] = "SELECT encoded FROM extent_table WHERE id = (" OF_EITHER("extents_id") ")";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	return extents_decode(sqlite3_column_blob(query.row, 0), (size_t)sqlite3_column_bytes(query.row, 0),
	                      ret, NULL);
}

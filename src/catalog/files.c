// SPDX-License-Identifier: Apache-2.0
/*
 * The further files of artifacts, and the objects of all. Files come and go with their artifact, but
 * not by a trigger: a statement that changes a hundred thousand rows would keep what it may have to undo in
 * memory, so they go in batches.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/name.h>

int object_insert(struct connection *c, const struct manifest_object *o, int64_t *ret_id)
{
	static const char sql[] = "INSERT INTO object (key, cipher, stored_bytes, stored_sha256, extents)"
	                          " VALUES (?1, ?2, ?3, ?4, ?5)";
	static const struct manifest_object nothing = {.key = ""};
	_cleanup(free) uint8_t *encoded = NULL;
	size_t len;
	int r;

	if (!o)
		o = &nothing;
	if (o->extents.count != o->extents_count)
		return error_set(&c->error, ERROR_INTERNAL, EINVAL, "%s: its extent table was not loaded",
		                 o->key);
	encoded = extents_encode(&o->extents, &len);
	r = db_run(c, sql,
	           VALUES(text_value(o->key), text_value(o->cipher), int_value((int64_t)o->stored_bytes),
	                  text_value(o->stored_sha256), blob_value(encoded, len)));
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

struct value object_sealed_bytes(const struct manifest_object *o)
{
	return o && o->cipher ? int_value((int64_t)o->stored_bytes) : text_value(NULL);
}

/* One artifact's files as they are inserted. */
struct insertion {
	struct connection *c;
	const struct manifest *m;
	uint64_t artifact_ino;
	uint64_t parent_ino; /* what their range is below */
	int64_t sequence;    /* of the next row */
	bool deep;           /* something lies deeper than in the artifact itself */
};

struct file_row {
	const char *name;
	uint64_t size_bytes;
	const char *sha256;
	int64_t object_id;
	const struct manifest_object *object; /* NULL: it has none */
	bool is_directory, secret;
	uint64_t within_ino; /* 0: where nothing lies deeper */
};

static char *path_within(const struct manifest *m, const char *name, size_t len)
{
	return mem_printf("%s/%.*s", m->path, (int)len, name);
}

static int insert_row(struct insertion *i, const char *path, const struct file_row *row)
{
	static const char sql[] =
	        "INSERT INTO artifact_file (parent_ino, sequence, ino, artifact_ino, name, size_bytes,"
	        " sha256, object_id, is_directory, within_ino, secret, sealed_bytes)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
	uint64_t ino = ino_of_artifact(path);
	int r = check_ino(i->c, ino, path);

	if (r < 0)
		return r;
	return db_run(i->c, sql,
	              VALUES(ino_value(i->parent_ino), int_value(i->sequence++), ino_value(ino),
	                     ino_value(i->artifact_ino), text_value(row->name),
	                     int_value((int64_t)row->size_bytes), text_value(row->sha256),
	                     int_value(row->object_id), int_value(row->is_directory),
	                     row->within_ino ? ino_value(row->within_ino) : text_value(NULL),
	                     int_value(row->secret), object_sealed_bytes(row->object)));
}

/* The directory in which @name lies, of the first @len bytes of it. */
static uint64_t within_of(const struct insertion *i, const char *name, size_t len)
{
	_cleanup(free) char *path = NULL;

	while (len > 0 && name[len - 1] != '/')
		len--;
	if (!i->deep)
		return 0;
	if (len == 0)
		return i->artifact_ino;
	path = path_within(i->m, name, len - 1);
	return ino_of_artifact(path);
}

static int count_subdirectory(struct insertion *i, uint64_t within_ino)
{
	static const char artifact_sql[] =
	        "UPDATE artifact SET subdirectories = subdirectories + 1 WHERE ino = ?1";
	static const char file_sql[] =
	        "UPDATE artifact_file SET subdirectories = subdirectories + 1 WHERE ino = ?1";

	return db_run(i->c, within_ino == i->artifact_ino ? artifact_sql : file_sql,
	              VALUES(ino_value(within_ino)));
}

static int find_row(struct connection *c, uint64_t parent_ino, const char *name)
{
	static const char sql[] = "SELECT 1 FROM artifact_file WHERE parent_ino = ?1 AND name = ?2";

	return db_find(c, sql, VALUES(ino_value(parent_ino), text_value(name)));
}

/* The directory that is the first @len bytes of a file's name, unless it is there. */
static int insert_directory(struct insertion *i, const char *name, size_t len)
{
	_cleanup(free) char *own = mem_printf("%.*s", (int)len, name), *path = path_within(i->m, name, len);
	struct file_row row = {.name = own, .sha256 = "", .is_directory = true};
	int r = find_row(i->c, i->parent_ino, own);

	if (r != -ENOENT)
		return r;
	row.within_ino = within_of(i, name, len);
	r = object_insert(i->c, NULL, &row.object_id);
	if (r == 0)
		r = insert_row(i, path, &row);
	return r < 0 ? r : count_subdirectory(i, row.within_ino);
}

static int insert_file(struct insertion *i, const struct manifest_file *f)
{
	_cleanup(free) char *path = manifest_file_path(i->m, f);
	struct file_row row = {
	        .name = f->name, .size_bytes = f->size_bytes, .sha256 = f->sha256, .secret = f->secret};
	int r = 0;

	for (const char *slash = strchr(f->name, '/'); i->deep && r == 0 && slash;
	     slash = strchr(slash + 1, '/'))
		r = insert_directory(i, f->name, (size_t)(slash - f->name));
	if (r < 0 || str_ends(f->name, "/"))
		return r;
	row.within_ino = within_of(i, f->name, strlen(f->name));
	row.object = f->object == MANIFEST_NO_OBJECT ? NULL : &i->m->objects[f->object];
	r = object_insert(i->c, row.object, &row.object_id);
	return r < 0 ? r : insert_row(i, path, &row);
}

static int insert_objects(struct insertion *i)
{
	static const char sql[] =
	        "INSERT OR IGNORE INTO artifact_object (artifact_ino, role, object_id) VALUES (?1, ?2, ?3)";
	int r = 0;

	for (size_t k = 0; r == 0 && k < i->m->object_count; k++) {
		const struct manifest_object *o = &i->m->objects[k];
		int64_t id = 0;

		/* Those of parts are found by the manifest. */
		if (!o->role || manifest_is_of_part(i->m, k))
			continue;
		r = object_insert(i->c, o, &id);
		if (r == 0)
			r = db_run(i->c, sql,
			           VALUES(ino_value(i->artifact_ino), text_value(o->role), int_value(id)));
	}
	return r;
}

static bool is_deep(const struct manifest *m)
{
	for (size_t i = 0; m->is_directory && i < m->file_count; i++)
		if (strchr(m->files[i].name, '/'))
			return true;
	return false;
}

int files_insert(struct connection *c, const struct manifest *m, uint64_t directory_ino, int64_t sequence)
{
	static const char sql[] = "UPDATE artifact SET files = ?2 WHERE ino = ?1";
	int64_t from = m->is_directory ? 0 : sequence * MANIFEST_BESIDE_MAX;
	struct insertion i = {
	        .c = c,
	        .m = m,
	        .artifact_ino = ino_of_artifact(m->path),
	        .parent_ino = m->is_directory ? ino_of_artifact(m->path) : directory_ino,
	        .sequence = from,
	        .deep = is_deep(m),
	};
	size_t first = manifest_first_beside(m);
	/* Directories have rows of their own, so where a part begins is known only now. */
	_cleanup(free) int64_t *starts =
	        m->part_count > 0 ? mem_array(m->file_count + 1, sizeof(*starts)) : NULL;
	int r = 0;

	if (!m->is_directory && m->file_count - first > MANIFEST_BESIDE_MAX)
		return error_set(&c->error, ERROR_INTERNAL, EINVAL, "%s: %zu files beside it: %d are allowed",
		                 m->path, m->file_count - first, MANIFEST_BESIDE_MAX);
	for (size_t k = first; r == 0 && k < m->file_count; k++) {
		if (starts)
			starts[k] = i.sequence;
		r = insert_file(&i, &m->files[k]);
	}
	if (r == 0 && starts) {
		starts[m->file_count] = i.sequence;
		r = parts_insert(c, m, starts);
	}
	if (r == 0)
		r = insert_objects(&i);
	/* With the directories that were found among them. */
	return r < 0 ? r : db_run(c, sql, VALUES(ino_value(i.artifact_ino), int_value(i.sequence - from)));
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
	static const char sql[] = "SELECT f.name, f.size_bytes, iif(f.sealed_bytes IS NULL, f.sha256,"
	                          " (SELECT stored_sha256 FROM object WHERE id = f.object_id))" FILES_OF
	                          " AND a.tomb = 0 AND f.is_directory = 0 ORDER BY f.sequence";
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

static int read_object_row(sqlite3_stmt *row, struct manifest_object *ret)
{
	struct manifest_object o = {0};
	int r = extents_decode(sqlite3_column_blob(row, 4), (size_t)sqlite3_column_bytes(row, 4), &o.extents,
	                       NULL);

	if (r < 0)
		return r;
	o.key = column_string(row, 0);
	o.cipher = column_string(row, 1);
	o.stored_bytes = column_u64(row, 2);
	column_text(row, 3, o.stored_sha256, sizeof(o.stored_sha256));
	o.extents_count = o.extents.count;
	*ret = o;
	return 0;
}

int catalog_object(struct catalog *c, uint64_t ino, struct manifest_object *ret)
{
	static const char sql[] = "SELECT key, cipher, stored_bytes, stored_sha256, extents FROM object"
	                          " WHERE key <> '' AND id = (" OF_EITHER("object_id") ")";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	return r < 0 ? r : read_object_row(query.row, ret);
}

char *catalog_key(struct catalog *c, uint64_t ino)
{
	static const char sql[] =
	        "SELECT key FROM object WHERE key <> '' AND id = (" OF_EITHER("object_id") ")";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));

	if (query_one(&query) < 0)
		return NULL;
	return column_string(query.row, 0);
}

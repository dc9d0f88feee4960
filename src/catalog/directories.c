// SPDX-License-Identifier: Apache-2.0
/*
 * Directories: rows that exist for as long as something is in them, or a job is configured to write there.
 * Their inode numbers come from their paths; a number that another path has already is an error, never
 * another meaning of it.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/name.h>

int path_split(struct connection *c, const char *path, char **ret_directory, const char **ret_name,
               int64_t *ret_sequence)
{
	const char *slash = strrchr(path, '/');

	if (!slash || !slash[1] || name_is_reserved(slash + 1) || !tree_root_of(path) ||
	    slash == strchr(path, '/'))
		return error_set(&c->error, ERROR_USAGE, EINVAL, "'%s' is no path of a backup", path);
	*ret_directory = mem_printf("%.*s", (int)(slash - path), path);
	*ret_name = slash + 1;
	*ret_sequence = name_sequence(slash + 1);
	return 0;
}

static int add_missing_directory(struct connection *c, uint64_t parent_ino, const char *path,
                                 const char *name, int64_t mtime_us, uint64_t *ret_ino)
{
	static const char owner_sql[] = "SELECT path FROM directory WHERE ino = ?1";
	static const char insert_sql[] =
	        "INSERT INTO directory (ino, parent_ino, sequence, name, path, mtime_us) VALUES (?1, ?2,"
	        " (SELECT coalesce(max(sequence) + 1, 0) FROM directory WHERE parent_ino = ?2), ?3, ?4, ?5)";
	uint64_t ino = ino_of_directory(path);
	_cleanup(statement) sqlite3_stmt *owner = NULL;
	int r = db_row(c, &owner, owner_sql, VALUES(ino_value(ino)));

	if (r == 0)
		return error_set(&c->error, ERROR_CONFLICT, EEXIST,
		                 "%s and %s have the same inode number: one of them needs another name", path,
		                 column_borrowed(owner, 0));
	if (r != -ENOENT)
		return r;
	r = db_run(c, insert_sql,
	           VALUES(ino_value(ino), ino_value(parent_ino), text_value(name), text_value(path),
	                  int_value(mtime_us)));
	if (r == 0)
		*ret_ino = ino;
	return r;
}

static int find_directory(struct connection *c, const char *path, uint64_t *ret_ino)
{
	static const char sql[] = "SELECT ino FROM directory WHERE path = ?1";
	int64_t ino;
	int r = db_number(c, &ino, sql, VALUES(text_value(path)));

	if (r == 0)
		*ret_ino = (uint64_t)ino;
	return r;
}

int directory_ensure(struct connection *c, const char *path, int64_t mtime_us, uint64_t *ret_ino)
{
	static const char root_sql[] = "UPDATE directory SET mtime_us = ?2 WHERE ino = ?1 AND mtime_us = 0";
	const struct tree_root *root = tree_root_of(path);
	uint64_t ino = root ? root->catalog_ino : 0;
	int r = find_directory(c, path, ret_ino);

	if (r != -ENOENT)
		return r;
	if (!root || str_ends(path, "/"))
		return error_set(&c->error, ERROR_USAGE, EINVAL, "'%s' is no directory of backups", path);
	for (const char *name = path + strlen(root->name) + 1; name;) {
		size_t len = strcspn(name, "/");
		const char *end = name + len;
		_cleanup(free) char *part = mem_printf("%.*s", (int)(end - path), path);
		uint64_t parent_ino = ino;

		if (len == 0 || len >= NAME_MAX_BYTES || name[0] == '.')
			return error_set(&c->error, ERROR_USAGE, EINVAL, "'%s' is no directory of backups",
			                 path);
		r = find_directory(c, part, &ino);
		if (r == -ENOENT)
			r = add_missing_directory(c, parent_ino, part, part + (name - path), mtime_us, &ino);
		if (r < 0)
			return r;
		name = *end ? end + 1 : NULL;
	}
	/* A root has no time of its own before something is in it. */
	r = db_run(c, root_sql, VALUES(ino_value(root->catalog_ino), int_value(mtime_us)));
	if (r == 0)
		*ret_ino = ino;
	return r;
}

int directory_touch(struct connection *c, uint64_t ino, int64_t mtime_us)
{
	static const char sql[] =
	        "WITH RECURSIVE above (ino, parent_ino) AS ("
	        " SELECT ino, parent_ino FROM directory WHERE ino = ?1"
	        " UNION ALL SELECT d.ino, d.parent_ino FROM directory d JOIN above ON d.ino = "
	        "above.parent_ino)"
	        " UPDATE directory SET mtime_us = ?2 WHERE ino IN (SELECT ino FROM above) AND mtime_us < ?2";

	return db_run(c, sql, VALUES(ino_value(ino), int_value(mtime_us)));
}

int catalog_ensure_directory(struct catalog *c, const char *path, int64_t mtime_us, struct error *err)
{
	uint64_t ino;

	return TRANSACTION(c, err, directory_ensure(c->writer, path, mtime_us, &ino));
}

static int drop_empty(struct connection *c, const char *keep_json)
{
	static const char sql[] = "DELETE FROM directory AS d WHERE files = 0 AND subdirectories = 0"
	                          " AND parent_ino IS NOT NULL"
	                          " AND NOT EXISTS (SELECT 1 FROM artifact WHERE directory_ino = d.ino)"
	                          " AND path NOT IN (SELECT value FROM json_each(?1))";

	/* Dropping the last directory in another makes that one empty too. */
	return db_repeat(c, sql, VALUES(text_value(keep_json)));
}

int catalog_drop_empty_directories(struct catalog *c, const char *const *keep, struct error *err)
{
	_cleanup(json) struct json *paths = json_object_new();
	_cleanup(str) struct str text = {0};

	for (; *keep; keep++)
		json_set_string(paths, *keep, *keep);
	json_write(paths, 0, &text);
	return TRANSACTION(c, err, drop_empty(c->writer, str_text(&text)));
}

static int drop_directory(struct connection *c, const char *path)
{
	static const char sql[] =
	        "DELETE FROM directory AS d WHERE path = ?1 AND files = 0 AND subdirectories = 0"
	        " AND NOT EXISTS (SELECT 1 FROM artifact WHERE directory_ino = d.ino)";
	int r = db_run(c, sql, VALUES(text_value(path)));

	return r < 0 ? r : sqlite3_changes(c->db) > 0;
}

int catalog_drop_directory(struct catalog *c, const char *path, struct error *err)
{
	return TRANSACTION(c, err, drop_directory(c->writer, path));
}

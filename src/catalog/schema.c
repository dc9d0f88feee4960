// SPDX-License-Identifier: Apache-2.0
/* How an older file becomes a newer one: it goes through what of migrations.c it has not been through. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/codec/name.h>

static const char version_sql[] = "PRAGMA user_version";

static int end_transaction(struct connection *c, int r)
{
	static const char commit_sql[] = "COMMIT";

	if (r == 0)
		r = db_run(c, commit_sql, NULL, 0);
	if (r < 0 && !sqlite3_get_autocommit(c->db))
		sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

/* In one transaction: between two reads another process may make the file a catalog. */
static int read_marks(struct connection *c, int64_t *ret_version, int64_t *ret_owner, int64_t *ret_objects)
{
	static const char begin_sql[] = "BEGIN";
	static const char owner_sql[] = "PRAGMA application_id";
	static const char objects_sql[] = "SELECT count(*) FROM sqlite_schema";
	int r = db_run(c, begin_sql, NULL, 0);

	if (r == 0)
		r = db_number(c, ret_version, version_sql, NULL, 0);
	if (r == 0)
		r = db_number(c, ret_owner, owner_sql, NULL, 0);
	if (r == 0)
		r = db_number(c, ret_objects, objects_sql, NULL, 0);
	return end_transaction(c, r);
}

static int read_version(struct connection *c, int64_t *ret_version)
{
	int64_t owner = 0, objects = 0;
	int r = read_marks(c, ret_version, &owner, &objects);

	if (r < 0)
		return r;
	if (owner != SCHEMA_APPLICATION_ID && (*ret_version != 0 || objects != 0))
		return error_set(&c->error, ERROR_CORRUPT, EBADMSG,
		                 "%s is no catalog of keepfs: move it away, then run `keepfs rebuild`",
		                 c->catalog->file);
	return 0;
}

/* What leads from one format to another, unless another process has done it meanwhile. */
static int apply(struct connection *c, int64_t from, int64_t to, const char *sql)
{
	static const char begin_sql[] = "BEGIN IMMEDIATE";
	_cleanup(str) struct str script = {0};
	int64_t version = from;
	int r = db_run(c, begin_sql, NULL, 0);

	if (r == 0)
		r = db_number(c, &version, version_sql, NULL, 0);
	str_appendf(&script, "%s PRAGMA user_version = %d;", sql, (int)to);
	if (r == 0 && version == from)
		r = db_script(c, str_text(&script));
	return end_transaction(c, r);
}

/* A root that came with a newer keepfs has no row yet. The first one is of every catalog: without it this is none. */
static int make_roots(struct connection *c)
{
	static const char find_sql[] = "SELECT ino FROM directory WHERE ino = 0";
	static const char sql[] = "INSERT OR IGNORE INTO directory (ino, sequence, name, path, mtime_us)"
	                          " VALUES (?1, 0, ?2, ?2, 0)";
	int64_t root = 0;
	int r = db_number(c, &root, find_sql, NULL, 0);

	if (r == -ENOENT)
		return db_fail(c, SQLITE_CORRUPT);
	for (size_t i = 1; r == 0 && i < tree_roots_count; i++)
		r = db_run(c, sql,
		           VALUES(ino_value(tree_roots[i].catalog_ino), text_value(tree_roots[i].name)));
	return r;
}

int64_t schema_newest(void)
{
	return (int64_t)migration_count;
}

int schema_is_old(struct connection *c)
{
	int64_t version = 0;
	int r = read_version(c, &version);

	return r < 0 ? r : version < schema_newest();
}

int schema_migrate(struct connection *c)
{
	return schema_migrate_to(c, schema_newest());
}

int schema_migrate_to(struct connection *c, int64_t newest)
{
	int64_t version = 0;
	int r = read_version(c, &version);

	if (r == 0 && version > newest)
		return error_set(&c->error, ERROR_USAGE, ENOTSUP,
		                 "the catalog %s has format %d, this keepfs knows formats up to %d: use the "
		                 "newer keepfs "
		                 "that wrote it, or move it away and run `keepfs rebuild`",
		                 c->catalog->file, (int)version, (int)newest);
	if (r == 0 && version == 0 && newest == schema_newest()) {
		r = apply(c, 0, newest, schema_whole);
		if (r == 0)
			r = read_version(c, &version);
	}
	for (; r == 0 && version < newest; version++)
		r = apply(c, version, version + 1, migrations[version]);
	return r < 0 ? r : make_roots(c);
}

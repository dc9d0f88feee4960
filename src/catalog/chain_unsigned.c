// SPDX-License-Identifier: Apache-2.0
/* Manifests that are not signed, as links of the chain name them: those from before it, and those that were made while signing was off. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/str.h>
#include <keepfs/catalog/chain.h>
#include <keepfs/codec/name.h>

static int note_unsigned(struct connection *c, uint64_t store, const struct catalog_unsigned *a, int64_t link,
                         bool is_newest)
{
	static const char replace[] =
	        "INSERT OR REPLACE INTO chain_unsigned (store, ino, path, run_id, size_bytes, sha256, manifest, is_gone, link)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)";
	static const char learn[] =
	        "INSERT INTO chain_unsigned (store, ino, path, run_id, size_bytes, sha256, manifest, is_gone, link)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)"
	        " ON CONFLICT (ino, store) DO UPDATE SET run_id = excluded.run_id, size_bytes = excluded.size_bytes,"
	        "  sha256 = excluded.sha256, manifest = excluded.manifest, link = excluded.link, is_gone = 0"
	        " WHERE excluded.manifest <> '' AND iif(excluded.link > link, is_gone = 0 OR run_id <> excluded.run_id,"
	        "  is_gone = 0 AND manifest = '')";

	return db_run(c, is_newest ? replace : learn,
	              VALUES(ino_value(store), ino_value(ino_of_artifact(a->path)), text_value(a->path),
	                     int_value(a->run_id), int_value((int64_t)a->size_bytes),
	                     text_value(str_or_empty(a->sha256)), text_value(str_or_empty(a->manifest)),
	                     int_value(link)));
}

static int note_all_unsigned(struct connection *c, uint64_t store, const struct catalog_unsigned *artifacts,
                             size_t count, int64_t link, bool is_newest)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = artifacts[i].is_gone ? 0 : note_unsigned(c, store, &artifacts[i], link, is_newest);
	return r;
}

int chain_note_named(struct connection *c, uint64_t store, const struct catalog_unsigned *named, size_t count,
                     int64_t link)
{
	return note_all_unsigned(c, store, named, count, link, link > 1);
}

int catalog_unsigned_note(struct catalog *c, uint64_t store, const struct catalog_unsigned *artifacts,
                          size_t count, int64_t link, bool is_newest, struct error *err)
{
	return count == 0
	               ? 0
	               : TRANSACTION(c, err,
	                             note_all_unsigned(c->writer, store, artifacts, count, link, is_newest));
}

int chain_unsigned_gone(struct connection *c, uint64_t store, const char *path, int64_t run_id, int64_t link)
{
	static const char sql[] =
	        "INSERT INTO chain_unsigned (store, ino, path, run_id, size_bytes, sha256, manifest, is_gone, link)"
	        " VALUES (?1, ?2, ?3, ?4, 0, '', '', 1, ?5)"
	        " ON CONFLICT (ino, store) DO UPDATE SET is_gone = 1, link = max(link, excluded.link)"
	        " WHERE run_id = excluded.run_id";

	return db_run(c, sql,
	              VALUES(ino_value(store), ino_value(ino_of_artifact(path)), text_value(path),
	                     int_value(run_id), int_value(link)));
}

int catalog_unsigned_gone(struct catalog *c, uint64_t store, const char *path, int64_t run_id, int64_t link,
                          struct error *err)
{
	return TRANSACTION(c, err, chain_unsigned_gone(c->writer, store, path, run_id, link));
}

int catalog_unsigned_returned(struct catalog *c, uint64_t store, const char *path, int64_t run_id,
                              int64_t link, struct error *err)
{
	static const char sql[] =
	        "UPDATE chain_unsigned SET is_gone = 0, link = ?5"
	        " WHERE ino = ?2 AND store = ?1 AND path = ?3 AND run_id = ?4 AND link < ?5";

	return write_run(c, err, sql,
	                 VALUES(ino_value(store), ino_value(ino_of_artifact(path)), text_value(path),
	                        int_value(run_id), int_value(link)));
}

int catalog_unsigned_loosen(struct catalog *c, const char *path, int64_t run_id, struct error *err)
{
	static const char sql[] =
	        "UPDATE chain_unsigned SET manifest = '' WHERE ino = ?1 AND path = ?2 AND run_id = ?3";

	return write_run(c, err, sql,
	                 VALUES(ino_value(ino_of_artifact(path)), text_value(path), int_value(run_id)));
}

static int weigh_named(sqlite3_stmt *row, const struct manifest *m, const char *manifest)
{
	const char *named = str_or_empty(column_borrowed(row, 3));
	bool is_rewrapped = sqlite3_column_int64(row, 5);

	if (column_u64(row, 1) != m->size_bytes ||
	    !str_equal(column_borrowed(row, 2), str_or_empty(m->sha256)))
		return CATALOG_UNSIGNED_OTHER;
	if (!named[0] || strcmp(named, manifest) == 0)
		return CATALOG_UNSIGNED_NAMED;
	return is_rewrapped ? CATALOG_UNSIGNED_REWRAPPED : CATALOG_UNSIGNED_OTHER;
}

/* Of several stores, that one knows it is enough: it may have been copied from the one into the other. */
static int weigh_row(sqlite3_stmt *row, const struct manifest *m, const char *manifest)
{
	bool is_run = sqlite3_column_int64(row, 0) == m->run_id, is_gone = sqlite3_column_int64(row, 4);

	if (is_gone)
		return is_run ? CATALOG_UNSIGNED_GONE : CATALOG_UNSIGNED_UNKNOWN;
	return is_run ? weigh_named(row, m, manifest) : CATALOG_UNSIGNED_OTHER;
}

int catalog_unsigned_is(struct catalog *c, const struct manifest *m, const char *manifest)
{
	static const char sql[] =
	        "SELECT run_id, size_bytes, sha256, manifest, is_gone,"
	        " EXISTS (SELECT 1 FROM rewrap r WHERE r.ino = chain_unsigned.ino AND r.manifest <> '' AND r.manifest = ?3)"
	        " FROM chain_unsigned WHERE ino = ?1 AND path = ?2";
	_cleanup(query) struct query query = query_begin(
	        c, sql,
	        VALUES(ino_value(ino_of_artifact(m->path)), text_value(m->path), text_value(manifest)));
	int state = CATALOG_UNSIGNED_UNKNOWN;

	while (state != CATALOG_UNSIGNED_NAMED && query_next(&query)) {
		int found = weigh_row(query.row, m, manifest);

		state = found != CATALOG_UNSIGNED_UNKNOWN ? found : state;
	}
	return query.result < 0 ? query.result : state;
}

int catalog_unsigned_next(struct catalog *c, uint64_t store, int64_t begun_at_us, bool with_loose,
                          uint64_t *ino, char **ret_path)
{
	static const char sql[] =
	        "SELECT a.ino, d.path || '/' || a.name FROM artifact a JOIN directory d ON d.ino = a.directory_ino"
	        " LEFT JOIN chain_unsigned u ON u.ino = a.ino AND u.store = a.store"
	        " WHERE a.ino > ?1 AND a.store = ?2"
	        "  AND NOT EXISTS (SELECT 1 FROM chain_link l INDEXED BY chain_link_artifact WHERE l.store = ?2 AND l.artifact_ino = a.ino AND l.artifact_ino <> 0)"
	        "  AND iif(u.ino IS NULL OR u.run_id <> a.run_id, a.finished_at_us > ?3, ?4 <> 0 AND u.manifest = '' AND u.is_gone = 0)"
	        " ORDER BY a.ino LIMIT 1";
	_cleanup(query) struct query query = query_begin(
	        c, sql,
	        VALUES(ino_value(*ino), ino_value(store), int_value(begun_at_us), int_value(with_loose)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ino = column_u64(query.row, 0);
	*ret_path = column_string(query.row, 1);
	return 0;
}

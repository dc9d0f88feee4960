// SPDX-License-Identifier: Apache-2.0
/* The stores beside the catalog's own, and which artifact is where. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <stdlib.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/codec/name.h>

void catalog_store_finish(struct catalog_store *s)
{
	free(s->name);
	free(s->tenant);
	free(s->url);
	free(s->endpoint);
	free(s->region);
	free(s->credentials);
	free(s->trouble);
	*s = (struct catalog_store){0};
}

static int note_store(struct connection *c, const struct catalog_store *s, uint64_t *ret_id)
{
	static const char find_sql[] =
	        "SELECT id FROM store WHERE name = ?1 AND tenant = ?2 AND url = ?3 AND endpoint = ?4";
	static const char insert_sql[] =
	        "INSERT INTO store (name, tenant, url, endpoint, region, credentials, since_us)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
	static const char update_sql[] = "UPDATE store SET region = ?2, credentials = ?3 WHERE id = ?1"
	                                 " AND (region, credentials) <> (?2, ?3)";
	int64_t id = 0;
	int r = db_number(c, &id, find_sql,
	                  VALUES(text_value(str_or_empty(s->name)), text_value(str_or_empty(s->tenant)),
	                         text_value(s->url), text_value(str_or_empty(s->endpoint))));

	if (r == 0)
		r = db_run(c, update_sql,
		           VALUES(int_value(id), text_value(str_or_empty(s->region)),
		                  text_value(str_or_empty(s->credentials))));
	if (r == -ENOENT) {
		r = db_run(c, insert_sql,
		           VALUES(text_value(str_or_empty(s->name)), text_value(str_or_empty(s->tenant)),
		                  text_value(s->url), text_value(str_or_empty(s->endpoint)),
		                  text_value(str_or_empty(s->region)),
		                  text_value(str_or_empty(s->credentials)), int_value(clock_now_us())));
		id = sqlite3_last_insert_rowid(c->db);
	}
	if (r == 0)
		*ret_id = (uint64_t)id;
	return r;
}

int catalog_note_store(struct catalog *c, const struct catalog_store *store, uint64_t *ret_id,
                       struct error *err)
{
	return TRANSACTION(c, err, note_store(c->writer, store, ret_id));
}

static void read_store(sqlite3_stmt *row, struct catalog_store *ret)
{
	*ret = (struct catalog_store){
	        .id = column_u64(row, 0),
	        .name = column_string(row, 1),
	        .tenant = column_string(row, 2),
	        .url = column_string(row, 3),
	        .endpoint = column_string(row, 4),
	        .region = column_string(row, 5),
	        .credentials = column_string(row, 6),
	        .trouble = column_string(row, 7),
	        .trouble_us = sqlite3_column_int64(row, 8),
	        .artifacts = column_u64(row, 9),
	};
}

#define STORE_COLUMNS                                                                                        \
	"id, name, tenant, url, endpoint, region, credentials, trouble, trouble_us, (SELECT count(*) FROM artifact a WHERE a.store = store.id AND a.store <> 0)"

int catalog_get_store(struct catalog *c, uint64_t id, struct catalog_store *ret)
{
	static const char sql[] = "SELECT " STORE_COLUMNS " FROM store WHERE id = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value((int64_t)id)));
	int r = query_one(&query);

	if (r == 0)
		read_store(query.row, ret);
	return r;
}

static int store_behind(struct catalog *c, uint64_t after, struct catalog_store *ret)
{
	static const char sql[] =
	        "SELECT " STORE_COLUMNS " FROM store WHERE id > ?1 AND id > 0 ORDER BY id LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value((int64_t)after)));
	int r = query_one(&query);

	if (r == 0)
		read_store(query.row, ret);
	return r;
}

int catalog_each_store(struct catalog *c, uint64_t after,
                       int (*row)(void *arg, const struct catalog_store *store, struct error *err), void *arg,
                       struct error *err)
{
	for (;;) {
		_cleanup(catalog_store) struct catalog_store store = {0};
		int r = store_behind(c, after, &store);

		if (r < 0)
			return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
		after = store.id;
		r = row(arg, &store, err);
		if (r != 0)
			return r;
	}
}

int catalog_set_store_trouble(struct catalog *c, uint64_t id, const char *why, struct error *err)
{
	static const char sql[] = "UPDATE store SET trouble = ?2, trouble_us ="
	                          " iif(?2 = '', 0, iif(trouble = '', ?3, trouble_us))"
	                          " WHERE id = ?1 AND trouble <> ?2";

	return write_run(
	        c, err, sql,
	        VALUES(int_value((int64_t)id), text_value(str_or_empty(why)), int_value(clock_now_us())));
}

int catalog_store_of(struct catalog *c, const char *path, uint64_t *ret_id)
{
	/* The intent first: it ends in the transaction that makes the row. */
	static const char sql[] = "SELECT store FROM intent WHERE path = ?1 UNION ALL"
	                          " SELECT store FROM artifact a JOIN directory d ON d.ino = a.directory_ino"
	                          " WHERE a.ino = ?2 AND d.path || '/' || a.name = ?1 LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(path), ino_value(ino_of_artifact(path))));
	int r = query_one(&query);

	if (r < 0 && r != -ENOENT)
		return r;
	*ret_id = r == 0 ? column_u64(query.row, 0) : CATALOG_MAIN_STORE;
	return 0;
}

int catalog_store_of_ino(struct catalog *c, uint64_t ino, uint64_t *ret_id)
{
	static const char sql[] =
	        "SELECT store FROM artifact WHERE ino = ?1 UNION ALL SELECT a.store FROM artifact_file f"
	        " JOIN artifact a ON a.ino = f.artifact_ino WHERE f.ino = ?1 LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r < 0 && r != -ENOENT)
		return r;
	*ret_id = r == 0 ? column_u64(query.row, 0) : CATALOG_MAIN_STORE;
	return 0;
}

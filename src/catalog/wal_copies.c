// SPDX-License-Identifier: Apache-2.0
/* What further stores have of WAL archives. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/base/str.h>
#include <keepfs/catalog/wal_copies.h>

int catalog_wal_copies(struct catalog *c, const char *job,
                       int (*row)(void *arg, const struct catalog_wal_copy *copy), void *arg)
{
	static const char sql[] =
	        "SELECT store, up_to, failing_since_us, why, count(s.id), coalesce(sum(s.stored_bytes), 0),"
	        " coalesce(min(s.arrived_us), 0) FROM wal_copy LEFT JOIN wal_segment s"
	        " ON s.job = wal_copy.job AND s.id > up_to AND s.is_going = 0 WHERE wal_copy.job = ?1 GROUP BY store ORDER BY store";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));
	int r = 0;

	while (r == 0 && query_next(&query)) {
		struct catalog_wal_copy copy = {.store = column_u64(query.row, 0),
		                                .up_to = sqlite3_column_int64(query.row, 1),
		                                .failing_since_us = sqlite3_column_int64(query.row, 2),
		                                .files = column_u64(query.row, 4),
		                                .stored_bytes = column_u64(query.row, 5),
		                                .oldest_us = sqlite3_column_int64(query.row, 6)};

		column_text(query.row, 3, copy.why, sizeof(copy.why));
		r = row(arg, &copy);
	}
	return r ? r : query.result;
}

static int begin_wal_copy(struct connection *c, const char *job, uint64_t store, int64_t *ret_up_to)
{
	static const char add_sql[] =
	        "INSERT OR IGNORE INTO wal_copy (job, store, up_to, failing_since_us, why) VALUES (?1, ?2, 0, 0, '')";
	static const char sql[] = "SELECT up_to FROM wal_copy WHERE job = ?1 AND store = ?2";
	int r = db_run(c, add_sql, VALUES(text_value(job), ino_value(store)));

	return r < 0 ? r : db_number(c, ret_up_to, sql, VALUES(text_value(job), ino_value(store)));
}

int catalog_wal_copy_begin(struct catalog *c, const char *job, uint64_t store, int64_t *ret_up_to,
                           struct error *err)
{
	static const char sql[] = "SELECT up_to FROM wal_copy WHERE job = ?1 AND store = ?2";
	int r;

	{
		_cleanup(query) struct query query =
		        query_begin(c, sql, VALUES(text_value(job), ino_value(store)));

		r = query_one(&query);
		if (r == 0)
			*ret_up_to = sqlite3_column_int64(query.row, 0);
	}
	return r == -ENOENT ? TRANSACTION(c, err, begin_wal_copy(c->writer, job, store, ret_up_to)) : r;
}

/* Of what is not listed any more nobody else will tell the store. */
static int note_wal_copied(struct connection *c, uint64_t store, const struct catalog_wal *w)
{
	static const char find_sql[] = "SELECT 1 FROM wal_segment WHERE id = ?1";
	static const char left_sql[] = "INSERT OR IGNORE INTO wal_left (store, key) VALUES (?1, ?2)";
	static const char sql[] = "UPDATE wal_copy SET up_to = ?3, failing_since_us = 0, why = ''"
	                          " WHERE job = ?1 AND store = ?2 AND up_to < ?3";
	int r = db_find(c, find_sql, VALUES(int_value(w->id)));

	if (r == -ENOENT)
		r = db_run(c, left_sql, VALUES(ino_value(store), text_value(w->key)));
	return r < 0 ? r : db_run(c, sql, VALUES(text_value(w->job), ino_value(store), int_value(w->id)));
}

int catalog_wal_copied(struct catalog *c, uint64_t store, const struct catalog_wal *w, struct error *err)
{
	return TRANSACTION(c, err, note_wal_copied(c->writer, store, w));
}

int catalog_wal_copy_failed(struct catalog *c, const char *job, uint64_t store, int64_t now_us,
                            const char *why, struct error *err)
{
	static const char sql[] =
	        "UPDATE wal_copy SET failing_since_us = CASE WHEN ?4 IS NULL THEN 0 WHEN failing_since_us = 0 THEN ?3"
	        " ELSE failing_since_us END, why = coalesce(?4, '') WHERE job = ?1 AND store = ?2 AND why <> coalesce(?4, '')";

	return write_run(c, err, sql,
	                 VALUES(text_value(job), ino_value(store), int_value(now_us), text_value(why)));
}

int catalog_wal_spare(struct catalog *c, const struct catalog_wal *w, uint64_t after, uint64_t *ret_store)
{
	static const char sql[] =
	        "SELECT store FROM wal_copy WHERE job = ?1 AND up_to >= ?2 AND store > ?3 ORDER BY store LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(w->job), int_value(w->id), ino_value(after)));
	int r = query_one(&query);

	if (r == 0)
		*ret_store = column_u64(query.row, 0);
	return r;
}

int wal_leave_copies(struct connection *c, const char *job, int64_t id, const char *key)
{
	static const char sql[] = "INSERT OR IGNORE INTO wal_left (store, key)"
	                          " SELECT store, ?3 FROM wal_copy WHERE job = ?1 AND up_to >= ?2";

	return db_run(c, sql, VALUES(text_value(job), int_value(id), text_value(key)));
}

int catalog_wal_left(struct catalog *c, uint64_t store, const char *after, char ret_key[STORE_KEY_BYTES])
{
	static const char sql[] =
	        "SELECT key FROM wal_left WHERE store = ?1 AND key > ?2 ORDER BY key LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(store), text_value(after)));
	int r = query_one(&query);

	if (r == 0)
		column_text(query.row, 0, ret_key, STORE_KEY_BYTES);
	return r;
}

int catalog_wal_left_gone(struct catalog *c, uint64_t store, const char *key, struct error *err)
{
	static const char sql[] = "DELETE FROM wal_left WHERE store = ?1 AND key = ?2";

	return write_run(c, err, sql, VALUES(ino_value(store), text_value(key)));
}

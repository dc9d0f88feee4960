// SPDX-License-Identifier: Apache-2.0
/* See keepfs/catalog/replica_locks.h. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/replica_locks.h>

int catalog_replica_lock(struct catalog *c, const char *path, uint64_t store,
                         struct catalog_replica_lock *ret)
{
	static const char sql[] = "SELECT mode, until_us, tiers, is_held, is_put_off, failed_us, why"
	                          " FROM replica_lock WHERE path = ?1 AND store = ?2";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(path), int_value((int64_t)store)));
	int r = query_one(&query);

	*ret = (struct catalog_replica_lock){0};
	if (r < 0)
		return r;
	*ret = (struct catalog_replica_lock){.mode = sqlite3_column_int(query.row, 0),
	                                     .until_us = sqlite3_column_int64(query.row, 1),
	                                     .tiers = sqlite3_column_int(query.row, 2),
	                                     .is_held = sqlite3_column_int(query.row, 3),
	                                     .is_put_off = sqlite3_column_int(query.row, 4),
	                                     .failed_us = sqlite3_column_int64(query.row, 5)};
	column_text(query.row, 6, ret->why, sizeof(ret->why));
	return 0;
}

int catalog_set_replica_lock(struct catalog *c, const char *path, uint64_t store,
                             const struct catalog_replica_lock *l, struct error *err)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO replica_lock (path, store, mode, until_us, tiers, is_held, is_put_off, failed_us, why)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

	return write_run(c, err, sql,
	                 VALUES(text_value(path), int_value((int64_t)store), int_value(l->mode),
	                        int_value(l->until_us), int_value(l->tiers), int_value(l->is_held),
	                        int_value(l->is_put_off), int_value(l->failed_us), text_value(l->why)));
}

int catalog_artifact_tiers(struct catalog *c, uint64_t ino, int *ret)
{
	static const char sql[] = "SELECT tiers FROM artifact WHERE ino = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r == 0)
		*ret = sqlite3_column_int(query.row, 0);
	return r;
}

int catalog_replica_lock_state(struct catalog *c, int64_t now_us, struct catalog_replica_lock_state *ret)
{
	static const char count_sql[] =
	        "SELECT coalesce(sum(until_us > ?1), 0), coalesce(sum(is_put_off), 0), coalesce(sum(failed_us > 0), 0)"
	        " FROM replica_lock";
	static const char first_sql[] =
	        "SELECT failed_us, path, store, why FROM replica_lock WHERE failed_us > 0 ORDER BY failed_us, path LIMIT 1";
	_cleanup(query) struct query counts = query_begin(c, count_sql, VALUES(int_value(now_us)));
	int r = query_one(&counts);

	*ret = (struct catalog_replica_lock_state){0};
	if (r < 0)
		return r;
	ret->locked = column_u64(counts.row, 0);
	ret->put_off = column_u64(counts.row, 1);
	ret->failing = column_u64(counts.row, 2);
	if (ret->failing == 0)
		return 0;
	_cleanup(query) struct query first = query_within(counts.connection, first_sql, NULL, 0);
	r = query_one(&first);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	ret->since_us = sqlite3_column_int64(first.row, 0);
	column_text(first.row, 1, ret->path, sizeof(ret->path));
	ret->store = column_u64(first.row, 2);
	column_text(first.row, 3, ret->why, sizeof(ret->why));
	return 0;
}

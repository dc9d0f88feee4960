// SPDX-License-Identifier: Apache-2.0
/* The files of WAL archives. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/wal_places.h>

void take_wal_row(const struct query *query, struct catalog_wal *ret)
{
	*ret = (struct catalog_wal){.id = sqlite3_column_int64(query->row, 0),
	                            .bytes = sqlite3_column_type(query->row, 4) == SQLITE_NULL
	                                             ? CATALOG_WAL_UNKNOWN
	                                             : column_u64(query->row, 4),
	                            .stored_bytes = column_u64(query->row, 5),
	                            .arrived_us = sqlite3_column_int64(query->row, 7)};
	column_text(query->row, 1, ret->job, sizeof(ret->job));
	column_text(query->row, 2, ret->name, sizeof(ret->name));
	column_text(query->row, 3, ret->key, sizeof(ret->key));
	column_text(query->row, 6, ret->sha256, sizeof(ret->sha256));
}

static int find_wal_row(struct query *query, struct catalog_wal *ret)
{
	int r = query_one(query);

	if (r == 0)
		take_wal_row(query, ret);
	return r;
}

int catalog_wal_find(struct catalog *c, const char *job, const char *name, struct catalog_wal *ret)
{
	static const char sql[] = WAL_COLUMNS "WHERE job = ?1 AND name = ?2 AND is_going = 0";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job), text_value(name)));

	return find_wal_row(&query, ret);
}

int catalog_wal_by_id(struct catalog *c, int64_t id, struct catalog_wal *ret)
{
	static const char sql[] = WAL_COLUMNS "WHERE id = ?1 AND is_going = 0";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value(id)));

	return find_wal_row(&query, ret);
}

int catalog_wal_last(struct catalog *c, const char *job, struct catalog_wal *ret)
{
	static const char sql[] = WAL_COLUMNS "WHERE job = ?1 AND is_going = 0 ORDER BY id DESC LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));

	return find_wal_row(&query, ret);
}

int catalog_wal_last_segment(struct catalog *c, const char *job, const char *first, const char *last,
                             struct catalog_wal *ret)
{
	/* 24 letters have segments alone. */
	static const char sql[] = WAL_COLUMNS
	        "WHERE job = ?1 AND name >= ?2 AND name <= ?3 AND length(name) = 24 ORDER BY name DESC LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(job), text_value(first), text_value(last)));

	return find_wal_row(&query, ret);
}

ssize_t catalog_wal_page(struct catalog *c, const char *job, int64_t after, struct catalog_wal *rows,
                         size_t max)
{
	static const char sql[] =
	        WAL_COLUMNS "WHERE job = ?1 AND id > ?2 AND is_going = 0 ORDER BY id LIMIT ?3";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(job), int_value(after), int_value((int64_t)max)));
	ssize_t count = 0;

	while ((size_t)count < max && query_next(&query))
		take_wal_row(&query, &rows[count++]);
	return query.result < 0 ? query.result : count;
}

int catalog_wal_totals(struct catalog *c, const char *job, uint64_t *ret_files, uint64_t *ret_stored_bytes)
{
	static const char sql[] =
	        "SELECT count(*), coalesce(sum(stored_bytes), 0) FROM wal_segment WHERE job = ?1 AND is_going = 0";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));
	int r = query_one(&query);

	if (r == 0) {
		*ret_files = column_u64(query.row, 0);
		*ret_stored_bytes = column_u64(query.row, 1);
	}
	return r;
}

static struct value wal_bytes_value(uint64_t bytes)
{
	return bytes == CATALOG_WAL_UNKNOWN ? text_value(NULL) : int_value((int64_t)bytes);
}

static int add_wal_row(struct connection *c, const struct catalog_wal *w)
{
	static const char find_sql[] = "SELECT 1 FROM wal_segment WHERE job = ?1 AND name = ?2";
	static const char back_sql[] = "DELETE FROM wal_left WHERE key = ?1";
	static const char sql[] =
	        "INSERT INTO wal_segment (job, name, key, bytes, stored_bytes, sha256, arrived_us)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
	int r = db_find(c, find_sql, VALUES(text_value(w->job), text_value(w->name)));

	if (r != -ENOENT)
		return r == 0 ? -EEXIST : r;
	/* It may have been here before. */
	r = db_run(c, back_sql, VALUES(text_value(w->key)));
	if (r < 0)
		return r;
	return db_run(c, sql,
	              VALUES(text_value(w->job), text_value(w->name), text_value(w->key),
	                     wal_bytes_value(w->bytes), int_value((int64_t)w->stored_bytes),
	                     text_value(w->sha256), int_value(w->arrived_us)));
}

static int add_wal_known(struct connection *c, const struct catalog_wal *w,
                         const struct catalog_wal_known *known)
{
	int r = add_wal_row(c, w);

	return r < 0 ? r : wal_place_add(c, sqlite3_last_insert_rowid(c->db), w, known);
}

int catalog_wal_add_known(struct catalog *c, const struct catalog_wal *w,
                          const struct catalog_wal_known *known, struct error *err)
{
	return TRANSACTION(c, err, add_wal_known(c->writer, w, known));
}

int catalog_wal_add(struct catalog *c, const struct catalog_wal *w, struct error *err)
{
	return catalog_wal_add_known(c, w, &(struct catalog_wal_known){0}, err);
}

static int learn_wal_sums(struct catalog *catalog, int64_t id, uint64_t bytes, const char *sha256)
{
	static const char sql[] = "UPDATE wal_segment SET bytes = ?2, sha256 = ?3 WHERE id = ?1";

	write_touches(catalog, 0);
	return db_run(catalog->writer, sql,
	              VALUES(int_value(id), int_value((int64_t)bytes), text_value(sha256)));
}

int catalog_wal_learn_sums(struct catalog *c, int64_t id, uint64_t bytes, const char *sha256,
                           struct error *err)
{
	return TRANSACTION(c, err, learn_wal_sums(c, id, bytes, sha256));
}

/* Clusters. */

static const char cluster_sql[] = "SELECT system_id, segment_bytes FROM wal_cluster WHERE job = ?1";

static int take_wal_cluster(struct query *query, struct catalog_wal_cluster *ret)
{
	int r = query_one(query);

	if (r == 0)
		*ret = (struct catalog_wal_cluster){.system_id = column_u64(query->row, 0),
		                                    .segment_bytes = (uint32_t)column_u64(query->row, 1)};
	return r;
}

int catalog_wal_cluster(struct catalog *c, const char *job, struct catalog_wal_cluster *ret)
{
	_cleanup(query) struct query query = query_begin(c, cluster_sql, VALUES(text_value(job)));

	return take_wal_cluster(&query, ret);
}

static int find_wal_cluster(struct connection *c, const char *job, struct catalog_wal_cluster *ret)
{
	_cleanup(query) struct query query = query_within(c, cluster_sql, VALUES(text_value(job)));

	return take_wal_cluster(&query, ret);
}

static int bind_wal(struct catalog *catalog, const char *job, const struct catalog_wal_cluster *cluster)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO wal_cluster (job, system_id, segment_bytes) VALUES (?1, ?2, ?3)";
	struct catalog_wal_cluster now = {0};
	int r = find_wal_cluster(catalog->writer, job, &now);

	write_touches(catalog, 0);
	if (r == 0 && now.system_id != cluster->system_id)
		return -EEXIST;
	if (r == 0 && now.segment_bytes && cluster->segment_bytes &&
	    now.segment_bytes != cluster->segment_bytes)
		return -EEXIST;
	if (r == 0 && (now.segment_bytes || !cluster->segment_bytes))
		return 0;
	if (r < 0 && r != -ENOENT)
		return r;
	return db_run(
	        catalog->writer, sql,
	        VALUES(text_value(job), ino_value(cluster->system_id), int_value(cluster->segment_bytes)));
}

int catalog_wal_bind(struct catalog *c, const char *job, const struct catalog_wal_cluster *cluster,
                     struct error *err)
{
	return TRANSACTION(c, err, bind_wal(c, job, cluster));
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Records: what leaves the catalog for the store. A record and its rows are dropped in one transaction, after the store
 * has it; the numbers of the rows are kept with it, so that what becomes old in between is not dropped unseen.
 */
#include "access.h"

#include <errno.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/records.h>
#include <keepfs/catalog/runs.h>

void catalog_record_finish(struct catalog_record *record)
{
	free(record->key);
	free(record->content);
	*record = (struct catalog_record){0};
}

static int begin_record(struct connection *c, enum record_kind kind, const struct catalog_record *record,
                        const int64_t *ids, size_t count)
{
	static const char find_sql[] = "SELECT 1 FROM record WHERE kind = ?1";
	static const char record_sql[] = "INSERT INTO record (kind, key, content) VALUES (?1, ?2, ?3)";
	static const char row_sql[] = "INSERT INTO record_row (kind, id) VALUES (?1, ?2)";
	int r = db_find(c, find_sql, VALUES(int_value(kind)));

	if (r == 0)
		return error_set(&c->error, ERROR_CONFLICT, EBUSY, "a record is under way already");
	if (r == -ENOENT)
		r = db_run(c, record_sql,
		           VALUES(int_value(kind), text_value(record->key),
		                  blob_value(record->content, record->bytes)));
	for (size_t i = 0; r == 0 && i < count; i++)
		r = db_run(c, row_sql, VALUES(int_value(kind), int_value(ids[i])));
	return r;
}

int catalog_begin_record(struct catalog *c, enum record_kind kind, const struct catalog_record *record,
                         const int64_t *ids, size_t count, struct error *err)
{
	return TRANSACTION(c, err, begin_record(c->writer, kind, record, ids, count));
}

int catalog_record(struct catalog *c, enum record_kind kind, struct catalog_record *ret)
{
	static const char sql[] = "SELECT key, content FROM record WHERE kind = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value(kind)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret = (struct catalog_record){.key = column_string(query.row, 0),
	                               .bytes = (size_t)sqlite3_column_bytes(query.row, 1)};
	ret->content = mem_alloc(ret->bytes);
	memcpy(ret->content, sqlite3_column_blob(query.row, 1), ret->bytes);
	return 0;
}

static int drop_audits(struct catalog *c)
{
	static const char sql[] = "DELETE FROM audit WHERE id IN (SELECT id FROM record_row WHERE kind = 0)";

	write_touches(c, TOUCHES_AUDIT);
	return db_run(c->writer, sql, NULL, 0);
}

/* Nor one that has got a backup since the record was begun: it was found in the store, and listed again. */
#define OF_MOVED_RUN                                                                                         \
	" IN (SELECT id FROM record_row r WHERE kind = 1"                                                    \
	" AND NOT EXISTS (SELECT 1 FROM artifact a WHERE a.run_id = r.id))"

static int drop_runs(struct catalog *c)
{
	static const char log_sql[] = "DELETE FROM run_log WHERE run_id" OF_MOVED_RUN;
	static const char targets_sql[] = "DELETE FROM run_target WHERE run_id" OF_MOVED_RUN;
	static const char runs_sql[] = "DELETE FROM run WHERE id" OF_MOVED_RUN;
	int r = db_run(c->writer, log_sql, NULL, 0);

	if (r == 0)
		r = db_run(c->writer, targets_sql, NULL, 0);
	return r < 0 ? r : db_run(c->writer, runs_sql, NULL, 0);
}

static int drop_record(struct catalog *c, enum record_kind kind)
{
	static const char rows_sql[] = "DELETE FROM record_row WHERE kind = ?1";
	static const char record_sql[] = "DELETE FROM record WHERE kind = ?1";
	int r = kind == RECORD_AUDIT ? drop_audits(c) : drop_runs(c);

	if (r == 0)
		r = db_run(c->writer, rows_sql, VALUES(int_value(kind)));
	return r < 0 ? r : db_run(c->writer, record_sql, VALUES(int_value(kind)));
}

int catalog_end_record(struct catalog *c, enum record_kind kind, struct error *err)
{
	return TRANSACTION(c, err, drop_record(c, kind));
}

/* The number from which on all are too old by their number; 0: none is. */
static int oldest_kept(struct catalog *c, uint64_t keep, int64_t *ret_id)
{
	static const char sql[] = "SELECT id FROM run ORDER BY id DESC LIMIT 1 OFFSET ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value((int64_t)keep)));
	int r = query_one(&query);

	*ret_id = r == 0 ? sqlite3_column_int64(query.row, 0) : 0;
	return r == -ENOENT ? 0 : r;
}

ssize_t catalog_old_runs(struct catalog *c, const struct catalog_run_age *age, int64_t *ids, size_t max)
{
	/* Where each job's runs begin that may leave is looked up once a job, not once a run. */
	static const char sql[] =
	        "WITH may_leave (job, up_to) AS MATERIALIZED (SELECT job, coalesce((SELECT id FROM run r"
	        "  WHERE r.job = t.job ORDER BY id DESC LIMIT 1 OFFSET ?3), 0)"
	        "  FROM (SELECT DISTINCT job FROM run_total) t)"
	        " SELECT r.id FROM run r CROSS JOIN may_leave m ON m.job = r.job"
	        " WHERE r.id <= m.up_to AND (r.id <= ?1 OR r.queued_at_us < ?2) AND r.state >= 2"
	        " AND NOT EXISTS (SELECT 1 FROM artifact a WHERE a.run_id = r.id)"
	        " ORDER BY r.id LIMIT ?4";
	int64_t up_to = 0;
	size_t count = 0;
	int r = age->keep ? oldest_kept(c, age->keep, &up_to) : 0;
	_cleanup(query) struct query query = {0};

	if (r < 0)
		return r;
	query = query_begin(c, sql,
	                    VALUES(int_value(up_to), int_value(age->before_us),
	                           int_value((int64_t)age->keep_of_job), int_value((int64_t)max)));
	while (count < max && query_next(&query))
		ids[count++] = sqlite3_column_int64(query.row, 0);
	return query.result < 0 ? query.result : (ssize_t)count;
}

// SPDX-License-Identifier: Apache-2.0
/* A catalog that was made from a copy: what it tells is of the moment of the copy, and what the store tells is newer. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/copy.h>

static int answer_of(struct catalog *c, const char *sql)
{
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);
	int r = query_one(&query);

	return r < 0 ? r : sqlite3_column_int(query.row, 0);
}

int catalog_is_new(struct catalog *c)
{
	static const char sql[] =
	        "SELECT NOT EXISTS (SELECT 1 FROM artifact) AND NOT EXISTS (SELECT 1 FROM run)"
	        " AND NOT EXISTS (SELECT 1 FROM audit) AND NOT EXISTS (SELECT 1 FROM bound_store)"
	        " AND NOT EXISTS (SELECT 1 FROM copied)";

	return answer_of(c, sql);
}

int catalog_is_restored(struct catalog *c)
{
	static const char sql[] = "SELECT EXISTS (SELECT 1 FROM copied)";

	return answer_of(c, sql);
}

/* Such a run is taken as one made from manifests: those that it has published since make it complete. */
static int open_runs(struct connection *c)
{
	static const char runs_sql[] = "UPDATE run SET rebuilt = 1 WHERE state IN (0, 1)";
	static const char targets_sql[] = "DELETE FROM run_target WHERE state IN (0, 1)"
	                                  " AND run_id IN (SELECT id FROM run WHERE state IN (0, 1))";
	int r = db_run(c, runs_sql, NULL, 0);

	return r < 0 ? r : db_run(c, targets_sql, NULL, 0);
}

/* Copies that an earlier keepfs has made have them. */
static int drop_old_notices(struct connection *c)
{
	static const char script[] =
	        "DELETE FROM notice; DELETE FROM notice_receiver;"
	        "DELETE FROM notice_told; DELETE FROM notice_beat; DELETE FROM notice_look";

	return db_script(c, script);
}

static int begin_restored(struct connection *c)
{
	int r = open_runs(c);

	return r < 0 ? r : drop_old_notices(c);
}

int catalog_restored_begin(struct catalog *c, struct error *err)
{
	return TRANSACTION(c, err, begin_restored(c->writer));
}

static int drop_recorded_audit(struct connection *c, const struct catalog_recorded *row)
{
	static const char sql[] = "DELETE FROM audit WHERE id = ?1 AND at_us = ?2";

	return db_run(c, sql, VALUES(int_value(row->id), int_value(row->at_us)));
}

static int drop_recorded_run(struct connection *c, const struct catalog_recorded *row)
{
	static const char find_sql[] = "SELECT 1 FROM run WHERE id = ?1 AND queued_at_us = ?2"
	                               " AND NOT EXISTS (SELECT 1 FROM artifact WHERE run_id = ?1)";
	static const char log_sql[] = "DELETE FROM run_log WHERE run_id = ?1";
	static const char targets_sql[] = "DELETE FROM run_target WHERE run_id = ?1";
	static const char run_sql[] = "DELETE FROM run WHERE id = ?1";
	int r = db_find(c, find_sql, VALUES(int_value(row->id), int_value(row->at_us)));

	if (r == 0)
		r = db_run(c, log_sql, VALUES(int_value(row->id)));
	if (r == 0)
		r = db_run(c, targets_sql, VALUES(int_value(row->id)));
	if (r == 0)
		r = db_run(c, run_sql, VALUES(int_value(row->id)));
	return r == -ENOENT ? 0 : r;
}

static int drop_recorded(struct connection *c, enum record_kind kind, const struct catalog_recorded *rows,
                         size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = kind == RECORD_AUDIT ? drop_recorded_audit(c, &rows[i]) : drop_recorded_run(c, &rows[i]);
	return r;
}

int catalog_drop_recorded(struct catalog *c, enum record_kind kind, const struct catalog_recorded *rows,
                          size_t count, struct error *err)
{
	return TRANSACTION(c, err, drop_recorded(c->writer, kind, rows, count));
}

/* What has a backup has come to its end; what has none is failed by the next start, as after a crash. */
static int close_runs(struct connection *c)
{
	static const char sql[] =
	        "UPDATE run SET state = 2, started_at_us = iif(started_at_us = 0, queued_at_us, started_at_us)"
	        " WHERE state IN (0, 1) AND EXISTS"
	        " (SELECT 1 FROM run_target t WHERE t.run_id = run.id AND t.state = 2)";

	return db_run(c, sql, NULL, 0);
}

#define HOLDS_NOTHING " FROM hold WHERE artifact_ino NOT IN (SELECT ino FROM artifact)"

static int drop_holds(struct connection *c, const struct catalog_restored *restored)
{
	static const char find_sql[] = "SELECT name, reason" HOLDS_NOTHING;
	static const char drop_sql[] = "DELETE" HOLDS_NOTHING;
	_cleanup(query) struct query query = query_within(c, find_sql, NULL, 0);

	while (query_next(&query))
		restored->hold(restored->arg, column_borrowed(query.row, 0), column_borrowed(query.row, 1));
	if (query.result < 0 || !restored->all_listed)
		return query.result;
	return db_run(c, drop_sql, NULL, 0);
}

static int end_restored(struct connection *c, const struct catalog_restored *restored)
{
	static const char copied_sql[] = "DELETE FROM copied";
	int r = close_runs(c);

	if (r == 0)
		r = drop_holds(c, restored);
	return r < 0 ? r : db_run(c, copied_sql, NULL, 0);
}

int catalog_restored_end(struct catalog *c, const struct catalog_restored *restored, struct error *err)
{
	return TRANSACTION(c, err, end_restored(c->writer, restored));
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Runs: the history, of which the catalog is the truth. That a job has one run at a time is a unique index,
 * so no race can break it; of restores there may be several. A run's sums are columns that are made anew whenever one of its targets changes,
 * in the same transaction.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/catalog/runs.h>

const char *run_state_name(enum run_state state)
{
	static const char *const names[] = {"pending", "running", "completed", "failed", "cancelled"};

	return names[state];
}

static int refuse_second_run(struct connection *c, const char *job)
{
	static const char sql[] = "SELECT id, state FROM run WHERE job = ?1 AND state IN (0, 1)";
	_cleanup(statement) sqlite3_stmt *row = NULL;
	int r = db_row(c, &row, sql, VALUES(text_value(job)));

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	return error_set(&c->error, ERROR_CONFLICT, EBUSY, "job '%s' is busy: run %" PRId64 " is %s", job,
	                 (int64_t)sqlite3_column_int64(row, 0), run_state_name(sqlite3_column_int(row, 1)));
}

int run_add(struct connection *c, const struct catalog_run *run, int64_t *ret_id)
{
	static const char sql[] =
	        "INSERT INTO run (id, job, kind, state, triggered_by, queued_at_us, note, options)"
	        " VALUES (1 + max((SELECT coalesce(max(id), 0) FROM run),"
	        " (SELECT coalesce(max(used), 0) FROM run_number)), ?1, ?2, 0, ?3, ?4, ?5, ?6)";
	int r = strcmp(run->kind, "restore") == 0 ? 0 : refuse_second_run(c, run->job);

	if (r == 0)
		r = db_run(c, sql,
		           VALUES(text_value(run->job), text_value(run->kind), text_value(run->triggered_by),
		                  int_value(clock_now_us()), text_value(run->note),
		                  text_value(run->options)));
	if (r == 0)
		*ret_id = sqlite3_last_insert_rowid(c->db);
	return r;
}

int catalog_newest_run(struct catalog *c, int64_t *ret_id)
{
	static const char sql[] = "SELECT max(coalesce((SELECT max(id) FROM run), 0),"
	                          " coalesce((SELECT max(used) FROM run_number), 0))";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);
	int r = query_one(&query);

	if (r == 0)
		*ret_id = sqlite3_column_int64(query.row, 0);
	return r;
}

int catalog_raise_run_number(struct catalog *c, int64_t used, struct error *err)
{
	static const char sql[] = "INSERT INTO run_number (one, used) VALUES (1, ?1)"
	                          " ON CONFLICT (one) DO UPDATE SET used = excluded.used"
	                          " WHERE excluded.used > used";

	return write_run(c, err, sql, VALUES(int_value(used)));
}

int catalog_add_run(struct catalog *c, const struct catalog_run *run, int64_t *ret_id, struct error *err)
{
	int64_t id = 0;
	int r = TRANSACTION(c, err, run_add(c->writer, run, &id));

	if (r == 0)
		*ret_id = id;
	return r;
}

/* An update of one run that is in the state it must be in. */
static int change_run(struct connection *c, int64_t id, const char *must_be, const char *sql,
                      const struct value *values, size_t count)
{
	int r = db_run(c, sql, values, count);

	if (r == 0 && sqlite3_changes64(c->db) == 0)
		r = error_set(&c->error, ERROR_NOT_FOUND, ENOENT, "run %" PRId64 " is not %s", id, must_be);
	return r;
}

int catalog_start_run(struct catalog *c, int64_t id, struct error *err)
{
	static const char sql[] = "UPDATE run SET state = 1, started_at_us = ?2 WHERE id = ?1 AND state = 0";

	return TRANSACTION(
	        c, err,
	        change_run(c->writer, id, "pending", sql, VALUES(int_value(id), int_value(clock_now_us()))));
}

int catalog_warn_run(struct catalog *c, int64_t id, const char *warning, struct error *err)
{
	static const char sql[] = "UPDATE run SET warning = iif(warning = '', ?2, warning || '; ' || ?2)"
	                          " WHERE id = ?1";

	return TRANSACTION(
	        c, err, change_run(c->writer, id, "known", sql, VALUES(int_value(id), text_value(warning))));
}

/* A database whose own end was lost ends with the run. It is one of those for which the run failed or was
 * cancelled: what is whole was noted when its artifact was listed. */
static int finish_run(struct connection *c, int64_t id, enum run_state state, const char *error)
{
	static const char sql[] = "UPDATE run SET state = ?2, finished_at_us = ?3, error = ?4 WHERE id = ?1 "
	                          "AND state IN (0, 1)";
	int r = change_run(
	        c, id, "pending or running", sql,
	        VALUES(int_value(id), int_value(state), int_value(clock_now_us()), text_value(error)));

	return r < 0 ? r : run_settle_targets(c, id, state, error);
}

int catalog_finish_run(struct catalog *c, int64_t id, enum run_state state, const char *error,
                       struct error *err)
{
	return TRANSACTION(c, err, finish_run(c->writer, id, state, error ? error : ""));
}

#define RUN                                                                                                              \
	"SELECT id, job, kind, state, triggered_by, queued_at_us, started_at_us, finished_at_us, "                       \
	"size_bytes,"                                                                                                    \
	" targets, targets_failed, sha256, error, note, options, warning,"                                               \
	" (SELECT name || ': ' || damaged FROM artifact WHERE run_id = run.id AND job = run.job AND damaged IS NOT NULL" \
	" AND tomb = 0), tier,"                                                                                          \
	" CASE targets WHEN 1 THEN (SELECT label FROM run_target WHERE run_id = run.id) END FROM run WHERE "

static void read_run(sqlite3_stmt *row, struct catalog_run *run)
{
	_cleanup(str) struct str tiers = {0};

	*run = (struct catalog_run){
	        .id = sqlite3_column_int64(row, 0),
	        .state = (enum run_state)sqlite3_column_int(row, 3),
	        .queued_at_us = sqlite3_column_int64(row, 5),
	        .started_at_us = sqlite3_column_int64(row, 6),
	        .finished_at_us = sqlite3_column_int64(row, 7),
	        .size_bytes = column_u64(row, 8),
	        .targets = column_u64(row, 9),
	        .targets_failed = column_u64(row, 10),
	};
	column_text(row, 1, run->job, sizeof(run->job));
	column_text(row, 2, run->kind, sizeof(run->kind));
	column_text(row, 4, run->triggered_by, sizeof(run->triggered_by));
	column_text(row, 11, run->sha256, sizeof(run->sha256));
	column_text(row, 12, run->error, sizeof(run->error));
	column_text(row, 13, run->note, sizeof(run->note));
	column_text(row, 14, run->options, sizeof(run->options));
	column_text(row, 15, run->warning, sizeof(run->warning));
	column_text(row, 16, run->damaged, sizeof(run->damaged));
	manifest_append_tiers(&tiers, (unsigned)sqlite3_column_int(row, 17));
	str_copy(run->tier, sizeof(run->tier), str_text(&tiers));
	column_text(row, 18, run->org, sizeof(run->org));
}

int catalog_run(struct catalog *c, int64_t id, struct catalog_run *ret)
{
	static const char sql[] = RUN "id = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value(id)));
	int r = query_one(&query);

	if (r == 0)
		read_run(query.row, ret);
	return r;
}

ssize_t catalog_runs(struct catalog *c, const char *job, int64_t before, struct catalog_run *runs, size_t max)
{
	static const char all_sql[] = RUN "id < ?1 ORDER BY id DESC LIMIT ?2";
	static const char job_sql[] = RUN "id < ?1 AND job = ?3 ORDER BY id DESC LIMIT ?2";
	struct value values[] = {int_value(before > 0 ? before : INT64_MAX), int_value((int64_t)max),
	                         text_value(job)};
	size_t count = 0;
	_cleanup(query) struct query query = query_begin(c, job ? job_sql : all_sql, values, job ? 3 : 2);

	while (count < max && query_next(&query))
		read_run(query.row, &runs[count++]);
	return query.result < 0 ? query.result : (ssize_t)count;
}

int catalog_run_totals(struct catalog *c,
                       void (*row)(void *arg, const char *job, enum run_state state, uint64_t runs,
                                   int64_t last_finished_at_us),
                       void *arg)
{
	static const char sql[] =
	        "SELECT job, state, runs, last_finished_at_us FROM run_total ORDER BY job, state";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query))
		row(arg, column_borrowed(query.row, 0), (enum run_state)sqlite3_column_int(query.row, 1),
		    column_u64(query.row, 2), sqlite3_column_int64(query.row, 3));
	return query.result;
}

int catalog_last_ended(struct catalog *c, const char *job, enum run_state state, int64_t *ret_us)
{
	static const char all_sql[] =
	        "SELECT coalesce(max(last_finished_at_us), 0) FROM run_total WHERE state = ?1";
	static const char job_sql[] =
	        "SELECT coalesce(max(last_finished_at_us), 0) FROM run_total WHERE state = ?1 AND job = ?2";
	const struct value values[] = {int_value(state), text_value(job)};
	_cleanup(query) struct query query = query_begin(c, job ? job_sql : all_sql, values, job ? 2 : 1);
	int r = query_one(&query);

	if (r == 0)
		*ret_us = sqlite3_column_int64(query.row, 0);
	return r;
}

int catalog_unfinished_runs(struct catalog *c, void (*row)(void *arg, const struct catalog_run *run),
                            void *arg)
{
	static const char sql[] = RUN "state IN (0, 1) ORDER BY id";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query)) {
		struct catalog_run run;

		read_run(query.row, &run);
		row(arg, &run);
	}
	return query.result;
}

/* Lines are forgotten many at a time: to whoever follows the log it is a file that became shorter then, as one that is
 * rotated, and between two such moments one that only grows. */
#define LOG_LINES_KEPT 2000
#define LOG_LINES_MORE 500

static int log_run(struct connection *c, int64_t id, const char *line)
{
	static const char next_sql[] = "SELECT coalesce(max(number), 0) + 1 FROM run_log WHERE run_id = ?1";
	static const char insert_sql[] =
	        "INSERT INTO run_log (run_id, number, at_us, line) VALUES (?1, ?2, ?3, ?4)";
	static const char forget_sql[] = "DELETE FROM run_log WHERE run_id = ?1 AND number <= ?2";
	int64_t number;
	int r = db_number(c, &number, next_sql, VALUES(int_value(id)));

	if (r < 0)
		return r;
	r = db_run(c, insert_sql,
	           VALUES(int_value(id), int_value(number), int_value(clock_now_us()), text_value(line)));
	if (r == 0 && number % LOG_LINES_MORE == 0)
		r = db_run(c, forget_sql, VALUES(int_value(id), int_value(number - LOG_LINES_KEPT)));
	return r;
}

int catalog_log_run(struct catalog *c, int64_t id, const char *line, struct error *err)
{
	return TRANSACTION(c, err, log_run(c->writer, id, line));
}

int catalog_run_log(struct catalog *c, int64_t id, int64_t after,
                    void (*row)(void *arg, int64_t number, int64_t at_us, const char *line), void *arg)
{
	static const char sql[] =
	        "SELECT number, at_us, line FROM run_log WHERE run_id = ?1 AND number > ?2 ORDER BY number";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value(id), int_value(after)));

	while (query_next(&query))
		row(arg, sqlite3_column_int64(query.row, 0), sqlite3_column_int64(query.row, 1),
		    column_borrowed(query.row, 2));
	return query.result;
}

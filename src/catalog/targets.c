// SPDX-License-Identifier: Apache-2.0
/*
 * The databases of a run. An artifact that is listed is noted at its run here, so that a run knows what it
 * made even when the process ended before it could say so; and a rebuild makes runs that are not known from
 * what the manifests say.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <inttypes.h>

#include <keepfs/catalog/runs.h>

/* The columns of a run that sum up its targets; a SHA-256 only when one artifact is all there is. */
static int sum_up(struct connection *c, int64_t run_id)
{
	static const char sql[] = "UPDATE run SET (targets, targets_failed, size_bytes, sha256) ="
	                          " (SELECT count(*), count(*) FILTER (WHERE state = 3),"
	                          " coalesce(sum(size_bytes) FILTER (WHERE state = 2), 0),"
	                          " CASE count(*) FILTER (WHERE state = 2) WHEN 1 THEN max(sha256) FILTER "
	                          "(WHERE state = 2) ELSE '' END"
	                          " FROM run_target WHERE run_id = ?1) WHERE id = ?1";

	return db_run(c, sql, VALUES(int_value(run_id)));
}

static int set_target(struct connection *c, int64_t run_id, const struct catalog_target *target)
{
	static const char known_sql[] = "SELECT 1 FROM run WHERE id = ?1";
	static const char set_sql[] =
	        "INSERT INTO run_target (run_id, label, state, path, size_bytes, error) VALUES (?1, ?2, "
	        "?3, ?4, ?5, ?6)"
	        " ON CONFLICT (run_id, label) DO UPDATE SET state = excluded.state, path = excluded.path,"
	        " size_bytes = excluded.size_bytes, error = excluded.error,"
	        " sha256 = CASE path WHEN excluded.path THEN sha256 ELSE '' END";
	int r = db_find(c, known_sql, VALUES(int_value(run_id)));

	if (r == -ENOENT)
		return error_set(&c->error, ERROR_NOT_FOUND, ENOENT, "there is no run %" PRId64, run_id);
	if (r == 0)
		r = db_run(c, set_sql,
		           VALUES(int_value(run_id), text_value(target->label), int_value(target->state),
		                  text_value(target->path), int_value((int64_t)target->size_bytes),
		                  text_value(target->error)));
	if (r == 0)
		r = sum_up(c, run_id);
	return r;
}

int run_settle_targets(struct connection *c, int64_t run_id, enum run_state state, const char *error)
{
	static const char sql[] =
	        "UPDATE run_target SET state = ?2, error = ?3 WHERE run_id = ?1 AND state IN (0, 1)";
	int r = db_run(c, sql, VALUES(int_value(run_id), int_value(state), text_value(error)));

	if (r == 0 && sqlite3_changes64(c->db) > 0)
		r = sum_up(c, run_id);
	return r;
}

int catalog_set_target(struct catalog *c, int64_t run_id, const struct catalog_target *target,
                       struct error *err)
{
	return TRANSACTION(c, err, set_target(c->writer, run_id, target));
}

ssize_t catalog_run_targets(struct catalog *c, int64_t run_id, size_t offset, struct catalog_target *targets,
                            size_t max)
{
	static const char sql[] =
	        "SELECT label, state, path, size_bytes, error FROM run_target WHERE run_id = ?1"
	        " ORDER BY id LIMIT ?2 OFFSET ?3";
	size_t count = 0;
	_cleanup(query) struct query query = query_begin(
	        c, sql, VALUES(int_value(run_id), int_value((int64_t)max), int_value((int64_t)offset)));

	while (count < max && query_next(&query)) {
		struct catalog_target *target = &targets[count++];

		*target = (struct catalog_target){
		        .state = (enum run_state)sqlite3_column_int(query.row, 1),
		        .size_bytes = column_u64(query.row, 3),
		};
		column_text(query.row, 0, target->label, sizeof(target->label));
		column_text(query.row, 2, target->path, sizeof(target->path));
		column_text(query.row, 4, target->error, sizeof(target->error));
	}
	return query.result < 0 ? query.result : (ssize_t)count;
}

static int add_completed_target(struct connection *c, const struct manifest *m)
{
	static const char sql[] =
	        "INSERT INTO run_target (run_id, label, state, path, size_bytes, sha256, error)"
	        " VALUES (?1, ?2, 2, ?3, ?4, ?5, '') ON CONFLICT (run_id, label) DO UPDATE SET state = 2,"
	        " path = excluded.path, size_bytes = excluded.size_bytes, sha256 = excluded.sha256, error = "
	        "''";
	static const char tier_sql[] = "UPDATE run SET tier = tier | ?2 WHERE id = ?1";
	int r = db_run(c, sql,
	               VALUES(int_value(m->run_id), text_value(m->target), text_value(m->path),
	                      int_value((int64_t)m->size_bytes), text_value(m->sha256)));

	if (r == 0 && m->tiers)
		r = db_run(c, tier_sql, VALUES(int_value(m->run_id), int_value(m->tiers)));
	return r < 0 ? r : sum_up(c, m->run_id);
}

int run_note_artifact(struct connection *c, const struct manifest *m)
{
	static const char sql[] = "SELECT 1 FROM run WHERE id = ?1 AND job = ?2";
	int r = db_find(c, sql, VALUES(int_value(m->run_id), text_value(m->job)));

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : add_completed_target(c, m);
}

static int make_run(struct connection *c, const struct manifest *m)
{
	static const char sql[] =
	        "INSERT INTO run (id, job, kind, state, triggered_by, queued_at_us, started_at_us,"
	        " finished_at_us, rebuilt, note) VALUES (?1, ?2, ?3, 2, ?4, ?5, ?5, ?6, 1, ?7)";
	int r = db_run(c, sql,
	               VALUES(int_value(m->run_id), text_value(m->job), text_value(m->kind),
	                      text_value(m->triggered_by), int_value(m->started_at_us),
	                      int_value(m->finished_at_us), text_value(m->note ? m->note : "")));

	return r < 0 ? r : add_completed_target(c, m);
}

/* Another artifact of a run that was made from manifests: a label that it does not have yet. */
static int join_run(struct connection *c, const struct manifest *m)
{
	static const char sql[] =
	        "UPDATE run SET started_at_us = min(started_at_us, ?5), queued_at_us = min(queued_at_us, ?5),"
	        " finished_at_us = max(finished_at_us, ?6) WHERE id = ?1 AND job = ?2 AND kind = ?3"
	        " AND triggered_by = ?4 AND rebuilt = 1"
	        " AND NOT EXISTS (SELECT 1 FROM run_target WHERE run_id = ?1 AND label = ?7)";
	int r = db_run(c, sql,
	               VALUES(int_value(m->run_id), text_value(m->job), text_value(m->kind),
	                      text_value(m->triggered_by), int_value(m->started_at_us),
	                      int_value(m->finished_at_us), text_value(m->target)));

	/* Not the same run: its number was used twice, by catalogs that did not know each other. The first
	 * one stays. */
	if (r < 0 || sqlite3_changes64(c->db) == 0)
		return r;
	return add_completed_target(c, m);
}

int run_rebuild(struct connection *c, const struct manifest *m)
{
	static const char sql[] = "SELECT 1 FROM run WHERE id = ?1";
	int r = db_find(c, sql, VALUES(int_value(m->run_id)));

	if (r == -ENOENT)
		return make_run(c, m);
	return r < 0 ? r : join_run(c, m);
}

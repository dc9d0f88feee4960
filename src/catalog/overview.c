// SPDX-License-Identifier: Apache-2.0
/*
 * Few facts of many rows, for whoever shows everything at once. Runs are read without their long texts, and never more of
 * them than the caller looks at.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/overview.h>
#include <keepfs/codec/name.h>

int catalog_outcomes(struct catalog *c, const char *job,
                     bool (*row)(void *arg, const struct catalog_outcome *outcome), void *arg)
{
	static const char sql[] =
	        "SELECT id, state, warning <> '', options <> '', queued_at_us, started_at_us, finished_at_us,"
	        " size_bytes, targets, targets_failed FROM run WHERE job = ?1 ORDER BY id DESC";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));

	while (query_next(&query)) {
		const struct catalog_outcome outcome = {
		        .id = sqlite3_column_int64(query.row, 0),
		        .state = (enum run_state)sqlite3_column_int(query.row, 1),
		        .warned = sqlite3_column_int(query.row, 2),
		        .changed = sqlite3_column_int(query.row, 3),
		        .queued_at_us = sqlite3_column_int64(query.row, 4),
		        .started_at_us = sqlite3_column_int64(query.row, 5),
		        .finished_at_us = sqlite3_column_int64(query.row, 6),
		        .size_bytes = column_u64(query.row, 7),
		        .targets = column_u64(query.row, 8),
		        .targets_failed = column_u64(query.row, 9),
		};

		if (!row(arg, &outcome))
			return 0;
	}
	return query.result;
}

int catalog_results(struct catalog *c, int64_t run_id, uint64_t max,
                    void (*row)(void *arg, const struct catalog_result *result), void *arg)
{
	static const char sql[] = "SELECT label, state, path, size_bytes, error FROM run_target"
	                          " WHERE run_id = ?1 ORDER BY id LIMIT ?2";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value(run_id), int_value((int64_t)max)));

	while (query_next(&query)) {
		const struct catalog_result result = {
		        .label = column_borrowed(query.row, 0),
		        .state = (enum run_state)sqlite3_column_int(query.row, 1),
		        .path = column_borrowed(query.row, 2),
		        .size_bytes = column_u64(query.row, 3),
		        .error = column_borrowed(query.row, 4),
		};

		row(arg, &result);
	}
	return query.result;
}

/* No hold ends later than one that has no end. */
#define BACKUP                                                                                               \
	"a.job, a.kind, a.target, a.damaged, a.is_directory, a.partial, a.run_id, a.started_at_us,"          \
	" a.finished_at_us, a.verified_at_us, a.size_bytes, a.stored_bytes + a.files_bytes,"                 \
	" d.path || '/' || a.name, a.tiers, (SELECT max(iif(until_us = 0, 9223372036854775807, until_us))"   \
	" FROM hold WHERE artifact_ino = a.ino), a.encrypted_to <> '',"                                      \
	" EXISTS (SELECT 1 FROM chain_link l WHERE l.store = a.store AND l.artifact_ino = a.ino AND l.artifact_ino <> 0)"
#define BACKUP_COLUMNS 17

/* A number that is not negative: of an artifact of an earlier keepfs they are not known. */
static unsigned tiers_at(sqlite3_stmt *row, int at)
{
	int tiers = sqlite3_column_int(row, at);

	return tiers > 0 ? (unsigned)tiers : 0;
}

/* From column @at on. */
static struct catalog_backup backup_at(sqlite3_stmt *row, int at)
{
	return (struct catalog_backup){
	        .job = column_borrowed(row, at),
	        .kind = column_borrowed(row, at + 1),
	        .label = column_borrowed(row, at + 2),
	        .damaged = column_borrowed(row, at + 3),
	        .is_directory = sqlite3_column_int(row, at + 4),
	        .partial = sqlite3_column_int(row, at + 5),
	        .run_id = sqlite3_column_int64(row, at + 6),
	        .started_at_us = sqlite3_column_int64(row, at + 7),
	        .finished_at_us = sqlite3_column_int64(row, at + 8),
	        .verified_at_us = sqlite3_column_int64(row, at + 9),
	        .size_bytes = column_u64(row, at + 10),
	        .stored_bytes = column_u64(row, at + 11),
	        .path = column_borrowed(row, at + 12),
	        .tiers = tiers_at(row, at + 13),
	        .held_until_us = sqlite3_column_int64(row, at + 14),
	        .is_encrypted = sqlite3_column_int(row, at + 15),
	        .is_signed = sqlite3_column_int(row, at + 16),
	};
}

int catalog_newest_backups(struct catalog *c, uint64_t max,
                           void (*row)(void *arg, const struct catalog_backup *backup), void *arg)
{
	static const char sql[] = "SELECT " BACKUP " FROM artifact a INDEXED BY artifact_run"
	                          " CROSS JOIN directory d ON d.ino = a.directory_ino"
	                          " WHERE a.tomb = 0 AND a.trashed_at_us IS NULL"
	                          " AND (d.path < '" TREE_PACKS "/' OR d.path > '" TREE_PACKS
	                          "0') ORDER BY a.run_id DESC LIMIT ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value((int64_t)max)));

	while (query_next(&query)) {
		const struct catalog_backup backup = backup_at(query.row, 0);

		row(arg, &backup);
	}
	return query.result;
}

/* A directory is found by its path or by the one above it; both are indexes. */
#define HOLDING                                                                                              \
	"SELECT " BACKUP ", d.path, d.files, d.stored_bytes, a.ino IS NOT NULL"                              \
	" FROM directory d LEFT JOIN artifact a ON a.directory_ino = d.ino AND a.sequence ="                 \
	" (SELECT sequence FROM artifact INDEXED BY artifact_whole WHERE directory_ino = d.ino AND tomb = 0" \
	" AND partial = 0 AND damaged IS NULL AND trashed_at_us IS NULL ORDER BY run_id DESC, sequence DESC LIMIT 1) WHERE "

int catalog_holdings(struct catalog *c, const char *directory, uint64_t max,
                     void (*row)(void *arg, const struct catalog_holding *holding), void *arg)
{
	static const char sql[] =
	        "SELECT * FROM (" HOLDING "d.path = ?2 AND d.files > 0) UNION ALL"
	        " SELECT * FROM (" HOLDING "d.parent_ino = (SELECT ino FROM directory WHERE path = ?2)"
	        " ORDER BY d.sequence LIMIT ?1)";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value((int64_t)max), text_value(directory)));

	while (query_next(&query)) {
		const struct catalog_backup newest = backup_at(query.row, 0);
		const struct catalog_holding holding = {
		        .path = column_borrowed(query.row, BACKUP_COLUMNS),
		        .artifacts = column_u64(query.row, BACKUP_COLUMNS + 1),
		        .stored_bytes = column_u64(query.row, BACKUP_COLUMNS + 2),
		        .newest = sqlite3_column_int(query.row, BACKUP_COLUMNS + 3) ? &newest : NULL,
		};

		row(arg, &holding);
	}
	return query.result;
}

int catalog_tier_totals(struct catalog *c,
                        void (*row)(void *arg, const char *job, unsigned tiers, uint64_t artifacts,
                                    uint64_t stored_bytes),
                        void *arg)
{
	static const char sql[] = "SELECT job, tiers, artifacts, stored_bytes FROM tier_total"
	                          " WHERE artifacts > 0 ORDER BY job, tiers";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query))
		row(arg, column_borrowed(query.row, 0), tiers_at(query.row, 1), column_u64(query.row, 2),
		    column_u64(query.row, 3));
	return query.result;
}

int catalog_fact_of_run(struct catalog *c, int64_t run_id, const char *name, uint64_t max, int64_t *ret_sum)
{
	static const char sql[] =
	        "SELECT sum(fact) FROM (SELECT json_extract(facts, '$.' || ?2) AS fact FROM artifact"
	        " WHERE run_id = ?1 AND tomb = 0 AND partial = 0 LIMIT ?3) WHERE typeof(fact) = 'integer'";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value(run_id), text_value(name), int_value((int64_t)max)));
	int r = query_one(&query);

	if (r == 0 && sqlite3_column_type(query.row, 0) == SQLITE_NULL)
		r = -ENOENT;
	if (r == 0)
		*ret_sum = sqlite3_column_int64(query.row, 0);
	return r;
}

#define FACT_OF_GOOD                                                                                         \
	"SELECT json_extract(facts, '$.' || ?2), started_at_us FROM artifact INDEXED BY artifact_whole"      \
	" WHERE directory_ino = (SELECT ino FROM directory WHERE path = ?1) AND tomb = 0 AND partial = 0"    \
	" AND damaged IS NULL AND json_type(facts, '$.' || ?2) IS NOT NULL"

static int take_fact_of(struct query *query, char **ret_text, int64_t *ret_us)
{
	int r = query_one(query);

	if (r == 0) {
		*ret_text = column_string(query->row, 0);
		*ret_us = sqlite3_column_int64(query->row, 1);
	}
	return r == -ENOENT ? 0 : r;
}

int catalog_fact_then(struct catalog *c, const char *directory, const char *name, int64_t by_us,
                      struct catalog_fact_then *ret)
{
	static const char now_sql[] = FACT_OF_GOOD " ORDER BY run_id DESC, sequence DESC LIMIT 1";
	static const char then_sql[] =
	        FACT_OF_GOOD " AND started_at_us <= ?3 ORDER BY run_id DESC, sequence DESC LIMIT 1";
	static const char first_sql[] = FACT_OF_GOOD " ORDER BY run_id, sequence LIMIT 1";
	_cleanup(query) struct query now =
	        query_begin(c, now_sql, VALUES(text_value(directory), text_value(name)));
	int r;

	*ret = (struct catalog_fact_then){0};
	r = take_fact_of(&now, &ret->now, &ret->now_us);
	if (r == 0 && ret->now) {
		_cleanup(query) struct query then =
		        query_within(now.connection, then_sql,
		                     VALUES(text_value(directory), text_value(name), int_value(by_us)));

		r = take_fact_of(&then, &ret->then, &ret->then_us);
	}
	if (r == 0 && ret->now && !ret->then) {
		_cleanup(query) struct query first = query_within(
		        now.connection, first_sql, VALUES(text_value(directory), text_value(name)));

		r = take_fact_of(&first, &ret->then, &ret->then_us);
	}
	if (ret->then && ret->then_us == ret->now_us)
		mem_replace_string(&ret->then, NULL);
	return r;
}

int catalog_log_end(struct catalog *c, int64_t run_id, uint64_t max,
                    void (*row)(void *arg, int64_t at_us, const char *line), void *arg)
{
	static const char sql[] = "SELECT at_us, line FROM (SELECT number, at_us, line FROM run_log"
	                          " WHERE run_id = ?1 ORDER BY number DESC LIMIT ?2) ORDER BY number";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value(run_id), int_value((int64_t)max)));

	while (query_next(&query))
		row(arg, sqlite3_column_int64(query.row, 0), column_borrowed(query.row, 1));
	return query.result;
}

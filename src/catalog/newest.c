// SPDX-License-Identifier: Apache-2.0
/*
 * What a job's backups come to, and which of them is the newest: the one that was made last, by the number of its run.
 * The time that it bears is what some clock said.
 */
#include "access.h"

#include <keepfs/catalog/artifacts.h>

struct newest {
	int64_t run_id, at_us; /* 0: none */
};

static void take_newest(struct newest *newest, int64_t run_id, int64_t at_us)
{
	if (run_id > newest->run_id || (run_id == newest->run_id && at_us > newest->at_us))
		*newest = (struct newest){run_id, at_us};
}

/* Exchange @newest for the first row of @sql when that one was made later. */
static int find_newest(struct connection *c, const char *sql, const char *job, struct newest *newest)
{
	_cleanup(query) struct query query = query_within(c, sql, VALUES(text_value(job)));

	if (query_next(&query))
		take_newest(newest, sqlite3_column_int64(query.row, 0), sqlite3_column_int64(query.row, 1));
	return query.result < 0 ? query.result : 0;
}

#define MADE_LAST_OF(index)                                                                                  \
	"SELECT run_id, finished_at_us FROM artifact INDEXED BY " index " WHERE tomb = 0 AND job = ?1 AND "
#define MADE_LAST " ORDER BY run_id DESC, finished_at_us DESC LIMIT 1"

/* Of one job; good: neither partial nor damaged. */
static int find_newest_of_job(struct connection *c, const char *job, struct newest *any, struct newest *good)
{
	static const char good_sql[] =
	        MADE_LAST_OF("artifact_job_whole") "partial = 0 AND damaged IS NULL" MADE_LAST;
	static const char whole_sql[] = MADE_LAST_OF("artifact_job_whole") "partial = 0" MADE_LAST;
	static const char partial_sql[] = MADE_LAST_OF("artifact_job_partial") "partial = 1" MADE_LAST;
	int r = find_newest(c, good_sql, job, good);

	if (r == 0)
		r = find_newest(c, whole_sql, job, any);
	return r < 0 ? r : find_newest(c, partial_sql, job, any);
}

static void take_oldest(struct catalog_totals *totals, int64_t at_us)
{
	if (at_us && (totals->oldest_at_us == 0 || at_us < totals->oldest_at_us))
		totals->oldest_at_us = at_us;
}

#define TOTALS                                                                                               \
	"SELECT job, artifacts, stored_bytes, coalesce((SELECT min(finished_at_us) FROM artifact"            \
	" WHERE tomb = 0 AND job = t.job), 0) FROM total t"

int catalog_totals(struct catalog *c, const char *job, struct catalog_totals *ret)
{
	/* Two, since SQLite would go through all jobs for a condition that fits both. */
	static const char all_sql[] = TOTALS, job_sql[] = TOTALS " WHERE job = ?1";
	struct catalog_totals totals = {0};
	struct newest any = {0}, good = {0};
	_cleanup(query) struct query query =
	        job ? query_begin(c, job_sql, VALUES(text_value(job))) : query_begin(c, all_sql, NULL, 0);

	while (query_next(&query)) {
		int r = find_newest_of_job(query.connection, column_borrowed(query.row, 0), &any, &good);

		if (r < 0)
			return r;
		totals.artifacts += column_u64(query.row, 1);
		totals.stored_bytes += column_u64(query.row, 2);
		take_oldest(&totals, sqlite3_column_int64(query.row, 3));
	}
	if (query.result < 0)
		return query.result;
	totals.newest_at_us = any.at_us;
	totals.newest_whole_at_us = good.at_us;
	totals.newest_whole_run_id = good.run_id;
	*ret = totals;
	return 0;
}

int catalog_latest_dated(struct catalog *c, const char *job, struct catalog_dated *ret)
{
	static const char sql[] =
	        "SELECT d.path || '/' || a.name, a.finished_at_us, a.run_id FROM artifact a INDEXED BY artifact_job"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE a.tomb = 0 AND a.job = ?1"
	        " ORDER BY a.finished_at_us DESC LIMIT 1";
	struct newest any = {0}, good = {0};
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));
	int r = query_one(&query);

	if (r == 0)
		r = find_newest_of_job(query.connection, job, &any, &good);
	if (r < 0)
		return r;
	*ret = (struct catalog_dated){
	        .at_us = sqlite3_column_int64(query.row, 1),
	        .newest_at_us = any.at_us,
	        .made_last = sqlite3_column_int64(query.row, 2) >= any.run_id,
	};
	column_text(query.row, 0, ret->path, sizeof(ret->path));
	return 0;
}

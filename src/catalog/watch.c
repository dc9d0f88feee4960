// SPDX-License-Identifier: Apache-2.0
/* What health asks: see keepfs/catalog/watch.h. All of these are looked up by a key, or are a few rows at one end of an index. */
#include "access.h"

#include <errno.h>
#include <string.h>

#include <keepfs/catalog/watch.h>

/* What is expected. */

static int set_one_expected(struct connection *c, const struct catalog_expected *row, int64_t now_us)
{
	static const char sql[] = "INSERT INTO expected (job, target, what, since_us) VALUES (?1, ?2, ?3, ?4)"
	                          " ON CONFLICT (job, target) DO UPDATE SET what = excluded.what,"
	                          " since_us = excluded.since_us, is_new = 1 WHERE what <> excluded.what";
	static const char stays_sql[] = "UPDATE expected SET is_new = 1 WHERE job = ?1 AND target = ?2";
	int r = db_run(c, sql,
	               VALUES(text_value(row->job), text_value(row->target), text_value(row->what),
	                      int_value(now_us)));

	return r < 0 ? r : db_run(c, stays_sql, VALUES(text_value(row->job), text_value(row->target)));
}

static int set_expected(struct connection *c, const struct catalog_expected *rows, size_t count,
                        int64_t now_us)
{
	static const char begin_sql[] = "UPDATE expected SET is_new = 0";
	static const char end_sql[] = "DELETE FROM expected WHERE is_new = 0";
	int r = db_run(c, begin_sql, NULL, 0);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = set_one_expected(c, &rows[i], now_us);
	return r < 0 ? r : db_run(c, end_sql, NULL, 0);
}

int catalog_set_expected(struct catalog *c, const struct catalog_expected *rows, size_t count, int64_t now_us,
                         struct error *err)
{
	return TRANSACTION(c, err, set_expected(c->writer, rows, count, now_us));
}

int catalog_expected_since(struct catalog *c, const char *job, const char *target, int64_t *ret_us)
{
	static const char sql[] = "SELECT since_us FROM expected WHERE job = ?1 AND target = ?2";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job), text_value(target)));
	int r = query_one(&query);

	if (r < 0 && r != -ENOENT)
		return r;
	*ret_us = r == 0 ? sqlite3_column_int64(query.row, 0) : 0;
	return 0;
}

/* The newest backups of a directory. */

#define GOOD_OF_DIRECTORY                                                                                            \
	" FROM artifact INDEXED BY artifact_whole WHERE directory_ino = (SELECT ino FROM directory WHERE path = ?1)" \
	" AND tomb = 0 AND partial = 0 AND damaged IS NULL AND trashed_at_us IS NULL"
#define MADE_LAST_FIRST " ORDER BY run_id DESC, sequence DESC "

int catalog_newest_good(struct catalog *c, const char *directory, int64_t by_us, struct catalog_good *ret)
{
	static const char sql[] = "SELECT started_at_us, finished_at_us" GOOD_OF_DIRECTORY
	                          " AND finished_at_us <= ?2" MADE_LAST_FIRST "LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(directory), int_value(by_us)));
	int r = query_one(&query);

	if (r == 0)
		*ret = (struct catalog_good){
		        .started_at_us = sqlite3_column_int64(query.row, 0),
		        .finished_at_us = sqlite3_column_int64(query.row, 1),
		};
	return r;
}

/* Of an archive of a directory the files are what rows are to a dump. What an older keepfs has made lacks some. */
static const char samples_sql[] =
        "SELECT kind || ' ' || coalesce(json_extract(facts, '$.format'), '') || ' ' ||"
        " coalesce(json_extract(facts, '$.content'), '') || ' ' ||"
        " coalesce(json_extract(facts, '$.compression'), '') || ' ' ||"
        " coalesce(json_extract(facts, '$.selection'), ''), started_at_us, finished_at_us, size_bytes,"
        " coalesce(json_extract(facts, '$.raw_bytes'), json_extract(facts, '$.content_bytes'), -1),"
        " coalesce(json_extract(facts, '$.rows'), json_extract(facts, '$.files'), -1),"
        " coalesce(json_extract(facts, '$.tables'), -1)" GOOD_OF_DIRECTORY MADE_LAST_FIRST "LIMIT ?2";

static void read_sample(sqlite3_stmt *row, struct catalog_sample *ret)
{
	int64_t started_at_us = sqlite3_column_int64(row, 1);

	*ret = (struct catalog_sample){
	        .finished_at_us = sqlite3_column_int64(row, 2),
	        .size_bytes = sqlite3_column_int64(row, 3),
	        .raw_bytes = sqlite3_column_int64(row, 4),
	        .rows = sqlite3_column_int64(row, 5),
	        .tables = sqlite3_column_int64(row, 6),
	};
	/* A clock may have been set back meanwhile. */
	ret->duration_us = ret->finished_at_us >= started_at_us ? ret->finished_at_us - started_at_us : -1;
	column_text(row, 0, ret->kind, sizeof(ret->kind));
}

ssize_t catalog_samples(struct catalog *c, const char *directory, struct catalog_sample *samples, size_t max)
{
	size_t count = 0;
	_cleanup(query) struct query query =
	        query_begin(c, samples_sql, VALUES(text_value(directory), int_value((int64_t)max * 2)));

	while (count < max && query_next(&query)) {
		read_sample(query.row, &samples[count]);
		if (strcmp(samples[count].kind, samples[0].kind) == 0)
			count++;
	}
	return query.result < 0 ? query.result : (ssize_t)count;
}

/* How much is stored, day by day. */

static int note_stored(struct connection *c, int64_t day, int64_t keep_days)
{
	static const char note_sql[] =
	        "INSERT INTO stored_day (day, stored_bytes) VALUES (?1, (SELECT coalesce(sum(stored_bytes), 0) FROM total))"
	        " ON CONFLICT (day) DO UPDATE SET stored_bytes = excluded.stored_bytes";
	/* Days that have not come yet are of a clock that was ahead. */
	static const char forget_sql[] = "DELETE FROM stored_day WHERE day < ?1 OR day > ?2";
	int r = db_run(c, note_sql, VALUES(int_value(day)));

	return r < 0 ? r : db_run(c, forget_sql, VALUES(int_value(day - keep_days), int_value(day)));
}

int catalog_note_stored(struct catalog *c, int64_t day, int64_t keep_days, struct error *err)
{
	return TRANSACTION(c, err, note_stored(c->writer, day, keep_days));
}

ssize_t catalog_stored_days(struct catalog *c, struct catalog_stored_day *days, size_t max)
{
	static const char sql[] = "SELECT day, stored_bytes FROM (SELECT day, stored_bytes FROM stored_day"
	                          " ORDER BY day DESC LIMIT ?1) ORDER BY day";
	size_t count = 0;
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value((int64_t)max)));

	while (count < max && query_next(&query))
		days[count++] = (struct catalog_stored_day){
		        .day = sqlite3_column_int64(query.row, 0),
		        .stored_bytes = column_u64(query.row, 1),
		};
	return query.result < 0 ? query.result : (ssize_t)count;
}

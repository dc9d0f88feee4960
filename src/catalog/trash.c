// SPDX-License-Identifier: Apache-2.0
/* What was removed and can be taken back: rows beside tombs. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/base/clock.h>
#include <keepfs/catalog/trash.h>

#define TRASHED                                                                                              \
	"SELECT a.ino, d.path || '/' || a.name AS path, a.job, a.is_directory, a.run_id, a.trashed_at_us,"   \
	" t.until_us, a.stored_bytes + a.files_bytes, t.removed_by, t.reason, t.is_marked, a.started_at_us"  \
	" FROM trash t"                                                                                      \
	" CROSS JOIN artifact a ON a.ino = t.artifact_ino CROSS JOIN directory d ON d.ino = a.directory_ino" \
	" WHERE a.tomb = 1 AND "

static void read_trashed(sqlite3_stmt *row, struct catalog_trashed *ret)
{
	*ret = (struct catalog_trashed){
	        .ino = column_u64(row, 0),
	        .is_directory = sqlite3_column_int(row, 3),
	        .run_id = sqlite3_column_int64(row, 4),
	        .trashed_at_us = sqlite3_column_int64(row, 5),
	        .until_us = sqlite3_column_int64(row, 6),
	        .stored_bytes = column_u64(row, 7),
	        .is_marked = sqlite3_column_int(row, 10),
	        .started_at_us = sqlite3_column_int64(row, 11),
	};
	column_text(row, 1, ret->path, sizeof(ret->path));
	column_text(row, 2, ret->job, sizeof(ret->job));
	column_text(row, 8, ret->by, sizeof(ret->by));
	column_text(row, 9, ret->reason, sizeof(ret->reason));
}

ssize_t catalog_trash_after(struct catalog *c, const char *scope, const char *after,
                            struct catalog_trashed *rows, size_t max)
{
	static const char sql[] =
	        TRASHED "(?1 IS NULL OR substr(d.path || '/', 1, length(?1) + 1) = ?1 || '/')"
	                " AND d.path || '/' || a.name > ?2 ORDER BY path LIMIT ?3";
	size_t count = 0;
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(scope), text_value(after), int_value((int64_t)max)));

	while (count < max && query_next(&query))
		read_trashed(query.row, &rows[count++]);
	return query.result < 0 ? query.result : (ssize_t)count;
}

int catalog_trash_find(struct catalog *c, uint64_t ino, struct catalog_trashed *ret)
{
	static const char sql[] = TRASHED "t.artifact_ino = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r == 0)
		read_trashed(query.row, ret);
	return r;
}

int catalog_trash_unmarked(struct catalog *c, uint64_t after_ino, struct catalog_trashed *ret)
{
	static const char sql[] =
	        TRASHED "t.is_marked = 0 AND t.artifact_ino > ?1 ORDER BY t.artifact_ino LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(after_ino)));
	int r = query_one(&query);

	if (r == 0)
		read_trashed(query.row, ret);
	return r;
}

int catalog_trash_marked(struct catalog *c, uint64_t ino, struct error *err)
{
	static const char sql[] = "UPDATE trash SET is_marked = 1 WHERE artifact_ino = ?1";

	return write_run(c, err, sql, VALUES(ino_value(ino)));
}

int catalog_trash_extend(struct catalog *c, uint64_t ino, int64_t until_us, struct error *err)
{
	static const char sql[] =
	        "UPDATE trash SET until_us = ?2, is_marked = 1 WHERE artifact_ino = ?1 AND until_us < ?2";

	return write_run(c, err, sql, VALUES(ino_value(ino), int_value(until_us)));
}

int catalog_trash_next(struct catalog *c, int64_t *ret_until_us)
{
	static const char sql[] = "SELECT until_us FROM trash ORDER BY until_us LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);
	int r = query_one(&query);

	if (r == 0)
		*ret_until_us = sqlite3_column_int64(query.row, 0);
	return r;
}

int catalog_trash_total(struct catalog *c, const char *job, uint64_t *ret_count, uint64_t *ret_bytes)
{
#define TOTAL                                                                                                \
	"SELECT count(*), coalesce(sum(stored_bytes + files_bytes), 0) FROM artifact WHERE tomb = 1 AND trashed_at_us IS NOT NULL"
	/* Two, since SQLite would go through all jobs for a condition that fits both. */
	static const char all_sql[] = TOTAL, job_sql[] = TOTAL " AND job = ?1";
#undef TOTAL
	_cleanup(query) struct query query =
	        job ? query_begin(c, job_sql, VALUES(text_value(job))) : query_begin(c, all_sql, NULL, 0);
	int r = query_one(&query);

	if (r == 0) {
		*ret_count = column_u64(query.row, 0);
		*ret_bytes = column_u64(query.row, 1);
	}
	return r;
}

/* A trigger of the table drops the row of the trash. */
static int untrash(struct connection *c, uint64_t ino)
{
	static const char find_sql[] =
	        "SELECT a.directory_ino FROM trash t JOIN artifact a ON a.ino = t.artifact_ino"
	        " WHERE t.artifact_ino = ?1 AND a.tomb = 1";
	static const char sql[] = "UPDATE artifact SET tomb = 0, trashed_at_us = NULL WHERE ino = ?1";
	int64_t directory_ino;
	int r = db_number(c, &directory_ino, find_sql, VALUES(ino_value(ino)));

	if (r == 0)
		r = db_run(c, sql, VALUES(ino_value(ino)));
	if (r == 0)
		r = directory_touch(c, (uint64_t)directory_ino, clock_now_us());
	return r;
}

int catalog_untrash(struct catalog *c, uint64_t ino, struct error *err)
{
	return TRANSACTION(c, err, untrash(c->writer, ino));
}

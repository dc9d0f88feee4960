// SPDX-License-Identifier: Apache-2.0
/* What is kept of WAL archives. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/str.h>
#include <keepfs/catalog/wal_keep.h>

/* Pins. */

int catalog_wal_pin(struct catalog *c, const char *job, int64_t run_id, const char *first, struct error *err)
{
	static const char sql[] = "INSERT OR REPLACE INTO wal_pin (run_id, job, first) VALUES (?1, ?2, ?3)";
	struct wal_name name;

	if (*first && (wal_name_parse(first, &name) < 0 || name.kind != WAL_NAME_SEGMENT))
		return error_set(err, ERROR_INTERNAL, EINVAL, "'%s' is no name of a segment", first);
	return write_run(c, err, sql, VALUES(int_value(run_id), text_value(job), text_value(first)));
}

int catalog_wal_unpin(struct catalog *c, int64_t run_id, struct error *err)
{
	static const char sql[] = "DELETE FROM wal_pin WHERE run_id = ?1";

	return write_run(c, err, sql, VALUES(int_value(run_id)));
}

int catalog_wal_pins(struct catalog *c, const char *job, int (*row)(void *arg, const char *first), void *arg)
{
	static const char sql[] = "SELECT first FROM wal_pin WHERE job = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));
	int r = 0;

	while (r == 0 && query_next(&query))
		r = row(arg, column_borrowed(query.row, 0));
	return r ? r : query.result;
}

/* Timelines. */

/* The first name behind ?2; -ENOENT. */
static int next_wal_name(struct catalog *c, const char *job, const char *behind, char ret[WAL_NAME_BYTES])
{
	static const char sql[] =
	        "SELECT name FROM wal_segment WHERE job = ?1 AND name > ?2 ORDER BY name LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job), text_value(behind)));
	int r = query_one(&query);

	if (r == 0)
		column_text(query.row, 0, ret, WAL_NAME_BYTES);
	return r;
}

int catalog_wal_timelines(struct catalog *c, const char *job, int (*row)(void *arg, uint32_t timeline),
                          void *arg)
{
	char name[WAL_NAME_BYTES], behind[WAL_NAME_BYTES] = "";
	struct wal_name parsed;
	int r;

	while ((r = next_wal_name(c, job, behind, name)) == 0) {
		r = wal_name_parse(name, &parsed);
		if (r == 0)
			r = row(arg, parsed.timeline);
		if (r)
			return r;
		/* 'G' is behind all digits: nothing of this timeline is behind it. */
		snprintf(behind, sizeof(behind), "%08" PRIX32 "G", parsed.timeline);
	}
	return r == -ENOENT ? 0 : r;
}

int catalog_wal_set_history(struct catalog *c, const char *job, uint32_t timeline, const char *content,
                            size_t len, struct error *err)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO wal_timeline (job, timeline, content) VALUES (?1, ?2, ?3)";

	return write_run(c, err, sql, VALUES(text_value(job), int_value(timeline), blob_value(content, len)));
}

int catalog_wal_histories(struct catalog *c, const char *job,
                          int (*row)(void *arg, uint32_t timeline, const char *content, size_t len),
                          void *arg)
{
	static const char sql[] =
	        "SELECT timeline, content FROM wal_timeline WHERE job = ?1 ORDER BY timeline";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));
	int r = 0;

	while (r == 0 && query_next(&query)) {
		const char *content = sqlite3_column_blob(query.row, 1);
		size_t len = (size_t)sqlite3_column_bytes(query.row, 1);

		r = row(arg, (uint32_t)sqlite3_column_int64(query.row, 0), content ? content : "", len);
	}
	return r ? r : query.result;
}

int catalog_wal_unread_history(struct catalog *c, int64_t after, struct catalog_wal *ret)
{
	static const char sql[] =
	        WAL_COLUMNS "WHERE id > ?1 AND name LIKE '%.history' AND is_going = 0 AND NOT EXISTS ("
	                    "SELECT 1 FROM wal_timeline h WHERE h.job = wal_segment.job"
	                    " AND printf('%08X.history', h.timeline) = wal_segment.name) ORDER BY id LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value(after)));
	int r = query_one(&query);

	if (r == 0)
		take_wal_row(&query, ret);
	return r;
}

/* Removal. */

/* Those of a stretch, which no pin covers. A history sorts before the first segment of its timeline, and is in none. */
#define OF_STRETCH                                                                                           \
	"FROM wal_segment WHERE job = ?1 AND name >= ?2 AND name < ?3 AND arrived_us < ?4 AND is_going = 0"  \
	" AND locked_until_us <= ?5"                                                                         \
	" AND NOT EXISTS (SELECT 1 FROM wal_pin p WHERE p.job = ?1 AND (p.first = ''"                        \
	" OR (substr(p.first, 1, 8) = substr(wal_segment.name, 1, 8) AND wal_segment.name >= p.first)))"

#define STRETCH_VALUES(s)                                                                                    \
	text_value((s)->job), text_value((s)->from), text_value((s)->to), int_value((s)->before_us),         \
	        int_value((s)->now_us)

int catalog_wal_stretch_sum(struct catalog *c, const struct catalog_wal_stretch *s,
                            struct catalog_wal_sum *ret)
{
	static const char sql[] =
	        "SELECT count(*), coalesce(sum(stored_bytes), 0), min(name), max(name) " OF_STRETCH;
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(STRETCH_VALUES(s)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret = (struct catalog_wal_sum){.files = column_u64(query.row, 0),
	                                .stored_bytes = column_u64(query.row, 1)};
	column_text(query.row, 2, ret->first, sizeof(ret->first));
	column_text(query.row, 3, ret->last, sizeof(ret->last));
	return 0;
}

static int begin_wal_removal(struct connection *c, const struct catalog_wal_stretch *s, size_t max,
                             size_t *ret_count)
{
	static const char sql[] = "UPDATE wal_segment SET is_going = 1 WHERE id IN (SELECT id " OF_STRETCH
	                          " ORDER BY name LIMIT ?6)";
	int r = db_run(c, sql, VALUES(STRETCH_VALUES(s), int_value((int64_t)max)));

	*ret_count = r < 0 ? 0 : (size_t)sqlite3_changes(c->db);
	return r;
}

int catalog_wal_begin_removal(struct catalog *c, const struct catalog_wal_stretch *s, size_t max,
                              size_t *ret_count, struct error *err)
{
	return TRANSACTION(c, err, begin_wal_removal(c->writer, s, max, ret_count));
}

ssize_t catalog_wal_going(struct catalog *c, const char *job, struct catalog_wal *rows, size_t max)
{
	static const char sql[] =
	        WAL_COLUMNS "WHERE is_going = 1 AND (?1 IS NULL OR job = ?1) ORDER BY job, name LIMIT ?2";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(job), int_value((int64_t)max)));
	ssize_t count = 0;

	while ((size_t)count < max && query_next(&query))
		take_wal_row(&query, &rows[count++]);
	return query.result < 0 ? query.result : count;
}

static int count_removed_wal(struct connection *c, const char *job, size_t count, uint64_t bytes)
{
	static const char sql[] =
	        "INSERT INTO wal_kept (job, window_us, shorter_since_us, planned_at_us, why, removed_files, removed_bytes)"
	        " VALUES (?1, -1, 0, 0, '', ?2, ?3) ON CONFLICT (job) DO UPDATE SET"
	        " removed_files = removed_files + excluded.removed_files, removed_bytes = removed_bytes + excluded.removed_bytes";

	return db_run(c, sql, VALUES(text_value(job), int_value((int64_t)count), int_value((int64_t)bytes)));
}

static int end_wal_removal(struct catalog *catalog, const struct catalog_wal *rows, size_t count,
                           const struct catalog_audit *audit)
{
	static const char sql[] = "DELETE FROM wal_segment WHERE id = ?1";
	uint64_t bytes = 0;
	int r = 0;

	write_touches(catalog, TOUCHES_REST | (audit ? TOUCHES_AUDIT : 0));
	for (size_t i = 0; r == 0 && i < count; i++) {
		bytes += rows[i].stored_bytes;
		r = wal_leave_copies(catalog->writer, rows[i].job, rows[i].id, rows[i].key);
		if (r == 0)
			r = db_run(catalog->writer, sql, VALUES(int_value(rows[i].id)));
	}
	if (r == 0 && count > 0)
		r = count_removed_wal(catalog->writer, rows[0].job, count, bytes);
	return r == 0 && audit ? audit_add(catalog->writer, audit) : r;
}

int catalog_wal_end_removal(struct catalog *c, const struct catalog_wal *rows, size_t count,
                            const struct catalog_audit *audit, struct error *err)
{
	return TRANSACTION(c, err, end_wal_removal(c, rows, count, audit));
}

int catalog_wal_give_back(struct catalog *c, const char *job, struct error *err)
{
	static const char sql[] = "UPDATE wal_segment SET is_going = 0 WHERE is_going = 1 AND job = ?1";

	return write_run(c, err, sql, VALUES(text_value(job)));
}

/* Locks. */

int catalog_wal_set_locked(struct catalog *c, const char *job, const char *name, int64_t until_us,
                           struct error *err)
{
	static const char sql[] =
	        "UPDATE wal_segment SET locked_until_us = ?3, is_going = 0 WHERE job = ?1 AND name = ?2";

	return write_run(c, err, sql, VALUES(text_value(job), text_value(name), int_value(until_us)));
}

ssize_t catalog_wal_locked_for_less(struct catalog *c, const struct catalog_wal_stretch *s, const char *after,
                                    int64_t until_us, struct catalog_wal_locked *rows, size_t max)
{
	static const char sql[] =
	        "SELECT name, key, locked_until_us FROM wal_segment WHERE job = ?1 AND name >= ?2 AND name < ?3 AND name > ?4"
	        " AND locked_until_us < ?5 AND is_going = 0 ORDER BY name LIMIT ?6";
	_cleanup(query) struct query query =
	        query_begin(c, sql,
	                    VALUES(text_value(s->job), text_value(s->from), text_value(s->to),
	                           text_value(after), int_value(until_us), int_value((int64_t)max)));
	ssize_t count = 0;

	while ((size_t)count < max && query_next(&query)) {
		struct catalog_wal_locked *row = &rows[count++];

		column_text(query.row, 0, row->name, sizeof(row->name));
		column_text(query.row, 1, row->key, sizeof(row->key));
		row->until_us = sqlite3_column_int64(query.row, 2);
	}
	return query.result < 0 ? query.result : count;
}

/* What was decided. */

int catalog_wal_kept(struct catalog *c, const char *job, struct catalog_wal_kept *ret)
{
	static const char sql[] =
	        "SELECT window_us, shorter_since_us, planned_at_us, why, removed_files, removed_bytes FROM wal_kept WHERE job = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));
	int r = query_one(&query);

	*ret = (struct catalog_wal_kept){.window_us = CATALOG_WAL_WINDOW_NONE};
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	ret->window_us = sqlite3_column_int64(query.row, 0);
	ret->shorter_since_us = sqlite3_column_int64(query.row, 1);
	ret->planned_at_us = sqlite3_column_int64(query.row, 2);
	column_text(query.row, 3, ret->why, sizeof(ret->why));
	ret->removed_files = column_u64(query.row, 4);
	ret->removed_bytes = column_u64(query.row, 5);
	return 0;
}

int catalog_wal_set_kept(struct catalog *c, const char *job, const struct catalog_wal_kept *k,
                         struct error *err)
{
	static const char sql[] =
	        "INSERT INTO wal_kept (job, window_us, shorter_since_us, planned_at_us, why, removed_files, removed_bytes)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, 0, 0) ON CONFLICT (job) DO UPDATE SET window_us = excluded.window_us,"
	        " shorter_since_us = excluded.shorter_since_us, planned_at_us = excluded.planned_at_us, why = excluded.why";

	return write_run(c, err, sql,
	                 VALUES(text_value(job), int_value(k->window_us), int_value(k->shorter_since_us),
	                        int_value(k->planned_at_us), text_value(k->why)));
}

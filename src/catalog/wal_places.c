// SPDX-License-Identifier: Apache-2.0
/* Where the segments of WAL archives lie in the log, and what becomes known of their content. A trigger tells neighbours of each other (migrations.c). */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <stdlib.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/wal_places.h>

#define PLACE_BATCH 1000

static int forget_wal_points(struct connection *c, int64_t id)
{
	static const char sql[] = "DELETE FROM wal_point WHERE id = ?1";

	return db_run(c, sql, VALUES(int_value(id)));
}

/* The segment's place is a row already. */
static int add_wal_point(struct connection *c, int64_t id, const struct wal_index_point *p)
{
	static const char sql[] =
	        "INSERT INTO wal_point (id, job, timeline, number, lsn, at_us, name)"
	        " SELECT id, job, timeline, number, ?2, ?3, ?4 FROM wal_place WHERE id = ?1";

	return db_run(
	        c, sql,
	        VALUES(int_value(id), int_value((int64_t)p->lsn), int_value(p->at_us), text_value(p->name)));
}

static int set_wal_index(struct connection *c, int64_t id, const struct wal_index *x)
{
	static const char sql[] =
	        "UPDATE wal_place SET state = 1, end_lsn = ?2, latest_us = ?3, highest_xid = ?4, commits = ?5,"
	        " full_page_writes = ?6 WHERE id = ?1";
	int r = db_run(c, sql,
	               VALUES(int_value(id), int_value((int64_t)x->end), int_value(x->latest_us),
	                      int_value(x->highest_xid), int_value((int64_t)x->commits),
	                      int_value((int64_t)x->full_page_writes)));

	if (r == 0)
		r = forget_wal_points(c, id);
	for (size_t i = 0; r == 0 && i < x->point_count; i++)
		r = add_wal_point(c, id, &x->points[i]);
	return r;
}

static int put_wal_place(struct connection *c, int64_t id, const char *job, const struct wal_name *name,
                         uint32_t segment_bytes)
{
	static const char sql[] =
	        "INSERT OR IGNORE INTO wal_place (job, timeline, number, id) VALUES (?1, ?2, ?3, ?4)";

	return db_run(c, sql,
	              VALUES(text_value(job), int_value(name->timeline),
	                     int_value((int64_t)(wal_name_lsn(name, segment_bytes) / segment_bytes)),
	                     int_value(id)));
}

static int put_wal_history(struct connection *c, int64_t id, const char *text)
{
	static const char sql[] = "INSERT OR REPLACE INTO wal_history (id, job, timeline, text)"
	                          " SELECT id, job, ?2, ?3 FROM wal_segment WHERE id = ?1";
	static const char find_sql[] = "SELECT name FROM wal_segment WHERE id = ?1";
	_cleanup(statement) sqlite3_stmt *row = NULL;
	struct wal_name name;
	int r = db_row(c, &row, find_sql, VALUES(int_value(id)));

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (wal_name_parse(str_or_empty(column_borrowed(row, 0)), &name) < 0)
		return 0;
	return db_run(c, sql, VALUES(int_value(id), int_value(name.timeline), text_value(text)));
}

/* 0: not known. */
static int find_segment_bytes(struct connection *c, const char *job, uint32_t *ret)
{
	static const char sql[] = "SELECT segment_bytes FROM wal_cluster WHERE job = ?1";
	int64_t bytes = 0;
	int r = db_number(c, &bytes, sql, VALUES(text_value(job)));

	*ret = r == 0 ? (uint32_t)bytes : 0;
	return r == -ENOENT ? 0 : r;
}

int wal_place_add(struct connection *c, int64_t id, const struct catalog_wal *w,
                  const struct catalog_wal_known *known)
{
	struct wal_name name;
	uint32_t segment_bytes = 0;
	int r;

	if (wal_name_parse(w->name, &name) < 0)
		return 0;
	if (name.kind == WAL_NAME_HISTORY && known->history)
		return put_wal_history(c, id, known->history);
	if (name.kind != WAL_NAME_SEGMENT)
		return 0;
	r = find_segment_bytes(c, w->job, &segment_bytes);
	if (r < 0 || !segment_bytes || !wal_name_fits(&name, segment_bytes))
		return r;
	r = put_wal_place(c, id, w->job, &name, segment_bytes);
	return r == 0 && known->index ? set_wal_index(c, id, known->index) : r;
}

/* --- places for what came before the size of segments was known --- */

struct unplaced {
	int64_t id;
	char job[CATALOG_WAL_JOB_BYTES];
	struct wal_name name;
	uint32_t segment_bytes;
};

static ssize_t find_unplaced(struct catalog *c, int64_t after, struct unplaced *rows, size_t max)
{
	static const char sql[] =
	        "SELECT s.id, s.job, s.name, k.segment_bytes FROM wal_segment s JOIN wal_cluster k ON k.job = s.job"
	        " LEFT JOIN wal_place p ON p.id = s.id"
	        " WHERE s.id > ?1 AND length(s.name) = 24 AND p.id IS NULL AND k.segment_bytes > 0"
	        " ORDER BY s.id LIMIT ?2";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value(after), int_value((int64_t)max)));
	ssize_t count = 0;

	while ((size_t)count < max && query_next(&query)) {
		struct unplaced *u = &rows[count];

		u->id = sqlite3_column_int64(query.row, 0);
		column_text(query.row, 1, u->job, sizeof(u->job));
		u->segment_bytes = (uint32_t)sqlite3_column_int64(query.row, 3);
		if (wal_name_parse(str_or_empty(column_borrowed(query.row, 2)), &u->name) < 0)
			u->segment_bytes = 0;
		count++;
	}
	return query.result < 0 ? query.result : count;
}

static int place_batch(struct catalog *catalog, const struct unplaced *rows, size_t count)
{
	int r = 0;

	write_touches(catalog, 0);
	for (size_t i = 0; r == 0 && i < count; i++)
		if (rows[i].segment_bytes && wal_name_fits(&rows[i].name, rows[i].segment_bytes))
			r = put_wal_place(catalog->writer, rows[i].id, rows[i].job, &rows[i].name,
			                  rows[i].segment_bytes);
	return r;
}

int catalog_wal_place(struct catalog *c, struct error *err)
{
	_cleanup(free) struct unplaced *rows = mem_array(PLACE_BATCH, sizeof(*rows));
	int64_t after = 0;
	ssize_t count;

	while ((count = find_unplaced(c, after, rows, PLACE_BATCH)) > 0) {
		int r = TRANSACTION(c, err, place_batch(c, rows, (size_t)count));

		if (r < 0)
			return r;
		after = rows[count - 1].id;
	}
	return count < 0 ? error_system(err, (int)-count, "the catalog cannot be read") : 0;
}

/* --- what is read later --- */

static int learn_lessons(struct catalog *catalog, const struct catalog_wal_lesson *lessons, size_t count)
{
	static const char sql[] = "UPDATE wal_place SET state = ?2 WHERE id = ?1";
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = lessons[i].state == CATALOG_WAL_READ
		            ? set_wal_index(catalog->writer, lessons[i].id, lessons[i].index)
		            : db_run(catalog->writer, sql,
		                     VALUES(int_value(lessons[i].id), int_value((int64_t)lessons[i].state)));
	return r;
}

int catalog_wal_learn(struct catalog *c, const struct catalog_wal_lesson *lessons, size_t count,
                      struct error *err)
{
	return TRANSACTION(c, err, learn_lessons(c, lessons, count));
}

int catalog_wal_learn_history(struct catalog *c, int64_t id, const char *text, struct error *err)
{
	return TRANSACTION(c, err, put_wal_history(c->writer, id, text));
}

int catalog_wal_forget_unreadable(struct catalog *c, struct error *err)
{
	static const char sql[] = "UPDATE wal_place SET state = 0 WHERE state <> 1 AND state = 2";

	return write_run(c, err, sql, NULL, 0);
}

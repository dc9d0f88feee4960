// SPDX-License-Identifier: Apache-2.0
/* What is asked of the indexes of WAL segments. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/wal_places.h>

/* So many of the last segments that have commits are asked for the latest of them: times need not grow with places. */
#define LATEST_OF "16"

#define WAL_ROW "s.id, s.job, s.name, s.key, s.bytes, s.stored_bytes, s.sha256, s.arrived_us"

static void take_unread_row(const struct query *query, int column, struct catalog_wal *ret)
{
	*ret = (struct catalog_wal){.id = sqlite3_column_int64(query->row, column),
	                            .bytes = sqlite3_column_type(query->row, column + 4) == SQLITE_NULL
	                                             ? CATALOG_WAL_UNKNOWN
	                                             : column_u64(query->row, column + 4),
	                            .stored_bytes = column_u64(query->row, column + 5),
	                            .arrived_us = sqlite3_column_int64(query->row, column + 7)};
	column_text(query->row, column + 1, ret->job, sizeof(ret->job));
	column_text(query->row, column + 2, ret->name, sizeof(ret->name));
	column_text(query->row, column + 3, ret->key, sizeof(ret->key));
	column_text(query->row, column + 6, ret->sha256, sizeof(ret->sha256));
}

ssize_t catalog_wal_unread(struct catalog *c, struct catalog_wal_cursor *at, struct catalog_wal *rows,
                           size_t max)
{
	static const char sql[] =
	        "SELECT p.timeline, p.number, " WAL_ROW " FROM wal_place p JOIN wal_segment s ON s.id = p.id"
	        " WHERE p.state <> 1 AND p.state = 0 AND (p.job, p.timeline, p.number) > (?1, ?2, ?3)"
	        " ORDER BY p.job, p.timeline, p.number LIMIT ?4";
	_cleanup(query) struct query query =
	        query_begin(c, sql,
	                    VALUES(text_value(at->job), int_value(at->timeline),
	                           int_value((int64_t)at->number), int_value((int64_t)max)));
	ssize_t count = 0;

	while ((size_t)count < max && query_next(&query)) {
		take_unread_row(&query, 2, &rows[count]);
		at->timeline = (uint32_t)sqlite3_column_int64(query.row, 0);
		at->number = column_u64(query.row, 1);
		count++;
	}
	if (count > 0)
		str_copy(at->job, sizeof(at->job), rows[count - 1].job);
	return query.result < 0 ? query.result : count;
}

ssize_t catalog_wal_unread_histories(struct catalog *c, int64_t after, struct catalog_wal *rows, size_t max)
{
	static const char sql[] =
	        "SELECT " WAL_ROW " FROM wal_segment s LEFT JOIN wal_history h ON h.id = s.id"
	        " WHERE s.id > ?1 AND s.name GLOB '????????.history' AND h.id IS NULL ORDER BY s.id LIMIT ?2";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value(after), int_value((int64_t)max)));
	ssize_t count = 0;

	while ((size_t)count < max && query_next(&query))
		take_unread_row(&query, 0, &rows[count++]);
	return query.result < 0 ? query.result : count;
}

/* --- ranges, histories, points --- */

int catalog_wal_each_range(struct catalog *c, const char *job,
                           int (*row)(void *arg, const struct recovery_range *r), void *arg)
{
	static const char sql[] =
	        "SELECT p.timeline, p.number, p.is_first, p.is_last, s.arrived_us FROM wal_place p"
	        " JOIN wal_segment s ON s.id = p.id"
	        " WHERE p.job = ?1 AND (p.is_first <> 0 OR p.is_last <> 0) ORDER BY p.timeline, p.number";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));
	struct recovery_range range = {0};
	int r = 0;

	while (r == 0 && query_next(&query)) {
		if (sqlite3_column_int(query.row, 2))
			range = (struct recovery_range){.timeline =
			                                        (uint32_t)sqlite3_column_int64(query.row, 0),
			                                .first = column_u64(query.row, 1),
			                                .arrived_us = sqlite3_column_int64(query.row, 4)};
		if (!sqlite3_column_int(query.row, 3))
			continue;
		range.last = column_u64(query.row, 1);
		range.is_cut = sqlite3_column_int(query.row, 3) == 2;
		r = row(arg, &range);
	}
	return r ? r : query.result;
}

int catalog_wal_newest(struct catalog *c, const char *job, uint32_t timeline, uint64_t *ret_number)
{
	static const char sql[] =
	        "SELECT number FROM wal_place WHERE job = ?1 AND timeline = ?2 ORDER BY number DESC LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(job), int_value(timeline)));
	int r = query_one(&query);

	if (r == 0)
		*ret_number = column_u64(query.row, 0);
	return r;
}

int catalog_wal_each_history(struct catalog *c, const char *job,
                             int (*row)(void *arg, uint32_t timeline, const char *text), void *arg)
{
	static const char sql[] = "SELECT timeline, text FROM wal_history WHERE job = ?1 ORDER BY timeline";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));
	int r = 0;

	while (r == 0 && query_next(&query))
		r = row(arg, (uint32_t)sqlite3_column_int64(query.row, 0),
		        str_or_empty(column_borrowed(query.row, 1)));
	return r ? r : query.result;
}

#define POINT_ROW "SELECT timeline, number, lsn, at_us, name FROM wal_point WHERE job = ?1"

int catalog_wal_each_point(struct catalog *c, const char *job, const char *name, size_t max,
                           int (*row)(void *arg, const struct recovery_point *p), void *arg)
{
	static const char by_name[] = POINT_ROW " AND name = ?2 ORDER BY lsn LIMIT ?3";
	static const char newest[] = POINT_ROW " AND ?2 IS NULL ORDER BY at_us DESC LIMIT ?3";
	_cleanup(query) struct query query =
	        query_begin(c, name ? by_name : newest,
	                    VALUES(text_value(job), text_value(name), int_value((int64_t)max)));
	int r = 0;

	while (r == 0 && query_next(&query)) {
		struct recovery_point p = {.timeline = (uint32_t)sqlite3_column_int64(query.row, 0),
		                           .number = column_u64(query.row, 1),
		                           .lsn = column_u64(query.row, 2),
		                           .at_us = sqlite3_column_int64(query.row, 3)};

		column_text(query.row, 4, p.name, sizeof(p.name));
		r = row(arg, &p);
	}
	return r ? r : query.result;
}

/* --- the log --- */

#define SPAN " FROM wal_place WHERE job = ?1 AND timeline = ?2 AND number BETWEEN ?3 AND ?4 "
/* Numbers of segments have less than 44 bits; whoever has no end in mind says UINT64_MAX. */
#define NUMBER_END (UINT64_C(1) << 62)

static int64_t number_value(uint64_t number)
{
	return (int64_t)(number < NUMBER_END ? number : NUMBER_END);
}

static int find_in_span(struct catalog *c, const char *sql, const struct catalog_wal_span *s, int64_t wanted,
                        struct recovery_segment *ret)
{
	_cleanup(query) struct query query = query_begin(
	        c, sql,
	        VALUES(text_value(s->job), int_value(s->timeline), int_value(number_value(s->first)),
	               int_value(number_value(s->last)), int_value(wanted)));
	int r = query_one(&query);

	if (r == 0)
		*ret = (struct recovery_segment){.timeline = s->timeline,
		                                 .number = column_u64(query.row, 0),
		                                 .end = column_u64(query.row, 1),
		                                 .latest_us = sqlite3_column_int64(query.row, 2)};
	return r;
}

int catalog_wal_later(struct catalog *c, const struct catalog_wal_span *s, int64_t at_us,
                      struct recovery_segment *ret)
{
	static const char sql[] =
	        "SELECT number, end_lsn, latest_us" SPAN "AND latest_us > ?5 ORDER BY number LIMIT 1";

	return find_in_span(c, sql, s, at_us > 0 ? at_us : 0, ret);
}

int catalog_wal_behind(struct catalog *c, const struct catalog_wal_span *s, uint64_t lsn,
                       struct recovery_segment *ret)
{
	static const char sql[] =
	        "SELECT number, end_lsn, latest_us" SPAN "AND end_lsn > ?5 ORDER BY number LIMIT 1";

	return find_in_span(c, sql, s, lsn < INT64_MAX ? (int64_t)lsn : INT64_MAX, ret);
}

int catalog_wal_since_xid(struct catalog *c, const struct catalog_wal_span *s, uint32_t xid,
                          struct recovery_segment *ret)
{
	/* Numbers of transactions begin again after 2^32: one is behind another that is less than half of that away. */
	static const char sql[] = "SELECT number, end_lsn, latest_us" SPAN
	                          "AND highest_xid <> 0 AND ((highest_xid - ?5) & 4294967295) < 2147483648"
	                          " ORDER BY number LIMIT 1";

	return find_in_span(c, sql, s, xid, ret);
}

int catalog_wal_sum(struct catalog *c, const struct catalog_wal_span *s, struct recovery_sum *ret)
{
	static const char sql[] = "SELECT (SELECT count(*)" SPAN "AND state <> 1),"
	                          " (SELECT end_lsn" SPAN "AND end_lsn <> 0 ORDER BY number DESC LIMIT 1),"
	                          " (SELECT max(latest_us) FROM (SELECT latest_us" SPAN
	                          "AND latest_us <> 0 ORDER BY number DESC LIMIT " LATEST_OF "))";
	_cleanup(query) struct query query =
	        query_begin(c, sql,
	                    VALUES(text_value(s->job), int_value(s->timeline),
	                           int_value(number_value(s->first)), int_value(number_value(s->last))));
	int r = query_one(&query);

	if (r == 0)
		*ret = (struct recovery_sum){.unknown = column_u64(query.row, 0),
		                             .end = column_u64(query.row, 1),
		                             .latest_us = sqlite3_column_int64(query.row, 2)};
	return r;
}

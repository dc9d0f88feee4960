// SPDX-License-Identifier: Apache-2.0
/* See keepfs/catalog/classes.h. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/classes.h>
#include <keepfs/catalog/replicas.h>

#define CLASS_COLUMNS                                                                                        \
	"s.ino, d.path || '/' || a.name, s.class, s.bytes, s.since_us, s.is_frozen, s.wanted, s.moving,"     \
	" s.next_try_us, s.failures, s.why, s.thaw_at_us, s.thaw_days, s.thaw_tier, s.asked_at_us,"          \
	" s.ready_until_us"
#define OF_LISTED                                                                                            \
	" FROM storage_class s JOIN artifact a ON a.ino = s.ino JOIN directory d ON d.ino = a.directory_ino" \
	" WHERE a.tomb = 0"

static int take_class_row(struct query *query, struct catalog_class *ret)
{
	int r = query_one(query);

	if (r < 0)
		return r;
	*ret = (struct catalog_class){
	        .ino = column_u64(query->row, 0),
	        .bytes = column_u64(query->row, 3),
	        .since_us = sqlite3_column_int64(query->row, 4),
	        .is_frozen = sqlite3_column_int(query->row, 5),
	        .next_try_us = sqlite3_column_int64(query->row, 8),
	        .failures = sqlite3_column_int64(query->row, 9),
	        .thaw_at_us = sqlite3_column_int64(query->row, 11),
	        .thaw_days = sqlite3_column_int64(query->row, 12),
	        .asked_at_us = sqlite3_column_int64(query->row, 14),
	        .ready_until_us = sqlite3_column_int64(query->row, 15),
	};
	column_text(query->row, 1, ret->path, sizeof(ret->path));
	column_text(query->row, 2, ret->name, sizeof(ret->name));
	column_text(query->row, 6, ret->wanted, sizeof(ret->wanted));
	column_text(query->row, 7, ret->moving, sizeof(ret->moving));
	column_text(query->row, 10, ret->why, sizeof(ret->why));
	column_text(query->row, 13, ret->thaw_tier, sizeof(ret->thaw_tier));
	return 0;
}

int catalog_class_of(struct catalog *c, uint64_t ino, struct catalog_class *ret)
{
	static const char sql[] = "SELECT " CLASS_COLUMNS OF_LISTED " AND s.ino = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));

	return take_class_row(&query, ret);
}

int catalog_set_class(struct catalog *c, const struct catalog_class *row, struct error *err)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO storage_class (ino, class, bytes, since_us, is_frozen, wanted, moving,"
	        " next_try_us, failures, why, thaw_at_us, thaw_days, thaw_tier, asked_at_us, ready_until_us)"
	        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15"
	        " WHERE EXISTS (SELECT 1 FROM artifact WHERE ino = ?1)";

	return write_run(c, err, sql,
	                 VALUES(ino_value(row->ino), text_value(row->name), int_value((int64_t)row->bytes),
	                        int_value(row->since_us), int_value(row->is_frozen), text_value(row->wanted),
	                        text_value(row->moving), int_value(row->next_try_us),
	                        int_value(row->failures), text_value(row->why), int_value(row->thaw_at_us),
	                        int_value(row->thaw_days), text_value(row->thaw_tier),
	                        int_value(row->asked_at_us), int_value(row->ready_until_us)));
}

int catalog_note_frozen(struct catalog *c, uint64_t ino, const char *name, int64_t now_us, struct error *err)
{
	static const char sql[] =
	        "INSERT INTO storage_class (ino, class, bytes, since_us, is_frozen)"
	        " SELECT a.ino, ?2, a.stored_bytes + a.files_bytes, ?3, 1 FROM artifact a WHERE a.ino = ?1 AND a.tomb = 0"
	        " ON CONFLICT (ino) DO UPDATE SET class = excluded.class, is_frozen = 1, ready_until_us = 0,"
	        " since_us = iif(class = excluded.class, since_us, excluded.since_us)";

	return write_run(c, err, sql, VALUES(ino_value(ino), text_value(name), int_value(now_us)));
}

int catalog_next_frozen(struct catalog *c, uint64_t after_ino, struct catalog_class *ret)
{
	/* As SQLite compares them: numbers above 2^63 come first. */
	static const char sql[] = "SELECT " CLASS_COLUMNS OF_LISTED
	                          " AND s.is_frozen = 1 AND (?2 = 1 OR s.ino > ?1) ORDER BY s.ino LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(ino_value(after_ino), int_value(after_ino == 0)));

	return take_class_row(&query, ret);
}

/* A pack is as old as the youngest artifact that needs it: as long as one does that is to be read at once, it stays where it can be. */
#define CAME_TO_BE                                                                                           \
	"iif(a.kind <> 'pack', a.finished_at_us, coalesce((SELECT max(b.finished_at_us) FROM need n"         \
	" JOIN artifact b ON b.ino = n.ino WHERE n.directory = d.path"                                       \
	" AND CAST(a.name AS INTEGER) BETWEEN n.first AND n.last), a.finished_at_us))"

int catalog_next_to_move(struct catalog *c, const struct catalog_class_step *step, uint64_t *ret_ino)
{
	static const char sql[] =
	        "SELECT ino FROM (SELECT a.ino AS ino, " CAME_TO_BE " AS at FROM artifact a"
	        " JOIN directory d ON d.ino = a.directory_ino LEFT JOIN storage_class s ON s.ino = a.ino"
	        " WHERE a.job = ?1 AND a.tomb = 0 AND a.damaged IS NULL AND a.finished_at_us <= ?3"
	        " AND (s.ino IS NULL OR (s.wanted <> ?4 AND (s.is_frozen = 0 OR s.class = ?4) AND s.next_try_us <= ?5))"
	        " AND (?6 = 0 OR NOT EXISTS (SELECT 1 FROM replica r WHERE r.ino = a.ino AND r.state IN (?7, ?8))))"
	        " WHERE at > ?2 AND at <= ?3 ORDER BY at LIMIT 1";
	_cleanup(query) struct query query = query_begin(
	        c, sql,
	        VALUES(text_value(step->job), int_value(step->from_us), int_value(step->to_us),
	               text_value(step->class), int_value(step->now_us), int_value(step->is_archive),
	               int_value(REPLICA_WANTED), int_value(REPLICA_COPYING)));
	int r = query_one(&query);

	if (r == 0)
		*ret_ino = column_u64(query.row, 0);
	return r;
}

int catalog_next_class_time(struct catalog *c, const char *job, int64_t after_us, int64_t now_us,
                            int64_t *ret_us)
{
	static const char sql[] =
	        "SELECT min(at) FROM (SELECT min(" CAME_TO_BE ") + ?2 AS at FROM artifact a"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE a.job = ?1 AND a.tomb = 0"
	        " AND " CAME_TO_BE " > ?3 - ?2 UNION ALL"
	        " SELECT min(s.next_try_us) FROM storage_class s JOIN artifact a ON a.ino = s.ino"
	        " WHERE a.job = ?1 AND a.tomb = 0 AND s.next_try_us > ?3) WHERE at IS NOT NULL";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(job), int_value(after_us), int_value(now_us)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	if (sqlite3_column_type(query.row, 0) == SQLITE_NULL)
		return -ENOENT;
	*ret_us = sqlite3_column_int64(query.row, 0);
	return 0;
}

int catalog_next_moving(struct catalog *c, uint64_t after_ino, struct catalog_class *ret)
{
	static const char sql[] = "SELECT " CLASS_COLUMNS OF_LISTED
	                          " AND s.moving <> '' AND (?2 = 1 OR s.ino > ?1) ORDER BY s.ino LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(ino_value(after_ino), int_value(after_ino == 0)));

	return take_class_row(&query, ret);
}

int catalog_each_class(struct catalog *c, void (*row)(void *arg, const struct catalog_class_sum *sum),
                       void *arg)
{
	static const char sql[] =
	        "SELECT s.class, count(*), sum(s.bytes), sum(s.is_frozen) FROM storage_class s JOIN artifact a"
	        " ON a.ino = s.ino WHERE a.tomb = 0 AND s.class <> '' GROUP BY s.class ORDER BY s.class";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query)) {
		struct catalog_class_sum sum = {.artifacts = column_u64(query.row, 1),
		                                .bytes = column_u64(query.row, 2),
		                                .frozen = column_u64(query.row, 3)};

		column_text(query.row, 0, sum.name, sizeof(sum.name));
		row(arg, &sum);
	}
	return query.result;
}

int catalog_class_failing(struct catalog *c, struct catalog_class_failing *ret)
{
	static const char sql[] = "SELECT count(*) OVER (), d.path || '/' || a.name, s.why" OF_LISTED
	                          " AND s.failures > 0 ORDER BY s.ino LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);
	int r = query_one(&query);

	if (r == -ENOENT) {
		*ret = (struct catalog_class_failing){0};
		return 0;
	}
	if (r < 0)
		return r;
	*ret = (struct catalog_class_failing){.count = column_u64(query.row, 0)};
	column_text(query.row, 1, ret->path, sizeof(ret->path));
	column_text(query.row, 2, ret->why, sizeof(ret->why));
	return 0;
}

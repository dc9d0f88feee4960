// SPDX-License-Identifier: Apache-2.0
/* How long checks and restores took. A few are kept of each directory, so the table grows with the directories, and not with time. */
#include "access.h"

#include <keepfs/catalog/pace.h>

#define TEXT_OF(x)  TEXT_OF_(x)
#define TEXT_OF_(x) #x

static int add_pace(struct connection *c, const struct catalog_pace *p)
{
	static const char sql[] =
	        "INSERT INTO pace (directory, work, at_us, took_us, stored_bytes, database_bytes)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
	static const char forget_sql[] =
	        "DELETE FROM pace WHERE directory = ?1 AND work = ?2 AND id NOT IN (SELECT id FROM pace"
	        " WHERE directory = ?1 AND work = ?2 ORDER BY id DESC LIMIT " TEXT_OF(PACE_KEPT) ")";
	int r = db_run(c, sql,
	               VALUES(text_value(p->directory), int_value(p->work), int_value(p->at_us),
	                      int_value(p->took_us), int_value((int64_t)p->stored_bytes),
	                      int_value((int64_t)p->database_bytes)));

	return r < 0 ? r : db_run(c, forget_sql, VALUES(text_value(p->directory), int_value(p->work)));
}

int catalog_add_pace(struct catalog *c, const struct catalog_pace *pace, struct error *err)
{
	return TRANSACTION(c, err, add_pace(c->writer, pace));
}

static int sum_paces(struct catalog *c, const char *directory, enum pace_work work, struct catalog_paces *ret)
{
#define SUMS                                                                                                                     \
	"SELECT count(*), coalesce(sum(took_us), 0), coalesce(sum(stored_bytes), 0),"                                            \
	" coalesce(sum(iif(database_bytes > 0, stored_bytes, 0)), 0), coalesce(sum(database_bytes), 0), coalesce(max(at_us), 0)" \
	" FROM (SELECT * FROM pace WHERE work = ?1"
#define NEWEST " ORDER BY id DESC LIMIT " TEXT_OF(PACE_KEPT) ")"
	static const char own_sql[] = SUMS " AND directory = ?2" NEWEST, all_sql[] = SUMS NEWEST;
	const struct value values[] = {int_value(work), text_value(directory)};
	_cleanup(query) struct query query =
	        query_begin(c, directory ? own_sql : all_sql, values, directory ? 2 : 1);
	int r = query_one(&query);

	if (r == 0)
		*ret = (struct catalog_paces){
		        .count = (uint64_t)sqlite3_column_int64(query.row, 0),
		        .of_others = !directory,
		        .at_us = sqlite3_column_int64(query.row, 5),
		        .took_us = sqlite3_column_int64(query.row, 1),
		        .stored_bytes = (uint64_t)sqlite3_column_int64(query.row, 2),
		        .sized_stored_bytes = (uint64_t)sqlite3_column_int64(query.row, 3),
		        .database_bytes = (uint64_t)sqlite3_column_int64(query.row, 4),
		};
	return r;
}

int catalog_paces(struct catalog *c, const char *directory, enum pace_work work, struct catalog_paces *ret)
{
	struct catalog_paces own = {0};
	int r = sum_paces(c, directory, work, &own);

	if (r == 0 && own.count == 0)
		r = sum_paces(c, NULL, work, &own);
	if (r == 0)
		*ret = own;
	return r;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Members: rows that are made when a database is named for the first time, and stay when it is gone, for as long as it has
 * backups. A reading is one transaction: what it names is written with its place in the answer; whoever is live and has another
 * reading's time then was not named by this one.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/base/str.h>
#include <keepfs/catalog/members.h>
#include <keepfs/policy/databases.h>

#define MEMBER                                                                                               \
	"SELECT name, class, first_seen_us, last_seen_us, missing_since_us, gone_since_us FROM member WHERE job = ?1 "

typedef void (*member_changed)(void *arg, enum catalog_member_change change, const struct catalog_member *m);

struct reading {
	struct connection *c;
	const struct catalog_reading *told;
	member_changed changed;
	void *arg;
};

static void read_member(sqlite3_stmt *row, struct catalog_member *m)
{
	*m = (struct catalog_member){
	        .first_seen_us = sqlite3_column_int64(row, 2),
	        .last_seen_us = sqlite3_column_int64(row, 3),
	        .missing_since_us = sqlite3_column_int64(row, 4),
	        .gone_since_us = sqlite3_column_int64(row, 5),
	};
	column_text(row, 0, m->name, sizeof(m->name));
	column_text(row, 1, m->class, sizeof(m->class));
}

static void tell_member(const struct reading *r, enum catalog_member_change change,
                        const struct catalog_member *m)
{
	if (r->changed)
		r->changed(r->arg, change, m);
}

/* Of those that have backups and that nobody ever named, the times of these are what is known. */
static int add_unseen(const struct reading *reading)
{
	static const char sql[] =
	        "INSERT INTO member (job, name, first_seen_us, last_seen_us)"
	        " SELECT job, target, min(started_at_us), max(finished_at_us) FROM artifact"
	        " WHERE job = ?1 AND tomb = 0 AND target <> ''"
	        " AND NOT EXISTS (SELECT 1 FROM member m WHERE m.job = ?1 AND m.name = target) GROUP BY target";

	return db_run(reading->c, sql, VALUES(text_value(reading->told->job)));
}

static int find_member(struct connection *c, const char *job, const char *name, struct catalog_member *ret)
{
	static const char sql[] = MEMBER "AND name = ?2";
	_cleanup(statement) sqlite3_stmt *row = NULL;
	int r = db_row(c, &row, sql, VALUES(text_value(job), text_value(name)));

	if (r == 0)
		read_member(row, ret);
	return r;
}

static void tell_named(const struct reading *reading, const struct catalog_member *before, bool known,
                       const struct catalog_member *now)
{
	if (!known)
		tell_member(reading, CATALOG_MEMBER_NEW, now);
	else if (before->gone_since_us || before->missing_since_us)
		tell_member(reading, CATALOG_MEMBER_BACK, now);
	else if (!str_equal(before->class, now->class))
		tell_member(reading, CATALOG_MEMBER_CLASS, now);
}

static int take_named(const struct reading *reading, size_t place)
{
	static const char sql[] =
	        "INSERT INTO member (job, name, class, first_seen_us, last_seen_us, place)"
	        " VALUES (?1, ?2, ?3, ?4, ?4, ?5) ON CONFLICT (job, name) DO UPDATE SET class = excluded.class,"
	        " last_seen_us = excluded.last_seen_us, place = excluded.place, missing_since_us = 0, gone_since_us = 0";
	const struct catalog_reading *told = reading->told;
	const struct catalog_named *row = &told->rows[place];
	struct catalog_member before = {0}, now = {0};
	int found = find_member(reading->c, told->job, row->name, &before), r;

	if (found < 0 && found != -ENOENT)
		return found;
	r = db_run(reading->c, sql,
	           VALUES(text_value(told->job), text_value(row->name), text_value(str_or_empty(row->class)),
	                  int_value(told->at_us), int_value((int64_t)place)));
	if (r == 0)
		r = find_member(reading->c, told->job, row->name, &now);
	if (r == 0)
		tell_named(reading, &before, found == 0, &now);
	return r;
}

/* Those that are live and were not named at @at_us. */
static int count_live(const struct reading *reading, size_t *ret)
{
	static const char sql[] =
	        "SELECT count(*) FROM member WHERE job = ?1 AND gone_since_us = 0 AND last_seen_us <> ?2";
	int64_t count = 0;
	int r = db_number(reading->c, &count, sql,
	                  VALUES(text_value(reading->told->job), int_value(reading->told->at_us)));

	*ret = (size_t)count;
	return r;
}

/* The condition on a live member that this answer does not name. */
#define NOT_NAMED "gone_since_us = 0 AND last_seen_us <> ?2 "

static int tell_not_named(const struct reading *reading, const char *sql, enum catalog_member_change change)
{
	_cleanup(query) struct query query =
	        query_within(reading->c, sql,
	                     VALUES(text_value(reading->told->job), int_value(reading->told->at_us),
	                            int_value(reading->told->patience_us)));

	while (query_next(&query)) {
		struct catalog_member m;

		read_member(query.row, &m);
		tell_member(reading, change, &m);
	}
	return query.result;
}

/* They are told of as they were, and then marked. */
static int mark_gone(const struct reading *reading)
{
	static const char find_sql[] = MEMBER
	        "AND " NOT_NAMED "AND (?3 = 0 OR missing_since_us > 0 AND missing_since_us <= ?2 - ?3)";
	static const char mark_sql[] =
	        "UPDATE member SET gone_since_us = ?2, missing_since_us = 0 WHERE job = ?1 AND " NOT_NAMED
	        "AND (?3 = 0 OR missing_since_us > 0 AND missing_since_us <= ?2 - ?3)";
	const struct catalog_reading *told = reading->told;
	int r = tell_not_named(reading, find_sql, CATALOG_MEMBER_GONE);

	return r < 0 ? r
	             : db_run(reading->c, mark_sql,
	                      VALUES(text_value(told->job), int_value(told->at_us),
	                             int_value(told->patience_us)));
}

static int mark_missing(const struct reading *reading)
{
	static const char find_sql[] = MEMBER "AND " NOT_NAMED "AND missing_since_us = 0 AND ?3 = ?3";
	static const char mark_sql[] = "UPDATE member SET missing_since_us = ?2 WHERE job = ?1 AND " NOT_NAMED
	                               "AND missing_since_us = 0";
	int r = tell_not_named(reading, find_sql, CATALOG_MEMBER_MISSING);

	return r < 0 ? r
	             : db_run(reading->c, mark_sql,
	                      VALUES(text_value(reading->told->job), int_value(reading->told->at_us)));
}

/* @known: how many were live before. Those that this answer names for the first time say nothing of the others. */
static int settle_not_named(const struct reading *reading, size_t known)
{
	struct catalog_reading at_once = *reading->told;
	struct reading sure = *reading;
	size_t not_named = 0;
	int r = count_live(reading, &not_named);

	if (r < 0 || not_named == 0)
		return r;
	at_once.patience_us = 0;
	sure.told = &at_once;
	if (!databases_are_lost(known, not_named))
		return mark_gone(&sure);
	r = mark_gone(reading);
	return r < 0 ? r : mark_missing(reading);
}

static int note_members_read(const struct reading *reading)
{
	static const char sql[] =
	        "INSERT INTO registry (job, read_at_us) VALUES (?1, ?2) ON CONFLICT (job) DO UPDATE"
	        " SET read_at_us = excluded.read_at_us, failed_at_us = 0, failure = ''";

	return db_run(reading->c, sql,
	              VALUES(text_value(reading->told->job), int_value(reading->told->at_us)));
}

static int read_members(const struct reading *reading)
{
	size_t known = 0;
	int r = add_unseen(reading);

	if (r == 0)
		r = count_live(reading, &known);
	for (size_t i = 0; r == 0 && i < reading->told->count; i++)
		r = take_named(reading, i);
	if (r == 0)
		r = settle_not_named(reading, known);
	return r < 0 ? r : note_members_read(reading);
}

int catalog_read_members(struct catalog *c, const struct catalog_reading *told, member_changed changed,
                         void *arg, struct error *err)
{
	struct reading reading = {.told = told, .changed = changed, .arg = arg};

	return TRANSACTION(c, err, (reading.c = c->writer, read_members(&reading)));
}

int catalog_fail_members(struct catalog *c, const char *job, int64_t at_us, const char *reason,
                         struct error *err)
{
	static const char sql[] =
	        "INSERT INTO registry (job, failed_at_us, failure) VALUES (?1, ?2, ?3) ON CONFLICT (job) DO UPDATE"
	        " SET failed_at_us = iif(failed_at_us = 0, excluded.failed_at_us, failed_at_us), failure = excluded.failure";

	return write_run(c, err, sql, VALUES(text_value(job), int_value(at_us), text_value(reason)));
}

int catalog_registry(struct catalog *c, const char *job, struct catalog_registry *ret)
{
	static const char sql[] =
	        "SELECT coalesce((SELECT read_at_us FROM registry WHERE job = ?1), 0),"
	        " coalesce((SELECT failed_at_us FROM registry WHERE job = ?1), 0),"
	        " coalesce((SELECT failure FROM registry WHERE job = ?1), ''),"
	        " count(*) FILTER (WHERE gone_since_us = 0), count(*) FILTER (WHERE missing_since_us > 0),"
	        " count(*) FILTER (WHERE gone_since_us > 0),"
	        " coalesce(min(missing_since_us) FILTER (WHERE missing_since_us > 0), 0) FROM member WHERE job = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret = (struct catalog_registry){
	        .read_at_us = sqlite3_column_int64(query.row, 0),
	        .failed_at_us = sqlite3_column_int64(query.row, 1),
	        .live = column_u64(query.row, 3),
	        .missing = column_u64(query.row, 4),
	        .gone = column_u64(query.row, 5),
	        .missing_since_us = sqlite3_column_int64(query.row, 6),
	};
	column_text(query.row, 2, ret->failure, sizeof(ret->failure));
	return 0;
}

int catalog_each_member(struct catalog *c, const char *job, bool gone,
                        void (*row)(void *arg, const struct catalog_member *m), void *arg)
{
	static const char sql[] = MEMBER
	        "AND (gone_since_us = 0 OR ?2) ORDER BY gone_since_us > 0, gone_since_us DESC, place, name";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job), int_value(gone)));

	while (query_next(&query)) {
		struct catalog_member m;

		read_member(query.row, &m);
		row(arg, &m);
	}
	return query.result;
}

int catalog_member(struct catalog *c, const char *job, const char *name, struct catalog_member *ret)
{
	static const char sql[] = MEMBER "AND name = ?2";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job), text_value(name)));
	int r = query_one(&query);

	if (r == 0)
		read_member(query.row, ret);
	return r;
}

int64_t catalog_member_gone(struct catalog *c, const char *job, const char *name)
{
	struct catalog_member m;

	return catalog_member(c, job, name, &m) < 0 ? 0 : m.gone_since_us;
}

// SPDX-License-Identifier: Apache-2.0
/* What was told, and what is to be told: the part of notices that is about what happened. */
#include "access.h"

#include <errno.h>
#include <string.h>

#include <keepfs/catalog/notices.h>

/* The row of an item that there is not: something was set. */
#define BEGUN ""

static int set_told(struct connection *c, const struct catalog_news *news)
{
	static const char clear_sql[] = "DELETE FROM notice_told";
	static const char sql[] =
	        "INSERT OR REPLACE INTO notice_told (check_name, subject, kind, level, told, since_us)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
	int r = db_run(c, clear_sql, NULL, 0);

	if (r == 0)
		r = db_run(c, sql,
		           VALUES(text_value(BEGUN), text_value(""), text_value(""), int_value(0),
		                  int_value(1), int_value(0)));
	for (size_t i = 0; r == 0 && i < news->told_count; i++) {
		const struct catalog_told *t = &news->told[i];

		r = db_run(c, sql,
		           VALUES(text_value(t->check), text_value(t->subject), text_value(t->kind),
		                  int_value(t->level), int_value(t->told), int_value(t->since_us)));
	}
	return r;
}

/* What a newer one of the same makes void. */
static int drop_superseded(struct connection *c, const struct catalog_notice *n)
{
	static const char beat_sql[] =
	        "DELETE FROM notice WHERE receiver = ?1 AND kind = 1 AND job = ?2 AND run_id < ?3";
	static const char digest_sql[] = "DELETE FROM notice WHERE receiver = ?1 AND kind = 2";

	if (n->kind == NOTICE_BEAT)
		return db_run(c, beat_sql,
		              VALUES(text_value(n->receiver), text_value(n->job), int_value(n->run_id)));
	if (n->kind == NOTICE_DIGEST)
		return db_run(c, digest_sql, VALUES(text_value(n->receiver)));
	return 0;
}
_Static_assert(NOTICE_EVENT == 0 && NOTICE_BEAT == 1 && NOTICE_DIGEST == 2, "files hold these numbers");

static int know_receiver(struct connection *c, const char *name)
{
	static const char sql[] = "INSERT OR IGNORE INTO notice_receiver (name) VALUES (?1)";

	return db_run(c, sql, VALUES(text_value(name)));
}

/* The oldest beyond @max make room. */
static int bound_waiting(struct connection *c, const char *receiver, size_t max)
{
	static const char count_sql[] =
	        "UPDATE notice_receiver SET dropped = dropped + n, dropped_to_us = newest,"
	        " dropped_from_us = iif(dropped = 0, oldest, dropped_from_us)"
	        " FROM (SELECT count(*) AS n, min(at_us) AS oldest, max(at_us) AS newest FROM"
	        "  (SELECT at_us FROM notice WHERE receiver = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2))"
	        " WHERE name = ?1 AND n > 0";
	static const char drop_sql[] =
	        "DELETE FROM notice WHERE id IN"
	        " (SELECT id FROM notice WHERE receiver = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2)";
	int r = db_run(c, count_sql, VALUES(text_value(receiver), int_value((int64_t)max)));

	return r < 0 ? r : db_run(c, drop_sql, VALUES(text_value(receiver), int_value((int64_t)max)));
}

static int add_notice(struct connection *c, const struct catalog_notice *n, size_t max)
{
	static const char sql[] = "INSERT INTO notice (kind, receiver, at_us, job, run_id, facts)"
	                          " VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
	int r = know_receiver(c, n->receiver);

	if (r == 0)
		r = drop_superseded(c, n);
	if (r == 0)
		r = db_run(c, sql,
		           VALUES(int_value(n->kind), text_value(n->receiver), int_value(n->at_us),
		                  text_value(n->job), int_value(n->run_id), text_value(n->facts)));
	return r < 0 ? r : bound_waiting(c, n->receiver, max);
}

static int set_beat(struct connection *c, const struct catalog_beat *b)
{
	static const char sql[] = "INSERT OR REPLACE INTO notice_beat (receiver, job, run_id, begun, ended)"
	                          " VALUES (?1, ?2, ?3, ?4, ?5)";

	return db_run(c, sql,
	              VALUES(text_value(b->receiver), text_value(b->job), int_value(b->run_id),
	                     int_value(b->begun), int_value(b->ended)));
}

static int set_digest(struct connection *c, const struct catalog_digest_due *d)
{
	static const char sql[] = "UPDATE notice_receiver SET digest_us = ?2 WHERE name = ?1";
	int r = know_receiver(c, d->receiver);

	return r < 0 ? r : db_run(c, sql, VALUES(text_value(d->receiver), int_value(d->due_us)));
}

static int set_holds_looked(struct connection *c, int64_t at_us)
{
	static const char sql[] = "INSERT OR REPLACE INTO notice_look (one, holds_us) VALUES (1, ?1)";

	return db_run(c, sql, VALUES(int_value(at_us)));
}

static int forget_restores_told(struct connection *c, const int64_t *ids, size_t count)
{
	static const char sql[] = "DELETE FROM notice_restore WHERE run_id = ?1";
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = db_run(c, sql, VALUES(int_value(ids[i])));
	return r;
}

static int add_news(struct connection *c, const struct catalog_news *news)
{
	int r = news->sets_told ? set_told(c, news) : 0;

	for (size_t i = 0; r == 0 && i < news->notice_count; i++)
		r = add_notice(c, &news->notices[i], news->waiting_max);
	for (size_t i = 0; r == 0 && i < news->beat_count; i++)
		r = set_beat(c, &news->beats[i]);
	for (size_t i = 0; r == 0 && i < news->digest_count; i++)
		r = set_digest(c, &news->digests[i]);
	if (r == 0 && news->holds_looked_us)
		r = set_holds_looked(c, news->holds_looked_us);
	return r < 0 ? r : forget_restores_told(c, news->restores, news->restore_count);
}

int catalog_add_news(struct catalog *c, const struct catalog_news *news, struct error *err)
{
	return TRANSACTION(c, err, add_news(c->writer, news));
}

int catalog_told(struct catalog *c, bool *ret_begun, void (*row)(void *arg, const struct catalog_told *told),
                 void *arg)
{
	static const char sql[] = "SELECT check_name, subject, kind, level, told, since_us FROM notice_told";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);
	bool begun = false;

	while (query_next(&query)) {
		const struct catalog_told told = {
		        .check = column_borrowed(query.row, 0),
		        .subject = column_borrowed(query.row, 1),
		        .kind = column_borrowed(query.row, 2),
		        .level = sqlite3_column_int(query.row, 3),
		        .told = sqlite3_column_int(query.row, 4),
		        .since_us = sqlite3_column_int64(query.row, 5),
		};

		begun = true;
		if (strcmp(told.check, BEGUN) != 0)
			row(arg, &told);
	}
	if (query.result < 0)
		return query.result;
	*ret_begun = begun;
	return 0;
}

static int forget_told(struct connection *c)
{
	static const char script[] =
	        "DELETE FROM notice_told; DELETE FROM notice_beat; DELETE FROM notice_look; DELETE FROM notice_restore";

	return db_script(c, script);
}

int catalog_forget_told(struct catalog *c, struct error *err)
{
	return TRANSACTION(c, err, forget_told(c->writer));
}

int catalog_beat(struct catalog *c, const char *receiver, const char *job, struct catalog_beat *ret)
{
	static const char sql[] =
	        "SELECT run_id, begun, ended FROM notice_beat WHERE receiver = ?1 AND job = ?2";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(receiver), text_value(job)));
	int r = query_one(&query);

	if (r == 0)
		*ret = (struct catalog_beat){
		        .receiver = receiver,
		        .job = job,
		        .run_id = sqlite3_column_int64(query.row, 0),
		        .begun = sqlite3_column_int(query.row, 1),
		        .ended = sqlite3_column_int(query.row, 2),
		};
	return r;
}

int catalog_holds_looked(struct catalog *c, int64_t *ret_us)
{
	static const char sql[] = "SELECT holds_us FROM notice_look";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);
	int r = query_one(&query);

	if (r == 0)
		*ret_us = sqlite3_column_int64(query.row, 0);
	return r;
}

ssize_t catalog_untold_restores(struct catalog *c, int64_t *ret_ids, size_t max)
{
	static const char sql[] = "SELECT run_id FROM notice_restore ORDER BY run_id LIMIT ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value((int64_t)max)));
	size_t count = 0;

	while (count < max && query_next(&query))
		ret_ids[count++] = sqlite3_column_int64(query.row, 0);
	return query.result < 0 ? query.result : (ssize_t)count;
}

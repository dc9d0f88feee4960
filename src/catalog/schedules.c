// SPDX-License-Identifier: Apache-2.0
/* What runs by itself. A row of a schedule says up to when it is dealt with, not what is to come: that is computed. */
#include "access.h"
#include "catalog_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/catalog/schedules.h>

#include <errno.h>

int catalog_schedules(struct catalog *c, void (*row)(void *arg, const struct catalog_schedule *schedule),
                      void *arg)
{
	static const char sql[] = "SELECT job, class, due_us, rule FROM schedule ORDER BY job, class";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query)) {
		struct catalog_schedule schedule = {.due_us = sqlite3_column_int64(query.row, 2)};

		column_text(query.row, 0, schedule.job, sizeof(schedule.job));
		column_text(query.row, 1, schedule.class, sizeof(schedule.class));
		column_text(query.row, 3, schedule.rule, sizeof(schedule.rule));
		row(arg, &schedule);
	}
	return query.result;
}

static int set_schedule(struct connection *c, const struct catalog_schedule *s)
{
	static const char sql[] =
	        "INSERT INTO schedule (job, class, due_us, rule) VALUES (?1, ?2, ?3, ?4)"
	        " ON CONFLICT (job, class) DO UPDATE SET due_us = excluded.due_us, rule = excluded.rule";

	return db_run(
	        c, sql,
	        VALUES(text_value(s->job), text_value(s->class), int_value(s->due_us), text_value(s->rule)));
}

static int set_schedules(struct connection *c, const struct catalog_schedule *schedules, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = set_schedule(c, &schedules[i]);
	return r;
}

int catalog_set_schedules(struct catalog *c, const struct catalog_schedule *schedules, size_t count,
                          struct error *err)
{
	return TRANSACTION(c, err, set_schedules(c->writer, schedules, count));
}

int catalog_drop_schedule(struct catalog *c, const char *job, const char *class, struct error *err)
{
	static const char sql[] = "DELETE FROM schedule WHERE job = ?1 AND class = ?2";

	return write_run(c, err, sql, VALUES(text_value(job), text_value(class)));
}

static int add_due_run(struct connection *c, const struct catalog_run *run,
                       const struct catalog_schedule *due, int64_t *ret_id)
{
	int r = run_add(c, run, ret_id);

	if (r == 0)
		r = set_schedule(c, due);
	return r;
}

int catalog_add_due_run(struct catalog *c, const struct catalog_run *run, const struct catalog_schedule *due,
                        int64_t *ret_id, struct error *err)
{
	int64_t id = 0;
	int r = TRANSACTION(c, err, add_due_run(c->writer, run, due, &id));

	if (r == 0)
		*ret_id = id;
	return r;
}

int catalog_classes(struct catalog *c,
                    void (*row)(void *arg, const char *job, const char *class, uint64_t databases), void *arg)
{
	static const char sql[] =
	        "SELECT job, class, count(*) FROM member WHERE class <> '' AND gone_since_us = 0"
	        " GROUP BY job, class";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query))
		row(arg, column_borrowed(query.row, 0), column_borrowed(query.row, 1),
		    column_u64(query.row, 2));
	return query.result;
}

static int each_switch(struct query *query, void (*row)(void *arg, const struct catalog_switch *s), void *arg)
{
	while (query_next(query)) {
		struct catalog_switch s = {
		        .is_off = sqlite3_column_int(query->row, 1),
		        .until_us = sqlite3_column_int64(query->row, 2),
		        .at_us = sqlite3_column_int64(query->row, 4),
		};

		column_text(query->row, 0, s.job, sizeof(s.job));
		column_text(query->row, 3, s.by, sizeof(s.by));
		column_text(query->row, 5, s.note, sizeof(s.note));
		row(arg, &s);
	}
	return query->result;
}

#define SWITCH "SELECT job, is_off, until_us, said_by, at_us, note FROM switch "

int catalog_switches(struct catalog *c, void (*row)(void *arg, const struct catalog_switch *s), void *arg)
{
	_cleanup(query) struct query query = query_begin(c, SWITCH "ORDER BY job", NULL, 0);

	return each_switch(&query, row, arg);
}

int catalog_switches_of(struct catalog *c, const char *job,
                        void (*row)(void *arg, const struct catalog_switch *s), void *arg)
{
	_cleanup(query) struct query query =
	        query_begin(c, SWITCH "WHERE job IN ('', ?1) ORDER BY job", VALUES(text_value(job)));

	return each_switch(&query, row, arg);
}

int catalog_set_switch(struct catalog *c, const struct catalog_switch *s, struct error *err)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO switch (job, is_off, until_us, said_by, at_us, note) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

	return write_run(c, err, sql,
	                 VALUES(text_value(s->job), int_value(s->is_off), int_value(s->until_us),
	                        text_value(s->by), int_value(s->at_us), text_value(s->note)));
}

// SPDX-License-Identifier: Apache-2.0
/* Restores at work, and what earlier ones have left. */
#include "access.h"

#include <keepfs/catalog/restores.h>

_Static_assert(RESTORE_PHASE_BESIDE == 0 && RESTORE_PHASE_SWAP == 2 && RESTORE_PHASE_FILES_OVER == 4 &&
                       RESTORE_PHASE_DEPLOYMENT == 5 && RESTORE_PHASE_SCRATCH == 6 &&
                       RESTORE_PHASE_CLUSTER == 7,
               "catalogs hold these numbers");

/* Where it went to is told when it has ended. */
static int keep_place(struct connection *c, const struct catalog_restore *x)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO restore_place (run_id, target, server, backup, before) VALUES (?1, ?2, ?3, ?4, ?5)";
	static const char old_sql[] =
	        "DELETE FROM restore_place WHERE run_id < (SELECT run_id FROM restore_place ORDER BY run_id DESC LIMIT 1 OFFSET ?1)";
	int r = db_run(c, sql,
	               VALUES(int_value(x->run_id), text_value(x->target), text_value(x->server),
	                      text_value(x->backup), text_value(x->before)));

	return r < 0 ? r : db_run(c, old_sql, VALUES(int_value(CATALOG_RESTORE_PLACES - 1)));
}

static int set_restore(struct connection *c, const struct catalog_restore *x)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO restore (run_id, target, server, backup, made, before, phase, begun_at_us)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

	int r = db_run(c, sql,
	               VALUES(int_value(x->run_id), text_value(x->target), text_value(x->server),
	                      text_value(x->backup), text_value(x->made), text_value(x->before),
	                      int_value(x->phase), int_value(x->begun_at_us)));

	return r < 0 ? r : keep_place(c, x);
}

int catalog_set_restore(struct catalog *c, const struct catalog_restore *x, struct error *err)
{
	return TRANSACTION(c, err, set_restore(c->writer, x));
}

#define THOSE " WHERE (?1 = 0 OR run_id = ?1) AND (?2 IS NULL OR target = ?2) AND (?3 IS NULL OR server = ?3)"
#define THOSE_VALUES(which)                                                                                  \
	int_value((which)->run_id), text_value((which)->target), text_value((which)->server)

int catalog_end_restore(struct catalog *c, const struct catalog_restore_which *which, struct error *err)
{
	static const char sql[] = "DELETE FROM restore" THOSE;

	return write_run(c, err, sql, VALUES(THOSE_VALUES(which)));
}

int catalog_leave_restore(struct catalog *c, const struct catalog_restore_which *which, const char *problem,
                          struct error *err)
{
	static const char sql[] = "UPDATE restore SET is_over = 1, problem = ?4" THOSE;

	return write_run(c, err, sql, VALUES(THOSE_VALUES(which), text_value(problem)));
}

static int forget_restores(struct connection *c, const struct catalog_restore_which *which,
                           uint64_t *ret_count)
{
	static const char sql[] = "DELETE FROM restore" THOSE " AND is_over = 1";
	int r = db_run(c, sql, VALUES(THOSE_VALUES(which)));

	if (r == 0)
		*ret_count = (uint64_t)sqlite3_changes64(c->db);
	return r;
}

int catalog_forget_restores(struct catalog *c, const struct catalog_restore_which *which, uint64_t *ret_count,
                            struct error *err)
{
	return TRANSACTION(c, err, forget_restores(c->writer, which, ret_count));
}

int catalog_interrupt_restores(struct catalog *c, struct error *err)
{
	static const char sql[] =
	        "UPDATE restore SET is_over = 1, problem = 'keepfs ended in the middle of it' WHERE is_over = 0";

	return write_run(c, err, sql, NULL, 0);
}

int catalog_each_restore(struct catalog *c, void (*row)(void *arg, const struct catalog_restore *restore),
                         void *arg)
{
	static const char sql[] =
	        "SELECT run_id, target, server, backup, made, before, phase, begun_at_us, is_over, problem"
	        " FROM restore ORDER BY run_id, target, server";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query)) {
		struct catalog_restore x = {
		        .run_id = sqlite3_column_int64(query.row, 0),
		        .phase = (enum restore_phase)sqlite3_column_int(query.row, 6),
		        .begun_at_us = sqlite3_column_int64(query.row, 7),
		        .is_over = sqlite3_column_int(query.row, 8) != 0,
		};

		column_text(query.row, 1, x.target, sizeof(x.target));
		column_text(query.row, 2, x.server, sizeof(x.server));
		column_text(query.row, 3, x.backup, sizeof(x.backup));
		column_text(query.row, 4, x.made, sizeof(x.made));
		column_text(query.row, 5, x.before, sizeof(x.before));
		column_text(query.row, 9, x.problem, sizeof(x.problem));
		row(arg, &x);
	}
	return query.result;
}

int catalog_restore_places(struct catalog *c, int64_t run_id,
                           void (*row)(void *arg, const struct catalog_restore_place *place), void *arg)
{
	static const char sql[] =
	        "SELECT target, server, backup, before FROM restore_place WHERE run_id = ?1 ORDER BY target";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value(run_id)));

	while (query_next(&query)) {
		const struct catalog_restore_place place = {
		        .target = column_borrowed(query.row, 0),
		        .server = column_borrowed(query.row, 1),
		        .backup = column_borrowed(query.row, 2),
		        .before = column_borrowed(query.row, 3),
		};

		row(arg, &place);
	}
	return query.result;
}

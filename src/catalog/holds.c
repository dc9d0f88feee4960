// SPDX-License-Identifier: Apache-2.0
/* Who holds which artifact. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/holds.h>

/* Its objects may be locked in the store, and get a legal hold, or lose it: keepfs/catalog/locks.h. */
static int lock_note_due(struct connection *c, uint64_t ino)
{
	static const char sql[] = "UPDATE artifact SET lock_due = 1 WHERE ino = ?1";

	return db_run(c, sql, VALUES(ino_value(ino)));
}

int hold_set(struct connection *c, uint64_t ino, const struct catalog_hold *hold)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO hold (artifact_ino, name, reason, held_by, at_us, until_us)"
	        " SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM artifact WHERE ino = ?1 AND tomb = 0)";
	int r = db_run(c, sql,
	               VALUES(ino_value(ino), text_value(hold->name), text_value(hold->reason),
	                      text_value(hold->by), int_value(hold->at_us), int_value(hold->until_us)));

	if (r == 0 && sqlite3_changes64(c->db) == 0)
		r = error_set(&c->error, ERROR_NOT_FOUND, ENOENT, "there is no such backup");
	return r < 0 ? r : lock_note_due(c, ino);
}

int catalog_set_hold(struct catalog *c, uint64_t ino, const struct catalog_hold *hold, struct error *err)
{
	return TRANSACTION(c, err, hold_set(c->writer, ino, hold));
}

static int drop_hold(struct connection *c, uint64_t ino, const char *name)
{
	static const char sql[] = "DELETE FROM hold WHERE artifact_ino = ?1 AND name = ?2";
	int r = db_run(c, sql, VALUES(ino_value(ino), text_value(name)));

	if (r == 0 && sqlite3_changes64(c->db) == 0)
		r = error_set(&c->error, ERROR_NOT_FOUND, ENOENT, "there is no hold of the name '%s'", name);
	return r < 0 ? r : lock_note_due(c, ino);
}

int catalog_drop_hold(struct catalog *c, uint64_t ino, const char *name, struct error *err)
{
	return TRANSACTION(c, err, drop_hold(c->writer, ino, name));
}

static int note_holds(struct connection *c, uint64_t ino)
{
	static const char sql[] = "UPDATE artifact SET has_holds = 1 WHERE ino = ?1";

	return db_run(c, sql, VALUES(ino_value(ino)));
}

int catalog_note_holds(struct catalog *c, uint64_t ino, struct error *err)
{
	return TRANSACTION(c, err, note_holds(c->writer, ino));
}

/* What the manifest says of its trigger was ended, or is among those that come. */
int holds_restore(struct connection *c, uint64_t ino, const struct catalog_marks *marks)
{
	static const char sql[] = "DELETE FROM hold WHERE artifact_ino = ?1";
	int r = marks->has_holds ? note_holds(c, ino) : 0;

	if (r == 0 && marks->says_all)
		r = db_run(c, sql, VALUES(ino_value(ino)));
	for (size_t i = 0; r == 0 && i < marks->hold_count; i++)
		r = hold_set(c, ino, &marks->holds[i]);
	return r;
}

/* Its columns are name, reason, held_by, at_us, until_us. */
static void read_hold(sqlite3_stmt *row, struct catalog_hold *ret)
{
	*ret = (struct catalog_hold){.at_us = sqlite3_column_int64(row, 3),
	                             .until_us = sqlite3_column_int64(row, 4)};
	column_text(row, 0, ret->name, sizeof(ret->name));
	column_text(row, 1, ret->reason, sizeof(ret->reason));
	column_text(row, 2, ret->by, sizeof(ret->by));
}

ssize_t catalog_holds(struct catalog *c, uint64_t ino, struct catalog_hold *holds, size_t max)
{
	static const char sql[] =
	        "SELECT name, reason, held_by, at_us, until_us FROM hold WHERE artifact_ino = ?1"
	        " ORDER BY at_us, name LIMIT ?2";
	size_t count = 0;
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(ino_value(ino), int_value((int64_t)max)));

	while (count < max && query_next(&query))
		read_hold(query.row, &holds[count++]);
	return query.result < 0 ? query.result : (ssize_t)count;
}

int catalog_held(struct catalog *c, uint64_t directory_ino, int64_t now_us,
                 void (*row)(void *arg, uint64_t ino), void *arg)
{
	static const char sql[] =
	        "SELECT DISTINCT h.artifact_ino FROM hold h CROSS JOIN artifact a ON a.ino = h.artifact_ino"
	        " WHERE a.directory_ino = ?1 AND a.tomb = 0 AND (h.until_us = 0 OR h.until_us > ?2)";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(ino_value(directory_ino), int_value(now_us)));

	while (query_next(&query))
		row(arg, column_u64(query.row, 0));
	return query.result;
}

int64_t catalog_count_held(struct catalog *c, const char *job, int64_t now_us)
{
	/* CROSS: holds are few, and artifacts many; SQLite would begin with these. */
	static const char sql[] =
	        "SELECT count(DISTINCT h.artifact_ino) FROM hold h CROSS JOIN artifact a ON a.ino = h.artifact_ino"
	        " WHERE a.job = ?1 AND a.tomb = 0 AND (h.until_us = 0 OR h.until_us > ?2)";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job), int_value(now_us)));
	int r = query_one(&query);

	return r < 0 ? r : sqlite3_column_int64(query.row, 0);
}

int catalog_ended_holds(struct catalog *c, int64_t after_us, int64_t now_us,
                        void (*row)(void *arg, const char *path, const char *job,
                                    const struct catalog_hold *hold, bool is_held),
                        void *arg)
{
	static const char sql[] =
	        "SELECT h.name, h.reason, h.held_by, h.at_us, h.until_us, d.path || '/' || a.name, a.job,"
	        " EXISTS (SELECT 1 FROM hold o WHERE o.artifact_ino = h.artifact_ino"
	        "  AND (o.until_us = 0 OR o.until_us > ?2))"
	        " FROM hold h JOIN artifact a ON a.ino = h.artifact_ino JOIN directory d ON d.ino = a.directory_ino"
	        " WHERE a.tomb = 0 AND h.until_us > ?1 AND h.until_us <= ?2 ORDER BY h.until_us, h.artifact_ino";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value(after_us), int_value(now_us)));

	while (query_next(&query)) {
		struct catalog_hold hold;

		read_hold(query.row, &hold);
		row(arg, column_borrowed(query.row, 5), column_borrowed(query.row, 6), &hold,
		    sqlite3_column_int(query.row, 7));
	}
	return query.result;
}

int64_t catalog_next_hold_end(struct catalog *c, int64_t now_us)
{
	static const char sql[] = "SELECT coalesce(min(until_us), 0) FROM hold WHERE until_us > ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value(now_us)));
	int r = query_one(&query);

	return r < 0 ? r : sqlite3_column_int64(query.row, 0);
}

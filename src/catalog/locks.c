// SPDX-License-Identifier: Apache-2.0
/* See keepfs/catalog/locks.h. What is due has an index of its own: mostly there is nothing. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/locks.h>
#include <keepfs/codec/name.h>

int catalog_lock_of(struct catalog *c, uint64_t ino, struct catalog_lock *ret)
{
	static const char sql[] =
	        "SELECT lock_mode, locked_until_us, lock_wanted_us, lock_held FROM artifact WHERE ino = ?1 AND tomb = 0";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret = (struct catalog_lock){.mode = sqlite3_column_int(query.row, 0),
	                             .until_us = sqlite3_column_int64(query.row, 1),
	                             .wanted_us = sqlite3_column_int64(query.row, 2),
	                             .is_held = sqlite3_column_int(query.row, 3)};
	return 0;
}

int catalog_set_lock(struct catalog *c, uint64_t ino, const struct catalog_lock *lock, struct error *err)
{
	static const char sql[] =
	        "UPDATE artifact SET lock_mode = ?2, locked_until_us = ?3, lock_held = ?4, lock_wanted_us = ?5,"
	        " lock_due = ?5 > ?3, lock_failed_us = 0, lock_why = '' WHERE ino = ?1";

	return TRANSACTION(c, err,
	                   db_run(c->writer, sql,
	                          VALUES(ino_value(ino), int_value(lock->mode), int_value(lock->until_us),
	                                 int_value(lock->is_held), int_value(lock->wanted_us))));
}

static int want_locks(struct connection *c, const struct catalog_lock_wish *wishes, size_t count)
{
	static const char sql[] =
	        "UPDATE artifact SET lock_wanted_us = ?2, lock_due = 1"
	        " WHERE ino = ?1 AND tomb = 0 AND max(lock_wanted_us, locked_until_us) < ?2";
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = db_run(c, sql, VALUES(ino_value(wishes[i].ino), int_value(wishes[i].wanted_us)));
	return r;
}

int catalog_want_locks(struct catalog *c, const struct catalog_lock_wish *wishes, size_t count,
                       struct error *err)
{
	return TRANSACTION(c, err, want_locks(c->writer, wishes, count));
}

/* Of the pack a: the latest end of a lock of what needs it. */
#define NEEDED_UNTIL                                                                                         \
	"(SELECT coalesce(max(max(o.locked_until_us, o.lock_wanted_us)), 0) FROM need n"                     \
	" CROSS JOIN artifact o ON o.ino = n.ino WHERE n.directory = d.path"                                 \
	" AND CAST(a.name AS INTEGER) BETWEEN n.first AND n.last)"

static int want_pack_locks(struct connection *c, uint64_t *ret_count)
{
	static const char any_sql[] =
	        "SELECT EXISTS (SELECT 1 FROM need n CROSS JOIN artifact o ON o.ino = n.ino"
	        " WHERE o.locked_until_us > 0 OR o.lock_wanted_us > 0)";
	static const char sql[] =
	        "UPDATE artifact SET lock_wanted_us = w.until_us, lock_due = 1 FROM"
	        " (SELECT a.ino, " NEEDED_UNTIL
	        " AS until_us FROM directory d CROSS JOIN artifact a ON a.directory_ino = d.ino"
	        "  WHERE d.path > '" TREE_PACKS "/' AND d.path < '" TREE_PACKS "0' AND a.tomb = 0) w"
	        " WHERE artifact.ino = w.ino AND max(artifact.lock_wanted_us, artifact.locked_until_us) < w.until_us";
	int64_t any = 0;
	int r = db_number(c, &any, any_sql, NULL, 0);

	*ret_count = 0;
	if (r == 0 && any)
		r = db_run(c, sql, NULL, 0);
	if (r == 0 && any)
		*ret_count = (uint64_t)sqlite3_changes64(c->db);
	return r;
}

int catalog_want_pack_locks(struct catalog *c, uint64_t *ret_count, struct error *err)
{
	return TRANSACTION(c, err, want_pack_locks(c->writer, ret_count));
}

int catalog_lock_failed(struct catalog *c, uint64_t ino, const char *why, int64_t now_us, struct error *err)
{
	static const char sql[] =
	        "UPDATE artifact SET lock_due = 1, lock_why = ?2,"
	        " lock_failed_us = iif(lock_failed_us = 0, ?3, lock_failed_us) WHERE ino = ?1";

	return TRANSACTION(
	        c, err, db_run(c->writer, sql, VALUES(ino_value(ino), text_value(why), int_value(now_us))));
}

int catalog_next_due_lock(struct catalog *c, uint64_t after_ino, uint64_t *ret_ino, char **ret_path)
{
	static const char sql[] =
	        "SELECT a.ino, d.path || '/' || a.name FROM artifact a JOIN directory d ON d.ino ="
	        " a.directory_ino WHERE a.lock_due = 1 AND a.tomb = 0 AND a.ino > ?1 ORDER BY a.ino LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(after_ino)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret_ino = column_u64(query.row, 0);
	*ret_path = column_string(query.row, 1);
	return 0;
}

bool catalog_is_held(struct catalog *c, uint64_t ino, int64_t now_us)
{
	static const char sql[] =
	        "SELECT 1 FROM hold WHERE artifact_ino = ?1 AND (until_us = 0 OR until_us > ?2) LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino), int_value(now_us)));

	return query_one(&query) != -ENOENT;
}

bool catalog_was_held(struct catalog *c, uint64_t ino)
{
	static const char sql[] = "SELECT 1 FROM artifact WHERE ino = ?1 AND (has_holds = 1"
	                          " OR EXISTS (SELECT 1 FROM hold WHERE artifact_ino = ?1))";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));

	return query_one(&query) == 0;
}

int catalog_begin_hold(struct catalog *c, uint64_t ino, struct error *err)
{
	static const char sql[] = "UPDATE artifact SET lock_held = 1 WHERE ino = ?1";

	return write_run(c, err, sql, VALUES(ino_value(ino)));
}

int catalog_lock_state(struct catalog *c, int64_t now_us, struct catalog_lock_state *ret)
{
	static const char count_sql[] =
	        "SELECT (SELECT count(*) FROM artifact WHERE locked_until_us > ?1 AND tomb = 0),"
	        " count(*), coalesce(sum(lock_failed_us > 0), 0) FROM artifact"
	        " WHERE lock_due = 1 AND tomb = 0";
	static const char first_sql[] =
	        "SELECT lock_failed_us, d.path || '/' || a.name, lock_why FROM artifact a"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE a.lock_due = 1 AND a.tomb = 0"
	        " AND lock_failed_us > 0 ORDER BY lock_failed_us LIMIT 1";
	_cleanup(query) struct query counts = query_begin(c, count_sql, VALUES(int_value(now_us)));
	int r = query_one(&counts);

	if (r < 0)
		return r;
	*ret = (struct catalog_lock_state){.locked = column_u64(counts.row, 0),
	                                   .due = column_u64(counts.row, 1),
	                                   .failing = column_u64(counts.row, 2)};
	if (ret->failing == 0)
		return 0;
	_cleanup(query) struct query first = query_within(counts.connection, first_sql, NULL, 0);
	r = query_one(&first);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	ret->since_us = sqlite3_column_int64(first.row, 0);
	column_text(first.row, 1, ret->path, sizeof(ret->path));
	column_text(first.row, 2, ret->why, sizeof(ret->why));
	return 0;
}

int catalog_proof_lock(struct catalog *c, uint64_t store, struct catalog_proof_lock *ret)
{
	static const char sql[] =
	        "SELECT looked_at_us, until_us, count, failed, failing_us, why FROM proof_lock WHERE store = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(store)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret = (struct catalog_proof_lock){.looked_at_us = sqlite3_column_int64(query.row, 0),
	                                   .until_us = sqlite3_column_int64(query.row, 1),
	                                   .count = column_u64(query.row, 2),
	                                   .failed = column_u64(query.row, 3),
	                                   .failing_us = sqlite3_column_int64(query.row, 4)};
	column_text(query.row, 5, ret->why, sizeof(ret->why));
	return 0;
}

int catalog_set_proof_lock(struct catalog *c, uint64_t store, const struct catalog_proof_lock *lock,
                           struct error *err)
{
	static const char sql[] =
	        "INSERT INTO proof_lock (store, looked_at_us, until_us, count, failed, failing_us, why)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (store) DO UPDATE SET"
	        " looked_at_us = excluded.looked_at_us, until_us = excluded.until_us, count = excluded.count,"
	        " failed = excluded.failed, why = excluded.why, failing_us ="
	        " iif(excluded.failing_us > 0 AND failing_us > 0, min(failing_us, excluded.failing_us), excluded.failing_us)";

	return write_run(c, err, sql,
	                 VALUES(ino_value(store), int_value(lock->looked_at_us), int_value(lock->until_us),
	                        int_value((int64_t)lock->count), int_value((int64_t)lock->failed),
	                        int_value(lock->failing_us), text_value(lock->why)));
}

int catalog_forget_proof_lock(struct catalog *c, uint64_t store, struct error *err)
{
	static const char sql[] = "DELETE FROM proof_lock WHERE store = ?1";

	return write_run(c, err, sql, VALUES(ino_value(store)));
}

int catalog_proofs_unlocked(struct catalog *c, uint64_t store, struct error *err)
{
	static const char sql[] = "UPDATE proof_lock SET looked_at_us = 0 WHERE store = ?1";

	return write_run(c, err, sql, VALUES(ino_value(store)));
}

int catalog_failing_proof_locks(struct catalog *c, uint64_t *ret_count, uint64_t *ret_store)
{
	static const char sql[] =
	        "SELECT count(*), coalesce(min(store), 0) FROM proof_lock WHERE failing_us > 0";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret_count = column_u64(query.row, 0);
	*ret_store = column_u64(query.row, 1);
	return 0;
}

int catalog_locked_until(struct catalog *c, uint64_t store, int64_t *ret_us)
{
	static const char sql[] =
	        "SELECT max(coalesce((SELECT locked_until_us FROM artifact WHERE locked_until_us > 0 AND tomb = 0 AND store = ?1"
	        " ORDER BY locked_until_us DESC LIMIT 1), 0),"
	        " coalesce((SELECT max(until_us) FROM replica_lock WHERE store = ?1), 0))";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(store)));
	int r = query_one(&query);

	if (r == 0)
		*ret_us = sqlite3_column_int64(query.row, 0);
	else if (r == -ENOENT)
		*ret_us = 0;
	return r == -ENOENT ? 0 : r;
}

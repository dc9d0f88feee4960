// SPDX-License-Identifier: Apache-2.0
/* What further stores have of artifacts. A row is found by its artifact's path, which outlives the artifact. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/catalog/replicas.h>
#include <keepfs/codec/name.h>

static const char *const replica_states[REPLICA_STATES] = {"wanted", "copying", "whole",
                                                           "wrong",  "lost",    "removed"};

const char *replica_state_name(enum replica_state state)
{
	return replica_states[state];
}

/* An artifact that is there for everybody: one in the trash is not. */
#define IS_LISTED(ino) "EXISTS (SELECT 1 FROM artifact a WHERE a.ino = " ino " AND a.tomb = 0)"

/* What is wanted. */

#define WANT                                                                                                                 \
	"INSERT INTO replica (path, store, ino, state, job, class, started_at_us, finished_at_us, keep_until_us,"            \
	" partial, since_us, stored_bytes)"                                                                                  \
	" SELECT d.path || '/' || a.name, ?2, a.ino, 0, a.job, a.class, a.started_at_us, a.finished_at_us, a.keep_until_us," \
	" a.partial, ?3, a.stored_bytes + a.files_bytes FROM artifact a JOIN directory d ON d.ino = a.directory_ino"         \
	" WHERE a.tomb = 0 AND a.store = 0"

/* Another artifact of a name that is free again: what the store still has of the one before is not this one's. */
#define WANT_ANEW                                                                                                      \
	" ON CONFLICT (path, store) DO UPDATE SET state = 0, started_at_us = excluded.started_at_us,"                  \
	" finished_at_us = excluded.finished_at_us, since_us = excluded.since_us, verified_at_us = 0, done_bytes = 0," \
	" stored_bytes = excluded.stored_bytes, manifest_sha256 = '', attempts = 0, next_try_us = 0, error = ''"       \
	" WHERE state = 5 AND started_at_us <> excluded.started_at_us"

int catalog_want_replica(struct catalog *c, uint64_t ino, uint64_t store, int64_t now_us, struct error *err)
{
	static const char sql[] = WANT " AND a.ino = ?1" WANT_ANEW;

	return write_run(c, err, sql, VALUES(ino_value(ino), int_value((int64_t)store), int_value(now_us)));
}

int catalog_want_replicas(struct catalog *c, const char *job, uint64_t store, int64_t now_us,
                          struct error *err)
{
	static const char sql[] = WANT
	        " AND a.job = ?1 AND NOT EXISTS (SELECT 1 FROM replica r WHERE r.ino = a.ino AND r.store = ?2"
	        "  AND r.started_at_us = a.started_at_us)" WANT_ANEW;

	return write_run(c, err, sql, VALUES(text_value(job), int_value((int64_t)store), int_value(now_us)));
}

int catalog_drop_unwanted_replicas(struct catalog *c, const char *job, uint64_t store, struct error *err)
{
	static const char sql[] = "DELETE FROM replica WHERE store = ?2 AND job = ?1 AND state = 0";

	return write_run(c, err, sql, VALUES(text_value(job), int_value((int64_t)store)));
}

static int settle_replicas(struct connection *c, uint64_t store, int64_t now_us)
{
	/* Of another artifact that has the name meanwhile it is no copy. */
	static const char removed_sql[] =
	        "UPDATE replica SET state = 5, since_us = ?2 WHERE store = ?1 AND state = 2 AND NOT EXISTS (SELECT 1 FROM artifact a"
	        " WHERE a.ino = replica.ino AND a.tomb = 0 AND a.started_at_us = replica.started_at_us)";
	static const char back_sql[] =
	        "UPDATE replica SET state = 2, since_us = ?2 WHERE store = ?1 AND state = 5 AND EXISTS (SELECT 1 FROM artifact a"
	        " WHERE a.ino = replica.ino AND a.tomb = 0 AND a.started_at_us = replica.started_at_us)";
	/* One that was found there, and read, is known to be wrong; else nothing of ours is there. */
	static const char forget_sql[] =
	        "DELETE FROM replica WHERE store = ?1 AND (state = 0 OR (state = 3 AND manifest_sha256 = '' AND verified_at_us = 0))"
	        " AND NOT " IS_LISTED("replica.ino");
	int r = db_run(c, removed_sql, VALUES(int_value((int64_t)store), int_value(now_us)));

	if (r == 0)
		r = db_run(c, back_sql, VALUES(int_value((int64_t)store), int_value(now_us)));
	return r < 0 ? r : db_run(c, forget_sql, VALUES(int_value((int64_t)store)));
}

int catalog_settle_replicas(struct catalog *c, uint64_t store, int64_t now_us, struct error *err)
{
	return TRANSACTION(c, err, settle_replicas(c->writer, store, now_us));
}

int catalog_retry_replicas(struct catalog *c, uint64_t store, struct error *err)
{
	static const char sql[] = "UPDATE replica SET next_try_us = 0 WHERE store = ?1 AND next_try_us <> 0";

	return write_run(c, err, sql, VALUES(int_value((int64_t)store)));
}

/* One of them. */

#define REPLICA_COLUMNS                                                                                      \
	"r.path, r.ino, r.store, r.state, " IS_LISTED(                                                       \
	        "r.ino") ", r.job, r.class, r.started_at_us, r.finished_at_us, r.keep_until_us,"             \
	                 " r.partial, r.since_us, r.verified_at_us, r.stored_bytes, r.done_bytes, r.manifest_sha256, r.attempts, r.next_try_us, r.error, r.is_released"

static void read_replica(sqlite3_stmt *row, struct catalog_replica *ret)
{
	*ret = (struct catalog_replica){
	        .ino = column_u64(row, 1),
	        .store = column_u64(row, 2),
	        .state = (enum replica_state)sqlite3_column_int(row, 3),
	        .is_listed = sqlite3_column_int(row, 4),
	        .started_at_us = sqlite3_column_int64(row, 7),
	        .finished_at_us = sqlite3_column_int64(row, 8),
	        .keep_until_us = sqlite3_column_int64(row, 9),
	        .partial = sqlite3_column_int(row, 10),
	        .since_us = sqlite3_column_int64(row, 11),
	        .verified_at_us = sqlite3_column_int64(row, 12),
	        .stored_bytes = column_u64(row, 13),
	        .done_bytes = column_u64(row, 14),
	        .attempts = (unsigned)sqlite3_column_int(row, 16),
	        .next_try_us = sqlite3_column_int64(row, 17),
	        .is_released = sqlite3_column_int(row, 19),
	};
	column_text(row, 0, ret->path, sizeof(ret->path));
	column_text(row, 5, ret->job, sizeof(ret->job));
	column_text(row, 6, ret->class, sizeof(ret->class));
	column_text(row, 15, ret->manifest_sha256, sizeof(ret->manifest_sha256));
	column_text(row, 18, ret->error, sizeof(ret->error));
}

static int one_replica(struct catalog *c, const char *sql, const struct value *values, size_t count,
                       struct catalog_replica *ret)
{
	_cleanup(query) struct query query = query_begin(c, sql, values, count);
	int r = query_one(&query);

	if (r == 0)
		read_replica(query.row, ret);
	return r;
}

int catalog_replica(struct catalog *c, const char *path, uint64_t store, struct catalog_replica *ret)
{
	static const char sql[] = "SELECT " REPLICA_COLUMNS " FROM replica r WHERE path = ?1 AND store = ?2";

	return one_replica(c, sql, VALUES(text_value(path), int_value((int64_t)store)), ret);
}

int catalog_set_replica(struct catalog *c, const struct catalog_replica *s, struct error *err)
{
	/* Not by REPLACE, of which the triggers that count would not hear. */
	static const char sql[] =
	        "INSERT INTO replica (path, store, ino, state, job, class, started_at_us, finished_at_us,"
	        " keep_until_us, partial, since_us, verified_at_us, stored_bytes, done_bytes, manifest_sha256, attempts,"
	        " next_try_us, error)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
	        " ON CONFLICT (path, store) DO UPDATE SET (ino, state, job, class, started_at_us, finished_at_us,"
	        " keep_until_us, partial, since_us, verified_at_us, stored_bytes, done_bytes, manifest_sha256, attempts,"
	        " next_try_us, error) = (excluded.ino, excluded.state, excluded.job, excluded.class, excluded.started_at_us,"
	        " excluded.finished_at_us, excluded.keep_until_us, excluded.partial, excluded.since_us,"
	        " excluded.verified_at_us, excluded.stored_bytes, excluded.done_bytes, excluded.manifest_sha256,"
	        " excluded.attempts, excluded.next_try_us, excluded.error)";

	return write_run(
	        c, err, sql,
	        VALUES(text_value(s->path), int_value((int64_t)s->store), ino_value(ino_of_artifact(s->path)),
	               int_value(s->state), text_value(s->job), text_value(s->class),
	               int_value(s->started_at_us), int_value(s->finished_at_us), int_value(s->keep_until_us),
	               int_value(s->partial), int_value(s->since_us), int_value(s->verified_at_us),
	               ino_value(s->stored_bytes), ino_value(s->done_bytes), text_value(s->manifest_sha256),
	               int_value(s->attempts), int_value(s->next_try_us), text_value(s->error)));
}

int catalog_forget_replica(struct catalog *c, const char *path, uint64_t store, struct error *err)
{
	static const char sql[] = "DELETE FROM replica WHERE path = ?1 AND store = ?2";

	return write_run(c, err, sql, VALUES(text_value(path), int_value((int64_t)store)));
}

int catalog_next_replica(struct catalog *c, uint64_t store, int64_t now_us, struct catalog_replica *ret,
                         int64_t *ret_next_us)
{
	static const char sql[] =
	        "SELECT " REPLICA_COLUMNS
	        " FROM replica r WHERE store = ?1 AND state IN (0, 1, 4) AND next_try_us <= ?2"
	        " AND " IS_LISTED("r.ino") " ORDER BY finished_at_us DESC LIMIT 1";
	static const char next_sql[] =
	        "SELECT min(next_try_us) FROM replica r WHERE store = ?1 AND state IN (0, 1, 4) AND " IS_LISTED(
	                "r.ino") " HAVING count(*) > 0";
	int r = one_replica(c, sql, VALUES(int_value((int64_t)store), int_value(now_us)), ret);

	if (r == -ENOENT) {
		_cleanup(query) struct query query =
		        query_begin(c, next_sql, VALUES(int_value((int64_t)store)));

		*ret_next_us = query_one(&query) == 0 ? sqlite3_column_int64(query.row, 0) : INT64_MAX;
	}
	return r;
}

int catalog_abandoned_replica(struct catalog *c, uint64_t store, struct catalog_replica *ret)
{
	static const char sql[] =
	        "SELECT " REPLICA_COLUMNS
	        " FROM replica r WHERE store = ?1 AND state IN (1, 4) AND NOT " IS_LISTED("r.ino") " LIMIT 1";

	return one_replica(c, sql, VALUES(int_value((int64_t)store)), ret);
}

int catalog_least_verified_replica(struct catalog *c, uint64_t store, int64_t after_us,
                                   struct catalog_replica *ret)
{
	static const char sql[] =
	        "SELECT " REPLICA_COLUMNS
	        " FROM replica r WHERE store = ?1 AND state IN (2, 5) AND verified_at_us > ?2"
	        " ORDER BY verified_at_us LIMIT 1";

	return one_replica(c, sql, VALUES(int_value((int64_t)store), int_value(after_us)), ret);
}

int catalog_whole_replica(struct catalog *c, const char *path, uint64_t after, uint64_t *ret_store)
{
	static const char sql[] =
	        "SELECT store FROM replica WHERE path = ?1 AND store > ?2 AND state IN (2, 5) ORDER BY store LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(text_value(path), int_value((int64_t)after)));
	int r = query_one(&query);

	if (r == 0)
		*ret_store = column_u64(query.row, 0);
	return r;
}

int catalog_newest_copy(struct catalog *c, uint64_t store, const char *directory, struct catalog_replica *ret)
{
	/* '0' comes behind '/'. */
	static const char sql[] =
	        "SELECT " REPLICA_COLUMNS
	        " FROM replica r WHERE store = ?1 AND path > ?2 || '/' AND path < ?2 || '0' AND state IN (2, 5)"
	        " AND instr(substr(path, length(?2) + 2), '/') = 0 ORDER BY started_at_us DESC, path DESC LIMIT 1";

	return one_replica(c, sql, VALUES(int_value((int64_t)store), text_value(directory)), ret);
}

char *catalog_replicated_path(struct catalog *c, uint64_t ino)
{
	static const char sql[] =
	        "SELECT d.path || '/' || a.name FROM artifact a JOIN directory d ON d.ino = a.directory_ino"
	        " WHERE a.tomb = 0 AND a.ino = coalesce((SELECT artifact_ino FROM artifact_file WHERE ino = ?1), ?1)";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));

	return query_one(&query) < 0 ? NULL : column_string(query.row, 0);
}

/* All of them. */

static int replica_behind(struct catalog *c, const char *path, uint64_t store,
                          const struct catalog_replica *after, struct catalog_replica *ret)
{
	static const char sql[] = "SELECT " REPLICA_COLUMNS
	                          " FROM replica r WHERE (path, store) > (?1, ?2) AND (?3 = 0 OR store = ?3)"
	                          " ORDER BY path, store LIMIT 1";
	static const char path_sql[] =
	        "SELECT " REPLICA_COLUMNS
	        " FROM replica r WHERE path = ?1 AND store > ?2 AND (?3 = 0 OR store = ?3)"
	        " ORDER BY store LIMIT 1";

	return one_replica(c, path ? path_sql : sql,
	                   VALUES(text_value(path ? path : after->path), int_value((int64_t)after->store),
	                          int_value((int64_t)store)),
	                   ret);
}

int catalog_each_replica(struct catalog *c, const char *path, uint64_t store,
                         int (*row)(void *arg, const struct catalog_replica *replica, struct error *err),
                         void *arg, struct error *err)
{
	struct catalog_replica replica = {0};
	int r;

	while ((r = replica_behind(c, path, store, &replica, &replica)) == 0) {
		r = row(arg, &replica, err);
		if (r != 0)
			return r;
	}
	return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
}

/* The path and the error of one of them, as one text, so that both are of the same row. */
static void split_failure(const char *text, struct catalog_replica_sum *sum)
{
	size_t len = strcspn(text, "\n");

	if (!text[len])
		return;
	str_cut(sum->error, sizeof(sum->error), text + len + 1);
	snprintf(sum->path, sizeof(sum->path), "%.*s", (int)len, text);
}

int catalog_sum_replicas(struct catalog *c, void (*row)(void *arg, const struct catalog_replica_sum *sum),
                         void *arg)
{
	/* Sums are kept by triggers, and the rest are ends of indexes: it costs no more the more copies there are. */
	static const char sql[] =
	        "SELECT s.store, s.state, s.count, s.bytes,"
	        " (SELECT min(r.since_us) FROM replica r INDEXED BY replica_state WHERE r.store = s.store AND r.state = s.state),"
	        " (SELECT count(*) FROM replica r INDEXED BY replica_failed WHERE r.store = s.store AND r.state = s.state"
	        "  AND r.error <> ''),"
	        " (SELECT r.path || char(10) || r.error FROM replica r INDEXED BY replica_failed WHERE r.store = s.store"
	        "  AND r.state = s.state AND r.error <> '' LIMIT 1)"
	        " FROM replica_sum s WHERE s.count > 0 ORDER BY s.store, s.state";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query)) {
		struct catalog_replica_sum sum = {
		        .store = column_u64(query.row, 0),
		        .state = (enum replica_state)sqlite3_column_int(query.row, 1),
		        .count = column_u64(query.row, 2),
		        .bytes = column_u64(query.row, 3),
		        .oldest_us = sqlite3_column_int64(query.row, 4),
		        .failing = column_u64(query.row, 5),
		};

		split_failure(str_or_empty(column_borrowed(query.row, 6)), &sum);
		row(arg, &sum);
	}
	return query.result;
}

/* The stores. */

int catalog_replica_store(struct catalog *c, uint64_t store, struct catalog_replica_store *ret)
{
	static const char sql[] =
	        "SELECT compared_at_us, failing_since_us, error FROM replica_store WHERE store = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value((int64_t)store)));
	int r = query_one(&query);

	*ret = (struct catalog_replica_store){0};
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	ret->compared_at_us = sqlite3_column_int64(query.row, 0);
	ret->failing_since_us = sqlite3_column_int64(query.row, 1);
	column_text(query.row, 2, ret->error, sizeof(ret->error));
	return 0;
}

int catalog_set_replica_store(struct catalog *c, uint64_t store, const struct catalog_replica_store *s,
                              struct error *err)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO replica_store (store, compared_at_us, failing_since_us, error)"
	        " VALUES (?1, ?2, ?3, ?4)";

	return write_run(c, err, sql,
	                 VALUES(int_value((int64_t)store), int_value(s->compared_at_us),
	                        int_value(s->failing_since_us), text_value(s->error)));
}

/* What was read from a replica. */

int catalog_note_replica_read(struct catalog *c, const struct catalog_replica_read *s, struct error *err)
{
	static const char sql[] =
	        "INSERT INTO replica_read (path, store, first_us, last_us, damaged, why) VALUES (?1, ?2, ?3, ?3, ?4, ?5)"
	        " ON CONFLICT (path) DO UPDATE SET store = excluded.store, last_us = excluded.last_us,"
	        " why = iif(damaged > excluded.damaged, why, excluded.why), damaged = max(damaged, excluded.damaged)";

	return write_run(c, err, sql,
	                 VALUES(text_value(s->path), int_value((int64_t)s->store), int_value(s->last_us),
	                        int_value(s->is_damaged), text_value(s->why)));
}

int catalog_each_replica_read(struct catalog *c,
                              void (*row)(void *arg, const struct catalog_replica_read *read), void *arg)
{
	static const char sql[] =
	        "SELECT path, store, first_us, last_us, damaged, why FROM replica_read ORDER BY last_us DESC";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query)) {
		struct catalog_replica_read read = {
		        .store = column_u64(query.row, 1),
		        .first_us = sqlite3_column_int64(query.row, 2),
		        .last_us = sqlite3_column_int64(query.row, 3),
		        .is_damaged = sqlite3_column_int(query.row, 4),
		};

		column_text(query.row, 0, read.path, sizeof(read.path));
		column_text(query.row, 5, read.why, sizeof(read.why));
		read.ino = ino_of_artifact(read.path);
		row(arg, &read);
	}
	return query.result;
}

int catalog_forget_replica_read(struct catalog *c, const char *path, int64_t before_us, struct error *err)
{
	static const char path_sql[] = "DELETE FROM replica_read WHERE path = ?1";
	static const char old_sql[] = "DELETE FROM replica_read WHERE last_us < ?1 AND damaged = 0";

	return path ? write_run(c, err, path_sql, VALUES(text_value(path)))
	            : write_run(c, err, old_sql, VALUES(int_value(before_us)));
}

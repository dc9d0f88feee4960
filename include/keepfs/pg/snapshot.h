// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Reading one state of a database over several connections: a leader exports its snapshot, others join it;
 * tables are read by COPY, whole or in ranges of their pages, with the session settings of pg_dump, so that
 * the bytes are those that pg_dump would have written. Source for settings and statements:
 * src/bin/pg_dump/pg_dump.c (setup_connection, dumpTableData_copy, dumpLOs). All of it stays within one
 * transaction of each session (settings are local to it): a pooler that hands transactions to different
 * servers is noticed, not fooled.
 */
#include <keepfs/pg/session.h>
#include <stdint.h>

/**
 * pg_snapshot_export() - begin the leader's transaction (REPEATABLE READ, READ ONLY, with pg_dump's settings)
 * @ret_snapshot: heap: what the others join, and pg_dump takes as --snapshot; as long as the transaction
 * lasts
 *
 * client_encoding stays what the connection gives, which is also what pg_dump takes for its archive. The
 * leader waits for locks without a limit.
 */
int pg_snapshot_export(struct pg_session *s, char **ret_snapshot, struct error *err);
/** pg_server_mark() - heap: what no other server has, in the leader's transaction or one that joined it. */
int pg_server_mark(struct pg_session *s, char **ret_mark, struct error *err);
/** pg_snapshot_join() - begin a transaction that sees the same, with the same settings. @mark: of the
 * leader's server. @encoding: client_encoding, of the archive. Fails where the other end of @s is not the
 * server of the snapshot (a pooler, a standby), or the leader's transaction is over; the session can be used
 * again then. -ETIMEDOUT after 10 s without an answer (a pooler has no session left); the session can only be
 * closed then.
 * @lock_wait_timeout_ms: how long a statement waits for a lock; 0: for ever. */
int pg_snapshot_join(struct pg_session *s, const char *snapshot, const char *mark, const char *encoding,
                     int64_t lock_wait_timeout_ms, struct error *err);

struct pg_server_room {       /* how many connections a backup may open */
	int free_connections; /* of max_connections, less those reserved and in use */
	int role_limit; /* of the role and the database, less those in use; -1: none, as for superusers */
};
int pg_server_room(struct pg_session *s, struct pg_server_room *ret, struct error *err);

struct pg_table {             /* a table with data: TABLE DATA of an archive's table of contents */
	uint32_t oid;         /* in: its oid */
	char *relation;       /* out, heap: "public.t", quoted */
	uint64_t total_bytes; /* out: with TOAST; 0 when not known */
	uint32_t
	        pages; /* out: of the heap, now: later pages are not in the snapshot's range, but may exist */
	bool by_pages; /* out: may be read in ranges of pages: a heap, and the server is 14 or newer */
	char *condition; /* out, heap: "WHERE …" of an extension's configuration table; NULL */
	bool foreign;    /* out: a foreign table */
};
/** pg_tables_name() - fill only @relation of @count tables, for pg_lock_relation(): waits for no lock. Else
 * as pg_tables_learn(). */
int pg_tables_name(struct pg_session *s, struct pg_table *tables, size_t count, struct error *err);
/**
 * pg_tables_learn() - fill the out fields of @count tables: one query for some thousands of them
 * @tables: @relation and @condition are freed when they are replaced; pg_table_finish() frees them in the end
 *
 * Their texts are in the session's client_encoding: ask a session that joined with that of the archive, or
 * the leader. The server takes an ACCESS SHARE lock to measure: it waits where somebody holds or awaits an
 * exclusive one, unless the session has locked the table before (pg_lock_relation()). -ENOENT when an oid is
 * none of a table in the snapshot.
 */
int pg_tables_learn(struct pg_session *s, struct pg_table *tables, size_t count, struct error *err);
/**
 * pg_tables_check() - each of @tables still has the file and the name that it had in the session's snapshot A
 * table that was truncated or rewritten after the snapshot was taken is not in it any more, and reads as
 * empty; and what has its name now may be another table: -ESTALE (ERROR_CONFLICT) names one. Once the session
 * has locked them this cannot change, but for the names of schemas.
 */
int pg_tables_check(struct pg_session *s, const struct pg_table *tables, size_t count, struct error *err);
/** pg_table_finish() - free what @t holds. */
void pg_table_finish(struct pg_table *t);

/**
 * pg_copy_statement() - heap: the COPY to the client whose output goes behind @copy_stmt ("COPY public.t (a,
 * b) FROM stdin;\n", of the archive's entry)
 * @table: what pg_tables_learn() said; its @relation is what is read: @copy_stmt may name the root of a
 * partitioned table instead, through which its partition shall be loaded. NULL: plain, as @copy_stmt names it
 * @from_page, @to_page: the range [from, to) of heap pages; @to_page UINT32_MAX: to the end; 0 and
 * UINT32_MAX: the whole table
 *
 * For pg_session_copy() in a transaction of pg_snapshot_join(); for a foreign table it is several statements.
 * Pure. NULL when @copy_stmt is not of that form, and for a range of a table without columns, with a
 * condition, or foreign, which have none: pass the whole.
 */
char *pg_copy_statement(const char *copy_stmt, const struct pg_table *table, uint32_t from_page,
                        uint32_t to_page);
/** pg_copy_relation() - heap: "public.t" of such a statement, quoted as it is there; NULL when it has another
 * form. Pure. */
char *pg_copy_relation(const char *copy_stmt);
/** pg_lock_relation() - ACCESS SHARE, NOWAIT, as pg_dump's own workers do: waiting behind somebody's
 * exclusive lock that waits for pg_dump's would be for ever. -EBUSY with a hint. Not for foreign tables,
 * which have no such lock. */
int pg_lock_relation(struct pg_session *s, const char *relation, struct error *err);

/** pg_large_objects() - @take with each large object's oid, ascending: in batches by a cursor, so memory does
 * not grow with their number. Within a transaction of this file. */
int pg_large_objects(struct pg_session *s, int (*take)(void *arg, uint32_t oid, struct error *err), void *arg,
                     struct error *err);

struct pg_large_object_sink {
	int (*begin)(void *arg, uint32_t oid, struct error *err);
	int (*data)(void *arg, const void *data, size_t len, struct error *err);
	int (*end)(void *arg, struct error *err);
	void *arg;
};
/** pg_large_objects_read() - the contents of @count large objects, one after the other as given; many small
 * ones take one query, and no answer holds more than about 4 MiB. */
int pg_large_objects_read(struct pg_session *s, const uint32_t *oids, size_t count,
                          const struct pg_large_object_sink *sink, struct error *err);

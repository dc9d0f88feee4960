// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A schema or a database that was a tenant's own is dropped, once all that it holds was exported. For the schema, within a transaction of
 * pg_delete_begin() (keepfs/pg/tenant_delete.h): pg_schema_lock(), then what has to be asked, then pg_schema_drop(). Failures: negative errno, and @err with
 * the server's words.
 */
#include <keepfs/pg/session.h>
#include <stdint.h>

/** pg_schema_lock() - ACCESS EXCLUSIVE on all of its tables, until the end of the transaction: nobody else reads or writes them. */
int pg_schema_lock(struct pg_session *s, const char *schema, struct error *err);
typedef int (*pg_take_name)(void *arg, const char *name, struct error *err);
/** pg_schema_others() - @take the tables in @schema (NULL: in any but those of the system, without foreign tables) that have rows, and are not among @count @oids (or partitions of
 * them): "s.audit". Materialized views are none. */
int pg_schema_others(struct pg_session *s, const char *schema, const uint32_t *oids, size_t count,
                     pg_take_name take, void *arg, struct error *err);
/** pg_schema_tables() - @ret: heap, the tables of @schema, for pg_schema_newer() */
int pg_schema_tables(struct pg_session *s, const char *schema, char **ret, struct error *err);
/**
 * pg_schema_newer() - @take the tables of @schema that are not in @tables
 * A transaction that has made a table holds a lock for which pg_schema_drop() waits, and by which the table is dropped, too, though nobody has seen it. Another
 * session, asked between the drop and its commit, sees it, and nobody can make one any more.
 */
int pg_schema_newer(struct pg_session *s, const char *schema, const char *tables, pg_take_name take,
                    void *arg, struct error *err);
/** pg_schema_dependents() - @take for each thing outside of @schema that needs something in it, and would be dropped with it: "view public.all_orders". */
int pg_schema_dependents(struct pg_session *s, const char *schema, pg_take_name take, void *arg,
                         struct error *err);
/** pg_schema_drop() - with all that is in it. */
int pg_schema_drop(struct pg_session *s, const char *schema, struct error *err);

/** pg_database_close() - nobody can connect to @database any more (@open: everybody who could, can again). Those who are connected stay. @s: of another database,
 * outside of a transaction. */
int pg_database_close(struct pg_session *s, const char *database, bool open, struct error *err);
/** pg_database_alone() - is @s the only session of its database? 1; 0: @err says who else is there, or that there are prepared transactions; negative errno. */
int pg_database_alone(struct pg_session *s, struct error *err);
/** pg_database_drop_closed() - DROP DATABASE, which fails when somebody is connected; -EINPROGRESS (ERROR_UNAVAILABLE): the connection broke, and it is not known whether it is dropped. @s: of another database, outside of a transaction. */
int pg_database_drop_closed(struct pg_session *s, const char *database, struct error *err);

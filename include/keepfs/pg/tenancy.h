// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What exports ask of a server: who the tenants are, what tables there are, and rows within a tenant's context. Sessions are those of
 * keepfs/pg/session.h; failures: negative errno, and @err with the server's words. PostgreSQL 13 and newer.
 *
 * The order: pg_ask_tenants(); then one session and pg_tenant_export(); in its transaction pg_tenancy_read(), and for each tenant
 * pg_tenant_enter(), pg_session_copy() of each table, pg_tenant_leave(). Other sessions may join it with pg_tenant_join(). All of it stays
 * within one transaction of each session, so that it goes over a pooler, and no setting outlives it.
 */
#include <keepfs/pg/session.h>
#include <keepfs/policy/tenancy.h>

/** PG_TENANTS_MAX - an answer of more rows is refused. */
#define PG_TENANTS_MAX 20000

#define PG_TENANT_PLACES                                                                                     \
	7 /* store, store_url, store_bucket, store_endpoint, store_region, store_credentials, store_provider */

/** struct pg_tenant - a row of the answer; borrowed. @id and @slug are NULL where the query gave NULL: no export can be made of that
 * row. The caller tells so and goes on with the others, for whom one incomplete row is no reason to have no export. */
struct pg_tenant {
	const char *id, *slug;
	const char *name, *class; /* NULL: NULL, or there is no such column */
	const char *uid, *gid;    /* who administers it, as export_grants_add() takes them; likewise */
	const char *place[PG_TENANT_PLACES]; /* likewise */
};
/**
 * pg_ask_tenants() - @take for each row of the answer to @query, in its order
 * @query: one statement that begins with SELECT or WITH. Its columns are found by their names: id and slug must be there; name, class, uid, gid, and those that PG_TENANT_PLACES names may; each once. What else is
 * there is not looked at. Their types do not matter.
 *
 * Connects, asks within a transaction that only reads, and disconnects, with the limits of pg_ask_registry() (keepfs/pg/databases.h). The
 * query sees the search_path of its role. Return: 0; -EINVAL (ERROR_USAGE): a column is missing, or there twice; -E2BIG: more than PG_TENANTS_MAX rows; else
 * what the server said, or @take returned.
 */
int pg_ask_tenants(const char *conninfo, const char *query, struct cancel *cancel,
                   int (*take)(void *arg, const struct pg_tenant *tenant, struct error *err), void *arg,
                   struct error *err);

/**
 * pg_tenancy_read() - the tables that are nobody's but the users' (no system schemas, no temporary tables, none that belongs to an extension unless it is
 * marked as configuration), with columns and foreign keys, as the transaction of @s sees them
 * @s: within a transaction of pg_tenant_export() or pg_tenant_join(), outside of a tenant's context
 * @ret: tenancy_model_finish()
 *
 * Foreign keys from or to a single partition are not in it, since they say nothing of the rows of its root; nor are those with PERIOD, which do not refer by
 * equality; nor those to tables that are not in the model. Children of old-style inheritance are tables of their own: read each with ONLY (but a
 * root of partitions without it: it has no rows of its own). Memory: the model, and the answers in batches.
 */
int pg_tenancy_read(struct pg_session *s, struct tenancy_model *ret, struct error *err);

struct pg_tenant_context { /* borrowed */
	const char *role;  /* SET LOCAL ROLE; NULL: as the connection's own */
	/* "app.org_id=acme": names and values, NULL-terminated; NULL: none. Names are those of custom settings (they have a dot), or search_path, for
	 * functions of policies that need it: of schemas in which only trusted roles may create something, and without pg_catalog. */
	const char *const *settings;
};
/**
 * pg_tenant_export() - begin a transaction, REPEATABLE READ, READ ONLY, with the settings of copy_json_settings[], and export its snapshot
 * @ret_snapshot: heap; for pg_tenant_join(), as long as this transaction lasts
 *
 * Names in what is asked later must be qualified: search_path is empty. row_security is off: a statement whose rows a policy
 * would hide fails. After a failure there is no transaction. -ENOTSUP (ERROR_USAGE): the server is older than 13.
 */
int pg_tenant_export(struct pg_session *s, char **ret_snapshot, struct error *err);
/**
 * pg_tenant_join() - begin another one in @s that sees the same. Fails where the other end of @s is not the server of the snapshot (a pooler, a
 * standby), or its transaction is over; -ETIMEDOUT after 10 s without an answer, when the session can only be closed.
 */
int pg_tenant_join(struct pg_session *s, const char *snapshot, struct error *err);
/**
 * pg_tenant_enter() - the context, until pg_tenant_leave() or the end of the transaction; not twice without leaving
 * @oids: of tables; may be none
 *
 * Asserted: the settings and the role are read back, the role is no superuser and has no BYPASSRLS, and for each of @oids row
 * security is active for it. Else -EPERM (ERROR_DENIED), with what to do; -EINVAL (ERROR_USAGE): a setting that cannot be one. After a failure that the server told, or
 * these, the context is left again. Within it row_security is on.
 */
int pg_tenant_enter(struct pg_session *s, const struct pg_tenant_context *context, const uint32_t *oids,
                    size_t count, struct error *err);
/** pg_tenant_leave() - the connection's own role and settings again, within the transaction; also after a statement failed within the
 * context: the transaction can be used again. Locks that were taken in the context are gone. */
int pg_tenant_leave(struct pg_session *s, struct error *err);
/**
 * pg_tenant_exists() - is there a row for which @sql, a whole SELECT, answers? 1; 0; negative errno
 *
 * Outside of a context: -EACCES (ERROR_DENIED) when row security would hide rows from the connection's own role, which then cannot
 * say whether there is one: @err says what to do.
 */
int pg_tenant_exists(struct pg_session *s, const char *sql, struct error *err);

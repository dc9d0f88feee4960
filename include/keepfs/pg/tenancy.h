// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What exports ask of a server: who the tenants are, what tables there are, and rows within a tenant's context. Sessions are those of
 * keepfs/pg/session.h; failures: negative errno, and @err with the server's words.
 */
#include <keepfs/pg/session.h>
#include <keepfs/policy/tenancy.h>

struct pg_tenant { /* a row of the answer; borrowed */
	const char *id, *slug;
	const char *name, *class; /* NULL: NULL, or there is no such column */
};
/**
 * pg_ask_tenants() - @take for each row of the answer to @query, in its order
 * @query: one statement that begins with SELECT or WITH. Its columns are found by their names: id and slug must be there, name and class may; what else is there
 * is not looked at.
 *
 * With the limits of pg_ask_registry(). Return: 0; -EINVAL (ERROR_USAGE): a column is missing; -E2BIG; else what the server said, or @take returned.
 */
int pg_ask_tenants(const char *conninfo, const char *query, struct cancel *cancel,
                   int (*take)(void *arg, const struct pg_tenant *tenant, struct error *err), void *arg,
                   struct error *err);

/** pg_tenancy_read() - the tables that are nobody's but the users' (no system schemas, no temporary tables, none that belongs to an extension unless it is
 * marked as configuration), with columns and foreign keys, as the transaction of @s sees them. @ret: tenancy_model_finish(). */
int pg_tenancy_read(struct pg_session *s, struct tenancy_model *ret, struct error *err);

struct pg_tenant_context {           /* borrowed */
	const char *role;            /* SET LOCAL ROLE; NULL: as the connection's own */
	const char *const *settings; /* "app.org_id=acme": names and values, NULL-terminated; NULL: none */
};
/**
 * pg_tenant_export() - begin a transaction, REPEATABLE READ, READ ONLY, with the settings of copy_json_settings[], and export its snapshot
 * @ret_snapshot: heap; pg_tenant_join() begins another one in @s that sees the same
 */
int pg_tenant_export(struct pg_session *s, char **ret_snapshot, struct error *err);
int pg_tenant_join(struct pg_session *s, const char *snapshot, struct error *err);
/**
 * pg_tenant_enter() - the context, for the rest of the transaction; asserted: the settings and the role are read back, the role is no superuser
 * and has no BYPASSRLS, and for each of @oids row security is active for it. Else -EPERM (ERROR_DENIED), with what to do.
 */
int pg_tenant_enter(struct pg_session *s, const struct pg_tenant_context *context, const uint32_t *oids,
                    size_t count, struct error *err);
/** pg_tenant_leave() - the connection's own role and settings again, within the transaction. */
int pg_tenant_leave(struct pg_session *s, const struct pg_tenant_context *context, struct error *err);
/** pg_tenant_exists() - is there a row for which @sql, a whole SELECT, answers? 1; 0; negative errno. */
int pg_tenant_exists(struct pg_session *s, const char *sql, struct error *err);

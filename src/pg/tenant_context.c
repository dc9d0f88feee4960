// SPDX-License-Identifier: Apache-2.0
/*
 * Rows as one tenant's sessions would see them. Row security hides rows in silence, and lets all rows through in silence, too: for a superuser,
 * an owner, a table for which nobody enabled it, a setting that was spelled wrong. So whatever it depends on is asked
 * for before a row is read.
 *
 * A context lies within a savepoint. Going back to it takes back the role and the settings, whatever they were before, and
 * makes a transaction usable in which a statement failed. Everything else is that of a snapshot (snapshot.c), but without what makes the server read
 * ranges of pages, and with row_security = off only outside of the context: there, a policy that hides rows from the
 * connection's own role has to be an error, and no empty answer.
 */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/copy_json.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/pg/snapshot.h>
#include <keepfs/pg/tenancy.h>

#include <errno.h>
#include <string.h>

#define OLDEST_FOR_EXPORTS             130000
#define FIRST_WITH_TRANSACTION_TIMEOUT 170000
#define OIDS_PER_QUERY                 5000

/* The costs of a condition over many tables look enormous, which must not make the server compile each. A cursor's answer is wanted whole. */
static const char tenant_settings[] =
        " SET LOCAL synchronize_seqscans = off; SET LOCAL quote_all_identifiers = off; SET LOCAL client_min_messages = warning;"
        " SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;"
        " SET LOCAL jit = off; SET LOCAL cursor_tuple_fraction = 1; SET LOCAL row_security = off;"
        " SELECT pg_catalog.set_config('search_path', '', true);";

/* Whoever owns a table may put a view in its place, with functions that then run with the rights of the connection. A policy, however,
 * may ask a view. Newer minor versions of all majors have it. */
#define RESTRICT_RELATIONS(what)                                                                             \
	" SELECT pg_catalog.set_config(name, '" what "', true) FROM pg_catalog.pg_settings"                  \
	" WHERE name = 'restrict_nonsystem_relation_kind';"

static char *begin_tenants(const struct pg_session *s, const char *joining)
{
	struct str sql = {0};

	str_appendf(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; %s", str_or_empty(joining));
	str_append(&sql, copy_json_settings);
	str_append(&sql, tenant_settings);
	str_append(&sql, RESTRICT_RELATIONS("view"));
	if (PQserverVersion(s->conn) >= FIRST_WITH_TRANSACTION_TIMEOUT)
		str_append(&sql, " SET LOCAL transaction_timeout = 0;");
	session_append_language(&sql, PQserverVersion(s->conn));
	return str_take(&sql);
}

/* The snapshot's name and the server's mark, with a blank between. */
static int export_tenants(struct pg_session *s, char **ret, struct error *err)
{
	_cleanup(free) char *snapshot = NULL, *mark = NULL;
	int r = pg_session_value(s, "SELECT pg_catalog.pg_export_snapshot()", &snapshot, err);

	if (r == 0)
		r = pg_server_mark(s, &mark, err);
	if (r == 0 && (!snapshot || !mark))
		r = error_set(err, ERROR_INTERNAL, EPROTO, "PostgreSQL exports a snapshot without a name");
	if (r == 0)
		*ret = mem_printf("%s %s", snapshot, mark);
	return r;
}

int pg_tenant_export(struct pg_session *s, char **ret_snapshot, struct error *err)
{
	_cleanup(free) char *sql = begin_tenants(s, NULL);
	int r;

	if (PQserverVersion(s->conn) < OLDEST_FOR_EXPORTS)
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "the server is PostgreSQL %s; exports of tenants need 13 or newer: upgrade the server, or export from a restored copy on a newer one",
		        PQparameterStatus(s->conn, "server_version"));
	r = pg_session_run(s, sql, err);
	if (r == 0)
		r = export_tenants(s, ret_snapshot, err);
	return r < 0 ? session_roll_back(s, r) : 0;
}

int pg_tenant_join(struct pg_session *s, const char *snapshot, struct error *err)
{
	const char *blank = strchr(snapshot, ' ');
	_cleanup(str) struct str name = {0}, joining = {0};
	_cleanup(free) char *sql = NULL;

	if (!blank)
		return error_set(err, ERROR_INTERNAL, EINVAL, "not a snapshot of pg_tenant_export(): %s",
		                 snapshot);
	str_append_bytes(&name, snapshot, (size_t)(blank - snapshot));
	str_append(&joining, "SET TRANSACTION SNAPSHOT ");
	sql_append_literal(&joining, str_text(&name));
	str_append(&joining, "; ");
	sql = begin_tenants(s, str_text(&joining));
	return session_join(s, sql, blank + 1, err);
}

/* Settings. */

#define SEARCH_PATH "search_path="

/* One that is the server's own could change how values are written, or take back what is asserted. */
static bool may_be_setting(const char *setting, size_t name_len)
{
	return str_starts(setting, SEARCH_PATH) || memchr(setting, '.', name_len) != NULL;
}

static int check_tenant_settings(const struct pg_tenant_context *context, struct error *err)
{
	for (const char *const *p = context->settings; p && *p; p++) {
		const char *equals = strchr(*p, '=');

		if (!equals)
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "the setting \"%s\" of exports has no value: write NAME=VALUE, as in app.org_id={id}",
			        *p);
		if (!may_be_setting(*p, (size_t)(equals - *p)))
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "the setting \"%.*s\" of exports is one of the server's own: name the one that the policies ask for, which has a dot in its name, as app.org_id; of the others only search_path may be set",
			        (int)(equals - *p), *p);
		/* Where it is not named it comes first, and nobody else's operators can stand in for its own. */
		if (str_starts(*p, SEARCH_PATH) && strcasestr(equals, "pg_catalog"))
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "the setting \"%s\" of exports names pg_catalog, which has to come first and does so where it is not named: leave it out",
			        *p);
	}
	return 0;
}

static char *setting_name_literal(const char *setting)
{
	_cleanup(str) struct str name = {0};

	str_append_bytes(&name, setting, (size_t)(strchr(setting, '=') - setting));
	return pg_quote_literal(str_text(&name));
}

/* The role comes last: another one may not have the right to what comes before. */
static char *enter_statements(const struct pg_tenant_context *context)
{
	struct str sql = {0};

	str_append(&sql, "SAVEPOINT keepfs_tenant;" RESTRICT_RELATIONS(""));
	for (const char *const *p = context->settings; p && *p; p++) {
		_cleanup(free) char *name = setting_name_literal(*p);
		_cleanup(free) char *value = pg_quote_literal(strchr(*p, '=') + 1);

		str_appendf(&sql, " SELECT pg_catalog.set_config(%s, %s, true);", name, value);
	}
	str_append(&sql, " SET LOCAL row_security = on;");
	if (context->role) {
		str_append(&sql, " SET LOCAL ROLE ");
		sql_append_name(&sql, context->role);
	}
	return str_take(&sql);
}

/* Assertions. */

static int deny_role(const struct pg_tenant_context *context, const char *role, const char *what,
                     const char *mend, struct error *err)
{
	return error_set(err, ERROR_DENIED, EPERM,
	                 "%s %s %s, so row security hides nothing from it: %s name another role with role =",
	                 context->role ? "the role" : "the connection's own role", role, what, mend);
}

static int check_role_row(const struct pg_tenant_context *context, const struct pg_row *row,
                          struct error *err)
{
	const char *role = row->values[0];

	if (context->role && !str_equal(role, context->role))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "the role is %s after it was set to %s for the tenant: is its name that of a role?",
		        role, context->role);
	if (row->values[1][0] == 't')
		return deny_role(context, role, "is a superuser",
		                 "make a role without rights of its own, that the policies are for, and",
		                 err);
	if (row->values[2][0] == 't')
		return deny_role(context, role, "has BYPASSRLS", "ALTER ROLE … NOBYPASSRLS, or", err);
	if (str_equal(row->values[3], "on"))
		return 0;
	return error_set(err, ERROR_DENIED, EPERM, "row_security is %s after it was set to on for the tenant",
	                 row->values[3]);
}

static int take_context_row(void *arg, const struct pg_row *row, struct error *err)
{
	const struct pg_tenant_context *context = arg;
	int r = check_role_row(context, row, err);

	for (int i = 0; r == 0 && context->settings && context->settings[i]; i++) {
		const char *setting = context->settings[i], *equals = strchr(setting, '=');
		const char *value = row->values[4 + i];

		if (!str_equal(value, equals + 1))
			r = error_set(
			        err, ERROR_DENIED, EPERM,
			        "the setting %.*s was set to \"%s\" for the tenant, but reads as \"%s\": policies would go by that: write it as the server does, and see what defines it",
			        (int)(equals - setting), setting, equals + 1, str_or_empty(value));
	}
	return r;
}

static int assert_context(struct pg_session *s, const struct pg_tenant_context *context, struct error *err)
{
	_cleanup(str) struct str sql = {0};

	str_append(&sql,
	           "SELECT current_user, rolsuper, rolbypassrls, pg_catalog.current_setting('row_security')");
	for (const char *const *p = context->settings; p && *p; p++) {
		_cleanup(free) char *name = setting_name_literal(*p);

		str_appendf(&sql, ", pg_catalog.current_setting(%s, true)", name);
	}
	str_append(&sql, " FROM pg_catalog.pg_roles WHERE rolname = current_user");
	return pg_session_rows(s, str_text(&sql), take_context_row, (void *)context, err);
}

/* The first table for which it is not active, and of how many. What is not there any more is not hidden either. */
static const char about_active[] =
        "SELECT o.oid, pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname)),"
        " c.relkind, c.relrowsecurity, current_user, pg_catalog.count(*) OVER () - 1"
        " FROM pg_catalog.unnest('{%s}'::oid[]) o (oid) LEFT JOIN pg_catalog.pg_class c ON c.oid = o.oid"
        " LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.oid IS NULL OR NOT pg_catalog.row_security_active(c.oid) ORDER BY n.nspname, c.relname LIMIT 1";

static int deny_table(const struct pg_row *row, struct error *err)
{
	const char *table = row->values[1], *role = row->values[4];

	if (!row->values[2])
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "the table with OID %s is not there any more",
		                 row->values[0]);
	if (!strchr("rp", row->values[2][0]))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "%s is no table, and only tables have row security: the role %s sees the rows of all tenants in it: leave it out with exclude =",
		        table, role);
	if (row->values[3][0] != 't')
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "%s has no row security, so the role %s sees the rows of all tenants in it: ALTER TABLE %s ENABLE ROW LEVEL SECURITY, and CREATE POLICY for it; or leave it out with exclude =",
		        table, role, table);
	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "the role %s owns %s, or is a member of its owner, and sees the rows of all tenants in it: ALTER TABLE %s FORCE ROW LEVEL SECURITY, or name a role with role = that does not own it",
	        role, table, table);
}

static int take_inactive_table(void *arg, const struct pg_row *row, struct error *err)
{
	int r = deny_table(row, err);

	if (!str_equal(row->values[5], "0"))
		error_prefix(err, "row security does not hide rows in %s tables and this one",
		             row->values[5]);
	return r;
}

static int assert_active(struct pg_session *s, const uint32_t *oids, size_t count, struct error *err)
{
	int r = 0;

	for (size_t done = 0; r == 0 && done < count; done += OIDS_PER_QUERY) {
		_cleanup(str) struct str list = {0};
		_cleanup(free) char *sql = NULL;

		for (size_t i = done; i < count && i < done + OIDS_PER_QUERY; i++)
			str_appendf(&list, "%s%u", i > done ? "," : "", oids[i]);
		sql = mem_printf(about_active, str_text(&list));
		r = pg_session_rows(s, sql, take_inactive_table, NULL, err);
	}
	return r;
}

/* The context. */

static int back_to(struct pg_session *s, const char *savepoint, struct error *err)
{
	_cleanup(free) char *sql =
	        mem_printf("ROLLBACK TO SAVEPOINT %s; RELEASE SAVEPOINT %s", savepoint, savepoint);

	return pg_session_run(s, sql, err);
}

int pg_tenant_leave(struct pg_session *s, struct error *err)
{
	return back_to(s, "keepfs_tenant", err);
}

int pg_tenant_enter(struct pg_session *s, const struct pg_tenant_context *context, const uint32_t *oids,
                    size_t count, struct error *err)
{
	_cleanup(free) char *sql = NULL;
	int r = check_tenant_settings(context, err);

	if (r < 0)
		return r;
	sql = enter_statements(context);
	r = pg_session_run(s, sql, err);
	if (r == 0)
		r = assert_context(s, context, err);
	if (r == 0)
		r = assert_active(s, oids, count, err);
	if (r == 0 || r == -ECANCELED)
		return r;
	error_prefix(err, "rows cannot be read within a tenant's context");
	(void)back_to(s, "keepfs_tenant", NULL);
	return r;
}

int pg_tenant_exists(struct pg_session *s, const char *sql, struct error *err)
{
	_cleanup(free) char *ask = mem_printf("SELECT EXISTS (%s)", sql), *answer = NULL;
	int r = pg_session_run(s, "SAVEPOINT keepfs_exists", err);

	if (r < 0)
		return r;
	r = pg_session_value(s, ask, &answer, err);
	if (r == 0)
		r = pg_session_run(s, "RELEASE SAVEPOINT keepfs_exists", err);
	if (r == 0)
		return str_equal(answer, "t");
	if (r == -ECANCELED)
		return r;
	error_prefix(err, "whether there are rows cannot be found out");
	(void)back_to(s, "keepfs_exists", NULL);
	return r;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Dropping what a tenant had alone. What CASCADE would take with it outside of the schema is asked for first, since the server only tells it afterwards.
 */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/pg/tenant_drop.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static int take_lockable(void *arg, const struct pg_row *row, struct error *err)
{
	struct str *sql = arg;

	str_appendf(sql, "%s ONLY %s", sql->len > 0 ? "," : "LOCK TABLE", row->values[0]);
	return 0;
}

int pg_schema_lock(struct pg_session *s, const char *schema, struct error *err)
{
	_cleanup(free) char *name = pg_quote_literal(schema);
	_cleanup(free) char *question = mem_printf(
	        "SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) FROM pg_catalog.pg_class c"
	        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	        " WHERE n.nspname = %s AND c.relkind IN ('r', 'p') ORDER BY c.oid",
	        name);
	_cleanup(str) struct str sql = {0};
	int r = pg_session_rows(s, question, take_lockable, &sql, err);

	if (r < 0 || sql.len == 0)
		return r;
	str_append(&sql, " IN ACCESS EXCLUSIVE MODE");
	return pg_session_run(s, str_text(&sql), err);
}

struct name_taking {
	struct pg_session *session;
	pg_take_name take;
	void *arg;
};

static int take_table_with_rows(void *arg, const struct pg_row *row, struct error *err)
{
	const struct name_taking *t = arg;
	_cleanup(free) char *sql = mem_printf("SELECT 1 FROM ONLY %s LIMIT 1", row->values[0]);
	_cleanup(free) char *there = NULL;
	int r = pg_session_value(t->session, sql, &there, err);

	return r < 0 || !there ? r : t->take(t->arg, row->values[0], err);
}

static const char about_others[] =
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'f') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        " AND NOT EXISTS (SELECT FROM pg_catalog.unnest('{";

int pg_schema_others(struct pg_session *s, const char *schema, const uint32_t *oids, size_t count,
                     pg_take_name take, void *arg, struct error *err)
{
	struct name_taking taking = {s, take, arg};
	_cleanup(free) char *name = schema ? pg_quote_literal(schema) : NULL;
	_cleanup(str) struct str sql = {0};

	str_append(&sql, about_others);
	for (size_t i = 0; i < count; i++)
		str_appendf(&sql, "%s%" PRIu32, i > 0 ? "," : "", oids[i]);
	str_append(
	        &sql,
	        "}'::oid[]) o (oid) WHERE c.oid = o.oid OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(o.oid)))"
	        " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
	        " AND d.objid = c.oid AND d.deptype = 'e')");
	/* Rows of a foreign table stay where they are when the database goes. */
	if (name)
		str_appendf(&sql, " AND n.nspname = %s", name);
	else
		str_append(&sql, " AND c.relkind = 'r'");
	str_append(&sql, " ORDER BY 1");
	return pg_session_rows(s, str_text(&sql), take_table_with_rows, &taking, err);
}

static int take_dependent(void *arg, const struct pg_row *row, struct error *err)
{
	const struct name_taking *t = arg;

	return t->take(t->arg, row->values[0], err);
}

/* In which schema something is: what has none itself (a constraint, a trigger, a rule, a default) is where its table is. */
#define SCHEMA_OF(class, object)                                                                             \
	"coalesce((SELECT i.schema FROM pg_catalog.pg_identify_object(" class                                \
	        ", " object ", 0) i),"                                                                       \
	        " (SELECT a.object_names[1] FROM pg_catalog.pg_identify_object_as_address(" class            \
	        ", " object ", 0) a))"

int pg_schema_dependents(struct pg_session *s, const char *schema, pg_take_name take, void *arg,
                         struct error *err)
{
	struct name_taking taking = {s, take, arg};
	_cleanup(free) char *name = pg_quote_literal(schema);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, 0) FROM pg_catalog.pg_depend d"
	        " WHERE d.deptype IN ('n', 'a') AND d.classid <> 0 AND d.refobjid >= 16384"
	        " AND " SCHEMA_OF("d.refclassid",
	                          "d.refobjid") " = %s"
	                                        " AND " SCHEMA_OF(
	                                                "d.classid",
	                                                "d.objid") " IS DISTINCT FROM %s ORDER BY 1",
	        name, name);

	return pg_session_rows(s, sql, take_dependent, &taking, err);
}

int pg_schema_tables(struct pg_session *s, const char *schema, char **ret, struct error *err)
{
	_cleanup(free) char *name = pg_quote_literal(schema);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT pg_catalog.concat('{', pg_catalog.string_agg(c.oid::pg_catalog.text, ','), '}') FROM pg_catalog.pg_class c"
	        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'f')",
	        name);

	return pg_session_value(s, sql, ret, err);
}

int pg_schema_newer(struct pg_session *s, const char *schema, const char *tables, pg_take_name take,
                    void *arg, struct error *err)
{
	struct name_taking taking = {s, take, arg};
	_cleanup(free) char *name = pg_quote_literal(schema), *known = pg_quote_literal(tables);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) FROM pg_catalog.pg_class c"
	        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'f')"
	        " AND c.oid <> ALL (%s::pg_catalog.oid[]) ORDER BY 1",
	        name, known);

	return pg_session_rows(s, sql, take_dependent, &taking, err);
}

int pg_schema_drop(struct pg_session *s, const char *schema, struct error *err)
{
	_cleanup(str) struct str sql = {0};

	str_append(&sql, "DROP SCHEMA ");
	sql_append_name(&sql, schema);
	str_append(&sql, " CASCADE");
	return pg_session_run(s, str_text(&sql), err);
}

int pg_database_close(struct pg_session *s, const char *database, bool open, struct error *err)
{
	_cleanup(str) struct str sql = {0};

	str_append(&sql, "ALTER DATABASE ");
	sql_append_name(&sql, database);
	str_appendf(&sql, " ALLOW_CONNECTIONS %s", open ? "true" : "false");
	return pg_session_run(s, str_text(&sql), err);
}

int pg_database_alone(struct pg_session *s, struct error *err)
{
	static const char sql[] =
	        "SELECT pg_catalog.concat_ws('; ', (SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('%s (%s)',"
	        " coalesce(a.usename, a.backend_type, '?'), coalesce(nullif(a.application_name, ''), 'no name')), ', ')"
	        " FROM pg_catalog.pg_stat_activity a WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()"
	        " AND coalesce(a.backend_type, '') <> 'autovacuum worker'),"
	        " (SELECT 'prepared transactions' FROM pg_catalog.pg_prepared_xacts x WHERE x.database = pg_catalog.current_database() LIMIT 1))";
	_cleanup(free) char *who = NULL;
	int r = pg_session_value(s, sql, &who, err);

	if (r < 0 || !*str_or_empty(who))
		return r < 0 ? r : 1;
	error_set(err, ERROR_CONFLICT, EBUSY, "others are connected to the database: %s", who);
	return 0;
}

int pg_database_drop_closed(struct pg_session *s, const char *database, struct error *err)
{
	_cleanup(str) struct str sql = {0};

	struct error why = {0};
	int r;

	str_append(&sql, "DROP DATABASE ");
	sql_append_name(&sql, database);
	r = pg_session_run(s, str_text(&sql), &why);
	if (r < 0 && PQstatus(s->conn) == CONNECTION_BAD)
		return error_set(err, ERROR_UNAVAILABLE, EINPROGRESS,
		                 "the server was to drop it, and it is not known whether it has (%s)",
		                 why.message);
	if (r < 0 && err)
		*err = why;
	return r;
}

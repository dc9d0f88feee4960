// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/lacking.h>
#include <keepfs/pg/session.h>

#include <errno.h>

static const char *const have[] = {
        [PG_NEEDED_ROLES] = "SELECT rolname FROM pg_catalog.pg_roles",
        [PG_NEEDED_EXTENSIONS] =
                "SELECT name FROM pg_catalog.pg_available_extensions UNION SELECT extname FROM pg_catalog.pg_extension",
        [PG_NEEDED_TABLESPACES] = "SELECT spcname FROM pg_catalog.pg_tablespace",
        [PG_NEEDED_SETTINGS] = "SELECT name FROM pg_catalog.pg_settings",
};

static int take_lacking(void *arg, const struct pg_row *row, struct error *err)
{
	struct str *lacking = arg;

	str_appendf(lacking, "%s%s", lacking->len > 0 ? ", " : "", str_or_empty(row->values[0]));
	return 0;
}

int pg_names_lacking(const struct pg_server_place *place, const char *database, enum pg_needed what,
                     const char *const *names, struct str *ret, struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(str) struct str sql = {0};
	int r;

	if (!names || !*names)
		return 0;
	str_append(&sql, "SELECT n FROM pg_catalog.unnest(ARRAY[");
	for (size_t i = 0; names[i]; i++) {
		_cleanup(free) char *name = pg_quote_literal(names[i]);

		str_appendf(&sql, "%s%s", i > 0 ? ", " : "", name);
	}
	str_appendf(&sql, "]::text[]) n WHERE n NOT IN (%s) ORDER BY n", have[what]);
	r = session_open_at(place, database, &s, err);
	return r < 0 ? r : pg_session_rows(s, str_text(&sql), take_lacking, ret, err);
}

#define THERE_SHOWN 3

static int take_relation_there(void *arg, const struct pg_row *row, struct error *err)
{
	struct str *there = arg;

	str_appendf(there, "%s%s", there->len > 0 ? ", " : "", str_or_empty(row->values[0]));
	return 0;
}

int pg_relations_there(struct pg_session *s, const struct pg_relation_name *names, size_t count,
                       struct str *ret, struct error *err)
{
	_cleanup(str) struct str sql = {0};

	str_append(&sql, "SELECT CASE WHEN pg_catalog.row_number() OVER w > ");
	str_appendf(&sql, "%d THEN '…' ELSE pg_catalog.concat(n.nspname, '.', c.relname) END FROM (VALUES ",
	            THERE_SHOWN);
	for (size_t i = 0; i < count; i++) {
		_cleanup(free) char *schema = pg_quote_literal(names[i].schema);
		_cleanup(free) char *name = pg_quote_literal(names[i].name);

		str_appendf(&sql, "%s(%s, %s)", i > 0 ? ", " : "", schema, name);
	}
	str_appendf(&sql,
	            ") v(schema, name) JOIN pg_catalog.pg_namespace n ON n.nspname = v.schema"
	            " JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = v.name"
	            " WINDOW w AS (ORDER BY n.nspname, c.relname) ORDER BY n.nspname, c.relname LIMIT %d",
	            THERE_SHOWN + 1);
	return pg_session_rows(s, str_text(&sql), take_relation_there, ret, err);
}

static int take_nature(void *arg, const struct pg_row *row, struct error *err)
{
	struct pg_database_nature *nature = arg;

	nature->is_template = str_equal(row->values[0], "t");
	nature->takes_connections = str_equal(row->values[1], "t");
	return 0;
}

int pg_database_nature(const struct pg_server_place *place, const char *database,
                       struct pg_database_nature *ret, struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(free) char *name = pg_quote_literal(database);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT datistemplate, datallowconn FROM pg_catalog.pg_database WHERE datname = %s", name);
	int r = session_open_at(place, NULL, &s, err);

	*ret = (struct pg_database_nature){0};
	return r < 0 ? r : pg_session_rows(s, sql, take_nature, ret, err);
}

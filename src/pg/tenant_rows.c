// SPDX-License-Identifier: Apache-2.0
/*
 * A tenant's rows of one table. All names are written with their schema, in quotes, so that nothing depends on a search_path, and
 * the conditions come from policy/tenancy, which writes them likewise.
 */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/pg/tenant_rows.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append_own_column(struct str *sql, const char *name)
{
	str_append(sql, "t.");
	sql_append_name(sql, name);
}

static void append_read_column(struct str *sql, const struct pg_tenant_column *c)
{
	switch (c->read) {
	case PG_TENANT_AS_IS:
		append_own_column(sql, c->name);
		return;
	case PG_TENANT_AS_JSON:
		str_append(sql, "pg_catalog.to_json(");
		append_own_column(sql, c->name);
		str_append_char(sql, ')');
		return;
	case PG_TENANT_AS_NULL:
		str_append(sql, "NULL");
		return;
	}
}

/* Pages, and not rows, so that the ranges of a table have no gaps between them, and none has a row twice. */
static void append_page_range(struct str *sql, const struct pg_tenant_rows *rows)
{
	str_appendf(sql, " WHERE t.ctid >= '(%" PRIu32 ",0)'", rows->from_page);
	if (rows->to_page != UINT32_MAX)
		str_appendf(sql, " AND t.ctid < '(%" PRIu32 ",0)'", rows->to_page);
}

/* A table that others inherit from is asked for its own rows: theirs come with them. */
static void append_tenant_source(struct str *sql, const struct pg_tenant_rows *rows)
{
	str_append(sql, rows->with_partitions ? " FROM " : " FROM ONLY ");
	sql_append_name(sql, rows->schema);
	str_append_char(sql, '.');
	sql_append_name(sql, rows->table);
	str_append(sql, " t");
	if (rows->to_page > 0)
		append_page_range(sql, rows);
	if (*str_or_empty(rows->condition))
		str_appendf(sql, rows->to_page > 0 ? " AND (%s)" : " WHERE %s", rows->condition);
}

static void append_tenant_select(struct str *out, const struct pg_tenant_rows *rows)
{
	struct str sql = {0};

	str_appendf(&sql, "SELECT (%s), ", rows->proof);
	if (rows->tenant_name) {
		append_own_column(&sql, rows->tenant_name);
		str_append(&sql, "::pg_catalog.text");
	} else {
		str_append(&sql, "NULL");
	}
	for (size_t i = 0; i < rows->column_count; i++) {
		str_append(&sql, ", ");
		append_read_column(&sql, &rows->columns[i]);
	}
	append_tenant_source(&sql, rows);
	str_append_bytes(out, sql.data, sql.len);
	str_finish(&sql);
}

char *pg_tenant_rows_copy(const struct pg_tenant_rows *rows)
{
	struct str sql = {0};

	str_append(&sql, "COPY (");
	append_tenant_select(&sql, rows);
	str_append(&sql, ") TO STDOUT");
	return str_take(&sql);
}

/* Costs. A plan as text has a line for each of its nodes: "->  Seq Scan on items t  (cost=0.00..56584.66 rows=2666666 width=54)". */

static bool is_scan_of_table(const char *line, const char *what)
{
	const char *at = strstr(line, what), *end = strstr(line, "  (cost=");

	return at && end && (at == line || at[-1] == ' ') && end - line >= 2 && end[-1] == 't' &&
	       end[-2] == ' ';
}

static int take_plan_line(void *arg, const struct pg_row *row, struct error *err)
{
	struct pg_tenant_cost *cost = arg;
	const char *line = str_or_empty(row->values[0]), *figures = strstr(line, "  (cost=");

	cost->is_range |= is_scan_of_table(line, "Tid Range Scan on ");
	/* That of the first node is that of the whole. */
	if (figures && cost->total == 0)
		sscanf(figures, "  (cost=%lf..%lf rows=%lf width=%" SCNu32 ")", &cost->startup, &cost->total,
		       &cost->rows, &cost->width);
	return 0;
}

int pg_tenant_rows_cost(struct pg_session *s, const struct pg_tenant_rows *rows, struct pg_tenant_cost *ret,
                        struct error *err)
{
	_cleanup(str) struct str sql = {0};

	*ret = (struct pg_tenant_cost){0};
	str_append(&sql, "EXPLAIN ");
	append_tenant_select(&sql, rows);
	return pg_session_rows(s, str_text(&sql), take_plan_line, ret, err);
}

#define FIRST_WITH_PAGE_RANGES 140000

struct page_counts {
	uint32_t *pages;
	size_t count;
};

static int take_page_count(void *arg, const struct pg_row *row, struct error *err)
{
	const struct page_counts *counts = arg;
	uint64_t place = strtoull(str_or_empty(row->values[0]), NULL, 10);

	if (place < 1 || place > counts->count)
		return error_set(err, ERROR_INTERNAL, EPROTO,
		                 "PostgreSQL tells of a table that was not asked for");
	counts->pages[place - 1] = (uint32_t)strtoull(str_or_empty(row->values[1]), NULL, 10);
	return 0;
}

int pg_tenant_pages(struct pg_session *s, const struct pg_table *tables, size_t count, uint32_t *ret_pages,
                    struct error *err)
{
	struct page_counts counts = {ret_pages, count};
	_cleanup(str) struct str sql = {0};

	memset(ret_pages, 0, count * sizeof(*ret_pages));
	if (count == 0 || PQserverVersion(s->conn) < FIRST_WITH_PAGE_RANGES)
		return 0;
	str_append(&sql, "SELECT o.place, pg_catalog.pg_relation_size(o.oid)"
	                 " / pg_catalog.current_setting('block_size')::int8 FROM pg_catalog.unnest('{");
	for (size_t i = 0; i < count; i++)
		str_appendf(&sql, "%s%" PRIu32, i > 0 ? "," : "", tables[i].oid);
	str_append(&sql, "}'::oid[]) WITH ORDINALITY o (oid, place)"
	                 " JOIN pg_catalog.pg_class c ON c.oid = o.oid AND c.relkind = 'r'"
	                 " JOIN pg_catalog.pg_am a ON a.oid = c.relam AND a.amname = 'heap'");
	return pg_session_rows(s, str_text(&sql), take_page_count, &counts, err);
}

char *pg_tenant_rows_exist(const struct pg_tenant_rows *rows, uint64_t known)
{
	struct str sql = {0};

	str_append(&sql, "SELECT 1");
	append_tenant_source(&sql, rows);
	str_appendf(&sql, " OFFSET %" PRIu64 " LIMIT 1", known);
	return str_take(&sql);
}

int pg_tenant_rows_count(struct pg_session *s, const struct pg_tenant_rows *rows, uint64_t *ret,
                         struct error *err)
{
	_cleanup(str) struct str sql = {0};
	_cleanup(free) char *value = NULL;
	int r;

	str_append(&sql, "SELECT pg_catalog.count(*)");
	append_tenant_source(&sql, rows);
	r = pg_session_value(s, str_text(&sql), &value, err);
	if (r == 0)
		*ret = strtoull(str_or_empty(value), NULL, 10);
	return r;
}

int pg_tenant_lock(struct pg_session *s, const struct pg_table *tables, size_t count, int64_t wait_ms,
                   struct error *err)
{
	_cleanup(str) struct str sql = {0};
	int r;

	if (count == 0)
		return 0;
	str_appendf(&sql, "SET LOCAL lock_timeout = %" PRId64 "; LOCK TABLE", wait_ms);
	for (size_t i = 0; i < count; i++)
		str_appendf(&sql, "%s ONLY %s", i > 0 ? "," : "", tables[i].relation);
	str_append(&sql, " IN ACCESS SHARE MODE; SET LOCAL lock_timeout = 0");
	r = pg_session_run(s, str_text(&sql), err);
	if (r < 0)
		error_prefix(err, "the tables of the export cannot be locked against changes of their form");
	return r < 0 ? r : pg_tables_check(s, tables, count, err);
}

int pg_tenant_limit_waits(struct pg_session *s, int64_t wait_ms, struct error *err)
{
	_cleanup(free) char *sql = mem_printf("SET LOCAL lock_timeout = %" PRId64, wait_ms);

	return pg_session_run(s, sql, err);
}

int pg_tenant_end(struct pg_session *s, struct error *err)
{
	return pg_session_run(s, "ROLLBACK", err);
}

/* Whatever changes a row of a catalog makes a new version of it, by another transaction; statistics are written in place. */
#define MARK_OF(catalog, where)                                                                              \
	"(SELECT pg_catalog.count(*) || '.' || coalesce(pg_catalog.sum(pg_catalog.hashtext("                 \
	"c.tableoid || '/' || c.ctid::text || '/' || c.xmin::text)), 0) FROM pg_catalog." catalog            \
	" c WHERE " where ")"

int pg_tenant_mark(struct pg_session *s, char **ret_mark, struct error *err)
{
	static const char sql
	        [] = "SELECT " MARK_OF("pg_class", "c.relkind IN ('r', 'p', 'f', 'm')") " || ':' || " MARK_OF("pg_attribute",
	                                                                                                      "c.attnum > 0") " || ':' || " MARK_OF("pg_constraint",
	                                                                                                                                            "true") " || ':' || " MARK_OF("pg_index", "c.indisunique") " || ':' || " MARK_OF("pg_policy", "true") " || ':' || " MARK_OF("pg_namespace", "true") " || ':' || " MARK_OF("pg_description", "c.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass"
	                                                                                                                                                                                                                                                                                                                                        " AND c.objoid >= 16384") " || ':' || " MARK_OF("pg_inherits",
	                                                                                                                                                                                                                                                                                                                                                                                        "true") " || ':' || " MARK_OF("pg_type",
	                                                                                                                                                                                                                                                                                                                                                                                                                      "c.oid >= 16384") " || ':' || " MARK_OF("pg_extension",
	                                                                                                                                                                                                                                                                                                                                                                                                                                                              "true") " || ':' || " MARK_OF("pg_depend",
	                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "c.deptype IN ('a', 'e', 'i')"
	                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            " AND c.classid = 'pg_catalog.pg_class'::pg_catalog.regclass");

	return pg_session_value(s, sql, ret_mark, err);
}

/* What reading depends on, of some tables: their columns, policies, and where they inherit. */
#define OF_THESE(column) column " IN (SELECT o.oid FROM o)"
static const char about_forms[] =
        "WITH o AS MATERIALIZED (SELECT u.oid FROM pg_catalog.unnest('%s'::oid[]) u (oid))"
        " SELECT " MARK_OF("pg_class", OF_THESE("c.oid")) " || ':' || " MARK_OF("pg_attribute", "c.attnum > 0 AND " OF_THESE("c.attrelid")) " || ':' || " MARK_OF(
                "pg_policy",
                OF_THESE("c.polrelid")) " || ':' || " MARK_OF("pg_inherits",
                                                              "(" OF_THESE("c.inhrelid") " OR " OF_THESE(
                                                                      "c.inhparent") ")");

static char *forms_statement(const struct pg_table *tables, size_t count)
{
	_cleanup(str) struct str oids = {0};

	for (size_t i = 0; i < count; i++)
		str_appendf(&oids, "%c%u", i > 0 ? ',' : '{', tables[i].oid);
	str_append(&oids, "}");
	return mem_printf(about_forms, str_text(&oids));
}

static int read_form_now(struct pg_session *now, const char *sql, char **ret, struct error *err)
{
	int r = pg_session_run(
	        now, "BEGIN READ ONLY; SET LOCAL search_path = ''; SET LOCAL statement_timeout = 0", err);

	if (r == 0)
		r = pg_session_value(now, sql, ret, err);
	return r == 0 ? pg_session_run(now, "ROLLBACK", err) : r;
}

int pg_tenant_check_form(struct pg_session *s, struct pg_session *now, const struct pg_table *tables,
                         size_t count, struct error *err)
{
	_cleanup(free) char *sql = NULL, *seen = NULL, *found = NULL;
	int r;

	if (count == 0)
		return 0;
	sql = forms_statement(tables, count);
	r = pg_session_value(s, sql, &seen, err);
	if (r == 0)
		r = read_form_now(now, sql, &found, err);
	if (r < 0)
		return r;
	return str_equal(seen, found)
	               ? 0
	               : error_set(
	                         err, ERROR_CONFLICT, ESTALE,
	                         "tables, or their partitions, columns or policies, were changed between the snapshot and the locks: rows would be missing, or come under other names; export again");
}

const char *pg_tenant_version(const struct pg_session *s)
{
	return str_or_empty(PQparameterStatus(s->conn, "server_version"));
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Erasing rows again. Foreign keys are read from the catalog, and what refers to the list is added to it until nothing is new: the list is whole before anything
 * is deleted, and one statement deletes it, so that circles need no order.
 */
#include "session.h"
#include "values.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/pg/erase.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LIST   "pg_temp.keepfs_gone"
#define ROUNDS 1000 /* each of which finds rows: more is a chain that nobody has made on purpose */

/* 'p': the root of partitions; 'r': a table; 0: there is none, or not that column. */
static int find_erase_column(struct pg_session *s, const struct pg_erase_column *of, char *ret_kind,
                             struct error *err)
{
	_cleanup(free) char *schema = pg_quote_literal(of->schema), *table = pg_quote_literal(of->table),
	                    *column = pg_quote_literal(of->column), *kind = NULL;
	_cleanup(free) char *sql = mem_printf(
	        "SELECT c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	        " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
	        " WHERE n.nspname = %s AND c.relname = %s AND a.attname = %s AND c.relkind IN ('r', 'p')",
	        schema, table, column);
	int r = pg_session_value(s, sql, &kind, err);

	if (r == 0)
		*ret_kind = kind ? kind[0] : 0;
	return r;
}

static void append_erase_relation(struct str *sql, const char *schema, const char *table, bool is_root)
{
	str_append(sql, is_root ? "" : "ONLY ");
	sql_append_name(sql, schema);
	str_append_char(sql, '.');
	sql_append_name(sql, table);
}

int pg_erase_values(struct pg_session *s, const struct pg_erase_column *of,
                    int (*take)(void *arg, const char *value, struct error *err), void *arg,
                    struct error *err)
{
	_cleanup(str) struct str sql = {0};
	char kind = 0;
	int r = find_erase_column(s, of, &kind, err);

	if (r < 0 || !kind)
		return r < 0 ? r : 1;
	/* What a policy hides would stay, and nobody would hear of it. */
	r = pg_session_run(
	        s,
	        "SET row_security = off; SET datestyle = 'ISO'; SET timezone = 'UTC'; SET client_encoding = 'UTF8'",
	        err);
	if (r < 0)
		return r;
	str_append(&sql, "COPY (SELECT DISTINCT t.");
	sql_append_name(&sql, of->column);
	str_append(&sql, "::pg_catalog.text FROM ");
	append_erase_relation(&sql, of->schema, of->table, kind == 'p');
	str_append(&sql, " t) TO STDOUT");
	return values_copy(s, str_text(&sql), take, arg, err);
}

#define ADD "INSERT INTO " LIST " SELECT t.tableoid, t.ctid, t.xmin FROM "
#define NEW " AND NOT EXISTS (SELECT FROM " LIST " g WHERE g.of_table = t.tableoid AND g.place = t.ctid)"

int pg_erase_add_values(struct pg_session *s, const struct pg_erase_column *of, const char *const *values,
                        size_t count, struct error *err)
{
	_cleanup(str) struct str sql = {0};
	char kind = 0;
	int r = find_erase_column(s, of, &kind, err);

	if (r < 0 || !kind || count == 0)
		return r;
	str_append(&sql, ADD);
	append_erase_relation(&sql, of->schema, of->table, kind == 'p');
	str_append(&sql, " t WHERE t.");
	sql_append_name(&sql, of->column);
	str_append(&sql, "::pg_catalog.text IN (");
	for (size_t i = 0; i < count; i++) {
		str_append(&sql, i > 0 ? ", " : "");
		sql_append_literal(&sql, values[i]);
	}
	str_append(&sql, ")" NEW);
	return pg_session_run(s, str_text(&sql), err);
}

int pg_erase_add_rows(struct pg_session *s, const struct pg_tenant_rows *rows, struct error *err)
{
	_cleanup(str) struct str sql = {0};

	str_append(&sql, ADD);
	append_erase_relation(&sql, rows->schema, rows->table, rows->with_partitions);
	str_appendf(&sql, " t WHERE (%s)" NEW, *str_or_empty(rows->condition) ? rows->condition : "true");
	return pg_session_run(s, str_text(&sql), err);
}

/* What refers to them. Of each foreign key: the statement that adds the rows which refer, or the one that empties their columns; and the table. */
#define KEY_COLUMNS(what)                                                                                    \
	"(SELECT pg_catalog.string_agg(" what ") FROM pg_catalog.generate_subscripts(c.conkey, 1) i"         \
	" JOIN pg_catalog.pg_attribute fa ON fa.attrelid = c.conrelid AND fa.attnum = c.conkey[i]"           \
	" JOIN pg_catalog.pg_attribute ta ON ta.attrelid = c.confrelid AND ta.attnum = c.confkey[i]"         \
	" JOIN pg_catalog.pg_operator o ON o.oid = c.conpfeqop[i]"                                           \
	" JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace)"
static const char about_erased_keys[] =
        "SELECT k.is_deleted, k.name, CASE WHEN k.is_deleted THEN"
        " pg_catalog.format('INSERT INTO " LIST " SELECT DISTINCT t.tableoid, t.ctid, t.xmin FROM " LIST
        " v JOIN %s p ON p.ctid = v.place AND p.tableoid = v.of_table JOIN %s t ON %s WHERE true" NEW
        "', k.parent, k.child, k.equal)"
        " ELSE pg_catalog.format('UPDATE %s t SET %s FROM " LIST
        " v JOIN %s p ON p.ctid = v.place AND p.tableoid = v.of_table WHERE %s" NEW
        "', k.child, k.emptied, k.parent, k.equal) END"
        " FROM (SELECT pg_catalog.format('%I.%I', fn.nspname, f.relname) AS name,"
        " pg_catalog.format('%s%I.%I', CASE t.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, tn.nspname, t.relname) AS parent,"
        " pg_catalog.format('%s%I.%I', CASE f.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, fn.nspname, f.relname) AS child,"
        " " KEY_COLUMNS(
                "pg_catalog.format('p.%I OPERATOR(%I.%s) t.%I', ta.attname, n.nspname, o.oprname, fa.attname), ' AND '") " AS equal,"
                                                                                                                         " " KEY_COLUMNS(
                                                                                                                                 "pg_catalog.format('%I = NULL', fa.attname), ', '") " AS emptied,"
                                                                                                                                                                                     " c.confdeltype = 'c' OR " KEY_COLUMNS(
                                                                                                                                                                                             "CASE WHEN fa.attnotnull OR fa.attgenerated <> '' THEN 'x' END, ''") " IS NOT NULL AS is_deleted"
                                                                                                                                                                                                                                                                  " FROM pg_catalog.pg_constraint c"
                                                                                                                                                                                                                                                                  " JOIN pg_catalog.pg_class f ON f.oid = c.conrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace"
                                                                                                                                                                                                                                                                  " JOIN pg_catalog.pg_class t ON t.oid = c.confrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace"
                                                                                                                                                                                                                                                                  " WHERE c.contype = 'f' AND c.conparentid = 0 AND c.confdeltype NOT IN ('n', 'd')"
                                                                                                                                                                                                                                                                  " AND EXISTS (SELECT FROM " LIST
                                                                                                                                                                                                                                                                  " l WHERE l.of_table = t.oid OR l.of_table IN (SELECT relid FROM pg_catalog.pg_partition_tree(t.oid)))) k ORDER BY 1, 2";

struct spreading {
	struct pg_session *session;
	bool empties; /* else: adds */
	uint64_t changed;
	void (*take)(void *arg, const char *table, uint64_t rows, bool emptied);
	void *arg;
};

static int count_changed(struct pg_session *s, const char *sql, uint64_t *ret, struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;
	int r = session_ask(s, &(struct session_query){.sql = sql, .alone = true}, &result, err);

	if (r == 0)
		*ret = strtoull(PQcmdTuples(result), NULL, 10);
	return r;
}

static int follow_key(void *arg, const struct pg_row *row, struct error *err)
{
	struct spreading *x = arg;
	bool is_deleted = str_equal(row->values[0], "t");
	uint64_t changed = 0;
	int r;

	if (is_deleted == x->empties)
		return 0;
	r = count_changed(x->session, row->values[2], &changed, err);
	x->changed += changed;
	if (r == 0 && x->empties && changed > 0)
		x->take(x->arg, row->values[1], changed, true);
	return r;
}

static int follow_keys(struct spreading *x, struct error *err)
{
	x->changed = 0;
	return pg_session_rows(x->session, about_erased_keys, follow_key, x, err);
}

static int spread_list(struct spreading *x, struct error *err)
{
	for (int i = 0; i < ROUNDS; i++) {
		int r = follow_keys(x, err);

		if (r < 0 || x->changed == 0)
			return r;
	}
	return error_set(err, ERROR_INTERNAL, E2BIG,
	                 "rows that refer to what is to be erased form a chain of more than %d steps",
	                 ROUNDS);
}

/* Deleting. */

struct erased_table {
	char *schema, *name;
	uint64_t rows;
};

struct erased_tables {
	struct erased_table *items;
	size_t count;
};

static void finish_erased_tables(struct erased_tables *t)
{
	for (size_t i = 0; i < t->count; i++) {
		free(t->items[i].schema);
		free(t->items[i].name);
	}
	free(t->items);
}

static int take_erased_table(void *arg, const struct pg_row *row, struct error *err)
{
	struct erased_tables *t = arg;

	t->items = mem_resize(t->items, t->count + 1, sizeof(*t->items));
	t->items[t->count++] = (struct erased_table){.schema = mem_strdup(row->values[0]),
	                                             .name = mem_strdup(row->values[1]),
	                                             .rows = strtoull(row->values[2], NULL, 10)};
	return 0;
}

static int delete_erased(struct pg_session *s, const struct erased_tables *t, struct error *err)
{
	_cleanup(free) struct pg_tenant_rows *rows = mem_array(t->count + 1, sizeof(*rows));
	_cleanup(free) uint64_t *deleted = mem_array(t->count + 1, sizeof(*deleted));
	int r;

	for (size_t i = 0; i < t->count; i++)
		rows[i] = (struct pg_tenant_rows){.schema = t->items[i].schema, .table = t->items[i].name};
	r = pg_delete_rows(s, rows, t->count, deleted, err);
	for (size_t i = 0; r == 0 && i < t->count; i++)
		if (deleted[i] != t->items[i].rows)
			return error_set(
			        err, ERROR_CONFLICT, EPERM,
			        "%" PRIu64
			        " rows of %s.%s that were erased were not deleted by the server: is there a trigger or a rule that keeps them?",
			        t->items[i].rows - deleted[i], t->items[i].schema, t->items[i].name);
	return r;
}

int pg_erase_rows(struct pg_session *s,
                  void (*take)(void *arg, const char *table, uint64_t rows, bool emptied), void *arg,
                  struct error *err)
{
	static const char sql[] =
	        "SELECT n.nspname, c.relname, pg_catalog.count(*) FROM " LIST
	        " l JOIN pg_catalog.pg_class c ON c.oid = l.of_table JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	        " GROUP BY 1, 2 ORDER BY 1, 2";
	struct spreading x = {.session = s, .take = take, .arg = arg};
	struct erased_tables tables = {0};
	int r = spread_list(&x, err);

	x.empties = true;
	if (r == 0)
		r = follow_keys(&x, err);
	if (r == 0)
		r = pg_session_rows(s, sql, take_erased_table, &tables, err);
	if (r == 0 && tables.count > 0)
		r = delete_erased(s, &tables, err);
	for (size_t i = 0; r == 0 && i < tables.count; i++) {
		_cleanup(free) char *name = mem_printf("%s.%s", tables.items[i].schema, tables.items[i].name);

		take(arg, name, tables.items[i].rows, false);
	}
	finish_erased_tables(&tables);
	return r;
}

struct schema_taking {
	int (*take)(void *arg, const char *schema, struct error *err);
	void *arg;
};

static int take_erase_schema(void *arg, const struct pg_row *row, struct error *err)
{
	const struct schema_taking *t = arg;

	return t->take(t->arg, row->values[0], err);
}

int pg_erase_schemas(struct pg_session *s, int (*take)(void *arg, const char *schema, struct error *err),
                     void *arg, struct error *err)
{
	struct schema_taking taking = {take, arg};

	return pg_session_rows(
	        s,
	        "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1",
	        take_erase_schema, &taking, err);
}

int pg_erase_canonical(const char *conninfo, const char *database, const struct pg_erase_column *of,
                       const char *value, struct cancel *cancel, char **ret, struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(free) char *schema = pg_quote_literal(of->schema), *table = pg_quote_literal(of->table),
	                    *column = pg_quote_literal(of->column), *literal = pg_quote_literal(value),
	                    *type = NULL, *question = NULL, *cast = NULL;
	int r = pg_session_open(conninfo, database, "keepfs erase", cancel, &s, err);

	if (r < 0)
		return r;
	question = mem_printf(
	        "SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a"
	        " JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	        " WHERE n.nspname = %s AND c.relname = %s AND a.attname = %s AND c.relkind IN ('r', 'p') AND NOT a.attisdropped",
	        schema, table, column);
	r = pg_session_run(
	        s,
	        "SET search_path = ''; SET datestyle = 'ISO'; SET timezone = 'UTC'; SET client_encoding = 'UTF8'",
	        err);
	if (r == 0)
		r = pg_session_value(s, question, &type, err);
	if (r < 0)
		return r;
	if (!type)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "there is no table %s.%s with a column %s",
		                 of->schema, of->table, of->column);
	cast = mem_printf("SELECT (%s::%s)::pg_catalog.text", literal, type);
	return pg_session_value(s, cast, ret, err);
}

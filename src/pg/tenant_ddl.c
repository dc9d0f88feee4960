// SPDX-License-Identifier: Apache-2.0
/*
 * What the server says of types and expressions is SQL of its own making, with all names in quotes and qualified, since search_path is empty. Everything else is
 * quoted here. Nothing stands outside of quotes that psql would take for a variable or a command of its own.
 */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/pg/tenant_ddl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a type needs is listed by names as format_type() writes them, of arrays those of their elements. */
static const char about_types[] =
        "WITH needed (oid, name) AS (SELECT x.oid, pg_catalog.format_type(CASE WHEN x.typcategory = 'A'"
        " AND x.typelem <> 0 THEN x.typelem ELSE x.oid END, NULL) FROM pg_catalog.pg_type x)"
        " SELECT pg_catalog.format_type(t.oid, NULL), CASE t.typtype"
        " WHEN 'e' THEN pg_catalog.concat('CREATE TYPE ', pg_catalog.format_type(t.oid, NULL), ' AS ENUM (',"
        " (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)"
        " FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid), ')')"
        " WHEN 'c' THEN pg_catalog.concat('CREATE TYPE ', pg_catalog.format_type(t.oid, NULL), ' AS (',"
        " (SELECT pg_catalog.string_agg(pg_catalog.concat(pg_catalog.quote_ident(a.attname), ' ',"
        " pg_catalog.format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a"
        " WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), ')')"
        " WHEN 'd' THEN pg_catalog.concat('CREATE DOMAIN ', pg_catalog.format_type(t.oid, NULL), ' AS ',"
        " pg_catalog.format_type(t.typbasetype, t.typtypmod))"
        " ELSE pg_catalog.concat('CREATE TYPE ', pg_catalog.format_type(t.oid, NULL), ' AS RANGE (SUBTYPE = ',"
        " pg_catalog.format_type(r.rngsubtype, NULL), ')') END,"
        " CASE WHEN t.typtype = 'c' THEN (SELECT pg_catalog.string_agg(n.name, E'\\x01')"
        " FROM pg_catalog.pg_attribute a JOIN needed n ON n.oid = a.atttypid"
        " WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)"
        " ELSE (SELECT n.name FROM needed n WHERE n.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype"
        " WHEN 'r' THEN r.rngsubtype END) END, pg_catalog.quote_ident(s.nspname)"
        " FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace s ON s.oid = t.typnamespace"
        " LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid"
        " WHERE s.nspname !~ '^pg_' AND s.nspname <> 'information_schema'"
        " AND (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND c.relkind = 'c')"
        " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend m WHERE m.classid = 'pg_catalog.pg_type'::regclass"
        " AND m.objid = t.oid AND m.deptype = 'e')";

/* Expressions of nothing but what every PostgreSQL has. Up to version 14 the column itself depends on what its expression needs. */
static const char about_expressions[] =
        "SELECT a.attrelid, a.attname, pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attribute a"
        " JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
        " WHERE a.attgenerated <> '' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend p"
        " WHERE p.refobjid >= 16384 AND p.refclassid <> 'pg_catalog.pg_class'::regclass"
        " AND (p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid"
        " OR p.classid = 'pg_catalog.pg_class'::regclass AND p.objid = a.attrelid AND p.objsubid = a.attnum))";

enum type_state { TYPE_UNKNOWN, TYPE_LOOKED_AT, TYPE_CAN_BE, TYPE_CANNOT_BE };

struct ddl_type {
	char *name, *sql;
	char *needs; /* names, separated by '\x01'; NULL: none */
	char *schema;
	enum type_state state;
	bool is_written;
};

struct ddl_expression {
	uint32_t table;
	char *column, *sql;
};

struct pg_ddl {
	struct ddl_type *types; /* by name */
	size_t type_count;
	struct ddl_expression *expressions;
	size_t expression_count;
};

/* Reading. */

static int take_ddl_type(void *arg, const struct pg_row *row, struct error *err)
{
	struct pg_ddl *d = arg;

	if ((d->type_count & (d->type_count - 1)) == 0)
		d->types = mem_resize(d->types, d->type_count ? 2 * d->type_count : 1, sizeof(*d->types));
	d->types[d->type_count++] = (struct ddl_type){
	        .name = mem_strdup(row->values[0]),
	        .sql = mem_strdup(row->values[1]),
	        .needs = mem_strdup(row->values[2]),
	        .schema = mem_strdup(row->values[3]),
	};
	return 0;
}

static int take_ddl_expression(void *arg, const struct pg_row *row, struct error *err)
{
	struct pg_ddl *d = arg;

	if ((d->expression_count & (d->expression_count - 1)) == 0)
		d->expressions = mem_resize(d->expressions, d->expression_count ? 2 * d->expression_count : 1,
		                            sizeof(*d->expressions));
	d->expressions[d->expression_count++] = (struct ddl_expression){
	        .table = (uint32_t)strtoul(row->values[0], NULL, 10),
	        .column = mem_strdup(row->values[1]),
	        .sql = mem_strdup(row->values[2]),
	};
	return 0;
}

static int compare_ddl_types(const void *a, const void *b)
{
	return strcmp(((const struct ddl_type *)a)->name, ((const struct ddl_type *)b)->name);
}

int pg_ddl_read(struct pg_session *s, struct pg_ddl **ret, struct error *err)
{
	_cleanup(pg_ddl) struct pg_ddl *d = mem_alloc(sizeof(*d));
	int r = pg_session_rows(s, about_types, take_ddl_type, d, err);

	if (r == 0)
		r = pg_session_rows(s, about_expressions, take_ddl_expression, d, err);
	if (r < 0) {
		error_prefix(err, "what types there are cannot be read");
		return r;
	}
	if (d->type_count > 1)
		qsort(d->types, d->type_count, sizeof(*d->types), compare_ddl_types);
	*ret = take_ptr(&d);
	return 0;
}

struct pg_ddl *pg_ddl_free(struct pg_ddl *d)
{
	if (!d)
		return NULL;
	for (size_t i = 0; i < d->type_count; i++) {
		free(d->types[i].name);
		free(d->types[i].sql);
		free(d->types[i].needs);
		free(d->types[i].schema);
	}
	for (size_t i = 0; i < d->expression_count; i++) {
		free(d->expressions[i].column);
		free(d->expressions[i].sql);
	}
	free(d->types);
	free(d->expressions);
	free(d);
	return NULL;
}

/* Types. */

static struct ddl_type *find_ddl_type(struct pg_ddl *d, const char *name)
{
	struct ddl_type key = {.name = (char *)name};

	return d && d->type_count > 0
	               ? bsearch(&key, d->types, d->type_count, sizeof(*d->types), compare_ddl_types)
	               : NULL;
}

/* PostgreSQL's own are written without their schema. */
static bool has_schema(const char *type)
{
	bool is_quoted = false;

	for (; *type; type++) {
		is_quoted ^= *type == '"';
		if (*type == '.' && !is_quoted)
			return true;
	}
	return false;
}

/* Its values name objects of the database, or nothing reads them. */
static bool is_bound_to_its_database(const char *type)
{
	static const char *const others[] = {"aclitem", "record", "cstring"};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strcmp(type, others[i]) == 0)
			return true;
	return str_starts(type, "reg") ||
	       (str_starts(type, "pg_") && strcmp(type, "pg_lsn") != 0 && strcmp(type, "pg_snapshot") != 0);
}

static bool type_can_be(struct pg_ddl *d, const char *name);

static bool needs_can_be(struct pg_ddl *d, const struct ddl_type *t)
{
	_cleanup(free) char *needs = mem_strdup(str_or_empty(t->needs));

	for (char *at = needs, *name; (name = strsep(&at, "\x01"));)
		if (*name && !type_can_be(d, name))
			return false;
	return true;
}

/* Types do not need themselves, but for an array of it in a composite type, which PostgreSQL refuses. */
static bool type_can_be(struct pg_ddl *d, const char *name)
{
	struct ddl_type *t;

	if (!has_schema(name))
		return !is_bound_to_its_database(name);
	t = find_ddl_type(d, name);
	if (!t)
		return false;
	if (t->state == TYPE_UNKNOWN) {
		t->state = TYPE_LOOKED_AT;
		t->state = needs_can_be(d, t) ? TYPE_CAN_BE : TYPE_CANNOT_BE;
	}
	return t->state == TYPE_CAN_BE;
}

/* heap: "public.mood" of "public.mood[]" */
static char *element_of(const char *type)
{
	size_t len = strlen(type);

	while (len > 2 && memcmp(type + len - 2, "[]", 2) == 0)
		len -= 2;
	return mem_printf("%.*s", (int)len, type);
}

static bool column_can_be(struct pg_ddl *d, const struct pg_ddl_column *c)
{
	_cleanup(free) char *element = element_of(c->column->type);

	return c->value != PG_DDL_TEXT && type_can_be(d, element);
}

/* Statements. */

/* PL/pgSQL on one line and more; @body may hold anything. */
static void append_do(struct str *out, const char *body)
{
	_cleanup(free) char *tag = mem_strdup("$keepfs$");

	for (unsigned n = 2; strstr(body, tag); n++) {
		free(tag);
		tag = mem_printf("$keepfs%u$", n);
	}
	str_appendf(out, "DO %s BEGIN\n%s\nEND %s;\n", tag, body, tag);
}

static void append_ddl_relation(struct str *out, const struct tenancy_table *t)
{
	sql_append_name(out, t->schema);
	str_append_char(out, '.');
	sql_append_name(out, t->name);
}

static void append_relation_literal(struct str *out, const struct tenancy_table *t)
{
	_cleanup(str) struct str name = {0};

	append_ddl_relation(&name, t);
	sql_append_literal(out, str_text(&name));
}

static void append_columns_of(struct str *out, const struct tenancy_table *t, const uint32_t *columns,
                              size_t count)
{
	str_append_char(out, '(');
	for (size_t i = 0; i < count; i++) {
		str_append(out, i > 0 ? ", " : "");
		sql_append_name(out, t->columns[columns[i]].name);
	}
	str_append_char(out, ')');
}

void pg_ddl_append_remark(const char *text, struct str *out)
{
	while (*text) {
		size_t len = strcspn(text, "\r\n");
		_cleanup(free) char *line = mem_printf("%.*s", (int)len, text);

		str_append(out, *line ? "-- " : "--");
		str_append_line(out, line);
		str_append_char(out, '\n');
		text += len;
		text += *text == '\r' || *text == '\n';
	}
}

static const char begin_of_file[] =
        "\\set ON_ERROR_STOP on\n"
        "SET LOCAL client_encoding = 'UTF8';\n"
        "SET LOCAL standard_conforming_strings = on;\n"
        "SET LOCAL search_path = '';\n"
        "SET LOCAL client_min_messages = warning;\n"
        "SET LOCAL row_security = off;\n"
        "SET LOCAL xmloption = content;\n"
        "SET LOCAL DateStyle = 'ISO, YMD';\n"
        "SET LOCAL TimeZone = 'UTC';\n"
        "\n"
        "-- All of this is loaded in one transaction (psql -1), or nothing of it: a file that was cut off fails at its end, by the key of this table.\n"
        "CREATE TEMPORARY TABLE keepfs_export_end (is_there boolean PRIMARY KEY) ON COMMIT DROP;\n"
        "CREATE TEMPORARY TABLE keepfs_export_is_whole (is_there boolean REFERENCES pg_temp.keepfs_export_end"
        " DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP;\n"
        "INSERT INTO pg_temp.keepfs_export_is_whole VALUES (true);\n\n";

void pg_ddl_append_begin(struct str *out)
{
	str_append(out, begin_of_file);
}

void pg_ddl_append_end(struct str *out)
{
	str_append(out, "INSERT INTO pg_temp.keepfs_export_end VALUES (true);\n");
}

/* Schemas. */

static void append_ddl_schema(struct str *out, const char *quoted)
{
	if (strcmp(quoted, "public") != 0 && strcmp(quoted, "\"public\"") != 0)
		str_appendf(out, "CREATE SCHEMA IF NOT EXISTS %s;\n", quoted);
}

void pg_ddl_append_schemas(const struct pg_ddl_table *tables, size_t count, struct str *out)
{
	for (size_t i = 0; i < count; i++) {
		_cleanup(str) struct str name = {0};
		bool is_known = false;

		for (size_t before = 0; before < i && !is_known; before++)
			is_known = strcmp(tables[before].table->schema, tables[i].table->schema) == 0;
		if (is_known)
			continue;
		sql_append_name(&name, tables[i].table->schema);
		append_ddl_schema(out, str_text(&name));
	}
}

static void append_ddl_type(struct pg_ddl *d, const char *name, struct str *out)
{
	struct ddl_type *t = find_ddl_type(d, name);
	_cleanup(free) char *needs = NULL, *body = NULL;

	if (!t || t->is_written)
		return;
	t->is_written = true;
	needs = mem_strdup(str_or_empty(t->needs));
	for (char *at = needs, *needed; (needed = strsep(&at, "\x01"));)
		append_ddl_type(d, needed, out);
	append_ddl_schema(out, t->schema);
	body = mem_printf("\t%s;\nEXCEPTION WHEN duplicate_object THEN NULL;", t->sql);
	append_do(out, body);
}

void pg_ddl_append_types(struct pg_ddl *d, const struct pg_ddl_table *tables, size_t count, struct str *out)
{
	for (size_t i = 0; d && i < d->type_count; i++)
		d->types[i].is_written = false;
	for (size_t i = 0; i < count; i++)
		for (size_t c = 0; c < tables[i].count; c++) {
			_cleanup(free) char *element = element_of(tables[i].columns[c].column->type);

			if (column_can_be(d, &tables[i].columns[c]))
				append_ddl_type(d, element, out);
		}
}

/* Tables. */

static const char *generation_of(const struct pg_ddl *d, const struct pg_ddl_table *table,
                                 const struct tenancy_column *column)
{
	for (size_t i = 0; d && i < d->expression_count; i++)
		if (d->expressions[i].table == table->table->oid &&
		    strcmp(d->expressions[i].column, column->name) == 0)
			return d->expressions[i].sql;
	return NULL;
}

bool pg_ddl_is_computed(struct pg_ddl *d, const struct pg_ddl_table *table, size_t column)
{
	if (!table->is_whole || !table->columns[column].column->is_generated)
		return false;
	for (size_t i = 0; i < table->count; i++)
		if (!column_can_be(d, &table->columns[i]))
			return false;
	return generation_of(d, table, table->columns[column].column) != NULL;
}

static bool is_integer_type(const char *type)
{
	return strcmp(type, "smallint") == 0 || strcmp(type, "integer") == 0 || strcmp(type, "bigint") == 0;
}

static bool goes_by_sequence(const struct pg_ddl_column *c)
{
	return c->value == PG_DDL_AS_IT_IS && (c->column->identity || c->column->sequence) &&
	       !c->column->is_generated && is_integer_type(c->column->type);
}

static void append_ddl_column(struct pg_ddl *d, const struct pg_ddl_table *table, size_t column,
                              struct str *out)
{
	const struct pg_ddl_column *c = &table->columns[column];

	sql_append_name(out, c->column->name);
	str_appendf(out, " %s", column_can_be(d, c) ? c->column->type : "text");
	if (pg_ddl_is_computed(d, table, column))
		str_appendf(out, " GENERATED ALWAYS AS (%s) STORED", generation_of(d, table, c->column));
	else if (goes_by_sequence(c) && c->column->identity)
		str_appendf(out, " GENERATED %s AS IDENTITY",
		            c->column->identity == 'a' ? "ALWAYS" : "BY DEFAULT");
	else if (goes_by_sequence(c)) {
		str_append(out, " DEFAULT pg_catalog.nextval(");
		sql_append_literal(out, c->column->sequence);
		str_append_char(out, ')');
	}
	if (c->column->not_null && c->value != PG_DDL_NULL)
		str_append(out, " NOT NULL");
}

/* Behind the comma, up to the end of the line. */
static void append_column_remark(struct pg_ddl *d, const struct pg_ddl_table *table, size_t column,
                                 struct str *out)
{
	const struct pg_ddl_column *c = &table->columns[column];

	if (c->value != PG_DDL_AS_IT_IS || !column_can_be(d, c)) {
		str_append(out, c->value == PG_DDL_AS_IT_IS ? " -- " : " -- redacted; ");
		str_append_line(out, c->column->type);
	} else if (c->column->is_generated && !pg_ddl_is_computed(d, table, column)) {
		str_append(out, " -- generated");
	}
}

/* The first part of its name is the schema. */
static void append_sequence(const char *sequence, struct str *out)
{
	struct sql_scan scan = {.at = sequence};
	const struct sql_token schema = sql_next(&scan);
	_cleanup(free) char *name = mem_printf("%.*s", (int)schema.len, schema.text);

	append_ddl_schema(out, name);
	str_appendf(out, "CREATE SEQUENCE IF NOT EXISTS %s;\n", sequence);
}

void pg_ddl_append_table(struct pg_ddl *d, const struct pg_ddl_table *table, struct str *out)
{
	for (size_t i = 0; i < table->count; i++)
		if (goes_by_sequence(&table->columns[i]) && !table->columns[i].column->identity)
			append_sequence(table->columns[i].column->sequence, out);
	str_append(out, "CREATE TABLE IF NOT EXISTS ");
	append_ddl_relation(out, table->table);
	str_append(out, table->count > 0 ? " (\n" : " (");
	for (size_t i = 0; i < table->count; i++) {
		str_append_char(out, '\t');
		append_ddl_column(d, table, i, out);
		str_append(out, i + 1 < table->count ? "," : "");
		append_column_remark(d, table, i, out);
		str_append_char(out, '\n');
	}
	str_append(out, ");\n");
	for (size_t i = 0; i < table->count; i++) {
		if (!goes_by_sequence(&table->columns[i]) || table->columns[i].column->identity)
			continue;
		str_appendf(out, "ALTER SEQUENCE %s OWNED BY ", table->columns[i].column->sequence);
		append_ddl_relation(out, table->table);
		str_append_char(out, '.');
		sql_append_name(out, table->columns[i].column->name);
		str_append(out, ";\n");
	}
}

void pg_ddl_append_copy(struct pg_ddl *d, const struct pg_ddl_table *table, struct str *out)
{
	size_t named = 0;

	str_append(out, "COPY ");
	append_ddl_relation(out, table->table);
	for (size_t i = 0; i < table->count; i++) {
		if (pg_ddl_is_computed(d, table, i))
			continue;
		str_append(out, named++ > 0 ? ", " : " (");
		sql_append_name(out, table->columns[i].column->name);
	}
	str_append(out, named > 0 ? ") FROM stdin;\n" : " FROM stdin;\n");
}

/* Keys. */

static void append_setval(const struct pg_ddl_table *table, const struct tenancy_column *column,
                          struct str *out)
{
	_cleanup(str) struct str body = {0};

	str_append(&body, "\tPERFORM pg_catalog.setval(pg_catalog.pg_get_serial_sequence(");
	append_relation_literal(&body, table->table);
	str_append(&body, ", ");
	sql_append_literal(&body, column->name);
	str_append(&body, "), m) FROM (SELECT pg_catalog.max(");
	sql_append_name(&body, column->name);
	str_append(&body, ")::pg_catalog.int8 FROM ");
	append_ddl_relation(&body, table->table);
	str_append(&body, ") AS x (m) WHERE m >= 1;");
	append_do(out, str_text(&body));
}

static void append_constraint_test(const struct tenancy_table *t, const char *test, struct str *body)
{
	str_append(body, "\tIF NOT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid = ");
	append_relation_literal(body, t);
	str_appendf(body, "::pg_catalog.regclass AND %s) THEN\n", test);
}

void pg_ddl_append_keys(const struct pg_ddl_table *table, struct str *out)
{
	const struct tenancy_table *t = table->table;

	for (size_t i = 0; i < table->count; i++)
		if (goes_by_sequence(&table->columns[i]))
			append_setval(table, table->columns[i].column, out);
	if (t->primary_key_count > 0) {
		_cleanup(str) struct str body = {0};

		append_constraint_test(t, "contype = 'p'", &body);
		str_append(&body, "\t\tALTER TABLE ");
		append_ddl_relation(&body, t);
		str_append(&body, " ADD PRIMARY KEY ");
		append_columns_of(&body, t, t->primary_key, t->primary_key_count);
		str_append(&body, ";\n\tEND IF;");
		append_do(out, str_text(&body));
	}
}

void pg_ddl_append_unique(const struct tenancy_table *table, const uint32_t *columns, size_t count,
                          struct str *out)
{
	str_append(out, "ALTER TABLE ");
	append_ddl_relation(out, table);
	str_append(out, " ADD UNIQUE ");
	append_columns_of(out, table, columns, count);
	str_append(out, ";\n");
}

void pg_ddl_append_foreign_key(const struct tenancy_model *model, const struct tenancy_key *key,
                               struct str *out)
{
	const struct tenancy_table *from = &model->tables[key->from], *to = &model->tables[key->to];
	_cleanup(str) struct str body = {0}, test = {0};
	_cleanup(free) char *what = mem_printf("%s.%s: rows that %s leads to are not in the export",
	                                       from->schema, from->name, key->name);

	str_append(&test, "contype = 'f' AND conname = ");
	sql_append_literal(&test, key->name);
	append_constraint_test(from, str_text(&test), &body);
	str_append(&body, "\t\tALTER TABLE ");
	append_ddl_relation(&body, from);
	str_append(&body, " ADD CONSTRAINT ");
	sql_append_name(&body, key->name);
	str_append(&body, " FOREIGN KEY ");
	append_columns_of(&body, from, key->from_columns, key->count);
	str_append(&body, " REFERENCES ");
	append_ddl_relation(&body, to);
	str_append_char(&body, ' ');
	append_columns_of(&body, to, key->to_columns, key->count);
	str_append(&body, " NOT VALID;\n\t\tBEGIN\n\t\t\tALTER TABLE ");
	append_ddl_relation(&body, from);
	str_append(&body, " VALIDATE CONSTRAINT ");
	sql_append_name(&body, key->name);
	str_append(&body, ";\n\t\tEXCEPTION WHEN foreign_key_violation THEN\n\t\t\tRAISE WARNING '%', ");
	sql_append_literal(&body, what);
	str_append(&body, ";\n\t\tEND;\n\tEND IF;");
	append_do(out, str_text(&body));
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever the dump says is written within quotes, or was a type there. Texts for the DO block come as settings, because no text can be put safely between dollars.
 * A schema is known to be this backup's by its comment: no other one is touched.
 */
#include "definitions.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/attach_sql.h>
#include <keepfs/codec/copy_text.h>
#include <keepfs/codec/sql_text.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define NAME_BYTES  63 /* of an identifier, NAMEDATALEN - 1 */
#define CUT_BYTES   54 /* of one that would be longer; "_" and a hash come behind it */
#define MARK_PREFIX "keepfs: "

struct attach_sql {
	struct definitions *definitions;
	char *base; /* the schema for those of public */
	char *mark; /* the comment on each schema */
	char *encoding;
	char *schema; /* of the dump, that the last table was in; NULL: of none in this transaction */
	struct spool *out;
	size_t in_transaction;
};

static const char introduction[] =
        "-- The rows of a backup as tables of a server, without restoring it: a schema for each one of the backup, and in it a foreign table\n"
        "-- for each table. Whoever may create them is a superuser, or a member of pg_read_server_files. The server reads the files\n"
        "-- that are named below, so the mount must be on its host, and its user must be allowed to read there.\n"
        "--\n"
        "-- Columns have the types of the backup, without defaults and constraints. Those that are no types of PostgreSQL have a remark: where the\n"
        "-- server does not have such a type, write text in its place. It can be run again. All of it is taken away by\n"
        "--\n";

static const char settings[] = "BEGIN;\n"
                               "SET LOCAL client_min_messages = warning;\n"
                               "SET LOCAL standard_conforming_strings = on;\n";

static const char check_schema[] =
        "DO $$ BEGIN\n"
        "\tIF EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = pg_catalog.current_setting('keepfs.schema')\n"
        "\t\tAND pg_catalog.obj_description(oid, 'pg_namespace') IS DISTINCT FROM pg_catalog.current_setting('keepfs.mark')) THEN\n"
        "\t\tRAISE EXCEPTION 'the schema \"%\" was not made for this backup', pg_catalog.current_setting('keepfs.schema')\n"
        "\t\t\tUSING HINT = 'Give it another name. Nothing was changed.';\n"
        "\tEND IF;\n"
        "END $$;\n";

struct attach_sql *attach_sql_new(const char *directory)
{
	struct attach_sql *a = mem_alloc(sizeof(*a));

	a->definitions = definitions_new(directory);
	return a;
}

struct attach_sql *attach_sql_free(struct attach_sql *a)
{
	if (!a)
		return NULL;
	definitions_free(a->definitions);
	free(a->base);
	free(a->mark);
	free(a->encoding);
	free(a->schema);
	free(a);
	return NULL;
}

int attach_sql_feed(struct attach_sql *a, const void *data, size_t len, struct error *err)
{
	return definitions_feed(a->definitions, data, len, err);
}

static int put_sql(struct attach_sql *a, const struct str *sql, struct error *err)
{
	return spool_put(a->out, sql->data, sql->len, err);
}

/* "full/20261120T020000Z" as full_20261120t020000z: a name that needs no quotes, and is none of the server's own. */
static char *schema_base(const char *backup)
{
	struct str s = {0};

	if ((*backup >= '0' && *backup <= '9') || strncasecmp(backup, "pg_", 3) == 0)
		str_append_char(&s, '_');
	for (; *backup; backup++) {
		bool upper = *backup >= 'A' && *backup <= 'Z';
		bool same = (*backup >= 'a' && *backup <= 'z') || (*backup >= '0' && *backup <= '9');

		str_append_char(&s, (char)(upper ? *backup - 'A' + 'a' : same ? *backup : '_'));
	}
	return str_take(&s);
}

/* Where a character begins, or ends, at @len or before. Of other encodings than UTF-8 only ASCII is known. */
static size_t whole_characters(const struct attach_sql *a, const char *text, size_t len)
{
	bool utf8 = str_equal(a->encoding, "UTF8");

	while (len > 0 && (utf8 ? (text[len] & 0xc0) == 0x80 : (text[len - 1] & 0x80) != 0))
		len--;
	return len;
}

/* A server cuts longer names, so that two may become one. */
static char *cut_sql_name(const struct attach_sql *a, struct str *name)
{
	char *whole = str_take(name);
	size_t len;

	if (strlen(whole) <= NAME_BYTES)
		return whole;
	len = whole_characters(a, whole, CUT_BYTES);
	str_append_bytes(name, whole, len);
	str_appendf(name, "_%08" PRIx32, (uint32_t)XXH3_64bits(whole, strlen(whole)));
	free(whole);
	return str_take(name);
}

static char *schema_for(const struct attach_sql *a, const char *schema)
{
	struct str name = {0};

	str_append(&name, a->base);
	if (*schema && !str_equal(schema, "public"))
		str_appendf(&name, "_%s", schema);
	return cut_sql_name(a, &name);
}

static void append_attach_settings(const struct attach_sql *a, struct str *sql)
{
	str_append(sql, settings);
	if (!*a->encoding)
		return;
	str_append(sql, "SET LOCAL client_encoding = ");
	sql_append_literal(sql, a->encoding);
	str_append(sql, ";\n");
}

/* What is within a comment must not end it. */
static void append_in_remark(struct str *sql, const char *text)
{
	for (; *text; text++)
		str_append_char(sql, (char)((unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text));
}

int attach_sql_begin(struct attach_sql *a, const struct attach_sql_backup *backup, struct spool *out,
                     struct error *err)
{
	_cleanup(str) struct str sql = {0}, mark = {0};

	a->out = out;
	a->base = schema_base(backup->name);
	a->mark = mem_printf(MARK_PREFIX "%s", backup->name);
	a->encoding = mem_strdup(backup->encoding);
	str_append(&sql, introduction);
	str_append(&sql, "--     SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace\n"
	                 "--     WHERE obj_description(oid, 'pg_namespace') = ");
	sql_append_literal(&mark, a->mark);
	append_in_remark(&sql, str_text(&mark));
	str_append(&sql, " \\gexec\n\n"
	                 "\\set ON_ERROR_STOP on\n");
	append_attach_settings(a, &sql);
	str_append(&sql, "CREATE EXTENSION IF NOT EXISTS file_fdw;\n"
	                 "CREATE SERVER IF NOT EXISTS keepfs FOREIGN DATA WRAPPER file_fdw;\n");
	return put_sql(a, &sql, err);
}

static void append_setting_of(struct str *sql, const char *setting, const char *value)
{
	str_appendf(sql, "SET LOCAL %s = ", setting);
	sql_append_literal(sql, value);
	str_append(sql, ";\n");
}

static void append_schema(struct attach_sql *a, const char *schema, struct str *sql)
{
	_cleanup(free) char *name = schema_for(a, schema);

	if (str_equal(a->schema, schema))
		return;
	mem_replace_string(&a->schema, schema);
	str_append_char(sql, '\n');
	append_setting_of(sql, "keepfs.schema", name);
	append_setting_of(sql, "keepfs.mark", a->mark);
	str_append(sql, check_schema);
	str_append(sql, "CREATE SCHEMA IF NOT EXISTS ");
	sql_append_name(sql, name);
	str_append(sql, ";\nCOMMENT ON SCHEMA ");
	sql_append_name(sql, name);
	str_append(sql, " IS ");
	sql_append_literal(sql, a->mark);
	str_append(sql, ";\n");
}

static void append_table_name(const struct attach_sql *a, const struct attach_sql_table *table,
                              struct str *sql)
{
	_cleanup(free) char *schema = schema_for(a, table->schema), *name = NULL;
	struct str again = {0};

	str_append(&again, table->table);
	if (table->again > 0)
		str_appendf(&again, "%%+%u", table->again);
	name = cut_sql_name(a, &again);
	sql_append_name(sql, schema);
	str_append_char(sql, '.');
	sql_append_name(sql, name);
}

/* Of a type, or a collation, with a schema: it is none of PostgreSQL's own. */
static bool is_of_a_schema(const char *name)
{
	struct sql_scan scan = {.at = name};
	struct sql_token first = sql_next(&scan), dot = sql_next(&scan);

	return sql_is(&dot, ".") && !sql_is(&first, "pg_catalog");
}

static void append_column_definition(const struct definition *d, const char *column, bool last,
                                     struct str *sql)
{
	const char *collation = "", *type = definition_type(d, column, &collation);

	str_append_char(sql, '\t');
	sql_append_name(sql, column);
	str_appendf(sql, " %s", type ? type : "text");
	if (*collation)
		str_appendf(sql, " COLLATE %s", collation);
	str_append(sql, last ? "" : ",");
	if (!type)
		str_append(sql, " -- its type is not in the backup");
	else if (is_of_a_schema(type))
		str_append(sql, " -- or text");
	else if (is_of_a_schema(collation))
		str_append(sql, " -- or without COLLATE");
	str_append_char(sql, '\n');
}

static void append_options(const struct attach_sql *a, const struct attach_sql_table *table, struct str *sql)
{
	str_append(sql, ") SERVER keepfs OPTIONS (filename ");
	sql_append_literal(sql, table->path);
	str_append(sql, ", format 'text'");
	if (*a->encoding) {
		str_append(sql, ", encoding ");
		sql_append_literal(sql, a->encoding);
	}
	str_append(sql, ");\n");
}

static void append_foreign_table(const struct attach_sql *a, const struct attach_sql_table *table,
                                 const struct copy_columns *columns, const struct definition *d,
                                 struct str *sql)
{
	str_append(sql, "\nDROP FOREIGN TABLE IF EXISTS ");
	append_table_name(a, table, sql);
	str_append(sql, ";\nCREATE FOREIGN TABLE ");
	append_table_name(a, table, sql);
	str_append(sql, " (\n");
	for (size_t i = 0; i < columns->count; i++)
		append_column_definition(d, columns->names[i], i + 1 == columns->count, sql);
	append_options(a, table, sql);
}

static void append_next_transaction(struct attach_sql *a, struct str *sql)
{
	if (a->in_transaction < ATTACH_SQL_TABLES)
		return;
	a->in_transaction = 0;
	mem_replace_string(&a->schema, NULL);
	str_append(sql, "\nCOMMIT;\n");
	append_attach_settings(a, sql);
}

static void append_passed_over(const struct attach_sql_table *table, struct str *sql)
{
	str_append(sql, "\n-- The table ");
	append_in_remark(sql, table->schema);
	str_append_char(sql, '.');
	append_in_remark(sql, table->table);
	str_append(
	        sql,
	        " is not made: its rows have no columns, and a file has nothing to tell of them but their number.\n");
}

int attach_sql_table(struct attach_sql *a, const struct attach_sql_table *table, struct error *err)
{
	_cleanup(copy_columns) struct copy_columns columns = {0};
	_cleanup(definition) struct definition d = {0};
	_cleanup(str) struct str sql = {0};
	int r = copy_columns_parse(table->columns, &columns, err);

	if (r == 0)
		r = definitions_load(a->definitions, table->schema, table->table, &d, err);
	if (r < 0)
		return r;
	if (columns.count == 0) {
		append_passed_over(table, &sql);
		return put_sql(a, &sql, err);
	}
	append_next_transaction(a, &sql);
	append_schema(a, table->schema, &sql);
	append_foreign_table(a, table, &columns, &d, &sql);
	a->in_transaction++;
	return put_sql(a, &sql, err);
}

int attach_sql_end(struct attach_sql *a, struct error *err)
{
	static const char end[] = "\nCOMMIT;\n";

	return spool_put(a->out, end, sizeof(end) - 1, err);
}

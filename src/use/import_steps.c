// SPDX-License-Identifier: Apache-2.0
/* What a file says of its tables, handed on to the statements of an import (keepfs/pg/import.h), and its rows one by one. */
#include <keepfs/use/import.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/exported.h>

#include <errno.h>

struct import {
	struct exported *exported; /* borrowed, as the head */
	const struct exported_head *head;
	struct pg_import_source source;
	struct pg_import_table *tables;
	char **references; /* heap; NULL-terminated */
	size_t reference_count;
	struct pg_import_value *values; /* of one row */
	struct pg_import *rows;
};

int import_open(const char *conninfo, const char *database, struct cancel *cancel, struct pg_session **ret,
                struct error *err)
{
	return pg_import_open(conninfo, database, cancel, ret, err);
}

/* What the file says. */

static int take_tenancy(struct import *imp, struct error *err)
{
	static const struct {
		const char *name;
		enum tenancy_kind kind;
	} kinds[] = {{"column", TENANCY_COLUMN}, {"schema", TENANCY_SCHEMA}, {"database", TENANCY_DATABASE}};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!str_equal(imp->head->tenancy, kinds[i].name))
			continue;
		imp->source.tenancy = kinds[i].kind;
		return 0;
	}
	return error_set(
	        err, ERROR_CORRUPT, EBADMSG,
	        "the file says that its tenants are kept apart by \"%.40s\", which this keepfs does not know",
	        imp->head->tenancy);
}

static int take_way(const struct exported_table *t, struct pg_import_table *ret, struct error *err)
{
	static const enum tenancy_way ways[] = {[EXPORTED_BY_COLUMN] = TENANCY_BY_COLUMN,
	                                        [EXPORTED_BY_SELF] = TENANCY_BY_SELF,
	                                        [EXPORTED_BY_KEY] = TENANCY_BY_KEY,
	                                        [EXPORTED_BY_REFERRED] = TENANCY_BY_REFERRED,
	                                        [EXPORTED_WHOLE] = TENANCY_WHOLE};

	if (t->way == EXPORTED_BY_UNKNOWN || (size_t)t->way >= ARRAY_SIZE(ways))
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "the file does not say why the rows of %s.%s are the tenant's: an early version of keepfs has made it; export the tenant again",
		        t->schema, t->name);
	ret->way = ways[t->way];
	ret->tenant_column = t->tenant_column < 0 ? NULL : t->columns[t->tenant_column].name;
	return 0;
}

static void take_file_columns(const struct exported_table *t, struct pg_import_table *ret)
{
	struct pg_import_column *columns = mem_array(t->column_count + 1, sizeof(*columns));

	for (size_t i = 0; i < t->column_count; i++)
		columns[i] = (struct pg_import_column){.name = t->columns[i].name,
		                                       .generated = t->columns[i].is_generated};
	ret->columns = columns;
	ret->column_count = t->column_count;
}

static void take_file_keys(const struct exported_table *t, struct pg_import_table *ret)
{
	struct pg_import_key *keys = mem_array(t->key_count + 1, sizeof(*keys));

	for (size_t i = 0; i < t->key_count; i++)
		keys[i] = (struct pg_import_key){.columns = (const char *const *)t->keys[i].columns,
		                                 .schema = t->keys[i].schema,
		                                 .table = t->keys[i].table,
		                                 .references = (const char *const *)t->keys[i].references,
		                                 .count = t->keys[i].count};
	ret->keys = keys;
	ret->key_count = t->key_count;
}

/* As policy/tenancy.h takes it: names in double, keys and values in single quotes. */

static void append_single_quoted(struct str *s, const char *text)
{
	str_append_char(s, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			str_append_char(s, '\'');
		str_append_char(s, *text);
	}
	str_append_char(s, '\'');
}

static void append_exported_operand(struct str *s, const char *schema, const char *table,
                                    const struct exported_operand *o)
{
	if (schema) {
		sql_append_name(s, schema);
		str_append_char(s, '.');
		sql_append_name(s, table);
		str_append_char(s, '.');
	}
	sql_append_name(s, o->column);
	for (size_t i = 0; i < o->path_count; i++) {
		str_append(s, i + 1 < o->path_count ? "->" : "->>");
		append_single_quoted(s, o->path[i]);
	}
}

static char *reference_of(const struct exported_table *t, const struct exported_soft *soft)
{
	struct str s = {0};

	append_exported_operand(&s, t->schema, t->name, &soft->from);
	str_append(&s, " -> ");
	append_exported_operand(&s, soft->schema, soft->table, &soft->to);
	for (size_t i = 0; i < soft->test_count; i++) {
		str_append(&s, i > 0 ? " and " : " when ");
		append_exported_operand(&s, NULL, NULL, &soft->tests[i].of);
		str_append(&s, " = ");
		append_single_quoted(&s, soft->tests[i].value);
	}
	return str_take(&s);
}

static void take_references(struct import *imp, const struct exported_table *t)
{
	for (size_t i = 0; i < t->soft_count; i++) {
		imp->references =
		        mem_resize(imp->references, imp->reference_count + 2, sizeof(*imp->references));
		imp->references[imp->reference_count++] = reference_of(t, &t->softs[i]);
		imp->references[imp->reference_count] = NULL;
	}
}

static int take_file_table(struct import *imp, size_t place, struct error *err)
{
	const struct exported_table *t = &imp->head->tables[place];
	struct pg_import_table *ret = &imp->tables[place];

	ret->schema = t->schema;
	ret->name = t->name;
	ret->row_security = t->row_security;
	ret->rows = t->rows;
	take_file_columns(t, ret);
	take_file_keys(t, ret);
	take_references(imp, t);
	return take_way(t, ret, err);
}

static bool is_own_schema(const struct import *imp, const char *schema)
{
	return str_equal(schema, imp->head->slug) || str_equal(schema, imp->head->tenant_id);
}

/* The tenant's own schema: the only one, or the one that has its name. */
static int find_own_schema(struct import *imp, struct error *err)
{
	const char *found = NULL;
	bool several = false;

	if (imp->source.tenancy != TENANCY_SCHEMA)
		return 0;
	for (size_t i = 0; i < imp->head->table_count; i++) {
		const char *schema = imp->head->tables[i].schema;

		several |= found && !str_equal(found, schema);
		if (!found || (!is_own_schema(imp, found) && is_own_schema(imp, schema)))
			found = schema;
	}
	imp->source.schema = found;
	return !several || is_own_schema(imp, found)
	               ? 0
	               : error_set(
	                         err, ERROR_USAGE, EINVAL,
	                         "which of the schemas in the file is that of the tenant %s is not known, since none has its name",
	                         imp->head->slug);
}

static int take_head(struct import *imp, struct error *err)
{
	size_t most = 0;
	int r = take_tenancy(imp, err);

	imp->tables = mem_array(imp->head->table_count + 1, sizeof(*imp->tables));
	for (size_t i = 0; i < imp->head->table_count && r == 0; i++) {
		r = take_file_table(imp, i, err);
		if (imp->head->tables[i].column_count > most)
			most = imp->head->tables[i].column_count;
	}
	if (r == 0)
		r = find_own_schema(imp, err);
	imp->values = mem_array(most + 1, sizeof(*imp->values));
	imp->source.id = imp->head->tenant_id;
	imp->source.slug = imp->head->slug;
	imp->source.name = imp->head->name;
	imp->source.tables = imp->tables;
	imp->source.table_count = imp->head->table_count;
	imp->source.references = imp->references;
	return r;
}

int import_new(struct pg_session *s, struct exported *exported, const struct pg_import_options *options,
               struct import **ret, struct error *err)
{
	_cleanup(import) struct import *imp = mem_alloc(sizeof(*imp));
	int r;

	imp->exported = exported;
	imp->head = exported_head(exported);
	r = take_head(imp, err);
	if (r == 0)
		r = pg_import_new(s, &imp->source, options, &imp->rows, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&imp);
	return 0;
}

/* Rows. */

static int stage_row(struct import *imp, size_t place, const struct exported_value *row, struct error *err)
{
	for (size_t i = 0; i < imp->head->tables[place].column_count; i++)
		imp->values[i] = (struct pg_import_value){.text = row[i].text,
		                                          .len = row[i].len,
		                                          .is_null = row[i].is_null,
		                                          .is_json = row[i].is_json};
	return pg_import_row(imp->rows, imp->values, err);
}

static int stage_table(struct import *imp, size_t place, struct error *err)
{
	const struct exported_value *row;
	int r = exported_table_begin(imp->exported, place, err);

	if (r == 0)
		r = pg_import_table_begin(imp->rows, place, err);
	while (r == 0) {
		r = exported_row(imp->exported, &row, err);
		if (r == 0)
			return pg_import_table_end(imp->rows, err);
		if (r > 0)
			r = stage_row(imp, place, row, err);
	}
	return r;
}

int import_stage(struct import *imp, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < imp->head->table_count; i++)
		r = stage_table(imp, i, err);
	return r == 0 ? pg_import_staged(imp->rows, err) : r;
}

int import_plan(struct import *imp, struct pg_import_found *ret, struct error *err)
{
	return pg_import_plan(imp->rows, ret, err);
}

int import_insert(struct import *imp, uint64_t *ret_rows, struct error *err)
{
	return pg_import_insert(imp->rows, ret_rows, err);
}

int import_compare(struct import *imp, void (*take)(void *arg, const struct pg_import_difference *d),
                   void *arg, struct error *err)
{
	return pg_import_compare(imp->rows, take, arg, err);
}

const char *import_tenant_id(const struct import *imp)
{
	return pg_import_tenant_id(imp->rows);
}

int import_commit(struct pg_session *s, struct error *err)
{
	return pg_import_commit(s, err);
}

struct import *import_free(struct import *imp)
{
	if (!imp)
		return NULL;
	pg_import_free(imp->rows);
	for (size_t i = 0; imp->tables && i < imp->head->table_count; i++) {
		free((void *)imp->tables[i].columns);
		free((void *)imp->tables[i].keys);
	}
	for (size_t i = 0; i < imp->reference_count; i++)
		free(imp->references[i]);
	free(imp->references);
	free(imp->tables);
	free(imp->values);
	free(imp);
	return NULL;
}

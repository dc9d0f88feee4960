// SPDX-License-Identifier: Apache-2.0
/* The format sql: a script for psql. Definitions come first, of all tables, then the rows as COPY reads them, then the keys. */
#include "keys.h"
#include "readme.h"
#include "whole.h"
#include "writer.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_cells.h>
#include <keepfs/pg/tenant_ddl.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct sql_writer {
	struct export_writer base;
	const struct document_head *head;
	struct str buf; /* not written yet */
	uint64_t lines;
	struct whole whole;
	bool has_whole;
};

/* What the definitions are made of. */

struct sql_table {
	struct pg_ddl_table table;
	struct pg_ddl_column *columns;
};

static enum pg_ddl_value ddl_value_of(enum redaction_how how)
{
	return how == REDACTION_NONE ? PG_DDL_AS_IT_IS : how == REDACTION_NULL ? PG_DDL_NULL : PG_DDL_TEXT;
}

static void init_sql_table(struct sql_table *t, const struct decided *d, size_t decision)
{
	const struct tenancy_table *of = &d->model.tables[d->plan.decisions[decision].table];
	const struct redaction_column *redaction = d->redaction.columns[decision];

	t->columns = mem_array(of->column_count + 1, sizeof(*t->columns));
	t->table = (struct pg_ddl_table){.table = of, .columns = t->columns, .is_whole = true};
	for (size_t i = 0; i < of->column_count; i++) {
		t->table.is_whole &= redaction[i].how == REDACTION_NONE && redaction[i].path_count == 0;
		if (redaction[i].how != REDACTION_OMIT)
			t->columns[t->table.count++] = (struct pg_ddl_column){
			        .column = &of->columns[i], .value = ddl_value_of(redaction[i].how)};
	}
}

static void finish_sql_table(struct sql_table *t)
{
	free(t->columns);
}

/* The file. */

static int flush_sql(struct sql_writer *w, struct error *err)
{
	int r;

	for (const char *at = str_text(&w->buf); (at = strchr(at, '\n')); at++)
		w->lines++;
	r = export_writer_put(&w->base, w->buf.data, w->buf.len, err);
	str_clear(&w->buf);
	return r;
}

static struct export_writer *sql_writer_new(void)
{
	struct sql_writer *w = mem_alloc(sizeof(*w));

	return &w->base;
}

static void sql_writer_free(struct export_writer *base)
{
	struct sql_writer *w = (struct sql_writer *)base;

	if (w->has_whole)
		whole_finish(&w->whole);
	str_finish(&w->buf);
	free(w);
}

static void append_definitions(struct sql_writer *w)
{
	const struct decided *d = w->head->decided;
	_cleanup(free) struct sql_table *tables = mem_array(d->plan.count + 1, sizeof(*tables));
	_cleanup(free) struct pg_ddl_table *flat = mem_array(d->plan.count + 1, sizeof(*flat));
	size_t count = 0;

	for (size_t i = 0; i < d->plan.count; i++) {
		if (d->plan.decisions[i].verdict != TENANCY_EXPORTED)
			continue;
		init_sql_table(&tables[count], d, i);
		flat[count] = tables[count].table;
		count++;
	}
	pg_ddl_append_schemas(flat, count, &w->buf);
	pg_ddl_append_types(d->ddl, flat, count, &w->buf);
	for (size_t i = 0; i < count; i++) {
		pg_ddl_append_table(d->ddl, &flat[i], &w->buf);
		finish_sql_table(&tables[i]);
	}
	str_append_char(&w->buf, '\n');
}

static int sql_begin(struct export_writer *base, const struct document_head *head, struct error *err)
{
	struct sql_writer *w = (struct sql_writer *)base;
	_cleanup(str) struct str readme = {0};

	w->head = head;
	readme_append(head, &readme);
	pg_ddl_append_remark(str_text(&readme), &w->buf);
	pg_ddl_append_begin(&w->buf);
	append_definitions(w);
	return flush_sql(w, err);
}

static int sql_table(struct export_writer *base, const struct export_table *table, struct error *err)
{
	struct sql_writer *w = (struct sql_writer *)base;
	struct sql_table t = {0};

	init_sql_table(&t, table->decided, table->decision);
	pg_ddl_append_copy(table->decided->ddl, &t.table, &w->buf);
	finish_sql_table(&t);
	return flush_sql(w, err);
}

static int sql_take_rows(struct export_writer *base, const void *bytes, size_t len, uint64_t rows,
                         struct error *err)
{
	((struct sql_writer *)base)->lines += rows;
	return export_writer_put(base, bytes, len, err);
}

static int sql_pass_rows(struct export_writer *base, uint64_t len, uint64_t rows, struct error *err)
{
	((struct sql_writer *)base)->lines += rows;
	return 0;
}

static int sql_table_end(struct export_writer *base, struct error *err)
{
	struct sql_writer *w = (struct sql_writer *)base;

	str_append(&w->buf, "\\.\n\n");
	return flush_sql(w, err);
}

/* Keys. */

static void append_table_keys(struct sql_writer *w, size_t decision)
{
	const struct decided *d = w->head->decided;
	struct sql_table t = {0};
	size_t count;
	_cleanup(free) const struct tenancy_key **uniques = export_uniques(d, decision, &count);

	init_sql_table(&t, d, decision);
	pg_ddl_append_keys(&t.table, &w->buf);
	for (size_t i = 0; i < count; i++)
		pg_ddl_append_unique(t.table.table, uniques[i]->to_columns, uniques[i]->count, &w->buf);
	finish_sql_table(&t);
}

static void append_sql_reference(struct sql_writer *w, const struct tenancy_key *key)
{
	const struct tenancy_model *model = &w->head->decided->model;
	const char *problem = export_key_problem(w->head->decided, key);
	_cleanup(free) char *remark = NULL;

	if (!problem) {
		pg_ddl_append_foreign_key(model, key, &w->buf);
		return;
	}
	remark = mem_printf("%s.%s has no key %s to %s.%s here: %s", model->tables[key->from].schema,
	                    model->tables[key->from].name, key->name, model->tables[key->to].schema,
	                    model->tables[key->to].name, problem);
	pg_ddl_append_remark(remark, &w->buf);
}

static void append_all_keys(struct sql_writer *w)
{
	const struct decided *d = w->head->decided;

	for (size_t i = 0; i < d->plan.count; i++)
		if (d->plan.decisions[i].verdict == TENANCY_EXPORTED)
			append_table_keys(w, i);
	for (size_t i = 0; i < d->model.key_count; i++) {
		uint32_t from = d->plan.decision_of[d->model.keys[i].from];

		if (from != UINT32_MAX && d->plan.decisions[from].verdict == TENANCY_EXPORTED)
			append_sql_reference(w, &d->model.keys[i]);
	}
}

static void append_sql_end(const struct sql_writer *w, struct str *out)
{
	str_appendf(out, "-- The end: %" PRIu64 " rows.\n", w->base.rows);
}

static int sql_end(struct export_writer *base, struct error *err)
{
	struct sql_writer *w = (struct sql_writer *)base;

	append_all_keys(w);
	pg_ddl_append_end(&w->buf);
	append_sql_end(w, &w->buf);
	return flush_sql(w, err);
}

static bool sql_check(struct export_writer *base, struct draft_check *ret)
{
	struct sql_writer *w = (struct sql_writer *)base;
	_cleanup(str) struct str end = {0};

	append_sql_end(w, &end);
	whole_init_text(&w->whole, base->bytes, w->lines, str_text(&end));
	w->has_whole = true;
	*ret = whole_check(&w->whole);
	return true;
}

/* Rows. */

struct sql_converter {
	struct copy_cells *cells;
	bool *is_computed;
	struct copy_cell *kept;
	size_t count;
};

static int sql_converter_new(const struct export_table *table, struct export_converter **ret,
                             struct error *err)
{
	struct copy_cells *cells;
	struct sql_converter *c;
	struct sql_table t = {0};
	int r = copy_cells_new(table->columns, table->column_count, table->key, &cells, err);

	if (r < 0)
		return r;
	c = mem_alloc(sizeof(*c));
	c->cells = cells;
	c->count = table->column_count;
	c->is_computed = mem_array(c->count + 1, sizeof(*c->is_computed));
	c->kept = mem_array(c->count + 1, sizeof(*c->kept));
	init_sql_table(&t, table->decided, table->decision);
	for (size_t i = 0; i < c->count; i++)
		c->is_computed[i] = pg_ddl_is_computed(table->decided->ddl, &t.table, i);
	finish_sql_table(&t);
	*ret = (void *)c;
	return 0;
}

static void sql_converter_free(struct export_converter *converter)
{
	struct sql_converter *c = (struct sql_converter *)converter;

	if (!c)
		return;
	copy_cells_free(c->cells);
	free(c->is_computed);
	free(c->kept);
	free(c);
}

static int sql_append_row(struct export_converter *converter, const char *row, size_t len, struct str *out,
                          struct error *err)
{
	struct sql_converter *c = (struct sql_converter *)converter;
	const struct copy_cell *cells;
	size_t kept = 0;
	int r = copy_cells_row(c->cells, row, len, &cells, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < c->count; i++)
		if (!c->is_computed[i])
			c->kept[kept++] = cells[i];
	copy_cells_append_copy(c->kept, kept, out);
	return 0;
}

static const struct export_writer_ops sql_ops = {
        .new = sql_writer_new,
        .begin = sql_begin,
        .table = sql_table,
        .converter_new = sql_converter_new,
        .converter_free = sql_converter_free,
        .append_row = sql_append_row,
        .take_rows = sql_take_rows,
        .pass_rows = sql_pass_rows,
        .table_end = sql_table_end,
        .end = sql_end,
        .check = sql_check,
        .free = sql_writer_free,
};

static const char *const reading_sql[] = {
        "This is a script for psql. It makes the tables in an empty database, with their rows, primary keys and foreign keys: createdb NAME, then gunzip -t FILE && gunzip -c FILE | psql -X -v ON_ERROR_STOP=1 -1 -d NAME -f -",
        "Defaults, checks, further indexes, triggers and row security are not in it. Columns of types that a database may not have are of the type text, and say so.",
        NULL,
};

const struct export_format export_format_sql = {
        .name = "sql",
        .suffix = ".sql.gz",
        .is_pressed = true,
        .needs_ddl = true,
        .reading = reading_sql,
        .ops = &sql_ops,
};

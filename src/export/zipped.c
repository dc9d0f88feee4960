// SPDX-License-Identifier: Apache-2.0
/* The formats ndjson and csv: an archive with a file for each table. What says how the tables are made comes last, since it has their numbers of rows. */
#include "readme.h"
#include "writer.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_cells.h>
#include <keepfs/codec/table_name.h>
#include <keepfs/files/zip.h>

#include <stdlib.h>
#include <string.h>

struct zipped_table {
	size_t decision;
	uint64_t rows;
};

struct zipped_writer {
	struct export_writer base;
	const struct document_head *head;
	struct zip_writer *zip;
	struct zip_check *check;
	struct zipped_table *tables; /* that were written */
	struct document schema;
};

/* The archive. */

static int write_zipped(void *arg, const void *data, size_t len, struct error *err)
{
	return export_writer_put(arg, data, len, err);
}

static int write_zipped_schema(void *arg, const void *data, size_t len, struct error *err)
{
	return zip_writer_write(((struct zipped_writer *)arg)->zip, data, len, err);
}

static struct export_writer *zipped_new(void)
{
	struct zipped_writer *w = mem_alloc(sizeof(*w));

	w->schema.write = write_zipped_schema;
	w->schema.arg = w;
	return &w->base;
}

static void zipped_free(struct export_writer *base)
{
	struct zipped_writer *w = (struct zipped_writer *)base;

	zip_check_free(w->check);
	zip_writer_free(w->zip);
	document_finish(&w->schema);
	free(w->tables);
	free(w);
}

static int put_readme(struct zipped_writer *w, struct error *err)
{
	_cleanup(str) struct str text = {0};
	int r = zip_writer_entry(w->zip, "README.txt", err);

	readme_append(w->head, &text);
	return r == 0 ? zip_writer_write(w->zip, text.data, text.len, err) : r;
}

static int zipped_begin(struct export_writer *base, const struct document_head *head, struct error *err)
{
	struct zipped_writer *w = (struct zipped_writer *)base;
	const struct zip_options options = {
	        .level = export_writer_level(base),
	        .modified_at_us = head->taken_at_us,
	        .write = write_zipped,
	        .arg = base,
	};
	int r = zip_writer_new(&options, &w->zip, err);

	w->head = head;
	w->tables = mem_array(head->decided->plan.count + 1, sizeof(*w->tables));
	return r == 0 ? put_readme(w, err) : r;
}

static void zipped_name(const struct zipped_writer *w, size_t decision, char ret[static NAME_MAX_BYTES])
{
	const struct decided *d = w->head->decided;
	const struct tenancy_table *t = &d->model.tables[d->plan.decisions[decision].table];

	table_name_format(t->schema, t->name, w->base.format == &export_format_csv ? ".csv" : ".ndjson", ret);
}

static int zipped_table(struct export_writer *base, const struct export_table *table, struct error *err)
{
	struct zipped_writer *w = (struct zipped_writer *)base;
	char name[NAME_MAX_BYTES];

	w->tables[base->tables - 1].decision = table->decision;
	zipped_name(w, table->decision, name);
	return zip_writer_entry(w->zip, name, err);
}

static int zipped_take_rows(struct export_writer *base, const void *bytes, size_t len, uint64_t rows,
                            struct error *err)
{
	return zip_writer_write(((struct zipped_writer *)base)->zip, bytes, len, err);
}

static int zipped_table_end(struct export_writer *base, struct error *err)
{
	((struct zipped_writer *)base)->tables[base->tables - 1].rows = base->table_rows;
	return 0;
}

static int put_zipped_schema(struct zipped_writer *w, struct error *err)
{
	int r = document_begin(&w->schema, w->head, err);

	for (size_t i = 0; r == 0 && i < w->base.tables; i++) {
		char name[NAME_MAX_BYTES];
		const struct document_elsewhere rows = {.decision = w->tables[i].decision,
		                                        .key = "file",
		                                        .place = name,
		                                        .rows = w->tables[i].rows};

		zipped_name(w, w->tables[i].decision, name);
		r = document_table_without_rows(&w->schema, w->head->decided, &rows, err);
	}
	return r == 0 ? document_end(&w->schema, err) : r;
}

static int zipped_end(struct export_writer *base, struct error *err)
{
	struct zipped_writer *w = (struct zipped_writer *)base;
	int r = zip_writer_entry(w->zip, "schema.json", err);

	if (r == 0)
		r = put_zipped_schema(w, err);
	if (r == 0)
		r = zip_writer_end(w->zip, err);
	base->raw_bytes = zip_writer_size(w->zip).bytes;
	return r;
}

/* Reading back. */

static int feed_zip_check(void *arg, const void *data, size_t len, struct error *err)
{
	return zip_check_write(arg, data, len, err);
}

static int end_zip_check(void *arg, struct error *err)
{
	return zip_check_end(arg, err);
}

/* Without a thread for it, the checksums have to be enough. */
static bool zipped_check(struct export_writer *base, struct draft_check *ret)
{
	struct zipped_writer *w = (struct zipped_writer *)base;
	const struct zip_size size = zip_writer_size(w->zip);

	if (zip_check_new(&size, &w->check, NULL) < 0)
		return false;
	*ret = (struct draft_check){.feed = feed_zip_check, .end = end_zip_check, .arg = w->check};
	return true;
}

/* Rows of ndjson. */

/* NULL: of a table without columns. */
static int ndjson_converter_new(const struct export_table *table, struct export_converter **ret,
                                struct error *err)
{
	struct copy_json *json = NULL;
	int r = table->column_count > 0
	                ? copy_json_new(table->columns, table->column_count, table->key, &json, err)
	                : 0;

	if (r == 0)
		*ret = (void *)json;
	return r;
}

static void ndjson_converter_free(struct export_converter *converter)
{
	copy_json_free((struct copy_json *)converter);
}

static int ndjson_append_row(struct export_converter *converter, const char *row, size_t len, struct str *out,
                             struct error *err)
{
	int r = 0;

	if (converter)
		r = copy_json_row((struct copy_json *)converter, row, len, out, err);
	else
		str_append(out, "{}");
	if (r == 0)
		str_append_char(out, '\n');
	return r;
}

/* Rows of csv. */

static int csv_converter_new(const struct export_table *table, struct export_converter **ret,
                             struct error *err)
{
	struct copy_cells *cells;
	int r = copy_cells_new(table->columns, table->column_count, table->key, &cells, err);

	if (r < 0)
		return r;
	*ret = (void *)cells;
	return 0;
}

static void csv_converter_free(struct export_converter *converter)
{
	copy_cells_free((struct copy_cells *)converter);
}

static int csv_append_row(struct export_converter *converter, const char *row, size_t len, struct str *out,
                          struct error *err)
{
	struct copy_cells *cells = (struct copy_cells *)converter;
	const struct copy_cell *values;
	int r = copy_cells_row(cells, row, len, &values, err);

	if (r == 0)
		copy_cells_append_csv(values, copy_cells_count(cells), out);
	return r;
}

static int put_csv_names(struct zipped_writer *w, const struct export_table *table, struct error *err)
{
	_cleanup(free) struct copy_cell *names = mem_array(table->column_count + 1, sizeof(*names));
	_cleanup(str) struct str line = {0};

	for (size_t i = 0; i < table->column_count; i++)
		names[i] = (struct copy_cell){.text = table->columns[i].name,
		                              .len = strlen(table->columns[i].name)};
	copy_cells_append_csv(names, table->column_count, &line);
	return zip_writer_write(w->zip, line.data, line.len, err);
}

static int csv_table(struct export_writer *base, const struct export_table *table, struct error *err)
{
	int r = zipped_table(base, table, err);

	return r == 0 ? put_csv_names((struct zipped_writer *)base, table, err) : r;
}

/* Formats. */

#define ZIPPED_OPS                                                                                           \
	.new = zipped_new, .begin = zipped_begin, .take_rows = zipped_take_rows,                             \
	.table_end = zipped_table_end, .end = zipped_end, .check = zipped_check, .free = zipped_free

static const struct export_writer_ops ndjson_ops = {
        ZIPPED_OPS,
        .table = zipped_table,
        .converter_new = ndjson_converter_new,
        .converter_free = ndjson_converter_free,
        .append_row = ndjson_append_row,
};

static const struct export_writer_ops csv_ops = {
        ZIPPED_OPS,
        .table = csv_table,
        .converter_new = csv_converter_new,
        .converter_free = csv_converter_free,
        .append_row = csv_append_row,
};

static const char *const reading_ndjson[] = {
        "Each table is a file, SCHEMA.TABLE.ndjson, with one JSON object on each line. schema.json lists them with their columns, keys and numbers of rows. Rows can be inserted in that order, unless tables refer to each other in a circle.",
        "Numbers that would lose digits in other programs are strings; times with a time zone are in UTC; binary data are strings of hexadecimal digits behind \\x.",
        NULL,
};

static const char *const reading_csv[] = {
        "Each table is a file, SCHEMA.TABLE.csv: UTF-8, the names of the columns on the first line, values separated by commas (RFC 4180). What is empty without quotes is NULL, and \"\" is the empty text. schema.json lists the tables with their columns, keys and numbers of rows.",
        "Values are as PostgreSQL writes them as text: numbers with all of their digits, t and f for true and false, times with a time zone in UTC, binary data as hexadecimal digits behind \\x, lists as {a,b}. A spreadsheet may change long numbers when it opens such a file.",
        NULL,
};

const struct export_format export_format_ndjson = {
        .name = "ndjson",
        .suffix = ".ndjson.zip",
        .is_deflated = true,
        .has_composite_json = true,
        .reading = reading_ndjson,
        .ops = &ndjson_ops,
};

const struct export_format export_format_csv = {
        .name = "csv",
        .suffix = ".csv.zip",
        .is_deflated = true,
        .reading = reading_csv,
        .ops = &csv_ops,
};

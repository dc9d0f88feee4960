// SPDX-License-Identifier: Apache-2.0
/* The format json: the document, and rows by codec/copy_json. In a chunk each row stands behind the end of the line before it. */
#include "whole.h"
#include "writer.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>

struct json_writer {
	struct export_writer base;
	struct document document;
	struct whole whole;
	bool has_whole;
};

struct export_converter {
	struct copy_json *json; /* NULL: of a table without columns */
};

static int write_json_document(void *arg, const void *data, size_t len, struct error *err)
{
	return export_writer_put(arg, data, len, err);
}

static struct export_writer *json_writer_new(void)
{
	struct json_writer *w = mem_alloc(sizeof(*w));

	w->document.write = write_json_document;
	w->document.arg = &w->base;
	return &w->base;
}

static void json_writer_free(struct export_writer *base)
{
	struct json_writer *w = (struct json_writer *)base;

	if (w->has_whole)
		whole_finish(&w->whole);
	document_finish(&w->document);
	free(w);
}

static int json_begin(struct export_writer *base, const struct document_head *head, struct error *err)
{
	return document_begin(&((struct json_writer *)base)->document, head, err);
}

static int json_table(struct export_writer *base, const struct export_table *table, struct error *err)
{
	return document_table(&((struct json_writer *)base)->document, table->decided, table->decision, err);
}

static int json_converter_new(const struct export_table *table, struct export_converter **ret,
                              struct error *err)
{
	struct export_converter *c = mem_alloc(sizeof(*c));
	int r = table->column_count > 0
	                ? copy_json_new(table->columns, table->column_count, table->key, &c->json, err)
	                : 0;

	if (r < 0)
		free(c);
	else
		*ret = c;
	return r;
}

static void json_converter_free(struct export_converter *c)
{
	if (c)
		copy_json_free(c->json);
	free(c);
}

static int json_append_row(struct export_converter *c, const char *row, size_t len, struct str *out,
                           struct error *err)
{
	size_t before = out->len;
	int r = 0;

	str_append(out, DOCUMENT_ROW_BEGIN);
	if (c->json)
		r = copy_json_row(c->json, row, len, out, err);
	else
		str_append(out, "{}");
	if (r < 0)
		out->len = before;
	return r;
}

static int json_take_rows(struct export_writer *base, const void *bytes, size_t len, uint64_t rows,
                          struct error *err)
{
	return document_rows(&((struct json_writer *)base)->document, bytes, len, rows, err);
}

static int json_pass_rows(struct export_writer *base, uint64_t len, uint64_t rows, struct error *err)
{
	return document_pass_rows(&((struct json_writer *)base)->document, len, rows, err);
}

static int json_table_end(struct export_writer *base, struct error *err)
{
	return document_table_end(&((struct json_writer *)base)->document, err);
}

static int json_end(struct export_writer *base, struct error *err)
{
	return document_end(&((struct json_writer *)base)->document, err);
}

static bool json_check(struct export_writer *base, struct draft_check *ret)
{
	struct json_writer *w = (struct json_writer *)base;

	whole_init(&w->whole, &w->document);
	w->has_whole = true;
	*ret = whole_check(&w->whole);
	return true;
}

static const struct export_writer_ops json_ops = {
        .new = json_writer_new,
        .begin = json_begin,
        .table = json_table,
        .converter_new = json_converter_new,
        .converter_free = json_converter_free,
        .append_row = json_append_row,
        .take_rows = json_take_rows,
        .pass_rows = json_pass_rows,
        .table_end = json_table_end,
        .end = json_end,
        .check = json_check,
        .free = json_writer_free,
};

static const char *const reading_json[] = {
        "\"tables\" lists them: each says its columns and its keys, then come its \"rows\", each on a line of its own. Rows can be inserted in this order, unless tables refer to each other in a circle.",
        "Numbers that would lose digits in other programs are strings; times with a time zone are in UTC; binary data are strings of hexadecimal digits behind \\x.",
        NULL,
};

const struct export_format export_format_json = {
        .name = "json",
        .suffix = ".json.gz",
        .is_pressed = true,
        .has_composite_json = true,
        .reading = reading_json,
        .ops = &json_ops,
};

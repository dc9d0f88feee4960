// SPDX-License-Identifier: Apache-2.0
/* A field at a time is put together, then it becomes a value. */
#include "rows_csv.h"

#include "text.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum csv_at {
	CSV_AT_FIELD,     /* nothing of it has come */
	CSV_IN_BARE,      /* of a field without quotes */
	CSV_IN_QUOTED,    /* between quotes */
	CSV_BEHIND_QUOTE, /* a quote within quotes: its end, or the first of two */
	CSV_BEHIND_CR,    /* a line feed follows, or nothing */
};

struct csv_rows {
	const struct exported_head *head;
	const struct exported_table *table;
	size_t place;
	struct row_batch *batch;
	enum csv_at at;
	bool is_quoted; /* the field */
	bool in_row;    /* something of the line has come */
	bool has_names;
	struct str field;
	size_t fields;   /* of the line, that have ended */
	uint32_t *order; /* the place of the column of each field */
	size_t order_count;
	uint64_t line, rows;
	size_t marked; /* bytes of the mark at the beginning that have come; SIZE_MAX: it is over */
};

static int refuse_csv(const struct csv_rows *c, struct error *err, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

static int refuse_csv(const struct csv_rows *c, struct error *err, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	return error_set(err, ERROR_CORRUPT, EBADMSG, "line %" PRIu64 ", table %s.%s, row %" PRIu64 ": %s",
	                 c->line, c->table->schema, c->table->name, c->rows, str_text(&text));
}

struct csv_rows *csv_rows_new(const struct exported_head *head, size_t place, struct row_batch *batch)
{
	struct csv_rows *c = mem_alloc(sizeof(*c));

	c->head = head;
	c->table = &head->tables[place];
	c->place = place;
	c->batch = batch;
	c->order = mem_array(c->table->column_count + 1, sizeof(*c->order));
	c->line = 1;
	return c;
}

struct csv_rows *csv_rows_free(struct csv_rows *c)
{
	if (!c)
		return NULL;
	free(c->order);
	str_finish(&c->field);
	free(c);
	return NULL;
}

uint64_t csv_rows_count(const struct csv_rows *c)
{
	return c->rows;
}

/* Names. */

static int take_csv_name(struct csv_rows *c, struct error *err)
{
	const struct exported_table *t = c->table;
	size_t column = 0;

	while (column < t->column_count &&
	       (strlen(t->columns[column].name) != c->field.len ||
	        memcmp(t->columns[column].name, str_text(&c->field), c->field.len) != 0))
		column++;
	if (column == t->column_count)
		return refuse_csv(
		        c, err,
		        "\"%s\" is no column of the table: the first line has to have their names, with commas between them",
		        str_text(&c->field));
	for (size_t i = 0; i < c->order_count; i++)
		if (c->order[i] == column)
			return refuse_csv(c, err, "the column \"%s\" is there twice", str_text(&c->field));
	c->order[c->order_count++] = (uint32_t)column;
	return 0;
}

/* Values. */

/* A spreadsheet writes both alike. In a column that has no NULL it is the empty text; in one of a type that has no empty text it is NULL. */
static bool is_csv_null(const struct csv_rows *c, const struct exported_column *column)
{
	if (c->field.len > 0)
		return false;
	if (!exported_type_has_empty_text(column->base))
		return true;
	return !c->is_quoted && column->nullable;
}

static int take_csv_value(struct csv_rows *c, struct error *err)
{
	const struct exported_column *column;
	struct batch_value *v;
	const char *wrong;

	if (c->fields >= c->order_count)
		return refuse_csv(c, err, "it has more values than the %zu columns of the first line",
		                  c->order_count);
	column = &c->table->columns[c->order[c->fields]];
	v = row_batch_value(c->batch, c->order[c->fields]);
	wrong = exported_text_problem(str_text(&c->field), c->field.len);
	if (wrong)
		return refuse_csv(c, err, "\"%s\" %s", column->name, wrong);
	if (is_csv_null(c, column))
		row_batch_put_null(c->batch, v);
	else
		row_batch_put_text(c->batch, v, str_text(&c->field), c->field.len);
	if (row_batch_row_bytes(c->batch) > EXPORTED_ROW_MAX_BYTES)
		return refuse_csv(c, err, "the row has more than %zu bytes", EXPORTED_ROW_MAX_BYTES);
	return 0;
}

static int end_csv_cell(struct csv_rows *c, struct error *err)
{
	int r;

	if (c->has_names && c->fields == 0) {
		row_batch_row_begin(c->batch, c->place, c->table->column_count);
		c->rows++;
	}
	/* A table without columns has empty lines. */
	if (c->table->column_count == 0 && c->field.len == 0 && c->fields == 0)
		r = 0;
	else
		r = c->has_names ? take_csv_value(c, err) : take_csv_name(c, err);
	c->fields++;
	c->is_quoted = false;
	c->at = CSV_AT_FIELD;
	str_clear(&c->field);
	return r;
}

static int end_csv_line(struct csv_rows *c, struct error *err)
{
	int r = end_csv_cell(c, err);

	if (r < 0)
		return r;
	if (!c->has_names && c->order_count < c->table->column_count)
		return refuse_csv(c, err, "the first line names %zu columns, and the table has %zu",
		                  c->order_count, c->table->column_count);
	if (c->has_names && c->fields < c->order_count)
		return refuse_csv(c, err, "it has %zu values, and there are %zu columns", c->fields,
		                  c->order_count);
	if (c->has_names)
		row_batch_row_end(c->batch);
	c->has_names = true;
	c->fields = 0;
	c->in_row = false;
	c->line++;
	return 0;
}

/* Bytes. */

static int take_bare_byte(struct csv_rows *c, char byte, struct error *err)
{
	c->in_row = true;
	if (byte == ',')
		return end_csv_cell(c, err);
	if (byte == '\n')
		return end_csv_line(c, err);
	if (byte == '\r') {
		c->at = CSV_BEHIND_CR;
		return 0;
	}
	if (byte == '"' && c->at == CSV_AT_FIELD) {
		c->at = CSV_IN_QUOTED;
		c->is_quoted = true;
		return 0;
	}
	if (c->at == CSV_BEHIND_QUOTE)
		return refuse_csv(c, err, "something stands behind the quote that ends a value");
	if (byte == '"')
		return refuse_csv(c, err, "a quote stands within a value that has none around it");
	c->at = CSV_IN_BARE;
	str_append_char(&c->field, byte);
	return 0;
}

static int take_csv_byte(struct csv_rows *c, char byte, struct error *err)
{
	int r;

	switch (c->at) {
	case CSV_IN_QUOTED:
		if (byte == '"')
			c->at = CSV_BEHIND_QUOTE;
		else
			str_append_char(&c->field, byte);
		c->line += byte == '\n';
		return 0;
	case CSV_BEHIND_QUOTE:
		if (byte != '"')
			return take_bare_byte(c, byte, err);
		c->at = CSV_IN_QUOTED;
		str_append_char(&c->field, '"');
		return 0;
	case CSV_BEHIND_CR:
		r = end_csv_line(c, err);
		return r < 0 || byte == '\n' ? r : take_csv_byte(c, byte, err);
	default:
		return take_bare_byte(c, byte, err);
	}
}

/* So many that need no look: of text between quotes. */
static size_t bytes_within_quotes(const struct csv_rows *c, const char *data, size_t len)
{
	const char *quote = c->at == CSV_IN_QUOTED ? memchr(data, '"', len) : NULL;

	if (c->at == CSV_IN_QUOTED)
		return quote ? (size_t)(quote - data) : len;
	return 0;
}

static uint64_t lines_within(const char *data, size_t len)
{
	uint64_t lines = 0;

	for (size_t i = 0; i < len; i++)
		lines += data[i] == '\n';
	return lines;
}

int csv_rows_feed(struct csv_rows *c, const char *data, size_t len, struct error *err)
{
	static const char mark[] = "\xef\xbb\xbf";
	int r = 0;

	for (; len > 0 && c->marked < 3 && *data == mark[c->marked]; len--, data++)
		c->marked++;
	if (len > 0 && c->marked > 0 && c->marked < 3)
		return refuse_csv(c, err, "it is not UTF-8");
	if (len > 0)
		c->marked = SIZE_MAX;
	while (len > 0 && r == 0) {
		size_t n = bytes_within_quotes(c, data, len);

		if (n > 0) {
			str_append_bytes(&c->field, data, n);
			c->line += lines_within(data, n);
		} else {
			n = 1;
			r = take_csv_byte(c, *data, err);
		}
		if (c->field.len > EXPORTED_ROW_MAX_BYTES)
			return refuse_csv(c, err, "a value has more than %zu bytes", EXPORTED_ROW_MAX_BYTES);
		data += n;
		len -= n;
	}
	return r;
}

int csv_rows_end(struct csv_rows *c, struct error *err)
{
	if (c->at == CSV_IN_QUOTED)
		return refuse_csv(c, err, "it ends within a value: it is not whole");
	if (c->in_row) {
		int r = end_csv_line(c, err);

		if (r < 0)
			return r;
	}
	return c->has_names ? 0 : refuse_csv(c, err, "there is no first line with the names of the columns");
}

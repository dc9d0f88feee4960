// SPDX-License-Identifier: Apache-2.0
/* What is kept is taken out of the row, one value behind the other; what is redacted is put behind all of these, by the code that redacts JSON. */
#include "copy_json_private.h"

#include <keepfs/codec/copy_cells.h>

#include <errno.h>
#include <stdlib.h>

struct copy_cells {
	struct copy_json *json; /* the columns, their redactors, the key */
	struct copy_cell *cells;
	size_t *redacted_at; /* of each cell: its place in @redacted; SIZE_MAX: it is in @values */
	size_t count;
	char *values;
	size_t values_cap;
	struct str redacted;
};

int copy_cells_new(const struct copy_json_column *columns, size_t count, const unsigned char *key,
                   struct copy_cells **ret, struct error *err)
{
	struct copy_json *json;
	struct copy_cells *c;
	int r = copy_json_new(columns, count, key, &json, err);

	if (r < 0)
		return r;
	c = mem_alloc(sizeof(*c));
	c->json = json;
	c->cells = mem_array(count + 1, sizeof(*c->cells));
	c->redacted_at = mem_array(count + 1, sizeof(*c->redacted_at));
	for (size_t i = 0; i < count; i++)
		c->count += columns[i].how != COPY_JSON_OMIT;
	*ret = c;
	return 0;
}

struct copy_cells *copy_cells_free(struct copy_cells *c)
{
	if (!c)
		return NULL;
	copy_json_free(c->json);
	free(c->cells);
	free(c->redacted_at);
	free(c->values);
	str_finish(&c->redacted);
	free(c);
	return NULL;
}

size_t copy_cells_count(const struct copy_cells *c)
{
	return c->count;
}

/* Redacted values. */

static void put_cell_hash(struct copy_cells *c, const char *text, size_t len)
{
	char hash[JSON_HASH_BYTES];

	json_hash_text(c->json->key, text, len, hash);
	str_append(&c->redacted, hash);
}

static const char *put_cell_json(struct copy_cells *c, const struct json_column *column, char *text,
                                 size_t len)
{
	struct json_pen pen;
	const char *wrong;

	json_pen_begin(&pen, &c->redacted, len + JSON_VALUE_GROWTH);
	if (column->given->is_array)
		wrong = json_put_array_literal(c->json, column, &pen, text, len);
	else
		wrong = json_redact_text(column->redactor, &c->json->check, c->json->key, &pen, text, len);
	json_pen_end(&pen);
	return wrong;
}

static const char *put_redacted_cell(struct copy_cells *c, const struct json_column *column,
                                     struct copy_cell *cell, char *text, size_t len)
{
	const char *wrong = NULL;

	switch (column->given->how) {
	case COPY_JSON_KEEP:
		wrong = put_cell_json(c, column, text, len);
		break;
	case COPY_JSON_NULL:
	case COPY_JSON_OMIT:
		cell->is_null = true;
		break;
	case COPY_JSON_MASK:
		str_append(&c->redacted, JSON_MASK);
		break;
	case COPY_JSON_HASH:
		put_cell_hash(c, text, len);
		break;
	}
	str_append_char(&c->redacted, '\0');
	return wrong;
}

/* Rows. */

static bool is_null_cell(const struct json_row *r)
{
	const char *p = r->at;

	return r->end - p >= 2 && p[0] == '\\' && p[1] == 'N' && json_row_at_separator(r, p + 2);
}

/* @at: where to put the value. Return: behind it; NULL: @wrong says what is the matter. */
static char *take_cell(struct copy_cells *c, const struct json_column *column, size_t place,
                       struct json_row *r, char *at, const char **wrong)
{
	struct copy_cell *cell = &c->cells[place];
	size_t len;

	*cell = (struct copy_cell){.text = ""};
	c->redacted_at[place] = SIZE_MAX;
	if (is_null_cell(r)) {
		cell->is_null = true;
		r->at += 2;
		return at;
	}
	*wrong = json_take_field(r, at, &len);
	if (*wrong)
		return NULL;
	if (column->given->how == COPY_JSON_KEEP && !column->redactor) {
		cell->text = at;
		cell->len = len;
		return at + len + 1;
	}
	c->redacted_at[place] = c->redacted.len;
	*wrong = put_redacted_cell(c, column, cell, at, len);
	return *wrong ? NULL : at;
}

/* Their memory does not move any more. */
static void place_redacted(struct copy_cells *c)
{
	size_t end = c->redacted.len;

	for (size_t i = c->count; i-- > 0;) {
		if (c->redacted_at[i] == SIZE_MAX)
			continue;
		if (!c->cells[i].is_null) {
			c->cells[i].text = c->redacted.data + c->redacted_at[i];
			c->cells[i].len = end - c->redacted_at[i] - 1;
		}
		end = c->redacted_at[i];
	}
}

static int refuse_cell_count(const struct copy_cells *c, const char *row, size_t len, struct error *err)
{
	size_t fields = 1;

	for (size_t i = 0; i < len; i++)
		fields += row[i] == '\t';
	return error_set(err, ERROR_CORRUPT, EBADMSG, "a row has %zu fields, and %zu columns were asked for",
	                 fields, c->json->count);
}

static int take_cells(struct copy_cells *c, struct json_row *r, const char *row, struct error *err)
{
	size_t len = (size_t)(r->end - row), place = 0;
	char *at = c->values;

	for (size_t i = 0; i < c->json->count; i++) {
		const struct json_column *column = &c->json->columns[i];
		const char *wrong = NULL;

		if (i > 0 && r->at == r->end)
			return refuse_cell_count(c, row, len, err);
		r->at += i > 0;
		at = take_cell(c, column, place, r, at, &wrong);
		if (!at)
			return error_set(err, ERROR_CORRUPT, EBADMSG, "the column \"%s\" %s",
			                 column->given->name, wrong);
		place += column->given->how != COPY_JSON_OMIT;
	}
	return r->at == r->end ? 0 : refuse_cell_count(c, row, len, err);
}

int copy_cells_row(struct copy_cells *c, const char *row, size_t len, const struct copy_cell **ret,
                   struct error *err)
{
	struct json_row r;
	size_t need = len + c->json->count + 3 * JSON_STEP;
	int result;

	if (c->values_cap < need) {
		free(c->values);
		c->values_cap = need + need / 2;
		c->values = mem_alloc(c->values_cap);
	}
	str_clear(&c->redacted);
	json_row_begin(&r, row, len);
	result = take_cells(c, &r, row, err);
	if (result < 0)
		return result;
	place_redacted(c);
	*ret = c->cells;
	return 0;
}

/* As text. */

static bool cell_needs_quotes(const struct copy_cell *cell, bool is_alone)
{
	if (cell->len == 0 || (is_alone && cell->len == 2 && memcmp(cell->text, "\\.", 2) == 0))
		return true;
	for (const char *p = cell->text, *end = p + cell->len; p < end; p++)
		if (*p == ',' || *p == '"' || *p == '\n' || *p == '\r')
			return true;
	return false;
}

static void append_quoted_cell(const struct copy_cell *cell, struct str *out)
{
	const char *p = cell->text, *end = p + cell->len;

	str_append_char(out, '"');
	for (const char *quote; (quote = memchr(p, '"', (size_t)(end - p))); p = quote + 1) {
		str_append_bytes(out, p, (size_t)(quote + 1 - p));
		str_append_char(out, '"');
	}
	str_append_bytes(out, p, (size_t)(end - p));
	str_append_char(out, '"');
}

void copy_cells_append_csv(const struct copy_cell *cells, size_t count, struct str *out)
{
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			str_append_char(out, ',');
		if (cells[i].is_null)
			continue;
		if (cell_needs_quotes(&cells[i], count == 1))
			append_quoted_cell(&cells[i], out);
		else
			str_append_bytes(out, cells[i].text, cells[i].len);
	}
	str_append_char(out, '\n');
}

static char copy_letter_of(char c)
{
	static const char values[] = "\b\f\n\r\t\v\\", letters[] = "bfnrtv\\";
	const char *at = memchr(values, c, sizeof(values) - 1);

	return at ? letters[at - values] : '\0';
}

static void append_copy_text(const struct copy_cell *cell, struct str *out)
{
	const char *start = cell->text, *end = start + cell->len;

	for (const char *p = start; p < end; p++) {
		char letter = (unsigned char)*p < ' ' || *p == '\\' ? copy_letter_of(*p) : '\0';

		if (!letter)
			continue;
		str_append_bytes(out, start, (size_t)(p - start));
		str_append_char(out, '\\');
		str_append_char(out, letter);
		start = p + 1;
	}
	str_append_bytes(out, start, (size_t)(end - start));
}

void copy_cells_append_copy(const struct copy_cell *cells, size_t count, struct str *out)
{
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			str_append_char(out, '\t');
		if (cells[i].is_null)
			str_append(out, "\\N");
		else
			append_copy_text(&cells[i], out);
	}
	str_append_char(out, '\n');
}

// SPDX-License-Identifier: Apache-2.0
/* The rows of the file, by COPY into temporary tables that have the types of the target's columns. */
#include "import.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/load.h>

#include <errno.h>
#include <string.h>
#include <inttypes.h>

#define SENT_AT_ONCE ((size_t)65536)

/* A column of a composite type has a second one, for values that come as json. */
static void append_json_name(size_t column, struct str *out)
{
	str_appendf(out, "\"keepfs json %zu\"", column);
}

static bool takes_json(const struct import_table *t, size_t column)
{
	return t->columns[column].is_json && t->columns[column].place >= 0;
}

static void append_stage_columns(const struct import_table *t, struct str *out)
{
	for (size_t i = 0; i < t->t->column_count; i++) {
		if (t->columns[i].is_there)
			str_appendf(out, "%s, ", t->columns[i].quoted);
		if (!takes_json(t, i))
			continue;
		str_append(out, "NULL::pg_catalog.json AS ");
		append_json_name(i, out);
		str_append(out, ", ");
	}
	str_append(out, "0::pg_catalog.int8 AS " IMPORT_NUMBER);
}

static void append_set_defaults(const struct import_table *t, struct str *out)
{
	for (size_t i = 0; i < t->t->column_count; i++) {
		_cleanup(free) char *literal = t->columns[i].set ? pg_quote_literal(t->columns[i].set) : NULL;

		if (literal)
			str_appendf(out, "; ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s", t->stage,
			            t->columns[i].quoted, literal);
	}
}

static int make_stage_table(struct pg_import *x, const struct import_table *t, struct error *err)
{
	_cleanup(str) struct str sql = {0};
	int r;

	str_appendf(&sql, "CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT ",
	            t->stage + strlen("pg_temp."));
	append_stage_columns(t, &sql);
	str_appendf(&sql, " FROM %s WITH NO DATA", t->relation);
	append_set_defaults(t, &sql);
	r = import_ask(x, str_text(&sql), err);
	if (r < 0 && r != -ECANCELED)
		error_prefix(err,
		             "the rows of %s need a temporary table in the target, with the values of set=",
		             t->label);
	return r;
}

static void append_copied(const struct import_table *t, struct str *out)
{
	for (size_t i = 0; i < t->file->column_count; i++) {
		if (t->targets[i] < 0)
			continue;
		str_appendf(out, "%s, ", t->columns[t->targets[i]].quoted);
		if (!takes_json(t, (size_t)t->targets[i]))
			continue;
		append_json_name((size_t)t->targets[i], out);
		str_append(out, ", ");
	}
	str_append(out, IMPORT_NUMBER);
}

int pg_import_table_begin(struct pg_import *x, size_t place, struct error *err)
{
	struct import_table *t = x->by_file[place] == SIZE_MAX ? NULL : &x->tables[x->by_file[place]];
	_cleanup(str) struct str sql = {0};
	int r;

	x->coming = t;
	x->number = 0;
	str_clear(&x->row);
	if (!t)
		return 0;
	r = make_stage_table(x, t, err);
	if (r < 0)
		return r;
	str_appendf(&sql, "COPY %s (", t->stage);
	append_copied(t, &sql);
	str_append(&sql, ") FROM STDIN");
	return pg_load_copy(x->session, str_text(&sql), err);
}

/* Rows. */

static int prefix_row_failure(const struct pg_import *x, int r, struct error *err)
{
	if (r < 0 && r != -ECANCELED)
		error_prefix(err, "a row of the file does not go into the columns that %s has in the target",
		             x->coming->label);
	return r;
}

static void append_row_text(struct str *out, const char *text, size_t len)
{
	size_t from = 0;

	for (size_t i = 0; i < len; i++) {
		const char *escape = text[i] == '\\'   ? "\\\\"
		                     : text[i] == '\n' ? "\\n"
		                     : text[i] == '\r' ? "\\r"
		                     : text[i] == '\t' ? "\\t"
		                                       : NULL;

		if (!escape)
			continue;
		str_append_bytes(out, text + from, i - from);
		str_append(out, escape);
		from = i + 1;
	}
	str_append_bytes(out, text + from, len - from);
}

static void append_copy_value(struct str *out, const struct pg_import_value *v)
{
	if (!v)
		str_append(out, "\\N");
	else
		append_row_text(out, v->text, v->len);
	str_append_char(out, '\t');
}

static int refuse_value(const struct pg_import *x, size_t column, const char *what, struct error *err)
{
	return error_set(err, ERROR_USAGE, EINVAL, "row %" PRIu64 " of %s: %s: %s", x->number + 1,
	                 x->coming->label, x->coming->file->columns[column].name, what);
}

static int append_file_value(struct pg_import *x, size_t column, const struct pg_import_value *v,
                             struct error *err)
{
	const struct import_table *t = x->coming;
	int target = t->targets[column];
	bool json = target >= 0 && takes_json(t, (size_t)target);

	if (target == -1 && !v->is_null)
		return refuse_value(
		        x, column,
		        "the target has no such column, and here is a value; ignore-column=TABLE.COLUMN leaves it out",
		        err);
	if (target < 0)
		return 0;
	if (v->is_json && !v->is_null && !json)
		return refuse_value(x, column, "an object, and the column is of no composite type", err);
	append_copy_value(&x->row, v->is_null || v->is_json ? NULL : v);
	if (json)
		append_copy_value(&x->row, v->is_null || !v->is_json ? NULL : v);
	return 0;
}

static int flush_import_rows(struct pg_import *x, size_t at_least, struct error *err)
{
	int r = 0;

	if (x->row.len > at_least) {
		r = prefix_row_failure(x, pg_load_data(x->session, x->row.data, x->row.len, err), err);
		str_clear(&x->row);
	}
	return r;
}

int pg_import_row(struct pg_import *x, const struct pg_import_value *values, struct error *err)
{
	int r = 0;

	if (!x->coming)
		return 0;
	for (size_t i = 0; r == 0 && i < x->coming->file->column_count; i++)
		r = append_file_value(x, i, &values[i], err);
	if (r < 0)
		return r;
	str_appendf(&x->row, "%" PRIu64 "\n", ++x->number);
	return flush_import_rows(x, SENT_AT_ONCE, err);
}

/* The field of a row of which only this one is said. */
static int read_json_column(struct pg_import *x, const struct import_table *t, size_t column,
                            struct error *err)
{
	_cleanup(free) char *name = pg_quote_literal(t->t->columns[column].name);
	_cleanup(str) struct str json = {0}, sql = {0};

	append_json_name(column, &json);
	str_appendf(
	        &sql,
	        "UPDATE %s s SET %s = (pg_catalog.json_populate_record(NULL::%s, pg_catalog.json_build_object(%s, s.%s))).%s WHERE s.%s IS NOT NULL",
	        t->stage, t->columns[column].quoted, t->stage, name, str_text(&json),
	        t->columns[column].quoted, str_text(&json));
	return import_ask(x, str_text(&sql), err);
}

static int read_json_columns(struct pg_import *x, const struct import_table *t, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->t->column_count; i++)
		if (takes_json(t, i))
			r = prefix_row_failure(x, read_json_column(x, t, i, err), err);
	return r;
}

int pg_import_table_end(struct pg_import *x, struct error *err)
{
	const struct import_table *t = x->coming;
	_cleanup(free) char *analyze = t ? mem_printf("ANALYZE %s", t->stage) : NULL;
	uint64_t rows = 0;
	int r = t ? flush_import_rows(x, 0, err) : 0;

	if (!t || r < 0)
		return r;
	r = prefix_row_failure(x, pg_load_end_within(x->session, &rows, err), err);
	if (r == 0 && rows != x->number)
		r = error_set(err, ERROR_INTERNAL, EPROTO,
		              "the server took %" PRIu64 " of the %" PRIu64 " rows of %s", rows, x->number,
		              t->label);
	if (r == 0)
		r = read_json_columns(x, t, err);
	if (r == 0)
		r = import_ask(x, analyze, err);
	x->coming = NULL;
	return r;
}

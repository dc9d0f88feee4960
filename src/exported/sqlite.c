// SPDX-License-Identifier: Apache-2.0
/* A database of SQLite: its table keepfs_export says what the others are. Values become the text that PostgreSQL takes, by how they are stored and what the column is. */
#include "exported.h"

#include "rows_json.h"
#include "text.h"

#include <keepfs/base/mem.h>
#include <keepfs/sqlite/foreign.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FACTS "keepfs_export"

struct sqlite_reading {
	char **names; /* of each table, there */
	struct sqlite_foreign *file;
	size_t table;
	uint64_t rows; /* that were read of it */
};

static int not_in_database(int r, struct error *err)
{
	if (r != -ENOENT)
		return r;
	if (err)
		err->errnum = EBADMSG;
	return -EBADMSG;
}

/* What it says of itself. */

static int parse_sqlite_schema(struct exported *e, struct sqlite_reading *s,
                               const struct sqlite_file_value *v, struct error *err)
{
	_cleanup(json_rows) struct json_rows *rows = json_rows_new(&(struct json_rows_order){
	        .what = JSON_ROWS_DESCRIPTION,
	        .head = &e->head,
	        .batch = &e->batch,
	        .place_key = "name",
	        .places = &s->names,
	});
	int r = json_rows_feed(rows, v->data, v->len, err);

	if (r == 0)
		r = json_rows_end(rows, err);
	if (r < 0)
		error_prefix(err, "\"schema\" of its table " FACTS);
	return r;
}

static bool is_schema_row(const struct sqlite_foreign *f)
{
	struct sqlite_file_value name;

	sqlite_foreign_value(f, 0, &name);
	return name.type == SQLITE_FILE_TEXT && name.len == 6 && memcmp(name.data, "schema", 6) == 0;
}

static int read_sqlite_schema(struct exported *e, struct sqlite_reading *s, struct error *err)
{
	int r = sqlite_foreign_table(s->file, FACTS, err);

	if (r < 0)
		return not_in_database(r, err);
	if (sqlite_foreign_columns(s->file) < 2)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "its table " FACTS " has no names and values");
	while ((r = sqlite_foreign_row(s->file, err)) > 0) {
		struct sqlite_file_value value;

		if (!is_schema_row(s->file))
			continue;
		sqlite_foreign_value(s->file, 1, &value);
		if (value.len > EXPORTED_HEAD_MAX_BYTES)
			return error_set(err, ERROR_CORRUPT, EBADMSG, "it says too much about its tables");
		return parse_sqlite_schema(e, s, &value, err);
	}
	return r < 0 ? r : error_set(err, ERROR_CORRUPT, EBADMSG, "its table " FACTS " has no \"schema\"");
}

/* Tables. */

/* A name that SQLite takes for that of another column has "%2" and so on behind it. */
static bool is_column_name(const char *name, const char *wanted)
{
	size_t len = strlen(wanted);

	return strncmp(name, wanted, len) == 0 && (name[len] == '\0' || name[len] == '%');
}

static int check_sqlite_columns(const struct sqlite_reading *s, const struct exported_table *t, size_t table,
                                struct error *err)
{
	size_t count = t->column_count > 0 ? t->column_count : 1;

	if (sqlite_foreign_columns(s->file) != count)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the table %s has %zu columns, and its description names %zu",
		                 s->names[table], sqlite_foreign_columns(s->file), count);
	for (size_t i = 0; i < t->column_count; i++)
		if (!is_column_name(sqlite_foreign_column(s->file, i), t->columns[i].name))
			return error_set(err, ERROR_CORRUPT, EBADMSG,
			                 "column %zu of the table %s is %s, and its description names %s",
			                 i + 1, s->names[table], sqlite_foreign_column(s->file, i),
			                 t->columns[i].name);
	return 0;
}

static int begin_sqlite_table(struct exported *e, size_t table, struct error *err)
{
	struct sqlite_reading *s = e->reading;
	int r = sqlite_foreign_table(s->file, s->names[table], err);

	s->table = table;
	s->rows = 0;
	row_batch_reset(&e->batch);
	return r < 0 ? not_in_database(r, err) : check_sqlite_columns(s, &e->head.tables[table], table, err);
}

/* Values. */

static void put_hex_bytes(struct row_batch *b, struct batch_value *v, const unsigned char *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	row_batch_value_begin(b, v);
	str_append(&b->text, "\\x");
	for (size_t i = 0; i < len; i++) {
		str_append_char(&b->text, digits[data[i] >> 4]);
		str_append_char(&b->text, digits[data[i] & 15]);
	}
	row_batch_value_end(b, v);
}

static void put_sqlite_number(struct row_batch *b, struct batch_value *v,
                              const struct exported_column *column, const struct sqlite_file_value *value)
{
	row_batch_value_begin(b, v);
	if (value->type == SQLITE_FILE_REAL)
		str_appendf(&b->text, "%.17g", value->real);
	else if (strcmp(column->base, "boolean") == 0 && (value->integer == 0 || value->integer == 1))
		str_append(&b->text, value->integer ? "true" : "false");
	else
		str_appendf(&b->text, "%" PRId64, value->integer);
	row_batch_value_end(b, v);
}

/* Why not; NULL: it was put. */
static const char *put_sqlite_value(struct row_batch *b, struct batch_value *v,
                                    const struct exported_column *column,
                                    const struct sqlite_file_value *value)
{
	const char *wrong;

	switch (value->type) {
	case SQLITE_FILE_NULL:
		row_batch_put_null(b, v);
		return NULL;
	case SQLITE_FILE_BLOB:
		if (strcmp(column->base, "bytea") != 0)
			return "has binary data, and is no bytea";
		if (value->len > EXPORTED_ROW_MAX_BYTES / 2)
			return "has more bytes than a row may have";
		put_hex_bytes(b, v, value->data, value->len);
		return NULL;
	case SQLITE_FILE_TEXT:
		wrong = exported_text_problem(value->data, value->len);
		if (!wrong)
			row_batch_put_text(b, v, value->data, value->len);
		return wrong;
	default:
		put_sqlite_number(b, v, column, value);
		return NULL;
	}
}

static int put_sqlite_row(struct exported *e, const struct sqlite_reading *s, struct error *err)
{
	const struct exported_table *t = &e->head.tables[s->table];

	row_batch_row_begin(&e->batch, s->table, t->column_count);
	for (size_t i = 0; i < t->column_count; i++) {
		struct sqlite_file_value value;
		const char *wrong;

		sqlite_foreign_value(s->file, i, &value);
		wrong = put_sqlite_value(&e->batch, row_batch_value(&e->batch, i), &t->columns[i], &value);
		if (wrong)
			return error_set(err, ERROR_CORRUPT, EBADMSG, "table %s, row %" PRIu64 ": \"%s\" %s",
			                 s->names[s->table], s->rows, t->columns[i].name, wrong);
		if (row_batch_row_bytes(&e->batch) > EXPORTED_ROW_MAX_BYTES)
			return error_set(err, ERROR_CORRUPT, EBADMSG,
			                 "table %s, row %" PRIu64 ": the row has more than %zu bytes",
			                 s->names[s->table], s->rows, EXPORTED_ROW_MAX_BYTES);
	}
	row_batch_row_end(&e->batch);
	return 0;
}

/* Pages may be said to be there many times, each of which has more of them: then rows never end. */
static int check_sqlite_count(const struct exported *e, const struct sqlite_reading *s, struct error *err)
{
	if (s->rows < e->head.tables[s->table].rows && s->rows < (uint64_t)e->opened.st_size)
		return 0;
	return error_set(
	        err, ERROR_CORRUPT, EBADMSG,
	        "the table %s has more rows than \"row_count\" of its description says, or than the file has room for",
	        s->names[s->table]);
}

static int give_sqlite_row(struct exported *e, const struct exported_value **ret, struct error *err)
{
	struct sqlite_reading *s = e->reading;
	const struct exported_table *t = &e->head.tables[s->table];
	int r = sqlite_foreign_row(s->file, err);

	row_batch_reset(&e->batch);
	if (r < 0)
		return r;
	if (r == 0 && s->rows != t->rows)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the table %s has %" PRIu64
		                 " rows, and \"row_count\" of its description says %" PRIu64,
		                 s->names[s->table], s->rows, t->rows);
	if (r == 0)
		return 0;
	r = check_sqlite_count(e, s, err);
	s->rows++;
	if (r == 0)
		r = put_sqlite_row(e, s, err);
	if (r < 0)
		return r;
	*ret = row_batch_take(&e->batch);
	return 1;
}

/* Opening. */

static int check_sqlite_table(struct exported *e, size_t table, struct error *err)
{
	const struct exported_value *values;
	int r = begin_sqlite_table(e, table, err);

	if (r < 0)
		return r;
	do
		r = give_sqlite_row(e, &values, err);
	while (r > 0);
	return r;
}

static int check_sqlite_tables(struct exported *e, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < e->head.table_count; i++)
		r = check_sqlite_table(e, i, err);
	return r;
}

static int open_sqlite_export(struct exported *e, struct error *err)
{
	struct sqlite_reading *s = e->reading = mem_alloc(sizeof(*s));
	int r = sqlite_foreign_new(e->fd, e->cancel, &s->file, err);

	e->head.format = EXPORTED_SQLITE;
	if (r == 0)
		r = read_sqlite_schema(e, s, err);
	return r < 0 ? r : check_sqlite_tables(e, err);
}

static void close_sqlite(struct exported *e)
{
	struct sqlite_reading *s = e->reading;

	if (!s)
		return;
	sqlite_foreign_free(s->file);
	for (size_t i = 0; s->names && s->names[i]; i++)
		free(s->names[i]);
	free(s->names);
	free(s);
}

const struct exported_reader exported_reader_sqlite = {
        .open = open_sqlite_export,
        .begin = begin_sqlite_table,
        .row = give_sqlite_row,
        .close = close_sqlite,
};

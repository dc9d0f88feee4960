// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Rows in COPY's text format as values: each as PostgreSQL itself writes it as text, but for what is redacted, which is as in JSON
 * (codec/copy_json.h): the same hash of the same value, the same paths. And such values as a line of CSV, and as a row in COPY's text format
 * again. Pure; one thread for each struct.
 *
 * Values are UTF-8; of the escapes of COPY's text only those are taken that a server writes. An array of json in which paths redact something is written
 * anew, as a literal that PostgreSQL takes: each of its elements in quotes.
 */
#include <keepfs/codec/copy_json.h>

struct copy_cell {
	const char *text; /* a NUL is behind it; of NULL "" */
	size_t len;
	bool is_null;
};

struct copy_cells;
/** copy_cells_new() - as copy_json_new(). A column that is omitted has no value. */
int copy_cells_new(const struct copy_json_column *columns, size_t count, const unsigned char *key,
                   struct copy_cells **ret, struct error *err);
struct copy_cells *copy_cells_free(struct copy_cells *c); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(copy_cells, struct copy_cells *, copy_cells_free)
/** copy_cells_count() - how many values a row has: the columns without those that are omitted. */
size_t copy_cells_count(const struct copy_cells *c);
/**
 * copy_cells_row() - the values of one row, borrowed until the next call
 * @row: without its line feed
 * What is masked, or NULL, is not looked at. Return: 0; -EBADMSG: as copy_json_row(), but that only json in which paths redact something is held against its
 * type.
 */
int copy_cells_row(struct copy_cells *c, const char *row, size_t len, const struct copy_cell **ret,
                   struct error *err);

/**
 * copy_cells_append_csv() - append a line of CSV, with its line feed, as `COPY … (FORMAT csv)` writes it: NULL is nothing at all, the empty text is "";
 * in quotes are values with a comma, a double quote, a carriage return or a line feed, and a "\." that is alone on its line.
 */
void copy_cells_append_csv(const struct copy_cell *cells, size_t count, struct str *out);
/** copy_cells_append_copy() - append a row in COPY's text format, with its line feed. */
void copy_cells_append_copy(const struct copy_cell *cells, size_t count, struct str *out);

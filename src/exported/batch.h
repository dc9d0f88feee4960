// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Rows that were read and not asked for yet: a parser makes those of one piece of a file at once. One thread. */
#include <keepfs/base/str.h>
#include <keepfs/exported.h>

struct batch_value {
	size_t offset, len; /* in @text; followed by a NUL */
	bool is_null, is_json, is_there;
};

struct batch_row {
	size_t table; /* its place */
	size_t first; /* of its values */
	size_t count;
	size_t text; /* of the batch, before it */
};

struct row_batch {
	struct str text;
	struct batch_value *values;
	size_t value_count, value_room;
	struct batch_row *rows;
	size_t row_count, row_room, next;
	bool is_open; /* the last row is not all there yet */
	struct exported_value *shown;
	size_t shown_room;
};

void row_batch_finish(struct row_batch *b);
/** row_batch_clear() - all rows are done with, but for one that is not all there yet; memory that a long row has taken is given back. */
void row_batch_clear(struct row_batch *b);
/** row_batch_reset() - the same, and that one is not wanted any more. */
void row_batch_reset(struct row_batch *b);
/** row_batch_row_begin() - a row of @count values, none of which is there yet; behind the rows before. */
void row_batch_row_begin(struct row_batch *b, size_t table, size_t count);
/** row_batch_row_end() - it is all there. */
void row_batch_row_end(struct row_batch *b);
/** row_batch_row_drop() - the last row is not to be shown. */
void row_batch_row_drop(struct row_batch *b);
/** row_batch_row_bytes() - of the text of the last row. */
size_t row_batch_row_bytes(const struct row_batch *b);
/** row_row_batch_value() - that of the last row's column @column; borrowed until the next row begins. */
struct batch_value *row_batch_value(struct row_batch *b, size_t column);
/** row_batch_value_begin() - its text is appended to b->text from here on, up to row_batch_value_end(). */
void row_batch_value_begin(struct row_batch *b, struct batch_value *v);
void row_batch_value_end(struct row_batch *b, struct batch_value *v);
/** row_batch_put_text() - begin and end of a value that is @text. */
void row_batch_put_text(struct row_batch *b, struct batch_value *v, const char *text, size_t len);
void row_batch_put_null(struct row_batch *b, struct batch_value *v);
/** row_batch_missing() - the place of the first value of the last row that is not there; -1. */
ssize_t row_batch_missing(const struct row_batch *b);
/** row_batch_first() - the next row to be shown; NULL: none. */
const struct batch_row *row_batch_first(const struct row_batch *b);
/** row_batch_skip() - it is not shown; row_batch_take() - its values, until the next change. */
void row_batch_skip(struct row_batch *b);
const struct exported_value *row_batch_take(struct row_batch *b);

// SPDX-License-Identifier: Apache-2.0
#include "batch.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>
#include <string.h>

#define KEPT_BYTES ((size_t)4 << 20) /* between batches */

void row_batch_finish(struct row_batch *b)
{
	str_finish(&b->text);
	free(b->values);
	free(b->rows);
	free(b->shown);
	*b = (struct row_batch){0};
}

static void grow_batch(void **array, size_t *room, size_t need, size_t bytes)
{
	if (need <= *room)
		return;
	*room = need + need / 2 + 16;
	*array = mem_resize(*array, *room, bytes);
}

void row_batch_row_begin(struct row_batch *b, size_t table, size_t count)
{
	grow_batch((void **)&b->rows, &b->row_room, b->row_count + 1, sizeof(*b->rows));
	grow_batch((void **)&b->values, &b->value_room, b->value_count + count, sizeof(*b->values));
	b->rows[b->row_count++] = (struct batch_row){
	        .table = table, .first = b->value_count, .count = count, .text = b->text.len};
	b->is_open = true;
	for (size_t i = 0; i < count; i++)
		b->values[b->value_count++] = (struct batch_value){.offset = b->text.len};
}

static struct batch_row *last_row(const struct row_batch *b)
{
	return &b->rows[b->row_count - 1];
}

/* It becomes the first one. */
static void keep_open_row(struct row_batch *b)
{
	struct batch_row row = *last_row(b);

	if (row.text > 0) {
		memmove(b->text.data, b->text.data + row.text, b->text.len - row.text + 1);
		b->text.len -= row.text;
	}
	memmove(b->values, b->values + row.first, row.count * sizeof(*b->values));
	for (size_t i = 0; i < row.count; i++)
		b->values[i].offset -= row.text;
	b->rows[0] = (struct batch_row){.table = row.table, .count = row.count};
	b->value_count = row.count;
	b->row_count = 1;
}

void row_batch_clear(struct row_batch *b)
{
	b->next = 0;
	if (b->is_open) {
		keep_open_row(b);
		return;
	}
	if (b->text.cap > KEPT_BYTES)
		str_finish(&b->text);
	str_clear(&b->text);
	b->value_count = b->row_count = 0;
}

void row_batch_reset(struct row_batch *b)
{
	b->is_open = false;
	row_batch_clear(b);
}

void row_batch_row_end(struct row_batch *b)
{
	b->is_open = false;
}

void row_batch_row_drop(struct row_batch *b)
{
	b->value_count = last_row(b)->first;
	b->text.len = last_row(b)->text;
	b->row_count--;
}

size_t row_batch_row_bytes(const struct row_batch *b)
{
	return b->text.len - last_row(b)->text;
}

struct batch_value *row_batch_value(struct row_batch *b, size_t column)
{
	return &b->values[last_row(b)->first + column];
}

void row_batch_value_begin(struct row_batch *b, struct batch_value *v)
{
	v->is_there = true;
	v->offset = b->text.len;
}

void row_batch_value_end(struct row_batch *b, struct batch_value *v)
{
	v->len = b->text.len - v->offset;
	str_append_char(&b->text, '\0');
}

void row_batch_put_text(struct row_batch *b, struct batch_value *v, const char *text, size_t len)
{
	row_batch_value_begin(b, v);
	str_append_bytes(&b->text, text, len);
	row_batch_value_end(b, v);
}

void row_batch_put_null(struct row_batch *b, struct batch_value *v)
{
	v->is_null = true;
	row_batch_put_text(b, v, "", 0);
}

ssize_t row_batch_missing(const struct row_batch *b)
{
	const struct batch_row *row = last_row(b);

	for (size_t i = 0; i < row->count; i++)
		if (!b->values[row->first + i].is_there)
			return (ssize_t)i;
	return -1;
}

const struct batch_row *row_batch_first(const struct row_batch *b)
{
	return b->next + b->is_open < b->row_count ? &b->rows[b->next] : NULL;
}

void row_batch_skip(struct row_batch *b)
{
	b->next++;
}

const struct exported_value *row_batch_take(struct row_batch *b)
{
	const struct batch_row *row = &b->rows[b->next++];

	grow_batch((void **)&b->shown, &b->shown_room, row->count, sizeof(*b->shown));
	for (size_t i = 0; i < row->count; i++) {
		const struct batch_value *v = &b->values[row->first + i];

		b->shown[i] = (struct exported_value){.text = b->text.data + v->offset,
		                                      .len = v->len,
		                                      .is_null = v->is_null,
		                                      .is_json = v->is_json};
	}
	return b->shown;
}

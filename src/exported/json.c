// SPDX-License-Identifier: Apache-2.0
/* The document, as it is or in a gzip file: read once when it is opened, and again from its beginning for its rows. */
#include "exported.h"

#include "rows_json.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

struct json_reading {
	struct bytes *bytes;
	struct json_rows *rows;
	struct str piece;
	size_t table;
	uint64_t given; /* rows of it */
};

static void end_json_pass(struct json_reading *d)
{
	d->rows = json_rows_free(d->rows);
	d->bytes = bytes_free(d->bytes);
}

static void begin_json_pass(struct exported *e, enum json_rows_what what)
{
	struct json_reading *d = e->reading;

	end_json_pass(d);
	row_batch_reset(&e->batch);
	d->bytes = bytes_of_file(e->fd, e->cancel);
	if (e->is_packed)
		d->bytes = bytes_of_gzip(d->bytes);
	d->rows =
	        json_rows_new(&(struct json_rows_order){.what = what, .head = &e->head, .batch = &e->batch});
}

static int open_json(struct exported *e, struct error *err)
{
	struct json_reading *d = e->reading = mem_alloc(sizeof(*d));
	int r;

	begin_json_pass(e, JSON_ROWS_DOCUMENT);
	json_rows_keep_from(d->rows, SIZE_MAX);
	do
		r = json_rows_pull(d->rows, d->bytes, &d->piece, err);
	while (r > 0);
	end_json_pass(d);
	return r;
}

/* The next table begins where the one before has ended, as long as nothing of it was given out. */
static int begin_json_table(struct exported *e, size_t table, struct error *err)
{
	struct json_reading *d = e->reading;

	if (!d->rows || table < d->table || (table == d->table && d->given > 0))
		begin_json_pass(e, JSON_ROWS_AGAIN);
	json_rows_keep_from(d->rows, table);
	d->table = table;
	d->given = 0;
	return 0;
}

static const struct batch_row *next_json_row(struct exported *e, const struct json_reading *d)
{
	const struct batch_row *row;

	while ((row = row_batch_first(&e->batch)) && row->table < d->table)
		row_batch_skip(&e->batch);
	return row;
}

/* 1: there is a row in the batch, of this table or a later one; 0: there is none, and the table has ended. */
static int fill_json_batch(struct exported *e, struct json_reading *d, struct error *err)
{
	int r = 1;

	while (!next_json_row(e, d)) {
		if (!d->rows || json_rows_table(d->rows) > d->table || r == 0)
			return 0;
		row_batch_clear(&e->batch);
		r = json_rows_pull(d->rows, d->bytes, &d->piece, err);
		if (r < 0)
			return r;
	}
	return 1;
}

static int give_json_row(struct exported *e, const struct exported_value **ret, struct error *err)
{
	struct json_reading *d = e->reading;
	int r = fill_json_batch(e, d, err);

	if (r < 0)
		return r;
	if (r == 0 || row_batch_first(&e->batch)->table > d->table)
		return 0;
	*ret = row_batch_take(&e->batch);
	d->given++;
	return 1;
}

static void close_json(struct exported *e)
{
	struct json_reading *d = e->reading;

	if (!d)
		return;
	end_json_pass(d);
	str_finish(&d->piece);
	free(d);
}

const struct exported_reader exported_reader_json = {
        .open = open_json,
        .begin = begin_json_table,
        .row = give_json_row,
        .close = close_json,
};

// SPDX-License-Identifier: Apache-2.0
/*
 * See inside_csv.h. A converter of its own turns each block of rows into CSV: some MiB, up to the end of a row. So what a block begins with
 * depends on nothing that comes before it, and to go on behind a block is to begin a new one. The places between blocks are
 * remembered; when they become too many, every other one is forgotten, and blocks are twice as long from then on. The line of
 * names, with which each converter begins, is dropped but for the first block.
 *
 * Whoever comes to the end has the library keep the places, and those that it has kept are taken from there: the first time that one of them is used, the
 * byte before it must be the end of a row.
 */
#include "inside_csv.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/copy_text.h>

#include <errno.h>
#include <string.h>

#define PIECE_BYTES ((size_t)256 << 10) /* of rows that are read at once */
#define POINTS_MAX  INSIDE_CSV_PLACES_MAX
#define FAR_BYTES   (UINT64_C(8) << 20) /* of CSV, that are made and dropped */
#define CSV_FORM    1U /* of what codec/copy_csv.c makes: another one has its rows at other places */

struct inside_csv {
	struct inside_dump *dump;
	uint32_t number;
	char *columns;
	uint64_t heading_bytes;     /* of the line of names */
	struct copy_csv *converter; /* NULL: no block was begun */
	uint64_t block, at;         /* in the rows: where the block begins, and what comes next */
	bool at_end;
	char *piece;           /* PIECE_BYTES */
	struct str out;        /* what came out and was not taken yet */
	uint64_t out_at;       /* where its first byte is in the CSV */
	uint64_t heading_left; /* of the line of names of a block that is not the first: it is dropped */
	uint64_t wanted;       /* what comes before it is dropped */
	uint64_t block_bytes;  /* how long blocks are to be */
	size_t kept_count;     /* so many of the points are kept by the library */
	bool kept_is_checked;
	size_t point_count;
	struct inside_place points[POINTS_MAX]; /* ascending; the first is the beginning */
};

static uint64_t position(const struct inside_csv *c)
{
	return c->out_at + c->out.len;
}

static void drop(struct inside_csv *c, uint64_t bytes)
{
	size_t len = bytes < c->out.len ? (size_t)bytes : c->out.len;

	if (len == 0)
		return;
	memmove(c->out.data, c->out.data + len, c->out.len - len);
	c->out.len -= len;
	c->out_at += len;
}

static size_t smaller_size(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

static int take_csv(void *arg, const void *data, size_t len, struct error *err)
{
	struct inside_csv *c = arg;
	size_t heading = smaller_size(c->heading_left, len), before = 0;

	c->heading_left -= heading;
	if (c->out.len == 0 && c->out_at < c->wanted)
		before = smaller_size(c->wanted - c->out_at, len - heading);
	c->out_at += before;
	if (len > heading + before)
		str_append_bytes(&c->out, (const char *)data + heading + before, len - heading - before);
	return 0;
}

/* The bytes are right, as far as their checksums say: it is not the backup that is damaged. */
static int conversion_failed(int r, struct error *err)
{
	if (err && err->class == ERROR_CORRUPT)
		err->class = ERROR_INTERNAL;
	return r;
}

static int begin_block(struct inside_csv *c, const struct inside_place *from, struct error *err)
{
	c->converter = copy_csv_free(c->converter);
	str_clear(&c->out);
	c->block = c->at = from->rows;
	c->at_end = false;
	c->out_at = from->csv;
	c->heading_left = from->rows > 0 ? c->heading_bytes : 0;
	return conversion_failed(copy_csv_new(c->columns, take_csv, c, &c->converter, err), err);
}

static void note_point(struct inside_csv *c, uint64_t rows, uint64_t csv)
{
	if (c->points[c->point_count - 1].rows >= rows)
		return;
	if (c->point_count == POINTS_MAX) {
		for (size_t i = 1; i < POINTS_MAX / 2; i++)
			c->points[i] = c->points[2 * i];
		c->point_count = POINTS_MAX / 2;
		c->block_bytes *= 2;
	}
	c->points[c->point_count++] = (struct inside_place){rows, csv};
}

/* The block ends where a row has ended: what its converter has kept comes out. */
static int end_block(struct inside_csv *c, struct error *err)
{
	int r = conversion_failed(copy_csv_end(c->converter, err), err);

	c->converter = copy_csv_free(c->converter);
	return r;
}

/* What came out of the last block and was not taken yet stays. */
static int begin_next_block(struct inside_csv *c, struct error *err)
{
	note_point(c, c->at, position(c));
	c->block = c->at;
	c->heading_left = c->heading_bytes;
	return conversion_failed(copy_csv_new(c->columns, take_csv, c, &c->converter, err), err);
}

/* The place behind the first row in @piece that ends; 0: none does. */
static size_t row_end(const char *piece, size_t len)
{
	const char *end = memchr(piece, '\n', len);

	return end ? (size_t)(end - piece) + 1 : 0;
}

static void keep_places(struct inside_csv *c)
{
	if (c->point_count <= c->kept_count || c->point_count == 1)
		return;
	inside_keep_places(c->dump, c->number,
	                   &(struct inside_places){.form = CSV_FORM,
	                                           .end = {c->at, position(c)},
	                                           .items = c->points + 1,
	                                           .count = c->point_count - 1});
	c->kept_count = c->point_count;
	c->kept_is_checked = true;
}

static int end_csv(struct inside_csv *c, struct error *err)
{
	int r = end_block(c, err);

	c->at_end = true;
	if (r == 0)
		keep_places(c);
	return r;
}

/* The rows at @rows, or those up to the end of a block. Return: how many bytes of them. */
static ssize_t convert_rows(struct inside_csv *c, const char *rows, size_t len, struct error *err)
{
	size_t end = c->at - c->block >= c->block_bytes ? row_end(rows, len) : 0;
	int r;

	if (end > 0)
		len = end;
	c->at += len;
	r = conversion_failed(copy_csv_feed(c->converter, rows, len, err), err);
	if (r == 0 && end > 0)
		r = end_block(c, err);
	if (r == 0 && end > 0)
		r = begin_next_block(c, err);
	return r < 0 ? r : (ssize_t)len;
}

/* Some more of the rows. */
static int convert_piece(struct inside_csv *c, struct cancel *cancel, struct error *err)
{
	ssize_t n = inside_pread(c->dump, c->number, cancel, c->piece, PIECE_BYTES, c->at, err);

	if (n == 0)
		return end_csv(c, err);
	if (n > 0)
		n = convert_rows(c, c->piece, (size_t)n, err);
	return n < 0 ? (int)n : 0;
}

static const struct inside_place *nearest_point(const struct inside_csv *c, uint64_t offset)
{
	size_t low = 0, high = c->point_count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (c->points[middle].csv <= offset)
			low = middle;
		else
			high = middle;
	}
	return &c->points[low];
}

/* What was kept is not for this table, if no row ends there. */
static int check_kept_place(struct inside_csv *c, uint64_t offset, struct cancel *cancel, struct error *err)
{
	const struct inside_place *from = nearest_point(c, offset);
	char byte = 0;
	ssize_t n;

	if (c->kept_is_checked || c->kept_count == 0 || from->rows == 0)
		return 0;
	n = inside_pread(c->dump, c->number, cancel, &byte, 1, from->rows - 1, err);
	if (n < 0)
		return (int)n;
	c->kept_is_checked = true;
	if (byte == '\n')
		return 0;
	inside_forget_places(c->dump, c->number);
	c->kept_count = 0;
	c->point_count = 1;
	return 0;
}

static int seek(struct inside_csv *c, uint64_t offset, struct error *err)
{
	const struct inside_place *from = nearest_point(c, offset);
	bool is_behind = (c->converter || c->at_end) && c->out_at <= offset;

	c->wanted = offset;
	/* From where it is, when no place is nearer. */
	if (is_behind && from->csv <= position(c)) {
		drop(c, offset - c->out_at);
		return 0;
	}
	return begin_block(c, from, err);
}

ssize_t inside_csv_pread(struct inside_csv *c, struct cancel *cancel, void *buf, size_t len, uint64_t offset,
                         struct error *err)
{
	int r = check_kept_place(c, offset, cancel, err);
	size_t got;

	if (r == 0)
		r = seek(c, offset, err);

	while (r == 0 && !c->at_end && (c->out.len < len || c->out_at < offset))
		r = convert_piece(c, cancel, err);
	if (r < 0) {
		/* Half a piece may have come out. */
		c->converter = copy_csv_free(c->converter);
		c->at_end = false;
		return r;
	}
	if (c->out_at != offset)
		return 0;
	got = smaller_size(c->out.len, len);
	if (got > 0) {
		memcpy(buf, c->out.data, got);
		drop(c, got);
	}
	return (ssize_t)got;
}

bool inside_csv_pread_is_long(const struct inside_csv *c, uint64_t offset)
{
	const struct inside_place *from = nearest_point(c, offset);
	bool goes_on = (c->converter || c->at_end) && c->out_at <= offset && from->csv <= position(c);
	uint64_t csv = goes_on ? position(c) : from->csv, rows = goes_on ? c->at : from->rows;

	return offset > csv + FAR_BYTES || inside_pread_is_long(c->dump, c->number, rows);
}

static int count_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	*(uint64_t *)arg += len;
	return 0;
}

/* Of the line of names alone. */
static int measure_heading(const char *columns, uint64_t *ret, struct error *err)
{
	_cleanup(copy_csv) struct copy_csv *converter = NULL;
	int r = copy_csv_new(columns, count_bytes, ret, &converter, err);

	return conversion_failed(r < 0 ? r : copy_csv_end(converter, err), err);
}

int inside_csv_new(struct inside_dump *dump, uint32_t number, uint64_t block_bytes, struct inside_csv **ret,
                   struct error *err)
{
	_cleanup(inside_table) struct inside_table table = {0};
	uint64_t heading_bytes = 0;
	struct inside_csv *c;
	int r = inside_table(dump, number, &table, err);

	if (r == 0)
		r = measure_heading(table.columns, &heading_bytes, err);
	if (r < 0)
		return r;
	c = mem_alloc(sizeof(*c));
	c->dump = dump;
	c->number = number;
	c->columns = mem_strdup(table.columns);
	c->heading_bytes = heading_bytes;
	c->piece = mem_alloc(PIECE_BYTES);
	c->block_bytes = block_bytes;
	c->point_count = 1;
	*ret = c;
	return 0;
}

void inside_csv_take_kept(struct inside_csv *c)
{
	size_t count = inside_kept_places(c->dump, c->number, CSV_FORM, c->points + 1, POINTS_MAX - 1);

	if (count == 0)
		return;
	c->point_count = c->kept_count = count + 1;
	/* Those that come next are to be as rare. */
	while (c->points[count].rows / count >= 2 * c->block_bytes)
		c->block_bytes *= 2;
}

struct inside_csv *inside_csv_free(struct inside_csv *c)
{
	if (!c)
		return NULL;
	copy_csv_free(c->converter);
	str_finish(&c->out);
	free(c->columns);
	free(c->piece);
	free(c);
	return NULL;
}

static int measure_rows(void *arg, const void *data, size_t len, struct error *err)
{
	const char *rows = data;
	ssize_t n = 0;

	for (; len > 0 && n >= 0; len -= n > 0 ? (size_t)n : 0) {
		n = convert_rows(arg, rows, len, err);
		rows += n > 0 ? n : 0;
	}
	return n < 0 ? (int)n : 0;
}

int inside_csv_measure(struct inside_dump *dump, uint32_t number, struct cancel *cancel, uint64_t *ret,
                       struct error *err)
{
	struct inside_csv *c = NULL;
	int r = inside_csv_new(dump, number, INSIDE_CSV_BLOCK_BYTES, &c, err);

	if (r < 0)
		return r;
	c->wanted = UINT64_MAX;
	r = begin_block(c, &c->points[0], err);
	if (r == 0)
		r = inside_read_rows(dump, number, cancel, measure_rows, c, err);
	if (r == 0)
		r = end_csv(c, err);
	if (r == 0)
		*ret = position(c);
	inside_csv_free(c);
	return r;
}

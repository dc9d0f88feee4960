// SPDX-License-Identifier: Apache-2.0
/*
 * What a reader sends. A small unit goes as it is, so that a table of ten rows is not a segment of its own in the file. Of what is compressed here the first row is
 * left out: only the thread that writes knows whether a row came before it, and so what has to stand in front of it.
 */
#include "reading.h"

#include <string.h>

#define WORTH_PRESSING ((size_t)256 << 10)

static int send_raw_rows(const struct reading_piece *p, const void *data, size_t len, uint64_t rows,
                         struct error *err)
{
	const struct segment s = {.raw_bytes = len, .bytes = len};
	int r = turn_mark(p->turn, READING_RAW, rows, err);

	return r < 0 ? r : turn_segment(p->turn, &s, data, err);
}

static int send_pressed_rows(const struct reading_piece *p, const void *data, size_t len, uint64_t rows,
                             struct error *err)
{
	struct segment s;
	int r = squeeze_run(p->squeeze, data, len, &s, err);

	if (r == 0)
		r = turn_mark(p->turn, READING_PRESSED, rows, err);
	return r < 0 ? r : turn_segment(p->turn, &s, p->squeeze->out, err);
}

static int send_gathered_raw(struct reading_piece *p, struct error *err)
{
	int r = p->squeeze->len > 0 ? send_raw_rows(p, p->squeeze->raw, p->squeeze->len, p->rows, err) : 0;

	p->squeeze->len = p->first_len = 0;
	p->rows = 0;
	return r;
}

static int send_gathered_pressed(struct reading_piece *p, struct error *err)
{
	struct squeeze *s = p->squeeze;
	size_t first = p->first_len;
	int r = first > 0 ? send_raw_rows(p, s->raw, first, 1, err) : 0;

	if (r == 0 && s->len > first)
		r = send_pressed_rows(p, s->raw + first, s->len - first, p->rows - (first > 0), err);
	s->len = p->first_len = 0;
	p->rows = 0;
	return r;
}

static int send_gathered(struct reading_piece *p, struct error *err)
{
	return p->passes ? send_gathered_pressed(p, err) : send_gathered_raw(p, err);
}

static void gather_sent_rows(struct reading_piece *p, const char *bytes, size_t len, uint64_t rows)
{
	squeeze_gather(p->squeeze, bytes, len);
	p->rows += rows;
}

/* Longer than a segment. Parts of it that have no end of a row count none. */
static int send_long(struct reading_piece *p, const char *bytes, size_t len, uint64_t rows, struct error *err)
{
	int r = 0;

	if (!p->passes)
		return send_raw_rows(p, bytes, len, rows, err);
	for (; r == 0 && len > SEGMENT_RAW_BYTES; len -= SEGMENT_RAW_BYTES, bytes += SEGMENT_RAW_BYTES)
		r = send_pressed_rows(p, bytes, SEGMENT_RAW_BYTES, 0, err);
	if (r == 0)
		gather_sent_rows(p, bytes, len, rows);
	return r;
}

static int take_first_row(struct reading_piece *p, const char *bytes, size_t len, uint64_t rows,
                          struct error *err)
{
	p->has_first = true;
	if (len > SEGMENT_RAW_BYTES)
		return send_raw_rows(p, bytes, len, rows, err);
	gather_sent_rows(p, bytes, len, rows);
	p->first_len = len;
	return 0;
}

int reading_piece_take(struct reading_piece *p, const char *bytes, size_t len, uint64_t rows,
                       struct error *err)
{
	int r = 0;

	if (!p->has_first)
		return take_first_row(p, bytes, len, rows, err);
	if (p->squeeze->len + len > SEGMENT_RAW_BYTES)
		r = send_gathered(p, err);
	if (r < 0)
		return r;
	if (len > SEGMENT_RAW_BYTES)
		return send_long(p, bytes, len, rows, err);
	gather_sent_rows(p, bytes, len, rows);
	return 0;
}

int reading_piece_end(struct reading_piece *p, struct error *err)
{
	return p->squeeze->len < WORTH_PRESSING ? send_gathered_raw(p, err) : send_gathered(p, err);
}

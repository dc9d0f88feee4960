// SPDX-License-Identifier: Apache-2.0
/*
 * Rows of COPY's text format. A line feed always ends a row: the ones in values are written as "\n" with a
 * backslash. So rows are found by memchr() alone, and only a row that is cut in two by the pieces it comes in
 * is hashed piecewise; XXH3 gives the same either way.
 */
#include <keepfs/base/mem.h>
#include <keepfs/codec/rows.h>

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const char end_mark[] = "\\.";
#define END_MARK_BYTES 2

struct rows_scan {
	struct rows rows;
	uint64_t partial_bytes; /* of a row that began in an earlier piece */
	char first[END_MARK_BYTES];
	bool ended; /* "\." came */
	bool bad;   /* and something behind it */
	XXH3_state_t *partial;
};

struct rows_scan *rows_scan_new(void)
{
	struct rows_scan *s = mem_alloc(sizeof(*s));

	s->partial = XXH3_createState();
	if (!s->partial)
		abort();
	return s;
}

struct rows_scan *rows_scan_free(struct rows_scan *s)
{
	if (!s)
		return NULL;
	XXH3_freeState(s->partial);
	free(s);
	return NULL;
}

static bool is_end_mark(const char *row, uint64_t bytes)
{
	return bytes == END_MARK_BYTES && memcmp(row, end_mark, END_MARK_BYTES) == 0;
}

static void add_partial(struct rows_scan *s, const char *p, size_t len)
{
	if (s->partial_bytes == 0)
		XXH3_64bits_reset(s->partial);
	for (size_t i = 0; i < len && s->partial_bytes + i < END_MARK_BYTES; i++)
		s->first[s->partial_bytes + i] = p[i];
	XXH3_64bits_update(s->partial, p, len);
	s->partial_bytes += len;
}

static void add_row(struct rows_scan *s, uint64_t bytes, uint64_t hash)
{
	s->rows.count++;
	s->rows.bytes += bytes + 1;
	s->rows.hash += hash;
}

/* The row that began earlier has its last @len bytes at @p. */
static void end_partial(struct rows_scan *s, const char *p, size_t len)
{
	add_partial(s, p, len);
	if (is_end_mark(s->first, s->partial_bytes))
		s->ended = true;
	else
		add_row(s, s->partial_bytes, XXH3_64bits_digest(s->partial));
	s->partial_bytes = 0;
}

/* Behind the mark pg_dump writes two more line ends. */
static void after_end(struct rows_scan *s, const char *p, const char *end)
{
	while (p < end && *p == '\n')
		p++;
	if (p < end)
		s->bad = true;
}

void rows_scan_feed(struct rows_scan *s, const void *data, size_t len)
{
	const char *p = data, *end = p + len;

	while (p < end && !s->ended) {
		const char *feed = memchr(p, '\n', (size_t)(end - p));
		size_t bytes = (size_t)((feed ? feed : end) - p);

		if (!feed)
			add_partial(s, p, bytes);
		else if (s->partial_bytes > 0)
			end_partial(s, p, bytes);
		else if (is_end_mark(p, bytes))
			s->ended = true;
		else
			add_row(s, bytes, XXH3_64bits(p, bytes));
		p = feed ? feed + 1 : end;
	}
	after_end(s, p, end);
}

bool rows_scan_end(struct rows_scan *s, struct rows *io)
{
	bool sound = s->partial_bytes == 0 && !s->bad;

	io->count += s->rows.count;
	io->bytes += s->rows.bytes;
	io->hash += s->rows.hash;
	s->rows = (struct rows){0};
	s->partial_bytes = 0;
	s->ended = s->bad = false;
	return sound;
}

void rows_piece_count(const void *data, size_t len, struct rows_piece *ret)
{
	const char *p = data, *end = p + len, *feed = len > 0 ? memchr(p, '\n', len) : NULL;

	*ret = (struct rows_piece){.is_last = !feed};
	if (!feed)
		return;
	p = feed + 1;
	ret->head = (size_t)(p - (const char *)data);
	while (p < end && (feed = memchr(p, '\n', (size_t)(end - p)))) {
		size_t bytes = (size_t)(feed - p);

		if (is_end_mark(p, bytes))
			break;
		ret->rows.count++;
		ret->rows.bytes += bytes + 1;
		ret->rows.hash += XXH3_64bits(p, bytes);
		p = feed + 1;
	}
	ret->tail = (size_t)(end - p);
	/* What is behind the mark is judged where the order is known; so is a head that may be the mark. */
	if ((feed && p < end) || ret->head <= END_MARK_BYTES + 1)
		*ret = (struct rows_piece){.is_last = true};
}

void rows_scan_add(struct rows_scan *s, const void *data, size_t len, const struct rows_piece *piece)
{
	const char *p = data;

	if (piece->is_last || s->ended) {
		rows_scan_feed(s, data, len);
		return;
	}
	rows_scan_feed(s, p, piece->head);
	if (s->ended) {
		rows_scan_feed(s, p + piece->head, len - piece->head);
		return;
	}
	s->rows.count += piece->rows.count;
	s->rows.bytes += piece->rows.bytes;
	s->rows.hash += piece->rows.hash;
	rows_scan_feed(s, p + len - piece->tail, piece->tail);
}

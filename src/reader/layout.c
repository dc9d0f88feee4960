// SPDX-License-Identifier: Apache-2.0
/*
 * Files whose stored bytes are not the plain ones. Fetching, checksums and the disk cache are of stored bytes, and know
 * nothing of it; what is handed out and hashed is plain. In between each cell is decoded once, when its bytes
 * have arrived and are right, and where they lie: so it needs no memory of its own. The plain bytes begin
 * where the cell's stored bytes began, and what these were more lies unused behind them. So the plain bytes of
 * a block are in as many stretches as it has cells, which costs an iovec for each, and not a copy.
 */
#include "reader_private.h"

#include <errno.h>
#include <inttypes.h>

int layout_check(const struct reader_layout *l, const struct extents *x, uint64_t *ret_bytes,
                 struct error *err)
{
	uint64_t bytes = x->total_bytes;

	if (l) {
		bytes = cells_are_usable(&l->cells) ? cells_plain_bytes(&l->cells, x->total_bytes)
		                                    : UINT64_MAX;
		if (bytes == UINT64_MAX)
			return error_set(err, ERROR_CORRUPT, EBADMSG,
			                 "an object of %" PRIu64
			                 " bytes cannot be a file in cells of %" PRIu32
			                 " bytes, which are stored as %" PRIu32,
			                 x->total_bytes, l->cells.plain_bytes, l->cells.stored_bytes);
	}
	for (size_t i = 0; l && i + 1 < x->count; i++)
		if (!cells_is_border(&l->cells, x->items[i + 1].offset))
			return error_set(err, ERROR_CORRUPT, EBADMSG,
			                 "an extent ends at offset %" PRIu64
			                 ", within a cell: the extent table is not this file's",
			                 x->items[i + 1].offset);
	*ret_bytes = bytes;
	return 0;
}

/* Where in the object the bytes of the cell lie of which @plain is the first byte: behind the head, too, if it
 * is the first cell. */
static uint64_t place_of_cell(const struct cells *c, uint64_t plain)
{
	return c->head_bytes + plain / c->plain_bytes * c->stored_bytes;
}

static int decode_cell(const struct block *b, uint64_t plain, struct error *err)
{
	const struct artifact *a = b->artifact;
	const struct cells *c = a->cells;
	uint64_t place = place_of_cell(c, plain), left = a->extents.total_bytes - place;
	size_t stored = left < c->stored_bytes ? (size_t)left : c->stored_bytes;
	struct error why = {0};
	int r = a->layout->ops->decode(a->layout, plain / c->plain_bytes, stored == left,
	                               b->buffer + (place - b->span.stored_offset), stored, &why);

	if (r >= 0)
		return 0;
	return error_set(err, ERROR_CORRUPT, EIO,
	                 "%s is damaged: the %zu stored bytes from offset %" PRIu64
	                 " are as its manifest says, but are not this file's: %s; do not rely on this backup",
	                 a->key, stored, place, why.message);
}

int layout_decode(const struct piece *p, struct error *err)
{
	const struct block *b = p->block;
	const struct cells *c = b->artifact->cells;
	uint64_t from = b->span.stored_offset + p->from, at, end;
	int r = 0;

	if (!c)
		return 0;
	at = cells_plain_offset(c, from);
	end = cells_plain_offset(c, from + p->bytes);
	for (; r == 0 && at < end; at += c->plain_bytes)
		r = decode_cell(b, at, err);
	return r;
}

int layout_iov(const struct block *b, uint64_t from, uint64_t to, struct iovec *iov)
{
	const struct cells *c = b->artifact->cells;
	int count = 0;

	if (!c) {
		*iov = (struct iovec){b->buffer + (from - b->span.offset), (size_t)(to - from)};
		return 1;
	}
	while (from < to) {
		uint64_t within = from % c->plain_bytes, cell = from - within;
		uint64_t stop = cell + c->plain_bytes < to ? cell + c->plain_bytes : to;

		iov[count].iov_base = b->buffer + (place_of_cell(c, cell) - b->span.stored_offset) + within;
		iov[count++].iov_len = (size_t)(stop - from);
		from = stop;
	}
	return count;
}

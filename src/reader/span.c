// SPDX-License-Identifier: Apache-2.0
/*
 * Which bytes a block is. It must follow from the extent table alone, without a list of blocks. The file is
 * cut into cells of one buffer; the extents that begin in one cell form one block, or, when they are longer
 * than a buffer together, two: all but the last (they end within the cell's length of its first) and the
 * last.
 *
 * A block need not be fetched whole: its parts are its extents, or runs of them when there are very many.
 */
#include "reader_private.h"

#define CELL_BYTES ((uint64_t)POOL_BUFFER_BYTES)

static size_t extents_span_bytes(const struct extents *x, size_t first, size_t last)
{
	return (size_t)(x->items[last].offset + x->items[last].length - x->items[first].offset);
}

struct span block_span(const struct extents *x, uint64_t offset)
{
	size_t here = extents_find(x, offset);
	uint64_t cell = x->items[here].offset / CELL_BYTES * CELL_BYTES;
	size_t first = extents_find(x, cell);
	size_t last = extents_find(x, cell + CELL_BYTES - 1);

	if (x->items[first].offset < cell)
		first++;
	if (last == x->count)
		last--;
	if (extents_span_bytes(x, first, last) > CELL_BYTES) {
		if (here == last)
			first = last;
		else
			last--;
	}
	return (struct span){.first = first,
	                     .count = last - first + 1,
	                     .offset = x->items[first].offset,
	                     .bytes = extents_span_bytes(x, first, last)};
}

static unsigned part_count(const struct span *span)
{
	return span->count < PARTS_MAX ? (unsigned)span->count : PARTS_MAX;
}

/* The parts below @part. */
static parts_t parts_below(unsigned part)
{
	return part < PARTS_MAX ? ((parts_t)1 << part) - 1 : ~(parts_t)0;
}

parts_t span_parts(const struct span *span)
{
	return parts_below(part_count(span));
}

size_t span_extent(const struct span *span, unsigned part)
{
	return span->first + part * span->count / part_count(span);
}

size_t span_parts_bytes(const struct extents *x, const struct span *span, parts_t parts)
{
	size_t bytes = 0;

	while (parts) {
		parts_t run = parts_run(parts, 0);
		unsigned first = (unsigned)__builtin_ctzll(run), last = 63 - (unsigned)__builtin_clzll(run);

		bytes += extents_span_bytes(x, span_extent(span, first), span_extent(span, last + 1) - 1);
		parts &= ~run;
	}
	return bytes;
}

/* The part that holds extent @i of the table: the inverse of span_extent(). */
static unsigned part_of(const struct span *span, size_t i)
{
	return (unsigned)(((i - span->first + 1) * part_count(span) - 1) / span->count);
}

parts_t span_parts_of(const struct extents *x, const struct span *span, uint64_t from, uint64_t to)
{
	uint64_t end = span->offset + span->bytes;

	if (from < span->offset)
		from = span->offset;
	if (to > end)
		to = end;
	return parts_below(part_of(span, extents_find(x, to - 1)) + 1) &
	       ~parts_below(part_of(span, extents_find(x, from)));
}

parts_t parts_run(parts_t parts, parts_t fill)
{
	parts_t bit = parts & -parts, run = 0;

	while (bit && (parts & bit || (fill & bit && parts & (bit << 1)))) {
		run |= bit;
		bit <<= 1;
	}
	return run;
}

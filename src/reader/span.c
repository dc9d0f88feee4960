// SPDX-License-Identifier: Apache-2.0
/*
 * Which bytes a block is. It must follow from the extent table alone, without a list of blocks. Lines are
 * drawn through the object, one for each buffer; the extents that begin between two lines form one block, or,
 * when they are longer than a buffer together, two: all but the last (they end before the next line) and the
 * last.
 *
 * A block need not be fetched whole: its parts are its extents, or runs of them when there are very many.
 *
 * A file with a layout is blocks of whole cells, since extents are. 16 of age's cells are 1 MiB of the file, but
 * 256 bytes more than a buffer when they are stored, and than a slot of the disk cache. Lines are drawn around
 * 15 of them (983,280 bytes): that leaves a sixteenth of the buffer unused, and nothing else has to be known
 * about it. A second buffer for the 256 bytes would be one more kind of memory to be had, to be checked and to
 * be kept on the disk.
 *
 * A request of 1 MiB needs at most REQUEST_BLOCKS_MAX blocks: it touches three stretches between lines (a
 * layout's have 512 KiB of the file or more), its first extent may have begun in one before them, and each
 * of these may be two blocks.
 */
#include "reader_private.h"

/* Longer extents there are not: so one always fits into a buffer, and into a slot of the disk cache. */
_Static_assert(EXTENT_MAX_BYTES == POOL_BUFFER_BYTES && EXTENT_MAX_BYTES == CACHE_SLOT_BYTES,
               "an extent is at most a buffer");

/* The line at or before @stored, and the next one. */
static void find_lines(const struct cells *c, uint64_t stored, uint64_t *ret_line, uint64_t *ret_next)
{
	uint64_t lines, width;

	if (!c) {
		*ret_line = stored / POOL_BUFFER_BYTES * POOL_BUFFER_BYTES;
		*ret_next = *ret_line + POOL_BUFFER_BYTES;
		return;
	}
	width = cells_block_bytes(c);
	lines = stored < c->head_bytes ? 0 : (stored - c->head_bytes) / width;
	*ret_line = lines ? c->head_bytes + lines * width : 0;
	*ret_next = c->head_bytes + (lines + 1) * width;
}

static size_t extents_span_bytes(const struct extents *x, size_t first, size_t last)
{
	return (size_t)(x->items[last].offset + x->items[last].length - x->items[first].offset);
}

static struct span make_span(const struct extents *x, const struct cells *c, size_t first, size_t last)
{
	struct span span = {.first = first,
	                    .count = last - first + 1,
	                    .stored_offset = x->items[first].offset,
	                    .stored_bytes = extents_span_bytes(x, first, last)};

	span.offset = c ? cells_plain_offset(c, span.stored_offset) : span.stored_offset;
	span.bytes = c ? (size_t)(cells_plain_offset(c, span.stored_offset + span.stored_bytes) - span.offset)
	               : span.stored_bytes;
	return span;
}

struct span block_span(const struct extents *x, const struct cells *c, uint64_t offset)
{
	size_t here = extents_find(x, c ? cells_stored_offset(c, offset) : offset);
	uint64_t line, next;
	size_t first, last;

	find_lines(c, x->items[here].offset, &line, &next);
	first = extents_find(x, line);
	last = extents_find(x, next - 1);
	if (x->items[first].offset < line)
		first++;
	if (last == x->count)
		last--;
	if (extents_span_bytes(x, first, last) > POOL_BUFFER_BYTES) {
		if (here == last)
			first = last;
		else
			last--;
	}
	return make_span(x, c, first, last);
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

/* How many bytes of the file the extents @first to @last have. */
static size_t plain_bytes(const struct extents *x, const struct cells *c, size_t first, size_t last)
{
	const struct extent *end = &x->items[last];

	if (!c)
		return extents_span_bytes(x, first, last);
	return (size_t)(cells_plain_offset(c, end->offset + end->length) -
	                cells_plain_offset(c, x->items[first].offset));
}

size_t span_parts_bytes(const struct extents *x, const struct cells *c, const struct span *span,
                        parts_t parts)
{
	size_t bytes = 0;

	while (parts) {
		parts_t run = parts_run(parts, 0);
		unsigned first = (unsigned)__builtin_ctzll(run), last = 63 - (unsigned)__builtin_clzll(run);

		bytes += plain_bytes(x, c, span_extent(span, first), span_extent(span, last + 1) - 1);
		parts &= ~run;
	}
	return bytes;
}

/* The part that holds extent @i of the table: the inverse of span_extent(). */
static unsigned part_of(const struct span *span, size_t i)
{
	return (unsigned)(((i - span->first + 1) * part_count(span) - 1) / span->count);
}

parts_t span_parts_of(const struct extents *x, const struct cells *c, const struct span *span, uint64_t from,
                      uint64_t to)
{
	uint64_t end = span->offset + span->bytes;

	if (from < span->offset)
		from = span->offset;
	if (to > end)
		to = end;
	from = c ? cells_stored_offset(c, from) : from;
	to = c ? cells_stored_offset(c, to - 1) : to - 1;
	return parts_below(part_of(span, extents_find(x, to)) + 1) &
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

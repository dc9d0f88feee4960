// SPDX-License-Identifier: Apache-2.0
/*
 * Read-ahead. Each open file has a position, the highest end of what it read in order, and a window, how many
 * blocks beyond it should be on their way. The kernel sends one sequential reader's requests out of order, so
 * a request counts as in order when it lies within the window of the position, before or behind. The window
 * begins with one block at the second request in order (and the rest of the one that is being read) and
 * doubles with each block that is entered; another request ends it. It takes no buffer that somebody needs:
 * when there is none, the window shrinks.
 *
 * Many small files that are parts of one artifact (members of a pack) are opened, read and closed one after the other: each begins with the position and the window of the one
 * before. Otherwise no window would ever begin, and the pack be got in the small pieces that they are.
 *
 * All of it is called with the lock, by the caller of reader_read() or reader_close(): it decides what is to be
 * fetched, and wakes fetchers for it.
 */
#include "reader_private.h"

#define SLACK_BLOCKS 2 /* distance that is in order while the window is small */

/* Of all memory a fourth is left for what is being handed out, and no file has more than another: what one
 * read ahead beyond its share, others would take from it before it was read. */
static unsigned window_limit(const struct reader *reader)
{
	size_t share = reader->block_count / 4, files = reader->sequential_files;

	if (files > 3)
		share = reader->block_count * 3 / 4 / files;
	if (share < 1)
		share = 1;
	return share < reader->ahead_blocks_max ? (unsigned)share : reader->ahead_blocks_max;
}

static void set_window(struct reader_file *f, unsigned blocks)
{
	if (!f->window && blocks)
		f->reader->sequential_files++;
	if (f->window && !blocks)
		f->reader->sequential_files--;
	f->window = blocks;
}

void ahead_begin(struct reader_file *f)
{
	const struct artifact *a = f->artifact;

	if (!f->is_part || !a->part_started)
		return;
	f->started = true;
	f->position = a->part_position;
	f->ahead = a->part_ahead;
	f->inherited = a->part_window;
}

void ahead_end(struct reader_file *f)
{
	struct artifact *a = f->artifact;

	if (f->is_part && f->started && !f->inherited) {
		a->part_started = true;
		a->part_position = f->position;
		a->part_ahead = f->ahead;
		a->part_window = f->window;
	}
	set_window(f, 0);
}

static uint64_t block_end(const struct artifact *a, uint64_t position)
{
	struct span span = block_span(&a->extents, a->cells, position - 1);

	return span.offset + span.bytes;
}

static bool in_order(const struct reader_file *f, uint64_t offset, uint64_t end)
{
	uint64_t slack = (f->window > SLACK_BLOCKS ? f->window : SLACK_BLOCKS) * POOL_BUFFER_BYTES;

	return offset <= f->position + slack && end + slack >= f->position;
}

/* Who has not read on for as long as it takes to fill all memory has no share of it any more. */
static void end_stale_windows(struct reader *reader)
{
	if (reader->tick - reader->stale_tick < reader->block_count)
		return;
	reader->stale_tick = reader->tick;
	for (struct reader_file *f = reader->files; f; f = f->next)
		if (f->window && reader->tick - f->tick > reader->block_count)
			set_window(f, 0);
}

/* Move the position on to @end; false when there is nothing to do for that. */
static bool advance(struct reader_file *f, uint64_t offset, uint64_t end)
{
	unsigned blocks;
	bool entered;

	if (!in_order(f, offset, end) || !f->started) {
		f->started = true;
		f->inherited = 0;
		set_window(f, 0);
		f->position = end;
		f->ahead = 0;
		return false;
	}
	if (f->inherited)
		set_window(f,
		           f->inherited < window_limit(f->reader) ? f->inherited : window_limit(f->reader));
	f->inherited = 0;
	if (end <= f->position)
		return false;
	entered = end > block_end(f->artifact, f->position);
	f->position = end;
	f->tick = f->reader->tick;
	end_stale_windows(f->reader);
	blocks = f->window == 0 ? 1 : entered ? 2 * f->window : f->window;
	set_window(f, blocks < window_limit(f->reader) ? blocks : window_limit(f->reader));
	return true;
}

/* Have @parts of a block fetched as far as they are not there; false when there is no buffer to spare for
 * it. */
static bool fetch_ahead(struct reader *reader, struct artifact *a, const struct span *span, parts_t parts)
{
	struct block *b = block_find(reader, a, span->first);

	if (b)
		block_pin(reader, b);
	else
		b = reader->queue ? NULL : block_make(reader, a, span, false);
	if (!b)
		return false;
	block_want_ahead(reader, b, parts);
	block_unpin(reader, b);
	return true;
}

/* From @from on up to @target; returns where it ended. */
static uint64_t fetch_range_ahead(struct reader_file *f, uint64_t from, uint64_t target)
{
	struct artifact *a = f->artifact;

	while (from < target) {
		struct span span = block_span(&a->extents, a->cells, from);
		uint64_t next = span.offset + span.bytes;

		if (!fetch_ahead(f->reader, a, &span,
		                 span_parts_of(&a->extents, a->cells, &span, from, next)))
			break;
		from = next;
	}
	return from;
}

void ahead_note(struct reader_file *f, uint64_t offset, uint64_t end)
{
	struct artifact *a = f->artifact;
	uint64_t here, target, from;

	if (!advance(f, offset, end) || f->window == 0 || f->position == a->bytes)
		return;
	here = block_span(&a->extents, a->cells, f->position).offset;
	target = here + (f->window + 1) * POOL_BUFFER_BYTES;
	if (target > a->bytes)
		target = a->bytes;
	from = f->ahead > f->position ? f->ahead : f->position;
	/* Nothing small is asked for while there is enough: of several files, others are on their way,
	 * too. */
	if (from > here + POOL_BUFFER_BYTES && target < a->bytes &&
	    target - from < f->window / (f->reader->sequential_files > 1 ? 2 : 4) * POOL_BUFFER_BYTES)
		return;
	f->ahead = fetch_range_ahead(f, from, target);
	if (f->ahead < target)
		set_window(f, f->window > 1 ? f->window / 2 : 1);
}

void ahead_expect(struct reader_file *f, uint64_t at, uint64_t len)
{
	uint64_t bytes = f->artifact->bytes, target = at < bytes && len < bytes - at ? at + len : bytes;

	f->started = true;
	f->position = at;
	f->inherited = f->reader->ahead_blocks_max;
	f->ahead = fetch_range_ahead(f, at, target);
}

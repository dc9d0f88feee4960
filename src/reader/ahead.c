/*
 * Read-ahead. Each open file has a position, the highest end of what it read in order, and a window, how many
 * blocks beyond it should be on their way. The kernel sends one sequential reader's requests out of order, so
 * a request counts as in order when it lies within the window of the position, before or behind. The window
 * begins with one block at the second request in order and doubles with each block that is entered; another
 * request ends it. Read-ahead is asked for in batches, so that one get brings several blocks, and it takes no
 * buffer that somebody needs: when there is none, the window shrinks.
 */
#include "reader_private.h"

#define SLACK_BLOCKS 2 /* distance that is in order while the window is small */

static unsigned window_limit(const struct reader *r)
{
	size_t share = r->block_count / 4;

	return share < AHEAD_BLOCKS ? (unsigned)share : AHEAD_BLOCKS;
}

static uint64_t block_end(const struct artifact *a, uint64_t position)
{
	struct span span = block_span(&a->extents, position - 1);

	return span.offset + span.bytes;
}

static bool in_order(const struct reader_file *f, uint64_t offset, uint64_t end)
{
	uint64_t slack = (f->window > SLACK_BLOCKS ? f->window : SLACK_BLOCKS) * POOL_BUFFER_BYTES;

	return offset <= f->position + slack && end + slack >= f->position;
}

/* Move the position on to @end; false when there is nothing to do for that. */
static bool advance(struct reader_file *f, uint64_t offset, uint64_t end)
{
	bool entered;

	if (!in_order(f, offset, end) || !f->started) {
		f->started = true;
		f->window = 0;
		f->position = end;
		f->ahead = 0;
		return false;
	}
	if (end <= f->position)
		return false;
	entered = end > block_end(f->artifact, f->position);
	f->position = end;
	if (f->window == 0)
		f->window = 1;
	else if (entered)
		f->window *= 2;
	if (f->window > window_limit(f->reader))
		f->window = window_limit(f->reader);
	return true;
}

void ahead_note(struct reader_file *f, uint64_t offset, uint64_t end)
{
	struct reader *r = f->reader;
	struct artifact *a = f->artifact;
	uint64_t from, target, batch;

	if (!advance(f, offset, end))
		return;
	from = block_end(a, f->position);
	target = from + f->window * POOL_BUFFER_BYTES;
	if (target > a->extents.total_bytes)
		target = a->extents.total_bytes;
	if (f->ahead > from)
		from = f->ahead;
	batch = f->window > 4 ? f->window / 4 * POOL_BUFFER_BYTES : POOL_BUFFER_BYTES;
	if (from >= target || (target - from < batch && target < a->extents.total_bytes))
		return;
	while (from < target) {
		struct span span = block_span(&a->extents, from);

		if (!block_find(r, a, span.first)) {
			struct block *b = r->queue ? NULL : block_make(r, a, &span, false);

			if (!b) {
				f->window = f->window > 1 ? f->window / 2 : 1;
				break;
			}
			block_queue(r, b, false);
		}
		from = span.offset + span.bytes;
	}
	f->ahead = from;
}

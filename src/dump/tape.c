// SPDX-License-Identifier: Apache-2.0
/* A table is cut only where the server can read ranges of its pages, and only when it is more than a slice.
 * Its last range has no end: pages that were added meanwhile hold nothing of the snapshot, and asking for
 * them costs nothing. */
#include "tape.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>
#include <string.h>

#define SLICE_MIN_BYTES   ((uint64_t)2 << 20)
#define SLICE_MAX_BYTES   ((uint64_t)32 << 20)
#define SLICES_PER_READER 16
#define COMPRESSED_TO     2 /* times smaller, at least, as a rule; where not, readers wait for their turn */
#define ENTRY_COSTS_BYTES                                                                                    \
	((uint64_t)128 << 10) /* what an empty table costs in questions and answers, in bytes of rows */

uint64_t tape_slice_bytes(uint64_t total_bytes, unsigned readers, uint64_t budget_bytes)
{
	uint64_t bytes = total_bytes / ((uint64_t)readers * SLICES_PER_READER);
	uint64_t most = budget_bytes / readers * COMPRESSED_TO;

	if (bytes > most)
		bytes = most;
	if (bytes < SLICE_MIN_BYTES)
		return SLICE_MIN_BYTES;
	return bytes < SLICE_MAX_BYTES ? bytes : SLICE_MAX_BYTES;
}

static void add_piece(struct tape *t, const struct piece *piece)
{
	if (t->piece_count == t->piece_cap) {
		t->piece_cap = t->piece_cap ? t->piece_cap * 2 : 64;
		t->pieces = mem_resize(t->pieces, t->piece_cap, sizeof(*t->pieces));
	}
	t->pieces[t->piece_count++] = *piece;
}

/* Ends the slice that is open: all pieces since the last one ended. */
static void end_slice(struct tape *t)
{
	size_t first = 0;

	if (t->slice_count > 0)
		first = t->slices[t->slice_count - 1].first_piece + t->slices[t->slice_count - 1].pieces;
	if (first == t->piece_count)
		return;
	if (t->slice_count == t->slice_cap) {
		t->slice_cap = t->slice_cap ? t->slice_cap * 2 : 64;
		t->slices = mem_resize(t->slices, t->slice_cap, sizeof(*t->slices));
	}
	t->slices[t->slice_count++] = (struct slice){first, t->piece_count - first};
}

static void cut_table(struct tape *t, const struct piece *whole, uint64_t slice_bytes)
{
	uint64_t ranges = (whole->table->total_bytes + slice_bytes - 1) / slice_bytes;
	uint32_t pages = whole->table->pages;

	if (ranges > pages)
		ranges = pages;
	end_slice(t);
	for (uint64_t i = 0; i < ranges; i++) {
		struct piece piece = *whole;

		piece.from_page = (uint32_t)(pages * i / ranges);
		piece.to_page = i + 1 == ranges ? UINT32_MAX : (uint32_t)(pages * (i + 1) / ranges);
		piece.first = i == 0;
		piece.last = i + 1 == ranges;
		add_piece(t, &piece);
		end_slice(t);
	}
}

void tape_cut(struct tape *ret, struct contents *contents, const struct pg_table *tables,
              uint64_t slice_bytes)
{
	struct tape t = {0};
	uint64_t weight = 0;

	for (size_t i = 0; i < contents->count; i++) {
		struct content *content = &contents->items[i];
		const struct pg_table *table = content->blobs ? NULL : &tables[i];
		const struct piece whole = {content, table, 0, UINT32_MAX, true, true};
		uint64_t bytes = table ? table->total_bytes : slice_bytes;

		t.bytes += bytes;
		if (table && table->by_pages && table->pages > 1 && bytes > slice_bytes &&
		    content->has_columns) { /* without a list of them there are none to select */
			cut_table(&t, &whole, slice_bytes);
			weight = 0;
			continue;
		}
		add_piece(&t, &whole);
		weight += bytes + ENTRY_COSTS_BYTES;
		if (weight >= slice_bytes) {
			end_slice(&t);
			weight = 0;
		}
	}
	end_slice(&t);
	*ret = t;
}

void tape_finish(struct tape *t)
{
	free(t->pieces);
	free(t->slices);
	*t = (struct tape){0};
}

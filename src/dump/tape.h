// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The tape: all entries with data, end to end in the order of the table of contents, cut into slices of about
 * the same weight. A slice is one connection's next piece of work, and a contiguous piece of the archive:
 * several small tables, or a range of one large table's pages. Pure.
 */
#include "contents.h"

#include <keepfs/pg/snapshot.h>

struct piece { /* of one entry */
	struct content *content;
	const struct pg_table *table; /* NULL: large objects */
	uint32_t from_page, to_page;  /* 0 and UINT32_MAX: all of it */
	bool first, last;             /* of its entry's pieces */
};

struct slice {
	size_t first_piece, pieces;
};

struct tape {
	struct piece *pieces;
	size_t piece_count, piece_cap;
	struct slice *slices;
	size_t slice_count, slice_cap;
	uint64_t bytes; /* of all tables, as far as known */
};

/** tape_cut() - @tables: one for each of @contents' items, in their order */
void tape_cut(struct tape *ret, struct contents *contents, const struct pg_table *tables,
              uint64_t slice_bytes);
void tape_finish(struct tape *t);
/** tape_slice_bytes() - how large slices should be: small enough that all readers have work to the end and
 * that what they make out of turn, compressed, fits into @budget_bytes; large enough that what a query costs
 * at its beginning does not count. */
uint64_t tape_slice_bytes(uint64_t total_bytes, unsigned readers, uint64_t budget_bytes);

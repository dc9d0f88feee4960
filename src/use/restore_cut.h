// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What is loaded at once: an archive's data cut into pieces for several connections. Pure.
 *
 * What is next to one another in the archive is one piece: many small tables, or one large one, so that an extent that holds a thousand tables
 * is not fetched a thousand times. Where that would leave connections without work because one table is larger than its share, that table is
 * cut into parts, at segments, each of which can be decompressed by itself (codec/segments.h). A segment does not begin with a row: a part
 * has the rows that begin behind its first byte and up to the byte behind its last one, so each row is in exactly one part, and one that is longer
 * than a part leaves that part without any.
 */
#include <keepfs/inside/toc.h>

struct restore_piece {
	size_t first, last; /* entries */
	uint64_t bytes;     /* what it weighs beside others */
	unsigned part;      /* of so many of its entry; 0 of 0: whole entries */
	unsigned parts;
	size_t from, to;    /* of a part: records of the index, @to is behind the last one */
	uint64_t raw_bytes; /* of a part, but the last one: of these records */
};

struct restore_pieces {
	struct restore_piece *items;
	size_t count;
	unsigned tables_in_parts;
};
static inline void cleanup_restore_pieces(struct restore_pieces *p)
{
	free(p->items);
}

/** restore_cut() - all that is wanted, the largest first; tables that the restore has made may be in parts, where there is an index. Returns how
 * many connections can be of use, at most @jobs. */
unsigned restore_cut(const struct inside_toc *t, unsigned jobs, struct restore_pieces *ret);

/** struct restore_window - which bytes of a part are its own; begins with at = 0 and, of the first part, begun = true. */
struct restore_window {
	uint64_t at;      /* so many bytes came, from the begin of the part's first segment */
	uint64_t end;     /* rows that begin up to here are its own; UINT64_MAX: all that follow */
	bool begun, over; /* its first row was found; the end of its last one was */
};

/** restore_window_take() - the next bytes; those of them that are its own. */
size_t restore_window_take(struct restore_window *w, const char *data, size_t len, const char **ret);

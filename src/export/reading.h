// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Readers: each has a connection that sees the same snapshot, and makes of rows what the format makes of them, compressed where the format passes that
 * on. What they make comes out in the order of the units (keepfs/stream/ordered.h, turns), on the thread that calls.
 *
 * The first reader has the connection of the export itself. Whatever keeps others from joining (a pooler, a standby, no connection left, a lock
 * that somebody waits for) is no failure: there are fewer readers then.
 */
#include "exporting.h"
#include "units.h"

/** reading_run() - all @units, to e->writer. The memory is that of exporting_open(). */
int reading_run(struct exporting *e, const struct read_units *units, struct error *err);
/** reading_order() - of any table of @e. */
struct rows_order reading_order(const struct exporting *e);

/** enum reading_mark - what stands before the segments of a turn */
enum reading_mark {
	READING_TABLE,     /* number @value of the plan begins */
	READING_RAW,       /* the next segment is of @value rows, as they are */
	READING_PRESSED,   /* of @value rows, compressed */
	READING_TABLE_END, /* it ends */
};
/** struct reading_piece - gathers what a unit's rows have become, and sends it as segments of its turn: for readers, and for their tests */
struct reading_piece {
	struct squeeze *squeeze;
	struct turn *turn;
	bool passes; /* the format takes compressed rows, but for the first of a unit, which may be the first of its table */
	bool has_first;   /* it came */
	size_t first_len; /* of what is gathered; 0: it was sent */
	uint64_t rows;    /* gathered */
};
int reading_piece_take(struct reading_piece *p, const char *bytes, size_t len, uint64_t rows,
                       struct error *err);
/** reading_piece_end() - the unit has ended: the rest is sent. */
int reading_piece_end(struct reading_piece *p, struct error *err);

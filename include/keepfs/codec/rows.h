// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Rows of a table in COPY's text format, counted and hashed as they pass. The hash does not depend on the
 * order of the rows: the sum, modulo 2^64, of the XXH3-64 of each row without its line end. So the ranges of
 * a table that were read over several connections add up, and a table that was restored in another order has
 * the same. The line "\." and what follows it, as pg_dump writes them behind the rows, are not counted. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rows {
	uint64_t count;
	uint64_t bytes; /* with their line ends */
	uint64_t hash;
};

struct rows_scan; /* keeps a row that is not whole yet only as a running hash */
struct rows_scan *rows_scan_new(void);
struct rows_scan *rows_scan_free(struct rows_scan *s);
void rows_scan_feed(struct rows_scan *s, const void *data, size_t len);
/** struct rows_piece - what several threads can count of pieces of one table, each by itself: the rows that are whole in it. */
struct rows_piece {
	struct rows rows;
	size_t head,
	        tail; /* bytes of the rows that begin before it, with their line end, and end behind it */
	bool is_last; /* the end of the rows is in it, or it has no line end: nothing was counted, it is to be fed */
};
/** rows_piece_count() - of @len bytes, from anywhere in a table. */
void rows_piece_count(const void *data, size_t len, struct rows_piece *ret);
/** rows_scan_add() - the next piece of a table: as rows_scan_feed() of @data, of which @piece was counted. */
void rows_scan_add(struct rows_scan *s, const void *data, size_t len, const struct rows_piece *piece);
/** rows_scan_end() - the table ended: what was counted, added to @io; the scan begins anew. False when the
 * last row has no line end, or bytes other than line ends came behind "\.". */
bool rows_scan_end(struct rows_scan *s, struct rows *io);

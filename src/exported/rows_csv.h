// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * CSV (RFC 4180) into rows of one table, as it comes. The first line has the names of the columns, in any order. Whoever edits CSV in a spreadsheet gets other line ends, a mark at the
 * beginning (U+FEFF), and more quotes or fewer: all of that is taken. What it makes of NULL is in docs/formats.md. One thread.
 */
#include "batch.h"

struct csv_rows;
/** csv_rows_new() - of table @place of @head, both borrowed. */
struct csv_rows *csv_rows_new(const struct exported_head *head, size_t place, struct row_batch *batch);
struct csv_rows *csv_rows_free(struct csv_rows *c); /* NULL allowed; returns NULL */
/** csv_rows_feed() - the next bytes. -EBADMSG: @err names the line. */
int csv_rows_feed(struct csv_rows *c, const char *data, size_t len, struct error *err);
/** csv_rows_end() - that was all. */
int csv_rows_end(struct csv_rows *c, struct error *err);
/** csv_rows_count() - how many rows have come. */
uint64_t csv_rows_count(const struct csv_rows *c);

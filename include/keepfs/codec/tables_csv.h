// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * `.tables.csv`, what was counted of a dump while it was made: a line for each entry with data, in the order of the archive
 * (docs/formats.md). Pure: told the bytes as they come, in pieces of any size, it keeps one line.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/rows.h>
#include <stdbool.h>
#include <stddef.h>

struct tables_csv_line { /* the texts are borrowed for the call */
	const char *schema, *table;
	struct rows rows;
	bool has_hash; /* large objects have none */
};

struct tables_csv;

/** tables_csv_new() - @line is called for each line behind the heading; a negative return ends the reading with that. */
struct tables_csv *
tables_csv_new(int (*line)(void *arg, const struct tables_csv_line *line, struct error *err), void *arg);
struct tables_csv *tables_csv_free(struct tables_csv *t); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(tables_csv, struct tables_csv *, tables_csv_free)
/** tables_csv_feed() - the next @len bytes. -EBADMSG (ERROR_CORRUPT, with the line's number): it is no such file. */
int tables_csv_feed(struct tables_csv *t, const void *data, size_t len, struct error *err);
/** tables_csv_end() - that was all: -EBADMSG when the file ends within a line, or has no heading. */
int tables_csv_end(struct tables_csv *t, struct error *err);

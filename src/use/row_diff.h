// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which rows of a table are in one dump and not in another: both are read twice, once to find out which rows have no equal, and
 * once for the text of those. The first time both are read at once, on two threads, and none gets far ahead of the other, because rows that
 * have their equal at about the same place cost neither time nor disk (unmatched.h).
 *
 *   row_diff_new()      reads both tables
 *   row_diff_count()    how many rows are on one side only
 *   row_diff_read()     reads one side again, as far as is needed, and hands these out
 */
#include "unmatched.h"

struct row_diff_table { /* a version of the table */
	/** read() - all its rows, in COPY's text format, the same ones at each call; @take may end it with a negative return. Any thread; blocks. */
	int (*read)(void *arg, int (*take)(void *arg, const void *data, size_t len, struct error *err),
	            void *take_arg, struct error *err);
	void *arg;
};

struct row_diff_options {
	struct row_diff_table tables[2]; /* by enum unmatched_side */
	struct unmatched_options unmatched;
	struct cancel *cancel; /* NULL: it cannot be cancelled */
	/* So many more bytes of rows were read; any thread, also two at once; NULL: nobody looks. */
	void (*progress)(void *arg, uint64_t bytes);
	void *arg;
};

struct row_diff;

/**
 * row_diff_new() - compare
 * Return: 0; -ENOSPC (ERROR_NO_SPACE), with what to do; -ECANCELED; -EBADMSG: rows without an end; or what read() returned.
 * *@ret_failed (NULL allowed): the table whose reading @err is about; untouched when it is about none.
 */
int row_diff_new(const struct row_diff_options *options, struct row_diff **ret,
                 enum unmatched_side *ret_failed, struct error *err);
struct row_diff *row_diff_free(struct row_diff *d); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(row_diff, struct row_diff *, row_diff_free)
/** row_diff_count() - rows of @side for which the other has none. */
uint64_t row_diff_count(const struct row_diff *d, enum unmatched_side side);
/** row_diff_rows() - all rows of @side. */
uint64_t row_diff_rows(const struct row_diff *d, enum unmatched_side side);

/** struct row_diff_out - whom these rows are given: pieces of a row, without its line end; @ends: of the last one of each. */
struct row_diff_out {
	int (*row)(void *arg, const void *data, size_t len, bool ends, struct error *err);
	void *arg;
};
/** row_diff_read() - the rows of @side that row_diff_count() counted, in their order. Return: as row_diff_new(), or what row() returned. */
int row_diff_read(struct row_diff *d, enum unmatched_side side, const struct row_diff_out *out,
                  struct error *err);

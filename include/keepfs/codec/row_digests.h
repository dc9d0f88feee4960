// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The digest of each row of a table in COPY's text format, by which rows of two dumps are held against one another: the XXH3-128 of the row
 * without its line end. That any two rows which differ have the same one is less likely than 1 to 10^20, in two tables of a billion rows each; it is
 * no protection against rows that somebody has made for that. Pure: rows come in pieces of any size, and a row that is not whole yet is kept only as a running hash.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stddef.h>
#include <stdint.h>

struct row_digest {
	uint64_t high, low;
};

struct row_digests;

/** row_digests_new() - @row is called for each row, in order; a negative return ends the reading with that and @err. */
struct row_digests *row_digests_new(int (*row)(void *arg, const struct row_digest *digest, struct error *err),
                                    void *arg);
struct row_digests *row_digests_free(struct row_digests *d); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(row_digests, struct row_digests *, row_digests_free)
/** row_digests_feed() - the next @len bytes of the table. Return: 0, or what @row returned. */
int row_digests_feed(struct row_digests *d, const void *data, size_t len, struct error *err);
/** row_digests_end() - that was all: -EBADMSG (ERROR_CORRUPT) when the last row has no line end. */
int row_digests_end(struct row_digests *d, struct error *err);
/** row_digest_of() - of @len bytes that are all of a row, or of any other text. */
struct row_digest row_digest_of(const void *data, size_t len);

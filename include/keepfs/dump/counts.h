// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A custom archive that somebody else has made, looked at as it passes: is it whole, and what is in it? What is counted is what a dump of our own has in its .tables.csv: rows, bytes and a hash of
 * each table. It is decompressed for that, on the caller's thread; what grows with the number of tables is in a spool. One thread.
 *
 * Of an archive that is compressed with lz4, or has INSERT commands in the place of rows, nothing is counted; its structure is checked all the same.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/pg_archive.h>
#include <keepfs/codec/rows.h>

struct archive_counts;

/** archive_counts_new() - @directory: for the spool. */
struct archive_counts *archive_counts_new(const char *directory);
struct archive_counts *archive_counts_free(struct archive_counts *c); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(archive_counts, struct archive_counts *, archive_counts_free)
/** archive_counts_feed() - the next @len bytes. -EBADMSG (ERROR_CORRUPT): they are damaged; -ENOTSUP: of a version that is not known here; or what the disk of the spool said. */
int archive_counts_feed(struct archive_counts *c, const void *data, size_t len, struct error *err);
/** archive_counts_end() - that was all: -EBADMSG when the archive is cut off. */
int archive_counts_end(struct archive_counts *c, struct error *err);
/** archive_counts_facts() - borrowed; complete after the end. */
const struct pg_archive_facts *archive_counts_facts(const struct archive_counts *c);

/** struct archive_sums - after the end */
struct archive_sums {
	bool is_counted; /* else all else is 0 */
	uint64_t rows, bytes, tables;
	char *largest; /* heap; NULL: none has rows: the fact `largest_tables` */
};
int archive_counts_sum(const struct archive_counts *c, struct archive_sums *ret, struct error *err);
/** archive_counts_write() - what .tables.csv has to have, in pieces; only of one that is counted. */
int archive_counts_write(const struct archive_counts *c,
                         int (*write)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                         struct error *err);

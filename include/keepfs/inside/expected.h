// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What a dump must hold: the lines of its tables.csv, kept in a spool, and taken in their order, which is that of the archive. */
#include <keepfs/inside/backup.h>

#include <keepfs/base/spool.h>
#include <keepfs/codec/rows.h>

struct expected {
	struct spool *lines; /* NULL: the backup has no such file */
	uint64_t at;         /* of the next one */
};

struct expected_line {
	char *schema; /* heap; holds the other, too */
	const char *table;
	struct rows rows;
	bool has_hash;
};

static inline void cleanup_expected_line(struct expected_line *l)
{
	free(l->schema);
}

/** expected_load() - from the store. */
int expected_load(struct expected *x, struct backup *b, struct error *err);
void expected_finish(struct expected *x);
static inline void cleanup_expected(struct expected *x)
{
	expected_finish(x);
}
/** expected_next() - 1: the next line; 0: there was none left. */
int expected_next(struct expected *x, struct expected_line *ret, struct error *err);
/**
 * expected_check() - the next entry of the archive holds @found
 * @blobs: it is of large objects, whose bytes have no hash
 * Nothing is checked without lines. -EBADMSG (ERROR_CORRUPT) names the table, and what differs.
 */
int expected_check(struct expected *x, const struct rows *found, bool blobs, struct error *err);
/** expected_check_end() - there are no further lines. */
int expected_check_end(struct expected *x, struct error *err);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The beginning of an archive as pg_dump writes it, kept until its table of contents is complete, and then until the
 * end: the offsets of all entries are known last. It grows with the database, and so it is kept in a spool.
 */
#include "contents.h"

#include <keepfs/base/spool.h>
#include <keepfs/codec/pg_archive_head.h>

/* What a table of contents may take of the disk under state_dir. Five million tables take about as much. */
#define TOC_MAX_BYTES ((uint64_t)2 << 30)

/** struct toc - header and table of contents, as they came */
struct toc {
	struct pg_archive_facts facts; /* facts.toc_end: how long it is */
	struct spool *spool;
	uint32_t crc32c; /* of all of it: what comes back from the disk is checked */
};

void toc_finish(struct toc *toc);
/** toc_write() - pass it through a head with these options, whose facts are filled in here. -EBADMSG: the disk has not kept
 * what it was given. */
int toc_write(const struct toc *toc, const struct pg_archive_head_options *options, struct error *err);

struct toc_reader {
	struct contents *contents; /* borrowed; filled */
	struct pg_archive_scan *scan;
	const char *directory; /* borrowed: of the spool */
	uint64_t max_bytes;    /* of the table of contents */
	struct toc toc;        /* as far as it came */
	bool complete;
	const void *piece; /* while it is fed; it begins at @piece_at */
	uint64_t piece_at;
	int (*on_complete)(struct toc_reader *,
	                   struct error *); /* from within the feeding, before any data; NULL */
};

/** toc_reader_init() - @directory: for the spool. @data: what to call for data, with the reader as its arg; NULL: nobody
 * wants it. */
void toc_reader_init(struct toc_reader *t, struct contents *contents, const char *directory,
                     const struct pg_archive_events *data);
void toc_reader_finish(struct toc_reader *t);
static inline void cleanup_toc_reader(struct toc_reader *t)
{
	toc_reader_finish(t);
}
/** toc_reader_feed() - as pg_archive_scan_feed(); -EFBIG: the table of contents takes more than max_bytes, and what the
 * spool failed with. */
int toc_reader_feed(struct toc_reader *t, const void *data, size_t len, struct error *err);
/** toc_reader_take() - hands it over, once complete: the caller's toc_finish(). */
struct toc toc_reader_take(struct toc_reader *t);

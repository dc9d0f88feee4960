// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The beginning of an archive as pg_dump writes it, kept until its table of contents is complete. */
#include "contents.h"

#include <keepfs/codec/pg_archive_head.h>

struct toc_reader {
	struct contents *contents; /* borrowed; filled */
	struct pg_archive_scan *scan;
	struct str bytes;              /* header and table of contents, as far as they came */
	size_t max_bytes;              /* of those */
	struct pg_archive_facts facts; /* once complete */
	bool complete;
	int (*on_complete)(struct toc_reader *,
	                   struct error *); /* from within the feeding, before any data; NULL */
};

/** toc_reader_init() - @data: what to call for data, with the reader as its arg; NULL: nobody wants it. */
void toc_reader_init(struct toc_reader *t, struct contents *contents, size_t max_bytes,
                     const struct pg_archive_events *data);
void toc_reader_finish(struct toc_reader *t);
static inline void cleanup_toc_reader(struct toc_reader *t)
{
	toc_reader_finish(t);
}
/** toc_reader_feed() - as pg_archive_scan_feed(); -EFBIG: the table of contents takes more than max_bytes. */
int toc_reader_feed(struct toc_reader *t, const void *data, size_t len, struct error *err);
/** toc_reader_head() - takes the bytes, once complete. */
struct pg_archive_head *toc_reader_head(struct toc_reader *t);

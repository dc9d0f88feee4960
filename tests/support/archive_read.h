// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What an archive holds, taken out of it in the way pg_restore does, and as strictly: a test compares two of
 * them.
 */
#include <keepfs/base/str.h>
#include <keepfs/codec/pg_archive.h>

struct archive_item { /* the data of a table, a large object, or (oid 0) that a block of them was there */
	int dump_id;
	bool blobs;
	uint32_t oid;
	struct str data; /* not compressed any more */
};

struct archive_content {
	struct pg_archive_facts facts;
	struct str entries; /* one line for each, of all that is told */
	struct archive_item *items;
	size_t item_count;
};

/**
 * archive_read() - all of the archive of @len bytes
 * @decode: undo the compression that its header says; else its data is taken as it is
 * Return: 0; what the scan refused it with; -EILSEQ when the data is not what pg_restore can read
 */
int archive_read(const void *data, size_t len, bool decode, struct archive_content *ret, struct error *err);
/** archive_content_equal() - the same entries and the same data, in the same order. */
bool archive_content_equal(const struct archive_content *a, const struct archive_content *b);
/** archive_offsets_right() - does each entry with data say where its block begins? */
bool archive_offsets_right(const void *data, size_t len);
void archive_content_finish(struct archive_content *c);
static inline void cleanup_archive_content(struct archive_content *c)
{
	archive_content_finish(c);
}

// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The segment index of a dump: where in its file the data of each table can be entered without what comes before, how many
 * raw bytes and rows follow there, so that a part of a table can be read without the whole. A segment is what was compressed
 * by itself (codec/compression.h). Its format is in docs/formats.md, and a promise.
 *
 * Memory is bounded: beyond a number of records two neighbours of one table become one, which is then entered at the first.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/compression.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_INDEX_MAX          ((size_t)1 << 16) /* records: 1.5 MiB */
#define SEGMENT_INDEX_RECORD_BYTES 24
#define SEGMENT_INDEX_HEAD_BYTES   24

struct segment_record {
	uint32_t entry;  /* of the table of contents: its dump id */
	uint32_t oid;    /* of a large object; 0: rows of a table */
	uint64_t offset; /* in the file that holds the entry's data; of an archive where its chunk begins */
	uint32_t raw_bytes; /* until the next record of the entry, or its end */
	uint32_t lines;     /* of those bytes; the last record of a table counts the three of its end, too */
};

struct segment_index { /* zeroed: empty */
	struct segment_record *items;
	size_t count, cap;
	unsigned merged; /* each record stands for so many segments, as a power of two */
	unsigned open;   /* how many segments the last one holds so far */
};

void segment_index_finish(struct segment_index *x);
static inline void cleanup_segment_index(struct segment_index *x)
{
	segment_index_finish(x);
}
/** segment_index_add() - the next segment, in the order of the file. @most: records, at least 2; more are merged, and of
 * large objects left out: an index may lack some, which are then found from the begin of their block. */
void segment_index_add(struct segment_index *x, const struct segment_record *segment, size_t most);
/** segment_index_encode() - the stored form, on the heap. */
uint8_t *segment_index_encode(const struct segment_index *x, size_t *ret_len);
/** segment_index_decode() - replaces @x. -EBADMSG: it is none; -ENOTSUP: of a newer version. */
int segment_index_decode(const uint8_t *data, size_t len, struct segment_index *x, struct error *err);

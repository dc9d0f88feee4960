// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/segments.h>

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>

#define MAGIC   "keepfs-i"
#define VERSION 1

struct stored_head {
	char magic[8];
	uint32_t version;      /* little-endian, as all numbers */
	uint32_t record_bytes; /* a later version may have longer ones */
	uint64_t records;
};

struct stored_record {
	uint32_t entry, oid;
	uint64_t offset;
	uint32_t raw_bytes, lines;
};

static_assert(sizeof(struct stored_head) == SEGMENT_INDEX_HEAD_BYTES, "docs/formats.md promises it");
static_assert(sizeof(struct stored_record) == SEGMENT_INDEX_RECORD_BYTES, "docs/formats.md promises it");

void segment_index_finish(struct segment_index *x)
{
	free(x->items);
	*x = (struct segment_index){0};
}

static bool is_of_same(const struct segment_record *a, const struct segment_record *b)
{
	return a->entry == b->entry && a->oid == b->oid;
}

static bool join_records(struct segment_record *a, const struct segment_record *b)
{
	uint32_t raw, lines;

	if (!is_of_same(a, b) || __builtin_add_overflow(a->raw_bytes, b->raw_bytes, &raw) ||
	    __builtin_add_overflow(a->lines, b->lines, &lines))
		return false;
	a->raw_bytes = raw;
	a->lines = lines;
	return true;
}

/* Of each two neighbours of one table, one. */
static void merge(struct segment_index *x)
{
	size_t kept = 0;
	bool paired = true;

	for (size_t i = 0; i < x->count; i++) {
		if (!paired && join_records(&x->items[kept - 1], &x->items[i])) {
			paired = true;
			continue;
		}
		x->items[kept++] = x->items[i];
		paired = false;
	}
	x->count = kept;
	x->merged++;
	x->open = 1U << x->merged;
}

void segment_index_add(struct segment_index *x, const struct segment_record *segment, size_t most)
{
	if (x->count > 0 && x->open < 1U << x->merged && join_records(&x->items[x->count - 1], segment)) {
		x->open++;
		return;
	}
	/* Tables and large objects that have one record each cannot be merged. Tables are as many as the table of contents
	 * has; there may be millions of large objects, each of which can be found from the begin of its block as well. */
	if (x->count >= most && x->merged < 16)
		merge(x);
	if (segment->oid != 0 && x->count >= 2 * most)
		return;
	if (x->count == x->cap) {
		x->cap = x->cap ? 2 * x->cap : 64;
		x->items = mem_resize(x->items, x->cap, sizeof(*x->items));
	}
	x->items[x->count++] = *segment;
	x->open = 1;
}

uint8_t *segment_index_encode(const struct segment_index *x, size_t *ret_len)
{
	struct stored_head head = {.version = htole32(VERSION),
	                           .record_bytes = htole32(SEGMENT_INDEX_RECORD_BYTES),
	                           .records = htole64(x->count)};
	uint8_t *data = mem_alloc(sizeof(head) + x->count * sizeof(struct stored_record)),
	        *at = data + sizeof(head);

	memcpy(head.magic, MAGIC, sizeof(head.magic));
	memcpy(data, &head, sizeof(head));
	for (size_t i = 0; i < x->count; i++, at += sizeof(struct stored_record)) {
		const struct segment_record *from = &x->items[i];
		const struct stored_record record = {.entry = htole32(from->entry),
		                                     .oid = htole32(from->oid),
		                                     .offset = htole64(from->offset),
		                                     .raw_bytes = htole32(from->raw_bytes),
		                                     .lines = htole32(from->lines)};

		memcpy(at, &record, sizeof(record));
	}
	*ret_len = (size_t)(at - data);
	return data;
}

static int refuse_index(struct error *err, const char *why)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "no segment index: %s", why);
}

int segment_index_decode(const uint8_t *data, size_t len, struct segment_index *x, struct error *err)
{
	_cleanup(segment_index) struct segment_index index = {0};
	struct stored_head head;
	size_t records;

	if (len < sizeof(head))
		return refuse_index(err, "it is too short");
	memcpy(&head, data, sizeof(head));
	if (memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0)
		return refuse_index(err, "it does not begin like one");
	if (le32toh(head.version) != VERSION || le32toh(head.record_bytes) != SEGMENT_INDEX_RECORD_BYTES)
		return error_set(err, ERROR_USAGE, ENOTSUP,
		                 "the segment index is of version %u, this keepfs knows %d",
		                 le32toh(head.version), VERSION);
	records = (len - sizeof(head)) / sizeof(struct stored_record);
	if (le64toh(head.records) != records || (len - sizeof(head)) % sizeof(struct stored_record) != 0)
		return refuse_index(err, "it does not have as many records as it says");
	index.items = mem_array(records + 1, sizeof(*index.items));
	index.cap = records + 1;
	for (; index.count < records; index.count++) {
		struct stored_record from;

		memcpy(&from, data + sizeof(head) + index.count * sizeof(from), sizeof(from));
		index.items[index.count] = (struct segment_record){.entry = le32toh(from.entry),
		                                                   .oid = le32toh(from.oid),
		                                                   .offset = le64toh(from.offset),
		                                                   .raw_bytes = le32toh(from.raw_bytes),
		                                                   .lines = le32toh(from.lines)};
	}
	segment_index_finish(x);
	*x = index;
	index = (struct segment_index){0};
	return 0;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Lists the extents of what passes. They end at multiples of one length of the object's offsets (counted
 * behind what comes before the first cell), and at its end, however the bytes come. The length begins with
 * the whole cells of EXTENT_MIN_BYTES; when the table is full, it becomes the next multiple of itself of
 * which the longest is one too (without cells to mind: it doubles), and what lies between the same two
 * multiples is merged. At the longest it stays, and the table grows. Of a head, which is entered before all
 * else, nothing is merged: its CRCs are known last.
 */
#include "lister.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>
#include <keepfs/store.h>

#include <assert.h>
#include <stdlib.h>

struct lister {
	struct sink sink;
	struct sink *next;
	struct extents *extents;
	size_t head_bytes, head_extents;
	size_t head_at, head_extent; /* of these, what came */
	uint32_t head_crc;           /* of what came of that extent */
	size_t max_extents;
	uint32_t origin;       /* the multiples are counted from here */
	uint32_t length;       /* of whose multiples extents end at each */
	uint32_t max_length;   /* a multiple of it */
	uint32_t extent_bytes; /* of the extent that is not full yet */
	uint32_t extent_crc;
};

/* Does a whole extent end at @offset? */
static bool is_end(const struct lister *l, uint64_t offset)
{
	return offset > l->origin && (offset - l->origin) % l->length == 0;
}

/* What is left until the extent is full. */
static uint32_t room_in_extent(const struct lister *l)
{
	uint64_t end = l->extents->total_bytes + l->extent_bytes;

	if (end < l->origin)
		return (uint32_t)(l->origin + l->length - end);
	return l->length - (uint32_t)((end - l->origin) % l->length);
}

/* The last extent goes on, with the open one behind it, when the new length lets it. */
static void reopen_last(struct lister *l)
{
	struct extents *x = l->extents;
	const struct extent *last = &x->items[x->count - 1];

	if (x->count == l->head_extents || is_end(l, x->total_bytes))
		return;
	l->extent_crc = crc32c_combine(last->crc32c, l->extent_crc, l->extent_bytes);
	l->extent_bytes += last->length;
	x->total_bytes = last->offset;
	x->count--;
}

static uint32_t next_length(const struct lister *l)
{
	uint32_t length = 2 * l->length;

	while (l->max_length % length)
		length += l->length;
	return length;
}

static void make_room_in_table(struct lister *l)
{
	while (l->extents->count >= l->max_extents && l->length < l->max_length) {
		l->length = next_length(l);
		extents_merge_from(l->extents, l->head_extents, l->origin, l->length);
		reopen_last(l);
	}
}

static void enter_extent(struct lister *l)
{
	extents_append(l->extents, l->extent_bytes, l->extent_crc);
	l->extent_bytes = 0;
	l->extent_crc = 0;
}

static bool is_extent_full(const struct lister *l)
{
	return l->extent_bytes > 0 && is_end(l, l->extents->total_bytes + l->extent_bytes);
}

static void lengthen_extent(struct lister *l, uint32_t bytes)
{
	l->extent_bytes += bytes;
	if (is_extent_full(l))
		make_room_in_table(l);
	if (is_extent_full(l))
		enter_extent(l);
}

static void add_extent_bytes(struct lister *l, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t room = room_in_extent(l);
		size_t n = len < room ? len : room;

		l->extent_crc = crc32c(l->extent_crc, data, n);
		lengthen_extent(l, (uint32_t)n);
		data += n;
		len -= n;
	}
}

/* Of which nobody knows the CRCs yet. At both ends an extent ends, however long extents become: so each is either of bytes that were written, or of such. */
static int lister_copy(struct sink *s, const struct sink_copy *from, struct error *err)
{
	struct lister *l = (struct lister *)s;
	uint64_t left = from->from->bytes;

	assert(l->extent_bytes == 0 && l->head_bytes == 0 && l->origin == 0 &&
	       l->extents->total_bytes % l->max_length == 0 && left % l->max_length == 0);
	while (left > 0) {
		uint32_t room = room_in_extent(l), n = left < room ? (uint32_t)left : room;

		lengthen_extent(l, n);
		left -= n;
	}
	return sink_copy(l->next, from, err);
}

static int lister_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct lister *l = (struct lister *)s;

	add_extent_bytes(l, data, len);
	return sink_write(l->next, data, len, err);
}

static void enter_head(struct lister *l, size_t head_bytes)
{
	extents_finish(l->extents);
	for (size_t left = head_bytes; left > 0;) {
		uint32_t room = room_in_extent(l);
		uint32_t n = left < room ? (uint32_t)left : room;

		extents_append(l->extents, n, 0);
		left -= n;
	}
	l->head_bytes = head_bytes;
	l->head_extents = l->extents->count;
}

static bool is_nothing_written(const struct lister *l)
{
	return l->extents->total_bytes == l->head_bytes && l->extent_bytes == 0;
}

static void add_head_bytes(struct lister *l, const uint8_t *data, size_t len)
{
	while (len > 0) {
		struct extent *x = &l->extents->items[l->head_extent];
		size_t room = (size_t)(x->offset + x->length) - l->head_at;
		size_t n = len < room ? len : room;

		assert(l->head_extent < l->head_extents);
		l->head_crc = crc32c(l->head_crc, data, n);
		l->head_at += n;
		data += n;
		len -= n;
		if (n < room)
			continue;
		x->crc32c = l->head_crc;
		l->head_crc = 0;
		l->head_extent++;
	}
}

/* Where nothing follows the head it may be shorter than was said, and is written like everything else. */
static int lister_head(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct lister *l = (struct lister *)s;

	if (l->head_at == 0 && is_nothing_written(l))
		enter_head(l, 0);
	if (l->head_bytes > 0)
		add_head_bytes(l, data, len);
	else
		add_extent_bytes(l, data, len);
	return sink_head(l->next, data, len, err);
}

static int lister_finish(struct sink *s, struct error *err)
{
	struct lister *l = (struct lister *)s;

	if (l->extent_bytes > 0) {
		make_room_in_table(l);
		enter_extent(l);
	}
	return sink_finish(l->next, err);
}

static void lister_free(struct sink *s)
{
	struct lister *l = (struct lister *)s;

	sink_free(l->next);
	free(l);
}

static const struct sink_ops lister_ops = {
        .write = lister_write,
        .finish = lister_finish,
        .free = lister_free,
        .head = lister_head,
        .copy = lister_copy,
};

struct sink *lister_new(struct sink *next, const struct lister_options *options)
{
	struct lister *l = mem_alloc(sizeof(*l));

	*l = (struct lister){.sink.ops = &lister_ops,
	                     .next = next,
	                     .extents = options->ret,
	                     .max_extents = options->max_extents,
	                     .origin = options->cells.head_bytes,
	                     .length = cells_unit_bytes(&options->cells),
	                     .max_length = cells_block_bytes(&options->cells)};
	enter_head(l, options->head_bytes);
	return &l->sink;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Extent tables. The offsets are sums of the lengths before them: they are made here and nowhere else, so a
 * table that was decoded is contiguous from 0 to its total by construction.
 */
#include <keepfs/codec/extents.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>

#define ENCODED_BYTES 8 /* of one extent */

/* What docs/formats.md promises to whoever reads a table without keepfs. */
_Static_assert(ENCODED_BYTES == 2 * sizeof(uint32_t), "an extent is stored as its length and its CRC-32C");
_Static_assert(EXTENT_MAX_BYTES == 1 << 20, "readers may refuse an extent of more than 1 MiB");
_Static_assert(EXTENT_MAX_BYTES % EXTENT_MIN_BYTES == 0, "long extents end where short ones do");
_Static_assert(EXTENTS_MAX *ENCODED_BYTES == 512 << 10, "a table that can be shorter has at most 512 KiB");

void extents_finish(struct extents *x)
{
	free(x->items);
	*x = (struct extents){0};
}

void extents_append(struct extents *x, uint32_t length, uint32_t crc32c)
{
	if (x->count == x->cap) {
		x->cap = x->cap ? 2 * x->cap : 1; /* most of very many files have one */
		x->items = mem_resize(x->items, x->cap, sizeof(*x->items));
	}
	x->items[x->count++] = (struct extent){.offset = x->total_bytes, .length = length, .crc32c = crc32c};
	x->total_bytes += length;
}

size_t extents_find(const struct extents *x, uint64_t offset)
{
	size_t low = 0, high = x->count;

	if (offset >= x->total_bytes)
		return x->count;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (x->items[middle].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Between which two multiples of @length behind @origin it lies. */
static uint64_t multiple_of(uint64_t offset, uint64_t origin, uint32_t length)
{
	return offset < origin ? 0 : (offset - origin) / length;
}

void extents_merge_from(struct extents *x, size_t first, uint64_t origin, uint32_t length)
{
	struct extent *last = NULL;

	for (size_t i = first; i < x->count; i++) {
		const struct extent next = x->items[i];

		if (last && multiple_of(last->offset, origin, length) ==
		                    multiple_of(next.offset + next.length - 1, origin, length)) {
			last->crc32c = crc32c_combine(last->crc32c, next.crc32c, next.length);
			last->length += next.length;
		} else {
			last = last ? last + 1 : &x->items[first];
			*last = next;
		}
	}
	if (last)
		x->count = (size_t)(last - x->items) + 1;
}

void extents_merge(struct extents *x, size_t first, uint32_t length)
{
	extents_merge_from(x, first, 0, length);
}

void extents_limit(struct extents *x, size_t most)
{
	if (x->count <= most)
		return;
	for (uint32_t length = EXTENT_MIN_BYTES; x->count > most && length <= EXTENT_MAX_BYTES; length *= 2)
		extents_merge(x, 0, length);
	x->cap = x->count;
	x->items = mem_resize(x->items, x->cap, sizeof(*x->items));
}

static void put_u32(uint8_t *out, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get_u32(const uint8_t *in)
{
	return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

uint8_t *extents_encode(const struct extents *x, size_t *ret_len)
{
	uint8_t *data = mem_array(x->count ? x->count : 1, ENCODED_BYTES);

	for (size_t i = 0; i < x->count; i++) {
		put_u32(data + i * ENCODED_BYTES, x->items[i].length);
		put_u32(data + i * ENCODED_BYTES + 4, x->items[i].crc32c);
	}
	*ret_len = x->count * ENCODED_BYTES;
	return data;
}

int extents_decode(const uint8_t *data, size_t len, struct extents *x, struct error *err)
{
	_cleanup(extents) struct extents decoded = {0};

	if (len % ENCODED_BYTES)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "extent table of %zu bytes: no multiple of %d",
		                 len, ENCODED_BYTES);
	decoded.cap = len / ENCODED_BYTES;
	if (decoded.cap)
		decoded.items = mem_array(decoded.cap, sizeof(*decoded.items));
	for (size_t i = 0; i < len / ENCODED_BYTES; i++) {
		uint32_t length = get_u32(data + i * ENCODED_BYTES);

		if (length == 0 || length > EXTENT_MAX_BYTES)
			return error_set(err, ERROR_CORRUPT, EBADMSG,
			                 "extent %zu has %u bytes: 1 to %u are allowed", i, length,
			                 EXTENT_MAX_BYTES);
		extents_append(&decoded, length, get_u32(data + i * ENCODED_BYTES + 4));
	}
	extents_finish(x);
	*x = decoded;
	decoded = (struct extents){0};
	return 0;
}

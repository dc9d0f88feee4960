// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The extent table of an artifact: consecutive lengths of at most EXTENT_MAX_BYTES, each with the CRC-32C of
 * its bytes. It lets a reader check any range without reading the whole. In memory the start offsets are kept
 * too, so that an offset is found by bisection; stored, it is pairs of little-endian u32 (length, crc32c):
 * see docs/formats.md. Short extents make random reads cheap, few extents make the table small: as many as
 * EXTENTS_MAX are made as short as EXTENT_MIN_BYTES. Readers take any lengths.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stddef.h>
#include <stdint.h>

#define EXTENT_MIN_BYTES ((uint32_t)1 << 16)
#define EXTENT_MAX_BYTES ((uint32_t)1 << 20)
#define EXTENTS_MAX      ((size_t)1 << 16) /* while they are shorter than EXTENT_MAX_BYTES */

struct extent {
	uint64_t offset;
	uint32_t length;
	uint32_t crc32c;
};

struct extents {
	struct extent *items;
	size_t count;
	size_t cap;
	uint64_t total_bytes;
};

void extents_finish(struct extents *x);
static inline void cleanup_extents(struct extents *x)
{
	extents_finish(x);
}
/** extents_append() - the next extent in file order; @length 1 to EXTENT_MAX_BYTES. */
void extents_append(struct extents *x, uint32_t length, uint32_t crc32c);
/** extents_find() - index of the extent that holds @offset; count when it is at or past the end. */
size_t extents_find(const struct extents *x, uint64_t offset);
/**
 * extents_merge() - of those from index @first on, neighbours between the same two multiples of @length
 * become one, with the CRC of both
 * @length: 1 to EXTENT_MAX_BYTES
 */
void extents_merge(struct extents *x, size_t first, uint32_t length);
/** extents_merge_from() - the same; the multiples are counted from @origin on, and what lies before it belongs
 * to the first. */
void extents_merge_from(struct extents *x, size_t first, uint64_t origin, uint32_t length);
/** extents_limit() - merge, at multiples of EXTENT_MIN_BYTES and of each double up to EXTENT_MAX_BYTES, until
 * there are at most @most, or nothing is left to merge. */
void extents_limit(struct extents *x, size_t most);
/** extents_encode() - the stored form on the heap, 8 bytes an extent; *@ret_len its length. */
uint8_t *extents_encode(const struct extents *x, size_t *ret_len);
/** extents_decode() - replaces @x; -EBADMSG when lengths are 0 or too large, or the size is no multiple of
 * 8. */
int extents_decode(const uint8_t *data, size_t len, struct extents *x, struct error *err);

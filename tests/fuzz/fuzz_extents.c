// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as a stored table of extents. What is taken is without gaps, finds each of its offsets, is stored as the
 * same bytes, and covers the same bytes with the same checksum when it is made shorter.
 */
#include "fuzz.h"

#include <keepfs/codec/extents.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void must_be_sound(const struct extents *x)
{
	uint64_t end = 0;

	for (size_t i = 0; i < x->count; i++) {
		const struct extent *e = &x->items[i];

		fuzz_must(e->offset == end, "no gap before an extent", NULL);
		fuzz_must(e->length >= 1 && e->length <= EXTENT_MAX_BYTES, "an extent's length is allowed",
		          NULL);
		end += e->length;
		fuzz_must(extents_find(x, e->offset) == i && extents_find(x, end - 1) == i,
		          "an extent is found", NULL);
	}
	fuzz_must(x->total_bytes == end, "the total is the sum", NULL);
	fuzz_must(extents_find(x, end) == x->count, "nothing is found behind the end", NULL);
}

static void must_encode_as(const struct extents *x, const uint8_t *data, size_t size)
{
	size_t len;
	_cleanup(free) uint8_t *encoded = extents_encode(x, &len);

	fuzz_must(len == size && (size == 0 || memcmp(encoded, data, size) == 0), "it is stored as it was",
	          NULL);
}

static uint32_t crc_of_all(const struct extents *x)
{
	uint32_t crc = 0;

	for (size_t i = 0; i < x->count; i++)
		crc = crc32c_combine(crc, x->items[i].crc32c, x->items[i].length);
	return crc;
}

static void must_stay_whole(struct extents *x, size_t most)
{
	uint64_t total = x->total_bytes;
	size_t count = x->count;
	uint32_t crc = crc_of_all(x);

	extents_limit(x, most);
	must_be_sound(x);
	fuzz_must(x->total_bytes == total && crc_of_all(x) == crc, "a shorter table covers the same bytes",
	          NULL);
	fuzz_must(count <= most ? x->count == count : x->count <= count, "only what is too long gets shorter",
	          NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(extents) struct extents x = {0};
	struct error err = {0};
	int r;

	extents_append(&x, 1, 2); /* what decoding replaces */
	r = extents_decode(data, size, &x, &err);
	if (r != 0) {
		fuzz_must_refuse(r, &err);
		fuzz_must(r == -EBADMSG && x.count == 1 && x.items[0].crc32c == 2,
		          "a refused table changes nothing", err.message);
		return 0;
	}
	must_be_sound(&x);
	must_encode_as(&x, data, size);
	must_stay_whole(&x, size ? data[0] % 16 : 0);
	return 0;
}

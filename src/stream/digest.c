// SPDX-License-Identifier: Apache-2.0
/*
 * Counts, hashes and lists extents of what passes. Extents end at multiples of one length of the whole
 * object's offsets, and at its end, however the bytes come. The length begins at EXTENT_MIN_BYTES; when the
 * table is full, it doubles, and what lies between the same two multiples is merged. At EXTENT_MAX_BYTES it
 * stays, and the table grows. Of a head, which was entered before, nothing is merged: its CRCs are not known.
 */
#include "digest.h"

#include <keepfs/base/mem.h>

struct digest {
	struct sink sink;
	struct sink *next;
	struct stream_facts *facts;
	struct sha256 *sha256; /* NULL: not wanted */
	size_t head_extents;
	size_t max_extents;
	uint32_t length;       /* of whose multiples extents end at each */
	uint32_t extent_bytes; /* of the extent that is not full yet */
	uint32_t extent_crc;
};

/* What is left until the extent is full. */
static uint32_t room_in_extent(const struct digest *d)
{
	uint64_t end = d->facts->extents.total_bytes + d->extent_bytes;

	return d->length - (uint32_t)(end % d->length);
}

/* The last extent goes on, with the open one behind it, when the new length lets it. */
static void reopen_last(struct digest *d)
{
	struct extents *x = &d->facts->extents;
	const struct extent *last = &x->items[x->count - 1];

	if (x->count == d->head_extents || x->total_bytes % d->length == 0)
		return;
	d->extent_crc = crc32c_combine(last->crc32c, d->extent_crc, d->extent_bytes);
	d->extent_bytes += last->length;
	x->total_bytes = last->offset;
	x->count--;
}

static void make_room_in_table(struct digest *d)
{
	struct extents *x = &d->facts->extents;

	while (x->count >= d->max_extents && d->length < EXTENT_MAX_BYTES) {
		d->length *= 2;
		extents_merge(x, d->head_extents, d->length);
		reopen_last(d);
	}
}

static void enter_extent(struct digest *d)
{
	extents_append(&d->facts->extents, d->extent_bytes, d->extent_crc);
	d->extent_bytes = 0;
	d->extent_crc = 0;
}

static bool is_extent_full(const struct digest *d)
{
	return d->extent_bytes > 0 && room_in_extent(d) == d->length;
}

static void add_to_extents(struct digest *d, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t room = room_in_extent(d);
		size_t n = len < room ? len : room;

		d->extent_crc = crc32c(d->extent_crc, data, n);
		d->extent_bytes += (uint32_t)n;
		if (is_extent_full(d))
			make_room_in_table(d);
		if (is_extent_full(d))
			enter_extent(d);
		data += n;
		len -= n;
	}
}

static int digest_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct digest *d = (struct digest *)s;

	if (d->sha256)
		sha256_update(d->sha256, data, len);
	add_to_extents(d, data, len);
	d->facts->bytes += len;
	return sink_write(d->next, data, len, err);
}

static int digest_finish(struct sink *s, struct error *err)
{
	struct digest *d = (struct digest *)s;
	uint8_t digest[SHA256_BYTES];

	if (d->extent_bytes > 0) {
		make_room_in_table(d);
		enter_extent(d);
	}
	if (d->sha256) {
		sha256_final(d->sha256, digest);
		hex_encode(digest, sizeof(digest), d->facts->sha256);
	}
	return sink_finish(d->next, err);
}

static void digest_free(struct sink *s)
{
	struct digest *d = (struct digest *)s;

	sink_free(d->next);
	sha256_free(d->sha256);
	free(d);
}

static const struct sink_ops digest_ops = {
        .write = digest_write,
        .finish = digest_finish,
        .free = digest_free,
};

struct sink *digest_new(struct sink *next, struct stream_facts *facts, bool hash, size_t max_extents)
{
	struct digest *d = mem_alloc(sizeof(*d));

	d->sink.ops = &digest_ops;
	d->next = next;
	d->facts = facts;
	d->sha256 = hash ? sha256_new() : NULL;
	d->head_extents = facts->extents.count;
	d->max_extents = max_extents;
	d->length = EXTENT_MIN_BYTES;
	return &d->sink;
}

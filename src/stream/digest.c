/* Counts, hashes and lists extents of what passes. Every extent but the last is EXTENT_MAX_BYTES long,
 * however the bytes come. */
#include "digest.h"

#include <keepfs/base/mem.h>

struct digest {
	struct sink sink;
	struct sink *next;
	struct stream_facts *facts;
	struct sha256 *sha256; /* NULL: not wanted */
	uint32_t extent_bytes; /* of the extent that is not full yet */
	uint32_t extent_crc;
};

static void end_extent(struct digest *d)
{
	if (d->extent_bytes == 0)
		return;
	extents_append(&d->facts->extents, d->extent_bytes, d->extent_crc);
	d->extent_bytes = 0;
	d->extent_crc = 0;
}

static void add_to_extents(struct digest *d, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t room = EXTENT_MAX_BYTES - d->extent_bytes;
		size_t n = len < room ? len : room;

		d->extent_crc = crc32c(d->extent_crc, data, n);
		d->extent_bytes += (uint32_t)n;
		if (d->extent_bytes == EXTENT_MAX_BYTES)
			end_extent(d);
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

	end_extent(d);
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

struct sink *digest_new(struct sink *next, struct stream_facts *facts, bool hash)
{
	struct digest *d = mem_alloc(sizeof(*d));

	d->sink.ops = &digest_ops;
	d->next = next;
	d->facts = facts;
	d->sha256 = hash ? sha256_new() : NULL;
	return &d->sink;
}

// SPDX-License-Identifier: Apache-2.0
/* Counting and hashing on the way: whoever makes the bytes need not know that it is done. */
#include "digest.h"

#include <keepfs/base/mem.h>
#include <keepfs/store.h>

#include <stdlib.h>

struct digest {
	struct sink sink;
	struct sink *next;
	uint64_t *bytes;
	char *hex;             /* NULL: not wanted */
	struct sha256 *sha256; /* NULL likewise */
};

static int digest_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct digest *d = (struct digest *)s;

	if (d->sha256)
		sha256_update(d->sha256, data, len);
	*d->bytes += len;
	return sink_write(d->next, data, len, err);
}

static int digest_head(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct digest *d = (struct digest *)s;

	*d->bytes += len;
	return sink_head(d->next, data, len, err);
}

/* Bytes that nobody has seen: only who reads all of them back knows the digest. */
static int digest_copy(struct sink *s, const struct sink_copy *from, struct error *err)
{
	struct digest *d = (struct digest *)s;

	d->sha256 = sha256_free(d->sha256);
	*d->bytes += from->from->bytes;
	return sink_copy(d->next, from, err);
}

static int digest_finish(struct sink *s, struct error *err)
{
	struct digest *d = (struct digest *)s;
	uint8_t digest[SHA256_BYTES];

	if (d->sha256) {
		sha256_final(d->sha256, digest);
		hex_encode(digest, sizeof(digest), d->hex);
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
        .head = digest_head,
        .copy = digest_copy,
};

struct sink *digest_new(struct sink *next, uint64_t *bytes, char *sha256)
{
	struct digest *d = mem_alloc(sizeof(*d));

	*d = (struct digest){.sink.ops = &digest_ops, .next = next, .bytes = bytes, .hex = sha256};
	d->sha256 = sha256 ? sha256_new() : NULL;
	return &d->sink;
}

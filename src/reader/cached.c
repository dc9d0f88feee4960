// SPDX-License-Identifier: Apache-2.0
/*
 * The disk cache. It keeps whole blocks: what is read in order, as a restore does. A random read of a block
 * that is not there leaves nothing in it. A block is offered once; what the cache does with it is its own
 * affair. Its bytes are checked when they come back as those from the store are.
 */
#include "reader_private.h"

#include <keepfs/base/mem.h>

#include <string.h>

void reader_cache_id(const char *stored_sha256, const struct extents *x, uint8_t ret[static CACHE_ID_BYTES])
{
	_cleanup(free) uint8_t *table = NULL;
	size_t len;

	_Static_assert(CACHE_ID_BYTES == SHA256_BYTES, "a digest is the name");
	if (stored_sha256 && *stored_sha256) {
		sha256_once(stored_sha256, strlen(stored_sha256), ret);
		return;
	}
	table = extents_encode(x, &len);
	sha256_once(table, len, ret);
}

static struct cache_piece cache_piece_of(const struct block *b)
{
	struct cache_piece piece = {.offset = b->span.stored_offset, .bytes = (uint32_t)b->span.stored_bytes};

	memcpy(piece.id, b->artifact->cache_id, sizeof(piece.id));
	return piece;
}

bool cached_read(struct reader *reader, const struct piece *p)
{
	const struct cache_piece piece = cache_piece_of(p->block);
	const struct iovec iov = {p->block->buffer + p->from, p->bytes};

	return cache_read(reader->cache, &piece, (uint32_t)p->from, &iov, 1);
}

void cached_forget(struct reader *reader, const struct piece *p)
{
	const struct cache_piece piece = cache_piece_of(p->block);

	cache_forget(reader->cache, &piece);
}

bool cached_offer(struct reader *reader, struct block *b, parts_t parts)
{
	if (!reader->cache || b->cached || (b->ready | parts) != span_parts(&b->span))
		return false;
	if (b->artifact->layout && b->ready)
		return false;
	b->cached = true;
	block_pin(reader, b);
	return true;
}

void cached_write(struct reader *reader, struct block *b)
{
	const struct cache_piece piece = cache_piece_of(b);
	const struct iovec iov = {b->buffer, b->span.stored_bytes};
	struct answers answers = {0};

	cache_write(reader->cache, &piece, &iov, 1);
	pthread_mutex_lock(&reader->lock);
	block_unpin(reader, b);
	request_deliver(reader, &answers);
	pthread_mutex_unlock(&reader->lock);
}

// SPDX-License-Identifier: Apache-2.0
/* The only place of an upload where bytes are kept. Buffers are filled one after the other, so the byte at an
 * offset is found by division. */
#include "part.h"

#include <keepfs/base/mem.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

size_t part_buffers(uint64_t bytes)
{
	return (size_t)((bytes + POOL_BUFFER_BYTES - 1) / POOL_BUFFER_BYTES);
}

struct part *part_new(void *owner, struct pool *pool, unsigned number, uint64_t max_bytes)
{
	struct part *part = mem_alloc(sizeof(*part));

	part->owner = owner;
	part->pool = pool;
	part->number = number;
	part->max_bytes = max_bytes;
	part->iov = mem_array(part_buffers(max_bytes), sizeof(*part->iov));
	return part;
}

struct part *part_free(struct part *part)
{
	if (!part)
		return NULL;
	for (int i = 0; i < part->count; i++)
		pool_give(part->pool, part->iov[i].iov_base);
	free(part->iov);
	free(part);
	return NULL;
}

static struct iovec *last_with_room(struct part *part)
{
	struct iovec *last = part->count > 0 ? &part->iov[part->count - 1] : NULL;

	if (last && last->iov_len < POOL_BUFFER_BYTES)
		return last;
	last = &part->iov[part->count++];
	*last = (struct iovec){.iov_base = pool_take(part->pool)};
	return last;
}

size_t part_fill(struct part *part, const void *data, size_t len)
{
	const char *p = data;
	size_t left = part->max_bytes - part->bytes < len ? (size_t)(part->max_bytes - part->bytes) : len;
	size_t filled = left;

	while (left > 0) {
		struct iovec *to = last_with_room(part);
		size_t room = POOL_BUFFER_BYTES - to->iov_len;
		size_t n = left < room ? left : room;

		memcpy((char *)to->iov_base + to->iov_len, p, n);
		to->iov_len += n;
		p += n;
		left -= n;
	}
	part->bytes += filled;
	return filled;
}

void part_skip(struct part *part, size_t len)
{
	assert(part->bytes == 0 && len <= part->max_bytes);
	part->bytes = len;
	while (len > 0) {
		size_t n = len < POOL_BUFFER_BYTES ? len : POOL_BUFFER_BYTES;

		part->iov[part->count++] = (struct iovec){.iov_base = pool_take(part->pool), .iov_len = n};
		len -= n;
	}
}

void part_set_skipped(struct part *part, size_t offset, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		size_t at = offset % POOL_BUFFER_BYTES, room = POOL_BUFFER_BYTES - at;
		size_t n = len < room ? len : room;

		memcpy((char *)part->iov[offset / POOL_BUFFER_BYTES].iov_base + at, p, n);
		offset += n;
		p += n;
		len -= n;
	}
}

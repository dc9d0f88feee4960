// SPDX-License-Identifier: Apache-2.0
/* Bytes in buffers of the pool. All that will be needed is reserved at once: who has half of it, and waits for the rest, could wait for another who does the same. */
#include "wal_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

size_t pages_for(uint64_t bytes)
{
	return (size_t)((bytes + POOL_BUFFER_BYTES - 1) / POOL_BUFFER_BYTES);
}

int pages_reserve(struct pages *p, struct pool *pool, uint64_t bytes, size_t more, struct cancel *cancel)
{
	size_t count = pages_for(bytes);
	int r = 0;

	if (cancel == PAGES_AT_ONCE)
		r = pool_try_reserve(pool, count + more) ? 0 : -EAGAIN;
	else
		r = pool_reserve(pool, count + more, cancel);
	if (r == 0)
		*p = (struct pages){
		        .pool = pool, .buffers = mem_array(count + 1, sizeof(void *)), .reserved = count};
	return r;
}

void pages_take_over(struct pages *p, struct pool *pool, uint64_t bytes)
{
	size_t count = pages_for(bytes);

	*p = (struct pages){.pool = pool, .buffers = mem_array(count + 1, sizeof(void *)), .reserved = count};
}

static int add_pool_page(struct pages *p)
{
	if (p->count == p->reserved)
		return -EFBIG;
	p->buffers[p->count++] = pool_take(p->pool);
	return 0;
}

int pages_append(struct pages *p, const void *data, size_t len)
{
	while (len > 0) {
		size_t at = (size_t)(p->bytes % POOL_BUFFER_BYTES), n = POOL_BUFFER_BYTES - at;
		int r = pages_for(p->bytes) == p->count && at == 0 ? add_pool_page(p) : 0;

		if (r < 0)
			return r;
		n = n < len ? n : len;
		memcpy((char *)p->buffers[p->count - 1] + at, data, n);
		p->bytes += n;
		data = (const char *)data + n;
		len -= n;
	}
	return 0;
}

int pages_room(struct pages *p, uint64_t bytes)
{
	int r = 0;

	while (r == 0 && p->count < pages_for(bytes))
		r = add_pool_page(p);
	if (r == 0)
		p->bytes = bytes;
	return r;
}

static size_t page_bytes(const struct pages *p, size_t page)
{
	uint64_t left = p->bytes - (uint64_t)page * POOL_BUFFER_BYTES;

	return left < POOL_BUFFER_BYTES ? (size_t)left : POOL_BUFFER_BYTES;
}

struct iovec *pages_iov(const struct pages *p, int *ret_count)
{
	struct iovec *iov = mem_array(p->count + 1, sizeof(*iov));

	for (size_t i = 0; i < p->count; i++)
		iov[i] = (struct iovec){.iov_base = p->buffers[i], .iov_len = page_bytes(p, i)};
	*ret_count = (int)p->count;
	return iov;
}

void pages_copy(const struct pages *p, uint64_t at, void *buf, size_t len)
{
	while (len > 0) {
		size_t page = (size_t)(at / POOL_BUFFER_BYTES), from = (size_t)(at % POOL_BUFFER_BYTES);
		size_t n = POOL_BUFFER_BYTES - from < len ? POOL_BUFFER_BYTES - from : len;

		memcpy(buf, (const char *)p->buffers[page] + from, n);
		buf = (char *)buf + n;
		at += n;
		len -= n;
	}
}

int pages_each(const struct pages *p, int (*each)(void *arg, const void *data, size_t len, struct error *err),
               void *arg, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->count; i++)
		r = each(arg, p->buffers[i], page_bytes(p, i), err);
	return r;
}

void pages_finish(struct pages *p)
{
	for (size_t i = 0; i < p->count; i++)
		pool_give(p->pool, p->buffers[i]);
	if (p->reserved)
		pool_unreserve(p->pool, p->reserved);
	free(p->buffers);
	*p = (struct pages){0};
}

static int write_pages_sink(struct sink *s, const void *data, size_t len, struct error *err)
{
	int r = pages_append(((struct pages_sink *)s)->pages, data, len);

	return r < 0 ? error_set(err, ERROR_INTERNAL, -r, "it became longer than can be") : 0;
}

static int finish_pages_sink(struct sink *s, struct error *err)
{
	(void)s;
	(void)err;
	return 0;
}

static void free_pages_sink(struct sink *s)
{
	(void)s;
}

void pages_sink_init(struct pages_sink *ret, struct pages *pages)
{
	static const struct sink_ops ops = {
	        .write = write_pages_sink, .finish = finish_pages_sink, .free = free_pages_sink};

	*ret = (struct pages_sink){.sink = {.ops = &ops}, .pages = pages};
}

// SPDX-License-Identifier: Apache-2.0
#include "squeeze.h"

#include <string.h>

void squeeze_init(struct squeeze *s, struct pool *pool, const struct compression *c)
{
	*s = (struct squeeze){.pool = pool, .raw = pool_take(pool), .out = pool_take(pool)};
	s->compressor = compressor_new(c, SEGMENT_CHECK_CRC32);
}

void squeeze_finish(struct squeeze *s)
{
	if (!s->pool)
		return;
	pool_give(s->pool, s->raw);
	pool_give(s->pool, s->out);
	compressor_free(s->compressor);
	*s = (struct squeeze){0};
}

size_t squeeze_gather(struct squeeze *s, const void *data, size_t len)
{
	size_t room = SEGMENT_RAW_BYTES - s->len;

	if (len > room)
		len = room;
	memcpy(s->raw + s->len, data, len);
	s->len += len;
	return len;
}

int squeeze_run(struct squeeze *s, const void *raw, size_t len, struct segment *ret, struct error *err)
{
	return compressor_run(s->compressor, raw, len, s->out, POOL_BUFFER_BYTES, ret, err);
}

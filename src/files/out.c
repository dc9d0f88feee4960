// SPDX-License-Identifier: Apache-2.0
#include "out.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void out_init(struct out *o, const struct files_options *options)
{
	*o = (struct out){.options = options, .buf = mem_alloc(OUT_BYTES)};
}

void out_finish(struct out *o)
{
	free(o->buf);
}

int out_flush(struct out *o, struct error *err)
{
	const struct files_options *options = o->options;
	size_t len = o->used;
	int r;

	if (cancel_is_set(options->source.cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (len == 0)
		return 0;
	o->used = 0;
	r = options->sink->ops->write(options->sink, o->buf, len, err);
	if (r < 0)
		return r;
	if (options->written_bytes)
		atomic_fetch_add(options->written_bytes, len);
	return options->pace ? options->pace(options->source.arg, len, err) : 0;
}

char *out_room(struct out *o, size_t *ret_bytes)
{
	*ret_bytes = OUT_BYTES - o->used;
	return o->buf + o->used;
}

int out_advance(struct out *o, size_t bytes, struct error *err)
{
	o->used += bytes;
	o->bytes += bytes;
	return o->used == OUT_BYTES ? out_flush(o, err) : 0;
}

int out_write(struct out *o, const void *data, size_t len, struct error *err)
{
	const char *p = data;
	int r = 0;

	while (len > 0 && r == 0) {
		size_t n;
		char *room = out_room(o, &n);

		n = n < len ? n : len;
		memcpy(room, p, n);
		p += n;
		len -= n;
		r = out_advance(o, n, err);
	}
	return r;
}

int out_zeros(struct out *o, uint64_t len, struct error *err)
{
	int r = 0;

	while (len > 0 && r == 0) {
		size_t n;
		char *room = out_room(o, &n);

		n = n < len ? n : (size_t)len;
		memset(room, 0, n);
		len -= n;
		r = out_advance(o, n, err);
	}
	return r;
}

int out_pad(struct out *o, size_t bytes, struct error *err)
{
	uint64_t rest = o->bytes % bytes;

	return rest ? out_zeros(o, bytes - rest, err) : 0;
}

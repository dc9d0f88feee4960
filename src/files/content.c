// SPDX-License-Identifier: Apache-2.0
#include "content.h"

#include <keepfs/files/tar_check.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/uio.h>

#define DROP_BYTES       ((uint64_t)8 << 20)   /* so often the cache is told */
#define READ_AHEAD_BYTES ((uint64_t)128 << 10) /* Linux reads so much ahead by itself */

/* GNU.sparse 1.0: the number of pieces, then where each begins and how long it is; the last ends where the file does. */
static void make_map(struct content *c)
{
	const struct data_piece *last = c->data.count > 0 ? &c->data.rows[c->data.count - 1] : NULL;
	bool ends_in_hole = !last || last->at + last->bytes < c->size;

	str_appendf(&c->map, "%zu\n", c->data.count + ends_in_hole);
	for (size_t i = 0; i < c->data.count; i++)
		str_appendf(&c->map, "%" PRIu64 "\n%" PRIu64 "\n", c->data.rows[i].at, c->data.rows[i].bytes);
	if (ends_in_hole)
		str_appendf(&c->map, "%" PRIu64 "\n0\n", c->size);
	while (c->map.len % TAR_BLOCK_BYTES != 0)
		str_append_char(&c->map, '\0');
}

void content_init(struct content *c, int fd, const struct statx *st)
{
	*c = (struct content){.fd = fd, .size = st->stx_size};
	if (st->stx_blocks * 512 >= c->size)
		data_map_add(&c->data, (struct data_piece){0, c->size});
	else
		data_map_find(&c->data, fd, c->size);
	c->sparse = data_map_bytes(&c->data) < c->size;
	if (c->sparse)
		make_map(c);
	if (c->size > READ_AHEAD_BYTES)
		posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
}

void content_finish(struct content *c)
{
	data_map_finish(&c->data);
	str_finish(&c->map);
}

uint64_t content_archived_bytes(const struct content *c)
{
	return c->map.len + data_map_bytes(&c->data);
}

static void drop_cache(struct content *c, uint64_t to)
{
	if (!c->was_cached && to > c->dropped)
		posix_fadvise(c->fd, (off_t)c->dropped, (off_t)(to - c->dropped), POSIX_FADV_DONTNEED);
	c->dropped = to;
}

/* What of the first bytes is in memory: got without having any read from the disk. Then others use this file. */
static ssize_t read_cached(struct content *c, char *room, size_t bytes, uint64_t at)
{
	struct iovec iov = {room, bytes};
	ssize_t n = preadv2(c->fd, &iov, 1, (off_t)at, RWF_NOWAIT);

	c->was_asked = true;
	c->was_cached = n > 0;
	return n;
}

/* Return: how many bytes were read; 0 where there are no more. */
static size_t read_content(struct content *c, char *room, size_t bytes, uint64_t at)
{
	ssize_t n = c->was_asked ? 0 : read_cached(c, room, bytes, at);

	if (n > 0)
		return (size_t)n;
	do
		n = pread(c->fd, room, bytes, (off_t)at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		c->errnum = errno;
	return n > 0 ? (size_t)n : 0;
}

static int write_data_piece(struct content *c, struct data_piece e, struct out *out, struct error *err)
{
	int r = 0;

	while (e.bytes > 0 && r == 0) {
		size_t bytes, n;
		char *room = out_room(out, &bytes);

		n = c->errnum ? 0 : read_content(c, room, bytes < e.bytes ? bytes : (size_t)e.bytes, e.at);
		if (n == 0 && !c->errnum)
			c->was_cut = true;
		if (n == 0) /* it was cut meanwhile, or is broken: what was promised has to come */
			return out_zeros(out, e.bytes, err);
		e.at += n;
		e.bytes -= n;
		if (e.at - c->dropped >= DROP_BYTES)
			drop_cache(c, e.at);
		r = out_advance(out, n, err);
	}
	return r;
}

int content_write(struct content *c, struct out *out, struct error *err)
{
	int r = out_write(out, str_text(&c->map), c->map.len, err);

	for (size_t i = 0; i < c->data.count && r == 0; i++)
		r = write_data_piece(c, c->data.rows[i], out, err);
	drop_cache(c, c->size);
	return r == 0 ? out_pad(out, TAR_BLOCK_BYTES, err) : r;
}

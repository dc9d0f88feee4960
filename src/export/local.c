// SPDX-License-Identifier: Apache-2.0
/* An export into a file of this host, for whoever goes on with it there. It is as an artifact would be, but that nobody reads it back: it is on no store. */
#include "exporting.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct export_local {
	const char *path; /* borrowed; NULL: it is whole, and stays */
	int fd;
	uint32_t check;
	uint64_t raw_bytes;
};

static int write_local(struct export_local *l, const void *data, size_t len, struct error *err)
{
	int r = fd_write_all(l->fd, data, len);

	return r < 0 ? error_system(err, -r, "%s cannot be written", l->path) : 0;
}

static int write_plain_local(void *arg, const void *data, size_t len, struct error *err)
{
	return write_local(((struct exporting *)arg)->local, data, len, err);
}

static int put_into_local(struct exporting *e, const struct segment *s, const void *data, struct error *err)
{
	struct export_local *l = e->local;

	l->check = segment_check_join(SEGMENT_CHECK_CRC32, l->check, s->check, s->raw_bytes);
	l->raw_bytes += s->raw_bytes;
	return write_local(l, data, s->bytes, err);
}

static int begin_pressed_local(struct exporting *e, struct error *err)
{
	uint8_t head[GZIP_HEAD_BYTES];

	squeeze_init(&e->squeeze, e->ctx->pool, &e->compression);
	e->put = put_into_local;
	gzip_head(head);
	return write_local(e->local, head, sizeof(head), err);
}

int exporting_open_local(struct exporting *e, struct error *err)
{
	const char *path = e->shared->copy->path;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), r = 0;

	if (fd < 0)
		return error_system(err, errno, "%s cannot be made", path);
	e->local = mem_alloc(sizeof(*e->local));
	*e->local = (struct export_local){
	        .path = path, .fd = fd, .check = segment_check_empty(SEGMENT_CHECK_CRC32)};
	r = exporting_reserve(e, err);
	if (r == 0 && e->format->is_pressed)
		r = begin_pressed_local(e, err);
	exporting_open_writer(e, e->format->is_pressed ? exporting_write_squeezed : write_plain_local);
	return r;
}

int exporting_close_local(struct exporting *e, struct error *err)
{
	struct export_local *l = e->local;
	uint8_t tail[GZIP_TAIL_BYTES];
	int r = 0, closed;

	if (e->format->is_pressed) {
		gzip_tail(l->check, l->raw_bytes, tail);
		r = write_local(l, tail, sizeof(tail), err);
	}
	closed = close(l->fd) < 0 ? -errno : 0;
	l->fd = -1;
	if (r == 0 && closed < 0)
		r = error_system(err, -closed, "%s cannot be written", l->path);
	if (r == 0)
		l->path = NULL;
	return r;
}

void exporting_free_local(struct exporting *e)
{
	struct export_local *l = e->local;

	if (!l)
		return;
	if (l->fd >= 0)
		close(l->fd);
	if (l->path)
		(void)unlink(l->path);
	free(l);
	e->local = NULL;
}

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

static int write_pressed_local(void *arg, const void *data, size_t len, struct error *err)
{
	return press_write(((struct exporting *)arg)->press, data, len, err);
}

static int take_local_segment(void *arg, const struct segment *s, const void *data, struct error *err)
{
	struct export_local *l = ((struct exporting *)arg)->local;

	l->check = segment_check_join(SEGMENT_CHECK_CRC32, l->check, s->check, s->raw_bytes);
	l->raw_bytes += s->raw_bytes;
	return write_local(l, data, s->bytes, err);
}

static int open_local_press(struct exporting *e, struct error *err)
{
	const struct press_options press = {
	        .compression = e->compression,
	        .check = SEGMENT_CHECK_CRC32,
	        .threads = make_press_threads(e->ctx),
	        .pool = e->ctx->pool,
	        .cancel = e->order->cancel,
	        .out = {.segment = take_local_segment, .arg = e},
	};
	uint8_t head[GZIP_HEAD_BYTES];
	int r = press_new(&press, &e->press, err);

	gzip_head(head);
	return r < 0 ? r : write_local(e->local, head, sizeof(head), err);
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
	if (e->format->is_pressed)
		r = open_local_press(e, err);
	exporting_open_writer(e, e->press ? write_pressed_local : write_plain_local);
	return r;
}

int exporting_close_local(struct exporting *e, struct error *err)
{
	struct export_local *l = e->local;
	uint8_t tail[GZIP_TAIL_BYTES];
	int r = 0, closed;

	if (e->press) {
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

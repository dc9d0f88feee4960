// SPDX-License-Identifier: Apache-2.0
/* From a descriptor into a sink. The thread sleeps in poll() on the descriptor and on that of the cancel
 * token, so it notices a cancel while the other end is silent. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/stream.h>

#include <errno.h>
#include <poll.h>

#define PUMP_BYTES ((size_t)256 << 10)

/* Return: 1 when @fd can be read, 0 when poll() was interrupted, -ECANCELED. */
static int wait_for_data(int fd, int cancel_fd, struct error *err)
{
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = cancel_fd, .events = POLLIN}};

	if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
		return errno == EINTR ? 0 : error_system(err, errno, "waiting for data");
	if (fds[1].revents)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	return fds[0].revents != 0;
}

/* Return: how many bytes; 0 at the end; -EAGAIN when there are none yet. */
static ssize_t read_fd_piece(int fd, int cancel_fd, void *buf, struct error *err)
{
	int r = wait_for_data(fd, cancel_fd, err);
	ssize_t n;

	if (r <= 0)
		return r < 0 ? r : -EAGAIN;
	n = read(fd, buf, PUMP_BYTES);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return -EAGAIN;
	return n < 0 ? error_system(err, errno, "reading data") : n;
}

static int pump_fd(int fd, int cancel_fd, struct sink *sink, atomic_uint_least64_t *read_bytes,
                   struct error *err)
{
	_cleanup(free) char *buf = mem_alloc(PUMP_BYTES);

	for (;;) {
		ssize_t n = read_fd_piece(fd, cancel_fd, buf, err);
		int r;

		if (n == -EAGAIN)
			continue;
		if (n <= 0)
			return (int)n;
		if (read_bytes)
			atomic_fetch_add(read_bytes, (uint_least64_t)n);
		r = sink_write(sink, buf, (size_t)n, err);
		if (r < 0)
			return r;
	}
}

int stream_pump(int fd, struct sink *sink, struct cancel *cancel, atomic_uint_least64_t *read_bytes,
                struct error *err)
{
	struct cancel_fd wake;
	int r = cancel_fd_open(&wake, cancel);

	if (r < 0)
		return error_system(err, -r, "making an eventfd");
	r = pump_fd(fd, wake.fd, sink, read_bytes, err);
	cancel_fd_close(&wake);
	return r;
}

// SPDX-License-Identifier: Apache-2.0
/* Whole reads and writes: EINTR and short transfers end here. */
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int fd_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pwrite_all(int fd, const void *data, size_t len, off_t offset)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		offset += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pread_full(int fd, void *data, size_t len, off_t offset)
{
	char *p = data;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		offset += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_read_file(const char *path, size_t max_bytes, struct str *out)
{
	_cleanup(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t start = out->len;
	char piece[16384];

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = read(fd, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		if (out->len - start + (size_t)n > max_bytes)
			return -EFBIG;
		str_append_bytes(out, piece, (size_t)n);
	}
}

int fd_make_dirs(const char *path, mode_t mode)
{
	_cleanup(free) char *copy = mem_strdup(path);

	for (char *p = copy + 1; *copy; p++) {
		char end = *p;

		if (end != '/' && end != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -errno;
		if (end == '\0')
			break;
		*p = end;
	}
	return 0;
}

int fd_open_unlinked(const char *directory)
{
	_cleanup(free) char *path = NULL;
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return -errno;
	path = mem_printf("%s/unlinked-XXXXXX", directory);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Which state_dir: a random word in a file of its own. It is not in the catalog, since the catalog is copied into the store and made again from
 * there on another host, which must not take the lease for its own.
 */
#include "lease_private.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/own_file.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define INSTANCE_BYTES 16
#define INSTANCE_HEX   (2 * INSTANCE_BYTES)
#define ADVICE         "move it away, or name another [keepfs] state_dir"

static bool is_instance(const char *text, ssize_t len)
{
	return len >= INSTANCE_HEX && strspn(text, "0123456789abcdef") == INSTANCE_HEX;
}

static int write_instance(int fd, char hex[static INSTANCE_HEX + 1])
{
	uint8_t random[INSTANCE_BYTES];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -errno;
	hex_encode(random, sizeof(random), hex);
	if (ftruncate(fd, 0) < 0 || pwrite(fd, hex, INSTANCE_HEX, 0) != INSTANCE_HEX || fsync(fd) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

int lease_instance(const char *state_dir, char *buf, size_t buf_bytes, struct error *err)
{
	_cleanup(fd) int dir_fd = own_directory_open(state_dir, "state directory", ADVICE, err);
	_cleanup(fd) int fd = -1;
	char hex[INSTANCE_HEX + 2] = "";
	ssize_t n;
	int r = 0;

	if (dir_fd < 0)
		return dir_fd;
	fd = own_file_open(dir_fd, state_dir, "instance", O_RDWR | O_CREAT, ADVICE, err);
	if (fd < 0)
		return fd;
	n = pread(fd, hex, sizeof(hex) - 1, 0);
	hex[n > 0 ? n : 0] = '\0';
	if (!is_instance(hex, n))
		r = write_instance(fd, hex);
	if (r < 0)
		return error_system(err, -r, "%s/instance cannot be written", state_dir);
	hex[INSTANCE_HEX] = '\0';
	str_cut(buf, buf_bytes, hex);
	return 0;
}

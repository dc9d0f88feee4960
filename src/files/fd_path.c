// SPDX-License-Identifier: Apache-2.0
#include "fd_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

const char *fd_path(int fd, char buf[static FD_PATH_BYTES])
{
	snprintf(buf, FD_PATH_BYTES, "/proc/self/fd/%d", fd);
	return buf;
}

static int open_without_time(int dir, const char *path, int flags)
{
	int opened;

	flags |= O_RDONLY | O_CLOEXEC;
	opened = openat(dir, path, flags | O_NOATIME);
	if (opened < 0 && errno == EPERM) /* O_NOATIME is for the owner and for root */
		opened = openat(dir, path, flags);
	return opened < 0 ? -errno : opened;
}

int fd_reopen(int fd, int flags)
{
	char path[FD_PATH_BYTES];

	return open_without_time(AT_FDCWD, fd_path(fd, path), flags);
}

int fd_open_file(int dir, const char *name)
{
	return open_without_time(dir, name, O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
}

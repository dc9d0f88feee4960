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

int fd_reopen(int fd, int flags)
{
	char path[FD_PATH_BYTES];
	int opened;

	flags |= O_RDONLY | O_CLOEXEC;
	opened = open(fd_path(fd, path), flags | O_NOATIME);
	if (opened < 0 && errno == EPERM) /* O_NOATIME is for the owner and for root */
		opened = open(path, flags);
	return opened < 0 ? -errno : opened;
}

// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What a descriptor of O_PATH cannot do itself, done by its name in /proc, which leads to the very file and not to what has its
 * name by now. */
#define FD_PATH_BYTES 32

/** fd_path() - "/proc/self/fd/N" in @buf, which it returns. */
const char *fd_path(int fd, char buf[static FD_PATH_BYTES]);
/** fd_reopen() - open @fd, which is known to be a file or a directory (a fifo would wait), for reading, without changing its time
 * of access where we may; @flags are added. Return: the descriptor, or negative errno. */
int fd_reopen(int fd, int flags);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What a descriptor of O_PATH cannot do itself, done by its name in /proc, which leads to the very file and not to what has its
 * name by now; and files that are opened without changing their times. */
#define FD_PATH_BYTES 32

/** fd_path() - "/proc/self/fd/N" in @buf, which it returns. */
const char *fd_path(int fd, char buf[static FD_PATH_BYTES]);
/** fd_reopen() - open @fd, which is known to be a file or a directory (a fifo would wait), for reading, without changing its time
 * of access where we may; @flags are added. Return: the descriptor, or negative errno. */
int fd_reopen(int fd, int flags);
/** fd_open_file() - open @name in the directory @dir, which is said to be a file, for reading, without changing its time where that may be; no link is followed. If it is something else by now (a fifo,
 * say), nothing waits. Descriptor, or negative errno. */
int fd_open_file(int dir, const char *name);

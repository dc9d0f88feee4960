// SPDX-License-Identifier: Apache-2.0
/*
 * Which process of which host: the boot of the kernel, the namespace in which a pid means something, and when the process
 * began, since pids come again. Only where all of that is known to be of here can it be said that a process is gone.
 */
#include "lease_private.h"

#include <keepfs/base/fd.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BOOT_ID_BYTES 40

static ssize_t read_text(const char *path, char *buf, size_t buf_bytes)
{
	_cleanup(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, buf_bytes - 1);

	if (n >= 0)
		buf[n] = '\0';
	return n;
}

/* The part that all processes of one namespace of one boot have in common. */
static bool read_lease_place(char *buf, size_t buf_bytes)
{
	char boot[BOOT_ID_BYTES + 1], space[64];
	ssize_t n = readlink("/proc/self/ns/pid", space, sizeof(space) - 1);

	if (n <= 0 || read_text("/proc/sys/kernel/random/boot_id", boot, sizeof(boot)) <= 0)
		return false;
	space[n] = '\0';
	boot[strcspn(boot, "\n")] = '\0';
	snprintf(buf, buf_bytes, "%s/%s/", boot, space);
	return true;
}

/* Field 22 of /proc/PID/stat (proc(5)), counted behind the name, which may hold anything. */
static bool read_start(int64_t pid, char *buf, size_t buf_bytes)
{
	char path[64], stat[1024], *at;

	snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
	if (read_text(path, stat, sizeof(stat)) <= 0 || !(at = strrchr(stat, ')')))
		return false;
	at++;
	for (int field = 3; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return false;
	at[1 + strcspn(at + 1, " \n")] = '\0';
	str_cut(buf, buf_bytes, at + 1);
	return true;
}

void lease_process_of_self(char *buf, size_t buf_bytes)
{
	char place[128], start[32];

	buf[0] = '\0';
	if (read_lease_place(place, sizeof(place)) && read_start(getpid(), start, sizeof(start)))
		snprintf(buf, buf_bytes, "%s%s", place, start);
}

bool lease_process_is_gone(const char *process, int64_t pid)
{
	char place[128], start[32];

	if (pid < 1 || pid > INT32_MAX || !read_lease_place(place, sizeof(place)) ||
	    !str_starts(process, place))
		return false;
	if (read_start(pid, start, sizeof(start)))
		return strcmp(process + strlen(place), start) != 0;
	return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

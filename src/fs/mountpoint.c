// SPDX-License-Identifier: Apache-2.0
/* See mountpoint.h. */
#include "mountpoint.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the mount table white space and backslashes are written in octal. */
static void append_mount_path(struct str *out, const char *path)
{
	for (; *path; path++) {
		if (strchr(" \t\n\\", *path))
			str_appendf(out, "\\%03o", (unsigned)*path);
		else
			str_append_char(out, *path);
	}
}

/* The mounts of this process, line by line: "36 35 0:57 / /mnt/keep rw … - fuse.keepfs keepfs rw,…". */
int mountpoint_find(const char *mountpoint, char ret_device[static MOUNT_DEVICE_BYTES], bool *ret_keepfs)
{
	_cleanup(str) struct str table = {0}, escaped = {0};
	char *rest, *line;
	int found = -ENOENT;

	if (fd_read_file("/proc/self/mountinfo", (size_t)16 << 20, &table) < 0)
		return -ENOENT;
	append_mount_path(&escaped, mountpoint);
	for (rest = table.data; (line = strsep(&rest, "\n"));) {
		char device[MOUNT_DEVICE_BYTES], where[4096];
		const char *type = strstr(line, " - ");

		if (!type || sscanf(line, "%*s %*s %31s %*s %4095s", device, where) != 2 ||
		    strcmp(where, str_text(&escaped)) != 0)
			continue;
		/* The last one is the one on top. */
		*ret_keepfs = str_starts(type, " - fuse.keepfs ");
		str_copy(ret_device, MOUNT_DEVICE_BYTES, device);
		found = 0;
	}
	return found;
}

void mountpoint_detach(const char *mountpoint)
{
	const char *const argv[] = {"fusermount3", "-u", "-z", "-q", "--", mountpoint, NULL};
	extern char **environ;
	pid_t pid;

	if (umount2(mountpoint, MNT_DETACH) == 0 || errno != EPERM)
		return;
	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ) == 0)
		waitpid(pid, NULL, 0);
}

/* An automount point is empty until it is looked into, and looking into it would mount. */
static bool is_automount_point(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == AUTOFS_SUPER_MAGIC;
}

/* Return: 0 or negative errno; *@ret_name (heap) is the first thing in it, NULL: it is empty. */
static int look_into(const char *directory, char **ret_name)
{
	_cleanup(fd) int path_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	const struct dirent *entry;
	DIR *dir;

	if (path_fd < 0)
		return -errno;
	if (is_automount_point(path_fd))
		return 0;
	fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir)
		return -errno;
	take_fd(&fd);
	while ((entry = readdir(dir)) && (str_equal(entry->d_name, ".") || str_equal(entry->d_name, "..")))
		;
	*ret_name = entry ? mem_strdup(entry->d_name) : NULL;
	closedir(dir);
	return 0;
}

static int refuse_what_is_in_use(const char *mountpoint, struct error *err)
{
	_cleanup(free) char *name = NULL;
	int r = look_into(mountpoint, &name);

	if (r < 0)
		return error_system(err, -r, "the mountpoint %s cannot be looked into", mountpoint);
	if (!name)
		return 0;
	return error_set(
	        err, ERROR_USAGE, ENOTEMPTY,
	        "the mountpoint %s is not empty: it holds %s, and a mount would hide that; name an empty directory, or mount with -o nonempty if that is what you want",
	        mountpoint, name);
}

int mountpoint_prepare(const char *mountpoint, bool nonempty, struct error *err)
{
	char device[MOUNT_DEVICE_BYTES];
	struct statx st;
	bool keepfs;
	int errnum;

	/* Asked for anew: what the kernel remembers of the root outlives the daemon. */
	errnum =
	        statx(AT_FDCWD, mountpoint, AT_STATX_FORCE_SYNC | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &st) < 0
	                ? errno
	                : 0;
	keepfs = mountpoint_find(mountpoint, device, &keepfs) == 0 && keepfs;
	if (errnum == 0 && !S_ISDIR(st.stx_mode))
		return error_set(err, ERROR_USAGE, ENOTDIR, "the mountpoint %s is not a directory",
		                 mountpoint);
	if (errnum == 0 && keepfs)
		return error_set(err, ERROR_CONFLICT, EBUSY,
		                 "a keepfs is mounted on %s already; end it with: umount %s", mountpoint,
		                 mountpoint);
	/* A daemon that was killed leaves a mount that answers every call with ENOTCONN. Only such a one is
	 * taken away. */
	if (errnum == ENOTCONN && keepfs) {
		log_warning("%s holds a mount whose daemon has gone: it is replaced", mountpoint);
		mountpoint_detach(mountpoint);
		errnum = 0;
	} else if (errnum == ENOENT) {
		errnum = -fd_make_dirs(mountpoint, 0755);
	}
	if (errnum)
		return error_system(err, errnum, "the mountpoint %s cannot be used", mountpoint);
	return nonempty ? 0 : refuse_what_is_in_use(mountpoint, err);
}

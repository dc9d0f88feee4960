// SPDX-License-Identifier: Apache-2.0
/*
 * A file system that lacks something, made of one that has it: stands before the C library's calls and fails those
 * that KEEPFS_TEST_FOREIGN names, separated by commas, as other file systems do:
 *
 *     links      linkat(): EPERM (vfat, exFAT)          dirsync   fsync() of a directory: EINVAL (CIFS)
 *     noreplace  RENAME_NOREPLACE: EINVAL (NFS, FUSE)   sync      syncfs(): EINVAL
 *     locks      flock(): ENOLCK                        filesync  fsync() of a file: EINVAL
 *     inodes     it is vfat, and each look at a file sees another inode number, and no count of links
 *
 * Only below the directory KEEPFS_TEST_FOREIGN_ROOT, when that is set. It is linked into a test, or preloaded into
 * the program (LD_PRELOAD).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool is_named(const char *word)
{
	const char *at = getenv("KEEPFS_TEST_FOREIGN");
	size_t len = strlen(word);

	for (; at && *at; at += strcspn(at, ","), at += *at == ',')
		if (strncmp(at, word, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
	return false;
}

static bool is_below_root(int fd)
{
	const char *root = getenv("KEEPFS_TEST_FOREIGN_ROOT");
	char link[32], path[4096];
	ssize_t len;

	if (!root)
		return true;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path));
	return len >= (ssize_t)strlen(root) && strncmp(path, root, strlen(root)) == 0;
}

static bool lacks(const char *word, int fd)
{
	return is_named(word) && is_below_root(fd);
}

static int refuse(int errnum)
{
	errno = errnum;
	return -1;
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	if (lacks("links", to_fd))
		return refuse(EPERM);
	return (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	if (flags && lacks("noreplace", to_fd))
		return refuse(EINVAL);
	return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

static int real_fstat(int fd, struct stat *st)
{
	return (int)syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
}

int fsync(int fd)
{
	struct stat st;

	if (lacks("dirsync", fd) && real_fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return refuse(EINVAL);
	if (lacks("filesync", fd) && real_fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return refuse(EINVAL);
	return (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
	return lacks("sync", fd) ? refuse(EINVAL) : (int)syscall(SYS_syncfs, fd);
}

int flock(int fd, int operation)
{
	return lacks("locks", fd) ? refuse(ENOLCK) : (int)syscall(SYS_flock, fd, operation);
}

int fstatfs(int fd, struct statfs *fs)
{
	int r = (int)syscall(SYS_fstatfs, fd, fs);

	if (r == 0 && lacks("inodes", fd))
		fs->f_type = MSDOS_SUPER_MAGIC;
	return r;
}

static void change_inode(int fd, struct stat *st)
{
	static atomic_uint last;

	if (!lacks("inodes", fd))
		return;
	st->st_ino = 1000 + atomic_fetch_add(&last, 1);
	st->st_nlink = 0;
}

int fstat(int fd, struct stat *st)
{
	int r = real_fstat(fd, st);

	if (r == 0)
		change_inode(fd, st);
	return r;
}

int fstatat(int fd, const char *path, struct stat *st, int flags)
{
	int r = (int)syscall(SYS_newfstatat, fd, path, st, flags);

	if (r == 0)
		change_inode(fd, st);
	return r;
}

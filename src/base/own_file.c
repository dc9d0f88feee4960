// SPDX-License-Identifier: Apache-2.0
/* Files of our own: what is looked at is what is opened, through descriptors. */
#include <keepfs/base/own_file.h>

#include <keepfs/base/cleanup.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0600

static int refuse_directory(const char *path, const char *what, const char *why, const char *advice,
                            struct error *err)
{
	return error_set(err, ERROR_DENIED, EPERM,
	                 "%s the %s %s, which holds what only keepfs may change; %s", why, what, path,
	                 advice);
}

static int check_own_directory(int fd, const char *path, const char *what, const char *advice,
                               struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_system(err, errno, "cannot look at the %s %s", what, path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return refuse_directory(path, what, "another user owns", advice, err);
	if (st.st_mode & (S_IWGRP | S_IWOTH) && !(st.st_mode & S_ISVTX))
		return refuse_directory(path, what, "others than its owner may write in", advice, err);
	return 0;
}

/* A link that we or root have made may lead to another disk; one of somebody else's leads where he likes. */
static int check_link(const char *path, const char *what, const char *advice, struct error *err)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && st.st_uid != geteuid() && st.st_uid != 0)
		return refuse_directory(path, what, "another user has made the link that is", advice, err);
	return 0;
}

int own_directory_open(const char *path, const char *what, const char *advice, struct error *err)
{
	_cleanup(fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = 0;

	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR)) {
		r = check_link(path, what, advice, err);
		if (r == 0)
			fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (r < 0)
		return r;
	if (fd < 0)
		return error_system(err, errno, "cannot open the %s %s", what, path);
	r = check_own_directory(fd, path, what, advice, err);
	return r < 0 ? r : take_fd(&fd);
}

static int refuse_file(const char *dir, const char *name, const char *why, const char *advice,
                       struct error *err)
{
	return error_set(err, ERROR_DENIED, EPERM, "%s/%s %s, so it is none that keepfs made; %s", dir, name,
	                 why, advice);
}

static int check_file(const struct stat *st, const char *dir, const char *name, const char *advice,
                      struct error *err)
{
	if (S_ISLNK(st->st_mode))
		return refuse_file(dir, name, "is a symbolic link", advice, err);
	if (S_ISDIR(st->st_mode))
		return refuse_file(dir, name, "is a directory", advice, err);
	if (!S_ISREG(st->st_mode))
		return refuse_file(dir, name, "is not a regular file", advice, err);
	if (st->st_uid != geteuid())
		return refuse_file(dir, name, "belongs to another user", advice, err);
	return 0;
}

static int tell_failure(int errnum, const char *dir, const char *name, const char *advice, struct error *err)
{
	if (errnum == ELOOP)
		return refuse_file(dir, name, "is a symbolic link", advice, err);
	if (errnum == EISDIR)
		return refuse_file(dir, name, "is a directory", advice, err);
	return error_system(err, errnum, "cannot open %s/%s", dir, name);
}

int own_file_open(int dir_fd, const char *dir, const char *name, int flags, const char *advice,
                  struct error *err)
{
	/* O_NONBLOCK: a fifo is looked at, not waited for. */
	_cleanup(fd) int fd = openat(dir_fd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, FILE_MODE);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return tell_failure(errno, dir, name, advice, err);
	r = check_file(&st, dir, name, advice, err);
	if (r < 0)
		return r;
	if ((st.st_mode & 07777) != FILE_MODE && fchmod(fd, FILE_MODE) < 0)
		return error_system(err, errno, "cannot chmod %s/%s", dir, name);
	return take_fd(&fd);
}

int own_file_check(int dir_fd, const char *dir, const char *name, const char *advice, struct error *err)
{
	struct stat st;
	int r;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? -ENOENT
		                       : error_system(err, errno, "cannot look at %s/%s", dir, name);
	r = check_file(&st, dir, name, advice, err);
	if (r < 0)
		return r;
	/* Nobody can exchange it for a link meanwhile: the directory, or its sticky bit, sees to that. */
	if ((st.st_mode & 07777) != FILE_MODE && fchmodat(dir_fd, name, FILE_MODE, 0) < 0)
		return error_system(err, errno, "cannot chmod %s/%s", dir, name);
	return 0;
}

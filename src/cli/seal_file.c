// SPDX-License-Identifier: Apache-2.0
#include "seal_file.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse_to_seal(const char *path, const char *why, struct error *err)
{
	return error_set(err, ERROR_USAGE, EINVAL, "%s %s", path, why);
}

static int open_plain(const char *path, struct stat *ret, int *ret_fd, struct error *err)
{
	_cleanup(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 && errno == ELOOP)
		return refuse_to_seal(path, "is a symbolic link: name what it leads to", err);
	if (fd < 0 || fstat(fd, ret) < 0)
		return error_system(err, errno, "%s cannot be opened", path);
	if (!S_ISREG(ret->st_mode))
		return refuse_to_seal(path, "is no regular file", err);
	if (ret->st_nlink > 1)
		return refuse_to_seal(
		        path, "has other names (hard links), under which it would stay as it is", err);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int read_plain(const char *path, struct stat *ret_st, struct secret_text *ret, struct error *err)
{
	_cleanup(fd) int fd = -1;
	int r = open_plain(path, ret_st, &fd, err);

	if (r < 0)
		return r;
	r = secret_text_read(ret, fd);
	if (r == -EFBIG)
		return refuse_to_seal(path, "is longer than 64 KiB, and so no secret", err);
	if (r < 0)
		return error_system(err, -r, "%s cannot be read", path);
	return ret->len == 0 ? refuse_to_seal(path, "is empty", err) : 0;
}

int seal_read_file(const char *path, struct secret_text *ret, struct error *err)
{
	struct stat st;

	return read_plain(path, &st, ret, err);
}

static int write_sealed(const char *fresh, const struct stat *st, const struct str *armor, struct error *err)
{
	_cleanup(fd) int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return error_system(err, errno, "%s cannot be made", fresh);
	r = fd_write_all(fd, str_text(armor), armor->len);
	if (r == 0 && (st->st_uid != geteuid() || st->st_gid != getegid()) &&
	    fchown(fd, st->st_uid, st->st_gid) < 0)
		r = -errno;
	if (r == 0 && fchmod(fd, st->st_mode & 07777) < 0)
		r = -errno;
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? error_system(err, -r, "%s cannot be written as the owner of the old file has it",
	                            fresh)
	             : 0;
}

/* What is there by now is what the old one held, and nobody has changed that meanwhile. */
static int check_sealed(const char *path, const char *fresh, const struct secret_text *plain,
                        struct error *err)
{
	_cleanup(secret_text) struct secret_text now = {0}, opened = {0};
	int r = secret_open_file(fresh, &(struct secret_use){.what = "sealed", .whole = true}, &opened, err);

	if (r == 0)
		r = seal_read_file(path, &now, err);
	if (r < 0)
		return r;
	if (now.len != plain->len || memcmp(now.data, plain->data, now.len) != 0)
		return refuse_to_seal(path, "has changed meanwhile: once more", err);
	if (opened.len != plain->len || memcmp(opened.data, plain->data, opened.len) != 0)
		return error_set(err, ERROR_INTERNAL, EIO, "%s does not hold what %s holds", fresh, path);
	return 0;
}

static void sync_directory_of(const char *path)
{
	_cleanup(free) char *copy = mem_strdup(path);
	_cleanup(fd) int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		(void)fsync(fd);
}

static int replace_by_sealed(const char *path, const struct stat *st, const struct secret_text *plain,
                             struct error *err)
{
	_cleanup(free) char *fresh = mem_printf("%s.%d.sealed", path, (int)getpid());
	_cleanup(str) struct str armor = {0};
	int r = secret_seal(plain, &armor, err);

	if (r < 0)
		return r;
	r = write_sealed(fresh, st, &armor, err);
	if (r == 0)
		r = check_sealed(path, fresh, plain, err);
	if (r == 0 && rename(fresh, path) < 0)
		r = error_system(err, errno, "%s cannot be replaced", path);
	if (r < 0)
		(void)unlink(fresh);
	else
		sync_directory_of(path);
	return r;
}

int seal_file(const char *path, struct error *err)
{
	_cleanup(secret_text) struct secret_text plain = {0}, opened = {0};
	struct stat st;
	int r = read_plain(path, &st, &plain, err);

	if (r < 0)
		return r;
	if (!secret_is_sealed(plain.data, plain.len))
		return replace_by_sealed(path, &st, &plain, err);
	r = secret_unseal_bytes(path, plain.data, plain.len, &opened, err);
	return r < 0 ? r : 1;
}

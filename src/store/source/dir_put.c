// SPDX-License-Identifier: Apache-2.0
/*
 * Files that are written into a directory that somebody else uses meanwhile. Names come from a listing that may be forged, so the way to a file is walked one
 * directory after the other, each below the one before, and no link is followed.
 */
#include "source_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/scratch_place.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/shown_name.h>

#include "../store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)4 << 20)
#define TEMP_HEX    32

struct dir_put {
	struct source_put base; /* first */
	int above, fd;
	char *name; /* in @above */
	char temp[sizeof(DIR_TEMP_PREFIX) + TEMP_HEX];
};

static const struct dir_source *dir_of_source(const struct source *s)
{
	return (const struct dir_source *)s; /* `base` is the first member */
}

static bool is_component(const char *at, size_t len)
{
	if (len == 0 || len > NAME_MAX || str_starts(at, DIR_TEMP_PREFIX))
		return false;
	return !(len == 1 && at[0] == '.') && !(len == 2 && at[0] == '.' && at[1] == '.');
}

int dir_source_check_key(const struct source *s, const char *key, struct error *err)
{
	bool fits =
	        strlen(key) < SHOWN_KEY_MAX && strlen(key) + strlen(dir_of_source(s)->root) + 1 < PATH_MAX;
	const char *at = key;

	while (fits && at) {
		size_t len = strcspn(at, "/");

		fits = is_component(at, len);
		at = at[len] ? at + len + 1 : NULL;
	}
	return fits ? 0
	            : error_set(err, ERROR_USAGE, EINVAL, "no file below %s can be called so",
	                        dir_of_source(s)->root);
}

size_t dir_source_piece_bytes(const struct source *s, const struct source_new *what)
{
	(void)s;
	return what->most_piece_bytes < PIECE_BYTES ? what->most_piece_bytes : PIECE_BYTES;
}

static int refuse_in_the_way(const char *key, const char *what, struct error *err)
{
	return error_set(err, ERROR_CONFLICT, EEXIST, "%s: %s; move it away", key, what);
}

static int open_directory_below(int above, const char *name, bool make)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
	int fd = openat(above, name, flags);

	if (fd >= 0 || errno != ENOENT || !make)
		return fd < 0 ? -errno : fd;
	if (mkdirat(above, name, 0777) < 0 && errno != EEXIST)
		return -errno;
	if (fsync(above) < 0)
		return -errno;
	fd = openat(above, name, flags);
	return fd < 0 ? -errno : fd;
}

static int open_target_root(const struct dir_source *s, bool make)
{
	int fd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && make && (mkdir(s->root, 0777) == 0 || errno == EEXIST))
		fd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The directory that @key is in: *@ret_name is the rest of it. -ENOENT: it is not there, and was not to be made. */
static int open_above(const struct dir_source *s, const char *key, bool make, int *ret, const char **ret_name,
                      struct error *err)
{
	_cleanup(fd) int fd = open_target_root(s, make);
	const char *slash;

	if (fd < 0)
		return error_system(err, -fd, "%s cannot be opened", s->root);
	while ((slash = strchr(key, '/'))) {
		_cleanup(free) char *name = mem_printf("%.*s", (int)(slash - key), key);
		int below = open_directory_below(fd, name, make);

		if (below == -ENOTDIR || below == -ELOOP)
			return refuse_in_the_way(name, "it is a link, or no directory", err);
		if (below < 0)
			return error_system(err, -below, "%s: the directory %s cannot be opened", s->root,
			                    name);
		close(fd);
		fd = below;
		key = slash + 1;
	}
	*ret = take_fd(&fd);
	*ret_name = key;
	return 0;
}

/* What is replaced is a file, or nothing. */
static int check_file_place(const struct dir_put *p, struct error *err)
{
	struct stat st;

	if (fstatat(p->above, p->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_system(err, errno, "%s cannot be looked at", p->name);
	if (S_ISREG(st.st_mode))
		return 0;
	return refuse_in_the_way(p->base.what.key,
	                         S_ISDIR(st.st_mode)   ? "there is a directory of that name"
	                         : S_ISLNK(st.st_mode) ? "there is a symbolic link of that name"
	                                               : "there is something of that name that is no file",
	                         err);
}

/* The same for the same name, so that what a run that was killed has left is overwritten by the next one. */
static void name_temp(struct dir_put *p)
{
	char hex[SHA256_HEX_BYTES];
	uint8_t digest[SHA256_BYTES];

	sha256_once(p->name, strlen(p->name), digest);
	hex_encode(digest, sizeof(digest), hex);
	snprintf(p->temp, sizeof(p->temp), "%s%.*s", DIR_TEMP_PREFIX, TEMP_HEX, hex);
}

static int open_temp(struct dir_put *p, struct error *err)
{
	name_temp(p);
	if (unlinkat(p->above, p->temp, 0) < 0 && errno != ENOENT)
		return error_system(err, errno, "%s, beside %s, cannot be removed", p->temp,
		                    p->base.what.key);
	p->fd = openat(p->above, p->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	return p->fd < 0 ? error_system(err, errno, "%s cannot be made, beside %s", p->temp, p->base.what.key)
	                 : 0;
}

int dir_source_put_begin(struct source *s, const struct store_call *call, const struct source_new *what,
                         struct source_put **ret, struct error *err)
{
	_cleanup(source_put) struct source_put *base = NULL;
	struct dir_put *p;
	const char *name;
	int r = store_call_check(call, what->key, err);

	if (r < 0)
		return r;
	p = mem_alloc(sizeof(*p));
	*p = (struct dir_put){.base = {.source = s, .what = *what}, .above = -1, .fd = -1};
	base = &p->base;
	r = open_above(dir_of_source(s), what->key, true, &p->above, &name, err);
	if (r < 0)
		return r;
	p->name = mem_strdup(name);
	r = check_file_place(p, err);
	if (r == 0)
		r = open_temp(p, err);
	if (r == 0)
		*ret = take_ptr(&base);
	return r;
}

int dir_source_put_write(struct source_put *base, const struct store_call *call, const void *data, size_t len,
                         struct error *err)
{
	struct dir_put *p = (struct dir_put *)base;
	int r = store_call_check(call, base->what.key, err);

	if (r == 0 && (r = fd_write_all(p->fd, data, len)) < 0)
		return error_system(err, -r, "%s cannot be written", base->what.key);
	return r;
}

static int set_time(const struct dir_put *p)
{
	int64_t us = p->base.what.modified_us;
	int64_t rest = (us % US_PER_S + US_PER_S) % US_PER_S;
	const struct timespec times[2] = {{.tv_nsec = UTIME_NOW},
	                                  {.tv_sec = (us - rest) / US_PER_S, .tv_nsec = rest * 1000}};

	return futimens(p->fd, times) < 0 ? -errno : 0;
}

/* Without an end to what is there. Not every file system can do it by a flag, and not every one has links. */
static int rename_to_new(const struct dir_put *p)
{
	if (renameat2(p->above, p->temp, p->above, p->name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(p->above, p->temp, p->above, p->name, 0) < 0)
		return -errno;
	return unlinkat(p->above, p->temp, 0) < 0 ? -errno : 0;
}

static int rename_temp(const struct dir_put *p, struct error *err)
{
	int r = 0;

	if (p->base.what.only_new)
		r = rename_to_new(p);
	else if (renameat(p->above, p->temp, p->above, p->name) < 0)
		r = -errno;
	if (r == -EEXIST)
		return error_set(err, ERROR_CONFLICT, ESTALE, "%s: somebody has made a file there meanwhile",
		                 p->base.what.key);
	return r < 0 ? error_system(err, -r, "%s cannot be completed", p->base.what.key) : 0;
}

int dir_source_put_end(struct source_put *base, const struct store_call *call, struct error *err)
{
	struct dir_put *p = (struct dir_put *)base;
	int r = store_call_check(call, base->what.key, err);

	if (r == 0)
		r = check_file_place(p, err);
	if (r < 0)
		return r;
	r = set_time(p);
	if (r == 0 && fsync(p->fd) < 0)
		r = -errno;
	if (r < 0)
		return error_system(err, -r, "%s cannot be completed", base->what.key);
	r = rename_temp(p, err);
	if (r < 0)
		return r;
	p->temp[0] = '\0';
	return fsync(p->above) < 0 ? error_system(err, errno, "%s cannot be completed", base->what.key) : 0;
}

void dir_source_put_free(struct source_put *base)
{
	struct dir_put *p = (struct dir_put *)base;

	if (p->fd >= 0 && p->temp[0])
		(void)unlinkat(p->above, p->temp, 0);
	if (p->fd >= 0)
		close(p->fd);
	if (p->above >= 0)
		close(p->above);
	free(p->name);
	free(p);
}

int dir_source_remove(struct source *s, const struct store_call *call, const char *key, struct error *err)
{
	_cleanup(fd) int above = -1;
	const char *name;
	struct stat st;
	int r = store_call_check(call, key, err);

	if (r == 0)
		r = open_above(dir_of_source(s), key, false, &above, &name, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (fstatat(above, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_system(err, errno, "%s cannot be looked at", key);
	if (!S_ISREG(st.st_mode))
		return refuse_in_the_way(key, "it is no file any more", err);
	if (unlinkat(above, name, 0) < 0 && errno != ENOENT)
		return error_system(err, errno, "%s cannot be removed", key);
	return fsync(above) < 0 ? error_system(err, errno, "%s cannot be removed", key) : 0;
}

int dir_source_empty(struct source *s, const struct store_call *call, struct error *err)
{
	const char *root = dir_of_source(s)->root;
	int r = scratch_remove(AT_FDCWD, root);

	(void)call;
	return r < 0 ? error_system(err, -r, "%s cannot be removed", root) : 0;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * From a key to an open directory. Each component is opened in its parent without following links, so no key
 * and no link planted below the root can lead outside, also when directories are moved meanwhile.
 *
 * A directory is "settled" when its name is known to be on disk. It is not enough to sync after one's own
 * mkdir(): another thread, or a process killed since, may have made it and not synced yet.
 */
#include "dir.h"

#include <keepfs/base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static bool is_link(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/* @is_new: made by us, so what is known is of an older one with the same number. */
static int settle_directory(struct dir_store *d, int parent_fd, int fd, bool is_new)
{
	struct dir_inode *slot;
	struct stat st;
	bool known;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	slot = &d->settled[st.st_ino % DIR_SETTLED];
	pthread_mutex_lock(&d->lock);
	known = !is_new && dir_inodes_last(d) && slot->ino == st.st_ino && slot->dev == st.st_dev;
	pthread_mutex_unlock(&d->lock);
	if (known)
		return 0;
	r = dir_sync(d, parent_fd);
	if (r < 0)
		return r;
	pthread_mutex_lock(&d->lock);
	*slot = (struct dir_inode){st.st_dev, st.st_ino};
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static int path_step(struct dir_store *d, int parent_fd, const char *name, bool make)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	_cleanup(fd) int fd = openat(parent_fd, name, flags);
	bool is_new = false;
	int r;

	if (fd < 0 && errno == ENOENT && make) {
		is_new = mkdirat(parent_fd, name, 0700) == 0;
		if (!is_new && errno != EEXIST)
			return -errno;
		fd = openat(parent_fd, name, flags);
	}
	if (fd < 0) {
		r = -errno;
		return r == -ENOTDIR && is_link(parent_fd, name) ? -ELOOP : r;
	}
	if (make) {
		r = settle_directory(d, parent_fd, fd, is_new);
		if (r < 0)
			return r;
	}
	return take_fd(&fd);
}

/* An unmounted or removed root must not look like one whose objects are gone. */
static int root_copy(struct dir_store *d)
{
	struct stat st;
	int fd;

	if (fstat(d->root_fd, &st) < 0)
		return -errno;
	if (st.st_nlink == 0 && d->root_counts_links)
		return -ENODEV;
	fd = fcntl(d->root_fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int dir_walk(struct dir_store *d, const char *path, size_t len, bool make)
{
	_cleanup(fd) int fd = root_copy(d);

	if (fd < 0)
		return take_fd(&fd);
	for (size_t at = 0; at < len;) {
		char name[STORE_KEY_BYTES];
		size_t n = 0;
		int next;

		while (at + n < len && path[at + n] != '/')
			n++;
		snprintf(name, sizeof(name), "%.*s", (int)n, path + at);
		next = path_step(d, fd, name, make);
		if (next < 0)
			return next;
		close(fd);
		fd = next;
		at += n + 1;
	}
	return take_fd(&fd);
}

int dir_walk_parent(struct dir_store *d, const char *key, bool make, const char **ret_leaf)
{
	const char *slash = strrchr(key, '/');

	*ret_leaf = slash ? slash + 1 : key;
	return dir_walk(d, key, slash ? (size_t)(slash - key) : 0, make);
}

int dir_stat_leaf(int dir_fd, const char *leaf, struct stat *ret)
{
	if (fstatat(dir_fd, leaf, ret, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISLNK(ret->st_mode))
		return -ELOOP;
	return S_ISREG(ret->st_mode) ? 0 : -ENOENT;
}

void dir_fill_object(const struct dir_store *d, const struct stat *st, const char *key,
                     struct store_object *ret)
{
	unsigned long long ino = dir_inodes_last(d) ? st->st_ino : 0,
	                   time_ns = dir_times_last(d)
	                                     ? (unsigned long long)st->st_mtim.tv_sec * 1000000000ULL +
	                                               (unsigned long long)st->st_mtim.tv_nsec
	                                     : 0;

	str_copy(ret->key, sizeof(ret->key), key);
	ret->bytes = (uint64_t)st->st_size;
	snprintf(ret->etag, sizeof(ret->etag), "%llx-%llx-%llx", ino, (unsigned long long)st->st_size,
	         time_ns);
}

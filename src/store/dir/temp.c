// SPDX-License-Identifier: Apache-2.0
/*
 * Files that are not there yet. Where the file system has it, a temporary has no name at all (O_TMPFILE) and
 * vanishes with its process; an object that is new gets its name by one linkat(). To replace an object takes
 * a rename, and a rename takes a name: that, and file systems without O_TMPFILE, use random names in
 * .keepfs/tmp.
 *
 * A named temporary is locked (flock) by its writer from before it has bytes, or a name, until it is
 * published. The sweep removes only what it can lock itself. Between making a named file and locking it a
 * sweep may come first: then the writer finds its file without a link, and makes another.
 */
#include "dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

char *dir_fd_path(int fd, char buf[static DIR_FD_PATH_BYTES])
{
	snprintf(buf, DIR_FD_PATH_BYTES, "/proc/self/fd/%d", fd);
	return buf;
}

static int open_nameless(struct dir_store *d)
{
	int fd = openat(d->tmp_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

/* Asked by name, since not every file system counts links. */
static bool is_swept(struct dir_store *d, const char *name)
{
	struct stat st;

	return fstatat(d->tmp_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

/* A new locked file; @ret_name is its name in .keepfs/tmp. */
static int open_named(struct dir_store *d, char ret_name[static DIR_ID_BYTES])
{
	for (;;) {
		char name[DIR_ID_BYTES];
		_cleanup(fd) int fd = -1;
		int r;

		dir_random_id(name);
		fd = openat(d->tmp_fd, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		r = dir_lock(d, fd, LOCK_EX);
		if (r < 0) {
			unlinkat(d->tmp_fd, name, 0);
			return r;
		}
		if (is_swept(d, name))
			continue;
		memcpy(ret_name, name, DIR_ID_BYTES);
		return take_fd(&fd);
	}
}

int dir_temp_open(struct dir_store *d, struct dir_temp *ret)
{
	*ret = (struct dir_temp){.store = d, .fd = -1};
	if (d->work_errno)
		return -d->work_errno;
	ret->fd = d->nameless ? open_nameless(d) : open_named(d, ret->name);
	return ret->fd < 0 ? ret->fd : 0;
}

void dir_temp_finish(struct dir_temp *t)
{
	if (t->name[0])
		unlinkat(t->store->tmp_fd, t->name, 0);
	cleanup_fd(&t->fd);
	t->fd = -1;
}

static int take_temp_name(struct dir_temp *t)
{
	char path[DIR_FD_PATH_BYTES];
	int r;

	if (t->name[0])
		return 0;
	r = dir_lock(t->store, t->fd, LOCK_EX | LOCK_NB);
	if (r < 0)
		return r;
	dir_random_id(t->name);
	return linkat(AT_FDCWD, dir_fd_path(t->fd, path), t->store->tmp_fd, t->name, AT_SYMLINK_FOLLOW) < 0
	               ? -errno
	               : 0;
}

int dir_temp_replace(struct dir_temp *t, int dir_fd, const char *leaf)
{
	int r = take_temp_name(t);

	if (r == 0)
		r = dir_replace(t->store, t->store->tmp_fd, t->name, dir_fd, leaf);
	if (r == 0)
		t->name[0] = '\0';
	return r;
}

int dir_temp_publish(struct dir_temp *t, const struct store_call *call, int dir_fd, const char *leaf,
                     bool only_if_absent)
{
	int r, synced;

	if (fsync(t->fd) < 0)
		return -errno;
	/* As after an upload: the next reader sees what the disk holds. */
	posix_fadvise(t->fd, 0, 0, POSIX_FADV_DONTNEED);
	/* The disk may have taken long, and our right to write may have ended meanwhile. */
	r = store_call_state(call);
	if (r < 0)
		return r;
	/* Also where it may replace: mostly the object is new, and a nameless file then never needs a
	 * name. */
	r = dir_name_new(t, dir_fd, leaf);
	if (r == STORE_EXISTS && !only_if_absent)
		r = dir_temp_replace(t, dir_fd, leaf);
	if (r < 0)
		return r;
	/* Also when it exists: whoever made it may not have come this far yet. */
	synced = dir_sync(t->store, dir_fd);
	return synced < 0 ? synced : r;
}

bool dir_temp_works_nameless(struct dir_store *d)
{
	struct dir_temp t = {.store = d, .fd = open_nameless(d)};
	bool works = t.fd >= 0 && take_temp_name(&t) == 0;

	dir_temp_finish(&t);
	return works;
}

void dir_temp_sweep(struct dir_store *d)
{
	int dir_fd = openat(d->tmp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = dir_fd < 0 ? NULL : fdopendir(dir_fd);
	struct dirent *entry;

	if (!dir) {
		cleanup_fd(&dir_fd);
		return;
	}
	while ((entry = readdir(dir))) {
		_cleanup(fd) int fd = -1;

		if (!dir_id_valid(entry->d_name))
			continue;
		fd = openat(d->tmp_fd, entry->d_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0 && dir_is_left(d, fd))
			unlinkat(d->tmp_fd, entry->d_name, 0);
	}
	closedir(dir);
}

static int write_piece(int fd, uint64_t offset, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, (off_t)offset);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			offset += (uint64_t)n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int dir_write_iov(int fd, uint64_t offset, const struct iovec *iov, int count, const struct store_call *call)
{
	for (int i = 0; i < count; i++) {
		for (size_t at = 0; at < iov[i].iov_len;) {
			size_t left = iov[i].iov_len - at;
			size_t len = left < DIR_CHUNK_BYTES ? left : DIR_CHUNK_BYTES;
			int r = store_call_state(call);

			if (r == 0)
				r = write_piece(fd, offset, (const char *)iov[i].iov_base + at, len);
			if (r < 0)
				return r;
			at += len;
			offset += len;
		}
	}
	return 0;
}

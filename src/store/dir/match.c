// SPDX-License-Identifier: Apache-2.0
/*
 * "Only this object" on a put. A file system has no such rename, so whoever asks for it takes a lock (flock) for the moment between
 * the look and the rename: a file in .keepfs/tmp, which no sweep takes for a temporary. It is there for all processes and, where the
 * file system is one of a server that has locks (NFS), for all hosts. Puts without a condition do not ask for it.
 */
#include "dir.h"

#include <keepfs/base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static int take_lock(struct dir_store *d)
{
	_cleanup(fd) int fd =
	        openat(d->tmp_fd, ".match.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	do
		r = dir_lock(d, fd, LOCK_EX);
	while (r == -EINTR);
	return r < 0 ? r : take_fd(&fd);
}

/* It is opened, not only looked at: a client of NFS then asks the server how it is. */
static int is_that_one(struct dir_store *d, int dir_fd, const char *leaf, const char *key, const char *etag)
{
	_cleanup(fd) int fd = openat(dir_fd, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct store_object there;
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? DIR_OTHER : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	dir_fill_object(d, &st, key, &there);
	return S_ISREG(st.st_mode) && str_equal(there.etag, etag) ? 0 : DIR_OTHER;
}

int dir_publish_over(struct dir_temp *t, const struct store_call *call, int dir_fd, const char *leaf,
                     const char *key, const char *etag)
{
	_cleanup(fd) int lock_fd = -1;
	int r;

	if (fsync(t->fd) < 0)
		return -errno;
	lock_fd = take_lock(t->store);
	r = lock_fd < 0 ? lock_fd : is_that_one(t->store, dir_fd, leaf, key, etag);
	/* The disk, and who had the lock, may have taken longer than we may write. */
	if (r == 0)
		r = store_call_state(call);
	if (r == 0)
		r = dir_temp_replace(t, dir_fd, leaf);
	return r == 0 ? dir_sync(t->store, dir_fd) : r;
}

bool dir_matches_atomically(const struct dir_store *d)
{
	return dir_has_locks(d) && dir_times_last(d);
}

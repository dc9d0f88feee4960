// SPDX-License-Identifier: Apache-2.0
/* Whole objects: put, get, head, remove. See dir.c for what holds. */
#include "dir.h"

#include <keepfs/base/iov.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

static void tell_etag(struct dir_store *d, int fd, const char *key, char *ret_etag)
{
	struct store_object object;
	struct stat st;

	if (!ret_etag || fstat(fd, &st) < 0)
		return;
	dir_fill_object(d, &st, key, &object);
	str_copy(ret_etag, STORE_ETAG_BYTES, object.etag);
}

static int publish(struct dir_temp *temp, const struct store_call *call, const char *key,
                   const struct store_put_options *options)
{
	_cleanup(fd) int dir_fd = -1;
	const char *leaf;

	dir_fd = dir_walk_parent(temp->store, key, true, &leaf);
	if (dir_fd < 0)
		return dir_fd;
	if (options->if_match)
		return dir_publish_over(temp, call, dir_fd, leaf, key, options->if_match);
	return dir_temp_publish(temp, call, dir_fd, leaf, options->only_if_absent);
}

int dir_put(struct store *s, const struct store_call *call, const char *key, const struct iovec *iov,
            int count, const struct store_put_options *options, struct error *err)
{
	struct dir_store *d = dir_store_of(s);
	_cleanup(dir_temp) struct dir_temp temp = {.fd = -1};
	int r;

	if (options->lock)
		return error_set(err, ERROR_USAGE, ENOTSUP,
		                 "the store %s is a directory, so %s cannot be locked", s->name, key);
	if (options->ret_version)
		options->ret_version[0] = '\0';
	r = dir_temp_open(d, &temp);
	if (r == 0)
		r = dir_write_iov(temp.fd, 0, iov, count, call);
	if (r == 0)
		r = publish(&temp, call, key, options);
	if (r == DIR_OTHER)
		return error_set(err, ERROR_CONFLICT, ESTALE, "%s: %s is another one now", s->name, key);
	if (r == 0)
		tell_etag(d, temp.fd, key, options->ret_etag);
	return r < 0 ? dir_write_error(d, r, err, "write", key) : r;
}

/* Where there is no directory for it, there is no object. */
static int walk_to_read(struct dir_store *d, const char *key, const char **ret_leaf)
{
	int fd = dir_walk_parent(d, key, false, ret_leaf);

	return fd == -ENOTDIR ? -ENOENT : fd;
}

static int open_object_file(struct dir_store *d, const char *key, struct stat *ret_st)
{
	_cleanup(fd) int dir_fd = -1;
	_cleanup(fd) int fd = -1;
	const char *leaf;

	dir_fd = walk_to_read(d, key, &leaf);
	if (dir_fd < 0)
		return dir_fd;
	/* O_NONBLOCK: a FIFO that somebody put there must not hold us. */
	fd = openat(dir_fd, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, ret_st) < 0)
		return -errno;
	return S_ISREG(ret_st->st_mode) ? take_fd(&fd) : -ENOENT;
}

/* @want: so many of the buffers' bytes; @filled: counts the bytes that came, also when not all do. */
static int read_iov(int fd, uint64_t offset, uint64_t want, const struct iovec *iov, int count,
                    const struct store_call *call, const struct store_get_options *options, const char *etag,
                    uint64_t *filled)
{
	for (int i = 0; i < count; i++) {
		for (size_t at = 0; at < iov[i].iov_len && *filled < want;) {
			uint64_t left =
			        iov[i].iov_len - at < want - *filled ? iov[i].iov_len - at : want - *filled;
			size_t len = left < DIR_CHUNK_BYTES ? (size_t)left : DIR_CHUNK_BYTES;
			int r = store_call_state(call);
			ssize_t n;

			if (r < 0)
				return r;
			n = pread(fd, (char *)iov[i].iov_base + at, len, (off_t)offset);
			if (n < 0 && errno != EINTR)
				return -errno;
			if (n == 0) /* cut by somebody since its size was read */
				return -ERANGE;
			if (n > 0) {
				at += (size_t)n;
				offset += (uint64_t)n;
				*filled += (uint64_t)n;
				if (options->arrived)
					options->arrived(options->arrived_arg, *filled, etag);
			}
		}
	}
	return 0;
}

static int check_read(struct dir_store *d, const struct store_object *object, uint64_t offset, uint64_t bytes,
                      const char *if_match, struct error *err)
{
	if (if_match && strcmp(if_match, object->etag) != 0)
		return error_set(err, ERROR_CONFLICT, ESTALE, "%s: %s was replaced", d->base.name,
		                 object->key);
	if (offset > object->bytes || bytes > object->bytes - offset)
		return error_set(err, ERROR_USAGE, ERANGE,
		                 "%s: %s has %llu bytes: %llu from %llu are not there", d->base.name,
		                 object->key, (unsigned long long)object->bytes, (unsigned long long)bytes,
		                 (unsigned long long)offset);
	return 0;
}

int dir_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
            const struct iovec *iov, int count, const struct store_get_options *options, struct error *err)
{
	struct dir_store *d = dir_store_of(s);
	struct stat st;
	_cleanup(fd) int fd = open_object_file(d, key, &st);
	struct store_object object;
	uint64_t filled = 0, want = iov_bytes(iov, count);
	int r;

	if (fd < 0)
		return dir_error(d, fd, err, "read", key);
	dir_fill_object(d, &st, key, &object);
	if (options->if_none_match && str_equal(options->if_none_match, object.etag))
		return STORE_NOT_CHANGED;
	if (options->to_the_end && object.bytes > 0 && object.bytes < want)
		want = object.bytes;
	r = check_read(d, &object, offset, want, options->if_match, err);
	if (r < 0)
		return r;
	r = read_iov(fd, offset, want, iov, count, call, options, object.etag, &filled);
	store_get_tell(options, object.etag, filled);
	return r < 0 ? dir_error(d, r, err, "read", key) : 0;
}

int dir_head(struct store *s, const struct store_call *call, const char *key, struct store_object *ret,
             struct error *err)
{
	struct dir_store *d = dir_store_of(s);
	_cleanup(fd) int dir_fd = -1;
	const char *leaf;
	struct stat st;
	int r;

	dir_fd = walk_to_read(d, key, &leaf);
	r = dir_fd < 0 ? dir_fd : dir_stat_leaf(dir_fd, leaf, &st);
	if (r < 0)
		return dir_error(d, r, err, "look for", key);
	dir_fill_object(d, &st, key, ret);
	return 0;
}

int dir_remove(struct store *s, const struct store_call *call, const char *key, struct error *err)
{
	struct dir_store *d = dir_store_of(s);
	_cleanup(fd) int dir_fd = -1;
	const char *leaf;
	int r;

	dir_fd = walk_to_read(d, key, &leaf);
	if (dir_fd == -ENOENT)
		return 0;
	if (dir_fd < 0)
		return dir_error(d, dir_fd, err, "remove", key);
	if (unlinkat(dir_fd, leaf, 0) < 0 && errno != ENOENT && errno != EISDIR)
		return dir_error(d, -errno, err, "remove", key);
	/* A directory is no object, and what is in it stays. One that is empty is only in the way. */
	(void)unlinkat(dir_fd, leaf, AT_REMOVEDIR);
	/* Also when it was gone: whoever removed it may not have come this far. */
	r = dir_sync(d, dir_fd);
	return r < 0 ? dir_error(d, r, err, "remove", key) : 0;
}

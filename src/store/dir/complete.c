// SPDX-License-Identifier: Apache-2.0
/*
 * Completing an upload: the parts become one file, that file is synced and renamed to the key. Mostly the
 * body is that file already, and only parts that came before their turn are copied into their slots. When the
 * parts' places in the body do not fit the list (a part was left out, or has another length now), all is
 * copied into a new file. Until the rename nothing that is needed is destroyed, so a completion that failed
 * can be tried again.
 */
#include "upload.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define JOINED       "joined"
#define COPY_BYTES   ((size_t)16 << 20)
#define BUFFER_BYTES ((size_t)256 << 10)

/* Where one listed part is, and where it belongs; copied from the records, which no call changes while the
 * upload is closed. */
struct piece {
	unsigned number;
	struct dir_part part;
	uint64_t offset;
};

static int copy_by_hand(int from, off_t from_at, int to, off_t to_at, size_t len)
{
	_cleanup(free) char *buffer = mem_alloc(BUFFER_BYTES);

	while (len > 0) {
		size_t n = len < BUFFER_BYTES ? len : BUFFER_BYTES;
		int r = fd_pread_full(from, buffer, n, from_at);

		if (r == 0)
			r = fd_pwrite_all(to, buffer, n, to_at);
		if (r < 0)
			return r == -ENODATA ? -EIO : r;
		from_at += (off_t)n;
		to_at += (off_t)n;
		len -= n;
	}
	return 0;
}

static int copy_range(int from, uint64_t from_at, int to, uint64_t to_at, uint64_t bytes,
                      const struct store_call *call)
{
	bool by_kernel = true;

	while (bytes > 0) {
		size_t len = bytes < COPY_BYTES ? (size_t)bytes : COPY_BYTES;
		off_t in = (off_t)from_at, out = (off_t)to_at;
		ssize_t n = -1;
		int r = store_call_state(call);

		if (r < 0)
			return r;
		if (by_kernel)
			n = copy_file_range(from, &in, to, &out, len, 0);
		if (n < 0 && by_kernel && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
			return -errno;
		if (n <= 0) { /* this file system cannot; a file that ended is told apart by reading */
			by_kernel = false;
			r = copy_by_hand(from, (off_t)from_at, to, (off_t)to_at, len);
			if (r < 0)
				return r;
			n = (ssize_t)len;
		}
		from_at += (uint64_t)n;
		to_at += (uint64_t)n;
		bytes -= (uint64_t)n;
	}
	return 0;
}

static int copy_piece(struct dir_upload *up, const struct store_call *call, const struct piece *piece, int to)
{
	char name[UPLOAD_FILE_BYTES];
	_cleanup(fd) int fd = -1;

	if (piece->part.in_slot)
		return copy_range(up->body_fd, piece->part.slot_offset, to, piece->offset, piece->part.bytes,
		                  call);
	dir_upload_part_file(name, piece->number, piece->part.generation);
	fd = openat(up->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return copy_range(fd, 0, to, piece->offset, piece->part.bytes, call);
}

/* The body can be used when every part that lies in it is listed and lies where it belongs. */
static bool fits_body(struct dir_upload *up, const struct piece *pieces, size_t count)
{
	size_t in_body = 0, listed = 0;

	for (unsigned i = 0; i < up->part_cap; i++)
		in_body += up->parts[i].done && up->parts[i].in_slot;
	for (size_t i = 0; i < count; i++) {
		if (!pieces[i].part.in_slot)
			continue;
		if (pieces[i].part.slot_offset != pieces[i].offset)
			return false;
		listed++;
	}
	return in_body == listed;
}

static int finish_file(int fd, uint64_t bytes)
{
	if (ftruncate(fd, (off_t)bytes) < 0 || fsync(fd) < 0)
		return -errno;
	/* Whoever reads it next shall see what the disk holds, and the database on this host keeps its
	 * cache. */
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static int join_in_body(struct dir_upload *up, const struct store_call *call, const struct piece *pieces,
                        size_t count, uint64_t bytes)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (!pieces[i].part.in_slot)
			r = copy_piece(up, call, &pieces[i], up->body_fd);
	}
	return r < 0 ? r : finish_file(up->body_fd, bytes);
}

static int join_in_new(struct dir_upload *up, const struct store_call *call, const struct piece *pieces,
                       size_t count, uint64_t bytes)
{
	_cleanup(fd) int fd =
	        openat(up->dir_fd, JOINED, O_CREAT | O_TRUNC | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = copy_piece(up, call, &pieces[i], fd);
	if (r == 0)
		r = finish_file(fd, bytes);
	if (r < 0) /* it may be what fills the disk */
		unlinkat(up->dir_fd, JOINED, 0);
	return r;
}

int dir_upload_join(struct dir_upload *up, const struct store_call *call, const struct store_part *parts,
                    size_t count, const char **ret_name)
{
	_cleanup(free) struct piece *pieces = mem_array(count, sizeof(*pieces));
	uint64_t offset = 0;
	bool in_body;

	for (size_t i = 0; i < count; i++) {
		pieces[i] = (struct piece){parts[i].number, up->parts[parts[i].number], offset};
		offset += pieces[i].part.bytes;
	}
	in_body = fits_body(up, pieces, count);
	*ret_name = in_body ? UPLOAD_BODY : JOINED;
	return in_body ? join_in_body(up, call, pieces, count, offset)
	               : join_in_new(up, call, pieces, count, offset);
}

/* Whether the caller's list is what we have. With the lock. */
static int check_parts(struct dir_upload *up, const struct store_part *parts, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		unsigned number = parts[i].number;
		const struct dir_part *part = number < up->part_cap ? &up->parts[number] : NULL;
		char etag[STORE_ETAG_BYTES];

		if (part && part->done)
			dir_upload_part_etag(etag, number, part);
		if (!part || !part->done || part->bytes != parts[i].bytes || strcmp(etag, parts[i].etag) != 0)
			return error_set(err, ERROR_USAGE, EINVAL,
			                 "cannot complete %s: its part %u is not the one that was uploaded",
			                 up->base.key, number);
	}
	return 0;
}

static int close_upload(struct dir_upload *up, const struct store_part *parts, size_t count,
                        struct error *err)
{
	int r;

	pthread_mutex_lock(&up->lock);
	if (up->closed)
		r = dir_upload_error(up, -ENOENT, err, "complete");
	else if (up->running)
		r = error_set(err, ERROR_USAGE, EBUSY, "cannot complete %s: a part is still being sent",
		              up->base.key);
	else
		r = check_parts(up, parts, count, err);
	if (r == 0)
		up->closed = true;
	pthread_mutex_unlock(&up->lock);
	return r;
}

static int publish_object(struct dir_upload *up, const struct store_call *call, const char *name)
{
	struct dir_store *d = dir_store_of(up->base.store);
	_cleanup(fd) int dir_fd = -1;
	struct stat st;
	const char *leaf;
	int r;

	if (fstatat(up->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	dir_fd = dir_walk_parent(d, up->base.key, true, &leaf);
	if (dir_fd < 0)
		return dir_fd == -ENOENT ? -EIO : dir_fd;
	if (dir_stat_leaf(dir_fd, leaf, &st) == -ELOOP)
		return -ELOOP;
	/* The parts may have been joined, and the disk may have taken long, until our right to write had ended. */
	r = store_call_state(call);
	if (r == 0)
		r = dir_replace(d, up->dir_fd, name, dir_fd, leaf);
	return r < 0 ? r : dir_sync(d, dir_fd);
}

int dir_upload_complete(struct store_upload *base, const struct store_call *call,
                        const struct store_part *parts, size_t count, struct error *err)
{
	struct dir_upload *up = dir_upload_of(base);
	const char *name;
	int r;

	r = close_upload(up, parts, count, err);
	if (r < 0)
		return r;
	r = dir_upload_join(up, call, parts, count, &name);
	if (r == 0)
		r = publish_object(up, call, name);
	if (r < 0) {
		pthread_mutex_lock(&up->lock);
		up->closed = false;
		pthread_mutex_unlock(&up->lock);
		return dir_upload_error(up, r, err, "complete");
	}
	/* The object is there; what cannot be cleaned up now stays in the list of uploads, to be aborted. */
	dir_upload_delete(dir_store_of(base->store), up->id);
	return 0;
}

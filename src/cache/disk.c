// SPDX-License-Identifier: Apache-2.0
/*
 * The two files, one for the data (slots of CACHE_SLOT_BYTES, with holes where nothing is), one for the
 * table. They have names that nobody else gives a file, since what is in them may be thrown away. They are
 * opened once, without following links, and only if they are ours: the cache holds backups and must not write
 * them where somebody else put a file. The lock on the table is held as long as they are open.
 *
 * Nothing here is worth an error to a reader: what fails is counted, told once for each kind, and the caller
 * goes on without the cache. Neither file is ever synced. What was read or written is not left in the
 * system's memory: the mount's own pages hold it already.
 */
#include "cache_private.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/own_file.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define DATA_NAME  "keepfs-cache.data"
#define TABLE_NAME "keepfs-cache.table"

static const char advice[] = "chmod 700 the directory, move the file away, or name another [read] cache_dir";

static int open_directory(const char *dir, struct error *err)
{
	/* Not those above it: they may be on a disk that is not mounted. */
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return error_system(err, errno, "cannot make the cache directory %s", dir);
	return own_directory_open(dir, "cache directory", advice, err);
}

int disk_open(struct disk *d, const char *dir, struct error *err)
{
	_cleanup(fd) int dir_fd = open_directory(dir, err);
	_cleanup(fd) int table_fd = -1, data_fd = -1;

	if (dir_fd < 0)
		return dir_fd;
	table_fd = own_file_open(dir_fd, dir, TABLE_NAME, O_RDWR | O_CREAT, advice, err);
	if (table_fd < 0)
		return table_fd;
	if (flock(table_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return error_set(
			        err, ERROR_CONFLICT, EBUSY,
			        "another keepfs uses the cache directory %s: give each its own [read] cache_dir, or wait until the other has ended",
			        dir);
		return error_system(err, errno, "cannot lock %s/" TABLE_NAME, dir);
	}
	data_fd = own_file_open(dir_fd, dir, DATA_NAME, O_RDWR | O_CREAT, advice, err);
	if (data_fd < 0)
		return data_fd;
	*d = (struct disk){
	        .dir = mem_strdup(dir), .data_fd = take_fd(&data_fd), .table_fd = take_fd(&table_fd)};
	return 0;
}

void disk_close(struct disk *d)
{
	cleanup_fd(&d->data_fd);
	cleanup_fd(&d->table_fd);
	free(d->dir);
}

bool disk_is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EFBIG;
}

int disk_trouble(struct disk *d, enum disk_work work, int r)
{
	static const char *const works[] = {[DISK_READ] = "cannot be read",
	                                    [DISK_WRITE] = "cannot be written",
	                                    [DISK_TABLE] = "cannot be written (its table)",
	                                    [DISK_EMPTY] = "cannot be emptied where backups were deleted"};
	enum { FULL, CUT, REFUSED, BROKEN, KINDS } kind = BROKEN;
	unsigned bit;

	if (atomic_load(&d->gone)) /* that was told, and its consequences follow */
		return r;
	if (disk_is_full(r))
		kind = FULL;
	else if (r == -ENODATA)
		kind = CUT;
	else if (r == -EROFS || r == -EACCES || r == -EPERM || r == -EOPNOTSUPP)
		kind = REFUSED;
	bit = 1U << ((unsigned)work * KINDS + kind);
	atomic_fetch_add(&d->failures, 1);
	if (!(atomic_fetch_or(&d->told, bit) & bit))
		log_warning(
		        "the disk cache in %s %s: %s; reading goes on from the store, and this is not told again",
		        d->dir, works[work], kind == CUT ? "somebody has cut its file" : strerrordesc_np(-r));
	return r;
}

bool disk_check_gone(struct disk *d)
{
	struct stat data, table;

	if (atomic_load(&d->gone))
		return true;
	if (fstat(d->data_fd, &data) < 0 || fstat(d->table_fd, &table) < 0)
		return false;
	if (data.st_nlink > 0 && table.st_nlink > 0)
		return false;
	if (!atomic_exchange(&d->gone, true)) {
		log_warning(
		        "the disk cache in %s was deleted while it was in use: there is none until the next start",
		        d->dir);
		/* Whoever deleted it wants the space. */
		(void)!ftruncate(d->data_fd, 0);
		(void)!ftruncate(d->table_fd, 0);
	}
	return true;
}

/* One call in nearly all cases; what it left over goes piece by piece. */
static int transfer(int fd, const struct iovec *iov, int count, off_t offset, bool writing)
{
	int most = count < IOV_MAX ? count : IOV_MAX;
	ssize_t n = writing ? pwritev(fd, iov, most, offset) : preadv(fd, iov, most, offset);
	size_t done = n > 0 ? (size_t)n : 0;

	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < count; i++) {
		size_t skip = done < iov[i].iov_len ? done : iov[i].iov_len, rest = iov[i].iov_len - skip;
		char *from = (char *)iov[i].iov_base + skip;
		off_t where = offset + (off_t)skip;
		int r = 0;

		if (rest > 0)
			r = writing ? fd_pwrite_all(fd, from, rest, where)
			            : fd_pread_full(fd, from, rest, where);
		if (r < 0)
			return r;
		done -= skip;
		offset += (off_t)iov[i].iov_len;
	}
	return 0;
}

static off_t place(uint32_t slot)
{
	return (off_t)slot * (off_t)CACHE_SLOT_BYTES;
}

void disk_drop(struct disk *d, uint32_t slot)
{
	posix_fadvise(d->data_fd, place(slot), (off_t)CACHE_SLOT_BYTES, POSIX_FADV_DONTNEED);
}

int disk_read(struct disk *d, uint32_t slot, uint32_t skip, const struct iovec *iov, int count)
{
	int r = transfer(d->data_fd, iov, count, place(slot) + skip, false);

	if (r < 0)
		return disk_trouble(d, DISK_READ, r);
	disk_drop(d, slot);
	return 0;
}

int disk_write(struct disk *d, uint32_t slot, const struct iovec *iov, int count, uint32_t bytes)
{
	int r = transfer(d->data_fd, iov, count, place(slot), true);

	if (r < 0)
		return disk_trouble(d, DISK_WRITE, r);
	/* Begin to write it out: who is faster than the disk shall notice now, not when memory is full. */
	posix_fadvise(d->data_fd, place(slot), bytes, POSIX_FADV_DONTNEED);
	return 0;
}

int disk_empty(struct disk *d, uint64_t offset, uint64_t bytes)
{
	if (fallocate(d->data_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes) <
	    0)
		return disk_trouble(d, DISK_EMPTY, -errno);
	return 0;
}

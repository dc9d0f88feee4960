// SPDX-License-Identifier: Apache-2.0
/*
 * Files that are written. Of most a run is all: whoever has that writes the file to its end. What lies in several packs may come by several threads, in any order: the one that brings the last run finishes it. The CRC-32Cs of
 * runs are joined to that of the file.
 */
#include "back_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct written_run {
	uint64_t bytes, zeros_before, zeros_behind;
	uint32_t crc;
};

struct refill_file {
	int fd;
	uint64_t number;
	uint32_t runs, done;      /* lock */
	struct written_run *each; /* of several runs */
	struct refill_file *next;
};

void refill_files_init(struct refill_files *f, const struct cluster_back *b)
{
	*f = (struct refill_files){.b = b};
	pthread_mutex_init(&f->lock, NULL);
}

static void free_back_file(struct refill_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	free(file->each);
	free(file);
}

void refill_files_finish(struct refill_files *f)
{
	struct refill_file *file;

	while ((file = f->open)) {
		f->open = file->next;
		free_back_file(file);
	}
	pthread_mutex_destroy(&f->lock);
}

static const char *written_name(const char *key)
{
	return str_equal(key, PG_CONTROL_NAME) ? BACK_CONTROL_NEW : key;
}

static int fail_write(const struct cluster_back *b, const char *key, int errnum, struct error *err)
{
	return error_system(err, errnum, "%s/%s cannot be written", b->options.to, key);
}

static int create_back_file(const struct cluster_back *b, const char *key, int flags, struct error *err)
{
	int fd = openat(b->dir_fd, written_name(key), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags,
	                0600);

	return fd < 0 ? fail_write(b, key, errno, err) : fd;
}

/* With the lock. */
static struct refill_file *find_back_file(struct refill_files *f, uint64_t number)
{
	struct refill_file *file = f->open;

	while (file && file->number != number)
		file = file->next;
	return file;
}

static int open_shared(struct refill_files *f, const struct run_record *r, struct refill_file **ret,
                       struct error *err)
{
	struct refill_file *file;
	int fd = 0;

	pthread_mutex_lock(&f->lock);
	file = find_back_file(f, r->number);
	if (!file)
		fd = create_back_file(f->b, path_of_run(r), O_EXCL, err);
	if (!file && fd >= 0) {
		file = mem_alloc(sizeof(*file));
		*file = (struct refill_file){.fd = fd,
		                             .number = r->number,
		                             .runs = r->runs,
		                             .each = mem_array(r->runs, sizeof(*file->each)),
		                             .next = f->open};
		f->open = file;
	}
	pthread_mutex_unlock(&f->lock);
	*ret = file;
	return file ? 0 : fd;
}

int refill_file_open(struct refill_files *f, const struct run_record *r, struct refill_file **ret,
                     struct error *err)
{
	struct refill_file *file;
	int fd;

	if (r->runs > 1)
		return open_shared(f, r, ret, err);
	fd = create_back_file(f->b, path_of_run(r), O_EXCL, err);
	if (fd < 0)
		return fd;
	file = mem_alloc(sizeof(*file));
	*file = (struct refill_file){.fd = fd, .number = r->number, .runs = 1};
	*ret = file;
	return 0;
}

int refill_file_write(const struct refill_file *file, const struct run_record *r, const void *data,
                      size_t len, uint64_t at, struct error *err)
{
	int e = fd_pwrite_all(file->fd, data, len, (off_t)at);

	return e < 0 ? error_system(err, -e, "%s cannot be written", path_of_run(r)) : 0;
}

/* Its end. */

static uint32_t append_zeros(uint32_t crc, uint64_t bytes)
{
	static const char zeros[4096];

	for (; bytes > 0; bytes -= bytes < sizeof(zeros) ? bytes : sizeof(zeros))
		crc = crc32c(crc, zeros, bytes < sizeof(zeros) ? (size_t)bytes : sizeof(zeros));
	return crc;
}

static uint32_t join_written_run(uint32_t crc, const struct written_run *w)
{
	crc = append_zeros(crc, w->zeros_before);
	crc = crc32c_combine(crc, w->crc, w->bytes);
	return append_zeros(crc, w->zeros_behind);
}

struct finished_file { /* what is to be so of a file at its end */
	const char *key;
	uint64_t bytes;
	unsigned mode;
	int64_t modified_us;
	bool has_crc;
	uint32_t expected, found;
	bool has_hole_at_end;
};

static int set_attributes(const struct cluster_back *b, int fd, const struct finished_file *x,
                          struct error *err)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, clock_to_timespec(x->modified_us)};

	if (x->has_hole_at_end && ftruncate(fd, (off_t)x->bytes) < 0)
		return fail_write(b, x->key, errno, err);
	if (b->options.has_owner && fchown(fd, b->options.uid, b->options.gid) < 0)
		return fail_write(b, x->key, errno, err);
	if (fchmod(fd, x->mode & 0777) < 0)
		return fail_write(b, x->key, errno, err);
	if (x->modified_us > 0)
		(void)futimens(fd, times);
	return 0;
}

static int finish_back_file(const struct cluster_back *b, int fd, const struct finished_file *x,
                            struct error *err)
{
	if (x->has_crc && x->found != x->expected) {
		error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "%s: what the store has of %s is not what was backed up: its CRC-32C is %08x, and was %08x",
		        b->options.path, x->key, x->found, x->expected);
		error_note_damage(err);
		return -EBADMSG;
	}
	return set_attributes(b, fd, x, err);
}

static struct finished_file finished_of_run(const struct run_record *r)
{
	return (struct finished_file){.key = path_of_run(r),
	                              .bytes = r->file_bytes,
	                              .mode = r->mode,
	                              .modified_us = r->modified_us,
	                              .has_crc = r->has_crc,
	                              .expected = r->crc32c};
}

/* The kernel writes it meanwhile, so that little is left for the end. */
static void start_writing_out(int fd, const struct run_record *r)
{
	(void)sync_file_range(fd, (off_t)r->at, (off_t)r->bytes, SYNC_FILE_RANGE_WRITE);
}

/* With the lock: out of the list. */
static void take_out(struct refill_files *f, const struct refill_file *file)
{
	struct refill_file **at = &f->open;

	while (*at != file)
		at = &(*at)->next;
	*at = file->next;
}

static int finish_shared(struct refill_files *f, struct refill_file *file, const struct run_record *r,
                         struct error *err)
{
	struct finished_file x = finished_of_run(r);

	for (uint32_t i = 0; i < file->runs; i++) {
		x.found = join_written_run(x.found, &file->each[i]);
		x.has_hole_at_end |= file->each[i].zeros_behind > 0;
	}
	return finish_back_file(f->b, file->fd, &x, err);
}

static int close_shared(struct refill_files *f, struct refill_file *file, const struct run_record *r,
                        uint32_t crc, struct error *err)
{
	bool is_last;
	int e = 0;

	pthread_mutex_lock(&f->lock);
	file->each[r->run] = (struct written_run){.bytes = r->bytes,
	                                          .zeros_before = r->zeros_before,
	                                          .zeros_behind = r->zeros_behind,
	                                          .crc = crc};
	is_last = ++file->done == file->runs;
	if (is_last)
		take_out(f, file);
	pthread_mutex_unlock(&f->lock);
	if (!is_last)
		return 0;
	e = finish_shared(f, file, r, err);
	free_back_file(file);
	return e;
}

int refill_file_close(struct refill_files *f, struct refill_file *file, const struct run_record *r,
                      uint32_t crc, struct error *err)
{
	const struct written_run only = {.bytes = r->bytes,
	                                 .zeros_before = r->zeros_before,
	                                 .zeros_behind = r->zeros_behind,
	                                 .crc = crc};
	struct finished_file x = finished_of_run(r);
	int e;

	start_writing_out(file->fd, r);
	if (r->runs > 1)
		return close_shared(f, file, r, crc, err);
	x.found = join_written_run(0, &only);
	x.has_hole_at_end = r->zeros_behind > 0;
	e = finish_back_file(f->b, file->fd, &x, err);
	free_back_file(file);
	return e;
}

void refill_file_drop(struct refill_file *file, const struct run_record *r)
{
	/* One of several runs is in the list, and goes with that. */
	if (file && r->runs == 1)
		free_back_file(file);
}

int refill_file_empty(const struct cluster_back *b, const struct listing_entry *e, struct error *err)
{
	_cleanup(fd) int fd = create_back_file(b, e->key, O_EXCL, err);
	struct finished_file x = {.key = e->key,
	                          .bytes = e->bytes,
	                          .mode = e->mode,
	                          .modified_us = e->modified_us,
	                          .found = append_zeros(0, e->bytes),
	                          .has_hole_at_end = e->bytes > 0};

	x.has_crc = refill_expected_crc(e, &x.expected);
	return fd < 0 ? fd : finish_back_file(b, fd, &x, err);
}

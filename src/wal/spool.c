// SPDX-License-Identifier: Apache-2.0
/*
 * What was streamed, on the disk of this host: state_dir/wal/JOB/SYSTEMID-SEGMENT.open while it grows, without that ending when all of it is on disk. What is told to be durable is so by an fdatasync; the file goes when the store has
 * the segment. A process that begins brings what it finds into the store first: whole segments, and of one that was open a tail, which may be all that is left of a server.
 */
#include "receive.h"
#include "tail.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_SUFFIX ".open"
#define COPY_BYTES  ((size_t)256 << 10)

static char *spool_directory(const struct receiver *r)
{
	return mem_printf("%s/wal/%s", r->w->options.conf->state_dir, r->settings.job);
}

static char *spool_path(const struct receiver *r, const struct gathered *s, uint64_t system_id,
                        const char *suffix)
{
	_cleanup(free) char *directory = spool_directory(r);
	char name[WAL_NAME_BYTES];

	wal_name_format(&s->name, name);
	return mem_printf("%s/%" PRIu64 "-%s%s", directory, system_id, name, suffix);
}

static int sync_spool_directory(const char *directory)
{
	_cleanup(fd) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* What an earlier stream has written of it is the same, and is left until it is written over. */
static int open_spool(struct receiver *r, struct gathered *s, uint64_t system_id, const char *path)
{
	_cleanup(free) char *directory = spool_directory(r);
	int result = fd_make_dirs(directory, 0700);

	(void)system_id;
	if (result < 0)
		return result;
	s->spool_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return s->spool_fd < 0 ? -errno : sync_spool_directory(directory);
}

static int copy_to_spool(struct gathered *s, uint32_t to)
{
	_cleanup(free) char *buf = mem_alloc(COPY_BYTES);
	int r = 0;

	for (uint32_t at = s->spool_end; r == 0 && at < to;) {
		size_t n = to - at < COPY_BYTES ? to - at : COPY_BYTES;

		pages_copy(&s->raw, at, buf, n);
		r = fd_pwrite_all(s->spool_fd, buf, n, at);
		at += (uint32_t)n;
	}
	if (r == 0 && fdatasync(s->spool_fd) < 0)
		r = -errno;
	return r;
}

int spool_write(struct receiver *r, struct gathered *s, uint32_t to, uint64_t system_id, struct error *err)
{
	_cleanup(free) char *path = spool_path(r, s, system_id, OPEN_SUFFIX);
	_cleanup(free) char *whole = spool_path(r, s, system_id, "");
	_cleanup(free) char *directory = spool_directory(r);
	int result = s->spool_fd < 0 ? open_spool(r, s, system_id, path) : 0;

	if (result == 0)
		result = copy_to_spool(s, to);
	if (result == 0 && to == s->in->segment_bytes) {
		result = rename(path, whole) < 0 ? -errno : sync_spool_directory(directory);
		if (result == -ENOENT)
			result = 0; /* the store has it meanwhile */
	}
	return result < 0 ? error_system(err, -result, "%s cannot be written", path) : 0;
}

void spool_drop(struct receiver *r, struct gathered *s, uint64_t system_id)
{
	_cleanup(free) char *path = spool_path(r, s, system_id, OPEN_SUFFIX);
	_cleanup(free) char *whole = spool_path(r, s, system_id, "");

	(void)unlink(path);
	(void)unlink(whole);
}

/* Bringing back. */

struct left_file {
	struct receiving *s;
	const char *path;
	struct wal_name name;
	char text[WAL_NAME_BYTES];
	bool is_open;
	int fd;
	uint64_t bytes;
};

static int parse_left(const struct receiving *s, const char *file, struct left_file *ret)
{
	_cleanup(free) char *own = mem_printf("%" PRIu64 "-", s->system_id);
	size_t len = strlen(file);

	if (!str_starts(file, own))
		return -EINVAL;
	ret->is_open = str_ends(file, OPEN_SUFFIX);
	len -= strlen(own) + (ret->is_open ? strlen(OPEN_SUFFIX) : 0);
	if (len >= sizeof(ret->text))
		return -EINVAL;
	memcpy(ret->text, file + strlen(own), len);
	ret->text[len] = '\0';
	return wal_name_parse(ret->text, &ret->name);
}

/* Into the memory of the segment that the stream begins with. */
static int read_left(const struct left_file *f, struct pages *raw)
{
	_cleanup(free) char *buf = mem_alloc(COPY_BYTES);
	ssize_t n;

	while ((n = read(f->fd, buf, COPY_BYTES)) > 0)
		if (pages_append(raw, buf, (size_t)n) < 0)
			return -EFBIG;
	return n < 0 ? -errno : 0;
}

static int put_left(const struct left_file *f, struct error *err)
{
	struct receiver *r = f->s->r;
	struct pool *pool = f->s->segments.idle->pool;
	_cleanup(pages) struct pages raw = {0};
	_cleanup(wal_tail) struct wal_tail known = {0};
	struct wal_tail_put put = {.w = r->w, .pool = pool, .cancel = &r->cancel, .raw = &raw};
	struct wal_tail tail = {.system_id = f->s->system_id, .name = f->name};
	int result;

	if (wal_tails_find(r->w, r->settings.job, &f->name, &known) == 0 &&
	    wal_tail_cover(&known) >= f->bytes)
		return 0;
	str_copy(tail.job, sizeof(tail.job), r->settings.job);
	result = pages_reserve(&raw, pool, f->s->segment_bytes, 0, &r->cancel);
	if (result == 0)
		result = read_left(f, &raw);
	if (result < 0)
		return error_system(err, -result, "%s cannot be read", f->path);
	put.to = (uint32_t)raw.bytes;
	return put.to ? wal_tail_put(&put, &tail, err) : 0;
}

static bool is_archived_already(const struct left_file *f)
{
	struct catalog_wal row;

	return catalog_wal_find(f->s->r->w->options.repository->catalog, f->s->r->settings.job, f->text,
	                        &row) == 0;
}

static int bring_back_left(struct left_file *f, struct error *err)
{
	struct stat st;
	int r = 0;

	if (is_archived_already(f))
		return unlink(f->path) < 0 ? error_system(err, errno, "%s cannot be removed", f->path) : 0;
	f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		return error_system(err, errno, "%s cannot be read", f->path);
	f->bytes = (uint64_t)st.st_size;
	if (f->is_open || f->bytes != f->s->segment_bytes)
		r = put_left(f, err);
	else
		r = gathering_store_file(f->s->r, f->text, f->fd, err);
	close(f->fd);
	if (r == 0 && !f->is_open)
		log_info("[cluster %s]: %s was on disk, and is in the archive now", f->s->r->settings.job,
		         f->text);
	/* What is open stays until the segment is there: it is written over from its begin. */
	return r == 0 && !f->is_open && unlink(f->path) < 0
	               ? error_system(err, errno, "%s cannot be removed", f->path)
	               : r;
}

static int keep_spool_name(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

int spool_bring_back(struct receiving *s, struct error *err)
{
	_cleanup(free) char *directory = spool_directory(s->r);
	struct dirent **names;
	int r = 0, count = scandir(directory, &names, keep_spool_name, alphasort);

	if (count < 0)
		return errno == ENOENT ? 0 : error_system(err, errno, "%s cannot be read", directory);
	for (int i = 0; i < count; i++) {
		_cleanup(free) char *path = mem_printf("%s/%s", directory, names[i]->d_name);
		struct left_file f = {.s = s, .path = path};

		if (r == 0 && parse_left(s, names[i]->d_name, &f) == 0)
			r = bring_back_left(&f, err);
		free(names[i]);
	}
	free(names);
	return r;
}

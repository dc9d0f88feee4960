// SPDX-License-Identifier: Apache-2.0
/* See kept.h. Names: "inside/<number of the dump>-<when it was finished>/<kind>-<key>", the numbers in hexadecimal digits. */
#include "kept.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/own_file.h>
#include <keepfs/codec/hash.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kept_limit.h"

#define BUFFER_BYTES ((size_t)64 << 10)
#define HEAD_BYTES   72
#define CRC_BYTES    4

struct stored_kept {
	char magic[8];
	uint32_t version;
	uint32_t kind;
	uint64_t dump_ino;
	int64_t finished_at_us;
	uint64_t key;
	uint8_t id[KEPT_ID_BYTES];
};

_Static_assert(sizeof(struct stored_kept) == HEAD_BYTES, "the head of a file has a fixed size");

static const char magic[8] = {'k', 'e', 'e', 'p', 'f', 's', '-', 'i'};

static void fill_head(const struct kept_name *name, struct stored_kept *ret)
{
	memcpy(ret->magic, magic, sizeof(magic));
	ret->version = htole32(KEPT_VERSION);
	ret->kind = htole32((uint32_t)name->kind);
	ret->dump_ino = htole64(name->dump_ino);
	ret->finished_at_us = (int64_t)htole64((uint64_t)name->finished_at_us);
	ret->key = htole64(name->key);
	memcpy(ret->id, name->id, sizeof(ret->id));
}

static void format_file_name(const struct kept_name *name, char ret[static KEPT_NAME_BYTES])
{
	snprintf(ret, KEPT_NAME_BYTES, "%u-%" PRIx64, (unsigned)name->kind, name->key);
}

static char *path_of_dump(const struct kept *k, const struct kept_name *name)
{
	return mem_printf("%s/" KEPT_DUMP_FORMAT, k->path, name->dump_ino, (uint64_t)name->finished_at_us);
}

/* Writing. */

static atomic_uint serial; /* of what is being written in this process */

static int open_own_directory(const char *path, bool make, struct error *err)
{
	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_system(err, errno, "cannot make the directory %s", path);
	return own_directory_open(path, "directory", KEPT_ADVICE, err);
}

static int open_temporary(struct kept_writer *w, struct error *err)
{
	struct kept *k = w->kept;
	int top = open_own_directory(k->path, true, err);
	char name[KEPT_NAME_BYTES];

	if (top < 0)
		return top;
	close(top);
	w->dir_fd = open_own_directory(w->directory, true, err);
	if (w->dir_fd < 0)
		return w->dir_fd;
	snprintf(name, sizeof(name), KEPT_TEMPORARY "%d-%u", (int)getpid(), atomic_fetch_add(&serial, 1));
	w->temporary = mem_strdup(name);
	w->fd = own_file_open(w->dir_fd, w->directory, name, O_WRONLY | O_CREAT | O_EXCL, KEPT_ADVICE, err);
	return w->fd;
}

/* One that is too long is no failure, nor is a directory that was removed with its dump meanwhile. */
static void tell_not_kept(struct kept *k, int r, const char *why)
{
	if (r != -EFBIG && r != -ENOENT && !atomic_exchange(&k->told, true))
		log_warning(
		        "what was learnt about dumps cannot be kept in %s: %s; it is learnt again when it is needed, and this is not told again",
		        k->path, why);
}

void kept_begin(struct kept *k, const struct kept_name *name, struct kept_writer *ret)
{
	struct stored_kept head = {0};
	struct error err = {0};

	*ret = (struct kept_writer){.kept = k, .name = *name, .dir_fd = -1, .fd = -1};
	ret->directory = path_of_dump(k, name);
	ret->error = open_temporary(ret, &err);
	if (ret->error < 0)
		tell_not_kept(k, ret->error, err.message);
	ret->error = ret->error < 0 ? ret->error : 0;
	fill_head(name, &head);
	kept_put(ret, &head, sizeof(head));
}

static void write_pending(struct kept_writer *w)
{
	if (w->error == 0)
		w->error = fd_write_all(w->fd, str_text(&w->pending), w->pending.len);
	str_clear(&w->pending);
}

void kept_put(struct kept_writer *w, const void *data, size_t len)
{
	w->bytes += len;
	if (w->error == 0 && w->bytes > w->kept->limit_bytes / KEPT_FILE_PART)
		w->error = -EFBIG;
	if (w->error < 0 || len == 0)
		return;
	w->crc = crc32c(w->crc, data, len);
	str_append_bytes(&w->pending, data, len);
	if (w->pending.len >= BUFFER_BYTES)
		write_pending(w);
}

void kept_put_u32(struct kept_writer *w, uint32_t value)
{
	const uint32_t stored = htole32(value);

	kept_put(w, &stored, sizeof(stored));
}

void kept_put_u64(struct kept_writer *w, uint64_t value)
{
	const uint64_t stored = htole64(value);

	kept_put(w, &stored, sizeof(stored));
}

static void give_name(struct kept_writer *w)
{
	const uint32_t crc = htole32(w->crc);
	char name[KEPT_NAME_BYTES];

	str_append_bytes(&w->pending, &crc, sizeof(crc));
	write_pending(w);
	format_file_name(&w->name, name);
	if (w->error == 0 && renameat(w->dir_fd, w->temporary, w->dir_fd, name) < 0)
		w->error = -errno;
	if (w->error == 0)
		free(take_ptr(&w->temporary));
}

void kept_end(struct kept_writer *w, bool whole)
{
	if (whole && w->error == 0)
		give_name(w);
	if (w->fd >= 0 && w->temporary)
		unlinkat(w->dir_fd, w->temporary, 0);
	if (w->error < 0)
		tell_not_kept(w->kept, w->error, strerrordesc_np(-w->error));
	if (w->error == 0 && whole)
		kept_limit_added(w->kept, w->bytes + CRC_BYTES);
	cleanup_fd(&w->fd);
	cleanup_fd(&w->dir_fd);
	str_finish(&w->pending);
	free(w->temporary);
	free(w->directory);
}

/* Reading. */

static bool fill_buffer(struct kept_reader *r)
{
	uint64_t left = r->end - r->at;
	size_t len = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;

	if (r->wrong || len == 0 || fd_pread_full(r->fd, r->buf, len, (off_t)r->at) < 0) {
		r->wrong = true;
		return false;
	}
	r->at += len;
	r->buf_at = 0;
	r->buf_len = len;
	return true;
}

bool kept_get(struct kept_reader *r, void *data, size_t len)
{
	char *to = data;

	while (len > 0) {
		size_t n = r->buf_len - r->buf_at;

		if (n == 0) {
			if (!fill_buffer(r))
				return false;
			continue;
		}
		n = n < len ? n : len;
		memcpy(to, r->buf + r->buf_at, n);
		r->buf_at += n;
		to += n;
		len -= n;
	}
	return true;
}

uint32_t kept_get_u32(struct kept_reader *r)
{
	uint32_t stored = 0;

	return kept_get(r, &stored, sizeof(stored)) ? le32toh(stored) : 0;
}

uint64_t kept_get_u64(struct kept_reader *r)
{
	uint64_t stored = 0;

	return kept_get(r, &stored, sizeof(stored)) ? le64toh(stored) : 0;
}

uint64_t kept_left(const struct kept_reader *r)
{
	return r->wrong ? 0 : r->end - r->at + (r->buf_len - r->buf_at);
}

/* All of it, the head included, is what was written. */
static bool is_checksum_right(struct kept_reader *r)
{
	uint32_t crc = 0, stored = 0;

	while (r->at < r->end && fill_buffer(r))
		crc = crc32c(crc, r->buf, r->buf_len);
	if (r->wrong || fd_pread_full(r->fd, &stored, sizeof(stored), (off_t)r->end) < 0)
		return false;
	r->at = r->buf_at = r->buf_len = 0;
	return le32toh(stored) == crc;
}

static bool is_as_named(struct kept_reader *r)
{
	struct stored_kept wanted = {0}, found;

	fill_head(&r->name, &wanted);
	return kept_get(r, &found, sizeof(found)) && memcmp(&wanted, &found, sizeof(found)) == 0;
}

static int open_kept_file(struct kept *k, const struct kept_name *name)
{
	_cleanup(free) char *directory = path_of_dump(k, name);
	_cleanup(fd) int dir_fd = -1;
	char file[KEPT_NAME_BYTES];
	struct error err = {0};

	/* Most have none, and nothing is wrong about that. */
	if (access(directory, F_OK) < 0)
		return -ENOENT;
	dir_fd = own_directory_open(directory, "directory", KEPT_ADVICE, &err);
	if (dir_fd < 0)
		return dir_fd;
	format_file_name(name, file);
	return own_file_open(dir_fd, directory, file, O_RDONLY, KEPT_ADVICE, &err);
}

bool kept_open(struct kept *k, const struct kept_name *name, struct kept_reader *ret)
{
	struct stat st;

	*ret = (struct kept_reader){.kept = k, .name = *name, .fd = open_kept_file(k, name)};
	if (ret->fd < 0)
		return false;
	ret->buf = mem_alloc(BUFFER_BYTES);
	if (fstat(ret->fd, &st) < 0 || st.st_size < HEAD_BYTES + CRC_BYTES) {
		kept_close(ret, false);
		return false;
	}
	ret->end = (uint64_t)st.st_size - CRC_BYTES;
	if (!is_checksum_right(ret) || !is_as_named(ret)) {
		kept_close(ret, false);
		return false;
	}
	/* By this it is known which were not used for longest. */
	(void)futimens(ret->fd, NULL);
	return true;
}

bool kept_close(struct kept_reader *r, bool sound)
{
	bool right = sound && !r->wrong && kept_left(r) == 0;

	if (!right)
		kept_forget(r->kept, &r->name);
	cleanup_fd(&r->fd);
	free(r->buf);
	return right;
}

static char *path_of_kept(const struct kept *k, const struct kept_name *name)
{
	_cleanup(free) char *directory = path_of_dump(k, name);
	char file[KEPT_NAME_BYTES];

	format_file_name(name, file);
	return mem_printf("%s/%s", directory, file);
}

void kept_forget(struct kept *k, const struct kept_name *name)
{
	_cleanup(free) char *path = path_of_kept(k, name);

	unlink(path);
}

bool kept_exists(struct kept *k, const struct kept_name *name)
{
	_cleanup(free) char *path = path_of_kept(k, name);

	return access(path, F_OK) == 0;
}

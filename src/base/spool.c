// SPDX-License-Identifier: Apache-2.0
/* Text that grows past SPOOL_MEMORY_BYTES is moved to an unlinked file, once; from then on the file holds all
 * of it. */
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/spool.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

struct spool {
	char *directory;
	size_t memory_bytes;
	struct str text; /* all of it, or what the file does not hold yet */
	int fd;          /* -1 while everything is in memory */
	uint64_t in_file;
	int error;
};

struct spool *spool_new_small(const char *directory, size_t memory_bytes)
{
	struct spool *s = mem_alloc(sizeof(*s));

	s->directory = mem_strdup(directory);
	s->memory_bytes = memory_bytes;
	s->fd = -1;
	return s;
}

struct spool *spool_new(const char *directory)
{
	return spool_new_small(directory, SPOOL_MEMORY_BYTES);
}

struct spool *spool_free(struct spool *s)
{
	if (!s)
		return NULL;
	if (s->fd >= 0)
		close(s->fd);
	str_finish(&s->text);
	free(s->directory);
	free(s);
	return NULL;
}

static void flush_to_file(struct spool *s)
{
	int r;

	if (s->fd < 0) {
		s->fd = fd_open_unlinked(s->directory);
		if (s->fd < 0) {
			s->error = s->fd;
			s->fd = -1;
			return;
		}
	}
	r = fd_pwrite_all(s->fd, s->text.data, s->text.len, (off_t)s->in_file);
	if (r < 0) {
		s->error = r;
		return;
	}
	s->in_file += s->text.len;
	str_clear(&s->text);
}

void spool_append(struct spool *s, const char *bytes, size_t len)
{
	if (s->error)
		return;
	str_append_bytes(&s->text, bytes, len);
	if (s->text.len > s->memory_bytes)
		flush_to_file(s);
}

void spool_appendf(struct spool *s, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	if (text.len)
		spool_append(s, text.data, text.len);
}

int spool_error(const struct spool *s)
{
	return s->error;
}

uint64_t spool_size(const struct spool *s)
{
	return s->in_file + s->text.len;
}

ssize_t spool_read(const struct spool *s, void *buf, size_t len, uint64_t offset)
{
	uint64_t size = spool_size(s);
	size_t from_file = 0, from_memory;

	if (offset >= size)
		return 0;
	if (len > size - offset)
		len = (size_t)(size - offset);
	if (offset < s->in_file) {
		from_file = s->in_file - offset < len ? (size_t)(s->in_file - offset) : len;
		int r = fd_pread_full(s->fd, buf, from_file, (off_t)offset);

		if (r < 0)
			return r;
	}
	from_memory = len - from_file;
	if (from_memory > 0)
		memcpy((char *)buf + from_file, s->text.data + (offset + from_file - s->in_file),
		       from_memory);
	return (ssize_t)len;
}

int spool_put(struct spool *s, const void *bytes, size_t len, struct error *err)
{
	spool_append(s, bytes, len);
	if (s->error == 0)
		return 0;
	return error_system(err, -s->error,
	                    "what is to be kept for a while cannot be written to a file in %s", s->directory);
}

int spool_get(const struct spool *s, void *buf, size_t len, uint64_t offset, struct error *err)
{
	ssize_t n = spool_read(s, buf, len, offset);

	if (n == (ssize_t)len)
		return 0;
	return error_system(err, n < 0 ? (int)-n : EIO,
	                    "what was kept for a while cannot be read from a file in %s", s->directory);
}

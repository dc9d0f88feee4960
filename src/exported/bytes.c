// SPDX-License-Identifier: Apache-2.0
#include "bytes.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/decompression.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define PACKED_BYTES ((size_t)128 << 10)

struct bytes *bytes_free(struct bytes *b)
{
	if (b)
		b->free(b);
	return NULL;
}

/* A file. */

struct file_bytes {
	struct bytes bytes;
	int fd;
	off_t at;
	struct cancel *cancel;
};

static ssize_t read_file_bytes(struct bytes *b, void *buf, size_t len, struct error *err)
{
	struct file_bytes *f = (struct file_bytes *)b;
	ssize_t n;

	if (cancel_is_set(f->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	do
		n = pread(f->fd, buf, len, f->at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_system(err, errno, "it cannot be read");
	f->at += n;
	return n;
}

static void free_file_bytes(struct bytes *b)
{
	free(b);
}

struct bytes *bytes_of_file(int fd, struct cancel *cancel)
{
	struct file_bytes *f = mem_alloc(sizeof(*f));

	*f = (struct file_bytes){.bytes = {read_file_bytes, free_file_bytes}, .fd = fd, .cancel = cancel};
	return &f->bytes;
}

/* Gzip. */

struct gzip_bytes {
	struct bytes bytes;
	struct bytes *file;
	struct decompressor *decompressor;
	struct decompressor_piece piece; /* that was not taken yet */
	bool at_end;                     /* of the file */
	char packed[PACKED_BYTES];
};

static int fill_packed(struct gzip_bytes *g, struct error *err)
{
	ssize_t n = g->file->read(g->file, g->packed, sizeof(g->packed), err);

	if (n < 0)
		return (int)n;
	g->at_end = n == 0;
	g->piece.data = g->packed;
	g->piece.len = (size_t)n;
	return 0;
}

/* A full buffer may have left something behind in the decompressor, even when it has taken all of its input. */
static ssize_t read_gzip_bytes(struct bytes *b, void *buf, size_t len, struct error *err)
{
	struct gzip_bytes *g = (struct gzip_bytes *)b;
	int r = 0;

	for (;;) {
		g->piece.out = buf;
		g->piece.room = len;
		r = decompressor_run(g->decompressor, &g->piece, err);
		if (r < 0 || g->piece.written > 0)
			return r < 0 ? r : (ssize_t)g->piece.written;
		if (g->at_end)
			return decompressor_finish(g->decompressor, err);
		if (g->piece.len == 0)
			r = fill_packed(g, err);
		if (r < 0)
			return r;
	}
}

static void free_gzip_bytes(struct bytes *b)
{
	struct gzip_bytes *g = (struct gzip_bytes *)b;

	bytes_free(g->file);
	decompressor_free(g->decompressor);
	free(g);
}

struct bytes *bytes_of_gzip(struct bytes *file)
{
	struct gzip_bytes *g = mem_alloc(sizeof(*g));

	g->bytes = (struct bytes){read_gzip_bytes, free_gzip_bytes};
	g->file = file;
	g->decompressor = decompressor_new(COMPRESSION_GZIP, NULL);
	return &g->bytes;
}

// SPDX-License-Identifier: Apache-2.0
/* One of the two libraries behind the same few calls. Both look at checksums where the file has them. ISA-L inflates twice as fast as zlib. */
#include <keepfs/codec/decompression.h>

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <keepfs/base/mem.h>
#include <limits.h>
#include <stdint.h>
#include <zstd.h>

#define OUT_BYTES  ((size_t)128 << 10)
#define WINDOW_LOG 23 /* 8 MiB, as zstd -19 needs: what a frame may ask for in memory */

struct decompressor {
	enum compression_method method;
	struct decompressor_out out;
	struct inflate_state inflate;
	uint32_t header; /* of deflate: what is around it */
	ZSTD_DCtx *zstd;
	bool within;   /* something has begun that has not ended */
	bool is_wrong; /* something follows the end: told by the next call */
	uint8_t buf[OUT_BYTES];
};

static struct decompressor *new_with_header(enum compression_method method, uint32_t header,
                                            const struct decompressor_out *out)
{
	struct decompressor *d = mem_alloc(sizeof(*d));

	d->method = method;
	if (out)
		d->out = *out;
	d->within = true; /* an empty file is none */
	d->header = header;
	if (method == COMPRESSION_ZSTD) {
		d->zstd = ZSTD_createDCtx(); /* fails only without memory */
		if (!d->zstd ||
		    ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, WINDOW_LOG)))
			abort();
		return d;
	}
	isal_inflate_init(&d->inflate);
	d->inflate.crc_flag = header;
	return d;
}

struct decompressor *decompressor_new(enum compression_method method, const struct decompressor_out *out)
{
	return new_with_header(method, ISAL_GZIP, out);
}

struct decompressor *decompressor_new_segments(enum compression_method method,
                                               const struct decompressor_out *out)
{
	return new_with_header(method, ISAL_DEFLATE, out);
}

struct decompressor *decompressor_new_zlib(const struct decompressor_out *out)
{
	return new_with_header(COMPRESSION_GZIP, ISAL_ZLIB, out);
}

struct decompressor *decompressor_free(struct decompressor *d)
{
	if (!d)
		return NULL;
	ZSTD_freeDCtx(d->zstd);
	free(d);
	return NULL;
}

static int not_decompressed(const char *library, const char *why, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "it cannot be decompressed: %s reports \"%s\"", library,
	                 why);
}

static int give_plain(struct decompressor *d, size_t len, struct error *err)
{
	return len > 0 ? d->out.write(d->out.arg, d->buf, len, err) : 0;
}

static int run_zstd(struct decompressor *d, struct decompressor_piece *p, struct error *err)
{
	ZSTD_inBuffer in = {p->data, p->len, 0};
	ZSTD_outBuffer out = {p->out, p->room, 0};
	size_t left;

	/* Nothing is left in there of a frame that has ended. */
	if (p->len == 0 && !d->within)
		return 0;
	left = ZSTD_decompressStream(d->zstd, &out, &in);
	if (ZSTD_isError(left))
		return not_decompressed("zstd", ZSTD_getErrorName(left), err);
	d->within = left > 0;
	p->data = (const char *)p->data + in.pos;
	p->len -= in.pos;
	p->written = out.pos;
	return 0;
}

static const char *inflate_failure(int status)
{
	switch (status) {
	case ISAL_INVALID_WRAPPER:
	case ISAL_UNSUPPORTED_METHOD:
		return "it does not begin as it should";
	case ISAL_INCORRECT_CHECKSUM:
		return "a wrong checksum";
	default:
		return "no deflate";
	}
}

/* It takes whole words: what follows the end may be in there, and not in what it was given. */
static bool has_more(const struct inflate_state *s)
{
	return s->avail_in > 0 || s->read_in_length >= CHAR_BIT;
}

/* The checksum behind the last segment is of the whole stream, which did not pass. */
static bool ends_as_segments(const struct decompressor *d)
{
	return !d->within && d->header == ISAL_DEFLATE;
}

static int run_gzip(struct decompressor *d, struct decompressor_piece *p, struct error *err)
{
	struct inflate_state *s = &d->inflate;
	int status;

	if (ends_as_segments(d)) {
		p->len = 0;
		return 0;
	}
	if (!d->within)
		return p->len > 0 ? not_decompressed("ISA-L", "something behind the end", err) : 0;
	s->next_in = (uint8_t *)p->data; /* it is only read */
	s->avail_in = (uint32_t)p->len;
	s->next_out = p->out;
	s->avail_out = (uint32_t)p->room;
	status = isal_inflate(s);
	if (status < 0)
		return not_decompressed("ISA-L", inflate_failure(status), err);
	d->within = s->block_state != ISAL_BLOCK_FINISH;
	p->data = s->next_in;
	p->len = s->avail_in;
	p->written = p->room - s->avail_out;
	if (!d->within && !ends_as_segments(d) && has_more(s)) {
		d->is_wrong = true;
		p->len = 0;
	}
	return 0;
}

int decompressor_run(struct decompressor *d, struct decompressor_piece *p, struct error *err)
{
	p->written = 0;
	if (d->is_wrong)
		return not_decompressed("ISA-L", "something behind the end", err);
	return d->method == COMPRESSION_ZSTD ? run_zstd(d, p, err) : run_gzip(d, p, err);
}

int decompressor_write(struct decompressor *d, const void *data, size_t len, struct error *err)
{
	struct decompressor_piece p = {.data = data, .len = len, .out = d->buf, .room = sizeof(d->buf)};
	int r;

	if (len == 0)
		return 0;
	do {
		r = decompressor_run(d, &p, err);
		if (r == 0)
			r = give_plain(d, p.written, err);
		/* A full buffer: there may be more without further input. */
	} while (r == 0 && (p.len > 0 || p.written == p.room || d->is_wrong));
	return r;
}

bool decompressor_is_between(const struct decompressor *d)
{
	const struct inflate_state *s = &d->inflate;

	if (d->method == COMPRESSION_ZSTD)
		return !d->within;
	return s->read_in_length == 0 && s->tmp_in_size == 0 && s->tmp_out_processed == s->tmp_out_valid &&
	       (s->block_state == ISAL_BLOCK_NEW_HDR || s->block_state == ISAL_BLOCK_HDR);
}

int decompressor_finish(struct decompressor *d, struct error *err)
{
	if (d->is_wrong)
		return not_decompressed("ISA-L", "something behind the end", err);
	if (d->within)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it cannot be decompressed: it ends too early");
	return 0;
}

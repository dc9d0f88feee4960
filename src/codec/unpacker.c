// SPDX-License-Identifier: Apache-2.0
/* One segment at a time. ISA-L inflates twice as fast as zlib, and a segment is never read in pieces, so it needs no window. */
#include <keepfs/codec/decompression.h>

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <keepfs/base/mem.h>
#include <string.h>
#include <zstd.h>

struct unpacker {
	enum compression_method method;
	ZSTD_DCtx *zstd;
	struct inflate_state inflate;
};

struct unpacker *unpacker_new(enum compression_method method)
{
	struct unpacker *u = mem_alloc(sizeof(*u));

	u->method = method;
	if (method == COMPRESSION_ZSTD)
		u->zstd = ZSTD_createDCtx();
	if (method == COMPRESSION_ZSTD && !u->zstd)
		abort();
	return u;
}

struct unpacker *unpacker_free(struct unpacker *u)
{
	if (!u)
		return NULL;
	ZSTD_freeDCtx(u->zstd);
	free(u);
	return NULL;
}

static int not_unpacked(const char *why, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "a segment cannot be decompressed: %s", why);
}

static int copy_segment(const void *data, size_t len, void *raw, size_t max, size_t *ret_len,
                        struct error *err)
{
	if (len > max)
		return not_unpacked("it is too long", err);
	memcpy(raw, data, len);
	*ret_len = len;
	return 0;
}

static int inflate_segment(struct unpacker *u, const void *data, size_t len, void *raw, size_t max,
                           size_t *ret_len, struct error *err)
{
	struct inflate_state *s = &u->inflate;

	isal_inflate_init(s);
	s->crc_flag = ISAL_DEFLATE;
	s->next_in = (uint8_t *)data; /* it is only read */
	s->avail_in = (uint32_t)len;
	s->next_out = raw;
	s->avail_out = (uint32_t)max;
	if (isal_inflate(s) != ISAL_DECOMP_OK)
		return not_unpacked("it is no deflate, or not the begin of one", err);
	/* Behind the flush nothing is left over, and nothing is waited for but another block. */
	if (s->avail_in > 0 || s->read_in_length > 0 || s->tmp_in_size > 0 ||
	    (s->block_state != ISAL_BLOCK_NEW_HDR && s->block_state != ISAL_BLOCK_HDR))
		return not_unpacked("it is cut off, or has more than a segment can", err);
	*ret_len = s->total_out;
	return 0;
}

static int unpack_frame(struct unpacker *u, const void *data, size_t len, void *raw, size_t max,
                        size_t *ret_len, struct error *err)
{
	size_t r = ZSTD_decompressDCtx(u->zstd, raw, max, data, len);

	if (ZSTD_isError(r))
		return not_unpacked(ZSTD_getErrorName(r), err);
	*ret_len = r;
	return 0;
}

int unpacker_run(struct unpacker *u, const void *data, size_t len, void *raw, size_t max, size_t *ret_len,
                 struct error *err)
{
	if (u->method == COMPRESSION_NONE)
		return copy_segment(data, len, raw, max, ret_len, err);
	return u->method == COMPRESSION_GZIP ? inflate_segment(u, data, len, raw, max, ret_len, err)
	                                     : unpack_frame(u, data, len, raw, max, ret_len, err);
}

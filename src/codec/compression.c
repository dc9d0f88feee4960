// SPDX-License-Identifier: Apache-2.0
/*
 * Compression of segments. Every method is a row of `coders`; what a segment is worth without its neighbours
 * is decided here: deflate starts each one with an empty window and ends it with a full flush, zstd makes a
 * frame of it. So the result does not depend on which thread did what, and pieces can simply be put one after
 * the other.
 */
#include <keepfs/base/mem.h>
#include <keepfs/codec/compression.h>

#include <errno.h>
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define ISAL_FAST_LEVEL       2
#define ISAL_BEST_LEVEL       3
#define ISAL_SAMPLE_BYTES     ((size_t)48 << 10)
#define ISAL_WORTH_PERCENT    96    /* of the fast level's size, at most, for the best one to be used */
#define ISAL_BLOCK_RAW_BYTES  65535 /* what cannot be made smaller is stored in blocks of that size */
#define ISAL_BLOCK_HEAD_BYTES 5
#define FLUSH_BYTES           16 /* the end of a block, and the empty one behind it */
#define RAW_DEFLATE           (-MAX_WBITS)
#define ZLIB_MEM_LEVEL        8
#define EMPTY_LAST_BLOCK      0x03, 0x00 /* fixed codes, last, and its end: RFC 1951 3.2.3 */
#define OS_UNIX               3

struct compressor {
	const struct coder *coder;
	struct compression is;
	enum segment_check check;
	uint8_t *level_buf; /* ISA-L's */
	z_stream zlib;
	ZSTD_CCtx *zstd;
};

struct coder {
	size_t (*bound)(size_t raw_bytes);
	void (*open)(struct compressor *c);
	/* @ret_bytes: how long it became; 0 or a negative errno with a message. */
	int (*run)(struct compressor *c, const uint8_t *raw, size_t raw_bytes, uint8_t *out, size_t out_bytes,
	           size_t *ret_bytes, struct error *err);
	void (*close)(struct compressor *c);
};

static int failed(const char *library, const char *why, struct error *err)
{
	return error_set(err, ERROR_INTERNAL, EIO, "cannot compress: %s reports \"%s\"", library, why);
}

static size_t none_bound(size_t raw_bytes)
{
	return raw_bytes;
}

static void none_open(struct compressor *c)
{
}

static int none_run(struct compressor *c, const uint8_t *raw, size_t raw_bytes, uint8_t *out,
                    size_t out_bytes, size_t *ret_bytes, struct error *err)
{
	memcpy(out, raw, raw_bytes);
	*ret_bytes = raw_bytes;
	return 0;
}

static void none_close(struct compressor *c)
{
}

static size_t isal_bound(size_t raw_bytes)
{
	return raw_bytes + (raw_bytes / ISAL_BLOCK_RAW_BYTES + 1) * ISAL_BLOCK_HEAD_BYTES + FLUSH_BYTES;
}

static void isal_open(struct compressor *c)
{
	c->level_buf = mem_alloc(ISAL_DEF_LVL3_EXTRA_LARGE);
}

static int isal_deflate_at(struct compressor *c, uint32_t level, const uint8_t *raw, size_t raw_bytes,
                           uint8_t *out, size_t out_bytes, size_t *ret_bytes, struct error *err)
{
	struct isal_zstream z;

	isal_deflate_stateless_init(&z);
	z.hist_bits = 0;            /* the whole window; the initialiser leaves it as it is */
	z.next_in = (uint8_t *)raw; /* it is only read */
	z.avail_in = (uint32_t)raw_bytes;
	z.next_out = out;
	z.avail_out = (uint32_t)out_bytes;
	z.flush = FULL_FLUSH;
	z.end_of_stream = 0;
	z.level = level;
	z.level_buf = c->level_buf;
	z.level_buf_size = ISAL_DEF_LVL3_EXTRA_LARGE;
	if (isal_deflate_stateless(&z) != COMP_OK || z.avail_in > 0)
		return failed("ISA-L", "no room", err);
	*ret_bytes = z.total_out;
	return 0;
}

/* The best level takes twice the time of the fast one. For texts it is worth it; for rows of numbers, hashes
 * and JSON it gains next to nothing. A sample of the segment tells, so the same bytes always become the
 * same. */
static uint32_t choose_level(struct compressor *c, const uint8_t *raw, size_t raw_bytes, uint8_t *out,
                             size_t out_bytes)
{
	const uint8_t *sample = raw + (raw_bytes - ISAL_SAMPLE_BYTES) / 2;
	size_t fast, best;

	if (isal_deflate_at(c, ISAL_FAST_LEVEL, sample, ISAL_SAMPLE_BYTES, out, out_bytes, &fast, NULL) < 0 ||
	    isal_deflate_at(c, ISAL_BEST_LEVEL, sample, ISAL_SAMPLE_BYTES, out, out_bytes, &best, NULL) < 0)
		return ISAL_BEST_LEVEL;
	return best * 100 <= fast * ISAL_WORTH_PERCENT ? ISAL_BEST_LEVEL : ISAL_FAST_LEVEL;
}

static int isal_run(struct compressor *c, const uint8_t *raw, size_t raw_bytes, uint8_t *out,
                    size_t out_bytes, size_t *ret_bytes, struct error *err)
{
	uint32_t level = ISAL_BEST_LEVEL;

	/* In a short one the sample would be most of it. */
	if (raw_bytes >= 4 * ISAL_SAMPLE_BYTES)
		level = choose_level(c, raw, raw_bytes, out, out_bytes);
	return isal_deflate_at(c, level, raw, raw_bytes, out, out_bytes, ret_bytes, err);
}

static void isal_close(struct compressor *c)
{
	free(c->level_buf);
}

static void *zlib_alloc(void *opaque, unsigned count, unsigned bytes)
{
	return mem_array(count, bytes);
}

static void zlib_free(void *opaque, void *ptr)
{
	free(ptr);
}

/* As deflateBound() counts for ZLIB_MEM_LEVEL, without a stream to ask it of. */
static size_t zlib_bound(size_t raw_bytes)
{
	return raw_bytes + (raw_bytes >> 12) + (raw_bytes >> 14) + (raw_bytes >> 25) + 13 + FLUSH_BYTES;
}

static void zlib_open(struct compressor *c)
{
	c->zlib.zalloc = zlib_alloc;
	c->zlib.zfree = zlib_free;
	/* Fails only without memory, and for another version of the library than that of its header. */
	if (deflateInit2(&c->zlib, c->is.level, Z_DEFLATED, RAW_DEFLATE, ZLIB_MEM_LEVEL,
	                 Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
}

static int zlib_run(struct compressor *c, const uint8_t *raw, size_t raw_bytes, uint8_t *out,
                    size_t out_bytes, size_t *ret_bytes, struct error *err)
{
	deflateReset(&c->zlib);
	c->zlib.next_in = (uint8_t *)raw; /* it is only read */
	c->zlib.avail_in = (unsigned)raw_bytes;
	c->zlib.next_out = out;
	c->zlib.avail_out = (unsigned)out_bytes;
	if (deflate(&c->zlib, Z_FULL_FLUSH) != Z_OK || c->zlib.avail_in > 0 || c->zlib.avail_out == 0)
		return failed("zlib", "no room", err);
	*ret_bytes = out_bytes - c->zlib.avail_out;
	return 0;
}

static void zlib_close(struct compressor *c)
{
	deflateEnd(&c->zlib);
}

static void zstd_open(struct compressor *c)
{
	c->zstd = ZSTD_createCCtx();
	if (!c->zstd || ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, c->is.level)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_checksumFlag, c->is.frames_have_checksums)))
		abort();
}

static int zstd_run(struct compressor *c, const uint8_t *raw, size_t raw_bytes, uint8_t *out,
                    size_t out_bytes, size_t *ret_bytes, struct error *err)
{
	size_t r = ZSTD_compress2(c->zstd, out, out_bytes, raw, raw_bytes);

	if (ZSTD_isError(r))
		return failed("zstd", ZSTD_getErrorName(r), err);
	*ret_bytes = r;
	return 0;
}

static void zstd_close(struct compressor *c)
{
	ZSTD_freeCCtx(c->zstd);
}

enum { CODER_NONE, CODER_ISAL, CODER_ZLIB, CODER_ZSTD };

static const struct coder coders[] = {
        [CODER_NONE] = {none_bound, none_open, none_run, none_close},
        [CODER_ISAL] = {isal_bound, isal_open, isal_run, isal_close},
        [CODER_ZLIB] = {zlib_bound, zlib_open, zlib_run, zlib_close},
        [CODER_ZSTD] = {ZSTD_compressBound, zstd_open, zstd_run, zstd_close},
};

static const struct coder *coder_of(const struct compression *c)
{
	if (c->method == COMPRESSION_NONE)
		return &coders[CODER_NONE];
	if (c->method == COMPRESSION_ZSTD)
		return &coders[CODER_ZSTD];
	return &coders[c->level == COMPRESSION_ISAL ? CODER_ISAL : CODER_ZLIB];
}

struct compressor *compressor_new(const struct compression *compression, enum segment_check check)
{
	struct compressor *c = mem_alloc(sizeof(*c));

	c->coder = coder_of(compression);
	c->is = *compression;
	c->check = check;
	c->coder->open(c);
	return c;
}

struct compressor *compressor_free(struct compressor *c)
{
	if (!c)
		return NULL;
	c->coder->close(c);
	free(c);
	return NULL;
}

size_t compressor_bound(const struct compression *c, size_t raw_bytes)
{
	return coder_of(c)->bound(raw_bytes);
}

uint32_t segment_check_of(enum segment_check check, const void *raw, size_t raw_bytes)
{
	switch (check) {
	case SEGMENT_CHECK_ADLER32:
		return isal_adler32(segment_check_empty(check), raw, raw_bytes);
	case SEGMENT_CHECK_CRC32:
		return crc32_gzip_refl(segment_check_empty(check), raw, raw_bytes);
	default:
		return segment_check_empty(check);
	}
}

/* In blocks of a fixed length, which compilers turn into a few instructions: rows are counted at the speed of memory. */
static uint32_t count_lines(const uint8_t *raw, size_t len)
{
	uint32_t lines = 0;

	for (; len >= 64; raw += 64, len -= 64) {
		uint8_t found = 0;

		for (int i = 0; i < 64; i++)
			found = (uint8_t)(found + (raw[i] == '\n'));
		lines += found;
	}
	for (; len > 0; raw++, len--)
		lines += *raw == '\n';
	return lines;
}

int compressor_run(struct compressor *c, const void *raw, size_t raw_bytes, void *out, size_t out_bytes,
                   struct segment *ret, struct error *err)
{
	size_t bytes;

	if (raw_bytes == 0 || raw_bytes > SEGMENT_RAW_BYTES || out_bytes < c->coder->bound(raw_bytes))
		return error_set(err, ERROR_INTERNAL, EINVAL,
		                 "cannot compress %zu bytes at once into a buffer of %zu", raw_bytes,
		                 out_bytes);
	int r = c->coder->run(c, raw, raw_bytes, out, c->coder->bound(raw_bytes), &bytes, err);

	if (r < 0)
		return r;
	*ret = (struct segment){raw_bytes, bytes, segment_check_of(c->check, raw, raw_bytes),
	                        count_lines(raw, raw_bytes)};
	return 0;
}

uint32_t segment_check_join(enum segment_check check, uint32_t first, uint32_t second,
                            uint64_t second_raw_bytes)
{
	switch (check) {
	case SEGMENT_CHECK_ADLER32:
		return (uint32_t)adler32_combine(first, second, (z_off_t)second_raw_bytes);
	case SEGMENT_CHECK_CRC32:
		return (uint32_t)crc32_combine(first, second, (z_off_t)second_raw_bytes);
	default:
		return segment_check_empty(check);
	}
}

uint32_t segment_check_empty(enum segment_check check)
{
	return check == SEGMENT_CHECK_ADLER32 ? 1 : 0;
}

void zlib_head(uint8_t buf[static ZLIB_HEAD_BYTES])
{
	memcpy(buf, (const uint8_t[]){0x78, 0x9c}, ZLIB_HEAD_BYTES);
}

void zlib_tail(uint32_t adler32, uint8_t buf[static ZLIB_TAIL_BYTES])
{
	const uint8_t tail[ZLIB_TAIL_BYTES] = {EMPTY_LAST_BLOCK, (uint8_t)(adler32 >> 24),
	                                       (uint8_t)(adler32 >> 16), (uint8_t)(adler32 >> 8),
	                                       (uint8_t)adler32};

	memcpy(buf, tail, sizeof(tail));
}

void gzip_head(uint8_t buf[static GZIP_HEAD_BYTES])
{
	const uint8_t head[GZIP_HEAD_BYTES] = {0x1f, 0x8b, Z_DEFLATED, 0, 0, 0, 0, 0, 0, OS_UNIX};

	memcpy(buf, head, sizeof(head));
}

void gzip_tail(uint32_t crc32, uint64_t raw_bytes, uint8_t buf[static GZIP_TAIL_BYTES])
{
	const uint8_t end[] = {EMPTY_LAST_BLOCK};

	memcpy(buf, end, sizeof(end));
	for (unsigned i = 0; i < 4; i++) {
		buf[sizeof(end) + i] = (uint8_t)(crc32 >> (8 * i));
		buf[sizeof(end) + 4 + i] = (uint8_t)(raw_bytes >> (8 * i)); /* modulo 2^32 */
	}
}

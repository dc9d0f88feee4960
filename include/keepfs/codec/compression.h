// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Compression in independent segments, so that any number of threads can compress one stream: raw deflate by
 * ISA-L or zlib, each segment ended by a full flush (it needs nothing before it, and the next one nothing of
 * it); or one whole zstd frame; or nothing. Framing (zlib, gzip) is put around them by the caller with the
 * helpers below. Pure; a compressor belongs to one thread. Formats: RFC 1950, 1951, 1952, 8878.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How much raw data a segment holds at most: what it can grow to still fits a pool's buffer. */
#define SEGMENT_RAW_BYTES (((size_t)1 << 20) - ((size_t)8 << 10))

enum compression_method { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD };
#define COMPRESSION_ISAL                                                                                     \
	0 /* the level of COMPRESSION_GZIP that stands for ISA-L, the fast one; 1 to 9 are zlib's */

struct compression { /* what is done */
	enum compression_method method;
	int level;
	/* of COMPRESSION_ZSTD: each frame ends with a checksum of its raw bytes (RFC 8878, Content_Checksum), which whoever decompresses it compares; of others it means nothing */
	bool frames_have_checksums;
};

enum compression_kind { COMPRESS_FAST, COMPRESS_SMALL, COMPRESS_NONE, COMPRESS_GZIP, COMPRESS_ZSTD };

struct compression_choice { /* what was asked for */
	enum compression_kind kind;
	int level; /* COMPRESS_GZIP 1 to 9, COMPRESS_ZSTD 1 to 19 */
};

/** compression_parse() - "fast", "small", "none", "gzip", "gzip:1" to "gzip:9" (default 6), "zstd", "zstd:1"
 * to "zstd:19" (default 3); -EINVAL with a message that says what is allowed. */
int compression_parse(const char *text, struct compression_choice *ret, struct error *err);
/** compression_resolve() - what @choice means where zstd can (@zstd) or cannot be read back: fast is zstd 1
 * or ISA-L, small is zstd 9 or zlib 9. COMPRESS_ZSTD where it cannot is for the caller to refuse: here it
 * stays. */
struct compression compression_resolve(const struct compression_choice *choice, bool zstd);
/** compression_format() - "none", "gzip" (by ISA-L), "gzip:6", "zstd:1" into @buf, which is returned. */
const char *compression_format(const struct compression *c, char buf[static 16]);

enum segment_check { SEGMENT_CHECK_NONE, SEGMENT_CHECK_ADLER32, SEGMENT_CHECK_CRC32 };

struct segment { /* one compressed piece; its bytes are kept beside it */
	size_t raw_bytes;
	size_t bytes;
	uint32_t check; /* of the raw bytes, as the compressor was told to compute */
	uint32_t lines; /* ends of lines in the raw bytes: of a table each row has one */
};

struct compressor;
struct compressor *compressor_new(const struct compression *c, enum segment_check check);
struct compressor *compressor_free(struct compressor *c);
DEFINE_CLEANUP(compressor, struct compressor *, compressor_free)
/** compressor_bound() - room that a segment of @raw_bytes needs; at most 1 MiB for SEGMENT_RAW_BYTES. */
size_t compressor_bound(const struct compression *c, size_t raw_bytes);
/**
 * compressor_run() - @raw, 1 byte to SEGMENT_RAW_BYTES, into @out
 * Return: 0; -EINVAL only for other lengths and when @out_bytes is below the bound; -EIO when the library
 * cannot (zstd without memory).
 */
int compressor_run(struct compressor *c, const void *raw, size_t raw_bytes, void *out, size_t out_bytes,
                   struct segment *ret, struct error *err);

/** Checks of two adjacent pieces as one: @check of the first, that of the second, and the second's length. */
uint32_t segment_check_join(enum segment_check check, uint32_t first, uint32_t second,
                            uint64_t second_raw_bytes);
/** segment_check_of() - of raw bytes, as compressor_run() computes it. */
uint32_t segment_check_of(enum segment_check check, const void *raw, size_t raw_bytes);
/** segment_check_empty() - of no bytes at all: 1 for adler32, 0 else. */
uint32_t segment_check_empty(enum segment_check check);

#define ZLIB_HEAD_BYTES 2
#define ZLIB_TAIL_BYTES 6 /* an empty last block, and the adler32 */
#define GZIP_HEAD_BYTES 10
#define GZIP_TAIL_BYTES 10 /* an empty last block, the crc32 and the length */
void zlib_head(uint8_t buf[static ZLIB_HEAD_BYTES]);
void zlib_tail(uint32_t adler32, uint8_t buf[static ZLIB_TAIL_BYTES]);
void gzip_head(uint8_t buf[static GZIP_HEAD_BYTES]);
void gzip_tail(uint32_t crc32, uint64_t raw_bytes, uint8_t buf[static GZIP_TAIL_BYTES]);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The way back, of files that keepfs itself has compressed: a gzip file (RFC 1952), zstd frames (RFC 8878), or the zlib stream
 * (RFC 1950) that the data of one entry of an archive is; given in
 * pieces of any size, in memory that does not grow with it. Pure; a decompressor belongs to one thread.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/compression.h>
#include <stdbool.h>
#include <stddef.h>

struct decompressor;

/** struct decompressor_out - whom the plain bytes are given, in order; a negative return ends it with that and @err. */
struct decompressor_out {
	int (*write)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
};

/** decompressor_new() - of COMPRESSION_GZIP or COMPRESSION_ZSTD. @out: NULL when decompressor_run() is used. */
struct decompressor *decompressor_new(enum compression_method method, const struct decompressor_out *out);
/** decompressor_new_zlib() - of one zlib stream. */
struct decompressor *decompressor_new_zlib(const struct decompressor_out *out);
/** decompressor_new_segments() - of a file or stream that is made of segments (codec/compression.h), from the begin of any of them on: without the
 * header before the first one; the checksum behind the last one is passed over. */
struct decompressor *decompressor_new_segments(enum compression_method method,
                                               const struct decompressor_out *out);
struct decompressor *decompressor_free(struct decompressor *d); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(decompressor, struct decompressor *, decompressor_free)
/** decompressor_write() - the next @len bytes of the file. -EBADMSG (ERROR_CORRUPT): it is no such file. */
int decompressor_write(struct decompressor *d, const void *data, size_t len, struct error *err);
/** struct decompressor_piece - of what decompressor_run() does. */
struct decompressor_piece {
	const void *data; /* compressed; moved on behind what was taken */
	size_t len;
	void *out;
	size_t room;    /* at least 1 */
	size_t written; /* out: so many plain bytes */
};
/**
 * decompressor_run() - the way back on demand: not more than fits into p->out
 * What was not taken of p->data is given again. There is no more to come of what was given once p->len is 0 and less than p->room was written; of zstd
 * it may return earlier, where a frame ends. Otherwise as decompressor_write(), of whose kind no call is made on the same decompressor.
 */
int decompressor_run(struct decompressor *d, struct decompressor_piece *p, struct error *err);
/** decompressor_is_between() - all that was given has come out, and it ended where a segment may: behind a frame, or at the end of a block of deflate
 * that is the end of a byte, too. What follows may go back to what came before all the same, where it was not keepfs that has written it. */
bool decompressor_is_between(const struct decompressor *d);
/** decompressor_finish() - that was all: -EBADMSG when the file ends too early. */
int decompressor_finish(struct decompressor *d, struct error *err);

/**
 * An unpacker: single segments, as a compressor made them (codec/compression.h): raw deflate up to its flush, one zstd frame, or the
 * bytes themselves. It is what several threads can do at once with one stream. Pure; it belongs to one thread.
 */
struct unpacker;
struct unpacker *unpacker_new(enum compression_method method);
struct unpacker *unpacker_free(struct unpacker *u); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(unpacker, struct unpacker *, unpacker_free)
/**
 * unpacker_run() - all of @data, which is one segment, into @raw
 * Return: 0; -EBADMSG (ERROR_CORRUPT): it is no segment, it is cut off, it goes back to what came before it, or it has more than @max
 * bytes.
 */
int unpacker_run(struct unpacker *u, const void *data, size_t len, void *raw, size_t max, size_t *ret_len,
                 struct error *err);

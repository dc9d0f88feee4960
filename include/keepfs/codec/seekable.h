// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * zstd's seekable format: a stream in frames of its own each, so that any zstd reads the whole, and behind them a skippable frame with the length of each,
 * plain and compressed, so that whoever wants a stretch of it reads only the frames that it is in. Format:
 * https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md, version 0.1.0. What is written has a checksum in each
 * frame (RFC 8878, Content_Checksum), and so none in the table; a table with checksums is read, too.
 *
 *   seekable_writer_new(), …_write(), …_cut(), …_finish()              writing
 *   seekable_entry_append() …, seekable_table_append()                the table alone, of frames that others have made
 *   seekable_table_tail_bytes(), …_table_decode(), …_table_find()      which frames has a stretch?
 *   seekable_frame_decode()                                            one of them
 *
 * Memory: a frame, and some bytes for each. Pure; each belongs to one thread, and a table that is only read to any.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/decompression.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** SEEKABLE_FRAME_BYTES - plain bytes of a frame that is written, at most. */
#define SEEKABLE_FRAME_BYTES ((size_t)128 << 10)
/** SEEKABLE_PLAIN_MAX, SEEKABLE_STORED_MAX - what is read: longer frames are refused, so that nobody's table makes anybody take more memory. */
#define SEEKABLE_PLAIN_MAX  ((uint32_t)1 << 20)
#define SEEKABLE_STORED_MAX (SEEKABLE_PLAIN_MAX + (SEEKABLE_PLAIN_MAX >> 8) + 64)
/** SEEKABLE_FRAMES_MAX - of a stream; whoever writes ends it before (seekable_writer_frames()). */
#define SEEKABLE_FRAMES_MAX ((size_t)1 << 16)
/** SEEKABLE_TAIL_BYTES - the last bytes of a stream, which say how long the table is; SEEKABLE_TABLE_MAX - no table is longer. */
#define SEEKABLE_TAIL_BYTES ((size_t)9)
#define SEEKABLE_TABLE_MAX  (8 + 12 * SEEKABLE_FRAMES_MAX + SEEKABLE_TAIL_BYTES)

/** struct seekable_out - whom the bytes of a stream are given; a negative return ends it with that and @err. */
struct seekable_out {
	int (*write)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
};
struct seekable_writer;
/** seekable_writer_new() - nothing is written yet. @level: of zstd, 1 to 19; @out: copied. */
struct seekable_writer *seekable_writer_new(int level, const struct seekable_out *out);
struct seekable_writer *seekable_writer_free(struct seekable_writer *w); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(seekable_writer, struct seekable_writer *, seekable_writer_free)
/**
 * seekable_writer_write() - the next plain bytes; a frame ends by itself when it has SEEKABLE_FRAME_BYTES
 * Return: 0; what the seekable_out said; -E2BIG: there would be more than SEEKABLE_FRAMES_MAX frames; -EIO: zstd has no memory.
 */
int seekable_writer_write(struct seekable_writer *w, const void *data, size_t len, struct error *err);
/** seekable_writer_cut() - end the frame here; nothing when it has no bytes yet. */
int seekable_writer_cut(struct seekable_writer *w, struct error *err);
/** seekable_writer_finish() - the last frame, and the table. Nothing is written afterwards. */
int seekable_writer_finish(struct seekable_writer *w, struct error *err);
/** seekable_writer_plain(), …_stored() - bytes so far: given, and handed on (of the frame that is filled none yet). …_frames() - those that have ended. */
uint64_t seekable_writer_plain(const struct seekable_writer *w);
uint64_t seekable_writer_stored(const struct seekable_writer *w);
size_t seekable_writer_frames(const struct seekable_writer *w);

/** seekable_entry_append() - where whoever compresses frames himself (keepfs/stream/ordered.h) gathers the table: the next frame. seekable_table_append() - the table of all of @entries, which ends
 * the stream. */
void seekable_entry_append(struct str *entries, uint32_t stored, uint32_t plain);
void seekable_table_append(struct str *out, const struct str *entries);

struct seekable_frame {
	uint64_t plain_at, stored_at; /* where it begins */
	uint32_t plain, stored; /* bytes: plain 1 to SEEKABLE_PLAIN_MAX, stored 1 to SEEKABLE_STORED_MAX */
};
struct seekable_table {
	struct seekable_frame *frames;
	size_t count;
	uint64_t plain_bytes; /* of all frames */
};
void seekable_table_finish(struct seekable_table *t);
static inline void cleanup_seekable_table(struct seekable_table *t)
{
	seekable_table_finish(t);
}
/**
 * seekable_table_tail_bytes() - how many bytes the table has, which are the last of the stream; @stream_bytes: of all of it
 * Return: 0; -EBADMSG (ERROR_CORRUPT): @tail is not the end of a stream of so many bytes.
 */
int seekable_table_tail_bytes(const uint8_t tail[static SEEKABLE_TAIL_BYTES], uint64_t stream_bytes,
                              size_t *ret_len, struct error *err);
/** seekable_table_decode() - @data is the whole table, as long as seekable_table_tail_bytes() said; @ret held nothing. -EBADMSG: it is damaged, or its frames do
 * not fill the stream. */
int seekable_table_decode(const void *data, size_t len, uint64_t stream_bytes, struct seekable_table *ret,
                          struct error *err);
/** seekable_table_find() - the index of the frame that has the plain byte @plain_at; t->count: it is at the end or behind it. */
size_t seekable_table_find(const struct seekable_table *t, uint64_t plain_at);
/**
 * seekable_frame_decode() - the f->stored bytes of a frame into the f->plain bytes of @plain
 * @unpacker: of COMPRESSION_ZSTD; one is good for any number of frames
 * Return: 0; -EBADMSG: it is damaged, or has another number of bytes than the table says.
 */
int seekable_frame_decode(struct unpacker *unpacker, const struct seekable_frame *f, const void *stored,
                          void *plain, struct error *err);

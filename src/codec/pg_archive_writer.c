// SPDX-License-Identifier: Apache-2.0
/*
 * Data blocks. What pg_restore reads as one piece of compressed data is the data of a table, or one large
 * object: exactly one zlib stream, even for no data at all, or any number of zstd frames, each of which must
 * end together with its chunk (pg_restore drops what follows a frame in the same chunk), or the data itself.
 * A chunk of length 0 is the end, and written for nothing else. Sources: pg_backup_custom.c (_StartData,
 * _StartLO), compress_gzip.c, compress_zstd.c.
 */
#include "pg_archive_int.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/pg_archive_head.h>

#include <assert.h>
#include <limits.h>
#include <string.h>

#define BLOCK_DATA        1
#define BLOCK_BLOBS       3
#define SMALL_BYTES       32
#define EMPTY_FRAME_BYTES 9

/* A frame of no bytes, with its size, as pg_dump writes it for an empty large object: RFC 8878 3.1.1. */
static const uint8_t empty_frame[EMPTY_FRAME_BYTES] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00};

struct pg_archive_writer {
	struct pg_archive_writer_options is;
	uint64_t offset;
	bool in_blobs;
	uint64_t segments; /* of this table or large object, so far */
	uint32_t adler32;  /* of its data */
};

struct small { /* a few bytes that go out together */
	uint8_t bytes[SMALL_BYTES];
	size_t len;
};

struct pg_archive_writer *pg_archive_writer_new(const struct pg_archive_writer_options *options)
{
	struct pg_archive_writer *w = mem_alloc(sizeof(*w));

	w->is = *options;
	w->offset = options->begin;
	return w;
}

struct pg_archive_writer *pg_archive_writer_free(struct pg_archive_writer *w)
{
	free(w);
	return NULL;
}

uint64_t pg_archive_writer_offset(const struct pg_archive_writer *w)
{
	return w->offset;
}

static int emit_bytes(struct pg_archive_writer *w, const void *data, size_t len, struct error *err)
{
	int r = w->is.emit(w->is.arg, data, len, err);

	if (r < 0)
		return r;
	w->offset += len;
	return 0;
}

static void put_bytes(struct small *s, const void *bytes, size_t len)
{
	assert(s->len + len <= sizeof(s->bytes));
	memcpy(s->bytes + s->len, bytes, len);
	s->len += len;
}

static void put_int(struct small *s, int value)
{
	uint8_t buf[PG_ARCHIVE_INT_BYTES];

	pg_archive_put_int(buf, value);
	put_bytes(s, buf, sizeof(buf));
}

static void begin_data_member(struct pg_archive_writer *w)
{
	w->segments = 0;
	w->adler32 = segment_check_empty(SEGMENT_CHECK_ADLER32);
}

/* What the compressed data of this table or large object still lacks, and its end. */
static void put_data_end(const struct pg_archive_writer *w, struct small *s)
{
	if (w->is.compression.method == COMPRESSION_GZIP) {
		uint8_t stream[ZLIB_HEAD_BYTES + ZLIB_TAIL_BYTES];
		size_t head = w->segments == 0 ? ZLIB_HEAD_BYTES : 0;

		zlib_head(stream);
		zlib_tail(w->adler32, stream + head);
		put_int(s, (int)(head + ZLIB_TAIL_BYTES));
		put_bytes(s, stream, head + ZLIB_TAIL_BYTES);
	} else if (w->is.compression.method == COMPRESSION_ZSTD && w->segments == 0) {
		put_int(s, EMPTY_FRAME_BYTES);
		put_bytes(s, empty_frame, EMPTY_FRAME_BYTES);
	}
	put_int(s, 0);
}

int pg_archive_writer_block(struct pg_archive_writer *w, int dump_id, bool blobs, struct error *err)
{
	struct small s = {{blobs ? BLOCK_BLOBS : BLOCK_DATA}, 1};

	put_int(&s, dump_id);
	w->in_blobs = blobs;
	begin_data_member(w);
	return emit_bytes(w, s.bytes, s.len, err);
}

int pg_archive_writer_blob(struct pg_archive_writer *w, uint32_t oid, struct error *err)
{
	struct small s = {0};

	assert(w->in_blobs && oid > 0); /* 0 would end the block */
	put_int(&s, (int)oid);
	begin_data_member(w);
	return emit_bytes(w, s.bytes, s.len, err);
}

int pg_archive_writer_segment(struct pg_archive_writer *w, const struct segment *segment, const void *data,
                              struct error *err)
{
	size_t head = w->is.compression.method == COMPRESSION_GZIP && w->segments == 0 ? ZLIB_HEAD_BYTES : 0;
	uint8_t stream[ZLIB_HEAD_BYTES];
	struct small s = {0};

	assert(segment->bytes > 0 && segment->bytes <= INT_MAX - ZLIB_HEAD_BYTES);
	put_int(&s, (int)(head + segment->bytes));
	zlib_head(stream);
	put_bytes(&s, stream, head);
	w->adler32 =
	        segment_check_join(SEGMENT_CHECK_ADLER32, w->adler32, segment->check, segment->raw_bytes);
	w->segments++;
	int r = emit_bytes(w, s.bytes, s.len, err);

	return r < 0 ? r : emit_bytes(w, data, segment->bytes, err);
}

int pg_archive_writer_blob_end(struct pg_archive_writer *w, struct error *err)
{
	struct small s = {0};

	assert(w->in_blobs);
	put_data_end(w, &s);
	return emit_bytes(w, s.bytes, s.len, err);
}

int pg_archive_writer_block_end(struct pg_archive_writer *w, struct error *err)
{
	struct small s = {0};

	if (w->in_blobs)
		put_int(&s, 0);
	else
		put_data_end(w, &s);
	return emit_bytes(w, s.bytes, s.len, err);
}

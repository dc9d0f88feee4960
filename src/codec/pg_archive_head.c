// SPDX-License-Identifier: Apache-2.0
/*
 * Header and table of contents as they were read, with another content of some fields: nothing is taken apart and
 * written anew, so whatever a later pg_dump puts there stays as it is. Two fields of the header are at places that
 * are known; that of each entry is told by a scan, before it is read.
 */
#include "pg_archive_int.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/pg_archive_head.h>

#include <assert.h>
#include <string.h>

#define FORMAT_AT        10 /* behind signature, version and two sizes */
#define FORMAT_DIRECTORY 3
#define METHOD_MINOR     15 /* from here on a byte says how data is compressed, before it was a level */
#define LEVEL_DEFAULT    (-1)
#define STATE_NOT_SET    1
#define STATE_SET        2
#define OFFSET_MAX_BYTES 8

struct pg_archive_head {
	struct pg_archive_head_options is;
	struct pg_archive_scan *scan;
	const uint8_t *piece; /* while one is fed: it begins at @piece_at */
	uint64_t piece_at;
	uint64_t passed; /* of the bytes that were read: emitted, or replaced */
};

/* What is before @end and was not passed. */
static int emit_until(struct pg_archive_head *h, uint64_t end, struct error *err)
{
	uint64_t from = h->passed;

	if (end <= from)
		return 0;
	h->passed = end;
	return h->is.emit(h->is.arg, h->piece + (from - h->piece_at), (size_t)(end - from), err);
}

/* @bytes instead of the @old_bytes at @at, some of which may still be to come. */
static int replace_field(struct pg_archive_head *h, uint64_t at, uint64_t old_bytes, const void *bytes,
                         size_t len, struct error *err)
{
	int r = emit_until(h, at, err);

	if (r < 0)
		return r;
	h->passed = at + old_bytes;
	return len > 0 ? h->is.emit(h->is.arg, bytes, len, err) : 0;
}

static int put_offset(struct pg_archive_head *h, uint64_t place_at, struct error *err)
{
	uint64_t offset = h->is.offset(h->is.arg, place_at);
	unsigned bytes = h->is.facts.offset_bytes;
	bool fits = bytes >= sizeof(offset) || offset >> (8 * bytes) == 0;
	uint8_t field[1 + OFFSET_MAX_BYTES] = {fits ? STATE_SET : STATE_NOT_SET};

	if (offset == 0)
		return 0;
	for (unsigned i = 0; fits && i < bytes; i++)
		field[1 + i] = (uint8_t)(offset >> (8 * i));
	return replace_field(h, place_at, 1 + bytes, field, 1 + bytes, err);
}

/* An empty name, not a NULL: pg_restore takes its length without looking. */
static int put_file_name(struct pg_archive_head *h, uint64_t place_at, struct error *err)
{
	const char *name = h->is.file_name(h->is.arg, place_at);
	size_t len = name ? strlen(name) : 0;
	uint8_t length[PG_ARCHIVE_INT_BYTES];
	int r;

	pg_archive_put_int(length, (int)len);
	r = replace_field(h, place_at, 1 + h->is.facts.offset_bytes, length, sizeof(length), err);
	return r < 0 || len == 0 ? r : h->is.emit(h->is.arg, name, len, err);
}

static int on_place(void *arg, uint64_t place_at, struct error *err)
{
	struct pg_archive_head *h = arg;

	return h->is.directory ? put_file_name(h, place_at, err) : put_offset(h, place_at, err);
}

static enum pg_archive_compression method_of(const struct compression *c)
{
	static const enum pg_archive_compression methods[] = {
	        [COMPRESSION_NONE] = PG_ARCHIVE_NONE,
	        [COMPRESSION_GZIP] = PG_ARCHIVE_GZIP,
	        [COMPRESSION_ZSTD] = PG_ARCHIVE_ZSTD,
	};

	return methods[c->method];
}

static int put_compression(struct pg_archive_head *h, struct error *err)
{
	enum pg_archive_compression method = method_of(&h->is.compression);
	uint8_t field[PG_ARCHIVE_INT_BYTES] = {(uint8_t)method};
	size_t len = 1;

	if (h->is.facts.version_minor < METHOD_MINOR) {
		assert(method != PG_ARCHIVE_ZSTD);
		pg_archive_put_int(field, method == PG_ARCHIVE_NONE ? 0 : LEVEL_DEFAULT);
		len = sizeof(field);
	}
	return replace_field(h, h->is.facts.compression_at, len, field, len, err);
}

/* Does the piece, up to @end, hold the byte at @at, and is it still to come? */
static bool is_next(const struct pg_archive_head *h, uint64_t at, uint64_t end)
{
	return h->passed <= at && at < end;
}

static int put_header(struct pg_archive_head *h, uint64_t end, struct error *err)
{
	static const uint8_t directory = FORMAT_DIRECTORY;
	int r = 0;

	if (h->is.directory && is_next(h, FORMAT_AT, end))
		r = replace_field(h, FORMAT_AT, 1, &directory, 1, err);
	if (r == 0 && is_next(h, h->is.facts.compression_at, end))
		r = put_compression(h, err);
	return r;
}

struct pg_archive_head *pg_archive_head_new(const struct pg_archive_head_options *options)
{
	struct pg_archive_head *h = mem_alloc(sizeof(*h));
	const struct pg_archive_events events = {.place = on_place, .arg = h};

	h->is = *options;
	h->scan = pg_archive_scan_new(&events);
	return h;
}

struct pg_archive_head *pg_archive_head_free(struct pg_archive_head *h)
{
	if (!h)
		return NULL;
	pg_archive_scan_free(h->scan);
	free(h);
	return NULL;
}

int pg_archive_head_feed(struct pg_archive_head *h, const void *data, size_t len, struct error *err)
{
	uint64_t end = h->piece_at + len;
	int r;

	assert(end <= h->is.facts.toc_end);
	h->piece = data;
	r = put_header(h, end, err);
	if (r == 0)
		r = pg_archive_scan_feed(h->scan, data, len, err);
	if (r == 0)
		r = emit_until(h, end, err);
	h->piece_at = end;
	return r;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * An archive's data as pg_restore reads it (compress_gzip.c, compress_zstd.c): chunk by chunk. Where it would
 * silently lose something, or never end, this fails.
 */
#include "archive_read.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define PIECE_BYTES 65536

struct reading {
	struct archive_content *content;
	bool decode;
	enum pg_archive_compression compression;
	z_stream zlib;
	bool zlib_ended;
	ZSTD_DStream *zstd;
	size_t zstd_wants; /* 0: between two frames */
	uint64_t frames;
};

static int undecodable(struct error *err, const char *why)
{
	return error_set(err, ERROR_CORRUPT, EILSEQ, "pg_restore could not read this: %s", why);
}

static struct archive_item *item(struct reading *r)
{
	return &r->content->items[r->content->item_count - 1];
}

static int add_item(struct reading *r, int dump_id, bool blobs, uint32_t oid)
{
	struct archive_content *c = r->content;

	c->items = mem_resize(c->items, c->item_count + 1, sizeof(*c->items));
	c->items[c->item_count++] = (struct archive_item){.dump_id = dump_id, .blobs = blobs, .oid = oid};
	return 0;
}

static int on_entry(void *arg, const struct pg_archive_entry *e, struct error *err)
{
	struct reading *r = arg;
	struct str *s = &r->content->entries;

	str_appendf(s, "%d %d '%s' '%s' '%s' '%s' '%s' '%s' at %llu:", e->dump_id, e->has_data, e->oid,
	            e->tag, e->desc, e->defn, e->copy_stmt, e->namespace, (unsigned long long)e->place_at);
	for (size_t i = 0; i < e->dependency_count; i++)
		str_appendf(s, " %d", e->dependencies[i]);
	str_append_char(s, '\n');
	return 0;
}

static int on_toc_end(void *arg, const struct pg_archive_facts *facts, struct error *err)
{
	struct reading *r = arg;

	r->compression = r->decode ? facts->compression : PG_ARCHIVE_NONE;
	return r->compression == PG_ARCHIVE_LZ4 ? undecodable(err, "lz4 is not known here") : 0;
}

static void begin_data(struct reading *r)
{
	if (r->compression == PG_ARCHIVE_GZIP)
		inflateReset(&r->zlib);
	r->zlib_ended = false;
	if (r->compression == PG_ARCHIVE_ZSTD)
		ZSTD_DCtx_reset(r->zstd, ZSTD_reset_session_only);
	r->zstd_wants = 0;
	r->frames = 0;
}

static int on_block(void *arg, int dump_id, bool blobs, struct error *err)
{
	begin_data(arg);
	return add_item(arg, dump_id, blobs, 0);
}

static int on_blob(void *arg, uint32_t oid, struct error *err)
{
	struct reading *r = arg;

	begin_data(r);
	return add_item(r, item(r)->dump_id, true, oid);
}

static int inflate_chunk(struct reading *r, const void *data, size_t len, struct error *err)
{
	uint8_t out[PIECE_BYTES];

	r->zlib.next_in = (uint8_t *)data;
	r->zlib.avail_in = (unsigned)len;
	while (r->zlib.avail_in > 0) {
		if (r->zlib_ended)
			return undecodable(err, "there is more behind the end of a zlib stream");
		r->zlib.next_out = out;
		r->zlib.avail_out = sizeof(out);
		int z = inflate(&r->zlib, Z_NO_FLUSH);

		if (z != Z_OK && z != Z_STREAM_END)
			return undecodable(err, r->zlib.msg ? r->zlib.msg : "inflate() failed");
		str_append_bytes(&item(r)->data, out, sizeof(out) - r->zlib.avail_out);
		r->zlib_ended = z == Z_STREAM_END;
	}
	return 0;
}

/* What inflate() still holds back when all of its input was taken. */
static int inflate_end(struct reading *r, struct error *err)
{
	uint8_t out[PIECE_BYTES];

	while (!r->zlib_ended) {
		r->zlib.next_in = NULL;
		r->zlib.avail_in = 0;
		r->zlib.next_out = out;
		r->zlib.avail_out = sizeof(out);
		int z = inflate(&r->zlib, Z_NO_FLUSH);

		if (z != Z_OK && z != Z_STREAM_END)
			return undecodable(err, "a zlib stream has no end");
		str_append_bytes(&item(r)->data, out, sizeof(out) - r->zlib.avail_out);
		r->zlib_ended = z == Z_STREAM_END;
	}
	return 0;
}

static int unzstd_chunk(struct reading *r, const void *data, size_t len, struct error *err)
{
	uint8_t out[PIECE_BYTES];
	ZSTD_inBuffer in = {data, len, 0};

	while (in.pos < in.size) {
		ZSTD_outBuffer to = {out, sizeof(out), 0};

		r->zstd_wants = ZSTD_decompressStream(r->zstd, &to, &in);
		if (ZSTD_isError(r->zstd_wants))
			return undecodable(err, ZSTD_getErrorName(r->zstd_wants));
		str_append_bytes(&item(r)->data, out, to.pos);
		if (r->zstd_wants > 0)
			continue;
		r->frames++;
		if (in.pos < in.size)
			return undecodable(err, "a chunk goes on behind the end of a frame");
	}
	return 0;
}

static int on_data(void *arg, const void *data, size_t len, struct error *err)
{
	struct reading *r = arg;

	if (r->compression == PG_ARCHIVE_GZIP)
		return inflate_chunk(r, data, len, err);
	if (r->compression == PG_ARCHIVE_ZSTD)
		return unzstd_chunk(r, data, len, err);
	str_append_bytes(&item(r)->data, data, len);
	return 0;
}

static int end_data(struct reading *r, struct error *err)
{
	if (r->compression == PG_ARCHIVE_GZIP)
		return inflate_end(r, err);
	if (r->compression == PG_ARCHIVE_ZSTD && (r->zstd_wants > 0 || r->frames == 0))
		return undecodable(err, "the last zstd frame has no end, or there is none");
	return 0;
}

static int on_blob_end(void *arg, struct error *err)
{
	return end_data(arg, err);
}

static int on_block_end(void *arg, struct error *err)
{
	struct reading *r = arg;

	return item(r)->blobs ? 0 : end_data(r, err);
}

/* The whole archive goes in at once, so that every chunk comes as one piece. */
static int read_all(struct reading *r, const void *data, size_t len, struct error *err)
{
	const struct pg_archive_events events = {
	        .entry = on_entry,
	        .toc_end = on_toc_end,
	        .block = on_block,
	        .blob = on_blob,
	        .data = on_data,
	        .blob_end = on_blob_end,
	        .block_end = on_block_end,
	        .arg = r,
	};
	struct pg_archive_scan *scan = pg_archive_scan_new(&events);
	int result = pg_archive_scan_feed(scan, data, len, err);

	if (result == 0)
		result = pg_archive_scan_end(scan, err);
	r->content->facts = *pg_archive_scan_facts(scan);
	pg_archive_scan_free(scan);
	return result;
}

int archive_read(const void *data, size_t len, bool decode, struct archive_content *ret, struct error *err)
{
	struct reading r = {.content = ret, .decode = decode, .zstd = ZSTD_createDStream()};
	int result;

	inflateInit(&r.zlib);
	result = read_all(&r, data, len, err);
	inflateEnd(&r.zlib);
	ZSTD_freeDStream(r.zstd);
	return result;
}

static bool item_equal(const struct archive_item *a, const struct archive_item *b)
{
	return a->dump_id == b->dump_id && a->blobs == b->blobs && a->oid == b->oid &&
	       a->data.len == b->data.len &&
	       (a->data.len == 0 || memcmp(a->data.data, b->data.data, a->data.len) == 0);
}

bool archive_content_equal(const struct archive_content *a, const struct archive_content *b)
{
	if (a->item_count != b->item_count || !str_equal(str_text(&a->entries), str_text(&b->entries)))
		return false;
	for (size_t i = 0; i < a->item_count; i++) {
		if (!item_equal(&a->items[i], &b->items[i]))
			return false;
	}
	return true;
}

struct places {
	const uint8_t *data;
	size_t len;
	bool right;
};

static uint64_t number_at(const uint8_t *p, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)p[i] << (8 * i);
	return value;
}

static int check_place(void *arg, const struct pg_archive_entry *e, struct error *err)
{
	struct places *p = arg;
	const uint8_t *place = p->data + e->place_at;

	if (!e->has_data)
		return 0;
	uint64_t offset = number_at(place + 1, p->data[9]); /* the header's size of offsets */
	bool right = *place == 2 && offset + 6 <= p->len && (p->data[offset] == 1 || p->data[offset] == 3) &&
	             p->data[offset + 1] == 0 && number_at(p->data + offset + 2, 4) == (uint64_t)e->dump_id;

	p->right = p->right && right;
	return 0;
}

bool archive_offsets_right(const void *data, size_t len)
{
	struct places places = {data, len, true};
	const struct pg_archive_events events = {.entry = check_place, .arg = &places};
	struct pg_archive_scan *scan = pg_archive_scan_new(&events);
	int r = pg_archive_scan_feed(scan, data, len, NULL);

	pg_archive_scan_free(scan);
	return r == 0 && places.right;
}

void archive_content_finish(struct archive_content *c)
{
	for (size_t i = 0; i < c->item_count; i++)
		str_finish(&c->items[i].data);
	free(c->items);
	str_finish(&c->entries);
}

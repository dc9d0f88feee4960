// SPDX-License-Identifier: Apache-2.0
/* The head is complete only when the last block was written: it goes before them at the end. */
#include "transcode.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/pg_archive_head.h>

#include <string.h>

#define ZSTD_MINOR 15

struct place {
	int dump_id;
	uint64_t at, offset;
};

struct transcoder {
	const struct transcode_options *options;
	struct str head_bytes;         /* all that came, until the head is known */
	struct pg_archive_facts facts; /* toc_end: 0 until then */
	struct place *places;
	size_t place_count;
	struct compression compression;
	struct compressor *compressor;
	struct pg_archive_writer *writer;
	struct str blocks;
	uint8_t *raw; /* of the present segment */
	size_t raw_bytes;
};

static int append(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static int on_entry(void *arg, const struct pg_archive_entry *e, struct error *err)
{
	struct transcoder *t = arg;

	if (!e->has_data)
		return 0;
	t->places = mem_resize(t->places, t->place_count + 1, sizeof(*t->places));
	t->places[t->place_count++] = (struct place){e->dump_id, e->place_at, 0};
	return 0;
}

static int on_toc_end(void *arg, const struct pg_archive_facts *facts, struct error *err)
{
	struct transcoder *t = arg;

	t->compression = t->options->compression;
	if (t->compression.method == COMPRESSION_ZSTD && facts->version_minor < ZSTD_MINOR)
		t->compression = (struct compression){COMPRESSION_GZIP, COMPRESSION_ISAL};
	t->facts = *facts;
	t->compressor = compressor_new(&t->compression, SEGMENT_CHECK_ADLER32);
	t->writer = pg_archive_writer_new(&(struct pg_archive_writer_options){
	        .compression = t->compression, .begin = facts->toc_end, .emit = append, .arg = &t->blocks});
	return 0;
}

static int on_block(void *arg, int dump_id, bool blobs, struct error *err)
{
	struct transcoder *t = arg;

	for (size_t i = 0; i < t->place_count; i++) {
		if (t->places[i].dump_id == dump_id)
			t->places[i].offset = pg_archive_writer_offset(t->writer);
	}
	return pg_archive_writer_block(t->writer, dump_id, blobs, err);
}

static int on_blob(void *arg, uint32_t oid, struct error *err)
{
	struct transcoder *t = arg;

	return pg_archive_writer_blob(t->writer, oid, err);
}

static int flush(struct transcoder *t, struct error *err)
{
	size_t bound = compressor_bound(&t->compression, t->raw_bytes);
	_cleanup(free) uint8_t *out = mem_alloc(bound);
	struct segment s;
	int r = t->raw_bytes == 0 ? 0
	                          : compressor_run(t->compressor, t->raw, t->raw_bytes, out, bound, &s, err);

	if (r < 0 || t->raw_bytes == 0)
		return r;
	t->raw_bytes = 0;
	return pg_archive_writer_segment(t->writer, &s, out, err);
}

static int on_data(void *arg, const void *data, size_t len, struct error *err)
{
	struct transcoder *t = arg;
	const uint8_t *p = data;
	int r = 0;

	while (len > 0 && r == 0) {
		size_t room = t->options->segment_bytes - t->raw_bytes;
		size_t n = len < room ? len : room;

		memcpy(t->raw + t->raw_bytes, p, n);
		t->raw_bytes += n;
		p += n;
		len -= n;
		if (t->raw_bytes == t->options->segment_bytes)
			r = flush(t, err);
	}
	return r;
}

static int on_blob_end(void *arg, struct error *err)
{
	struct transcoder *t = arg;
	int r = flush(t, err);

	return r < 0 ? r : pg_archive_writer_blob_end(t->writer, err);
}

static int on_block_end(void *arg, struct error *err)
{
	struct transcoder *t = arg;
	int r = flush(t, err);

	return r < 0 ? r : pg_archive_writer_block_end(t->writer, err);
}

static size_t next_piece(const struct transcode_options *options, uint64_t *seed)
{
	if (options->seed == 0)
		return options->piece_bytes;
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return 1 + (size_t)(*seed >> 33) % options->piece_bytes;
}

/* Each piece is a copy of its own: reading beyond one is noticed. */
static int feed(struct transcoder *t, struct pg_archive_scan *scan, const uint8_t *data, size_t len,
                struct error *err)
{
	uint64_t seed = t->options->seed;
	int r = 0;

	for (size_t at = 0, n = 0; at < len && r == 0; at += n) {
		n = next_piece(t->options, &seed);
		n = n < len - at ? n : len - at;
		_cleanup(free) uint8_t *piece = mem_alloc(n);

		memcpy(piece, data + at, n);
		if (t->facts.toc_end == 0)
			str_append_bytes(&t->head_bytes, piece, n);
		r = pg_archive_scan_feed(scan, piece, n, err);
	}
	return r == 0 ? pg_archive_scan_end(scan, err) : r;
}

static void finish(struct transcoder *t)
{
	str_finish(&t->head_bytes);
	str_finish(&t->blocks);
	pg_archive_writer_free(t->writer);
	compressor_free(t->compressor);
	free(t->places);
	free(t->raw);
}

static uint64_t offset_of(void *arg, uint64_t place_at)
{
	const struct transcoder *t = arg;

	for (size_t i = 0; i < t->place_count; i++)
		if (t->places[i].at == place_at)
			return t->places[i].offset;
	return 0;
}

struct head_out {
	struct transcoder *t;
	struct str *out;
};

static uint64_t offset_for_head(void *arg, uint64_t place_at)
{
	return offset_of(((struct head_out *)arg)->t, place_at);
}

static int append_head(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(((struct head_out *)arg)->out, data, len);
	return 0;
}

static int put_head(struct transcoder *t, struct str *out, struct error *err)
{
	struct head_out to = {t, out};
	const struct pg_archive_head_options options = {.facts = t->facts,
	                                                .compression = t->compression,
	                                                .offset = offset_for_head,
	                                                .emit = append_head,
	                                                .arg = &to};
	_cleanup(pg_archive_head) struct pg_archive_head *h = pg_archive_head_new(&options);
	size_t len = (size_t)t->facts.toc_end;
	int r = 0;

	for (size_t at = 0, n; r == 0 && at < len; at += n) {
		n = len - at < t->options->piece_bytes ? len - at : t->options->piece_bytes;
		r = pg_archive_head_feed(h, t->head_bytes.data + at, n, err);
	}
	return r;
}

int transcode(const void *data, size_t len, const struct transcode_options *options, struct str *out,
              struct error *err)
{
	struct transcoder t = {.options = options, .raw = mem_alloc(options->segment_bytes)};
	struct pg_archive_scan *scan =
	        pg_archive_scan_new(&(struct pg_archive_events){.entry = on_entry,
	                                                        .toc_end = on_toc_end,
	                                                        .block = on_block,
	                                                        .blob = on_blob,
	                                                        .data = on_data,
	                                                        .blob_end = on_blob_end,
	                                                        .block_end = on_block_end,
	                                                        .arg = &t});
	int r = feed(&t, scan, data, len, err);

	if (r == 0)
		r = put_head(&t, out, err);
	if (r == 0)
		str_append_bytes(out, t.blocks.data, t.blocks.len);
	pg_archive_scan_free(scan);
	finish(&t);
	return r;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * A part of a table: from a record of the segment index to another one. What is there is decompressed as it comes, and of that the rows of
 * the part are taken (restore_window_take()). The last of them ends in the segment behind the part, or, when it is a long one, in a later one:
 * so the part's segments are read together with the one behind them, and then one after the other until the row has ended.
 */
#include "restore_load_private.h"

#include <keepfs/catalog/entries.h>

#include <errno.h>

#define CHUNK_HEAD_BYTES 5 /* of the archive: a sign, and four bytes, the lowest first */

struct part {
	struct loader *loader;
	const struct restore_piece *piece;
	struct manifest_object object; /* of a directory's file */
	uint64_t file_bytes;           /* likewise */
	struct restore_window window;
	struct decompressor *decompressor; /* NULL: nothing is compressed */
	size_t skip;                       /* of the stream's first bytes: they are no segment's */
	/* Of the custom format. */
	uint8_t head[CHUNK_HEAD_BYTES];
	unsigned head_bytes;
	uint64_t chunk_left;
	bool block_ended;
};

static void cleanup_part(struct part *p)
{
	manifest_object_finish(&p->object);
	decompressor_free(p->decompressor);
}

static int take_part_rows(void *arg, const void *data, size_t len, struct error *err)
{
	struct part *p = arg;
	const char *own;
	size_t n = restore_window_take(&p->window, data, len, &own);
	int r = n > 0 ? loader_take_plain(p->loader, own, n, err) : 0;

	/* What is read ahead is not waited for. */
	return r == 0 && p->window.over ? -EXFULL : r;
}

static int take_part_segments(struct part *p, const uint8_t *data, size_t len, struct error *err)
{
	size_t skip = p->skip < len ? p->skip : len;

	p->skip -= skip;
	return p->decompressor ? decompressor_write(p->decompressor, data + skip, len - skip, err)
	                       : take_part_rows(p, data + skip, len - skip, err);
}

/* The next bytes of a chunk's length; returns how many were taken. */
static size_t take_chunk_head(struct part *p, const uint8_t *data, size_t len)
{
	size_t n = 0;

	while (n < len && p->head_bytes < CHUNK_HEAD_BYTES)
		p->head[p->head_bytes++] = data[n++];
	if (p->head_bytes < CHUNK_HEAD_BYTES)
		return n;
	p->head_bytes = 0;
	p->chunk_left = p->head[1] | (uint64_t)p->head[2] << 8 | (uint64_t)p->head[3] << 16 |
	                (uint64_t)p->head[4] << 24;
	p->block_ended = p->chunk_left == 0;
	return n;
}

static int take_part_chunks(void *arg, const void *data, size_t len, struct error *err)
{
	struct part *p = arg;
	const uint8_t *at = data;
	int r = 0;

	while (r == 0 && len > 0 && !p->block_ended) {
		size_t n = p->chunk_left < len ? (size_t)p->chunk_left : len;

		if (n > 0) {
			r = take_part_segments(p, at, n, err);
			p->chunk_left -= n;
		} else {
			n = take_chunk_head(p, at, len);
		}
		at += n;
		len -= n;
	}
	return r;
}

static int take_part_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	return take_part_segments(arg, data, len, err);
}

/* What is read. */

static uint64_t offset_of_record(const struct part *p, size_t record)
{
	const struct inside_toc *t = p->loader->options.data->toc;
	const struct inside_entry *e = &t->entries[p->piece->first];

	if (record < e->record + e->record_count)
		return t->segments.items[record].offset;
	return t->has_offsets ? e->end : p->file_bytes;
}

static int read_records(struct part *p, size_t from, size_t to, struct error *err)
{
	bool custom = p->loader->options.data->toc->has_offsets;
	const struct backup_range range = {
	        .object = custom ? &p->loader->object : &p->object,
	        .begin = offset_of_record(p, from),
	        .end = offset_of_record(p, to),
	        .take = custom ? take_part_chunks : take_part_bytes,
	        .arg = p,
	};
	int r = backup_read_range(&p->loader->backup, &range, err);

	return r == -EXFULL && p->window.over ? 0 : r;
}

static int check_part_ended(const struct part *p, struct error *err)
{
	bool last = p->piece->part + 1 == p->piece->parts;

	if (last && p->decompressor)
		return decompressor_finish(p->decompressor, err);
	return last || p->window.over
	               ? 0
	               : error_set(err, ERROR_CORRUPT, EBADMSG, "a row of a table is cut off at its end");
}

static int read_part(struct part *p, struct error *err)
{
	const struct restore_piece *piece = p->piece;
	const struct inside_entry *e = &p->loader->options.data->toc->entries[piece->first];
	size_t end = e->record + e->record_count, next = piece->to < end ? piece->to + 1 : end;
	int r = read_records(p, piece->from, next, err);

	for (; r == 0 && !p->window.over && next < end; next++)
		r = read_records(p, next, next + 1, err);
	return r < 0 ? r : check_part_ended(p, err);
}

/* How it begins. */

static int open_part_file(struct part *p, struct error *err)
{
	const struct loader *l = p->loader;
	const struct inside_toc *t = l->options.data->toc;
	_cleanup(inside_texts) struct inside_texts texts = {0};
	struct catalog_entry file;
	int r = inside_toc_texts(t, &t->entries[p->piece->first], &texts, err);

	if (r == 0)
		r = backup_find_data(&l->backup, texts.file_name, &file, err);
	if (r < 0)
		return r;
	p->file_bytes = file.size_bytes;
	return backup_object(&l->backup, file.ino, file.name, &p->object, err);
}

static void begin_part_stream(struct part *p)
{
	const struct decompressor_out out = {.write = take_part_rows, .arg = p};
	const struct inside_toc *t = p->loader->options.data->toc;
	enum pg_archive_compression compression = t->facts.compression;
	const struct restore_piece *piece = p->piece;

	p->window.begun = piece->part == 0;
	p->window.end = piece->part + 1 == piece->parts ? UINT64_MAX : piece->raw_bytes;
	if (compression == PG_ARCHIVE_GZIP)
		p->decompressor = decompressor_new_segments(COMPRESSION_GZIP, &out);
	else if (compression == PG_ARCHIVE_ZSTD)
		p->decompressor = decompressor_new_segments(COMPRESSION_ZSTD, &out);
	/* Of a directory the first record is behind the file's head. */
	if (compression == PG_ARCHIVE_GZIP && piece->part == 0 && t->has_offsets)
		p->skip = ZLIB_HEAD_BYTES;
}

int loader_load_part(struct loader *l, const struct restore_piece *piece, struct rows *ret, struct error *err)
{
	_cleanup(part) struct part p = {.loader = l, .piece = piece};
	int r = l->options.data->toc->has_offsets ? 0 : open_part_file(&p, err);

	if (r < 0)
		return r;
	begin_part_stream(&p);
	l->is_part = true;
	r = loader_begin_entry(l, &l->options.data->toc->entries[piece->first], err);
	if (r == 0)
		r = read_part(&p, err);
	return r < 0 ? r : loader_end_part(l, ret, err);
}

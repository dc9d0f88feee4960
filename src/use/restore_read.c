// SPDX-License-Identifier: Apache-2.0
/*
 * What a loader reads: a piece of an archive of the custom format, by its offsets, or the files of a directory.
 */
#include "restore_load_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/stream/readback.h>

#include <errno.h>
#include <string.h>

/* The custom format. */

static void begin_stream_of_entry(struct loader *l)
{
	const struct decompressor_out out = {.write = loader_take_plain, .arg = l};
	enum pg_archive_compression compression = l->options.data->toc->facts.compression;

	l->decompressor = decompressor_free(l->decompressor);
	if (compression == PG_ARCHIVE_GZIP)
		l->decompressor = decompressor_new_zlib(&out);
	else if (compression == PG_ARCHIVE_ZSTD)
		l->decompressor = decompressor_new(COMPRESSION_ZSTD, &out);
}

static int end_stream_of_entry(struct loader *l, struct error *err)
{
	return l->decompressor && l->entry->wanted ? decompressor_finish(l->decompressor, err) : 0;
}

static int load_block(void *arg, int dump_id, bool blobs, struct error *err)
{
	struct loader *l = arg;
	const struct inside_toc *t = l->options.data->toc;
	const struct inside_entry *e = l->next < t->count ? &t->entries[l->next] : NULL;

	if (!e || e->dump_id != dump_id || e->blobs != blobs)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the archive's block of entry %d is not where the table of contents says",
		                 dump_id);
	l->next++;
	if (!blobs)
		begin_stream_of_entry(l);
	return loader_begin_entry(l, e, err);
}

static int load_blob(void *arg, uint32_t oid, struct error *err)
{
	struct loader *l = arg;

	begin_stream_of_entry(l);
	return l->entry->wanted ? loader_begin_blob(l, oid, err) : 0;
}

static int load_chunk(void *arg, const void *data, size_t len, struct error *err)
{
	struct loader *l = arg;

	if (!l->entry->wanted)
		return 0;
	return l->decompressor ? decompressor_write(l->decompressor, data, len, err)
	                       : loader_take_plain(l, data, len, err);
}

static int load_blob_end(void *arg, struct error *err)
{
	struct loader *l = arg;
	int r = end_stream_of_entry(l, err);

	return r < 0 ? r : loader_write_blob(l, err);
}

static int load_block_end(void *arg, struct error *err)
{
	struct loader *l = arg;
	int r = l->entry->blobs ? 0 : end_stream_of_entry(l, err);

	return r < 0 ? r : loader_end_entry(l, err);
}

static int feed_piece(void *arg, const void *data, size_t len, struct error *err)
{
	return pg_archive_scan_feed(arg, data, len, err);
}

static int load_custom(struct loader *l, size_t first, size_t last, struct error *err)
{
	const struct inside_toc *t = l->options.data->toc;
	const struct backup_range range = {
	        .object = &l->object,
	        .begin = t->has_offsets ? t->entries[first].offset : t->facts.toc_end,
	        .end = t->has_offsets ? t->entries[last].end : t->object_bytes,
	        .take = feed_piece,
	        .arg = l->scan,
	};
	int r;

	l->next = first;
	r = backup_read_range(&l->backup, &range, err);
	if (r == 0 && l->next != last + 1)
		r = error_set(err, ERROR_CORRUPT, EBADMSG, "the archive ends before its last block");
	return r;
}

int loader_open_custom(struct loader *l, struct error *err)
{
	const struct pg_archive_events events = {
	        .block = load_block,
	        .blob = load_blob,
	        .data = load_chunk,
	        .blob_end = load_blob_end,
	        .block_end = load_block_end,
	        .arg = l,
	};
	int r = backup_object(&l->backup, l->backup.ino, l->backup.path, &l->object, err);

	if (r < 0)
		return r;
	l->scan = pg_archive_scan_new(&events);
	return inside_toc_feed(l->options.data->toc, l->scan, err);
}

/* The directory format. */

static int load_data_file(struct loader *l, const char *name, struct error *err)
{
	const struct backup_out out = {.write = loader_take_plain, .arg = l};
	struct catalog_entry file;
	int r = backup_find_data(&l->backup, name, &file, err);

	return r < 0 ? r : backup_read_plain(&l->backup, &file, &out, err);
}

static int keep_list_of_blobs(void *arg, const void *data, size_t len, struct error *err)
{
	return spool_put(arg, data, len, err);
}

static int load_listed_blob(void *arg, uint32_t oid, const char *name, struct error *err)
{
	struct loader *l = arg;
	int r = loader_begin_blob(l, oid, err);

	if (r == 0)
		r = load_data_file(l, name, err);
	return r < 0 ? r : loader_write_blob(l, err);
}

static int load_blob_files(struct loader *l, const char *name, struct error *err)
{
	_cleanup(spool) struct spool *list = spool_new(l->ctx.conf->state_dir);
	const struct backup_out out = {.write = keep_list_of_blobs, .arg = list};
	const struct backup_blobs blobs = {.each = load_listed_blob, .arg = l};
	struct catalog_entry file;
	int r = backup_find_data(&l->backup, name, &file, err);

	if (r == 0)
		r = backup_read_plain(&l->backup, &file, &out, err);
	return r < 0 ? r : backup_each_blob(list, &blobs, err);
}

static int load_directory_entry(struct loader *l, const struct inside_entry *e, struct error *err)
{
	_cleanup(inside_texts) struct inside_texts texts = {0};
	int r = inside_toc_texts(l->options.data->toc, e, &texts, err);

	if (r == 0)
		r = loader_begin_entry(l, e, err);
	if (r == 0)
		r = e->blobs ? load_blob_files(l, texts.file_name, err)
		             : load_data_file(l, texts.file_name, err);
	return r < 0 ? r : loader_end_entry(l, err);
}

int loader_load(struct loader *l, size_t first, size_t last, struct error *err)
{
	const struct inside_toc *t = l->options.data->toc;
	int r = 0;

	if (t->facts.format == PG_ARCHIVE_CUSTOM)
		return load_custom(l, first, last, err);
	for (size_t i = first; r == 0 && i <= last; i++)
		r = t->entries[i].wanted ? load_directory_entry(l, &t->entries[i], err) : 0;
	return r;
}

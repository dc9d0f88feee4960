// SPDX-License-Identifier: Apache-2.0
/* See keepfs/dump/counts.h. Each table, and each large object, is a stream of its own, whatever made it. */
#include <keepfs/dump/counts.h>

#include "contents.h"
#include "toc.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/decompression.h>

#include <errno.h>

struct archive_counts {
	struct toc_reader toc; /* first: the events have it for their argument */
	struct contents *contents;
	struct rows_scan *rows;
	struct decompressor *stream; /* NULL: none, or it is not compressed */
	struct content *content;     /* whose block it is */
	struct rows counted;         /* of that block */
	bool counts;                 /* once the table of contents was read */
};

/* What has commands in the place of rows has no COPY. */
static int ask_for_rows(struct archive_counts *c, bool *ret, struct error *err)
{
	*ret = true;
	for (size_t i = 0; *ret && i < c->contents->count; i++) {
		_cleanup(content_texts) struct content_texts texts = {0};
		const struct content *item = &c->contents->items[i];
		int r = item->blobs ? 0 : contents_texts(c->contents, item, &texts, err);

		if (r < 0)
			return r;
		*ret = item->blobs || *texts.copy_stmt;
	}
	return 0;
}

static int on_contents_complete(struct toc_reader *toc, struct error *err)
{
	struct archive_counts *c = (struct archive_counts *)toc;

	if (toc->toc.facts.compression == PG_ARCHIVE_LZ4)
		return 0;
	return ask_for_rows(c, &c->counts, err);
}

static int count_plain(void *arg, const void *data, size_t len, struct error *err)
{
	struct archive_counts *c = arg;

	if (c->content->blobs)
		c->counted.bytes += len;
	else
		rows_scan_feed(c->rows, data, len);
	return 0;
}

static void begin_counted_stream(struct archive_counts *c)
{
	const struct decompressor_out out = {.write = count_plain, .arg = c};
	const enum pg_archive_compression compression = c->toc.toc.facts.compression;

	c->stream = decompressor_free(c->stream);
	if (compression == PG_ARCHIVE_GZIP)
		c->stream = decompressor_new_zlib(&out);
	else if (compression == PG_ARCHIVE_ZSTD)
		c->stream = decompressor_new(COMPRESSION_ZSTD, &out);
}

static int on_counted_block(void *arg, int dump_id, bool blobs, struct error *err)
{
	struct archive_counts *c = arg;

	c->content = contents_find(c->contents, dump_id);
	c->counted = (struct rows){0};
	if (!c->content || c->content->blobs != blobs)
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "the archive has a block of %s (entry %d) that its table of contents does not name",
		        blobs ? "large objects" : "rows", dump_id);
	if (c->counts && !blobs)
		begin_counted_stream(c);
	return 0;
}

static int on_counted_blob(void *arg, uint32_t oid, struct error *err)
{
	struct archive_counts *c = arg;

	c->counted.count++;
	if (c->counts)
		begin_counted_stream(c);
	return 0;
}

static int on_counted_data(void *arg, const void *data, size_t len, struct error *err)
{
	struct archive_counts *c = arg;

	if (!c->counts)
		return 0;
	return c->stream ? decompressor_write(c->stream, data, len, err) : count_plain(c, data, len, err);
}

static int on_counted_blob_end(void *arg, struct error *err)
{
	struct archive_counts *c = arg;

	return c->counts && c->stream ? decompressor_finish(c->stream, err) : 0;
}

static int refuse_cut_row(const struct archive_counts *c, struct error *err)
{
	_cleanup(content_texts) struct content_texts texts = {0};
	int r = contents_texts(c->contents, c->content, &texts, err);

	return r < 0 ? r
	             : error_set(err, ERROR_CORRUPT, EBADMSG, "the data of %s.%s ends within a row",
	                         texts.schema, texts.table);
}

static int on_counted_block_end(void *arg, struct error *err)
{
	struct archive_counts *c = arg;
	int r = c->content->blobs ? 0 : on_counted_blob_end(c, err);

	if (r == 0 && c->counts && !c->content->blobs && !rows_scan_end(c->rows, &c->counted))
		r = refuse_cut_row(c, err);
	if (r == 0)
		contents_count_rows(c->contents, c->content, &c->counted);
	return r;
}

struct archive_counts *archive_counts_new(const char *directory)
{
	static const struct pg_archive_events events = {.block = on_counted_block,
	                                                .blob = on_counted_blob,
	                                                .data = on_counted_data,
	                                                .blob_end = on_counted_blob_end,
	                                                .block_end = on_counted_block_end};
	struct archive_counts *c = mem_alloc(sizeof(*c));

	c->contents = contents_new(directory);
	toc_reader_init(&c->toc, c->contents, directory, &events);
	c->toc.on_complete = on_contents_complete;
	c->rows = rows_scan_new();
	return c;
}

struct archive_counts *archive_counts_free(struct archive_counts *c)
{
	if (!c)
		return NULL;
	decompressor_free(c->stream);
	rows_scan_free(c->rows);
	toc_reader_finish(&c->toc);
	contents_free(c->contents);
	free(c);
	return NULL;
}

int archive_counts_feed(struct archive_counts *c, const void *data, size_t len, struct error *err)
{
	return toc_reader_feed(&c->toc, data, len, err);
}

int archive_counts_end(struct archive_counts *c, struct error *err)
{
	return pg_archive_scan_end(c->toc.scan, err);
}

const struct pg_archive_facts *archive_counts_facts(const struct archive_counts *c)
{
	return pg_archive_scan_facts(c->toc.scan);
}

int archive_counts_sum(const struct archive_counts *c, struct archive_sums *ret, struct error *err)
{
	struct rows totals;

	*ret = (struct archive_sums){.is_counted = c->counts};
	if (!c->counts)
		return 0;
	contents_totals(c->contents, &totals);
	ret->rows = totals.count;
	ret->bytes = totals.bytes;
	ret->tables = contents_table_count(c->contents);
	return contents_largest(c->contents, &ret->largest, err);
}

int archive_counts_write(const struct archive_counts *c,
                         int (*write)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                         struct error *err)
{
	return contents_write_csv(c->contents, write, arg, err);
}

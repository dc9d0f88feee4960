// SPDX-License-Identifier: Apache-2.0
/*
 * One connection: pg_dump reads and writes an archive without compression into a pipe; here it is parsed, its
 * rows are counted, and its data goes through the press. The table of contents comes first, and is kept:
 * nothing is opened in the store before it is complete.
 *
 * The end is checked thrice: pg_dump's exit status, the archive's own end at the end of a block, and every
 * entry with data having had its block. A stream that ends early fails one of them.
 */
#include "output.h"
#include "toc.h"

#include <keepfs/base/mem.h>

#include <errno.h>

struct transcode {
	struct toc_reader toc;
	struct sink sink;
	struct dump *dump;
	struct output *output;
	struct press *press;
	struct rows_scan *rows;
	struct content *content; /* whose block it is */
	struct rows counted;     /* of that block */
	bool unknown;            /* the archive has a version that is not known here */
};

static int open_transcode_press(struct transcode *t, struct error *err)
{
	const struct press_options options = {
	        .compression = t->dump->compression,
	        .check = output_check(t->dump),
	        .threads = make_press_threads(t->dump->ctx),
	        .pool = t->dump->ctx->pool,
	        .cancel = t->dump->order->cancel,
	        .out = output_ordered(t->output),
	};

	return press_new(&options, &t->press, err);
}

static int on_complete(struct toc_reader *toc, struct error *err)
{
	struct transcode *t = (struct transcode *)toc;
	int r;

	t->output = output_new(t->dump, toc->contents, toc_reader_take(toc));
	r = open_transcode_press(t, err);
	return r < 0 ? r : output_begin(t->output, err);
}

static int on_block(void *arg, int dump_id, bool blobs, struct error *err)
{
	struct transcode *t = arg;

	t->content = contents_find(t->toc.contents, dump_id);
	t->counted = (struct rows){0};
	if (!t->content || t->content->blobs != blobs)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the block of entry %d holds %s, which the table of contents does not say",
		                 dump_id, blobs ? "large objects" : "rows");
	return press_mark(t->press, MARK_BLOCK, (uint64_t)dump_id, err);
}

static int on_blob(void *arg, uint32_t oid, struct error *err)
{
	struct transcode *t = arg;

	t->counted.count++;
	return press_mark(t->press, MARK_BLOB, oid, err);
}

static int on_data(void *arg, const void *data, size_t len, struct error *err)
{
	struct transcode *t = arg;

	if (t->content->blobs)
		t->counted.bytes += len;
	else
		rows_scan_feed(t->rows, data, len);
	return press_write(t->press, data, len, err);
}

static int on_blob_end(void *arg, struct error *err)
{
	struct transcode *t = arg;

	return press_mark(t->press, MARK_BLOB_END, 0, err);
}

static int cut_within_row(const struct transcode *t, struct error *err)
{
	_cleanup(content_texts) struct content_texts texts = {0};
	int r = contents_texts(t->toc.contents, t->content, &texts, err);

	return r < 0 ? r
	             : error_set(err, ERROR_CORRUPT, EBADMSG, "the data of %s.%s ends within a row",
	                         texts.schema, texts.table);
}

static int on_block_end(void *arg, struct error *err)
{
	struct transcode *t = arg;

	if (!t->content->blobs && !rows_scan_end(t->rows, &t->counted))
		return cut_within_row(t, err);
	contents_count_rows(t->toc.contents, t->content, &t->counted);
	return press_mark(t->press, MARK_BLOCK_END, 0, err);
}

static int transcode_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct transcode *t = (struct transcode *)((char *)s - offsetof(struct transcode, sink));
	int r = draft_pace(t->dump->draft, len, err);

	if (r == 0)
		r = toc_reader_feed(&t->toc, data, len, err);
	t->unknown = r == -ENOTSUP && !t->output;
	return r;
}

static const struct sink_ops transcode_ops = {.write = transcode_write};

static int pump_pg_dump(struct transcode *t, struct proc *p, struct error *err)
{
	int r = stream_pump(proc_stdout(p), &t->sink, t->dump->order->cancel, NULL, err);

	if (r < 0)
		return r;
	/* pg_dump's own words first: they say why the archive is not whole. */
	r = child_wait(t->dump, p, err);
	if (r == 0)
		r = pg_archive_scan_end(t->toc.scan, err);
	if (r == 0)
		r = press_finish(t->press, err);
	return r < 0 ? r : output_finish(t->output, err);
}

static int run_pg_dump(struct transcode *t, struct error *err)
{
	_cleanup(arguments) struct arguments a = {0};
	_cleanup(proc) struct proc *p = NULL;
	int r;

	arguments_of_archive(t->dump, &a);
	r = child_start(t->dump, t->dump->program, &a, &p, err);
	return r < 0 ? r : pump_pg_dump(t, p, err);
}

int transcode_archive(struct dump *d, struct contents *contents, struct error *err)
{
	static const struct pg_archive_events events = {.block = on_block,
	                                                .blob = on_blob,
	                                                .data = on_data,
	                                                .blob_end = on_blob_end,
	                                                .block_end = on_block_end};
	struct transcode t = {.dump = d, .sink.ops = &transcode_ops};
	int r;

	toc_reader_init(&t.toc, contents, d->ctx->conf->state_dir, &events);
	t.toc.on_complete = on_complete;
	t.rows = rows_scan_new();
	r = run_pg_dump(&t, err);
	press_free(t.press);
	output_free(t.output);
	rows_scan_free(t.rows);
	toc_reader_finish(&t.toc);
	return r < 0 && t.unknown ? -ENOTSUP : r;
}

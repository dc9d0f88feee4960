// SPDX-License-Identifier: Apache-2.0
/* One custom archive with true offsets: data goes out as it comes, header and table of contents last. */
#include "output.h"

#include <keepfs/base/mem.h>

struct archive {
	struct output output;
	size_t next; /* whose offset was not asked for yet */
	struct pg_archive_writer *writer;
	struct stream_object *object;
};

static int emit_to_press(void *arg, const void *data, size_t len, struct error *err)
{
	struct archive *a = arg;

	return stream_object_write(a->object, data, len, err);
}

static int archive_begin(struct output *o, struct error *err)
{
	struct archive *a = (struct archive *)o;
	struct pg_archive_writer_options options = {
	        .compression = o->dump->compression, .emit = emit_to_press, .arg = a};
	size_t head_bytes = (size_t)o->toc.facts.toc_end;
	int r;

	options.begin = head_bytes;
	r = draft_open(o->dump->draft, NULL, head_bytes, &a->object, err);
	if (r == 0)
		a->writer = pg_archive_writer_new(&options);
	return r;
}

static int archive_segment(struct output *o, const struct segment *s, const void *data, struct error *err)
{
	return pg_archive_writer_segment(((struct archive *)o)->writer, s, data, err);
}

static uint64_t archive_offset(const struct output *o)
{
	return pg_archive_writer_offset(((const struct archive *)o)->writer);
}

static int begin_archive_block(struct archive *a, uint64_t dump_id, struct error *err)
{
	struct content *content;
	int r = output_block(&a->output, dump_id, err);

	if (r < 0)
		return r;
	content = a->output.content;
	content->offset = pg_archive_writer_offset(a->writer);
	return pg_archive_writer_block(a->writer, content->dump_id, content->blobs, err);
}

static int archive_mark(struct output *o, enum mark what, uint64_t value, struct error *err)
{
	struct archive *a = (struct archive *)o;

	switch (what) {
	case MARK_BLOCK:
		return begin_archive_block(a, value, err);
	case MARK_BLOB:
		return pg_archive_writer_blob(a->writer, (uint32_t)value, err);
	case MARK_BLOB_END:
		return pg_archive_writer_blob_end(a->writer, err);
	default:
		output_block_end(o);
		return pg_archive_writer_block_end(a->writer, err);
	}
}

/* Both go through the table of contents in its order. */
static uint64_t offset_of_entry(void *arg, uint64_t place_at)
{
	struct archive *a = arg;
	const struct contents *c = a->output.contents;

	if (a->next == c->count || c->items[a->next].place_at != place_at)
		return 0;
	return c->items[a->next++].offset;
}

static int emit_head(void *arg, const void *data, size_t len, struct error *err)
{
	return stream_object_head(((struct archive *)arg)->object, data, len, err);
}

static int archive_finish(struct output *o, struct error *err)
{
	struct archive *a = (struct archive *)o;
	const struct pg_archive_head_options head = {
	        .compression = o->dump->compression, .offset = offset_of_entry, .emit = emit_head, .arg = a};
	int r = toc_write(&o->toc, &head, err);

	return r < 0 ? r : draft_finish(o->dump->draft, NULL, a->object, NULL, err);
}

static void archive_free(struct output *o)
{
	struct archive *a = (struct archive *)o;

	pg_archive_writer_free(a->writer);
	stream_object_free(a->object);
	free(a);
}

static const struct output_ops archive_ops = {
        .begin = archive_begin,
        .segment = archive_segment,
        .offset = archive_offset,
        .mark = archive_mark,
        .finish = archive_finish,
        .free = archive_free,
};

struct output *archive_new(void)
{
	struct archive *a = mem_alloc(sizeof(*a));

	a->output.ops = &archive_ops;
	return &a->output;
}

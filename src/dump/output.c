// SPDX-License-Identifier: Apache-2.0
/* What both kinds of output share. An entry is begun once, and none is left out: neither is left to the
 * makers. */
#include "output.h"

#include <keepfs/base/mem.h>

#include <errno.h>

struct output *output_new(struct dump *d, struct contents *contents, struct toc toc)
{
	struct output *o = d->conf->format == CONF_FORMAT_DIRECTORY ? directory_new() : archive_new();

	o->dump = d;
	o->contents = contents;
	o->toc = toc;
	return o;
}

struct output *output_free(struct output *o)
{
	struct toc toc;

	if (!o)
		return NULL;
	toc = o->toc;
	o->ops->free(o);
	toc_finish(&toc);
	return NULL;
}

enum segment_check output_check(const struct dump *d)
{
	if (d->compression.method != COMPRESSION_GZIP)
		return SEGMENT_CHECK_NONE;
	/* zlib streams in an archive, gzip files in a directory. */
	return d->conf->format == CONF_FORMAT_CUSTOM ? SEGMENT_CHECK_ADLER32 : SEGMENT_CHECK_CRC32;
}

int output_begin(struct output *o, struct error *err)
{
	return o->ops->begin(o, err);
}

static int take_output_segment(void *arg, const struct segment *s, const void *data, struct error *err)
{
	struct output *o = arg;
	const struct segment_record record = {.entry = o->content ? (uint32_t)o->content->dump_id : 0,
	                                      .oid = o->oid,
	                                      .offset = o->ops->offset(o),
	                                      .raw_bytes = (uint32_t)s->raw_bytes,
	                                      .lines = s->lines};

	segment_index_add(&o->contents->index, &record, SEGMENT_INDEX_MAX);
	return o->ops->segment(o, s, data, err);
}

static int take_mark(void *arg, int what, uint64_t value, struct error *err)
{
	struct output *o = arg;

	o->oid = what == MARK_BLOB ? (uint32_t)value : 0;
	return o->ops->mark(o, (enum mark)what, value, err);
}

struct ordered_out output_ordered(struct output *o)
{
	return (struct ordered_out){.segment = take_output_segment, .mark = take_mark, .arg = o};
}

int output_block(struct output *o, uint64_t dump_id, struct error *err)
{
	struct content *content = contents_find(o->contents, (int)dump_id);

	if (o->content)
		return error_set(err, ERROR_INTERNAL, EBADMSG,
		                 "entry %llu of the archive came within entry %d",
		                 (unsigned long long)dump_id, o->content->dump_id);
	if (!content || content->begun)
		return error_set(err, ERROR_INTERNAL, EBADMSG, "entry %llu of the archive %s",
		                 (unsigned long long)dump_id,
		                 content ? "came twice" : "is not in its table of contents");
	content->begun = true;
	o->content = content;
	return 0;
}

void output_block_end(struct output *o)
{
	if (o->content)
		o->content->ended = true;
	o->content = NULL;
}

int output_finish(struct output *o, struct error *err)
{
	int r = contents_check(o->contents, err);

	return r < 0 ? r : o->ops->finish(o, err);
}

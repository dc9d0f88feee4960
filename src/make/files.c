// SPDX-License-Identifier: Apache-2.0
/*
 * What a dump puts into the store: the artifact's own object, its further files, and the files of which a
 * directory consists. Each is entered in the manifest when it is complete, and completed only while the name
 * is still free.
 */
#include "dump.h"

#include <keepfs/artifact.h>
#include <keepfs/base/mem.h>

#include <string.h>

int dump_open_object(const struct dump *d, const char *key, size_t head_bytes,
                     struct stream_object **ret_object, struct error *err)
{
	const struct conf_store *store = &d->ctx->conf->store;
	struct make_progress *progress = d->order->progress;
	const struct stream_object_options options = {
	        .store = d->ctx->store,
	        .pool = d->ctx->pool,
	        .key = key,
	        .part_bytes = store->part_bytes,
	        .max_parts = store->max_parts > 0 ? (unsigned)store->max_parts : 0,
	        .head_bytes = head_bytes,
	        .cancel = d->order->cancel,
	        .sent_bytes = progress ? &progress->sent_bytes : NULL,
	};

	return stream_object_new(&options, ret_object, err);
}

int dump_check_free(const struct dump *d, struct error *err)
{
	return artifact_check_free(d->ctx->store, d->ctx->catalog, d->path, d->order->cancel, err);
}

int dump_finish_object(struct dump *d, struct stream_object *object, const void *head, struct error *err)
{
	struct stream_facts facts = {0};
	int r = dump_check_free(d, err);

	if (r == 0)
		r = stream_object_finish(object, head, &facts, err);
	if (r < 0)
		return r;
	d->m.size_bytes = d->m.stored_bytes = facts.bytes;
	d->m.extents = facts.extents;
	d->m.extents_count = facts.extents.count;
	d->extents += facts.extents.count;
	str_copy(d->m.sha256, sizeof(d->m.sha256), facts.sha256);
	return 0;
}

void dump_note_file(struct dump *d, const char *name, struct stream_facts *facts)
{
	struct manifest_file *file = manifest_add_file(&d->m, name);

	/* All tables are in memory until they are published: thousands of files are not to have as many
	 * extents each as one file may have. */
	extents_limit(&facts->extents, d->extents < EXTENTS_MAX ? EXTENTS_MAX - d->extents : 0);
	d->extents += facts->extents.count;
	file->size_bytes = facts->bytes;
	file->extents = facts->extents;
	file->extents_count = facts->extents.count;
	str_copy(file->sha256, sizeof(file->sha256), facts->sha256);
	facts->extents = (struct extents){0};
}

int dump_finish_file(struct dump *d, const char *name, struct stream_object *object, struct error *err)
{
	struct stream_facts facts = {0};
	int r = dump_check_free(d, err);

	if (r == 0)
		r = stream_object_finish(object, NULL, &facts, err);
	if (r == 0)
		dump_note_file(d, name, &facts);
	return r;
}

int dump_put_file(struct dump *d, const char *name, const void *data, size_t len, struct error *err)
{
	_cleanup(stream_object) struct stream_object *object = NULL;
	_cleanup(free) char *key = dump_file_key(d, name);
	int r = dump_open_object(d, key, 0, &object, err);

	if (r == 0)
		r = stream_object_write(object, data, len, err);
	return r < 0 ? r : dump_finish_file(d, name, object, err);
}

char *dump_file_name(const struct dump *d, const char *what)
{
	_cleanup(free) char *stem = manifest_stem(d->path);

	return d->m.is_directory ? mem_strdup(what) : mem_printf("%s.%s", strrchr(stem, '/') + 1, what);
}

char *dump_file_key(const struct dump *d, const char *name)
{
	const char *slash = strrchr(d->path, '/');

	if (d->m.is_directory)
		return mem_printf("%s/%s", d->path, name);
	return mem_printf("%.*s/%s", (int)(slash - d->path), d->path, name);
}

/* Files of segments. */

int segment_file_begin(struct segment_file *f, struct stream_object *object, bool gzip, struct error *err)
{
	uint8_t head[GZIP_HEAD_BYTES];

	*f = (struct segment_file){
	        .object = object, .gzip = gzip, .check = segment_check_empty(SEGMENT_CHECK_CRC32)};
	if (!gzip)
		return 0;
	gzip_head(head);
	return stream_object_write(f->object, head, sizeof(head), err);
}

int segment_file_add(struct segment_file *f, const struct segment *s, const void *data, struct error *err)
{
	f->check = segment_check_join(SEGMENT_CHECK_CRC32, f->check, s->check, s->raw_bytes);
	f->raw_bytes += s->raw_bytes;
	return stream_object_write(f->object, data, s->bytes, err);
}

int segment_file_end(struct segment_file *f, struct error *err)
{
	uint8_t tail[GZIP_TAIL_BYTES];

	if (!f->gzip)
		return 0;
	gzip_tail(f->check, f->raw_bytes, tail);
	return stream_object_write(f->object, tail, sizeof(tail), err);
}

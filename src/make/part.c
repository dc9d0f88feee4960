// SPDX-License-Identifier: Apache-2.0
/*
 * A draft that is a part of another one. Its path is one below the whole's, so that the names and keys of its files are those of an artifact that lies
 * there. What the whole has reserved covers all that is below its own path: whatever happens, that is what is cleared up.
 */
#include "draft_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/listing.h>

#include <errno.h>
#include <string.h>

int draft_new_part(const struct draft_options *options, struct draft **ret_draft, struct error *err)
{
	const struct make_order *order = options->order;
	struct draft *whole = order->whole, *d;
	char *path = mem_printf("%s/%s%s", whole->m.path, order->part, options->suffix);

	if (manifest_part(&whole->m, path + strlen(whole->m.path) + 1) >= 0) {
		error_set(err, ERROR_INTERNAL, EEXIST, "%s: two parts would have this name", path);
		free(path);
		return -EEXIST;
	}
	d = mem_alloc(sizeof(*d));
	d->whole = whole;
	d->ctx = options->ctx;
	d->order = order;
	d->pool = options->ctx->pool;
	d->store = whole->store;
	d->recipients = whole->recipients;
	d->extents = whole->extents;
	d->started_mono_us = clock_mono_us();
	pthread_mutex_init(&d->secrets_lock, NULL);
	d->rate = order->rate ? order->rate : rate_new(order->job->max_rate_bytes);
	draft_describe(d, options, path);
	*ret_draft = d;
	return 0;
}

static const char *draft_name_in_whole(const struct draft *d)
{
	return d->m.path + strlen(d->whole->m.path) + 1;
}

/* What lies beside manifests belongs to one artifact there; below a directory everything is its own. Listings lie beside the manifest of the whole. */
char *draft_part_object_key(const struct draft *part, const char *key)
{
	return mem_strdup(manifest_is_beside(key, part->whole->m.path) ? key : key + strlen("manifests/"));
}

char *draft_contents_key(const struct draft *d)
{
	return d->whole ? manifest_contents_key(d->whole->m.path, draft_name_in_whole(d))
	                : manifest_contents_key(d->m.path, NULL);
}

char *draft_contents_index_key(const struct draft *d)
{
	return d->whole ? manifest_contents_index_key(d->whole->m.path, draft_name_in_whole(d))
	                : manifest_contents_index_key(d->m.path, NULL);
}

static void move_objects(struct manifest *to, struct manifest *from)
{
	for (size_t i = 0; i < from->object_count; i++) {
		struct manifest_object *o = &from->objects[i];
		size_t index = manifest_add_object(to, o->key);

		free(o->key);
		o->key = to->objects[index].key;
		to->objects[index] = *o;
		*o = (struct manifest_object){0};
	}
	from->object_count = 0;
}

/* Names of files are seen from the directory of the whole. */
static void move_files(struct draft *d, size_t first_object)
{
	struct manifest *to = &d->whole->m;
	size_t skipped = strlen(to->path) + 1;

	for (size_t i = 0; i < d->m.file_count; i++) {
		const struct manifest_file *f = &d->m.files[i];
		_cleanup(free) char *path = manifest_file_path(&d->m, f);
		struct manifest_file *added = manifest_add_file(to, path + skipped);

		added->size_bytes = f->size_bytes;
		str_copy(added->sha256, sizeof(added->sha256), f->sha256);
		added->secret = f->secret;
		if (f->object != MANIFEST_NO_OBJECT)
			added->object = f->object + first_object;
	}
}

static void describe_part(struct draft *d, struct manifest_part *part)
{
	part->job = mem_strdup(d->m.job);
	part->kind = mem_strdup(d->m.kind);
	part->target = mem_strdup(d->m.target);
	part->class = mem_strdup(d->m.class);
	part->is_directory = d->m.is_directory;
	part->started_at_us = d->m.started_at_us;
	part->finished_at_us = d->m.finished_at_us;
	part->size_bytes = d->m.size_bytes;
	str_copy(part->sha256, sizeof(part->sha256), d->m.sha256);
	part->facts = take_ptr(&d->m.facts);
}

/* Each mirror has packs of its own, in directories of its own. */
static void move_needs(struct manifest *to, struct manifest *from)
{
	if (!from->needs)
		return;
	to->needs = to->needs ? to->needs : json_object_new();
	for (const char *key = json_first_key(from->needs); key; key = json_next_key(from->needs, key))
		json_set(to->needs, key, json_clone(json_get(from->needs, key)));
}

/* Those that no file of the manifest has: they are in its listing. */
static uint64_t listed_bytes(const struct manifest *m)
{
	uint64_t bytes = m->is_directory ? m->size_bytes : 0;

	for (size_t i = 0; m->is_directory && i < m->file_count; i++)
		bytes -= m->files[i].size_bytes;
	return bytes;
}

int draft_add_sum(struct draft *d, const char *sha256, const char *name, struct error *err)
{
	_cleanup(free) char *within = mem_printf("%s/%s", draft_name_in_whole(d), name);
	_cleanup(str) struct str line = {0};

	if (!d->whole->sums)
		d->whole->sums = spool_new(d->ctx->conf->state_dir);
	listing_append_sum(&line, sha256, within);
	return spool_put(d->whole->sums, line.data, line.len, err);
}

int draft_join(struct draft *d, struct error *err)
{
	struct draft *whole = d->whole;
	struct manifest *to = &whole->m;
	struct manifest_part *part;

	if (to->file_count + d->m.file_count > MANIFEST_FILES_MAX)
		return error_set(
		        err, ERROR_USAGE, EFBIG,
		        "%s: together with the other parts it has more than %d files: make dumps that are one file each",
		        d->m.path, MANIFEST_FILES_MAX);
	draft_say_done(d);
	part = manifest_add_part(to, draft_name_in_whole(d));
	describe_part(d, part);
	to->size_bytes += listed_bytes(&d->m);
	part->first_file = to->file_count;
	part->file_count = d->m.file_count;
	part->first_object = to->object_count;
	part->object_count = d->m.object_count;
	move_files(d, part->first_object);
	move_objects(to, &d->m);
	move_needs(to, &d->m);
	whole->extents = d->extents;
	whole->read_objects = to->object_count;
	d->published = true;
	return 0;
}

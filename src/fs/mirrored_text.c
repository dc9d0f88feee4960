// SPDX-License-Identifier: Apache-2.0
/*
 * What is in the directory of a state beside its objects: SHA256SUMS, made of the listing as it is read; an object with that name comes before it. Where this host cannot decrypt the state there is nothing
 * else but the listing and its index, as they are stored.
 */
#include "dir.h"
#include "handle.h"
#include "inside.h"
#include "later.h"
#include "lookers.h"
#include "made_file.h"
#include "mirrored.h"
#include "text.h"

#include <keepfs/artifact/sealed.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/inside.h>

#include <errno.h>
#include <string.h>

#define SEALED_LISTING "contents.zst" MANIFEST_SEALED_SUFFIX
#define SEALED_INDEX   "contents.index" MANIFEST_SEALED_SUFFIX

static const char *const sealed_names[] = {SEALED_LISTING, SEALED_INDEX};

static int append_sum(void *arg, const struct mirror_item *item, struct error *err)
{
	_cleanup(str) struct str line = {0};

	listing_append_sum(&line, item->entry.sha256, item->path);
	return spool_put(arg, line.data, line.len, err);
}

static int write_state_sums(struct fs *fs, const struct node *node, struct spool *out)
{
	const struct mirror_each each = {.item = append_sum, .arg = out};
	_cleanup(mirrored) struct mirrored *m = NULL;
	struct error err = {0};
	int r = mirrored_open(fs, node->entry.ino, node->cancel, &m, &err);

	if (r == 0 && m->count > 0)
		r = mirror_tree_each(m->trees[0].tree, node->cancel, &each, &err);
	return r < 0 ? mirrored_failed(fs, node, r, &err) : 0;
}

static const struct made_file state_sums = {
        .name = SUMS_NAME, .write = write_state_sums, .generation = text_constant};

static void node_beside(const struct node *like, uint64_t ino, struct node *ret)
{
	*ret = (struct node){.ino = ino,
	                     .entry = like->entry,
	                     .bytes = INSIDE_NOT_KNOWN,
	                     .mtime_us = like->entry.mtime_us,
	                     .cancel = like->cancel,
	                     .in_haste = like->in_haste};
}

int mirrored_text_load(uint64_t part, struct node *ret)
{
	if (part == MIRRORED_SUMS) {
		ret->class = &class_mirrored_sums;
		ret->file = &state_sums;
		return 0;
	}
	if (part != MIRRORED_OBJECTS && part != MIRRORED_OBJECTS + 1)
		return -ENOENT;
	ret->class = &class_mirrored_object;
	return 0;
}

/* What is shown at position @i: 0 with its name, or -ENOENT. */
static int beside_at(const struct mirrored *m, const struct node *state, unsigned i, const char **ret_name,
                     struct node *ret)
{
	if (i > ARRAY_SIZE(sealed_names) || m->is_locked != (i > 0))
		return -ENOENT;
	/* Of the files of a base nobody knows the SHA-256. */
	if (m->count > 0 && mirrored_is_base(&m->trees[0]))
		return -ENOENT;
	node_beside(state, ino_of_mirrored(m->number, i == 0 ? MIRRORED_SUMS : MIRRORED_OBJECTS + i - 1),
	            ret);
	if (i > 0)
		ret->bytes = m->stored_bytes[i - 1];
	*ret_name = i == 0 ? SUMS_NAME : sealed_names[i - 1];
	return mirrored_text_load(mirrored_part_of(ret), ret);
}

int mirrored_text_child(const struct mirrored *m, const struct node *state, const char *name,
                        struct node *ret)
{
	for (unsigned i = 0; i <= ARRAY_SIZE(sealed_names); i++) {
		const char *shown;
		struct node node;

		if (beside_at(m, state, i, &shown, &node) == 0 && strcmp(shown, name) == 0) {
			*ret = node;
			return 0;
		}
	}
	return -ENOENT;
}

/* An object of that name is listed in its place. */
static bool is_an_object(const struct mirrored *m, const struct node *state, const char *name)
{
	_cleanup(mirror_item) struct mirror_item item = {0};
	struct error err = {0};

	return m->count > 0 && mirror_tree_find(m->trees[0].tree, state->cancel, "", name, &item, &err) == 1;
}

bool mirrored_text_list(const struct mirrored *m, const struct node *state, off_t after, struct listing *l)
{
	for (unsigned i = listing_position(after); i <= ARRAY_SIZE(sealed_names); i++) {
		const char *name;
		struct node node;

		if (beside_at(m, state, i, &name, &node) == 0 && !is_an_object(m, state, name) &&
		    !listing_add(l, name, &node, OFFSET_FIXED + (off_t)i))
			return false;
	}
	return true;
}

/* Opening, by a worker. */

struct opening_mirrored {
	struct later later;
	struct node node;
	struct fuse_file_info fi;
	struct catalog_audit reader;
	mirrored_make_fn *make;
};

static void open_mirrored(void *arg)
{
	struct opening_mirrored *o = arg;
	struct fs *fs = o->later.fs;
	struct handle *h = NULL;
	struct error err = {0};
	int r = o->make(fs, &o->node, &o->reader, &h, &err);

	if (r == -EAGAIN && o->node.in_haste) {
		o->node.in_haste = false;
		lookers_add(fs->long_lookers, o->node.entry.ino, open_mirrored, o);
		return;
	}
	if (!later_claim(&o->later)) {
		if (h)
			handle_free(h);
	} else if (r < 0) {
		fuse_reply_err(o->later.pending.req, r == -ECANCELED ? EINTR : -r);
	} else {
		reply_open(o->later.pending.req, h, &o->fi);
	}
	later_end(&o->later);
	free(o);
}

int mirrored_open_later(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                        mirrored_make_fn *make)
{
	struct fs *fs = fs_of(req);
	struct opening_mirrored *o = mem_alloc(sizeof(*o));

	o->node = *node;
	o->node.cancel = &o->later.cancel;
	o->node.in_haste = true;
	o->fi = *fi;
	o->make = make;
	caller_of(req, &o->reader);
	if (later_begin(&o->later, fs, req))
		lookers_add(fs->lookers, node->entry.ino, open_mirrored, o);
	else
		free(o);
	return OPENED_LATER;
}

/* SHA256SUMS. All of the listing is read to make it, so not in haste; how long it is is remembered. */

static int open_sums(struct fs *fs, const struct node *node, struct text **ret)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	uint32_t number = (uint32_t)(node->ino / MIRROR_NUMBERS);
	struct error kept = {0};
	uint64_t bytes;
	int r;

	if (node->in_haste)
		return -EAGAIN;
	r = text_open(fs, node, ret);
	if (r == 0 && catalog_inside_bytes(catalog, number, MIRRORED_SUMS, &bytes) < 0 &&
	    catalog_set_inside_bytes(catalog, number, MIRRORED_SUMS, text_bytes(*ret), &kept) < 0)
		log_warning("the size of a SHA256SUMS could not be remembered: %s", kept.message);
	return r;
}

static int state_sums_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	_cleanup(text) struct text *text = NULL;
	uint64_t bytes;
	int r = catalog_inside_bytes(fs->ctx.repository->catalog, (uint32_t)(node->ino / MIRROR_NUMBERS),
	                             MIRRORED_SUMS, &bytes);

	if (r < 0)
		r = open_sums(fs, node, &text);
	if (r < 0)
		return r;
	st->st_mode |= file_permissions(fs, node) & 0444;
	st->st_size = (off_t)(text ? text_bytes(text) : bytes);
	*mtime_us = node->entry.mtime_us;
	return 0;
}

static int make_sums_handle(struct fs *fs, const struct node *node, const struct catalog_audit *reader,
                            struct handle **ret, struct error *err)
{
	struct text *text = NULL;
	int r = open_sums(fs, node, &text);

	(void)reader;
	(void)err;
	if (r == 0)
		*ret = text_handle_new(fs, node, text, NULL);
	return r;
}

static int state_sums_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                           struct handle **ret_handle, struct error *err)
{
	return mirrored_open_later(req, node, fi, make_sums_handle);
}

const struct node_class class_mirrored_sums = {
        .type = S_IFREG,
        .name_s = ATTR_FOREVER_S,
        .waits = true,
        .stat_is_costly = true,
        .stat = state_sums_stat,
        .open = state_sums_open,
        .why_kept = mirrored_why_kept,
};

/* As they are stored. */

static int stored_object_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	_cleanup(mirrored) struct mirrored *m = NULL;
	struct error err = {0};
	uint64_t bytes = node->bytes;
	int r = 0;

	if (bytes == INSIDE_NOT_KNOWN)
		r = mirrored_open(fs, node->entry.ino, node->cancel, &m, &err);
	if (r < 0)
		return mirrored_failed(fs, node, r, &err);
	if (m)
		bytes = m->stored_bytes[mirrored_part_of(node) - MIRRORED_OBJECTS];
	st->st_mode |= file_permissions(fs, node);
	st->st_size = (off_t)bytes;
	*mtime_us = node->entry.mtime_us;
	return 0;
}

static int open_stored_object(struct fs *fs, const struct node *node, const struct catalog_audit *reader,
                              struct handle **ret, struct error *err)
{
	unsigned which = (unsigned)(mirrored_part_of(node) - MIRRORED_OBJECTS);
	_cleanup(free) char *path = mirrored_path_of(fs, node->entry.ino), *shown = NULL;
	_cleanup(manifest_object) struct manifest_object object = {0};
	struct artifact_part part = {0};
	struct reader_what what;
	struct store *store = NULL;
	int r = path ? mirrored_object(fs, node->entry.ino, which, node->cancel, &object, &store, err)
	             : -ENOENT;

	if (r < 0)
		return r;
	shown = mem_printf("%s/%s", path, sealed_names[which]);
	part = (struct artifact_part){
	        .path = shown, .artifact_ino = node->entry.ino, .bytes = object.extents.total_bytes};
	what = (struct reader_what){.store = store,
	                            .ino = node->ino,
	                            .key = object.key,
	                            .extents = &object.extents,
	                            .sha256 = object.stored_sha256,
	                            .stored_sha256 = object.stored_sha256};
	return artifact_part_open(fs, node, &what, &part, reader, ret, err);
}

static int make_object_handle(struct fs *fs, const struct node *node, const struct catalog_audit *reader,
                              struct handle **ret, struct error *err)
{
	int r = open_stored_object(fs, node, reader, ret, err);

	return r < 0 ? mirrored_failed(fs, node, r, err) : 0;
}

static int stored_object_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                              struct handle **ret_handle, struct error *err)
{
	return mirrored_open_later(req, node, fi, make_object_handle);
}

const struct node_class class_mirrored_object = {
        .type = S_IFREG,
        .name_s = ATTR_FOREVER_S,
        .waits = true,
        .stat = stored_object_stat,
        .open = stored_object_open,
        .why_kept = mirrored_why_kept,
};

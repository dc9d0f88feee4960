// SPDX-License-Identifier: Apache-2.0
/* See copies.h. */
#include "copies.h"

#include "dir.h"
#include "fs_private.h"
#include "handle.h"
#include "later.h"
#include "lookers.h"
#include "made_file.h"
#include "mirrored.h"
#include "sealed.h"
#include "text.h"
#include "xattr.h"

#include <keepfs/artifact/sealed.h>
#include <keepfs/artifact/stored.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/copy_tree.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/replica.h>
#include <keepfs/stores.h>

#include <errno.h>
#include <string.h>

#define BITS_COPY    (UINT64_C(5) << 58)
#define BITS_ABOVE   (~((UINT64_C(1) << 58) - 1))
#define BIT_MADE     UINT64_C(1) /* SHA256SUMS of that directory */
#define PAGE_ENTRIES 256

bool copies_have(uint64_t ino)
{
	return (ino & BITS_ABOVE) == BITS_COPY;
}

static struct catalog *copies_catalog(struct fs *fs)
{
	return fs->ctx.repository->catalog;
}

/* What is made up: in a directory that has artifacts. */

static void write_copy_sum(void *arg, const char *line)
{
	spool_appendf(arg, "%s\n", line);
}

static int write_copy_sums(struct fs *fs, const struct node *node, struct spool *out)
{
	int r = catalog_copy_sums(copies_catalog(fs), node->entry.ino, fs->is_locked, write_copy_sum, out);

	return r < 0 ? r : spool_error(out);
}

static const struct made_file copy_sums_file = {
        .name = SUMS_NAME, .write = write_copy_sums, .generation = text_by_catalog};

static int copy_sums_load(struct fs *fs, uint64_t directory_ino, struct node *ret)
{
	*ret = (struct node){
	        .ino = directory_ino | BIT_MADE, .class = &class_copies_sums, .file = &copy_sums_file};
	if (!catalog_copy_has_sums(copies_catalog(fs), directory_ino))
		return -ENOENT;
	return catalog_copy_entry(copies_catalog(fs), directory_ino, &ret->entry);
}

static const struct node_class *class_of_copy(const struct catalog_entry *entry)
{
	if (!entry->is_directory)
		return &class_copies_file;
	if (entry->has_listing)
		return is_state_of_mirror(entry) ? &class_copied_state : &class_copied_beside;
	return &class_copies_directory;
}

static void node_of_copy(struct fs *fs, const struct catalog_entry *entry, struct node *ret)
{
	*ret = (struct node){.ino = entry->ino, .class = class_of_copy(entry), .entry = *entry};
	sealed_show(fs, false, &ret->entry);
}

int copies_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	struct catalog_entry entry;
	int r;

	if (ino == INO_COPIES) {
		*ret = (struct node){.ino = ino, .class = &class_copies};
		return 0;
	}
	if (ino & BIT_MADE)
		return copy_sums_load(fs, ino & ~BIT_MADE, ret);
	r = catalog_copy_entry(copies_catalog(fs), ino, &entry);
	if (r == 0)
		node_of_copy(fs, &entry, ret);
	return r;
}

/* copies/ itself: the sections of the configuration that have any. */

static int copies_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	uint64_t store;
	int r = catalog_copy_tree_of(copies_catalog(fs), name, &store);

	return r < 0 ? r : copies_load(fs, copy_tree_ino(store, ""), ret);
}

static int copies_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	const struct conf *conf = fs_conf_ref(fs);
	size_t from = after >= OFFSET_NUMBERED ? (size_t)(after - OFFSET_NUMBERED) + 1 : 0;

	for (size_t i = from; i < conf->store_count; i++) {
		struct node node;

		if (copies_lookup(fs, directory, conf->stores[i].name, &node) == 0 &&
		    !listing_add(l, conf->stores[i].name, &node, OFFSET_NUMBERED + (off_t)i))
			break;
	}
	fs_conf_unref(fs, conf);
	return 0;
}

static int copies_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode & ~(mode_t)0222;
	st->st_nlink = 2;
	if (node->entry.mtime_us)
		*mtime_us = node->entry.mtime_us;
	return 0;
}

/* Which store, of what is in copies/: by the path that is shown. */
char *copies_why_kept(struct fs *fs, const struct node *directory, const struct node *node, const char *name,
                      char **ret_path)
{
	const char *at, *store;

	*ret_path = node_path_below(fs, directory, name);
	at = strchr(*ret_path, '/');
	store = at ? at + 1 : "NAME";
	return mem_printf(
	        "copies go by the rules of their own store (keep_… of [store %.*s]), once the backup was removed here: so nobody who may delete backups here deletes them there. One that must not exist any longer is deleted in that store with its own tools, manifest first",
	        (int)strcspn(store, "/"), store);
}

const struct node_class class_copies = {
        .type = S_IFDIR,
        .lookup = copies_lookup,
        .list = copies_list,
        .stat = copies_stat,
        .path = fixed_directory_path,
        .why_kept = copies_why_kept,
};

/* Below it. */

/* What is shown with another name than the manifest's has that name only. */
static int find_copy(struct fs *fs, uint64_t parent_ino, const char *plain, const char *name,
                     struct node *ret)
{
	struct catalog_entry entry;
	struct node node;
	int r = catalog_copy_child(copies_catalog(fs), parent_ino, plain, &entry);

	if (r < 0)
		return r;
	node_of_copy(fs, &entry, &node);
	if (strcmp(node.entry.name, name) != 0)
		return -ENOENT;
	*ret = node;
	return 0;
}

int copies_lookup_in(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	int r = find_copy(fs, directory->entry.ino, name, name, ret);

	/* What is stored comes before what is made up. */
	if (r == -ENOENT && strcmp(name, SUMS_NAME) == 0)
		return copy_sums_load(fs, directory->entry.ino, ret);
	if (r == -ENOENT && str_ends(name, MANIFEST_SEALED_SUFFIX)) {
		_cleanup(free) char *plain =
		        mem_printf("%.*s", (int)(strlen(name) - strlen(MANIFEST_SEALED_SUFFIX)), name);

		r = find_copy(fs, directory->entry.ino, plain, name, ret);
	}
	return r;
}

int copies_list_in(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	_cleanup(free) struct catalog_entry *page = mem_array(PAGE_ENTRIES, sizeof(*page));
	int64_t sequence = after >= OFFSET_NUMBERED ? after - OFFSET_NUMBERED : -1;
	struct node sums;
	ssize_t count;

	if (after < OFFSET_FIXED && copies_lookup_in(fs, directory, SUMS_NAME, &sums) == 0 &&
	    sums.class == &class_copies_sums && !listing_add(l, SUMS_NAME, &sums, OFFSET_FIXED))
		return 0;
	while ((count = catalog_copy_children(copies_catalog(fs), directory->entry.ino, sequence, page,
	                                      PAGE_ENTRIES)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			struct node node;

			sequence = page[i].sequence;
			node_of_copy(fs, &page[i], &node);
			if (!listing_add(l, node.entry.name, &node, OFFSET_NUMBERED + sequence))
				return 0;
		}
	}
	return (int)count;
}

uint64_t copies_parent(const struct node *directory)
{
	return directory->entry.parent_ino ? directory->entry.parent_ino : INO_COPIES;
}

char *copies_path_of(struct fs *fs, uint64_t ino)
{
	_cleanup(catalog_store) struct catalog_store at = {0};
	struct catalog_copy_place place;
	struct catalog_entry entry;
	size_t len;

	if (catalog_copy_place(copies_catalog(fs), ino, &place) < 0 ||
	    catalog_copy_entry(copies_catalog(fs), ino, &entry) < 0 ||
	    catalog_get_store(copies_catalog(fs), place.store, &at) < 0)
		return NULL;
	len = strlen(entry.name);
	sealed_show(fs, false, &entry);
	return mem_printf(COPIES_NAME "/%s%s%s%s", at.name, place.shown[0] ? "/" : "", place.shown,
	                  entry.name + len);
}

char *copies_node_path(struct fs *fs, const struct node *node)
{
	return copies_path_of(fs, node->ino);
}

static int copy_file_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= file_permissions(fs, node) & ~(mode_t)0222;
	st->st_size = (off_t)node->entry.size_bytes;
	*mtime_us = node->entry.mtime_us;
	return 0;
}

/* One that could not be made again yet is what it was. */
static bool is_damaged_copy(const struct catalog_replica *row)
{
	return row->state == REPLICA_LOST || row->state == REPLICA_WRONG ||
	       (row->state == REPLICA_COPYING && row->error[0]);
}

int copies_facts(struct fs *fs, const struct node *node, struct facts *ret)
{
	struct catalog_copy_facts known = {0};
	int r = catalog_copy_facts(copies_catalog(fs), node->ino, &known);

	/* It is above artifacts, or within one, and there is nothing to tell of it. */
	if (r < 0)
		return r == -ENOENT ? 1 : r;
	ret->manifest = known.manifest;
	ret->store = stores_name(fs->ctx.repository->stores, known.replica.store);
	ret->damaged = is_damaged_copy(&known.replica);
	ret->stored_bytes = known.stored_bytes;
	if (node->entry.is_sealed)
		str_copy(ret->stored_sha256, sizeof(ret->stored_sha256), known.stored_sha256);
	/* Of the bytes that are read under this name. */
	str_copy(ret->sha256, sizeof(ret->sha256),
	         sealed_is_shown(fs, node) ? known.stored_sha256 : known.sha256);
	return 0;
}

const struct node_class class_copies_directory = {
        .type = S_IFDIR,
        .facts = copies_facts,
        .lookup = copies_lookup_in,
        .list = copies_list_in,
        .parent = copies_parent,
        .stat = copies_stat,
        .path = copies_node_path,
        .why_kept = copies_why_kept,
};

/* Opening: the manifest is asked of the store, and what is encrypted needs the beginning of its object. */

struct opening_copy {
	struct later later;
	struct node node;
	struct fuse_file_info fi;
	struct catalog_audit reader;
	struct catalog_copy_place place;
};

static const struct manifest_file *file_of_copy(const struct manifest *m, const char *name)
{
	for (size_t i = 0; i < m->file_count; i++)
		if (strcmp(m->files[i].name, name) == 0)
			return &m->files[i];
	return NULL;
}

static int open_copy_object(struct opening_copy *o, struct store **store, const struct manifest *m,
                            const struct manifest_file *f, struct handle **ret_handle, struct error *err)
{
	struct fs *fs = o->later.fs;
	struct manifest_object *object = &m->objects[f->object];
	bool is_stored = object->cipher && sealed_is_shown(fs, &o->node);
	const struct sealed_object sealed = {.repo = fs->ctx.repository,
	                                     .store = *store,
	                                     .object = object,
	                                     .what = o->place.shown,
	                                     .encrypted_to = m->encrypted_to,
	                                     .cancel = &o->later.cancel};
	struct reader_layout *layout = NULL;
	struct reader_what what;
	int r = 0;

	if (!sealed_is_known(object))
		return sealed_refuse_unknown(object, o->place.shown, err);
	if (object->cipher && !is_stored)
		r = sealed_layout(&sealed, &layout, err);
	if (r < 0)
		return r;
	what = (struct reader_what){.store = take_ptr(store),
	                            .ino = o->node.ino,
	                            .key = object->key,
	                            .extents = &object->extents,
	                            .sha256 = is_stored ? object->stored_sha256 : f->sha256,
	                            .whole = true,
	                            .layout = layout,
	                            .stored_sha256 = object->stored_sha256};
	return artifact_handle_open(fs, &o->node, &what, &o->reader, ret_handle, err);
}

/* It was rewrapped since somebody looked at it: with another length it would be read to a wrong end. */
static int check_as_shown(struct opening_copy *o, const struct manifest *m, const struct manifest_file *f,
                          struct error *err)
{
	struct fs *fs = o->later.fs;
	const struct manifest_object *object = &m->objects[f->object];
	bool is_stored = object->cipher && sealed_is_shown(fs, &o->node);
	int r;

	if (o->node.entry.size_bytes == (is_stored ? object->stored_bytes : f->size_bytes))
		return 0;
	r = catalog_set_copy_tree(copies_catalog(fs), o->place.store, m, err);
	return r < 0 ? r
	             : error_set(err, ERROR_CONFLICT, ESTALE,
	                         "%s was written anew there since it was looked at: it is opened once more",
	                         o->place.shown);
}

static int open_copy(struct opening_copy *o, struct handle **ret_handle, struct error *err)
{
	struct fs *fs = o->later.fs;
	const struct store_call call = {.cancel = &o->later.cancel};
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(store) struct store *store = NULL;
	const struct manifest_file *f;
	int r = repository_open_store(fs->ctx.repository, o->place.store, &store, err);

	if (r == 0)
		r = replica_fetch(fs->ctx.repository, store, o->place.store, &call, o->place.path, &m, err);
	if (r < 0)
		return r;
	if (r == ARTIFACT_UNUSABLE)
		return -EBADMSG;
	f = file_of_copy(&m, o->place.file);
	if (!f)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s: the manifest there has no file %s: another backup has the name",
		                 store->name, o->place.file);
	/* Nothing is wrong with it. */
	if (f->object == MANIFEST_NO_OBJECT)
		return error_set(err, ERROR_USAGE, ENOTSUP,
		                 "%s: the bytes of %s are kept in a way that this keepfs does not know",
		                 store->name, o->place.file);
	r = check_as_shown(o, &m, f, err);
	return r < 0 ? r : open_copy_object(o, &store, &m, f, ret_handle, err);
}

void copies_failed(struct fs *fs, uint64_t ino, int r, bool damage, const struct error *err)
{
	_cleanup(free) char *path = copies_path_of(fs, ino);
	const char *message = err && err->message[0] ? err->message : "the read failed";
	struct catalog_copy_place place;

	report_trouble(fs->ctx.troubles, path, -r, message);
	log_error("read of %s failed: %s", path ? path : "a copy that is gone", message);
	if (damage && catalog_copy_place(copies_catalog(fs), ino, &place) == 0)
		replica_found_wrong(fs->ctx.repository, place.path, place.store, message);
}

static bool is_copy_damage(const struct error *err)
{
	return err && (err->class == ERROR_CORRUPT || err->class == ERROR_NOT_FOUND);
}

static int errno_of_copy(int r)
{
	if (r == -ECANCELED)
		return EINTR;
	return r == -ENOKEY || r == -EKEYREJECTED || r == -ENOTSUP || r == -ESTALE ? -r : EIO;
}

static void open_copy_later(void *arg)
{
	struct opening_copy *o = arg;
	struct handle *h = NULL;
	struct error err = {0};
	int r = open_copy(o, &h, &err);

	/* The kernel looks the name up once more, and opens it with what is known by now. */
	if (r == -ESTALE)
		log_info("%s", err.message);
	else if (r < 0 && r != -ECANCELED)
		copies_failed(o->later.fs, o->node.ino, r, is_copy_damage(&err), &err);
	if (!later_claim(&o->later)) {
		if (h)
			handle_free(h);
	} else if (r < 0) {
		fuse_reply_err(o->later.pending.req, errno_of_copy(r));
	} else {
		reply_open(o->later.pending.req, h, &o->fi);
	}
	later_end(&o->later);
	free(o);
}

static int copy_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                     struct handle **ret_handle, struct error *err)
{
	struct fs *fs = fs_of(req);
	struct opening_copy *o = mem_alloc(sizeof(*o));
	int r = catalog_copy_place(copies_catalog(fs), node->ino, &o->place);

	if (r < 0) {
		free(o);
		return r;
	}
	o->node = *node;
	o->fi = *fi;
	caller_of(req, &o->reader);
	if (later_begin(&o->later, fs, req))
		lookers_add(fs->lookers, node->ino, open_copy_later, o);
	else
		free(o);
	return OPENED_LATER;
}

static int copy_sums_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	int r = text_file_stat(fs, node, st, mtime_us);

	st->st_mode &= ~(mode_t)0222;
	*mtime_us = node->entry.mtime_us;
	return r;
}

const struct node_class class_copies_sums = {
        .type = S_IFREG,
        .stat_is_costly = true,
        .stat = copy_sums_stat,
        .open = text_file_open,
        .why_kept = copies_why_kept,
};

const struct node_class class_copies_file = {
        .type = S_IFREG,
        .facts = copies_facts,
        .stat = copy_file_stat,
        .path = copies_node_path,
        .open = copy_open,
        .why_kept = copies_why_kept,
};

// SPDX-License-Identifier: Apache-2.0
/* The nodes of states of mirrors. See mirrored.h. */
#include "mirrored.h"

#include "catalog_dir.h"
#include "copies.h"
#include "dir.h"
#include "inside.h"
#include "xattr.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/inside.h>
#include <keepfs/codec/name.h>
#include <keepfs/mirror/runs.h>

#include <errno.h>
#include <string.h>

/* The bits of such a number: see node.h. */
#define NUMBER_SHIFT          34
#define NUMBERS_END           (UINT64_C(1) << 58)
#define SHARED_DIRECTORY_BITS 03000 /* what is made in it gets its group; who may remove from it */
#define ATTRIBUTE_BYTES       255   /* of the name of an attribute */
#define META_PREFIX           "x-amz-meta-"
#define AMZ_PREFIX            "x-amz-"

_Static_assert(MIRROR_NUMBERS == UINT64_C(1) << NUMBER_SHIFT, "a place in a listing has its place");
_Static_assert((uint64_t)CATALOG_INSIDE_NUMBER_MAX << NUMBER_SHIFT < NUMBERS_END,
               "an artifact's number has its place");

bool mirrored_has(uint64_t ino)
{
	return ino >= MIRROR_NUMBERS && ino < NUMBERS_END;
}

uint64_t ino_of_mirrored(uint32_t number, uint64_t part)
{
	return (uint64_t)number << NUMBER_SHIFT | part;
}

uint64_t mirrored_part_of(const struct node *node)
{
	return node->ino & (MIRROR_NUMBERS - 1);
}

char *mirrored_path(const struct mirrored *m, const struct mirrored_tree *tree, const char *path)
{
	return mem_printf("%s%s%s%s%s", m->path, tree->name ? "/" : "", str_or_empty(tree->name),
	                  *path ? "/" : "", path);
}

/* Of a state in the catalog, and of what keepfs has no key for, nothing is wrong. */
static bool is_mirrored_damage(const struct error *err)
{
	return err->class == ERROR_CORRUPT || err->class == ERROR_NOT_FOUND;
}

int mirrored_failed(struct fs *fs, const struct node *node, int r, const struct error *err)
{
	_cleanup(free) char *path = NULL;

	/* There is no such thing, and nothing is wrong. */
	if (r == -ECANCELED || r == -EAGAIN || (r == -ENOENT && !err->message[0]))
		return r;
	mirrored_forget(fs, node->entry.ino);
	path = mirrored_path_of(fs, node->entry.ino);
	if (!path)
		return -ENOENT;
	if (copies_have(node->entry.ino))
		copies_failed(fs, node->entry.ino, r, is_mirrored_damage(err), err);
	else if (is_mirrored_damage(err))
		note_read_failure(fs, node->entry.ino, path, r, true, err);
	else
		report_trouble(fs->ctx.troubles, path, -r, err->message);
	return r == -ENOKEY || r == -EKEYREJECTED || r == -ENOTSUP || r == -EFBIG ? r : -EIO;
}

char *mirrored_why_kept(struct fs *fs, const struct node *directory, const struct node *node,
                        const char *name, char **ret_path)
{
	char *path;

	if (copies_have(directory->entry.ino))
		return copies_why_kept(fs, directory, node, name, ret_path);
	path = catalog_path(fs->ctx.repository->catalog, directory->entry.ino);
	*ret_path = path ? path : mem_strdup(name);
	return path ? mem_printf(
	                      "what is in it is one backup and goes together; remove the directory itself: rm -r %s",
	                      strrchr(path, '/') + 1)
	            : NULL;
}

static bool is_item_of_base(const struct mirror_item *item)
{
	return item->entry.format == LISTING_BASE;
}

/* Of a directory of a mirror nothing is known. */
static int64_t mtime_of_item(const struct node *like, const struct mirror_item *item)
{
	return item->is_directory && !is_item_of_base(item) ? like->entry.mtime_us : item->entry.modified_us;
}

static uint64_t size_of_item(const struct mirror_item *item)
{
	return item->is_directory ? INSIDE_NOT_KNOWN : item->entry.bytes;
}

/* What the configuration lets of the bits for group and others. The owner has those that the listing says: nothing here can be written, and a copy has to be as it was. */
static mode_t mode_of_item(struct fs *fs, const struct node *node, const struct mirror_item *item)
{
	mode_t most = item->is_directory ? fs->ctx.conf->dir_mode : file_permissions(fs, node);
	mode_t kept = item->is_directory ? SHARED_DIRECTORY_BITS : 0;

	return (mode_t)item->entry.mode & (0700 | (most & 0077) | kept);
}

/* @like: another node of the artifact. */
static void node_of_item(const struct mirrored *m, const struct node *like, const struct mirror_item *item,
                         struct node *ret)
{
	*ret = (struct node){.ino = ino_of_mirrored(m->number, item->number),
	                     .class = item->is_directory ? &class_mirrored_directory : &class_mirrored_file,
	                     .entry = like->entry,
	                     .bytes = size_of_item(item),
	                     .mtime_us = mtime_of_item(like, item),
	                     .has_mode = is_item_of_base(item),
	                     .cancel = like->cancel,
	                     .in_haste = like->in_haste};
	if (ret->has_mode)
		ret->mode = mode_of_item(m->fs, ret, item);
}

int mirrored_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	struct node node = {.ino = ino, .class = &class_mirrored_file, .bytes = INSIDE_NOT_KNOWN};
	uint64_t part = mirrored_part_of(&node), artifact_ino;
	int r = catalog_inside_artifact(catalog, (uint32_t)(ino >> NUMBER_SHIFT), &artifact_ino);

	if (r == 0)
		r = mirrored_entry(fs, artifact_ino, &node.entry);
	if (r == 0 && part >= MIRROR_DIRECTORIES)
		node.class = &class_mirrored_directory;
	else if (r == 0 && part < MIRROR_PLACES_BEFORE >> 7)
		r = mirrored_text_load(part, &node);
	if (r < 0)
		return r;
	node.mtime_us = node.entry.mtime_us;
	*ret = node;
	return 0;
}

/* Of the directory that is a tree of its own. */
static const struct mirrored_tree *tree_with_number(const struct mirrored *m, uint64_t part)
{
	return part >= MIRRORED_TREES && part - MIRRORED_TREES < m->count ? &m->trees[part - MIRRORED_TREES]
	                                                                  : NULL;
}

int mirrored_find(const struct node *node, const struct mirrored *m, const struct mirrored_tree **ret_tree,
                  struct mirror_item *ret, struct error *err)
{
	uint64_t part = mirrored_part_of(node);

	for (size_t i = 0; i < m->count; i++) {
		int r;

		if (!mirror_tree_has(m->trees[i].tree, part))
			continue;
		r = mirror_tree_at(m->trees[i].tree, node->cancel, part, ret, err);
		if (r == 1)
			*ret_tree = &m->trees[i];
		return r == 0 ? -ENOENT : r < 0 ? r : 0;
	}
	return -ENOENT;
}

/* Directories. */

struct place { /* a directory of a listing that is open */
	struct mirrored *m;
	const struct mirrored_tree *tree; /* NULL: it has none that can be read */
	char *directory;
};

static void leave_place(struct place *p)
{
	mirrored_close(p->m);
	free(p->directory);
}

static bool is_state_itself(const struct node *node)
{
	return node->class == &class_mirrored_state || node->class == &class_copied_state;
}

static int go_to_place(struct fs *fs, const struct node *node, struct place *ret, struct error *err)
{
	_cleanup(mirror_item) struct mirror_item item = {0};
	int r = mirrored_open(fs, node->entry.ino, node->cancel, &ret->m, err);

	if (r == 0 && is_state_itself(node)) {
		ret->tree = ret->m->count > 0 ? &ret->m->trees[0] : NULL;
		ret->directory = mem_strdup("");
		return 0;
	}
	if (r == 0)
		ret->tree = tree_with_number(ret->m, mirrored_part_of(node));
	if (r == 0 && ret->tree) {
		ret->directory = mem_strdup("");
		return 0;
	}
	if (r == 0)
		r = mirrored_find(node, ret->m, &ret->tree, &item, err);
	if (r == 0)
		ret->directory = take_ptr(&item.path);
	return r;
}

static int find_in_place(struct place *p, const struct node *directory, const char *name, struct node *ret,
                         struct error *err)
{
	_cleanup(mirror_item) struct mirror_item item = {0};
	int r = p->tree ? mirror_tree_find(p->tree->tree, directory->cancel, p->directory, name, &item, err)
	                : 0;

	if (r == 1)
		node_of_item(p->m, directory, &item, ret);
	if (r == 0)
		r = is_state_itself(directory) ? mirrored_text_child(p->m, directory, name, ret) : -ENOENT;
	return r < 0 ? r : 0;
}

int mirrored_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	struct place p = {0};
	struct error err = {0};
	int r = go_to_place(fs, directory, &p, &err);

	if (r == 0)
		r = find_in_place(&p, directory, name, ret, &err);
	leave_place(&p);
	return r < 0 ? mirrored_failed(fs, directory, r, &err) : r;
}

struct page {
	const struct place *place;
	const struct node *directory;
	struct listing *listing;
};

static int add_to_page(void *arg, const struct mirror_item *item, struct error *err)
{
	const struct page *page = arg;
	struct node node;

	(void)err;
	node_of_item(page->place->m, page->directory, item, &node);
	return listing_add(page->listing, mirror_item_name(item), &node, OFFSET_NUMBERED + (off_t)item->place)
	               ? 0
	               : 1;
}

static void node_of_tree(const struct mirrored *m, const struct mirrored_tree *tree, const struct node *like,
                         struct node *ret)
{
	*ret = (struct node){.ino = ino_of_mirrored(m->number, MIRRORED_TREES + (uint64_t)(tree - m->trees)),
	                     .class = &class_mirrored_directory,
	                     .entry = like->entry,
	                     .bytes = INSIDE_NOT_KNOWN,
	                     .mtime_us = like->entry.mtime_us,
	                     .cancel = like->cancel,
	                     .in_haste = like->in_haste};
}

/* The directory of the artifact, in which the tree is, or which is the tree. */
static void node_of_top(const struct node *like, struct node *ret)
{
	bool is_copy = copies_have(like->entry.ino), is_state = is_state_of_mirror(&like->entry);

	*ret = (struct node){.ino = like->entry.ino,
	                     .class = is_copy    ? is_state ? &class_copied_state : &class_copied_beside
	                              : is_state ? &class_mirrored_state
	                                         : &class_mirrored_beside,
	                     .entry = like->entry};
}

/* What it is in. Only the listing can tell, which the slot `parent` must not wait for. */
static int find_above(const struct place *p, const struct node *directory, struct node *ret,
                      struct error *err)
{
	_cleanup(free) char *path = mem_strdup(p->directory);
	_cleanup(mirror_item) struct mirror_item item = {0};
	char *slash = strrchr(path, '/'), *own;
	int r;

	if (!slash) {
		if (*path && p->tree->name)
			node_of_tree(p->m, p->tree, directory, ret);
		else
			node_of_top(directory, ret);
		return 0;
	}
	*slash = '\0';
	own = strrchr(path, '/');
	if (own)
		*own++ = '\0';
	r = mirror_tree_find(p->tree->tree, directory->cancel, own ? path : "", own ? own : path, &item, err);
	if (r == 1)
		node_of_item(p->m, directory, &item, ret);
	return r == 0 ? -ENOENT : r < 0 ? r : 0;
}

/* 1: the page is full. */
static int list_above(const struct place *p, const struct node *directory, off_t after, struct listing *l,
                      struct error *err)
{
	struct node above;
	int r = 0;

	if (is_state_itself(directory) || after >= OFFSET_DOTS)
		return 0;
	r = find_above(p, directory, &above, err);
	if (r == 0 && !listing_add(l, "..", &above, OFFSET_DOTS))
		return 1;
	return r == -ENOENT ? 0 : r;
}

static int list_place(const struct place *p, const struct node *directory, off_t after, struct listing *l,
                      struct error *err)
{
	struct page page = {.place = p, .directory = directory, .listing = l};
	const struct mirror_each each = {.item = add_to_page, .arg = &page};
	uint64_t behind = after >= OFFSET_NUMBERED ? (uint64_t)(after - OFFSET_NUMBERED) : 0;
	int r = list_above(p, directory, after, l, err);

	if (r != 0)
		return r < 0 ? r : 0;
	if (is_state_itself(directory) && !mirrored_text_list(p->m, directory, after, l))
		return 0;
	r = p->tree ? mirror_tree_list(p->tree->tree, directory->cancel, p->directory, behind, &each, err)
	            : 0;
	return r < 0 ? r : 0;
}

int mirrored_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	struct place p = {0};
	struct error err = {0};
	int r = go_to_place(fs, directory, &p, &err);

	if (r == 0)
		r = list_place(&p, directory, after, l, &err);
	leave_place(&p);
	return r < 0 ? mirrored_failed(fs, directory, r, &err) : r;
}

/* Nobody has counted the directories in it: 1 says so to programs that would. */
int mirrored_directory_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode;
	st->st_nlink = 1;
	*mtime_us = node->entry.mtime_us;
	return 0;
}

/* As it was listed; a node that comes from its number alone has to be looked for. */
static int listed_directory_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	_cleanup(mirrored) struct mirrored *m = NULL;
	_cleanup(mirror_item) struct mirror_item item = {0};
	const struct mirrored_tree *tree;
	struct node found = *node;
	struct error err = {0};
	int r = 0;

	if (!node->has_mode && mirrored_part_of(node) >= MIRRORED_TREES + MIRRORED_TREES_MAX)
		r = mirrored_open(fs, node->entry.ino, node->cancel, &m, &err);
	if (r == 0 && m)
		r = mirrored_find(node, m, &tree, &item, &err);
	if (r < 0)
		return mirrored_failed(fs, node, r, &err);
	if (m)
		node_of_item(m, node, &item, &found);
	r = mirrored_directory_stat(fs, node, st, mtime_us);
	if (found.has_mode) {
		st->st_mode = node->class->type | found.mode;
		*mtime_us = found.mtime_us;
	}
	return r;
}

/* A server starts in no directory that others may look into, and of that of a base no more is known before its listing is read. */
int mirrored_state_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	int r = mirrored_directory_stat(fs, node, st, mtime_us);

	if (mirrored_is_of_base(fs, node->entry.ino))
		st->st_mode &= ~(mode_t)0077;
	return r;
}

static uint64_t parent_by_listing(const struct node *directory)
{
	return 0;
}

const struct node_class class_mirrored_directory = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .is_within_backup = true,
        .waits = true,
        .stat_waits = true,
        .lookup = mirrored_lookup,
        .list = mirrored_list,
        .parent = parent_by_listing,
        .stat = listed_directory_stat,
        .why_kept = mirrored_why_kept,
};

/* A state itself is a row of the catalog. A URL can show no stretch of a pack, so links/ has none. */
const struct node_class class_mirrored_state = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .is_within_backup = true,
        .waits = true,
        .lookup = mirrored_lookup,
        .list = mirrored_list,
        .parent = catalog_parent,
        .stat = mirrored_state_stat,
        .path = catalog_node_path,
        .facts = artifact_facts,
        .why_kept = mirrored_why_kept,
        .remove = artifact_begin_removal,
};

/* An artifact that is a directory of files, some of which are in listings: each in a directory of its own. */

int mirrored_beside_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	_cleanup(mirrored) struct mirrored *m = NULL;
	struct error err = {0};
	int r = copies_have(directory->entry.ino) ? copies_lookup_in(fs, directory, name, ret)
	                                          : catalog_lookup(fs, directory, name, ret);

	if (r != -ENOENT)
		return r;
	r = mirrored_open(fs, directory->entry.ino, directory->cancel, &m, &err);
	if (r < 0)
		return mirrored_failed(fs, directory, r, &err);
	for (size_t i = 0; i < m->count; i++) {
		if (str_equal(m->trees[i].name, name)) {
			node_of_tree(m, &m->trees[i], directory, ret);
			return 0;
		}
	}
	return -ENOENT;
}

/* False: the page is full. */
static bool list_trees(const struct mirrored *m, const struct node *directory, off_t after, struct listing *l)
{
	for (size_t i = listing_position(after); i < m->count; i++) {
		struct node node;

		node_of_tree(m, &m->trees[i], directory, &node);
		if (m->trees[i].name && !listing_add(l, m->trees[i].name, &node, OFFSET_FIXED + (off_t)i))
			return false;
	}
	return true;
}

int mirrored_beside_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	_cleanup(mirrored) struct mirrored *m = NULL;
	struct error err = {0};
	int r = mirrored_open(fs, directory->entry.ino, directory->cancel, &m, &err);

	if (r < 0)
		return mirrored_failed(fs, directory, r, &err);
	if (!list_trees(m, directory, after, l))
		return 0;
	r = copies_have(directory->entry.ino) ? copies_list_in(fs, directory, after, l)
	                                      : catalog_list(fs, directory, CATALOG_FILE, after, l);
	return r < 0 ? r : 0;
}

const struct node_class class_mirrored_beside = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .is_within_backup = true,
        .waits = true,
        .mirror = &class_linked_artifact_directory,
        .lookup = mirrored_beside_lookup,
        .list = mirrored_beside_list,
        .parent = catalog_parent,
        .stat = mirrored_directory_stat,
        .path = catalog_node_path,
        .facts = artifact_facts,
        .why_kept = mirrored_why_kept,
        .remove = artifact_begin_removal,
};

/* Files. */

/* 0 with what the listing has of it; else the errno for the kernel. */
static int find_mirrored_file(struct fs *fs, const struct node *node, struct mirror_item *ret,
                              char ret_job[static NAME_MAX_BYTES])
{
	_cleanup(mirrored) struct mirrored *m = NULL;
	const struct mirrored_tree *tree;
	struct error err = {0};
	int r = mirrored_open(fs, node->entry.ino, node->cancel, &m, &err);

	if (r == 0)
		r = mirrored_find(node, m, &tree, ret, &err);
	if (r == 0)
		str_copy(ret_job, NAME_MAX_BYTES, tree->job);
	return r < 0 ? mirrored_failed(fs, node, r, &err) : r;
}

static int mirrored_file_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	_cleanup(mirror_item) struct mirror_item item = {0};
	char job[NAME_MAX_BYTES];
	uint64_t bytes = node->bytes;
	mode_t mode = node->has_mode ? node->mode : file_permissions(fs, node);
	int r = bytes == INSIDE_NOT_KNOWN ? find_mirrored_file(fs, node, &item, job) : 0;

	if (r < 0)
		return r;
	if (bytes == INSIDE_NOT_KNOWN)
		bytes = item.entry.bytes;
	if (is_item_of_base(&item))
		mode = mode_of_item(fs, node, &item);
	st->st_mode |= mode;
	st->st_size = (off_t)bytes;
	*mtime_us = item.path ? item.entry.modified_us : node->mtime_us;
	return 0;
}

/* "x-amz-meta-owner" is meta.owner, "content-encoding" content_encoding. */
static char *name_of_header(const char *header)
{
	char *name;

	if (str_starts(header, META_PREFIX))
		return mem_printf("meta.%s", header + strlen(META_PREFIX));
	name = mem_strdup(header + (str_starts(header, AMZ_PREFIX) ? strlen(AMZ_PREFIX) : 0));
	for (char *at = name; *at; at++)
		*at = *at == '-' ? '_' : *at;
	return name;
}

static void add_headers(const struct json *meta, struct json *facts)
{
	for (const char *header = meta ? json_first_key(meta) : NULL; header;
	     header = json_next_key(meta, header)) {
		_cleanup(free) char *name = name_of_header(header);

		if (strlen("user.keepfs.") + strlen(name) <= ATTRIBUTE_BYTES)
			json_set_string(facts, name, json_get_string(meta, header));
	}
}

/* What is known of the state is told by the state. */
static struct json *facts_of_object(const struct listing_entry *e)
{
	struct json *facts = json_object_new();

	if (e->format == LISTING_BASE) {
		if (e->crc32c[0])
			json_set_string(facts, "crc32c", e->crc32c);
		return facts;
	}
	add_headers(e->meta, facts);
	json_set_string(facts, "etag", e->etag);
	if (e->type)
		json_set_string(facts, "content_type", e->type);
	if (e->version_id)
		json_set_string(facts, "version_id", e->version_id);
	json_set_string(facts, "pack", e->pack);
	return facts;
}

static int facts_of_state(struct fs *fs, const struct node *node, const char *pack, struct facts *ret)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	_cleanup(free) struct mirrored_copy *copy = mirrored_copy_of(fs, node->entry.ino);
	int r;

	if (copies_have(node->entry.ino))
		return copy ? mirrored_copy_facts(fs, node, copy, pack, ret) : -ENOENT;
	r = catalog_manifest(catalog, node->entry.ino, &ret->manifest);
	ret->damaged = catalog_is_damaged(catalog, node->entry.ino) ||
	               catalog_is_damaged(catalog, ino_of_artifact(pack));
	return r;
}

/* Heap: of the packs that a file of a base lies in the first that is damaged, or else the first; "": it lies in none. */
static char *telling_pack(struct fs *fs, const char *job, const struct listing_entry *e)
{
	char *first = NULL;

	for (size_t i = 0; i < e->run_count; i++) {
		char *pack = e->runs[i].pack ? runs_reader_pack_path(job, e->runs[i].pack) : NULL;

		if (pack && catalog_is_damaged(fs->ctx.repository->catalog, ino_of_artifact(pack))) {
			free(first);
			return pack;
		}
		if (first)
			free(pack);
		else
			first = pack;
	}
	return first ? first : mem_strdup("");
}

/* Is it in a base, of whose files no attributes are listed? A copy that had them would be another directory than was backed up, and each takes a question of its own. */
static int lists_no_names(struct fs *fs, const struct node *node)
{
	_cleanup(mirrored) struct mirrored *m = NULL;
	uint64_t part = mirrored_part_of(node);
	struct error err = {0};
	int r = mirrored_open(fs, node->entry.ino, node->cancel, &m, &err);

	if (r < 0)
		return mirrored_failed(fs, node, r, &err);
	for (size_t i = 0; i < m->count; i++)
		if (mirror_tree_has(m->trees[i].tree, part))
			return mirrored_is_base(&m->trees[i]);
	return 0;
}

static int mirrored_file_facts(struct fs *fs, const struct node *node, struct facts *ret)
{
	_cleanup(mirror_item) struct mirror_item item = {0};
	_cleanup(free) char *pack = NULL;
	char job[NAME_MAX_BYTES];
	int r = ret->for_names ? lists_no_names(fs, node) : 0;

	if (r == 0)
		r = find_mirrored_file(fs, node, &item, job);
	if (r != 0)
		return r;
	pack = is_item_of_base(&item) ? telling_pack(fs, job, &item.entry)
	                              : mem_printf(TREE_PACKS "/%s/%s.tar", job, item.entry.pack);
	r = facts_of_state(fs, node, pack, ret);
	if (r < 0)
		return r;
	json_free(ret->manifest.facts);
	ret->manifest.facts = facts_of_object(&item.entry);
	str_copy(ret->sha256, sizeof(ret->sha256), item.entry.sha256);
	ret->stored_bytes = item.entry.bytes;
	ret->is_one_of_many = true;
	return 0;
}

static bool mirrored_size_is_known(const struct node *node)
{
	return node->bytes != INSIDE_NOT_KNOWN;
}

const struct node_class class_mirrored_file = {
        .type = S_IFREG,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .waits = true,
        .stat_is_known = mirrored_size_is_known,
        .stat = mirrored_file_stat,
        .facts = mirrored_file_facts,
        .open = mirrored_file_open,
        .why_kept = mirrored_why_kept,
};

// SPDX-License-Identifier: Apache-2.0
/*
 * The directories that the catalog lists: the roots and what is below them, and the same once more in links/.
 * A page of one is at most a few indexed queries, each from where the last page ended.
 */
#include "catalog_dir.h"

#include "fs_private.h"
#include "mirrored.h"
#include "sealed.h"
#include "tenant.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/entries.h>

#include <errno.h>
#include <string.h>

#define PAGE_ENTRIES 256

/* The entries of one kind have the offsets from @base + the sequence 0 up to, not including, @end. */
static const struct range {
	off_t base, end;
} ranges[] = {
        [CATALOG_DIRECTORY] = {OFFSET_NUMBERED, OFFSET_ARTIFACTS},
        [CATALOG_ARTIFACT] = {OFFSET_ARTIFACTS, OFFSET_FILES},
        [CATALOG_FILE] = {OFFSET_FILES, INT64_MAX},
};

static const struct node_class *class_of_entry(const struct catalog_entry *entry)
{
	switch (entry->kind) {
	case CATALOG_ARTIFACT:
		if (is_state_of_mirror(entry))
			return &class_mirrored_state;
		if (entry->has_listing)
			return &class_mirrored_beside;
		return entry->is_directory ? &class_artifact_directory : &class_artifact;
	case CATALOG_FILE:
		return entry->is_directory ? &class_artifact_subdirectory : &class_file;
	default:
		return &class_directory;
	}
}

int catalog_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	struct catalog_entry entry;
	int r = catalog_entry_by_ino(fs->ctx.repository->catalog, ino, &entry);

	if (r < 0)
		return r;
	sealed_show(fs, false, &entry);
	*ret = (struct node){.ino = ino, .class = class_of_entry(&entry), .entry = entry};
	return 0;
}

bool node_of_entry(const struct node *directory, const struct catalog_entry *entry, struct node *ret)
{
	*ret = (struct node){.ino = entry->ino, .class = class_of_entry(entry), .entry = *entry};
	return !directory->class->in_links || node_mirror(ret) == 0;
}

int catalog_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	struct catalog_entry entry;
	int r = sealed_find(fs, directory->class->in_links, directory->entry.ino, name, &entry);

	if (r == 0 && !node_of_entry(directory, &entry, ret))
		r = -ENOENT;
	return r;
}

int catalog_list(struct fs *fs, const struct node *directory, enum catalog_kind kind, off_t after,
                 struct listing *l)
{
	const struct range *range = &ranges[kind];
	int64_t sequence = after >= range->base ? after - range->base : -1;
	size_t max = listing_max(l) < PAGE_ENTRIES ? listing_max(l) : PAGE_ENTRIES;
	_cleanup(free) struct catalog_entry *page = NULL;
	ssize_t count;

	if (after >= range->end)
		return 0;
	page = mem_array(max, sizeof(*page));
	while ((count = catalog_entries(fs->ctx.repository->catalog, directory->entry.ino, kind, sequence,
	                                page, max)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			struct node node;

			sealed_show(fs, directory->class->in_links, &page[i]);
			if (node_of_entry(directory, &page[i], &node) &&
			    !listing_add(l, page[i].name, &node, range->base + page[i].sequence))
				return 1;
			sequence = page[i].sequence;
		}
	}
	return (int)count;
}

static int list_all_kinds(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	static const enum catalog_kind kinds[] = {CATALOG_DIRECTORY, CATALOG_ARTIFACT, CATALOG_FILE};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
		r = catalog_list(fs, directory, kinds[i], after, l);
	return r < 0 ? r : 0;
}

static int stat_listing(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode;
	st->st_nlink = 2 + node->entry.subdirectories;
	if (node->entry.mtime_us)
		*mtime_us = node->entry.mtime_us;
	return 0;
}

/* Roots. */

static char *root_path(struct fs *fs, const struct node *node)
{
	return mem_strdup(node->root->name);
}

static char *linked_root_path(struct fs *fs, const struct node *node)
{
	return mem_printf(LINKS_NAME "/%s", node->root->name);
}

static uint64_t linked_root_parent(const struct node *directory)
{
	return INO_LINKS;
}

const struct node_class class_root = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .lookup = catalog_lookup,
        .list = list_all_kinds,
        .stat = stat_listing,
        .path = root_path,
};

const struct node_class class_linked_root = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .in_links = true,
        .lookup = catalog_lookup,
        .list = list_all_kinds,
        .parent = linked_root_parent,
        .stat = stat_listing,
        .path = linked_root_path,
        .why_kept = linked_why_kept,
};

/* What is below them. */

/* A directory that is directly in a root has the root's number in the catalog as parent. */
static const struct tree_root *root_above(const struct node *directory)
{
	for (size_t i = 0; i < tree_roots_shown; i++) {
		if (tree_roots[i].catalog_ino == directory->entry.parent_ino)
			return &tree_roots[i];
	}
	return NULL;
}

uint64_t catalog_parent(const struct node *directory)
{
	const struct tree_root *root = root_above(directory);

	return root ? root->ino : directory->entry.parent_ino;
}

uint64_t linked_parent(const struct node *directory)
{
	const struct tree_root *root = root_above(directory);

	return root ? root->links_ino : ino_link(directory->entry.parent_ino);
}

char *catalog_node_path(struct fs *fs, const struct node *node)
{
	return catalog_path(fs->ctx.repository->catalog, node->entry.ino);
}

char *linked_path(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *path = sealed_path(fs, true, node->entry.ino);

	return path ? mem_printf(LINKS_NAME "/%s", path) : NULL;
}

char *linked_why_kept(struct fs *fs, const struct node *directory, const struct node *node, const char *name,
                      char **ret_path)
{
	_cleanup(str) struct str roots = {0};

	for (size_t i = 0; i < tree_roots_shown; i++) {
		if (tree_roots[i].links_ino)
			str_appendf(&roots, "%s%s/", roots.len ? ", " : "", tree_roots[i].name);
	}
	*ret_path = node_path_below(fs, directory, name);
	return mem_printf(LINKS_NAME "/ only mirrors %s: what is removed there vanishes here",
	                  str_text(&roots));
}

/* What is made up stands before all that is stored. */
static int directory_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	return generated_list(fs, directory, after, l) ? list_all_kinds(fs, directory, after, l) : 0;
}

static int directory_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	int r = tenant_child(directory, name, ret);

	if (r == -ENOENT)
		r = generated_child(fs, directory, name, ret);
	return r == -ENOENT ? catalog_lookup(fs, directory, name, ret) : r;
}

const struct node_class class_directory = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .mirror = &class_linked_directory,
        .lookup = directory_lookup,
        .list = directory_list,
        .parent = catalog_parent,
        .stat = stat_listing,
        .path = catalog_node_path,
};

const struct node_class class_linked_directory = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .in_links = true,
        .lookup = directory_lookup,
        .list = directory_list,
        .parent = linked_parent,
        .stat = stat_listing,
        .path = linked_path,
        .why_kept = linked_why_kept,
};

// SPDX-License-Identifier: Apache-2.0
/*
 * tiers/: the backups by what they stand for: tiers/weekly/full/ has a symbolic link to each that is the first good one of a
 * week. The directories are those of backups/; what a page shows comes from an index of the catalog, and nothing is kept
 * by the kernel, so that it follows what is made and removed.
 */
#include "catalog_dir.h"
#include "fs_private.h"
#include "inside.h"
#include "sealed.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <string.h>

/* The bits of such a number: see node.h. Of the hash the lowest three are left out, and found again by a range. */
#define BIT_TIERS      (UINT64_C(1) << 63)
#define TIER_SHIFT     59
#define BIT_DIRECTORY  (UINT64_C(1) << 58)
#define HASH_LOST      3
#define HASH_MASK      (BIT_DIRECTORY - 1)
#define OF_ARTIFACTS   (UINT64_C(3) << 61)
#define OF_DIRECTORIES (UINT64_C(1) << 62)
#define PAGE_ENTRIES   256

static uint64_t ino_of_tier(unsigned tier, bool is_directory, uint64_t ino)
{
	return BIT_TIERS | (uint64_t)tier << TIER_SHIFT | (is_directory ? BIT_DIRECTORY : 0) |
	       (ino >> HASH_LOST & HASH_MASK);
}

static unsigned tier_of(const struct node *node)
{
	return (unsigned)(node->ino >> TIER_SHIFT) & 3;
}

static void node_in_tier(unsigned tier, const struct catalog_entry *entry, struct node *ret)
{
	bool is_directory = entry->kind == CATALOG_DIRECTORY;

	*ret = (struct node){.ino = ino_of_tier(tier, is_directory, entry->ino),
	                     .class = is_directory ? &class_tier_directory : &class_tier_link,
	                     .entry = *entry};
}

static int load_root(struct fs *fs, unsigned tier, struct node *ret)
{
	*ret = (struct node){.ino = ino_of_tier(tier, true, 0), .class = &class_tier};
	return catalog_entry_by_ino(fs->ctx.repository->catalog, 0, &ret->entry);
}

int tier_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	uint64_t from =
	        (ino & HASH_MASK) << HASH_LOST | (ino & BIT_DIRECTORY ? OF_DIRECTORIES : OF_ARTIFACTS);
	unsigned tier = (unsigned)(ino >> TIER_SHIFT) & 3;
	struct catalog_entry entry;
	int r;

	if ((ino & HASH_MASK) == 0 && ino & BIT_DIRECTORY)
		return load_root(fs, tier, ret);
	r = catalog_entry_near(fs->ctx.repository->catalog, from, from + (1 << HASH_LOST) - 1, &entry);
	if (r == 0)
		node_in_tier(tier, &entry, ret);
	return r;
}

/* tiers/ itself. */

static int tiers_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	for (unsigned tier = 0; tier < MANIFEST_TIERS; tier++)
		if (strcmp(name, manifest_tier_name(tier)) == 0)
			return load_root(fs, tier, ret);
	return -ENOENT;
}

static int tiers_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	for (unsigned tier = listing_position(after); tier < MANIFEST_TIERS; tier++) {
		struct node node;

		if (load_root(fs, tier, &node) == 0 &&
		    !listing_add(l, manifest_tier_name(tier), &node, OFFSET_FIXED + (off_t)tier))
			break;
	}
	return 0;
}

static int tiers_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode & ~(mode_t)0222;
	st->st_nlink = 2 + MANIFEST_TIERS;
	return 0;
}

static char *why_made(struct fs *fs, const struct node *directory, const struct node *node, const char *name,
                      char **ret_path)
{
	*ret_path = node_path_below(fs, directory, name);
	return mem_strdup("tiers/ only shows what backups/ holds: what is removed there vanishes here");
}

const struct node_class class_tiers = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .lookup = tiers_lookup,
        .list = tiers_list,
        .stat = tiers_stat,
        .path = fixed_directory_path,
        .why_kept = why_made,
};

/* Below it. */

static int tier_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	struct catalog_entry entry;
	int r = sealed_find(fs, false, directory->entry.ino, name, &entry);

	if (r < 0)
		return r;
	if (entry.kind == CATALOG_ARTIFACT && !catalog_is_in_tier(catalog, entry.ino, tier_of(directory)))
		return -ENOENT;
	if (entry.kind == CATALOG_FILE)
		return -ENOENT;
	node_in_tier(tier_of(directory), &entry, ret);
	return 0;
}

static void show_tier(const struct node *directory, const struct catalog_entry *entry, struct node *ret)
{
	node_in_tier(tier_of(directory), entry, ret);
}

static int list_links(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	_cleanup(free) struct catalog_entry *page = mem_array(PAGE_ENTRIES, sizeof(*page));
	int64_t sequence = after >= OFFSET_ARTIFACTS ? after - OFFSET_ARTIFACTS : -1;
	ssize_t count;

	while ((count = catalog_tier_entries(fs->ctx.repository->catalog, tier_of(directory),
	                                     directory->entry.ino, sequence, page, PAGE_ENTRIES)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			struct node node;

			sequence = page[i].sequence;
			sealed_show(fs, false, &page[i]);
			node_in_tier(tier_of(directory), &page[i], &node);
			if (!listing_add(l, page[i].name, &node, OFFSET_ARTIFACTS + sequence))
				return 0;
		}
	}
	return (int)count;
}

static int tier_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	int r = mirror_list_directories(fs, directory, after, l, show_tier);

	return r == 0 ? list_links(fs, directory, after, l) : r < 0 ? r : 0;
}

static int tier_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode & ~(mode_t)0222;
	st->st_nlink = 2;
	if (node->entry.mtime_us)
		*mtime_us = node->entry.mtime_us;
	return 0;
}

static uint64_t tier_root_parent(const struct node *directory)
{
	return INO_TIERS;
}

static uint64_t tier_directory_parent(const struct node *directory)
{
	return ino_of_tier(tier_of(directory), true, directory->entry.parent_ino);
}

static char *tier_root_path(struct fs *fs, const struct node *node)
{
	return mem_printf("tiers/%s", manifest_tier_name(tier_of(node)));
}

/* Its path in backups/, without that. */
static char *tier_path(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *path = catalog_path(fs->ctx.repository->catalog, node->entry.ino);

	return path ? mem_printf("tiers/%s%s", manifest_tier_name(tier_of(node)), path + strcspn(path, "/"))
	            : NULL;
}

const struct node_class class_tier = {
        .type = S_IFDIR,
        .lookup = tier_lookup,
        .list = tier_list,
        .parent = tier_root_parent,
        .stat = tier_stat,
        .path = tier_root_path,
        .why_kept = why_made,
};

const struct node_class class_tier_directory = {
        .type = S_IFDIR,
        .lookup = tier_lookup,
        .list = tier_list,
        .parent = tier_directory_parent,
        .stat = tier_stat,
        .path = tier_path,
        .why_kept = why_made,
};

/* tiers/daily/full/NAME lies three levels deep, and so on. */
static int tier_readlink(struct fs *fs, const struct node *node, char ret_target[static NODE_TARGET_BYTES])
{
	_cleanup(free) char *path = sealed_path(fs, false, node->entry.ino);
	_cleanup(str) struct str target = {0};

	if (!path)
		return -ENOENT;
	for (const char *at = path; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL)
		str_append(&target, "../");
	str_append(&target, path);
	if (target.len >= NODE_TARGET_BYTES)
		return -ENAMETOOLONG;
	str_copy(ret_target, NODE_TARGET_BYTES, str_text(&target));
	return 0;
}

static int tier_link_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	char target[NODE_TARGET_BYTES];
	int r = tier_readlink(fs, node, target);

	if (r < 0)
		return r;
	st->st_mode |= 0777;
	st->st_size = (off_t)strlen(target);
	*mtime_us = node->entry.mtime_us;
	return 0;
}

const struct node_class class_tier_link = {
        .type = S_IFLNK,
        .stat = tier_link_stat,
        .path = tier_path,
        .readlink = tier_readlink,
        .why_kept = why_made,
};

// SPDX-License-Identifier: Apache-2.0
/*
 * diff/: its directories. They are those of backups/. Listed is each dump with the one before it; found by their names are any two. Like inside/ it follows the
 * catalog, and the kernel keeps nothing of it.
 */
#include "diff.h"

#include "dir.h"
#include "inside.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/inside.h>

#include <errno.h>
#include <string.h>

/* The bits of such a number: see node.h. Of a directory's hash the lowest four are left out, and found again by a range. */
#define BIT_DIFF       (UINT64_C(1) << 58)
#define BIT_MIRROR     (UINT64_C(1) << 57)
#define HASH_LOST      4
#define HASH_MASK      (BIT_MIRROR - 1)
#define OF_DIRECTORIES (UINT64_C(1) << 62)
#define NUMBER_SHIFT   34
#define KIND_SHIFT     32
#define KIND_MASK      UINT64_C(3)
#define PAGE_ENTRIES   256

_Static_assert(NUMBER_SHIFT + DIFF_PAIR_NUMBER_BITS <= 57, "the number of a pair has its place");
_Static_assert(DIFF_REMOVED <= KIND_MASK, "a kind has its place");

uint64_t ino_of_diff(uint32_t pair, enum diff_kind kind, uint32_t part)
{
	return BIT_DIFF | (uint64_t)pair << NUMBER_SHIFT | (uint64_t)kind << KIND_SHIFT | part;
}

uint64_t ino_of_diff_mirror(uint64_t directory_ino)
{
	if (directory_ino == 0)
		return INO_DIFF;
	return BIT_DIFF | BIT_MIRROR | (directory_ino >> HASH_LOST & HASH_MASK);
}

uint32_t diff_number_of(const struct node *node)
{
	return (uint32_t)((node->ino & (BIT_MIRROR - 1)) >> NUMBER_SHIFT);
}

enum diff_kind diff_kind_of(const struct node *node)
{
	return (enum diff_kind)(node->ino >> KIND_SHIFT & KIND_MASK);
}

uint32_t diff_part_of(const struct node *node)
{
	return (uint32_t)node->ino;
}

char *diff_why_kept(struct fs *fs, const struct node *directory, const struct node *node, const char *name,
                    char **ret_path)
{
	*ret_path = node_path_below(fs, directory, name);
	return mem_strdup(DIFF_NAME "/ only shows what is in the backups: remove them in backups/");
}

static void node_of_diff_directory(const struct catalog_entry *entry, struct node *ret)
{
	*ret = (struct node){
	        .ino = ino_of_diff_mirror(entry->ino), .class = &class_diff_directory, .entry = *entry};
}

int diff_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	uint64_t from = (ino & HASH_MASK) << HASH_LOST | OF_DIRECTORIES;
	struct catalog_entry entry;
	int r;

	if (!(ino & BIT_MIRROR))
		return diff_pair_load(fs, ino, ret);
	r = catalog_entry_near(fs->ctx.repository->catalog, from, from + (1 << HASH_LOST) - 1, &entry);
	if (r == 0)
		node_of_diff_directory(&entry, ret);
	return r;
}

static int find_diff_directory(struct fs *fs, const struct node *directory, const char *name,
                               struct node *ret)
{
	struct catalog_entry entry;
	int r = mirror_find_directory(fs, directory, name, &entry);

	if (r == 0)
		node_of_diff_directory(&entry, ret);
	return r;
}

static void show_diff_directory(const struct node *directory, const struct catalog_entry *entry,
                                struct node *ret)
{
	node_of_diff_directory(entry, ret);
}

static int list_diff_directories(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	int r = mirror_list_directories(fs, directory, after, l, show_diff_directory);

	return r < 0 ? r : 0;
}

const struct node_class class_diff = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .lookup = find_diff_directory,
        .list = list_diff_directories,
        .stat = mirror_stat,
        .path = fixed_directory_path,
        .why_kept = diff_why_kept,
};

/* Below it. A database comes before two dumps of that name. */

static int find_pair_by_name(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	char name_a[NAME_MAX_BYTES], name_b[NAME_MAX_BYTES];
	struct catalog_entry a, b;
	int r = diff_pair_name_parse(name, name_a, name_b);

	if (r == 0)
		r = catalog_dump_by_stem(catalog, directory->entry.ino, name_a, &a);
	if (r == 0)
		r = catalog_dump_by_stem(catalog, directory->entry.ino, name_b, &b);
	if (r == 0)
		node_of_pair(fs, &a, &b, true, ret);
	return r == -EINVAL ? -ENOENT : r;
}

static int diff_directory_lookup(struct fs *fs, const struct node *directory, const char *name,
                                 struct node *ret)
{
	int r = find_diff_directory(fs, directory, name, ret);

	return r == -ENOENT ? find_pair_by_name(fs, directory, name, ret) : r;
}

/* False: the page is full. */
static bool list_pair(struct fs *fs, const struct catalog_entry *a, const struct catalog_entry *b,
                      struct listing *l)
{
	char name[NAME_MAX_BYTES];
	struct node node;

	if (!diff_pair_name_format(a->name, b->name, name))
		return true;
	node_of_pair(fs, a, b, false, &node);
	return listing_add(l, name, &node, OFFSET_ARTIFACTS + b->sequence);
}

/* The page begins with the second dump of the last pair: it is the first one of the next. */
static int list_pairs(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	_cleanup(free) struct catalog_entry *page = mem_array(PAGE_ENTRIES, sizeof(*page));
	int64_t sequence = after >= OFFSET_ARTIFACTS ? after - OFFSET_ARTIFACTS - 1 : -1;
	struct catalog_entry before = {0};
	ssize_t count;

	while ((count = catalog_dump_entries(fs->ctx.repository->catalog, directory->entry.ino, sequence,
	                                     false, page, PAGE_ENTRIES)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			if (before.ino && !list_pair(fs, &before, &page[i], l))
				return 0;
			before = page[i];
			sequence = page[i].sequence;
		}
	}
	return (int)count;
}

static int diff_directory_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	int r = mirror_list_directories(fs, directory, after, l, show_diff_directory);

	return r == 0 ? list_pairs(fs, directory, after, l) : r < 0 ? r : 0;
}

static uint64_t diff_directory_parent(const struct node *directory)
{
	return ino_of_diff_mirror(directory->entry.parent_ino);
}

static char *diff_directory_path(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *path = catalog_path(fs->ctx.repository->catalog, node->entry.ino);

	return path ? mem_printf(DIFF_NAME "%s", path + strcspn(path, "/")) : NULL;
}

const struct node_class class_diff_directory = {
        .type = S_IFDIR,
        .lookup = diff_directory_lookup,
        .list = diff_directory_list,
        .parent = diff_directory_parent,
        .stat = mirror_stat,
        .path = diff_directory_path,
        .why_kept = diff_why_kept,
};

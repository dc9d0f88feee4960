// SPDX-License-Identifier: Apache-2.0
/*
 * history/: its directories. They are those of backups/. Listed are the tables of the newest dump of which tables were counted, since to
 * find all that any backup ever had would read them all; found by its name is each table that any backup has. The
 * kernel keeps nothing of it, so that it follows what is made and removed.
 */
#include "history.h"

#include "dir.h"
#include "inside.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The bits of such a number: see node.h. Of a directory's hash the lowest five are left out, and found again by a range. */
#define BITS_HISTORY   (UINT64_C(7) << 58)
#define BIT_LINK       (UINT64_C(1) << 57)
#define BIT_MIRROR     (UINT64_C(1) << 56)
#define HASH_LOST      5
#define HASH_MASK      (BIT_MIRROR - 1)
#define OF_DIRECTORIES (UINT64_C(1) << 62)

uint64_t ino_of_history(uint64_t directory_ino)
{
	if (directory_ino == 0)
		return INO_HISTORY;
	return BITS_HISTORY | BIT_MIRROR | (directory_ino >> HASH_LOST & HASH_MASK);
}

uint64_t ino_of_history_table(uint64_t directory_ino, const char *name)
{
	_cleanup(free) char *text = mem_printf("%016" PRIx64 "/%s", directory_ino, name);

	return BITS_HISTORY | (hash64(text) & HASH_MASK);
}

uint64_t ino_of_version(uint64_t table_ino, uint64_t dump_ino)
{
	char text[40];

	snprintf(text, sizeof(text), "%016" PRIx64 "/%016" PRIx64, table_ino, dump_ino);
	return BITS_HISTORY | BIT_LINK | (hash64(text) & HASH_MASK);
}

static void node_of_history(const struct catalog_entry *entry, struct node *ret)
{
	*ret = (struct node){
	        .ino = ino_of_history(entry->ino), .class = &class_history_directory, .entry = *entry};
}

int history_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	uint64_t from = (ino & HASH_MASK) << HASH_LOST | OF_DIRECTORIES;
	struct catalog_entry entry;
	int r;

	if (ino & BIT_LINK)
		return history_link_load(fs, ino, ret);
	if (!(ino & BIT_MIRROR))
		return history_table_load(fs, ino, ret);
	r = catalog_entry_near(fs->ctx.repository->catalog, from, from + (1 << HASH_LOST) - 1, &entry);
	if (r == 0)
		node_of_history(&entry, ret);
	return r;
}

char *history_path_of(struct fs *fs, uint64_t directory_ino)
{
	_cleanup(free) char *path = catalog_path(fs->ctx.repository->catalog, directory_ino);

	return path ? mem_printf(HISTORY_NAME "%s", path + strcspn(path, "/")) : NULL;
}

char *history_why_kept(struct fs *fs, const struct node *directory, const struct node *node, const char *name,
                       char **ret_path)
{
	*ret_path = node_path_below(fs, directory, name);
	return mem_strdup(HISTORY_NAME "/ only shows what is in the backups: remove them in backups/");
}

static int find_history_directory(struct fs *fs, const struct node *directory, const char *name,
                                  struct node *ret)
{
	struct catalog_entry entry;
	int r = mirror_find_directory(fs, directory, name, &entry);

	if (r == 0)
		node_of_history(&entry, ret);
	return r;
}

static void show_history(const struct node *directory, const struct catalog_entry *entry, struct node *ret)
{
	node_of_history(entry, ret);
}

static int list_directories_alone(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	int r = mirror_list_directories(fs, directory, after, l, show_history);

	return r < 0 ? r : 0;
}

const struct node_class class_history = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .lookup = find_history_directory,
        .list = list_directories_alone,
        .stat = mirror_stat,
        .path = fixed_directory_path,
        .why_kept = history_why_kept,
};

/* Below it. A database and a table of one name: the database is found. */

static int history_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	int r = find_history_directory(fs, directory, name, ret);

	return r == -ENOENT ? history_table_find(fs, directory, name, ret) : r;
}

/* False: the page is full. */
static bool list_history_table(struct inside_dump *dump, const struct node *directory,
                               const struct inside_table *table, struct listing *l)
{
	char name[NAME_MAX_BYTES];
	struct node node;

	inside_table_file(dump, table, name);
	name[strlen(name) - strlen(ROWS_SUFFIX)] = '\0';
	node_of_history_table(directory, name, &node);
	return listing_add(l, name, &node, OFFSET_ARTIFACTS + table->number);
}

static int list_history_tables(struct inside_dump *dump, const struct node *directory, off_t after,
                               struct listing *l, struct error *err)
{
	uint32_t number = after > OFFSET_ARTIFACTS ? (uint32_t)(after - OFFSET_ARTIFACTS) : 0;

	while (number++ < inside_tables(dump)) {
		_cleanup(inside_table) struct inside_table table = {0};
		int r = inside_table(dump, number, &table, err);

		if (r < 0)
			return r;
		if (!list_history_table(dump, directory, &table, l))
			return 0;
	}
	return 0;
}

static int list_newest(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	_cleanup(inside_dump) struct inside_dump *dump = NULL;
	struct node of_dump;
	struct error err = {0};
	int r = history_newest_open(fs, directory, &of_dump, &dump);

	if (r != 0)
		return r < 0 ? r : 0;
	r = list_history_tables(dump, directory, after, l, &err);
	return r < 0 ? inside_failed(fs, &of_dump, node_path(fs, directory), r, &err) : 0;
}

static int history_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	int r = mirror_list_directories(fs, directory, after, l, show_history);

	return r == 0 ? list_newest(fs, directory, after, l) : r < 0 ? r : 0;
}

static uint64_t history_parent(const struct node *directory)
{
	return ino_of_history(directory->entry.parent_ino);
}

static char *history_path(struct fs *fs, const struct node *node)
{
	return history_path_of(fs, node->entry.ino);
}

const struct node_class class_history_directory = {
        .type = S_IFDIR,
        .waits = true,
        .lookup = history_lookup,
        .list = history_list,
        .parent = history_parent,
        .stat = mirror_stat,
        .path = history_path,
        .why_kept = history_why_kept,
};

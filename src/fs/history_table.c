// SPDX-License-Identifier: Apache-2.0
/*
 * The directory of a table in history/: a link to each backup in which the table is another than in the backup before. What a table was in the
 * backups of its directory is read from their .tables.csv, one after the other, when somebody first looks at the table; the
 * catalog keeps that, so that only newer backups are read later. A backup that says nothing of its tables is passed over.
 */
#include "dir.h"
#include "history.h"
#include "inside.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/table_name.h>
#include <keepfs/use/counted.h>

#include <errno.h>
#include <string.h>

#define PAGE_COUNTS 64

void node_of_history_table(const struct node *directory, const char *name, struct node *ret)
{
	*ret = (struct node){.ino = ino_of_history_table(directory->entry.ino, name),
	                     .class = &class_history_table,
	                     .entry = directory->entry,
	                     .cancel = directory->cancel,
	                     .in_haste = directory->in_haste};
}

int history_table_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	struct catalog_history_table table;
	struct node node = {.ino = ino, .class = &class_history_table};
	int r = catalog_history_table(fs->ctx.repository->catalog, ino, &table);

	if (r == 0)
		r = catalog_entry_by_ino(fs->ctx.repository->catalog, table.directory_ino, &node.entry);
	if (r == 0)
		*ret = node;
	return r;
}

static void node_of_version(const struct catalog_history_count *version, struct node *ret)
{
	*ret = (struct node){.ino = version->ino, .class = &class_history_link, .entry = version->dump};
}

int history_link_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	struct catalog_history_table table;
	struct node node = {.ino = ino, .class = &class_history_link};
	int r = catalog_history_link(fs->ctx.repository->catalog, ino, &table, &node.entry);

	if (r == 0)
		*ret = node;
	return r;
}

/* Reading what was counted. */

/* What is wrong with the counts of one backup keeps nobody from those of the others; a store that does not answer does. */
static int note_no_counts(struct fs *fs, const struct catalog_entry *dump, const char *path, int r,
                          const struct error *err)
{
	if (r == -ECANCELED || err->class == ERROR_CANCELLED)
		return -ECANCELED;
	if (err->class == ERROR_NOT_FOUND || err->class == ERROR_USAGE)
		return 0;
	note_read_failure(fs, dump->ino, path, r, err->damage, err);
	return err->class == ERROR_CORRUPT ? 0 : -EIO;
}

static int read_counts_of(struct fs *fs, const struct node *node, const struct catalog_history_table *table,
                          struct catalog_history_count *ret)
{
	_cleanup(free) char *file = mem_printf("%s" ROWS_SUFFIX, table->name);
	_cleanup(free) char *path = catalog_path(fs->ctx.repository->catalog, ret->dump.ino);
	_cleanup(use_counting) struct use_counting *counting = use_counting_new_named(file);
	struct use_counted found;
	struct error err = {0};
	int r = use_counting_read(counting, fs->ctx.make, path ? path : "", node->cancel, &err);

	if (r == 0)
		r = use_counting_end(counting, &found, &err);
	if (r < 0)
		return note_no_counts(fs, &ret->dump, path, r, &err);
	ret->state = found.is_there ? CATALOG_HISTORY_THERE : CATALOG_HISTORY_NOT_THERE;
	ret->rows = found.rows.count;
	ret->bytes = found.rows.bytes;
	ret->hash = found.rows.hash;
	return 0;
}

static int keep_counts(struct fs *fs, const struct catalog_history_table *table,
                       const struct catalog_history_count *count)
{
	struct error err = {0};
	int r = catalog_history_put(fs->ctx.repository->catalog, table, count, 1, &err);

	if (r < 0 && r != -ESTALE)
		log_error("what was counted of a table could not be kept: %s", err.message);
	return r == -ESTALE || r == 0 ? r : -EIO;
}

/* Of each backup that is not known yet, the newest first: there may be thousands. */
static int learn_counts(struct fs *fs, const struct node *node, const struct catalog_history_table *table)
{
	struct catalog_history_count count;
	uint64_t last_ino = 0;
	int r = fs->ctx.make ? 0 : -EIO;

	while (r == 0) {
		count = (struct catalog_history_count){.state = CATALOG_HISTORY_NOT_KNOWN};
		r = catalog_history_lacking(fs->ctx.repository->catalog, table, &count.dump);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		if (node->in_haste)
			return -EAGAIN;
		count.ino = ino_of_version(table->ino, count.dump.ino);
		/* What was put has to be there then. */
		r = count.dump.ino == last_ino ? -EIO : read_counts_of(fs, node, table, &count);
		if (r == 0)
			r = keep_counts(fs, table, &count);
		last_ino = count.dump.ino;
	}
	return r;
}

/* Versions. */

struct walk { /* over those of a table, the oldest first */
	struct catalog *catalog;
	const struct catalog_history_table *table;
	struct use_versions seen;
	struct catalog_history_count *page; /* heap */
	ssize_t count, at;
	int64_t after;
};

static void cleanup_walk(struct walk *w)
{
	free(w->page);
}

static struct walk walk_begin(struct fs *fs, const struct catalog_history_table *table)
{
	return (struct walk){.catalog = fs->ctx.repository->catalog,
	                     .table = table,
	                     .page = mem_array(PAGE_COUNTS, sizeof(struct catalog_history_count)),
	                     .after = -1};
}

/* The next that was counted: 1; 0: there is none. */
static int take_history_step(struct walk *w, const struct catalog_history_count **ret)
{
	if (w->at == w->count) {
		w->at = 0;
		w->count = catalog_history_counts(w->catalog, w->table, w->after, w->page, PAGE_COUNTS);
		if (w->count <= 0)
			return (int)w->count;
	}
	*ret = &w->page[w->at++];
	w->after = (*ret)->dump.sequence;
	return 1;
}

static bool is_new_version(struct walk *w, const struct catalog_history_count *count)
{
	const struct use_counted found = {
	        .is_there = count->state == CATALOG_HISTORY_THERE,
	        .has_hash = true,
	        .rows = {.count = count->rows, .bytes = count->bytes, .hash = count->hash},
	};

	return count->state != CATALOG_HISTORY_NOT_KNOWN &&
	       use_versions_take(&w->seen, &found, count->is_partial) == USE_VERSION_OTHER && found.is_there;
}

/* The first backup of the next version: 1; 0: there is none. */
static int walk_next(struct walk *w, const struct catalog_history_count **ret)
{
	int r;

	while ((r = take_history_step(w, ret)) == 1)
		if (is_new_version(w, *ret))
			return 1;
	return r;
}

static bool has_stem_of(const struct catalog_entry *dump, const char *stem, size_t len)
{
	return strcspn(dump->name, ".") == len && strncmp(dump->name, stem, len) == 0;
}

/* Finding tables. */

int history_newest_open(struct fs *fs, const struct node *directory, struct node *ret_of,
                        struct inside_dump **ret)
{
	struct node of = {
	        .class = &class_inside_dump, .cancel = directory->cancel, .in_haste = directory->in_haste};
	struct error err = {0};
	int r = catalog_history_newest(fs->ctx.repository->catalog, directory->entry.ino, &of.entry);

	if (r < 0)
		return r == -ENOENT ? 1 : r;
	r = inside_dump_of(fs, &of, ret, &err);
	if (r != 0)
		return r < 0 ? r : 1;
	*ret_of = of;
	return 0;
}

/* 1, 0. Where it cannot be told the counts tell it. */
static int newest_has(struct fs *fs, const struct node *directory, const char *file)
{
	_cleanup(inside_dump) struct inside_dump *dump = NULL;
	struct node of;
	struct error err = {0};
	int r = history_newest_open(fs, directory, &of, &dump);

	if (r == 0)
		r = inside_has_file(dump, file, directory->cancel, &err);
	else if (r > 0)
		r = 0;
	return r == -ECANCELED || r == -EAGAIN || r >= 0 ? r : 0;
}

static int any_has(struct fs *fs, const struct node *node, const struct catalog_history_table *table)
{
	int r = learn_counts(fs, node, table);
	_cleanup(walk) struct walk w = walk_begin(fs, table);
	const struct catalog_history_count *version;

	return r < 0 ? r : walk_next(&w, &version);
}

/* One of SQL's tables, which are all in a schema. */
static bool is_table_name(const char *file)
{
	_cleanup(free) char *schema = NULL, *table = NULL;
	int r = table_name_parse(file, ROWS_SUFFIX, &schema, &table);

	return r == TABLE_NAME_CUT || (r == 0 && *schema && *table);
}

int history_table_find(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	struct catalog_history_table table = {.directory_ino = directory->entry.ino};
	_cleanup(free) char *file = mem_printf("%s" ROWS_SUFFIX, name);
	struct error err = {0};
	struct node node;
	int has, r;

	if (!is_table_name(file))
		return -ENOENT;
	node_of_history_table(directory, name, &node);
	table.ino = node.ino;
	str_copy(table.name, sizeof(table.name), name);
	has = newest_has(fs, directory, file);
	if (has < 0)
		return has;
	r = catalog_history_add(fs->ctx.repository->catalog, &table, &err);
	if (r < 0) {
		log_error("a table that was looked up could not be kept: %s", err.message);
		return -EIO;
	}
	if (!has)
		has = any_has(fs, &node, &table);
	if (has > 0)
		*ret = node;
	return has > 0 ? 0 : has < 0 ? has : -ENOENT;
}

/* The directory of a table. */

static int version_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	struct catalog_history_table table;
	const struct catalog_history_count *version;
	int r = str_ends(name, ROWS_SUFFIX)
	                ? catalog_history_table(fs->ctx.repository->catalog, directory->ino, &table)
	                : -ENOENT;
	_cleanup(walk) struct walk w = walk_begin(fs, &table);

	if (r == 0)
		r = learn_counts(fs, directory, &table);
	if (r < 0)
		return r;
	while ((r = walk_next(&w, &version)) == 1) {
		if (has_stem_of(&version->dump, name, strlen(name) - strlen(ROWS_SUFFIX))) {
			node_of_version(version, ret);
			return 0;
		}
	}
	return r < 0 ? r : -ENOENT;
}

/* False: the page is full. */
static bool list_version_link(const struct catalog_history_count *version, struct listing *l)
{
	size_t len = strcspn(version->dump.name, ".");
	char name[NAME_MAX_BYTES];
	struct node node;

	/* A name that has a suffix has room for this one. */
	if (len + strlen(ROWS_SUFFIX) >= sizeof(name))
		return true;
	snprintf(name, sizeof(name), "%.*s" ROWS_SUFFIX, (int)len, version->dump.name);
	node_of_version(version, &node);
	return listing_add(l, name, &node, OFFSET_ARTIFACTS + version->dump.sequence);
}

static int version_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	struct catalog_history_table table;
	const struct catalog_history_count *version;
	int r = catalog_history_table(fs->ctx.repository->catalog, directory->ino, &table);
	_cleanup(walk) struct walk w = walk_begin(fs, &table);

	if (r == 0)
		r = learn_counts(fs, directory, &table);
	if (r < 0)
		return r;
	while ((r = walk_next(&w, &version)) == 1)
		if (OFFSET_ARTIFACTS + version->dump.sequence > after && !list_version_link(version, l))
			return 0;
	return r;
}

static uint64_t history_table_parent(const struct node *directory)
{
	return ino_of_history(directory->entry.ino);
}

static int history_table_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode & ~(mode_t)0222;
	st->st_nlink = 2;
	if (node->entry.mtime_us)
		*mtime_us = node->entry.mtime_us;
	return 0;
}

static char *path_of_table(struct fs *fs, const struct catalog_history_table *table)
{
	_cleanup(free) char *path = history_path_of(fs, table->directory_ino);

	return path ? mem_printf("%s/%s", path, table->name) : NULL;
}

static char *history_table_path(struct fs *fs, const struct node *node)
{
	struct catalog_history_table table;

	return catalog_history_table(fs->ctx.repository->catalog, node->ino, &table) == 0
	               ? path_of_table(fs, &table)
	               : NULL;
}

/* It gets its row when it is looked up. */
const struct node_class class_history_table = {
        .type = S_IFDIR,
        .waits = true,
        .stat_is_costly = true,
        .lookup = version_lookup,
        .list = version_list,
        .parent = history_table_parent,
        .stat = history_table_stat,
        .path = history_table_path,
        .why_kept = history_why_kept,
};

/* Links. */

/* history/full/public.orders/20261120T020000Z.tsv → ../../../inside/full/20261120T020000Z/tables/public.orders.tsv */
static int version_readlink(struct fs *fs, const struct node *node, char ret_target[static NODE_TARGET_BYTES])
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	struct catalog_history_table table;
	struct catalog_entry dump;
	_cleanup(free) char *path = catalog_path(catalog, node->entry.ino);
	_cleanup(str) struct str target = {0};
	int r = path ? catalog_history_link(catalog, node->ino, &table, &dump) : -ENOENT;

	if (r < 0)
		return r;
	for (const char *at = path; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL)
		str_append(&target, "../");
	*strchrnul(strrchr(path, '/'), '.') = '\0';
	str_appendf(&target, INSIDE_NAME "%s/" TABLES_NAME "/%s" ROWS_SUFFIX, path + strcspn(path, "/"),
	            table.name);
	if (target.len >= NODE_TARGET_BYTES)
		return -ENAMETOOLONG;
	str_copy(ret_target, NODE_TARGET_BYTES, str_text(&target));
	return 0;
}

static int version_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	char target[NODE_TARGET_BYTES];
	int r = version_readlink(fs, node, target);

	if (r < 0)
		return r;
	st->st_mode |= 0777;
	st->st_size = (off_t)strlen(target);
	*mtime_us = node->entry.mtime_us;
	return 0;
}

static char *version_path(struct fs *fs, const struct node *node)
{
	struct catalog_history_table table;
	struct catalog_entry dump;
	_cleanup(free) char *path = NULL;

	if (catalog_history_link(fs->ctx.repository->catalog, node->ino, &table, &dump) < 0)
		return NULL;
	path = path_of_table(fs, &table);
	return path ? mem_printf("%s/%.*s" ROWS_SUFFIX, path, (int)strcspn(dump.name, "."), dump.name) : NULL;
}

const struct node_class class_history_link = {
        .type = S_IFLNK,
        .stat = version_stat,
        .path = version_path,
        .readlink = version_readlink,
        .why_kept = history_why_kept,
};

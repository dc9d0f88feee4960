// SPDX-License-Identifier: Apache-2.0
/*
 * The directory of two dumps in diff/: a summary, what differs in the schemas, and for each table that differs, or may, the rows that only one of the two has. Which
 * tables do is told by what was counted of them, so listing them reads no rows; what is in the files is compared when somebody asks for one, or for its size.
 */
#include "diff.h"
#include "dir.h"
#include "inside.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/inside.h>
#include <keepfs/codec/table_name.h>

#include <errno.h>
#include <string.h>

#define FILES_OF_TABLE 2 /* offsets leave room for so many */
#define OFFSET_ROWS    OFFSET_NUMBERED
#define OFFSET_GONE                                                                                          \
	(INT64_C(1) << 40) /* behind them: tables that only the first dump has, by their number in it */
#define FIXED_FILES 2

static struct diff_pair_id id_of_entries(const struct catalog_entry *a, const struct catalog_entry *b)
{
	return (struct diff_pair_id){.inos = {a->ino, b->ino}, .finished_at_us = {a->mtime_us, b->mtime_us}};
}

/* The row of the second, as secret as either and as new as the newer. */
static struct catalog_entry entry_of_both(const struct catalog_entry *a, const struct catalog_entry *b)
{
	struct catalog_entry entry = *b;

	entry.secret = a->secret || b->secret;
	if (a->mtime_us > entry.mtime_us)
		entry.mtime_us = a->mtime_us;
	return entry;
}

void node_of_pair(struct fs *fs, const struct catalog_entry *a, const struct catalog_entry *b, bool keeps,
                  struct node *ret)
{
	struct diff_pair_id id = id_of_entries(a, b);
	uint32_t number =
	        keeps ? diff_pairs_add(fs->diff_pairs, &id) : diff_pairs_number(fs->diff_pairs, &id);

	*ret = (struct node){.ino = ino_of_diff(number, DIFF_FIXED, PART_PAIR),
	                     .class = &class_diff_pair,
	                     .entry = entry_of_both(a, b),
	                     .bytes = INSIDE_NOT_KNOWN};
}

int diff_pair_id(struct fs *fs, const struct node *node, struct diff_pair_id *ret)
{
	return diff_pairs_find(fs->diff_pairs, diff_number_of(node), ret) ? 0 : -ENOENT;
}

/* Both rows, as long as they are of the same dumps. */
static int load_entries(struct fs *fs, const struct node *node, struct catalog_entry entries[2])
{
	struct diff_pair_id id;
	int r = diff_pair_id(fs, node, &id);

	for (int side = 0; r == 0 && side < 2; side++) {
		r = catalog_entry_by_ino(fs->ctx.repository->catalog, id.inos[side], &entries[side]);
		if (r == 0 && entries[side].mtime_us != id.finished_at_us[side])
			r = -ENOENT;
	}
	return r;
}

static int class_of_part(struct node *node)
{
	if (diff_kind_of(node) == DIFF_FIXED && diff_part_of(node) == PART_PAIR)
		node->class = &class_diff_pair;
	else if (diff_kind_of(node) > DIFF_REMOVED ||
	         (diff_kind_of(node) == DIFF_FIXED && diff_part_of(node) > PART_SCHEMA_DIFF))
		return -ENOENT;
	else
		node->class = &class_diff_file;
	return 0;
}

int diff_pair_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	struct node node = {.ino = ino, .bytes = INSIDE_NOT_KNOWN};
	struct catalog_entry entries[2];
	int r = class_of_part(&node);

	if (r == 0)
		r = load_entries(fs, &node, entries);
	if (r < 0)
		return r;
	node.entry = entry_of_both(&entries[DIFF_A], &entries[DIFF_B]);
	*ret = node;
	return 0;
}

char *diff_pair_path(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *path = NULL;
	struct catalog_entry entries[2];
	char name[NAME_MAX_BYTES];

	if (load_entries(fs, node, entries) < 0 ||
	    !diff_pair_name_format(entries[DIFF_A].name, entries[DIFF_B].name, name))
		return NULL;
	path = catalog_path(fs->ctx.repository->catalog, entries[DIFF_B].parent_ino);
	return path ? mem_printf(DIFF_NAME "%s/%s", path + strcspn(path, "/"), name) : NULL;
}

static bool pair_is_too_long(const struct fs *fs, const struct node *node, const struct diff_pair_id *id)
{
	struct node of_dump = {.in_haste = node->in_haste};
	bool is_long = false;

	for (int side = 0; side < 2; side++) {
		of_dump.entry.ino = id->inos[side];
		is_long = is_long || inside_is_too_long(fs, &of_dump);
	}
	return is_long;
}

int diff_open_pair(struct fs *fs, const struct node *node, struct diff **ret)
{
	const struct diff_options options = {.inside = fs->ctx.inside,
	                                     .catalog = fs->ctx.repository->catalog,
	                                     .state_dir = fs->ctx.conf->state_dir,
	                                     .cancel = node->cancel};
	enum diff_side failed = DIFF_B;
	struct diff_pair_id id;
	struct error err = {0};
	int r = diff_pair_id(fs, node, &id);

	if (r < 0)
		return r;
	if (pair_is_too_long(fs, node, &id))
		return -EAGAIN;
	r = fs->ctx.inside ? diff_open_found(&options, id.inos, ret, &failed, &err)
	                   : error_set(&err, ERROR_USAGE, ENOTSUP, "nothing looks into backups here");
	return r < 0 ? comparison_failed(fs, &id, failed, diff_pair_path(fs, node), r, &err) : 0;
}

static int table_failed(struct fs *fs, const struct node *node, int r, const struct error *err)
{
	struct diff_pair_id id;

	if (diff_pair_id(fs, node, &id) < 0)
		return -ESTALE;
	return comparison_failed(fs, &id, DIFF_B, diff_pair_path(fs, node), r, err);
}

/* Tables. */

/* Files of inside/: their dump gets its number there when somebody first looks. */
static int node_of_whole_table(struct fs *fs, const struct node *like, const struct diff *d,
                               enum diff_side side, const struct inside_table *table, struct node *ret)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	struct node of_dump = {.cancel = like->cancel, .in_haste = like->in_haste};
	struct error err = {0};
	uint32_t number;
	int r = catalog_entry_by_ino(catalog, diff_backup(d, side)->ino, &of_dump.entry);

	if (r == 0)
		r = catalog_inside_number(catalog, of_dump.entry.ino, &number, &err);
	if (r < 0) {
		if (r != -ENOENT)
			log_error("the number of a dump could not be kept: %s", err.message);
		return r;
	}
	of_dump.ino = ino_inside(number, INSIDE_FIXED, 0);
	node_of_rows(&of_dump, table, ret);
	ret->is_second_name = true;
	return 0;
}

/* What @side has and the other has not, of a table: 0; -ENOENT: there is no such file, since nothing differs, or it cannot be told. */
static int node_of_side(struct fs *fs, const struct node *like, struct diff *d, enum diff_side side,
                        const struct diff_table *table, struct node *ret)
{
	if (table->state == DIFF_NEW || table->state == DIFF_GONE)
		return (table->state == DIFF_NEW) == (side == DIFF_B)
		               ? node_of_whole_table(fs, like, d, side, side == DIFF_B ? table->b : table->a,
		                                     ret)
		               : -ENOENT;
	if (table->state == DIFF_SAME || diff_check_rows(d, table, NULL) < 0)
		return -ENOENT;
	node_of_diff_file(fs, like, side == DIFF_B ? DIFF_ADDED : DIFF_REMOVED, table->b->number, ret);
	return 0;
}

static const char *suffix_of_side(enum diff_side side)
{
	return side == DIFF_B ? ADDED_SUFFIX : REMOVED_SUFFIX;
}

/* A name that was cut does not say what it is of. */
static int find_cut_name(struct inside_dump *dump, const char *name, const char *suffix,
                         struct cancel *cancel, uint32_t *ret, struct error *err)
{
	for (uint32_t number = 1; number <= inside_tables(dump); number++) {
		_cleanup(inside_table) struct inside_table table = {0};
		char its_name[NAME_MAX_BYTES];
		int r = cancel_is_set(cancel) ? -ECANCELED : inside_table(dump, number, &table, err);

		if (r < 0)
			return r;
		table_name_format(table.schema, table.table, suffix, its_name);
		if (strcmp(its_name, name) == 0) {
			*ret = number;
			return 0;
		}
	}
	return -ENOENT;
}

static int find_table_by_name(struct inside_dump *dump, const char *name, const char *suffix,
                              struct cancel *cancel, uint32_t *ret, struct error *err)
{
	_cleanup(free) char *schema = NULL, *table = NULL;
	int r = table_name_parse(name, suffix, &schema, &table);

	if (r == TABLE_NAME_CUT)
		return find_cut_name(dump, name, suffix, cancel, ret, err);
	if (r == 0)
		r = inside_find_table(dump, schema, table, ret);
	return r == -EINVAL || r == -ENOTUNIQ ? -ENOENT : r;
}

static int find_file_of_table(struct fs *fs, const struct node *directory, enum diff_side side,
                              const char *name, struct node *ret)
{
	_cleanup(diff) struct diff *d = NULL;
	_cleanup(diff_looked) struct diff_looked table = {0};
	struct error err = {0};
	uint32_t number = 0;
	int r = diff_open_pair(fs, directory, &d);

	if (r < 0)
		return r;
	r = find_table_by_name(diff_backup(d, side)->dump, name, suffix_of_side(side), directory->cancel,
	                       &number, &err);
	if (r == 0)
		r = diff_look(d, side, number, &table, &err);
	if (r == 0)
		r = node_of_side(fs, directory, d, side, &table.table, ret);
	if (r == DIFF_SEVERAL)
		return -ENOENT;
	return r < 0 && r != -ENOENT ? table_failed(fs, directory, r, &err) : r;
}

static const struct fixed_file {
	const char *name;
	uint32_t part;
} fixed_files[FIXED_FILES] = {{SUMMARY_NAME, PART_SUMMARY}, {SCHEMA_DIFF_NAME, PART_SCHEMA_DIFF}};

/* Of the older of the two, or, where only that has something to say, of the other one. */
static int node_of_erased(struct fs *fs, const struct node *directory, struct node *ret)
{
	struct catalog_entry entries[2];
	int r = load_entries(fs, directory, entries);

	for (int side = 0; r == 0 && side < 2; side++)
		if (inside_erased_of(fs, directory, &entries[side], ret) == 0)
			return 0;
	return r < 0 ? r : -ENOENT;
}

static int pair_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	for (size_t i = 0; i < FIXED_FILES; i++) {
		if (strcmp(name, fixed_files[i].name) == 0) {
			node_of_diff_file(fs, directory, DIFF_FIXED, fixed_files[i].part, ret);
			return 0;
		}
	}
	if (strcmp(name, ERASED_NAME) == 0)
		return node_of_erased(fs, directory, ret);
	if (str_ends(name, ADDED_SUFFIX))
		return find_file_of_table(fs, directory, DIFF_B, name, ret);
	if (str_ends(name, REMOVED_SUFFIX))
		return find_file_of_table(fs, directory, DIFF_A, name, ret);
	return -ENOENT;
}

/* Listing. */

struct rows_page {
	struct fs *fs;
	const struct node *directory;
	struct diff *diff;
	off_t after;
	struct listing *listing;
};

/* 1: the page is full; negative errno. */
static int list_side(const struct rows_page *p, enum diff_side side, const struct diff_table *table,
                     off_t offset)
{
	char name[NAME_MAX_BYTES];
	struct node node;
	int r;

	if (offset <= p->after)
		return 0;
	r = node_of_side(p->fs, p->directory, p->diff, side, table, &node);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	table_name_format(table->schema, table->table, suffix_of_side(side), name);
	return !listing_add(p->listing, name, &node, offset);
}

/* The tables of one dump: of the second all, of the first those that are gone. */
static int list_tables_of(const struct rows_page *p, enum diff_side of, off_t first, struct error *err)
{
	uint32_t count = inside_tables(diff_backup(p->diff, of)->dump);
	uint32_t number = p->after <= first ? 1 : (uint32_t)((p->after - first) / FILES_OF_TABLE);
	int r = 0;

	for (number = number > 0 ? number : 1; r == 0 && number <= count; number++) {
		_cleanup(diff_looked) struct diff_looked table = {0};
		off_t offset = first + (off_t)number * FILES_OF_TABLE;
		int found = cancel_is_set(p->directory->cancel) ? -ECANCELED
		                                                : diff_look(p->diff, of, number, &table, err);

		if (found < 0 && found != -ENOENT)
			return found;
		if (found != 0 || (of == DIFF_A && table.table.b))
			continue;
		r = list_side(p, DIFF_B, &table.table, offset);
		if (r == 0)
			r = list_side(p, DIFF_A, &table.table, offset + 1);
	}
	return r;
}

static int list_rows(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	_cleanup(diff) struct diff *d = NULL;
	struct rows_page page = {.fs = fs, .directory = directory, .after = after, .listing = l};
	struct error err = {0};
	int r = diff_open_pair(fs, directory, &d);

	if (r < 0)
		return r;
	page.diff = d;
	if (after < OFFSET_GONE)
		r = list_tables_of(&page, DIFF_B, OFFSET_ROWS, &err);
	if (r == 0)
		r = list_tables_of(&page, DIFF_A, OFFSET_GONE, &err);
	return r < 0 ? table_failed(fs, directory, r, &err) : 0;
}

static int pair_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	for (unsigned i = listing_position(after); i < FIXED_FILES; i++) {
		struct node node;

		node_of_diff_file(fs, directory, DIFF_FIXED, fixed_files[i].part, &node);
		if (!listing_add(l, fixed_files[i].name, &node, OFFSET_FIXED + (off_t)i))
			return 0;
	}
	if (listing_position(after) <= FIXED_FILES) {
		struct node node;

		if (node_of_erased(fs, directory, &node) == 0 &&
		    !listing_add(l, ERASED_NAME, &node, OFFSET_FIXED + FIXED_FILES))
			return 0;
	}
	return list_rows(fs, directory, after, l);
}

static int pair_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= inside_dir_mode(fs, node);
	st->st_nlink = 2;
	*mtime_us = node->entry.mtime_us;
	return 0;
}

static uint64_t pair_parent(const struct node *directory)
{
	return ino_of_diff_mirror(directory->entry.parent_ino);
}

/* It gets its number when it is looked up. */
const struct node_class class_diff_pair = {
        .type = S_IFDIR,
        .waits = true,
        .stat_is_costly = true,
        .lookup = pair_lookup,
        .list = pair_list,
        .parent = pair_parent,
        .stat = pair_stat,
        .path = diff_pair_path,
        .why_kept = diff_why_kept,
};

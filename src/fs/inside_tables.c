// SPDX-License-Identifier: Apache-2.0
/*
 * tables/ and blobs/ of a dump, and their files as nodes. A table is found by its name, listed by its number; nothing is kept of a
 * directory that is being read but the number of the table that comes next.
 */
#include "dir.h"
#include "inside.h"
#include "inside_csv.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/inside.h>
#include <keepfs/codec/table_name.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a table is shown as: in this order. */
static const struct shown {
	enum inside_kind kind;
	const char *suffix;
} shown_as[] = {
        {INSIDE_TSV, ROWS_SUFFIX},
        {INSIDE_CSV, ".csv"},
};
#define SHOWN_MAX 4 /* offsets leave room for so many */

_Static_assert(ARRAY_SIZE(shown_as) <= SHOWN_MAX, "each has an offset of its own");

static const char *shown_suffix(enum inside_kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(shown_as); i++)
		if (shown_as[i].kind == kind)
			return shown_as[i].suffix;
	return NULL;
}

/* What is remembered of a size, and under which number. */
static uint64_t size_part(const struct node *node)
{
	return (uint64_t)inside_kind_of(node) << 32 | inside_part_of(node);
}

static void node_of_table(const struct node *directory, const struct shown *shown,
                          const struct inside_table *table, struct node *ret)
{
	node_inside(directory, shown->kind, table->number, ret);
	ret->class = &class_inside_table;
	if (shown->kind == INSIDE_TSV)
		ret->bytes = table->bytes;
}

void node_of_rows(const struct node *like, const struct inside_table *table, struct node *ret)
{
	node_of_table(like, &shown_as[0], table, ret);
}

int inside_file_load(struct fs *fs, struct node *ret)
{
	if (inside_kind_of(ret) == INSIDE_BLOB)
		ret->class = &class_inside_blob;
	else if (shown_suffix(inside_kind_of(ret)))
		ret->class = &class_inside_table;
	else
		return -ENOENT;
	return 0;
}

/*
 * The name of a table's file. SQL of other makers may have the rows of one table in several places: those that come later have the
 * number of the table behind a mark that no table's name has, so that each is there.
 */
#define AGAIN_MARK "%+"

static void format_name(struct inside_dump *dump, const struct inside_table *table, const char *suffix,
                        char ret[static NAME_MAX_BYTES])
{
	char again[32];
	uint32_t first = table->number;

	(void)inside_find_table(dump, table->schema, table->table, &first);
	if (first != table->number)
		snprintf(again, sizeof(again), "%s%" PRIu32 "%s", AGAIN_MARK, table->number, suffix);
	table_name_format(table->schema, table->table, first != table->number ? again : suffix, ret);
}

int inside_file_name(struct inside_dump *dump, const struct node *node, char ret[static NAME_MAX_BYTES])
{
	_cleanup(inside_table) struct inside_table table = {0};
	int r;

	if (inside_kind_of(node) == INSIDE_BLOB) {
		snprintf(ret, NAME_MAX_BYTES, "%u", inside_part_of(node));
		return 0;
	}
	r = inside_table(dump, inside_part_of(node), &table, NULL);
	if (r == 0)
		format_name(dump, &table, shown_suffix(inside_kind_of(node)), ret);
	return r;
}

/* tables/. */

/* A name that was cut does not say what it is of. */
static int find_cut_table(struct inside_dump *dump, const struct shown *shown, const char *name,
                          struct cancel *cancel, uint32_t *ret_number, struct error *err)
{
	for (uint32_t number = 1; number <= inside_tables(dump); number++) {
		_cleanup(inside_table) struct inside_table table = {0};
		char its_name[NAME_MAX_BYTES];
		int r = cancel_is_set(cancel) ? -ECANCELED : inside_table(dump, number, &table, err);

		if (r < 0)
			return r;
		format_name(dump, &table, shown->suffix, its_name);
		if (strcmp(its_name, name) == 0) {
			*ret_number = number;
			return 0;
		}
	}
	return -ENOENT;
}

/* The table whose number is in the name, when that is its name. */
static int find_again(struct inside_dump *dump, const struct shown *shown, const char *name, uint32_t number,
                      struct inside_table *ret, struct error *err)
{
	_cleanup(inside_table) struct inside_table table = {0};
	char its_name[NAME_MAX_BYTES];
	int r = number <= inside_tables(dump) ? inside_table(dump, number, &table, err) : -ENOENT;

	if (r < 0)
		return r;
	format_name(dump, &table, shown->suffix, its_name);
	if (strcmp(its_name, name) != 0)
		return -ENOENT;
	*ret = table;
	table.schema = NULL;
	return 0;
}

/* Behind the last mark; 0: there is none. */
static uint32_t again_number(const char *name)
{
	const char *mark = NULL;

	for (const char *at = name; (at = strstr(at, AGAIN_MARK)); at++)
		mark = at;
	return mark ? (uint32_t)strtoul(mark + strlen(AGAIN_MARK), NULL, 10) : 0;
}

static int find_shown_table(struct inside_dump *dump, const struct shown *shown, const char *name,
                            struct cancel *cancel, struct inside_table *ret, struct error *err)
{
	_cleanup(free) char *schema = NULL, *table = NULL;
	uint32_t number = again_number(name);
	int r = table_name_parse(name, shown->suffix, &schema, &table);

	if (number > 0)
		return find_again(dump, shown, name, number, ret, err);
	if (r == -EINVAL)
		return -ENOENT;
	if (r == TABLE_NAME_CUT)
		r = find_cut_table(dump, shown, name, cancel, &number, err);
	else
		r = inside_find_table(dump, schema, table, &number);
	if (r == -ENOTUNIQ) /* the others have names of their own */
		r = 0;
	return r < 0 ? r : inside_table(dump, number, ret, err);
}

static const struct shown *shown_by(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(shown_as); i++)
		if (str_ends(name, shown_as[i].suffix))
			return &shown_as[i];
	return NULL;
}

void inside_table_file(struct inside_dump *dump, const struct inside_table *table,
                       char ret[static NAME_MAX_BYTES])
{
	format_name(dump, table, ROWS_SUFFIX, ret);
}

int inside_has_file(struct inside_dump *dump, const char *file, struct cancel *cancel, struct error *err)
{
	_cleanup(inside_table) struct inside_table table = {0};
	int r = str_ends(file, ROWS_SUFFIX)
	                ? find_shown_table(dump, shown_by(file), file, cancel, &table, err)
	                : -ENOENT;

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int tables_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	const struct shown *shown = shown_by(name);
	_cleanup(inside_dump) struct inside_dump *dump = NULL;
	_cleanup(inside_table) struct inside_table table = {0};
	struct error err = {0};
	int r = shown ? inside_dump_of(fs, directory, &dump, &err) : -ENOENT;

	if (r != 0)
		return r == INSIDE_UNKNOWN ? -ENOENT : r;
	r = find_shown_table(dump, shown, name, directory->cancel, &table, &err);
	if (r == 0)
		node_of_table(directory, shown, &table, ret);
	return r < 0 && r != -ENOENT ? inside_failed(fs, directory, node_path(fs, directory), r, &err) : r;
}

/* False: the page is full. */
static bool list_table(struct inside_dump *dump, const struct node *directory,
                       const struct inside_table *table, off_t after, struct listing *l)
{
	for (size_t i = 0; i < ARRAY_SIZE(shown_as); i++) {
		off_t offset = OFFSET_NUMBERED + (off_t)table->number * SHOWN_MAX + (off_t)i;
		char name[NAME_MAX_BYTES];
		struct node node;

		if (offset <= after)
			continue;
		format_name(dump, table, shown_as[i].suffix, name);
		node_of_table(directory, &shown_as[i], table, &node);
		if (!listing_add(l, name, &node, offset))
			return false;
	}
	return true;
}

static int list_shown_tables(struct inside_dump *dump, const struct node *directory, off_t after,
                             struct listing *l, struct error *err)
{
	uint32_t number = after < OFFSET_NUMBERED ? 1 : (uint32_t)((after - OFFSET_NUMBERED) / SHOWN_MAX);

	for (number = number > 0 ? number : 1; number <= inside_tables(dump); number++) {
		_cleanup(inside_table) struct inside_table table = {0};
		int r = inside_table(dump, number, &table, err);

		if (r < 0)
			return r;
		if (!list_table(dump, directory, &table, after, l))
			return 0;
	}
	return 0;
}

static int tables_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	_cleanup(inside_dump) struct inside_dump *dump = NULL;
	struct error err = {0};
	int r = inside_dump_of(fs, directory, &dump, &err);

	if (r != 0)
		return r == INSIDE_UNKNOWN ? 0 : r;
	r = list_shown_tables(dump, directory, after, l, &err);
	return r < 0 ? inside_failed(fs, directory, node_path(fs, directory), r, &err) : 0;
}

static int part_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= inside_dir_mode(fs, node);
	st->st_nlink = 2;
	*mtime_us = node->entry.mtime_us;
	return 0;
}

static uint64_t part_parent(const struct node *directory)
{
	return ino_of_dump_directory(directory->entry.ino);
}

static char *part_path(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *path = inside_path_of(fs, node);

	return path ? mem_printf("%s/%s", path,
	                         node->class == &class_inside_tables ? TABLES_NAME : BLOBS_NAME)
	            : NULL;
}

const struct node_class class_inside_tables = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .waits = true,
        .lookup = tables_lookup,
        .list = tables_list,
        .parent = part_parent,
        .stat = part_stat,
        .path = part_path,
        .why_kept = inside_why_kept,
};

/* blobs/. */

static void node_of_blob(const struct node *directory, const struct inside_blob *blob, struct node *ret)
{
	node_inside(directory, INSIDE_BLOB, blob->oid, ret);
	ret->class = &class_inside_blob;
	ret->bytes = blob->bytes;
}

/* An oid, as it is listed: without a sign or leading zeros. */
static bool parse_blob_name(const char *name, uint32_t *ret)
{
	uint64_t oid = 0;

	if (*name < '1' || *name > '9' || strlen(name) > 10)
		return false;
	for (; *name >= '0' && *name <= '9'; name++)
		oid = oid * 10 + (uint64_t)(*name - '0');
	if (*name || oid > UINT32_MAX)
		return false;
	*ret = (uint32_t)oid;
	return true;
}

static int blobs_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	_cleanup(inside_dump) struct inside_dump *dump = NULL;
	struct inside_blob blob;
	struct error err = {0};
	uint32_t oid = 0;
	int r = parse_blob_name(name, &oid) ? inside_dump_of(fs, directory, &dump, &err) : -ENOENT;

	if (r != 0)
		return r == INSIDE_UNKNOWN ? -ENOENT : r;
	if (directory->in_haste && !inside_knows_blob(dump, oid))
		return -EAGAIN;
	r = inside_find_blob(dump, oid, directory->cancel, &blob, &err);
	if (r == 0)
		node_of_blob(directory, &blob, ret);
	return r < 0 && r != -ENOENT ? inside_failed(fs, directory, node_path(fs, directory), r, &err) : r;
}

static int list_blobs(struct inside_dump *dump, const struct node *directory, off_t after, struct listing *l,
                      struct error *err)
{
	uint32_t index = after < OFFSET_NUMBERED ? 0 : (uint32_t)(after - OFFSET_NUMBERED) + 1, count;
	int r = inside_blobs(dump, directory->cancel, &count, err);

	for (; r == 0 && index < count; index++) {
		struct inside_blob blob;
		struct node node;
		char name[NAME_MAX_BYTES];

		r = inside_blob(dump, index, directory->cancel, &blob, err);
		if (r < 0)
			break;
		node_of_blob(directory, &blob, &node);
		snprintf(name, sizeof(name), "%u", blob.oid);
		if (!listing_add(l, name, &node, OFFSET_NUMBERED + (off_t)index))
			break;
	}
	return r;
}

static int blobs_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	_cleanup(inside_dump) struct inside_dump *dump = NULL;
	struct error err = {0};
	int r = inside_dump_of(fs, directory, &dump, &err);

	if (r != 0)
		return r == INSIDE_UNKNOWN ? 0 : r;
	if (directory->in_haste && !inside_lists_blobs(dump))
		return -EAGAIN;
	r = list_blobs(dump, directory, after, l, &err);
	return r < 0 ? inside_failed(fs, directory, node_path(fs, directory), r, &err) : 0;
}

const struct node_class class_inside_blobs = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .waits = true,
        .lookup = blobs_lookup,
        .list = blobs_list,
        .parent = part_parent,
        .stat = part_stat,
        .path = part_path,
        .why_kept = inside_why_kept,
};

/* Their files. */

static int measure(struct inside_dump *dump, const struct node *node, uint64_t *ret, struct error *err)
{
	_cleanup(inside_table) struct inside_table table = {0};
	struct inside_blob blob;
	int r;

	if (inside_kind_of(node) == INSIDE_BLOB) {
		r = inside_find_blob(dump, inside_part_of(node), node->cancel, &blob, err);
		if (r == 0)
			*ret = blob.bytes;
		return r;
	}
	if (inside_kind_of(node) == INSIDE_CSV)
		return inside_csv_measure(dump, inside_part_of(node), node->cancel, ret, err);
	r = inside_measure(dump, inside_part_of(node), node->cancel, &table, err);
	if (r == 0)
		*ret = table.bytes;
	return r;
}

/* Of a table whose rows were counted when the dump was made. */
static bool is_size_counted(struct inside_dump *dump, const struct node *node, uint64_t *ret)
{
	_cleanup(inside_table) struct inside_table table = {0};

	if (inside_kind_of(node) != INSIDE_TSV ||
	    inside_table(dump, inside_part_of(node), &table, NULL) < 0 || table.bytes == INSIDE_NOT_KNOWN)
		return false;
	*ret = table.bytes;
	return true;
}

int inside_bytes(struct fs *fs, const struct node *node, struct inside_dump *dump, uint64_t *ret,
                 struct error *err)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	struct error kept = {0};
	int r;

	if (node->bytes != INSIDE_NOT_KNOWN)
		*ret = node->bytes;
	if (node->bytes != INSIDE_NOT_KNOWN || is_size_counted(dump, node, ret) ||
	    catalog_inside_bytes(catalog, inside_number_of(node), size_part(node), ret) == 0)
		return 0;
	if (node->in_haste)
		return -EAGAIN;
	r = measure(dump, node, ret, err);
	if (r == 0 &&
	    catalog_set_inside_bytes(catalog, inside_number_of(node), size_part(node), *ret, &kept) < 0)
		log_warning("a size in a dump could not be remembered: %s", kept.message);
	return r;
}

static int find_bytes(struct fs *fs, const struct node *node, uint64_t *ret)
{
	_cleanup(inside_dump) struct inside_dump *dump = NULL;
	struct error err = {0};
	int r;

	if (node->bytes != INSIDE_NOT_KNOWN) {
		*ret = node->bytes;
		return 0;
	}
	/* Not even the dump need be opened for what is remembered. */
	if (catalog_inside_bytes(fs->ctx.repository->catalog, inside_number_of(node), size_part(node), ret) ==
	    0)
		return 0;
	r = inside_dump_of(fs, node, &dump, &err);
	if (r != 0)
		return r == INSIDE_UNKNOWN ? -EIO : r;
	r = inside_bytes(fs, node, dump, ret, &err);
	return r < 0 ? inside_failed(fs, node, node_path(fs, node), r, &err) : 0;
}

static int file_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	uint64_t bytes = 0;
	int r = find_bytes(fs, node, &bytes);

	if (r < 0)
		return r;
	st->st_mode |= file_permissions(fs, node) & 0444;
	st->st_size = (off_t)bytes;
	*mtime_us = node->entry.mtime_us;
	return 0;
}

static bool size_is_known(const struct node *node)
{
	return node->bytes != INSIDE_NOT_KNOWN;
}

static char *file_path(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *path = inside_path_of(fs, node);
	_cleanup(inside_dump) struct inside_dump *dump = NULL;
	bool is_blob = inside_kind_of(node) == INSIDE_BLOB;
	char name[NAME_MAX_BYTES];
	struct error err = {0};

	if (!path || !fs->ctx.inside || inside_is_too_long(fs, node) ||
	    inside_open(fs->ctx.inside, node->entry.ino, node->cancel, &dump, &err) < 0 ||
	    inside_file_name(dump, node, name) < 0)
		return path ? take_ptr(&path) : NULL;
	return mem_printf("%s/%s/%s", path, is_blob ? BLOBS_NAME : TABLES_NAME, name);
}

/* What was made never changes, and out of reach is what was removed. */
#define FILE_CLASS                                                                                           \
	.type = S_IFREG, .name_s = ATTR_FOREVER_S, .attributes_s = ATTR_FOREVER_S, .waits = true,            \
	.stat_is_known = size_is_known, .stat = file_stat, .path = file_path, .open = inside_file_open,      \
	.why_kept = inside_why_kept

const struct node_class class_inside_table = {FILE_CLASS};
const struct node_class class_inside_blob = {FILE_CLASS};

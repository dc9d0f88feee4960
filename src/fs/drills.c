// SPDX-License-Identifier: Apache-2.0
/* drills/: of each rehearsed restore a report for people and one for programs, the newest first. */
#include "dir.h"
#include "fs_private.h"
#include "made_file.h"
#include "text.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/report/drills.h>

#include <errno.h>
#include <string.h>

#define PAGE_DRILLS 32
#define NAME_BYTES  64

static int load_report(struct fs *fs, const struct node *node, struct catalog_drill *drill, char **ret_report)
{
	return catalog_find_drill(fs->ctx.repository->catalog, node->name, drill, ret_report);
}

static int write_drill_json(struct fs *fs, const struct node *node, struct spool *out)
{
	_cleanup(free) char *report = NULL;
	struct catalog_drill drill;
	int r = load_report(fs, node, &drill, &report);

	if (r < 0)
		return r;
	spool_append(out, report, strlen(report));
	return spool_error(out);
}

static int write_drill_text(struct fs *fs, const struct node *node, struct spool *out)
{
	_cleanup(free) char *report = NULL;
	struct catalog_drill drill;
	int r = load_report(fs, node, &drill, &report);

	return r < 0 ? r : report_drill_text(report, out);
}

static const struct made_file drill_rows[] = {
        {.number = 0, .name = ".json", .write = write_drill_json, .generation = text_constant},
        {.number = 1, .name = ".txt", .write = write_drill_text, .generation = text_constant},
};

static void node_of_drill(const struct catalog_drill *drill, unsigned row, struct node *ret)
{
	*ret = (struct node){
	        .ino = ino_of_drill(drill->id, row), .class = &class_drill_text, .file = &drill_rows[row]};
	ret->run.finished_at_us = drill->finished_at_us;
	str_copy(ret->name, sizeof(ret->name), drill->name);
}

int drill_load(struct fs *fs, int64_t id, unsigned row, struct node *ret)
{
	struct catalog_drill drill;
	ssize_t count;

	if (row >= ARRAY_SIZE(drill_rows))
		return -ENOENT;
	count = catalog_drills(fs->ctx.repository->catalog, NULL, id + 1, &drill, 1);
	if (count < 0)
		return (int)count;
	if (count == 0 || drill.id != id)
		return -ENOENT;
	node_of_drill(&drill, row, ret);
	return 0;
}

static int drill_text_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	int r = text_file_stat(fs, node, st, mtime_us);

	*mtime_us = node->run.finished_at_us;
	return r;
}

const struct node_class class_drill_text = {
        .type = S_IFREG, .name_s = ATTR_FOREVER_S, .stat = drill_text_stat, .open = text_file_open};

static int drills_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	for (unsigned row = 0; row < ARRAY_SIZE(drill_rows); row++) {
		_cleanup(free) char *stem = NULL, *report = NULL;
		struct catalog_drill drill;
		int r;

		if (!str_ends(name, drill_rows[row].name))
			continue;
		stem = mem_printf("%.*s", (int)(strlen(name) - strlen(drill_rows[row].name)), name);
		r = catalog_find_drill(fs->ctx.repository->catalog, stem, &drill, &report);
		if (r == 0)
			node_of_drill(&drill, row, ret);
		return r;
	}
	return -ENOENT;
}

/* Newest first; the offset is behind twice the number of the drill, and of its second file one less. */
static bool list_drill(struct listing *l, const struct catalog_drill *drill, off_t after)
{
	for (unsigned row = 0; row < ARRAY_SIZE(drill_rows); row++) {
		off_t offset = OFFSET_NUMBERED + 2 * (INT64_MAX / 8 - drill->id) + row;
		char name[NAME_BYTES];
		struct node node;

		if (offset <= after)
			continue;
		snprintf(name, sizeof(name), "%s%s", drill->name, drill_rows[row].name);
		node_of_drill(drill, row, &node);
		if (!listing_add(l, name, &node, offset))
			return false;
	}
	return true;
}

static int drills_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	/* That one was listed, or its first file. */
	int64_t before = after >= OFFSET_NUMBERED ? INT64_MAX / 8 - (after - OFFSET_NUMBERED) / 2 + 1 : 0;
	_cleanup(free) struct catalog_drill *page = mem_array(PAGE_DRILLS, sizeof(*page));
	ssize_t count;

	while ((count = catalog_drills(fs->ctx.repository->catalog, NULL, before, page, PAGE_DRILLS)) > 0) {
		for (ssize_t i = 0; i < count; i++)
			if (!list_drill(l, &page[i], after))
				return 0;
		before = page[count - 1].id;
	}
	return (int)count;
}

static int drills_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode;
	st->st_nlink = 2;
	return 0;
}

const struct node_class class_drills = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .lookup = drills_lookup,
        .list = drills_list,
        .stat = drills_stat,
        .path = fixed_directory_path,
};

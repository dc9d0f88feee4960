// SPDX-License-Identifier: Apache-2.0
/*
 * Directories are read by cursor: the offset that the kernel hands back says where to go on, so an open
 * directory holds no state and a directory of a million files costs no memory. Offsets:
 *
 *   1, 2                 after "." and ".."
 *   3 … 31               after a fixed or generated entry
 *   32 + sequence        after a subdirectory, or jobs/<run> (the run's number)
 *   bit 61 | sequence    after an artifact
 *   bit 62 | sequence    after a further file of an artifact
 *
 * An artifact that is a directory has only its files.
 */
#include "fs_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/runs.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OFFSET_FIXED     3
#define OFFSET_NUMBERED  32
#define OFFSET_ARTIFACTS (INT64_C(1) << 61)
#define OFFSET_FILES     (INT64_C(1) << 62)
#define PAGE_ENTRIES     256
#define SMALLEST_ENTRY   32  /* bytes that a directory entry takes at least */
#define SMALLEST_PLUS    160 /* with attributes */

/* The entries of one kind have the offsets from @base + the sequence 0 up to, not including, @end. */
struct range {
	enum catalog_kind kind;
	off_t base, end;
};

static const struct range ranges[] = {
        {CATALOG_DIRECTORY, OFFSET_NUMBERED, OFFSET_ARTIFACTS},
        {CATALOG_ARTIFACT, OFFSET_ARTIFACTS, OFFSET_FILES},
        {CATALOG_FILE, OFFSET_FILES, INT64_MAX},
};

struct listing {
	struct fs *fs;
	fuse_req_t req;
	char *buf;
	size_t size, used;
	bool plus;
	int failed; /* negative errno: the catalog could not tell the rest */
	struct node directory;
};

static mode_t type_of(const struct node *node)
{
	if (node_is_directory(node))
		return S_IFDIR;
	return node->kind == NODE_LATEST ? S_IFLNK : S_IFREG;
}

/* False when the buffer is full. */
static bool add(struct listing *l, const char *name, const struct node *node, off_t next_offset)
{
	struct fuse_entry_param param = {.attr.st_ino = node->ino, .attr.st_mode = type_of(node)};
	size_t need;

	if (l->plus) {
		/* What vanished since it was listed is left out; the rest goes on. A link's attributes may
		 * not be kept, so they would only be computed in vain: inode 0 leaves them to a lookup. */
		if (node->kind != NODE_LINK && node_entry_param(l->fs, node, &param) < 0)
			return true;
		need = fuse_add_direntry_plus(l->req, l->buf + l->used, l->size - l->used, name, &param,
		                              next_offset);
	} else {
		need = fuse_add_direntry(l->req, l->buf + l->used, l->size - l->used, name, &param.attr,
		                         next_offset);
	}
	if (need > l->size - l->used)
		return false;
	l->used += need;
	return true;
}

static uint64_t parent_of(const struct node *directory)
{
	uint64_t above = directory->entry.parent_ino;

	if (directory->kind == NODE_RUN)
		return INO_JOBS;
	if (directory->ino == INO_LINKED_BACKUPS)
		return INO_LINKS;
	if (directory->kind != NODE_DIRECTORY && directory->kind != NODE_ARTIFACT_DIRECTORY)
		return INO_ROOT;
	if (directory->mirrored)
		return above ? ino_link(above) : INO_LINKED_BACKUPS;
	return above ? above : INO_BACKUPS;
}

static bool add_dots(struct listing *l, off_t *off)
{
	struct node parent;

	if (*off < 1) {
		if (!add(l, ".", &l->directory, 1))
			return false;
		*off = 1;
	}
	if (*off < 2) {
		if (node_load(l->fs, parent_of(&l->directory), &parent) == 0 && !add(l, "..", &parent, 2))
			return false;
		*off = 2;
	}
	return true;
}

/* The entry at fixed position @index of the directory: 0 with @ret and its name, -ENOENT when there is none
 * there, 1 past the end. */
static int fixed_entry(struct listing *l, unsigned index, struct node *ret, char name[static NAME_MAX_BYTES])
{
	const struct node *d = &l->directory;
	struct catalog_entry target;
	int r;

	if (d->kind == NODE_ARTIFACT_DIRECTORY)
		return 1;
	if (d->kind == NODE_DIRECTORY) {
		if (index > 1)
			return 1;
		r = node_load(l->fs, index == 0 ? ino_latest(d->ino) : ino_sums(d->ino), ret);
		snprintf(name, NAME_MAX_BYTES, SUMS_NAME);
		return r == 0 && index == 0 ? node_latest(l->fs, d->entry.ino, &target, name) : r;
	}
	if (d->kind == NODE_RUN) {
		if (index >= RUN_FILE_COUNT - 1)
			return 1;
		snprintf(name, NAME_MAX_BYTES, "%s", run_file_name((enum run_file)(index + 1)));
		node_of_run(&d->run, (enum run_file)(index + 1), ret);
		return 0;
	}
	if (d->ino == INO_ROOT) {
		if (index > INO_LINKS - INO_BACKUPS)
			return 1;
		snprintf(name, NAME_MAX_BYTES, "%s", fixed_directory_name(INO_BACKUPS + index));
		return node_load(l->fs, INO_BACKUPS + index, ret);
	}
	if (d->ino == INO_LINKS) {
		snprintf(name, NAME_MAX_BYTES, "%s", fixed_directory_name(INO_LINKED_BACKUPS));
		return index > 0 ? 1 : node_load(l->fs, INO_LINKED_BACKUPS, ret);
	}
	if (node_is_listing(d) || d->ino == INO_JOBS || index >= FIXED_COUNT)
		return 1;
	if (fixed_parent((enum fixed_file)index) != d->ino)
		return -ENOENT;
	snprintf(name, NAME_MAX_BYTES, "%s", fixed_name((enum fixed_file)index));
	return node_load(l->fs, INO_FIXED + index, ret);
}

static bool add_fixed(struct listing *l, off_t *off)
{
	for (unsigned index = *off < OFFSET_FIXED ? 0 : (unsigned)(*off - OFFSET_FIXED + 1);; index++) {
		char name[NAME_MAX_BYTES];
		struct node node;
		int r = fixed_entry(l, index, &node, name);

		if (r > 0)
			break;
		if (r == 0 && !add(l, name, &node, OFFSET_FIXED + index))
			return false;
	}
	*off = OFFSET_NUMBERED - 1;
	return true;
}

static size_t page_entries(const struct listing *l)
{
	size_t fit = l->size / (l->plus ? SMALLEST_PLUS : SMALLEST_ENTRY) + 1;

	return fit < PAGE_ENTRIES ? fit : PAGE_ENTRIES;
}

/* The entries of one kind of a catalog directory, from @off on. False when no more fit, or can be read. */
static bool add_entries(struct listing *l, const struct range *range, off_t off)
{
	int64_t after = off >= range->base ? off - range->base : -1;
	size_t max = page_entries(l);
	_cleanup(free) struct catalog_entry *page = mem_array(max, sizeof(*page));
	ssize_t count;

	while ((count = catalog_entries(l->fs->ctx.catalog, l->directory.entry.ino, range->kind, after, page,
	                                max)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			struct node node;

			node_of_entry(&l->directory, &page[i], &node);
			if (!add(l, page[i].name, &node, range->base + page[i].sequence))
				return false;
			after = page[i].sequence;
		}
	}
	l->failed = (int)count;
	return count == 0;
}

/* jobs/, newest first. */
static void add_runs(struct listing *l, off_t off)
{
	int64_t before = off >= OFFSET_NUMBERED ? off - OFFSET_NUMBERED : 0;
	size_t max = page_entries(l) < 32 ? page_entries(l) : 32;
	_cleanup(free) struct catalog_run *page = mem_array(max, sizeof(*page));
	ssize_t count;

	/* The oldest run is number 1: "before 1" is the end, not the beginning. */
	if (off >= OFFSET_NUMBERED && before <= 1)
		return;
	while ((count = catalog_runs(l->fs->ctx.catalog, NULL, before, page, max)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			char name[24];
			struct node node;

			snprintf(name, sizeof(name), "%lld", (long long)page[i].id);
			node_of_run(&page[i], RUN_DIRECTORY, &node);
			if (!add(l, name, &node, OFFSET_NUMBERED + page[i].id))
				return;
			before = page[i].id;
		}
		if (before <= 1)
			return;
	}
	l->failed = (int)count;
}

static void fill(struct listing *l, off_t off)
{
	bool artifact = l->directory.kind == NODE_ARTIFACT_DIRECTORY;

	if (off < 2 && !add_dots(l, &off))
		return;
	if (off < OFFSET_NUMBERED - 1 && !add_fixed(l, &off))
		return;
	if (l->directory.ino == INO_JOBS)
		add_runs(l, off);
	for (size_t i = 0; node_is_listing(&l->directory) && i < ARRAY_SIZE(ranges); i++) {
		if (off >= ranges[i].end || (artifact && ranges[i].kind != CATALOG_FILE))
			continue;
		if (!add_entries(l, &ranges[i], off))
			return;
	}
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct listing l = {.fs = fs_of(req), .req = req, .size = size, .plus = plus};
	_cleanup(free) char *buf = mem_alloc(size);
	int r = node_load(l.fs, ino, &l.directory);

	if (r == 0 && !node_is_directory(&l.directory))
		r = -ENOTDIR;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	l.buf = buf;
	fill(&l, off);
	/* What was read is told; asked for more, the rest is an error: an empty answer would be the end. */
	if (l.failed < 0 && l.used == 0)
		fuse_reply_err(req, -l.failed);
	else
		fuse_reply_buf(req, l.buf, l.used);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, true);
}

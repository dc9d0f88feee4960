// SPDX-License-Identifier: Apache-2.0
/*
 * The fixed part of the tree: the root of the mount, which shows the roots of artifacts and the fixed
 * directories, and those of the latter that hold made files.
 */
#include "dir.h"
#include "fs_private.h"
#include "made_file.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>

#include <errno.h>
#include <string.h>

/* In the order in which they are listed, behind the roots. */
static const struct node_class class_status;

static const struct fixed_directory {
	uint64_t ino;
	const char *name;
	const struct node_class *class;
	const struct made_files *files; /* what it holds, when it is class_fixed_directory */
} fixed_directories[] = {
        {INO_JOBS, "jobs", &class_jobs, NULL},
        {INO_STATUS, "status", &class_status, &status_files},
        {INO_CONTROL, "control", &class_fixed_directory, &control_files},
        {INO_LINKS, LINKS_NAME, &class_links, NULL},
        {INO_TIERS, "tiers", &class_tiers, NULL},
        {INO_DRILLS, "drills", &class_drills, NULL},
        {INO_INSIDE, INSIDE_NAME, &class_inside, NULL},
        {INO_HISTORY, HISTORY_NAME, &class_history, NULL},
        {INO_DIFF, DIFF_NAME, &class_diff, NULL},
        {INO_COPIES, COPIES_NAME, &class_copies, NULL},
        {INO_INBOX, INBOX_NAME, &class_inbox, NULL},
        {INO_WAL, WAL_NAME, &class_wal, NULL},
};

static void node_of_directory(const struct fixed_directory *directory, struct node *ret)
{
	*ret = (struct node){.ino = directory->ino, .class = directory->class, .files = directory->files};
}

int root_load(struct fs *fs, const struct tree_root *root, bool links, struct node *ret)
{
	*ret = (struct node){.ino = links ? root->links_ino : root->ino,
	                     .class = links ? &class_linked_root : &class_root,
	                     .root = root};
	return catalog_entry_by_ino(fs->ctx.repository->catalog, root->catalog_ino, &ret->entry);
}

static int load_file(uint64_t ino, struct node *ret)
{
	for (size_t i = 0; ino >= INO_FIXED && i < ARRAY_SIZE(fixed_directories); i++) {
		const struct made_file *file = NULL;
		struct node directory;

		if (fixed_directories[i].files)
			file = made_file_at(fixed_directories[i].files, ino - INO_FIXED);
		if (file) {
			node_of_directory(&fixed_directories[i], &directory);
			node_of_made_file(&directory, file, ret);
			return 0;
		}
	}
	return -ENOENT;
}

static void node_of_evidence(struct node *ret)
{
	*ret = (struct node){.ino = INO_EVIDENCE, .class = &class_evidence};
}

int fixed_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	if (ino >= INO_QUARTERS)
		return quarter_load(ino, ret);
	if (ino == INO_EVIDENCE) {
		node_of_evidence(ret);
		return 0;
	}
	if (ino == INO_ROOT) {
		*ret = (struct node){.ino = ino, .class = &class_top};
		return 0;
	}
	for (size_t i = 0; i < tree_roots_shown; i++) {
		if (ino == tree_roots[i].ino)
			return root_load(fs, &tree_roots[i], false, ret);
		if (ino != 0 && ino == tree_roots[i].links_ino)
			return root_load(fs, &tree_roots[i], true, ret);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fixed_directories); i++) {
		if (ino == fixed_directories[i].ino) {
			node_of_directory(&fixed_directories[i], ret);
			return 0;
		}
	}
	return load_file(ino, ret);
}

/* The root of the mount. */

static int top_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	for (size_t i = 0; i < tree_roots_shown; i++) {
		if (strcmp(name, tree_roots[i].name) == 0)
			return root_load(fs, &tree_roots[i], false, ret);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fixed_directories); i++) {
		if (strcmp(name, fixed_directories[i].name) == 0) {
			node_of_directory(&fixed_directories[i], ret);
			return 0;
		}
	}
	return -ENOENT;
}

/* What stands at @position, from 0 on: its name, and its node; negative errno when it cannot be shown. */
static int top_entry(struct fs *fs, size_t position, const char **ret_name, struct node *ret)
{
	const struct fixed_directory *directory;

	if (position < tree_roots_shown) {
		*ret_name = tree_roots[position].name;
		return root_load(fs, &tree_roots[position], false, ret);
	}
	directory = &fixed_directories[position - tree_roots_shown];
	*ret_name = directory->name;
	node_of_directory(directory, ret);
	return 0;
}

static int top_list(struct fs *fs, const struct node *top, off_t after, struct listing *l)
{
	size_t count = tree_roots_shown + ARRAY_SIZE(fixed_directories);

	for (size_t i = listing_position(after); i < count; i++) {
		const char *name;
		struct node node;

		if (top_entry(fs, i, &name, &node) == 0 &&
		    !listing_add(l, name, &node, OFFSET_FIXED + (off_t)i))
			break;
	}
	return 0;
}

static int top_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode;
	st->st_nlink = 2 + tree_roots_shown + ARRAY_SIZE(fixed_directories);
	return 0;
}

static char *top_path(struct fs *fs, const struct node *node)
{
	return mem_strdup("");
}

const struct node_class class_top = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .lookup = top_lookup,
        .list = top_list,
        .stat = top_stat,
        .path = top_path,
};

/* status/ and control/. */

static int fixed_directory_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode;
	st->st_nlink = 2;
	return 0;
}

char *fixed_directory_path(struct fs *fs, const struct node *node)
{
	for (size_t i = 0; i < ARRAY_SIZE(fixed_directories); i++) {
		if (fixed_directories[i].ino == node->ino)
			return mem_strdup(fixed_directories[i].name);
	}
	return NULL;
}

const struct node_class class_fixed_directory = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .lookup = made_files_lookup,
        .list = made_files_list,
        .stat = fixed_directory_stat,
        .path = fixed_directory_path,
};

/* status/ has a directory between its files. */

static int status_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	if (strcmp(name, EVIDENCE_NAME) != 0)
		return made_files_lookup(fs, directory, name, ret);
	node_of_evidence(ret);
	return 0;
}

static int status_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	const off_t offset = OFFSET_FIXED + (off_t)(INO_EVIDENCE - INO_FIXED);
	struct node node;

	node_of_evidence(&node);
	if (!made_files_list_until(directory, after, (unsigned)(INO_EVIDENCE - INO_FIXED), l))
		return 0;
	if (after < offset) {
		if (!listing_add(l, EVIDENCE_NAME, &node, offset))
			return 0;
		after = offset;
	}
	return made_files_list(fs, directory, after, l);
}

static const struct node_class class_status = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .lookup = status_lookup,
        .list = status_list,
        .stat = fixed_directory_stat,
        .path = fixed_directory_path,
};

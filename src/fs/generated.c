// SPDX-License-Identifier: Apache-2.0
/*
 * What is made up in a directory of artifacts: the link to the latest one, and SHA256SUMS. They are there
 * when the directory holds an artifact, and as long as nothing that is stored has their name.
 */
#include "catalog_dir.h"
#include "fs_private.h"
#include "made_file.h"
#include "text.h"

#include <keepfs/base/str.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/report/sums.h>

#include <errno.h>
#include <string.h>

#define LATEST_NAME "latest"

static int write_sums(struct fs *fs, const struct node *node, struct spool *out)
{
	return report_sums(fs->ctx.repository->catalog, node->entry.ino, out);
}

static const struct made_file sums_file = {
        .name = SUMS_NAME, .write = write_sums, .generation = text_by_catalog};

int node_latest(struct fs *fs, uint64_t directory_ino, struct catalog_entry *ret_target,
                char ret_name[static NAME_MAX_BYTES])
{
	const char *suffix;
	int r = catalog_entry_latest(fs->ctx.repository->catalog, directory_ino, ret_target);

	if (r < 0)
		return r;
	suffix = strchr(ret_target->name, '.');
	snprintf(ret_name, NAME_MAX_BYTES, LATEST_NAME "%s", suffix ? suffix : "");
	return 0;
}

/* A database may have that name, too: what is stored comes before what is made up. */
static bool is_hidden(struct fs *fs, const struct catalog_entry *directory, const char *name)
{
	struct catalog_entry other;

	return directory->subdirectories > 0 &&
	       catalog_entry_by_name(fs->ctx.repository->catalog, directory->ino, name, &other) == 0;
}

static int load_generated(struct fs *fs, uint64_t directory_ino, struct node *ret)
{
	int r = catalog_entry_by_ino(fs->ctx.repository->catalog, directory_ino, &ret->entry);

	return r == 0 && ret->entry.files == 0 ? -ENOENT : r;
}

int latest_load(struct fs *fs, uint64_t directory_ino, struct node *ret)
{
	struct catalog_entry target;
	char name[NAME_MAX_BYTES];
	int r;

	*ret = (struct node){.ino = ino_latest(directory_ino), .class = &class_latest};
	r = load_generated(fs, directory_ino, ret);
	if (r == 0)
		r = node_latest(fs, directory_ino, &target, name);
	return r == 0 && is_hidden(fs, &ret->entry, name) ? -ENOENT : r;
}

int sums_load(struct fs *fs, uint64_t directory_ino, struct node *ret)
{
	int r;

	*ret = (struct node){.ino = ino_sums(directory_ino), .class = &class_sums, .file = &sums_file};
	r = load_generated(fs, directory_ino, ret);
	return r == 0 && is_hidden(fs, &ret->entry, SUMS_NAME) ? -ENOENT : r;
}

static int child(struct fs *fs, uint64_t directory_ino, const char *name, struct node *ret)
{
	struct catalog_entry target;
	char latest[NAME_MAX_BYTES];
	int r;

	if (strcmp(name, SUMS_NAME) == 0)
		return sums_load(fs, directory_ino, ret);
	if (!str_starts(name, LATEST_NAME))
		return -ENOENT;
	r = node_latest(fs, directory_ino, &target, latest);
	if (r == 0 && strcmp(latest, name) == 0)
		return latest_load(fs, directory_ino, ret);
	return r < 0 ? r : -ENOENT;
}

int generated_child(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	int r = child(fs, directory->entry.ino, name, ret);

	return r == 0 && directory->class->in_links ? node_mirror(ret) : r;
}

/* The link. It moves, and so its name is asked for each time. */

static int latest_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	struct catalog_entry target;
	char name[NAME_MAX_BYTES];
	int r = node_latest(fs, node->entry.ino, &target, name);

	if (r < 0)
		return r;
	st->st_mode |= 0777;
	st->st_size = (off_t)strlen(target.name);
	*mtime_us = target.mtime_us;
	return 0;
}

static int latest_readlink(struct fs *fs, const struct node *node, char ret_target[static NAME_MAX_BYTES])
{
	struct catalog_entry target;
	char name[NAME_MAX_BYTES];
	int r = node_latest(fs, node->entry.ino, &target, name);

	if (r == 0)
		str_copy(ret_target, NAME_MAX_BYTES, target.name);
	return r;
}

const struct node_class class_latest = {
        .type = S_IFLNK,
        .mirror = &class_linked_latest,
        .stat = latest_stat,
        .readlink = latest_readlink,
};

const struct node_class class_linked_latest = {
        .type = S_IFLNK,
        .in_links = true,
        .stat = latest_stat,
        .readlink = latest_readlink,
        .why_kept = linked_why_kept,
};

/* SHA256SUMS. It goes with the last artifact, and links/ has none: its lines would be of other bytes. */

static int sums_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->file_mode & 0444;
	st->st_size = (off_t)node->entry.sums_bytes;
	*mtime_us = node->entry.mtime_us;
	return 0;
}

const struct node_class class_sums = {
        .type = S_IFREG,
        .stat = sums_stat,
        .open = text_file_open,
};

// SPDX-License-Identifier: Apache-2.0
/*
 * What is made up in a directory of artifacts: a link to the latest one of each format, SHA256SUMS, and where something is encrypted
 * SHA256SUMS.stored: of what is not, it would say the same. They are
 * there when the directory holds an artifact (for a link: one of its format that is not partial), and as long as
 * nothing that is stored has their name.
 */
#include "catalog_dir.h"
#include "fs_private.h"
#include "made_file.h"
#include "mirrored.h"
#include "sealed.h"
#include "text.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/name.h>
#include <keepfs/report/sums.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LATEST_NAME "latest"

/* Where they stand in the listing of their directory. */
#define POSITION_SUMS   0
#define POSITION_STORED 1
#define POSITION_LATEST 2 /* of the first link, in the order of their suffixes */
#define POSITION_END    (OFFSET_NUMBERED - OFFSET_FIXED)

static int write_sums(struct fs *fs, const struct node *node, struct spool *out)
{
	return report_sums(fs->ctx.repository->catalog, node->entry.ino,
	                   fs->is_locked ? CATALOG_SUMS_LOCKED : CATALOG_SUMS_PLAIN, out);
}

static int write_stored_sums(struct fs *fs, const struct node *node, struct spool *out)
{
	return report_sums(fs->ctx.repository->catalog, node->entry.ino, CATALOG_SUMS_STORED, out);
}

static const struct made_file sums_file = {
        .name = SUMS_NAME, .write = write_sums, .generation = text_by_catalog};
static const struct made_file stored_sums_file = {
        .name = STORED_SUMS_NAME, .write = write_stored_sums, .generation = text_by_catalog};

/* A directory of a database may have that name (one of an earlier keepfs): what is stored comes before what is
 * made up. */
static bool is_hidden(struct fs *fs, uint64_t directory_ino, const char *name)
{
	struct catalog_entry other;

	return catalog_entry_by_name(fs->ctx.repository->catalog, directory_ino, name, &other) == 0;
}

static void node_of_latest(const struct catalog_entry *target, struct node *ret)
{
	*ret = (struct node){.ino = ino_latest(target->ino), .class = &class_latest, .entry = *target};
}

static char *latest_name(const char *suffix, const struct catalog_entry *shown)
{
	bool sealed =
	        str_ends(shown->name, MANIFEST_SEALED_SUFFIX) && !str_ends(suffix, MANIFEST_SEALED_SUFFIX);

	return mem_printf(LATEST_NAME "%s%s", suffix, sealed ? MANIFEST_SEALED_SUFFIX : "");
}

int latest_load(struct fs *fs, uint64_t artifact_ino, struct node *ret)
{
	struct catalog_entry target;
	int r = catalog_entry_by_ino(fs->ctx.repository->catalog, artifact_ino, &target);

	if (r == 0 && target.kind != CATALOG_ARTIFACT)
		r = -ENOENT;
	if (r < 0)
		return r;
	sealed_show(fs, false, &target);
	node_of_latest(&target, ret);
	return 0;
}

/* The link for one format: "latest.dump", or "latest" for directories. In *@ret_name (heap) what it is called. */
static int find_latest(struct fs *fs, const struct node *directory, const char *suffix, char **ret_name,
                       struct node *ret)
{
	_cleanup(free) char *name = NULL;
	struct catalog_entry target;
	int r = catalog_entry_latest(fs->ctx.repository->catalog, directory->entry.ino, suffix, &target);

	/* links/ does not show it. */
	if (r == 0 && directory->class->in_links && is_state_of_mirror(&target))
		r = -ENOENT;
	if (r < 0)
		return r;
	sealed_show(fs, directory->class->in_links, &target);
	name = latest_name(suffix, &target);
	if (is_hidden(fs, directory->entry.ino, name))
		return -ENOENT;
	node_of_latest(&target, ret);
	*ret_name = take_ptr(&name);
	return 0;
}

static int find_latest_by_name(struct fs *fs, const struct node *directory, const char *name,
                               struct node *ret)
{
	_cleanup(free) char *suffix = mem_strdup(name_suffix(name)), *found = NULL;
	struct node node;
	int r;

	if (str_ends(suffix, MANIFEST_SEALED_SUFFIX))
		suffix[strlen(suffix) - strlen(MANIFEST_SEALED_SUFFIX)] = '\0';
	r = find_latest(fs, directory, suffix, &found, &node);
	if (r == 0 && strcmp(found, name) != 0)
		r = -ENOENT;
	if (r == 0)
		*ret = node;
	return r;
}

int sums_load(struct fs *fs, uint64_t directory_ino, struct node *ret)
{
	int r;

	*ret = (struct node){.ino = ino_sums(directory_ino), .class = &class_sums, .file = &sums_file};
	r = catalog_entry_by_ino(fs->ctx.repository->catalog, directory_ino, &ret->entry);
	if (r == 0 && (ret->entry.files == 0 || is_hidden(fs, directory_ino, SUMS_NAME)))
		r = -ENOENT;
	return r;
}

int stored_sums_load(struct fs *fs, uint64_t directory_ino, struct node *ret)
{
	int r;

	*ret = (struct node){.ino = ino_stored_sums(directory_ino),
	                     .class = &class_stored_sums,
	                     .file = &stored_sums_file};
	r = catalog_entry_by_ino(fs->ctx.repository->catalog, directory_ino, &ret->entry);
	if (r == 0 && (!catalog_has_sealed(fs->ctx.repository->catalog, directory_ino) ||
	               is_hidden(fs, directory_ino, STORED_SUMS_NAME)))
		r = -ENOENT;
	return r;
}

static int find_generated(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	if (strcmp(name, SUMS_NAME) == 0)
		return sums_load(fs, directory->entry.ino, ret);
	if (strcmp(name, STORED_SUMS_NAME) == 0)
		return stored_sums_load(fs, directory->entry.ino, ret);
	if (name_is_reserved(name))
		return find_latest_by_name(fs, directory, name, ret);
	return -ENOENT;
}

int generated_child(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	int r = find_generated(fs, directory, name, ret);

	return r == 0 && directory->class->in_links ? node_mirror(ret) : r;
}

/* One that is not there, or cannot be told, is left out. False: the page is full. */
static bool list_one(struct fs *fs, const struct node *directory, const char *name, unsigned position,
                     struct listing *l)
{
	struct node node;

	return generated_child(fs, directory, name, &node) < 0 ||
	       listing_add(l, name, &node, OFFSET_FIXED + (off_t)position);
}

static bool list_latest(struct fs *fs, const struct node *directory, const char *suffix, unsigned position,
                        struct listing *l)
{
	_cleanup(free) char *name = NULL;
	struct node node;

	return find_latest(fs, directory, suffix, &name, &node) < 0 ||
	       list_one(fs, directory, name, position, l);
}

bool generated_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	char suffix[NAME_MAX_BYTES];
	unsigned position = listing_position(after);
	int r = catalog_next_suffix(catalog, directory->entry.ino, NULL, suffix);

	if (position == POSITION_SUMS && !list_one(fs, directory, SUMS_NAME, POSITION_SUMS, l))
		return false;
	if (position <= POSITION_STORED && !list_one(fs, directory, STORED_SUMS_NAME, POSITION_STORED, l))
		return false;
	for (unsigned i = POSITION_LATEST; r == 0 && i < POSITION_END; i++) {
		if (i >= position && !list_latest(fs, directory, suffix, i, l))
			return false;
		r = catalog_next_suffix(catalog, directory->entry.ino, suffix, suffix);
	}
	return true;
}

/* The links. They move, and so a name is asked for each time. */

static int latest_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= 0777;
	st->st_size = (off_t)strlen(node->entry.name);
	*mtime_us = node->entry.mtime_us;
	return 0;
}

static int latest_readlink(struct fs *fs, const struct node *node, char ret_target[static NODE_TARGET_BYTES])
{
	str_copy(ret_target, NODE_TARGET_BYTES, node->entry.name);
	return 0;
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
	/* Of what is shown as it is stored nobody keeps how long the lines are. */
	if (fs->is_locked && catalog_has_sealed(fs->ctx.repository->catalog, node->entry.ino))
		return text_file_stat(fs, node, st, mtime_us);
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

/* SHA256SUMS.stored, of the objects: whoever copies these, or gets them from the store, needs no key to check them. */
const struct node_class class_stored_sums = {
        .type = S_IFREG,
        .stat_is_costly = true,
        .stat = text_file_stat,
        .open = text_file_open,
};

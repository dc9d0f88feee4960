// SPDX-License-Identifier: Apache-2.0
/*
 * From inode numbers and names to nodes, and from nodes to struct stat, for all classes. Every question is
 * answered from the number itself or by one indexed query of the catalog; nothing here waits for the store.
 */
#include "node.h"

#include "copies.h"
#include "inbox.h"
#include "fs_private.h"
#include "mirrored.h"
#include "rights.h"
#include "sealed.h"
#include "wal.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

#define BIT_LINK      (UINT64_C(1) << 63)
#define BIT_CATALOG   (UINT64_C(1) << 62)
#define BIT_ARTIFACT  (UINT64_C(1) << 61)
#define BIT_RUN       (UINT64_C(1) << 60)
#define BIT_DRILL     (UINT64_C(1) << 59) /* with BIT_RUN */
#define BIT_DIFF      (UINT64_C(1) << 58) /* without these two */
#define BIT_INSIDE    (UINT64_C(1) << 59) /* without it */
#define BITS_HISTORY  (UINT64_C(7) << 58) /* runs and drills have no such numbers */
#define BITS_MADE_UP  UINT64_C(3)
#define BIT_SUMS      UINT64_C(2)
#define RUN_SHIFT     3
#define RUN_FILE_MASK UINT64_C(7)

#define STAT_BLOCK_BYTES 512
#define IO_BYTES         (1 << 20) /* cp and friends take st_blksize for their buffer */

uint64_t ino_latest(uint64_t artifact_ino)
{
	return artifact_ino & ~BIT_CATALOG;
}

uint64_t ino_sums(uint64_t directory_ino)
{
	return directory_ino | BIT_SUMS;
}

uint64_t ino_stored_sums(uint64_t directory_ino)
{
	return ino_link(ino_sums(directory_ino));
}

uint64_t ino_of_tenant_file(uint64_t directory_ino, unsigned file)
{
	return directory_ino | file;
}

uint64_t ino_link(uint64_t ino)
{
	return BIT_LINK | ino;
}

uint64_t ino_of_drill(int64_t id, unsigned file)
{
	return BIT_RUN | BIT_DRILL | (uint64_t)id << 1 | file;
}

uint64_t ino_of_run(int64_t run_id, unsigned file)
{
	return BIT_RUN | (uint64_t)run_id << RUN_SHIFT | file;
}

bool node_is_directory(const struct node *node)
{
	return S_ISDIR(node->class->type);
}

int node_mirror(struct node *node)
{
	if (!node->class->mirror)
		return -ENOENT;
	node->class = node->class->mirror;
	node->ino = ino_link(node->ino);
	return 0;
}

/* A directory below a root, or what is made up in it. */
static int load_directory(struct fs *fs, uint64_t ino, struct node *ret)
{
	switch (ino & BITS_MADE_UP) {
	case 0:
		return catalog_load(fs, ino, ret);
	case BIT_SUMS:
		return sums_load(fs, ino & ~BIT_SUMS, ret);
	default:
		return tenant_file_load(fs, ino, ret);
	}
}

int node_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	int r;

	if (ino & BIT_LINK && !(ino & (BIT_CATALOG | BIT_ARTIFACT)))
		return tier_load(fs, ino, ret);
	if (ino & BIT_LINK && !(ino & BIT_ARTIFACT) && (ino & BITS_MADE_UP) == BIT_SUMS)
		return stored_sums_load(fs, ino & ~(BIT_LINK | BIT_SUMS), ret);
	if (ino & BIT_LINK) {
		r = node_load(fs, ino & ~BIT_LINK, ret);
		if (r == 0 && !fs->is_locked)
			sealed_show(fs, true, &ret->entry);
		return r < 0 ? r : node_mirror(ret);
	}
	if (ino & BIT_CATALOG)
		return ino & BIT_ARTIFACT ? catalog_load(fs, ino, ret) : load_directory(fs, ino, ret);
	if (ino & BIT_ARTIFACT)
		return latest_load(fs, ino | BIT_CATALOG, ret);
	if ((ino & BITS_HISTORY) == BITS_HISTORY)
		return history_load(fs, ino, ret);
	if (inbox_has(ino))
		return inbox_load(fs, ino, ret);
	if (wal_has(ino))
		return wal_load(fs, ino, ret);
	if (copies_have(ino))
		return copies_load(fs, ino, ret);
	if (ino & BIT_RUN && ino & BIT_DRILL)
		return drill_load(fs, (int64_t)((ino & ~(BIT_RUN | BIT_DRILL)) >> 1), ino & 1, ret);
	if (ino & BIT_RUN)
		return run_load(fs, (int64_t)((ino & ~BIT_RUN) >> RUN_SHIFT), ino & RUN_FILE_MASK, ret);
	if (ino & BIT_INSIDE)
		return inside_load(fs, ino, ret);
	if (ino & BIT_DIFF)
		return diff_load(fs, ino, ret);
	if (mirrored_has(ino))
		return mirrored_load(fs, ino, ret);
	return fixed_load(fs, ino, ret);
}

/* What is shown of copies has the classes of what is shown of backups. */
uint64_t node_backup(const struct node *directory)
{
	return directory->class->is_within_backup && !copies_have(directory->entry.ino)
	               ? directory->entry.artifact_ino
	               : 0;
}

int node_child(struct fs *fs, const struct node *parent, const char *name, struct node *ret)
{
	if (!parent->class->lookup)
		return -ENOTDIR;
	/* The catalog would find a file by its path within a backup. */
	if (strchr(name, '/'))
		return -ENOENT;
	return parent->class->lookup(fs, parent, name, ret);
}

uint64_t node_parent(const struct node *directory)
{
	return directory->class->parent ? directory->class->parent(directory) : INO_ROOT;
}

char *node_path(struct fs *fs, const struct node *node)
{
	return node->class->path ? node->class->path(fs, node) : NULL;
}

char *node_path_below(struct fs *fs, const struct node *directory, const char *name)
{
	_cleanup(free) char *path = node_path(fs, directory);

	return path && *path ? mem_printf("%s/%s", path, name) : mem_strdup(name);
}

int node_stat(struct fs *fs, const struct node *node, struct stat *ret)
{
	const struct conf *conf = fs->ctx.conf;
	struct stat st = {.st_ino = node->ino,
	                  .st_mode = node->class->type,
	                  .st_nlink = 1,
	                  .st_uid = conf->owner,
	                  .st_gid = conf->group,
	                  .st_blksize = IO_BYTES};
	int64_t mtime_us = fs->started_at_us;
	int r = node->class->stat(fs, node, &st, &mtime_us);

	if (r < 0)
		return r;
	st.st_blocks = (st.st_size + STAT_BLOCK_BYTES - 1) / STAT_BLOCK_BYTES;
	st.st_mtim = st.st_ctim = st.st_atim = clock_to_timespec(mtime_us);
	rights_widen(fs, node, &st);
	*ret = st;
	return 0;
}

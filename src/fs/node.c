// SPDX-License-Identifier: Apache-2.0
/*
 * From inode numbers and names to nodes, and from nodes to struct stat. Every question is answered from the
 * number itself or by one indexed query of the catalog; nothing here waits for the store.
 */
#include "node.h"

#include "fs_private.h"
#include "text.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/runs.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BIT_LINK     (UINT64_C(1) << 63)
#define BIT_CATALOG  (UINT64_C(1) << 62)
#define BIT_ARTIFACT (UINT64_C(1) << 61)
#define BIT_RUN      (UINT64_C(1) << 60)
#define LATEST_BIT   UINT64_C(1)
#define SUMS_BIT     UINT64_C(2)

#define STAT_BLOCK_BYTES 512
#define GLOBALS          "globals.sql.gz"
#define IO_BYTES         (1 << 20) /* cp and friends take st_blksize for their buffer */

static const struct {
	const char *name;
	uint64_t parent;
	bool command;
} fixed_files[FIXED_COUNT] = {
        [FIXED_HEALTH] = {"health", INO_STATUS, false},
        [FIXED_HISTORY_CSV] = {"history.csv", INO_STATUS, false},
        [FIXED_HISTORY_JSONL] = {"history.jsonl", INO_STATUS, false},
        [FIXED_STATS] = {"stats.json", INO_STATUS, false},
        [FIXED_LAST_ERROR] = {"last-error", INO_STATUS, false},
        [FIXED_CONFIG] = {"config", INO_STATUS, false},
        [FIXED_AUDIT] = {"audit.jsonl", INO_STATUS, false},
        [FIXED_TRIGGER] = {"trigger", INO_CONTROL, true},
        [FIXED_PROBE] = {"probe", INO_CONTROL, true},
        [FIXED_README] = {"README", INO_CONTROL, false},
        [FIXED_METRICS] = {"metrics.prom", INO_STATUS, false},
};

static const char *const run_files[RUN_FILE_COUNT] = {"", "status", "progress", "log", "cancel"};

static const char *const fixed_directories[] = {
        [INO_BACKUPS] = "backups", [INO_JOBS] = "jobs",   [INO_STATUS] = "status",
        [INO_CONTROL] = "control", [INO_LINKS] = "links", [INO_LINKED_BACKUPS] = "backups"};

const char *fixed_name(enum fixed_file file)
{
	return fixed_files[file].name;
}

uint64_t fixed_parent(enum fixed_file file)
{
	return fixed_files[file].parent;
}

const char *fixed_directory_name(uint64_t ino)
{
	return fixed_directories[ino];
}

const char *run_file_name(enum run_file file)
{
	return run_files[file];
}

uint64_t ino_latest(uint64_t directory_ino)
{
	return directory_ino | LATEST_BIT;
}

uint64_t ino_sums(uint64_t directory_ino)
{
	return directory_ino | SUMS_BIT;
}

uint64_t ino_link(uint64_t ino)
{
	return BIT_LINK | ino;
}

bool node_is_directory(const struct node *node)
{
	return node->kind == NODE_FIXED_DIRECTORY || node->kind == NODE_DIRECTORY ||
	       node->kind == NODE_ARTIFACT_DIRECTORY || node->kind == NODE_RUN;
}

bool node_is_listing(const struct node *node)
{
	return node->kind == NODE_DIRECTORY || node->kind == NODE_ARTIFACT_DIRECTORY ||
	       node->ino == INO_BACKUPS || node->ino == INO_LINKED_BACKUPS;
}

bool node_is_stored(const struct node *node)
{
	return node->kind == NODE_ARTIFACT || node->kind == NODE_FILE;
}

bool node_is_artifact(const struct node *node)
{
	return !node->mirrored && (node->kind == NODE_ARTIFACT || node->kind == NODE_ARTIFACT_DIRECTORY);
}

bool node_is_command(const struct node *node)
{
	return (node->kind == NODE_FIXED_FILE && fixed_files[node->fixed].command) ||
	       (node->kind == NODE_RUN_FILE && node->run_file == RUN_CANCEL);
}

bool node_is_text(const struct node *node)
{
	return node->kind == NODE_SUMS || node->kind == NODE_LINK ||
	       ((node->kind == NODE_FIXED_FILE || node->kind == NODE_RUN_FILE) && !node_is_command(node));
}

/* From a node of backups/ to the one of links/ that mirrors it. -ENOENT: none does, since it is no object. */
static int mirror(struct node *node)
{
	if (node->kind == NODE_SUMS)
		return -ENOENT;
	if (node_is_stored(node))
		node->kind = NODE_LINK;
	node->ino = ino_link(node->ino);
	node->mirrored = true;
	return 0;
}

static void load_entry(const struct catalog_entry *entry, struct node *ret)
{
	*ret = (struct node){.ino = entry->ino, .kind = NODE_DIRECTORY, .entry = *entry};
	if (entry->kind == CATALOG_ARTIFACT)
		ret->kind = entry->is_directory ? NODE_ARTIFACT_DIRECTORY : NODE_ARTIFACT;
	else if (entry->kind == CATALOG_FILE)
		ret->kind = NODE_FILE;
}

void node_of_entry(const struct node *directory, const struct catalog_entry *entry, struct node *ret)
{
	load_entry(entry, ret);
	if (directory->mirrored)
		mirror(ret);
}

void node_of_run(const struct catalog_run *run, enum run_file file, struct node *ret)
{
	*ret = (struct node){
	        .ino = BIT_RUN | (uint64_t)run->id << 3 | file,
	        .kind = file == RUN_DIRECTORY ? NODE_RUN : NODE_RUN_FILE,
	        .run_file = file,
	        .run = *run,
	};
}

int node_latest(struct fs *fs, uint64_t directory_ino, struct catalog_entry *ret_target,
                char ret_name[static NAME_MAX_BYTES])
{
	const char *suffix;
	int r = catalog_entry_latest(fs->ctx.catalog, directory_ino, ret_target);

	if (r < 0)
		return r;
	suffix = strchr(ret_target->name, '.');
	str_copy(ret_name, NAME_MAX_BYTES, "latest");
	str_copy(ret_name + strlen("latest"), NAME_MAX_BYTES - strlen("latest"), suffix ? suffix : "");
	return 0;
}

static int load_generated(struct fs *fs, uint64_t ino, struct node *ret)
{
	struct catalog_entry directory, other;
	char name[NAME_MAX_BYTES] = SUMS_NAME;
	int r = catalog_entry_by_ino(fs->ctx.catalog, ino & ~(LATEST_BIT | SUMS_BIT), &directory);

	if (r < 0)
		return r;
	if (directory.files == 0)
		return -ENOENT;
	*ret = (struct node){
	        .ino = ino, .kind = ino & LATEST_BIT ? NODE_LATEST : NODE_SUMS, .entry = directory};
	if (ret->kind == NODE_LATEST)
		r = node_latest(fs, directory.ino, &other, name);
	/* A database may have that name, too: what is stored comes before what is made up. */
	if (r == 0 && directory.subdirectories > 0 &&
	    catalog_entry_by_name(fs->ctx.catalog, directory.ino, name, &other) == 0)
		return -ENOENT;
	return r;
}

static int load_run(struct fs *fs, int64_t run_id, enum run_file file, struct node *ret)
{
	struct catalog_run run;
	int r;

	if (file >= RUN_FILE_COUNT)
		return -ENOENT;
	r = catalog_run(fs->ctx.catalog, run_id, &run);
	if (r < 0)
		return r;
	node_of_run(&run, file, ret);
	return 0;
}

static int load_fixed(struct fs *fs, uint64_t ino, struct node *ret)
{
	*ret = (struct node){.ino = ino, .kind = NODE_FIXED_DIRECTORY};
	ret->mirrored = ino == INO_LINKS || ino == INO_LINKED_BACKUPS;
	if (node_is_listing(ret))
		return catalog_entry_by_ino(fs->ctx.catalog, 0, &ret->entry);
	if (ino >= INO_ROOT && ino <= INO_LINKS)
		return 0;
	if (ino < INO_FIXED || ino >= INO_FIXED + FIXED_COUNT)
		return -ENOENT;
	ret->kind = NODE_FIXED_FILE;
	ret->fixed = (enum fixed_file)(ino - INO_FIXED);
	return 0;
}

int node_load(struct fs *fs, uint64_t ino, struct node *ret)
{
	struct catalog_entry entry;
	int r;

	if (ino & BIT_LINK) {
		ino &= ~BIT_LINK;
		r = ino & BIT_CATALOG ? node_load(fs, ino, ret) : -ENOENT;
		return r < 0 ? r : mirror(ret);
	}
	if (ino & BIT_CATALOG) {
		if (!(ino & BIT_ARTIFACT) && ino & (LATEST_BIT | SUMS_BIT))
			return load_generated(fs, ino, ret);
		r = catalog_entry_by_ino(fs->ctx.catalog, ino, &entry);
		if (r == 0)
			load_entry(&entry, ret);
		return r;
	}
	if (ino & BIT_RUN)
		return load_run(fs, (int64_t)((ino & ~BIT_RUN) >> 3), (enum run_file)(ino & 7), ret);
	return load_fixed(fs, ino, ret);
}

static int generated_child(struct fs *fs, uint64_t directory_ino, const char *name, struct node *ret)
{
	struct catalog_entry target;
	char latest[NAME_MAX_BYTES];
	int r;

	if (strcmp(name, SUMS_NAME) == 0)
		return load_generated(fs, ino_sums(directory_ino), ret);
	if (!str_starts(name, "latest"))
		return -ENOENT;
	r = node_latest(fs, directory_ino, &target, latest);
	if (r == 0 && strcmp(latest, name) == 0)
		return load_generated(fs, ino_latest(directory_ino), ret);
	return r < 0 ? r : -ENOENT;
}

static int child_of_listing(struct fs *fs, const struct node *parent, const char *name, struct node *ret)
{
	struct catalog_entry entry;
	int r = -ENOENT;

	if (parent->kind == NODE_DIRECTORY)
		r = generated_child(fs, parent->entry.ino, name, ret);
	if (r == 0 && parent->mirrored)
		r = mirror(ret);
	if (r != -ENOENT)
		return r;
	r = catalog_entry_by_name(fs->ctx.catalog, parent->entry.ino, name, &entry);
	if (r == 0)
		node_of_entry(parent, &entry, ret);
	return r;
}

static int child_of_jobs(struct fs *fs, const char *name, struct node *ret)
{
	char *end;
	long long id;

	/* Only the one way in which readdir writes a number: "017" and "+17" are no files. */
	if (name[0] < '1' || name[0] > '9')
		return -ENOENT;
	errno = 0;
	id = strtoll(name, &end, 10);
	if (errno || *end)
		return -ENOENT;
	return load_run(fs, id, RUN_DIRECTORY, ret);
}

static int child_of_fixed(struct fs *fs, uint64_t parent, const char *name, struct node *ret)
{
	if (parent == INO_ROOT) {
		for (uint64_t ino = INO_BACKUPS; ino <= INO_LINKS; ino++) {
			if (strcmp(name, fixed_directories[ino]) == 0)
				return load_fixed(fs, ino, ret);
		}
		return -ENOENT;
	}
	if (parent == INO_LINKS && strcmp(name, fixed_directories[INO_LINKED_BACKUPS]) == 0)
		return load_fixed(fs, INO_LINKED_BACKUPS, ret);
	for (unsigned i = 0; i < FIXED_COUNT; i++) {
		if (fixed_files[i].parent == parent && strcmp(name, fixed_files[i].name) == 0)
			return load_fixed(fs, INO_FIXED + i, ret);
	}
	return -ENOENT;
}

int node_child(struct fs *fs, const struct node *parent, const char *name, struct node *ret)
{
	if (node_is_listing(parent))
		return child_of_listing(fs, parent, name, ret);
	if (parent->ino == INO_JOBS)
		return child_of_jobs(fs, name, ret);
	if (parent->kind == NODE_RUN) {
		for (unsigned i = RUN_STATUS; i < RUN_FILE_COUNT; i++) {
			if (strcmp(name, run_files[i]) == 0) {
				node_of_run(&parent->run, (enum run_file)i, ret);
				return 0;
			}
		}
		return -ENOENT;
	}
	if (parent->kind == NODE_FIXED_DIRECTORY)
		return child_of_fixed(fs, parent->ino, name, ret);
	return -ENOTDIR;
}

/* When a run last changed, as far as its row tells. */
static int64_t run_mtime_us(const struct catalog_run *run)
{
	if (run->finished_at_us)
		return run->finished_at_us;
	return run->started_at_us ? run->started_at_us : run->queued_at_us;
}

static void stat_directory(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode = S_IFDIR | fs->ctx.conf->dir_mode;
	st->st_nlink = 2;
	if (node->ino == INO_ROOT)
		st->st_nlink += INO_LINKS - INO_ROOT;
	if (node->ino == INO_LINKS)
		st->st_nlink++;
	if (node->kind == NODE_ARTIFACT_DIRECTORY) {
		/* Nothing can be made or removed in it. */
		st->st_mode = S_IFDIR | (fs->ctx.conf->dir_mode & ~(mode_t)0222);
		*mtime_us = node->entry.mtime_us;
	}
	if (node_is_listing(node) && node->kind != NODE_ARTIFACT_DIRECTORY) {
		st->st_nlink += node->entry.subdirectories;
		if (node->entry.mtime_us)
			*mtime_us = node->entry.mtime_us;
	}
	/* The number of runs is not counted for a stat: 1 tells find(1) that the link count says nothing. */
	if (node->ino == INO_JOBS)
		st->st_nlink = 1;
	if (node->kind == NODE_RUN)
		*mtime_us = run_mtime_us(&node->run);
}

/* The roles of the cluster come with the hashes of their passwords: for nobody but the owner. */
static mode_t readable_by(const struct node *node)
{
	return str_ends(node->entry.name, GLOBALS) ? 0700 : 07777;
}

static int stat_latest(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	struct catalog_entry target;
	char name[NAME_MAX_BYTES];
	int r = node_latest(fs, node->entry.ino, &target, name);

	if (r < 0)
		return r;
	st->st_mode = S_IFLNK | 0777;
	st->st_size = (off_t)strlen(target.name);
	*mtime_us = target.mtime_us;
	return 0;
}

static int stat_text(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	uint64_t bytes;
	int r;

	st->st_mode = S_IFREG | (fs->ctx.conf->file_mode & 0444);
	if (node->kind == NODE_SUMS) {
		st->st_size = (off_t)node->entry.sums_bytes;
		*mtime_us = node->entry.mtime_us;
		return 0;
	}
	r = text_size(fs, node, &bytes, mtime_us);
	if (r < 0)
		return r;
	st->st_size = (off_t)bytes;
	if (node->kind == NODE_RUN_FILE)
		*mtime_us = run_mtime_us(&node->run);
	return 0;
}

int node_stat(struct fs *fs, const struct node *node, struct stat *ret)
{
	const struct conf *conf = fs->ctx.conf;
	struct stat st = {.st_ino = node->ino,
	                  .st_nlink = 1,
	                  .st_uid = conf->owner,
	                  .st_gid = conf->group,
	                  .st_blksize = IO_BYTES};
	int64_t mtime_us = fs->started_at_us;
	int r = 0;

	if (node_is_directory(node)) {
		stat_directory(fs, node, &st, &mtime_us);
	} else if (node_is_stored(node)) {
		st.st_mode = S_IFREG | (conf->file_mode & readable_by(node));
		st.st_size = (off_t)node->entry.size_bytes;
		mtime_us = node->entry.mtime_us;
	} else if (node->kind == NODE_LINK) {
		st.st_mode = S_IFREG | (conf->file_mode & readable_by(node) & 0444);
		st.st_size = (off_t)link_bytes(fs, node);
		mtime_us = node->entry.mtime_us;
	} else if (node->kind == NODE_LATEST) {
		r = stat_latest(fs, node, &st, &mtime_us);
	} else if (node_is_command(node)) {
		st.st_mode = S_IFREG | conf->file_mode;
	} else {
		r = stat_text(fs, node, &st, &mtime_us);
	}
	if (r < 0)
		return r;
	st.st_blocks = (st.st_size + STAT_BLOCK_BYTES - 1) / STAT_BLOCK_BYTES;
	st.st_mtim = st.st_ctim = st.st_atim = clock_to_timespec(mtime_us);
	*ret = st;
	return 0;
}

char *node_path(struct fs *fs, const struct node *node)
{
	_cleanup(free) char *path = NULL;

	if (node->entry.ino != 0 || node_is_listing(node))
		path = catalog_path(fs->ctx.catalog, node->entry.ino);
	if (!path || !node->mirrored)
		return take_ptr(&path);
	return mem_printf("%s/%s", fixed_directories[INO_LINKS], path);
}

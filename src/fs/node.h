// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Nodes: what an inode number stands for. Nothing is kept for a node: its number says where its facts are, so
 * that a tree of a million files costs no memory, and the same file has the same number after every remount.
 *
 *   1 … 63                          the fixed part of the tree
 *   bit 60, run << 3 | which        jobs/<run> and its files
 *   bit 62, bit 61, hash            an artifact, or one of its further files (ino_of_artifact())
 *   bit 62, hash & ~3               a directory of backups/ (ino_of_directory()); | 1 its latest link, | 2
 * its SHA256SUMS
 *   bit 63 | ino in backups/        what mirrors it in links/ (ino_link())
 */
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/name.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct fs;

#define SUMS_NAME "SHA256SUMS"

#define INO_ROOT           UINT64_C(1)
#define INO_BACKUPS        UINT64_C(2)
#define INO_JOBS           UINT64_C(3)
#define INO_STATUS         UINT64_C(4)
#define INO_CONTROL        UINT64_C(5)
#define INO_LINKS          UINT64_C(6)
#define INO_LINKED_BACKUPS UINT64_C(7)  /* links/backups/ */
#define INO_FIXED          UINT64_C(16) /* the first of the fixed files, in the order of enum fixed_file */

enum fixed_file {
	FIXED_HEALTH,
	FIXED_HISTORY_CSV,
	FIXED_HISTORY_JSONL,
	FIXED_STATS,
	FIXED_LAST_ERROR,
	FIXED_CONFIG,
	FIXED_AUDIT,
	FIXED_TRIGGER,
	FIXED_PROBE,
	FIXED_README,
	FIXED_METRICS,
	FIXED_COUNT
};

enum run_file { RUN_DIRECTORY, RUN_STATUS, RUN_PROGRESS, RUN_LOG, RUN_CANCEL, RUN_FILE_COUNT };

enum node_kind {
	NODE_FIXED_DIRECTORY, /* /, backups/, jobs/, status/, control/, links/ */
	NODE_FIXED_FILE,      /* status/…, control/… */
	NODE_DIRECTORY,       /* below backups/ or links/ */
	NODE_ARTIFACT,        /* that is a file */
	NODE_ARTIFACT_DIRECTORY,
	NODE_FILE, /* a further file of an artifact: beside it, or in it when that is a directory */
	NODE_LATEST,
	NODE_SUMS,
	NODE_LINK,     /* below links/: the URL of an artifact that is a file, or of a further file */
	NODE_RUN,      /* jobs/<run>/ */
	NODE_RUN_FILE, /* jobs/<run>/status … */
};

struct node {
	uint64_t ino;
	enum node_kind kind;
	enum fixed_file fixed;  /* NODE_FIXED_FILE */
	enum run_file run_file; /* NODE_RUN_FILE */
	bool mirrored;          /* links/ and all below it */
	/* below backups/, and of backups/ itself; NODE_LATEST, NODE_SUMS: the directory's. @mirrored: of what
	 * is mirrored, its inode number, too */
	struct catalog_entry entry;
	struct catalog_run run; /* NODE_RUN, NODE_RUN_FILE */
};

/** fixed_name() - "health"; fixed_parent() - the directory that holds it. */
const char *fixed_name(enum fixed_file file);
uint64_t fixed_parent(enum fixed_file file);
const char *fixed_directory_name(uint64_t ino);
const char *run_file_name(enum run_file file);

/** node_load() - the node of @ino; -ENOENT when it is gone. */
int node_load(struct fs *fs, uint64_t ino, struct node *ret);
/** node_child() - @name in directory @parent; -ENOENT, -ENOTDIR. */
int node_child(struct fs *fs, const struct node *parent, const char *name, struct node *ret);
/** node_of_entry(), node_of_run() - without another query; of an entry in @directory. */
void node_of_entry(const struct node *directory, const struct catalog_entry *entry, struct node *ret);
void node_of_run(const struct catalog_run *run, enum run_file file, struct node *ret);
bool node_is_directory(const struct node *node);
/** node_is_listing() - a directory whose entries the catalog lists. */
bool node_is_listing(const struct node *node);
/** node_is_stored() - a file whose bytes are an object in the store. */
bool node_is_stored(const struct node *node);
/** node_is_artifact() - what rm and rmdir can remove. */
bool node_is_artifact(const struct node *node);
/** node_is_command() - written to: control/trigger, control/probe, jobs/<run>/cancel. */
bool node_is_command(const struct node *node);
/** node_is_text() - made when opened; its size is that text's. */
bool node_is_text(const struct node *node);
/** node_latest() - the entry that a NODE_LATEST points to, and its own name ("latest.dump"; "latest" when the
 * target is a directory); -ENOENT. */
int node_latest(struct fs *fs, uint64_t directory_ino, struct catalog_entry *ret_target,
                char ret_name[static NAME_MAX_BYTES]);
uint64_t ino_latest(uint64_t directory_ino);
uint64_t ino_sums(uint64_t directory_ino);
uint64_t ino_link(uint64_t ino);
/** node_path() - heap: the path of a node below backups/ or links/ ("links/full/…"); NULL for others, and
 * when it is gone. */
char *node_path(struct fs *fs, const struct node *node);
/** node_stat() - all of struct stat; may make the text of a status file to know its size. */
int node_stat(struct fs *fs, const struct node *node, struct stat *ret);

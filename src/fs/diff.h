// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * diff/: two dumps of one directory of backups/, compared. diff.c has the directories, diff_pair.c that of two dumps, diff_file.c its files, diff_summary.c what summary.csv
 * says; what the files hold is made by comparisons.h.
 *
 * A node below the directory of two dumps has the row of the second one in `entry`; it is as secret as either, and as new as the newer. Which pair, kind and table it is of says
 * its number. A table that only one of the dumps has is the file of inside/ itself, under a second name.
 */
#include "comparisons.h"
#include "fs_private.h"

#include <keepfs/inside.h>

enum diff_kind { /* inode numbers have them, two bits */
	         DIFF_FIXED,
	         DIFF_ADDED, /* the number of the table in the second dump follows, here and there */
	         DIFF_REMOVED,
};

/* The parts of DIFF_FIXED; never changed. */
#define PART_PAIR        UINT32_C(0)
#define PART_SUMMARY     UINT32_C(1)
#define PART_SCHEMA_DIFF UINT32_C(2)

#define SUMMARY_NAME     "summary.csv"
#define SCHEMA_DIFF_NAME "schema.diff"
#define ADDED_SUFFIX     ".added.tsv"
#define REMOVED_SUFFIX   ".removed.tsv"

/** ino_of_diff() - of a pair of dumps, or of what is in its directory; ino_of_diff_mirror() - of the directory that mirrors @directory_ino of backups/, 0: diff/. */
uint64_t ino_of_diff(uint32_t pair, enum diff_kind kind, uint32_t part);
uint64_t ino_of_diff_mirror(uint64_t directory_ino);
uint32_t diff_number_of(const struct node *node);
enum diff_kind diff_kind_of(const struct node *node);
uint32_t diff_part_of(const struct node *node);
/** diff_why_kept() - slot. */
char *diff_why_kept(struct fs *fs, const struct node *directory, const struct node *node, const char *name,
                    char **ret_path);

/** node_of_pair() - two dumps; @keeps: it will be found by its number, as the kernel needs it. */
void node_of_pair(struct fs *fs, const struct catalog_entry *a, const struct catalog_entry *b, bool keeps,
                  struct node *ret);
/** diff_pair_load() - what is below such a directory, or itself, by its number; -ENOENT. */
int diff_pair_load(struct fs *fs, uint64_t ino, struct node *ret);
/** diff_pair_path() - heap: "diff/full/20261119T020000Z..20261120T020000Z"; NULL: one of them is gone. */
char *diff_pair_path(struct fs *fs, const struct node *node);
/** diff_pair_id() - which dumps @node is of; -ENOENT: that was forgotten. */
int diff_pair_id(struct fs *fs, const struct node *node, struct diff_pair_id *ret);
/** diff_open_pair() - both dumps, of a node that may wait; a failure is told. -EAGAIN: @node is in haste, and it would take long. */
int diff_open_pair(struct fs *fs, const struct node *node, struct diff **ret);

/* diff_file.c. */
/** node_of_diff_file() - a file in the directory of two dumps that @like is of; its size is filled in when it is known. */
void node_of_diff_file(struct fs *fs, const struct node *like, enum diff_kind kind, uint32_t part,
                       struct node *ret);
/** diff_file_name() - what it is called. */
int diff_file_name(struct diff *d, const struct node *node, char ret[static NAME_MAX_BYTES]);

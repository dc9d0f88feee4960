// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * inside/: the dumps as directories of what is in them (keepfs/inside.h), without restoring them. What this header has is shared by
 * the files of it: inside.c the directories, inside_tables.c tables/ and blobs/, inside_texts.c toc.txt and the other
 * texts, inside_file.c open files.
 *
 * A node below the directory of a dump has the catalog's row of the dump in `entry`. Which dump, kind and part it is of says
 * its number.
 */
#include "fs_private.h"

#include <keepfs/inside.h>

enum inside_kind { /* inode numbers have them, two bits */
	           INSIDE_FIXED,
	           INSIDE_TSV,
	           INSIDE_CSV,
	           INSIDE_BLOB,
};

/* The parts of INSIDE_FIXED; never changed. */
#define PART_TABLES UINT32_C(1)
#define PART_BLOBS  UINT32_C(2)
#define PART_TEXTS  UINT32_C(16) /* + the number of a text, in inside_texts */

#define TABLES_NAME "tables"
#define BLOBS_NAME  "blobs"

/** ino_inside() - of a node below the directory of a dump. */
uint64_t ino_inside(uint32_t dump_number, enum inside_kind kind, uint32_t part);
uint32_t inside_number_of(const struct node *node);
enum inside_kind inside_kind_of(const struct node *node);
uint32_t inside_part_of(const struct node *node);
/** ino_of_dump_directory() - of inside/<job>/<name>. */
uint64_t ino_of_dump_directory(uint64_t artifact_ino);
/** node_inside() - a node of that dump: @like is another of it. Its class is the caller's to set. */
void node_inside(const struct node *like, enum inside_kind kind, uint32_t part, struct node *ret);
/** inside_kind_load() - what is below the directory of a dump, by its number; ret->entry is set. -ENOENT. */
int dump_text_load(struct fs *fs, uint32_t part, struct node *ret); /* inside_texts.c */

/**
 * inside_dump_of() - the dump that @node is of
 * Return: 0 with the caller's inside_close(); INSIDE_UNKNOWN: it is of a kind that cannot be looked into, @err says why; negative errno
 * for the kernel, and what is wrong is told (inside_failed()); -EAGAIN: @node is in haste, and it would take long.
 */
#define INSIDE_UNKNOWN 1
/** inside_is_too_long() - to open that dump takes as long as reading all of it, and whoever asks is in haste [-EAGAIN]. */
bool inside_is_too_long(const struct fs *fs, const struct node *node);
int inside_dump_of(struct fs *fs, const struct node *node, struct inside_dump **ret, struct error *err);
/** inside_failed() - the errno for the kernel of a failure: EIO, with the reason in status/last-error under @path (heap or NULL: consumed),
 * and the dump is marked as damaged when @err->damage; ESTALE: it was removed; or ECANCELED. */
int inside_failed(struct fs *fs, const struct node *node, char *path, int r, const struct error *err);
/** inside_path_of() - heap: "inside/full/20261120T020000Z"; NULL when the dump is gone. */
char *inside_path_of(struct fs *fs, const struct node *node);
/** inside_dir_mode() - of the directories of a dump, less for secrets. */
mode_t inside_dir_mode(struct fs *fs, const struct node *node);
/** mirror_list_directories() - the directories of backups/ in the one that @directory mirrors; @node_of: what each is shown as in @directory. Return: 0; 1: the page is
 * full; negative errno. */
int mirror_list_directories(struct fs *fs, const struct node *directory, off_t after, struct listing *l,
                            void (*node_of)(const struct node *directory, const struct catalog_entry *entry,
                                            struct node *ret));
/** mirror_find_directory() - the directory of backups/ that is called @name in the one that @directory mirrors; -ENOENT. */
int mirror_find_directory(struct fs *fs, const struct node *directory, const char *name,
                          struct catalog_entry *ret);
/** mirror_stat() - slot: of a directory that mirrors one of backups/, and in which nobody can write. */
int mirror_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us);
/** inside_why_kept() - slot. */
char *inside_why_kept(struct fs *fs, const struct node *directory, const struct node *node, const char *name,
                      char **ret_path);

/* inside_tables.c: the node at @ino of the kinds of files. */
int inside_file_load(struct fs *fs, struct node *ret);
/** inside_bytes() - how many a file has: known, remembered, or found out by reading. @dump: NULL: it is opened. */
int inside_bytes(struct fs *fs, const struct node *node, struct inside_dump *dump, uint64_t *ret,
                 struct error *err);
/** inside_file_name() - the name of a file of tables/ or blobs/. */
int inside_file_name(struct inside_dump *dump, const struct node *node, char ret[static NAME_MAX_BYTES]);
/** inside_table_file() - the name of a table's file with its rows in tables/, with ".tsv". */
#define ROWS_SUFFIX ".tsv"
void inside_table_file(struct inside_dump *dump, const struct inside_table *table,
                       char ret[static NAME_MAX_BYTES]);
/** node_of_rows() - the file with the rows of a table; @like: another node of its dump. */
void node_of_rows(const struct node *like, const struct inside_table *table, struct node *ret);
/** inside_has_file() - does tables/ of a dump have @file, "public.orders.tsv"? 1; 0; negative errno. */
int inside_has_file(struct inside_dump *dump, const char *file, struct cancel *cancel, struct error *err);
/** dump_text_list(), dump_text_child() - the texts in the directory of a dump. False: the page is full. */
bool dump_text_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l);
int dump_text_child(struct fs *fs, const struct node *directory, const char *name, struct node *ret);

node_open_fn inside_file_open; /* inside_file.c */

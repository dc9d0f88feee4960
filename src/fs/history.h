// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * history/: the tables of a directory of backups/, and of each only the backups in which it is another than in the one before, as links into
 * inside/. history.c has the directories, history_table.c that of a table and its links. What was counted of a table is
 * read once, by whoever looks first, on a worker, and is then in the catalog (keepfs/catalog/history.h).
 */
#include "fs_private.h"

#include <keepfs/catalog/history.h>
#include <keepfs/inside.h>

/** ino_of_history() - of the directory that mirrors @directory_ino of backups/; 0: history/ itself. */
uint64_t ino_of_history(uint64_t directory_ino);
/** ino_of_history_table() - of the directory of a table by its name; ino_of_version() - of the link in it to a dump. */
uint64_t ino_of_history_table(uint64_t directory_ino, const char *name);
uint64_t ino_of_version(uint64_t table_ino, uint64_t dump_ino);
/** history_path_of() - heap: "history/full" for the directory of that number in backups/; NULL when it is gone. */
char *history_path_of(struct fs *fs, uint64_t directory_ino);
/** history_why_kept() - slot. */
char *history_why_kept(struct fs *fs, const struct node *directory, const struct node *node, const char *name,
                       char **ret_path);

/** node_of_history_table() - @directory: what mirrors the directory of backups/. */
void node_of_history_table(const struct node *directory, const char *name, struct node *ret);
/** history_table_load(), history_link_load() - by the number; -ENOENT. */
int history_table_load(struct fs *fs, uint64_t ino, struct node *ret);
int history_link_load(struct fs *fs, uint64_t ino, struct node *ret);
/**
 * history_table_find() - the directory of a table that some backup of @directory has
 * What was counted in the backups is read when the newest one has no such table. Blocks, until directory->cancel.
 * Return: 0; -ENOENT; -EIO, and why is told; -ECANCELED.
 */
int history_table_find(struct fs *fs, const struct node *directory, const char *name, struct node *ret);
/** history_newest_open() - the newest dump of a directory of which tables were counted, looked into; @ret_of: a node of it. Return: 0 with the caller's
 * inside_close(); 1: there is none; negative errno, and why is told. */
int history_newest_open(struct fs *fs, const struct node *directory, struct node *ret_of,
                        struct inside_dump **ret);

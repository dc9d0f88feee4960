// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * wal/: a directory for each [cluster NAME]. What archive_command writes into it is in the archive when its close is answered, and restore_command reads it there (keepfs/wal.h). The number of a
 * file is that of its row in the catalog; while it is being written for the first time, that of a file that comes in (incoming.h).
 */
#include "node.h"

/** wal_has() - is that the number of something in wal/? Pure. */
bool wal_has(uint64_t ino);
int wal_load(struct fs *fs, uint64_t ino, struct node *ret);
/** wal_coming_load() - @ret is the file @ino, which is being written into the directory @directory; false: that is none of an archive. */
bool wal_coming_load(uint64_t ino, uint64_t directory, struct node *ret);
/** wal_path_of_directory() - heap; NULL: no section has it any more. */
char *wal_path_of_directory(struct fs *fs, uint64_t ino);
/** wal_refuse_change() - what is archived is never changed: says so in status/last-error. @path is consumed. Return: -EPERM. */
int wal_refuse_change(struct fs *fs, char *path, const char *what);

node_open_fn wal_file_read; /* wal_file.c */
node_open_fn wal_tail_read; /* wal_file.c: the node is a tail, by its number */

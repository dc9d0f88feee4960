// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Files of bases, which lie in runs in packs of frames (keepfs/mirror/runs.h). What reads them has memory of its own, and is made when the first one is opened. Each read is answered by a worker
 * (fs->base_readers), since it may wait for the store, and decodes: several of one file at the same time, as the kernel asks for them.
 */
#include "mirrored.h"

/** based_files_new() - nothing is reserved yet. */
struct based_files *based_files_new(void);
/** based_files_free() - nothing reads. Before the reader. NULL allowed; returns NULL. */
struct based_files *based_files_free(struct based_files *b);
/** based_files_forget() - the pack at that path was removed, or has got another object. Any thread. */
void based_files_forget(struct based_files *b, const char *pack_path);

/** based_file_new() - a handle of the file @item of a base; the item loses its entry. Return: 0; negative errno for the kernel. */
int based_file_new(struct fs *fs, const struct node *node, const struct mirrored *m,
                   const struct mirrored_tree *tree, struct mirror_item *item,
                   const struct catalog_audit *reader, struct handle **ret);

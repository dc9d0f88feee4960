// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * copies/<store>/: what further stores have, also of backups that were removed here, as files that are read from there alone. What is shown is in the catalog
 * (keepfs/catalog/copy_tree.h), so only opening a file asks the store: for the manifest of its backup.
 */
#include "fs_private.h"

/** copies_have() - is that number one of copies/ and below? */
bool copies_have(uint64_t ino);
/** copies_load() - the node of such a number; -ENOENT. */
int copies_load(struct fs *fs, uint64_t ino, struct node *ret);
/** copies_lookup_in(), copies_list_in(), copies_parent(), copies_node_path(), copies_facts(), copies_why_kept() - slots of what is in copies/, for those whose content a listing says (mirrored_copies.c). */
int copies_lookup_in(struct fs *fs, const struct node *directory, const char *name, struct node *ret);
int copies_list_in(struct fs *fs, const struct node *directory, off_t after, struct listing *l);
uint64_t copies_parent(const struct node *directory);
char *copies_node_path(struct fs *fs, const struct node *node);
int copies_facts(struct fs *fs, const struct node *node, struct facts *ret);
char *copies_why_kept(struct fs *fs, const struct node *directory, const struct node *node, const char *name,
                      char **ret_path);
/** copies_path_of() - heap: "copies/offsite/backups/full/20261120T020000Z.dump", as it is shown; NULL: it is gone. */
char *copies_path_of(struct fs *fs, uint64_t ino);
/** copies_failed() - what is at such a number could not be read: log, status/last-error; and when @damage, the copy is not whole any more. */
void copies_failed(struct fs *fs, uint64_t ino, int r, bool damage, const struct error *err);

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
/** copies_path_of() - heap: "copies/offsite/backups/full/20261120T020000Z.dump", as it is shown; NULL: it is gone. */
char *copies_path_of(struct fs *fs, uint64_t ino);
/** copies_failed() - what is at such a number could not be read: log, status/last-error; and when @damage, the copy is not whole any more. */
void copies_failed(struct fs *fs, uint64_t ino, int r, bool damage, const struct error *err);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * How files that are stored encrypted are shown: where this host has an identity, as the files that they are; where it has none, and
 * in links/ in any case (a URL is of the object), as they are stored, with ".age" behind their names.
 */
#include "node.h"

/** sealed_show() - what a mount shows of the catalog's row @entry: its name, and its size. */
void sealed_show(const struct fs *fs, bool in_links, struct catalog_entry *entry);
/** sealed_find() - catalog_entry_by_name() by the name that is shown; as sealed_show() then. */
int sealed_find(struct fs *fs, bool in_links, uint64_t directory_ino, const char *name,
                struct catalog_entry *ret);
/** sealed_is_shown() - is what the store has of this node what is read of it? */
bool sealed_is_shown(const struct fs *fs, const struct node *node);
/** sealed_path() - heap: the path of an artifact, or of a file of one, as it is shown; NULL: it is gone. */
char *sealed_path(struct fs *fs, bool in_links, uint64_t ino);

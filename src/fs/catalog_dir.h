// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Directories whose entries the catalog lists. */
#include "dir.h"

#include <keepfs/catalog/entries.h>

/** catalog_list() - give the entries of one kind of @directory that come behind @after to listing_add().
 * 0: no more of them; 1: the page is full; negative errno: the catalog cannot tell the rest. */
int catalog_list(struct fs *fs, const struct node *directory, enum catalog_kind kind, off_t after,
                 struct listing *l);
/** catalog_lookup() - what the catalog has as @name in @directory; -ENOENT. */
int catalog_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret);

/* Slots of directories below a root, and of artifacts that are directories. */
uint64_t catalog_parent(const struct node *directory);
char *catalog_node_path(struct fs *fs, const struct node *node);
/* The same of those in links/. */
uint64_t linked_parent(const struct node *directory);
char *linked_path(struct fs *fs, const struct node *node);
char *linked_why_kept(struct fs *fs, const struct node *directory, const struct node *node, const char *name,
                      char **ret_path);

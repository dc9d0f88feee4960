// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Paths within a tree, as an archive has them. The normal form is relative, without "./", "//" and a '/' at its end; the tree itself is
 * "". Pure; names are bytes.
 */
#include <keepfs/base/str.h>
#include <stdbool.h>

/** tree_path_normal() - @ret: @path in normal form. -EINVAL: it is absolute or has "..", and so may lead out of the tree. */
int tree_path_normal(const char *path, struct str *ret);
/** tree_path_is_below() - is @path (normal, as all of these) @directory, or below it? */
bool tree_path_is_below(const char *path, const char *directory);
/** tree_path_is_pattern() - is that one of a choice a pattern (keepfs/files/exclude.h), and no path? It has a `*`, a `?` or a `[`. */
bool tree_path_is_pattern(const char *choice);
/** tree_path_meets() - does @choice name just this, not what is above it? */
bool tree_path_meets(const char *path, bool is_directory, const char *choice);
/** tree_path_is_chosen() - does one of @choices (paths in normal form, or patterns; NULL-terminated) name it, or a directory that it is
 * below? NULL: all are chosen. */
bool tree_path_is_chosen(const char *path, bool is_directory, char *const *choices);
/** tree_path_may_lead_to() - can there be something chosen below this directory, which is not chosen itself? */
bool tree_path_may_lead_to(const char *path, char *const *choices);
/** tree_path_parent_bytes() - how many bytes of it are its directory: 3 of "a/b/c", 0 of "a". */
size_t tree_path_parent_bytes(const char *path);

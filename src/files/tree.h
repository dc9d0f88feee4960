// SPDX-License-Identifier: Apache-2.0
#pragma once
/** A directory and what is below it, reached name by name from its descriptor, and never through a link: whoever may write in it cannot
 * lead us elsewhere. */
#include <keepfs/base/str.h>

struct tree {
	int root;        /* of O_PATH */
	int parent;      /* the directory that was asked for last; -1: none */
	struct str path; /* of that */
};

/** tree_open() - a link to a directory is followed; the last one, which somebody has named. 0 or negative errno. */
int tree_open(struct tree *t, const char *directory);
void tree_finish(struct tree *t);
/**
 * tree_parent() - the directory of @path (normal), and its name in there; of "" the root and "."
 * Return: 0, *@ret_fd (borrowed until the next call) is of O_PATH; -ENOENT; -ENOTDIR: what lies above is no directory, but maybe a
 * link to one; or why it cannot be reached.
 */
int tree_parent(struct tree *t, const char *path, int *ret_fd, const char **ret_name);
/** tree_forget() - directories may be others by now. */
void tree_forget(struct tree *t);
/** tree_is_empty() - is nothing in the root? Negative errno. */
int tree_is_empty(const struct tree *t);

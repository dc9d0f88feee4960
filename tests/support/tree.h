// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The end of a test's own directory. */
#include <ftw.h>
#include <stdio.h>

static inline int remove_tree_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

/* @root and all that is in it; links are removed, not followed. Return: 0; else something stays. */
static inline int remove_tree(const char *root)
{
	return nftw(root, remove_tree_entry, 16, FTW_DEPTH | FTW_PHYS);
}

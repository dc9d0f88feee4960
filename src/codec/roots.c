// SPDX-License-Identifier: Apache-2.0
/* The roots of the tree: where artifacts lie. */
#include <keepfs/codec/name.h>

#include <string.h>

#include <keepfs/base/cleanup.h>

const struct tree_root tree_roots[] = {
        {.name = "backups", .ino = 2, .links_ino = 7, .catalog_ino = 0, .times = true},
};

const size_t tree_roots_count = ARRAY_SIZE(tree_roots);

const struct tree_root *tree_root_of(const char *path)
{
	size_t len = strcspn(path, "/");

	for (size_t i = 0; i < tree_roots_count; i++) {
		if (strlen(tree_roots[i].name) == len && strncmp(tree_roots[i].name, path, len) == 0)
			return &tree_roots[i];
	}
	return NULL;
}

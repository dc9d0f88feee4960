// SPDX-License-Identifier: Apache-2.0
/* See removed.h. */
#include "removed.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>

#include <string.h>

static void find_removed_directory(struct removed *removed)
{
	const struct tree_root *root = tree_root_of(removed->path);
	_cleanup(free) char *directory =
	        mem_printf("%.*s", (int)(removed_name(removed) - removed->path - 1), removed->path);
	bool in_root = strcmp(directory, root->name) == 0;

	removed->directory_ino = in_root ? root->ino : ino_of_directory(directory);
	if (root->links_ino)
		removed->links_directory_ino = in_root ? root->links_ino : ino_link(removed->directory_ino);
}

void removed_init(struct removed *removed, const struct artifact_removed *what)
{
	*removed = (struct removed){.path = mem_strdup(what->path), .cache_id_count = what->cache_id_count};
	find_removed_directory(removed);
	while (what->beside[removed->beside_count])
		removed->beside_count++;
	removed->beside = mem_array(removed->beside_count + 1, sizeof(*removed->beside));
	for (size_t i = 0; i < removed->beside_count; i++)
		removed->beside[i] = mem_strdup(what->beside[i]);
	removed->cache_ids = mem_array(what->cache_id_count + 1, CACHE_ID_BYTES);
	memcpy(removed->cache_ids, what->cache_ids, what->cache_id_count * CACHE_ID_BYTES);
}

void removed_finish(struct removed *removed)
{
	for (size_t i = 0; i < removed->beside_count; i++)
		free(removed->beside[i]);
	free(removed->beside);
	free(removed->cache_ids);
	free(removed->path);
}

const char *removed_name(const struct removed *removed)
{
	return strrchr(removed->path, '/') + 1;
}

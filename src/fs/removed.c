// SPDX-License-Identifier: Apache-2.0
/* The facts of a removal, and the disk cache's part in it. */
#include "removed.h"

#include "fs_private.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

static void note_beside(void *arg, const char *name, uint64_t size_bytes, const char *sha256)
{
	struct removed *removed = arg;

	removed->beside = mem_resize(removed->beside, removed->beside_count + 1, sizeof(*removed->beside));
	removed->beside[removed->beside_count++] = mem_strdup(name);
}

int removed_note(struct fs *fs, const struct node *directory, const struct node *node, struct removed *ret)
{
	char *path = catalog_path(fs->ctx.catalog, node->ino);

	if (!path)
		return -ENOENT;
	*ret = (struct removed){
	        .ino = node->ino,
	        .directory_ino = directory->ino,
	        .links_directory_ino =
	                directory->root ? directory->root->links_ino : ino_link(directory->ino),
	        .path = path,
	};
	if (!node_is_directory(node))
		catalog_files(fs->ctx.catalog, node->ino, note_beside, ret);
	return 0;
}

void removed_finish(struct removed *removed)
{
	for (size_t i = 0; i < removed->beside_count; i++)
		free(removed->beside[i]);
	free(removed->beside);
	free(removed->path);
}

const char *removed_name(const struct removed *removed)
{
	return strrchr(removed->path, '/') + 1;
}

static void add_cached(struct removed_cached *c, const char *sha256, const struct extents *x)
{
	c->ids = mem_resize(c->ids, c->count + 1, sizeof(*c->ids));
	reader_cache_id(sha256, x, c->ids[c->count++]);
}

static void add_cached_file(void *arg, const char *name, uint64_t size_bytes, const char *sha256)
{
	static const struct extents none = {0};

	add_cached(arg, sha256, &none);
}

void removed_note_cached(struct fs *fs, uint64_t ino, struct removed_cached *ret)
{
	_cleanup(extents) struct extents extents = {0};
	char sha256[SHA256_HEX_BYTES] = "";

	*ret = (struct removed_cached){.ino = ino};
	if (!fs->ctx.cache)
		return;
	if (catalog_file_sha256(fs->ctx.catalog, ino, sha256) == 0 &&
	    catalog_extents(fs->ctx.catalog, ino, &extents) == 0)
		add_cached(ret, sha256, &extents);
	if (catalog_files(fs->ctx.catalog, ino, add_cached_file, ret) < 0)
		log_warning(
		        "some of a removed backup may stay in the disk cache: the catalog cannot be read");
}

/* Also when its deletion goes on at the next start: it is not listed any more. */
void removed_tell_cache(struct fs *fs, struct removed_cached *c)
{
	_cleanup(free) char *path = c->count > 0 ? catalog_path(fs->ctx.catalog, c->ino) : NULL;

	for (size_t i = 0; i < c->count && !path; i++)
		cache_forget_file(fs->ctx.cache, c->ids[i]);
	free(c->ids);
}

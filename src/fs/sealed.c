// SPDX-License-Identifier: Apache-2.0
/* See sealed.h. */
#include "sealed.h"

#include "fs_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

static bool shows_object(const struct fs *fs, bool in_links, const struct catalog_entry *entry)
{
	return entry->is_sealed && (in_links || fs->is_locked);
}

void sealed_show(const struct fs *fs, bool in_links, struct catalog_entry *entry)
{
	size_t len = strlen(entry->name);

	if (!shows_object(fs, in_links, entry))
		return;
	str_copy(entry->name + len, sizeof(entry->name) - len, MANIFEST_SEALED_SUFFIX);
	entry->size_bytes = entry->sealed_bytes;
}

/* Nothing that is shown so has that name; what is not encrypted may. */
static int find_as_it_is(struct fs *fs, bool in_links, uint64_t directory_ino, const char *name,
                         struct catalog_entry *ret)
{
	struct catalog_entry entry;
	int r = catalog_entry_by_name(fs->ctx.repository->catalog, directory_ino, name, &entry);

	if (r == 0 && shows_object(fs, in_links, &entry))
		r = -ENOENT;
	if (r == 0)
		*ret = entry;
	return r;
}

int sealed_find(struct fs *fs, bool in_links, uint64_t directory_ino, const char *name,
                struct catalog_entry *ret)
{
	_cleanup(free) char *plain = NULL;
	struct catalog_entry entry;
	int r;

	if (!str_ends(name, MANIFEST_SEALED_SUFFIX))
		return find_as_it_is(fs, in_links, directory_ino, name, ret);
	plain = mem_printf("%.*s", (int)(strlen(name) - strlen(MANIFEST_SEALED_SUFFIX)), name);
	r = catalog_entry_by_name(fs->ctx.repository->catalog, directory_ino, plain, &entry);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r < 0 || !shows_object(fs, in_links, &entry))
		return find_as_it_is(fs, in_links, directory_ino, name, ret);
	sealed_show(fs, in_links, &entry);
	*ret = entry;
	return 0;
}

bool sealed_is_shown(const struct fs *fs, const struct node *node)
{
	return shows_object(fs, node->class->in_links, &node->entry);
}

char *sealed_path(struct fs *fs, bool in_links, uint64_t ino)
{
	_cleanup(free) char *path = catalog_path(fs->ctx.repository->catalog, ino);
	struct catalog_entry entry;

	if (!path || catalog_entry_by_ino(fs->ctx.repository->catalog, ino, &entry) < 0)
		return NULL;
	return shows_object(fs, in_links, &entry) ? mem_printf("%s" MANIFEST_SEALED_SUFFIX, path)
	                                          : take_ptr(&path);
}

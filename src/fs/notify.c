// SPDX-License-Identifier: Apache-2.0
/* See notify.h. */
#include "notify.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/manifest.h>

#include <string.h>

static void forget_attributes(struct fs *fs, uint64_t ino)
{
	/* -1: the attributes, not the (absent) pages. What the kernel does not know, it need not forget. */
	fuse_lowlevel_notify_inval_inode(fs->session, ino, -1, 0);
}

static void forget_name(struct fs *fs, uint64_t directory_ino, const char *name)
{
	fuse_lowlevel_notify_inval_entry(fs->session, directory_ino, name, strlen(name));
}

/* By both names that it may be shown under: what the kernel does not know costs nothing. */
static void forget_file(struct fs *fs, uint64_t directory_ino, const char *name)
{
	_cleanup(free) char *sealed = mem_printf("%s" MANIFEST_SEALED_SUFFIX, name);

	forget_name(fs, directory_ino, name);
	forget_name(fs, directory_ino, sealed);
}

void notify_directory_changed(struct fs *fs, const char *path)
{
	const struct tree_root *root = tree_root_of(path);
	_cleanup(free) char *above = mem_strdup(path);
	char *slash;

	while ((slash = strrchr(above, '/'))) {
		uint64_t ino = ino_of_directory(above);

		forget_attributes(fs, ino);
		forget_attributes(fs, ino_link(ino));
		*slash = '\0';
	}
	if (root)
		forget_attributes(fs, root->ino);
	if (root && root->links_ino)
		forget_attributes(fs, root->links_ino);
}

void notify_directory_removed(struct fs *fs, const char *path)
{
	const struct tree_root *root = tree_root_of(path);
	const char *name = strrchr(path, '/') + 1;

	forget_name(fs, root->ino, name);
	if (root->links_ino)
		forget_name(fs, root->links_ino, name);
	notify_directory_changed(fs, path);
}

void notify_links_removed(struct fs *fs, const struct removed *removed)
{
	if (!removed->links_directory_ino)
		return;
	forget_file(fs, removed->links_directory_ino, removed_name(removed));
	for (size_t i = 0; i < removed->beside_count; i++)
		forget_file(fs, removed->links_directory_ino, removed->beside[i]);
}

void notify_removed(struct fs *fs, const struct removed *removed)
{
	_cleanup(free) char *directory = mem_strdup(removed->path);

	/* A directory's name takes all below it along. After a successful rm the kernel has forgotten it by itself; one
	 * that was interrupted, or whose store failed half-way, has hidden the file all the same. */
	forget_file(fs, removed->directory_ino, removed_name(removed));
	for (size_t i = 0; i < removed->beside_count; i++)
		forget_file(fs, removed->directory_ino, removed->beside[i]);
	*strrchr(directory, '/') = '\0';
	notify_directory_changed(fs, directory);
}

void notify_rewrapped(struct fs *fs, const struct manifest *m)
{
	for (size_t i = 0; i < m->file_count; i++) {
		_cleanup(free) char *path = manifest_file_path(m, &m->files[i]);
		uint64_t ino = ino_of_artifact(path);

		/* What is decrypted is what it was. */
		if (fs->is_locked)
			fuse_lowlevel_notify_inval_inode(fs->session, ino, 0, 0);
		forget_attributes(fs, ino_link(ino));
	}
}

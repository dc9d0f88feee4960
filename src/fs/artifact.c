// SPDX-License-Identifier: Apache-2.0
/*
 * Artifacts and their files as nodes: their attributes, and what is known of them. How their bytes are read
 * stands in artifact_file.c, how they are removed in remove.c.
 */
#include "catalog_dir.h"
#include "fs_private.h"
#include "sealed.h"
#include "xattr.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/classes.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/stores.h>

#include <string.h>

/* The roles of a cluster, for instance, come with the hashes of their passwords. */
mode_t file_permissions(struct fs *fs, const struct node *node)
{
	return fs->ctx.conf->file_mode & (node->entry.secret ? 0700 : 07777);
}

static int stat_file(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= file_permissions(fs, node);
	st->st_size = (off_t)node->entry.size_bytes;
	*mtime_us = node->entry.mtime_us;
	return 0;
}

static char *store_of_artifact(struct fs *fs, uint64_t ino)
{
	struct stores *stores = fs->ctx.repository->stores;
	uint64_t id;

	if (!stores || catalog_store_of_ino(fs->ctx.repository->catalog, ino, &id) < 0)
		return NULL;
	return stores_name(stores, id);
}

static char *copies_of_artifact(struct fs *fs, uint64_t ino, bool damaged)
{
	struct catalog *catalog = fs->ctx.repository->catalog;
	_cleanup(free) char *path = catalog_path(catalog, ino);
	_cleanup(str) struct str text = {0};

	return path && report_copies_of(catalog, path, damaged, &text) ? str_take(&text) : NULL;
}

/* A further file has a checksum and a size of its own, and else what is known of its artifact. The bytes of a
 * directory are those of its files. */
int artifact_facts(struct fs *fs, const struct node *node, struct facts *ret)
{
	_cleanup(manifest_object) struct manifest_object object = {0};
	struct catalog *catalog = fs->ctx.repository->catalog;
	uint64_t ino = node->ino, artifact_ino = node->entry.artifact_ino;
	ssize_t held;
	int r = catalog_manifest(catalog, ino, &ret->manifest);

	if (r == 0)
		r = catalog_file_sha256(catalog, ino, ret->sha256);
	ret->stored_bytes = node->entry.size_bytes;
	held = catalog_holds(catalog, artifact_ino, ret->holds, CATALOG_HOLDS_MAX);
	ret->hold_count = held > 0 ? (size_t)held : 0;
	(void)catalog_proofs(catalog, artifact_ino, ret->proven_at_us);
	(void)catalog_class_of(catalog, artifact_ino, &ret->storage_class);
	ret->store = store_of_artifact(fs, artifact_ino);
	if (catalog_object(catalog, ino, &object) == 0) {
		ret->stored_bytes = object.stored_bytes;
		if (object.cipher)
			str_copy(ret->stored_sha256, sizeof(ret->stored_sha256), object.stored_sha256);
	}
	/* Of the bytes that are read under this name. */
	if (sealed_is_shown(fs, node))
		str_copy(ret->sha256, sizeof(ret->sha256), ret->stored_sha256);
	ret->damaged = catalog_is_damaged(catalog, ino) ||
	               (ret->manifest.is_directory && catalog_is_damaged(catalog, artifact_ino));
	ret->copies = copies_of_artifact(fs, artifact_ino, ret->damaged);
	return r;
}

/* All files of one artifact give the same answer, so that rm -r leaves one line in status/last-error. */
static char *why_file_is_kept(struct fs *fs, const struct node *directory, const struct node *node,
                              const char *name, char **ret_path)
{
	_cleanup(free) char *artifact = catalog_path(fs->ctx.repository->catalog, node->entry.artifact_ino);
	const char *own;

	if (!artifact) {
		*ret_path = node_path_below(fs, directory, name);
		return NULL;
	}
	own = strrchr(artifact, '/') + 1;
	/* What lies beside an artifact is shown by the directory of both. */
	if (directory->entry.kind != CATALOG_DIRECTORY) {
		*ret_path = mem_strdup(artifact);
		return mem_printf(
		        "its files are one backup and go together; remove the directory itself: rm -r %s",
		        own);
	}
	*ret_path = node_path_below(fs, directory, name);
	return mem_printf("it belongs to a backup and goes with it; remove that one: rm %s", own);
}

const struct node_class class_artifact = {
        .type = S_IFREG,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .mirror = &class_link,
        .stat = stat_file,
        .path = catalog_node_path,
        .facts = artifact_facts,
        .open = artifact_file_open,
        .remove = artifact_begin_removal,
};

/* A further file: beside its artifact, or in it when that is a directory. */
const struct node_class class_file = {
        .type = S_IFREG,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .mirror = &class_link,
        .stat = stat_file,
        .path = catalog_node_path,
        .facts = artifact_facts,
        .open = artifact_file_open,
        .why_kept = why_file_is_kept,
};

/* Artifacts that are directories. */

static int artifact_directory_list(struct fs *fs, const struct node *directory, off_t after,
                                   struct listing *l)
{
	int r = catalog_list(fs, directory, CATALOG_FILE, after, l);

	return r < 0 ? r : 0;
}

/* Nothing can be made in it; but the kernel asks rm only for what the modes let. */
static int artifact_directory_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode & ~(node->class->in_links ? (mode_t)0222 : 0);
	st->st_nlink = 2 + node->entry.subdirectories;
	*mtime_us = node->entry.mtime_us;
	return 0;
}

const struct node_class class_artifact_directory = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .is_within_backup = true,
        .mirror = &class_linked_artifact_directory,
        .lookup = catalog_lookup,
        .list = artifact_directory_list,
        .parent = catalog_parent,
        .stat = artifact_directory_stat,
        .path = catalog_node_path,
        .facts = artifact_facts,
        .remove = artifact_begin_removal,
};

/* In an artifact that is a directory, as deep as it goes. */
const struct node_class class_artifact_subdirectory = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .is_within_backup = true,
        .mirror = &class_linked_artifact_directory,
        .lookup = catalog_lookup,
        .list = artifact_directory_list,
        .parent = catalog_parent,
        .stat = artifact_directory_stat,
        .path = catalog_node_path,
        .why_kept = why_file_is_kept,
};

const struct node_class class_linked_artifact_directory = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .in_links = true,
        .lookup = catalog_lookup,
        .list = artifact_directory_list,
        .parent = linked_parent,
        .stat = artifact_directory_stat,
        .path = linked_path,
        .why_kept = linked_why_kept,
};

// SPDX-License-Identifier: Apache-2.0
/*
 * States of mirrors in copies/: what is shown of them is what is shown in backups/, and all of it is read from their further store, the packs, too. What is found to be wrong is noted of the copy, or of that of
 * the pack, and is made again.
 */
#include "copies.h"
#include "mirrored.h"
#include "xattr.h"

#include <keepfs/artifact/stored.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/copy_tree.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/name.h>
#include <keepfs/replica.h>

#include <errno.h>

static struct catalog *mirrored_catalog(struct fs *fs)
{
	return fs->ctx.repository->catalog;
}

char *mirrored_path_of(struct fs *fs, uint64_t ino)
{
	return copies_have(ino) ? copies_path_of(fs, ino) : catalog_path(mirrored_catalog(fs), ino);
}

int mirrored_entry(struct fs *fs, uint64_t ino, struct catalog_entry *ret)
{
	return copies_have(ino) ? catalog_copy_entry(mirrored_catalog(fs), ino, ret)
	                        : catalog_entry_by_ino(mirrored_catalog(fs), ino, ret);
}

struct mirrored_copy *mirrored_copy_of(struct fs *fs, uint64_t ino)
{
	struct catalog_copy_place place;
	struct catalog_replica row;
	struct mirrored_copy *copy;

	if (!copies_have(ino) || catalog_copy_place(mirrored_catalog(fs), ino, &place) < 0 ||
	    catalog_replica(mirrored_catalog(fs), place.path, place.store, &row) < 0)
		return NULL;
	copy = mem_alloc(sizeof(*copy));
	copy->store = place.store;
	str_copy(copy->path, sizeof(copy->path), place.path);
	str_copy(copy->manifest_sha256, sizeof(copy->manifest_sha256), row.manifest_sha256);
	return copy;
}

/* What was removed here, the other store has still: of that the tree of copies knows the kind. */
static bool is_copy_of_base(struct fs *fs, uint64_t ino)
{
	struct catalog_copy_facts facts;
	bool is_base;

	if (catalog_copy_facts(mirrored_catalog(fs), ino, &facts) < 0)
		return false;
	is_base = str_equal(facts.manifest.kind, LISTING_KIND_BASE);
	manifest_finish(&facts.manifest);
	return is_base;
}

bool mirrored_is_of_base(struct fs *fs, uint64_t ino)
{
	_cleanup(manifest) struct manifest m = {0};

	if (copies_have(ino))
		return is_copy_of_base(fs, ino);
	return catalog_manifest(mirrored_catalog(fs), ino, &m) == 0 && str_equal(m.kind, LISTING_KIND_BASE);
}

static int manifest_of_copy(struct fs *fs, uint64_t id, const char *path, struct cancel *cancel,
                            struct manifest *ret, struct store **ret_store, struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	_cleanup(store) struct store *store = NULL;
	int r = repository_open_store(fs->ctx.repository, id, &store, err);

	if (r == 0)
		r = replica_fetch(fs->ctx.repository, store, id, &call, path, ret, err);
	if (r == 0 && ret_store)
		*ret_store = take_ptr(&store);
	return r > 0 ? -EBADMSG : r;
}

int mirrored_manifest(struct fs *fs, const char *path, const struct mirrored_copy *copy,
                      struct cancel *cancel, struct manifest *ret, struct error *err)
{
	return copy ? manifest_of_copy(fs, copy->store, copy->path, cancel, ret, NULL, err)
	            : artifact_read_manifest(fs->ctx.repository, path, cancel, ret, err);
}

int mirrored_store(struct fs *fs, uint64_t ino, const struct mirrored_copy *copy, struct store **ret,
                   struct error *err)
{
	return copy ? repository_open_store(fs->ctx.repository, copy->store, ret, err)
	            : repository_reading_store_of_ino(fs->ctx.repository, ino, ret, err);
}

uint64_t mirrored_pack_ino(const struct mirrored_copy *copy, const char *path)
{
	return copy ? copy_tree_ino(copy->store, path) : ino_of_artifact(path);
}

int mirrored_pack_copy(struct fs *fs, uint64_t ino, struct cancel *cancel, struct manifest *ret,
                       struct store **ret_store, struct error *err)
{
	struct catalog_copy_place place;
	int r = catalog_copy_place(mirrored_catalog(fs), ino, &place);

	if (r < 0)
		return error_system(err, -r, "the catalog does not know the copy of a pack");
	r = manifest_of_copy(fs, place.store, place.path, cancel, ret, ret_store, err);
	if (r == 0 && (ret->file_count != 1 || ret->files[0].object == MANIFEST_NO_OBJECT))
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the manifest of %s is not that of a pack",
		                 place.path);
	return r;
}

static bool is_not_right(const struct catalog_replica *row)
{
	return row->state == REPLICA_LOST || row->state == REPLICA_WRONG;
}

int mirrored_copy_facts(struct fs *fs, const struct node *node, const struct mirrored_copy *copy,
                        const char *pack, struct facts *ret)
{
	struct node state = *node;
	struct catalog_replica row;
	int r;

	state.ino = node->entry.ino;
	r = copies_facts(fs, &state, ret);
	if (r != 0)
		return r < 0 ? r : -ENOENT;
	if (catalog_replica(mirrored_catalog(fs), pack, copy->store, &row) < 0 || is_not_right(&row))
		ret->damaged = true;
	return 0;
}

const struct node_class class_copied_state = {
        .type = S_IFDIR,
        .waits = true,
        .lookup = mirrored_lookup,
        .list = mirrored_list,
        .parent = copies_parent,
        .stat = mirrored_state_stat,
        .path = copies_node_path,
        .facts = copies_facts,
        .why_kept = copies_why_kept,
};

const struct node_class class_copied_beside = {
        .type = S_IFDIR,
        .waits = true,
        .lookup = mirrored_beside_lookup,
        .list = mirrored_beside_list,
        .parent = copies_parent,
        .stat = mirrored_directory_stat,
        .path = copies_node_path,
        .facts = copies_facts,
        .why_kept = copies_why_kept,
};

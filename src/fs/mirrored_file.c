// SPDX-License-Identifier: Apache-2.0
/*
 * Files of states of mirrors: each is a stretch of a pack, which is read as any artifact is. A pack that is not there, or is not what was stored, is marked as damaged, and the
 * reader of the file is told EIO.
 */
#include "based.h"
#include "copies.h"
#include "mirrored.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/name.h>

#include <errno.h>

struct member {                     /* of a pack */
	struct mirrored_copy *copy; /* heap: it is in copies/ */
	struct catalog_entry pack;
	char *pack_path; /* heap, as the next one */
	char *path;
	uint64_t at, bytes;
};

static void member_finish(struct member *m)
{
	free(m->copy);
	free(m->pack_path);
	free(m->path);
}

static int find_pack_row(struct fs *fs, struct member *m, struct error *err)
{
	int r = mirrored_entry(fs, mirrored_pack_ino(m->copy, m->pack_path), &m->pack);

	if (r == -ENOENT)
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "%s, which has its bytes, is not there any more: other states may have the file",
		        m->pack_path);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (m->at > m->pack.size_bytes || m->bytes > m->pack.size_bytes - m->at)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "%s, which has its bytes, is too short",
		                 m->pack_path);
	return 0;
}

static void fill_member(struct fs *fs, const struct node *node, const struct mirrored *m,
                        const struct mirrored_tree *tree, const struct mirror_item *item, struct member *ret)
{
	ret->path = mirrored_path(m, tree, item->path);
	ret->pack_path = mem_printf(TREE_PACKS "/%s/%s.tar", tree->job, item->entry.pack);
	ret->copy = mirrored_copy_of(fs, node->entry.ino);
	ret->at = item->entry.at;
	ret->bytes = item->entry.bytes;
}

int mirrored_pack_failed(struct fs *fs, const struct mirrored_copy *copy, const char *pack_path,
                         const char *path, int r, const struct error *err)
{
	bool is_damage = err->class == ERROR_CORRUPT || err->class == ERROR_NOT_FOUND;

	if (r == -ECANCELED)
		return r;
	if (copy)
		copies_failed(fs, mirrored_pack_ino(copy, pack_path), r, is_damage, err);
	else if (is_damage)
		note_read_failure(fs, ino_of_artifact(pack_path), path, r, true, err);
	else
		report_trouble(fs->ctx.troubles, path, -r, err->message);
	return r == -ENOKEY || r == -EKEYREJECTED || r == -ENOTSUP ? r : -EIO;
}

static int make_member_handle(struct fs *fs, const struct node *node, struct member *m,
                              const struct catalog_audit *reader, struct handle **ret, struct error *err)
{
	struct artifact_part part;
	int r = find_pack_row(fs, m, err);

	part = (struct artifact_part){
	        .path = m->path, .artifact_ino = m->pack.ino, .at = m->at, .bytes = m->bytes};
	if (r == 0)
		r = artifact_pack_open(fs, node, &m->pack, m->pack_path, &part, reader, ret, err);
	return r < 0 ? mirrored_pack_failed(fs, m->copy, m->pack_path, m->path, r, err) : 0;
}

static int make_listed_handle(struct fs *fs, const struct node *node, const struct catalog_audit *reader,
                              struct handle **ret, struct error *err)
{
	_cleanup(mirror_item) struct mirror_item item = {0};
	_cleanup(mirrored) struct mirrored *m = NULL;
	const struct mirrored_tree *tree;
	struct member member = {0};
	int r = mirrored_open(fs, node->entry.ino, node->cancel, &m, err);

	if (r == 0)
		r = mirrored_find(node, m, &tree, &item, err);
	if (r < 0)
		return mirrored_failed(fs, node, r, err);
	if (mirrored_is_base(tree))
		return based_file_new(fs, node, m, tree, &item, reader, ret);
	fill_member(fs, node, m, tree, &item, &member);
	r = make_member_handle(fs, node, &member, reader, ret, err);
	member_finish(&member);
	return r;
}

int mirrored_file_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                       struct handle **ret_handle, struct error *err)
{
	return mirrored_open_later(req, node, fi, make_listed_handle);
}

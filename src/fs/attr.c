// SPDX-License-Identifier: Apache-2.0
/* Names and attributes: lookup, getattr, setattr, readlink, statfs, and who may keep what for how long. */
#include "fs_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>

#define BLOCK_BYTES 4096
/* What df shows as free when nobody said how much the bucket may hold. */
#define UNKNOWN_CAPACITY_BYTES (UINT64_C(1) << 50)

void node_timeouts(const struct node *node, double *ret_entry_s, double *ret_attr_s)
{
	bool lasting = node_is_artifact(node) || node->kind == NODE_FILE ||
	               node->kind == NODE_FIXED_DIRECTORY || node->kind == NODE_DIRECTORY;

	/* The latest link moves, and SHA256SUMS goes with the last file. */
	*ret_entry_s = node->kind == NODE_LATEST || node->kind == NODE_SUMS ? 0 : ATTR_FOREVER_S;
	/* Directories are checked at each step of each path: their change is told (session.c), not asked
	 * for. */
	*ret_attr_s = lasting ? ATTR_FOREVER_S : 0;
}

int node_entry_param(struct fs *fs, const struct node *node, struct fuse_entry_param *ret)
{
	*ret = (struct fuse_entry_param){.ino = node->ino};
	node_timeouts(node, &ret->entry_timeout, &ret->attr_timeout);
	return node_stat(fs, node, &ret->attr);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent_ino, const char *name)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param param;
	struct node parent, node;
	int r = node_load(fs, parent_ino, &parent);

	if (r == 0)
		r = node_child(fs, &parent, name, &node);
	if (r == 0)
		r = node_entry_param(fs, &node, &param);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_entry(req, &param);
}

static void reply_attr(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	double entry_s, attr_s;
	struct stat st;
	int r = node_stat(fs, node, &st);

	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	/* An open text file is as long as the text of that open (lseek(SEEK_END) asks by descriptor). */
	if (fi && node_is_text(node))
		st.st_size = (off_t)handle_text_bytes(handle_of(fi));
	node_timeouts(node, &entry_s, &attr_s);
	fuse_reply_attr(req, &st, attr_s);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node node;
	int r = node_load(fs_of(req), ino, &node);

	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_attr(req, &node, fi);
}

/* `echo > control/trigger` truncates, `cp -p` sets times: harmless on a command file, refused on what is
 * kept. */
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct node node;
	int r = node_load(fs_of(req), ino, &node);

	if (r == 0 && !node_is_command(&node))
		r = -EPERM;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_attr(req, &node, NULL);
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct catalog_entry target;
	char name[NAME_MAX_BYTES];
	struct node node;
	int r = node_load(fs, ino, &node);

	if (r == 0)
		r = node.kind == NODE_LATEST ? node_latest(fs, node.entry.ino, &target, name) : -EINVAL;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_readlink(req, target.name);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct statvfs st = {
	        .f_bsize = BLOCK_BYTES, .f_frsize = BLOCK_BYTES, .f_namemax = NAME_MAX_BYTES - 1};
	struct store_features features;
	struct catalog_totals totals;
	uint64_t used, available;
	int r = catalog_totals(fs->ctx.catalog, NULL, &totals);

	if (r == 0)
		r = store_features(fs->ctx.store, &features, NULL);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	used = totals.stored_bytes;
	if (fs->ctx.conf->store.capacity_bytes)
		available = fs->ctx.conf->store.capacity_bytes > used
		                    ? fs->ctx.conf->store.capacity_bytes - used
		                    : 0;
	else
		available = features.available_bytes == STORE_UNKNOWN ? UNKNOWN_CAPACITY_BYTES
		                                                      : features.available_bytes;
	st.f_bfree = st.f_bavail = available / BLOCK_BYTES;
	st.f_blocks = st.f_bfree + (used + BLOCK_BYTES - 1) / BLOCK_BYTES;
	st.f_files = totals.artifacts + UINT32_MAX;
	st.f_ffree = st.f_favail = UINT32_MAX;
	fuse_reply_statfs(req, &st);
}

// SPDX-License-Identifier: Apache-2.0
/* Names and attributes: lookup, getattr, setattr, readlink, statfs, and who may keep what for how long. */
#include "asked.h"
#include "fs_private.h"
#include "handle.h"
#include "rights.h"

#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

#include <keepfs/catalog/artifacts.h>

#define BLOCK_BYTES 4096
/* What df shows as free when nobody said how much the bucket may hold. */
#define UNKNOWN_CAPACITY_BYTES (UINT64_C(1) << 50)

int node_entry_param(struct fs *fs, const struct node *node, struct fuse_entry_param *ret)
{
	*ret = (struct fuse_entry_param){
	        .ino = node->ino,
	        .entry_timeout =
	                node->is_second_name || !rights_keep_name(fs, node) ? 0 : node->class->name_s,
	        .attr_timeout = node->class->attributes_s,
	};
	return node_stat(fs, node, &ret->attr);
}

static int find_name(struct fs *fs, const struct node *parent, const struct asked *a, struct answer *ret)
{
	struct node node;
	int r = node_child(fs, parent, a->name, &node);

	ret->kind = ANSWER_ENTRY;
	if (r == 0 && !rights_let(fs, &a->rights, &node, RIGHT_LOOK))
		r = rights_refusal(parent);
	if (r < 0)
		return r;
	node.for_admin = parent->for_admin;
	return node_entry_param(fs, &node, &ret->entry);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent_ino, const char *name)
{
	struct asked a = {.make = find_name, .ino = parent_ino};

	if (strlen(name) >= sizeof(a.name)) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	str_copy(a.name, sizeof(a.name), name);
	answer_asked(req, &a);
}

static int tell_attributes(struct fs *fs, const struct node *node, const struct asked *a, struct answer *ret)
{
	int r = node_stat(fs, node, &ret->st);

	if (r < 0)
		return r;
	if (a->is_open)
		ret->st.st_size = (off_t)a->open_bytes;
	ret->kind = ANSWER_ATTRIBUTES;
	ret->attributes_s = node->class->attributes_s;
	return 0;
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	/* An open directory has no handle. */
	struct handle *h = fi ? handle_of(fi) : NULL;
	struct asked a = {
	        .make = tell_attributes, .ino = ino, .is_of_itself = true, .is_open = h && h->ops->bytes};

	if (a.is_open)
		a.open_bytes = h->ops->bytes(h);
	answer_asked(req, &a);
}

/* What is kept is never changed: it is refused where the class has nothing to say about it. */
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct rights rights;
	struct node node;
	int r = node_load(fs, ino, &node);

	rights_of(req, &rights);
	if (r == 0 && !rights_let(fs, &rights, &node, RIGHT_WRITE))
		r = -EACCES;
	if (r == 0)
		r = node.class->setattr ? node.class->setattr(fs, &node, attr, to_set) : -EPERM;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		op_getattr(req, ino, NULL);
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	char target[NODE_TARGET_BYTES];
	struct rights rights;
	struct node node;
	int r = node_load(fs, ino, &node);

	rights_of(req, &rights);
	if (r == 0 && !rights_let(fs, &rights, &node, RIGHT_LOOK))
		r = -EACCES;
	if (r == 0)
		r = node.class->readlink ? node.class->readlink(fs, &node, target) : -EINVAL;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_readlink(req, target);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct statvfs st = {
	        .f_bsize = BLOCK_BYTES, .f_frsize = BLOCK_BYTES, .f_namemax = NAME_MAX_BYTES - 1};
	struct store_features features;
	struct catalog_totals totals;
	struct rights rights;
	uint64_t used, available;
	int r;

	rights_of(req, &rights);
	/* How much there is of all tenants is not for the admin of one, nor for those who may have nothing. */
	if (!rights_let(fs, &rights, &(struct node){.ino = INO_ROOT, .class = &class_top}, RIGHT_LIST)) {
		fuse_reply_statfs(req, &st);
		return;
	}
	r = catalog_totals(fs->ctx.repository->catalog, NULL, &totals);

	if (r == 0)
		r = store_features(repository_store(fs->ctx.repository), &features, NULL);
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

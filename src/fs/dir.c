// SPDX-License-Identifier: Apache-2.0
/* Answering requests for entries: a page of "." and "..", and of what the class of the directory lists. */
#include "dir.h"

#include "fs_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>

#define OFFSET_DOT     1
#define OFFSET_DOTS    2
#define SMALLEST_ENTRY 32  /* bytes that a directory entry takes at least */
#define SMALLEST_PLUS  160 /* with attributes */

struct listing {
	struct fs *fs;
	fuse_req_t req;
	char *buf;
	size_t size, used;
	bool plus; /* names come with attributes */
};

bool listing_add(struct listing *l, const char *name, const struct node *node, off_t offset)
{
	struct fuse_entry_param param = {.attr.st_ino = node->ino, .attr.st_mode = node->class->type};
	char *at = l->buf + l->used;
	size_t room = l->size - l->used, need;

	if (l->plus) {
		/* What vanished since it was listed is left out; the rest goes on. Where the attributes may
		 * not be kept they would only be computed in vain: inode 0 leaves them to a lookup. */
		if (!node->class->stat_is_costly && node_entry_param(l->fs, node, &param) < 0)
			return true;
		need = fuse_add_direntry_plus(l->req, at, room, name, &param, offset);
	} else {
		need = fuse_add_direntry(l->req, at, room, name, &param.attr, offset);
	}
	if (need > room)
		return false;
	l->used += need;
	return true;
}

size_t listing_max(const struct listing *l)
{
	return l->size / (l->plus ? SMALLEST_PLUS : SMALLEST_ENTRY) + 1;
}

/* False: the page is full. */
static bool add_dots(struct listing *l, const struct node *directory, off_t after)
{
	struct node parent;

	if (after < OFFSET_DOT && !listing_add(l, ".", directory, OFFSET_DOT))
		return false;
	return after >= OFFSET_DOTS || node_load(l->fs, node_parent(directory), &parent) < 0 ||
	       listing_add(l, "..", &parent, OFFSET_DOTS);
}

static int fill_reply(struct listing *l, uint64_t ino, off_t after)
{
	struct node directory;
	int r = node_load(l->fs, ino, &directory);

	if (r < 0)
		return r;
	if (!directory.class->list)
		return -ENOTDIR;
	return add_dots(l, &directory, after) ? directory.class->list(l->fs, &directory, after, l) : 0;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t after, bool plus)
{
	_cleanup(free) char *buf = mem_alloc(size);
	struct listing l = {.fs = fs_of(req), .req = req, .buf = buf, .size = size, .plus = plus};
	int r = fill_reply(&l, ino, after);

	/* What was read is told; asked for more, the rest is an error: an empty answer would be the end. */
	if (r < 0 && l.used == 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_buf(req, l.buf, l.used);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, true);
}

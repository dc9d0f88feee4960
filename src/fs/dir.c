// SPDX-License-Identifier: Apache-2.0
/* Answering requests for entries: a page of "." and "..", and of what the class of the directory lists. */
#include "dir.h"

#include "asked.h"
#include "descents.h"
#include "fs_private.h"
#include "rights.h"

#include <keepfs/base/mem.h>

#include <errno.h>

#define OFFSET_DOT     1
#define SMALLEST_ENTRY 32  /* bytes that a directory entry takes at least */
#define SMALLEST_PLUS  160 /* with attributes */

struct listing {
	struct fs *fs;
	struct cancel *cancel; /* of what is listed; NULL: nothing ends it */
	char *buf;
	size_t size, used;
	bool plus;                   /* names come with attributes */
	const struct rights *rights; /* whose listing it is */
};

static bool tells_attributes(const struct node *node)
{
	return node->class->stat_is_known ? node->class->stat_is_known(node) : !node->class->stat_is_costly;
}

bool listing_add(struct listing *l, const char *name, const struct node *node, off_t offset)
{
	struct fuse_entry_param param = {.attr.st_ino = node->ino, .attr.st_mode = node->class->type};
	char *at = l->buf + l->used;
	size_t room = l->size - l->used, need;

	if (!rights_let(l->fs, l->rights, node, RIGHT_LOOK))
		return true;
	if (l->plus) {
		/* What vanished since it was listed is left out; the rest goes on. Where the attributes may
		 * not be kept they would only be computed in vain: inode 0 leaves them to a lookup. */
		if (tells_attributes(node) && node_entry_param(l->fs, node, &param) < 0)
			return true;
		need = fuse_add_direntry_plus(NULL, at, room, name, &param, offset);
	} else {
		need = fuse_add_direntry(NULL, at, room, name, &param.attr, offset);
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

static int fill_page(struct fs *fs, const struct node *directory, const struct asked *a, struct answer *ret)
{
	struct listing l = {.fs = fs,
	                    .size = a->size,
	                    .plus = a->plus,
	                    .cancel = directory->cancel,
	                    .rights = &a->rights,
	                    .buf = mem_alloc(a->size)};
	int r = 0;

	if (!directory->class->list)
		r = -ENOTDIR;
	else if (add_dots(&l, directory, a->after))
		r = directory->class->list(fs, directory, a->after, &l);
	*ret = (struct answer){.kind = ANSWER_BYTES, .bytes = l.buf, .len = l.used};
	if (r == -EAGAIN && directory->in_haste)
		return r;
	/* What was read is told; asked for more, the rest is an error: an empty answer would be the end. */
	return r < 0 && l.used == 0 ? r : 0;
}

/* Whoever removes a tree has opened its directories. */
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct descent_handle *h = NULL;
	uint64_t backup = 0;
	struct node node;
	pid_t pid = 0;

	if (node_load(fs, ino, &node) == 0)
		backup = node_backup(&node);
	if (backup)
		pid = process_of(req);
	if (pid > 0)
		h = descents_enter(fs->descents, backup, pid, ino == backup);
	fi->fh = (uintptr_t)h;
	/* An open that the caller gave up is not followed by a release. */
	if (fuse_reply_open(req, fi) == -ENOENT)
		descents_leave(fs->descents, h);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	descents_leave(fs_of(req)->descents, (struct descent_handle *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t after, bool plus)
{
	answer_asked(req, &(struct asked){.make = fill_page,
	                                  .ino = ino,
	                                  .size = size,
	                                  .after = after,
	                                  .plus = plus,
	                                  .is_listing = true});
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, size, off, true);
}

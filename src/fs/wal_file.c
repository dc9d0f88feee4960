// SPDX-License-Identifier: Apache-2.0
/*
 * Reading a file of an archive. The open waits until all of it is in memory, so that a read never does, and no server gets half of a segment. Who restores is noted in the audit once for each file.
 */
#include "handle.h"
#include "later.h"
#include "lookers.h"
#include "wal.h"

#include <keepfs/base/mem.h>
#include <keepfs/wal.h>

#include <errno.h>

/* The bits of a node's number that are that of a row, or of a tail. */
#define WAL_NUMBERS ((UINT64_C(1) << 55) - 1)

struct wal_handle {
	struct handle base;
	struct wal_content *content;
};

static void read_wal(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct iovec iov[WAL_READ_IOV];
	int count =
	        wal_content_read(((struct wal_handle *)h)->content, (uint64_t)off, size, iov, WAL_READ_IOV);

	fuse_reply_iov(req, iov, count);
}

static uint64_t bytes_of_wal(struct handle *h)
{
	return wal_content_bytes(((struct wal_handle *)h)->content);
}

static void release_wal(struct handle *h)
{
	struct wal_handle *wh = (struct wal_handle *)h;

	wal_content_close(h->fs->ctx.wal, wh->content);
	free(wh);
}

/* No byte of it is kept by the kernel, which has no use for what is read once. */
static const struct handle_ops wal_ops = {.read = read_wal, .bytes = bytes_of_wal, .release = release_wal};

struct opening_wal {
	struct later later;
	struct node node;
	struct fuse_file_info fi;
	bool is_tail;
};

static int wal_read_failed(struct fs *fs, const struct node *node, int r, const struct error *err)
{
	_cleanup(free) char *path = node_path(fs, node);

	if (r == -ECANCELED)
		return -EINTR;
	report_trouble(fs->ctx.troubles, path, -r, err->message);
	return r == -ENOKEY || r == -EKEYREJECTED || r == -ENOMEM ? r : -EIO;
}

/* What was a tail may be the segment by now. */
static int open_wal_tail(struct fs *fs, const struct wal_tail_facts *tail, struct cancel *cancel,
                         struct wal_content **ret, struct error *err)
{
	struct catalog_wal row;
	int r = -ENOENT;

	/* Between the two looks the segment may take the tail's place. */
	for (int i = 0; i < 2 && r == -ENOENT; i++) {
		r = wal_find(fs->ctx.wal, tail->job, tail->name, true, cancel, &row, err);
		if (r == 0)
			r = wal_open(fs->ctx.wal, &row, cancel, ret, err);
		else if (r == -ENOENT)
			r = wal_tail_open(fs->ctx.wal, tail->job, tail->name, cancel, ret, err);
	}
	return r;
}

static int open_wal_content(struct fs *fs, const struct node *node, struct cancel *cancel, bool is_tail,
                            struct wal_content **ret, struct error *err)
{
	const int64_t id = (int64_t)(node->ino & WAL_NUMBERS);
	struct wal_tail_facts tail;
	struct catalog_wal row;
	int r;

	if (is_tail) {
		r = wal_tail_by_number(fs->ctx.wal, id, &tail);
		return r < 0 ? r : open_wal_tail(fs, &tail, cancel, ret, err);
	}
	r = catalog_wal_by_id(fs->ctx.repository->catalog, id, &row);
	return r < 0 ? r : wal_open(fs->ctx.wal, &row, cancel, ret, err);
}

static int make_wal_handle(struct fs *fs, const struct opening_wal *o, struct cancel *cancel,
                           struct handle **ret)
{
	struct wal_content *content = NULL;
	struct error err = {0};
	struct wal_handle *wh;
	int r = open_wal_content(fs, &o->node, cancel, o->is_tail, &content, &err);

	if (r < 0)
		return r == -ENOENT ? r : wal_read_failed(fs, &o->node, r, &err);
	wh = mem_alloc(sizeof(*wh));
	wh->content = content;
	handle_init(&wh->base, fs, &wal_ops, o->node.ino);
	*ret = &wh->base;
	return 0;
}

static void open_wal(void *arg)
{
	struct opening_wal *o = arg;
	struct handle *h = NULL;
	int r = make_wal_handle(o->later.fs, o, &o->later.cancel, &h);

	if (!later_claim(&o->later)) {
		if (h)
			handle_free(h);
	} else if (r < 0) {
		fuse_reply_err(o->later.pending.req, -r);
	} else {
		reply_open(o->later.pending.req, h, &o->fi);
	}
	later_end(&o->later);
	free(o);
}

static int read_wal_later(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                          bool is_tail)
{
	struct fs *fs = fs_of(req);
	struct opening_wal *o = mem_alloc(sizeof(*o));

	o->node = *node;
	o->fi = *fi;
	o->is_tail = is_tail;
	if (later_begin(&o->later, fs, req))
		lookers_add(fs->long_lookers, node->entry.ino, open_wal, o);
	else
		free(o);
	return OPENED_LATER;
}

int wal_file_read(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                  struct handle **ret_handle, struct error *err)
{
	(void)ret_handle;
	(void)err;
	return read_wal_later(req, node, fi, false);
}

int wal_tail_read(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                  struct handle **ret_handle, struct error *err)
{
	(void)ret_handle;
	(void)err;
	return read_wal_later(req, node, fi, true);
}

// SPDX-License-Identifier: Apache-2.0
/* Open files: making them, and the operations on them, which their own tables carry out. */
#include "handle.h"

#include "fs_private.h"
#include "rights.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>

void handle_init(struct handle *h, struct fs *fs, const struct handle_ops *ops, uint64_t ino)
{
	h->ops = ops;
	h->fs = fs;
	h->ino = ino;
	pthread_mutex_lock(&fs->handles_lock);
	h->next = fs->handles;
	h->link = &fs->handles;
	if (h->next)
		h->next->link = &h->next;
	fs->handles = h;
	pthread_mutex_unlock(&fs->handles_lock);
}

void handle_free(struct handle *h)
{
	struct fs *fs = h->fs;

	pthread_mutex_lock(&fs->handles_lock);
	*h->link = h->next;
	if (h->next)
		h->next->link = h->link;
	pthread_mutex_unlock(&fs->handles_lock);
	h->ops->release(h);
}

void handles_free(struct fs *fs)
{
	while (fs->handles)
		handle_free(fs->handles);
}

static void give_to_kernel(const struct handle *h, struct fuse_file_info *fi)
{
	fi->fh = (uintptr_t)h;
	fi->keep_cache = h->ops->lasting;
	fi->direct_io = !h->ops->lasting;
	fi->nonseekable = h->ops->in_order;
}

void reply_open(fuse_req_t req, struct handle *h, struct fuse_file_info *fi)
{
	give_to_kernel(h, fi);
	/* An open that the caller gave up is not followed by a release. */
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_free(h);
}

static bool is_for_writing(const struct fuse_file_info *fi)
{
	return (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC;
}

/* Return: as node_open_fn. */
static int node_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                     struct handle **ret_handle, struct error *err)
{
	if (!node->class->open)
		return node_is_directory(node) ? -EISDIR : -ELOOP;
	if (is_for_writing(fi) && !node->class->writable)
		return -EPERM;
	return node->class->open(req, node, fi, ret_handle, err);
}

/* Why it failed, where somebody said so, goes to status/last-error. */
static void reply_failure(fuse_req_t req, char *path, int r, const struct error *err)
{
	if (err->message[0])
		report_trouble(fs_of(req)->ctx.troubles, path, -r, err->message);
	free(path);
	fuse_reply_err(req, -r);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = NULL;
	struct error err = {0};
	struct rights rights;
	struct node node;
	int r = node_load(fs, ino, &node);

	rights_of(req, &rights);
	if (r == 0 && !rights_let(fs, &rights, &node, is_for_writing(fi) ? RIGHT_WRITE : RIGHT_LOOK))
		r = -EACCES;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	node.for_admin = !rights_see_all(&rights);
	r = node_open(req, &node, fi, &h, &err);
	if (r < 0)
		reply_failure(req, err.message[0] ? node_path(fs, &node) : NULL, r, &err);
	else if (r != OPENED_LATER)
		reply_open(req, h, fi);
}

static int reply_create(fuse_req_t req, const struct fuse_entry_param *param, const struct handle *h,
                        struct fuse_file_info *fi)
{
	give_to_kernel(h, fi);
	return fuse_reply_create(req, param, fi) == -ENOENT ? -ENOENT : 0;
}

void node_create(fuse_req_t req, const struct node *directory, const char *name, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param param;
	struct handle *h = NULL;
	struct error err = {0};
	struct node node;
	int r = -EPERM;

	if (directory->class->create)
		r = directory->class->create(req, directory, name, fi, &node, &h, &err);
	if (r < 0) {
		reply_failure(req, err.message[0] ? node_path_below(fs, directory, name) : NULL, r, &err);
		return;
	}
	r = node_entry_param(fs, &node, &param);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		r = reply_create(req, &param, h, fi);
	/* Neither a failure nor what the caller gave up is followed by a release. */
	if (r < 0)
		handle_free(h);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct rights rights;
	struct node directory;
	int r = node_load(fs_of(req), parent, &directory);

	rights_of(req, &rights);
	if (r == 0 && !rights_let(fs_of(req), &rights, &directory, RIGHT_WRITE))
		r = -EACCES;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		node_create(req, &directory, name, fi);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
               const char *new_name, unsigned flags)
{
	struct rights rights;
	struct node directory;
	int r = node_load(fs_of(req), parent, &directory);

	rights_of(req, &rights);
	if (r == 0 && !rights_let(fs_of(req), &rights, &directory, RIGHT_WRITE))
		r = -EACCES;
	if (r == 0 && !directory.class->rename)
		r = -EPERM;
	if (r == 0 && parent != new_parent)
		r = -EXDEV;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		directory.class->rename(req, &directory, name, new_name, flags);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	if (h->ops->read)
		h->ops->read(req, h, size, off);
	else
		fuse_reply_err(req, EBADF);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
              struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	if (h->ops->write)
		h->ops->write(req, h, buf, size, off, fi->lock_owner);
	else
		fuse_reply_err(req, EBADF);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	if (h->ops->flush)
		h->ops->flush(req, h, fi->lock_owner);
	else
		fuse_reply_err(req, 0);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	if (h->ops->sync)
		h->ops->sync(req, h);
	else
		fuse_reply_err(req, 0);
}

void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	struct handle *h = handle_of(fi);

	if (h->ops->poll) {
		h->ops->poll(req, h, ph);
		return;
	}
	if (ph)
		fuse_pollhandle_destroy(ph);
	fuse_reply_poll(req, WATCH_READY);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	handle_free(handle_of(fi));
	fuse_reply_err(req, 0);
}

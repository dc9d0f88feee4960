// SPDX-License-Identifier: Apache-2.0
/* Open files: which kind of handle a node gets, and reads and releases by kind. */
#include "fs_private.h"
#include "text.h"
#include "watch.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define OPENED_LATER 1

struct handle *handle_new(struct fs *fs, enum handle_kind kind, uint64_t ino)
{
	struct handle *h = mem_alloc(sizeof(*h));

	h->kind = kind;
	h->ino = ino;
	pthread_mutex_init(&h->lock, NULL);
	h->fs = fs;
	pthread_mutex_lock(&fs->handles_lock);
	h->next = fs->handles;
	h->link = &fs->handles;
	if (h->next)
		h->next->link = &h->next;
	fs->handles = h;
	pthread_mutex_unlock(&fs->handles_lock);
	return h;
}

void handle_free(struct handle *h)
{
	pthread_mutex_lock(&h->fs->handles_lock);
	*h->link = h->next;
	if (h->next)
		h->next->link = h->link;
	pthread_mutex_unlock(&h->fs->handles_lock);
	artifact_file_close(h->fs, h->artifact);
	if (h->watch)
		watch_free(h->watch);
	text_unref(h->text);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void handles_free(struct fs *fs)
{
	while (fs->handles)
		handle_free(fs->handles);
}

uint64_t handle_text_bytes(struct handle *h)
{
	uint64_t bytes;

	pthread_mutex_lock(&h->lock);
	bytes = h->text ? text_bytes(h->text) : 0;
	pthread_mutex_unlock(&h->lock);
	return bytes;
}

static int text_handle(struct fs *fs, struct node *node, struct handle **ret_handle)
{
	struct handle *h = handle_new(fs, HANDLE_TEXT, node->ino);
	int r;

	/* Watched from before the text is made: a change in between wakes the watcher once too often, never
	 * too seldom. */
	if (node->kind == NODE_RUN_FILE) {
		h->watch = watch_new(fs->watches, node->run.id);
		r = node_load(fs, node->ino, node);
		if (r < 0) {
			handle_free(h);
			return r;
		}
		if (node->run.finished_at_us)
			watch_settle(h->watch);
	}
	r = text_open(fs, node, &h->text);
	if (r < 0) {
		handle_free(h);
		return r;
	}
	*ret_handle = h;
	return 0;
}

/* Return: 0 with a handle; OPENED_LATER: it takes a worker; negative errno. */
static int open_node(fuse_req_t req, struct node *node, const struct fuse_file_info *fi,
                     struct handle **ret_handle, struct error *err)
{
	struct fs *fs = fs_of(req);
	bool writing = (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC;

	if (node_is_directory(node))
		return -EISDIR;
	if (node_is_command(node)) {
		*ret_handle = command_open(fs, node);
		return 0;
	}
	if (writing)
		return -EPERM;
	if (node->kind == NODE_LINK)
		return OPENED_LATER;
	if (node_is_stored(node))
		return artifact_file_open(req, node, ret_handle, err);
	return text_handle(fs, node, ret_handle);
}

static void reply_open(fuse_req_t req, struct handle *h, struct fuse_file_info *fi)
{
	fi->fh = (uintptr_t)h;
	fi->keep_cache = h->kind == HANDLE_ARTIFACT;
	/* Texts have no size before they are opened: the kernel must ask for each byte. */
	fi->direct_io = h->kind != HANDLE_ARTIFACT;
	/* An open that the caller gave up is not followed by a release. */
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_free(h);
}

void reply_open_text(fuse_req_t req, struct fs *fs, uint64_t ino, struct text *text,
                     struct fuse_file_info *fi)
{
	struct handle *h = handle_new(fs, HANDLE_TEXT, ino);

	h->text = text;
	reply_open(req, h, fi);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = NULL;
	struct error err = {0};
	struct node node;
	int r = node_load(fs, ino, &node);

	if (r == 0)
		r = open_node(req, &node, fi, &h, &err);
	if (r < 0) {
		if (err.message[0]) {
			_cleanup(free) char *path = node_path(fs, &node);

			report_trouble(fs->ctx.troubles, path, -r, err.message);
		}
		fuse_reply_err(req, -r);
		return;
	}
	if (r == OPENED_LATER)
		link_open(req, &node, fi);
	else
		reply_open(req, h, fi);
}

static void read_text(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	_cleanup(free) char *buf = mem_alloc(size);
	ssize_t n = 0;

	pthread_mutex_lock(&h->lock);
	if (h->kind == HANDLE_COMMAND && h->answer_at < 0)
		h->answer_at = off;
	if (h->text && off >= h->answer_at)
		n = text_read(h->text, buf, size, (uint64_t)(off - h->answer_at));
	pthread_mutex_unlock(&h->lock);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	if (h->kind == HANDLE_ARTIFACT)
		artifact_file_read(req, h, size, off);
	else
		read_text(req, h, size, off);
}

/* Commands act in write and say there what is wrong: nothing is left to fail at close. */
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	if (h->kind == HANDLE_ARTIFACT)
		artifact_file_flush(req, h);
	fuse_reply_err(req, 0);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	handle_free(handle_of(fi));
	fuse_reply_err(req, 0);
}

// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Handles: open files. A kind of handle is a struct that begins with a struct handle, and a table of what can
 * be done with it; it is a file of its own (artifact_file.c, text_handle.c, command.c), and nobody else knows of it.
 *
 * The life of one: the open (or create) slot of a node's class makes it with handle_init(); from the answer
 * to the open on the kernel holds it, as fi->fh, and it lives until release. The kernel sends a release when
 * the last descriptor is closed and all requests on it were answered, so that a request which is answered
 * later may use its handle until it is. An open that the caller gave up has no release: reply_open() frees
 * the handle then. What is open when the mount ends is freed by handles_free().
 *
 * Who owns a request: the slot that is given it answers it exactly once, on the spot or, by way of struct
 * pending (fs_private.h), from another thread. After the answer the handle may be gone. Slots run on FUSE's
 * threads, several at once for one handle; what they change in it is their own to lock. No lock is held while
 * they run.
 */
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <keepfs/base/cleanup.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct fs;
struct handle;

struct handle_ops {
	/* Its bytes never change: the kernel keeps them from one open to the next. Else it asks for each,
	 * since it does not know the size before the open. */
	bool lasting;
	/* NULL: EBADF. */
	void (*read)(fuse_req_t req, struct handle *h, size_t size, off_t off);
	/* @buf is gone after the return. @owner: a number of whoever shares the writing process's table of descriptors. NULL: EBADF. */
	void (*write)(fuse_req_t req, struct handle *h, const char *buf, size_t size, off_t off,
	              uint64_t owner);
	/* One descriptor is closed, of perhaps several (dup, fork): the last place where an error reaches the
	 * caller, and one that may come before the first write. @owner: as of write. NULL: 0. */
	void (*flush)(fuse_req_t req, struct handle *h, uint64_t owner);
	/* poll(2). @ph, when not NULL, is the slot's to destroy, after a fuse_lowlevel_notify_poll() or
	 * without one. NULL: always ready. */
	void (*poll)(fuse_req_t req, struct handle *h, struct fuse_pollhandle *ph);
	/* fsync(2). NULL: 0. */
	void (*sync)(fuse_req_t req, struct handle *h);
	/* It is read or written from its beginning on: lseek(2) is refused by the kernel. */
	bool in_order;
	/* The size that fstat(2) tells. NULL: the node's. */
	uint64_t (*bytes)(struct handle *h);
	/* Free it. Nobody sees a failure. Never NULL. */
	void (*release)(struct handle *h);
};

struct handle {
	const struct handle_ops *ops;
	struct fs *fs;
	uint64_t ino;
	struct handle *next, **link; /* fs->handles_lock */
};

static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

/** handle_init() - @h, the beginning of a kind's own struct, becomes one of the open files. */
void handle_init(struct handle *h, struct fs *fs, const struct handle_ops *ops, uint64_t ino);
/** handle_free() - take it out of the open files and release it. */
void handle_free(struct handle *h);
/** handles_free() - the files that are still open when the session is over: their releases never come. */
void handles_free(struct fs *fs);
/** reply_open() - answer an open with @h, which is the kernel's from here on. */
void reply_open(fuse_req_t req, struct handle *h, struct fuse_file_info *fi);

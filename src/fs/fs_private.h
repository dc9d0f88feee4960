// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the files of this room share. */
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "node.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/fs.h>

#include <stdatomic.h>

struct artifact_file;
struct texts;
struct watches;

struct fs {
	struct fs_context ctx;
	struct jobs *jobs;
	struct jobs_events events;
	int64_t started_at_us; /* mtime of what has none of its own */
	struct texts *texts;
	struct watches *watches;
	/* what waits for the catalog's disk or the store: commands, removals, links, notes */
	struct workers *workers;
	struct workers *forgetters; /* has the kernel forget names: see remove.c */
	pthread_mutex_t forgetting; /* held while the kernel forgets names */
	atomic_bool ending;         /* removals are refused, and nothing is forgotten any more */
	atomic_ullong read_tag;     /* the last read's */
	pthread_mutex_t handles_lock;
	struct handle *handles; /* handles_lock: open files */
	struct fuse_session *session;
	char *mountpoint;
	pthread_t loop;
	bool looping;
	int ended_fd;
};

/* Open files: fi->fh points to one of these. */
enum handle_kind { HANDLE_ARTIFACT, HANDLE_TEXT, HANDLE_COMMAND };

struct handle {
	struct fs *fs;
	struct handle *next, **link; /* fs->handles_lock */
	enum handle_kind kind;
	uint64_t ino;
	struct artifact_file *artifact; /* HANDLE_ARTIFACT */
	struct text
	        *text; /* HANDLE_TEXT; HANDLE_COMMAND: the answer that is read, NULL before there is one */
	struct watch *watch; /* jobs/<run>/…: NULL elsewhere */
	pthread_mutex_t lock;
	/* HANDLE_COMMAND: a write moves the descriptor's position, and the answer begins wherever the first
	 * read after it happens to be. */
	off_t answer_at; /* lock; -1: not read yet */
};

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

struct handle *handle_new(struct fs *fs, enum handle_kind kind, uint64_t ino);
void handle_free(struct handle *h);
/** reply_open_text() - answer an open with a file that reads @text (consumed). */
void reply_open_text(fuse_req_t req, struct fs *fs, uint64_t ino, struct text *text,
                     struct fuse_file_info *fi);
/** handles_free() - the files that are still open when the session is over: their releases never come. */
void handles_free(struct fs *fs);
/** handle_text_bytes() - length of the text that an open handle reads. */
uint64_t handle_text_bytes(struct handle *h);

/* Finished artifacts never change and leave only through this mount, so the kernel may keep what it knows of
 * them. */
#define ATTR_FOREVER_S 3600.0

/** node_timeouts() - how long the kernel may keep a node's name and attributes. */
void node_timeouts(const struct node *node, double *ret_entry_s, double *ret_attr_s);
/** node_entry_param() - @node as a reply to a lookup. */
int node_entry_param(struct fs *fs, const struct node *node, struct fuse_entry_param *ret);

/*
 * A request that is answered later, by another thread. Either the answer or an interrupt of the caller comes
 * first; whoever does claims it, the other finds it claimed. That keeps "exactly one reply" true and lets a
 * killed process go at once.
 */
struct pending_work { /* what an interrupt ends; the file is open until the request has its answer */
	void (*give_up)(struct reader_file *file, uint64_t tag);
	struct reader_file *file;
	uint64_t tag;
};
struct pending {
	fuse_req_t req;
	struct pending_work work;
	atomic_int state; /* pending.c */
};

/** pending_init() - from now on an interrupt gives up the work (NULL: it goes on unheard) and answers with
 * EINTR. False when it has done so already: a read then must not begin, since its file may be gone. */
bool pending_init(struct pending *p, fuse_req_t req, const struct pending_work *work);
/** pending_claim() - true once: the caller must reply now. After it returned, @p may be freed. */
bool pending_claim(struct pending *p);

/** caller_of() - who made a request: "uid 0 (bash)", and an audit entry filled with uid, pid and command. */
void caller_of(fuse_req_t req, struct catalog_audit *ret_audit);
/** audit() - complete and write an audit entry; a failure to write is logged. */
void audit(struct fs *fs, struct catalog_audit *entry, const char *action, const char *object, int result,
           const char *detail);

/** directory_changed() - have the kernel ask anew about a directory and those above it; any thread that
 * answers no request now. */
void directory_changed(struct fs *fs, const char *path);

/* The operations, by file. */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_statfs(fuse_req_t req, fuse_ino_t ino);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
              struct fuse_file_info *fi);
void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);

/** link_bytes() - how long a file of links/ is; 0 where no URL can be made. Nobody is given one. */
uint64_t link_bytes(struct fs *fs, const struct node *node);
/** link_open() - answer, later, an open for reading of a file of links/: with a URL that is made for it. */
void link_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi);
/** command_open() - a handle of a command file; it reads the last answer that anybody got. */
struct handle *command_open(struct fs *fs, const struct node *node);
/** artifact_file_open() - a handle that reads the bytes of an artifact, or of one of its further files. */
int artifact_file_open(fuse_req_t req, const struct node *node, struct handle **ret_handle,
                       struct error *err);
void artifact_file_read(fuse_req_t req, struct handle *h, size_t size, off_t off);
/** artifact_file_flush() - the caller has closed a descriptor: nobody else waits for what was read ahead for
 * it that would not ask again. Without this what it had asked for would go on until the store's deadline,
 * since a release comes only when all is answered. */
void artifact_file_flush(fuse_req_t req, struct handle *h);
/** artifact_file_close() - and note who read what. NULL allowed. */
void artifact_file_close(struct fs *fs, struct artifact_file *file);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Files that are written into the mount.
 *
 *   incoming.c         the files themselves, and their entries in directories
 *   incoming_handle.c  opening, writing, closing
 */
#include "incoming.h"

#include <keepfs/base/pool.h>

/* Why an intake was given up. */
#define GONE_KILLED  "the process that wrote it was killed before it had closed it"
#define GONE_CLOSED  "it was given up before it was closed"
#define GONE_REMOVED "it was removed while it was written"
#define GONE_ENDED   "keepfs ends"

enum incoming_state {
	INCOMING_OPEN,  /* it is written, or its end is being looked at */
	INCOMING_WAITS, /* it was closed under a temporary name */
	INCOMING_TAKEN,
	INCOMING_GONE, /* it has no entry any more */
};

struct incoming {
	struct fs *fs;
	const struct incoming_class *class;
	uint64_t directory, ino;
	char *path, *job; /* of the directory */
	struct intake *intake;
	struct catalog_audit writer; /* who has opened it */
	/* lock of all, as all that follows */
	unsigned refs;
	char name[256];
	enum incoming_state state;
	bool is_begun, is_ending;    /* a byte came; an end was offered */
	bool is_busy;                /* a piece is under way, whose request may have its answer already */
	bool has_handle, has_buffer; /* either needs the place in the pool */
	uint64_t bytes, owner;       /* of the last byte: of handle_ops.write */
	int64_t mtime_us;            /* 0: it was not set */
	void *own;
	struct end_request *waiting; /* further closes, while the end is looked at */
	struct incoming *next;
};

struct incomings {
	pthread_mutex_t lock;
	struct incoming *first; /* lock: entries, the newest first */
	struct pool *pool;      /* a buffer for each file that is open */
	uint64_t last;          /* lock: the newest number */
	bool ended;             /* lock */
};

/** incoming_strike() - with the lock: it has no entry any more. True: the caller has the entry's reference now. */
bool incoming_strike(struct incomings *all, struct incoming *f);
/** incoming_drop_entry() - the same, and the entry's reference is given back. */
void incoming_drop_entry(struct incoming *f);
/** incoming_named() - with the lock: the entry @name of @directory; NULL: there is none. */
struct incoming *incoming_named(const struct incomings *all, uint64_t directory, const char *name);
/** incoming_number() - with the lock: one that no file has had. */
uint64_t incoming_number(struct incomings *all);
/** incoming_free() - when nobody has it. */
void incoming_free(struct incoming *f);
/** incoming_check_name() - it becomes part of an order, of messages and of a manifest, which are text. -EINVAL: it is none. */
int incoming_check_name(const char *name, struct error *err);
/** incoming_errno() - what a writer is told of the failure @r: what is wrong with a file itself is one error, and what went wrong with the store mostly another. */
int incoming_errno(int r);
/** incoming_end() - its end is offered to whoever reads it; @req is answered when that is done with. @again: it has its last name, behind an end that was taken. */
void incoming_end(fuse_req_t req, struct incoming *f, bool again);

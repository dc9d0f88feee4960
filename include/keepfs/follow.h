// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Many readers of one store: the writer tells in one small object, state/head.json (docs/formats.md), what it has made and
 * removed last, and readers ask for it, one request each time. So a backup is listed everywhere some seconds after it was made, and nobody lists the store for that.
 *
 * head_writer: listens to the repository's events and writes the object, once a second at most, and every ten minutes while nothing happens, so that a reader can tell
 * a quiet writer from none.
 * follower: asks every [keepfs] follow, applies the changes to its own catalog, and tells the kernel by the repository's events. It compares everything, by the names of the
 * manifests, when it has just begun, once a day, and when the object does not tell all that has happened since: it is further behind than the
 * 200 changes that are kept, another writer has the lease, or the last one crashed.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct repository;
struct store;

#define HEAD_KEY         "state/head.json"
#define HEAD_CHANGES_MAX 200
#define HEAD_TEXT_MAX    ((size_t)1 << 20) /* bytes of the object; more is none */
#define HEAD_REPEAT_MS   INT64_C(600000)   /* it is written again after so long, though nothing has changed */

enum head_what {
	HEAD_MADE,    /* it is listed: new, or brought back from the trash */
	HEAD_REMOVED, /* it is not listed any more: deleted, or in the trash */
	HEAD_MARKED   /* who holds it has changed */
};

struct head_change {
	uint64_t sequence;
	enum head_what what;
	char *path; /* of the artifact */
};

struct head {
	uint64_t sequence;  /* of the last change; it only grows */
	uint64_t fence;     /* of the lease of who wrote it; 0: there is none */
	int64_t written_us; /* by the clock of that host: for people */
	bool closed;        /* the writer has ended, and there is nothing that is not told here */
	struct head_change *
	        changes; /* the oldest first; their sequences follow on one another and end with `sequence` */
	size_t count;
};

void head_finish(struct head *h);
static inline void cleanup_head(struct head *h)
{
	head_finish(h);
}
/** head_add() - the next change; the oldest goes when there are HEAD_CHANGES_MAX. */
void head_add(struct head *h, enum head_what what, const char *path);
/** head_encode() - append the object's text. head_decode() - -EBADMSG (ERROR_CORRUPT): it is none; -ENOTSUP: a newer keepfs has written it. Pure. */
void head_encode(const struct head *h, struct str *out);
int head_decode(const char *text, size_t len, struct head *ret, struct error *err);
/** head_since() - the index in @h of the first change that @known, which was read before, did not tell of; @h->count: none; -1: that cannot be told, all has to be compared. Pure. */
long head_since(const struct head *h, const struct head *known);

struct head_writer;
/** head_writer_new() - from here on each event of @repo (borrowed, with its lease) is told; before any thread uses it. @store: where it is written; consumed, on failure, too.
 * What is there from the last time is read by the thread, which tries until the store answers. */
int head_writer_new(struct repository *repo, struct store *store, struct head_writer **ret,
                    struct error *err);
/** head_writer_free() - write what is left, for some seconds at most; when nothing changes any more. NULL allowed; returns NULL. */
struct head_writer *head_writer_free(struct head_writer *w);

struct follower;
struct follower_options {
	struct repository *repo; /* borrowed; its events are told */
	int64_t every_ms;
	/* NULL, or called when following begins to fail, and when it works again; it must only wake somebody. */
	void (*changed)(void *arg);
	void *arg;
};
/** follower_new() - begins at once: what the catalog lists is compared with the store by a thread. */
int follower_new(const struct follower_options *options, struct follower **ret, struct error *err);
/** follower_free() - NULL allowed; returns NULL. */
struct follower *follower_free(struct follower *f);

struct follower_state {
	int64_t heard_ms; /* how long ago the store has answered; -1: it never has */
	int64_t told_ms; /* how long ago the writer's object was another one than before; -1: there was none yet */
	bool compared;     /* all was compared at least once since the start */
	bool no_head;      /* there is no such object: no keepfs of this version has written here */
	bool writer_ended; /* it has said so */
	uint64_t applied;  /* changes since the start */
	char trouble[512]; /* why the last look failed; "": it did not */
};
/** follower_look() - how it stands; durations go on while the host sleeps. Any thread; does not block on the store. */
void follower_look(struct follower *f, struct follower_state *ret);

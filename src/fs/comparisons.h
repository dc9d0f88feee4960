// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Comparisons that diff/ shows as files: each is made once, whoever asks for it, on threads of its own, and its result is kept for the next one who asks. Whoever
 * asks for one that is not there yet does not wait on a thread: he leaves a waiter, and is woken when it has ended. A comparison for which nobody waits any more is
 * given up.
 *
 * How much is kept is bounded: COMPARISONS_KEPT results, with one half of [keepfs] diff_space for their rows; the rest of that is for temporary files of those
 * that are at work. What was not used for longest goes first, never what is open.
 */
#include "diff_pairs.h"

#include <keepfs/base/cancel.h>
#include <keepfs/base/spool.h>
#include <keepfs/use/diff.h>

struct fs;
struct node;

#define COMPARISONS_KEPT 256

enum comparison_of { COMPARISON_OF_TABLES, COMPARISON_OF_SCHEMAS, COMPARISON_OF_ROWS };
#define COMPARISON_KINDS (COMPARISON_OF_ROWS + 1)

struct comparison_key {
	struct diff_pair_id pair;
	enum comparison_of of;
	uint32_t table; /* its number in the second dump; COMPARISON_OF_ROWS: a table that both have */
};

struct comparison;
struct comparisons;

struct comparisons *comparisons_new(struct fs *fs); /* NULL: its threads cannot be started */
/** comparisons_end() - the mount ends: all are given up, and whoever waits was woken by his token (laters_end()) before. Returns when none is at work. */
void comparisons_end(struct comparisons *cs);
struct comparisons *
comparisons_free(struct comparisons *cs); /* all files are closed; NULL allowed; returns NULL */

/*
 * Who waits. It lies on the heap, in what belongs to the request; comparisons_get() may be called with it again only after wake(). wake() may be called
 * before comparisons_get() has returned, on another thread: so after COMPARISON_LATER nothing of the waiter may be touched.
 */
struct comparison_waiter {
	struct cancel *cancel;   /* when it is set he is woken, too */
	void (*wake)(void *arg); /* must only queue what asks again; a lock may be held */
	void *arg;
	/* The rest is comparisons.c's. */
	struct comparisons *all;
	struct comparison *comparison; /* what was waited for */
	struct cancel_hook hook;
	bool given_up, is_linked; /* the lock of all */
	struct comparison_waiter *next;
};

#define COMPARISON_LATER (-EINPROGRESS)
/**
 * comparisons_get() - the result of a comparison; @node: the file that shows it, for its path. Of a waiter that was woken @key is not looked at.
 * Return: 0 with the caller's comparison_unref(); COMPARISON_LATER: @waiter will be woken, and asks again then; -ECANCELED; the errno for the kernel of one that failed, which
 * was told in status/last-error.
 */
int comparisons_get(struct comparisons *cs, const struct comparison_key *key, const struct node *node,
                    struct comparison_waiter *waiter, struct comparison **ret);
/** comparisons_peek() - as comparisons_get(), of one that is there; -EAGAIN: it is not. */
int comparisons_peek(struct comparisons *cs, const struct comparison_key *key, struct comparison **ret);
void comparison_unref(struct comparison *c);
DEFINE_CLEANUP(comparison, struct comparison *, comparison_unref)
/** comparison_key() - borrowed. */
const struct comparison_key *comparison_key(const struct comparison *c);
/** comparison_text() - what differs; of rows those that only @side has, otherwise @side is DIFF_B. Borrowed; any thread. */
const struct spool *comparison_text(const struct comparison *c, enum diff_side side);
/** comparison_is_stale() - one of its two dumps was removed. */
bool comparison_is_stale(const struct comparison *c);
/** comparison_failed() - the errno for the kernel of a failure that is about the dump at @side: as inside_failed(), @path (heap or NULL) is consumed; ENOSPC, EFBIG and ENFILE stay what
 * they are, and the reason is told, too. */
int comparison_failed(struct fs *fs, const struct diff_pair_id *pair, enum diff_side side, char *path, int r,
                      const struct error *err);
/** comparisons_forget() - the dump @ino was removed: results of it go, those that are open when they are closed. Any thread. */
void comparisons_forget(struct comparisons *cs, uint64_t ino);
/** comparisons_write() - status/diffs: what is at work, what waits for that, what is kept. */
int comparisons_write(struct comparisons *cs, struct spool *out);

/** comparison_append_tables() - summary.csv (diff_summary.c). */
int comparison_append_tables(struct diff *d, struct spool *out, struct error *err);

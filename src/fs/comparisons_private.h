// SPDX-License-Identifier: Apache-2.0
#pragma once
/* The parts of comparisons.h: the list of comparisons and who waits for them (comparisons.c), how much of their results is kept (comparisons_room.c), and how
 * one is made (comparisons_make.c). */
#include "comparisons.h"
#include "fs_private.h"

#include <pthread.h>
#include <stdatomic.h>

#define COMPARISONS_AT_ONCE    2                  /* of one kind: looking at tables never waits for rows */
#define COMPARISONS_KEPT_PART  2                  /* of [keepfs] diff_space, for results */
#define COMPARISON_SMALL_BYTES ((size_t)16 << 10) /* of a result in memory */

struct comparison {
	struct comparisons *all;
	struct comparison_key key;
	unsigned refs;                   /* the lock of all, as what follows */
	struct comparison *next, **link; /* NULL: it is not in the list */
	struct comparison_waiter *waiters;
	bool has_begun, has_ended;
	uint64_t bytes;   /* that count for all */
	char *path;       /* of the file that was asked for first */
	int64_t since_us; /* monotonic: asked for, then begun */
	struct cancel cancel;
	struct spool *sides[2];
	int result; /* once it has ended */
	atomic_uint_least64_t read_bytes, expected_bytes;
};

struct comparisons {
	struct fs *fs;
	struct lookers *threads;
	pthread_mutex_t lock;
	pthread_cond_t changed;   /* a result that was open is not any more; one was given up; the end */
	struct comparison *first; /* lock: what was used last is first */
	uint64_t bytes;           /* lock: of all results */
	bool ended;               /* lock */
};

/** comparisons_kept_max() - how many bytes all results may take. */
uint64_t comparisons_kept_max(const struct comparisons *cs);
/** comparisons_take_oldest() - with the lock: the result that nobody uses and that was used longest ago, taken out of the list; the caller's to unref. NULL: there is none. */
struct comparison *comparisons_take_oldest(struct comparisons *cs);
/** comparison_make_room() - @bytes more of its result: others make room for them, or it is refused. Waits for files to be closed. Without the lock. */
int comparison_make_room(struct comparison *c, uint64_t bytes, struct error *err);
/** comparisons_keep_allowed() - give up results until no more than may be kept are there. Without the lock. */
void comparisons_keep_allowed(struct comparisons *cs);
/** comparison_make() - on a thread of its own; blocks for as long as reading takes. *@ret_side: which of the dumps a failure is about, as far as that is known. */
int comparison_make(struct comparison *c, enum diff_side *ret_side, struct error *err);
/** comparison_pair_is_there() - both backups are still those that were meant. */
bool comparison_pair_is_there(struct fs *fs, const struct diff_pair_id *id);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Bytes that one thread gives and another takes, in order, a few MiB of them on their way: what pushes (a backup that is read) meets
 * what pulls (libarchive). */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define FEED_PIECES      4
#define FEED_PIECE_BYTES ((size_t)512 << 10)

struct feed {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char *pieces[FEED_PIECES];
	size_t bytes[FEED_PIECES]; /* lock, as the next ones */
	size_t first, count;
	bool taken;    /* the first is being looked at */
	bool ended;    /* there comes no more */
	bool given_up; /* ... and it is not all */
	bool closed;   /* nobody takes any more */
};

void feed_init(struct feed *f);
void feed_finish(struct feed *f);
/** feed_put() - waits for room. Return: 1: nobody takes any more, and it is dropped. */
int feed_put(struct feed *f, const void *data, size_t len);
/** feed_end() - that was all; or, @given_up, it was not, and there comes no more. */
void feed_end(struct feed *f, bool given_up);
/** feed_next() - waits for the next bytes, which stay until the next call. Return: how many; 0 at the end; -ECANCELED: given up. */
ssize_t feed_next(struct feed *f, const void **ret);
/** feed_close() - of the one who takes: whatever still comes is dropped. */
void feed_close(struct feed *f);

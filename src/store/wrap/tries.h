// SPDX-License-Identifier: Apache-2.0
#pragma once
/** One call of the retry wrapper and its tries. */
#include "retry.h"

#include <stdatomic.h>

struct retry_store {
	struct store base;
	struct store *inner;
	int64_t deadline_ms; /* after a call began; 0: there is one try, without a deadline of ours */
	struct retry_timing timing;
	atomic_llong told_at_ms; /* when the log last said that something is tried again; 0: never */
};

static inline struct retry_store *retry_of(struct store *s)
{
	return (struct retry_store *)s; /* `base` is the first member */
}

struct tries {
	struct retry_store *s;
	struct store_call call; /* the caller's, with the deadline that applies */
	int64_t began_ms;
	unsigned failed;    /* tries that failed and were made again */
	unsigned doublings; /* of the bound of the next wait */
	bool gave_up, cancelled;
	struct error error; /* of the last try */
	struct error cause; /* of the last failure that said `retry` */
};

void tries_begin(struct tries *t, struct store *s, const struct store_call *call);
/** tries_again() - after a try that returned @r: true when the call shall be made again, now: it has
 * waited. */
bool tries_again(struct tries *t, int r);
/** tries_made_progress() - the last try failed, but was not in vain: the next wait is a first one. */
void tries_made_progress(struct tries *t);
/** tries_end() - what the caller is told: the result of the last try, in its words, and how long it was
 * tried. */
int tries_end(struct tries *t, int r, struct error *err);

/* TRY() - make a call of the wrapped store until it succeeds or shall not be made again. Inside @call_,
 * `&t.call` and `&t.error` are what it is to be called with. */
#define TRY(t, call_)                                                                                        \
	({                                                                                                   \
		int try_r_;                                                                                  \
		do                                                                                           \
			try_r_ = (call_);                                                                    \
		while (tries_again(t, try_r_));                                                              \
		try_r_;                                                                                      \
	})

/** retry_resumed_get() - the slot `get`. */
int retry_resumed_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                      const struct iovec *iov, int count, const struct store_get_options *options,
                      struct error *err);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the files of this room share of a file that comes in. */
#include <keepfs/codec/hash.h>
#include <keepfs/inbox.h>

#include <pthread.h>

struct inbox_arrivals {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct inbox_arrival *first; /* lock: all that have not been forgotten */
	uint64_t last;               /* lock: the newest number */
};

struct inbox_arrival {
	struct inbox_arrivals *all;
	uint64_t number;
	char *job;
	struct intake *intake;
	void (*ended)(void *arg, int r, const char *path, const struct error *err);
	void *arg;
	/* all->lock, as all that follows */
	unsigned refs;
	char *name;
	bool is_temporary;
	bool is_queued, is_abandoned;  /* it has a run; that ended */
	bool is_over;                  /* ended() was called, or is */
	char sha256[SHA256_HEX_BYTES]; /* of its content, once that is known; "" */
	struct inbox_arrival *next;
};

/* arrivals_find() - a reference to that of @number; NULL: there is none. */
struct inbox_arrival *arrivals_find(struct inbox_arrivals *a, uint64_t number);
/* arrival_name() - heap: as of now; @ret_is_temporary: NULL allowed. */
char *arrival_name(struct inbox_arrival *a, bool *ret_is_temporary);
/* arrival_abandon() - its run has ended: where nobody took it, that is its end, too. */
void arrival_abandon(struct inbox_arrival *a);
/* arrival_succeed() - @path has it now; @what: what is to be said, "" for nothing. */
void arrival_succeed(struct inbox_arrival *a, const char *path, const char *what);
/* arrival_claim_content() - it is @sha256: wait until no other one of this job that has the same is under way. So each sees what the others have published. -ECANCELED. */
int arrival_claim_content(struct inbox_arrival *a, const char *sha256, struct cancel *cancel,
                          struct error *err);

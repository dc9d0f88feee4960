// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What runs and checks of a state share: objects, one by one, by several threads. */
#include "back_private.h"

#include <keepfs/base/workers.h>

#include <pthread.h>

#define BACK_CHECK_BYTES ((size_t)4 << 20) /* of an object that is only read: so much at once */

struct running {
	struct mirror_back *b;
	struct mirror_back_counts *counts; /* lock, as all that tasks change */
	struct back_packs *packs;
	struct workers *workers;
	size_t most_piece;
	uint64_t memory;
	bool removes; /* the second walk */
	bool checks;  /* nothing is written */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a task is done */
	uint64_t used;          /* lock: bytes of `memory` */
	size_t tasks;           /* lock: that were not done */
	unsigned in_a_row;      /* lock: failures */
	bool is_over;           /* lock: nothing more is begun */
	struct error fatal;     /* lock: why */
	struct error first;     /* lock: of the first object that failed */
};

struct task {
	struct running *run;
	struct listing_entry entry; /* of a removal key and bytes alone */
	char *etag;                 /* of what is at the target; NULL: nothing is */
	bool is_unsure, is_removal, is_check;
	size_t piece, memory;
};

enum task_result { TASK_WRITTEN, TASK_REMOVED, TASK_SAME, TASK_LEFT };

/** back_piece_at() - how much of an object comes with the piece that begins at @at. */
size_t back_piece_at(const struct task *t, uint64_t at);
/** back_is_of_entry() - is what was hashed the object that the listing tells of? */
bool back_is_of_entry(struct sha256 *h, const struct listing_entry *e);
/** back_check_object() - read it, from the target or of the state, and compare its SHA-256. @ret_of_state: what failed is of the state. Return: TASK_SAME; negative. */
int back_check_object(const struct task *t, bool *ret_of_state, struct error *err);
/** back_judge_check() - what a check has counted: 0: all is right. */
int back_judge_check(const struct running *run, struct error *err);

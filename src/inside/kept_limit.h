// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What kept.c and kept_limit.c share: the names of the files, and how many bytes they have. */
#include "kept.h"

#include <keepfs/base/log.h>
#include <pthread.h>
#include <stdatomic.h>

#define KEPT_NAME_BYTES  64
#define KEPT_TEMPORARY   "tmp-" /* a name that begins so is of a file that is being written */
#define KEPT_DUMP_FORMAT "%016" PRIx64 "-%016" PRIx64
#define KEPT_ADVICE      "move it away, or name another [keepfs] state_dir"

struct kept {
	struct kept_options options;
	char *path; /* of the directory of them all */
	uint64_t limit_bytes;
	atomic_bool told;
	pthread_mutex_t lock;
	bool counted; /* lock */
	uint64_t
	        used_bytes; /* lock: by the last count, and what was added since: others may have written more */
	unsigned added;     /* lock: files since the last count */
};

/** kept_limit_added() - a file of so many bytes is there: what is too much goes. */
void kept_limit_added(struct kept *k, uint64_t bytes);

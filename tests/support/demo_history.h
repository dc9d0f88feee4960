// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Months of runs and backups within a second, written by the catalog's own functions at times of the caller's choice: whoever
 * links this gets his clock from demo_now_us (with -Wl,--wrap=clock_now_us). Everything is the same at each call.
 *
 * All is written in the frame of a rebuild, so it is one transaction: demo_begin() first, demo_end() last.
 */
#include <keepfs/catalog.h>
#include <keepfs/conf.h>

#include <stdbool.h>
#include <stdint.h>

extern int64_t demo_now_us; /* what clock_now_us() says; 0: the real time */

#define DEMO_TARGETS_MAX 1000

struct demo_target {
	const char *label, *directory; /* "acme", "backups/tenants/acme" */
	uint64_t size_bytes;
	int64_t rows;      /* -1: not known */
	const char *error; /* NULL: it completed */
};

struct demo_run {
	const char *job, *kind, *suffix;
	int64_t at_us, duration_us;
	const char *error, *warning; /* NULL */
	const char *const *log;      /* NULL-terminated; NULL: none */
	const struct demo_target *targets;
	size_t count;
	bool keeps_artifacts; /* else they are gone by now */
	unsigned tiers;
};

void demo_begin(struct catalog *c);
/** demo_add_run() - returns its number. Runs come in the order of their times. */
int64_t demo_add_run(struct catalog *c, const struct demo_run *run);
void demo_end(struct catalog *c);

/** struct demo - a whole configuration with its history; @conf's texts are static, but for jobs. */
struct demo {
	const char *name;
	void (*configure)(struct conf *conf); /* jobs, store, mountpoint; demo_conf_finish() */
	void (*fill)(struct catalog *c, int64_t now_us);
};
/** demo_find() - "realistic": a platform on an ordinary morning; "well": the same without troubles; "hostile": names and
 * messages that attack; "large": 10,000 runs, 1,000 databases of one job; "jobs": as many, each of a job of its own; "empty"; NULL: there is none of that name. */
const struct demo *demo_find(const char *name);
void demo_conf_finish(struct conf *conf);

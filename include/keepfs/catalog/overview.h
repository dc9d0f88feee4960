// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What an overview of everything asks: few facts of many runs and backups, by indexed queries of which each says how many
 * rows it reads at most. See keepfs/catalog.h for what is true of every function.
 */
#include <stdbool.h>
#include <stdint.h>

#include <keepfs/catalog/runs.h>

struct catalog;

/** struct catalog_outcome - how a run went. */
struct catalog_outcome {
	int64_t id;
	enum run_state state;
	bool warned;  /* somebody should look */
	bool changed; /* its trigger changed the job: perhaps it made less */
	int64_t queued_at_us, started_at_us, finished_at_us; /* 0: not yet */
	uint64_t size_bytes;
	uint64_t targets, targets_failed;
};
/** catalog_outcomes() - call @row for the runs of @job, newest first, until it returns false; it costs as many rows as it
 * was called for. */
int catalog_outcomes(struct catalog *c, const char *job,
                     bool (*row)(void *arg, const struct catalog_outcome *outcome), void *arg);

/** struct catalog_result - what became of one target of a run. All text is borrowed for the call. */
struct catalog_result {
	const char *label, *path, *error; /* path: of its artifact; "" */
	enum run_state state;
	uint64_t size_bytes;
};
/** catalog_results() - call @row for each target of a run, at most @max, in the order in which they were first set. */
int catalog_results(struct catalog *c, int64_t run_id, uint64_t max,
                    void (*row)(void *arg, const struct catalog_result *result), void *arg);

/** struct catalog_backup - an artifact that is listed. All text is borrowed for the call. */
struct catalog_backup {
	const char *path; /* in the tree: "backups/full/20261120T020000Z.dump" */
	const char *job, *kind, *label;
	const char *damaged; /* what is wrong with it; NULL: nothing that is known */
	bool is_directory, partial;
	bool is_encrypted, is_signed;
	int64_t run_id;
	int64_t started_at_us, finished_at_us;
	int64_t verified_at_us; /* 0: never */
	uint64_t size_bytes;    /* of the file that is read */
	uint64_t stored_bytes;  /* with what lies beside it */
	unsigned tiers;         /* enum retention_reason: those it is the first good one of */
	int64_t held_until_us;  /* the latest end of what holds it; INT64_MAX: has none; 0: it is not held */
};
/** catalog_newest_backups() - call @row for the @max that were made last, newest first, whatever they are. */
int catalog_newest_backups(struct catalog *c, uint64_t max,
                           void (*row)(void *arg, const struct catalog_backup *backup), void *arg);

/** struct catalog_holding - what a directory holds: of a job, or of one of its targets. */
struct catalog_holding {
	const char *path; /* "backups/tenants/acme", borrowed for the call */
	uint64_t artifacts, stored_bytes;
	/* The one that was made last and is neither partial nor damaged; NULL: there is none. Borrowed for the call. */
	const struct catalog_backup *newest;
};
/** catalog_holdings() - call @row for the directory of a job, when it holds artifacts, and those directly below it, at most
 * @max, in the order in which they were made. */
int catalog_holdings(struct catalog *c, const char *directory, uint64_t max,
                     void (*row)(void *arg, const struct catalog_holding *holding), void *arg);

/** catalog_tier_totals() - call @row for each job and each set of tiers (enum retention_reason) that artifacts of it have.
 * Costs nothing per artifact. */
int catalog_tier_totals(struct catalog *c,
                        void (*row)(void *arg, const char *job, unsigned tiers, uint64_t artifacts,
                                    uint64_t stored_bytes),
                        void *arg);

/** catalog_fact_of_run() - the sum of the fact @name, a number, over the first @max artifacts of run @run_id that are still
 * listed; -ENOENT when none of them has it. */
int catalog_fact_of_run(struct catalog *c, int64_t run_id, const char *name, uint64_t max, int64_t *ret_sum);

/** struct catalog_fact_then - a fact of two backups of a directory: of that which was made last, and of an earlier one. */
struct catalog_fact_then {
	char *now, *then; /* heap: texts; NULL: there is none that has the fact */
	int64_t now_us, then_us;
};
/**
 * catalog_fact_then() - the fact @name of the newest good backup of @directory, and of the newest one that began by @by_us, or the oldest
 * when all began later; @ret->then is NULL when that is the same one. It reads as many rows as began since @by_us.
 */
int catalog_fact_then(struct catalog *c, const char *directory, const char *name, int64_t by_us,
                      struct catalog_fact_then *ret);

/** catalog_log_end() - call @row for the last @max lines of a run's log, oldest first. */
int catalog_log_end(struct catalog *c, int64_t run_id, uint64_t max,
                    void (*row)(void *arg, int64_t at_us, const char *line), void *arg);

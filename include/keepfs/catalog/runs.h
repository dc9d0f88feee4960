// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Runs: the history, of which the catalog is the truth. See keepfs/catalog.h for what is true of every
 * function.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/name.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

enum run_state { RUN_PENDING, RUN_RUNNING, RUN_COMPLETED, RUN_FAILED, RUN_CANCELLED };
#define RUN_STATES (RUN_CANCELLED + 1)
/** run_state_name() - "pending", "running", "completed", "failed" or "cancelled". */
const char *run_state_name(enum run_state state);

struct catalog_run {
	int64_t id;
	char job[NAME_MAX_BYTES];
	char kind[16]; /* "dump" */
	enum run_state state;
	char triggered_by[128];
	char note[256];    /* of whoever triggered it; "" */
	char options[512]; /* what the trigger changed of the job: "format=plain content=schema"; "" */
	char damaged[512]; /* reading has shown it of a backup that the run made: its name and why; "" */
	char warning[512]; /* completed, but somebody should look: shown by health until the next run; "" */
	int64_t queued_at_us, started_at_us, finished_at_us; /* 0: not yet */
	uint64_t size_bytes;                                 /* sum of its artifacts */
	uint64_t targets;                                    /* databases it covers */
	uint64_t targets_failed;
	char sha256[SHA256_HEX_BYTES]; /* of its artifact when it has exactly one */
	char error[1536];
	char tier[48]; /* of which periods its artifacts were the first good ones: "daily,weekly" */
	char org[256]; /* the one thing that it is of: a database; "" when there are several, or none */
};

struct catalog_target { /* one thing that a run makes an artifact of: a database, a directory */
	char label[256];
	enum run_state state;
	char path[512]; /* of its artifact; "" */
	uint64_t size_bytes;
	char error[1536];
};

/** catalog_add_run() - a pending run as @run says (job, kind, triggered_by, note, options). Return 0; -EBUSY
 * (with the run's number in @err) when that job has one that is pending or running. */
int catalog_add_run(struct catalog *c, const struct catalog_run *run, int64_t *ret_id, struct error *err);
/** catalog_newest_run() - the largest number that a run has, or had; 0: there was none. */
int catalog_newest_run(struct catalog *c, int64_t *ret_id);
/** catalog_raise_run_number() - a manifest bears the number @used: runs that are added from now on get larger ones. */
int catalog_raise_run_number(struct catalog *c, int64_t used, struct error *err);
/** catalog_warn_run() - add to a run's warnings ("; " between two). */
int catalog_warn_run(struct catalog *c, int64_t id, const char *warning, struct error *err);
/** catalog_start_run() - a pending run is running now; -ENOENT when it is not pending. */
int catalog_start_run(struct catalog *c, int64_t id, struct error *err);
/** catalog_set_target() - what stands about a database of a run, and with it the run's sums; -ENOENT when
 * there is no such run. */
int catalog_set_target(struct catalog *c, int64_t run_id, const struct catalog_target *target,
                       struct error *err);
/** catalog_finish_run() - its end, and with the same state and @error (NULL: none) that of its databases that
 * are still pending or running. -ENOENT when it is not pending or running. */
int catalog_finish_run(struct catalog *c, int64_t id, enum run_state state, const char *error,
                       struct error *err);
/** catalog_log_run() - add a line to a run's log; the last 2000 of a run are kept. */
int catalog_log_run(struct catalog *c, int64_t id, const char *line, struct error *err);
/** catalog_run() - the run with this number; -ENOENT. */
int catalog_run(struct catalog *c, int64_t id, struct catalog_run *ret);
/** catalog_runs() - runs with id below @before (0: from the newest), newest first, at most @max; returns how
 * many. @job NULL: all. */
ssize_t catalog_runs(struct catalog *c, const char *job, int64_t before, struct catalog_run *runs,
                     size_t max);
/** catalog_run_targets() - the databases of a run in the order in which they were first set, from the one at
 * @offset, at most @max; returns how many. */
ssize_t catalog_run_targets(struct catalog *c, int64_t run_id, size_t offset, struct catalog_target *targets,
                            size_t max);
/** catalog_run_log() - call @row for each line of a run's log behind the one with the number @after (0: all), oldest first.
 * The first line of a run has the number 1. The last 2000 lines are kept; older ones go some hundreds at a time. */
int catalog_run_log(struct catalog *c, int64_t id, int64_t after,
                    void (*row)(void *arg, int64_t number, int64_t at_us, const char *line), void *arg);
/** catalog_unfinished_runs() - call @row for each pending or running one: at start these are a crash's. */
int catalog_unfinished_runs(struct catalog *c, void (*row)(void *arg, const struct catalog_run *run),
                            void *arg);
/** catalog_run_totals() - call @row for each job that ever ran and each state that a run of it ever was in:
 * how many are in it now, and when the last of these ended (0: none has), by job. Costs nothing per run. */
int catalog_run_totals(struct catalog *c,
                       void (*row)(void *arg, const char *job, enum run_state state, uint64_t runs,
                                   int64_t last_finished_at_us),
                       void *arg);
/** catalog_last_ended() - when a run of @job (NULL: of any) last ended in @state, in *@ret_us; 0: none ever did. Costs nothing per
 * run. */
int catalog_last_ended(struct catalog *c, const char *job, enum run_state state, int64_t *ret_us);

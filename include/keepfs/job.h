// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Runs: queued durably, run by a bounded set of threads, watched, cancelled, recovered. One run of a job at a
 * time. A job's hooks are part of its runs: a run is over when its post hook is.
 */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/make.h>
#include <keepfs/report/run.h>
#include <sys/types.h>

struct jobs;

struct jobs_events { /* called on a job's thread, with no lock held; must not block for long */
	void (*run_changed)(void *arg,
	                    int64_t run_id); /* state or progress; at most five times a second a run */
	void *arg;
};

/** jobs_new() - start the runner threads (conf->parallel_runs); recovery must have been done. @ctx and
 * @events (may be NULL) are borrowed. */
int jobs_new(const struct make_context *ctx, const struct jobs_events *events, struct jobs **ret_jobs,
             struct error *err);
/** jobs_stop() - accept no more; let running ones end within @grace_ms, then cancel them; pending ones become
 * cancelled. Post hooks have eight seconds more. Blocks. */
void jobs_stop(struct jobs *j, int64_t grace_ms);
/** jobs_free() - jobs_stop() with no grace, then free. NULL allowed; returns NULL. */
struct jobs *jobs_free(struct jobs *j);

/**
 * jobs_trigger() - a command as written to control/trigger: "now", "full note='before the migration' jobs=2"
 * The name of a job, and key=value pairs with shell quoting: what conf_job_override() takes, and a note
 * (at most 200 bytes). When it returns 0 the run is queued durably.
 * @by:         who, for the history
 * Return: 0; -EINVAL (unknown job, key, value or quoting, keys that contradict each other; the message lists
 * what is allowed), -EBUSY, -ESHUTDOWN.
 */
int jobs_trigger(struct jobs *j, const char *command, const char *by, struct catalog_run *ret_run,
                 struct error *err);
/** jobs_append_word() - add a word or key=value pair to a command, quoted where it would be taken apart
 * otherwise: what a shell has split becomes one line again. */
void jobs_append_word(struct str *command, const char *word);
/** jobs_cancel() - ask a run to stop; -ESRCH when it is not pending or running. Returns before it has
 * stopped, and waits for no disk; asking again while it stops is no error. A run whose post hook runs has
 * ended otherwise: only the hook is stopped. */
int jobs_cancel(struct jobs *j, int64_t run_id, struct error *err);
/** jobs_progress() - false when the run is not live: *@ret is zeroed then. */
bool jobs_progress(struct jobs *j, int64_t run_id, struct report_progress *ret);

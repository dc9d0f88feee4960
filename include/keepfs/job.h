// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Runs: ordered by whoever wants one (a person's trigger, a timer), queued durably, run by a bounded set of threads, watched, cancelled, recovered. One run of a job at a
 * time. A job's hooks are part of its runs: a run is over when its post hook is.
 */
#include <keepfs/base/error.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/conf.h>
#include <keepfs/make.h>
#include <keepfs/report/run.h>
#include <sys/types.h>

struct jobs;

struct jobs_events { /* called on a job's thread, with no lock held; must not block for long */
	void (*run_changed)(void *arg,
	                    int64_t run_id); /* state or progress; at most five times a second a run */
	void *arg;
	/* It has ended, and that is in the catalog; after the last run_changed(). May be NULL. */
	void (*run_ended)(void *arg, int64_t run_id);
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

#define JOBS_NOTE_MAX_BYTES 200

/** struct jobs_order - one run, as somebody wants it; everything is borrowed, but for what jobs_order_parse() made */
struct jobs_order {
	const struct conf_job *job;  /* of the configuration that the jobs run by */
	const char **keys, **values; /* of the job, for this run only: what conf_job_override() takes */
	size_t key_count;
	const char *note;         /* why: at most JOBS_NOTE_MAX_BYTES of one line of text; NULL or "": none */
	struct command_line line; /* of jobs_order_parse(): holds the texts */
};

/**
 * jobs_order_parse() - a command as written to control/trigger: "now", "full note='before the migration' jobs=2"
 * The name of a job (or "now": the first one), and key=value pairs with shell quoting. Pure.
 * @ret: the caller's jobs_order_finish()
 * Return: 0; -EINVAL (unknown job, wrong quoting; the message lists what is allowed).
 */
int jobs_order_parse(const struct conf *conf, const char *text, struct jobs_order *ret, struct error *err);
void jobs_order_finish(struct jobs_order *order);
static inline void cleanup_jobs_order(struct jobs_order *order)
{
	jobs_order_finish(order);
}

/**
 * jobs_submit() - when it returns 0 the run is queued durably
 * @by:      who, for the history
 * @ret_run: NULL: nobody asks
 * Return: 0; -EINVAL (unknown key, wrong value, keys that contradict each other; the message lists what is
 * allowed), -EBUSY (the job has a run), -ESHUTDOWN.
 */
int jobs_submit(struct jobs *j, const struct jobs_order *order, const char *by, struct catalog_run *ret_run,
                struct error *err);
/** jobs_cancel() - ask a run to stop; -ESRCH when it is not pending or running. Returns before it has
 * stopped, and waits for no disk; asking again while it stops is no error. A run whose post hook runs has
 * ended otherwise: only the hook is stopped. */
int jobs_cancel(struct jobs *j, int64_t run_id, struct error *err);
/** jobs_progress() - false when the run is not live: *@ret is zeroed then. */
bool jobs_progress(struct jobs *j, int64_t run_id, struct report_progress *ret);

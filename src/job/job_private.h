// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the files of this room share. jobs->lock guards everything but what says otherwise; it is never held
 * across the catalog, the maker or an event.
 *
 *   order.c    from the text of a trigger to an order, and from that to what a run is to do: request.c
 *   job.c      life, orders, cancelling, waiting
 *   lanes.c    the threads that run: which runs wait for which
 *   claims.c   what a run needs for itself as long as it lives
 *   run.c      one run: all databases of its job, and its end: finish.c
 *   hooks.c    the commands before and after: what they are told; hook.c runs one
 *   retention.c what the rules let go, when a run has made something
 *   watch.c    samples of progress, and the thread that tells of changes
 *   timer.c    what is due by itself; switch.c: whether
 */
#include "request.h"

#include <keepfs/catalog/runs.h>
#include <keepfs/job.h>
#include <pthread.h>

#define WATCH_INTERVAL_MS 250 /* with the last event at once: at most five a second */
#define WATCH_SAMPLES     16  /* the rate is that of the last 4 s */

struct jobs_options {
	const struct make_context *ctx;                                 /* borrowed */
	const struct jobs_events *events;                               /* borrowed; NULL: none */
	const struct make_kind *(*kind_of)(const struct conf_job *job); /* kind_of(); tests have their own */
	int64_t hook_stop_ms; /* of post hooks, after the grace period of jobs_stop() */
};

/* jobs_start() - jobs_new() with any maker, and other limits. */
int jobs_start(const struct jobs_options *options, struct jobs **ret_jobs, struct error *err);
/* jobs_wait() - until the run has ended: for tests, which have no mount to poll. */
int jobs_wait(struct jobs *j, int64_t run_id, struct catalog_run *ret_run);

enum live_state {
	LIVE_PENDING,
	LIVE_RUNNING,
	LIVE_LEAVING, /* was pending and was cancelled; the watcher writes its end to the catalog */
	LIVE_ENDED,   /* its end is in the catalog, or never will be: keepfs stops */
};

struct sample {
	int64_t at_ms;
	uint64_t bytes; /* read */
	uint64_t moved; /* read, sent and verified: has anything changed? */
};

struct run_slot {                         /* of a run: what one of its threads makes */
	struct make_progress progress;    /* of the present target; atomic */
	const struct make_target *target; /* NULL: none */
};

struct run { /* a live run, in jobs->runs until its end was told and nobody waits */
	int64_t id;
	struct request request; /* job, note … */
	char *triggered_by;
	struct make_targets targets; /* once it runs, or, when its work prepares them, from the first */
	struct run *next_claimant;
	size_t kept;                    /* of its targets; of whoever orders it, and then of its runner */
	bool is_late;                   /* one of its backups was being removed when it was ordered */
	const struct make_target *made; /* the last of them that was; of the runner */
	struct cancel cancel;           /* its own lock */
	const char *cancel_reason;      /* static text; set before cancel is, or with LIVE_LEAVING */
	bool in_post_hook;              /* how the run ends is decided */
	struct cancel hook_cancel;      /* of the post hook; its own lock */
	enum live_state state;
	int64_t leave_at_ms; /* LIVE_LEAVING: when its end is to be written (again) */
	bool unkept;         /* its end could not be written; whoever writes it */
	unsigned waiters;
	struct run *next;
	/* Progress. */
	struct run_slot only;   /* of a run that makes one target after the other */
	struct run_slot *slots; /* &only, or on the heap, until the run is freed */
	size_t slot_count;
	uint64_t done_read, done_sent, done_verified; /* of the targets that are made */
	uint64_t expected_bytes;
	int64_t started_ms; /* 0: not yet */
	uint64_t targets_done;
	struct sample samples[WATCH_SAMPLES]; /* a ring */
	size_t sample_count;                  /* ever taken */
	/* Events. */
	bool changed; /* since the last event */
	bool told_end;
	int64_t told_ms; /* of the last event; 0: none */
};

struct timer;
struct runner;

struct jobs {
	struct jobs_options options;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* any state: runners, waiters, stop */
	pthread_cond_t watch;   /* wakes the watcher */
	struct run *runs;       /* in the order they were triggered */
	struct run *claimants;  /* from being ordered to their ends */
	unsigned adding;        /* triggers that are writing to the catalog */
	bool stopping;
	bool ending; /* no run is left; threads leave */
	unsigned runner_count;
	struct runner *runners; /* lanes.c */
	pthread_t watcher;
	bool has_watcher;
	struct timer *timer; /* its own locks; NULL: nothing begins by itself */
};

struct outcome { /* of a run's targets, as they end; several threads of the run, with .lock, which is of targets_make() */
	pthread_mutex_t lock;
	size_t next; /* of the targets: the first that nobody has begun */
	unsigned at_once;
	struct rate *rate; /* that those share; NULL: they are made one after the other */
	size_t targets, failed, cancelled;
	struct str failed_names; /* the first ones */
	char failures[1400];     /* the first ones */
	char state[800];         /* what is where, after a cancel; "": nothing is told */
	uint64_t size_bytes;
	size_t artifact_count;
	struct str artifacts;          /* paths, one on each line */
	char sha256[SHA256_HEX_BYTES]; /* of the last one */
	bool *made;                    /* of each target: it has an artifact now */
};

struct ending {
	enum run_state state;
	char error[sizeof(((struct catalog_run *)NULL)->error)];
};

/* run_kind() - what @request does. */
static inline const struct make_kind *run_kind(const struct jobs *j, const struct request *request)
{
	return request->work ? request->work : j->options.kind_of(request->job);
}

/* lanes_start() - threads for all lanes. Negative errno: lanes_join() ends those that there are. */
int lanes_start(struct jobs *j);
/* lanes_tell_waiting() - with the lock held: what @run, which is pending, waits for: "run 3 (restore:full), run 4 (restore:shop)"; "": nothing. */
void lanes_tell_waiting(const struct jobs *j, const struct run *run, char *ret, size_t size);
/* lanes_join() - when jobs->stopping is set, and its threads were told. */
void lanes_join(struct jobs *j);

/* claims_take() - with the lock held: what the targets of @run claim is its own now; -EBUSY: another one has it. */
int claims_take(struct jobs *j, struct run *run, struct error *err);
/* claims_keep() - its number is known: nobody removes the backups of its targets from now on. */
void claims_keep(struct jobs *j, struct run *run);
/* claims_end() - it has ended. No lock held. Again is nothing. */
void claims_end(struct jobs *j, struct run *run);

/* run_execute() - all databases of a running run, between its hooks; its end is in the catalog when it
 * returns. No lock held. */
void run_execute(struct jobs *j, struct run *run);
/* run_log() - a line of the run's log. Its text is a help, not a record: what cannot be kept must not fail a
 * backup. */
void run_log(struct jobs *j, struct run *run, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* run_warn() - the run is what it is, but somebody should look: to its log, and to health. */
void run_warn(struct jobs *j, struct run *run, const char *text);
/* run_cancel_reason() - set when the run was cancelled. Takes the lock. */
const char *run_cancel_reason(struct jobs *j, struct run *run);
/* run_finish() - write the end to the catalog (trying again while the disk is full), then mark it ended. No
 * lock held. */
void run_finish(struct jobs *j, struct run *run, enum run_state state, const char *error);
/* run_leave() - the same for a run in LIVE_LEAVING, but one attempt: when it fails, leave_at_ms says when the
 * next one is due. No lock held. */
void run_leave(struct jobs *j, struct run *run);

/* targets_prepare() - every target is listed as pending before the first begins. No lock held. */
void targets_prepare(struct jobs *j, struct run *run);
/* targets_make() - all of them; @o has .targets and .made. No lock held. */
void targets_make(struct jobs *j, struct run *run, struct outcome *o);
/* run_prune() - what the rules let go in the directories where the run has made something. It fails no run. No lock held. */
void run_prune(struct jobs *j, struct run *run, const struct outcome *o);
/* run_pre_hook() - 0 also when there is none; else the run cannot begin. No lock held. */
int run_pre_hook(struct jobs *j, struct run *run, struct error *err);
/* run_post_hook() - tell it how the run ends; what goes wrong is a warning of the run. No lock held. */
void run_post_hook(struct jobs *j, struct run *run, const struct ending *ending,
                   const struct outcome *outcome);

/* With the lock held. */
void run_changed(struct jobs *j, struct run *run);
void run_sample(struct run *run, int64_t now_ms);
/* run_release() - forget @run when its end was told and nobody waits for it. */
void run_release(struct jobs *j, struct run *run);

void *watch_main(void *arg);

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

struct catalog_schedule;
struct catalog_switch;
struct conf_live;
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

/** struct jobs_clock - who else has to know that the clock was set, or that the host slept. */
struct jobs_clock {
	void (*was_set)(void *arg); /* on the timer's thread; must not block. NULL: nobody */
	void *arg;
};

/**
 * jobs_start_timer() - from now on what is due by its schedule begins by itself; until jobs_free()
 * @live: the configuration in force; borrowed
 * @clock: what it borrows has to last until jobs_free()
 * What was missed before is made up for, as far as catch_up says. Once.
 */
int jobs_start_timer(struct jobs *j, struct conf_live *live, const struct jobs_clock *clock,
                     struct error *err);
/** jobs_schedules_changed() - the configuration was replaced, or somebody used a switch: the timer looks at all anew. */
void jobs_schedules_changed(struct jobs *j);
/**
 * jobs_switch_parse() - a command as written to control/schedule: "off", "full off until=2026-12-01T06:00 note='holidays'", "on"
 * @now_us: what until must be behind
 * @ret: all but .by
 * Pure, but for loading a time zone. Return: 0; -EINVAL with what is allowed.
 */
int jobs_switch_parse(const struct conf *conf, const char *text, int64_t now_us, struct catalog_switch *ret,
                      struct error *err);
/**
 * jobs_switch() - keep it, and tell the timer
 * @answer: "full off until 2026-12-01 06:00" and a line end are appended
 * What is on already is left as it is. Blocks on the local disk. Return: 0; negative errno with @err.
 */
int jobs_switch(struct jobs *j, const struct conf *conf, const struct catalog_switch *s, struct str *answer,
                struct error *err);
/** jobs_watched_since_us() - since when nothing that was due went unseen: struct due_facts; 0: there is no timer. */
int64_t jobs_watched_since_us(struct jobs *j);

#define JOBS_NOTE_MAX_BYTES 200

/** struct jobs_order - one run, as somebody wants it; everything is borrowed, but for what jobs_order_parse() made */
struct jobs_order {
	const struct conf_job *job;  /* of the configuration that the jobs run by; NULL: see work */
	const char **keys, **values; /* of the job, for this run only: what conf_job_override() takes */
	size_t key_count;
	const char *note;     /* why: at most JOBS_NOTE_MAX_BYTES of one line of text; NULL or "": none */
	const char *hold;     /* why what it makes is held from the first moment on; NULL or "": it is not */
	int64_t keep_ms;      /* for how long it stays whatever the rules say; 0: as they say */
	const char *database; /* this one alone, or this tenant, by its name; NULL: all */
	const char *class;    /* those of this class alone; NULL: all */
	/* All but those whose class has a schedule of its own: conf_class_has_schedule(), in the configuration that @job is of. A
	 * timer sets it when the job itself is due, and `class` when the class is. It is not written into the history: the run is
	 * a whole one of its job. */
	bool own_schedule;
	const struct conf
	        *conf; /* that @job is of, and the classes; NULL: the one that the jobs began with */
	bool is_final; /* with database: the last backup of it, also when a registry does not name it any more */
	const char *
	        then_delete; /* of an export: the name of the tenant, typed again: its rows are deleted once they are exported; NULL: they stay */
	/* Of a timer: what the catalog is to remember together with the run. It is not asked whether the job has the class, and the
	 * run fails when the store was never verified and cannot be now. NULL: nobody's schedule asked for the run. */
	const struct catalog_schedule *due;
	/* Another work than that of a job: something is checked, or brought back. Of the rest only the note and @by of
	 * jobs_submit() mean something then, and job is NULL. */
	const struct make_kind *work;
	char *work_name; /* what the history calls it: "verify:full"; of one name one is at work at a time */
	const char *
	        work_text; /* what it is to do, as command_line_parse() takes it; the work's accepts() has a look at it */
	struct command_line line; /* of jobs_order_parse(): holds the texts */
};

/**
 * jobs_order_parse() - a command as written to control/trigger: "now", "full note='before the migration' jobs=2"
 * The name of a job (or "now": the first one; or "export acme", which is "exports tenant=acme"), and key=value pairs with shell quoting.
 * "export acme from=full/latest.dump" is another work (keepfs/use/past.h): then @text is borrowed.
 * Most are keys of the job; note, database, class and final, and of exports tenant in place of database, are the order's own. Pure.
 * @ret: the caller's jobs_order_finish()
 * Return: 0; -EINVAL (unknown job, wrong quoting; the message lists what is allowed).
 */
int jobs_order_parse(const struct conf *conf, const char *text, struct jobs_order *ret, struct error *err);
/** jobs_order_parse_work() - a command that orders another work than a job's: "full/latest.dump level=0 note='before the audit'".
 * What the words mean is the work's own. @text is borrowed. Pure. */
int jobs_order_parse_work(const struct make_kind *work, const char *text, struct jobs_order *ret,
                          struct error *err);
void jobs_order_finish(struct jobs_order *order);
static inline void cleanup_jobs_order(struct jobs_order *order)
{
	jobs_order_finish(order);
}

/**
 * jobs_submit() - when it returns 0 the run is queued durably
 * @by:      who, for the history
 * @ret_run: NULL: nobody asks
 * An order of one database, or of a class, is held against what the job has; what cannot be known without asking a server
 * is asked for: then it waits for the network.
 * Return: 0; -EINVAL (unknown key, wrong value, keys that contradict each other, a database or class that the job does not
 * have; the message lists what is allowed), -EBUSY (the job has a run), -ESHUTDOWN; or why a server could not be asked.
 */
int jobs_submit(struct jobs *j, const struct jobs_order *order, const char *by, struct catalog_run *ret_run,
                struct error *err);
/** jobs_cancel() - ask a run to stop; -ESRCH when it is not pending or running. Returns before it has
 * stopped, and waits for no disk; asking again while it stops is no error. A run whose post hook runs has
 * ended otherwise: only the hook is stopped. */
int jobs_cancel(struct jobs *j, int64_t run_id, struct error *err);
/** jobs_progress() - false when the run is not live: *@ret is zeroed then. @j NULL: of a tree without runs. */
bool jobs_progress(struct jobs *j, int64_t run_id, struct report_progress *ret);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What makes the bytes of a backup: the contract between jobs, which run makers, and the kinds of jobs, each of which
 * has a maker (src/dump, src/files). A maker writes through a draft (keepfs/make/draft.h). Everything here is called on
 * the thread of a job's run, and may block.
 */
#include <keepfs/artifact.h>
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/base/pool.h>
#include <keepfs/conf.h>
#include <stdatomic.h>

struct make_context { /* all borrowed */
	const struct conf *conf;
	struct repository *repository;
	struct pool *pool;
	int64_t (*now_us)(void); /* clock_now_us(), or a test's; NULL: clock_now_us() */
};

/** make_now_us() - the time by the clock that was handed in: all that a kind names, records or decides by time uses it. */
int64_t make_now_us(const struct make_context *ctx);

struct make_progress {                        /* written by the maker, read by anybody */
	atomic_uint_least64_t read_bytes;     /* raw: made by the server, read from the disk */
	atomic_uint_least64_t sent_bytes;     /* taken by the store */
	atomic_uint_least64_t verified_bytes; /* read back; 0 until all was sent */
};

/** struct make_target - one thing of a job that gets an artifact of its own: a database, a directory. */
struct make_target {
	char *name; /* the kind's own: a database of the job; NULL: the one that the job's connection names */
	char *label;     /* for people, history and manifest */
	char *directory; /* where its artifacts are in the tree: "backups/full", "backups/tenants/acme" */
	char *stem;      /* the name of its artifact without a suffix; NULL: the time at which it began */
	char *problem;   /* why it cannot be made, which was found out when it was found; NULL: it can */
};

struct make_targets {
	struct make_target *items;
	size_t count;
};

/** make_targets_add() - a zeroed one, the caller's to fill. */
struct make_target *make_targets_add(struct make_targets *targets);
void make_targets_finish(struct make_targets *targets);
static inline void cleanup_make_targets(struct make_targets *targets)
{
	make_targets_finish(targets);
}

/** make_directory_of() - heap: where the artifacts of @job are in the tree, or those of what @below names (NULL: the
 * job has one directory). */
char *make_directory_of(const struct conf_job *job, const char *below);

struct make_order {
	const struct conf_job *job; /* with what the trigger changed */
	bool partial;               /* what it changed leaves something out */
	const char *note;           /* NULL: none */
	const struct make_target *target;
	int64_t run_id;
	const char *triggered_by;
	struct make_progress *progress; /* NULL: nobody looks */
	struct cancel *cancel;
	/* Lines for the run's log: what keepfs does, what the programs say. Any thread; NULL. */
	void (*log)(void *arg, const char *line);
	/* The backup is whole, but somebody should look; NULL. */
	void (*warn)(void *arg, const char *text);
	void *log_arg;
};

/** make_say() - a line for the run's log; make_warn() - one that somebody should look at, too. Any thread. */
void make_say(const struct make_order *order, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void make_warn(const struct make_order *order, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** struct make_findings - where a kind's probe puts what it finds. */
struct make_findings {
	/* One finding: "ok" facts, or what is wrong and what to do. */
	void (*add)(void *arg, bool ok, const char *name, const char *detail);
	void *arg;
};

/** make_found() - as findings->add(), with a format. */
void make_found(const struct make_findings *findings, bool ok, const char *name, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

/** struct make_kind - a kind of jobs: a row of the table in src/kinds. */
struct make_kind {
	const char *name;         /* of manifests and history: "dump" */
	const char *targets_name; /* what its targets are, for people: "databases" */
	/**
	 * targets() - what one run of @job makes, in order; may be none
	 * Negative: it could not be found out, @err says why.
	 */
	int (*targets)(const struct make_context *ctx, const struct conf_job *job, struct make_targets *ret,
	               struct error *err);
	/**
	 * make() - one target, made into the store as its job says, and published
	 *
	 * Published only when whatever made something ended well, what was made is whole, and, unless the job says
	 * verify = none, everything was read back from the store. On failure nothing stays in the store, and @err
	 * holds the words of the program or the server with a hint.
	 * @ret: the artifact; the caller's manifest_finish(). A kind whose work is another than an artifact (something is
	 * checked, or brought back) leaves it zeroed, and returns 0 when that is done.
	 */
	int (*make)(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
	            struct error *err);
	/** check() - would a run of @job work now? Within 10 s for each connection. */
	void (*check)(const struct conf_job *job, const struct make_findings *findings);
};

/*
 * Memory. Half of the pool is for uploads, and all runs at once share it. So that none waits for memory that another
 * one holds while that waits, too: what the data comes through (press, turns) takes a quarter at most, over all runs,
 * and is reserved first; then an object, which is freed without waiting for anything more. conf sees to it that the rest
 * holds the parts of an object. What grows with the number of things in a database (its table of contents) is kept on the
 * disk, in spools below state_dir.
 */
/** make_press_threads() - how many threads compress. */
unsigned make_press_threads(const struct make_context *ctx);
/** make_turns_buffers() - how much may be made out of turn, at most. */
size_t make_turns_buffers(const struct make_context *ctx);
/** make_cores() - of this machine, for what runs on all of them. */
unsigned make_cores(void);

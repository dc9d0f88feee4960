// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What makes the bytes of a backup: the contract between jobs, which run makers, and the kinds of jobs, each of which
 * has a maker (src/dump, src/files). A maker writes through a draft (keepfs/make/draft.h). Everything here is called on
 * the thread of a job's run, and may block; but make() of a kind that makes several targets at once is called on threads of the run.
 */
#include <keepfs/artifact.h>
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/base/pool.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/conf.h>
#include <stdatomic.h>

struct draft;
struct export_admins;
struct inbox_arrivals;
struct rate;
struct wal;

struct make_context {            /* all borrowed */
	const struct conf *conf; /* as it was at the start */
	struct conf_live *live;  /* what is in force; NULL: @conf stays so */
	struct repository *repository;
	struct pool *pool;
	int64_t (*now_us)(void); /* clock_now_us(), or a test's; NULL: clock_now_us() */
	struct export_admins *
	        admins; /* learn who administers which tenant (keepfs/export/admins.h); NULL: nobody wants to know */
	struct inbox_arrivals
	        *arrivals; /* files that are written into the mount (keepfs/inbox.h); NULL: there is none */
	struct wal *wal;   /* the WAL archives of the mount (keepfs/wal.h); NULL: there is none */
};

/** make_conf_ref() - the configuration in force; the caller's make_conf_unref(). */
const struct conf *make_conf_ref(const struct make_context *ctx);
void make_conf_unref(const struct make_context *ctx, const struct conf *conf);
/** make_time() - the clock, as retention judges by it: that of make_now_us(). */
void make_time(const struct make_context *ctx, struct artifact_time *ret);

/** make_now_us() - the time by the clock that was handed in: all that a kind names, records or decides by time uses it. */
int64_t make_now_us(const struct make_context *ctx);

struct make_progress {                        /* written by the maker, read by anybody */
	atomic_uint_least64_t read_bytes;     /* raw: made by the server, read from the disk */
	atomic_uint_least64_t sent_bytes;     /* taken by the store */
	atomic_uint_least64_t verified_bytes; /* read back; 0 until all was sent */
	/* of all that will be read, where whoever makes it has learnt that since it began; 0: not known */
	atomic_uint_least64_t expected_bytes;
	atomic_int_least64_t
	        ends_us; /* of another work than a job's: when the target will probably be done, clock_mono_us(); 0: not known */
};

/** struct make_target - one thing of a job that gets an artifact of its own: a database, a directory. */
struct make_target {
	char *name; /* the kind's own: a database of the job; NULL: the one that the job's connection names */
	char *label;     /* for people, history and manifest */
	char *class;     /* what a registry calls it; NULL: nothing */
	char *directory; /* where its artifacts are in the tree: "backups/full", "backups/tenants/acme" */
	char *stem;      /* the name of its artifact without a suffix; NULL: the time at which it began */
	uint64_t
	        expected_bytes; /* how much it is, where that is known before; 0: as much as the last in its directory */
	int64_t expected_us; /* of prepare(): how long it will probably take; 0: not known */
	char *problem;       /* why it cannot be made, which was found out when it was found; NULL: it can */
	bool is_final;       /* it is the last one that is made of it, and says so */
	uint64_t
	        stays_ino; /* of prepare(): the artifact that must not be removed before the run has ended; 0: none */
	char *claim; /* of prepare(): what no other run may have meanwhile, in lines of the kind's own ("… database acme"), one or several; NULL */
};

struct make_targets {
	struct make_target *items;
	size_t count;
	/* Why the run fails though all of these are made: who would know of others could not be asked, or said what is wrong. NULL */
	char *failure;
	char *warning; /* that the run is to have; NULL */
	char **notes;  /* lines for its log */
	size_t note_count;
	/* What the kind wants to have at hand while the run makes one after the other, or several at once (make_order.shared): connections, what it has
	 * found out. NULL: nothing. make_targets_drop_shared() frees it with @free_shared. */
	void *shared;
	void (*free_shared)(void *shared);
};

/** struct make_wanted - which of a job's targets a run is to make; all zero: all of them. Borrowed. */
struct make_wanted {
	const char *database; /* the one of this name alone; NULL: any */
	const char *class;    /* those of this class alone; NULL: of any, and of none */
	bool may_be_none;     /* that there is none of @class is no error: the configuration knows it */
	/* without those of these classes, which have schedules of their own; NULL-terminated, NULL: none */
	char *const *except_classes;
	bool is_final; /* with @database: its last backup, also when the job would make none of it any more */
	const struct command_line *line; /* of another work than a job's: what was asked for; NULL */
	bool offline; /* no server is asked: those that the catalog knows from the last time */
	bool learns; /* what is found out is remembered, and tells which are new and which are gone: of each run, once */
	bool is_part; /* of an artifact that consists of several: all that there is now, also what is made once else; its directory says how each is called */
	struct cancel *cancel; /* NULL: it cannot be cancelled */
};

/** make_targets_note() - a line for the log of the run. */
void make_targets_note(struct make_targets *targets, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

/** make_targets_add() - a zeroed one, the caller's to fill. */
struct make_target *make_targets_add(struct make_targets *targets);
/** make_targets_drop_shared() - all were made; may block, for as long as it takes to end a connection. make_targets_finish() does it, too. */
void make_targets_drop_shared(struct make_targets *targets);
void make_targets_finish(struct make_targets *targets);
static inline void cleanup_make_targets(struct make_targets *targets)
{
	make_targets_finish(targets);
}

/**
 * make_targets_choose() - of all @targets of @job leave those that @wanted asks for, in their order
 * Return: 0, also when except_classes leaves none; -EINVAL: there is none of that name or class; @err says what there is.
 */
int make_targets_choose(const struct conf_job *job, const struct make_wanted *wanted,
                        struct make_targets *targets, struct error *err);

/** make_directory_of() - heap: where the artifacts of @job are in the tree, or those of what @below names (NULL: the
 * job has one directory). */
char *make_directory_of(const struct conf_job *job, const char *below);

struct make_order {
	const struct conf_job *job;      /* with what the trigger changed; NULL: of a work that is no job's */
	const struct command_line *line; /* of such a work: what was asked for; NULL */
	bool partial;                    /* what it changed leaves something out */
	const char *note;                /* NULL: none */
	const char *hold;                /* why whoever asked for it holds what is made; NULL: he does not */
	int64_t keep_ms;  /* for how long he wants to be sure of it; 0: as long as the rules say */
	bool then_delete; /* of an export: what it has is deleted where it came from, once it was read back */
	const struct make_target *target;
	/* Of the targets of this run. Of a kind that makes several at once they have it at the same time; else nobody else has it meanwhile. NULL */
	void *shared;
	unsigned
	        at_once; /* so many targets of the run are made at the same time, at most, and share its part of the memory; 0 stands for 1 */
	struct rate *
	        rate; /* the job's limit of its rate, of all that are made at once (keepfs/stream/rate.h); NULL: a draft has its own */
	/* Of a part: the draft that draft_new() makes it a part of, and how it is called there, without a suffix ("database", "tenants/acme"). NULL: it is an
	 * artifact of its own. */
	struct draft *whole;
	const char *part;
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

/** make_describe_selection() - the fact `selection` of what @job chooses to back up: equal of two backups when their
 * jobs were told the same about that, wherever it is. */
void make_describe_selection(const struct conf_job *job, struct manifest *m);

/** struct make_findings - where a kind's probe puts what it finds. */
struct make_findings {
	/* One finding: "ok" facts, or what is wrong and what to do. @fix: what mends it, on one line: a statement, a
	 * command, or a line of a file that it names; NULL: nothing, or nobody knows. */
	void (*add)(void *arg, bool ok, const char *name, const char *detail, const char *fix);
	void *arg;
};

/** make_found() - as findings->add(), with a format and without a fix. */
void make_found(const struct make_findings *findings, bool ok, const char *name, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
/** make_found_mendable() - a failure, and what mends it (@fix may be NULL). */
void make_found_mendable(const struct make_findings *findings, const char *name, const char *fix,
                         const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/** enum make_lane - which runs wait for which: those of one lane, when all of its threads are at work; and never for those of another. */
enum make_lane {
	MAKE_LANE_BACKUP, /* of jobs */
	MAKE_LANE_VERIFY,
	MAKE_LANE_RESTORE,
	MAKE_LANE_DRILL,
	MAKE_LANE_LOOK,  /* what takes seconds, and changes nothing */
	MAKE_LANE_INBOX, /* of files that come in, whose writers wait */
};
#define MAKE_LANES (MAKE_LANE_INBOX + 1)

/** struct make_kind - a kind of jobs: a row of the table in src/kinds; or another work that runs do (src/use). */
struct make_kind {
	const char *name;         /* of manifests and history: "dump" */
	const char *targets_name; /* what its targets are, for people: "databases" */
	/**
	 * accepts() - has @job (NULL: of a work that is no job's) what @wanted asks for? Asked before a run is queued, of an order that does not want everything.
	 * Return: 0: it has, or only the run can find out; -EINVAL: it has not, @err says what there is.
	 */
	int (*accepts)(const struct make_context *ctx, const struct conf_job *job,
	               const struct make_wanted *wanted, struct error *err);
	/**
	 * targets() - what one run of @job makes, in order; may be none
	 * @wanted: what accepts() took
	 * Negative: it could not be found out, or there is none of what @wanted names; @err says why.
	 */
	int (*targets)(const struct make_context *ctx, const struct conf_job *job,
	               const struct make_wanted *wanted, struct make_targets *ret, struct error *err);
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
	/* What follows is of other works alone; NULL of kinds of jobs. */
	bool tells_state;      /* when it is cancelled its message says what is where, and that is kept */
	bool first_word_alone; /* names a backup, and the others do not */
	bool names_none;       /* no word does: one run of it is at work at a time */
	/** lane() - of a run that is ordered so. Pure. */
	enum make_lane (*lane)(const struct command_line *line);
	/**
	 * prepare() - accepts() and targets() at once, when a run is ordered; NULL: these are asked for
	 * What it adds is what the run does, whatever comes meanwhile: what was made last is found now. It is refused when another run has what
	 * one of its targets claims, and from then on until the run has ended nobody removes what has stays_ino.
	 */
	int (*prepare)(const struct make_context *ctx, const struct make_wanted *wanted,
	               struct make_targets *ret, struct error *err);
	/* What follows is of kinds of jobs alone; NULL of other works. */
	/**
	 * at_once() - how many targets of one run of @job may be made at the same time: 1 or more. NULL: they are made one after the other.
	 * Each make() is called on a thread of its own then, with a progress of its own. One that fails stops none of the others. Pure.
	 */
	unsigned (*at_once)(const struct make_context *ctx, const struct conf_job *job);
	/**
	 * look_around() - what else is there, where a run of @job has just made @made, that somebody might miss? It is remembered
	 * in the catalog, for health. What goes wrong is no failure of the run, and is told by nobody.
	 */
	void (*look_around)(const struct make_context *ctx, const struct conf_job *job,
	                    const struct make_target *made, struct cancel *cancel);
	/** check() - would a run of @job work now? Within 10 s for each connection. Of @ctx there is the configuration, and the
	 * catalog, when that could be opened. */
	void (*check)(const struct make_context *ctx, const struct conf_job *job,
	              const struct make_findings *findings);
	/** rights() - append a script that gives a run of @job the rights that it needs, and no others, at the server that it
	 * reads, for all that it takes; for people to look at and to run. NULL: there is no server. Of @ctx there is the
	 * configuration alone. Within 10 s for each connection. */
	void (*rights)(const struct make_context *ctx, const struct conf_job *job, struct str *script);
};

/*
 * Memory. Half of the pool is for uploads, and all runs at once share it. So that none waits for memory that another
 * one holds while that waits, too: what the data comes through (press, turns) takes a quarter at most, over all runs,
 * and is reserved first; then an object, which is freed without waiting for anything more. conf sees to it that the rest
 * holds the parts of an object. Targets of one run that are made at once divide the quarter's part of that run between them (make_order.at_once), and
 * reserve theirs whole before their object, too: so whoever waits for an object's memory waits only for those that need nothing more. A draft that is
 * published beside its run (draft_set_aside()) has memory of its own for that, which it is only given when it is free, and another object's, too. What grows with the number of things in a database (its table of contents) is kept on the
 * disk, in spools below state_dir.
 */
/** make_press_threads() - how many threads compress. */
unsigned make_press_threads(const struct make_context *ctx);
/** make_turns_buffers() - how much may be made out of turn, at most. */
size_t make_turns_buffers(const struct make_context *ctx);
/** make_cores() - of this machine, for what runs on all of them. */
unsigned make_cores(void);

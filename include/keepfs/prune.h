// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Retention, applied: what the rules of a job say about a directory of backups is planned, judged, and carried out; and
 * every removal, whoever asks for it, goes through here.
 *
 *   prune_begin()        what all that follows is judged by: configuration, clock
 *   prune_plan()         one directory: what stays and why, what may go, and whether it may go now
 *   prune_carry_out()    what may go now goes: into the trash, or for good; what waits or is refused is remembered
 *   prune_directory()    both, for a directory in which a run has made something
 *   prune_remove()       one backup that a person removes
 *
 * A plan is carried out only when it is sure of itself. Nothing goes unless the newest good backup was read back; nor
 * while new ones stay out, nor by a clock that is doubtful. And a plan by other rules than the last one, or one that
 * removes much, waits until somebody confirms it, or for policy_delay.
 *
 * A directory's backups are in memory while it is planned: less than 150 bytes each.
 */
#include <keepfs/artifact.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/base/zone.h>
#include <keepfs/catalog/retention.h>
#include <keepfs/conf.h>
#include <keepfs/policy/retention.h>
#include <keepfs/policy/schedule.h>

/** struct prune - a look at what is kept. On the caller's stack; owns nothing. */
struct prune {
	struct repository *repository; /* borrowed */
	const struct conf *conf;       /* borrowed: what is in force */
	struct artifact_time time;
	int64_t seen_us; /* what the clock should show at least; 0: not known */
};

/** prune_begin() - with @time (artifact_read_clock(), or a test's); @conf is what is in force. */
int prune_begin(struct prune *ret, struct repository *repository, const struct conf *conf,
                const struct artifact_time *time, struct error *err);

/** struct prune_artifact - a backup of a plan, beside what the rules know of it. */
struct prune_artifact {
	uint64_t ino;
	int64_t run_id, sequence;
	uint8_t content; /* those of one directory that differ in it are never compared */
	bool partial, missing, named, verified;
	int8_t tiers;           /* at birth; -1: not known yet */
	uint64_t store;         /* which one has it: keepfs/catalog/stores.h */
	int64_t lock_wanted_us; /* keepfs/catalog/locks.h */
};

enum prune_state {
	PRUNE_NOTHING,   /* nothing is to go */
	PRUNE_READY,     /* what is to go may go now */
	PRUNE_WAITS,     /* somebody should confirm it */
	PRUNE_SUSPENDED, /* it may not go now */
	PRUNE_NO_JOB,    /* no job of the configuration is of this directory: everything stays */
};
/** prune_state_name() - "nothing to do", "ready", "waits", "suspended", "no job". */
const char *prune_state_name(enum prune_state state);

struct prune_plan {
	struct catalog_place place;
	const struct conf_job *job; /* of the configuration; NULL: there is none */
	struct conf_policy policy;  /* in force for it */
	struct retention_rules rules;
	struct zone *zone;
	char rules_text[512]; /* all that decides, in words */
	struct schedule schedule;
	int64_t interval_s; /* the longest time between two backups as scheduled; 0: there is no schedule */
	bool is_gone; /* the database is gone, and longer than keep_deleted: nothing of it has to stay */
	struct retention_backup *backups; /* by content, those of one in the order in which they were made */
	struct prune_artifact *artifacts;
	size_t count, due, held;
	size_t put_off;           /* of those that are not due: only their lock in the store keeps them */
	int64_t put_off_until_us; /* when the first of these locks ends; 0: there is none */
	char id[20]; /* the same as long as it removes the same by the same rules; "": nothing is to go */
	enum prune_state state;
	char why[512];          /* of PRUNE_WAITS and PRUNE_SUSPENDED */
	int64_t waits_until_us; /* PRUNE_WAITS: then it is carried out all the same */
	int64_t waits_since_us;
	struct catalog_retention last; /* what was decided before */
};

/** prune_plan() - of one directory. Changes nothing. @ret: the caller's prune_plan_finish(). */
int prune_plan(const struct prune *p, const struct catalog_place *place, struct prune_plan *ret,
               struct error *err);
void prune_plan_finish(struct prune_plan *plan);
static inline void cleanup_prune_plan(struct prune_plan *plan)
{
	prune_plan_finish(plan);
}

/** prune_next_content() - where the backups end that are compared with the one at @from, and have its rules. */
size_t prune_next_content(const struct prune_plan *plan, size_t from);
/** prune_rules_of() - the rules for the backups at @from: those that are partial are of no tier. */
void prune_rules_of(const struct prune_plan *plan, size_t from, struct retention_rules *ret);
/** prune_append_put_off() - so many would go, and are locked, the first until then: a clause that follows others, or "". */
void prune_append_put_off(size_t count, int64_t until_us, struct str *out);
/** prune_append_why() - why the backup @i may go: the rules that let it go, in words. */
void prune_append_why(const struct prune_plan *plan, size_t i, struct str *out);

/** struct prune_outcome - what became of plans; sums, so that several can be counted into one. */
struct prune_outcome {
	size_t directories, kept, removed, refused, waiting, suspended; /* the last two: directories */
	size_t in_use; /* of those that are kept: they would have gone, but something is being restored from them */
	char use[512];  /* of the last one: which run that is */
	size_t put_off; /* of those that are kept: as of struct prune_plan */
	int64_t put_off_until_us;
	uint64_t freed_bytes; /* of what was removed */
	char why[512];        /* of the last that waits, is suspended, or was refused */
};

/** struct prune_order - how a plan is carried out. */
struct prune_order {
	const char *by;    /* for the audit: "retention", "retention, uid 0 (bash)" */
	bool is_confirmed; /* somebody has said so: it waits no more */
	bool (*stop)(
	        void *arg); /* asked between two backups; NULL: nobody wants that. What is left goes the next time */
	void *arg;
};

/** prune_carry_out() - what may go goes, the oldest first, each with a line of the audit; and what was decided is remembered.
 * Blocks on the store. A backup that cannot be removed is counted, and is no error: 0, or the catalog's. One that is being restored is left to the next time. When the store has
 * forbidden some to be deleted, the others are left to the next time, and count as refused. */
int prune_carry_out(const struct prune *p, const struct prune_plan *plan, const struct prune_order *order,
                    struct prune_outcome *outcome, struct error *err);
/** prune_directory() - both, of one directory; 0 also when it lists nothing. */
int prune_directory(const struct prune *p, const char *path, const struct prune_order *order,
                    struct prune_outcome *outcome, struct error *err);
/** prune_gone() - both, of the directories of those databases of a job that are gone. @directory: the job's, "backups/tenants". */
int prune_gone(const struct prune *p, const char *directory, const struct prune_order *order,
               struct prune_outcome *outcome, struct error *err);
/** prune_tag() - set the tiers of backups that an earlier keepfs has made. */
int prune_tag(const struct prune *p, const struct prune_plan *plan, struct error *err);
/** prune_lock() - where the store locks backups: those that are to be locked for longer than they are, since the rules keep more now or since they were found
 * unlocked, are noted for the tidier. A lock is never made shorter. */
int prune_lock(const struct prune *p, const struct prune_plan *plan, struct error *err);
/** prune_tag_all() - both, of all directories; what cannot be done now is done at the next run. */
int prune_tag_all(const struct prune *p, struct error *err);

/** prune_remove() - somebody (@by: "uid 0 (rm)") removes one backup: artifact_remove() as its job's keys say. @audit: the line
 * that tells of it when it is done (struct catalog_removal), or NULL; a failure is the caller's to tell. */
int prune_remove(const struct prune *p, uint64_t ino, const char *by, const struct catalog_audit *audit,
                 struct error *err);
/** prune_check_removal() - would prune_remove() do it now? 0, or what that would return. Changes nothing; blocks on the store. */
int prune_check_removal(const struct prune *p, uint64_t ino, const char *by, struct error *err);

/**
 * prune_command() - a command as written to control/prune
 *
 * Words name jobs or directories ("full", "tenants/acme"; "all" or none: every one). Without more it is a dry run: what would
 * go and why, and the plan's number. "apply" carries out what does not wait; confirm=PLAN also what waits, if it is still
 * that plan; simulate=400d tells what would be there; clock=right has the clock believed whatever was seen before;
 * "json" has dry runs and simulations answered in JSON, one line. A dry run tells of 200 backups of each directory, and of
 * 2000 in all: after=NAME is the next page, behind the last one that was told.
 * @by: "uid 0 (bash)"
 * Return: 0 with @answer; -EINVAL (the message says what is allowed), -ESTALE (another plan), or the catalog's.
 */
int prune_command(const struct prune *p, const char *text, const char *by, struct str *answer,
                  struct error *err);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Rehearsed restores: what was found, and what is to be tried next. What a drill proved of an artifact is in its proofs, too. See
 * keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/name.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

/** enum drill_result - catalogs and reports have the numbers, and the words. */
enum drill_result {
	DRILL_PASSED,
	DRILL_FAILED,  /* it could not be restored, or looked at */
	DRILL_DIFFERS, /* it was, and is not what it should be */
	DRILL_CANCELLED,
};
#define DRILL_RESULTS (DRILL_CANCELLED + 1)
/** drill_result_name() - "passed", …: static. */
const char *drill_result_name(enum drill_result result);

#define DRILLS_KEPT                                                                                          \
	500 /* of all; the newest of each job stays, the newest ones that passed, and what is not settled */

struct catalog_drill {
	int64_t id; /* ascending; out */
	char name
	        [40]; /* "20261129T154200Z", with -2 and so on where another has it: what its reports are called; out */
	int64_t run_id;
	char job[NAME_MAX_BYTES];
	char directory[512], path[512]; /* of the artifact */
	char pick[16];                  /* why that one: "asked", "newest", "daily", … */
	int64_t started_at_us, finished_at_us;
	enum drill_result result;
	int level, wanted; /* enum proof_level; -1: nothing was proven */
	int64_t restore_us; /* from the first byte that was fetched to the last index; 0: it was not restored */
	uint64_t bytes;     /* of what was restored: of the database; 0: not known */
	char error[1024];   /* "": none */
	int wrong_level; /* enum proof_level at which something was first wrong with the backup; 0: nothing was, but with what it was tried on */
};

/** catalog_add_drill() - keep it with its report (JSON); what is too old goes. @io: id and name are set. */
int catalog_add_drill(struct catalog *c, struct catalog_drill *io, const char *report, struct error *err);
/** catalog_drills() - of those before @before (0: of all) the newest @max, newest first; how many. @job: NULL: of all jobs. */
ssize_t catalog_drills(struct catalog *c, const char *job, int64_t before, struct catalog_drill *ret,
                       size_t max);
/** catalog_last_drill() - of a job: the newest that did not end cancelled; @passed: that passed. @directory: of that one alone; NULL.
 * -ENOENT: there is none. */
int catalog_last_drill(struct catalog *c, const char *job, const char *directory, bool passed,
                       struct catalog_drill *ret);
/** catalog_last_drills() - call @row for the last drill of each job that did not end cancelled, and for the last one that passed; with
 * @by_directory of each directory that has backups still, of as many drills as are kept. In the order in which they were made. One query. */
int catalog_last_drills(struct catalog *c, bool by_directory,
                        void (*row)(void *arg, const struct catalog_drill *drill), void *arg);
/** catalog_good_drill() - of a job the newest that passed and was to prove @wanted or more. -ENOENT: there is none. */
int catalog_good_drill(struct catalog *c, const char *job, int wanted, struct catalog_drill *ret);
/**
 * catalog_standing_drill() - of a job the drills that did not pass and that no later one has settled: the worst, of these the newest
 * @ret_count: how many stand
 * What was wrong with a backup is settled when the same backup passes a drill that looks at that level and, where there was more to prove,
 * proves it. What was wrong with a check, or with what it was tried on, any backup of the directory settles; so it is with a backup that
 * is gone. Of a directory that is empty any drill of the job that passes settles all.
 * Return: 0; -ENOENT: none stands.
 */
int catalog_standing_drill(struct catalog *c, const char *job, struct catalog_drill *ret,
                           uint64_t *ret_count);
/** catalog_find_drill() - by name, with its report (heap). -ENOENT. */
int catalog_find_drill(struct catalog *c, const char *name, struct catalog_drill *ret, char **ret_report);

/**
 * catalog_drill_directory() - of the directories of dumps, archives and bundles at and below @path ("backups/full") the one that was tried, or proven, longest
 * ago; heap. -ENOENT: none has a backup that is whole.
 */
int catalog_drill_directory(struct catalog *c, const char *path, char **ret);
/** catalog_drill_pick() - what is to be tried of a directory now: the newest, or a random older one of a tier, by turns: the kind whose turn
 * was longest ago. @ret_ino, @ret_pick: 16 bytes. -ENOENT: there is no backup that is whole. */
int catalog_drill_pick(struct catalog *c, const char *directory, uint64_t *ret_ino, char ret_pick[static 16]);
/** catalog_damaged_dumps() - how many of the backups of a directory that drills could restore are marked as damaged. */
int catalog_damaged_dumps(struct catalog *c, const char *directory, uint64_t *ret);
/** catalog_newest_whole() - of a directory of dumps, archives or bundles the newest that is neither partial nor damaged; -ENOENT. */
int catalog_newest_whole(struct catalog *c, const char *directory, uint64_t *ret_ino);

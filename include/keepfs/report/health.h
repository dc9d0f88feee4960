// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Health: is there anything that somebody should look at? The answer is a list of items, which every reader renders in
 * his own way: status/health as lines, metrics as numbers, `keepfs status` as an exit status.
 *
 * What the checks look at (src/report/health.c has the table of them):
 *
 * job: each configured job. Its last run that completed or failed has failed: CRIT when the job has no whole backup,
 * else WARN. That run, or a later one, completed with a warning: WARN. It has not run yet, was only cancelled, or its
 * whole backups are gone: WARN. Cancelled runs count for nothing else, and a run that its trigger made smaller for no
 * success: partial backups make no job healthy.
 * failing: two or more runs in a row have failed, not counting those that were cancelled: WARN; CRIT from three on, when the first
 * is older than three days, or when there is no whole backup. `job` says nothing then: the item has its name instead.
 * overdue: the newest good backup of a job, or of one of its databases, is older than expected (policy/overdue.h):
 * WARN; CRIT when it is older than twice that, or overdue and older than the rpo (kind "rpo" then). What is expected is expected_interval, else what the
 * schedule says, or the rpo where that is shorter or there is nothing else; without all three a job is never overdue. While there is none it is counted from when it was first expected.
 * anomaly: the newest backup of a directory is unlike those before it (policy/anomaly.h): WARN; CRIT when nothing is in
 * it, when there is less than half of what is usual, or when it does not compress any more.
 * registry: each job that finds its databases out (catalog/members.h). Most of them are suddenly not named any more, or they could
 * never be read: CRIT. The last reading failed: WARN. A database is gone, for a day; a class has no section: WARN.
 * uncovered: databases of the jobs' servers that no job backs up (report/uncovered.h): WARN.
 * clock: the store's clock and this host's differ by more than a minute; or of a job's backups the one with the latest date is dated in the future, or later than one that was made after it:
 * WARN. The newest is what was made last all the same.
 * unlisted: the store holds a backup that could not be listed (catalog/compare.h): WARN.
 * encryption: backups are encrypted, and this host can read them, or not: both are OK.
 * damaged: reading showed that the store does not hold the bytes of a backup any more, or it has no manifest of it; or it cannot be restored: CRIT. It says
 * which other one is good, and how that is restored.
 * scrub: a backup was not read from the store for longer than scrub_within: WARN.
 * reads: one failed in the last ten minutes: WARN.
 * cache: a disk cache is configured and cannot be used (report_no_cache()): WARN.
 * configuration: its file was read again, and what it says is wrong, or needs a restart (report_conf_trouble()): WARN.
 * lease: another keepfs has the lease of the store, or ours could not be renewed in time: nothing is written: CRIT.
 * following: of a reader: the store does not answer, or what the writer tells is old: WARN.
 * store: neither `keepfs check` nor a completed run has ever used it: WARN.
 * probe: something failed in the last `keepfs check`, and no run (of the job that it names, else any) has completed
 * since: CRIT for the store, else WARN.
 * pg_dump: of the last `keepfs check`, likewise: there is none for the server of a job: WARN.
 * space: less than 64 MiB or 5 percent is free for the catalog, or for the backups of a store dir: WARN. 90 percent of
 * [store] capacity are used: WARN; 98: CRIT. As it grew in the last 30 days the store is full within 14: WARN.
 * versions: [store] delete_versions is set, and of what was deleted since the start a version could not be: WARN.
 * object_lock: the bucket of a store does not keep the locks that its object_lock asks for, as the last `keepfs check` found out: CRIT, whatever has run
 * since. Backups, or what proves something about them, could not be locked, or for as long as they are to be: WARN.
 * catalog_copy: copies of the catalog are to be made, and the newest one in the store was current for the last time more
 * than two days ago (or there is none since then): WARN.
 * notices: a receiver of notices could not be told twice in a row, or has refused some for good: WARN.
 * schedule: of what has one, all jobs are switched off, or one is without an end: WARN. Scheduled runs failed as the store was
 * never verified: CRIT.
 * prune: backups that no rule keeps stay, because a plan waits to be confirmed, because nothing is removed now, or because
 * they could not be removed; or the store still has what was removed: WARN.
 * wal: of each cluster what came last into its archive: OK. Where its WAL is streamed: nothing was streamed, or what came could not be stored, for a minute: WARN; for a quarter of an hour: CRIT. The server had no more what was to
 * come next: CRIT, until there is a base backup that begins behind that.
 * restore: a restore failed, or was interrupted, and has left something: CRIT when the database itself was changed, else WARN.
 * drill: the last one failed: WARN; it found something else than was backed up: CRIT. None has passed for longer than is expected:
 * WARN.
 * rto: a restore takes longer than rto, by the last drill of each database that passed: WARN.
 * catalog: it cannot be read: CRIT.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/spool.h>
#include <keepfs/base/str.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report_sources;

/** enum report_health - worse is greater; the number is the exit status of `keepfs status`, and what metrics say. */
enum report_health { REPORT_OK, REPORT_WARN, REPORT_CRIT };

/** health_level_name() - "OK", "WARN" or "CRIT": static. */
const char *health_level_name(enum report_health level);
/** health_level_of() - the level that the first word of status/health says; CRIT for a text that has none. */
enum report_health health_level_of(const char *text);

/** struct health_item - what one check has found. All texts are the item's own, and may be of several lines where they
 * quote somebody. */
struct health_item {
	enum report_health level;
	const char *check; /* a stable word of the list above: static */
	char *subject;     /* a job's name, a path, a probe's name; "" when the check has but one. With @check
	                    * it says which item this is, whatever its level and text are */
	char *name; /* how status/health and metrics call it: "job full"; several items may share one */
	/* When what the item tells began, in microseconds since the epoch, as far as the catalog knows it; 0: not
	 * known. Of a probe: when it was found. */
	int64_t since_us;
	char *text;       /* what is so */
	char *what_to_do; /* "start it with: keepfs trigger full"; NULL when there is nothing to say */
	/* Somebody knows of it, and until then it does not count (report/ack.h): 0: nobody. Its level stays. */
	int64_t acknowledged_until_us;
	char *acknowledged_by, *acknowledged_why; /* who: "uid 0 (bash)"; the note, "" */
	/* A stable word for which trouble it is, where the check can find several of one subject: when it becomes another
	 * one that is news, though the level is the same. NULL: there is but one. Static. */
	const char *kind;
	/* It stands for others of the check that are not in the list, since they are many: one that is not there need not be over. */
	bool is_rest;
};

static inline bool health_is_acknowledged(const struct health_item *item)
{
	return item->acknowledged_until_us != 0;
}

/** struct health - the items in the order of the checks. Start with {0}. */
struct health {
	struct health_item *items;
	size_t count;
	int64_t next_change_us; /* when the list will be another though nothing happens: time passes; 0: not known */
};

/** health_gather() - run all checks and append what they find to @ret. Uses catalog, conf, now_us and troubles of
 * @from. Blocks on the local disk; any thread. It cannot fail: what cannot be found out is an item. */
void health_gather(const struct report_sources *from, struct health *ret);
void health_finish(struct health *h);
/** clocks_differ_text() - append a sentence when the clock of @store is by @ahead_us (store_clock_ahead_us()) another than this host's, which is worth a word (STORE_CLOCKS_DIFFER_US); false: it is not. */
bool clocks_differ_text(int64_t ahead_us, const char *store, struct str *out);
/** health_check_name() - the words of all checks, by number from 0 on: static; NULL behind the last. */
const char *health_check_name(size_t number);
/** health_worst() - the greatest level of those that are not acknowledged; REPORT_OK of an empty list. */
enum report_health health_worst(const struct health *h);
/** health_write() - a line with the worst level and a summary, in which what is acknowledged is named apart, then a line for
 * each item, which says by whom and until when it is. Failures stay in @out
 * (spool_error()). */
void health_write(const struct health *h, struct spool *out);

static inline void cleanup_health(struct health *h)
{
	health_finish(h);
}

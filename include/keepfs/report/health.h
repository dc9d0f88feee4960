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
 * clock: of a job's backups the one with the latest date is dated in the future, or later than one that was made after it:
 * WARN. The newest is what was made last all the same.
 * unlisted: the store holds a backup that could not be listed (catalog/compare.h): WARN.
 * damaged: reading showed that the store does not hold the bytes of a backup any more, or it has no manifest of it: CRIT.
 * reads: one failed in the last ten minutes: WARN.
 * cache: a disk cache is configured and cannot be used (report_no_cache()): WARN.
 * configuration: its file was read again, and what it says is wrong, or needs a restart (report_conf_trouble()): WARN.
 * store: neither `keepfs check` nor a completed run has ever used it: WARN.
 * probe: something failed in the last `keepfs check`, and no run (of the job that it names, else any) has completed
 * since: CRIT for the store, else WARN.
 * space: less than 64 MiB or 5 percent is free for the catalog, or for the backups of a store dir: WARN.
 * versions: [store] delete_versions is set, and of what was deleted since the start a version could not be: WARN.
 * catalog: it cannot be read: CRIT.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/spool.h>

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
};

/** struct health - the items in the order of the checks. Start with {0}. */
struct health {
	struct health_item *items;
	size_t count;
};

/** health_gather() - run all checks and append what they find to @ret. Uses catalog, conf, now_us and troubles of
 * @from. Blocks on the local disk; any thread. It cannot fail: what cannot be found out is an item. */
void health_gather(const struct report_sources *from, struct health *ret);
void health_finish(struct health *h);
/** health_worst() - the greatest level; REPORT_OK of an empty list. */
enum report_health health_worst(const struct health *h);
/** health_write() - a line with the worst level and a summary, then a line for each item. Failures stay in @out
 * (spool_error()). */
void health_write(const struct health *h, struct spool *out);

static inline void cleanup_health(struct health *h)
{
	health_finish(h);
}

// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Is a backup overdue? Not by the last error, which a job that never begins does not have, but by the time since the newest
 * good one. Pure: the clock is handed in. Times are seconds since 1970, UTC.
 */
#include <stdbool.h>
#include <stdint.h>

/** enum overdue_level - worse is greater. */
enum overdue_level {
	OVERDUE_NOT,
	OVERDUE_LATE, /* older than the interval and the grace */
	OVERDUE_LOST, /* older than twice the interval, or late and beyond the goal */
};

/** struct overdue_rule - what was promised. */
struct overdue_rule {
	int64_t interval_s; /* between two backups; 0: nobody said that */
	int64_t grace_s;    /* how much later it may be; 0: overdue_grace_s() */
	int64_t rpo_s;      /* how much may be lost at most; 0: no goal was stated */
};

/** overdue_interval_s() - how often a backup is expected: by the interval or by the goal, whichever is shorter of those that were
 * stated; 0: neither was, so nothing is expected. */
int64_t overdue_interval_s(const struct overdue_rule *rule);
/** overdue_grace_s() - what is in force when nobody said it: a quarter of the interval, 30 minutes to 12 hours. */
int64_t overdue_grace_s(int64_t interval_s);
/** overdue_late_at_s() - from when on a backup of @base_s is late; INT64_MAX: never, nothing is expected. */
int64_t overdue_late_at_s(const struct overdue_rule *rule, int64_t base_s);
/** overdue_lost_at_s() - from when on it is lost; INT64_MAX: never. */
int64_t overdue_lost_at_s(const struct overdue_rule *rule, int64_t base_s);
/**
 * overdue_judge()
 * @base_s: when the newest good backup was completed; or, while there is none, since when one has been expected
 *
 * Two graces behind the interval at least have to pass before a late one is lost: a job that runs every five minutes is not
 * lost after ten. A goal that is no longer than the interval has its grace, too: runs take time, and it would be missed
 * during each of them.
 */
enum overdue_level overdue_judge(const struct overdue_rule *rule, int64_t base_s, int64_t now_s);

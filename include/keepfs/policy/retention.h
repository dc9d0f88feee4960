// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What is kept, and why. Pure: backups, rules and a time zone in; for each backup all reasons to keep it out, none: it may
 * go. Only those of one directory and one kind of content are ever compared.
 *
 * A backup stands for a day, a week, a month, a year when it is the first good one of it, and does so for ever: what comes
 * later changes nothing about what is there, so a tag, a lock or a promise can be given at birth, and a flood of new
 * backups pushes no old one out. Rules are joined by "or". Periods without a backup do not count, so that an outage uses
 * up nothing, and `within` is counted from the newest backup, not from now.
 */
#include <keepfs/base/error.h>
#include <keepfs/base/zone.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** enum retention_reason - bits; why a backup stays. */
enum retention_reason {
	RETENTION_DAILY = 1 << 0, /* the first good one of one of the last days that have one; likewise: */
	RETENTION_WEEKLY = 1 << 1,
	RETENTION_MONTHLY = 1 << 2,
	RETENTION_YEARLY = 1 << 3,
	RETENTION_LAST = 1 << 4,     /* one of the last good ones */
	RETENTION_WITHIN = 1 << 5,   /* made within so long before the newest good one */
	RETENTION_FOREVER = 1 << 6,  /* there is no rule, or the rule is to keep all */
	RETENTION_HELD = 1 << 7,     /* somebody holds it */
	RETENTION_UNTIL = 1 << 8,    /* it was promised until a date that has not come */
	RETENTION_FLOOR = 1 << 9,    /* one of the last good ones, of which so many stay in any case */
	RETENTION_DAMAGED = 1 << 10, /* it is damaged, and there is no good one of its period yet */
};
#define RETENTION_GONE   (1 << 11) /* its database is gone, and nothing will follow it: whoever plans says so */
#define RETENTION_LOCKED (1 << 12) /* the store lets nobody delete it yet */
#define RETENTION_TIERS  (RETENTION_DAILY | RETENTION_WEEKLY | RETENTION_MONTHLY | RETENTION_YEARLY)

struct retention_rules {
	/* How many; 0: no such rule. */
	unsigned daily, weekly, monthly, yearly, last;
	int64_t within_s;  /* 0: no such rule */
	bool forever;      /* all, whatever else is said */
	unsigned min_keep; /* good ones that stay in any case; less than 1 is 1 */
	int week_starts;   /* 0: Sunday … 6 */
};

struct retention_backup {
	/* In: */
	int64_t at_s;           /* of its snapshot, UTC */
	int64_t keep_until_s;   /* 0: nothing was promised */
	int64_t locked_until_s; /* 0: it is not locked */
	bool damaged;           /* it is known that the store does not hold its bytes */
	bool held;
	/* Out: */
	uint16_t reasons; /* enum retention_reason; 0: it may go */
	uint16_t
	        tiers; /* of RETENTION_TIERS: those it is the first good one of, whatever the rules; 0 when it is damaged */
};

/**
 * retention_plan() - what stays
 * @backups: all of one directory and one kind of content, in the order in which they were made
 * @now_s:   for keep_until_s and locked_until_s alone
 *
 * Takes 32 bytes for each, for as long as it runs.
 */
void retention_plan(const struct retention_rules *rules, const struct zone *z, int64_t now_s,
                    struct retention_backup *backups, size_t count);
/**
 * retention_tiers_at_birth() - of which periods is a new backup the first good one?
 * @at_s:  of the new one
 * @other_s: of the good ones of its directory and kind of content, those next before and behind it in time
 * Return: RETENTION_DAILY and so on; they are its tiers for ever.
 */
uint16_t retention_tiers_at_birth(const struct retention_rules *rules, const struct zone *z, int64_t at_s,
                                  const int64_t *other_s, size_t count);
/** retention_period() - the number of the day, week, month or year that a moment lies in; it grows with time. @tier: one bit of
 * RETENTION_TIERS. */
int64_t retention_period(enum retention_reason tier, const struct retention_rules *rules,
                         const struct zone *z, int64_t at_s);
/** retention_tier_count() - of how many periods of @tier the first ones are kept. */
unsigned retention_tier_count(const struct retention_rules *rules, enum retention_reason tier);
/** retention_has_rules() - false: everything stays, since nobody said what may go. */
bool retention_has_rules(const struct retention_rules *rules);
/** retention_reason_name() - "daily", "held"; of one bit; NULL: none of them. */
const char *retention_reason_name(unsigned reason);

/** struct retention_lock_terms - what bounds a lock. UTC, seconds. */
struct retention_lock_terms {
	int64_t now_s;        /* by the clock by which locks end: the store's */
	int64_t min_s, max_s; /* for how long at least, and from now on at most */
	bool forever;         /* nothing ever takes its place, whatever the rules say */
	bool at_birth; /* it was made just now: min_s counts from now on, and one that began long ago is doubtful, too */
	/* By how much that clock is ahead of this host's, by which the backup is dated; 0: nobody knows. Of one at birth only: later the host's may be another. */
	int64_t ahead_s;
};
/** struct retention_lock - for how long a backup is to be locked. */
struct retention_lock {
	int64_t until_s; /* 0: not at all any more */
	/* It has to last longer than could be said now (there is no end, or it is behind max_s): when half of that time is over, it is
	 * time to say more. */
	bool is_rolling;
	bool is_doubtful; /* the backup is of a time that cannot be right: it is locked for min_s, and whoever trusts its time says more later */
};
/**
 * retention_lock_of() - until when is a backup sure to be kept?
 * @b: its at_s, keep_until_s and tiers (RETENTION_TIERS: those it is the first good one of)
 *
 * Until the first moment at which the rules could let it go: the end of the last of so many periods of each tier as are kept, when each
 * has a backup; `within` from its own time on; what was promised. What depends on how many others come (last, min_keep) says no date. Where
 * everything is kept it is two years. Whatever is said, it is known for ever: later backups change nothing about it.
 *
 * Where the two clocks differ it is locked for as long as the rules keep it by either of them: a host that is behind dates it too early, and takes it for younger than it is for as long as that
 * lasts. By a date that cannot be right nothing is locked, so one clock that is decades off locks nothing for decades.
 */
void retention_lock_of(const struct retention_rules *rules, const struct zone *z,
                       const struct retention_backup *b, const struct retention_lock_terms *terms,
                       struct retention_lock *ret);
/** retention_lock_is_due() - is it worth a request to lock until @wanted what is locked until @now_locked_s? */
bool retention_lock_is_due(const struct retention_lock *wanted, int64_t now_locked_s, int64_t now_s);

/** struct retention_moment - what decides whether this is a time to delete. UTC, seconds; 0: there is none. */
struct retention_moment {
	int64_t now_s;
	int64_t seen_s;        /* the latest time that was ever seen, from before */
	int64_t newest_s;      /* of the newest backup of the directory, good or not */
	int64_t newest_good_s; /* of the newest good one */
	int64_t interval_s;    /* between two backups, as scheduled; 0: there is no schedule */
};

/** retention_check_moment() - may anything be deleted now? Never by a wrong clock, and never while new backups stay out.
 * Return: 0; -EAGAIN with the reason. */
int retention_check_moment(const struct retention_moment *moment, struct error *err);
/** retention_is_large() - does a plan delete so much of a directory that somebody should confirm it: more than three, and
 * more than a fifth? */
bool retention_is_large(size_t deleted, size_t count);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What is to be done about a schedule now, and when is it to be looked at again? Pure: the clock is handed in, and so is what
 * is remembered: up to which moment everything that was due has been dealt with.
 *
 * A moment at which a schedule is due is dealt with once: a run is made for it; or it is one of several that nothing could be
 * made for until the last of them was due, and that one's run stands for all; or it was missed too long ago; or
 * nothing was to be made then. So each run that is asked for is made once, whatever clocks do:
 *
 * - Set back by up to a day, a clock passes moments again that were dealt with: nothing is made for them. What is remembered of
 *   a time that is more than a day ahead was remembered while the clock was wrong, and counts for nothing, but for that all
 *   is as if everything before @watched_s had been dealt with.
 * - Set forth, it makes moments look missed, and the last of them is made up for, once.
 */
#include <keepfs/policy/blackout.h>
#include <keepfs/policy/schedule.h>

#include <stdbool.h>
#include <stdint.h>

/** struct due_rules - what does not change between two looks. All is borrowed. Times are seconds. */
struct due_rules {
	const struct schedule *schedule;
	const struct zone *zone;
	const struct blackout *blackout; /* NULL: none */
	int64_t catch_up_s; /* what was due so long before @watched_s or later is made up for; 0: nothing is */
	int64_t jitter_s;   /* 0: none. Never so much that the next one is due before */
	uint64_t seed;      /* of the jitter: another one for whoever is not to begin at the same moment */
};

/** struct due_facts - seconds since 1970 UTC. */
struct due_facts {
	int64_t now_s;
	int64_t done_s; /* all moments up to this one are dealt with */
	/* Since when whoever asks looks whenever something is due, on a clock that nobody sets: what was to begin before, and
	 * not just before (DUE_LATE_S), was missed. Not behind @now_s. */
	int64_t watched_s;
};

/** What begins so much later than it was to begin is just late: keepfs was started anew, or a clock was put right. */
#define DUE_LATE_S INT64_C(300)
/** A memory that is so far ahead of the clock is one of another clock. */
#define DUE_AHEAD_S INT64_C(86400)

struct due {
	int64_t due_s;   /* for which moment the next run is made; SCHEDULE_NEVER: for none */
	int64_t begin_s; /* when it begins: now, when this is not behind @now_s. SCHEDULE_NEVER */
	bool is_missed;  /* it is made up for */
	/* The last of those that were missed too long ago to be made up for, and of which nobody was told yet: to be remembered
	 * as dealt with. SCHEDULE_NEVER: there is none. */
	int64_t lost_s;
};

/** due_decide() - see above. Some ten microseconds. */
void due_decide(const struct due_rules *rules, const struct due_facts *facts, struct due *ret);
/** due_jitter_s() - how much later than asked for the run of @due_s begins: the same each time it is asked. */
int64_t due_jitter_s(const struct due_rules *rules, int64_t due_s);
/** due_done_s() - @remembered_s, or @watched_s in its place when it is that of another clock: what due_decide() goes by. */
int64_t due_done_s(int64_t remembered_s, const struct due_facts *facts);

/** struct due_switch - what somebody said about whether runs are to begin by themselves. Seconds. Nobody did: {0}. */
struct due_switch {
	bool is_off;
	int64_t at_s;    /* when that was said; 0: never */
	int64_t until_s; /* off until then; 0: until it is said to be on */
};

/** due_is_off() - does it hold at @now_s? */
bool due_is_off(const struct due_switch *s, int64_t now_s);
/** due_off_until_s() - the end of the last time in which it was off, which is over: what was due before is dealt with.
 * INT64_MIN: there was none. */
int64_t due_off_until_s(const struct due_switch *s, int64_t now_s);

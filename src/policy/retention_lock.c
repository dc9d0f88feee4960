// SPDX-License-Identifier: Apache-2.0
/*
 * Until when a backup is sure to be kept, and can be locked. A backup that is the first of its week stays until so many weeks that
 * come after have a backup as are kept; the earliest that this can be is when each week has one. Nothing here depends on what else there is.
 */
#include <keepfs/policy/retention.h>

#include <stdlib.h>

#define DAY_S     INT64_C(86400)
#define FOREVER_S (2 * 366 * DAY_S)
#define LONGEST_S (35 * DAY_S) /* that a backup may take */
#define DIFFERS_S 5            /* a server tells whole seconds, and answers take a while */
#define BEHIND_MOST_S                                                                                        \
	3600 /* that is added for a clock that is behind: no server takes requests of one that is so wrong */
#define FUTURE_S 3600 /* a clock that is ahead by so much is set, and no reason to doubt */

/* The first moment of the period @number, which begins behind @from_s. */
static int64_t period_begins_s(enum retention_reason tier, const struct retention_rules *rules,
                               const struct zone *z, int64_t number, int64_t from_s, int64_t longest_s)
{
	int64_t low_s = from_s,
	        high_s = from_s + (number - retention_period(tier, rules, z, from_s) + 1) * longest_s;

	while (high_s - low_s > 1) {
		int64_t middle_s = low_s + (high_s - low_s) / 2;

		if (retention_period(tier, rules, z, middle_s) < number)
			low_s = middle_s;
		else
			high_s = middle_s;
	}
	return high_s;
}

static int64_t tier_ends_s(unsigned number, const struct retention_rules *rules, const struct zone *z,
                           int64_t at_s)
{
	static const int64_t longest_s[] = {2 * DAY_S, 8 * DAY_S, 32 * DAY_S, 367 * DAY_S};
	enum retention_reason tier = (enum retention_reason)(1U << number);
	unsigned keep = retention_tier_count(rules, tier);

	if (!keep)
		return 0;
	return period_begins_s(tier, rules, z, retention_period(tier, rules, z, at_s) + (int64_t)keep, at_s,
	                       longest_s[number]);
}

static int64_t later_s(int64_t a_s, int64_t b_s)
{
	return a_s > b_s ? a_s : b_s;
}

static bool is_right_date(int64_t at_s, const struct retention_lock_terms *terms)
{
	return at_s <= terms->now_s + FUTURE_S && !(terms->at_birth && at_s < terms->now_s - LONGEST_S);
}

/* As if it had been made @shift_s later than it says. */
static int64_t rules_end_s(const struct retention_rules *rules, const struct zone *z,
                           const struct retention_backup *b, int64_t shift_s)
{
	int64_t until_s = b->keep_until_s ? b->keep_until_s + shift_s : 0, at_s = b->at_s + shift_s;

	for (unsigned tier = 0; tier < 4; tier++)
		if (b->tiers & 1U << tier)
			until_s = later_s(until_s, tier_ends_s(tier, rules, z, at_s));
	return rules->within_s > 0 ? later_s(until_s, at_s + rules->within_s) : until_s;
}

/* Until when, by both clocks; -1: neither date can be right. */
static int64_t end_by_either_s(const struct retention_rules *rules, const struct zone *z,
                               const struct retention_backup *b, const struct retention_lock_terms *terms)
{
	int64_t ahead_s = terms->at_birth && llabs(terms->ahead_s) >= DIFFERS_S ? terms->ahead_s : 0;
	int64_t until_s = -1;

	if (is_right_date(b->at_s, terms))
		until_s = rules_end_s(rules, z, b, 0);
	if (ahead_s != 0 && is_right_date(b->at_s + ahead_s, terms))
		until_s = later_s(until_s, rules_end_s(rules, z, b, ahead_s));
	/* Its clock comes to that moment later. */
	if (until_s > 0 && ahead_s > 0)
		until_s += ahead_s < BEHIND_MOST_S ? ahead_s : BEHIND_MOST_S;
	return until_s;
}

void retention_lock_of(const struct retention_rules *rules, const struct zone *z,
                       const struct retention_backup *b, const struct retention_lock_terms *terms,
                       struct retention_lock *ret)
{
	int64_t until_s = end_by_either_s(rules, z, b, terms);

	*ret = (struct retention_lock){.is_doubtful = until_s < 0};
	if (!ret->is_doubtful)
		ret->is_rolling = terms->forever || rules->forever || !retention_has_rules(rules);
	if (ret->is_rolling)
		until_s = terms->now_s + FOREVER_S;
	until_s = later_s(until_s,
	                  (ret->is_doubtful || terms->at_birth ? terms->now_s : b->at_s) + terms->min_s);
	if (until_s > terms->now_s + terms->max_s) {
		until_s = terms->now_s + terms->max_s;
		ret->is_rolling = true;
	}
	ret->until_s = until_s > terms->now_s ? until_s : 0;
}

bool retention_lock_is_due(const struct retention_lock *wanted, int64_t now_locked_s, int64_t now_s)
{
	int64_t left_s = later_s(now_locked_s - now_s, 0);

	if (wanted->until_s <= now_locked_s)
		return false;
	return !wanted->is_rolling || left_s < (wanted->until_s - now_s) / 2;
}

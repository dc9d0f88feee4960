// SPDX-License-Identifier: Apache-2.0
/* See policy/retention.h. */
#include <keepfs/policy/retention.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#define DAY_S         INT64_C(86400)
#define FUTURE_MAX_S  300
#define JUMP_MAX_S    DAY_S
#define LARGE_FROM    3
#define LARGE_PERCENT 20

static const struct {
	enum retention_reason reason;
	const char *name;
} names[] = {
        {RETENTION_DAILY, "daily"},     {RETENTION_WEEKLY, "weekly"},   {RETENTION_MONTHLY, "monthly"},
        {RETENTION_YEARLY, "yearly"},   {RETENTION_LAST, "last"},       {RETENTION_WITHIN, "within"},
        {RETENTION_FOREVER, "forever"}, {RETENTION_HELD, "held"},       {RETENTION_UNTIL, "until"},
        {RETENTION_FLOOR, "floor"},     {RETENTION_DAMAGED, "damaged"}, {RETENTION_GONE, "gone"},
        {RETENTION_LOCKED, "locked"},
};

const char *retention_reason_name(unsigned reason)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].reason == reason)
			return names[i].name;
	return NULL;
}

bool retention_has_rules(const struct retention_rules *r)
{
	return r->daily || r->weekly || r->monthly || r->yearly || r->last || r->within_s > 0;
}

/* Periods: numbers that grow with time. */

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int64_t retention_period(enum retention_reason tier, const struct retention_rules *rules,
                         const struct zone *z, int64_t at_s)
{
	int64_t local_s = at_s + zone_offset_s(z, at_s, NULL), day = floor_div(local_s, DAY_S);
	struct zone_day d;

	if (tier == RETENTION_DAILY)
		return day;
	if (tier == RETENTION_WEEKLY) /* 1970-01-01 was a Thursday */
		return floor_div(day + 4 - rules->week_starts, 7);
	d = zone_day_of(local_s);
	return tier == RETENTION_MONTHLY ? (int64_t)d.year * 12 + d.month : d.year;
}

uint16_t retention_tiers_at_birth(const struct retention_rules *rules, const struct zone *z, int64_t at_s,
                                  const int64_t *other_s, size_t count)
{
	uint16_t tiers = 0;

	for (unsigned tier = RETENTION_DAILY; tier <= RETENTION_YEARLY; tier <<= 1) {
		int64_t number = retention_period(tier, rules, z, at_s);
		bool is_first = true;

		for (size_t i = 0; i < count; i++)
			is_first = is_first && retention_period(tier, rules, z, other_s[i]) != number;
		tiers |= (uint16_t)(is_first ? tier : 0);
	}
	return tiers;
}

unsigned retention_tier_count(const struct retention_rules *rules, enum retention_reason tier)
{
	switch (tier) {
	case RETENTION_DAILY:
		return rules->daily;
	case RETENTION_WEEKLY:
		return rules->weekly;
	case RETENTION_MONTHLY:
		return rules->monthly;
	case RETENTION_YEARLY:
		return rules->yearly;
	default:
		return 0;
	}
}

struct period {
	int64_t number;
	size_t backup;
};

static int compare_periods(const void *a, const void *b)
{
	const struct period *x = a, *y = b;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return x->backup < y->backup ? -1 : x->backup > y->backup;
}

static bool are_in_order(const struct period *p, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (p[i].number < p[i - 1].number)
			return false;
	return true;
}

/* The periods of all good ones, in their order; within one, in the order of making. As a rule they are in it already:
 * sorting is for clocks that were set back. */
static size_t list_periods(enum retention_reason tier, const struct retention_rules *rules,
                           const struct zone *z, const struct retention_backup *backups, size_t count,
                           struct period *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (!backups[i].damaged)
			ret[n++] = (struct period){retention_period(tier, rules, z, backups[i].at_s), i};
	if (!are_in_order(ret, n))
		qsort(ret, n, sizeof(*ret), compare_periods);
	return n;
}

static void keep_tier(enum retention_reason tier, unsigned keep, const struct period *periods, size_t count,
                      struct retention_backup *backups)
{
	for (size_t i = count; i > 0; i--) {
		struct retention_backup *b = &backups[periods[i - 1].backup];

		if (i > 1 && periods[i - 2].number == periods[i - 1].number)
			continue;
		b->tiers |= (uint16_t)tier;
		if (keep > 0) {
			b->reasons |= (uint16_t)tier;
			keep--;
		}
	}
}

static bool has_period(const struct period *periods, size_t count, int64_t number)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (periods[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && periods[low].number == number;
}

/* A damaged one is all that there is of its period, until a good one is. */
static void keep_damaged(enum retention_reason tier, const struct retention_rules *rules,
                         const struct zone *z, const struct period *periods, size_t period_count,
                         struct retention_backup *backups, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (backups[i].damaged &&
		    !has_period(periods, period_count, retention_period(tier, rules, z, backups[i].at_s)))
			backups[i].reasons |= RETENTION_DAMAGED;
}

static void keep_newest(enum retention_reason reason, unsigned keep, struct retention_backup *backups,
                        size_t count)
{
	for (size_t i = count; i > 0 && keep > 0; i--) {
		if (backups[i - 1].damaged)
			continue;
		backups[i - 1].reasons |= (uint16_t)reason;
		keep--;
	}
}

static void keep_within(int64_t within_s, struct retention_backup *backups, size_t count)
{
	int64_t newest_s = INT64_MIN;

	for (size_t i = 0; i < count; i++)
		if (!backups[i].damaged && backups[i].at_s > newest_s)
			newest_s = backups[i].at_s;
	for (size_t i = 0; i < count; i++)
		if (within_s > 0 && !backups[i].damaged && backups[i].at_s > newest_s - within_s)
			backups[i].reasons |= RETENTION_WITHIN;
}

/* Without a calendar, the period of a damaged one is all the time from it on. */
static void keep_damaged_without_newer(struct retention_backup *backups, size_t count)
{
	bool has_newer = false;

	for (size_t i = count; i > 0; i--) {
		struct retention_backup *b = &backups[i - 1];

		if (b->damaged && !has_newer)
			b->reasons |= RETENTION_DAMAGED;
		has_newer = has_newer || !b->damaged;
	}
}

void retention_plan(const struct retention_rules *rules, const struct zone *z, int64_t now_s,
                    struct retention_backup *backups, size_t count)
{
	const struct {
		enum retention_reason tier;
		unsigned keep;
	} tiers[] = {{RETENTION_DAILY, rules->daily},
	             {RETENTION_WEEKLY, rules->weekly},
	             {RETENTION_MONTHLY, rules->monthly},
	             {RETENTION_YEARLY, rules->yearly}};
	_cleanup(free) struct period *periods = mem_array(count + 1, sizeof(*periods));
	bool has_finest = false;

	for (size_t i = 0; i < count; i++) {
		backups[i].tiers = 0;
		backups[i].reasons =
		        (uint16_t)((rules->forever || !retention_has_rules(rules) ? RETENTION_FOREVER : 0) |
		                   (backups[i].held ? RETENTION_HELD : 0) |
		                   (backups[i].keep_until_s > now_s ? RETENTION_UNTIL : 0) |
		                   (backups[i].locked_until_s > now_s ? RETENTION_LOCKED : 0));
	}
	for (size_t t = 0; t < sizeof(tiers) / sizeof(*tiers); t++) {
		size_t n = list_periods(tiers[t].tier, rules, z, backups, count, periods);

		keep_tier(tiers[t].tier, tiers[t].keep, periods, n, backups);
		if (tiers[t].keep > 0 && !has_finest) {
			keep_damaged(tiers[t].tier, rules, z, periods, n, backups, count);
			has_finest = true;
		}
	}
	if (!has_finest)
		keep_damaged_without_newer(backups, count);
	keep_within(rules->within_s, backups, count);
	keep_newest(RETENTION_LAST, rules->last, backups, count);
	keep_newest(RETENTION_FLOOR, rules->min_keep > 1 ? rules->min_keep : 1, backups, count);
}

/* The moment. */

static int not_now(struct error *err, const char *before, int64_t a_s, int64_t now_s, const char *why)
{
	char a[CLOCK_ISO_BYTES], now[CLOCK_ISO_BYTES];

	return error_set(err, ERROR_CONFLICT, EAGAIN, "%s %s, and the clock says %s: %s", before,
	                 clock_format_iso(a_s * US_PER_S, a), clock_format_iso(now_s * US_PER_S, now), why);
}

int retention_check_moment(const struct retention_moment *m, struct error *err)
{
	if (m->newest_s > m->now_s + FUTURE_MAX_S)
		return not_now(err, "the newest backup is of", m->newest_s, m->now_s,
		               "one of both times is wrong");
	if (m->seen_s > m->now_s)
		return not_now(err, "it was", m->seen_s, m->now_s, "it was set back");
	if (m->seen_s && m->now_s - m->seen_s > JUMP_MAX_S)
		return not_now(err, "it was", m->seen_s, m->now_s, "it has jumped by more than a day");
	if (!m->newest_good_s)
		return error_set(err, ERROR_CONFLICT, EAGAIN, "there is no good backup");
	if (m->interval_s && m->now_s - m->newest_good_s > 2 * m->interval_s)
		return not_now(err, "the newest good backup is of", m->newest_good_s, m->now_s,
		               "new ones stay out");
	return 0;
}

bool retention_is_large(size_t deleted, size_t count)
{
	return deleted > LARGE_FROM && deleted * 100 > count * LARGE_PERCENT;
}

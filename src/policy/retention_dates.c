// SPDX-License-Identifier: Apache-2.0
/* See policy/retention_dates.h. */
#include <keepfs/policy/retention_dates.h>

#include <stdlib.h>

#include <keepfs/base/mem.h>

#define TIERS 4
#define NONE  UINT32_MAX

struct moments { /* that are to come, in their order; found one after the other */
	int64_t *at_s;
	size_t count, cap;
};

struct retention_dates {
	const struct retention_rules *rules;
	const struct zone *zone;
	const struct schedule *schedule; /* NULL: none */
	int64_t now_s;
	const struct retention_backup *backups;
	size_t count;
	/* The first good ones of the periods of each tier, by period; and all good ones, by making. Ranks are places in these. */
	uint32_t *firsts[TIERS], *good, *rank[TIERS], *good_rank;
	size_t first_count[TIERS], good_count;
	struct moments periods[TIERS], dues;
};

struct ordered {
	int64_t period;
	uint32_t backup;
};

static int compare_ordered(const void *a, const void *b)
{
	const struct ordered *x = a, *y = b;

	return (x->period > y->period) - (x->period < y->period);
}

static void list_firsts(struct retention_dates *d, unsigned tier)
{
	_cleanup(free) struct ordered *found = mem_array(d->count + 1, sizeof(*found));
	size_t n = 0;

	for (size_t i = 0; i < d->count; i++) {
		d->rank[tier][i] = NONE;
		if (d->backups[i].tiers & 1U << tier)
			found[n++] = (struct ordered){
			        retention_period(1U << tier, d->rules, d->zone, d->backups[i].at_s),
			        (uint32_t)i};
	}
	qsort(found, n, sizeof(*found), compare_ordered);
	for (size_t i = 0; i < n; i++) {
		d->firsts[tier][i] = found[i].backup;
		d->rank[tier][found[i].backup] = (uint32_t)i;
	}
	d->first_count[tier] = n;
}

static void list_good(struct retention_dates *d)
{
	for (size_t i = 0; i < d->count; i++) {
		d->good_rank[i] = d->backups[i].damaged ? NONE : (uint32_t)d->good_count;
		if (!d->backups[i].damaged)
			d->good[d->good_count++] = (uint32_t)i;
	}
}

struct retention_dates *retention_dates_new(const struct retention_rules *rules, const struct zone *z,
                                            const struct schedule *schedule, int64_t now_s,
                                            const struct retention_backup *backups, size_t count)
{
	struct retention_dates *d = mem_alloc(sizeof(*d));

	*d = (struct retention_dates){.rules = rules,
	                              .zone = z,
	                              .schedule = schedule && !schedule_is_off(schedule) ? schedule : NULL,
	                              .now_s = now_s,
	                              .backups = backups,
	                              .count = count};
	d->good = mem_array(count + 1, sizeof(*d->good));
	d->good_rank = mem_array(count + 1, sizeof(*d->good_rank));
	list_good(d);
	for (unsigned tier = 0; tier < TIERS; tier++) {
		d->firsts[tier] = mem_array(count + 1, sizeof(uint32_t));
		d->rank[tier] = mem_array(count + 1, sizeof(uint32_t));
		list_firsts(d, tier);
	}
	return d;
}

struct retention_dates *retention_dates_free(struct retention_dates *d)
{
	if (!d)
		return NULL;
	for (unsigned tier = 0; tier < TIERS; tier++) {
		free(d->firsts[tier]);
		free(d->rank[tier]);
		free(d->periods[tier].at_s);
	}
	free(d->dues.at_s);
	free(d->good);
	free(d->good_rank);
	free(d);
	return NULL;
}

/* What is to come. */

static void add_moment(struct moments *m, int64_t at_s)
{
	if (m->count == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 16;
		m->at_s = mem_resize(m->at_s, m->cap, sizeof(*m->at_s));
	}
	m->at_s[m->count++] = at_s;
}

static int64_t next_due(const struct retention_dates *d, int64_t after_s)
{
	if (!d->schedule)
		return RETENTION_NO_DATE;
	return schedule_next(d->schedule, d->zone, after_s > d->now_s ? after_s : d->now_s);
}

/* The first due moment of a period behind @after. Half of the shortest period of each tier is skipped at a time, so none is
 * passed over, and hourly schedules cost no more than others. */
static int64_t next_period(const struct retention_dates *d, unsigned tier, int64_t period, int64_t after_s)
{
	static const int64_t steps_s[TIERS] = {43200, 3 * 86400, 14 * 86400, 180 * 86400};
	int64_t due_s = next_due(d, after_s);

	while (due_s != RETENTION_NO_DATE &&
	       retention_period(1U << tier, d->rules, d->zone, due_s) <= period) {
		int64_t skipped_s = due_s + steps_s[tier];

		if (retention_period(1U << tier, d->rules, d->zone, skipped_s) > period)
			skipped_s = due_s;
		due_s = next_due(d, skipped_s);
	}
	return due_s;
}

/* When the period number @index (from 0) begins of those that have no backup yet. */
static int64_t new_period_at(struct retention_dates *d, unsigned tier, size_t index)
{
	struct moments *m = &d->periods[tier];

	while (m->count <= index) {
		int64_t last_s = m->count ? m->at_s[m->count - 1] : d->now_s;
		size_t n = d->first_count[tier];
		int64_t behind_s = m->count ? last_s
		                   : n      ? d->backups[d->firsts[tier][n - 1]].at_s
		                            : INT64_MIN;
		int64_t period = behind_s == INT64_MIN
		                         ? behind_s
		                         : retention_period(1U << tier, d->rules, d->zone, behind_s);

		if (last_s == RETENTION_NO_DATE)
			return RETENTION_NO_DATE;
		add_moment(m, next_period(d, tier, period, last_s));
	}
	return m->at_s[index];
}

static int64_t due_at(struct retention_dates *d, size_t index)
{
	struct moments *m = &d->dues;

	while (m->count <= index) {
		int64_t last_s = m->count ? m->at_s[m->count - 1] : d->now_s;

		if (last_s == RETENTION_NO_DATE)
			return RETENTION_NO_DATE;
		add_moment(m, next_due(d, last_s));
	}
	return m->at_s[index];
}

/* How many more have to come until the one at @rank of @n is behind the last @keep. */
static unsigned more_of(uint32_t rank, size_t n, unsigned keep)
{
	size_t newer = n - 1 - rank;

	return rank == NONE || keep <= newer ? 0 : (unsigned)(keep - newer);
}

static unsigned counted(const struct retention_dates *d, enum retention_reason reason)
{
	if (reason == RETENTION_LAST)
		return d->rules->last;
	return d->rules->min_keep > 1 ? d->rules->min_keep : 1;
}

unsigned retention_more_needed(const struct retention_dates *d, size_t i, enum retention_reason reason)
{
	for (unsigned tier = 0; tier < TIERS; tier++)
		if (reason == 1U << tier)
			return more_of(d->rank[tier][i], d->first_count[tier],
			               retention_tier_count(d->rules, reason));
	if (reason == RETENTION_LAST || reason == RETENTION_FLOOR)
		return more_of(d->good_rank[i], d->good_count, counted(d, reason));
	return 0;
}

static int64_t ends_at(struct retention_dates *d, size_t i, enum retention_reason reason)
{
	const struct retention_backup *b = &d->backups[i];
	unsigned more = retention_more_needed(d, i, reason);

	for (unsigned tier = 0; tier < TIERS; tier++)
		if (reason == 1U << tier)
			return more ? new_period_at(d, tier, more - 1) : RETENTION_NO_DATE;
	switch (reason) {
	case RETENTION_LAST:
	case RETENTION_FLOOR:
		return more ? due_at(d, more - 1) : RETENTION_NO_DATE;
	case RETENTION_WITHIN:
		return next_due(d, b->at_s + d->rules->within_s - 1);
	case RETENTION_UNTIL:
		return next_due(d, b->keep_until_s - 1);
	default:
		return RETENTION_NO_DATE;
	}
}

int64_t retention_goes_at(struct retention_dates *d, size_t i)
{
	int64_t goes_s = INT64_MIN;

	for (unsigned reason = 1; reason <= RETENTION_DAMAGED; reason <<= 1) {
		int64_t end_s = d->backups[i].reasons & reason ? ends_at(d, i, reason) : INT64_MIN;

		goes_s = end_s > goes_s ? end_s : goes_s;
	}
	if (d->backups[i].reasons & RETENTION_LOCKED && d->backups[i].locked_until_s > goes_s)
		goes_s = next_due(d, d->backups[i].locked_until_s - 1);
	return goes_s;
}

/* What has been. */

/* The first good one that was made so late that @at_s was no longer within. */
static int64_t outlived_at(const struct retention_dates *d, int64_t at_s)
{
	size_t low = 0, high = d->good_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (d->backups[d->good[middle]].at_s < at_s + d->rules->within_s)
			low = middle + 1;
		else
			high = middle;
	}
	return low < d->good_count ? d->backups[d->good[low]].at_s : at_s;
}

static int64_t later_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t retention_since(const struct retention_dates *d, size_t i)
{
	const struct retention_backup *b = &d->backups[i];
	int64_t since_s = b->at_s;

	for (unsigned tier = 0; tier < TIERS; tier++) {
		unsigned keep = retention_tier_count(d->rules, 1U << tier);
		size_t by = (size_t)d->rank[tier][i] + keep;

		if (keep > 0 && d->rank[tier][i] != NONE && by < d->first_count[tier])
			since_s = later_of(since_s, d->backups[d->firsts[tier][by]].at_s);
	}
	if (d->rules->last > 0 && d->good_rank[i] != NONE && d->good_rank[i] + d->rules->last < d->good_count)
		since_s = later_of(since_s, d->backups[d->good[d->good_rank[i] + d->rules->last]].at_s);
	if (d->rules->within_s > 0 && !b->damaged)
		since_s = later_of(since_s, outlived_at(d, b->at_s));
	return later_of(later_of(since_s, b->keep_until_s), b->locked_until_s);
}

// SPDX-License-Identifier: Apache-2.0
/* See policy/due.h. */
#include <keepfs/policy/due.h>

/* How many moments that stand for those before them are looked at in one go: in a blackout, a schedule for each minute has
 * some hundred. Whoever asks does so again when what was found has come. */
#define LOOKS_AHEAD 1000

/* Sebastiano Vigna's splitmix64: https://prng.di.unimi.it/splitmix64.c */
static uint64_t mix_bits(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

int64_t due_jitter_s(const struct due_rules *rules, int64_t due_s)
{
	int64_t most_s = rules->jitter_s, next_s;

	if (most_s <= 0)
		return 0;
	next_s = schedule_next(rules->schedule, rules->zone, due_s);
	if (next_s != SCHEDULE_NEVER && next_s - due_s <= most_s)
		most_s = next_s - due_s - 1;
	return (int64_t)(mix_bits(rules->seed ^ mix_bits((uint64_t)due_s)) % ((uint64_t)most_s + 1));
}

/* The first moment from @at_s on at which something may begin, then the jitter, which may lead into a blackout again. */
static int64_t begin_from(const struct due_rules *rules, int64_t at_s, int64_t due_s)
{
	int64_t light_s = blackout_end(rules->blackout, rules->zone, at_s);

	return blackout_end(rules->blackout, rules->zone, light_s + due_jitter_s(rules, due_s));
}

/* @due_s is due; when does its run begin? */
static int64_t begin_of(const struct due_rules *rules, const struct due_facts *facts, int64_t due_s,
                        bool *ret_missed)
{
	int64_t begin_s = begin_from(rules, due_s, due_s);

	*ret_missed = begin_s < facts->watched_s - DUE_LATE_S;
	return *ret_missed ? begin_from(rules, facts->watched_s, due_s) : begin_s;
}

static bool is_lost(const struct due_rules *rules, const struct due_facts *facts, int64_t due_s)
{
	int64_t begin_s = begin_from(rules, due_s, due_s);

	return begin_s < facts->watched_s - DUE_LATE_S && facts->watched_s - begin_s > rules->catch_up_s;
}

int64_t due_done_s(int64_t remembered_s, const struct due_facts *facts)
{
	return remembered_s > facts->now_s + DUE_AHEAD_S ? facts->watched_s : remembered_s;
}

/* The last one that is due when it is @at_s and no blackout any more. */
static int64_t last_by(const struct due_rules *rules, int64_t done_s, int64_t *at_s)
{
	*at_s = blackout_end(rules->blackout, rules->zone, *at_s);
	return schedule_last(rules->schedule, rules->zone, done_s, *at_s);
}

void due_decide(const struct due_rules *rules, const struct due_facts *facts, struct due *ret)
{
	int64_t done_s = due_done_s(facts->done_s, facts), at_s = facts->now_s, last_s;

	*ret = (struct due){.due_s = SCHEDULE_NEVER, .begin_s = SCHEDULE_NEVER, .lost_s = SCHEDULE_NEVER};
	if (schedule_is_off(rules->schedule))
		return;
	last_s = last_by(rules, done_s, &at_s);
	if (last_s != SCHEDULE_NEVER && is_lost(rules, facts, last_s)) {
		ret->lost_s = done_s = last_s;
		last_s = SCHEDULE_NEVER;
	}
	for (int looks = 0; looks < LOOKS_AHEAD; looks++) {
		int64_t next_s = schedule_next(rules->schedule, rules->zone, at_s > done_s ? at_s : done_s);

		if (last_s != SCHEDULE_NEVER) {
			ret->due_s = last_s;
			ret->begin_s = begin_of(rules, facts, last_s, &ret->is_missed);
			/* What is due before it has begun stands for it. */
			if (ret->begin_s < next_s || ret->begin_s <= facts->now_s)
				return;
		}
		if (next_s == SCHEDULE_NEVER)
			return;
		at_s = next_s;
		last_s = last_by(rules, done_s, &at_s);
	}
}

bool due_is_off(const struct due_switch *s, int64_t now_s)
{
	return s->is_off && (s->until_s == 0 || s->until_s > now_s);
}

int64_t due_off_until_s(const struct due_switch *s, int64_t now_s)
{
	if (s->at_s == 0 || due_is_off(s, now_s))
		return INT64_MIN;
	return s->is_off ? s->until_s : s->at_s;
}

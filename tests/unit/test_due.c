// SPDX-License-Identifier: Apache-2.0
/* What is due: single cases, and years of a host with bad days, in which every moment must be accounted for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/policy/due.h>

#define HOUR_S INT64_C(3600)
#define DAY_S  INT64_C(86400)
#define WEEK_S (7 * DAY_S)

struct unit {
	struct schedule schedule;
	struct zone *zone;
	struct blackout *blackout;
	struct due_rules rules;
};

static struct unit *unit_new(const char *schedule, const char *zone, const char *blackout)
{
	struct unit *u = mem_alloc(sizeof(*u));
	struct error err = {0};

	if (schedule_parse(schedule, &u->schedule, &err) < 0 || zone_load(zone, &u->zone, &err) < 0 ||
	    blackout_parse(blackout, &u->blackout, &err) < 0)
		fail_msg("%s", err.message);
	u->rules = (struct due_rules){.schedule = &u->schedule,
	                              .zone = u->zone,
	                              .blackout = u->blackout,
	                              .catch_up_s = WEEK_S,
	                              .seed = 1};
	return u;
}

static void unit_free(struct unit *u)
{
	zone_free(u->zone);
	blackout_free(u->blackout);
	free(u);
}

static int64_t at(const struct unit *u, const char *text)
{
	int64_t at_s = 0;

	if (zone_parse(u->zone, text, &at_s) < 0)
		fail_msg("%s", text);
	return at_s;
}

static struct due decide(const struct unit *u, const char *done, const char *watched, const char *now)
{
	const struct due_facts facts = {
	        .done_s = at(u, done), .watched_s = at(u, watched), .now_s = at(u, now)};
	struct due due;

	due_decide(&u->rules, &facts, &due);
	return due;
}

static void expect(const struct unit *u, struct due due, const char *for_moment, const char *begin,
                   bool is_missed)
{
	char a[ZONE_TEXT_BYTES], b[ZONE_TEXT_BYTES];

	if (due.due_s != at(u, for_moment) || due.begin_s != at(u, begin) || due.is_missed != is_missed)
		fail_msg("for %s, begins %s, missed: %d", zone_format(u->zone, due.due_s, a),
		         zone_format(u->zone, due.begin_s, b), due.is_missed);
}

static void on_time(void **state)
{
	struct unit *u = unit_new("0 2 * * *", "Europe/Berlin", "");
	struct due due;

	due = decide(u, "2026-11-19 02:00", "2026-11-19 01:00", "2026-11-20 01:59:59");
	expect(u, due, "2026-11-20 02:00", "2026-11-20 02:00", false);
	due = decide(u, "2026-11-19 02:00", "2026-11-19 01:00", "2026-11-20 02:00");
	expect(u, due, "2026-11-20 02:00", "2026-11-20 02:00", false);
	/* An earlier run went on until then: it is late, and nothing was missed. */
	due = decide(u, "2026-11-19 02:00", "2026-11-19 01:00", "2026-11-20 17:00");
	expect(u, due, "2026-11-20 02:00", "2026-11-20 02:00", false);
	/* … and for days: the last one stands for all. */
	due = decide(u, "2026-11-19 02:00", "2026-11-19 01:00", "2026-11-25 17:00");
	expect(u, due, "2026-11-25 02:00", "2026-11-25 02:00", false);
	due = decide(u, "2026-11-20 02:00", "2026-11-19 01:00", "2026-11-20 02:00");
	expect(u, due, "2026-11-21 02:00", "2026-11-21 02:00", false);
	unit_free(u);
}

static void a_schedule_that_is_off(void **state)
{
	struct unit *u = unit_new("disabled", "UTC", "");
	struct due due = decide(u, "2026-11-19", "2026-11-19", "2026-11-20");

	assert_true(due.due_s == SCHEDULE_NEVER && due.begin_s == SCHEDULE_NEVER &&
	            due.lost_s == SCHEDULE_NEVER);
	unit_free(u);
}

static void what_was_missed(void **state)
{
	struct unit *u = unit_new("0 2 * * *", "UTC", "");
	struct due due = decide(u, "2026-11-10 02:00", "2026-11-13 10:00", "2026-11-13 10:00");

	expect(u, due, "2026-11-13 02:00", "2026-11-13 10:00", true);
	/* keepfs was started anew meanwhile: that is late, and no reason to speak of it. */
	due = decide(u, "2026-11-12 02:00", "2026-11-13 02:05", "2026-11-13 02:05");
	expect(u, due, "2026-11-13 02:00", "2026-11-13 02:00", false);
	due = decide(u, "2026-11-12 02:00", "2026-11-13 02:05:01", "2026-11-13 02:05:01");
	expect(u, due, "2026-11-13 02:00", "2026-11-13 02:05:01", true);
	unit_free(u);
}

static void what_was_missed_too_long_ago(void **state)
{
	struct unit *u = unit_new("0 2 * * sun", "UTC", "");
	struct due due;

	/* Sunday, 22 November. */
	u->rules.catch_up_s = 8 * HOUR_S;
	due = decide(u, "2026-11-01 02:00", "2026-11-22 10:00", "2026-11-22 10:00");
	expect(u, due, "2026-11-22 02:00", "2026-11-22 10:00", true);
	/* Made up for as long as it was seen in time, whatever held it up then. */
	due = decide(u, "2026-11-01 02:00", "2026-11-22 10:00", "2026-11-23 10:00");
	expect(u, due, "2026-11-22 02:00", "2026-11-22 10:00", true);
	due = decide(u, "2026-11-01 02:00", "2026-11-22 10:00:01", "2026-11-22 11:00");
	assert_int_equal(due.lost_s, at(u, "2026-11-22 02:00"));
	expect(u, due, "2026-11-29 02:00", "2026-11-29 02:00", false);
	u->rules.catch_up_s = 0;
	due = decide(u, "2026-11-01 02:00", "2026-11-22 02:05", "2026-11-22 02:05");
	expect(u, due, "2026-11-22 02:00", "2026-11-22 02:00", false);
	due = decide(u, "2026-11-01 02:00", "2026-11-22 02:06", "2026-11-22 02:06");
	assert_int_equal(due.lost_s, at(u, "2026-11-22 02:00"));
	unit_free(u);
}

static void clocks_that_are_wrong(void **state)
{
	struct unit *u = unit_new("0 * * * *", "UTC", "");
	struct due due;

	/* Set back by five hours: what was made is not made again. */
	due = decide(u, "2026-11-20 15:00", "2026-11-20 10:30", "2026-11-20 10:30");
	expect(u, due, "2026-11-20 16:00", "2026-11-20 16:00", false);
	/* By months: it goes on. */
	due = decide(u, "2027-04-20 15:00", "2026-11-20 10:30", "2026-11-20 10:30");
	expect(u, due, "2026-11-20 11:00", "2026-11-20 11:00", false);
	due = decide(u, "2027-04-20 15:00", "2026-11-20 10:30", "2026-11-20 11:00");
	expect(u, due, "2026-11-20 11:00", "2026-11-20 11:00", false);
	/* Set forth by a year: the last one, once. */
	due = decide(u, "2026-11-20 15:00", "2027-11-20 15:30", "2027-11-20 15:30");
	expect(u, due, "2027-11-20 15:00", "2027-11-20 15:30", true);
	due = decide(u, "2027-11-20 15:00", "2027-11-20 15:30", "2027-11-20 15:30");
	expect(u, due, "2027-11-20 16:00", "2027-11-20 16:00", false);
	unit_free(u);
}

static void blackouts(void **state)
{
	struct unit *u = unit_new("30 * * * *", "UTC", "08:00-18:00");
	struct due due;

	/* However often it is due in there, it begins once, at the end. */
	due = decide(u, "2026-11-20 07:30", "2026-11-20 00:00", "2026-11-20 08:30");
	expect(u, due, "2026-11-20 17:30", "2026-11-20 18:00", false);
	due = decide(u, "2026-11-20 07:30", "2026-11-20 00:00", "2026-11-20 18:00");
	expect(u, due, "2026-11-20 17:30", "2026-11-20 18:00", false);
	due = decide(u, "2026-11-20 17:30", "2026-11-20 00:00", "2026-11-20 18:00");
	expect(u, due, "2026-11-20 18:30", "2026-11-20 18:30", false);
	unit_free(u);
	/* What is made up for waits for the end, too. */
	u = unit_new("0 2 * * *", "UTC", "08:00-18:00");
	due = decide(u, "2026-11-18 02:00", "2026-11-20 10:00", "2026-11-20 10:00");
	expect(u, due, "2026-11-20 02:00", "2026-11-20 18:00", true);
	u->rules.catch_up_s = 8 * HOUR_S;
	due = decide(u, "2026-11-18 02:00", "2026-11-20 10:00", "2026-11-20 18:00");
	expect(u, due, "2026-11-20 02:00", "2026-11-20 18:00", true);
	unit_free(u);
}

static void jitter(void **state)
{
	struct unit *u = unit_new("0 * * * *", "UTC", ""), *other = unit_new("0 * * * *", "UTC", "");
	int64_t least = DAY_S, most = 0;
	unsigned same = 0;

	u->rules.jitter_s = other->rules.jitter_s = 600;
	other->rules.seed = 2;
	for (int64_t due_s = 0; due_s < 1000 * HOUR_S; due_s += HOUR_S) {
		int64_t offset_s = due_jitter_s(&u->rules, due_s);

		assert_int_equal(offset_s, due_jitter_s(&u->rules, due_s));
		same += offset_s == due_jitter_s(&other->rules, due_s);
		least = offset_s < least ? offset_s : least;
		most = offset_s > most ? offset_s : most;
	}
	assert_in_range(least, 0, 10);
	assert_in_range(most, 590, 600);
	assert_true(same < 20);
	/* The next one is never due before. */
	u->rules.jitter_s = 12 * HOUR_S;
	for (int64_t due_s = 0; due_s < 1000 * HOUR_S; due_s += HOUR_S)
		assert_in_range(due_jitter_s(&u->rules, due_s), 0, HOUR_S - 1);
	unit_free(u);
	unit_free(other);
}

static void a_jitter_that_leads_into_a_blackout(void **state)
{
	struct unit *u = unit_new("55 7 * * *", "UTC", "08:00-18:00");
	unsigned at_the_end = 0;

	u->rules.jitter_s = 600;
	for (int day = 1; day <= 30; day++) {
		char now[32], end[32];
		struct due due;

		snprintf(now, sizeof(now), "2026-11-%02d", day);
		snprintf(end, sizeof(end), "2026-11-%02dT18:00", day);
		due = decide(u, now, now, now);
		assert_true(due.begin_s < at(u, now) + 8 * HOUR_S || due.begin_s == at(u, end));
		at_the_end += due.begin_s == at(u, end);
	}
	assert_in_range(at_the_end, 5, 25);
	unit_free(u);
}

static void switches(void **state)
{
	struct due_switch s = {0};

	assert_false(due_is_off(&s, 100));
	assert_int_equal(due_off_until_s(&s, 100), INT64_MIN);
	s = (struct due_switch){.is_off = true, .at_s = 100};
	assert_true(due_is_off(&s, 100000));
	assert_int_equal(due_off_until_s(&s, 100000), INT64_MIN);
	s.until_s = 200;
	assert_true(due_is_off(&s, 199));
	assert_false(due_is_off(&s, 200));
	assert_int_equal(due_off_until_s(&s, 200), 200);
	s = (struct due_switch){.at_s = 300};
	assert_false(due_is_off(&s, 300));
	assert_int_equal(due_off_until_s(&s, 301), 300);
}

/* A host with bad days. What is expected is computed in the plainest way: minute by minute, with a list of all moments. */

enum fate { NOT_YET, RUN, CAUGHT_UP, STOOD_FOR, LOST };

struct moment {
	int64_t due_s;
	enum fate fate;
};

struct history {
	struct unit *unit;
	struct moment moments[200000];
	size_t count;
	unsigned random;
	int64_t done_s, watched_s;
	int64_t busy_until_s; /* a run goes on */
	unsigned runs, caught_up, lost;
};

static unsigned random_below(struct history *h, unsigned limit)
{
	h->random = h->random * 1103515245U + 12345U;
	return (h->random >> 8) % limit;
}

static void list_moments(struct history *h, int64_t from_s, int64_t until_s)
{
	int64_t due_s = from_s;

	while ((due_s = schedule_next(&h->unit->schedule, h->unit->zone, due_s)) <= until_s) {
		assert_true(h->count < ARRAY_SIZE(h->moments));
		h->moments[h->count++] = (struct moment){.due_s = due_s};
	}
}

/* @due_s was dealt with as @fate, and what was open before with it. */
static void settle(struct history *h, int64_t due_s, enum fate fate)
{
	bool found = false;

	for (size_t i = 0; i < h->count && h->moments[i].due_s <= due_s; i++) {
		struct moment *m = &h->moments[i];

		if (m->due_s == due_s) {
			assert_int_equal(m->fate, NOT_YET); /* not twice */
			m->fate = fate;
			found = true;
		} else if (m->fate == NOT_YET) {
			m->fate = fate == LOST ? LOST : STOOD_FOR;
		}
	}
	assert_true(found);
}

/* Does the plainest rule say that at @now_s, when all is idle, something is to begin? The last open moment, then. */
static const struct moment *open_by_hand(const struct history *h, int64_t now_s)
{
	for (size_t i = h->count; i > 0; i--)
		if (h->moments[i - 1].due_s <= now_s)
			return h->moments[i - 1].fate == NOT_YET ? &h->moments[i - 1] : NULL;
	return NULL;
}

static void live_minute(struct history *h, int64_t now_s)
{
	const struct due_facts facts = {.now_s = now_s, .done_s = h->done_s, .watched_s = h->watched_s};
	const struct moment *open = open_by_hand(h, now_s);
	struct due due;

	due_decide(&h->unit->rules, &facts, &due);
	if (due.lost_s != SCHEDULE_NEVER) {
		assert_non_null(open);
		assert_int_equal(due.lost_s, open->due_s);
		assert_true(h->watched_s - open->due_s > h->unit->rules.catch_up_s);
		settle(h, due.lost_s, LOST);
		h->done_s = due.lost_s;
		h->lost++;
		return;
	}
	/* What begins, and nothing but that, is the last that is open. */
	assert_true((due.begin_s <= now_s) == (open != NULL));
	if (!open || h->busy_until_s > now_s)
		return;
	assert_int_equal(due.due_s, open->due_s);
	assert_int_equal(due.is_missed, open->due_s < h->watched_s - DUE_LATE_S);
	settle(h, due.due_s, due.is_missed ? CAUGHT_UP : RUN);
	h->done_s = due.due_s;
	h->runs++;
	h->caught_up += due.is_missed;
	h->busy_until_s = now_s + (int64_t)random_below(h, 5) * (int64_t)random_below(h, 90) * 60;
}

/* Sometimes the host is down, or asleep, for minutes or for weeks. */
static int64_t outage_s(struct history *h)
{
	if (random_below(h, 8000) > 0)
		return 0;
	return 60 * (int64_t)(random_below(h, 4) ? random_below(h, 600) : random_below(h, 30000));
}

static void live_a_year(const char *schedule, const char *zone, int64_t catch_up_s, unsigned seed)
{
	struct history *h = mem_alloc(sizeof(*h));
	int64_t from_s, now_s;

	h->unit = unit_new(schedule, zone, "");
	h->unit->rules.catch_up_s = catch_up_s;
	h->random = seed;
	from_s = h->done_s = h->watched_s = at(h->unit, "2026-01-01");
	list_moments(h, from_s, from_s + 370 * DAY_S);
	for (now_s = from_s; now_s < from_s + 365 * DAY_S; now_s += 60) {
		int64_t away_s = outage_s(h);

		if (away_s > 0) {
			now_s += away_s;
			h->watched_s = now_s;
			h->busy_until_s = 0;
		}
		live_minute(h, now_s);
	}
	/* The last of all may still wait for the run before. */
	for (size_t i = 0; i < h->count && h->moments[i].due_s < h->done_s; i++)
		assert_int_not_equal(h->moments[i].fate, NOT_YET);
	assert_true(h->runs > 20 && (h->caught_up > 0 || catch_up_s == 0));
	assert_true(catch_up_s > DAY_S || h->lost > 0);
	unit_free(h->unit);
	free(h);
}

static void each_moment_of_a_year_is_accounted_for(void **state)
{
	live_a_year("0 2 * * *", "Europe/Berlin", WEEK_S, 1);
	live_a_year("30 2 * * *", "Europe/Berlin", 2 * HOUR_S, 2);
	live_a_year("0 * * * *", "America/New_York", 0, 3);
	live_a_year("*/15 8-18 * * mon-fri", "Australia/Lord_Howe", HOUR_S, 4);
	live_a_year("15 1,13 * * *", "America/Sao_Paulo", 3 * HOUR_S, 5);
}

/* Clocks that are set at random: what may not happen is two runs for one moment, or none for ever. */
static void clocks_that_are_set_at_random(void **state)
{
	for (unsigned seed = 1; seed <= 8; seed++) {
		struct history *h = mem_alloc(sizeof(*h));
		int64_t true_s, wrong_s = 0, last_run_s;
		unsigned extra = 0, sets = 0;

		h->unit = unit_new("0 * * * *", "UTC", "");
		h->random = seed;
		true_s = h->watched_s = h->done_s = last_run_s = at(h->unit, "2026-01-01");
		for (int minute = 0; minute < 200 * 24 * 60; minute++, true_s += 60) {
			struct due due;
			struct due_facts facts;

			if (random_below(h, 5000) == 0) {
				int64_t scale_s = random_below(h, 2) ? HOUR_S : 40 * DAY_S;

				wrong_s = random_below(h, 3)
				                  ? (int64_t)random_below(h, 20) * scale_s - 10 * scale_s
				                  : 0;
				h->watched_s = true_s + wrong_s;
				sets++;
			}
			facts = (struct due_facts){
			        .now_s = true_s + wrong_s, .done_s = h->done_s, .watched_s = h->watched_s};
			due_decide(&h->unit->rules, &facts, &due);
			if (due.lost_s != SCHEDULE_NEVER)
				h->done_s = due.lost_s;
			else if (due.begin_s <= facts.now_s) {
				h->done_s = due.due_s;
				extra += true_s - last_run_s < HOUR_S;
				last_run_s = true_s;
			}
			/* Set back by up to a day it holds for so long; what is more is forgotten. */
			assert_true(true_s - last_run_s <= DAY_S + 2 * HOUR_S);
		}
		assert_true(sets > 10 && extra <= sets);
		unit_free(h->unit);
		free(h);
	}
}

/* Intervals. */

static void the_last_before(void **state)
{
	static const char *const schedules[] = {"0 2 * * *", "*/7 * * * *", "30 2 29 2 *",
	                                        "0 0 1 * *", "5 4 * * sun", "* 3 * * *"};

	for (size_t i = 0; i < ARRAY_SIZE(schedules); i++) {
		struct unit *u = unit_new(schedules[i], "Europe/Berlin", "");
		int64_t from_s = at(u, "2026-03-20"), last_s = SCHEDULE_NEVER, next_s = from_s;

		for (int64_t until_s = from_s; until_s < from_s + 20 * DAY_S; until_s += 777) {
			while ((next_s = schedule_next(&u->schedule, u->zone,
			                               last_s == SCHEDULE_NEVER ? from_s : last_s)) <=
			       until_s)
				last_s = next_s;
			assert_int_equal(schedule_last(&u->schedule, u->zone, from_s, until_s), last_s);
		}
		unit_free(u);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(on_time),
	        cmocka_unit_test(a_schedule_that_is_off),
	        cmocka_unit_test(what_was_missed),
	        cmocka_unit_test(what_was_missed_too_long_ago),
	        cmocka_unit_test(clocks_that_are_wrong),
	        cmocka_unit_test(blackouts),
	        cmocka_unit_test(jitter),
	        cmocka_unit_test(a_jitter_that_leads_into_a_blackout),
	        cmocka_unit_test(switches),
	        cmocka_unit_test(each_moment_of_a_year_is_accounted_for),
	        cmocka_unit_test(clocks_that_are_set_at_random),
	        cmocka_unit_test(the_last_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Until when a backup is locked: never shorter than it is sure to be kept, and never longer; and by clocks that are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/policy/retention.h>

#define DAY_S INT64_C(86400)
#define ALL   (RETENTION_TIERS)

static struct zone *zone;

static int64_t at(const char *iso)
{
	int64_t us;

	assert_int_equal(clock_parse_iso(iso, &us), 0);
	return us / US_PER_S;
}

static struct retention_lock lock_of(const struct retention_rules *rules, const char *when, unsigned tiers,
                                     const struct retention_lock_terms *terms)
{
	const struct retention_backup b = {.at_s = at(when), .tiers = (uint16_t)tiers};
	struct retention_lock lock;

	retention_lock_of(rules, zone, &b, terms, &lock);
	return lock;
}

static struct retention_lock_terms terms_at(const char *now)
{
	return (struct retention_lock_terms){
	        .now_s = at(now), .min_s = DAY_S, .max_s = 3660 * DAY_S, .at_birth = true};
}

static void the_end_of_the_longest_tier(void **state)
{
	static const struct {
		struct retention_rules rules;
		unsigned tiers;
		const char *until;
	} cases[] = {
	        {{.daily = 7}, ALL, "2026-12-07T23:00:00Z"},
	        {{.daily = 7}, 0, "2026-12-02T03:00:00Z"}, /* lock_min */
	        {{.daily = 1}, RETENTION_DAILY, "2026-12-02T03:00:00Z"},
	        {{.daily = 7, .weekly = 4}, RETENTION_DAILY, "2026-12-07T23:00:00Z"},
	        {{.daily = 7, .weekly = 4, .week_starts = 1}, ALL, "2026-12-27T23:00:00Z"},
	        {{.daily = 7, .weekly = 4, .week_starts = 0}, ALL, "2026-12-26T23:00:00Z"},
	        {{.daily = 7, .monthly = 12}, ALL, "2027-11-30T23:00:00Z"},
	        {{.daily = 7, .monthly = 6}, ALL, "2027-05-31T22:00:00Z"}, /* in summer */
	        {{.yearly = 3}, ALL, "2028-12-31T23:00:00Z"},
	        {{.within_s = 30 * DAY_S}, 0, "2026-12-31T02:00:00Z"},
	        {{.daily = 7, .within_s = 3 * DAY_S}, ALL, "2026-12-07T23:00:00Z"},
	        {{.last = 5, .min_keep = 9}, ALL, "2026-12-02T03:00:00Z"}, /* how many come nobody knows */
	};
	const struct retention_lock_terms terms = terms_at("2026-12-01T03:00:00Z");

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct retention_lock lock =
		        lock_of(&cases[i].rules, "2026-12-01T02:00:00Z", cases[i].tiers, &terms);

		if (lock.until_s != at(cases[i].until) || lock.is_rolling || lock.is_doubtful) {
			char iso[CLOCK_ISO_BYTES];

			fail_msg("case %zu: %s", i, clock_format_iso(lock.until_s * US_PER_S, iso));
		}
	}
}

/* The rules keep it as long as it is locked, however many others come: what is locked never has to go. */
static void it_is_kept_for_as_long_as_it_is_locked(void **state)
{
	static struct retention_backup b[800];
	const struct retention_lock_terms terms = terms_at("2026-12-01T03:00:00Z");

	srandom(7);
	for (int round = 0; round < 200; round++) {
		struct retention_rules rules = {.daily = (unsigned)random() % 9,
		                                .weekly = (unsigned)random() % 5,
		                                .monthly = (unsigned)random() % 4,
		                                .within_s = random() % 10 * DAY_S,
		                                .min_keep = 1,
		                                .week_starts = 1};
		int64_t pause_s = DAY_S / (1 + random() % 4), at_s = at("2026-12-01T02:00:00Z");
		struct retention_lock lock;
		struct retention_lock_terms own = terms;
		size_t count = 0;

		if (!retention_has_rules(&rules))
			continue;
		own.min_s = 1;
		b[0] = (struct retention_backup){.at_s = at_s, .tiers = ALL};
		retention_lock_of(&rules, zone, &b[0], &own, &lock);
		for (int64_t s = at_s; s < lock.until_s && count < 800; s += pause_s)
			b[count++] = (struct retention_backup){.at_s = s};
		if (count == 800)
			continue;
		retention_plan(&rules, zone, at_s, b, count);
		assert_true(b[0].reasons != 0);
		if (lock.until_s <= own.now_s + 1)
			continue;
		/* And it could go as soon as the next one is there. */
		b[count++] = (struct retention_backup){.at_s = lock.until_s + pause_s};
		b[count++] = (struct retention_backup){.at_s = lock.until_s + pause_s + 1};
		retention_plan(&rules, zone, at_s, b, count);
		assert_int_equal(b[0].reasons, 0);
	}
}

static void for_ever_is_two_years_again_and_again(void **state)
{
	const struct retention_rules none = {0}, forever = {.daily = 7, .forever = true},
	                             daily = {.daily = 7};
	struct retention_lock_terms terms = terms_at("2026-12-01T03:00:00Z");
	struct retention_lock lock = lock_of(&none, "2026-12-01T02:00:00Z", ALL, &terms);

	assert_true(lock.is_rolling);
	assert_int_equal(lock.until_s, terms.now_s + 732 * DAY_S);
	assert_int_equal(lock_of(&forever, "2026-12-01T02:00:00Z", ALL, &terms).until_s, lock.until_s);
	assert_false(retention_lock_is_due(&lock, terms.now_s + 400 * DAY_S, terms.now_s));
	assert_true(retention_lock_is_due(&lock, terms.now_s + 300 * DAY_S, terms.now_s));
	assert_true(retention_lock_is_due(&lock, 0, terms.now_s));
	terms.forever = true;
	assert_true(lock_of(&daily, "2026-12-01T02:00:00Z", ALL, &terms).is_rolling);
}

static void never_longer_than_lock_max(void **state)
{
	const struct retention_rules rules = {.yearly = 1000};
	struct retention_lock_terms terms = terms_at("2026-12-01T03:00:00Z");
	struct retention_lock lock;

	terms.max_s = 90 * DAY_S;
	lock = lock_of(&rules, "2026-12-01T02:00:00Z", ALL, &terms);
	assert_int_equal(lock.until_s, terms.now_s + 90 * DAY_S);
	assert_true(lock.is_rolling);
	assert_false(retention_lock_is_due(&lock, terms.now_s + 46 * DAY_S, terms.now_s));
	assert_true(retention_lock_is_due(&lock, terms.now_s + 44 * DAY_S, terms.now_s));
}

/* Neither for decades nor for no time. */
static void a_wrong_clock_locks_for_the_least_time(void **state)
{
	const struct retention_rules rules = {.daily = 7, .yearly = 5, .within_s = 90 * DAY_S};
	static const char *const wrong[] = {"2046-12-01T02:00:00Z", "2026-12-01T05:00:00Z",
	                                    "2006-12-01T02:00:00Z", "1970-01-01T00:00:01Z",
	                                    "2026-10-01T00:00:01Z"};
	struct retention_lock_terms terms = terms_at("2026-12-01T03:00:00Z");

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct retention_lock lock = lock_of(&rules, wrong[i], ALL, &terms);

		assert_true(lock.is_doubtful);
		assert_int_equal(lock.until_s, terms.now_s + DAY_S);
	}
	assert_false(lock_of(&rules, "2026-11-10T02:00:00Z", ALL, &terms).is_doubtful);
	/* Later nobody remembers: one of long ago has nothing left to be locked for. */
	terms.at_birth = false;
	assert_int_equal(lock_of(&rules, "2006-12-01T02:00:00Z", ALL, &terms).until_s, 0);
	assert_true(lock_of(&rules, "2046-12-01T02:00:00Z", ALL, &terms).is_doubtful);
}

/* Where the clocks differ by so much: until when, by the store's clock, which shows 2026-12-01T03:00:00Z. */
static void clocks_that_differ(void **state)
{
	static const struct {
		const char *at; /* as the host dates it */
		int64_t ahead_s;
		struct retention_rules rules;
		const char *until;
	} cases[] = {
	        /* The host is behind: it lets go by its own clock, ten minutes after that moment. */
	        {"2026-12-01T02:00:00Z", 600, {.daily = 7}, "2026-12-07T23:10:00Z"},
	        {"2026-12-01T02:00:00Z", 600, {.within_s = 30 * DAY_S}, "2026-12-31T02:20:00Z"},
	        /* It takes it for one of the day before. */
	        {"2026-11-30T22:55:00Z", 600, {.daily = 7}, "2026-12-07T23:10:00Z"},
	        /* It is ahead: and for one of the day after. */
	        {"2026-11-30T23:05:00Z", -600, {.daily = 7}, "2026-12-07T23:00:00Z"},
	        {"2026-12-01T02:00:00Z", -600, {.within_s = 30 * DAY_S}, "2026-12-31T02:00:00Z"},
	        /* What an answer takes. */
	        {"2026-12-01T02:00:00Z", 4, {.within_s = 30 * DAY_S}, "2026-12-31T02:00:00Z"},
	        /* Its date cannot be right, and the store's tells which is. */
	        {"2046-12-01T02:00:00Z", -7305 * DAY_S, {.daily = 7}, "2026-12-07T23:00:00Z"},
	        {"2006-12-01T02:00:00Z", 7305 * DAY_S, {.daily = 7}, "2026-12-08T00:00:00Z"},
	};
	struct retention_lock_terms terms = terms_at("2026-12-01T03:00:00Z");

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct retention_lock lock;

		terms.ahead_s = cases[i].ahead_s;
		lock = lock_of(&cases[i].rules, cases[i].at, ALL, &terms);
		if (lock.until_s != at(cases[i].until) || lock.is_doubtful) {
			char iso[CLOCK_ISO_BYTES];

			fail_msg("case %zu: %s", i, clock_format_iso(lock.until_s * US_PER_S, iso));
		}
	}
	/* Later the host's clock may be right, and is not asked. */
	terms.at_birth = false;
	terms.ahead_s = 600;
	assert_int_equal(lock_of(&cases[0].rules, "2026-12-01T02:00:00Z", ALL, &terms).until_s,
	                 at("2026-12-07T23:00:00Z"));
}

/* What was promised is promised by the host's clock. */
static void a_promise_by_a_clock_that_is_behind(void **state)
{
	const struct retention_rules rules = {.daily = 1};
	struct retention_lock_terms terms = terms_at("2026-12-01T03:00:00Z");
	const struct retention_backup b = {.at_s = at("2026-12-01T02:00:00Z"),
	                                   .keep_until_s = at("2027-01-01T02:00:00Z")};
	struct retention_lock lock;

	terms.ahead_s = 300;
	retention_lock_of(&rules, zone, &b, &terms, &lock);
	assert_int_equal(lock.until_s, b.keep_until_s + 600);
}

static void a_longer_policy_extends_and_a_shorter_one_does_not(void **state)
{
	const struct retention_rules week = {.daily = 7}, month = {.daily = 30};
	struct retention_lock_terms terms = terms_at("2026-12-01T03:00:00Z");
	struct retention_lock first = lock_of(&week, "2026-12-01T02:00:00Z", ALL, &terms), longer;

	terms.now_s += DAY_S;
	terms.at_birth = false;
	longer = lock_of(&month, "2026-12-01T02:00:00Z", ALL, &terms);
	assert_true(longer.until_s > first.until_s);
	assert_true(retention_lock_is_due(&longer, first.until_s, terms.now_s));
	assert_false(retention_lock_is_due(&first, longer.until_s, terms.now_s));
	assert_false(retention_lock_is_due(&first, first.until_s, terms.now_s));
}

static void what_was_promised_is_locked(void **state)
{
	const struct retention_rules rules = {.daily = 1};
	const struct retention_lock_terms terms = terms_at("2026-12-01T03:00:00Z");
	const struct retention_backup b = {.at_s = at("2026-12-01T02:00:00Z"),
	                                   .keep_until_s = at("2027-01-01T02:00:00Z")};
	struct retention_lock lock;

	retention_lock_of(&rules, zone, &b, &terms, &lock);
	assert_int_equal(lock.until_s, b.keep_until_s);
}

static void what_is_locked_stays_and_says_so(void **state)
{
	const struct retention_rules rules = {.last = 1, .min_keep = 1};
	struct retention_backup b[] = {{.at_s = 1000, .locked_until_s = 5000},
	                               {.at_s = 2000, .locked_until_s = 3000},
	                               {.at_s = 4000}};

	retention_plan(&rules, zone, 4500, b, 3);
	assert_int_equal(b[0].reasons, RETENTION_LOCKED);
	assert_int_equal(b[1].reasons, 0);
	assert_string_equal(retention_reason_name(RETENTION_LOCKED), "locked");
}

static int load_berlin(void **state)
{
	return zone_load("Europe/Berlin", &zone, NULL);
}

static int free_berlin(void **state)
{
	zone_free(zone);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_end_of_the_longest_tier),
	        cmocka_unit_test(it_is_kept_for_as_long_as_it_is_locked),
	        cmocka_unit_test(for_ever_is_two_years_again_and_again),
	        cmocka_unit_test(never_longer_than_lock_max),
	        cmocka_unit_test(a_wrong_clock_locks_for_the_least_time),
	        cmocka_unit_test(clocks_that_differ),
	        cmocka_unit_test(a_promise_by_a_clock_that_is_behind),
	        cmocka_unit_test(a_longer_policy_extends_and_a_shorter_one_does_not),
	        cmocka_unit_test(what_was_promised_is_locked),
	        cmocka_unit_test(what_is_locked_stays_and_says_so),
	};

	return cmocka_run_group_tests(tests, load_berlin, free_berlin);
}

// SPDX-License-Identifier: Apache-2.0
/* When a backup goes, and since when one may: held against what happens when the schedule goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <keepfs/policy/retention_dates.h>

#define DAY_S INT64_C(86400)
#define MOST  3000

/* By the slow way: make one at each due moment, plan, and see when it is kept by nothing. */
static int64_t goes_by_trying(const struct retention_rules *rules, const struct zone *z,
                              const struct schedule *s, int64_t now_s, const struct retention_backup *backups,
                              size_t count, size_t i)
{
	static struct retention_backup b[MOST];

	memcpy(b, backups, count * sizeof(*b));
	while (count < MOST) {
		now_s = schedule_next(s, z, now_s);
		b[count++] = (struct retention_backup){.at_s = now_s};
		retention_plan(rules, z, now_s, b, count);
		if (!b[i].reasons)
			return now_s;
	}
	return RETENTION_NO_DATE;
}

static void it_goes_when_it_says(void **state)
{
	static const char *const schedules[] = {"0 2 * * *", "30 3 * * mon-fri", "0 */12 * * *"};
	struct zone *z = NULL;

	assert_int_equal(zone_load("Europe/Berlin", &z, NULL), 0);
	srandom(11);
	for (int round = 0; round < 60; round++) {
		struct retention_rules rules = {.daily = (unsigned)random() % 9,
		                                .weekly = (unsigned)random() % 4,
		                                .monthly = (unsigned)random() % 3,
		                                .last = (unsigned)random() % 5,
		                                .within_s = random() % 10 * DAY_S,
		                                .min_keep = 1 + (unsigned)random() % 2,
		                                .week_starts = 1};
		struct retention_backup b[40];
		struct schedule s;
		struct retention_dates *d;
		int64_t now_s = 1795140000;
		size_t count = 1 + (size_t)random() % 40;

		if (!retention_has_rules(&rules))
			continue;
		assert_int_equal(schedule_parse(schedules[round % 3], &s, NULL), 0);
		for (size_t i = 0; i < count; i++)
			b[i] = (struct retention_backup){.at_s = now_s - (int64_t)(count - i) * DAY_S / 2 -
			                                         60,
			                                 .damaged = random() % 9 == 0};
		b[0].keep_until_s = random() % 4 == 0 ? now_s + 40 * DAY_S : 0;
		retention_plan(&rules, z, now_s, b, count);
		d = retention_dates_new(&rules, z, &s, now_s, b, count);
		for (size_t i = 0; i < count; i++) {
			if (!b[i].reasons || b[i].damaged)
				continue;
			assert_int_equal(retention_goes_at(d, i),
			                 goes_by_trying(&rules, z, &s, now_s, b, count, i));
		}
		retention_dates_free(d);
	}
	zone_free(z);
}

static void without_a_schedule_it_is_counted(void **state)
{
	struct retention_rules rules = {.daily = 3, .last = 2, .min_keep = 1};
	struct retention_backup b[3];
	struct retention_dates *d;
	struct zone *z = NULL;

	assert_int_equal(zone_load("UTC", &z, NULL), 0);
	for (int i = 0; i < 3; i++)
		b[i] = (struct retention_backup){.at_s = 1795140000 + i * DAY_S};
	retention_plan(&rules, z, 1795140000 + 3 * DAY_S, b, 3);
	d = retention_dates_new(&rules, z, NULL, 1795140000 + 3 * DAY_S, b, 3);
	assert_int_equal(retention_goes_at(d, 0), RETENTION_NO_DATE);
	assert_int_equal(retention_more_needed(d, 0, RETENTION_DAILY), 1);
	assert_int_equal(retention_more_needed(d, 2, RETENTION_DAILY), 3);
	assert_int_equal(retention_more_needed(d, 0, RETENTION_LAST), 0);
	assert_int_equal(retention_more_needed(d, 1, RETENTION_LAST), 1);
	assert_int_equal(retention_more_needed(d, 2, RETENTION_FLOOR), 1);
	retention_dates_free(d);
	zone_free(z);
}

/* It may go since the moment at which a plan, made then, would have let it go for the first time. */
static void it_may_go_since_it_says(void **state)
{
	struct zone *z = NULL;

	assert_int_equal(zone_load("UTC", &z, NULL), 0);
	srandom(3);
	for (int round = 0; round < 100; round++) {
		struct retention_rules rules = {.daily = (unsigned)random() % 5,
		                                .weekly = (unsigned)random() % 3,
		                                .last = 1 + (unsigned)random() % 3,
		                                .within_s = random() % 5 * DAY_S,
		                                .min_keep = 1};
		struct retention_backup b[40], then[40];
		struct retention_dates *d;
		int64_t at_s = 1795140000;

		for (size_t i = 0; i < 40; i++)
			b[i] = (struct retention_backup){.at_s = at_s += random() % (2 * DAY_S) + 1};
		retention_plan(&rules, z, at_s, b, 40);
		d = retention_dates_new(&rules, z, NULL, at_s, b, 40);
		for (size_t i = 0; i < 40; i++) {
			size_t n = i + 1;

			if (b[i].reasons)
				continue;
			do {
				memcpy(then, b, sizeof(then));
				retention_plan(&rules, z, b[n - 1].at_s, then, n);
			} while (then[i].reasons && n++ < 40);
			assert_int_equal(retention_since(d, i), b[n - 1].at_s);
		}
		retention_dates_free(d);
	}
	zone_free(z);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(it_goes_when_it_says),
	        cmocka_unit_test(without_a_schedule_it_is_counted),
	        cmocka_unit_test(it_may_go_since_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

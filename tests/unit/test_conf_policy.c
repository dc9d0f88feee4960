// SPDX-License-Identifier: Apache-2.0
/* conf: schedules, what is kept, and the classes of databases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

static void test_defaults(void **state)
{
	struct fixture *f = *state;
	const struct conf_job *job;
	struct retention_rules rules;

	accept(f, "[backup full]\n");
	job = &f->conf.jobs[0];
	assert_string_equal(job->policy.schedule, "disabled");
	assert_int_equal(job->policy.catch_up_ms, INT64_C(7) * 86400000);
	assert_int_equal(job->policy.jitter_ms, 0);
	assert_int_equal(job->policy.expected_interval_ms, 0);
	assert_int_equal(job->policy.grace_ms, 0);
	assert_int_equal(job->policy.min_keep, 1);
	assert_int_equal(job->week_starts, 1);
	assert_int_equal(job->keep_deleted_ms, INT64_C(730) * 86400000);
	assert_int_equal(job->rpo_ms, 0);
	assert_int_equal(f->conf.trash_ms, INT64_C(3) * 86400000);
	assert_int_equal(f->conf.policy_delay_ms, 86400000);
	assert_null(conf_zone_name(&f->conf, job));
	/* Nobody said what may go. */
	conf_policy_rules(job, &job->policy, &rules);
	assert_true(rules.forever);
	assert_false(retention_has_rules(&rules));
}

static void test_rules(void **state)
{
	struct fixture *f = *state;
	struct retention_rules rules;
	_cleanup(str) struct str text = {0};

	accept(f, "[keepfs]\ntimezone = Europe/Berlin\n"
	          "[backup full]\nschedule = 30 2 * * mon-fri\nkeep_daily = 7\nweek_starts = sunday\n"
	          "[backup b]\ntimezone = UTC\nkeep_within = 30d\nmin_keep = 3\n"
	          "[backup c]\nkeep = forever\nkeep_within = none\n"
	          "[backup d]\nkeep_daily = 7\nkeep_within = none\n"
	          "[backup e]\nkeep_within = none\n");
	conf_policy_rules(&f->conf.jobs[0], &f->conf.jobs[0].policy, &rules);
	assert_int_equal(rules.daily, 7);
	assert_int_equal(rules.weekly, 0);
	assert_int_equal(rules.within_s, 2 * 86400); /* auto, beside another rule */
	assert_int_equal(rules.week_starts, 0);
	assert_false(rules.forever);
	assert_string_equal(conf_zone_name(&f->conf, &f->conf.jobs[0]), "Europe/Berlin");
	conf_policy_rules(&f->conf.jobs[1], &f->conf.jobs[1].policy, &rules);
	assert_int_equal(rules.within_s, 30 * 86400);
	assert_int_equal(rules.min_keep, 3);
	assert_string_equal(conf_zone_name(&f->conf, &f->conf.jobs[1]), "UTC");
	conf_policy_rules(&f->conf.jobs[2], &f->conf.jobs[2].policy, &rules);
	assert_true(rules.forever);
	conf_policy_rules(&f->conf.jobs[3], &f->conf.jobs[3].policy, &rules);
	assert_int_equal(rules.daily, 7);
	assert_int_equal(rules.within_s, 0);
	/* That alone says nothing of what may go. */
	conf_policy_rules(&f->conf.jobs[4], &f->conf.jobs[4].policy, &rules);
	assert_true(rules.forever);
	conf_write_effective(&f->conf, &text);
	assert_non_null(strstr(str_text(&text), "\nkeep_within = none  # "));
}

static void test_classes(void **state)
{
	struct fixture *f = *state;
	struct conf_policy p;
	_cleanup(str) struct str text = {0};

	setenv("KEEPFS_CLASS_LEGACY_KEEP_DAILY", "90", 1);
	accept(f, "[backup tenants]\nschedule = daily-2am\nkeep_daily = 90\nkeep_weekly = 4\n"
	          "[class demo]\nschedule = weekly-sun-2am\nkeep_daily = none\nkeep_within = none\n"
	          "[class legacy]\n"
	          "[backup all]\nkeep = forever\n");
	conf_policy_of(&f->conf, &f->conf.jobs[0], "demo", &p);
	assert_string_equal(p.schedule, "weekly-sun-2am");
	assert_int_equal(p.keep_daily, 0);
	assert_int_equal(p.keep_weekly, 4); /* the job's */
	assert_int_equal(p.keep_within_ms, -1);
	assert_true(conf_class_has_schedule(&f->conf, "demo"));
	conf_policy_of(&f->conf, &f->conf.jobs[0], "legacy", &p);
	assert_string_equal(p.schedule, "daily-2am");
	assert_int_equal(p.keep_daily, 90);
	assert_false(conf_class_has_schedule(&f->conf, "legacy"));
	/* One without a section, and none at all: the job's. */
	conf_policy_of(&f->conf, &f->conf.jobs[0], "gold", &p);
	assert_string_equal(p.schedule, "daily-2am");
	conf_policy_of(&f->conf, &f->conf.jobs[0], NULL, &p);
	assert_int_equal(p.keep_daily, 90);
	assert_false(conf_class_has_schedule(&f->conf, NULL));
	/* A class with a rule of its own is not kept for ever because its job is. */
	conf_policy_of(&f->conf, &f->conf.jobs[1], "legacy", &p);
	assert_int_equal(p.keep, CONF_KEEP_RULES);
	conf_write_effective(&f->conf, &text);
	assert_non_null(strstr(str_text(&text), "[class demo]\nschedule = weekly-sun-2am  # "));
	assert_non_null(strstr(str_text(&text), "\n# keep_weekly: as the job says\n"));
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const cases[][2] = {
	        {"[backup full]\nschedule = 0 0 31 2 *\n", "can never be due"},
	        {"[backup full]\nschedule = dialy\n", "is no schedule"},
	        {"[backup full]\nschedule = 61 * * * *\n", "\"61\" is no minute"},
	        {"[backup full]\nschedule = \n", "is empty"},
	        {"[backup full]\ntimezone = Europe/Atlantis\n", "timezone = Europe/Atlantis"},
	        {"[keepfs]\ntimezone = ../etc/passwd\n", "timezone = ../etc/passwd"},
	        {"[backup full]\nkeep_daily = 0\n", "is too small; allowed: none, or a whole number from 1"},
	        {"[backup full]\nmin_keep = 0\n", "is too small"},
	        {"[backup full]\nkeep_within = never\n",
	         "is no duration; allowed: none, auto, or a number with ms, s, m, h or d, from 1m"},
	        {"[backup full]\nkeep_within = -1\n", "is no duration"},
	        {"[backup full]\nkeep = forever\nkeep_last = 3\n",
	         "[backup full] keep_last = 3: says what may go, but nothing may with [backup full] keep = forever"},
	        {"[class x]\nkeep = forever\nkeep_last = 3\n",
	         "[class x] keep_last = 3: says what may go, but nothing may with [class x] keep = forever"},
	        {"[files x]\npath = /srv\neach = */\nkeep_daily = 7\n",
	         "[files x] keep_daily = 7: says what may go, but what is archived once is kept for ever with [files x] each"},
	        {"[class x]\ndatabase = a\n",
	         "[class x] database: no such key; it belongs into [backup NAME]"},
	        {"[class x]\n[class x]\n", "a class of this name begins on line 1 already"},
	        {"[class a/b]\n", "the name holds a character that is not allowed"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refuse(f, cases[i][0], cases[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_defaults),
	        CONF_TEST(test_rules),
	        CONF_TEST(test_classes),
	        CONF_TEST(test_refused),
	};

	return RUN_CONF_TESTS(tests);
}

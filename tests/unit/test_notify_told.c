// SPDX-License-Identifier: Apache-2.0
/* What is told: of health, of runs, of days; with a clock and receivers of the test's own. */
#include "notify_test.h"

#include <keepfs/catalog/holds.h>
#include <keepfs/catalog/members.h>
#include <keepfs/catalog/schedules.h>
#include <keepfs/codec/name.h>

static void what_was_so_before_is_no_news(void **state)
{
	struct notices *n = *state;

	add_run(n->f, "full", RUN_FAILED, "no space");
	turn(n);
	turn(n);
	assert_int_equal(fake.asked, 0);
	/* Nor is its end. */
	good_run(n, 1);
	turn(n);
	assert_int_equal(fake.asked, 0);
}

static void a_failure_and_its_end(void **state)
{
	struct notices *n = *state;

	begin_well(n);
	add_run(n->f, "full", RUN_FAILED, "no space");
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_string_equal(fake.event, "failed");
	assert_string_equal(fake.receiver, "mail ops@example.com");
	assert_non_null(strstr(fake.text, "no space"));
	/* Again and again, also for a process that has just begun. */
	add_run(n->f, "full", RUN_FAILED, "no space");
	turn(n);
	begin(n);
	turn(n);
	assert_int_equal(fake.taken, 1);
	good_run(n, 2);
	turn(n);
	assert_int_equal(fake.taken, 2);
	assert_string_equal(fake.event, "recovered");
	turn(n);
	assert_int_equal(fake.taken, 2);
}

/* The level is the same, the trouble another. */
static void a_warning_that_becomes_a_failure(void **state)
{
	struct notices *n = *state;

	begin_well(n);
	add_warned_run(n->f, "full", "a file could not be read");
	turn(n);
	assert_string_equal(fake.event, "warning");
	add_run(n->f, "full", RUN_FAILED, "no space");
	turn(n);
	assert_string_equal(fake.event, "failed");
	assert_int_equal(fake.taken, 2);
}

static void a_job_that_is_new_is_no_news(void **state)
{
	struct notices *n = *state;

	begin_well(n);
	n->f->conf.job_count = 2;
	turn(n);
	assert_int_equal(fake.asked, 0);
	add_run(n->f, "tenants", RUN_FAILED, "no space");
	turn(n);
	assert_string_equal(fake.event, "failed");
	n->f->conf.job_count = 1; /* it is well for nobody when it is not there any more */
	turn(n);
	assert_int_equal(fake.taken, 1);
}

static void only_what_is_wanted(void **state)
{
	struct notices *n = *state;

	n->f->conf.mail.events = 1U << EVENT_RECOVERED;
	begin(n);
	begin_well(n);
	add_run(n->f, "full", RUN_FAILED, "no space");
	turn(n);
	assert_int_equal(fake.asked, 0);
	good_run(n, 2);
	turn(n);
	assert_int_equal(fake.taken, 1);
}

/* A catalog that cannot be read says nothing about jobs: they are not well for that. */
static void blind(void **state)
{
	struct told before_items[] = {{.check = (char *)"job",
	                               .subject = (char *)"full",
	                               .kind = (char *)"failed",
	                               .level = 1,
	                               .told = true}};
	const struct told_list before = {.items = before_items, .count = 1, .begun = true};
	struct health_item items[] = {{.level = REPORT_CRIT,
	                               .check = "catalog",
	                               .subject = (char *)"",
	                               .name = (char *)"catalog",
	                               .text = (char *)"x"}};
	struct health h = {.items = items, .count = 1};
	_cleanup(told_list) struct told_list after = {0}, later = {0};
	_cleanup(changes) struct changes changes = {0}, more = {0};

	assert_true(compare_health(&before, &h, &after, &changes));
	assert_int_equal(changes.count, 1);
	assert_int_equal(changes.items[0].event, EVENT_WARNING);
	assert_int_equal(after.count, 2);
	h.count = 0;
	assert_true(compare_health(&after, &h, &later, &more));
	assert_int_equal(more.count, 2);
	assert_int_equal(later.count, 0);
}

/* Health lists five of them: which five says nothing about the others. */
static void one_of_many(void **state)
{
	struct told before_items[] = {{.check = (char *)"anomaly",
	                               .subject = (char *)"a",
	                               .kind = (char *)"",
	                               .level = 1,
	                               .told = true},
	                              {.check = (char *)"space",
	                               .subject = (char *)"/",
	                               .kind = (char *)"",
	                               .level = 1,
	                               .told = true}};
	const struct told_list before = {.items = before_items, .count = 2, .begun = true};
	struct health_item items[] = {{.level = REPORT_WARN,
	                               .check = "anomaly",
	                               .subject = (char *)"b",
	                               .name = (char *)"anomaly b",
	                               .text = (char *)"x"},
	                              {.level = REPORT_WARN,
	                               .check = "anomaly",
	                               .subject = (char *)"",
	                               .name = (char *)"anomalies",
	                               .text = (char *)"6 in all",
	                               .is_rest = true}};
	struct health h = {.items = items, .count = 2};
	_cleanup(told_list) struct told_list after = {0}, later = {0};
	_cleanup(changes) struct changes changes = {0}, more = {0};

	assert_true(compare_health(&before, &h, &after, &changes));
	assert_int_equal(changes.count, 3); /* b, the rest, and that there is space again */
	assert_string_equal(changes.items[2].before->check, "space");
	assert_int_equal(after.count, 3);
	h.count = 1;
	assert_true(compare_health(&after, &h, &later, &more));
	assert_int_equal(more.count, 2);
	assert_string_equal(more.items[0].before->subject, "");
	assert_string_equal(more.items[1].before->subject, "a");
}

static void read_members(struct notices *n, const char *name, int64_t at_us)
{
	const struct catalog_named row = {name, NULL};
	const struct catalog_reading reading = {.job = "tenants", .rows = &row, .count = 1, .at_us = at_us};

	assert_int_equal(catalog_read_members(n->f->catalog, &reading, NULL, NULL, NULL), 0);
}

static void what_is_gone_is_not_well(void **state)
{
	struct notices *n = *state;
	char damaged[NAME_MAX_BYTES + 16] = "backups/full/", none[] = "backups/full/20200101T000000Z.dump";
	const struct {
		const char *check, *subject;
		enum ending ending;
		const char *title;
		int64_t since_us;
	} ends[] = {
	        {"anomaly", "tenants/acme", ENDING_GONE,
	         "tenants/acme: its backups were unusual, and it is not backed up any more"},
	        {"anomaly", "tenants/beta", ENDING_MENDED,
	         "tenants/beta: its newest backup is as usual again"},
	        {"anomaly", "full", ENDING_MENDED, "full: its newest backup is as usual again"},
	        {"anomaly", "lost/acme", ENDING_UNTOLD, NULL},
	        {"anomaly", "", ENDING_UNTOLD, NULL},
	        /* It is told of for a day, and stays gone. */
	        {"registry", "tenants/acme", ENDING_UNTOLD, NULL},
	        {"registry", "tenants/beta", ENDING_MENDED,
	         "registry: tenants/beta is named as before again"},
	        {"registry", "tenants gone", ENDING_UNTOLD, NULL},
	        {"registry", "lost", ENDING_UNTOLD, NULL},
	        {"overdue", "full", ENDING_MENDED, "job full: its backups are not overdue any more"},
	        {"overdue", "full", ENDING_GONE,
	         "job full: there is no new backup, but what was overdue is not expected any more",
	         AT_US + 24 * HOUR_US},
	        {"overdue", "tenants", ENDING_GONE, NULL},
	        {"overdue", "lost", ENDING_UNTOLD, NULL},
	        {"damaged", none, ENDING_GONE,
	         "the damaged backup backups/full/20200101T000000Z.dump was removed"},
	        {"damaged", damaged, ENDING_MENDED, NULL},
	        {"damaged", "", ENDING_UNTOLD, NULL},
	        {"space", "/", ENDING_MENDED, "space /: is over"},
	};

	n->f->conf.job_count = 2;
	read_members(n, "acme", AT_US);
	read_members(n, "beta", AT_US + HOUR_US);
	add_artifact(n->f, "full", 5, 1, 1000);
	name_format((AT_S + 5) * 1000, ".dump", damaged + strlen(damaged));
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		const struct told before = {.check = (char *)ends[i].check,
		                            .subject = (char *)ends[i].subject,
		                            .since_us = ends[i].since_us};
		enum ending ending = ending_of(n->f->catalog, &n->f->conf, &before);
		_cleanup(free) char *title = ending_title(&before, ending);

		if (ending != ends[i].ending)
			fail_msg("%s %s: %d", ends[i].check, ends[i].subject, ending);
		if (ends[i].title)
			assert_string_equal(title, ends[i].title);
	}
}

static void levels(void **state)
{
	static const struct {
		enum report_health level;
		size_t changes;
	} steps[] = {{REPORT_WARN, 1}, {REPORT_WARN, 0}, {REPORT_CRIT, 1}, {REPORT_WARN, 0},
	             {REPORT_CRIT, 1}, {REPORT_OK, 1},   {REPORT_OK, 0}};
	struct told_list before = {.begun = true};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct health_item item = {.level = steps[i].level,
		                           .check = "space",
		                           .subject = (char *)"/",
		                           .name = (char *)"space",
		                           .text = (char *)"x"};
		const struct health h = {.items = &item, .count = 1};
		_cleanup(changes) struct changes changes = {0};
		struct told_list after = {0};

		compare_health(&before, &h, &after, &changes);
		assert_int_equal(changes.count, steps[i].changes);
		told_list_finish(&before);
		before = after;
	}
	told_list_finish(&before);
}

static void nobody_and_then_somebody(void **state)
{
	struct notices *n = *state;

	begin_well(n);
	n->f->conf.mail.to = nobody;
	begin(n);
	add_run(n->f, "full", RUN_FAILED, "no space");
	turn(n);
	n->f->conf.mail.to = ops;
	begin(n);
	turn(n);
	assert_int_equal(fake.asked, 0);
}

static void a_summary(void **state)
{
	struct notices *n = *state;
	const struct catalog_switch off = {.job = "tenants", .is_off = true, .by = "uid 0", .at_us = AT_US};

	setenv("TZ", "UTC", 1);
	now_us = AT_US; /* 02:00 */
	n->f->conf.mail.digest = (char *)"0 7 * * *";
	n->f->conf.mail.events = 0;
	n->f->jobs[0].policy.schedule = (char *)"daily-2am";
	n->f->jobs[1].policy.schedule = (char *)"daily-3am";
	assert_int_equal(catalog_set_switch(n->f->catalog, &off, NULL), 0);
	begin(n);
	good_run(n, -60);
	turn(n);
	assert_int_equal(fake.asked, 0);
	assert_int_equal(n->round.next_look_us, AT_US + 5 * HOUR_US);
	now_us = n->round.next_look_us;
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_string_equal(fake.event, "digest");
	assert_non_null(strstr(fake.text, "  full: "));
	assert_non_null(strstr(fake.text, "; next run: 2026-11-21 02:00"));
	/* What is switched off is not promised. */
	assert_null(strstr(fake.text, "; next run: 2026-11-21 03:00"));
	turn(n);
	assert_int_equal(fake.taken, 1);
	/* Off for three days: one, at once; and while nobody answers the newest alone waits. */
	now_us += 74 * HOUR_US;
	begin(n);
	fake.answer = -EIO;
	turn(n);
	assert_int_equal(state_of(n).waiting, 1);
	now_us = n->round.next_look_us;
	turn(n);
	assert_int_equal(state_of(n).waiting, 1);
}

static struct conf_heartbeat heartbeat_of_all = {
        .name = (char *)"hc", .jobs = nobody, .url = {.value = (char *)"https://h"}, .headers = nobody};

static void heartbeats_of_runs(void **state)
{
	struct notices *n = *state;
	int64_t id;

	n->f->conf.mail.to = nobody;
	n->f->conf.heartbeats = &heartbeat_of_all;
	n->f->conf.heartbeat_count = 1;
	begin(n);
	add_run(n->f, "full", RUN_COMPLETED, NULL);
	turn(n); /* it was over when it was looked at first */
	assert_int_equal(fake.asked, 0);
	id = add_run(n->f, "full", RUN_RUNNING, NULL);
	turn(n);
	assert_string_equal(fake.event, "start");
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_int_equal(catalog_finish_run(n->f->catalog, id, RUN_FAILED, "no space", NULL), 0);
	begin(n); /* it ended with the process */
	turn(n);
	assert_string_equal(fake.event, "failure");
	assert_int_equal(fake.taken, 2);
	/* Both at once; one that was cancelled before it began is none. */
	add_run(n->f, "full", RUN_COMPLETED, NULL);
	add_run(n->f, "full", RUN_CANCELLED, NULL);
	turn(n);
	assert_int_equal(fake.taken, 4);
	assert_string_equal(fake.event, "success");
	/* What is older than the newest run is not told any more when the monitor answers again. */
	fake.answer = -EIO;
	add_run(n->f, "full", RUN_FAILED, "x");
	turn(n);
	add_run(n->f, "full", RUN_COMPLETED, NULL);
	turn(n);
	assert_int_equal(state_of(n).waiting, 2);
	fake.answer = 0;
	begin(n);
	turn(n);
	assert_int_equal(fake.taken, 6);
	assert_string_equal(fake.event, "success");
}

static void hold_until(struct notices *n, uint64_t ino, const char *name, int64_t until_us)
{
	struct catalog_hold hold = {.at_us = now_us, .until_us = until_us};

	str_copy(hold.name, sizeof(hold.name), name);
	str_copy(hold.reason, sizeof(hold.reason), "audit 2026");
	str_copy(hold.by, sizeof(hold.by), "uid 0 (bash)");
	assert_int_equal(catalog_set_hold(n->f->catalog, ino, &hold, NULL), 0);
}

static void the_end_of_a_hold(void **state)
{
	struct notices *n = *state;
	uint64_t ino;

	begin_well(n);
	ino = add_artifact(n->f, "full", 5, 1, 1000);
	hold_until(n, ino, "audit", now_us + HOUR_US);
	hold_until(n, ino, "later", now_us + 2 * HOUR_US);
	turn(n);
	assert_int_equal(fake.asked, 0);
	assert_int_equal(n->round.next_look_us, now_us + HOUR_US);
	now_us = n->round.next_look_us;
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_string_equal(fake.event, "hold-ended");
	assert_non_null(
	        strstr(fake.text, "a hold of backups/full/20261120T020005Z.dump has ended, others stand"));
	assert_non_null(strstr(fake.text, "the time of the hold audit by uid 0 (bash) is over: audit 2026"));
	turn(n);
	assert_int_equal(fake.taken, 1);
	/* It ends while there is no process. */
	now_us += 3 * HOUR_US;
	begin(n);
	turn(n);
	assert_int_equal(fake.taken, 2);
	assert_non_null(strstr(fake.text, "backups/full/20261120T020005Z.dump is no longer held"));
	assert_non_null(strstr(fake.text, "hold it again with control/hold"));
	begin(n);
	turn(n);
	assert_int_equal(fake.taken, 2);
}

static void holds_that_ended_long_ago_are_no_news(void **state)
{
	struct notices *n = *state;
	uint64_t ino = add_artifact(n->f, "full", 5, 1, 1000);

	hold_until(n, ino, "audit", now_us - HOUR_US);
	turn(n);
	assert_int_equal(fake.asked, 0);
	/* Nor are those that nobody wanted to be told of. */
	n->f->conf.mail.events = 1U << EVENT_FAILED;
	begin(n);
	hold_until(n, ino, "audit", now_us + HOUR_US);
	now_us += 2 * HOUR_US;
	turn(n);
	n->f->conf.mail.events = CONF_EVENTS_ALL;
	begin(n);
	turn(n);
	assert_int_equal(fake.asked, 0);
}

static void time_changes_health(void **state)
{
	struct notices *n = *state;
	struct report_troubles *troubles = report_troubles_new();

	n->options.ctx.troubles = troubles;
	begin_well(n);
	report_trouble(troubles, "backups/full/x", EIO, "the store is away");
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_string_equal(fake.event, "warning");
	assert_true(n->round.next_look_us > now_us && n->round.next_look_us <= now_us + HOUR_US);
	now_us = n->round.next_look_us;
	turn(n);
	assert_int_equal(fake.taken, 2);
	assert_string_equal(fake.event, "recovered");
	report_troubles_free(troubles);
}

/* Nothing happens, and that is the trouble: nothing but the time says so. */
static void time_makes_a_job_overdue(void **state)
{
	struct notices *n = *state;
	int looks = 0;

	n->f->jobs[0].policy.expected_interval_ms = 24 * HOUR_US / 1000;
	n->f->jobs[0].policy.grace_ms = HOUR_US / 1000;
	now_us = AT_US + HOUR_US;
	begin_well(n);
	while (fake.taken < 1 && looks++ < 10) {
		assert_true(n->round.next_look_us > now_us && n->round.next_look_us <= now_us + 26 * HOUR_US);
		now_us = n->round.next_look_us;
		turn(n);
	}
	assert_int_equal(fake.taken, 1);
	assert_string_equal(fake.event, "missed");
	/* It becomes worse in the same way, and then nothing more is to come. */
	while (fake.taken < 2 && looks++ < 10) {
		assert_true(n->round.next_look_us <= now_us + 25 * HOUR_US);
		now_us = n->round.next_look_us;
		turn(n);
	}
	assert_int_equal(fake.taken, 2);
	assert_non_null(strstr(fake.text, "2 days ago"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        NOTICES_TEST(what_was_so_before_is_no_news),
	        NOTICES_TEST(a_failure_and_its_end),
	        NOTICES_TEST(a_warning_that_becomes_a_failure),
	        NOTICES_TEST(a_job_that_is_new_is_no_news),
	        NOTICES_TEST(only_what_is_wanted),
	        cmocka_unit_test(blind),
	        cmocka_unit_test(levels),
	        cmocka_unit_test(one_of_many),
	        NOTICES_TEST(what_is_gone_is_not_well),
	        NOTICES_TEST(nobody_and_then_somebody),
	        NOTICES_TEST(a_summary),
	        NOTICES_TEST(heartbeats_of_runs),
	        NOTICES_TEST(the_end_of_a_hold),
	        NOTICES_TEST(holds_that_ended_long_ago_are_no_news),
	        NOTICES_TEST(time_changes_health),
	        NOTICES_TEST(time_makes_a_job_overdue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* What is told of restores, drills, goals and damaged backups. */
#include "notify_test.h"

#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/catalog/restores.h>

#define BACKUP "backups/full/20261120T020001Z.dump"

static int64_t begin_restore(struct notices *n, const char *options)
{
	struct catalog_run run = {.kind = "restore", .job = "restore:full", .triggered_by = "uid 0"};
	int64_t id;

	str_copy(run.options, sizeof(run.options), options);
	assert_int_equal(catalog_add_run(n->f->catalog, &run, &id, NULL), 0);
	assert_int_equal(catalog_start_run(n->f->catalog, id, NULL), 0);
	return id;
}

static void set_restored(struct notices *n, int64_t run, const char *label, enum run_state state,
                         const char *error)
{
	struct catalog_target t = {.state = state};

	str_copy(t.label, sizeof(t.label), label);
	str_copy(t.error, sizeof(t.error), error);
	assert_int_equal(catalog_set_target(n->f->catalog, run, &t, NULL), 0);
}

static void set_place(struct notices *n, int64_t run, const char *before, enum restore_phase phase)
{
	struct catalog_restore x = {
	        .run_id = run, .target = "shop", .server = "host=db", .backup = BACKUP, .phase = phase};

	str_copy(x.made, sizeof(x.made), "shop_restoring_2");
	str_copy(x.before, sizeof(x.before), before);
	assert_int_equal(catalog_set_restore(n->f->catalog, &x, NULL), 0);
}

static void end_run(struct notices *n, int64_t run, enum run_state state, const char *error)
{
	assert_int_equal(catalog_finish_run(n->f->catalog, run, state, error, NULL), 0);
}

static void one_that_was_good(void **state)
{
	struct notices *n = *state;
	int64_t run;

	begin_well(n);
	run = begin_restore(n, "full/latest.dump into=shop confirm=shop");
	set_place(n, run, "shop_before_20261120T030000Z", RESTORE_PHASE_SWAP);
	turn(n);
	assert_int_equal(fake.asked, 0); /* it is at work */
	set_restored(n, run, BACKUP, RUN_COMPLETED, "");
	assert_int_equal(catalog_end_restore(n->f->catalog,
	                                     &(struct catalog_restore_which){.run_id = run, .target = "shop"},
	                                     NULL),
	                 0);
	end_run(n, run, RUN_COMPLETED, NULL);
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_string_equal(fake.event, "restore");
	assert_has(fake.subject, "full, shop: shop was restored from " BACKUP);
	assert_has(fake.text, "what was there before is shop_before_20261120T030000Z");
	assert_has(fake.text, "dropdb 'shop_before_20261120T030000Z'");
	turn(n);
	begin(n);
	turn(n);
	assert_int_equal(fake.taken, 1);
}

static void plans_are_no_news(void **state)
{
	struct notices *n = *state;

	begin_well(n);
	end_run(n, begin_restore(n, "full/latest.dump plan=yes"), RUN_COMPLETED, NULL);
	end_run(n, begin_restore(n, "full/latest.dump into=x plan=yes"), RUN_FAILED, "no such database");
	end_run(n, begin_restore(n, "forget into=shop"), RUN_COMPLETED, NULL);
	turn(n);
	assert_int_equal(fake.asked, 0);
}

static void one_that_changed_nothing(void **state)
{
	struct notices *n = *state;
	int64_t run;

	begin_well(n);
	run = begin_restore(n, "full/latest.dump into=shop confirm=shop");
	set_restored(n, run, BACKUP, RUN_FAILED, "the backup is damaged, and nothing was changed: flipped");
	end_run(n, run, RUN_FAILED, "1 of 1 backups failed");
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_has(fake.subject, "the restore of " BACKUP " failed");
	assert_has(fake.text, BACKUP ": the backup is damaged, and nothing was changed: flipped");
	assert_has(fake.text, "/log, and try again");
}

/* A crash: the run ends with the next start, and what is where is said with it. */
static void one_that_was_cut_off(void **state)
{
	struct notices *n = *state;
	uint64_t count;
	int64_t run;

	begin_well(n);
	run = begin_restore(n, "full/latest.dump into=shop confirm=shop");
	set_restored(n, run, BACKUP, RUN_RUNNING, "");
	set_place(n, run, "", RESTORE_PHASE_IN_PLACE);
	turn(n);
	assert_int_equal(fake.asked, 0);
	assert_int_equal(catalog_interrupt_restores(n->f->catalog, NULL), 0);
	end_run(n, run, RUN_FAILED, "interrupted");
	begin(n);
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_int_equal(
	        fake.count,
	        2); /* that it ended, and what it has left, which is told of again when it is settled */
	assert_has(fake.text, "shop itself was changed, or may have been, and can hold a part of it");
	assert_has(fake.text, "keepfs restore forget run=2 into=shop");
	assert_int_equal(
	        catalog_forget_restores(n->f->catalog, &(struct catalog_restore_which){0}, &count, NULL), 0);
	turn(n);
	assert_int_equal(fake.taken, 2);
	assert_string_equal(fake.event, "restore");
	assert_has(fake.subject, "what a restore had left in shop is settled");
}

static void several_of_which_one_fails(void **state)
{
	struct notices *n = *state;
	int64_t run;

	begin_well(n);
	run = begin_restore(n, "run=17");
	set_place(n, run, "", RESTORE_PHASE_BESIDE);
	set_restored(n, run, BACKUP, RUN_COMPLETED, "");
	set_restored(n, run, "backups/full/other.dump", RUN_FAILED, "no space");
	assert_int_equal(catalog_end_restore(n->f->catalog,
	                                     &(struct catalog_restore_which){.run_id = run, .target = "shop"},
	                                     NULL),
	                 0);
	end_run(n, run, RUN_FAILED, "1 of 2 backups failed");
	turn(n);
	assert_has(fake.subject, "a restore failed for 1 of 2 backups");
	assert_has(fake.text, "shop was restored from " BACKUP " (host=db)");
	assert_has(fake.text, "backups/full/other.dump: no space");
}

static void what_ended_before_anybody_was_told_is_no_news(void **state)
{
	struct notices *n = *state;
	int64_t run = begin_restore(n, "full/latest.dump into=shop"), id;

	end_run(n, run, RUN_FAILED, "no space");
	turn(n);
	assert_int_equal(fake.asked, 0);
	assert_int_equal(catalog_untold_restores(n->f->catalog, &id, 1), 0);
	n->f->conf.mail.events = CONF_EVENTS_ALL & ~(1U << EVENT_RESTORE);
	begin(n);
	good_run(n, 1);
	turn(n);
	end_run(n, begin_restore(n, "full/latest.dump into=shop"), RUN_FAILED, "no space");
	turn(n);
	assert_int_equal(fake.asked, 0);
	assert_int_equal(catalog_untold_restores(n->f->catalog, &id, 1), 0);
}

static void add_drill(struct notices *n, int64_t at_us, enum drill_result result, const char *error)
{
	struct catalog_drill d = {.job = "full",
	                          .directory = "backups/full",
	                          .path = BACKUP,
	                          .started_at_us = at_us,
	                          .finished_at_us = at_us + HOUR_US,
	                          .result = result,
	                          .level = 3,
	                          .wanted = 3,
	                          .restore_us = HOUR_US};
	struct catalog_run run = {.kind = "drill", .job = "drill:full"};

	assert_int_equal(catalog_add_run(n->f->catalog, &run, &d.run_id, NULL), 0);
	assert_int_equal(catalog_start_run(n->f->catalog, d.run_id, NULL), 0);
	assert_int_equal(catalog_log_run(n->f->catalog, d.run_id, "a line of the drill", NULL), 0);
	assert_int_equal(
	        catalog_finish_run(n->f->catalog, d.run_id, result ? RUN_FAILED : RUN_COMPLETED, NULL, NULL),
	        0);
	str_copy(d.error, sizeof(d.error), error);
	assert_int_equal(catalog_add_drill(n->f->catalog, &d, "{}", NULL), 0);
}

/* With the log of the drill, and not that of a backup that failed long ago. */
static void a_drill_that_failed_and_one_that_passed(void **state)
{
	struct notices *n = *state;

	add_run(n->f, "full", RUN_FAILED, "a backup that failed");
	begin_well(n);
	add_drill(n, now_us, DRILL_DIFFERS, "public.t holds 2 rows of 3");
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_string_equal(fake.event, "drill");
	assert_has(fake.text, "public.t holds 2 rows of 3");
	assert_has(fake.text, "a line of the drill");
	assert_null(strstr(fake.text, "a backup that failed"));
	add_drill(n, now_us + 1, DRILL_DIFFERS, "public.t holds 2 rows of 3");
	turn(n);
	assert_int_equal(fake.taken, 1);
	add_drill(n, now_us + 2, DRILL_PASSED, "");
	turn(n);
	assert_int_equal(fake.taken, 2);
	assert_string_equal(fake.event, "drill");
	assert_has(fake.subject, "the drills of full are well again");
}

static void a_goal_of_time_is_missed_and_met(void **state)
{
	struct notices *n = *state;

	n->f->jobs[0].rto_ms = HOUR_US / 2000;
	begin_well(n);
	add_drill(n, now_us, DRILL_PASSED, "");
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_string_equal(fake.event, "drill");
	assert_has(fake.text, "and the goal (rto) is 30 min");
	n->f->jobs[0].rto_ms = HOUR_US / 1000;
	turn(n);
	assert_int_equal(fake.taken, 2);
	assert_has(fake.subject, "a restore does not take longer than its goal (rto) any more");
}

static void a_goal_of_loss_is_missed(void **state)
{
	struct notices *n = *state;

	n->f->jobs[0].rpo_ms = 48 * HOUR_US / 1000;
	n->f->jobs[0].policy.expected_interval_ms = 24 * HOUR_US / 1000;
	now_us = AT_US;
	begin_well(n);
	now_us = AT_US + 40 * HOUR_US;
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_has(fake.subject, "a backup is overdue");
	now_us = AT_US + 49 * HOUR_US;
	turn(n);
	assert_int_equal(fake.taken, 2);
	assert_string_equal(fake.event, "missed");
	assert_has(fake.subject, "full: more would be lost than its goal (rpo) allows");
}

static void a_damaged_backup_names_the_next_good_one(void **state)
{
	struct notices *n = *state;
	uint64_t ino;

	begin_well(n); /* it has made one */
	ino = add_artifact(n->f, "full", 9, add_run(n->f, "full", RUN_COMPLETED, NULL), 100);
	turn(n);
	assert_int_equal(catalog_mark_damaged(n->f->catalog, ino, "flipped", NULL), 0);
	turn(n);
	assert_int_equal(fake.taken, 1);
	assert_string_equal(fake.event, "damaged");
	assert_has(fake.subject, "full: damaged backup: backups/full/20261120T020009Z.dump");
	assert_has(fake.text, "if it is needed now, keepfs restore full/20261120T020001Z.dump");
	assert_int_equal(catalog_set_proof(n->f->catalog, ino, PROOF_BYTES, now_us, 0, "flipped", NULL), 0);
	turn(n);
	assert_int_equal(fake.taken, 2);
	assert_string_equal(fake.event, "recovered");
}

static void a_summary_tells_of_recovery(void **state)
{
	struct notices *n = *state;

	setenv("TZ", "UTC", 1);
	now_us = AT_US; /* 02:00 */
	n->f->conf.mail.digest = (char *)"0 7 * * *";
	n->f->conf.mail.events = 0;
	n->f->jobs[0].rto_ms = HOUR_US / 2000;
	n->f->jobs[0].rpo_ms = 24 * HOUR_US / 1000;
	begin(n);
	begin_well(n);
	add_drill(n, AT_US, DRILL_PASSED, "");
	end_run(n, begin_restore(n, "full/latest.dump into=shop"), RUN_FAILED, "no space");
	end_run(n, begin_restore(n, "full/latest.dump plan=yes"), RUN_COMPLETED, NULL);
	now_us = AT_US + 5 * HOUR_US;
	turn(n);
	assert_string_equal(fake.event, "digest");
	assert_has(fake.text, "If a restore were needed now:\n  full: lost would be 4 h (goal 24 h: met)");
	assert_has(
	        fake.text,
	        "; a restore takes 60 min (goal 30 min: MISSED); the last drill, of 2026-11-20T02:00:00Z, passed");
	assert_has(fake.text, "Restores:\n  run 3, full/latest.dump into=shop: failed, 2");
	assert_null(strstr(fake.text, "plan=yes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        NOTICES_TEST(one_that_was_good),
	        NOTICES_TEST(plans_are_no_news),
	        NOTICES_TEST(one_that_changed_nothing),
	        NOTICES_TEST(one_that_was_cut_off),
	        NOTICES_TEST(several_of_which_one_fails),
	        NOTICES_TEST(what_ended_before_anybody_was_told_is_no_news),
	        NOTICES_TEST(a_drill_that_failed_and_one_that_passed),
	        NOTICES_TEST(a_goal_of_time_is_missed_and_met),
	        NOTICES_TEST(a_goal_of_loss_is_missed),
	        NOTICES_TEST(a_damaged_backup_names_the_next_good_one),
	        NOTICES_TEST(a_summary_tells_of_recovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

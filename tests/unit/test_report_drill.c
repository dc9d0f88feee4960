// SPDX-License-Identifier: Apache-2.0
/* Drills, in health, metrics, status/recovery, and as a text. */
#include "report_test.h"

#include <keepfs/catalog/drills.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/catalog/restores.h>
#include <keepfs/report/drills.h>
#include <keepfs/report/expected.h>
#include <keepfs/report/restores.h>
#include <keepfs/report/timetable.h>

#include <unistd.h>

#define HOUR_US (INT64_C(3600) * US_PER_S)
#define DAY_US  (24 * HOUR_US)

static void add_drill(struct fixture *f, int64_t at_us, enum drill_result result, const char *error)
{
	struct catalog_drill d = {.run_id = 9,
	                          .started_at_us = at_us,
	                          .finished_at_us = at_us + HOUR_US,
	                          .result = result,
	                          .level = 3,
	                          .wanted = 5,
	                          .restore_us = 90 * US_PER_S};

	str_copy(d.job, sizeof(d.job), "full");
	str_copy(d.directory, sizeof(d.directory), "backups/full");
	str_copy(d.path, sizeof(d.path), "backups/full/20261120T020000Z.dump");
	str_copy(d.pick, sizeof(d.pick), "newest");
	str_copy(d.error, sizeof(d.error), error);
	assert_int_equal(catalog_add_drill(f->catalog, &d, "{}", NULL), 0);
}

static void assert_drill(struct fixture *f, enum report_health level, const char *kind, const char *part)
{
	_cleanup(health) struct health h = gather(f);
	const struct health_item *item = find_item(&h, "drill", "full");

	assert_non_null(item);
	assert_int_equal(item->level, level);
	assert_string_equal(item->kind, kind);
	assert_has(item->text, part);
	assert_non_null(item->what_to_do);
}

static void one_that_did_not_pass(void **state)
{
	struct fixture *f = *state;

	assert_no_item(f, "drill");
	add_drill(f, AT_US, DRILL_PASSED, "");
	assert_no_item(f, "drill");
	add_drill(f, AT_US + 1, DRILL_FAILED, "no disk");
	assert_drill(f, REPORT_WARN, "failed", "failed: no disk");
	add_drill(f, AT_US + 2, DRILL_DIFFERS, "public.t holds 2 rows");
	assert_drill(f, REPORT_CRIT, "differs",
	             "found something else than was backed up: public.t holds 2 rows");
	/* Who cancels one has learned nothing. */
	add_drill(f, AT_US + 3, DRILL_CANCELLED, "cancelled");
	assert_drill(f, REPORT_CRIT, "differs", "public.t");
	add_drill(f, AT_US + 4, DRILL_PASSED, "");
	assert_no_item(f, "drill");
}

static void one_that_is_overdue(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].drill_max_age_ms = 30 * DAY_US / 1000;
	add_drill(f, AT_US, DRILL_PASSED, "");
	f->sources.now_us = AT_US + 29 * DAY_US;
	assert_no_item(f, "drill");
	f->sources.now_us = AT_US + 31 * DAY_US;
	assert_drill(f, REPORT_WARN, "overdue",
	             "no restore was proven since 2026-11-20T02:00:00Z; one is expected every 30 d");
}

static void by_its_schedule(void **state)
{
	struct fixture *f = *state;
	_cleanup(timetable) struct timetable *t = NULL;

	f->jobs[0].drill = (char *)"weekly-sun-3am";
	assert_int_equal(timetable_new(&f->conf, f->catalog, f->sources.now_us, &t), 0);
	assert_int_equal(t->drill_count, 1);
	assert_string_equal(t->drills[0].class, TIMETABLE_DRILL);
	assert_ptr_equal(timetable_unit_at(t, t->count), &t->drills[0]);
	assert_null(timetable_unit_at(t, t->count + 1));
	add_drill(f, AT_US, DRILL_PASSED, "");
	f->sources.now_us = AT_US + 13 * DAY_US;
	assert_no_item(f, "drill");
	f->sources.now_us = AT_US + 15 * DAY_US;
	assert_drill(f, REPORT_WARN, "overdue", "no restore was proven since");
	f->jobs[0].drill = NULL;
}

static void one_that_took_too_long(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].rto_ms = 60000;
	assert_no_item(f, "rto");
	add_drill(f, AT_US, DRILL_FAILED, "no disk");
	assert_no_item(f, "rto");
	add_drill(f, AT_US + 1, DRILL_PASSED, "");
	assert_item(f, "rto", "full", REPORT_WARN, AT_US + 1, "state a goal that can be kept");
	assert_no_item(f, "drill");
	/* That one fails says nothing of how long it takes. */
	add_drill(f, AT_US + 2, DRILL_FAILED, "no disk");
	assert_drill(f, REPORT_WARN, "failed", "no disk");
	assert_item(f, "rto", "full", REPORT_WARN, AT_US + 1, "more processors");
	f->jobs[0].rto_ms = 90000;
	assert_no_item(f, "rto");
}

static void add_drill_of(struct fixture *f, const char *directory, int64_t at_us, int64_t restore_us)
{
	_cleanup(free) char *path = mem_printf("%s/x.dump", directory);
	struct catalog_drill d = {.run_id = 9,
	                          .started_at_us = at_us,
	                          .finished_at_us = at_us + restore_us,
	                          .level = 3,
	                          .wanted = 3,
	                          .restore_us = restore_us};

	str_copy(d.job, sizeof(d.job), "tenants");
	str_copy(d.directory, sizeof(d.directory), directory);
	str_copy(d.path, sizeof(d.path), path);
	assert_int_equal(catalog_add_drill(f->catalog, &d, "{}", NULL), 0);
}

/* Of several databases the slowest counts, and of each the last time: not whose turn it was last. */
static void of_several_the_slowest_counts(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *before = NULL, *after = NULL;

	f->conf.job_count = 2;
	f->jobs[1].rto_ms = 60000;
	add_artifact(f, "tenants/large", 0, 1, 100);
	add_artifact(f, "tenants/small", 1, 1, 100);
	add_drill_of(f, "backups/tenants/large", AT_US, 90 * US_PER_S);
	add_drill_of(f, "backups/tenants/small", AT_US + 1, 2 * US_PER_S);
	add_drill_of(f, "backups/tenants/gone", AT_US + 2, 900 * US_PER_S);
	assert_item(f, "rto", "tenants", REPORT_WARN, AT_US, "faster disk");
	before = written_by(f, report_metrics);
	assert_has(before, "\nkeepfs_rto_seconds{backup_job=\"tenants\",source=\"drill\"} 90");
	add_drill_of(f, "backups/tenants/large", AT_US + 3, 50 * US_PER_S);
	assert_no_item(f, "rto");
	after = written_by(f, report_metrics);
	assert_has(after, "\nkeepfs_rto_seconds{backup_job=\"tenants\",source=\"drill\"} 50");
}

/* Without a schedule it is counted from when the job was first seen. */
static void one_that_never_was_is_overdue(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].drill_max_age_ms = 30 * DAY_US / 1000;
	assert_no_item(f, "drill");
	assert_int_equal(report_expect_backups(f->catalog, &f->conf, AT_US, NULL), 0);
	f->sources.now_us = AT_US + 29 * DAY_US;
	assert_no_item(f, "drill");
	f->sources.now_us = AT_US + 31 * DAY_US;
	assert_drill(f, REPORT_WARN, "overdue", "no restore was proven since 2026-11-20T02:00:00Z");
}

static void add_tried(struct fixture *f, const char *directory, int64_t at_us, enum drill_result result,
                      int level, int wanted)
{
	struct catalog_drill d = {.run_id = 9,
	                          .started_at_us = at_us,
	                          .finished_at_us = at_us + HOUR_US,
	                          .result = result,
	                          .level = level,
	                          .wanted = wanted,
	                          .wrong_level = result == DRILL_PASSED ? 0 : level + 1};

	str_copy(d.job, sizeof(d.job), "full");
	str_copy(d.directory, sizeof(d.directory), directory);
	snprintf(d.path, sizeof(d.path), "%s/20261120T020000Z.dump", directory);
	str_copy(d.pick, sizeof(d.pick), "newest");
	str_copy(d.error, sizeof(d.error), result == DRILL_PASSED ? "" : "public.t holds 2 rows");
	assert_int_equal(catalog_add_drill(f->catalog, &d, "{}", NULL), 0);
}

static void an_alarm_stays_until_the_same_passes(void **state)
{
	struct fixture *f = *state;

	add_artifact(f, "full/a", 0, 1, 100);
	add_artifact(f, "full/b", 0, 2, 100);
	add_tried(f, "backups/full/a", AT_US, DRILL_DIFFERS, 2, 5);
	add_tried(f, "backups/full/b", AT_US + 1, DRILL_PASSED, 5, 5);
	assert_drill(f, REPORT_CRIT, "differs",
	             "(backups/full/a/20261120T020000Z.dump) found something else");
	add_tried(f, "backups/full/a", AT_US + 2, DRILL_PASSED, 2, 2);
	assert_drill(f, REPORT_CRIT, "differs", "public.t holds 2 rows");
	add_tried(f, "backups/full/b", AT_US + 3, DRILL_FAILED, 1, 5);
	assert_drill(f, REPORT_CRIT, "differs", "of 2 drills that are not settled the worst: the drill of");
	add_tried(f, "backups/full/a", AT_US + 4, DRILL_PASSED, 4, 5);
	assert_drill(f, REPORT_WARN, "failed", "backups/full/b");
	add_tried(f, "backups/full/b", AT_US + 5, DRILL_PASSED, 2, 2);
	assert_no_item(f, "drill");
}

static void one_that_was_to_prove_less_does_not_count(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].drill_max_age_ms = 30 * DAY_US / 1000;
	add_tried(f, "backups/full", AT_US, DRILL_PASSED, 4, 5);
	add_tried(f, "backups/full", AT_US + 20 * DAY_US, DRILL_PASSED, 2, 2);
	f->sources.now_us = AT_US + 29 * DAY_US;
	assert_no_item(f, "drill");
	f->sources.now_us = AT_US + 31 * DAY_US;
	assert_drill(f, REPORT_WARN, "overdue", "no restore was proven since 2026-11-20T02:00:00Z");
	f->jobs[0].drill_level = 2;
	assert_no_item(f, "drill");
}

static void one_that_proved_less_than_it_was_to(void **state)
{
	struct fixture *f = *state;

	add_tried(f, "backups/full", AT_US, DRILL_PASSED, 2, 5);
	assert_no_item(f, "drill");
	f->jobs[0].drill_level = 5;
	assert_drill(f, REPORT_WARN, "low", "passed, and proved no more than level 2; drill_level is 5");
	add_tried(f, "backups/full", AT_US + 1, DRILL_PASSED, 5, 5);
	assert_no_item(f, "drill");
	f->jobs[0].drill_level = 0;
}

static void as_the_owner_of_clusters(void **state)
{
	struct fixture *f = *state;

	f->conf.drill_user = (char *)"nobody";
	assert_no_item(f, "drill");
	f->conf.drill_user = (char *)"postgres";
	if (geteuid() == 0)
		assert_item(f, "drill", "drill_user", REPORT_WARN, 0, "owns nothing");
	else
		assert_no_item(f, "drill");
	f->conf.drill_user = NULL;
}

static void metrics(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	add_drill(f, AT_US, DRILL_PASSED, "");
	add_drill(f, AT_US + US_PER_S, DRILL_FAILED, "x");
	text = written_by(f, report_metrics);
	assert_has(text, "\nkeepfs_drill_last_passed{backup_job=\"full\"} 0\n");
	assert_has(text, "\nkeepfs_drill_last_timestamp_seconds{backup_job=\"full\"} 1795140001");
	assert_has(text, "\nkeepfs_drill_last_passed_timestamp_seconds{backup_job=\"full\"} 1795140000");
	assert_has(text, "\nkeepfs_drill_level{backup_job=\"full\"} 3\n");
	assert_has(text, "\nkeepfs_drill_restore_seconds{backup_job=\"full\"} 90");
	assert_has(text, "\nkeepfs_drill_last_duration_seconds{backup_job=\"full\"} 3600");
	assert_has(text, "\nkeepfs_drill_last_result{backup_job=\"full\",result=\"passed\"} 0\n");
	assert_has(text, "\nkeepfs_drill_last_result{backup_job=\"full\",result=\"failed\"} 1\n");
	assert_has(text, "\nkeepfs_drill_last_level_passed{backup_job=\"full\",level=\"3\"} 1\n");
	assert_has(text, "\nkeepfs_drill_last_level_passed{backup_job=\"full\",level=\"4\"} 0\n");
	assert_has(text, "\nkeepfs_rto_seconds{backup_job=\"full\",source=\"drill\"} 90");
	assert_null(strstr(text, "keepfs_drill_overdue_after_timestamp_seconds{"));
}

static void metrics_of_what_is_expected(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	f->jobs[0].drill_max_age_ms = DAY_US / 1000;
	add_drill(f, AT_US, DRILL_PASSED, "");
	text = written_by(f, report_metrics);
	assert_has(text, "\nkeepfs_drill_overdue_after_timestamp_seconds{backup_job=\"full\"} 1795226400");
}

static void metrics_of_restores(void **state)
{
	struct fixture *f = *state;
	struct catalog_restore x = {.run_id = 3, .target = "shop", .begun_at_us = AT_US};
	_cleanup(free) char *under_way = NULL, *over = NULL;

	assert_int_equal(catalog_set_restore(f->catalog, &x, NULL), 0);
	under_way = written_by(f, report_metrics);
	assert_has(under_way, "\nkeepfs_restores_changing 1\n");
	assert_has(under_way, "\nkeepfs_restores_left 0\n");
	assert_int_equal(catalog_leave_restore(f->catalog,
	                                       &(struct catalog_restore_which){.run_id = 3, .target = "shop"},
	                                       "why", NULL),
	                 0);
	over = written_by(f, report_metrics);
	assert_has(over, "\nkeepfs_restores_changing 0\n");
	assert_has(over, "\nkeepfs_restores_left 1\n");
}

static void metrics_of_what_is_proven(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;
	uint64_t old = add_artifact(f, "full", 0, 1, 100), new = add_artifact(f, "full", 5, 2, 100);

	f->conf.store.scrub_within_ms = 30 * DAY_US / 1000;
	assert_int_equal(catalog_set_proof(f->catalog, old, PROOF_EQUAL, AT_US + DAY_US, 9, NULL, NULL), 0);
	assert_int_equal(catalog_set_proof(f->catalog, new, PROOF_BYTES, AT_US + 2 * DAY_US, 9, NULL, NULL),
	                 0);
	f->sources.now_us = AT_US + 27 * DAY_US;
	text = written_by(f, report_metrics);
	assert_has(text, "\nkeepfs_proven_timestamp_seconds{backup_job=\"full\",level=\"0\"} 1795312800");
	assert_has(text,
	           "\nkeepfs_proven_backup_timestamp_seconds{backup_job=\"full\",level=\"0\"} 1795140005");
	assert_has(text, "\nkeepfs_proven_timestamp_seconds{backup_job=\"full\",level=\"2\"} 1795226400");
	assert_has(text,
	           "\nkeepfs_proven_backup_timestamp_seconds{backup_job=\"full\",level=\"2\"} 1795140000");
	assert_null(strstr(text, "keepfs_proven_timestamp_seconds{backup_job=\"full\",level=\"1\"}"));
	/* A restore says nothing of the bytes: nobody has read those of the first one. */
	assert_has(text, "\nkeepfs_scrub_within_seconds 2592000");
	assert_has(text, "\nkeepfs_scrub_due_backups 2\n");
	assert_has(text, "\nkeepfs_scrub_late_backups 0\n");
	assert_has(text, "\nkeepfs_scrub_bytes 200\n");
	assert_has(text, "\nkeepfs_scrub_due_bytes 200\n");
	assert_has(text, "\nkeepfs_scrub_oldest_timestamp_seconds 1795312800");
}

static void recovery(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *none = NULL, *some = NULL, *all = NULL;
	uint64_t ino;

	none = written_by(f, report_recovery);
	assert_has(none, "full\n  newest point       NONE: there is no whole backup\n");
	ino = add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	some = written_by(f, report_recovery);
	assert_has(some, "  expected time      not known: no drill has passed yet (keepfs drill full)\n");
	assert_has(some, "  last drill         none\n");
	add_drill(f, AT_US, DRILL_PASSED, "");
	assert_int_equal(catalog_set_proof(f->catalog, ino, PROOF_EQUAL, AT_US, 9, NULL, NULL), 0);
	f->jobs[0].rto_ms = 60000;
	f->jobs[0].rpo_ms = DAY_US / 1000;
	all = written_by(f, report_recovery);
	assert_has(all,
	           "  expected time      90 s, as the drill of 2026-11-20T02:00:00Z; goal 60 s: NOT met\n");
	assert_has(
	        all,
	        "  not in that time   what a restore does and a drill does not: read the whole backup before");
	assert_has(all, "; goal 24 h: met\n");
	assert_has(all, "  of it proven       level 3 (equal), 2026-11-20T02:00:00Z, 3 h ago\n");
	assert_has(
	        all,
	        "  last drill         2026-11-20T02:00:00Z, passed, of 20261120T020000Z.dump (newest): drills/20261120T020000Z.txt\n");
}

/* Of another size, perhaps of another database. */
static void the_time_is_that_of_its_size(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 1000);
	add_drill(f, AT_US, DRILL_PASSED, "");
	add_artifact(f, "full", 1, add_run(f, "full", RUN_COMPLETED, NULL), 4000);
	f->jobs[0].rto_ms = 100000;
	text = written_by(f, report_recovery);
	assert_has(
	        text,
	        "  expected time      6 min for 3.9 KiB, by the drill of 2026-11-20T02:00:00Z, which took 90 s for 1000 B; goal 100 s: NOT met\n");
	f->jobs[0].rto_ms = 0;
}

static void a_report_as_text(void **state)
{
	static const char report[] =
	        "{\"result\": \"differs\", \"level\": 2, \"error\": null, \"rto\": {\"seconds\": 1.5, \"goal_seconds\": 1.0, \"met\": false},"
	        " \"phases\": [{\"name\": \"server\", \"seconds\": 0.5}], \"tables\": {\"compared\": 3, \"rows\": 7, \"bytes\": 2048},"
	        " \"objects\": {\"INDEX\": {\"in_backup\": 2, \"restored\": 1}}, \"differences\": 1,"
	        " \"first_differences\": [\"INDEX x\\nis gone\"], \"checks\": [{\"name\": \"a\", \"ok\": true, \"answer\": \"5\"}],"
	        " \"versions\": {\"server\": \"15.1\"}}";
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	assert_int_equal(report_drill_text(report, f->out), 0);
	text = text_of(f);
	assert_has(text, "result          differs\n");
	assert_has(text, "restore took    1.5 s of 1.0 s: NOT met\n");
	assert_has(text, "tables          3 compared, 7 rows, 2.0 KiB\n");
	assert_has(text, "differs         INDEX x | is gone\n");
	assert_has(text, "check           a: ok, the answer is 5\n");
	assert_has(text, "object          INDEX 1 of 2\n");
	assert_has(text, "server          15.1\n");
	assert_true(report_drill_text("no JSON", f->out) < 0);
}

static void the_parts_of_a_bundle(void **state)
{
	static const char report[] =
	        "{\"result\": \"failed\", \"parts\": ["
	        "{\"name\": \"database.dump\", \"kind\": \"dump\", \"result\": \"passed\", \"level\": 4, \"how\": \"restored\", \"seconds\": 3.5},"
	        "{\"name\": \"objects\", \"kind\": \"mirror\", \"result\": \"passed\", \"level\": 3, \"how\": \"brought back\", \"seconds\": 1.0, \"count\": 31},"
	        "{\"name\": \"config.tar\", \"kind\": \"files\", \"result\": \"failed\", \"level\": -1, \"how\": null, \"seconds\": 0.1, \"error\": \"it is\\ndamaged\"},"
	        "{}, 7]}";
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	assert_int_equal(report_drill_text(report, f->out), 0);
	text = text_of(f);
	assert_has(text, "part            database.dump passed: restored, level 4, 3.5 s\n");
	assert_has(text, "part            objects passed: brought back, 31 objects, level 3, 1.0 s\n");
	assert_has(text, "part            config.tar failed: it is | damaged, level -1, 0.1 s\n");
}

static void what_a_drill_has_left(void **state)
{
	const struct catalog_restore x = {.run_id = 17,
	                                  .target = "keepfs-drill-17-1f",
	                                  .server = "s3://scratch/drills",
	                                  .backup = "backups/site/20261120T020000Z",
	                                  .made = "objects",
	                                  .phase = RESTORE_PHASE_SCRATCH,
	                                  .problem = "keepfs ended in the middle of it"};
	_cleanup(free) char *left = report_restore_left(&x), *advice = report_restore_advice(&x);

	assert_has(left, "a drill of backups/site/20261120T020000Z");
	assert_has(left, "s3://scratch/drills/keepfs-drill-17-1f");
	assert_has(advice, "keepfs drill clear");
	assert_has(advice, "keepfs restore forget run=17");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        REPORT_TEST(one_that_did_not_pass),
	        REPORT_TEST(one_that_is_overdue),
	        REPORT_TEST(by_its_schedule),
	        REPORT_TEST(one_that_took_too_long),
	        REPORT_TEST(of_several_the_slowest_counts),
	        REPORT_TEST(one_that_never_was_is_overdue),
	        REPORT_TEST(an_alarm_stays_until_the_same_passes),
	        REPORT_TEST(one_that_was_to_prove_less_does_not_count),
	        REPORT_TEST(one_that_proved_less_than_it_was_to),
	        REPORT_TEST(as_the_owner_of_clusters),
	        REPORT_TEST(metrics),
	        REPORT_TEST(metrics_of_what_is_expected),
	        REPORT_TEST(metrics_of_restores),
	        REPORT_TEST(metrics_of_what_is_proven),
	        REPORT_TEST(recovery),
	        REPORT_TEST(the_time_is_that_of_its_size),
	        REPORT_TEST(a_report_as_text),
	        REPORT_TEST(the_parts_of_a_bundle),
	        cmocka_unit_test(what_a_drill_has_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* What is watched of jobs: overdue backups, backups unlike those before, and the store's space; as items, and as metrics. */
#include "report_test.h"

#include "../support/manifests.h"

#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/members.h>
#include <keepfs/catalog/schedules.h>
#include <keepfs/catalog/watch.h>
#include <keepfs/codec/name.h>
#include <keepfs/report/expected.h>

#define HOUR_MS INT64_C(3600000)
#define HOUR_US (HOUR_MS * 1000)
#define DAY_US  (24 * HOUR_US)

static void expect_at(struct fixture *f, int64_t at_us)
{
	assert_int_equal(report_expect_backups(f->catalog, &f->conf, at_us, NULL), 0);
}

static void assert_text(struct fixture *f, const char *check, const char *subject, const char *part)
{
	_cleanup(health) struct health h = gather(f);
	const struct health_item *item = find_item(&h, check, subject);

	if (!item)
		fail_msg("there is no %s '%s'", check, subject);
	assert_has(item->text, part);
}

static void assert_metric(struct fixture *f, const char *line)
{
	_cleanup(free) char *text = written_by(f, report_metrics), *want = mem_printf("\n%s\n", line);

	assert_has(text, want);
}

static void assert_no_metric(struct fixture *f, const char *name)
{
	_cleanup(free) char *text = written_by(f, report_metrics), *line = mem_printf("\n%s{", name);

	if (strstr(text, line))
		fail_msg("there is %s in:\n%s", name, text);
}

static char *few[] = {(char *)"acme", (char *)"b&b", NULL};

/* Overdue. */

static void a_job_of_which_nothing_is_expected(void **state)
{
	struct fixture *f = *state;

	expect_at(f, AT_US);
	f->sources.now_us = AT_US + 10000 * DAY_US;
	assert_no_item(f, "overdue");
	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_no_item(f, "overdue");
	assert_text(f, "job", "full", "; not watched: it has no schedule, no expected_interval and no rpo");
	assert_metric(f, "keepfs_job_enabled{backup_job=\"full\"} 0");
	assert_metric(f, "keepfs_overdue{backup_job=\"full\"} 0");
	assert_no_metric(f, "keepfs_rpo_target_seconds");
	assert_no_metric(f, "keepfs_expected_interval_seconds");
	assert_no_metric(f, "keepfs_overdue_after_timestamp_seconds");
	assert_no_metric(f, "keepfs_rto_target_seconds");
}

static void assert_kind(struct fixture *f, const char *kind)
{
	_cleanup(health) struct health h = gather(f);
	const struct health_item *item = find_item(&h, "overdue", "full");

	assert_non_null(item);
	if (kind)
		assert_string_equal(item->kind, kind);
	else
		assert_null(item->kind);
}

/* Something else makes them, and nobody said how often; but how much may be lost is said. */
static void a_job_that_has_nothing_but_a_goal(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].rpo_ms = 24 * HOUR_MS;
	expect_at(f, AT_US - 100 * DAY_US);
	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	f->sources.now_us = AT_US + 30 * HOUR_US;
	assert_no_item(f, "overdue");
	assert_text(f, "job", "full", "; overdue from 2026-11-21T08:00:00Z on");
	assert_metric(f, "keepfs_job_enabled{backup_job=\"full\"} 1");
	assert_metric(f, "keepfs_expected_interval_seconds{backup_job=\"full\"} 86400");
	assert_metric(f, "keepfs_rpo_target_seconds{backup_job=\"full\"} 86400");
	f->sources.now_us += US_PER_S;
	assert_item(f, "overdue", "full", REPORT_CRIT, AT_US + 30 * HOUR_US, "keepfs trigger full");
	assert_text(f, "overdue", "full", "no more than 24 h may be lost (rpo)");
	assert_kind(f, "rpo");
}

/* That the goal is missed, too, is another trouble than that a backup is late. */
static void late_first_and_then_beyond_the_goal(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].policy.expected_interval_ms = 24 * HOUR_MS;
	f->jobs[0].rpo_ms = 48 * HOUR_MS;
	expect_at(f, AT_US - 100 * DAY_US);
	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	f->sources.now_us = AT_US + 40 * HOUR_US;
	assert_item(f, "overdue", "full", REPORT_WARN, AT_US + 30 * HOUR_US, "keepfs trigger full");
	assert_kind(f, NULL);
	f->sources.now_us = AT_US + 48 * HOUR_US + US_PER_S;
	assert_item(f, "overdue", "full", REPORT_CRIT, AT_US + 30 * HOUR_US, "keepfs trigger full");
	assert_kind(f, "rpo");
}

static void say(struct fixture *f, const char *job, bool is_off, int64_t until_us, const char *by)
{
	struct catalog_switch s = {.is_off = is_off, .until_us = until_us, .at_us = AT_US};

	str_copy(s.job, sizeof(s.job), job);
	str_copy(s.by, sizeof(s.by), by);
	assert_int_equal(catalog_set_switch(f->catalog, &s, NULL), 0);
}

/* Health, metrics and status/schedule say the same of it: the job's own word first, then that of all. */
static void a_job_that_is_switched_off(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *schedule = NULL;

	f->jobs[0].policy.schedule = (char *)"daily-2am";
	f->jobs[0].timezone = (char *)"UTC";
	expect_at(f, AT_US - 100 * DAY_US);
	f->sources.now_us = AT_US + 100 * DAY_US;
	assert_metric(f, "keepfs_job_enabled{backup_job=\"full\"} 1");
	assert_metric(f, "keepfs_next_run_timestamp_seconds{backup_job=\"full\"} 1803866400.000000");
	say(f, "", true, 0, "uid 1");
	say(f, "full", true, f->sources.now_us, "uid 2"); /* that is over */
	assert_metric(f, "keepfs_job_enabled{backup_job=\"full\"} 0");
	assert_no_metric(f, "keepfs_next_run_timestamp_seconds");
	assert_item(f, "overdue", "full", REPORT_CRIT, AT_US - 100 * DAY_US + 30 * HOUR_US,
	            "switched off 2026-11-20T02:00:00Z by uid 1");
	say(f, "full", true, f->sources.now_us + DAY_US, "uid 2");
	assert_item(f, "overdue", "full", REPORT_CRIT, AT_US - 100 * DAY_US + 30 * HOUR_US, "by uid 2");
	schedule = written_by(f, report_schedule);
	assert_has(schedule, "by uid 2");
	say(f, "", false, 0, "uid 1");
	say(f, "full", false, 0, "uid 2");
	assert_metric(f, "keepfs_job_enabled{backup_job=\"full\"} 1");
}

static void databases_that_no_job_backs_up(void **state)
{
	static const char *const names[] = {"acme", "forgotten", "other"};
	struct fixture *f = *state;

	f->jobs[0].dump.databases = few;
	assert_metric(f, "keepfs_uncovered_databases 0");
	assert_int_equal(catalog_set_server(f->catalog, "full", "server", names, 3, NULL), 0);
	assert_metric(f, "keepfs_uncovered_databases 2");
}

static void a_job_that_never_ran(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].policy.expected_interval_ms = 24 * HOUR_MS;
	/* Nobody has noted since when. */
	assert_no_item(f, "overdue");
	expect_at(f, AT_US);
	f->sources.now_us = AT_US + 30 * HOUR_US;
	assert_no_item(f, "overdue");
	assert_metric(f, "keepfs_overdue_after_timestamp_seconds{backup_job=\"full\"} 1795248000");
	f->sources.now_us += US_PER_S;
	assert_item(f, "overdue", "full", REPORT_WARN, AT_US + 30 * HOUR_US, "keepfs trigger full");
	assert_text(f, "overdue", "full",
	            "there is no good backup, and one has been expected since 2026-11-20T02:00:00Z");
	/* A start, and a reload, change nothing about that. */
	expect_at(f, f->sources.now_us);
	assert_item(f, "overdue", "full", REPORT_WARN, AT_US + 30 * HOUR_US, "keepfs trigger full");
	/* Another interval does. */
	f->jobs[0].policy.expected_interval_ms = HOUR_MS;
	expect_at(f, f->sources.now_us);
	assert_no_item(f, "overdue");
}

static void a_backup_that_is_too_old(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].policy.expected_interval_ms = 24 * HOUR_MS;
	f->jobs[0].policy.grace_ms = HOUR_MS;
	f->jobs[0].rto_ms = 2 * HOUR_MS;
	expect_at(f, AT_US - 100 * DAY_US);
	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_no_item(f, "overdue");
	assert_text(f, "job", "full", "; overdue from 2026-11-21T03:00:00Z on");
	assert_metric(f, "keepfs_job_enabled{backup_job=\"full\"} 1");
	assert_metric(f, "keepfs_expected_interval_seconds{backup_job=\"full\"} 86400");
	assert_metric(f, "keepfs_grace_seconds{backup_job=\"full\"} 3600");
	assert_metric(f, "keepfs_rpo_seconds{backup_job=\"full\"} 10800");
	assert_metric(f, "keepfs_rto_target_seconds{backup_job=\"full\"} 7200");
	f->sources.now_us = AT_US + 25 * HOUR_US + US_PER_S;
	assert_item(f, "overdue", "full", REPORT_WARN, AT_US + 25 * HOUR_US, "keepfs trigger full");
	assert_text(
	        f, "overdue", "full",
	        "the newest good backup is of 2026-11-20T02:00:00Z, 25 h ago; one is expected every 24 h, and overdue after 25 h");
	assert_metric(f, "keepfs_overdue{backup_job=\"full\"} 1");
	f->jobs[0].rpo_ms = 24 * HOUR_MS;
	assert_item(f, "overdue", "full", REPORT_CRIT, AT_US + 25 * HOUR_US, "keepfs trigger full");
	assert_text(f, "overdue", "full", "no more than 24 h may be lost (rpo)");
	f->jobs[0].rpo_ms = 0;
	f->sources.now_us = AT_US + 48 * HOUR_US + US_PER_S;
	assert_item(f, "overdue", "full", REPORT_CRIT, AT_US + 25 * HOUR_US, "keepfs trigger full");
	assert_metric(f, "keepfs_overdue{backup_job=\"full\"} 2");
	assert_metric(f, "keepfs_health_items{check=\"overdue\",level=\"crit\"} 1");
	/* A partial one is none. */
	add_partial_artifact(f, "full", 48 * 3600, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_item(f, "overdue", "full", REPORT_CRIT, AT_US + 25 * HOUR_US, "keepfs trigger full");
	add_artifact(f, "full", 48 * 3600 + 1, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_no_item(f, "overdue");
}

/* How old one is that is dated in the future, nobody knows: the time before counts. */
static void a_backup_from_the_future(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].policy.expected_interval_ms = 24 * HOUR_MS;
	expect_at(f, AT_US - 100 * DAY_US);
	add_artifact(f, "full", INT64_C(40) * 86400, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_item(f, "overdue", "full", REPORT_CRIT, AT_US - 100 * DAY_US + 30 * HOUR_US,
	            "keepfs trigger full");
}

/* What was made before it, by a clock that was right, is not forgotten. */
static void a_backup_before_one_from_the_future(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].policy.expected_interval_ms = 24 * HOUR_MS;
	expect_at(f, AT_US - 100 * DAY_US);
	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	add_artifact(f, "full", INT64_C(40) * 86400, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_no_item(f, "overdue");
	f->sources.now_us = AT_US + 30 * HOUR_US + US_PER_S;
	assert_item(f, "overdue", "full", REPORT_WARN, AT_US + 30 * HOUR_US, "keepfs trigger full");
	assert_text(f, "overdue", "full", "the newest good backup is of 2026-11-20T02:00:00Z");
}

static void what_a_schedule_says(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].policy.schedule = (char *)"0 2 * * mon-fri";
	f->jobs[0].timezone = (char *)"UTC";
	expect_at(f, AT_US - 100 * DAY_US);
	add_artifact(f, "full", 3600, add_run(f, "full", RUN_COMPLETED, NULL), 100); /* on a Friday, at 3 */
	f->sources.now_us = AT_US + 3 * DAY_US - US_PER_S; /* before that of Monday */
	assert_no_item(f, "overdue");
	assert_metric(f, "keepfs_expected_interval_seconds{backup_job=\"full\"} 259200");
	f->sources.now_us = AT_US + 3 * DAY_US + 13 * HOUR_US;
	assert_no_item(f, "overdue");
	f->sources.now_us += US_PER_S;
	assert_item(f, "overdue", "full", REPORT_WARN, AT_US + 3 * DAY_US + 13 * HOUR_US,
	            "keepfs trigger full");
	f->jobs[0].policy.schedule = (char *)"disabled";
	assert_no_item(f, "overdue");
	/* What the configuration says of it comes first. */
	f->jobs[0].policy.schedule = (char *)"hourly";
	f->jobs[0].policy.expected_interval_ms = 24 * 100 * HOUR_MS;
	assert_no_item(f, "overdue");
}

static void each_database_is_watched(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].dump.databases = few;
	f->jobs[0].policy.expected_interval_ms = 24 * HOUR_MS;
	expect_at(f, AT_US);
	add_artifact(f, "full/acme", 0, 1, 100);
	add_artifact(f, "full/b=26b", 0, 1, 100);
	f->sources.now_us = AT_US + 30 * HOUR_US;
	assert_no_item(f, "overdue");
	/* One has a new one: the other is named. */
	add_artifact(f, "full/acme", 30 * 3600, 2, 100);
	f->sources.now_us += US_PER_S;
	assert_item(f, "overdue", "full", REPORT_WARN, AT_US + 30 * HOUR_US, "keepfs trigger full");
	assert_text(f, "overdue", "full",
	            "1 of 2 databases: b&b: the newest good backup is of 2026-11-20T02:00:00Z");
	assert_metric(f, "keepfs_rpo_seconds{backup_job=\"full\"} 108001");
}

static char *many[] = {(char *)"d1", (char *)"d2", (char *)"d3", (char *)"d4",
                       (char *)"d5", (char *)"d6", (char *)"d7", NULL};

static void not_all_databases_are_named(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].dump.databases = many;
	f->jobs[0].policy.expected_interval_ms = HOUR_MS;
	expect_at(f, AT_US);
	f->sources.now_us = AT_US + DAY_US;
	assert_item(f, "overdue", "full", REPORT_CRIT, AT_US + HOUR_US + HOUR_US / 2, "keepfs trigger full");
	assert_text(f, "overdue", "full", "7 of 7 databases: d1: there is no good backup");
	assert_text(f, "overdue", "full", "; d5: there is no good backup");
	assert_text(f, "overdue", "full", "; and 2 more");
}

/* Directories that are archived once each: there is nothing to do for a run that finds none. */
static void archives_that_are_made_once(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].kind = CONF_JOB_FILES;
	f->jobs[0].files.each = (char *)"*/";
	f->jobs[0].policy.expected_interval_ms = 24 * HOUR_MS;
	expect_at(f, AT_US - 100 * DAY_US);
	f->sources.now_us = finished_at(f, add_run(f, "full", RUN_COMPLETED, NULL)) + 30 * HOUR_US;
	assert_no_item(f, "overdue");
	f->sources.now_us += 2 * US_PER_S;
	assert_text(f, "overdue", "full", "expected every 24 h");
}

/* Anomalies. */

struct counted {
	const char *directory;
	int64_t number; /* of the run; a day each */
	uint32_t size;
	int64_t rows;
	const char *selection;
};

static void add_counted(struct fixture *f, const struct counted *c)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *directory = mem_printf("backups/%s", c->directory), *path = NULL;
	int64_t at_s = AT_S + (c->number - 30) * 86400;
	char name[NAME_MAX_BYTES];

	name_format(at_s * 1000, ".dump", name);
	path = mem_printf("%s/%s", directory, name);
	manifest_describe(&m, path, c->number, "primary");
	m.started_at_us = at_s * US_PER_S;
	m.finished_at_us = m.started_at_us + 60 * US_PER_S;
	manifest_set_fact_int(&m, "rows", c->rows);
	manifest_set_fact_int(&m, "raw_bytes", c->rows * 100);
	manifest_set_fact_int(&m, "tables", 12);
	manifest_set_fact(&m, "selection", c->selection ? c->selection : "aa");
	manifest_put_own(&m, c->size, 1, "");
	manifest_seal(&m);
	assert_int_equal(catalog_ensure_directory(f->catalog, directory, AT_US, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
}

static void add_usual(struct fixture *f, const char *directory, int64_t count)
{
	for (int64_t i = 1; i <= count; i++)
		add_counted(f, &(struct counted){directory, i, 1000000, 10000 + 10 * i, NULL});
}

static void a_backup_that_is_unlike_the_others(void **state)
{
	struct fixture *f = *state;
	int64_t at_us = AT_US + (7 - 30) * DAY_US + 60 * US_PER_S;

	add_usual(f, "full", 6);
	assert_no_item(f, "anomaly");
	add_counted(f, &(struct counted){"full", 7, 1000000, 7000, NULL});
	assert_item(f, "anomaly", "full", REPORT_WARN, at_us, "acknowledge it");
	assert_text(f, "anomaly", "full", "rows 7000, usually 10035");
	add_counted(f, &(struct counted){"full", 8, 1000000, 0, NULL});
	assert_item(f, "anomaly", "full", REPORT_CRIT, at_us + DAY_US, "acknowledge it");
	assert_text(f, "anomaly", "full", "rows: nothing at all");
	assert_metric(f, "keepfs_anomaly_score{backup_job=\"full\"} 100");
	/* The next one is as usual: over. */
	add_counted(f, &(struct counted){"full", 9, 1000000, 10100, NULL});
	assert_no_item(f, "anomaly");
}

static void data_that_looks_encrypted(void **state)
{
	struct fixture *f = *state;

	for (int64_t i = 1; i <= 5; i++)
		add_counted(f, &(struct counted){"full", i, 250000, 10000, NULL});
	add_counted(f, &(struct counted){"full", 6, 1000000, 10000, NULL});
	assert_item(f, "anomaly", "full", REPORT_CRIT, AT_US - 24 * DAY_US + 60 * US_PER_S,
	            "as if it were encrypted");
	assert_text(f, "anomaly", "full", "compression ratio 1.00, usually 4.00");
}

/* Whoever asks for another content has another baseline. */
static void another_selection(void **state)
{
	struct fixture *f = *state;

	add_usual(f, "full", 6);
	add_counted(f, &(struct counted){"full", 7, 1000000, 10, "bb"});
	assert_no_item(f, "anomaly");
	add_counted(f, &(struct counted){"full", 8, 1000000, 10, NULL});
	assert_text(f, "anomaly", "full", "rows 10");
}

static void anomalies_of_many_databases(void **state)
{
	struct fixture *f = *state;

	f->jobs[0].dump.databases = many;
	for (size_t i = 0; many[i]; i++) {
		_cleanup(free) char *directory = mem_printf("full/%s", many[i]);

		add_usual(f, directory, 4);
		add_counted(f, &(struct counted){directory, 5, 1000000, 0, NULL});
	}
	assert_text(f, "anomaly", "full/d5", "rows: nothing at all");
	assert_text(f, "anomaly", "", "7 in all");
	{
		_cleanup(health) struct health h = gather(f);

		assert_null(find_item(&h, "anomaly", "full/d6"));
	}
}

/* Space. */

static void the_budget_of_the_store(void **state)
{
	struct fixture *f = *state;

	add_artifact(f, "full", 0, 1, 900);
	assert_int_equal(f->conf.store.capacity_bytes, 0);
	f->conf.store.capacity_bytes = 1001;
	assert_item(f, "space", "s3://bucket", REPORT_OK, 0, NULL);
	f->conf.store.capacity_bytes = 1000;
	assert_item(f, "space", "s3://bucket", REPORT_WARN, 0, "keep fewer");
	assert_text(f, "space", "s3://bucket", "90 % of the 1000 B");
	add_artifact(f, "full", 1, 2, 80);
	assert_item(f, "space", "s3://bucket", REPORT_CRIT, 0, "keep fewer");
}

static void when_the_store_is_full(void **state)
{
	struct fixture *f = *state;
	int64_t today = AT_S / 86400;

	f->conf.store.capacity_bytes = 100000;
	for (int64_t day = today - 10; day <= today; day++) {
		add_artifact(f, "full", (day - today) * 86400, 100 + day - today, 1000);
		assert_int_equal(catalog_note_stored(f->catalog, day, 30, NULL), 0);
	}
	/* 89,000 bytes are left for 89 days. */
	assert_metric(f, "keepfs_store_full_timestamp_seconds 1802822400.000000");
	{
		_cleanup(health) struct health h = gather(f);

		assert_null(find_item(&h, "space", "forecast"));
	}
	f->conf.store.capacity_bytes = 20000;
	assert_item(f, "space", "forecast", REPORT_WARN, 0, "make room");
	assert_text(f, "space", "forecast", "full on 2026-11-29");
	/* Without a limit nobody knows. */
	f->conf.store.capacity_bytes = 0;
	assert_no_metric(f, "keepfs_store_full_timestamp_seconds");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        REPORT_TEST(a_job_of_which_nothing_is_expected),
	        REPORT_TEST(a_job_that_has_nothing_but_a_goal),
	        REPORT_TEST(late_first_and_then_beyond_the_goal),
	        REPORT_TEST(a_job_that_is_switched_off),
	        REPORT_TEST(databases_that_no_job_backs_up),
	        REPORT_TEST(a_job_that_never_ran),
	        REPORT_TEST(a_backup_that_is_too_old),
	        REPORT_TEST(a_backup_from_the_future),
	        REPORT_TEST(a_backup_before_one_from_the_future),
	        REPORT_TEST(what_a_schedule_says),
	        REPORT_TEST(each_database_is_watched),
	        REPORT_TEST(not_all_databases_are_named),
	        REPORT_TEST(archives_that_are_made_once),
	        REPORT_TEST(a_backup_that_is_unlike_the_others),
	        REPORT_TEST(data_that_looks_encrypted),
	        REPORT_TEST(another_selection),
	        REPORT_TEST(anomalies_of_many_databases),
	        REPORT_TEST(the_budget_of_the_store),
	        REPORT_TEST(when_the_store_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

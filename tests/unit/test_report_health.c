// SPDX-License-Identifier: Apache-2.0
/* status/health: every line that the checks can write. What the items hold besides is in test_report_items.c. */
#include "report_test.h"

#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/runs.h>

/* The text is put in *@ret_text, in place of what was there. */
static enum report_health health(struct fixture *f, char **ret_text)
{
	free(*ret_text);
	*ret_text = written_by(f, report_health);
	return health_level_of(*ret_text);
}

static void test_health_new(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_true(str_starts(text, "WARN 2 of 3 checks: job full, store\n"));
	assert_has(text, "\nWARN  job full: has not run yet; start it with: keepfs trigger full\n");
	assert_has(text, "\nWARN  store: s3://bucket was never verified; do so with: keepfs check\n");
	assert_has(text, "\nOK    space for the catalog: ");
	add_run(f, "full", RUN_CANCELLED, NULL);
	add_run(f, "full", RUN_PENDING, NULL);
	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_has(text, "job full: has no backup yet: its runs were cancelled\n");
}

static void test_health_good(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	add_run(f, "full", RUN_CANCELLED, NULL);
	add_run(f, "full", RUN_RUNNING, NULL);
	assert_int_equal(health(f, &text), REPORT_OK);
	assert_true(str_starts(text, "OK all 3 checks are well\n"));
	assert_has(
	        text,
	        "\nOK    job full: the newest backup is of 2026-11-20T02:00:00Z, 3 h ago; 1 in all; not watched: "
	        "it has no schedule, no expected_interval and no rpo\n");
	assert_has(text, "\nOK    store: s3://bucket took a backup 20");
	set_probe(f, "store", true, AT_US);
	assert_int_equal(health(f, &text), REPORT_OK);
	assert_has(text, "\nOK    store: s3://bucket was verified 2026-11-20T02:00:00Z\n");
	assert_has(text, "\nOK    checks: nothing that 'keepfs check' found on 2026-11-20T02:00:00Z stands "
	                 "in the way\n");
}

static void test_health_failed_runs(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	add_run(f, "full", RUN_FAILED, "connection refused\nhint: start it");
	assert_int_equal(health(f, &text), REPORT_CRIT);
	assert_true(str_starts(text, "CRIT 2 of 3 checks: job full, store\n"));
	assert_has(text, "\nCRIT  job full: there is no good backup; run 1 failed 20");
	assert_has(text, ": connection refused | hint: start it\n");
	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_int_equal(health(f, &text), REPORT_OK);
	add_run(f, "full", RUN_FAILED, "again");
	add_run(f, "full", RUN_CANCELLED, NULL);
	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_has(text, "\nWARN  job full: run 3 failed 20");
	assert_has(text, ": again; the newest good backup is of 2026-11-20T02:00:00Z\n");
	/* Another job's failures do not touch this one. */
	f->conf.job_count = 2;
	add_run(f, "full", RUN_COMPLETED, NULL);
	add_run(f, "tenants", RUN_FAILED, "x");
	assert_int_equal(health(f, &text), REPORT_CRIT);
	assert_has(text, "\nOK    job full: ");
	assert_has(text, "\nCRIT  job tenants: ");
}

/* A backup of less is no backup of the job. */
static void test_health_partial_backups(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	add_partial_artifact(f, "full", 0, add_changed_run(f, "full", "content=schema", RUN_COMPLETED, NULL),
	                     100);
	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_has(text,
	           "\nWARN  job full: has only backups that are partial or damaged; make a good one with: "
	           "keepfs trigger full\n");
	add_run(f, "full", RUN_FAILED, "refused");
	assert_int_equal(health(f, &text), REPORT_CRIT);
	assert_has(text, "\nCRIT  job full: there is no good backup; run 2 failed ");
	/* Nor does it end a failure. */
	add_changed_run(f, "full", "content=schema", RUN_COMPLETED, NULL);
	assert_int_equal(health(f, &text), REPORT_CRIT);
	add_artifact(f, "full", 60, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_int_equal(health(f, &text), REPORT_OK);
	add_partial_artifact(f, "full", 3600, 5, 100);
	assert_int_equal(health(f, &text), REPORT_OK);
	assert_has(
	        text,
	        "\nOK    job full: the newest backup is of 2026-11-20T02:01:00Z, 2 h ago; 3 in all; not watched: "
	        "it has no schedule, no expected_interval and no rpo\n");
}

/* A trigger may change a job and yet make a whole backup. */
static void test_health_changed_run(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	add_run(f, "full", RUN_FAILED, "refused");
	add_artifact(f, "full", 0, add_changed_run(f, "full", "format=plain", RUN_COMPLETED, NULL), 100);
	assert_int_equal(health(f, &text), REPORT_OK);
}

/* The clock was ahead: the job has its backup, but nobody can say how old it is. */
static void test_health_date_ahead(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	add_artifact(f, "full", INT64_C(40) * 86400 + 10800, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_has(text,
	           "\nOK    job full: the newest backup is of 2026-12-30T05:00:00Z, which is 40 days ahead; "
	           "1 in all; not watched: it has no schedule, no expected_interval and no rpo\n");
	assert_has(text,
	           "\nWARN  clock: backups/full/20261230T050000Z.dump is dated 2026-12-30T05:00:00Z, which "
	           "is in the future: the clock was ahead when it was made; set the clock ");
	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_has(
	        text,
	        "\nOK    job full: the newest backup is of 2026-11-20T02:00:00Z, 3 h ago; 2 in all; not watched: "
	        "it has no schedule, no expected_interval and no rpo\n");
}

static void test_health_warnings(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;
	int64_t run = add_warned_run(f, "full", "no passwords\nof roles");

	add_artifact(f, "full", -(INT64_C(3650) * 86400), run, 100);
	add_run(f, "full", RUN_CANCELLED, NULL);
	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_has(text,
	           "\nWARN  job full: run 1 completed with a warning: no passwords | of roles; the newest "
	           "backup is of 2016-11-22T02:00:00Z, 3650 days ago\n");
	/* A run of less says nothing of that. */
	add_changed_run(f, "full", "content=schema", RUN_COMPLETED, NULL);
	assert_int_equal(health(f, &text), REPORT_WARN);
	add_artifact(f, "full", 60, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_int_equal(health(f, &text), REPORT_OK);
}

static void test_health_backup_gone(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	add_run(f, "full", RUN_COMPLETED, NULL);
	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_has(text, "\nWARN  job full: run 1 completed 20");
	assert_has(text, ", but its backup is gone\n");
}

static void test_health_probes(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;
	int64_t later = clock_now_us() + 3600 * US_PER_S;

	f->conf.job_count = 2;
	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	add_artifact(f, "tenants", 0, add_run(f, "tenants", RUN_COMPLETED, NULL), 100);
	set_probe(f, "store", false, later);
	assert_int_equal(health(f, &text), REPORT_CRIT);
	assert_has(text, "\nCRIT  check store: failed 20");
	assert_has(text, ": refused | really (try again with: keepfs check)\n");
	set_probe(f, "database full/shop", false, later);
	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_has(text, "\nWARN  check database full/shop: failed ");
	/* A run that completed since has proved the opposite, */
	set_probe(f, "database full/shop", false, AT_US - US_PER_S);
	assert_int_equal(health(f, &text), REPORT_OK);
	/* but not a run of another job. */
	f->conf.job_count = 1;
	f->jobs[0].name = (char *)"other";
	set_probe(f, "database other/shop", false, AT_US - US_PER_S);
	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_has(text, "\nWARN  check database other/shop: ");
}

/* A store that fails reads shows, and after ten quiet minutes it is forgotten. */
static void test_health_reads(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	f->sources.troubles = report_troubles_new();
	f->sources.now_us = clock_now_us();
	report_trouble(f->sources.troubles, "backups/full/x.dump", EPERM, "the last good backup");
	health(f, &text);
	assert_null(strstr(text, "reads"));
	report_trouble(f->sources.troubles, "backups/full/x.dump", EIO, "the store does not answer");
	f->sources.now_us = clock_now_us();
	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_has(text, "\nWARN  reads: the store failed a read or a removal ");
	assert_has(text, " s ago: see status/last-error\n");
	f->sources.now_us += 11 * 60 * US_PER_S;
	health(f, &text);
	assert_null(strstr(text, "reads"));
	report_troubles_free(f->sources.troubles);
}

static void test_health_cache(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	f->sources.troubles = report_troubles_new();
	health(f, &text);
	assert_null(strstr(text, "disk cache"));
	report_no_cache(f->sources.troubles, "/var/cache/keepfs: no such file");
	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_has(
	        text,
	        "\nWARN  disk cache: there is none, all is read from the store: /var/cache/keepfs: no such "
	        "file; mount anew when that is mended\n");
	report_troubles_free(f->sources.troubles);
}

static void test_health_damaged(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	for (int i = 0; i < 7; i++)
		assert_int_equal(catalog_mark_damaged(f->catalog, add_artifact(f, "full", i, 0, 100),
		                                      "flipped\n", NULL),
		                 0);
	assert_int_equal(health(f, &text), REPORT_CRIT);
	assert_has(text, "CRIT 8 of 9 checks: job full, damaged backup, damaged backup, damaged backup, "
	                 "damaged backup, damaged backup, damaged backups, store\n");
	assert_has(
	        text,
	        "\nCRIT  damaged backup: backups/full/20261120T020000Z.dump: flipped | ; there is no other good one of it: "
	        "make another one now, and keep this one until that is good: parts of it may be readable\n");
	assert_has(text, "\nCRIT  damaged backups: 7 in all\n");
}

static void test_health_space(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *url = mem_printf("dir:%s", f->directory), *text = NULL;

	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	f->conf.store.url = url;
	assert_int_equal(health(f, &text), REPORT_OK);
	assert_has(text, "\nOK    space for backups: ");
	/* A file system without a free byte. */
	f->conf.store.url = (char *)"dir:/proc";
	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_has(text, "\nWARN  space for backups: only 0 B are free in /proc");
	f->conf.store.url = (char *)"dir:/does/not/exist";
	assert_int_equal(health(f, &text), REPORT_WARN);
	assert_has(text, "\nWARN  space for backups: /does/not/exist: No such file or directory\n");
}

static void test_health_of_a_broken_catalog(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	break_catalog(f);
	assert_int_equal(health(f, &text), REPORT_CRIT);
	assert_has(text, "\nCRIT  catalog: cannot be read: ");
	assert_has(text, "; look at the daemon's log, and see 'keepfs rebuild'\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        REPORT_TEST(test_health_new),         REPORT_TEST(test_health_good),
	        REPORT_TEST(test_health_failed_runs), REPORT_TEST(test_health_partial_backups),
	        REPORT_TEST(test_health_changed_run), REPORT_TEST(test_health_date_ahead),
	        REPORT_TEST(test_health_warnings),    REPORT_TEST(test_health_backup_gone),
	        REPORT_TEST(test_health_probes),      REPORT_TEST(test_health_reads),
	        REPORT_TEST(test_health_cache),       REPORT_TEST(test_health_damaged),
	        REPORT_TEST(test_health_space),       REPORT_TEST(test_health_of_a_broken_catalog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

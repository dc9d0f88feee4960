// SPDX-License-Identifier: Apache-2.0
/* The items of health, check by check: what they are of, how bad it is and since when; and their renderings. The words
 * of the lines are looked at in test_report_health.c. */
#include "report_test.h"

#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/catalog/copy.h>
#include <keepfs/catalog/members.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/catalog/restores.h>
#include <keepfs/catalog/runs.h>

static void assert_text_holds(struct fixture *f, const char *part)
{
	_cleanup(free) char *text = written_by(f, report_health);

	assert_has(text, part);
}

static void assert_text_holds_not(struct fixture *f, const char *part)
{
	_cleanup(free) char *text = written_by(f, report_health);

	assert_null(strstr(text, part));
}

/* Jobs. */

static void a_job_without_runs(void **state)
{
	struct fixture *f = *state;

	assert_item(f, "job", "full", REPORT_WARN, 0, "keepfs trigger full");
	add_run(f, "full", RUN_CANCELLED, NULL);
	assert_item(f, "job", "full", REPORT_WARN, 0, NULL);
	assert_int_equal(add_run(f, "tenants", RUN_COMPLETED, NULL), 2);
	assert_item(f, "job", "full", REPORT_WARN, 0, NULL);
}

static void a_good_job(void **state)
{
	struct fixture *f = *state;

	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_item(f, "job", "full", REPORT_OK, 0, NULL);
}

static void a_job_whose_backups_are_gone(void **state)
{
	struct fixture *f = *state;

	add_run(f, "full", RUN_COMPLETED, NULL);
	assert_item(f, "job", "full", REPORT_WARN, 0, NULL);
	add_partial_artifact(f, "full", 0, 0, 100);
	assert_item(f, "job", "full", REPORT_WARN, 0, "keepfs trigger full");
}

/* 40 days ahead, then with the clock set right. */
static void a_date_that_is_wrong_is_named(void **state)
{
	struct fixture *f = *state;
	char ahead[] = "backups/full/20261230T020000Z.dump";

	add_artifact(f, "full", 60, 1, 100);
	assert_no_item(f, "clock");
	add_artifact(f, "full", INT64_C(40) * 86400, 2, 100);
	assert_item(f, "clock", ahead, REPORT_WARN, 0, "remove this one");
	f->sources.now_us += INT64_C(40) * 86400 * US_PER_S;
	assert_no_item(f, "clock");
	add_artifact(f, "full", INT64_C(39) * 86400, 3, 100);
	assert_item(f, "clock", ahead, REPORT_WARN, 0, "remove this one");
	add_artifact(f, "full", INT64_C(41) * 86400, 4, 100);
	f->sources.now_us += INT64_C(2) * 86400 * US_PER_S;
	assert_no_item(f, "clock");
}

static void what_is_not_listed_is_named(void **state)
{
	struct fixture *f = *state;
	struct catalog_unlisted rows[7] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(rows[i].path, sizeof(rows[i].path), "backups/full/%zu.dump", i);
		str_copy(rows[i].reason, sizeof(rows[i].reason), "not valid JSON");
	}
	assert_no_item(f, "unlisted");
	assert_int_equal(catalog_set_unlisted(f->catalog, rows, 1, NULL), 0);
	assert_item(f, "unlisted", "backups/full/0.dump", REPORT_WARN, 0, NULL);
	assert_int_equal(catalog_set_unlisted(f->catalog, rows, ARRAY_SIZE(rows), NULL), 0);
	assert_item(f, "unlisted", "backups/full/4.dump", REPORT_WARN, 0, NULL);
	assert_item(f, "unlisted", "", REPORT_WARN, 0, NULL);
	assert_int_equal(catalog_set_unlisted(f->catalog, NULL, 0, NULL), 0);
	assert_no_item(f, "unlisted");
}

static void an_old_copy_of_the_catalog_is_told(void **state)
{
	struct fixture *f = *state;
	int64_t now_us = f->sources.now_us, old_us = now_us - 2 * CATALOG_COPY_INTERVAL_US;

	f->conf.catalog_copies = 7;
	assert_no_item(f, "catalog_copy");
	/* None was made yet, which may be so for two days. */
	assert_int_equal(catalog_copy_begin(f->catalog, old_us, NULL), 0);
	assert_no_item(f, "catalog_copy");
	f->sources.now_us++;
	assert_item(f, "catalog_copy", "", REPORT_WARN, old_us, "below catalog/ in the store");
	assert_int_equal(catalog_copy_note(f->catalog, "catalog/x", now_us, NULL), 0);
	assert_item(f, "catalog_copy", "", REPORT_OK, 0, NULL);
	assert_int_equal(catalog_copy_failed(f->catalog, "it is full", NULL), 0);
	assert_item(f, "catalog_copy", "", REPORT_OK, 0, NULL);
	f->sources.now_us = now_us + 2 * CATALOG_COPY_INTERVAL_US + 1;
	assert_item(f, "catalog_copy", "", REPORT_WARN, now_us, "catalog/");
	f->conf.catalog_copies = 0;
	assert_no_item(f, "catalog_copy");
}

static void what_is_missing_in_the_store_is_damaged(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);

	assert_int_equal(catalog_set_missing(f->catalog, ino, true, NULL), 0);
	assert_item(f, "damaged", "backups/full/20261120T020000Z.dump", REPORT_CRIT, 0, "make another one");
	assert_item(f, "job", "full", REPORT_WARN, 0, "make a good one");
	assert_int_equal(catalog_set_missing(f->catalog, ino, false, NULL), 0);
	assert_no_item(f, "damaged");
}

/* It fails since the first failure that no success came behind. */
static void a_job_fails_since_the_first_failure(void **state)
{
	struct fixture *f = *state;
	int64_t first, last;

	add_run(f, "full", RUN_FAILED, "long ago");
	add_run(f, "full", RUN_COMPLETED, NULL);
	first = add_run(f, "full", RUN_FAILED, "refused");
	assert_item(f, "job", "full", REPORT_CRIT, finished_at(f, first), NULL);
	add_run(f, "full", RUN_CANCELLED, NULL);
	add_run(f, "tenants", RUN_COMPLETED, NULL);
	add_changed_run(f, "full", "content=schema", RUN_COMPLETED, NULL); /* which is no success */
	last = add_run(f, "full", RUN_FAILED, "refused");
	add_run(f, "full", RUN_RUNNING, NULL);
	assert_true(finished_at(f, first) < finished_at(f, last));
	assert_item(f, "failing", "full", REPORT_CRIT, finished_at(f, first), "keepfs trigger full");
	add_artifact(f, "full", 0, 0, 100);
	assert_item(f, "failing", "full", REPORT_WARN, finished_at(f, first), "keepfs trigger full");
	assert_no_item(f, "job"); /* one fact, one item */
}

static void two_failures_that_are_old(void **state)
{
	struct fixture *f = *state;
	int64_t first;

	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	first = add_run(f, "full", RUN_FAILED, "refused");
	assert_no_item(f, "failing");
	add_run(f, "full", RUN_FAILED, "refused");
	f->sources.now_us = finished_at(f, first) + INT64_C(3) * 86400 * US_PER_S;
	assert_item(f, "failing", "full", REPORT_WARN, finished_at(f, first), "keepfs jobs 3");
	f->sources.now_us += US_PER_S;
	assert_item(f, "failing", "full", REPORT_CRIT, finished_at(f, first), "keepfs jobs 3");
	/* Three in a row cannot wait, however new they are. */
	f->sources.now_us = finished_at(f, first);
	add_run(f, "full", RUN_FAILED, "refused");
	assert_item(f, "failing", "full", REPORT_CRIT, finished_at(f, first), "keepfs jobs 4");
	add_run(f, "full", RUN_COMPLETED, NULL);
	assert_no_item(f, "failing");
}

/* Of a job with many databases one that is made anew does not hide that the others failed. */
static void a_success_of_one_database(void **state)
{
	struct fixture *f = *state;
	int64_t failed = add_run(f, "full", RUN_FAILED, "99 of 100 databases failed");

	add_artifact(f, "full", 0, add_changed_run(f, "full", "database=acme", RUN_COMPLETED, NULL), 100);
	assert_item(f, "job", "full", REPORT_WARN, finished_at(f, failed), NULL);
	add_artifact(f, "full", 1, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_item(f, "job", "full", REPORT_OK, 0, NULL);
	/* What failed alone is mended alone. */
	failed = add_changed_run(f, "full", "class=demo", RUN_FAILED, "refused");
	assert_item(f, "job", "full", REPORT_WARN, finished_at(f, failed), NULL);
	add_artifact(f, "full", 2, add_changed_run(f, "full", "class=paid", RUN_COMPLETED, NULL), 100);
	assert_item(f, "job", "full", REPORT_WARN, finished_at(f, failed), NULL);
	add_artifact(f, "full", 3, add_changed_run(f, "full", "class=demo", RUN_COMPLETED, NULL), 100);
	assert_item(f, "job", "full", REPORT_OK, 0, NULL);
}

static void a_success_ends_a_failure(void **state)
{
	struct fixture *f = *state;
	int64_t again;

	add_run(f, "full", RUN_FAILED, "refused");
	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	assert_item(f, "job", "full", REPORT_OK, 0, NULL);
	again = add_run(f, "full", RUN_FAILED, "refused");
	assert_item(f, "job", "full", REPORT_WARN, finished_at(f, again), NULL);
}

/* Looking back has an end: then it is not known since when, rather than wrong. */
static void a_job_that_always_failed(void **state)
{
	struct fixture *f = *state;
	int64_t first = add_run(f, "full", RUN_FAILED, "refused");

	for (int i = 1; i < 256; i++)
		add_run(f, "full", RUN_FAILED, "refused");
	assert_item(f, "failing", "full", REPORT_CRIT, finished_at(f, first), "keepfs trigger full");
	add_run(f, "full", RUN_FAILED, "refused");
	assert_item(f, "failing", "full", REPORT_CRIT, 0, "keepfs trigger full");
}

/* Health does not walk a long history to its end, and takes nothing for good for that. */
static void a_failure_behind_many_cancelled_runs(void **state)
{
	struct fixture *f = *state;

	add_run(f, "full", RUN_FAILED, "no");
	for (int i = 0; i < 300; i++)
		add_run(f, "full", RUN_CANCELLED, NULL);
	assert_item(f, "job", "full", REPORT_CRIT, 0, "keepfs trigger full");
	/* One that is older than the failure. */
	add_artifact(f, "full", 0, 0, 100);
	assert_item(f, "job", "full", REPORT_WARN, 0, "keepfs trigger full");
	/* And one that is newer: it is of AT_US and so many seconds. */
	add_artifact(f, "full", clock_now_us() / US_PER_S - AT_S + 60, 0, 100);
	assert_item(f, "job", "full", REPORT_OK, 0, NULL);
}

static void a_job_warns_since_the_first_warning(void **state)
{
	struct fixture *f = *state;
	int64_t first, again;

	add_artifact(f, "full", 0, add_warned_run(f, "full", "long ago"), 100);
	add_run(f, "full", RUN_FAILED, "refused");
	first = add_warned_run(f, "full", "no passwords");
	assert_item(f, "job", "full", REPORT_WARN, finished_at(f, first), NULL);
	add_run(f, "full", RUN_CANCELLED, NULL);
	again = add_warned_run(f, "full", "no passwords");
	add_changed_run(f, "full", "content=schema", RUN_COMPLETED, NULL); /* says nothing of it */
	assert_true(finished_at(f, first) < finished_at(f, again));
	assert_item(f, "job", "full", REPORT_WARN, finished_at(f, first), NULL);
	add_run(f, "full", RUN_COMPLETED, NULL);
	assert_item(f, "job", "full", REPORT_OK, 0, NULL);
	again = add_warned_run(f, "full", "no passwords");
	assert_item(f, "job", "full", REPORT_WARN, finished_at(f, again), NULL);
}

static void each_job_has_an_item(void **state)
{
	struct fixture *f = *state;
	int64_t run = add_run(f, "tenants", RUN_FAILED, "refused");

	f->conf.job_count = 2;
	assert_item(f, "job", "full", REPORT_WARN, 0, "keepfs trigger full");
	assert_item(f, "job", "tenants", REPORT_CRIT, finished_at(f, run), NULL);
}

/* Databases that a job finds out. */

static char *query[] = {(char *)"SELECT name, class FROM tenant", NULL};

static void read_names(struct fixture *f, int64_t at_us, const char *const *names, size_t count)
{
	struct catalog_named rows[16];

	for (size_t i = 0; i < count; i++)
		rows[i] = (struct catalog_named){names[i], "paid"};
	assert_int_equal(catalog_read_members(f->catalog,
	                                      &(struct catalog_reading){.job = "full",
	                                                                .rows = rows,
	                                                                .count = count,
	                                                                .at_us = at_us,
	                                                                .patience_us = 86400 * US_PER_S},
	                                      NULL, NULL, NULL),
	                 0);
}

static void a_registry(void **state)
{
	static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
	struct fixture *f = *state;
	struct conf_class classes[] = {{.name = (char *)"paid"}};
	struct conf_job jobs[1] = {f->conf.jobs[0]};

	jobs[0].dump.databases = query;
	jobs[0].keep_deleted_ms = INT64_C(86400000) * 730;
	f->conf.jobs = jobs;
	f->conf.job_count = 1;
	f->sources.now_us = AT_US + US_PER_S;
	assert_no_item(f, "registry");
	assert_int_equal(catalog_fail_members(f->catalog, "full", AT_US, "refused", NULL), 0);
	assert_item(f, "registry", "full", REPORT_CRIT, AT_US, "keepfs check");
	read_names(f, AT_US, names, 6);
	assert_item(f, "registry", "full", REPORT_OK, 0, NULL);
	assert_item(f, "registry", "full classes", REPORT_WARN, 0, "[class NAME]");
	f->conf.classes = classes;
	f->conf.class_count = 1;
	assert_int_equal(catalog_fail_members(f->catalog, "full", AT_US + 1, "refused", NULL), 0);
	assert_item(f, "registry", "full", REPORT_WARN, AT_US + 1, "keepfs check");
	/* One that is gone is told for a day. */
	read_names(f, AT_US + 2, names, 5);
	assert_item(f, "registry", "full", REPORT_OK, 0, NULL);
	assert_item(f, "registry", "full/f", REPORT_WARN, AT_US + 2, "database=f final=yes");
	f->sources.now_us += 2 * 86400 * US_PER_S;
	read_names(f, AT_US + 3, names, 1);
	assert_item(f, "registry", "full", REPORT_CRIT, AT_US + 3, "look at the registry");
	f->conf.class_count = 0;
	f->conf.classes = NULL;
}

static void what_no_job_backs_up(void **state)
{
	static const char *const names[] = {"crm", "primary", "scratch_1"}, *const others[] = {"tenants",
	                                                                                       "crm"};
	struct fixture *f = *state;
	char *ignored[] = {(char *)"scratch_*", NULL}, *named[] = {(char *)"crm", NULL};
	struct conf_job jobs[2] = {f->conf.jobs[0], f->conf.jobs[0]};

	jobs[0].dump.database = (char *)"dbname=primary";
	jobs[1].name = (char *)"second";
	jobs[1].dump.databases = named;
	f->conf.jobs = jobs;
	f->conf.job_count = 1;
	assert_no_item(f, "uncovered");
	assert_int_equal(catalog_set_server(f->catalog, "full", "71", names, 3, NULL), 0);
	assert_item(f, "uncovered", "", REPORT_WARN, 0, "ignore_databases");
	assert_text_holds(f, "2 backed up by no job: crm, scratch_1");
	f->conf.ignore_databases = ignored;
	assert_text_holds(f, "1 backed up by no job: crm;");
	/* A job that has not run may be of that server. */
	f->conf.job_count = 2;
	assert_no_item(f, "uncovered");
	/* It is of another one, which has its own. */
	assert_int_equal(catalog_set_server(f->catalog, "second", "72", others, 2, NULL), 0);
	assert_text_holds(f, "2 backed up by no job: crm, tenants;");
	f->conf.ignore_databases = NULL;
}

/* Of thousands each is found, in whatever order they are named; how long that takes is a benchmark's to say. */
static void many_databases_are_looked_up(void **state)
{
	enum { MANY = 3000 };
	struct fixture *f = *state;
	_cleanup(free) char(*texts)[16] = mem_array(MANY + 1, sizeof(*texts));
	_cleanup(free) char **names = mem_array(MANY + 1, sizeof(char *));
	struct conf_job job = f->conf.jobs[0];

	for (int i = 0; i < MANY; i++) {
		snprintf(texts[i], sizeof(*texts), "db%d", i * 7919 % MANY);
		names[i] = texts[i];
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(catalog_set_server(f->catalog, i ? "other" : "full", i ? "72" : "71",
		                                    (const char *const *)names, MANY, NULL),
		                 0);
	names[MANY - 1] = NULL; /* one is left out, and all of the other server */
	job.dump.databases = names;
	f->conf.jobs = &job;
	f->conf.job_count = 1;
	assert_text_holds(f, "3001 backed up by no job");
}

/* The others. */

static void damaged_backups(void **state)
{
	struct fixture *f = *state;
	uint64_t inos[6];

	for (int i = 0; i < 6; i++)
		inos[i] = add_artifact(f, "full", i, 0, 100);
	assert_no_item(f, "damaged");
	for (int i = 0; i < 5; i++)
		assert_int_equal(catalog_mark_damaged(f->catalog, inos[i], "flipped", NULL), 0);
	assert_item(
	        f, "damaged", "backups/full/20261120T020004Z.dump", REPORT_CRIT, 0,
	        "the next good one is backups/full/20261120T020005Z.dump, of 2026-11-20T02:00:05Z: if it is needed now, keepfs restore full/20261120T020005Z.dump; make another one now, and remove this one");
	assert_int_equal(catalog_mark_damaged(f->catalog, inos[5], "flipped", NULL), 0);
	assert_item(f, "damaged", "backups/full/20261120T020000Z.dump", REPORT_CRIT, 0,
	            "there is no other good one of it");
	assert_item(f, "damaged", "", REPORT_CRIT, 0, NULL); /* how many */
}

static void failing_reads(void **state)
{
	struct fixture *f = *state;

	assert_no_item(f, "reads");
	f->sources.troubles = report_troubles_new();
	assert_no_item(f, "reads");
	report_trouble(f->sources.troubles, "a", EIO, "no answer");
	f->sources.now_us = clock_now_us() + 60 * US_PER_S;
	assert_item(f, "reads", "", REPORT_WARN, 0, "status/last-error");
	f->sources.now_us += 10 * 60 * US_PER_S;
	assert_no_item(f, "reads");
	report_troubles_free(f->sources.troubles);
}

static void a_cache_that_cannot_be_used(void **state)
{
	struct fixture *f = *state;

	f->sources.troubles = report_troubles_new();
	assert_no_item(f, "cache");
	report_no_cache(f->sources.troubles, "no such directory");
	assert_item(f, "cache", "", REPORT_WARN, 0, "mount anew");
	report_troubles_free(f->sources.troubles);
}

static void a_configuration_that_is_not_in_force(void **state)
{
	struct fixture *f = *state;

	f->sources.troubles = report_troubles_new();
	assert_no_item(f, "configuration");
	report_conf_trouble(f->sources.troubles, "x.conf:3: is wrong", "mend the file");
	assert_item(f, "configuration", "", REPORT_WARN, 0, "mend the file");
	report_conf_trouble(f->sources.troubles, NULL, NULL);
	assert_no_item(f, "configuration");
	report_troubles_free(f->sources.troubles);
}

static void the_store(void **state)
{
	struct fixture *f = *state;

	assert_item(f, "store", "s3://bucket", REPORT_WARN, 0, "keepfs check");
	add_run(f, "full", RUN_COMPLETED, NULL);
	assert_item(f, "store", "s3://bucket", REPORT_OK, 0, NULL);
	set_probe(f, "store", true, AT_US);
	assert_item(f, "store", "s3://bucket", REPORT_OK, 0, NULL);
	/* What was found out about one store says nothing of another. */
	f->conf.store.url = (char *)"s3://other";
	assert_item(f, "store", "s3://other", REPORT_OK, 0, NULL);
}

static void no_pg_dump(void **state)
{
	struct fixture *f = *state;

	set_probe(f, "pg_dump full", false, AT_US);
	assert_item(f, "pg_dump", "pg_dump full", REPORT_WARN, AT_US, "keepfs check");
	assert_no_item(f, "probe");
	/* A run of that job needed one. */
	add_run(f, "full", RUN_COMPLETED, NULL);
	assert_no_item(f, "pg_dump");
	assert_item(f, "probe", "", REPORT_OK, 0, NULL);
}

static void probes(void **state)
{
	struct fixture *f = *state;

	assert_no_item(f, "probe");
	set_probe(f, "database full/shop", false, AT_US);
	assert_item(f, "probe", "database full/shop", REPORT_WARN, AT_US, "keepfs check");
	set_probe(f, "store", false, AT_US + 1);
	assert_item(f, "probe", "store", REPORT_CRIT, AT_US + 1, "keepfs check");
	set_probe(f, "store", true, AT_US + 2);
	assert_item(f, "probe", "", REPORT_OK, 0, NULL);
	/* What a run has disproved is none. */
	set_probe(f, "store", false, AT_US);
	add_run(f, "full", RUN_COMPLETED, NULL);
	assert_item(f, "probe", "", REPORT_OK, 0, NULL);
}

static void space(void **state)
{
	struct fixture *f = *state;

	assert_item(f, "space", f->directory, REPORT_OK, 0, NULL);
	f->conf.store.url = (char *)"dir:/proc"; /* which has no free byte */
	assert_item(f, "space", "/proc", REPORT_WARN, 0, "make room");
	f->conf.store.url = (char *)"dir:/does/not/exist";
	assert_item(f, "space", "/does/not/exist", REPORT_WARN, 0, NULL);
}

static void a_catalog_that_cannot_be_read(void **state)
{
	struct fixture *f = *state;
	unsigned count = 0;

	f->conf.job_count = 2; /* each asks, and the store does */
	break_catalog(f);
	assert_item(f, "catalog", "", REPORT_CRIT, 0, "keepfs rebuild");
	{
		_cleanup(health) struct health h = gather(f);

		for (size_t i = 0; i < h.count; i++)
			count += strcmp(h.items[i].check, "catalog") == 0;
	}
	assert_int_equal(count, 1);
}

/* The list. */

/* Something of each check. */
static void fill(struct fixture *f)
{
	f->conf.job_count = 2;
	f->conf.store.url = (char *)"dir:/proc";
	f->sources.troubles = report_troubles_new();
	report_trouble(f->sources.troubles, "a", EIO, "no answer");
	report_no_cache(f->sources.troubles, "no such directory");
	set_probe(f, "store", false, AT_US);
	for (int i = 0; i < 7; i++)
		assert_int_equal(
		        catalog_mark_damaged(f->catalog, add_artifact(f, "full", i, 0, 100), "x", NULL), 0);
}

static void no_item_comes_twice(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str words = {0};
	struct health h;

	fill(f);
	h = gather(f);
	for (size_t i = 0; i < h.count; i++) {
		const struct health_item *item = &h.items[i];

		assert_ptr_equal(find_item(&h, item->check, item->subject), item);
		assert_true(*item->name && *item->text);
		str_appendf(&words, "%s ", item->check);
	}
	assert_string_equal(str_text(&words), "job job damaged damaged damaged damaged damaged damaged reads "
	                                      "cache store probe space space ");
	assert_int_equal(health_worst(&h), REPORT_CRIT);
	health_finish(&h);
	assert_int_equal(h.count, 0);
	report_troubles_free(f->sources.troubles);
}

/* The file is the list, and nothing else. */
static void the_status_file_is_the_list(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL, *file = NULL;

	fill(f);
	{
		_cleanup(health) struct health h = gather(f);

		health_write(&h, f->out);
	}
	text = text_of(f);
	file = written_by(f, report_health);
	assert_string_equal(file, text);
	report_troubles_free(f->sources.troubles);
}

static char *write_items(struct fixture *f, struct health_item *items, size_t count)
{
	const struct health h = {items, count};

	health_write(&h, f->out);
	return text_of(f);
}

static void items_as_lines(void **state)
{
	struct health_item items[] = {
	        {REPORT_OK, "store", (char *)"s3://b", (char *)"store", 0, (char *)"fine\n", NULL},
	        {REPORT_WARN, "job", (char *)"a", (char *)"job a", 0, (char *)"two\nlines\x01",
	         (char *)"do it"},
	        {REPORT_CRIT, "probe", (char *)"x", (char *)"check x", 5, (char *)"bad", (char *)"try"},
	        {REPORT_WARN, "space", (char *)"/", (char *)"space", 0, (char *)"low", (char *)"make room"},
	        {REPORT_WARN, "reads", (char *)"", (char *)"reads", 0, (char *)"fail", (char *)"see"},
	};
	struct fixture *f = *state;
	_cleanup(free) char *all = write_items(f, items, ARRAY_SIZE(items)), *one = write_items(f, items, 1);
	_cleanup(free) char *none = write_items(f, NULL, 0);

	assert_string_equal(all, "CRIT 4 of 5 checks: job a, check x, space, reads\n"
	                         "OK    store: fine\n"
	                         "WARN  job a: two | lines\xef\xbf\xbd; do it\n"
	                         "CRIT  check x: bad (try)\n"
	                         "WARN  space: low: make room\n"
	                         "WARN  reads: fail: see\n");
	assert_string_equal(one, "OK all 1 checks are well\nOK    store: fine\n");
	assert_string_equal(none, "OK all 0 checks are well\n");
}

static void the_worst_level(void **state)
{
	struct health_item items[] = {{.level = REPORT_OK}, {.level = REPORT_CRIT}, {.level = REPORT_WARN}};

	assert_int_equal(health_worst(&(struct health){NULL, 0}), REPORT_OK);
	assert_int_equal(health_worst(&(struct health){items, 1}), REPORT_OK);
	assert_int_equal(health_worst(&(struct health){items, 3}), REPORT_CRIT);
	assert_int_equal(health_worst(&(struct health){items + 2, 1}), REPORT_WARN);
}

/* A text that says nothing is never well. */
static void the_level_of_a_text(void **state)
{
	static const struct {
		const char *text;
		enum report_health level;
	} cases[] = {
	        {"OK all 3 checks are well\n", REPORT_OK},
	        {"OK", REPORT_OK},
	        {"OK\n", REPORT_OK},
	        {"WARN 1 of 3 checks: store\n", REPORT_WARN},
	        {"CRIT 1 of 3 checks: store\n", REPORT_CRIT},
	        {"", REPORT_CRIT},
	        {"\n", REPORT_CRIT},
	        {" OK", REPORT_CRIT},
	        {"O", REPORT_CRIT},
	        {"OKAY", REPORT_CRIT},
	        {"ok", REPORT_CRIT},
	        {"WARNING", REPORT_CRIT},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (health_level_of(cases[i].text) != cases[i].level)
			fail_msg("'%s'", cases[i].text);
	for (enum report_health level = REPORT_OK; level <= REPORT_CRIT; level++)
		assert_int_equal(health_level_of(health_level_name(level)), level);
}

/* All were made on the same day: one was read back a month later, one when it was made, one never. */
static void what_nobody_reads_is_told(void **state)
{
	struct fixture *f = *state;
	struct conf *conf = (struct conf *)f->sources.conf;
	const int64_t day_us = INT64_C(86400) * US_PER_S;
	uint64_t read = add_artifact(f, "full", 0, 1, 100);

	add_artifact(f, "full", 1, 2, 100);
	add_artifact(f, "full", 2, 3, 100);
	assert_int_equal(catalog_set_proof(f->catalog, read, PROOF_BYTES, f->sources.now_us + 29 * day_us, 0,
	                                   NULL, NULL),
	                 0);
	conf->store.scrub_within_ms = 0;
	f->sources.now_us += 60 * day_us;
	assert_no_item(f, "scrub");
	conf->store.scrub_within_ms = 30 * day_us / 1000;
	assert_item(f, "scrub", "", REPORT_WARN, 0, "keepfs verify all level=0");
	assert_text_holds(f, "3 backups were not read from the store for more than 30 days");
	f->sources.now_us -= 30 * day_us;
	assert_text_holds(f, "2 backups");
	f->sources.now_us -= 20 * day_us;
	assert_no_item(f, "scrub");
}

static void leave_restore(struct fixture *f, const char *made, const char *before, enum restore_phase phase)
{
	struct catalog_restore x = {.run_id = 7, .phase = phase, .begun_at_us = 1007};

	str_copy(x.target, sizeof(x.target), "my shop");
	str_copy(x.server, sizeof(x.server), "host=db");
	str_copy(x.backup, sizeof(x.backup), "backups/full/x.dump");
	str_copy(x.made, sizeof(x.made), made);
	str_copy(x.before, sizeof(x.before), before);
	assert_int_equal(catalog_set_restore(f->catalog, &x, NULL), 0);
}

/* One that is at work is nothing to tell; one that is over and left something is, by what it did last. What is advised can be pasted, and
 * restores nothing, and drops nothing. */
static void what_a_restore_left_is_told(void **state)
{
	static const struct {
		const char *made, *before, *text, *what_to_do;
		enum restore_phase phase;
		enum report_health level;
	} cases[] = {
	        {"new_7", "old", "my shop is as it was; new_7 beside it, if it is there, may hold a part",
	         "at host=db drop new_7, if it is there", RESTORE_PHASE_BESIDE, REPORT_WARN},
	        {"new_7", "", "my shop was not made; new_7 beside it, if it is there, may hold a part",
	         "at host=db drop new_7, if it is there", RESTORE_PHASE_BESIDE, REPORT_WARN},
	        {"my shop", "", "the database my shop was made for it, or was to be",
	         "look at my shop, at host=db", RESTORE_PHASE_BESIDE, REPORT_WARN},
	        {"", "", "my shop itself was changed, or may have been", "look at my shop, at host=db",
	         RESTORE_PHASE_IN_PLACE, REPORT_CRIT},
	        {"new_7", "old", "either my shop is the restored database and old the old one", "at host=db",
	         RESTORE_PHASE_SWAP, REPORT_WARN},
	        {"new_7", "", "the restored database is my shop, or still new_7", "at host=db",
	         RESTORE_PHASE_SWAP, REPORT_WARN},
	        {".keepfs-restore-7", "", "but some of the backup are not there; nothing was replaced",
	         "keepfs restore forget run=7 to='my shop'", RESTORE_PHASE_FILES, REPORT_WARN},
	        {".keepfs-restore-7", "", "some are those of the backup, and others as they were",
	         "jobs/7/log", RESTORE_PHASE_FILES_OVER, REPORT_CRIT},
	};
	static const struct catalog_restore_which which = {.run_id = 7, .target = "my shop"};
	struct fixture *f = *state;
	uint64_t count;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		leave_restore(f, cases[i].made, cases[i].before, cases[i].phase);
		assert_no_item(f, "restore");
		assert_int_equal(catalog_leave_restore(f->catalog, &which, "why", NULL), 0);
		assert_item(f, "restore", "my shop", cases[i].level, 1007, cases[i].what_to_do);
		assert_item(f, "restore", "my shop", cases[i].level, 1007, "keepfs restore forget run=7 ");
		assert_text_holds(f, cases[i].text);
		assert_text_holds_not(f, "confirm=");
		assert_text_holds_not(f, "dropdb");
		assert_int_equal(catalog_forget_restores(f->catalog, &which, &count, NULL), 0);
		assert_no_item(f, "restore");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        REPORT_TEST(what_a_restore_left_is_told),
	        REPORT_TEST(a_job_without_runs),
	        REPORT_TEST(a_good_job),
	        REPORT_TEST(a_date_that_is_wrong_is_named),
	        REPORT_TEST(what_is_not_listed_is_named),
	        REPORT_TEST(what_nobody_reads_is_told),
	        REPORT_TEST(an_old_copy_of_the_catalog_is_told),
	        REPORT_TEST(what_is_missing_in_the_store_is_damaged),
	        REPORT_TEST(a_job_whose_backups_are_gone),
	        REPORT_TEST(a_job_fails_since_the_first_failure),
	        REPORT_TEST(two_failures_that_are_old),
	        REPORT_TEST(a_success_ends_a_failure),
	        REPORT_TEST(a_success_of_one_database),
	        REPORT_TEST(a_job_that_always_failed),
	        REPORT_TEST(a_failure_behind_many_cancelled_runs),
	        REPORT_TEST(a_job_warns_since_the_first_warning),
	        REPORT_TEST(each_job_has_an_item),
	        REPORT_TEST(a_registry),
	        REPORT_TEST(what_no_job_backs_up),
	        REPORT_TEST(many_databases_are_looked_up),
	        REPORT_TEST(damaged_backups),
	        REPORT_TEST(failing_reads),
	        REPORT_TEST(a_cache_that_cannot_be_used),
	        REPORT_TEST(a_configuration_that_is_not_in_force),
	        REPORT_TEST(the_store),
	        REPORT_TEST(no_pg_dump),
	        REPORT_TEST(probes),
	        REPORT_TEST(space),
	        REPORT_TEST(a_catalog_that_cannot_be_read),
	        REPORT_TEST(no_item_comes_twice),
	        REPORT_TEST(the_status_file_is_the_list),
	        REPORT_TEST(items_as_lines),
	        REPORT_TEST(the_worst_level),
	        REPORT_TEST(the_level_of_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

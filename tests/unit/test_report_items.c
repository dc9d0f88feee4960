// SPDX-License-Identifier: Apache-2.0
/* The items of health, check by check: what they are of, how bad it is and since when; and their renderings. The words
 * of the lines are looked at in test_report_health.c. */
#include "report_test.h"

#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/catalog/runs.h>

/* Ask all checks; release with health_finish(). */
static struct health gather(struct fixture *f)
{
	struct health h = {0};

	health_gather(&f->sources, &h);
	return h;
}

/* NULL when there is none. */
static const struct health_item *find_item(const struct health *h, const char *check, const char *subject)
{
	for (size_t i = 0; i < h->count; i++)
		if (strcmp(h->items[i].check, check) == 0 && strcmp(h->items[i].subject, subject) == 0)
			return &h->items[i];
	return NULL;
}

static void assert_none(struct fixture *f, const char *check)
{
	_cleanup(health) struct health h = gather(f);

	for (size_t i = 0; i < h.count; i++)
		if (strcmp(h.items[i].check, check) == 0)
			fail_msg("%s %s: %s", check, h.items[i].subject, h.items[i].text);
}

/* @what_to_do: a part of it; NULL: there is to be none. */
static void assert_item(struct fixture *f, const char *check, const char *subject, enum report_health level,
                        int64_t since_us, const char *what_to_do)
{
	_cleanup(health) struct health h = gather(f);
	const struct health_item *item = find_item(&h, check, subject);

	if (!item)
		fail_msg("there is no %s '%s'", check, subject);
	if (item->level != level)
		fail_msg("%s '%s' is %s: %s", check, subject, health_level_name(item->level), item->text);
	assert_int_equal(item->since_us, since_us);
	if (!what_to_do != !item->what_to_do || (what_to_do && !strstr(item->what_to_do, what_to_do)))
		fail_msg("%s '%s' says to do: %s", check, subject, item->what_to_do);
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
	assert_none(f, "clock");
	add_artifact(f, "full", INT64_C(40) * 86400, 2, 100);
	assert_item(f, "clock", ahead, REPORT_WARN, 0, "remove this one");
	f->sources.now_us += INT64_C(40) * 86400 * US_PER_S;
	assert_none(f, "clock");
	add_artifact(f, "full", INT64_C(39) * 86400, 3, 100);
	assert_item(f, "clock", ahead, REPORT_WARN, 0, "remove this one");
	add_artifact(f, "full", INT64_C(41) * 86400, 4, 100);
	f->sources.now_us += INT64_C(2) * 86400 * US_PER_S;
	assert_none(f, "clock");
}

static void what_is_not_listed_is_named(void **state)
{
	struct fixture *f = *state;
	struct catalog_unlisted rows[7] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(rows[i].path, sizeof(rows[i].path), "backups/full/%zu.dump", i);
		str_copy(rows[i].reason, sizeof(rows[i].reason), "not valid JSON");
	}
	assert_none(f, "unlisted");
	assert_int_equal(catalog_set_unlisted(f->catalog, rows, 1, NULL), 0);
	assert_item(f, "unlisted", "backups/full/0.dump", REPORT_WARN, 0, NULL);
	assert_int_equal(catalog_set_unlisted(f->catalog, rows, ARRAY_SIZE(rows), NULL), 0);
	assert_item(f, "unlisted", "backups/full/4.dump", REPORT_WARN, 0, NULL);
	assert_item(f, "unlisted", "", REPORT_WARN, 0, NULL);
	assert_int_equal(catalog_set_unlisted(f->catalog, NULL, 0, NULL), 0);
	assert_none(f, "unlisted");
}

static void what_is_missing_in_the_store_is_damaged(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);

	assert_int_equal(catalog_set_missing(f->catalog, ino, true, NULL), 0);
	assert_item(f, "damaged", "backups/full/20261120T020000Z.dump", REPORT_CRIT, 0, "make another one");
	assert_item(f, "job", "full", REPORT_WARN, 0, "make a good one");
	assert_int_equal(catalog_set_missing(f->catalog, ino, false, NULL), 0);
	assert_none(f, "damaged");
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
	assert_item(f, "job", "full", REPORT_CRIT, finished_at(f, first), NULL);
	add_artifact(f, "full", 0, 0, 100);
	assert_item(f, "job", "full", REPORT_WARN, finished_at(f, first), NULL);
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
	assert_item(f, "job", "full", REPORT_CRIT, finished_at(f, first), NULL);
	add_run(f, "full", RUN_FAILED, "refused");
	assert_item(f, "job", "full", REPORT_CRIT, 0, NULL);
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

/* The others. */

static void damaged_backups(void **state)
{
	struct fixture *f = *state;
	uint64_t inos[6];

	for (int i = 0; i < 6; i++)
		inos[i] = add_artifact(f, "full", i, 0, 100);
	assert_none(f, "damaged");
	for (int i = 0; i < 5; i++)
		assert_int_equal(catalog_mark_damaged(f->catalog, inos[i], "flipped", NULL), 0);
	assert_item(f, "damaged", "backups/full/20261120T020004Z.dump", REPORT_CRIT, 0, "remove this one");
	assert_int_equal(catalog_mark_damaged(f->catalog, inos[5], "flipped", NULL), 0);
	assert_item(f, "damaged", "backups/full/20261120T020000Z.dump", REPORT_CRIT, 0, "remove this one");
	assert_item(f, "damaged", "", REPORT_CRIT, 0, NULL); /* how many */
}

static void failing_reads(void **state)
{
	struct fixture *f = *state;

	assert_none(f, "reads");
	f->sources.troubles = report_troubles_new();
	assert_none(f, "reads");
	report_trouble(f->sources.troubles, "a", EIO, "no answer");
	f->sources.now_us = clock_now_us() + 60 * US_PER_S;
	assert_item(f, "reads", "", REPORT_WARN, 0, "status/last-error");
	f->sources.now_us += 10 * 60 * US_PER_S;
	assert_none(f, "reads");
	report_troubles_free(f->sources.troubles);
}

static void a_cache_that_cannot_be_used(void **state)
{
	struct fixture *f = *state;

	f->sources.troubles = report_troubles_new();
	assert_none(f, "cache");
	report_no_cache(f->sources.troubles, "no such directory");
	assert_item(f, "cache", "", REPORT_WARN, 0, "mount anew");
	report_troubles_free(f->sources.troubles);
}

static void a_configuration_that_is_not_in_force(void **state)
{
	struct fixture *f = *state;

	f->sources.troubles = report_troubles_new();
	assert_none(f, "configuration");
	report_conf_trouble(f->sources.troubles, "x.conf:3: is wrong", "mend the file");
	assert_item(f, "configuration", "", REPORT_WARN, 0, "mend the file");
	report_conf_trouble(f->sources.troubles, NULL, NULL);
	assert_none(f, "configuration");
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

static void probes(void **state)
{
	struct fixture *f = *state;

	assert_none(f, "probe");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        REPORT_TEST(a_job_without_runs),
	        REPORT_TEST(a_good_job),
	        REPORT_TEST(a_date_that_is_wrong_is_named),
	        REPORT_TEST(what_is_not_listed_is_named),
	        REPORT_TEST(what_is_missing_in_the_store_is_damaged),
	        REPORT_TEST(a_job_whose_backups_are_gone),
	        REPORT_TEST(a_job_fails_since_the_first_failure),
	        REPORT_TEST(a_success_ends_a_failure),
	        REPORT_TEST(a_job_that_always_failed),
	        REPORT_TEST(a_failure_behind_many_cancelled_runs),
	        REPORT_TEST(a_job_warns_since_the_first_warning),
	        REPORT_TEST(each_job_has_an_item),
	        REPORT_TEST(damaged_backups),
	        REPORT_TEST(failing_reads),
	        REPORT_TEST(a_cache_that_cannot_be_used),
	        REPORT_TEST(a_configuration_that_is_not_in_force),
	        REPORT_TEST(the_store),
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

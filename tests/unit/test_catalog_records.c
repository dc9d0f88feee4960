// SPDX-License-Identifier: Apache-2.0
/* What leaves the catalog for the store: which rows may, and that they are in one place or the other at every moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/records.h>
#include <keepfs/catalog/runs.h>

#include "catalog_fixture.h"
#include "catalog_test.h"

static int64_t ended_run(struct fixture *f, const char *job)
{
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, run_of(job, "uid 0 (bash)"), &id, NULL), 0);
	assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_FAILED, "no", NULL), 0);
	return id;
}

static void add_runs(struct fixture *f, const char *job, int count)
{
	for (int i = 0; i < count; i++)
		ended_run(f, job);
}

/* "1 2 3 ": the old ones, by their numbers. */
static char *old_runs(struct fixture *f, const struct catalog_run_age *age)
{
	struct str text = {0};
	int64_t ids[32];
	ssize_t count = catalog_old_runs(f->catalog, age, ids, ARRAY_SIZE(ids));

	assert_true(count >= 0);
	for (ssize_t i = 0; i < count; i++)
		str_appendf(&text, "%" PRId64 " ", ids[i]);
	return str_take(&text);
}

static void assert_old(struct fixture *f, struct catalog_run_age age, const char *want)
{
	_cleanup(free) char *old = old_runs(f, &age);

	assert_string_equal(old, want);
}

static void runs_are_old_by_number(void **state)
{
	struct fixture *f = *state;

	assert_old(f, (struct catalog_run_age){.keep = 1, .keep_of_job = 1}, "");
	add_runs(f, "full", 5);
	assert_old(f, (struct catalog_run_age){.keep = 5, .keep_of_job = 1}, "");
	assert_old(f, (struct catalog_run_age){.keep = 3, .keep_of_job = 1}, "1 2 ");
	assert_old(f, (struct catalog_run_age){.keep = 0, .keep_of_job = 1}, "");
}

static void runs_are_old_by_age(void **state)
{
	struct fixture *f = *state;

	add_runs(f, "full", 3);
	assert_old(f,
	           (struct catalog_run_age){.before_us = clock_now_us() - 3600 * US_PER_S, .keep_of_job = 1},
	           "");
	assert_old(f,
	           (struct catalog_run_age){.before_us = clock_now_us() + 3600 * US_PER_S, .keep_of_job = 1},
	           "1 2 ");
}

/* Health looks at the last runs of each job, also of one that runs seldom. */
static void the_last_runs_of_each_job_are_never_old(void **state)
{
	struct fixture *f = *state;

	ended_run(f, "monthly");
	ended_run(f, "monthly");
	add_runs(f, "full", 5);
	assert_old(f, (struct catalog_run_age){.keep = 2, .keep_of_job = 1}, "1 3 4 5 ");
	assert_old(f, (struct catalog_run_age){.keep = 2, .keep_of_job = 2}, "3 4 5 ");
}

/* The tree shows jobs/<run>, and its backup names it. */
static void a_run_that_has_a_backup_is_not_old(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};

	add_runs(f, "full", 4);
	fill(&m, "backups/full", name_first_sequence(AT_US), 2, 100);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/full", AT_US, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	assert_old(f, (struct catalog_run_age){.keep = 1, .keep_of_job = 1}, "1 3 ");
}

static void a_run_that_lives_is_not_old(void **state)
{
	struct fixture *f = *state;
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, run_of("slow", "x"), &id, NULL), 0);
	add_runs(f, "full", 3);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_CANCELLED, "", NULL), 0);
	assert_int_equal(catalog_add_run(f->catalog, run_of("slow", "x"), &id, NULL), 0);
	assert_old(f, (struct catalog_run_age){.keep = 1, .keep_of_job = 1}, "1 2 3 ");
}

static struct catalog_record record_of(const char *key, const char *content)
{
	return (struct catalog_record){.key = (char *)(uintptr_t)key,
	                               .content = (char *)(uintptr_t)content,
	                               .bytes = strlen(content)};
}

static void add_audits(struct fixture *f, int count)
{
	for (int i = 0; i < count; i++) {
		const struct catalog_audit entry = {.at_us = AT_US + i, .action = "read", .result = "ok"};

		assert_int_equal(catalog_add_audit(f->catalog, &entry, NULL), 0);
	}
}

static bool see_two(void *arg, const struct catalog_audit *entry)
{
	str_appendf(arg, "%" PRId64 "@%" PRId64 " ", entry->id, entry->at_us - AT_US);
	return ((struct str *)arg)->len < strlen("1@0 2@1 ");
}

static void the_audit_is_read_from_its_oldest_line(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str all = {0}, rest = {0};
	int64_t first = 0, last = 0;

	assert_int_equal(catalog_audit_span(f->catalog, &first, &last), -ENOENT);
	add_audits(f, 3);
	assert_int_equal(catalog_audit_span(f->catalog, &first, &last), 0);
	assert_int_equal(first, 1);
	assert_int_equal(last, 3);
	assert_int_equal(catalog_audits_after(f->catalog, 0, see_two, &all), 0);
	assert_string_equal(str_text(&all), "1@0 2@1 ");
	assert_int_equal(catalog_audits_after(f->catalog, 2, see_two, &rest), 0);
	assert_string_equal(str_text(&rest), "3@2 ");
}

static void a_record_is_kept_until_its_end(void **state)
{
	struct fixture *f = *state;
	const struct catalog_record record = record_of("records/audit/x", "bytes"),
	                            other = record_of("y", "");
	_cleanup(catalog_record) struct catalog_record kept = {0};
	const int64_t ids[] = {1, 2};
	struct error err = {0};
	int64_t first = 0, last = 0;

	add_audits(f, 4);
	assert_int_equal(catalog_record(f->catalog, RECORD_AUDIT, &kept), -ENOENT);
	assert_int_equal(catalog_begin_record(f->catalog, RECORD_AUDIT, &record, ids, 2, NULL), 0);
	assert_int_equal(catalog_begin_record(f->catalog, RECORD_AUDIT, &other, ids, 1, &err), -EBUSY);
	assert_string_equal(err.message, "a record is under way already");
	/* A crash here: all is still there. */
	reopen(f);
	assert_int_equal(catalog_audit_span(f->catalog, &first, &last), 0);
	assert_int_equal(first, 1);
	assert_int_equal(catalog_record(f->catalog, RECORD_HISTORY, &kept), -ENOENT);
	assert_int_equal(catalog_record(f->catalog, RECORD_AUDIT, &kept), 0);
	assert_string_equal(kept.key, "records/audit/x");
	assert_int_equal(kept.bytes, 5);
	assert_memory_equal(kept.content, "bytes", 5);
	assert_int_equal(catalog_end_record(f->catalog, RECORD_AUDIT, NULL), 0);
	assert_int_equal(catalog_audit_span(f->catalog, &first, &last), 0);
	assert_int_equal(first, 3);
	assert_int_equal(last, 4);
	catalog_record_finish(&kept);
	assert_int_equal(catalog_record(f->catalog, RECORD_AUDIT, &kept), -ENOENT);
}

static void count_total(void *arg, const char *job, enum run_state state, uint64_t runs, int64_t ended_us)
{
	*(uint64_t *)arg += runs;
}

/* With a run go its databases and its log; how many there were does not change, and no number is given twice. */
static void runs_leave_whole(void **state)
{
	struct fixture *f = *state;
	const struct catalog_target target = {.label = "shop", .state = RUN_FAILED, .error = "no"};
	const struct catalog_record record = record_of("records/history/x", "bytes");
	const int64_t ids[] = {1, 3};
	struct catalog_run run;
	uint64_t runs = 0;

	add_runs(f, "full", 4);
	for (int64_t id = 1; id <= 4; id++) {
		assert_int_equal(catalog_set_target(f->catalog, id, &target, NULL), 0);
		assert_int_equal(catalog_log_run(f->catalog, id, "a line", NULL), 0);
	}
	assert_int_equal(catalog_begin_record(f->catalog, RECORD_HISTORY, &record, ids, 2, NULL), 0);
	assert_int_equal(catalog_run(f->catalog, 1, &run), 0);
	assert_int_equal(catalog_end_record(f->catalog, RECORD_HISTORY, NULL), 0);
	assert_int_equal(catalog_run(f->catalog, 1, &run), -ENOENT);
	assert_int_equal(catalog_run(f->catalog, 2, &run), 0);
	assert_int_equal(run.targets_failed, 1);
	assert_int_equal(catalog_run(f->catalog, 3, &run), -ENOENT);
	assert_int_equal(catalog_run_totals(f->catalog, count_total, &runs), 0);
	assert_int_equal(runs, 4);
	assert_int_equal(ended_run(f, "full"), 5);
}

/* It was found in the store, and listed, while the record of its run was on its way there. */
static void a_run_that_has_a_backup_again_stays(void **state)
{
	struct fixture *f = *state;
	const struct catalog_target target = {.label = "shop", .state = RUN_FAILED, .error = "no"};
	const struct catalog_record record = record_of("records/history/x", "bytes");
	const int64_t ids[] = {1, 2};
	_cleanup(manifest) struct manifest m = {0};
	struct catalog_target kept;
	struct catalog_run run;

	add_runs(f, "full", 2);
	assert_int_equal(catalog_set_target(f->catalog, 2, &target, NULL), 0);
	assert_int_equal(catalog_begin_record(f->catalog, RECORD_HISTORY, &record, ids, 2, NULL), 0);
	fill(&m, "backups/full", name_first_sequence(AT_US), 2, 100);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/full", AT_US, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	assert_int_equal(catalog_end_record(f->catalog, RECORD_HISTORY, NULL), 0);
	assert_int_equal(catalog_run(f->catalog, 1, &run), -ENOENT);
	assert_int_equal(catalog_run(f->catalog, 2, &run), 0);
	assert_int_equal(catalog_run_targets(f->catalog, 2, 0, &kept, 1), 1);
}

/* Whoever reads a backup changes the audit, and no other text. */
static void the_audit_has_a_generation_of_its_own(void **state)
{
	struct fixture *f = *state;
	const struct catalog_record record = record_of("records/audit/x", "bytes");
	const int64_t ids[] = {1};
	uint64_t audit = catalog_audit_generation(f->catalog), rest = catalog_rest_generation(f->catalog);

	add_audits(f, 2);
	assert_int_equal(catalog_audit_generation(f->catalog), audit + 2);
	assert_int_equal(catalog_rest_generation(f->catalog), rest);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/full", AT_US, NULL), 0);
	assert_int_equal(catalog_audit_generation(f->catalog), audit + 2);
	assert_int_equal(catalog_rest_generation(f->catalog), rest + 1);
	assert_int_equal(catalog_begin_record(f->catalog, RECORD_AUDIT, &record, ids, 1, NULL), 0);
	assert_int_equal(catalog_end_record(f->catalog, RECORD_AUDIT, NULL), 0);
	assert_int_equal(catalog_audit_generation(f->catalog), audit + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(runs_are_old_by_number),
	        TEST(runs_are_old_by_age),
	        TEST(the_last_runs_of_each_job_are_never_old),
	        TEST(a_run_that_has_a_backup_is_not_old),
	        TEST(a_run_that_lives_is_not_old),
	        TEST(the_audit_is_read_from_its_oldest_line),
	        TEST(a_record_is_kept_until_its_end),
	        TEST(runs_leave_whole),
	        TEST(a_run_that_has_a_backup_again_stays),
	        TEST(the_audit_has_a_generation_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

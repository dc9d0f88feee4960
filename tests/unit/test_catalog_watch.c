// SPDX-License-Identifier: Apache-2.0
/* What health asks the catalog: what is expected, the newest backups of a directory, what was stored, what is acknowledged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include <keepfs/catalog/acks.h>
#include <keepfs/catalog/schedules.h>
#include <keepfs/catalog/watch.h>

#include "catalog_fixture.h"

static int64_t since(struct fixture *f, const char *job, const char *target)
{
	int64_t us = -1;

	assert_int_equal(catalog_expected_since(f->catalog, job, target, &us), 0);
	return us;
}

static void expect(struct fixture *f, int64_t now_us, const struct catalog_expected *rows, size_t count)
{
	assert_int_equal(catalog_set_expected(f->catalog, rows, count, now_us, NULL), 0);
}

static void what_is_expected(void **state)
{
	struct fixture *f = *state;
	const struct catalog_expected first[] = {
	        {"full", "", "daily"}, {"many", "", "x"}, {"many", "a", "x"}};
	const struct catalog_expected second[] = {
	        {"full", "", "hourly"}, {"many", "", "x"}, {"many", "b", "x"}};

	assert_int_equal(since(f, "full", ""), 0);
	expect(f, 1000, first, 3);
	assert_int_equal(since(f, "full", ""), 1000);
	assert_int_equal(since(f, "many", "a"), 1000);
	assert_int_equal(since(f, "many", "b"), 0);
	/* What stays the same is expected since then; what is said otherwise, since now. */
	expect(f, 2000, second, 3);
	assert_int_equal(since(f, "full", ""), 2000);
	assert_int_equal(since(f, "many", ""), 1000);
	assert_int_equal(since(f, "many", "b"), 2000);
	assert_int_equal(since(f, "many", "a"), 0);
	expect(f, 3000, NULL, 0);
	assert_int_equal(since(f, "full", ""), 0);
	expect(f, 4000, first, 3);
	assert_int_equal(since(f, "full", ""), 4000);
}

static void add_counted(struct fixture *f, int64_t run_id, bool partial, int64_t rows)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path =
	        mem_printf("backups/full/202611%02dT020000Z%s.dump", (int)run_id, partial ? ".schema" : "");

	manifest_describe(&m, path, run_id, "primary");
	m.partial = partial;
	m.started_at_us = run_id * 100;
	m.finished_at_us = run_id * 100 + 50;
	if (rows >= 0) {
		manifest_set_fact_int(&m, "rows", rows);
		manifest_set_fact_int(&m, "raw_bytes", 10 * rows);
		manifest_set_fact_int(&m, "tables", 3);
		manifest_set_fact(&m, "selection", "abc");
	}
	manifest_put_own(&m, 40, 1, "");
	manifest_seal(&m);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/full", 1, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
}

static void the_newest_of_a_directory(void **state)
{
	struct fixture *f = *state;
	struct catalog_sample samples[4];
	struct catalog_good good;

	assert_int_equal(catalog_newest_good(f->catalog, "backups/full", INT64_MAX, &good), -ENOENT);
	assert_int_equal(catalog_samples(f->catalog, "backups/full", samples, 4), 0);
	add_counted(f, 1, false, -1); /* an older keepfs made it */
	add_counted(f, 2, false, 700);
	add_counted(f, 3, false, 800);
	add_counted(f, 4, true, 5);
	assert_int_equal(catalog_newest_good(f->catalog, "backups/full", INT64_MAX, &good), 0);
	assert_int_equal(good.started_at_us, 300);
	assert_int_equal(good.finished_at_us, 350);
	assert_int_equal(catalog_newest_good(f->catalog, "backups/full", 349, &good), 0);
	assert_int_equal(good.started_at_us, 200);
	assert_int_equal(catalog_newest_good(f->catalog, "backups/full", 100, &good), -ENOENT);
	assert_int_equal(catalog_samples(f->catalog, "backups/full", samples, 4), 2);
	assert_int_equal(samples[0].rows, 800);
	assert_int_equal(samples[0].raw_bytes, 8000);
	assert_int_equal(samples[0].tables, 3);
	assert_int_equal(samples[0].size_bytes, 40);
	assert_int_equal(samples[0].duration_us, 50);
	assert_string_equal(samples[0].kind, "dump custom full gzip abc");
	assert_int_equal(samples[1].rows, 700);
	assert_int_equal(catalog_samples(f->catalog, "backups/full", samples, 1), 1);
	/* What is of another kind than the newest is left out. */
	add_counted(f, 5, false, -1);
	assert_int_equal(catalog_samples(f->catalog, "backups/full", samples, 4), 2);
	assert_int_equal(samples[1].rows, -1);
	assert_int_equal(samples[1].raw_bytes, -1);
	assert_int_equal(samples[1].tables, -1);
	assert_string_equal(samples[1].kind, "dump custom full gzip ");
	assert_int_equal(catalog_mark_damaged(f->catalog,
	                                      ino_of_artifact("backups/full/20261105T020000Z.dump"), "x",
	                                      NULL),
	                 0);
	/* A damaged one is none. */
	assert_int_equal(catalog_mark_damaged(f->catalog,
	                                      ino_of_artifact("backups/full/20261103T020000Z.dump"), "x",
	                                      NULL),
	                 0);
	assert_int_equal(catalog_newest_good(f->catalog, "backups/full", INT64_MAX, &good), 0);
	assert_int_equal(good.started_at_us, 200);
	assert_int_equal(catalog_newest_good(f->catalog, "backups/other", INT64_MAX, &good), -ENOENT);
}

static void what_was_stored(void **state)
{
	struct fixture *f = *state;
	struct catalog_stored_day days[8];

	assert_int_equal(catalog_stored_days(f->catalog, days, 8), 0);
	assert_int_equal(catalog_note_stored(f->catalog, 100, 30, NULL), 0);
	add_counted(f, 1, false, 7);
	assert_int_equal(catalog_note_stored(f->catalog, 103, 30, NULL), 0);
	assert_int_equal(catalog_stored_days(f->catalog, days, 8), 2);
	assert_true(days[0].day == 100 && days[0].stored_bytes == 0);
	assert_true(days[1].day == 103 && days[1].stored_bytes == 40);
	/* The last word of a day counts, old days go, and so do those that have not come: the clock was ahead. */
	add_counted(f, 2, false, 7);
	assert_int_equal(catalog_note_stored(f->catalog, 103, 30, NULL), 0);
	assert_int_equal(catalog_note_stored(f->catalog, 131, 30, NULL), 0);
	assert_int_equal(catalog_stored_days(f->catalog, days, 8), 2);
	assert_true(days[0].day == 103 && days[0].stored_bytes == 80);
	assert_int_equal(catalog_stored_days(f->catalog, days, 1), 1);
	assert_int_equal(days[0].day, 131);
	assert_int_equal(catalog_note_stored(f->catalog, 104, 30, NULL), 0);
	assert_int_equal(catalog_stored_days(f->catalog, days, 8), 2);
	assert_int_equal(days[1].day, 104);
}

static void take_only_ack(void *arg, const struct catalog_ack *ack)
{
	*(struct catalog_ack *)arg = *ack;
}

static void what_is_acknowledged(void **state)
{
	struct fixture *f = *state;
	struct catalog_ack ack = {.check = "overdue",
	                          .subject = "full",
	                          .level = 1,
	                          .until_us = 5,
	                          .at_us = 3,
	                          .said_by = "uid 0 (bash)",
	                          .note = "holiday"};
	struct catalog_ack found = {0};

	assert_int_equal(catalog_drop_ack(f->catalog, "overdue", "full", NULL), -ENOENT);
	assert_int_equal(catalog_set_ack(f->catalog, &ack, NULL), 0);
	ack.level = 2;
	assert_int_equal(catalog_set_ack(f->catalog, &ack, NULL), 0);
	assert_int_equal(catalog_each_ack(f->catalog, take_only_ack, &found), 0);
	assert_memory_equal(&found, &ack, sizeof(ack));
	assert_int_equal(catalog_drop_ack(f->catalog, "overdue", "tenants", NULL), -ENOENT);
	assert_int_equal(catalog_drop_ack(f->catalog, "overdue", "full", NULL), 0);
	found = (struct catalog_ack){0};
	assert_int_equal(catalog_each_ack(f->catalog, take_only_ack, &found), 0);
	assert_string_equal(found.check, "");
}

static void take_switched_job(void *arg, const struct catalog_switch *s)
{
	str_appendf(arg, "[%s] ", s->job);
}

static void only_what_concerns_a_job_was_said_of_it(void **state)
{
	struct fixture *f = *state;
	static const char *const jobs[] = {"full", "other", ""};
	_cleanup(str) struct str none = {0}, some = {0};

	assert_int_equal(catalog_switches_of(f->catalog, "full", take_switched_job, &none), 0);
	assert_string_equal(str_text(&none), "");
	for (size_t i = 0; i < 3; i++) {
		struct catalog_switch s = {.is_off = true, .at_us = 1};

		str_copy(s.job, sizeof(s.job), jobs[i]);
		assert_int_equal(catalog_set_switch(f->catalog, &s, NULL), 0);
	}
	assert_int_equal(catalog_switches_of(f->catalog, "full", take_switched_job, &some), 0);
	assert_string_equal(str_text(&some), "[] [full] ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(what_is_expected),
	        TEST(the_newest_of_a_directory),
	        TEST(what_was_stored),
	        TEST(what_is_acknowledged),
	        TEST(only_what_concerns_a_job_was_said_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

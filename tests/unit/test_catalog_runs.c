// SPDX-License-Identifier: Apache-2.0
/* Runs: their rules, sums, order and log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/catalog/runs.h>

#include "catalog_fixture.h"
#include "catalog_test.h"

static int64_t new_run(struct fixture *f, const char *job)
{
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, run_of(job, "uid 0 (bash)"), &id, NULL), 0);
	return id;
}

static void a_job_has_one_run_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	int64_t first = new_run(f, "full"), other = new_run(f, "media"), id = -1;

	assert_int_not_equal(first, other);
	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "x"), &id, &err), -EBUSY);
	assert_int_equal(err.class, ERROR_CONFLICT);
	assert_non_null(strstr(err.message, "run 1 is pending"));
	assert_int_equal(catalog_start_run(f->catalog, first, NULL), 0);
	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "x"), &id, &err), -EBUSY);
	assert_non_null(strstr(err.message, "run 1 is running"));
	assert_int_equal(id, -1);
	assert_int_equal(catalog_finish_run(f->catalog, first, RUN_FAILED, "pg_dump: no", NULL), 0);
	assert_int_equal(new_run(f, "full"), 3);
}

struct run_totals {
	uint64_t full[RUN_STATES], media[RUN_STATES];
	int64_t full_ended[RUN_STATES];
};

static void take_run_total(void *arg, const char *job, enum run_state state, uint64_t runs, int64_t ended_us)
{
	struct run_totals *totals = arg;

	if (strcmp(job, "full") == 0) {
		totals->full[state] = runs;
		totals->full_ended[state] = ended_us;
	} else {
		assert_string_equal(job, "media");
		totals->media[state] = runs;
	}
}

static void runs_are_counted_by_state(void **state)
{
	struct fixture *f = *state;
	struct run_totals none = {0}, live = {0}, ended = {0};
	struct catalog_run run;
	int64_t id = new_run(f, "full"), last = 0;

	assert_int_equal(catalog_run_totals(f->catalog, take_run_total, &none), 0);
	assert_int_equal(none.full[RUN_PENDING], 1);
	assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	new_run(f, "media");
	assert_int_equal(catalog_run_totals(f->catalog, take_run_total, &live), 0);
	assert_int_equal(live.full[RUN_PENDING], 0);
	assert_int_equal(live.full[RUN_RUNNING], 1);
	assert_int_equal(live.full_ended[RUN_RUNNING], 0);
	assert_int_equal(live.media[RUN_PENDING], 1);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_FAILED, "no", NULL), 0);
	for (int i = 0; i < 2; i++) {
		last = new_run(f, "full");
		assert_int_equal(catalog_start_run(f->catalog, last, NULL), 0);
		assert_int_equal(catalog_finish_run(f->catalog, last, RUN_COMPLETED, NULL, NULL), 0);
	}
	assert_int_equal(catalog_finish_run(f->catalog, new_run(f, "full"), RUN_CANCELLED, NULL, NULL), 0);
	assert_int_equal(catalog_run_totals(f->catalog, take_run_total, &ended), 0);
	assert_int_equal(ended.full[RUN_RUNNING], 0);
	assert_int_equal(ended.full[RUN_COMPLETED], 2);
	assert_int_equal(ended.full[RUN_FAILED], 1);
	assert_int_equal(ended.full[RUN_CANCELLED], 1);
	assert_int_equal(catalog_run(f->catalog, last, &run), 0);
	assert_int_equal(ended.full_ended[RUN_COMPLETED], run.finished_at_us);
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_int_equal(ended.full_ended[RUN_FAILED], run.finished_at_us);
}

/* A run that is made of two manifests counts once, and ended when the later one did. */
static void runs_of_a_rebuild_are_counted(void **state)
{
	struct fixture *f = *state;
	struct run_totals totals = {0};

	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add_for(f, "b", (SECONDS + 5) * 1000, 9), 0);
	assert_int_equal(add_for(f, "a", SECONDS * 1000, 9), 0);
	assert_int_equal(add_for(f, "a", (SECONDS + 60) * 1000, 10), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_int_equal(catalog_run_totals(f->catalog, take_run_total, &totals), 0);
	assert_int_equal(totals.full[RUN_COMPLETED], 2);
	assert_int_equal(totals.full_ended[RUN_COMPLETED], AT_US + 61 * US_PER_S + 5);
}

static void a_run_keeps_what_its_trigger_said(void **state)
{
	struct fixture *f = *state;
	struct catalog_run asked = {.job = "full",
	                            .kind = "dump",
	                            .triggered_by = "uid 7 (sh)",
	                            .note = "before the upgrade",
	                            .options = "format=plain content=schema"};
	struct catalog_run run;
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, &asked, &id, NULL), 0);
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_string_equal(run.triggered_by, "uid 7 (sh)");
	assert_string_equal(run.note, "before the upgrade");
	assert_string_equal(run.options, "format=plain content=schema");
	assert_string_equal(run.warning, "");
	assert_int_equal(catalog_warn_run(f->catalog, id, "slow", NULL), 0);
	assert_int_equal(catalog_warn_run(f->catalog, id, "no room soon", NULL), 0);
	assert_int_equal(catalog_warn_run(f->catalog, 99, "x", NULL), -ENOENT);
	assert_int_equal(catalog_runs(f->catalog, "full", 0, &run, 1), 1);
	assert_string_equal(run.warning, "slow; no room soon");
}

static void states_go_forward_only(void **state)
{
	struct fixture *f = *state;
	struct catalog_run run;
	int64_t id = new_run(f, "full");

	assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	assert_int_equal(catalog_start_run(f->catalog, id, NULL), -ENOENT);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_COMPLETED, NULL, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_FAILED, "late", NULL), -ENOENT);
	assert_int_equal(catalog_start_run(f->catalog, 99, NULL), -ENOENT);
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_string_equal(run.error, "");
	assert_true(run.queued_at_us > 0 && run.started_at_us >= run.queued_at_us);
	assert_true(run.finished_at_us >= run.started_at_us);
	assert_int_equal(catalog_run(f->catalog, 99, &run), -ENOENT);
}

static void a_run_sums_up_its_targets(void **state)
{
	struct fixture *f = *state;
	int64_t id = new_run(f, "full");
	struct catalog_target bad = {
	        .label = "b", .state = RUN_FAILED, .size_bytes = 5, .error = "no such role"};
	struct catalog_target good = {.label = "a", .state = RUN_RUNNING};
	struct catalog_target targets[4];
	struct catalog_run run;

	assert_int_equal(catalog_set_target(f->catalog, id, &good, NULL), 0);
	assert_int_equal(catalog_set_target(f->catalog, id, &bad, NULL), 0);
	assert_int_equal(add_for(f, "a", SECONDS * 1000, id), 0);
	good.state = RUN_COMPLETED;
	good.size_bytes = 10;
	str_copy(good.path, sizeof(good.path), "backups/full/20261120T020000Z.dump");
	assert_int_equal(catalog_set_target(f->catalog, id, &good, NULL), 0);
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_int_equal(run.targets, 2);
	assert_int_equal(run.targets_failed, 1);
	assert_int_equal(run.size_bytes, 10);
	assert_int_equal(strlen(run.sha256), 64);
	assert_int_equal(catalog_run_targets(f->catalog, id, 0, targets, 4), 2);
	assert_string_equal(targets[0].label, "a");
	assert_string_equal(targets[0].path, "backups/full/20261120T020000Z.dump");
	assert_string_equal(targets[1].error, "no such role");
	assert_int_equal(catalog_run_targets(f->catalog, id, 1, targets, 4), 1);
	assert_string_equal(targets[0].label, "b");
	assert_int_equal(catalog_run_targets(f->catalog, id, 2, targets, 4), 0);
	assert_int_equal(catalog_set_target(f->catalog, 99, &good, NULL), -ENOENT);
}

static void put_target(struct fixture *f, int64_t id, const char *database, enum run_state state)
{
	struct catalog_target target = {.state = state};

	str_copy(target.label, sizeof(target.label), database);
	if (state == RUN_FAILED)
		str_copy(target.error, sizeof(target.error), "no such role");
	assert_int_equal(catalog_set_target(f->catalog, id, &target, NULL), 0);
}

/* What could not be kept of a database while it was known is kept with the end of its run. */
static void expect_settled(struct fixture *f, const char *job, enum run_state state, const char *error)
{
	int64_t id = new_run(f, job), other = new_run(f, "other");
	struct catalog_target targets[5];
	struct catalog_run run;

	put_target(f, id, "a", RUN_COMPLETED);
	put_target(f, id, "b", RUN_FAILED);
	put_target(f, id, "c", RUN_RUNNING);
	put_target(f, id, "d", RUN_PENDING);
	put_target(f, other, "c", RUN_RUNNING);
	assert_int_equal(catalog_finish_run(f->catalog, id, state, error, NULL), 0);
	assert_int_equal(catalog_run_targets(f->catalog, id, 0, targets, 5), 4);
	assert_int_equal(targets[0].state, RUN_COMPLETED);
	assert_string_equal(targets[0].error, "");
	assert_int_equal(targets[1].state, RUN_FAILED);
	assert_string_equal(targets[1].error, "no such role");
	for (int i = 2; i < 4; i++) {
		assert_int_equal(targets[i].state, state);
		assert_string_equal(targets[i].error, error);
	}
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_int_equal(run.targets_failed, state == RUN_FAILED ? 3 : 1);
	assert_int_equal(catalog_run_targets(f->catalog, other, 0, targets, 5), 1);
	assert_int_equal(targets[0].state, RUN_RUNNING);
	/* Nor does a second end change anything. */
	assert_int_equal(catalog_finish_run(f->catalog, other, RUN_COMPLETED, NULL, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, other, RUN_FAILED, "late", NULL), -ENOENT);
	assert_int_equal(catalog_run_targets(f->catalog, other, 0, targets, 5), 1);
	assert_int_equal(targets[0].state, RUN_COMPLETED);
	assert_string_equal(targets[0].error, "");
}

static void the_end_of_a_run_is_that_of_its_targets(void **state)
{
	expect_settled(*state, "full", RUN_FAILED, "2 of 4 databases failed");
	expect_settled(*state, "media", RUN_CANCELLED, "cancelled");
}

static void a_listed_artifact_is_noted_at_its_run(void **state)
{
	struct fixture *f = *state;
	int64_t id = new_run(f, "full"), other = new_run(f, "other");
	struct catalog_run run;

	assert_int_equal(add_for(f, "a", SECONDS * 1000, id), 0);
	assert_int_equal(add_for(f, "a", SECONDS * 1000 + 1, other), 0); /* another job's run: not noted */
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_int_equal(run.targets, 1);
	assert_int_equal(run.size_bytes, 10);
	assert_int_equal(catalog_run(f->catalog, other, &run), 0);
	assert_int_equal(run.targets, 0);
}

static void runs_come_newest_first(void **state)
{
	struct fixture *f = *state;
	struct catalog_run runs[4];

	for (int i = 0; i < 5; i++)
		assert_int_equal(catalog_finish_run(f->catalog, new_run(f, i % 2 ? "b" : "a"), RUN_COMPLETED,
		                                    NULL, NULL),
		                 0);
	assert_int_equal(catalog_runs(f->catalog, NULL, 0, runs, 4), 4);
	assert_int_equal(runs[0].id, 5);
	assert_int_equal(runs[3].id, 2);
	assert_int_equal(catalog_runs(f->catalog, NULL, 2, runs, 4), 1);
	assert_int_equal(runs[0].id, 1);
	assert_int_equal(catalog_runs(f->catalog, "b", 0, runs, 4), 2);
	assert_int_equal(runs[0].id, 4);
	assert_int_equal(catalog_runs(f->catalog, "c", 0, runs, 4), 0);
}

static void sum_ids(void *arg, const struct catalog_run *run)
{
	*(int64_t *)arg += run->id;
}

static void unfinished_runs_survive_a_restart(void **state)
{
	struct fixture *f = *state;
	int64_t a = new_run(f, "a"), b = new_run(f, "b"), c = new_run(f, "c"), ids = 0;

	assert_int_equal(catalog_start_run(f->catalog, b, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, c, RUN_CANCELLED, "cancelled", NULL), 0);
	reopen(f);
	assert_int_equal(catalog_unfinished_runs(f->catalog, sum_ids, &ids), 0);
	assert_int_equal(ids, a + b);
}

struct log_seen {
	unsigned lines;
	char first[32], last[32];
};

static void see_line(void *arg, int64_t number, int64_t at_us, const char *line)
{
	struct log_seen *seen = arg;

	if (seen->lines++ == 0)
		str_copy(seen->first, sizeof(seen->first), line);
	str_copy(seen->last, sizeof(seen->last), line);
}

static void log_lines(struct fixture *f, int64_t id, int from, int to)
{
	/* One transaction around all of them: a commit each would only wear the disk. */
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	for (int i = from; i <= to; i++) {
		char line[32];

		snprintf(line, sizeof(line), "line %d", i);
		assert_int_equal(catalog_log_run(f->catalog, id, line, NULL), 0);
	}
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
}

static void assert_log(struct fixture *f, int64_t id, int64_t after, unsigned lines, const char *first,
                       const char *last)
{
	struct log_seen seen = {0};

	assert_int_equal(catalog_run_log(f->catalog, id, after, see_line, &seen), 0);
	assert_int_equal(seen.lines, lines);
	assert_string_equal(seen.first, first);
	assert_string_equal(seen.last, last);
}

/* Those before go many at a time: a log that is followed must not lose a line for each that is added. */
static void a_run_keeps_its_last_2000_lines(void **state)
{
	struct fixture *f = *state;
	int64_t id = new_run(f, "full");

	log_lines(f, id, 1, 2499);
	assert_log(f, id, 0, 2499, "line 1", "line 2499");
	log_lines(f, id, 2500, 2500);
	assert_log(f, id, 0, 2000, "line 501", "line 2500");
	log_lines(f, id, 2501, 2999);
	assert_log(f, id, 0, 2499, "line 501", "line 2999");
	assert_log(f, id, 2997, 2, "line 2998", "line 2999");
	assert_log(f, id, 2999, 0, "", "");
	assert_log(f, id, 100, 2499, "line 501", "line 2999");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_job_has_one_run_at_a_time),
	        TEST(runs_are_counted_by_state),
	        TEST(runs_of_a_rebuild_are_counted),
	        TEST(a_run_keeps_what_its_trigger_said),
	        TEST(states_go_forward_only),
	        TEST(a_run_sums_up_its_targets),
	        TEST(the_end_of_a_run_is_that_of_its_targets),
	        TEST(a_listed_artifact_is_noted_at_its_run),
	        TEST(runs_come_newest_first),
	        TEST(unfinished_runs_survive_a_restart),
	        TEST(a_run_keeps_its_last_2000_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* The files of jobs/<run>/. */
#include "report_test.h"

static void test_run_status(void **state)
{
	struct fixture *f = *state;
	struct catalog_run run = sample_run;
	struct catalog_target good = {
	        .label = "acme co", .state = RUN_COMPLETED, .path = "backups/full/x.dump", .size_bytes = 12};
	struct catalog_target bad = {.label = "zoo", .state = RUN_FAILED, .error = "no such\ndatabase\n"};
	_cleanup(free) char *text = NULL;

	run.id = add_run(f, "full", RUN_RUNNING, NULL);
	assert_int_equal(catalog_set_target(f->catalog, run.id, &good, NULL), 0);
	assert_int_equal(catalog_set_target(f->catalog, run.id, &bad, NULL), 0);
	assert_int_equal(report_run_status(f->catalog, &run, NULL, f->out), 0);
	text = text_of(f);
	assert_string_equal(
	        text,
	        "run 1\njob full\nkind dump\nstate failed\ntriggered_by uid 0 (bash)\n"
	        "queued 2026-11-20T02:00:00Z\nstarted 2026-11-20T02:00:01Z\n"
	        "finished 2026-11-20T02:00:02Z\nseconds 1.500\nsize_bytes 12\nsha256 -\ntargets 2\n"
	        "targets_failed 1\nerror pg_dump: \"no\", it said | and more\n"
	        "note before the release\noptions format=plain\nwarning look at it\ndamaged x.dump: flipped\n"
	        "tier daily,weekly\norg shop\n"
	        "target completed 12 backups/full/x.dump acme co\n"
	        "target failed 0 - zoo: no such | database\n");
}

static void test_run_status_many_targets(void **state)
{
	struct fixture *f = *state;
	struct catalog_run run = sample_run;
	_cleanup(free) char *text = NULL;
	unsigned lines = 0;

	run.id = add_run(f, "full", RUN_RUNNING, NULL);
	for (int i = 0; i < 40; i++) {
		struct catalog_target target = {.state = RUN_PENDING};

		snprintf(target.label, sizeof(target.label), "db%02d", i);
		assert_int_equal(catalog_set_target(f->catalog, run.id, &target, NULL), 0);
	}
	assert_int_equal(report_run_status(f->catalog, &run, NULL, f->out), 0);
	text = text_of(f);
	for (const char *p = text; (p = strstr(p, "\ntarget pending 0 - db")); p++)
		lines++;
	assert_int_equal(lines, 40);
	assert_true(str_ends(text, " db39\n"));
}

static void test_run_progress(void **state)
{
	struct fixture *f = *state;
	struct catalog_run run = {.id = 3, .job = "full", .state = RUN_RUNNING};
	struct report_progress p = {.read_bytes = 10,
	                            .sent_bytes = 8,
	                            .verified_bytes = 3,
	                            .expected_bytes = 40,
	                            .elapsed_ms = 1500,
	                            .rate_bytes_per_s = 6,
	                            .eta_s = 5,
	                            .target = "a b%",
	                            .targets_done = 1};
	_cleanup(free) char *live = NULL, *unknown = NULL, *pending = NULL, *ended = NULL;

	report_run_progress(&run, &p, f->out);
	live = text_of(f);
	assert_string_equal(live,
	                    "run=3 job=full state=running read_bytes=10 sent_bytes=8 expected_bytes=40 "
	                    "elapsed_ms=1500 rate_bytes_per_s=6 eta_s=5 targets_done=1 verified_bytes=3 "
	                    "phase=dumping database=a%20b%25\n");
	p.eta_s = -1;
	p.target[0] = '\0';
	p.verifying = true;
	report_run_progress(&run, &p, f->out);
	unknown = text_of(f);
	assert_null(strstr(unknown, "eta_s"));
	assert_true(str_ends(unknown, " targets_done=1 verified_bytes=3 phase=verifying\n"));
	run.state = RUN_PENDING;
	report_run_progress(&run, &p, f->out);
	pending = text_of(f);
	assert_null(strstr(pending, "phase="));
	p = (struct report_progress){0};
	report_run_progress(&sample_run, &p, f->out);
	ended = text_of(f);
	assert_string_equal(ended, "run=17 job=full state=failed size_bytes=12 elapsed_ms=1500\n");
}

static void test_run_log(void **state)
{
	struct fixture *f = *state;
	int64_t id = add_run(f, "full", RUN_RUNNING, NULL), position = REPORT_WHOLE;
	_cleanup(free) char *text = NULL, *more = NULL, *none = NULL;

	assert_int_equal(catalog_log_run(f->catalog, id, "pg_dump: first", NULL), 0);
	assert_int_equal(catalog_log_run(f->catalog, id, "two\nlines\x01\n", NULL), 0);
	assert_int_equal(report_run_log(f->catalog, id, &position, f->out), 0);
	text = text_of(f);
	assert_true(str_starts(text, "20") && str_starts(text + 19, "Z pg_dump: first\n20"));
	assert_true(str_ends(text, "Z two | lines\xef\xbf\xbd\n"));
	assert_int_equal(position, 2);
	assert_int_equal(report_run_log(f->catalog, id, &position, f->out), 0);
	none = text_of(f);
	assert_string_equal(none, "");
	assert_int_equal(catalog_log_run(f->catalog, id, "third", NULL), 0);
	assert_int_equal(report_run_log(f->catalog, id, &position, f->out), 0);
	more = text_of(f);
	assert_true(str_starts(more + 19, "Z third\n") && strlen(more) == 27);
	assert_int_equal(position, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        REPORT_TEST(test_run_status),
	        REPORT_TEST(test_run_status_many_targets),
	        REPORT_TEST(test_run_progress),
	        REPORT_TEST(test_run_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

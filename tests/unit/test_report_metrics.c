// SPDX-License-Identifier: Apache-2.0
/* status/metrics.prom: the lines of its format, and what they say of a catalog and of counters. That the
 * whole text is well formed is looked at on a real mount (tests/e2e/test_metrics.py). */
#include "report_test.h"

#include "../../src/report/exposition.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/pool.h>
#include <keepfs/cache.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/copy.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/reader.h>
#include <keepfs/store.h>

#include <unistd.h>

static int set_up_two_jobs(void **state)
{
	struct fixture *f;

	set_up(state);
	f = *state;
	f->conf.job_count = 2;
	f->conf.memory_bytes = 3 * POOL_BUFFER_BYTES + 1;
	return 0;
}

static char *metrics_of(struct fixture *f)
{
	return written_by(f, report_metrics);
}

/* @line: whole, without its end. */
static void assert_line(const char *text, const char *line)
{
	_cleanup(free) char *with_ends = mem_printf("\n%s\n", line);

	if (!strstr(text, with_ends))
		fail_msg("want: %s\nin:\n%s", line, text);
}

static void assert_none(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("not wanted: %s\nin:\n%s", part, text);
}

/* The format. */

static void test_a_sample(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	expose_family(f->out, "a_bytes", "gauge", "Help.");
	expose_number(f->out, "a_bytes", NO_LABELS, UINT64_MAX);
	expose_number(f->out, "a_bytes", LABELS("job", "full"), 0);
	expose_number(f->out, "a_bytes", LABELS("job", "", "state", "x"), 1);
	expose_seconds(f->out, "b", NO_LABELS, AT_US + 42);
	expose_seconds(f->out, "b", NO_LABELS, -1);
	expose_counter(f->out, "c_total", "More.", 7);
	text = text_of(f);
	assert_string_equal(text, "# HELP a_bytes Help.\n# TYPE a_bytes gauge\n"
	                          "a_bytes 18446744073709551615\n"
	                          "a_bytes{job=\"full\"} 0\n"
	                          "a_bytes{job=\"\",state=\"x\"} 1\n"
	                          "b 1795140000.000042\n"
	                          "b 0.000000\n"
	                          "# HELP c_total More.\n# TYPE c_total counter\nc_total 7\n");
}

static void test_any_text_is_a_label(void **state)
{
	static const struct {
		const char *value, *written;
	} cases[] = {
	        {"\\", "\\\\"},
	        {"say \"no\"", "say \\\"no\\\""},
	        {"two\nlines\\n", "two\\nlines\\\\n"},
	        {"a,b={x}#", "a,b={x}#"},
	        {"sch\xc3\xb6n \xf0\x9f\x90\x98", "sch\xc3\xb6n \xf0\x9f\x90\x98"},
	        {"\xff", "\xef\xbf\xbd"},
	        {"cut \xc3", "cut \xef\xbf\xbd"},
	        {"\xed\xa0\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"}, /* a surrogate */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture *f = *state;
		_cleanup(free) char *text = NULL;
		_cleanup(free) char *wanted = mem_printf("m{l=\"%s\"} 1\n", cases[i].written);

		expose_number(f->out, "m", LABELS("l", cases[i].value), 1);
		text = text_of(f);
		assert_string_equal(text, wanted);
	}
}

static void test_a_histogram(void **state)
{
	struct fixture *f = *state;
	struct histogram h = {0};
	_cleanup(free) char *text = NULL;

	histogram_add(&h, 100);
	histogram_add(&h, 2500);
	histogram_add(&h, 2501);
	histogram_add(&h, 61 * US_PER_S);
	expose_histogram(f->out, "h", LABELS("call", "get"), &h);
	text = text_of(f);
	assert_string_equal(text, "h_bucket{call=\"get\",le=\"0.0001\"} 1\n"
	                          "h_bucket{call=\"get\",le=\"0.00025\"} 1\n"
	                          "h_bucket{call=\"get\",le=\"0.0005\"} 1\n"
	                          "h_bucket{call=\"get\",le=\"0.001\"} 1\n"
	                          "h_bucket{call=\"get\",le=\"0.0025\"} 2\n"
	                          "h_bucket{call=\"get\",le=\"0.005\"} 3\n"
	                          "h_bucket{call=\"get\",le=\"0.01\"} 3\n"
	                          "h_bucket{call=\"get\",le=\"0.025\"} 3\n"
	                          "h_bucket{call=\"get\",le=\"0.05\"} 3\n"
	                          "h_bucket{call=\"get\",le=\"0.1\"} 3\n"
	                          "h_bucket{call=\"get\",le=\"0.25\"} 3\n"
	                          "h_bucket{call=\"get\",le=\"0.5\"} 3\n"
	                          "h_bucket{call=\"get\",le=\"1\"} 3\n"
	                          "h_bucket{call=\"get\",le=\"2.5\"} 3\n"
	                          "h_bucket{call=\"get\",le=\"5\"} 3\n"
	                          "h_bucket{call=\"get\",le=\"10\"} 3\n"
	                          "h_bucket{call=\"get\",le=\"60\"} 3\n"
	                          "h_bucket{call=\"get\",le=\"+Inf\"} 4\n"
	                          "h_sum{call=\"get\"} 61.005101\n"
	                          "h_count{call=\"get\"} 4\n");
}

/* Backups and runs. */

static void assert_run_line(const char *text, const char *metric, const char *job, int64_t us)
{
	_cleanup(free) char *line = mem_printf("%s{backup_job=\"%s\"} %" PRId64 ".%06" PRId64, metric, job,
	                                       us / US_PER_S, us % US_PER_S);

	assert_line(text, line);
}

/* An alert that looks for an old backup must not be kept quiet by a clock that was ahead. */
static void test_a_date_ahead(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *ahead = NULL, *right = NULL;

	add_artifact(f, "full", INT64_C(40) * 86400, 1, 100);
	ahead = metrics_of(f);
	assert_line(ahead, "keepfs_newest_backup_timestamp_seconds{backup_job=\"full\"} 0.000000");
	add_artifact(f, "full", 60, 2, 100);
	right = metrics_of(f);
	assert_line(right, "keepfs_newest_backup_timestamp_seconds{backup_job=\"full\"} 1795140060.000000");
}

static void test_jobs(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;
	struct catalog_run completed, failed;

	add_artifact(f, "full", 0, 0, 100);
	add_artifact(f, "full", 60, 0, 100);
	add_partial_artifact(f, "full", 90, 0, 100);
	assert_int_equal(catalog_run(f->catalog, add_run(f, "full", RUN_COMPLETED, NULL), &completed), 0);
	assert_int_equal(catalog_run(f->catalog, add_run(f, "full", RUN_FAILED, NULL), &failed), 0);
	add_run(f, "full", RUN_RUNNING, NULL);
	text = metrics_of(f);
	assert_line(text, "keepfs_backups{backup_job=\"full\"} 3");
	assert_line(text, "keepfs_stored_bytes{backup_job=\"full\"} 300");
	assert_line(text, "keepfs_newest_backup_timestamp_seconds{backup_job=\"full\"} 1795140060.000000");
	assert_run_line(text, "keepfs_last_success_timestamp_seconds", "full", completed.finished_at_us);
	assert_run_line(text, "keepfs_last_failure_timestamp_seconds", "full", failed.finished_at_us);
	assert_run_line(text, "keepfs_last_run_start_timestamp_seconds", "full", failed.started_at_us);
	assert_run_line(text, "keepfs_last_run_end_timestamp_seconds", "full", failed.finished_at_us);
	assert_run_line(text, "keepfs_last_run_duration_seconds", "full",
	                failed.finished_at_us - failed.started_at_us);
	assert_line(text, "keepfs_last_run_size_bytes{backup_job=\"full\"} 0");
	assert_line(text, "keepfs_last_run_state{backup_job=\"full\",state=\"failed\"} 1");
	assert_line(text, "keepfs_last_run_state{backup_job=\"full\",state=\"completed\"} 0");
	assert_line(text, "keepfs_runs{backup_job=\"full\",state=\"completed\"} 1");
	assert_line(text, "keepfs_runs{backup_job=\"full\",state=\"failed\"} 1");
	assert_line(text, "keepfs_runs{backup_job=\"full\",state=\"running\"} 1");
	assert_line(text, "keepfs_runs{backup_job=\"full\",state=\"pending\"} 0");
	/* A job that has never run looks as if it did very long ago. */
	assert_line(text, "keepfs_backups{backup_job=\"tenants\"} 0");
	assert_line(text, "keepfs_newest_backup_timestamp_seconds{backup_job=\"tenants\"} 0.000000");
	assert_line(text, "keepfs_last_success_timestamp_seconds{backup_job=\"tenants\"} 0.000000");
	assert_line(text, "keepfs_runs{backup_job=\"tenants\",state=\"completed\"} 0");
	assert_none(text, "keepfs_last_run_state{backup_job=\"tenants\"");
	assert_none(text, "keepfs_live_run_read_bytes{");
}

/* What is not configured any more must not alarm for ever; a run that was cancelled before it began has no
 * times but its end. */
static void test_jobs_without_times(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	add_run(f, "old", RUN_COMPLETED, NULL);
	add_artifact(f, "old", 0, 0, 100);
	add_run(f, "full", RUN_CANCELLED, NULL);
	text = metrics_of(f);
	assert_line(text, "keepfs_backups{backup_job=\"old\"} 1");
	assert_line(text, "keepfs_runs{backup_job=\"old\",state=\"completed\"} 1");
	assert_none(text, "_seconds{backup_job=\"old\"");
	assert_none(text, "keepfs_last_run_state{backup_job=\"old\"");
	assert_line(text, "keepfs_last_run_state{backup_job=\"full\",state=\"cancelled\"} 1");
	assert_none(text, "keepfs_last_run_start_timestamp_seconds{");
	assert_none(text, "keepfs_last_run_duration_seconds{");
}

static bool tell_progress(void *arg, int64_t run_id, struct report_progress *ret)
{
	*ret = (struct report_progress){.read_bytes = 1,
	                                .sent_bytes = 2,
	                                .verified_bytes = 3,
	                                .expected_bytes = 4,
	                                .elapsed_ms = 5250};
	return run_id == *(int64_t *)arg;
}

static void test_live_runs(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;
	int64_t id = add_run(f, "full", RUN_RUNNING, NULL);

	add_run(f, "tenants", RUN_PENDING, NULL); /* it is over when it is asked for */
	f->sources.progress = tell_progress;
	f->sources.progress_arg = &id;
	text = metrics_of(f);
	assert_line(text, "keepfs_live_run_read_bytes{backup_job=\"full\"} 1");
	assert_line(text, "keepfs_live_run_sent_bytes{backup_job=\"full\"} 2");
	assert_line(text, "keepfs_live_run_verified_bytes{backup_job=\"full\"} 3");
	assert_line(text, "keepfs_live_run_expected_bytes{backup_job=\"full\"} 4");
	assert_line(text, "keepfs_live_run_elapsed_seconds{backup_job=\"full\"} 5.250000");
	assert_none(text, "keepfs_live_run_read_bytes{backup_job=\"tenants\"");
}

static unsigned count_parts(const char *text, const char *part)
{
	unsigned count = 0;

	while ((text = strstr(text, part))) {
		count++;
		text += strlen(part);
	}
	return count;
}

/* Health has a line for each damaged backup; a series comes once, with the worst. */
static void test_health(void **state)
{
	struct fixture *f = *state;
	struct catalog_probe probe = {.check = "database full/\"odd\"", .at_us = AT_US};
	_cleanup(free) char *text = NULL;

	for (int i = 0; i < 7; i++)
		assert_int_equal(
		        catalog_mark_damaged(f->catalog, add_artifact(f, "full", i, 0, 100), "x", NULL), 0);
	assert_int_equal(catalog_set_probes(f->catalog, "s3://bucket", &probe, 1, NULL), 0);
	text = metrics_of(f);
	assert_line(text, "keepfs_damaged_backups 7");
	assert_line(text, "keepfs_health_status 2");
	assert_line(text, "keepfs_health_check_status{check=\"damaged backup\"} 2");
	assert_int_equal(count_parts(text, "{check=\"damaged backup\"}"), 1);
	assert_line(text, "keepfs_health_check_status{check=\"job full\"} 1");
	assert_line(text, "keepfs_health_check_status{check=\"job tenants\"} 1");
	assert_line(text, "keepfs_health_check_status{check=\"store\"} 1");
	assert_line(text, "keepfs_health_check_status{check=\"check database full/\\\"odd\\\"\"} 1");
}

/* Counters. */

static void test_store(void **state)
{
	struct fixture *f = *state;
	static struct store_metrics m;
	_cleanup(free) char *text = NULL;
	_cleanup(free) char *url = mem_printf("dir:%s/objects", f->directory);
	_cleanup(store) struct store *store = NULL;

	memset(&m, 0, sizeof(m));
	f->conf.store.url = url;
	assert_int_equal(store_open(&f->conf.store, NULL, NULL, &store, NULL), 0);
	m.of[STORE_CALL_GET].calls = 9;
	m.of[STORE_CALL_GET].failures = 2;
	m.of[STORE_CALL_GET].bytes = 1 << 20;
	histogram_add(&m.of[STORE_CALL_GET].duration, 1500);
	m.failures_by_class[ERROR_NO_SPACE] = 3;
	f->sources.store = store;
	f->sources.store_metrics = &m;
	text = metrics_of(f);
	assert_line(text, "keepfs_store_calls_total{call=\"get\"} 9");
	assert_line(text, "keepfs_store_calls_total{call=\"uploads\"} 0");
	assert_line(text, "keepfs_store_failures_total{call=\"get\"} 2");
	assert_line(text, "keepfs_store_bytes_total{call=\"get\"} 1048576");
	assert_none(text, "keepfs_store_bytes_total{call=\"head\"}");
	assert_line(text, "keepfs_store_failures_by_class_total{class=\"no space\"} 3");
	assert_none(text, "class=\"none\"");
	assert_line(text, "keepfs_store_call_duration_seconds_sum{call=\"get\"} 0.001500");
	assert_line(text, "keepfs_store_call_duration_seconds_count{call=\"get\"} 1");
	assert_line(text, "keepfs_store_verified_timestamp_seconds 0.000000");
	assert_non_null(strstr(text, "\nkeepfs_store_capacity_bytes "));
	assert_non_null(strstr(text, "\nkeepfs_store_available_bytes "));
}

static void test_reader(void **state)
{
	struct fixture *f = *state;
	static struct reader_metrics m = {.requests = 1,
	                                  .request_bytes = 2,
	                                  .failures = 3,
	                                  .cancelled = 4,
	                                  .fetched_bytes = 5,
	                                  .ahead_bytes = 6,
	                                  .wrong_extents = 7,
	                                  .whole = 8,
	                                  .whole_wrong = 9,
	                                  .open_files = 10,
	                                  .used_buffers = 11};
	_cleanup(free) char *text = NULL;

	f->sources.reader_metrics = &m;
	text = metrics_of(f);
	assert_line(text, "keepfs_read_requests_total 1");
	assert_line(text, "keepfs_read_bytes_total 2");
	assert_line(text, "keepfs_read_failures_total 3");
	assert_line(text, "keepfs_read_cancelled_total 4");
	assert_line(text, "keepfs_read_fetched_bytes_total 5");
	assert_line(text, "keepfs_read_ahead_bytes_total 6");
	assert_line(text, "keepfs_read_wrong_extents_total 7");
	assert_line(text, "keepfs_read_whole_files_total 8");
	assert_line(text, "keepfs_read_wrong_files_total 9");
	assert_line(text, "keepfs_read_open_files 10");
	assert_line(text, "keepfs_read_buffer_bytes 11534336");
	assert_line(text, "keepfs_read_duration_seconds_count 0");
}

static void test_cache(void **state)
{
	struct fixture *f = *state;
	struct cache_piece piece = {.bytes = 5}, other = {.offset = 5, .bytes = 5};
	struct iovec iov = {(char[5]){"hello"}, 5};
	_cleanup(free) char *directory = mem_printf("%s/cache", f->directory), *text = NULL;

	assert_int_equal(cache_open(directory, 4 * CACHE_SLOT_BYTES, &f->sources.cache, NULL), 0);
	cache_write(f->sources.cache, &piece, &iov, 1);
	assert_true(cache_read(f->sources.cache, &piece, 0, &iov, 1));
	assert_true(cache_read(f->sources.cache, &piece, 0, &iov, 1));
	assert_false(cache_read(f->sources.cache, &other, 0, &iov, 1));
	text = metrics_of(f);
	f->sources.cache = cache_free(f->sources.cache);
	assert_line(text, "keepfs_cache_size_bytes 4194304");
	assert_line(text, "keepfs_cache_used_bytes 5");
	assert_line(text, "keepfs_cache_pieces 1");
	assert_line(text, "keepfs_cache_hits_total 2");
	assert_line(text, "keepfs_cache_misses_total 1");
	assert_line(text, "keepfs_cache_read_bytes_total 10");
	assert_line(text, "keepfs_cache_written_bytes_total 5");
	assert_line(text, "keepfs_cache_evictions_total 0");
	assert_line(text, "keepfs_cache_wrong_total 0");
	assert_line(text, "keepfs_cache_failures_total 0");
}

static void test_copy_of_the_catalog(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *none = NULL, *text = NULL;

	assert_int_equal(catalog_copy_begin(f->catalog, AT_US, NULL), 0);
	none = metrics_of(f);
	assert_none(none, "keepfs_catalog_copy");
	assert_int_equal(catalog_copy_note(f->catalog, "catalog/x", AT_US, NULL), 0);
	text = metrics_of(f);
	assert_line(text, "keepfs_catalog_copy_timestamp_seconds 1795140000.000000");
}

/* Nobody is there but the catalog. */
static void test_least(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = metrics_of(f);
	const char *fds = strstr(text, "\nkeepfs_process_open_fds ");

	assert_none(text, "keepfs_store_calls");
	assert_none(text, "keepfs_store_capacity");
	assert_none(text, "keepfs_read_");
	assert_none(text, "keepfs_cache_");
	assert_none(text, "keepfs_live_run_read_bytes{");
	assert_none(text, "keepfs_catalog_copy");
	assert_line(text, "keepfs_pool_bytes 3145728");
	assert_line(text, "keepfs_damaged_backups 0");
	assert_non_null(fds);
	assert_true(strtoul(fds + strlen("\nkeepfs_process_open_fds "), NULL, 10) > 2);
	assert_non_null(strstr(text, "\nkeepfs_process_resident_memory_bytes "));
	assert_non_null(strstr(text, "\nkeepfs_process_virtual_memory_bytes "));
	assert_non_null(strstr(text, "\nkeepfs_process_cpu_seconds_total "));
	assert_non_null(strstr(text, "\nkeepfs_process_max_fds "));
}

static void test_this_process_has_begun(void **state)
{
	static const char name[] = "\nkeepfs_process_start_time_seconds ";
	_cleanup(free) char *text = metrics_of(*state);
	const char *line = strstr(text, name);
	int64_t now_s = clock_now_us() / US_PER_S, began_s;

	assert_non_null(line);
	began_s = strtoll(line + strlen(name), NULL, 10);
	assert_in_range(began_s, now_s - 86400,
	                now_s + 2); /* the kernel's own start is told in whole seconds */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_two_jobs, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_a_sample),    TEST(test_any_text_is_a_label),
	        TEST(test_a_histogram), TEST(test_a_date_ahead),
	        TEST(test_jobs),        TEST(test_jobs_without_times),
	        TEST(test_live_runs),   TEST(test_health),
	        TEST(test_store),       TEST(test_cache),
	        TEST(test_reader),      TEST(test_copy_of_the_catalog),
	        TEST(test_least),       TEST(test_this_process_has_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

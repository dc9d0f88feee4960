// SPDX-License-Identifier: Apache-2.0
/* status/history.csv and history.jsonl, and a run as one of its lines. */
#include "report_test.h"

#include <keepfs/catalog/runs.h>
#include <keepfs/codec/json.h>

static void test_history_empty(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *csv = NULL, *jsonl = NULL;

	csv = written_by(f, report_history_csv);
	assert_string_equal(
	        csv, "run,job,kind,state,triggered_by,queued,started,finished,seconds,size_bytes,sha256,"
	             "targets,targets_failed,error,note,options,warning,damaged,tier,org\r\n");
	jsonl = written_by(f, report_history_jsonl);
	assert_string_equal(jsonl, "");
}

static void test_history_csv_quoting(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *csv = NULL;
	const char *first;
	int64_t run;

	add_run(f, "full", RUN_FAILED, "pg_dump: \"no\", it said\nand more");
	run = add_changed_run(f, "full", "tables=a,b", RUN_RUNNING, NULL);
	assert_int_equal(catalog_warn_run(f->catalog, run, "slow", NULL), 0);
	csv = written_by(f, report_history_csv);
	first = strstr(csv, "\r\n") + 2;
	/* The newest first; what is not known yet is empty. */
	assert_true(str_starts(first, "2,full,dump,running,uid 0 (bash),20"));
	assert_has(first, "Z,,,0,,0,0,,,\"tables=a,b\",slow,,,\r\n1,full,dump,failed,");
	assert_true(str_ends(csv, ",0,,0,0,\"pg_dump: \"\"no\"\", it said\nand more\",,,,,,\r\n"));
}

/* Errors hold what servers and people called things; both texts are shown on terminals. */
static void test_hostile_text(void **state)
{
	static const char error[] = "no \x1b[31m\xe2\x80\xae \xff \"x\"";
	struct fixture *f = *state;
	_cleanup(free) char *csv = NULL, *jsonl = NULL;
	_cleanup(json) struct json *run = NULL;

	add_run(f, "full", RUN_FAILED, error);
	csv = written_by(f, report_history_csv);
	assert_has(csv, ",\"no \xef\xbf\xbd[31m\xef\xbf\xbd \xef\xbf\xbd \"\"x\"\"\",");
	jsonl = written_by(f, report_history_jsonl);
	assert_has(jsonl, "\"no \\u001B[31m\\u202E \xef\xbf\xbd \\\"x\\\"\"");
	run = json_parse(jsonl, strlen(jsonl), NULL);
	assert_non_null(run);
	assert_string_equal(json_get_string(run, "error"), "no \x1b[31m\xe2\x80\xae \xef\xbf\xbd \"x\"");
}

/* It grows for ever; the texts do not. */
static void the_newest_runs_are_told(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *csv = NULL, *jsonl = NULL;

	for (int i = 0; i < 15; i++)
		add_run(f, "full", RUN_CANCELLED, NULL);
	f->conf.history_keep = 10;
	csv = written_by(f, report_history_csv);
	jsonl = written_by(f, report_history_jsonl);
	assert_has(csv, "\r\n15,full,");
	assert_has(csv, "\r\n5,full,");
	assert_null(strstr(csv, "\r\n4,full,"));
	assert_has(jsonl, "{\"run\":15,");
	assert_has(jsonl, "{\"run\":5,");
	assert_null(strstr(jsonl, "{\"run\":4,"));
}

/* More runs than a page of the catalog. */
static void test_history_pages(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;
	int64_t expected = 70;

	for (int i = 0; i < expected; i++)
		add_run(f, i % 2 ? "full" : "tenants", RUN_CANCELLED, NULL);
	text = written_by(f, report_history_jsonl);
	for (char *rest = text, *line; (line = strsep(&rest, "\n")) && *line; expected--) {
		_cleanup(json) struct json *j = json_parse(line, strlen(line), NULL);
		int64_t run = 0;

		assert_non_null(j);
		assert_true(json_get_int(j, "run", &run));
		assert_int_equal(run, expected);
		assert_string_equal(json_get_string(j, "state"), "cancelled");
	}
	assert_int_equal(expected, 0);
}

static void test_run_json(void **state)
{
	struct fixture *f = *state;
	struct catalog_run young = {.id = 1, .job = "full", .kind = "dump", .queued_at_us = AT_US};
	_cleanup(free) char *text = NULL, *young_text = NULL;

	report_run_json(&sample_run, f->out);
	text = text_of(f);
	assert_string_equal(
	        text,
	        "{\"run\":17,\"job\":\"full\",\"kind\":\"dump\",\"state\":\"failed\","
	        "\"triggered_by\":\"uid 0 (bash)\",\"queued\":\"2026-11-20T02:00:00.000000Z\","
	        "\"started\":\"2026-11-20T02:00:01.000000Z\","
	        "\"finished\":\"2026-11-20T02:00:02.500000Z\",\"seconds\":1.5,"
	        "\"size_bytes\":12,\"sha256\":null,\"targets\":2,\"targets_failed\":1,"
	        "\"error\":\"pg_dump: \\\"no\\\", it said\\nand more\","
	        "\"note\":\"before the release\",\"options\":\"format=plain\","
	        "\"warning\":\"look at it\",\"damaged\":\"x.dump: flipped\",\"tier\":\"daily,weekly\",\"org\":\"shop\"}\n");
	report_run_json(&young, f->out);
	young_text = text_of(f);
	assert_has(young_text, "\"started\":null,\"finished\":null,\"seconds\":null,");
	assert_has(
	        young_text,
	        "\"error\":null,\"note\":null,\"options\":null,\"warning\":null,\"damaged\":null,\"tier\":null,\"org\":null}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        REPORT_TEST(test_history_empty), REPORT_TEST(test_history_csv_quoting),
	        REPORT_TEST(test_hostile_text),  REPORT_TEST(the_newest_runs_are_told),
	        REPORT_TEST(test_history_pages), REPORT_TEST(test_run_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* What has grown old moves into a store: what is due, that nothing is lost or doubled, and that it can be read without
 * keepfs. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/error.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/records.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/json.h>
#include <keepfs/records.h>

#include "catalog_fixture.h"
#include "catalog_test.h"

#define DAY_US (24 * 3600 * US_PER_S)
#define DAY_MS (DAY_US / 1000)

static int64_t now_us;

static int64_t tell_now(void)
{
	return now_us;
}

struct moving {
	struct fixture *f;
	struct conf conf;
	struct store *store;
	struct records_context ctx;
};

/* The store again, now with calls that fail by @spec; without one that retries. */
static void open_faulty(struct moving *m, const char *spec)
{
	_cleanup(free) char *root = file_path(m->f, "store");

	m->store = store_free(m->store);
	assert_int_equal(store_dir_new(root, &m->store, NULL), 0);
	assert_int_equal(store_fault_new(m->store, spec, &m->store, NULL), 0);
	m->ctx = (struct records_context){
	        .conf = &m->conf, .catalog = m->f->catalog, .store = m->store, .now_us = tell_now};
}

static int begin_moving(void **state)
{
	struct moving *m = mem_alloc(sizeof(*m));
	void *fixture = NULL;

	assert_int_equal(set_up(&fixture), 0);
	m->f = fixture;
	open_faulty(m, "");
	now_us = AT_US;
	*state = m;
	return 0;
}

static int end_moving(void **state)
{
	struct moving *m = *state;
	void *fixture = m->f;

	store_free(m->store);
	free(m);
	return tear_down(&fixture);
}

/* Heap: what `zcat` makes of all objects below records/@directory, in the order of their names. */
static char *read_back(struct moving *m, const char *directory)
{
	_cleanup(free) char *command = mem_printf(
	        "cd %s/store && find records/%s -name '*.jsonl.gz' 2>/dev/null | LC_ALL=C sort | xargs -r zcat",
	        m->f->directory, directory);
	struct str text = {0};
	char buf[4096];
	size_t n;
	FILE *pipe = popen(command, "r");

	assert_non_null(pipe);
	while ((n = fread(buf, 1, sizeof(buf), pipe)) > 0)
		str_append_bytes(&text, buf, n);
	assert_int_equal(pclose(pipe), 0);
	return str_take(&text);
}

/* "1 2 3 ": @key of each line. */
static char *numbers_of(const char *lines, const char *key)
{
	_cleanup(free) char *copy = mem_strdup(lines);
	struct str numbers = {0};

	for (char *rest = copy, *line; (line = strsep(&rest, "\n")) && *line;) {
		_cleanup(json) struct json *j = json_parse(line, strlen(line), NULL);
		int64_t number = -1;

		assert_non_null(j);
		assert_true(json_get_int(j, key, &number));
		str_appendf(&numbers, "%" PRId64 " ", number);
	}
	return str_take(&numbers);
}

static void assert_moved(struct moving *m, const char *directory, const char *key, const char *want)
{
	_cleanup(free) char *lines = read_back(m, directory), *numbers = numbers_of(lines, key);

	assert_string_equal(numbers, want);
}

static void append_pid(void *arg, const struct catalog_audit *entry)
{
	str_appendf(arg, "%" PRId64 " ", entry->pid);
}

/* The audit that the catalog still has, by its pids, the newest first. */
static void assert_kept_audit(struct moving *m, const char *want)
{
	_cleanup(str) struct str pids = {0};

	assert_int_equal(catalog_audits(m->f->catalog, 0, append_pid, &pids), 0);
	assert_string_equal(str_text(&pids), want);
}

/* Lines with pids from @from on, one each @step_us. */
static void add_audits(struct moving *m, int from, int count, int64_t step_us)
{
	for (int i = from; i < from + count; i++) {
		const struct catalog_audit entry = {
		        .at_us = AT_US + i * step_us, .pid = i, .action = "read", .result = "ok"};

		assert_int_equal(catalog_add_audit(m->f->catalog, &entry, NULL), 0);
	}
}

static void move(struct moving *m)
{
	struct error err = {0};

	if (records_move(&m->ctx, NULL, &err) < 0)
		fail_msg("%s", err.message);
}

static void nothing_moves_while_little_is_there(void **state)
{
	struct moving *m = *state;

	move(m);
	m->conf.audit_keep = 20;
	add_audits(m, 1, 22, 1);
	move(m);
	assert_moved(m, "audit", "pid", "");
	m->conf.audit_keep = 0; /* all */
	move(m);
	assert_moved(m, "audit", "pid", "");
}

static void the_oldest_lines_move_when_there_are_too_many(void **state)
{
	struct moving *m = *state;

	m->conf.audit_keep = 3;
	add_audits(m, 1, 4, US_PER_S);
	move(m);
	assert_moved(m, "audit", "pid", "1 ");
	assert_kept_audit(m, "4 3 2 ");
	add_audits(m, 5, 2, US_PER_S);
	move(m);
	/* Nothing is there twice, and the order of names is that of time. */
	assert_moved(m, "audit", "pid", "1 2 3 ");
	assert_kept_audit(m, "6 5 4 ");
}

static void lines_move_when_they_are_old(void **state)
{
	struct moving *m = *state;

	m->conf.audit_age_ms = 10 * DAY_MS;
	add_audits(m, 0, 5, DAY_US);
	now_us = AT_US + 11 * DAY_US;
	move(m);
	assert_moved(m, "audit", "pid", "");
	/* The oldest is a tenth older than it may be: all that are too old go with it. */
	now_us += 1;
	move(m);
	assert_moved(m, "audit", "pid", "0 1 ");
	now_us = AT_US + 1000 * DAY_US;
	move(m);
	/* The newest stays: numbers go on from it. */
	assert_moved(m, "audit", "pid", "0 1 2 3 ");
	assert_kept_audit(m, "4 ");
}

static void a_line_is_what_the_text_showed(void **state)
{
	struct moving *m = *state;
	const struct catalog_audit entry = {.at_us = AT_US,
	                                    .uid = 1000,
	                                    .pid = -1,
	                                    .command = "cp",
	                                    .action = "read",
	                                    .object = "a \"b\"",
	                                    .result = "ok",
	                                    .detail = "d"};
	_cleanup(free) char *lines = NULL;

	m->conf.audit_keep = 1;
	assert_int_equal(catalog_add_audit(m->f->catalog, &entry, NULL), 0);
	assert_int_equal(catalog_add_audit(m->f->catalog, &entry, NULL), 0);
	move(m);
	lines = read_back(m, "audit");
	assert_string_equal(lines,
	                    "{\"at\":\"2026-11-20T02:00:00.000000Z\",\"uid\":1000,\"pid\":null,\"command\":"
	                    "\"cp\",\"action\":\"read\",\"object\":\"a \\\"b\\\"\",\"result\":\"ok\","
	                    "\"detail\":\"d\",\"number\":1,\"previous\":"
	                    "\"0000000000000000000000000000000000000000000000000000000000000000\"}\n");
}

/* More than one object holds. */
static void many_lines_become_several_objects(void **state)
{
	struct moving *m = *state;
	_cleanup(free) char *lines = NULL;
	struct store_object *found = NULL;
	size_t count = 0, rows = 0;
	bool more;

	m->conf.audit_keep = 10;
	add_audits(m, 1, 10100, 1);
	move(m);
	lines = read_back(m, "audit");
	for (const char *at = lines; (at = strchr(at, '\n')); at++)
		rows++;
	assert_int_equal(rows, 10090);
	assert_int_equal(store_list(m->store, NULL, "records/audit/", NULL, 10, &found, &count, &more, NULL),
	                 0);
	assert_int_equal(count, 2);
	assert_true(str_starts(found[0].key, "records/audit/20261120T020000Z-000000000001-"));
	assert_true(str_starts(found[1].key, "records/audit/20261120T020000Z-000000010001-"));
	assert_true(str_ends(found[0].key, ".jsonl.gz"));
	free(found);
}

static void assert_fails(struct moving *m, int want, const char *message)
{
	struct error err = {0};

	assert_int_equal(records_move(&m->ctx, NULL, &err), want);
	if (!strstr(err.message, message))
		fail_msg("want: %s\nin: %s", message, err.message);
}

static void a_store_that_fails_loses_nothing(void **state)
{
	struct moving *m = *state;

	m->conf.audit_keep = 2;
	add_audits(m, 1, 3, US_PER_S);
	open_faulty(m, "put:1:eio");
	assert_fails(m, -EIO, "a rehearsed fault");
	assert_kept_audit(m, "3 2 1 ");
	assert_moved(m, "audit", "pid", "");
	/* What is added meanwhile has an object of its own: that of the first attempt stays what it was. */
	add_audits(m, 4, 1, US_PER_S);
	move(m);
	assert_moved(m, "audit", "pid", "1 2 ");
	assert_kept_audit(m, "4 3 ");
}

/* The answer of the put was lost, or the process was killed behind it: the object is there, the rows are, too. */
static void what_was_put_already_is_not_put_twice(void **state)
{
	struct moving *m = *state;

	m->conf.audit_keep = 2;
	add_audits(m, 1, 3, US_PER_S);
	open_faulty(m, "put:1:timeout");
	assert_fails(m, -ETIMEDOUT, "");
	assert_moved(m, "audit", "pid", "1 ");
	assert_kept_audit(m, "3 2 1 ");
	reopen(m->f);
	open_faulty(m, "");
	move(m);
	assert_moved(m, "audit", "pid", "1 ");
	assert_kept_audit(m, "3 2 ");
}

static void rows_are_not_dropped_for_an_object_that_is_wrong(void **state)
{
	struct moving *m = *state;

	m->conf.audit_keep = 2;
	add_audits(m, 1, 3, US_PER_S);
	open_faulty(m, "get:1:corrupt");
	assert_fails(m, -EBADMSG, "is not what was put there");
	assert_kept_audit(m, "3 2 1 ");
	open_faulty(m, "");
	move(m);
	assert_kept_audit(m, "3 2 ");
}

static void add_ended_runs(struct moving *m, int count)
{
	for (int i = 0; i < count; i++) {
		const struct catalog_target target = {
		        .label = "sh\x1bop", .state = RUN_FAILED, .error = "no"};
		int64_t id = 0;

		assert_int_equal(catalog_add_run(m->f->catalog, run_of("full", "uid 0 (bash)"), &id, NULL),
		                 0);
		assert_int_equal(catalog_start_run(m->f->catalog, id, NULL), 0);
		assert_int_equal(catalog_set_target(m->f->catalog, id, &target, NULL), 0);
		assert_int_equal(catalog_log_run(m->f->catalog, id, "it said no", NULL), 0);
		assert_int_equal(catalog_finish_run(m->f->catalog, id, RUN_FAILED, "no", NULL), 0);
	}
}

static void runs_move_whole(void **state)
{
	struct moving *m = *state;
	_cleanup(free) char *lines = NULL;
	_cleanup(json) struct json *first = NULL;
	const struct json *databases, *log;
	_cleanup(str) struct str line = {0};
	struct catalog_run run;

	m->conf.history_keep = 10;
	add_ended_runs(m, RECORDS_RUNS_OF_JOB + 1);
	move(m);
	assert_moved(m, "history", "run", "");
	add_ended_runs(m, 1);
	move(m);
	assert_moved(m, "history", "run", "1 2 ");
	assert_int_equal(catalog_run(m->f->catalog, 2, &run), -ENOENT);
	assert_int_equal(catalog_run(m->f->catalog, 3, &run), 0);
	lines = read_back(m, "history");
	first = json_parse(lines, (size_t)(strchr(lines, '\n') - lines), NULL);
	assert_non_null(first);
	assert_string_equal(json_get_string(first, "job"), "full");
	assert_string_equal(json_get_string(first, "state"), "failed");
	databases = json_get(first, "databases");
	assert_int_equal(json_count(databases), 1);
	assert_string_equal(json_get_string(json_item(databases, 0), "target"), "sh\x1bop");
	assert_string_equal(json_get_string(json_item(databases, 0), "error"), "no");
	log = json_get(first, "log");
	assert_int_equal(json_count(log), 1);
	assert_true(json_scalar_text(json_item(log, 0), &line));
	assert_true(str_ends(str_text(&line), "Z it said no"));
}

static void runs_move_when_they_are_old(void **state)
{
	struct moving *m = *state;

	m->conf.history_age_ms = 10 * DAY_MS;
	add_ended_runs(m, RECORDS_RUNS_OF_JOB + 3);
	now_us = clock_now_us() + 5 * DAY_US;
	move(m);
	assert_moved(m, "history", "run", "");
	now_us = clock_now_us() + 12 * DAY_US;
	move(m);
	assert_moved(m, "history", "run", "1 2 3 ");
}

static void what_holds_up_the_audit_does_not_hold_up_the_history(void **state)
{
	struct moving *m = *state;

	m->conf.audit_keep = 2;
	m->conf.history_keep = 1;
	add_audits(m, 1, 3, US_PER_S);
	add_ended_runs(m, RECORDS_RUNS_OF_JOB + 1);
	open_faulty(m, "put:1:eio");
	assert_fails(m, -EIO, "a rehearsed fault");
	assert_moved(m, "audit", "pid", "");
	assert_moved(m, "history", "run", "1 ");
}

/* The thread looks at its start, and when it is told to. */
static void the_thread_moves_what_is_due(void **state)
{
	struct moving *m = *state;
	struct records *records = NULL;
	int64_t first = 0, last = 0, until_ms = clock_mono_ms() + 60000;

	m->conf.audit_keep = 2;
	assert_int_equal(records_new(&m->ctx, &records, NULL), 0);
	add_audits(m, 1, 3, US_PER_S);
	records_look(records);
	do
		assert_int_equal(catalog_audit_span(m->f->catalog, &first, &last), 0);
	while (first == 1 && clock_mono_ms() < until_ms);
	assert_int_equal(first, 2);
	records_free(records);
	records_look(NULL);
	assert_moved(m, "audit", "pid", "1 ");
}

#define MOVING_TEST(name) cmocka_unit_test_setup_teardown(name, begin_moving, end_moving)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        MOVING_TEST(nothing_moves_while_little_is_there),
	        MOVING_TEST(the_oldest_lines_move_when_there_are_too_many),
	        MOVING_TEST(lines_move_when_they_are_old),
	        MOVING_TEST(a_line_is_what_the_text_showed),
	        MOVING_TEST(many_lines_become_several_objects),
	        MOVING_TEST(a_store_that_fails_loses_nothing),
	        MOVING_TEST(what_was_put_already_is_not_put_twice),
	        MOVING_TEST(rows_are_not_dropped_for_an_object_that_is_wrong),
	        MOVING_TEST(runs_move_whole),
	        MOVING_TEST(runs_move_when_they_are_old),
	        MOVING_TEST(what_holds_up_the_audit_does_not_hold_up_the_history),
	        MOVING_TEST(the_thread_moves_what_is_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

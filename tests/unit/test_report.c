// SPDX-License-Identifier: Apache-2.0
/* The texts of status/ and jobs/, over a real catalog. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../support/manifests.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/json.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/name.h>
#include <keepfs/report.h>

#include "report_test.h"

#define AT_S  INT64_C(1795140000) /* 2026-11-20T02:00:00Z */
#define AT_US (AT_S * US_PER_S)
/* So long before that no run of a test can have begun earlier. */
#define TEN_YEARS_S (INT64_C(3650) * 86400)

struct fixture {
	char *directory;
	struct catalog *catalog;
	struct conf conf;
	struct conf_job jobs[2];
	struct spool *out;
};

static int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->directory = mem_strdup("/tmp/keepfs-report-XXXXXX");
	assert_true(f->directory && mkdtemp(f->directory));
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
	f->jobs[0].name = (char *)"full";
	f->jobs[1].name = (char *)"tenants";
	f->conf.jobs = f->jobs;
	f->conf.job_count = 1;
	f->conf.state_dir = f->directory;
	f->conf.store.url = (char *)"s3://bucket";
	f->out = spool_new(f->directory);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	spool_free(f->out);
	catalog_free(f->catalog);
	remove_tree(f->directory);
	free(f->directory);
	free(f);
	return 0;
}

/* What was written since the last call, on the heap. */
static char *text_of(struct fixture *f)
{
	return take_text(&f->out, f->directory);
}

/* @options: what the trigger changed; "" for nothing. */
static int64_t add_changed_run(struct fixture *f, const char *job, const char *options, enum run_state state,
                               const char *error)
{
	struct catalog_run run = {.kind = "dump", .triggered_by = "uid 0 (bash)"};
	int64_t id = 0;

	str_copy(run.job, sizeof(run.job), job);
	str_copy(run.options, sizeof(run.options), options);
	assert_int_equal(catalog_add_run(f->catalog, &run, &id, NULL), 0);
	if (state != RUN_PENDING && state != RUN_CANCELLED)
		assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	if (state > RUN_RUNNING)
		assert_int_equal(catalog_finish_run(f->catalog, id, state, error, NULL), 0);
	return id;
}

static int64_t add_run(struct fixture *f, const char *job, enum run_state state, const char *error)
{
	return add_changed_run(f, job, "", state, error);
}

static void add_artifact_as(struct fixture *f, const char *job, int64_t second, int64_t run_id, uint32_t size,
                            bool partial)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *directory = mem_printf("backups/%s", job), *path = NULL;
	char name[NAME_MAX_BYTES], sha256[SHA256_HEX_BYTES] = "";
	uint8_t digest[SHA256_BYTES];

	name_format((AT_S + second) * 1000, partial ? ".schema.dump" : ".dump", name);
	path = mem_printf("%s/%s", directory, name);
	manifest_describe(&m, path, run_id, "primary");
	mem_replace_string(&m.job, job);
	m.partial = partial;
	m.started_at_us = m.finished_at_us = AT_US + second * US_PER_S;
	sha256_once(path, strlen(path), digest);
	if (!partial) /* else not read back */
		hex_encode(digest, sizeof(digest), sha256);
	manifest_put_own(&m, size, 1, sha256);
	manifest_seal(&m);
	assert_int_equal(catalog_ensure_directory(f->catalog, directory, AT_US, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
}

static void add_artifact(struct fixture *f, const char *job, int64_t second, int64_t run_id, uint32_t size)
{
	add_artifact_as(f, job, second, run_id, size, false);
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("want: %s\nin:\n%s", part, text);
}

static const struct catalog_run sample = {
        .id = 17,
        .job = "full",
        .kind = "dump",
        .state = RUN_FAILED,
        .triggered_by = "uid 0 (bash)",
        .queued_at_us = AT_US,
        .started_at_us = AT_US + US_PER_S,
        .finished_at_us = AT_US + 2 * US_PER_S + 500000,
        .size_bytes = 12,
        .targets = 2,
        .targets_failed = 1,
        .error = "pg_dump: \"no\", it said\nand more",
        .note = "before the release",
        .options = "format=plain",
        .warning = "look at it",
        .damaged = "x.dump: flipped",
};

/* History */

static void test_history_empty(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *csv = NULL, *jsonl = NULL;

	assert_int_equal(report_history_csv(f->catalog, f->out), 0);
	csv = text_of(f);
	assert_string_equal(
	        csv, "run,job,kind,state,triggered_by,queued,started,finished,seconds,size_bytes,sha256,"
	             "targets,targets_failed,error,note,options,warning,damaged\r\n");
	assert_int_equal(report_history_jsonl(f->catalog, f->out), 0);
	jsonl = text_of(f);
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
	assert_int_equal(report_history_csv(f->catalog, f->out), 0);
	csv = text_of(f);
	first = strstr(csv, "\r\n") + 2;
	/* The newest first; what is not known yet is empty. */
	assert_true(str_starts(first, "2,full,dump,running,uid 0 (bash),20"));
	assert_has(first, "Z,,,0,,0,0,,,\"tables=a,b\",slow,\r\n1,full,dump,failed,");
	assert_true(str_ends(csv, ",0,,0,0,\"pg_dump: \"\"no\"\", it said\nand more\",,,,\r\n"));
}

/* More runs than a page of the catalog. */
static void test_history_pages(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;
	int64_t expected = 70;

	for (int i = 0; i < expected; i++)
		add_run(f, i % 2 ? "full" : "tenants", RUN_CANCELLED, NULL);
	assert_int_equal(report_history_jsonl(f->catalog, f->out), 0);
	text = text_of(f);
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

	report_run_json(&sample, f->out);
	text = text_of(f);
	assert_string_equal(text,
	                    "{\"run\":17,\"job\":\"full\",\"kind\":\"dump\",\"state\":\"failed\","
	                    "\"triggered_by\":\"uid 0 (bash)\",\"queued\":\"2026-11-20T02:00:00.000000Z\","
	                    "\"started\":\"2026-11-20T02:00:01.000000Z\","
	                    "\"finished\":\"2026-11-20T02:00:02.500000Z\",\"seconds\":1.5,"
	                    "\"size_bytes\":12,\"sha256\":null,\"targets\":2,\"targets_failed\":1,"
	                    "\"error\":\"pg_dump: \\\"no\\\", it said\\nand more\","
	                    "\"note\":\"before the release\",\"options\":\"format=plain\","
	                    "\"warning\":\"look at it\",\"damaged\":\"x.dump: flipped\"}\n");
	report_run_json(&young, f->out);
	young_text = text_of(f);
	assert_has(young_text, "\"started\":null,\"finished\":null,\"seconds\":null,");
	assert_has(young_text,
	           "\"error\":null,\"note\":null,\"options\":null,\"warning\":null,\"damaged\":null}");
}

/* Files of a run */

static void test_run_status(void **state)
{
	struct fixture *f = *state;
	struct catalog_run run = sample;
	struct catalog_target good = {
	        .label = "acme co", .state = RUN_COMPLETED, .path = "backups/full/x.dump", .size_bytes = 12};
	struct catalog_target bad = {.label = "zoo", .state = RUN_FAILED, .error = "no such\ndatabase\n"};
	_cleanup(free) char *text = NULL;

	run.id = add_run(f, "full", RUN_RUNNING, NULL);
	assert_int_equal(catalog_set_target(f->catalog, run.id, &good, NULL), 0);
	assert_int_equal(catalog_set_target(f->catalog, run.id, &bad, NULL), 0);
	assert_int_equal(report_run_status(f->catalog, &run, f->out), 0);
	text = text_of(f);
	assert_string_equal(
	        text,
	        "run 1\njob full\nkind dump\nstate failed\ntriggered_by uid 0 (bash)\n"
	        "queued 2026-11-20T02:00:00Z\nstarted 2026-11-20T02:00:01Z\n"
	        "finished 2026-11-20T02:00:02Z\nseconds 1.500\nsize_bytes 12\nsha256 -\ntargets 2\n"
	        "targets_failed 1\nerror pg_dump: \"no\", it said | and more\n"
	        "note before the release\noptions format=plain\nwarning look at it\ndamaged x.dump: flipped\n"
	        "target completed 12 backups/full/x.dump acme co\n"
	        "target failed 0 - zoo: no such | database\n");
}

static void test_run_status_many_targets(void **state)
{
	struct fixture *f = *state;
	struct catalog_run run = sample;
	_cleanup(free) char *text = NULL;
	unsigned lines = 0;

	run.id = add_run(f, "full", RUN_RUNNING, NULL);
	for (int i = 0; i < 40; i++) {
		struct catalog_target target = {.state = RUN_PENDING};

		snprintf(target.label, sizeof(target.label), "db%02d", i);
		assert_int_equal(catalog_set_target(f->catalog, run.id, &target, NULL), 0);
	}
	assert_int_equal(report_run_status(f->catalog, &run, f->out), 0);
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
	report_run_progress(&sample, &p, f->out);
	ended = text_of(f);
	assert_string_equal(ended, "run=17 job=full state=failed size_bytes=12 elapsed_ms=1500\n");
}

static void test_run_log(void **state)
{
	struct fixture *f = *state;
	int64_t id = add_run(f, "full", RUN_RUNNING, NULL);
	_cleanup(free) char *text = NULL;

	assert_int_equal(catalog_log_run(f->catalog, id, "pg_dump: first", NULL), 0);
	assert_int_equal(catalog_log_run(f->catalog, id, "two\nlines\x01\n", NULL), 0);
	assert_int_equal(report_run_log(f->catalog, id, f->out), 0);
	text = text_of(f);
	assert_true(str_starts(text, "20") && str_starts(text + 19, "Z pg_dump: first\n20"));
	assert_true(str_ends(text, "Z two | lines \n") || str_ends(text, "Z two | lines\n"));
}

/* Records */

static void test_sums(void **state)
{
	struct fixture *f = *state;
	struct catalog_entry directory;
	_cleanup(free) char *text = NULL;

	add_artifact(f, "full", 1, 0, 100);
	add_artifact(f, "full", 0, 0, 100);
	add_artifact_as(f, "full", 2, 0, 100, true);
	assert_int_equal(catalog_entry_by_name(f->catalog, 0, "full", &directory), 0);
	assert_int_equal(report_sums(f->catalog, directory.ino, f->out), 0);
	text = text_of(f);
	assert_int_equal(strlen(text), directory.sums_bytes);
	assert_int_equal(strspn(text, "0123456789abcdef"), 64);
	assert_true(str_starts(text + 64, "  20261120T020000Z.dump\n"));
	assert_has(text, "  20261120T020001Z.dump\n# 20261120T020002Z.schema.dump: ");
	assert_true(str_ends(text, "\n"));
}

static void test_audit(void **state)
{
	struct fixture *f = *state;
	const struct catalog_audit trigger = {AT_US, 1000, 42, "bash", "trigger", "full", "ok", "run 1"};
	const struct catalog_audit own = {AT_US + 1, -1, -1, "keepfs", "remove", "a \"b\"", "failed", ""};
	_cleanup(free) char *text = NULL;

	assert_int_equal(catalog_add_audit(f->catalog, &trigger, NULL), 0);
	assert_int_equal(catalog_add_audit(f->catalog, &own, NULL), 0);
	assert_int_equal(report_audit_jsonl(f->catalog, f->out), 0);
	text = text_of(f);
	assert_string_equal(
	        text, "{\"at\":\"2026-11-20T02:00:00.000001Z\",\"uid\":null,\"pid\":null,\"command\":"
	              "\"keepfs\",\"action\":\"remove\",\"object\":\"a \\\"b\\\"\",\"result\":\"failed\","
	              "\"detail\":\"\"}\n"
	              "{\"at\":\"2026-11-20T02:00:00.000000Z\",\"uid\":1000,\"pid\":42,\"command\":"
	              "\"bash\",\"action\":\"trigger\",\"object\":\"full\",\"result\":\"ok\",\"detail\":"
	              "\"run 1\"}\n");
}

static void test_stats(void **state)
{
	struct fixture *f = *state;
	_cleanup(json) struct json *j = NULL;
	_cleanup(free) char *text = NULL;
	const struct json *full, *old, *tenants;
	int64_t number = 0, at = 0;

	f->conf.job_count = 2;
	f->conf.store.capacity_bytes = 5000;
	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	add_artifact(f, "full", 60, add_run(f, "full", RUN_COMPLETED, NULL), 150);
	add_artifact_as(f, "full", 90, add_run(f, "full", RUN_FAILED, "no"), 10, true);
	add_run(f, "full", RUN_CANCELLED, NULL);
	add_run(f, "old-job", RUN_FAILED, "no");
	assert_int_equal(report_stats_json(f->catalog, &f->conf, f->out), 0);
	text = text_of(f);
	j = json_parse(text, strlen(text), NULL);
	assert_non_null(j);
	assert_true(json_get_int(j, "artifacts", &number) && number == 3);
	assert_true(json_get_int(j, "stored_bytes", &number) && number == 260);
	assert_true(json_get_time(j, "oldest", &at) && at == AT_US);
	assert_true(json_get_time(j, "newest", &at) && at == AT_US + 90 * US_PER_S);
	assert_true(json_get_time(j, "newest_whole", &at) && at == AT_US + 60 * US_PER_S);
	assert_true(json_get_int(json_get(j, "runs"), "failed", &number) && number == 2);
	full = json_get(json_get(j, "jobs"), "full");
	assert_true(json_get_int(json_get(full, "runs"), "completed", &number) && number == 2);
	assert_true(json_get_int(json_get(full, "runs"), "failed", &number) && number == 1);
	assert_true(json_get_int(json_get(full, "runs"), "cancelled", &number) && number == 1);
	assert_true(json_get_int(json_get(full, "runs"), "pending", &number) && number == 0);
	assert_true(json_get_time(full, "last_success", &at) && at > 0);
	assert_true(json_get_time(full, "last_failure", &at) && at > 0);
	old = json_get(json_get(j, "jobs"), "old-job");
	assert_false(json_get_time(old, "last_success", &at));
	tenants = json_get(json_get(j, "jobs"), "tenants");
	assert_true(json_get_int(tenants, "artifacts", &number) && number == 0);
	assert_string_equal(json_get_string(json_get(j, "store"), "url"), "s3://bucket");
	assert_true(json_get_int(json_get(j, "store"), "capacity_bytes", &number) && number == 5000);
	assert_false(json_get_time(json_get(j, "store"), "verified", &at));
}

/* Health */

static enum report_health health(struct fixture *f, char **ret_text)
{
	enum report_health level =
	        report_health(f->catalog, &f->conf, NULL, AT_US + 3 * 3600 * US_PER_S, f->out);

	free(*ret_text);
	*ret_text = text_of(f);
	return level;
}

/* A store that fails reads shows, and after ten quiet minutes it is forgotten. */
static void test_health_reads(void **state)
{
	struct fixture *f = *state;
	struct report_troubles *t = report_troubles_new();
	_cleanup(free) char *now = NULL, *later = NULL, *refused = NULL;
	int64_t now_us = clock_now_us();

	report_trouble(t, "backups/full/x.dump", EPERM, "the last good backup");
	report_health(f->catalog, &f->conf, t, now_us, f->out);
	refused = text_of(f);
	assert_null(strstr(refused, "reads"));
	report_trouble(t, "backups/full/x.dump", EIO, "the store does not answer");
	assert_true(report_health(f->catalog, &f->conf, t, clock_now_us(), f->out) >= REPORT_WARN);
	now = text_of(f);
	assert_non_null(strstr(now, "WARN  reads: "));
	report_health(f->catalog, &f->conf, t, now_us + 11 * 60 * US_PER_S, f->out);
	later = text_of(f);
	assert_null(strstr(later, "reads"));
	report_troubles_free(t);
}

static void test_health_cache(void **state)
{
	struct fixture *f = *state;
	struct report_troubles *t = report_troubles_new();
	_cleanup(free) char *without = NULL, *told = NULL;

	report_health(f->catalog, &f->conf, t, clock_now_us(), f->out);
	without = text_of(f);
	assert_null(strstr(without, "disk cache"));
	report_no_cache(t, "/var/cache/keepfs: no such file");
	assert_true(report_health(f->catalog, &f->conf, t, clock_now_us(), f->out) >= REPORT_WARN);
	told = text_of(f);
	assert_non_null(strstr(told, "WARN  disk cache: "));
	assert_non_null(strstr(told, "/var/cache/keepfs: no such file"));
	report_troubles_free(t);
}

static void set_probe(struct fixture *f, const char *check, bool ok, int64_t at_us)
{
	struct catalog_probe probe = {.ok = ok, .at_us = at_us};

	str_copy(probe.check, sizeof(probe.check), check);
	str_copy(probe.detail, sizeof(probe.detail), ok ? "fine" : "refused\nreally");
	assert_int_equal(catalog_set_probes(f->catalog, f->conf.store.url, &probe, 1, NULL), 0);
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
	assert_has(text,
	           "\nOK    job full: the newest backup is of 2026-11-20T02:00:00Z, 3 h ago; 1 in all\n");
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

	add_artifact_as(f, "full", 0, add_changed_run(f, "full", "content=schema", RUN_COMPLETED, NULL), 100,
	                true);
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
	add_artifact_as(f, "full", 3600, 0, 100, true);
	assert_int_equal(health(f, &text), REPORT_OK);
	assert_has(text,
	           "\nOK    job full: the newest backup is of 2026-11-20T02:01:00Z, 2 h ago; 3 in all\n");
}

/* A trigger may change a job and yet make a whole backup. */
static void test_health_changed_run(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;
	int64_t now_s = clock_now_us() / US_PER_S;

	add_run(f, "full", RUN_FAILED, "refused");
	add_artifact(f, "full", now_s + 60 - AT_S,
	             add_changed_run(f, "full", "format=plain", RUN_COMPLETED, NULL), 100);
	assert_int_equal(health(f, &text), REPORT_OK);
}

static void test_health_warnings(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;
	int64_t run = add_run(f, "full", RUN_RUNNING, NULL);

	assert_int_equal(catalog_warn_run(f->catalog, run, "no passwords\nof roles", NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, run, RUN_COMPLETED, NULL, NULL), 0);
	add_artifact(f, "full", -TEN_YEARS_S, run, 100);
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

/* A catalog that turns unreadable: never a text that looks whole. */
static void test_broken_catalog(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = mem_printf("%s/catalog.db", f->directory), *text = NULL;
	_cleanup(free) char *garbage = mem_alloc(1 << 20);
	_cleanup(fd) int fd = -1;

	memset(garbage, 'x', 1400);
	for (int i = 0; i < 20; i++)
		add_run(f, "full", RUN_CANCELLED, garbage);
	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
	memset(garbage, 'x', 1 << 20);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fd_pwrite_all(fd, garbage, (size_t)lseek(fd, 0, SEEK_END) - 4096, 4096), 0);
	assert_int_equal(health(f, &text), REPORT_CRIT);
	assert_has(text, "\nCRIT  catalog: cannot be read: ");
	assert_true(report_history_csv(f->catalog, f->out) < 0);
	assert_true(report_history_jsonl(f->catalog, f->out) < 0);
	assert_true(report_stats_json(f->catalog, &f->conf, f->out) < 0);
	assert_true(report_metrics(&(struct report_sources){.catalog = f->catalog, .conf = &f->conf},
	                           f->out) < 0);
}

/* Troubles */

static void test_troubles(void **state)
{
	struct fixture *f = *state;
	struct report_troubles *t = report_troubles_new();
	_cleanup(free) char *none = NULL, *two = NULL, *many = NULL;
	uint64_t generation = report_troubles_generation(t);
	unsigned lines = 0;

	report_last_error(t, f->out);
	none = text_of(f);
	assert_string_equal(none, "");
	report_trouble(t, "backups/full/x.dump", EIO, "the store said\nno");
	assert_true(report_troubles_generation(t) > generation);
	report_trouble(t, NULL, EINVAL, "unknown command");
	report_last_error(t, f->out);
	two = text_of(f);
	assert_true(str_starts(two + 19, "Z EINVAL unknown command\n20"));
	assert_true(str_ends(two, "Z EIO backups/full/x.dump: the store said | no\n"));
	for (int i = 0; i < 100; i++) {
		char message[16];

		snprintf(message, sizeof(message), "number %d", i);
		report_trouble(t, "p", EPERM, message);
	}
	report_last_error(t, f->out);
	many = text_of(f);
	for (const char *p = many; *p; p = strchr(p, '\n') + 1)
		lines++;
	assert_int_equal(lines, 32);
	assert_true(str_starts(many + 19, "Z EPERM p: number 99\n"));
	assert_true(str_ends(many, "Z EPERM p: number 68\n"));
	report_troubles_free(t);
}

static void test_a_trouble_again(void **state)
{
	struct fixture *f = *state;
	struct report_troubles *t = report_troubles_new();
	_cleanup(free) char *six = NULL, *others = NULL;
	uint64_t generation;

	for (int i = 0; i < 6; i++) {
		generation = report_troubles_generation(t);
		report_trouble(t, "a.dump", EIO, "a.dump: damaged");
		assert_true(report_troubles_generation(t) > generation);
	}
	report_last_error(t, f->out);
	six = text_of(f);
	assert_string_equal(six + 19, "Z EIO a.dump: damaged (6 times)\n");
	report_trouble(t, "a.dump", EPERM, "a.dump: damaged");
	report_trouble(t, "a", EPERM, "a.dump: damaged");
	report_trouble(t, "a.dump", EIO, "a.dump: damaged");
	report_last_error(t, f->out);
	others = text_of(f);
	assert_true(str_starts(others + 19, "Z EIO a.dump: damaged\n"));
	assert_has(others, "Z EPERM a: a.dump: damaged\n");
	assert_has(others, "Z EPERM a.dump: damaged\n");
	assert_true(str_ends(others, "Z EIO a.dump: damaged (6 times)\n"));
	report_troubles_free(t);
}

int main(void)
{
#define REPORT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        REPORT_TEST(test_history_empty),
	        REPORT_TEST(test_history_csv_quoting),
	        REPORT_TEST(test_history_pages),
	        REPORT_TEST(test_run_json),
	        REPORT_TEST(test_run_status),
	        REPORT_TEST(test_run_status_many_targets),
	        REPORT_TEST(test_run_progress),
	        REPORT_TEST(test_run_log),
	        REPORT_TEST(test_sums),
	        REPORT_TEST(test_audit),
	        REPORT_TEST(test_stats),
	        REPORT_TEST(test_health_new),
	        REPORT_TEST(test_health_good),
	        REPORT_TEST(test_health_failed_runs),
	        REPORT_TEST(test_health_partial_backups),
	        REPORT_TEST(test_health_changed_run),
	        REPORT_TEST(test_health_warnings),
	        REPORT_TEST(test_health_backup_gone),
	        REPORT_TEST(test_health_probes),
	        REPORT_TEST(test_health_reads),
	        REPORT_TEST(test_health_cache),
	        REPORT_TEST(test_health_space),
	        REPORT_TEST(test_broken_catalog),
	        REPORT_TEST(test_troubles),
	        REPORT_TEST(test_a_trouble_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

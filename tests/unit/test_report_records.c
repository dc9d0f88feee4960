// SPDX-License-Identifier: Apache-2.0
/* What is told as it was noted: the audit, SHA256SUMS, and what makes a text fail. */
#include "report_test.h"

#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/report/sums.h>

static unsigned lines_of(const char *text)
{
	unsigned lines = 0;

	for (; (text = strchr(text, '\n')); text++)
		lines++;
	return lines;
}

static void test_sums(void **state)
{
	struct fixture *f = *state;
	struct catalog_entry directory;
	_cleanup(free) char *text = NULL;

	add_artifact(f, "full", 1, 0, 100);
	add_artifact(f, "full", 0, 0, 100);
	add_partial_artifact(f, "full", 2, 0, 100);
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
	text = written_by(f, report_audit_jsonl);
	assert_string_equal(
	        text, "{\"at\":\"2026-11-20T02:00:00.000001Z\",\"uid\":null,\"pid\":null,\"command\":"
	              "\"keepfs\",\"action\":\"remove\",\"object\":\"a \\\"b\\\"\",\"result\":\"failed\","
	              "\"detail\":\"\",\"number\":2,\"previous\":"
	              "\"1897938c1291e58d9e546a58a9d07dcf7f1483bcc8097f7e024b4e8328aeb1a7\"}\n"
	              "{\"at\":\"2026-11-20T02:00:00.000000Z\",\"uid\":1000,\"pid\":42,\"command\":"
	              "\"bash\",\"action\":\"trigger\",\"object\":\"full\",\"result\":\"ok\",\"detail\":"
	              "\"run 1\",\"number\":1,\"previous\":"
	              "\"0000000000000000000000000000000000000000000000000000000000000000\"}\n");
}

/* It grows for ever; the text does not. */
static void the_newest_lines_of_the_audit_are_told(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	for (int i = 0; i < 30; i++) {
		const struct catalog_audit entry = {
		        .at_us = AT_US, .pid = i, .action = "read", .result = "ok"};

		assert_int_equal(catalog_add_audit(f->catalog, &entry, NULL), 0);
	}
	f->conf.audit_keep = 20;
	text = written_by(f, report_audit_jsonl);
	assert_int_equal(lines_of(text), 22);
	assert_has(text, "\"pid\":29,");
	assert_has(text, "\"pid\":8,");
	assert_null(strstr(text, "\"pid\":7,"));
}

/* A catalog that turns unreadable: never a text that looks whole. */
static void test_broken_catalog(void **state)
{
	static int (*const writers[])(const struct report_sources *, struct spool *) = {
	        report_history_csv, report_history_jsonl, report_stats_json, report_metrics};
	struct fixture *f = *state;

	break_catalog(f);
	for (size_t i = 0; i < ARRAY_SIZE(writers); i++)
		assert_true(writers[i](&f->sources, f->out) < 0);
}

/* A disk that is full: likewise. */
static void test_full_disk(void **state)
{
	static int (*const writers[])(const struct report_sources *, struct spool *) = {
	        report_health,     report_history_csv, report_history_jsonl, report_stats_json,
	        report_last_error, report_audit_jsonl, report_metrics};
	const struct catalog_audit audit = {.at_us = AT_US, .command = "bash"};
	_cleanup(free) char *filler = mem_alloc(SPOOL_MEMORY_BYTES);
	struct fixture *f = *state;

	f->sources.troubles = report_troubles_new();
	report_trouble(f->sources.troubles, "x", EIO, "y");
	add_run(f, "full", RUN_CANCELLED, NULL);
	assert_int_equal(catalog_add_audit(f->catalog, &audit, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(writers); i++) {
		_cleanup(spool) struct spool *nowhere = spool_new("/nonexistent");

		spool_append(nowhere, filler, SPOOL_MEMORY_BYTES);
		assert_int_equal(spool_error(nowhere), 0);
		assert_true(writers[i](&f->sources, nowhere) < 0);
	}
	report_troubles_free(f->sources.troubles);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        REPORT_TEST(test_sums),
	        REPORT_TEST(test_audit),
	        REPORT_TEST(the_newest_lines_of_the_audit_are_told),
	        REPORT_TEST(test_broken_catalog),
	        REPORT_TEST(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Texts: when they are made anew. */
#include "fs_test.h"

#include <keepfs/catalog/runs.h>

/* Whoever looked at a run just before it ended must not keep its text as that of its end: nothing would
 * change it any more, and who waits for the end would wait for ever. */
static void a_run_that_ends_while_its_status_is_made(void **state)
{
	const struct catalog_run run = {.job = "full", .kind = "dump"};
	struct fixture *f = *state;
	struct node root, jobs, directory, before;
	struct text *text = NULL;
	char number[24], words[1024] = "";
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, &run, &id, NULL), 0);
	assert_int_equal(catalog_start_run(f->catalog, id, NULL), 0);
	snprintf(number, sizeof(number), "%" PRId64, id);
	assert_int_equal(node_load(f->fs, FUSE_ROOT_ID, &root), 0);
	assert_int_equal(node_child(f->fs, &root, "jobs", &jobs), 0);
	assert_int_equal(node_child(f->fs, &jobs, number, &directory), 0);
	assert_int_equal(node_child(f->fs, &directory, "status", &before), 0);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_COMPLETED, NULL, NULL), 0);
	assert_int_equal(text_open(f->fs, &before, &text), 0);
	assert_true(text_read(text, words, sizeof(words) - 1, 0) > 0);
	text_unref(text);
	assert_non_null(strstr(words, "state completed\n"));
}

/* How many bytes the text of status/metrics.prom has for this open; it must hold @line. */
static uint64_t open_metrics(struct fixture *f, const char *line)
{
	static char words[64 << 10];
	struct text *text = NULL;
	struct node node;
	uint64_t bytes;
	ssize_t n;

	assert_int_equal(find(f, "status/metrics.prom", &node), 0);
	assert_int_equal(text_open(f->fs, &node, &text), 0);
	bytes = text_bytes(text);
	n = text_read(text, words, sizeof(words) - 1, 0);
	assert_int_equal(n, bytes);
	words[n] = '\0';
	assert_non_null(strstr(words, line));
	text_unref(text);
	return bytes;
}

/* Counters change without the catalog: each open makes the text anew, and the size is that of the last. */
static void metrics_are_of_now(void **state)
{
	static struct store_metrics metrics;
	struct fixture *f = *state;
	uint64_t bytes;

	f->fs->ctx.store_metrics = &metrics;
	open_metrics(f, "\nkeepfs_store_calls_total{call=\"get\"} 0\n");
	atomic_store(&metrics.of[STORE_CALL_GET].calls, UINT64_MAX);
	bytes = open_metrics(f, "\nkeepfs_store_calls_total{call=\"get\"} 18446744073709551615\n");
	assert_int_equal(stat_at(f, "status/metrics.prom").st_size, bytes);
}

static struct text *opened(struct fixture *f, const char *path)
{
	struct text *text = NULL;
	struct node node;

	assert_int_equal(find(f, path, &node), 0);
	assert_int_equal(text_open(f->fs, &node, &text), 0);
	return text;
}

/* Is the text of @path made anew when somebody has read a backup? */
static bool is_changed_by_a_read(struct fixture *f, const char *path)
{
	const struct catalog_audit entry = {.action = "read", .result = "ok"};
	struct text *before = opened(f, path), *after;
	bool changed;

	assert_int_equal(catalog_add_audit(f->catalog, &entry, NULL), 0);
	after = opened(f, path);
	changed = after != before;
	text_unref(before);
	text_unref(after);
	return changed;
}

static void a_read_changes_the_audit_alone(void **state)
{
	struct fixture *f = *state;

	assert_true(is_changed_by_a_read(f, "status/audit.jsonl"));
	assert_false(is_changed_by_a_read(f, "status/history.csv"));
	assert_false(is_changed_by_a_read(f, "status/history.jsonl"));
	assert_false(is_changed_by_a_read(f, "status/stats.json"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        TREE_TEST(a_run_that_ends_while_its_status_is_made),
	        TREE_TEST(metrics_are_of_now),
	        TREE_TEST(a_read_changes_the_audit_alone),
	};

	return cmocka_run_group_tests_name("fs_texts", tests, NULL, NULL);
}

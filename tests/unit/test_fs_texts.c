// SPDX-License-Identifier: Apache-2.0
/* Texts: when they are made anew, and how they are followed. */
#include "fs_test.h"

#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/name.h>

#include "../support/manifests.h"

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

/* An open file, as a program that reads it has it. */
struct reader {
	struct fixture *f;
	uint64_t ino, fh, offset;
};

static struct reader open_path(struct fixture *f, const char *path)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_open_in how = {.flags = O_RDONLY};
	struct reader r = {.f = f, .ino = ino_at(f, path)};

	assert_int_equal(ask(f, FUSE_OPEN, r.ino, &how, sizeof(how), answer), sizeof(struct fuse_open_out));
	r.fh = ((const struct fuse_open_out *)answer)->fh;
	return r;
}

static ssize_t read_some(struct reader *r, uint32_t size, char *answer)
{
	struct fuse_read_in in = {.fh = r->fh, .offset = r->offset, .size = size};
	ssize_t n = ask(r->f, FUSE_READ, r->ino, &in, sizeof(in), answer);

	if (n > 0)
		r->offset += (uint64_t)n;
	return n;
}

/* Reads on from where the reader is to the end, @size bytes at a time: heap. */
static char *read_on_by(struct reader *r, uint32_t size)
{
	static char answer[MESSAGE_BYTES];
	struct str text = {0};
	ssize_t n;

	while ((n = read_some(r, size, answer)) > 0)
		str_append_bytes(&text, answer, (size_t)n);
	assert_int_equal(n, 0);
	return text.data ? str_take(&text) : mem_strdup("");
}

static void close_reader(struct reader *r)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_release_in out = {.fh = r->fh};

	assert_int_equal(ask(r->f, FUSE_RELEASE, r->ino, &out, sizeof(out), answer), 0);
}

/* The words behind the time of each line; heap. */
static char *words_of(char *text)
{
	struct str words = {0};
	char *rest = text, *line;

	while ((line = strsep(&rest, "\n")) && *line)
		str_appendf(&words, "%s;", strchr(line, ' ') + 1);
	return words.data ? str_take(&words) : mem_strdup("");
}

static void assert_reads_on(struct reader *r, const char *words)
{
	_cleanup(free) char *text = read_on_by(r, 4096), *seen = words_of(text);

	assert_string_equal(seen, words);
}

static int64_t start_run(struct fixture *f)
{
	const struct catalog_run run = {.job = "full", .kind = "dump"};
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, &run, &id, NULL), 0);
	assert_int_equal(id, 1);
	return id;
}

static void log_line(struct fixture *f, const char *line)
{
	assert_int_equal(catalog_log_run(f->catalog, 1, line, NULL), 0);
}

#define READ_BYTES 60000 /* less than a message */
#define LOG        "jobs/1/log"

static void a_log_goes_on_where_its_text_ended(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *whole = NULL, *by_bytes = NULL;
	struct reader r, other;

	start_run(f);
	log_line(f, "one");
	r = open_path(f, LOG);
	other = open_path(f, LOG);
	assert_reads_on(&r, "one;");
	assert_reads_on(&r, "");
	log_line(f, "two");
	log_line(f, "three");
	assert_reads_on(&r, "two;three;");
	assert_int_equal(stat_at(f, LOG).st_size, r.offset);
	log_line(f, "four");
	/* What does not read on is told the size to which it would come. */
	assert_true((uint64_t)stat_at(f, LOG).st_size > r.offset);
	assert_reads_on(&r, "four;");
	assert_int_equal(stat_at(f, LOG).st_size, r.offset);
	r.offset = 0;
	whole = read_on_by(&r, 4096);
	assert_int_equal(r.offset, stat_at(f, LOG).st_size);
	by_bytes = read_on_by(&other, 1);
	assert_string_equal(by_bytes, whole);
	close_reader(&r);
	close_reader(&other);
}

/* Lines are forgotten many at a time: a reader who goes back to the beginning, as tail does, has the file of now. */
static void a_log_that_became_shorter_is_read_anew(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *whole = NULL, *again = NULL, *same = NULL, *now = NULL;
	struct reader r, fresh;
	uint64_t before;

	start_run(f);
	for (int i = 1; i <= 20; i++)
		log_line(f, "line");
	r = open_path(f, LOG);
	whole = read_on_by(&r, 4096);
	r.offset = 0;
	same = read_on_by(&r, 4096);
	assert_string_equal(same, whole);
	before = r.offset;
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	for (int i = 21; i <= 2500; i++)
		log_line(f, "l");
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	/* Whoever reads on gets what is new of what there is. */
	again = read_on_by(&r, READ_BYTES);
	assert_true(str_ends(again, "Z l\n") && strlen(again) == 2000 * strlen("2026-11-20T02:00:00Z l\n"));
	assert_true(r.offset > before && (uint64_t)stat_at(f, LOG).st_size < r.offset);
	r.offset = 0;
	free(take_ptr(&again));
	again = read_on_by(&r, READ_BYTES);
	assert_int_equal(r.offset, stat_at(f, LOG).st_size);
	fresh = open_path(f, LOG);
	now = read_on_by(&fresh, READ_BYTES);
	assert_string_equal(again, now);
	close_reader(&r);
	close_reader(&fresh);
}

static void note(struct fixture *f, int64_t number)
{
	const struct catalog_audit entry = {.at_us = number, .uid = number, .action = "read", .result = "ok"};

	assert_int_equal(catalog_add_audit(f->catalog, &entry, NULL), 0);
}

/* The whole has the newest line first; who follows gets it when it comes, and the size is the same. */
static void the_audit_is_followed_in_its_order(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *before = NULL, *since = NULL, *now = NULL;
	struct reader r, fresh;

	note(f, 1);
	note(f, 2);
	r = open_path(f, "status/audit.jsonl");
	before = read_on_by(&r, 4096);
	assert_true(strstr(before, "\"uid\":2") < strstr(before, "\"uid\":1"));
	note(f, 3);
	note(f, 4);
	since = read_on_by(&r, 4096);
	assert_true(strstr(since, "\"uid\":3") && strstr(since, "\"uid\":3") < strstr(since, "\"uid\":4"));
	assert_null(strstr(since, "\"uid\":2"));
	assert_int_equal(stat_at(f, "status/audit.jsonl").st_size, r.offset);
	fresh = open_path(f, "status/audit.jsonl");
	now = read_on_by(&fresh, 4096);
	assert_true(strstr(now, "\"uid\":4") < strstr(now, "\"uid\":3"));
	assert_int_equal(fresh.offset, r.offset);
	close_reader(&r);
	close_reader(&fresh);
}

/* Months of it, in bounded memory: what was read is forgotten, and nobody is given something else in its place. */
static void what_was_followed_is_forgotten(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fixture *f = *state;
	struct reader r;
	uint64_t end;

	f->conf.audit_keep = 20000;
	note(f, 0);
	r = open_path(f, "status/audit.jsonl");
	free(read_on_by(&r, READ_BYTES));
	end = r.offset;
	for (int i = 1; i <= 8; i++) {
		_cleanup(free) char *more = NULL;

		assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
		for (int j = 0; j < 1500; j++)
			note(f, i * 10000 + j);
		assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
		more = read_on_by(&r, READ_BYTES);
		assert_non_null(strstr(more, "0001,"));
		assert_int_equal(stat_at(f, "status/audit.jsonl").st_size, r.offset);
	}
	assert_true(r.offset > (1 << 20));
	r.offset = end;
	assert_int_equal(read_some(&r, 4096, answer), -ESTALE);
	r.offset = 0;
	assert_int_equal(read_some(&r, (uint32_t)end, answer), end);
	close_reader(&r);
}

static void errors_are_followed(void **state)
{
	struct fixture *f = *state;
	struct reader r;

	report_trouble(f->troubles, "a", EIO, "one");
	r = open_path(f, "status/last-error");
	assert_reads_on(&r, "EIO a: one;");
	report_trouble(f->troubles, "a", EIO, "two");
	report_trouble(f->troubles, "a", EIO, "three");
	assert_reads_on(&r, "EIO a: two;EIO a: three;");
	assert_int_equal(stat_at(f, "status/last-error").st_size, r.offset);
	/* The same again is only counted. */
	report_trouble(f->troubles, "a", EIO, "three");
	assert_reads_on(&r, "");
	report_trouble(f->troubles, "a", EIO, "four");
	assert_reads_on(&r, "EIO a: four;");
	/* Never longer than the file is said to be: tail would show half a line. */
	assert_true((uint64_t)stat_at(f, "status/last-error").st_size >= r.offset);
	for (int i = 0; i < 61; i++) {
		char message[16];

		snprintf(message, sizeof(message), "n%d", i);
		report_trouble(f->troubles, "a", EIO, message);
	}
	assert_true((uint64_t)stat_at(f, "status/last-error").st_size < r.offset + 61 * 20);
	close_reader(&r);
}

/* What is rewritten stays for who has it open; it is read anew by who goes back because it has become shorter. */
static void what_is_rewritten_is_not_mixed(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *live = NULL, *again = NULL, *ended = NULL;
	struct reader r;
	int64_t id = start_run(f);

	r = open_path(f, "jobs/1/status");
	live = read_on_by(&r, 4096);
	assert_int_equal(
	        catalog_finish_run(f->catalog, id, RUN_FAILED, "a long reason why it did fail", NULL), 0);
	assert_reads_on(&r, "");
	r.offset = 0;
	again = read_on_by(&r, 4096);
	assert_string_equal(again, live);
	close_reader(&r);
	r = open_path(f, "jobs/1/status");
	ended = read_on_by(&r, 4096);
	assert_non_null(strstr(ended, "state failed\n"));
	close_reader(&r);
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

/* `ls -l status/` makes none of the texts that take long: it is told the size of the last one that somebody opened. */
static void only_an_open_makes_what_is_costly(void **state)
{
	/* Not the dashboard: a browser reads as much as it was told before it opened the file. */
	static const char *const costly[] = {"status/retention", "status/backups.jsonl"};
	struct fixture *f = *state;
	_cleanup(free) char *listed = NULL;
	struct node node;

	add_some(f);
	listed = list(f, "status", 4096, true);
	for (size_t i = 0; i < ARRAY_SIZE(costly); i++) {
		struct text *text;
		uint64_t bytes;

		assert_int_equal(find(f, costly[i], &node), 0);
		assert_int_equal(stat_at(f, costly[i]).st_size, 0);
		assert_true(S_ISREG(stat_at(f, costly[i]).st_mode) && stat_at(f, costly[i]).st_mode & 0400);
		assert_int_equal(text_now(f->fs, &node, &text), -ENOENT);
		text_unref(opened(f, costly[i]));
		bytes = (uint64_t)stat_at(f, costly[i]).st_size;
		assert_true(bytes > 100);
		add(f, i == 0 ? "full/20261125T020000Z.dump" : "full/20261126T020000Z.dump", false, NULL);
		assert_int_equal(stat_at(f, costly[i]).st_size, bytes);
		text = opened(f, costly[i]);
		assert_true(text_bytes(text) != bytes);
		assert_int_equal(stat_at(f, costly[i]).st_size, text_bytes(text));
		text_unref(text);
	}
}

static void add_backup(struct catalog *catalog, int64_t run, int64_t number)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path = NULL;
	char name[NAME_MAX_BYTES], sha256[SHA256_HEX_BYTES] = "";

	name_format((INT64_C(1700000000) + number * 60) * 1000, ".dump", name);
	path = mem_printf("backups/full/%s", name);
	manifest_describe(&m, path, run, "shop");
	manifest_set_fact_int(&m, "number", number);
	memset(sha256, 'a', SHA256_HEX_BYTES - 1);
	manifest_put_own(&m, 100, 1, sha256);
	manifest_seal(&m);
	assert_int_equal(catalog_add_artifact(catalog, &m, NULL), 0);
}

/* More than an open makes: who reads on gets all, each once; from the beginning, too. Runs have several, and are not divided. */
static void all_backups_are_read_page_by_page(void **state)
{
	enum { RUNS = 4300, OF_EACH = 3 };
	struct fixture *f = *state;
	_cleanup(free) char *whole = NULL, *again = NULL, *cut = NULL;
	char *rest, *line;
	struct reader r;
	size_t lines = 0;

	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	for (int64_t i = 0; i < RUNS * OF_EACH; i++)
		add_backup(f->catalog, 1 + i / OF_EACH, i);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	r = open_path(f, "status/backups.jsonl");
	whole = read_on_by(&r, READ_BYTES);
	/* Cut into lines: a sanitizer looks for the end of each text that is searched. */
	rest = cut = mem_strdup(whole);
	for (; (line = strsep(&rest, "\n")) && *line; lines++) {
		const char *run = strstr(line, "\"run\":");

		assert_non_null(run);
		assert_int_equal(strtoll(run + strlen("\"run\":"), NULL, 10), RUNS - lines / OF_EACH);
	}
	assert_int_equal(lines, RUNS * OF_EACH);
	assert_true((uint64_t)stat_at(f, "status/backups.jsonl").st_size < r.offset);
	r.offset = 0;
	again = read_on_by(&r, READ_BYTES);
	assert_string_equal(again, whole);
	close_reader(&r);
}

/* Of none there is no line, also later: what is made after the open is in the next one. */
static void no_backups_are_no_lines(void **state)
{
	struct fixture *f = *state;
	struct reader r = open_path(f, "status/backups.jsonl");
	_cleanup(free) char *none = read_on_by(&r, 4096), *later = NULL;

	assert_string_equal(none, "");
	add_some(f);
	later = read_on_by(&r, 4096);
	assert_string_equal(later, "");
	close_reader(&r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        TREE_TEST(a_run_that_ends_while_its_status_is_made),
	        TREE_TEST(metrics_are_of_now),
	        TREE_TEST(a_log_goes_on_where_its_text_ended),
	        TREE_TEST(a_log_that_became_shorter_is_read_anew),
	        TREE_TEST(the_audit_is_followed_in_its_order),
	        TREE_TEST(what_was_followed_is_forgotten),
	        TREE_TEST(errors_are_followed),
	        TREE_TEST(what_is_rewritten_is_not_mixed),
	        TREE_TEST(a_read_changes_the_audit_alone),
	        TREE_TEST(only_an_open_makes_what_is_costly),
	        TREE_TEST(all_backups_are_read_page_by_page),
	        TREE_TEST(no_backups_are_no_lines),
	};

	return cmocka_run_group_tests_name("fs_texts", tests, NULL, NULL);
}

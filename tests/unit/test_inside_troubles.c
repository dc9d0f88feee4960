// SPDX-License-Identifier: Apache-2.0
/* Dumps that are damaged, removed or of a kind that is not known; and how many stay open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "inside_test.h"

#include <pthread.h>

#define FAR_BEHIND ((uint64_t)5500000) /* in "big", behind the damage */

static int drop_rows(void *arg, const void *data, size_t len, struct error *err)
{
	return 0;
}

static void expect_damage(const struct bench_shape *shape)
{
	_cleanup(bench) struct bench b;
	struct inside_dump *d;
	struct error err = {0};
	char buf[100];

	open_bench(&b, shape);
	d = open_dump_of(&b);
	assert_int_equal(inside_read_rows(d, 3, NULL, drop_rows, NULL, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_int_equal(inside_pread(d, 3, NULL, buf, sizeof(buf), 1000000, &err), -EBADMSG);
	/* What is not damaged is served: what comes before, other tables, and, where there is an index, what comes behind. */
	assert_int_equal(inside_pread(d, 3, NULL, buf, sizeof(buf), 0, &err), sizeof(buf));
	assert_memory_equal(buf, b.tables[2].rows.data, sizeof(buf));
	check_all_rows(d, 1, &b.tables[0].rows);
	check_all_rows(d, 4, &b.tables[3].rows);
	if (inside_pread(d, 3, NULL, buf, sizeof(buf), FAR_BEHIND, &err) < 0)
		fail_msg("%s", err.message);
	assert_memory_equal(buf, b.tables[2].rows.data + FAR_BEHIND, sizeof(buf));
	inside_close(d);
}

static void test_damage(void **state)
{
	expect_damage(&(struct bench_shape){
	        .format = BENCH_CUSTOM, .method = COMPRESSION_NONE, .damage_at = 1000000});
	expect_damage(&(struct bench_shape){
	        .format = BENCH_CUSTOM, .method = COMPRESSION_GZIP, .damage_at = 450000});
	expect_damage(&(struct bench_shape){
	        .format = BENCH_DIRECTORY, .method = COMPRESSION_NONE, .damage_at = 1000000});
}

/* Without an index the whole table has to be read for it, and that fails. */
static void test_damage_without_index(void **state)
{
	static const struct bench_shape shape = {.format = BENCH_CUSTOM,
	                                         .method = COMPRESSION_GZIP,
	                                         .no_index = true,
	                                         .no_counts = true,
	                                         .no_offsets = true,
	                                         .damage_at = 450000};
	_cleanup(bench) struct bench b;
	struct inside_dump *d;
	struct error err = {0};
	char buf[10];

	open_bench(&b, &shape);
	d = open_dump_of(&b);
	assert_int_equal(inside_pread(d, 3, NULL, buf, sizeof(buf), 10, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	check_all_rows(d, 1, &b.tables[0].rows);
	assert_int_equal(inside_read_rows(d, 4, NULL, drop_rows, NULL, &err), -EBADMSG);
	inside_close(d);
}

static void test_damaged_text(void **state)
{
	static const struct bench_shape shape = {
	        .format = BENCH_TEXT, .method = COMPRESSION_GZIP, .damage_at = 450000};
	_cleanup(bench) struct bench b;
	struct inside_dump *d = NULL;
	struct error err = {0};

	open_bench(&b, &shape);
	assert_int_equal(inside_open(b.in, ino_of_artifact(b.path), NULL, &d, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_true(err.damage);
	assert_null(d);
}

static void test_a_name_that_occurs_twice(void **state)
{
	static const struct bench_shape shape = {
	        .format = BENCH_TEXT, .method = COMPRESSION_NONE, .twice = true};
	_cleanup(bench) struct bench b;
	struct inside_dump *d;
	uint32_t number = 0;

	open_bench(&b, &shape);
	d = open_dump_of(&b);
	assert_int_equal(inside_tables(d), TABLES + 1);
	assert_int_equal(inside_find_table(d, "public", "small", &number), -ENOTUNIQ);
	assert_int_equal(number, 1);
	assert_int_equal(inside_find_table(d, "public", "after", &number), 0);
	inside_close(d);
}

static void test_a_removed_dump(void **state)
{
	static const struct bench_shape shape = {.format = BENCH_CUSTOM, .method = COMPRESSION_GZIP};
	_cleanup(bench) struct bench b;
	struct inside_dump *d, *again = NULL;
	struct error err = {0};
	char buf[100];

	open_bench(&b, &shape);
	d = open_dump_of(&b);
	assert_int_equal(artifact_remove(&b.repo, ino_of_artifact(b.path),
	                                 &(struct catalog_removal){.is_decided = true}, NULL),
	                 0);
	assert_int_equal(inside_read_rows(d, 3, NULL, drop_rows, NULL, &err), -ESTALE);
	assert_int_equal(inside_pread(d, 3, NULL, buf, sizeof(buf), 1000000, &err), -ESTALE);
	assert_int_equal(inside_open(b.in, ino_of_artifact(b.path), NULL, &again, &err), -ENOENT);
	inside_close(d);
	assert_int_equal(inside_open(b.in, 4711, NULL, &again, &err), -ENOENT);
}

/* Its number in the catalog is the same, because its name is. */
static void test_another_one_with_its_name(void **state)
{
	static const struct bench_shape shape = {.format = BENCH_CUSTOM, .method = COMPRESSION_GZIP};
	_cleanup(bench) struct bench b;
	_cleanup(free) char *path = NULL;
	struct inside_dump *old, *idle, *d;
	struct error err = {0};

	open_bench(&b, &shape);
	old = open_dump_of(&b);
	idle = open_dump_of(&b);
	inside_close(idle);
	path = take_ptr(&b.path);
	assert_int_equal(artifact_remove(&b.repo, ino_of_artifact(path),
	                                 &(struct catalog_removal){.is_decided = true}, NULL),
	                 0);
	manifest_finish(&b.m);
	b.m = (struct manifest){0};
	segment_index_finish(&b.index);
	b.index = (struct segment_index){0};
	fill_rows(&b.tables[0].rows, 9000, 9);
	b.shape.later_s = 7;
	publish_bench(&b);
	assert_string_equal(b.path, path);
	d = open_dump_of(&b);
	check_all_rows(d, 1, &b.tables[0].rows);
	check_all_rows(d, 3, &b.tables[2].rows);
	assert_int_equal(inside_read_rows(old, 3, NULL, drop_rows, NULL, &err), -ESTALE);
	assert_false(err.damage);
	inside_close(old);
	inside_close(d);
	d = open_dump_of(&b);
	check_all_rows(d, 1, &b.tables[0].rows);
	inside_close(d);
}

static void test_a_cancelled_reader(void **state)
{
	static const struct bench_shape shape = {.format = BENCH_CUSTOM, .method = COMPRESSION_GZIP};
	_cleanup(bench) struct bench b;
	struct inside_dump *d;
	struct cancel cancel;
	struct error err = {0};
	char buf[100];

	open_bench(&b, &shape);
	d = open_dump_of(&b);
	cancel_init(&cancel);
	cancel_set(&cancel);
	assert_int_equal(inside_read_rows(d, 3, &cancel, drop_rows, NULL, &err), -ECANCELED);
	assert_int_equal(inside_pread(d, 3, &cancel, buf, sizeof(buf), 1000000, &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	check_all_rows(d, 3, &b.tables[2].rows);
	cancel_finish(&cancel);
	inside_close(d);
}

static void expect_unknown(const struct bench_shape *shape, const char *reason)
{
	_cleanup(bench) struct bench b;
	struct inside_dump *d = NULL;
	struct error err = {0};

	open_bench(&b, shape);
	assert_int_equal(inside_open(b.in, ino_of_artifact(b.path), NULL, &d, &err), -ENOTSUP);
	assert_non_null(strstr(err.message, reason));
	assert_null(d);
}

static void test_what_is_not_known(void **state)
{
	expect_unknown(&(struct bench_shape){.format = BENCH_CUSTOM, .compression = 2}, "lz4");
	expect_unknown(&(struct bench_shape){.format = BENCH_CUSTOM, .minor = 99}, "version 1.99");
	expect_unknown(&(struct bench_shape){.format = BENCH_DIRECTORY, .minor = 99}, "version 1.99");
}

static int stop_taking(void *arg, const void *data, size_t len, struct error *err)
{
	return error_set(err, ERROR_USAGE, EXFULL, "enough");
}

static void test_questions_that_have_no_answer(void **state)
{
	static const struct bench_shape shape = {.format = BENCH_DIRECTORY, .method = COMPRESSION_ZSTD};
	_cleanup(bench) struct bench b;
	struct inside_dump *d;
	struct inside_table t;
	struct inside_blob blob;
	struct error err = {0};
	uint32_t number;
	char buf[10];

	open_bench(&b, &shape);
	d = open_dump_of(&b);
	assert_int_equal(inside_table(d, 0, &t, &err), -ENOENT);
	assert_int_equal(inside_table(d, TABLES + 1, &t, &err), -ENOENT);
	assert_int_equal(inside_find_table(d, "public", "nobody", &number), -ENOENT);
	assert_int_equal(inside_find_table(d, "", "small", &number), -ENOENT);
	assert_int_equal(inside_pread(d, TABLES + 1, NULL, buf, sizeof(buf), 0, &err), -ENOENT);
	assert_int_equal(inside_read_rows(d, 0, NULL, drop_rows, NULL, &err), -ENOENT);
	assert_int_equal(inside_blob(d, BLOBS, NULL, &blob, &err), -ENOENT);
	assert_int_equal(inside_blob_pread(d, 1, NULL, buf, sizeof(buf), 0, &err), -ENOENT);
	assert_int_equal(inside_read_rows(d, 3, NULL, stop_taking, NULL, &err), -EXFULL);
	assert_string_equal(err.message, "enough");
	inside_close(d);
}

/* Somebody looks in many places at once, with more threads than there are seats. */

struct looking {
	struct bench *bench;
	struct inside_dump *dump;
	unsigned seed;
	bool wrong;
};

static void *look_around(void *arg)
{
	struct looking *l = arg;
	uint64_t x = l->seed * UINT64_C(0x9E3779B97F4A7C15) + 7;
	char buf[20000];

	for (int i = 0; i < 30 && !l->wrong; i++) {
		uint32_t number = 3 + (uint32_t)(i % 5 == 0);
		const struct str *rows = &l->bench->tables[number - 1].rows;
		uint64_t at;

		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		at = (x >> 20) % (rows->len);
		ssize_t n = inside_pread(l->dump, number, NULL, buf, sizeof(buf), at, NULL);

		l->wrong = n < 0 || memcmp(buf, rows->data + at, (size_t)n) != 0 ||
		           (uint64_t)n != (rows->len - at < sizeof(buf) ? rows->len - at : sizeof(buf));
	}
	return NULL;
}

static void test_many_readers(void **state)
{
	static const struct bench_shape shape = {
	        .format = BENCH_CUSTOM, .method = COMPRESSION_ZSTD, .no_index = true, .no_counts = true};
	_cleanup(bench) struct bench b;
	struct looking looking[12];
	pthread_t threads[ARRAY_SIZE(looking)];
	struct inside_dump *d;

	open_bench(&b, &shape);
	d = open_dump_of(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(looking); i++) {
		looking[i] = (struct looking){.bench = &b, .dump = d, .seed = i};
		assert_int_equal(pthread_create(&threads[i], NULL, look_around, &looking[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(looking); i++) {
		pthread_join(threads[i], NULL);
		assert_false(looking[i].wrong);
	}
	inside_close(d);
}

static void test_a_dump_stays_open(void **state)
{
	static const struct bench_shape shape = {.format = BENCH_TEXT, .method = COMPRESSION_GZIP};
	_cleanup(bench) struct bench b;
	struct inside_dump *d, *again;
	unsigned long long requests;

	open_bench(&b, &shape);
	d = open_dump_of(&b);
	again = open_dump_of(&b);
	assert_ptr_equal(d, again);
	inside_close(again);
	inside_close(d);
	requests = b.metrics.requests;
	d = open_dump_of(&b);
	assert_int_equal(b.metrics.requests, requests);
	inside_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_damage),
	        cmocka_unit_test(test_damage_without_index),
	        cmocka_unit_test(test_damaged_text),
	        cmocka_unit_test(test_a_removed_dump),
	        cmocka_unit_test(test_a_name_that_occurs_twice),
	        cmocka_unit_test(test_another_one_with_its_name),
	        cmocka_unit_test(test_a_cancelled_reader),
	        cmocka_unit_test(test_what_is_not_known),
	        cmocka_unit_test(test_questions_that_have_no_answer),
	        cmocka_unit_test(test_many_readers),
	        cmocka_unit_test(test_a_dump_stays_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

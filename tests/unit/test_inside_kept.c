// SPDX-License-Identifier: Apache-2.0
/* What was learnt about a dump is there after a restart, whatever its format; and whatever has become of the files, each byte is right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "inside_test.h"

#include "../../src/inside/inside_private.h"

#include <keepfs/base/fd.h>

#include <dirent.h>
#include <fcntl.h>

#define FAR_AT 5500000U /* in "big" */

static const struct bench_shape shapes[] = {
        {.format = BENCH_CUSTOM, .method = COMPRESSION_GZIP, .no_index = true},
        {.format = BENCH_CUSTOM,
         .method = COMPRESSION_ZSTD,
         .no_index = true,
         .no_counts = true,
         .no_offsets = true},
        {.format = BENCH_CUSTOM,
         .method = COMPRESSION_NONE,
         .foreign = true,
         .no_counts = true,
         .no_offsets = true},
        {.format = BENCH_DIRECTORY, .method = COMPRESSION_GZIP, .no_index = true, .no_counts = true},
        {.format = BENCH_DIRECTORY, .method = COMPRESSION_ZSTD, .no_index = true},
        {.format = BENCH_TEXT, .method = COMPRESSION_NONE},
        {.format = BENCH_TEXT, .method = COMPRESSION_GZIP, .text_blobs = true},
        {.format = BENCH_TEXT, .method = COMPRESSION_ZSTD},
};

/* As when the process began anew. */
static void restart(struct bench *b)
{
	inside_free(b->in);
	assert_int_equal(
	        inside_new(&(struct inside_options){.ctx = &b->ctx, .reader = b->reader}, &b->in, NULL), 0);
	inside_tidy(b->in);
}

static void expect_piece(struct inside_dump *d, const struct str *rows, uint64_t at)
{
	char buf[1000];
	struct error err = {0};

	if (inside_pread(d, 3, NULL, buf, sizeof(buf), at, &err) != (ssize_t)sizeof(buf))
		fail_msg("at %llu: %s", (unsigned long long)at, err.message);
	assert_memory_equal(buf, rows->data + at, sizeof(buf));
}

/* Return: how many stored bytes were fetched for it. */
static uint64_t look_far(struct bench *b)
{
	uint64_t before = atomic_load(&b->metrics.fetched_bytes);
	struct inside_dump *d = open_dump_of(b);
	struct inside_table t;

	assert_int_equal(inside_measure(d, 3, NULL, &t, NULL), 0);
	cleanup_inside_table(&t);
	assert_int_equal(t.bytes, b->tables[2].rows.len);
	expect_piece(d, &b->tables[2].rows, FAR_AT);
	inside_close(d);
	return atomic_load(&b->metrics.fetched_bytes) - before;
}

static void check_everything(struct bench *b)
{
	struct inside_dump *d = open_dump_of(b);

	assert_int_equal(inside_tables(d), TABLES);
	for (uint32_t i = 0; i < TABLES; i++) {
		_cleanup(inside_table) struct inside_table t = {0};
		struct rows rows = {0};

		count_bench_rows(&b->tables[i].rows, &rows);
		assert_int_equal(inside_measure(d, i + 1, NULL, &t, NULL), 0);
		assert_string_equal(t.schema, b->tables[i].schema);
		assert_string_equal(t.table, b->tables[i].table);
		assert_string_equal(t.columns, b->tables[i].columns);
		assert_int_equal(t.rows, rows.count);
		assert_int_equal(t.hash, rows.hash);
		check_all_rows(d, i + 1, &b->tables[i].rows);
	}
	for (uint64_t at = 0; at + 1000 < b->tables[2].rows.len; at += 777777)
		expect_piece(d, &b->tables[2].rows, at);
	inside_close(d);
}

static void test_after_a_restart(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		_cleanup(bench) struct bench b;
		uint64_t first, second;

		open_bench(&b, &shapes[i]);
		first = look_far(&b);
		restart(&b);
		second = look_far(&b);
		if (second > first / 3)
			fail_msg("shape %zu: %llu bytes, and again %llu", i, (unsigned long long)first,
			         (unsigned long long)second);
		check_everything(&b);
	}
}

/* All texts of a plain dump are as they were. */
static void test_text_without_rows(void **state)
{
	static const struct bench_shape shape = {
	        .format = BENCH_TEXT, .method = COMPRESSION_GZIP, .twice = true};
	_cleanup(bench) struct bench b;
	struct str texts[2] = {{0}, {0}};

	open_bench(&b, &shape);
	for (int i = 0; i < 2; i++) {
		struct inside_dump *d = open_dump_of(&b);
		_cleanup(spool) struct spool *out = spool_new(b.state_dir);
		char *piece = mem_alloc(1 << 20);
		ssize_t n;

		assert_string_equal(inside_encoding(d), "LATIN1");
		assert_int_equal(inside_tables(d), TABLES + 1);
		assert_int_equal(inside_write_schema(d, NULL, out, NULL), 0);
		assert_int_equal(inside_write_toc(d, NULL, out, NULL), 0);
		n = spool_read(out, piece, 1 << 20, 0);
		assert_true(n > 0);
		str_append_bytes(&texts[i], piece, (size_t)n);
		free(piece);
		inside_close(d);
		restart(&b);
	}
	assert_int_equal(texts[0].len, texts[1].len);
	assert_memory_equal(texts[0].data, texts[1].data, texts[0].len);
	str_finish(&texts[0]);
	str_finish(&texts[1]);
}

/* What is in the files. */

static void each_file(struct bench *b, void (*change)(const char *path))
{
	_cleanup(free) char *top = mem_printf("%s/inside", b->state_dir);
	DIR *d = opendir(top);
	struct dirent *e, *f;

	while (d && (e = readdir(d))) {
		_cleanup(free) char *path = mem_printf("%s/%s", top, e->d_name);
		DIR *files = e->d_name[0] == '.' ? NULL : opendir(path);

		while (files && (f = readdir(files))) {
			_cleanup(free) char *file = mem_printf("%s/%s", path, f->d_name);

			if (f->d_name[0] != '.')
				change(file);
		}
		if (files)
			closedir(files);
	}
	if (d)
		closedir(d);
}

static unsigned files_seen;

static void count_kept(const char *path)
{
	files_seen++;
}

static void spoil_middle(const char *path)
{
	_cleanup(fd) int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;
	char byte;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	assert_int_equal(fd_pread_full(fd, &byte, 1, st.st_size / 2), 0);
	byte ^= 0x10;
	assert_int_equal(fd_pwrite_all(fd, &byte, 1, st.st_size / 2), 0);
}

static void check_kept_blobs(struct bench *b)
{
	struct inside_dump *d = open_dump_of(b);
	uint32_t count = 0;

	assert_int_equal(inside_blobs(d, NULL, &count, NULL), 0);
	assert_int_equal(count, BLOBS);
	for (int i = 0; i < BLOBS; i++) {
		_cleanup(free) char *found = mem_alloc(b->blobs[i].len + 1);
		struct inside_blob blob;

		assert_int_equal(inside_find_blob(d, b->oids[i], NULL, &blob, NULL), 0);
		assert_int_equal(blob.bytes, b->blobs[i].len);
		assert_int_equal(inside_blob_pread(d, b->oids[i], NULL, found, blob.bytes, 0, NULL),
		                 blob.bytes);
		if (blob.bytes > 0)
			assert_memory_equal(found, b->blobs[i].data, blob.bytes);
		if (blob.bytes > 100000) {
			assert_int_equal(inside_blob_pread(d, b->oids[i], NULL, found, 5000, 77777, NULL),
			                 5000);
			assert_memory_equal(found, b->blobs[i].data + 77777, 5000);
		}
	}
	inside_close(d);
}

static void test_large_objects_of_a_text(void **state)
{
	static const struct bench_shape shape = {
	        .format = BENCH_TEXT, .method = COMPRESSION_GZIP, .text_blobs = true};
	_cleanup(bench) struct bench b;
	uint64_t before;

	open_bench(&b, &shape);
	check_kept_blobs(&b);
	restart(&b);
	before = atomic_load(&b.metrics.fetched_bytes);
	inside_close(open_dump_of(&b));
	assert_int_equal(atomic_load(&b.metrics.fetched_bytes), before);
	check_kept_blobs(&b);
	check_everything(&b);
}

/* Which there are is not read again; how long one is is found by reading that one. */
static void test_large_objects_of_an_archive(void **state)
{
	static const struct bench_shape shape = {.format = BENCH_CUSTOM,
	                                         .method = COMPRESSION_GZIP,
	                                         .no_index = true,
	                                         .no_offsets = true,
	                                         .no_counts = true};
	_cleanup(bench) struct bench b;

	open_bench(&b, &shape);
	for (int i = 0; i < 3; i++) {
		uint64_t before = atomic_load(&b.metrics.fetched_bytes);
		struct inside_dump *d = open_dump_of(&b);
		uint32_t count;

		assert_int_equal(inside_blobs(d, NULL, &count, NULL), 0);
		assert_int_equal(count, BLOBS);
		inside_close(d);
		if (i == 1)
			assert_int_equal(atomic_load(&b.metrics.fetched_bytes), before);
		check_kept_blobs(&b);
		if (i == 1)
			each_file(&b, spoil_middle);
		restart(&b);
	}
}

static void test_large_objects_that_are_odd(void **state)
{
	static const struct bench_shape shape = {
	        .format = BENCH_TEXT, .method = COMPRESSION_ZSTD, .text_blobs = true, .odd_blobs = true};
	_cleanup(bench) struct bench b;
	struct error errs[2] = {{0}, {0}};

	open_bench(&b, &shape);
	for (int i = 0; i < 2; i++) {
		struct inside_dump *d = open_dump_of(&b);
		uint32_t count;

		assert_int_equal(inside_blobs(d, NULL, &count, &errs[i]), -ENOTSUP);
		inside_close(d);
		restart(&b);
	}
	assert_string_equal(errs[0].message, errs[1].message);
	check_everything(&b);
}

static void cut_in_half(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size / 2), 0);
}

/* The checksum is right, and what it says cannot be. */

#define AT_BEGIN  72
#define AT_BYTES  (AT_BEGIN + 24)
#define AT_COUNT  (AT_BEGIN + 36)
#define AT_POINTS (AT_BEGIN + 64)

static struct {
	size_t at;
	uint64_t value; /* that is written there, instead */
} edit;

/* With the checksum that it needs. */
static void write_sealed(const char *path, struct str *whole)
{
	_cleanup(fd) int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	uint32_t crc = crc32c(0, whole->data, whole->len - sizeof(crc));

	memcpy(whole->data + whole->len - sizeof(crc), &crc, sizeof(crc));
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, whole->data, whole->len), 0);
}

static void edit_member(const char *path)
{
	_cleanup(str) struct str whole = {0};

	if (!strstr(path, "/1-"))
		return;
	assert_int_equal(fd_read_file(path, 1 << 24, &whole), 0);
	assert_true(whole.len > AT_POINTS + 40);
	memcpy(whole.data + edit.at, &edit.value, edit.at == AT_COUNT ? 4 : 8);
	write_sealed(path, &whole);
}

/* Each point lies a byte too far: what is decompressed from there may look like anything. */
static void shift_points(const char *path)
{
	_cleanup(str) struct str whole = {0};

	assert_int_equal(fd_read_file(path, 1 << 24, &whole), 0);
	for (size_t at = AT_POINTS; strstr(path, "/1-") && at + 24 <= whole.len; at += 20)
		whole.data[at]++;
	write_sealed(path, &whole);
}

static void expect_right_rows_after(void (*change)(const char *path))
{
	static const size_t some[] = {1, 2, 3, 6};

	for (size_t i = 0; i < ARRAY_SIZE(some); i++) {
		_cleanup(bench) struct bench b;

		open_bench(&b, &shapes[some[i]]);
		look_far(&b);
		files_seen = 0;
		each_file(&b, count_kept);
		assert_in_range(files_seen, 1, 3);
		each_file(&b, change);
		restart(&b);
		look_far(&b);
		check_everything(&b);
	}
}

static void test_files_that_are_wrong(void **state)
{
	expect_right_rows_after(spoil_middle);
	expect_right_rows_after(cut_in_half);
	expect_right_rows_after(shift_points);
}

static size_t spoiled_at; /* of 16 parts of the file */

static void spoil_layout(const char *path)
{
	_cleanup(str) struct str whole = {0};

	if (!strstr(path, "/2-"))
		return;
	assert_int_equal(fd_read_file(path, 1 << 24, &whole), 0);
	whole.data[72 + (whole.len - 76) * spoiled_at / 16] ^= (char)0x81;
	write_sealed(path, &whole);
}

/* Whatever a layout says: what is asked is answered, or fails. */
static void test_layouts_that_say_anything(void **state)
{
	static const struct bench_shape shape = {
	        .format = BENCH_TEXT, .method = COMPRESSION_ZSTD, .text_blobs = true};
	_cleanup(bench) struct bench b;
	char buf[100];

	open_bench(&b, &shape);
	inside_close(open_dump_of(&b));
	for (spoiled_at = 0; spoiled_at < 16; spoiled_at++) {
		struct inside_dump *d;
		struct inside_blob blob;

		each_file(&b, spoil_layout);
		restart(&b);
		d = open_dump_of(&b);
		for (uint32_t i = 1; i <= inside_tables(d); i++) {
			_cleanup(inside_table) struct inside_table t = {0};

			(void)inside_table(d, i, &t, NULL);
			(void)inside_pread(d, i, NULL, buf, sizeof(buf), 0, NULL);
		}
		for (int i = 0; i < BLOBS; i++)
			if (inside_find_blob(d, b.oids[i], NULL, &blob, NULL) == 0)
				(void)inside_blob_pread(d, b.oids[i], NULL, buf, sizeof(buf), blob.bytes / 2,
				                        NULL);
		inside_close(d);
		inside_forget_dump(b.in, ino_of_artifact(b.path));
		restart(&b);
		inside_close(open_dump_of(&b));
	}
	check_everything(&b);
	check_kept_blobs(&b);
}

/* Layouts whose checksum is right, and what they say is of another text, or was found by others. */

enum layout_record { /* as the file has them */
	             LAYOUT_END = 4,
	             LAYOUT_BLOB = 5,
	             LAYOUT_SCANNER = 7,
};

static struct {
	enum layout_record record; /* the first one */
	size_t at;                 /* in it: a u32 that grows by */
	uint32_t more;
} layout_edit;

static void edit_layout(const char *path)
{
	_cleanup(str) struct str whole = {0};
	uint32_t head[2] = {0}, value;
	size_t at = 72;

	if (!strstr(path, "/2-"))
		return;
	assert_int_equal(fd_read_file(path, 1 << 24, &whole), 0);
	for (; at + sizeof(head) < whole.len; at += sizeof(head) + head[1]) {
		memcpy(head, whole.data + at, sizeof(head));
		if (head[0] == (uint32_t)layout_edit.record)
			break;
	}
	at += sizeof(head) + layout_edit.at;
	assert_true(at + sizeof(value) < whole.len);
	memcpy(&value, whole.data + at, sizeof(value));
	value += layout_edit.more;
	memcpy(whole.data + at, &value, sizeof(value));
	write_sealed(path, &whole);
}

static const struct bench_shape text_with_blobs = {
        .format = BENCH_TEXT, .method = COMPRESSION_GZIP, .text_blobs = true};

static void test_layouts_that_are_not_taken(void **state)
{
	static const struct {
		enum layout_record record;
		size_t at;
	} edits[] = {{LAYOUT_END, 0}, {LAYOUT_SCANNER, 0}};

	for (size_t i = 0; i < ARRAY_SIZE(edits); i++) {
		_cleanup(bench) struct bench b;
		uint64_t before;

		open_bench(&b, &text_with_blobs);
		inside_close(open_dump_of(&b));
		layout_edit.record = edits[i].record;
		layout_edit.at = edits[i].at;
		layout_edit.more = 1;
		each_file(&b, edit_layout);
		restart(&b);
		before = atomic_load(&b.metrics.fetched_bytes);
		inside_close(open_dump_of(&b));
		if (atomic_load(&b.metrics.fetched_bytes) == before)
			fail_msg("edit %zu was taken", i);
		check_everything(&b);
		check_kept_blobs(&b);
	}
}

/* Who finds no digits where they were found is told so, and the next one who opens the dump has them found anew. */
static void test_digits_that_are_elsewhere(void **state)
{
	_cleanup(bench) struct bench b;
	struct inside_dump *d;
	struct inside_blob blob;
	bool refused = false;
	char buf[100];

	open_bench(&b, &text_with_blobs);
	inside_close(open_dump_of(&b));
	layout_edit.record = LAYOUT_BLOB;
	layout_edit.at = 8;
	layout_edit.more = (uint32_t)-1;
	each_file(&b, edit_layout);
	restart(&b);
	d = open_dump_of(&b);
	for (int i = 0; i < BLOBS && !refused; i++)
		refused = inside_find_blob(d, b.oids[i], NULL, &blob, NULL) == 0 && blob.bytes >= 1 &&
		          inside_blob_pread(d, b.oids[i], NULL, buf, 1, 0, NULL) == -EBADMSG;
	assert_true(refused);
	check_kept_blobs(&b);
	inside_close(d);
	check_kept_blobs(&b);
	check_everything(&b);
}

static void test_what_cannot_be(void **state)
{
	static const struct {
		size_t at;
		uint64_t value;
	} edits[] = {
	        {AT_BEGIN, 1},
	        {AT_BEGIN + 8, 1},
	        {AT_BEGIN + 16, 7},
	        {AT_BYTES, 1},
	        {AT_COUNT, 1},
	        {AT_COUNT, UINT32_MAX},
	        {AT_POINTS, 0},
	        {AT_POINTS, UINT64_MAX},
	        {AT_POINTS + 8, 0},
	        {AT_POINTS + 20, 1000},
	        {AT_POINTS + 28, UINT64_MAX},
	};
	_cleanup(bench) struct bench b;

	open_bench(&b, &shapes[1]);
	for (size_t i = 0; i < ARRAY_SIZE(edits); i++) {
		look_far(&b);
		edit.at = edits[i].at;
		edit.value = edits[i].value;
		each_file(&b, edit_member);
		restart(&b);
		if (look_far(&b) < b.m.size_bytes / 8)
			fail_msg("edit %zu was taken", i);
	}
	check_everything(&b);
}

/* Of another dump of the same name, and so the same number. */
static void test_another_dump_of_the_same_name(void **state)
{
	static const struct bench_shape shape = {
	        .format = BENCH_CUSTOM, .method = COMPRESSION_GZIP, .no_index = true, .no_counts = true};
	_cleanup(bench) struct bench b;

	open_bench(&b, &shape);
	look_far(&b);
	files_seen = 0;
	each_file(&b, count_kept);
	assert_in_range(files_seen, 1, 3);
	assert_int_equal(artifact_remove(&b.repo, ino_of_artifact(b.path),
	                                 &(struct catalog_removal){.is_decided = true}, NULL),
	                 0);
	for (int i = 0; i < TABLES; i++)
		str_clear(&b.tables[i].rows);
	fill_rows(&b.tables[0].rows, 500, 7);
	fill_rows(&b.tables[2].rows, 7000000, 8);
	free(b.path);
	manifest_finish(&b.m);
	segment_index_finish(&b.index);
	b.m = (struct manifest){0};
	b.index = (struct segment_index){0};
	b.shape.later_s = 60;
	publish_bench(&b);
	check_everything(&b);
	restart(&b);
	check_everything(&b);
	/* Of the first one nothing is left. */
	each_file(&b, count_kept);
	inside_forget_dump(b.in, ino_of_artifact(b.path));
	files_seen = 0;
	each_file(&b, count_kept);
	assert_int_equal(files_seen, 0);
}

/* Places in CSV are for the table as it is. */
static void test_places(void **state)
{
	static const struct bench_shape shape = {.format = BENCH_TEXT, .method = COMPRESSION_GZIP};
	static const struct inside_place places[] = {{1000, 1100}, {2000, 2200}};
	struct inside_place found[4];
	_cleanup(bench) struct bench b;
	struct inside_dump *d;
	struct inside_places x = {.form = 1, .items = places, .count = 2};

	open_bench(&b, &shape);
	d = open_dump_of(&b);
	x.end = (struct inside_place){b.tables[2].rows.len, 7000000};
	assert_int_equal(inside_kept_places(d, 3, 1, found, 4), 0);
	inside_keep_places(d, 3, &x);
	assert_int_equal(inside_kept_places(d, 3, 1, found, 4), 2);
	assert_memory_equal(found, places, sizeof(places));
	assert_int_equal(inside_kept_places(d, 1, 1, found, 4), 0);
	assert_int_equal(inside_kept_places(d, 3, 2, found, 4), 0); /* and then it is gone */
	assert_int_equal(inside_kept_places(d, 3, 1, found, 4), 0);
	inside_keep_places(d, 3, &x);
	assert_int_equal(inside_kept_places(d, 3, 1, found, 1), 0);
	x.end.csv = 2199;
	inside_keep_places(d, 3, &x);
	assert_int_equal(inside_kept_places(d, 3, 1, found, 4), 0);
	x.end.csv = 7000000;
	x.end.rows++;
	inside_keep_places(d, 3, &x);
	assert_int_equal(inside_kept_places(d, 3, 1, found, 4), 0);
	inside_keep_places(d, 99, &x);
	inside_close(d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_after_a_restart),
	        cmocka_unit_test(test_text_without_rows),
	        cmocka_unit_test(test_large_objects_of_a_text),
	        cmocka_unit_test(test_large_objects_that_are_odd),
	        cmocka_unit_test(test_large_objects_of_an_archive),
	        cmocka_unit_test(test_files_that_are_wrong),
	        cmocka_unit_test(test_what_cannot_be),
	        cmocka_unit_test(test_layouts_that_say_anything),
	        cmocka_unit_test(test_layouts_that_are_not_taken),
	        cmocka_unit_test(test_digits_that_are_elsewhere),
	        cmocka_unit_test(test_another_dump_of_the_same_name),
	        cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests_name("inside_kept", tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/*
 * The difference of two tables: held against a simple second implementation (both are sorted, and merged), with memory that holds everything,
 * and with so little that nearly all goes to the disk.
 */
#include "../../src/use/row_diff.h"
#include "../../src/use/unmatched_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TINY ((size_t)64 * sizeof(struct unmatched_record)) /* the least */
#define MUCH ((size_t)1 << 20)

/* Tables. */

struct rows_text {
	struct str text;
	size_t piece;        /* bytes that are handed out at once */
	int fails;           /* in the middle of it, with that */
	struct cancel *sets; /* in the middle of it */
	unsigned readings;
};

static void cleanup_rows_text(struct rows_text *t)
{
	str_finish(&t->text);
}

static int read_text(void *arg, int (*take)(void *arg, const void *data, size_t len, struct error *err),
                     void *take_arg, struct error *err)
{
	struct rows_text *t = arg;
	int r = 0;

	t->readings++;
	for (size_t at = 0; r == 0 && at < t->text.len; at += t->piece) {
		size_t len = t->text.len - at < t->piece ? t->text.len - at : t->piece;
		bool is_middle = at <= t->text.len / 2 && at + t->piece > t->text.len / 2;

		if (is_middle && t->fails)
			return error_set(err, ERROR_UNAVAILABLE, -t->fails, "the store is away");
		if (is_middle && t->sets)
			cancel_set(t->sets);
		r = take(take_arg, t->text.data + at, len, err);
	}
	return r;
}

static void add_row(struct rows_text *t, uint64_t value)
{
	str_appendf(&t->text, "%llu\trow number %llu\n", (unsigned long long)value,
	            (unsigned long long)value * 7);
}

/* A generator that gives the same on each machine (xorshift64). */
static uint64_t next_number(uint64_t *io)
{
	*io ^= *io << 13;
	*io ^= *io >> 7;
	*io ^= *io << 17;
	return *io;
}

/* The second implementation. */

static int compare_lines(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

struct lines {
	char *copy;
	char **items;
	size_t count;
};

static void cleanup_lines(struct lines *l)
{
	free(l->copy);
	free(l->items);
}

static struct lines sorted_lines(const char *text)
{
	struct lines l = {.copy = mem_strdup(text)};
	char *rest = l.copy, *line;

	l.items = mem_array(strlen(text) + 1, sizeof(*l.items));
	while ((line = strsep(&rest, "\n")) && rest)
		l.items[l.count++] = line;
	qsort(l.items, l.count, sizeof(*l.items), compare_lines);
	return l;
}

/* Which of @x are not in @y, sorted. */
static void simple_difference(const char *x, const char *y, struct str *out)
{
	_cleanup(lines) struct lines a = sorted_lines(x), b = sorted_lines(y);
	size_t k = 0;

	for (size_t i = 0; i < a.count; i++) {
		while (k < b.count && strcmp(b.items[k], a.items[i]) < 0)
			k++;
		if (k < b.count && strcmp(b.items[k], a.items[i]) == 0)
			k++;
		else
			str_appendf(out, "%s\n", a.items[i]);
	}
}

/* Comparing. */

static char directory[] = "/tmp/keepfs-diff-XXXXXX";

static struct row_diff_options options_of(struct rows_text *a, struct rows_text *b, size_t memory_bytes)
{
	return (struct row_diff_options){
	        .tables = {{.read = read_text, .arg = a}, {.read = read_text, .arg = b}},
	        .unmatched = {
	                .directory = directory, .memory_bytes = memory_bytes, .space_bytes = MUCH * 64}};
}

static int append_row(void *arg, const void *data, size_t len, bool ends, struct error *err)
{
	str_append_bytes(arg, data, len);
	if (ends)
		str_append_char(arg, '\n');
	return 0;
}

static void assert_same_lines(const char *found, const char *expected)
{
	_cleanup(lines) struct lines a = sorted_lines(found);

	for (size_t i = 0, at = 0; i < a.count; i++) {
		size_t len = strlen(a.items[i]);

		assert_memory_equal(expected + at, a.items[i], len);
		assert_int_equal(expected[at + len], '\n');
		at += len + 1;
	}
	assert_int_equal(strlen(found), strlen(expected));
}

static void assert_side(struct row_diff *d, enum unmatched_side side, const struct rows_text *own,
                        const struct rows_text *other)
{
	_cleanup(str) struct str found = {0}, expected = {0};
	const struct row_diff_out out = {.row = append_row, .arg = &found};
	struct error err = {0};
	uint64_t lines = 0;

	simple_difference(str_text(&own->text), str_text(&other->text), &expected);
	assert_int_equal(row_diff_read(d, side, &out, &err), 0);
	assert_same_lines(str_text(&found), str_text(&expected));
	for (size_t i = 0; i < found.len; i++)
		lines += found.data[i] == '\n';
	assert_int_equal(row_diff_count(d, side), lines);
}

static void assert_difference(struct rows_text *a, struct rows_text *b, size_t memory_bytes)
{
	const struct row_diff_options options = options_of(a, b, memory_bytes);
	_cleanup(row_diff) struct row_diff *d = NULL;
	struct error err = {0};

	assert_int_equal(row_diff_new(&options, &d, NULL, &err), 0);
	assert_side(d, UNMATCHED_A, a, b);
	assert_side(d, UNMATCHED_B, b, a);
}

static void assert_difference_of_texts(const char *a, const char *b)
{
	_cleanup(rows_text) struct rows_text x = {.piece = 3}, y = {.piece = 5};

	str_append(&x.text, a);
	str_append(&y.text, b);
	assert_difference(&x, &y, TINY);
}

static void tables_that_can_be_seen_through(void **state)
{
	assert_difference_of_texts("", "");
	assert_difference_of_texts("1\n", "");
	assert_difference_of_texts("", "1\n");
	assert_difference_of_texts("1\n2\n3\n", "3\n1\n2\n");
	assert_difference_of_texts("1\n2\n3\n", "1\n3\n4\n");
	assert_difference_of_texts("1\n1\n1\n2\n", "1\n2\n2\n2\n");
	assert_difference_of_texts("\n\n", "\n");
}

/* Few values: many rows are equal. Many values: nearly none is. */
static void random_tables(void **state)
{
	static const uint64_t values[] = {3, 40, 1000, 100000};
	static const size_t memory[] = {TINY, TINY * 7, MUCH};
	uint64_t seed = 4711;

	for (size_t i = 0; i < ARRAY_SIZE(values) * ARRAY_SIZE(memory); i++) {
		uint64_t most = values[i % ARRAY_SIZE(values)];
		_cleanup(rows_text) struct rows_text a = {.piece = 1000}, b = {.piece = 4096};
		size_t of_a = next_number(&seed) % 3000, of_b = next_number(&seed) % 3000;

		for (size_t k = 0; k < of_a; k++)
			add_row(&a, next_number(&seed) % most);
		for (size_t k = 0; k < of_b; k++)
			add_row(&b, next_number(&seed) % most);
		assert_difference(&a, &b, memory[i / ARRAY_SIZE(values)]);
	}
}

/* More rows of one digest than are remembered, on both sides, in runs of the disk. */
static void thousands_of_equal_rows(void **state)
{
	_cleanup(rows_text) struct rows_text a = {.piece = 512}, b = {.piece = 512};

	for (int i = 0; i < 6000; i++)
		add_row(&a, 1);
	for (int i = 0; i < 3000; i++)
		add_row(&b, (uint64_t)i + 10);
	for (int i = 0; i < 2500; i++)
		add_row(&b, 1);
	assert_difference(&a, &b, TINY);
	assert_difference(&b, &a, TINY);
	assert_difference(&a, &b, MUCH);
}

static void rows_in_another_order(void **state)
{
	_cleanup(rows_text) struct rows_text a = {.piece = 777}, b = {.piece = 1111};

	for (uint64_t i = 0; i < 5000; i++) {
		add_row(&a, i);
		add_row(&b, 4999 - i);
	}
	assert_difference(&a, &b, TINY);
}

static void a_row_longer_than_a_piece(void **state)
{
	_cleanup(rows_text) struct rows_text a = {.piece = 100}, b = {.piece = 70};

	for (int i = 0; i < 10000; i++)
		str_append_char(&a.text, (char)('a' + i % 26));
	str_append(&a.text, "\n");
	str_append(&b.text, str_text(&a.text));
	str_append(&a.text, "same\n");
	b.text.data[5000] = '!';
	str_append(&b.text, "same\n");
	assert_difference(&a, &b, TINY);
}

static void who_needs_no_rest_reads_no_rest(void **state)
{
	_cleanup(rows_text) struct rows_text a = {.piece = 100}, b = {.piece = 100};
	const struct row_diff_options options = options_of(&a, &b, MUCH);
	_cleanup(row_diff) struct row_diff *d = NULL;
	_cleanup(str) struct str found = {0};
	const struct row_diff_out out = {.row = append_row, .arg = &found};

	add_row(&a, 99999);
	for (uint64_t i = 0; i < 500; i++) {
		add_row(&a, i);
		add_row(&b, i);
	}
	assert_int_equal(row_diff_new(&options, &d, NULL, NULL), 0);
	/* Of what comes behind the one row nothing is asked for: there it would fail. */
	a.fails = -EIO;
	assert_int_equal(row_diff_read(d, UNMATCHED_A, &out, NULL), 0);
	assert_string_equal(str_text(&found), "99999\trow number 699993\n");
	assert_int_equal(row_diff_read(d, UNMATCHED_B, &out, NULL), 0);
	assert_int_equal(b.readings, 1);
	assert_int_equal(row_diff_rows(d, UNMATCHED_A), 501);
	assert_int_equal(row_diff_rows(d, UNMATCHED_B), 500);
}

/* What goes wrong. */

static void fill_apart(struct rows_text *a, struct rows_text *b)
{
	for (uint64_t i = 0; i < 5000; i++) {
		add_row(a, i);
		add_row(b, i + 10000);
	}
}

static void space_that_is_used_up(void **state)
{
	_cleanup(rows_text) struct rows_text a = {.piece = 512}, b = {.piece = 512};
	struct row_diff_options options = options_of(&a, &b, TINY);
	struct row_diff *d = NULL;
	struct error err = {0};

	fill_apart(&a, &b);
	options.unmatched.space_bytes = 100 * sizeof(struct unmatched_record);
	assert_int_equal(row_diff_new(&options, &d, NULL, &err), -ENOSPC);
	assert_int_equal(err.class, ERROR_NO_SPACE);
	assert_non_null(strstr(err.message, "raise [keepfs] diff_space"));
	assert_non_null(strstr(err.message, directory));
	assert_null(d);
	/* All of it, and the bits, are enough. */
	options.unmatched.space_bytes = 10000 * sizeof(struct unmatched_record) + 2000;
	assert_int_equal(row_diff_new(&options, &d, NULL, &err), 0);
	assert_int_equal(row_diff_count(d, UNMATCHED_A), 5000);
	row_diff_free(d);
}

static void a_directory_that_is_not_there(void **state)
{
	_cleanup(rows_text) struct rows_text a = {.piece = 512}, b = {.piece = 512};
	struct row_diff_options options = options_of(&a, &b, MUCH);
	struct row_diff *d = NULL;
	struct error err = {0};

	fill_apart(&a, &b);
	options.unmatched.directory = "/nowhere/at/all";
	assert_int_equal(row_diff_new(&options, &d, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.message, "/nowhere/at/all"));
}

static void a_side_that_fails(void **state)
{
	for (int side = 0; side < 2; side++) {
		_cleanup(rows_text) struct rows_text a = {.piece = 512}, b = {.piece = 512};
		const struct row_diff_options options = options_of(&a, &b, TINY);
		struct row_diff *d = NULL;
		struct error err = {0};
		enum unmatched_side failed = UNMATCHED_SIDES;

		fill_apart(&a, &b);
		(side == 0 ? &a : &b)->fails = -EHOSTDOWN;
		assert_int_equal(row_diff_new(&options, &d, &failed, &err), -EHOSTDOWN);
		assert_int_equal(failed, side);
		assert_string_equal(err.message, "the store is away");
	}
}

static void a_side_that_fails_the_second_time(void **state)
{
	_cleanup(rows_text) struct rows_text a = {.piece = 512}, b = {.piece = 512};
	const struct row_diff_options options = options_of(&a, &b, TINY);
	_cleanup(row_diff) struct row_diff *d = NULL;
	_cleanup(str) struct str found = {0};
	const struct row_diff_out out = {.row = append_row, .arg = &found};
	struct error err = {0};

	fill_apart(&a, &b);
	assert_int_equal(row_diff_new(&options, &d, NULL, &err), 0);
	b.fails = -EHOSTDOWN;
	assert_int_equal(row_diff_read(d, UNMATCHED_B, &out, &err), -EHOSTDOWN);
	b.fails = 0;
	b.text.len = 100;
	assert_int_equal(row_diff_read(d, UNMATCHED_B, &out, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "fewer rows"));
}

static void rows_without_an_end(void **state)
{
	_cleanup(rows_text) struct rows_text a = {.piece = 512}, b = {.piece = 512};
	const struct row_diff_options options = options_of(&a, &b, TINY);
	struct row_diff *d = NULL;
	struct error err = {0};

	str_append(&a.text, "1\n2");
	str_append(&b.text, "1\n2\n");
	assert_int_equal(row_diff_new(&options, &d, NULL, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
}

static void a_comparison_that_is_cancelled(void **state)
{
	for (int side = 0; side < 2; side++) {
		_cleanup(rows_text) struct rows_text a = {.piece = 512}, b = {.piece = 512};
		struct row_diff_options options = options_of(&a, &b, TINY);
		struct row_diff *d = NULL;
		struct cancel cancel;
		struct error err = {0};

		cancel_init(&cancel);
		fill_apart(&a, &b);
		options.cancel = &cancel;
		(side == 0 ? &a : &b)->sets = &cancel;
		assert_int_equal(row_diff_new(&options, &d, NULL, &err), -ECANCELED);
		assert_int_equal(err.class, ERROR_CANCELLED);
		cancel_finish(&cancel);
	}
}

static void cancelled_while_rows_are_handed_out(void **state)
{
	_cleanup(rows_text) struct rows_text a = {.piece = 512}, b = {.piece = 512};
	struct row_diff_options options = options_of(&a, &b, TINY);
	struct row_diff *d = NULL;
	_cleanup(str) struct str found = {0};
	const struct row_diff_out out = {.row = append_row, .arg = &found};
	struct cancel cancel;
	struct error err = {0};

	cancel_init(&cancel);
	fill_apart(&a, &b);
	options.cancel = &cancel;
	assert_int_equal(row_diff_new(&options, &d, NULL, &err), 0);
	a.sets = &cancel;
	assert_int_equal(row_diff_read(d, UNMATCHED_A, &out, &err), -ECANCELED);
	row_diff_free(d);
	cancel_finish(&cancel);
}

/* What is below. */

static void equal_tables_need_no_disk(void **state)
{
	const struct unmatched_options options = {
	        .directory = "/nowhere/at/all", .memory_bytes = TINY, .space_bytes = 0};
	_cleanup(unmatched) struct unmatched *u = unmatched_new(&options);
	struct error err = {0};

	for (uint64_t i = 0; i < 10000; i++) {
		const struct row_digest digest = {.high = i * 0x9e3779b97f4a7c15u, .low = i};

		assert_int_equal(unmatched_add(u, UNMATCHED_A, &digest, &err), 0);
		assert_int_equal(unmatched_add(u, UNMATCHED_B, &digest, &err), 0);
	}
	assert_int_equal(unmatched_settle(u, NULL, &err), 0);
	assert_int_equal(unmatched_count(u, UNMATCHED_A), 0);
	assert_int_equal(unmatched_count(u, UNMATCHED_B), 0);
	assert_false(unmatched_has(u, UNMATCHED_A, 0));
	assert_int_equal(unmatched_spilled(u), 0);
}

static void records_are_sorted(void **state)
{
	_cleanup(free) struct unmatched_record *records = mem_array(5000, sizeof(*records));
	uint64_t seed = 17;

	for (size_t count = 0; count <= 5000; count = count * 3 + 1) {
		for (size_t i = 0; i < count; i++)
			records[i] = (struct unmatched_record){.high = next_number(&seed) % 5 << 40,
			                                       .low = next_number(&seed) % 7,
			                                       .tag = next_number(&seed)};
		unmatched_sort(records, count);
		for (size_t i = 1; i < count; i++)
			assert_false(unmatched_before(&records[i], &records[i - 1]));
	}
}

static int make_directory(void **state)
{
	return mkdtemp(directory) ? 0 : -1;
}

/* No comparison, however it ended, has left a file. */
static int remove_directory(void **state)
{
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(tables_that_can_be_seen_through),
	        cmocka_unit_test(random_tables),
	        cmocka_unit_test(thousands_of_equal_rows),
	        cmocka_unit_test(rows_in_another_order),
	        cmocka_unit_test(a_row_longer_than_a_piece),
	        cmocka_unit_test(who_needs_no_rest_reads_no_rest),
	        cmocka_unit_test(space_that_is_used_up),
	        cmocka_unit_test(a_directory_that_is_not_there),
	        cmocka_unit_test(a_side_that_fails),
	        cmocka_unit_test(a_side_that_fails_the_second_time),
	        cmocka_unit_test(rows_without_an_end),
	        cmocka_unit_test(a_comparison_that_is_cancelled),
	        cmocka_unit_test(cancelled_while_rows_are_handed_out),
	        cmocka_unit_test(equal_tables_need_no_disk),
	        cmocka_unit_test(records_are_sorted),
	};

	return cmocka_run_group_tests_name("row_diff", tests, make_directory, remove_directory);
}

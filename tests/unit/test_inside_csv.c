// SPDX-License-Identifier: Apache-2.0
/* A table as CSV at any place: whatever the order of the reads, the bytes are those of the whole. The library is made up: rows in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../src/fs/inside_csv.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/copy_text.h>

#include <errno.h>
#include <string.h>

#define BLOCK_BYTES 1000

static struct made_up {
	struct str rows;
	const char *columns;
	uint64_t fails_at; /* a read from there on; 0: none does */
	uint64_t read_bytes;
	/* What it has kept. */
	uint32_t form;
	struct inside_place end, places[INSIDE_CSV_PLACES_MAX];
	size_t place_count;
	unsigned forgotten;
} lib;

bool inside_pread_is_long(struct inside_dump *d, uint32_t number, uint64_t offset)
{
	return false;
}

void inside_keep_places(struct inside_dump *d, uint32_t number, const struct inside_places *x)
{
	assert_in_range(x->count, 1, INSIDE_CSV_PLACES_MAX);
	lib.form = x->form;
	lib.end = x->end;
	lib.place_count = x->count;
	memcpy(lib.places, x->items, x->count * sizeof(*x->items));
}

size_t inside_kept_places(struct inside_dump *d, uint32_t number, uint32_t form, struct inside_place *places,
                          size_t max)
{
	if (lib.place_count == 0 || form != lib.form || lib.place_count > max)
		return 0;
	memcpy(places, lib.places, lib.place_count * sizeof(*places));
	return lib.place_count;
}

void inside_forget_places(struct inside_dump *d, uint32_t number)
{
	lib.place_count = 0;
	lib.forgotten++;
}

int inside_table(struct inside_dump *d, uint32_t number, struct inside_table *ret, struct error *err)
{
	if (number != 1)
		return -ENOENT;
	*ret = (struct inside_table){
	        .number = 1, .schema = mem_strdup("public"), .columns = lib.columns, .bytes = lib.rows.len};
	ret->table = ret->schema;
	return 0;
}

ssize_t inside_pread(struct inside_dump *d, uint32_t number, struct cancel *cancel, void *buf, size_t len,
                     uint64_t offset, struct error *err)
{
	size_t left = offset < lib.rows.len ? lib.rows.len - (size_t)offset : 0, n = left < len ? left : len;

	if (lib.fails_at && offset + len > lib.fails_at)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "made up");
	if (n > 0)
		memcpy(buf, lib.rows.data + offset, n);
	lib.read_bytes += n;
	return (ssize_t)n;
}

int inside_read_rows(struct inside_dump *d, uint32_t number, struct cancel *cancel,
                     int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                     struct error *err)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < lib.rows.len; at += 77)
		r = take(arg, lib.rows.data + at, lib.rows.len - at < 77 ? lib.rows.len - at : 77, err);
	return r;
}

static int set_up(void **state)
{
	lib = (struct made_up){.columns = "(id, \"No, te\")"};
	return 0;
}

static int tear_down(void **state)
{
	str_finish(&lib.rows);
	return 0;
}

static void add_rows(unsigned count, unsigned longest)
{
	static const char *const notes[] = {"\\N",         "",          "a,b", "\"quoted\"", "plain",
	                                    "two\\nlines", "tab\\there"};

	for (unsigned i = 0; i < count; i++) {
		str_appendf(&lib.rows, "%u\t%s", i, notes[i % ARRAY_SIZE(notes)]);
		for (unsigned j = 0; i % ARRAY_SIZE(notes) == 4 && j < i * 7919 % longest; j++)
			str_append_char(&lib.rows, (char)('a' + j % 26));
		str_append_char(&lib.rows, '\n');
	}
}

static int append_csv(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

/* By the converter, in one go. */
static void convert_whole(struct str *ret)
{
	struct copy_csv *converter;

	assert_int_equal(copy_csv_new(lib.columns, append_csv, ret, &converter, NULL), 0);
	if (lib.rows.len)
		assert_int_equal(copy_csv_feed(converter, lib.rows.data, lib.rows.len, NULL), 0);
	assert_int_equal(copy_csv_end(converter, NULL), 0);
	copy_csv_free(converter);
}

static struct inside_csv *begin_csv(uint64_t block_bytes)
{
	struct inside_csv *c;

	assert_int_equal(inside_csv_new(NULL, 1, block_bytes, &c, NULL), 0);
	return c;
}

static void assert_part(struct inside_csv *c, const struct str *whole, uint64_t offset, size_t len)
{
	size_t left = offset < whole->len ? whole->len - (size_t)offset : 0, want = left < len ? left : len;
	_cleanup(free) char *buf = mem_alloc(len + 1);

	assert_int_equal(inside_csv_pread(c, NULL, buf, len, offset, NULL), want);
	if (want > 0)
		assert_memory_equal(buf, whole->data + offset, want);
}

static void assert_whole(struct inside_csv *c, const struct str *whole, size_t by)
{
	for (uint64_t at = 0; at <= whole->len; at += by)
		assert_part(c, whole, at, by);
}

static void it_is_read_from_beginning_to_end(void **state)
{
	static const size_t steps[] = {1, 100, 4096, 1 << 20};

	add_rows(3000, 300);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		_cleanup(str) struct str whole = {0};
		struct inside_csv *c = begin_csv(BLOCK_BYTES);

		convert_whole(&whole);
		assert_true(str_starts(whole.data, "id,\"No, te\"\n0,\n1,\"\"\n2,\"a,b\"\n"));
		assert_whole(c, &whole, steps[i]);
		inside_csv_free(c);
	}
}

static void it_is_read_at_any_place(void **state)
{
	_cleanup(str) struct str whole = {0};
	struct inside_csv *c = begin_csv(BLOCK_BYTES);
	uint32_t chance = 1;

	add_rows(20000, 300);
	convert_whole(&whole);
	for (int i = 0; i < 2000; i++) {
		chance = chance * 1664525 + 1013904223;
		assert_part(c, &whole, chance % (whole.len + 100), (chance >> 8) % 5000);
	}
	inside_csv_free(c);
}

/* What has been seen once is found again without reading all that is before it. */
static void a_place_behind_is_near(void **state)
{
	_cleanup(str) struct str whole = {0};
	struct inside_csv *c = begin_csv(BLOCK_BYTES);

	add_rows(200000, 300);
	convert_whole(&whole);
	assert_part(c, &whole, whole.len - 10, 100);
	lib.read_bytes = 0;
	for (uint64_t at = whole.len; at > 1000000; at -= 500000)
		assert_part(c, &whole, at - 1000, 100);
	assert_true(lib.read_bytes < lib.rows.len * 2);
	inside_csv_free(c);
}

/* Who has passed all of it has the places kept; who comes later begins with them. */
static void places_are_kept(void **state)
{
	_cleanup(str) struct str whole = {0};
	struct inside_csv *c = begin_csv(BLOCK_BYTES);

	add_rows(200000, 300);
	convert_whole(&whole);
	inside_csv_take_kept(c);
	assert_part(c, &whole, whole.len - 10, 100);
	inside_csv_free(c);
	assert_true(lib.place_count > 10);
	assert_int_equal(lib.end.rows, lib.rows.len);
	assert_int_equal(lib.end.csv, whole.len);
	c = begin_csv(BLOCK_BYTES);
	inside_csv_take_kept(c);
	lib.read_bytes = 0;
	assert_part(c, &whole, whole.len - 10, 100);
	assert_part(c, &whole, whole.len / 2, 100);
	assert_true(lib.read_bytes < lib.rows.len / 2);
	assert_whole(c, &whole, 1 << 20);
	inside_csv_free(c);
	assert_int_equal(lib.forgotten, 0);
}

static void measuring_finds_places_too(void **state)
{
	_cleanup(str) struct str whole = {0};
	struct inside_csv *c = begin_csv(INSIDE_CSV_BLOCK_BYTES);
	uint64_t bytes = 0;

	add_rows(200000, 300);
	convert_whole(&whole);
	assert_int_equal(inside_csv_measure(NULL, 1, NULL, &bytes, NULL), 0);
	assert_int_equal(bytes, whole.len);
	assert_int_equal(lib.place_count, lib.rows.len >> 20);
	inside_csv_take_kept(c);
	assert_part(c, &whole, whole.len - 10, 100);
	assert_true(lib.read_bytes < UINT64_C(3) << 20);
	inside_csv_free(c);
}

/* Where no row ends there is no place: whatever was kept, the bytes are right. */
static void kept_places_that_are_wrong(void **state)
{
	_cleanup(str) struct str whole = {0};
	struct inside_csv *c = begin_csv(BLOCK_BYTES);

	add_rows(20000, 300);
	convert_whole(&whole);
	assert_part(c, &whole, whole.len - 10, 100);
	inside_csv_free(c);
	for (size_t i = 0; i < lib.place_count; i++)
		lib.places[i].rows--;
	c = begin_csv(BLOCK_BYTES);
	inside_csv_take_kept(c);
	assert_part(c, &whole, whole.len / 2, 1000);
	assert_int_equal(lib.forgotten, 1);
	assert_part(c, &whole, whole.len - 10, 100);
	assert_whole(c, &whole, 10000);
	inside_csv_free(c);
	assert_true(lib.place_count > 0);
}

/* What is far behind what is known takes long; what is near a place, or where the last read has ended, does not. */
static void what_takes_long(void **state)
{
	_cleanup(str) struct str whole = {0};
	struct inside_csv *c = begin_csv(INSIDE_CSV_BLOCK_BYTES);
	uint64_t far = UINT64_C(9) << 20;

	add_rows(400000, 300);
	convert_whole(&whole);
	assert_true(whole.len > far);
	assert_false(inside_csv_pread_is_long(c, 0));
	assert_false(inside_csv_pread_is_long(c, 1 << 20));
	assert_true(inside_csv_pread_is_long(c, far));
	assert_part(c, &whole, far - (1 << 20), 100);
	assert_false(inside_csv_pread_is_long(c, far));
	assert_false(inside_csv_pread_is_long(c, far / 2));
	inside_csv_free(c);
}

/* Some thousand blocks: most places are forgotten, and every byte is right all the same. */
static void many_blocks(void **state)
{
	_cleanup(str) struct str whole = {0};
	struct inside_csv *c = begin_csv(1);

	add_rows(8 * INSIDE_CSV_PLACES_MAX, 30);
	convert_whole(&whole);
	for (int i = 0; i < 2; i++)
		assert_whole(c, &whole, 10000);
	inside_csv_free(c);
}

static void rows_that_are_longer_than_anything(void **state)
{
	_cleanup(str) struct str whole = {0};
	struct inside_csv *c = begin_csv(BLOCK_BYTES);

	add_rows(40, 2000000);
	convert_whole(&whole);
	assert_true(whole.len > 1000000);
	assert_whole(c, &whole, 100000);
	assert_part(c, &whole, whole.len / 2, 200000);
	inside_csv_free(c);
}

static void tables_with_nothing_in_them(void **state)
{
	static const char *const columns[] = {"(id, \"No, te\")", "()", "(a)"};
	static const char *const rows[] = {"", "\n\n\n", "\\N\n\n"};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup(str) struct str whole = {0};
		struct inside_csv *c;
		uint64_t bytes = 0;

		lib.columns = columns[i];
		str_clear(&lib.rows);
		str_append(&lib.rows, rows[i]);
		convert_whole(&whole);
		c = begin_csv(1);
		assert_whole(c, &whole, 1);
		assert_whole(c, &whole, 100);
		inside_csv_free(c);
		assert_int_equal(inside_csv_measure(NULL, 1, NULL, &bytes, NULL), 0);
		assert_int_equal(bytes, whole.len);
	}
}

static void it_is_measured(void **state)
{
	_cleanup(str) struct str whole = {0};
	uint64_t bytes = 0;

	add_rows(3000, 300);
	convert_whole(&whole);
	assert_int_equal(inside_csv_measure(NULL, 1, NULL, &bytes, NULL), 0);
	assert_int_equal(bytes, whole.len);
	assert_int_equal(inside_csv_measure(NULL, 2, NULL, &bytes, NULL), -ENOENT);
}

/* And nothing wrong is given out when it goes on. */
static void a_failure_in_the_middle(void **state)
{
	_cleanup(str) struct str whole = {0};
	struct inside_csv *c = begin_csv(BLOCK_BYTES);
	struct error err = {0};
	char buf[5000];

	add_rows(100000, 300);
	convert_whole(&whole);
	assert_part(c, &whole, 0, 5000);
	lib.fails_at = 600000;
	assert_int_equal(inside_csv_pread(c, NULL, buf, sizeof(buf), whole.len - 10000, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	lib.fails_at = 0;
	assert_part(c, &whole, whole.len - 10000, 5000);
	assert_part(c, &whole, 5000, 5000);
	inside_csv_free(c);
}

/* It is not the backup that is damaged: its bytes are what was sent. */
static void what_cannot_be_converted(void **state)
{
	struct inside_csv *c = begin_csv(BLOCK_BYTES);
	struct error err = {0};
	uint64_t bytes;
	char buf[100];

	str_append(&lib.rows, "1\ttwo\tthree\n");
	assert_int_equal(inside_csv_pread(c, NULL, buf, sizeof(buf), 0, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_INTERNAL);
	assert_int_equal(inside_csv_measure(NULL, 1, NULL, &bytes, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_INTERNAL);
	inside_csv_free(c);
	lib.columns = "(id";
	assert_int_equal(inside_csv_new(NULL, 1, BLOCK_BYTES, &c, &err), -EBADMSG);
	assert_int_equal(inside_csv_new(NULL, 2, BLOCK_BYTES, &c, &err), -ENOENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
	        TEST(it_is_read_from_beginning_to_end),
	        TEST(it_is_read_at_any_place),
	        TEST(a_place_behind_is_near),
	        TEST(places_are_kept),
	        TEST(measuring_finds_places_too),
	        TEST(kept_places_that_are_wrong),
	        TEST(what_takes_long),
	        TEST(many_blocks),
	        TEST(rows_that_are_longer_than_anything),
	        TEST(tables_with_nothing_in_them),
	        TEST(it_is_measured),
	        TEST(a_failure_in_the_middle),
	        TEST(what_cannot_be_converted),
	};

	return cmocka_run_group_tests_name("inside_csv", tests, NULL, NULL);
}

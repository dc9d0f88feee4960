// SPDX-License-Identifier: Apache-2.0
/* How several readers make one document: the parts in which tables are read, what readers send, and that it comes out in order, compressed or not. */
#include "../../src/export/reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/decompression.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* Units. */

static void expect_ranges(uint32_t pages, uint32_t ranges)
{
	_cleanup(read_units) struct read_units units = {0};

	units_add(&units, 7, pages, ranges);
	units_add(&units, 8, 5, 1);
	assert_int_equal(units.count, ranges + 1);
	assert_int_equal(units.items[0].from_page, 0);
	for (uint32_t i = 0; i < ranges; i++) {
		const struct read_unit *u = &units.items[i];

		assert_int_equal(u->decision, 7);
		assert_int_equal(u->is_first, i == 0);
		assert_int_equal(u->is_last, i + 1 == ranges);
		/* No gap and nothing twice. */
		if (i > 0)
			assert_int_equal(u->from_page, units.items[i - 1].to_page);
		if (ranges > 1 && !u->is_last)
			assert_true(u->to_page > u->from_page);
	}
	/* Whatever was added to the table since its pages were counted is in the last one. */
	assert_int_equal(units.items[ranges - 1].to_page, ranges == 1 ? 0 : UINT32_MAX);
	assert_true(units.items[ranges].is_first && units.items[ranges].is_last);
	assert_int_equal(units.items[ranges].to_page, 0);
}

static void test_ranges_cover_a_table(void **state)
{
	expect_ranges(5, 1);
	expect_ranges(4096, 2);
	expect_ranges(99999, 16);
	expect_ranges(UINT32_MAX, 64);
}

static void test_how_many_ranges(void **state)
{
	assert_int_equal(units_ranges_most(0), 1);
	assert_int_equal(units_ranges_most(2048), 1);
	assert_int_equal(units_ranges_most(4095), 1);
	assert_int_equal(units_ranges_most(4096), 2);
	assert_int_equal(units_ranges_most(30000), 8);
	assert_int_equal(units_ranges_most(UINT32_MAX), 64);
}

static void test_ranges_that_are_not_worth_it(void **state)
{
	const struct pg_tenant_cost whole = {.startup = 0, .total = 1000, .rows = 10000, .width = 50},
	                            few = {.startup = 0, .total = 1000, .rows = 10, .width = 50};
	struct pg_tenant_cost range = {.is_range = true, .total = 255};

	assert_true(units_are_worth(&whole, &range, 4, 3));
	/* Each goes through all of an index. */
	range.total = 990;
	assert_false(units_are_worth(&whole, &range, 4, 3));
	assert_false(units_are_worth(&few, &range, 2, 3));
	/* Something is made ready for each. */
	range.total = 500;
	assert_true(units_are_worth(&few, &range, 2, 3));
	assert_false(units_are_worth(&few, &range, 4, 3));
	range.is_range = false;
	assert_false(units_are_worth(&few, &range, 2, 3));
}

/* Pieces. */

struct sunk { /* what came out */
	struct str raw;
	struct decompressor *unpacking;
	enum reading_mark kind;
	uint64_t marked, rows, raw_segments, pressed_segments, ends;
	bool refuses;
};

static int take_unpacked_rows(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(&((struct sunk *)arg)->raw, data, len);
	return 0;
}

static int sink_mark(void *arg, int what, uint64_t value, struct error *err)
{
	struct sunk *s = arg;

	if (what == READING_TABLE_END)
		s->ends++;
	if (what != READING_RAW && what != READING_PRESSED)
		return 0;
	s->kind = (enum reading_mark)what;
	s->marked = value;
	s->rows += value;
	return 0;
}

/* Segments of deflate are a gzip file when a head stands before them. */
static void unpack_segment(struct sunk *s, const struct segment *segment, const void *data)
{
	uint8_t head[GZIP_HEAD_BYTES], tail[GZIP_TAIL_BYTES];
	struct error err = {0};

	s->unpacking = decompressor_new(COMPRESSION_GZIP,
	                                &(struct decompressor_out){.write = take_unpacked_rows, .arg = s});
	gzip_head(head);
	gzip_tail(segment->check, segment->raw_bytes, tail);
	assert_int_equal(decompressor_write(s->unpacking, head, sizeof(head), &err), 0);
	assert_int_equal(decompressor_write(s->unpacking, data, segment->bytes, &err), 0);
	assert_int_equal(decompressor_write(s->unpacking, tail, sizeof(tail), &err), 0);
	assert_int_equal(decompressor_finish(s->unpacking, &err), 0);
	decompressor_free(s->unpacking);
}

static int sink_segment(void *arg, const struct segment *segment, const void *data, struct error *err)
{
	struct sunk *s = arg;

	if (s->refuses)
		return error_set(err, ERROR_NO_SPACE, ENOSPC, "full");
	if (s->kind == READING_RAW) {
		s->raw_segments++;
		str_append_bytes(&s->raw, data, segment->bytes);
		return 0;
	}
	s->pressed_segments++;
	unpack_segment(s, segment, data);
	return 0;
}

struct parts { /* made by some threads, each taking the next one */
	struct turns *turns;
	struct pool *pool;
	bool passes;
	size_t count, rows, row_bytes;
	size_t bad; /* the row of the last part that fails; SIZE_MAX: none */
	pthread_mutex_t lock;
	size_t next; /* lock */
};

static void make_row(const struct parts *p, size_t part, size_t row, struct str *out)
{
	size_t fill = p->row_bytes * (row % 3 == 1);

	str_appendf(out, ",\n{\"part\":%zu,\"row\":%zu,\"fill\":\"", part, row);
	for (size_t i = 0; i < fill; i++)
		str_append_char(out, (char)('a' + (i * 7 + row) % 26));
	str_append(out, "\"}");
}

/* As rows.c hands them on: the first alone, then some at once. */
static int make_part(const struct parts *p, struct reading_piece *piece, size_t part, struct error *err)
{
	_cleanup(str) struct str chunk = {0};
	uint64_t rows = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->rows; i++) {
		if (part + 1 == p->count && i == p->bad)
			return error_set(err, ERROR_DENIED, EPERM, "a row has another tenant");
		make_row(p, part, i, &chunk);
		rows++;
		if (i > 0 && chunk.len < 65536 && i + 1 < p->rows)
			continue;
		r = reading_piece_take(piece, chunk.data, chunk.len, rows, err);
		str_clear(&chunk);
		rows = 0;
	}
	return r < 0 ? r : reading_piece_end(piece, err);
}

static bool take_part(struct parts *p, struct reading_piece *piece, size_t *ret)
{
	bool is_taken;

	pthread_mutex_lock(&p->lock);
	is_taken = p->next < p->count;
	if (is_taken) {
		*ret = p->next++;
		piece->turn = turns_begin(p->turns);
		if (p->next == p->count)
			turns_close(p->turns);
	}
	pthread_mutex_unlock(&p->lock);
	return is_taken;
}

static void *make_parts(void *arg)
{
	static const struct compression fast = {COMPRESSION_GZIP, COMPRESSION_ISAL};
	struct parts *p = arg;
	struct squeeze squeeze;
	int r = 0;

	squeeze_init(&squeeze, p->pool, &fast);
	while (r == 0) {
		struct reading_piece piece = {.squeeze = &squeeze, .passes = p->passes};
		struct error err = {0};
		size_t part;

		squeeze.len = 0;
		if (!take_part(p, &piece, &part))
			break;
		r = make_part(p, &piece, part, &err);
		if (r == 0)
			r = turn_mark(piece.turn, READING_TABLE_END, 0, &err);
		if (r < 0)
			turns_fail(p->turns, r, &err);
		turn_end(piece.turn);
	}
	squeeze_finish(&squeeze);
	return NULL;
}

static int run_parts(struct parts *p, size_t threads, uint64_t budget, struct sunk *s, struct error *err)
{
	const struct ordered_out out = {.segment = sink_segment, .mark = sink_mark, .arg = s};
	pthread_t ids[4];
	int r;

	p->pool = pool_new(64 << 20);
	assert_int_equal(pool_reserve(p->pool, 2 * threads, NULL), 0);
	p->turns = turns_new(budget, NULL);
	pthread_mutex_init(&p->lock, NULL);
	for (size_t i = 0; i < threads; i++)
		assert_int_equal(pthread_create(&ids[i], NULL, make_parts, p), 0);
	r = turns_deliver(p->turns, &out, err);
	for (size_t i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	turns_free(p->turns);
	pool_unreserve(p->pool, 2 * threads);
	pool_free(p->pool);
	pthread_mutex_destroy(&p->lock);
	return r;
}

static void expect_parts(struct parts parts, size_t threads, uint64_t budget)
{
	_cleanup(str) struct str expected = {0};
	struct sunk s = {0};
	struct error err = {0};

	parts.bad = SIZE_MAX;
	assert_int_equal(run_parts(&parts, threads, budget, &s, &err), 0);
	for (size_t part = 0; part < parts.count; part++)
		for (size_t i = 0; i < parts.rows; i++)
			make_row(&parts, part, i, &expected);
	assert_int_equal(s.rows, parts.count * parts.rows);
	assert_int_equal(s.ends, parts.count);
	assert_int_equal(s.raw.len, expected.len);
	assert_memory_equal(s.raw.data, expected.data, expected.len);
	if (!parts.passes)
		assert_int_equal(s.pressed_segments, 0);
	else if (expected.len / parts.count > 2 << 20)
		assert_true(s.pressed_segments >= 2 * parts.count);
	str_finish(&s.raw);
}

static void test_parts_come_in_order(void **state)
{
	for (size_t threads = 1; threads <= 4; threads++)
		for (int passes = 0; passes < 2; passes++) {
			expect_parts((struct parts){.passes = passes, .count = 40, .rows = 3}, threads,
			             4 << 20);
			expect_parts(
			        (struct parts){.passes = passes, .count = 5, .rows = 30000, .row_bytes = 300},
			        threads, 8 << 20);
			/* Nothing at all may be kept out of turn. */
			expect_parts(
			        (struct parts){.passes = passes, .count = 4, .rows = 9000, .row_bytes = 900},
			        threads, 0);
		}
}

static void test_parts_without_rows(void **state)
{
	expect_parts((struct parts){.passes = true, .count = 9, .rows = 0}, 3, 1 << 20);
	expect_parts((struct parts){.passes = false, .count = 9, .rows = 0}, 1, 1 << 20);
}

/* Of any length: the first, which comes as it is, and those that are longer than a segment. */
static void test_long_rows(void **state)
{
	expect_parts((struct parts){.passes = true, .count = 3, .rows = 6, .row_bytes = 5 << 20}, 2, 3 << 20);
	expect_parts((struct parts){.passes = false, .count = 3, .rows = 6, .row_bytes = 5 << 20}, 2,
	             3 << 20);
}

static void test_bad_row_in_the_middle(void **state)
{
	for (int passes = 0; passes < 2; passes++) {
		struct parts parts = {
		        .passes = passes, .count = 6, .rows = 20000, .row_bytes = 200, .bad = 11111};
		struct sunk s = {0};
		struct error err = {0};

		assert_int_equal(run_parts(&parts, 3, 4 << 20, &s, &err), -EPERM);
		assert_string_equal(err.message, "a row has another tenant");
		/* The writer never learns that the last table was whole. */
		assert_true(s.ends < parts.count);
		str_finish(&s.raw);
	}
}

static void test_store_that_is_full(void **state)
{
	struct parts parts = {.passes = true, .count = 6, .rows = 20000, .row_bytes = 200, .bad = SIZE_MAX};
	struct sunk s = {.refuses = true};
	struct error err = {0};

	assert_int_equal(run_parts(&parts, 3, 2 << 20, &s, &err), -ENOSPC);
	assert_string_equal(err.message, "full");
	str_finish(&s.raw);
}

/* Connections of a run. */

static void test_connections_are_bounded(void **state)
{
	struct export_shared *shared = export_shared_new();
	struct export_lane *one, *two;
	struct cancel cancel;

	cancel_init(&cancel);
	shared->connections = 3;
	one = export_lane_take(shared, &cancel);
	assert_int_equal(export_shared_more(shared, 9), 2);
	assert_int_equal(export_shared_more(shared, 1), 0);
	export_shared_less(shared, 2);
	two = export_lane_take(shared, &cancel);
	assert_ptr_not_equal(one, two);
	assert_int_equal(export_shared_more(shared, 9), 1);
	export_shared_less(shared, 1);
	export_lane_give(shared, one, true);
	assert_ptr_equal(export_lane_take(shared, &cancel), one);
	/* What failed is not handed on, but what was decided. */
	cancel_set(&one->cancel);
	export_lane_give(shared, one, false);
	one = export_lane_take(shared, &cancel);
	assert_false(cancel_is_set(&one->cancel));
	cancel_set(&cancel);
	assert_true(cancel_is_set(&one->cancel) && cancel_is_set(&two->cancel));
	export_lane_give(shared, one, false);
	export_lane_give(shared, two, true);
	export_shared_free(shared);
	cancel_finish(&cancel);
}

/* One export tells what all have in common; when it fails, another one does. */
static void test_warnings_are_told_once(void **state)
{
	struct export_shared *shared = export_shared_new();
	const struct decided tables = {.mark = (char *)"1"},
	                     others = {.mark = (char *)"1", .schema = (char *)"x"};

	assert_true(export_shared_claim_told(shared, &tables));
	assert_false(export_shared_claim_told(shared, &tables));
	assert_true(export_shared_claim_told(shared, &others));
	export_shared_told(shared, &tables, false);
	assert_true(export_shared_claim_told(shared, &tables));
	export_shared_told(shared, &tables, true);
	assert_false(export_shared_claim_told(shared, &tables));
	export_shared_free(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ranges_cover_a_table),
	        cmocka_unit_test(test_how_many_ranges),
	        cmocka_unit_test(test_ranges_that_are_not_worth_it),
	        cmocka_unit_test(test_parts_come_in_order),
	        cmocka_unit_test(test_parts_without_rows),
	        cmocka_unit_test(test_long_rows),
	        cmocka_unit_test(test_bad_row_in_the_middle),
	        cmocka_unit_test(test_store_that_is_full),
	        cmocka_unit_test(test_connections_are_bounded),
	        cmocka_unit_test(test_warnings_are_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

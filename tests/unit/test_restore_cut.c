// SPDX-License-Identifier: Apache-2.0
/* Which connection loads what, and which rows of a table that is cut into parts each of them takes: every one of them once. */
#include "../../src/use/restore_cut.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MIB          ((uint64_t)1 << 20)
#define TABLE_ID     100 /* of the first entry; the next ones follow */
#define BLOCK_OFFSET 4096
#define ENTRIES_MAX  8
#define END          "\\.\n\n\n"

/* A table of contents as restore_toc_open() leaves it behind. */

struct contents {
	struct inside_toc toc;
	struct inside_entry entries[ENTRIES_MAX];
};

static void cleanup_contents(struct contents *c)
{
	segment_index_finish(&c->toc.segments);
}

/* Its block begins where the one before ends. */
static struct inside_entry *add_table(struct contents *c, uint64_t stored_bytes)
{
	struct inside_toc *t = &c->toc;
	struct inside_entry *e = &c->entries[t->count];

	t->entries = c->entries;
	t->facts.format = PG_ARCHIVE_CUSTOM;
	t->has_offsets = true;
	*e = (struct inside_entry){.dump_id = TABLE_ID + (int)t->count,
	                           .wanted = true,
	                           .own_table = true,
	                           .has_counts = true,
	                           .offset = t->count > 0 ? e[-1].end : BLOCK_OFFSET};
	e->end = e->offset + stored_bytes;
	t->count++;
	return e;
}

/* @count segments of its block, of @raw_bytes each, which stand at even distances. */
static void add_records(struct contents *c, struct inside_entry *e, size_t count, uint32_t raw_bytes)
{
	uint64_t each = (e->end - e->offset) / count;

	for (size_t i = 0; i < count; i++) {
		const struct segment_record record = {.entry = (uint32_t)e->dump_id,
		                                      .offset = e->offset + i * each,
		                                      .raw_bytes = raw_bytes,
		                                      .lines = 1};

		segment_index_add(&c->toc.segments, &record, SEGMENT_INDEX_MAX);
	}
	e->expected.bytes = count * raw_bytes - INSIDE_END_BYTES;
}

/* The parts of an entry follow one another, from its first record to its last one; returns how many. */
static unsigned expect_parts(const struct contents *c, const struct restore_pieces *p, size_t entry)
{
	const struct inside_entry *e = &c->entries[entry];
	size_t at = e->record;
	unsigned found = 0;

	for (bool more = true; more;) {
		more = false;
		for (size_t i = 0; i < p->count; i++) {
			const struct restore_piece *one = &p->items[i];

			if (one->first != entry || one->parts == 0 || one->part != found || more)
				continue;
			assert_int_equal(one->last, entry);
			assert_int_equal(one->from, at);
			assert_true(one->to > one->from);
			at = one->to;
			more = true;
		}
		found += more;
	}
	assert_int_equal(at, e->record + (found > 0 ? e->record_count : 0));
	for (size_t i = 0; i < p->count; i++)
		assert_true(p->items[i].first != entry || p->items[i].parts == found);
	return found;
}

static uint64_t heaviest(const struct restore_pieces *p)
{
	uint64_t most = 0;

	for (size_t i = 0; i < p->count; i++)
		if (p->items[i].bytes > most)
			most = p->items[i].bytes;
	assert_int_equal(most, p->items[0].bytes);
	return most;
}

/* What is cut. */

static void one_large_table_is_cut(void **state)
{
	_cleanup(contents) struct contents c = {0};
	_cleanup(restore_pieces) struct restore_pieces p = {0};

	add_records(&c, add_table(&c, 200 * MIB), 400, MIB);
	inside_toc_assign_segments(&c.toc, false);
	assert_int_equal(restore_cut(&c.toc, 2, &p), 2);
	assert_in_range(expect_parts(&c, &p, 0), 4, 16);
	assert_true(heaviest(&p) <= 50 * MIB);
}

/* Two that are as large as one another have no need. */
static void what_is_even_is_left_whole(void **state)
{
	_cleanup(contents) struct contents c = {0};
	_cleanup(restore_pieces) struct restore_pieces p = {0}, three = {0};

	for (unsigned i = 0; i < 2; i++)
		add_records(&c, add_table(&c, 100 * MIB), 200, MIB);
	inside_toc_assign_segments(&c.toc, false);
	assert_int_equal(restore_cut(&c.toc, 2, &p), 2);
	assert_int_equal(p.count, 2);
	assert_int_equal(p.items[0].parts + p.items[1].parts, 0);
	assert_int_equal(restore_cut(&c.toc, 3, &three), 3);
	assert_true(expect_parts(&c, &three, 0) + expect_parts(&c, &three, 1) > 1);
}

/* The small one is not worth it, and does not keep the large one from it. */
static void the_largest_is_cut(void **state)
{
	_cleanup(contents) struct contents c = {0};
	_cleanup(restore_pieces) struct restore_pieces p = {0};

	add_records(&c, add_table(&c, 9 * MIB), 18, MIB);
	add_records(&c, add_table(&c, 100 * MIB), 200, MIB);
	add_records(&c, add_table(&c, 9 * MIB), 18, MIB);
	inside_toc_assign_segments(&c.toc, false);
	assert_int_equal(restore_cut(&c.toc, 2, &p), 2);
	assert_int_equal(expect_parts(&c, &p, 0), 0);
	assert_true(expect_parts(&c, &p, 1) > 1);
	assert_int_equal(expect_parts(&c, &p, 2), 0);
}

static void small_tables_are_loaded_together(void **state)
{
	_cleanup(contents) struct contents c = {0};
	_cleanup(restore_pieces) struct restore_pieces p = {0};

	for (unsigned i = 0; i < 6; i++)
		add_table(&c, MIB);
	c.entries[3].wanted = false;
	assert_int_equal(restore_cut(&c.toc, 4, &p), 2);
	assert_int_equal(p.count, 2);
	assert_int_equal(p.items[0].first, 0);
	assert_int_equal(p.items[0].last, 2);
	assert_int_equal(p.items[1].first, 4);
	assert_int_equal(p.items[1].last, 5);
}

static void nothing_is_cut_for_one_connection(void **state)
{
	_cleanup(contents) struct contents c = {0};
	_cleanup(restore_pieces) struct restore_pieces p = {0};

	add_records(&c, add_table(&c, 200 * MIB), 400, MIB);
	inside_toc_assign_segments(&c.toc, false);
	assert_int_equal(restore_cut(&c.toc, 1, &p), 1);
	assert_int_equal(p.count, 1);
	assert_int_equal(p.items[0].parts, 0);
}

/* Rows of others may be in it, or what is there may be the only copy. */
static void a_table_that_was_there_before_is_not_cut(void **state)
{
	_cleanup(contents) struct contents c = {0};
	_cleanup(restore_pieces) struct restore_pieces p = {0};

	add_records(&c, add_table(&c, 200 * MIB), 400, MIB);
	c.entries[0].own_table = false;
	inside_toc_assign_segments(&c.toc, false);
	assert_int_equal(restore_cut(&c.toc, 2, &p), 1);
	assert_int_equal(p.items[0].parts, 0);
}

static void without_records_nothing_is_cut(void **state)
{
	_cleanup(contents) struct contents c = {0};
	_cleanup(restore_pieces) struct restore_pieces p = {0}, empty = {0}, nothing = {0};

	add_table(&c, 200 * MIB);
	inside_toc_assign_segments(&c.toc, false);
	assert_int_equal(restore_cut(&c.toc, 2, &p), 1);
	assert_int_equal(p.items[0].parts, 0);
	/* one record: an empty table, which has its end alone */
	add_records(&c, &c.entries[0], 1, INSIDE_END_BYTES);
	inside_toc_assign_segments(&c.toc, false);
	assert_int_equal(c.entries[0].record_count, 1);
	assert_int_equal(restore_cut(&c.toc, 2, &empty), 1);
	assert_int_equal(empty.items[0].parts, 0);
	c.toc.count = 0;
	assert_int_equal(restore_cut(&c.toc, 2, &nothing), 0);
	assert_int_equal(nothing.count, 0);
}

static void more_connections_than_can_be_used_are_none(void **state)
{
	_cleanup(contents) struct contents c = {0};
	_cleanup(restore_pieces) struct restore_pieces p = {0};

	add_records(&c, add_table(&c, 20 * MIB), 40, MIB);
	inside_toc_assign_segments(&c.toc, false);
	assert_in_range(restore_cut(&c.toc, 1000, &p), 2, 5);
	expect_parts(&c, &p, 0);
}

/* An index that does not fit. */

static void expect_no_records(void (*change)(struct contents *c))
{
	_cleanup(contents) struct contents c = {0};
	_cleanup(restore_pieces) struct restore_pieces p = {0};

	add_table(&c, MIB);
	add_records(&c, add_table(&c, 200 * MIB), 400, MIB);
	change(&c);
	inside_toc_assign_segments(&c.toc, false);
	assert_int_equal(c.entries[1].record_count, 0);
	restore_cut(&c.toc, 2, &p);
	assert_int_equal(expect_parts(&c, &p, 1), 0);
}

static void more_raw_bytes(struct contents *c)
{
	c->toc.segments.items[7].raw_bytes++;
}

static void fewer_raw_bytes(struct contents *c)
{
	c->toc.segments.items[399].raw_bytes -= 5;
}

static void not_in_order(struct contents *c)
{
	c->toc.segments.items[200].offset = c->toc.segments.items[199].offset;
}

static void before_the_block(struct contents *c)
{
	c->toc.segments.items[0].offset = c->entries[1].offset - 1;
}

static void behind_the_block(struct contents *c)
{
	c->toc.segments.items[399].offset = c->entries[1].end;
}

static void of_another_entry(struct contents *c)
{
	c->toc.segments.items[200].entry = TABLE_ID;
}

static void of_nobody(struct contents *c)
{
	for (size_t i = 0; i < c->toc.segments.count; i++)
		c->toc.segments.items[i].entry = 4711;
}

static void of_large_objects(struct contents *c)
{
	c->entries[1].blobs = true;
}

static void cut_off(struct contents *c)
{
	c->toc.segments.count /= 2;
}

static void without_counts(struct contents *c)
{
	c->entries[1].has_counts = false;
}

static void an_index_that_does_not_fit_is_passed_over(void **state)
{
	void (*const changes[])(struct contents *) = {
	        more_raw_bytes,   fewer_raw_bytes, not_in_order,     before_the_block, behind_the_block,
	        of_another_entry, of_nobody,       of_large_objects, cut_off,          without_counts};

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		expect_no_records(changes[i]);
}

/* Who counts later loads by it all the same. */
static void counts_may_come_later(void **state)
{
	_cleanup(contents) struct contents c = {0};

	add_records(&c, add_table(&c, 200 * MIB), 400, MIB);
	c.entries[0].has_counts = false;
	inside_toc_assign_segments(&c.toc, true);
	assert_int_equal(c.entries[0].record_count, 400);
}

/* The rows of parts. */

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* What the window of a part lets through of @text from @begin on, in pieces of up to @most bytes. */
static void take_part(const char *text, size_t len, size_t begin, uint64_t raw_bytes, bool last, size_t most,
                      uint32_t *seed, struct str *out)
{
	struct restore_window w = {.begun = begin == 0, .end = last ? UINT64_MAX : raw_bytes};

	for (size_t at = begin, n; at < len && !w.over; at += n) {
		const char *own = NULL;
		size_t taken;

		n = 1 + next_random(seed) % most;
		if (n > len - at)
			n = len - at;
		taken = restore_window_take(&w, text + at, n, &own);
		if (taken > 0)
			str_append_bytes(out, own, taken);
	}
	assert_true(last || w.over);
}

/* Rows of all lengths, with what looks like ends of lines and is none. */
static void make_rows(struct str *text, uint32_t *seed, unsigned count)
{
	static const char *const odd[] = {"\\n", "\\r\\n", "\r", "\\\\", "\\.x", "\\N\t\\N", "", "a\\tb"};

	for (unsigned i = 0; i < count; i++) {
		for (unsigned k = next_random(seed) % 6; k > 0; k--)
			str_append(text, odd[next_random(seed) % ARRAY_SIZE(odd)]);
		for (unsigned k = next_random(seed) % 20 == 0 ? 300 : 0; k > 0; k--)
			str_append(text, "x");
		str_append(text, "\n");
	}
	str_append(text, END);
}

static void every_row_is_in_one_part_wherever_it_is_cut(void **state)
{
	uint32_t seed = 11;

	for (unsigned round = 0; round < 2000; round++) {
		_cleanup(str) struct str text = {0}, got = {0};
		size_t begin = 0, last_row;

		make_rows(&text, &seed, next_random(&seed) % 40);
		last_row = text.len - INSIDE_END_BYTES;
		for (bool last = false; !last;) {
			size_t size = 1 + next_random(&seed) % 120;

			last = begin + size >= last_row;
			take_part(text.data, text.len, begin, size, last, 1 + next_random(&seed) % 64, &seed,
			          &got);
			/* a part ends with a row */
			assert_true(got.len == 0 || got.data[got.len - 1] == '\n');
			begin += size;
		}
		assert_int_equal(got.len, text.len);
		assert_memory_equal(got.data, text.data, text.len);
	}
}

/* At each byte: at an end of a line, before it, behind it, and within what stands for one in a value. */
static void each_place_is_a_good_one_to_cut(void **state)
{
	static const char text[] = "1\tone\\ntwo\n2\tcr\\r\\nlf\n\n3\tcr at the end\r\nlast\n" END;
	uint32_t seed = 5;

	for (size_t cut = 1; cut < sizeof(text) - 1 - INSIDE_END_BYTES; cut++) {
		_cleanup(str) struct str got = {0};

		take_part(text, sizeof(text) - 1, 0, cut, false, 3, &seed, &got);
		assert_int_equal(got.data[got.len - 1], '\n');
		take_part(text, sizeof(text) - 1, cut, 0, true, 3, &seed, &got);
		assert_string_equal(str_text(&got), text);
	}
}

static void a_row_longer_than_parts_leaves_them_without_any(void **state)
{
	static const char text[] = "short\nvery very long indeed, longer than two parts\nshort\n" END;
	_cleanup(str) struct str first = {0}, second = {0}, third = {0}, last = {0};
	uint32_t seed = 5;

	take_part(text, sizeof(text) - 1, 0, 10, false, 4, &seed, &first);
	take_part(text, sizeof(text) - 1, 10, 10, false, 4, &seed, &second);
	take_part(text, sizeof(text) - 1, 20, 10, false, 4, &seed, &third);
	take_part(text, sizeof(text) - 1, 30, 0, true, 4, &seed, &last);
	assert_string_equal(str_text(&first), "short\nvery very long indeed, longer than two parts\n");
	assert_int_equal(second.len + third.len, 0);
	assert_string_equal(str_text(&last), "short\n" END);
}

/* The segments of a dump end anywhere, also within the mark behind the rows: there is no part that begins in it. */
static void the_end_of_the_rows_is_never_divided(void **state)
{
	for (uint32_t tail = 1; tail < 12; tail++) {
		_cleanup(contents) struct contents c = {0};
		_cleanup(restore_pieces) struct restore_pieces p = {0};
		struct inside_entry *e = add_table(&c, 10 * MIB);

		add_records(&c, e, 3, 4 * MIB);
		c.toc.segments.items[2].raw_bytes = tail;
		e->expected.bytes = 8 * MIB + tail - INSIDE_END_BYTES;
		inside_toc_assign_segments(&c.toc, false);
		assert_int_equal(e->record_count, 3);
		assert_int_equal(restore_cut(&c.toc, 2, &p), 2);
		assert_int_equal(expect_parts(&c, &p, 0), tail <= INSIDE_END_BYTES ? 2 : 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_large_table_is_cut),
	        cmocka_unit_test(what_is_even_is_left_whole),
	        cmocka_unit_test(the_largest_is_cut),
	        cmocka_unit_test(small_tables_are_loaded_together),
	        cmocka_unit_test(nothing_is_cut_for_one_connection),
	        cmocka_unit_test(a_table_that_was_there_before_is_not_cut),
	        cmocka_unit_test(without_records_nothing_is_cut),
	        cmocka_unit_test(more_connections_than_can_be_used_are_none),
	        cmocka_unit_test(an_index_that_does_not_fit_is_passed_over),
	        cmocka_unit_test(counts_may_come_later),
	        cmocka_unit_test(every_row_is_in_one_part_wherever_it_is_cut),
	        cmocka_unit_test(each_place_is_a_good_one_to_cut),
	        cmocka_unit_test(a_row_longer_than_parts_leaves_them_without_any),
	        cmocka_unit_test(the_end_of_the_rows_is_never_divided),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

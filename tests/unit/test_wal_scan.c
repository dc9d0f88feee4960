// SPDX-License-Identifier: Apache-2.0
/* Records that span pages and segments, and where the valid ones end. */
#include "wal_test.h"

#include <errno.h>

#include <keepfs/base/mem.h>

#define MANAGER_HEAP 10

static void put_filler(struct wal_build *w, size_t len)
{
	_cleanup(free) uint8_t *data = mem_alloc(len + 1);

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 7 + len);
	wal_build_main(w, MANAGER_HEAP, 0, 500, data, len);
}

/* Lengths of which some end at, and some around, the end of a page. */
static void put_many(struct wal_build *w, size_t count)
{
	for (size_t i = 0; i < count; i++)
		put_filler(w, i * 37 % 300);
}

static void expect_end(const struct wal_scan *s, enum wal_scan_end why, uint64_t at, const char *words)
{
	const struct wal_scan_state *state = wal_scan_state(s);

	if (state->why != why || state->why_at != at || !strstr(state->message, words))
		fail_msg("%d at %" PRIx64 ": %s; expected %d at %" PRIx64 ": %s", state->why, state->why_at,
		         state->message, why, at, words);
	assert_int_equal(state->open_record, 0);
}

static void all_records_are_told(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = NULL;

	wal_build_start(&w, 15, SEGMENT, 5);
	put_many(&w, 20000);
	s = scan_all(&w, &t);
	assert_int_equal(t.count, 20000);
	assert_int_equal(t.last.lsn, w.last);
	assert_int_equal(t.last.manager, MANAGER_HEAP);
	assert_int_equal(t.last.xid, 500);
	assert_int_equal(t.last.kind, WAL_RECORD_OTHER);
	assert_int_equal(wal_scan_state(s)->end, wal_build_position(&w));
	assert_int_equal(wal_scan_state(s)->why, WAL_END_NONE);
	assert_int_equal(wal_scan_state(s)->first.version, 15);
	assert_int_equal(wal_scan_state(s)->first.system_id, WAL_BUILD_SYSTEM_ID);
	assert_string_equal(wal_scan_state(s)->message, "");
}

static void pieces_do_not_matter(void **state)
{
	static const size_t pieces[] = {1, 3, 24, 4096, 8191, 100000};
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told whole = {0};
	_cleanup(wal_scan) struct wal_scan *s = NULL;

	wal_build_start(&w, 15, SEGMENT, 5);
	put_many(&w, 3000);
	put_filler(&w, 3 * SEGMENT);
	put_many(&w, 3000);
	s = scan_all(&w, &whole);
	wal_put_state(&whole.lines, wal_scan_state(s));
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		_cleanup(told) struct told t = {0};
		_cleanup(wal_scan) struct wal_scan *again = scan_for(&t);

		assert_int_equal(scan_pieces(again, &w, pieces[i], NULL), 0);
		wal_put_state(&t.lines, wal_scan_state(again));
		assert_string_equal(str_text(&t.lines), str_text(&whole.lines));
	}
}

static void a_record_may_be_longer_than_segments(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = scan_for(&t);
	struct wal_name name;

	wal_build_start(&w, 17, SEGMENT, 5);
	put_filler(&w, 10);
	put_filler(&w, 3 * SEGMENT);
	for (size_t i = 0; i < 3; i++) {
		name = wal_build_name(&w, i);
		wal_scan_begin(s, &name);
		assert_int_equal(wal_scan_feed(s, w.out.data + i * SEGMENT, SEGMENT, NULL), 0);
		assert_int_equal(wal_scan_state(s)->open_record, w.last);
		assert_int_equal(wal_scan_state(s)->first_record,
		                 i == 0 ? w.begin + WAL_LONG_PAGE_HEADER_BYTES : 0);
		assert_int_equal(wal_scan_meant_bytes(s), SEGMENT);
		assert_int_equal(t.count, 1);
	}
	name = wal_build_name(&w, 3);
	wal_scan_begin(s, &name);
	assert_int_equal(
	        wal_scan_feed(s, w.out.data + (size_t)3 * SEGMENT, w.out.len - (size_t)3 * SEGMENT, NULL), 0);
	assert_int_equal(t.count, 2);
	assert_int_equal(t.last.lsn, w.last);
	assert_int_equal(t.last.bytes, 3 * SEGMENT + 24 + 5);
	assert_int_equal(wal_scan_state(s)->open_record, 0);
	/* It is none of those that begin in this segment. */
	assert_int_equal(wal_scan_state(s)->first_record, 0);
}

static void a_segment_in_the_middle_begins_with_a_rest(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = scan_for(&t);
	struct wal_name name;
	uint64_t next;

	wal_build_start(&w, 15, SEGMENT, 5);
	put_filler(&w, SEGMENT + 20000);
	next = wal_build_position(&w);
	put_filler(&w, 100);
	name = wal_build_name(&w, 1);
	wal_scan_begin(s, &name);
	assert_int_equal(wal_scan_feed(s, w.out.data + SEGMENT, w.out.len - SEGMENT, NULL), 0);
	assert_int_equal(t.count, 1);
	assert_int_equal(t.last.lsn, next);
	assert_int_equal(wal_scan_state(s)->first_record, next);
}

/* The last page of the rest may be filled by it, but for padding. */
static void a_rest_may_end_with_its_page(void **state)
{
	for (size_t less = 0; less < 9; less++) {
		_cleanup(wal_build) struct wal_build w;
		_cleanup(told) struct told t = {0};
		_cleanup(wal_scan) struct wal_scan *s = scan_for(&t);
		struct wal_name name;

		wal_build_start(&w, 15, SEGMENT, 5);
		/* Up to the end of the second page of the second segment. */
		put_filler(&w, SEGMENT / 8192 * 8168 - 16 - 29 + 8152 + 8168 - less);
		put_filler(&w, 100);
		name = wal_build_name(&w, 1);
		wal_scan_begin(s, &name);
		assert_int_equal(wal_scan_feed(s, w.out.data + SEGMENT, w.out.len - SEGMENT, NULL), 0);
		assert_int_equal(t.count, 1);
		assert_int_equal(t.last.lsn, w.last);
	}
}

static void where_nothing_was_written(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = NULL;
	uint64_t end;
	size_t meant;

	wal_build_start(&w, 15, SEGMENT, 5);
	put_many(&w, 99);
	put_filler(&w, 101); /* which has a byte of padding behind it */
	end = wal_build_position(&w);
	meant = w.out.len - 1;
	wal_build_zeros(&w);
	s = scan_all(&w, &t);
	assert_int_equal(t.count, 100);
	expect_end(s, WAL_END_EMPTY, end, "nothing was written");
	assert_int_equal(wal_scan_state(s)->end, end);
	assert_int_equal(wal_scan_meant_bytes(s), meant);
	assert_int_equal(wal_scan_feed(s, "x", 1, NULL), WAL_SCAN_ENDED);
	assert_int_equal(wal_scan_feed(s, "", 0, NULL), WAL_SCAN_ENDED);
}

static void damage(struct wal_build *w, uint64_t lsn, size_t at)
{
	w->out.data[lsn - w->begin + at] ^= 0x40;
}

static void each_way_of_a_record_to_be_wrong(void **state)
{
	static const struct {
		size_t at; /* a byte of the record */
		enum wal_scan_end why;
		const char *words;
	} ways[] = {
	        {3, WAL_END_REST, "does not go on with the record before it"}, /* a length of 1 GiB more */
	        {9, WAL_END_PREVIOUS, "does not follow the one before"},
	        {17, WAL_END_MANAGER, "of a resource manager that there is not"},
	        {4, WAL_END_CHECKSUM, "wrong checksum"},
	        {16, WAL_END_CHECKSUM, "wrong checksum"},
	        {20, WAL_END_CHECKSUM, "wrong checksum"},
	        {30, WAL_END_CHECKSUM, "wrong checksum"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		_cleanup(wal_build) struct wal_build w;
		_cleanup(told) struct told t = {0};
		_cleanup(wal_scan) struct wal_scan *s = NULL;
		uint64_t wrong;

		wal_build_start(&w, 15, SEGMENT, 5);
		put_many(&w, 10);
		wrong = wal_build_position(&w);
		put_filler(&w, 200);
		put_many(&w, 100);
		damage(&w, wrong, ways[i].at);
		s = scan_all(&w, &t);
		assert_int_equal(t.count, 10);
		expect_end(s, ways[i].why, i == 0 ? w.begin + 8192 : wrong, ways[i].words);
		assert_int_equal(wal_scan_state(s)->end, wrong);
	}
}

static void a_length_that_no_record_has(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = NULL;
	uint64_t wrong;

	wal_build_start(&w, 15, SEGMENT, 5);
	put_filler(&w, 8);
	wrong = wal_build_position(&w);
	wal_build_bytes(&w, "\x17\0\0\0\0\0\0\0", 8);
	s = scan_all(&w, &t);
	expect_end(s, WAL_END_LENGTH, wrong, "a length that none has");
}

/* The end of the log may be eight bytes before that of a page, with an old page behind it. */
static void a_length_is_looked_at_before_the_next_page(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = NULL;
	uint64_t end;

	wal_build_start(&w, 15, SEGMENT, 5);
	put_filler(&w, 8192 - 40 - 8 - 29);
	end = wal_build_position(&w);
	assert_int_equal(end % 8192, 8184);
	wal_build_bytes(&w, "\0\0\0\0\0\0\0\0", 8);
	wal_build_page(&w, 0, 77);
	s = scan_all(&w, &t);
	expect_end(s, WAL_END_EMPTY, end, "nothing was written");
}

/* Of a version's own, extensions' from 15 on, and none between. */
static void resource_managers_are_of_versions(void **state)
{
	static const struct {
		unsigned version;
		uint8_t manager;
		bool known;
	} managers[] = {{15, 21, true},  {15, 22, false}, {15, 127, false},
	                {15, 128, true}, {15, 255, true}, {14, 128, false}};

	for (size_t i = 0; i < ARRAY_SIZE(managers); i++) {
		_cleanup(wal_build) struct wal_build w;
		_cleanup(told) struct told t = {0};
		_cleanup(wal_scan) struct wal_scan *s = NULL;

		wal_build_start(&w, managers[i].version, SEGMENT, 5);
		wal_build_main(&w, managers[i].manager, 0, 1, "abc", 3);
		s = scan_all(&w, &t);
		assert_int_equal(t.count, managers[i].known);
		assert_int_equal(wal_scan_state(s)->why, managers[i].known ? WAL_END_NONE : WAL_END_MANAGER);
	}
}

static void each_way_of_a_page_to_be_wrong(void **state)
{
	static const struct {
		size_t at; /* a byte of the second page */
		uint8_t mask;
		enum wal_scan_end why;
		const char *words;
	} ways[] = {
	        {0, 0x40, WAL_END_PAGE, "is none"},
	        {0, 0x03, WAL_END_PAGE, "is one of another file"}, /* of 16 */
	        {2, 0x02, WAL_END_PAGE, "is one of another file"}, /* of a segment's begin */
	        {4, 0x01, WAL_END_PAGE, "is none"},                /* of timeline 0 */
	        {4, 0x02, WAL_END_PAGE, "is of another timeline"},
	        {9, 0x10, WAL_END_PAGE, "is an old one of another place"},
	        {2, 0x01, WAL_END_REST, "does not go on with the record before it"},
	        {16, 0x01, WAL_END_REST, "does not go on with the record before it"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		_cleanup(wal_build) struct wal_build w;
		_cleanup(told) struct told t = {0};
		_cleanup(wal_scan) struct wal_scan *s = NULL;

		wal_build_start(&w, 15, SEGMENT, 5);
		put_filler(&w, 50);
		put_filler(&w, 20000);
		w.out.data[8192 + ways[i].at] ^= (char)ways[i].mask;
		s = scan_all(&w, &t);
		assert_int_equal(t.count, 1);
		expect_end(s, ways[i].why, w.begin + 8192, ways[i].words);
		assert_int_equal(wal_scan_meant_bytes(s), 40 + 24 + 2 + 50);
	}
}

static void a_rest_of_nothing(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = NULL;

	wal_build_start(&w, 15, SEGMENT, 5);
	put_filler(&w, 8192 - 40 - 29);
	assert_int_equal(w.out.len, 8192);
	wal_build_page(&w, 0, 100);
	s = scan_all(&w, &t);
	assert_int_equal(t.count, 1);
	expect_end(s, WAL_END_REST, w.begin + 8192, "goes on with a record that has not begun");
}

/* The server crashed in the middle of a record, and went on at the page where the next piece of it should have been. */
static void an_overwritten_record_is_void(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = NULL;
	uint64_t last;

	wal_build_start(&w, 15, SEGMENT, 5);
	put_filler(&w, 10);
	last = w.last;
	put_filler(&w, 20000);
	w.out.len = 2 * 8192;
	w.last = last;
	wal_build_page(&w, 8, 0);
	wal_build_main(&w, WAL_MANAGER_XLOG, 0xD0, 0, "0123456789abcdef", 16);
	put_filler(&w, 10);
	s = scan_all(&w, &t);
	assert_int_equal(wal_scan_state(s)->why, WAL_END_NONE);
	assert_int_equal(t.count, 3);
	assert_int_equal(t.last.lsn, w.last);
	assert_int_equal(wal_scan_state(s)->open_record, 0);
}

static void a_switch_ends_a_segment(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = NULL;
	size_t meant;

	wal_build_start(&w, 15, SEGMENT, 5);
	put_filler(&w, 10);
	wal_build_record(&w, WAL_MANAGER_XLOG, 0x40, 0, "", 0);
	meant = w.out.len;
	wal_build_zeros(&w);
	s = scan_all(&w, &t);
	assert_int_equal(t.count, 2);
	assert_int_equal(t.last.kind, WAL_RECORD_SWITCH);
	assert_int_equal(t.last.bytes, 24);
	assert_int_equal(t.last.end, w.begin + SEGMENT);
	assert_int_equal(wal_scan_meant_bytes(s), meant);
	assert_int_equal(wal_scan_state(s)->why, WAL_END_NONE);
	put_filler(&w, 10);
	cleanup_told(&t);
	t = (struct told){0};
	wal_scan_free(s);
	s = scan_all(&w, &t);
	assert_int_equal(t.count, 3);
	assert_int_equal(t.last.lsn, w.begin + SEGMENT + WAL_LONG_PAGE_HEADER_BYTES);
	assert_int_equal(wal_scan_state(s)->why, WAL_END_NONE);
}

/* Nothing is known of what is between two that do not follow each other. */
static void a_segment_that_does_not_follow_begins_anew(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = scan_for(&t);
	static const size_t order[] = {0, 2, 0};

	wal_build_start(&w, 15, SEGMENT, 5);
	put_filler(&w, 10);
	for (int i = 0; i < 2; i++) {
		wal_build_record(&w, WAL_MANAGER_XLOG, 0x40, 0, "", 0);
		wal_build_zeros(&w);
		put_filler(&w, 10);
	}
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		struct wal_name name = wal_build_name(&w, order[i]);
		size_t at = order[i] * SEGMENT, left = w.out.len - at;

		wal_scan_begin(s, &name);
		assert_int_equal(wal_scan_meant_bytes(s), 0);
		assert_int_equal(wal_scan_feed(s, w.out.data + at, left < SEGMENT ? left : SEGMENT, NULL), 0);
		assert_int_equal(wal_scan_state(s)->first_record, w.begin + at + WAL_LONG_PAGE_HEADER_BYTES);
	}
	assert_int_equal(t.count, 5);
}

/* What follows a record that goes on, and does not go on with it: nothing of it means anything. */
static void a_next_segment_that_does_not_go_on(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = NULL;

	wal_build_start(&w, 15, SEGMENT, 5);
	put_filler(&w, SEGMENT + 100);
	w.out.len = SEGMENT;
	wal_build_page(&w, 0, 0);
	s = scan_all(&w, &t);
	expect_end(s, WAL_END_REST, w.begin + SEGMENT, "does not go on");
	assert_int_equal(wal_scan_meant_bytes(s), 0);
}

static void what_is_no_segment_is_refused(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	struct wal_scan_options options = {.expected = {.system_id = 42}, .record = tell, .arg = &t};
	_cleanup(wal_scan) struct wal_scan *s = wal_scan_new(&options), *any = scan_for(&t);
	struct wal_name name;
	struct error err = {0};

	wal_build_start(&w, 15, SEGMENT, 5);
	put_filler(&w, 100);
	name = wal_build_name(&w, 0);
	wal_scan_begin(s, &name);
	assert_int_equal(wal_scan_feed(s, w.out.data, w.out.len, &err), -EINVAL);
	assert_non_null(strstr(err.message, "000000010000000000000005: it is of another cluster"));
	name = wal_build_name(&w, 1);
	wal_scan_begin(any, &name);
	assert_int_equal(wal_scan_feed(any, w.out.data, w.out.len, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "000000010000000000000006: it is not what it is named"));
	/* After that it is as good as new. */
	name = wal_build_name(&w, 0);
	wal_scan_begin(any, &name);
	assert_int_equal(wal_scan_feed(any, w.out.data, w.out.len, &err), 0);
	assert_int_equal(t.count, 1);
}

static void more_than_a_segment_is_refused(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = scan_for(&t);
	struct wal_name name;
	struct error err = {0};

	wal_build_start(&w, 15, SEGMENT, 5);
	put_filler(&w, 2 * SEGMENT);
	name = wal_build_name(&w, 0);
	wal_scan_begin(s, &name);
	assert_int_equal(wal_scan_feed(s, w.out.data, SEGMENT, &err), 0);
	assert_int_equal(wal_scan_feed(s, w.out.data + SEGMENT, 1, &err), -EBADMSG);
	assert_non_null(strstr(err.message,
	                       "000000010000000000000005: it has more than the 1048576 bytes of a segment"));
}

static void who_is_told_may_end_it(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {.fail_at = 3};
	_cleanup(wal_scan) struct wal_scan *s = scan_for(&t);
	struct error err = {0};

	wal_build_start(&w, 15, SEGMENT, 5);
	put_many(&w, 10);
	assert_int_equal(scan_pieces(s, &w, 1000, &err), -5);
	assert_string_equal(err.message, "no more");
	assert_int_equal(t.count, 3);
}

/* The page on which the old timeline ends is of that one; the record that begins the new one says so. */
static void a_timeline_that_branches_off(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = NULL;
	_cleanup(str) struct str end = {0};

	wal_build_start(&w, 15, SEGMENT, 5);
	put_filler(&w, 9000);
	wal_put(&end, 0, 8);
	wal_put(&end, 2, 4);
	wal_put(&end, 1, 4);
	w.timeline = 2;
	wal_build_main(&w, WAL_MANAGER_XLOG, 0x90, 0, end.data, end.len);
	put_filler(&w, 10);
	assert_int_equal(w.out.len / 8192, 1);
	s = scan_all(&w, &t);
	assert_int_equal(t.count, 3);
	assert_int_equal(t.last.timeline, 2);
	assert_int_equal(wal_scan_state(s)->timeline, 2);
	put_filler(&w, 9000);
	w.timeline = 1;
	put_filler(&w, 9000);
	w.timeline = 2; /* of the name */
	wal_scan_free(s);
	s = scan_all(&w, &t);
	expect_end(s, WAL_END_PAGE, w.begin + 3 * 8192, "is of another timeline");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_records_are_told),
	        cmocka_unit_test(pieces_do_not_matter),
	        cmocka_unit_test(a_record_may_be_longer_than_segments),
	        cmocka_unit_test(a_segment_in_the_middle_begins_with_a_rest),
	        cmocka_unit_test(a_rest_may_end_with_its_page),
	        cmocka_unit_test(where_nothing_was_written),
	        cmocka_unit_test(each_way_of_a_record_to_be_wrong),
	        cmocka_unit_test(a_length_that_no_record_has),
	        cmocka_unit_test(a_length_is_looked_at_before_the_next_page),
	        cmocka_unit_test(resource_managers_are_of_versions),
	        cmocka_unit_test(each_way_of_a_page_to_be_wrong),
	        cmocka_unit_test(a_rest_of_nothing),
	        cmocka_unit_test(an_overwritten_record_is_void),
	        cmocka_unit_test(a_switch_ends_a_segment),
	        cmocka_unit_test(a_segment_that_does_not_follow_begins_anew),
	        cmocka_unit_test(a_next_segment_that_does_not_go_on),
	        cmocka_unit_test(what_is_no_segment_is_refused),
	        cmocka_unit_test(more_than_a_segment_is_refused),
	        cmocka_unit_test(who_is_told_may_end_it),
	        cmocka_unit_test(a_timeline_that_branches_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

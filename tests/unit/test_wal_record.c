// SPDX-License-Identifier: Apache-2.0
/* What records say, in each version: transactions, restore points, checkpoints, and how long their parts are. */
#include "wal_test.h"

#define US_2000 INT64_C(946684800000000)
#define AT_US   INT64_C(1795000000123456) /* in 2026 */

/* The first record of a log, and what was told of it. */
static struct wal_record told_of(unsigned version, uint8_t manager, uint8_t info, uint32_t xid,
                                 const struct str *main)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = NULL;

	wal_build_start(&w, version, SEGMENT, 5);
	wal_build_main(&w, manager, info, xid, str_text(main), main->len);
	s = scan_all(&w, &t);
	assert_int_equal(t.count, 1);
	return t.last;
}

static void put_time(struct str *s)
{
	wal_put(s, (uint64_t)(AT_US - US_2000), 8);
}

static void commits_and_aborts(void **state)
{
	static const struct {
		uint8_t info;
		enum wal_record_kind kind;
	} ends[] = {{0x00, WAL_RECORD_COMMIT}, {0x80, WAL_RECORD_COMMIT}, {0x20, WAL_RECORD_ABORT},
	            {0xA0, WAL_RECORD_ABORT},  {0x10, WAL_RECORD_OTHER},  {0x50, WAL_RECORD_OTHER},
	            {0x60, WAL_RECORD_OTHER}};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		_cleanup(str) struct str main = {0};
		struct wal_record r;

		put_time(&main);
		wal_put(&main, 0, 4);
		r = told_of(15, WAL_MANAGER_XACT, ends[i].info, 777, &main);
		assert_int_equal(r.kind, ends[i].kind);
		assert_false(r.is_prepared);
		assert_int_equal(r.at_us, ends[i].kind == WAL_RECORD_OTHER ? 0 : AT_US);
		assert_int_equal(r.transaction, ends[i].kind == WAL_RECORD_OTHER ? 0 : 777);
	}
}

static void put_words(struct str *s, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		wal_put(s, 0xABCD0000 + i, 4);
}

/* The lists that stand before the xid: @flags says which, and each has @items. */
static void put_prepared(struct str *s, unsigned version, uint32_t flags, uint32_t items)
{
	static const uint32_t words[] = {1, 3, 3, 4}, bits[] = {1 << 1, 1 << 2, 1 << 8, 1 << 3};

	put_time(s);
	wal_put(s, flags, 4);
	if (flags & 1)
		put_words(s, 2);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!(flags & bits[i]))
			continue;
		wal_put(s, items, 4);
		put_words(s, items * (i == 2 && version == 18 ? 4 : words[i]));
	}
	if (flags & 1 << 4)
		wal_put(s, 4711, 4);
	str_append(s, "name of the transaction");
}

static void the_xid_of_a_prepared_transaction_stands_behind_lists(void **state)
{
	static const uint32_t flags[] = {0x10, 0x11, 0x1F, 0x11F, 0x112, 0x14, 0x18, 0xF0, 0x1FF},
	                      items[] = {0, 1, 5, 9000};

	for (unsigned version = 13; version <= 18; version++) {
		for (size_t i = 0; i < ARRAY_SIZE(flags) * ARRAY_SIZE(items); i++) {
			_cleanup(str) struct str main = {0};
			struct wal_record r;
			bool commits = i % 2 == 0;

			put_prepared(&main, version, flags[i / ARRAY_SIZE(items)],
			             items[i % ARRAY_SIZE(items)]);
			r = told_of(version, WAL_MANAGER_XACT, commits ? 0xB0 : 0xC0, 777, &main);
			assert_int_equal(r.kind, commits ? WAL_RECORD_COMMIT : WAL_RECORD_ABORT);
			assert_true(r.is_prepared);
			assert_int_equal(r.transaction, 4711);
			assert_int_equal(r.xid, 777);
			assert_int_equal(r.at_us, AT_US);
		}
	}
}

static void a_prepared_transaction_without_an_xid(void **state)
{
	static const size_t lengths[] = {8, 12, 13, 16, 20};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		_cleanup(str) struct str main = {0};
		struct wal_record r;

		put_prepared(&main, 15, 0x12, 1000);
		main.len = lengths[i];
		r = told_of(15, WAL_MANAGER_XACT, 0xB0, 777, &main);
		assert_int_equal(r.kind, WAL_RECORD_COMMIT);
		assert_int_equal(r.transaction, 0);
	}
}

static void restore_points(void **state)
{
	_cleanup(str) struct str main = {0};
	struct wal_record r;
	char longest[WAL_RESTORE_POINT_BYTES];

	put_time(&main);
	str_append_bytes(
	        &main,
	        "before the drop\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
	        64);
	r = told_of(15, WAL_MANAGER_XLOG, 0x70, 0, &main);
	assert_int_equal(r.kind, WAL_RECORD_RESTORE_POINT);
	assert_int_equal(r.at_us, AT_US);
	assert_string_equal(r.name, "before the drop");
	/* One that nobody ended. */
	memset(main.data + 8, 'x', 64);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	r = told_of(15, WAL_MANAGER_XLOG, 0x70, 0, &main);
	assert_string_equal(r.name, longest);
	main.len = 71;
	r = told_of(15, WAL_MANAGER_XLOG, 0x70, 0, &main);
	assert_int_equal(r.kind, WAL_RECORD_OTHER);
	assert_string_equal(r.name, "");
}

static void put_checkpoint(struct str *s)
{
	wal_put(s, UINT64_C(0x500028), 8);
	wal_put(s, 3, 4);
	wal_put(s, 2, 4);
	wal_put(s, 1, 1);
	wal_put(s, 0, 3);
	put_words(s, 11); /* wal_level, or nothing; the next xid and so on */
	wal_put(s, (uint64_t)AT_US / 1000000, 8);
	put_words(s, 4);
}

static void checkpoints(void **state)
{
	_cleanup(str) struct str main = {0};

	put_checkpoint(&main);
	for (unsigned version = 13; version <= 18; version++) {
		for (uint8_t info = 0; info <= 0x10; info = (uint8_t)(info + 0x10)) {
			struct wal_record r = told_of(version, WAL_MANAGER_XLOG, info, 0, &main);

			assert_int_equal(r.kind, WAL_RECORD_CHECKPOINT);
			assert_int_equal(r.is_shutdown, info == 0);
			assert_int_equal(r.redo, 0x500028);
			assert_int_equal(r.timeline, 3);
			assert_int_equal(r.old_timeline, 2);
			assert_true(r.full_page_writes);
			assert_int_equal(r.at_us, AT_US / 1000000 * 1000000);
		}
	}
	main.len = 71;
	assert_int_equal(told_of(15, WAL_MANAGER_XLOG, 0x10, 0, &main).kind, WAL_RECORD_OTHER);
}

static void the_end_of_a_recovery(void **state)
{
	_cleanup(str) struct str main = {0};
	struct wal_record r;

	put_time(&main);
	wal_put(&main, 9, 4);
	wal_put(&main, 7, 4);
	r = told_of(15, WAL_MANAGER_XLOG, 0x90, 0, &main);
	assert_int_equal(r.kind, WAL_RECORD_RECOVERY_END);
	assert_int_equal(r.at_us, AT_US);
	assert_int_equal(r.timeline, 9);
	assert_int_equal(r.old_timeline, 7);
	main.len = 15;
	r = told_of(15, WAL_MANAGER_XLOG, 0x90, 0, &main);
	assert_int_equal(r.kind, WAL_RECORD_OTHER);
	assert_int_equal(r.timeline, 1);
	assert_int_equal(r.old_timeline, 1);
}

static void other_facts_of_the_log(void **state)
{
	_cleanup(str) struct str main = {0};
	struct wal_record r;

	wal_put(&main, 1, 1);
	r = told_of(15, WAL_MANAGER_XLOG, 0x80, 0, &main);
	assert_int_equal(r.kind, WAL_RECORD_FULL_PAGE_WRITES);
	assert_true(r.full_page_writes);
	main.data[0] = 0;
	assert_false(told_of(15, WAL_MANAGER_XLOG, 0x80, 0, &main).full_page_writes);
	wal_put(&main, 5, 6);
	assert_int_equal(told_of(15, WAL_MANAGER_XLOG, 0x50, 0, &main).kind, WAL_RECORD_OTHER);
	wal_put(&main, 0, 1);
	r = told_of(15, WAL_MANAGER_XLOG, 0x50, 0, &main);
	assert_int_equal(r.kind, WAL_RECORD_BACKUP_END);
	assert_int_equal(r.redo, 0x500);
	assert_int_equal(told_of(15, WAL_MANAGER_XLOG, 0xB0, 0, &main).kind, WAL_RECORD_OTHER);
	assert_int_equal(told_of(15, 10, 0x50, 0, &main).kind, WAL_RECORD_OTHER);
	main.len = 0;
	assert_int_equal(told_of(15, WAL_MANAGER_XLOG, 0x80, 0, &main).kind, WAL_RECORD_OTHER);
}

/* A time that does not fit into a number is one that never comes. */
static void a_time_beyond_all(void **state)
{
	_cleanup(str) struct str main = {0};

	wal_put(&main, INT64_MAX, 8);
	assert_true(told_of(15, WAL_MANAGER_XACT, 0, 1, &main).at_us == INT64_MAX);
}

/* --- parts --- */

struct image {
	uint8_t flags;
	bool has_hole_length;
};

/* Two blocks, of which the second is of the same relation, with images and data; then main data of a commit. */
static void put_parts(struct str *body, const struct image *image)
{
	wal_put(body, 253, 1); /* an origin */
	wal_put(body, 7, 2);
	wal_put(body, 0, 1);
	wal_put(body, 0x10 | 0x20, 1);
	wal_put(body, 300, 2);
	wal_put(body, 1000, 2);
	wal_put(body, 40, 2);
	wal_put(body, image->flags, 1);
	if (image->has_hole_length)
		wal_put(body, 50, 2);
	put_words(body, 3);
	wal_put(body, 17, 4);
	wal_put(body, 32, 1);
	wal_put(body, 0x80, 1);
	wal_put(body, 0, 2);
	wal_put(body, 18, 4);
	wal_put(body, 255, 1);
	wal_put(body, 8, 1);
	for (int i = 0; i < 1300; i++)
		str_append_char(body, 'x');
	put_time(body);
}

static void expect_body(unsigned version, const struct str *body, enum wal_scan_end why, uint32_t image_bytes)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(told) struct told t = {0};
	_cleanup(wal_scan) struct wal_scan *s = NULL;

	wal_build_start(&w, version, SEGMENT, 5);
	wal_build_record(&w, WAL_MANAGER_XACT, 0, 777, str_text(body), body->len);
	s = scan_all(&w, &t);
	assert_int_equal(wal_scan_state(s)->why, why);
	assert_int_equal(t.count, why == WAL_END_NONE);
	if (why != WAL_END_NONE)
		return;
	assert_int_equal(t.last.image_bytes, image_bytes);
	assert_int_equal(t.last.at_us, AT_US);
}

static void images_are_of_versions(void **state)
{
	static const struct {
		unsigned version;
		struct image image;
	} images[] = {
	        {13, {0x01, false}}, {13, {0x05, false}}, {13, {0x03, true}},  {13, {0x07, true}},
	        {14, {0x02, false}}, {15, {0x01, false}}, {15, {0x03, false}}, {15, {0x05, true}},
	        {16, {0x09, true}},  {17, {0x11, true}},  {18, {0x13, true}},  {18, {0x04, false}},
	        {18, {0x02, false}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
		_cleanup(str) struct str body = {0};

		put_parts(&body, &images[i].image);
		expect_body(images[i].version, &body, WAL_END_NONE, 1000);
	}
}

static void parts_that_are_not_as_long_as_they_say(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} wrongs[] = {
	        {0, 33},    /* a block of that number */
	        {0, 251},   /* none of the headers */
	        {4, 0x10},  /* data, and no flag for it */
	        {4, 0x00},  /* neither image nor data */
	        {5, 45},    /* a byte more of data */
	        {7, 0},     /* less of an image */
	        {11, 0x05}, /* a length of its hole */
	        {29, 0xA0}, /* data of no length */
	        {37, 9},    /* more main data */
	};
	static const struct image image = {0x01, false};

	for (size_t i = 0; i < ARRAY_SIZE(wrongs); i++) {
		_cleanup(str) struct str body = {0};

		put_parts(&body, &image);
		body.data[wrongs[i].at] = (char)wrongs[i].value;
		expect_body(15, &body, WAL_END_CONTENT, 0);
	}
}

static void headers_that_end_early(void **state)
{
	static const struct image image = {0x05, true};

	for (size_t len = 1; len < 40; len++) {
		_cleanup(str) struct str body = {0};

		put_parts(&body, &image);
		body.len = len;
		/* An origin and nothing else is one that could be. */
		if (len != 3)
			expect_body(15, &body, WAL_END_CONTENT, 0);
	}
}

/* So many that they would not end, as no server writes them. */
static void headers_without_end(void **state)
{
	_cleanup(str) struct str body = {0};

	for (int i = 0; i < 2000; i++) {
		wal_put(&body, 253, 1);
		wal_put(&body, 1, 2);
	}
	expect_body(15, &body, WAL_END_CONTENT, 0);
}

static void long_main_data(void **state)
{
	_cleanup(str) struct str main = {0};
	struct wal_record r;

	put_time(&main);
	put_words(&main, 100000);
	r = told_of(15, WAL_MANAGER_XACT, 0, 5, &main);
	assert_int_equal(r.at_us, AT_US);
	assert_int_equal(r.bytes, 24 + 5 + 8 + 400000);
	assert_int_equal(r.image_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(commits_and_aborts),
	        cmocka_unit_test(the_xid_of_a_prepared_transaction_stands_behind_lists),
	        cmocka_unit_test(a_prepared_transaction_without_an_xid),
	        cmocka_unit_test(restore_points),
	        cmocka_unit_test(checkpoints),
	        cmocka_unit_test(the_end_of_a_recovery),
	        cmocka_unit_test(other_facts_of_the_log),
	        cmocka_unit_test(a_time_beyond_all),
	        cmocka_unit_test(images_are_of_versions),
	        cmocka_unit_test(parts_that_are_not_as_long_as_they_say),
	        cmocka_unit_test(headers_that_end_early),
	        cmocka_unit_test(headers_without_end),
	        cmocka_unit_test(long_main_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

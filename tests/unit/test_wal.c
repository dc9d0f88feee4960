// SPDX-License-Identifier: Apache-2.0
/* Keys of WAL archives; bytes in buffers of the pool; the rows of the catalog. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/catalog/wal_places.h>
#include <keepfs/wal/recovery.h>

#include "../../src/wal/wal_private.h"
#include "catalog_fixture.h"

#define NAME "0000000100000003000000F4"

static void a_key_says_what_it_is_and_back(void **state)
{
	static const char *const keys[] = {
	        "wal/main/7301234567890123456/" NAME ".zst",
	        "wal/main/18446744073709551615/" NAME ".zst.age",
	        "wal/main/7301234567890123456/" NAME ".partial.zst",
	        "wal/a.b-c/0/00000002.history.zst",
	        "wal/main/1/" NAME ".00000028.backup.zst.age",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup(free) char *again = NULL;
		struct wal_key key;

		assert_int_equal(wal_key_parse(keys[i], &key), 0);
		assert_int_equal(key.is_sealed, str_ends(keys[i], ".age"));
		assert_int_equal(wal_key_is_sealed(keys[i]), key.is_sealed);
		again = wal_key_format(&key);
		assert_string_equal(again, keys[i]);
	}
}

static void what_is_no_key_is_refused(void **state)
{
	static const char *const keys[] = {
	        "",
	        "wal/",
	        "wal/main",
	        "wal/main/",
	        "wal/main/1",
	        "wal/main/1/",
	        "wall/main/1/" NAME ".zst",
	        "backups/main/1/" NAME ".zst",
	        "wal//1/" NAME ".zst",
	        "wal/main//" NAME ".zst",
	        "wal/main/01/" NAME ".zst",
	        "wal/main/-1/" NAME ".zst",
	        "wal/main/1x/" NAME ".zst",
	        "wal/main/18446744073709551616/" NAME ".zst",
	        "wal/main/99999999999999999999999/" NAME ".zst",
	        "wal/main/1/" NAME,
	        "wal/main/1/" NAME ".gz",
	        "wal/main/1/" NAME ".age",
	        "wal/main/1/" NAME ".zst.age.age",
	        "wal/main/1/.zst",
	        "wal/main/1/0000000100000003000000f4.zst",
	        "wal/main/1/x/" NAME ".zst",
	        "wal/main/1/RECOVERYXLOG.zst",
	        "wal/main/1/" NAME NAME NAME ".zst",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct wal_key key = {.system_id = 4711};

		if (wal_key_parse(keys[i], &key) != -EINVAL)
			fail_msg("'%s' is taken", keys[i]);
		assert_int_equal(key.system_id, 4711);
	}
}

static int sum_each(void *arg, const void *data, size_t len, struct error *err)
{
	uint64_t *sum = arg;

	for (size_t i = 0; i < len; i++)
		*sum += ((const uint8_t *)data)[i];
	return 0;
}

static void bytes_come_back_over_the_borders_of_buffers(void **state)
{
	struct pool *pool = pool_new(4 * POOL_BUFFER_BYTES);
	const size_t len = 2 * POOL_BUFFER_BYTES + 5;
	_cleanup(free) uint8_t *in = mem_alloc(len), *out = mem_alloc(len);
	_cleanup(free) struct iovec *iov = NULL;
	struct pages p = {0};
	uint64_t sum = 0, expected = 0;
	int count;

	for (size_t i = 0; i < len; i++) {
		in[i] = (uint8_t)(i * 31 + i / 4096);
		expected += in[i];
	}
	assert_int_equal(pages_reserve(&p, pool, len, 1, NULL), 0);
	for (size_t at = 0; at < len;) {
		size_t n = len - at < 70001 ? len - at : 70001;

		assert_int_equal(pages_append(&p, in + at, n), 0);
		at += n;
	}
	assert_int_equal(p.bytes, len);
	pages_copy(&p, 0, out, len);
	assert_memory_equal(in, out, len);
	pages_copy(&p, POOL_BUFFER_BYTES - 3, out, 7);
	assert_memory_equal(in + POOL_BUFFER_BYTES - 3, out, 7);
	assert_int_equal(pages_each(&p, sum_each, &sum, NULL), 0);
	assert_int_equal(sum, expected);
	iov = pages_iov(&p, &count);
	assert_int_equal(count, 3);
	assert_int_equal(iov[2].iov_len, 5);
	pages_finish(&p);
	pool_unreserve(pool, 1);
	/* All was given back. */
	assert_true(pool_try_reserve(pool, 4));
	pool_unreserve(pool, 4);
	pool_free(pool);
}

static void there_is_no_more_room_than_was_reserved(void **state)
{
	struct pool *pool = pool_new(2 * POOL_BUFFER_BYTES);
	_cleanup(free) uint8_t *bytes = mem_alloc(POOL_BUFFER_BYTES);
	struct pages p = {0}, other = {0};

	assert_int_equal(pages_reserve(&p, pool, 3 * POOL_BUFFER_BYTES, 0, NULL), -ENOSPC);
	assert_int_equal(pages_reserve(&p, pool, POOL_BUFFER_BYTES, 1, NULL), 0);
	assert_int_equal(pages_append(&p, bytes, POOL_BUFFER_BYTES), 0);
	assert_int_equal(pages_append(&p, bytes, 1), -EFBIG);
	assert_int_equal(pages_reserve(&other, pool, 1, 0, PAGES_AT_ONCE), -EAGAIN);
	pages_take_over(&other, pool, 1);
	assert_int_equal(pages_append(&other, bytes, 1), 0);
	pages_finish(&other);
	pages_finish(&p);
	assert_true(pool_try_reserve(pool, 2));
	pool_unreserve(pool, 2);
	pool_free(pool);
}

/* The catalog. */

static struct catalog_wal row_of(const char *job, const char *name, uint64_t bytes)
{
	struct catalog_wal row = {.bytes = bytes, .stored_bytes = 10, .arrived_us = 4711};

	str_copy(row.job, sizeof(row.job), job);
	str_copy(row.name, sizeof(row.name), name);
	str_copy(row.key, sizeof(row.key), name);
	return row;
}

static void files_are_found_by_name_number_and_page(void **state)
{
	static const char *const names[] = {"000000010000000000000003", "000000010000000000000001",
	                                    "00000002.history"};
	struct catalog *c = ((struct fixture *)*state)->catalog;
	struct catalog_wal found, rows[8];
	uint64_t files, bytes;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct catalog_wal row = row_of("main", names[i], i == 2 ? CATALOG_WAL_UNKNOWN : 16);

		assert_int_equal(catalog_wal_add(c, &row, NULL), 0);
		assert_int_equal(catalog_wal_add(c, &row, NULL), -EEXIST);
	}
	assert_int_equal(catalog_wal_find(c, "main", names[0], &found), 0);
	assert_int_equal(found.bytes, 16);
	assert_int_equal(found.arrived_us, 4711);
	assert_int_equal(catalog_wal_by_id(c, found.id, &found), 0);
	assert_string_equal(found.name, names[0]);
	assert_int_equal(catalog_wal_find(c, "other", names[0], &found), -ENOENT);
	assert_int_equal(catalog_wal_find(c, "main", names[2], &found), 0);
	assert_true(found.bytes == CATALOG_WAL_UNKNOWN);
	assert_int_equal(catalog_wal_learn_sums(c, found.id, 42, "abc", NULL), 0);
	assert_int_equal(catalog_wal_last(c, "main", &found), 0);
	assert_string_equal(found.name, names[2]);
	assert_int_equal(found.bytes, 42);
	assert_string_equal(found.sha256, "abc");
	assert_int_equal(catalog_wal_last(c, "other", &found), -ENOENT);
	assert_int_equal(catalog_wal_page(c, "main", 0, rows, 2), 2);
	assert_string_equal(rows[1].name, names[1]);
	assert_int_equal(catalog_wal_page(c, "main", rows[1].id, rows, 8), 1);
	assert_int_equal(catalog_wal_page(c, "main", rows[0].id, rows, 8), 0);
	assert_int_equal(catalog_wal_totals(c, "main", &files, &bytes), 0);
	assert_int_equal(files, 3);
	assert_int_equal(bytes, 30);
}

static void an_archive_is_of_one_cluster(void **state)
{
	struct catalog *c = ((struct fixture *)*state)->catalog;
	const struct catalog_wal_cluster unknown = {.system_id = UINT64_MAX},
	                                 known = {.system_id = UINT64_MAX, .segment_bytes = 1 << 24},
	                                 others = {.system_id = UINT64_MAX, .segment_bytes = 1 << 20},
	                                 other = {.system_id = 1, .segment_bytes = 1 << 24};
	struct catalog_wal_cluster found;

	assert_int_equal(catalog_wal_cluster(c, "main", &found), -ENOENT);
	assert_int_equal(catalog_wal_bind(c, "main", &unknown, NULL), 0);
	assert_int_equal(catalog_wal_bind(c, "main", &known, NULL), 0);
	assert_int_equal(catalog_wal_bind(c, "main", &unknown, NULL), 0);
	assert_int_equal(catalog_wal_bind(c, "main", &other, NULL), -EEXIST);
	assert_int_equal(catalog_wal_bind(c, "main", &others, NULL), -EEXIST);
	assert_int_equal(catalog_wal_cluster(c, "main", &found), 0);
	assert_true(found.system_id == UINT64_MAX);
	assert_int_equal(found.segment_bytes, 1 << 24);
	assert_int_equal(catalog_wal_bind(c, "second", &other, NULL), 0);
}

/* --- places in the log --- */

static const struct catalog_wal_cluster cluster = {.system_id = 1, .segment_bytes = 1 << 24};

static int64_t add_segment(struct catalog *c, unsigned timeline, unsigned number, const struct wal_index *x)
{
	struct wal_name name = wal_name_of_lsn(timeline, (uint64_t)number << 24, 1 << 24);
	char text[WAL_NAME_BYTES];
	struct catalog_wal row;

	wal_name_format(&name, text);
	row = row_of("main", text, 1 << 24);
	assert_int_equal(catalog_wal_add_known(c, &row, &(struct catalog_wal_known){.index = x}, NULL), 0);
	assert_int_equal(catalog_wal_find(c, "main", text, &row), 0);
	return row.id;
}

static int put_range(void *arg, const struct recovery_range *r)
{
	str_appendf(arg, "%u/%llu-%llu%s ", r->timeline, (unsigned long long)r->first,
	            (unsigned long long)r->last, r->is_cut ? "!" : "");
	return 0;
}

static void assert_ranges(struct catalog *c, const char *expected)
{
	_cleanup(str) struct str text = {0};

	assert_int_equal(catalog_wal_each_range(c, "main", put_range, &text), 0);
	assert_string_equal(str_text(&text), expected);
}

static void neighbours_know_of_each_other(void **state)
{
	static const unsigned order[] = {5, 3, 4, 9, 1, 8, 2};
	struct catalog *c = ((struct fixture *)*state)->catalog;

	assert_ranges(c, "");
	assert_int_equal(catalog_wal_bind(c, "main", &cluster, NULL), 0);
	for (size_t i = 0; i < 3; i++)
		add_segment(c, 1, order[i], NULL);
	assert_ranges(c, "1/3-5 ");
	for (size_t i = 3; i < ARRAY_SIZE(order); i++)
		add_segment(c, 1, order[i], NULL);
	add_segment(c, 2, 6, NULL);
	assert_ranges(c, "1/1-5 1/8-9 2/6-6 ");
}

static void places_come_when_the_size_of_segments_is_known(void **state)
{
	struct catalog *c = ((struct fixture *)*state)->catalog;
	struct catalog_wal_cursor at = {0};
	struct catalog_wal rows[8];

	add_segment(c, 1, 7, NULL);
	add_segment(c, 1, 6, NULL);
	assert_ranges(c, "");
	assert_int_equal(catalog_wal_place(c, NULL), 0);
	assert_ranges(c, "");
	assert_int_equal(catalog_wal_bind(c, "main", &cluster, NULL), 0);
	assert_int_equal(catalog_wal_place(c, NULL), 0);
	assert_int_equal(catalog_wal_place(c, NULL), 0);
	assert_ranges(c, "1/6-7 ");
	assert_int_equal(catalog_wal_unread(c, &at, rows, 1), 1);
	assert_string_equal(rows[0].name, "000000010000000000000006");
	assert_int_equal(catalog_wal_unread(c, &at, rows, 8), 1);
	assert_string_equal(rows[0].name, "000000010000000000000007");
	assert_int_equal(catalog_wal_unread(c, &at, rows, 8), 0);
}

static void what_is_in_segments_is_asked(void **state)
{
	struct catalog *c = ((struct fixture *)*state)->catalog;
	struct wal_index_point point = {.lsn = 0x2000100, .at_us = 50, .name = "here"};
	struct wal_index x = {.end = 0x2000200, .latest_us = 100, .highest_xid = UINT32_MAX - 1},
	                 y = {.end = 0x3000200, .latest_us = 90, .highest_xid = 3};
	const struct catalog_wal_span all = {.job = "main", .timeline = 1, .last = UINT64_MAX};
	struct recovery_segment found;
	struct recovery_sum sum;
	struct catalog_wal_lesson lesson = {.state = CATALOG_WAL_READ, .index = &y};

	x.points = &point;
	x.point_count = 1;
	assert_int_equal(catalog_wal_bind(c, "main", &cluster, NULL), 0);
	add_segment(c, 1, 2, &x);
	lesson.id = add_segment(c, 1, 3, NULL);
	assert_int_equal(catalog_wal_sum(c, &all, &sum), 0);
	assert_int_equal(sum.unknown, 1);
	assert_int_equal(sum.end, 0x2000200);
	assert_int_equal(catalog_wal_learn(c, &lesson, 1, NULL), 0);
	assert_int_equal(catalog_wal_sum(c, &all, &sum), 0);
	assert_int_equal(sum.unknown, 0);
	assert_int_equal(sum.end, 0x3000200);
	assert_int_equal(sum.latest_us, 100);
	assert_int_equal(catalog_wal_later(c, &all, 95, &found), 0);
	assert_int_equal(found.number, 2);
	assert_int_equal(catalog_wal_later(c, &all, 100, &found), -ENOENT);
	assert_int_equal(catalog_wal_behind(c, &all, 0x2000200, &found), 0);
	assert_int_equal(found.number, 3);
	/* Behind the last number of all the first one comes again. */
	assert_int_equal(catalog_wal_since_xid(c, &all, UINT32_MAX, &found), 0);
	assert_int_equal(found.number, 3);
	assert_int_equal(catalog_wal_since_xid(c, &all, UINT32_MAX - 5, &found), 0);
	assert_int_equal(found.number, 2);
	assert_int_equal(catalog_wal_since_xid(c, &all, 4, &found), -ENOENT);
}

static int count_points(void *arg, const struct recovery_point *p)
{
	assert_string_equal(p->name, "here");
	assert_int_equal(p->number, 2);
	(*(unsigned *)arg)++;
	return 0;
}

static void restore_points_and_histories_are_kept(void **state)
{
	struct catalog *c = ((struct fixture *)*state)->catalog;
	struct wal_index_point point = {.lsn = 0x2000100, .at_us = 50, .name = "here"};
	struct wal_index x = {.end = 0x2000200, .points = &point, .point_count = 1};
	struct catalog_wal_lesson again = {.state = CATALOG_WAL_READ, .index = &x};
	struct catalog_wal history = row_of("main", "00000002.history", 30);
	_cleanup(recovery_facts) struct recovery_facts facts = {0};
	unsigned count = 0;

	assert_int_equal(catalog_wal_bind(c, "main", &cluster, NULL), 0);
	again.id = add_segment(c, 1, 2, &x);
	assert_int_equal(catalog_wal_learn(c, &again, 1, NULL), 0);
	assert_int_equal(catalog_wal_each_point(c, "main", "here", 10, count_points, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(catalog_wal_each_point(c, "main", NULL, 10, count_points, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(catalog_wal_each_point(c, "main", "there", 10, count_points, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(catalog_wal_add_known(
	                         c, &history,
	                         &(struct catalog_wal_known){.history = "1\t0/2000180\tpromoted\n"}, NULL),
	                 0);
	assert_int_equal(wal_recovery_load(c, "main", &facts, NULL), 0);
	assert_int_equal(facts.segment_bytes, 1 << 24);
	assert_int_equal(facts.range_count, 1);
	assert_int_equal(facts.history_count, 1);
	assert_int_equal(facts.histories[0].ancestors[0].left_at, 0x2000180);
	assert_int_equal(facts.base_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_key_says_what_it_is_and_back),
	        cmocka_unit_test(what_is_no_key_is_refused),
	        cmocka_unit_test(bytes_come_back_over_the_borders_of_buffers),
	        cmocka_unit_test(there_is_no_more_room_than_was_reserved),
	        cmocka_unit_test_setup_teardown(files_are_found_by_name_number_and_page, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(an_archive_is_of_one_cluster, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(neighbours_know_of_each_other, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(places_come_when_the_size_of_segments_is_known, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(what_is_in_segments_is_asked, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(restore_points_and_histories_are_kept, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

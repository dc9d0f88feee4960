// SPDX-License-Identifier: Apache-2.0
/* What the catalog knows of what is kept of WAL archives: pins, timelines, what is going, what further stores have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/wal_copies.h>
#include <keepfs/catalog/wal_keep.h>

#include "catalog_fixture.h"

static void add_name(struct fixture *f, const char *job, const char *name, int64_t arrived_us)
{
	struct catalog_wal w = {.bytes = 100, .stored_bytes = 10, .arrived_us = arrived_us};
	struct error err = {0};

	str_copy(w.job, sizeof(w.job), job);
	str_copy(w.name, sizeof(w.name), name);
	snprintf(w.key, sizeof(w.key), "wal/%s/1/%s.zst", job, name);
	if (catalog_wal_add(f->catalog, &w, &err) < 0)
		fail_msg("%s: %s", name, err.message);
}

static void add_segments(struct fixture *f, uint32_t timeline, unsigned from, unsigned to)
{
	char name[WAL_NAME_BYTES];

	for (unsigned i = from; i <= to; i++) {
		snprintf(name, sizeof(name), "%08" PRIX32 "00000000%08X", timeline, i);
		add_name(f, "main", name, i);
	}
}

static struct catalog_wal_stretch stretch(const char *from, const char *to)
{
	struct catalog_wal_stretch s = {.job = "main", .before_us = INT64_MAX, .now_us = AT_US};

	str_copy(s.from, sizeof(s.from), from);
	str_copy(s.to, sizeof(s.to), to);
	return s;
}

static uint64_t files_of(struct fixture *f, const struct catalog_wal_stretch *s)
{
	struct catalog_wal_sum sum;

	assert_int_equal(catalog_wal_stretch_sum(f->catalog, s, &sum), 0);
	assert_int_equal(sum.stored_bytes, 10 * sum.files);
	return sum.files;
}

static int add_number(void *arg, uint32_t timeline)
{
	str_appendf(arg, "%u ", (unsigned)timeline);
	return 0;
}

static void a_stretch_has_no_history_and_no_other_timeline(void **state)
{
	struct fixture *f = *state;
	struct catalog_wal_stretch s = stretch("000000010000000000000000", "00000001G");
	_cleanup(str) struct str timelines = {0};

	add_segments(f, 1, 1, 5);
	add_segments(f, 2, 5, 6);
	add_segments(f, 0x11, 6, 6);
	add_name(f, "main", "00000001.history", 1);
	add_name(f, "main", "00000002.history", 1);
	add_name(f, "main", "000000010000000000000005.partial", 6);
	add_name(f, "main", "000000010000000000000003.00000028.backup", 3);
	add_name(f, "other", "000000010000000000000001", 1);
	assert_int_equal(files_of(f, &s), 7);
	s = stretch("000000010000000000000003", "000000010000000000000004");
	assert_int_equal(files_of(f, &s), 2);
	s = stretch("000000010000000000000000", "00000001G");
	s.before_us = 3;
	assert_int_equal(files_of(f, &s), 2);
	assert_int_equal(catalog_wal_timelines(f->catalog, "main", add_number, &timelines), 0);
	assert_string_equal(str_text(&timelines), "1 2 17 ");
	str_finish(&timelines);
	timelines = (struct str){0};
	assert_int_equal(catalog_wal_timelines(f->catalog, "nobody", add_number, &timelines), 0);
	assert_int_equal(timelines.len, 0);
}

static int64_t add_pinning_run(struct fixture *f)
{
	const struct catalog_run run = {.job = "main", .kind = "base", .triggered_by = "a test"};
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, &run, &id, NULL), 0);
	return id;
}

static void a_pin_is_looked_at_when_files_go(void **state)
{
	struct fixture *f = *state;
	const struct catalog_wal_stretch s = stretch("000000010000000000000000", "00000001G");
	int64_t run = add_pinning_run(f);
	size_t count = 9;
	struct error err = {0};

	add_segments(f, 1, 1, 9);
	add_segments(f, 2, 9, 9);
	assert_int_equal(catalog_wal_pin(f->catalog, "main", run, "", &err), 0);
	assert_int_equal(catalog_wal_begin_removal(f->catalog, &s, 100, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_int_equal(catalog_wal_pin(f->catalog, "main", run, "000000010000000000000004", &err), 0);
	assert_int_equal(files_of(f, &s), 3);
	assert_int_equal(catalog_wal_begin_removal(f->catalog, &s, 2, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(catalog_wal_begin_removal(f->catalog, &s, 100, &count, &err), 0);
	assert_int_equal(count, 1);
	/* Of another archive, and of another timeline, it says nothing. */
	assert_int_equal(catalog_wal_pin(f->catalog, "other", run, "", &err), 0);
	assert_int_equal(files_of(f, &s), 6);
	assert_int_equal(catalog_wal_pin(f->catalog, "main", run, "000000020000000000000004", &err), 0);
	assert_int_equal(files_of(f, &s), 6);
	assert_int_equal(catalog_wal_pin(f->catalog, "main", run, "00000002.history", &err), -EINVAL);
	assert_int_equal(catalog_wal_unpin(f->catalog, run, &err), 0);
	assert_int_equal(catalog_wal_unpin(f->catalog, run, &err), 0);
}

static int count_pin(void *arg, const char *first)
{
	(void)first;
	++*(int *)arg;
	return 0;
}

static void a_pin_ends_with_its_run(void **state)
{
	struct fixture *f = *state;
	int64_t run = add_pinning_run(f);
	struct error err = {0};
	int pins = 0;

	assert_int_equal(catalog_wal_pin(f->catalog, "main", run, "", &err), 0);
	assert_int_equal(catalog_wal_pins(f->catalog, "main", count_pin, &pins), 0);
	assert_int_equal(pins, 1);
	assert_int_equal(catalog_finish_run(f->catalog, run, RUN_FAILED, "interrupted", &err), 0);
	pins = 0;
	assert_int_equal(catalog_wal_pins(f->catalog, "main", count_pin, &pins), 0);
	assert_int_equal(pins, 0);
}

static void what_is_going_is_found_by_nobody(void **state)
{
	struct fixture *f = *state;
	const struct catalog_wal_stretch s = stretch("000000010000000000000000", "000000010000000000000003");
	struct catalog_wal rows[9], row;
	struct catalog_wal_kept kept;
	struct error err = {0};
	uint64_t files, bytes;
	size_t count;

	add_segments(f, 1, 1, 5);
	assert_int_equal(catalog_wal_begin_removal(f->catalog, &s, 9, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(catalog_wal_find(f->catalog, "main", "000000010000000000000002", &row), -ENOENT);
	assert_int_equal(catalog_wal_page(f->catalog, "main", 0, rows, 9), 3);
	assert_int_equal(catalog_wal_totals(f->catalog, "main", &files, &bytes), 0);
	assert_int_equal(files, 3);
	/* But its name is not free as long as it is there. */
	snprintf(row.key, sizeof(row.key), "x");
	str_copy(row.job, sizeof(row.job), "main");
	str_copy(row.name, sizeof(row.name), "000000010000000000000002");
	row.sha256[0] = '\0';
	assert_int_equal(catalog_wal_add(f->catalog, &row, &err), -EEXIST);
	reopen(f);
	assert_int_equal(catalog_wal_going(f->catalog, "other", rows, 9), 0);
	assert_int_equal(catalog_wal_going(f->catalog, NULL, rows, 1), 1);
	assert_int_equal(catalog_wal_going(f->catalog, "main", rows, 9), 2);
	assert_string_equal(rows[0].name, "000000010000000000000001");
	assert_int_equal(catalog_wal_end_removal(f->catalog, rows, 1, NULL, &err), 0);
	assert_int_equal(catalog_wal_give_back(f->catalog, "main", &err), 0);
	assert_int_equal(catalog_wal_going(f->catalog, NULL, rows, 9), 0);
	assert_int_equal(catalog_wal_find(f->catalog, "main", "000000010000000000000002", &row), 0);
	assert_int_equal(catalog_wal_kept(f->catalog, "main", &kept), 0);
	assert_int_equal(kept.removed_files, 1);
	assert_int_equal(kept.removed_bytes, 10);
	assert_int_equal(kept.window_us, CATALOG_WAL_WINDOW_NONE);
	kept.window_us = 77;
	str_copy(kept.why, sizeof(kept.why), "because");
	assert_int_equal(catalog_wal_set_kept(f->catalog, "main", &kept, &err), 0);
	assert_int_equal(catalog_wal_kept(f->catalog, "main", &kept), 0);
	assert_int_equal(kept.window_us, 77);
	assert_int_equal(kept.removed_files, 1);
	assert_string_equal(kept.why, "because");
}

static int add_history(void *arg, uint32_t timeline, const char *content, size_t len)
{
	str_appendf(arg, "%u=%.*s ", (unsigned)timeline, (int)len, content);
	return 0;
}

static void histories_are_known_by_their_timeline(void **state)
{
	struct fixture *f = *state;
	struct catalog_wal row;
	struct error err = {0};
	_cleanup(str) struct str text = {0};

	add_name(f, "main", "00000002.history", 1);
	add_name(f, "main", "0000000A.history", 2);
	add_segments(f, 2, 1, 2);
	assert_int_equal(catalog_wal_unread_history(f->catalog, 0, &row), 0);
	assert_string_equal(row.name, "00000002.history");
	assert_int_equal(catalog_wal_set_history(f->catalog, "main", 2, "abc", 3, &err), 0);
	assert_int_equal(catalog_wal_unread_history(f->catalog, 0, &row), 0);
	assert_string_equal(row.name, "0000000A.history");
	assert_int_equal(catalog_wal_unread_history(f->catalog, row.id, &row), -ENOENT);
	assert_int_equal(catalog_wal_set_history(f->catalog, "main", 10, "", 0, &err), 0);
	assert_int_equal(catalog_wal_unread_history(f->catalog, 0, &row), -ENOENT);
	assert_int_equal(catalog_wal_histories(f->catalog, "main", add_history, &text), 0);
	assert_string_equal(str_text(&text), "2=abc 10= ");
}

static int take_copy(void *arg, const struct catalog_wal_copy *copy)
{
	*(struct catalog_wal_copy *)arg = *copy;
	return 0;
}

static void further_stores_are_as_far_as_they_are(void **state)
{
	struct fixture *f = *state;
	const struct catalog_wal_stretch s = stretch("000000010000000000000000", "000000010000000000000003");
	struct catalog_wal rows[9];
	struct catalog_wal_copy copy = {0};
	char key[STORE_KEY_BYTES];
	struct error err = {0};
	uint64_t store = 0;
	int64_t up_to = 9;
	size_t count;

	add_segments(f, 1, 1, 4);
	assert_int_equal(catalog_wal_page(f->catalog, "main", 0, rows, 9), 4);
	assert_int_equal(catalog_wal_copy_begin(f->catalog, "main", 7, &up_to, &err), 0);
	assert_int_equal(up_to, 0);
	assert_int_equal(catalog_wal_spare(f->catalog, &rows[0], 0, &store), -ENOENT);
	assert_int_equal(catalog_wal_copied(f->catalog, 7, &rows[0], &err), 0);
	assert_int_equal(catalog_wal_spare(f->catalog, &rows[0], 0, &store), 0);
	assert_int_equal(store, 7);
	assert_int_equal(catalog_wal_spare(f->catalog, &rows[1], 0, &store), -ENOENT);
	assert_int_equal(catalog_wal_copy_begin(f->catalog, "main", 7, &up_to, &err), 0);
	assert_int_equal(up_to, rows[0].id);
	assert_int_equal(catalog_wal_copy_failed(f->catalog, "main", 7, 55, "away", &err), 0);
	assert_int_equal(catalog_wal_copy_failed(f->catalog, "main", 7, 66, "still away", &err), 0);
	assert_int_equal(catalog_wal_copies(f->catalog, "main", take_copy, &copy), 0);
	assert_int_equal(copy.files, 3);
	assert_int_equal(copy.stored_bytes, 30);
	assert_int_equal(copy.oldest_us, 2);
	assert_int_equal(copy.failing_since_us, 55);
	assert_string_equal(copy.why, "still away");
	assert_int_equal(catalog_wal_copy_failed(f->catalog, "main", 7, 77, NULL, &err), 0);
	assert_int_equal(catalog_wal_copies(f->catalog, "main", take_copy, &copy), 0);
	assert_int_equal(copy.failing_since_us, 0);
	/* Of two that go it has one; of one that it gets while it goes it is told, too. */
	assert_int_equal(catalog_wal_begin_removal(f->catalog, &s, 9, &count, &err), 0);
	assert_int_equal(catalog_wal_end_removal(f->catalog, rows, 2, NULL, &err), 0);
	assert_int_equal(catalog_wal_left(f->catalog, 7, "", key), 0);
	assert_string_equal(key, rows[0].key);
	assert_int_equal(catalog_wal_left(f->catalog, 7, key, key), -ENOENT);
	assert_int_equal(catalog_wal_copied(f->catalog, 7, &rows[1], &err), 0);
	assert_int_equal(catalog_wal_left(f->catalog, 7, rows[0].key, key), 0);
	assert_string_equal(key, rows[1].key);
	assert_int_equal(catalog_wal_left_gone(f->catalog, 7, key, &err), 0);
	/* One that comes back is not removed behind its own back. */
	add_name(f, "main", "000000010000000000000001", 9);
	assert_int_equal(catalog_wal_left(f->catalog, 7, "", key), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(a_stretch_has_no_history_and_no_other_timeline, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(a_pin_is_looked_at_when_files_go, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_pin_ends_with_its_run, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_going_is_found_by_nobody, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(histories_are_known_by_their_timeline, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(further_stores_are_as_far_as_they_are, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

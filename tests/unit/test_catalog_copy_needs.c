// SPDX-License-Identifier: Apache-2.0
/* Packs that copies in further stores need: counted for each store by itself, and for how long they are locked there; and packs of the first store, locked as long as what needs them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "catalog_fixture.h"

#include <keepfs/catalog/copy_needs.h>
#include <keepfs/catalog/copy_tree.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/replica_locks.h>

#define DIRECTORY "packs/docs/20261120T020000Z"
#define NEAR      1
#define FAR       2

static char *path_of_pack(int number)
{
	return mem_printf(DIRECTORY "/%05d.tar", number);
}

static uint64_t list_pack(struct fixture *f, int number)
{
	_cleanup(free) char *path = path_of_pack(number);
	_cleanup(manifest) struct manifest m = {0};
	char sha256[SHA256_HEX_BYTES] = "";

	manifest_describe(&m, path, 1, "docs");
	mem_replace_string(&m.job, "packs");
	mem_replace_string(&m.kind, "pack");
	m.started_at_us = m.finished_at_us = AT_US;
	manifest_put_own(&m, 1024, 1, sha256);
	manifest_seal(&m);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	return ino_of_artifact(path);
}

static void fill_state(struct manifest *m, int64_t run_id, const char *ranges)
{
	fill_directory(m, "backups/docs", (SECONDS + run_id) * 1000, run_id, 1);
	m->needs = json_object_new();
	json_set_string(m->needs, DIRECTORY, ranges);
}

/* Heap: its path. */
static char *list_state(struct fixture *f, int64_t run_id, const char *ranges)
{
	_cleanup(manifest) struct manifest m = {0};

	fill_state(&m, run_id, ranges);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	return mem_strdup(m.path);
}

static void note_copy(struct fixture *f, const char *path, uint64_t store, enum replica_state state)
{
	struct catalog_replica row = {
	        .store = store, .state = state, .started_at_us = AT_US, .since_us = AT_US};
	struct catalog_replica known;

	str_copy(row.path, sizeof(row.path), path);
	str_copy(row.job, sizeof(row.job), "docs");
	if (catalog_replica(f->catalog, path, store, &known) == 0)
		row.started_at_us = known.started_at_us;
	assert_int_equal(catalog_set_replica(f->catalog, &row, NULL), 0);
}

static void copy_pack(struct fixture *f, int number, uint64_t store, enum replica_state state)
{
	_cleanup(free) char *path = path_of_pack(number);

	note_copy(f, path, store, state);
}

static enum replica_state state_of(struct fixture *f, const char *path, uint64_t store)
{
	struct catalog_replica row;

	assert_int_equal(catalog_replica(f->catalog, path, store, &row), 0);
	return row.state;
}

static void assert_numbers(const struct catalog_pack_path *packs, ssize_t count, const char *expected)
{
	_cleanup(str) struct str found = {0};

	assert_true(count >= 0);
	for (ssize_t i = 0; i < count; i++)
		str_appendf(&found, "%s%d", i ? "," : "", atoi(strrchr(packs[i].path, '/') + 1));
	assert_string_equal(str_text(&found), expected);
}

static void assert_to_copy(struct fixture *f, const char *path, uint64_t store, const char *expected)
{
	struct catalog_pack_path packs[16];

	assert_numbers(packs, catalog_packs_to_copy(f->catalog, path, store, "", packs, 16), expected);
}

static void assert_unneeded_there(struct fixture *f, uint64_t store, const char *expected)
{
	struct catalog_pack_path packs[16];

	assert_numbers(packs, catalog_unneeded_copies(f->catalog, store, "", packs, 16), expected);
}

static uint64_t missing_there(struct fixture *f, const char *path, uint64_t store)
{
	uint64_t missing = 99;

	assert_int_equal(catalog_missing_copies(f->catalog, path, store, &missing), 0);
	return missing;
}

static void test_each_store_counts_by_itself(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = NULL, *second = NULL;
	struct catalog_pack_path page[2];

	for (int i = 1; i <= 5; i++)
		list_pack(f, i);
	first = list_state(f, 1, "1-3");
	second = list_state(f, 2, "3-4");
	assert_to_copy(f, first, NEAR, "1,2,3");
	note_copy(f, first, NEAR, REPLICA_WANTED);
	assert_int_equal(catalog_note_copy_needs(f->catalog, first, NEAR, NULL), 0);
	assert_int_equal(missing_there(f, first, NEAR), 3);
	copy_pack(f, 1, NEAR, REPLICA_WHOLE);
	copy_pack(f, 2, FAR, REPLICA_WHOLE);
	copy_pack(f, 3, NEAR, REPLICA_LOST);
	assert_to_copy(f, first, NEAR, "2,3");
	assert_to_copy(f, first, FAR, "1,3");
	assert_int_equal(missing_there(f, first, NEAR), 2);
	/* Page after page. */
	assert_int_equal(catalog_packs_to_copy(f->catalog, first, FAR, "", page, 1), 1);
	assert_int_equal(catalog_packs_to_copy(f->catalog, first, FAR, page[0].path, page, 2), 1);
	assert_string_equal(page[0].path, DIRECTORY "/00003.tar");
	copy_pack(f, 2, NEAR, REPLICA_WHOLE);
	copy_pack(f, 3, NEAR, REPLICA_WHOLE);
	assert_int_equal(missing_there(f, first, NEAR), 0);
	assert_to_copy(f, first, NEAR, "");
	assert_to_copy(f, second, NEAR, "4");
	assert_int_equal(missing_there(f, second, NEAR), 0); /* nobody has said that it is needed there */
}

static void test_a_pack_stays_as_long_as_a_copy_there_needs_it(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = NULL, *second = NULL, *pack = path_of_pack(1);
	_cleanup(manifest) struct manifest m = {0};

	for (int i = 1; i <= 3; i++)
		list_pack(f, i);
	first = list_state(f, 1, "1-2");
	second = list_state(f, 2, "2-3");
	for (int i = 1; i <= 3; i++) {
		copy_pack(f, i, NEAR, REPLICA_WHOLE);
		copy_pack(f, i, FAR, REPLICA_WHOLE);
	}
	note_copy(f, first, NEAR, REPLICA_WHOLE);
	fill_state(&m, 1, "1-2");
	assert_int_equal(catalog_set_copy_tree(f->catalog, NEAR, &m, NULL), 0);
	note_copy(f, second, FAR, REPLICA_WHOLE);
	assert_int_equal(catalog_note_copy_needs(f->catalog, second, FAR, NULL), 0);
	/* What is listed here goes nowhere. */
	assert_unneeded_there(f, NEAR, "");
	for (int i = 1; i <= 3; i++) {
		_cleanup(free) char *path = path_of_pack(i);

		assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(path), NULL), 0);
		copy_pack(f, i, NEAR, REPLICA_REMOVED);
		copy_pack(f, i, FAR, REPLICA_REMOVED);
	}
	/* What is needed here, though it is lost here, stays everywhere. */
	assert_unneeded_there(f, NEAR, "");
	assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(first), NULL), 0);
	assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(second), NULL), 0);
	assert_unneeded_there(f, NEAR, "3");
	assert_unneeded_there(f, FAR, "1");
	assert_true(catalog_is_unneeded_copy(f->catalog, pack, FAR));
	assert_false(catalog_is_unneeded_copy(f->catalog, pack, NEAR));
	assert_false(catalog_is_unneeded_copy(f->catalog, first, NEAR));
	/* Of the second nobody knows what its manifest there says. */
	assert_int_equal(catalog_settle_replicas(f->catalog, NEAR, AT_US, NULL), 0);
	assert_int_equal(catalog_settle_replicas(f->catalog, FAR, AT_US, NULL), 0);
	assert_true(catalog_copies_are_known(f->catalog, NEAR));
	assert_false(catalog_copies_are_known(f->catalog, FAR));
	/* Needs go with the copy. */
	assert_int_equal(catalog_forget_replica(f->catalog, first, NEAR, NULL), 0);
	assert_unneeded_there(f, NEAR, "1,2,3");
	assert_int_equal(catalog_forget_replica(f->catalog, second, FAR, NULL), 0);
	assert_unneeded_there(f, FAR, "1,2,3");
	assert_true(catalog_copies_are_known(f->catalog, FAR));
}

static void test_a_pack_that_is_lost(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = NULL, *second = NULL, *pack = path_of_pack(2);

	for (int i = 1; i <= 3; i++)
		list_pack(f, i);
	first = list_state(f, 1, "1-2");
	second = list_state(f, 2, "2-3");
	for (uint64_t store = NEAR; store <= FAR; store++) {
		note_copy(f, first, store, REPLICA_WHOLE);
		note_copy(f, second, store, REPLICA_WHOLE);
		assert_int_equal(catalog_note_copy_needs(f->catalog, first, store, NULL), 0);
		assert_int_equal(catalog_note_copy_needs(f->catalog, second, store, NULL), 0);
	}
	assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(first), NULL), 0);
	assert_int_equal(catalog_copies_lack_pack(f->catalog, pack, NEAR, AT_US, NULL), 0);
	assert_int_equal(state_of(f, first, NEAR), REPLICA_WRONG);
	assert_int_equal(state_of(f, second, NEAR), REPLICA_LOST);
	assert_int_equal(state_of(f, first, FAR), REPLICA_WHOLE);
	assert_int_equal(state_of(f, second, FAR), REPLICA_WHOLE);
}

static void add_job(void *arg, const char *job)
{
	str_appendf(arg, "%s ", job);
}

static void test_what_comes_back(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = NULL;
	_cleanup(str) struct str jobs = {0};
	struct catalog_pack_path packs[16];
	uint64_t missing = 0;

	for (int i = 1; i <= 3; i++)
		list_pack(f, i);
	first = list_state(f, 1, "1-4");
	note_copy(f, first, NEAR, REPLICA_WHOLE);
	assert_int_equal(catalog_note_copy_needs(f->catalog, first, NEAR, NULL), 0);
	copy_pack(f, 1, NEAR, REPLICA_WHOLE);
	copy_pack(f, 2, NEAR, REPLICA_WHOLE);
	copy_pack(f, 4, NEAR, REPLICA_REMOVED);
	assert_int_equal(catalog_mark_damaged(f->catalog, ino_of_artifact(DIRECTORY "/00002.tar"), "x", NULL),
	                 0);
	assert_numbers(packs, catalog_packs_to_bring_back(f->catalog, first, NEAR, "", packs, 16), "2,4");
	assert_numbers(packs, catalog_packs_of_copy(f->catalog, first, NEAR, "", packs, 16), "1,2,4");
	assert_int_equal(catalog_missing_packs(f->catalog, first, NEAR, &missing), 0);
	assert_int_equal(missing, 0);
	assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(DIRECTORY "/00003.tar"), NULL), 0);
	assert_int_equal(catalog_missing_packs(f->catalog, first, NEAR, &missing), 0);
	assert_int_equal(missing, 1);
	assert_int_equal(catalog_each_job_of_needs(f->catalog, first, NEAR, add_job, &jobs), 0);
	assert_string_equal(str_text(&jobs), "docs ");
}

static void lock_copy_until(struct fixture *f, const char *path, uint64_t store, int64_t until_us)
{
	const struct catalog_replica_lock lock = {.mode = 1, .until_us = until_us};

	assert_int_equal(catalog_set_replica_lock(f->catalog, path, store, &lock, NULL), 0);
}

static void test_copies_of_packs_are_locked_as_long_as_the_longest(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = NULL, *second = NULL, *pack = path_of_pack(2);
	struct catalog_pack_path packs[16];
	int64_t until_us = -1;

	for (int i = 1; i <= 3; i++) {
		list_pack(f, i);
		copy_pack(f, i, NEAR, REPLICA_WHOLE);
	}
	first = list_state(f, 1, "1-2");
	second = list_state(f, 2, "2-3");
	note_copy(f, first, NEAR, REPLICA_WHOLE);
	note_copy(f, second, NEAR, REPLICA_WHOLE);
	assert_int_equal(catalog_note_copy_needs(f->catalog, first, NEAR, NULL), 0);
	assert_int_equal(catalog_note_copy_needs(f->catalog, second, NEAR, NULL), 0);
	assert_int_equal(catalog_pack_copy_lock(f->catalog, pack, NEAR, &until_us), 0);
	assert_int_equal(until_us, 0);
	lock_copy_until(f, first, NEAR, 500);
	lock_copy_until(f, second, NEAR, 300);
	lock_copy_until(f, second, FAR, 900);
	assert_int_equal(catalog_pack_copy_lock(f->catalog, pack, NEAR, &until_us), 0);
	assert_int_equal(until_us, 500);
	assert_numbers(packs, catalog_packs_to_lock(f->catalog, first, NEAR, 500, "", packs, 16), "1,2");
	lock_copy_until(f, pack, NEAR, 500);
	assert_numbers(packs, catalog_packs_to_lock(f->catalog, first, NEAR, 500, "", packs, 16), "1");
	assert_numbers(packs, catalog_packs_to_lock(f->catalog, second, NEAR, 300, "", packs, 16), "3");
}

static void lock_until(struct fixture *f, uint64_t ino, int64_t until_us, int64_t wanted_us)
{
	const struct catalog_lock lock = {.mode = 1, .until_us = until_us, .wanted_us = wanted_us};

	assert_int_equal(catalog_set_lock(f->catalog, ino, &lock, NULL), 0);
}

static int64_t wanted(struct fixture *f, uint64_t ino)
{
	struct catalog_lock lock;

	assert_int_equal(catalog_lock_of(f->catalog, ino, &lock), 0);
	return lock.wanted_us;
}

static void test_packs_are_locked_as_long_as_the_longest(void **state)
{
	struct fixture *f = *state;
	uint64_t packs[4], count = 99, first_ino;
	_cleanup(free) char *first = NULL, *second = NULL;

	for (int i = 1; i <= 3; i++)
		packs[i] = list_pack(f, i);
	first = list_state(f, 1, "1-2");
	second = list_state(f, 2, "2-3");
	first_ino = ino_of_artifact(first);
	/* Where nothing is locked nothing is wanted. */
	assert_int_equal(catalog_want_pack_locks(f->catalog, &count, NULL), 0);
	assert_int_equal(count, 0);
	lock_until(f, first_ino, 500, 0);
	lock_until(f, ino_of_artifact(second), 100, 300);
	lock_until(f, packs[1], 600, 0);
	assert_int_equal(catalog_want_pack_locks(f->catalog, &count, NULL), 0);
	assert_int_equal(count, 2);
	/* Never shorter. */
	assert_int_equal(wanted(f, packs[1]), 0);
	assert_int_equal(wanted(f, packs[2]), 500);
	assert_int_equal(wanted(f, packs[3]), 300);
	/* What is wanted is wanted once. */
	assert_int_equal(catalog_want_pack_locks(f->catalog, &count, NULL), 0);
	assert_int_equal(count, 0);
	/* What is in the trash is locked still. */
	assert_int_equal(catalog_entomb_artifact(f->catalog, first_ino, NULL, NULL), 0);
	lock_until(f, packs[2], 200, 0);
	assert_int_equal(catalog_want_pack_locks(f->catalog, &count, NULL), 0);
	assert_int_equal(wanted(f, packs[2]), 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_each_store_counts_by_itself),
	        TEST(test_a_pack_stays_as_long_as_a_copy_there_needs_it),
	        TEST(test_a_pack_that_is_lost),
	        TEST(test_what_comes_back),
	        TEST(test_copies_of_packs_are_locked_as_long_as_the_longest),
	        TEST(test_packs_are_locked_as_long_as_the_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

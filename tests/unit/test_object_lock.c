// SPDX-License-Identifier: Apache-2.0
/* How artifacts are locked: a store that keeps locks in memory, and has a clock of its own, lies around the fixture's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "artifact_fixture.h"

#include <keepfs/catalog/locks.h>

#include "lock_server.h"

static int64_t known_until(struct fixture *f, const char *path)
{
	struct catalog_lock lock;

	assert_int_equal(catalog_lock_of(f->catalog, ino_of_artifact(path), &lock), 0);
	return lock.until_us;
}

static struct store_lock lock_of_manifest(const char *path)
{
	_cleanup(free) char *key = manifest_key(path);

	return *lock_slot(key);
}

static bool settle(struct fixture *f)
{
	const struct store_call call = {0};
	struct artifact_lock_turn turn = {0};

	assert_int_equal(artifact_settle_locks(&f->repo, &call, &turn, NULL), 0);
	return turn.failed;
}

#define SEVEN_DAYS_US                                                                                        \
	(INT64_C(1795737600) * US_PER_S) /* the midnight with which the seventh day after begins */

static void all_of_it_is_locked_and_known(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL, *second = NULL;
	struct error err = {0};
	int r;

	use_locks(f);
	path = make_locked(f, 1, AT_US, &r);
	second = make_locked(f, 2, AT_US + 60 * US_PER_S, &r);
	assert_int_equal(r, 0);
	assert_int_equal(lock_slot(path)->until_us, SEVEN_DAYS_US);
	assert_int_equal(lock_of_manifest(path).until_us, SEVEN_DAYS_US);
	assert_int_equal(lock_of_manifest(path).mode, STORE_LOCK_GOVERNANCE);
	assert_int_equal(known_until(f, path), SEVEN_DAYS_US);
	/* Nothing of it is hidden. */
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(path), NULL, &err), -EPERM);
	assert_non_null(strstr(err.message, "locked in the store until 2026-11-27T00:00:00Z"));
	assert_true(is_listed(f, path) && is_stored(f, path));
	assert_int_equal(count_pending(f), 0);
	/* By the server's clock, whatever ours says. */
	server.now_us = SEVEN_DAYS_US + US_PER_S;
	r = artifact_remove(&f->repo, ino_of_artifact(path),
	                    &(struct catalog_removal){.min_keep = 1, .now_us = server.now_us}, &err);
	assert_int_equal(r, 0);
	assert_false(is_stored(f, path));
}

/* The store's word counts, and not what a catalog remembers. */
static void the_store_is_asked_before_a_removal(void **state)
{
	struct fixture *f = *state;
	const struct catalog_lock none = {0};
	_cleanup(free) char *path = NULL, *second = NULL;
	int r;

	use_locks(f);
	path = make_locked(f, 1, AT_US, &r);
	second = make_locked(f, 2, AT_US + 60 * US_PER_S, &r);
	assert_int_equal(catalog_set_lock(f->catalog, ino_of_artifact(path), &none, NULL), 0);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(path), NULL, NULL), -EPERM);
	assert_int_equal(known_until(f, path), SEVEN_DAYS_US);
	assert_true(is_listed(f, path));
}

static void a_store_that_keeps_no_locks_is_told(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL;
	struct catalog_lock_state lock_state;
	int r;

	use_locks(f);
	server.forgets = true;
	path = make_locked(f, 1, AT_US, &r);
	assert_int_equal(r, -EIO);
	/* It is a backup all the same, and due. */
	assert_true(is_listed(f, path));
	assert_int_equal(known_until(f, path), 0);
	assert_int_equal(catalog_lock_state(f->catalog, AT_US, &lock_state), 0);
	assert_int_equal(lock_state.due, 1);
	server.forgets = false;
	assert_false(settle(f));
	assert_int_equal(known_until(f, path), SEVEN_DAYS_US);
	assert_int_equal(lock_slot(path)->until_us, SEVEN_DAYS_US);
}

static void what_fails_half_way_is_done_again(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL;
	struct catalog_lock_wish wish;
	struct catalog_lock_state lock_state;
	int r;

	use_locks(f);
	path = make_locked(f, 1, AT_US, &r);
	wish = (struct catalog_lock_wish){ino_of_artifact(path), SEVEN_DAYS_US + 30 * DAY_US};
	assert_int_equal(catalog_want_locks(f->catalog, &wish, 1, NULL), 0);
	server.fails_after = 1;
	assert_true(settle(f));
	/* The manifest's own lock tells of all of it. */
	assert_int_equal(lock_slot(path)->until_us, SEVEN_DAYS_US + 30 * DAY_US);
	assert_int_equal(lock_of_manifest(path).until_us, SEVEN_DAYS_US);
	assert_int_equal(catalog_lock_state(f->catalog, AT_US, &lock_state), 0);
	assert_int_equal(lock_state.failing, 1);
	assert_non_null(strstr(lock_state.why, "no right to lock"));
	server.fails_after = 0;
	assert_false(settle(f));
	assert_int_equal(lock_of_manifest(path).until_us, SEVEN_DAYS_US + 30 * DAY_US);
	assert_int_equal(known_until(f, path), SEVEN_DAYS_US + 30 * DAY_US);
	/* A shorter wish is none. */
	wish.wanted_us = SEVEN_DAYS_US;
	assert_int_equal(catalog_want_locks(f->catalog, &wish, 1, NULL), 0);
	assert_int_equal(catalog_lock_state(f->catalog, AT_US, &lock_state), 0);
	assert_int_equal(lock_state.due, 0);
}

static void holds_become_legal_holds(void **state)
{
	struct fixture *f = *state;
	const struct catalog_hold audit = {.name = "audit", .reason = "r", .by = "b", .at_us = AT_US};
	const struct catalog_hold court = {.name = "court", .reason = "r", .by = "b", .at_us = AT_US};
	_cleanup(free) char *path = NULL;
	uint64_t ino;
	int r;

	use_locks(f);
	path = make_locked(f, 1, AT_US, &r);
	ino = ino_of_artifact(path);
	assert_int_equal(artifact_hold(&f->repo, ino, &audit, NULL), 0);
	assert_true(lock_slot(path)->hold && lock_of_manifest(path).hold);
	assert_int_equal(lock_slot(path)->until_us, SEVEN_DAYS_US);
	assert_int_equal(artifact_hold(&f->repo, ino, &court, NULL), 0);
	assert_int_equal(artifact_end_hold(&f->repo, ino, "audit", NULL), 0);
	assert_true(lock_slot(path)->hold);
	/* What could not be told is told later, and the hold stands meanwhile. */
	server.fails_after = 1;
	server.sets = 1;
	assert_int_equal(artifact_end_hold(&f->repo, ino, "court", NULL), 0);
	assert_true(lock_slot(path)->hold);
	server.fails_after = 0;
	assert_false(settle(f));
	assert_false(lock_slot(path)->hold || lock_of_manifest(path).hold);
}

/* A removal that is refused has asked the store, and forgets no wish. */
static void a_wish_outlives_a_refused_removal(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL, *second = NULL;
	struct catalog_lock_wish wish;
	int r;

	use_locks(f);
	path = make_locked(f, 1, AT_US, &r);
	second = make_locked(f, 2, AT_US + 60 * US_PER_S, &r);
	wish = (struct catalog_lock_wish){ino_of_artifact(path), SEVEN_DAYS_US + DAY_US};
	assert_int_equal(catalog_want_locks(f->catalog, &wish, 1, NULL), 0);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(path), NULL, NULL), -EPERM);
	assert_false(settle(f));
	assert_int_equal(known_until(f, path), SEVEN_DAYS_US + DAY_US);
}

/* Of whoever triggered it: from the first moment on. */
static void a_hold_of_the_trigger_is_one_too(void **state)
{
	const struct artifact_name name = {.directory = "backups/full", .suffix = ".dump", .at_us = AT_US};
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path = NULL;

	use_locks(f);
	assert_int_equal(artifact_reserve(&f->repo, &name, 1, &path, NULL), 0);
	describe_dump(&m, path, 1);
	m.hold = mem_strdup("before the migration");
	put_object_of(f, &m);
	assert_int_equal(artifact_publish(&f->repo, &m, NULL, NULL), 0);
	assert_true(lock_slot(path)->hold && lock_of_manifest(path).hold);
	assert_int_equal(artifact_end_hold(&f->repo, ino_of_artifact(path), CATALOG_HOLD_OF_TRIGGER, NULL),
	                 0);
	assert_false(lock_slot(path)->hold || lock_of_manifest(path).hold);
}

/* A hold that ended by its date leaves a legal hold behind that nobody wants. */
static void a_hold_that_has_ended_stands_in_no_ones_way(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL, *second = NULL, *key = NULL;
	int r;

	use_locks(f);
	path = make_locked(f, 1, AT_US, &r);
	second = make_locked(f, 2, AT_US + 60 * US_PER_S, &r);
	key = manifest_key(path);
	assert_int_equal(catalog_note_holds(f->catalog, ino_of_artifact(path), NULL), 0);
	lock_slot(path)->hold = lock_slot(key)->hold = true;
	server.now_us = SEVEN_DAYS_US + US_PER_S;
	r = artifact_remove(&f->repo, ino_of_artifact(path),
	                    &(struct catalog_removal){.min_keep = 1, .now_us = server.now_us}, NULL);
	assert_int_equal(r, 0);
	assert_false(lock_slot(path)->hold);
	assert_false(is_stored(f, path));
}

/* A legal hold of somebody who has a right to the bucket: of a court, say. */
static void what_somebody_else_holds_stays(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL, *second = NULL, *key = NULL;
	struct catalog_lock_wish wish;
	struct catalog_lock known;
	struct error err = {0};
	int r;

	use_locks(f);
	path = make_locked(f, 1, AT_US, &r);
	second = make_locked(f, 2, AT_US + 60 * US_PER_S, &r);
	key = manifest_key(path);
	lock_slot(path)->hold = lock_slot(key)->hold = true;
	wish = (struct catalog_lock_wish){ino_of_artifact(path), SEVEN_DAYS_US + DAY_US};
	assert_int_equal(catalog_want_locks(f->catalog, &wish, 1, NULL), 0);
	assert_false(settle(f));
	assert_int_equal(known_until(f, path), SEVEN_DAYS_US + DAY_US);
	assert_true(lock_slot(path)->hold && lock_slot(key)->hold);
	assert_int_equal(catalog_lock_of(f->catalog, ino_of_artifact(path), &known), 0);
	assert_false(known.is_held);
	server.now_us = SEVEN_DAYS_US + 2 * DAY_US;
	r = artifact_remove(&f->repo, ino_of_artifact(path),
	                    &(struct catalog_removal){.min_keep = 1, .now_us = server.now_us}, &err);
	assert_int_equal(r, -EPERM);
	assert_non_null(strstr(err.message, "that keepfs has not set"));
	assert_true(lock_slot(path)->hold && lock_slot(key)->hold);
	assert_true(is_stored(f, path) && is_listed(f, path));
}

/* What has the hold, and what has not, its manifest does not tell: that has none yet. */
static void a_hold_that_was_broken_off_is_taken_off(void **state)
{
	const struct catalog_hold audit = {.name = "audit", .reason = "r", .by = "b", .at_us = AT_US};
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL;
	int r;

	use_locks(f);
	path = make_locked(f, 1, AT_US, &r);
	server.fails_after = 1;
	server.sets = 0;
	assert_int_equal(artifact_hold(&f->repo, ino_of_artifact(path), &audit, NULL), 0);
	assert_true(lock_slot(path)->hold);
	assert_false(lock_of_manifest(path).hold);
	server.fails_after = 0;
	assert_int_equal(artifact_end_hold(&f->repo, ino_of_artifact(path), "audit", NULL), 0);
	assert_false(lock_slot(path)->hold);
}

static void one_without_a_manifest_is_not_due_for_ever(void **state)
{
	struct fixture *f = *state;
	struct catalog_lock_state lock_state;
	struct catalog_lock_wish wish;
	_cleanup(free) char *path = NULL, *key = NULL;
	int r;

	use_locks(f);
	path = make_locked(f, 1, AT_US, &r);
	key = manifest_key(path);
	assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
	wish = (struct catalog_lock_wish){ino_of_artifact(path), SEVEN_DAYS_US + DAY_US};
	assert_int_equal(catalog_want_locks(f->catalog, &wish, 1, NULL), 0);
	assert_false(settle(f));
	assert_int_equal(catalog_lock_state(f->catalog, AT_US, &lock_state), 0);
	assert_int_equal(lock_state.due + lock_state.failing, 0);
	assert_int_equal(known_until(f, path), SEVEN_DAYS_US);
}

/* Of a manifest that was copied from a locked bucket into a directory. */
static void where_nothing_is_locked_the_store_says_so(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL, *second = NULL;
	struct catalog_lock_state lock_state;
	int r;

	use_locks(f);
	path = make_locked(f, 1, AT_US, &r);
	second = make_locked(f, 2, AT_US + 60 * US_PER_S, &r);
	f->store->ops = real;
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(path), NULL, NULL), 0);
	assert_int_equal(catalog_lock_state(f->catalog, AT_US, &lock_state), 0);
	assert_false(is_listed(f, path));
}

static void where_no_locks_are_asked_for_nothing_is_asked(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = make_dump(f, 1, AT_US), *second = make_dump(f, 2, AT_US + 60 * US_PER_S);

	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(path), NULL, NULL), 0);
	assert_int_equal(calls_of(f, STORE_CALL_LOCK), 0);
	assert_true(is_listed(f, second));
}

static void how_others_are_locked(void **state)
{
	struct fixture *f = *state;
	struct store_lock lock = {0};

	assert_int_equal(artifact_lock_of(f->store, ARTIFACT_LOCK_BACKUP, AT_US + DAY_US, &lock, NULL), 0);
	use_locks(f);
	assert_int_equal(artifact_lock_of(f->store, ARTIFACT_LOCK_REWRITTEN, INT64_MAX, &lock, NULL), 0);
	assert_int_equal(artifact_lock_of(f->store, ARTIFACT_LOCK_BACKUP, 0, &lock, NULL), 1);
	assert_int_equal(lock.until_us, server.now_us + DAY_US);
	assert_int_equal(artifact_lock_of(f->store, ARTIFACT_LOCK_BACKUP, INT64_MAX, &lock, NULL), 1);
	assert_int_equal(lock.until_us, server.now_us + 3660 * DAY_US);
	assert_int_equal(artifact_lock_of(f->store, ARTIFACT_LOCK_LINK, 0, &lock, NULL), 1);
	assert_int_equal(lock.until_us, server.now_us + 732 * DAY_US);
}

/* It was set during the run, so that nobody can say when that was. */
static void a_wrong_date_locks_for_the_least(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = NULL;
	int r;

	use_locks(f);
	server.now_us = AT_US - 7300 * DAY_US;
	path = make_locked(f, 1, AT_US, &r);
	assert_int_equal(r, ARTIFACT_LOCK_DOUBTFUL);
	assert_int_equal(lock_slot(path)->until_us, server.now_us + DAY_US);
	assert_int_equal(known_until(f, path), server.now_us + DAY_US);
}

/* By the server's clock the rules are kept, whatever the host's shows, as long as that shows the same all the time. */
static void a_wrong_clock_locks_by_the_right_one(void **state)
{
	static const int64_t off_us[] = {7300 * DAY_US, -7300 * DAY_US,     40 * DAY_US,
	                                 -40 * DAY_US,  10 * 60 * US_PER_S, -10 * 60 * US_PER_S};
	struct fixture *f = *state;

	use_locks(f);
	for (size_t i = 0; i < ARRAY_SIZE(off_us); i++) {
		/* The same names are not used twice. */
		int64_t at_us = AT_US + (int64_t)i * US_PER_S;
		_cleanup(free) char *path = NULL;
		int64_t until_us;
		int r;

		server.host_us = at_us + US_PER_S;
		server.now_us = server.host_us - off_us[i];
		path = make_locked(f, (int64_t)i + 1, at_us, &r);
		until_us = lock_slot(path)->until_us;
		assert_int_equal(r, 0);
		assert_in_range(until_us - server.now_us, 6 * DAY_US, 7 * DAY_US + 3600 * US_PER_S);
		/* Nor is it shorter than the host thinks. */
		if (off_us[i] > -DAY_US && off_us[i] < DAY_US)
			assert_true(until_us >= SEVEN_DAYS_US - (off_us[i] < 0 ? off_us[i] : 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(all_of_it_is_locked_and_known),
	        TEST(the_store_is_asked_before_a_removal),
	        TEST(a_store_that_keeps_no_locks_is_told),
	        TEST(what_fails_half_way_is_done_again),
	        TEST(holds_become_legal_holds),
	        TEST(a_wish_outlives_a_refused_removal),
	        TEST(a_hold_of_the_trigger_is_one_too),
	        TEST(a_hold_that_has_ended_stands_in_no_ones_way),
	        TEST(what_somebody_else_holds_stays),
	        TEST(a_hold_that_was_broken_off_is_taken_off),
	        TEST(one_without_a_manifest_is_not_due_for_ever),
	        TEST(where_nothing_is_locked_the_store_says_so),
	        TEST(where_no_locks_are_asked_for_nothing_is_asked),
	        TEST(how_others_are_locked),
	        TEST(a_wrong_date_locks_for_the_least),
	        TEST(a_wrong_clock_locks_by_the_right_one),
	};

	return cmocka_run_group_tests_name("object_lock", tests, NULL, NULL);
}

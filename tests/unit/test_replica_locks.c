// SPDX-License-Identifier: Apache-2.0
/* How copies are locked: by the rules of their store, never for a shorter time, and what is locked is not removed. The fixture's own store stands for the further one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "artifact_fixture.h"

#include <keepfs/catalog/holds.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/replica_locks.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/conf.h>
#include <keepfs/replica.h>

#include "lock_server.h"

#define NIGHT "backups/full/20261119T020000Z.dump"

struct copied {
	struct fixture *f;
	struct conf conf;
	struct conf_job job;
	struct conf_named_store further;
	struct replica_order order;
	char *path; /* heap: of the one backup */
};

static void note_row(struct copied *c, const char *path, enum replica_state state)
{
	struct catalog_replica row = {.state = state,
	                              .started_at_us = str_equal(path, NIGHT) ? AT_US - DAY_US : AT_US,
	                              .finished_at_us = AT_US + 1,
	                              .verified_at_us = 1,
	                              .ino = ino_of_artifact(path)};

	str_copy(row.path, sizeof(row.path), path);
	str_copy(row.job, sizeof(row.job), "full");
	assert_int_equal(catalog_set_replica(c->f->catalog, &row, NULL), 0);
}

static void begin_copied(struct copied *c, struct fixture *f)
{
	int r;

	*c = (struct copied){.f = f};
	use_locks(f);
	server.mode = STORE_LOCK_NONE;
	c->path = make_locked(f, 7, AT_US, &r);
	server.mode = STORE_LOCK_GOVERNANCE;
	c->conf.timezone = "UTC";
	c->conf.stores = &c->further;
	c->conf.store_count = 1;
	c->conf.jobs = &c->job;
	c->conf.job_count = 1;
	c->job.name = "full";
	c->further.name = "further";
	c->further.keeping.keep_daily = 5;
	c->further.keeping.keep_within_ms = -1;
	c->order = (struct replica_order){.repository = &f->repo, .conf = &c->conf, .named = &c->further};
	note_row(c, c->path, REPLICA_WHOLE);
}

static void end_copied(struct copied *c)
{
	free(c->path);
}

static uint64_t lock_all(struct copied *c)
{
	struct error err = {0};
	uint64_t failed = 99;

	if (replica_lock_all(&c->order, &failed, &err) != 0)
		fail_msg("%s", err.message);
	return failed;
}

static struct catalog_replica_lock lock_known(struct copied *c)
{
	struct catalog_replica_lock lock;

	assert_int_equal(catalog_replica_lock(c->f->catalog, c->path, 0, &lock), 0);
	return lock;
}

static int64_t locked_days(struct copied *c)
{
	_cleanup(free) char *key = manifest_key(c->path);
	const struct store_lock *bytes = lock_slot(c->path), *manifest = lock_slot(key);

	assert_int_equal(bytes->until_us, manifest->until_us);
	assert_int_equal(lock_known(c).until_us, manifest->until_us);
	return (manifest->until_us - AT_US / DAY_US * DAY_US) / DAY_US;
}

static void by_the_rules_of_their_store(void **state)
{
	struct copied c;
	unsigned gets;

	begin_copied(&c, *state);
	assert_int_equal(lock_all(&c), 0);
	assert_int_equal(locked_days(&c), 5);
	assert_int_equal(lock_known(&c).mode, STORE_LOCK_GOVERNANCE);
	/* Nothing is due, so nothing is asked. */
	gets = server.gets;
	assert_int_equal(lock_all(&c), 0);
	assert_int_equal(server.gets, gets);
	c.further.keeping.keep_daily = 9;
	lock_all(&c);
	assert_int_equal(locked_days(&c), 9);
	c.further.keeping.keep_daily = 2;
	lock_all(&c);
	assert_int_equal(locked_days(&c), 9);
	end_copied(&c);
}

static void what_proves_something_outlives_them(void **state)
{
	struct copied c;
	int64_t until_us = 0;

	begin_copied(&c, *state);
	assert_int_equal(catalog_locked_until(c.f->catalog, 0, &until_us), 0);
	assert_int_equal(until_us, 0);
	lock_all(&c);
	assert_int_equal(catalog_locked_until(c.f->catalog, 0, &until_us), 0);
	assert_int_equal(until_us, lock_known(&c).until_us);
	end_copied(&c);
}

static void what_cannot_be_locked_is_told_and_tried_again(void **state)
{
	struct catalog_replica_lock_state sum;
	struct copied c;

	begin_copied(&c, *state);
	server.only = "nothing";
	assert_int_equal(lock_all(&c), 1);
	assert_true(lock_known(&c).failed_us > 0);
	assert_non_null(strstr(lock_known(&c).why, "no right to lock"));
	assert_int_equal(catalog_replica_lock_state(c.f->catalog, server.now_us, &sum), 0);
	assert_int_equal(sum.failing, 1);
	assert_string_equal(sum.path, c.path);
	server.only = NULL;
	/* It takes them, and keeps none. */
	server.forgets = true;
	assert_int_equal(lock_all(&c), 1);
	assert_non_null(strstr(lock_known(&c).why, "does not keep them"));
	server.forgets = false;
	assert_int_equal(lock_all(&c), 0);
	assert_int_equal(lock_known(&c).failed_us, 0);
	assert_int_equal(locked_days(&c), 5);
	assert_int_equal(catalog_replica_lock_state(c.f->catalog, server.now_us, &sum), 0);
	assert_int_equal(sum.failing, 0);
	assert_int_equal(sum.locked, 1);
	end_copied(&c);
}

/* A store that does not answer ends the round: nothing is said of its copies. */
static void a_store_that_is_away(void **state)
{
	struct copied c;
	struct error err = {0};
	uint64_t failed;

	begin_copied(&c, *state);
	server.is_down = true;
	assert_int_equal(replica_lock_all(&c.order, &failed, &err), -EIO);
	assert_true(err.retry);
	server.is_down = false;
	assert_int_equal(lock_all(&c), 0);
	assert_int_equal(locked_days(&c), 5);
	end_copied(&c);
}

/* Nobody says how long what no job makes any more is to be kept; and where nothing is locked nothing is asked. */
static void without_rules_or_locks(void **state)
{
	struct copied c;
	struct catalog_replica_lock lock;

	begin_copied(&c, *state);
	server.mode = STORE_LOCK_NONE;
	lock_all(&c);
	assert_int_equal(catalog_replica_lock(c.f->catalog, c.path, 0, &lock), -ENOENT);
	server.mode = STORE_LOCK_GOVERNANCE;
	c.job.name = "another";
	assert_int_equal(lock_all(&c), 0);
	assert_int_equal(lock_known(&c).until_us, 0);
	end_copied(&c);
}

static void a_row_goes_with_its_copy(void **state)
{
	struct copied c;
	struct catalog_replica_lock lock;

	begin_copied(&c, *state);
	lock_all(&c);
	note_row(&c, c.path, REPLICA_COPYING);
	assert_true(lock_known(&c).until_us > 0);
	note_row(&c, c.path, REPLICA_WANTED);
	assert_int_equal(catalog_replica_lock(c.f->catalog, c.path, 0, &lock), -ENOENT);
	note_row(&c, c.path, REPLICA_WHOLE);
	lock_all(&c);
	assert_int_equal(locked_days(&c), 5);
	assert_int_equal(catalog_forget_replica(c.f->catalog, c.path, 0, NULL), 0);
	assert_int_equal(catalog_replica_lock(c.f->catalog, c.path, 0, &lock), -ENOENT);
	end_copied(&c);
}

/* Somebody holds the backup, and its copy does not know yet: here the artifact is the copy, so its own hold is taken off first. */
static void begin_held(struct copied *c, struct fixture *f, char **ret_key)
{
	const struct catalog_hold audit = {.name = "audit", .reason = "r", .by = "b", .at_us = AT_US};

	begin_copied(c, f);
	*ret_key = manifest_key(c->path);
	lock_all(c);
	assert_false(lock_known(c).is_held);
	assert_int_equal(artifact_hold(&c->f->repo, ino_of_artifact(c->path), &audit, NULL), 0);
	lock_slot(c->path)->hold = lock_slot(*ret_key)->hold = false;
}

static void a_hold_is_followed(void **state)
{
	struct copied c;
	_cleanup(free) char *key = NULL;

	begin_held(&c, *state, &key);
	lock_all(&c);
	assert_true(lock_slot(c.path)->hold && lock_slot(key)->hold && lock_known(&c).is_held);
	assert_int_equal(artifact_end_hold(&c.f->repo, ino_of_artifact(c.path), "audit", NULL), 0);
	lock_slot(c.path)->hold = lock_slot(key)->hold = true;
	lock_all(&c);
	assert_false(lock_slot(c.path)->hold || lock_slot(key)->hold || lock_known(&c).is_held);
	/* One that somebody else has set stays. */
	lock_slot(key)->hold = true;
	c.further.keeping.keep_daily = 9;
	lock_all(&c);
	assert_true(lock_slot(key)->hold);
	assert_false(lock_known(&c).is_held);
	end_copied(&c);
}

/* Some of its objects have the hold, and its manifest has not: nothing there says so. */
static void a_hold_that_was_broken_off_is_taken_off(void **state)
{
	struct copied c;
	_cleanup(free) char *key = NULL;

	begin_held(&c, *state, &key);
	server.fails_after = 1;
	server.sets = 0;
	assert_int_equal(lock_all(&c), 1);
	assert_true(lock_slot(c.path)->hold && !lock_slot(key)->hold);
	server.fails_after = 0;
	assert_int_equal(artifact_end_hold(&c.f->repo, ino_of_artifact(c.path), "audit", NULL), 0);
	lock_slot(c.path)->hold = true;
	lock_all(&c);
	assert_false(lock_slot(c.path)->hold || lock_known(&c).is_held);
	end_copied(&c);
}

static int find_lock_row(struct copied *c, struct catalog_replica_lock *ret)
{
	return catalog_replica_lock(c->f->catalog, NIGHT, 0, ret);
}

/* One that nobody lists, behind which there is a newer one: by the rules it goes, and its lock keeps it. */
static void the_removal_of_a_locked_one_is_put_off(void **state)
{
	struct copied c;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *key = manifest_key(NIGHT);
	struct catalog_replica_lock lock;
	uint64_t removed = 9;

	begin_copied(&c, *state);
	describe_dump(&m, NIGHT, 6);
	put_object_of(c.f, &m);
	put_manifest_of(c.f, &m);
	note_row(&c, NIGHT, REPLICA_REMOVED);
	c.further.keeping.keep_daily = 0;
	c.further.keeping.keep_last = 1;
	/* The store's word counts, of which the catalog knows nothing yet. */
	server.now_us = clock_now_us();
	lock_slot(key)->mode = STORE_LOCK_GOVERNANCE;
	lock_slot(key)->until_us = server.now_us + 3 * DAY_US;
	assert_int_equal(replica_clean(&c.order, &removed, NULL), 0);
	assert_int_equal(removed, 0);
	assert_true(is_stored(c.f, key) && is_stored(c.f, NIGHT));
	assert_int_equal(find_lock_row(&c, &lock), 0);
	assert_true(lock.is_put_off);
	assert_int_equal(lock.until_us, lock_slot(key)->until_us);
	/* Now the catalog knows, and nobody is asked. */
	server.gets = 0;
	assert_int_equal(replica_clean(&c.order, &removed, NULL), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(server.gets, 0);
	/* A rule keeps it again. */
	c.further.keeping.keep_last = 2;
	assert_int_equal(replica_clean(&c.order, &removed, NULL), 0);
	assert_int_equal(find_lock_row(&c, &lock), 0);
	assert_false(lock.is_put_off);
	c.further.keeping.keep_last = 1;
	/* Its time is over. */
	lock_slot(key)->until_us = lock.until_us = 1;
	assert_int_equal(catalog_set_replica_lock(c.f->catalog, NIGHT, 0, &lock, NULL), 0);
	assert_int_equal(replica_clean(&c.order, &removed, NULL), 0);
	assert_int_equal(removed, 1);
	assert_false(is_stored(c.f, key) || is_stored(c.f, NIGHT));
	end_copied(&c);
}

/* A store whose removals fail: of keys that begin so. */
static struct {
	const char *prefix; /* NULL: none */
	bool denies;        /* else it does not answer */
} broken;

static int broken_remove(struct store *s, const struct store_call *call, const char *key, struct error *err)
{
	if (!broken.prefix || !str_starts(key, broken.prefix))
		return real->remove(s, call, key, err);
	if (broken.denies)
		return error_set(err, ERROR_DENIED, EACCES, "no right to delete %s", key);
	error_set(err, ERROR_UNAVAILABLE, EIO, "the server does not answer");
	err->retry = true;
	return -EIO;
}

/* NIGHT is due: by the rules it goes. */
static void begin_removal(struct copied *c, struct fixture *f)
{
	_cleanup(manifest) struct manifest m = {0};

	begin_copied(c, f);
	server.mode = STORE_LOCK_NONE;
	describe_dump(&m, NIGHT, 6);
	put_object_of(f, &m);
	put_manifest_of(f, &m);
	note_row(c, NIGHT, REPLICA_REMOVED);
	c->further.keeping.keep_daily = 0;
	c->further.keeping.keep_last = 1;
	locking_ops.remove = broken_remove;
}

static int state_of_night(struct copied *c)
{
	struct catalog_replica row;
	int r = catalog_replica(c->f->catalog, NIGHT, 0, &row);

	return r < 0 ? r : (int)row.state;
}

/* As after a crash: its manifest is gone, and the rest is found again, whatever the names there say. */
static void a_removal_that_broke_off_goes_on(void **state)
{
	struct copied c;
	_cleanup(free) char *key = manifest_key(NIGHT);
	uint64_t removed = 9;

	begin_removal(&c, *state);
	broken.prefix = "backups/";
	broken.denies = false;
	assert_int_equal(replica_clean(&c.order, &removed, NULL), -EIO);
	assert_true(!is_stored(c.f, key) && is_stored(c.f, NIGHT));
	assert_int_equal(replica_compare(&c.order, NULL), 0);
	assert_int_equal(state_of_night(&c), REPLICA_COPYING);
	broken.prefix = NULL;
	assert_int_equal(replica_drop_abandoned(&c.order, NULL), 0);
	assert_false(is_stored(c.f, NIGHT));
	assert_int_equal(state_of_night(&c), -ENOENT);
	end_copied(&c);
}

/* Before the first of it had gone it is a copy as before. */
static void a_removal_that_had_not_begun_is_none(void **state)
{
	struct copied c;
	_cleanup(free) char *key = manifest_key(NIGHT);
	uint64_t removed = 9;

	begin_removal(&c, *state);
	broken.prefix = "manifests/";
	broken.denies = false;
	assert_int_equal(replica_clean(&c.order, &removed, NULL), -EIO);
	broken.prefix = NULL;
	assert_int_equal(replica_drop_abandoned(&c.order, NULL), 0);
	assert_true(is_stored(c.f, key) && is_stored(c.f, NIGHT));
	assert_int_equal(state_of_night(&c), REPLICA_REMOVED);
	assert_int_equal(replica_clean(&c.order, &removed, NULL), 0);
	assert_int_equal(removed, 1);
	end_copied(&c);
}

/* Who may write there need not be who may delete: that is no failure of the store, which takes copies. */
static void where_nobody_may_delete_copies_stay(void **state)
{
	struct copied c;
	struct catalog_replica row;
	_cleanup(free) char *key = manifest_key(NIGHT);
	uint64_t removed = 9;

	begin_removal(&c, *state);
	broken.prefix = "manifests/";
	broken.denies = true;
	assert_int_equal(replica_clean(&c.order, &removed, NULL), 0);
	assert_int_equal(removed, 0);
	assert_true(is_stored(c.f, key) && is_stored(c.f, NIGHT));
	assert_int_equal(state_of_night(&c), REPLICA_REMOVED);
	assert_int_equal(catalog_replica(c.f->catalog, NIGHT, 0, &row), 0);
	assert_non_null(strstr(row.error, "no right to delete"));
	broken.prefix = NULL;
	end_copied(&c);
}

#define LOCK_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        LOCK_TEST(by_the_rules_of_their_store),
	        LOCK_TEST(what_proves_something_outlives_them),
	        LOCK_TEST(what_cannot_be_locked_is_told_and_tried_again),
	        LOCK_TEST(a_store_that_is_away),
	        LOCK_TEST(without_rules_or_locks),
	        LOCK_TEST(a_row_goes_with_its_copy),
	        LOCK_TEST(a_hold_is_followed),
	        LOCK_TEST(a_hold_that_was_broken_off_is_taken_off),
	        LOCK_TEST(the_removal_of_a_locked_one_is_put_off),
	        LOCK_TEST(a_removal_that_broke_off_goes_on),
	        LOCK_TEST(a_removal_that_had_not_begun_is_none),
	        LOCK_TEST(where_nobody_may_delete_copies_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

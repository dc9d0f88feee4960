// SPDX-License-Identifier: Apache-2.0
/* Object lock: in a bucket that has it what is locked stays, and a store without it says so. */
#include "suite.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#define AN_HOUR_US  (INT64_C(3600) * US_PER_S)
#define PATIENCE_MS 60000

static bool has_locks(struct suite *t)
{
	struct store_bucket bucket = {0};

	assert_ok(store_bucket(t->store, NULL, &bucket, &err));
	return bucket.can_lock;
}

static int64_t store_now_us(struct suite *t)
{
	struct store_features features;

	assert_ok(store_features(t->store, &features, &err));
	assert_true(features.clock_us > 0);
	return features.clock_us;
}

static struct store_lock governance(struct suite *t, int64_t for_us)
{
	return (struct store_lock){STORE_LOCK_GOVERNANCE, store_now_us(t) + for_us, false};
}

static void expect_lock(struct suite *t, const char *key, enum store_lock_mode mode, int64_t until_us,
                        bool hold)
{
	struct store_lock lock = {.until_us = -1};

	assert_ok(store_lock_get(t->store, NULL, key, &lock, &err));
	assert_int_equal(lock.mode, mode);
	assert_int_equal(lock.until_us, (until_us + US_PER_S - 1) / US_PER_S * US_PER_S);
	assert_int_equal(lock.hold, hold);
}

/* Returns the version (heap). */
static char *put_locked(struct suite *t, const char *key, const struct store_lock *lock)
{
	char version[STORE_VERSION_BYTES] = "?";
	const struct store_put_options options = {.lock = lock, .ret_version = version};

	assert_ok(store_put_bytes(t->store, NULL, key, "one", 3, &options, &err));
	assert_true(version[0] && !str_equal(version, "?"));
	return mem_strdup(version);
}

static void expect_kept(struct suite *t, const char *key, const char *version)
{
	assert_fails(EACCES, ERROR_DENIED, store_version_remove(t->store, NULL, key, version, &err));
}

static void a_store_without_locks_says_so(void **state)
{
	struct suite *t = *state;
	const struct store_lock lock = {STORE_LOCK_GOVERNANCE, clock_now_us() + AN_HOUR_US, false};
	const struct store_put_options options = {.lock = &lock};
	struct store_version *versions;
	struct store_lock got = {.until_us = 7};
	char key[STORE_KEY_BYTES];
	size_t count;

	if (has_locks(t))
		return;
	suite_key(t, key, "plain");
	assert_fails(ENOTSUP, ERROR_USAGE, store_put_bytes(t->store, NULL, key, "x", 1, &options, &err));
	suite_expect_absent(t, key);
	suite_put(t, key, "x");
	/* A server that knows nothing of locks takes the request for one for a put: it must never be made. */
	assert_fails(ENOTSUP, ERROR_USAGE, store_lock_get(t->store, NULL, key, &got, &err));
	assert_int_equal(got.until_us, 7);
	assert_fails(ENOTSUP, ERROR_USAGE,
	             store_lock_extend(t->store, NULL, key, &(struct store_lock){0}, &lock, &err));
	assert_fails(ENOTSUP, ERROR_USAGE, store_legal_hold(t->store, NULL, key, true, &err));
	suite_expect(t, key, "x", 1);
	if (t->remote)
		return;
	assert_fails(ENOTSUP, ERROR_USAGE,
	             store_version_list(t->store, NULL, t->prefix, &versions, &count, &err));
	assert_fails(ENOTSUP, ERROR_USAGE, store_version_remove(t->store, NULL, key, "1", &err));
}

static void less_is_refused_before_it_is_asked_for(void **state)
{
	struct suite *t = *state;
	const struct store_lock now = {STORE_LOCK_COMPLIANCE, 2 * AN_HOUR_US, false};
	const struct store_lock weaker = {STORE_LOCK_GOVERNANCE, 3 * AN_HOUR_US, false};
	const struct store_lock shorter = {STORE_LOCK_COMPLIANCE, AN_HOUR_US, false};
	const struct store_lock nothing = {0};
	char key[STORE_KEY_BYTES];

	suite_key(t, key, "not there at all");
	assert_fails(EPERM, ERROR_USAGE, store_lock_extend(t->store, NULL, key, &now, &weaker, &err));
	assert_fails(EPERM, ERROR_USAGE, store_lock_extend(t->store, NULL, key, &now, &shorter, &err));
	assert_fails(EINVAL, ERROR_USAGE, store_lock_extend(t->store, NULL, key, &now, &nothing, &err));
	assert_fails(EINVAL, ERROR_USAGE, store_version_remove(t->store, NULL, key, "", &err));
	assert_ok(store_lock_extend(t->store, NULL, key, &now, &now, &err));
}

static void what_is_locked_stays(void **state)
{
	struct suite *t = *state;
	struct store_lock lock, longer, short_lock;
	_cleanup(free) char *version = NULL;
	char key[STORE_KEY_BYTES];

	if (!has_locks(t))
		return;
	lock = governance(t, AN_HOUR_US);
	longer = governance(t, 2 * AN_HOUR_US);
	short_lock = governance(t, 60 * US_PER_S);
	version = put_locked(t, suite_key(t, key, "locked"), &lock);
	expect_lock(t, key, STORE_LOCK_GOVERNANCE, lock.until_us, false);
	expect_kept(t, key, version);
	assert_ok(store_lock_extend(t->store, NULL, key, &lock, &longer, &err));
	expect_lock(t, key, STORE_LOCK_GOVERNANCE, longer.until_us, false);
	/* The server does not believe one who says that nothing is locked. */
	assert_fails(EACCES, ERROR_DENIED,
	             store_lock_extend(t->store, NULL, key, &(struct store_lock){0}, &short_lock, &err));
	expect_lock(t, key, STORE_LOCK_GOVERNANCE, longer.until_us, false);
	expect_kept(t, key, version);
	/* Removed by its name it is gone for those who look, and still there. */
	assert_ok(store_remove(t->store, NULL, key, &err));
	suite_expect_absent(t, key);
	expect_kept(t, key, version);
	assert_fails(ENOENT, ERROR_NOT_FOUND, store_lock_get(t->store, NULL, key, &lock, &err));
}

static void compliance_is_not_weakened(void **state)
{
	struct suite *t = *state;
	struct store_lock lock, weaker;
	_cleanup(free) char *version = NULL;
	char key[STORE_KEY_BYTES];

	if (!has_locks(t))
		return;
	lock = governance(t, 20 * US_PER_S);
	lock.mode = STORE_LOCK_COMPLIANCE;
	weaker = governance(t, AN_HOUR_US);
	version = put_locked(t, suite_key(t, key, "for ever"), &lock);
	expect_lock(t, key, STORE_LOCK_COMPLIANCE, lock.until_us, false);
	expect_kept(t, key, version);
	assert_int_not_equal(store_lock_extend(t->store, NULL, key, &(struct store_lock){0}, &weaker, NULL),
	                     0);
	expect_lock(t, key, STORE_LOCK_COMPLIANCE, lock.until_us, false);
}

static void a_hold_stands_beside_the_date(void **state)
{
	struct suite *t = *state;
	_cleanup(free) char *version = NULL;
	struct store_lock lock = {.hold = true};
	char key[STORE_KEY_BYTES];

	if (!has_locks(t))
		return;
	version = put_locked(t, suite_key(t, key, "held"), &lock);
	expect_lock(t, key, STORE_LOCK_NONE, 0, true);
	expect_kept(t, key, version);
	assert_ok(store_legal_hold(t->store, NULL, key, true, &err));
	lock = governance(t, 2 * US_PER_S);
	assert_ok(store_lock_extend(t->store, NULL, key, &(struct store_lock){0}, &lock, &err));
	expect_lock(t, key, STORE_LOCK_GOVERNANCE, lock.until_us, true);
	assert_ok(store_legal_hold(t->store, NULL, key, false, &err));
	expect_lock(t, key, STORE_LOCK_GOVERNANCE, lock.until_us, false);
	assert_fails(ENOENT, ERROR_NOT_FOUND,
	             store_legal_hold(t->store, NULL, suite_key(t, key, "nothing"), true, &err));
}

/* Waits for the server's clock. */
static void remove_when_it_is_over(struct suite *t, const char *key, const char *version)
{
	int64_t give_up_ms = clock_mono_ms() + PATIENCE_MS;
	int r;

	while ((r = store_version_remove(t->store, NULL, key, version, NULL)) == -EACCES &&
	       clock_mono_ms() < give_up_ms)
		cancel_sleep_ms(NULL, 100);
	assert_int_equal(r, 0);
}

static void it_goes_when_its_time_is_over(void **state)
{
	struct suite *t = *state;
	_cleanup(free) struct store_version *versions = NULL;
	_cleanup(free) char *version = NULL;
	struct store_lock lock;
	char key[STORE_KEY_BYTES];
	size_t count = 0;

	if (!has_locks(t))
		return;
	lock = governance(t, 3 * US_PER_S);
	version = put_locked(t, suite_key(t, key, "short"), &lock);
	assert_ok(store_version_list(t->store, NULL, t->prefix, &versions, &count, &err));
	assert_int_equal(count, 1);
	assert_string_equal(versions[0].key, key);
	assert_string_equal(versions[0].id, version);
	assert_false(versions[0].is_marker);
	expect_kept(t, key, version);
	remove_when_it_is_over(t, key, version);
	suite_expect_absent(t, key);
	assert_ok(store_version_remove(t->store, NULL, key, version, &err));
}

static void an_upload_is_locked_when_it_is_complete(void **state)
{
	struct suite *t = *state;
	_cleanup(store_upload) struct store_upload *up = NULL;
	_cleanup(free) struct store_version *versions = NULL;
	struct store_lock lock, nothing;
	struct store_part part;
	struct iovec iov = {(void *)"a part", 6};
	char key[STORE_KEY_BYTES];
	size_t count = 0;

	if (!has_locks(t))
		return;
	assert_ok(store_upload_begin(t->store, NULL, suite_key(t, key, "parts"), &up, &err));
	assert_ok(store_upload_part(up, NULL, 1, &iov, 1, &part, &err));
	assert_ok(store_upload_complete(up, NULL, &part, 1, &err));
	assert_ok(store_lock_get(t->store, NULL, key, &nothing, &err));
	assert_int_equal(nothing.mode, STORE_LOCK_NONE);
	lock = governance(t, AN_HOUR_US);
	assert_ok(store_lock_extend(t->store, NULL, key, &nothing, &lock, &err));
	assert_ok(store_version_list(t->store, NULL, key, &versions, &count, &err));
	assert_int_equal(count, 1);
	expect_kept(t, key, versions[0].id);
}

const struct CMUnitTest lock_cases[] = {
        CASE(a_store_without_locks_says_so),
        CASE(less_is_refused_before_it_is_asked_for),
        CASE(what_is_locked_stays),
        CASE(compliance_is_not_weakened),
        CASE(a_hold_stands_beside_the_date),
        CASE(it_goes_when_its_time_is_over),
        CASE(an_upload_is_locked_when_it_is_complete),
};
const size_t lock_case_count = sizeof(lock_cases) / sizeof(lock_cases[0]);

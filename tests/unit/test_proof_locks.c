// SPDX-License-Identifier: Apache-2.0
/* Links of the chain and checkpoints are locked for as long as what they prove something about; what is due about locks and fails holds up nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "artifact_fixture.h"

#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/chain.h>
#include <keepfs/checkpoint.h>
#include <keepfs/conf.h>
#include <keepfs/keyring/signing.h>
#include <keepfs/store/proof.h>

#include "lock_server.h"

static char signing_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                            "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                            "-----END PRIVATE KEY-----\n";

/* The first link of a chain, and a checkpoint that tells of it. */
static void make_proofs(struct fixture *f)
{
	struct conf conf = {.signing_key.value = signing_pem};
	const struct chain_at at = {.store = f->store};
	const struct checkpoint_context ctx = {.catalog = f->catalog, .store = f->store};
	struct signing *signing = NULL;
	struct chain *chain;

	assert_int_equal(signing_new(&conf, &signing, NULL), 0);
	chain = chain_new(f->catalog, signing);
	assert_int_equal(chain_ready(chain, &at, NULL), 0);
	assert_true(is_stored(f, "chain/000000000001.json"));
	assert_int_equal(checkpoint_make(&ctx, NULL, NULL), 0);
	chain_free(chain);
	signing_free(signing);
}

static void links_and_checkpoints_are_locked(void **state)
{
	struct fixture *f = *state;

	use_locks(f);
	make_proofs(f);
	assert_int_equal(server.count, 2);
	assert_string_equal(server.items[0].key, "chain/000000000001.json");
	assert_true(str_starts(server.items[1].key, "checkpoints/"));
	for (size_t i = 0; i < server.count; i++) {
		assert_int_equal(server.items[i].lock.mode, STORE_LOCK_GOVERNANCE);
		assert_int_equal(server.items[i].lock.until_us, server.now_us + 732 * DAY_US);
	}
}

/* A chain with a gap would prove less than one that is not locked, and what was removed could never be forgotten. */
static void what_may_not_be_locked_is_put_all_the_same(void **state)
{
	struct fixture *f = *state;

	use_locks(f);
	server.refuses_puts = true;
	make_proofs(f);
	assert_int_equal(server.count, 0);
}

static struct catalog_proof_lock known_proofs(struct fixture *f)
{
	struct catalog_proof_lock known;

	assert_int_equal(catalog_proof_lock(f->catalog, CATALOG_MAIN_STORE, &known), 0);
	return known;
}

static bool look_at_proofs(struct fixture *f)
{
	const struct store_call call = {0};
	struct artifact_proofs_turn turn = {0};

	server.gets = 0;
	assert_int_equal(artifact_lock_proofs(&f->repo, &call, &turn, NULL), 0);
	return turn.failed;
}

static void assert_all_until(int64_t until_us)
{
	for (size_t i = 0; i < server.count; i++)
		if (str_starts(server.items[i].key, "ch"))
			assert_int_equal(server.items[i].lock.until_us, until_us);
}

/* From before there were locks, or of a time when they could not be set. */
static void those_without_a_lock_get_one(void **state)
{
	struct fixture *f = *state;

	make_proofs(f);
	use_locks(f);
	assert_false(look_at_proofs(f));
	assert_int_equal(server.count, 2);
	assert_all_until(server.now_us + 732 * DAY_US);
	assert_int_equal(known_proofs(f).count, 2);
	assert_int_equal(known_proofs(f).until_us, server.now_us + 732 * DAY_US);
}

static void nothing_is_asked_as_long_as_none_is_due(void **state)
{
	struct fixture *f = *state;
	int64_t until_us;

	use_locks(f);
	make_proofs(f);
	look_at_proofs(f);
	assert_int_equal(server.gets, 2);
	until_us = server.now_us + 732 * DAY_US;
	look_at_proofs(f);
	server.now_us += DAY_US;
	look_at_proofs(f);
	assert_int_equal(server.gets, 0);
	/* Once a month all the same. */
	server.now_us += 30 * DAY_US;
	look_at_proofs(f);
	assert_int_equal(server.gets, 2);
	assert_all_until(until_us);
	/* When half of their time is over they are locked anew. */
	server.now_us = until_us - 365 * DAY_US;
	look_at_proofs(f);
	assert_all_until(server.now_us + 732 * DAY_US);
}

static void they_outlive_what_they_are_about(void **state)
{
	struct fixture *f = *state;
	struct catalog_lock ten_years = {.mode = STORE_LOCK_GOVERNANCE};
	_cleanup(free) char *path = NULL;
	int r;

	use_locks(f);
	make_proofs(f);
	path = make_locked(f, 1, AT_US, &r);
	look_at_proofs(f);
	assert_all_until(server.now_us + 732 * DAY_US);
	ten_years.until_us = ten_years.wanted_us = server.now_us + 3000 * DAY_US;
	assert_int_equal(catalog_set_lock(f->catalog, ino_of_artifact(path), &ten_years, NULL), 0);
	look_at_proofs(f);
	assert_all_until(server.now_us + 3366 * DAY_US);
	/* A new one is from the beginning. */
	assert_int_equal(
	        checkpoint_make(&(struct checkpoint_context){.catalog = f->catalog, .store = f->store}, NULL,
	                        NULL),
	        1);
	/* The next backup of ten years changes nothing yet; and the year is over. */
	ten_years.until_us = ten_years.wanted_us += 300 * DAY_US;
	assert_int_equal(catalog_set_lock(f->catalog, ino_of_artifact(path), &ten_years, NULL), 0);
	look_at_proofs(f);
	assert_int_equal(server.gets, 0);
}

/* Extended once a month, and not every day. */
static void lock_max_bounds_them(void **state)
{
	struct fixture *f = *state;
	int64_t until_us;

	use_locks(f);
	server.most_days = 90;
	make_proofs(f);
	look_at_proofs(f);
	until_us = server.now_us + 90 * DAY_US;
	assert_all_until(until_us);
	server.now_us += 29 * DAY_US;
	look_at_proofs(f);
	assert_all_until(until_us);
	server.now_us += 2 * DAY_US;
	look_at_proofs(f);
	assert_all_until(server.now_us + 90 * DAY_US);
}

static void the_mode_that_one_has_stays(void **state)
{
	struct fixture *f = *state;

	use_locks(f);
	make_proofs(f);
	server.mode = STORE_LOCK_COMPLIANCE;
	server.now_us += 500 * DAY_US;
	look_at_proofs(f);
	assert_all_until(server.now_us + 732 * DAY_US);
	for (size_t i = 0; i < server.count; i++)
		assert_int_equal(server.items[i].lock.mode, STORE_LOCK_GOVERNANCE);
}

static void one_that_may_not_be_locked_holds_up_no_other(void **state)
{
	struct fixture *f = *state;

	make_proofs(f);
	use_locks(f);
	server.only = "checkpoints/";
	assert_false(look_at_proofs(f));
	assert_int_equal(known_proofs(f).failed, 1);
	assert_int_equal(known_proofs(f).failing_us, server.now_us);
	assert_non_null(strstr(known_proofs(f).why, "chain/000000000001.json: no right to lock"));
	assert_int_equal(lock_slot("chain/000000000001.json")->until_us, 0);
	/* The next day; since when it fails stays. */
	server.now_us += DAY_US;
	look_at_proofs(f);
	assert_int_equal(known_proofs(f).failing_us, server.now_us - DAY_US);
	server.only = NULL;
	look_at_proofs(f);
	assert_int_equal(known_proofs(f).failing_us, 0);
	assert_int_equal(lock_slot("chain/000000000001.json")->until_us, server.now_us + 732 * DAY_US);
}

static void one_that_was_put_without_a_lock_is_due(void **state)
{
	struct fixture *f = *state;

	use_locks(f);
	look_at_proofs(f);
	server.refuses_puts = true;
	make_proofs(f);
	assert_int_equal(known_proofs(f).looked_at_us, 0);
	server.refuses_puts = false;
	look_at_proofs(f);
	assert_int_equal(server.count, 2);
	assert_all_until(server.now_us + 732 * DAY_US);
}

static void a_store_that_does_not_answer_is_asked_again(void **state)
{
	struct fixture *f = *state;

	use_locks(f);
	make_proofs(f);
	server.is_down = true;
	assert_true(look_at_proofs(f));
	assert_true(known_proofs(f).failing_us > 0);
	server.is_down = false;
	assert_false(look_at_proofs(f));
	assert_int_equal(known_proofs(f).failing_us, 0);
	/* Where nothing is locked any more nothing fails. */
	server.mode = STORE_LOCK_NONE;
	look_at_proofs(f);
	assert_int_equal(server.gets, 0);
}

/* More than are looked at in one attempt. */
#define MANY 510

static int64_t lock_end_of(struct fixture *f, const char *path)
{
	struct catalog_lock lock;

	assert_int_equal(catalog_lock_of(f->catalog, ino_of_artifact(path), &lock), 0);
	return lock.until_us;
}

static void many_that_fail_hold_up_no_others(void **state)
{
	struct fixture *f = *state;
	const struct store_call call = {0};
	struct artifact_lock_turn turn = {0};
	_cleanup(free) char *last = NULL, *manifest = NULL, *stem = NULL;
	int attempts = 0, r = ARTIFACT_LOCKS_MORE;

	use_locks(f);
	server.only = "nothing";
	for (int i = 0; i < MANY; i++) {
		char *path = make_locked(f, i + 1, AT_US + i * 60 * US_PER_S, &r);

		assert_int_equal(r, -EACCES);
		if (!last || ino_of_artifact(path) > ino_of_artifact(last)) {
			free(last);
			last = path;
		} else {
			free(path);
		}
	}
	/* The one that is looked at last could be locked. */
	manifest = manifest_key(last);
	server.only = last;
	for (r = ARTIFACT_LOCKS_MORE; r == ARTIFACT_LOCKS_MORE; attempts++)
		r = artifact_settle_locks(&f->repo, &call, &turn, NULL);
	assert_int_equal(r, 0);
	assert_int_equal(attempts, 2);
	assert_true(turn.failed);
	assert_true(lock_slot(last)->until_us > 0);
	/* All of them, when they can. */
	server.only = NULL;
	turn = (struct artifact_lock_turn){0};
	for (r = ARTIFACT_LOCKS_MORE; r == ARTIFACT_LOCKS_MORE;)
		r = artifact_settle_locks(&f->repo, &call, &turn, NULL);
	assert_false(turn.failed);
	assert_true(lock_end_of(f, last) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(links_and_checkpoints_are_locked),
	        TEST(what_may_not_be_locked_is_put_all_the_same),
	        TEST(those_without_a_lock_get_one),
	        TEST(nothing_is_asked_as_long_as_none_is_due),
	        TEST(they_outlive_what_they_are_about),
	        TEST(lock_max_bounds_them),
	        TEST(the_mode_that_one_has_stays),
	        TEST(one_that_may_not_be_locked_holds_up_no_other),
	        TEST(one_that_was_put_without_a_lock_is_due),
	        TEST(a_store_that_does_not_answer_is_asked_again),
	        TEST(many_that_fail_hold_up_no_others),
	};

	return cmocka_run_group_tests_name("proof_locks", tests, NULL, NULL);
}

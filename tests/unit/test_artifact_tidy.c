// SPDX-License-Identifier: Apache-2.0
/* What a store that fails for a while leaves behind is cleared up without a hand and without a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>

#include "artifact_fixture.h"

static struct artifact_tidier *start_tidier(struct fixture *f)
{
	struct artifact_tidier *tidier;

	assert_int_equal(artifact_tidier_start(&f->repo, 1, 0, &tidier, NULL), 0);
	return tidier;
}

static void wait_until_settled(struct fixture *f)
{
	while (count_pending(f) > 0)
		sched_yield();
}

/* The store fails at each kind of call that a deletion makes, and then again when the tidier tries. */
static void a_removal_is_brought_to_its_end(void **state)
{
	static const char *const faults[] = {"list:1:eio,list:2:eio",
	                                     "remove:1:eio,remove:2:eio,remove:3:eio", "remove:2:eio",
	                                     "remove:3:eio"};
	struct fixture *f = *state;
	_cleanup(free) char *kept = make_dump(f, 3, AT_US);

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		_cleanup(free) char *path = make_dump(f, 2, AT_US + (int64_t)(i + 1) * 60 * US_PER_S);
		_cleanup(free) char *key = manifest_key(path);
		struct artifact_tidier *tidier;
		struct error err = {0};

		open_store(f, faults[i]);
		tidier = start_tidier(f);
		assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(path), NULL, &err), -EIO);
		assert_non_null(strstr(err.message, "its deletion from the store is tried again later"));
		assert_false(is_listed(f, path));
		wait_until_settled(f);
		artifact_tidier_free(tidier);
		assert_false(is_stored(f, path));
		assert_false(is_stored(f, key));
		assert_true(is_listed(f, kept));
	}
}

/* Deletions that the start could not finish do not wait for the next one. */
static void what_a_start_left_is_tried_again(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = make_dump(f, 1, AT_US), *second = make_dump(f, 2, AT_US + 60 * US_PER_S);
	struct artifact_recovery recovery = {0};
	struct artifact_tidier *tidier;

	assert_int_equal(catalog_entomb_artifact(f->catalog, ino_of_artifact(first), BY_POLICY, NULL), 0);
	open_store(f, "list:1:eio");
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.left, 1);
	tidier = start_tidier(f);
	wait_until_settled(f);
	artifact_tidier_free(tidier);
	assert_false(is_stored(f, first));
	assert_true(is_stored(f, second));
}

/* Whether a name is still free could not be asked: the draft ends there, and its intent must not stay. */
static void a_name_that_could_not_be_asked_for_is_given_up(void **state)
{
	struct fixture *f = *state;
	int64_t run_id = begin_run(f);
	_cleanup(free) char *path = reserve_for(f, run_id);
	struct artifact_tidier *tidier;

	put_text(f, path, "123");
	open_store(f, "list:1:eio,list:2:eio");
	tidier = start_tidier(f);
	assert_int_equal(artifact_check_free(&f->repo, path, NULL, NULL), -EIO);
	end_run(f, run_id, RUN_FAILED);
	wait_until_settled(f);
	artifact_tidier_free(tidier);
	assert_false(is_stored(f, path));
}

/* Another's manifest came first, and the table that we had put beside it could not be taken back. */
static void a_table_beside_anothers_manifest_goes(void **state)
{
	struct fixture *f = *state;
	int64_t run_id = begin_run(f);
	_cleanup(free) char *path = reserve_for(f, run_id), *table = manifest_extents_key(path),
	                    *key = manifest_key(path);
	_cleanup(manifest) struct manifest theirs = {0}, ours = {0};
	struct artifact_tidier *tidier;
	char sha256[SHA256_HEX_BYTES] = "";

	describe_dump(&theirs, path, 70);
	put_object_of(f, &theirs);
	put_manifest_of(f, &theirs);
	memset(sha256, 'a', SHA256_HEX_BYTES - 1);
	manifest_describe(&ours, path, run_id, "primary");
	ours.started_at_us = ours.finished_at_us = AT_US;
	manifest_put_own(&ours, 9000, 9000, sha256);
	manifest_seal(&ours);
	open_store(f, "remove:1:eio");
	tidier = start_tidier(f);
	assert_int_equal(artifact_publish(&f->repo, &ours, NULL, NULL), -EEXIST);
	assert_true(is_stored(f, table));
	end_run(f, run_id, RUN_FAILED);
	wait_until_settled(f);
	artifact_tidier_free(tidier);
	assert_true(is_stored(f, path));
	assert_true(is_stored(f, key));
	assert_false(is_stored(f, table));
	assert_false(is_listed(f, path));
}

/* An older catalog was put back: it tells of a deletion that has ended, and the name was used again since. */
static void what_was_made_anew_is_not_deleted(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = make_dump(f, 1, AT_US), *second = make_dump(f, 2, AT_US + 60 * US_PER_S);
	_cleanup(free) char *key = manifest_key(first);
	_cleanup(manifest) struct manifest anew = {0};
	struct artifact_recovery recovery = {0};
	struct artifact_comparison counts = {0};

	assert_int_equal(catalog_entomb_artifact(f->catalog, ino_of_artifact(first), BY_POLICY, NULL), 0);
	describe_dump(&anew, first, 9);
	put_manifest_of(f, &anew);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.left, 0);
	assert_int_equal(count_pending(f), 0);
	assert_true(is_stored(f, first));
	assert_true(is_stored(f, key));
	assert_int_equal(artifact_compare(&f->repo, LATER_US, NULL, &counts, NULL), 0);
	assert_int_equal(counts.adopted, 1);
	assert_true(is_listed(f, first));
	assert_true(is_listed(f, second));
}

/* A manifest that one read brings as garbage is no reason to delete what may be whole. */
static void what_cannot_be_read_is_not_deleted(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = reserve_for(f, 7), *key = manifest_key(path);
	struct artifact_recovery recovery = {0};
	_cleanup(manifest) struct manifest m = {0};

	describe_dump(&m, path, 7);
	put_object_of(f, &m);
	put_text(f, key, "garbage");
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.left, 1);
	assert_int_equal(artifact_discard(&f->repo, path, NULL), -EBADMSG);
	assert_true(is_stored(f, path));
	assert_true(is_stored(f, key));
	put_manifest_of(f, &m);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.adopted, 1);
	assert_true(is_listed(f, path));
}

/* The tidier comes by while somebody removes. */
static struct fixture *settled_at_remove;
static const struct store_ops *real_ops;

static int settle_and_remove(struct store *s, const struct store_call *call, const char *key,
                             struct error *err)
{
	struct fixture *f = settled_at_remove;
	struct artifact_recovery counts = {0};
	unsigned live = 0;

	settled_at_remove = NULL;
	if (f) {
		assert_int_equal(artifact_settle(&f->repo, NULL, &counts, &live, NULL), 0);
		assert_int_equal(counts.removed + counts.left, 0);
		assert_int_equal(count_pending(f), 1);
	}
	return real_ops->remove(s, call, key, err);
}

static void a_removal_is_one_threads(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = make_dump(f, 1, AT_US), *second = make_dump(f, 2, AT_US + 60 * US_PER_S);
	struct store_ops ops = *f->store->ops;
	struct artifact_tidier *tidier;

	assert_int_equal(artifact_tidier_start(&f->repo, INT64_C(3600000), 0, &tidier, NULL), 0);
	real_ops = f->store->ops;
	ops.remove = settle_and_remove;
	f->store->ops = &ops;
	settled_at_remove = f;
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(first), NULL, NULL), 0);
	f->store->ops = real_ops;
	assert_null(settled_at_remove);
	assert_int_equal(count_pending(f), 0);
	assert_true(artifact_removal_try(&f->repo, ino_of_artifact(first)));
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(second), NULL, NULL), -EPERM);
	assert_true(artifact_removal_try(&f->repo, ino_of_artifact(second)));
	artifact_tidier_free(tidier);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_removal_is_brought_to_its_end),
	        TEST(what_a_start_left_is_tried_again),
	        TEST(a_name_that_could_not_be_asked_for_is_given_up),
	        TEST(a_table_beside_anothers_manifest_goes),
	        TEST(a_removal_is_one_threads),
	        TEST(what_was_made_anew_is_not_deleted),
	        TEST(what_cannot_be_read_is_not_deleted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

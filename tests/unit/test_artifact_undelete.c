// SPDX-License-Identifier: Apache-2.0
/* What was removed comes back when it is asked for, as long as the store has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "artifact_fixture.h"
#include "trash_fixture.h"

#include <keepfs/catalog/holds.h>

/* A store that fails in the middle of bringing one back: it stays in the trash. */
static void a_failure_brings_none_back(void **state)
{
	struct fixture *f = *state;

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US * 2, NULL), 0);
	open_store(f, "remove:1:eio");
	assert_int_equal(artifact_undelete(&f->repo, FIRST, NULL), -EIO);
	assert_true(is_trashed(f, FIRST));
	assert_true(is_stored(f, MARK_OF));
}

static void put_late_mark(void *arg)
{
	put_mark(arg, 1, "");
}

/* Another thread was at telling the store, and came after the mark was removed. */
static void a_late_mark_is_removed_once_more(void **state)
{
	struct fixture *f = *state;

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US * 2, NULL), 0);
	catalog_listen(f->catalog, put_late_mark, f);
	assert_int_equal(artifact_undelete(&f->repo, FIRST, NULL), 0);
	catalog_listen(f->catalog, NULL, NULL);
	assert_false(is_stored(f, MARK_OF));
	lose_catalog(f);
	assert_true(is_listed(f, FIRST));
}

/* By a second host, or by hand. */
static void what_the_store_has_no_more_is_not_brought_back(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US * 2, NULL), 0);
	assert_int_equal(store_remove(f->store, NULL, "manifests/" FIRST ".json", NULL), 0);
	assert_int_equal(artifact_undelete(&f->repo, FIRST, &err), -ENOENT);
	assert_non_null(strstr(err.message, "the store has it no more"));
	assert_false(is_listed(f, FIRST));
	assert_true(is_stored(f, MARK_OF));
}

/* Everything of it, wherever the clock stands: AT_US was over when the program was built. */
static void its_time_may_be_over(void **state)
{
	struct fixture *f = *state;

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US, NULL), 0);
	assert_int_equal(artifact_undelete(&f->repo, FIRST, NULL), 0);
	assert_true(is_listed(f, FIRST));
	assert_false(is_stored(f, MARK_OF));
	lose_catalog(f);
	assert_true(is_listed(f, FIRST));
}

/* A store that lets nothing be removed: a right that is missing. */
static void what_nobody_may_delete_comes_back(void **state)
{
	struct fixture *f = *state;
	struct artifact_recovery recovery;

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US, NULL), 0);
	open_store(f, "remove:1+:denied");
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.left, 1);
	assert_int_equal(artifact_undelete(&f->repo, FIRST, NULL), 0);
	assert_true(is_listed(f, FIRST));
	/* The mark is there and says nothing, to a catalog that is made anew, too. */
	assert_true(is_stored(f, MARK_OF));
	lose_catalog(f);
	assert_true(is_listed(f, FIRST));
	/* Nor does it keep the backup from being removed anew. */
	assert_int_equal(put_away(f, FIRST, AT_US * 2, NULL), 0);
	lose_catalog(f);
	assert_true(is_trashed(f, FIRST));
}

/* The mark was made void, and then keepfs died. */
static void a_crash_in_between_brings_it_back(void **state)
{
	struct fixture *f = *state;
	struct artifact_recovery recovery;

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US, NULL), 0);
	open_store(f, "remove:1+:denied");
	assert_int_equal(artifact_trash_unmark(&f->repo, FIRST, NULL), 0);
	open_store(f, "");
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.removed, 0);
	assert_int_equal(recovery.adopted, 1);
	assert_true(is_listed(f, FIRST));
}

/* Without a trash, and the store did not answer when its deletion was to begin. */
static void what_was_not_deleted_yet_comes_back(void **state)
{
	struct fixture *f = *state;

	make_three(f);
	open_store(f, "remove:1:eio");
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(FIRST), NULL, NULL), -EIO);
	assert_false(is_listed(f, FIRST));
	assert_int_equal(artifact_undelete(&f->repo, FIRST, NULL), 0);
	assert_true(is_listed(f, FIRST));
	assert_int_equal(count_pending(f), 0);
}

/* Its deletion has begun: what is left of it is no backup. */
static void what_is_deleted_in_part_does_not(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	make_three(f);
	open_store(f, "remove:2:eio");
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(FIRST), NULL, NULL), -EIO);
	assert_true(is_stored(f, FIRST));
	assert_int_equal(artifact_undelete(&f->repo, FIRST, &err), -ENOENT);
	assert_non_null(strstr(err.message, "it was deleted for good"));
	assert_int_equal(count_pending(f), 1);
}

static void assert_refused(struct fixture *f, const char *path, const char *why)
{
	struct error err = {0};

	assert_int_equal(artifact_undelete(&f->repo, path, &err), -ENOENT);
	assert_non_null(strstr(err.message, why));
}

static void each_refusal_says_why(void **state)
{
	struct fixture *f = *state;
	struct artifact_recovery recovery;

	make_three(f);
	assert_refused(f, FIRST, "it was not removed");
	assert_refused(f, "backups/full/20991120T020000Z.dump", "no backup had this path");
	assert_int_equal(put_away(f, FIRST, AT_US, NULL), 0);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_refused(f, FIRST, "it was deleted for good");
	assert_false(is_listed(f, FIRST));
}

/* A second keepfs has given the name to another backup. */
static void another_one_of_its_name_is_not_it(void **state)
{
	struct fixture *f = *state;

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US * 2, NULL), 0);
	store_dump(f, FIRST, 99);
	assert_refused(f, FIRST, "it was deleted for good");
	assert_false(is_listed(f, FIRST));
}

static void what_is_not_whole_comes_back_as_damaged(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US * 2, NULL), 0);
	assert_int_equal(store_remove(f->store, NULL, FIRST, NULL), 0);
	assert_int_equal(artifact_undelete(&f->repo, FIRST, &err), ARTIFACT_DAMAGED);
	assert_non_null(strstr(err.message, "the object is missing"));
	assert_true(is_listed(f, FIRST));
	assert_true(catalog_is_damaged(f->catalog, ino_of_artifact(FIRST)));
	assert_false(is_stored(f, MARK_OF));
}

static void a_store_that_does_not_answer_changes_nothing(void **state)
{
	static const char *const faults[] = {"get:1:eio", "list:1:eio", "head:1:eio"};
	struct fixture *f = *state;

	make_three(f);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		assert_int_equal(put_away(f, FIRST, AT_US * 2, NULL), 0);
		open_store(f, faults[i]);
		if (artifact_undelete(&f->repo, FIRST, NULL) == 0) /* it did not ask in that way */
			continue;
		assert_true(is_trashed(f, FIRST));
		assert_true(is_stored(f, MARK_OF));
		assert_int_equal(artifact_undelete(&f->repo, FIRST, NULL), 0);
	}
}

/* Whoever deletes it has claimed it. */
static void it_waits_for_nobody_who_deletes(void **state)
{
	struct fixture *f = *state;
	struct artifact_tidier *tidier;
	struct artifact_recovery counts = {0};
	struct error err = {0};
	uint64_t ino = ino_of_artifact(FIRST);
	unsigned live;

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US, NULL), 0);
	assert_int_equal(artifact_tidier_start(&f->repo, INT64_C(3600000), 0, &tidier, NULL), 0);
	assert_true(artifact_removal_try(&f->repo, ino));
	assert_int_equal(artifact_undelete(&f->repo, FIRST, &err), -EBUSY);
	assert_non_null(strstr(err.message, "being deleted just now"));
	/* Nor does the tidier delete what somebody brings back. */
	assert_int_equal(artifact_settle(&f->repo, NULL, &counts, &live, NULL), 0);
	assert_int_equal(counts.removed, 0);
	assert_true(is_stored(f, FIRST));
	artifact_removal_end(&f->repo, ino);
	assert_int_equal(artifact_undelete(&f->repo, FIRST, &err), 0);
	assert_true(artifact_removal_try(&f->repo, ino));
	artifact_tidier_free(tidier);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_failure_brings_none_back),
	        TEST(a_late_mark_is_removed_once_more),
	        TEST(what_the_store_has_no_more_is_not_brought_back),
	        TEST(its_time_may_be_over),
	        TEST(what_nobody_may_delete_comes_back),
	        TEST(a_crash_in_between_brings_it_back),
	        TEST(what_was_not_deleted_yet_comes_back),
	        TEST(what_is_deleted_in_part_does_not),
	        TEST(each_refusal_says_why),
	        TEST(another_one_of_its_name_is_not_it),
	        TEST(what_is_not_whole_comes_back_as_damaged),
	        TEST(a_store_that_does_not_answer_changes_nothing),
	        TEST(it_waits_for_nobody_who_deletes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* What is in use stays: removal and use exclude one another, and both end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "artifact_fixture.h"

#define FIRST  "backups/full/20261120T020000Z.dump"
#define SECOND "backups/full/20261120T020100Z.dump"

static void make_some(struct fixture *f)
{
	for (int i = 0; i < 3; i++)
		free(make_dump(f, i + 1, AT_US + i * 60 * US_PER_S));
}

static int remove_first(struct fixture *f, struct error *err)
{
	return artifact_remove(&f->repo, ino_of_artifact(FIRST), NULL, err);
}

static void who_reads_it_keeps_it(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	make_some(f);
	assert_int_equal(artifact_keep(&f->repo, ino_of_artifact(FIRST), 7, "restored", &err), 0);
	assert_int_equal(remove_first(f, &err), -EBUSY);
	assert_int_equal(err.class, ERROR_CONFLICT);
	assert_string_equal(
	        err.message,
	        FIRST " is being restored by run 7, and can be removed when that has ended (jobs/7/status)");
	/* Others are nobody's business. */
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(SECOND), NULL, &err), 0);
	artifact_let_go(&f->repo, ino_of_artifact(FIRST), 7);
	assert_int_equal(remove_first(f, &err), 0);
}

static void each_use_ends_by_itself(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	uint64_t ino = ino_of_artifact(FIRST);

	make_some(f);
	assert_int_equal(artifact_keep(&f->repo, ino, 7, "restored", &err), 0);
	assert_int_equal(artifact_keep(&f->repo, ino, 7, "restored", &err), 0);
	assert_int_equal(artifact_keep(&f->repo, ino, 8, "checked", &err), 0);
	artifact_let_go(&f->repo, ino, 7);
	assert_int_equal(remove_first(f, &err), -EBUSY);
	artifact_let_go(&f->repo, ino, 7);
	assert_int_equal(remove_first(f, &err), -EBUSY);
	assert_non_null(strstr(err.message, "is being checked by run 8"));
	/* One that was not kept is left alone. */
	artifact_let_go(&f->repo, ino, 9);
	assert_int_equal(remove_first(f, &err), -EBUSY);
	artifact_let_go(&f->repo, ino, 8);
	assert_int_equal(remove_first(f, &err), 0);
}

static void what_is_being_removed_is_not_begun_with(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	uint64_t ino = ino_of_artifact(FIRST);

	make_some(f);
	assert_int_equal(artifact_claim_removal(&f->repo, ino, FIRST, &err), 0);
	assert_int_equal(artifact_keep(&f->repo, ino, 7, "restored", &err), -EBUSY);
	assert_non_null(strstr(err.message, "is being removed at this moment"));
	artifact_end_claim(&f->repo, ino);
	assert_int_equal(artifact_keep(&f->repo, ino, 7, "restored", &err), 0);
	artifact_let_go(&f->repo, ino, 7);
}

/* A removal that failed, or was refused, leaves no claim. */
static void a_refused_removal_claims_nothing(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	free(make_dump(f, 1, AT_US));
	assert_true(remove_first(f, &err) < 0); /* the last good one */
	assert_int_equal(artifact_keep(&f->repo, ino_of_artifact(FIRST), 7, "restored", &err), 0);
	artifact_let_go(&f->repo, ino_of_artifact(FIRST), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(who_reads_it_keeps_it, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(each_use_ends_by_itself, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_being_removed_is_not_begun_with, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_refused_removal_claims_nothing, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

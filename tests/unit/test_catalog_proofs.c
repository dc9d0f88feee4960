// SPDX-License-Identifier: Apache-2.0
/* What was proven of artifacts: it is kept, outlives a rebuild, and says which one is to be looked at next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/catalog/rebuild.h>

#include "catalog_fixture.h"

#define DAY_US (INT64_C(86400) * US_PER_S)

static uint64_t nth(int n)
{
	return ino_at("backups/full", (SECONDS + n) * 1000);
}

static void add_nth(struct fixture *f, int n, int64_t verified_at_us)
{
	_cleanup(manifest) struct manifest m = {0};

	fill(&m, "backups/full", (SECONDS + n) * 1000, n + 1, 10);
	m.verified_at_us = verified_at_us;
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
}

static void assert_proofs(struct fixture *f, int n, int64_t bytes, int64_t structure, int64_t restored)
{
	int64_t at_us[PROOF_LEVELS];

	assert_int_equal(catalog_proofs(f->catalog, nth(n), at_us), 0);
	assert_int_equal(at_us[PROOF_BYTES], bytes);
	assert_int_equal(at_us[PROOF_STRUCTURE], structure);
	assert_int_equal(at_us[PROOF_RESTORED], restored);
}

static void a_level_proves_those_below_it(void **state)
{
	struct fixture *f = *state;

	add_nth(f, 0, AT_US);
	assert_proofs(f, 0, AT_US, 0, 0);
	assert_int_equal(catalog_set_proof(f->catalog, nth(0), PROOF_STRUCTURE, AT_US + 5, 7, NULL, NULL), 0);
	assert_proofs(f, 0, AT_US + 5, AT_US + 5, 0);
	/* Earlier than what is known: a run that took long. */
	assert_int_equal(catalog_set_proof(f->catalog, nth(0), PROOF_EQUAL, AT_US + 3, 6, NULL, NULL), 0);
	assert_proofs(f, 0, AT_US + 5, AT_US + 5, AT_US + 3);
	assert_int_equal(catalog_set_proof(f->catalog, nth(9), PROOF_BYTES, AT_US, 1, NULL, NULL), -ENOENT);
}

static void assert_damage(struct fixture *f, const char *expected)
{
	_cleanup(free) char *damage = catalog_damage(f->catalog, nth(0));

	if (expected)
		assert_string_equal(damage, expected);
	else
		assert_null(damage);
}

static void prove_beside(struct fixture *f, enum proof_level level, const char *seen)
{
	assert_int_equal(catalog_set_proof(f->catalog, nth(0), level, AT_US + 5, 0, seen, NULL), 0);
}

static void the_store_has_its_bytes_again(void **state)
{
	struct fixture *f = *state;

	add_nth(f, 0, AT_US);
	assert_damage(f, NULL);
	assert_int_equal(catalog_mark_damaged(f->catalog, nth(0), "flipped bits", NULL), 0);
	/* Somebody has marked it while it was looked at. */
	prove_beside(f, PROOF_BYTES, NULL);
	prove_beside(f, PROOF_BYTES, "other bits");
	assert_damage(f, "flipped bits");
	assert_proofs(f, 0, AT_US, 0, 0);
	prove_beside(f, PROOF_BYTES, "flipped bits");
	assert_damage(f, NULL);
	assert_proofs(f, 0, AT_US + 5, 0, 0);
	/* That the bytes are right says nothing against what they are. */
	assert_int_equal(catalog_mark_unsound(f->catalog, nth(0), PROOF_STRUCTURE, "rows are missing", NULL),
	                 0);
	prove_beside(f, PROOF_BYTES, "rows are missing");
	assert_damage(f, "rows are missing");
	prove_beside(f, PROOF_STRUCTURE, "rows are missing");
	assert_damage(f, NULL);
	/* Nor against that its manifest is missing. */
	assert_int_equal(catalog_set_missing(f->catalog, nth(0), true, NULL), 0);
	{
		_cleanup(free) char *missing = catalog_damage(f->catalog, nth(0));

		prove_beside(f, PROOF_STRUCTURE, missing);
		assert_damage(f, missing);
	}
}

static void what_was_marked_meanwhile_stays(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *none = NULL, *seen = NULL, *left = NULL;
	_cleanup(manifest) struct manifest m = {0};
	struct catalog_entry files[3];
	uint64_t beside[2];

	fill_beside(&m, "backups/full", SECONDS * 1000, 1, 10);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	none = catalog_files_damage(f->catalog, nth(0));
	assert_null(none);
	assert_int_equal(catalog_artifact_files(f->catalog, nth(0), -1, files, 3), 2);
	for (size_t i = 0; i < 2; i++)
		beside[i] = files[i].ino;
	assert_int_equal(catalog_mark_damaged(f->catalog, beside[0], "flipped bits", NULL), 0);
	seen = catalog_files_damage(f->catalog, nth(0));
	assert_int_equal(catalog_mark_damaged(f->catalog, beside[1], "flipped bits", NULL), 0);
	prove_beside(f, PROOF_BYTES, NULL);
	assert_int_equal(catalog_mend_files(f->catalog, nth(0), seen, NULL), 0);
	assert_false(catalog_is_damaged(f->catalog, beside[0]));
	assert_true(catalog_is_damaged(f->catalog, beside[1]));
	left = catalog_files_damage(f->catalog, nth(0));
	assert_int_equal(catalog_mend_files(f->catalog, nth(0), left, NULL), 0);
	assert_false(catalog_is_damaged(f->catalog, beside[1]));
}

static void a_mark_leaves_no_proof(void **state)
{
	struct fixture *f = *state;

	add_nth(f, 0, AT_US);
	prove_beside(f, PROOF_STRUCTURE, NULL);
	assert_int_equal(catalog_mark_damaged(f->catalog, nth(0), "flipped bits", NULL), 0);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	add_nth(f, 0, AT_US);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_proofs(f, 0, AT_US, 0, 0);
}

static void assert_unproven(struct fixture *f, int64_t before_us, int64_t now_us, uint64_t count)
{
	struct catalog_unproven_sum sum;

	assert_int_equal(catalog_sum_unproven(f->catalog, before_us, now_us, &sum), 0);
	assert_int_equal(sum.count, count);
	assert_int_equal(sum.bytes, count * 10);
	assert_int_equal(sum.all_bytes, sum.all_count * 10);
}

static void a_clock_that_was_ahead_is_not_believed(void **state)
{
	struct fixture *f = *state;
	const int64_t year_us = 365 * DAY_US;

	add_nth(f, 0, AT_US);
	assert_int_equal(
	        catalog_set_proof(f->catalog, nth(0), PROOF_STRUCTURE, AT_US + year_us, 0, NULL, NULL), 0);
	assert_unproven(f, AT_US + 60 * US_PER_S, AT_US + 40 * DAY_US, 1);
	assert_int_equal(
	        catalog_set_proof(f->catalog, nth(0), PROOF_STRUCTURE, AT_US + 40 * DAY_US, 0, NULL, NULL),
	        0);
	assert_proofs(f, 0, AT_US + 40 * DAY_US, AT_US + 40 * DAY_US, 0);
	assert_unproven(f, AT_US + 60 * US_PER_S, AT_US + 40 * DAY_US, 0);
}

static void another_of_its_name_has_none_of_its_proofs(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};

	add_nth(f, 0, AT_US);
	prove_beside(f, PROOF_STRUCTURE, NULL);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	fill(&m, "backups/full", SECONDS * 1000, 9, 10);
	m.finished_at_us = AT_US + DAY_US;
	m.verified_at_us = 0;
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_proofs(f, 0, 0, 0, 0);
}

static void it_outlives_a_rebuild(void **state)
{
	struct fixture *f = *state;

	add_nth(f, 0, AT_US);
	add_nth(f, 1, AT_US);
	for (int n = 0; n < 2; n++)
		assert_int_equal(
		        catalog_set_proof(f->catalog, nth(n), PROOF_STRUCTURE, AT_US + DAY_US, 7, NULL, NULL),
		        0);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	add_nth(f, 0, AT_US);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_proofs(f, 0, AT_US + DAY_US, AT_US + DAY_US, 0);
	/* The other one is gone, and so is what was known of it. */
	add_nth(f, 1, AT_US);
	assert_proofs(f, 1, AT_US, 0, 0);
}

static void a_new_one_of_the_same_name_is_not_proven(void **state)
{
	struct fixture *f = *state;

	add_nth(f, 0, AT_US);
	assert_int_equal(
	        catalog_set_proof(f->catalog, nth(0), PROOF_STRUCTURE, AT_US + DAY_US, 7, NULL, NULL), 0);
	assert_int_equal(catalog_entomb_artifact(f->catalog, nth(0), NULL, NULL), 0);
	assert_int_equal(
	        catalog_set_proof(f->catalog, nth(0), PROOF_STRUCTURE, AT_US + DAY_US, 7, NULL, NULL),
	        -ENOENT);
	assert_int_equal(catalog_drop_artifact(f->catalog, nth(0), NULL), 0);
	add_nth(f, 0, 0);
	assert_proofs(f, 0, 0, 0, 0);
}

static void the_one_that_was_proven_longest_ago_comes_first(void **state)
{
	struct fixture *f = *state;
	struct catalog_unproven u = {.proven_at_us = -1};

	assert_int_equal(catalog_least_proven(f->catalog, &u, &u), -ENOENT);
	add_nth(f, 0, AT_US + 3);
	add_nth(f, 1, AT_US + 1);
	add_nth(f, 2, 0);
	add_nth(f, 3, AT_US + 1);
	add_nth(f, 4, AT_US);
	assert_int_equal(catalog_mark_damaged(f->catalog, nth(4), "flipped bits", NULL), 0);
	assert_int_equal(catalog_least_proven(f->catalog, &u, &u), 0);
	assert_int_equal(u.ino, nth(2));
	assert_int_equal(u.proven_at_us, 0);
	assert_string_equal(u.path, "backups/full/20261120T020002Z.dump");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(catalog_least_proven(f->catalog, &u, &u), 0);
		assert_true(u.ino == nth(1) || u.ino == nth(3));
	}
	assert_int_equal(catalog_least_proven(f->catalog, &u, &u), 0);
	assert_int_equal(u.ino, nth(0));
	assert_int_equal(catalog_least_proven(f->catalog, &u, &u), -ENOENT);
	assert_unproven(f, AT_US + 2, AT_US + DAY_US, 0); /* all were made later */
	assert_unproven(f, AT_US + 60 * US_PER_S, AT_US + DAY_US, 4);
}

static void the_nearest_good_one_is_found(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *none = NULL, *before = NULL, *after = NULL;

	add_nth(f, 2, AT_US);
	none = catalog_good_beside(f->catalog, nth(2));
	assert_null(none);
	add_nth(f, 5, AT_US);
	after = catalog_good_beside(f->catalog, nth(2));
	assert_string_equal(after, "backups/full/20261120T020005Z.dump");
	add_nth(f, 0, AT_US);
	add_nth(f, 1, AT_US);
	assert_int_equal(catalog_mark_damaged(f->catalog, nth(1), "flipped bits", NULL), 0);
	before = catalog_good_beside(f->catalog, nth(2));
	assert_string_equal(before, "backups/full/20261120T020000Z.dump");
}

static void add_of(struct fixture *f, const char *directory, int n, const char *database, const char *server)
{
	_cleanup(manifest) struct manifest m = {0};

	fill(&m, directory, (SECONDS + n) * 1000, n + 1, 10);
	manifest_set_fact(&m, "database", database);
	manifest_set_fact(&m, "system_identifier", server);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
}

/* Only when there is none beside it; and a database of the same name on another server is another one. */
static void another_job_may_have_a_good_one(void **state)
{
	struct fixture *f = *state;
	struct catalog_good_copy good;

	add_of(f, "backups/full", 2, "shop", "7");
	assert_int_equal(catalog_find_good(f->catalog, nth(2), &good), -ENOENT);
	add_of(f, "backups/others/shop", 3, "shop", "8");
	add_of(f, "backups/others/crm", 4, "crm", "7");
	assert_int_equal(catalog_find_good(f->catalog, nth(2), &good), -ENOENT);
	add_of(f, "backups/hourly/shop", 5, "shop", "7");
	add_of(f, "backups/hourly/shop", 6, "shop", "7");
	assert_int_equal(catalog_find_good(f->catalog, nth(2), &good), 0);
	assert_string_equal(good.path, "backups/hourly/shop/20261120T020006Z.dump");
	assert_string_equal(good.kind, "dump");
	assert_true(good.is_of_another_job && good.is_newer);
	assert_int_equal(good.started_at_us, AT_US + 6 * US_PER_S);
	add_of(f, "backups/full", 1, "shop", "7");
	assert_int_equal(catalog_find_good(f->catalog, nth(2), &good), 0);
	assert_string_equal(good.path, "backups/full/20261120T020001Z.dump");
	assert_false(good.is_of_another_job || good.is_newer);
}

static void append_proven(void *arg, const struct catalog_proven *p)
{
	str_appendf(arg, "%s %s %d-%d %d|", p->directory, p->name + strlen("20261120T0200"), p->level,
	            p->highest, (int)((p->at_us - AT_US) / US_PER_S));
}

static void assert_proven(struct fixture *f, const char *expected)
{
	_cleanup(str) struct str found = {0};

	assert_int_equal(catalog_each_proven(f->catalog, append_proven, &found), 0);
	assert_string_equal(str_text(&found), expected);
}

static void prove_nth(struct fixture *f, int n, enum proof_level level, int after_s)
{
	assert_int_equal(
	        catalog_set_proof(f->catalog, nth(n), level, AT_US + after_s * US_PER_S, 9, NULL, NULL), 0);
}

static void the_newest_that_was_proven_is_told(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++)
		add_nth(f, i, AT_US);
	add_of(f, "backups/other", 1, "x", "7");
	assert_proven(f, "");
	prove_nth(f, 1, PROOF_STRUCTURE, 50);
	prove_nth(f, 0, PROOF_SOUND, 70);
	assert_proven(
	        f, "backups/full 01Z.dump 0-1 50|backups/full 01Z.dump 1-1 50|backups/full 00Z.dump 2-4 70|");
	prove_nth(f, 3, PROOF_BYTES, 20);
	prove_nth(f, 2, PROOF_RESTORED, 10);
	assert_proven(
	        f, "backups/full 03Z.dump 0-0 20|backups/full 01Z.dump 1-1 50|backups/full 02Z.dump 2-2 10|");
	/* What is damaged proves nothing any more, nor does what is gone. */
	assert_int_equal(catalog_mark_damaged(f->catalog, nth(3), "flipped bits", NULL), 0);
	assert_proven(
	        f, "backups/full 01Z.dump 0-1 50|backups/full 01Z.dump 1-1 50|backups/full 02Z.dump 2-2 10|");
	/* After a rebuild it is known of which directory a proof is. */
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	add_nth(f, 0, AT_US);
	add_nth(f, 1, AT_US);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_proven(
	        f, "backups/full 01Z.dump 0-1 50|backups/full 01Z.dump 1-1 50|backups/full 00Z.dump 2-4 70|");
}

static void its_files_come_in_pages(void **state)
{
	struct fixture *f = *state;
	struct catalog_entry files[3];
	_cleanup(manifest) struct manifest directory = {0}, first = {0}, second = {0};

	fill_directory(&directory, "backups/full", (SECONDS + 1) * 1000, 1, 5);
	fill_beside(&first, "backups/full", SECONDS * 1000, 2, 10);
	fill_beside(&second, "backups/full", SECONDS * 1000 + 1, 3, 10);
	assert_int_equal(catalog_add_artifact(f->catalog, &directory, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &first, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &second, NULL), 0);
	assert_int_equal(catalog_artifact_files(f->catalog, ino_of_artifact(directory.path), -1, files, 3),
	                 3);
	assert_string_equal(files[2].name, "f2");
	assert_int_equal(catalog_artifact_files(f->catalog, ino_of_artifact(directory.path),
	                                        files[2].sequence, files, 3),
	                 2);
	assert_string_equal(files[1].name, "f4");
	assert_int_equal(catalog_artifact_files(f->catalog, ino_of_artifact(first.path), -1, files, 3), 2);
	assert_string_equal(files[0].name, "20261120T020000Z.tables.csv");
	assert_int_equal(
	        catalog_artifact_files(f->catalog, ino_of_artifact(first.path), files[1].sequence, files, 3),
	        0);
	assert_int_equal(catalog_artifact_files(f->catalog, ino_of_artifact(second.path), -1, files, 3), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(a_level_proves_those_below_it, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(the_store_has_its_bytes_again, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_was_marked_meanwhile_stays, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_mark_leaves_no_proof, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_clock_that_was_ahead_is_not_believed, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(another_of_its_name_has_none_of_its_proofs, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(it_outlives_a_rebuild, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_new_one_of_the_same_name_is_not_proven, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(the_one_that_was_proven_longest_ago_comes_first, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(the_nearest_good_one_is_found, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(another_job_may_have_a_good_one, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(the_newest_that_was_proven_is_told, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(its_files_come_in_pages, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("catalog_proofs", tests, NULL, NULL);
}

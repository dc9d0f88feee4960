// SPDX-License-Identifier: Apache-2.0
/* What reading has shown: damaged, or verified. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/name.h>

#include "catalog_fixture.h"

static void count_damaged(void *arg, uint64_t ino, const char *path, const char *reason)
{
	assert_string_equal(path, "backups/full/20261120T020000Z-2.dump");
	assert_string_equal(reason, "flipped bits");
	(*(unsigned *)arg)++;
}

static void a_damaged_one_is_not_good(void **state)
{
	struct fixture *f = *state;
	uint64_t first = ino_at("backups/full", SECONDS * 1000),
	         second = ino_at("backups/full", SECONDS * 1000 + 1);
	const struct catalog_run made = {.job = "full", .kind = "dump", .triggered_by = "test"};
	struct catalog_run run;
	int64_t id;
	struct catalog_entry latest;
	struct catalog_totals totals;
	unsigned damaged = 0;
	int64_t good_at_us;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(catalog_add_run(f->catalog, &made, &id, NULL), 0);
		assert_int_equal(catalog_finish_run(f->catalog, id, RUN_COMPLETED, NULL, NULL), 0);
	}
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_totals(f->catalog, NULL, &totals), 0);
	good_at_us = totals.newest_whole_at_us;
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 10), 0);
	assert_int_equal(catalog_mark_damaged(f->catalog, second, "flipped bits", NULL), 0);
	assert_int_equal(catalog_mark_damaged(f->catalog, second, "later", NULL), 0);
	assert_true(catalog_is_damaged(f->catalog, second));
	assert_false(catalog_is_damaged(f->catalog, first));
	assert_int_equal(catalog_run(f->catalog, 2, &run), 0);
	assert_string_equal(run.damaged, "20261120T020000Z-2.dump: flipped bits");
	assert_int_equal(catalog_run(f->catalog, 1, &run), 0);
	assert_string_equal(run.damaged, "");
	assert_int_equal(catalog_damaged(f->catalog, count_damaged, &damaged), 0);
	assert_int_equal(damaged, 1);
	/* The older one is what "latest" and the newest whole backup mean now. */
	assert_int_equal(catalog_entry_by_ino(f->catalog, first, &latest), 0);
	assert_int_equal(catalog_entry_latest(f->catalog, latest.parent_ino, ".dump", &latest), 0);
	assert_int_equal(latest.ino, first);
	assert_int_equal(catalog_totals(f->catalog, "full", &totals), 0);
	assert_int_equal(totals.newest_whole_at_us, good_at_us);
	/* The older one is the last that is good; the damaged one need not be kept. */
	assert_int_equal(catalog_entomb_artifact(f->catalog, first, BY_POLICY, NULL), -EPERM);
	assert_int_equal(catalog_mark_damaged(f->catalog, first, "too short", NULL), 0);
	assert_int_equal(catalog_totals(f->catalog, "full", &totals), 0);
	assert_int_equal(totals.newest_whole_at_us, 0);
	assert_int_equal(catalog_entry_latest(f->catalog, latest.parent_ino, ".dump", &latest), 0);
	assert_int_equal(latest.ino, second);
	assert_int_equal(catalog_entomb_artifact(f->catalog, second, BY_POLICY, NULL), 0);
	assert_int_equal(catalog_entomb_artifact(f->catalog, first, BY_POLICY, NULL), 0);
	assert_false(catalog_damaged(f->catalog, count_damaged, &damaged) < 0);
	assert_int_equal(damaged, 1);
}

static int64_t verified_at(struct fixture *f, uint64_t ino)
{
	_cleanup(manifest) struct manifest m = {0};

	assert_int_equal(catalog_manifest(f->catalog, ino, &m), 0);
	return m.verified_at_us;
}

static void reading_the_whole_verifies(void **state)
{
	struct fixture *f = *state;
	uint64_t first = ino_at("backups/full", SECONDS * 1000),
	         second = ino_at("backups/full", SECONDS * 1000 + 1);
	int64_t later = INT64_C(4000000000) * US_PER_S;

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 10), 0);
	assert_int_equal(catalog_set_verified(f->catalog, first, later, NULL), 0);
	assert_int_equal(verified_at(f, first), later);
	assert_true(verified_at(f, second) < later);
	/* Never back, never of a damaged one, and not of one that is gone. */
	assert_int_equal(catalog_set_verified(f->catalog, first, later - 1, NULL), 0);
	assert_int_equal(verified_at(f, first), later);
	assert_int_equal(catalog_mark_damaged(f->catalog, second, "flipped bits", NULL), 0);
	assert_int_equal(catalog_set_verified(f->catalog, second, later, NULL), 0);
	assert_true(verified_at(f, second) < later);
	assert_int_equal(catalog_set_verified(f->catalog, 12345, later, NULL), 0);
}

static void append_damaged(void *arg, uint64_t ino, const char *path, const char *reason)
{
	assert_int_equal(ino, ino_of_artifact(path));
	str_appendf(arg, "%s: %s;", path, reason);
}

static void a_damaged_file_damages_the_directory_it_is_in(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str seen = {0};
	uint64_t beside = ino_of_artifact("backups/full/20261120T020000Z.tables.csv"),
	         within = ino_of_artifact("backups/full/20261120T020000Z-2/f1"),
	         artifact = ino_of_artifact("backups/full/20261120T020000Z-2"),
	         main = ino_at("backups/full", SECONDS * 1000);

	assert_int_equal(add_beside(f, "backups/full", SECONDS * 1000, 10), 0);
	assert_int_equal(add_directory(f, "backups/full", SECONDS * 1000 + 1, 3), 0);
	assert_int_equal(catalog_mark_damaged(f->catalog, beside, "flipped bits", NULL), 0);
	assert_int_equal(catalog_mark_damaged(f->catalog, within, "too short", NULL), 0);
	assert_int_equal(catalog_mark_damaged(f->catalog, within, "later", NULL), 0);
	assert_true(catalog_is_damaged(f->catalog, beside));
	assert_false(catalog_is_damaged(f->catalog, main));
	assert_true(catalog_is_damaged(f->catalog, within));
	assert_true(catalog_is_damaged(f->catalog, artifact));
	assert_int_equal(catalog_damaged(f->catalog, append_damaged, &seen), 0);
	assert_string_equal(str_text(&seen), "backups/full/20261120T020000Z-2: f1: too short;"
	                                     "backups/full/20261120T020000Z.tables.csv: flipped bits;");
	/* The dump is good; the directory is not. */
	assert_int_equal(catalog_entomb_artifact(f->catalog, main, BY_POLICY, NULL), -EPERM);
	assert_int_equal(catalog_entomb_artifact(f->catalog, artifact, BY_POLICY, NULL), 0);
}

/* A catalog that was lost gives its numbers anew: what another job's backup is like is not told of this run. */
static void damage_is_of_the_run_that_made_it(void **state)
{
	struct fixture *f = *state;
	const struct catalog_run other = {.job = "media", .kind = "dump", .triggered_by = "test"};
	struct catalog_run run;
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, &other, &id, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, id, 10), 0);
	assert_int_equal(catalog_mark_damaged(f->catalog, ino_at("backups/full", SECONDS * 1000),
	                                      "flipped bits", NULL),
	                 0);
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_string_equal(run.damaged, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_damaged_one_is_not_good),
	        TEST(damage_is_of_the_run_that_made_it),
	        TEST(reading_the_whole_verifies),
	        TEST(a_damaged_file_damages_the_directory_it_is_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* A rebuild: all or nothing, with the runs that it makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/name.h>

#include "catalog_fixture.h"
#include "catalog_test.h"

static void a_rebuild_replaces_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	struct catalog_entry entry;

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 10), 0);
	/* Readers see the catalog as it was. */
	assert_int_equal(entry_of(f, ino_at("backups/full", SECONDS * 1000)).size_bytes, 10);
	assert_int_equal(catalog_end_rebuild(f->catalog, false, NULL), 0);
	directory_counts_are_true(f, "backups/full", 1);
	assert_int_equal(entry_of(f, ino_at("backups/full", SECONDS * 1000)).size_bytes, 10);

	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 10), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	directory_counts_are_true(f, "backups/full", 1);
	assert_int_equal(catalog_entry_by_ino(f->catalog, ino_at("backups/full", SECONDS * 1000), &entry),
	                 -ENOENT);
}

static void a_refused_artifact_does_not_end_a_rebuild(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};

	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	fill(&m, "backups/full", SECONDS * 1000, 1, 10);
	free(m.path);
	m.path = mem_strdup("backups/full/20261120T020000Z.tar");
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), -EEXIST);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 10), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	directory_counts_are_true(f, "backups/full", 2);
}

static void a_rebuild_gives_the_same_times(void **state)
{
	struct fixture *f = *state;
	int64_t root, tenants, acme, empty;

	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/empty", 1000, NULL), 0);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/tenants/acme", 2000, NULL), 0);
	assert_int_equal(add(f, "backups/tenants/acme", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(add(f, "backups/tenants/acme", (SECONDS + 60) * 1000, 2, 10), 0);
	root = entry_of(f, 0).mtime_us;
	tenants = entry_of(f, ino_of_directory("backups/tenants")).mtime_us;
	acme = entry_of(f, ino_of_directory("backups/tenants/acme")).mtime_us;
	empty = entry_of(f, ino_of_directory("backups/empty")).mtime_us;
	assert_int_equal(acme, AT_US + 61 * US_PER_S + 5);
	assert_int_equal(root, acme);
	assert_int_equal(empty, 1000);

	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/tenants/acme", (SECONDS + 60) * 1000, 2, 10), 0);
	assert_int_equal(add(f, "backups/tenants/acme", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_int_equal(entry_of(f, 0).mtime_us, root);
	assert_int_equal(entry_of(f, ino_of_directory("backups/tenants")).mtime_us, tenants);
	assert_int_equal(entry_of(f, ino_of_directory("backups/tenants/acme")).mtime_us, acme);
	assert_int_equal(entry_of(f, ino_of_directory("backups/empty")).mtime_us, empty);
}

static void a_rebuild_keeps_tombs(void **state)
{
	struct fixture *f = *state;
	unsigned tombs = 0;

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(
	        catalog_entomb_artifact(f->catalog, ino_at("backups/full", SECONDS * 1000), NULL, NULL), 0);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), CATALOG_ENTOMBED);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	directory_counts_are_true(f, "backups/full", 0);
	assert_int_equal(catalog_tombs(f->catalog, INT64_MAX, count_tomb, &tombs), 0);
	assert_int_equal(tombs, 1);
}

static void a_rebuild_makes_unknown_runs(void **state)
{
	struct fixture *f = *state;
	struct catalog_run run;
	int64_t known;

	assert_int_equal(catalog_add_run(f->catalog, run_of("other", "cron"), &known, NULL), 0);
	assert_int_equal(known, 1);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	assert_int_equal(add_for(f, "a", SECONDS * 1000, 1), 0); /* number 1 is another's */
	assert_int_equal(add_for(f, "a", SECONDS * 1000 + 1, 9), 0);
	assert_int_equal(add_for(f, "b", (SECONDS + 5) * 1000, 9), 0);
	assert_int_equal(add_for(f, "a", (SECONDS + 9) * 1000, 9),
	                 0); /* the same database: a number used twice */
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);

	assert_int_equal(catalog_run(f->catalog, 1, &run), 0);
	assert_string_equal(run.job, "other");
	assert_int_equal(run.state, RUN_PENDING);
	assert_int_equal(run.targets, 0);
	assert_int_equal(catalog_run(f->catalog, 9, &run), 0);
	assert_string_equal(run.job, "full");
	assert_string_equal(run.triggered_by, "uid 0 (bash)");
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_int_equal(run.targets, 2);
	assert_int_equal(run.size_bytes, 20);
	assert_string_equal(run.sha256, "");
	assert_int_equal(run.started_at_us, AT_US);
	assert_int_equal(run.finished_at_us, AT_US + 6 * US_PER_S + 5);
	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "cron"), &known, NULL), 0);
	assert_int_equal(known, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_rebuild_replaces_all_or_nothing), TEST(a_refused_artifact_does_not_end_a_rebuild),
	        TEST(a_rebuild_gives_the_same_times),    TEST(a_rebuild_keeps_tombs),
	        TEST(a_rebuild_makes_unknown_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Readers and writers at once, a full disk, the count of changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/error.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/name.h>

#include "catalog_fixture.h"

#define THREADS 24 /* more than there are connections for */

static void generation_counts_changes(void **state)
{
	struct fixture *f = *state;
	uint64_t before = catalog_generation(f->catalog);

	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/full", AT_US, NULL), 0);
	assert_int_equal(catalog_generation(f->catalog), before + 1);
	assert_int_equal(catalog_ensure_directory(f->catalog, "backups/full", AT_US, NULL), 0);
	assert_int_equal(catalog_drop_intent(f->catalog, "backups/full/20261120T020000Z.dump", NULL), 0);
	assert_int_equal(catalog_ensure_directory(f->catalog, "nowhere", AT_US, NULL), -EINVAL);
	assert_int_equal(catalog_generation(f->catalog), before + 1);
}

/* A small file system of this process's own; false where the system does not let us have one. */
static bool mount_small(const char *directory)
{
	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	/* In a chroot, "/" is no mount (EINVAL); the test unmounts in any case. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 && errno != EINVAL)
		return false;
	return mount("tmpfs", directory, "tmpfs", 0, "size=2m,mode=0700") == 0;
}

/* Write runs until it fails; a run each, as the daemon does. */
static int fill_disk(struct fixture *f, struct error *err)
{
	int r = 0;

	for (int64_t i = 0; r == 0 && i < MANY; i++) {
		_cleanup(manifest) struct manifest m = {0};

		fill(&m, "backups/full", (SECONDS + i) * 1000, i + 1, 10);
		r = catalog_add_artifact(f->catalog, &m, err);
	}
	return r;
}

static void drop_line(void *arg, const char *line)
{
}

/* More of each kind of end than there are connections for reading: one that is kept back makes this wait for
 * ever. */
static void queries_give_their_connection_back(void **state)
{
	struct fixture *f = *state;
	struct catalog_entry entry;

	assert_int_equal(add_beside(f, "backups/full", SECONDS * 1000, 10), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 1, 10), 0);
	for (int i = 0; i < THREADS; i++) {
		uint64_t directory = ino_of_directory("backups/full");

		assert_int_equal(catalog_entry_by_ino(f->catalog, 12345, &entry), -ENOENT);
		assert_int_equal(catalog_entry_latest(f->catalog, directory, ".dump", &entry), 0);
		assert_int_equal(catalog_entries(f->catalog, directory, CATALOG_ARTIFACT, -1, &entry, 1), 1);
		assert_int_equal(catalog_sums(f->catalog, directory, CATALOG_SUMS_PLAIN, drop_line, NULL), 0);
		assert_null(catalog_path(f->catalog, 12345));
	}
}

static void a_full_disk_is_told_and_survived(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	struct catalog_entry before, after;
	_cleanup(free) char *ballast = file_path(f, "ballast");
	_cleanup(fd) int fd = -1;

	catalog_free(take_ptr(&f->catalog));
	if (!mount_small(f->directory))
		skip();
	fd = open(ballast, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(posix_fallocate(fd, 0, 512 << 10), 0);
	assert_int_equal(catalog_open(f->directory, &f->catalog, NULL), 0);
	assert_int_equal(fill_disk(f, &err), -ENOSPC);
	assert_int_equal(err.class, ERROR_NO_SPACE);
	assert_non_null(strstr(err.message, f->directory));
	/* What was there is served; what failed left nothing; with room it goes on. */
	before = entry_of(f, ino_of_directory("backups/full"));
	assert_int_equal(add(f, "backups/late", SECONDS * 1000, 1, 10), -ENOSPC);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(add(f, "backups/late", SECONDS * 1000, 1, 10), 0);
	reopen(f);
	after = entry_of(f, ino_of_directory("backups/full"));
	assert_true(before.files > 0);
	assert_int_equal(after.files, before.files);
	directory_counts_are_true(f, "backups/full", after.files);
	catalog_free(take_ptr(&f->catalog));
	assert_int_equal(umount2(f->directory, MNT_DETACH), 0);
}

#define WRITES 60

struct race {
	struct fixture *f;
	_Atomic bool done;
	_Atomic unsigned finished;
};

static void read_until_done(void *arg)
{
	struct race *race = arg;
	struct catalog *c = race->f->catalog;
	uint64_t directory = ino_of_directory("backups/full"), last = 0;
	struct catalog_entry page[16], entry;

	do {
		struct catalog_totals totals;
		ssize_t n = catalog_entries(c, directory, CATALOG_ARTIFACT, -1, page, ARRAY_SIZE(page));

		assert_true(n >= 1);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(catalog_entry_by_ino(c, page[i].ino, &entry), 0);
		assert_int_equal(catalog_entry_by_ino(c, directory, &entry), 0);
		assert_true(entry.files >= last);
		last = entry.files;
		assert_int_equal(catalog_totals(c, NULL, &totals), 0);
		assert_true(totals.artifacts >= last);
	} while (!race->done);
	race->finished++;
}

static void readers_and_a_writer_do_not_disturb(void **state)
{
	struct race race = {.f = *state};
	struct workers *workers;

	assert_int_equal(add(race.f, "backups/full", SECONDS * 1000, 1, 10), 0);
	workers = workers_new("reader", THREADS);
	assert_non_null(workers);
	for (int i = 0; i < THREADS; i++)
		workers_add(workers, read_until_done, &race);
	for (int i = 1; i <= WRITES; i++)
		assert_int_equal(add(race.f, "backups/full", SECONDS * 1000 + i, i, 10), 0);
	race.done = true;
	workers_free(workers);
	assert_int_equal(race.finished, THREADS);
	directory_counts_are_true(race.f, "backups/full", WRITES + 1);
}

static void write_some(void *arg)
{
	struct race *race = arg;
	int64_t number = 1000 * (int64_t)(++race->finished);

	for (int i = 0; i < 10; i++)
		assert_int_equal(add(race->f, "backups/full", SECONDS * 1000 + number + i, 1, 10), 0);
}

static void writers_wait_for_each_other_and_for_a_rebuild(void **state)
{
	struct race race = {.f = *state};
	struct workers *workers = workers_new("writer", 4);

	assert_non_null(workers);
	assert_int_equal(catalog_begin_rebuild(race.f->catalog, NULL), 0);
	for (int i = 0; i < 4; i++)
		workers_add(workers, write_some, &race);
	for (int i = 0; i < 10; i++)
		assert_int_equal(add(race.f, "backups/full", SECONDS * 1000 + i, 1, 10), 0);
	assert_int_equal(catalog_end_rebuild(race.f->catalog, false, NULL), 0);
	workers_free(workers);
	directory_counts_are_true(race.f, "backups/full", 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(generation_counts_changes),
	        TEST(queries_give_their_connection_back),
	        TEST(a_full_disk_is_told_and_survived),
	        TEST(readers_and_a_writer_do_not_disturb),
	        TEST(writers_wait_for_each_other_and_for_a_rebuild),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

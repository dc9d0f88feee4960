// SPDX-License-Identifier: Apache-2.0
/* The dir: driver where the file system lacks something (tests/support/foreign.c makes it so): what is weaker is
 * told, and what cannot be replaced is refused. That all else holds, the contract's suite shows. */
#include "../../src/store/dir/dir.h"
#include "store_test.h"

#include <keepfs/base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static struct store *open_without(const char *lacks)
{
	struct error err = {0};
	struct store *s = NULL;

	setenv("KEEPFS_TEST_FOREIGN", lacks, 1);
	if (store_dir_new(root, &s, &err) < 0)
		fail_msg("%s", err.message);
	return s;
}

static int foreign_teardown(void **state)
{
	unsetenv("KEEPFS_TEST_FOREIGN");
	return root_teardown(state);
}

static struct store_features features_of(struct store *s)
{
	struct store_features features = {0};
	struct error err = {0};

	if (store_features(s, &features, &err) < 0)
		fail_msg("%s", err.message);
	return features;
}

static void nothing_is_told_of_a_good_place(void **state)
{
	_cleanup(store) struct store *s = open_without("");

	assert_int_equal(put(s, "d/k", "one", true), 0);
	assert_string_equal(features_of(s).weaker, "");
	assert_true(features_of(s).atomic_absent);
}

static void a_place_without_links_creates_exclusively(void **state)
{
	_cleanup(store) struct store *s = open_without("links");

	assert_int_equal(put(s, "d/k", "one", true), 0);
	assert_int_equal(put(s, "d/k", "two", true), STORE_EXISTS);
	expect(s, "d/k", "one");
	assert_true(dir_store_of(s)->lacks & DIR_LACKS_LINKS);
	assert_true(features_of(s).atomic_absent);
	assert_string_equal(features_of(s).weaker, "");
}

static void a_place_that_only_renames_says_so(void **state)
{
	_cleanup(store) struct store *s = open_without("links,noreplace");

	assert_int_equal(put(s, "d/k", "one", true), 0);
	assert_int_equal(put(s, "d/k", "two", true), STORE_EXISTS);
	expect(s, "d/k", "one");
	assert_int_equal(put(s, "d/k", "three", false), 0);
	expect(s, "d/k", "three");
	assert_false(features_of(s).atomic_absent);
}

static void directories_are_synced_with_all_else(void **state)
{
	_cleanup(store) struct store *s = open_without("dirsync");

	assert_int_equal(put(s, "d/k", "one", true), 0);
	assert_int_equal(dir_store_of(s)->lacks & (DIR_LACKS_DIR_SYNC | DIR_LACKS_SYNC), DIR_LACKS_DIR_SYNC);
	assert_string_equal(features_of(s).weaker, "");
}

static void directories_that_nothing_syncs_are_told_of(void **state)
{
	_cleanup(free) char *made = mem_printf("%s/made", root);
	_cleanup(store) struct store *s = NULL;
	struct error err = {0};

	setenv("KEEPFS_TEST_FOREIGN", "dirsync,sync", 1);
	assert_int_equal(store_dir_new(made, &s, &err), 0); /* its parent cannot be synced either */
	assert_int_equal(put(s, "d/k", "one", true), 0);
	assert_string_equal(
	        features_of(s).weaker,
	        "directories cannot be synced: after a power failure the newest backups may be missing");
}

/* What was not written to the disk must not be listed. */
static void a_file_that_cannot_be_synced_is_refused(void **state)
{
	_cleanup(store) struct store *s = open_without("filesync");
	struct store_object object;
	struct error err = {0};

	assert_int_equal(store_put_bytes(s, NULL, "k", "x", 1, NULL, &err), -EINVAL);
	assert_int_equal(err.class, ERROR_USAGE);
	assert_non_null(strstr(err.message, "cannot write k: the file system of "));
	assert_non_null(strstr(err.message, "refuses what a store needs (Invalid argument)"));
	assert_int_equal(store_head(s, NULL, "k", &object, NULL), -ENOENT);
}

#define LEFT ".keepfs/tmp/00000000000000000000000000000001"

static void make_left(int64_t age_s)
{
	_cleanup(free) char *path = mem_printf("%s/" LEFT, root);
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - age_s}};
	_cleanup(fd) int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(futimens(fd, times), 0);
}

static bool is_left(void)
{
	_cleanup(free) char *path = mem_printf("%s/" LEFT, root);

	return access(path, F_OK) == 0;
}

static void without_locks_only_old_leftovers_are_swept(void **state)
{
	_cleanup(store) struct store *s = open_without("locks,links");

	assert_int_equal(put(s, "k", "one", true), 0);
	assert_string_equal(
	        features_of(s).weaker,
	        "files cannot be locked: what a crash leaves is removed after a day, not at the next start");
	make_left(3600);
	store_free(open_without("locks"));
	assert_true(is_left());
	make_left(25 * 3600);
	store_free(open_without("locks"));
	assert_false(is_left());
}

/* vfat gives a file another number when it has forgotten the old one: its object is the same all the same. */
static void an_object_outlives_its_inode_number(void **state)
{
	_cleanup(store) struct store *s = open_without("inodes,links");
	struct store_object before, after;

	assert_int_equal(put(s, "d/k", "one", true), 0);
	assert_int_equal(store_head(s, NULL, "d/k", &before, NULL), 0);
	assert_int_equal(store_head(s, NULL, "d/k", &after, NULL), 0);
	assert_string_equal(before.etag, after.etag);
	for (int i = 0; i < 3; i++) { /* faster than the clock of files */
		assert_int_equal(put(s, "d/k", i % 2 ? "one" : "two", false), 0);
		assert_int_equal(store_head(s, NULL, "d/k", &after, NULL), 0);
		assert_string_not_equal(before.etag, after.etag);
		before = after;
	}
	assert_string_equal(features_of(s).weaker, "no file can be larger than 4 GiB");
}

static void others_who_can_read_are_told_of(void **state)
{
	_cleanup(free) char *tmp = mem_printf("%s/.keepfs/tmp", root);

	store_free(open_without(""));
	assert_int_equal(chmod(tmp, 0755), 0); /* as a mount with umask=022 shows it */
	{
		_cleanup(store) struct store *s = open_without("");

		assert_string_equal(
		        features_of(s).weaker,
		        "other users may read what is there, as the file system is mounted (umask, file_mode, dir_mode)");
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, root_setup, foreign_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(nothing_is_told_of_a_good_place),
	        TEST(a_place_without_links_creates_exclusively),
	        TEST(a_place_that_only_renames_says_so),
	        TEST(directories_are_synced_with_all_else),
	        TEST(directories_that_nothing_syncs_are_told_of),
	        TEST(a_file_that_cannot_be_synced_is_refused),
	        TEST(without_locks_only_old_leftovers_are_swept),
	        TEST(an_object_outlives_its_inode_number),
	        TEST(others_who_can_read_are_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

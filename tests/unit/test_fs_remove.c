// SPDX-License-Identifier: Apache-2.0
/* rm and rmdir. */
#include "fs_test.h"

static void what_cannot_be_removed_says_what_can(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *why = NULL;

	add_some(f);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full", TABLES), -EPERM);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full/" TREE, "toc.dat"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full/" TREE, "3456.dat.gz"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full", "latest"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_RMDIR, "backups", "full"), -EPERM);
	why = last_error(f);
	assert_string_equal(
	        why,
	        "EPERM backups/full: only backups can be removed: this directory is made by keepfs itself\n"
	        "EPERM backups/full/latest: only backups can be removed: this file is made by keepfs itself\n"
	        "EPERM backups/full/" TREE
	        ": its files are one backup and go together; remove the directory itself: rm -r " TREE
	        " (2 times)\n"
	        "EPERM backups/full/" TABLES
	        ": it belongs to a backup and goes with it; remove that one: rm " DUMP "\n");
	assert_int_equal(try_remove(f, FUSE_RMDIR, "backups/full", DUMP), -ENOTDIR);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full", TREE), -EISDIR);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full", "nothing"), -ENOENT);
	assert_lists(f, "backups/full/" TREE, "./ ../ toc.dat 3456.dat.gz SHA256SUMS ");
}

static void rm_takes_along_what_lies_beside(void **state)
{
	struct fixture *f = *state;

	add_some(f);
	assert_int_equal(try_remove(f, FUSE_UNLINK, "backups/full", DUMP), 0);
	/* By the names of what is encrypted, too. */
#define BOTH(name) name "\n" name ".age\n"
	assert_string_equal(told(f), BOTH("links/" DUMP) BOTH("links/" TABLES) BOTH("links/" GLOBALS)
	                                     BOTH(DUMP) BOTH(TABLES) BOTH(GLOBALS));
	assert_lists(f, "backups/full", "./ ../ SHA256SUMS latest " TREE "/ " SCHEMA " ");
}

static void rmdir_takes_a_directory_whole(void **state)
{
	struct fixture *f = *state;
	uint64_t inside;
	struct node node;

	add_some(f);
	add(f, "full/" NEWER, false, NULL);
	inside = ino_at(f, "backups/full/" TREE "/toc.dat");
	assert_int_equal(try_remove(f, FUSE_RMDIR, "backups/full", TREE), 0);
	assert_string_equal(told(f), BOTH("links/" TREE) BOTH(TREE));
	assert_int_equal(find(f, "backups/full/" TREE, &node), -ENOENT);
	assert_int_equal(node_load(f->fs, inside, &node), -ENOENT);
	assert_int_equal(stat_at(f, "backups/full").st_nlink, 2);
	assert_lists(f, "backups/full",
	             "./ ../ SHA256SUMS latest.dump " DUMP " " SCHEMA " " NEWER " " TABLES " " GLOBALS " ");
}

static void the_last_one_stays(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *why = NULL;

	add(f, "full/" TREE, false, tree_files);
	add(f, "full/" SCHEMA, true, NULL);
	assert_int_equal(try_remove(f, FUSE_RMDIR, "backups/full", TREE), -EPERM);
	assert_string_equal(told(f), ""); /* nothing has changed */
	why = last_error(f);
	assert_true(str_starts(why, "EPERM backups/full/" TREE));
	assert_lists(f, "backups/full/" TREE, "./ ../ toc.dat 3456.dat.gz SHA256SUMS ");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        TREE_TEST(what_cannot_be_removed_says_what_can),
	        TREE_TEST(rm_takes_along_what_lies_beside),
	        TREE_TEST(rmdir_takes_a_directory_whole),
	        TREE_TEST(the_last_one_stays),
	};

	return cmocka_run_group_tests_name("fs_remove", tests, NULL, NULL);
}

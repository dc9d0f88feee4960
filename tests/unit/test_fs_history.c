// SPDX-License-Identifier: Apache-2.0
/*
 * history/ over a real catalog. What a backup's .tables.csv says is made up: this program has a use_counting_read() of its own, and counts how
 * often it is asked.
 */
#include "fs_test.h"

#include "../../src/fs/history.h"

#include <keepfs/catalog/artifacts.h>
#include <keepfs/use/counted.h>

#define ORDERS "history/full/public.orders"
#define FIRST  "20261120T020000Z"
#define DAYS   8

/* What the store says in this test: rows of public.orders on each day; 0: the table is not there; -1: nothing was counted. */
static struct made_up {
	int rows[DAYS];
	int result; /* of the next reads; 0: what the rows say */
	enum error_class error;
	bool is_torn; /* the file ends within a line */
	unsigned reads;
} lib;

static int day_of(const char *path)
{
	int day = -1;

	assert_int_equal(sscanf(strstr(path, "202611"), "202611%2d", &day), 1);
	return day - 20;
}

int use_counting_read(struct use_counting *c, const struct make_context *ctx, const char *path,
                      struct cancel *cancel, struct error *err)
{
	int rows = lib.rows[day_of(path)];
	_cleanup(free) char *text = NULL;

	lib.reads++;
	if (lib.result < 0)
		return error_set(err, lib.error, -lib.result, "made up: the store does not give it");
	if (rows < 0)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "%s has no .tables.csv", path);
	text = mem_printf(
	        "schema,table,rows,bytes,hash\npublic,\"a/b\",1,2,0000000000000001\n%s%d,%d,%016x%s",
	        rows > 0 ? "public,orders," : "public,others,", rows, rows * 10, (unsigned)rows,
	        lib.is_torn ? "" : "\n");
	return use_counting_feed(c, text, strlen(text), err);
}

static void add_day(struct fixture *f, int day, int rows, bool partial)
{
	_cleanup(free) char *name = mem_printf("full/202611%02dT020000Z.dump", 20 + day);

	lib.rows[day] = rows;
	add(f, name, partial, NULL);
}

static int set_up_history(void **state)
{
	struct fixture *f;

	lib = (struct made_up){0};
	set_up(state);
	f = *state;
	f->fs->ctx.make = (struct make_context *)f; /* nobody looks into it here */
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_history, tear_down)

static char *target_of(struct fixture *f, const char *path)
{
	static char answer[MESSAGE_BYTES];
	ssize_t n = ask(f, FUSE_READLINK, ino_at(f, path), "", 0, answer);

	assert_true(n > 0);
	return mem_printf("%.*s", (int)n, answer);
}

static void assert_target(struct fixture *f, const char *path, const char *target)
{
	_cleanup(free) char *found = target_of(f, path);

	assert_string_equal(found, target);
	assert_int_equal(stat_at(f, path).st_size, strlen(target));
	assert_int_equal(stat_at(f, path).st_mode, S_IFLNK | 0777);
}

/* One that stays, changes, changes back, goes and comes again. */
static void each_change_is_a_version(void **state)
{
	static const int rows[] = {3, 3, 4, 3, 0, 0, -1, 3};
	struct fixture *f = *state;
	struct node node;

	for (int day = 0; day < DAYS; day++)
		add_day(f, day, rows[day], false);
	assert_int_equal(find(f, ORDERS, &node), 0);
	assert_int_equal(lib.reads, DAYS);
	assert_lists(f, ORDERS,
	             "./ ../ " FIRST ".tsv 20261122T020000Z.tsv 20261123T020000Z.tsv 20261127T020000Z.tsv ");
	assert_target(f, ORDERS "/" FIRST ".tsv", "../../../inside/full/" FIRST "/tables/public.orders.tsv");
	assert_target(f, ORDERS "/20261127T020000Z.tsv",
	              "../../../inside/full/20261127T020000Z/tables/public.orders.tsv");
	assert_int_equal(find(f, ORDERS "/20261121T020000Z.tsv", &node), -ENOENT);
	assert_int_equal(find(f, ORDERS "/" FIRST, &node), -ENOENT);
	assert_int_equal(find(f, ORDERS "/" FIRST ".dump.tsv", &node), -ENOENT);
	assert_int_equal(find(f, ORDERS "/.tsv", &node), -ENOENT);
	/* To look again costs nothing, and a new backup one reading. */
	assert_int_equal(lib.reads, DAYS);
}

static void only_what_is_new_is_read(void **state)
{
	struct fixture *f = *state;

	add_day(f, 0, 3, false);
	assert_lists(f, ORDERS, "./ ../ " FIRST ".tsv ");
	assert_int_equal(lib.reads, 1);
	add_day(f, 1, 4, false);
	assert_lists(f, ORDERS, "./ ../ " FIRST ".tsv 20261121T020000Z.tsv ");
	assert_int_equal(lib.reads, 2);
}

static void a_removed_backup(void **state)
{
	struct fixture *f = *state;
	struct node node;
	uint64_t ino;

	add_day(f, 0, 3, false);
	add_day(f, 1, 3, false);
	add_day(f, 2, 4, false);
	assert_lists(f, ORDERS, "./ ../ " FIRST ".tsv 20261122T020000Z.tsv ");
	ino = ino_at(f, ORDERS "/" FIRST ".tsv");
	assert_int_equal(catalog_entomb_artifact(f->catalog, ino_at(f, "backups/full/" DUMP), NULL, NULL), 0);
	assert_lists(f, ORDERS, "./ ../ 20261121T020000Z.tsv 20261122T020000Z.tsv ");
	assert_int_equal(find(f, ORDERS "/" FIRST ".tsv", &node), -ENOENT);
	assert_int_equal(node_load(f->fs, ino, &node), -ENOENT);
	assert_int_equal(lib.reads, 3);
}

static void a_part_of_a_database_says_nothing_of_the_rest(void **state)
{
	struct fixture *f = *state;

	add_day(f, 0, 3, false);
	add_day(f, 1, 0, true);
	add_day(f, 2, 3, false);
	add_day(f, 3, 5, true);
	assert_lists(f, ORDERS, "./ ../ " FIRST ".tsv 20261123T020000Z.tsv ");
}

static void what_cannot_be_read_is_passed_over_and_told(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *told_of = NULL;

	add_day(f, 1, 4, false);
	assert_lists(f, ORDERS, "./ ../ 20261121T020000Z.tsv ");
	add_day(f, 2, 5, false);
	lib.is_torn = true;
	assert_lists(f, ORDERS, "./ ../ 20261121T020000Z.tsv ");
	told_of = last_error(f);
	assert_non_null(strstr(told_of, "backups/full/20261122T020000Z.dump"));
	/* Its bytes are what was sent: that they mean nothing damages no backup. */
	assert_false(catalog_is_damaged(f->catalog, ino_at(f, "backups/full/20261122T020000Z.dump")));
	/* It is not read again. */
	assert_int_equal(lib.reads, 2);
	assert_lists(f, ORDERS, "./ ../ 20261121T020000Z.tsv ");
	assert_int_equal(lib.reads, 2);
}

static void a_store_that_does_not_answer(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *told_of = NULL;
	struct node node;

	add_day(f, 0, 3, false);
	lib.result = -ETIMEDOUT;
	lib.error = ERROR_UNAVAILABLE;
	assert_int_equal(find(f, ORDERS, &node), -EIO);
	told_of = last_error(f);
	assert_non_null(strstr(told_of, "made up: the store does not give it"));
	assert_false(catalog_is_damaged(f->catalog, ino_at(f, "backups/full/" DUMP)));
	lib.error = ERROR_CANCELLED;
	lib.result = -ECANCELED;
	assert_int_equal(find(f, ORDERS, &node), -ECANCELED);
	/* What failed is not kept. */
	lib.result = 0;
	assert_lists(f, ORDERS, "./ ../ " FIRST ".tsv ");
}

static void names(void **state)
{
	static const char *const no_tables[] = {
	        "orders",          ".git",       "public.",           ".orders",
	        "public.order%73", "public.a/b", "public.orders.tsv", FIRST};
	static const char *const not_there[] = {"public.nobody", "public.%~0123456789ABCDEF"};
	struct fixture *f = *state;
	struct node node;
	unsigned reads;

	add_day(f, 0, 3, false);
	assert_target(f, "history/full/public.a%2Fb/" FIRST ".tsv",
	              "../../../inside/full/" FIRST "/tables/public.a%2Fb.tsv");
	for (size_t i = 0; i < ARRAY_SIZE(not_there); i++) {
		_cleanup(free) char *path = mem_printf("history/full/%s", not_there[i]);

		assert_int_equal(find(f, path, &node), -ENOENT);
		reads = lib.reads;
		assert_int_equal(find(f, path, &node), -ENOENT);
		assert_int_equal(lib.reads, reads);
	}
	for (size_t i = 0; i < ARRAY_SIZE(no_tables); i++) {
		_cleanup(free) char *path = mem_printf("history/full/%s", no_tables[i]);

		if (!strchr(no_tables[i], '/'))
			assert_int_equal(find(f, path, &node), -ENOENT);
		assert_int_equal(lib.reads, reads);
	}
	assert_int_equal(find(f, "history/nobody", &node), -ENOENT);
}

/* Numbers are all different, have their region for themselves, and lead back. */
static void numbers(void **state)
{
	static const char *const paths[] = {"history",
	                                    "history/full",
	                                    "history/tenants",
	                                    "history/tenants/acme",
	                                    ORDERS,
	                                    "history/full/public.a%2Fb",
	                                    "history/tenants/acme/public.orders",
	                                    ORDERS "/" FIRST ".tsv",
	                                    "history/full/public.a%2Fb/" FIRST ".tsv",
	                                    "history/tenants/acme/public.orders/" FIRST ".tsv"};
	struct fixture *f = *state;
	struct node node, parent;

	add_day(f, 0, 3, false);
	add(f, "tenants/acme/" DUMP, false, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		uint64_t ino = ino_at(f, paths[i]);
		_cleanup(free) char *path = NULL;

		for (size_t j = 0; j < i; j++)
			assert_true(ino != ino_at(f, paths[j]));
		assert_true(i == 0 ? ino == INO_HISTORY : ino >> 58 == 7);
		assert_int_equal(node_load(f->fs, ino, &node), 0);
		assert_true(node.ino == ino);
		path = node_path(f->fs, &node);
		assert_string_equal(path, paths[i]);
		if (node_is_directory(&node) && i > 0) {
			assert_int_equal(node_load(f->fs, node_parent(&node), &parent), 0);
			assert_true(node_is_directory(&parent));
		}
	}
	assert_int_equal(find(f, "history/tenants/acme/public.orders", &node), 0);
	assert_true(node_parent(&node) == ino_at(f, "history/tenants/acme"));
	assert_lists(f, "history", "./ ../ full/ tenants/ ");
	assert_lists(f, "history/tenants", "./ ../ acme/ ");
	assert_target(f, "history/tenants/acme/public.orders/" FIRST ".tsv",
	              "../../../../inside/tenants/acme/" FIRST "/tables/public.orders.tsv");
	assert_int_equal(node_load(f->fs, UINT64_C(7) << 58 | 4711, &node), -ENOENT);
	assert_int_equal(node_load(f->fs, UINT64_C(7) << 58 | UINT64_C(1) << 57 | 4711, &node), -ENOENT);
	assert_int_equal(node_load(f->fs, UINT64_C(7) << 58 | UINT64_C(1) << 56 | 4711, &node), -ENOENT);
	assert_int_equal(stat_at(f, ORDERS).st_mode, S_IFDIR | 0550);
}

static void nothing_can_be_removed(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *told_of = NULL;

	add_day(f, 0, 3, false);
	assert_lists(f, ORDERS, "./ ../ " FIRST ".tsv ");
	assert_int_equal(try_remove(f, FUSE_UNLINK, ORDERS, FIRST ".tsv"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_RMDIR, "history/full", "public.orders"), -EPERM);
	assert_int_equal(try_remove(f, FUSE_RMDIR, "history", "full"), -EPERM);
	told_of = last_error(f);
	assert_non_null(strstr(told_of, ORDERS "/" FIRST ".tsv"));
	assert_non_null(
	        strstr(told_of, "history/ only shows what is in the backups: remove them in backups/"));
	assert_lists(f, ORDERS, "./ ../ " FIRST ".tsv ");
}

static void many_versions_come_in_pages(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *small = NULL, *large = NULL;

	for (int day = 0; day < DAYS; day++)
		add_day(f, day, day + 1, false);
	small = list(f, ORDERS, 200, true);
	large = list(f, ORDERS, 4096, false);
	assert_string_equal(small, large);
	assert_non_null(strstr(large, "20261127T020000Z.tsv "));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        TEST(each_change_is_a_version),
	        TEST(only_what_is_new_is_read),
	        TEST(a_removed_backup),
	        TEST(a_part_of_a_database_says_nothing_of_the_rest),
	        TEST(what_cannot_be_read_is_passed_over_and_told),
	        TEST(a_store_that_does_not_answer),
	        TEST(names),
	        TEST(numbers),
	        TEST(nothing_can_be_removed),
	        TEST(many_versions_come_in_pages),
	};

	return cmocka_run_group_tests_name("fs_history", tests, NULL, NULL);
}

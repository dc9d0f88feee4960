// SPDX-License-Identifier: Apache-2.0
/* Tables whose versions were looked at, and what is remembered of them for each dump. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include <keepfs/catalog/history.h>
#include <keepfs/catalog/rebuild.h>

#include "../../src/catalog/access.h"
#include "catalog_fixture.h"

/* The @n-th second's dump; @finished_us tells it from another of that name. */
static uint64_t add_dump_at(struct fixture *f, int n, bool partial, const char *file, int64_t finished_us)
{
	_cleanup(manifest) struct manifest m = {0};
	char sha256[SHA256_HEX_BYTES];

	begin_at(&m, "backups/full", (SECONDS + n) * 1000, ".dump", 7);
	m.finished_at_us = finished_us;
	m.partial = partial;
	str_copy(sha256, sizeof(sha256), m.sha256);
	manifest_put_own(&m, 10, 1, sha256);
	if (file)
		manifest_put_file(&m, file, 10, 1, sha256);
	manifest_seal(&m);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	return ino_of_artifact(m.path);
}

static uint64_t add_dump(struct fixture *f, int n)
{
	return add_dump_at(f, n, false, NULL, AT_US);
}

static struct catalog_history_table add_history(struct fixture *f, uint64_t ino, const char *name)
{
	struct catalog_history_table table = {.ino = ino, .directory_ino = ino_of_directory("backups/full")};

	str_copy(table.name, sizeof(table.name), name);
	assert_int_equal(catalog_history_add(f->catalog, &table, NULL), 0);
	return table;
}

static void put(struct fixture *f, const struct catalog_history_table *table, uint64_t ino, uint64_t dump_ino,
                uint64_t rows)
{
	struct catalog_history_count count = {.ino = ino,
	                                      .state = CATALOG_HISTORY_THERE,
	                                      .rows = rows,
	                                      .bytes = 10 * rows,
	                                      .hash = UINT64_MAX - rows};

	assert_int_equal(catalog_entry_by_ino(f->catalog, dump_ino, &count.dump), 0);
	assert_int_equal(catalog_history_put(f->catalog, table, &count, 1, NULL), 0);
}

static uint64_t lacking(struct fixture *f, const struct catalog_history_table *table)
{
	struct catalog_entry entry;
	int r = catalog_history_lacking(f->catalog, table, &entry);

	assert_true(r == 0 || r == -ENOENT);
	return r == 0 ? entry.ino : 0;
}

static ssize_t count_all(struct fixture *f, const struct catalog_history_table *table)
{
	struct catalog_history_count counts[8];

	return catalog_history_counts(f->catalog, table, -1, counts, 8);
}

static void a_table_is_remembered(void **state)
{
	struct fixture *f = *state;
	struct catalog_history_table a, b, found;

	add_dump(f, 0);
	a = add_history(f, 5, "public.a");
	b = add_history(f, 6, "public.b\xff");
	assert_int_equal(add_history(f, 5, "public.a").number, a.number);
	assert_true(a.number != b.number);
	reopen(f);
	assert_int_equal(catalog_history_table(f->catalog, 6, &found), 0);
	assert_true(found.number == b.number && found.ino == 6 && found.directory_ino == b.directory_ino);
	assert_string_equal(found.name, "public.b\xff");
	assert_int_equal(catalog_history_table(f->catalog, 7, &found), -ENOENT);
}

static void what_is_lacking_comes_newest_first(void **state)
{
	struct fixture *f = *state;
	struct catalog_history_count counts[4];
	uint64_t a = add_dump(f, 0), b = add_dump_at(f, 1, true, NULL, AT_US), c = add_dump(f, 2), generation;
	struct catalog_history_table table = add_history(f, 5, "public.a"),
	                             other = add_history(f, 6, "public.b");
	struct catalog_entry dump;

	generation = catalog_rest_generation(f->catalog);
	assert_true(lacking(f, &table) == c);
	put(f, &table, 100, c, 3);
	assert_true(lacking(f, &table) == b);
	put(f, &table, 101, b, 2);
	put(f, &table, 102, a, 1);
	assert_true(lacking(f, &table) == 0);
	assert_true(lacking(f, &other) == c);
	assert_int_equal(catalog_history_counts(f->catalog, &table, -1, counts, 4), 3);
	assert_true(counts[0].dump.ino == a && counts[1].dump.ino == b && counts[2].dump.ino == c);
	assert_true(counts[2].ino == 100 && counts[2].rows == 3 && counts[2].bytes == 30 &&
	            counts[2].hash == UINT64_MAX - 3);
	assert_true(counts[1].is_partial && !counts[2].is_partial);
	assert_string_equal(counts[0].dump.name, "20261120T020000Z.dump");
	assert_int_equal(catalog_history_counts(f->catalog, &table, counts[0].dump.sequence, counts, 1), 1);
	assert_true(counts[0].dump.ino == b);
	assert_int_equal(catalog_history_link(f->catalog, 101, &other, &dump), 0);
	assert_true(other.number == table.number && dump.ino == b);
	assert_int_equal(catalog_history_link(f->catalog, 99, &other, &dump), -ENOENT);
	/* Nobody makes a text or a copy anew for it. */
	assert_int_equal(catalog_rest_generation(f->catalog), generation);
}

static void a_removed_dump_is_not_seen(void **state)
{
	struct fixture *f = *state;
	uint64_t a = add_dump(f, 0);
	struct catalog_history_table table = add_history(f, 5, "public.a"), found;
	struct catalog_entry dump;

	put(f, &table, 100, a, 1);
	assert_int_equal(count_all(f, &table), 1);
	assert_int_equal(catalog_entomb_artifact(f->catalog, a, NULL, NULL), 0);
	assert_int_equal(count_all(f, &table), 0);
	assert_int_equal(catalog_history_link(f->catalog, 100, &found, &dump), -ENOENT);
	assert_int_equal(catalog_drop_artifact(f->catalog, a, NULL), 0);
	/* Another one of that name. */
	add_dump_at(f, 0, false, NULL, AT_US + 1);
	assert_int_equal(count_all(f, &table), 0);
	assert_true(lacking(f, &table) == a);
	put(f, &table, 100, a, 2);
	assert_int_equal(count_all(f, &table), 1);
}

static int64_t ask_count(struct fixture *f, const char *sql)
{
	_cleanup(query) struct query query = query_begin(f->catalog, sql, NULL, 0);

	assert_int_equal(query_one(&query), 0);
	return sqlite3_column_int64(query.row, 0);
}

static void a_rebuild_keeps_it(void **state)
{
	struct fixture *f = *state;
	uint64_t a = add_dump(f, 0), b = add_dump(f, 1);
	struct catalog_history_table table = add_history(f, 5, "public.a");

	put(f, &table, 100, a, 1);
	put(f, &table, 101, b, 1);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	add_dump(f, 0);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_int_equal(count_all(f, &table), 1);
	assert_int_equal(ask_count(f, "SELECT count(*) FROM history_count"), 1);
}

static void what_is_kept_is_bounded(void **state)
{
	struct fixture *f = *state;
	uint64_t a = add_dump(f, 0);
	struct catalog_history_table first = add_history(f, 1, "public.first"), last = {0}, found;
	struct catalog_history_count count = {.ino = 99};

	for (uint64_t i = 1; i <= CATALOG_HISTORY_COUNTED + 1; i++) {
		_cleanup(free) char *name = mem_printf("public.t%d", (int)i);

		last = add_history(f, i, name);
		put(f, &last, 10000 + i, a, i);
	}
	assert_int_equal(ask_count(f, "SELECT count(*) FROM history_count"), CATALOG_HISTORY_COUNTED);
	assert_int_equal(catalog_history_table(f->catalog, 1, &found), -ENOENT);
	assert_int_equal(catalog_entry_by_ino(f->catalog, a, &count.dump), 0);
	assert_int_equal(catalog_history_put(f->catalog, &first, &count, 1, NULL), -ESTALE);
	assert_int_equal(
	        write_run(f->catalog, NULL,
	                  "UPDATE sqlite_sequence SET seq = seq + 262144 WHERE name = 'history_table'", NULL,
	                  0),
	        0);
	last = add_history(f, 77777, "public.last");
	assert_int_equal(ask_count(f, "SELECT count(*) FROM history_table"), 1);
	assert_int_equal(ask_count(f, "SELECT count(*) FROM history_count"), 0);
	assert_true(add_history(f, 1, "public.first").number > last.number);
}

static void the_newest_of_which_tables_were_counted(void **state)
{
	struct fixture *f = *state;
	uint64_t directory_ino, a = add_dump_at(f, 0, false, "20261120T020000Z.tables.csv", AT_US), b;
	struct catalog_entry found;

	directory_ino = ino_of_directory("backups/full");
	b = add_dump_at(f, 1, false, "20261120T020001Z.tables.csv", AT_US);
	add_dump_at(f, 2, true, "20261120T020002Z.tables.csv", AT_US);
	add_dump(f, 3);
	assert_int_equal(catalog_history_newest(f->catalog, directory_ino, &found), 0);
	assert_true(found.ino == b);
	assert_int_equal(catalog_entomb_artifact(f->catalog, b, NULL, NULL), 0);
	assert_int_equal(catalog_history_newest(f->catalog, directory_ino, &found), 0);
	assert_true(found.ino == a);
	assert_int_equal(catalog_entomb_artifact(f->catalog, a, NULL, NULL), 0);
	assert_int_equal(catalog_history_newest(f->catalog, directory_ino, &found), -ENOENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
	        TEST(a_table_is_remembered),      TEST(what_is_lacking_comes_newest_first),
	        TEST(a_removed_dump_is_not_seen), TEST(a_rebuild_keeps_it),
	        TEST(what_is_kept_is_bounded),    TEST(the_newest_of_which_tables_were_counted),
	};

	return cmocka_run_group_tests_name("catalog_history", tests, NULL, NULL);
}

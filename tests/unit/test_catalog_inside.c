// SPDX-License-Identifier: Apache-2.0
/* Dumps that were looked into: their numbers, the sizes that are remembered under these, and which dumps a directory has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include <keepfs/catalog/inside.h>
#include <keepfs/catalog/rebuild.h>

#include "../../src/catalog/access.h"
#include "catalog_fixture.h"

#define DAY_US (24 * 3600 * US_PER_S)

/* The sequence of the @n-th; its name ends in @suffix. */
static uint64_t add_one(struct fixture *f, int n, const char *suffix, const char *kind, int64_t finished_us)
{
	_cleanup(manifest) struct manifest m = {0};
	char sha256[SHA256_HEX_BYTES];

	begin_at(&m, "backups/full", (SECONDS + n) * 1000, suffix, 7);
	free(m.kind);
	m.kind = mem_strdup(kind);
	m.finished_at_us = finished_us;
	m.is_directory = *suffix == '\0';
	str_copy(sha256, sizeof(sha256), m.sha256);
	if (!m.is_directory)
		manifest_put_own(&m, 10, 1, sha256);
	manifest_seal(&m);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	return ino_of_artifact(m.path);
}

static uint64_t add_dump(struct fixture *f, int n)
{
	return add_one(f, n, ".dump", "dump", AT_US + DAY_US);
}

static uint32_t number_of(struct fixture *f, uint64_t ino)
{
	uint32_t number = 0;

	assert_int_equal(catalog_inside_number(f->catalog, ino, &number, NULL), 0);
	return number;
}

static void a_number_is_given_once_and_stays(void **state)
{
	struct fixture *f = *state;
	uint64_t a = add_dump(f, 0), b = add_dump(f, 1), ino = 0;
	uint32_t number;

	assert_int_equal(number_of(f, b), 1);
	assert_int_equal(number_of(f, a), 2);
	assert_int_equal(number_of(f, b), 1);
	reopen(f);
	assert_int_equal(number_of(f, a), 2);
	assert_int_equal(catalog_inside_artifact(f->catalog, 2, &ino), 0);
	assert_true(ino == a);
	assert_int_equal(catalog_inside_artifact(f->catalog, 3, &ino), -ENOENT);
	assert_int_equal(catalog_inside_artifact(f->catalog, 0, &ino), -ENOENT);
	assert_int_equal(catalog_inside_number(f->catalog, a + 1, &number, NULL), -ENOENT);
}

static void remove_one(struct fixture *f, uint64_t ino)
{
	uint64_t found;
	uint32_t number = number_of(f, ino);

	/* What can be taken back has its number again then. */
	assert_int_equal(catalog_entomb_artifact(f->catalog, ino, NULL, NULL), 0);
	assert_int_equal(catalog_inside_artifact(f->catalog, number, &found), -ENOENT);
	assert_int_equal(catalog_inside_number(f->catalog, ino, &number, NULL), -ENOENT);
	assert_int_equal(catalog_drop_artifact(f->catalog, ino, NULL), 0);
}

/* The kernel may still know what the number was of. */
static void it_goes_with_the_dump_and_does_not_come_back(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = add_dump(f, 0), bytes;

	assert_int_equal(number_of(f, ino), 1);
	assert_int_equal(catalog_set_inside_bytes(f->catalog, 1, 5, 77, NULL), 0);
	remove_one(f, ino);
	assert_int_equal(catalog_inside_bytes(f->catalog, 1, 5, &bytes), -ENOENT);
	add_dump(f, 0);
	assert_int_equal(number_of(f, ino), 2);
	reopen(f);
	remove_one(f, ino);
	assert_int_equal(number_of(f, add_dump(f, 1)), 3);
}

static void a_rebuild_keeps_it(void **state)
{
	struct fixture *f = *state;
	uint64_t a = add_dump(f, 0), b = add_dump(f, 1), c = add_dump(f, 2), bytes = 0;

	assert_int_equal(number_of(f, a), 1);
	assert_int_equal(number_of(f, b), 2);
	assert_int_equal(number_of(f, c), 3);
	assert_int_equal(catalog_set_inside_bytes(f->catalog, 1, 5, 77, NULL), 0);
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	add_dump(f, 0);
	add_one(f, 1, ".dump", "dump", AT_US + 2 * DAY_US);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	assert_int_equal(number_of(f, a), 1);
	assert_int_equal(catalog_inside_bytes(f->catalog, 1, 5, &bytes), 0);
	assert_int_equal(bytes, 77);
	/* One of that name that is another has another number, and one that is gone has none. */
	assert_int_equal(number_of(f, b), 4);
	add_dump(f, 2);
	assert_int_equal(number_of(f, c), 5);
}

static void when_all_are_used_up_a_free_one_is_taken(void **state)
{
	static const char sql[] = "UPDATE inside_dump SET number = 16777215 WHERE number = 2";
	struct fixture *f = *state;
	uint64_t a = add_dump(f, 0), b = add_dump(f, 1), c = add_dump(f, 2);

	number_of(f, a);
	number_of(f, b);
	assert_int_equal(write_run(f->catalog, NULL, sql, NULL, 0), 0);
	assert_int_equal(number_of(f, b), CATALOG_INSIDE_NUMBER_MAX);
	assert_int_equal(number_of(f, c), 2);
}

static void sizes_are_remembered(void **state)
{
	struct fixture *f = *state;
	uint64_t bytes = 0, generation;

	number_of(f, add_dump(f, 0));
	generation = catalog_rest_generation(f->catalog);
	assert_int_equal(catalog_inside_bytes(f->catalog, 1, 5, &bytes), -ENOENT);
	assert_int_equal(catalog_set_inside_bytes(f->catalog, 1, 5, 77, NULL), 0);
	assert_int_equal(catalog_set_inside_bytes(f->catalog, 1, UINT64_C(3) << 32, 0, NULL), 0);
	assert_int_equal(catalog_set_inside_bytes(f->catalog, 9, 5, 77, NULL), 0);
	assert_int_equal(catalog_inside_bytes(f->catalog, 1, 5, &bytes), 0);
	assert_int_equal(bytes, 77);
	assert_int_equal(catalog_inside_bytes(f->catalog, 1, UINT64_C(3) << 32, &bytes), 0);
	assert_int_equal(bytes, 0);
	assert_int_equal(catalog_inside_bytes(f->catalog, 9, 5, &bytes), -ENOENT);
	/* Nobody makes a text or a copy anew for it. */
	assert_int_equal(catalog_rest_generation(f->catalog), generation);
}

static void a_directory_has_its_dumps(void **state)
{
	struct fixture *f = *state;
	struct catalog_entry entries[8], found;
	uint64_t directory_ino = ino_of_directory("backups/full");
	uint64_t a = add_dump(f, 0), b = add_one(f, 1, "", "dump", AT_US), c;

	add_one(f, 2, ".tar.gz", "files", AT_US);
	c = add_one(f, 3, ".schema.sql.gz", "dump", AT_US);
	assert_int_equal(catalog_dump_entries(f->catalog, directory_ino, -1, false, entries, 8), 3);
	assert_true(entries[0].ino == a && entries[1].ino == b && entries[2].ino == c);
	assert_int_equal(
	        catalog_dump_entries(f->catalog, directory_ino, entries[0].sequence, false, entries, 1), 1);
	assert_true(entries[0].ino == b);
	assert_int_equal(catalog_dump_by_stem(f->catalog, directory_ino, "20261120T020000Z", &found), 0);
	assert_true(found.ino == a);
	assert_int_equal(catalog_dump_by_stem(f->catalog, directory_ino, "20261120T020003Z", &found), 0);
	assert_true(found.ino == c);
	assert_int_equal(catalog_dump_by_stem(f->catalog, directory_ino, "20261120T020002Z", &found),
	                 -ENOENT);
	assert_int_equal(catalog_dump_by_stem(f->catalog, directory_ino, "20261120T020000Z.dump", &found),
	                 -ENOENT);
	assert_int_equal(catalog_dump_by_stem(f->catalog, directory_ino, "", &found), -ENOENT);
	assert_int_equal(catalog_entomb_artifact(f->catalog, a, NULL, NULL), 0);
	assert_int_equal(catalog_dump_entries(f->catalog, directory_ino, -1, false, entries, 8), 2);
	assert_int_equal(catalog_dump_by_stem(f->catalog, directory_ino, "20261120T020000Z", &found),
	                 -ENOENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
	        TEST(a_number_is_given_once_and_stays),
	        TEST(it_goes_with_the_dump_and_does_not_come_back),
	        TEST(a_rebuild_keeps_it),
	        TEST(when_all_are_used_up_a_free_one_is_taken),
	        TEST(sizes_are_remembered),
	        TEST(a_directory_has_its_dumps),
	};

	return cmocka_run_group_tests_name("catalog_inside", tests, NULL, NULL);
}

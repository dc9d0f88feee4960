// SPDX-License-Identifier: Apache-2.0
/* Names: sequence and name determine each other; what is no name is refused; inodes never change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/name.h>

#define AT INT64_C(1795140000000) /* 2026-11-20T02:00:00Z as a sequence */

static void names_have_their_sequence(void **state)
{
	assert_int_equal(name_sequence("20261120T020000Z.dump"), AT);
	assert_int_equal(name_sequence("20261120T020000Z-2.dump"), AT + 1);
	assert_int_equal(name_sequence("20261120T020000Z-1000.dump"), AT + 999);
	assert_int_equal(name_sequence("20261120T020001Z.tar.gz"), AT + 1000);
	assert_int_equal(name_sequence("20261120T020000Z"), AT);
	assert_int_equal(name_sequence("20261120T020000Z-2"), AT + 1);
}

static void formatting_is_the_inverse(void **state)
{
	static const int64_t sequences[] = {0, 1, 999, 1000, AT, AT + 1, AT + 999, AT + 1000};

	for (size_t i = 0; i < ARRAY_SIZE(sequences); i++) {
		char name[NAME_MAX_BYTES];

		name_format(sequences[i], ".dump", name);
		assert_int_equal(name_sequence(name), sequences[i]);
		name_format(sequences[i], "", name);
		assert_int_equal(name_sequence(name), sequences[i]);
	}
}

static void bad_names_have_none(void **state)
{
	static const char *const bad[] = {
	        "",
	        "x",
	        "latest.dump",
	        "SHA256SUMS",
	        "20261120T020000",
	        "20261120T020000Z.",
	        "20261120T020000Z-2.",
	        "20261120T020000Zdump",
	        "20261120T020000Z-.dump",
	        "20261120T020000Z-1.dump",
	        "20261120T020000Z-0.dump",
	        "20261120T020000Z-02.dump",
	        "20261120T020000Z-1001.dump",
	        "20261120T020000Z-99999999999999999999.dump",
	        "20261120T020000Z--2.dump",
	        "20261120T020000Z-+2.dump",
	        "20261320T020000Z.dump",
	        "20260230T020000Z.dump",
	        "20261120T250000Z.dump",
	        "20261120T020000.dump",
	        "2026-11-20T02:00:00Z.dump",
	        "20261120T020000Z.du mp",
	        "20261120T020000Z./dump",
	        "19691231T235959Z.dump",
	        " 20261120T020000Z.dump",
	        "20261120t020000z.dump",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (name_sequence(bad[i]) != -1)
			fail_msg("'%s' has a sequence", bad[i]);
}

static void safe_names(void **state)
{
	char longest[202];

	memset(longest, 'a', sizeof(longest));
	longest[200] = '\0';
	assert_true(name_is_safe(longest));
	longest[200] = 'a';
	longest[201] = '\0';
	assert_false(name_is_safe(longest));
	assert_true(name_is_safe("full"));
	assert_true(name_is_safe("A.b_c-9"));
	assert_false(name_is_safe(""));
	assert_false(name_is_safe("."));
	assert_false(name_is_safe(".."));
	assert_false(name_is_safe("-rf"));
	assert_false(name_is_safe("a/b"));
	assert_false(name_is_safe("a b"));
	assert_false(name_is_safe("\xc3\xbc"));
}

static void assert_directory(const char *database, const char *expected)
{
	_cleanup(free) char *name = name_from_database(database);

	assert_string_equal(name, expected);
}

static void databases_become_directories(void **state)
{
	assert_directory("acme", "acme");
	assert_directory("Acme.prod_2-x", "Acme.prod_2-x");
	assert_directory("a b/c", "a=20b=2Fc");
	assert_directory("..", "=2E.");
	assert_directory("-x", "=2Dx");
	assert_directory("x=20", "x=3D20");
	assert_directory("\xc3\xbc", "=C3=BC");
}

/* They would hide a file of that name in the directory of their job, or be hidden by it. */
static void databases_never_have_the_name_of_a_file(void **state)
{
	static const char *const cases[][2] = {
	        {"SHA256SUMS", "=53HA256SUMS"},
	        {"latest", "=6Catest"},
	        {"latest.dump", "=6Catest.dump"},
	        {"latest.sql.gz", "=6Catest.sql.gz"},
	        {"latest.tables.csv", "=6Catest.tables.csv"},
	        {"20261120T020000Z", "=320261120T020000Z"},
	        {"20261120T020000Z-2.dump", "=320261120T020000Z-2.dump"},
	        {"20261120T020000Z.tables.csv", "=320261120T020000Z.tables.csv"},
	        {"latest2", "latest2"},
	        {"Latest", "Latest"},
	        {"SHA256SUMS.old", "SHA256SUMS.old"},
	        {"20261120", "20261120"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_directory(cases[i][0], cases[i][1]);
}

static void long_databases_stay_apart(void **state)
{
	char one[300], other[300];
	_cleanup(free) char *first = NULL, *second = NULL;

	memset(one, '/', sizeof(one) - 1);
	one[sizeof(one) - 1] = '\0';
	memcpy(other, one, sizeof(one));
	other[sizeof(other) - 2] = '!';
	first = name_from_database(one);
	second = name_from_database(other);
	assert_int_equal(strlen(first), 200);
	assert_string_not_equal(first, second);
}

static void inodes_never_change(void **state)
{
	/* printf 'backups/full' | sha256sum: the first 8 bytes, little-endian, with the bits of its kind. */
	assert_int_equal(ino_of_directory("backups/full"), UINT64_C(0x5dc4678e418b4f04));
	assert_int_equal(ino_of_artifact("backups/full/20261120T020000Z.dump"), UINT64_C(0x68a415f0af5086ba));
}

static void inodes_tell_their_kind(void **state)
{
	for (int i = 0; i < 1000; i++) {
		char path[64];
		uint64_t directory, artifact;

		snprintf(path, sizeof(path), "backups/%d", i);
		directory = ino_of_directory(path);
		artifact = ino_of_artifact(path);
		assert_int_equal(directory >> 61, 2);
		assert_int_equal(directory & 3, 0);
		assert_int_equal(artifact >> 61, 3);
	}
}

static void a_path_names_its_root(void **state)
{
	const struct tree_root *root = tree_root_of("backups/full/20261120T020000Z.dump");

	assert_non_null(root);
	assert_string_equal(root->name, "backups");
	assert_ptr_equal(tree_root_of("backups"), root);
	assert_ptr_equal(tree_root_of("backups/"), root);
	assert_null(tree_root_of("backup"));
	assert_null(tree_root_of("backups2/full"));
	assert_null(tree_root_of("links/backups"));
	assert_null(tree_root_of("/backups"));
	assert_null(tree_root_of(""));
}

/* Programs remember inode numbers: these are for ever. */
static void roots_keep_their_numbers(void **state)
{
	const struct tree_root *root = tree_root_of("backups");

	assert_int_equal(root->ino, 2);
	assert_int_equal(root->links_ino, 7);
	assert_int_equal(root->catalog_ino, 0);
	assert_false(root->is_job);
	root = tree_root_of("exports/acme");
	assert_int_equal(root->ino, 8);
	assert_int_equal(root->links_ino, 9);
	assert_int_equal(root->catalog_ino, 8);
	assert_true(root->is_job);
}

static void words_become_paths(void **state)
{
	static const char *const cases[][2] = {
	        {"full/X.dump", "backups/full/X.dump"},
	        {"backups/full/X.dump", "backups/full/X.dump"},
	        {"full//", "backups/full"},
	        {"backups/", "backups"},
	        {"backups", "backups"},
	        {"exports", "exports"},
	        {"exports/", "exports"},
	        {"exports/acme/X.json.gz", "exports/acme/X.json.gz"},
	        {"exports2/x", "backups/exports2/x"},
	        {"", "backups"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *path = tree_path(cases[i][0]);

		assert_string_equal(path, cases[i][1]);
	}
}

/* What is shown short is read back to the same. */
static void paths_are_shown_short(void **state)
{
	static const char *const cases[][2] = {
	        {"backups/full/X.dump", "full/X.dump"},
	        {"backups/full", "full"},
	        {"backups", "backups"},
	        {"exports", "exports"},
	        {"exports/acme", "exports/acme"},
	        {"backups/exports/X.dump", "backups/exports/X.dump"},
	        {"backups/backups", "backups/backups"},
	        {"elsewhere/x", "elsewhere/x"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *path = tree_path(cases[i][1]);

		assert_string_equal(tree_short(cases[i][0]), cases[i][1]);
		if (tree_root_of(cases[i][0]))
			assert_string_equal(path, cases[i][0]);
	}
}

static void paths_have_a_job(void **state)
{
	static const char *const cases[][2] = {
	        {"backups/full/X.dump", "full"},
	        {"backups/tenants/acme/X.dump", "tenants"},
	        {"backups/full", "full"},
	        {"exports/acme/X.json.gz", "exports"},
	        {"exports", "exports"},
	        {"backups/exports/X", "exports"},
	        {"backups", NULL},
	        {"backups/", NULL},
	        {"status/health", NULL},
	        {"", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *job = tree_job_of(cases[i][0]);

		if (cases[i][1])
			assert_string_equal(job, cases[i][1]);
		else
			assert_null(job);
	}
}

/* Tenants are called as they like: each has one directory, which no other has. */
static void slugs_become_directories(void **state)
{
	static const char *const slugs[] = {
	        "acme",       "Acme",     "a b",       "a/b",
	        "..",         ".",        "../../etc", "-rf",
	        "a\"b'c",     "a\nb",     "a=20b",     "caf\u00e9",
	        "cafe\u0301", "a.b",      "latest",    "latest.json.gz",
	        "100%",       "a\\b",     "\x01\x7f",  "SHA256SUMS",
	        "\U0001F600", "a;rm -rf", "$(id)",     "20261120T020000Z",
	};
	char *made[ARRAY_SIZE(slugs)];

	for (size_t i = 0; i < ARRAY_SIZE(slugs); i++) {
		_cleanup(free) char *path = NULL, *key = NULL, *back = NULL;

		made[i] = name_from_database(slugs[i]);
		path = mem_printf("exports/%s/20261120T020000Z.json.gz", made[i]);
		key = manifest_key(path);
		back = manifest_path_of_key(key); /* NULL: it can be none */
		assert_string_equal(back, path);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(made[i], made[j]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(slugs); i++)
		free(made[i]);
}

static void roots_are_told_apart(void **state)
{
	uint64_t used = 0;

	assert_true(tree_roots_count > 0);
	for (size_t i = 0; i < tree_roots_count; i++) {
		const struct tree_root *root = &tree_roots[i];

		assert_true(name_is_safe(root->name));
		assert_ptr_equal(tree_root_of(root->name), root);
		assert_int_equal(root->is_hidden, i >= tree_roots_shown);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(tree_roots[j].catalog_ino, root->catalog_ino);
		if (root->is_hidden) {
			assert_true(root->ino == 0 && root->links_ino == 0);
			continue;
		}
		assert_in_range(root->ino, 2, 15);
		assert_in_range(root->links_ino, 0, 15);
		assert_false(used & (UINT64_C(1) << root->ino));
		used |= UINT64_C(1) << root->ino;
		assert_false(root->links_ino && used & (UINT64_C(1) << root->links_ino));
		used |= UINT64_C(1) << root->links_ino;
	}
}

static void a_stem_has_no_dot(void **state)
{
	static const char *const cases[][2] = {
	        {"2026-11-20", "2026-11-20"}, {"2026.11", "2026=2E11"}, {"a b", "a=20b"},
	        {"\xc3\xa9", "=C3=A9"},       {"-x", "=2Dx"},           {"latest", "=6C=61=74=65=73=74"},
	        {".hidden", "=2Ehidden"},     {"latest2", "latest2"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *stem = name_stem_from(cases[i][0]);

		assert_string_equal(stem, cases[i][1]);
	}
}

static void long_stems_leave_room_and_stay_apart(void **state)
{
	char one[301], other[301];
	_cleanup(free) char *a = NULL, *b = NULL;

	memset(one, 'x', sizeof(one));
	memset(other, 'x', sizeof(other));
	one[300] = other[300] = '\0';
	other[299] = 'y';
	a = name_stem_from(one);
	b = name_stem_from(other);
	assert_true(strlen(a) <= 184);
	assert_string_not_equal(a, b);
}

static void some_names_are_keepfs_own(void **state)
{
	assert_true(name_is_reserved("latest"));
	assert_true(name_is_reserved("latest.dump"));
	assert_true(name_is_reserved("SHA256SUMS"));
	assert_false(name_is_reserved("latest2.dump"));
	assert_false(name_is_reserved("20261120T020000Z.dump"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(databases_never_have_the_name_of_a_file),
	        cmocka_unit_test(a_stem_has_no_dot),
	        cmocka_unit_test(long_stems_leave_room_and_stay_apart),
	        cmocka_unit_test(some_names_are_keepfs_own),
	        cmocka_unit_test(names_have_their_sequence),
	        cmocka_unit_test(formatting_is_the_inverse),
	        cmocka_unit_test(bad_names_have_none),
	        cmocka_unit_test(safe_names),
	        cmocka_unit_test(databases_become_directories),
	        cmocka_unit_test(long_databases_stay_apart),
	        cmocka_unit_test(inodes_never_change),
	        cmocka_unit_test(inodes_tell_their_kind),
	        cmocka_unit_test(a_path_names_its_root),
	        cmocka_unit_test(roots_keep_their_numbers),
	        cmocka_unit_test(words_become_paths),
	        cmocka_unit_test(paths_are_shown_short),
	        cmocka_unit_test(paths_have_a_job),
	        cmocka_unit_test(slugs_become_directories),
	        cmocka_unit_test(roots_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* The tree over a real catalog: names, attributes, and extended attributes. */
#include "fs_test.h"

#include <keepfs/catalog/artifacts.h>

static void all_that_belongs_to_an_artifact_is_listed(void **state)
{
	struct fixture *f = *state;

	add_some(f);
	assert_lists(f, "backups/full",
	             "./ ../ SHA256SUMS latest latest.dump " DUMP " " TREE "/ " SCHEMA " " TABLES " " GLOBALS
	             " ");
	assert_lists(f, "backups/full/" TREE, "./ ../ toc.dat 3456.dat.gz SHA256SUMS ");
	assert_lists(f, "backups", "./ ../ full/ ");
}

/* More entries than a page of the catalog. */
static void a_directory_of_many_files(void **state)
{
	enum { FILES = 1000 };
	struct fixture *f = *state;
	const char **names = mem_array(FILES + 1, sizeof(*names));
	_cleanup(free) char *listed = NULL, *inside = NULL;
	struct str expected = {0};

	for (int i = 0; i < FILES; i++) {
		names[i] = mem_printf("%d.dat.gz", i);
		str_appendf(&expected, "%s ", names[i]);
	}
	add(f, "full/" TREE, false, names);
	inside = list(f, "backups/full/" TREE, 4096, true);
	assert_true(str_starts(inside, "./ ../ "));
	assert_string_equal(inside + strlen("./ ../ "), str_text(&expected));
	listed = list(f, "backups/full", 4096, true);
	assert_string_equal(listed, "./ ../ SHA256SUMS latest " TREE "/ ");
	for (int i = 0; i < FILES; i++)
		free((char *)names[i]);
	free(names);
	str_finish(&expected);
}

static void attributes(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	add_some(f);
	st = stat_at(f, "backups/full/" TREE);
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(st.st_mtim.tv_sec, FINISHED + A_DAY_S);
	st = stat_at(f, "backups/full");
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	assert_int_equal(st.st_nlink, 3);
	st = stat_at(f, "backups/full/" TREE "/toc.dat");
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_size, 10);
	assert_int_equal(st.st_mtim.tv_sec, FINISHED + A_DAY_S);
	st = stat_at(f, "backups/full/" TABLES);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_size, 10);
	assert_int_equal(st.st_mtim.tv_sec, FINISHED);
	assert_int_equal(stat_at(f, "backups/full/" DUMP).st_size, 100);
}

/* By what the manifest says, not by the name. */
static void secrets_are_for_the_owner_alone(void **state)
{
	static const char *const names[] = {"globals.sql.gz", "secret", NULL};
	struct fixture *f = *state;

	add(f, "full/" TREE, false, names);
	assert_int_equal(stat_at(f, "backups/full/" TREE "/secret").st_mode, S_IFREG | 0600);
	assert_int_equal(stat_at(f, "backups/full/" TREE "/globals.sql.gz").st_mode, S_IFREG | 0640);
	assert_int_equal(stat_at(f, "links/backups/full/" TREE "/secret").st_mode, S_IFREG | 0400);
	assert_int_equal(stat_at(f, "links/backups/full/" TREE "/globals.sql.gz").st_mode, S_IFREG | 0440);
}

static void what_is_not_there(void **state)
{
	static const char *const paths[] = {
	        "backups/full/20261120T020000Z.nothing",
	        "backups/full/toc.dat",
	        "backups/full/" TREE "/" TABLES,
	        "backups/full/" TREE "/latest",
	        "backups/full/" TREE "/nothing",
	        "backups/full/latest.sql.gz",
	        "backups/full/latest.",
	        "backups/full/latest.schema.dump",
	        "backups/" TREE,
	        "links/backups/full/SHA256SUMS",
	        "links/backups/full/latest.sql.gz",
	        "links/backups/full/20261120T020000Z.nothing",
	        "links/backups/" TREE,
	        "links/full",
	        "links/backups/full/" TREE "/latest",
	};
	struct fixture *f = *state;
	struct node node;

	add_some(f);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (find(f, paths[i], &node) != -ENOENT)
			fail_msg("%s", paths[i]);
	}
	assert_int_equal(find(f, "backups/full/" TABLES "/x", &node), -ENOTDIR);
	assert_int_equal(find(f, "links/backups/full/" TABLES "/x", &node), -ENOTDIR);
}

static void assert_latest(struct fixture *f, const char *name, const char *target)
{
	_cleanup(free) char *path = mem_printf("backups/full/%s", name);
	static char answer[MESSAGE_BYTES];
	ssize_t n = ask(f, FUSE_READLINK, ino_at(f, path), "", 0, answer);

	assert_true(n > 0);
	assert_int_equal(n, strlen(target));
	assert_memory_equal(answer, target, strlen(target));
	assert_int_equal(stat_at(f, path).st_size, n);
	assert_true(S_ISLNK(stat_at(f, path).st_mode));
}

static void the_latest_one(void **state)
{
	struct fixture *f = *state;
	struct node node;

	add(f, "full/" SCHEMA, true, NULL);
	assert_lists(f, "backups/full", "./ ../ SHA256SUMS " SCHEMA " ");
	assert_int_equal(find(f, "backups/full/latest.schema.dump", &node), -ENOENT);
	add(f, "full/" DUMP, false, dump_files);
	assert_latest(f, "latest.dump", DUMP);
	add(f, "full/20261120T020001Z.dump", false, NULL);
	assert_latest(f, "latest.dump", "20261120T020001Z.dump");
}

/* A run by hand in another format takes nothing away from those who copy latest.dump each night. */
static void the_latest_one_of_each_format(void **state)
{
	struct fixture *f = *state;
	uint64_t link;
	struct node node;

	add(f, "full/" DUMP, false, dump_files);
	link = ino_at(f, "backups/full/latest.dump");
	add(f, "full/20261123T020000Z.sql.gz", false, NULL);
	add(f, "full/20261124T020000Z", false, tree_files);
	add(f, "full/20261125T020000Z.tar.zst", false, NULL);
	add(f, "full/20261126T020000Z.partial.dump", true, NULL);
	assert_latest(f, "latest.dump", DUMP);
	assert_latest(f, "latest.sql.gz", "20261123T020000Z.sql.gz");
	assert_latest(f, "latest", "20261124T020000Z");
	assert_latest(f, "latest.tar.zst", "20261125T020000Z.tar.zst");
	assert_lists(f, "links/backups/full",
	             "./ ../ latest latest.dump latest.sql.gz latest.tar.zst " DUMP
	             " 20261123T020000Z.sql.gz 20261124T020000Z/ 20261125T020000Z.tar.zst"
	             " 20261126T020000Z.partial.dump " TABLES " " GLOBALS " ");
	/* A damaged one stands back, and none that is good goes with it. */
	assert_int_equal(
	        catalog_mark_damaged(f->catalog, ino_at(f, "backups/full/20261124T020000Z"), "bad", NULL), 0);
	assert_latest(f, "latest", "20261124T020000Z");
	add(f, "full/" TREE, false, tree_files);
	assert_latest(f, "latest", TREE);
	/* A link that leads elsewhere is another one; the old one is what it was for whoever holds it. */
	assert_int_equal(node_load(f->fs, link, &node), 0);
	assert_ptr_equal(node.class, &class_latest);
	add(f, "full/20261127T020000Z.dump", false, NULL);
	assert_int_not_equal(ino_at(f, "backups/full/latest.dump"), link);
	assert_int_equal(node_load(f->fs, link, &node), 0);
	assert_string_equal(node.entry.name, DUMP);
	assert_int_equal(node_load(f->fs, ino_latest(ino_at(f, "backups/full/" TABLES)), &node), -ENOENT);
}

/* More formats than anybody has: all that have a place are listed, once. */
static void many_formats(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str expected = {0};
	_cleanup(free) char *listed = NULL;

	for (int i = 0; i < 80; i++) {
		_cleanup(free) char *name = mem_printf("full/20261120T02%02d%02dZ.f%02d", i / 60, i % 60, i);

		add(f, name, false, NULL);
		if (i < 59)
			str_appendf(&expected, "latest.f%02d ", i);
	}
	listed = list(f, "backups/full", 256, false);
	assert_non_null(strstr(listed, str_text(&expected)));
	assert_null(strstr(listed, "latest.f59"));
	assert_latest(f, "latest.f79", "20261120T020119Z.f79");
}

/* Databases may have any name. */
static void what_is_stored_hides_what_is_made_up(void **state)
{
	struct fixture *f = *state;
	struct node node;

	add(f, "full/" TREE, false, tree_files);
	add(f, "full/latest/" DUMP, false, NULL);
	add(f, "full/SHA256SUMS/" DUMP, false, NULL);
	assert_lists(f, "backups/full", "./ ../ latest/ SHA256SUMS/ " TREE "/ ");
	assert_int_equal(find(f, "backups/full/latest", &node), 0);
	assert_ptr_equal(node.class, &class_directory);
	assert_int_equal(find(f, "backups/full/SHA256SUMS/" DUMP, &node), 0);
	assert_ptr_equal(node.class, &class_artifact);
	assert_lists(f, "backups/full/latest", "./ ../ SHA256SUMS latest.dump " DUMP " ");
}

static void assert_attributes(struct fixture *f, const char *path, const char *const (*wanted)[2],
                              size_t count)
{
	for (size_t i = 0; i < count; i++) {
		_cleanup(free) char *value = attribute(f, path, wanted[i][0]);
		const char *want = wanted[i][1];

		if (!str_equal(value ? value : "(none)", want ? want : "(none)"))
			fail_msg("%s of %s is %s, not %s", wanted[i][0], path, value ? value : "(none)",
			         want ? want : "(none)");
	}
}

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B64 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void extended_attributes(void **state)
{
	static const char *const of_dump[][2] = {
	        {"sha256", A64},     {"stored_bytes", "100"}, {"format", "custom"},
	        {"content", "full"}, {"compression", "gzip"}, {"verified_at", "2026-11-20T02:00:05Z"},
	        {"partial", "no"},   {"note", NULL},          {"run", "7"},
	        {"nothing", NULL},
	};
	static const char *const of_tables[][2] = {
	        {"sha256", B64}, {"stored_bytes", "10"}, {"job", "full"},
	        {"run", "7"},    {"database", "shop"},   {"state", "completed"},
	};
	static const char *const of_tree[][2] = {
	        {"sha256", A64}, {"stored_bytes", "30"}, {"format", "directory"}};
	static const char *const of_toc[][2] = {{"sha256", B64}, {"stored_bytes", "10"}};
	static const char *const of_schema[][2] = {{"partial", "yes"},
	                                           {"note", "before the release"},
	                                           {"content", "schema"},
	                                           {"verified_at", NULL}};
	static const char *const of_directory[][2] = {{"sha256", NULL}};
	struct fixture *f = *state;

	add_some(f);
	assert_attributes(f, "backups/full/" DUMP, of_dump, ARRAY_SIZE(of_dump));
	assert_attributes(f, "backups/full/" TABLES, of_tables, ARRAY_SIZE(of_tables));
	assert_attributes(f, "backups/full/" TREE, of_tree, ARRAY_SIZE(of_tree));
	assert_attributes(f, "backups/full/" TREE "/toc.dat", of_toc, ARRAY_SIZE(of_toc));
	assert_attributes(f, "backups/full/" SCHEMA, of_schema, ARRAY_SIZE(of_schema));
	assert_attributes(f, "backups/full", of_directory, ARRAY_SIZE(of_directory));
}

static bool has_name(const char *names, size_t len, const char *name)
{
	for (const char *p = names; p < names + len; p += strlen(p) + 1) {
		if (strcmp(p, name) == 0)
			return true;
	}
	return false;
}

static void extended_attributes_are_listed(void **state)
{
	static char answer[MESSAGE_BYTES];
	struct fuse_getxattr_in in = {.size = 4096};
	struct fixture *f = *state;
	ssize_t n;

	add_some(f);
	n = ask(f, FUSE_LISTXATTR, ino_at(f, "backups/full/" TREE "/toc.dat"), &in, sizeof(in), answer);
	assert_true(n > 0);
	assert_true(has_name(answer, (size_t)n, "user.keepfs.verified_at"));
	assert_true(has_name(answer, (size_t)n, "user.keepfs.compression"));
	assert_false(has_name(answer, (size_t)n, "user.keepfs.note"));
	assert_int_equal(ask(f, FUSE_LISTXATTR, ino_at(f, "backups/full"), &in, sizeof(in), answer), 0);
	in.size = 4;
	assert_int_equal(ask(f, FUSE_LISTXATTR, ino_at(f, "backups/full/" TREE), &in, sizeof(in), answer),
	                 -ERANGE);
}

/* A damaged file damages the whole of it. */
static void damage_shows_on_all_files(void **state)
{
	static const char *const damaged[][2] = {{"state", "damaged"}};
	struct fixture *f = *state;

	add_some(f);
	assert_int_equal(catalog_mark_damaged(f->catalog, ino_at(f, "backups/full/" TREE), "bad", NULL), 0);
	assert_attributes(f, "backups/full/" TREE, damaged, 1);
	assert_attributes(f, "backups/full/" TREE "/toc.dat", damaged, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        TREE_TEST(all_that_belongs_to_an_artifact_is_listed),
	        TREE_TEST(a_directory_of_many_files),
	        TREE_TEST(attributes),
	        TREE_TEST(secrets_are_for_the_owner_alone),
	        TREE_TEST(what_is_not_there),
	        TREE_TEST(the_latest_one),
	        TREE_TEST(the_latest_one_of_each_format),
	        TREE_TEST(many_formats),
	        TREE_TEST(what_is_stored_hides_what_is_made_up),
	        TREE_TEST(extended_attributes),
	        TREE_TEST(extended_attributes_are_listed),
	        TREE_TEST(damage_shows_on_all_files),
	};

	return cmocka_run_group_tests_name("fs_tree", tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* exports/: a root of its own, with a directory for each tenant. */
#include "fs_test.h"
#include "../support/manifests.h"

#include <keepfs/catalog/artifacts.h>

#define EXPORT "20261120T020000Z.json.gz"
#define LATER  "20261121T020000Z.json.gz"

static void add_export(struct fixture *f, const char *slug, const char *name)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *org = name_from_database(slug), *directory = mem_printf("exports/%s", org),
	                    *path = mem_printf("%s/%s", directory, name);
	char hash[SHA256_HEX_BYTES] = "";

	memset(hash, 'a', SHA256_HEX_BYTES - 1);
	manifest_describe(&m, path, 7, slug);
	mem_replace_string(&m.job, "exports");
	mem_replace_string(&m.kind, "export");
	m.started_at_us = name_sequence(name) / 1000 * US_PER_S;
	m.finished_at_us = m.started_at_us + US_PER_S;
	manifest_put_own(&m, 100, 1, hash);
	manifest_seal(&m);
	assert_int_equal(catalog_ensure_directory(f->catalog, directory, m.finished_at_us, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
}

static void each_tenant_has_a_directory(void **state)
{
	struct fixture *f = *state;
	struct node node;

	assert_lists(f, "exports", "./ ../ ");
	add_export(f, "acme", EXPORT);
	add_export(f, "acme", LATER);
	add_export(f, "a/b \"x\"", EXPORT);
	assert_lists(f, "exports", "./ ../ acme/ a=2Fb=20=22x=22/ ");
	assert_lists(f, "exports/acme", "./ ../ SHA256SUMS latest.json.gz " EXPORT " " LATER " ");
	assert_lists(f, "links/exports", "./ ../ acme/ a=2Fb=20=22x=22/ ");
	assert_lists(f, "links/exports/acme", "./ ../ latest.json.gz " EXPORT " " LATER " ");
	/* They are no backups of databases. */
	assert_lists(f, "backups", "./ ../ ");
	assert_lists(f, "inside", "./ ../ ");
	assert_lists(f, "history", "./ ../ ");
	assert_lists(f, "tiers/daily", "./ ../ ");
	assert_int_equal(find(f, "backups/acme", &node), -ENOENT);
	assert_int_equal(find(f, "exports/" EXPORT, &node), -ENOENT);
	assert_int_equal(find(f, "exports/..", &node), -ENOENT);
}

static void they_are_reached_by_their_numbers(void **state)
{
	static const char *const paths[] = {"exports",
	                                    "exports/acme",
	                                    "exports/acme/" EXPORT,
	                                    "exports/acme/SHA256SUMS",
	                                    "exports/acme/latest.json.gz",
	                                    "links/exports",
	                                    "links/exports/acme",
	                                    "links/exports/acme/" EXPORT};
	struct fixture *f = *state;
	struct node node;

	add_export(f, "acme", EXPORT);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		assert_int_equal(node_load(f->fs, ino_at(f, paths[i]), &node), 0);
		assert_int_equal(node.ino, ino_at(f, paths[i]));
	}
	assert_int_equal(ino_at(f, "exports"), 8);
	assert_int_equal(ino_at(f, "links/exports"), 9);
	assert_int_equal(ino_at(f, "links/exports/acme/" EXPORT),
	                 ino_link(ino_at(f, "exports/acme/" EXPORT)));
	assert_int_equal(find(f, "exports/acme", &node), 0);
	assert_int_equal(node.class->parent(&node), 8);
	assert_int_equal(find(f, "links/exports/acme", &node), 0);
	assert_int_equal(node.class->parent(&node), 9);
	assert_int_equal(stat_at(f, "exports").st_nlink, 3);
	assert_int_equal(stat_at(f, "exports").st_mode, S_IFDIR | 0750);
}

static void attributes_tell_the_tenant(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *org = NULL, *job = NULL, *kind = NULL, *of_dump = NULL;

	add_export(f, "a b", EXPORT);
	add_some(f);
	org = attribute(f, "exports/a=20b/" EXPORT, "org");
	job = attribute(f, "exports/a=20b/" EXPORT, "job");
	kind = attribute(f, "exports/a=20b/" EXPORT, "kind");
	of_dump = attribute(f, "backups/full/" DUMP, "org");
	assert_string_equal(org, "a b");
	assert_string_equal(job, "exports");
	assert_string_equal(kind, "export");
	assert_null(of_dump);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        TREE_TEST(each_tenant_has_a_directory),
	        TREE_TEST(they_are_reached_by_their_numbers),
	        TREE_TEST(attributes_tell_the_tenant),
	};

	return cmocka_run_group_tests_name("fs_exports", tests, NULL, NULL);
}

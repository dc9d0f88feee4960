// SPDX-License-Identifier: Apache-2.0
/* Parts of artifacts in the catalog: what each is, where its files are, and that they go and come back with the artifact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include <keepfs/catalog/inside.h>
#include <keepfs/catalog/parts.h>

#include "../../src/catalog/access.h"
#include "catalog_fixture.h"

static void add_part_file(struct manifest *m, const char *name)
{
	struct manifest_file *f = manifest_add_file(m, name);
	_cleanup(free) char *key = manifest_file_path(m, f);

	f->object = manifest_add_object(m, key);
}

static struct manifest_part *begin_a_part(struct manifest *m, const char *name, const char *kind)
{
	struct manifest_part *p = manifest_add_part(m, name);

	p->job = mem_strdup("of the part");
	p->kind = mem_strdup(kind);
	p->target = mem_strdup("shop");
	p->finished_at_us = AT_US + 5;
	p->first_file = m->file_count;
	p->first_object = m->object_count;
	return p;
}

static void end_a_part(const struct manifest *m, struct manifest_part *p)
{
	p->file_count = m->file_count - p->first_file;
	p->object_count = m->object_count - p->first_object;
}

/* heap: the path of a bundle with a dump, two more in a directory, one of which is a directory, and an archive. */
static char *add_bundle(struct fixture *f)
{
	_cleanup(manifest) struct manifest m = {0};
	struct manifest_part *p;
	size_t index;

	begin_at(&m, "backups/site", SECONDS * 1000, "", 7);
	mem_replace_string(&m.kind, "bundle");
	m.is_directory = true;
	p = begin_a_part(&m, "database.dump", "dump");
	p->facts = json_object_new();
	json_set_string(p->facts, "format", "custom");
	p->size_bytes = 42;
	add_part_file(&m, "database.dump");
	add_part_file(&m, "database.tables.csv");
	index = manifest_add_object(&m, "backups/site/x.index");
	m.objects[index].role = mem_strdup(MANIFEST_ROLE_SEGMENTS);
	end_a_part(&m, p);
	p = begin_a_part(&m, "tenants/acme", "dump");
	p->is_directory = true;
	add_part_file(&m, "tenants/acme/toc.dat");
	end_a_part(&m, p);
	p = begin_a_part(&m, "tenants/globex.sql.gz", "dump");
	add_part_file(&m, "tenants/globex.sql.gz");
	end_a_part(&m, p);
	p = begin_a_part(&m, "media/a.tar", "files");
	add_part_file(&m, "media/a.tar");
	end_a_part(&m, p);
	add_part_file(&m, "MANIFEST.txt");
	manifest_seal(&m);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	return mem_strdup(m.path);
}

static uint64_t ino_in(const char *bundle, const char *name)
{
	_cleanup(free) char *path = mem_printf("%s/%s", bundle, name);

	return ino_of_artifact(path);
}

static void assert_parts(struct fixture *f, const char *bundle)
{
	static const char *const names[] = {"database.dump", "tenants/acme", "tenants/globex.sql.gz",
	                                    "media/a.tar"};
	/* With the directories that are seen first with them. */
	static const int64_t firsts[] = {0, 2, 5, 6};
	static const uint64_t files[] = {2, 3, 1, 2};
	struct catalog_part part = {.number = -1};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(catalog_next_part(f->catalog, ino_of_artifact(bundle), part.number, &part),
		                 0);
		assert_string_equal(part.name, names[i]);
		assert_true(part.ino == ino_in(bundle, names[i]));
		assert_int_equal(part.first, firsts[i]);
		assert_int_equal(part.files, files[i]);
	}
	assert_int_equal(catalog_next_part(f->catalog, ino_of_artifact(bundle), part.number, &part), -ENOENT);
}

static void a_part_is_what_its_manifest_says(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *bundle = add_bundle(f);
	_cleanup(manifest) struct manifest m = {0}, whole = {0};
	struct catalog_part part;
	uint64_t ino = 0;

	assert_parts(f, bundle);
	assert_int_equal(catalog_part(f->catalog, ino_in(bundle, "database.dump"), &part, &m), 0);
	assert_true(part.artifact_ino == ino_of_artifact(bundle));
	assert_string_equal(m.job, "of the part");
	assert_string_equal(m.kind, "dump");
	assert_string_equal(manifest_fact(&m, "format"), "custom");
	assert_int_equal(m.size_bytes, 42);
	assert_int_equal(m.run_id, 7);
	assert_true(str_starts(m.path, bundle) && str_ends(m.path, "/database.dump"));
	assert_int_equal(catalog_part(f->catalog, ino_in(bundle, "database.tables.csv"), &part, NULL),
	                 -ENOENT);
	assert_int_equal(catalog_part(f->catalog, ino_of_artifact(bundle), &part, NULL), -ENOENT);
	assert_int_equal(catalog_backup_manifest(f->catalog, ino_of_artifact(bundle), &whole), 0);
	assert_string_equal(whole.kind, "bundle");
	assert_int_equal(catalog_artifact_of(f->catalog, ino_in(bundle, "database.tables.csv"), &ino), 0);
	assert_true(ino == ino_of_artifact(bundle));
}

static void it_is_found_by_its_name_without_suffix(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *bundle = add_bundle(f);
	uint64_t ino = ino_of_artifact(bundle);
	struct catalog_part part;

	assert_int_equal(catalog_part_by_stem(f->catalog, ino, "database", &part), 0);
	assert_string_equal(part.name, "database.dump");
	assert_int_equal(catalog_part_by_stem(f->catalog, ino, "tenants/acme", &part), 0);
	assert_int_equal(catalog_part_by_stem(f->catalog, ino, "tenants/globex", &part), 0);
	assert_string_equal(part.name, "tenants/globex.sql.gz");
	assert_int_equal(catalog_part_by_stem(f->catalog, ino, "tenants", &part), -ENOENT);
	assert_int_equal(catalog_part_by_stem(f->catalog, ino, "data", &part), -ENOENT);
	assert_int_equal(catalog_part_below(f->catalog, ino, "tenants", "dump", &part), 0);
	assert_int_equal(catalog_part_below(f->catalog, ino, "media", "dump", &part), -ENOENT);
	assert_int_equal(catalog_part_below(f->catalog, ino, "media", "files", &part), 0);
	assert_int_equal(catalog_part_below(f->catalog, ino, "tenant", "dump", &part), -ENOENT);
}

static void what_is_wrong_with_one_says_nothing_of_another(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *bundle = add_bundle(f), *of_one = NULL, *of_other = NULL;
	struct catalog_part part;

	assert_int_equal(
	        catalog_mark_damaged(f->catalog, ino_in(bundle, "database.tables.csv"), "made up", NULL), 0);
	assert_int_equal(catalog_part(f->catalog, ino_in(bundle, "database.dump"), &part, NULL), 0);
	of_one = catalog_part_damage(f->catalog, &part);
	assert_string_equal(of_one, "database.tables.csv: made up");
	assert_int_equal(catalog_part(f->catalog, ino_in(bundle, "tenants/acme"), &part, NULL), 0);
	of_other = catalog_part_damage(f->catalog, &part);
	assert_null(of_other);
	assert_true(catalog_is_damaged(f->catalog, ino_of_artifact(bundle)));
}

static void it_goes_with_the_artifact(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *bundle = add_bundle(f);
	uint64_t ino = ino_of_artifact(bundle), dump = ino_in(bundle, "database.dump"), found;
	struct catalog_part part;
	uint32_t number = 0, again = 0;

	assert_int_equal(catalog_inside_number(f->catalog, dump, &number, NULL), 0);
	assert_int_equal(catalog_inside_artifact(f->catalog, number, &found), 0);
	assert_true(found == dump);
	/* Listed anew, as after a rebuild, it is the same. */
	free(add_bundle(f));
	assert_parts(f, bundle);
	assert_int_equal(catalog_inside_number(f->catalog, dump, &again, NULL), 0);
	assert_int_equal(catalog_entomb_artifact(f->catalog, ino, NULL, NULL), 0);
	assert_int_equal(catalog_part(f->catalog, dump, &part, NULL), -ENOENT);
	assert_int_equal(catalog_inside_artifact(f->catalog, again, &found), -ENOENT);
	assert_int_equal(catalog_drop_artifact(f->catalog, ino, NULL), 0);
	assert_int_equal(catalog_next_part(f->catalog, ino, -1, &part), -ENOENT);
	assert_int_equal(catalog_artifact_of(f->catalog, dump, &found), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(a_part_is_what_its_manifest_says, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(it_is_found_by_its_name_without_suffix, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_wrong_with_one_says_nothing_of_another, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(it_goes_with_the_artifact, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Manifests of artifacts that consist of several: what is written reads back, a part can be taken for an artifact of its own, and nothing that
 * does not add up passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/listing.h>
#include <keepfs/codec/manifest.h>

#include "manifest_support.h"

#define BUNDLE "backups/site/20261120T020000Z"

static void add_object(struct manifest *m, const char *key, const char *role, uint32_t size)
{
	size_t index = manifest_add_object(m, key);
	struct manifest_object *o = &m->objects[index];

	o->role = mem_strdup(role);
	o->stored_bytes = size;
	memset(o->stored_sha256, 'a', SHA256_HEX_BYTES - 1);
	extents_append(&o->extents, size, 7);
}

static void add_file_of(struct manifest *m, const char *name, uint32_t size)
{
	struct manifest_file *f = manifest_add_file(m, name);
	_cleanup(free) char *key = manifest_file_path(m, f);

	f->size_bytes = size;
	memset(f->sha256, 'a', SHA256_HEX_BYTES - 1);
	f->object = m->object_count;
	add_object(m, key, NULL, size);
	m->size_bytes += size;
}

static struct manifest_part *begin_part(struct manifest *m, const char *name, const char *job,
                                        const char *kind)
{
	struct manifest_part *p = manifest_add_part(m, name);

	p->job = mem_strdup(job);
	p->kind = mem_strdup(kind);
	p->target = mem_strdup("what it is of");
	p->started_at_us = 1795140001000000;
	p->finished_at_us = 1795140002000000;
	p->first_file = m->file_count;
	p->first_object = m->object_count;
	memset(p->sha256, 'a', SHA256_HEX_BYTES - 1);
	return p;
}

static void end_part(const struct manifest *m, struct manifest_part *p)
{
	p->file_count = m->file_count - p->first_file;
	p->object_count = m->object_count - p->first_object;
}

static void make_bundle(struct manifest *m)
{
	struct manifest_part *p;
	size_t len;

	*m = (struct manifest){
	        .path = mem_strdup(BUNDLE),
	        .job = mem_strdup("site"),
	        .kind = mem_strdup("bundle"),
	        .target = mem_strdup("acme.example.com"),
	        .triggered_by = mem_strdup("scheduled"),
	        .keepfs_version = mem_strdup("0.9"),
	        .encrypted_to = mem_strdup("age1x"),
	        .is_directory = true,
	        .run_id = 17,
	        .started_at_us = 1795140000000000,
	        .finished_at_us = 1795140063000000,
	};
	manifest_set_fact(m, "deployment", "acme.example.com");
	p = begin_part(m, "database.dump", "database", "dump");
	p->facts = json_object_new();
	json_set_string(p->facts, "format", "custom");
	json_set_string(p->facts, MANIFEST_NAMING_FACT, "[[\"public.orders\",1,1]]");
	add_file_of(m, "database.dump", 100);
	add_file_of(m, "database.tables.csv", 10);
	add_object(m, BUNDLE "/database.dump.index", MANIFEST_ROLE_SEGMENTS, 5);
	add_object(m, BUNDLE "/database.dump.facts.age", MANIFEST_ROLE_FACTS, 6);
	p->size_bytes = 100;
	end_part(m, p);
	p = begin_part(m, "tenants/acme", "tenants", "dump");
	p->is_directory = true;
	add_file_of(m, "tenants/acme/3456.dat", 7);
	add_file_of(m, "tenants/acme/toc.dat", 8);
	p->size_bytes = 15;
	end_part(m, p);
	add_file_of(m, "MANIFEST.txt", 20);
	memset(m->sha256, 'a', SHA256_HEX_BYTES - 1);
	free(manifest_seal_extents(m, &len));
}

static void encode_bundle(struct str *text)
{
	_cleanup(manifest) struct manifest m = {0};

	make_bundle(&m);
	manifest_encode(&m, text);
}

static void decode_bundle(struct manifest *ret)
{
	_cleanup(str) struct str text = {0};
	struct error err = {0};

	encode_bundle(&text);
	if (manifest_decode(SOURCE, str_text(&text), text.len, ret, &err) < 0)
		fail_msg("%s", err.message);
}

static void test_it_reads_back(void **state)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str once = {0}, again = {0};

	encode_bundle(&once);
	decode_bundle(&m);
	assert_null(m.unknown);
	assert_int_equal(m.part_count, 2);
	assert_string_equal(m.parts[0].name, "database.dump");
	assert_string_equal(m.parts[0].kind, "dump");
	assert_string_equal(m.parts[0].target, "what it is of");
	assert_int_equal(m.parts[0].finished_at_us, 1795140002000000);
	assert_int_equal(m.parts[0].object_count, 4);
	assert_int_equal(m.parts[1].first_file, 2);
	assert_true(m.parts[1].is_directory);
	assert_int_equal(manifest_part(&m, "tenants/acme"), 1);
	assert_int_equal(manifest_part(&m, "tenants"), -ENOENT);
	assert_true(manifest_is_of_part(&m, 5));
	assert_false(manifest_is_of_part(&m, 6));
	/* Those of a part are not the whole's. */
	assert_null(manifest_object_of_role(&m, MANIFEST_ROLE_SEGMENTS));
	manifest_encode(&m, &again);
	assert_string_equal(str_text(&once), str_text(&again));
}

static void test_names_of_tables_are_not_written(void **state)
{
	_cleanup(str) struct str text = {0};

	encode_bundle(&text);
	assert_null(strstr(str_text(&text), "orders"));
	assert_non_null(strstr(str_text(&text), "custom"));
}

static void test_a_file_becomes_an_artifact(void **state)
{
	_cleanup(manifest) struct manifest m = {0};

	decode_bundle(&m);
	manifest_become_part(&m, 0);
	assert_string_equal(m.path, BUNDLE "/database.dump");
	assert_string_equal(m.job, "database");
	assert_string_equal(m.kind, "dump");
	assert_false(m.is_directory);
	assert_int_equal(m.part_count, 0);
	assert_int_equal(m.file_count, 2);
	assert_string_equal(m.files[0].name, "database.dump");
	assert_string_equal(m.files[1].name, "database.tables.csv");
	assert_int_equal(m.object_count, 4);
	assert_int_equal(m.objects[m.files[1].object].stored_bytes, 10);
	assert_int_equal(m.objects[1].extents.count, 1);
	assert_int_equal(manifest_object_of_role(&m, MANIFEST_ROLE_SEGMENTS)->stored_bytes, 5);
	assert_ptr_equal(manifest_own_object(&m), &m.objects[0]);
	assert_int_equal(m.size_bytes, 100);
	assert_string_equal(manifest_fact(&m, "format"), "custom");
	assert_null(manifest_fact(&m, "deployment"));
	assert_string_equal(m.encrypted_to, "age1x");
	assert_int_equal(m.run_id, 17);
}

static void test_a_directory_becomes_an_artifact(void **state)
{
	_cleanup(manifest) struct manifest m = {0};

	decode_bundle(&m);
	manifest_become_part(&m, 1);
	assert_string_equal(m.path, BUNDLE "/tenants/acme");
	assert_true(m.is_directory);
	assert_int_equal(m.file_count, 2);
	assert_string_equal(m.files[0].name, "3456.dat");
	assert_string_equal(m.files[1].name, "toc.dat");
	assert_int_equal(m.files[1].object, 1);
	assert_int_equal(m.objects[1].stored_bytes, 8);
	assert_null(manifest_fact(&m, "format"));
}

static void test_what_does_not_add_up_is_refused(void **state)
{
	static const struct {
		const char *from, *to, *word;
	} cases[] = {
	        {"\"name\": \"database.dump\", \"type\"", "\"name\": \"data\", \"type\"", "its own file"},
	        {"\"name\": \"database.dump\", \"type\"", "\"name\": \"../a\", \"type\"",
	         "no name of a file"},
	        {"\"name\": \"database.dump\", \"type\"", "\"name\": \"a/\", \"type\"", "no name of a file"},
	        {"\"name\": \"database.dump\", \"type\": \"file\"",
	         "\"name\": \"database.dump\", \"type\": \"pipe\"", "neither"},
	        {"\"name\": \"database.dump\", \"type\": \"file\"",
	         "\"name\": \"database.dump\", \"type\": \"directory\"", "called after it"},
	        {"\"name\": \"tenants/acme\", \"type\"", "\"name\": \"tenants/other\", \"type\"",
	         "called after it"},
	        {"\"job\": \"database\"", "\"job\": \"../x\"", "no name of a job"},
	        {"\"job\": \"database\"", "\"job\": 7", "no string"},
	        {"\"files\": [0, 2]", "\"files\": [0, 4]", "called after it"},
	        {"\"files\": [0, 2]", "\"files\": [0, 9]", "no range"},
	        {"\"files\": [0, 2]", "\"files\": [-1, 2]", "no range"},
	        {"\"files\": [0, 2]", "\"files\": [0]", "no range"},
	        {"\"files\": [0, 2]", "\"files\": [\"0\", 2]", "no range"},
	        {"\"files\": [0, 2]", "\"files\": [9223372036854775807, 9223372036854775807]", "no range"},
	        {"\"files\": [2, 2]", "\"files\": [1, 3]", "no range"},
	        {"\"objects\": [0, 4]", "\"objects\": [1, 3]", "lacks"},
	        {"\"objects\": [0, 4]", "\"objects\": [0, 5]", "no range"},
	        {"\"size\": 100, \"sha256\": \"aaaa", "\"size\": 101, \"sha256\": \"aaaa", "its own file"},
	};
	_cleanup(str) struct str text = {0};

	encode_bundle(&text);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_refused(str_text(&text), cases[i].from, cases[i].to, EBADMSG, cases[i].word);
}

static void test_a_file_has_no_parts(void **state)
{
	_cleanup(str) struct str text = {0};
	struct manifest m = {.path = mem_strdup("backups/full/20261120T020000Z.dump"),
	                     .job = mem_strdup("full"),
	                     .kind = mem_strdup("dump"),
	                     .target = mem_strdup("x"),
	                     .triggered_by = mem_strdup("x"),
	                     .keepfs_version = mem_strdup("x"),
	                     .started_at_us = 1795140000000000,
	                     .finished_at_us = 1795140063000000};
	struct manifest_part *p;
	size_t len;

	add_file_of(&m, "20261120T020000Z.dump", 5);
	str_copy(m.sha256, sizeof(m.sha256), m.files[0].sha256);
	p = begin_part(&m, "x", "x", "x");
	end_part(&m, p);
	free(manifest_seal_extents(&m, &len));
	manifest_encode(&m, &text);
	manifest_finish(&m);
	assert_refused(str_text(&text), "\"parts\"", "\"parts\"", EBADMSG, "no list of parts of a directory");
}

static void test_what_is_not_known_is_named(void **state)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0}, changed = {0};
	const char *at;
	struct error err = {0};

	encode_bundle(&text);
	at = strstr(str_text(&text), "\"job\": \"database\"");
	str_append_bytes(&changed, text.data, (size_t)(at - text.data));
	str_append(&changed, "\"later\":1,");
	str_append(&changed, at);
	assert_int_equal(manifest_decode(SOURCE, str_text(&changed), changed.len, &m, &err), 0);
	assert_string_equal(m.unknown, "parts[].later");
}

/* What it has is in its listing, beside the manifest of the whole, and in packs that others may need, too. */
static void make_with_mirror(struct manifest *m)
{
	struct manifest_part *p;
	size_t len;

	make_bundle(m);
	free(m->extents_key);
	m->extents_key = NULL;
	p = begin_part(m, "my=2Edocs", "my.docs", LISTING_KIND_MIRROR);
	p->is_directory = true;
	p->sha256[0] = '\0';
	p->size_bytes = 4000;
	m->size_bytes += 4000;
	add_object(m, "manifests/" BUNDLE ".contents.my=2Edocs.zst", MANIFEST_ROLE_LISTING, 50);
	add_object(m, "manifests/" BUNDLE ".contents.my=2Edocs.index", MANIFEST_ROLE_LISTING_INDEX, 51);
	end_part(m, p);
	m->needs = json_object_new();
	json_set_string(m->needs, "packs/my.docs/20261120T020000Z", "1-3");
	json_set_string(m->needs, "packs/my.docs2/20261120T020000Z", "1");
	free(manifest_seal_extents(m, &len));
}

static void test_a_mirror_becomes_an_artifact(void **state)
{
	_cleanup(manifest) struct manifest made = {0}, m = {0};
	_cleanup(str) struct str text = {0};
	struct error err = {0};

	make_with_mirror(&made);
	manifest_encode(&made, &text);
	if (manifest_decode(SOURCE, str_text(&text), text.len, &m, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(m.size_bytes, 4145);
	assert_ptr_equal(manifest_part_of_object(&m, m.object_count - 1), &m.parts[2]);
	assert_null(manifest_part_of_object(&m, 6));
	assert_null(manifest_part_of_object(&m, m.object_count));
	assert_null(manifest_object_of_role(&m, MANIFEST_ROLE_LISTING));
	manifest_become_part(&m, 2);
	assert_string_equal(m.path, BUNDLE "/my=2Edocs");
	assert_string_equal(m.job, "my.docs");
	assert_int_equal(m.file_count, 0);
	assert_int_equal(m.size_bytes, 4000);
	assert_int_equal(manifest_object_of_role(&m, MANIFEST_ROLE_LISTING)->stored_bytes, 50);
	assert_string_equal(json_first_key(m.needs), "packs/my.docs/20261120T020000Z");
	assert_null(json_next_key(m.needs, json_first_key(m.needs)));
	manifest_finish(&m);
	m = (struct manifest){0};
	if (manifest_decode(SOURCE, str_text(&text), text.len, &m, &err) < 0)
		fail_msg("%s", err.message);
	manifest_become_part(&m, 0);
	assert_null(m.needs);
}

static void test_a_mirror_is_no_less_than_its_files(void **state)
{
	_cleanup(manifest) struct manifest made = {0}, m = {0};
	_cleanup(str) struct str text = {0};
	struct error err = {0};

	make_with_mirror(&made);
	made.size_bytes = 144;
	manifest_encode(&made, &text);
	assert_int_equal(manifest_decode(SOURCE, str_text(&text), text.len, &m, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "of a directory is less than that of its files"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_it_reads_back),
	        cmocka_unit_test(test_names_of_tables_are_not_written),
	        cmocka_unit_test(test_a_file_becomes_an_artifact),
	        cmocka_unit_test(test_a_directory_becomes_an_artifact),
	        cmocka_unit_test(test_a_mirror_becomes_an_artifact),
	        cmocka_unit_test(test_a_mirror_is_no_less_than_its_files),
	        cmocka_unit_test(test_what_does_not_add_up_is_refused),
	        cmocka_unit_test(test_a_file_has_no_parts),
	        cmocka_unit_test(test_what_is_not_known_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

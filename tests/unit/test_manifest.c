// SPDX-License-Identifier: Apache-2.0
/* Manifests: what is written reads back; what a later keepfs adds is read as far as it is known; nothing that is
 * cut, of a wrong type or does not add up passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/manifest.h>

#include "manifest_support.h"

static void seal_extents(struct manifest *m)
{
	size_t len;

	free(manifest_seal_extents(m, &len));
}

/* A file and its object. */
static struct manifest_object *add_file(struct manifest *m, const char *name, uint32_t size, char digit)
{
	struct manifest_file *f = manifest_add_file(m, name);
	_cleanup(free) char *key = manifest_file_path(m, f);
	struct manifest_object *o;

	f->object = manifest_add_object(m, key);
	f->size_bytes = size;
	memset(f->sha256, digit, SHA256_HEX_BYTES - 1);
	o = &m->objects[f->object];
	o->stored_bytes = size;
	memset(o->stored_sha256, digit, SHA256_HEX_BYTES - 1);
	for (uint32_t left = size; left > 0;) {
		uint32_t n = left < EXTENT_MAX_BYTES ? left : EXTENT_MAX_BYTES;

		extents_append(&o->extents, n, n + 1);
		left -= n;
	}
	return o;
}

static void describe(struct manifest *m, const char *path, bool is_directory)
{
	*m = (struct manifest){
	        .path = mem_strdup(path),
	        .job = mem_strdup("full"),
	        .kind = mem_strdup("dump"),
	        .target = mem_strdup("prim\xc3\xa4r \"x\""),
	        .triggered_by = mem_strdup("uid 0 (bash)"),
	        .keepfs_version = mem_strdup("0.2.0"),
	        .is_directory = is_directory,
	        .run_id = 17,
	        .started_at_us = 1795140000000001,
	        .finished_at_us = 1795140063123456,
	};
	manifest_set_fact(m, "database", m->target);
	manifest_set_fact(m, "format", is_directory ? "directory" : "custom");
	manifest_set_fact(m, "system_identifier", NULL);
	manifest_set_fact_int(m, "rows", 12345);
}

static void make_file(struct manifest *m)
{
	describe(m, "backups/full/20261120T020000Z.dump", false);
	add_file(m, "20261120T020000Z.dump", EXTENT_MAX_BYTES + 5, 'a');
	m->size_bytes = m->files[0].size_bytes;
	str_copy(m->sha256, sizeof(m->sha256), m->files[0].sha256);
	seal_extents(m);
}

/* With files beside it, one of them not read back, and an object that is not shown. */
static void make_beside(struct manifest *m)
{
	size_t index;

	make_file(m);
	m->note = mem_strdup("before the upgrade");
	m->partial = true;
	m->verified_at_us = 1795140070000000;
	add_file(m, "20261120T020000Z.tables.csv", 300, 'b');
	add_file(m, "20261120T020000Z.globals.sql.gz", 40, 'c')->stored_sha256[0] = '\0';
	m->files[2].sha256[0] = '\0';
	m->files[1].secret = true;
	index = manifest_add_object(m, "manifests/backups/full/20261120T020000Z.dump.index");
	m->objects[index].role = mem_strdup(MANIFEST_ROLE_SEGMENTS);
	m->objects[index].stored_bytes = 9;
	extents_append(&m->objects[index].extents, 9, 9);
	seal_extents(m);
}

static void make_directory(struct manifest *m)
{
	describe(m, "backups/full/20261120T020000Z", true);
	memset(m->sha256, 'f', SHA256_HEX_BYTES - 1);
	add_file(m, "toc.dat", 70, 'b');
	add_file(m, "base/3456 \xc3\xa4.dat.gz", EXTENT_MAX_BYTES + 30, 'c');
	add_file(m, "empty", 0, 'd');
	manifest_add_file(m, "base/none/");
	m->size_bytes = 70 + EXTENT_MAX_BYTES + 30;
	seal_extents(m);
}

/* Encrypted: what is stored is longer than what is shown. */
static void make_encrypted(struct manifest *m)
{
	describe(m, "backups/full/20261120T020000Z.dump", false);
	add_file(m, "20261120T020000Z.dump", 1240, 'a');
	m->objects[0].cipher = mem_strdup("age");
	m->files[0].size_bytes = m->size_bytes = 1000;
	str_copy(m->sha256, sizeof(m->sha256), m->files[0].sha256);
	mem_replace_string(&m->objects[0].key, "backups/full/20261120T020000Z.dump.age");
	seal_extents(m);
}

static void assert_same_extents(const struct extents *a, const struct extents *b)
{
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->total_bytes, b->total_bytes);
	for (size_t i = 0; i < a->count; i++)
		assert_memory_equal(&a->items[i], &b->items[i], sizeof(a->items[i]));
}

static void assert_same_objects(const struct manifest *a, const struct manifest *b, bool loaded)
{
	assert_int_equal(a->object_count, b->object_count);
	for (size_t i = 0; i < a->object_count; i++) {
		const struct manifest_object *x = &a->objects[i], *y = &b->objects[i];

		assert_string_equal(x->key, y->key);
		assert_true(str_equal(x->role, y->role));
		assert_true(str_equal(x->cipher, y->cipher));
		assert_int_equal(x->stored_bytes, y->stored_bytes);
		assert_string_equal(x->stored_sha256, y->stored_sha256);
		assert_int_equal(x->extents_count, y->extents_count);
		if (loaded)
			assert_same_extents(&x->extents, &y->extents);
	}
}

static void assert_same_files(const struct manifest *a, const struct manifest *b)
{
	assert_int_equal(a->file_count, b->file_count);
	for (size_t i = 0; i < a->file_count; i++) {
		assert_string_equal(a->files[i].name, b->files[i].name);
		assert_int_equal(a->files[i].size_bytes, b->files[i].size_bytes);
		assert_string_equal(a->files[i].sha256, b->files[i].sha256);
		assert_int_equal(a->files[i].object, b->files[i].object);
		assert_int_equal(a->files[i].secret, b->files[i].secret);
	}
}

static void assert_same_facts(const struct manifest *a, const struct manifest *b)
{
	_cleanup(str) struct str x = {0}, y = {0};

	json_write(a->facts, 0, &x);
	json_write(b->facts, 0, &y);
	assert_string_equal(str_text(&x), str_text(&y));
}

static void assert_same(const struct manifest *a, const struct manifest *b, bool loaded)
{
	assert_same_files(a, b);
	assert_same_objects(a, b, loaded);
	assert_same_facts(a, b);
	assert_string_equal(a->path, b->path);
	assert_string_equal(a->job, b->job);
	assert_string_equal(a->kind, b->kind);
	assert_string_equal(a->target, b->target);
	assert_string_equal(a->triggered_by, b->triggered_by);
	assert_string_equal(a->keepfs_version, b->keepfs_version);
	assert_true(str_equal(a->note, b->note));
	assert_int_equal(a->partial, b->partial);
	assert_int_equal(a->is_directory, b->is_directory);
	assert_int_equal(a->run_id, b->run_id);
	assert_int_equal(a->started_at_us, b->started_at_us);
	assert_int_equal(a->finished_at_us, b->finished_at_us);
	assert_int_equal(a->verified_at_us, b->verified_at_us);
	assert_int_equal(a->size_bytes, b->size_bytes);
	assert_string_equal(a->sha256, b->sha256);
	assert_string_equal(a->extents_sha256, b->extents_sha256);
	assert_true(str_equal(a->extents_key, b->extents_key));
}

static void encode(void (*make)(struct manifest *), struct manifest *m, struct str *text)
{
	make(m);
	manifest_encode(m, text);
}

static void manifests_read_back(void **state)
{
	static void (*const make[])(struct manifest *) = {make_file, make_beside, make_directory,
	                                                  make_encrypted};

	for (size_t i = 0; i < ARRAY_SIZE(make); i++) {
		_cleanup(manifest) struct manifest m = {0}, back = {0};
		_cleanup(str) struct str text = {0};
		struct error err = {0};

		encode(make[i], &m, &text);
		if (manifest_decode(SOURCE, text.data, text.len, &back, &err) < 0)
			fail_msg("%s", err.message);
		assert_same(&m, &back, true);
		assert_null(back.unknown);
	}
}

static void an_artifact_knows_its_objects(void **state)
{
	_cleanup(manifest) struct manifest beside = {0}, directory = {0};

	make_beside(&beside);
	make_directory(&directory);
	assert_ptr_equal(manifest_own_object(&beside), &beside.objects[0]);
	assert_null(manifest_own_object(&directory));
	assert_ptr_equal(manifest_object_of_role(&beside, MANIFEST_ROLE_SEGMENTS), &beside.objects[3]);
	assert_null(manifest_object_of_role(&directory, MANIFEST_ROLE_SEGMENTS));
	assert_int_equal(manifest_stored_bytes(&beside), EXTENT_MAX_BYTES + 5 + 300 + 40 + 9);
	manifest_drop_last_file(&beside);
	assert_int_equal(beside.file_count, 2);
}

static void facts_are_text_numbers_and_flags(void **state)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str number = {0};

	assert_null(manifest_fact(&m, "database"));
	make_file(&m);
	assert_string_equal(manifest_fact(&m, "database"), "prim\xc3\xa4r \"x\"");
	assert_null(manifest_fact(&m, "system_identifier"));
	assert_null(manifest_fact(&m, "rows"));
	assert_true(json_scalar_text(json_get(m.facts, "rows"), &number));
	assert_string_equal(str_text(&number), "12345");
}

/* A stored example of what a keepfs may write that is years younger than this one. */
static void what_a_later_keepfs_adds_is_named_and_passed_over(void **state)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0}, flag = {0};
	struct error err = {0};

	read_text(TEST_DATA "/manifest-v2-future.json", &text);
	if (manifest_decode(SOURCE, str_text(&text), text.len, &m, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(m.kind, "snapshot");
	assert_string_equal(m.unknown, "previous, witness, objects[].shared, files[].mode, files[].pieces");
	assert_string_equal(m.objects[m.files[0].object].cipher, "age");
	assert_int_equal(m.files[1].object, MANIFEST_NO_OBJECT);
	assert_string_equal(m.files[2].name, "pg_twophase/");
	assert_string_equal(m.objects[2].role, "page-sums");
	assert_int_equal(m.objects[1].extents.total_bytes, 700);
	assert_true(json_scalar_text(json_get(m.facts, "full_page_writes"), &flag));
	assert_string_equal(str_text(&flag), "yes");
	assert_false(json_scalar_text(json_get(m.facts, "lsn"), &flag));
}

static void what_is_not_known_stays_unknown(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};

	make_file(&m);
	m.sha256[0] = m.files[0].sha256[0] = m.objects[0].stored_sha256[0] = '\0';
	manifest_encode(&m, &text);
	assert_non_null(strstr(text.data, "\"sha256\": null"));
	assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &back, NULL), 0);
	assert_same(&m, &back, true);
}

/* What says nothing was written when the name alone said it. */
static void what_is_secret_is_said_or_known_by_its_name(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, told = {0}, silent = {0};
	_cleanup(str) struct str text = {0};
	_cleanup(free) char *without = NULL;

	encode(make_beside, &m, &text);
	assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &told, NULL), 0);
	assert_true(told.files[1].secret);
	assert_false(told.files[0].secret || told.files[2].secret);
	without = mem_strdup(text.data);
	for (char *at = without; (at = strstr(at, "\"secret\"")); at++)
		at[1] = 'x';
	assert_int_equal(manifest_decode(SOURCE, without, text.len, &silent, NULL), 0);
	assert_true(silent.files[2].secret);
	assert_false(silent.files[0].secret || silent.files[1].secret);
	assert_string_equal(silent.unknown, "files[].xecret");
}

static void table_of_its_own_is_loaded_later(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};
	_cleanup(free) uint8_t *encoded = NULL;
	size_t len;

	make_file(&m);
	m.extents_key = manifest_extents_key(m.path);
	encoded = extents_encode(&m.objects[0].extents, &len);
	manifest_encode(&m, &text);
	assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &back, NULL), 0);
	assert_same(&m, &back, false);
	assert_int_equal(back.objects[0].extents.count, 0);
	assert_int_equal(manifest_load_extents("x", encoded, len - 8, &back, NULL), -EBADMSG);
	assert_int_equal(manifest_load_extents("x", encoded, len, &back, NULL), 0);
	assert_same(&m, &back, true);
}

static void a_table_of_many_files_is_loaded_later(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};
	_cleanup(free) uint8_t *encoded = NULL;
	size_t len;

	make_directory(&m);
	m.extents_key = manifest_extents_key(m.path);
	encoded = manifest_seal_extents(&m, &len);
	assert_int_equal(len, 3 * 8); /* 1, 2 and 0 extents */
	manifest_encode(&m, &text);
	assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &back, NULL), 0);
	assert_int_equal(back.objects[1].extents.count, 0);
	assert_int_equal(manifest_load_extents("x", encoded, len - 8, &back, NULL), -EBADMSG);
	assert_int_equal(manifest_load_extents("x", encoded, len, &back, NULL), 0);
	assert_same_extents(&m.objects[1].extents, &back.objects[1].extents);
}

static void every_truncation_is_refused(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};

	make_beside(&m);
	manifest_encode(&m, &text);
	for (size_t len = 0; len < text.len - 1; len++) { /* the last byte is a line end */
		struct error err = {0};

		assert_int_equal(manifest_decode(SOURCE, text.data, len, &back, &err), -EBADMSG);
		assert_non_null(strstr(err.message, SOURCE));
		assert_null(back.path);
	}
}

static void refuse_all(void (*make)(struct manifest *), const char *const (*cases)[3], size_t count)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0};

	encode(make, &m, &text);
	for (size_t i = 0; i < count; i++)
		assert_refused(text.data, cases[i][0], cases[i][1], EBADMSG, cases[i][2]);
}

static void wrong_fields_are_named(void **state)
{
	static const char *const cases[][3] = {
	        {"\"version\": 2", "\"version\": 0", "version"},
	        {"\"version\": 2", "\"version\": \"2\"", "version"},
	        {"\"path\": \"backups/full/", "\"path\": \"backups/../", "path"},
	        {"\"path\": \"backups/full/", "\"path\": \"/backups/full/", "path"},
	        {"\"path\": \"backups/full/", "\"path\": \"backups//full/", "path"},
	        {"\"path\": \"backups/full/", "\"path\": \"backups/", "path"},
	        {"\"path\": \"backups/full/", "\"path\": \"manifests/full/", "path"},
	        {"\"path\": \"backups/full/20261120T020000Z.dump\"", "\"path\": \"backups/full/x.\"", "path"},
	        {"\"path\":", "\"other\":", "path"},
	        {"\"type\": \"file\"", "\"type\": \"pipe\"", "type"},
	        {"\"type\": \"file\"", "\"typ\": \"file\"", "type"},
	        {"\"job\": \"full\"", "\"job\": \"a/b\"", "job"},
	        {"\"job\": \"full\"", "\"job\": 7", "job"},
	        {"\"kind\": \"dump\"", "\"kind\": null", "kind"},
	        {"\"target\":", "\"targets\":", "target"},
	        {"\"run\": 17", "\"run\": -1", "run"},
	        {"\"run\": 17", "\"run\": 1.5", "run"},
	        {"\"run\": 17", "\"run\": 281474976710657", "larger than the number of any run"},
	        {"\"triggered_by\":", "\"tb\":", "triggered_by"},
	        {"\"keepfs_version\":", "\"kv\":", "keepfs_version"},
	        {"\"partial\": false", "\"partial\": 0", "partial"},
	        {"\"started_at\": \"2026", "\"started_at\": \"20x6", "started_at"},
	        {"\"finished_at\": \"2026", "\"finished_at\": \"", "finished_at"},
	        {"\"verified_at\": null", "\"verified_at\": 5", "verified_at"},
	        {"\"size\": 1048581", "\"size\": -1", "size"},
	        {"\"size\": 1048581", "\"size\": 99999999999999999999", "JSON"},
	        {"\"size\": 1048581", "\"size\": 1048580", "own file"},
	        {"\"sha256\": \"aa", "\"sha256\": \"a", "sha256"},
	        {"\"sha256\": \"aa", "\"sha256\": \"aaa", "sha256"},
	        {"\"sha256\": \"aa", "\"sha256\": \"aA", "sha256"},
	        {"\"sha256\": \"aa", "\"sha256\": \"ab", "own file"},
	        {"\"facts\": {", "\"facts\": [], \"fact\": {", "facts"},
	        {"\"object\": 0", "\"object\": 1", "objects"},
	        {"\"object\": 0", "\"object\": -1", "object"},
	        {"\"object\": 0", "\"object\": \"x\"", "object"},
	        {"\"key\":", "\"keys\":", "key"},
	        {"\"key\": \"backups/", "\"key\": \"/backups/", "key"},
	        {"\"key\": \"backups/", "\"key\": \"../backups/", "key"},
	        {"\"key\": \"backups/", "\"key\": \"backups/./", "key"},
	        {"\"key\": \"backups/", "\"key\": \"backups//", "key"},
	        {"\"key\": \"backups/full/", "\"key\": \"backups/full\\n/", "key"},
	        {"\"key\": \"backups/full/20261120T020000Z.dump\"",
	         "\"key\": \"manifests/backups/full/20261120T020000Z.dump.json\"", "key"},
	        {"\"key\": \"backups/full/20261120T020000Z.dump\"",
	         "\"key\": \"manifests/backups/full/20261121T020000Z.dump.index\"", "key"},
	        {"\"extents\": 2", "\"extents\": 3", "not as many"},
	        {"\"extents\": 2", "\"extents\": 1", "not as many"},
	        {"\"extents\": 2", "\"extent\": 2", "extents"},
	        {"\"extents\": {", "\"extent\": {", "sha256"},
	        {"\"table\": \"AAAQ", "\"table\": \"AAAR", "SHA-256"},
	        {"\"table\": \"AAAQ", "\"table\": \"AA*Q", "base64"},
	        {"\"table\": \"AAAQ", "\"table\": \"AAQ", "base64"},
	        {"\"table\":", "\"tables\":", "neither"},
	        {"\"table\":", "\"object\": \"x\", \"table\":", "as well"},
	        {"\"table\":", "\"object\":", "own"},
	};
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0};

	refuse_all(make_file, cases, ARRAY_SIZE(cases));
	encode(make_file, &m, &text);
	assert_refused(text.data, "\"version\": 2", "\"version\": 3", ENOTSUP, "newer");
}

static void wrong_files_are_refused(void **state)
{
#define CSV "\"name\": \"20261120T020000Z.tables.csv\""
	static const char *const beside[][3] = {
	        {CSV, "\"name\": \"20261120T020000Z-2.tables.csv\"", "name"},
	        {CSV, "\"name\": \"tables.csv\"", "name"},
	        {CSV, "\"name\": \"20261120T020000Z.\"", "name"},
	        {CSV, "\"name\": \"20261120T020000Z\"", "name"},
	        {CSV, "\"name\": \"20261120T020000Z.dump\"", "name"},
	        {CSV, "\"name\": \"20261120T020000Z./x\"", "name"},
	        {CSV, "\"name\": \"\"", "name"},
	        {CSV, "\"name\": 7", "name"},
	        {CSV, "\"name\": \"20261120T020000Z.globals.sql.gz\"", "twice"},
	        {"\"name\": \"20261120T020000Z.dump\"", "\"name\": \"20261120T020000Z.sql\"", "own file"},
	        {"\"size\": 300", "\"size\": 301", "object"},
	        {"\"size\": 300", "\"size\": -1", "size"},
	        {"\"sha256\": \"bb", "\"sha256\": \"b", "sha256"},
	        {"\"sha256\": \"bb", "\"sha\": \"bb", "sha256"},
	        {"\"extents\": 1}", "\"extents\": 0}", "not as many"},
	        {"\"extents\": 1}", "\"extents\": 9223372036854775807}", "not as many"},
	        {CSV, CSV ",", "not valid JSON at line"},
	        {"\"files\": [", "\"files\": [7, ", "size"},
	        {"\"files\":", "\"file\":", "own file"},
	};
	static const char *const directory[][3] = {
	        {"\"toc.dat\"", "\"../toc.dat\"", "name"},
	        {"\"toc.dat\"", "\"..\"", "name"},
	        {"\"toc.dat\"", "\"a//b\"", "name"},
	        {"\"toc.dat\"", "\"/a\"", "name"},
	        {"\"toc.dat\"", "\"a/./b\"", "name"},
	        {"\"toc.dat\"", "\"a\\tb\"", "name"},
	        {"\"toc.dat\"", "\"\"", "name"},
	        {"\"toc.dat\"", "\"/\"", "name"},
	        {"\"toc.dat\"", "\"empty\"", "twice"},
	        {"\"toc.dat\"", "\"base\"", "twice"},
	        {"\"toc.dat\"", "\"empty/x\"", "twice"},
	        {"\"toc.dat\"", "\"base/none/x\"", "twice"},
	        {"\"size\": 1048676", "\"size\": 1048677", "sum"},
	        {"\"type\": \"directory\"", "\"type\": \"file\"", "own file"},
	        {"\"files\":", "\"file\":", "empty"},
	};

	refuse_all(make_beside, beside, ARRAY_SIZE(beside));
	refuse_all(make_directory, directory, ARRAY_SIZE(directory));
}

static void files_beside_are_few(void **state)
{
	for (int count = MANIFEST_BESIDE_MAX; count <= MANIFEST_BESIDE_MAX + 1; count++) {
		_cleanup(manifest) struct manifest m = {0}, back = {0};
		_cleanup(str) struct str text = {0};

		make_file(&m);
		for (int i = 0; i < count; i++) {
			char name[64];

			snprintf(name, sizeof(name), "20261120T020000Z.%d", i);
			add_file(&m, name, 1, 'e');
		}
		seal_extents(&m);
		manifest_encode(&m, &text);
		assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &back, NULL),
		                 count > MANIFEST_BESIDE_MAX ? -EBADMSG : 0);
	}
}

static void everything_of_an_artifact_begins_with_its_stem(void **state)
{
	static const char *const cases[][2] = {
	        {"backups/full/20261120T020000Z.dump", "backups/full/20261120T020000Z"},
	        {"backups/full/20261120T020000Z-2.schema.dump", "backups/full/20261120T020000Z-2"},
	        {"backups/media/2024=2E01=2E15.tar.gz", "backups/media/2024=2E01=2E15"},
	        {"backups/v1.2/20261120T020000Z", "backups/v1.2/20261120T020000Z"},
	};
	_cleanup(manifest) struct manifest file = {0}, directory = {0};
	_cleanup(free) char *beside = NULL, *within = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *stem = manifest_stem(cases[i][0]);

		assert_string_equal(stem, cases[i][1]);
	}
	make_beside(&file);
	beside = manifest_file_path(&file, &file.files[1]);
	assert_string_equal(beside, "backups/full/20261120T020000Z.tables.csv");
	make_directory(&directory);
	within = manifest_file_path(&directory, &directory.files[0]);
	assert_string_equal(within, "backups/full/20261120T020000Z/toc.dat");
}

static void other_json_is_refused(void **state)
{
	static const char *const texts[] = {"[]", "1", "null", "\"x\"", "{}", "{\"version\": 1}"};
	_cleanup(manifest) struct manifest m = {0};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(manifest_decode("x", texts[i], strlen(texts[i]), &m, NULL), -EBADMSG);
}

static void some_keys_lie_beside_a_manifest(void **state)
{
	_cleanup(free) char *extents = manifest_extents_key("backups/a/x.dump"),
	                    *index = manifest_index_key("backups/a/x.dump"),
	                    *key = manifest_key("backups/a/x.dump");

	assert_true(manifest_is_beside(extents, "backups/a/x.dump"));
	assert_true(manifest_is_beside(index, "backups/a/x.dump"));
	assert_false(manifest_is_beside(key, "backups/a/x.dump"));
	assert_false(manifest_is_beside(index, "backups/a/x"));
	assert_false(manifest_is_beside("backups/a/x.dump.index", "backups/a/x.dump"));
	/* Whoever lists keys in their order has seen them when the manifest comes. */
	assert_true(strcmp(extents, key) < 0 && strcmp(index, key) < 0);
}

static void keys_belong_to_paths(void **state)
{
	static const char *const none[] = {
	        "",
	        "manifests/",
	        ".json",
	        "manifests/.json",
	        "manifests/backups/full/20261120T020000Z.dump",
	        "manifests/backups/full/20261120T020000Z.dump.extents",
	        "backups/full/20261120T020000Z.dump.json",
	        "manifests/backups/full/x..json",
	        "manifests/backups/full/latest.dump.json",
	        "manifests/backups/full/SHA256SUMS.json",
	        "manifests/imports/full/20261120T020000Z.dump.json",
	        "manifests/exports/20261120T020000Z.json.gz.json",
	        "manifests/backups/20261120T020000Z.dump.json",
	        "manifests/backups/a/../20261120T020000Z.dump.json",
	};
	_cleanup(free) char *key = manifest_key("backups/db/a=20b/20261120T020000Z.dump");
	_cleanup(free) char *path = manifest_path_of_key(key);
	_cleanup(free) char *directory = manifest_path_of_key("manifests/backups/a/20261120T020000Z-2.json");

	_cleanup(free) char *named = manifest_path_of_key("manifests/backups/media/2024-01.tar.gz.json");

	assert_string_equal(named, "backups/media/2024-01.tar.gz");
	assert_string_equal(directory, "backups/a/20261120T020000Z-2");
	assert_string_equal(key, "manifests/backups/db/a=20b/20261120T020000Z.dump.json");
	assert_string_equal(path, "backups/db/a=20b/20261120T020000Z.dump");
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_null(manifest_path_of_key(none[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(manifests_read_back),
	        cmocka_unit_test(an_artifact_knows_its_objects),
	        cmocka_unit_test(facts_are_text_numbers_and_flags),
	        cmocka_unit_test(what_a_later_keepfs_adds_is_named_and_passed_over),
	        cmocka_unit_test(what_is_not_known_stays_unknown),
	        cmocka_unit_test(what_is_secret_is_said_or_known_by_its_name),
	        cmocka_unit_test(table_of_its_own_is_loaded_later),
	        cmocka_unit_test(a_table_of_many_files_is_loaded_later),
	        cmocka_unit_test(every_truncation_is_refused),
	        cmocka_unit_test(wrong_fields_are_named),
	        cmocka_unit_test(wrong_files_are_refused),
	        cmocka_unit_test(files_beside_are_few),
	        cmocka_unit_test(everything_of_an_artifact_begins_with_its_stem),
	        cmocka_unit_test(other_json_is_refused),
	        cmocka_unit_test(some_keys_lie_beside_a_manifest),
	        cmocka_unit_test(keys_belong_to_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Manifests and extent tables: what is written reads back; nothing that is cut, of a wrong type or does not
 * add up passes. */
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

#define SOURCE "manifests/backups/full/20261120T020000Z.dump.json"

static void seal_extents(struct manifest *m)
{
	size_t len;

	free(manifest_seal_extents(m, &len));
}

static void make_manifest(struct manifest *m)
{
	*m = (struct manifest){
	        .path = mem_strdup("backups/full/20261120T020000Z.dump"),
	        .job = mem_strdup("full"),
	        .kind = mem_strdup("dump"),
	        .database = mem_strdup("prim\xc3\xa4r \"x\""),
	        .server_version = mem_strdup("15.18 (Debian 15.18-0+deb12u1)"),
	        .tool_version = mem_strdup("15.18"),
	        .system_identifier = mem_strdup("7301234567890123456"),
	        .triggered_by = mem_strdup("uid 0 (bash)"),
	        .format = mem_strdup("custom"),
	        .content = mem_strdup("full"),
	        .compression = mem_strdup("gzip"),
	        .keepfs_version = mem_strdup("0.1.0"),
	        .run_id = 17,
	        .started_at_us = 1795140000000001,
	        .finished_at_us = 1795140063123456,
	        .size_bytes = EXTENT_MAX_BYTES + 5,
	        .stored_bytes = EXTENT_MAX_BYTES + 5,
	};
	memset(m->sha256, 'a', SHA256_HEX_BYTES - 1);
	memset(m->stored_sha256, '0', SHA256_HEX_BYTES - 1);
	extents_append(&m->extents, EXTENT_MAX_BYTES, 0xdeadbeef);
	extents_append(&m->extents, 5, 0x01020304);
	seal_extents(m);
}

static void add_file(struct manifest *m, const char *name, uint32_t size, char digit)
{
	struct manifest_file *f = manifest_add_file(m, name);

	f->size_bytes = size;
	memset(f->sha256, digit, SHA256_HEX_BYTES - 1);
	if (size > 0)
		extents_append(&f->extents, size, size + 1);
}

/* With files beside it, one of them not read back. */
static void make_with_files(struct manifest *m)
{
	make_manifest(m);
	mem_replace_string(&m->format, "plain");
	mem_replace_string(&m->compression, "zstd:1");
	m->note = mem_strdup("before the upgrade");
	m->partial = true;
	m->verified_at_us = 1795140070000000;
	add_file(m, "20261120T020000Z.tables.csv", 300, 'b');
	add_file(m, "20261120T020000Z.globals.sql.gz", 40, 'c');
	m->files[1].sha256[0] = '\0';
	seal_extents(m);
}

static void make_directory(struct manifest *m)
{
	make_manifest(m);
	mem_replace_string(&m->path, "backups/full/20261120T020000Z");
	mem_replace_string(&m->format, "directory");
	m->is_directory = true;
	m->size_bytes = 1048676;
	m->stored_bytes = 0;
	m->stored_sha256[0] = '\0';
	extents_finish(&m->extents);
	add_file(m, "toc.dat", 70, 'b');
	add_file(m, "3456.dat.gz", EXTENT_MAX_BYTES, 'c');
	extents_append(&m->files[1].extents, 30, 7);
	m->files[1].size_bytes += 30;
	add_file(m, "empty", 0, 'd');
	seal_extents(m);
}

static void assert_same_extents(const struct extents *a, const struct extents *b)
{
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->total_bytes, b->total_bytes);
	for (size_t i = 0; i < a->count; i++)
		assert_memory_equal(&a->items[i], &b->items[i], sizeof(a->items[i]));
}

static void assert_same_files(const struct manifest *a, const struct manifest *b)
{
	assert_int_equal(a->file_count, b->file_count);
	for (size_t i = 0; i < a->file_count; i++) {
		assert_string_equal(a->files[i].name, b->files[i].name);
		assert_int_equal(a->files[i].size_bytes, b->files[i].size_bytes);
		assert_string_equal(a->files[i].sha256, b->files[i].sha256);
		assert_int_equal(a->files[i].extents_count, b->files[i].extents_count);
	}
}

static void assert_same(const struct manifest *a, const struct manifest *b)
{
	assert_same_files(a, b);
	assert_string_equal(a->format, b->format);
	assert_string_equal(a->content, b->content);
	assert_string_equal(a->compression, b->compression);
	assert_true(str_equal(a->note, b->note));
	assert_int_equal(a->partial, b->partial);
	assert_int_equal(a->is_directory, b->is_directory);
	assert_int_equal(a->verified_at_us, b->verified_at_us);
	assert_string_equal(a->path, b->path);
	assert_string_equal(a->job, b->job);
	assert_string_equal(a->kind, b->kind);
	assert_string_equal(a->database, b->database);
	assert_string_equal(a->server_version, b->server_version);
	assert_string_equal(a->tool_version, b->tool_version);
	assert_true(str_equal(a->system_identifier, b->system_identifier));
	assert_string_equal(a->triggered_by, b->triggered_by);
	assert_string_equal(a->keepfs_version, b->keepfs_version);
	assert_int_equal(a->run_id, b->run_id);
	assert_int_equal(a->started_at_us, b->started_at_us);
	assert_int_equal(a->finished_at_us, b->finished_at_us);
	assert_int_equal(a->size_bytes, b->size_bytes);
	assert_string_equal(a->sha256, b->sha256);
	assert_int_equal(a->stored_bytes, b->stored_bytes);
	assert_string_equal(a->stored_sha256, b->stored_sha256);
	assert_int_equal(a->extents_count, b->extents_count);
	assert_string_equal(a->extents_sha256, b->extents_sha256);
	assert_true(str_equal(a->extents_key, b->extents_key));
}

static void manifest_reads_back(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};

	make_manifest(&m);
	manifest_encode(&m, &text);
	assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &back, NULL), 0);
	assert_same(&m, &back);
	assert_int_equal(back.extents.count, 2);
	assert_int_equal(back.extents.items[1].offset, EXTENT_MAX_BYTES);
	assert_int_equal(back.extents.items[1].crc32c, 0x01020304);
	assert_int_equal(back.extents.total_bytes, m.size_bytes);
}

static void files_read_back(void **state)
{
	static void (*const make[])(struct manifest *) = {make_with_files, make_directory};

	for (size_t i = 0; i < ARRAY_SIZE(make); i++) {
		_cleanup(manifest) struct manifest m = {0}, back = {0};
		_cleanup(str) struct str text = {0};

		make[i](&m);
		manifest_encode(&m, &text);
		assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &back, NULL), 0);
		assert_same(&m, &back);
		assert_same_extents(&m.extents, &back.extents);
		for (size_t k = 0; k < m.file_count; k++)
			assert_same_extents(&m.files[k].extents, &back.files[k].extents);
	}
}

/* What the first versions wrote. */
static void a_manifest_without_the_later_fields_is_read(void **state)
{
	static const char text[] =
	        "{\"version\": 1, \"path\": \"backups/full/20261120T020000Z.dump\", \"job\": \"full\","
	        " \"kind\": \"dump\", \"run\": 1, \"database\": \"a\", \"server_version\": \"15\","
	        " \"tool_version\": \"15\", \"triggered_by\": \"x\","
	        " \"started_at\": \"2026-11-20T02:00:00.000000Z\","
	        " \"finished_at\": \"2026-11-20T02:00:00.000000Z\", \"size\": 5,"
	        " \"sha256\": \"0000000000000000000000000000000000000000000000000000000000000000\","
	        " \"stored_size\": 5,"
	        " \"stored_sha256\": \"0000000000000000000000000000000000000000000000000000000000000000\","
	        " \"keepfs_version\": \"0.1.0\", \"extents\": {\"count\": 1, \"sha256\":"
	        " \"f13ee6ed54ea2aae9fc49a9faeb5da6e8ddef0e12ed5d30d35a624ae813e0485\","
	        " \"table\": \"BQAAAAAAAAA=\"}}";
	_cleanup(manifest) struct manifest m = {0};
	struct error err = {0};

	if (manifest_decode(SOURCE, text, strlen(text), &m, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(m.format, "custom");
	assert_string_equal(m.content, "full");
	assert_string_equal(m.compression, "gzip");
	assert_null(m.note);
	assert_false(m.partial);
	assert_false(m.is_directory);
	assert_int_equal(m.verified_at_us, 0);
	assert_int_equal(m.file_count, 0);
}

static void what_is_not_known_stays_unknown(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};

	make_manifest(&m);
	m.sha256[0] = m.stored_sha256[0] = '\0';
	manifest_encode(&m, &text);
	assert_non_null(strstr(text.data, "\"sha256\": null"));
	assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &back, NULL), 0);
	assert_same(&m, &back);
}

static void absent_identifier_stays_absent(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};

	make_manifest(&m);
	mem_replace_string(&m.system_identifier, NULL);
	manifest_encode(&m, &text);
	assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &back, NULL), 0);
	assert_null(back.system_identifier);
}

static void table_of_its_own_is_loaded_later(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};
	_cleanup(free) uint8_t *encoded = NULL;
	struct error err = {0};
	size_t len;

	make_manifest(&m);
	m.extents_key = manifest_extents_key(m.path);
	encoded = extents_encode(&m.extents, &len);
	manifest_encode(&m, &text);
	assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &back, NULL), 0);
	assert_same(&m, &back);
	assert_int_equal(back.extents.count, 0);
	assert_int_equal(manifest_load_extents("x", encoded, len - 8, &back, &err), -EBADMSG);
	assert_int_equal(manifest_load_extents("x", encoded, len, &back, &err), 0);
	assert_int_equal(back.extents.count, 2);
}

static void every_truncation_is_refused(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};

	make_with_files(&m);
	manifest_encode(&m, &text);
	for (size_t len = 0; len < text.len - 1; len++) { /* the last byte is a line end */
		struct error err = {0};

		assert_int_equal(manifest_decode(SOURCE, text.data, len, &back, &err), -EBADMSG);
		assert_non_null(strstr(err.message, SOURCE));
		assert_null(back.path);
	}
}

/* The manifest's text with the first @from replaced by @to is refused with a message that holds @word. */
static void assert_refused(void (*make)(struct manifest *), const char *from, const char *to, int errnum,
                           const char *word)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0}, changed = {0};
	struct error err = {0};
	char *at;

	make(&m);
	manifest_encode(&m, &text);
	at = strstr(text.data, from);
	assert_non_null(at);
	str_append_bytes(&changed, text.data, (size_t)(at - text.data));
	str_append(&changed, to);
	str_append(&changed, at + strlen(from));
	if (manifest_decode(SOURCE, changed.data, changed.len, &back, &err) != -errnum)
		fail_msg("with '%s' for '%s': %s", to, from, err.message);
	assert_non_null(strstr(err.message, SOURCE));
	if (!strstr(err.message, word))
		fail_msg("no '%s' in: %s", word, err.message);
}

static void wrong_fields_are_named(void **state)
{
	static const struct {
		const char *from, *to, *word;
	} cases[] = {
	        {"\"version\": 1", "\"version\": 0", "version"},
	        {"\"version\": 1", "\"version\": \"1\"", "version"},
	        {"\"path\": \"backups/full/", "\"path\": \"backups/../", "path"},
	        {"\"path\": \"backups/full/", "\"path\": \"/backups/full/", "path"},
	        {"\"path\": \"backups/full/", "\"path\": \"backups//full/", "path"},
	        {"\"path\": \"backups/full/", "\"path\": \"backups/", "path"},
	        {"\"path\": \"backups/full/", "\"path\": \"manifests/full/", "path"},
	        {"20261120T020000Z.dump", "latest.dump", "path"},
	        {"\"path\":", "\"other\":", "path"},
	        {"\"job\": \"full\"", "\"job\": \"a/b\"", "job"},
	        {"\"job\": \"full\"", "\"job\": 7", "job"},
	        {"\"kind\": \"dump\"", "\"kind\": null", "kind"},
	        {"\"run\": 17", "\"run\": -1", "run"},
	        {"\"run\": 17", "\"run\": 1.5", "run"},
	        {"\"database\":", "\"db\":", "database"},
	        {"\"server_version\":", "\"sv\":", "server_version"},
	        {"\"tool_version\":", "\"tv\":", "tool_version"},
	        {"\"triggered_by\":", "\"tb\":", "triggered_by"},
	        {"\"keepfs_version\":", "\"kv\":", "keepfs_version"},
	        {"\"started_at\": \"2026", "\"started_at\": \"20x6", "started_at"},
	        {"\"finished_at\": \"2026", "\"finished_at\": \"", "finished_at"},
	        {"\"size\": 1048581", "\"size\": -1", "size"},
	        {"\"size\": 1048581", "\"size\": 99999999999999999999", "JSON"},
	        {"\"size\": 1048581", "\"size\": 1048580", "size"},
	        {"\"stored_size\": 1048581", "\"stored_size\": \"big\"", "stored_size"},
	        {"\"sha256\": \"aa", "\"sha256\": \"a", "sha256"},
	        {"\"sha256\": \"aa", "\"sha256\": \"aaa", "sha256"},
	        {"\"sha256\": \"aa", "\"sha256\": \"aA", "sha256"},
	        {"\"sha256\": \"aa", "\"sha256\": \"ag", "sha256"},
	        {"\"stored_sha256\": \"00", "\"stored_sha256\": \"0 ", "stored_sha256"},
	        {"\"extents\":", "\"extent\":", "count"},
	        {"\"count\": 2", "\"count\": 3", "extents"},
	        {"\"table\": \"AAAQ", "\"table\": \"AAAR", "SHA-256"},
	        {"\"table\": \"AAAQ", "\"table\": \"AA*Q", "base64"},
	        {"\"table\": \"AAAQ", "\"table\": \"AAQ", "base64"},
	        {"\"table\":", "\"tables\":", "neither"},
	        {"\"table\":", "\"object\": \"x\", \"table\":", "as well"},
	        {"\"table\":", "\"object\":", "own"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_refused(make_manifest, cases[i].from, cases[i].to, EBADMSG, cases[i].word);
	assert_refused(make_manifest, "\"version\": 1", "\"version\": 2", ENOTSUP, "newer");
}

static void wrong_files_are_refused(void **state)
{
	static const struct {
		const char *from, *to, *word;
	} beside[] =
	        {
	                {"\"name\": \"20261120T020000Z.tables.csv\"",
	                 "\"name\": \"20261120T020000Z-2.tables.csv\"", "name"},
	                {"\"name\": \"20261120T020000Z.tables.csv\"", "\"name\": \"tables.csv\"", "name"},
	                {"\"name\": \"20261120T020000Z.tables.csv\"", "\"name\": \"20261120T020000Z.\"",
	                 "name"},
	                {"\"name\": \"20261120T020000Z.tables.csv\"", "\"name\": \"20261120T020000Z\"",
	                 "name"},
	                {"\"name\": \"20261120T020000Z.tables.csv\"", "\"name\": \"20261120T020000Z.dump\"",
	                 "name"},
	                {"\"name\": \"20261120T020000Z.tables.csv\"", "\"name\": \"20261120T020000Z./x\"",
	                 "name"},
	                {"\"name\": \"20261120T020000Z.tables.csv\"", "\"name\": \"\"", "name"},
	                {"\"name\": \"20261120T020000Z.tables.csv\"", "\"name\": 7", "name"},
	                {"\"name\": \"20261120T020000Z.tables.csv\"", "\"nam\": \"x\"", "name"},
	                {"20261120T020000Z.tables.csv", "20261120T020000Z.globals.sql.gz", "twice"},
	                {"\"size\": 300", "\"size\": 301", "tables.csv is 301"},
	                {"\"size\": 300", "\"size\": -1", "size"},
	                {"\"sha256\": \"bb", "\"sha256\": \"b", "sha256"},
	                {"\"sha256\": \"bb", "\"sha\": \"bb", "sha256"},
	                {"\"extents\": 1\n", "\"extents\": 0\n", "not as many"},
	                {"\"extents\": 1\n", "\"extents\": 2\n", "not as many"},
	                {"\"extents\": 1\n", "\"extents\": 9223372036854775807\n", "not as many"},
	                {"\"extents\": 1\n", "\"extent\": 1\n", "extents"},
	                {"\"count\": 2", "\"count\": 1", "not as many"},
	                {"\"format\": \"plain\"", "\"format\": \"tar\"", "format"},
	                {"\"format\": \"plain\"", "\"format\": null", "format"},
	                {"\"format\": \"plain\"", "\"format\": \"directory\"", "path"},
	                {"\"content\": \"full\"", "\"content\": \"half\"", "content"},
	                {"\"zstd:1\"", "\"zstd:\"", "compression"},
	                {"\"zstd:1\"", "\":1\"", "compression"},
	                {"\"zstd:1\"", "\"\"", "compression"},
	                {"\"zstd:1\"", "\"zstd 1\"", "compression"},
	                {"\"zstd:1\"", "1", "compression"},
	                {"\"partial\": true", "\"partial\": 1", "partial"},
	                {"\"verified_at\": \"2026", "\"verified_at\": \"", "verified_at"},
	                {"\"files\": [", "\"files\": [7, ", "name"},
	                {"\"files\":", "\"file\":", "not as many"},
	        },
	  directory[] = {
	          {"\"toc.dat\"", "\"../toc.dat\"", "name"},
	          {"\"toc.dat\"", "\".toc\"", "name"},
	          {"\"toc.dat\"", "\"a/b\"", "name"},
	          {"\"toc.dat\"", "\"a b\"", "name"},
	          {"\"toc.dat\"", "\"empty\"", "twice"},
	          {"20261120T020000Z", "20261120T020000Z.dir", "path"},
	          {"\"format\": \"directory\"", "\"format\": \"plain\"", "path"},
	          {"\"size\": 1048676", "\"size\": 1048677", "sum"},
	          {"\"stored_size\": 0", "\"stored_size\": 1", "stored_size"},
	          {"\"size\": 70", "\"size\": 9223372036854775807", "sum"},
	          {"\"files\":", "\"file\":", "empty"},
	          {"\"size\": 0,", "\"size\": 1,", "sum"},
	  };

	for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
		assert_refused(make_with_files, beside[i].from, beside[i].to, EBADMSG, beside[i].word);
	for (size_t i = 0; i < ARRAY_SIZE(directory); i++)
		assert_refused(make_directory, directory[i].from, directory[i].to, EBADMSG,
		               directory[i].word);
}

static void files_beside_are_few(void **state)
{
	for (int count = MANIFEST_BESIDE_MAX; count <= MANIFEST_BESIDE_MAX + 1; count++) {
		_cleanup(manifest) struct manifest m = {0}, back = {0};
		_cleanup(str) struct str text = {0};

		make_manifest(&m);
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

static void a_table_of_many_files_is_loaded_later(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};
	_cleanup(free) uint8_t *encoded = NULL;
	size_t len;

	make_directory(&m);
	m.extents_key = manifest_extents_key(m.path);
	encoded = manifest_seal_extents(&m, &len);
	assert_int_equal(len, 3 * 8);
	manifest_encode(&m, &text);
	assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &back, NULL), 0);
	assert_int_equal(back.files[1].extents.count, 0);
	assert_int_equal(manifest_load_extents("x", encoded, len - 8, &back, NULL), -EBADMSG);
	assert_int_equal(manifest_load_extents("x", encoded, len, &back, NULL), 0);
	assert_same_extents(&m.files[1].extents, &back.files[1].extents);
}

static void everything_of_an_artifact_begins_with_its_stem(void **state)
{
	static const char *const cases[][2] = {
	        {"backups/full/20261120T020000Z.dump", "backups/full/20261120T020000Z"},
	        {"backups/full/20261120T020000Z-2.schema.dump", "backups/full/20261120T020000Z-2"},
	        {"backups/v1.2/20261120T020000Z", "backups/v1.2/20261120T020000Z"},
	};
	_cleanup(manifest) struct manifest file = {0}, directory = {0};
	_cleanup(free) char *beside = NULL, *within = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *stem = manifest_stem(cases[i][0]);

		assert_string_equal(stem, cases[i][1]);
	}
	make_with_files(&file);
	beside = manifest_file_path(&file, &file.files[0]);
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

static void sums_that_do_not_add_up_are_refused(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};
	struct error err = {0};

	make_manifest(&m);
	extents_append(&m.extents, 1, 0);
	seal_extents(&m);
	manifest_encode(&m, &text);
	assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &back, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "1048582"));
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
	        "manifests/backups/full/x.json",
	        "manifests/backups/20261120T020000Z.dump.json",
	        "manifests/backups/a/../20261120T020000Z.dump.json",
	};
	_cleanup(free) char *key = manifest_key("backups/db/a=20b/20261120T020000Z.dump");
	_cleanup(free) char *path = manifest_path_of_key(key);
	_cleanup(free) char *directory = manifest_path_of_key("manifests/backups/a/20261120T020000Z-2.json");

	assert_string_equal(directory, "backups/a/20261120T020000Z-2");
	assert_string_equal(key, "manifests/backups/db/a=20b/20261120T020000Z.dump.json");
	assert_string_equal(path, "backups/db/a=20b/20261120T020000Z.dump");
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_null(manifest_path_of_key(none[i]));
}

static void extents_are_found_by_offset(void **state)
{
	_cleanup(extents) struct extents x = {0};

	assert_int_equal(extents_find(&x, 0), 0);
	for (uint32_t i = 1; i <= 100; i++)
		extents_append(&x, i, i);
	assert_int_equal(x.total_bytes, 5050);
	for (uint64_t offset = 0; offset < x.total_bytes; offset++) {
		size_t i = extents_find(&x, offset);

		assert_in_range(offset, x.items[i].offset, x.items[i].offset + x.items[i].length - 1);
	}
	assert_int_equal(extents_find(&x, 5050), 100);
	assert_int_equal(extents_find(&x, UINT64_MAX), 100);
}

static void fill_extents(struct extents *x, const uint8_t *data, const size_t *lengths, size_t count)
{
	extents_finish(x);
	for (size_t i = 0; i < count; i++)
		extents_append(x, (uint32_t)lengths[i], crc32c(0, data + x->total_bytes, lengths[i]));
}

static void assert_covers(const struct extents *x, const uint8_t *data, const size_t *lengths, size_t count)
{
	uint64_t at = 0;

	assert_int_equal(x->count, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(x->items[i].offset, at);
		assert_int_equal(x->items[i].length, lengths[i]);
		assert_int_equal(x->items[i].crc32c, crc32c(0, data + at, lengths[i]));
		at += lengths[i];
	}
	assert_int_equal(x->total_bytes, at);
}

/* Between multiples of the length, from the first one that may be merged. */
static void extents_are_merged(void **state)
{
	static const size_t lengths[] = {3, 5, 8, 1, 1, 6, 16, 20, 4, 7}, by_8[] = {8, 8, 8, 16, 20, 4, 7},
	                    by_16[] = {16, 8, 16, 20, 4, 7}, from_2[] = {3, 5, 8, 8, 16, 20, 4, 7};
	_cleanup(extents) struct extents x = {0};
	uint8_t data[71];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * i);
	extents_merge(&x, 0, 8);
	assert_int_equal(x.count, 0);
	fill_extents(&x, data, lengths, ARRAY_SIZE(lengths));
	extents_merge(&x, 0, 1);
	assert_covers(&x, data, lengths, ARRAY_SIZE(lengths));
	extents_merge(&x, 0, 8);
	assert_covers(&x, data, by_8, ARRAY_SIZE(by_8));
	extents_merge(&x, 0, 16);
	assert_covers(&x, data, by_16, ARRAY_SIZE(by_16));
	extents_merge(&x, 0, 128);
	assert_covers(&x, data, (size_t[]){sizeof(data)}, 1);
	fill_extents(&x, data, lengths, ARRAY_SIZE(lengths));
	extents_merge(&x, ARRAY_SIZE(lengths), 128);
	assert_covers(&x, data, lengths, ARRAY_SIZE(lengths));
	extents_merge(&x, 2, 8);
	assert_covers(&x, data, from_2, ARRAY_SIZE(from_2));
}

static void extents_are_limited(void **state)
{
	_cleanup(extents) struct extents x = {0};
	struct {
		size_t most, count;
	} steps[] = {{50, 50}, {49, 49}, {48, 25}, {25, 25}, {24, 13}, {4, 4}, {1, 4}, {0, 4}};

	extents_limit(&x, 0);
	extents_append(&x, 100, 1);
	extents_append(&x, EXTENT_MIN_BYTES - 100, 2);
	for (size_t i = 2; i < 50; i++)
		extents_append(&x, EXTENT_MIN_BYTES, 3);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		extents_limit(&x, steps[i].most);
		assert_int_equal(x.count, steps[i].count);
		assert_int_equal(x.total_bytes, 49 * EXTENT_MIN_BYTES);
	}
	assert_int_equal(x.items[3].length, EXTENT_MIN_BYTES);
	assert_int_equal(x.items[2].length, EXTENT_MAX_BYTES);
}

static void bad_extents_are_refused(void **state)
{
	static const uint8_t zero[8] = {0}, large[8] = {1, 0, 0x10, 0}, good[8] = {0, 0, 0x10, 0, 1, 2, 3, 4};
	_cleanup(extents) struct extents x = {0};

	extents_append(&x, 3, 3);
	assert_int_equal(extents_decode(zero, 8, &x, NULL), -EBADMSG);
	assert_int_equal(extents_decode(large, 8, &x, NULL), -EBADMSG);
	for (size_t len = 1; len < 8; len++)
		assert_int_equal(extents_decode(good, len, &x, NULL), -EBADMSG);
	assert_int_equal(x.total_bytes, 3); /* a failure touches nothing */
	assert_int_equal(extents_decode(good, 8, &x, NULL), 0);
	assert_int_equal(x.total_bytes, EXTENT_MAX_BYTES);
	assert_int_equal(x.items[0].crc32c, 0x04030201);
	assert_int_equal(extents_decode(good, 0, &x, NULL), 0);
	assert_int_equal(x.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(manifest_reads_back),
	        cmocka_unit_test(files_read_back),
	        cmocka_unit_test(a_manifest_without_the_later_fields_is_read),
	        cmocka_unit_test(what_is_not_known_stays_unknown),
	        cmocka_unit_test(absent_identifier_stays_absent),
	        cmocka_unit_test(table_of_its_own_is_loaded_later),
	        cmocka_unit_test(every_truncation_is_refused),
	        cmocka_unit_test(wrong_fields_are_named),
	        cmocka_unit_test(wrong_files_are_refused),
	        cmocka_unit_test(files_beside_are_few),
	        cmocka_unit_test(a_table_of_many_files_is_loaded_later),
	        cmocka_unit_test(everything_of_an_artifact_begins_with_its_stem),
	        cmocka_unit_test(other_json_is_refused),
	        cmocka_unit_test(sums_that_do_not_add_up_are_refused),
	        cmocka_unit_test(keys_belong_to_paths),
	        cmocka_unit_test(extents_are_found_by_offset),
	        cmocka_unit_test(extents_are_merged),
	        cmocka_unit_test(extents_are_limited),
	        cmocka_unit_test(bad_extents_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

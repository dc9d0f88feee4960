// SPDX-License-Identifier: Apache-2.0
/* Manifests of version 1, as stored examples of what keepfs 0.1 wrote: they are read for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/manifest.h>

#include "manifest_support.h"

#define OWN       "backups/full/20261120T020000Z.dump"
#define FILE_V1   TEST_DATA "/manifest-v1-file.json"
#define BESIDE_V1 TEST_DATA "/manifest-v1-beside.json"
#define DIR_V1    TEST_DATA "/manifest-v1-directory.json"

static void decode_file(const char *path, struct manifest *ret)
{
	_cleanup(str) struct str text = {0};
	struct error err = {0};

	read_text(path, &text);
	if (manifest_decode(SOURCE, str_text(&text), text.len, ret, &err) < 0)
		fail_msg("%s", err.message);
}

static void a_file_is_its_own_object(void **state)
{
	_cleanup(manifest) struct manifest m = {0};

	decode_file(FILE_V1, &m);
	assert_string_equal(m.path, OWN);
	assert_string_equal(m.job, "full");
	assert_string_equal(m.kind, "dump");
	assert_string_equal(m.target, "prim\xc3\xa4r \"x\"");
	assert_string_equal(m.triggered_by, "uid 0 (bash)");
	assert_string_equal(m.keepfs_version, "0.1.0");
	assert_null(m.note);
	assert_null(m.unknown);
	assert_int_equal(m.run_id, 17);
	assert_int_equal(m.started_at_us, 1795140000000001);
	assert_int_equal(m.finished_at_us, 1795140063123456);
	assert_int_equal(m.verified_at_us, 0);
	assert_int_equal(m.size_bytes, EXTENT_MAX_BYTES + 5);
	assert_int_equal(m.sha256[0], 'a');
	assert_false(m.is_directory);
	assert_false(m.partial);
	assert_int_equal(m.file_count, 1);
	assert_string_equal(m.files[0].name, "20261120T020000Z.dump");
	assert_int_equal(m.files[0].object, 0);
	assert_int_equal(m.object_count, 1);
	assert_string_equal(m.objects[0].key, OWN);
	assert_null(m.objects[0].cipher);
	assert_int_equal(m.objects[0].stored_bytes, m.size_bytes);
	assert_int_equal(m.objects[0].extents.count, 2);
	assert_int_equal(m.objects[0].extents.items[1].crc32c, 0x01020304);
}

static void what_only_dumps_have_become_facts(void **state)
{
	static const char *const facts[][2] = {
	        {"database", "prim\xc3\xa4r \"x\""},
	        {"server_version", "15.18 (Debian 15.18-0+deb12u1)"},
	        {"tool_version", "15.18"},
	        {"system_identifier", "7301234567890123456"},
	        {"format", "plain"},
	        {"content", "full"},
	        {"compression", "zstd:1"},
	};
	_cleanup(manifest) struct manifest m = {0};

	decode_file(BESIDE_V1, &m);
	for (size_t i = 0; i < ARRAY_SIZE(facts); i++)
		assert_string_equal(manifest_fact(&m, facts[i][0]), facts[i][1]);
}

static void files_beside_are_objects_beside(void **state)
{
	_cleanup(manifest) struct manifest m = {0};

	decode_file(BESIDE_V1, &m);
	assert_string_equal(m.note, "before the upgrade");
	assert_true(m.partial);
	assert_int_equal(m.verified_at_us, 1795140070000000);
	assert_int_equal(m.file_count, 3);
	assert_int_equal(m.object_count, 3);
	assert_string_equal(m.files[1].name, "20261120T020000Z.tables.csv");
	assert_int_equal(m.files[1].size_bytes, 300);
	assert_int_equal(m.files[1].sha256[0], 'b');
	assert_string_equal(m.objects[m.files[1].object].key, "backups/full/20261120T020000Z.tables.csv");
	assert_string_equal(m.objects[2].key, "backups/full/20261120T020000Z.globals.sql.gz");
	assert_string_equal(m.files[2].sha256, "");
	assert_true(m.files[2].secret && !m.files[1].secret && !m.files[0].secret);
	assert_int_equal(m.objects[2].extents.total_bytes, 40);
}

static void a_directory_has_objects_below_it(void **state)
{
	_cleanup(manifest) struct manifest m = {0};

	decode_file(DIR_V1, &m);
	assert_true(m.is_directory);
	assert_int_equal(m.file_count, 3);
	assert_int_equal(m.object_count, 3);
	assert_string_equal(m.objects[0].key, "backups/full/20261120T020000Z/toc.dat");
	assert_int_equal(m.objects[1].extents.count, 2);
	assert_int_equal(m.objects[2].stored_bytes, 0);
	assert_null(manifest_own_object(&m));
}

/* What the first builds wrote. */
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
	assert_string_equal(manifest_fact(&m, "format"), "custom");
	assert_string_equal(manifest_fact(&m, "content"), "full");
	assert_string_equal(manifest_fact(&m, "compression"), "gzip");
	assert_null(m.note);
	assert_false(m.partial);
	assert_false(m.is_directory);
	assert_int_equal(m.verified_at_us, 0);
	assert_int_equal(m.file_count, 1);
}

/* Of less than the job asks for, and so with a suffix. */
static void a_partial_directory_is_one(void **state)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0}, partial = {0};
	struct error err = {0};

	read_text(DIR_V1, &text);
	for (const char *at = str_text(&text); *at; at++) {
		str_append_char(&partial, *at);
		if (str_ends(str_text(&partial), "backups/full/20261120T020000Z"))
			str_append(&partial, ".schema");
	}
	if (manifest_decode(SOURCE, str_text(&partial), partial.len, &m, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(m.is_directory);
	assert_string_equal(m.objects[0].key, "backups/full/20261120T020000Z.schema/toc.dat");
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

	_cleanup(str) struct str text = {0};

	read_text(FILE_V1, &text);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_refused(str_text(&text), cases[i].from, cases[i].to, EBADMSG, cases[i].word);
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
	                {"\"format\": \"plain\"", "\"format\": \"directory\"", "stored_size"},
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
	          {"\"format\": \"directory\"", "\"format\": \"plain\"", "stored_size"},
	          {"\"size\": 1048676", "\"size\": 1048677", "sum"},
	          {"\"stored_size\": 0", "\"stored_size\": 1", "stored_size"},
	          {"\"size\": 70", "\"size\": 9223372036854775807", "sum"},
	          {"\"files\":", "\"file\":", "empty"},
	          {"\"size\": 0,", "\"size\": 1,", "sum"},
	  };

	_cleanup(str) struct str file = {0}, dir = {0};

	read_text(BESIDE_V1, &file);
	read_text(DIR_V1, &dir);
	for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
		assert_refused(str_text(&file), beside[i].from, beside[i].to, EBADMSG, beside[i].word);
	for (size_t i = 0; i < ARRAY_SIZE(directory); i++)
		assert_refused(str_text(&dir), directory[i].from, directory[i].to, EBADMSG,
		               directory[i].word);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_file_is_its_own_object),
	        cmocka_unit_test(what_only_dumps_have_become_facts),
	        cmocka_unit_test(files_beside_are_objects_beside),
	        cmocka_unit_test(a_directory_has_objects_below_it),
	        cmocka_unit_test(a_manifest_without_the_later_fields_is_read),
	        cmocka_unit_test(a_partial_directory_is_one),
	        cmocka_unit_test(wrong_fields_are_named),
	        cmocka_unit_test(wrong_files_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

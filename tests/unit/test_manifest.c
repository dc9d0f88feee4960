/* Manifests and extent tables: what is written reads back; nothing that is cut, of a wrong type or does not
 * add up passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/manifest.h>

#define SOURCE "manifests/backups/full/20261120T020000Z.dump.json"

static void seal_extents(struct manifest *m)
{
	size_t len;
	_cleanup(free) uint8_t *encoded = extents_encode(&m->extents, &len);
	uint8_t digest[SHA256_BYTES];

	sha256_once(encoded, len, digest);
	hex_encode(digest, sizeof(digest), m->extents_sha256);
	m->extents_count = m->extents.count;
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

static void assert_same(const struct manifest *a, const struct manifest *b)
{
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

static void copy_is_deep_without_extents(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, copy = {0};

	make_manifest(&m);
	manifest_copy(&copy, &m);
	assert_same(&m, &copy);
	assert_ptr_not_equal(m.path, copy.path);
	assert_int_equal(copy.extents.count, 0);
	assert_int_equal(copy.extents_count, 2);
}

static void every_truncation_is_refused(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};

	make_manifest(&m);
	manifest_encode(&m, &text);
	for (size_t len = 0; len < text.len - 1; len++) { /* the last byte is a line end */
		struct error err = {0};

		assert_int_equal(manifest_decode(SOURCE, text.data, len, &back, &err), -EBADMSG);
		assert_non_null(strstr(err.message, SOURCE));
		assert_null(back.path);
	}
}

/* The manifest's text with the first @from replaced by @to is refused with a message that holds @word. */
static void assert_refused(const char *from, const char *to, int errnum, const char *word)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0}, changed = {0};
	struct error err = {0};
	char *at;

	make_manifest(&m);
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
		assert_refused(cases[i].from, cases[i].to, EBADMSG, cases[i].word);
	assert_refused("\"version\": 1", "\"version\": 2", ENOTSUP, "newer");
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
	        cmocka_unit_test(absent_identifier_stays_absent),
	        cmocka_unit_test(table_of_its_own_is_loaded_later),
	        cmocka_unit_test(copy_is_deep_without_extents),
	        cmocka_unit_test(every_truncation_is_refused),
	        cmocka_unit_test(wrong_fields_are_named),
	        cmocka_unit_test(other_json_is_refused),
	        cmocka_unit_test(sums_that_do_not_add_up_are_refused),
	        cmocka_unit_test(keys_belong_to_paths),
	        cmocka_unit_test(extents_are_found_by_offset),
	        cmocka_unit_test(bad_extents_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

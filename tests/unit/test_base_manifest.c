// SPDX-License-Identifier: Apache-2.0
/* backup_manifest: what PostgreSQL writes, and everything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/base_manifest.h>
#include <keepfs/codec/base_manifest_write.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define HEAD "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n"
#define HEAD_2                                                                                               \
	"{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": 7300000000000000001,\n\"Files\": [\n"
#define REST(s)                                                                                                  \
	"\"Last-Modified\": \"2026-11-20 02:00:00 GMT\", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"" s \
	"\" }"
#define VERSION "{ \"Path\": \"PG_VERSION\", \"Size\": 3, " REST("64440205")
#define ODD     "{ \"Encoded-Path\": \"61ff\", \"Size\": 0, " REST("00000000")
#define AT_2025(s)                                                                                               \
	"\"Last-Modified\": \"2025-11-20 02:00:00 GMT\", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"" s \
	"\" }"
#define VERSION_2025 "{ \"Path\": \"PG_VERSION\", \"Size\": 3, " AT_2025("64440205")
#define ODD_2025     "{ \"Encoded-Path\": \"61ff\", \"Size\": 0, " AT_2025("00000000")
#define TAIL                                                                                                 \
	"],\n\"WAL-Ranges\": [\n{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000100\" }\n],\n"

static int say_file(void *arg, const struct base_manifest_file *f, struct error *err)
{
	str_appendf(arg, "%s %" PRIu64 " %08x\n", f->path, f->bytes, f->crc32c);
	return 0;
}

/* @text, and the line of its checksum. */
static void seal_manifest(struct str *out, const char *text)
{
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	sha256_once(text, strlen(text), digest);
	hex_encode(digest, sizeof(digest), hex);
	str_appendf(out, "%s\"Manifest-Checksum\": \"%s\"}\n", text, hex);
}

static int read_manifest(const char *text, size_t len, size_t piece, struct str *said, struct error *err)
{
	const struct base_manifest_to to = {say_file, said};
	_cleanup(base_manifest) struct base_manifest *m = base_manifest_new(&to);
	int r = 0;

	for (size_t at = 0; r == 0 && at < len; at += piece)
		r = base_manifest_feed(m, text + at, len - at < piece ? len - at : piece, err);
	return r < 0 ? r : base_manifest_end(m, err);
}

static void test_files(void **state)
{
	static const char *const heads[] = {HEAD, HEAD_2};

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		for (size_t piece = 1; piece < 700; piece += 41) {
			_cleanup(str) struct str text = {0}, all = {0}, said = {0};
			struct error err = {0};

			str_appendf(&text, "%s%s,\n%s\n%s", heads[i], VERSION, ODD, TAIL);
			seal_manifest(&all, str_text(&text));
			assert_int_equal(read_manifest(all.data, all.len, piece, &said, &err), 0);
			assert_string_equal(str_text(&said), "PG_VERSION 3 05024464\na\xff 0 00000000\n");
		}
	}
	assert_int_equal(crc32c(0, "17\n", 3), 0x05024464);
}

static void expect_refused_manifest(const char *text, bool seal, int r, const char *why)
{
	_cleanup(str) struct str all = {0}, said = {0};
	struct error err = {0};

	if (seal)
		seal_manifest(&all, text);
	else
		str_append(&all, text);
	assert_int_equal(read_manifest(all.data, all.len, 64, &said, &err), r);
	if (!strstr(err.message, why))
		fail_msg("%s; wanted: %s", err.message, why);
}

static void test_what_is_no_manifest(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
	        {"", "line 1: it does not begin"},
	        {"x\n", "line 1: it does not begin with the version"},
	        {"{ \"PostgreSQL-Backup-Manifest-Version\": x,\n", "line 1: it does not begin"},
	        {HEAD "{ \"Path\": \"a\",\n", "line 3: it is not one file on a line"},
	        {HEAD "{ \"Size\": 3, " REST("64440205") "\n" TAIL, "line 3: a file without a path"},
	        {HEAD "{ \"Path\": \"\", \"Size\": 3, " REST("64440205") "\n" TAIL, "without a path"},
	        {HEAD "{ \"Encoded-Path\": \"6g\", \"Size\": 3, " REST("64440205") "\n" TAIL,
	         "without a path"},
	        {HEAD "{ \"Encoded-Path\": \"610062\", \"Size\": 3, " REST("64440205") "\n" TAIL,
	         "without a path"},
	        {HEAD "{ \"Path\": \"a\", \"Size\": -3, " REST("64440205") "\n" TAIL, "without a size"},
	        {HEAD "{ \"Path\": \"a\", \"Size\": \"3\", " REST("64440205") "\n" TAIL, "without a size"},
	        {HEAD "{ \"Path\": \"a\", \"Size\": 3, " REST("644402") "\n" TAIL, "without a CRC32C"},
	        {HEAD "{ \"Path\": \"a\", \"Size\": 3, " REST("6444020X") "\n" TAIL, "without a CRC32C"},
	        {HEAD "{ \"Path\": \"a\", \"Size\": 3 }\n" TAIL, "without a CRC32C"},
	        {HEAD "\n", "line 3: something else than what PostgreSQL"},
	        {HEAD VERSION "\n"
	                      "],\n\"Files\": [\n",
	         "line 5: something else"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_refused_manifest(bad[i].text, true, -EBADMSG, bad[i].why);
	expect_refused_manifest("{ \"PostgreSQL-Backup-Manifest-Version\": 3,\n", true, -ENOTSUP,
	                        "knows 1 and 2");
	expect_refused_manifest("{ \"PostgreSQL-Backup-Manifest-Version\": 10,\n", true, -ENOTSUP,
	                        "knows 1 and 2");
}

static void test_its_checksum(void **state)
{
	_cleanup(str) struct str all = {0}, said = {0}, more = {0};
	struct error err = {0};
	const char *whole = HEAD VERSION "\n" TAIL;

	seal_manifest(&all, whole);
	for (size_t len = 0; len < all.len; len++) {
		err = (struct error){0};
		assert_int_equal(read_manifest(all.data, len, 100, &said, &err), -EBADMSG);
	}
	strstr(all.data, "PG_VERSION")[0] = 'Q';
	assert_int_equal(read_manifest(all.data, all.len, 100, &said, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "its checksum is not that of the lines above"));
	seal_manifest(&more, whole);
	str_append(&more, "x\n");
	assert_int_equal(read_manifest(more.data, more.len, 100, &said, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "something behind its end"));
	expect_refused_manifest(HEAD TAIL "\"Manifest-Checksum\": \"12\"}\n", false, -EBADMSG,
	                        "does not end with a checksum");
}

static void test_long_lines(void **state)
{
	_cleanup(str) struct str text = {0};

	str_append(&text, HEAD "{ \"Path\": \"");
	for (size_t i = 0; i < BASE_MANIFEST_LINE_BYTES; i++)
		str_append_char(&text, 'a');
	expect_refused_manifest(str_text(&text), true, -EBADMSG, "line 3: it is too long");
}

/* To the byte what PostgreSQL writes; the writer's memory is emptied between the calls. */
static void test_written(void **state)
{
	static const struct {
		uint64_t system_id;
		const char *head;
	} versions[] = {{0, HEAD}, {7300000000000000001, HEAD_2}};
	const int64_t at_us = 1763604000 * US_PER_S; /* 2025-11-20 02:00:00 */
	const struct base_manifest_range range = {1, 0x2000028, 0x2000100};

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		_cleanup(str) struct str out = {0}, all = {0}, text = {0}, expected = {0};
		_cleanup(base_manifest_writer) struct base_manifest_writer *w =
		        base_manifest_writer_new(versions[i].system_id, &out);
		const struct base_manifest_written files[] = {{"PG_VERSION", 3, at_us, true, 0x05024464},
		                                              {"a\xff", 0, at_us, true, 0},
		                                              {"a \"\n\xc3\xa4", 1, at_us, false, 0}};

		for (size_t n = 0; n < ARRAY_SIZE(files); n++) {
			base_manifest_writer_add(w, &files[n]);
			str_append(&all, str_text(&out));
			str_clear(&out);
		}
		base_manifest_writer_end(w, &range);
		str_append(&all, str_text(&out));
		str_appendf(
		        &text, "%s%s,\n%s,\n%s\n%s", versions[i].head, VERSION_2025, ODD_2025,
		        "{ \"Path\": \"a \\\"\\n\xc3\xa4\", \"Size\": 1, \"Last-Modified\": \"2025-11-20 02:00:00 GMT\" }",
		        TAIL);
		seal_manifest(&expected, str_text(&text));
		assert_string_equal(str_text(&all), str_text(&expected));
	}
}

static void test_written_is_read(void **state)
{
	_cleanup(str) struct str out = {0}, said = {0};
	_cleanup(base_manifest_writer) struct base_manifest_writer *w = base_manifest_writer_new(1, &out);
	const struct base_manifest_range range = {UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
	const struct base_manifest_written files[] = {{"base/1/2", 8192, 0, true, 0x01020304},
	                                              {"\xff", UINT32_MAX, 0, true, UINT32_MAX}};
	struct error err = {0};

	for (size_t n = 0; n < ARRAY_SIZE(files); n++)
		base_manifest_writer_add(w, &files[n]);
	base_manifest_writer_end(w, &range);
	assert_int_equal(read_manifest(out.data, out.len, 7, &said, &err), 0);
	assert_string_equal(str_text(&said), "base/1/2 8192 01020304\n\xff 4294967295 ffffffff\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_files),        cmocka_unit_test(test_what_is_no_manifest),
	        cmocka_unit_test(test_its_checksum), cmocka_unit_test(test_long_lines),
	        cmocka_unit_test(test_written),      cmocka_unit_test(test_written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

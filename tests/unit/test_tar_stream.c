// SPDX-License-Identifier: Apache-2.0
/* Tars as a server sends them, and everything that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/str.h>
#include <keepfs/codec/tar_stream.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One block, as tarCreateHeader() of PostgreSQL makes it. */
static void put_header(struct str *tar, const char *name, char type, uint64_t bytes, const char *link)
{
	char block[TAR_STREAM_BLOCK] = {0};
	unsigned sum = 0;

	memcpy(block, name, strnlen(name, 100));
	snprintf(block + 100, 8, "%07o", 0600U);
	snprintf(block + 108, 8, "%07o", 104U);
	snprintf(block + 116, 8, "%07o", 112U);
	if (bytes < UINT64_C(1) << 33) {
		snprintf(block + 124, 12, "%011" PRIo64, bytes);
	} else {
		block[124] = (char)0x80;
		for (int i = 11; i > 0; i--, bytes >>= 8)
			block[124 + i] = (char)(bytes & 0xff);
	}
	snprintf(block + 136, 12, "%011o", 1700000000U);
	memset(block + 148, ' ', 8);
	block[156] = type;
	memcpy(block + 157, link, strlen(link));
	memcpy(block + 257,
	       "ustar\0"
	       "00",
	       8);
	for (size_t i = 0; i < sizeof(block); i++)
		sum += (unsigned char)block[i];
	snprintf(block + 148, 8, "%06o", sum);
	str_append_bytes(tar, block, sizeof(block));
}

static void put_file(struct str *tar, const char *name, const char *text)
{
	static const char zeros[TAR_STREAM_BLOCK];
	size_t len = strlen(text);

	put_header(tar, name, '0', len, "");
	str_append_bytes(tar, text, len);
	str_append_bytes(tar, zeros, -len & (TAR_STREAM_BLOCK - 1));
}

static void put_end(struct str *tar, unsigned blocks)
{
	static const char zeros[2 * TAR_STREAM_BLOCK];

	str_append_bytes(tar, zeros, blocks * TAR_STREAM_BLOCK);
}

static int say_member(void *arg, const struct tar_stream_member *m, struct error *err)
{
	str_appendf(arg, "%c %s %" PRIu64 " %o %u:%u %lld%s%s[", "fdl"[m->type], m -> name, m -> bytes,
	            m -> mode, m -> uid, m -> gid, (long long)m -> modified_s, *m -> target ? " -> " : "",
	            m->target);
	return 0;
}

static int say_data(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static int say_end(void *arg, struct error *err)
{
	str_append(arg, "]\n");
	return 0;
}

/* @piece bytes at a time. */
static int read_tar(const struct str *tar, size_t piece, struct str *said, struct error *err)
{
	struct tar_stream t = {.to = {say_member, say_data, say_end, said}};
	int r = 0;

	for (size_t at = 0; r == 0 && at < tar->len; at += piece)
		r = tar_stream_feed(&t, tar->data + at, tar->len - at < piece ? tar->len - at : piece, err);
	return r < 0 ? r : tar_stream_end(&t, err);
}

static void fill(struct str *tar)
{
	put_file(tar, "backup_label", "START WAL");
	put_header(tar, "pg_notify/", '5', 0, "");
	put_header(tar, "pg_tblspc/16384/", '2', 0, "/srv/space");
	put_file(tar, "empty", "");
	put_file(tar, "global/pg_control", "x");
}

static const char filled[] = "f backup_label 9 600 104:112 1700000000[START WAL]\n"
                             "d pg_notify 0 600 104:112 1700000000[]\n"
                             "l pg_tblspc/16384 0 600 104:112 1700000000 -> /srv/space[]\n"
                             "f empty 0 600 104:112 1700000000[]\n"
                             "f global/pg_control 1 600 104:112 1700000000[x]\n";

static void test_members(void **state)
{
	for (unsigned end = 0; end <= 2; end += 2) {
		for (size_t piece = 1; piece < 1100; piece += 73) {
			_cleanup(str) struct str tar = {0}, said = {0};
			struct error err = {0};

			fill(&tar);
			put_end(&tar, end);
			assert_int_equal(read_tar(&tar, piece, &said, &err), 0);
			assert_string_equal(str_text(&said), filled);
		}
	}
}

static void test_large_sizes(void **state)
{
	_cleanup(str) struct str tar = {0}, said = {0};
	struct error err = {0};

	put_header(&tar, "a", '0', UINT64_C(9) << 30, "");
	assert_int_equal(read_tar(&tar, tar.len, &said, &err), -EBADMSG);
	assert_string_equal(err.message, "a tar is damaged in a: it was cut off");
	assert_true(str_starts(str_text(&said), "f a 9663676416 600"));
}

static void expect_refused_tar(const struct str *tar, const char *why)
{
	_cleanup(str) struct str said = {0};
	struct error err = {0};

	assert_int_equal(read_tar(tar, 100, &said, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	if (!strstr(err.message, why))
		fail_msg("%s; wanted: %s", err.message, why);
}

static void test_bad_names(void **state)
{
	static const char *const names[] = {"", "/etc/passwd", "../x", "a/../b", "a//b", "a/.", "b/"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup(str) struct str tar = {0};

		put_file(&tar, "good", "x");
		put_file(&tar, names[i], "x");
		expect_refused_tar(&tar, "a tar is damaged behind good: a name is not a relative path");
	}
}

/* PostgreSQL calls "pg_wal/archive_status" so. */
static void test_a_dot_before_a_name(void **state)
{
	_cleanup(str) struct str tar = {0};
	_cleanup(str) struct str said = {0};
	struct error err = {0};

	put_file(&tar, "./pg_wal/archive_status", "x");
	assert_int_equal(read_tar(&tar, 100, &said, &err), 0);
	assert_non_null(strstr(str_text(&said), "pg_wal/archive_status"));
	assert_null(strstr(str_text(&said), "./"));
}

static void test_bad_headers(void **state)
{
	static const struct {
		size_t at;
		char byte;
		const char *why;
	} bad[] = {
	        {0, 'B', "the checksum of a header"},
	        {257, 'x', "no header of a member"},
	        {150, '9', "the checksum of a header"},
	        {124, '7', "the checksum of a header"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup(str) struct str tar = {0};

		fill(&tar);
		tar.data[bad[i].at] = bad[i].byte;
		expect_refused_tar(&tar, bad[i].why);
	}
}

static void test_other_members(void **state)
{
	static const char types[] = "13467xgLS";

	for (size_t i = 0; types[i]; i++) {
		_cleanup(str) struct str tar = {0};

		put_header(&tar, "a", types[i], 0, "b");
		expect_refused_tar(&tar, "neither file nor directory nor symbolic link");
	}
	{
		_cleanup(str) struct str tar = {0}, nowhere = {0};

		put_header(&tar, "a", '5', 1, "");
		expect_refused_tar(&tar, "a member that is no file has data");
		put_header(&nowhere, "a", '2', 0, "");
		expect_refused_tar(&nowhere, "leads nowhere");
	}
}

static void test_cut_off(void **state)
{
	_cleanup(str) struct str whole = {0}, behind = {0}, one = {0};

	fill(&whole);
	for (size_t len = 1; len < whole.len; len += 97) {
		struct str part = {.data = whole.data, .len = len};

		if (len % TAR_STREAM_BLOCK != 0)
			expect_refused_tar(&part, "it was cut off");
	}
	fill(&one);
	put_end(&one, 1);
	expect_refused_tar(&one, "it was cut off");
	fill(&behind);
	put_end(&behind, 2);
	put_file(&behind, "more", "x");
	expect_refused_tar(&behind, "something behind its end");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_members),
	        cmocka_unit_test(test_large_sizes),
	        cmocka_unit_test(test_bad_names),
	        cmocka_unit_test(test_bad_headers),
	        cmocka_unit_test(test_a_dot_before_a_name),
	        cmocka_unit_test(test_other_members),
	        cmocka_unit_test(test_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* The check of an archive: what tar_append_entry() writes passes, in pieces of any size; whatever is cut or wrong does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../src/files/tar.h"

#include <errno.h>
#include <keepfs/base/cleanup.h>
#include <stdio.h>
#include <string.h>

static const char long_name[] =
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
        "0123456789";

static void append_zeros(struct str *out, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		str_append_char(out, '\0');
}

/* An entry of @type with @size bytes of data. */
static void append_entry(struct str *out, const char *path, char type, size_t size)
{
	struct tar_entry e = {
	        .path = path, .type = type, .uname = "u", .gname = "g", .size = size, .mtime = {1, 5}};

	tar_append_entry(out, &e);
	for (size_t i = 0; i < size; i++)
		str_append_char(out, 'd');
	append_zeros(out, -size % TAR_BLOCK_BYTES);
}

static void make_archive(struct str *out)
{
	append_entry(out, "./", TAR_DIRECTORY, 0);
	append_entry(out, "./empty", TAR_FILE, 0);
	append_entry(out, "./one", TAR_FILE, 1);
	append_entry(out, "./block", TAR_FILE, TAR_BLOCK_BYTES);
	append_entry(out, long_name, TAR_FILE, TAR_BLOCK_BYTES + 1);
	append_entry(out, "./fifo", TAR_FIFO, 0);
	append_zeros(out, 2 * TAR_BLOCK_BYTES);
}

static int check(const void *data, size_t len, size_t piece, uint64_t *ret_entries, struct error *err)
{
	struct tar_check c;
	const char *p = data;

	tar_check_init(&c);
	for (size_t at = 0; at < len; at += piece) {
		int r = tar_check_write(&c, p + at, len - at < piece ? len - at : piece, err);

		if (r < 0)
			return r;
	}
	return tar_check_finish(&c, ret_entries, err);
}

static void whole_in_pieces_of_any_size(void **state)
{
	_cleanup(str) struct str archive = {0};

	make_archive(&archive);
	append_zeros(&archive, 4096); /* what fills the last record */
	for (size_t piece = 1; piece <= archive.len; piece = piece * 2 + 1) {
		struct error err = {0};
		uint64_t entries = 0;

		if (check(archive.data, archive.len, piece, &entries, &err) < 0)
			fail_msg("%s", err.message);
		assert_int_equal(entries, 6);
	}
}

static void cut_anywhere(void **state)
{
	_cleanup(str) struct str archive = {0};

	make_archive(&archive);
	for (size_t len = 0; len < archive.len; len++) {
		struct error err = {0};

		if (check(archive.data, len, len ? len : 1, NULL, &err) != -EBADMSG)
			fail_msg("cut at %zu of %zu it passes", len, archive.len);
		assert_int_equal(err.class, ERROR_CORRUPT);
	}
	assert_int_equal(check(archive.data, archive.len, archive.len, NULL, NULL), 0);
}

/* Every bit of every header counts. */
static void any_changed_byte_of_a_header(void **state)
{
	_cleanup(str) struct str archive = {0};
	size_t behind_records =
	        2 * TAR_BLOCK_BYTES; /* of "./": an extended header, its records, the header */

	make_archive(&archive);
	for (size_t at = 0; at < TAR_BLOCK_BYTES; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			size_t i = at + (at % 2 ? behind_records : 0);

			/* What ends the checksum may be a space or a NUL: it is no part of what it covers. */
			if (at >= offsetof(struct tar_header, checksum) &&
			    at < offsetof(struct tar_header, type))
				continue;
			archive.data[i] ^= (char)(1 << bit);
			if (check(archive.data, archive.len, 4096, NULL, NULL) != -EBADMSG)
				fail_msg("byte %zu, bit %u", i, bit);
			archive.data[i] ^= (char)(1 << bit);
		}
}

static struct tar_header *seal(struct tar_header *h)
{
	snprintf(h->checksum, sizeof(h->checksum), "%06llo", (unsigned long long)tar_checksum(h));
	return h;
}

/* Return: a header with what is wrong, and what the check says of it. */
static const char *refusal(struct tar_header h)
{
	static struct error err;

	err = (struct error){0};
	assert_int_equal(check(seal(&h), sizeof(h), sizeof(h), NULL, &err), -EBADMSG);
	return err.message;
}

static struct tar_header good_header(void)
{
	_cleanup(str) struct str out = {0};
	struct tar_entry e = {.path = "f", .type = TAR_FILE, .uname = "", .gname = "", .mtime = {1, 0}};
	struct tar_header h;

	tar_append_entry(&out, &e);
	assert_int_equal(out.len, sizeof(h));
	memcpy(&h, out.data, sizeof(h));
	return h;
}

#define assert_says(h, text) assert_non_null(strstr(refusal(h), text))

static void bad_headers(void **state)
{
	struct tar_header h = good_header();

	assert_says(h, "not whole"); /* nothing else is wrong */
	h.type = 'Z';
	assert_says(h, "unknown type");
	h = good_header();
	memcpy(h.size, "0000000000x", 11);
	assert_says(h, "no number");
	memset(h.size, ' ', sizeof(h.size));
	assert_says(h, "no number");
	memset(h.size, 0xff, sizeof(h.size)); /* -1 in GNU's base 256 */
	assert_says(h, "no number");
	memset(h.size, 0, sizeof(h.size));
	h.size[0] = (char)0x80;
	h.size[4] = (char)0x80; /* 2^63 */
	assert_says(h, "too large");
	h = good_header();
	h.type = TAR_DIRECTORY;
	h.size[10] = '1';
	assert_says(h, "not of a file");
}

/* 2^40 bytes as GNU tar writes them: the data are missed, the number is understood. */
static void sizes_in_base_256(void **state)
{
	struct tar_header h = good_header();
	struct tar_check c;

	memset(h.size, 0, sizeof(h.size));
	h.size[0] = (char)0x80;
	h.size[6] = 1;
	tar_check_init(&c);
	assert_int_equal(tar_check_write(&c, seal(&h), sizeof(h), NULL), 0);
	assert_true(c.data_left == UINT64_C(1) << 40);
}

static int check_records(const char *records, size_t len, size_t data_bytes, struct error *err)
{
	_cleanup(str) struct str archive = {0};
	struct tar_header h = good_header();

	h.type = TAR_EXTENDED;
	snprintf(h.size, sizeof(h.size), "%011o", (unsigned)len);
	str_append_bytes(&archive, seal(&h), sizeof(h));
	str_append_bytes(&archive, records, len);
	append_zeros(&archive, -len % TAR_BLOCK_BYTES);
	h = good_header();
	str_append_bytes(&archive, &h, sizeof(h));
	append_zeros(&archive, data_bytes + 2 * TAR_BLOCK_BYTES);
	return check(archive.data, archive.len, 7, NULL, err);
}

static void records_of_extended_headers(void **state)
{
	static const char *const bad[] = {"x",
	                                  "5",
	                                  "5 a=",
	                                  "7 a=b\n",
	                                  "4 a=b\n",
	                                  "0 a=b\n",
	                                  " a=b\n",
	                                  "-6 a=b\n",
	                                  "6 abc\n",
	                                  "99999999999999999999999999 a=b\n",
	                                  "9 size=x\n",
	                                  "6 a=b\n\n",
	                                  "29 size=18446744073709551617\n"};

	assert_int_equal(check_records("6 a=b\n", 0, 0, NULL), 0);
	assert_int_equal(check_records("6 a=b\n", 6, 0, NULL), 0);
	assert_int_equal(check_records("7 aa=b\n", 7, 0, NULL), 0);
	assert_int_equal(check_records("8 a=\n\n\n\n", 8, 0, NULL), 0);
	/* The size of a record is that of the entry, and its data are then what is missing or not. */
	assert_int_equal(check_records("11 size=512\n", 12, 512, NULL), -EBADMSG);
	assert_int_equal(check_records("12 size=512\n", 12, 512, NULL), 0);
	assert_int_equal(check_records("12 size=513\n", 12, 512, NULL), -EBADMSG);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (check_records(bad[i], strlen(bad[i]), 0, NULL) != -EBADMSG)
			fail_msg("\"%s\" passes", bad[i]);
}

static void ends_that_are_none(void **state)
{
	_cleanup(str) struct str archive = {0};
	struct error err = {0};
	struct tar_header h = good_header();

	/* One block of zeros, and then another entry. */
	append_zeros(&archive, TAR_BLOCK_BYTES);
	str_append_bytes(&archive, &h, sizeof(h));
	append_zeros(&archive, 2 * TAR_BLOCK_BYTES);
	assert_int_equal(check(archive.data, archive.len, 512, NULL, &err), -EBADMSG);
	/* Something behind the end. */
	str_clear(&archive);
	make_archive(&archive);
	append_zeros(&archive, TAR_BLOCK_BYTES);
	archive.data[archive.len - 1] = 1;
	assert_int_equal(check(archive.data, archive.len, 512, NULL, &err), -EBADMSG);
	/* Nothing at all is an archive of nothing only when it has an end. */
	assert_int_equal(check("", 0, 1, NULL, &err), -EBADMSG);
	str_clear(&archive);
	append_zeros(&archive, 2 * TAR_BLOCK_BYTES);
	assert_int_equal(check(archive.data, archive.len, 512, NULL, &err), 0);
	/* An extended header of no entry. */
	str_clear(&archive);
	h.type = TAR_EXTENDED;
	str_append_bytes(&archive, seal(&h), sizeof(h));
	append_zeros(&archive, 2 * TAR_BLOCK_BYTES);
	assert_int_equal(check(archive.data, archive.len, 512, NULL, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "no entry"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(whole_in_pieces_of_any_size),
	        cmocka_unit_test(cut_anywhere),
	        cmocka_unit_test(any_changed_byte_of_a_header),
	        cmocka_unit_test(bad_headers),
	        cmocka_unit_test(sizes_in_base_256),
	        cmocka_unit_test(records_of_extended_headers),
	        cmocka_unit_test(ends_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* ZIP archives as they are written, read back whole, and found to be damaged. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/files/zip.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TAKEN_AT_US INT64_C(1795140000000000)

static int take_zip(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static int refuse_zip(void *arg, const void *data, size_t len, struct error *err)
{
	return error_set(err, ERROR_NO_SPACE, ENOSPC, "no room");
}

static void put_entry(struct zip_writer *w, const char *name, const char *line, size_t lines)
{
	struct error err = {0};

	assert_int_equal(zip_writer_entry(w, name, &err), 0);
	for (size_t i = 0; i < lines; i++)
		assert_int_equal(zip_writer_write(w, line, strlen(line), &err), 0);
}

static struct zip_size make_zip(struct str *zip)
{
	const struct zip_options options = {
	        .level = 6, .modified_at_us = TAKEN_AT_US, .write = take_zip, .arg = zip};
	_cleanup(zip_writer) struct zip_writer *w = NULL;
	struct error err = {0};

	assert_int_equal(zip_writer_new(&options, &w, &err), 0);
	put_entry(w, "README.txt", "Read me.\n", 1);
	put_entry(w, "public.Größe.csv", "1,2,3,some text\n", 20000);
	put_entry(w, "public.empty.csv", "", 0);
	put_entry(w, "schema.json", "{}\n", 1);
	assert_int_equal(zip_writer_end(w, &err), 0);
	return zip_writer_size(w);
}

static int check_zip(const char *data, size_t len, const struct zip_size *size, struct error *err)
{
	_cleanup(zip_check) struct zip_check *c = NULL;
	int r = zip_check_new(size, &c, err);

	assert_int_equal(r, 0);
	for (size_t at = 0; at < len && r == 0; at += 1000)
		r = zip_check_write(c, data + at, len - at < 1000 ? len - at : 1000, err);
	return r < 0 ? r : zip_check_end(c, err);
}

static void test_whole(void **state)
{
	_cleanup(str) struct str zip = {0};
	struct error err = {0};
	struct zip_size size;

	size = make_zip(&zip);
	assert_int_equal(size.entries, 4);
	assert_int_equal(size.bytes, 9 + 20000 * 16 + 3);
	assert_int_equal(size.archive_bytes, zip.len);
	assert_memory_equal(zip.data, "PK\3\4", 4);
	assert_int_equal(check_zip(zip.data, zip.len, &size, &err), 0);
	size.bytes++;
	assert_int_equal(check_zip(zip.data, zip.len, &size, &err), -EBADMSG);
	assert_string_equal(
	        err.message,
	        "the ZIP archive is not whole: 4 files with 320013 bytes were written, and 4 files with 320012 bytes are there");
}

/* A name that is no ASCII says in its flags that it is UTF-8 (bit 11). */
static void test_names(void **state)
{
	_cleanup(str) struct str zip = {0};
	static const char name[] = "public.Größe.csv";
	const char *at;

	make_zip(&zip);
	at = memmem(zip.data, zip.len, name, strlen(name));
	assert_non_null(at);
	assert_memory_equal(at - 30, "PK\3\4", 4);
	assert_int_equal((unsigned char)at[-30 + 7] & 8, 8);
}

static void test_damaged(void **state)
{
	_cleanup(str) struct str zip = {0};
	struct error err = {0};
	struct zip_size size;

	size = make_zip(&zip);
	for (size_t len = 0; len < zip.len; len += 13)
		assert_int_equal(check_zip(zip.data, len, &size, &err), -EBADMSG);
	assert_int_equal(check_zip(zip.data, zip.len - 1, &size, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	for (size_t at = 300; at < 600; at += 50) {
		zip.data[at] ^= 1;
		assert_int_equal(check_zip(zip.data, zip.len, &size, &err), -EBADMSG);
		zip.data[at] ^= 1;
	}
	assert_int_equal(check_zip(zip.data, zip.len, &size, &err), 0);
	assert_int_equal(check_zip("no archive at all", 17, &size, &err), -EBADMSG);
}

/* What went wrong where the archive goes is told as it was said; nothing more is written then. */
static void test_no_room(void **state)
{
	const struct zip_options options = {.level = 1, .modified_at_us = TAKEN_AT_US, .write = refuse_zip};
	_cleanup(zip_writer) struct zip_writer *w = NULL;
	_cleanup(free) char *data = mem_alloc(1 << 20);
	struct error err = {0};
	unsigned noise = 1;
	int r = 0;

	for (size_t i = 0; i < 1 << 20; i++)
		data[i] = (char)((noise = noise * 1103515245 + 12345) >> 16);
	assert_int_equal(zip_writer_new(&options, &w, &err), 0);
	r = zip_writer_entry(w, "a", &err);
	for (int i = 0; i < 4 && r == 0; i++)
		r = zip_writer_write(w, data, 1 << 20, &err);
	assert_int_equal(r, -ENOSPC);
	assert_string_equal(err.message, "no room");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_whole),
	        cmocka_unit_test(test_names),
	        cmocka_unit_test(test_damaged),
	        cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

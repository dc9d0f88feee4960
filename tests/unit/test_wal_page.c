// SPDX-License-Identifier: Apache-2.0
/* The header of a page, and whether a segment's first one is that of the segment that a file says it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/codec/wal_page.h>

#define SYSTEM_ID UINT64_C(7420000000000000001)
#define NAME      "0000000200000003000000F4"
#define SEGMENT   (UINT32_C(16) << 20)

/* As a server writes it: built byte by byte, so that the layout is said twice. */
struct first_page {
	uint16_t magic, flags;
	uint32_t timeline;
	uint64_t lsn;
	uint32_t rest, padding;
	uint64_t system_id;
	uint32_t segment_bytes, page_bytes;
};

static const struct first_page good = {.magic = 0xD110,
                                       .flags = 0x0006,
                                       .timeline = 2,
                                       .lsn = UINT64_C(0x3F4000000),
                                       .system_id = SYSTEM_ID,
                                       .segment_bytes = SEGMENT,
                                       .page_bytes = 8192};

static void put_le(uint8_t **at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		*(*at)++ = (uint8_t)(value >> (8 * i));
}

static void build_first(const struct first_page *p, uint8_t ret[static WAL_LONG_PAGE_HEADER_BYTES])
{
	put_le(&ret, p->magic, 2);
	put_le(&ret, p->flags, 2);
	put_le(&ret, p->timeline, 4);
	put_le(&ret, p->lsn, 8);
	put_le(&ret, p->rest, 4);
	put_le(&ret, p->padding, 4);
	put_le(&ret, p->system_id, 8);
	put_le(&ret, p->segment_bytes, 4);
	put_le(&ret, p->page_bytes, 4);
}

static void magics_are_of_versions(void **state)
{
	assert_int_equal(wal_version_of_magic(0xD106), 13);
	assert_int_equal(wal_version_of_magic(0xD118), 18);
	assert_int_equal(wal_version_of_magic(0xD101), 0); /* 12 */
	assert_int_equal(wal_version_of_magic(0), 0);
	for (unsigned version = 13; version <= 18; version++)
		assert_int_equal(wal_version_of_magic(wal_magic_of_version(version)), version);
	assert_int_equal(wal_magic_of_version(12), 0);
	assert_int_equal(wal_magic_of_version(19), 0);
}

static void a_long_header(void **state)
{
	struct first_page page = good;
	uint8_t data[WAL_LONG_PAGE_HEADER_BYTES];
	struct wal_page_header h;
	struct error err = {0};

	page.flags = 0x000B;
	page.rest = 1234;
	build_first(&page, data);
	assert_int_equal(wal_page_header_decode(data, sizeof(data), &h, &err), 0);
	assert_int_equal(h.version, 15);
	assert_int_equal(h.timeline, 2);
	assert_int_equal(h.lsn, UINT64_C(0x3F4000000));
	assert_int_equal(h.rest_bytes, 1234);
	assert_true(h.is_continued && h.is_overwriting && h.is_long);
	assert_int_equal(h.system_id, SYSTEM_ID);
	assert_int_equal(h.segment_bytes, SEGMENT);
	assert_int_equal(h.page_bytes, 8192);
}

static void a_short_header(void **state)
{
	struct first_page page = good;
	uint8_t data[WAL_LONG_PAGE_HEADER_BYTES];
	struct wal_page_header h;
	struct error err = {0};

	page.flags = 0;
	build_first(&page, data);
	assert_int_equal(wal_page_header_decode(data, WAL_PAGE_HEADER_BYTES, &h, &err), 0);
	assert_false(h.is_continued || h.is_overwriting || h.is_long);
	assert_int_equal(h.system_id, 0);
	assert_int_equal(h.segment_bytes, 0);
}

/* What of the good page is not right, or of what is known of the cluster, and what is said of it. */
static const struct wrong {
	const char *words;
	int errnum;
	unsigned at, bytes; /* of the field that has another value */
	uint64_t value;
	struct wal_first_page_expected expected;
} wrongs[] = {
        {"it is no WAL, it begins with 1F 8B", EBADMSG, 0, 2, 0x8B1F, {0}}, /* gzip */
        {"(its pages begin with D101); it knows 13 to 18", ENOTSUP, 0, 2, 0xD101, {0}},
        {"of a big-endian processor", ENOTSUP, 0, 2, 0x10D1, {0}},
        {"a page from the middle of a segment", EBADMSG, 2, 2, 1, {0}},
        {"unknown flags (0012)", EBADMSG, 2, 2, 0x12, {0}},
        {"a page of timeline 0", EBADMSG, 4, 4, 0, {0}},
        {"it is of timeline 3, and named as one of timeline 2", EINVAL, 4, 4, 3, {0}},
        {"it begins with 3/F3000000, of 0000000200000003000000F3, where 3/F4000000 was expected",
         EBADMSG,
         8,
         8,
         UINT64_C(0x3F3000000),
         {0}},
        {"it begins with 3/F4002000, of 0000000200000003000000F4, where 3/F4000000 was expected",
         EBADMSG,
         8,
         8,
         UINT64_C(0x3F4002000),
         {0}},
        {"it is of another cluster: its system identifier is 42, not 7420000000000000001",
         EINVAL,
         24,
         8,
         42,
         {.system_id = SYSTEM_ID}},
        {"it has segments of 64 MiB; those of this cluster had 16 MiB until now",
         EINVAL,
         32,
         4,
         4 * SEGMENT,
         {.segment_bytes = SEGMENT}},
        {"it has segments of 1024 MiB, with which no file has this name", EINVAL, 32, 4, 64 * SEGMENT, {0}},
        {"it says that segments have 16777217 bytes", EBADMSG, 32, 4, SEGMENT + 1, {0}},
        {"it says that pages have 12288 bytes", EBADMSG, 36, 4, 12288, {0}},
        {"it says that pages have 512 bytes", EBADMSG, 36, 4, 512, {0}},
        {"it says that pages have 131072 bytes", EBADMSG, 36, 4, 131072, {0}},
};

static void expect_refused(const uint8_t *data, size_t len, const struct wal_first_page_expected *expected,
                           int errnum, const char *words)
{
	struct wal_page_header h = {.version = 77};
	struct wal_name name;
	struct error err = {0};

	assert_int_equal(wal_name_parse(NAME, &name), 0);
	if (wal_first_page_check(data, len, &name, expected, &h, &err) != -errnum)
		fail_msg("%s: %d, %s", words, err.errnum, err.message);
	if (!strstr(err.message, words) || strncmp(err.message, NAME ": it ", strlen(NAME ": it ")) != 0)
		fail_msg("%s: %s", words, err.message);
	assert_int_equal(h.version, 77);
}

static void each_way_to_be_wrong_is_said(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrongs); i++) {
		const struct wrong *w = &wrongs[i];
		uint8_t data[WAL_LONG_PAGE_HEADER_BYTES], *at = data + w->at;

		build_first(&good, data);
		put_le(&at, w->value, w->bytes);
		expect_refused(data, sizeof(data), &w->expected, w->errnum, w->words);
	}
}

static void what_is_empty_or_short_is_said(void **state)
{
	uint8_t data[WAL_LONG_PAGE_HEADER_BYTES] = {0};

	expect_refused(data, sizeof(data), NULL, EBADMSG, "it begins with zeros");
	build_first(&good, data);
	expect_refused(data, 0, NULL, EBADMSG, "it ends after 0 bytes");
	expect_refused(data, 23, NULL, EBADMSG, "it ends after 23 bytes");
	expect_refused(data, 39, NULL, EBADMSG, "it ends after 39 bytes");
}

/* Whose file it is matters more than what is in it. */
static void another_cluster_is_said_before_another_place(void **state)
{
	struct first_page page = good;
	uint8_t data[WAL_LONG_PAGE_HEADER_BYTES];

	page.lsn = UINT64_C(0x3F3000000);
	page.timeline = 5;
	build_first(&page, data);
	expect_refused(data, sizeof(data), &(struct wal_first_page_expected){.system_id = 42}, EINVAL,
	               "of another cluster");
}

static void expect_taken(const char *text, const struct first_page *page,
                         const struct wal_first_page_expected *expected)
{
	uint8_t data[WAL_LONG_PAGE_HEADER_BYTES];
	struct wal_page_header h;
	struct wal_name name;
	struct error err = {0};

	build_first(page, data);
	assert_int_equal(wal_name_parse(text, &name), 0);
	if (wal_first_page_check(data, sizeof(data), &name, expected, &h, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(h.system_id, page->system_id);
	assert_int_equal(wal_first_page_check(data, sizeof(data), &name, expected, NULL, NULL), 0);
}

static void what_is_right_is_taken(void **state)
{
	struct first_page page = good;

	expect_taken(NAME, &page, NULL);
	expect_taken(NAME ".partial", &page, &(struct wal_first_page_expected){.system_id = SYSTEM_ID});
	expect_taken(NAME, &page, &(struct wal_first_page_expected){SYSTEM_ID, SEGMENT});
	/* The first segment behind a promotion begins with what there was of the old timeline's. */
	page.timeline = 1;
	expect_taken(NAME, &page, NULL);
	page.segment_bytes = UINT32_C(1) << 20;
	page.lsn = UINT64_C(0x30F400000);
	expect_taken(NAME, &page, NULL);
	page.segment_bytes = UINT32_C(1) << 30;
	page.lsn = UINT64_C(0x3C0000000);
	expect_taken("000000020000000300000003", &page, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(magics_are_of_versions),
	        cmocka_unit_test(a_long_header),
	        cmocka_unit_test(a_short_header),
	        cmocka_unit_test(each_way_to_be_wrong_is_said),
	        cmocka_unit_test(what_is_empty_or_short_is_said),
	        cmocka_unit_test(another_cluster_is_said_before_another_place),
	        cmocka_unit_test(what_is_right_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

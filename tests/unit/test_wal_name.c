// SPDX-License-Identifier: Apache-2.0
/* Names of files of the log, the places they stand for, and their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/codec/wal_name.h>

#define MIB UINT32_C(1048576)

static struct wal_name parsed(const char *text)
{
	struct wal_name name;

	if (wal_name_parse(text, &name) < 0)
		fail_msg("%s is refused", text);
	return name;
}

static void expect_name(const struct wal_name *name, const char *expected)
{
	char text[WAL_NAME_BYTES];

	wal_name_format(name, text);
	assert_string_equal(text, expected);
}

static void a_name_says_what_it_is_and_back(void **state)
{
	static const struct {
		const char *text;
		struct wal_name name;
	} names[] = {
	        {"0000000200000003000000F4", {WAL_NAME_SEGMENT, 2, 3, 0xF4, 0}},
	        {"0000000200000003000000F4.partial", {WAL_NAME_PARTIAL, 2, 3, 0xF4, 0}},
	        {"0000000200000003000000F4.00000028.backup", {WAL_NAME_BACKUP, 2, 3, 0xF4, 0x28}},
	        {"00000003.history", {WAL_NAME_HISTORY, 3, 0, 0, 0}},
	        {"FFFFFFFFFFFFFFFF00000FFF", {WAL_NAME_SEGMENT, UINT32_MAX, UINT32_MAX, 0xFFF, 0}},
	        {"000000010000000000000001", {WAL_NAME_SEGMENT, 1, 0, 1, 0}},
	        {"000000010000000100000000", {WAL_NAME_SEGMENT, 1, 1, 0, 0}},
	        {"000000010000000100000003.3FFFFFF8.backup", {WAL_NAME_BACKUP, 1, 1, 3, 0x3FFFFFF8}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct wal_name name = parsed(names[i].text);

		assert_int_equal(name.kind, names[i].name.kind);
		assert_int_equal(name.timeline, names[i].name.timeline);
		assert_int_equal(name.log, names[i].name.log);
		assert_int_equal(name.segment, names[i].name.segment);
		assert_int_equal(name.offset, names[i].name.offset);
		expect_name(&name, names[i].text);
	}
}

static void what_is_no_name_is_refused(void **state)
{
	static const char *const bad[] = {
	        "",
	        "0",
	        "0000000200000003000000F",
	        "0000000200000003000000F40",
	        "0000000200000003000000f4",
	        "0000000200000003 00000F4",
	        "0x00000200000003000000F4",
	        "0000000200000003000000F4.",
	        "0000000200000003000000F4.part",
	        "0000000200000003000000F4.partial2",
	        "0000000200000003000000F4.gz",
	        "0000000200000003000000F4.history",
	        "0000000200000003000000F4.28.backup",
	        "0000000200000003000000F4.00000028",
	        "0000000200000003000000F4.00000028.backup~",
	        "0000000200000003000000F4.00000028.partial",
	        "0000000200000003000000F4.40000000.backup", /* not within 1 GiB */
	        "0000000200000003000000F4.02000000.backup", /* 32 MiB, with which there are 128 segments */
	        "0000000200000003.history",
	        "00000003.histor",
	        "00000003.HISTORY",
	        "0000003.history",
	        "00000000.history",         /* no timeline */
	        "0000000000000003000000F4", /* no timeline */
	        "000000010000000000000000", /* LSN 0 is none */
	        "000000010000000000001000", /* 4096 segments in 4 GiB */
	        "RECOVERYXLOG",
	        "archive_status",
	        "../0000000200000003000000F4",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct wal_name name = {.timeline = 77};

		if (wal_name_parse(bad[i], &name) != -EINVAL)
			fail_msg("%s is taken", bad[i]);
		assert_int_equal(name.timeline, 77);
	}
}

static void sizes_of_segments(void **state)
{
	static const uint64_t bad[] = {0, 1, MIB - 1, MIB / 2, 3 * MIB, 2048 * (uint64_t)MIB, UINT64_MAX};

	for (uint32_t bytes = MIB; bytes <= 1024 * MIB; bytes *= 2)
		assert_true(wal_segment_bytes_valid(bytes));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(wal_segment_bytes_valid(bad[i]));
}

static void a_name_may_not_fit_a_size_of_segments(void **state)
{
	struct wal_name last = parsed("0000000100000000000000FF"),
	                beyond = parsed("000000010000000000000100"),
	                backup = parsed("000000010000000000000001.00FFFFF8.backup"),
	                history = parsed("00000002.history");

	assert_true(wal_name_fits(&last, 16 * MIB));
	assert_false(wal_name_fits(&beyond, 16 * MIB));
	assert_true(wal_name_fits(&beyond, 8 * MIB));
	assert_false(wal_name_fits(&last, 1024 * MIB));
	assert_true(wal_name_fits(&backup, 16 * MIB));
	assert_false(wal_name_fits(&backup, 8 * MIB));
	assert_true(wal_name_fits(&history, MIB));
}

static void a_name_has_a_place_and_a_place_a_name(void **state)
{
	static const struct {
		const char *name;
		uint32_t mib;
		uint64_t lsn;
	} places[] = {
	        {"0000000200000003000000F4", 16, UINT64_C(0x3F4000000)},
	        {"0000000200000003000000F4", 1, UINT64_C(0x30F400000)},
	        {"0000000200000003000000F4.00000028.backup", 16, UINT64_C(0x3F4000028)},
	        {"0000000200000003000000F4.partial", 16, UINT64_C(0x3F4000000)},
	        {"000000010000000100000003", 1024, UINT64_C(0x1C0000000)},
	        {"00000001FFFFFFFF00000FFF", 1, UINT64_C(0xFFFFFFFFFFF00000)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct wal_name name = parsed(places[i].name), of;

		assert_int_equal(wal_name_lsn(&name, places[i].mib * MIB), places[i].lsn);
		of = wal_name_of_lsn(name.timeline, places[i].lsn + 5, places[i].mib * MIB);
		assert_int_equal(wal_name_compare_place(&of, &name), 0);
		assert_int_equal(of.timeline, name.timeline);
		assert_int_equal(of.kind, WAL_NAME_SEGMENT);
		assert_int_equal(of.offset, 0);
	}
}

static void an_end_is_in_the_segment_before_it(void **state)
{
	struct wal_name name = wal_name_of_end(1, UINT64_C(0x100000000), 16 * MIB);

	expect_name(&name, "0000000100000000000000FF");
	name = wal_name_of_end(1, UINT64_C(0x100000001), 16 * MIB);
	expect_name(&name, "000000010000000100000000");
}

static void neighbours(void **state)
{
	static const struct {
		const char *name, *next;
		uint32_t mib;
	} pairs[] = {
	        {"0000000200000003000000F4", "0000000200000003000000F5", 16},
	        {"0000000200000003000000FF", "000000020000000400000000", 16},
	        {"000000020000000300000003", "000000020000000400000000", 1024},
	        {"0000000200000003000000FF", "000000020000000300000100", 1},
	        {"000000020000000300000FFF", "000000020000000400000000", 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct wal_name name = parsed(pairs[i].name), next, back;

		assert_int_equal(wal_name_next(&name, pairs[i].mib * MIB, &next), 0);
		expect_name(&next, pairs[i].next);
		assert_int_equal(wal_name_previous(&next, pairs[i].mib * MIB, &back), 0);
		expect_name(&back, pairs[i].name);
	}
}

static void neighbours_of_other_kinds_are_segments(void **state)
{
	struct wal_name backup = parsed("0000000200000003000000F4.00000028.backup"),
	                partial = parsed("0000000200000003000000F4.partial"), ret;

	assert_int_equal(wal_name_next(&backup, 16 * MIB, &ret), 0);
	expect_name(&ret, "0000000200000003000000F5");
	assert_int_equal(wal_name_previous(&partial, 16 * MIB, &ret), 0);
	expect_name(&ret, "0000000200000003000000F3");
}

static void the_ends_of_the_log_have_no_neighbour(void **state)
{
	struct wal_name first = parsed("000000010000000000000001"), last = parsed("00000001FFFFFFFF000000FF"),
	                history = parsed("00000002.history"), ret = {.timeline = 77};

	assert_int_equal(wal_name_previous(&first, 16 * MIB, &ret), -ERANGE);
	assert_int_equal(wal_name_next(&last, 16 * MIB, &ret), -ERANGE);
	assert_int_equal(wal_name_previous(&history, 16 * MIB, &ret), -EINVAL);
	assert_int_equal(wal_name_next(&history, 16 * MIB, &ret), -EINVAL);
	assert_int_equal(ret.timeline, 77);
}

static void names_have_an_order(void **state)
{
	static const char *const sorted[] = {
	        "00000001.history",
	        "000000010000000000000001",
	        "000000010000000000000001.00000028.backup",
	        "000000010000000000000001.00000030.backup",
	        "000000010000000000000002",
	        "000000010000000000000002.partial",
	        "000000010000000100000000",
	        "00000002.history",
	        "000000020000000000000002",
	        "0000000A0000000000000001",
	};

	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(sorted); k++) {
			struct wal_name a = parsed(sorted[i]), b = parsed(sorted[k]);
			int order = wal_name_compare(&a, &b);

			if ((order > 0) - (order < 0) != (i > k) - (i < k))
				fail_msg("%s and %s: %d", sorted[i], sorted[k], order);
		}
	}
}

static void places_are_compared_across_timelines(void **state)
{
	struct wal_name a = parsed("000000010000000000000002.partial"),
	                b = parsed("000000020000000000000002"), c = parsed("000000010000000000000003");

	assert_int_equal(wal_name_compare_place(&a, &b), 0);
	assert_true(wal_name_compare_place(&c, &b) > 0);
	assert_true(wal_name_compare_place(&b, &c) < 0);
}

static void an_lsn_is_a_text_and_back(void **state)
{
	static const struct {
		const char *text, *formatted;
		uint64_t lsn;
	} texts[] = {
	        {"3/7A000028", "3/7A000028", UINT64_C(0x37A000028)},
	        {"0/0", "0/0", 0},
	        {"16/b374d848", "16/B374D848", UINT64_C(0x16B374D848)},
	        {"0/019018048", NULL, 0},
	        {"0/09018048", "0/9018048", 0x9018048},
	        {"FFFFFFFF/FFFFFFFF", "FFFFFFFF/FFFFFFFF", UINT64_MAX},
	        {"", NULL, 0},
	        {"/", NULL, 0},
	        {"0", NULL, 0},
	        {"0/", NULL, 0},
	        {"/0", NULL, 0},
	        {"0/0/0", NULL, 0},
	        {"0/0 ", NULL, 0},
	        {" 0/0", NULL, 0},
	        {"-1/0", NULL, 0},
	        {"0/G", NULL, 0},
	        {"100000000/0", NULL, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char formatted[WAL_LSN_BYTES];
		uint64_t lsn = 77;

		if (!texts[i].formatted) {
			assert_int_equal(wal_lsn_parse(texts[i].text, &lsn), -EINVAL);
			assert_int_equal(lsn, 77);
			continue;
		}
		assert_int_equal(wal_lsn_parse(texts[i].text, &lsn), 0);
		assert_int_equal(lsn, texts[i].lsn);
		assert_string_equal(wal_lsn_format(lsn, formatted), texts[i].formatted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_name_says_what_it_is_and_back),
	        cmocka_unit_test(what_is_no_name_is_refused),
	        cmocka_unit_test(sizes_of_segments),
	        cmocka_unit_test(a_name_may_not_fit_a_size_of_segments),
	        cmocka_unit_test(a_name_has_a_place_and_a_place_a_name),
	        cmocka_unit_test(an_end_is_in_the_segment_before_it),
	        cmocka_unit_test(neighbours),
	        cmocka_unit_test(neighbours_of_other_kinds_are_segments),
	        cmocka_unit_test(the_ends_of_the_log_have_no_neighbour),
	        cmocka_unit_test(names_have_an_order),
	        cmocka_unit_test(places_are_compared_across_timelines),
	        cmocka_unit_test(an_lsn_is_a_text_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

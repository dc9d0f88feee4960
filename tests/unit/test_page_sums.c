// SPDX-License-Identifier: Apache-2.0
/* Page sums: what a head says, and what makes a sum another one. */
#include <keepfs/codec/hash.h>
#include <keepfs/codec/page_sums.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct page_sums_head good_head = {.seed = 0x0123456789abcdef, .system_id = 7301234567890123456};

static void test_a_head_comes_back(void **state)
{
	uint8_t bytes[PAGE_SUMS_HEAD_BYTES];
	struct page_sums_head back = {0};
	uint32_t crc;

	(void)state;
	page_sums_head_encode(&good_head, bytes);
	assert_int_equal(page_sums_head_decode(bytes, sizeof(bytes), &back, NULL), 0);
	assert_true(back.seed == good_head.seed && back.system_id == good_head.system_id);
	/* As docs/formats.md has it. */
	assert_memory_equal(bytes, "keepfs sums\n\1\0\0\0\xef\xcd\xab\x89\x67\x45\x23\x01", 24);
	assert_memory_equal(bytes + 32, "\0\x20\0\0", 4);
	crc = crc32c(0, bytes, 36);
	assert_int_equal(bytes[36], crc & 0xff);
}

static void test_damaged_heads_are_refused(void **state)
{
	uint8_t bytes[PAGE_SUMS_HEAD_BYTES];
	struct page_sums_head back = {.seed = 5};

	(void)state;
	page_sums_head_encode(&good_head, bytes);
	for (size_t len = 0; len < sizeof(bytes); len++)
		assert_int_equal(page_sums_head_decode(bytes, len, &back, NULL), -EBADMSG);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		struct error err = {0};
		int r;

		bytes[i] ^= 0x40;
		r = page_sums_head_decode(bytes, sizeof(bytes), &back, &err);
		assert_true(r == -EBADMSG || (r == -ENOTSUP && i >= 12 && i < 16));
		assert_non_null(strstr(err.message, "page sums"));
		bytes[i] ^= 0x40;
	}
	assert_int_equal(back.seed, 5);
}

static void test_sums_are_of_bytes_and_seed(void **state)
{
	static uint8_t page[PAGE_SUM_PAGE];
	uint8_t first[PAGE_SUM_BYTES], other[PAGE_SUM_BYTES];

	(void)state;
	/* Published with XXH3, of nothing. */
	assert_true(hash_seeded(0, "", 0) == 0x2d06800538d394c2);
	page_sum(1, page, sizeof(page), first);
	page_sum(1, page, sizeof(page), other);
	assert_memory_equal(first, other, sizeof(first));
	page_sum(2, page, sizeof(page), other);
	assert_memory_not_equal(first, other, 8);
	/* The CRC-32C has no seed. */
	assert_memory_equal(first + 8, other + 8, 4);
	page[8000] ^= 1;
	page_sum(1, page, sizeof(page), other);
	assert_memory_not_equal(first, other, 8);
	assert_memory_not_equal(first + 8, other + 8, 4);
	page[8000] ^= 1;
	page_sum(1, page, sizeof(page) - 1, other);
	assert_memory_not_equal(first, other, 8);
}

static void test_how_many(void **state)
{
	(void)state;
	assert_int_equal(page_sums_bytes(0), 0);
	assert_int_equal(page_sums_bytes(1), 12);
	assert_int_equal(page_sums_bytes(8192), 12);
	assert_int_equal(page_sums_bytes(8193), 24);
	assert_int_equal(page_sums_bytes(UINT64_C(1) << 30), 12 << 17);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_a_head_comes_back),
	        cmocka_unit_test(test_damaged_heads_are_refused),
	        cmocka_unit_test(test_sums_are_of_bytes_and_seed),
	        cmocka_unit_test(test_how_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

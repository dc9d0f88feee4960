// SPDX-License-Identifier: Apache-2.0
/* Extent tables: found by offset, merged, limited, and refused when they make no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/extents.h>
#include <keepfs/codec/hash.h>

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
	        cmocka_unit_test(extents_are_found_by_offset),
	        cmocka_unit_test(extents_are_merged),
	        cmocka_unit_test(extents_are_limited),
	        cmocka_unit_test(bad_extents_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

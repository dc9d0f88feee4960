// SPDX-License-Identifier: Apache-2.0
/* The segment index: what is written reads back, memory is bounded, and nothing that is cut or foreign passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/codec/segments.h>

static void add(struct segment_index *x, uint32_t entry, uint32_t oid, uint64_t offset, size_t most)
{
	const struct segment_record r = {entry, oid, offset, 1000, 10};

	segment_index_add(x, &r, most);
}

static void what_is_written_reads_back(void **state)
{
	_cleanup(segment_index) struct segment_index x = {0}, back = {0};
	_cleanup(free) uint8_t *data = NULL;
	size_t len;

	add(&x, 7, 0, 100, 10);
	add(&x, 7, 0, UINT64_C(0x123456789a), 10);
	add(&x, 8, UINT32_MAX, UINT64_C(0x123456799a), 10);
	data = segment_index_encode(&x, &len);
	assert_int_equal(len, SEGMENT_INDEX_HEAD_BYTES + 3 * SEGMENT_INDEX_RECORD_BYTES);
	assert_memory_equal(data,
	                    "keepfs-i\1\0\0\0\x18\0\0\0\3\0\0\0\0\0\0\0"
	                    "\7\0\0\0\0\0\0\0\x64\0\0\0\0\0\0\0\xe8\3\0\0\x0a\0\0\0",
	                    SEGMENT_INDEX_HEAD_BYTES + SEGMENT_INDEX_RECORD_BYTES);
	assert_int_equal(segment_index_decode(data, len, &back, NULL), 0);
	assert_int_equal(back.count, 3);
	assert_memory_equal(back.items, x.items, 3 * sizeof(*x.items));
}

static void neighbours_become_one_when_there_are_too_many(void **state)
{
	_cleanup(segment_index) struct segment_index x = {0};
	uint64_t raw = 0, lines = 0;

	for (uint64_t i = 0; i < 1000; i++)
		add(&x, 1 + (uint32_t)(i / 300), 0, 100 * i, 16);
	assert_true(x.count <= 17);
	for (size_t i = 0; i < x.count; i++) {
		/* Each is entered where its first segment begins. */
		assert_int_equal(x.items[i].offset % 100, 0);
		assert_int_equal(x.items[i].entry, 1 + x.items[i].offset / 100 / 300);
		assert_int_equal(raw, x.items[i].offset * 10);
		raw += x.items[i].raw_bytes;
		lines += x.items[i].lines;
	}
	assert_int_equal(raw, 1000 * 1000);
	assert_int_equal(lines, 1000 * 10);
}

static void tables_are_never_left_out(void **state)
{
	_cleanup(segment_index) struct segment_index x = {0};

	for (uint32_t i = 0; i < 100; i++)
		add(&x, i, 0, i, 8);
	assert_int_equal(x.count, 100);
	for (uint32_t i = 0; i < 100; i++)
		add(&x, 200, 1 + i, 100 + i, 8); /* large objects are */
	assert_int_equal(x.count, 100);
}

static void what_is_none_is_refused(void **state)
{
	_cleanup(segment_index) struct segment_index x = {0}, back = {0};
	_cleanup(free) uint8_t *data = NULL;
	size_t len;

	add(&x, 1, 0, 1, 10);
	add(&x, 2, 0, 2, 10);
	data = segment_index_encode(&x, &len);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(segment_index_decode(data, n, &back, NULL), -EBADMSG);
	data[16]++;
	assert_int_equal(segment_index_decode(data, len, &back, NULL), -EBADMSG);
	data[16]--;
	data[8]++;
	assert_int_equal(segment_index_decode(data, len, &back, NULL), -ENOTSUP);
	data[8]--;
	data[0] = 'K';
	assert_int_equal(segment_index_decode(data, len, &back, NULL), -EBADMSG);
	assert_int_equal(back.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_written_reads_back),
	        cmocka_unit_test(neighbours_become_one_when_there_are_too_many),
	        cmocka_unit_test(tables_are_never_left_out),
	        cmocka_unit_test(what_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

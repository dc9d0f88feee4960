// SPDX-License-Identifier: Apache-2.0
/* The stages in front of an upload: counting, hashing, and listing extents. */
#include "../../src/stream/digest.h"
#include "../../src/stream/lister.h"
#include "stream_test.h"

/* They end at the multiples of one length behind the head, and at the end. */
static void expect_extents(const struct extents *x, const struct str *data, size_t head, uint32_t length)
{
	uint64_t at = head;

	assert_int_equal(x->total_bytes, data->len);
	for (size_t i = (head + EXTENT_MIN_BYTES - 1) / EXTENT_MIN_BYTES; i < x->count; i++) {
		uint64_t end = at / length * length + length;

		assert_int_equal(x->items[i].offset, at);
		assert_int_equal(x->items[i].length, (end < data->len ? end : data->len) - at);
		assert_int_equal(x->items[i].crc32c, crc32c(0, data->data + at, x->items[i].length));
		at += x->items[i].length;
	}
	assert_int_equal(at, data->len);
}

static const struct cells no_cells = {.plain_bytes = EXTENT_MIN_BYTES, .stored_bytes = EXTENT_MIN_BYTES};

static struct sink *new_lister(struct sink *next, size_t head, size_t most, struct extents *ret)
{
	return lister_new(next,
	                  &(struct lister_options){
	                          .cells = no_cells, .head_bytes = head, .max_extents = most, .ret = ret});
}

static void expect_digest(size_t len, size_t piece, size_t extents)
{
	_cleanup(str) struct str data = {0};
	_cleanup(str) struct str kept = {0};
	struct stream_facts facts = {0};
	bool finished = false;
	struct sink *sink = new_lister(keeper_new(&kept, &finished, 0), 0, EXTENTS_MAX, &facts.extents);
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	sink = digest_new(sink, &facts.bytes, facts.sha256);
	make_data(&data, len);
	for (size_t at = 0; at < len; at += piece)
		assert_int_equal(sink_write(sink, data.data + at, len - at < piece ? len - at : piece, NULL),
		                 0);
	assert_int_equal(sink_finish(sink, NULL), 0);
	sink_free(sink);
	assert_true(finished);
	assert_int_equal(facts.bytes, len);
	assert_int_equal(kept.len, len);
	sha256_once(data.data ? data.data : "", len, digest);
	hex_encode(digest, sizeof(digest), hex);
	assert_string_equal(facts.sha256, hex);
	assert_int_equal(facts.extents.count, extents);
	expect_extents(&facts.extents, &data, 0, EXTENT_MIN_BYTES);
	extents_finish(&facts.extents);
}

static void test_digest(void **state)
{
	expect_digest(0, 1, 0);
	expect_digest(1, 1, 1);
	expect_digest(EXTENT_MIN_BYTES - 1, 1000, 1);
	expect_digest(EXTENT_MIN_BYTES, 1000, 1);
	expect_digest(2 * EXTENT_MIN_BYTES + 1, 65536, 3);
	expect_digest(3 * EXTENT_MIN_BYTES, 3 * EXTENT_MIN_BYTES, 3);
}

/* A table of few extents: their length doubles when there would be more. */
static void expect_limited(const struct str *whole, size_t head, size_t len, size_t most, uint32_t length)
{
	const struct str data = {.data = whole->data, .len = len};
	const size_t piece = most * 10007;
	_cleanup(str) struct str kept = {0};
	struct extents extents = {0};
	bool finished = false;
	struct sink *sink = new_lister(keeper_new(&kept, &finished, 0), head, most, &extents);

	for (size_t at = head; at < len; at += piece)
		assert_int_equal(sink_write(sink, data.data + at, len - at < piece ? len - at : piece, NULL),
		                 0);
	assert_int_equal(sink_finish(sink, NULL), 0);
	sink_free(sink);
	expect_extents(&extents, &data, head, length);
	for (size_t at = 0, i = 0; at < head; at += EXTENT_MIN_BYTES, i++) {
		assert_int_equal(extents.items[i].offset, at);
		assert_int_equal(extents.items[i].crc32c, 0);
	}
	extents_finish(&extents);
}

static void test_limited_extents(void **state)
{
	static const size_t heads[] = {
	        0, 1, 100, EXTENT_MIN_BYTES - 1, EXTENT_MIN_BYTES, EXTENT_MIN_BYTES + 1};
	const size_t most = 7;
	_cleanup(str) struct str data = {0};

	make_data(&data, 9 * MIB);
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		for (uint32_t length = EXTENT_MIN_BYTES; length < EXTENT_MAX_BYTES; length *= 2) {
			/* The head counts, and what follows it up to a multiple. */
			size_t head_extents = (heads[i] + EXTENT_MIN_BYTES - 1) / EXTENT_MIN_BYTES;
			size_t full = heads[i] / length * length + (most - head_extents) * length;

			expect_limited(&data, heads[i], full - 1, most, length);
			expect_limited(&data, heads[i], full, most, length);
			expect_limited(&data, heads[i], full + 1, most, 2 * length);
		}
	}
	expect_limited(&data, 0, 9 * MIB, most, EXTENT_MAX_BYTES);
	expect_limited(&data, 0, 8 * MIB + 1, 1, EXTENT_MAX_BYTES);
	expect_limited(&data, 100, 2 * MIB, 1, EXTENT_MAX_BYTES); /* no room but the head's */
	expect_limited(&data, 3, 4, 1, EXTENT_MAX_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_digest),
	        cmocka_unit_test(test_limited_extents),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}

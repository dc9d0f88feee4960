// SPDX-License-Identifier: Apache-2.0
/* Segments: whatever made them, they are read back by zlib and zstd, alone and one behind the other. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/compression.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#define POOL_BUFFER_BYTES ((size_t)1 << 20)
#define RAW_DEFLATE       (-MAX_WBITS)
#define GZIP_WINDOW       (MAX_WBITS + 16)
#define GUARD             0xa5
#define SLOW_LEVEL        10 /* from here on only little is compressed: it shows nothing else */
#define GUARD_BYTES       64

static const struct compression all[] = {
        {COMPRESSION_NONE, 0}, {COMPRESSION_GZIP, COMPRESSION_ISAL},
        {COMPRESSION_GZIP, 1}, {COMPRESSION_GZIP, 6},
        {COMPRESSION_GZIP, 9}, {COMPRESSION_ZSTD, 1},
        {COMPRESSION_ZSTD, 9}, {COMPRESSION_ZSTD, 19},
};

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 33;
}

enum content { ZEROS, NOISE, ROWS, NOISE_WITH_REPEATS, CONTENTS };

/* Heap: @len bytes, and not one behind them that could be read unnoticed. */
static uint8_t *make_raw(enum content content, size_t len)
{
	uint8_t *raw = mem_alloc(len);
	uint64_t seed = (uint64_t)content + len;

	for (size_t i = 0; i < len && content != ZEROS; i++) {
		static const char row[] = "1234567\tsome value\t2024-01-01 00:00:00+00\t\\N\n";

		raw[i] = (uint8_t)next_random(&seed);
		if (content == ROWS && raw[i] % 8)
			raw[i] = (uint8_t)row[i % (sizeof(row) - 1)];
		if (content == NOISE_WITH_REPEATS && i >= 40000 && raw[i] % 4)
			raw[i] = raw[i - 40000];
	}
	return raw;
}

/* One segment behind @out; what lies behind the bound must stay as it is. */
static struct segment append_segment(struct compressor *c, const struct compression *is, const uint8_t *raw,
                                     size_t raw_bytes, struct str *out)
{
	size_t bound = compressor_bound(is, raw_bytes);
	_cleanup(free) uint8_t *buf = mem_alloc(bound + GUARD_BYTES);
	struct segment s;
	struct error err = {0};

	memset(buf + bound, GUARD, GUARD_BYTES);
	assert_int_equal(compressor_run(c, raw, raw_bytes, buf, bound, &s, &err), 0);
	assert_int_equal(s.raw_bytes, raw_bytes);
	assert_in_range(s.bytes, 1, bound);
	for (size_t i = 0; i < GUARD_BYTES; i++)
		assert_int_equal(buf[bound + i], GUARD);
	str_append_bytes(out, buf, s.bytes);
	return s;
}

/* @window as of inflateInit2(); Z_STREAM_END is expected when @whole, and all of the input to be used. */
static void expect_inflates(const struct str *in, int window, bool whole, const uint8_t *raw,
                            size_t raw_bytes)
{
	_cleanup(free) uint8_t *got = mem_alloc(raw_bytes + 1);
	z_stream z = {0};
	int r;

	assert_int_equal(inflateInit2(&z, window), Z_OK);
	z.next_in = (uint8_t *)in->data;
	z.avail_in = (unsigned)in->len;
	z.next_out = got;
	z.avail_out = (unsigned)raw_bytes + 1;
	r = inflate(&z, Z_SYNC_FLUSH);
	assert_int_equal(r, whole ? Z_STREAM_END : Z_OK);
	assert_int_equal(z.avail_in, 0);
	assert_int_equal(z.total_out, raw_bytes);
	assert_memory_equal(got, raw, raw_bytes);
	inflateEnd(&z);
}

static void expect_zstd(const struct str *in, const uint8_t *raw, size_t raw_bytes)
{
	_cleanup(free) uint8_t *got = mem_alloc(raw_bytes + 1);

	assert_int_equal(ZSTD_decompress(got, raw_bytes + 1, in->data, in->len), raw_bytes);
	assert_memory_equal(got, raw, raw_bytes);
}

/* A segment by itself, without anything before or behind it. */
static void expect_alone(const struct compression *is, const struct str *in, const uint8_t *raw, size_t len)
{
	switch (is->method) {
	case COMPRESSION_GZIP:
		expect_inflates(in, RAW_DEFLATE, false, raw, len);
		break;
	case COMPRESSION_ZSTD:
		assert_int_equal(ZSTD_findFrameCompressedSize(in->data, in->len), in->len);
		assert_int_equal(ZSTD_getFrameContentSize(in->data, in->len), len);
		expect_zstd(in, raw, len);
		break;
	default:
		assert_int_equal(in->len, len);
		assert_memory_equal(in->data, raw, len);
	}
}

static void test_segments_alone(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 7, 8, 100, 4096, 65534, 65535, 65536, 131071};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct compressor *c = compressor_new(&all[i], SEGMENT_CHECK_ADLER32);

		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			bool slow = all[i].level >= SLOW_LEVEL && sizes[k] > 4096;

			for (enum content content = 0; content < CONTENTS && !slow; content++) {
				_cleanup(free) uint8_t *raw = make_raw(content, sizes[k]);
				_cleanup(str) struct str out = {0};
				struct segment s = append_segment(c, &all[i], raw, sizes[k], &out);

				assert_int_equal(s.check, adler32(1, raw, (unsigned)sizes[k]));
				expect_alone(&all[i], &out, raw, sizes[k]);
			}
		}
		compressor_free(c);
	}
}

/* Of bytes that cannot be made smaller: the room that is asked for is really needed, and enough. */
static void test_largest_segment(void **state)
{
	_cleanup(free) uint8_t *raw = make_raw(NOISE, SEGMENT_RAW_BYTES);

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		_cleanup(compressor) struct compressor *c = compressor_new(&all[i], SEGMENT_CHECK_NONE);
		_cleanup(str) struct str out = {0};

		assert_true(compressor_bound(&all[i], SEGMENT_RAW_BYTES) <= POOL_BUFFER_BYTES);
		if (all[i].level >= SLOW_LEVEL)
			continue;
		append_segment(c, &all[i], raw, SEGMENT_RAW_BYTES, &out);
		assert_true(out.len >= SEGMENT_RAW_BYTES);
		expect_alone(&all[i], &out, raw, SEGMENT_RAW_BYTES);
	}
}

/* Pieces of @raw, of sizes that differ, as one stream in @ret with the framing of @check. */
static struct segment join_segments(const struct compression *is, enum segment_check check,
                                    const uint8_t *raw, size_t raw_bytes, struct str *ret)
{
	_cleanup(compressor) struct compressor *c = compressor_new(is, check);
	struct segment sum = {.check = segment_check_empty(check)};
	uint64_t seed = raw_bytes;

	while (sum.raw_bytes < raw_bytes) {
		size_t n = 1 + (size_t)next_random(&seed) % 70000;

		n = n < raw_bytes - sum.raw_bytes ? n : raw_bytes - sum.raw_bytes;
		struct segment s = append_segment(c, is, raw + sum.raw_bytes, n, ret);

		sum.check = segment_check_join(check, sum.check, s.check, n);
		sum.raw_bytes += n;
	}
	return sum;
}

static void test_joined_to_zlib(void **state)
{
	static const size_t sizes[] = {0, 1, 150000};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(sizes) && all[i].method == COMPRESSION_GZIP; k++) {
			_cleanup(free) uint8_t *raw = make_raw(NOISE_WITH_REPEATS, sizes[k] + 1);
			_cleanup(str) struct str out = {0};
			uint8_t head[ZLIB_HEAD_BYTES], tail[ZLIB_TAIL_BYTES];

			zlib_head(head);
			str_append_bytes(&out, head, sizeof(head));
			struct segment sum =
			        join_segments(&all[i], SEGMENT_CHECK_ADLER32, raw, sizes[k], &out);

			zlib_tail(sum.check, tail);
			str_append_bytes(&out, tail, sizeof(tail));
			expect_inflates(&out, MAX_WBITS, true, raw, sizes[k]);
		}
	}
}

static void test_joined_to_gzip(void **state)
{
	static const size_t sizes[] = {0, 1, 150000};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(sizes) && all[i].method == COMPRESSION_GZIP; k++) {
			_cleanup(free) uint8_t *raw = make_raw(ROWS, sizes[k] + 1);
			_cleanup(str) struct str out = {0};
			uint8_t head[GZIP_HEAD_BYTES], tail[GZIP_TAIL_BYTES];

			gzip_head(head);
			str_append_bytes(&out, head, sizeof(head));
			struct segment sum = join_segments(&all[i], SEGMENT_CHECK_CRC32, raw, sizes[k], &out);

			gzip_tail(sum.check, sum.raw_bytes, tail);
			str_append_bytes(&out, tail, sizeof(tail));
			expect_inflates(&out, GZIP_WINDOW, true, raw, sizes[k]);
		}
	}
}

static void test_joined_frames(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		_cleanup(free) uint8_t *raw = make_raw(ROWS, 150000);
		_cleanup(str) struct str out = {0};

		if (all[i].method == COMPRESSION_GZIP || all[i].level >= SLOW_LEVEL)
			continue;
		join_segments(&all[i], SEGMENT_CHECK_NONE, raw, 150000, &out);
		if (all[i].method == COMPRESSION_ZSTD)
			expect_zstd(&out, raw, 150000);
		else
			assert_memory_equal(out.data, raw, 150000);
	}
}

/* The length at the end of a gzip file is modulo 2^32. */
static void test_gzip_length_wraps(void **state)
{
	static const uint8_t expected[] = {3, 0, 0x78, 0x56, 0x34, 0x12, 5, 0, 0, 0};
	uint8_t tail[GZIP_TAIL_BYTES];

	gzip_tail(0x12345678, (UINT64_C(3) << 32) + 5, tail);
	assert_memory_equal(tail, expected, sizeof(expected));
}

/* Leaves @value where the next calls have their locals. */
static __attribute__((noinline)) void fill_stack(uint16_t value)
{
	volatile uint16_t locals[100000];

	for (size_t i = 0; i < ARRAY_SIZE(locals); i++)
		locals[i] = value;
}

/* Neither what is in a compressor from the last segment, nor what lay in memory, has a part in the next
 * one. */
static void test_same_for_everyone(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		_cleanup(compressor) struct compressor *old = compressor_new(&all[i], SEGMENT_CHECK_NONE);
		_cleanup(compressor) struct compressor *fresh = compressor_new(&all[i], SEGMENT_CHECK_NONE);
		_cleanup(free) uint8_t *raw = make_raw(ROWS, 20000);
		_cleanup(str) struct str before = {0}, first = {0}, second = {0};

		append_segment(old, &all[i], raw + 10000, 10000, &before);
		fill_stack(0);
		append_segment(old, &all[i], raw, 20000, &first);
		fill_stack(9); /* as a window of 512 bytes */
		append_segment(fresh, &all[i], raw, 20000, &second);
		assert_int_equal(first.len, second.len);
		assert_memory_equal(first.data, second.data, first.len);
	}
}

static void test_really_smaller(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		_cleanup(compressor) struct compressor *c = compressor_new(&all[i], SEGMENT_CHECK_NONE);
		_cleanup(free) uint8_t *raw = make_raw(ZEROS, 200000);
		_cleanup(str) struct str out = {0};

		append_segment(c, &all[i], raw, 200000, &out);
		assert_int_equal(out.len < 2000, all[i].method != COMPRESSION_NONE);
	}
}

/* One changed bit of what is stored as it is goes unnoticed without a checksum, and is told with one. */
static void test_frames_with_checksums(void **state)
{
	static uint8_t raw[100], out[4096], back[100];

	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(i * 2654435761U >> 13);
	for (int checked = 0; checked < 2; checked++) {
		const struct compression how = {
		        .method = COMPRESSION_ZSTD, .level = 1, .frames_have_checksums = checked};
		_cleanup(compressor) struct compressor *c = compressor_new(&how, SEGMENT_CHECK_NONE);
		struct segment s;

		assert_int_equal(compressor_run(c, raw, sizeof(raw), out, sizeof(out), &s, NULL), 0);
		assert_int_equal(ZSTD_decompress(back, sizeof(back), out, s.bytes), sizeof(raw));
		assert_memory_equal(back, raw, sizeof(raw));
		out[s.bytes / 2] ^= 1;
		assert_int_equal(ZSTD_isError(ZSTD_decompress(back, sizeof(back), out, s.bytes)) != 0,
		                 checked);
	}
}

static void test_refused(void **state)
{
	static uint8_t raw[SEGMENT_RAW_BYTES + 1], out[POOL_BUFFER_BYTES * 2];

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		_cleanup(compressor) struct compressor *c = compressor_new(&all[i], SEGMENT_CHECK_NONE);
		size_t bound = compressor_bound(&all[i], 1000);
		struct error err = {0};
		struct segment s;

		assert_int_equal(compressor_run(c, raw, 1000, out, bound - 1, &s, &err), -EINVAL);
		assert_true(err.message[0]);
		assert_int_equal(compressor_run(c, raw, 0, out, sizeof(out), &s, NULL), -EINVAL);
		assert_int_equal(compressor_run(c, raw, sizeof(raw), out, sizeof(out), &s, NULL), -EINVAL);
		assert_int_equal(compressor_run(c, raw, 1000, out, bound, &s, NULL), 0);
	}
}

static void test_checks_join(void **state)
{
	_cleanup(free) uint8_t *raw = make_raw(NOISE, 70001);
	static const size_t cuts[] = {0, 1, 65521, 70000, 70001};

	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		unsigned first = (unsigned)cuts[i], second = 70001 - first;

		assert_int_equal(segment_check_join(SEGMENT_CHECK_ADLER32, (uint32_t)adler32(1, raw, first),
		                                    (uint32_t)adler32(1, raw + first, second), second),
		                 adler32(1, raw, 70001));
		assert_int_equal(segment_check_join(SEGMENT_CHECK_CRC32, (uint32_t)crc32(0, raw, first),
		                                    (uint32_t)crc32(0, raw + first, second), second),
		                 crc32(0, raw, 70001));
	}
	assert_int_equal(segment_check_join(SEGMENT_CHECK_NONE, 0, 0, 5), 0);
	assert_int_equal(segment_check_empty(SEGMENT_CHECK_ADLER32), adler32(0, NULL, 0));
	assert_int_equal(segment_check_empty(SEGMENT_CHECK_CRC32), crc32(0, NULL, 0));
}

/* 4 GiB behind the first piece: that length must not be cut to 32 bits. */
static void test_checks_join_of_much(void **state)
{
	static const uint8_t zeros[1 << 16];
	const uint64_t half = UINT64_C(1) << 31;
	uint32_t of_half = (uint32_t)crc32(0, zeros, sizeof(zeros));

	for (uint64_t have = sizeof(zeros); have < half; have *= 2)
		of_half = segment_check_join(SEGMENT_CHECK_CRC32, of_half, of_half, have);
	uint32_t of_whole = segment_check_join(SEGMENT_CHECK_CRC32, of_half, of_half, half);
	uint32_t at_once = segment_check_join(SEGMENT_CHECK_CRC32, of_whole, of_whole, 2 * half);
	uint32_t in_steps = segment_check_join(SEGMENT_CHECK_CRC32, of_whole, of_half, half);

	in_steps = segment_check_join(SEGMENT_CHECK_CRC32, in_steps, of_half, half);
	assert_int_equal(at_once, in_steps);
}

static void expect_choice(const char *text, enum compression_kind kind, int level)
{
	struct compression_choice choice = {COMPRESS_NONE, -1};
	struct error err = {0};

	assert_int_equal(compression_parse(text, &choice, &err), 0);
	assert_int_equal(choice.kind, kind);
	if (kind == COMPRESS_GZIP || kind == COMPRESS_ZSTD)
		assert_int_equal(choice.level, level);
}

static void test_parse(void **state)
{
	static const char *const wrong[] = {
	        "",        " fast",     "Fast",
	        "fast:1",  "small:9",   "none:0",
	        "gzip:",   "gzip:0",    "gzip:10",
	        "gzip:-1", "gzip:06",   "gzip:6 ",
	        "gzip6",   "zstd:20",   "zstd:0",
	        "zstd:",   "zstd:+1",   "zstd:1x",
	        "lz4",     "zstandard", "gzip:99999999999999999999",
	};

	expect_choice("fast", COMPRESS_FAST, 0);
	expect_choice("small", COMPRESS_SMALL, 0);
	expect_choice("none", COMPRESS_NONE, 0);
	expect_choice("gzip", COMPRESS_GZIP, 6);
	expect_choice("gzip:1", COMPRESS_GZIP, 1);
	expect_choice("gzip:9", COMPRESS_GZIP, 9);
	expect_choice("zstd", COMPRESS_ZSTD, 3);
	expect_choice("zstd:1", COMPRESS_ZSTD, 1);
	expect_choice("zstd:19", COMPRESS_ZSTD, 19);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct compression_choice choice;
		struct error err = {0};

		assert_int_equal(compression_parse(wrong[i], &choice, &err), -EINVAL);
		assert_non_null(strstr(err.message, "zstd:1 to zstd:19"));
	}
}

/* What @text becomes where zstd can and cannot be read. */
static void expect_resolved(const char *text, const char *with_zstd, const char *without)
{
	struct compression_choice choice;
	char buf[16];

	assert_int_equal(compression_parse(text, &choice, NULL), 0);
	struct compression with = compression_resolve(&choice, true);
	struct compression out = compression_resolve(&choice, false);

	assert_string_equal(compression_format(&with, buf), with_zstd);
	assert_string_equal(compression_format(&out, buf), without);
}

static void test_resolve(void **state)
{
	expect_resolved("fast", "zstd:1", "gzip");
	expect_resolved("small", "zstd:9", "gzip:9");
	expect_resolved("none", "none", "none");
	expect_resolved("gzip", "gzip:6", "gzip:6");
	expect_resolved("gzip:1", "gzip:1", "gzip:1");
	expect_resolved("zstd", "zstd:3", "zstd:3");
	expect_resolved("zstd:19", "zstd:19", "zstd:19");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_segments_alone),
	        cmocka_unit_test(test_largest_segment),
	        cmocka_unit_test(test_joined_to_zlib),
	        cmocka_unit_test(test_joined_to_gzip),
	        cmocka_unit_test(test_joined_frames),
	        cmocka_unit_test(test_gzip_length_wraps),
	        cmocka_unit_test(test_same_for_everyone),
	        cmocka_unit_test(test_really_smaller),
	        cmocka_unit_test(test_frames_with_checksums),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_checks_join),
	        cmocka_unit_test(test_checks_join_of_much),
	        cmocka_unit_test(test_parse),
	        cmocka_unit_test(test_resolve),
	};

	return cmocka_run_group_tests_name("compression", tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* What keepfs has compressed comes back, in pieces of any size; what is no such file is refused. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/compression.h>
#include <keepfs/codec/decompression.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#define PLAIN_BYTES ((size_t)3 << 20)

static int append_plain(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static int refuse_plain(void *arg, const void *data, size_t len, struct error *err)
{
	return error_set(err, ERROR_NO_SPACE, ENOSPC, "full");
}

/* Lines that differ: several segments of them. */
static void make_plain(struct str *out)
{
	for (unsigned i = 0; out->len < PLAIN_BYTES; i++)
		str_appendf(out, "line %u of something that is told again and again\n", i);
	out->len = PLAIN_BYTES; /* a multiple of what is given out at once */
}

static void compress_all(enum compression_method method, const struct str *plain, struct str *out)
{
	const struct compression how = {.method = method, .level = 3};
	_cleanup(compressor) struct compressor *c = compressor_new(&how, SEGMENT_CHECK_CRC32);
	size_t room = compressor_bound(&how, SEGMENT_RAW_BYTES), len;
	_cleanup(free) uint8_t *buf = mem_alloc(room);
	uint8_t head[GZIP_HEAD_BYTES], tail[GZIP_TAIL_BYTES];
	uint32_t crc = 0;

	gzip_head(head);
	if (method == COMPRESSION_GZIP)
		str_append_bytes(out, head, sizeof(head));
	for (size_t at = 0; at < plain->len; at += len) {
		struct segment segment;

		len = plain->len - at < SEGMENT_RAW_BYTES ? plain->len - at : SEGMENT_RAW_BYTES;
		assert_int_equal(compressor_run(c, plain->data + at, len, buf, room, &segment, NULL), 0);
		str_append_bytes(out, buf, segment.bytes);
		crc = segment_check_join(SEGMENT_CHECK_CRC32, crc, segment.check, len);
	}
	gzip_tail(crc, plain->len, tail);
	if (method == COMPRESSION_GZIP)
		str_append_bytes(out, tail, sizeof(tail));
}

static int decompress(enum compression_method method, const struct str *file, size_t piece, struct str *plain,
                      struct error *err)
{
	const struct decompressor_out out = {.write = append_plain, .arg = plain};
	_cleanup(decompressor) struct decompressor *d = decompressor_new(method, &out);
	int r = 0;

	for (size_t at = 0; r == 0 && at < file->len; at += piece)
		r = decompressor_write(d, file->data + at, file->len - at < piece ? file->len - at : piece,
		                       err);
	return r < 0 ? r : decompressor_finish(d, err);
}

static const enum compression_method methods[] = {COMPRESSION_GZIP, COMPRESSION_ZSTD};

static void all_comes_back(void **state)
{
	static const size_t pieces[] = {7, 4096, 1 << 20, SIZE_MAX};
	_cleanup(str) struct str plain = {0};

	make_plain(&plain);
	for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
		_cleanup(str) struct str file = {0};

		compress_all(methods[m], &plain, &file);
		for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
			_cleanup(str) struct str got = {0};
			size_t piece = pieces[i] < file.len ? pieces[i] : file.len;

			assert_int_equal(decompress(methods[m], &file, piece, &got, NULL), 0);
			assert_int_equal(got.len, plain.len);
			assert_memory_equal(got.data, plain.data, plain.len);
		}
	}
}

static void what_is_cut_off_is_refused(void **state)
{
	_cleanup(str) struct str plain = {0};

	make_plain(&plain);
	for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
		_cleanup(str) struct str file = {0}, got = {0};
		struct error err = {0};

		compress_all(methods[m], &plain, &file);
		file.len -= 3;
		assert_int_equal(decompress(methods[m], &file, 4096, &got, &err), -EBADMSG);
		assert_non_null(strstr(err.message, "ends too early"));
		file.len = 0;
		assert_int_equal(decompress(methods[m], &file, 4096, &got, &err), -EBADMSG);
	}
}

static void what_is_something_else_is_refused(void **state)
{
	_cleanup(str) struct str plain = {0};

	make_plain(&plain);
	for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
		_cleanup(str) struct str file = {0}, got = {0};
		struct error err = {0};

		assert_int_equal(decompress(methods[m], &plain, 4096, &got, &err), -EBADMSG);
		assert_int_equal(err.class, ERROR_CORRUPT);
		assert_non_null(strstr(err.message, "cannot be decompressed"));
		compress_all(methods[m], &plain, &file);
		str_append(&file, "and more");
		assert_int_equal(decompress(methods[m], &file, 4096, &got, &err), -EBADMSG);
	}
}

static void changed_bytes_of_gzip_are_found(void **state)
{
	_cleanup(str) struct str plain = {0}, file = {0}, got = {0};

	make_plain(&plain);
	compress_all(COMPRESSION_GZIP, &plain, &file);
	file.data[file.len - 6] = (char)(file.data[file.len - 6] ^ 1); /* of the CRC */
	assert_int_equal(decompress(COMPRESSION_GZIP, &file, 4096, &got, NULL), -EBADMSG);
}

/* As in an archive of the custom format. */
static void append_zlib(const struct str *plain, struct str *out)
{
	const struct compression how = {.method = COMPRESSION_GZIP, .level = COMPRESSION_ISAL};
	_cleanup(compressor) struct compressor *c = compressor_new(&how, SEGMENT_CHECK_ADLER32);
	size_t room = compressor_bound(&how, SEGMENT_RAW_BYTES), len;
	_cleanup(free) uint8_t *buf = mem_alloc(room);
	uint8_t head[ZLIB_HEAD_BYTES], tail[ZLIB_TAIL_BYTES];
	uint32_t adler = segment_check_empty(SEGMENT_CHECK_ADLER32);

	zlib_head(head);
	str_append_bytes(out, head, sizeof(head));
	for (size_t at = 0; at < plain->len; at += len) {
		struct segment segment;

		len = plain->len - at < SEGMENT_RAW_BYTES ? plain->len - at : SEGMENT_RAW_BYTES;
		assert_int_equal(compressor_run(c, plain->data + at, len, buf, room, &segment, NULL), 0);
		str_append_bytes(out, buf, segment.bytes);
		adler = segment_check_join(SEGMENT_CHECK_ADLER32, adler, segment.check, len);
	}
	zlib_tail(adler, tail);
	str_append_bytes(out, tail, sizeof(tail));
}

/* What zlib itself has made, at its best level: not of our own segments. */
static void append_foreign(int window_bits, const struct str *plain, struct str *out)
{
	z_stream z = {.next_in = (Bytef *)plain->data, .avail_in = (uInt)plain->len};
	uint8_t buf[4096];
	int status = Z_OK;

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY), Z_OK);
	while (status == Z_OK) {
		z.next_out = buf;
		z.avail_out = sizeof(buf);
		status = deflate(&z, Z_FINISH);
		str_append_bytes(out, buf, sizeof(buf) - z.avail_out);
	}
	assert_int_equal(status, Z_STREAM_END);
	deflateEnd(&z);
}

static int write_pieces(struct decompressor *d, const char *data, size_t len, size_t piece, struct error *err)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < len; at += piece)
		r = decompressor_write(d, data + at, len - at < piece ? len - at : piece, err);
	return r;
}

static int decompress_zlib(const struct str *file, size_t piece, struct str *plain, struct error *err)
{
	const struct decompressor_out out = {.write = append_plain, .arg = plain};
	_cleanup(decompressor) struct decompressor *d = decompressor_new_zlib(&out);
	int r = write_pieces(d, file->data, file->len, piece, err);

	return r < 0 ? r : decompressor_finish(d, err);
}

static void streams_of_zlib_come_back_from_pieces_of_any_size(void **state)
{
	static const size_t pieces[] = {1, 2, 5, 4096, 1 << 20};
	_cleanup(str) struct str plain = {0}, own = {0}, foreign = {0}, gzip = {0};

	make_plain(&plain);
	append_zlib(&plain, &own);
	append_foreign(MAX_WBITS, &plain, &foreign);
	append_foreign(MAX_WBITS + 16, &plain, &gzip);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct str got[3] = {{0}, {0}, {0}};

		assert_int_equal(decompress_zlib(&own, pieces[i], &got[0], NULL), 0);
		assert_int_equal(decompress_zlib(&foreign, pieces[i], &got[1], NULL), 0);
		assert_int_equal(decompress(COMPRESSION_GZIP, &gzip, pieces[i], &got[2], NULL), 0);
		for (size_t k = 0; k < ARRAY_SIZE(got); k++) {
			assert_int_equal(got[k].len, plain.len);
			assert_memory_equal(got[k].data, plain.data, plain.len);
			str_finish(&got[k]);
		}
	}
}

static void damaged_streams_of_zlib_are_refused(void **state)
{
	_cleanup(str) struct str plain = {0}, file = {0}, got = {0};
	struct error err = {0};

	make_plain(&plain);
	append_zlib(&plain, &file);
	for (size_t cut = 1; cut <= ZLIB_TAIL_BYTES + 1; cut++) {
		struct str shorter = {.data = file.data, .len = file.len - cut};

		assert_int_equal(decompress_zlib(&shorter, 4096, &got, &err), -EBADMSG);
	}
	file.data[file.len - 1] = (char)(file.data[file.len - 1] ^ 1); /* of the Adler-32 */
	assert_int_equal(decompress_zlib(&file, 4096, &got, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "checksum"));
	file.data[file.len - 1] = (char)(file.data[file.len - 1] ^ 1);
	str_append(&file, "x");
	assert_int_equal(decompress_zlib(&file, 4096, &got, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "behind the end"));
	file.data[0] = 'x';
	assert_int_equal(decompress_zlib(&file, 4096, &got, &err), -EBADMSG);
}

/* Where the second segment of @plain begins in @file, which compress_all() has made. */
static size_t second_segment(enum compression_method method, const struct str *plain)
{
	struct str first = {.data = plain->data, .len = SEGMENT_RAW_BYTES};
	_cleanup(str) struct str file = {0};

	compress_all(method, &first, &file);
	return file.len - (method == COMPRESSION_GZIP ? GZIP_TAIL_BYTES : 0);
}

static void segments_are_entered_in_the_middle(void **state)
{
	static const size_t pieces[] = {1, 4096, 1 << 20};
	_cleanup(str) struct str plain = {0};

	make_plain(&plain);
	for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
		_cleanup(str) struct str file = {0};
		size_t begin = second_segment(methods[m], &plain);

		compress_all(methods[m], &plain, &file);
		for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
			_cleanup(str) struct str got = {0};
			const struct decompressor_out out = {.write = append_plain, .arg = &got};
			_cleanup(decompressor) struct decompressor *d =
			        decompressor_new_segments(methods[m], &out);

			assert_int_equal(
			        write_pieces(d, file.data + begin, file.len - begin, pieces[i], NULL), 0);
			assert_int_equal(decompressor_finish(d, NULL), 0);
			assert_int_equal(got.len, plain.len - SEGMENT_RAW_BYTES);
			assert_memory_equal(got.data, plain.data + SEGMENT_RAW_BYTES, got.len);
		}
	}
}

static void segments_that_are_cut_off_or_none_are_refused(void **state)
{
	_cleanup(str) struct str plain = {0};

	make_plain(&plain);
	for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
		_cleanup(str) struct str file = {0}, got = {0};
		const struct decompressor_out out = {.write = append_plain, .arg = &got};
		_cleanup(decompressor) struct decompressor *d = decompressor_new_segments(methods[m], &out),
		                                           *other = decompressor_new_segments(methods[m],
		                                                                              &out);
		size_t begin = second_segment(methods[m], &plain);

		compress_all(methods[m], &plain, &file);
		assert_int_equal(write_pieces(d, file.data + begin, file.len - begin - 1000, 4096, NULL), 0);
		assert_int_equal(decompressor_finish(d, NULL), -EBADMSG);
		assert_int_equal(write_pieces(other, file.data + begin + 5000, 100000, 4096, NULL), -EBADMSG);
	}
}

static void who_takes_it_can_end_it(void **state)
{
	const struct decompressor_out out = {.write = refuse_plain};
	_cleanup(str) struct str plain = {0};

	make_plain(&plain);
	for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
		_cleanup(decompressor) struct decompressor *d = decompressor_new(methods[m], &out);
		_cleanup(str) struct str file = {0};
		struct error err = {0};

		compress_all(methods[m], &plain, &file);
		assert_int_equal(decompressor_write(d, file.data, file.len, &err), -ENOSPC);
		assert_string_equal(err.message, "full");
	}
}

/* On demand: it gives no more than there is room for, and takes no more than it has given back. */
static int run_all(struct decompressor *d, const struct str *file, size_t piece, size_t room,
                   struct str *plain, unsigned *betweens, struct error *err)
{
	_cleanup(free) char *out = mem_alloc(room);
	int r = 0;

	for (size_t at = 0; r == 0 && at < file->len; at += piece) {
		struct decompressor_piece p = {.data = file->data + at,
		                               .len = file->len - at < piece ? file->len - at : piece,
		                               .out = out,
		                               .room = room};

		do {
			r = decompressor_run(d, &p, err);
			if (r == 0)
				str_append_bytes(plain, out, p.written);
			assert_true(p.written <= room);
		} while (r == 0 && (p.len > 0 || p.written == room));
		*betweens += r == 0 && decompressor_is_between(d);
	}
	return r < 0 ? r : decompressor_finish(d, err);
}

static void it_comes_back_on_demand(void **state)
{
	static const size_t pieces[] = {1000, 65536, 4000000}, rooms[] = {100, 65536, 1000000};
	_cleanup(str) struct str plain = {0};

	make_plain(&plain);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(pieces); i++) {
		enum compression_method method = methods[i % 2];
		_cleanup(str) struct str file = {0};
		_cleanup(str) struct str found = {0};
		_cleanup(decompressor) struct decompressor *d = decompressor_new(method, NULL);
		unsigned betweens = 0;

		compress_all(method, &plain, &file);
		assert_int_equal(run_all(d, &file, pieces[i / 2], rooms[i / 2], &found, &betweens, NULL), 0);
		assert_int_equal(found.len, plain.len);
		assert_true(memcmp(found.data, plain.data, plain.len) == 0);
	}
}

static void what_is_wrong_is_refused_on_demand(void **state)
{
	_cleanup(str) struct str plain = {0};
	_cleanup(str) struct str file = {0};

	make_plain(&plain);
	compress_all(COMPRESSION_GZIP, &plain, &file);
	for (int i = 0; i < 3; i++) {
		_cleanup(decompressor) struct decompressor *d = decompressor_new(COMPRESSION_GZIP, NULL);
		_cleanup(str) struct str found = {0};
		_cleanup(str) struct str wrong = {0};
		struct error err = {0};
		unsigned betweens = 0;

		str_append_bytes(&wrong, file.data, i == 0 ? file.len - 9 : file.len);
		str_append(&wrong, i == 1 ? "more of it, behind the end" : "");
		if (i == 2)
			wrong.data[wrong.len - 5] ^= 1;
		assert_int_equal(run_all(d, &wrong, 65536, 65536, &found, &betweens, &err), -EBADMSG);
		assert_int_equal(err.class, ERROR_CORRUPT);
	}
}

/* Where keepfs has begun a segment it is known that one may begin; within one it is not. */
static void ends_of_segments_are_seen(void **state)
{
	_cleanup(str) struct str plain = {0};

	make_plain(&plain);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		_cleanup(str) struct str file = {0};
		_cleanup(str) struct str found = {0};
		_cleanup(decompressor) struct decompressor *d = decompressor_new(methods[i], NULL);
		_cleanup(decompressor) struct decompressor *within = decompressor_new(methods[i], NULL);
		size_t second = second_segment(methods[i], &plain);
		unsigned betweens = 0;

		compress_all(methods[i], &plain, &file);
		file.len = second;
		assert_int_equal(run_all(d, &file, file.len, 65536, &found, &betweens, NULL),
		                 methods[i] == COMPRESSION_ZSTD ? 0 : -EBADMSG);
		assert_int_equal(betweens, 1);
		file.len = second / 2;
		betweens = 0;
		assert_int_equal(run_all(within, &file, file.len, 65536, &found, &betweens, NULL), -EBADMSG);
		assert_int_equal(betweens, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_comes_back),
	        cmocka_unit_test(what_is_cut_off_is_refused),
	        cmocka_unit_test(what_is_something_else_is_refused),
	        cmocka_unit_test(changed_bytes_of_gzip_are_found),
	        cmocka_unit_test(streams_of_zlib_come_back_from_pieces_of_any_size),
	        cmocka_unit_test(damaged_streams_of_zlib_are_refused),
	        cmocka_unit_test(segments_are_entered_in_the_middle),
	        cmocka_unit_test(segments_that_are_cut_off_or_none_are_refused),
	        cmocka_unit_test(who_takes_it_can_end_it),
	        cmocka_unit_test(it_comes_back_on_demand),
	        cmocka_unit_test(what_is_wrong_is_refused_on_demand),
	        cmocka_unit_test(ends_of_segments_are_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

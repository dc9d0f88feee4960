// SPDX-License-Identifier: Apache-2.0
/* Archives that are written anew: their data compressed, their offsets known, and nothing else changed. */
#include "../support/archive_build.h"
#include "../support/archive_read.h"
#include "../support/transcode.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/pg_archive_head.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

#include <cmocka.h>

static const struct compression all[] = {{COMPRESSION_NONE, 0},
                                         {COMPRESSION_GZIP, COMPRESSION_ISAL},
                                         {COMPRESSION_GZIP, 6},
                                         {COMPRESSION_ZSTD, 1}};

static enum pg_archive_compression expected_method(const struct compression *c, int minor)
{
	if (c->method == COMPRESSION_NONE)
		return PG_ARCHIVE_NONE;
	return c->method == COMPRESSION_ZSTD && minor >= 15 ? PG_ARCHIVE_ZSTD : PG_ARCHIVE_GZIP;
}

/* @in, whose data is taken as it is, becomes an archive with the same entries and data. */
static void expect_transcoded(const struct str *in, const struct transcode_options *options)
{
	_cleanup(archive_content) struct archive_content before = {0}, after = {0};
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	assert_int_equal(archive_read(in->data, in->len, false, &before, &err), 0);
	assert_int_equal(transcode(in->data, in->len, options, &out, &err), 0);
	assert_int_equal(archive_read(out.data, out.len, true, &after, &err), 0);
	assert_true(archive_content_equal(&before, &after));
	assert_true(archive_offsets_right(out.data, out.len));
	assert_int_equal(after.facts.toc_end, before.facts.toc_end);
	assert_int_equal(after.facts.compression,
	                 expected_method(&options->compression, (int)before.facts.version_minor));
}

static void build(struct str *s, int minor, int offset_size, size_t table_bytes)
{
	struct archive_shape shape = archive_sound;

	shape.minor = minor;
	shape.offset_size = offset_size;
	shape.compression = 0;
	archive_put_rich(s, &shape, table_bytes);
}

static void test_every_version(void **state)
{
	static const size_t sizes[][2] = {{1, 1}, {7, 50}, {4096, 1000}, {1 << 20, SEGMENT_RAW_BYTES}};

	for (int minor = 12; minor <= 16; minor++) {
		for (int offset_size = 4; offset_size <= 8; offset_size += 4) {
			_cleanup(str) struct str in = {0};

			build(&in, minor, offset_size, 5000);
			for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
				for (size_t k = 0; k < ARRAY_SIZE(all) && (i > 0 || k == 0); k++)
					expect_transcoded(&in, &(struct transcode_options){
					                               .compression = all[k],
					                               .piece_bytes = sizes[i][0],
					                               .segment_bytes = sizes[i][1]});
			}
		}
	}
}

static void test_several_large_segments(void **state)
{
	_cleanup(str) struct str in = {0};

	build(&in, 16, 8, 2 * SEGMENT_RAW_BYTES + 12345);
	for (size_t k = 0; k < ARRAY_SIZE(all); k++)
		expect_transcoded(&in, &(struct transcode_options){.compression = all[k],
		                                                   .piece_bytes = 100000,
		                                                   .seed = 7,
		                                                   .segment_bytes = SEGMENT_RAW_BYTES});
}

static void load(const char *name, struct str *out)
{
	_cleanup(str) struct str path = {0};

	str_appendf(&path, TEST_DATA "/%s", name);
	assert_int_equal(fd_read_file(str_text(&path), 1 << 20, out), 0);
}

/* What pg_dump did not compress is compressed here, and then holds what pg_dump itself compressed. */
static void test_real_archive(void **state)
{
	_cleanup(str) struct str plain = {0}, packed = {0}, out = {0};
	_cleanup(archive_content) struct archive_content theirs = {0}, ours = {0};
	const struct transcode_options options = {.compression = {COMPRESSION_GZIP, COMPRESSION_ISAL},
	                                          .piece_bytes = 1000,
	                                          .segment_bytes = 100};

	load("small-z0.dump", &plain);
	load("small.dump", &packed);
	expect_transcoded(&plain, &options);
	assert_int_equal(transcode(plain.data, plain.len, &options, &out, NULL), 0);
	assert_int_equal(archive_read(packed.data, packed.len, true, &theirs, NULL), 0);
	assert_int_equal(archive_read(out.data, out.len, true, &ours, NULL), 0);
	assert_true(archive_content_equal(&theirs, &ours));
	assert_int_equal(ours.facts.compression, theirs.facts.compression);
	assert_false(archive_offsets_right(packed.data, packed.len)); /* it was written to a pipe */
}

static void test_truncated_at_every_byte(void **state)
{
	_cleanup(str) struct str in = {0};

	build(&in, 16, 8, 100);
	for (size_t len = 0; len < in.len; len++) {
		_cleanup(str) struct str out = {0};
		struct error err = {0};
		const struct transcode_options options = {
		        .compression = all[len % ARRAY_SIZE(all)], .piece_bytes = 512, .segment_bytes = 50};

		assert_int_equal(transcode(in.data, len, &options, &out, &err), -EBADMSG);
		assert_true(err.message[0]);
		assert_int_equal(out.len, 0);
	}
}

static void test_garbage(void **state)
{
	const struct transcode_options options = {.piece_bytes = 64, .segment_bytes = 50};
	uint64_t seed = 1;

	for (size_t i = 0; i < 200; i++) {
		_cleanup(str) struct str in = {0}, out = {0};

		if (i % 2)
			archive_put_toc(&in, &archive_sound);
		for (size_t k = 0; k < 200; k++) {
			seed = seed * UINT64_C(6364136223846793005) + 1;
			str_append_char(&in, (char)(seed >> 56));
		}
		assert_int_equal(transcode(in.data, in.len, &options, &out, NULL), -EBADMSG);
	}
}

/* The head alone. */

struct made {                   /* of a head */
	uint64_t place, offset; /* of the one entry that has one */
	const uint64_t *places; /* of "3456.dat" and "blobs.toc" */
	struct str out;
};

static uint64_t offset_for(void *arg, uint64_t place_at)
{
	const struct made *m = arg;

	return place_at == m->place ? m->offset : 0;
}

static const char *name_for(void *arg, uint64_t place_at)
{
	const uint64_t *with_name = ((struct made *)arg)->places;

	return place_at == with_name[0] ? "3456.dat" : place_at == with_name[1] ? "blobs.toc" : NULL;
}

static int append_made(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(&((struct made *)arg)->out, data, len);
	return 0;
}

static struct pg_archive_facts facts_of(const struct str *in)
{
	struct pg_archive_scan *scan = pg_archive_scan_new(NULL);
	struct pg_archive_facts facts;

	assert_int_equal(pg_archive_scan_feed(scan, in->data, in->len, NULL), 0);
	facts = *pg_archive_scan_facts(scan);
	pg_archive_scan_free(scan);
	return facts;
}

/* Each piece is a copy of its own: reading beyond one is noticed. */
static int make_head(const struct str *in, const struct pg_archive_head_options *options, size_t piece_bytes,
                     struct error *err)
{
	_cleanup(pg_archive_head) struct pg_archive_head *h = pg_archive_head_new(options);
	size_t len = (size_t)options->facts.toc_end;
	int r = 0;

	for (size_t at = 0, n; r == 0 && at < len; at += n) {
		n = len - at < piece_bytes ? len - at : piece_bytes;
		_cleanup(free) uint8_t *piece = mem_alloc(n);

		memcpy(piece, in->data + at, n);
		r = pg_archive_head_feed(h, piece, n, err);
	}
	return r;
}

static const size_t piece_sizes[] = {1, 3, 11, 12, 64, 1 << 20};

static void expect_compression(int minor, const struct compression *c, const void *expected, size_t len)
{
	_cleanup(str) struct str in = {0};

	build(&in, minor, 8, 10);
	for (size_t i = 0; i < ARRAY_SIZE(piece_sizes); i++) {
		struct made made = {0};
		const struct pg_archive_head_options options = {.facts = facts_of(&in),
		                                                .compression = *c,
		                                                .offset = offset_for,
		                                                .emit = append_made,
		                                                .arg = &made};
		const char *now;

		assert_int_equal(make_head(&in, &options, piece_sizes[i], NULL), 0);
		now = made.out.data;
		assert_int_equal(made.out.len, options.facts.toc_end);
		assert_memory_equal(now, in.data, 11);
		assert_memory_equal(now + 11, expected, len);
		assert_memory_equal(now + 11 + len, in.data + 11 + len, made.out.len - 11 - len);
		str_finish(&made.out);
	}
}

static void test_compression_in_head(void **state)
{
	const struct compression none = {COMPRESSION_NONE, 0}, gzip = {COMPRESSION_GZIP, 9},
	                         zstd = {COMPRESSION_ZSTD, 3};

	for (int minor = 12; minor <= 14; minor++) {
		expect_compression(minor, &none, "\0\0\0\0", 5);
		expect_compression(minor, &gzip, "\1\1\0\0", 5);
	}
	for (int minor = 15; minor <= 16; minor++) {
		expect_compression(minor, &none, "\0", 1);
		expect_compression(minor, &gzip, "\1", 1);
		expect_compression(minor, &zstd, "\3", 1);
	}
}

/* The bytes behind an offset that was set at the last entry. */
static void expect_offset(int offset_size, uint64_t offset, const char *expected)
{
	_cleanup(str) struct str in = {0};

	build(&in, 14, offset_size, 10);
	for (size_t i = 0; i < ARRAY_SIZE(piece_sizes); i++) {
		struct made made = {.offset = offset};
		const struct pg_archive_head_options options = {
		        .facts = facts_of(&in), .offset = offset_for, .emit = append_made, .arg = &made};
		size_t place = (size_t)options.facts.toc_end - (size_t)offset_size - 1;

		made.place = place;
		assert_int_equal(make_head(&in, &options, piece_sizes[i], NULL), 0);
		assert_memory_equal(made.out.data + 16, in.data + 16, place - 16);
		assert_memory_equal(made.out.data + place, expected, (size_t)offset_size + 1);
		str_finish(&made.out);
	}
}

static void test_offsets_in_head(void **state)
{
	expect_offset(8, UINT64_C(0x0102030405060708), "\2\x08\7\6\5\4\3\2\1");
	expect_offset(4, UINT32_MAX, "\2\xff\xff\xff\xff");
	expect_offset(4, UINT64_C(1) << 32, "\1\0\0\0\0"); /* too large: not known */
}

static void test_directory(void **state)
{
	for (int minor = 12; minor <= 16; minor++) {
		_cleanup(str) struct str custom = {0}, expected = {0};
		struct archive_shape shape = archive_sound;
		uint64_t places[2];

		shape.minor = minor, shape.compression = 1, shape.entries = 3;
		archive_put_head(&custom, &shape);
		archive_put_entry(&custom, &shape, 5, 1, 1);
		places[0] = custom.len - 9;
		archive_put_entry(&custom, &shape, 6, 0, 3);
		archive_put_entry(&custom, &shape, 7, 1, 1);
		places[1] = custom.len - 9;

		shape.format = 3;
		shape.compression = minor < 15 ? -1 : 1;
		archive_put_head(&expected, &shape);
		archive_put_named_entry(&expected, &shape, 5, "3456.dat");
		archive_put_named_entry(&expected, &shape, 6, "");
		archive_put_named_entry(&expected, &shape, 7, "blobs.toc");
		for (size_t i = 0; i < ARRAY_SIZE(piece_sizes); i++) {
			struct made made = {.places = places};
			const struct pg_archive_head_options options = {
			        .facts = facts_of(&custom),
			        .compression = {COMPRESSION_GZIP, COMPRESSION_ISAL},
			        .directory = true,
			        .file_name = name_for,
			        .emit = append_made,
			        .arg = &made};

			assert_int_equal(make_head(&custom, &options, piece_sizes[i], NULL), 0);
			assert_int_equal(made.out.len, expected.len);
			assert_memory_equal(made.out.data, expected.data, expected.len);
			str_finish(&made.out);
		}
	}
}

static void test_head_of_nothing(void **state)
{
	_cleanup(str) struct str in = {0};
	struct made made = {0};
	const struct pg_archive_head_options options = {
	        .facts = {.version_minor = 15, .toc_end = 20, .compression_at = 11},
	        .offset = offset_for,
	        .emit = append_made,
	        .arg = &made};
	struct error err = {0};

	str_append(&in, "12345678901234567890");
	assert_int_equal(make_head(&in, &options, 20, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "PGDMP"));
	str_finish(&made.out);
}

/* The writer alone. */

static int emit_to(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static struct pg_archive_writer *writer_new(enum compression_method method, struct str *out)
{
	return pg_archive_writer_new(&(struct pg_archive_writer_options){
	        .compression = {method, 1}, .begin = 1000, .emit = emit_to, .arg = out});
}

#define BYTES(text) (text), sizeof(text) - 1

/* The empty large object 2 of entry 1. */
static void expect_empty(enum compression_method method, const char *data, size_t data_len)
{
	_cleanup(str) struct str out = {0}, expected = {0};
	_cleanup(pg_archive_writer) struct pg_archive_writer *w = writer_new(method, &out);

	assert_int_equal(pg_archive_writer_block(w, 1, true, NULL), 0);
	assert_int_equal(pg_archive_writer_blob(w, 2, NULL), 0);
	assert_int_equal(pg_archive_writer_blob_end(w, NULL), 0);
	assert_int_equal(pg_archive_writer_block_end(w, NULL), 0);
	archive_put_block(&expected, 3, 1);
	archive_put_int(&expected, 2);
	if (data_len > 0)
		archive_put_int(&expected, (int64_t)data_len);
	str_append_bytes(&expected, data, data_len);
	archive_put_int(&expected, 0);
	archive_put_int(&expected, 0);
	assert_int_equal(out.len, expected.len);
	assert_memory_equal(out.data, expected.data, out.len);
	assert_int_equal(pg_archive_writer_offset(w), 1000 + out.len);
}

/* As pg_dump writes them: the data of an empty object is not nothing. */
static void test_empty_objects(void **state)
{
	char frame[64];
	size_t frame_len = ZSTD_compress(frame, sizeof(frame), NULL, 0, 1);

	expect_empty(COMPRESSION_NONE, "", 0);
	expect_empty(COMPRESSION_GZIP, BYTES("\x78\x9c\3\0\0\0\0\1"));
	expect_empty(COMPRESSION_ZSTD, frame, frame_len);
}

static int emit_nothing_more(void *arg, const void *data, size_t len, struct error *err)
{
	int *left = arg;

	return (*left)-- > 0 ? 0 : error_set(err, ERROR_NO_SPACE, ENOSPC, "the disk is full");
}

static void test_failing_emit(void **state)
{
	const struct segment segment = {.raw_bytes = 3, .bytes = 3};

	for (int calls = 0; calls < 3; calls++) {
		struct error err = {0};
		int left = calls;
		_cleanup(pg_archive_writer) struct pg_archive_writer *w = pg_archive_writer_new(
		        &(struct pg_archive_writer_options){.emit = emit_nothing_more, .arg = &left});
		int r = pg_archive_writer_block(w, 1, false, &err);

		if (r == 0)
			r = pg_archive_writer_segment(w, &segment, "abc", &err);
		assert_int_equal(r, -ENOSPC);
		assert_string_equal(err.message, "the disk is full");
		assert_int_equal(pg_archive_writer_offset(w), calls == 0 ? 0 : calls == 1 ? 6 : 11);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_every_version),   cmocka_unit_test(test_several_large_segments),
	        cmocka_unit_test(test_real_archive),    cmocka_unit_test(test_truncated_at_every_byte),
	        cmocka_unit_test(test_garbage),         cmocka_unit_test(test_compression_in_head),
	        cmocka_unit_test(test_offsets_in_head), cmocka_unit_test(test_directory),
	        cmocka_unit_test(test_head_of_nothing), cmocka_unit_test(test_empty_objects),
	        cmocka_unit_test(test_failing_emit),
	};

	return cmocka_run_group_tests_name("pg_archive_head", tests, NULL, NULL);
}

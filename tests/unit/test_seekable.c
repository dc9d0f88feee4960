// SPDX-License-Identifier: Apache-2.0
/* zstd's seekable format: written, read by its table and by whoever knows nothing of it, and refused when it is damaged. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/seekable.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int append_stored(void *arg, const void *data, size_t len, struct error *err)
{
	(void)err;
	str_append_bytes(arg, data, len);
	return 0;
}

static int take_nothing(void *arg, const void *data, size_t len, struct error *err)
{
	(void)arg;
	(void)data;
	(void)len;
	return error_set(err, ERROR_INTERNAL, ENOSPC, "full");
}

/* Bytes that can be compressed a little, and tell where they are. */
static void fill_plain(struct str *out, size_t len)
{
	for (uint32_t i = 0; out->len < len; i++)
		str_appendf(out, "%08x line of a cluster\n", i * 2654435761U);
	out->len = len;
}

/* Cut behind the first @cut bytes; 0: nowhere but where frames are full. */
static void write_stream(const struct str *plain, size_t cut, struct str *stored)
{
	const struct seekable_out out = {.write = append_stored, .arg = stored};
	_cleanup(seekable_writer) struct seekable_writer *w = seekable_writer_new(3, &out);
	size_t before = stored->len;
	struct error err = {0};

	for (size_t at = 0; at < plain->len;) {
		size_t part = plain->len - at < 10007 ? plain->len - at : 10007;

		if (at < cut && at + part > cut)
			part = cut - at;
		assert_int_equal(seekable_writer_write(w, plain->data + at, part, &err), 0);
		at += part;
		if (at == cut)
			assert_int_equal(seekable_writer_cut(w, &err), 0);
	}
	assert_int_equal(seekable_writer_plain(w), plain->len);
	assert_int_equal(seekable_writer_finish(w, &err), 0);
	assert_int_equal(seekable_writer_stored(w), stored->len - before);
}

static int read_table(const struct str *stored, struct seekable_table *ret, struct error *err)
{
	size_t len;
	int r = stored->len < SEEKABLE_TAIL_BYTES
	                ? -EBADMSG
	                : seekable_table_tail_bytes((const uint8_t *)stored->data + stored->len -
	                                                    SEEKABLE_TAIL_BYTES,
	                                            stored->len, &len, err);

	return r < 0 ? r
	             : seekable_table_decode(stored->data + stored->len - len, len, stored->len, ret, err);
}

static void assert_frames(const struct str *plain, const struct str *stored)
{
	_cleanup(seekable_table) struct seekable_table t = {0};
	_cleanup(unpacker) struct unpacker *unpacker = unpacker_new(COMPRESSION_ZSTD);
	_cleanup(free) char *frame = mem_alloc(SEEKABLE_PLAIN_MAX);
	struct error err = {0};

	assert_int_equal(read_table(stored, &t, &err), 0);
	assert_int_equal(t.plain_bytes, plain->len);
	for (size_t i = 0; i < t.count; i++) {
		const struct seekable_frame *f = &t.frames[i];

		assert_int_equal(seekable_table_find(&t, f->plain_at), i);
		assert_int_equal(seekable_table_find(&t, f->plain_at + f->plain - 1), i);
		assert_int_equal(seekable_frame_decode(unpacker, f, stored->data + f->stored_at, frame, &err),
		                 0);
		assert_memory_equal(frame, plain->data + f->plain_at, f->plain);
	}
	assert_int_equal(seekable_table_find(&t, plain->len), t.count);
}

static void test_frames_by_their_table(void **state)
{
	static const size_t lengths[] = {0,       1,       SEEKABLE_FRAME_BYTES - 1, SEEKABLE_FRAME_BYTES,
	                                 1000000, 3000001, SEEKABLE_FRAME_BYTES + 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		_cleanup(str) struct str plain = {0}, stored = {0}, cut = {0};

		fill_plain(&plain, lengths[i]);
		write_stream(&plain, 0, &stored);
		assert_frames(&plain, &stored);
		write_stream(&plain, 512, &cut);
		assert_frames(&plain, &cut);
	}
}

static void test_a_cut_begins_a_frame(void **state)
{
	_cleanup(str) struct str plain = {0}, stored = {0};
	_cleanup(seekable_table) struct seekable_table t = {0};
	struct error err = {0};

	(void)state;
	fill_plain(&plain, 300000);
	write_stream(&plain, 1536, &stored);
	assert_int_equal(read_table(&stored, &t, &err), 0);
	assert_int_equal(t.count, 4);
	assert_int_equal(t.frames[0].plain, 1536);
	assert_int_equal(t.frames[1].plain, SEEKABLE_FRAME_BYTES);
	assert_int_equal(t.frames[1].plain_at, 1536);
}

/* What knows only zstd reads the whole: several streams behind each other, too, as of packs. */
static void test_any_zstd_reads_it(void **state)
{
	_cleanup(str) struct str plain = {0}, stored = {0}, back = {0};
	const struct decompressor_out out = {.write = append_stored, .arg = &back};
	_cleanup(decompressor) struct decompressor *d = decompressor_new(COMPRESSION_ZSTD, &out);
	struct error err = {0};

	(void)state;
	fill_plain(&plain, 500000);
	write_stream(&plain, 0, &stored);
	write_stream(&plain, 777, &stored);
	assert_int_equal(decompressor_write(d, stored.data, stored.len, &err), 0);
	assert_int_equal(decompressor_finish(d, &err), 0);
	assert_int_equal(back.len, 2 * plain.len);
	assert_memory_equal(back.data, plain.data, plain.len);
	assert_memory_equal(back.data + plain.len, plain.data, plain.len);
}

static void test_the_program_zstd_reads_it(void **state)
{
	_cleanup(str) struct str plain = {0}, stored = {0};
	_cleanup(free) char *back = NULL, *command = NULL;
	char path[] = "/tmp/keepfs-seekable-XXXXXX";
	int fd;
	FILE *f;

	(void)state;
	if (system("zstd --version >/dev/null 2>&1") != 0)
		skip();
	fill_plain(&plain, 500000);
	write_stream(&plain, 777, &stored);
	back = mem_alloc(plain.len + 1);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, stored.data, stored.len), stored.len);
	close(fd);
	command = mem_printf("zstd -dc < %s", path);
	f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fread(back, 1, plain.len + 1, f), plain.len);
	assert_int_equal(pclose(f), 0);
	unlink(path);
	assert_memory_equal(back, plain.data, plain.len);
}

static void test_what_is_written_may_fail(void **state)
{
	const struct seekable_out out = {.write = take_nothing};
	_cleanup(seekable_writer) struct seekable_writer *w = seekable_writer_new(1, &out);
	struct error err = {0};

	(void)state;
	assert_int_equal(seekable_writer_write(w, "a", 1, &err), 0);
	assert_int_equal(seekable_writer_cut(w, &err), -ENOSPC);
	assert_int_equal(seekable_writer_frames(w), 0);
}

static void test_a_stream_has_an_end(void **state)
{
	_cleanup(str) struct str stored = {0};
	const struct seekable_out out = {.write = append_stored, .arg = &stored};
	_cleanup(seekable_writer) struct seekable_writer *w = seekable_writer_new(1, &out);
	_cleanup(seekable_table) struct seekable_table t = {0};
	struct error err = {0};

	(void)state;
	for (size_t i = 0; i < SEEKABLE_FRAMES_MAX; i++) {
		assert_int_equal(seekable_writer_write(w, "a", 1, &err), 0);
		assert_int_equal(seekable_writer_cut(w, &err), 0);
	}
	assert_int_equal(seekable_writer_finish(w, &err), 0);
	assert_int_equal(read_table(&stored, &t, &err), 0);
	assert_int_equal(t.count, SEEKABLE_FRAMES_MAX);
	assert_int_equal(seekable_writer_write(w, "a", 1, &err), 0);
	assert_int_equal(seekable_writer_cut(w, &err), -E2BIG);
}

static void refuse_table(const struct str *stored, const char *why)
{
	struct seekable_table t = {0};
	struct error err = {0};

	assert_int_equal(read_table(stored, &t, &err), -EBADMSG);
	assert_null(t.frames);
	if (why)
		assert_non_null(strstr(err.message, why));
}

/* The table of a stream of two frames, one byte of which, counted from its end, is another. */
static void refuse_changed(size_t from_end, uint8_t value, const char *why)
{
	_cleanup(str) struct str plain = {0}, stored = {0};

	fill_plain(&plain, 200000);
	write_stream(&plain, 0, &stored);
	stored.data[stored.len - from_end] = (char)value;
	refuse_table(&stored, why);
}

static void test_tables_that_are_wrong(void **state)
{
	_cleanup(str) struct str plain = {0}, stored = {0};

	(void)state;
	refuse_changed(1, 0, "does not end as one");
	refuse_changed(5, 0x40, "mean nothing");
	refuse_changed(5, 0x80, "does not begin as one");
	refuse_changed(9, 1, "does not begin as one");
	refuse_changed(9, 3, "does not begin as one");
	refuse_changed(7, 255, "too many frames");
	refuse_changed(8, 255, "longer than the stream");
	refuse_changed(10, 1, "length of a frame");             /* plain of the last */
	refuse_changed(17, 1, "not as long as the stream");     /* stored of the last */
	refuse_changed(14, 255, "length of a frame");           /* the same, by its highest byte */
	refuse_changed(9 + 16 + 1, 1, "does not begin as one"); /* the length of the skippable frame */
	refuse_changed(9 + 16 + 5, 1, "does not begin as one"); /* its magic number */
	fill_plain(&plain, 200000);
	write_stream(&plain, 0, &stored);
	for (size_t cut = 1; cut < stored.len; cut += 1 + cut / 20) {
		_cleanup(str) struct str less = {0};

		str_append_bytes(&less, stored.data + cut, stored.len - cut);
		refuse_table(&less, NULL);
	}
	str_append_char(&stored, '\0');
	refuse_table(&stored, "does not end as one");
}

/* As other programs may write it: a checksum of each frame stands in the table. */
static void test_a_table_with_checksums(void **state)
{
	static const uint8_t table[] = {0x5E, 0x2A, 0x4D, 0x18, 21,   0,    0,    0,    7,    0,
	                                0,    0,    9,    0,    0,    0,    0xAA, 0xBB, 0xCC, 0xDD,
	                                1,    0,    0,    0,    0x80, 0xB1, 0xEA, 0x92, 0x8F};
	_cleanup(seekable_table) struct seekable_table t = {0};
	struct error err = {0};
	size_t len = 0;

	(void)state;
	assert_int_equal(
	        seekable_table_tail_bytes(table + sizeof(table) - SEEKABLE_TAIL_BYTES, 36, &len, &err), 0);
	assert_int_equal(len, sizeof(table));
	assert_int_equal(seekable_table_decode(table, len, len + 7, &t, &err), 0);
	assert_int_equal(t.count, 1);
	assert_int_equal(t.frames[0].stored, 7);
	assert_int_equal(t.plain_bytes, 9);
}

static void test_frames_that_are_wrong(void **state)
{
	_cleanup(str) struct str plain = {0}, stored = {0};
	_cleanup(seekable_table) struct seekable_table t = {0};
	_cleanup(unpacker) struct unpacker *unpacker = unpacker_new(COMPRESSION_ZSTD);
	_cleanup(free) char *frame = mem_alloc(SEEKABLE_PLAIN_MAX);
	struct seekable_frame f;
	struct error err = {0};

	(void)state;
	fill_plain(&plain, 5000);
	write_stream(&plain, 0, &stored);
	assert_int_equal(read_table(&stored, &t, &err), 0);
	for (size_t i = 0; i < t.frames[0].stored; i += 7) {
		stored.data[i] ^= 0x10;
		assert_int_equal(seekable_frame_decode(unpacker, &t.frames[0], stored.data, frame, &err),
		                 -EBADMSG);
		stored.data[i] ^= 0x10;
	}
	f = t.frames[0];
	f.plain++;
	assert_int_equal(seekable_frame_decode(unpacker, &f, stored.data, frame, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "as its table says"));
	f.plain -= 2;
	assert_int_equal(seekable_frame_decode(unpacker, &f, stored.data, frame, &err), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_frames_by_their_table),
	        cmocka_unit_test(test_a_cut_begins_a_frame),
	        cmocka_unit_test(test_any_zstd_reads_it),
	        cmocka_unit_test(test_the_program_zstd_reads_it),
	        cmocka_unit_test(test_what_is_written_may_fail),
	        cmocka_unit_test(test_a_stream_has_an_end),
	        cmocka_unit_test(test_tables_that_are_wrong),
	        cmocka_unit_test(test_a_table_with_checksums),
	        cmocka_unit_test(test_frames_that_are_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

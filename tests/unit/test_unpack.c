// SPDX-License-Identifier: Apache-2.0
/* Unpacking: whatever the threads, what comes out is what was compressed, in its order; and what is no segment ends it. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/decompression.h>
#include <keepfs/stream/ordered.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define POOL_BYTES ((uint64_t)32 << 20)

struct fixture {
	struct pool *pool;
	struct cancel cancel;
	struct unpack_options options;
	struct str got;
	size_t items, fail_at; /* from 1; 0: none */
};

static int count_out(struct fixture *f, struct error *err)
{
	return ++f->items == f->fail_at ? error_set(err, ERROR_NO_SPACE, ENOSPC, "the consumer fails") : 0;
}

static void look(const void *raw, size_t len, void *note)
{
	*(size_t *)note = len;
}

static int take(void *arg, const void *raw, size_t len, const void *note, struct error *err)
{
	struct fixture *f = arg;

	assert_int_equal(*(const size_t *)note, len);
	str_append_bytes(&f->got, raw, len);
	return count_out(f, err);
}

static int take_mark(void *arg, int what, uint64_t value, struct error *err)
{
	struct fixture *f = arg;

	str_appendf(&f->got, "(%d %llu)", what, (unsigned long long)value);
	return count_out(f, err);
}

static int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->pool = pool_new(POOL_BYTES);
	cancel_init(&f->cancel);
	f->options = (struct unpack_options){.method = COMPRESSION_GZIP,
	                                     .threads = 3,
	                                     .pool = f->pool,
	                                     .cancel = &f->cancel,
	                                     .look = look,
	                                     .segment = take,
	                                     .mark = take_mark,
	                                     .arg = f};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	/* All of it was given back. */
	assert_true(pool_try_reserve(f->pool, pool_buffers(f->pool)));
	pool_unreserve(f->pool, pool_buffers(f->pool));
	cancel_finish(&f->cancel);
	pool_free(f->pool);
	str_finish(&f->got);
	free(f);
	return 0;
}

/* Text that can be compressed, other for each @seed. */
static void make_raw(struct str *out, size_t bytes, unsigned seed)
{
	str_clear(out);
	while (out->len < bytes)
		str_appendf(out, "%u is row %zu of those that begin with %u\n", seed * 2654435761U, out->len,
		            seed);
	out->len = bytes;
}

static void pack(const struct compression *c, const struct str *raw, struct str *ret)
{
	struct compressor *compressor = compressor_new(c, SEGMENT_CHECK_NONE);
	size_t bound = compressor_bound(c, raw->len);
	_cleanup(free) uint8_t *out = mem_alloc(bound);
	struct segment s;

	assert_int_equal(compressor_run(compressor, raw->data, raw->len, out, bound, &s, NULL), 0);
	compressor_free(compressor);
	str_clear(ret);
	str_append_bytes(ret, (char *)out, s.bytes);
}

static const struct compression methods[] = {{COMPRESSION_NONE, 0},
                                             {COMPRESSION_GZIP, COMPRESSION_ISAL},
                                             {COMPRESSION_GZIP, 1},
                                             {COMPRESSION_GZIP, 9},
                                             {COMPRESSION_ZSTD, 3}};

static void it_is_what_was_compressed(void **state)
{
	struct fixture *f = *state;

	for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
		static const size_t sizes[] = {1, 2, 100, 65535, 70000, SEGMENT_RAW_BYTES};
		_cleanup(str) struct str raw = {0}, packed = {0}, expected = {0};
		struct unpack *u;

		str_clear(&f->got);
		f->options.method = methods[m].method;
		assert_int_equal(unpack_new(&f->options, &u, NULL), 0);
		for (unsigned i = 0; i < 40; i++) {
			make_raw(&raw, sizes[i % ARRAY_SIZE(sizes)], i);
			pack(&methods[m], &raw, &packed);
			str_append_bytes(&expected, raw.data, raw.len);
			str_appendf(&expected, "(7 %u)", i);
			/* In pieces, and with something in front that is no part of it. */
			assert_int_equal(unpack_write(u, "x", 1, NULL), 0);
			assert_int_equal(unpack_write(u, packed.data, packed.len / 2, NULL), 0);
			assert_int_equal(unpack_write(u, packed.data + packed.len / 2,
			                              packed.len - packed.len / 2, NULL),
			                 0);
			unpack_drop(u, 1);
			assert_int_equal(unpack_end(u, NULL), 0);
			assert_int_equal(unpack_mark(u, 7, i, NULL), 0);
		}
		assert_int_equal(unpack_finish(u, NULL), 0);
		unpack_free(u);
		assert_int_equal(f->got.len, expected.len);
		assert_memory_equal(f->got.data, expected.data, expected.len);
	}
}

static void marks_need_no_memory(void **state)
{
	struct fixture *f = *state;
	struct unpack *u;

	assert_int_equal(unpack_new(&f->options, &u, NULL), 0);
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(unpack_mark(u, 1, i, NULL), 0);
	assert_int_equal(unpack_end(u, NULL), 0); /* nothing was gathered */
	assert_int_equal(unpack_finish(u, NULL), 0);
	assert_int_equal(f->items, 10000);
	unpack_free(u);
}

static void give(struct unpack *u, const struct str *packed, struct error *err, int *ret)
{
	*ret = unpack_write(u, packed->data, packed->len, err);
	if (*ret == 0)
		*ret = unpack_end(u, err);
	if (*ret == 0)
		*ret = unpack_finish(u, err);
}

static void what_is_no_segment_ends_it(void **state)
{
	struct fixture *f = *state;
	const struct compression gzip = {COMPRESSION_GZIP, COMPRESSION_ISAL};
	_cleanup(str) struct str raw = {0}, packed = {0};

	make_raw(&raw, 50000, 1);
	for (int how = 0; how < 4; how++) {
		struct error err = {0};
		struct unpack *u;
		int r;

		pack(&gzip, &raw, &packed);
		if (how == 0)
			packed.len -= 9; /* cut */
		else if (how == 1)
			str_append(&packed, "more"); /* something behind it */
		else if (how == 2)
			packed.data[0] = 0x07; /* a kind of block that there is not */
		else
			packed.len = 1;
		assert_int_equal(unpack_new(&f->options, &u, NULL), 0);
		give(u, &packed, &err, &r);
		assert_int_equal(r, -EBADMSG);
		assert_int_equal(err.class, ERROR_CORRUPT);
		/* And it stays ended. */
		assert_int_equal(unpack_mark(u, 1, 1, NULL), -EBADMSG);
		unpack_free(u);
	}
}

static void one_that_is_too_long_is_none(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *data = mem_alloc(POOL_BUFFER_BYTES);
	struct error err = {0};
	struct unpack *u;

	assert_int_equal(unpack_new(&f->options, &u, NULL), 0);
	assert_int_equal(unpack_write(u, data, POOL_BUFFER_BYTES, NULL), 0);
	assert_int_equal(unpack_write(u, data, 1, &err), -EBADMSG);
	unpack_free(u);
}

static void the_consumer_ends_it(void **state)
{
	struct fixture *f = *state;
	const struct compression gzip = {COMPRESSION_GZIP, COMPRESSION_ISAL};
	_cleanup(str) struct str raw = {0}, packed = {0};
	struct error err = {0};
	struct unpack *u;
	int r = 0;

	f->fail_at = 5;
	make_raw(&raw, 50000, 1);
	pack(&gzip, &raw, &packed);
	assert_int_equal(unpack_new(&f->options, &u, NULL), 0);
	for (int i = 0; r == 0 && i < 100; i++)
		give(u, &packed, &err, &r);
	assert_int_equal(r, -ENOSPC);
	assert_string_equal(err.message, "the consumer fails");
	assert_int_equal(f->items, 5);
	unpack_free(u);
}

static void who_cancels_is_heard(void **state)
{
	struct fixture *f = *state;
	struct unpack *u;

	assert_int_equal(unpack_new(&f->options, &u, NULL), 0);
	assert_int_equal(unpack_write(u, "abc", 3, NULL), 0);
	cancel_set(&f->cancel);
	assert_int_equal(unpack_end(u, NULL), -ECANCELED);
	unpack_free(u);
}

static void too_little_memory_is_said(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	struct unpack *u;

	f->options.threads = 100;
	assert_int_equal(unpack_new(&f->options, &u, &err), -ENOSPC);
	assert_non_null(strstr(err.message, "400 MiB"));
}

#define UNPACK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        UNPACK_TEST(it_is_what_was_compressed),  UNPACK_TEST(marks_need_no_memory),
	        UNPACK_TEST(what_is_no_segment_ends_it), UNPACK_TEST(one_that_is_too_long_is_none),
	        UNPACK_TEST(the_consumer_ends_it),       UNPACK_TEST(who_cancels_is_heard),
	        UNPACK_TEST(too_little_memory_is_said),
	};

	return cmocka_run_group_tests_name("unpack", tests, NULL, NULL);
}

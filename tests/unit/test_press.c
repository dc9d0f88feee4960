// SPDX-License-Identifier: Apache-2.0
/* The press: whatever the threads, what comes out is what one compressor makes of one segment after the
 * other. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/stream/ordered.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)

/* What comes out, one behind the other. */

struct record {
	struct str all;
	size_t items;
	size_t fail_at; /* this item, from 1; 0: none */
};

static int count_item(struct record *rec, struct error *err)
{
	if (++rec->items == rec->fail_at)
		return error_set(err, ERROR_NO_SPACE, ENOSPC, "the consumer fails");
	return 0;
}

static int record_segment(void *arg, const struct segment *s, const void *data, struct error *err)
{
	struct record *rec = arg;

	str_appendf(&rec->all, "[%zu %zu %x:", s->raw_bytes, s->bytes, s->check);
	str_append_bytes(&rec->all, data, s->bytes);
	return count_item(rec, err);
}

static int record_mark(void *arg, int what, uint64_t value, struct error *err)
{
	struct record *rec = arg;

	str_appendf(&rec->all, "(%d %llu)", what, (unsigned long long)value);
	return count_item(rec, err);
}

struct fixture {
	struct pool *pool;
	struct cancel cancel;
	struct record got, expected;
	struct press_options options;
	struct press *press;
	/* The reference: */
	struct compressor *compressor;
	struct str gathered;
};

static int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->pool = pool_new(40 * MIB);
	cancel_init(&f->cancel);
	f->options = (struct press_options){
	        .compression = {COMPRESSION_GZIP, COMPRESSION_ISAL},
	        .check = SEGMENT_CHECK_ADLER32,
	        .threads = 2,
	        .pool = f->pool,
	        .cancel = &f->cancel,
	        .out = {record_segment, record_mark, &f->got},
	};
	*state = f;
	return 0;
}

static void begin(struct fixture *f)
{
	struct error err = {0};

	f->got = f->expected = (struct record){.fail_at = f->got.fail_at};
	if (press_new(&f->options, &f->press, &err) < 0)
		fail_msg("%s", err.message);
	f->compressor = compressor_new(&f->options.compression, f->options.check);
}

static void end(struct fixture *f)
{
	f->press = press_free(f->press);
	f->compressor = compressor_free(f->compressor);
	str_finish(&f->got.all);
	str_finish(&f->expected.all);
	str_finish(&f->gathered);
	/* Every buffer and every promise came back. */
	assert_true(pool_try_reserve(f->pool, pool_buffers(f->pool)));
	pool_unreserve(f->pool, pool_buffers(f->pool));
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	end(f);
	pool_free(f->pool);
	cancel_finish(&f->cancel);
	free(f);
	return 0;
}

/* The reference: segments of SEGMENT_RAW_BYTES, ended by marks, one after the other. */

static void end_reference_segment(struct fixture *f)
{
	_cleanup(free) char *out = mem_alloc(MIB);
	struct segment s;

	if (f->gathered.len == 0)
		return;
	assert_int_equal(compressor_run(f->compressor, f->gathered.data, f->gathered.len, out, MIB, &s, NULL),
	                 0);
	record_segment(&f->expected, &s, out, NULL);
	str_clear(&f->gathered);
}

static void write_both(struct fixture *f, const char *data, size_t len)
{
	assert_int_equal(press_write(f->press, data, len, NULL), 0);
	while (len > 0) {
		size_t room = SEGMENT_RAW_BYTES - f->gathered.len, n = len < room ? len : room;

		str_append_bytes(&f->gathered, data, n);
		data += n;
		len -= n;
		if (f->gathered.len == SEGMENT_RAW_BYTES)
			end_reference_segment(f);
	}
}

static void mark_both(struct fixture *f, int what, uint64_t value)
{
	assert_int_equal(press_mark(f->press, what, value, NULL), 0);
	end_reference_segment(f);
	record_mark(&f->expected, what, value, NULL);
}

static void finish_both(struct fixture *f)
{
	assert_int_equal(press_finish(f->press, NULL), 0);
	end_reference_segment(f);
	assert_int_equal(f->got.items, f->expected.items);
	assert_int_equal(f->got.all.len, f->expected.all.len);
	assert_true(f->got.all.len == 0 ||
	            memcmp(f->got.all.data, f->expected.all.data, f->got.all.len) == 0);
}

static uint32_t next_random(uint32_t *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

/* Half of it like a table, half of it noise, which grows when it is compressed. */
static char *make_data(size_t len)
{
	char *data = mem_alloc(len);
	uint32_t x = 3;

	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i / 300000 % 2 ? next_random(&x) : '0' + next_random(&x) % 3);
	return data;
}

/* Pieces at random: most small, some huge, marks in between. */
static void write_at_random(struct fixture *f, const char *data, size_t len, uint32_t seed)
{
	uint32_t x = seed;

	for (size_t at = 0; at < len;) {
		static const uint32_t most[] = {10, 1000, 100000, 300000, 3000000};
		size_t n = next_random(&x) % most[next_random(&x) % ARRAY_SIZE(most)];

		if (n > len - at)
			n = len - at;
		write_both(f, data + at, n);
		at += n;
		for (uint32_t marks = next_random(&x) % 4; marks > 1; marks--)
			mark_both(f, (int)marks, at);
	}
}

static void test_equals_one_thread(void **state)
{
	static const struct compression methods[] = {{COMPRESSION_NONE, 0},
	                                             {COMPRESSION_GZIP, COMPRESSION_ISAL},
	                                             {COMPRESSION_GZIP, 1},
	                                             {COMPRESSION_ZSTD, 1}};
	struct fixture *f = *state;
	_cleanup(free) char *data = make_data(4 * MIB);

	for (unsigned i = 0; i < ARRAY_SIZE(methods); i++) {
		f->options.threads = 1U << i;
		f->options.compression = methods[i];
		f->options.check = i % 2 ? SEGMENT_CHECK_CRC32 : SEGMENT_CHECK_ADLER32;
		begin(f);
		write_at_random(f, data, 4 * MIB, i);
		finish_both(f);
		end(f);
	}
}

static void test_many_small_segments(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *data = make_data(1000);

	f->options.compression = (struct compression){COMPRESSION_ZSTD, 1};
	begin(f);
	for (unsigned i = 0; i < 3000; i++) {
		mark_both(f, 1, i);
		write_both(f, data, i % 1000);
		mark_both(f, 2, i);
	}
	finish_both(f);
}

/* Noise fills a batch with bounds before it fills it with bytes: small segments first, then a large one. */
static void test_segment_moves_to_the_next_batch(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *data = make_data(3 * MIB);

	for (size_t small = 1; small < 300000; small = small * 20 + 1) {
		begin(f);
		for (unsigned i = 0; i < 4; i++) {
			write_both(f, data + MIB, small);
			mark_both(f, 1, i);
		}
		write_both(f, data, 3 * MIB);
		finish_both(f);
		end(f);
	}
}

static void test_marks_only(void **state)
{
	struct fixture *f = *state;

	f->options.threads = 1;
	begin(f);
	finish_both(f);
	for (unsigned i = 0; i < 5000; i++)
		mark_both(f, -1, i);
	finish_both(f);
}

/* Something can follow a finish. */
static void test_used_again(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *data = make_data(3 * MIB);

	begin(f);
	for (unsigned i = 0; i < 5; i++) {
		write_both(f, data, i * MIB / 2);
		finish_both(f);
	}
}

static int write_until_failure(struct press *p, struct error *err)
{
	_cleanup(free) char *data = make_data(100000);
	int r = 0;

	while (r == 0)
		r = press_write(p, data, 100000, err);
	return r;
}

static void test_consumers_failure(void **state)
{
	struct fixture *f = *state;
	struct error err = {0}, again = {0};

	f->got.fail_at = 3;
	begin(f);
	assert_int_equal(write_until_failure(f->press, &err), -ENOSPC);
	assert_string_equal(err.message, "the consumer fails");
	assert_int_equal(press_mark(f->press, 1, 1, &again), -ENOSPC);
	assert_string_equal(again.message, "the consumer fails");
	assert_int_equal(press_finish(f->press, &again), -ENOSPC);
	assert_int_equal(f->got.items, 3); /* it was not asked again */
}

static void test_failure_at_a_mark_and_at_the_end(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	f->got.fail_at = 1;
	begin(f);
	assert_int_equal(press_mark(f->press, 1, 1, NULL), 0);
	assert_int_equal(press_finish(f->press, &err), -ENOSPC);
	assert_string_equal(err.message, "the consumer fails");
	end(f);
	f->got.fail_at = 300;
	begin(f);
	for (unsigned i = 0; err.class != ERROR_CANCELLED && press_mark(f->press, 1, i, &err) == 0; i++)
		assert_true(i < 100000);
	assert_int_equal(f->got.items, 300);
}

static void test_cancelled(void **state)
{
	struct fixture *f = *state;
	struct press *another = NULL;
	struct error err = {0};

	begin(f);
	write_both(f, "abc", 3);
	cancel_set(&f->cancel);
	assert_int_equal(press_write(f->press, "abc", 3, &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	assert_int_equal(press_finish(f->press, NULL), -ECANCELED);
	assert_int_equal(f->got.items, 0);
	assert_int_equal(press_new(&f->options, &another, &err), -ECANCELED);
	assert_null(another);
}

static void test_too_little_memory(void **state)
{
	struct fixture *f = *state;
	struct press *press = NULL;
	struct error err = {0};

	f->options.threads = 11;
	assert_int_equal(press_new(&f->options, &press, &err), -ENOSPC);
	assert_non_null(strstr(err.message, "memory"));
	assert_null(press);
	f->options.threads = 10;
	begin(f);
}

static void test_freed_with_work_left(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *data = make_data(3 * MIB);

	assert_null(press_free(NULL));
	f->options.compression = (struct compression){COMPRESSION_GZIP, 9};
	begin(f);
	assert_int_equal(press_write(f->press, data, 3 * MIB, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_equals_one_thread),
	        TEST(test_many_small_segments),
	        TEST(test_segment_moves_to_the_next_batch),
	        TEST(test_marks_only),
	        TEST(test_used_again),
	        TEST(test_consumers_failure),
	        TEST(test_failure_at_a_mark_and_at_the_end),
	        TEST(test_cancelled),
	        TEST(test_too_little_memory),
	        TEST(test_freed_with_work_left),
	};

	return cmocka_run_group_tests_name("press", tests, NULL, NULL);
}

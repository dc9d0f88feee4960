// SPDX-License-Identifier: Apache-2.0
/* Objects that are read back from a directory: whole, spoilt on their way, damaged, cut, and grown. */
#include "store_test.h"

#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/stream/readback.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define KEY "full/db/x.dump"

struct fixture {
	struct store *store;
	struct pool *pool;
	struct cancel cancel;
	uint8_t *data;
	size_t len, taken;
	struct extents extents;
	atomic_uint_least64_t done_bytes;
	struct readback_options options;
	int (*during)(struct fixture *f, struct error *err); /* called with the first bytes that are taken */
};

/* What is handed on is what was stored, in order. */
static int take(void *arg, const void *data, size_t len, struct error *err)
{
	struct fixture *f = arg;
	bool first = f->taken == 0;

	assert_true(f->taken + len <= f->len);
	assert_int_equal(memcmp(data, f->data + f->taken, len), 0);
	f->taken += len;
	return first && f->during ? f->during(f, err) : 0;
}

static int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	cancel_init(&f->cancel);
	f->pool = pool_new(16 * MIB);
	f->options = (struct readback_options){.pool = f->pool,
	                                       .key = KEY,
	                                       .extents = &f->extents,
	                                       .cancel = &f->cancel,
	                                       .done_bytes = &f->done_bytes,
	                                       .take = take,
	                                       .arg = f};
	*state = f;
	return root_setup(NULL);
}

static void close_pool(struct fixture *f)
{
	/* Every buffer and every promise came back. */
	assert_true(pool_try_reserve(f->pool, pool_buffers(f->pool)));
	pool_unreserve(f->pool, pool_buffers(f->pool));
	pool_free(f->pool);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close_pool(f);
	store_free(f->store);
	cancel_finish(&f->cancel);
	extents_finish(&f->extents);
	free(f->data);
	free(f);
	return root_teardown(NULL);
}

static uint32_t next_random(uint32_t *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

/* An object of extents of any length. */
static void make_object(struct fixture *f, size_t len, size_t max_extent)
{
	uint32_t x = (uint32_t)len + 1;

	f->store = store_free(f->store);
	f->store = new_faulty("");
	extents_finish(&f->extents);
	f->extents = (struct extents){0};
	free(f->data);
	f->data = mem_alloc(len + 1);
	f->len = len;
	for (size_t i = 0; i < len; i++)
		f->data[i] = (uint8_t)next_random(&x);
	for (size_t at = 0; at < len;) {
		size_t n = 1 + next_random(&x) % max_extent;

		if (n > len - at)
			n = len - at;
		extents_append(&f->extents, (uint32_t)n, crc32c(0, f->data + at, n));
		at += n;
	}
	assert_int_equal(store_put_bytes(f->store, NULL, KEY, f->data, len, NULL, NULL), 0);
}

static int read_back(struct fixture *f, char sha256[static SHA256_HEX_BYTES], struct error *err)
{
	*err = (struct error){0};
	f->taken = 0;
	f->done_bytes = 0;
	f->options.store = f->store;
	return stream_readback(&f->options, sha256, err);
}

static void expect_whole(struct fixture *f)
{
	char sha256[SHA256_HEX_BYTES], expected[SHA256_HEX_BYTES];
	uint8_t digest[SHA256_BYTES];
	struct error err;

	if (read_back(f, sha256, &err) < 0)
		fail_msg("%zu bytes: %s", f->len, err.message);
	sha256_once(f->data, f->len, digest);
	hex_encode(digest, sizeof(digest), expected);
	assert_string_equal(sha256, expected);
	assert_int_equal(f->taken, f->len);
	assert_int_equal(f->done_bytes, f->len);
}

static void test_whole_objects(void **state)
{
	struct fixture *f = *state;

	make_object(f, 0, 1);
	expect_whole(f);
	make_object(f, 1, 1);
	expect_whole(f);
	make_object(f, 5000, 3);
	expect_whole(f);
	make_object(f, MIB, MIB);
	expect_whole(f);
	make_object(f, 21 * MIB + 17, MIB);
	expect_whole(f);
	f->options.take = NULL;
	f->options.done_bytes = NULL;
	f->taken = f->len;
	assert_int_equal(stream_readback(&f->options, (char[SHA256_HEX_BYTES]){0}, NULL), 0);
}

/* Some extents of an object, in one span and in many: their bytes, and no others; also where the others are not what was sent. */
static void test_ranges(void **state)
{
	struct fixture *f = *state;
	static const size_t sizes[] = {5000, 21 * MIB};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char sha256[SHA256_HEX_BYTES], expected[SHA256_HEX_BYTES];
		uint8_t digest[SHA256_BYTES];
		struct error err = {0};
		size_t from, to;

		make_object(f, sizes[i], sizes[i] / 50 + 1);
		f->options.first = 3;
		f->options.count = f->extents.count - 5;
		from = f->extents.items[3].offset;
		to = f->extents.items[f->extents.count - 2].offset;
		f->extents.items[0].crc32c ^= 1;
		f->taken = from;
		f->done_bytes = 0;
		f->options.store = f->store;
		assert_int_equal(stream_readback(&f->options, sha256, &err), 0);
		assert_int_equal(f->taken, to);
		assert_int_equal(f->done_bytes, to - from);
		sha256_once(f->data + from, to - from, digest);
		hex_encode(digest, sizeof(digest), expected);
		assert_string_equal(sha256, expected);
		f->extents.items[4].crc32c ^= 1;
		f->taken = from;
		assert_int_equal(stream_readback(&f->options, sha256, &err), -EBADMSG);
	}
}

/* What nobody has seen yet is learnt, and the rest is checked as ever. */
static void test_what_is_learnt(void **state)
{
	struct fixture *f = *state;
	char sha256[SHA256_HEX_BYTES];
	struct error err;
	uint32_t *crcs;

	make_object(f, 9 * MIB + 17, 300000);
	crcs = mem_array(f->extents.count, sizeof(*crcs));
	f->options.learn = &f->extents;
	f->options.learn_at = f->extents.items[7].offset;
	f->options.learn_bytes = f->extents.items[30].offset - f->options.learn_at;
	for (size_t i = 0; i < f->extents.count; i++) {
		crcs[i] = f->extents.items[i].crc32c;
		if (i >= 7 && i < 30)
			f->extents.items[i].crc32c = 0;
	}
	expect_whole(f);
	for (size_t i = 0; i < f->extents.count; i++)
		assert_int_equal(f->extents.items[i].crc32c, crcs[i]);
	f->extents.items[6].crc32c ^= 1;
	assert_int_equal(read_back(f, sha256, &err), -EBADMSG);
	f->extents.items[6].crc32c ^= 1;
	f->extents.items[30].crc32c ^= 1;
	assert_int_equal(read_back(f, sha256, &err), -EBADMSG);
	f->options.learn = NULL;
	free(crcs);
}

static void test_small_pools(void **state)
{
	struct fixture *f = *state;

	make_object(f, 7 * MIB + 1, MIB);
	for (size_t buffers = 1; buffers <= 12; buffers += buffers < 5 ? 1 : 7) {
		close_pool(f);
		f->options.pool = f->pool = pool_new(buffers * MIB);
		expect_whole(f);
	}
}

static void write_at(off_t at, const void *data, size_t len)
{
	_cleanup(free) char *path = mem_printf("%s/" KEY, root);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, data, len, at), len);
	close(fd);
}

static void cut_at(size_t len)
{
	_cleanup(free) char *path = mem_printf("%s/" KEY, root);

	assert_int_equal(truncate(path, (off_t)len), 0);
}

static void expect_corrupt(struct fixture *f, const char *text)
{
	char sha256[SHA256_HEX_BYTES] = "untouched";
	struct error err;

	assert_int_equal(read_back(f, sha256, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, KEY));
	assert_non_null(strstr(err.message, text));
	assert_string_equal(sha256, "untouched");
}

static void test_a_wrong_byte(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;
	const struct extent *x;
	uint8_t byte;

	make_object(f, 9 * MIB, MIB);
	x = &f->extents.items[f->extents.count / 2];
	byte = (uint8_t)(f->data[x->offset] ^ 1);
	write_at((off_t)x->offset, &byte, 1);
	text = mem_printf("from offset %llu ", (unsigned long long)x->offset);
	expect_corrupt(f, text);
	/* Nothing of the damaged span was handed on. */
	assert_true(f->taken <= x->offset);
	assert_int_equal(f->done_bytes, f->taken);
	write_at((off_t)x->offset, &f->data[x->offset], 1);
	expect_whole(f);
	byte = (uint8_t)(f->data[f->len - 1] ^ 0x80);
	write_at((off_t)f->len - 1, &byte, 1);
	expect_corrupt(f, "CRC-32C");
	byte = (uint8_t)(f->data[0] ^ 0x80);
	write_at(0, &byte, 1);
	expect_corrupt(f, "from offset 0 ");
	assert_int_equal(f->taken, 0);
}

static void test_wrong_sizes(void **state)
{
	struct fixture *f = *state;

	make_object(f, 3 * MIB, MIB);
	cut_at(3 * MIB - 1);
	expect_corrupt(f, "ends before");
	cut_at(0);
	expect_corrupt(f, "ends before");
	make_object(f, 3 * MIB, MIB);
	write_at(3 * MIB, "x", 1);
	expect_corrupt(f, "goes on");
	make_object(f, 0, 1);
	write_at(0, "x", 1);
	expect_corrupt(f, "goes on");
}

static int cut(struct fixture *f, struct error *err)
{
	cut_at(f->len - 1);
	return 0;
}

static void test_cut_while_it_is_read(void **state)
{
	struct fixture *f = *state;

	close_pool(f);
	f->options.pool = f->pool = pool_new(4 * MIB); /* one span at a time */
	make_object(f, 9 * MIB, MIB);
	f->during = cut;
	expect_corrupt(f, "ends before");
}

static void set_faults(struct fixture *f, const char *spec)
{
	f->store = store_free(f->store);
	f->store = new_faulty(spec);
}

/* Once wrong is not believed; twice is. */
static void test_spoilt_on_the_way(void **state)
{
	struct fixture *f = *state;

	make_object(f, 9 * MIB, MIB);
	set_faults(f, "get:1:corrupt");
	expect_whole(f);
	set_faults(f, "get:3:corrupt");
	expect_whole(f);
	set_faults(f, "get:1+:corrupt");
	expect_corrupt(f, "from offset");
}

static void expect_failure(struct fixture *f, int r)
{
	char sha256[SHA256_HEX_BYTES];
	struct error err;

	assert_int_equal(read_back(f, sha256, &err), r);
	assert_true(err.message[0] != '\0');
	assert_true(err.class != ERROR_CORRUPT);
}

static void test_failures(void **state)
{
	struct fixture *f = *state;

	make_object(f, 21 * MIB, MIB);
	set_faults(f, "head:1:eio");
	expect_failure(f, -EIO);
	set_faults(f, "get:1:eio");
	expect_failure(f, -EIO);
	set_faults(f, "get:5:eio");
	expect_failure(f, -EIO);
	set_faults(f, "get:1:corrupt,get:2+:eio"); /* what is got again can fail, too */
	expect_failure(f, -EIO);
	assert_int_equal(store_remove(f->store, NULL, KEY, NULL), 0);
	expect_failure(f, -ENOENT);
}

static int refuse(struct fixture *f, struct error *err)
{
	return error_set(err, ERROR_NO_SPACE, ENOSPC, "the taker refuses");
}

static void test_the_takers_failure(void **state)
{
	struct fixture *f = *state;
	char sha256[SHA256_HEX_BYTES];
	struct error err;

	make_object(f, 21 * MIB, MIB);
	f->during = refuse;
	assert_int_equal(read_back(f, sha256, &err), -ENOSPC);
	assert_string_equal(err.message, "the taker refuses");
}

static int set_cancel(struct fixture *f, struct error *err)
{
	cancel_set(&f->cancel);
	return 0;
}

static void *cancel_main(void *arg)
{
	cancel_set(arg);
	return NULL;
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;

	make_object(f, 41 * MIB, MIB);
	f->during = set_cancel;
	expect_failure(f, -ECANCELED);
	assert_true(f->taken < f->len);
	expect_failure(f, -ECANCELED);
	assert_int_equal(f->taken, 0);
}

static void test_cancel_while_waiting_for_memory(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	make_object(f, 100, 10);
	assert_true(pool_try_reserve(f->pool, pool_buffers(f->pool)));
	assert_int_equal(thread_start(&thread, "test", cancel_main, &f->cancel), 0);
	expect_failure(f, -ECANCELED);
	pthread_join(thread, NULL);
	pool_unreserve(f->pool, pool_buffers(f->pool));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_whole_objects),
	        TEST(test_small_pools),
	        TEST(test_ranges),
	        TEST(test_what_is_learnt),
	        TEST(test_a_wrong_byte),
	        TEST(test_wrong_sizes),
	        TEST(test_cut_while_it_is_read),
	        TEST(test_spoilt_on_the_way),
	        TEST(test_failures),
	        TEST(test_the_takers_failure),
	        TEST(test_cancel),
	        TEST(test_cancel_while_waiting_for_memory),
	};

	return cmocka_run_group_tests_name("readback", tests, NULL, NULL);
}

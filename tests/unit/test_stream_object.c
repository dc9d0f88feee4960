// SPDX-License-Identifier: Apache-2.0
/* Objects: bytes, extents and digests, with heads that come last, in a directory that can fail. */
#include "store_test.h"

#include <keepfs/base/str.h>
#include <keepfs/stream.h>
#include <keepfs/stream/readback.h>

#include <errno.h>

#define MIB ((uint64_t)1 << 20)
#define KEY "full/db/x.dump"

struct fixture {
	struct store *store;
	struct pool *pool;
	struct cancel cancel;
	atomic_uint_least64_t sent_bytes;
	struct stream_object_options options;
	struct str data;
	size_t head_piece; /* the head comes in such pieces; 0: at once, with the end */
};

static int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->pool = pool_new(24 * MIB);
	cancel_init(&f->cancel);
	f->options = (struct stream_object_options){.pool = f->pool,
	                                            .key = KEY,
	                                            .part_bytes = 1000,
	                                            .cancel = &f->cancel,
	                                            .sent_bytes = &f->sent_bytes};
	*state = f;
	return root_setup(NULL);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	/* Every buffer and every promise came back. */
	assert_true(pool_try_reserve(f->pool, pool_buffers(f->pool)));
	pool_unreserve(f->pool, pool_buffers(f->pool));
	pool_free(f->pool);
	store_free(f->store);
	cancel_finish(&f->cancel);
	str_finish(&f->data);
	free(f);
	return root_teardown(NULL);
}

/* Bytes of which no stretch repeats soon. */
static void make_data(struct fixture *f, size_t len)
{
	uint32_t x = 1;

	str_clear(&f->data);
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		str_append_char(&f->data, (char)(x >> 24));
	}
}

static struct stream_object *new_object(struct fixture *f, size_t head_bytes)
{
	struct stream_object *o = NULL;
	struct error err = {0};

	f->options.store = f->store;
	f->options.head_bytes = head_bytes;
	f->sent_bytes = 0;
	if (stream_object_new(&f->options, &o, &err) < 0)
		fail_msg("%s", err.message);
	return o;
}

/* What follows the head, in pieces. */
static int write_body(struct fixture *f, struct stream_object *o, size_t head_bytes, size_t piece,
                      struct error *err)
{
	int r = 0;

	for (size_t at = head_bytes; r == 0 && at < f->data.len; at += piece) {
		size_t left = f->data.len - at;

		r = stream_object_write(o, f->data.data + at, left < piece ? left : piece, err);
	}
	return r;
}

static int finish(struct fixture *f, struct stream_object *o, struct stream_facts *facts, struct error *err)
{
	size_t head_bytes = f->options.head_bytes;
	int r = 0;

	if (f->head_piece == 0)
		return stream_object_finish(o, head_bytes ? f->data.data : NULL, facts, err);
	for (size_t at = 0; r == 0 && at < head_bytes; at += f->head_piece) {
		size_t left = head_bytes - at;

		r = stream_object_head(o, f->data.data + at, left < f->head_piece ? left : f->head_piece,
		                       err);
	}
	return r < 0 ? r : stream_object_finish(o, NULL, facts, err);
}

static void expect_facts(struct fixture *f, const struct stream_facts *facts)
{
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES] = "";
	uint64_t at = 0;

	if (!f->options.head_bytes) {
		sha256_once(f->data.len ? f->data.data : "", f->data.len, digest);
		hex_encode(digest, sizeof(digest), hex);
	}
	assert_string_equal(facts->sha256, hex);
	assert_string_equal(facts->stored_sha256, hex);
	assert_int_equal(facts->bytes, f->data.len);
	assert_int_equal(facts->stored_bytes, f->data.len);
	assert_int_equal(facts->extents.total_bytes, f->data.len);
	for (size_t i = 0; i < facts->extents.count; i++) {
		const struct extent *x = &facts->extents.items[i];

		assert_int_equal(x->offset, at);
		assert_int_equal(x->crc32c, crc32c(0, f->data.data + at, x->length));
		at += x->length;
		/* They end at multiples of one length; the head has extents of its own. */
		assert_true(x->length <= EXTENT_MIN_BYTES);
		if (at != f->data.len && at != f->options.head_bytes)
			assert_int_equal(at % EXTENT_MIN_BYTES, 0);
	}
}

static void expect_stored(struct fixture *f)
{
	_cleanup(free) char *data = NULL;
	struct store_upload_info *uploads = NULL;
	size_t len, count;

	assert_int_equal(store_get_all(f->store, NULL, KEY, f->data.len, &data, &len, NULL), 0);
	assert_int_equal(len, f->data.len);
	assert_true(len == 0 || memcmp(data, f->data.data, len) == 0);
	assert_int_equal(f->sent_bytes, len);
	assert_int_equal(store_upload_list(f->store, NULL, "", &uploads, &count, NULL), 0);
	assert_int_equal(count, 0);
	store_upload_list_free(uploads, count);
	assert_int_equal(store_remove(f->store, NULL, KEY, NULL), 0);
}

static void expect_object(struct fixture *f, size_t head_bytes, size_t body_bytes, size_t piece)
{
	struct stream_facts facts = {0};
	struct stream_object *o;
	struct error err = {0};

	make_data(f, head_bytes + body_bytes);
	o = new_object(f, head_bytes);
	if (write_body(f, o, head_bytes, piece, &err) < 0 || finish(f, o, &facts, &err) < 0)
		fail_msg("%zu + %zu bytes: %s", head_bytes, body_bytes, err.message);
	stream_object_free(o);
	expect_facts(f, &facts);
	expect_stored(f);
	extents_finish(&facts.extents);
}

static void test_heads_and_bodies(void **state)
{
	static const size_t heads[] = {0, 10, 999, 1000, 1001, 2500, 5000};
	static const size_t bodies[] = {0, 1, 990, 991, 1990, 9000};
	static const size_t pieces[] = {0, 1, 7, 1000, 1500};
	struct fixture *f = *state;

	f->store = new_faulty("");
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(bodies); j++) {
			for (size_t k = 0; k < ARRAY_SIZE(pieces); k++) {
				f->head_piece = pieces[k];
				expect_object(f, heads[i], bodies[j], 333);
			}
		}
	}
}

static void test_parts_of_several_buffers(void **state)
{
	struct fixture *f = *state;

	f->store = new_faulty("");
	f->options.part_bytes = MIB + MIB / 2;
	expect_object(f, 100, 5 * MIB, 65536);
	expect_object(f, MIB, 5 * MIB, 5 * MIB);
	expect_object(f, 3 * MIB + 7, 5 * MIB, 100000);
	expect_object(f, 0, 5 * MIB, 100000);
}

/* One put, as long as one part holds all; also exactly. */
static void test_one_put(void **state)
{
	struct fixture *f = *state;

	f->store = new_faulty("begin:1+:eio");
	expect_object(f, 10, 0, 1);
	expect_object(f, 10, 989, 100);
	expect_object(f, 10, 990, 100);
	expect_object(f, 999, 0, 1);
}

/* A copy: its sums are known, and none are made; what is stored is the same. */
static void test_without_sums(void **state)
{
	static const size_t sizes[] = {0, 1, 999, 1000, 70000};
	struct fixture *f = *state;

	f->store = new_faulty("");
	f->options.no_sums = true;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct stream_facts facts = {0};
		struct stream_object *o;

		make_data(f, sizes[i]);
		o = new_object(f, 0);
		assert_int_equal(write_body(f, o, 0, 333, NULL), 0);
		assert_int_equal(finish(f, o, &facts, NULL), 0);
		stream_object_free(o);
		assert_int_equal(facts.bytes, sizes[i]);
		assert_int_equal(facts.stored_bytes, sizes[i]);
		assert_string_equal(facts.sha256, "");
		assert_string_equal(facts.stored_sha256, "");
		assert_int_equal(facts.extents.count, 0);
		expect_stored(f);
	}
}

/* A table of contents may be larger than all that a pool has. */
/* Who reads it back knows the digest then; the extents are as ever. */
static void test_without_digest(void **state)
{
	struct fixture *f = *state;
	struct stream_facts facts = {0};
	struct stream_object *o;
	struct error err = {0};

	f->store = new_faulty("");
	f->options.no_digest = true;
	make_data(f, 300000);
	o = new_object(f, 0);
	assert_int_equal(write_body(f, o, 0, 333, &err), 0);
	assert_int_equal(stream_object_finish(o, NULL, &facts, NULL), 0);
	stream_object_free(o);
	assert_string_equal(facts.sha256, "");
	assert_string_equal(facts.stored_sha256, "");
	assert_true(facts.bytes == 300000 && facts.stored_bytes == 300000);
	assert_int_equal(facts.extents.total_bytes, 300000);
	assert_int_equal(facts.extents.items[0].crc32c, crc32c(0, f->data.data, EXTENT_MIN_BYTES));
	expect_stored(f);
	extents_finish(&facts.extents);
}

/* A directory that copies by itself, of the object "from". */

static atomic_uint copies;
static int copy_result; /* of the second copy, and those behind it */

static int copy_within(struct store_upload *up, const struct store_call *call, unsigned number,
                       const struct store_range *from, struct store_part *ret, struct error *err)
{
	_cleanup(free) char *bytes = mem_alloc(from->bytes);
	const struct iovec iov = {bytes, from->bytes};
	int r;

	if (atomic_fetch_add(&copies, 1) > 0 && copy_result < 0)
		return error_set(err, ERROR_CONFLICT, -copy_result, "it is another one now");
	r = store_get(up->store, call, from->key, from->offset, &iov, 1, NULL, err);
	return r < 0 ? r : store_upload_part(up, call, number, &iov, 1, ret, err);
}

static struct store *new_copying(void)
{
	static struct store_ops ops;
	struct store *s = NULL;

	assert_int_equal(store_dir_new(root, &s, NULL), 0);
	ops = *s->ops;
	ops.upload_copy = copy_within;
	s->ops = &ops;
	return s;
}

static int count_pace(void *arg, uint64_t bytes, struct error *err)
{
	*(uint64_t *)arg += bytes;
	return 0;
}

static int copy_middle(struct stream_object *o, uint64_t at, uint64_t bytes, uint64_t *paced,
                       struct error *err)
{
	const struct store_range from = {.key = "from", .offset = at, .bytes = bytes, .if_match = "e"};
	const struct sink_copy copy = {.from = &from, .pace = count_pace, .arg = paced};

	return stream_object_copy(o, &copy, err);
}

/* Some bytes are copied by the store: it is the same object, and what is not known of it reading it back tells. */
static void expect_copied(struct fixture *f, size_t before, size_t bytes, size_t behind)
{
	struct stream_facts facts = {0}, plain = {0};
	struct stream_object *o;
	struct error err = {0};
	uint64_t paced = 0;
	char sha256[SHA256_HEX_BYTES];

	make_data(f, before + bytes + behind);
	assert_int_equal(store_put_bytes(f->store, NULL, "from", f->data.data, f->data.len, NULL, NULL), 0);
	o = stream_object_sums();
	assert_int_equal(stream_object_write(o, f->data.data, f->data.len, NULL), 0);
	assert_int_equal(stream_object_finish(o, NULL, &plain, NULL), 0);
	stream_object_free(o);
	o = new_object(f, 0);
	assert_int_equal(stream_object_write(o, f->data.data, before, NULL), 0);
	if (copy_middle(o, before, bytes, &paced, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(paced, bytes);
	assert_int_equal(stream_object_write(o, f->data.data + before + bytes, behind, NULL), 0);
	assert_int_equal(stream_object_finish(o, NULL, &facts, NULL), 0);
	stream_object_free(o);
	assert_string_equal(facts.sha256, "");
	assert_true(facts.copied_at == before && facts.copied_bytes == bytes && facts.bytes == f->data.len);
	const struct readback_options back = {.store = f->store,
	                                      .pool = f->pool,
	                                      .key = KEY,
	                                      .extents = &facts.extents,
	                                      .learn = &facts.extents,
	                                      .learn_at = facts.copied_at,
	                                      .learn_bytes = facts.copied_bytes};
	assert_int_equal(stream_readback(&back, sha256, NULL), 0);
	assert_string_equal(sha256, plain.sha256);
	assert_int_equal(facts.extents.count, plain.extents.count);
	assert_memory_equal(facts.extents.items, plain.extents.items,
	                    plain.extents.count * sizeof(*plain.extents.items));
	assert_int_equal(store_remove(f->store, NULL, "from", NULL), 0);
	expect_stored(f);
	extents_finish(&facts.extents);
	extents_finish(&plain.extents);
}

static void test_copied_by_the_store(void **state)
{
	struct fixture *f = *state;

	f->store = new_copying();
	copy_result = 0;
	f->options.part_bytes = 2 * MIB;
	expect_copied(f, 2 * MIB, MIB, 1);
	expect_copied(f, MIB, 3 * MIB, MIB);     /* what is written does not fill a part */
	expect_copied(f, 3 * MIB, MIB, 5 * MIB); /* nor does it end with one */
	copies = 0;
	expect_copied(f, MIB, 130 * MIB, 700000); /* several pieces */
	assert_int_equal(copies, 3);
}

static void test_head_larger_than_memory(void **state)
{
	struct fixture *f = *state;
	struct stream_object *o = NULL;
	size_t buffers = 0;
	struct error err = {0};

	f->options.store = f->store = new_faulty("");
	f->options.part_bytes = MIB;
	f->head_piece = 65536;
	expect_object(f, 40 * MIB + 77, 3 * MIB, 65536);
	expect_object(f, 30 * MIB, 100, 65536);
	expect_object(f, 30 * MIB, 0, 65536);
	/* Its own part and four others at once are what is needed. */
	f->options.part_bytes = 5 * MIB;
	assert_int_equal(stream_object_new(&f->options, &o, &err), -ENOSPC);
	assert_non_null(strstr(err.message,
	                       "an upload holds 5 parts in memory, 25 MiB in all, and there are 24 MiB"));
	assert_null(o);
	assert_int_equal(stream_object_buffers(&f->options, &buffers, &err), 0);
	assert_int_equal(buffers, 25);
	f->options.head_bytes = 0;
	assert_int_equal(stream_object_buffers(&f->options, &buffers, &err), 0);
	assert_int_equal(buffers, 20);
}

static void expect_nothing(struct fixture *f)
{
	struct store_upload_info *uploads = NULL;
	struct store_object object;
	size_t count;

	assert_int_equal(store_head(f->store, NULL, KEY, &object, NULL), -ENOENT);
	assert_int_equal(store_upload_list(f->store, NULL, "", &uploads, &count, NULL), 0);
	assert_int_equal(count, 0);
	store_upload_list_free(uploads, count);
}

static void test_copying_that_fails(void **state)
{
	struct fixture *f = *state;
	struct stream_object *o;
	struct error err = {0};
	uint64_t paced = 0;

	f->store = new_copying();
	make_data(f, MIB);
	f->options.part_bytes = 2 * MIB;
	/* Of an object that is not there; and another one when the second is copied, which leaves nothing. */
	for (int i = 0; i < 2; i++) {
		o = new_object(f, 0);
		copies = (unsigned)i;
		copy_result = -ESTALE;
		assert_int_equal(stream_object_write(o, f->data.data, MIB, NULL), 0);
		assert_int_equal(copy_middle(o, 0, MIB, &paced, &err), i ? -ESTALE : -ENOENT);
		assert_true(stream_object_write(o, "x", 1, NULL) < 0);
		stream_object_free(o);
		expect_nothing(f);
	}
	/* With too few parts for it; in an object in which nothing was written yet; in a store that does not copy. */
	f->options.max_parts = 2;
	o = new_object(f, 0);
	assert_int_equal(stream_object_write(o, f->data.data, MIB, NULL), 0);
	assert_int_equal(copy_middle(o, 0, MIB, &paced, &err), -ENOTSUP);
	stream_object_free(o);
	f->options.max_parts = 0;
	o = new_object(f, 0);
	assert_int_equal(copy_middle(o, 0, MIB, &paced, &err), -ENOTSUP);
	stream_object_free(o);
	f->store = store_free(f->store);
	f->store = new_faulty("");
	o = new_object(f, 0);
	assert_int_equal(stream_object_write(o, f->data.data, MIB, NULL), 0);
	assert_int_equal(copy_middle(o, 0, MIB, &paced, &err), -ENOTSUP);
	stream_object_free(o);
}

static void expect_failure(struct fixture *f, const char *spec, size_t head_bytes, size_t body_bytes)
{
	struct error err = {0}, again = {0};
	struct stream_facts facts = {0};
	struct stream_object *o;
	int r;

	f->store = store_free(f->store);
	f->store = new_faulty(spec);
	make_data(f, head_bytes + body_bytes);
	o = new_object(f, head_bytes);
	r = write_body(f, o, head_bytes, 100, &err);
	if (r == 0)
		r = finish(f, o, &facts, &err);
	assert_int_equal(r, -EIO);
	assert_true(err.message[0] != '\0');
	/* It stays failed, with the same words. */
	assert_int_equal(finish(f, o, &facts, &again), -EIO);
	assert_string_equal(err.message, again.message);
	assert_int_equal(facts.extents.count, 0);
	stream_object_free(o);
	expect_nothing(f);
}

static void test_failures(void **state)
{
	struct fixture *f = *state;

	for (size_t head = 0; head <= 1500; head += 500) {
		/* What is as long as a part, and followed by nothing, is one. */
		expect_failure(f, head < 1000 ? "put:1:eio" : "part:1:eio", head, 0);
		expect_failure(f, "begin:1:eio", head, 4500);
		expect_failure(f, "part:1:eio", head, 4500);
		expect_failure(f, "part:2:eio", head, 4500);
		expect_failure(f, "part:5:eio", head,
		               4500); /* the last one: the first, when there is a head */
		expect_failure(f, "complete:1:eio", head, 4500);
	}
}

static void test_unfinished_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct stream_object *o;

	f->store = new_faulty("");
	assert_null(stream_object_free(NULL));
	make_data(f, 9000);
	for (size_t head = 0; head <= 2000; head += 1000) {
		stream_object_free(new_object(f, head));
		o = new_object(f, head);
		assert_int_equal(write_body(f, o, head, 100, NULL), 0);
		stream_object_free(o);
		expect_nothing(f);
	}
}

static void test_cancelled(void **state)
{
	struct fixture *f = *state;
	struct stream_facts facts = {0};
	struct stream_object *o;
	struct error err = {0};

	f->store = new_faulty("");
	make_data(f, 9000);
	o = new_object(f, 10);
	assert_int_equal(write_body(f, o, 10, 100, NULL), 0);
	cancel_set(&f->cancel);
	assert_int_equal(finish(f, o, &facts, &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	stream_object_free(o);
	expect_nothing(f);
	assert_int_equal(stream_object_new(&f->options, &o, &err), -ECANCELED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_heads_and_bodies),
	        TEST(test_parts_of_several_buffers),
	        TEST(test_one_put),
	        TEST(test_without_sums),
	        TEST(test_without_digest),
	        TEST(test_copied_by_the_store),
	        TEST(test_copying_that_fails),
	        TEST(test_head_larger_than_memory),
	        TEST(test_failures),
	        TEST(test_unfinished_leaves_nothing),
	        TEST(test_cancelled),
	};

	return cmocka_run_group_tests_name("stream_object", tests, NULL, NULL);
}

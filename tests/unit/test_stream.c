// SPDX-License-Identifier: Apache-2.0
/* Streams: filters, the pump, and the upload against a store in memory that can fail and wait. */
#include "../../src/stream/digest.h"
#include "../../src/stream/lister.h"
#include "../../src/stream/upload.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/stream.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

/* A store in memory, of one object. */

struct memory_part {
	struct str data;
	bool there;
};

struct memory {
	struct store store;
	struct store_features features;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct str object; /* lock, as all below */
	bool object_there;
	struct memory_part *parts;
	unsigned part_count; /* the highest number */
	unsigned open_uploads;
	unsigned begun, puts, aborted;
	unsigned running, most_running;
	unsigned announced; /* the number; 0: none */
	uint64_t announced_bytes;
	unsigned fail_part; /* this number fails */
	bool fail_begin, fail_put, fail_complete;
	bool hold; /* parts wait until it is cleared, or they are cancelled */
	bool abort_was_cancelled;
};

static struct memory *memory_of(struct store *s)
{
	return (struct memory *)s;
}

static void append_iov(struct str *out, const struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++)
		str_append_bytes(out, iov[i].iov_base, iov[i].iov_len);
}

static int memory_put(struct store *s, const struct store_call *call, const char *key,
                      const struct iovec *iov, int count, const struct store_put_options *options,
                      struct error *err)
{
	struct memory *m = memory_of(s);

	m->puts++;
	if (m->fail_put)
		return error_set(err, ERROR_NO_SPACE, ENOSPC, "no space for the object");
	append_iov(&m->object, iov, count);
	m->object_there = true;
	return 0;
}

static int memory_upload_begin(struct store *s, const struct store_call *call, const char *key,
                               struct store_upload **ret_upload, struct error *err)
{
	struct memory *m = memory_of(s);
	struct store_upload *up;

	if (m->fail_begin)
		return error_set(err, ERROR_DENIED, EACCES, "may not begin");
	up = mem_alloc(sizeof(*up));
	up->ops = s->ops;
	up->store = s;
	m->begun++;
	m->open_uploads++;
	*ret_upload = up;
	return 0;
}

struct waiter {
	struct memory *memory;
	bool cancelled; /* memory->lock */
};

static void wake_memory(void *arg)
{
	struct waiter *waiter = arg;

	pthread_mutex_lock(&waiter->memory->lock);
	waiter->cancelled = true;
	pthread_cond_broadcast(&waiter->memory->changed);
	pthread_mutex_unlock(&waiter->memory->lock);
}

static bool wait_while_held(struct memory *m, struct cancel *cancel)
{
	struct waiter waiter = {.memory = m};
	struct cancel_hook hook = {.wake = wake_memory, .arg = &waiter};

	cancel_add_hook(cancel, &hook);
	pthread_mutex_lock(&m->lock);
	m->running++;
	if (m->running > m->most_running)
		m->most_running = m->running;
	pthread_cond_broadcast(&m->changed);
	while (m->hold && !waiter.cancelled)
		pthread_cond_wait(&m->changed, &m->lock);
	m->running--;
	pthread_mutex_unlock(&m->lock);
	cancel_remove_hook(cancel, &hook);
	return waiter.cancelled;
}

static void memory_upload_announce(struct store_upload *up, unsigned number, uint64_t bytes)
{
	struct memory *m = memory_of(up->store);

	assert_int_equal(m->announced, 0);
	assert_int_equal(m->part_count, 0);
	m->announced = number;
	m->announced_bytes = bytes;
}

static int memory_upload_part(struct store_upload *up, const struct store_call *call, unsigned number,
                              const struct iovec *iov, int count, struct store_part *ret_part,
                              struct error *err)
{
	struct memory *m = memory_of(up->store);
	struct memory_part *part;

	if (wait_while_held(m, call->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	pthread_mutex_lock(&m->lock);
	if (number == m->fail_part) {
		pthread_mutex_unlock(&m->lock);
		return error_set(err, ERROR_UNAVAILABLE, EIO, "part %u failed", number);
	}
	if (number > m->part_count) {
		m->parts = mem_resize(m->parts, number, sizeof(*m->parts));
		memset(m->parts + m->part_count, 0, (number - m->part_count) * sizeof(*m->parts));
		m->part_count = number;
	}
	part = &m->parts[number - 1];
	assert_false(part->there);
	part->there = true;
	append_iov(&part->data, iov, count);
	*ret_part = (struct store_part){.number = number, .bytes = part->data.len};
	snprintf(ret_part->etag, sizeof(ret_part->etag), "etag%u", number);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static int memory_upload_complete(struct store_upload *up, const struct store_call *call,
                                  const struct store_part *parts, size_t count, struct error *err)
{
	struct memory *m = memory_of(up->store);

	if (m->fail_complete)
		return error_set(err, ERROR_UNAVAILABLE, EIO, "may not complete");
	assert_int_equal(m->running, 0);
	for (size_t i = 0; i < count; i++) {
		char etag[32];

		assert_int_equal(parts[i].number, i + 1);
		snprintf(etag, sizeof(etag), "etag%zu", i + 1);
		assert_string_equal(parts[i].etag, etag);
		assert_int_equal(parts[i].bytes, m->parts[i].data.len);
		str_append_bytes(&m->object, m->parts[i].data.data, m->parts[i].data.len);
	}
	m->object_there = true;
	m->open_uploads--;
	return 0;
}

static const char *memory_upload_id(const struct store_upload *up)
{
	return "an id";
}

static struct store_upload *memory_upload_free(struct store_upload *up)
{
	free(up);
	return NULL;
}

static int memory_upload_abort(struct store *s, const struct store_call *call, const char *key,
                               const char *upload_id, struct error *err)
{
	struct memory *m = memory_of(s);

	assert_int_equal(m->running, 0);
	assert_string_equal(upload_id, "an id");
	assert_true(call->deadline_ms > 0);
	m->abort_was_cancelled = cancel_is_set(call->cancel);
	m->aborted++;
	m->open_uploads--;
	return 0;
}

static int memory_features(struct store *s, struct store_features *ret, struct error *err)
{
	*ret = memory_of(s)->features;
	return 0;
}

/* What no stream does is not here: a call of it would crash, and so be seen. */
static const struct store_ops memory_ops = {
        .put = memory_put,
        .upload_begin = memory_upload_begin,
        .upload_announce = memory_upload_announce,
        .upload_part = memory_upload_part,
        .upload_complete = memory_upload_complete,
        .upload_id = memory_upload_id,
        .upload_free = memory_upload_free,
        .upload_abort = memory_upload_abort,
        .features = memory_features,
};

struct fixture {
	struct memory memory;
	struct pool *pool;
	struct cancel cancel;
	atomic_uint_least64_t sent_bytes;
	struct stream_object_options options;
};

static int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->memory.store.ops = &memory_ops;
	f->memory.store.name = mem_strdup("memory:");
	f->memory.features = (struct store_features){
	        .min_part_bytes = 1, .max_part_bytes = 64 * MIB, .max_parts = 10000, .parallel = 8};
	pthread_mutex_init(&f->memory.lock, NULL);
	pthread_cond_init(&f->memory.changed, NULL);
	f->pool = pool_new(16 * MIB);
	cancel_init(&f->cancel);
	f->options = (struct stream_object_options){.store = &f->memory.store,
	                                            .pool = f->pool,
	                                            .key = "backups/full/x.dump",
	                                            .part_bytes = 1000,
	                                            .cancel = &f->cancel,
	                                            .sent_bytes = &f->sent_bytes};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	/* Every buffer and every promise came back. */
	assert_true(pool_try_reserve(f->pool, pool_buffers(f->pool)));
	pool_free(f->pool);
	for (unsigned i = 0; i < f->memory.part_count; i++)
		str_finish(&f->memory.parts[i].data);
	free(f->memory.parts);
	str_finish(&f->memory.object);
	cancel_finish(&f->cancel);
	pthread_cond_destroy(&f->memory.changed);
	pthread_mutex_destroy(&f->memory.lock);
	free(f->memory.store.name);
	free(f);
	return 0;
}

static struct sink *new_upload(struct fixture *f)
{
	struct error err = {0};
	struct sink *sink = NULL;

	assert_int_equal(upload_new(&f->options, &sink, &err), 0);
	return sink;
}

/* Bytes of which no stretch repeats soon. */
static void make_data(struct str *out, size_t len)
{
	uint32_t x = 1;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		str_append_char(out, (char)(x >> 24));
	}
}

static void expect_upload(struct fixture *f, size_t len, size_t piece)
{
	_cleanup(str) struct str data = {0};
	struct sink *sink = new_upload(f);

	make_data(&data, len);
	for (size_t at = 0; at < len; at += piece)
		assert_int_equal(sink_write(sink, data.data + at, len - at < piece ? len - at : piece, NULL),
		                 0);
	assert_int_equal(sink_finish(sink, NULL), 0);
	sink_free(sink);
	assert_true(f->memory.object_there);
	assert_int_equal(f->memory.object.len, len);
	assert_true(len == 0 || memcmp(f->memory.object.data, data.data, len) == 0);
	assert_int_equal(f->sent_bytes, len);
	assert_int_equal(f->memory.open_uploads, 0);
	assert_int_equal(f->memory.aborted, 0);
}

static void test_empty_object(void **state)
{
	struct fixture *f = *state;

	expect_upload(f, 0, 1);
	assert_int_equal(f->memory.puts, 1);
}

static void test_small_object_is_one_put(void **state)
{
	struct fixture *f = *state;

	expect_upload(f, 999, 10);
	assert_int_equal(f->memory.puts, 1);
	assert_int_equal(f->memory.begun, 0);
}

static void test_parts(void **state)
{
	struct fixture *f = *state;

	expect_upload(f, 100 * 1000 + 1, 777);
	assert_int_equal(f->memory.puts, 0);
	assert_int_equal(f->memory.begun, 1);
	assert_int_equal(f->memory.part_count, 101);
	assert_int_equal(f->memory.parts[100].data.len, 1);
	assert_true(f->memory.most_running <= 3);
}

static void test_exact_parts(void **state)
{
	struct fixture *f = *state;

	expect_upload(f, 3000, 5000);
	assert_int_equal(f->memory.part_count, 3);
}

static void test_parts_of_several_buffers(void **state)
{
	struct fixture *f = *state;

	f->options.part_bytes = 2 * MIB + MIB / 2;
	expect_upload(f, 8 * MIB + 5, 300000);
	assert_int_equal(f->memory.part_count, 4);
}

static void test_the_stores_smallest_part(void **state)
{
	struct fixture *f = *state;

	f->memory.features.min_part_bytes = 5000;
	f->memory.features.parallel = 0;
	expect_upload(f, 12000, 12000);
	assert_int_equal(f->memory.part_count, 3);
}

/* Part sizes double after 250 parts, while half of the pool stays free. */
static void test_growth(void **state)
{
	struct fixture *f = *state;

	f->options.part_bytes = 100;
	expect_upload(f, 250 * 100 + 200 + 1, 1 << 20);
	assert_int_equal(f->memory.part_count, 252);
	assert_int_equal(f->memory.parts[249].data.len, 100);
	assert_int_equal(f->memory.parts[250].data.len, 200);
}

static void test_no_growth_without_memory(void **state)
{
	struct fixture *f = *state;

	/* The upload has 4 of 16 buffers, somebody else 5: fewer than half are free. */
	f->options.part_bytes = 100;
	assert_true(pool_try_reserve(f->pool, 5));
	expect_upload(f, 260 * 100, 1 << 20);
	assert_int_equal(f->memory.part_count, 260);
	assert_int_equal(f->memory.parts[255].data.len, 100);
	pool_unreserve(f->pool, 5);
}

static void test_part_bytes(void **state)
{
	assert_int_equal(upload_part_bytes(8 * MIB, 64 * MIB, 1), 8 * MIB);
	assert_int_equal(upload_part_bytes(8 * MIB, 64 * MIB, 250), 8 * MIB);
	assert_int_equal(upload_part_bytes(8 * MIB, 64 * MIB, 251), 16 * MIB);
	assert_int_equal(upload_part_bytes(8 * MIB, 64 * MIB, 501), 32 * MIB);
	assert_int_equal(upload_part_bytes(8 * MIB, 50 * MIB, 10000), 50 * MIB);
	assert_int_equal(upload_part_bytes(8 * MIB, UINT64_MAX, 10000), 8 * MIB << 39);
	assert_true(upload_part_bytes(UINT64_MAX / 2, UINT64_MAX, 10000) == UINT64_MAX);
	assert_int_equal(upload_part_bytes(64 * MIB, 8 * MIB, 1), 8 * MIB);
}

/* The store is told how large part 1 will be, before any other comes; it is sent when all others were. */
static void expect_head_last(struct fixture *f, size_t head_bytes, uint64_t first_part_bytes)
{
	_cleanup(str) struct str data = {0};
	struct stream_facts facts = {0};
	struct stream_object *o = NULL;

	make_data(&data, head_bytes + 5000);
	f->options.head_bytes = head_bytes;
	assert_int_equal(stream_object_new(&f->options, &o, NULL), 0);
	assert_int_equal(stream_object_write(o, data.data + head_bytes, 5000, NULL), 0);
	assert_int_equal(f->memory.announced, 1);
	assert_int_equal(f->memory.announced_bytes, first_part_bytes);
	pthread_mutex_lock(&f->memory.lock);
	assert_true(f->memory.part_count == 0 || !f->memory.parts[0].there);
	pthread_mutex_unlock(&f->memory.lock);
	assert_int_equal(stream_object_finish(o, data.data, &facts, NULL), 0);
	stream_object_free(o);
	assert_int_equal(f->memory.parts[0].data.len, first_part_bytes);
	assert_int_equal(f->memory.object.len, data.len);
	assert_int_equal(memcmp(f->memory.object.data, data.data, data.len), 0);
	extents_finish(&facts.extents);
}

static void test_head_is_sent_last(void **state)
{
	expect_head_last(*state, 10, 1000);
}

static void test_large_head_is_a_part(void **state)
{
	expect_head_last(*state, 2345, 2345);
}

/* Part 1 is as large as the head, whatever the others' size; its memory is not theirs. */
static void test_head_and_growth(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str piece = {0};
	struct stream_facts facts = {0};
	struct stream_object *o = NULL;

	make_data(&piece, 1 * MIB);
	f->options.part_bytes = 4000;
	f->options.head_bytes = 3 * MIB; /* with four parts of one buffer each, more than half is left */
	assert_int_equal(stream_object_new(&f->options, &o, NULL), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(stream_object_write(o, piece.data, piece.len, NULL), 0);
	str_clear(&piece);
	make_data(&piece, 3 * MIB);
	assert_int_equal(stream_object_finish(o, piece.data, &facts, NULL), 0);
	stream_object_free(o);
	assert_int_equal(f->memory.parts[0].data.len, 3 * MIB);
	assert_int_equal(f->memory.parts[300].data.len, 4000 * 2);
	assert_int_equal(f->memory.object.len, 6 * MIB);
	assert_int_equal(facts.bytes, 6 * MIB);
	extents_finish(&facts.extents);
}

static void test_too_many_parts(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str data = {0};
	struct error err = {0};
	struct sink *sink;

	f->options.max_parts = 3;
	make_data(&data, 3001);
	sink = new_upload(f);
	assert_int_equal(sink_write(sink, data.data, 3000, &err), 0);
	assert_int_equal(sink_write(sink, data.data + 3000, 1, &err), -EFBIG);
	assert_non_null(strstr(err.message, "part_size"));
	assert_non_null(strstr(err.message, "memory"));
	assert_int_equal(sink_finish(sink, &err), -EFBIG);
	sink_free(sink);
	assert_int_equal(f->memory.aborted, 1);
	assert_false(f->memory.object_there);
}

static void test_pool_too_small(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	struct sink *sink = NULL;

	f->options.part_bytes = 5 * MIB;
	assert_int_equal(upload_new(&f->options, &sink, &err), -ENOSPC);
	assert_non_null(strstr(err.message, "part_size"));
	assert_null(sink);
}

/* Written until it fails: a part's failure reaches the writer, and the upload is aborted. */
static int write_until_failure(struct sink *sink, struct error *err)
{
	char piece[500] = "";
	int r = 0;

	while (r == 0)
		r = sink_write(sink, piece, sizeof(piece), err);
	return r;
}

static void test_failed_part(void **state)
{
	struct fixture *f = *state;
	struct sink *sink = new_upload(f);
	struct error err = {0}, again = {0};

	f->memory.fail_part = 7;
	assert_int_equal(write_until_failure(sink, &err), -EIO);
	assert_string_equal(err.message, "part 7 failed");
	assert_int_equal(err.class, ERROR_UNAVAILABLE);
	assert_int_equal(sink_finish(sink, &again), -EIO);
	assert_string_equal(again.message, "part 7 failed");
	sink_free(sink);
	assert_int_equal(f->memory.aborted, 1);
	assert_false(f->memory.object_there);
}

static void test_failed_last_part(void **state)
{
	struct fixture *f = *state;
	struct sink *sink = new_upload(f);
	char data[1500] = "";
	struct error err = {0};

	f->memory.fail_part = 2;
	assert_int_equal(sink_write(sink, data, sizeof(data), NULL), 0);
	assert_int_equal(sink_finish(sink, &err), -EIO);
	assert_string_equal(err.message, "part 2 failed");
	sink_free(sink);
	assert_int_equal(f->memory.aborted, 1);
}

static void test_failed_begin_put_and_complete(void **state)
{
	struct fixture *f = *state;
	struct sink *sink = new_upload(f);
	char data[1000] = "";
	struct error err = {0};

	f->memory.fail_begin = f->memory.fail_put = f->memory.fail_complete = true;
	assert_int_equal(sink_write(sink, data, 1000, &err), -EACCES);
	assert_int_equal(sink_write(sink, data, 1, &err), -EACCES);
	sink_free(sink);
	assert_int_equal(f->memory.aborted, 0);
	sink = new_upload(f);
	assert_int_equal(sink_write(sink, data, 1, &err), 0);
	assert_int_equal(sink_finish(sink, &err), -ENOSPC);
	sink_free(sink);
	f->memory.fail_begin = false;
	sink = new_upload(f);
	assert_int_equal(sink_write(sink, data, 1000, &err), 0);
	assert_int_equal(sink_finish(sink, &err), -EIO);
	sink_free(sink);
	assert_int_equal(f->memory.aborted, 1);
	assert_int_equal(f->memory.open_uploads, 0);
	assert_false(f->memory.object_there);
}

static void test_freed_unfinished(void **state)
{
	struct fixture *f = *state;
	struct sink *sink = new_upload(f);
	char data[2500] = "";

	assert_null(sink_free(NULL));
	assert_int_equal(sink_write(sink, data, 10, NULL), 0);
	sink_free(sink);
	assert_int_equal(f->memory.puts, 0);
	sink = new_upload(f);
	assert_int_equal(sink_write(sink, data, sizeof(data), NULL), 0);
	sink_free(sink);
	assert_int_equal(f->memory.aborted, 1);
	assert_false(f->memory.object_there);
}

/* Held parts: the writer waits when four parts are full, until a cancel; then the abort is made, and is not
 * cancelled itself. */

static void *cancel_when_three_wait(void *arg)
{
	struct fixture *f = arg;

	pthread_mutex_lock(&f->memory.lock);
	while (f->memory.running < 3)
		pthread_cond_wait(&f->memory.changed, &f->memory.lock);
	pthread_mutex_unlock(&f->memory.lock);
	cancel_set(&f->cancel);
	return NULL;
}

static void test_cancel_while_the_store_is_slow(void **state)
{
	struct fixture *f = *state;
	struct sink *sink = new_upload(f);
	struct error err = {0};
	pthread_t thread;

	f->memory.hold = true;
	assert_int_equal(thread_start(&thread, "test", cancel_when_three_wait, f), 0);
	assert_int_equal(write_until_failure(sink, &err), -ECANCELED);
	pthread_join(thread, NULL);
	assert_int_equal(err.class, ERROR_CANCELLED);
	sink_free(sink);
	assert_int_equal(f->memory.aborted, 1);
	assert_false(f->memory.abort_was_cancelled);
	assert_int_equal(f->memory.most_running, 3);
}

static void test_freed_while_the_store_is_slow(void **state)
{
	struct fixture *f = *state;
	struct sink *sink = new_upload(f);
	char data[3000] = "";

	f->memory.hold = true;
	assert_int_equal(sink_write(sink, data, sizeof(data), NULL), 0);
	sink_free(sink);
	assert_int_equal(f->memory.aborted, 1);
	assert_int_equal(f->memory.part_count, 0);
}

static void test_cancelled_reservation(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	struct sink *sink = NULL;

	cancel_set(&f->cancel);
	assert_int_equal(upload_new(&f->options, &sink, &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
}

/* A sink that keeps what it gets. */

struct keeper {
	struct sink sink;
	struct str *data;
	bool *finished;
	int fail; /* what write returns */
};

static int keeper_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct keeper *k = (struct keeper *)s;

	if (k->fail)
		return error_set(err, ERROR_INTERNAL, -k->fail, "the keeper fails");
	str_append_bytes(k->data, data, len);
	return 0;
}

static int keeper_finish(struct sink *s, struct error *err)
{
	*((struct keeper *)s)->finished = true;
	return 0;
}

static void keeper_free(struct sink *s)
{
	free(s);
}

static const struct sink_ops keeper_ops = {keeper_write, keeper_finish, keeper_free};

static struct sink *keeper_new(struct str *data, bool *finished, int fail)
{
	struct keeper *k = mem_alloc(sizeof(*k));

	*k = (struct keeper){.sink = {&keeper_ops}, .data = data, .finished = finished, .fail = fail};
	return &k->sink;
}

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

/* The pump. */

struct writer {
	int fd;
	const struct str *data;
};

static void *write_and_close(void *arg)
{
	struct writer *w = arg;

	fd_write_all(w->fd, w->data->data, w->data->len);
	close(w->fd);
	return NULL;
}

static void test_pump(void **state)
{
	_cleanup(str) struct str data = {0};
	_cleanup(str) struct str kept = {0};
	atomic_uint_least64_t read_bytes = 0;
	bool finished = false;
	struct sink *sink = keeper_new(&kept, &finished, 0);
	struct writer writer = {.data = &data};
	pthread_t thread;
	int ends[2];

	make_data(&data, 1000000);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	writer.fd = ends[1];
	assert_int_equal(thread_start(&thread, "test", write_and_close, &writer), 0);
	assert_int_equal(stream_pump(ends[0], sink, NULL, &read_bytes, NULL), 0);
	pthread_join(thread, NULL);
	close(ends[0]);
	assert_false(finished);
	assert_int_equal(read_bytes, data.len);
	assert_int_equal(kept.len, data.len);
	assert_int_equal(memcmp(kept.data, data.data, data.len), 0);
	sink_free(sink);
}

static void test_pump_tells_the_sinks_failure(void **state)
{
	_cleanup(str) struct str kept = {0};
	bool finished = false;
	struct sink *sink = keeper_new(&kept, &finished, -EXDEV);
	struct error err = {0};
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(stream_pump(ends[0], sink, NULL, NULL, &err), -EXDEV);
	assert_string_equal(err.message, "the keeper fails");
	close(ends[0]);
	close(ends[1]);
	sink_free(sink);
}

static void *set_cancel(void *arg)
{
	cancel_set(arg);
	return NULL;
}

static void test_pump_is_cancelled_while_silent(void **state)
{
	_cleanup(str) struct str kept = {0};
	bool finished = false;
	struct sink *sink = keeper_new(&kept, &finished, 0);
	struct cancel cancel;
	struct error err = {0};
	pthread_t thread;
	int ends[2];

	cancel_init(&cancel);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(thread_start(&thread, "test", set_cancel, &cancel), 0);
	assert_int_equal(stream_pump(ends[0], sink, &cancel, NULL, &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	pthread_join(thread, NULL);
	close(ends[0]);
	close(ends[1]);
	sink_free(sink);
	cancel_finish(&cancel);
}

#define UPLOAD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        UPLOAD_TEST(test_empty_object),
	        UPLOAD_TEST(test_small_object_is_one_put),
	        UPLOAD_TEST(test_parts),
	        UPLOAD_TEST(test_exact_parts),
	        UPLOAD_TEST(test_parts_of_several_buffers),
	        UPLOAD_TEST(test_the_stores_smallest_part),
	        UPLOAD_TEST(test_growth),
	        UPLOAD_TEST(test_no_growth_without_memory),
	        cmocka_unit_test(test_part_bytes),
	        UPLOAD_TEST(test_head_is_sent_last),
	        UPLOAD_TEST(test_large_head_is_a_part),
	        UPLOAD_TEST(test_head_and_growth),
	        UPLOAD_TEST(test_too_many_parts),
	        UPLOAD_TEST(test_pool_too_small),
	        UPLOAD_TEST(test_failed_part),
	        UPLOAD_TEST(test_failed_last_part),
	        UPLOAD_TEST(test_failed_begin_put_and_complete),
	        UPLOAD_TEST(test_freed_unfinished),
	        UPLOAD_TEST(test_cancel_while_the_store_is_slow),
	        UPLOAD_TEST(test_freed_while_the_store_is_slow),
	        UPLOAD_TEST(test_cancelled_reservation),
	        cmocka_unit_test(test_digest),
	        cmocka_unit_test(test_limited_extents),
	        cmocka_unit_test(test_pump),
	        cmocka_unit_test(test_pump_tells_the_sinks_failure),
	        cmocka_unit_test(test_pump_is_cancelled_while_silent),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}

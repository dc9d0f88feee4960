// SPDX-License-Identifier: Apache-2.0
/* The upload, against a store in memory that can fail and wait. */
#include "../../src/stream/upload.h"

#include "stream_test.h"

#include <keepfs/base/workers.h>

#include <errno.h>
#include <pthread.h>

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
	unsigned announced; /* parts, from the first on */
	uint64_t announced_bytes[8];
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
                               const char *storage_class, struct store_upload **ret_upload, struct error *err)
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

	assert_int_equal(m->part_count, 0);
	assert_int_equal(number, m->announced + 1);
	if (m->announced < ARRAY_SIZE(m->announced_bytes))
		m->announced_bytes[m->announced] = bytes;
	m->announced = number;
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

/* What Cloudflare's R2 wants: however many parts there are, and with a head that is known last. */
static void test_parts_of_one_size(void **state)
{
	struct fixture *f = *state;

	f->memory.features.equal_parts = true;
	f->options.part_bytes = 100;
	expect_upload(f, 600 * 100 + 7, 1 << 20);
	assert_int_equal(f->memory.part_count, 601);
	for (unsigned i = 0; i < 600; i++)
		assert_int_equal(f->memory.parts[i].data.len, 100);
	assert_int_equal(f->memory.parts[600].data.len, 7);
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

/* What somebody keeps for good is none of what uploads share: the upload has 4 of 8. */
static void test_growth_beside_what_is_kept(void **state)
{
	struct fixture *f = *state;

	f->options.part_bytes = 100;
	assert_true(pool_try_keep(f->pool, 8));
	assert_int_equal(pool_shared(f->pool), 8);
	expect_upload(f, 250 * 100 + 200 + 1, 1 << 20);
	assert_int_equal(f->memory.part_count, 252);
	assert_int_equal(f->memory.parts[250].data.len, 200);
	pool_unkeep(f->pool, 8);
	assert_int_equal(pool_shared(f->pool), 16);
}

/* It would have no more parts at 60,000 bytes. */
static void test_growth_before_parts_run_out(void **state)
{
	struct fixture *f = *state;

	f->options.part_bytes = 100;
	f->options.max_parts = 600;
	assert_true(pool_try_reserve(f->pool, 5));
	expect_upload(f, 300 * 100 + 200 * 200 + 50 * 400, 1 << 20);
	assert_int_equal(f->memory.part_count, 550);
	assert_int_equal(f->memory.parts[299].data.len, 100);
	assert_int_equal(f->memory.parts[300].data.len, 200);
	assert_int_equal(f->memory.parts[500].data.len, 400);
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

/* The store is told how large the head's parts will be, before any other comes; they are sent when all others were. */
static void expect_head_last(struct fixture *f, size_t head_bytes, unsigned parts)
{
	_cleanup(str) struct str data = {0};
	struct stream_facts facts = {0};
	struct stream_object *o = NULL;

	make_data(&data, head_bytes + 5000);
	f->options.head_bytes = head_bytes;
	assert_int_equal(stream_object_new(&f->options, &o, NULL), 0);
	assert_int_equal(stream_object_write(o, data.data + head_bytes, 5000, NULL), 0);
	assert_int_equal(f->memory.announced, parts);
	pthread_mutex_lock(&f->memory.lock);
	for (unsigned i = 0; i < parts; i++) {
		assert_int_equal(f->memory.announced_bytes[i], 1000);
		assert_true(f->memory.part_count <= i || !f->memory.parts[i].there);
	}
	pthread_mutex_unlock(&f->memory.lock);
	assert_int_equal(stream_object_finish(o, data.data, &facts, NULL), 0);
	stream_object_free(o);
	for (unsigned i = 0; i < parts; i++)
		assert_int_equal(f->memory.parts[i].data.len, 1000);
	assert_int_equal(f->memory.object.len, data.len);
	assert_int_equal(memcmp(f->memory.object.data, data.data, data.len), 0);
	extents_finish(&facts.extents);
}

static void test_head_is_sent_last(void **state)
{
	expect_head_last(*state, 10, 1);
}

static void test_large_head_is_several_parts(void **state)
{
	expect_head_last(*state, 2345, 3);
}

static void test_head_of_whole_parts(void **state)
{
	expect_head_last(*state, 2000, 2);
}

/* The parts behind the head grow, its own do not. */
static void test_head_and_growth(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str piece = {0};
	struct stream_facts facts = {0};
	struct stream_object *o = NULL;

	make_data(&piece, 1 * MIB);
	f->options.part_bytes = 4000;
	f->options.head_bytes = 300000; /* 75 parts */
	assert_int_equal(stream_object_new(&f->options, &o, NULL), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(stream_object_write(o, piece.data, piece.len, NULL), 0);
	assert_int_equal(stream_object_finish(o, piece.data, &facts, NULL), 0);
	stream_object_free(o);
	assert_int_equal(f->memory.announced, 75);
	assert_int_equal(f->memory.parts[74].data.len, 4000);
	assert_int_equal(f->memory.parts[300].data.len, 4000 * 2);
	assert_int_equal(f->memory.object.len, 3 * MIB + 300000);
	assert_int_equal(facts.bytes, 3 * MIB + 300000);
	extents_finish(&facts.extents);
}

/* More parts than the store allows for, of which none can be sent before the end. */
static void test_head_of_too_many_parts(void **state)
{
	struct fixture *f = *state;
	struct stream_object *o = NULL;
	struct error err = {0};

	f->options.max_parts = 3;
	f->options.head_bytes = 3001;
	assert_int_equal(stream_object_new(&f->options, &o, NULL), 0);
	assert_int_equal(stream_object_write(o, "x", 1, &err), -EFBIG);
	assert_non_null(strstr(err.message, "part_size"));
	stream_object_free(o);
	assert_false(f->memory.object_there);
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
	        UPLOAD_TEST(test_parts_of_one_size),
	        UPLOAD_TEST(test_no_growth_without_memory),
	        UPLOAD_TEST(test_growth_beside_what_is_kept),
	        UPLOAD_TEST(test_growth_before_parts_run_out),
	        cmocka_unit_test(test_part_bytes),
	        UPLOAD_TEST(test_head_is_sent_last),
	        UPLOAD_TEST(test_large_head_is_several_parts),
	        UPLOAD_TEST(test_head_of_whole_parts),
	        UPLOAD_TEST(test_head_and_growth),
	        UPLOAD_TEST(test_head_of_too_many_parts),
	        UPLOAD_TEST(test_too_many_parts),
	        UPLOAD_TEST(test_pool_too_small),
	        UPLOAD_TEST(test_failed_part),
	        UPLOAD_TEST(test_failed_last_part),
	        UPLOAD_TEST(test_failed_begin_put_and_complete),
	        UPLOAD_TEST(test_freed_unfinished),
	        UPLOAD_TEST(test_cancel_while_the_store_is_slow),
	        UPLOAD_TEST(test_freed_while_the_store_is_slow),
	        UPLOAD_TEST(test_cancelled_reservation),
	};

	return cmocka_run_group_tests_name("upload", tests, NULL, NULL);
}

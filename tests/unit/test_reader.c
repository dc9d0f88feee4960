// SPDX-License-Identifier: Apache-2.0
/* The reader over a store in memory that can hold its gets, fail them, flip bytes, and counts what it
 * gave. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>
#include <keepfs/reader.h>

#include "../../src/reader/reader_private.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

struct held_store {
	struct store base;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t size;
	/* All below: lock. */
	bool hold;          /* gets wait until it is cleared, or they are cancelled */
	unsigned held;      /* gets that wait so */
	unsigned cancelled; /* gets that ended so */
	unsigned gets;
	uint64_t bytes;
	unsigned fail;       /* so many next gets fail */
	uint64_t fail_below; /* gets that begin before it fail */
	bool dead;           /* gets fail as after the whole deadline: trying again might have helped */
	unsigned corrupt;    /* so many next gets have a wrong byte at corrupt_at, when they cover it */
	uint64_t corrupt_at;
	uint64_t end;           /* the object ends here: a get beyond fails with -ERANGE */
	const char *etag;       /* of the object now */
	bool alternate;         /* each get has another one */
	uint64_t stuck_at;      /* gets that begin here are held whatever `hold` says; 0: none */
	uint64_t early;         /* so many bytes of a get arrive, and are told of, before it is held */
	const char *early_etag; /* what is told of them; NULL: etag */
	bool breaks;            /* gets break off after these */
};

/* The content of every object: a period that is prime, twice, so that any piece of up to 1 MiB is one
 * copy. */
#define PERIOD 1048583
static unsigned char content[2 * PERIOD];

static void make_content(void)
{
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (unsigned char)((i % PERIOD * UINT64_C(0x9E3779B97F4A7C15)) >> 56);
}

static void fill(unsigned char *to, uint64_t offset, size_t len)
{
	memcpy(to, content + offset % PERIOD, len);
}

struct held_get {
	struct held_store *store;
	bool cancelled; /* store->lock */
};

static void wake_get(void *arg)
{
	struct held_get *get = arg;

	pthread_mutex_lock(&get->store->lock);
	get->cancelled = true;
	pthread_cond_broadcast(&get->store->changed);
	pthread_mutex_unlock(&get->store->lock);
}

/* Wait while the store holds its gets; true when the call was cancelled. */
static bool wait_held(struct held_store *s, struct cancel *cancel, uint64_t offset)
{
	struct held_get get = {.store = s};
	struct cancel_hook hook = {.wake = wake_get, .arg = &get};

	cancel_add_hook(cancel, &hook);
	pthread_mutex_lock(&s->lock);
	s->held++;
	pthread_cond_broadcast(&s->changed);
	while ((s->hold || (s->stuck_at && offset == s->stuck_at)) && !get.cancelled)
		pthread_cond_wait(&s->changed, &s->lock);
	s->held--;
	s->cancelled += get.cancelled;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	cancel_remove_hook(cancel, &hook);
	return get.cancelled;
}

/* The first bytes come at once, the rest of the buffers holds anything meanwhile. */
static bool arrive_early(struct held_store *s, uint64_t offset, const struct iovec *iov, int count,
                         const struct store_get_options *options)
{
	uint64_t early, corrupt_at, filled = 0;
	const char *etag;

	pthread_mutex_lock(&s->lock);
	early = options->arrived ? s->early : 0;
	corrupt_at = s->corrupt > 0 ? s->corrupt_at : UINT64_MAX;
	etag = s->early_etag ? s->early_etag : s->etag;
	pthread_mutex_unlock(&s->lock);
	for (int i = 0; i < count && early > 0; i++) {
		unsigned char *to = iov[i].iov_base;
		size_t len = iov[i].iov_len;

		memset(to, 0xEE, len);
		fill(to, offset + filled, filled + len < early ? len : (size_t)(early - filled));
		if (corrupt_at >= offset + filled && corrupt_at < offset + filled + len)
			to[corrupt_at - offset - filled] ^= 1;
		filled += len;
		if (filled >= early)
			break;
		options->arrived(options->arrived_arg, filled, etag);
	}
	if (early > 0)
		options->arrived(options->arrived_arg, filled < early ? filled : early, etag);
	return early > 0;
}

/* As the store tells it when its deadline is over. */
static int lost(struct error *err)
{
	error_set(err, ERROR_UNAVAILABLE, ECONNRESET, "the connection was lost");
	err->retry = true;
	return -ECONNRESET;
}

static int held_get(struct store *store, const struct store_call *call, const char *key, uint64_t offset,
                    const struct iovec *iov, int count, const struct store_get_options *options,
                    struct error *err)
{
	struct held_store *s = (struct held_store *)store;
	uint64_t at = offset, corrupt_at = UINT64_MAX, end;
	const char *etag;
	bool fail;

	if (arrive_early(s, offset, iov, count, options) && s->breaks)
		return lost(err);
	if (wait_held(s, call->cancel, offset))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < count; i++)
		at += iov[i].iov_len;
	s->gets++;
	s->bytes += at - offset;
	pthread_cond_broadcast(&s->changed);
	end = s->end;
	etag = s->alternate && s->gets % 2 ? "other" : s->etag;
	fail = s->fail > 0 || offset < s->fail_below;
	if (s->fail > 0)
		s->fail--;
	if (s->corrupt > 0 && s->corrupt_at >= offset && s->corrupt_at < at) {
		s->corrupt--;
		corrupt_at = s->corrupt_at;
	}
	pthread_mutex_unlock(&s->lock);
	if (fail || s->dead) {
		error_set(err, ERROR_UNAVAILABLE, ECONNREFUSED, "the store is on fire");
		err->retry = s->dead;
		return -ECONNREFUSED;
	}
	if (options->if_match && strcmp(options->if_match, etag) != 0)
		return error_set(err, ERROR_CONFLICT, ESTALE, "another object");
	if (at > end)
		return error_set(err, ERROR_USAGE, ERANGE, "the object is too short");
	snprintf(options->ret_etag, STORE_ETAG_BYTES, "%s", etag);
	at = offset;
	for (int i = 0; i < count; i++) {
		fill(iov[i].iov_base, at, iov[i].iov_len);
		if (corrupt_at >= at && corrupt_at < at + iov[i].iov_len)
			((unsigned char *)iov[i].iov_base)[corrupt_at - at] ^= 1;
		at += iov[i].iov_len;
	}
	return 0;
}

static const struct store_ops held_ops = {.get = held_get};

static void held_store_init(struct held_store *s, uint64_t size)
{
	*s = (struct held_store){.base = {.ops = &held_ops, .name = (char *)"held:"},
	                         .size = size,
	                         .end = size,
	                         .etag = "first"};
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
}

static void hold(struct held_store *s, bool on)
{
	pthread_mutex_lock(&s->lock);
	s->hold = on;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void stick(struct held_store *s, uint64_t offset)
{
	pthread_mutex_lock(&s->lock);
	s->stuck_at = offset;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void wait_for_held(struct held_store *s, unsigned count)
{
	pthread_mutex_lock(&s->lock);
	while (s->held != count)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void wait_for_cancelled(struct held_store *s, unsigned count)
{
	pthread_mutex_lock(&s->lock);
	while (s->cancelled < count)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static uint64_t wait_for_bytes(struct held_store *s, uint64_t bytes)
{
	uint64_t found;

	pthread_mutex_lock(&s->lock);
	while (s->bytes < bytes)
		pthread_cond_wait(&s->changed, &s->lock);
	found = s->bytes;
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* Extent tables of the content: lengths from a list that is repeated. */
static struct extents make_extents(uint64_t size, const uint32_t *lengths, size_t count)
{
	struct extents x = {0};
	unsigned char *data = malloc(MIB);

	assert_non_null(data);
	for (size_t i = 0; x.total_bytes < size; i = (i + 1) % count) {
		uint32_t len = lengths[i];

		if (len > size - x.total_bytes)
			len = (uint32_t)(size - x.total_bytes);
		fill(data, x.total_bytes, len);
		extents_append(&x, len, crc32c(0, data, len));
	}
	free(data);
	return x;
}

static struct extents copy_extents(const struct extents *x)
{
	struct extents copy = {0};

	for (size_t i = 0; i < x->count; i++)
		extents_append(&copy, x->items[i].length, x->items[i].crc32c);
	return copy;
}

/* A request whose answer can be waited for. */
struct test_request {
	struct reader_request base;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned answers; /* lock */
	int result;
	struct error err;
	size_t bytes;
	bool wrong;
};

static void request_done(struct reader_request *base, int result, const struct iovec *iov, int count,
                         const struct error *err)
{
	struct test_request *req = (struct test_request *)base;
	uint64_t at = base->offset;
	bool wrong = false;

	for (int i = 0; i < count; i++) {
		wrong |= memcmp(iov[i].iov_base, content + at % PERIOD, iov[i].iov_len) != 0;
		at += iov[i].iov_len;
	}
	pthread_mutex_lock(&req->lock);
	req->answers++;
	req->result = result;
	req->bytes = (size_t)(at - base->offset);
	req->wrong = wrong;
	if (err)
		req->err = *err;
	pthread_cond_broadcast(&req->changed);
	pthread_mutex_unlock(&req->lock);
}

static void start_of(struct test_request *req, struct reader_file *f, uint64_t offset, size_t len,
                     uint64_t owner)
{
	static atomic_ullong tag;

	*req = (struct test_request){
	        .base = {.offset = offset, .len = len, .tag = ++tag, .owner = owner, .done = request_done}};
	pthread_mutex_init(&req->lock, NULL);
	pthread_cond_init(&req->changed, NULL);
	reader_read(f, &req->base);
}

static void start(struct test_request *req, struct reader_file *f, uint64_t offset, size_t len)
{
	start_of(req, f, offset, len, 1);
}

static int finish(struct test_request *req)
{
	pthread_mutex_lock(&req->lock);
	while (req->answers == 0)
		pthread_cond_wait(&req->changed, &req->lock);
	pthread_mutex_unlock(&req->lock);
	return req->result;
}

/* Read and compare; the result. */
static int read_range(struct reader_file *f, uint64_t size, uint64_t offset, size_t len)
{
	uint64_t left = offset < size ? size - offset : 0;
	struct test_request req;

	start(&req, f, offset, len);
	if (finish(&req) == 0) {
		assert_false(req.wrong);
		assert_int_equal(req.bytes, left < len ? left : len);
	}
	assert_int_equal(req.answers, 1);
	return req.result;
}

struct bench {
	struct held_store store;
	struct pool *pool;
	struct reader *reader;
	struct reader_metrics metrics;
	struct extents extents;
	char sha256[SHA256_HEX_BYTES]; /* "": not compared */
	struct reader_file *file;
};

static const uint32_t full_extents[] = {1 << 20};
static const uint32_t odd_extents[] = {1 << 20, 1, 1048575, 4096, 700001, 17, 1 << 20, 65536, 3};

static struct reader_file *open_file(struct bench *b, uint64_t ino)
{
	struct extents x = copy_extents(&b->extents);
	const struct reader_what what = {.ino = ino,
	                                 .key = "backups/full/20261120T020000Z.dump",
	                                 .extents = &x,
	                                 .sha256 = b->sha256,
	                                 .whole = b->sha256[0] != '\0'};
	struct reader_file *f;
	struct error err = {0};

	assert_int_equal(reader_open(b->reader, &what, &f, &err), 0);
	assert_null(x.items);
	return f;
}

static void bench_init(struct bench *b, uint64_t size, const uint32_t *lengths, size_t count, size_t buffers,
                       unsigned threads)
{
	struct reader_options options = {
	        .buffers = buffers, .threads = threads, .ahead_bytes = 16 * MIB, .metrics = &b->metrics};
	struct error err = {0};

	*b = (struct bench){0};
	held_store_init(&b->store, size);
	b->pool = pool_new(buffers * MIB);
	options.store = &b->store.base;
	options.pool = b->pool;
	assert_int_equal(reader_new(&options, &b->reader, &err), 0);
	b->extents = make_extents(size, lengths, count);
	b->file = open_file(b, 1);
}

static void bench_finish(struct bench *b)
{
	if (b->file)
		reader_close(b->file, NULL);
	assert_null(reader_free(b->reader));
	/* Everything was given back: the whole pool can be had. */
	assert_true(pool_try_reserve(b->pool, pool_buffers(b->pool)));
	pool_unreserve(b->pool, pool_buffers(b->pool));
	pool_free(b->pool);
	extents_finish(&b->extents);
	assert_int_equal(b->metrics.used_buffers, 0);
	assert_int_equal(b->metrics.open_files, 0);
}

static void test_block_span(void **state)
{
	static const uint32_t tiny[] = {1, 2, 3};
	static const uint32_t nearly[] = {(1 << 20) - 1, 1 << 20, (1 << 20) - 1, 2};
	static const struct {
		const uint32_t *lengths;
		size_t count;
		uint64_t size;
	} tables[] = {
	        {full_extents, 1, 5 * MIB},
	        {full_extents, 1, 5 * MIB + 1},
	        {odd_extents, ARRAY_SIZE(odd_extents), 20 * MIB + 12345},
	        {tiny, 3, 100000},
	        {nearly, 4, 9 * MIB},
	};

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		struct extents x = {0};
		uint64_t at = 0;
		size_t extent = 0;

		for (size_t i = 0; x.total_bytes < tables[t].size; i++) {
			uint64_t left = tables[t].size - x.total_bytes;
			uint32_t len = tables[t].lengths[i % tables[t].count];

			extents_append(&x, len < left ? len : (uint32_t)left, 0);
		}
		/* The blocks are consecutive, no longer than a buffer, the same from each of their bytes. */
		while (at < x.total_bytes) {
			struct span span = block_span(&x, NULL, at), again;
			unsigned touched = 0;

			assert_int_equal(span.offset, at);
			assert_int_equal(span.first, extent);
			assert_in_range(span.bytes, 1, MIB);
			again = block_span(&x, NULL, at + span.bytes - 1);
			assert_int_equal(again.first, span.first);
			assert_int_equal(again.count, span.count);
			/* The longest request from the last byte of this one. */
			for (uint64_t p = at + span.bytes - 1;
			     p < x.total_bytes && p < at + span.bytes - 1 + READER_REQUEST_BYTES; touched++) {
				struct span s = block_span(&x, NULL, p);

				p = s.offset + s.bytes;
			}
			assert_in_range(touched, 1, REQUEST_BLOCKS_MAX);
			at += span.bytes;
			extent += span.count;
		}
		assert_int_equal(extent, x.count);
		extents_finish(&x);
	}
}

static void test_edges(void **state)
{
	uint64_t size = 3 * MIB + 777;
	struct bench b;

	bench_init(&b, size, odd_extents, ARRAY_SIZE(odd_extents), 8, 2);
	assert_int_equal(read_range(b.file, size, 0, 1), 0);
	assert_int_equal(read_range(b.file, size, size - 1, 1), 0);
	assert_int_equal(read_range(b.file, size, size - 1, 4096), 0);
	assert_int_equal(read_range(b.file, size, size, 4096), 0);
	assert_int_equal(read_range(b.file, size, size + 1, 4096), 0);
	assert_int_equal(read_range(b.file, size, UINT64_MAX, 4096), 0);
	assert_int_equal(read_range(b.file, size, UINT64_MAX - 100, MIB), 0);
	assert_int_equal(read_range(b.file, size, 0, 0), 0);
	assert_int_equal(read_range(b.file, size, 1048575, MIB), 0);
	assert_int_equal(read_range(b.file, size, 0, MIB + 1), -EINVAL);
	bench_finish(&b);

	bench_init(&b, 0, full_extents, 1, 8, 1);
	assert_int_equal(read_range(b.file, 0, 0, 4096), 0);
	assert_int_equal(b.store.gets, 0);
	bench_finish(&b);
}

struct stress {
	struct bench *b;
	uint64_t size;
	unsigned seed;
};

static void *stress_main(void *arg)
{
	struct stress *s = arg;
	struct reader_file *f = open_file(s->b, 1 + s->seed % 3);

	for (int i = 0; i < 60; i++) {
		uint64_t offset = ((uint64_t)(unsigned)rand_r(&s->seed) * 4099) % (s->size + 100);
		size_t len = (size_t)rand_r(&s->seed) % (i % 8 ? 70000 : MIB) + 1;

		/* Some in order, too, so that read-ahead competes. */
		for (int n = 0; n < (i % 16 ? 1 : 12); n++, offset += len)
			assert_int_equal(read_range(f, s->size, offset, len), 0);
	}
	reader_close(f, NULL);
	return NULL;
}

static void test_every_byte_under_load(void **state)
{
	uint64_t size = 20 * MIB + 4711;
	pthread_t threads[8];
	struct stress stress[8];
	struct bench b;

	bench_init(&b, size, odd_extents, ARRAY_SIZE(odd_extents), 16, 4);
	for (unsigned i = 0; i < 8; i++) {
		stress[i] = (struct stress){.b = &b, .size = size, .seed = i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, stress_main, &stress[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	bench_finish(&b);
}

static void test_more_readers_than_buffers(void **state)
{
	enum { READERS = 40, EACH = 5 };
	uint64_t size = 8 * MIB;
	struct reader_file *files[READERS];
	struct test_request(*reqs)[EACH] = calloc(READERS, sizeof(*reqs));
	struct bench b;

	/* Each request covers two blocks, each reader has an artifact of its own: 400 blocks, 8 buffers. */
	bench_init(&b, size, full_extents, 1, 8, 3);
	hold(&b.store, true);
	for (unsigned i = 0; i < READERS; i++) {
		files[i] = open_file(&b, 100 + i);
		for (unsigned n = 0; n < EACH; n++)
			start(&reqs[i][n], files[i], MIB / 2 + n * MIB, MIB);
	}
	hold(&b.store, false);
	for (unsigned i = 0; i < READERS; i++) {
		for (unsigned n = 0; n < EACH; n++) {
			assert_int_equal(finish(&reqs[i][n]), 0);
			assert_false(reqs[i][n].wrong);
			assert_int_equal(reqs[i][n].bytes, MIB);
		}
	}
	for (unsigned i = 0; i < READERS; i++)
		reader_close(files[i], NULL);
	for (unsigned i = 0; i < READERS; i++)
		for (unsigned n = 0; n < EACH; n++)
			assert_int_equal(reqs[i][n].answers, 1);
	bench_finish(&b);
	free(reqs);
}

static void test_sequential_reads_ahead(void **state)
{
	uint64_t size = 96 * MIB;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 4);
	for (uint64_t at = 0; at < size; at += 128 << 10)
		assert_int_equal(read_range(b.file, size, at, 128 << 10), 0);
	/* Each byte came once, in far fewer gets than blocks. */
	assert_int_equal(b.store.bytes, size);
	assert_in_range(b.store.gets, 96 / FETCH_BLOCKS, 60);
	bench_finish(&b);
}

/* What one reads ahead, another does not take from it before it was read. */
static void test_many_sequential_readers_share_memory(void **state)
{
	enum { READERS = 16 };
	uint64_t size = 24 * MIB;
	struct reader_file *files[READERS];
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 8);
	for (unsigned i = 0; i < READERS; i++)
		files[i] = open_file(&b, 100 + i);
	for (uint64_t at = 0; at < size; at += 128 << 10)
		for (unsigned i = 0; i < READERS; i++)
			assert_int_equal(read_range(files[i], size, at, 128 << 10), 0);
	for (unsigned i = 0; i < READERS; i++)
		reader_close(files[i], NULL);
	assert_in_range(b.store.bytes, READERS * size, READERS * size * 21 / 20);
	bench_finish(&b);
}

/* Files that are open, but not read any more, have no share. */
static void test_idle_readers_have_no_share(void **state)
{
	enum { IDLE = 10 };
	uint64_t size = 200 * MIB;
	struct reader_file *idle[IDLE];
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 8);
	for (unsigned i = 0; i < IDLE; i++) {
		idle[i] = open_file(&b, 100 + i);
		for (unsigned n = 0; n < 3; n++)
			assert_int_equal(read_range(idle[i], size, n * MIB, MIB), 0);
	}
	assert_int_equal(b.reader->sequential_files, IDLE);
	for (uint64_t at = 0; at < size; at += MIB)
		assert_int_equal(read_range(b.file, size, at, MIB), 0);
	assert_int_equal(b.reader->sequential_files, 1);
	assert_int_equal(b.file->window, 16);
	/* One that goes on has one again. */
	for (unsigned n = 3; n < 6; n++)
		assert_int_equal(read_range(idle[0], size, n * MIB, MIB), 0);
	assert_int_equal(b.reader->sequential_files, 2);
	for (unsigned i = 0; i < IDLE; i++)
		reader_close(idle[i], NULL);
	assert_int_equal(b.reader->sequential_files, 1);
	bench_finish(&b);
}

static void test_window_doubles_from_one_block(void **state)
{
	static const struct {
		uint64_t offset;
		uint64_t fetched_mib;
	} steps[] = {
	        {0, 1},        /* the first request brings its block alone */
	        {4096, 2},     /* the second in order: one block ahead */
	        {MIB, 4},      /* another block is entered: two */
	        {2 * MIB, 7},  /* four */
	        {3 * MIB, 12}, /* eight */
	        {60 * MIB, 13} /* a jump ends it */
	};
	uint64_t size = 64 * MIB;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 8);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		assert_int_equal(read_range(b.file, size, steps[i].offset, 4096), 0);
		assert_int_equal(wait_for_bytes(&b.store, steps[i].fetched_mib * MIB),
		                 steps[i].fetched_mib * MIB);
	}
	bench_finish(&b);
	assert_int_equal(b.store.bytes, 13 * MIB);
}

static void test_out_of_order_is_sequential(void **state)
{
	static const unsigned order[] = {1, 0, 3, 2, 6, 4, 5, 7};
	uint64_t size = 48 * MIB;
	struct test_request reqs[8];
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 4);
	for (uint64_t at = 0; at < size; at += 8 * (128 << 10)) {
		for (unsigned i = 0; i < 8; i++)
			start(&reqs[i], b.file, at + order[i] * (128 << 10), 128 << 10);
		for (unsigned i = 0; i < 8; i++) {
			assert_int_equal(finish(&reqs[i]), 0);
			assert_false(reqs[i].wrong);
		}
	}
	assert_int_equal(b.store.bytes, size);
	assert_in_range(b.store.gets, 48 / FETCH_BLOCKS, 36);
	bench_finish(&b);
}

static void test_random_fetches_only_its_block(void **state)
{
	static const unsigned at_mib[] = {40, 7, 90, 21, 60, 3, 77};
	uint64_t size = 96 * MIB;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 64, 4);
	for (size_t i = 0; i < ARRAY_SIZE(at_mib); i++)
		assert_int_equal(read_range(b.file, size, at_mib[i] * MIB + 1000, 65536), 0);
	assert_int_equal(b.store.gets, ARRAY_SIZE(at_mib));
	assert_int_equal(b.store.bytes, ARRAY_SIZE(at_mib) * MIB);
	/* And what is in memory is not fetched again. */
	for (size_t i = 0; i < ARRAY_SIZE(at_mib); i++)
		assert_int_equal(read_range(b.file, size, at_mib[i] * MIB + 9000, 65536), 0);
	assert_int_equal(b.store.gets, ARRAY_SIZE(at_mib));
	bench_finish(&b);
}

/* More extents than a block has parts: a part is a run of them. */
static void test_tiny_extents_come_together(void **state)
{
	static const uint32_t small[] = {4096};
	uint64_t size = MIB;
	struct bench b;

	bench_init(&b, size, small, 1, 8, 1);
	assert_int_equal(read_range(b.file, size, 500000, 10), 0);
	assert_int_equal(b.store.gets, 1);
	assert_int_equal(b.store.bytes, 4 * 4096);
	bench_finish(&b);
}

static void test_only_the_parts_that_are_asked_for(void **state)
{
	static const uint32_t fine[] = {65536};
	uint64_t size = 64 * MIB;
	struct test_request first, second, third;
	struct bench b;

	bench_init(&b, size, fine, 1, 16, 3);
	b.reader->ahead_blocks_max = 0;
	assert_int_equal(read_range(b.file, size, 40 * MIB + 65536, 65536), 0);
	assert_int_equal(b.store.bytes, 65536);
	/* Across an edge of blocks: one get. */
	assert_int_equal(read_range(b.file, size, 21 * MIB - 1, 2), 0);
	assert_int_equal(b.store.gets, 2);
	assert_int_equal(b.store.bytes, 3 * 65536);
	/* What is there is not got again, what is beside it alone. */
	assert_int_equal(read_range(b.file, size, 40 * MIB + 65536, 2 * 65536), 0);
	assert_int_equal(b.store.gets, 3);
	assert_int_equal(b.store.bytes, 4 * 65536);
	/* Two gets fill one block at the same time, a third request waits for both. */
	hold(&b.store, true);
	start(&first, b.file, 50 * MIB, 65536);
	wait_for_held(&b.store, 1);
	start(&second, b.file, 50 * MIB + 65536, 65536);
	wait_for_held(&b.store, 2);
	start(&third, b.file, 50 * MIB + 65000, 1000);
	hold(&b.store, false);
	assert_int_equal(finish(&first), 0);
	assert_int_equal(finish(&second), 0);
	assert_int_equal(finish(&third), 0);
	assert_false(first.wrong || second.wrong || third.wrong);
	bench_finish(&b);
}

/* What random reads leave behind does not take the place of all memory. */
static void test_random_reads_use_little_memory(void **state)
{
	static const uint32_t fine[] = {65536};
	uint64_t size = 64 * MIB;
	struct bench b;

	bench_init(&b, size, fine, 1, 48, 3);
	for (uint64_t i = 0; i < 60; i++) {
		assert_int_equal(read_range(b.file, size, i * 37 % 60 * MIB + 65536, 65536), 0);
		assert_in_range(atomic_load(&b.metrics.used_buffers), 1, 12);
	}
	bench_finish(&b);
}

/* With one thread busy, requests gather; a hole of one part between two is got with them. */
static void test_near_requests_are_one_get(void **state)
{
	static const uint32_t fine[] = {65536};
	uint64_t size = 64 * MIB;
	struct test_request busy, first, second, far;
	struct bench b;

	bench_init(&b, size, fine, 1, 16, 1);
	b.reader->ahead_blocks_max = 0;
	hold(&b.store, true);
	start(&busy, b.file, 0, 1);
	wait_for_held(&b.store, 1);
	start(&first, b.file, 30 * MIB, 65536);
	start(&second, b.file, 30 * MIB + 2 * 65536, 65536);
	start(&far, b.file, 30 * MIB + 6 * 65536, 65536);
	hold(&b.store, false);
	assert_int_equal(finish(&busy), 0);
	assert_int_equal(finish(&first), 0);
	assert_int_equal(finish(&second), 0);
	assert_int_equal(finish(&far), 0);
	assert_int_equal(b.store.gets, 3);
	assert_int_equal(b.store.bytes, 5 * 65536);
	assert_int_equal(read_range(b.file, size, 30 * MIB + 65536, 65536), 0);
	assert_int_equal(b.store.gets, 3);
	bench_finish(&b);
}

/* Three requests whose blocks one get brings; it is held when @early bytes of it have arrived. */
struct three {
	struct bench b;
	struct test_request busy, reqs[3];
};

static void three_begin(struct three *t)
{
	bench_init(&t->b, 64 * MIB, full_extents, 1, 16, 1);
	t->b.reader->ahead_blocks_max = 0;
	hold(&t->b.store, true);
	start(&t->busy, t->b.file, 0, 1);
	wait_for_held(&t->b.store, 1);
	for (unsigned i = 0; i < 3; i++)
		start(&t->reqs[i], t->b.file, (10 + i) * MIB, MIB);
}

static void three_arrive(struct three *t, uint64_t early)
{
	pthread_mutex_lock(&t->b.store.lock);
	t->b.store.early = early;
	t->b.store.stuck_at = 10 * MIB;
	pthread_mutex_unlock(&t->b.store.lock);
	hold(&t->b.store, false);
	assert_int_equal(finish(&t->busy), 0);
	wait_for_held(&t->b.store, t->b.store.breaks ? 0 : 1);
}

static unsigned answers_of(struct test_request *req)
{
	unsigned count;

	pthread_mutex_lock(&req->lock);
	count = req->answers;
	pthread_mutex_unlock(&req->lock);
	return count;
}

/* The get goes on; in the end these are the results. */
static void three_end(struct three *t, int first, int second, int third)
{
	const int expected[] = {first, second, third};

	stick(&t->b.store, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(finish(&t->reqs[i]), expected[i]);
		assert_int_equal(t->reqs[i].answers, 1);
		assert_false(t->reqs[i].wrong);
	}
	bench_finish(&t->b);
}

/* Who waits for the first block of a get does not wait for the last. */
static void test_blocks_are_given_out_as_they_arrive(void **state)
{
	struct three t;

	three_begin(&t);
	three_arrive(&t, 2 * MIB + 5);
	assert_int_equal(finish(&t.reqs[0]), 0);
	assert_int_equal(finish(&t.reqs[1]), 0);
	assert_int_equal(read_range(t.b.file, 64 * MIB, 11 * MIB + 7, 100), 0);
	assert_int_equal(answers_of(&t.reqs[2]), 0);
	assert_int_equal(atomic_load(&t.b.metrics.fetched_bytes), 3 * MIB);
	three_end(&t, 0, 0, 0);
	assert_int_equal(t.b.store.gets, 2);
	assert_int_equal(t.b.metrics.fetched_bytes, 4 * MIB);
}

/* The first block's buffer has another user by the time when nobody wants the others any more. */
static void test_the_rest_of_a_get_is_given_up(void **state)
{
	struct test_request other;
	struct three t;

	three_begin(&t);
	three_arrive(&t, MIB);
	assert_int_equal(finish(&t.reqs[0]), 0);
	start(&other, t.b.file, 40 * MIB, MIB);
	reader_cancel(t.b.file, t.reqs[1].base.tag);
	assert_int_equal(t.b.store.cancelled, 0);
	reader_cancel(t.b.file, t.reqs[2].base.tag);
	wait_for_cancelled(&t.b.store, 1);
	assert_int_equal(finish(&other), 0);
	three_end(&t, 0, -ECANCELED, -ECANCELED);
}

/* A wrong byte in the second one: it is got again when the get is over, and what is behind it waits as
 * well. */
static void test_what_arrives_wrong_is_not_given_out(void **state)
{
	for (unsigned times = 1; times <= 2; times++) {
		struct three t;

		three_begin(&t);
		t.b.store.corrupt_at = 11 * MIB + 9;
		t.b.store.corrupt = times;
		three_arrive(&t, 3 * MIB);
		assert_int_equal(finish(&t.reqs[0]), 0);
		assert_int_equal(answers_of(&t.reqs[1]) + answers_of(&t.reqs[2]), 0);
		three_end(&t, 0, times == 1 ? 0 : -EIO, 0);
		assert_int_equal(t.b.store.gets, 3);
		assert_int_equal(t.b.metrics.wrong_extents, times);
	}
}

static void test_a_get_that_breaks_off_has_given_out_what_arrived(void **state)
{
	struct three t;

	three_begin(&t);
	t.b.store.breaks = true;
	three_arrive(&t, MIB + MIB / 2);
	three_end(&t, 0, -EIO, -EIO);
	assert_int_equal(t.b.metrics.fetched_bytes, 2 * MIB);
}

static void test_what_arrives_of_another_object_is_not_given_out(void **state)
{
	struct three t;

	three_begin(&t);
	t.b.store.early_etag = "second";
	three_arrive(&t, 3 * MIB);
	assert_int_equal(answers_of(&t.reqs[0]) + answers_of(&t.reqs[1]) + answers_of(&t.reqs[2]), 0);
	pthread_mutex_lock(&t.b.store.lock);
	t.b.store.etag = "second";
	pthread_mutex_unlock(&t.b.store.lock);
	three_end(&t, -ESTALE, -ESTALE, -ESTALE);
}

/* @count gets end, each of which was so fast when so many ran at once. */
static void gets_end(struct reader *r, unsigned count, const unsigned mib_per_s[static 9])
{
	for (unsigned i = 0; i < count; i++) {
		r->ahead_gets = r->gets.at_once;
		gets_measure(r, 4 * MIB, 4000000 / mib_per_s[r->gets.at_once]);
	}
}

static void test_how_many_gets_at_once(void **state)
{
	static const unsigned connections[9] = {[2] = 80, [4] = 80, [8] = 70}; /* each has a limit */
	static const unsigned line[9] = {[2] = 200, [4] = 100, [8] = 50};      /* all have one together */
	static const unsigned both[9] = {[2] = 150, [4] = 120, [8] = 61};
	static const unsigned fast[9] = {[2] = 600, [4] = 600, [8] = 600};
	struct reader r = {.threads = 16, .ahead_blocks_max = 32};

	gets_init(&r);
	assert_int_equal(gets_blocks(&r), 16);
	gets_end(&r, 7, connections);
	assert_int_equal(r.gets.at_once, 2);
	gets_end(&r, 1, connections);
	assert_int_equal(r.gets.at_once, 4);
	assert_int_equal(gets_blocks(&r), 8);
	gets_end(&r, 12, connections);
	assert_int_equal(r.gets.at_once, 8);
	assert_int_equal(gets_blocks(&r), 4);
	gets_end(&r, 1000, connections);
	assert_int_equal(r.gets.at_once, 8);

	gets_init(&r);
	r.gets = (struct gets_tuning){.at_once = 2};
	gets_end(&r, 8, line);
	assert_int_equal(r.gets.at_once, 4);
	gets_end(&r, 12, line);
	assert_int_equal(r.gets.at_once, 2);
	/* Not again at once. */
	gets_end(&r, 60, line);
	assert_int_equal(r.gets.at_once, 2);
	gets_end(&r, 12, line);
	assert_int_equal(r.gets.at_once, 4);

	r.gets = (struct gets_tuning){.at_once = 2};
	gets_end(&r, 8 + 12 + 16, both);
	assert_int_equal(r.gets.at_once, 4);

	/* No more than there are threads. */
	r.threads = 8;
	r.gets = (struct gets_tuning){.at_once = 2};
	gets_end(&r, 1000, connections);
	assert_int_equal(r.gets.at_once, 4);

	r.gets = (struct gets_tuning){.at_once = 2};
	gets_end(&r, 1000, fast);
	assert_int_equal(r.gets.at_once, 2);
	gets_measure(&r, MIB, 1000000);
	gets_measure(&r, 8 * MIB, 0);
	assert_int_equal(r.gets.at_once, 2);
}

static void test_gets_of_several_files(void **state)
{
	static const struct {
		unsigned files, threads, gets;
	} cases[] = {{1, 16, 2}, {2, 16, 3}, {5, 16, 6}, {100, 16, 15}, {1, 2, 1}, {1, 1, 1}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct reader r = {.threads = cases[i].threads, .sequential_files = cases[i].files};
		unsigned gets = 0;

		gets_init(&r);
		while (gets_may_begin(&r))
			r.ahead_gets = ++gets;
		assert_int_equal(gets, cases[i].gets);
	}
}

static void test_part_of_a_block_fails(void **state)
{
	static const uint32_t fine[] = {65536};
	uint64_t size = 8 * MIB;
	struct test_request good, bad;
	struct bench b;

	bench_init(&b, size, fine, 1, 8, 1);
	b.reader->ahead_blocks_max = 0;
	assert_int_equal(read_range(b.file, size, 3 * MIB, 65536), 0);
	b.store.corrupt_at = 3 * MIB + 70000;
	b.store.corrupt = 4;
	start(&bad, b.file, 3 * MIB, 131072);
	assert_int_equal(finish(&bad), -EIO);
	start(&good, b.file, 3 * MIB, 65536);
	assert_int_equal(finish(&good), 0);
	assert_int_equal(b.store.gets, 3);
	assert_int_equal(b.metrics.wrong_extents, 2);
	assert_int_equal(b.metrics.failures, 1);
	bench_finish(&b);
}

static void test_readers_share_blocks(void **state)
{
	uint64_t size = 10 * MIB;
	struct reader_file *second;
	struct extents other;
	struct reader_what what = {.ino = 1, .key = "backups/full/20261120T020000Z.dump"};
	struct error err = {0};
	struct bench b;

	bench_init(&b, size, full_extents, 1, 16, 1);
	second = open_file(&b, 1);
	assert_int_equal(read_range(b.file, size, 5 * MIB + 200, 100), 0);
	assert_int_equal(read_range(second, size, 5 * MIB + 100, 100), 0);
	assert_int_equal(b.store.gets, 1);
	reader_close(second, NULL);
	assert_int_equal(read_range(b.file, size, 5 * MIB, 100), 0);
	assert_int_equal(b.store.gets, 1);
	/* The same inode with another table is another artifact: its bytes are never mixed in. */
	other = make_extents(size - 1, full_extents, 1);
	what.extents = &other;
	assert_int_equal(reader_open(b.reader, &what, &second, &err), 0);
	assert_int_equal(read_range(second, size - 1, 5 * MIB, 100), 0);
	assert_int_equal(b.store.gets, 2);
	reader_close(second, NULL);
	/* With the last one closed nothing is kept. */
	reader_close(b.file, NULL);
	b.file = open_file(&b, 1);
	assert_int_equal(read_range(b.file, size, 5 * MIB, 100), 0);
	assert_int_equal(b.store.gets, 3);
	bench_finish(&b);
}

static void test_corruption(void **state)
{
	uint64_t size = 8 * MIB;
	struct test_request req;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	b.store.corrupt_at = 6 * MIB + 5;
	b.store.corrupt = 1;
	assert_int_equal(read_range(b.file, size, 6 * MIB + 1000, 10), 0);
	assert_int_equal(b.store.gets, 2);

	b.store.corrupt_at = 3 * MIB;
	b.store.corrupt = 2;
	start(&req, b.file, 3 * MIB + 500, 10);
	assert_int_equal(finish(&req), -EIO);
	assert_int_equal(req.err.class, ERROR_CORRUPT);
	assert_int_equal(req.err.errnum, EIO);
	assert_non_null(strstr(req.err.message, "backups/full/20261120T020000Z.dump"));
	assert_non_null(strstr(req.err.message, "offset 3145728"));
	assert_non_null(strstr(req.err.message, "CRC-32C"));
	assert_int_equal(b.store.gets, 4);
	/* What failed is not kept: sound bytes are found by the next request. */
	assert_int_equal(read_range(b.file, size, 3 * MIB + 500, 10), 0);
	assert_int_equal(b.store.gets, 5);
	bench_finish(&b);
}

static void test_store_failure(void **state)
{
	uint64_t size = 8 * MIB;
	struct test_request req;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	b.store.fail = 1;
	start(&req, b.file, 4 * MIB, 10);
	assert_int_equal(finish(&req), -EIO);
	assert_int_equal(req.err.class, ERROR_UNAVAILABLE);
	assert_string_equal(req.err.message,
	                    "bytes 4194304 to 5242879 of backups/full/20261120T020000Z.dump: the "
	                    "store is on fire");
	assert_int_equal(read_range(b.file, size, 4 * MIB, 10), 0);
	bench_finish(&b);
}

/* Who copies a file asks again and again: the store's deadline is waited for once, not for each block. */
static void test_a_dead_store_is_not_waited_for_again(void **state)
{
	uint64_t size = 8 * MIB;
	struct test_request req;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	b.store.dead = true;
	start(&req, b.file, 0, 10);
	assert_int_equal(finish(&req), -EIO);
	assert_int_equal(b.store.gets, 1);
	for (uint64_t i = 0; i < 4; i++) {
		start(&req, b.file, 2 * i * MIB, 10);
		assert_int_equal(finish(&req), -EIO);
		assert_non_null(strstr(req.err.message, "the store is on fire"));
	}
	assert_int_equal(b.store.gets, 1);
	bench_finish(&b);
}

static void test_one_block_of_a_merged_get_fails(void **state)
{
	uint64_t size = 8 * MIB;
	struct test_request first, good, bad;
	struct reader_file *other;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	other = open_file(&b, 1);
	b.store.end = 6 * MIB + 100;
	hold(&b.store, true);
	start(&first, b.file, 0, 10);
	wait_for_held(&b.store, 1);
	/* While the one thread is busy these two are queued, and merged. */
	start(&good, b.file, 5 * MIB, 10);
	start(&bad, other, 6 * MIB, 10);
	hold(&b.store, false);
	assert_int_equal(finish(&first), 0);
	assert_int_equal(finish(&good), 0);
	assert_int_equal(finish(&bad), -EIO);
	assert_non_null(strstr(bad.err.message, "bytes 6291456 to 7340031"));
	assert_int_equal(bad.err.class, ERROR_CORRUPT);
	assert_int_equal(b.store.gets, 4);
	reader_close(other, NULL);
	bench_finish(&b);
}

static void test_close_with_requests_pending(void **state)
{
	uint64_t size = 64 * MIB;
	struct test_request reqs[30];
	struct reader_file *other;
	struct test_request stays;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 2);
	other = open_file(&b, 2);
	hold(&b.store, true);
	for (unsigned i = 0; i < 30; i++)
		start(&reqs[i], b.file, i * 2 * MIB, 10);
	wait_for_held(&b.store, 2);
	start(&stays, other, 10, 10);
	reader_close(b.file, NULL);
	b.file = NULL;
	for (unsigned i = 0; i < 30; i++) {
		assert_int_equal(reqs[i].answers, 1);
		assert_int_equal(reqs[i].result, -ECANCELED);
	}
	/* Its gets are cancelled, so the other file's can begin while the store still hangs. */
	wait_for_cancelled(&b.store, 2);
	wait_for_held(&b.store, 1);
	hold(&b.store, false);
	assert_int_equal(finish(&stays), 0);
	reader_close(other, NULL);
	bench_finish(&b);
}

static void test_cancel_all(void **state)
{
	uint64_t size = 32 * MIB;
	struct test_request reqs[12], late;
	struct extents x;
	const struct reader_what what = {.ino = 5, .key = "k", .extents = &x};
	struct reader_file *f;
	struct error err = {0};
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 2);
	hold(&b.store, true);
	/* Apart, so that no get brings several. */
	for (unsigned i = 0; i < 12; i++)
		start(&reqs[i], b.file, 2 * i * MIB, 10);
	wait_for_held(&b.store, 2);
	reader_cancel_all(b.reader);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(reqs[i].answers, 1);
		assert_int_equal(reqs[i].result, -EIO);
	}
	start(&late, b.file, 0, 10);
	assert_int_equal(finish(&late), -EIO);
	assert_string_equal(late.err.message, "keepfs is shutting down");
	x = copy_extents(&b.extents);
	assert_int_equal(reader_open(b.reader, &what, &f, &err), -ESHUTDOWN);
	assert_null(x.items);
	bench_finish(&b);
	assert_int_equal(b.store.held, 0);
}

static void test_free_cancels_gets(void **state)
{
	uint64_t size = 16 * MIB;
	struct test_request req;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 3);
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	hold(&b.store, true);
	start(&req, b.file, 10, 10);
	assert_int_equal(finish(&req), 0);
	/* Read-ahead hangs in the store; nobody waits for it. */
	wait_for_held(&b.store, 1);
	bench_finish(&b);
	assert_int_equal(b.store.held, 0);
	assert_int_equal(b.store.cancelled, 1);
}

static void test_replaced_while_open(void **state)
{
	uint64_t size = 8 * MIB;
	struct reader_file *anew;
	struct test_request req;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	b.store.etag = "second";
	start(&req, b.file, 4 * MIB, 10);
	assert_int_equal(finish(&req), -ESTALE);
	assert_non_null(strstr(req.err.message, "was replaced"));
	assert_int_equal(req.err.class, ERROR_CONFLICT);
	/* What was read before is the first object's, and right. */
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	/* Who opens it now reads the second object, checked like any. */
	anew = open_file(&b, 1);
	assert_int_equal(read_range(anew, size, 4 * MIB, 10), 0);
	start(&req, b.file, 4 * MIB, 10);
	assert_int_equal(finish(&req), -ESTALE);
	reader_close(anew, NULL);
	bench_finish(&b);
}

/* Two gets begin before any etag is known: the later to return must be of the same object. */
static void test_replaced_between_the_first_gets(void **state)
{
	uint64_t size = 8 * MIB;
	struct test_request one, two;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 2);
	hold(&b.store, true);
	start(&one, b.file, 0, 10);
	start(&two, b.file, 4 * MIB, 10);
	wait_for_held(&b.store, 2);
	pthread_mutex_lock(&b.store.lock);
	b.store.alternate = true;
	pthread_mutex_unlock(&b.store.lock);
	hold(&b.store, false);
	finish(&one);
	finish(&two);
	assert_int_equal(one.result + two.result, -ESTALE);
	bench_finish(&b);
}

static void test_no_etag(void **state)
{
	uint64_t size = 8 * MIB;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	b.store.etag = "";
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	assert_int_equal(read_range(b.file, size, 4 * MIB, 10), 0);
	bench_finish(&b);
}

static void hash_content(uint64_t size, char ret[static SHA256_HEX_BYTES])
{
	_cleanup(free) unsigned char *data = malloc(MIB);
	struct sha256 *h = sha256_new();
	uint8_t digest[SHA256_BYTES];

	for (uint64_t at = 0; at < size; at += MIB) {
		size_t len = size - at < MIB ? (size_t)(size - at) : MIB;

		fill(data, at, len);
		sha256_update(h, data, len);
	}
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), ret);
}

static void bench_init_whole(struct bench *b, uint64_t size, const uint32_t *lengths, size_t count,
                             size_t buffers, unsigned threads, bool right)
{
	bench_init(b, size, lengths, count, buffers, threads);
	reader_close(b->file, NULL);
	hash_content(size, b->sha256);
	if (!right)
		b->sha256[0] = b->sha256[0] == 'a' ? 'b' : 'a';
	b->file = open_file(b, 1);
}

static void test_whole(void **state)
{
	static const struct {
		const uint32_t *lengths;
		size_t count;
		uint64_t size;
		size_t request_bytes;
	} cases[] = {
	        {full_extents, 1, 40 * MIB, 128 << 10},
	        {odd_extents, ARRAY_SIZE(odd_extents), 40 * MIB + 777, 300007},
	        {odd_extents, ARRAY_SIZE(odd_extents), 4711, 65536},
	        {full_extents, 1, 1, 1},
	};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		uint64_t size = cases[i / 2].size, at = 0;
		struct reader_file_stats stats;
		int last = 0;
		struct bench b;

		bench_init_whole(&b, size, cases[i / 2].lengths, cases[i / 2].count, 32, 4, i % 2 == 0);
		for (; at < size; at += cases[i / 2].request_bytes) {
			last = read_range(b.file, size, at, cases[i / 2].request_bytes);
			if (last < 0)
				break;
		}
		/* The last bytes come only when the whole is right. Read-ahead may have shown it before. */
		assert_int_equal(last, i % 2 == 0 ? 0 : -EIO);
		if (i % 2)
			assert_int_equal(read_range(b.file, size, 0, 1), -EIO);
		reader_close(b.file, &stats);
		b.file = NULL;
		assert_int_equal(stats.whole, i % 2 == 0);
		assert_int_equal(b.metrics.whole, 1);
		assert_int_equal(b.metrics.whole_wrong, i % 2);
		bench_finish(&b);
	}
}

/* What comes last, wherever it is, waits for the verdict. */
static void test_whole_out_of_order(void **state)
{
	static const uint32_t fine[] = {65536};
	static const unsigned order[] = {3, 0, 2, 1};
	uint64_t size = 3 * 65536 + 777;
	struct bench b;

	for (int right = 0; right < 2; right++) {
		bench_init_whole(&b, size, fine, 1, 32, 2, right);
		b.reader->ahead_blocks_max = 0;
		for (size_t i = 0; i < ARRAY_SIZE(order); i++)
			assert_int_equal(read_range(b.file, size, order[i] * 65536, 65536),
			                 i < 3 || right ? 0 : -EIO);
		assert_int_equal(b.metrics.whole, 1);
		bench_finish(&b);
	}
}

/* Nothing waits for a hash that cannot be had. */
static void test_whole_is_not_waited_for(void **state)
{
	uint64_t size = 20 * MIB;
	struct reader_file_stats stats;
	struct test_request end, other;
	struct bench b;

	/* The end alone; the beginning and the end. */
	bench_init_whole(&b, size, full_extents, 1, 32, 2, true);
	assert_int_equal(read_range(b.file, size, size - 10, 10), 0);
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	bench_finish(&b);
	bench_init_whole(&b, size, full_extents, 1, 32, 2, true);
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	assert_int_equal(read_range(b.file, size, size - 10, 10), 0);
	reader_close(b.file, &stats);
	b.file = NULL;
	assert_false(stats.whole);
	bench_finish(&b);
	/* What comes before is on its way, fails, and leaves the end to itself. */
	bench_init_whole(&b, 2 * MIB, full_extents, 1, 32, 2, true);
	hold(&b.store, true);
	start(&end, b.file, 0, 10);
	wait_for_held(&b.store, 1);
	start(&other, b.file, MIB, 10);
	wait_for_held(&b.store, 2);
	pthread_mutex_lock(&b.store.lock);
	b.store.fail_below = MIB;
	pthread_mutex_unlock(&b.store.lock);
	hold(&b.store, false);
	assert_int_equal(finish(&end), -EIO);
	assert_int_equal(finish(&other), 0);
	bench_finish(&b);
}

/* The last file is closed while a thread hashes: nothing of the artifact stays in memory, where another
 * file's blocks could be taken for it. */
static void test_whole_is_closed_while_it_is_hashed(void **state)
{
	uint64_t size = 12 * MIB;
	struct test_request reqs[12];
	struct bench b;

	for (unsigned round = 0; round < 20; round++) {
		bench_init_whole(&b, size, full_extents, 1, 16, 4, true);
		for (unsigned i = 0; i < 12; i++)
			start(&reqs[i], b.file, i * MIB, 10);
		wait_for_bytes(&b.store, size);
		for (unsigned i = 0; i < 11; i++)
			assert_int_equal(finish(&reqs[i]), 0);
		reader_close(b.file, NULL);
		b.file = NULL;
		assert_int_equal(reqs[11].answers, 1);
		bench_finish(&b);
	}
}

/* The end waits for the beginning, which nobody wants any more before its get began. */
static void expect_end_after_cancel(bool both)
{
	static const uint32_t lengths[] = {65536};
	uint64_t size = 8 * MIB;
	struct test_request stuck[2], rest, end;
	struct reader_file *other;
	struct bench b;

	bench_init_whole(&b, size, lengths, 1, 32, 2, true);
	b.reader->ahead_blocks_max = 0;
	other = open_file(&b, 2);
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	hold(&b.store, true);
	start_of(&end, b.file, size - 10, 10, 7);
	wait_for_held(&b.store, 1);
	stick(&b.store, 4 * MIB);
	start(&stuck[0], other, 4 * MIB, 10);
	wait_for_held(&b.store, 2);
	start(&stuck[1], b.file, 4 * MIB, 10);
	start_of(&rest, b.file, 65536, MIB - 65536, 7);
	hold(&b.store, false);
	/* The end is there and held, both threads are stuck elsewhere. */
	wait_for_bytes(&b.store, 2 * 65536);
	wait_for_held(&b.store, 2);
	if (both)
		reader_cancel_owner(b.file, 7);
	else
		reader_cancel(b.file, rest.base.tag);
	assert_int_equal(finish(&rest), -ECANCELED);
	/* It may have come before it was cancelled. */
	assert_true(finish(&end) == 0 || both);
	stick(&b.store, 0);
	assert_int_equal(finish(&stuck[0]), 0);
	assert_int_equal(finish(&stuck[1]), 0);
	reader_close(other, NULL);
	bench_finish(&b);
	assert_int_equal(end.answers, 1);
	assert_int_equal(rest.answers, 1);
}

static void test_whole_is_given_up_with_what_it_waits_for(void **state)
{
	expect_end_after_cancel(false);
	expect_end_after_cancel(true);
}

/* Waiting for a hash takes no more than half of the buffers when the next block to hash is late. */
static void test_whole_and_a_late_block(void **state)
{
	static const uint32_t lengths[] = {65536};
	uint64_t size = 20 * MIB;
	struct test_request late;
	struct bench b;

	bench_init_whole(&b, size, lengths, 1, 8, 3, true);
	b.reader->ahead_blocks_max = 0;
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	stick(&b.store, 65536);
	start(&late, b.file, 65536, MIB - 65536);
	wait_for_held(&b.store, 1);
	for (uint64_t at = MIB; at < size - MIB; at += MIB)
		assert_int_equal(read_range(b.file, size, at, 10), 0);
	assert_int_equal(late.answers, 0);
	stick(&b.store, 0);
	assert_int_equal(finish(&late), 0);
	bench_finish(&b);
}

/* The one that waits for the verdict is hashed already, the hash is at the block behind, and the last one,
 * whose buffer somebody had taken, comes once more: the first still waits, and is not forgotten. */
static void test_whole_holds_one_block(void **state)
{
	const uint64_t size = 4 * MIB;
	struct answers answers = {0};
	struct artifact *a;
	struct block *first, *last;
	struct span span;
	struct bench b;

	bench_init_whole(&b, size, full_extents, 1, 8, 1, true);
	b.reader->ahead_blocks_max = 0;
	for (uint64_t at = MIB; at < size; at += MIB)
		assert_int_equal(read_range(b.file, size, at, 100), 0);
	a = b.file->artifact;
	pthread_mutex_lock(&b.reader->lock);
	while (a->users > 0) {
		pthread_mutex_unlock(&b.reader->lock);
		sched_yield();
		pthread_mutex_lock(&b.reader->lock);
	}
	span = block_span(&a->extents, NULL, 0);
	first = block_make(b.reader, a, &span, true);
	first->loading = 1;
	assert_false(whole_arrived(b.reader, first, 1));
	assert_ptr_equal(a->whole_held, first);
	a->whole = WHOLE_BUSY;
	a->whole_next = 2 * MIB;
	span = block_span(&a->extents, NULL, 3 * MIB);
	last = block_find(b.reader, a, span.first);
	assert_true(whole_arrived(b.reader, last, 1));
	assert_ptr_equal(a->whole_held, first);
	a->whole = WHOLE_ON;
	whole_end(b.reader, a, &answers);
	assert_int_equal(first->loading, 0);
	block_unpin(b.reader, first);
	pthread_mutex_unlock(&b.reader->lock);
	bench_finish(&b);
}

/* What was asked for before the verdict, and comes after it, is as wrong as the rest; and it counts. */
static void test_whole_is_wrong_for_who_waits(void **state)
{
	uint64_t size = 3 * MIB;
	struct reader_file_stats stats;
	struct test_request end;
	struct bench b;

	bench_init_whole(&b, size, full_extents, 1, 32, 2, false);
	b.reader->ahead_blocks_max = 0;
	hold(&b.store, true);
	start(&end, b.file, size - 10, 10);
	wait_for_held(&b.store, 1);
	pthread_mutex_lock(&b.reader->lock);
	b.file->artifact->whole = WHOLE_WRONG;
	error_set(&b.file->artifact->wrong, ERROR_CORRUPT, EIO, "it is wrong");
	pthread_mutex_unlock(&b.reader->lock);
	hold(&b.store, false);
	assert_int_equal(finish(&end), -EIO);
	assert_string_equal(end.err.message, "it is wrong");
	assert_int_equal(read_range(b.file, size, 0, 10), -EIO);
	reader_close(b.file, &stats);
	b.file = NULL;
	assert_int_equal(stats.failures, 2);
	assert_int_equal(b.metrics.failures, 2);
	bench_finish(&b);
}

/* In any order and by several readers, while blocks come and go: the last byte always comes. */
static void test_whole_under_load(void **state)
{
	uint64_t size = 20 * MIB + 4711;
	pthread_t threads[8];
	struct stress stress[8];
	struct bench b;

	bench_init_whole(&b, size, odd_extents, ARRAY_SIZE(odd_extents), 10, 4, true);
	for (unsigned i = 0; i < 8; i++) {
		stress[i] = (struct stress){.b = &b, .size = size, .seed = i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, stress_main, &stress[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(read_range(b.file, size, size - 1, 1), 0);
	bench_finish(&b);
}

static void test_cancel_one(void **state)
{
	uint64_t size = 16 * MIB;
	struct test_request gone, stays;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 2);
	hold(&b.store, true);
	start(&gone, b.file, 0, 10);
	start(&stays, b.file, 8 * MIB, 10);
	wait_for_held(&b.store, 2);
	reader_cancel(b.file, gone.base.tag + 1000);
	reader_cancel(b.file, gone.base.tag);
	assert_int_equal(gone.answers, 1);
	assert_int_equal(gone.result, -ECANCELED);
	/* Its get ends at once; the other's goes on. */
	wait_for_cancelled(&b.store, 1);
	reader_cancel(b.file, gone.base.tag);
	hold(&b.store, false);
	assert_int_equal(finish(&stays), 0);
	assert_int_equal(b.metrics.cancelled, 1);
	assert_int_equal(read_range(b.file, size, 0, 10), 0);
	bench_finish(&b);
}

static void test_cancel_an_owner(void **state)
{
	uint64_t size = 16 * MIB;
	struct test_request gone[3], stays;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 4);
	b.reader->ahead_blocks_max = 0;
	hold(&b.store, true);
	for (unsigned i = 0; i < 3; i++)
		start_of(&gone[i], b.file, i * 2 * MIB, 10, 7);
	start_of(&stays, b.file, 2 * MIB + 100, 10, 8);
	wait_for_held(&b.store, 3);
	reader_cancel_owner(b.file, 9);
	reader_cancel_owner(b.file, 7);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(gone[i].result, -ECANCELED);
	/* But for the get that another waits for, too. */
	wait_for_cancelled(&b.store, 2);
	wait_for_held(&b.store, 1);
	hold(&b.store, false);
	assert_int_equal(finish(&stays), 0);
	bench_finish(&b);
}

/* Whoever asks while a get is being given up for another gets the bytes all the same. */
static void test_cancel_one_of_two(void **state)
{
	uint64_t size = 16 * MIB;
	struct test_request gone, stays;
	struct bench b;

	bench_init(&b, size, full_extents, 1, 8, 1);
	b.reader->ahead_blocks_max = 0;
	for (int i = 0; i < 100; i++) {
		hold(&b.store, true);
		start(&gone, b.file, (uint64_t)(i % 16) * MIB, 10);
		reader_cancel(b.file, gone.base.tag);
		start(&stays, b.file, (uint64_t)(i % 16) * MIB + 20, 10);
		hold(&b.store, false);
		assert_int_equal(finish(&stays), 0);
		assert_int_equal(finish(&gone), -ECANCELED);
	}
	bench_finish(&b);
}

static void test_no_read_ahead(void **state)
{
	uint64_t size = 8 * MIB;
	struct reader_metrics metrics = {0};
	struct bench b;
	struct reader_options options = {.buffers = 8, .threads = 2, .metrics = &metrics};
	struct error err = {0};

	bench_init(&b, size, full_extents, 1, 8, 2);
	reader_close(b.file, NULL);
	reader_free(b.reader);
	options.store = &b.store.base;
	options.pool = b.pool;
	assert_int_equal(reader_new(&options, &b.reader, &err), 0);
	b.file = open_file(&b, 1);
	for (uint64_t at = 0; at < 4 * MIB; at += 65536)
		assert_int_equal(read_range(b.file, size, at, 65536), 0);
	assert_int_equal(b.store.bytes, 4 * MIB);
	assert_int_equal(metrics.ahead_bytes, 0);
	bench_finish(&b);
}

static struct reader *with_cache(struct bench *b, struct cache *cache)
{
	const struct reader_options options = {.store = &b->store.base,
	                                       .cache = cache,
	                                       .pool = b->pool,
	                                       .buffers = 8,
	                                       .threads = 2,
	                                       .metrics = &b->metrics};
	struct reader *r;
	struct error err = {0};

	reader_close(b->file, NULL);
	reader_free(b->reader);
	assert_int_equal(reader_new(&options, &r, &err), 0);
	b->reader = r;
	b->file = open_file(b, 1);
	return r;
}

static void test_disk_cache(void **state)
{
	static const uint32_t fine[] = {65536};
	uint64_t size = 20 * MIB + 777;
	char dir[] = "/tmp/keepfs-reader-XXXXXX", path[128];
	struct cache_stats stats;
	struct cache *cache;
	struct error err = {0};
	unsigned char wrong;
	struct bench b;
	int fd;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(cache_open(dir, 64 * MIB, &cache, &err), 0);
	bench_init(&b, size, fine, 1, 8, 2);
	with_cache(&b, cache);
	for (uint64_t at = 0; at < size; at += MIB)
		assert_int_equal(read_range(b.file, size, at, MIB), 0);
	assert_int_equal(b.store.bytes, size);
	/* Another open, another daemon, in any order: nothing is fetched. */
	with_cache(&b, cache);
	for (uint64_t at = size / MIB * MIB + MIB; at > 0; at -= MIB)
		assert_int_equal(read_range(b.file, size, at - 1000, 70000), 0);
	assert_int_equal(b.store.bytes, size);
	/* A byte that is wrong on the disk costs one fetch. */
	snprintf(path, sizeof(path), "%s/keepfs-cache.data", dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (off_t at = 5; at < 21 * (off_t)MIB; at += MIB) {
		if (pread(fd, &wrong, 1, at) == 1) {
			wrong ^= 1;
			assert_int_equal(pwrite(fd, &wrong, 1, at), 1);
		}
	}
	close(fd);
	with_cache(&b, cache);
	assert_int_equal(read_range(b.file, size, 3 * MIB, MIB), 0);
	assert_int_equal(b.store.bytes, size + MIB);
	assert_int_equal(b.metrics.wrong_extents, 0);
	cache_stats(cache, &stats);
	assert_int_equal(stats.wrong, 1);
	/* It is in the cache again. */
	with_cache(&b, cache);
	assert_int_equal(read_range(b.file, size, 3 * MIB, MIB), 0);
	assert_int_equal(b.store.bytes, size + MIB);
	bench_finish(&b);
	cache_free(cache);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/keepfs-cache.table", dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* What the disk cache has is right, but says nothing of what the store has. */
static void test_only_the_store_verifies(void **state)
{
	static const char *const names[] = {"keepfs-cache.data", "keepfs-cache.table"};
	uint64_t size = 3 * MIB;
	char dir[] = "/tmp/keepfs-reader-XXXXXX", path[128];
	struct cache *cache;
	struct error err = {0};
	struct bench b;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(cache_open(dir, 64 * MIB, &cache, &err), 0);
	bench_init_whole(&b, size, full_extents, 1, 8, 2, true);
	for (unsigned round = 0; round < 2; round++) {
		struct reader_file_stats stats;

		with_cache(&b, cache);
		for (uint64_t at = 0; at < size; at += MIB)
			assert_int_equal(read_range(b.file, size, at, MIB), 0);
		reader_close(b.file, &stats);
		b.file = open_file(&b, 1);
		assert_true(stats.whole);
		assert_int_equal(stats.verified_at_us > 0, round == 0);
		assert_int_equal(b.store.bytes, size);
	}
	bench_finish(&b);
	cache_free(cache);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

/* Files are opened and closed, requests answered, cancelled and failed, gets slow: each request has one
 * answer, and its bytes are right. */
struct chaos {
	struct bench *b;
	uint64_t size;
	unsigned seed;
	unsigned rounds;
};

#define CHAOS_REQUESTS 6

static void chaos_round(struct chaos *c)
{
	struct reader_file *f = open_file(c->b, 1 + (uint64_t)rand_r(&c->seed) % 3);
	struct test_request reqs[CHAOS_REQUESTS];
	bool in_order = rand_r(&c->seed) % 2;
	uint64_t at = rand_r(&c->seed) % 3 ? 0 : (uint64_t)rand_r(&c->seed) % c->size;

	for (unsigned k = 0; k < 12; k++) {
		for (unsigned i = 0; i < CHAOS_REQUESTS; i++) {
			size_t len = 1 + (size_t)rand_r(&c->seed) % MIB;

			if (!in_order)
				at = rand_r(&c->seed) % 4 ? (uint64_t)rand_r(&c->seed) % c->size
				                          : c->size - 10;
			start(&reqs[i], f, at, len);
			at += len;
		}
		for (unsigned i = 0; i < CHAOS_REQUESTS; i++)
			if (rand_r(&c->seed) % 3 == 0)
				reader_cancel(f, reqs[i].base.tag);
		if (k == 11 && rand_r(&c->seed) % 2)
			break;
		for (unsigned i = 0; i < CHAOS_REQUESTS; i++) {
			finish(&reqs[i]);
			assert_false(reqs[i].wrong);
		}
	}
	reader_close(f, NULL);
	for (unsigned i = 0; i < CHAOS_REQUESTS; i++) {
		assert_int_equal(reqs[i].answers, 1);
		assert_false(reqs[i].wrong);
	}
}

static void *chaos_main(void *arg)
{
	struct chaos *c = arg;

	for (unsigned i = 0; i < c->rounds; i++) {
		chaos_round(c);
		if (i % 5 == 0) {
			pthread_mutex_lock(&c->b->store.lock);
			c->b->store.fail = 1;
			pthread_mutex_unlock(&c->b->store.lock);
		}
	}
	return NULL;
}

static void test_chaos(void **state)
{
	unsigned rounds = getenv("CHAOS") ? (unsigned)atoi(getenv("CHAOS")) : 20;
	uint64_t size = 7 * MIB + 4711;
	pthread_t threads[4];
	struct chaos chaos[4];
	struct bench b;

	bench_init_whole(&b, size, odd_extents, ARRAY_SIZE(odd_extents), 10, 3, true);
	for (unsigned i = 0; i < 4; i++) {
		chaos[i] = (struct chaos){.b = &b, .size = size, .seed = i + 1, .rounds = rounds};
		assert_int_equal(pthread_create(&threads[i], NULL, chaos_main, &chaos[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	bench_finish(&b);
}

static void test_options(void **state)
{
	struct held_store store;
	struct pool *pool = pool_new(10 * MIB);
	struct reader_metrics metrics = {0};
	struct reader_options options = {
	        .store = &store.base, .pool = pool, .buffers = 7, .threads = 1, .metrics = &metrics};
	struct reader *r = NULL;
	struct error err = {0};

	held_store_init(&store, 1);
	assert_int_equal(reader_new(&options, &r, &err), -EINVAL);
	options.buffers = 8;
	options.threads = 0;
	assert_int_equal(reader_new(&options, &r, &err), -EINVAL);
	options.threads = 1;
	options.buffers = 11;
	assert_int_equal(reader_new(&options, &r, &err), -ENOSPC);
	assert_non_null(strstr(err.message, "memory"));
	assert_null(r);
	assert_null(reader_free(NULL));
	pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_block_span),
	        cmocka_unit_test(test_edges),
	        cmocka_unit_test(test_every_byte_under_load),
	        cmocka_unit_test(test_more_readers_than_buffers),
	        cmocka_unit_test(test_sequential_reads_ahead),
	        cmocka_unit_test(test_many_sequential_readers_share_memory),
	        cmocka_unit_test(test_idle_readers_have_no_share),
	        cmocka_unit_test(test_window_doubles_from_one_block),
	        cmocka_unit_test(test_out_of_order_is_sequential),
	        cmocka_unit_test(test_random_fetches_only_its_block),
	        cmocka_unit_test(test_tiny_extents_come_together),
	        cmocka_unit_test(test_readers_share_blocks),
	        cmocka_unit_test(test_corruption),
	        cmocka_unit_test(test_store_failure),
	        cmocka_unit_test(test_a_dead_store_is_not_waited_for_again),
	        cmocka_unit_test(test_one_block_of_a_merged_get_fails),
	        cmocka_unit_test(test_close_with_requests_pending),
	        cmocka_unit_test(test_cancel_all),
	        cmocka_unit_test(test_free_cancels_gets),
	        cmocka_unit_test(test_only_the_parts_that_are_asked_for),
	        cmocka_unit_test(test_random_reads_use_little_memory),
	        cmocka_unit_test(test_near_requests_are_one_get),
	        cmocka_unit_test(test_blocks_are_given_out_as_they_arrive),
	        cmocka_unit_test(test_the_rest_of_a_get_is_given_up),
	        cmocka_unit_test(test_what_arrives_wrong_is_not_given_out),
	        cmocka_unit_test(test_a_get_that_breaks_off_has_given_out_what_arrived),
	        cmocka_unit_test(test_what_arrives_of_another_object_is_not_given_out),
	        cmocka_unit_test(test_how_many_gets_at_once),
	        cmocka_unit_test(test_gets_of_several_files),
	        cmocka_unit_test(test_part_of_a_block_fails),
	        cmocka_unit_test(test_replaced_while_open),
	        cmocka_unit_test(test_replaced_between_the_first_gets),
	        cmocka_unit_test(test_no_etag),
	        cmocka_unit_test(test_whole),
	        cmocka_unit_test(test_whole_out_of_order),
	        cmocka_unit_test(test_whole_is_not_waited_for),
	        cmocka_unit_test(test_whole_is_closed_while_it_is_hashed),
	        cmocka_unit_test(test_whole_is_given_up_with_what_it_waits_for),
	        cmocka_unit_test(test_whole_and_a_late_block),
	        cmocka_unit_test(test_whole_holds_one_block),
	        cmocka_unit_test(test_whole_is_wrong_for_who_waits),
	        cmocka_unit_test(test_whole_under_load),
	        cmocka_unit_test(test_cancel_one),
	        cmocka_unit_test(test_cancel_one_of_two),
	        cmocka_unit_test(test_cancel_an_owner),
	        cmocka_unit_test(test_no_read_ahead),
	        cmocka_unit_test(test_disk_cache),
	        cmocka_unit_test(test_only_the_store_verifies),
	        cmocka_unit_test(test_chaos),
	        cmocka_unit_test(test_options),
	};

	make_content();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

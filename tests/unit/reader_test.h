// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the tests of the reader share: a store in memory that can hold its gets, fail them, flip bytes, and counts
 * what it gave; requests whose answer can be waited for; a bench of all that a reader needs. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>
#include <keepfs/reader.h>

#include "../../src/reader/reader_private.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static inline void make_content(void)
{
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (unsigned char)((i % PERIOD * UINT64_C(0x9E3779B97F4A7C15)) >> 56);
}

static inline void fill(unsigned char *to, uint64_t offset, size_t len)
{
	memcpy(to, content + offset % PERIOD, len);
}

struct held_get {
	struct held_store *store;
	bool cancelled; /* store->lock */
};

static inline void wake_get(void *arg)
{
	struct held_get *get = arg;

	pthread_mutex_lock(&get->store->lock);
	get->cancelled = true;
	pthread_cond_broadcast(&get->store->changed);
	pthread_mutex_unlock(&get->store->lock);
}

/* Wait while the store holds its gets; true when the call was cancelled. */
static inline bool wait_held(struct held_store *s, struct cancel *cancel, uint64_t offset)
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
static inline bool arrive_early(struct held_store *s, uint64_t offset, const struct iovec *iov, int count,
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
static inline int lost(struct error *err)
{
	error_set(err, ERROR_UNAVAILABLE, ECONNRESET, "the connection was lost");
	err->retry = true;
	return -ECONNRESET;
}

static inline int held_get(struct store *store, const struct store_call *call, const char *key,
                           uint64_t offset, const struct iovec *iov, int count,
                           const struct store_get_options *options, struct error *err)
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

static inline void held_store_init(struct held_store *s, uint64_t size)
{
	*s = (struct held_store){.base = {.ops = &held_ops, .name = (char *)"held:"},
	                         .size = size,
	                         .end = size,
	                         .etag = "first"};
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
}

static inline void hold(struct held_store *s, bool on)
{
	pthread_mutex_lock(&s->lock);
	s->hold = on;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static inline void stick(struct held_store *s, uint64_t offset)
{
	pthread_mutex_lock(&s->lock);
	s->stuck_at = offset;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static inline void wait_for_held(struct held_store *s, unsigned count)
{
	pthread_mutex_lock(&s->lock);
	while (s->held != count)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static inline void wait_for_cancelled(struct held_store *s, unsigned count)
{
	pthread_mutex_lock(&s->lock);
	while (s->cancelled < count)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static inline uint64_t wait_for_bytes(struct held_store *s, uint64_t bytes)
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
static inline struct extents make_extents(uint64_t size, const uint32_t *lengths, size_t count)
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

static inline struct extents copy_extents(const struct extents *x)
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

static inline void request_done(struct reader_request *base, int result, const struct iovec *iov, int count,
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

static inline void start_of(struct test_request *req, struct reader_file *f, uint64_t offset, size_t len,
                            uint64_t owner)
{
	static atomic_ullong tag;

	*req = (struct test_request){
	        .base = {.offset = offset, .len = len, .tag = ++tag, .owner = owner, .done = request_done}};
	pthread_mutex_init(&req->lock, NULL);
	pthread_cond_init(&req->changed, NULL);
	reader_read(f, &req->base);
}

static inline void start(struct test_request *req, struct reader_file *f, uint64_t offset, size_t len)
{
	start_of(req, f, offset, len, 1);
}

static inline int finish(struct test_request *req)
{
	pthread_mutex_lock(&req->lock);
	while (req->answers == 0)
		pthread_cond_wait(&req->changed, &req->lock);
	pthread_mutex_unlock(&req->lock);
	return req->result;
}

/* Read and compare; the result. */
static inline int read_range(struct reader_file *f, uint64_t size, uint64_t offset, size_t len)
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

static inline struct reader_file *open_file(struct bench *b, uint64_t ino)
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

static inline void bench_init(struct bench *b, uint64_t size, const uint32_t *lengths, size_t count,
                              size_t buffers, unsigned threads)
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

static inline void bench_finish(struct bench *b)
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

static inline void hash_content(uint64_t size, char ret[static SHA256_HEX_BYTES])
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

static inline void bench_init_whole(struct bench *b, uint64_t size, const uint32_t *lengths, size_t count,
                                    size_t buffers, unsigned threads, bool right)
{
	bench_init(b, size, lengths, count, buffers, threads);
	reader_close(b->file, NULL);
	hash_content(size, b->sha256);
	if (!right)
		b->sha256[0] = b->sha256[0] == 'a' ? 'b' : 'a';
	b->file = open_file(b, 1);
}

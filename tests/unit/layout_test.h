// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the tests of files that are stored transformed share: such a file is written by a stage into a store, and read through the
 * layout that undoes it. */
#include "store_test.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/cache.h>
#include <keepfs/reader.h>
#include <keepfs/stream.h>
#include <keepfs/stream/readback.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)
#define KEY "full/db/x.dump"

struct fixture {
	struct store *store;
	struct pool *pool;
	struct reader *reader;
	struct reader_metrics metrics;
	/* How it is stored, and read: what each of these makes is for the object that was written last. */
	struct stream_stage (*stage)(struct fixture *f);
	struct reader_layout *(*layout)(struct fixture *f, unsigned *freed);
	void *secret;       /* theirs */
	struct cells cells; /* of the object */
	struct str plain;   /* the file */
	char *stored;       /* the object */
	struct stream_facts facts;
	char sha256[SHA256_HEX_BYTES]; /* of the file */
	struct cache *cache;
	char cache_dir[64];
};

/* NULL: it could not be set up. */
static inline struct fixture *new_fixture(void)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->pool = pool_new(40 * MIB);
	if (root_setup(NULL) < 0)
		return NULL;
	f->store = new_faulty("");
	return f;
}

static inline void close_reader(struct fixture *f)
{
	f->reader = reader_free(f->reader);
	f->cache = cache_free(f->cache);
}

static inline void drop_object(struct fixture *f)
{
	extents_finish(&f->facts.extents);
	free(f->stored);
	f->stored = NULL;
}

static inline int free_fixture(struct fixture *f)
{
	close_reader(f);
	drop_object(f);
	if (f->cache_dir[0])
		remove_tree(f->cache_dir);
	/* Every buffer and every promise came back. */
	assert_true(pool_try_reserve(f->pool, pool_buffers(f->pool)));
	pool_unreserve(f->pool, pool_buffers(f->pool));
	pool_free(f->pool);
	store_free(f->store);
	str_finish(&f->plain);
	free(f);
	return root_teardown(NULL);
}

static inline void make_plain(struct fixture *f, size_t len)
{
	_cleanup(free) char *bytes = mem_alloc(len + 1);
	uint32_t x = 1;
	uint8_t digest[SHA256_BYTES];

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		bytes[i] = (char)(x >> 24);
	}
	str_clear(&f->plain);
	str_append_bytes(&f->plain, bytes, len);
	sha256_once(len ? f->plain.data : "", len, digest);
	hex_encode(digest, sizeof(digest), f->sha256);
}

static inline void hex_of(const void *data, size_t len, char ret[static SHA256_HEX_BYTES])
{
	uint8_t digest[SHA256_BYTES];

	sha256_once(data, len, digest);
	hex_encode(digest, sizeof(digest), ret);
}

/* Write a file of @len bytes, the first @head of them last. */
static inline void write_object(struct fixture *f, size_t len, size_t head, size_t piece)
{
	const struct stream_stage stage = f->stage(f);
	const struct stream_object_options options = {.store = f->store,
	                                              .pool = f->pool,
	                                              .key = KEY,
	                                              .part_bytes = MIB,
	                                              .head_bytes = head,
	                                              .stage = &stage};
	struct stream_object *o;
	struct error err = {0};
	size_t stored;
	int r = 0;

	drop_object(f);
	make_plain(f, len);
	assert_int_equal(stream_object_new(&options, &o, &err), 0);
	for (size_t at = head; r == 0 && at < len; at += piece)
		r = stream_object_write(o, f->plain.data + at, len - at < piece ? len - at : piece, &err);
	for (size_t at = 0; r == 0 && at < head; at += piece)
		r = stream_object_head(o, f->plain.data + at, head - at < piece ? head - at : piece, &err);
	if (r == 0)
		r = stream_object_finish(o, NULL, &f->facts, &err);
	if (r < 0)
		fail_msg("%zu bytes, %zu of them last: %s", len, head, err.message);
	stream_object_free(o);
	assert_int_equal(store_get_all(f->store, NULL, KEY, len + 2 * MIB, &f->stored, &stored, NULL), 0);
	assert_int_equal(stored, f->facts.stored_bytes);
}

/* The facts tell of both, and the extents are of what is stored, and of whole cells. */
static inline void expect_facts(struct fixture *f, size_t head)
{
	const struct extents *x = &f->facts.extents;
	char hex[SHA256_HEX_BYTES];

	assert_int_equal(f->facts.bytes, f->plain.len);
	assert_int_equal(f->facts.stored_bytes, cells_stored_bytes(&f->cells, f->plain.len));
	assert_string_equal(f->facts.sha256, head ? "" : f->sha256);
	hex_of(f->stored, f->facts.stored_bytes, hex);
	assert_string_equal(f->facts.stored_sha256, head ? "" : hex);
	assert_int_equal(x->total_bytes, f->facts.stored_bytes);
	for (size_t i = 0; i < x->count; i++) {
		const struct extent *e = &x->items[i];

		assert_int_equal(e->crc32c, crc32c(0, f->stored + e->offset, e->length));
		assert_true(cells_is_border(&f->cells, e->offset));
		/* As short as it can be, so that random reads are cheap. */
		if (i > 0)
			assert_in_range(e->length, 1, cells_unit_bytes(&f->cells));
	}
}

static inline void open_reader(struct fixture *f, size_t buffers, uint64_t ahead_bytes)
{
	const struct reader_options options = {.store = f->store,
	                                       .cache = f->cache,
	                                       .pool = f->pool,
	                                       .buffers = buffers,
	                                       .threads = 3,
	                                       .ahead_bytes = ahead_bytes,
	                                       .metrics = &f->metrics};
	struct error err = {0};

	assert_int_equal(reader_new(&options, &f->reader, &err), 0);
}

static inline struct extents copy_extents(const struct extents *x)
{
	struct extents copy = {0};

	for (size_t i = 0; i < x->count; i++)
		extents_append(&copy, x->items[i].length, x->items[i].crc32c);
	return copy;
}

static inline int try_open(struct fixture *f, const char *sha256, const struct extents *extents,
                           unsigned *freed, struct reader_file **ret_file, struct error *err)
{
	struct extents x = copy_extents(extents);
	const struct reader_what what = {.ino = 7,
	                                 .key = KEY,
	                                 .extents = &x,
	                                 .sha256 = sha256,
	                                 .whole = sha256 != NULL,
	                                 .layout = f->layout(f, freed),
	                                 .stored_sha256 = f->facts.stored_sha256};
	int r = reader_open(f->reader, &what, ret_file, err);

	assert_null(x.items);
	return r;
}

static inline struct reader_file *open_file(struct fixture *f)
{
	struct reader_file *file;
	struct error err = {0};

	if (try_open(f, f->sha256, &f->facts.extents, NULL, &file, &err) < 0)
		fail_msg("%s", err.message);
	return file;
}

/* A request that waits for its answer and compares it. */
struct test_request {
	struct reader_request base;
	const struct fixture *f;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool answered; /* lock */
	int result;
	size_t bytes;
	bool wrong;
	struct error err;
};

static inline void request_done(struct reader_request *base, int result, const struct iovec *iov, int count,
                                const struct error *err)
{
	struct test_request *req = (struct test_request *)base;
	uint64_t at = base->offset;

	pthread_mutex_lock(&req->lock);
	for (int i = 0; i < count; i++) {
		req->wrong |= at + iov[i].iov_len > req->f->plain.len ||
		              memcmp(iov[i].iov_base, req->f->plain.data + at, iov[i].iov_len) != 0;
		at += iov[i].iov_len;
	}
	req->bytes = (size_t)(at - base->offset);
	req->result = result;
	if (err)
		req->err = *err;
	req->answered = true;
	pthread_cond_signal(&req->changed);
	pthread_mutex_unlock(&req->lock);
}

static inline int read_range(struct fixture *f, struct reader_file *file, uint64_t offset, size_t len,
                             struct error *err)
{
	struct test_request req = {.base = {.offset = offset, .len = len, .tag = 1, .done = request_done},
	                           .f = f};
	uint64_t left = offset < f->plain.len ? f->plain.len - offset : 0;

	pthread_mutex_init(&req.lock, NULL);
	pthread_cond_init(&req.changed, NULL);
	reader_read(file, &req.base);
	pthread_mutex_lock(&req.lock);
	while (!req.answered)
		pthread_cond_wait(&req.changed, &req.lock);
	pthread_mutex_unlock(&req.lock);
	if (req.result == 0) {
		assert_false(req.wrong);
		assert_int_equal(req.bytes, left < len ? left : len);
	}
	if (err)
		*err = req.err;
	return req.result;
}

static inline void expect_range(struct fixture *f, struct reader_file *file, uint64_t offset, size_t len)
{
	struct error err = {0};

	if (read_range(f, file, offset, len, &err) < 0)
		fail_msg("%zu bytes from %llu: %s", len, (unsigned long long)offset, err.message);
}

static inline void expect_corrupt(struct fixture *f, struct reader_file *file, uint64_t offset,
                                  const char *text)
{
	struct error err = {0};

	assert_int_equal(read_range(f, file, offset, 1, &err), -EIO);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, text));
	assert_non_null(strstr(err.message, KEY));
}

static inline void read_in_order(struct fixture *f, struct reader_file *file, size_t len)
{
	uint64_t at = 0;

	do {
		expect_range(f, file, at, len);
		at += len;
	} while (at < f->plain.len);
}

static inline void read_at_random(struct fixture *f, struct reader_file *file, unsigned count)
{
	unsigned seed = 1;

	for (unsigned i = 0; i < count; i++) {
		uint64_t offset = (uint64_t)rand_r(&seed) % (f->plain.len + 1);
		size_t len = (size_t)rand_r(&seed) % (i % 4 ? 70000 : READER_REQUEST_BYTES) + 1;

		expect_range(f, file, offset, len);
	}
}

static inline void expect_readable(struct fixture *f)
{
	struct reader_file_stats stats;
	struct reader_file *file;

	/* Memory for all of the file: with less, hashing that falls far behind is given up. */
	open_reader(f, 24, 4 * MIB);
	file = open_file(f);
	read_in_order(f, file, 131072);
	reader_close(file, &stats);
	/* Its SHA-256 is the file's, not the object's. */
	assert_true(stats.whole == (f->plain.len > 0));
	close_reader(f);
	open_reader(f, 8, 4 * MIB);
	file = open_file(f);
	read_at_random(f, file, 20);
	expect_range(f, file, f->plain.len, 10);
	expect_range(f, file, f->plain.len + 100, 10);
	reader_close(file, NULL);
	close_reader(f);
}

static inline void expect_whole_way(struct fixture *f, size_t len, size_t head, size_t piece)
{
	char sha256[SHA256_HEX_BYTES], hex[SHA256_HEX_BYTES];
	struct readback_options back = {.pool = f->pool, .key = KEY};

	write_object(f, len, head, piece);
	expect_facts(f, head);
	/* Reading back needs no layout: it is of what is stored. */
	back.store = f->store;
	back.extents = &f->facts.extents;
	assert_int_equal(stream_readback(&back, sha256, NULL), 0);
	hex_of(f->stored, f->facts.stored_bytes, hex);
	assert_string_equal(sha256, hex);
	expect_readable(f);
}

static inline void flip(struct fixture *f, uint64_t at, bool right_crc)
{
	struct extent *x = &f->facts.extents.items[extents_find(&f->facts.extents, at)];
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/" KEY, root);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	f->stored[at] ^= 4;
	assert_int_equal(pwrite(fd, f->stored + at, 1, (off_t)at), 1);
	close(fd);
	if (right_crc)
		x->crc32c = crc32c(0, f->stored + x->offset, x->length);
}

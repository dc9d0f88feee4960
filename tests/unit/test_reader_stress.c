// SPDX-License-Identifier: Apache-2.0
/*
 * The reader under a store that does everything at random: it is late, fails, spoils bytes, and ends short.
 * Files have contents of their own and extent tables of any shape; threads read them, several requests at a
 * time, cancel some, close with others pending. Each answer is compared: bytes are right or there are none,
 * each request is answered once, and in the end everything was given back.
 *
 * With two arguments: the first seed and the number of rounds.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>
#include <keepfs/reader.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/tree.h"

/* cmocka's own end the test's thread only. */
#define must(condition)                                                                                      \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

#define MIB      ((uint64_t)1 << 20)
#define FILES    6
#define READERS  6
#define REQUESTS 8 /* of one reader at a time */

struct file {
	unsigned char *data;
	size_t len;
	struct extents extents;
	char sha256[SHA256_HEX_BYTES];
	bool whole_is_wrong; /* what the manifest says of it */
	char key[32];
};

struct chaos {
	struct store base;
	struct file files[FILES];
	pthread_mutex_t lock;
	unsigned seed;      /* lock */
	unsigned calls;     /* lock: gets begun */
	unsigned trouble;   /* of 100 gets so many fail or are wrong */
	unsigned late;      /* and so many are late */
	bool cuts;          /* objects may end short */
	unsigned replaces;  /* after so many gets the objects are others; 0: never */
	atomic_bool ending; /* reader_cancel_all() may have been called */
};

static unsigned below(unsigned *seed, unsigned limit)
{
	*seed = *seed * 1664525 + 1013904223;
	return (unsigned)((uint64_t)(*seed >> 4) * limit >> 28);
}

/* Others may go first; true when the call was cancelled. */
static bool be_late(const struct store_call *call, unsigned turns)
{
	for (unsigned i = 0; i < turns * 20; i++) {
		if (cancel_is_set(call->cancel))
			return true;
		sched_yield();
	}
	return false;
}

/* So many bytes have arrived, and now a buffer with so many more: all of it, or some. */
static void tell(const struct store_get_options *options, uint64_t filled, size_t more, unsigned where,
                 const char *etag)
{
	if (options->arrived)
		options->arrived(options->arrived_arg, filled + (where % 3 ? more : where % (more + 1)),
		                 etag);
}

static int chaos_get(struct store *store, const struct store_call *call, const char *key, uint64_t offset,
                     const struct iovec *iov, int count, const struct store_get_options *options,
                     struct error *err)
{
	struct chaos *c = (struct chaos *)store;
	struct file *f = NULL;
	unsigned what, late, where;
	uint64_t at = offset;
	bool other;

	for (unsigned i = 0; i < FILES; i++)
		if (strcmp(key, c->files[i].key) == 0)
			f = &c->files[i];
	must(f);
	pthread_mutex_lock(&c->lock);
	what = below(&c->seed, 100);
	late = below(&c->seed, 100) < c->late ? 1 + below(&c->seed, 50) : 0;
	where = below(&c->seed, 1 << 28);
	c->calls++;
	other = c->replaces && c->calls > c->replaces;
	pthread_mutex_unlock(&c->lock);
	if (be_late(call, late))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (options->if_match && strcmp(options->if_match, other ? "other" : key) != 0)
		return error_set(err, ERROR_CONFLICT, ESTALE, "another object");
	snprintf(options->ret_etag, STORE_ETAG_BYTES, "%s", other ? "other" : key);
	for (int i = 0; i < count; i++) {
		must(at + iov[i].iov_len <= f->len);
		/* A transfer that breaks off has written something. */
		if (what < c->trouble && what % 3 == 0 && i == count - 1)
			break;
		memcpy(iov[i].iov_base, f->data + at, iov[i].iov_len);
		if (other && i == 0)
			((unsigned char *)iov[0].iov_base)[where % iov[0].iov_len] ^= 1;
		/* What is told of is not touched again: the byte that is spoilt below must be in the rest. */
		if (where % 2 && (what >= c->trouble || what % 3 != 2))
			tell(options, at - offset, iov[i].iov_len, where, other ? "other" : key);
		at += iov[i].iov_len;
	}
	if (what >= c->trouble)
		return 0;
	switch (what % 3) {
	case 0:
		return error_set(err, ERROR_UNAVAILABLE, EIO, "the store is on fire");
	case 1:
		if (c->cuts)
			return error_set(err, ERROR_USAGE, ERANGE, "the object is too short");
		break;
	default:
		((unsigned char *)iov[where % (unsigned)count]
		         .iov_base)[where % iov[where % (unsigned)count].iov_len] ^=
		        (unsigned char)(1 << where % 8);
	}
	return 0;
}

static const struct store_ops chaos_ops = {.get = chaos_get};

/* Lengths of extents: 64 KiB; short ones; all sizes; the longest next to the shortest. */
static uint32_t next_length(unsigned *seed, unsigned shape)
{
	switch (shape) {
	case 0:
		return 1 << 16;
	case 1:
		return 1 + below(seed, 300);
	case 2:
		return 1 + below(seed, 1 << 20);
	case 3:
		return 1 << 20;
	case 4:
		return below(seed, 2) ? 1 : 1 << 20;
	default:
		return below(seed, 20) ? 1 + below(seed, 1 << 13) : (1 << 20) - below(seed, 3);
	}
}

static void make_file(struct file *f, unsigned number, unsigned *seed)
{
	unsigned shape = below(seed, 6);
	uint8_t digest[SHA256_BYTES];

	f->len = below(seed, 4) ? below(seed, 9 << 20) : below(seed, 3);
	f->data = mem_alloc(f->len + 4);
	for (size_t i = 0; i < f->len; i += 4) {
		uint32_t word = (uint32_t)(i + 1) * 2654435761U ^ *seed;

		memcpy(f->data + i, &word, sizeof(word));
	}
	while (f->extents.total_bytes < f->len) {
		uint32_t length = next_length(seed, shape);
		size_t left = f->len - f->extents.total_bytes;

		if (length > left)
			length = (uint32_t)left;
		extents_append(&f->extents, length, crc32c(0, f->data + f->extents.total_bytes, length));
	}
	sha256_once(f->data, f->len, digest);
	hex_encode(digest, sizeof(digest), f->sha256);
	f->whole_is_wrong = below(seed, 3) == 0;
	if (f->whole_is_wrong)
		f->sha256[5] = f->sha256[5] == '0' ? '1' : '0';
	snprintf(f->key, sizeof(f->key), "backups/full/%u.dump", number);
}

struct request {
	struct reader_request base;
	const struct chaos *chaos;
	const struct file *file;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	unsigned answers;      /* lock */
	bool may_be_cancelled; /* lock */
};

static void check_answer(const struct request *q, int result, const struct iovec *iov, int count,
                         const struct error *err)
{
	uint64_t at = q->base.offset, left = at < q->file->len ? q->file->len - at : 0;

	if (result == 0) {
		for (int i = 0; i < count; i++) {
			must(at + iov[i].iov_len <= q->file->len);
			must(memcmp(iov[i].iov_base, q->file->data + at, iov[i].iov_len) == 0);
			at += iov[i].iov_len;
		}
		must(at - q->base.offset == (left < q->base.len ? left : q->base.len));
		return;
	}
	must(err->message[0] != '\0');
	if (result == -ECANCELED)
		must(q->may_be_cancelled);
	else
		must(result == -EIO || (result == -ESTALE && q->chaos->replaces));
	must(result == -ECANCELED || q->chaos->trouble || q->chaos->replaces || q->chaos->ending ||
	     q->file->whole_is_wrong);
}

static void answer(struct reader_request *base, int result, const struct iovec *iov, int count,
                   const struct error *err)
{
	struct request *q = (struct request *)base;

	pthread_mutex_lock(&q->lock);
	check_answer(q, result, iov, count, err);
	must(q->answers == 0);
	q->answers++;
	pthread_cond_signal(&q->answered);
	pthread_mutex_unlock(&q->lock);
}

struct user {
	struct chaos *chaos;
	struct reader *reader;
	unsigned seed;
	unsigned files; /* to open */
};

static uint64_t next_offset(struct user *u, const struct file *f, uint64_t *next, size_t len,
                            unsigned pattern)
{
	uint64_t offset = *next;

	switch (pattern) {
	case 0: /* in order */
		*next += len;
		return offset < f->len + len ? offset : (*next = 0);
	case 1: /* nearly, as the kernel does */
		*next += len;
		return offset + below(&u->seed, 3) * len;
	case 2: /* extents' edges */
		if (f->extents.count) {
			const struct extent *x =
			        &f->extents.items[below(&u->seed, (unsigned)f->extents.count)];

			offset = x->offset + (below(&u->seed, 2) ? x->length : 0) + below(&u->seed, 3);
			return offset > 0 ? offset - 1 : 0;
		}
		return 0;
	default:
		return below(&u->seed, (unsigned)f->len + 100);
	}
}

static size_t next_len(struct user *u)
{
	static const size_t lengths[] = {0, 1, 4096, 65536, 131072, 300007, MIB - 1, MIB};

	return lengths[below(&u->seed, 8)];
}

static void wait_for(struct request *q)
{
	pthread_mutex_lock(&q->lock);
	while (q->answers == 0)
		pthread_cond_wait(&q->answered, &q->lock);
	pthread_mutex_unlock(&q->lock);
}

static void cancel(struct reader_file *file, struct request *q, bool owner)
{
	pthread_mutex_lock(&q->lock);
	q->may_be_cancelled = true;
	pthread_mutex_unlock(&q->lock);
	if (owner)
		reader_cancel_owner(file, q->base.owner);
	else
		reader_cancel(file, q->base.tag);
}

static void ask(struct user *u, struct reader_file *file, const struct file *f, struct request *q,
                uint64_t number, uint64_t offset, size_t len)
{
	*q = (struct request){
	        .base = {.offset = offset, .len = len, .done = answer, .tag = number, .owner = number},
	        .chaos = u->chaos,
	        .file = f};
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->answered, NULL);
	reader_read(file, &q->base);
}

static void use_file(struct user *u, struct reader_file *file, const struct file *f)
{
	struct request requests[REQUESTS];
	unsigned pattern = below(&u->seed, 4), rounds = 1 + below(&u->seed, 60), asked = 0, waited = 0;
	unsigned cancels = below(&u->seed, 3) ? 0 : 30, at_once = 1 + below(&u->seed, REQUESTS);
	size_t len = next_len(u);
	uint64_t next = 0;

	while (asked < rounds) {
		if (asked - waited == at_once)
			wait_for(&requests[waited++ % REQUESTS]);
		if (pattern > 1)
			len = next_len(u);
		ask(u, file, f, &requests[asked % REQUESTS], asked + 1,
		    next_offset(u, f, &next, len, pattern), len);
		asked++;
		if (below(&u->seed, 100) < cancels)
			cancel(file, &requests[(waited + below(&u->seed, asked - waited)) % REQUESTS],
			       asked % 2);
	}
	if (below(&u->seed, 2))
		while (waited < asked)
			wait_for(&requests[waited++ % REQUESTS]);
	for (unsigned i = waited; i < asked; i++) {
		pthread_mutex_lock(&requests[i % REQUESTS].lock);
		requests[i % REQUESTS].may_be_cancelled = true;
		pthread_mutex_unlock(&requests[i % REQUESTS].lock);
	}
	struct reader_file_stats stats;

	reader_close(file, &stats);
	must(!stats.whole || !f->whole_is_wrong);
	for (; waited < asked; waited++)
		must(requests[waited % REQUESTS].answers == 1);
}

static void *use(void *arg)
{
	struct user *u = arg;

	for (unsigned i = 0; i < u->files; i++) {
		unsigned number = below(&u->seed, FILES);
		const struct file *f = &u->chaos->files[number];
		struct extents x = {0};
		const struct reader_what what = {.ino = number,
		                                 .key = f->key,
		                                 .extents = &x,
		                                 .sha256 = f->sha256,
		                                 .whole = below(&u->seed, 2)};
		struct reader_file *file;
		struct error err = {0};
		int r;

		for (size_t k = 0; k < f->extents.count; k++)
			extents_append(&x, f->extents.items[k].length, f->extents.items[k].crc32c);
		r = reader_open(u->reader, &what, &file, &err);
		if (r == 0)
			use_file(u, file, f);
		else
			must(r == -ESHUTDOWN && u->chaos->ending);
	}
	return NULL;
}

static char directory[64]; /* of the disk cache, which survives the rounds */

static void run_round(unsigned seed)
{
	struct chaos c = {.base = {.ops = &chaos_ops, .name = (char *)"chaos:"}, .seed = seed};
	struct reader_metrics metrics = {0};
	struct reader_options options = {.store = &c.base, .metrics = &metrics};
	struct user users[READERS];
	pthread_t threads[READERS];
	struct error err = {0};

	seed = seed * 2654435761U + 12345;
	pthread_mutex_init(&c.lock, NULL);
	c.trouble = below(&seed, 3) ? 0 : 1 + below(&seed, 30);
	c.late = below(&seed, 2) ? 0 : below(&seed, 100);
	c.cuts = below(&seed, 2);
	c.replaces = below(&seed, 4) ? 0 : below(&seed, 400);
	for (unsigned i = 0; i < FILES; i++)
		make_file(&c.files[i], i, &seed);
	options.buffers = READER_BUFFERS_MIN + below(&seed, 2) * below(&seed, 40);
	options.threads = 2 + below(&seed, 6);
	options.ahead_bytes = below(&seed, 3) * below(&seed, 16) * MIB;
	if (below(&seed, 4) == 0)
		must(cache_open(directory, 16 * MIB, &options.cache, &err) == 0);
	options.pool = pool_new(options.buffers * MIB);
	must(reader_new(&options, &users[0].reader, &err) == 0);
	for (unsigned i = 0; i < READERS; i++) {
		users[i] = (struct user){.chaos = &c,
		                         .reader = users[0].reader,
		                         .seed = seed + i,
		                         .files = 1 + below(&seed, 6)};
		must(pthread_create(&threads[i], NULL, use, &users[i]) == 0);
	}
	if (below(&seed, 4) == 0) {
		for (unsigned i = below(&seed, 2000); i > 0; i--)
			sched_yield();
		c.ending = true;
		reader_cancel_all(users[0].reader);
	}
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	reader_free(users[0].reader);
	cache_free(options.cache);
	must(metrics.used_buffers == 0);
	must(metrics.open_files == 0);
	must(pool_try_reserve(options.pool, pool_buffers(options.pool)));
	pool_unreserve(options.pool, pool_buffers(options.pool));
	pool_free(options.pool);
	for (unsigned i = 0; i < FILES; i++) {
		extents_finish(&c.files[i].extents);
		free(c.files[i].data);
	}
}

static unsigned first_seed = 1, rounds = 15;

static void test_chaos(void **state)
{
	snprintf(directory, sizeof(directory), "/tmp/keepfs-test-reader-XXXXXX");
	must(mkdtemp(directory));
	for (unsigned i = 0; i < rounds; i++) {
		if (rounds > 15 && i % 20 == 0)
			fprintf(stderr, "seed %u\n", first_seed + i);
		run_round(first_seed + i);
	}
	remove_tree(directory);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_chaos)};

	if (argc > 2) {
		first_seed = (unsigned)atoi(argv[1]);
		rounds = (unsigned)atoi(argv[2]);
	}
	return cmocka_run_group_tests_name("reader_stress", tests, NULL, NULL);
}

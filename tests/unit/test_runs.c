// SPDX-License-Identifier: Apache-2.0
/* Files of a base, read out of packs: ranges of all kinds against the plain bytes; frames that are kept; packs that are opened ahead, closed, forgotten, damaged; waiting that is given up. */
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/seekable.h>
#include <keepfs/mirror/runs.h>
#include <keepfs/store.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PACKS      4
#define PACK_PLAIN ((size_t)700000)
#define EXTENT     ((size_t)65536)
#define DIRECTORY  "20261120T020000Z"
#define THREADS    4

struct pack_of_test {
	char *plain;
	struct str stored;
};

struct packs_store { /* gets wait while it is held */
	struct store base;
	struct packs_of_test *of;
};

struct packs_of_test {
	struct pack_of_test packs[PACKS];
	struct packs_store store;
	struct pool *pool;
	struct reader *reader;
	struct reader_metrics metrics;
	struct runs_reader *runs;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_held; /* lock, as all behind it */
	unsigned held, opened, closed;
	unsigned refuse_pack; /* is not there; 0: all are */
	uint64_t last_store;
};

static int get_of_pack(struct store *store, const struct store_call *call, const char *key, uint64_t offset,
                       const struct iovec *iov, int count, const struct store_get_options *options,
                       struct error *err);
static const struct store_ops packs_ops = {.get = get_of_pack};

struct held_get_of_pack {
	struct packs_of_test *t;
	bool is_cancelled; /* t->lock */
};

static void wake_held(void *arg)
{
	struct held_get_of_pack *get = arg;

	pthread_mutex_lock(&get->t->lock);
	get->is_cancelled = true;
	pthread_cond_broadcast(&get->t->changed);
	pthread_mutex_unlock(&get->t->lock);
}

static void wait_while_held(struct packs_of_test *t, struct cancel *cancel)
{
	struct held_get_of_pack get = {.t = t};
	struct cancel_hook hook = {.wake = wake_held, .arg = &get};

	cancel_add_hook(cancel, &hook);
	pthread_mutex_lock(&t->lock);
	t->held++;
	pthread_cond_broadcast(&t->changed);
	while (t->is_held && !get.is_cancelled)
		pthread_cond_wait(&t->changed, &t->lock);
	t->held--;
	pthread_mutex_unlock(&t->lock);
	cancel_remove_hook(cancel, &hook);
}

static int get_of_pack(struct store *store, const struct store_call *call, const char *key, uint64_t offset,
                       const struct iovec *iov, int count, const struct store_get_options *options,
                       struct error *err)
{
	struct packs_of_test *t = ((struct packs_store *)store)->of;
	const struct str *stored = &t->packs[key[0] - '1'].stored;

	wait_while_held(t, call->cancel);
	if (cancel_is_set(call->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	snprintf(options->ret_etag, STORE_ETAG_BYTES, "etag");
	for (int i = 0; i < count; i++) {
		if (offset + iov[i].iov_len > stored->len)
			return error_set(err, ERROR_USAGE, ERANGE, "the object is too short");
		memcpy(iov[i].iov_base, stored->data + offset, iov[i].iov_len);
		offset += iov[i].iov_len;
	}
	return 0;
}

static unsigned number_of_pack(const struct runs_pack *pack)
{
	return (unsigned)strtoul(strrchr(pack->path, '/') + 1, NULL, 10);
}

static int open_test_pack(void *arg, struct reader *reader, const struct runs_pack *pack,
                          struct cancel *cancel, struct runs_object *ret, struct error *err)
{
	struct packs_of_test *t = arg;
	unsigned number = number_of_pack(pack);
	const struct str *stored = number >= 1 && number <= PACKS ? &t->packs[number - 1].stored : NULL;
	char key[2] = {(char)('0' + number), '\0'};
	struct extents x = {0};
	const struct reader_what what = {.ino = number, .key = key, .extents = &x};
	bool refuse;

	(void)cancel;
	pthread_mutex_lock(&t->lock);
	refuse = !stored || t->refuse_pack == number;
	t->opened += !refuse;
	t->last_store = pack->store;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	if (refuse)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "there is no such pack");
	for (size_t at = 0; at < stored->len; at += EXTENT) {
		size_t len = stored->len - at < EXTENT ? stored->len - at : EXTENT;

		extents_append(&x, (uint32_t)len, crc32c(0, stored->data + at, len));
	}
	ret->bytes = stored->len;
	return reader_open(reader, &what, &ret->file, err);
}

static void close_test_pack(void *arg, const struct runs_pack *pack)
{
	struct packs_of_test *t = arg;

	(void)pack;
	pthread_mutex_lock(&t->lock);
	t->closed++;
	pthread_mutex_unlock(&t->lock);
}

static int append_to_pack(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

/* Half of it can be compressed; frames end by themselves, and some before. */
static void make_test_pack(struct pack_of_test *p, unsigned seed)
{
	const struct seekable_out out = {.write = append_to_pack, .arg = &p->stored};
	_cleanup(seekable_writer) struct seekable_writer *w = seekable_writer_new(1, &out);
	uint64_t state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;

	p->plain = mem_alloc(PACK_PLAIN);
	for (size_t i = 0; i < PACK_PLAIN; i++) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407U;
		p->plain[i] = (char)(i / 4096 % 2 ? state >> 56 : i / 512);
	}
	for (size_t at = 0; at < PACK_PLAIN;) {
		size_t len = 1 + (size_t)(at * 7 + seed * 13) % 200000;

		len = len < PACK_PLAIN - at ? len : PACK_PLAIN - at;
		assert_int_equal(seekable_writer_write(w, p->plain + at, len, NULL), 0);
		assert_int_equal(seekable_writer_cut(w, NULL), 0);
		at += len;
	}
	assert_int_equal(seekable_writer_finish(w, NULL), 0);
}

static void start_runs(struct packs_of_test *t, size_t buffers, unsigned threads, uint64_t ahead)
{
	const struct runs_options options = {
	        .reader = t->reader,
	        .packs = {.open = open_test_pack, .close = close_test_pack, .arg = t},
	        .pool = t->pool,
	        .buffers = buffers,
	        .threads = threads,
	        .ahead_bytes = ahead};

	runs_reader_free(t->runs);
	t->runs = NULL;
	assert_int_equal(runs_reader_new(&options, &t->runs, NULL), 0);
}

static int set_up_packs(void **state)
{
	struct packs_of_test *t = mem_alloc(sizeof(*t));
	struct reader_options options = {.buffers = 16, .threads = 3, .ahead_bytes = 4 << 20};

	for (unsigned i = 0; i < PACKS; i++)
		make_test_pack(&t->packs[i], i + 1);
	t->store = (struct packs_store){.base = {.ops = &packs_ops, .name = (char *)"packs:"}, .of = t};
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	t->pool = pool_new(UINT64_C(64) << 20);
	options.store = &t->store.base;
	options.pool = t->pool;
	options.metrics = &t->metrics;
	assert_int_equal(reader_new(&options, &t->reader, NULL), 0);
	start_runs(t, 16, THREADS, 0);
	*state = t;
	return 0;
}

static int tear_down_packs(void **state)
{
	struct packs_of_test *t = *state;

	runs_reader_free(t->runs);
	reader_free(t->reader);
	pool_free(t->pool);
	for (unsigned i = 0; i < PACKS; i++) {
		free(t->packs[i].plain);
		str_finish(&t->packs[i].stored);
	}
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	free(t);
	return 0;
}

/* A file: a piece of the first pack, a hole, all of the second, and the end of the third. */
#define HEAD_PLACE 123457U
#define HEAD_BYTES (PACK_PLAIN - HEAD_PLACE)
#define HOLE_BYTES 300001U
#define LAST_PLACE (PACK_PLAIN - 77777)
#define LAST_BYTES 77777U
#define FILE_BYTES (HEAD_BYTES + HOLE_BYTES + PACK_PLAIN + LAST_BYTES)

static struct listing_run runs_of_test[] = {
        {.at = 0, .bytes = HEAD_BYTES, .pack = (char *)DIRECTORY "/00001", .place = HEAD_PLACE},
        {.at = HEAD_BYTES, .bytes = HOLE_BYTES},
        {.at = HEAD_BYTES + HOLE_BYTES, .bytes = PACK_PLAIN, .pack = (char *)DIRECTORY "/00002"},
        {.at = HEAD_BYTES + HOLE_BYTES + PACK_PLAIN,
         .bytes = LAST_BYTES,
         .pack = (char *)DIRECTORY "/00003",
         .place = LAST_PLACE},
};
static const struct listing_entry file_of_test = {.format = LISTING_BASE,
                                                  .key = (char *)"base/1/16384",
                                                  .bytes = FILE_BYTES,
                                                  .runs = runs_of_test,
                                                  .run_count = 4};

static char *plain_file(const struct packs_of_test *t)
{
	char *plain = mem_alloc(FILE_BYTES);

	memcpy(plain, t->packs[0].plain + HEAD_PLACE, HEAD_BYTES);
	memcpy(plain + HEAD_BYTES + HOLE_BYTES, t->packs[1].plain, PACK_PLAIN);
	memcpy(plain + HEAD_BYTES + HOLE_BYTES + PACK_PLAIN, t->packs[2].plain + LAST_PLACE, LAST_BYTES);
	return plain;
}

static int read_test_file(struct packs_of_test *t, uint64_t at, size_t len, char *buf, struct cancel *cancel,
                          const char **ret_pack, struct error *err)
{
	const struct runs_read what = {
	        .job = "main", .entry = &file_of_test, .at = at, .len = len, .buf = buf, .cancel = cancel};

	return runs_reader_read(t->runs, &what, ret_pack, err);
}

static void assert_range(struct packs_of_test *t, const char *plain, uint64_t at, size_t len)
{
	_cleanup(free) char *buf = mem_resize(NULL, len + 1, 1);

	memset(buf, 0xEE, len + 1);
	assert_int_equal(read_test_file(t, at, len, buf, NULL, NULL, NULL), 0);
	assert_memory_equal(buf, plain + at, len);
	assert_int_equal((unsigned char)buf[len], 0xEE);
}

static void test_ranges_are_the_plain_bytes(void **state)
{
	struct packs_of_test *t = *state;
	_cleanup(free) char *plain = plain_file(t);
	uint64_t at = 1;

	assert_range(t, plain, 0, FILE_BYTES);
	assert_range(t, plain, FILE_BYTES, 0);
	assert_range(t, plain, FILE_BYTES - 1, 1);
	for (unsigned i = 0; i < 400; i++) {
		size_t len = (size_t)(at % (i % 3 ? 9000 : 400000)) + 1;

		at = (at * UINT64_C(6364136223846793005) + 1442695040888963407U) >> 11;
		at %= FILE_BYTES;
		assert_range(t, plain, at, len < FILE_BYTES - at ? len : (size_t)(FILE_BYTES - at));
	}
}

static void test_ranges_that_are_none(void **state)
{
	struct packs_of_test *t = *state;
	struct error err = {0};
	char buf[2];

	assert_int_equal(read_test_file(t, FILE_BYTES, 1, buf, NULL, NULL, &err), -EINVAL);
	assert_int_equal(read_test_file(t, FILE_BYTES - 1, 2, buf, NULL, NULL, &err), -EINVAL);
	assert_int_equal(read_test_file(t, UINT64_MAX, 1, buf, NULL, NULL, &err), -EINVAL);
}

/* Whoever reads on in small pieces has no frame decoded twice. */
static void test_small_reads_decode_each_frame_once(void **state)
{
	struct packs_of_test *t = *state;
	_cleanup(free) char *plain = plain_file(t);
	struct runs_reader_counts whole, small;

	assert_range(t, plain, 0, FILE_BYTES);
	runs_reader_counts(t->runs, &whole);
	start_runs(t, 16, THREADS, 0);
	for (uint64_t at = 0; at < FILE_BYTES; at += 999)
		assert_range(t, plain, at, FILE_BYTES - at < 999 ? FILE_BYTES - at : 999);
	runs_reader_counts(t->runs, &small);
	assert_int_equal(small.decoded, whole.decoded);
	assert_true(small.kept > FILE_BYTES / 999 / 2);
	assert_int_equal(small.opened, 3);
}

/* With the least memory frames are dropped, and the bytes are the same. */
static void test_little_memory(void **state)
{
	struct packs_of_test *t = *state;
	_cleanup(free) char *plain = plain_file(t);

	start_runs(t, RUNS_BUFFERS_MIN, 1, 0);
	for (unsigned round = 0; round < 3; round++)
		for (uint64_t at = round; at < FILE_BYTES; at += 40009)
			assert_range(t, plain, at, FILE_BYTES - at < 5000 ? FILE_BYTES - at : 5000);
}

static void test_options_that_cannot_be(void **state)
{
	struct packs_of_test *t = *state;
	struct runs_options options = {.reader = t->reader,
	                               .packs = {.open = open_test_pack, .arg = t},
	                               .pool = t->pool,
	                               .buffers = RUNS_BUFFERS_MIN,
	                               .threads = 2};
	struct runs_reader *r = NULL;

	assert_int_equal(runs_reader_new(&options, &r, NULL), -EINVAL);
	options.threads = 0;
	assert_int_equal(runs_reader_new(&options, &r, NULL), -EINVAL);
	options.threads = 1;
	options.buffers = 1000;
	assert_int_equal(runs_reader_new(&options, &r, NULL), -ENOSPC);
	assert_null(r);
}

static void test_packs_that_are_gone_or_too_short(void **state)
{
	struct packs_of_test *t = *state;
	_cleanup(free) char *plain = plain_file(t);
	struct listing_run run = {.bytes = 2, .pack = (char *)DIRECTORY "/00001", .place = PACK_PLAIN - 1};
	const struct listing_entry e = {
	        .format = LISTING_BASE, .key = (char *)"x", .bytes = 2, .runs = &run, .run_count = 1};
	struct runs_read what = {.job = "main", .entry = &e, .len = 2};
	const char *pack = NULL;
	struct error err = {0};
	char buf[10];

	what.buf = buf;
	t->refuse_pack = 2;
	assert_int_equal(read_test_file(t, FILE_BYTES - LAST_BYTES - 5, 10, buf, NULL, &pack, &err), -ENOENT);
	assert_string_equal(pack, DIRECTORY "/00002");
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	assert_non_null(strstr(err.message, "packs/main/" DIRECTORY "/00002.tar.zst"));
	/* It comes back. */
	t->refuse_pack = 0;
	assert_range(t, plain, FILE_BYTES - LAST_BYTES - 5, 10);
	assert_int_equal(runs_reader_read(t->runs, &what, &pack, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	run.place = UINT64_MAX / 2;
	assert_int_equal(runs_reader_read(t->runs, &what, &pack, &err), -EBADMSG);
	assert_string_equal(pack, DIRECTORY "/00001");
}

/* What is stored is as it was sent, and is no frame: somebody has sent what is wrong. */
static void test_a_damaged_frame(void **state)
{
	struct packs_of_test *t = *state;
	_cleanup(free) char *plain = plain_file(t), *buf = mem_alloc(FILE_BYTES);
	char *byte = t->packs[1].stored.data + 30000;
	const char *pack = NULL;
	struct error err = {0};

	*byte ^= 1;
	assert_int_equal(read_test_file(t, 0, FILE_BYTES, buf, NULL, &pack, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_string_equal(pack, DIRECTORY "/00002");
	assert_non_null(strstr(err.message, "00002.tar.zst"));
	/* The rest is served, and what was made right again is read. */
	assert_range(t, plain, 0, HEAD_BYTES);
	assert_range(t, plain, FILE_BYTES - LAST_BYTES, LAST_BYTES);
	*byte ^= 1;
	assert_range(t, plain, 0, FILE_BYTES);
}

static void test_a_table_that_is_damaged(void **state)
{
	struct packs_of_test *t = *state;
	struct str *stored = &t->packs[0].stored;
	char buf[10];

	for (size_t back = 1; back <= SEEKABLE_TAIL_BYTES; back++) {
		struct error err = {0};

		stored->data[stored->len - back] ^= 0x40;
		assert_true(read_test_file(t, 0, 10, buf, NULL, NULL, &err) < 0);
		assert_int_equal(err.class, ERROR_CORRUPT);
		stored->data[stored->len - back] ^= 0x40;
	}
	stored->len = 5;
	assert_int_equal(read_test_file(t, 0, 10, buf, NULL, NULL, NULL), -EBADMSG);
}

static void test_forgetting(void **state)
{
	struct packs_of_test *t = *state;
	_cleanup(free) char *plain = plain_file(t);
	_cleanup(free) char *path = runs_reader_pack_path("main", DIRECTORY "/00001");
	const struct runs_pack name = {.path = path}, copy = {.path = path, .store = 3};

	assert_string_equal(path, "packs/main/" DIRECTORY "/00001.tar.zst");
	assert_range(t, plain, 0, 10);
	runs_reader_forget(t->runs, &copy);
	assert_int_equal(t->closed, 0);
	runs_reader_forget(t->runs, &name);
	assert_int_equal(t->closed, 1);
	assert_range(t, plain, 0, 10);
	assert_int_equal(t->opened, 2);
}

/* A copy in another store is another pack. */
static void test_copies_are_packs_of_their_own(void **state)
{
	struct packs_of_test *t = *state;
	_cleanup(free) char *plain = plain_file(t);
	struct runs_read what = {.store = 7, .job = "main", .entry = &file_of_test, .len = 10};
	char buf[10];

	what.buf = buf;
	assert_range(t, plain, 0, 10);
	assert_int_equal(runs_reader_read(t->runs, &what, NULL, NULL), 0);
	assert_memory_equal(buf, plain, 10);
	assert_int_equal(t->opened, 2);
	assert_int_equal(t->last_store, 7);
}

/* Reading half of a pack in order opens those behind it, and ends where there is none. */
static void test_packs_are_opened_ahead(void **state)
{
	struct packs_of_test *t = *state;
	struct listing_run run = {.bytes = PACK_PLAIN, .pack = (char *)DIRECTORY "/00001"};
	const struct listing_entry e = {.format = LISTING_BASE,
	                                .key = (char *)"x",
	                                .bytes = PACK_PLAIN,
	                                .runs = &run,
	                                .run_count = 1};
	_cleanup(free) char *buf = mem_alloc(PACK_PLAIN);
	struct runs_read what = {.job = "main", .entry = &e, .buf = buf};

	start_runs(t, 16, THREADS, 64 << 20);
	for (what.len = 1000; what.at < PACK_PLAIN / 2 - 2000; what.at += what.len)
		assert_int_equal(runs_reader_read(t->runs, &what, NULL, NULL), 0);
	assert_int_equal(t->opened, 1);
	what.len = 5000;
	assert_int_equal(runs_reader_read(t->runs, &what, NULL, NULL), 0);
	pthread_mutex_lock(&t->lock);
	while (t->opened < PACKS)
		pthread_cond_wait(&t->changed, &t->lock);
	pthread_mutex_unlock(&t->lock);
	/* They are there. */
	for (run.pack = (char *)DIRECTORY "/00004", what.at = 0; what.at < 10000; what.at += what.len)
		assert_int_equal(runs_reader_read(t->runs, &what, NULL, NULL), 0);
	assert_memory_equal(buf, t->packs[3].plain + what.at - what.len, what.len);
	assert_int_equal(t->opened, PACKS);
}

struct waiting_reader {
	struct packs_of_test *t;
	struct cancel cancel;
	pthread_t thread;
	char buf[100];
	int result;
};

static void *read_and_wait(void *arg)
{
	struct waiting_reader *w = arg;

	w->result = read_test_file(w->t, 5, sizeof(w->buf), w->buf, &w->cancel, NULL, NULL);
	return NULL;
}

static void hold_packs(struct packs_of_test *t, bool on)
{
	pthread_mutex_lock(&t->lock);
	t->is_held = on;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static void wait_for_held_get(struct packs_of_test *t)
{
	pthread_mutex_lock(&t->lock);
	while (t->held == 0)
		pthread_cond_wait(&t->changed, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

/* One of several that want the same frame gives up, whichever it is: the others get it. More wait than have a turn. */
static void test_giving_up(void **state)
{
	struct packs_of_test *t = *state;
	_cleanup(free) char *plain = plain_file(t);
	struct waiting_reader readers[2 * THREADS];

	hold_packs(t, true);
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		readers[i].t = t;
		cancel_init(&readers[i].cancel);
		assert_int_equal(thread_start(&readers[i].thread, "reader", read_and_wait, &readers[i]), 0);
	}
	wait_for_held_get(t);
	for (size_t i = 0; i < ARRAY_SIZE(readers) / 2; i++) {
		cancel_set(&readers[i].cancel);
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].result, -ECANCELED);
	}
	hold_packs(t, false);
	for (size_t i = ARRAY_SIZE(readers) / 2; i < ARRAY_SIZE(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].result, 0);
		assert_memory_equal(readers[i].buf, plain + 5, sizeof(readers[i].buf));
	}
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		cancel_finish(&readers[i].cancel);
}

struct random_reader {
	struct packs_of_test *t;
	const char *plain;
	uint64_t state;
	pthread_t thread;
};

static void *read_at_random(void *arg)
{
	struct random_reader *r = arg;

	for (unsigned i = 0; i < 200; i++) {
		uint64_t at;

		r->state = r->state * UINT64_C(6364136223846793005) + 1442695040888963407U;
		at = (r->state >> 20) % (FILE_BYTES - 20000);
		if (i % 50 == 49) {
			_cleanup(free) char *path = runs_reader_pack_path("main", DIRECTORY "/00002");
			const struct runs_pack name = {.path = path};

			runs_reader_forget(r->t->runs, &name);
		}
		assert_range(r->t, r->plain, at, (size_t)(r->state >> 50));
	}
	return NULL;
}

static void test_many_readers(void **state)
{
	struct packs_of_test *t = *state;
	_cleanup(free) char *plain = plain_file(t);
	struct random_reader readers[6];

	start_runs(t, 16, THREADS, 1 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		readers[i] = (struct random_reader){.t = t, .plain = plain, .state = i + 1};
		assert_int_equal(thread_start(&readers[i].thread, "reader", read_at_random, &readers[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		pthread_join(readers[i].thread, NULL);
	runs_reader_free(t->runs);
	t->runs = NULL;
	assert_int_equal(t->opened, t->closed);
}

#define PACKS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_packs, tear_down_packs)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        PACKS_TEST(test_ranges_are_the_plain_bytes),
	        PACKS_TEST(test_ranges_that_are_none),
	        PACKS_TEST(test_small_reads_decode_each_frame_once),
	        PACKS_TEST(test_little_memory),
	        PACKS_TEST(test_options_that_cannot_be),
	        PACKS_TEST(test_packs_that_are_gone_or_too_short),
	        PACKS_TEST(test_a_damaged_frame),
	        PACKS_TEST(test_a_table_that_is_damaged),
	        PACKS_TEST(test_forgetting),
	        PACKS_TEST(test_copies_are_packs_of_their_own),
	        PACKS_TEST(test_packs_are_opened_ahead),
	        PACKS_TEST(test_giving_up),
	        PACKS_TEST(test_many_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The reader's life, and that of its files. Files of one artifact (the same inode, key and extent table)
 * share it and its blocks. With its last file an artifact loses its blocks at once, gets under way for it are
 * cancelled, and the memory is the next one's: what is read again soon comes from the kernel's page cache.
 * An artifact outlives its last file only until those gets have returned.
 */
#include "reader_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>

#include <assert.h>
#include <errno.h>
#include <string.h>

static int start_threads(struct reader *r, struct error *err)
{
	int result = 0;

	while (result == 0 && r->started < r->threads) {
		struct fetcher *f = &r->fetchers[r->started];

		f->reader = r;
		result = thread_start(&f->thread, "read-fetch", fetch_main, f);
		if (result == 0)
			r->started++;
	}
	return result == 0 ? 0 : error_system(err, -result, "threads for reading cannot be started");
}

static int check_options(const struct reader_options *options, struct error *err)
{
	if (options->buffers < READER_BUFFERS_MIN || options->threads == 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "reading needs at least %d buffers of 1 MiB and a thread; raise [keepfs] memory",
		        READER_BUFFERS_MIN);
	if (!pool_try_reserve(options->pool, options->buffers))
		return error_set(err, ERROR_NO_SPACE, ENOSPC,
		                 "%zu buffers of 1 MiB for reading are more than the pool can promise; raise "
		                 "[keepfs] memory",
		                 options->buffers);
	return 0;
}

int reader_new(const struct reader_options *options, struct reader **ret_reader, struct error *err)
{
	struct reader *r;
	int result = check_options(options, err);

	if (result < 0)
		return result;
	r = mem_alloc(sizeof(*r));
	*r = (struct reader){.store = options->store,
	                     .pool = options->pool,
	                     .block_count = options->buffers,
	                     .threads = options->threads};
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->work, NULL);
	pthread_cond_init(&r->answered, NULL);
	block_table_init(r);
	r->fetchers = mem_array(options->threads, sizeof(*r->fetchers));
	result = start_threads(r, err);
	if (result < 0) {
		reader_free(r);
		return result;
	}
	*ret_reader = r;
	return 0;
}

/* With the lock: end the gets under way for @a, or for all. Their hooks only wake, as base/cancel.h wants. */
static void cancel_gets(struct reader *r, const struct artifact *a)
{
	for (unsigned i = 0; i < r->threads; i++)
		if (r->fetchers[i].artifact && (!a || r->fetchers[i].artifact == a))
			cancel_set(&r->fetchers[i].cancel);
}

struct reader *reader_free(struct reader *r)
{
	if (!r)
		return NULL;
	pthread_mutex_lock(&r->lock);
	r->ending = true;
	cancel_gets(r, NULL);
	pthread_cond_broadcast(&r->work);
	pthread_mutex_unlock(&r->lock);
	for (unsigned i = 0; i < r->started; i++)
		pthread_join(r->fetchers[i].thread, NULL);
	block_table_finish(r);
	pool_unreserve(r->pool, r->block_count);
	pthread_cond_destroy(&r->answered);
	pthread_cond_destroy(&r->work);
	pthread_mutex_destroy(&r->lock);
	free(r->fetchers);
	free(r);
	return NULL;
}

void artifact_release(struct artifact *a)
{
	if (a->files > 0 || a->loading > 0)
		return;
	extents_finish(&a->extents);
	free(a->key);
	free(a);
}

static struct artifact **artifact_bucket(struct reader *r, uint64_t ino)
{
	return &r->artifacts[(ino * UINT64_C(0x9E3779B97F4A7C15)) >> 32 & (ARTIFACT_BUCKETS - 1)];
}

static bool is_artifact(const struct artifact *a, uint64_t ino, const char *key, const struct extents *x)
{
	return a->ino == ino && str_equal(a->key, key) && a->extents.count == x->count &&
	       (x->count == 0 || memcmp(a->extents.items, x->items, x->count * sizeof(*x->items)) == 0);
}

/* With the lock: the artifact that is open already, or a new one that takes what @extents holds. */
static struct artifact *artifact_get(struct reader *r, uint64_t ino, const char *key, struct extents *extents)
{
	struct artifact **bucket = artifact_bucket(r, ino);
	struct artifact *a = *bucket;

	while (a && !is_artifact(a, ino, key, extents))
		a = a->next;
	if (!a) {
		a = mem_alloc(sizeof(*a));
		*a = (struct artifact){
		        .ino = ino, .key = mem_strdup(key), .extents = *extents, .next = *bucket};
		*extents = (struct extents){0};
		*bucket = a;
	}
	a->files++;
	return a;
}

int reader_open(struct reader *r, uint64_t ino, const char *key, struct extents *extents,
                struct reader_file **ret_file, struct error *err)
{
	struct reader_file *f = NULL;

	pthread_mutex_lock(&r->lock);
	if (!r->refusing) {
		f = mem_alloc(sizeof(*f));
		*f = (struct reader_file){
		        .reader = r, .artifact = artifact_get(r, ino, key, extents), .next = r->files};
		if (f->next)
			f->next->prev = f;
		r->files = f;
	}
	pthread_mutex_unlock(&r->lock);
	extents_finish(extents);
	if (!f)
		return error_set(err, ERROR_CANCELLED, ESHUTDOWN, "keepfs is shutting down");
	*ret_file = f;
	return 0;
}

/* With the lock: the last file of @a is closed. */
static void artifact_close(struct reader *r, struct artifact *a)
{
	struct artifact **at = artifact_bucket(r, a->ino);

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	for (size_t i = 0; i < r->block_count; i++) {
		struct block *b = &r->blocks[i];

		if (b->artifact == a && b->state != BLOCK_LOADING)
			block_drop(r, b);
	}
	cancel_gets(r, a);
	artifact_release(a);
}

static void fail_all(struct reader_file *f, int errnum, const struct error *err, struct answers *answers)
{
	while (f->pendings)
		request_fail(f->reader, f->pendings, -errnum, err, answers);
}

void reader_close(struct reader_file *f)
{
	static const struct error closed = {
	        .class = ERROR_CANCELLED, .errnum = ECANCELED, .message = "the file was closed"};
	struct reader *r = f->reader;
	struct answers answers = {0};

	pthread_mutex_lock(&r->lock);
	fail_all(f, ECANCELED, &closed, &answers);
	request_deliver(r, &answers);
	while (f->answering > 0)
		pthread_cond_wait(&r->answered, &r->lock);
	*(f->prev ? &f->prev->next : &r->files) = f->next;
	if (f->next)
		f->next->prev = f->prev;
	if (--f->artifact->files == 0)
		artifact_close(r, f->artifact);
	/* The buffers that came free may be what others wait for. */
	request_deliver(r, &answers);
	pthread_mutex_unlock(&r->lock);
	free(f);
}

void reader_cancel_all(struct reader *r)
{
	static const struct error ended = {
	        .class = ERROR_CANCELLED, .errnum = EIO, .message = "keepfs is shutting down"};
	struct answers answers = {0};

	pthread_mutex_lock(&r->lock);
	r->refusing = true;
	for (struct reader_file *f = r->files; f; f = f->next)
		fail_all(f, EIO, &ended, &answers);
	while (r->ahead.first)
		block_drop(r, r->ahead.first);
	cancel_gets(r, NULL);
	request_deliver(r, &answers);
	pthread_mutex_unlock(&r->lock);
}

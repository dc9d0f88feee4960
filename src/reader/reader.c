// SPDX-License-Identifier: Apache-2.0
/*
 * The reader's life, and that of its files. Files of one artifact (the same inode, key and extent table)
 * share it and its blocks. With its last file an artifact loses its blocks at once, gets under way for it are
 * cancelled, and the memory is the next one's: what is read again soon comes from the kernel's page cache. An
 * artifact outlives its last file only until those gets have returned.
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

static unsigned ahead_blocks(const struct reader_options *options)
{
	uint64_t blocks = (options->ahead_bytes + POOL_BUFFER_BYTES - 1) / POOL_BUFFER_BYTES;

	return blocks < options->buffers ? (unsigned)blocks : (unsigned)options->buffers;
}

int reader_new(const struct reader_options *options, struct reader **ret_reader, struct error *err)
{
	struct reader *r;
	int result = check_options(options, err);

	if (result < 0)
		return result;
	r = mem_alloc(sizeof(*r));
	*r = (struct reader){.store = options->store,
	                     .cache = options->cache,
	                     .pool = options->pool,
	                     .metrics = options->metrics,
	                     .block_count = options->buffers,
	                     .ahead_blocks_max = ahead_blocks(options),
	                     .threads = options->threads};
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->answered, NULL);
	block_table_init(r);
	gets_init(r);
	r->fetchers = mem_array(options->threads, sizeof(*r->fetchers));
	for (unsigned i = 0; i < r->threads; i++)
		pthread_cond_init(&r->fetchers[i].wake, NULL);
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
		if (r->fetchers[i].batch.artifact && (!a || r->fetchers[i].batch.artifact == a))
			cancel_set(&r->fetchers[i].cancel);
}

struct reader *reader_free(struct reader *r)
{
	if (!r)
		return NULL;
	pthread_mutex_lock(&r->lock);
	fetch_end(r);
	cancel_gets(r, NULL);
	pthread_mutex_unlock(&r->lock);
	for (unsigned i = 0; i < r->started; i++)
		pthread_join(r->fetchers[i].thread, NULL);
	block_table_finish(r);
	pool_unreserve(r->pool, r->block_count);
	pthread_cond_destroy(&r->answered);
	for (unsigned i = 0; i < r->threads; i++)
		pthread_cond_destroy(&r->fetchers[i].wake);
	pthread_mutex_destroy(&r->lock);
	free(r->fetchers);
	free(r);
	return NULL;
}

void artifact_release(struct artifact *a)
{
	if (a->files > 0 || a->users > 0)
		return;
	sha256_free(a->whole_hash);
	extents_finish(&a->extents);
	free(a->key);
	free(a);
}

static struct artifact **artifact_bucket(struct reader *r, uint64_t ino)
{
	return &r->artifacts[(ino * UINT64_C(0x9E3779B97F4A7C15)) >> 32 & (ARTIFACT_BUCKETS - 1)];
}

static bool is_artifact(const struct artifact *a, const struct reader_what *what)
{
	const struct extents *x = what->extents;

	return a->ino == what->ino && !a->stale && str_equal(a->key, what->key) &&
	       a->extents.count == x->count &&
	       (x->count == 0 || memcmp(a->extents.items, x->items, x->count * sizeof(*x->items)) == 0);
}

static struct artifact *artifact_new(const struct reader *r, const struct reader_what *what)
{
	struct artifact *a = mem_alloc(sizeof(*a));

	*a = (struct artifact){.ino = what->ino, .key = mem_strdup(what->key), .extents = *what->extents};
	*what->extents = (struct extents){0};
	str_copy(a->sha256, sizeof(a->sha256), what->sha256 ? what->sha256 : "");
	if (r->cache)
		reader_cache_id(a->sha256, &a->extents, a->cache_id);
	return a;
}

/* With the lock: the artifact that is open already, or a new one that takes what @what's extents hold. */
static struct artifact *artifact_get(struct reader *r, const struct reader_what *what)
{
	struct artifact **bucket = artifact_bucket(r, what->ino);
	struct artifact *a = *bucket;

	while (a && !is_artifact(a, what))
		a = a->next;
	if (!a) {
		a = artifact_new(r, what);
		a->next = *bucket;
		*bucket = a;
	}
	if (what->whole && a->sha256[0] && a->whole == WHOLE_OFF)
		a->whole = WHOLE_ON;
	a->files++;
	return a;
}

int reader_open(struct reader *r, const struct reader_what *what, struct reader_file **ret_file,
                struct error *err)
{
	struct reader_file *f = NULL;

	pthread_mutex_lock(&r->lock);
	if (!r->refusing) {
		f = mem_alloc(sizeof(*f));
		*f = (struct reader_file){.reader = r, .artifact = artifact_get(r, what), .next = r->files};
		if (f->next)
			f->next->prev = f;
		r->files = f;
		atomic_fetch_add(&r->metrics->open_files, 1);
	}
	pthread_mutex_unlock(&r->lock);
	extents_finish(what->extents);
	if (!f)
		return error_set(err, ERROR_CANCELLED, ESHUTDOWN, "keepfs is shutting down");
	*ret_file = f;
	return 0;
}

/* With the lock: the last file of @a is closed. */
static void artifact_close(struct reader *r, struct artifact *a, struct answers *answers)
{
	struct artifact **at = artifact_bucket(r, a->ino);

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	whole_end(r, a, answers);
	for (size_t i = 0; i < r->block_count; i++)
		if (r->blocks[i].artifact == a)
			block_clear(r, &r->blocks[i]);
	cancel_gets(r, a);
	artifact_release(a);
}

static void fail_all(struct reader_file *f, int errnum, const struct error *err, struct answers *answers)
{
	while (f->pendings)
		request_fail(f->reader, f->pendings, -errnum, err, answers);
}

void reader_close(struct reader_file *f, struct reader_file_stats *ret)
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
	ahead_end(f);
	f->stats.whole = f->artifact->whole == WHOLE_RIGHT;
	f->stats.verified_at_us = f->artifact->verified_at_us;
	if (ret)
		*ret = f->stats;
	if (--f->artifact->files == 0)
		artifact_close(r, f->artifact, &answers);
	/* The buffers that came free may be what others wait for. */
	request_deliver(r, &answers);
	pthread_mutex_unlock(&r->lock);
	atomic_fetch_sub(&r->metrics->open_files, 1);
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
	for (size_t i = 0; i < r->block_count; i++)
		if (r->blocks[i].artifact && r->blocks[i].ahead) {
			r->blocks[i].ahead = 0;
			block_changed(r, &r->blocks[i]);
		}
	cancel_gets(r, NULL);
	request_deliver(r, &answers);
	pthread_mutex_unlock(&r->lock);
}

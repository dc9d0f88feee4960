// SPDX-License-Identifier: Apache-2.0
/*
 * The reader's life, and that of its files. Files of one artifact (the same inode, key and extent table)
 * share it and its blocks. With its last file an artifact loses its blocks at once, gets under way for it are
 * cancelled, and the memory is the next one's: what is read again soon comes from the kernel's page cache. An
 * artifact outlives its last file only until those gets have returned.
 *
 * Everything here runs on callers' threads, several at the same time; what has to hold the lock says so.
 */
#include "reader_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>

#include <assert.h>
#include <errno.h>
#include <string.h>

static int start_reader_threads(struct reader *reader, struct error *err)
{
	int r = 0;

	while (r == 0 && reader->started < reader->threads) {
		struct fetcher *f = &reader->fetchers[reader->started];

		f->reader = reader;
		r = thread_start(&f->thread, "read-fetch", fetch_main, f);
		if (r == 0)
			reader->started++;
	}
	return r == 0 ? 0 : error_system(err, -r, "threads for reading cannot be started");
}

static int check_options(const struct reader_options *options, struct error *err)
{
	if (options->buffers < READER_BUFFERS_MIN || options->threads == 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "reading needs at least %d buffers of 1 MiB and a thread; raise [keepfs] memory",
		        READER_BUFFERS_MIN);
	if (!pool_try_keep(options->pool, options->buffers))
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
	struct reader *reader;
	int r = check_options(options, err);

	if (r < 0)
		return r;
	reader = mem_alloc(sizeof(*reader));
	*reader = (struct reader){.store = options->store,
	                          .cache = options->cache,
	                          .pool = options->pool,
	                          .metrics = options->metrics,
	                          .block_count = options->buffers,
	                          .ahead_blocks_max = ahead_blocks(options),
	                          .threads = options->threads};
	pthread_mutex_init(&reader->lock, NULL);
	pthread_cond_init(&reader->answered, NULL);
	block_table_init(reader);
	gets_init(reader);
	reader->fetchers = mem_array(options->threads, sizeof(*reader->fetchers));
	for (unsigned i = 0; i < reader->threads; i++)
		pthread_cond_init(&reader->fetchers[i].wake, NULL);
	r = start_reader_threads(reader, err);
	if (r < 0) {
		reader_free(reader);
		return r;
	}
	*ret_reader = reader;
	return 0;
}

/* With the lock: end the gets under way for @a, or for all. Their hooks only wake, as base/cancel.h wants. */
static void cancel_gets(struct reader *reader, const struct artifact *a)
{
	for (unsigned i = 0; i < reader->threads; i++)
		if (reader->fetchers[i].batch.artifact && (!a || reader->fetchers[i].batch.artifact == a))
			cancel_set(&reader->fetchers[i].cancel);
}

struct reader *reader_free(struct reader *reader)
{
	if (!reader)
		return NULL;
	pthread_mutex_lock(&reader->lock);
	fetch_end(reader);
	cancel_gets(reader, NULL);
	pthread_mutex_unlock(&reader->lock);
	for (unsigned i = 0; i < reader->started; i++)
		pthread_join(reader->fetchers[i].thread, NULL);
	block_table_finish(reader);
	pool_unkeep(reader->pool, reader->block_count);
	pthread_cond_destroy(&reader->answered);
	for (unsigned i = 0; i < reader->threads; i++)
		pthread_cond_destroy(&reader->fetchers[i].wake);
	pthread_mutex_destroy(&reader->lock);
	free(reader->fetchers);
	free(reader);
	return NULL;
}

static void layout_free(struct reader_layout *l)
{
	if (l)
		l->ops->free(l);
}

/* With the lock, or while nobody else knows it. */
void artifact_release(struct artifact *a)
{
	if (a->files > 0 || a->users > 0)
		return;
	sha256_free(a->whole_hash);
	extents_finish(&a->extents);
	layout_free(a->layout);
	store_free(a->store);
	free(a->key);
	free(a);
}

static struct artifact **artifact_bucket(struct reader *reader, uint64_t ino)
{
	return &reader->artifacts[(ino * UINT64_C(0x9E3779B97F4A7C15)) >> 32 & (ARTIFACT_BUCKETS - 1)];
}

static bool is_same_artifact(const struct artifact *a, const struct artifact *b)
{
	return a->ino == b->ino && !a->stale && str_equal(a->key, b->key) && !a->layout == !b->layout &&
	       memcmp(a->extents_sha256, b->extents_sha256, sizeof(a->extents_sha256)) == 0;
}

/* Takes what @what's extents hold, and *@layout. Without the lock: a table may be large. */
static struct artifact *artifact_new(const struct reader *reader, const struct reader_what *what,
                                     struct reader_layout **layout, uint64_t bytes)
{
	struct artifact *a = mem_alloc(sizeof(*a));

	_Static_assert(sizeof(struct extent) == 16, "a table is hashed as it lies in memory");
	*a = (struct artifact){
	        .ino = what->ino, .key = mem_strdup(what->key), .extents = *what->extents, .bytes = bytes};
	*what->extents = (struct extents){0};
	a->store = what->store;
	a->layout = take_ptr(layout);
	a->cells = a->layout ? &a->layout->cells : NULL;
	str_copy(a->sha256, sizeof(a->sha256), what->sha256 ? what->sha256 : "");
	sha256_once(a->extents.items, a->extents.count * sizeof(*a->extents.items), a->extents_sha256);
	if (reader->cache)
		reader_cache_id(a->layout ? what->stored_sha256 : what->sha256, &a->extents, a->cache_id);
	return a;
}

/* With the lock: the artifact that is open already, or *@fresh, which is taken. */
static struct artifact *artifact_get(struct reader *reader, struct artifact **fresh, bool whole)
{
	struct artifact **bucket = artifact_bucket(reader, (*fresh)->ino);
	struct artifact *a = *bucket;

	while (a && !is_same_artifact(a, *fresh))
		a = a->next;
	if (!a) {
		a = take_ptr(fresh);
		a->next = *bucket;
		*bucket = a;
	}
	if (whole && a->sha256[0] && a->whole == WHOLE_OFF)
		a->whole = WHOLE_ON;
	a->files++;
	return a;
}

/* Return: NULL when the reader takes no files any more. */
static struct reader_file *file_new(struct reader *reader, struct artifact **fresh,
                                    const struct reader_what *what)
{
	struct reader_file *f = NULL;

	pthread_mutex_lock(&reader->lock);
	if (!reader->refusing) {
		f = mem_alloc(sizeof(*f));
		*f = (struct reader_file){.reader = reader,
		                          .artifact = artifact_get(reader, fresh, what->whole),
		                          .is_part = what->is_part,
		                          .next = reader->files};
		if (f->next)
			f->next->prev = f;
		reader->files = f;
		ahead_begin(f);
		atomic_fetch_add(&reader->metrics->open_files, 1);
	}
	pthread_mutex_unlock(&reader->lock);
	return f;
}

int reader_open(struct reader *reader, const struct reader_what *what, struct reader_file **ret_file,
                struct error *err)
{
	struct reader_layout *layout = what->layout;
	struct artifact *fresh;
	struct reader_file *f;
	uint64_t bytes;
	int r = layout_check(layout, what->extents, &bytes, err);

	if (r < 0) {
		error_prefix(err, "%s", what->key);
		store_free(what->store);
		layout_free(layout);
		extents_finish(what->extents);
		return r;
	}
	fresh = artifact_new(reader, what, &layout, bytes);
	f = file_new(reader, &fresh, what);
	if (fresh) /* it is open already: nobody else has seen this one */
		artifact_release(fresh);
	if (!f)
		return error_set(err, ERROR_CANCELLED, ESHUTDOWN, "keepfs is shutting down");
	*ret_file = f;
	return 0;
}

/* With the lock: the last file of @a is closed. */
static void artifact_close(struct reader *reader, struct artifact *a, struct answers *answers)
{
	struct artifact **at = artifact_bucket(reader, a->ino);

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	whole_end(reader, a, answers);
	for (size_t i = 0; i < reader->block_count; i++)
		if (reader->blocks[i].artifact == a)
			block_clear(reader, &reader->blocks[i]);
	cancel_gets(reader, a);
	artifact_release(a);
}

/* With the lock. */
static void fail_all(struct reader_file *f, int errnum, const struct error *err, struct answers *answers)
{
	while (f->pendings)
		request_fail(f->reader, f->pendings, -errnum, err, answers);
}

void reader_close(struct reader_file *f, struct reader_file_stats *ret)
{
	static const struct error closed = {
	        .class = ERROR_CANCELLED, .errnum = ECANCELED, .message = "the file was closed"};
	struct reader *reader = f->reader;
	struct answers answers = {0};

	pthread_mutex_lock(&reader->lock);
	fail_all(f, ECANCELED, &closed, &answers);
	request_deliver(reader, &answers);
	while (f->answering > 0)
		pthread_cond_wait(&reader->answered, &reader->lock);
	*(f->prev ? &f->prev->next : &reader->files) = f->next;
	if (f->next)
		f->next->prev = f->prev;
	ahead_end(f);
	f->stats.whole = f->artifact->whole == WHOLE_RIGHT;
	f->stats.verified_at_us = f->artifact->verified_at_us;
	if (ret)
		*ret = f->stats;
	if (--f->artifact->files == 0)
		artifact_close(reader, f->artifact, &answers);
	/* The buffers that came free may be what others wait for. */
	request_deliver(reader, &answers);
	pthread_mutex_unlock(&reader->lock);
	atomic_fetch_sub(&reader->metrics->open_files, 1);
	free(f);
}

void reader_expect(struct reader_file *f, uint64_t at, uint64_t len)
{
	struct reader *reader = f->reader;

	pthread_mutex_lock(&reader->lock);
	if (!reader->refusing && reader->ahead_blocks_max > 0)
		ahead_expect(f, at, len);
	pthread_mutex_unlock(&reader->lock);
}

void reader_cancel_all(struct reader *reader)
{
	static const struct error ended = {
	        .class = ERROR_CANCELLED, .errnum = EIO, .message = "keepfs is shutting down"};
	struct answers answers = {0};

	pthread_mutex_lock(&reader->lock);
	reader->refusing = true;
	for (struct reader_file *f = reader->files; f; f = f->next)
		fail_all(f, EIO, &ended, &answers);
	for (size_t i = 0; i < reader->block_count; i++)
		if (reader->blocks[i].artifact && reader->blocks[i].ahead) {
			reader->blocks[i].ahead = 0;
			block_changed(reader, &reader->blocks[i]);
		}
	cancel_gets(reader, NULL);
	request_deliver(reader, &answers);
	pthread_mutex_unlock(&reader->lock);
}

/*
 * The threads that bring blocks. Each takes the first queued block, what requests wait for before what was
 * only foreseen, and with it the blocks behind it that are queued too, up to FETCH_BLOCKS: one ranged get
 * into several buffers. One thread is always left for requests, so that a burst of read-ahead never delays
 * them by a whole get.
 *
 * No byte leaves here unchecked. A block with a wrong CRC is got once more, alone: the bytes may have been
 * spoilt on their way. Wrong again, it is the object that is wrong, and the requests fail. The store's own
 * failures are passed on; trying again is the retry wrapper's, and it has given up. Nothing that failed is
 * kept: the next request for it begins anew.
 */
#include "reader_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/codec/hash.h>

#include <errno.h>

#define FAILED_HOLD_MS 5000

struct batch {
	struct artifact *artifact;
	struct block *blocks[FETCH_BLOCKS];
	unsigned count;
	bool ahead; /* nobody waited when it was taken */
};

static bool may_read_ahead(const struct reader *r)
{
	return r->ahead.first && (r->ahead_gets == 0 || r->ahead_gets + 1 < r->threads);
}

/* With the lock: what to get next; false when the reader ends. */
static bool take_batch(struct fetcher *f, struct batch *ret)
{
	struct reader *r = f->reader;
	struct block *b;

	while (!r->ending && !r->demanded.first && !may_read_ahead(r))
		pthread_cond_wait(&r->work, &r->lock);
	if (r->ending)
		return false;
	b = r->demanded.first ? r->demanded.first : r->ahead.first;
	*ret = (struct batch){.artifact = b->artifact, .ahead = !b->demanded};
	while (b && b->state == BLOCK_QUEUED && b->demanded == !ret->ahead && ret->count < FETCH_BLOCKS) {
		block_unqueue(r, b);
		ret->blocks[ret->count++] = b;
		b = block_find(r, ret->artifact, b->span.first + b->span.count);
	}
	if (ret->ahead)
		r->ahead_gets++;
	cancel_init(&f->cancel);
	f->artifact = ret->artifact;
	return true;
}

static int get(struct fetcher *f, struct block *const *blocks, unsigned count, struct error *err)
{
	const struct store_call call = {.cancel = &f->cancel};
	const struct store_get_options options = {0};
	struct iovec iov[FETCH_BLOCKS];
	struct span last = blocks[count - 1]->span;
	int r;

	for (unsigned i = 0; i < count; i++)
		iov[i] = (struct iovec){blocks[i]->buffer, blocks[i]->span.bytes};
	*err = (struct error){0};
	r = store_get(f->reader->store, &call, blocks[0]->artifact->key, blocks[0]->span.offset, iov,
	              (int)count, &options, err);
	if (r >= 0)
		return 0;
	if (!err->message[0])
		error_system(err, -r, "the store cannot be read");
	error_prefix(err, "bytes %llu to %llu of %s", (unsigned long long)blocks[0]->span.offset,
	             (unsigned long long)(last.offset + last.bytes - 1), blocks[0]->artifact->key);
	/* To the store the range is wrong; the manifest says that it is the object. */
	if (r == -ERANGE)
		err->class = ERROR_CORRUPT;
	err->errnum = EIO;
	return -EIO;
}

static int check(const struct block *b, struct error *err)
{
	const struct extent *x = &b->artifact->extents.items[b->span.first];

	for (size_t i = 0; i < b->span.count; i++, x++) {
		uint32_t found = crc32c(0, b->buffer + (x->offset - b->span.offset), x->length);

		if (found != x->crc32c)
			return error_set(
			        err, ERROR_CORRUPT, EIO,
			        "%s is damaged in the store: the %u bytes from offset %llu have CRC-32C "
			        "%08x, its manifest says %08x; do not rely on this backup",
			        b->artifact->key, x->length, (unsigned long long)x->offset, found, x->crc32c);
	}
	return 0;
}

static int check_or_get_again(struct fetcher *f, struct block *b, struct error *err)
{
	int r = check(b, err);

	if (r < 0)
		r = get(f, &b, 1, err);
	else
		return 0;
	return r < 0 ? r : check(b, err);
}

static bool is_wanted(struct reader *r, const struct block *b)
{
	bool wanted;

	pthread_mutex_lock(&r->lock);
	wanted = b->pins > 0;
	pthread_mutex_unlock(&r->lock);
	return wanted;
}

/* @b's get has ended with @result: tell those who wait. */
static void settle(struct reader *r, struct block *b, int result, const struct error *err)
{
	struct answers answers = {0};
	struct artifact *a = b->artifact;

	pthread_mutex_lock(&r->lock);
	a->loading--;
	if (result == 0) {
		block_ready(r, b);
		request_block_ready(b, &answers);
	} else {
		request_block_failed(r, b, result, err, &answers);
	}
	if (result < 0 || a->files == 0)
		block_drop(r, b);
	artifact_release(a);
	request_deliver(r, &answers);
	pthread_mutex_unlock(&r->lock);
}

/* The kernel asks again, page by page, for what a failed read-ahead did not bring, and a copy has more blocks
 * queued: without a memory each of them would wait for the store's whole deadline. */
static bool failed_just_now(struct reader *r, const struct artifact *a, struct error *err)
{
	bool failed;

	pthread_mutex_lock(&r->lock);
	failed = clock_mono_ms() < a->failed_until_ms;
	if (failed)
		*err = a->failure;
	pthread_mutex_unlock(&r->lock);
	return failed;
}

/* @err.retry: trying again might have helped, but the time for that was over. */
static void note_failure(struct reader *r, struct artifact *a, const struct error *err)
{
	pthread_mutex_lock(&r->lock);
	a->failed_until_ms = clock_mono_ms() + FAILED_HOLD_MS;
	a->failure = *err;
	pthread_mutex_unlock(&r->lock);
}

static int get_or_fail_fast(struct fetcher *f, const struct batch *batch, struct error *err)
{
	int result;

	if (failed_just_now(f->reader, batch->artifact, err))
		return -EIO;
	result = get(f, batch->blocks, batch->count, err);
	if (result < 0 && err->retry)
		note_failure(f->reader, batch->artifact, err);
	return result;
}

static void fetch(struct fetcher *f, const struct batch *batch)
{
	struct reader *r = f->reader;
	struct error err;
	int result = get_or_fail_fast(f, batch, &err);
	/* A get that ended for good may have failed for one block of several only, an object cut short for
	 * instance: those that somebody waits for are tried alone. */
	bool alone = result < 0 && batch->count > 1 && !err.retry && !cancel_is_set(&f->cancel);

	for (unsigned i = 0; i < batch->count; i++) {
		struct block *b = batch->blocks[i];
		struct error one = err;
		int block_result = result;

		if (alone && is_wanted(r, b))
			block_result = get(f, &b, 1, &one);
		if (block_result == 0)
			block_result = check_or_get_again(f, b, &one);
		settle(r, b, block_result, &one);
	}
}

void *fetch_main(void *arg)
{
	struct fetcher *f = arg;
	struct reader *r = f->reader;
	struct batch batch;

	pthread_mutex_lock(&r->lock);
	while (take_batch(f, &batch)) {
		pthread_mutex_unlock(&r->lock);
		fetch(f, &batch);
		pthread_mutex_lock(&r->lock);
		f->artifact = NULL;
		cancel_finish(&f->cancel);
		if (batch.ahead)
			r->ahead_gets--;
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

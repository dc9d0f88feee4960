// SPDX-License-Identifier: Apache-2.0
/*
 * The threads that bring blocks. Each takes parts of the first block that something is to be fetched of, what
 * requests wait for before what was only foreseen, and with them those of the blocks behind it that follow
 * without a gap, up to FETCH_BLOCKS: one ranged get into several buffers. One thread is always left for
 * requests, so that a burst of read-ahead never delays them by a whole get.
 *
 * A piece is checked and given out as soon as its bytes have arrived, while the get goes on: it is still in
 * the processor's caches then, and who waits for the first of sixteen blocks does not wait for the last.
 *
 * No byte leaves here unchecked. A part with a wrong CRC is got once more, alone, when the get is over: the
 * bytes may have been spoilt on their way. Wrong again, it is the object that is wrong, and the requests
 * fail. The store's own failures are passed on; trying again is the retry wrapper's, and it has given up.
 * Nothing that failed is kept: the next request for it begins anew.
 *
 * The first get of an artifact learns the object's etag, all others insist on it: bytes of two objects are
 * never handed out as one file's. An object that the store has copied onto itself (into another storage class) has
 * another etag and the same bytes. So when it changes it is learned anew, and the checksums decide: what does not fit
 * them then was replaced, and is not damaged.
 *
 * A fetcher holds the lock while it takes a batch and finishes it, and releases it for all between. Functions here
 * run on its thread without the lock, and take it for what they have to look up or to change, unless their comment says
 * "with the lock": these are called by it at both ends, and by callers that have something fetched. What the pieces
 * of its batch hold is its own until settle_parts(), which makes it everybody's.
 */
#include "reader_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>

#include <errno.h>

#define FAILED_HOLD_MS 5000

static bool may_read_ahead(const struct reader *reader)
{
	return reader->ahead.first && gets_may_begin(reader);
}

/* Consecutive @parts of @b. */
static struct piece piece_of(struct block *b, parts_t parts)
{
	const struct extent *items = b->artifact->extents.items;
	const struct extent *first = &items[span_extent(&b->span, (unsigned)__builtin_ctzll(parts))];
	const struct extent *last = &items[span_extent(&b->span, 64 - (unsigned)__builtin_clzll(parts)) - 1];

	return (struct piece){.block = b,
	                      .parts = parts,
	                      .from = (size_t)(first->offset - b->span.stored_offset),
	                      .bytes = (size_t)(last->offset + last->length - first->offset)};
}

/* With the lock: take the first run of parts of @b that are to be fetched; false when there is none, or, for a further
 * piece, none that follows the last. */
static bool take_parts(struct reader *reader, struct batch *batch, struct block *b)
{
	parts_t parts = batch->ahead ? b->ahead : b->wanted;
	/* Of a hole between two wanted parts it costs less to bring it than to ask twice. */
	parts_t fill = batch->ahead ? 0 : span_parts(&b->span) & ~(b->ready | b->loading);
	parts_t run = parts_run(parts, fill);

	if (!run || (batch->count > 0 && !(run & 1)))
		return false;
	batch->pieces[batch->count++] = piece_of(b, run);
	b->loading |= run;
	b->wanted &= ~run;
	b->ahead &= ~run;
	block_changed(reader, b);
	return true;
}

static bool reaches_end(const struct piece *p)
{
	return p->from + p->bytes == p->block->span.stored_bytes;
}

/* With the lock. Of threads that are on their way already each takes something. */
static bool is_one_more_needed(const struct reader *reader)
{
	return reader->waking < reader->wanted.count || (reader->waking == 0 && may_read_ahead(reader));
}

void fetch_wake(struct reader *reader)
{
	struct fetcher *f = reader->idle_fetchers;

	if (!f || !is_one_more_needed(reader))
		return;
	reader->idle_fetchers = f->idle_next;
	f->idle = false;
	reader->waking++;
	pthread_cond_signal(&f->wake);
}

void fetch_end(struct reader *reader)
{
	reader->ending = true;
	for (unsigned i = 0; i < reader->threads; i++)
		pthread_cond_signal(&reader->fetchers[i].wake);
}

/* With the lock: until there is something to do. The thread that came last goes first: what it needs is still
 * in the processor's caches. */
static void be_idle(struct fetcher *f)
{
	struct reader *reader = f->reader;

	f->idle = true;
	f->idle_next = reader->idle_fetchers;
	reader->idle_fetchers = f;
	while (f->idle && !reader->ending)
		pthread_cond_wait(&f->wake, &reader->lock);
	if (!f->idle)
		reader->waking--;
}

/* With the lock: what to get next; false when the reader ends. */
static bool take_batch(struct fetcher *f)
{
	struct reader *reader = f->reader;
	struct batch *batch = &f->batch;
	struct block *b;
	unsigned most;

	while (!reader->ending && !reader->wanted.first && !may_read_ahead(reader))
		be_idle(f);
	if (reader->ending)
		return false;
	b = reader->wanted.first ? reader->wanted.first : reader->ahead.first;
	*batch = (struct batch){.artifact = b->artifact, .ahead = !reader->wanted.first};
	most = batch->ahead ? gets_blocks(reader) : FETCH_BLOCKS;
	while (b && batch->count < most && take_parts(reader, batch, b) &&
	       reaches_end(&batch->pieces[batch->count - 1]))
		b = block_find(reader, batch->artifact, b->span.first + b->span.count);
	batch->artifact->users++;
	str_copy(batch->etag, sizeof(batch->etag), batch->artifact->etag);
	if (batch->ahead)
		reader->ahead_gets++;
	cancel_init(&f->cancel);
	fetch_wake(reader);
	return true;
}

void fetch_cancel_unwanted(struct reader *reader)
{
	for (unsigned i = 0; i < reader->threads; i++) {
		struct fetcher *f = &reader->fetchers[i];
		bool wanted = f->batch.ahead;

		if (!f->batch.artifact)
			continue;
		for (unsigned k = 0; k < f->batch.count; k++)
			for (struct wait *w = f->batch.pieces[k].block->waits; w; w = w->next)
				wanted |= (w->need & f->batch.pieces[k].parts) != 0;
		if (!wanted)
			cancel_set(&f->cancel);
	}
}

/* The object's etag is known now, or is another than the one the file began with. */
static int learn_etag(struct reader *reader, struct batch *batch, const char *etag, struct error *err)
{
	struct artifact *a = batch->artifact;
	bool other;

	if (!etag[0])
		return 0;
	pthread_mutex_lock(&reader->lock);
	if (!a->etag[0])
		str_copy(a->etag, sizeof(a->etag), etag);
	other = !str_equal(a->etag, etag);
	pthread_mutex_unlock(&reader->lock);
	str_copy(batch->etag, sizeof(batch->etag), etag);
	return other ? error_set(err, ERROR_CONFLICT, ESTALE, "the object is another one now") : 0;
}

/* The object has another etag. Of those who find out at once each asks for what the first has learned by then. */
static void forget_etag(struct reader *reader, struct batch *batch)
{
	struct artifact *a = batch->artifact;

	pthread_mutex_lock(&reader->lock);
	if (str_equal(a->etag, batch->etag))
		a->etag[0] = '\0';
	a->relearned = true;
	str_copy(batch->etag, sizeof(batch->etag), a->etag);
	pthread_mutex_unlock(&reader->lock);
}

static bool is_relearned(struct reader *reader, const struct artifact *a)
{
	bool relearned;

	pthread_mutex_lock(&reader->lock);
	relearned = a->relearned;
	pthread_mutex_unlock(&reader->lock);
	return relearned;
}

static void note_stale(struct reader *reader, struct artifact *a)
{
	pthread_mutex_lock(&reader->lock);
	a->stale = true;
	pthread_mutex_unlock(&reader->lock);
}

/* In the object, as everything here. */
static uint64_t piece_offset(const struct piece *p)
{
	return p->block->span.stored_offset + p->from;
}

static int get_failure(struct reader *reader, struct artifact *a, const struct piece *pieces, unsigned count,
                       int r, struct error *err)
{
	const struct piece *last = &pieces[count - 1];

	if (!err->message[0])
		error_system(err, -r, "the store cannot be read");
	error_prefix(err, "bytes %llu to %llu of %s", (unsigned long long)piece_offset(pieces),
	             (unsigned long long)(piece_offset(last) + last->bytes - 1), a->key);
	if (r == -ECANCELED)
		return r;
	if (r == -ESTALE || (r == -ERANGE && is_relearned(reader, a))) {
		note_stale(reader, a);
		return error_set(err, ERROR_CONFLICT, ESTALE,
		                 "%s was replaced in the store while it was open: open it again", a->key);
	}
	/* To the store the range is wrong; the manifest says that it is the object. */
	if (r == -ERANGE)
		err->class = ERROR_CORRUPT;
	err->errnum = EIO;
	return -EIO;
}

static void count_fetched(struct fetcher *f, const struct piece *p)
{
	struct reader_metrics *m = f->reader->metrics;

	atomic_fetch_add(&m->fetched_bytes, p->bytes);
	if (f->batch.ahead)
		atomic_fetch_add(&m->ahead_bytes, p->bytes);
}

/* struct run - consecutive pieces that one get brings, and how far it has come. */
struct run {
	struct fetcher *f;
	struct piece *pieces;
	unsigned count;
	unsigned settled; /* given out while the get was running */
	uint64_t settled_bytes;
	bool etag_known;
	bool elsewhere; /* of a store with spares: from one of these */
	bool stopped;   /* what comes next is wrong: it waits for the end of the get */
};

static void note_duration(struct reader *reader, uint64_t bytes, int64_t duration_us)
{
	pthread_mutex_lock(&reader->lock);
	gets_measure(reader, bytes, duration_us);
	pthread_mutex_unlock(&reader->lock);
}

static int try_get(struct run *run, const struct iovec *iov, void (*arrived)(void *, uint64_t, const char *),
                   char ret_etag[static STORE_ETAG_BYTES], struct error *err)
{
	struct fetcher *f = run->f;
	const struct batch *batch = &f->batch;
	const struct store_call call = {.cancel = &f->cancel};
	const struct store_get_options options = {.if_match = batch->etag[0] ? batch->etag : NULL,
	                                          .ret_etag = ret_etag,
	                                          .arrived = arrived,
	                                          .arrived_arg = run,
	                                          .elsewhere = run->elsewhere};

	*err = (struct error){0};
	return store_get(batch->artifact->store ? batch->artifact->store : f->reader->store, &call,
	                 batch->artifact->key, piece_offset(run->pieces), iov, (int)run->count, &options,
	                 err);
}

/* One ranged get for all pieces of @run; @arrived settles those that come while it runs. */
static int get_run(struct run *run, void (*arrived)(void *, uint64_t, const char *), struct error *err)
{
	struct fetcher *f = run->f;
	struct reader *reader = f->reader;
	struct batch *batch = &f->batch;
	char etag[STORE_ETAG_BYTES] = "";
	struct iovec iov[FETCH_BLOCKS];
	int64_t began_us = clock_mono_us();
	uint64_t bytes = 0;
	int r;

	for (unsigned i = 0; i < run->count; i++) {
		const struct piece *p = &run->pieces[i];

		iov[i] = (struct iovec){p->block->buffer + p->from, p->bytes};
		bytes += p->bytes;
	}
	r = try_get(run, iov, arrived, etag, err);
	if (r == -ESTALE && batch->etag[0] && run->settled == 0) {
		forget_etag(reader, batch);
		run->etag_known = false;
		r = try_get(run, iov, arrived, etag, err);
	}
	if (r == 0)
		r = learn_etag(reader, batch, etag, err);
	/* What broke off when all was given out broke off behind the last byte. */
	if (r < 0 && run->settled < run->count)
		return get_failure(reader, batch->artifact, run->pieces + run->settled,
		                   run->count - run->settled, r, err);
	for (unsigned i = run->settled; i < run->count; i++)
		count_fetched(f, &run->pieces[i]);
	if (batch->ahead)
		note_duration(reader, bytes, clock_mono_us() - began_us);
	return 0;
}

static int get_one(struct fetcher *f, struct piece *p, bool elsewhere, struct error *err)
{
	struct run run = {.f = f, .pieces = p, .count = 1, .elsewhere = elsewhere};

	return get_run(&run, NULL, err);
}

static int check_piece(const struct piece *p, struct error *err)
{
	const struct block *b = p->block;
	const struct artifact *a = b->artifact;
	size_t i = extents_find(&a->extents, piece_offset(p));

	for (; i < a->extents.count && a->extents.items[i].offset < piece_offset(p) + p->bytes; i++) {
		const struct extent *x = &a->extents.items[i];
		uint32_t found = crc32c(0, b->buffer + (x->offset - b->span.stored_offset), x->length);

		if (found == x->crc32c)
			continue;
		return error_set(
		        err, ERROR_CORRUPT, EIO,
		        "%s is damaged in the store: the %u bytes from offset %llu have CRC-32C %08x, its manifest says %08x; do not rely on this backup",
		        a->key, x->length, (unsigned long long)x->offset, found, x->crc32c);
	}
	return 0;
}

static void note_cached(struct reader *reader, struct block *b)
{
	pthread_mutex_lock(&reader->lock);
	b->cached = true;
	b->artifact->whole_cached = true;
	pthread_mutex_unlock(&reader->lock);
}

static bool from_cache(struct reader *reader, const struct piece *p)
{
	if (!cached_read(reader, p))
		return false;
	if (check_piece(p, NULL) == 0) {
		note_cached(reader, p->block);
		return true;
	}
	cached_forget(reader, p);
	return false;
}

/* The parts of @p, one by one: those that fail @test, and in @err why the first of them did. */
static parts_t wrong_parts(const struct piece *p, parts_t parts,
                           int (*test)(const struct piece *part, struct error *err), struct error *err)
{
	parts_t wrong = 0;

	for (; parts; parts &= parts - 1) {
		const struct piece part = piece_of(p->block, parts & -parts);
		struct error why = {0};

		if (test(&part, &why) == 0)
			continue;
		if (!wrong)
			*err = why;
		wrong |= part.parts;
	}
	return wrong;
}

/* All of @p comes from another store that has the object, and is right. What the first is wrong about stays the message when it is not. */
static bool has_right_spare(struct fetcher *f, struct piece *p)
{
	const struct artifact *a = f->batch.artifact;
	struct error ignored = {0};

	return a->store && store_has_spares(a->store) && get_one(f, p, true, &ignored) == 0 &&
	       check_piece(p, &ignored) == 0;
}

/* Which parts of @p are wrong, and in *@ret_r and @err why: in the store, or the second get of it failed. */
static parts_t check_or_get_again(struct fetcher *f, struct piece *p, int *ret_r, struct error *err)
{
	struct reader *reader = f->reader;
	parts_t wrong;

	*ret_r = 0;
	if (check_piece(p, err) == 0)
		return 0;
	atomic_fetch_add(&reader->metrics->wrong_extents, 1);
	*ret_r = get_one(f, p, false, err);
	if (*ret_r < 0)
		return p->parts;
	wrong = wrong_parts(p, p->parts, check_piece, err);
	if (!wrong)
		return 0;
	atomic_fetch_add(&reader->metrics->wrong_extents, 1);
	if (has_right_spare(f, p))
		return 0;
	*ret_r = -EIO;
	if (is_relearned(reader, p->block->artifact))
		*ret_r = get_failure(reader, p->block->artifact, p, 1, -ESTALE, err);
	return wrong;
}

static bool is_wanted(struct reader *reader, const struct piece *p)
{
	bool wanted = false;

	pthread_mutex_lock(&reader->lock);
	for (const struct wait *w = p->block->waits; w; w = w->next)
		wanted |= (w->need & p->parts) != 0;
	pthread_mutex_unlock(&reader->lock);
	return wanted;
}

/* With the lock. Of a file that is wrong as a whole nobody shall have what the verdict was waited for with,
 * should it come once more. */
static int judge_get(const struct artifact *a, int r, const struct error **err)
{
	if (r < 0 || a->whole != WHOLE_WRONG)
		return r;
	*err = &a->wrong;
	return -EIO;
}

/* The get of @parts of @p has ended with @r, or brought them: tell those who wait. The block is pinned meanwhile: it may
 * not be loading any more, and the last request that fails would take it along. */
static void settle_parts(struct reader *reader, struct piece *p, parts_t parts, int r,
                         const struct error *err)
{
	struct answers answers = {0};
	struct block *b = p->block;
	struct artifact *a = b->artifact;
	parts_t needed = 0;

	pthread_mutex_lock(&reader->lock);
	r = judge_get(a, r, &err);
	block_pin(reader, b);
	if (r == 0 && cached_offer(reader, b, parts))
		p->offered = true;
	for (const struct wait *w = b->waits; w; w = w->next)
		needed |= w->need & parts;
	if (r < 0) {
		b->loading &= ~parts;
		if (r == -ECANCELED && needed && !reader->refusing)
			/* Given up for those who have gone; these have come since. */
			block_want(reader, b, needed);
		else
			request_parts_failed(reader, b, parts, r, err, &answers);
	} else if (whole_arrived(reader, b, parts)) {
		b->loading &= ~parts;
		b->ready |= parts;
		request_parts_ready(b, parts, &answers);
	}
	if (a->files == 0)
		b->ready = 0;
	p->parts &= ~parts;
	block_unpin(reader, b);
	request_deliver(reader, &answers);
	pthread_mutex_unlock(&reader->lock);
}

/* What the disk cache keeps are stored bytes: it has them before they are decoded, and who waits for them waits
 * for its disk, too. Of a block that came in several pieces it gets nothing: some were decoded before the rest
 * was there. */
static void offer_stored(struct reader *reader, const struct piece *p)
{
	bool offered;

	pthread_mutex_lock(&reader->lock);
	offered = cached_offer(reader, p->block, p->parts);
	pthread_mutex_unlock(&reader->lock);
	if (offered)
		cached_write(reader, p->block);
}

/* The stored bytes of @parts of @p are there, and are as the manifest says. */
static void give_out(struct reader *reader, struct piece *p, parts_t parts)
{
	struct error err = {0};
	parts_t wrong = 0;

	if (p->block->artifact->layout) {
		offer_stored(reader, p);
		wrong = wrong_parts(p, parts, layout_decode, &err);
	}
	/* When nothing is left to settle the block may be another's: the last of the two ends it. */
	if (parts & ~wrong)
		settle_parts(reader, p, parts & ~wrong, 0, NULL);
	if (wrong)
		settle_parts(reader, p, wrong, -EIO, &err);
}

/* The kernel asks again, page by page, for what a failed read-ahead did not bring, and a copy has more blocks
 * queued: without a memory each of them would wait for the store's whole deadline. */
static bool failed_just_now(struct reader *reader, const struct artifact *a, struct error *err)
{
	bool failed;

	pthread_mutex_lock(&reader->lock);
	failed = clock_mono_ms() < a->failed_until_ms;
	if (failed)
		*err = a->failure;
	pthread_mutex_unlock(&reader->lock);
	return failed;
}

/* @err.retry: trying again might have helped, but the time for that was over. */
static void note_get_failure(struct reader *reader, struct artifact *a, const struct error *err)
{
	pthread_mutex_lock(&reader->lock);
	a->failed_until_ms = clock_mono_ms() + FAILED_HOLD_MS;
	a->failure = *err;
	pthread_mutex_unlock(&reader->lock);
}

/* On the fetcher's thread, called by the store in the middle of the get: @filled bytes of the run have arrived: give out what is complete and right. */
static void on_pieces_arrived(void *arg, uint64_t filled, const char *etag)
{
	struct run *run = arg;
	struct reader *reader = run->f->reader;

	if (!run->etag_known && learn_etag(reader, &run->f->batch, etag, NULL) < 0)
		run->stopped = true;
	run->etag_known = true;
	while (!run->stopped && run->settled < run->count) {
		struct piece *p = &run->pieces[run->settled];

		if (filled < run->settled_bytes + p->bytes)
			return;
		if (check_piece(p, NULL) < 0) {
			run->stopped = true;
			return;
		}
		count_fetched(run->f, p);
		run->settled++;
		run->settled_bytes += p->bytes;
		give_out(reader, p, p->parts);
	}
}

static int get_or_fail_fast(struct run *run, struct error *err)
{
	struct reader *reader = run->f->reader;
	struct artifact *a = run->f->batch.artifact;
	int r;

	if (failed_just_now(reader, a, err))
		return -EIO;
	r = get_run(run, on_pieces_arrived, err);
	if (r < 0 && err->retry)
		note_get_failure(reader, a, err);
	return r;
}

/* Consecutive pieces, from the store. */
static void fetch_from_store(struct fetcher *f, struct piece *pieces, unsigned count)
{
	struct reader *reader = f->reader;
	struct run run = {.f = f, .pieces = pieces, .count = count};
	struct error err;
	int r = get_or_fail_fast(&run, &err);
	/* A get that ended for good may have failed for one block of several only, an object cut short for
	 * instance: those that somebody waits for are tried alone. */
	bool alone = r == -EIO && count - run.settled > 1 && !err.retry && !cancel_is_set(&f->cancel);

	for (unsigned i = run.settled; i < count; i++) {
		struct piece *p = &pieces[i];
		parts_t wrong = p->parts, right;
		struct error one = err;
		int piece_result = r;

		if (alone && is_wanted(reader, p))
			piece_result = get_one(f, p, false, &one);
		if (piece_result == 0)
			wrong = check_or_get_again(f, p, &piece_result, &one);
		/* Who waits for what is right has it, whatever lies beside it. */
		right = p->parts & ~wrong;
		if (right)
			give_out(reader, p, right);
		if (wrong)
			settle_parts(reader, p, wrong, piece_result, &one);
	}
}

/* What is left to do, hashing and the disk cache, is no get: another one may begin. */
static void end_ahead(struct fetcher *f)
{
	struct reader *reader = f->reader;

	pthread_mutex_lock(&reader->lock);
	if (f->batch.ahead) {
		f->batch.ahead = false;
		reader->ahead_gets--;
		fetch_wake(reader);
	}
	pthread_mutex_unlock(&reader->lock);
}

/* What the disk cache has is given out at once, the rest is got from the store. */
static void fetch_run(struct fetcher *f)
{
	struct reader *reader = f->reader;
	struct batch *batch = &f->batch;
	unsigned missing = 0; /* pieces before the current one that the cache did not have */

	for (unsigned i = 0; i < batch->count; i++) {
		struct piece *p = &batch->pieces[i];

		if (!reader->cache || !from_cache(reader, p)) {
			missing++;
			continue;
		}
		if (missing > 0)
			fetch_from_store(f, p - missing, missing);
		missing = 0;
		if (batch->ahead)
			atomic_fetch_add(&reader->metrics->ahead_bytes, p->bytes);
		give_out(reader, p, p->parts);
	}
	if (missing > 0)
		fetch_from_store(f, batch->pieces + batch->count - missing, missing);
	end_ahead(f);
	for (unsigned i = 0; i < batch->count; i++)
		if (batch->pieces[i].offered)
			cached_write(reader, batch->pieces[i].block);
}

static void finish_batch(struct fetcher *f)
{
	struct reader *reader = f->reader;
	struct artifact *a = f->batch.artifact;
	struct answers answers = {0};

	whole_go_on(reader, a, &answers);
	request_deliver(reader, &answers);
	f->batch.artifact = NULL;
	a->users--;
	artifact_release(a);
	cancel_finish(&f->cancel);
}

void *fetch_main(void *arg)
{
	struct fetcher *f = arg;
	struct reader *reader = f->reader;

	pthread_mutex_lock(&reader->lock);
	while (take_batch(f)) {
		pthread_mutex_unlock(&reader->lock);
		fetch_run(f);
		pthread_mutex_lock(&reader->lock);
		finish_batch(f);
	}
	pthread_mutex_unlock(&reader->lock);
	return NULL;
}

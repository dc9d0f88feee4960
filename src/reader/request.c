// SPDX-License-Identifier: Apache-2.0
/*
 * Requests. One needs up to REQUEST_BLOCKS_MAX blocks at once, and some of the parts of each. It is admitted
 * when all of them are in memory or can have a buffer now, and takes all at once; else it waits in one queue,
 * holding nothing. So whoever holds blocks needs no more of them, every get that is under way ends, and the
 * queue moves: no deadlock, whatever the number of readers. The queue is served in order; only what needs no
 * buffer may pass.
 *
 * An answer is decided under the lock (the pending leaves its file and its request forgets it), so it is
 * decided once, whoever comes first: a block, a failure, close. It is told without the lock, by
 * request_deliver(), while the blocks stay pinned.
 *
 * All but tell_answer() and what reader.h declares is called with the lock, by callers (a request begins or is cancelled) and by
 * fetchers (its parts came, or did not).
 */
#include "reader_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <errno.h>

static void list_pending(struct pending *p)
{
	p->next = p->file->pendings;
	if (p->next)
		p->next->prev = p;
	p->file->pendings = p;
}

static void unlist_pending(struct pending *p)
{
	*(p->prev ? &p->prev->next : &p->file->pendings) = p->next;
	if (p->next)
		p->next->prev = p->prev;
}

static void enqueue_request(struct reader *reader, struct pending *p)
{
	p->queued = true;
	p->queue_prev = reader->queue_last;
	*(reader->queue_last ? &reader->queue_last->queue_next : &reader->queue) = p;
	reader->queue_last = p;
}

static void dequeue_request(struct reader *reader, struct pending *p)
{
	p->queued = false;
	*(p->queue_prev ? &p->queue_prev->queue_next : &reader->queue) = p->queue_next;
	*(p->queue_next ? &p->queue_next->queue_prev : &reader->queue_last) = p->queue_prev;
	p->queue_prev = p->queue_next = NULL;
}

static void decide_answer(struct pending *p, int r, const struct error *err, struct answers *answers)
{
	unlist_pending(p);
	p->file->answering++;
	p->result = r;
	p->err = err;
	p->answer_next = NULL;
	*(answers->last ? &answers->last->answer_next : &answers->first) = p;
	answers->last = p;
}

static void stop_waiting(struct wait *w)
{
	struct wait **at = &w->block->waits;

	while (*at && *at != w)
		at = &(*at)->next;
	if (*at)
		*at = w->next;
}

/* It stops waiting before the first block goes, since that may make others ready. */
static void release_blocks(struct reader *reader, struct pending *p)
{
	for (unsigned i = 0; i < p->count; i++)
		stop_waiting(&p->waits[i]);
	for (unsigned i = 0; i < p->count; i++)
		block_unpin(reader, p->waits[i].block);
	p->count = 0;
}

void request_fail(struct reader *reader, struct pending *p, int r, const struct error *err,
                  struct answers *answers)
{
	if (p->queued)
		dequeue_request(reader, p);
	release_blocks(reader, p);
	decide_answer(p, r, err, answers);
}

void request_parts_ready(struct block *b, parts_t parts, struct answers *answers)
{
	struct wait **at = &b->waits, *w;

	while ((w = *at)) {
		w->need &= ~parts;
		if (w->need) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		if (--w->pending->missing == 0)
			decide_answer(w->pending, 0, NULL, answers);
	}
}

void request_parts_failed(struct reader *reader, struct block *b, parts_t parts, int r,
                          const struct error *err, struct answers *answers)
{
	struct wait *w = b->waits, *next;

	for (; w; w = next) {
		next = w->next;
		if (w->need & parts)
			request_fail(reader, w->pending, r, err, answers);
	}
}

/* struct place - one block of a request's range. */
struct place {
	struct span span;
	parts_t need;
	struct block *block; /* NULL: not in memory */
};

/* The blocks of @p's range. Returns how many are not in memory, and in *@ret_own how many of the others
 * reader->available counts. */
static unsigned survey(struct reader *reader, struct pending *p, struct place *places, unsigned *ret_count,
                       size_t *ret_own)
{
	struct artifact *a = p->file->artifact;
	uint64_t end = p->offset + p->len;
	unsigned n = 0, missing = 0;

	*ret_own = 0;
	for (uint64_t at = p->offset; at < end; n++) {
		struct place *place = &places[n];

		place->span = block_span(&a->extents, a->cells, at);
		place->need = span_parts_of(&a->extents, a->cells, &place->span, at, end);
		place->block = block_find(reader, a, place->span.first);
		if (!place->block)
			missing++;
		else if (block_is_available(place->block))
			(*ret_own)++;
		at = place->span.offset + place->span.bytes;
	}
	*ret_count = n;
	return missing;
}

/* @b is pinned for @p: have it bring what is needed of it. */
static void wait_for_parts(struct reader *reader, struct pending *p, struct block *b, parts_t need)
{
	struct wait *w = &p->waits[p->count++];

	*w = (struct wait){.pending = p, .block = b, .need = need & ~b->ready};
	if (!w->need)
		return;
	w->next = b->waits;
	b->waits = w;
	p->missing++;
	block_want(reader, b, w->need);
}

/* Let @p have its blocks; false when there are not enough buffers for them now, or it may take none. */
static bool admit(struct reader *reader, struct pending *p, bool may_take, struct answers *answers)
{
	struct place places[REQUEST_BLOCKS_MAX];
	unsigned count, missing;
	size_t own;

	missing = survey(reader, p, places, &count, &own);
	if (missing > 0 && (!may_take || missing > reader->available - own))
		return false;
	/* Those in memory first, so that making the others does not take their buffers. */
	for (unsigned i = 0; i < count; i++)
		if (places[i].block)
			block_pin(reader, places[i].block);
	for (unsigned i = 0; i < count; i++) {
		struct place *place = &places[i];

		if (!place->block)
			place->block = block_make(reader, p->file->artifact, &place->span, true);
		wait_for_parts(reader, p, place->block, place->need);
	}
	if (p->missing == 0)
		decide_answer(p, 0, NULL, answers);
	return true;
}

static void admit_queued(struct reader *reader, struct answers *answers)
{
	struct pending *p;

	while ((p = reader->queue) && admit(reader, p, true, answers))
		dequeue_request(reader, p);
}

/* Requests that were decided while a block was forgotten. */
static void take_late(struct reader *reader, struct answers *answers)
{
	if (!reader->late.first)
		return;
	*(answers->last ? &answers->last->answer_next : &answers->first) = reader->late.first;
	answers->last = reader->late.last;
	reader->late = (struct answers){0};
}

/* How many bytes of a block lie between @from and @to. */
static size_t overlap(const struct span *span, uint64_t from, uint64_t to)
{
	uint64_t first = from > span->offset ? from : span->offset, end = span->offset + span->bytes;

	return (size_t)((to < end ? to : end) - first);
}

/* With the lock: count @p's answer. */
static void count_answer(struct reader *reader, struct pending *p)
{
	struct reader_metrics *m = reader->metrics;

	if (p->result == -ECANCELED) {
		atomic_fetch_add(&m->cancelled, 1);
		return;
	}
	histogram_add(&m->duration, clock_mono_us() - p->began_us);
	if (p->result < 0) {
		atomic_fetch_add(&m->failures, 1);
		p->file->stats.failures++;
		return;
	}
	for (unsigned i = 0; i < p->count; i++) {
		struct block *b = p->waits[i].block;

		b->used_bytes += overlap(&b->span, p->offset, p->offset + p->len);
	}
	atomic_fetch_add(&m->requests, 1);
	atomic_fetch_add(&m->request_bytes, p->len);
	p->file->stats.requests++;
	p->file->stats.bytes += p->len;
}

static void tell_answer(struct pending *p)
{
	struct iovec iov[REQUEST_IOV_MAX];
	uint64_t at = p->offset, end = p->offset + p->len;
	struct reader_request *request = p->request;
	int count = 0;

	if (p->result < 0) {
		request->done(request, p->result, NULL, 0, p->err);
		return;
	}
	for (unsigned i = 0; i < p->count; i++) {
		const struct block *b = p->waits[i].block;
		uint64_t stop = b->span.offset + b->span.bytes < end ? b->span.offset + b->span.bytes : end;

		count += layout_iov(b, at, stop, iov + count);
		at = stop;
	}
	request->done(request, 0, iov, count, NULL);
}

void request_deliver(struct reader *reader, struct answers *answers)
{
	for (;;) {
		struct pending *p;

		admit_queued(reader, answers);
		take_late(reader, answers);
		p = answers->first;
		if (!p)
			return;
		answers->first = p->answer_next;
		if (!answers->first)
			answers->last = NULL;
		count_answer(reader, p);
		pthread_mutex_unlock(&reader->lock);
		tell_answer(p);
		pthread_mutex_lock(&reader->lock);
		release_blocks(reader, p);
		if (--p->file->answering == 0)
			pthread_cond_broadcast(&reader->answered);
		free(p);
	}
}

/* With the lock: a request that cannot even begin is answered with an error as well. */
static int refuse_request(struct reader_file *f, const struct error *why, struct error *err)
{
	atomic_fetch_add(&f->reader->metrics->failures, 1);
	f->stats.failures++;
	*err = *why;
	return -EIO;
}

/* With the lock: begin @req, whose range is not empty and cut at the end; else 0 is not returned, and @err
 * says why. */
static int begin_request(struct reader_file *f, struct reader_request *req, size_t len,
                         struct answers *answers, struct error *err)
{
	static const struct error ending = {
	        .class = ERROR_CANCELLED, .errnum = EIO, .message = "keepfs is shutting down"};
	struct reader *reader = f->reader;
	struct pending *p;

	if (reader->refusing)
		return refuse_request(f, &ending, err);
	if (f->artifact->whole == WHOLE_WRONG)
		return refuse_request(f, &f->artifact->wrong, err);
	p = mem_alloc(sizeof(*p));
	*p = (struct pending){
	        .request = req, .file = f, .began_us = clock_mono_us(), .offset = req->offset, .len = len};
	list_pending(p);
	if (!admit(reader, p, !reader->queue, answers))
		enqueue_request(reader, p);
	ahead_note(f, req->offset, req->offset + len);
	return 0;
}

void reader_read(struct reader_file *f, struct reader_request *req)
{
	struct reader *reader = f->reader;
	uint64_t total = f->artifact->bytes;
	struct answers answers = {0};
	struct error err = {0};
	int r;

	req->file = f;
	if (req->len > READER_REQUEST_BYTES) {
		error_set(&err, ERROR_USAGE, EINVAL, "a read of more than 1 MiB at once is not possible");
		req->done(req, -EINVAL, NULL, 0, &err);
		return;
	}
	if (req->len == 0 || req->offset >= total) {
		req->done(req, 0, NULL, 0, NULL);
		return;
	}
	pthread_mutex_lock(&reader->lock);
	r = begin_request(f, req, total - req->offset < req->len ? (size_t)(total - req->offset) : req->len,
	                  &answers, &err);
	if (r == 0)
		request_deliver(reader, &answers);
	pthread_mutex_unlock(&reader->lock);
	if (r < 0)
		req->done(req, r, NULL, 0, &err);
}

static struct pending *find_pending(const struct reader_file *f, uint64_t tag, uint64_t owner)
{
	struct pending *p = f->pendings;

	while (p && (tag ? p->request->tag != tag : p->request->owner != owner))
		p = p->next;
	return p;
}

static void cancel_those(struct reader_file *f, uint64_t tag, uint64_t owner)
{
	static const struct error gone = {
	        .class = ERROR_CANCELLED, .errnum = ECANCELED, .message = "the read was interrupted"};
	struct reader *reader = f->reader;
	struct answers answers = {0};
	struct pending *p;

	pthread_mutex_lock(&reader->lock);
	/* With one other ones may be decided: each time from the beginning. */
	while ((p = find_pending(f, tag, owner)))
		request_fail(reader, p, -ECANCELED, &gone, &answers);
	if (answers.first)
		fetch_cancel_unwanted(reader);
	request_deliver(reader, &answers);
	pthread_mutex_unlock(&reader->lock);
}

void reader_cancel(struct reader_file *f, uint64_t tag)
{
	cancel_those(f, tag, 0);
}

void reader_cancel_owner(struct reader_file *f, uint64_t owner)
{
	cancel_those(f, 0, owner);
}

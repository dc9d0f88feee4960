/*
 * Requests. One needs up to REQUEST_BLOCKS_MAX blocks at once. It is admitted when all of them are in memory
 * or can have a buffer now, and takes all at once; else it waits in one queue, holding nothing. So whoever
 * holds blocks needs no more of them, every get that is under way ends, and the queue moves: no deadlock,
 * whatever the number of readers. The queue is served in order; only what needs no buffer may pass.
 *
 * An answer is decided under the lock (the pending leaves its file and its request forgets it), so it is
 * decided once, whoever comes first: a block, a failure, close. It is told without the lock, by
 * request_deliver(), while the blocks stay pinned.
 */
#include "reader_private.h"

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

static void enqueue(struct reader *r, struct pending *p)
{
	p->queued = true;
	p->queue_prev = r->queue_last;
	*(r->queue_last ? &r->queue_last->queue_next : &r->queue) = p;
	r->queue_last = p;
}

static void dequeue(struct reader *r, struct pending *p)
{
	p->queued = false;
	*(p->queue_prev ? &p->queue_prev->queue_next : &r->queue) = p->queue_next;
	*(p->queue_next ? &p->queue_next->queue_prev : &r->queue_last) = p->queue_prev;
	p->queue_prev = p->queue_next = NULL;
}

static void decide(struct pending *p, int result, const struct error *err, struct answers *answers)
{
	unlist_pending(p);
	p->file->answering++;
	p->result = result;
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

static void release_blocks(struct reader *r, struct pending *p)
{
	for (unsigned i = 0; i < p->count; i++) {
		stop_waiting(&p->waits[i]);
		block_unpin(r, p->waits[i].block);
	}
	p->count = 0;
}

void request_fail(struct reader *r, struct pending *p, int result, const struct error *err,
                  struct answers *answers)
{
	if (p->queued)
		dequeue(r, p);
	release_blocks(r, p);
	decide(p, result, err, answers);
}

void request_block_ready(struct block *b, struct answers *answers)
{
	while (b->waits) {
		struct wait *w = b->waits;

		b->waits = w->next;
		if (--w->pending->missing == 0)
			decide(w->pending, 0, NULL, answers);
	}
}

void request_block_failed(struct reader *r, struct block *b, int result, const struct error *err,
                          struct answers *answers)
{
	while (b->waits)
		request_fail(r, b->waits->pending, result, err, answers);
}

/* The blocks of @p's range; NULL for those not in memory. Returns how many are not, and in *@ret_own how many
 * of the others block_available() counts. */
static unsigned survey(struct reader *r, struct pending *p, struct span *spans, struct block **blocks,
                       unsigned *ret_count, size_t *ret_own)
{
	struct artifact *a = p->file->artifact;
	unsigned n = 0, missing = 0;

	*ret_own = 0;
	for (uint64_t at = p->offset; at < p->offset + p->len; n++) {
		spans[n] = block_span(&a->extents, at);
		blocks[n] = block_find(r, a, spans[n].first);
		if (!blocks[n])
			missing++;
		else if (block_is_available(blocks[n]))
			(*ret_own)++;
		at = spans[n].offset + spans[n].bytes;
	}
	*ret_count = n;
	return missing;
}

static void wait_for(struct pending *p, struct block *b)
{
	struct wait *w = &p->waits[p->count++];

	*w = (struct wait){.pending = p, .block = b};
	if (b->state == BLOCK_READY)
		return;
	w->next = b->waits;
	b->waits = w;
	p->missing++;
}

/* Let @p have its blocks; false when there are not enough buffers for them now, or it may take none. */
static bool admit(struct reader *r, struct pending *p, bool may_take, struct answers *answers)
{
	struct span spans[REQUEST_BLOCKS_MAX];
	struct block *blocks[REQUEST_BLOCKS_MAX];
	unsigned count, missing;
	size_t own;

	missing = survey(r, p, spans, blocks, &count, &own);
	if (missing > 0 && (!may_take || missing > block_available(r) - own))
		return false;
	/* Those in memory first, so that making the others does not take their buffers. */
	for (unsigned i = 0; i < count; i++)
		if (blocks[i])
			block_pin(r, blocks[i]);
	for (unsigned i = 0; i < count; i++) {
		if (!blocks[i]) {
			blocks[i] = block_make(r, p->file->artifact, &spans[i], true);
			blocks[i]->pins = 1;
			block_queue(r, blocks[i], true);
		}
		wait_for(p, blocks[i]);
	}
	if (p->missing == 0)
		decide(p, 0, NULL, answers);
	return true;
}

static void admit_queued(struct reader *r, struct answers *answers)
{
	struct pending *p;

	while ((p = r->queue) && admit(r, p, true, answers))
		dequeue(r, p);
}

static void tell(struct pending *p)
{
	struct iovec iov[REQUEST_BLOCKS_MAX];
	uint64_t at = p->offset, end = p->offset + p->len;
	struct reader_request *request = p->request;

	if (p->result < 0) {
		request->done(request, p->result, NULL, 0, p->err);
		return;
	}
	for (unsigned i = 0; i < p->count; i++) {
		const struct span *span = &p->waits[i].block->span;
		uint64_t stop = span->offset + span->bytes < end ? span->offset + span->bytes : end;

		iov[i].iov_base = p->waits[i].block->buffer + (at - span->offset);
		iov[i].iov_len = (size_t)(stop - at);
		at = stop;
	}
	request->done(request, 0, iov, (int)p->count, NULL);
}

void request_deliver(struct reader *r, struct answers *answers)
{
	for (;;) {
		struct pending *p;

		admit_queued(r, answers);
		p = answers->first;
		if (!p)
			return;
		answers->first = p->answer_next;
		if (!answers->first)
			answers->last = NULL;
		for (unsigned i = 0; i < p->count; i++)
			p->waits[i].block->used = true;
		pthread_mutex_unlock(&r->lock);
		tell(p);
		pthread_mutex_lock(&r->lock);
		release_blocks(r, p);
		if (--p->file->answering == 0)
			pthread_cond_broadcast(&r->answered);
		free(p);
	}
}

static void refuse(struct reader_request *req, enum error_class class, int errnum, const char *why)
{
	struct error err = {0};

	error_set(&err, class, errnum, "%s", why);
	req->done(req, -errnum, NULL, 0, &err);
}

/* With the lock: begin @req, whose range is not empty and cut at the end; false when the reader refuses. */
static bool begin(struct reader_file *f, struct reader_request *req, size_t len, struct answers *answers)
{
	struct reader *r = f->reader;
	struct pending *p;

	if (r->refusing)
		return false;
	p = mem_alloc(sizeof(*p));
	*p = (struct pending){.request = req, .file = f, .offset = req->offset, .len = len};
	list_pending(p);
	if (!admit(r, p, !r->queue, answers))
		enqueue(r, p);
	ahead_note(f, req->offset, req->offset + len);
	return true;
}

void reader_read(struct reader_file *f, struct reader_request *req)
{
	struct reader *r = f->reader;
	uint64_t total = f->artifact->extents.total_bytes;
	struct answers answers = {0};
	bool begun;

	req->file = f;
	if (req->len > READER_REQUEST_BYTES) {
		refuse(req, ERROR_USAGE, EINVAL, "a read of more than 1 MiB at once is not possible");
		return;
	}
	if (req->len == 0 || req->offset >= total) {
		req->done(req, 0, NULL, 0, NULL);
		return;
	}
	pthread_mutex_lock(&r->lock);
	begun = begin(f, req, total - req->offset < req->len ? (size_t)(total - req->offset) : req->len,
	              &answers);
	if (begun)
		request_deliver(r, &answers);
	pthread_mutex_unlock(&r->lock);
	if (!begun)
		refuse(req, ERROR_CANCELLED, EIO, "keepfs is shutting down");
}

// SPDX-License-Identifier: Apache-2.0
/*
 * The press. Raw bytes are gathered in batches: one whole segment, or several small ones and the marks
 * between them, so that a hundred thousand small tables are not as many hand-overs to threads. Batches stand
 * in a ring; the threads compress those that are full, in any order, and the writer's thread hands them out
 * in theirs. What holds:
 *
 * - The ring has one batch more than there are buffers for, so the one that is being filled always exists,
 *   and a mark, which needs no buffer, does not wait. Data waits for a pair of buffers: for the oldest batch.
 * - Where segments end depends on what was written only, not on how they were batched or on threads: a
 *   segment that does not fit behind the others of its batch moves to the next one.
 * - The bounds of a batch's segments add up to at most one buffer, so compressing never lacks room.
 *
 * A batch is the writer's until it is submitted, and again when `done` says so.
 */
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/stream/ordered.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define BATCHES_PER_THREAD 2U
#define BUFFERS_PER_BATCH  (PRESS_BUFFERS_PER_THREAD / BATCHES_PER_THREAD)
#define RECORDS_AT_MOST    256U
/* A mark sends off what is at least that much: small batches keep all threads busy. */
#define WORTH_A_THREAD ((size_t)256 << 10)

struct record {
	bool is_mark;
	int what; /* of a mark, as value */
	uint64_t value;
	struct segment segment;
};

struct buffers {
	uint8_t *raw, *out;
};

struct batch {
	struct press *press;
	struct buffers buffers;  /* NULL while it has no data */
	size_t raw_bytes, bound; /* of the segments that have ended */
	struct record *records;
	size_t count;
	bool done; /* press->lock */
	int r;
	struct error err;
};

struct press {
	struct press_options options;
	struct workers *workers;
	size_t overhead; /* of a segment's bound over its length, at most */
	size_t reserved;
	/* The writer's: */
	struct batch *ring;
	unsigned ring_size, first, submitted; /* the one behind them is being filled */
	struct buffers *unused;
	unsigned unused_count;
	size_t gathered; /* of the segment that has not ended: behind raw_bytes */
	int failed;
	struct error failure;
	/* Shared with the threads: */
	atomic_bool stop; /* batches need not be compressed any more */
	pthread_mutex_t lock;
	pthread_cond_t changed;          /* a batch is done */
	struct compressor **compressors; /* lock: those that nobody uses */
	unsigned compressor_count;       /* lock */
};

static struct compressor *borrow_compressor(struct press *p)
{
	struct compressor *c;

	pthread_mutex_lock(&p->lock);
	c = p->compressors[--p->compressor_count]; /* there are as many as threads */
	pthread_mutex_unlock(&p->lock);
	return c;
}

/* On one of the threads. */
static void compress_batch(void *arg)
{
	struct batch *b = arg;
	struct press *p = b->press;
	struct compressor *c = borrow_compressor(p);
	const uint8_t *raw = b->buffers.raw;
	size_t used = 0;

	for (size_t i = 0; i < b->count && b->r == 0 && !atomic_load(&p->stop); i++) {
		struct segment *s = &b->records[i].segment;

		if (b->records[i].is_mark)
			continue;
		b->r = compressor_run(c, raw, s->raw_bytes, b->buffers.out + used, POOL_BUFFER_BYTES - used,
		                      s, &b->err);
		raw += s->raw_bytes;
		used += s->bytes;
	}
	pthread_mutex_lock(&p->lock);
	p->compressors[p->compressor_count++] = c;
	b->done = true;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static int note_press_failure(struct press *p, int r, const struct error *failure)
{
	p->failed = r;
	p->failure = *failure;
	atomic_store(&p->stop, true);
	return r;
}

/* Return: 0, or the first failure. */
static int check_state(struct press *p, struct error *err)
{
	struct error failure = {0};

	if (!p->failed && cancel_is_set(p->options.cancel))
		note_press_failure(p, error_set(&failure, ERROR_CANCELLED, ECANCELED, "cancelled"), &failure);
	if (p->failed && err)
		*err = p->failure;
	return p->failed;
}

static int hand_out_batch(const struct ordered_out *out, const struct batch *b, struct error *err)
{
	const uint8_t *data = b->buffers.out;
	int r = b->r;

	if (r < 0)
		*err = b->err;
	for (size_t i = 0; i < b->count && r >= 0; i++) {
		const struct record *record = &b->records[i];

		if (record->is_mark) {
			r = out->mark(out->arg, record->what, record->value, err);
		} else {
			r = out->segment(out->arg, &record->segment, data, err);
			data += record->segment.bytes;
		}
	}
	return r < 0 ? r : 0;
}

static void empty_batch(struct press *p, struct batch *b)
{
	if (b->buffers.raw)
		p->unused[p->unused_count++] = b->buffers;
	b->buffers = (struct buffers){0};
	b->raw_bytes = b->bound = b->count = 0;
	b->done = false;
}

/* Hand out the oldest batch. Return: 0; 1 when it is not done yet, and @wait is not set; a failure. */
static int deliver_first(struct press *p, bool wait)
{
	struct batch *b = &p->ring[p->first];
	struct error failure = {0};
	bool done;
	int r;

	pthread_mutex_lock(&p->lock);
	while (!b->done && wait)
		pthread_cond_wait(&p->changed, &p->lock);
	done = b->done;
	pthread_mutex_unlock(&p->lock);
	if (!done)
		return 1;
	r = hand_out_batch(&p->options.out, b, &failure);
	empty_batch(p, b);
	p->first = (p->first + 1) % p->ring_size;
	p->submitted--;
	return r < 0 ? note_press_failure(p, r, &failure) : 0;
}

static int deliver_ready(struct press *p)
{
	int r = 0;

	while (r == 0 && p->submitted > 0)
		r = deliver_first(p, false);
	return r < 0 ? r : 0;
}

static struct batch *filling(struct press *p)
{
	return &p->ring[(p->first + p->submitted) % p->ring_size];
}

/* The batch that is being filled is whole; what is gathered for the next segment is not part of it. */
static int submit_batch(struct press *p)
{
	struct batch *b = filling(p);
	int r;

	p->submitted++;
	if (b->raw_bytes > 0)
		workers_add(p->workers, compress_batch, b);
	else
		b->done = true; /* marks only: no thread sees it */
	r = deliver_ready(p);
	return r == 0 && p->submitted == p->ring_size ? deliver_first(p, true) : r;
}

static int submit_if_worth(struct press *p)
{
	const struct batch *b = filling(p);

	return b->raw_bytes >= WORTH_A_THREAD || b->count + 2 > RECORDS_AT_MOST ? submit_batch(p) : 0;
}

static void end_segment(struct press *p)
{
	struct batch *b = filling(p);

	if (p->gathered == 0)
		return;
	b->records[b->count++] = (struct record){.segment.raw_bytes = p->gathered};
	b->raw_bytes += p->gathered;
	b->bound += compressor_bound(&p->options.compression, p->gathered);
	p->gathered = 0;
}

/* How long the segment that is being gathered can become in this batch. */
static size_t segment_room(const struct press *p, const struct batch *b)
{
	size_t taken = b->bound + p->overhead;

	if (b->bound == 0 || taken + SEGMENT_RAW_BYTES <= POOL_BUFFER_BYTES)
		return SEGMENT_RAW_BYTES;
	return taken < POOL_BUFFER_BYTES ? POOL_BUFFER_BYTES - taken : 0;
}

static int need_buffers(struct press *p)
{
	int r = 0;

	while (r == 0 && p->unused_count == 0)
		r = deliver_first(p, true);
	if (r == 0 && !filling(p)->buffers.raw)
		filling(p)->buffers = p->unused[--p->unused_count];
	return r;
}

/* The batch has no room for more of the segment: it goes, and what is gathered begins the next one. Its
 * buffer may be handed out and come back meanwhile, but nobody writes to it. */
static int move_to_next(struct press *p)
{
	struct batch *b = filling(p);
	const uint8_t *from = b->buffers.raw + b->raw_bytes;
	int r = submit_batch(p);

	if (r == 0)
		r = need_buffers(p);
	if (r == 0)
		memmove(filling(p)->buffers.raw, from, p->gathered);
	return r;
}

/* Room for at least one more byte of the segment. */
static int make_segment_room(struct press *p)
{
	if (!filling(p)->buffers.raw) {
		int r = need_buffers(p);

		if (r < 0)
			return r;
	}
	return p->gathered < segment_room(p, filling(p)) ? 0 : move_to_next(p);
}

static int gather_segment(struct press *p, const uint8_t *data, size_t len)
{
	while (len > 0) {
		struct batch *b;
		size_t room, n;
		int r = make_segment_room(p);

		if (r < 0)
			return r;
		b = filling(p);
		room = segment_room(p, b) - p->gathered;
		n = len < room ? len : room;
		memcpy(b->buffers.raw + b->raw_bytes + p->gathered, data, n);
		p->gathered += n;
		data += n;
		len -= n;
		if (p->gathered == SEGMENT_RAW_BYTES) {
			end_segment(p);
			r = submit_batch(p);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* @r of a step that may have failed, told. */
static int tell_failed_step(struct press *p, int r, struct error *err)
{
	return r < 0 ? check_state(p, err) : 0;
}

int press_write(struct press *p, const void *data, size_t len, struct error *err)
{
	int r = check_state(p, err);

	return r < 0 ? r : tell_failed_step(p, gather_segment(p, data, len), err);
}

int press_mark(struct press *p, int what, uint64_t value, struct error *err)
{
	struct batch *b;
	int r = check_state(p, err);

	if (r < 0)
		return r;
	end_segment(p);
	b = filling(p);
	b->records[b->count++] = (struct record){.is_mark = true, .what = what, .value = value};
	return tell_failed_step(p, submit_if_worth(p), err);
}

int press_finish(struct press *p, struct error *err)
{
	int r = check_state(p, err);

	if (r < 0)
		return r;
	end_segment(p);
	if (filling(p)->count > 0)
		r = submit_batch(p);
	while (r == 0 && p->submitted > 0)
		r = deliver_first(p, true);
	return tell_failed_step(p, r, err);
}

static int reserve_press(struct press *p, struct error *err)
{
	size_t buffers = (size_t)p->options.threads * PRESS_BUFFERS_PER_THREAD;
	int r = pool_reserve(p->options.pool, buffers, p->options.cancel);

	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled while waiting for memory");
	if (r < 0)
		return error_set(
		        err, ERROR_USAGE, -r,
		        "compressing with %u threads holds %zu MiB in memory, and there are %zu MiB: "
		        "use fewer, or raise memory in [keepfs]",
		        p->options.threads, buffers, pool_buffers(p->options.pool));
	p->reserved = buffers;
	return 0;
}

static void make_batches(struct press *p)
{
	unsigned with_buffers = p->options.threads * BATCHES_PER_THREAD;

	p->ring_size = with_buffers + 1;
	p->ring = mem_array(p->ring_size, sizeof(*p->ring));
	for (unsigned i = 0; i < p->ring_size; i++) {
		p->ring[i].press = p;
		p->ring[i].records = mem_array(RECORDS_AT_MOST, sizeof(*p->ring[i].records));
	}
	p->unused = mem_array(with_buffers, sizeof(*p->unused));
	while (p->unused_count < with_buffers)
		p->unused[p->unused_count++] = (struct buffers){.raw = pool_take(p->options.pool),
		                                                .out = pool_take(p->options.pool)};
}

static void make_compressors(struct press *p)
{
	p->compressors = mem_array(p->options.threads, sizeof(*p->compressors));
	while (p->compressor_count < p->options.threads)
		p->compressors[p->compressor_count++] =
		        compressor_new(&p->options.compression, p->options.check);
	p->overhead =
	        compressor_bound(&p->options.compression, SEGMENT_RAW_BYTES) - (size_t)SEGMENT_RAW_BYTES;
}

int press_new(const struct press_options *options, struct press **ret_press, struct error *err)
{
	_cleanup(press) struct press *p = mem_alloc(sizeof(*p));
	int r;

	p->options = *options;
	if (p->options.threads == 0)
		p->options.threads = 1;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	r = reserve_press(p, err);
	if (r < 0)
		return r;
	make_batches(p);
	make_compressors(p);
	p->workers = workers_new("press", p->options.threads);
	if (!p->workers)
		return error_set(err, ERROR_INTERNAL, EAGAIN, "cannot start a thread for compressing");
	*ret_press = take_ptr(&p);
	return 0;
}

struct press *press_free(struct press *p)
{
	if (!p)
		return NULL;
	atomic_store(&p->stop, true);
	workers_free(p->workers);
	for (unsigned i = 0; i < p->ring_size; i++) {
		empty_batch(p, &p->ring[i]);
		free(p->ring[i].records);
	}
	for (unsigned i = 0; i < p->unused_count; i++) {
		pool_give(p->options.pool, p->unused[i].raw);
		pool_give(p->options.pool, p->unused[i].out);
	}
	pool_unreserve(p->options.pool, p->reserved);
	while (p->compressor_count > 0)
		compressor_free(p->compressors[--p->compressor_count]);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p->compressors);
	free(p->unused);
	free(p->ring);
	free(p);
	return NULL;
}

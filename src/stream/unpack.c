// SPDX-License-Identifier: Apache-2.0
/*
 * Unpacking. Slots stand in a ring, each a segment or a mark; the threads decompress those that are full, in any order, and the caller's
 * thread hands them out in theirs. A slot with a segment has two buffers of the pool, of which there are as many pairs as there may be
 * segments under way; marks need none. A slot is the caller's until it is submitted, and again when `done` says so.
 */
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/codec/decompression.h>
#include <keepfs/stream/ordered.h>

#include <errno.h>
#include <string.h>

#define SEGMENTS_PER_THREAD (UNPACK_BUFFERS_PER_THREAD / 2)
#define MARKS_PER_SEGMENT   16U /* that may be in the ring */

struct pair {
	uint8_t *packed, *raw;
};

struct slot {
	struct unpack *unpack;
	struct pair buffers; /* NULL: a mark */
	size_t packed_bytes, raw_bytes;
	uint8_t note[UNPACK_NOTE_BYTES] __attribute__((aligned(8)));
	int what;
	uint64_t value;
	bool done; /* unpack->lock */
	int r;
	struct error err;
};

struct unpack {
	struct unpack_options options;
	struct workers *workers;
	size_t reserved;
	struct slot *ring;
	unsigned ring_size, first, submitted; /* the one behind them is being filled */
	struct pair *unused;
	unsigned pair_count, unused_count;
	struct pair filling; /* of the segment that is being gathered; NULL: none is */
	size_t gathered, dropped;
	int failed;
	struct error failure;
	/* Shared with the threads. */
	pthread_mutex_t lock;
	pthread_cond_t changed;      /* a slot is done */
	struct unpacker **unpackers; /* lock: those that nobody uses */
	unsigned unpacker_count;     /* lock */
	bool stop;                   /* lock: nothing more need be decompressed */
};

static struct unpacker *borrow_unpacker(struct unpack *u, bool *ret_stop)
{
	struct unpacker *one;

	pthread_mutex_lock(&u->lock);
	one = u->unpackers[--u->unpacker_count]; /* there are as many as threads */
	*ret_stop = u->stop;
	pthread_mutex_unlock(&u->lock);
	return one;
}

/* On one of the threads. */
static void unpack_slot(void *arg)
{
	struct slot *s = arg;
	struct unpack *u = s->unpack;
	bool stop;
	struct unpacker *one = borrow_unpacker(u, &stop);

	if (!stop)
		s->r = unpacker_run(one, s->buffers.packed, s->packed_bytes, s->buffers.raw,
		                    POOL_BUFFER_BYTES, &s->raw_bytes, &s->err);
	if (!stop && s->r == 0 && u->options.look)
		u->options.look(s->buffers.raw, s->raw_bytes, s->note);
	pthread_mutex_lock(&u->lock);
	u->unpackers[u->unpacker_count++] = one;
	s->done = true;
	pthread_cond_signal(&u->changed);
	pthread_mutex_unlock(&u->lock);
}

static int fail_unpack(struct unpack *u, int r, const struct error *why, struct error *err)
{
	if (u->failed == 0) {
		u->failed = r;
		u->failure = *why;
		pthread_mutex_lock(&u->lock);
		u->stop = true;
		pthread_mutex_unlock(&u->lock);
	}
	if (err)
		*err = u->failure;
	return u->failed;
}

static int check_unpack(struct unpack *u, struct error *err)
{
	struct error why = {0};

	if (u->failed == 0 && cancel_is_set(u->options.cancel)) {
		error_set(&why, ERROR_CANCELLED, ECANCELED, "cancelled");
		return fail_unpack(u, -ECANCELED, &why, err);
	}
	if (u->failed < 0 && err)
		*err = u->failure;
	return u->failed;
}

static void wait_for_slot(struct unpack *u, struct slot *s)
{
	pthread_mutex_lock(&u->lock);
	while (!s->done)
		pthread_cond_wait(&u->changed, &u->lock);
	pthread_mutex_unlock(&u->lock);
}

/* Hand out the oldest slot. */
static int deliver_slot(struct unpack *u, struct error *err)
{
	struct slot *s = &u->ring[u->first];
	const struct unpack_options *o = &u->options;
	struct error why = {0};
	int r;

	wait_for_slot(u, s);
	if (s->r < 0)
		why = s->err;
	r = s->r;
	if (r == 0 && u->failed == 0)
		r = s->buffers.raw ? o->segment(o->arg, s->buffers.raw, s->raw_bytes, s->note, &why)
		                   : o->mark(o->arg, s->what, s->value, &why);
	if (s->buffers.raw)
		u->unused[u->unused_count++] = s->buffers;
	u->first = (u->first + 1) % u->ring_size;
	u->submitted--;
	return r < 0 ? fail_unpack(u, r, &why, err) : u->failed;
}

/* The slot to be filled next, zeroed. */
static int next_slot(struct unpack *u, struct slot **ret, struct error *err)
{
	int r = check_unpack(u, err);

	while (r == 0 && u->submitted == u->ring_size)
		r = deliver_slot(u, err);
	if (r < 0)
		return r;
	*ret = &u->ring[(u->first + u->submitted) % u->ring_size];
	**ret = (struct slot){.unpack = u};
	return 0;
}

static int need_pair(struct unpack *u, struct error *err)
{
	int r = check_unpack(u, err);

	while (r == 0 && !u->filling.packed && u->unused_count == 0)
		r = deliver_slot(u, err);
	if (r == 0 && !u->filling.packed)
		u->filling = u->unused[--u->unused_count];
	return r;
}

int unpack_write(struct unpack *u, const void *data, size_t len, struct error *err)
{
	struct error why = {0};
	int r = need_pair(u, err);

	if (r < 0)
		return r;
	if (len > POOL_BUFFER_BYTES - u->gathered) {
		error_set(&why, ERROR_CORRUPT, EBADMSG, "a segment is longer than any that keepfs makes");
		return fail_unpack(u, -EBADMSG, &why, err);
	}
	memcpy(u->filling.packed + u->gathered, data, len);
	u->gathered += len;
	return 0;
}

const void *unpack_gathered(const struct unpack *u, size_t *ret_len)
{
	*ret_len = u->gathered - u->dropped;
	return u->filling.packed + u->dropped;
}

void unpack_drop(struct unpack *u, size_t len)
{
	u->dropped += len;
}

int unpack_end(struct unpack *u, struct error *err)
{
	struct slot *s;
	int r;

	if (u->gathered == u->dropped) {
		u->gathered = u->dropped = 0;
		return check_unpack(u, err);
	}
	r = next_slot(u, &s, err);
	if (r < 0)
		return r;
	s->packed_bytes = u->gathered - u->dropped;
	memmove(u->filling.packed, u->filling.packed + u->dropped, s->packed_bytes);
	s->buffers = u->filling;
	u->filling = (struct pair){0};
	u->gathered = u->dropped = 0;
	u->submitted++;
	workers_add(u->workers, unpack_slot, s);
	return 0;
}

int unpack_mark(struct unpack *u, int what, uint64_t value, struct error *err)
{
	struct slot *s;
	int r = next_slot(u, &s, err);

	if (r < 0)
		return r;
	s->what = what;
	s->value = value;
	s->done = true; /* no thread sees it */
	u->submitted++;
	return 0;
}

int unpack_finish(struct unpack *u, struct error *err)
{
	int r = check_unpack(u, err);

	while (r == 0 && u->submitted > 0)
		r = deliver_slot(u, err);
	return r;
}

static int reserve_unpack(struct unpack *u, struct error *err)
{
	size_t buffers = (size_t)u->options.threads * UNPACK_BUFFERS_PER_THREAD;
	int r = pool_reserve(u->options.pool, buffers, u->options.cancel);

	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled while waiting for memory");
	if (r < 0)
		return error_set(
		        err, ERROR_USAGE, -r,
		        "decompressing with %u threads holds %zu MiB in memory, and there are %zu MiB",
		        u->options.threads, buffers, pool_buffers(u->options.pool));
	u->reserved = buffers;
	return 0;
}

static void make_slots(struct unpack *u)
{
	u->pair_count = u->options.threads * SEGMENTS_PER_THREAD;
	u->ring_size = u->pair_count * MARKS_PER_SEGMENT;
	u->ring = mem_array(u->ring_size, sizeof(*u->ring));
	u->unused = mem_array(u->pair_count, sizeof(*u->unused));
	while (u->unused_count < u->pair_count)
		u->unused[u->unused_count++] =
		        (struct pair){pool_take(u->options.pool), pool_take(u->options.pool)};
	u->unpackers = mem_array(u->options.threads, sizeof(*u->unpackers));
	while (u->unpacker_count < u->options.threads)
		u->unpackers[u->unpacker_count++] = unpacker_new(u->options.method);
}

int unpack_new(const struct unpack_options *options, struct unpack **ret_unpack, struct error *err)
{
	_cleanup(unpack) struct unpack *u = mem_alloc(sizeof(*u));
	int r;

	u->options = *options;
	if (u->options.threads == 0)
		u->options.threads = 1;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->changed, NULL);
	r = reserve_unpack(u, err);
	if (r < 0)
		return r;
	make_slots(u);
	u->workers = workers_new("unpack", u->options.threads);
	if (!u->workers)
		return error_set(err, ERROR_INTERNAL, EAGAIN, "cannot start a thread for decompressing");
	*ret_unpack = take_ptr(&u);
	return 0;
}

static void give_back(struct unpack *u, struct pair pair)
{
	if (!pair.packed)
		return;
	pool_give(u->options.pool, pair.packed);
	pool_give(u->options.pool, pair.raw);
}

struct unpack *unpack_free(struct unpack *u)
{
	if (!u)
		return NULL;
	pthread_mutex_lock(&u->lock);
	u->stop = true;
	pthread_mutex_unlock(&u->lock);
	workers_free(u->workers);
	for (unsigned i = 0; i < u->submitted; i++)
		give_back(u, u->ring[(u->first + i) % u->ring_size].buffers);
	give_back(u, u->filling);
	while (u->unused_count > 0)
		give_back(u, u->unused[--u->unused_count]);
	pool_unreserve(u->options.pool, u->reserved);
	while (u->unpacker_count > 0)
		unpacker_free(u->unpackers[--u->unpacker_count]);
	pthread_cond_destroy(&u->changed);
	pthread_mutex_destroy(&u->lock);
	free(u->unpackers);
	free(u->unused);
	free(u->ring);
	free(u);
	return NULL;
}

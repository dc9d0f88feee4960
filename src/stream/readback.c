// SPDX-License-Identifier: Apache-2.0
/*
 * Reading an object back. It is cut into spans of whole extents; a few of them are got at the same time, each
 * into buffers of its own, and checked against their CRCs by the thread that got them. The caller's thread
 * takes them in order, computes the digest and hands them on: that is one thread's work, so nothing else is
 * done there.
 *
 * A span with a wrong CRC is got once more, since the bytes may have been spoilt on their way; wrong again,
 * it is the object that is wrong. Of several failures the first in the order of the object is told.
 */
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/stream/readback.h>

#include <errno.h>
#include <stdbool.h>

#define SPAN_BUFFERS  4U
#define SPAN_BYTES    (SPAN_BUFFERS * POOL_BUFFER_BYTES)
#define SPANS_AT_ONCE (READBACK_BUFFERS / SPAN_BUFFERS)

struct readback;

struct span { /* whose thread is told by `busy`: a getter's, else the caller's */
	struct readback *back;
	const struct extent *extents;
	size_t count;
	uint64_t offset;
	size_t bytes;
	struct iovec iov[SPAN_BUFFERS];
	void *buffers[SPAN_BUFFERS];
	bool busy; /* back->lock */
	int r;
	struct error err;
};

struct readback {
	const struct readback_options *options;
	struct cancel_hook outer_hook;
	struct cancel stop; /* ours: set by the caller's, and when a span has failed */
	struct workers *workers;
	size_t span_buffers; /* in each span: SPAN_BUFFERS but for a small object or pool */
	unsigned span_count;
	struct span spans[SPANS_AT_ONCE]; /* a ring */
	size_t next_extent;               /* of the span that is asked for next */
	size_t end_extent;                /* behind the last one that is read */
	uint64_t bytes;                   /* of those that are read */
	struct sha256 *sha256;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a span is not busy any more */
};

static void stop_readback(void *arg)
{
	struct readback *b = arg;

	cancel_set(&b->stop);
}

static int wrong_size(const struct readback *b, struct error *err, const char *how)
{
	error_set(err, ERROR_CORRUPT, EBADMSG,
	          "%s is damaged in the store: it %s %llu bytes that were sent; do not rely on it",
	          b->options->key, how, (unsigned long long)b->options->extents->total_bytes);
	error_note_damage(err);
	return -EBADMSG;
}

/* Of an object that the store does not have. */
static int answer_of_store(int r, struct error *err)
{
	if (r < 0 && err && err->class == ERROR_NOT_FOUND)
		error_note_damage(err);
	return r;
}

static int get_span(struct span *s, bool elsewhere)
{
	const struct readback_options *o = s->back->options;
	const struct store_call call = {.cancel = &s->back->stop};
	const struct store_get_options options = {.elsewhere = elsewhere};
	int count = (int)((s->bytes + POOL_BUFFER_BYTES - 1) / POOL_BUFFER_BYTES);
	int r;

	s->err = (struct error){0};
	for (int i = 0; i < count; i++)
		s->iov[i] = (struct iovec){s->buffers[i], POOL_BUFFER_BYTES};
	s->iov[count - 1].iov_len = s->bytes - (size_t)(count - 1) * POOL_BUFFER_BYTES;
	r = store_get(o->store, &call, o->key, s->offset, s->iov, count, &options, &s->err);
	return r == -ERANGE ? wrong_size(s->back, &s->err, "ends before the") : answer_of_store(r, &s->err);
}

/* An extent may lie in two buffers. */
static uint32_t crc_of(const struct span *s, const struct extent *x)
{
	size_t at = (size_t)(x->offset - s->offset), left = x->length;
	uint32_t crc = 0;

	while (left > 0) {
		size_t within = at % POOL_BUFFER_BYTES, room = POOL_BUFFER_BYTES - within;
		size_t n = left < room ? left : room;

		crc = crc32c(crc, (const char *)s->buffers[at / POOL_BUFFER_BYTES] + within, n);
		at += n;
		left -= n;
	}
	return crc;
}

/* No other thread has this one, until its bytes are passed on. */
static bool learn_extent(const struct readback_options *o, const struct extent *x, uint32_t found)
{
	if (!o->learn || x->offset < o->learn_at || x->offset >= o->learn_at + o->learn_bytes)
		return false;
	o->learn->items[x - o->extents->items].crc32c = found;
	return true;
}

static int check_span(struct span *s)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct extent *x = &s->extents[i];
		uint32_t found = crc_of(s, x);

		if (learn_extent(s->back->options, x, found) || found == x->crc32c)
			continue;
		error_set(
		        &s->err, ERROR_CORRUPT, EBADMSG,
		        "%s is damaged in the store: the %u bytes from offset %llu have CRC-32C %08x, %08x was sent; do not rely on it",
		        s->back->options->key, x->length, (unsigned long long)x->offset, found, x->crc32c);
		error_note_damage(&s->err);
		return -EBADMSG;
	}
	return 0;
}

/* On a getter's thread. */
static void get_and_check(void *arg)
{
	struct span *s = arg;
	struct readback *b = s->back;

	s->r = get_span(s, false);
	if (s->r == 0 && check_span(s) < 0) {
		s->r = get_span(s, false);
		if (s->r == 0)
			s->r = check_span(s);
		if (s->r == -EBADMSG && store_has_spares(b->options->store)) {
			s->r = get_span(s, true);
			if (s->r == 0)
				s->r = check_span(s);
		}
	}
	pthread_mutex_lock(&b->lock);
	s->busy = false;
	pthread_cond_signal(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

/* The next whole extents that fit; false at the end. */
static bool ask_span(struct readback *b, struct span *s)
{
	const struct extents *x = b->options->extents;

	if (b->next_extent == b->end_extent)
		return false;
	s->back = b;
	s->extents = &x->items[b->next_extent];
	s->offset = s->extents->offset;
	s->bytes = 0;
	s->count = 0;
	while (b->next_extent < b->end_extent &&
	       s->bytes + x->items[b->next_extent].length <= b->span_buffers * POOL_BUFFER_BYTES) {
		s->bytes += x->items[b->next_extent++].length;
		s->count++;
	}
	s->busy = true;
	workers_add(b->workers, get_and_check, s);
	return true;
}

static int wait_for_span(struct readback *b, struct span *s, struct error *err)
{
	pthread_mutex_lock(&b->lock);
	while (s->busy)
		pthread_cond_wait(&b->changed, &b->lock);
	pthread_mutex_unlock(&b->lock);
	if (s->r < 0 && err)
		*err = s->err;
	return s->r;
}

static int pass_on(struct readback *b, const struct span *s, struct error *err)
{
	const struct readback_options *o = b->options;
	size_t left = s->bytes;

	for (int i = 0; left > 0; i++) {
		size_t n = s->iov[i].iov_len;
		int r;

		sha256_update(b->sha256, s->iov[i].iov_base, n);
		r = o->take ? o->take(o->arg, s->iov[i].iov_base, n, err) : 0;
		if (r < 0)
			return r;
		left -= n;
	}
	if (o->done_bytes)
		atomic_fetch_add(o->done_bytes, s->bytes);
	return 0;
}

static int read_all_spans(struct readback *b, struct error *err)
{
	unsigned asked = 0;

	while (asked < b->span_count && ask_span(b, &b->spans[asked]))
		asked++;
	for (unsigned i = 0; asked > 0; i = (i + 1) % b->span_count) {
		struct span *s = &b->spans[i];
		int r = wait_for_span(b, s, err);

		if (r == 0)
			r = pass_on(b, s, err);
		if (r < 0)
			return r;
		if (!ask_span(b, s))
			asked--;
	}
	return 0;
}

static int check_size(const struct readback *b, struct error *err)
{
	const struct readback_options *o = b->options;
	const struct store_call call = {.cancel = o->cancel};
	struct store_object object;
	int r = store_head(o->store, &call, o->key, &object, err);

	if (r < 0 || object.bytes == o->extents->total_bytes)
		return answer_of_store(r, err);
	return wrong_size(b, err,
	                  object.bytes < o->extents->total_bytes ? "ends before the" : "goes on behind the");
}

static void choose_range(struct readback *b)
{
	const struct readback_options *o = b->options;
	const struct extents *x = o->extents;

	b->end_extent = x->count;
	b->bytes = x->total_bytes;
	if (o->count == 0)
		return;
	b->next_extent = o->first;
	b->end_extent = o->first + o->count;
	b->bytes = (b->end_extent < x->count ? x->items[b->end_extent].offset : x->total_bytes) -
	           x->items[o->first].offset;
}

/* Half of the pool is left to others, and a small object needs less. */
static void choose_spans(struct readback *b)
{
	size_t most = pool_buffers(b->options->pool) / 2;
	uint64_t needed = (b->bytes + POOL_BUFFER_BYTES - 1) / POOL_BUFFER_BYTES;

	if (needed == 0)
		return;
	if (most == 0)
		most = 1;
	b->span_buffers = most < SPAN_BUFFERS ? most : SPAN_BUFFERS;
	if (needed < b->span_buffers)
		b->span_buffers = (size_t)needed;
	b->span_count =
	        most / b->span_buffers < SPANS_AT_ONCE ? (unsigned)(most / b->span_buffers) : SPANS_AT_ONCE;
	/* One more than it would be if extents filled the spans. */
	if (needed / b->span_buffers + 1 < b->span_count)
		b->span_count = (unsigned)(needed / b->span_buffers + 1);
}

static int open_spans(struct readback *b, struct error *err)
{
	struct pool *pool = b->options->pool;

	if (pool_reserve(pool, b->span_count * b->span_buffers, &b->stop) < 0)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled while waiting for memory");
	for (unsigned i = 0; i < b->span_count; i++) {
		for (size_t j = 0; j < b->span_buffers; j++)
			b->spans[i].buffers[j] = pool_take(pool);
	}
	return 0;
}

static void close_spans(struct readback *b)
{
	struct pool *pool = b->options->pool;

	for (unsigned i = 0; i < b->span_count; i++) {
		for (size_t j = 0; j < b->span_buffers; j++)
			pool_give(pool, b->spans[i].buffers[j]);
	}
	pool_unreserve(pool, b->span_count * b->span_buffers);
}

static int read_with_threads(struct readback *b, struct error *err)
{
	int r = open_spans(b, err);

	if (r < 0)
		return r;
	b->workers = workers_new("readback", b->span_count);
	r = b->workers ? read_all_spans(b, err)
	               : error_set(err, ERROR_INTERNAL, EAGAIN, "cannot start a thread for reading back");
	cancel_set(&b->stop); /* after a failure the other spans are not needed */
	workers_free(b->workers);
	close_spans(b);
	return r;
}

int stream_readback(const struct readback_options *options, char ret_sha256[static SHA256_HEX_BYTES],
                    struct error *err)
{
	struct readback b = {.options = options};
	uint8_t digest[SHA256_BYTES];
	int r;

	choose_range(&b);
	choose_spans(&b);
	pthread_mutex_init(&b.lock, NULL);
	pthread_cond_init(&b.changed, NULL);
	cancel_init(&b.stop);
	b.outer_hook = (struct cancel_hook){.wake = stop_readback, .arg = &b};
	cancel_add_hook(options->cancel, &b.outer_hook);
	b.sha256 = sha256_new();
	r = options->count > 0 ? 0 : check_size(&b, err);
	if (r == 0 && b.span_count > 0)
		r = read_with_threads(&b, err);
	if (r == 0) {
		sha256_final(b.sha256, digest);
		hex_encode(digest, sizeof(digest), ret_sha256);
	}
	sha256_free(b.sha256);
	cancel_remove_hook(options->cancel, &b.outer_hook);
	cancel_finish(&b.stop);
	pthread_cond_destroy(&b.changed);
	pthread_mutex_destroy(&b.lock);
	return r;
}

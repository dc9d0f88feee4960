// SPDX-License-Identifier: Apache-2.0
/*
 * Objects on their way, in pieces, by several threads; taken in the order in which they were asked for. What is known goes through the same queue, so that all comes out in the order of
 * its keys. The bytes of pieces are counted against what was reserved of the pool.
 */
#include "mirror_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define PIECES_AHEAD 8U    /* for each connection */
#define KNOWN_AHEAD  4096U /* pieces in the queue, those without bytes among them */
#define PIECE_BYTES  ((size_t)4 << 20)
#define SMALL_BYTES  ((size_t)64 << 10)
#define WORTH_BYTES  (UINT64_C(1) << 20) /* for so much who takes pieces is woken, however few they are */

struct fetch {
	struct fetch_options options;
	struct workers *workers;
	struct store_call call;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a piece is done */
	struct piece *first, **end;
	size_t count, getting; /* in the queue; of these such as are got */
	size_t most_getting;
	bool is_filled; /* nothing more is asked for until a good part was taken */
	uint64_t bytes, most_bytes;
	size_t piece_bytes;
	struct piece *gathered, **gathered_end; /* that one thread is to get, when they are enough */
	unsigned gathered_count;
	struct piece *awaited; /* lock, as all behind it: who takes pieces sleeps until it is there */
	size_t done;           /* of those that are got */
	uint64_t done_bytes;
	atomic_bool is_ending;
};

int fetch_new(const struct fetch_options *options, struct fetch **ret, struct error *err)
{
	struct fetch *f = mem_alloc(sizeof(*f));
	int r;

	f->options = *options;
	f->options.buffers = options->buffers < 2 ? 2 : options->buffers;
	r = pool_reserve(options->pool, f->options.buffers, options->cancel);
	if (r < 0) {
		free(f);
		return error_set(err, r == -ECANCELED ? ERROR_CANCELLED : ERROR_NO_SPACE, -r,
		                 "there is no memory for getting objects: %s",
		                 r == -ECANCELED ? "cancelled" : "raise memory");
	}
	f->most_bytes = (uint64_t)f->options.buffers * POOL_BUFFER_BYTES;
	f->piece_bytes = f->most_bytes / 4 < PIECE_BYTES ? f->most_bytes / 2 : PIECE_BYTES;
	f->most_getting = (size_t)PIECES_AHEAD * options->connections;
	f->call.cancel = options->cancel;
	f->end = &f->first;
	f->gathered_end = &f->gathered;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	f->workers = workers_new("mirror", options->connections);
	if (!f->workers) {
		fetch_free(f);
		return error_set(err, ERROR_INTERNAL, EAGAIN,
		                 "no threads for getting objects could be started");
	}
	*ret = f;
	return 0;
}

struct piece *piece_free(struct piece *p)
{
	if (!p)
		return NULL;
	if (--p->object->pieces == 0) {
		listing_entry_finish(&p->object->entry);
		free(p->object->etag);
		free(p->object);
	}
	source_facts_finish(&p->facts);
	free(p->data);
	free(p);
	return NULL;
}

struct fetch *fetch_free(struct fetch *f)
{
	struct piece *p;

	if (!f)
		return NULL;
	atomic_store(&f->is_ending, true);
	workers_free(f->workers);
	while ((p = f->first)) {
		f->first = p->next;
		piece_free(p);
	}
	pool_unreserve(f->options.pool, f->options.buffers);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return NULL;
}

size_t fetch_piece_bytes(const struct fetch *f)
{
	return f->piece_bytes;
}

/* Small ones are asked for by the dozen: otherwise each that is taken would wake one thread, and this one be woken by it. */
bool fetch_has_room(struct fetch *f)
{
	f->is_filled = f->getting >= f->most_getting - (f->is_filled ? f->options.connections : 0);
	return !f->is_filled && f->count < KNOWN_AHEAD &&
	       (f->bytes == 0 || f->bytes + f->piece_bytes <= f->most_bytes);
}

/* With the lock. Of small ones a few, or all that are on their way: a thread that is woken for each of 80,000 empty files does little else. */
static bool is_worth_waking(const struct fetch *f, const struct piece *awaited)
{
	return awaited->is_done &&
	       (f->done >= f->options.connections || f->done >= f->getting || f->done_bytes >= WORTH_BYTES);
}

static void get_object_piece(struct fetch *f, struct piece *p)
{
	const struct fetched_object *object = p->object;
	const struct iovec iov = {.iov_base = p->data, .iov_len = p->len};

	if (atomic_load(&f->is_ending) || atomic_load(&p->object->is_given_up))
		p->result = -ECANCELED;
	else
		p->result =
		        source_get(f->options.source, &f->call, object->entry.key, object->etag, p->offset,
		                   &iov, p->len > 0 ? 1 : 0, p->offset == 0 ? &p->facts : NULL, &p->error);
	pthread_mutex_lock(&f->lock);
	p->is_done = true;
	f->done++;
	f->done_bytes += p->len;
	if (f->awaited && is_worth_waking(f, f->awaited)) {
		f->awaited = NULL;
		pthread_cond_signal(&f->changed);
	}
	pthread_mutex_unlock(&f->lock);
}

/* A piece that is done may be freed at any time. */
static void get_object_pieces(void *arg)
{
	for (struct piece *p = arg, *with; p; p = with) {
		with = p->with;
		get_object_piece(p->fetch, p);
	}
}

static void send_gathered_pieces(struct fetch *f)
{
	if (!f->gathered)
		return;
	workers_add(f->workers, get_object_pieces, f->gathered);
	f->gathered = NULL;
	f->gathered_end = &f->gathered;
	f->gathered_count = 0;
}

static void gather_piece(struct fetch *f, struct piece *p)
{
	*f->gathered_end = p;
	f->gathered_end = &p->with;
	if (++f->gathered_count >= f->options.at_once || p->len > SMALL_BYTES)
		send_gathered_pieces(f);
}

void fetch_add(struct fetch *f, struct fetched_object *object, uint64_t offset, size_t len, bool is_last)
{
	struct piece *p = mem_alloc(sizeof(*p));

	*p = (struct piece){.object = object,
	                    .offset = offset,
	                    .len = len,
	                    .is_last = is_last,
	                    .fetch = f,
	                    .is_done = object->is_known};
	object->pieces++;
	*f->end = p;
	f->end = &p->next;
	f->count++;
	if (object->is_known)
		return;
	p->data = mem_resize(NULL, len + 1, 1);
	f->getting++;
	f->bytes += len;
	gather_piece(f, p);
}

static void await_object_piece(struct fetch *f, struct piece *p)
{
	send_gathered_pieces(f);
	pthread_mutex_lock(&f->lock);
	if (!p->is_done)
		f->awaited = p;
	while (f->awaited)
		pthread_cond_wait(&f->changed, &f->lock);
	f->done--;
	f->done_bytes -= p->len;
	pthread_mutex_unlock(&f->lock);
	f->getting--;
	f->bytes -= p->len;
}

struct piece *fetch_take(struct fetch *f)
{
	struct piece *p = f->first;

	if (!p)
		return NULL;
	if (!p->object->is_known)
		await_object_piece(f, p);
	f->first = p->next;
	if (!f->first)
		f->end = &f->first;
	f->count--;
	return p;
}

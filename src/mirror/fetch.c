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

#define PIECES_AHEAD 4U    /* for each connection */
#define KNOWN_AHEAD  4096U /* pieces in the queue, those without bytes among them */
#define PIECE_BYTES  ((size_t)4 << 20)

struct fetch {
	struct fetch_options options;
	struct workers *workers;
	struct store_call call;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a piece is done */
	struct piece *first, **end;
	size_t count, getting; /* in the queue; of these such as are got */
	uint64_t bytes, most_bytes;
	size_t piece_bytes;
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
	f->call.cancel = options->cancel;
	f->end = &f->first;
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

bool fetch_has_room(const struct fetch *f)
{
	return f->count < KNOWN_AHEAD && f->getting < (size_t)PIECES_AHEAD * f->options.connections &&
	       (f->bytes == 0 || f->bytes + f->piece_bytes <= f->most_bytes);
}

static void get_object_piece(void *arg)
{
	struct piece *p = arg;
	struct fetch *f = p->fetch;
	const struct listing_entry *e = &p->object->entry;
	const struct iovec iov = {.iov_base = p->data, .iov_len = p->len};

	if (atomic_load(&f->is_ending) || atomic_load(&p->object->is_given_up))
		p->result = -ECANCELED;
	else
		p->result = source_get(f->options.source, &f->call, e->key, e->etag, p->offset, &iov,
		                       p->len > 0 ? 1 : 0, p->offset == 0 ? &p->facts : NULL, &p->error);
	pthread_mutex_lock(&f->lock);
	p->is_done = true;
	pthread_cond_signal(&f->changed);
	pthread_mutex_unlock(&f->lock);
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
	workers_add(f->workers, get_object_piece, p);
}

struct piece *fetch_take(struct fetch *f)
{
	struct piece *p = f->first;

	if (!p)
		return NULL;
	pthread_mutex_lock(&f->lock);
	while (!p->is_done)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
	f->first = p->next;
	if (!f->first)
		f->end = &f->first;
	f->count--;
	if (!p->object->is_known) {
		f->getting--;
		f->bytes -= p->len;
	}
	return p;
}

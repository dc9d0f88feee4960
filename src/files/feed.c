// SPDX-License-Identifier: Apache-2.0
#include "feed.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void feed_init(struct feed *f)
{
	*f = (struct feed){.count = 0};
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	for (size_t i = 0; i < FEED_PIECES; i++)
		f->pieces[i] = mem_alloc(FEED_PIECE_BYTES);
}

void feed_finish(struct feed *f)
{
	for (size_t i = 0; i < FEED_PIECES; i++)
		free(f->pieces[i]);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
}

/* Only the one who gives writes into a piece that is not counted yet, so the bytes are copied without the lock. */
static int feed_one_piece(struct feed *f, const char *data, size_t len)
{
	size_t at;
	bool closed;

	pthread_mutex_lock(&f->lock);
	while (f->count == FEED_PIECES && !f->closed)
		pthread_cond_wait(&f->changed, &f->lock);
	closed = f->closed;
	at = (f->first + f->count) % FEED_PIECES;
	pthread_mutex_unlock(&f->lock);
	if (closed)
		return 1;
	memcpy(f->pieces[at], data, len);
	pthread_mutex_lock(&f->lock);
	f->bytes[at] = len;
	f->count++;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

int feed_put(struct feed *f, const void *data, size_t len)
{
	const char *p = data;
	int r = 0;

	while (len > 0 && r == 0) {
		size_t n = len < FEED_PIECE_BYTES ? len : FEED_PIECE_BYTES;

		r = feed_one_piece(f, p, n);
		p += n;
		len -= n;
	}
	return r;
}

void feed_end(struct feed *f, bool given_up)
{
	pthread_mutex_lock(&f->lock);
	f->ended = true;
	f->given_up = f->given_up || given_up;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static void release_piece(struct feed *f)
{
	if (!f->taken)
		return;
	f->first = (f->first + 1) % FEED_PIECES;
	f->count--;
	f->taken = false;
	pthread_cond_broadcast(&f->changed);
}

ssize_t feed_next(struct feed *f, const void **ret)
{
	ssize_t n = 0;

	pthread_mutex_lock(&f->lock);
	release_piece(f);
	while (f->count == 0 && !f->ended)
		pthread_cond_wait(&f->changed, &f->lock);
	if (f->given_up) {
		n = -ECANCELED;
	} else if (f->count > 0) {
		f->taken = true;
		*ret = f->pieces[f->first];
		n = (ssize_t)f->bytes[f->first];
	}
	pthread_mutex_unlock(&f->lock);
	return n;
}

void feed_close(struct feed *f)
{
	pthread_mutex_lock(&f->lock);
	release_piece(f);
	f->closed = true;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

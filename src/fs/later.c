// SPDX-License-Identifier: Apache-2.0
/*
 * See later.h. Once an interrupt has claimed a request, the worker cannot, and has no lock that would tell it when the interrupt is
 * done with the struct: so it waits for a word of that, which takes no longer than setting a token.
 */
#include "later.h"

#include <keepfs/base/mem.h>

#include <errno.h>

struct laters {
	pthread_mutex_t lock;
	pthread_cond_t heard;
	struct later *first; /* lock */
	bool ended;          /* lock */
};

struct laters *laters_new(void)
{
	struct laters *l = mem_alloc(sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->heard, NULL);
	return l;
}

struct laters *laters_free(struct laters *l)
{
	if (!l)
		return NULL;
	pthread_cond_destroy(&l->heard);
	pthread_mutex_destroy(&l->lock);
	free(l);
	return NULL;
}

void laters_end(struct laters *l)
{
	pthread_mutex_lock(&l->lock);
	l->ended = true;
	for (struct later *later = l->first; later; later = later->next)
		cancel_set(&later->cancel);
	pthread_mutex_unlock(&l->lock);
}

static void hear_interrupt(void *arg, uint64_t tag)
{
	struct later *later = arg;
	struct laters *l = later->fs->laters;

	cancel_set(&later->cancel);
	pthread_mutex_lock(&l->lock);
	later->heard = true;
	pthread_cond_broadcast(&l->heard);
	pthread_mutex_unlock(&l->lock);
}

static void enlist(struct laters *l, struct later *later)
{
	pthread_mutex_lock(&l->lock);
	later->next = l->first;
	later->link = &l->first;
	if (later->next)
		later->next->link = &later->next;
	l->first = later;
	if (l->ended)
		cancel_set(&later->cancel);
	pthread_mutex_unlock(&l->lock);
}

static void strike_out(struct laters *l, struct later *later)
{
	pthread_mutex_lock(&l->lock);
	*later->link = later->next;
	if (later->next)
		later->next->link = later->link;
	pthread_mutex_unlock(&l->lock);
}

bool later_begin(struct later *later, struct fs *fs, fuse_req_t req)
{
	later->fs = fs;
	cancel_init(&later->cancel);
	enlist(fs->laters, later);
	if (pending_init(&later->pending, req,
	                 &(struct pending_work){.give_up = hear_interrupt, .arg = later}))
		return true;
	strike_out(fs->laters, later);
	cancel_finish(&later->cancel);
	return false;
}

bool later_claim(struct later *later)
{
	later->claimed = pending_claim(&later->pending);
	return later->claimed;
}

void later_end(struct later *later)
{
	struct laters *l = later->fs->laters;

	strike_out(l, later);
	pthread_mutex_lock(&l->lock);
	while (!later->claimed && !later->heard)
		pthread_cond_wait(&l->heard, &l->lock);
	pthread_mutex_unlock(&l->lock);
	cancel_finish(&later->cancel);
}

void later_give_up(struct later *later)
{
	cancel_set(&later->cancel);
}

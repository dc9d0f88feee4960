// SPDX-License-Identifier: Apache-2.0
/* The open watches are a list under one lock; kernel notifications are sent after it was released. */
#include "watch.h"

#include <keepfs/base/mem.h>

struct watch {
	struct watches *home;
	int64_t run_id;
	bool ready;                         /* home->lock */
	struct fuse_pollhandle *pollhandle; /* home->lock */
	struct watch *next, **link;         /* home->lock */
};

struct watches {
	pthread_mutex_t lock;
	struct watch *first; /* lock */
};

struct watches *watches_new(void)
{
	struct watches *w = mem_alloc(sizeof(*w));

	pthread_mutex_init(&w->lock, NULL);
	return w;
}

struct watches *watches_free(struct watches *w)
{
	if (!w)
		return NULL;
	pthread_mutex_destroy(&w->lock);
	free(w);
	return NULL;
}

struct watch *watch_new(struct watches *w, int64_t run_id)
{
	struct watch *watch = mem_alloc(sizeof(*watch));

	watch->home = w;
	watch->run_id = run_id;
	pthread_mutex_lock(&w->lock);
	watch->next = w->first;
	watch->link = &w->first;
	if (w->first)
		w->first->link = &watch->next;
	w->first = watch;
	pthread_mutex_unlock(&w->lock);
	return watch;
}

void watch_free(struct watch *watch)
{
	pthread_mutex_lock(&watch->home->lock);
	*watch->link = watch->next;
	if (watch->next)
		watch->next->link = watch->link;
	pthread_mutex_unlock(&watch->home->lock);
	if (watch->pollhandle)
		fuse_pollhandle_destroy(watch->pollhandle);
	free(watch);
}

void watch_settle(struct watch *watch)
{
	pthread_mutex_lock(&watch->home->lock);
	watch->ready = true;
	pthread_mutex_unlock(&watch->home->lock);
}

void watches_notify(struct watches *w, int64_t run_id)
{
	for (;;) {
		struct fuse_pollhandle *pollhandle = NULL;

		pthread_mutex_lock(&w->lock);
		for (struct watch *watch = w->first; watch && !pollhandle; watch = watch->next) {
			if (watch->run_id != run_id)
				continue;
			watch->ready = true;
			pollhandle = take_ptr(&watch->pollhandle);
		}
		pthread_mutex_unlock(&w->lock);
		if (!pollhandle)
			return;
		fuse_lowlevel_notify_poll(pollhandle);
		fuse_pollhandle_destroy(pollhandle);
	}
}

void watch_poll(fuse_req_t req, struct watch *watch, struct fuse_pollhandle *ph)
{
	struct fuse_pollhandle *unused = ph;
	bool ready;

	pthread_mutex_lock(&watch->home->lock);
	ready = watch->ready;
	/* A watcher that is told 'ready' now needs no second word later. */
	if (ph && !ready) {
		unused = watch->pollhandle;
		watch->pollhandle = ph;
	}
	pthread_mutex_unlock(&watch->home->lock);
	if (unused)
		fuse_pollhandle_destroy(unused);
	fuse_reply_poll(req, ready ? WATCH_READY : 0);
}

// SPDX-License-Identifier: Apache-2.0
/* Which dumps are open: whoever opens one first loads it, with no lock held; a few stay when nobody has them any more. */
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>

#include <errno.h>

#define OPEN_DUMPS 4

/* Waiting. */

static void wake_waiter(void *arg)
{
	struct inside_waiter *w = arg;

	pthread_mutex_lock(w->lock);
	w->cancelled = true;
	pthread_cond_broadcast(w->changed);
	pthread_mutex_unlock(w->lock);
}

void inside_waiter_begin(struct inside_waiter *w, pthread_mutex_t *lock, pthread_cond_t *changed,
                         struct cancel *cancel)
{
	*w = (struct inside_waiter){.lock = lock, .changed = changed, .cancel = cancel};
	w->hook = (struct cancel_hook){.wake = wake_waiter, .arg = w};
	cancel_add_hook(cancel, &w->hook);
	pthread_mutex_lock(lock);
}

int inside_waiter_wait(struct inside_waiter *w)
{
	if (!w->cancelled)
		pthread_cond_wait(w->changed, w->lock);
	return w->cancelled ? -ECANCELED : 0;
}

void inside_waiter_end(struct inside_waiter *w)
{
	pthread_mutex_unlock(w->lock);
	cancel_remove_hook(w->cancel, &w->hook);
}

int inside_once_begin(struct inside_dump *d, struct inside_once *once, struct cancel *cancel,
                      struct error *err)
{
	struct inside_waiter w;
	int r = 0;

	inside_waiter_begin(&w, &d->lock, &d->changed, cancel);
	while (r == 0 && once->busy)
		r = inside_waiter_wait(&w);
	if (r == 0)
		once->busy = true;
	inside_waiter_end(&w);
	return r < 0 ? error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled") : 0;
}

void inside_once_end(struct inside_dump *d, struct inside_once *once)
{
	pthread_mutex_lock(&d->lock);
	once->busy = false;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

/* The room. */

static bool is_dump_there(void *arg, uint64_t dump_ino, int64_t finished_at_us)
{
	const struct inside *in = arg;
	_cleanup(manifest) struct manifest m = {0};
	int r = catalog_manifest(in->ctx.repository->catalog, dump_ino, &m);

	return r == 0 ? m.finished_at_us == finished_at_us : r != -ENOENT;
}

int inside_new(const struct inside_options *options, struct inside **ret, struct error *err)
{
	struct inside *in = mem_alloc(sizeof(*in));

	in->ctx = *options->ctx;
	in->reader = options->reader;
	in->open_dumps = options->open_dumps > 0 ? options->open_dumps : OPEN_DUMPS;
	in->ctx.pool = pool_new(INSIDE_POOL_BYTES);
	in->kept = kept_new(&(struct kept_options){
	        .state_dir = in->ctx.conf->state_dir, .is_there = is_dump_there, .arg = in});
	if (!in->ctx.pool) {
		kept_free(in->kept);
		free(in);
		return error_system(err, ENOMEM, "there is no memory for looking into dumps");
	}
	/* It is new: this waits for nobody. */
	pool_reserve(in->ctx.pool, (size_t)2 * INSIDE_SEATS, NULL);
	pthread_mutex_init(&in->lock, NULL);
	pthread_cond_init(&in->changed, NULL);
	*ret = in;
	return 0;
}

static void free_dump(struct inside_dump *d)
{
	inside_dump_unload(d);
	pthread_cond_destroy(&d->changed);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

struct inside *inside_free(struct inside *in)
{
	if (!in)
		return NULL;
	while (in->dumps) {
		struct inside_dump *d = in->dumps;

		in->dumps = d->next;
		inside_seats_leave(in, d);
		free_dump(d);
	}
	pool_unreserve(in->ctx.pool, (size_t)2 * INSIDE_SEATS);
	pool_free(in->ctx.pool);
	kept_free(in->kept);
	pthread_cond_destroy(&in->changed);
	pthread_mutex_destroy(&in->lock);
	free(in);
	return NULL;
}

void inside_tidy(struct inside *in)
{
	kept_tidy(in->kept);
}

void inside_forget_dump(struct inside *in, uint64_t artifact_ino)
{
	kept_forget_dump(in->kept, artifact_ino);
}

/* Dumps; with the lock. */

static struct inside_dump *find_dump(const struct inside *in, uint64_t ino)
{
	for (struct inside_dump *d = in->dumps; d; d = d->next)
		if (d->ino == ino)
			return d;
	return NULL;
}

static struct inside_dump *add_dump(struct inside *in, uint64_t ino)
{
	struct inside_dump *d = mem_alloc(sizeof(*d));

	d->in = in;
	d->ino = ino;
	d->refs = 1;
	d->opening = true;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
	d->next = in->dumps;
	in->dumps = d;
	return d;
}

static void unlink_dump(struct inside *in, struct inside_dump *d)
{
	struct inside_dump **at = &in->dumps;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	inside_seats_leave(in, d);
}

/* Of those that nobody has the oldest, when there are more than may stay; it is not in the list any more. */
static struct inside_dump *take_surplus(struct inside *in)
{
	struct inside_dump *oldest = NULL;
	unsigned idle = 0;

	for (struct inside_dump *d = in->dumps; d; d = d->next) {
		if (d->refs > 0)
			continue;
		idle++;
		if (!oldest || d->tick < oldest->tick)
			oldest = d;
	}
	if (idle <= in->open_dumps)
		return NULL;
	unlink_dump(in, oldest);
	return oldest;
}

static int load_dump(struct inside *in, struct inside_dump *d, struct cancel *cancel, struct error *err)
{
	int r = inside_dump_load(d, cancel, err);

	pthread_mutex_lock(&in->lock);
	d->opening = false;
	if (r < 0)
		unlink_dump(in, d);
	pthread_cond_broadcast(&in->changed);
	pthread_mutex_unlock(&in->lock);
	if (r < 0)
		free_dump(d);
	return r;
}

/* Return: 0 with the dump, which is the caller's to load when @ret_new. */
static int get_dump(struct inside *in, uint64_t ino, struct cancel *cancel, struct inside_dump **ret,
                    bool *ret_new)
{
	struct inside_waiter w;
	struct inside_dump *d = NULL;
	int r = 0;

	inside_waiter_begin(&w, &in->lock, &in->changed, cancel);
	while (r == 0 && (d = find_dump(in, ino)) && d->opening)
		r = inside_waiter_wait(&w);
	*ret_new = r == 0 && !d;
	if (r == 0) {
		*ret = d ? d : add_dump(in, ino);
		(*ret)->refs += d ? 1 : 0;
	}
	inside_waiter_end(&w);
	return r;
}

static bool is_open_or_opening(struct inside *in, uint64_t ino, bool *ret_opening)
{
	const struct inside_dump *d;

	pthread_mutex_lock(&in->lock);
	d = find_dump(in, ino);
	*ret_opening = d && d->opening;
	pthread_mutex_unlock(&in->lock);
	return d;
}

bool inside_opens_at_once(struct inside *in, uint64_t artifact_ino)
{
	_cleanup(manifest) struct manifest m = {0};
	bool opening;

	if (is_open_or_opening(in, artifact_ino, &opening) && !opening)
		return true;
	if (catalog_manifest(in->ctx.repository->catalog, artifact_ino, &m) < 0 ||
	    !inside_is_name_of_text(m.path))
		return true;
	return !opening && inside_has_kept_text(in, artifact_ino, m.finished_at_us);
}

void inside_outdate(struct inside_dump *d)
{
	struct inside *in = d->in;

	pthread_mutex_lock(&in->lock);
	if (!d->unlinked)
		unlink_dump(in, d);
	d->unlinked = true;
	pthread_mutex_unlock(&in->lock);
}

void inside_drop_dump(struct inside *in, uint64_t artifact_ino)
{
	struct inside_dump *d, *idle = NULL;

	pthread_mutex_lock(&in->lock);
	d = find_dump(in, artifact_ino);
	if (d && !d->opening) {
		unlink_dump(in, d);
		d->unlinked = true;
		idle = d->refs == 0 ? d : NULL;
	}
	pthread_mutex_unlock(&in->lock);
	if (idle)
		free_dump(idle);
}

static void drop_gone(struct inside_dump *d)
{
	inside_outdate(d);
	inside_close(d);
}

int inside_open(struct inside *in, uint64_t artifact_ino, struct cancel *cancel, struct inside_dump **ret,
                struct error *err)
{
	struct inside_dump *d = NULL;
	bool is_new;
	int r = get_dump(in, artifact_ino, cancel, &d, &is_new);

	while (r == 0 && !is_new && inside_is_gone(d)) {
		drop_gone(d);
		r = get_dump(in, artifact_ino, cancel, &d, &is_new);
	}
	if (r < 0)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (is_new)
		r = load_dump(in, d, cancel, err);
	if (r == 0)
		*ret = d;
	return r;
}

struct inside_dump *inside_close(struct inside_dump *d)
{
	struct inside_dump *surplus = NULL;
	struct inside *in = d ? d->in : NULL;

	if (!d)
		return NULL;
	pthread_mutex_lock(&in->lock);
	d->tick = ++in->tick;
	if (--d->refs == 0) {
		inside_seats_leave(in, d);
		surplus = d->unlinked ? d : take_surplus(in);
	}
	pthread_mutex_unlock(&in->lock);
	if (surplus)
		free_dump(surplus);
	return NULL;
}

uint64_t inside_ino(const struct inside_dump *d)
{
	return d->ino;
}

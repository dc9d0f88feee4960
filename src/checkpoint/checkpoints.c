// SPDX-License-Identifier: Apache-2.0
/* The thread that makes a checkpoint when one is due. A day is counted by the clock on the wall, over restarts. */
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/checkpoint.h>

#include <errno.h>
#include <pthread.h>

#define PAUSE_FIRST_MS INT64_C(60000)
#define PAUSE_MOST_MS  INT64_C(3600000)

struct checkpoints {
	struct checkpoint_context ctx;
	struct cancel cancel;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* stopping, or the clock was set */
	bool stopping;          /* lock */
	int64_t pause_ms;       /* after the last failure; 0: there was none */
	int64_t again_ms; /* clock_mono_ms() before which nothing is tried: after a failure, and at the start, which has more urgent requests */
	pthread_t thread;
	bool started;
};

void checkpoints_look(struct checkpoints *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

/* How long it is until then, at most a day, since the clock may be set. */
static int64_t wait_of(const struct checkpoints *c)
{
	int64_t again_ms = c->again_ms - clock_mono_ms();
	struct catalog_checkpoint last;
	int64_t due_ms = 0;

	if (c->again_ms && again_ms > 0)
		return again_ms;
	if (!checkpoint_is_due(&c->ctx) && catalog_checkpoint(c->ctx.catalog, &last) == 0)
		due_ms = (last.at_us + CHECKPOINT_INTERVAL_US -
		          (c->ctx.now_us ? c->ctx.now_us() : clock_now_us())) /
		                 1000 +
		         1;
	return due_ms > CHECKPOINT_INTERVAL_US / 1000 ? CHECKPOINT_INTERVAL_US / 1000 : due_ms;
}

/* With the lock. False: stop. */
static bool wait_for_due_checkpoint(struct checkpoints *c)
{
	while (!c->stopping) {
		int64_t wait_ms;

		pthread_mutex_unlock(&c->lock);
		wait_ms = wait_of(c);
		pthread_mutex_lock(&c->lock);
		if (c->stopping)
			break;
		if (wait_ms <= 0)
			return true;
		clock_cond_wait_ms(&c->changed, &c->lock, wait_ms);
	}
	return false;
}

static void make_due_checkpoint(struct checkpoints *c)
{
	const struct store_call call = {.cancel = &c->cancel};
	struct error err = {0};
	int r = checkpoint_make(&c->ctx, &call, &err);

	if (r >= 0) {
		c->pause_ms = 0;
		c->again_ms = 0;
		return;
	}
	c->pause_ms = !c->pause_ms                      ? PAUSE_FIRST_MS
	              : c->pause_ms < PAUSE_MOST_MS / 2 ? 2 * c->pause_ms
	                                                : PAUSE_MOST_MS;
	c->again_ms = clock_mono_ms() + c->pause_ms;
	if (r != -ECANCELED)
		log_warning("no checkpoint of the audit was put into the store, this is tried again: %s",
		            err.message);
}

static void *checkpoints_main(void *arg)
{
	struct checkpoints *c = arg;

	pthread_mutex_lock(&c->lock);
	while (wait_for_due_checkpoint(c)) {
		pthread_mutex_unlock(&c->lock);
		make_due_checkpoint(c);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int checkpoints_new(const struct checkpoint_context *ctx, struct checkpoints **ret, struct error *err)
{
	struct checkpoints *c = mem_alloc(sizeof(*c));
	int r;

	c->ctx = *ctx;
	c->again_ms = clock_mono_ms() + PAUSE_FIRST_MS;
	cancel_init(&c->cancel);
	pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->changed);
	r = thread_start(&c->thread, "checkpoint", checkpoints_main, c);
	c->started = r == 0;
	if (r < 0) {
		checkpoints_free(c);
		return error_system(err, -r, "the thread that makes checkpoints cannot be started");
	}
	*ret = c;
	return 0;
}

struct checkpoints *checkpoints_free(struct checkpoints *c)
{
	if (!c)
		return NULL;
	cancel_set(&c->cancel);
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
	if (c->started)
		pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	cancel_finish(&c->cancel);
	free(c);
	return NULL;
}

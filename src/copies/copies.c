// SPDX-License-Identifier: Apache-2.0
/*
 * The thread that makes a copy when one is due. It sleeps until then, or until it is told of something that should not wait.
 * What is due is a matter of the clock on the wall, since a day is counted over restarts; how long is slept until then is
 * not. Whether anything has changed since the last copy the catalog tells without being read.
 */
#include "copies_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/copy.h>

#include <errno.h>
#include <pthread.h>

static const struct copies_pace usual_pace = {.first = 60000, .longest = 3600000};

struct copies {
	struct copies_context ctx;
	struct copies_pace pace;
	struct cancel cancel;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* due_us, stopping */
	int64_t due_us;         /* lock: by the clock of ctx */
	bool stopping;          /* lock */
	int64_t pause_ms;       /* after the next failure */
	uint64_t copied; /* what changes_of() said when the last copy was made; 0: not by this process */
	pthread_t thread;
	bool started;
};

static uint64_t changes_of(const struct copies *c)
{
	/* One more: 0 is no such number. */
	return catalog_audit_generation(c->ctx.catalog) + catalog_rest_generation(c->ctx.catalog) + 1;
}

void copies_look(struct copies *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void copies_soon(struct copies *c)
{
	int64_t soon_us;

	if (!c)
		return;
	soon_us = copies_now_us(&c->ctx) + c->pace.first * 1000;
	pthread_mutex_lock(&c->lock);
	if (c->due_us > soon_us) {
		c->due_us = soon_us;
		pthread_cond_signal(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
}

/* With the lock: until a copy is due. False: stop. */
static bool wait_for_due(struct copies *c)
{
	while (!c->stopping) {
		int64_t now_us = copies_now_us(&c->ctx);

		/* The clock was ahead when it was counted. */
		if (c->due_us > now_us + CATALOG_COPY_INTERVAL_US)
			c->due_us = now_us + CATALOG_COPY_INTERVAL_US;
		if (c->due_us <= now_us)
			return true;
		clock_cond_wait_ms(&c->changed, &c->lock, (c->due_us - now_us) / 1000 + 1);
	}
	return false;
}

/* When nothing has changed the last one is as good as a new one. */
static int copy_changes(struct copies *c, const struct copies_context *ctx, struct error *err)
{
	uint64_t changes = changes_of(c);
	struct catalog_copy_state state;
	int r;

	if (c->copied == changes && catalog_copy_state(ctx->catalog, &state) == 0)
		r = catalog_copy_note(ctx->catalog, state.key, copies_now_us(ctx), err);
	else
		r = copies_make(ctx, &c->cancel, err);
	if (r == 0)
		c->copied = changes + 1; /* the note is one */
	if (r == 0 && ctx->put)
		ctx->put(ctx->put_arg);
	return r;
}

/* Returns in how many milliseconds the next is due. */
static int64_t make_due(struct copies *c)
{
	struct error err = {0};
	int64_t pause_ms = c->pause_ms;
	int r = copy_changes(c, &c->ctx, &err);

	if (r == 0) {
		c->pause_ms = c->pace.first;
		return CATALOG_COPY_INTERVAL_US / 1000;
	}
	if (r != -ECANCELED)
		log_warning("the catalog was not copied into the store, this is tried again: %s",
		            err.message);
	c->pause_ms = pause_ms < c->pace.longest / 2 ? 2 * pause_ms : c->pace.longest;
	return pause_ms;
}

static void *copies_main(void *arg)
{
	struct copies *c = arg;

	pthread_mutex_lock(&c->lock);
	while (wait_for_due(c)) {
		int64_t next_ms;

		/* What asks for one meanwhile asks for the next. */
		c->due_us = INT64_MAX;
		pthread_mutex_unlock(&c->lock);
		next_ms = make_due(c);
		pthread_mutex_lock(&c->lock);
		if (c->due_us > copies_now_us(&c->ctx) + next_ms * 1000)
			c->due_us = copies_now_us(&c->ctx) + next_ms * 1000;
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* The first one does not hold up a start; one that is overdue, because the daemon was off, is not put off. */
static int find_first_due(struct copies *c, struct error *err)
{
	int64_t now_us = copies_now_us(&c->ctx);
	struct catalog_copy_state state;
	int r = catalog_copy_begin(c->ctx.catalog, now_us, err);

	if (r < 0)
		return r;
	r = catalog_copy_state(c->ctx.catalog, &state);
	if (r < 0)
		return error_system(err, -r, "what was copied of the catalog cannot be read from it");
	c->due_us =
	        state.key[0] ? state.current_us + CATALOG_COPY_INTERVAL_US : now_us + c->pace.first * 1000;
	return 0;
}

static int start_copies(struct copies *c, struct error *err)
{
	int r = find_first_due(c, err);

	if (r < 0)
		return r;
	r = thread_start(&c->thread, "copies", copies_main, c);
	c->started = r == 0;
	return r < 0 ? error_system(err, -r, "the thread that copies the catalog cannot be started") : 0;
}

int copies_start(const struct copies_context *ctx, const struct copies_pace *pace, struct copies **ret_copies,
                 struct error *err)
{
	struct copies *c = mem_alloc(sizeof(*c));
	int r;

	c->ctx = *ctx;
	c->pace = *pace;
	c->pause_ms = pace->first;
	cancel_init(&c->cancel);
	pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->changed);
	catalog_copy_clean(ctx->conf->state_dir);
	r = ctx->conf->catalog_copies ? start_copies(c, err) : 0;
	if (r < 0) {
		copies_free(c);
		return r;
	}
	*ret_copies = c;
	return 0;
}

int copies_new(const struct copies_context *ctx, struct copies **ret_copies, struct error *err)
{
	return copies_start(ctx, &usual_pace, ret_copies, err);
}

static void stop_copies(struct copies *c)
{
	cancel_set(&c->cancel);
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
	if (c->started)
		pthread_join(c->thread, NULL);
	c->started = false;
}

void copies_last(struct copies *c, struct store *store)
{
	struct copies_context ctx;
	struct error err = {0};

	if (!c || !c->started)
		return;
	stop_copies(c);
	ctx = c->ctx;
	ctx.store = store;
	if (c->copied != changes_of(c) && copies_make(&ctx, NULL, &err) < 0)
		log_warning("the catalog was not copied into the store before the end: %s", err.message);
}

struct copies *copies_free(struct copies *c)
{
	if (!c)
		return NULL;
	stop_copies(c);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	cancel_finish(&c->cancel);
	free(c);
	return NULL;
}

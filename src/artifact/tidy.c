// SPDX-License-Identifier: Apache-2.0
/*
 * What a store did not answer for while the daemon ran: it is tried again, after a minute, after two, …, once an hour at
 * most, until nothing is left. Nobody waits for it, and nothing wakes up while there is nothing to do.
 */
#include "artifact_private.h"

#include <errno.h>
#include <pthread.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#define FIRST_MS INT64_C(60000)
#define MOST_MS  INT64_C(3600000)

struct artifact_tidier {
	struct repository *repo;
	struct cancel cancel;
	int64_t first_ms;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* due_ms, stopping */
	int64_t due_ms;         /* lock: clock_mono_ms() of the next attempt; 0: nothing is left */
	bool stopping;          /* lock */
	pthread_t thread;
	bool started;
};

void artifact_left(struct repository *repo)
{
	struct artifact_tidier *t = repo->tidier;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	if (t->due_ms == 0)
		t->due_ms = clock_mono_ms() + t->first_ms;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

/* With the lock: until an attempt is due. False: stop. */
static bool wait_until_due(struct artifact_tidier *t)
{
	while (!t->stopping) {
		int64_t wait_ms = t->due_ms - clock_mono_ms();

		if (t->due_ms == 0)
			pthread_cond_wait(&t->changed, &t->lock);
		else if (wait_ms > 0)
			clock_cond_wait_ms(&t->changed, &t->lock, wait_ms);
		else
			return true;
	}
	return false;
}

static unsigned settle_tombs(struct artifact_tidier *t)
{
	struct artifact_recovery counts = {0};
	struct error err = {0};
	int r = artifact_settle(t->repo, &t->cancel, &counts, &err);

	if (counts.removed || counts.discarded || counts.adopted)
		log_info(
		        "tried again: %u removals finished, %u remains of failed runs discarded, %u backups listed",
		        counts.removed, counts.discarded, counts.adopted);
	if (r < 0 && r != -ECANCELED)
		log_warning("what is left in the store could not be cleared up: %s", err.message);
	return r < 0 ? 1 : counts.left;
}

static void *tidier_main(void *arg)
{
	struct artifact_tidier *t = arg;
	int64_t pause_ms = t->first_ms;

	pthread_mutex_lock(&t->lock);
	while (wait_until_due(t)) {
		unsigned left;

		t->due_ms = 0;
		pthread_mutex_unlock(&t->lock);
		left = settle_tombs(t);
		pthread_mutex_lock(&t->lock);
		pause_ms = left == 0 ? t->first_ms : pause_ms < MOST_MS / 2 ? 2 * pause_ms : MOST_MS;
		if (left > 0)
			t->due_ms = clock_mono_ms() + pause_ms;
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

int artifact_tidier_start(struct repository *repo, int64_t first_ms, struct artifact_tidier **ret_tidier,
                          struct error *err)
{
	struct artifact_tidier *t = mem_alloc(sizeof(*t));
	int r;

	t->repo = repo;
	t->first_ms = first_ms;
	cancel_init(&t->cancel);
	pthread_mutex_init(&t->lock, NULL);
	clock_cond_init(&t->changed);
	r = thread_start(&t->thread, "tidy", tidier_main, t);
	t->started = r == 0;
	if (r < 0) {
		artifact_tidier_free(t);
		return error_system(err, -r, "a thread for clearing up cannot be started");
	}
	repo->tidier = t;
	*ret_tidier = t;
	return 0;
}

int artifact_tidier_new(struct repository *repo, struct artifact_tidier **ret_tidier, struct error *err)
{
	return artifact_tidier_start(repo, FIRST_MS, ret_tidier, err);
}

struct artifact_tidier *artifact_tidier_free(struct artifact_tidier *t)
{
	if (!t)
		return NULL;
	cancel_set(&t->cancel);
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
	if (t->started)
		pthread_join(t->thread, NULL);
	if (t->repo->tidier == t)
		t->repo->tidier = NULL;
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	cancel_finish(&t->cancel);
	free(t);
	return NULL;
}

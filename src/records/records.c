// SPDX-License-Identifier: Apache-2.0
/* The thread that moves what is due. Nobody waits for it, and it sleeps until it is told to look, or until another
 * attempt is due after a failure. */
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/records.h>

#include <errno.h>
#include <pthread.h>

#define FIRST_MS INT64_C(60000)
#define MOST_MS  INT64_C(3600000)

struct records {
	struct records_context ctx;
	struct cancel cancel;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* look, stopping */
	bool look;              /* lock: something may be due */
	bool stopping;          /* lock */
	int64_t failed_ms;      /* how long the last failure is waited out; 0: there was none */
	int64_t again_ms;       /* clock_mono_ms() of the next attempt after it */
	pthread_t thread;
	bool started;
};

void records_look(struct records *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->look = true;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

/* With the lock: until there is something to do. False: stop. */
static bool wait_for_work(struct records *r)
{
	while (!r->stopping) {
		int64_t wait_ms = r->again_ms - clock_mono_ms();

		if (r->failed_ms && wait_ms > 0)
			clock_cond_wait_ms(&r->changed, &r->lock, wait_ms);
		else if (r->failed_ms || r->look)
			return true;
		else
			pthread_cond_wait(&r->changed, &r->lock);
	}
	return false;
}

static void move_due(struct records *r)
{
	const struct store_call call = {.cancel = &r->cancel};
	struct error err = {0};
	int result = records_move(&r->ctx, &call, &err);

	if (result == 0) {
		r->failed_ms = 0;
		return;
	}
	r->failed_ms = !r->failed_ms ? FIRST_MS : r->failed_ms < MOST_MS / 2 ? 2 * r->failed_ms : MOST_MS;
	r->again_ms = clock_mono_ms() + r->failed_ms;
	if (result != -ECANCELED)
		log_warning("old lines of the audit and old runs stay in the catalog for now: %s",
		            err.message);
}

static void *records_main(void *arg)
{
	struct records *r = arg;

	pthread_mutex_lock(&r->lock);
	while (wait_for_work(r)) {
		r->look = false;
		pthread_mutex_unlock(&r->lock);
		move_due(r);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int records_new(const struct records_context *ctx, struct records **ret_records, struct error *err)
{
	struct records *r = mem_alloc(sizeof(*r));
	int result;

	r->ctx = *ctx;
	r->look = true;
	cancel_init(&r->cancel);
	pthread_mutex_init(&r->lock, NULL);
	clock_cond_init(&r->changed);
	result = thread_start(&r->thread, "records", records_main, r);
	r->started = result == 0;
	if (result < 0) {
		records_free(r);
		return error_system(err, -result, "the thread that moves old records cannot be started");
	}
	*ret_records = r;
	return 0;
}

struct records *records_free(struct records *r)
{
	if (!r)
		return NULL;
	cancel_set(&r->cancel);
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
	if (r->started)
		pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	cancel_finish(&r->cancel);
	free(r);
	return NULL;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Ending a statement at the server. Closing the socket alone is not enough: a server that is not writing (a
 * scan through dead rows, a function that takes hours) does not notice, and keeps its locks and its snapshot.
 * So it is asked to cancel, which needs a second connection, which libpq can only make in a blocking call
 * without any limit. That call is made by a thread of its own; whoever ends a session waits for it a little
 * while, and then leaves the thread to the limits of the system's network.
 */
#include "session.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#define STOP_LIMIT_MS 1000

struct stop {
	PGcancel *request;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;        /* lock */
	unsigned holders; /* lock: the thread, and who waits for it; the last one frees */
};

static void release_stop(struct stop *stop)
{
	bool last;

	pthread_mutex_lock(&stop->lock);
	last = --stop->holders == 0;
	pthread_mutex_unlock(&stop->lock);
	if (!last)
		return;
	PQfreeCancel(stop->request);
	pthread_cond_destroy(&stop->changed);
	pthread_mutex_destroy(&stop->lock);
	free(stop);
}

static void *stop_main(void *arg)
{
	struct stop *stop = arg;
	char words[256];

	/* When it fails, nobody can do more about it than close the socket, which comes next. */
	(void)PQcancel(stop->request, words, (int)sizeof(words));
	pthread_mutex_lock(&stop->lock);
	stop->done = true;
	pthread_cond_signal(&stop->changed);
	pthread_mutex_unlock(&stop->lock);
	release_stop(stop);
	return NULL;
}

static void wait_for_stop(struct stop *stop)
{
	int64_t until_ms = clock_mono_ms() + STOP_LIMIT_MS;
	int64_t left_ms = STOP_LIMIT_MS;

	pthread_mutex_lock(&stop->lock);
	while (!stop->done && left_ms > 0) {
		clock_cond_wait_ms(&stop->changed, &stop->lock, left_ms);
		left_ms = until_ms - clock_mono_ms();
	}
	pthread_mutex_unlock(&stop->lock);
}

void session_stop_statement(const struct pg_session *s)
{
	struct stop *stop;
	PGcancel *request;
	pthread_t thread;

	if (PQstatus(s->conn) != CONNECTION_OK || PQtransactionStatus(s->conn) != PQTRANS_ACTIVE)
		return;
	request = PQgetCancel(s->conn);
	if (!request)
		return;
	stop = mem_alloc(sizeof(*stop));
	stop->request = request;
	stop->holders = 2;
	pthread_mutex_init(&stop->lock, NULL);
	clock_cond_init(&stop->changed);
	if (thread_start(&thread, "pg-stop", stop_main, stop) == 0) {
		pthread_detach(thread);
		wait_for_stop(stop);
	} else {
		stop->holders--;
	}
	release_stop(stop);
}

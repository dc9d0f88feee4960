// SPDX-License-Identifier: Apache-2.0
/*
 * The scrub: so that nothing stays unproven for longer than the configuration says, the backup whose bytes were proven longest ago is
 * read again, slowly, and the thread sleeps in between. It begins when four fifths of the time are over, so that what comes due at once is
 * spread, and a store that is away for a day makes nothing late. What is made meanwhile is not due before that, so nobody need tell of it.
 *
 * One of which nothing could be found out (the store does not answer) is passed over until the others had their turn, and comes again
 * after an hour.
 */
#include "proving.h"

#include <keepfs/base/alarm.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/use.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#define AGAIN_US  (3600 * US_PER_S)
#define FUTURE_US (INT64_C(86400) * US_PER_S) /* further ahead no clock is by itself */

struct use_scrub {
	const struct make_context *ctx;
	struct alarm alarm;
	struct cancel cancel;
	atomic_bool ends;
	pthread_t thread;
	bool has_thread;
};

static void log_scrub_line(void *arg, const char *line)
{
	log_debug("scrub: %s", line);
}

static void warn_of_scrub(void *arg, const char *text)
{
	log_error("scrub: %s", text);
}

static int64_t pause_us(int64_t within_ms)
{
	return within_ms * 800;
}

/* When it is to be read again. That it was not read back when it was made was what the job wanted. */
static int64_t scrub_due_at(const struct catalog_unproven *u, int64_t within_ms)
{
	return (u->proven_at_us ? u->proven_at_us : u->finished_at_us) + pause_us(within_ms);
}

static int read_again(struct use_scrub *s, const struct catalog_unproven *u, const struct conf *conf)
{
	const struct make_order order = {
	        .cancel = &s->cancel, .log = log_scrub_line, .warn = warn_of_scrub, .log_arg = s};
	struct make_context own = *s->ctx;
	struct proving p = {.ctx = &own, .order = &order, .level = PROOF_BYTES};

	own.pool = pool_new(PROVING_POOL_BYTES);
	if (!own.pool)
		return -ENOMEM;
	p.rate = rate_new(conf->store.scrub_rate_bytes);
	proving_backup(&p, u->ino);
	rate_free(p.rate);
	pool_free(own.pool);
	if (p.unknown > 0)
		log_warning("scrub: %s could not be read: %s", u->path, p.first.message);
	if (p.unknown > 0)
		return p.result;
	return p.unkept > 0 ? -EIO : 0;
}

/* Those of which a clock that was ahead has said that they were proven. */
static int64_t scrub_future(struct use_scrub *s, const struct conf *conf)
{
	int64_t now_us = make_now_us(s->ctx), again_us = ALARM_NEVER;
	struct catalog_unproven u = {.proven_at_us = now_us + FUTURE_US, .ino = INT64_MAX};

	while (!atomic_load(&s->ends) && catalog_least_proven(s->ctx->repository->catalog, &u, &u) == 0)
		if (read_again(s, &u, conf) < 0)
			again_us = now_us + AGAIN_US;
	return again_us;
}

/* All that are due, from the one that was proven longest ago. Returns when the next one is. */
static int64_t scrub_due(struct use_scrub *s, const struct conf *conf)
{
	struct catalog_unproven u = {.proven_at_us = -1};
	int64_t within_ms = conf->store.scrub_within_ms, again_us;
	int r;

	if (within_ms == 0)
		return ALARM_NEVER;
	again_us = scrub_future(s, conf);
	if (again_us == ALARM_NEVER)
		again_us = make_now_us(s->ctx) + pause_us(within_ms);
	while ((r = catalog_least_proven(s->ctx->repository->catalog, &u, &u)) != -ENOENT) {
		int64_t now_us = make_now_us(s->ctx), due_us;

		if (r < 0 || atomic_load(&s->ends))
			return now_us + AGAIN_US;
		due_us = scrub_due_at(&u, within_ms);
		if (due_us <= now_us)
			due_us = read_again(s, &u, conf) < 0 ? now_us + AGAIN_US : ALARM_NEVER;
		else if (u.proven_at_us)
			return due_us < again_us ? due_us : again_us;
		if (due_us < again_us)
			again_us = due_us;
	}
	return again_us;
}

static void *scrub_main(void *arg)
{
	struct use_scrub *s = arg;

	while (!atomic_load(&s->ends)) {
		const struct conf *conf = make_conf_ref(s->ctx);
		int64_t next_us = scrub_due(s, conf);

		make_conf_unref(s->ctx, conf);
		if (!atomic_load(&s->ends))
			alarm_sleep(&s->alarm, next_us);
	}
	return NULL;
}

void use_scrub_changed(struct use_scrub *s)
{
	if (s)
		alarm_wake(&s->alarm);
}

int use_scrub_new(const struct make_context *ctx, struct use_scrub **ret, struct error *err)
{
	struct use_scrub *s = mem_alloc(sizeof(*s));
	int r;

	s->ctx = ctx;
	cancel_init(&s->cancel);
	r = alarm_open(&s->alarm);
	if (r == 0)
		r = thread_start(&s->thread, "scrub", scrub_main, s);
	s->has_thread = r == 0;
	if (r < 0) {
		use_scrub_free(s);
		return error_system(err, -r, "a thread that reads backups again cannot be started");
	}
	*ret = s;
	return 0;
}

struct use_scrub *use_scrub_free(struct use_scrub *s)
{
	if (!s)
		return NULL;
	atomic_store(&s->ends, true);
	cancel_set(&s->cancel);
	if (s->has_thread) {
		alarm_wake(&s->alarm);
		pthread_join(s->thread, NULL);
	}
	alarm_close(&s->alarm);
	cancel_finish(&s->cancel);
	free(s);
	return NULL;
}

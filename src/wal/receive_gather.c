// SPDX-License-Identifier: Apache-2.0
/*
 * Segments in memory. Each has a pool of its own, in which there is room for it and for what it becomes, whole or a piece: so whoever has one never waits for memory with it in his hands. The first is waited for before the stream
 * begins; up to two more are taken while the store is slower than the server, if a quarter of all memory stays free. Then nothing is read: the server keeps its WAL.
 *
 * A segment becomes an object when it is full. Until then a piece of a tail has what came since the last piece; after PIECES_MAX of them one takes their place, from the segment's begin. No tail is made while an older segment is
 * not stored: what a server was told to be durable has no hole.
 */
#include "receive.h"
#include "tail.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define SEGMENTS_MAX 3
#define PIECES_MAX   32
#define READ_BYTES   ((size_t)256 << 10)

static size_t buffers_for_segment(uint32_t segment_bytes)
{
	return pages_for(segment_bytes) + pages_for(wal_packed_bytes_max(segment_bytes)) + WAL_PIECES;
}

static struct gathered *new_gathered(struct gathering *g, struct pool *pool)
{
	struct gathered *s = mem_alloc(sizeof(*s));

	s->in = g;
	s->pool = pool;
	s->spool_fd = -1;
	g->count++;
	return s;
}

static void end_gathered(struct gathering *g, struct gathered *s)
{
	if (!s)
		return;
	pages_finish(&s->raw);
	pool_free(s->pool);
	if (s->spool_fd >= 0)
		close(s->spool_fd);
	free(s);
	g->count--;
}

int gathering_begin(struct gathering *g, struct receiver *r, uint64_t system_id, uint32_t segment_bytes,
                    struct error *err)
{
	struct pool *pool;
	int result =
	        pool_branch_wait(r->w->options.pool, buffers_for_segment(segment_bytes), &r->cancel, &pool);

	if (result == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, -result, "cancelled");
	if (result < 0)
		return error_set(
		        err, ERROR_USAGE, -result,
		        "streaming segments of %u MiB needs twice as many buffers: [keepfs] memory has to be more",
		        (unsigned)(segment_bytes >> 20));
	*g = (struct gathering){.r = r, .system_id = system_id, .segment_bytes = segment_bytes};
	g->idle = new_gathered(g, pool);
	return 0;
}

void gathering_finish(struct gathering *g)
{
	struct receiver *r = g->r;

	pthread_mutex_lock(&r->lock);
	for (struct gathered *s = g->first; s; s = s->next)
		while (s->is_tailing || s->is_spooling || (s->is_whole && !s->is_stored && s->result == 0))
			pthread_cond_wait(&r->changed, &r->lock);
	pthread_mutex_unlock(&r->lock);
	while (g->first) {
		struct gathered *s = g->first;

		g->first = s->next;
		end_gathered(g, s);
	}
	end_gathered(g, g->idle);
}

static struct gathered *find_room(struct gathering *g)
{
	struct pool *all = g->r->w->options.pool, *pool;
	struct gathered *s = g->idle;

	g->idle = NULL;
	if (s || g->count >= SEGMENTS_MAX)
		return s;
	pool = pool_branch(all, buffers_for_segment(g->segment_bytes), pool_buffers(all) / 4);
	return pool ? new_gathered(g, pool) : NULL;
}

struct gathered *gathering_open(struct gathering *g, uint32_t timeline, uint64_t lsn, uint64_t branch_lsn)
{
	struct gathered *s = find_room(g), **end = &g->first;
	struct pool *pool;

	if (!s)
		return NULL;
	pool = s->pool;
	*s = (struct gathered){.in = g,
	                       .pool = pool,
	                       .name = wal_name_of_lsn(timeline, lsn, g->segment_bytes),
	                       .branch_lsn = branch_lsn,
	                       .spool_fd = -1};
	s->lsn = wal_name_lsn(&s->name, g->segment_bytes);
	/* It is the pool's own size. */
	(void)pages_reserve(&s->raw, pool, g->segment_bytes, 0, PAGES_AT_ONCE);
	pthread_mutex_lock(&g->r->lock);
	while (*end)
		end = &(*end)->next;
	*end = s;
	pthread_mutex_unlock(&g->r->lock);
	return s;
}

/* Workers. */

static void end_work(struct gathered *s, int result, const struct error *err)
{
	struct receiver *r = s->in->r;

	pthread_mutex_lock(&r->lock);
	if (result < 0 && s->result == 0) {
		s->result = result;
		s->err = *err;
	}
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	receiver_wake(r);
}

/* @result and @err are of an attempt to store something: another one is made while it may help. */
static bool stores_again(struct receiver *r, int *result, struct error *err)
{
	/* A store that is full may have room tomorrow. */
	err->retry |= *result < 0 && err->class == ERROR_NO_SPACE;
	if (*result < 0 && *result != -ECANCELED)
		receiver_trouble(r, err->message);
	return wal_tries_again(&r->cancel, INT64_MAX, result, err);
}

static int write_raw(void *arg, const void *data, size_t len, struct error *err)
{
	return wal_arrival_write(arg, data, len, err);
}

static int archive_gathered(struct gathered *s, struct error *err)
{
	struct receiver *r = s->in->r;
	_cleanup(wal_arrival) struct wal_arrival *a = NULL;
	_cleanup(free) char *note = NULL;
	char name[WAL_NAME_BYTES];
	int result;

	wal_name_format(&s->name, name);
	result = wal_arrival_new(r->w, r->settings.job, name, &r->cancel, &a, err);
	if (result < 0)
		return result;
	wal_arrival_use(a, s->pool);
	result = pages_each(&s->raw, write_raw, a, err);
	return result < 0 ? result : wal_arrival_end(a, &note, err);
}

/* Of this segment, and of the same one of older timelines, as far as they say no more than it does. */
static void remove_tails_of(struct gathered *s)
{
	struct receiver *r = s->in->r;
	int64_t after = 0;

	for (;;) {
		_cleanup(wal_tail) struct wal_tail tail = {0};
		_cleanup(wal_tail) struct wal_tail covered = {0};

		if (wal_tails_next(r->w, r->settings.job, after, &tail) < 0)
			return;
		after = tail.number;
		if (wal_name_compare_place(&tail.name, &s->name) != 0 ||
		    tail.name.timeline > s->name.timeline ||
		    wal_tails_find(r->w, r->settings.job, &tail.name, &covered) < 0)
			continue;
		if (tail.name.timeline == s->name.timeline ||
		    s->lsn + wal_tail_cover(&covered) <= s->branch_lsn)
			wal_tail_remove(r->w, &tail, &r->cancel);
	}
}

static void store_gathered(void *arg)
{
	struct gathered *s = arg;
	struct receiver *r = s->in->r;
	struct error err = {0};
	int result;

	do {
		err = (struct error){0};
		result = archive_gathered(s, &err);
	} while (stores_again(r, &result, &err));
	if (result == 0) {
		receiver_trouble(r, "");
		remove_tails_of(s);
		spool_drop(r, s, s->in->system_id);
	}
	pthread_mutex_lock(&r->lock);
	s->is_stored = result == 0;
	r->state.segments += result == 0;
	pthread_mutex_unlock(&r->lock);
	end_work(s, result, &err);
}

static void name_tail(const struct gathered *s, struct wal_tail *ret)
{
	*ret = (struct wal_tail){.system_id = s->in->system_id, .name = s->name};
	str_copy(ret->job, sizeof(ret->job), s->in->r->settings.job);
}

static void tail_gathered(void *arg)
{
	struct gathered *s = arg;
	struct receiver *r = s->in->r;
	const struct wal_tail_put put = {.w = r->w,
	                                 .pool = s->pool,
	                                 .cancel = &r->cancel,
	                                 .raw = &s->raw,
	                                 .from = s->from,
	                                 .to = s->to};
	struct error err = {0};
	struct wal_tail tail;
	int result;

	name_tail(s, &tail);
	do {
		err = (struct error){0};
		result = wal_tail_put(&put, &tail, &err);
	} while (stores_again(r, &result, &err));
	if (result == 0)
		receiver_trouble(r, "");
	pthread_mutex_lock(&r->lock);
	s->is_tailing = false;
	if (result == 0) {
		s->tail_end = put.to;
		s->pieces = put.from ? s->pieces + 1 : 1;
		r->state.tails++;
	}
	pthread_mutex_unlock(&r->lock);
	end_work(s, result, &err);
}

struct spooling {
	struct gathered *s;
	uint32_t to;
};

static void spool_gathered(void *arg)
{
	struct spooling *work = arg;
	struct gathered *s = work->s;
	struct receiver *r = s->in->r;
	struct error err = {0};
	int result = spool_write(r, s, work->to, s->in->system_id, &err);

	pthread_mutex_lock(&r->lock);
	s->is_spooling = false;
	if (result == 0)
		s->spool_end = work->to;
	pthread_mutex_unlock(&r->lock);
	free(work);
	end_work(s, result, &err);
}

/* The receiver's thread. */

void gathering_append(struct gathering *g, struct gathered *s, const uint8_t *data, size_t len)
{
	/* There is room, since it was reserved. */
	(void)pages_append(&s->raw, data, len);
	if (s->raw.bytes < g->segment_bytes)
		return;
	pthread_mutex_lock(&g->r->lock);
	s->is_whole = true;
	pthread_mutex_unlock(&g->r->lock);
	workers_add(g->r->workers, store_gathered, s);
}

static uint32_t durable_of(const struct gathering *g, const struct gathered *s)
{
	if (s->is_stored)
		return g->segment_bytes;
	if (g->r->settings.confirm == CONF_WAL_CONFIRM_DISK && s->spool_end > s->tail_end)
		return s->spool_end;
	return s->tail_end;
}

/* With the lock. */
static uint64_t find_durable(const struct gathering *g)
{
	uint64_t durable = g->durable;

	for (const struct gathered *s = g->first; s; s = s->next) {
		uint32_t bytes = durable_of(g, s);

		if (bytes && s->lsn + bytes > durable)
			durable = s->lsn + bytes;
		if (bytes < g->segment_bytes)
			break;
	}
	return durable;
}

/* With the lock. Of those that are stored the first ones, one behind the other; NULL: none. */
static struct gathered *take_stored_segment(struct gathering *g)
{
	struct gathered *s = g->first;

	if (!s || !s->is_stored || s->is_tailing || s->is_spooling)
		return NULL;
	g->first = s->next;
	s->next = NULL;
	return s;
}

static void reuse_gathered(struct gathering *g, struct gathered *s)
{
	if (g->idle) {
		end_gathered(g, s);
		return;
	}
	pages_finish(&s->raw);
	if (s->spool_fd >= 0)
		close(s->spool_fd);
	s->spool_fd = -1;
	g->idle = s;
}

int gathering_settle(struct gathering *g, bool *ret_stored, struct error *err)
{
	struct gathered *done = NULL, *s;
	uint64_t before = g->durable;
	int r = 0;

	pthread_mutex_lock(&g->r->lock);
	g->durable = find_durable(g);
	for (s = g->first; s && r == 0; s = s->next) {
		r = s->result;
		if (r < 0 && err)
			*err = s->err;
	}
	while ((s = take_stored_segment(g)) != NULL) {
		s->next = done;
		done = s;
	}
	pthread_mutex_unlock(&g->r->lock);
	while (done) {
		s = done;
		done = s->next;
		reuse_gathered(g, s);
	}
	*ret_stored = g->durable > before;
	return r;
}

/* What an earlier stream, or another process, has stored of it. */
static uint32_t tail_known_of(const struct gathered *s)
{
	_cleanup(wal_tail) struct wal_tail known = {0};

	if (s->pieces || wal_tails_find(s->in->r->w, s->in->r->settings.job, &s->name, &known) < 0)
		return 0;
	return wal_tail_cover(&known);
}

bool gathering_can_tail(struct gathering *g, struct gathered *s)
{
	bool can;

	pthread_mutex_lock(&g->r->lock);
	can = g->first == s && !s->is_whole && !s->is_tailing && s->raw.bytes > s->tail_end;
	pthread_mutex_unlock(&g->r->lock);
	/* The first one takes the place of what is there, so it must not go less far. */
	return can && s->raw.bytes >= tail_known_of(s);
}

void gathering_tail(struct gathering *g, struct gathered *s)
{
	pthread_mutex_lock(&g->r->lock);
	s->is_tailing = true;
	s->from = s->pieces == 0 || s->pieces >= PIECES_MAX ? 0 : s->tail_end;
	s->to = (uint32_t)s->raw.bytes;
	pthread_mutex_unlock(&g->r->lock);
	/* Nobody is in haste: what is not used now belongs to others. */
	if (g->idle && g->count > 1) {
		end_gathered(g, g->idle);
		g->idle = NULL;
	}
	workers_add(g->r->workers, tail_gathered, s);
}

static void begin_spooling(struct gathering *g, struct gathered *s)
{
	struct spooling *work = NULL;

	pthread_mutex_lock(&g->r->lock);
	if (!s->is_spooling && !s->is_stored && s->result == 0 && s->raw.bytes > s->spool_end) {
		s->is_spooling = true;
		work = mem_alloc(sizeof(*work));
		*work = (struct spooling){.s = s, .to = (uint32_t)s->raw.bytes};
	}
	pthread_mutex_unlock(&g->r->lock);
	if (work)
		workers_add(g->r->workers, spool_gathered, work);
}

void gathering_spool(struct gathering *g)
{
	if (g->r->settings.confirm == CONF_WAL_CONFIRM_DISK)
		for (struct gathered *s = g->first; s; s = s->next)
			begin_spooling(g, s);
}

/* With the lock. */
static bool is_at_work(const struct gathering *g)
{
	for (const struct gathered *s = g->first; s; s = s->next)
		if (s->is_tailing || s->is_spooling || (s->is_whole && !s->is_stored && s->result == 0))
			return true;
	return false;
}

static void wait_for_workers(struct gathering *g)
{
	pthread_mutex_lock(&g->r->lock);
	while (is_at_work(g))
		pthread_cond_wait(&g->r->changed, &g->r->lock);
	pthread_mutex_unlock(&g->r->lock);
}

void gathering_flush(struct gathering *g, struct gathered *open)
{
	struct error err = {0};
	bool stored;
	int r;

	wait_for_workers(g);
	r = gathering_settle(g, &stored, &err);
	if (r < 0 || !open || cancel_is_set(&g->r->cancel) || !gathering_can_tail(g, open))
		return;
	gathering_tail(g, open);
	wait_for_workers(g);
	(void)gathering_settle(g, &stored, &err);
}

void gathering_drop_open(struct gathering *g, struct gathered *s)
{
	struct gathered **at = &g->first;

	if (!s)
		return;
	pthread_mutex_lock(&g->r->lock);
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->next = NULL;
	pthread_mutex_unlock(&g->r->lock);
	reuse_gathered(g, s);
}

int gathering_store_file(struct receiver *r, const char *name, int fd, struct error *err)
{
	_cleanup(wal_arrival) struct wal_arrival *a = NULL;
	_cleanup(free) char *note = NULL;
	_cleanup(free) char *buf = mem_alloc(READ_BYTES);
	int result = wal_arrival_new(r->w, r->settings.job, name, &r->cancel, &a, err);
	ssize_t n = 0;

	while (result == 0 && (n = read(fd, buf, READ_BYTES)) > 0)
		result = wal_arrival_write(a, buf, (size_t)n, err);
	if (result == 0 && n < 0)
		result = error_system(err, errno, "what was streamed of %s cannot be read", name);
	return result < 0 ? result : wal_arrival_end(a, &note, err);
}

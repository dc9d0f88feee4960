// SPDX-License-Identifier: Apache-2.0
/*
 * Any range of a member. A seat is a stream that stays where it is when a request was answered, with what came out of it last: so whoever
 * reads on, or a little before, finds it there. There are a few of them for all; who was idle for longest goes.
 *
 * The kernel sends the requests of one reader on several threads, and not in order: one that another thread is about to come by waits for it,
 * instead of beginning at a point of its own.
 */
#include "inside_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

#define WINDOW_BYTES     POOL_BUFFER_BYTES
#define STEP_BYTES       (WINDOW_BYTES / 4)
#define LEAST_STEP_BYTES ((size_t)16 << 10)
#define KEPT_BYTES       (WINDOW_BYTES / 2) /* of what came before, when the next step comes */
#define NEAR_BYTES       ((uint64_t)2 << 20)
#define FAR_BYTES        ((uint64_t)4 << 20) /* for less than that points are not looked for */

static bool is_of(const struct inside_seat *s, const struct inside_dump *d, const struct inside_member *m)
{
	return s->dump == d && s->key == m->key;
}

/* To read on is less than to enter it anew. */
static bool can_go_on(const struct inside_seat *s, const struct inside_member *m, uint64_t raw)
{
	const struct inside_point *p = inside_points_find(m->points, raw);
	uint64_t at = s->window_at + s->window_len;

	/* What is stored as it is can be entered anywhere. */
	if (m->method == COMPRESSION_NONE && !m->chunks && raw > at + STEP_BYTES)
		return false;
	return s->entered && raw >= s->window_at && (raw <= at || !p || p->raw <= at);
}

static bool will_come_by(const struct inside_seat *s, uint64_t raw)
{
	return raw >= s->window_at && raw <= s->goal + NEAR_BYTES;
}

/* With the lock: the one that fits best; NULL: one is to be waited for. */
static struct inside_seat *choose_seat(struct inside *in, const struct inside_dump *d,
                                       const struct inside_member *m, uint64_t raw)
{
	struct inside_seat *oldest = NULL;

	for (unsigned i = 0; i < INSIDE_SEATS; i++) {
		struct inside_seat *s = &in->seats[i];

		if (!s->busy && is_of(s, d, m) && can_go_on(s, m, raw))
			return s;
	}
	for (unsigned i = 0; i < INSIDE_SEATS; i++) {
		struct inside_seat *s = &in->seats[i];

		if (s->busy && is_of(s, d, m) && will_come_by(s, raw))
			return NULL;
		if (!s->busy && (!oldest || s->tick < oldest->tick))
			oldest = s;
	}
	return oldest;
}

static void empty_seat(struct inside *in, struct inside_seat *s)
{
	inside_stream_finish(&s->stream);
	if (s->window) {
		pool_give(in->ctx.pool, s->window);
		pool_give(in->ctx.pool, s->stream.in);
	}
	*s = (struct inside_seat){0};
}

void inside_seats_leave(struct inside *in, const struct inside_dump *d)
{
	for (unsigned i = 0; i < INSIDE_SEATS; i++)
		if (in->seats[i].dump == d && !in->seats[i].busy)
			empty_seat(in, &in->seats[i]);
}

/* With the lock. */
static void sit_down(struct inside *in, struct inside_seat *s, struct inside_dump *d,
                     const struct inside_member *m, uint64_t goal)
{
	if (!is_of(s, d, m)) {
		/* Its file may be the same, and its memory is. */
		if (s->dump != d)
			inside_stream_finish(&s->stream);
		s->entered = false;
		s->window_at = s->window_len = 0;
	}
	if (!s->window) {
		s->window = pool_take(in->ctx.pool);
		s->stream.in = pool_take(in->ctx.pool);
		s->stream.in_cap = POOL_BUFFER_BYTES;
	}
	s->stream.dump = s->dump = d;
	s->key = m->key;
	s->goal = goal;
	s->busy = true;
	s->tick = ++in->tick;
}

static int take_seat(struct inside_dump *d, const struct inside_member *m, struct cancel *cancel,
                     uint64_t raw, uint64_t goal, struct inside_seat **ret)
{
	struct inside *in = d->in;
	struct inside_waiter w;
	int r = 0;

	inside_waiter_begin(&w, &in->lock, &in->changed, cancel);
	while (r == 0 && !(*ret = choose_seat(in, d, m, raw)))
		r = inside_waiter_wait(&w);
	if (r == 0)
		sit_down(in, *ret, d, m, goal);
	inside_waiter_end(&w);
	return r;
}

static void leave_seat(struct inside *in, struct inside_seat *s)
{
	pthread_mutex_lock(&in->lock);
	s->busy = false;
	pthread_cond_broadcast(&in->changed);
	pthread_mutex_unlock(&in->lock);
}

/* The next bytes into its window: those that came last stay for whoever comes a little late. */
static int step_on(struct inside *in, struct inside_seat *s, size_t len, struct cancel *cancel,
                   struct error *err)
{
	size_t drop = s->window_len + len > WINDOW_BYTES ? s->window_len - KEPT_BYTES : 0;
	ssize_t n;

	memmove(s->window, s->window + drop, s->window_len - drop);
	pthread_mutex_lock(&in->lock);
	s->window_at += drop;
	pthread_mutex_unlock(&in->lock);
	s->window_len -= drop;
	n = inside_stream_read(&s->stream, s->window + s->window_len, len, cancel, err);
	if (n < 0)
		return (int)n;
	s->window_len += (size_t)n;
	return n < (ssize_t)len && s->window_len == 0 ? -ENODATA : 0;
}

static int enter_seat(struct inside *in, struct inside_seat *s, const struct inside_member *m, uint64_t raw,
                      struct error *err)
{
	int r;

	s->entered = false;
	s->window_len = 0;
	r = inside_stream_enter(&s->stream, m, raw, err);
	pthread_mutex_lock(&in->lock);
	s->window_at = s->stream.raw_at;
	pthread_mutex_unlock(&in->lock);
	s->entered = r == 0;
	return r;
}

static size_t copy_from_window(const struct inside_seat *s, char *buf, size_t len, uint64_t raw)
{
	uint64_t end = s->window_at + s->window_len;
	size_t n = raw < end ? (size_t)(end - raw) : 0;

	if (n > len)
		n = len;
	memcpy(buf, s->window + (raw - s->window_at), n);
	return n;
}

/* Not much more than was asked for: what comes behind it may be damaged. */
static size_t bytes_of_step(uint64_t wanted)
{
	if (wanted >= STEP_BYTES)
		return STEP_BYTES;
	return wanted < LEAST_STEP_BYTES ? LEAST_STEP_BYTES : (size_t)wanted;
}

static int read_seat(struct inside *in, struct inside_seat *s, const struct inside_member *m,
                     struct cancel *cancel, char *buf, size_t len, uint64_t raw, struct error *err)
{
	int r = can_go_on(s, m, raw) ? 0 : enter_seat(in, s, m, raw, err);

	while (r == 0 && len > 0) {
		uint64_t end = s->window_at + s->window_len;
		size_t n = raw < end ? copy_from_window(s, buf, len, raw) : 0;

		buf += n;
		len -= n;
		raw += n;
		if (len == 0)
			break;
		r = step_on(in, s, bytes_of_step(raw + len - end), cancel, err);
		if (r == 0 && s->window_at + s->window_len == end)
			r = -ENODATA;
	}
	if (r == -ENODATA)
		r = error_set(err, ERROR_CORRUPT, EBADMSG,
		              "the data of a table or large object is shorter than was counted");
	if (r < 0)
		s->entered = false;
	return r;
}

static bool is_far_from_points(const struct inside_member *m, uint64_t raw)
{
	const struct inside_point *p = inside_points_find(m->points, raw);

	return raw - (p ? p->raw : 0) >= FAR_BYTES && (m->method != COMPRESSION_NONE || m->chunks);
}

/* Far from each point there may be a nearer one. */
static int look_for_points(struct inside_dump *d, struct inside_member *m, struct cancel *cancel,
                           uint64_t raw, struct error *err)
{
	uint64_t bytes;
	int r;

	if (m->surveyed || m->points || !is_far_from_points(m, raw))
		return 0;
	r = inside_once_begin(d, &d->surveying, cancel, err);
	if (r < 0)
		return r;
	inside_known_get(d, m);
	if (!m->surveyed)
		r = inside_learn_member(d, m, cancel, &bytes, err);
	inside_once_end(d, &d->surveying);
	inside_known_get(d, m);
	return r;
}

/* Whether a busy one is entered is for its user alone to know. */
static bool somebody_is_near(struct inside_dump *d, const struct inside_member *m, uint64_t raw)
{
	struct inside *in = d->in;
	bool found = false;

	pthread_mutex_lock(&in->lock);
	for (unsigned i = 0; i < INSIDE_SEATS; i++) {
		const struct inside_seat *s = &in->seats[i];

		found = found || (is_of(s, d, m) && (s->busy || s->entered) && raw >= s->window_at &&
		                  raw <= s->goal + NEAR_BYTES);
	}
	pthread_mutex_unlock(&in->lock);
	return found;
}

bool inside_seat_is_near(struct inside_dump *d, uint64_t key, uint64_t raw)
{
	return somebody_is_near(d, &(struct inside_member){.key = key}, raw);
}

bool inside_seat_read_is_long(struct inside_dump *d, const struct inside_member *m, uint64_t offset)
{
	uint64_t raw = m->raw_from + offset;

	return is_far_from_points(m, raw) && !somebody_is_near(d, m, raw);
}

static int read_range_of_member(struct inside_dump *d, struct inside_member *m, struct cancel *cancel,
                                char *buf, size_t len, uint64_t raw, struct error *err)
{
	struct inside_seat *s = NULL;
	int r = 0;

	if (!somebody_is_near(d, m, raw))
		r = look_for_points(d, m, cancel, raw, err);
	if (r == 0)
		r = take_seat(d, m, cancel, raw, raw + len, &s);
	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (r < 0)
		return r;
	r = read_seat(d->in, s, m, cancel, buf, len, raw, err);
	leave_seat(d->in, s);
	return r < 0 ? inside_blame(d, r, err) : 0;
}

ssize_t inside_seat_read(struct inside_dump *d, const struct inside_member *m, struct cancel *cancel,
                         void *buf, size_t len, uint64_t offset, struct error *err)
{
	_cleanup(inside_member) struct inside_member own = *m;
	uint64_t raw = m->raw_from + offset;
	struct error why = {0};
	int r;

	own.points = inside_points_ref(m->points);
	if (offset >= m->bytes)
		return 0;
	if (len > m->bytes - offset)
		len = (size_t)(m->bytes - offset);
	r = read_range_of_member(d, &own, cancel, buf, len, raw, &why);
	if (r == -EBADMSG && own.is_kept && !why.damage) {
		inside_do_without_kept(d, &own);
		why = (struct error){0};
		r = read_range_of_member(d, &own, cancel, buf, len, raw, &why);
	}
	if (r < 0 && err)
		*err = why;
	return r < 0 ? r : (ssize_t)len;
}

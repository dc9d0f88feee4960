// SPDX-License-Identifier: Apache-2.0
#include "row_diff.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 16384 /* rows that are added at once: each time the other side may have to wait */

struct row_diff {
	struct row_diff_options options;
	struct unmatched *unmatched;
};

static int tell_cancelled(struct error *err)
{
	return error_set(err, ERROR_CANCELLED, ECANCELED, "the comparison was cancelled");
}

static void tell_progress(struct row_diff *d, size_t bytes)
{
	if (d->options.progress)
		d->options.progress(d->options.arg, bytes);
}

/* The first reading: both sides at once. */

struct matching {
	struct row_diff *diff;
	uint64_t ahead; /* so many rows one side may be in front of the other */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool busy;         /* lock; somebody has the unmatched */
	bool stops;        /* lock */
	uint64_t added[2]; /* lock */
	bool ended[2];     /* lock */
	int r;             /* lock; the first failure, and whose it is */
	enum unmatched_side failed;
	struct error err; /* lock */
};

struct side {
	struct matching *matching;
	enum unmatched_side side;
	struct row_digests *digests;
	struct row_digest batch[BATCH];
	size_t count;
};

/* With the token's lock held: it must not be asked for anything in here. */
static void stop_matching(void *arg)
{
	struct matching *m = arg;

	pthread_mutex_lock(&m->lock);
	m->stops = true;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

/* Lock. */
static bool must_wait(const struct matching *m, enum unmatched_side side)
{
	enum unmatched_side other = side == UNMATCHED_A ? UNMATCHED_B : UNMATCHED_A;

	return m->busy || (!m->ended[other] && m->added[side] > m->added[other] + m->ahead);
}

static bool begin_matching(struct matching *m, enum unmatched_side side)
{
	bool may;

	pthread_mutex_lock(&m->lock);
	while (!m->stops && must_wait(m, side))
		pthread_cond_wait(&m->changed, &m->lock);
	may = !m->stops;
	m->busy = m->busy || may;
	pthread_mutex_unlock(&m->lock);
	return may;
}

static void end_matching(struct matching *m, enum unmatched_side side, size_t count)
{
	pthread_mutex_lock(&m->lock);
	m->busy = false;
	m->added[side] += count;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

static int add_batch(struct side *s, struct error *err)
{
	struct matching *m = s->matching;
	int r = 0;

	if (!begin_matching(m, s->side))
		return tell_cancelled(err);
	for (size_t i = 0; r == 0 && i < s->count; i++)
		r = unmatched_add(m->diff->unmatched, s->side, &s->batch[i], err);
	end_matching(m, s->side, s->count);
	s->count = 0;
	return r;
}

static int gather_digest(void *arg, const struct row_digest *digest, struct error *err)
{
	struct side *s = arg;

	s->batch[s->count++] = *digest;
	return s->count == BATCH ? add_batch(s, err) : 0;
}

static int digest_rows(void *arg, const void *data, size_t len, struct error *err)
{
	struct side *s = arg;

	tell_progress(s->matching->diff, len);
	return row_digests_feed(s->digests, data, len, err);
}

/* A failure of one side ends the other, which then fails, too. */
static void end_side(struct side *s, int r, const struct error *err)
{
	struct matching *m = s->matching;

	pthread_mutex_lock(&m->lock);
	m->ended[s->side] = true;
	if (r < 0 && m->r == 0) {
		m->r = r;
		m->failed = s->side;
		m->err = *err;
	}
	m->stops = m->stops || r < 0;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

static void *match_side(void *arg)
{
	struct side *s = arg;
	const struct row_diff_table *table = &s->matching->diff->options.tables[s->side];
	struct error err = {0};
	int r;

	s->digests = row_digests_new(gather_digest, s);
	r = table->read(table->arg, digest_rows, s, &err);
	if (r == 0)
		r = row_digests_end(s->digests, &err);
	if (r == 0)
		r = add_batch(s, &err);
	row_digests_free(s->digests);
	end_side(s, r, &err);
	return NULL;
}

static int match_both(struct matching *m, enum unmatched_side *ret_failed, struct error *err)
{
	struct side *a = mem_alloc(sizeof(*a)), *b = mem_alloc(sizeof(*b));
	pthread_t thread;
	int r;

	*a = (struct side){.matching = m, .side = UNMATCHED_A};
	*b = (struct side){.matching = m, .side = UNMATCHED_B};
	r = thread_start(&thread, "diff", match_side, b);
	if (r == 0) {
		match_side(a);
		pthread_join(thread, NULL);
		r = m->r;
		if (r < 0 && ret_failed)
			*ret_failed = m->failed;
		if (r < 0 && err)
			*err = m->err;
	} else {
		error_system(err, -r, "cannot start a thread for the comparison");
	}
	free(a);
	free(b);
	return r;
}

static int match(struct row_diff *d, enum unmatched_side *ret_failed, struct error *err)
{
	struct matching m = {.diff = d, .ahead = unmatched_capacity(d->unmatched) / 4};
	struct cancel_hook hook = {.wake = stop_matching, .arg = &m};
	int r;

	pthread_mutex_init(&m.lock, NULL);
	pthread_cond_init(&m.changed, NULL);
	cancel_add_hook(d->options.cancel, &hook);
	r = match_both(&m, ret_failed, err);
	cancel_remove_hook(d->options.cancel, &hook);
	pthread_cond_destroy(&m.changed);
	pthread_mutex_destroy(&m.lock);
	return r < 0 ? r : unmatched_settle(d->unmatched, d->options.cancel, err);
}

int row_diff_new(const struct row_diff_options *options, struct row_diff **ret,
                 enum unmatched_side *ret_failed, struct error *err)
{
	_cleanup(row_diff) struct row_diff *d = mem_alloc(sizeof(*d));
	int r;

	d->options = *options;
	d->unmatched = unmatched_new(&options->unmatched);
	if (!d->unmatched)
		return error_set(err, ERROR_NO_SPACE, ENOMEM, "there is no memory for the comparison");
	r = match(d, ret_failed, err);
	if (r == 0)
		*ret = take_ptr(&d);
	return r;
}

struct row_diff *row_diff_free(struct row_diff *d)
{
	if (!d)
		return NULL;
	unmatched_free(d->unmatched);
	free(d);
	return NULL;
}

uint64_t row_diff_count(const struct row_diff *d, enum unmatched_side side)
{
	return unmatched_count(d->unmatched, side);
}

uint64_t row_diff_rows(const struct row_diff *d, enum unmatched_side side)
{
	return unmatched_rows(d->unmatched, side);
}

/* The second reading. */

struct picking {
	struct row_diff *diff;
	enum unmatched_side side;
	const struct row_diff_out *out;
	uint64_t number; /* of the row that comes next, or that began in an earlier piece */
	uint64_t left;   /* rows that are still to come */
};

static int pick_part(struct picking *p, const char *data, size_t len, bool ends, struct error *err)
{
	int r = 0;

	if (unmatched_has(p->diff->unmatched, p->side, p->number)) {
		r = p->out->row(p->out->arg, data, len, ends, err);
		p->left -= ends;
	}
	p->number += ends;
	return r;
}

static int pick_rows(void *arg, const void *data, size_t len, struct error *err)
{
	struct picking *p = arg;
	const char *at = data, *end = at + len;
	int r = 0;

	tell_progress(p->diff, len);
	if (cancel_is_set(p->diff->options.cancel))
		return tell_cancelled(err);
	while (r == 0 && at < end && p->left > 0) {
		const char *feed = memchr(at, '\n', (size_t)(end - at));

		r = pick_part(p, at, (size_t)((feed ? feed : end) - at), feed, err);
		at = feed ? feed + 1 : end;
	}
	/* What follows is not needed. */
	return r == 0 && p->left == 0 ? -EALREADY : r;
}

int row_diff_read(struct row_diff *d, enum unmatched_side side, const struct row_diff_out *out,
                  struct error *err)
{
	const struct row_diff_table *table = &d->options.tables[side];
	struct picking p = {.diff = d, .side = side, .out = out, .left = row_diff_count(d, side)};
	int r = p.left > 0 ? table->read(table->arg, pick_rows, &p, err) : 0;

	if (r == -EALREADY && p.left == 0)
		r = 0;
	if (r == 0 && p.left > 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "there were fewer rows when they were read again");
	return r;
}

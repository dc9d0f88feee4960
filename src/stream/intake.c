// SPDX-License-Identifier: Apache-2.0
/* See stream/intake.h. A cancel token is never asked with the lock held, since it calls its hooks with its own lock. */
#include <keepfs/stream/intake.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <errno.h>

struct intake {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* lock, as all that follows */
	unsigned refs;
	struct intake_piece *piece; /* under way; NULL: none */
	bool is_taken;              /* the reader has it */
	const char *gone;           /* why the writer has given up; NULL: he has not */
	bool is_finished;
	int result;
	struct error error;
};

struct intake_wait { /* of the reader; the lock of its intake */
	struct intake *intake;
	bool cancelled;
};

struct intake *intake_new(void)
{
	struct intake *in = mem_alloc(sizeof(*in));

	pthread_mutex_init(&in->lock, NULL);
	clock_cond_init(&in->changed);
	in->refs = 1;
	return in;
}

struct intake *intake_ref(struct intake *in)
{
	pthread_mutex_lock(&in->lock);
	in->refs++;
	pthread_mutex_unlock(&in->lock);
	return in;
}

struct intake *intake_unref(struct intake *in)
{
	bool last;

	if (!in)
		return NULL;
	pthread_mutex_lock(&in->lock);
	last = --in->refs == 0;
	pthread_mutex_unlock(&in->lock);
	if (last) {
		pthread_cond_destroy(&in->changed);
		pthread_mutex_destroy(&in->lock);
		free(in);
	}
	return NULL;
}

/* With the lock: what a piece is told that comes when nothing is taken any more. Bytes behind the end of what was taken belong to nothing. */
static int late_answer(const struct intake *in, const struct intake_piece *piece)
{
	if (in->gone && !in->is_finished)
		return -EPIPE;
	return piece->is_end || in->result < 0 ? in->result : -EPIPE;
}

void intake_offer(struct intake *in, struct intake_piece *piece)
{
	bool is_late;
	int r = 0;

	pthread_mutex_lock(&in->lock);
	is_late = in->is_finished || in->gone;
	if (is_late) {
		r = late_answer(in, piece);
	} else {
		in->piece = piece;
		in->is_taken = false;
		pthread_cond_broadcast(&in->changed);
	}
	pthread_mutex_unlock(&in->lock);
	if (is_late)
		piece->done(piece, r);
}

void intake_give_up(struct intake *in, const char *why)
{
	struct intake_piece *piece = NULL;

	pthread_mutex_lock(&in->lock);
	if (!in->gone)
		in->gone = why;
	if (!in->is_taken)
		piece = take_ptr(&in->piece);
	pthread_cond_broadcast(&in->changed);
	pthread_mutex_unlock(&in->lock);
	if (piece)
		piece->done(piece, -EPIPE);
}

static void wake_intake(void *arg)
{
	struct intake_wait *wait = arg;

	pthread_mutex_lock(&wait->intake->lock);
	wait->cancelled = true;
	pthread_cond_broadcast(&wait->intake->changed);
	pthread_mutex_unlock(&wait->intake->lock);
}

static void end_piece(struct intake *in, int r)
{
	struct intake_piece *piece = NULL;

	pthread_mutex_lock(&in->lock);
	if (in->is_taken) {
		piece = take_ptr(&in->piece);
		in->is_taken = false;
	}
	pthread_mutex_unlock(&in->lock);
	if (piece)
		piece->done(piece, r);
}

/* With the lock: until something has come, or nothing will. False: the time is over. */
static bool wait_for_piece(struct intake *in, const struct intake_wait *wait, int64_t timeout_ms)
{
	int64_t until_ms = clock_mono_ms() + timeout_ms;

	while (!in->piece && !in->gone && !wait->cancelled) {
		if (timeout_ms < 0)
			pthread_cond_wait(&in->changed, &in->lock);
		else if (clock_mono_ms() >= until_ms)
			return false;
		else
			clock_cond_wait_ms(&in->changed, &in->lock, until_ms - clock_mono_ms());
	}
	return true;
}

/* With the lock. */
static int take_offered_piece(struct intake *in, const void **ret_data, size_t *ret_len)
{
	in->is_taken = true;
	if (in->piece->is_end)
		return INTAKE_END;
	*ret_data = in->piece->data;
	*ret_len = in->piece->len;
	return INTAKE_PIECE;
}

int intake_next(struct intake *in, struct cancel *cancel, int64_t timeout_ms, const void **ret_data,
                size_t *ret_len, struct error *err)
{
	struct intake_wait wait = {.intake = in};
	struct cancel_hook hook = {.wake = wake_intake, .arg = &wait};
	const char *gone;
	bool in_time;
	int r = -EPIPE;

	end_piece(in, 0);
	cancel_add_hook(cancel, &hook);
	pthread_mutex_lock(&in->lock);
	in_time = wait_for_piece(in, &wait, timeout_ms);
	gone = in->gone;
	if (in_time && !gone && !wait.cancelled)
		r = take_offered_piece(in, ret_data, ret_len);
	pthread_mutex_unlock(&in->lock);
	cancel_remove_hook(cancel, &hook);
	if (r >= 0)
		return r;
	if (gone)
		return error_set(err, ERROR_CANCELLED, EPIPE, "%s", gone);
	if (!in_time)
		return error_set(err, ERROR_CANCELLED, ETIMEDOUT, "nothing came any more");
	return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
}

void intake_answer(struct intake *in, int r)
{
	end_piece(in, r);
}

void intake_finish(struct intake *in, int r, const struct error *err)
{
	struct intake_piece *piece;

	pthread_mutex_lock(&in->lock);
	if (!in->is_finished) {
		in->is_finished = true;
		in->result = r;
		if (err)
			in->error = *err;
	}
	r = in->result;
	piece = take_ptr(&in->piece);
	in->is_taken = false;
	pthread_mutex_unlock(&in->lock);
	if (piece)
		piece->done(piece, piece->is_end || r < 0 ? r : -EPIPE);
}

int intake_result(struct intake *in, struct error *err)
{
	int r;

	pthread_mutex_lock(&in->lock);
	r = in->is_finished ? in->result : -EINPROGRESS;
	if (err && in->is_finished)
		*err = in->error;
	pthread_mutex_unlock(&in->lock);
	return r;
}

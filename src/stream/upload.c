// SPDX-License-Identifier: Apache-2.0
/*
 * The sink that ends in a store. One part is filled while up to three are sent, so four are reserved: that is
 * all the memory an upload has, and when all of it is in use the writer waits, and with it the source.
 *
 * Part sizes double on the way, so that few parts are enough for a large backup, but only with buffers that
 * nobody needs now: half of the pool stays free for others, readers above all. Where the store wants all parts
 * alike they stay as they are.
 *
 * With a head, the first parts hold bytes that are known last, and are sent behind all others; the store is told
 * their sizes beforehand. The one in which the head ends goes on with bytes that come early. It is kept, in buffers
 * of its own; those before it are filled when the head comes, one after the other, however long it is.
 *
 * The first failure of a part decides: it stops the other parts through a token of the upload's own, and is
 * what every later call returns. What was begun is aborted when the sink is freed, also after a cancel: that
 * call has a deadline instead of the token.
 */
#include "upload.h"

#include "part.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SENT_AT_ONCE      3U
#define PARTS_HELD        (SENT_AT_ONCE + 1)
#define PARTS_OF_ONE_SIZE 250U
#define ABORT_DEADLINE_MS 30000

struct upload {
	struct sink sink;
	struct store *store;
	struct pool *pool;
	char *key;
	atomic_uint_least64_t *sent_bytes;
	struct cancel *outer; /* the caller's */
	struct cancel_hook outer_hook;
	struct cancel stop; /* ours: set by the caller's, by a failure and by the end */
	struct workers *workers;
	uint64_t first_part_bytes, max_part_bytes;
	size_t head_bytes;   /* 0: none */
	size_t head_at;      /* so many of them came */
	unsigned head_parts; /* with a head: those that hold bytes of it, of the first size */
	unsigned max_parts;
	uint64_t min_part_bytes;
	bool equal_parts;
	/* The writer's: */
	uint64_t part_bytes; /* of the next part */
	size_t reserved;     /* buffers */
	unsigned last_number;
	struct part *filling;           /* NULL between two parts */
	struct part *kept;              /* with a head: the last of its parts, once it is full */
	struct store_upload *multipart; /* NULL before the first part is sent */
	bool complete;
	/* Shared with the senders: */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned in_flight;          /* lock: parts handed to the senders */
	int failed;                  /* lock: negative errno of the first failure */
	struct error failure;        /* lock */
	struct store_part *sent;     /* lock: in the order in which they arrived */
	size_t sent_count, sent_cap; /* lock */
};

uint64_t upload_part_bytes(uint64_t first_bytes, uint64_t max_bytes, unsigned number)
{
	unsigned doublings = number > 0 ? (number - 1) / PARTS_OF_ONE_SIZE : 0;
	uint64_t bytes = first_bytes;

	for (; doublings > 0 && bytes < max_bytes; doublings--)
		bytes = bytes > max_bytes / 2 ? max_bytes : bytes * 2;
	return bytes < max_bytes ? bytes : max_bytes;
}

static void stop_upload(void *arg)
{
	struct upload *up = arg;

	cancel_set(&up->stop);
}

static struct store_call call_of(struct upload *up)
{
	return (struct store_call){.cancel = &up->stop};
}

/* The first failure is the cause; what fails after it was stopped by it. */
static int note_upload_failure(struct upload *up, int r, const struct error *failure)
{
	pthread_mutex_lock(&up->lock);
	if (!up->failed) {
		up->failed = r;
		up->failure = *failure;
	}
	pthread_mutex_unlock(&up->lock);
	cancel_set(&up->stop);
	return r;
}

/* Return: 0, or the first failure. */
static int told_upload_failure(struct upload *up, struct error *err)
{
	int r;

	pthread_mutex_lock(&up->lock);
	r = up->failed;
	if (r < 0 && err)
		*err = up->failure;
	pthread_mutex_unlock(&up->lock);
	return r;
}

/* Until at most @most parts are in flight. Failed parts count as done. */
static int wait_for_senders(struct upload *up, unsigned most, struct error *err)
{
	pthread_mutex_lock(&up->lock);
	while (up->in_flight > most)
		pthread_cond_wait(&up->changed, &up->lock);
	pthread_mutex_unlock(&up->lock);
	return told_upload_failure(up, err);
}

static void note_sent(struct upload *up, const struct store_part *part)
{
	pthread_mutex_lock(&up->lock);
	if (up->sent_count == up->sent_cap) {
		up->sent_cap = up->sent_cap ? up->sent_cap * 2 : 16;
		up->sent = mem_resize(up->sent, up->sent_cap, sizeof(*up->sent));
	}
	up->sent[up->sent_count++] = *part;
	pthread_mutex_unlock(&up->lock);
	if (up->sent_bytes)
		atomic_fetch_add(up->sent_bytes, part->bytes);
}

static void part_is_done(struct upload *up)
{
	pthread_mutex_lock(&up->lock);
	up->in_flight--;
	pthread_cond_signal(&up->changed);
	pthread_mutex_unlock(&up->lock);
}

/* On a sender's thread. The store does not begin a call whose token is set: after a failure this is quick. */
static void send_part(void *arg)
{
	struct part *part = arg;
	struct upload *up = part->owner;
	struct store_call call = call_of(up);
	struct store_part sent = {0};
	struct error err = {0};
	int r;

	r = store_upload_part(up->multipart, &call, part->number, part->iov, part->count, &sent, &err);
	if (r == 0) {
		sent.number = part->number;
		sent.bytes = part->bytes;
		note_sent(up, &sent);
	} else {
		note_upload_failure(up, r, &err);
	}
	part_free(part);
	part_is_done(up);
}

static int begin_multipart(struct upload *up, struct error *err)
{
	struct store_call call = call_of(up);
	struct error failure = {0};
	int r = store_upload_begin(up->store, &call, up->key, &up->multipart, &failure);

	if (r < 0) {
		note_upload_failure(up, r, &failure);
		return told_upload_failure(up, err);
	}
	for (unsigned number = 1; number < up->head_parts; number++)
		store_upload_announce(up->multipart, number, up->first_part_bytes);
	if (up->kept)
		store_upload_announce(up->multipart, up->head_parts, up->kept->bytes);
	return 0;
}

/* *@part is the senders' from then on. */
static int hand_over(struct upload *up, struct part **part, struct error *err)
{
	int r = up->multipart ? 0 : begin_multipart(up, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&up->lock);
	up->in_flight++;
	pthread_mutex_unlock(&up->lock);
	workers_add(up->workers, send_part, take_ptr(part));
	return 0;
}

/*
 * Buffers for larger parts are a gift, never waited for: only when half of what all share stays free behind it. When half of the parts are used up, an upload takes what it can get: it fails when they all are,
 * and nobody else does who has to wait.
 */
static bool reserve_growth(struct upload *up, unsigned number, uint64_t part_bytes)
{
	size_t more = PARTS_HELD * (part_buffers(part_bytes) - part_buffers(up->part_bytes));
	size_t left_free = number > up->max_parts / 2 ? 0 : pool_shared(up->pool) / 2;

	if (!pool_try_reserve(up->pool, more + left_free))
		return false;
	pool_unreserve(up->pool, left_free);
	up->reserved += more;
	return true;
}

static void grow_parts(struct upload *up, unsigned number)
{
	uint64_t want = upload_part_bytes(up->first_part_bytes, up->max_part_bytes, number);

	if (up->equal_parts)
		return;
	for (; want > up->part_bytes; want /= 2) {
		if (reserve_growth(up, number, want)) {
			up->part_bytes = want;
			return;
		}
	}
}

static int too_many_parts(struct upload *up)
{
	struct error failure = {0};
	char size[16];
	int r;

	r = error_set(
	        &failure, ERROR_USAGE, EFBIG,
	        "%s: the backup needs more than %u parts, which now have %s each: raise part_size in "
	        "[store], or memory in [keepfs], half of which is for uploads, or max_parts in [store] if it is lower than what the store allows",
	        up->key, up->max_parts, str_format_bytes(size, sizeof(size), up->part_bytes));
	return note_upload_failure(up, r, &failure);
}

/* Where the last part that holds bytes of the head begins. */
static uint64_t kept_part_at(const struct upload *up)
{
	return (up->head_parts - 1) * up->first_part_bytes;
}

static int begin_part(struct upload *up, struct error *err)
{
	bool behind_head = up->head_bytes > 0 && up->last_number == 0;
	unsigned number = behind_head ? up->head_parts : up->last_number + 1;
	int r = wait_for_senders(up, SENT_AT_ONCE, err);

	if (r < 0)
		return r;
	if (number > up->max_parts) {
		too_many_parts(up);
		return told_upload_failure(up, err);
	}
	up->last_number = number;
	if (behind_head) {
		up->filling = part_new(up, up->pool, number, up->first_part_bytes);
		part_skip(up->filling, (size_t)(up->head_bytes - kept_part_at(up)));
		return 0;
	}
	grow_parts(up, up->last_number);
	up->filling = part_new(up, up->pool, up->last_number, up->part_bytes);
	return 0;
}

static int end_part(struct upload *up, struct error *err)
{
	if (up->filling->number > up->head_parts)
		return hand_over(up, &up->filling, err);
	up->kept = take_ptr(&up->filling);
	return 0;
}

static int upload_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct upload *up = (struct upload *)s;
	const char *p = data;

	while (len > 0) {
		int r = up->filling ? told_upload_failure(up, err) : begin_part(up, err);
		size_t n;

		if (r < 0)
			return r;
		n = part_fill(up->filling, p, len);
		p += n;
		len -= n;
		if (up->filling->bytes == up->filling->max_bytes)
			r = end_part(up, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* All else was written: the last part of that goes, since its buffers are needed. */
static int begin_head(struct upload *up, struct error *err)
{
	int r = told_upload_failure(up, err);

	if (r == 0 && up->kept && up->filling)
		r = hand_over(up, &up->filling, err);
	else if (!up->kept)
		up->kept = take_ptr(&up->filling);
	return r;
}

/* Into the part that it belongs to. @ret_taken: how much of it. */
static int put_head_bytes(struct upload *up, const void *data, size_t len, size_t *ret_taken,
                          struct error *err)
{
	unsigned number = (unsigned)(up->head_at / up->first_part_bytes) + 1;
	int r = 0;

	if (number == up->head_parts) {
		part_set_skipped(up->kept, (size_t)(up->head_at - kept_part_at(up)), data, len);
		*ret_taken = len;
		return 0;
	}
	if (!up->filling)
		r = wait_for_senders(up, SENT_AT_ONCE, err);
	if (r < 0)
		return r;
	if (!up->filling)
		up->filling = part_new(up, up->pool, number, up->first_part_bytes);
	*ret_taken = part_fill(up->filling, data, len);
	return up->filling->bytes == up->filling->max_bytes ? hand_over(up, &up->filling, err) : 0;
}

/* Copied by the store. */

#define COPY_PIECE_BYTES ((uint64_t)64 << 20) /* a server answers when it has copied all of it */

struct copied_part {
	struct upload *owner;
	unsigned number;
	struct store_range from;
};

/* On a sender's thread, as send_part(). */
static void have_part_copied(void *arg)
{
	_cleanup(free) struct copied_part *part = arg;
	struct upload *up = part->owner;
	struct store_call call = call_of(up);
	struct store_part made = {0};
	struct error err = {0};
	int r = store_upload_copy(up->multipart, &call, part->number, &part->from, &made, &err);

	if (r == 0)
		note_sent(up, &made);
	else
		note_upload_failure(up, r, &err);
	part_is_done(up);
}

static void ask_for_copy(struct upload *up, const struct store_range *from)
{
	struct copied_part *part = mem_alloc(sizeof(*part));

	*part = (struct copied_part){.owner = up, .number = ++up->last_number, .from = *from};
	pthread_mutex_lock(&up->lock);
	up->in_flight++;
	pthread_mutex_unlock(&up->lock);
	workers_add(up->workers, have_part_copied, part);
}

/* In how many pieces, all of about one size; 0: in so few as there may be they are too large. What comes behind them needs a part, too. */
static uint64_t pieces_of_copy(const struct upload *up, uint64_t bytes)
{
	uint64_t most = up->last_number + 2 < up->max_parts ? up->max_parts - up->last_number - 2 : 0;
	uint64_t pieces = (bytes + COPY_PIECE_BYTES - 1) / COPY_PIECE_BYTES;

	pieces = pieces < most ? pieces : most;
	return pieces > 0 && bytes / pieces < up->max_part_bytes ? pieces : 0;
}

static int have_pieces_copied(struct upload *up, const struct sink_copy *copy, uint64_t pieces,
                              struct error *err)
{
	const struct store_range *from = copy->from;
	uint64_t each = from->bytes / pieces;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < pieces; i++) {
		struct store_range piece = *from;

		piece.offset += i * each;
		piece.bytes = i + 1 < pieces ? each : from->bytes - i * each;
		r = wait_for_senders(up, SENT_AT_ONCE - 1, err);
		if (r == 0 && copy->pace)
			r = copy->pace(copy->arg, piece.bytes, err);
		if (r == 0)
			ask_for_copy(up, &piece);
	}
	return r < 0 ? r : wait_for_senders(up, 0, err);
}

/* What was written is a part of its own, however full it is. */
static int upload_copy_range(struct sink *s, const struct sink_copy *copy, struct error *err)
{
	struct upload *up = (struct upload *)s;
	uint64_t pieces = pieces_of_copy(up, copy->from->bytes);
	int r = told_upload_failure(up, err);

	if (r < 0)
		return r;
	if (up->equal_parts || pieces == 0 || copy->from->bytes / pieces < up->min_part_bytes ||
	    (up->filling ? up->filling->bytes < up->min_part_bytes : !up->multipart))
		return error_set(err, ERROR_USAGE, ENOTSUP, "%s: the store cannot have parts of these sizes",
		                 up->key);
	if (up->filling)
		r = hand_over(up, &up->filling, err);
	return r < 0 ? r : have_pieces_copied(up, copy, pieces, err);
}

/* Where nothing follows the head it may be shorter than was said, and is written like everything else. */
static int upload_head(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct upload *up = (struct upload *)s;
	const char *p = data;
	int r = 0;

	if (up->last_number == 0)
		up->head_bytes = up->head_parts = 0;
	if (up->head_bytes == 0)
		return upload_write(s, data, len, err);
	assert(len <= up->head_bytes - up->head_at);
	if (up->head_at == 0)
		r = begin_head(up, err);
	while (r == 0 && len > 0) {
		size_t n = 0;

		r = put_head_bytes(up, p, len, &n, err);
		up->head_at += n;
		p += n;
		len -= n;
	}
	return r;
}

static int put_whole(struct upload *up, struct error *err)
{
	struct store_call call = call_of(up);
	struct part *part = up->kept ? up->kept : up->filling;
	struct error failure = {0};
	int r = store_put(up->store, &call, up->key, part ? part->iov : NULL, part ? part->count : 0, NULL,
	                  &failure);

	if (r < 0) {
		note_upload_failure(up, r, &failure);
		return told_upload_failure(up, err);
	}
	if (up->sent_bytes && part)
		atomic_fetch_add(up->sent_bytes, part->bytes);
	up->complete = true;
	return 0;
}

static int by_part_number(const void *a, const void *b)
{
	const struct store_part *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int complete_multipart(struct upload *up, struct error *err)
{
	struct store_call call = call_of(up);
	struct error failure = {0};
	int r = up->filling ? hand_over(up, &up->filling, err) : 0;

	if (r == 0 && up->kept)
		r = hand_over(up, &up->kept, err);
	if (r == 0)
		r = wait_for_senders(up, 0, err);
	if (r < 0)
		return r;
	/* No sender runs any more: what they wrote is ours. */
	qsort(up->sent, up->sent_count, sizeof(*up->sent), by_part_number);
	r = store_upload_complete(up->multipart, &call, up->sent, up->sent_count, &failure);
	if (r < 0) {
		note_upload_failure(up, r, &failure);
		return told_upload_failure(up, err);
	}
	up->complete = true;
	return 0;
}

static int upload_finish(struct sink *s, struct error *err)
{
	struct upload *up = (struct upload *)s;
	int r = told_upload_failure(up, err);

	if (r < 0)
		return r;
	assert(up->head_at == up->head_bytes);
	return up->multipart || (up->kept && up->filling) ? complete_multipart(up, err) : put_whole(up, err);
}

static void abort_multipart(struct upload *up)
{
	struct store_call call = {.deadline_ms = clock_mono_ms() + ABORT_DEADLINE_MS};
	struct error err = {0};

	if (store_upload_abort(up->store, &call, up->key, store_upload_id(up->multipart), &err) < 0)
		log_warning("an unfinished upload stays until the next start: %s", err.message);
}

static void upload_free(struct sink *s)
{
	struct upload *up = (struct upload *)s;

	cancel_remove_hook(up->outer, &up->outer_hook);
	cancel_set(&up->stop);
	workers_free(up->workers);
	part_free(up->filling);
	part_free(up->kept);
	if (up->multipart && !up->complete)
		abort_multipart(up);
	store_upload_free(up->multipart);
	pool_unreserve(up->pool, up->reserved);
	cancel_finish(&up->stop);
	pthread_cond_destroy(&up->changed);
	pthread_mutex_destroy(&up->lock);
	free(up->sent);
	free(up->key);
	free(up);
}

static const struct sink_ops upload_ops = {
        .write = upload_write,
        .finish = upload_finish,
        .free = upload_free,
        .head = upload_head,
        .copy = upload_copy_range,
};

static uint64_t at_least(uint64_t value, uint64_t least)
{
	return value > least ? value : least;
}

static uint64_t first_part_bytes(const struct stream_object_options *options,
                                 const struct store_features *features)
{
	uint64_t bytes = at_least(at_least(options->part_bytes, features->min_part_bytes), 1);

	return bytes < features->max_part_bytes ? bytes : features->max_part_bytes;
}

static void choose_sizes(struct upload *up, const struct stream_object_options *options,
                         const struct store_features *features)
{
	up->max_part_bytes = features->max_part_bytes;
	up->min_part_bytes = features->min_part_bytes;
	up->equal_parts = features->equal_parts;
	up->first_part_bytes = first_part_bytes(options, features);
	up->part_bytes = up->first_part_bytes;
	up->head_bytes = options->head_bytes;
	up->head_parts = (unsigned)((up->head_bytes + up->first_part_bytes - 1) / up->first_part_bytes);
	up->max_parts = options->max_parts ? options->max_parts : features->max_parts;
	if (up->max_parts > features->max_parts)
		up->max_parts = features->max_parts;
}

static unsigned parts_held(size_t head_bytes)
{
	return PARTS_HELD + (head_bytes > 0);
}

int upload_buffers(const struct stream_object_options *options, size_t *ret, struct error *err)
{
	struct store_features features = {0};
	int r = store_features(options->store, &features, err);

	if (r == 0)
		*ret = parts_held(options->head_bytes) * part_buffers(first_part_bytes(options, &features));
	return r;
}

static int reserve_part(struct upload *up, struct cancel *cancel, struct error *err)
{
	unsigned parts = parts_held(up->head_bytes);
	size_t buffers = parts * part_buffers(up->part_bytes);
	int r = pool_reserve(up->pool, buffers, cancel);

	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled while waiting for memory");
	if (r < 0)
		return error_set(
		        err, ERROR_USAGE, ENOSPC,
		        "an upload holds %u parts in memory, %zu MiB in all, and there are %zu MiB: lower part_size in [store], or raise memory in [keepfs]",
		        parts, buffers, pool_buffers(up->pool));
	up->reserved = buffers;
	return 0;
}

int upload_new(const struct stream_object_options *options, struct sink **ret_sink, struct error *err)
{
	struct store_features features = {0};
	struct upload *up;
	int r = store_features(options->store, &features, err);

	if (r < 0)
		return r;
	up = mem_alloc(sizeof(*up));
	up->sink.ops = &upload_ops;
	up->store = options->store;
	up->pool = options->pool;
	up->key = mem_strdup(options->key);
	up->sent_bytes = options->sent_bytes;
	choose_sizes(up, options, &features);
	pthread_mutex_init(&up->lock, NULL);
	pthread_cond_init(&up->changed, NULL);
	cancel_init(&up->stop);
	up->outer = options->cancel;
	up->outer_hook = (struct cancel_hook){.wake = stop_upload, .arg = up};
	cancel_add_hook(up->outer, &up->outer_hook);
	r = reserve_part(up, options->cancel, err);
	if (r == 0) {
		up->workers = workers_new("upload", features.parallel < SENT_AT_ONCE
		                                            ? (unsigned)at_least(features.parallel, 1)
		                                            : SENT_AT_ONCE);
		if (!up->workers)
			r = error_set(err, ERROR_INTERNAL, EAGAIN, "cannot start a thread for the upload");
	}
	if (r < 0) {
		upload_free(&up->sink);
		return r;
	}
	*ret_sink = &up->sink;
	return 0;
}

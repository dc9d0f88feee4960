/*
 * The one place where calls are tried again. What holds:
 *
 * - Only a failure that says `retry` is tried again, and never beyond the earlier of the caller's deadline
 * and our own. The wait is random between nothing and a bound that doubles (full jitter), so that many
 * clients of a server in trouble do not come back together; it is never shorter than what the server asked
 * for.
 * - A failed call may have been carried out: its answer was lost. Most calls can simply be made again. Two
 *   cannot, since the second is refused because of the first: a put with only_if_absent, and a completion.
 *   These look whether the object is the one they would have made.
 */
#include "retry.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_WAIT_MS 100
#define MOST_WAIT_MS  10000
/* Up to here an object that may be ours is read to compare; manifests and leases are smaller. */
#define COMPARE_BYTES ((uint64_t)1 << 20)

struct retry_store {
	struct store base;
	struct store *inner;
	int64_t deadline_ms;
	struct retry_timing timing;
};

struct retry_upload {
	struct store_upload base;
	struct store_upload *inner;
};

/* One call and its tries. */
struct tries {
	struct retry_store *s;
	struct store_call call; /* the caller's, with the deadline that applies */
	int64_t began_ms;
	unsigned failed; /* tries that failed and were made again */
	bool gave_up, cancelled;
	struct error error; /* of the last try */
	struct error cause; /* of the last failure that said `retry` */
};

static struct retry_store *retry_of(struct store *s)
{
	return (struct retry_store *)s; /* `base` is the first member */
}

static struct retry_upload *upload_of(const struct store_upload *up)
{
	return (struct retry_upload *)up; /* likewise */
}

static void tries_begin(struct tries *t, struct store *s, const struct store_call *call)
{
	*t = (struct tries){.s = retry_of(s)};
	if (call)
		t->call = *call;
	t->began_ms = t->s->timing.now_ms(t->s->timing.arg);
	if (!t->call.deadline_ms || t->call.deadline_ms > t->began_ms + t->s->deadline_ms)
		t->call.deadline_ms = t->began_ms + t->s->deadline_ms;
}

static int64_t wait_ms(const struct tries *t)
{
	int64_t bound = FIRST_WAIT_MS;
	int64_t ms;

	for (unsigned i = 0; i < t->failed && bound < MOST_WAIT_MS; i++)
		bound *= 2;
	ms = t->s->timing.dice(t->s->timing.arg, bound < MOST_WAIT_MS ? bound : MOST_WAIT_MS);
	return ms > t->error.retry_after_ms ? ms : t->error.retry_after_ms;
}

/* After a try that returned @r: true when the call shall be made again, now. */
static bool tries_again(struct tries *t, int r)
{
	const struct retry_timing *timing = &t->s->timing;
	int64_t ms;

	if (r >= 0 || !t->error.retry)
		return false;
	t->cause = t->error;
	ms = wait_ms(t);
	if (ms >= t->call.deadline_ms - timing->now_ms(timing->arg)) {
		t->gave_up = true;
		return false;
	}
	if (timing->sleep_ms(timing->arg, t->call.cancel, ms)) {
		t->cancelled = true;
		return false;
	}
	t->failed++;
	t->error = (struct error){0};
	return true;
}

/* What the caller is told: the result of the last try, in its words, and how long it was tried. */
static int tries_end(struct tries *t, int r, struct error *err)
{
	const struct retry_timing *timing = &t->s->timing;
	double tried_s = (double)(timing->now_ms(timing->arg) - t->began_ms) / 1000;

	if (r >= 0)
		return r;
	if (t->cancelled)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled after %u %s in %.1f s: %s",
		                 t->failed + 1, t->failed ? "tries" : "try", tried_s, t->cause.message);
	/* The deadline ended a later try: what was wrong is what the tries before it said. */
	if (r == -ETIMEDOUT && !t->gave_up && t->failed) {
		t->error = t->cause;
		r = -t->cause.errnum;
		t->gave_up = true;
	}
	if (!err)
		return r;
	*err = t->error;
	if (t->gave_up)
		error_prefix(err, "gave up after %u %s in %.1f s", t->failed + 1, t->failed ? "tries" : "try",
		             tried_s);
	return r;
}

/* TRY() - make a call of the wrapped store until it succeeds or shall not be made again. Inside @call_,
 * `&t.call` and `&t.error` are what it is to be called with. */
#define TRY(t, call_)                                                                                        \
	({                                                                                                   \
		int try_r_;                                                                                  \
		do                                                                                           \
			try_r_ = (call_);                                                                    \
		while (tries_again(t, try_r_));                                                              \
		try_r_;                                                                                      \
	})

static bool same_bytes(const struct iovec *iov, int count, const char *data)
{
	for (int i = 0; i < count; data += iov[i].iov_len, i++) {
		if (iov[i].iov_len && memcmp(iov[i].iov_base, data, iov[i].iov_len) != 0)
			return false;
	}
	return true;
}

/* The object exists, but a try of ours failed before: 0 when it holds our bytes, else STORE_EXISTS. */
static int is_it_ours(struct store *s, const struct store_call *call, const char *key,
                      const struct iovec *iov, int count, struct error *err)
{
	uint64_t bytes = store_iov_bytes(iov, count);
	_cleanup(free) char *data = NULL;
	size_t len = 0;
	int r;

	if (bytes > COMPARE_BYTES)
		return STORE_EXISTS;
	r = store_get_all(s, call, key, (size_t)bytes, &data, &len, err);
	if (r == -EFBIG || r == -ENOENT || r == -ESTALE) /* another's, in any case */
		return STORE_EXISTS;
	if (r < 0) {
		error_prefix(err, "cannot tell whether %s was written by us", key);
		return r;
	}
	return len == bytes && same_bytes(iov, count, data) ? 0 : STORE_EXISTS;
}

static int retry_put(struct store *s, const struct store_call *call, const char *key, const struct iovec *iov,
                     int count, const struct store_put_options *options, struct error *err)
{
	struct store *inner = retry_of(s)->inner;
	struct tries t;
	int r;

	tries_begin(&t, s, call);
	r = TRY(&t, inner->ops->put(inner, &t.call, key, iov, count, options, &t.error));
	if (r == STORE_EXISTS && t.failed)
		return is_it_ours(s, &t.call, key, iov, count, err);
	return tries_end(&t, r, err);
}

static int retry_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                     const struct iovec *iov, int count, const struct store_get_options *options,
                     struct error *err)
{
	struct store *inner = retry_of(s)->inner;
	struct tries t;

	tries_begin(&t, s, call);
	return tries_end(&t,
	                 TRY(&t, inner->ops->get(inner, &t.call, key, offset, iov, count, options, &t.error)),
	                 err);
}

static int retry_head(struct store *s, const struct store_call *call, const char *key,
                      struct store_object *ret, struct error *err)
{
	struct store *inner = retry_of(s)->inner;
	struct tries t;

	tries_begin(&t, s, call);
	return tries_end(&t, TRY(&t, inner->ops->head(inner, &t.call, key, ret, &t.error)), err);
}

static int retry_remove(struct store *s, const struct store_call *call, const char *key, struct error *err)
{
	struct store *inner = retry_of(s)->inner;
	struct tries t;

	tries_begin(&t, s, call);
	return tries_end(&t, TRY(&t, inner->ops->remove(inner, &t.call, key, &t.error)), err);
}

static int retry_list(struct store *s, const struct store_call *call, const char *prefix,
                      const char *start_after, size_t max, struct store_object **ret_objects,
                      size_t *ret_count, bool *ret_more, struct error *err)
{
	struct store *inner = retry_of(s)->inner;
	struct tries t;

	tries_begin(&t, s, call);
	return tries_end(&t,
	                 TRY(&t, inner->ops->list(inner, &t.call, prefix, start_after, max, ret_objects,
	                                          ret_count, ret_more, &t.error)),
	                 err);
}

/* A begin whose answer was lost leaves an upload without a handle: store_upload_list() finds it. */
static int retry_upload_begin(struct store *s, const struct store_call *call, const char *key,
                              struct store_upload **ret_upload, struct error *err)
{
	struct store *inner = retry_of(s)->inner;
	struct store_upload *inner_up = NULL;
	struct retry_upload *up;
	struct tries t;
	int r;

	tries_begin(&t, s, call);
	r = TRY(&t, inner->ops->upload_begin(inner, &t.call, key, &inner_up, &t.error));
	if (r < 0)
		return tries_end(&t, r, err);
	up = mem_alloc(sizeof(*up));
	up->base = (struct store_upload){s->ops, s, mem_strdup(key)};
	up->inner = inner_up;
	*ret_upload = &up->base;
	return 0;
}

static void retry_upload_announce(struct store_upload *base, unsigned number, uint64_t bytes)
{
	store_upload_announce(upload_of(base)->inner, number, bytes);
}

static int retry_upload_part(struct store_upload *base, const struct store_call *call, unsigned number,
                             const struct iovec *iov, int count, struct store_part *ret, struct error *err)
{
	struct store_upload *inner = upload_of(base)->inner;
	struct tries t;

	tries_begin(&t, base->store, call);
	return tries_end(
	        &t, TRY(&t, inner->ops->upload_part(inner, &t.call, number, iov, count, ret, &t.error)), err);
}

/* Whether the object that is there has the length of @parts: then it is what a completion of ours made whose
 * answer was lost, since the upload is gone. */
static bool was_completed(struct store *s, const struct store_call *call, const char *key,
                          const struct store_part *parts, size_t count)
{
	struct store_object object;
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += parts[i].bytes;
	return store_head(s, call, key, &object, NULL) == 0 && object.bytes == bytes;
}

static int retry_upload_complete(struct store_upload *base, const struct store_call *call,
                                 const struct store_part *parts, size_t count, struct error *err)
{
	struct store_upload *inner = upload_of(base)->inner;
	struct tries t;
	int r;

	tries_begin(&t, base->store, call);
	r = TRY(&t, inner->ops->upload_complete(inner, &t.call, parts, count, &t.error));
	if (r == -ENOENT && t.failed && was_completed(base->store, &t.call, base->key, parts, count))
		return 0;
	return tries_end(&t, r, err);
}

static const char *retry_upload_id(const struct store_upload *up)
{
	return store_upload_id(upload_of(up)->inner);
}

static struct store_upload *retry_upload_free(struct store_upload *base)
{
	struct retry_upload *up = upload_of(base);

	store_upload_free(up->inner);
	free(up->base.key);
	free(up);
	return NULL;
}

static int retry_upload_abort(struct store *s, const struct store_call *call, const char *key,
                              const char *upload_id, struct error *err)
{
	struct store *inner = retry_of(s)->inner;
	struct tries t;

	tries_begin(&t, s, call);
	return tries_end(&t, TRY(&t, inner->ops->upload_abort(inner, &t.call, key, upload_id, &t.error)),
	                 err);
}

static int retry_upload_list(struct store *s, const struct store_call *call, const char *prefix,
                             struct store_upload_info **ret_uploads, size_t *ret_count, struct error *err)
{
	struct store *inner = retry_of(s)->inner;
	struct tries t;

	tries_begin(&t, s, call);
	return tries_end(
	        &t,
	        TRY(&t, inner->ops->upload_list(inner, &t.call, prefix, ret_uploads, ret_count, &t.error)),
	        err);
}

static int retry_features(struct store *s, struct store_features *ret, struct error *err)
{
	return store_features(retry_of(s)->inner, ret, err);
}

static struct store *retry_free(struct store *s)
{
	struct retry_store *r = retry_of(s);

	store_free(r->inner);
	free(r->base.name);
	free(r);
	return NULL;
}

static const struct store_ops retry_ops = {
        .put = retry_put,
        .get = retry_get,
        .head = retry_head,
        .remove = retry_remove,
        .list = retry_list,
        .upload_begin = retry_upload_begin,
        .upload_announce = retry_upload_announce,
        .upload_part = retry_upload_part,
        .upload_complete = retry_upload_complete,
        .upload_id = retry_upload_id,
        .upload_free = retry_upload_free,
        .upload_abort = retry_upload_abort,
        .upload_list = retry_upload_list,
        .features = retry_features,
        .free = retry_free,
};

static int64_t real_now_ms(void *arg)
{
	return clock_mono_ms();
}

static bool real_sleep_ms(void *arg, struct cancel *cancel, int64_t ms)
{
	return cancel_sleep_ms(cancel, ms);
}

static int64_t real_dice(void *arg, int64_t most)
{
	uint64_t x = 0;

	if (getrandom(&x, sizeof(x), 0) != sizeof(x))
		return most;
	return (int64_t)(x % ((uint64_t)most + 1));
}

struct store *retry_new(struct store *inner, int64_t deadline_ms, const struct retry_timing *timing)
{
	struct retry_store *r = mem_alloc(sizeof(*r));

	r->base = (struct store){&retry_ops, mem_strdup(inner->name)};
	r->inner = inner;
	r->deadline_ms = deadline_ms;
	r->timing = *timing;
	return &r->base;
}

struct store *store_retry_new(struct store *inner, int64_t deadline_ms)
{
	static const struct retry_timing real = {real_now_ms, real_sleep_ms, real_dice, NULL};

	return retry_new(inner, deadline_ms, &real);
}

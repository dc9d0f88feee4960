// SPDX-License-Identifier: Apache-2.0
/*
 * The one place where calls are tried again; how is in tries.c, and in resume.c for gets. A failed call may
 * have been carried out: its answer was lost. Most calls can simply be made again. Two cannot, since the
 * second is refused because of the first: a put with a condition, and a completion. These look whether the
 * object is the one they would have made.
 */
#include "tries.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/iov.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* Up to here an object that may be ours is read to compare; manifests and leases are smaller. */
#define COMPARE_BYTES ((uint64_t)1 << 20)

struct retry_upload {
	struct store_upload base;
	struct store_upload *inner;
};

static struct retry_upload *retry_upload_of(const struct store_upload *up)
{
	return (struct retry_upload *)up; /* `base` is the first member */
}

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
	uint64_t bytes = iov_bytes(iov, count);
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

/* The condition does not hold, or not any more, since our own first try made it so: 0; else @r. */
static int condition_failed(struct tries *t, struct store *s, const char *key, const struct iovec *iov,
                            int count, const struct store_put_options *options, int r, struct error *err)
{
	struct store_object there = {0};
	int found = options->ret_etag ? store_head(s, &t->call, key, &there, err) : 0;

	if (found == 0)
		found = is_it_ours(s, &t->call, key, iov, count, err);
	if (found == STORE_EXISTS || found == -ENOENT)
		return r < 0 ? tries_end(t, r, err) : r;
	if (found == 0 && options->ret_etag)
		str_copy(options->ret_etag, STORE_ETAG_BYTES, there.etag);
	return found;
}

static int retry_put(struct store *s, const struct store_call *call, const char *key, const struct iovec *iov,
                     int count, const struct store_put_options *options, struct error *err)
{
	struct store *inner = retry_of(s)->inner;
	struct tries t;
	int r;

	tries_begin(&t, s, call);
	r = TRY(&t, inner->ops->put(inner, &t.call, key, iov, count, options, &t.error));
	if (t.failed && (r == STORE_EXISTS || (r == -ESTALE && options->if_match)))
		return condition_failed(&t, s, key, iov, count, options, r, err);
	return tries_end(&t, r, err);
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
                              const char *storage_class, struct store_upload **ret_upload, struct error *err)
{
	struct store *inner = retry_of(s)->inner;
	struct store_upload *inner_up = NULL;
	struct retry_upload *up;
	struct tries t;
	int r;

	tries_begin(&t, s, call);
	r = TRY(&t, inner->ops->upload_begin(inner, &t.call, key, storage_class, &inner_up, &t.error));
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
	store_upload_announce(retry_upload_of(base)->inner, number, bytes);
}

static int retry_upload_part(struct store_upload *base, const struct store_call *call, unsigned number,
                             const struct iovec *iov, int count, struct store_part *ret, struct error *err)
{
	struct store_upload *inner = retry_upload_of(base)->inner;
	struct tries t;

	tries_begin(&t, base->store, call);
	return tries_end(
	        &t, TRY(&t, inner->ops->upload_part(inner, &t.call, number, iov, count, ret, &t.error)), err);
}

static int retry_upload_copy(struct store_upload *base, const struct store_call *call, unsigned number,
                             const struct store_range *from, struct store_part *ret, struct error *err)
{
	struct store_upload *inner = retry_upload_of(base)->inner;
	struct tries t;

	tries_begin(&t, base->store, call);
	return tries_end(&t, TRY(&t, store_upload_copy(inner, &t.call, number, from, ret, &t.error)), err);
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
	struct store_upload *inner = retry_upload_of(base)->inner;
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
	return store_upload_id(retry_upload_of(up)->inner);
}

static struct store_upload *retry_upload_free(struct store_upload *base)
{
	struct retry_upload *up = retry_upload_of(base);

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

static int retry_presign(struct store *s, const char *key, int64_t ttl_ms, bool only_length,
                         struct str *ret_url, struct error *err)
{
	struct store *inner = retry_of(s)->inner;
	struct tries t;

	if (only_length)
		return inner->ops->presign(inner, key, ttl_ms, true, ret_url, err);
	tries_begin(&t, s, NULL);
	return tries_end(&t, TRY(&t, inner->ops->presign(inner, key, ttl_ms, false, ret_url, &t.error)), err);
}

/* Each of these can be made again. */
static int retry_locking(struct store *s, const struct store_call *call, struct store_locking *io,
                         struct error *err)
{
	struct store *inner = retry_of(s)->inner;
	struct tries t;

	tries_begin(&t, s, call);
	return tries_end(&t, TRY(&t, inner->ops->locking(inner, &t.call, io, &t.error)), err);
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
        .get = retry_resumed_get,
        .head = retry_head,
        .remove = retry_remove,
        .list = retry_list,
        .upload_begin = retry_upload_begin,
        .upload_announce = retry_upload_announce,
        .upload_part = retry_upload_part,
        .upload_copy = retry_upload_copy,
        .upload_complete = retry_upload_complete,
        .upload_id = retry_upload_id,
        .upload_free = retry_upload_free,
        .upload_abort = retry_upload_abort,
        .upload_list = retry_upload_list,
        .presign = retry_presign,
        .locking = retry_locking,
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

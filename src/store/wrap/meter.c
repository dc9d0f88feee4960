// SPDX-License-Identifier: Apache-2.0
/*
 * Counts what is asked of a store: every call that reaches it, how long it took, whether it failed and with
 * what. It lies below the retries, so that each try counts: a store that fails every second call looks well
 * from above. Nothing but counters is kept, and the calls pass through unchanged.
 */
#include "../store_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/iov.h>
#include <keepfs/base/mem.h>

#include <errno.h>

struct meter_store {
	struct store base;
	struct store *inner;
	struct store_metrics *metrics; /* borrowed */
};

struct meter_upload {
	struct store_upload base;
	struct store_upload *inner;
};

const char *store_call_name(enum store_call_kind kind)
{
	static const char *const names[STORE_CALL_KINDS] = {
	        [STORE_CALL_PUT] = "put",     [STORE_CALL_GET] = "get",
	        [STORE_CALL_HEAD] = "head",   [STORE_CALL_REMOVE] = "remove",
	        [STORE_CALL_LIST] = "list",   [STORE_CALL_BEGIN] = "begin",
	        [STORE_CALL_PART] = "part",   [STORE_CALL_COMPLETE] = "complete",
	        [STORE_CALL_ABORT] = "abort", [STORE_CALL_UPLOADS] = "uploads",
	        [STORE_CALL_LOCK] = "lock",
	};

	return names[kind];
}

static struct meter_store *meter_of(struct store *s)
{
	return (struct meter_store *)s; /* `base` is the first member */
}

static struct meter_upload *meter_upload_of(const struct store_upload *up)
{
	return (struct meter_upload *)up; /* likewise */
}

/* One call. Its error is needed here, whether the caller wants it or not. */
struct metered {
	struct meter_store *m;
	enum store_call_kind kind;
	int64_t began_us;
	struct error error, *err;
};

static struct error *begin_call(struct metered *c, struct store *s, enum store_call_kind kind,
                                struct error *err)
{
	c->m = meter_of(s);
	c->kind = kind;
	c->error = (struct error){0};
	c->err = err ? err : &c->error;
	c->began_us = clock_mono_us();
	return c->err;
}

static bool counts_as_failure(enum store_call_kind kind, int r)
{
	if (r >= 0 || r == -ECANCELED)
		return false;
	if (kind == STORE_CALL_PUT)
		return r != -ESTALE;
	if (kind == STORE_CALL_GET || kind == STORE_CALL_HEAD)
		return r != -ENOENT && r != -ERANGE && r != -ESTALE;
	return true;
}

/* @bytes: of content, when the call succeeded. Returns @r. */
static int end_call(struct metered *c, int r, uint64_t bytes)
{
	struct store_metrics *metrics = c->m->metrics;

	histogram_add(&metrics->of[c->kind].duration, clock_mono_us() - c->began_us);
	if (counts_as_failure(c->kind, r)) {
		atomic_fetch_add(&metrics->of[c->kind].failures, 1);
		atomic_fetch_add(&metrics->failures_by_class[c->err->class], 1);
	}
	if (r == 0)
		atomic_fetch_add(&metrics->of[c->kind].bytes, bytes);
	atomic_fetch_add(&metrics->of[c->kind].calls, 1);
	return r;
}

static int meter_put(struct store *s, const struct store_call *call, const char *key, const struct iovec *iov,
                     int count, const struct store_put_options *options, struct error *err)
{
	struct store *inner = meter_of(s)->inner;
	struct metered c;

	err = begin_call(&c, s, STORE_CALL_PUT, err);
	return end_call(&c, inner->ops->put(inner, call, key, iov, count, options, err),
	                iov_bytes(iov, count));
}

static int meter_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                     const struct iovec *iov, int count, const struct store_get_options *options,
                     struct error *err)
{
	struct store *inner = meter_of(s)->inner;
	struct metered c;
	int r;

	err = begin_call(&c, s, STORE_CALL_GET, err);
	r = end_call(&c, inner->ops->get(inner, call, key, offset, iov, count, options, err),
	             options->to_the_end ? 0 : iov_bytes(iov, count));
	/* What came before it broke off is kept, and not asked for again. */
	if ((r < 0 || (r == 0 && options->to_the_end)) && options->ret_filled)
		atomic_fetch_add(&c.m->metrics->of[STORE_CALL_GET].bytes, *options->ret_filled);
	return r;
}

static int meter_head(struct store *s, const struct store_call *call, const char *key,
                      struct store_object *ret, struct error *err)
{
	struct store *inner = meter_of(s)->inner;
	struct metered c;

	err = begin_call(&c, s, STORE_CALL_HEAD, err);
	return end_call(&c, inner->ops->head(inner, call, key, ret, err), 0);
}

static int meter_remove(struct store *s, const struct store_call *call, const char *key, struct error *err)
{
	struct store *inner = meter_of(s)->inner;
	struct metered c;

	err = begin_call(&c, s, STORE_CALL_REMOVE, err);
	return end_call(&c, inner->ops->remove(inner, call, key, err), 0);
}

static int meter_list(struct store *s, const struct store_call *call, const char *prefix,
                      const char *start_after, size_t max, struct store_object **ret_objects,
                      size_t *ret_count, bool *ret_more, struct error *err)
{
	struct store *inner = meter_of(s)->inner;
	struct metered c;

	err = begin_call(&c, s, STORE_CALL_LIST, err);
	return end_call(&c,
	                inner->ops->list(inner, call, prefix, start_after, max, ret_objects, ret_count,
	                                 ret_more, err),
	                0);
}

static int meter_upload_begin(struct store *s, const struct store_call *call, const char *key,
                              const char *storage_class, struct store_upload **ret_upload, struct error *err)
{
	struct store *inner = meter_of(s)->inner;
	struct store_upload *inner_up = NULL;
	struct meter_upload *up;
	struct metered c;
	int r;

	err = begin_call(&c, s, STORE_CALL_BEGIN, err);
	r = end_call(&c, inner->ops->upload_begin(inner, call, key, storage_class, &inner_up, err), 0);
	if (r < 0)
		return r;
	up = mem_alloc(sizeof(*up));
	up->base = (struct store_upload){s->ops, s, mem_strdup(key)};
	up->inner = inner_up;
	*ret_upload = &up->base;
	return 0;
}

static void meter_upload_announce(struct store_upload *base, unsigned number, uint64_t bytes)
{
	store_upload_announce(meter_upload_of(base)->inner, number, bytes);
}

static int meter_upload_part(struct store_upload *base, const struct store_call *call, unsigned number,
                             const struct iovec *iov, int count, struct store_part *ret, struct error *err)
{
	struct store_upload *inner = meter_upload_of(base)->inner;
	struct metered c;

	err = begin_call(&c, base->store, STORE_CALL_PART, err);
	return end_call(&c, inner->ops->upload_part(inner, call, number, iov, count, ret, err),
	                iov_bytes(iov, count));
}

/* No byte of it was sent. */
static int meter_upload_copy(struct store_upload *base, const struct store_call *call, unsigned number,
                             const struct store_range *from, struct store_part *ret, struct error *err)
{
	struct store_upload *inner = meter_upload_of(base)->inner;
	struct metered c;

	err = begin_call(&c, base->store, STORE_CALL_PART, err);
	return end_call(&c, store_upload_copy(inner, call, number, from, ret, err), 0);
}

static int meter_upload_complete(struct store_upload *base, const struct store_call *call,
                                 const struct store_part *parts, size_t count, struct error *err)
{
	struct store_upload *inner = meter_upload_of(base)->inner;
	struct metered c;

	err = begin_call(&c, base->store, STORE_CALL_COMPLETE, err);
	return end_call(&c, inner->ops->upload_complete(inner, call, parts, count, err), 0);
}

static const char *meter_upload_id(const struct store_upload *up)
{
	return store_upload_id(meter_upload_of(up)->inner);
}

static struct store_upload *meter_upload_free(struct store_upload *base)
{
	struct meter_upload *up = meter_upload_of(base);

	store_upload_free(up->inner);
	free(up->base.key);
	free(up);
	return NULL;
}

static int meter_upload_abort(struct store *s, const struct store_call *call, const char *key,
                              const char *upload_id, struct error *err)
{
	struct store *inner = meter_of(s)->inner;
	struct metered c;

	err = begin_call(&c, s, STORE_CALL_ABORT, err);
	return end_call(&c, inner->ops->upload_abort(inner, call, key, upload_id, err), 0);
}

static int meter_upload_list(struct store *s, const struct store_call *call, const char *prefix,
                             struct store_upload_info **ret_uploads, size_t *ret_count, struct error *err)
{
	struct store *inner = meter_of(s)->inner;
	struct metered c;

	err = begin_call(&c, s, STORE_CALL_UPLOADS, err);
	return end_call(&c, inner->ops->upload_list(inner, call, prefix, ret_uploads, ret_count, err), 0);
}

/* Nothing is asked of the store for it: nothing to count. */
static int meter_presign(struct store *s, const char *key, int64_t ttl_ms, bool only_length,
                         struct str *ret_url, struct error *err)
{
	struct store *inner = meter_of(s)->inner;

	return inner->ops->presign(inner, key, ttl_ms, only_length, ret_url, err);
}

static int meter_locking(struct store *s, const struct store_call *call, struct store_locking *io,
                         struct error *err)
{
	struct store *inner = meter_of(s)->inner;
	struct metered c;

	err = begin_call(&c, s, STORE_CALL_LOCK, err);
	return end_call(&c, inner->ops->locking(inner, call, io, err), 0);
}

static int meter_features(struct store *s, struct store_features *ret, struct error *err)
{
	return store_features(meter_of(s)->inner, ret, err);
}

static struct store *meter_free(struct store *s)
{
	struct meter_store *m = meter_of(s);

	store_free(m->inner);
	free(m->base.name);
	free(m);
	return NULL;
}

static const struct store_ops meter_ops = {
        .put = meter_put,
        .get = meter_get,
        .head = meter_head,
        .remove = meter_remove,
        .list = meter_list,
        .upload_begin = meter_upload_begin,
        .upload_announce = meter_upload_announce,
        .upload_part = meter_upload_part,
        .upload_copy = meter_upload_copy,
        .upload_complete = meter_upload_complete,
        .upload_id = meter_upload_id,
        .upload_free = meter_upload_free,
        .upload_abort = meter_upload_abort,
        .upload_list = meter_upload_list,
        .presign = meter_presign,
        .locking = meter_locking,
        .features = meter_features,
        .free = meter_free,
};

struct store *store_meter_new(struct store *inner, struct store_metrics *metrics)
{
	struct meter_store *m = mem_alloc(sizeof(*m));

	m->base = (struct store){&meter_ops, mem_strdup(inner->name)};
	m->inner = inner;
	m->metrics = metrics;
	return &m->base;
}

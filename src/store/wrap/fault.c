// SPDX-License-Identifier: Apache-2.0
/*
 * A store that fails on purpose. Each call first asks the rules; what they say happens before the wrapped
 * call (it is never made), or after it (its answer is lost, a byte of it is wrong). The errors are those that
 * a real store would give, so that what is above cannot tell the difference.
 */
#include "fault.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/iov.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct fault_store {
	struct store base;
	struct store *inner;
	struct fault_rules rules;
};

struct fault_upload {
	struct store_upload base;
	struct store_upload *inner;
};

static struct fault_store *fault_of(struct store *s)
{
	return (struct fault_store *)s; /* `base` is the first member */
}

static struct fault_upload *fault_upload_of(const struct store_upload *up)
{
	return (struct fault_upload *)up; /* likewise */
}

static int fail_call(enum error_class class, int errnum, bool retry, enum store_call_kind op, const char *key,
                     const char *how, struct error *err)
{
	error_set(err, class, errnum, "%s of %s: %s (a rehearsed fault)", store_call_name(op), key, how);
	if (err)
		err->retry = retry;
	return -errnum;
}

static int hold_up(const struct store_call *call, int64_t ms, enum store_call_kind op, struct error *err)
{
	int64_t until_ms = clock_mono_ms() + ms;

	if (call && call->deadline_ms && call->deadline_ms < until_ms)
		until_ms = call->deadline_ms;
	if (until_ms > clock_mono_ms())
		cancel_sleep_ms(call ? call->cancel : NULL, until_ms - clock_mono_ms());
	return store_call_check(call, store_call_name(op), err);
}

/* What shall happen to this call: negative when it is over before it is made. */
static int before(struct store *s, enum store_call_kind op, const struct store_call *call, const char *key,
                  enum fault_what *ret_what, struct error *err)
{
	int64_t slow_ms;
	int r;

	*ret_what = fault_decide(&fault_of(s)->rules, op, &slow_ms);
	if (slow_ms) {
		r = hold_up(call, slow_ms, op, err);
		if (r < 0)
			return r;
	}
	switch (*ret_what) {
	case FAULT_CORRUPT:
		if (op == STORE_CALL_GET)
			return 0;
		__attribute__((fallthrough));
	case FAULT_EIO:
		return fail_call(ERROR_INTERNAL, EIO, false, op, key, "input/output error", err);
	case FAULT_UNAVAILABLE:
		return fail_call(ERROR_UNAVAILABLE, EAGAIN, true, op, key, "the store is unavailable", err);
	case FAULT_NOSPACE:
		return fail_call(ERROR_NO_SPACE, ENOSPC, false, op, key, "no space left in the store", err);
	case FAULT_DENIED:
		return fail_call(ERROR_DENIED, EACCES, false, op, key, "no right to do that", err);
	case FAULT_CRASH:
		kill(getpid(), SIGKILL);
		return 0;
	default:
		return 0;
	}
}

/* The result of the wrapped call, unless it is to be lost. */
static int after_call(enum fault_what what, enum store_call_kind op, const char *key, int r,
                      struct error *err)
{
	if (what != FAULT_TIMEOUT)
		return r;
	return fail_call(ERROR_TIMEOUT, ETIMEDOUT, true, op, key, "no answer came in time", err);
}

static int fault_put(struct store *s, const struct store_call *call, const char *key, const struct iovec *iov,
                     int count, const struct store_put_options *options, struct error *err)
{
	struct store *inner = fault_of(s)->inner;
	enum fault_what what;
	int r = before(s, STORE_CALL_PUT, call, key, &what, err);

	if (r < 0)
		return r;
	r = inner->ops->put(inner, call, key, iov, count, options, err);
	return after_call(what, STORE_CALL_PUT, key, r, err);
}

static void flip_a_byte(const struct iovec *iov, int count)
{
	uint64_t at = iov_bytes(iov, count) / 2;

	for (int i = 0; i < count; i++) {
		if (at < iov[i].iov_len) {
			((uint8_t *)iov[i].iov_base)[at] ^= 0x01;
			return;
		}
		at -= iov[i].iov_len;
	}
}

/* The transfer broke off in the middle of the bytes that came. */
static void lose_second_half(const struct iovec *iov, int count, uint64_t *filled)
{
	uint64_t at = *filled /= 2;

	for (int i = 0; i < count; i++) {
		size_t kept = at < iov[i].iov_len ? (size_t)at : iov[i].iov_len;

		memset((char *)iov[i].iov_base + kept, 0, iov[i].iov_len - kept);
		at -= kept;
	}
}

static int fault_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                     const struct iovec *iov, int count, const struct store_get_options *options,
                     struct error *err)
{
	struct store *inner = fault_of(s)->inner;
	struct store_get_options inner_options = *options;
	uint64_t filled = 0;
	enum fault_what what;
	int r = before(s, STORE_CALL_GET, call, key, &what, err);

	if (r < 0)
		return r;
	inner_options.ret_filled = &filled;
	inner_options.arrived = NULL; /* what came may be made to have never come, or wrong */
	r = inner->ops->get(inner, call, key, offset, iov, count, &inner_options, err);
	if (r == 0 && what == FAULT_CORRUPT)
		flip_a_byte(iov, count);
	if (what == FAULT_TIMEOUT && filled)
		lose_second_half(iov, count, &filled);
	if (options->ret_filled)
		*options->ret_filled = filled;
	return after_call(what, STORE_CALL_GET, key, r, err);
}

static int fault_head(struct store *s, const struct store_call *call, const char *key,
                      struct store_object *ret, struct error *err)
{
	struct store *inner = fault_of(s)->inner;
	struct store_object object;
	enum fault_what what;
	int r = before(s, STORE_CALL_HEAD, call, key, &what, err);

	if (r < 0)
		return r;
	r = inner->ops->head(inner, call, key, &object, err);
	r = after_call(what, STORE_CALL_HEAD, key, r, err);
	if (r == 0)
		*ret = object;
	return r;
}

static int fault_remove(struct store *s, const struct store_call *call, const char *key, struct error *err)
{
	struct store *inner = fault_of(s)->inner;
	enum fault_what what;
	int r = before(s, STORE_CALL_REMOVE, call, key, &what, err);

	if (r < 0)
		return r;
	r = inner->ops->remove(inner, call, key, err);
	return after_call(what, STORE_CALL_REMOVE, key, r, err);
}

static int fault_list(struct store *s, const struct store_call *call, const char *prefix,
                      const char *start_after, size_t max, struct store_object **ret_objects,
                      size_t *ret_count, bool *ret_more, struct error *err)
{
	struct store *inner = fault_of(s)->inner;
	_cleanup(free) struct store_object *objects = NULL;
	enum fault_what what;
	size_t n = 0;
	bool more = false;
	int r = before(s, STORE_CALL_LIST, call, prefix, &what, err);

	if (r < 0)
		return r;
	r = inner->ops->list(inner, call, prefix, start_after, max, &objects, &n, &more, err);
	r = after_call(what, STORE_CALL_LIST, prefix, r, err);
	if (r < 0)
		return r;
	*ret_objects = take_ptr(&objects);
	*ret_count = n;
	*ret_more = more;
	return 0;
}

static int fault_upload_begin(struct store *s, const struct store_call *call, const char *key,
                              const char *storage_class, struct store_upload **ret_upload, struct error *err)
{
	struct store *inner = fault_of(s)->inner;
	_cleanup(store_upload) struct store_upload *inner_up = NULL;
	struct fault_upload *up;
	enum fault_what what;
	int r = before(s, STORE_CALL_BEGIN, call, key, &what, err);

	if (r < 0)
		return r;
	r = inner->ops->upload_begin(inner, call, key, storage_class, &inner_up, err);
	r = after_call(what, STORE_CALL_BEGIN, key, r, err);
	if (r < 0)
		return r;
	up = mem_alloc(sizeof(*up));
	up->base = (struct store_upload){s->ops, s, mem_strdup(key)};
	up->inner = take_ptr(&inner_up);
	*ret_upload = &up->base;
	return 0;
}

static void fault_upload_announce(struct store_upload *base, unsigned number, uint64_t bytes)
{
	store_upload_announce(fault_upload_of(base)->inner, number, bytes);
}

static int fault_upload_part(struct store_upload *base, const struct store_call *call, unsigned number,
                             const struct iovec *iov, int count, struct store_part *ret, struct error *err)
{
	struct store_upload *inner = fault_upload_of(base)->inner;
	struct store_part part;
	enum fault_what what;
	int r = before(base->store, STORE_CALL_PART, call, base->key, &what, err);

	if (r < 0)
		return r;
	r = inner->ops->upload_part(inner, call, number, iov, count, &part, err);
	r = after_call(what, STORE_CALL_PART, base->key, r, err);
	if (r == 0)
		*ret = part;
	return r;
}

static int fault_upload_copy(struct store_upload *base, const struct store_call *call, unsigned number,
                             const struct store_range *from, struct store_part *ret, struct error *err)
{
	struct store_upload *inner = fault_upload_of(base)->inner;
	struct store_part part;
	enum fault_what what;
	int r = before(base->store, STORE_CALL_PART, call, base->key, &what, err);

	if (r < 0)
		return r;
	r = store_upload_copy(inner, call, number, from, &part, err);
	r = after_call(what, STORE_CALL_PART, base->key, r, err);
	if (r == 0)
		*ret = part;
	return r;
}

static int fault_upload_complete(struct store_upload *base, const struct store_call *call,
                                 const struct store_part *parts, size_t count, struct error *err)
{
	struct store_upload *inner = fault_upload_of(base)->inner;
	enum fault_what what;
	int r = before(base->store, STORE_CALL_COMPLETE, call, base->key, &what, err);

	if (r < 0)
		return r;
	r = inner->ops->upload_complete(inner, call, parts, count, err);
	return after_call(what, STORE_CALL_COMPLETE, base->key, r, err);
}

static const char *fault_upload_id(const struct store_upload *up)
{
	return store_upload_id(fault_upload_of(up)->inner);
}

static struct store_upload *fault_upload_free(struct store_upload *base)
{
	struct fault_upload *up = fault_upload_of(base);

	store_upload_free(up->inner);
	free(up->base.key);
	free(up);
	return NULL;
}

static int fault_upload_abort(struct store *s, const struct store_call *call, const char *key,
                              const char *upload_id, struct error *err)
{
	struct store *inner = fault_of(s)->inner;
	enum fault_what what;
	int r = before(s, STORE_CALL_ABORT, call, key, &what, err);

	if (r < 0)
		return r;
	r = inner->ops->upload_abort(inner, call, key, upload_id, err);
	return after_call(what, STORE_CALL_ABORT, key, r, err);
}

static int fault_upload_list(struct store *s, const struct store_call *call, const char *prefix,
                             struct store_upload_info **ret_uploads, size_t *ret_count, struct error *err)
{
	struct store *inner = fault_of(s)->inner;
	struct store_upload_info *uploads = NULL;
	enum fault_what what;
	size_t n = 0;
	int r = before(s, STORE_CALL_UPLOADS, call, prefix, &what, err);

	if (r < 0)
		return r;
	r = inner->ops->upload_list(inner, call, prefix, &uploads, &n, err);
	r = after_call(what, STORE_CALL_UPLOADS, prefix, r, err);
	if (r < 0) {
		store_upload_list_free(uploads, n);
		return r;
	}
	*ret_uploads = uploads;
	*ret_count = n;
	return 0;
}

static int fault_presign(struct store *s, const char *key, int64_t ttl_ms, bool only_length,
                         struct str *ret_url, struct error *err)
{
	struct store *inner = fault_of(s)->inner;

	return inner->ops->presign(inner, key, ttl_ms, only_length, ret_url, err);
}

static int fault_locking(struct store *s, const struct store_call *call, struct store_locking *io,
                         struct error *err)
{
	struct store *inner = fault_of(s)->inner;
	struct store_locking answer = *io;
	enum fault_what what;
	int r = before(s, STORE_CALL_LOCK, call, io->key ? io->key : "the bucket", &what, err);

	if (r < 0)
		return r;
	r = inner->ops->locking(inner, call, &answer, err);
	r = after_call(what, STORE_CALL_LOCK, io->key ? io->key : "the bucket", r, err);
	if (r == 0)
		*io = answer;
	else
		free(answer.versions);
	return r;
}

static int fault_features(struct store *s, struct store_features *ret, struct error *err)
{
	return store_features(fault_of(s)->inner, ret, err);
}

static struct store *fault_free(struct store *s)
{
	struct fault_store *f = fault_of(s);

	store_free(f->inner);
	fault_rules_finish(&f->rules);
	free(f->base.name);
	free(f);
	return NULL;
}

static const struct store_ops fault_ops = {
        .put = fault_put,
        .get = fault_get,
        .head = fault_head,
        .remove = fault_remove,
        .list = fault_list,
        .upload_begin = fault_upload_begin,
        .upload_announce = fault_upload_announce,
        .upload_part = fault_upload_part,
        .upload_copy = fault_upload_copy,
        .upload_complete = fault_upload_complete,
        .upload_id = fault_upload_id,
        .upload_free = fault_upload_free,
        .upload_abort = fault_upload_abort,
        .upload_list = fault_upload_list,
        .presign = fault_presign,
        .locking = fault_locking,
        .features = fault_features,
        .free = fault_free,
};

int store_fault_new(struct store *inner, const char *spec, struct store **ret_store, struct error *err)
{
	struct fault_store *f = mem_alloc(sizeof(*f));
	int r = fault_parse(spec, &f->rules, err);

	f->base = (struct store){&fault_ops, mem_strdup(inner->name)};
	f->inner = inner;
	if (r < 0) {
		fault_free(&f->base);
		return r;
	}
	*ret_store = &f->base;
	return 0;
}

// SPDX-License-Identifier: Apache-2.0
/*
 * Who has lost the right to write, or may never have had it, writes nothing: each call that changes something asks the fence first.
 *
 * Between the question and the moment at which a server acts time passes. So what is seen at once by others (a put, a
 * removal) has a deadline when the right ends; the server's side of a request that is given up then is beyond our reach, as it is for everybody.
 */
#include "../store_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct fence_upload {
	struct store_upload base;
	struct store_upload *inner;
	struct fence_upload *next; /* the store's lock */
};

struct fence_store {
	struct store base;
	struct store *inner;
	const struct store_fence *fence; /* borrowed */
	pthread_mutex_t lock;
	struct fence_upload *uploads; /* lock: that were begun here, and are not freed */
};

static struct fence_store *fence_of(struct store *s)
{
	return (struct fence_store *)s; /* `base` is the first member */
}

static struct fence_upload *fence_upload_of(const struct store_upload *up)
{
	return (struct fence_upload *)up; /* likewise */
}

static int ask_fence(struct store *s, int64_t *ret_left_ms, struct error *err)
{
	const struct store_fence *fence = fence_of(s)->fence;

	return fence->check(fence->arg, ret_left_ms, err);
}

/* A call as the caller wants it, but not beyond the end of the right to write. */
struct fenced_call {
	struct store_call call;
	bool shortened;
};

static int begin_fenced(struct store *s, const struct store_call *call, struct fenced_call *ret,
                        struct error *err)
{
	int64_t left_ms, end_ms;
	int r = ask_fence(s, &left_ms, err);

	*ret = (struct fenced_call){0};
	if (r < 0)
		return r;
	if (call)
		ret->call = *call;
	if (left_ms == INT64_MAX)
		return 0;
	end_ms = clock_mono_ms() + left_ms;
	ret->shortened = !ret->call.deadline_ms || ret->call.deadline_ms > end_ms;
	if (ret->shortened)
		ret->call.deadline_ms = end_ms;
	return 0;
}

/* A deadline that was ours is no reason to give up: whether it may be tried again, the fence says. Returns @r. */
static int end_fenced(const struct fenced_call *c, int r, struct error *err)
{
	if (r == -ETIMEDOUT && c->shortened && err)
		err->retry = true;
	return r;
}

static int fence_put(struct store *s, const struct store_call *call, const char *key, const struct iovec *iov,
                     int count, const struct store_put_options *options, struct error *err)
{
	struct store *inner = fence_of(s)->inner;
	struct fenced_call c;
	int r = begin_fenced(s, call, &c, err);

	if (r < 0)
		return r;
	return end_fenced(&c, inner->ops->put(inner, &c.call, key, iov, count, options, err), err);
}

static int fence_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                     const struct iovec *iov, int count, const struct store_get_options *options,
                     struct error *err)
{
	struct store *inner = fence_of(s)->inner;

	return inner->ops->get(inner, call, key, offset, iov, count, options, err);
}

static int fence_head(struct store *s, const struct store_call *call, const char *key,
                      struct store_object *ret, struct error *err)
{
	struct store *inner = fence_of(s)->inner;

	return inner->ops->head(inner, call, key, ret, err);
}

static int fence_remove(struct store *s, const struct store_call *call, const char *key, struct error *err)
{
	struct store *inner = fence_of(s)->inner;
	struct fenced_call c;
	int r = begin_fenced(s, call, &c, err);

	return r < 0 ? r : end_fenced(&c, inner->ops->remove(inner, &c.call, key, err), err);
}

static int fence_list(struct store *s, const struct store_call *call, const char *prefix,
                      const char *start_after, size_t max, struct store_object **ret_objects,
                      size_t *ret_count, bool *ret_more, struct error *err)
{
	struct store *inner = fence_of(s)->inner;

	return inner->ops->list(inner, call, prefix, start_after, max, ret_objects, ret_count, ret_more, err);
}

static void note_upload(struct fence_store *f, struct fence_upload *up)
{
	pthread_mutex_lock(&f->lock);
	up->next = f->uploads;
	f->uploads = up;
	pthread_mutex_unlock(&f->lock);
}

static void forget_upload(struct fence_store *f, const struct fence_upload *up)
{
	struct fence_upload **at = &f->uploads;

	pthread_mutex_lock(&f->lock);
	while (*at && *at != up)
		at = &(*at)->next;
	if (*at)
		*at = up->next;
	pthread_mutex_unlock(&f->lock);
}

static bool began_here(struct fence_store *f, const char *key, const char *id)
{
	bool found = false;

	pthread_mutex_lock(&f->lock);
	for (struct fence_upload *up = f->uploads; up && !found; up = up->next)
		found = str_equal(up->base.key, key) && str_equal(store_upload_id(up->inner), id);
	pthread_mutex_unlock(&f->lock);
	return found;
}

static int fence_upload_begin(struct store *s, const struct store_call *call, const char *key,
                              const char *storage_class, struct store_upload **ret_upload, struct error *err)
{
	struct store *inner = fence_of(s)->inner;
	struct store_upload *inner_up = NULL;
	struct fence_upload *up;
	int64_t left_ms;
	int r = ask_fence(s, &left_ms, err);

	if (r == 0)
		r = inner->ops->upload_begin(inner, call, key, storage_class, &inner_up, err);
	if (r < 0)
		return r;
	up = mem_alloc(sizeof(*up));
	up->base = (struct store_upload){s->ops, s, mem_strdup(key)};
	up->inner = inner_up;
	note_upload(fence_of(s), up);
	*ret_upload = &up->base;
	return 0;
}

static void fence_upload_announce(struct store_upload *base, unsigned number, uint64_t bytes)
{
	store_upload_announce(fence_upload_of(base)->inner, number, bytes);
}

static int fence_upload_part(struct store_upload *base, const struct store_call *call, unsigned number,
                             const struct iovec *iov, int count, struct store_part *ret, struct error *err)
{
	struct store_upload *inner = fence_upload_of(base)->inner;
	int64_t left_ms;
	int r = ask_fence(base->store, &left_ms, err);

	return r < 0 ? r : inner->ops->upload_part(inner, call, number, iov, count, ret, err);
}

static int fence_upload_copy(struct store_upload *base, const struct store_call *call, unsigned number,
                             const struct store_range *from, struct store_part *ret, struct error *err)
{
	struct store_upload *inner = fence_upload_of(base)->inner;
	int64_t left_ms;
	int r = ask_fence(base->store, &left_ms, err);

	return r < 0 ? r : store_upload_copy(inner, call, number, from, ret, err);
}

static int fence_upload_complete(struct store_upload *base, const struct store_call *call,
                                 const struct store_part *parts, size_t count, struct error *err)
{
	struct store_upload *inner = fence_upload_of(base)->inner;
	int64_t left_ms;
	int r = ask_fence(base->store, &left_ms, err);

	return r < 0 ? r : inner->ops->upload_complete(inner, call, parts, count, err);
}

static const char *fence_upload_id(const struct store_upload *up)
{
	return store_upload_id(fence_upload_of(up)->inner);
}

static struct store_upload *fence_upload_free(struct store_upload *base)
{
	struct fence_upload *up = fence_upload_of(base);

	forget_upload(fence_of(base->store), up);
	store_upload_free(up->inner);
	free(up->base.key);
	free(up);
	return NULL;
}

static int fence_upload_abort(struct store *s, const struct store_call *call, const char *key,
                              const char *upload_id, struct error *err)
{
	struct store *inner = fence_of(s)->inner;
	int64_t left_ms;
	int r = began_here(fence_of(s), key, upload_id) ? 0 : ask_fence(s, &left_ms, err);

	return r < 0 ? r : inner->ops->upload_abort(inner, call, key, upload_id, err);
}

static int fence_upload_list(struct store *s, const struct store_call *call, const char *prefix,
                             struct store_upload_info **ret_uploads, size_t *ret_count, struct error *err)
{
	struct store *inner = fence_of(s)->inner;

	return inner->ops->upload_list(inner, call, prefix, ret_uploads, ret_count, err);
}

static int fence_presign(struct store *s, const char *key, int64_t ttl_ms, bool only_length,
                         struct str *ret_url, struct error *err)
{
	struct store *inner = fence_of(s)->inner;

	return inner->ops->presign(inner, key, ttl_ms, only_length, ret_url, err);
}

static int fence_locking(struct store *s, const struct store_call *call, struct store_locking *io,
                         struct error *err)
{
	struct store *inner = fence_of(s)->inner;
	struct fenced_call c;
	int r;

	if (!store_locking_writes(io))
		return inner->ops->locking(inner, call, io, err);
	r = begin_fenced(s, call, &c, err);
	return r < 0 ? r : end_fenced(&c, inner->ops->locking(inner, &c.call, io, err), err);
}

static int fence_features(struct store *s, struct store_features *ret, struct error *err)
{
	return store_features(fence_of(s)->inner, ret, err);
}

static struct store *fence_free(struct store *s)
{
	struct fence_store *f = fence_of(s);

	store_free(f->inner);
	pthread_mutex_destroy(&f->lock);
	free(f->base.name);
	free(f);
	return NULL;
}

static const struct store_ops fence_ops = {
        .put = fence_put,
        .get = fence_get,
        .head = fence_head,
        .remove = fence_remove,
        .list = fence_list,
        .upload_begin = fence_upload_begin,
        .upload_announce = fence_upload_announce,
        .upload_part = fence_upload_part,
        .upload_copy = fence_upload_copy,
        .upload_complete = fence_upload_complete,
        .upload_id = fence_upload_id,
        .upload_free = fence_upload_free,
        .upload_abort = fence_upload_abort,
        .upload_list = fence_upload_list,
        .presign = fence_presign,
        .locking = fence_locking,
        .features = fence_features,
        .free = fence_free,
};

struct store *store_fence_new(struct store *inner, const struct store_fence *fence)
{
	struct fence_store *f = mem_alloc(sizeof(*f));

	f->base = (struct store){&fence_ops, mem_strdup(inner->name)};
	f->inner = inner;
	f->fence = fence;
	pthread_mutex_init(&f->lock, NULL);
	return &f->base;
}

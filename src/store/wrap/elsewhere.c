// SPDX-License-Identifier: Apache-2.0
/*
 * A store that knows of objects in other places, by their keys. What is its own passes through; what is elsewhere is asked of a store of that place, which is
 * opened for each call: whoever keeps them open (the room `stores`) makes that cheap.
 */
#include "../store_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/manifest.h>

#include <errno.h>

struct elsewhere_store {
	struct store base;
	struct store *inner; /* borrowed */
	struct store_elsewhere places;
};

static struct store *inner_of_elsewhere(struct store *s)
{
	return ((struct elsewhere_store *)s)->inner; /* `base` is the first member */
}

/* 0 with @ret_store and the key there; @ret_store NULL: it is an object of the store itself. */
static int open_elsewhere(struct store *s, const char *key, bool removes, struct store **ret_store,
                          const char **ret_key, struct error *err)
{
	const struct elsewhere_store *e = (const struct elsewhere_store *)s;
	_cleanup(free) char *place = NULL;
	const char *there = manifest_adopted_in(key, &place);

	*ret_store = NULL;
	if (!there)
		return 0;
	*ret_key = there;
	return e->places.open(e->places.arg, place, removes, ret_store, err);
}

static int refuse_writing_elsewhere(const char *key, struct error *err)
{
	return error_set(err, ERROR_USAGE, EROFS,
	                 "%s was adopted where others had put it: keepfs writes nothing there", key);
}

static int elsewhere_put(struct store *s, const struct store_call *call, const char *key,
                         const struct iovec *iov, int count, const struct store_put_options *options,
                         struct error *err)
{
	struct store *inner = inner_of_elsewhere(s);

	if (manifest_adopted_in(key, NULL))
		return refuse_writing_elsewhere(key, err);
	return inner->ops->put(inner, call, key, iov, count, options, err);
}

static int elsewhere_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                         const struct iovec *iov, int count, const struct store_get_options *options,
                         struct error *err)
{
	struct store *inner = inner_of_elsewhere(s);
	_cleanup(store) struct store *there = NULL;
	const char *own = NULL;
	int r = open_elsewhere(s, key, false, &there, &own, err);

	if (r < 0)
		return r;
	return there ? store_get(there, call, own, offset, iov, count, options, err)
	             : inner->ops->get(inner, call, key, offset, iov, count, options, err);
}

static int elsewhere_head(struct store *s, const struct store_call *call, const char *key,
                          struct store_object *ret, struct error *err)
{
	struct store *inner = inner_of_elsewhere(s);
	_cleanup(store) struct store *there = NULL;
	const char *own = NULL;
	int r = open_elsewhere(s, key, false, &there, &own, err);

	if (r < 0)
		return r;
	if (!there)
		return inner->ops->head(inner, call, key, ret, err);
	r = store_head(there, call, own, ret, err);
	if (r == 0)
		str_copy(ret->key, sizeof(ret->key), key);
	return r;
}

static int elsewhere_remove(struct store *s, const struct store_call *call, const char *key,
                            struct error *err)
{
	struct store *inner = inner_of_elsewhere(s);
	_cleanup(store) struct store *there = NULL;
	const char *own = NULL;
	int r = open_elsewhere(s, key, true, &there, &own, err);

	if (r < 0)
		return r;
	return there ? store_remove(there, call, own, err) : inner->ops->remove(inner, call, key, err);
}

static int elsewhere_list(struct store *s, const struct store_call *call, const char *prefix,
                          const char *start_after, size_t max, struct store_object **ret_objects,
                          size_t *ret_count, bool *ret_more, struct error *err)
{
	struct store *inner = inner_of_elsewhere(s);

	return inner->ops->list(inner, call, prefix, start_after, max, ret_objects, ret_count, ret_more, err);
}

/* What is begun is the inner store's own, and so are the calls about it. */
static int elsewhere_upload_begin(struct store *s, const struct store_call *call, const char *key,
                                  const char *storage_class, struct store_upload **ret_upload,
                                  struct error *err)
{
	struct store *inner = inner_of_elsewhere(s);

	if (manifest_adopted_in(key, NULL))
		return refuse_writing_elsewhere(key, err);
	return inner->ops->upload_begin(inner, call, key, storage_class, ret_upload, err);
}

static int elsewhere_upload_abort(struct store *s, const struct store_call *call, const char *key,
                                  const char *upload_id, struct error *err)
{
	struct store *inner = inner_of_elsewhere(s);

	return inner->ops->upload_abort(inner, call, key, upload_id, err);
}

static int elsewhere_upload_list(struct store *s, const struct store_call *call, const char *prefix,
                                 struct store_upload_info **ret_uploads, size_t *ret_count, struct error *err)
{
	struct store *inner = inner_of_elsewhere(s);

	return inner->ops->upload_list(inner, call, prefix, ret_uploads, ret_count, err);
}

static int elsewhere_presign(struct store *s, const char *key, int64_t ttl_ms, bool only_length,
                             struct str *ret_url, struct error *err)
{
	struct store *inner = inner_of_elsewhere(s);
	_cleanup(store) struct store *there = NULL;
	const char *own = NULL;
	int r = open_elsewhere(s, key, false, &there, &own, err);

	if (r < 0)
		return r;
	return there ? there->ops->presign(there, own, ttl_ms, only_length, ret_url, err)
	             : inner->ops->presign(inner, key, ttl_ms, only_length, ret_url, err);
}

static int elsewhere_locking(struct store *s, const struct store_call *call, struct store_locking *io,
                             struct error *err)
{
	struct store *inner = inner_of_elsewhere(s);

	if (io->key && manifest_adopted_in(io->key, NULL))
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "%s was adopted where others had put it: keepfs locks, moves and thaws nothing there",
		        io->key);
	return inner->ops->locking(inner, call, io, err);
}

static int elsewhere_features(struct store *s, struct store_features *ret, struct error *err)
{
	struct store *inner = inner_of_elsewhere(s);

	return inner->ops->features(inner, ret, err);
}

static struct store *elsewhere_free(struct store *s)
{
	free(s->name);
	free(s);
	return NULL;
}

/* Those of an upload are never called: see elsewhere_upload_begin(). */
static const struct store_ops elsewhere_ops = {
        .put = elsewhere_put,
        .get = elsewhere_get,
        .head = elsewhere_head,
        .remove = elsewhere_remove,
        .list = elsewhere_list,
        .upload_begin = elsewhere_upload_begin,
        .upload_abort = elsewhere_upload_abort,
        .upload_list = elsewhere_upload_list,
        .presign = elsewhere_presign,
        .locking = elsewhere_locking,
        .features = elsewhere_features,
        .free = elsewhere_free,
};

struct store *store_elsewhere_new(struct store *inner, const struct store_elsewhere *places)
{
	struct elsewhere_store *e = mem_alloc(sizeof(*e));

	*e = (struct elsewhere_store){
	        .base = {&elsewhere_ops, mem_strdup(inner->name)}, .inner = inner, .places = *places};
	return &e->base;
}

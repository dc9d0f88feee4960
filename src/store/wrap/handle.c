// SPDX-License-Identifier: Apache-2.0
/*
 * A store that belongs to somebody else: whoever has a handle uses it as a store of his own, and gives it back with store_free(). Every failure
 * says which store it was, since a process may have many.
 */
#include "../store_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>

struct handle_store {
	struct store base;
	struct store *inner; /* borrowed */
	char *label;         /* before each failure; NULL: nothing */
	void (*release)(void *arg);
	void *arg;
};

struct handle_upload {
	struct store_upload base;
	struct store_upload *inner;
};

static struct handle_store *handle_of_store(struct store *s)
{
	return (struct handle_store *)s; /* `base` is the first member */
}

static struct handle_upload *handle_of_upload(const struct store_upload *up)
{
	return (struct handle_upload *)up; /* likewise */
}

/* Returns @r. */
static int told(struct store *s, int r, struct error *err)
{
	const struct handle_store *h = handle_of_store(s);

	if (r < 0 && h->label)
		error_prefix(err, "%s", h->label);
	return r;
}

static int handle_put(struct store *s, const struct store_call *call, const char *key,
                      const struct iovec *iov, int count, const struct store_put_options *options,
                      struct error *err)
{
	struct store *inner = handle_of_store(s)->inner;

	return told(s, inner->ops->put(inner, call, key, iov, count, options, err), err);
}

static int handle_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                      const struct iovec *iov, int count, const struct store_get_options *options,
                      struct error *err)
{
	struct store *inner = handle_of_store(s)->inner;

	return told(s, inner->ops->get(inner, call, key, offset, iov, count, options, err), err);
}

static int handle_head(struct store *s, const struct store_call *call, const char *key,
                       struct store_object *ret, struct error *err)
{
	struct store *inner = handle_of_store(s)->inner;

	return told(s, inner->ops->head(inner, call, key, ret, err), err);
}

static int handle_remove(struct store *s, const struct store_call *call, const char *key, struct error *err)
{
	struct store *inner = handle_of_store(s)->inner;

	return told(s, inner->ops->remove(inner, call, key, err), err);
}

static int handle_list(struct store *s, const struct store_call *call, const char *prefix,
                       const char *start_after, size_t max, struct store_object **ret_objects,
                       size_t *ret_count, bool *ret_more, struct error *err)
{
	struct store *inner = handle_of_store(s)->inner;

	return told(s,
	            inner->ops->list(inner, call, prefix, start_after, max, ret_objects, ret_count, ret_more,
	                             err),
	            err);
}

static int handle_upload_begin(struct store *s, const struct store_call *call, const char *key,
                               const char *storage_class, struct store_upload **ret_upload, struct error *err)
{
	struct store *inner = handle_of_store(s)->inner;
	struct store_upload *upload;
	struct handle_upload *up;
	int r = told(s, inner->ops->upload_begin(inner, call, key, storage_class, &upload, err), err);

	if (r < 0)
		return r;
	up = mem_alloc(sizeof(*up));
	up->base = (struct store_upload){.ops = s->ops, .store = s, .key = upload->key};
	up->inner = upload;
	*ret_upload = &up->base;
	return 0;
}

static void handle_upload_announce(struct store_upload *up, unsigned number, uint64_t bytes)
{
	struct store_upload *inner = handle_of_upload(up)->inner;

	inner->ops->upload_announce(inner, number, bytes);
}

static int handle_upload_part(struct store_upload *up, const struct store_call *call, unsigned number,
                              const struct iovec *iov, int count, struct store_part *ret_part,
                              struct error *err)
{
	struct store_upload *inner = handle_of_upload(up)->inner;

	return told(up->store, inner->ops->upload_part(inner, call, number, iov, count, ret_part, err), err);
}

static int handle_upload_copy(struct store_upload *up, const struct store_call *call, unsigned number,
                              const struct store_range *from, struct store_part *ret_part, struct error *err)
{
	struct store_upload *inner = handle_of_upload(up)->inner;

	return told(up->store, store_upload_copy(inner, call, number, from, ret_part, err), err);
}

static int handle_upload_complete(struct store_upload *up, const struct store_call *call,
                                  const struct store_part *parts, size_t count, struct error *err)
{
	struct store_upload *inner = handle_of_upload(up)->inner;

	return told(up->store, inner->ops->upload_complete(inner, call, parts, count, err), err);
}

static const char *handle_upload_id(const struct store_upload *up)
{
	const struct store_upload *inner = handle_of_upload(up)->inner;

	return inner->ops->upload_id(inner);
}

static struct store_upload *handle_upload_free(struct store_upload *up)
{
	struct handle_upload *own = handle_of_upload(up);

	own->inner->ops->upload_free(own->inner);
	free(own);
	return NULL;
}

static int handle_upload_abort(struct store *s, const struct store_call *call, const char *key,
                               const char *upload_id, struct error *err)
{
	struct store *inner = handle_of_store(s)->inner;

	return told(s, inner->ops->upload_abort(inner, call, key, upload_id, err), err);
}

static int handle_upload_list(struct store *s, const struct store_call *call, const char *prefix,
                              struct store_upload_info **ret_uploads, size_t *ret_count, struct error *err)
{
	struct store *inner = handle_of_store(s)->inner;

	return told(s, inner->ops->upload_list(inner, call, prefix, ret_uploads, ret_count, err), err);
}

static int handle_presign(struct store *s, const char *key, int64_t ttl_ms, bool only_length,
                          struct str *ret_url, struct error *err)
{
	struct store *inner = handle_of_store(s)->inner;

	return told(s, inner->ops->presign(inner, key, ttl_ms, only_length, ret_url, err), err);
}

static int handle_locking(struct store *s, const struct store_call *call, struct store_locking *io,
                          struct error *err)
{
	struct store *inner = handle_of_store(s)->inner;

	return told(s, inner->ops->locking(inner, call, io, err), err);
}

static int handle_features(struct store *s, struct store_features *ret, struct error *err)
{
	struct store *inner = handle_of_store(s)->inner;

	return told(s, inner->ops->features(inner, ret, err), err);
}

static struct store *handle_free(struct store *s)
{
	struct handle_store *h = handle_of_store(s);

	if (h->release)
		h->release(h->arg);
	free(h->label);
	free(h->base.name);
	free(h);
	return NULL;
}

static const struct store_ops handle_ops = {
        .put = handle_put,
        .get = handle_get,
        .head = handle_head,
        .remove = handle_remove,
        .list = handle_list,
        .upload_begin = handle_upload_begin,
        .upload_announce = handle_upload_announce,
        .upload_part = handle_upload_part,
        .upload_copy = handle_upload_copy,
        .upload_complete = handle_upload_complete,
        .upload_id = handle_upload_id,
        .upload_free = handle_upload_free,
        .upload_abort = handle_upload_abort,
        .upload_list = handle_upload_list,
        .presign = handle_presign,
        .locking = handle_locking,
        .features = handle_features,
        .free = handle_free,
};

struct store *store_handle_new(struct store *inner, const char *label, void (*release)(void *arg), void *arg)
{
	struct handle_store *h = mem_alloc(sizeof(*h));

	*h = (struct handle_store){
	        .base = {.ops = &handle_ops, .name = mem_strdup(inner->name)},
	        .inner = inner,
	        .label = mem_strdup(label),
	        .release = release,
	        .arg = arg,
	};
	return &h->base;
}

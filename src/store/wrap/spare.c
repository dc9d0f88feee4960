// SPDX-License-Identifier: Apache-2.0
/*
 * Reading from another store what the first one does not give. Only gets are different: all else is a handle's. Whose bytes are right is for the
 * reader to say, who knows their checksums: a spare is one more place to ask, and is trusted no more than the first.
 */
#include "../store_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdatomic.h>

/* So long a first that has failed is not asked again, as long as a spare answers. */
#define PASSED_OVER_MS 30000
#define SPARES_MAX     16

struct spare_store {
	struct store base;
	struct store *first;
	struct store_spares spares;
	atomic_llong passed_over_until_ms; /* clock_mono_ms() */
};

static struct spare_store *spare_of(struct store *s)
{
	return (struct spare_store *)s; /* `base` is the first member */
}

/* How far a get of the first came: what was told of is not touched again. */
struct arriving {
	const struct store_get_options *options;
	uint64_t filled;
};

static void note_arrived(void *arg, uint64_t filled, const char *etag)
{
	struct arriving *a = arg;

	a->filled = filled;
	a->options->arrived(a->options->arrived_arg, filled, etag);
}

static int get_first(struct spare_store *s, const struct store_call *call, const char *key, uint64_t offset,
                     const struct iovec *iov, int count, const struct store_get_options *options,
                     uint64_t *ret_filled, struct error *err)
{
	struct arriving arriving = {.options = options};
	struct store_get_options own = *options;
	int r;

	if (options->arrived) {
		own.arrived = note_arrived;
		own.arrived_arg = &arriving;
	}
	r = store_get(s->first, call, key, offset, iov, count, &own, err);
	*ret_filled = arriving.filled;
	return r;
}

/* Of the buffers what comes behind the first @filled bytes. Returns how many of @ret are used. */
static int rest_behind(const struct iovec *iov, int count, uint64_t filled, struct iovec *ret)
{
	int used = 0;

	for (int i = 0; i < count; i++) {
		size_t skip = filled < iov[i].iov_len ? (size_t)filled : iov[i].iov_len;

		filled -= skip;
		if (iov[i].iov_len > skip)
			ret[used++] = (struct iovec){(char *)iov[i].iov_base + skip, iov[i].iov_len - skip};
	}
	return used;
}

/* 0: number @number had it. */
static int get_from(struct spare_store *s, unsigned number, const struct store_call *call, const char *key,
                    uint64_t offset, const struct iovec *iov, int count, bool *ret_none)
{
	_cleanup(store) struct store *spare = NULL;
	struct error ignored = {0};
	int r = s->spares.open(s->spares.arg, number, &spare, &ignored);

	*ret_none = r == -ENOENT && !spare;
	return r < 0 ? r : store_get(spare, call, key, offset, iov, count, NULL, &ignored);
}

/* @why: what was wrong with the first; stays when no spare has it. */
static int get_elsewhere(struct spare_store *s, const struct store_call *call, const char *key,
                         uint64_t offset, const struct iovec *iov, int count, uint64_t filled, bool damaged,
                         const struct error *why)
{
	_cleanup(free) struct iovec *rest = mem_array((size_t)count, sizeof(*rest));
	int used = rest_behind(iov, count, filled, rest);
	bool none = false;

	for (unsigned number = 0; !none && number < SPARES_MAX; number++) {
		int r = get_from(s, number, call, key, offset + filled, rest, used, &none);

		if (r == 0) {
			s->spares.used(s->spares.arg, number, key, damaged, why);
			return 0;
		}
		if (r == -ECANCELED)
			return r;
	}
	return -ENOENT;
}

static bool first_is_passed_over(struct spare_store *s)
{
	return clock_mono_ms() < atomic_load(&s->passed_over_until_ms);
}

/* The store answered, and it is not that object. */
static bool says_damage(int r, const struct error *why)
{
	return r == -ENOENT || r == -ERANGE || r == -ESTALE || why->class == ERROR_CORRUPT ||
	       why->class == ERROR_NOT_FOUND;
}

static int get_of_spare(struct store *base, const struct store_call *call, const char *key, uint64_t offset,
                        const struct iovec *iov, int count, const struct store_get_options *options,
                        struct error *err)
{
	struct spare_store *s = spare_of(base);
	struct error why = {0};
	uint64_t filled = 0;
	bool passed_over = first_is_passed_over(s);
	int r = -EIO;

	if (options->elsewhere)
		error_set(&why, ERROR_CORRUPT, EIO, "%s: the bytes of %s are not those that were sent",
		          s->first->name, key);
	else if (!passed_over)
		r = get_first(s, call, key, offset, iov, count, options, &filled, &why);
	if (r >= 0 || r == -ECANCELED) {
		if (r < 0 && err)
			*err = why;
		return r;
	}
	if (get_elsewhere(s, call, key, offset, iov, count, filled, says_damage(r, &why), &why) == 0) {
		store_get_begin(options);
		if (!options->elsewhere && !passed_over && why.retry)
			atomic_store(&s->passed_over_until_ms, clock_mono_ms() + PASSED_OVER_MS);
		return 0;
	}
	/* Nobody has it: then the first may as well be asked. */
	atomic_store(&s->passed_over_until_ms, 0);
	if (passed_over && !options->elsewhere)
		return store_get(s->first, call, key, offset, iov, count, options, err);
	if (err)
		*err = why;
	return r;
}

/* What has the same bytes has the same length. */
static int head_of_any(struct store *base, const struct store_call *call, const char *key,
                       struct store_object *ret, struct error *err)
{
	struct spare_store *s = spare_of(base);
	int r = first_is_passed_over(s) ? -EIO : store_head(s->first, call, key, ret, err), other = r;

	for (unsigned number = 0; other < 0 && other != -ECANCELED && number < SPARES_MAX; number++) {
		_cleanup(store) struct store *spare = NULL;
		struct error ignored = {0};

		other = s->spares.open(s->spares.arg, number, &spare, &ignored);
		if (other == -ENOENT)
			break;
		if (other == 0)
			other = store_head(spare, call, key, ret, &ignored);
		if (other == -ENOENT)
			other = -EIO;
	}
	if (other >= 0)
		return 0;
	return first_is_passed_over(s) ? store_head(s->first, call, key, ret, err) : r;
}

static int list_first(struct store *s, const struct store_call *call, const char *prefix,
                      const char *start_after, size_t max, struct store_object **ret_objects,
                      size_t *ret_count, bool *ret_more, struct error *err)
{
	return store_list(spare_of(s)->first, call, prefix, start_after, max, ret_objects, ret_count,
	                  ret_more, err);
}

static int presign_first(struct store *s, const char *key, int64_t ttl_ms, bool only_length,
                         struct str *ret_url, struct error *err)
{
	struct store *first = spare_of(s)->first;

	return first->ops->presign(first, key, ttl_ms, only_length, ret_url, err);
}

static int features_of_first(struct store *s, struct store_features *ret, struct error *err)
{
	return store_features(spare_of(s)->first, ret, err);
}

static int refuse_spare_write(const struct store *s, struct error *err)
{
	return error_set(err, ERROR_INTERNAL, EROFS, "%s: it was opened for reading alone", s->name);
}

static int refuse_put(struct store *s, const struct store_call *call, const char *key,
                      const struct iovec *iov, int count, const struct store_put_options *options,
                      struct error *err)
{
	return refuse_spare_write(s, err);
}

static int refuse_remove(struct store *s, const struct store_call *call, const char *key, struct error *err)
{
	return refuse_spare_write(s, err);
}

static int refuse_upload_begin(struct store *s, const struct store_call *call, const char *key,
                               const char *storage_class, struct store_upload **ret_upload, struct error *err)
{
	return refuse_spare_write(s, err);
}

static int refuse_abort(struct store *s, const struct store_call *call, const char *key,
                        const char *upload_id, struct error *err)
{
	return refuse_spare_write(s, err);
}

static int refuse_upload_list(struct store *s, const struct store_call *call, const char *prefix,
                              struct store_upload_info **ret_uploads, size_t *ret_count, struct error *err)
{
	return refuse_spare_write(s, err);
}

static struct store *free_spare(struct store *base)
{
	struct spare_store *s = spare_of(base);

	if (s->spares.free)
		s->spares.free(s->spares.arg);
	store_free(s->first);
	free(s->base.name);
	free(s);
	return NULL;
}

/* There are no uploads, so what is done with one is not set. */
static const struct store_ops spare_ops = {
        .put = refuse_put,
        .get = get_of_spare,
        .head = head_of_any,
        .remove = refuse_remove,
        .list = list_first,
        .upload_begin = refuse_upload_begin,
        .upload_abort = refuse_abort,
        .upload_list = refuse_upload_list,
        .presign = presign_first,
        .features = features_of_first,
        .free = free_spare,
};

struct store *store_spare_new(struct store *inner, const struct store_spares *spares)
{
	struct spare_store *s = mem_alloc(sizeof(*s));

	s->base = (struct store){.ops = &spare_ops, .name = mem_strdup(inner->name)};
	s->first = inner;
	s->spares = *spares;
	return &s->base;
}

bool store_has_spares(const struct store *s)
{
	return s->ops == &spare_ops;
}

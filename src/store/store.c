// SPDX-License-Identifier: Apache-2.0
/*
 * The contract's front: what is the same for every store is done here once - keys and arguments are checked,
 * a call that is cancelled or late is refused - and the rest is handed to the driver. A driver may therefore
 * trust its arguments. Wrappers call the wrapped driver's slots directly: the checks were made.
 */
#include "store_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/iov.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

#define MAX_PAGE 1000
/* S3's own limit for a presigned URL. */
#define MAX_PRESIGN_MS (INT64_C(7) * 24 * 3600 * 1000)
/* How often a small object may be replaced while it is being read before we give up. */
#define GET_ALL_TRIES 5

int store_call_state(const struct store_call *call)
{
	if (!call)
		return 0;
	if (cancel_is_set(call->cancel))
		return -ECANCELED;
	if (call->deadline_ms && clock_mono_ms() >= call->deadline_ms)
		return -ETIMEDOUT;
	return 0;
}

int store_call_check(const struct store_call *call, const char *doing, struct error *err)
{
	int r = store_call_state(call);

	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "%s: cancelled", doing);
	if (r == -ETIMEDOUT)
		return error_set(err, ERROR_TIMEOUT, ETIMEDOUT, "%s: the deadline has passed", doing);
	return r;
}

static int check_call(const struct store_call *call, const char *key, const char *doing, struct error *err)
{
	int r = store_key_check(key, err);

	return r < 0 ? r : store_call_check(call, doing, err);
}

static int check_lock(const struct store_lock *lock, const char *key, struct error *err)
{
	if (lock->mode != STORE_LOCK_NONE && lock->until_us > 0)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "a lock of %s was asked for without a mode or a date",
	                 key);
}

/* S3 keeps whole seconds: never less than was meant. */
static int64_t whole_seconds_us(int64_t us)
{
	return (us + US_PER_S - 1) / US_PER_S * US_PER_S;
}

static int put_with_lock(struct store *s, const struct store_call *call, const char *key,
                         const struct iovec *iov, int count, const struct store_put_options *options,
                         struct error *err)
{
	struct store_put_options own = *options;
	struct store_lock lock = *options->lock;
	int r = lock.hold && lock.mode == STORE_LOCK_NONE ? 0 : check_lock(&lock, key, err);

	lock.until_us = whole_seconds_us(lock.until_us);
	own.lock = &lock;
	return r < 0 ? r : s->ops->put(s, call, key, iov, count, &own, err);
}

int store_put(struct store *s, const struct store_call *call, const char *key, const struct iovec *iov,
              int count, const struct store_put_options *options, struct error *err)
{
	static const struct store_put_options plain = {0};
	int r = check_call(call, key, "writing an object", err);

	if (!options)
		options = &plain;
	if (r == 0 && options->only_if_absent && options->if_match)
		r = error_set(err, ERROR_USAGE, EINVAL,
		              "%s: an object cannot be absent and another one at once", key);
	if (r == 0 && options->ret_etag)
		options->ret_etag[0] = '\0';
	if (r < 0)
		return r;
	if (options->lock)
		return put_with_lock(s, call, key, iov, count, options, err);
	return s->ops->put(s, call, key, iov, count, options, err);
}

int store_put_bytes(struct store *s, const struct store_call *call, const char *key, const void *data,
                    size_t len, const struct store_put_options *options, struct error *err)
{
	struct iovec iov = {(void *)data, len};

	return store_put(s, call, key, &iov, len > 0, options, err);
}

void store_get_begin(const struct store_get_options *options)
{
	store_get_tell(options, "", 0);
}

void store_get_tell(const struct store_get_options *options, const char *etag, uint64_t filled)
{
	if (options->ret_etag)
		str_copy(options->ret_etag, STORE_ETAG_BYTES, etag);
	if (options->ret_filled)
		*options->ret_filled = filled;
}

/* No store can send nothing of an object: whether nothing can be read there, its head tells. */
static int get_nothing(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                       const struct store_get_options *options, struct error *err)
{
	struct store_object object;
	int r = s->ops->head(s, call, key, &object, err);

	if (r < 0)
		return r;
	if (options->if_match && strcmp(options->if_match, object.etag) != 0)
		return error_set(err, ERROR_CONFLICT, ESTALE, "%s: %s was replaced", s->name, key);
	if (options->if_none_match && strcmp(options->if_none_match, object.etag) == 0)
		return STORE_NOT_CHANGED;
	if (offset > object.bytes)
		return error_set(err, ERROR_USAGE, ERANGE, "%s: %s ends before byte %llu", s->name, key,
		                 (unsigned long long)offset);
	store_get_tell(options, object.etag, 0);
	return 0;
}

int store_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
              const struct iovec *iov, int count, const struct store_get_options *options, struct error *err)
{
	static const struct store_get_options plain = {0};
	int r;

	if (!options)
		options = &plain;
	store_get_begin(options);
	r = check_call(call, key, "reading an object", err);
	if (r == 0 && options->to_the_end && (offset || !options->ret_filled || options->arrived))
		r = error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s: only a whole object can be read to its end, and its length must be asked for",
		        key);
	if (r < 0)
		return r;
	if (iov_bytes(iov, count) == 0)
		return get_nothing(s, call, key, offset, options, err);
	return s->ops->get(s, call, key, offset, iov, count, options, err);
}

static int get_object_once(struct store *s, const struct store_call *call, const char *key, size_t max_bytes,
                           char **ret_data, struct store_object *ret, struct error *err)
{
	struct store_object object;
	_cleanup(free) char *data = NULL;
	struct iovec iov;
	int r;

	r = store_head(s, call, key, &object, err);
	if (r < 0)
		return r;
	if (object.bytes > max_bytes)
		return error_set(err, ERROR_CORRUPT, EFBIG,
		                 "%s: %s has %llu bytes, at most %zu were expected", s->name, key,
		                 (unsigned long long)object.bytes, max_bytes);
	data = mem_alloc((size_t)object.bytes + 1);
	iov = (struct iovec){data, (size_t)object.bytes};
	r = store_get(s, call, key, 0, &iov, 1, &(struct store_get_options){.if_match = object.etag}, err);
	if (r < 0)
		return r;
	*ret_data = take_ptr(&data);
	*ret = object;
	return 0;
}

int store_get_object(struct store *s, const struct store_call *call, const char *key, size_t max_bytes,
                     char **ret_data, struct store_object *ret, struct error *err)
{
	int r = -ESTALE;

	/* The object may be replaced between its head and its bytes: then the pair is read anew. */
	for (int i = 0; i < GET_ALL_TRIES && r == -ESTALE; i++)
		r = get_object_once(s, call, key, max_bytes, ret_data, ret, err);
	return r;
}

int store_get_all(struct store *s, const struct store_call *call, const char *key, size_t max_bytes,
                  char **ret_data, size_t *ret_len, struct error *err)
{
	struct store_object object;
	int r = store_get_object(s, call, key, max_bytes, ret_data, &object, err);

	if (r == 0)
		*ret_len = (size_t)object.bytes;
	return r;
}

int store_head(struct store *s, const struct store_call *call, const char *key, struct store_object *ret,
               struct error *err)
{
	int r = check_call(call, key, "looking for an object", err);

	return r < 0 ? r : s->ops->head(s, call, key, ret, err);
}

int store_remove(struct store *s, const struct store_call *call, const char *key, struct error *err)
{
	int r = check_call(call, key, "removing an object", err);

	return r < 0 ? r : s->ops->remove(s, call, key, err);
}

int store_list(struct store *s, const struct store_call *call, const char *prefix, const char *start_after,
               size_t max, struct store_object **ret_objects, size_t *ret_count, bool *ret_more,
               struct error *err)
{
	int r = store_prefix_check(prefix, err);

	if (r < 0)
		return r;
	if (max < 1 || max > MAX_PAGE)
		return error_set(err, ERROR_USAGE, EINVAL, "a page of %zu objects was asked for: 1 to %d",
		                 max, MAX_PAGE);
	r = store_call_check(call, "listing objects", err);
	if (r < 0)
		return r;
	return s->ops->list(s, call, prefix, start_after, max, ret_objects, ret_count, ret_more, err);
}

int store_upload_begin(struct store *s, const struct store_call *call, const char *key,
                       struct store_upload **ret_upload, struct error *err)
{
	int r = check_call(call, key, "beginning an upload", err);

	return r < 0 ? r : s->ops->upload_begin(s, call, key, NULL, ret_upload, err);
}

int store_upload_begin_in(struct store *s, const struct store_call *call, const char *key,
                          const char *storage_class, struct store_upload **ret_upload, struct error *err)
{
	int r = check_call(call, key, "beginning an upload", err);

	return r < 0 ? r : s->ops->upload_begin(s, call, key, storage_class, ret_upload, err);
}

static int check_part_number(unsigned number, struct error *err)
{
	if (number >= 1 && number <= STORE_MAX_PARTS)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "an upload has no part %u: 1 to %d", number,
	                 STORE_MAX_PARTS);
}

void store_upload_announce(struct store_upload *up, unsigned number, uint64_t bytes)
{
	if (check_part_number(number, NULL) == 0)
		up->ops->upload_announce(up, number, bytes);
}

int store_upload_part(struct store_upload *up, const struct store_call *call, unsigned number,
                      const struct iovec *iov, int count, struct store_part *ret_part, struct error *err)
{
	int r = check_part_number(number, err);

	if (r == 0)
		r = store_call_check(call, "sending a part", err);
	return r < 0 ? r : up->ops->upload_part(up, call, number, iov, count, ret_part, err);
}

int store_upload_copy(struct store_upload *up, const struct store_call *call, unsigned number,
                      const struct store_range *from, struct store_part *ret_part, struct error *err)
{
	int r = check_part_number(number, err);

	if (r == 0 && !from->bucket)
		r = store_key_check(from->key, err);
	if (r == 0 && from->bytes == 0)
		r = error_set(err, ERROR_USAGE, EINVAL, "no byte of %s is to be copied", from->key);
	if (r == 0 && !up->ops->upload_copy)
		r = error_set(err, ERROR_USAGE, ENOTSUP, "%s does not copy by itself", up->store->name);
	if (r == 0)
		r = store_call_check(call, "copying a part", err);
	return r < 0 ? r : up->ops->upload_copy(up, call, number, from, ret_part, err);
}

int store_upload_complete(struct store_upload *up, const struct store_call *call,
                          const struct store_part *parts, size_t count, struct error *err)
{
	int r = store_call_check(call, "completing an upload", err);

	if (count == 0)
		r = error_set(err, ERROR_USAGE, EINVAL, "the upload of %s has no part", up->key);
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = check_part_number(parts[i].number, err);
		if (r == 0 && i > 0 && parts[i].number <= parts[i - 1].number)
			r = error_set(err, ERROR_USAGE, EINVAL, "the upload of %s has part %u after part %u",
			              up->key, parts[i].number, parts[i - 1].number);
	}
	return r < 0 ? r : up->ops->upload_complete(up, call, parts, count, err);
}

const char *store_upload_id(const struct store_upload *up)
{
	return up->ops->upload_id(up);
}

struct store_upload *store_upload_free(struct store_upload *up)
{
	return up ? up->ops->upload_free(up) : NULL;
}

int store_upload_abort(struct store *s, const struct store_call *call, const char *key, const char *upload_id,
                       struct error *err)
{
	int r = check_call(call, key, "aborting an upload", err);

	return r < 0 ? r : s->ops->upload_abort(s, call, key, upload_id, err);
}

int store_upload_list(struct store *s, const struct store_call *call, const char *prefix,
                      struct store_upload_info **ret_uploads, size_t *ret_count, struct error *err)
{
	int r = store_prefix_check(prefix, err);

	if (r == 0)
		r = store_call_check(call, "listing uploads", err);
	return r < 0 ? r : s->ops->upload_list(s, call, prefix, ret_uploads, ret_count, err);
}

void store_upload_list_free(struct store_upload_info *uploads, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(uploads[i].upload_id);
	free(uploads);
}

static int presign(struct store *s, const char *key, int64_t ttl_ms, bool only_length, struct str *ret_url,
                   struct error *err)
{
	int r = store_key_check(key, err);

	if (r < 0)
		return r;
	if (ttl_ms < 1000 || ttl_ms > MAX_PRESIGN_MS)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "a URL that is valid for %lld ms was asked for: 1 s to 7 days",
		                 (long long)ttl_ms);
	return s->ops->presign(s, key, ttl_ms, only_length, ret_url, err);
}

int store_presign(struct store *s, const char *key, int64_t ttl_ms, struct str *ret_url, struct error *err)
{
	return presign(s, key, ttl_ms, false, ret_url, err);
}

size_t store_presign_length(struct store *s, const char *key, int64_t ttl_ms)
{
	_cleanup(str) struct str url = {0};
	size_t len = presign(s, key, ttl_ms, true, &url, NULL) == 0 ? url.len : 0;

	if (url.data)
		explicit_bzero(url.data, url.cap);
	return len;
}

const char *store_lock_mode_name(enum store_lock_mode mode)
{
	static const char *const names[] = {"none", "governance", "compliance"};

	return names[mode];
}

bool store_locking_writes(const struct store_locking *io)
{
	return io->op == STORE_LOCK_EXTEND || io->op == STORE_LOCK_HOLD || io->op == STORE_LOCK_REMOVE ||
	       io->op == STORE_CLASS_THAW;
}

static int ask_about_locks(struct store *s, const struct store_call *call, struct store_locking *io,
                           struct error *err)
{
	int r = store_call_check(call, "asking about locks", err);

	return r < 0 ? r : s->ops->locking(s, call, io, err);
}

static int refuse_less(const struct store_lock *now, const char *key, struct error *err)
{
	char date[CLOCK_ISO_BYTES];

	return error_set(err, ERROR_USAGE, EPERM,
	                 "%s is locked (%s) until %s: a lock is never made shorter or weaker", key,
	                 store_lock_mode_name(now->mode), clock_format_iso(now->until_us, date));
}

int store_lock_extend(struct store *s, const struct store_call *call, const char *key,
                      const struct store_lock *now, const struct store_lock *wanted, struct error *err)
{
	struct store_locking io = {.op = STORE_LOCK_EXTEND, .key = key, .lock = *wanted};
	int r = store_key_check(key, err);

	if (r == 0)
		r = check_lock(wanted, key, err);
	if (r < 0)
		return r;
	io.lock.until_us = whole_seconds_us(wanted->until_us);
	if (now->until_us > io.lock.until_us || now->mode > wanted->mode)
		return refuse_less(now, key, err);
	if (now->until_us == io.lock.until_us && now->mode == wanted->mode)
		return 0;
	return ask_about_locks(s, call, &io, err);
}

int store_legal_hold(struct store *s, const struct store_call *call, const char *key, bool on,
                     struct error *err)
{
	struct store_locking io = {.op = STORE_LOCK_HOLD, .key = key, .lock = {.hold = on}};
	int r = store_key_check(key, err);

	return r < 0 ? r : ask_about_locks(s, call, &io, err);
}

int store_lock_get(struct store *s, const struct store_call *call, const char *key, struct store_lock *ret,
                   struct error *err)
{
	struct store_locking io = {.op = STORE_LOCK_GET, .key = key};
	int r = store_key_check(key, err);

	if (r == 0)
		r = ask_about_locks(s, call, &io, err);
	if (r == 0)
		*ret = io.lock;
	return r;
}

int store_bucket(struct store *s, const struct store_call *call, struct store_bucket *ret, struct error *err)
{
	struct store_locking io = {.op = STORE_LOCK_BUCKET};
	int r = ask_about_locks(s, call, &io, err);

	if (r == 0)
		*ret = io.bucket;
	return r;
}

int store_version_list(struct store *s, const struct store_call *call, const char *prefix,
                       struct store_version **ret_versions, size_t *ret_count, struct error *err)
{
	struct store_locking io = {.op = STORE_LOCK_LIST, .key = prefix};
	int r = store_prefix_check(prefix, err);

	if (r == 0)
		r = ask_about_locks(s, call, &io, err);
	if (r < 0)
		return r;
	*ret_versions = io.versions;
	*ret_count = io.count;
	return 0;
}

int store_version_remove(struct store *s, const struct store_call *call, const char *key, const char *version,
                         struct error *err)
{
	struct store_locking io = {.op = STORE_LOCK_REMOVE, .key = key, .version = version};
	int r = store_key_check(key, err);

	if (r == 0 && !*version)
		r = error_set(err, ERROR_USAGE, EINVAL, "no version of %s was named", key);
	return r < 0 ? r : ask_about_locks(s, call, &io, err);
}

int store_class_get(struct store *s, const struct store_call *call, const char *key, struct store_class *ret,
                    struct error *err)
{
	struct store_locking io = {.op = STORE_CLASS_GET, .key = key};
	int r = store_key_check(key, err);

	if (r == 0)
		r = ask_about_locks(s, call, &io, err);
	if (r == 0)
		*ret = io.class;
	return r;
}

int store_class_thaw(struct store *s, const struct store_call *call, const char *key,
                     const struct store_thaw *how, struct store_class *ret, struct error *err)
{
	struct store_locking io = {.op = STORE_CLASS_THAW, .key = key, .thaw = *how};
	int r = store_key_check(key, err);

	if (r == 0)
		r = ask_about_locks(s, call, &io, err);
	if (r == 0 && ret)
		*ret = io.class;
	return r;
}

const char *store_thaw_tier_name(enum store_thaw_tier tier)
{
	static const char *const names[] = {"bulk", "standard", "expedited"};

	return names[tier];
}

int store_features(struct store *s, struct store_features *ret, struct error *err)
{
	return s->ops->features(s, ret, err);
}

struct store *store_free(struct store *s)
{
	return s ? s->ops->free(s) : NULL;
}

int64_t store_clock_ahead_us(const struct store_features *f, int64_t now_us)
{
	if (f->clock_us == 0)
		return 0;
	if (f->clock_us > now_us)
		return f->clock_us - now_us;
	return f->clock_us + f->clock_error_us < now_us ? f->clock_us + f->clock_error_us - now_us : 0;
}

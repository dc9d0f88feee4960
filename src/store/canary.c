// SPDX-License-Identifier: Apache-2.0
/* See keepfs/store/canary.h. */
#include <keepfs/store/canary.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define CANARIES    "state/canary-"
#define LOCKED_US   (INT64_C(60) * US_PER_S)
#define CLEAN_UP_MS 5000

struct lock_canary {
	struct store_call call;
	char key[64];
	char version[STORE_VERSION_BYTES];
	struct store_lock lock;
};

int store_clear_canaries(struct store *s, const struct store_call *call, unsigned *ret_left,
                         struct error *err)
{
	_cleanup(free) struct store_version *versions = NULL;
	size_t count = 0;
	int r = store_version_list(s, call, CANARIES, &versions, &count, err);

	*ret_left = 0;
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct error why = {0};

		r = store_version_remove(s, call, versions[i].key, versions[i].id, &why);
		*ret_left += r < 0;
		/* It is locked yet; or this key may delete no versions: then a lifecycle rule of the bucket has to. */
		if (r == -EACCES)
			r = 0;
		else if (r < 0 && err)
			*err = why;
	}
	return r;
}

static int check_bucket(struct store *s, const struct store_bucket *bucket, struct error *err)
{
	if (bucket->keeps_versions && bucket->can_lock)
		return 0;
	return error_set(
	        err, ERROR_USAGE, ENOTSUP,
	        "%s has no object lock%s: it has to be switched on for the bucket before [store] object_lock can be anything but none",
	        s->name, bucket->keeps_versions ? "" : ", and keeps no versions");
}

static int lock_canary_put(struct store *s, struct lock_canary *o, struct error *err)
{
	const struct store_put_options options = {
	        .only_if_absent = true, .lock = &o->lock, .ret_version = o->version};
	uint8_t random[8];
	char hex[2 * sizeof(random) + 1];
	struct store_features f;
	int r;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return error_system(err, errno, "random bytes cannot be had");
	r = store_features(s, &f, err);
	if (r < 0)
		return r;
	hex_encode(random, sizeof(random), hex);
	snprintf(o->key, sizeof(o->key), CANARIES "%s", hex);
	o->lock = (struct store_lock){.mode = f.lock_mode,
	                              .until_us = ((f.clock_us ? f.clock_us : clock_now_us()) + LOCKED_US) /
	                                          US_PER_S * US_PER_S};
	r = store_put_bytes(s, &o->call, o->key, "canary\n", 7, &options, err);
	if (r < 0)
		error_prefix(err, "a small object cannot be locked");
	return r;
}

/* Where the server does not say which version it made. */
static int find_version(struct store *s, struct lock_canary *o, struct error *err)
{
	_cleanup(free) struct store_version *versions = NULL;
	size_t count = 0;
	int r = *o->version ? 0 : store_version_list(s, &o->call, o->key, &versions, &count, err);

	if (r < 0 || *o->version)
		return r;
	if (count > 0)
		str_copy(o->version, sizeof(o->version), versions[0].id);
	return count > 0
	               ? 0
	               : error_set(
	                         err, ERROR_CORRUPT, EIO,
	                         "%s accepts locks and does not keep them: it keeps no versions, so whatever is locked can be deleted",
	                         s->name);
}

static int lock_canary_try(struct store *s, struct lock_canary *o, struct error *err)
{
	struct store_lock there = {0};
	struct error refusal = {0};
	int r = store_version_remove(s, &o->call, o->key, o->version, &refusal);

	if (r == 0)
		return error_set(
		        err, ERROR_CORRUPT, EIO,
		        "%s accepts locks and does not keep them: an object that was locked for a minute could be deleted at once; do not rely on object_lock there",
		        s->name);
	if (r != -EACCES) {
		if (err)
			*err = refusal;
		return r;
	}
	/* A key that may delete no versions at all is refused as well: so the lock itself is asked for. */
	r = store_lock_get(s, &o->call, o->key, &there, err);
	if (r < 0)
		return r;
	if (there.mode == o->lock.mode && there.until_us >= o->lock.until_us)
		return 0;
	return error_set(
	        err, ERROR_CORRUPT, EIO,
	        "%s accepts locks and does not keep them: it does not say that an object is locked that was put with a lock",
	        s->name);
}

int store_try_lock(struct store *s, int64_t deadline_ms, struct cancel *cancel, struct store_lock_tried *ret,
                   struct error *err)
{
	struct lock_canary o = {.call = {.deadline_ms = clock_mono_ms() + deadline_ms, .cancel = cancel}};
	int r = store_bucket(s, &o.call, &ret->bucket, err);

	if (r == 0)
		r = check_bucket(s, &ret->bucket, err);
	if (r == 0)
		r = store_clear_canaries(s, &o.call, &ret->left, err);
	if (r == 0)
		r = lock_canary_put(s, &o, err);
	if (r == 0)
		r = find_version(s, &o, err);
	if (r == 0)
		r = lock_canary_try(s, &o, err);
	ret->until_us = o.lock.until_us;
	return r;
}

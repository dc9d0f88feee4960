// SPDX-License-Identifier: Apache-2.0
#include <keepfs/store/proof.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>

#include <errno.h>

#define PROOF_LOCK_US (INT64_C(2) * 366 * 86400 * US_PER_S)

static int64_t store_time_us(const struct store_features *f)
{
	return f->clock_us ? f->clock_us : clock_now_us();
}

static int bound_lock(const struct store_features *f, int64_t until_us, struct store_lock *ret)
{
	int64_t now_us = store_time_us(f), least_us = now_us + f->lock_min_us,
	        most_us = now_us + f->lock_max_us;

	if (f->lock_mode == STORE_LOCK_NONE)
		return 0;
	if (until_us < least_us)
		until_us = least_us;
	*ret = (struct store_lock){.mode = f->lock_mode, .until_us = until_us > most_us ? most_us : until_us};
	return 1;
}

int store_lock_bounded(struct store *s, int64_t until_us, struct store_lock *ret, struct error *err)
{
	struct store_features f = {0};
	int r = store_features(s, &f, err);

	return r < 0 ? r : bound_lock(&f, until_us, ret);
}

int store_lock_proof(struct store *s, int64_t until_us, struct store_lock *ret, struct error *err)
{
	struct store_features f = {0};
	int r = store_features(s, &f, err);
	int64_t least_us = store_time_us(&f) + PROOF_LOCK_US;

	return r < 0 ? r : bound_lock(&f, until_us > least_us ? until_us : least_us, ret);
}

/* By a host's clock that is years ahead an object would be locked for as many years more. */
static int hear_its_time(struct store *s, const struct store_call *call, const char *key, struct error *err)
{
	struct store_features f = {0};
	struct store_object object;
	struct error why = {0};
	int r = store_features(s, &f, err);

	if (r < 0 || f.lock_mode == STORE_LOCK_NONE || f.clock_us)
		return r;
	/* Any answer has the time in it, also one that refuses to tell. */
	r = store_head(s, call, key, &object, &why);
	if (r == 0 || r == -ENOENT || !why.retry)
		return 0;
	if (err)
		*err = why;
	return r;
}

/* Of the lock, or of the object: which of the two, the next attempt shows. */
static bool proof_is_refused(const struct error *err)
{
	return !err->retry && (err->class == ERROR_DENIED || err->class == ERROR_USAGE);
}

int store_put_proof(struct store *s, const struct store_call *call, const char *key, const void *data,
                    size_t len, struct error *err)
{
	struct store_put_options options = {.only_if_absent = true, .content_type = "application/json"};
	struct store_lock lock = {0};
	struct error why = {0};
	int r = hear_its_time(s, call, key, err);

	if (r == 0)
		r = store_lock_proof(s, 0, &lock, err);
	if (r < 0)
		return r;
	options.lock = r > 0 ? &lock : NULL;
	r = store_put_bytes(s, call, key, data, len, &options, &why);
	if (r < 0 && options.lock && proof_is_refused(&why)) {
		options.lock = NULL;
		r = store_put_bytes(s, call, key, data, len, &options, err);
		if (r == 0)
			log_warning(
			        "%s/%s is there, but not locked, so whoever may delete in the bucket can delete it: %s",
			        s->name, key, why.message);
		return r;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

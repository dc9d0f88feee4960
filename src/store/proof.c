// SPDX-License-Identifier: Apache-2.0
#include <keepfs/store/proof.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

#define DAY_US  (INT64_C(86400) * US_PER_S)
#define YEAR_US (366 * DAY_US)
/* What lock_max cuts off is extended once in so many days. */
#define SLACK_US (30 * DAY_US)

static const char *const prefixes[] = {"chain/", "checkpoints/"};

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
	int64_t least_us = store_time_us(&f) + STORE_PROOF_SPAN_US;

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

static int put_unlocked(struct store *s, const struct store_call *call, struct store_proof *io,
                        const struct store_put_options *options, const struct error *why, struct error *err)
{
	int r = store_put_bytes(s, call, io->key, io->data, io->len, options, err);

	if (r != 0)
		return r;
	io->unlocked = true;
	log_warning("%s/%s is there, but not locked, so whoever may delete in the bucket can delete it: %s",
	            s->name, io->key, why->message);
	return 0;
}

int store_put_proof(struct store *s, const struct store_call *call, struct store_proof *io, struct error *err)
{
	struct store_put_options options = {.only_if_absent = true, .content_type = "application/json"};
	struct store_lock lock = {0};
	struct error why = {0};
	int r = hear_its_time(s, call, io->key, err);

	io->unlocked = false;
	if (r == 0)
		r = store_lock_proof(s, io->until_us, &lock, err);
	if (r < 0)
		return r;
	options.lock = r > 0 ? &lock : NULL;
	r = store_put_bytes(s, call, io->key, io->data, io->len, &options, &why);
	if (r < 0 && options.lock && proof_is_refused(&why)) {
		options.lock = NULL;
		return put_unlocked(s, call, io, &options, &why, err);
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

/* Looking at those that are there. */

int store_proof_needs_until(struct store *s, int64_t latest_us, int64_t *ret_us, struct error *err)
{
	struct store_features f = {0};
	int r = store_features(s, &f, err);
	int64_t now_us = store_time_us(&f), until_us = now_us + STORE_PROOF_SPAN_US / 2, most_us;

	if (r < 0)
		return r;
	most_us = now_us + (f.lock_max_us > 2 * SLACK_US ? f.lock_max_us - SLACK_US : f.lock_max_us / 2);
	if (until_us < latest_us)
		until_us = latest_us;
	*ret_us = until_us < most_us ? until_us : most_us;
	return 0;
}

/* The mode that it has is not changed: servers take that for weakening. */
static int extend_proof(struct store *s, const struct store_call *call, const char *key, int64_t latest_us,
                        struct store_lock *there, struct error *err)
{
	struct store_lock wanted;
	int r = store_lock_proof(s, latest_us > 0 ? latest_us + YEAR_US : 0, &wanted, err);

	if (r <= 0)
		return r;
	if (there->mode != STORE_LOCK_NONE)
		wanted.mode = there->mode;
	r = store_lock_extend(s, call, key, there, &wanted, err);
	if (r == 0)
		*there = wanted;
	return r;
}

static int look_at_proof(struct store *s, const struct store_call *call, const char *key,
                         struct store_proofs_turn *turn, struct error *err)
{
	struct store_lock there = {0};
	int64_t needed_us;
	int r = store_lock_get(s, call, key, &there, err);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = store_proof_needs_until(s, turn->latest_us, &needed_us, err);
	if (r == 0 && there.until_us < needed_us) {
		r = extend_proof(s, call, key, turn->latest_us, &there, err);
		turn->extended += r == 0;
	}
	if (r == 0 && (turn->until_us == 0 || there.until_us < turn->until_us))
		turn->until_us = there.until_us;
	turn->seen += r == 0;
	return r;
}

/* Of one object, and not of the store. */
static bool is_of_one_proof(int r, const struct error *why)
{
	return !why->retry && r != -ECANCELED && r != -ENOTSUP && r != -ETIMEDOUT;
}

static void note_failed_proof(struct store_proofs_turn *turn, const char *key, const struct error *why)
{
	if (turn->failed++ > 0)
		return;
	str_copy(turn->key, sizeof(turn->key), key);
	str_cut(turn->why, sizeof(turn->why), why->message);
}

static int look_at_page(struct store *s, const struct store_call *call, const struct store_object *objects,
                        size_t count, struct store_proofs_turn *turn, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		struct error why = {0};
		int r = look_at_proof(s, call, objects[i].key, turn, &why);

		if (r < 0 && !is_of_one_proof(r, &why)) {
			if (err)
				*err = why;
			return r;
		}
		if (r < 0)
			note_failed_proof(turn, objects[i].key, &why);
		str_copy(turn->after, sizeof(turn->after), objects[i].key);
	}
	return 0;
}

int store_lock_proofs(struct store *s, const struct store_call *call, unsigned most,
                      struct store_proofs_turn *turn, struct error *err)
{
	while (turn->prefix < ARRAY_SIZE(prefixes)) {
		_cleanup(free) struct store_object *objects = NULL;
		size_t count = 0;
		bool more = false;
		int r;

		if (most == 0)
			return STORE_PROOFS_MORE;
		r = store_list(s, call, prefixes[turn->prefix], *turn->after ? turn->after : NULL,
		               most < 1000 ? most : 1000, &objects, &count, &more, err);
		if (r == 0)
			r = look_at_page(s, call, objects, count, turn, err);
		if (r < 0)
			return r;
		most -= count < most ? (unsigned)count : most;
		if (more)
			continue;
		turn->prefix++;
		turn->after[0] = '\0';
	}
	if (turn->seen == 0)
		turn->until_us = INT64_MAX;
	return 0;
}

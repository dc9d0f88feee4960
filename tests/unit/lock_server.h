// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A store that keeps locks in memory, and has a clock of its own: it lies around the fixture's. artifact_fixture.h comes before. */
#include <errno.h>

#include <keepfs/base/zone.h>

#define DAY_US   (INT64_C(86400) * US_PER_S)
#define KEYS_MAX 2048

/* What the server knows. */
static struct server {
	struct {
		char key[96];
		struct store_lock lock;
	} items[KEYS_MAX];
	size_t count;
	int64_t now_us;
	unsigned gets, sets;
	bool forgets;         /* it takes locks, and keeps none */
	bool refuses_puts;    /* that have a lock */
	unsigned fails_after; /* so many sets; 0: never */
	const char *only;     /* locks are set for keys that begin so alone; NULL: for all */
	bool is_down;         /* all about locks and lists fails, and may be tried again */
	enum store_lock_mode mode;
	int64_t most_days; /* lock_max */
	int64_t host_us;   /* what the host's clock shows; 0: the same */
} server;

static const struct store_ops *real;
static struct store_ops locking_ops;

static struct store_lock *lock_slot(const char *key)
{
	for (size_t i = 0; i < server.count; i++)
		if (str_equal(server.items[i].key, key))
			return &server.items[i].lock;
	assert_true(server.count < KEYS_MAX);
	str_copy(server.items[server.count].key, sizeof(server.items[0].key), key);
	return &server.items[server.count++].lock;
}

static int set_on_server(struct store_locking *io, struct error *err)
{
	struct store_lock *lock = lock_slot(io->key);

	if (server.fails_after && ++server.sets > server.fails_after) {
		error_set(err, ERROR_DENIED, EACCES, "no right to lock %s", io->key);
		return -EACCES;
	}
	if (server.only && !str_starts(io->key, server.only))
		return error_set(err, ERROR_DENIED, EACCES, "no right to lock %s", io->key);
	if (server.forgets)
		return 0;
	if (io->op == STORE_LOCK_HOLD) {
		lock->hold = io->lock.hold;
		return 0;
	}
	if (io->lock.until_us < lock->until_us)
		return error_set(err, ERROR_DENIED, EACCES, "%s would be locked for a shorter time", io->key);
	lock->mode = io->lock.mode;
	lock->until_us = io->lock.until_us;
	return 0;
}

static int server_locking(struct store *s, const struct store_call *call, struct store_locking *io,
                          struct error *err)
{
	struct store_object object;
	int r;

	if (server.is_down) {
		error_set(err, ERROR_UNAVAILABLE, EIO, "the server does not answer");
		err->retry = true;
		return -EIO;
	}
	if (server.mode == STORE_LOCK_NONE)
		return real->locking(s, call, io, err);
	r = real->head(s, call, io->key, &object, err);
	if (r < 0)
		return r;
	if (io->op != STORE_LOCK_GET)
		return set_on_server(io, err);
	server.gets++;
	io->lock = *lock_slot(io->key);
	return 0;
}

static int server_put(struct store *s, const struct store_call *call, const char *key,
                      const struct iovec *iov, int count, const struct store_put_options *options,
                      struct error *err)
{
	struct store_put_options plain = *options;
	int r;

	plain.lock = NULL;
	if (options->lock && server.refuses_puts)
		return error_set(err, ERROR_DENIED, EACCES, "no right to lock %s", key);
	r = real->put(s, call, key, iov, count, &plain, err);
	if (r == 0 && options->lock && !server.forgets)
		*lock_slot(key) = *options->lock;
	return r;
}

static int server_features(struct store *s, struct store_features *ret, struct error *err)
{
	int r = real->features(s, ret, err);

	ret->lock_mode = server.mode;
	ret->lock_min_us = DAY_US;
	ret->lock_max_us = server.most_days * DAY_US;
	ret->clock_us = server.now_us;
	return r;
}

static inline void use_locks(struct fixture *f)
{
	server =
	        (struct server){.now_us = AT_US + US_PER_S, .mode = STORE_LOCK_GOVERNANCE, .most_days = 3660};
	real = f->store->ops;
	locking_ops = *real;
	locking_ops.locking = server_locking;
	locking_ops.put = server_put;
	locking_ops.features = server_features;
	f->store->ops = &locking_ops;
}

/* As a run does it. @ret_r: what became of locking. */
static inline char *make_locked(struct fixture *f, int64_t run_id, int64_t at_us, int *ret_r)
{
	const struct artifact_name name = {.directory = "backups/full", .suffix = ".dump", .at_us = at_us};
	const struct retention_rules rules = {.daily = 7, .min_keep = 1};
	_cleanup(zone) struct zone *zone = NULL;
	struct artifact_lock_order order = {.rules = &rules,
	                                    .host_now_us = server.host_us ? server.host_us : server.now_us};
	_cleanup(manifest) struct manifest m = {0};
	char *path = NULL;

	assert_int_equal(zone_load("UTC", &zone, NULL), 0);
	order.zone = zone;
	assert_int_equal(artifact_reserve(&f->repo, &name, run_id, &path, NULL), 0);
	describe_dump(&m, path, run_id);
	m.tiers = RETENTION_DAILY;
	m.tiers_known = true;
	put_object_of(f, &m);
	*ret_r = artifact_lock_at_birth(&f->repo, &order, &m, NULL, NULL);
	assert_int_equal(artifact_publish(&f->repo, &m, NULL, NULL), 0);
	return path;
}

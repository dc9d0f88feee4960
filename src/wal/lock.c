// SPDX-License-Identifier: Apache-2.0
/*
 * Object lock. A file is locked when it is put, in the same request, for as long as a moment of now can be reached by the rules of its job, or lock_min; what makes a base backup consistent is locked for as long as that is, which is looked
 * at when one was made, and once a day. What the store forbids to be locked is archived all the same, and is tried again then. The store's word counts: before anything is removed it is asked, since an object can be deleted by its name in
 * spite of its lock.
 */
#include "wal_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/bases.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/wal_keep.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOCKS_AT_ONCE ((size_t)256)
#define SECOND_US     INT64_C(1000000)

/* The store's clock, by which locks end; -1: nothing is locked there. */
static int64_t locking_clock_us(struct store *store)
{
	struct store_features f = {0};

	if (store_features(store, &f, NULL) < 0 || f.lock_mode == STORE_LOCK_NONE)
		return -1;
	return f.clock_us ? f.clock_us : clock_now_us();
}

bool wal_lock_of_arrival(struct store *store, const struct conf_job *job, struct store_lock *ret)
{
	int64_t now_us = locking_clock_us(store), for_us = 0;
	struct retention_rules rules;

	if (now_us < 0)
		return false;
	if (job) {
		conf_policy_rules(job, &job->policy, &rules);
		for_us = job->cluster.wal_window_ms ? job->cluster.wal_window_ms * 1000
		                                    : rules.within_s * US_PER_S;
	}
	return artifact_lock_of(store, ARTIFACT_LOCK_BACKUP, now_us + (for_us > 0 ? for_us : 0), ret, NULL) >
	       0;
}

int wal_put_locked(struct store *store, const struct store_call *call, const struct wal_put *put,
                   struct store_lock *ret_lock, struct error *err)
{
	struct store_put_options options = {.only_if_absent = true, .content_type = put->content_type};
	struct store_lock lock = {0};
	struct error why = {0};
	int r;

	*ret_lock = (struct store_lock){0};
	if (wal_lock_of_arrival(store, put->job, &lock)) {
		options.lock = &lock;
		r = store_put(store, call, put->key, put->iov, put->count, &options, &why);
		*ret_lock = r == 0 ? lock : *ret_lock;
		if (r >= 0)
			return r;
		if (!artifact_is_forbidden(r, &why) && r != -ENOTSUP) {
			if (err)
				*err = why;
			return r;
		}
		log_warning("%s could not be locked, and is archived without: %s", put->key, why.message);
		options.lock = NULL;
	}
	return store_put(store, call, put->key, put->iov, put->count, &options, err);
}

/* Removal. */

int wal_locked_until(struct store *store, const struct store_call *call, const char *key,
                     int64_t *ret_until_us, struct error *err)
{
	int64_t now_us = locking_clock_us(store);
	struct store_lock lock = {0};
	int r;

	*ret_until_us = 0;
	if (now_us < 0)
		return 0;
	r = store_lock_get(store, call, key, &lock, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (lock.hold)
		*ret_until_us = now_us + INT64_C(86400) * US_PER_S;
	else if (lock.until_us > now_us)
		*ret_until_us = lock.until_us;
	return 0;
}

/* Base backups. */

struct locking_bases {
	struct repository *repository;
	struct cancel *cancel;
	const struct conf_job *job;
	int64_t now_us;
	struct wal_base_lock {
		struct base_facts facts;
		int64_t until_us;
	} * items;
	size_t count;
};

static int gather_base_lock(void *arg, const struct catalog_base *b)
{
	struct locking_bases *l = arg;
	struct catalog_lock lock = {0};
	int64_t until_us;

	if (catalog_lock_of(l->repository->catalog, b->ino, &lock) < 0)
		return 0;
	until_us = lock.wanted_us > lock.until_us ? lock.wanted_us : lock.until_us;
	if (until_us <= l->now_us)
		return 0;
	l->items = mem_resize(l->items, l->count + 1, sizeof(*l->items));
	l->items[l->count++] = (struct wal_base_lock){.facts = b->facts, .until_us = until_us};
	return 0;
}

static int extend_wal_lock(struct locking_bases *l, const struct catalog_wal_locked *row, int64_t until_us,
                           struct error *err)
{
	const struct store_call call = {.cancel = l->cancel};
	struct store *store = repository_store(l->repository);
	struct store_lock there = {0}, wanted = {0};
	int r = artifact_lock_of(store, ARTIFACT_LOCK_BACKUP, until_us, &wanted, err);

	if (r <= 0)
		return r;
	r = store_lock_get(store, &call, row->key, &there, err);
	if (r == -ENOENT)
		return 0;
	if (r == 0 && there.until_us < wanted.until_us)
		r = store_lock_extend(store, &call, row->key, &there, &wanted, err);
	if (there.until_us > wanted.until_us)
		wanted.until_us = there.until_us;
	/* Whole seconds: what is shorter by less is not asked about again each day. */
	return r < 0 ? r
	             : catalog_wal_set_locked(l->repository->catalog, l->job->name, row->name,
	                                      wanted.until_us + SECOND_US - 1, err);
}

static int lock_wal_of_base(struct locking_bases *l, const struct wal_base_lock *b, struct error *err)
{
	_cleanup(free) struct catalog_wal_locked *rows = mem_array(LOCKS_AT_ONCE, sizeof(*rows));
	const struct base_facts *f = &b->facts;
	struct catalog_wal_stretch s = {0};
	struct wal_name name = wal_name_of_lsn(f->timeline, f->start_lsn, f->segment_bytes);
	char after[WAL_NAME_BYTES] = "";
	ssize_t count;
	int r = 0;

	str_copy(s.job, sizeof(s.job), l->job->name);
	wal_name_format(&name, s.from);
	name = wal_name_of_end(f->timeline, f->stop_lsn, f->segment_bytes);
	wal_name_format(&name, s.to);
	/* Behind what begins with the last one's name. */
	str_copy(s.to + strlen(s.to), 2, "~");
	while (r == 0 && (count = catalog_wal_locked_for_less(l->repository->catalog, &s, after, b->until_us,
	                                                      rows, LOCKS_AT_ONCE)) > 0) {
		for (ssize_t i = 0; r == 0 && i < count; i++)
			r = extend_wal_lock(l, &rows[i], b->until_us, err);
		str_copy(after, sizeof(after), rows[count - 1].name);
	}
	if (r == 0 && count < 0)
		r = error_system(err, (int)-count, "the catalog cannot be read");
	return r;
}

int wal_lock_bases(struct repository *repository, const struct conf_job *job, struct cancel *cancel,
                   struct error *err)
{
	struct locking_bases l = {.repository = repository,
	                          .cancel = cancel,
	                          .job = job,
	                          .now_us = locking_clock_us(repository_store(repository))};
	int r;

	if (l.now_us < 0)
		return 0;
	r = catalog_each_base(repository->catalog, job->name, gather_base_lock, &l);
	if (r < 0)
		error_system(err, -r, "the catalog cannot be read");
	for (size_t i = 0; r == 0 && i < l.count; i++)
		r = lock_wal_of_base(&l, &l.items[i], err);
	free(l.items);
	return r;
}

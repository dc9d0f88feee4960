// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Does a bucket keep the locks that it takes? Some servers accept them and delete all the same. So a small object below state/ is locked
 * for a minute, and its version deleted, with keepfs's own credentials: that must be refused. It is cleared away when its lock is over;
 * which there are is known by their names in the store, so nothing has to be remembered.
 */
#include <keepfs/store.h>

/** struct store_lock_tried - what became of it. */
struct store_lock_tried {
	struct store_bucket bucket;
	int64_t until_us; /* of the canary */
	unsigned left;    /* earlier ones that are locked yet, or may not be deleted */
};
/**
 * store_try_lock() - try it as [store] object_lock says (store_features.lock_mode, which is not NONE)
 *
 * For @deadline_ms at most (and some seconds for clearing up). Return: 0: it is kept; negative errno with what is wrong: -ENOTSUP: the bucket has
 * no object lock, or keeps no versions; -EIO (ERROR_CORRUPT): it accepts locks and does not keep them.
 */
int store_try_lock(struct store *s, int64_t deadline_ms, struct cancel *cancel, struct store_lock_tried *ret,
                   struct error *err);
/** store_clear_canaries() - delete those whose lock is over; @ret_left: how many are left. */
int store_clear_canaries(struct store *s, const struct store_call *call, unsigned *ret_left,
                         struct error *err);

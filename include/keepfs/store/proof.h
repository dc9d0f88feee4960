// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Objects that prove something about others, and are never changed: the links of the chain of signatures, and checkpoints. With [store] object_lock they are locked.
 * Any thread.
 */
#include <keepfs/store.h>

/**
 * store_lock_bounded() - a lock until @until_us, as [store] object_lock, lock_min and lock_max let it be, from the store's own time on; no request is made
 *
 * Return: 1 and the lock; 0: nothing is locked there; negative errno.
 */
int store_lock_bounded(struct store *s, int64_t until_us, struct store_lock *ret, struct error *err);
/** store_lock_proof() - the same for such an object: two years at least. @until_us: how long it has to stay; 0: nobody says. */
int store_lock_proof(struct store *s, int64_t until_us, struct store_lock *ret, struct error *err);
/**
 * store_put_proof() - put such an object, JSON, where there is none of that key, locked from its first moment on
 *
 * What refuses the lock alone gets the object without it, and it is told (log): a chain or an audit with a gap would prove less than one that is not locked.
 * Blocks on the store. Return: as store_put_bytes().
 */
int store_put_proof(struct store *s, const struct store_call *call, const char *key, const void *data,
                    size_t len, struct error *err);

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
/** struct store_proof - such an object. All borrowed. */
struct store_proof {
	const char *key;
	const void *data; /* JSON */
	size_t len;
	int64_t until_us; /* as of store_lock_proof() */
	bool unlocked;    /* out: the store locks, and has this one without a lock */
};
/**
 * store_put_proof() - put it where there is none of that key, locked from its first moment on
 *
 * What refuses the lock alone gets the object without it, and it is told (log, @io->unlocked): a chain or an audit with a gap would prove less than one that is
 * not locked. Blocks on the store. Return: as store_put_bytes().
 */
int store_put_proof(struct store *s, const struct store_call *call, struct store_proof *io,
                    struct error *err);
/** STORE_PROOF_SPAN_US - for how long they are locked at least. */
#define STORE_PROOF_SPAN_US (INT64_C(732) * 86400 * 1000000)
/** store_proof_needs_until() - until when each of them has to be locked by now, if it is to outlive what is locked until @latest_us; less only where lock_max would have that
 * extended every day. By the store's own time, as of its last answer. */
int store_proof_needs_until(struct store *s, int64_t latest_us, int64_t *ret_us, struct error *err);
/** struct store_proofs_turn - how far all of them were looked at, over several calls. Begun with zeroes. */
struct store_proofs_turn {
	int64_t latest_us; /* in: what they have to outlive is locked until then; may grow */
	unsigned prefix;
	char after[STORE_KEY_BYTES];
	uint64_t seen, extended, failed; /* out, of the whole turn */
	int64_t until_us;                /* the first end of a lock; INT64_MAX: there is none */
	char key[STORE_KEY_BYTES];       /* the first that failed, and why */
	char why[512];
};
#define STORE_PROOFS_MORE 1
/**
 * store_lock_proofs() - look at some of them, all below chain/ and checkpoints/ in turn, and lock what is not locked for as long as it has to be: for two years from now, and a
 * year longer than latest_us, so that it does not come again soon. Never for less than it is, and in the mode that it has
 * @most: how many requests that look
 *
 * One that may not be locked is counted, and the others go on. Blocks on the store. Return: 0: these were all; STORE_PROOFS_MORE; negative errno: the
 * store has failed, and the same call goes on where it was.
 */
int store_lock_proofs(struct store *s, const struct store_call *call, unsigned most,
                      struct store_proofs_turn *turn, struct error *err);

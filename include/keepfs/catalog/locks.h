// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * How artifacts are locked in the store (object lock), as far as is known here; the store's word is the truth. And what is left to do
 * about it: one is due when it is to be locked for longer, when a legal hold is to be set or taken off, or when the store is to be
 * asked, since its row was made anew. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

/** struct catalog_lock - of one artifact. */
struct catalog_lock {
	int mode;          /* enum store_lock_mode */
	int64_t until_us;  /* 0: it is not locked */
	int64_t wanted_us; /* until then it is to be locked; not later than until_us: nothing is wanted */
	bool is_held; /* its objects have a legal hold that keepfs has set, or some of them may have it */
};
/** catalog_lock_of() - -ENOENT: no such artifact is listed. */
int catalog_lock_of(struct catalog *c, uint64_t ino, struct catalog_lock *ret);
/** catalog_set_lock() - what the store says, or was told. It is due when wanted_us is later than until_us, and else not any more. */
int catalog_set_lock(struct catalog *c, uint64_t ino, const struct catalog_lock *lock, struct error *err);
/** struct catalog_lock_wish - until when one is to be locked. */
struct catalog_lock_wish {
	uint64_t ino;
	int64_t wanted_us;
};
/** catalog_want_locks() - these are due; one that is to be locked for longer already stays so. */
int catalog_want_locks(struct catalog *c, const struct catalog_lock_wish *wishes, size_t count,
                       struct error *err);
/** catalog_want_pack_locks() - packs are to be locked as long as the artifacts that need them, in the trash or not, are, or are to be: those that are not are due. @ret_count: how many are now that were not. */
int catalog_want_pack_locks(struct catalog *c, uint64_t *ret_count, struct error *err);
/** catalog_lock_failed() - what is due could not be done, and stays due; the first time is remembered. */
int catalog_lock_failed(struct catalog *c, uint64_t ino, const char *why, int64_t now_us, struct error *err);
/** catalog_next_due_lock() - the first that is due behind @after_ino; heap path. -ENOENT: none. */
int catalog_next_due_lock(struct catalog *c, uint64_t after_ino, uint64_t *ret_ino, char **ret_path);
/** catalog_is_held() - does somebody hold it at @now_us? True also when that cannot be found out. */
bool catalog_is_held(struct catalog *c, uint64_t ino, int64_t now_us);
/** catalog_was_held() - has anybody ever held it here, so that a legal hold of its objects may be one that keepfs has set? False also when that cannot be found out: what somebody
 * else has set is never taken off. */
bool catalog_was_held(struct catalog *c, uint64_t ino);
/** catalog_begin_hold() - its objects are about to get a legal hold, the manifest last: from now on some of them may have it. */
int catalog_begin_hold(struct catalog *c, uint64_t ino, struct error *err);

/** struct catalog_lock_state - of all that are listed. */
struct catalog_lock_state {
	uint64_t locked;  /* at the time that was asked about */
	uint64_t due;     /* what is left to do */
	uint64_t failing; /* of these: it was tried */
	int64_t since_us; /* since when the first of them fails */
	char path[512];   /* that one */
	char why[256];
};
int catalog_lock_state(struct catalog *c, int64_t now_us, struct catalog_lock_state *ret);

/*
 * What proves something about others (links of the chain, checkpoints): no artifact has a row for it. So how they were found is remembered for each store, and says when to
 * look again.
 */
/** struct catalog_proof_lock - of those of one store. */
struct catalog_proof_lock {
	int64_t looked_at_us; /* when all were looked at last; 0: there is one that is not locked */
	int64_t until_us;     /* the first end of their locks; INT64_MAX: there was none of them */
	uint64_t count;
	uint64_t failed;    /* that may not be locked, or all: the store has failed */
	int64_t failing_us; /* since when; 0: none fails */
	char why[512];      /* of the first; "" */
};
/** catalog_proof_lock() - -ENOENT: they were never looked at. */
int catalog_proof_lock(struct catalog *c, uint64_t store, struct catalog_proof_lock *ret);
/** catalog_set_proof_lock() - they were looked at. failing_us of one that failed before stays. */
int catalog_set_proof_lock(struct catalog *c, uint64_t store, const struct catalog_proof_lock *lock,
                           struct error *err);
/** catalog_forget_proof_lock() - nothing is locked there. */
int catalog_forget_proof_lock(struct catalog *c, uint64_t store, struct error *err);
/** catalog_proofs_unlocked() - one was put without a lock: have all looked at. */
int catalog_proofs_unlocked(struct catalog *c, uint64_t store, struct error *err);
/** catalog_failing_proof_locks() - how many stores have some that may not be locked, and the first of these stores. 0 also when there is none (*@ret_count). */
int catalog_failing_proof_locks(struct catalog *c, uint64_t *ret_count, uint64_t *ret_store);
/** catalog_locked_until() - the latest end of a lock of what is listed in @store; 0: nothing is locked. */
int catalog_locked_until(struct catalog *c, uint64_t store, int64_t *ret_us);

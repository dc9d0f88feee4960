// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * How copies are locked in their store (object lock): as it was last seen there, whose word counts. A row goes with that of its copy, and when that is to be made again. See keepfs/catalog.h for what is
 * true of every function.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

#define REPLICA_LOCK_WHY_BYTES 512

/** struct catalog_replica_lock - of one copy. */
struct catalog_replica_lock {
	int mode;         /* enum store_lock_mode */
	int64_t until_us; /* 0: it is not locked */
	int tiers; /* RETENTION_TIERS: of which periods the backup is the first good one, as at its birth; less than 0: nobody has looked */
	bool is_held;      /* it has a legal hold, which keepfs has set */
	bool is_put_off;   /* no rule of its store keeps it any more: its lock does */
	int64_t failed_us; /* since when it cannot be locked as it is to be; 0: it can */
	char why[REPLICA_LOCK_WHY_BYTES];
};
/** catalog_replica_lock() - of the copy of @path in the store @store; -ENOENT: it was never looked at. */
int catalog_replica_lock(struct catalog *c, const char *path, uint64_t store,
                         struct catalog_replica_lock *ret);
/** catalog_set_replica_lock() - all of it, in place of what was known. */
int catalog_set_replica_lock(struct catalog *c, const char *path, uint64_t store,
                             const struct catalog_replica_lock *lock, struct error *err);
/** catalog_artifact_tiers() - what the catalog knows of the artifact @ino; -ENOENT: it is not listed. Less than 0: nobody knows. */
int catalog_artifact_tiers(struct catalog *c, uint64_t ino, int *ret);

/** struct catalog_replica_lock_state - of all copies. */
struct catalog_replica_lock_state {
	uint64_t locked, put_off, failing;
	int64_t since_us; /* the first that fails, with its path, store and reason */
	char path[512];
	uint64_t store;
	char why[REPLICA_LOCK_WHY_BYTES];
};
/** catalog_replica_lock_state() - @locked: whose time is not over at @now_us. */
int catalog_replica_lock_state(struct catalog *c, int64_t now_us, struct catalog_replica_lock_state *ret);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What further stores have of WAL archives. Files are copied there in the order in which they came, so one number says it for each archive and store; what was removed is remembered until it is gone there, too. A store is told by its number
 * (keepfs/catalog/stores.h). See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/catalog/wal.h>

struct catalog_wal_copy {
	uint64_t store;
	int64_t up_to;            /* all files up to that number (struct catalog_wal) are there; 0: none is */
	int64_t failing_since_us; /* 0: the last attempt went well */
	char why[512];
	/* Of what is not there yet: */
	uint64_t files, stored_bytes;
	int64_t oldest_us; /* when the first of these came; 0: there is none */
};
/** catalog_wal_copies() - call @row for each store that has, or is to have, files of @job. Ends with what is not 0. */
int catalog_wal_copies(struct catalog *c, const char *job,
                       int (*row)(void *arg, const struct catalog_wal_copy *copy), void *arg);
/** catalog_wal_copy_begin() - @store is to have the files of @job from now on; @ret_up_to: which it has. */
int catalog_wal_copy_begin(struct catalog *c, const char *job, uint64_t store, int64_t *ret_up_to,
                           struct error *err);
/** catalog_wal_copied() - @store has @w, and all that came before. If it was removed meanwhile, its copy is to be. */
int catalog_wal_copied(struct catalog *c, uint64_t store, const struct catalog_wal *w, struct error *err);
/** catalog_wal_copy_failed() - the last attempt did not go well, at @now_us; @why NULL: it did. */
int catalog_wal_copy_failed(struct catalog *c, const char *job, uint64_t store, int64_t now_us,
                            const char *why, struct error *err);
/** catalog_wal_spare() - the first store behind the number @after that has the file @w; -ENOENT. */
int catalog_wal_spare(struct catalog *c, const struct catalog_wal *w, uint64_t after, uint64_t *ret_store);
/** catalog_wal_left() - an object that is to be removed from @store, the first behind the key @after ("": of all); -ENOENT. catalog_wal_left_gone() - it was. */
int catalog_wal_left(struct catalog *c, uint64_t store, const char *after, char ret_key[STORE_KEY_BYTES]);
int catalog_wal_left_gone(struct catalog *c, uint64_t store, const char *key, struct error *err);

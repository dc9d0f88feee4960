// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The catalog: SQLite (which no other room includes) in <state_dir>/catalog.db, WAL mode, synchronous=FULL.
 * It is an index of the bucket's artifacts, and the truth about runs, the audit and probe results. The tree
 * is served from here: every lookup and every page of a directory is one indexed query, so that a million
 * artifacts cost no memory.
 *
 * Here it is opened, locked and bound to its store. What it holds has a header for each subject in
 * keepfs/catalog/, and this is true of all of them:
 *
 * One connection writes, under a lock of this room; writers commit before they return, so 0 means durable.
 * Readers use connections of their own and never wait for a writer. Blocking: local disk only. Any thread. A
 * `row` callback runs while its query does: it may keep copies of what it is given, but must not call the
 * catalog.
 *
 * Functions that return int return 0 or a negative errno. Those with @err (NULL allowed) also say there what
 * is wrong. What they are given is borrowed for the call; what they return on the heap is the caller's.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdint.h>

struct catalog;

/** catalog_directory_open() - make <state_dir> unless it is there, and refuse it when others have a hand in it
 * (base/own_file.h, as all its files); a descriptor, or negative errno. */
int catalog_directory_open(const char *state_dir, struct error *err);
/** catalog_log_open() - <state_dir>/keepfs.log, to append to; a descriptor, or negative errno. */
int catalog_log_open(const char *state_dir, struct error *err);
/** catalog_open() - open or create, migrate; -EBADMSG when the file is no (sound) catalog: the message says
 * to rebuild. */
int catalog_open(const char *state_dir, struct catalog **ret_catalog, struct error *err);
/** catalog_open_beside() - the same beside a mount that may be running: when the file is of an older format, and somebody has
 * catalog_lock(), it is left as it is: -EBUSY, and the message says to restart that mount. */
int catalog_open_beside(const char *state_dir, struct catalog **ret_catalog, struct error *err);
/** catalog_free() - checkpoint and close. NULL allowed; returns NULL. */
struct catalog *catalog_free(struct catalog *c);
DEFINE_CLEANUP(catalog, struct catalog *, catalog_free)
/** catalog_generation() - grows with every committed write of this process: a cheap "has anything
 * changed?". */
uint64_t catalog_generation(const struct catalog *c);
/** catalog_audit_generation(), catalog_rest_generation() - the same of the audit alone, and of everything else: each read
 * of a backup changes the former, and few look at that. */
uint64_t catalog_audit_generation(const struct catalog *c);
uint64_t catalog_rest_generation(const struct catalog *c);
/** catalog_listen() - have @changed called after each committed write of this process that is not of the audit alone, by
 * the thread that wrote: it must only wake somebody. One listener; NULL: none. When it returns, the one before is not
 * called any more. */
void catalog_listen(struct catalog *c, void (*changed)(void *arg), void *arg);
/** catalog_lock() - take <state_dir>/lock for this process (it lasts until @ret_fd is closed); -EBUSY names
 * the holder's pid. */
int catalog_lock(const char *state_dir, int *ret_fd, struct error *err);

/** catalog_store_url() - heap: the store whose artifacts are listed here; NULL before one was set. */
char *catalog_store_url(struct catalog *c);
/** catalog_set_store_url() - from now on it lists the artifacts of the store at @store_url. */
int catalog_set_store_url(struct catalog *c, const char *store_url, struct error *err);
/** catalog_fence() - the lease (its fence) up to which all is listed that others have made and removed in the store; 0 before one was set. */
int catalog_fence(struct catalog *c, uint64_t *ret);
/** catalog_set_fence() - who takes the lease that follows on this one need not compare anything. */
int catalog_set_fence(struct catalog *c, uint64_t fence, struct error *err);

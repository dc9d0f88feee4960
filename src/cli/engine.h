// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the commands that work without a mount and the mount itself have in common: everything below the file
 * system, in one piece. */
#include <keepfs/base/pool.h>
#include <keepfs/conf.h>
#include <keepfs/checkpoint.h>
#include <keepfs/follow.h>
#include <keepfs/copies.h>
#include <keepfs/job.h>
#include <keepfs/lease.h>
#include <keepfs/net.h>
#include <keepfs/records.h>
#include <keepfs/store.h>
#include <keepfs/stores.h>

struct catalog;
struct chain;
struct signing;

struct engine {
	const struct conf *conf; /* borrowed */
	int lock_fd;
	struct catalog *catalog;
	struct net *net;
	struct lease *lease;             /* NULL: of a reader */
	const struct store_fence *fence; /* who may write: of the lease, or of a reader */
	struct head_writer *head;        /* tells readers; NULL: of a reader */
	bool taken_over; /* the lease was another instance's: what is listed has to be compared with the store */
	const struct engine_opening *opening; /* while it is opened: borrowed */
	bool caught_up;                       /* all is listed that others did before our lease */
	struct store *store;
	struct stores *stores;         /* it, and those of tenants */
	struct store_metrics *metrics; /* of all that this process asks of the store */
	struct pool *pool;
	struct signing *signing; /* the keys of signatures */
	struct chain *chain;
	struct keyring *keyring;
	struct repository repository;
	struct artifact_tidier *tidier;
	struct records *records;
	struct checkpoints *checkpoints;
	struct copies *copies;
	struct make_context make;
};

/** engine_open() - take the lock, open catalog and store, settle what a crash left. @err says what to do. */
int engine_open(const struct conf *conf, struct engine *ret, struct error *err);
/** struct engine_opening - what may take long while an engine is opened. */
struct engine_opening {
	struct lease_wait lease; /* what is done when another keepfs writes to the store */
	/* NULL, or called while the store is read, of a catalog that begins or has to catch up: @looked_at backups so far. By the thread that opens it, and very often. */
	void (*reading)(void *arg, uint64_t looked_at);
	void *reading_arg;
};
/** engine_open_waiting() - the same, as @opening says. engine_open() refuses when another keepfs writes to the store. */
int engine_open_waiting(const struct conf *conf, const struct engine_opening *opening, struct engine *ret,
                        struct error *err);
/** engine_take_lease() - of a writer, before anything opens the store to write: also of commands that need no engine. @ret_lease: the
 * caller's, lease_give_back() and lease_free(). Returns as lease_take(). */
int engine_take_lease(const struct conf *conf, struct net *net, struct store_metrics *metrics,
                      const struct lease_wait *wait, struct lease **ret_lease, struct error *err);
/** engine_open_store() - the store alone, for commands that need no more. @metrics: store_open()'s. */
int engine_open_store(const struct conf *conf, struct store_metrics *metrics, struct net **ret_net,
                      struct store **ret_store, struct error *err);
/** engine_open_net() - connections for a store. */
int engine_open_net(const struct conf *conf, struct net **ret_net, struct error *err);
/** engine_records() - what moves old records of this engine. */
struct records_context engine_records(const struct engine *e);
/** engine_checkpoints() - what puts checkpoints of this engine into its store. */
struct checkpoint_context engine_checkpoints(const struct engine *e);
/** engine_checkpoint() - at the end of a process that has no thread for it: put one that is due. What prevents that is logged. */
void engine_checkpoint(const struct engine *e);
/** engine_copies() - what copies the catalog of this engine into its store. */
struct copies_context engine_copies(const struct engine *e);
/** engine_copy_catalog() - at the end of the process: what has changed is copied once more, as far as the store answers
 * soon. What prevents that is logged. */
void engine_copy_catalog(struct engine *e);
/** engine_add_directories() - list those of what the jobs of @conf make, which is to be in force. */
int engine_add_directories(struct engine *e, const struct conf *conf, struct error *err);
/** engine_read_keys() - the keys of signatures as @conf names them, which is to be in force; what they sign follows the first time something is published. */
int engine_read_keys(struct engine *e, const struct conf *conf, struct error *err);
/** engine_read_identities() - decrypt with those of @conf, which is in force from now on. What cannot be read, and so not decrypted, is a line of @warnings. */
void engine_read_identities(struct engine *e, const struct conf *conf, struct str *warnings);
/** engine_tag_backups() - find out of which periods those are the first ones that an earlier keepfs has made. What cannot be
 * found out now is later. */
void engine_tag_backups(struct engine *e, const struct conf *conf);
/** engine_close() - in the reverse order; every job and reader must have ended. */
void engine_close(struct engine *e);

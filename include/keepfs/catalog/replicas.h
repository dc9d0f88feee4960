// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Replicas: what further stores have, or are to have, of the artifacts of the store that the catalog belongs to (keepfs/replica.h). A row
 * stays when the artifact is removed, as long as the other store has its replica: it says what can be brought back from there. See
 * keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/hash.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

/** enum replica_state - numbers are those of the file, and are never changed. */
enum replica_state {
	REPLICA_WANTED,  /* nobody has begun */
	REPLICA_COPYING, /* some of its objects are there, and no manifest */
	REPLICA_WHOLE,   /* all of it was there, and was right, when that was last looked at */
	REPLICA_WRONG,   /* another thing has its name there, and is not touched: somebody has to look */
	REPLICA_LOST,    /* it was whole, and is not any more: it is made again */
	REPLICA_REMOVED, /* it is whole, and the artifact was removed: it stays until the rules of that store let it go */
};
#define REPLICA_STATES (REPLICA_REMOVED + 1)
/** replica_state_name() - "wanted", "copying", "whole", "wrong", "lost", "removed". */
const char *replica_state_name(enum replica_state state);

#define REPLICA_PATH_BYTES  512
#define REPLICA_ERROR_BYTES 512

struct catalog_replica {
	char path[REPLICA_PATH_BYTES]; /* of the artifact: "backups/full/20261120T020000Z.dump" */
	uint64_t ino;                  /* of the artifact */
	uint64_t store;                /* keepfs/catalog/stores.h; not 0 */
	enum replica_state state;
	bool is_listed; /* the artifact is in the catalog, and not removed: read only */
	bool is_released; /* it was removed here, and nobody held it then, whatever is said in the store of the copy: read only */
	char job[256];
	char class[256];
	int64_t started_at_us, finished_at_us; /* of the artifact */
	int64_t keep_until_us;                 /* promised when it was made; 0: nothing was */
	bool partial;
	int64_t since_us;       /* in this state */
	int64_t verified_at_us; /* when its bytes were last read there, and were right; 0: never */
	uint64_t stored_bytes;  /* of all its objects */
	uint64_t done_bytes;    /* of these, that are there */
	char manifest_sha256[SHA256_HEX_BYTES]; /* of the manifest that was put there; "": none was */
	unsigned attempts;                      /* that failed since one was successful */
	int64_t next_try_us;                    /* not before; 0: at once */
	char error[REPLICA_ERROR_BYTES]; /* why the last attempt failed, or what is wrong; "": nothing is */
};

/** catalog_want_replica() - artifact @ino, which is listed, is to be in @store; what is known of that already stays. An artifact that
 * is in another store than the catalog's is passed over. */
int catalog_want_replica(struct catalog *c, uint64_t ino, uint64_t store, int64_t now_us, struct error *err);
/** catalog_want_replicas() - the same of all artifacts of @job. */
int catalog_want_replicas(struct catalog *c, const char *job, uint64_t store, int64_t now_us,
                          struct error *err);
/** catalog_drop_unwanted_replicas() - @job has no copies in @store any more: what has not begun is forgotten, what is there stays. */
int catalog_drop_unwanted_replicas(struct catalog *c, const char *job, uint64_t store, struct error *err);
/** catalog_retry_replicas() - what waits for another attempt in @store may be tried at once. */
int catalog_retry_replicas(struct catalog *c, uint64_t store, struct error *err);
/** catalog_settle_replicas() - hold the rows of @store against the artifacts: those of removed ones become REPLICA_REMOVED when they are whole, and
 * whole again when they were brought back. What was not begun is forgotten. */
int catalog_settle_replicas(struct catalog *c, uint64_t store, int64_t now_us, struct error *err);

/** catalog_replica() - -ENOENT: nothing is known. */
int catalog_replica(struct catalog *c, const char *path, uint64_t store, struct catalog_replica *ret);
/** catalog_set_replica() - all of it, in place of what was known. since_us is @replica's own. */
int catalog_set_replica(struct catalog *c, const struct catalog_replica *replica, struct error *err);
/** catalog_forget_replica() - the store has nothing of it any more. */
int catalog_forget_replica(struct catalog *c, const char *path, uint64_t store, struct error *err);
/** catalog_next_replica() - the one to be made next in @store: of those that are wanted, begun or lost, and may be tried at @now_us, of the newest artifact. @ret_next_us, on
 * -ENOENT: when one may be tried; INT64_MAX: there is none. */
int catalog_next_replica(struct catalog *c, uint64_t store, int64_t now_us, struct catalog_replica *ret,
                         int64_t *ret_next_us);
/** catalog_abandoned_replica() - one that was begun in @store, and whose artifact was removed; -ENOENT: there is none. */
int catalog_abandoned_replica(struct catalog *c, uint64_t store, struct catalog_replica *ret);
/** catalog_least_verified_replica() - of those that are whole in @store the one whose bytes were read longest ago, behind @after_us; -ENOENT. */
int catalog_least_verified_replica(struct catalog *c, uint64_t store, int64_t after_us,
                                   struct catalog_replica *ret);
/** catalog_whole_replica() - which store has the artifact @path whole, behind the number @after (0: the first); -ENOENT. Removed ones count. */
int catalog_whole_replica(struct catalog *c, const char *path, uint64_t after, uint64_t *ret_store);

/** catalog_newest_copy() - of those in @directory ("backups/full") that @store has whole the one whose artifact was made last; -ENOENT. */
int catalog_newest_copy(struct catalog *c, uint64_t store, const char *directory,
                        struct catalog_replica *ret);

/** catalog_replicated_path() - heap: of the artifact @ino, or of the one of which it is a file; NULL: it is not listed. */
char *catalog_replicated_path(struct catalog *c, uint64_t ino);

/** catalog_each_replica() - call @row for each, by path and store. Each is a query of its own, so @row may call the catalog; what it returns
 * ends it, if it is not 0, and is returned. @path NULL: of all artifacts; @store 0: in all stores. */
int catalog_each_replica(struct catalog *c, const char *path, uint64_t store,
                         int (*row)(void *arg, const struct catalog_replica *replica, struct error *err),
                         void *arg, struct error *err);

/** struct catalog_replica_sum - of those in one store that are in one state. */
struct catalog_replica_sum {
	uint64_t store;
	enum replica_state state;
	uint64_t count, bytes;           /* bytes: that are still to be copied, or are there */
	int64_t oldest_us;               /* since when the first of them is in this state */
	uint64_t failing;                /* whose last attempt failed */
	char error[REPLICA_ERROR_BYTES]; /* of one of these */
	char path[REPLICA_PATH_BYTES];   /* likewise */
};
/** catalog_sum_replicas() - call @row for each store and state of which there are any, in this order. */
int catalog_sum_replicas(struct catalog *c, void (*row)(void *arg, const struct catalog_replica_sum *sum),
                         void *arg);

/** struct catalog_replica_store - what is known of one that has replicas, or is to have them. */
struct catalog_replica_store {
	int64_t compared_at_us;   /* when its names were last held against the catalog; 0: never */
	int64_t failing_since_us; /* since when nothing can be done there; 0: something can */
	char error[REPLICA_ERROR_BYTES];
};
/** catalog_replica_store() - zeroed when nothing is known. */
int catalog_replica_store(struct catalog *c, uint64_t store, struct catalog_replica_store *ret);
int catalog_set_replica_store(struct catalog *c, uint64_t store, const struct catalog_replica_store *state,
                              struct error *err);

/** struct catalog_replica_read - what could not be read in the first store, and was read from a replica. */
struct catalog_replica_read {
	char path[REPLICA_PATH_BYTES];
	uint64_t ino;
	uint64_t store; /* that had it */
	int64_t first_us, last_us;
	bool is_damaged; /* the bytes of the first were wrong, or missing: it needs a repair. Else it did not answer */
	char why[REPLICA_ERROR_BYTES];
};
/** catalog_note_replica_read() - it has happened now; that the bytes were wrong stays. */
int catalog_note_replica_read(struct catalog *c, const struct catalog_replica_read *read, struct error *err);
/** catalog_each_replica_read() - call @row for each, the last first. */
int catalog_each_replica_read(struct catalog *c,
                              void (*row)(void *arg, const struct catalog_replica_read *read), void *arg);
/** catalog_forget_replica_read() - the artifact @path was repaired; NULL: forget those before @before_us of which the store did not answer. */
int catalog_forget_replica_read(struct catalog *c, const char *path, int64_t before_us, struct error *err);

/** catalog_each_uncopied() - call @number with each number of the chain of the catalog's store, up to @last, that is a manifest which the store @store does not have whole,
 * ascending; and @before with each artifact that is not signed, and likewise. */
int catalog_each_uncopied(struct catalog *c, uint64_t store, int64_t last,
                          void (*number)(void *arg, int64_t sequence),
                          void (*before)(void *arg, const char *path), void *arg);

/** struct catalog_besides - objects beside backups that a further store has with another content. */
struct catalog_besides {
	uint64_t count;
	int64_t since_us; /* the first that was noticed, and its key */
	char key[REPLICA_PATH_BYTES];
};
/** catalog_note_beside() - @key is such a one in @store. Return: 1: that is new; 0; negative errno. */
int catalog_note_beside(struct catalog *c, uint64_t store, const char *key, int64_t now_us,
                        struct error *err);
/** catalog_forget_beside() - it is right now. */
int catalog_forget_beside(struct catalog *c, uint64_t store, const char *key, struct error *err);
/** catalog_is_beside() - 1: it was noted; 0: it was not; negative errno. */
int catalog_is_beside(struct catalog *c, uint64_t store, const char *key);
/** catalog_count_beside() - how many of @store are noted. */
int catalog_count_beside(struct catalog *c, uint64_t store, uint64_t *ret, struct error *err);
/** catalog_besides() - zeroed when there are none. */
int catalog_besides(struct catalog *c, uint64_t store, struct catalog_besides *ret);

/** catalog_take_over_replicas() - the store at that address, which had copies, is the one of the catalog now: nothing of it is a copy any more. */
int catalog_take_over_replicas(struct catalog *c, const char *url, const char *endpoint, struct error *err);

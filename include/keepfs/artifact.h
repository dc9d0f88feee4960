// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The life of an artifact across store and catalog. The bucket is the truth: an artifact exists when its manifest
 * does.
 *
 * - create: intent (catalog), objects, [extents object], manifest (only if absent), row (ends the intent)
 * - remove: tombstone (catalog), manifest, what lies beside it, objects, row dropped
 * - recover: after a crash, each intent and each tombstone is brought to one of the two ends
 * - tidy: while the daemon runs, what a store did not answer for is tried again
 * - compare: what the store has and the catalog does not list is adopted, what it has no more is told
 * - trash: what was removed can be taken back for a while; nothing of it has left the store
 * - hold: somebody wants one to stay; the store knows, too
 * - rebuild: all rows anew from the manifests in the bucket
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/cache.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/holds.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/base/zone.h>
#include <keepfs/policy/retention.h>
#include <keepfs/store.h>
#include <stdatomic.h>

struct catalog;
struct lease;
struct keyring;
struct stores;
struct chain;
struct chain_at;
struct wal;

/** struct artifact_removed - what of the tree is gone; all borrowed for the call. */
struct artifact_removed {
	uint64_t ino;
	const char *path;
	bool is_directory;
	const char *const *beside; /* names of the files that lie beside its own, NULL-terminated */
	/* Under which names the disk cache may have what was read of it (reader_cache_id()). */
	const uint8_t (*cache_ids)[CACHE_ID_BYTES];
	size_t cache_id_count;
};

/** struct artifact_spared - an artifact that was read from a replica; all borrowed for the call. */
struct artifact_spared {
	const char *path;
	const char *store; /* that had it, as stores_name() calls it */
	bool damaged;      /* what its own store has is wrong, or is not there; else that did not answer */
	const char *why;
};

/**
 * struct artifact_events - who wants to know what becomes of artifacts
 *
 * Called on the thread that made the change, after it is durable, with no lock held; must not block for long. Any
 * may be NULL.
 */
struct artifact_events {
	void (*listed)(void *arg, const struct manifest *m);
	/* It is not listed any more. It was deleted from the store before this is called, or the tidier does that
	 * later. */
	void (*removed)(void *arg, const struct artifact_removed *what);
	/* What the store knows of the artifact @path beside its manifest is another: a hold. */
	void (*marked)(void *arg, const char *path);
	/* What its store did not give was read from a replica; at most once for each time somebody opened it. */
	void (*read_elsewhere)(void *arg, const struct artifact_spared *what);
	/* What a further store has of the artifact @path is not right, or not there: it is to be made again (keepfs/replica.h). */
	void (*copy_lost)(void *arg, const char *path);
	/* It is listed as before, and has other objects in the store (artifact_rewrap()). */
	void (*rewrapped)(void *arg, const struct manifest *m);
	void *arg;
	struct artifact_events *next; /* the repository's */
};

/**
 * struct repository - where artifacts live: what holds their objects, what lists them, who is told of changes
 *
 * It is set up before threads use it, and only read by them. Exports may be in stores of their tenants: code asks for the store of what it works on
 * by repository_store_of(), which looks it up in the catalog. What is about no artifact (records, copies of the catalog) is in the one that the catalog belongs to,
 * repository_store().
 */
struct repository {
	struct artifact_use *in_use; /* by the room's own lock: artifact_keep() */
	struct artifact_pin *pins;   /* by the same: artifact_pin_packs() */
	struct store *store;         /* borrowed */
	struct stores *stores;       /* borrowed: it, and others; NULL: there are no others */
	struct catalog *catalog;     /* borrowed */
	struct chain *
	        chain; /* borrowed: what signs manifests, and believes them (keepfs/chain.h); NULL: nobody does */
	struct keyring
	        *keyring; /* borrowed: opens what is encrypted (keepfs/keyring.h); NULL: nothing does */
	struct artifact_events *events; /* borrowed, each: a list */
	struct lease *lease; /* borrowed: its number stands in each manifest; NULL: there is none */
	const struct store_fence
	        *fence; /* borrowed: who may write to its stores, as these ask, too; NULL: everybody */
	/* artifact_tidier_new() sets it; NULL: what a store does not answer for waits for the next start */
	struct artifact_tidier *tidier;
	/* NULL, or what the tidier calls once a day, on its thread: whoever knows the rules says which locks have to be longer by now (catalog_want_locks()) */
	void (*daily)(void *arg);
	void *daily_arg;
	struct wal *wal; /* borrowed: serves the WAL archives (keepfs/wal.h); NULL: nobody does here */
};

static inline struct store *repository_store(const struct repository *repo)
{
	return repo->store;
}

/** repository_open_store() - the store of that number (keepfs/catalog/stores.h): the caller's store_free(). As stores_open(). */
int repository_open_store(const struct repository *repo, uint64_t id, struct store **ret, struct error *err);
/** repository_store_of() - the one that has the artifact @path, is to have it, or has what is left of it: the caller's store_free(). When the catalog
 * knows of none it is repository_store(). As stores_open(), or the catalog failed. */
int repository_store_of(const struct repository *repo, const char *path, struct store **ret,
                        struct error *err);
/** repository_store_of_ino() - the same of an artifact, or one of its files, that is listed or was removed. */
int repository_store_of_ino(const struct repository *repo, uint64_t ino, struct store **ret,
                            struct error *err);

/** repository_reading_store_of_ino() - the same for somebody who wants its bytes, wherever they come from: what that store does not give, or gives wrong
 * (store_get_options.elsewhere), comes from a store that has a whole replica, and is told (artifact_events). Not for who looks whether the store has
 * them. */
int repository_reading_store_of_ino(const struct repository *repo, uint64_t ino, struct store **ret,
                                    struct error *err);

/** repository_listen() - have @events told; before any thread uses the repository. */
void repository_listen(struct repository *repo, struct artifact_events *events);

/** artifact_read_manifest() - the manifest of @path, with its extents, from the store. -EBADMSG (ERROR_CORRUPT): it, or its extent
 * table, cannot be used; -ENOENT: there is none; -ENOTSUP: a newer keepfs has written it. */
int artifact_read_manifest(struct repository *repo, const char *path, struct cancel *cancel,
                           struct manifest *ret, struct error *err);

/** artifact_read_manifest_anywhere() - the same, and where its own store does not give it, from one that has a whole replica: for who wants its bytes wherever they come from, and not for who looks
 * whether the store has them. What is returned is what its own store said. */
int artifact_read_manifest_anywhere(struct repository *repo, const char *path, struct cancel *cancel,
                                    struct manifest *ret, struct error *err);

struct artifact_name {
	const char *directory; /* "backups/full" */
	const char *stem;      /* of name_stem_from(); NULL: by the time at which it began */
	const char *suffix;    /* ".dump", ".schema.dump", ".sql.gz", "" */
	int64_t at_us;         /* when it began */
	uint64_t store;        /* that is to have it: keepfs/catalog/stores.h */
};

/** artifact_reserve() - choose the path for an artifact, record the intent; heap path in @ret_path. The intent covers
 * every object whose key begins with the path's stem (manifest_stem()), followed by '.' or '/'. -EEXIST: one with that
 * stem is there, or is being made. */
int artifact_reserve(struct repository *repo, const struct artifact_name *name, int64_t run_id,
                     char **ret_path, struct error *err);
/** enum artifact_lock_role - what an object is, for how it is locked (object lock). */
enum artifact_lock_role {
	ARTIFACT_LOCK_BACKUP, /* bytes, manifest, and what lies beside: as long as the backup is sure to be kept */
	ARTIFACT_LOCK_LINK, /* what proves something about others, and is never changed: two years at least */
	ARTIFACT_LOCK_REWRITTEN, /* state/, catalog/, trash/, holds/, records, what is not whole yet: never */
};
/**
 * artifact_lock_of() - how an object of that role is to be locked in @store; whoever writes objects that have to stay asks this, and nobody
 * else knows of [store] object_lock
 * @until_us: how long it has to stay; 0: nobody says
 *
 * Bounded by lock_min and lock_max, from the store's own time on. No request is made. Return: 1 and the lock; 0: it is not locked.
 */
int artifact_lock_of(struct store *store, enum artifact_lock_role role, int64_t until_us,
                     struct store_lock *ret, struct error *err);
/** artifact_lock_objects() - all objects of @m but what lies at its manifest's place: a request for each, several at once. For whoever puts the
 * manifest next, with the same lock. */
int artifact_lock_objects(struct store *store, const struct store_call *call, const struct manifest *m,
                          const struct store_lock *lock, struct error *err);
/** artifact_lock_whole() - all objects of @m in @store, with what lies beside its manifest, and that last: lock them, or, without @lock, set or end a legal hold. A request for each, several at once. */
int artifact_lock_whole(struct store *store, const struct store_call *call, const struct manifest *m,
                        const struct store_lock *lock, bool hold, struct error *err);
/** artifact_is_forbidden() - has the store forbidden it? Not when it cannot be reached: that passes. */
bool artifact_is_forbidden(int r, const struct error *why);
/** artifact_lock_terms() - what bounds locks in @store, for retention_lock_of(). Return: 1; 0: nothing is locked there. */
int artifact_lock_terms(struct store *store, struct retention_lock_terms *ret, struct error *err);
/** struct artifact_lock_order - by what it is decided how long; borrowed. */
struct artifact_lock_order {
	const struct retention_rules *rules;
	const struct zone *zone;
	bool forever;        /* it is kept for ever, whatever the rules say */
	int64_t host_now_us; /* this host's clock; 0: as it is now */
};
/** ARTIFACT_LOCK_DOUBTFUL - it is locked, but only for lock_min. */
#define ARTIFACT_LOCK_DOUBTFUL 1
/**
 * artifact_lock_at_birth() - lock all objects of @m, which is whole, has its tiers, and is about to be published
 *
 * Sets @m->locked_until_us and lock_mode, with which artifact_publish() locks the manifest as well. Return: 0, also when nothing is locked in its
 * store; ARTIFACT_LOCK_DOUBTFUL: its time cannot be right, by neither clock (@err says why); -EBADMSG: an object of it is not what it was any more, so it must not be
 * published; another negative errno: it could not be locked, @m->lock_wanted_us is set, and when it is published the tidier tries again.
 */
int artifact_lock_at_birth(struct repository *repo, const struct artifact_lock_order *order,
                           struct manifest *m, struct cancel *cancel, struct error *err);
/**
 * artifact_lock_again() - some objects of @m, which is listed, were put anew in its store, and have no lock: all of it is locked as its row says, and held when it is held
 *
 * Where nothing is locked nothing is asked. A request for each object, several at once. On failure it has to be called again: nothing else finds out.
 */
int artifact_lock_again(struct repository *repo, const struct manifest *m, struct cancel *cancel,
                        struct error *err);
/** artifact_locks_changed() - some are to be locked for longer (catalog_want_locks()): have the tidier, if there is one, do it. */
void artifact_locks_changed(struct repository *repo);
/**
 * artifact_learn_facts() - what encrypted artifacts tell of their tables, and the catalog does not know, since it was rebuilt where nobody could decrypt
 * it, is read, as far as there are identities for it
 *
 * A request for each. What cannot be learnt of one is logged, and does not hold up the next. Return: 0; -ECANCELED; why the store, or the identities, could not be
 * read.
 */
int artifact_learn_facts(struct repository *repo, struct cancel *cancel, struct error *err);
/** artifact_identities_changed() - the keyring has others: have the tidier, if there is one, learn what they open. */
void artifact_identities_changed(struct repository *repo);
/** artifact_check_free() - nothing was published below the stem of @path yet; -EEXIST (ERROR_CONFLICT) when it was: by
 * a second keepfs, so the intent is given up, and what is there is left alone. */
int artifact_check_free(struct repository *repo, const char *path, struct cancel *cancel, struct error *err);
/** ARTIFACT_UNLISTED - the artifact is in the store, whole, with its manifest; but the catalog could not take it. */
#define ARTIFACT_UNLISTED 1
/**
 * artifact_publish() - the objects are in the store: write extents and manifest, then list it, and tell
 * @m: may get its extents_key set
 *
 * While the disk under the catalog is full it waits, until there is space or @cancel is set: what is whole is not given
 * up for that, nor called a failure. Return: 0; ARTIFACT_UNLISTED (@err says why): nothing of it may be deleted, it is
 * listed by the tidier or at the next start; negative errno.
 */
int artifact_publish(struct repository *repo, struct manifest *m, struct cancel *cancel, struct error *err);
/** artifact_withdraw() - nothing of it was sent to the store: drop the intent. A catalog without space leaves it for the tidier. */
void artifact_withdraw(struct repository *repo, const char *path);
/** artifact_discard() - it did not come to be: abort and delete what is left below its stem, drop the intent. A store
 * that is not reachable, or a catalog without space, leaves the intent for the tidier or the next start. */
int artifact_discard(struct repository *repo, const char *path, struct error *err);
/**
 * artifact_remove() - delete one, or put it into the trash, and tell
 * @how: NULL: no trash, and at least one good one stays
 *
 * -EPERM (ERROR_DENIED, with the reason) where policy forbids it (keepfs/policy.h); -EBUSY: artifact_keep(). Blocks on the store; when that
 * fails the artifact is not listed any more all the same, and the tidier goes on. What is in the trash is removed, also when the
 * store could not be told: 0, and the tidier tells it.
 */
int artifact_remove(struct repository *repo, uint64_t ino, const struct catalog_removal *how,
                    struct error *err);
/** artifact_check_removal() - would artifact_remove() do it now, as far as that is known before the store is asked to delete anything? 0, or what that would return. Changes
 * nothing; blocks on the store. @how is never NULL. */
int artifact_check_removal(struct repository *repo, uint64_t ino, const struct catalog_removal *how,
                           struct error *err);
/**
 * artifact_keep() - while run @run_id reads it, it stays: until as many calls of artifact_let_go() artifact_remove() is -EBUSY, and says which
 * run it is and what that does
 * @doing: "restored", "checked": static
 *
 * Any thread; does not block. It ends with the process, as what it is for does; no other process removes anything meanwhile, since whoever has a
 * catalog open has locked it. -EBUSY: it is being removed at this moment.
 */
int artifact_keep(struct repository *repo, uint64_t ino, int64_t run_id, const char *doing,
                  struct error *err);
/** artifact_pin_packs() - until as many calls of artifact_unpin_packs() no pack of @job is removed, needed or not: a run builds on what it finds. Any thread; waits for the removal of
 * one that has begun. */
void artifact_pin_packs(struct repository *repo, const char *job);
void artifact_unpin_packs(struct repository *repo, const char *job);
/**
 * artifact_collect_packs() - remove the packs that no artifact needs, in the catalog or in its trash
 * @now_us: of the clock
 *
 * Not those of a job whose packs are pinned, nor those that a run made behind the newest artifact which needs packs of its job: what is left of a run that broke off is used by the
 * next, unless it is one of a base; but for a week at most. Nor those that are known to be locked. The caller is sure that the catalog knows all manifests of the store. Blocks on the store. *@ret_count: so many were removed. Return: 0; the first
 * failure, which keeps no other pack.
 */
int artifact_collect_packs(struct repository *repo, int64_t now_us, struct cancel *cancel,
                           uint64_t *ret_count, struct error *err);
/** artifact_remove_base_packs() - the same at once of those of bases that run @run_id has made for @job: it has failed, will publish nothing, and has ended its own artifact_pin_packs(). What is locked stays until
 * artifact_collect_packs() finds it. Return: 0; the first failure, which keeps no other pack. */
int artifact_remove_base_packs(struct repository *repo, const char *job, int64_t run_id, struct error *err);
/** artifact_let_go() - of that run; one that was not kept is left alone. */
void artifact_let_go(struct repository *repo, uint64_t ino, int64_t run_id);
/**
 * artifact_open_begin() - somebody is about to ask the catalog where the bytes of @ino are, and to read them
 *
 * It keeps nobody from removing the artifact. But objects that it had before it was rewrapped stay until artifact_open_end(), called as often. Any
 * thread; does not block.
 */
void artifact_open_begin(struct repository *repo, uint64_t ino);
void artifact_open_end(struct repository *repo, uint64_t ino);

/** ARTIFACT_DAMAGED - it is there, but not whole. */
#define ARTIFACT_DAMAGED 2
/**
 * artifact_undelete() - what was removed is listed again, as it was, and that is told
 *
 * It can be as long as the store has its manifest, whatever a clock says: its time in the trash may be over, or its
 * deletion may have been tried. Blocks on the store. Return: 0; ARTIFACT_DAMAGED: it is listed again and marked as damaged,
 * since the store lacks some of it (@err says what); -ENOENT: it was never removed, or is deleted for good; -EBUSY: its
 * deletion goes on just now. A failure of the store leaves it in the trash.
 */
int artifact_undelete(struct repository *repo, const char *path, struct error *err);

/** artifact_hold() - it stays until the hold is ended, or its time is over: in the store, then in the catalog. One of the same
 * name is replaced, unless that one holds for longer (-EEXIST): it has to be ended first. -ENOENT: there is no such artifact; -ENOSPC: it has CATALOG_HOLDS_MAX. */
int artifact_hold(struct repository *repo, uint64_t ino, const struct catalog_hold *hold, struct error *err);
/** artifact_end_hold() - of that name; -ENOENT: there is none. */
int artifact_end_hold(struct repository *repo, uint64_t ino, const char *name, struct error *err);

/** artifact_content() - what of a target the name of an artifact says it holds: ".schema", ".data", ".partial", or "" for
 * all. Those of one directory that differ in it are never compared. */
const char *artifact_content(const char *name);
/** artifact_tag() - set the tiers of @m, which is about to be published, by the good ones that are listed. */
int artifact_tag(struct repository *repo, const struct retention_rules *rules, const struct zone *zone,
                 struct manifest *m, struct error *err);

/** struct artifact_time - the clock, and what it is judged by. */
struct artifact_time {
	int64_t now_us;
	char boot[40];   /* of the host; "": not known */
	int64_t boot_us; /* how long that has lasted, whatever the clock says */
};
/** artifact_read_clock() - as of now. */
void artifact_read_clock(struct artifact_time *ret);
/** artifact_look_at_clock() - what the clock should show at least, by what was seen before; 0: nothing was. */
int artifact_look_at_clock(struct repository *repo, const struct artifact_time *time, int64_t *ret_seen_us,
                           struct error *err);
/** artifact_see_clock() - the same, and what is seen now is remembered, unless it was set back, or has jumped while the host was up. */
int artifact_see_clock(struct repository *repo, const struct artifact_time *time, int64_t *ret_seen_us,
                       struct error *err);
/** artifact_check_clock() - may anything be deleted by this clock? Remembers nothing: whoever applies rules does. 0; -EAGAIN with the reason. */
int artifact_check_clock(struct repository *repo, const struct artifact_time *time, struct error *err);
/** artifact_trust_clock() - somebody says that it is right, whatever was seen before. */
int artifact_trust_clock(struct repository *repo, const struct artifact_time *time, struct error *err);

struct age_recipients;
/** struct artifact_rewrap - how one is rewrapped; all borrowed. */
struct artifact_rewrap {
	const struct age_recipients *recipients; /* for whom it is encrypted from now on */
	uint64_t part_bytes; /* of the first parts, at least; more where an object is so large */
	unsigned max_parts;  /* 0: the store's */
	int64_t run_id;      /* for which it is kept meanwhile; not 0 */
	struct cancel *cancel;
	/* Live counts, which may be NULL: what was read of its old objects, what the store has taken or copied by itself, what was read back of the new ones. */
	atomic_uint_least64_t *read_bytes, *sent_bytes, *verified_bytes;
	bool no_copying; /* nothing is copied by the store itself; also out: it was found out that it cannot */
	/* Out: */
	uint64_t copied_bytes; /* of objects that the store has copied by itself, but for their beginning */
	bool is_waiting;       /* old objects are still there, and are removed when that is possible */
	char why[512];         /* they are there */
};
/** artifact_is_encrypted_for() - does @encrypted_to, as manifests have it, name exactly the recipients @r? The order does not count. Of a passphrase it cannot
 * tell which one it was. Pure. */
bool artifact_is_encrypted_for(const char *encrypted_to, const struct age_recipients *r);
/**
 * artifact_rewrap() - give the encrypted artifact @ino other recipients: new objects with another header, and the same file keys and encrypted bytes
 *
 * All objects of it get keys of the next generation, are read back, and checked against the checksums of the old ones; then a manifest that names them takes
 * the place of the old one, and is signed and told of in the chain where the old one was signed; then the old objects are removed. So at each moment the store has
 * one of the two whole, and artifact_recover() clears away what a crash leaves of the other. Name, times, sizes and checksums of what users read stay. Old objects
 * that somebody is reading, or that the store has locked, are removed by the tidier when that has ended; new ones are locked for as long.
 *
 * Blocks on the store. Its memory is a pool of its own, of four parts and stream_readback()'s share. -ENOKEY (ERROR_DENIED): this host has no identity that opens it; -EINVAL (ERROR_USAGE): it is not encrypted; -EBUSY: it is being removed, or
 * rewrapped; -EBADMSG (ERROR_CORRUPT): the store does not hold it as it was sent. On failure it is as it was.
 */
int artifact_rewrap(struct repository *repo, uint64_t ino, struct artifact_rewrap *how, struct error *err);
/** artifact_remove_old_objects() - @store has what @m, which was put there, names: remove what it has beside of earlier generations. For whoever copies what was rewrapped. A
 * store that has locked them keeps them: 0. */
int artifact_remove_old_objects(struct store *store, const struct store_call *call, const struct manifest *m,
                                struct error *err);
/** artifact_is_as_listed() - has the catalog the objects of @m? False also when it is not listed. */
bool artifact_is_as_listed(const struct repository *repo, const struct manifest *m);

struct artifact_recovery {
	unsigned adopted;   /* whole artifacts whose row was missing */
	unsigned discarded; /* unfinished ones, aborted and deleted */
	unsigned removed;   /* deletions brought to their end */
	unsigned runs_failed;
	unsigned left; /* could not be settled: the store did not answer, or a newer keepfs has written it */
};
/** artifact_recover() - before anything else writes: settle what a crash left. Runs that were pending or running become
 * failed ("interrupted"). */
int artifact_recover(struct repository *repo, struct artifact_recovery *ret, struct error *err);

/** struct artifact_comparison - what comparing brought; sums, so that several may be counted into one. */
struct artifact_comparison {
	void (*progress)(void *arg, uint64_t looked_at); /* in: NULL, or called after each manifest */
	void *arg;
	uint64_t looked_at; /* manifests so far */
	uint64_t adopted;   /* whole, and listed from now on */
	uint64_t unlisted;  /* in the store, but not listed: health tells why */
	uint64_t young;   /* of these: another keepfs may be at it, so they are looked at again in an hour */
	uint64_t missing; /* listed, but the store has no manifest of them any more: they count as damaged */
	uint64_t
	        changed; /* listed, and another keepfs has rewrapped them: their new objects are listed now */
};

/** artifact_read_numbers() - for chain_read_numbers_by(), with the repository as @repo: of all manifests in the store that are not listed; one request for each thousand, and one for each of these. */
int artifact_read_numbers(void *repo, const struct chain_at *at, struct error *err);
/**
 * artifact_compare() - hold the catalog against all manifests in the store, by their names
 * @now_us: what is younger than an hour by its manifest is left alone
 * @counts: added to, also when it fails
 *
 * An artifact that the catalog does not know (it is older than the store: copied back, or of a snapshot) is listed when it
 * is whole. One that is announced by an intent or being deleted is known. What is listed and has no manifest any more is
 * marked, never deleted; the mark goes when the manifest is back. Runs that are added get numbers above those of all
 * manifests that were read.
 *
 * A manifest that is another object now than when it was read (its etag in the listing) was rewrapped by another keepfs: it is read again, and the objects that it names now are
 * listed. Who has the lease need not: nobody else writes, and what others wrote before is artifact_follow_all()'s.
 *
 * It costs one request for each thousand objects below manifests/, and three for each artifact that is not known, two for each that was rewrapped (and two to look whether that
 * went on meanwhile), one for each that is missing; one for each thousand in the trash or held, when some are not known; and 8 bytes of memory for each artifact. It may run beside all else. A failure of the store
 * ends it, and no conclusion is drawn from what was not seen.
 */
int artifact_compare(struct repository *repo, int64_t now_us, struct cancel *cancel,
                     struct artifact_comparison *counts, struct error *err);
/** artifact_look_ahead() - the first part of that, only of what comes in the order of keys behind the newest artifact of
 * @directory that the catalog knows: one request, when there is nothing. For a start, which must not take long: until
 * @deadline_ms (clock_mono_ms()). */
int artifact_look_ahead(struct repository *repo, const char *directory, int64_t now_us, int64_t deadline_ms,
                        struct artifact_comparison *counts, struct error *err);

/**
 * artifact_follow_all() - the same for a catalog that follows what another keepfs does, or did until we took its lease
 *
 * What has no manifest any more, or is in the trash, was removed by that one: it is dropped from the catalog, and that is told
 * (counted as missing). Without a lease (a reader) nothing is written, what is in the trash is left out, and the objects of what is new are not asked for.
 */
int artifact_follow_all(struct repository *repo, int64_t now_us, struct cancel *cancel,
                        struct artifact_comparison *counts, struct error *err);
/** artifact_follow_made() - another keepfs has made @path, or brought it back: it is listed, and that is told. What is not there any more is none. */
int artifact_follow_made(struct repository *repo, const char *path, struct cancel *cancel, struct error *err);
/** artifact_follow_removed() - another keepfs has removed @path: it is not listed any more, and that is told. What is not listed is none. */
int artifact_follow_removed(struct repository *repo, const char *path, struct error *err);
/** artifact_follow_marked() - who holds @path has changed: as the store has it now. */
int artifact_follow_marked(struct repository *repo, const char *path, struct cancel *cancel,
                           struct error *err);

/** artifact_find_missing() - the last part of that, of one directory: what is listed there, and has no manifest any more, is marked
 * and counted. One request for each thousand of its artifacts, and one for each that seems to be missing. For whoever removes
 * some because of others, which had better be there. */
int artifact_find_missing(struct repository *repo, const char *directory, struct artifact_comparison *counts,
                          struct error *err);

/**
 * struct artifact_tidier - a thread that brings to an end what a store did not answer for, at the start or since: deletions,
 * and the rest of runs that failed. It waits until there is something to do, and between two attempts from a minute up to
 * an hour. A minute after it began, and once a day, it compares (artifact_compare()).
 */
struct artifact_tidier;
/** artifact_trash_changed() - something was put into the trash, or the clock was set: the tidier, if there is one, finds out when
 * something's time is over. Any thread; reads the catalog. */
void artifact_trash_changed(struct repository *repo);
/** artifact_run_ended() - a run has ended in the catalog: what it may have left is the tidier's now, if there is one. */
void artifact_run_ended(struct repository *repo);
int artifact_tidier_new(struct repository *repo, struct artifact_tidier **ret_tidier, struct error *err);
/** artifact_tidier_free() - gives up what it is at. NULL allowed; returns NULL. */
struct artifact_tidier *artifact_tidier_free(struct artifact_tidier *t);

struct artifact_rebuild {
	unsigned threads; /* in: manifests fetched at once */
	void (*progress)(void *arg, uint64_t done);
	/* A manifest that cannot be used, an object missing or of another size, an object without manifest. */
	void (*problem)(void *arg, const char *text);
	/* It is listed, but says more than this keepfs knows. */
	void (*notice)(void *arg, const char *text);
	/* What of a manifest the caller does not know beside its fields (heap: "kind \"base\""); NULL: nothing. */
	char *(*unknown)(const struct manifest *m);
	void *arg;
	uint64_t artifacts; /* out */
	uint64_t bytes;     /* out */
	uint64_t problems;  /* out */
};
/** artifact_rebuild() - replace the catalog's artifacts by what the bucket holds, in one transaction; runs that are not
 * known are added from the manifests. Any failure of the store leaves the catalog as it was. */
int artifact_rebuild(struct repository *repo, struct artifact_rebuild *io, struct cancel *cancel,
                     struct error *err);

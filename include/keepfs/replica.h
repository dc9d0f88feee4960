// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Replicas: the same keys and bytes in a second store, made of what was published and verified, and never in the way of a backup.
 *
 * An artifact is copied object by object, its manifest last: so it is in the other store whole, or nobody sees it there. What is read
 * is held against the extents and the SHA-256 of the manifest, and what was written is read back from where it is. Both are of stored bytes, so that
 * no key is needed for what is encrypted. A copy that was cut goes on with the object that was not finished.
 *
 * Nothing that somebody else has put under such a name is ever overwritten, or deleted: the replica is REPLICA_WRONG then, and
 * health says so. What we have made ourselves, and was whole once, is made again when it is lost or damaged.
 *
 * What lies beside backups, and without which they prove nothing and have no history, is copied as well (replica_make_beside()).
 *
 * The state of each is in the catalog (keepfs/catalog/replicas.h). Memory is a pool of its own for each artifact that is copied,
 * of four parts and READBACK's share, so no backup waits for it.
 */
#include <keepfs/artifact.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/conf.h>
#include <keepfs/stream/rate.h>
#include <stdatomic.h>

/** struct replica_copy - an artifact that is copied from one store into another; borrowed, but for what is out */
struct replica_copy {
	const struct repository *repository; /* by whose keys manifests are believed */
	struct store *from, *to;
	const char *path;    /* of the artifact */
	uint64_t part_bytes; /* of the first parts, at least; more where the object is so large */
	unsigned max_parts;
	struct rate *rate; /* of what is written; NULL: no limit */
	/* Called now and then with how much of it is in @to; what it returns, if negative, ends the copy. It may wait. NULL: nobody looks. */
	int (*progress)(void *arg, uint64_t done_bytes, uint64_t stored_bytes, struct error *err);
	/* The first of it is about to be put into @to; of what is not ours yet it is known that nothing lies there under its names that is somebody else's, so that from now on it is ours. Not called
	 * when all of it is there, and right. What it returns, if negative, ends the copy. NULL: nobody wants to know. */
	int (*begin)(void *arg, struct error *err);
	/* What @from has of it was read: is it what was to be copied? What it returns, if negative, ends the copy before anything is done. NULL: whatever is there is. */
	int (*check)(void *arg, const struct manifest *manifest, struct error *err);
	const char *from_sha256; /* of the manifest's text that @from has to have; "" or NULL: not known */
	void *arg;               /* of these */
	struct cancel *cancel;
	bool is_ours; /* what lies in @to below this name was made by us: objects that are not right are replaced */
	bool had_manifest; /* likewise: a manifest was there, and ours, so that one that is damaged is replaced */
	const char *
	        manifest_sha256; /* of the manifest that we have put there, which may be replaced; "" or NULL: none */
	/* Out: */
	struct manifest manifest;      /* as @from has it; the caller's manifest_finish(), on failure, too */
	char sha256[SHA256_HEX_BYTES]; /* of the manifest's text */
	uint64_t copied_bytes;         /* that were written now; the rest was there */
	bool has_put;                  /* something was put into @to */
	bool to_failed;                /* it was @to that failed, and not @from */
};

/** REPLICA_CONFLICT - another thing has the name in the target. */
#define REPLICA_CONFLICT 1
/**
 * replica_copy() - have all of it in @to, right, with its manifest
 *
 * Blocks on both stores. What is there already, and is right, is not sent again. Return: 0; REPLICA_CONFLICT (@err says what is there): nothing of it was touched; negative errno: what was copied stays,
 * for the next attempt.
 */
int replica_copy(struct replica_copy *copy, struct error *err);

/** struct replica_order - what is to be done in one further store; borrowed. */
struct replica_order {
	struct repository *repository;
	const struct conf *conf;                   /* in force */
	const struct conf_named_store *named;      /* the section of the store */
	uint64_t store;                            /* its number: replica_store() */
	struct rate *rate;                         /* NULL: no limit */
	int (*wait)(void *arg, struct error *err); /* called now and then: it may wait, for a window; NULL */
	void *arg;
	struct cancel *cancel;
	atomic_uint_least64_t *done_bytes; /* NULL, or counts what is in the target */
	bool reads_only; /* of a reader: nothing is made there, and what is there is whole */
	bool *unsure; /* out of replica_compare(): there are manifests that cannot be read, and so might need any pack. NULL, or true: replica_clean() removes no packs */
};

#define REPLICA_BESIDE_KINDS 6
/** struct replica_beside - how far what lies beside backups was copied into one further store. Begin with {0}. */
struct replica_beside {
	char after[REPLICA_BESIDE_KINDS][STORE_KEY_BYTES]; /* of each kind, the last one that is there */
	char said[SHA256_HEX_BYTES]; /* of what was last said there of what it has: chain_say_copied() */
};
/**
 * replica_make_beside() - copy what lies beside backups, and say there, signed, what the further store has of the chain
 * @seen: what is behind this is looked at; NULL: all
 * @all: what is before it, too, by its names
 *
 * Links of the chain, checkpoints, records, the register of erasures, and the newest copies of the catalog. Blocks on both stores. What is there with another content is left as it
 * is, and noted (catalog_note_beside()). @target_failed: NULL, or whether it was the further store that failed. Return: 0; negative errno.
 */
int replica_make_beside(const struct replica_order *order, struct replica_beside *seen, bool all,
                        bool *target_failed, struct error *err);
/** replica_follow_chain() - remove from the further store the links of the chain that the first store has no more because one tells of them all, but for those that tell of copies that are still there (chain_compact_copy()).
 * @target_failed: as replica_make_beside(). */
int replica_follow_chain(const struct replica_order *order, bool *target_failed, struct error *err);
/** replica_store() - the number of the store of a section, which has one from now on. */
int replica_store(struct catalog *catalog, const struct conf_named_store *named, uint64_t *ret_id,
                  struct error *err);
/** replica_make() - make, or look at and complete, the replica of @path, and before it those of the packs that it needs, and note in the catalog what came of it. One that somebody else is at is waited
 * for. @target_failed: NULL, or whether it was the further store that failed. As replica_copy(). */
int replica_make(const struct replica_order *order, const char *path, bool *target_failed, struct error *err);
/** replica_verify() - read what the further store has of @path, and note what is found: one that is not right is REPLICA_LOST, and is made again. Return: 0; -EBADMSG: it is not right;
 * another negative errno. */
int replica_verify(const struct replica_order *order, const char *path, struct error *err);
/** replica_verify_packs() - the same of the packs that the copy of @path needs; those that are missing there are told. Return: 0; the first failure. */
int replica_verify_packs(const struct replica_order *order, const char *path, struct error *err);
/** replica_fetch() - the manifest of the copy of @path in @store, which is the further store of the number @id, as artifact_fetch(). Of a copy that keepfs has made it is the one that was put there, or
 * it is ARTIFACT_UNUSABLE. */
int replica_fetch(const struct repository *repository, struct store *store, uint64_t id,
                  const struct store_call *call, const char *path, struct manifest *ret, struct error *err);
/** replica_found_wrong() - somebody has read what the store @store has of @path, and it was not right, or not there: the copy is REPLICA_LOST, and is made again, or, where there is
 * nothing to make it of, REPLICA_WRONG. What prevents noting that is logged. */
void replica_found_wrong(const struct repository *repository, const char *path, uint64_t store,
                         const char *why);
/**
 * replica_bring_back() - copy @path from the further store into the one of the catalog, and list it; before it the packs that it needs and that are not there
 * @repair: it is listed, and what its own store has of it is wrong or missing: objects that are not right are replaced
 *
 * Return: 0; -ENOENT: the further store does not have it whole; -EEXIST: it is listed or in the trash already (without @repair); REPLICA_CONFLICT; another
 * negative errno.
 */
int replica_bring_back(const struct replica_order *order, const char *path, bool repair, struct error *err);
/** replica_compare() - hold the names in the further store against the catalog: what is lost there, what is there that nobody knew of (with reads_only, whatever is listed). One request for each thousand
 * manifests, and three for each that was not known. */
int replica_compare(const struct replica_order *order, struct error *err);
/**
 * replica_lock_all() - have every copy in the further store locked for as long as its rules are sure to keep it, and those held that somebody holds
 *
 * Where the store locks (object_lock). A request is made for what is due alone. What one copy refuses is noted, and holds up no other. @ret_failed: how many did. Return: 0; what the catalog, or all of the
 * store, failed with.
 */
int replica_lock_all(const struct replica_order *order, uint64_t *ret_failed, struct error *err);
/** replica_follow_holds() - have the further store say of each copy who holds its backup, as the store of the catalog does. Two requests for each that was ever held. @target_failed: whether it was
 * the further store that failed. */
int replica_follow_holds(const struct replica_order *order, bool *target_failed, struct error *err);
/** replica_clean() - remove from the further store what its rules do not keep any more, of what the store of the catalog does not have, and nobody holds by what is said there; what is locked there stays until its time is over, and is noted (keepfs/catalog/replica_locks.h). Then the packs that no copy there needs any more (keepfs/catalog/copy_needs.h), unless it is not sure what is needed (struct replica_order.unsure). @ret: how many of both. */
int replica_clean(const struct replica_order *order, uint64_t *ret, struct error *err);
/** replica_drop_abandoned() - remove from the further store what was begun there, or whose removal was, and whose artifact is not listed any more; what is whole there stays until the rules let it
 * go. One that somebody is just at is left for the next time, with those behind it. */
int replica_drop_abandoned(const struct replica_order *order, struct error *err);

struct replica_view;
/** struct replica_view_options - a copy that is to be read by itself; all borrowed for the call, but for the repository. */
struct replica_view_options {
	const struct repository *repository; /* that has it in @store; outlives the view */
	const char *state_dir;               /* where a directory is made for what is known of it */
	const char *path;                    /* of the artifact */
	uint64_t store;                      /* its number */
	struct cancel *cancel;
};
/** REPLICA_VIEW_PREFIX - of such directories in state_dir. */
#define REPLICA_VIEW_PREFIX "copy-"
/**
 * replica_view_new() - the copy of an artifact in a further store as a repository of its own, which has nothing else
 *
 * The packs that it needs are listed in it, too: one request for each. What is read of that repository comes from the further store alone, and what is noted of it is forgotten with the view. As long as it is there the copy is neither removed by the rules of its
 * store nor made anew. Blocks on the store. Return: 0; -ENOENT: the store has none that is whole, or not any more; -EBADMSG: its manifest is not right, which is noted as
 * replica_found_wrong() does; another negative errno.
 */
int replica_view_new(const struct replica_view_options *options, struct replica_view **ret,
                     struct error *err);
/** replica_view_repository() - borrowed; for reading alone. */
struct repository *replica_view_repository(struct replica_view *v);
/** replica_view_found_wrong() - its bytes are not those of the backup, or of the pack @pack that it needs (NULL: of the backup): replica_found_wrong() of it. */
void replica_view_found_wrong(const struct replica_view *v, const char *pack, const char *why);
/** replica_view_found_right() - all bytes of it, or of the pack @pack, were read just now, and are. What prevents noting that is logged. */
void replica_view_found_right(const struct replica_view *v, const char *pack);
/** replica_view_free() - NULL allowed; returns NULL. */
struct replica_view *replica_view_free(struct replica_view *v);
DEFINE_CLEANUP(replica_view, struct replica_view *, replica_view_free)
/** replica_view_clear() - remove the directory of a view that a crash has left. */
void replica_view_clear(const char *directory);

struct replicas;

/**
 * replicas_new() - a thread for each further store of a job's `copies`; it sleeps until something is to be done
 * @live: the configuration in force; borrowed, as @repository
 * @reads_only: of a reader: each thread only looks once an hour what its store has, so that copies/ shows it, and reads go on from there
 *
 * It listens to what is listed and removed: before any thread uses the repository.
 */
int replicas_new(struct repository *repository, struct conf_live *live, bool reads_only,
                 struct replicas **ret, struct error *err);
/** replicas_look() - the configuration was replaced, or somebody has changed what is wanted. Any thread; does not block. NULL allowed. */
void replicas_look(struct replicas *r);
/** replicas_look_beside() - something that lies beside backups was put into the store. Any thread; does not block. NULL allowed. */
void replicas_look_beside(struct replicas *r);
/** replicas_free() - gives up what it is at, which goes on after the next start. NULL allowed; returns NULL. */
struct replicas *replicas_free(struct replicas *r);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of this room share: an artifact's objects in the store. */
#include <keepfs/artifact.h>
#include <keepfs/store/proof.h>
#include <keepfs/chain.h>
#include <keepfs/artifact/stored.h>

#include <stdlib.h>

/** struct artifact_place - the store of one artifact, and its number */
struct artifact_place {
	struct store *store; /* the caller's store_free() */
	uint64_t id;
};
/** artifact_place() - as repository_store_of(). */
int artifact_place(const struct repository *repo, const char *path, struct artifact_place *ret,
                   struct error *err);
struct catalog_store;
/** artifact_is_credible() - may @m, which was found in a tenant's store, be listed? It is below that tenant's directory, of the job of exports, has no objects but
 * its own, and is of a run that there may have been: who writes there must neither make anybody else's backups appear, nor use up the numbers of runs. */
bool artifact_is_credible(const struct repository *repo, const struct catalog_store *at,
                          const struct manifest *m);
/** struct artifact_broken - stores of tenants that failed while several things were done: what else is there is not tried, so that one that does not
 * answer holds up the others only once. */
struct artifact_broken {
	uint64_t *ids;
	size_t count;
};
bool artifact_is_broken(const struct artifact_broken *b, uint64_t id);
/** artifact_note_broken() - nothing for the store that the catalog belongs to: without it nothing goes on anyway. */
void artifact_note_broken(struct artifact_broken *b, uint64_t id);
static inline void cleanup_artifact_broken(struct artifact_broken *b)
{
	free(b->ids);
}

/** artifact_learn_place() - the manifest @m, which was found in the store @id, has its number, listed or not: no other one gets it. */
int artifact_learn_place(const struct repository *repo, uint64_t id, const struct manifest *m,
                         struct error *err);
/** artifact_learn_numbers() - artifact_learn_place() of all manifests of a store that the catalog does not know: before a number is given out by one that may be older than the store. */
int artifact_learn_numbers(struct repository *repo, struct store *store, uint64_t store_id,
                           const struct store_call *call, struct error *err);
/** artifact_end_links() - the manifests of @path are gone from @place, or never came there: the chain is told (chain_end()). Before the catalog forgets the intent
 * or the tomb: what fails is done again with these. */
int artifact_end_links(const struct repository *repo, const struct artifact_place *place,
                       const struct store_call *call, const char *path, enum link_type how, int64_t run_id,
                       struct error *err);
/** struct artifact_trash - what the store knows of one in the trash. */
struct artifact_trash {
	int64_t at_us, until_us;
	bool says_until; /* else it is a guess */
	char by[128];
	char reason[512];
};
/* How long one stays whose mark does not say until when. */
#define ARTIFACT_TRASH_UNKNOWN_US (INT64_C(3) * 86400 * 1000000)
struct catalog_trashed;
/** artifact_trash_key(), artifact_holds_key() - heap: of the object that says that @path is in the trash, who holds it. */
char *artifact_trash_key(const char *path);
char *artifact_holds_key(const char *path);
/** artifact_path_of_mark() - heap: of the artifact that a key of artifact_trash_key() is of; NULL: it is none. */
char *artifact_path_of_mark(const char *key);
/** artifact_follow_trashed() - is the listed artifact @path the one that the store says is in the trash? Then it is not listed any more. */
int artifact_follow_trashed(struct repository *repo, struct store *store, const struct store_call *call,
                            const char *path, struct error *err);
/** artifact_forget() - what is listed as @ino was removed by somebody else: it goes from the catalog, and that is told. */
int artifact_forget(struct repository *repo, uint64_t ino, struct error *err);
/** artifact_trash_mark() - tell the store; artifact_trash_mark_all() - of all that it does not know of. */
int artifact_trash_mark(struct repository *repo, const struct store_call *call,
                        const struct catalog_trashed *t, struct error *err);
int artifact_trash_mark_all(struct repository *repo, const struct store_call *call, struct error *err);
/** artifact_trash_unmark() - the store says no longer that @path is in the trash: its mark is removed or, where the store lets
 * nothing be removed, replaced by one that is about nothing. */
int artifact_trash_unmark(struct repository *repo, const char *path, struct error *err);
/** artifact_trash_read() - the store's mark that says that the artifact @m is in the trash; -ENOENT: there is none, or it is
 * about another one of that path, or cannot be understood: then nobody can say that this one was removed. */
int artifact_trash_read(struct store *store, const struct store_call *call, const struct manifest *m,
                        int64_t now_us, struct artifact_trash *ret, struct error *err);
/** struct artifact_holds - those that the store knows of one artifact. */
struct artifact_holds {
	struct catalog_hold *items; /* heap */
	size_t count;
	bool understood; /* false: one of the name "unreadable" stands for whatever was written there */
};
/** artifact_holds_read() - -ENOENT: the store has no object for the holds of @path. */
int artifact_holds_read(struct store *store, const struct store_call *call, const char *path,
                        struct artifact_holds *ret, struct error *err);
/** artifact_holds_learn() - of one that is listed: what the store knows and the catalog does not is taken over. A catalog that was
 * put back is older than the store, and that of a second host has never heard of it. */
int artifact_holds_learn(struct repository *repo, uint64_t ino, const char *path, struct error *err);

/* Below. */
struct marks_lookup;
/** struct artifact_marks - what the store knows of an artifact beside its manifest. Not to be copied. */
struct artifact_marks {
	struct catalog_marks known; /* for the catalog; points into the rest */
	struct artifact_holds holds;
	struct artifact_trash trash;
	struct catalog_removal removal;
	bool is_held;      /* somebody holds it */
	bool is_trashed;   /* the store has a mark that says so */
	bool is_overruled; /* and somebody holds it, so it is not */
};
/** artifact_marks_read() - before the artifact @m is listed. @names: NULL asks for each by itself. A failure of the store is
 * one: what is not known must not be taken for nothing. */
int artifact_marks_read(struct store *store, const struct store_call *call, const struct manifest *m,
                        int64_t now_us, struct marks_lookup *names, struct artifact_marks *ret,
                        struct error *err);
void artifact_marks_finish(struct artifact_marks *marks);
static inline void cleanup_artifact_marks(struct artifact_marks *marks)
{
	artifact_marks_finish(marks);
}
/** artifact_marks_clear() - when it is listed: a mark that was overruled goes. What fails is logged. */
void artifact_marks_clear(struct store *store, const struct store_call *call, const char *path,
                          const struct artifact_marks *marks);
#define ARTIFACT_IS_ANOTHER  1
#define ARTIFACT_HAS_CHANGED 2
/** artifact_take_objects() - have the catalog list the objects that @m has now, of an artifact that another keepfs may have rewrapped. Return: 0: it did already;
 * ARTIFACT_HAS_CHANGED: it does now; ARTIFACT_IS_ANOTHER: the one that is listed is not the one of @m, and stays; negative errno. */
int artifact_take_objects(struct repository *repo, const struct manifest *m, struct error *err);
struct store_object;
/** struct artifact_seen - which objects manifests were that have been read, for catalog_note_manifests(): a page of them at once, since there may be very many. Begun with zeroes;
 * artifact_seen_finish() forgets what artifact_seen_flush() has not noted, so that it is read once more. */
struct artifact_seen {
	struct catalog_manifest_mark *marks; /* heap */
	size_t count;
};
/** artifact_mark_object() - fill in what tells the object from others that take its place: its etag. Where the store has none, its size: a manifest that was rewrapped nearly
 * always has another one. */
void artifact_mark_object(const struct store_object *object, struct catalog_manifest_mark *ret);
int artifact_seen_add(struct repository *repo, struct artifact_seen *seen,
                      const struct catalog_manifest_mark *mark, struct error *err);
int artifact_seen_flush(struct repository *repo, struct artifact_seen *seen, struct error *err);
void artifact_seen_finish(struct artifact_seen *seen);
/** artifact_fetch_object() - artifact_fetch() that tells which object the manifest is, in @ret_object. */
int artifact_fetch_object(const struct repository *repo, struct store *store, const struct store_call *call,
                          const char *path, struct manifest *ret, struct store_object *ret_object,
                          struct error *err);
#define ARTIFACT_REFUSED    1
#define ARTIFACT_LOCKS_MORE 1
/** struct artifact_lock_turn - how far all that is due about locks was worked off, over several attempts. Begun with zeroes. */
struct artifact_lock_turn {
	uint64_t after; /* the last that was looked at; 0: it begins */
	bool failed;    /* out: something of it is left; the caller takes it back when the turn is over */
};
/**
 * artifact_settle_locks() - what is due about locks (keepfs/catalog/locks.h), so many at once, each once in a turn: those that fail hold up no others
 *
 * Return: 0: the turn is over, and the next one begins anew; ARTIFACT_LOCKS_MORE; negative errno.
 */
int artifact_settle_locks(struct repository *repo, const struct store_call *call,
                          struct artifact_lock_turn *turn, struct error *err);
/** struct artifact_proofs_turn - the same of links of the chain and checkpoints. Begun with zeroes. */
struct artifact_proofs_turn {
	uint64_t store;
	bool begun; /* the store is being looked at */
	struct store_proofs_turn look;
	bool failed; /* out: as above; a store did not answer */
};
/** artifact_lock_proofs() - lock links of the chain and checkpoints of all stores for as long as what they prove something about is locked, and two years from now, where one may be due. Return: as
 * artifact_settle_locks(). */
int artifact_lock_proofs(struct repository *repo, const struct store_call *call,
                         struct artifact_proofs_turn *turn, struct error *err);
/** struct artifact_old_names - the keys of an artifact, to tell those of other generations; @m is borrowed. */
struct artifact_old_names;
struct artifact_old_names *artifact_old_names_new(const struct manifest *m);
void artifact_old_names_free(struct artifact_old_names *names); /* NULL allowed */
/** artifact_is_old_object() - is @key that of one of its objects as of another generation than its manifest names? */
bool artifact_is_old_object(const struct artifact_old_names *names, const char *key);
/** artifact_tell_rewrapped() - have all events told. */
void artifact_tell_rewrapped(const struct repository *repo, const struct manifest *m);
/** artifact_settle_rewraps() - what a crash, or a store that did not answer, has left of artifacts that were rewrapped is brought to one of its two ends, and old objects are
 * removed as far as that is possible now. *@ret_left: something failed, and is tried again; what is in use, or locked, is not counted. */
int artifact_settle_rewraps(struct repository *repo, const struct store_call *call, bool *ret_left,
                            struct error *err);
/** artifact_stored_lock() - how the store has locked @path, by its manifest; all zero where nothing is ever locked. Fills in the present lock terms of the store. */
int artifact_stored_lock(struct repository *repo, struct store *store, const struct store_call *call,
                         const char *path, struct store_lock *ret, struct error *err);
/** artifact_hold_objects() - set the legal hold of all objects of @m but its manifest. */
int artifact_hold_objects(struct store *store, const struct store_call *call, const struct manifest *m,
                          struct error *err);
/** artifact_follow_hold() - a hold was set or has ended: the legal hold of its objects follows. What fails is logged, and the tidier's. */
void artifact_follow_hold(struct repository *repo, uint64_t ino, const char *path);
/** artifact_check_unlocked() - may the store delete @path now? A legal hold that nobody wants any more is taken off. -EPERM, with the
 * date: not yet. No request is made where nothing was ever locked. */
int artifact_check_unlocked(struct repository *repo, struct store *store, const struct store_call *call,
                            uint64_t ino, const char *path, struct error *err);
/** artifact_delete_all() - artifact_delete(), and what the store knows beside of the removed @ino; -ENOENT: the catalog says
 * that it has come to its end; ARTIFACT_REFUSED: the store has forbidden to begin, so it is listed again (@err says why). A failure
 * is noted in the catalog. */
int artifact_delete_all(struct repository *repo, const struct store_call *call, uint64_t ino,
                        const char *path, struct error *err);
/** artifact_list_again() - the tomb @ino is no longer one, in the trash or not, and that is told; -ENOENT: there is none, or
 * its deletion has come to its end. */
int artifact_list_again(struct repository *repo, uint64_t ino, struct error *err);
/** artifact_tell_listed() - have all events told. */
void artifact_tell_listed(const struct repository *repo, const struct manifest *m);
/** artifact_left() - something was left in the store: have the tidier, if there is one, try again. */
void artifact_left(struct repository *repo);
/** artifact_claim_removal() - from here on, until artifact_end_claim(), nobody begins to read @ino for whom it would have to stay; -EBUSY:
 * somebody does already. */
int artifact_claim_removal(struct repository *repo, uint64_t ino, const char *path, struct error *err);
void artifact_end_claim(struct repository *repo, uint64_t ino);
/** artifact_lock_packs_of() - @m was listed just now: have the packs that it needs locked as long as it is. Some six requests for each that is not yet, several at once; what cannot be done is noted,
 * and tried again by the tidier. */
void artifact_lock_packs_of(struct repository *repo, const struct manifest *m, struct cancel *cancel);
/** artifact_begin_collecting() - a pack of @job is about to be removed; false: a run builds on them. artifact_end_collecting() ends it. */
bool artifact_begin_collecting(struct repository *repo, const char *job);
void artifact_end_collecting(struct repository *repo, const char *job);
/** ARTIFACT_MOVES - in place of a run's number: artifact_let_go() of artifact_claim_move(). */
#define ARTIFACT_MOVES (-2)
/** artifact_claim_move() - its objects are about to be moved into another storage class; -EBUSY: it is being removed or rewrapped, or somebody reads it, who could not go on where it is @frozen. */
int artifact_claim_move(struct repository *repo, uint64_t ino, const char *path, bool frozen,
                        struct error *err);
/** artifact_claim_rewrap() - artifact_keep() for the one run that rewraps @ino; -EBUSY: another one does, or it is being removed. */
int artifact_claim_rewrap(struct repository *repo, uint64_t ino, int64_t run_id, const char *path,
                          struct error *err);
/** artifact_claim_old_objects() - artifact_claim_removal() of what @ino had before it was rewrapped; false: somebody may still read it, and the tidier is told
 * when that has ended. */
bool artifact_claim_old_objects(struct repository *repo, uint64_t ino);

/** artifact_removal_begin(), artifact_removal_end() - between them the caller removes artifact @ino, goes on with that, or
 * brings it back, and whoever would try the same leaves it alone: when one of two has ended a removal, the name may be used
 * again while the other one still deletes below it. artifact_removal_try() - false: somebody is at it. */
void artifact_removal_begin(struct repository *repo, uint64_t ino);
bool artifact_removal_try(struct repository *repo, uint64_t ino);
void artifact_removal_end(struct repository *repo, uint64_t ino);
/** artifact_settle() - bring tombstones, and intents whose run has ended, to their end; what the store does not answer
 * for is counted as left, intents of runs that have not ended in *@live. */
int artifact_settle(struct repository *repo, struct cancel *cancel, struct artifact_recovery *counts,
                    unsigned *live, struct error *err);
/** artifact_tidier_start() - artifact_tidier_new() that waits @first_ms before its first attempt, and @compare_ms before
 * it compares (0: never). */
int artifact_tidier_start(struct repository *repo, int64_t first_ms, int64_t compare_ms,
                          struct artifact_tidier **ret_tidier, struct error *err);
/** artifact_is_foreign() - 1 when a manifest below the stem of @path is another keepfs's, as far as its path
 * and the number of its run tell; 0 when it is not, or there is none; -EBADMSG when it cannot be used, so that
 * nothing below the stem may be deleted. */
int artifact_is_foreign(const struct repository *repo, struct store *store, const struct store_call *call,
                        const char *path, int64_t run_id, struct error *err);
/** struct listing - the objects under a prefix, one after the other, a page in memory. */
struct listing {
	struct store *store;
	const struct store_call *call;
	const char *prefix;
	const char *start_after; /* only keys greater than this; NULL: all */
	struct store_object *page;
	size_t count, at;
	bool ended;
};

/** listing_peek() - the next object (borrowed until listing_pop()), or NULL at the end. */
int listing_peek(struct listing *l, const struct store_object **ret_object, struct error *err);
void listing_pop(struct listing *l);
void listing_finish(struct listing *l);
static inline void cleanup_listing(struct listing *l)
{
	listing_finish(l);
}

/**
 * struct lookup - objects asked for by name, nearly in the order of their keys, for a request in many
 *
 * A page of the listing answers for all keys between where it begins and its last one: that an object is there, and that
 * none is. A key that it does not cover brings the next page, which begins at that key.
 */
struct lookup {
	struct store *store;
	const struct store_call *call;
	const char *prefix; /* of all that is asked for */
	struct store_object *page;
	size_t count;
	char *after;                /* the page holds what comes behind this; NULL: there is no page */
	bool ended;                 /* nothing comes behind its last one */
	struct store_object single; /* what the store was asked for alone */
};

/** lookup_find() - 0 and the object (borrowed until the next call); -ENOENT; another negative errno. */
int lookup_find(struct lookup *l, const char *key, const struct store_object **ret_object, struct error *err);
void lookup_finish(struct lookup *l);

struct marks_lookup {
	struct lookup holds, trash;
};

/** artifact_is_directory_path() - is an artifact of @path a directory? It has no suffix then. */
bool artifact_is_directory_path(const char *path);
/** artifact_prefix() - heap: what the keys of all objects begin with that an artifact of @path has. */
char *artifact_prefix(const char *path);

struct artifact_match {
	/* An object among the artifact's that its manifest does not name; NULL: do not care. A negative errno
	 * ends the matching. */
	int (*unknown)(void *arg, const char *key, struct error *err);
	void *arg;
	/* Where an object is looked up that is not in its place; NULL: the store is asked for it alone. */
	struct lookup *lookup;
	/* Out: what is wrong, "" when nothing is. With @broken the backup itself, else only a file beside
	 * it. */
	struct str problem;
	bool broken;
};

/**
 * artifact_match() - hold a listing against what @m says of its objects: each is there and has its size
 * @l: stands at the first key from artifact_prefix() on, and is moved behind the last
 *
 * An object that is not listed in its place is looked up by name before it counts as missing. Return: 0;
 * negative errno when the store failed.
 */
int artifact_match(struct listing *l, const struct manifest *m, struct artifact_match *match,
                   struct error *err);
/** artifact_check_objects() - artifact_match() of one artifact, with a listing of its own. */
int artifact_check_objects(struct store *store, const struct store_call *call, const struct manifest *m,
                           struct artifact_match *match, struct error *err);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The chain: each manifest that is published gets a number, and the hash of what has the number before it, and is signed. What happens to a manifest later
 * (it is removed, a number was never used, another key signs) is a link of the same chain, a small signed object of its own. So whoever has the public
 * key can tell from the store alone whether something is missing, was added, put back or changed (keepfs/chain/prove.h). Formats: docs/formats.md, "The chain".
 *
 * There is one chain for each store that this keepfs writes into, and none knows of another: what lies in a tenant's bucket must not tell how much is made for
 * others, and each store can be proven alone.
 *
 * A number and the hash before it are given out in one transaction of the catalog, with the object that is to be written. So several can publish at once without
 * waiting for one another's requests, and a crash at any moment leaves a number of which the catalog knows what it was for: chain_finish_waiting() puts what was
 * not put, and the end of an intent or of a tomb says what became of a manifest.
 *
 * Where @c is NULL, or has no key that signs, nothing is signed and all calls succeed. Any thread. They block on the store.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/link.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/store.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct signing;
struct chain;

/** chain_new() - both are borrowed. */
struct chain *chain_new(struct catalog *catalog, struct signing *signing);
/** chain_free() - NULL allowed; returns NULL. */
struct chain *chain_free(struct chain *c);
DEFINE_CLEANUP(chain, struct chain *, chain_free)

/** struct chain_at - where the chain is. */
struct chain_at {
	uint64_t id;         /* of the store: keepfs/catalog/stores.h */
	struct store *store; /* borrowed */
	const struct store_call *call;
};

/** chain_set_compaction() - when chain_tidy() compacts: links that are older than @age_ms (0: never), and so many of them at least. Any thread. @c may be NULL. */
void chain_set_compaction(struct chain *c, int64_t age_ms, int64_t least);

/** chain_set_doubted(), chain_is_doubted() - whether the store may have numbers that the catalog does not know, since it did not answer at the start: nothing is told to be gone before it did.
 * Any thread. @c may be NULL. */
void chain_set_doubted(struct chain *c, bool is_doubted);
bool chain_is_doubted(const struct chain *c);
/**
 * chain_read_numbers_by() - have @numbers called for a store before the first number is given out there
 *
 * It has to tell the catalog the numbers of all manifests that the store has and the catalog does not list (catalog_chain_learn()). Before other threads use @c, which may be NULL.
 */
void chain_read_numbers_by(struct chain *c,
                           int (*numbers)(void *arg, const struct chain_at *at, struct error *err),
                           void *arg);
/** chain_signing() - the keys that it was made with: borrowed; NULL of NULL. */
struct signing *chain_signing(struct chain *c);

/** chain_listen() - have @put called when a link was put into a store, on the thread that has put it; it must not block. Before other threads use @c, which may be NULL. */
void chain_listen(struct chain *c, void (*put)(void *arg), void *arg);

/**
 * chain_ready() - the chain of this store can be gone on with: it was read from the store where the catalog knows none, was begun where there is none, is signed
 * by the present key, and the store has all that was given out
 *
 * For a start and a reload; all that follows does it by itself. A failure of the store is one.
 */
int chain_ready(struct chain *c, const struct chain_at *at, struct error *err);
/**
 * chain_sign() - give @m the next number, and append its signed text to @text
 *
 * 0; 1: nothing is signed, @text is as it was. From here on the number is spoken for: the artifact is listed (which notes it), or chain_end() says that it is void.
 */
int chain_sign(struct chain *c, const struct chain_at *at, struct manifest *m, struct str *text,
               struct error *err);
/** chain_end() - the manifests of @path are gone (LINK_REMOVED), or never came to be (LINK_VOID): write the link that says so, if there were any.
 * @run_id: of an artifact that may be from before the chain, and is not signed; 0: it is none. Can be repeated after a failure. */
int chain_end(struct chain *c, const struct chain_at *at, const char *path, enum link_type how,
              int64_t run_id, struct error *err);
/**
 * chain_returned() - the manifest @m, which the chain says is gone, is in the store again because somebody who may do that has brought it back: write the link that says so
 *
 * Nothing is written where nobody has said that it is gone, nor of a manifest of another chain. Can be repeated after a failure, and after a crash. Only what somebody has ordered may be told to
 * this: what merely lies in the store again may be put there by whoever can write into it.
 */
int chain_returned(struct chain *c, const struct chain_at *at, const struct manifest *m, struct error *err);
/** chain_has_key() - is there a key that signs? Of NULL: no. */
bool chain_has_key(struct chain *c);
/**
 * chain_sign_again() - append the signed text of @m, whose manifest is in the store, and is to be replaced by this one under its path and its number
 *
 * 0; 1: it has no number, since it is from before the chain: @text is as it was; -ENOKEY (ERROR_USAGE): it is signed, and there is no key here. The catalog is left alone:
 * chain_rewritten() tells that, behind the manifest.
 */
int chain_sign_again(struct chain *c, struct manifest *m, struct str *text, struct error *err);
/** chain_rewritten() - the store has @m now (as decoded, or signed again) in place of another one of its number: write the link that says so, unless that was done.
 * Can be repeated after a failure, and after a crash. -ENOKEY (ERROR_USAGE): it is signed, and there is no key to say it with. One that is not signed is named when there is a key again. */
int chain_rewritten(struct chain *c, const struct chain_at *at, const struct manifest *m, struct error *err);
/**
 * chain_know_numbers() - all numbers are known that the store has: of links, of what is listed, of what is not
 *
 * A catalog that is older than the store (a snapshot that was put back), or that was made anew without the keys, would give some out again, and nothing could be proven any more. Asked once for each store and
 * process: who holds the lease is the only one to give out any. Nothing is asked where nothing is signed.
 */
int chain_know_numbers(struct chain *c, const struct chain_at *at, struct error *err);
/** chain_finish_waiting() - put what was given out, and is not there yet. */
int chain_finish_waiting(struct chain *c, const struct chain_at *at, struct error *err);
/** chain_learn() - read the links that the store has behind the last one that the catalog knows. Links that nobody can be believed to have signed are passed over and
 * counted in @ret_problems, which may be NULL. */
int chain_learn(struct chain *c, const struct chain_at *at, uint64_t *ret_problems, struct error *err);
/**
 * chain_name_unsigned() - have a link say of manifests that are not signed what they are: of those that the first link names, and of those that were made while signing was off. Such as are
 * signed, and were listed while no key was known, are noted to be links.
 * @most: so many are read from the store at most
 *
 * Nothing is done where nothing is signed, or where there is no chain yet.
 */
int chain_name_unsigned(struct chain *c, const struct chain_at *at, unsigned most, struct error *err);

/** struct chain_compaction - when links are replaced by one. */
struct chain_compaction {
	int64_t before_us; /* only what was made before */
	size_t least;      /* and only where so many links can go */
};
/**
 * chain_compact() - have one link tell of all numbers up to one which of them are still there, and remove those links that it makes superfluous
 *
 * Only where every one of these numbers is accounted for: what is missing must not be said to have been removed. What a crash, or a store that refused, has left of an earlier one is removed
 * first. One thread at a time. Reads all links where some can go, else lists them and reads two.
 * Return: 0, *@ret_removed: so many objects were removed; -EBADMSG: something is missing, or a link is not believed (@err says what); another negative errno.
 */
int chain_compact(struct chain *c, const struct chain_at *at, const struct chain_compaction *when,
                  uint64_t *ret_removed, struct error *err);
/** struct chain_copy - a store that has copies, and the one whose chain it has; all borrowed. */
struct chain_copy {
	struct store *store, *main;
	const struct store_call *call;
	/* Has @store something of the artifact @path? What is doubtful counts as there. */
	bool (*holds)(void *arg, const char *path);
	void *arg;
};
/**
 * chain_compact_copy() - remove from a store of copies the links that chain_compact() has removed from the first store
 *
 * But for those that tell of a copy that is still there, which goes by the rules of its own store. Only what the newest link that tells of a range says is gone is looked at, and only when both stores have that link.
 * Lists the links of both stores, and reads those that could go. What the store does not let go stays until the next time. Return: 0, *@ret_removed: so many objects were removed; negative errno.
 */
int chain_compact_copy(struct chain *c, const struct chain_copy *copy, uint64_t *ret_removed,
                       struct error *err);
/** chain_tidy() - once a day: chain_name_unsigned() of all, and chain_compact() as chain_set_compaction() says. What fails is logged. */
void chain_tidy(struct chain *c, const struct chain_at *at, int64_t now_us);
/**
 * chain_believe() - is @m, which was decoded from this text, what somebody has written whose key is known?
 *
 * Without any keys nothing is asked. 0, and @m->is_proven if it is signed; -EBADMSG (ERROR_CORRUPT): its signature is wrong, or of a key that is not known, or
 * missing although signing had begun when it was made.
 */
int chain_believe(struct chain *c, struct manifest *m, const char *json, size_t len, struct error *err);
/**
 * chain_say_copied() - put what the store @copy, which has copies, has of the chain of the catalog's store (keepfs/codec/copied.h)
 * @name: of it, for people
 * @said: NULL, or a hash of what was last said, SHA256_HEX_BYTES, "" at first: the same is not put again
 *
 * All links that were put into the catalog's store must be there before this is called. Return: 0, also when there was nothing new to say; 1: nothing is signed; a failure of catalog or store.
 */
int chain_say_copied(struct chain *c, const struct chain_at *copy, const char *name, char *said,
                     struct error *err);

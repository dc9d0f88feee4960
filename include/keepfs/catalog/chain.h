// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The chains of what is signed, one for each store (keepfs/chain.h): where each ends, whose manifest each link is, and the objects that
 * the store may not have yet. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/sign.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

/** struct catalog_chain - of one store. */
struct catalog_chain {
	char id[CHAIN_ID_BYTES]; /* "": there is none yet */
	int64_t sequence;        /* of its last link */
	char hash[SHA256_HEX_BYTES];
	struct sign_public key; /* that signs; its id "": nobody knows */
	int64_t begun_at_us;    /* when the first link was made; 0: not known */
	int64_t compacted; /* the number of the link that tells of the longest range of numbers; 0: there is none */
};
/** catalog_chain() - of the store @store; -ENOENT: it has none. */
int catalog_chain(struct catalog *c, uint64_t store, struct catalog_chain *ret);
/** catalog_chain_oldest() - when the first of all chains began; -ENOENT: there is none. */
int catalog_chain_oldest(struct catalog *c, int64_t *ret_begun_at_us);
/** catalog_each_chain() - call @row with the store of each. Each is a query of its own, so @row may call the catalog; what it returns ends it, if it is not 0. */
int catalog_each_chain(struct catalog *c, int (*row)(void *arg, uint64_t store, struct error *err), void *arg,
                       struct error *err);

/** struct catalog_chain_given - the next link, as whoever makes it says. */
struct catalog_chain_given {
	struct chain_place place; /* with its hash */
	const char
	        *path; /* of the artifact whose manifest it is: borrowed; NULL: it is an object of its own */
	char *body;    /* that object: heap, the catalog's from here on */
	const struct sign_public *key; /* that signs from here on: borrowed; NULL: the same as before */
	int64_t begun_at_us;           /* of the first one */
	bool is_compacted;             /* it tells of all numbers up to one */
	const char *
	        ends; /* the path of the artifact whose links are said to be gone by this: borrowed; NULL: none's */
	int64_t ends_run_id; /* that made it, where it is not signed: as catalog_unsigned_gone(); 0: it is signed */
	/* The manifest with this number has another content, and this hash now: borrowed; NULL: none has. */
	const struct chain_place *rewritten;
	/* This manifest is in the store again, as a link of its own number: borrowed; NULL: none is. */
	const struct manifest *returned;
};
/** CATALOG_CHAIN_NOT_NEEDED - what @make returns when there is nothing to be given out. */
#define CATALOG_CHAIN_NOT_NEEDED 1
/**
 * catalog_chain_give() - give out the next number of the chain of @store, in one transaction
 * @make: called within the transaction, with the chain as it is (its id "" when there is none); must not call the catalog, nor block for anything
 *
 * Return: 0; CATALOG_CHAIN_NOT_NEEDED; a negative errno of the catalog, or of @make. A body is there from here on until catalog_chain_written().
 */
int catalog_chain_give(struct catalog *c, uint64_t store,
                       int (*make)(void *arg, const struct catalog_chain *at, struct catalog_chain_given *ret,
                                   struct error *err),
                       void *arg, struct error *err);
struct catalog_unsigned;
/**
 * catalog_chain_give_named() - the same of a link that names manifests that are not signed
 *
 * Within the transaction, and before @make is called, is_gone is set of those of @named that are not listed any more, or of which a link has said that they are gone: they were
 * removed since whoever makes the link looked. @make leaves them out, and the others are noted as by catalog_unsigned_note(). So of two links of which one names a manifest, and the
 * other one says that it is gone, the latter always has the higher number.
 */
int catalog_chain_give_named(struct catalog *c, uint64_t store, struct catalog_unsigned *named, size_t count,
                             int (*make)(void *arg, const struct catalog_chain *at,
                                         struct catalog_chain_given *ret, struct error *err),
                             void *arg, struct error *err);
/** catalog_chain_waiting() - the first object of @store that may not be there yet: its sequence, and the object (heap); -ENOENT: there is none. */
int catalog_chain_waiting(struct catalog *c, uint64_t store, int64_t *ret_sequence, char **ret_body);
/** catalog_chain_written() - the store has it. */
int catalog_chain_written(struct catalog *c, uint64_t store, int64_t sequence, struct error *err);
/** catalog_chain_links_of() - call @row for each link that is a manifest of @path and of which nobody has said that it is gone. */
int catalog_chain_links_of(struct catalog *c, uint64_t store, const char *path,
                           void (*row)(void *arg, int64_t sequence, const char *hash), void *arg);
/** catalog_chain_learn() - a link was found in the store: the chain is at least so long. @key: of the one that signs from there on, or NULL; @begun_at_us: of the first one, or 0. One of another chain is left alone. */
int catalog_chain_learn(struct catalog *c, uint64_t store, const struct chain_place *place,
                        const struct sign_public *key, int64_t begun_at_us, struct error *err);
/** catalog_chain_learn_gone() - a link that was found in the store says that the link @sequence is gone. */
int catalog_chain_learn_gone(struct catalog *c, uint64_t store, int64_t sequence, struct error *err);
/** catalog_chain_note_artifact() - the manifest @m of an artifact that is listed is a link, and is proven. */
int catalog_chain_note_artifact(struct catalog *c, uint64_t store, const struct manifest *m,
                                struct error *err);
/** catalog_chain_learn_compacted() - the link @by says that of the numbers up to @to those of @kept, in order, are still there, and no others. */
int catalog_chain_learn_compacted(struct catalog *c, uint64_t store, int64_t by, int64_t to,
                                  const int64_t *kept, size_t count, struct error *err);
/** catalog_chain_each_link() - call @row for each link up to @to that is a manifest of which nobody has said that it is gone, in order. All are borrowed for the call. */
int catalog_chain_each_link(struct catalog *c, uint64_t store, int64_t to,
                            void (*row)(void *arg, int64_t sequence, const char *hash, const char *path),
                            void *arg);

/** catalog_chain_add_key() - a key that signed before is to be believed, because the one that signs now says so. */
int catalog_chain_add_key(struct catalog *c, const struct sign_public *key, struct error *err);
/** catalog_chain_key() - of that name; -ENOENT. */
int catalog_chain_key(struct catalog *c, const char *id, struct sign_public *ret);

/** catalog_has_as() - 1: the artifact of @m is listed, in the trash, or being deleted, and has the run, size and SHA-256 that @m says; 0: not so; negative errno. */
int catalog_has_as(struct catalog *c, const struct manifest *m);

/** struct catalog_unsigned - an artifact whose manifest is not signed, for a link that says what it is. */
struct catalog_unsigned {
	const char *path, *sha256; /* borrowed for the call */
	int64_t run_id;
	uint64_t size_bytes;
	const char *manifest; /* borrowed: the SHA-256 of its manifest; NULL: not known */
	bool is_gone;         /* catalog_chain_give_named() */
};
/** catalog_each_artifact_of() - call @row for each that the store @store has, those in the trash included. */
int catalog_each_artifact_of(struct catalog *c, uint64_t store,
                             void (*row)(void *arg, const struct catalog_unsigned *artifact), void *arg);

/* What links say of manifests that are not signed. */

/** catalog_unsigned_note() - the link with the number @link names these. @is_newest: the links that came behind it are known; else what is known of a path by a newer one stays, unless that does not
 * have the manifest's SHA-256, and this has. */
int catalog_unsigned_note(struct catalog *c, uint64_t store, const struct catalog_unsigned *artifacts,
                          size_t count, int64_t link, bool is_newest, struct error *err);
/** catalog_unsigned_gone() - the link with the number @link says that the one of @path that the run @run_id has made is gone. */
int catalog_unsigned_gone(struct catalog *c, uint64_t store, const char *path, int64_t run_id, int64_t link,
                          struct error *err);

/** catalog_unsigned_returned() - the link with the number @link says that the one of @path that the run @run_id has made is there again; nothing where a newer one is known. */
int catalog_unsigned_returned(struct catalog *c, uint64_t store, const char *path, int64_t run_id,
                              int64_t link, struct error *err);
/** catalog_unsigned_loosen() - the one of @path that the run @run_id has made has another manifest now, and there was no key to say so: it is named again when there is one. */
int catalog_unsigned_loosen(struct catalog *c, const char *path, int64_t run_id, struct error *err);

enum catalog_unsigned_state {
	CATALOG_UNSIGNED_UNKNOWN,   /* no link names one of that path */
	CATALOG_UNSIGNED_NAMED,     /* it is what a link names */
	CATALOG_UNSIGNED_OTHER,     /* a link names another one of that path */
	CATALOG_UNSIGNED_REWRAPPED, /* and this is the manifest that keepfs has put in place of that one (keepfs/catalog/rewraps.h), and no link names it yet */
	CATALOG_UNSIGNED_GONE, /* a link names it, and a later one says that it is gone: somebody may have brought it back */
};
/** catalog_unsigned_is() - what links of whichever store say of @m, whose bytes have the SHA-256 @manifest: as above; negative errno. */
int catalog_unsigned_is(struct catalog *c, const struct manifest *m, const char *manifest);
/**
 * catalog_unsigned_next() - the next artifact behind *@ino whose manifest is no link as far as the catalog knows, and of which no link has the SHA-256 of the manifest; *@ino is its
 * @ret_path: heap
 * @with_loose: those, too, that a link names without the SHA-256 of the manifest
 *
 * Of those from before @begun_at_us only what the first link names: what else is that old has been put there by somebody. Return: 0; -ENOENT: there is no more.
 */
int catalog_unsigned_next(struct catalog *c, uint64_t store, int64_t begun_at_us, bool with_loose,
                          uint64_t *ino, char **ret_path);

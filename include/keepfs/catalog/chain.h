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
	const char *
	        ends; /* the path of the artifact whose links are said to be gone by this: borrowed; NULL: none's */
	/* The manifest with this number has another content, and this hash now: borrowed; NULL: none has. */
	const struct chain_place *rewritten;
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

/** catalog_chain_add_key() - a key that signed before is to be believed, because the one that signs now says so. */
int catalog_chain_add_key(struct catalog *c, const struct sign_public *key, struct error *err);
/** catalog_chain_key() - of that name; -ENOENT. */
int catalog_chain_key(struct catalog *c, const char *id, struct sign_public *ret);

/** catalog_has_as() - 1: the artifact of @m is listed, in the trash, or being deleted, and has the run, size and SHA-256 that @m says; 0: not so; negative errno. */
int catalog_has_as(struct catalog *c, const struct manifest *m);

/** struct catalog_unsigned - an artifact, for the first link of a chain. */
struct catalog_unsigned {
	const char *path, *sha256; /* borrowed for the call */
	int64_t run_id;
	uint64_t size_bytes;
};
/** catalog_each_artifact_of() - call @row for each that the store @store has, those in the trash included. */
int catalog_each_artifact_of(struct catalog *c, uint64_t store,
                             void (*row)(void *arg, const struct catalog_unsigned *artifact), void *arg);

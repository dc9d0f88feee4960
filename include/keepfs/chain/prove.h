// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The proof: a store is held against its own chain, by whoever has the public keys and may read the store. It needs no catalog and no daemon, and it believes nothing but
 * signatures. What it cannot know is whether the end of the chain was cut off: for that somebody has to say how long it was.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/sign.h>
#include <keepfs/store.h>
#include <stdbool.h>
#include <stdint.h>

enum prove_kind {
	PROVE_MISSING,  /* a number of which nothing is there, and nothing says why */
	PROVE_ADDED,    /* it is not signed by a known key, or of another chain */
	PROVE_REPLAYED, /* it was removed, or is an older version of what should be there */
	PROVE_CHANGED,  /* its signature does not fit, or it is not what the next link was made behind */
	PROVE_MOVED,    /* it is the manifest of another path, or there twice */
	PROVE_CUT,      /* the chain is shorter than somebody knows it was */
	PROVE_OBJECT,   /* an object that a manifest names is not there, or other bytes */
	PROVE_KINDS
};
/** prove_kind_name() - "missing", "added", … */
const char *prove_kind_name(enum prove_kind kind);

/** struct prove_key - by which key how much is signed. */
struct prove_key {
	struct sign_public key;
	bool is_given;       /* else another key has vouched for it */
	uint64_t count;      /* of links */
	int64_t first, last; /* of their numbers */
};

/** struct prove_checkpoint - what somebody has seen of a chain before. */
struct prove_checkpoint {
	char id[CHAIN_ID_BYTES];     /* "": any */
	int64_t sequence;            /* 0: nothing was */
	char hash[SHA256_HEX_BYTES]; /* "": any */
};

/** PROVE_TEXTS_MAX - of what is wrong so much is told by @problem; all is counted. */
#define PROVE_TEXTS_MAX 10000

struct prove_options {
	const struct sign_public *keys;
	size_t key_count;
	struct prove_checkpoint expected; /* the chain reaches at least there */
	bool objects;                     /* read all objects that manifests name, too */
	const char *directory;            /* for what does not fit into memory; borrowed */
	bool copy; /* it has copies of another store: what that says of itself counts (keepfs/codec/copied.h) */
	unsigned threads; /* manifests, or objects, that are read at once */
	struct cancel *cancel;
	void (*problem)(void *arg, enum prove_kind kind, const char *text);
	void (*progress)(void *arg, uint64_t manifests); /* NULL: nobody wants to know */
	void *arg;
};

struct prove_result {
	char id[CHAIN_ID_BYTES]; /* of the chain; "": there is none */
	int64_t begun_at_us;     /* 0: its first link is missing */
	int64_t sequence;        /* of its last link, and its hash */
	char hash[SHA256_HEX_BYTES];
	uint64_t manifests; /* that are signed, by a known key */
	uint64_t links;     /* that are objects of their own */
	uint64_t gone;      /* numbers of which a link says that they were removed, or never used */
	uint64_t
	        before; /* manifests that are not signed, and of which links say that they are there: from before the chain, or made while signing was off */
	uint64_t loose; /* of these, such of whose manifest no link has the SHA-256 */
	uint64_t
	        superseded; /* links that another one has made superfluous, and that are there all the same */
	uint64_t objects, object_bytes; /* that were read */
	bool is_copy;           /* the store says that it has copies; without @copy that changes nothing */
	char copied_store[256]; /* which one it says that it is */
	int64_t copied_at_us,
	        copied_sequence; /* when it said so, and up to which number; 0: nothing usable */
	uint64_t kept; /* that are there although links say that they were removed from the first store */
	uint64_t elsewhere; /* numbers, and manifests from before the chain, that it says it never had */
	uint64_t problems[PROVE_KINDS];
	uint64_t problem_count;
	struct prove_key *keys; /* heap */
	size_t key_count;
};
void prove_result_finish(struct prove_result *r);

/**
 * chain_prove() - read all manifests and links of @store, and say what is wrong
 *
 * Memory: 20 MiB, a manifest for each thread, and a link; the rest is sorted in an unlinked file in @directory: some 200 bytes for each manifest and link. Where something seems to be wrong and the store was changed meanwhile, it is all read once more: keepfs
 * may be at work there. Return: 0 when everything was read, whatever was found; a failure of the store.
 */
int chain_prove(struct store *store, const struct prove_options *options, struct prove_result *ret,
                struct error *err);

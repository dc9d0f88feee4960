// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Links of a chain that are no manifests: small signed objects, chain/<sequence>.json, which say what has become of other links. Pure; any thread.
 * Format and promises: docs/formats.md, "The chain".
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/sign.h>

#define LINK_VERSION 1
#define LINK_MAX_BYTES                                                                                       \
	((size_t)64                                                                                          \
	 << 20) /* of the first one of a store with some hundred thousand backups; others have a few hundred bytes */
#define LINK_PREFIX "chain/"

enum link_type {
	LINK_BEGUN, /* the first of its chain; its entries are the artifacts that were there before, and are not signed */
	LINK_REMOVED,   /* manifests that are gone */
	LINK_VOID,      /* numbers that were given out and never used */
	LINK_REWRITTEN, /* manifests that have another content now, under their number */
	LINK_ROTATED,   /* another key signs from here on */
	LINK_UNSIGNED, /* manifests that are not signed and were there before the chain, or were made while signing was off: that these, and no others, are there */
	LINK_RETURNED, /* manifests that were gone, and are there again, by the order of whoever may */
	LINK_COMPACTED, /* of all numbers up to one, those whose manifest or link is still to be there: the others are gone */
	LINK_TYPES
};
/** link_type_name() - "begun", "removed", … */
const char *link_type_name(enum link_type type);

/** struct link_entry - what a link says of one artifact. */
struct link_entry {
	int64_t sequence; /* of its manifest, compacted: or link; 0: it is not signed, and from before the chain */
	char hash
	        [SHA256_HEX_BYTES]; /* of what was signed of that; begun, unsigned: the artifact's SHA-256, "": not known */
	char now[SHA256_HEX_BYTES]; /* rewritten: the same of what it is now; unsigned: of all bytes of the manifest */
	char *path;                 /* of the artifact; heap */
	int64_t run_id;             /* where @sequence is 0: that made it */
	uint64_t size_bytes; /* begun, unsigned: of the artifact */
};

struct link {
	enum link_type type;
	int64_t at_us;
	struct chain_place place;
	struct sign_public key,
	        old; /* begun, rotated: that signs from here on; rotated: that did before; id "": none */
	int64_t to;  /* compacted: the last number that it tells of, */
	char to_hash[SHA256_HEX_BYTES]; /* and the hash of that */
	struct link_entry *entries;
	size_t count;
	struct signature signature,
	        second; /* of one that was decoded; rotated: the second is the old key's; key "": there is none */
};
void link_finish(struct link *l);
static inline void cleanup_link(struct link *l)
{
	link_finish(l);
}
/** link_add() - an entry, zeroed but for a copy of @path. */
struct link_entry *link_add(struct link *l, const char *path);

/** link_key() - heap: "chain/000000000042.json". */
char *link_key(int64_t sequence);
/** link_sequence_of_key() - 0: @key is none of these. */
int64_t link_sequence_of_key(const char *key);

/** link_names_unsigned() - are its entries manifests that are not signed, and that are to be there? */
static inline bool link_names_unsigned(const struct link *l)
{
	return l->type == LINK_BEGUN || l->type == LINK_UNSIGNED;
}

/** link_encode() - what is to be signed; signature_append() ends it. */
void link_encode(const struct link *l, struct str *out);
/** link_decode() - -EBADMSG with a message that names @source; -ENOTSUP: a newer keepfs has written it. The signatures are not verified. */
int link_decode(const char *source, const char *json, size_t len, struct link *ret, struct error *err);
/** link_is_signed_by() - does @s, which is one of the signatures of this text, fit it and @key? */
bool link_is_signed_by(const struct signature *s, const struct sign_public *key, const char *json,
                       size_t len);

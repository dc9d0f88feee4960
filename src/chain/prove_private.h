// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What the files of the proof share. prove.c goes through the store, prove_links.c reads links, prove_objects.c what manifests name, prove_judge.c says what is wrong with what was read.
 * What grows with the store is in sorters (keepfs/base/sorter.h), whose records follow.
 */
#include <keepfs/base/sorter.h>

#include <keepfs/chain/prove.h>
#include <keepfs/codec/copied.h>
#include <keepfs/codec/link.h>

#include <pthread.h>

/* What has a number, and a signature that fits; the key of the object follows, with its end. */
struct seen {
	int64_t sequence;
	int64_t at_us;
	uint8_t hash[SHA256_BYTES], previous[SHA256_BYTES];
	bool is_link;
};
static inline const char *seen_key(const struct seen *s)
{
	return (const char *)(s + 1);
}

/* What a link says of another number. */
struct told {
	int64_t sequence;
	int64_t by;
	uint8_t hash[SHA256_BYTES], now[SHA256_BYTES];
	bool is_rewritten; /* it is there, with another content; */
	bool is_returned;  /* it was gone, and is there again; else it is gone */
	bool is_void;
};

enum bare_kind {
	BARE_NAMED, /* a link says that it is there, and is not signed */
	BARE_GONE,  /* and one that it is not any more */
	BARE_BACK,  /* and one that it was brought back */
	BARE_FOUND, /* it is there */
};
/* A manifest without a signature; its path follows, with its end. */
struct bare {
	enum bare_kind kind;
	int64_t by; /* the number of the link, or up to which a range tells; of one that was found: 0 */
	int64_t run_id;
	uint64_t size_bytes;
	char sha256[SHA256_HEX_BYTES];
	char manifest[SHA256_HEX_BYTES]; /* of all its bytes; "": the link does not say */
};
static inline const char *bare_path(const struct bare *b)
{
	return (const char *)(b + 1);
}

/* What the newest link says that tells of a range of numbers: the last one, and those that are to be there. */
struct prove_range {
	int64_t by, to;
	uint8_t to_hash[SHA256_BYTES];
	struct kept {
		int64_t sequence;
		uint8_t hash[SHA256_BYTES];
	} * kept; /* heap; in order */
	size_t count;
};

struct proof {
	struct store *store;
	const struct prove_options *options;
	struct store_call call;
	pthread_mutex_t lock; /* all that follows, while manifests are read */
	struct prove_result result;
	struct sorter *seen, *told, *bares;
	uint64_t read_unsigned;   /* manifests */
	struct copied copied;     /* what a store of copies says of itself; of sequence 0: nothing */
	struct prove_range range; /* by: 0: there is none */
	struct finding {
		enum prove_kind kind;
		char *text; /* heap */
	} * findings;       /* PROVE_TEXTS_MAX at most */
	size_t finding_count;
	int failed; /* the first failure, and what it was */
	struct error error;
};

/** proof_find() - something is wrong. Takes the lock. */
void proof_find(struct proof *p, enum prove_kind kind, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/** proof_key() - a key that is believed; NULL: there is none of that name. */
struct prove_key *proof_key(struct proof *p, const char *id);
/** proof_add_key() - false: it is known. */
bool proof_add_key(struct proof *p, const struct sign_public *key, bool is_given);
/** proof_count_key() - it has signed the number @sequence. */
void proof_count_key(struct prove_key *k, int64_t sequence);
/** proof_hash() - 64 hexadecimal digits as bytes. */
void proof_hash(const char *hex, uint8_t ret[static SHA256_BYTES]);
/** proof_note_seen(), proof_note_bare() - with the lock; a failure is noted in the proof. */
void proof_note_seen(struct proof *p, const char *key, const struct chain_place *place, int64_t at_us,
                     bool is_link);
void proof_note_bare(struct proof *p, const char *path, const struct bare *bare);
void proof_note_told(struct proof *p, const struct told *told);

typedef int (*page_fn)(struct proof *p, void *arg, const struct store_object *objects, size_t count,
                       struct error *err);
/** proof_each_page() - call @take for each page of the listing of @prefix. */
int proof_each_page(struct proof *p, const char *prefix, page_fn take, void *arg, struct error *err);

/** proof_read_links() - all of them. */
int proof_read_links(struct proof *p, struct error *err);
/** proof_read_objects() - where all bytes are asked for: those that @m names. Any thread. */
int proof_read_objects(struct proof *p, const struct manifest *m, struct error *err);
/** proof_read_copied() - what the store says that it has, if it is one of copies. For when all links were read. */
int proof_read_copied(struct proof *p, struct error *err);
/** proof_by_sequence(), proof_by_told(), proof_by_path() - the orders of the sorters. */
int proof_by_sequence(const void *a, const void *b);
int proof_by_told(const void *a, const void *b);
int proof_by_path(const void *a, const void *b);
/** proof_judge() - when everything was read. Negative errno: the sorters' file. */
int proof_judge(struct proof *p, struct error *err);

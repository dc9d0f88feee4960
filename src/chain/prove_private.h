// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of the proof share: prove.c reads the store, prove_judge.c says what is wrong with what was read. */
#include <keepfs/chain/prove.h>
#include <keepfs/codec/copied.h>
#include <keepfs/codec/link.h>

#include <pthread.h>

/* What has a number, and a signature that fits. */
struct seen {
	int64_t sequence;
	int64_t at_us;
	char *key; /* of the object; heap */
	uint8_t hash[SHA256_BYTES], previous[SHA256_BYTES];
	bool is_link;
};

/* What a link says of another number. */
struct told {
	int64_t sequence;
	int64_t by;
	uint8_t hash[SHA256_BYTES], now[SHA256_BYTES];
	bool is_rewritten; /* it is there, with another content; else it is gone */
	bool is_void;
};

/* A manifest without a signature; or what the first link says of one. */
struct bare {
	char *path; /* heap */
	int64_t run_id;
	uint64_t size_bytes;
	char sha256[SHA256_HEX_BYTES];
};

struct bares {
	struct bare *items;
	size_t count;
};

struct proof {
	struct store *store;
	const struct prove_options *options;
	struct store_call call;
	pthread_mutex_t lock; /* all that follows, while manifests are read */
	struct prove_result result;
	struct seen *seen;
	size_t seen_count;
	struct told *told;
	size_t told_count;
	struct bares found, before, before_gone;
	struct copied copied; /* what a store of copies says of itself; of sequence 0: nothing */
	struct finding {
		enum prove_kind kind;
		char *text; /* heap */
	} * findings;
	size_t finding_count;
	int failed; /* the first failure of the store, and what it was */
	struct error error;
};

/** proof_find() - something is wrong. Takes the lock. */
void proof_find(struct proof *p, enum prove_kind kind, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/** proof_read_copied() - what the store says that it has, if it is one of copies. For when all links were read. */
int proof_read_copied(struct proof *p, struct error *err);
/** proof_judge() - when everything was read. */
void proof_judge(struct proof *p);

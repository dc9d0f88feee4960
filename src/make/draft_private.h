// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the files of a draft share.
 *
 *   draft.c         its life: reserved, filled, published or taken back
 *   encrypted.c     its objects are encrypted: the keys that they get, until they were read back
 *   readback.c      everything is read back from the store
 *   segment_file.c  files that consist of compressed segments
 */
#include <keepfs/codec/age.h>
#include <keepfs/make/draft.h>
#include <keepfs/stream/rate.h>

#include <pthread.h>

/* The keys of an object, which a writer knows as long as it has not read it back. */
struct draft_secret {
	char *key;     /* of the object */
	size_t number; /* grows: an object that is made anew has the last one */
	struct age_key keys;
};

struct draft {
	const struct make_context *ctx;
	const struct make_order *order;
	struct manifest m; /* as it is filled */
	struct rate *rate;
	size_t extents; /* of all objects that are entered */
	bool is_pack;
	bool publishing; /* its manifest may be there, and be ours */
	bool published;
	struct store *store;  /* that gets it: borrowed, of the repository or @opened */
	bool is_untouched;    /* nothing of it was ever sent to the store */
	struct store *opened; /* a handle of a tenant's; NULL: it is the store itself */
	int64_t started_mono_us;
	struct age_recipients *recipients; /* NULL: nothing is encrypted */
	pthread_mutex_t secrets_lock;
	struct draft_secret *secrets; /* secrets_lock; sorted by the key from draft_sort_secrets() on */
	size_t secret_count;          /* secrets_lock */
};

/** draft_find_recipients() - for whom it is encrypted, by the configuration that is in force now. As keyring_recipients(). */
int draft_find_recipients(struct draft *d, struct error *err);
/** struct draft_stage - with what an object is encrypted. */
struct draft_stage;
/** draft_stage_new() - for the object of that key; NULL: it is not encrypted. Any thread; a passphrase takes a second. */
int draft_stage_new(struct draft *d, const char *key, struct draft_stage **ret, struct error *err);
/** draft_stage_of() - for stream_object_new(); the object has it from then on. NULL of NULL. */
const struct stream_stage *draft_stage_of(const struct draft_stage *s);
/** draft_stage_free() - unless an object has it. NULL allowed; returns NULL. */
struct draft_stage *draft_stage_free(struct draft_stage *s);
DEFINE_CLEANUP(draft_stage, struct draft_stage *, draft_stage_free)
/** draft_sort_secrets() - all objects are written; draft_secret_of() - the keys of one, borrowed; NULL: it is not encrypted. */
void draft_sort_secrets(struct draft *d);
const struct age_key *draft_secret_of(const struct draft *d, const char *key);
/** draft_forget_secrets() - they are wiped. */
void draft_forget_secrets(struct draft *d);
/** draft_key() - heap: the key of the object of a file; @name NULL: of the artifact's own. */
char *draft_key(const struct draft *d, const char *name);
/** draft_read_back() - all objects; sets the SHA-256 of what has none yet, and verified_at_us. @check: NULL, or for
 * the own file. */
int draft_read_back(struct draft *d, const struct draft_check *check, struct error *err);

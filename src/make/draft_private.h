// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the files of a draft share.
 *
 *   draft.c         its life: reserved, filled, published or taken back
 *   memory.c        what it goes on with beside its run
 *   part.c          drafts that are a part of another one
 *   encrypted.c     its objects are encrypted: the keys that they get, until they were read back
 *   readback.c      everything is read back from the store
 *   segment_file.c  files that consist of compressed segments
 */
#include <keepfs/base/spool.h>
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
	struct pool
	        *pool; /* from which its objects, and reading back, have their memory: the run's, or @aside */
	struct pool *aside; /* of its own; NULL */
	size_t extents;     /* of all objects that are entered */
	bool is_pack;
	bool publishing; /* its manifest may be there, and be ours */
	bool published;
	struct store *store;  /* that gets it: borrowed, of the repository or @opened */
	bool is_untouched;    /* nothing of it was ever sent to the store */
	struct store *opened; /* a handle of a tenant's; NULL: it is the store itself */
	int64_t started_mono_us;
	struct draft *whole; /* that it is a part of; NULL: of none */
	size_t read_objects; /* so many objects, the first ones, were read back: those of parts, with these, and one that the store has copied bytes into */
	uint64_t copied_at,
	        copied_bytes; /* of the object that is entered last: no CRC-32C of these is known before it is read back; 0 bytes: none */
	struct spool *sums; /* lines for its SHA256SUMS of what listings of parts have; NULL: none */
	char **pinned;      /* jobs whose packs are */
	size_t pinned_count;
	struct age_recipients *recipients; /* NULL: nothing is encrypted; of a part: the whole's */
	pthread_mutex_t secrets_lock;
	struct draft_secret *secrets; /* secrets_lock; sorted by the key from draft_sort_secrets() on */
	size_t secret_count;          /* secrets_lock */
};

/** draft_describe() - all that a manifest has of the order. @path: heap, taken. */
void draft_describe(struct draft *d, const struct draft_options *options, char *path);
/** draft_new_part() - draft_new() of an order that has a whole. */
int draft_new_part(const struct draft_options *options, struct draft **ret_draft, struct error *err);
/** draft_close() - all files are entered: the list of a directory's digests, and the object for facts that must not be read by everybody. */
int draft_close(struct draft *d, struct error *err);
/** draft_sum_up() - everything was read back: size and SHA-256 of the artifact are known. */
void draft_sum_up(struct draft *d);
/** draft_say_done() - how much it was, and how fast. */
void draft_say_done(const struct draft *d);
/** draft_join() - what a part has becomes the whole's. */
int draft_join(struct draft *part, struct error *err);
/** draft_part_object_key() - heap: of an object that no file shows, whose key would be @key if the part was an artifact of its own. */
char *draft_part_object_key(const struct draft *part, const char *key);
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
/** draft_read_copied() - the object that is entered last, of which the store has copied bytes: sets its SHA-256, and the CRC-32C that are not known. */
int draft_read_copied(struct draft *d, const struct draft_check *check, struct error *err);
/** draft_read_back() - all objects; sets the SHA-256 of what has none yet, and verified_at_us. @check: NULL, or for
 * the own file. */
int draft_read_back(struct draft *d, const struct draft_check *check, struct error *err);

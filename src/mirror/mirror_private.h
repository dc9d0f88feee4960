// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * A run of a mirror.
 *
 *   make.c       a run: the listing; the state
 *   walk.c       what is new, what is known; what is got, and listed
 *   copying.c    which objects the server copies by itself
 *   late.c       what is to be listed behind these
 *   base.c       the state before: its listing, and which of its packs are hardly needed any more
 *   rests.c      packs of runs that broke off
 *   fetch.c      objects on their way, in order
 *   pack.c       the packs that are filled
 *   sums.c       the digest of its SHA256SUMS
 *   used.c       which packs are needed
 */

#include <keepfs/base/spool.h>
#include <keepfs/catalog/needs.h>
#include <keepfs/codec/listing.h>
#include <keepfs/make.h>
#include <keepfs/make/draft.h>
#include <keepfs/make/pack.h>
#include <keepfs/mirror/object.h>
#include <keepfs/mirror/used.h>
#include <keepfs/store/source.h>

/** PACK_BYTES - small objects are gathered up to so much; PACK_ALONE_BYTES - an object from this size on has a pack of its own; PACK_MEMBERS - of a pack, at
 * most. */
#define PACK_BYTES       (UINT64_C(32) << 20)
#define PACK_ALONE_BYTES (UINT64_C(16) << 20)
#define PACK_MEMBERS     10000U

/* The state before. */

struct base {
	const struct make_context *ctx;
	const struct make_order *order;
	struct catalog_newest newest; /* ino 0: there is none */
	bool is_kept, is_encrypted;   /* is_encrypted: the new state is */
	struct spool *listing;
	struct listing_index index;
	struct listing_source source;
	struct listing_reader *reader;
	struct listing_entry next; /* the first that was not passed yet; key NULL: none */
	bool at_end;
	struct used thin; /* packs whose members are stored anew */
	uint64_t passed;  /* objects of it that the source does not have any more */
};

/**
 * base_open() - find it, and bring its listing here; @draft: of the new state
 * Return: 0, also when there is none, or nobody here can decrypt its listing: a warning tells that all is stored anew.
 */
int base_open(struct base *b, const struct draft *draft, const struct make_context *ctx,
              const struct make_order *order, struct error *err);
void base_close(struct base *b);
/** base_find() - the object @key of it: 1 with @ret, which held nothing; 0: it has none. Keys come in their order. */
int base_find(struct base *b, const char *key, struct listing_entry *ret, struct error *err);
/** base_pass() - all that is left of it is not there any more. */
int base_pass(struct base *b, struct error *err);
/** base_is_thin() - is it to be stored anew, so that its pack can go? */
bool base_is_thin(const struct base *b, const struct listing_entry *e);

/* Runs that broke off. */

struct rest;
struct rests {
	struct rest *items;
	size_t count;
	const struct make_context *ctx;
	struct cancel *cancel;
	bool is_encrypted; /* the new state is */
};
/** rests_load() - those that were made behind run @after_run, and may be used by @draft: their members are looked at, and forgotten again until their keys come. */
int rests_load(struct rests *rests, const struct draft *draft, const struct make_context *ctx,
               const struct make_order *order, int64_t after_run, struct error *err);
void rests_finish(struct rests *rests);
/** rests_find() - an object that one of them has, with that size and etag: 1 with @ret. Keys come in their order. */
int rests_find(struct rests *rests, const struct source_object *o, struct listing_entry *ret,
               struct error *err);

/* Objects on their way. */

struct fetched_object {             /* shared by its pieces */
	struct listing_entry entry; /* without what its pack gives it */
	char *etag; /* by which its pieces are asked for, whatever becomes of the entry meanwhile; NULL: is_known */
	unsigned pieces;   /* that were not freed */
	bool is_known;     /* nothing is got: it is complete */
	bool is_told_anew; /* its bytes are known; what its headers say of it is asked for */
	bool is_begun;     /* in a pack */
	bool etag_is_md5;  /* as its first piece says */
	/* So many of its bytes, from there on, the server copies by itself: no piece has them; 0: none. */
	uint64_t copied_at, copied_bytes;
	atomic_bool is_given_up; /* what comes of it is of no use */
};

struct piece {
	struct fetched_object *object;
	uint64_t offset;
	size_t len;
	char *data;
	bool is_last;
	int result;
	struct error error;
	struct source_facts facts; /* of the first */
	/* fetch.c's. */
	struct fetch *fetch;
	bool is_done; /* lock */
	struct piece *next;
	struct piece *with; /* the next that the same thread gets */
};

struct fetch;
struct fetch_options {
	struct source *source;
	struct pool *pool;
	unsigned connections;
	unsigned
	        at_once; /* so many small pieces are got by one thread, one behind the other; 1 where each takes a round trip */
	size_t buffers; /* of the pool, at most */
	struct cancel *cancel;
};
/** fetch_new() - reserves memory: may wait. */
int fetch_new(const struct fetch_options *options, struct fetch **ret, struct error *err);
/** fetch_free() - what is on its way is given up. NULL allowed; returns NULL. */
struct fetch *fetch_free(struct fetch *f);
DEFINE_CLEANUP(fetch, struct fetch *, fetch_free)
/** fetch_has_room() - may another piece be added? */
bool fetch_has_room(struct fetch *f);
/** fetch_piece_bytes() - of a piece, at most. */
size_t fetch_piece_bytes(const struct fetch *f);
/** fetch_add() - get the next piece of @object, or, of one that is known, pass it on in its turn. */
void fetch_add(struct fetch *f, struct fetched_object *object, uint64_t offset, size_t len, bool is_last);
/** fetch_take() - the oldest, when it is there: the caller's piece_free(); NULL: nothing is on its way. Waits. */
struct piece *fetch_take(struct fetch *f);
/** piece_free() - with its object, when it was the last one. */
struct piece *piece_free(struct piece *p);
DEFINE_CLEANUP(piece, struct piece *, piece_free)

/* Packs. */

struct packer;
/** packer_new() - no pack is begun yet. @keeper: the job by whose rules packs are encrypted, locked and read back: that of the bundle, of a part (draft_job()). */
struct packer *packer_new(const struct make_context *ctx, const struct make_order *order,
                          const struct conf_job *keeper, int64_t started_at_us, const char *source);
/** packer_free() - what was not published is taken back. NULL allowed; returns NULL. */
struct packer *packer_free(struct packer *p);
DEFINE_CLEANUP(packer, struct packer *, packer_free)
/** packer_headers() - append what comes in a pack before the bytes of @e. Pure. */
void packer_headers(const struct listing_entry *e, struct str *out);
/**
 * packer_begin() - the next member is @e, by its key, size and time. What is full is published, beside what comes next where there is memory for that
 * That a pack could not be published is told by whichever call of a packer comes next, and by all behind it.
 */
int packer_begin(struct packer *p, const struct listing_entry *e, struct error *err);
int packer_write(struct packer *p, const void *data, size_t len, struct error *err);
/**
 * packer_copy() - the next bytes of the member are @from: returns when the store has copied them
 *
 * Of a member that is alone in its pack, at STREAM_COPIED_UNIT of that, and not to its end. As stream_object_copy(); after a failure the member can only be spoilt.
 */
int packer_copy(struct packer *p, const struct store_range *from, struct error *err);
/** packer_end() - all bytes of the member came: sets digest, pack and place of @e. Of one that was copied the digest is "", and is told later (struct packs_told). @etag_is_md5: that of @e is the MD5 of
 * its bytes: what was copied has to have it. */
int packer_end(struct packer *p, struct listing_entry *e, bool etag_is_md5, struct error *err);
/** packer_tell() - before the first member is copied. */
void packer_tell(struct packer *p, const struct packs_told *told);
/** packer_settle() - wait until the pack that is published beside the run is. 0: there is none, or it is. */
int packer_settle(struct packer *p, struct error *err);
/** packer_line() - of the member that was ended last, as listings have it: borrowed until the next one ends. */
const struct str *packer_line(const struct packer *p);
/** packer_spoil() - the member that was begun is of no use: what came of it is no member of the pack. */
int packer_spoil(struct packer *p, struct error *err);
/** packer_finish() - publish what was begun; 0: all packs are published, and so all members were read back. */
int packer_finish(struct packer *p, struct error *err);
uint64_t packer_count(const struct packer *p);

/** mirror_sums_digest() - the SHA-256 of what SHA256SUMS of a state is: of the listing in @listing, with that index; it is read once more, frame by frame. Of an object of that name, which is shown in its
 * place, the object's. */
int mirror_sums_digest(struct spool *listing, const struct str *index, struct cancel *cancel,
                       char ret[static SHA256_HEX_BYTES], struct error *err);

void mirror_check(const struct make_context *ctx, const struct conf_job *job,
                  const struct make_findings *findings);

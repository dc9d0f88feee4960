// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Bringing a state back.
 *
 *   back.c        the listing is brought here; places; what is told
 *   back_walk.c   both listings side by side
 *   back_read.c   the bytes of the state, out of its packs
 *   back_run.c    what is written and removed, by several threads
 */
#include <keepfs/base/spool.h>
#include <keepfs/codec/listing.h>
#include <keepfs/mirror/back.h>
#include <keepfs/mirror/tree.h>
#include <keepfs/store/source.h>

struct mirror_back {
	struct mirror_back_options options;
	struct store_call call;
	struct source *target;
	bool is_directory; /* the target */
	struct spool *listing;
	struct mirror_tree *tree;
	struct listing_head head;
	uint64_t extra_count, extra_digest; /* what mirror_back_plan() has found to be only there */
};

/* What a walk finds. */

enum back_found { BACK_MISSING, BACK_DIFFERENT, BACK_UNSURE, BACK_SAME, BACK_EXTRA, BACK_REFUSED };

struct back_walker {
	/* @e: of the state, NULL of what is only at the target; @o: there, NULL of what is missing; both are finished behind the call. @why: it is refused */
	int (*found)(void *arg, enum back_found what, const struct listing_entry *e,
	             const struct source_object *o, const struct error *why, struct error *err);
	void *arg;
};
/** back_walk() - -ENOENT: nothing of the state is below what was chosen. */
int back_walk(struct mirror_back *b, const struct back_walker *walker, struct error *err);
/** back_note() - one more, with its first names. */
void back_note(struct mirror_back_names *n, const char *key, uint64_t bytes);
/** back_note_extra() - as back_note(), of what is only at the target. */
void back_note_extra(struct mirror_back_names *n, const struct source_object *o);
/** back_compare() - of an object that both have, without its bytes. */
enum back_found back_compare(bool is_directory, const struct listing_entry *e, const struct source_object *o);
/** back_is_chosen() - is @key what was chosen, or, unless that is one object alone, below it? */
bool back_is_chosen(const struct mirror_back_options *o, const char *key);

/* The bytes of the state. */

struct back_packs;
/** back_packs_new() - reads with @buffers of the pool. */
int back_packs_new(const struct mirror_back *b, size_t buffers, struct back_packs **ret, struct error *err);
/** back_packs_free() - nobody reads. NULL allowed; returns NULL. */
struct back_packs *back_packs_free(struct back_packs *p);
/** back_packs_read() - @len bytes of @e from @at on. Any thread. A pack that is not what was stored is marked as damaged. @err: not NULL. */
int back_packs_read(struct back_packs *p, const struct listing_entry *e, uint64_t at, void *buf, size_t len,
                    struct error *err);

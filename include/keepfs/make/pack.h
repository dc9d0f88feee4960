// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Packs: artifacts that others need, each one object that is filled piece by piece (docs/formats.md, "Mirrors and packs"). All packs of a run are a series; one is filled while the one before it is
 * published, which takes as long as to fill it, since all of it is read back.
 *
 *   packs_new()
 *   packs_open()     the next pack is begun, unless one is
 *   pack_put() …     by packs_filled(); it is filled by one thread
 *   packs_publish()  it is full: on a thread of its own it is finished, read back and published, where there is memory for that (draft_set_aside())
 *   packs_finish()   0: all were published
 *
 * The first failure of a pack is the series': it is told by every later call, and what was begun behind that pack is given up. So packs are published in the order of their numbers. A series belongs to
 * one thread.
 */
#include <keepfs/codec/listing.h>
#include <keepfs/make/draft.h>

struct pack;
/** pack_pace() - as draft_pace(). */
int pack_pace(struct pack *pack, uint64_t bytes, struct error *err);
/** pack_put() - the next bytes of it; pack_put_zeros() - so many zeros. */
int pack_put(struct pack *pack, const void *data, size_t len, struct error *err);
int pack_put_zeros(struct pack *pack, uint64_t bytes, struct error *err);
/** pack_copy() - the next bytes of it are @from: returns when the store has copied them. Of a pack that has one member alone; else as stream_object_copy(). */
int pack_copy(struct pack *pack, const struct sink_copy *from, struct error *err);
/** pack_end_copied() - @e, which is cloned but for its digest, is that member. @md5: "", or the MD5 that its bytes have to have, in hexadecimal digits. */
void pack_end_copied(struct pack *pack, const struct listing_entry *e, const char *md5);
/** pack_list() - @e, whose line is @line, is a member: of a series that lists them. */
int pack_list(struct pack *pack, const struct listing_entry *e, const struct str *line, struct error *err);
/** pack_is_broken() - the store has refused bytes of it: it can only be given up. */
bool pack_is_broken(const struct pack *pack);
/** pack_bytes() - that were put; pack_count(), pack_content_bytes() - of the members that were listed: how many, and how long they are. */
uint64_t pack_bytes(const struct pack *pack);
uint64_t pack_count(const struct pack *pack);
uint64_t pack_content_bytes(const struct pack *pack);
/** pack_manifest() - as it is filled, until packs_publish(): facts are the caller's. */
struct manifest *pack_manifest(struct pack *pack);

struct packs_options {
	const struct make_context *ctx; /* borrowed */
	const struct make_order *order; /* of the run; copied */
	const struct conf_job
	        *keeper; /* by whose rules packs are encrypted, locked and read back: draft_job() */
	enum listing_format format; /* of what needs them: which says how their paths end */
	const char
	        *lists; /* each has a list of its members; this is the source of its head; NULL: none has */
	int64_t started_at_us; /* of the run, after which their directory is named */
};
struct packs;
struct packs *packs_new(const struct packs_options *options);
/** packs_free() - what was not published is taken back. NULL allowed; returns NULL. */
struct packs *packs_free(struct packs *p);
DEFINE_CLEANUP(packs, struct packs *, packs_free)
/** packs_find_directory() - which directory they are in is decided here, and else when the first is begun: it is the first second from the begin of the run on that has none. */
int packs_find_directory(struct packs *p, struct error *err);
/** packs_open() - waits for memory. */
int packs_open(struct packs *p, struct error *err);
/** packs_filled() - the pack that is filled; borrowed; NULL: none is begun. */
struct pack *packs_filled(const struct packs *p);
/** packs_publish() - all of it was put, and nothing of it refused. Waits for the one before it. */
int packs_publish(struct packs *p, struct error *err);
/** packs_drop() - the one that is filled is given up; its number is not used again. */
void packs_drop(struct packs *p);
/** packs_check() - 0, or why one could not be published, as soon as that is known. Does not wait. */
int packs_check(struct packs *p, struct error *err);
/** struct packs_told - what became of members that were copied, in their order. */
struct packs_told {
	/* @e, with @line, has its digest, and its pack is published: on the thread of whichever call of the series waited for that. What it returns is passed on. */
	int (*copied)(void *arg, const struct listing_entry *e, const struct str *line, struct error *err);
	void *arg;
};
/** packs_tell() - before the first member is copied. */
void packs_tell(struct packs *p, const struct packs_told *told);
/** packs_settle() - wait until the pack that is published beside the run is. 0: there is none, or it is. */
int packs_settle(struct packs *p, struct error *err);
/** packs_finish() - waits until all are published. What is still filled is given up. */
int packs_finish(struct packs *p, struct error *err);
/** packs_name() - heap: how listings call the pack with that number: "20261120T020000Z/00001". The directory was found. */
char *packs_name(const struct packs *p, int64_t number);
/** packs_number() - of the pack that is filled, or was last; 0: none was begun. packs_count() - that were published. */
int64_t packs_number(const struct packs *p);
uint64_t packs_count(const struct packs *p);

// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Tails: what was streamed of a segment that is not full yet. A tail is one or several objects, pieces, each of which has the bytes from one place of the segment to another; both are in its key, so that a listing tells how far a
 * tail goes (docs/formats.md, "Tails"). A piece never changes. The segment replaces all of them.
 *
 *   tails.c      keys; which tails there are
 *   tail_put.c   making and removing pieces
 *   tail_read.c  a tail as a segment, padded with zeros
 */
#include "wal_private.h"

struct wal_tail_piece {
	uint32_t begin, end; /* in the segment */
	bool is_sealed;
	uint64_t stored_bytes;
};

struct wal_tail {
	int64_t number; /* of its name, while the process lives */
	char job[CATALOG_WAL_JOB_BYTES];
	uint64_t system_id;
	struct wal_name name;          /* of the segment */
	struct wal_tail_piece *pieces; /* heap */
	size_t count;
};

void wal_tail_finish(struct wal_tail *t);
static inline void cleanup_wal_tail(struct wal_tail *t)
{
	wal_tail_finish(t);
}

/** wal_tail_key_format() - heap. wal_tail_key_parse() - the inverse, but for stored_bytes; -EINVAL: it is no key of a piece. @ret_tail has no pieces. */
char *wal_tail_key_format(const struct wal_tail *t, const struct wal_tail_piece *piece);
int wal_tail_key_parse(const char *text, struct wal_tail *ret_tail, struct wal_tail_piece *ret_piece);

/** wal_tail_cover() - keep those pieces, in order, that lead furthest from the segment's begin. Return: how far that is; 0: its begin is missing. */
uint32_t wal_tail_cover(struct wal_tail *t);

/** wal_tails_note() - @piece of the tail @t (whose pieces do not matter) is in the store. */
void wal_tails_note(struct wal *w, const struct wal_tail *t, const struct wal_tail_piece *piece);
/** wal_tails_strike() - it is not, or will not be any more. The name stays known for a while. */
void wal_tails_strike(struct wal *w, const struct wal_tail *t, const struct wal_tail_piece *piece);
/** wal_tails_find() - the tail of @name of @job, a copy with at least one piece. -ENOENT. */
int wal_tails_find(struct wal *w, const char *job, const struct wal_name *name, struct wal_tail *ret);
/** wal_tails_next() - the one of @job, if it is not NULL, with the lowest number above @after, also when it has no pieces any more; a copy. -ENOENT. */
int wal_tails_next(struct wal *w, const char *job, int64_t after, struct wal_tail *ret);
/** wal_tails_free() - all of them. */
void wal_tails_free(struct wal *w);

/** wal_tail_locate() - ask the store for the tail of @name of @job, where no later segment of its timeline is there. -ENOENT. */
int wal_tail_locate(struct store *store, const struct store_call *call, const char *job,
                    const struct wal_name *name, struct wal_tail *ret, struct error *err);

/** struct wal_tail_loading - how a tail is read */
struct wal_tail_loading {
	struct wal_fetching how; /* but for key and stored_bytes, which are a piece's */
	struct pool *pool;       /* out: the pages' own; the caller's pool_free() behind pages_finish() */
	struct pages pages;      /* out: the segment */
};
/** wal_tail_load() - -ESTALE: pieces were replaced meanwhile: look again; as wal_fetch(). */
int wal_tail_load(struct wal_tail_loading *l, struct wal_tail *t, struct error *err);
void wal_tail_unload(struct wal_tail_loading *l);

/** struct wal_tail_put - a piece to be made of bytes in memory */
struct wal_tail_put {
	struct wal *w;
	struct pool *pool; /* has room for the piece, and for WAL_PIECES */
	struct cancel *cancel;
	const struct pages *raw; /* the segment so far; its first @to bytes do not change */
	uint32_t from, to;
};
/** wal_tail_put() - store the piece, and note it; @t without pieces. One from the segment's begin takes the place of all others, which are removed. */
int wal_tail_put(const struct wal_tail_put *put, const struct wal_tail *t, struct error *err);
/** wal_tail_remove() - remove all pieces of @t; what cannot be removed is said in the log, and stays known. */
void wal_tail_remove(struct wal *w, const struct wal_tail *t, struct cancel *cancel);

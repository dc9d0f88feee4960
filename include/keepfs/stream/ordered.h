// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Work that several threads do at once, and that comes out in order: of one stream compressed by a pool of
 * threads (press), and of one file made by several readers (turns). What comes out are segments, and marks
 * that the maker put between them; both are handed to one consumer, on one thread, so that only one writes
 * the file.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/pool.h>
#include <keepfs/codec/compression.h>

struct ordered_out { /* the consumer; a negative return ends it all with that and @err */
	int (*segment)(void *arg, const struct segment *s, const void *data, struct error *err);
	int (*mark)(void *arg, int what, uint64_t value, struct error *err); /* meaning: the maker's own */
	void *arg;
};

/**
 * A press: bytes in, segments out, compressed by @threads. Its memory is reserved from the pool (two buffers
 * a segment under work, 2 * threads of them): pool_reserve() may wait. The caller's thread is the consumer
 * too: @out is called from within press_write(), press_mark() and press_finish().
 */
/** PRESS_BUFFERS_PER_THREAD - of the pool, which press_new() reserves. */
#define PRESS_BUFFERS_PER_THREAD 4U
struct press;
struct press_options {
	struct compression compression;
	enum segment_check check;
	unsigned threads;      /* 0 stands for 1 */
	struct pool *pool;     /* borrowed */
	struct cancel *cancel; /* borrowed; NULL */
	struct ordered_out out;
};
/** press_new() - @options is copied. -ENOSPC when the pool is smaller than what @threads need. */
int press_new(const struct press_options *options, struct press **ret_press, struct error *err);
/** press_write() - gathers SEGMENT_RAW_BYTES before a segment is compressed. */
int press_write(struct press *p, const void *data, size_t len, struct error *err);
/** press_mark() - ends the segment that is being gathered, if it holds anything; @out gets the mark behind
 * it, at press_finish() at the latest. */
int press_mark(struct press *p, int what, uint64_t value, struct error *err);
/** press_finish() - everything was handed to @out. More may be written afterwards, in a new segment. */
int press_finish(struct press *p, struct error *err);
struct press *press_free(struct press *p);
DEFINE_CLEANUP(press, struct press *, press_free)

/**
 * Unpacking: the way back of a press. Segments are decompressed by @threads, and their raw bytes come out in order, with what was found
 * out about each of them on its thread. Its memory is reserved from the pool (UNPACK_BUFFERS_PER_THREAD for each). The caller's thread is
 * the consumer too: @out is called from within all functions but unpack_free(). The first failure, of a segment or of @out, ends it.
 */
#define UNPACK_BUFFERS_PER_THREAD 4U
#define UNPACK_NOTE_BYTES         64U
struct unpack;
struct unpack_options {
	enum compression_method method;
	unsigned threads;      /* 0 stands for 1 */
	struct pool *pool;     /* borrowed */
	struct cancel *cancel; /* borrowed; NULL */
	/* On one of the threads: anything about the raw bytes, into @note, UNPACK_NOTE_BYTES that are zeroed; NULL. */
	void (*look)(const void *raw, size_t len, void *note);
	int (*segment)(void *arg, const void *raw, size_t len, const void *note, struct error *err);
	int (*mark)(void *arg, int what, uint64_t value, struct error *err);
	void *arg;
};
/** unpack_new() - @options is copied. -ENOSPC when the pool is smaller than what @threads need. */
int unpack_new(const struct unpack_options *options, struct unpack **ret_unpack, struct error *err);
/** unpack_write() - the next bytes of the segment that is being gathered: -EBADMSG (ERROR_CORRUPT) when it is longer than any is. */
int unpack_write(struct unpack *u, const void *data, size_t len, struct error *err);
/** unpack_gathered() - the bytes that were written since the last segment ended: borrowed until the next call. */
const void *unpack_gathered(const struct unpack *u, size_t *ret_len);
/** unpack_drop() - forget the first @len of them: they are no part of a segment. */
void unpack_drop(struct unpack *u, size_t len);
/** unpack_end() - that was all of the segment; nothing when nothing was written. */
int unpack_end(struct unpack *u, struct error *err);
/** unpack_mark() - comes out behind the segments that have ended. */
int unpack_mark(struct unpack *u, int what, uint64_t value, struct error *err);
/** unpack_finish() - everything was handed out. */
int unpack_finish(struct unpack *u, struct error *err);
struct unpack *unpack_free(struct unpack *u); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(unpack, struct unpack *, unpack_free)

/**
 * Turns: makers on threads of their own each make one turn after the other; turns come out in the order in
 * which they were begun. What is made out of turn is kept, within @budget_bytes over all turns (accounted
 * exactly: the caller has reserved that much of the pool); when that is used up, a maker whose turn it is not
 * waits. The one whose turn it is never waits for memory, only for the consumer, which takes at most 1 MiB at
 * a time: so there is no deadlock, and no size that a turn must not have.
 */
struct turns;
struct turn;
struct turns *turns_new(uint64_t budget_bytes, struct cancel *cancel);
struct turns *turns_free(struct turns *t); /* no maker may run any more */
DEFINE_CLEANUP(turns, struct turns *, turns_free)
/** turns_begin() - the next turn, by any maker's thread. The order of the calls is that of the output:
 * callers that choose their work and begin the turn for it do both under a lock of their own. Never waits. */
struct turn *turns_begin(struct turns *t);
/** turn_segment() - copies @data. May wait. Negative: the consumer failed, or cancel: the maker ends its turn
 * and leaves. */
int turn_segment(struct turn *turn, const struct segment *s, const void *data, struct error *err);
int turn_mark(struct turn *turn, int what, uint64_t value, struct error *err);
/** turn_end() - nothing more comes; @turn is gone. */
void turn_end(struct turn *turn);
/** turns_close() - no further turn will begin: by any thread, once. */
void turns_close(struct turns *t);
/** turns_fail() - a maker has failed: the first failure decides, and is what everybody is returned from now
 * on. @err is copied; any thread. */
void turns_fail(struct turns *t, int r, const struct error *err);
/** turns_deliver() - the consumer: hands everything to @out, in order, until the end of the last turn after
 * turns_close(). Return: 0; the first failure of a maker or of @out; -ECANCELED. */
int turns_deliver(struct turns *t, const struct ordered_out *out, struct error *err);

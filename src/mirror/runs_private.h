// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Reading runs.
 *
 *   runs.c          ranges of files; who has his turn
 *   runs_pack.c     packs that are open, with their tables
 *   runs_frame.c    frames: decoded where they are wanted, or kept
 *   runs_ahead.c    the packs behind one that is read in order
 *   runs_object.c   packs of the repository
 *
 * There is one lock, of the runs_reader, which is taken behind that of a token. It is held for bookkeeping alone, never while something is read, decoded, opened or closed. Whoever waits for another (who opens
 * a pack, or decodes a frame) is woken by `changed`, and holds nothing that the other might wait for: a thread that has frames to decode waits for no frame of somebody else's.
 */
#include <keepfs/codec/decompression.h>
#include <keepfs/codec/seekable.h>
#include <keepfs/mirror/runs.h>

#include <pthread.h>
#include <stdbool.h>

#define RUNS_FRAME_BUCKETS 256

struct runs_decoder { /* what a thread needs while it reads */
	struct unpacker *unpacker;
	char *stored; /* SEEKABLE_STORED_MAX bytes */
	struct runs_decoder *next;
};

struct open_run_pack {
	struct runs_pack name; /* its path is heap */
	struct reader_file *
	        file; /* NULL: it is not open, or somebody opens it. It and the next two do not change while there are users and it is not being opened */
	uint64_t bytes;
	struct seekable_table table;
	unsigned users; /* lock, as all behind it */
	bool is_opening;
	bool is_gone;     /* not in the list any more: the last user closes it */
	bool is_expected; /* it was got ahead */
	bool was_ahead;   /* those behind it were */
	uint64_t position,
	        in_order; /* where the last read ended, and how much was read in order up to there */
	struct kept_run_frame *frames;
	struct open_run_pack *next; /* used last first */
};

struct kept_run_frame { /* lock */
	struct open_run_pack *pack;
	size_t index;
	unsigned users;
	bool is_ready; /* else somebody decodes it */
	bool is_gone;  /* in no list any more: the last user frees it */
	size_t bytes;
	char *data;
	struct kept_run_frame *hash_next;
	struct kept_run_frame *pack_prev, *pack_next;
	struct kept_run_frame *prev, *next; /* of those that are ready: used last first */
};

struct runs_ahead_order { /* open the packs behind that one */
	uint64_t store;
	char *job, *pack; /* heap; NULL: there is no order */
};

struct runs_reader {
	struct runs_options options;
	atomic_ullong tags;
	size_t frames_max, tables_max; /* bytes */
	pthread_mutex_t lock;
	pthread_cond_t changed;        /* lock: something that somebody may wait for */
	unsigned reading;              /* lock, as all behind it */
	struct runs_decoder *decoders; /* that nobody has */
	struct open_run_pack *packs;
	size_t pack_count, tables_bytes;
	struct kept_run_frame *buckets[RUNS_FRAME_BUCKETS];
	struct kept_run_frame *frames, *frames_last;
	size_t frames_bytes;
	struct runs_reader_counts counts;
	struct runs_ahead_order ahead;
	bool is_ending;
	struct cancel cancel; /* of what is opened ahead */
	pthread_t thread;
	bool has_thread;
};

/* struct runs_waiting - for `changed`, or that a token is set, which is not to be looked at with the lock: who sets it holds its own, and wants this one. */
struct runs_waiting {
	struct runs_reader *r;
	struct cancel *cancel;
	struct cancel_hook hook;
	bool is_given_up; /* lock: it is set */
};
void runs_wait_begin(struct runs_waiting *w, struct runs_reader *r, struct cancel *cancel);
void runs_wait_end(struct runs_waiting *w);

/* runs_pack.c */

/** run_pack_use() - with its table: the caller's run_pack_leave(), on failure too. */
int run_pack_use(struct runs_reader *r, const struct runs_pack *name, struct cancel *cancel,
                 struct open_run_pack **ret, struct error *err);
/** run_pack_leave() - @is_doubted: what was read of it is wrong, or is not there: the next one opens it anew. */
void run_pack_leave(struct runs_reader *r, struct open_run_pack *p, bool is_doubted);
/** run_packs_close() - all; nobody has one. */
void run_packs_close(struct runs_reader *r);
/** run_pack_read() - stored bytes of it. */
int run_pack_read(struct runs_reader *r, const struct open_run_pack *p, struct cancel *cancel, uint64_t at,
                  void *buf, size_t len, struct error *err);

/* runs_frame.c */

struct frames_wanted { /* bytes [at, at + len) of what a pack is when it is decompressed */
	struct open_run_pack *pack;
	struct runs_decoder *decoder;
	struct cancel *cancel;
	uint64_t at;
	size_t len;
	char *to;
};
int run_frames_read(struct runs_reader *r, const struct frames_wanted *w, struct error *err);
/** run_frames_drop() - with the lock: those of @p are kept no more. */
void run_frames_drop(struct runs_reader *r, struct open_run_pack *p);

/* runs_ahead.c */

/** run_ahead_note() - the run @run of @what was read, up to @end in its pack @p. */
void run_ahead_note(struct runs_reader *r, const struct runs_read *what, size_t run, struct open_run_pack *p,
                    uint64_t at, uint64_t end);
int run_ahead_start(struct runs_reader *r, struct error *err);
/** run_ahead_end() - wait for the thread. */
void run_ahead_end(struct runs_reader *r);

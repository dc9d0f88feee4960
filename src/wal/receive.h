// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * WAL that is streamed. A receiver is a thread for each cluster; what it does between a connection and its end is a stream.
 *
 *   receivers.c       which receivers there are; the thread, attempts, what is told of it
 *   receive_begin.c   connecting: is it that cluster; the slot; from where on; histories of timelines
 *   receive.c         the stream: messages, reports, ends of timelines
 *   receive_gather.c  segments in memory, and what becomes of them: objects, and tails until they are full
 *   spool.c           the same bytes on the disk of this host, where wal_confirm = disk
 *
 * The thread of a receiver never waits for the store while it streams: two others do, and wake it. So the server is answered whatever the store does, and keeps what there is no room for.
 */
#include "wal_private.h"

#include <keepfs/base/workers.h>
#include <keepfs/pg/replication.h>
#include <keepfs/pg/replication_stream.h>

struct receiver_settings {
	char job[CATALOG_WAL_JOB_BYTES];
	char *database;
	char slot[CONF_SLOT_BYTES];
	int64_t tail_ms;
	int confirm; /* enum conf_wal_confirm */
};

struct receiver {
	struct wal *w;
	struct receiver_settings settings;
	struct cancel cancel; /* it is to end */
	pthread_t thread;
	int wake_fd; /* an eventfd: look around */
	struct workers *workers;
	pthread_mutex_t lock;
	pthread_cond_t changed;          /* a worker has done something */
	struct wal_receiver_state state; /* lock; but for behind_us */
	uint64_t
	        mark_lsn; /* lock: when the bytes before it came, at mark_ms, they were the first that are not durable; 0: there are none */
	int64_t mark_ms;  /* lock */
	struct receiver *next;
};

/** receiver_trouble() - what is wrong now; "": nothing. */
void receiver_trouble(struct receiver *r, const char *text);
/** receiver_phase() - @phase from now on. */
void receiver_phase(struct receiver *r, enum wal_receiver_phase phase);
/** receiver_wake() - its thread looks around. */
void receiver_wake(struct receiver *r);

/* receivers.c */

struct wal_receivers *wal_receivers_new(struct wal *w);
/** wal_receivers_end() - they end, and are not waited for. wal_receivers_free() - NULL allowed. */
void wal_receivers_end(struct wal_receivers *all);
void wal_receivers_free(struct wal_receivers *all);

/* receive_gather.c */

/** struct gathered - a segment in memory, with all buffers that it, and what it becomes, will need */
struct gathered {
	struct gathering *in;
	struct pool *pool;
	struct wal_name name;
	uint64_t lsn; /* where it begins */
	struct pages raw;
	uint64_t branch_lsn; /* its timeline begins there: before it the log is that of an older one */
	/* receiver's lock: */
	bool is_tailing, is_spooling; /* a worker does that now */
	bool is_whole, is_stored;
	uint32_t tail_end;  /* so much of it the store has, as a tail */
	uint32_t spool_end; /* so much is on disk */
	unsigned pieces;    /* of the tail, that this stream has made */
	int result;         /* negative: a worker failed, for good */
	struct error err;
	/* of one worker at a time */
	int spool_fd;
	uint32_t from, to; /* of what a worker does */
	struct gathered *next;
};

struct gathering {
	struct receiver *r;
	uint64_t system_id;
	uint32_t segment_bytes;
	struct gathered *first; /* in the order of the log; the last one may be open */
	struct gathered *idle;  /* one that is not used now; NULL: there is none */
	unsigned count;
	uint64_t durable; /* of the stream */
};

/** gathering_begin() - waits for the memory of one segment. */
int gathering_begin(struct gathering *g, struct receiver *r, uint64_t system_id, uint32_t segment_bytes,
                    struct error *err);
/** gathering_finish() - what the workers do is waited for. */
void gathering_finish(struct gathering *g);
/** gathering_open() - the segment that has @lsn, at whose begin the stream is; NULL: there is no memory now, and the receiver is woken when there is. */
struct gathered *gathering_open(struct gathering *g, uint32_t timeline, uint64_t lsn, uint64_t branch_lsn);
/** gathering_append() - the next bytes of @s, which has room for them. A segment that is full is stored from now on. */
void gathering_append(struct gathering *g, struct gathered *s, const uint8_t *data, size_t len);
/** gathering_settle() - what the workers have done: g->durable grows. @ret_stored: a segment was stored, or a tail. A failure that will not pass by itself is returned. */
int gathering_settle(struct gathering *g, bool *ret_stored, struct error *err);
/** gathering_can_tail() - could the open segment @s have a piece of a tail now that says more than the last one? */
bool gathering_can_tail(struct gathering *g, struct gathered *s);
/** gathering_tail() - it is made from now on. */
void gathering_tail(struct gathering *g, struct gathered *s);
/** gathering_spool() - what is not on disk gets there from now on, if nobody is at it. */
void gathering_spool(struct gathering *g);
/** gathering_drop_open() - @s (NULL: nothing), at which nobody is at work, is not gone on with. */
void gathering_drop_open(struct gathering *g, struct gathered *s);
/** gathering_flush() - the server is gone: waits until all that has come is durable in the store, whatever that takes. */
void gathering_flush(struct gathering *g, struct gathered *open);
/** gathering_store_file() - the whole segment @name, which @fd has, into the archive, by the calling thread. */
int gathering_store_file(struct receiver *r, const char *name, int fd, struct error *err);

/* receive_begin.c */

struct receiving {
	struct receiver *r;
	struct pg_replication *pg;
	struct gathering segments;
	bool has_segments;
	uint64_t system_id;
	uint32_t segment_bytes;
	uint32_t server_timeline; /* at the connection */
	uint64_t server_lsn;
	uint32_t timeline;      /* that is streamed */
	uint64_t branch_lsn;    /* where it begins; 0: it is the first */
	uint64_t position;      /* of the next byte */
	bool is_over;           /* no more comes of the timeline */
	bool is_ended;          /* and what comes behind it is known: */
	uint32_t next_timeline; /* 0: nothing, the server ends */
	uint64_t next_lsn;
	int64_t interval_ms; /* between two reports at most */
	struct gathered *open;
	struct pg_stream_message
	        rest;   /* what came last, and was not looked at; of data what there was no room for */
	bool has_first; /* rest is the first message, and nobody has looked at it */
	int64_t report_at_ms, heard_ms;
	int64_t unsaved_ms; /* since then there are bytes of the open segment that no tail has, or will have; 0: there are none */
	uint64_t reported; /* durable, as the server was told */
	bool is_in_haste;  /* it waits for what is not durable */
	bool asked;        /* the server was asked to say something, and has said nothing since */
};

/** receiving_begin() - connect, and start the stream. */
int receiving_begin(struct receiving *s, struct error *err);
/** receiving_begin_timeline() - the history of @timeline is in the archive, and it is what is streamed from @lsn on. */
int receiving_begin_timeline(struct receiving *s, uint32_t timeline, uint64_t lsn, struct error *err);

/* receive.c */

/** receiving_start() - have the stream from the present place on. As pg_stream_start(). */
int receiving_start(struct receiving *s, struct error *err);
/** receiving_end_timeline() - behind the last message: what comes next. */
int receiving_end_timeline(struct receiving *s, struct error *err);
/** receiving_run() - one connection, from its begin to its end. Return: 0: the server ended it; why it ended. */
int receiving_run(struct receiver *r, struct error *err);

/* spool.c */

/** spool_write() - a worker: the first @to bytes of @s are on disk when it returns. */
int spool_write(struct receiver *r, struct gathered *s, uint32_t to, uint64_t system_id, struct error *err);
/** spool_drop() - the store has the segment. */
void spool_drop(struct receiver *r, struct gathered *s, uint64_t system_id);
/** spool_bring_back() - what an earlier process has left on disk: whole segments into the archive, the begin of one as a tail. */
int spool_bring_back(struct receiving *s, struct error *err);

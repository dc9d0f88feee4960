// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The reader's rooms within: its life and that of its files (reader.c), blocks (block.c), which bytes of a file
 * a block and its parts are (span.c), files that are not stored as they are (layout.c), requests and their
 * answers (request.c), read-ahead (ahead.c) and how many gets of it run at once (gets.c), threads that bring
 * blocks from the store (fetch.c) and the disk cache (cached.c), and the SHA-256 of what is read whole (whole.c).
 *
 * Threads. There are two kinds:
 * - Callers: whoever calls reader_open(), _read(), _cancel(), _close(); in the daemon FUSE's threads. They do
 *   bookkeeping, and tell answers that are known already. They touch neither the store nor the disk.
 * - Fetchers: the reader's own, running fetch_main(). Only they get, check, decode, hash, and use the disk cache;
 *   and they tell the answers that became known by that.
 *
 * The lock. There is one, reader->lock. It guards every field of the structs below, but for those of which the
 * comment says why not. It is held for bookkeeping only, for microseconds: never during a get, a checksum, a
 * decoding, a hash, a read or write of the disk, or done(). Where a function's comment says "with the lock", its caller
 * holds it, and holds it still when the function returns. Some release it in between: request_deliver() for
 * done(), whole_go_on() for hashing, take_batch() and reader_close() for their waiting. After these a block may be gone which the
 * caller has no pin on, and an artifact to which it is neither a file nor a user.
 *
 * Other locks are taken with it held, never the other way round: the pool's, and those behind cancel_set(), whose
 * hooks only wake. So no hook, and no store, may call the reader.
 *
 * What is used without the lock, and who sees to it that it does not change:
 * - the bytes of a loading part: they are the fetcher's alone that took the part (block->loading);
 * - the bytes of a ready part: nobody writes them as long as the block is pinned;
 * - key, extents, layout, cells, bytes of an artifact: never change; it lives as long as it has files or users;
 * - a fetcher's batch: only its thread changes it, and reads it without the lock; others read it with it.
 *
 * Who waits for whom. No thread waits for a request: it is an entry in a list, which whoever brings its last
 * part finds (block->waits).
 * - A fetcher waits for work (fetcher->wake): for fetch_wake() by whoever wants parts, or fetch_end().
 * - A request for which there are no buffers waits in reader->queue, holding none. Each request_deliver() looks
 *   whether there are enough by now, so whoever lets go of blocks calls it.
 * - Read-ahead waits for nothing: without a buffer to spare it does not begin.
 * - reader_close() waits (reader->answered) for the done() of its file that other threads are in. So done() must
 *   not close a file.
 * - reader_free() waits for the fetchers to end.
 * A fetcher whose get is under way has all its buffers. So every get ends, what it brought is given out, buffers
 * come free, and the queue moves.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/reader.h>
#include <pthread.h>
#include <stdbool.h>

#define ARTIFACT_BUCKETS   64
#define FETCH_BLOCKS       16 /* the most that one get brings */
#define REQUEST_BLOCKS_MAX 8  /* see span.c */
#define REQUEST_IOV_MAX    (READER_REQUEST_BYTES / CELL_PLAIN_MIN_BYTES + 1) /* see layout.c */
#define PARTS_MAX          64

struct pending;

/** struct span - one block's place: consecutive extents, the bytes of the object that they cover, and those
 * of the file. */
struct span {
	size_t first, count;
	uint64_t stored_offset;
	size_t stored_bytes;
	uint64_t offset; /* plain */
	size_t bytes;
};

/* A block's parts: its extents, or runs of them when there are more than PARTS_MAX; one bit each. */
typedef uint64_t parts_t;

/** struct wait - one block that a request needs: pinned by it, and waited for until its parts are ready. */
struct wait {
	struct pending *pending;
	struct block *block;
	parts_t need;      /* parts that are not ready yet */
	struct wait *next; /* of the same block, while need is not 0 */
};

struct block_list {
	struct block *first, *last;
	size_t count;
};

struct block { /* a slot of reader->blocks; it has a buffer and an artifact while in use */
	struct artifact *artifact; /* NULL: the slot is free */
	struct span span;
	/* The stored bytes, each part's at its place. Written while the part is loading by its thread, which in
	 * the end makes each cell plain where it lies; read while it is ready by all. */
	char *buffer;
	/* No part is in two of these. */
	parts_t ready;     /* checked */
	parts_t wanted;    /* to be fetched: requests wait */
	parts_t ahead;     /* to be fetched: nobody waits yet */
	parts_t loading;   /* being fetched */
	size_t used_bytes; /* handed out; what was handed out twice counts twice */
	bool available;    /* reader->available counts it; block_changed()'s own */
	bool cached;       /* the disk cache has it, or had its chance */
	bool kept;         /* pinned until it is hashed; whole.c's own */
	uint64_t tick;     /* of reader->tick when it was made */
	unsigned pins;     /* requests and threads that need it to stay */
	struct wait *waits;
	struct block *hash_next;
	struct block_list *list; /* where it is; NULL: in none */
	struct block *prev, *next;
};

enum whole_state {
	WHOLE_OFF,    /* not asked for, or not possible any more */
	WHOLE_ON,     /* all before whole_next was hashed */
	WHOLE_BUSY,   /* a thread hashes the block at whole_next */
	WHOLE_ENDING, /* it does, and the last file was closed meanwhile */
	WHOLE_RIGHT,  /* the file's SHA-256 is the manifest's */
	WHOLE_WRONG,
};

struct artifact { /* what is open, once however often it is; key to bytes never change */
	uint64_t ino;
	struct store *store; /* NULL: the reader's */
	char *key;
	char sha256[SHA256_HEX_BYTES];        /* "": not known */
	struct extents extents;               /* stored */
	uint8_t extents_sha256[SHA256_BYTES]; /* so that no table is compared under the lock */
	uint8_t cache_id[CACHE_ID_BYTES];
	struct reader_layout *layout; /* NULL: stored bytes are the file's */
	const struct cells *cells;    /* the layout's; NULL likewise */
	uint64_t bytes;               /* plain */
	char etag[STORE_ETAG_BYTES];  /* of the object that the first get found; "": none yet */
	bool stale;                   /* the object is another one by now: not for further files */
	bool relearned; /* its etag was learned anew: it was moved, or another object has its key; the checksums tell */
	unsigned files; /* open */
	unsigned users; /* batches that threads work on: they use key and extents without the lock */
	/* the store gave up at its deadline: until then nobody waits for that again */
	int64_t failed_until_ms;
	struct error failure; /* what it said */
	enum whole_state whole;
	struct error wrong;     /* WHOLE_WRONG */
	bool whole_cached;      /* some of it came from the disk cache: the store may have something else */
	int64_t verified_at_us; /* WHOLE_RIGHT, and all came from the store; else 0 */
	uint64_t whole_next;
	struct sha256 *whole_hash; /* the thread's that made whole BUSY */
	unsigned whole_kept;       /* blocks that wait for their turn to be hashed */
	struct block *whole_held;  /* what came last: right, but loading until the verdict */
	parts_t whole_held_parts;
	/* Where the one that was opened as a part of it and closed last has got to: see ahead.c. */
	bool part_started;
	uint64_t part_position, part_ahead;
	unsigned part_window;
	struct artifact *next;
};

struct pending { /* a request that was not answered yet */
	struct reader_request *request;
	struct reader_file *file;
	int64_t began_us;
	uint64_t offset;
	size_t len; /* cut at the end of the file */
	struct wait waits[REQUEST_BLOCKS_MAX];
	unsigned count;   /* of waits; 0 before it is admitted */
	unsigned missing; /* blocks with parts that are not ready */
	int result;
	const struct error *err;                 /* of a result below 0; borrowed until it is answered */
	struct pending *prev, *next;             /* file->pendings */
	struct pending *queue_prev, *queue_next; /* reader->queue */
	bool queued;
	struct pending *answer_next; /* struct answers */
};

/* struct answers - requests whose answer is known and was not told yet: those that a thread has decided, told by its
 * own request_deliver(), or reader->late, told by whoever calls that next. */
struct answers {
	struct pending *first, *last;
};

struct reader_file { /* what reader_open() returns */
	struct reader *reader;
	struct artifact *artifact;
	struct pending *pendings;
	unsigned answering; /* done() is to be called or running */
	struct reader_file_stats stats;
	struct reader_file *prev, *next; /* reader->files */
	/* Read-ahead, see ahead.c. */
	bool started;
	uint64_t position; /* highest end of what was read in order */
	uint64_t ahead;    /* read-ahead was asked for up to here */
	unsigned window;   /* blocks to be ahead of position */
	bool is_part;
	unsigned inherited; /* window of the part before, if this one begins in order; 0: none */
	uint64_t tick;      /* reader->tick when position moved last */
};

struct piece { /* consecutive parts of one block */
	struct block *block;
	parts_t parts;      /* 0 when it is settled: the block may be another's by then */
	size_t from, bytes; /* in the block */
	bool offered;       /* to the disk cache, for which the block is pinned */
};

struct batch { /* what one get brings: pieces of consecutive blocks */
	struct artifact *artifact;
	struct piece pieces[FETCH_BLOCKS];
	unsigned count;
	bool ahead; /* nobody waited when it was taken; reader->ahead_gets counts it as long as it is set */
	char etag[STORE_ETAG_BYTES];
};

/* how many gets of read-ahead of one file run at once, and what is known of that; ahead.c */
struct gets_tuning {
	unsigned at_once;
	unsigned hold;              /* so many gets are not measured */
	unsigned measured;          /* gets since at_once was changed, or looked at */
	uint64_t sum_bytes_per_s;   /* over these, of what all brought that ran at once */
	uint64_t fewer_bytes_per_s; /* the mean of that with half as many; 0: more are not being tried */
};

struct fetcher { /* one thread */
	struct reader *reader;
	pthread_t thread;
	struct batch
	        batch; /* artifact: NULL while idle. The thread's own, and read by others with the lock */
	struct cancel cancel; /* of its running get; valid while batch.artifact is set */
	bool idle;            /* it is in reader->idle_fetchers */
	struct fetcher *idle_next;
	pthread_cond_t wake; /* not idle any more, or ending */
};

struct reader {
	struct store *store;
	struct cache *cache;
	struct pool *pool;
	struct reader_metrics *metrics;
	pthread_mutex_t lock;
	pthread_cond_t answered; /* some file->answering fell to 0 */
	bool refusing;           /* reader_cancel_all() */
	bool ending;             /* reader_free() */
	size_t block_count;
	size_t available; /* how many block_make()s for requests would succeed now */
	struct block *blocks;
	struct block_list free;
	struct block_list wanted; /* have wanted parts, in the order of asking */
	struct block_list ahead;  /* have no wanted parts, but ahead ones */
	struct block_list idle;   /* nobody needs them now; least recently used first */
	struct block_list
	        scraps; /* likewise, all of what is there was handed out, but that is not all of them */
	struct block_list spent; /* likewise, and all of it was handed out; most recently used last */
	uint64_t tick;           /* grows with each block made */
	size_t bucket_count;
	struct block **buckets;
	struct artifact *artifacts[ARTIFACT_BUCKETS];
	struct reader_file *files;
	struct pending *queue, *queue_last; /* requests for which there were no buffers, in order */
	struct answers late;                /* decided where nobody tells them: request_deliver() does */
	unsigned ahead_blocks_max;          /* the largest window */
	unsigned ahead_gets;                /* gets in flight that nobody waits for */
	unsigned sequential_files;          /* files with a window */
	uint64_t stale_tick;                /* when windows were last looked through */
	struct gets_tuning gets;
	unsigned threads; /* as asked for; set before they start */
	struct fetcher *fetchers;
	struct fetcher *idle_fetchers; /* the one that became so last is the first */
	unsigned waking;               /* woken, but not running yet */
	unsigned started;              /* of fetchers; only for reader_new() and reader_free() */
};

/* span.c; pure. @c: the cells of the file's layout, NULL: it has none. */

/* block_span() - the block that holds the file's byte at @offset, which is before the end. */
struct span block_span(const struct extents *x, const struct cells *c, uint64_t offset);
/* span_parts() - all parts of a block. */
parts_t span_parts(const struct span *span);
/* span_parts_of() - the parts that hold the bytes of the file from @from to @to (excluded), cut at the
 * block's ends. */
parts_t span_parts_of(const struct extents *x, const struct cells *c, const struct span *span, uint64_t from,
                      uint64_t to);
/* span_parts_bytes() - how many bytes of the file these parts have. */
size_t span_parts_bytes(const struct extents *x, const struct cells *c, const struct span *span,
                        parts_t parts);
/* span_extent() - the first extent of a part; PARTS: the one behind the last. */
size_t span_extent(const struct span *span, unsigned part);
/* parts_run() - the consecutive parts of @parts that begin with the lowest; it goes on over a hole of one
 * part that is in @fill, when more of @parts follow. */
parts_t parts_run(parts_t parts, parts_t fill);

/* layout.c; any thread, without the lock: what they look at does not change while a piece is loading, or a
 * block with ready parts is pinned. */

/* layout_check() - is the table one of this layout's? On 0 *@ret_bytes is the size of the file. */
int layout_check(const struct reader_layout *l, const struct extents *x, uint64_t *ret_bytes,
                 struct error *err);
/* layout_decode() - make the cells of @p, whose stored bytes are right, plain where they lie. Nothing to do
 * without a layout. */
int layout_decode(const struct piece *p, struct error *err);
/* layout_iov() - where the file's bytes from @from to @to (excluded), all of @b, lie in its buffer; @iov has
 * room. Returns how many stretches these are: without a layout one, else one for each cell. */
int layout_iov(const struct block *b, uint64_t from, uint64_t to, struct iovec *iov);

/* block.c; all with the lock held. */

void block_table_init(struct reader *reader);
void block_table_finish(struct reader *reader);
struct block *block_find(struct reader *reader, const struct artifact *a, size_t first_extent);
/* block_is_available() - could its buffer be another's? */
bool block_is_available(const struct block *b);
/* block_make() - a block with a buffer and nothing in it, pinned once for the caller; NULL when there is
 * none. For read-ahead it takes no buffer whose bytes somebody is likely to want soon. */
struct block *block_make(struct reader *reader, struct artifact *a, const struct span *span,
                         bool for_request);
/* block_changed() - after a change of its parts or pins: put @b into the list where it belongs now; forget it
 * when there is nothing in it. */
void block_changed(struct reader *reader, struct block *b);
void block_pin(struct reader *reader, struct block *b);
void block_unpin(struct reader *reader, struct block *b);
/* block_want(), block_want_ahead() - have the threads fetch those of @parts that are not there. */
void block_want(struct reader *reader, struct block *b, parts_t parts);
void block_want_ahead(struct reader *reader, struct block *b, parts_t parts);
/* block_clear() - forget what is ready, wanted or ahead; what is loading stays. */
void block_clear(struct reader *reader, struct block *b);

/* request.c; all with the lock held. */

/* request_fail() - @p's answer is @r; it lets go of its blocks. @err is borrowed until request_deliver()
 * returned. */
void request_fail(struct reader *reader, struct pending *p, int r, const struct error *err,
                  struct answers *answers);
/* request_parts_ready() - those who waited for @parts of @b need them no more; some may be complete. */
void request_parts_ready(struct block *b, parts_t parts, struct answers *answers);
void request_parts_failed(struct reader *reader, struct block *b, parts_t parts, int r,
                          const struct error *err, struct answers *answers);
/* request_deliver() - call done() for each, with the lock released; admits queued requests as buffers come
 * free. */
void request_deliver(struct reader *reader, struct answers *answers);

/* ahead.c, lock held. */

/* ahead_note() - @f's range from @offset to @end was asked for. */
void ahead_note(struct reader_file *f, uint64_t offset, uint64_t end);
/* ahead_expect() - see reader_expect(). */
void ahead_expect(struct reader_file *f, uint64_t at, uint64_t len);
/* ahead_begin() - the file was opened. ahead_end() - it is closed. */
void ahead_begin(struct reader_file *f);
void ahead_end(struct reader_file *f);

/* gets.c, lock held. */

void gets_init(struct reader *reader);
/* gets_measure() - a get of read-ahead, which reader->ahead_gets still counts, took so long for so many
 * bytes. */
void gets_measure(struct reader *reader, uint64_t bytes, int64_t duration_us);
/* gets_may_begin() - may one more get of read-ahead run? One thread is always left for requests. */
bool gets_may_begin(const struct reader *reader);
/* gets_blocks() - the most that a get of read-ahead brings. */
unsigned gets_blocks(const struct reader *reader);

/* fetch.c */

/* fetch_wake() - with the lock: there is something to be fetched. */
void fetch_wake(struct reader *reader);
/* fetch_end() - with the lock: the threads shall end. */
void fetch_end(struct reader *reader);
void *fetch_main(void *arg);
/* fetch_cancel_unwanted() - lock held: end the gets that requests began and none waits for any more. */
void fetch_cancel_unwanted(struct reader *reader);

/* cached.c */

/* cached_read() - the bytes of @p from the disk cache; they may be wrong. */
bool cached_read(struct reader *reader, const struct piece *p);
/* cached_forget() - they are wrong. */
void cached_forget(struct reader *reader, const struct piece *p);
/* cached_offer() - lock held; with @parts @b is whole, has nothing but stored bytes in it, and the disk cache
 * has not got it yet: true, and it stays until cached_write(). */
bool cached_offer(struct reader *reader, struct block *b, parts_t parts);
void cached_write(struct reader *reader, struct block *b);

/* whole.c; all with the lock held. */

/* whole_arrived() - @parts of @b were checked: false when they must wait for the file's SHA-256. They stay
 * loading then; whole_go_on() gives them out. */
bool whole_arrived(struct reader *reader, struct block *b, parts_t parts);
/* whole_lost() - @b is being forgotten, or parts of it that were to be fetched are not: nothing waits for it
 * any more. */
void whole_lost(struct reader *reader, struct block *b);
/* whole_go_on() - after something came, or will not come: hash what is there now (with the lock released
 * meanwhile), and give out, or fail, what was held when the hash is there or cannot be had. */
void whole_go_on(struct reader *reader, struct artifact *a, struct answers *answers);
/* whole_end() - the last file of @a is closed. */
void whole_end(struct reader *reader, struct artifact *a, struct answers *answers);

/* reader.c, lock held: free @a when it has no files and no users. */
void artifact_release(struct artifact *a);

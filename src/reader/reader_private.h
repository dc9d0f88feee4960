#pragma once
/*
 * What the files of this room share. One lock, reader->lock, guards everything below but what says otherwise;
 * it is never held across the store or a done().
 *
 *   reader.c   life: the reader, its files, their artifacts
 *   block.c    which extents make a block; the table of blocks; whose buffer may be taken
 *   request.c  requests: admitted, pinned to blocks, answered once
 *   ahead.c    who reads in order, and what to fetch before it is asked for
 *   fetch.c    the threads that get blocks from the store and check them
 */
#include <keepfs/base/cancel.h>
#include <keepfs/reader.h>
#include <pthread.h>
#include <stdbool.h>

#define ARTIFACT_BUCKETS   64
#define FETCH_BLOCKS       4  /* the most that one get brings */
#define AHEAD_BLOCKS       16 /* the largest read-ahead window */
#define REQUEST_BLOCKS_MAX 6  /* see block_span() */

struct pending;

/* struct span - one block's place: consecutive extents, and the bytes they cover. */
struct span {
	size_t first, count;
	uint64_t offset;
	size_t bytes;
};

enum block_state {
	BLOCK_FREE,    /* in reader->free */
	BLOCK_QUEUED,  /* in reader->demanded or reader->ahead */
	BLOCK_LOADING, /* a thread gets it; in no list */
	BLOCK_READY,   /* checked; in reader->unpinned while nobody needs it */
};

/* struct wait - one block that a request needs: pinned by it, and waited for until it is ready. */
struct wait {
	struct pending *pending;
	struct block *block;
	struct wait *next; /* of the same block, while it is not ready */
};

struct block { /* a slot of reader->blocks; has a buffer in every state but BLOCK_FREE */
	struct artifact *artifact;
	struct span span;
	char *buffer; /* contents: written while LOADING by its thread, read while READY by all who pin it */
	enum block_state state;
	bool demanded;      /* QUEUED: in which list */
	bool used;          /* some of it was handed out */
	uint64_t tick;      /* of reader->tick when it was made */
	unsigned pins;      /* requests that need it */
	struct wait *waits; /* requests that wait for it */
	struct block *hash_next;
	struct block *prev, *next; /* in the one list it is in */
};

struct block_list {
	struct block *first, *last;
	size_t count;
};

struct artifact { /* what is open, once however often it is; never changes but for the counts and the link */
	uint64_t ino;
	char *key;
	struct extents extents;
	unsigned files;   /* open */
	unsigned loading; /* blocks that threads are getting: they use key and extents without the lock */
	int64_t failed_until_ms; /* the store gave up at its deadline: until then nobody waits for that again
	                          */
	struct error failure;    /* what it said */
	struct artifact *next;
};

struct pending { /* a request that was not answered yet */
	struct reader_request *request;
	struct reader_file *file;
	uint64_t offset;
	size_t len; /* cut at the end of the file */
	struct wait waits[REQUEST_BLOCKS_MAX];
	unsigned count;   /* of waits; 0 before it is admitted */
	unsigned missing; /* blocks that are not ready */
	int result;
	const struct error *err;                 /* borrowed until it is answered */
	struct pending *prev, *next;             /* file->pendings */
	struct pending *queue_prev, *queue_next; /* reader->queue */
	bool queued;
	struct pending *answer_next; /* struct answers */
};

/* struct answers - requests whose answer is known, to be told by request_deliver() of the thread that holds
 * this. */
struct answers {
	struct pending *first, *last;
};

struct reader_file {
	struct reader *reader;
	struct artifact *artifact;
	struct pending *pendings;
	unsigned answering;              /* done() is to be called or running */
	struct reader_file *prev, *next; /* reader->files */
	/* Read-ahead, see ahead.c. */
	bool started;
	uint64_t position; /* highest end of what was read in order */
	uint64_t ahead;    /* read-ahead was asked for up to here */
	unsigned window;   /* blocks to be ahead of position */
};

struct fetcher { /* one thread */
	struct reader *reader;
	pthread_t thread;
	struct artifact *artifact; /* being fetched from; NULL while idle */
	struct cancel cancel;      /* of its running get; valid while artifact is set */
};

struct reader {
	struct store *store;
	struct pool *pool;
	pthread_mutex_t lock;
	pthread_cond_t work;     /* blocks were queued, or ending */
	pthread_cond_t answered; /* some file->answering fell to 0 */
	bool refusing;           /* reader_cancel_all() */
	bool ending;             /* reader_free() */
	size_t block_count;
	struct block *blocks;
	struct block_list free;     /* slots without use */
	struct block_list demanded; /* QUEUED: requests wait for them */
	struct block_list ahead;    /* QUEUED: nobody waits yet */
	struct block_list unpinned; /* READY and pinned by none, least recently used first */
	uint64_t tick;              /* grows with each block made */
	size_t bucket_count;
	struct block **buckets;
	struct artifact *artifacts[ARTIFACT_BUCKETS];
	struct reader_file *files;
	struct pending *queue, *queue_last; /* requests for which there were no buffers, in order */
	unsigned ahead_gets;                /* gets in flight that nobody waits for */
	unsigned threads;                   /* as asked for; set before they start */
	struct fetcher *fetchers;
	unsigned started; /* of fetchers; only for reader_new() and reader_free() */
};

/* block.c; all with the lock held. */

/* block_span() - the block that holds the byte at @offset, which is before the end. Pure: no lock. */
struct span block_span(const struct extents *x, uint64_t offset);
void block_table_init(struct reader *r);
void block_table_finish(struct reader *r);
struct block *block_find(struct reader *r, const struct artifact *a, size_t first_extent);
/* block_available() - how many block_make()s for requests would succeed now. */
size_t block_available(const struct reader *r);
/* block_is_available() - is @b one that block_available() counts? */
bool block_is_available(const struct block *b);
/* block_make() - a slot with a buffer for @span, in no list; NULL when there is none. For read-ahead it takes
 * no buffer whose bytes somebody is likely to want soon. */
struct block *block_make(struct reader *r, struct artifact *a, const struct span *span, bool for_request);
void block_queue(struct reader *r, struct block *b, bool demanded);
/* block_unqueue() - a thread takes @b: LOADING. */
void block_unqueue(struct reader *r, struct block *b);
void block_pin(struct reader *r, struct block *b);
void block_unpin(struct reader *r, struct block *b);
/* block_ready() - its bytes were checked. */
void block_ready(struct reader *r, struct block *b);
/* block_drop() - forget @b, whatever its state; its buffer goes back to the pool. No pins. */
void block_drop(struct reader *r, struct block *b);

/* request.c; all with the lock held. */

/* request_fail() - @p's answer is @result; it lets go of its blocks. @err is borrowed until request_deliver()
 * returned. */
void request_fail(struct reader *r, struct pending *p, int result, const struct error *err,
                  struct answers *answers);
/* request_block_ready() - those who waited for @b need it no more; some may be complete. */
void request_block_ready(struct block *b, struct answers *answers);
void request_block_failed(struct reader *r, struct block *b, int result, const struct error *err,
                          struct answers *answers);
/* request_deliver() - call done() for each, with the lock released; admits queued requests as buffers come
 * free. */
void request_deliver(struct reader *r, struct answers *answers);

/* ahead.c, lock held. */
void ahead_note(struct reader_file *f, uint64_t offset, uint64_t end);

/* fetch.c */
void *fetch_main(void *arg);

/* reader.c, lock held: free @a when it has no files and no loading blocks. */
void artifact_release(struct artifact *a);

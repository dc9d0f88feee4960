// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Reading artifacts: a byte range of the file → checked bytes. "Stored" bytes are those of the object, "plain"
 * bytes those of the file: the same, unless the file has a layout. What is asked for, and what is expected to be
 * asked for next, is fetched from the disk cache or by ranged gets from the store, on the reader's own
 * threads, several at once. Each extent is checked against the manifest's CRC-32C before a byte of it is
 * handed out. Blocks are shared by all readers of an artifact and kept, while it is open, until their buffers
 * are wanted. A request never blocks its caller; it is answered once, by a callback.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/base/histogram.h>
#include <keepfs/base/pool.h>
#include <keepfs/cache.h>
#include <keepfs/codec/cells.h>
#include <keepfs/codec/extents.h>
#include <keepfs/codec/hash.h>
#include <keepfs/store.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define READER_BUFFERS_MIN   8                 /* one request and some read-ahead */
#define READER_REQUEST_BYTES POOL_BUFFER_BYTES /* the longest request; the kernel's are no longer */

struct reader;
struct reader_file;

/** struct reader_metrics - since the process began. Any thread. */
struct reader_metrics {
	atomic_ullong requests, request_bytes; /* answered with bytes */
	atomic_ullong failures;                /* answered with an error; not cancellations */
	atomic_ullong cancelled;
	struct histogram duration;   /* of all requests, from reader_read() to the answer */
	atomic_ullong fetched_bytes; /* stored ones, from the store */
	atomic_ullong ahead_bytes;   /* of these, and of what the disk cache gave: before anybody asked */
	atomic_ullong wrong_extents; /* CRC-32C was not the manifest's; what was got again counts again */
	atomic_ullong whole, whole_wrong; /* SHA-256 of whole files compared; of these, not the manifest's */
	atomic_llong open_files;
	atomic_llong used_buffers; /* of 1 MiB, with what is kept for others */
};

struct reader_options {
	struct store *store;            /* borrowed: of files that name none */
	struct cache *cache;            /* borrowed; NULL: none */
	struct pool *pool;              /* borrowed; the reader reserves @buffers of it */
	size_t buffers;                 /* at least READER_BUFFERS_MIN */
	unsigned threads;               /* gets in flight; at least 2 */
	uint64_t ahead_bytes;           /* the largest read-ahead of one file; 0: none */
	struct reader_metrics *metrics; /* borrowed */
};

/**
 * reader_new() - reserve the buffers and start the threads
 * Return: 0; -EINVAL; -ENOSPC when the pool cannot promise @buffers now: it is made before anything else uses
 * the pool.
 */
int reader_new(const struct reader_options *options, struct reader **ret_reader, struct error *err);
/** reader_free() - every file closed; waits for gets in flight (cancelled). NULL allowed; returns NULL. */
struct reader *reader_free(struct reader *r);

struct reader_layout;

struct reader_layout_ops {
	/**
	 * decode() - make the stored bytes of a cell plain, in place: they become the first of @bytes
	 * @cell:   its number in the file, from 0
	 * @last:   it is the file's last: whoever cut cells off the object would have made another one the last
	 * @bytes:  as the manifest's CRC-32C says; whatever they are after a failure, nobody sees them
	 * @stored: their number, cells.stored_bytes or, of the last cell, less
	 * Several cells at the same time, each on one of the reader's threads, with no lock held; must not
	 * block. Return: 0; negative with @err: these are not the bytes of this cell of this file.
	 */
	int (*decode)(const struct reader_layout *, uint64_t cell, bool last, void *bytes, size_t stored,
	              struct error *err);
	void (*free)(struct reader_layout *);
};

/**
 * struct reader_layout - how the plain bytes lie in the stored ones: of a file that is stored as it is, none is
 * needed. A member of what its operations work on. It never changes; it outlives reader_close() until the
 * last get has ended.
 */
struct reader_layout {
	const struct reader_layout_ops *ops;
	struct cells cells;
};

struct reader_what {
	struct store *
	        store; /* that has it: consumed, on failure too, and freed when nothing of it is read any more; NULL: the reader's own */
	uint64_t ino;  /* files of the same one share blocks */
	const char *key;         /* of the object; copied */
	struct extents *extents; /* of the stored bytes; consumed, on failure too */
	const char *sha256;      /* hex, of the whole file; "" or NULL: not known */
	bool is_part; /* one stretch of it is read, and the one behind it next, by the next that is opened so: read-ahead goes on there */
	bool whole;   /* compare it when the file is read from beginning to end in order */
	struct reader_layout *layout; /* consumed, on failure too; NULL: the stored bytes are the file's */
	const char *stored_sha256;    /* with a layout: of the object; "" or NULL: not known */
};

/** reader_open() - never blocks on the store. Return: 0; -ESHUTDOWN after reader_cancel_all(); -EBADMSG
 * (ERROR_CORRUPT) when no file of this layout has these extents. */
int reader_open(struct reader *r, const struct reader_what *what, struct reader_file **ret_file,
                struct error *err);

struct reader_file_stats {
	uint64_t requests, bytes; /* that were answered with bytes; what the kernel had is not asked for */
	uint64_t failures;
	bool whole;             /* its SHA-256 was compared, and is the manifest's */
	int64_t verified_at_us; /* when, if all of it came from the store; else 0 */
};
/**
 * reader_close() - requests still pending are answered with -ECANCELED first; answers that are being given on
 * other threads are waited for. Not from within done(). @ret: NULL, or what was read through this file.
 */
void reader_close(struct reader_file *f, struct reader_file_stats *ret);

struct reader_request { /* in the caller's memory until done */
	uint64_t offset;
	size_t len; /* at most READER_REQUEST_BYTES, else -EINVAL */
	/**
	 * done() - the one answer, on a thread of the reader's or, when the bytes are there, on the caller's,
	 * before reader_read() returns; with no lock held
	 * @result: 0: @iov holds exactly the bytes from offset, cut only at the end of the file; borrowed for
	 * the call. Negative: @err says why: -EIO (the store failed, or ERROR_CORRUPT: wrong bytes), -ESTALE
	 * (another object has taken its place while the file was open), -ECANCELED.
	 */
	void (*done)(struct reader_request *req, int result, const struct iovec *iov, int count,
	             const struct error *err);
	uint64_t tag;   /* the caller's, for reader_cancel(): not 0, and no other of this file has it now */
	uint64_t owner; /* likewise, for reader_cancel_owner() */
	struct reader_file *file; /* set by reader_read() */
};

/** reader_cache_id() - under which name the disk cache keeps the stored bytes of a file: made of their SHA-256,
 * or, when that is not known ("" or NULL), of its extent table. Pure. */
void reader_cache_id(const char *stored_sha256, const struct extents *x, uint8_t ret[static CACHE_ID_BYTES]);

void reader_read(struct reader_file *f, struct reader_request *req);
/**
 * reader_cancel() - nobody wants the answer of the request with this tag any more: done() is called with
 * -ECANCELED before this returns, and what is fetched for it alone is given up. Does nothing when its answer
 * was given, or is being given. Not from within done().
 */
void reader_cancel(struct reader_file *f, uint64_t tag);
/** reader_cancel_owner() - the same for all requests of @owner: it has closed its descriptor, or died. */
void reader_cancel_owner(struct reader_file *f, uint64_t owner);
/** reader_expect() - @len bytes from @at on will be asked for soon, in order, by whoever reads the file: they are got now, as far as there are buffers to spare. Never blocks. */
void reader_expect(struct reader_file *f, uint64_t at, uint64_t len);
/** struct reader_now - who reads a file and waits for it; all borrowed. */
struct reader_now {
	struct reader_file *file;
	struct cancel *cancel; /* NULL: it cannot be cancelled */
	atomic_ullong *tags;   /* the last one that was used of all requests of this file */
	const char *what;      /* for messages: "the listing of a mirror" */
};
/** reader_read_now() - exactly @len bytes from @at on: on a thread that may wait, and is none of the reader's. As done() of a request; -EBADMSG
 * (ERROR_CORRUPT): the file ends before. */
int reader_read_now(const struct reader_now *now, uint64_t at, void *buf, size_t len, struct error *err);
/** reader_cancel_all() - refuse and end all requests (-EIO): shutdown. Files stay to be closed. */
void reader_cancel_all(struct reader *r);

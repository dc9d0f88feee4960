#pragma once
/**
 * Reading artifacts: a byte range of the file → checked bytes. Blocks (runs of extents, at most one pool
 * buffer each) are fetched from the store by ranged gets on the reader's own threads, several at once and
 * ahead of a sequential reader; each extent is checked against the manifest's CRC-32C before a byte of it is
 * handed out. Blocks are shared by all readers of an artifact and kept, while it is open, until their buffers
 * are wanted. A request never blocks its caller; it is answered once, by a callback.
 */
#include <keepfs/base/error.h>
#include <keepfs/base/pool.h>
#include <keepfs/codec/extents.h>
#include <keepfs/store.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define READER_BUFFERS_MIN   8                 /* one request and some read-ahead */
#define READER_REQUEST_BYTES POOL_BUFFER_BYTES /* the longest request; the kernel's are no longer */

struct reader;
struct reader_file;

struct reader_options {
	struct store *store; /* borrowed */
	struct pool *pool;   /* borrowed; the reader reserves @buffers of it */
	size_t buffers;      /* at least READER_BUFFERS_MIN */
	unsigned threads;    /* gets in flight */
};

/**
 * reader_new() - reserve the buffers and start the threads
 * Return: 0; -EINVAL; -ENOSPC when the pool cannot promise @buffers now: it is made before anything else uses
 * the pool.
 */
int reader_new(const struct reader_options *options, struct reader **ret_reader, struct error *err);
/** reader_free() - every file closed; waits for gets in flight (cancelled). NULL allowed; returns NULL. */
struct reader *reader_free(struct reader *r);

/**
 * reader_open() - @key's bytes; @extents is consumed, on failure too. Files of the same @ino share blocks.
 * Never blocks on the store. Return: 0; -ESHUTDOWN after reader_cancel_all().
 */
int reader_open(struct reader *r, uint64_t ino, const char *key, struct extents *extents,
                struct reader_file **ret_file, struct error *err);
/**
 * reader_close() - requests still pending are answered with -ECANCELED first; answers that are being given on
 * other threads are waited for. Not from within done().
 */
void reader_close(struct reader_file *f);

struct reader_request { /* in the caller's memory until done */
	uint64_t offset;
	size_t len; /* at most READER_REQUEST_BYTES, else -EINVAL */
	/**
	 * done() - the one answer, on a thread of the reader's or, when the bytes are there, on the caller's,
	 * before reader_read() returns; with no lock held
	 * @result: 0: @iov holds exactly the bytes from offset, cut only at the end of the file; borrowed for
	 * the call. Negative: @err says why: -EIO (the store failed, or ERROR_CORRUPT: wrong bytes),
	 * -ECANCELED.
	 */
	void (*done)(struct reader_request *req, int result, const struct iovec *iov, int count,
	             const struct error *err);
	struct reader_file *file; /* set by reader_read() */
};

void reader_read(struct reader_file *f, struct reader_request *req);
/** reader_cancel_all() - refuse and end all requests (-EIO): shutdown. Files stay to be closed. */
void reader_cancel_all(struct reader *r);

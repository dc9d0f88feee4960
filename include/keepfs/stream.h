// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Streams: bytes from a descriptor into a sink, and into an object of a store. One thread drives a stream;
 * whoever has no room blocks in write, and so slows the source down.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/pool.h>
#include <keepfs/codec/extents.h>
#include <keepfs/codec/hash.h>
#include <keepfs/store.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct sink;

struct sink_ops {
	int (*write)(struct sink *, const void *data, size_t len,
	             struct error *); /* @data is borrowed for the call */
	/* For stages that own others; stream_pump() calls neither. */
	int (*finish)(struct sink *,
	              struct error *); /* end of data: flush everything; success means: taken over whole */
	void (*free)(struct sink *);   /* before a successful finish: drop everything that was written */
};

/** struct sink - where bytes go; a member of what its operations work on */
struct sink {
	const struct sink_ops *ops;
};

/** stream_pump() - read @fd to its end into @sink; does not finish it. -ECANCELED soon after @cancel, even
 * while @fd is silent. @read_bytes: NULL or a live count. */
int stream_pump(int fd, struct sink *sink, struct cancel *cancel, atomic_uint_least64_t *read_bytes,
                struct error *err);

/** struct stream_facts - what is known of the bytes of an object */
struct stream_facts {
	uint64_t bytes;
	char sha256[SHA256_HEX_BYTES]; /* "": not known */
	struct extents extents;
};

struct stream_object_options {
	struct store *store; /* borrowed, as all of these */
	struct pool *pool;
	const char *key;
	/* of the first parts, at least the store's minimum; doubles every 250 parts while half of the pool
	 * stays free */
	uint64_t part_bytes;
	unsigned max_parts; /* 0: the store's; never more than that */
	/* the object's first bytes, which are only known at the end; 0: none. The first part holds at least
	 * these, is kept (its memory is reserved beside the others') and sent last */
	size_t head_bytes;
	struct cancel *cancel;
	atomic_uint_least64_t *sent_bytes; /* counts what the store has taken; NULL */
};

/**
 * struct stream_object - one object as it is written: an upload, the extents of what is sent, and its SHA-256
 * when it can be known
 */
struct stream_object;
/**
 * stream_object_new() - begin an object
 * Less than one part is a single put in the end; more is a multipart upload, begun with the first full part,
 * several parts in flight. Buffers come from the pool: room for four parts is reserved here (may wait), for
 * larger parts later when it can be had. -EFBIG when memory does not allow for a head of that size, -ENOSPC
 * when it does not for the parts.
 */
int stream_object_new(const struct stream_object_options *options, struct stream_object **ret_object,
                      struct error *err);
/** stream_object_write() - what follows the head, in order; waits while the store is slower. One thread. */
int stream_object_write(struct stream_object *o, const void *data, size_t len, struct error *err);
/** stream_object_finish() - @head: options.head_bytes bytes, NULL when there are none. On 0 the object is in
 * the store, and
 * @ret (held nothing) tells bytes and extents; its sha256 is "" when there was a head: only reading it back
 * tells. */
int stream_object_finish(struct stream_object *o, const void *head, struct stream_facts *ret,
                         struct error *err);
/** stream_object_free() - not finished: aborted, nothing stays. NULL allowed. */
struct stream_object *stream_object_free(struct stream_object *o);
DEFINE_CLEANUP(stream_object, struct stream_object *, stream_object_free)

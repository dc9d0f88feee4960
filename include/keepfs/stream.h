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
#include <keepfs/codec/cells.h>
#include <keepfs/codec/extents.h>
#include <keepfs/codec/hash.h>
#include <keepfs/store.h>
#include <keepfs/stream/sink.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** stream_pump() - read @fd to its end into @sink; does not finish it. -ECANCELED soon after @cancel, even
 * while @fd is silent. @read_bytes: NULL or a live count. */
int stream_pump(int fd, struct sink *sink, struct cancel *cancel, atomic_uint_least64_t *read_bytes,
                struct error *err);

/**
 * struct stream_facts - what is known of the bytes of an object: of the plain ones, which were written, and
 * of those that the store holds. They are the same unless a stage transformed them.
 */
struct stream_facts {
	uint64_t bytes;
	char sha256[SHA256_HEX_BYTES]; /* "": not known */
	uint64_t stored_bytes;
	char stored_sha256[SHA256_HEX_BYTES]; /* "": not known */
	struct extents extents;               /* of the stored bytes: to check or to copy them needs no key */
	/* So many bytes, from @copied_at on, were copied by the store: of the extents in them no CRC-32C is known, nor any SHA-256 of the object. stream_readback() tells them. */
	uint64_t copied_at, copied_bytes;
};

/**
 * struct stream_stage - a stage that transforms the bytes of an object, a cipher for instance
 * What it passes on to @next is to be as @cells say: for each file size exactly cells_stored_bytes() bytes.
 *
 * With a head, the file's first @head_bytes bytes are not written but come in the sink's head calls, after the
 * last write. The stage passes on to next's head calls all cells that hold bytes of the head, whole, with the
 * cells' own head before them: cells_covering_bytes() of @head_bytes, or less when the file ends within the
 * last of them. So of what is written first it keeps back what is in a cell with the head's end, less than
 * one cell, and it may not pass on a byte by write until that cell is full.
 */
struct stream_stage {
	struct cells cells; /* cells_are_usable() */
	/* A sink in front of @next, which it owns from then on. What cannot be done is told by the first
	 * write, head or finish. */
	struct sink *(*new)(struct sink *next, size_t head_bytes, void *arg);
	void *arg;
};

struct stream_object_options {
	struct store *store; /* borrowed, as all of these */
	struct pool *pool;
	const char *key;
	/* of the first parts, at least the store's minimum; doubles every 250 parts while half of the pool
	 * stays free */
	uint64_t part_bytes;
	unsigned max_parts; /* 0: the store's; never more than that */
	/* the first of the bytes, which are only known at the end; 0: none. The parts that hold these are sent last; the
	 * one in which they end is kept, and its memory is reserved beside the others' */
	size_t head_bytes;
	const struct stream_stage *stage; /* NULL: stored as they are written */
	/* A copy of an object whose extents and SHA-256 are known, or that is compared byte by byte: neither is made again, and
	 * of the facts there are the bytes alone. Not with a stage. */
	bool no_sums;
	/* All of it will be read back, which tells the SHA-256: it is not computed before. Not with a stage. */
	bool no_digest;
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
 * larger parts later when it can be had. -ENOSPC when memory does not allow for the parts.
 */
int stream_object_new(const struct stream_object_options *options, struct stream_object **ret_object,
                      struct error *err);
/** stream_object_buffers() - how many buffers of the pool stream_object_new() reserves; fails as store_features(). */
int stream_object_buffers(const struct stream_object_options *options, size_t *ret, struct error *err);
/** stream_object_sums() - of an object that lies already where it is: what is written is counted, hashed and divided into extents, as ever, and kept nowhere. */
struct stream_object *stream_object_sums(void);
/** stream_object_write() - what follows the head, in order; waits while the store is slower. One thread. */
int stream_object_write(struct stream_object *o, const void *data, size_t len, struct error *err);
/** stream_object_head() - the next of the options.head_bytes bytes of the head, in pieces of any size, when all else was
 * written. */
int stream_object_head(struct stream_object *o, const void *data, size_t len, struct error *err);
/** STREAM_COPIED_UNIT - of which what comes before copied bytes, and these, are multiples. */
#define STREAM_COPIED_UNIT EXTENT_MAX_BYTES
/**
 * stream_object_copy() - what comes next are bytes of another object, which the store copies by itself, several pieces at once
 *
 * Once for an object without head and stage, behind at least so many written bytes as the store's smallest part has (store_features()), and not at the end of it. Returns when the store has all of
 * them. -ENOTSUP: the store does not do that, or not with parts of any size; or as store_upload_copy(). After a failure the object can only be freed.
 */
int stream_object_copy(struct stream_object *o, const struct sink_copy *from, struct error *err);
/** stream_object_finish() - @head: all of the head, NULL when there is none, or it came by stream_object_head(). On 0 the
 * object is in the store, and
 * @ret (held nothing) tells bytes and extents; both SHA-256 are "" when there was a head: only reading it
 * back tells. */
int stream_object_finish(struct stream_object *o, const void *head, struct stream_facts *ret,
                         struct error *err);
/** stream_object_free() - not finished: aborted, nothing stays. NULL allowed. */
struct stream_object *stream_object_free(struct stream_object *o);
DEFINE_CLEANUP(stream_object, struct stream_object *, stream_object_free)

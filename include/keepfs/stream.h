#pragma once
/**
 * Streams: a source pushes bytes through filters into a sink. A stage is a struct sink; filters hold the next
 * stage and own it. One thread drives a stream; a sink that has no room blocks in write, and so slows the
 * source down.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/pool.h>
#include <keepfs/codec/extents.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/pg_archive.h>
#include <keepfs/store.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct sink;

struct sink_ops {
	int (*write)(struct sink *, const void *data, size_t len,
	             struct error *); /* @data is borrowed for the call */
	int (*finish)(struct sink *,
	              struct error *); /* end of data: flush everything; success means: taken over whole */
	void (*free)(struct sink *);   /* before a successful finish: drop everything that was written */
};

struct sink {
	const struct sink_ops *ops;
};

int sink_write(struct sink *s, const void *data, size_t len, struct error *err);
int sink_finish(struct sink *s, struct error *err);
/** sink_free() - frees the stages behind it too. NULL allowed; returns NULL. */
struct sink *sink_free(struct sink *s);
DEFINE_CLEANUP(sink, struct sink *, sink_free)

/** struct stream_facts - what stream_digest_new() learns, in the caller's memory; complete after
 * sink_finish(). */
struct stream_facts {
	uint64_t bytes;
	char sha256[SHA256_HEX_BYTES];
	struct extents extents;
};

/** stream_digest_new() - filter: passes bytes on, counts and hashes them, and lists their extents in @facts
 * (borrowed). @next is consumed. */
struct sink *stream_digest_new(struct sink *next, struct stream_facts *facts);
/** stream_archive_check_new() - filter: passes bytes on; fails when they are not one whole custom archive.
 * @facts is filled by finish. @next is consumed. */
struct sink *stream_archive_check_new(struct sink *next, struct pg_archive_facts *facts);

struct stream_upload_options {
	struct store *store; /* borrowed, as all of these */
	struct pool *pool;
	const char *key;
	uint64_t part_bytes; /* of the first parts, at least the store's minimum; doubles every 250 parts
	                        while half of the pool stays free */
	unsigned max_parts;  /* 0: the store's; never more than that */
	size_t head_bytes;   /* the object's first bytes, which are only known at the end; 0: none. The first
	                        part holds at least these, is kept (its memory is reserved beside the others')
	                        and sent last. For stream_object_new() alone */
	struct cancel *cancel;
	atomic_uint_least64_t *sent_bytes; /* counts what the store has taken; NULL */
};

/**
 * stream_upload_new() - sink: one object in a store
 * Less than one part is a single put at finish; more is a multipart upload, begun with the first full part,
 * several parts in flight. Buffers come from the pool: room for four parts is reserved here (may wait), for
 * larger parts later when it can be had. Freed unfinished, the upload is aborted and nothing stays.
 */
int stream_upload_new(const struct stream_upload_options *options, struct sink **ret_sink, struct error *err);
/** stream_upload_part_bytes() - size of part @number (from 1) when the largest allowed is @max_bytes: pure.
 */
uint64_t stream_upload_part_bytes(uint64_t first_bytes, uint64_t max_bytes, unsigned number);

/** stream_pump() - read @fd to its end into @sink; does not finish it. -ECANCELED soon after @cancel, even
 * while @fd is silent. @read_bytes: NULL or a live count. */
int stream_pump(int fd, struct sink *sink, struct cancel *cancel, atomic_uint_least64_t *read_bytes,
                struct error *err);

/**
 * struct stream_object - one object as it is written: an upload, the extents of what is sent, and its SHA-256
 * when it can be known
 */
struct stream_object;
/** stream_object_new() - see struct stream_upload_options. -EFBIG when memory does not allow for a head of
 * that size. */
int stream_object_new(const struct stream_upload_options *options, struct stream_object **ret_object,
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

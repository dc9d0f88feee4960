// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The disk cache: pieces of immutable files on a local disk, so that what was fetched once is not fetched
 * again. A fixed number of slots of 1 MiB, in one file; a small table says what is in which slot. Least
 * recently used goes first.
 *
 * The cache is not trusted, and need not be: whoever reads from it checks the bytes against the manifest, and
 * forgets a piece that is wrong. So nothing is synced, a crash can lose or spoil any part of it, and a cache
 * whose table makes no sense is begun anew. It survives a restart. A failing disk (full, read-only, broken)
 * makes it useless, never wrong: it is told once in the log and counted.
 *
 * Any thread; calls block on the local disk, but never on one another's disk I/O.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define CACHE_ID_BYTES   32
#define CACHE_SLOT_BYTES ((size_t)1 << 20) /* the largest piece */

struct cache;

/** struct cache_piece - a range of one file's content. Two pieces of a file do not overlap, or the caller
 * does not mind. */
struct cache_piece {
	uint8_t id[CACHE_ID_BYTES]; /* names the content: a digest of its SHA-256, or of its extent table */
	uint64_t offset;
	uint32_t bytes; /* 1 to CACHE_SLOT_BYTES */
};

/**
 * cache_open() - open, or make, the cache in @dir (made 0700 when its parent exists), of at most @max_bytes
 *
 * A cache of another size is begun anew, and so is one whose table is of another version or makes no sense
 * (said in the log). Its files are keepfs-cache.data and keepfs-cache.table (0600); others in @dir are left
 * alone. Memory: 80 bytes for each MiB that is in use.
 * Return: 0; -EBUSY when another process has it; -EPERM when others may write in @dir, or one of the files is
 * a link, a directory or another user's; -EINVAL for a size that is not possible; -errno.
 */
int cache_open(const char *dir, uint64_t max_bytes, struct cache **ret_cache, struct error *err);
/** cache_free() - no call under way; writes down what was used last. NULL allowed; returns NULL. */
struct cache *cache_free(struct cache *c);
/** cache_read() - fill @iov with the bytes of @piece from its @skip-th on, when that very piece is there:
 * true. They may be wrong. False: @iov's memory may have been written to. @iov does not go beyond the
 * piece. */
bool cache_read(struct cache *c, const struct cache_piece *piece, uint32_t skip, const struct iovec *iov,
                int count);
/** cache_write() - keep a piece; may forget others, may do nothing (when the disk fails, or is too slow).
 * @iov is exactly @piece->bytes. */
void cache_write(struct cache *c, const struct cache_piece *piece, const struct iovec *iov, int count);
/** cache_forget() - drop a piece whose bytes turned out to be wrong. */
void cache_forget(struct cache *c, const struct cache_piece *piece);
/** cache_forget_file() - drop all pieces of a file: it was deleted. Their places on the disk are emptied,
 * those which are being read or written as soon as that ends. Whoever writes a piece of it afterwards brings
 * that piece back. */
void cache_forget_file(struct cache *c, const uint8_t id[static CACHE_ID_BYTES]);

/** struct cache_stats - since cache_open(), but for the first two lines. */
struct cache_stats {
	uint64_t max_bytes, used_bytes; /* used: of all pieces */
	uint64_t pieces;
	uint64_t hits, misses; /* of cache_read() */
	uint64_t hit_bytes;    /* read */
	uint64_t written_bytes;
	uint64_t evictions; /* pieces that made room for others */
	uint64_t wrong;     /* pieces that were forgotten because their bytes were wrong */
	uint64_t failures;  /* of the disk */
};
void cache_stats(struct cache *c, struct cache_stats *ret);

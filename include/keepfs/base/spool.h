// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Text, or other bytes, of any length in bounded memory: the first SPOOL_MEMORY_BYTES are kept in memory, what goes beyond
 * goes to an unlinked file in a directory of the caller's choice. Written once by one thread, then read by
 * any.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SPOOL_MEMORY_BYTES ((size_t)256 << 10)

struct spool;

/** spool_new() - empty; @directory is where an overflow file would be made (copied). */
struct spool *spool_new(const char *directory);
/** spool_new_small() - with no more than @memory_bytes in memory: where many are kept. */
struct spool *spool_new_small(const char *directory, size_t memory_bytes);
struct spool *spool_free(struct spool *s);
DEFINE_CLEANUP(spool, struct spool *, spool_free)
/** spool_append() - a failure (disk full) is remembered and told by spool_error(); later appends do
 * nothing. */
void spool_append(struct spool *s, const char *bytes, size_t len);
void spool_appendf(struct spool *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** spool_error() - 0, or the negative errno of the first failed append. */
int spool_error(const struct spool *s);
uint64_t spool_size(const struct spool *s);
/** spool_read() - up to @len bytes from @offset; returns how many (0 at the end), or a negative errno. */
ssize_t spool_read(const struct spool *s, void *buf, size_t len, uint64_t offset);
/** spool_put() - spool_append(), with its failure told in @err: -ENOSPC, for instance. */
int spool_put(struct spool *s, const void *bytes, size_t len, struct error *err);
/** spool_get() - exactly @len bytes from @offset; any thread, once all was written. */
int spool_get(const struct spool *s, void *buf, size_t len, uint64_t offset, struct error *err);

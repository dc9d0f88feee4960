// SPDX-License-Identifier: Apache-2.0
#pragma once
/** A part of an upload: bytes in buffers of the pool, taken one by one as they are filled. Private to this
 * room; one thread at a time. */
#include <keepfs/base/pool.h>
#include <stdint.h>
#include <sys/uio.h>

struct part {
	void *owner; /* the upload */
	struct pool *pool;
	unsigned number;
	uint64_t bytes;
	uint64_t max_bytes;
	struct iovec *iov; /* all full but the last */
	int count;
};

/** part_new() - empty; the caller's reservation covers @max_bytes. */
struct part *part_new(void *owner, struct pool *pool, unsigned number, uint64_t max_bytes);
/** part_free() - gives the buffers back. NULL allowed; returns NULL. */
struct part *part_free(struct part *part);
/** part_fill() - copy as much of @data as there is room for; returns how much that was. */
size_t part_fill(struct part *part, const void *data, size_t len);
/** part_skip() - leave @len bytes at the beginning of an empty part for part_set_skipped(). */
void part_skip(struct part *part, size_t len);
/** part_set_skipped() - fill in @len of what was skipped, from its @offset on. */
void part_set_skipped(struct part *part, size_t offset, const void *data, size_t len);
/** part_buffers() - how many buffers of the pool a part of @bytes needs. */
size_t part_buffers(uint64_t bytes);

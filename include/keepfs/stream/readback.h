// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The proof that a store holds what was sent: the object is read once, in order, every extent is checked
 * against its CRC-32C, and the SHA-256 of the whole is computed. Gets run ahead on threads of its own, within
 * buffers that it reserves.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/pool.h>
#include <keepfs/codec/extents.h>
#include <keepfs/codec/hash.h>
#include <keepfs/store.h>
#include <stdatomic.h>

/** READBACK_BUFFERS - of the pool, which stream_readback() reserves for an object that is large enough; it makes do with half of a smaller pool. */
#define READBACK_BUFFERS 16U

struct readback_options { /* all borrowed */
	struct store *store;
	struct pool *pool;
	const char *key;
	const struct extents *extents;
	/* NULL, or @extents: those in the @learn_bytes from @learn_at on, which begin and end with them, are not checked, but get the CRC-32C of what is read. */
	struct extents *learn;
	uint64_t learn_at, learn_bytes;
	size_t first, count; /* of these extents alone: a range of the object; count 0: the whole */
	struct cancel *cancel;
	atomic_uint_least64_t *done_bytes; /* live count; NULL */
	int (*take)(void *arg, const void *data, size_t len,
	            struct error *err); /* checked bytes, in order; NULL */
	void *arg;
};

/**
 * stream_readback() - blocks until the whole object, or the range, was read
 * Return: 0 with the digest; -EBADMSG (ERROR_CORRUPT) when an extent is not as sent (message: key, offset),
 * or the object has another size, which is not asked for a range, whose digest is of its own bytes; what @take or the store returned.
 */
int stream_readback(const struct readback_options *options, char ret_sha256[static SHA256_HEX_BYTES],
                    struct error *err);

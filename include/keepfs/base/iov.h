// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Bytes that are in several places of memory (struct iovec). */
#include <stdint.h>
#include <sys/uio.h>

/** iov_bytes() - of all of them together. */
static inline uint64_t iov_bytes(const struct iovec *iov, int count)
{
	uint64_t bytes = 0;

	for (int i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

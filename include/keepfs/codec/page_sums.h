// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Sums of the pages of a base (docs/formats.md, "Page sums of a base"): PAGE_SUM_BYTES for each PAGE_SUM_PAGE bytes of a file, from its begin on, and for what is left at its end. By them the next base finds
 * the pages that have not changed, without reading any of this one. The object begins with a head, and the listing says where in it the sums of each file are (listing_entry.sums_at).
 *
 * A sum is XXH3-64 with a seed that is drawn at random and kept in the head, and CRC-32C behind it: both decide. Who does not know the seed cannot make two pages that have the same sum. Pure; any thread.
 */
#include <keepfs/base/error.h>
#include <stddef.h>
#include <stdint.h>

/** MANIFEST_ROLE_PAGE_SUMS - of the object that has them. */
#define MANIFEST_ROLE_PAGE_SUMS "page-sums"
/** PAGE_SUM_PAGE - bytes that have one sum; PAGE_SUM_BYTES - of a sum; PAGE_SUMS_HEAD_BYTES - of the head, so that the sums of no file are at 0. */
#define PAGE_SUM_PAGE        ((size_t)8192)
#define PAGE_SUM_BYTES       ((size_t)12)
#define PAGE_SUMS_HEAD_BYTES ((size_t)40)

struct page_sums_head {
	uint64_t seed;
	uint64_t system_id; /* of the cluster */
};

void page_sums_head_encode(const struct page_sums_head *h, uint8_t ret[static PAGE_SUMS_HEAD_BYTES]);
/** page_sums_head_decode() - of the first bytes of the object. -EBADMSG (ERROR_CORRUPT): they are none, or damaged; -ENOTSUP: a newer keepfs has written them. */
int page_sums_head_decode(const void *data, size_t len, struct page_sums_head *ret, struct error *err);
/** page_sum() - of a page, or of the rest of one: @len is at most PAGE_SUM_PAGE. */
void page_sum(uint64_t seed, const void *page, size_t len, uint8_t ret[static PAGE_SUM_BYTES]);
/** page_sums_bytes() - all sums of a file of @file_bytes; less than 1/512 of it, and one. */
uint64_t page_sums_bytes(uint64_t file_bytes);

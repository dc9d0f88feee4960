// SPDX-License-Identifier: Apache-2.0
/* Numbers are little-endian: 12 bytes of a name, u32 version, u64 seed, u64 system identifier, u32 bytes of a page, u32 CRC-32C of all that. */
#include <keepfs/codec/page_sums.h>

#include <keepfs/codec/hash.h>

#include <endian.h>
#include <errno.h>
#include <string.h>

#define NAME       "keepfs sums\n"
#define NAME_BYTES 12
#define VERSION    1

struct stored_head {
	char name[NAME_BYTES];
	uint32_t version;
	uint64_t seed, system_id;
	uint32_t page_bytes;
	uint32_t crc32c;
};
_Static_assert(sizeof(struct stored_head) == PAGE_SUMS_HEAD_BYTES, "docs/formats.md says how long it is");

static uint32_t checksum_of_head(const struct stored_head *h)
{
	return crc32c(0, h, offsetof(struct stored_head, crc32c));
}

void page_sums_head_encode(const struct page_sums_head *h, uint8_t ret[static PAGE_SUMS_HEAD_BYTES])
{
	struct stored_head stored = {.version = htole32(VERSION),
	                             .seed = htole64(h->seed),
	                             .system_id = htole64(h->system_id),
	                             .page_bytes = htole32((uint32_t)PAGE_SUM_PAGE)};

	memcpy(stored.name, NAME, NAME_BYTES);
	stored.crc32c = htole32(checksum_of_head(&stored));
	memcpy(ret, &stored, sizeof(stored));
}

int page_sums_head_decode(const void *data, size_t len, struct page_sums_head *ret, struct error *err)
{
	struct stored_head stored;

	if (len < sizeof(stored))
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "page sums are damaged: the object has %zu bytes, fewer than its head", len);
	memcpy(&stored, data, sizeof(stored));
	if (memcmp(stored.name, NAME, NAME_BYTES) != 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "page sums are damaged: the object does not begin as one");
	if (le32toh(stored.version) > VERSION)
		return error_set(err, ERROR_USAGE, ENOTSUP,
		                 "page sums of version %u are of a newer keepfs: update this one",
		                 le32toh(stored.version));
	if (le32toh(stored.crc32c) != checksum_of_head(&stored) || le32toh(stored.version) != VERSION ||
	    le32toh(stored.page_bytes) != PAGE_SUM_PAGE)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "page sums are damaged: their head is");
	*ret = (struct page_sums_head){.seed = le64toh(stored.seed), .system_id = le64toh(stored.system_id)};
	return 0;
}

void page_sum(uint64_t seed, const void *page, size_t len, uint8_t ret[static PAGE_SUM_BYTES])
{
	uint64_t hash = htole64(hash_seeded(seed, page, len));
	uint32_t crc = htole32(crc32c(0, page, len));

	memcpy(ret, &hash, sizeof(hash));
	memcpy(ret + sizeof(hash), &crc, sizeof(crc));
}

uint64_t page_sums_bytes(uint64_t file_bytes)
{
	return (file_bytes / PAGE_SUM_PAGE + (file_bytes % PAGE_SUM_PAGE != 0)) * PAGE_SUM_BYTES;
}
